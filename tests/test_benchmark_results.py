"""Results of the benchmark: the file, what is compared, the report of it; the runner; noise."""

import fcntl
import json
import re
import signal
import threading

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import equal, random_vertices

from benchmarks import TASKS, aggregate, goals, markdown, noise, report, report_figures, results, runner
from benchmarks.aggregate import METRICS, means, paired_differences
from benchmarks.methods import METHODS, Fitted, Method, Predictor
from benchmarks.task_data import (
    DECODING_TASKS,
    MOLECULE_TASKS,
    RETRIEVAL_TASKS,
    SMALL_TASKS,
    SPAN_TASKS,
    TREE_TASKS,
    Budget,
    TestData,
    TrainingData,
)
from benchmarks.tasks import SELECTED_METHODS
from elekit.cli.process import interrupting_signals
from elekit.datasets import Split
from elekit.graphs.graph import GraphVocabulary, from_networkx

HOSTILE = "a | b *c* `d` <img src=x> [e](f) $g$ &lt; #\n"
CLEAN = re.compile(r"\\[\\`*_{}\[\]<>#|~$&]")


def run(method="ele", seed=0, labels=None, spoilt=None, task="smi2mol", title=None, sets=None, **ways) -> dict:
    """A line of results. ways: figures by the way to decode, given as a number (edit distance) or as a dict."""
    figures = {
        way.replace("_", " ").replace(" and ", " + "): one if isinstance(one, dict) else {"edit_distance": one}
        for way, one in (ways or {"only": 1.0}).items()
    }
    figures = {"" if way == "only" else way: {"count": 1_000, "ms": 2.0, **one} for way, one in figures.items()}
    for one in figures.values():
        one |= {"sets": sets} if sets else {}
    about = {"name": "qm9", "rows": 100, "train": 80, "validation": 10, "test": 10, "digest": "a1b2c3" * 10}
    return {
        "task": task, "method": method, "labels": labels, "seed": seed, "noise": spoilt,
        "title": title or (METHODS[method].title if method in METHODS else method), "results": figures,
        "settings": {}, "spent": {"train_seconds": 10.0 + seed, "memory_mb": 500, "parameters": 1_234, "threads": 1},
        "data": about | {"train_pairs": labels or 80, "validation_pairs": 5, "examined": 1_000},
        "versions": {"elekit": "0.1.0", "torch": "2.0", "python": "3.11"}, "command": f"python -m benchmarks {task}",
        "at": "2026-01-02",
    }  # fmt: skip


def stored(folder, *runs):
    for one in runs:
        results.append_run(results.results_path(one["task"], folder), one)
    return folder


# -- the file ------------------------------------------------------------------------------------------------------
def test_what_is_appended_is_read(tmp_path):
    path, runs = tmp_path / "new" / "x.jsonl", [run(seed=seed, title="é\n€") for seed in range(3)]
    assert results.read_runs(path) == []
    for one in runs:
        results.append_run(path, one)
    assert results.read_runs(path) == runs and path.read_text(encoding="utf-8").count("\n") == 3
    with pytest.raises(ValueError):
        results.append_run(path, run(only={"exact": float("nan")}))  # a reader in another language could not read it
    assert results.read_runs(path) == runs


def test_a_line_that_was_cut_off_is_left_out_and_overwritten(tmp_path):
    path = tmp_path / "x.jsonl"
    results.append_run(path, run(seed=0))
    whole = path.read_bytes()
    results.append_run(path, run(seed=1, title="é"))
    both = path.read_bytes()
    for end in (len(whole), len(whole) + 1, both.index("é".encode(), len(whole)) + 1, len(both) - 1):
        (tmp_path / "cut.jsonl").write_bytes(both[:end])  # also in the middle of a letter of two bytes
        assert [one["seed"] for one in results.read_runs(tmp_path / "cut.jsonl")] == [0]
        results.append_run(tmp_path / "cut.jsonl", run(seed=2))
        assert [one["seed"] for one in results.read_runs(tmp_path / "cut.jsonl")] == [0, 2]


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    results.append_run(path, run(seed=0))
    path.write_text(path.read_text() + "{oh\n")
    results.append_run(path, run(seed=1))
    with pytest.raises(ValueError, match=r"x\.jsonl, line 2: invalid JSON"):
        results.read_runs(path)


def test_readers_meet_whole_runs_while_writers_write(tmp_path):
    path, seen = tmp_path / "x.jsonl", []
    writers = [
        threading.Thread(target=lambda k=k: [results.append_run(path, run(seed=s, labels=k)) for s in range(15)])
        for k in (1, 2)
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seen.append(len(results.read_runs(path)))
    assert seen == sorted(seen)
    assert {(one["labels"], one["seed"]) for one in results.read_runs(path)} == {
        (k, s) for k in (1, 2) for s in range(15)
    }


def test_a_line_waits_until_another_is_whole(tmp_path):
    path = tmp_path / "x.jsonl"
    results.append_run(path, run(seed=0))
    with open(path, "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writer = threading.Thread(target=results.append_run, args=(path, run(seed=2)))
        writer.start()
        writer.join(0.2)
        other.write(json.dumps(run(seed=1)).encode() + b"\n")
    writer.join()
    assert [one["seed"] for one in results.read_runs(path)] == [0, 1, 2]


def test_a_run_is_there_whatever_came_of_it():
    wanted = {"task": "smi2mol", "method": "ele", "labels": 100, "seed": 1, "noise": ["labels", 0.1]}
    there = [run(labels=100, seed=1, spoilt=["labels", 0.1])]
    assert results.is_done(there, wanted)
    for change in ({"seed": 2}, {"labels": None}, {"noise": None}, {"noise": ["labels", 0.3]}, {"method": "x"}):
        assert not results.is_done(there, wanted | change)


def test_the_table_has_a_row_for_each_way(tmp_path):
    one = run(labels=300, candidates={"exact": 0.5}, gradient={"exact": 0.25}, sets={"coverage": 0.9, "a": {"b": 1}})
    table = results.to_table([one, run("other", spoilt=["typos", 0.1])])
    assert table["decoder"].tolist() == ["candidates", "gradient", ""]
    assert table["exact"].tolist()[:2] == [0.5, 0.25] and table["sets.coverage"].tolist()[:2] == [0.9, 0.9]
    assert table["sets.a.b"].tolist()[:2] == [1, 1]
    assert table["labels"].tolist()[:2] == [300, 300] and np.isnan(table["labels"][2]) and table["pairs"][2] == 80
    assert table["noise"].tolist() == ["none", "none", "typos"] and table["rate"].tolist() == [0, 0, 0.1]


# -- what is compared ----------------------------------------------------------------------------------------------
@pytest.fixture
def three():
    """ELE 1, 2, 3 by its default way; `near` a half less each time, `odd` now more, now less, `tied` the same."""
    runs = []
    for seed, ours in enumerate((1.0, 2.0, 3.0)):
        runs += [
            run(seed=seed, labels=5_000, candidates_and_polish=ours, gradient=ours + 1),
            run("near", seed, 5_000, only=ours - 0.5),
            run("odd", seed, 5_000, only=ours + (1, -0.5, 0.25)[seed]),
            run("tied", seed, 5_000, only=ours),
        ]
    return [*runs, run("far", 7, 5_000, slow=9.0, quick=8.0)]


def test_means_and_spread_are_over_seeds(three):
    rows = means(results.to_table([*three, run(seed=0, labels=5_000, candidates_and_polish=4.0)])).set_index(
        ["method", "decoder"]
    )
    ele = rows.loc[("ele", "candidates + polish")]
    assert ele["seeds"] == 3 and ele["edit_distance"] == pytest.approx(3.0)  # the last of two runs of a seed counts
    assert ele["edit_distance ±"] == pytest.approx(np.std([4, 2, 3], ddof=1)) and ele["pairs"] == 5_000
    assert rows.loc[("far", "slow")]["seeds"] == 1 and np.isnan(rows.loc[("far", "slow")]["edit_distance ±"])
    everything = means(results.to_table([run(labels=None), run(labels=100), run(spoilt=["typos", 0.1])]))
    assert len(everything) == 3  # all pairs is a size like others


def test_differences_are_paired_by_seed(three):
    found = paired_differences(results.to_table(three), METRICS["edit_distance"]).set_index(["method", "decoder"])
    assert found["verdict"].to_dict() == {
        ("ele", "gradient"): "worse", ("near", ""): "better", ("odd", ""): "mixed", ("tied", ""): "equal",
        ("far", "slow"): "worse", ("far", "quick"): "worse",
    }  # fmt: skip
    near, far = found.loc[("near", "")], found.loc[("far", "slow")]
    assert (near["difference"], near["low"], near["high"], near["paired"]) == (-0.5, -0.5, -0.5, 3)
    assert far["paired"] == 0 and far["difference"] == pytest.approx(9 - 2)  # no seed in common: the means
    reverse = paired_differences(results.to_table(three), METRICS["edit_distance"], "near").set_index(
        ["method", "decoder"]
    )
    assert reverse.loc[("ele", "candidates + polish"), "verdict"] == "worse"
    with pytest.raises(ValueError, match="no run of nobody .* has edit_distance"):
        paired_differences(results.to_table(three), METRICS["edit_distance"], "nobody")


def test_more_is_better_where_it_is():
    runs = [run(seed=0, only={"exact": 0.5}), run("other", 0, only={"exact": 0.75})]
    (found,) = paired_differences(results.to_table(runs), METRICS["exact"])["verdict"]
    assert found == "better"
    rows = means(results.to_table(runs))
    assert aggregate.best_decoders(rows, METRICS["exact"])["method"].tolist() == ["other", "ele"]


def test_each_method_is_held_against_others_in_its_best_way(three):
    rows = aggregate.best_decoders(means(results.to_table(three)), METRICS["edit_distance"])
    assert rows["method"].tolist() == ["near", "ele", "tied", "odd", "far"]
    assert rows.set_index("method")["decoder"].to_dict()["far"] == "quick"


# -- the report ----------------------------------------------------------------------------------------------------
def grid(text: str) -> list[list[str]]:
    """The cells of the first table in a text, head and all; every line is as wide as the head."""
    lines = [line for line in text.split("\n") if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert len({len(row) for row in rows}) == 1
    return [row for row in rows if not set("".join(row)) <= set("-:")]


def cell(text: str, method: str, column: str, way: str = "–") -> str:
    head, *rows = grid(text)
    (found,) = [row[head.index(column)] for row in rows if row[0] == method and row[1] == way]
    return found


def test_tables_show_means_marks_and_what_is_missing(three):
    text = markdown.group_table(
        means(results.to_table(three)), {"ele": 3, "far": 3, "gone": 2}, {"gone": "Gone | away"}
    )
    assert cell(text, "near", "edit distance") == "**1.50 ± 1.00** ★"
    assert cell(text, "ELE", "edit distance", "candidates + polish") == "2.00 ± 1.00"
    assert cell(text, "far", "seeds", "quick") == "1 of 3" and cell(text, "ELE", "seeds", "gradient") == "3"
    assert cell(text, r"Gone \| away", "seeds", markdown.NOT_RUN) == "0"
    assert cell(text, "far", "parameters", "slow") == "1,234"  # no spread where there is none
    assert [row[0] for row in grid(text)[1:]] == ["near", "ELE", "ELE", "tied", "odd", "far", "far", r"Gone \| away"]


def test_ties_share_the_mark_and_nothing_is_marked_where_all_are_alike():
    runs = [run("a", only=1.001), run("b", only=1.004), run("c", only=1.3)]
    text = markdown.group_table(means(results.to_table(runs)))
    assert [cell(text, name, "edit distance") for name in "abc"] == ["**1.00** ★", "**1.00** ★", "1.30"]
    assert "★" not in markdown.group_table(means(results.to_table(runs[:2])))
    assert "★" not in markdown.group_table(means(results.to_table(runs[:1])))


def test_sentences_tell_what_is_better_and_by_how_much(three):
    first, *lines = markdown.comparison_lines(results.to_table(three), METRICS["edit_distance"])
    assert "with ELE (candidates + polish): 2.00" in first
    assert lines == [
        "- Better in every seed: near: 1.50, 0.50 less (3 seeds: −0.50 to −0.50).",
        "- Worse in every seed: far, quick: 8.00, 6.00 more (no common seed).",
        "- Better in some seeds, worse in others: odd: 2.25, 0.25 more (3 seeds: −0.50 to +1.00).",
        "- Equal: tied: 2.00 (3 seeds: 0.00 to 0.00).",
    ]
    runs = [run(only={"exact": 0.5}), run("other", only={"exact": 0.4})]
    _, line = markdown.comparison_lines(results.to_table(runs), METRICS["exact"])
    assert line == "- Worse in every seed: other: 40.0 %, 10.0 points less (one seed)."
    assert markdown.comparison_lines(results.to_table(runs[:1]), METRICS["exact"]) == []
    for nothing, figure in ((runs[1:], "exact"), (runs, "mrr")):
        assert markdown.comparison_lines(results.to_table(nothing), METRICS[figure])[0].startswith(
            f"{markdown.NOT_RUN}: no run of `ele` has"
        )


def test_titles_are_shown_as_they_are(tmp_path):
    shown = markdown.escape(HOSTILE)
    assert "\n" not in shown and not re.search(r"[\\`*_{}\[\]<>#|~$&]", CLEAN.sub("", shown))
    runs = [run(labels=5_000), run("hostile", labels=5_000, title=HOSTILE, **{"a|b": 2.0})]
    text = report.page(stored(tmp_path, *runs))
    assert cell(text[text.index("### 5,000") :], shown, "edit distance", r"a\|b") == "2.00"


def test_the_page_tells_what_is_there_and_what_is_not(tmp_path):
    folder = stored(
        tmp_path, *(run(seed=s, labels=5_000, gradient={"edit_distance": 1.0 + s, "exact": 0.9}) for s in (0, 1))
    )
    text = report.page(folder)
    assert "## " + TASKS["smi2mol"].title in text and markdown.NOT_RUN in text[text.index("### All pairs") :]
    part = text[text.index("### 5,000 pairs") : text.index("### 1,000 pairs")]
    assert cell(part, "ELE", "edit distance", "gradient") == "1.50 ± 0.71"
    assert cell(part, "ELE", "seeds", "gradient") == f"2 of {TASKS['smi2mol'].seeds}"
    wanted = {one["method"] for one in runner.plan_runs("smi2mol", labels=[5_000])}
    absent = [row for row in grid(part) if row[1] == markdown.NOT_RUN]
    assert len(absent) == len({m for m in wanted if not m.startswith("psi-")}) - 1
    assert f"`{'a1b2c3' * 2}`" in text and "2 runs in [smi2mol.jsonl]" in text
    assert "DSOKR" in text and markdown.LITERATURE in text
    assert f"\n{markdown.NOT_RUN}.\n" in text[text.index("## " + TASKS["noise"].title) :]


def test_noise_is_told_against_the_rate(tmp_path):
    runs = [run(task="noise", gradient=1.0, candidates=2.0), run("other", task="noise", only=0.5)]
    runs += [
        run(task="noise", spoilt=["labels", rate], gradient=1 + 10 * rate, candidates=3.0) for rate in (0.05, 0.3)
    ]
    runs += [run("other", task="noise", spoilt=["labels", 0.3], only=9.0)]
    text = report.page(stored(tmp_path, *runs))
    head, first, second = grid(
        text[text.index("### Noise: labels") : text.index("<sub>`python -m benchmarks noise`")]
    )
    assert head == ["method", "clean", "5%", "10%", "30%", "change"]
    assert first == ["ELE, gradient", "1.00", "1.50", markdown.NOT_RUN, "**4.00** ★", "+3.00"]
    assert second == ["other", "**0.50** ★", markdown.NOT_RUN, markdown.NOT_RUN, "9.00", "+8.50"]
    assert "![Edit distance by rate of noise." in text


def test_sets_are_told_against_the_rate(tmp_path):
    found = {"coverage": 0.5, "set_size": 1.25, "possible": 0.95}
    runs = [
        run(task="noise", spoilt=["typos", 0.02], sets=found),
        run(task="noise", spoilt=["labels", 0.3], sets={"possible": 0.85}),
        run(task="noise", sets=found | {"coverage": 0.9}),
        run("other", task="noise", sets=found | {"coverage": 0.1}),
    ]
    text = report.page(stored(tmp_path, *runs))
    head, *rows = grid(
        text[text.index("### Noise: prediction sets") : text.index("<sub>`python -m benchmarks noise`")]
    )
    assert head == ["noise", "rate", "method", "coverage of sets, %", "mean set size", "highest possible level, %"]
    assert rows == [
        ["clean", "–", "ELE", "90.0", "1.2", "95.0"],
        ["labels", "30%", "ELE", "–", "–", "85.0"],
        ["typos", "2%", "ELE", "50.0", "1.2", "95.0"],
    ]
    assert "### Noise: prediction sets" not in report.page(stored(tmp_path / "none", run(task="noise")))


def test_what_psi_is_without_is_held_against_psi_with_all(tmp_path):
    runs = [
        run(name, task="noise", candidates=value)
        for name, value in (("ele", 0.5), ("psi-same-budget", 1.0), ("psi-hard", 0.75))
    ]
    text = report.page(stored(tmp_path, *runs))
    part = text[text.index("### Ablations of psi") :]
    assert "Better in every seed: ELE, hard negatives, candidates: 0.75, 0.25 less" in part
    assert "hard negatives" not in text[text.index("## " + TASKS["noise"].title) : text.index("### Ablations of psi")]


@pytest.mark.parametrize(
    "bounds, value, rival, words",
    [
        ({"low": 0.98}, 0.99, None, "yes"),
        ({"low": 0.98}, 0.98, None, "yes"),
        ({"low": 0.98}, 0.95, None, "**no**, off by 3.0 points"),
        ({"high": 0.9}, 0.95, None, "**no**, off by 5.0 points"),
        ({"low": 0.5, "must_lead": True}, 0.6, 0.5, "yes; ahead of other: 50.0 %"),
        ({"low": 0.5, "must_lead": True}, 0.6, 0.6, "yes; **no**, other: 60.0 %"),
        ({"low": 0.5, "must_lead": True}, 0.6, None, "yes; no other method was run"),
    ],
)
def test_goals_are_held_against_what_was_reached(bounds, value, rival, words):
    runs = [run(gradient={"exact": value}, candidates={"exact": value - 0.01}, sets={"coverage": 0.9})]
    runs += [run("other", only={"exact": rival})] if rival else []
    found = goals.goal_result(
        goals.Goal("smi2mol", None, "exact", **bounds), METRICS["exact"], results.to_table(runs)
    )
    ours = f"{100 * value:.1f} %"
    assert found == {"ELE": f"{ours} (gradient)", "best of ours": f"ELE, gradient: {ours}", "reached": words}


def test_our_other_methods_are_no_rivals_of_ele_and_are_named():
    goal = goals.Goal("smi2mol", None, "exact", low=0.5, must_lead=True)
    runs = [run("ele-graph-head", gradient={"exact": 0.7}), run("psi-hard", only={"exact": 0.9})]
    runs += [run("other", only={"exact": 0.6})]
    found = goals.goal_result(goal, METRICS["exact"], results.to_table(runs))
    assert found["ELE"] == markdown.NOT_RUN and found["best of ours"] == "ELE + graph head, gradient: 70.0 %"
    both = goals.goal_result(goal, METRICS["exact"], results.to_table([*runs, run(gradient={"exact": 0.55})]))
    assert both == found | {"ELE": "55.0 % (gradient)"} and both["reached"] == "yes; ahead of other: 60.0 %"


def test_a_variant_with_the_results_of_ele_is_a_copy():
    runs = [run("ele", 0, gradient=1.0), run("ele-fitted-metric", 0, gradient=1.0), run("other", 0, gradient=1.0)]
    assert set(aggregate.drop_copies(results.to_table(runs))["method"]) == {"ele", "other"}
    runs += [run("ele-fitted-metric", 0, 100, gradient=2.0)]
    assert "ele-fitted-metric" in set(aggregate.drop_copies(results.to_table(runs))["method"])


def test_the_reference_is_the_best_variant_of_ele_with_all_seeds():
    runs = [run("ele", seed, only=2.0) for seed in (0, 1)] + [run("ele-graph-head", 0, only=1.0)]
    assert aggregate.reference_method(results.to_table(runs)) == "ele"  # the other has one seed
    runs += [run("ele-graph-head", 1, only=1.0), run("part-weights", 0, only=0.0), run("part-weights", 1, only=0.0)]
    assert aggregate.reference_method(results.to_table(runs)) == "ele-graph-head"
    tied = [run("ele-fitted-metric", only=2.0), run("ele", only=2.0)]
    assert aggregate.reference_method(results.to_table(tied)) == "ele"
    assert aggregate.reference_method(results.to_table([run("other")])) is None


def test_goals_without_runs_are_missing_and_sets_say_what_they_can():
    goal = goals.Goal("smi2mol", None, "sets.coverage", low=0.88, high=0.92)
    figure = METRICS["sets.coverage"]
    assert goals.goal_result(goal, figure, None)["ELE"] == markdown.NOT_RUN
    assert goals.goal_result(goal, figure, results.to_table([run()]))["ELE"] == markdown.NOT_RUN
    assert (
        goals.goal_result(goal, figure, results.to_table([run("other", sets={"coverage": 0.9})]))["ELE"]
        == markdown.NOT_RUN
    )
    found = goals.goal_result(goal, figure, results.to_table([run(sets={"possible": 0.8})]))
    assert found["reached"] == "**no**, the highest possible level is 80.0 %"
    assert goals.goal_result(goal, figure, results.to_table([run(sets={"coverage": 0.9})])) == {
        "ELE": "90.0 %",
        "best of ours": "ELE: 90.0 %",
        "reached": "yes",
    }
    assert len(grid(goals.goals_table({}))) == 1 + len(goals.GOALS) + 1


@pytest.mark.parametrize(
    "theirs, ele, best, reached",
    [
        (
            {"exact": 0.2, "ms": 100.0},
            "5.0 ms (quick)",
            "ELE, quick: 5.0 ms",
            "yes, 20.0 times less than 100.0 ms; exact 30.0 % against 20.0 %",
        ),
        (
            {"exact": 0.4, "ms": 100.0},
            "50.0 ms (slow)",
            "ELE, slow: 50.0 ms",
            "**no**, 2.0 times less than 100.0 ms; exact 60.0 % against 40.0 %",
        ),
        ({"exact": 0.7, "ms": 100.0}, "–", "–", "**no**, NNBary-FGW has 70.0 % exact"),
    ],
)
def test_the_time_of_a_prediction_is_that_of_a_more_exact_way(theirs, ele, best, reached):
    ours = run(labels=5_000, quick={"exact": 0.3, "ms": 5.0}, slow={"exact": 0.6, "ms": 50.0})
    table = results.to_table([ours, run("nnbary-fgw", labels=5_000, only=theirs)])
    assert goals.speed_result(table) == {"ELE": ele, "best of ours": best, "reached": reached}
    apart = results.to_table([ours, run("nnbary-fgw", seed=1, labels=5_000, only=theirs)])  # not of one run
    for nothing in (None, apart, results.to_table([ours])):
        assert goals.speed_result(nothing)["ELE"] == markdown.NOT_RUN


def test_pictures_are_drawn_of_what_there_is(tmp_path):
    runs = [
        run(method, labels=size, only={"exact": 0.5, "edit_distance": 1.0, "ms": ms})
        for size in (100, 5_000) for method, ms in (("ele", 1.0), ("other", 20.0))
    ]  # fmt: skip
    assert [one.file for one in report_figures.figures_for_task("smi2mol", results.to_table(runs))] == [
        "smi2mol-labels.png",
        "smi2mol-budget.png",
    ]
    assert report_figures.figures_for_task("smi2mol", results.to_table([run()])) == []
    for name in ("coloring-budget.png", "mine.png"):  # of runs that are no longer there; of somebody else
        (tmp_path / name).write_bytes(b"")
    written = report.write(stored(tmp_path, *runs), readme=None)
    assert (tmp_path / "mine.png").exists() and not (tmp_path / "coloring-budget.png").exists()
    assert {path.name for path in written} == {"README.md", "smi2mol-labels.png", "smi2mol-budget.png"}
    for path in written[1:]:
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size < 100_000
        assert f"]({path.name})" in written[0].read_text(encoding="utf-8")
    assert written[0].read_text(encoding="utf-8") == report.page(tmp_path)


def test_a_method_of_one_size_is_no_line_of_label_efficiency(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "benchmarks.figures.label_efficiency", lambda table, *_, **__: drawn.append(set(table["method"]))
    )
    runs = [run("ele", labels=None), run("ele", labels=100), run("sequence", seed=0, labels=100)]
    runs += [run("sequence", seed=1, labels=100)]
    report_figures.figures_for_task("smi2mol", results.to_table(runs))[0].draw()
    assert drawn == [{"ele"}]
    assert "smi2mol-labels.png" not in [
        one.file for one in report_figures.figures_for_task("smi2mol", results.to_table(runs[1:]))
    ]


def test_folds_are_one_size(tmp_path):
    runs = [run(method, seed, only={"mrr": 0.5, "hits@1": 0.4}) for method in ("ele", "other") for seed in (0, 1)]
    for one in runs:
        one["data"]["train_pairs"] = 80 + 4 * one["seed"]
    drawn = [one.file for one in report_figures.figures_for_task("smi2mol", results.to_table(runs))]
    assert "smi2mol-labels.png" not in drawn  # no other size to draw a line to
    assert report_figures.one_decoder_each(results.to_table(runs), METRICS["mrr"])["pairs"].unique().tolist() == [82]
    assert "### All 82 pairs" in report.page(stored(tmp_path, *runs))


def test_a_picture_shows_the_way_that_was_run_most_widely():
    runs = [run(labels=100, wide=2.0, narrow=1.0), run(labels=300, wide=2.0), run("other", labels=300, only=1.0)]
    shown = report_figures.one_decoder_each(results.to_table(runs), METRICS["edit_distance"])
    assert shown["decoder"].tolist() == ["", "wide", "wide"] and shown["name"].tolist()[0] == "other"
    assert "ELE: wide" in report_figures.decoder_note(shown) and "other" not in report_figures.decoder_note(shown)
    assert report_figures.largest_group(results.to_table(runs))["labels"].unique().tolist() == [300]


def test_what_the_readme_quotes_is_replaced_and_nothing_else():
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.with_summary(text, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    assert report.with_summary(report.with_summary(text, "x"), "new") == report.with_summary(text, "new")
    for broken in ("nothing", f"{report.END} {report.BEGIN}", text + text):
        with pytest.raises(ValueError, match="once each"):
            report.with_summary(broken, "new")


def test_the_page_that_comes_along_is_what_the_lines_say_now():
    """`python -m benchmarks report` makes it so."""
    assert (results.RESULTS / report.PAGE).read_text(encoding="utf-8") == report.page()
    readme = report.README.read_text(encoding="utf-8")
    assert readme == report.with_summary(readme, report.summary_table())


def test_the_table_of_the_readme_names_the_methods(tmp_path):
    runs = [run(method, labels=5_000, gradient=value) for method, value in (("ele", 2.0), ("ele-graph-head", 1.0))]
    runs += [run("other", labels=5_000, only=3.0), run("worse", labels=5_000, only=4.0)]
    runs += [run("part-weights", task="text2mol", only={"hits@1": 0.5, "mrr": 0.6})]
    head, first, second = grid(report.summary_table(stored(tmp_path, *runs)))
    assert head == ["task", "metric", "ELE", "best variant of ELE", "best other method", "command"]
    assert first[1:5] == ["edit distance ↓", "2.00 (gradient)", "ELE + graph head, gradient: 1.00", "other: 3.00"]
    assert second[1:5] == ["Hits@1 ↑", markdown.NOT_RUN, "–", "Learned part weights: 50.0 %"]
    assert second[5] == "`python -m benchmarks text2mol`"


def test_figures_of_the_literature_have_a_source():
    known = json.loads((results.RESULTS / "literature.json").read_text(encoding="utf-8"))
    for one in known:
        assert (
            set(one["figures"]) <= set(METRICS)
            and one["source"].startswith("https://")
            and "their split" in one["split"]
        )
        assert f"[source]({one['source']})" in markdown.literature(one["task"])
    assert markdown.literature("no such task") == ""


# -- the runner ----------------------------------------------------------------------------------------------------
def test_groups_of_tasks_are_those_that_the_tasks_say():
    assert set(DECODING_TASKS) == {name for name, task in TASKS.items() if task.decode}
    assert set(RETRIEVAL_TASKS) == {name for name, task in TASKS.items() if task.retrieval}
    assert {*MOLECULE_TASKS, *SPAN_TASKS} == {name for name, task in TASKS.items() if task.input_kind != "image"}
    assert not {*MOLECULE_TASKS} & {*SPAN_TASKS} and {*SMALL_TASKS, *TREE_TASKS} == {*DECODING_TASKS}
    for method in METHODS.values():
        assert set(method.tasks or ()) <= set(TASKS)


def test_a_plan_has_each_run_once():
    task = TASKS["smi2mol"]
    plan = runner.plan_runs("smi2mol")
    fitting = [m for m in METHODS.values() if m.tasks is None or "smi2mol" in m.tasks]
    assert len({results.run_key(one) for one in plan}) == len(plan)
    asked = {size: {one["method"] for one in plan if one["labels"] == size} for size in task.sizes}
    assert asked.pop(task.full_size) == {m.name for m in fitting}
    some = {m.name for m in fitting} & set(SELECTED_METHODS)
    assert len(some) < len(fitting) and all(methods == some for methods in asked.values())
    assert len(plan) == task.seeds * len(fitting) + (1 + task.seeds * (len(asked) - 1)) * len(some)  # all pairs: once
    few = runner.plan_runs("smi2mol", methods=["ele"], labels=[100], seeds=2)
    assert [(one["seed"], one["noise"]) for one in few] == [(0, None), (1, None)]
    spoilt = runner.plan_runs("noise")
    those = {one["method"] for one in spoilt if one["noise"]}
    assert those == {one["method"] for one in spoilt} & set(SELECTED_METHODS)
    assert len({str(one["noise"]) for one in spoilt}) == 1 + len(TASKS["noise"].noise)
    for wrong in ({"task": "x"}, {"task": "smi2mol", "methods": ["x"]}):
        with pytest.raises(ValueError, match="'x'"):
            runner.plan_runs(**wrong)


def test_runs_that_only_the_exam_tells_apart_are_trained_once_and_all_others_apart():
    plan = runner.plan_runs("noise", methods=["ele"])
    folders = {str(one["noise"]): runner.checkpoint_folder(one) for one in plan}
    assert folders["['typos', 0.1]"] == folders["['typos', 0.02]"] == folders["None"]
    assert len(set(folders.values())) == len(plan) - 2


class Copy(Predictor):
    """Answers with the first graph it learned, whatever is asked."""

    def __init__(self, graphs):
        self.graphs = graphs

    def predict(self, inputs):
        return self.graphs[torch.zeros(len(inputs), dtype=torch.long)]

    def score_gallery(self, inputs, gallery):
        return -torch.arange(len(gallery)).expand(len(inputs), -1).double()


class Quick(Method):
    name, title, description = "quick", "Quick", "does nothing"

    def fit(self, problem, *, seed, work, progress=True):
        return Fitted({"a": Copy(problem.train.graphs), "b": Copy(problem.train.graphs)}, {"seed": seed}, 7)


class TinyTask:
    """A task with four graphs."""

    def load_data(self, *, labels, seed, noise, progress):
        graphs = random_vertices(GraphVocabulary(("a", "b"), ("x",), 3), 4, torch.Generator().manual_seed(seed))
        split = Split(["1", "2", "3", "4"], graphs, pd.DataFrame(index=range(4)))
        problem = TrainingData("tiny", "text", split, split, graphs, Budget(1))
        return problem, TestData(split, split, graphs, torch.arange(4)), {"digest": "0", "train_pairs": 4}


@pytest.fixture
def tiny(monkeypatch):
    """The registries with one more task and method, and runs in this process instead of one of their own."""
    monkeypatch.setitem(METHODS, "quick", Quick())
    monkeypatch.setitem(TASKS, "tiny", TinyTask())
    monkeypatch.setattr(runner.child_process, "call", lambda function, *args: function(*args))
    return [{"task": "tiny", "method": "quick", "labels": 4, "seed": seed, "noise": None} for seed in range(3)]


def test_no_run_is_done_twice_and_a_run_that_was_cut_off_is_done_again(tiny, tmp_path, monkeypatch):
    told = {"folder": tmp_path / "results", "work": tmp_path / "work", "progress": False}
    path = results.results_path("tiny", told["folder"])
    assert runner.run_all(tiny[:2], **told) == 2
    before = path.read_bytes()
    assert runner.run_all(tiny[:2], **told) == 0 and path.read_bytes() == before
    path.write_bytes(before[:-20])  # the power went off while the second was written
    assert runner.run_all(tiny, **told) == 2
    assert [one["seed"] for one in results.read_runs(path)] == [0, 1, 2]

    def refuse(*given, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(Quick, "fit", refuse)
    with pytest.raises(KeyboardInterrupt):
        runner.run_all([*tiny, tiny[0] | {"seed": 9}], **told)
    assert [one["seed"] for one in results.read_runs(path)] == [0, 1, 2]


def test_a_run_tells_all_that_the_report_needs(tiny, tmp_path):
    made = json.loads(json.dumps(runner.execute_run(tiny[0], tmp_path, 1, False), allow_nan=False))
    assert {name: made[name] for name in tiny[0]} == tiny[0] and made["title"] == "Quick"
    figures = made["results"]["a"]
    assert set(made["results"]) == {"a", "b"} and figures["count"] == 4
    assert figures["exact"] >= 0.25 and figures["among"] == 4  # the first of four graphs is itself
    assert figures["hits@1"] == 0.25 and figures["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, abs=1e-5)
    assert made["spent"]["parameters"] == 7 and made["spent"]["train_seconds"] >= 0 and made["spent"]["memory_mb"] > 1
    table = results.to_table([made])
    assert table["task"].tolist() == ["tiny", "tiny"] and set(aggregate.QUALITY_COLUMNS) & set(table)


def test_losses_tell_what_errs(tiny, tmp_path, monkeypatch):
    """A predictor whose loss is the number of nodes likes smaller graphs than the truth better."""
    monkeypatch.setattr(Predictor, "losses", lambda self, inputs, graphs: (graphs.labels()[0] > 0).sum(1).float())
    problem, test_data, _ = TASKS["tiny"].load_data(labels=4, seed=1, noise=None, progress=False)
    predictor = METHODS["quick"].fit(problem, seed=0, work=tmp_path).predictors["a"]
    figures, found, truth = (
        runner.evaluate_predictor(predictor, test_data),
        predictor.predict(test_data.test.inputs),
        test_data.test.graphs,
    )
    smaller = found.sizes < truth.sizes
    assert figures["fits_better_than_truth"] == pytest.approx(smaller.float().mean().item(), abs=1e-4)
    assert figures["loss_of_truth"] == pytest.approx(truth.sizes.float().mean().item(), abs=1e-4)
    assert 0 < smaller.sum() < 4


def test_it_is_said_what_errs():
    def told(**figures):
        return markdown.error_analysis(results.to_table([run(rounded_and_polish=dict(exact=0.6, **figures))]))

    text = told(fits_better_than_truth=0.3)
    assert text.startswith("ELE predicts 40.0 %") and "30.0 % of all cases" in text and "model error" in text
    assert (
        told()
        == ""
        == markdown.error_analysis(results.to_table([run(only={"exact": 1.0, "fits_better_than_truth": 0.0})]))
    )


def test_time_adds_up_over_sittings_and_the_most_memory_stays(tmp_path):
    path = tmp_path / "spent.json"
    path.write_text('{"seconds": 5.0, "memory_mb": 1e9}')
    with pytest.raises(KeyboardInterrupt), runner.track_cost(path):
        raise KeyboardInterrupt
    assert json.loads(path.read_text())["seconds"] >= 5.0
    with runner.track_cost(path) as total:
        sum(range(200_000))
    spent = json.loads(path.read_text())["seconds"]
    assert spent == total["seconds"] > 5.0 and total["memory_mb"] == 1e9
    with runner.track_cost(path) as total:  # it was done, and is only taken up again
        sum(range(200_000))
    assert json.loads(path.read_text())["seconds"] == total["seconds"] == spent


def test_a_run_that_is_ended_by_kill_keeps_what_it_has_spent(tmp_path):
    with interrupting_signals(), pytest.raises(KeyboardInterrupt), runner.track_cost(tmp_path / "spent.json"):  # noqa: PT012
        sum(range(200_000))
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    kept = json.loads((tmp_path / "spent.json").read_text())
    assert kept["seconds"] > 0 and kept["memory_mb"] > 0 and not kept["done"]


def test_time_that_is_not_known_is_left_open():
    unknown = run()
    unknown["spent"]["train_seconds"] = None
    assert np.isnan(results.to_table([unknown, run(seed=1)])["train_seconds"][0])


# -- noise ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def split(vocabulary, generator):
    graphs = random_vertices(vocabulary, 60, generator)
    return Split([f"input {i}" for i in range(60)], graphs, pd.DataFrame(index=range(60)))


@pytest.mark.parametrize("kind", [name for name in noise.NOISE_KINDS if name != "typos"])
def test_a_rate_of_nothing_changes_nothing(split, generator, kind):
    spoilt = noise.NOISE_KINDS[kind](split, 0.0, generator)
    assert equal(spoilt.graphs, split.graphs) and spoilt.inputs == split.inputs


@pytest.mark.parametrize("kind", [name for name in noise.NOISE_KINDS if name != "typos"])
def test_noise_is_what_its_seed_makes_it(split, kind):
    one, same, other = (
        noise.NOISE_KINDS[kind](split, 0.3, torch.Generator().manual_seed(s)).graphs for s in (0, 0, 1)
    )
    assert equal(one, same) and not equal(one, other)


def test_all_labels_spoilt_leaves_no_graph_at_its_input(split, generator):
    inputs, paths = [str(i) for i in range(10)], from_networkx([nx.path_graph(n) for n in range(1, 11)])
    for rate, moved in ((1.0, 10), (0.5, 5), (0.2, 2), (0.05, 0)):
        order = noise.labels(Split(inputs, paths, None), rate, generator).graphs.sizes - 1
        assert sorted(order.tolist()) == list(range(10))  # they go round among themselves
        assert (order != torch.arange(10)).sum() == moved
    spoilt = noise.labels(split, 1.0, generator)
    assert spoilt.inputs == split.inputs and not equal(spoilt.graphs, split.graphs)


def test_outputs_are_spoilt_by_an_edit_or_two_at_about_the_rate(split, generator):
    from elekit.graphs.edit_distance import edit_distance

    few, all_of_them = (noise.outputs(split, rate, generator).graphs for rate in (0.3, 1.0))
    assert edit_distance(all_of_them, split.graphs).distance.max() <= 8  # of two edits, each with the edges of a node
    changed = (edit_distance(few, split.graphs).distance > 0).double().mean().item()
    assert 0.1 < changed < 0.5


def test_missing_takes_away_and_never_all(split, generator):
    whole = split.graphs
    for rate in (0.3, 1.0):
        spoilt = noise.missing(split, rate, generator).graphs.check()
        assert (
            (spoilt.sizes >= 1).all() and (spoilt.sizes <= whole.sizes).all() and (spoilt.sizes < whole.sizes).any()
        )
        assert (spoilt.pair_offsets.diff() <= whole.pair_offsets.diff()).all()
        assert (spoilt.node_labels.bincount() <= whole.node_labels.bincount()).all()
    assert not noise.missing(split, 1.0, generator).graphs.labels()[1].any()


def test_typos_change_about_the_rate():
    text = ["the molecule is a cyclopentane carrying a hydroxy substituent at position one"] * 40
    assert noise.typos(text, 0.0, torch.Generator().manual_seed(0)) == text
    for rate in (0.05, 0.3):
        spoilt = noise.typos(text, rate, torch.Generator().manual_seed(0))
        again = noise.typos(text, rate, torch.Generator().manual_seed(0))
        assert spoilt == again and len(set(spoilt)) > 20
        edits = [levenshtein(a, b) for a, b in zip(text, spoilt)]
        assert 0.6 * rate < sum(edits) / sum(map(len, text)) < 1.4 * rate  # a swap is two, a letter may be the same
    assert noise.typos(["", "a"], 1.0, torch.Generator().manual_seed(0))[0] == ""


def levenshtein(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        left, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            left, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, left + (one != other))
    return row[-1]


def test_it_is_said_how_many_answers_stand_in_the_inputs():
    runs = [{"data": {"inputs_canonical": 0.988}}, {"data": {}}]
    assert markdown.canonical_inputs(runs).startswith("98.8 % of the test inputs")
    assert markdown.canonical_inputs([{"data": {}}]) == ""
