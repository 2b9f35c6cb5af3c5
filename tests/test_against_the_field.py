"""Notebook 08 and its widget: the selection is displayed, and only correct answers are accepted."""

import gc
import json
import weakref
from pathlib import Path

import ipywidgets
import pandas as pd
import pytest
import torch
from test_benchmark_results import grid, run
from test_lessons import GARBAGE

import checks
from benchmarks import markdown, results
from benchmarks.standings import standings
from elekit.evaluation.conformal.candidate_sets import CandidateSets
from elekit.graphs.smiles import from_smiles, molecule_vocabulary

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def runs() -> list[dict]:
    both = {"exact": 0.5, "edit_distance": 1.0}
    made = [
        run(seed=s, labels=size, gradient=both, candidates=both | {"exact": 0.25})
        for size in (100, None)
        for s in (0, 1)
    ]
    made += [run("other", s, 100, title=HOSTILE, only={"exact": 0.75 - s}) for s in (0, 1)]
    return [*made, run(task="noise", only={"mrr": 0.5}), run(task="noise", spoilt=["typos", 0.1], only={"mrr": 0.25})]


# -- who is ahead --------------------------------------------------------------------------------------------------
def test_leaders_of_each_task_and_size(runs):
    runs += [run("other", labels=100, only=0.5), run("psi-hard", labels=100, only=0.1)]
    head, every, few, noisy = grid(
        markdown.render_table(markdown.leaderboard(results.to_table(runs), {"smi2mol": "A|B"}))
    )
    assert head == ["on", "by", "first", "second", "ELE", "best variant of ELE"]
    assert few == [
        r"A\|B, 100 pairs",
        "edit distance",
        "other: 0.50",
        "ELE, gradient: 1.00",
        "1.00, place 2 of 2",
        "–",
    ]
    assert every[2:] == ["ELE, gradient: 1.00", "–", "1.00, place 1 of 1", "–"]
    assert noisy == ["noise, all 80 pairs", "MRR", "ELE: 0.500", "–", "0.500, place 1 of 1", "–"]  # clean runs alone
    (alone,) = markdown.leaderboard(results.to_table([run("other")]), {})["ELE"]
    assert alone == markdown.NOT_RUN


# -- the widget ----------------------------------------------------------------------------------------------------
def test_options_are_those_of_the_runs(runs):
    widget = standings(results.to_table(runs))
    assert [value for _, value in widget.task.options] == ["smi2mol", "noise"]
    assert [words for words, _ in widget.group.options] == ["all 80 pairs", "100 pairs"]
    assert "exact" in [value for _, value in widget.metric.options]
    widget.metric.value = "exact"
    widget.group.value = "100 pairs"
    assert widget.metric.value == "exact"  # stays, as the group has it
    assert widget.rows["method"].tolist() == ["ele", "ele", "other"] and widget.rows["exact"].tolist() == [
        0.5,
        0.25,
        0.25,
    ]
    widget.task.value = "noise"
    assert [words for words, _ in widget.group.options] == ["all 80 pairs", "all 80 pairs, typos noise at 10%"]
    assert widget.metric.value == "mrr" and widget.rows["mrr"].tolist() == [0.5]
    widget.group.value = "all 80 pairs, typos noise at 10%"
    assert widget.rows["mrr"].tolist() == [0.25]


def test_each_row_is_compared_with_ele(runs):
    widget = standings(results.to_table(runs))
    widget.metric.value = "exact"
    widget.group.value = "100 pairs"
    page = widget._text.value
    assert "compared with ELE (gradient)" in page and "−25.0, worse in every seed" in page
    assert "50.0 %" in page and "25.0 % ± 70.7" in page  # of 75 and -25 %
    assert "better in some seeds, worse in others" in page
    assert HOSTILE not in page and "&lt;img src=x" in page


def test_the_picture_shows_what_the_table_shows(runs):
    widget = standings(results.to_table(runs))
    widget.metric.value = "exact"
    drawn = widget.picture()
    (ax,) = drawn.axes
    assert len(ax.patches) == len(widget.rows) and ax.get_xlabel() == "exact, %"
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(100 * widget.rows["exact"].to_numpy())
    assert bytes(widget._image.value).startswith(b"\x89PNG")
    widget.metric.value = "edit_distance"
    assert "lower is better" in widget.picture().axes[0].get_xlabel()
    with pytest.raises(ValueError, match="no runs to show"):
        standings(results.to_table([]))


def test_a_closed_widget_is_freed(runs):
    gc.collect()
    before, widget = set(ipywidgets.widgets.widget._instances), standings(results.to_table(runs))
    gone = weakref.ref(widget)
    widget.close()
    del widget
    gc.collect()
    assert gone() is None and set(ipywidgets.widgets.widget._instances) == before


# -- the exercises -------------------------------------------------------------------------------------------------
PRICED = pd.DataFrame({"title": list("ABCA"), "decoder": ["", "x", "", "y"]}, index=[3, 4, 7, 8])
PRICED["ms"], PRICED["exact"] = [1.0, 10.0, 40.0, 500.0], [0.1, 0.5, 0.3, 0.9]


@pytest.mark.parametrize(
    "answer, hint",
    [
        (3, "A takes 1.0 ms and is exact in 10.0% of cases. Rows within 50 ms that are more exact: 2"),
        (7, "more exact: 1"),
        (8, "A, y takes 500.0 ms, more than 50"),
        (0, "not the number of a row"),
        ("B", "not the number of a row"),
    ],
)
def test_a_row_that_is_not_the_most_exact_gets_a_hint(answer, hint):
    verdict = checks.check_within(answer, PRICED, 50)
    assert not verdict.correct and hint in verdict.message


def test_the_most_exact_row_within_the_budget_is_correct():
    verdict = checks.check_within(4, PRICED, 50)
    assert verdict.correct and "takes 500.0 ms" in verdict.message
    assert "at any cost" in checks.check_within(8, PRICED, 1_000).message


@pytest.fixture(scope="module")
def found_sets():
    """Ten inputs; sets hold one graph within 0.1, two within 0.3 and three within 0.9; the first is the truth."""
    molecules = from_smiles(["CC", "CO", "CN"], molecule_vocabulary(["C", "N", "O"], 3))
    rows, losses = torch.arange(3).expand(10, 3), torch.tensor([0.1, 0.3, 0.9]).expand(10, 3)
    return CandidateSets(molecules, rows, losses, molecules[[0] * 10], losses[:, 0]), molecules[[0] * 10]


SCORES = torch.arange(1, 100) / 100  # so that the radius of a level is the level


@pytest.mark.parametrize(
    "level, limit, hint",
    [
        (0.95, 2, "At 95% a set contains 3.00 graphs on average, more than 2"),
        (0.5, 2, "at 55% it contains 2.00"),
        (1, 2, "a share between 0 and 1"),
        ("half", 2, "'half' is not"),
    ],
)
def test_a_level_too_high_or_too_low_gets_its_size(found_sets, level, limit, hint):
    verdict = checks.check_level(level, SCORES, *found_sets, limit)
    assert not verdict.correct and hint in verdict.message


def test_the_highest_level_with_small_sets_is_correct(found_sets):
    for level, limit, size in ((0.85, 2, "2.00"), (0.25, 1, "1.00")):
        verdict = checks.check_level(level, SCORES, *found_sets, limit)
        assert (
            verdict.correct
            and f"contains {size} graphs" in verdict.message
            and "100% of these 10 sets" in verdict.message
        )
    lost = torch.cat([SCORES[:50], torch.full((49,), torch.inf)])
    assert "cannot be guaranteed" in checks.check_level(0.9, lost, *found_sets, 2).message
    assert checks.check_level(0.5, lost, *found_sets, 2).correct  # no higher one can be guaranteed


@pytest.mark.parametrize("answer", GARBAGE, ids=[type(answer).__name__ for answer in GARBAGE])
def test_no_answer_raises(answer, found_sets):
    for verdict in (checks.check_within(answer, PRICED[:2], 0.5), checks.check_level(answer, SCORES, *found_sets, 2)):
        assert not verdict.correct and len(verdict.message) > 20 and "<img" not in verdict._repr_markdown_()


# -- in a browser --------------------------------------------------------------------------------------------------
ROOT = Path(__file__).resolve().parents[1]
CELL = """
import sys
from pathlib import Path
sys.path.insert(0, ROOT)
from benchmarks import aggregate
from benchmarks.standings import standings
w = standings(aggregate.load_results(Path(".")))
w
"""


@pytest.mark.browser
def test_the_selection_is_displayed_in_the_browser(lab, runs):
    lines = "".join(json.dumps(one) + "\n" for one in runs)
    (lab.folder / "smi2mol.jsonl").write_text(lines, encoding="utf-8")
    lab.run(CELL.replace("ROOT", repr(str(ROOT))))
    page = lab.page
    page.locator(".elekit select").first.wait_for()
    choices = page.locator(".elekit select")
    assert choices.count() == 3 and page.locator(".elekit img").evaluate("i => i.complete && i.naturalWidth > 100")
    choices.nth(2).focus()
    choices.nth(2).select_option(label="prediction time")
    lab.eventually("w.metric.value", "ms")
    page.wait_for_function("document.querySelector('.elekit table').textContent.includes('prediction time')")
    choices.nth(0).select_option(label=lab.value("w.task.options[1][0]"))
    lab.eventually("w.task.value", "noise")
    page.wait_for_function("document.querySelectorAll('.elekit select')[1].options.length == 2")
    assert page.evaluate("document.querySelectorAll('.elekit table img').length") == 0  # a title is text
    lab.screenshot("standings")
    assert not page.locator(".jp-RenderedImage img").is_visible()  # the picture for readers without a kernel
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('.elekit'), '::before').content.includes('Run the cell again')"
    )
