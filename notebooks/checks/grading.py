"""Grade notebooks of students, and solve those of the lessons for the answer key.

An exercise is a cell tagged "answer" or "guess", which assigns names such as MY_GRAPH, and the next cell tagged
"check". Only what the checks depend on is taken from the lesson and executed, so that other changes a student made do
not matter; of a student's notebook only the cells count that assign those names, and what those cells use.
"""

import ast
import contextlib
import multiprocessing
import os
import re
import signal
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import nbformat

from checks.guesses import NONE_YET
from checks.verdict import Verdict

NOTEBOOKS = Path(__file__).resolve().parent.parent
SOLUTION = re.compile(r"<details><summary>Solution</summary>.*?```python\n(.*?)```", re.DOTALL)
LESSON = "lesson"  # key of a notebook's metadata: which lesson it is, whatever its file is called
ANSWER, GUESS, CHECK, PATH = "answer", "guess", "check", "90-minutes"  # tags of cells
# Of IPython: %time and %%timeit before code are dropped, and lines of other magics, of the shell and of help.
MAGIC = re.compile(
    r"^([ \t]*)%%?time(?:it)?\b(?:[ \t]+-\S+(?:[ \t]+\d+)?)*[ \t]*|^[ \t]*[%!].*$|^[ \t]*\??[\w.]+\?{1,2}[ \t]*$",
    re.MULTILINE,
)
BROKEN = (SyntaxError, ValueError, RecursionError, MemoryError)  # of ast: null bytes, a sum of a thousand terms
CORRECT, WRONG, UNANSWERED, FAILED = "correct", "not correct", "no answer", "error"
GROWS = ("append", "extend", "update")  # methods that change a list or a dictionary
KEY_LINE = "from checks.guesses import KEY\n"  # before a guess that is the result itself


@dataclass(frozen=True)
class Exercise:
    """An answer's cell and the cell that checks it.

    Attributes:
        names: What the answer assigns, such as ("MY_GRAPH",).
        is_guess: Whether it is a guess.
        given: Source of the answer in the lesson.
        check: Source of the check.
        solution: Source of the solution that is folded below an exercise; empty for a guess.
        checked_at: Position of the check's cell.
    """

    names: tuple[str, ...]
    is_guess: bool
    given: str
    check: str
    solution: str
    checked_at: int

    @property
    def name(self) -> str:
        """What tables call it."""
        return ", ".join(self.names)


@dataclass(frozen=True)
class Grade:
    """What came of one exercise: its name, whether it is a guess, one of the four results, and the message."""

    name: str
    is_guess: bool
    result: str
    message: str


def lessons() -> dict[str, list]:
    """The cells of every lesson by its name."""
    return {path.stem: nbformat.read(path, as_version=4).cells for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))}


def tags(cell) -> list[str]:
    """Tags of a cell."""
    return cell.metadata.get("tags", [])


def path(known: Mapping[str, list]) -> list[str]:
    """The lessons with cells of the 90-minute path."""
    return [name for name, cells in known.items() if any(PATH in tags(cell) for cell in cells)]


def exercises(cells: list) -> Iterator[Exercise]:
    """The exercises and guesses of a lesson, in order.

    Args:
        cells: Cells of the lesson.

    Yields:
        One of them.
    """
    for at, cell in enumerate(cells):
        if {ANSWER, GUESS} & set(tags(cell)):
            check = next(n for n in range(at, len(cells)) if CHECK in tags(cells[n]))
            solution = SOLUTION.search(cells[check + 1].source) if check + 1 < len(cells) else None
            assigned = sorted(assigned_names(cell.source), key=cell.source.index)
            is_guess = GUESS in tags(cell)
            source = solution[1] if solution and not is_guess else ""
            yield Exercise(tuple(assigned), is_guess, cell.source, cells[check].source, source, check)


def assigned_names(source: str) -> set[str]:
    """Names of answers that some code assigns, also code with errors: those that start with MY_ or my_."""
    found = names_in(source, ast.Store) or set(re.findall(r"^(my_\w+)\s*=", source, re.MULTILINE | re.IGNORECASE))
    return {name for name in found if name.lower().startswith("my_")}


def names_in(source: str, kind: type) -> set[str]:
    """Names that some code reads or assigns, see `names`; none if it is no Python."""
    try:
        return names(ast.parse(source), kind)
    except BROKEN:
        return set()


def names(node: ast.AST, kind: type) -> set[str]:
    """Names that are read (ast.Load) or assigned (ast.Store, also by `x[i] = ...`, `x.append(...)` and imports)."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}
    if kind is ast.Store:
        parts = (n for n in ast.walk(node) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store))
        grown = (n for n in ast.walk(node) if isinstance(n, ast.Attribute) and n.attr in GROWS)
        found |= {n.value.id for n in (*parts, *grown) if isinstance(n.value, ast.Name)}
        found |= {
            (a.asname or a.name).split(".")[0] for n in ast.walk(node) for a in getattr(n, "names", ()) if a != "*"
        }
    return found


def solve(cells: list, answers: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, list[Grade]]]:
    """Check answers to the exercises of a lesson, in this process.

    Args:
        cells: Cells of the lesson.
        answers: Python sources of one or several answers, each on its own, by the name of the exercise. Exercises
            that are not among them are left out.

    Yields:
        The name of each exercise, and a grade for each of its answers.
    """
    tasks = {task.checked_at: task for task in exercises(cells) if task.name in answers}
    steps = needed(cells, {at: [task.check, task.given, *answers[task.name]] for at, task in tasks.items()})
    space: dict = {}
    for at in range(len(cells)):
        _execute(steps.get(at, []), space)
        if at in tasks:
            yield tasks[at].name, [_grade(tasks[at], source, dict(space)) for source in answers[tasks[at].name]]


def needed(cells: list, wanted: Mapping[int, Sequence[str]]) -> dict[int, list[ast.stmt]]:
    """The statements of a lesson that code at some positions depends on.

    Args:
        cells: Cells of the lesson.
        wanted: Sources of the code by position.

    Returns:
        The statements by the position of their cell.
    """
    kept: dict[int, list[ast.stmt]] = {}
    targets: set[str] = set()
    for at in reversed(range(len(cells))):
        if at in wanted:
            targets = targets.union(*(names_in(source, ast.Load) for source in wanted[at]))
        elif cells[at].cell_type == "code" and not {ANSWER, GUESS, CHECK} & set(tags(cells[at])):
            for statement in reversed(ast.parse(cells[at].source).body):
                if targets & names(statement, ast.Store):
                    kept.setdefault(at, []).insert(0, statement)
                    targets |= names(statement, ast.Load)
    return kept


def _grade(task: Exercise, source: str, space: dict) -> Grade:
    """Execute an answer and its check."""
    if not task.is_guess and _same_code(source, task.given):
        return Grade(task.name, task.is_guess, UNANSWERED, "")
    shown: list = []
    try:
        for code in (task.given, source):  # the cell also holds what the question is about
            space["display"] = lambda *_, **__: None
            _execute(ast.parse(code).body, space)
        space["display"] = lambda *several, **_: shown.extend(several)
        *lines, last = ast.parse(task.check).body
        _execute(lines, space)
        shown.append(eval(compile(ast.Expression(last.value), "check", "eval"), space))
        verdicts = [each for each in shown if isinstance(each, Verdict)]
        message = " ".join(verdict.message for verdict in verdicts)
        if not verdicts:
            raise ValueError("the check gives no verdict")
    except (Exception, SystemExit) as error:  # whatever the code of the answer raises
        return Grade(task.name, task.is_guess, FAILED, _words(error))
    if any(verdict.head == NONE_YET for verdict in verdicts):
        return Grade(task.name, task.is_guess, UNANSWERED, message)
    return Grade(task.name, task.is_guess, CORRECT if all(v.correct for v in verdicts) else WRONG, message)


def _words(error: BaseException) -> str:
    """An error on one line."""
    try:
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    except Exception:  # of its __str__
        return type(error).__name__


def _execute(statements: list[ast.stmt], space: dict) -> None:
    exec(compile(ast.Module(statements, []), "answer", "exec"), space)


def _same_code(one: str, other: str) -> bool:
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except BROKEN:
        return False


def lesson_of(notebook, file: Path, known: Mapping[str, list]) -> str:
    """Which lesson a notebook of a student is.

    Args:
        notebook: As read by nbformat.
        file: Where it was read.
        known: As returned by `lessons`.

    Returns:
        Name of the lesson.

    Raises:
        ValueError: If neither its metadata nor its file name tells.
    """
    name = notebook.metadata.get(LESSON)
    if isinstance(name, str) and name in known:
        return name
    for name in known:
        if name in file.stem:
            return name
    raise ValueError(
        f'{file}: not one of the lessons; its metadata should have "{LESSON}", such as {next(iter(known))}'
    )


def answers_of(notebook, cells: list) -> dict[str, str]:
    """Source of a student's answers by the name of the exercise.

    An answer is all that the student's own cells above its check say about its names, and what those cells use.

    Args:
        notebook: Of the student.
        cells: Cells of the lesson.

    Returns:
        The sources, without IPython's magics.
    """
    known = {cell.source.strip() for cell in cells}
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    found = {}
    for task in exercises(cells):
        named = re.compile(rf"\b({'|'.join(task.names)})\b")
        end = next((n for n, source in enumerate(code) if "checks." in source and named.search(source)), len(code))
        own = [textwrap.dedent(MAGIC.sub(r"\1", source)) for source in code[:end] if source.strip() not in known]
        kept = {n for n, source in enumerate(own) if named.search(source)}
        if not any(set(task.names) & assigned_names(own[n]) for n in kept):
            continue
        wanted = set().union(*(names_in(own[n], ast.Load) for n in kept))
        for n in reversed(range(len(own))):
            if n in kept or wanted & names_in(own[n], ast.Store):
                kept.add(n)
                wanted |= names_in(own[n], ast.Load)
        found[task.name] = "\n".join(own[n] for n in sorted(kept))
    return found


def grade(file: Path, seconds: float = 300.0) -> tuple[str, list[Grade]]:
    """Grade a student's notebook, in a process of its own.

    Its answers are code and are executed: grade only notebooks of people you know.

    Args:
        file: The notebook.
        seconds: Time limit of each answer.

    Returns:
        The name of the lesson, and one grade for each of its exercises.

    Raises:
        ValueError: If the file is not a notebook of a lesson.
    """
    known = lessons()
    try:
        notebook = nbformat.read(file, as_version=4)
    except Exception as error:  # nbformat raises many
        raise ValueError(f"{file}: not a notebook ({_words(error)})") from None
    lesson = lesson_of(notebook, file, known)
    try:
        answers = answers_of(notebook, known[lesson])
    except Exception as error:  # a notebook may lack anything
        raise ValueError(f"{file}: a damaged notebook ({_words(error)})") from None
    tasks = list(exercises(known[lesson]))
    found: dict[str, Grade] = {}
    left = [task.name for task in tasks]
    while left:  # an answer that ends its process, or takes too long, costs only itself
        for one in _solve_elsewhere(lesson, {name: answers[name] for name in left if name in answers}, seconds):
            found[one.name] = one
        left = [name for name in left if name not in found and name in answers]
        if left:
            ended = f"no result within {seconds:g} seconds, or the answer ends the process"
            task = next(task for task in tasks if task.name == left[0])
            found[left.pop(0)] = Grade(task.name, task.is_guess, FAILED, ended)
    none = {task.name: Grade(task.name, task.is_guess, UNANSWERED, "") for task in tasks}
    return lesson, list((none | found).values())


def _solve_elsewhere(lesson: str, answers: dict[str, str], seconds: float) -> Iterator[Grade]:
    """Solve a lesson in a process of its own; ends early where an answer ends it, or takes too long."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_solve_there, args=(there, lesson, answers))
    process.start()
    there.close()
    try:
        while here.poll(seconds):
            yield here.recv()
    except EOFError:  # it is done, or ended
        pass
    finally:
        with contextlib.suppress(OSError, AttributeError):  # Windows has no groups of processes
            os.killpg(process.pid, signal.SIGKILL)  # with all that the answers started
        process.kill()
        process.join()


def _solve_there(connection: Connection, lesson: str, answers: dict[str, str]) -> None:
    """Solve a lesson, and send its grades one by one; what answers print is dropped."""
    if hasattr(os, "setsid"):
        os.setsid()
    os.chdir(NOTEBOOKS)
    with open(os.devnull, "r+") as nowhere:
        for stream in range(3):
            os.dup2(nowhere.fileno(), stream)
        for _, (one,) in solve(lessons()[lesson], {name: [source] for name, source in answers.items()}):
            connection.send(one)


def key(cells: list) -> list[tuple[Exercise, Grade]]:
    """Solve a lesson with its own solutions, and with the results as guesses.

    Args:
        cells: Cells of the lesson.

    Returns:
        Each exercise with its grade; the message of a guess states the result.
    """
    tasks = list(exercises(cells))
    answers = {task.name: [f"{KEY_LINE}{task.names[0]} = KEY" if task.is_guess else task.solution] for task in tasks}
    grades = dict(solve(cells, answers))
    return [(task, grades[task.name][0]) for task in tasks]
