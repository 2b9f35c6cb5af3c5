"""Prepared answers to all exercises and guesses of the lessons, and notebooks of students that are graded."""

import ast
import builtins
import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbconvert
import nbformat
import pytest
from lab import NOTEBOOKS

import checks
from checks.grading import (
    ANSWER,
    CHECK,
    CORRECT,
    GUESS,
    KEY_LINE,
    PATH,
    UNANSWERED,
    WRONG,
    exercises,
    lessons,
    names,
    path,
    solve,
    tags,
)

# Besides the solution below each exercise, which must be right, and the answer it starts with, which must not be.
RIGHT = {
    "MY_GRAPH": ['MY_GRAPH = "C1COCCC1=O"', 'MY_GRAPH = ele.from_smiles("O=C1CCOCC1", vocabulary)'],
    "MY_MATCH": ['MY_MATCH = {"C": 1, "B": 3.0, "A": 2}'],
    "MY_ORDER": ['MY_ORDER = ("ethyl", "alcohol", "oxirane", "no dot")'],
    "MY_SETTINGS": ['MY_SETTINGS = ele.GradientConfig("euclidean", iterations=400, starts=1)'],
    "MY_CHOICE": ["MY_CHOICE = CHOICES[1]"],
    "MY_VERDICTS": ['MY_VERDICTS = {1: "Edge labels", 2: " size", 3: "node labels"}'],
}
MIXED = 'MY_VERDICTS = {1: "node labels", 2: "size", 3: "edge labels"}'
FALSE = {
    "MY_GRAPH": [
        'MY_GRAPH = "O=C1CCCOC1"',
        'MY_GRAPH = "O=C1CCOC1"',
        "MY_GRAPH = checks.draw_target()",
        "MY_GRAPH = 1",
    ],
    "MY_WEIGHT": ["MY_WEIGHT = 0.6", "MY_WEIGHT = 0.62", "MY_WEIGHT = 1"],
    "MY_MATCH": ['MY_MATCH = {"A": 3, "B": 2, "C": 1}', "MY_MATCH = [2, 3, 1]"],
    "MY_TEMPERATURE, MY_VIEWS": [
        'MY_TEMPERATURE, MY_VIEWS = 5.0, ("softened",)',
        'MY_TEMPERATURE, MY_VIEWS = 0.05, ("edited", "softened")',
    ],
    "MY_K": ["MY_K = 5", "MY_K = 7"],
    "MY_ORDER": [
        'MY_ORDER = ["alcohol", "ethyl", "oxirane", "no dot"]',
        'MY_ORDER = ["ethyl", "alcohol", "oxirane"]',
    ],
    "MY_FIRST, MY_WIDEST": [
        "MY_FIRST, MY_WIDEST = 0, int(trace.gap.argmax())",
        "MY_FIRST, MY_WIDEST = trace.best, int(trace.gap.argmax())",
        "MY_FIRST, MY_WIDEST = int((trace.rounded - trace.rounded[trace.best]).abs().lt(1e-5).nonzero()[0]), 59",
    ],
    "MY_SETTINGS": ['MY_SETTINGS = ele.GradientConfig("euclidean", iterations=100, starts=8)', "MY_SETTINGS = 400"],
    "MY_EDIT": ['MY_EDIT = "node 0: C to nothing"', 'MY_EDIT = "node 99: C to O"'],
    "MY_CHOICE": ["MY_CHOICE = 0", "MY_CHOICE = 3"],
    "MY_EDIT, MY_PRICE": [
        "MY_EDIT = scan.table['edit'][scan.table['price'].idxmin()]\nMY_PRICE = 0.8",
        "MY_EDIT = next(n for n in range(140) if not rules(ele.to_networkx(scan.result(n))[0]))\n"
        "MY_PRICE = scan.table['price'][MY_EDIT]",
    ],
    "my_graph, MY_NEIGHBOR": [
        'my_graph = nx.path_graph(2)\nnx.set_node_attributes(my_graph, "hall", "label")\n'
        'nx.set_edge_attributes(my_graph, "door", "label")\nMY_NEIGHBOR = 3'
    ],
    "MY_CLAIM": ['MY_CLAIM = stable.loc[stable["stable"], "claim"].iloc[0]', 'MY_CLAIM = "no claim"'],
    "MY_VERDICTS": [MIXED, 'MY_VERDICTS = {1: "edge labels"}', 'MY_VERDICTS = "edge labels"'],
    "MY_ROW": ['MY_ROW = priced["exact"].idxmin()', "MY_ROW = -1"],
    "MY_LEVEL": ["MY_LEVEL = 0.5", "MY_LEVEL = 0.95", "MY_LEVEL = 90"],
}
LESSONS = lessons()


def guesses(task) -> tuple[list[str], list[str]]:
    """Sources of one right guess, and of wrong ones, some of which may be right after all: all choices, two numbers."""
    choices = (
        re.findall(r'"([^"]+)"', task.given) if "check_guess(" in task.check and "within" not in task.check else []
    )
    values = [repr(choice) for choice in choices] or ["1e6", "-1e6"]
    return [f"{KEY_LINE}{task.name} = KEY"], [f"{task.name} = {value}" for value in values]


@pytest.mark.parametrize("lesson", LESSONS)
def test_checks_tell_right_answers_from_wrong_ones(lesson, monkeypatch):
    """All answers to the exercises of a lesson, and all guesses, on one run of what its checks depend on."""
    monkeypatch.chdir(NOTEBOOKS)
    cells = copy.deepcopy(LESSONS[lesson])
    for cell in cells:  # fewer cases of the slowest part; the lesson itself runs in the test of the notebooks
        cell.source = cell.source.replace("MANY, CALIBRATED = 100, 200", "MANY, CALIBRATED = 40, 80")
    tasks = list(exercises(cells))
    assert tasks, "no exercises"
    answers, right = {}, {}
    for task in tasks:
        good, bad = guesses(task) if task.is_guess else ([task.solution, *RIGHT.get(task.name, [])], FALSE[task.name])
        answers[task.name], right[task.name] = [*good, *bad, task.given], len(good)
    graded = dict(solve(cells, answers))
    for task in tasks:
        *given, start = [one.result for one in graded[task.name]]
        good, bad = given[: right[task.name]], given[right[task.name] :]
        assert set(good) == {CORRECT}, graded[task.name]
        wrong = sum(result == WRONG for result in bad)
        assert wrong == len(bad) or (task.is_guess and wrong == len(bad) - 1), graded[task.name]
        assert start == UNANSWERED


def test_there_are_at_least_sixty_prepared_answers_to_exercises():
    tasks = [task for cells in LESSONS.values() for task in exercises(cells) if not task.is_guess]
    assert {task.name for task in tasks} == FALSE.keys()
    assert sum(2 + len(RIGHT.get(task.name, [])) + len(FALSE[task.name]) for task in tasks) >= 60


def test_every_lesson_has_guesses_that_a_check_reads_and_whose_result_is_folded():
    """A question, a place for the guess, a folded heading; the check comes before the next heading."""
    for name, cells in LESSONS.items():
        asked = [n for n, cell in enumerate(cells) if re.search("your guess first", cell.source, re.IGNORECASE)]
        assert asked and [n + 1 for n in asked] == [n for n, cell in enumerate(cells) if GUESS in tags(cell)], name
        for number, at in enumerate(asked, 1):
            place, result = cells[at + 1 : at + 3]
            assert re.fullmatch(rf"MY_GUESS_{number} = None  # .+", place.source)
            assert (
                result.source == f"#### Result of guess {number}" and result.metadata["jp-MarkdownHeadingCollapsed"]
            )
            check = next(n for n in range(at, len(cells)) if CHECK in tags(cells[n]))
            assert f"MY_GUESS_{number}" in cells[check].source
            assert not any(re.match("#{1,4} ", cell.source) for cell in cells[at + 3 : check]), (name, number)


def test_a_guess_is_compared_with_the_result_only_if_there_is_one():
    assert "0.74" not in checks.check_guess(None, 0.74, within=0.1).message
    assert checks.check_guess(0.7, 0.74, within=0.1).correct and not checks.check_guess(0.5, 0.74, within=0.1).correct
    assert checks.check_guess(" Tree", "tree", ["tree", "ring"]).correct
    assert repr(checks.check_guess("ring", "tree", ["tree", "ring"])).startswith("A surprise: ")
    for nothing in (None, "bush", ""):
        assert repr(checks.check_guess(nothing, "tree", ["tree", "ring"])).startswith("No guess yet: ")


# -- the command ---------------------------------------------------------------------------------------------------
def student(folder: Path, name: str, *changes: tuple[str, str], lesson: str = "01_graphs_as_tensors") -> Path:
    """A lesson as a student saved it, with some sources replaced."""
    notebook = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4)
    for cell in notebook.cells:
        for old, new in changes:
            cell.source = cell.source.replace(old, new) if cell.cell_type == "code" else cell.source
    file = folder / name
    nbformat.write(notebook, file)
    return file


def run(*arguments: object) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(NOTEBOOKS.parent)}
    return subprocess.run(
        [sys.executable, str(NOTEBOOKS / "checks"), *map(str, arguments)],
        capture_output=True, text=True, timeout=300, env=environment, check=False,
    )  # fmt: skip


def test_notebooks_of_students_are_graded(tmp_path):
    """Under any file name, whatever else they changed, and each answer on its own."""
    good = student(
        tmp_path, "anna.ipynb",
        ('MY_GRAPH = "C1CCCCC1"', '%%time\nfrom IPython.display import display\nMY_GRAPH = SMILES\nprint("done")\n!ls'),
        ("dataclasses\n", 'dataclasses\nSMILES = "O=C1CCOCC1"\n'), ("MY_WEIGHT = 0.5", "  MY_WEIGHT = 0.61"),
        ('MOLECULE = "O=C1CC1F"', 'MOLECULE = "C"'), ("MY_GUESS_1 = None", "MY_GUESS_1 = '12'  # really?"),
    )  # fmt: skip
    broken = student(
        tmp_path, "ben.ipynb", ('MY_GRAPH = "C1CCCCC1"', "MY_GRAPH = ("), ("MY_WEIGHT = 0.5", "MY_WEIGHT = nil"),
        ("MY_GUESS_1 = None", "MY_GUESS_1 = exit()"),
    )  # fmt: skip
    ends = student(
        tmp_path, "=cem.ipynb", ('MY_GRAPH = "C1CCCCC1"', "import os\nMY_GRAPH = os._exit(0)"),
        ("MY_WEIGHT = 0.5", "MY_WEIGHT = 0.61"), ("MY_GUESS_2 = None", "MY_GUESS_2 = 0\nele.from_smiles = None"),
    )  # fmt: skip
    (tmp_path / "notes.txt").write_text("no notebook")
    (tmp_path / "odd.ipynb").write_text(
        '{"cells": [{"cell_type": "code"}], "metadata": {"lesson": []}, "nbformat": 4}'
    )
    table = tmp_path / "grades.csv"
    done = run("grade", good, broken, ends, tmp_path / "notes.txt", tmp_path / "odd.ipynb", "--csv", table)
    assert done.returncode == 1 and "notes.txt: not a notebook" in done.stderr and "odd.ipynb: not " in done.stderr
    assert "Traceback" not in done.stderr
    anna, ben, cem = (part for part in re.split(r"^(?=/)", done.stdout, flags=re.MULTILINE) if part)
    assert "01_graphs_as_tensors, exercises 2 of 2, guesses made 1 of 4" in anna
    assert "MY_GUESS_1             not correct  you guessed 12, and it is 287" in anna
    assert "exercises 0 of 2, guesses made 0 of 4" in ben and "name 'nil' is not defined" in ben
    assert "SyntaxError" in ben and "SystemExit" in ben
    assert cem.count("the answer ends the process") == 1 and "MY_WEIGHT              correct" in cem
    assert len(table.read_text(encoding="utf-8-sig").splitlines()) == 1 + 3 * 6 + 2


def test_an_answer_may_be_made_in_several_cells(tmp_path):
    file = student(tmp_path, "eva.ipynb", ('MY_GRAPH = "C1CCCCC1"', "MY_GRAPH = nx.cycle_graph(6)"))
    notebook = nbformat.read(file, as_version=4)
    at = next(n for n, cell in enumerate(notebook.cells) if cell.source.startswith("MY_GRAPH"))
    rest = (
        'nx.set_node_attributes(MY_GRAPH, "C", "label")\nMY_GRAPH.add_node(6, label="O")\n'
        'MY_GRAPH.nodes[0]["label"] = "O"\nMY_GRAPH.add_edge(3, 6)\nnx.set_edge_attributes(MY_GRAPH, "single", "label")',
        'MY_GRAPH.edges[3, 6]["label"] = "double"',
    )
    notebook.cells[at + 1 : at + 1] = [nbformat.v4.new_code_cell(source) for source in rest]
    nbformat.write(notebook, file)
    assert "MY_GRAPH               correct" in run("grade", file).stdout


def test_answers_that_never_end_are_stopped_with_all_they_started(tmp_path):
    """And cost only themselves."""
    endless = "import subprocess\nsubprocess.Popen(['sleep', '761'])\nwhile True: MY_WEIGHT = 0.5"
    file = student(tmp_path, "dan.ipynb", ("MY_WEIGHT = 0.5", endless), ("MY_GUESS_1 = None", "MY_GUESS_1 = 287"))
    done = run("grade", file, "--seconds", 15)
    assert done.returncode == 0 and "MY_GUESS_1             correct" in done.stdout
    assert done.stdout.count("no result within 15 seconds") == 1
    assert b"sleep\x00761\x00" not in [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline")]
    assert run("grade", file, "--seconds", "nan").returncode == 2


def test_a_notebook_that_is_no_lesson_is_named(tmp_path):
    file = tmp_path / "mine.ipynb"
    file.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    done = run("grade", file)
    assert done.returncode == 1 and "mine.ipynb: not one of the lessons" in done.stderr
    assert run("key", "99_nothing").returncode == 1


def test_the_key_has_solutions_and_results():
    done = run("key", "01_graphs_as_tensors")
    assert done.returncode == 0 and "MY_WEIGHT = 0.61" in done.stdout and "MY_GUESS_1: it is 287." in done.stdout


# -- the path of 90 minutes, and slides ------------------------------------------------------------------------------
def test_the_path_runs_without_the_other_cells():
    """Each name that its cells read is built in, or assigned by an earlier one of them."""
    assert len(path(LESSONS)) == 6
    for lesson in path(LESSONS):
        cells = [cell for cell in LESSONS[lesson] if PATH in tags(cell) and cell.cell_type == "code"]
        known = {*dir(builtins), "display"}
        for cell in cells:
            for statement in ast.parse(cell.source).body:
                own = names(statement, ast.Store) | {n.arg for n in ast.walk(statement) if isinstance(n, ast.arg)}
                assert names(statement, ast.Load) <= known | own, (lesson, cell.source)
                known |= own


def test_the_path_is_marked_in_headings_and_in_the_plan():
    plan = (NOTEBOOKS / "README.md").read_text()
    rows = re.findall(r"^\| (\d+) to (\d+) \| \[.*?\]\((.*?)\.ipynb\) \| ([\d, to]+) \|", plan, re.MULTILINE)
    assert [row[2] for row in rows] == path(LESSONS)
    assert [int(start) for start, *_ in rows] == [0, *(int(end) for _, end, *_ in rows[:-1])] and rows[-1][1] == "90"
    for _, _, lesson, listed in rows:
        text = "\n".join(cell.source for cell in LESSONS[lesson])
        marked = re.findall(r"^## (\d)\. .* ★$", text, re.MULTILINE)
        assert marked == re.findall(r"\d", listed) or (listed == "1 to 6" and marked == list("123456"))


def test_slides_show_what_is_taught_and_leave_out_answers():
    for name, cells in LESSONS.items():
        for cell in cells:
            kind = cell.metadata["slideshow"]["slide_type"]
            assert kind in {"slide", "subslide", "fragment", "skip", "notes"}, name
            assert (kind == "notes") == cell.source.startswith("### For teachers")
            if "<summary>Solution" in cell.source or {ANSWER, GUESS, CHECK} & set(tags(cell)):
                assert kind == "skip", (name, cell.source)
    page, _ = nbconvert.SlidesExporter().from_notebook_node(nbformat.v4.new_notebook(cells=LESSONS["00_start_here"]))
    assert page.count("<section") > 10 and "MY_GUESS" not in page
