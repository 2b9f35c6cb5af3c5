"""The loss card: its statements are what was measured, planted properties are found, and no label becomes markup."""

import html as markup
import itertools
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cards
import numpy as np
import pandas as pd
import pytest
import torch
from cards import HOSTILE, artifact, molecules
from conftest import random_vertices

import elekit as ele
from elekit import card, correction
from elekit.card import context, measure, phrases, predictions
from elekit.card.changes import changes
from elekit.card.glossary import TERMS, anchor_of, linked
from elekit.card.page import render, script_json
from elekit.card.results import Results
from elekit.card.statement import Evidence, Stability, Statement
from elekit.card.statements import statements
from elekit.cli import main
from elekit.datasets.splits import Dataset, Split
from elekit.draw.scenes import palette, scene
from elekit.draw.svg import bar_svg, chart_svg, graph_svg
from elekit.evaluation.intervals import mean_interval, of_replication, wilson
from elekit.graphs import features
from elekit.graphs.edits import all_edits
from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.smiles import to_smiles
from elekit.inspect.edit_costs import sample_edits
from elekit.model import artifact as artifacts
from elekit.training import EmbeddingTraining
from elekit.training.loop import TrainerConfig
from elekit.widgets.page import plain_values


@pytest.fixture
def made():
    return cards.made()


@pytest.fixture
def hostile():
    return cards.hostile()


@pytest.fixture
def quick():
    """Few of everything that is asked; the patches."""
    with cards.few() as patch:
        yield patch


def text_of(page: str) -> str:
    return markup.unescape(re.sub(r"<[^>]*>", "", page))


def facts_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="facts">(.*?)</script>', page, re.DOTALL)[1])


def statement_of(results: Results, key: str) -> Statement:
    return {s.key: s for s in statements(results)}[key]


# -- what it says is what was results ---------------------------------------------------------------------------
def figures_in(value):
    """Every number in nested plain values."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for inner in value for number in figures_in(inner)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def spellings(number: float) -> set[str]:
    """How a results number may be written in a sentence."""
    ways = (
        {f"{number:.{d}f}" for d in range(4)}
        | {f"{number:+.{d}f}" for d in range(4)}
        | {f"{number:,.0f}", f"{number:.2g}"}
    )
    ways |= {f"{100 * number:.{d}f}" for d in range(2)}
    ways = {way.replace(",", "") for way in ways}
    return {way.lstrip("+-") for way in ways} | {f"{abs(number):.{d}f}" for d in range(4)}


def known_to(statement: dict, results: dict) -> tuple[set[str], str]:
    """Spellings of the numbers that a statement's evidence holds (its row, or all of the table), and texts in it."""
    evidence = statement["evidence"]
    columns = results["tables"].get(evidence["table"], {})
    row = evidence["row"]
    held = list(columns.values()) if row is None else [values[row] for values in columns.values()]
    counts = [len(values) for values in columns.values()] + [2, len(columns)]
    if row is not None:
        counts += [values.count(values[row]) for values in columns.values()]  # rows that are alike
    numbers = figures_in(held) + figures_in([results["facts"], statement["facts"]]) + counts
    if columns and "scale" in results["facts"]:
        numbers += [number / results["facts"]["scale"]["typical"] for number in figures_in(held)]
    return set().union({"4", "95", "99"}, *map(spellings, numbers)), json.dumps(
        [held, statement["key"], results["facts"]["trained"]], ensure_ascii=False
    )


@pytest.mark.parametrize("which", ["made", "hostile"])
def test_every_number_of_a_statement_is_in_its_evidence(which, request):
    facts = facts_of(request.getfixturevalue(which).html)
    labels = [label for kind in ("node_labels", "edge_labels") for label in facts["measured"]["facts"]["loss"][kind]]
    checked = 0
    for statement in facts["statements"]:
        if statement["section"] in ("stability", "quality") and statement["evidence"]["row"] is None:
            continue  # they count rows by what these say
        written, texts = known_to(statement, facts["measured"])
        says = statement["text"]
        for label in labels:
            says = says.replace(label, " ")
        for token in re.findall(r"(?<![\w.#=\-)(])\d[\d,]*(?:\.\d+)?(?![\w#=)(])", says):
            token = token.rstrip(",").replace(",", "")
            assert token in written or token in texts, (statement["key"], token, says)
            checked += 1
    assert checked > 60


def test_the_page_says_the_statements_and_nothing_is_lost(made):
    facts, text = facts_of(made.html), text_of(made.html)
    assert [s["key"] for s in facts["statements"]] == [s.key for s in made.statements]
    assert len({s.key for s in made.statements}) == len(made.statements) > 50
    for statement in made.statements:
        assert statement.text in text, statement.key
    back = Results.from_json(facts["measured"])
    again = statements(back)
    assert [(s.key, s.text, s.stability) for s in again] == [(s.key, s.text, s.stability) for s in made.statements]


def test_every_link_leads_somewhere_and_ids_are_unique(made, hostile):
    for one in (made, hostile):
        ids = re.findall(r' id="([^"]*)"', one.html)
        assert len(set(ids)) == len(ids)
        links = set(re.findall(r' href="#([^"]*)"', one.html))
        assert links and links <= set(ids), links - set(ids)
        assert set(re.findall(r'(?:href|src)="([^"#][^"]*)"', one.html.replace(HOSTILE, ""))) == set()


def test_headings_are_in_order_and_pictures_have_words(made):
    levels = [int(level) for level in re.findall(r"<h([1-6])", made.html.split("<script", 1)[0])]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for svg in re.findall(r"<svg[^>]*>", made.html.split('<script type="application/json"', 1)[0]):
        assert 'aria-hidden="true"' in svg or re.search(r'role="img" aria-label="[^"]+"', svg), svg


def test_stability_is_marked_where_it_was_asked(made, hostile):
    marks = {s.key: s.stability for s in made.statements}
    assert marks["blind spots"].of == 2 and marks["blind spots"].holds in (1, 2)
    dear = [s for s in made.statements if s.section == "dear" and math.isfinite(s.low)]
    asked = [s.stability for s in dear if s.stability.of]
    assert asked and all(one.of == 2 and one.holds >= 1 for one in asked)
    assert all(re.match(r"is among the \d+ most expensive|costs more than ", one.claim) for one in asked)
    table = made.results.tables["stability"]
    assert table["this loss"].all()  # the loss bears out its own statements
    assert {s.stability for s in hostile.statements if s.section == "dear"} == {Stability(repeats=False)}
    assert "no repeats" in hostile.results.missing["stability"]


def test_what_could_not_be_measured_is_listed(made):
    assert "no predictor" in made.results.missing["inputs"]
    nothing = card.make(artifacts.Artifact("alone", artifact().psi))
    assert set(measure.STEPS) == set(nothing.results.missing)
    text = text_of(nothing.html)
    assert all(reason in text for reason in nothing.results.missing.values()) and "Sign-off" in text
    assert {s.key for s in nothing.statements} >= {"purpose", "rules", "trained"}


# -- hostile labels ----------------------------------------------------------------------------------------------
def test_a_card_without_time_lists_what_is_missing():
    made = card.make(artifact(), molecules(), repeats={}, budget=1e-6)
    assert len(made.results.missing) > 10 and set(made.results.missing.values()) == {measure.NO_TIME}
    assert "Health: " in made.html and measure.NO_TIME in made.html


def test_no_label_becomes_markup(hostile):
    before, _after = hostile.html.split('<script type="application/json"', 1)
    assert "<script>alert" not in hostile.html and "<img" not in hostile.html and "onerror=alert(1)>" not in before
    assert HOSTILE in text_of(before.split("</style>")[1])
    assert hostile.html.lower().count("</script>") == 1 + hostile.html.count("<script ") - 1
    for block in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', hostile.html, re.DOTALL):
        assert not set("<>&\u2028") & set(block)
        json.loads(block)
    assert facts_of(hostile.html)["measured"]["facts"]["loss"]["name"] == f"loss {HOSTILE}"


def test_json_cannot_end_its_script():
    tricky = {"a": "</script><!-- & \u2028"}
    assert not set("<>&\u2028") & set(script_json(tricky)) and json.loads(script_json(tricky)) == tricky


def test_drawings_escape_and_hold_everything(hostile):
    names = GraphVocabulary((HOSTILE, "b&"), ("<e>", "f"), 3)
    graph = random_vertices(names, 1, torch.Generator().manual_seed(3), density=1.0)
    drawn = graph_svg(scene(graph), palette(names), 'a "word" <b>', changed=([0], [(0, 1)]))
    assert "<b>" not in drawn and "<scr" not in drawn and "<e>" not in drawn
    assert drawn.count("<title>") == 1 and 'aria-label="a &quot;word&quot; &lt;b&gt;"' in drawn
    there = int((graph.labels()[0] > 0).sum())
    assert drawn.count('stroke="#000000" stroke-width="1.2"') == there
    chart = chart_svg(
        [("<i>", "#000000", [1, 10, 100], [0, 1, 2])], "words <b>", across="<x>", up="y", logarithmic=True
    )
    assert "<i>" not in chart and "<b>" not in chart and chart.count("<circle") == 3
    assert bar_svg(math.nan, math.nan, math.nan, 0.0).count("<rect") == 1


# -- planted properties ------------------------------------------------------------------------------------------
def fabricated(**tables) -> Results:
    """Facts that nobody results."""
    loss = {"name": "planted", "molecular": False, "node_labels": ["a", "b"], "edge_labels": ["x"], "max_nodes": 4,
            "surrogates": [], "surrogate": None, "versions": {}, "files": {}, "digest": None, "parameters": 1, "dimensions": 2,
            "repeats": []}  # fmt: skip
    made = {"day": "2026-01-01", "elekit": "0", "seed": 0, "seconds": {}, "cores": 1, "machine": "m", "threads": 1,
            "python": "3", "torch": "2"}  # fmt: skip
    trained = {"seed": 0, "command": None, "by": {}, "correction": None}
    facts = {"loss": loss, "made": made, "trained": trained, "data": {"trained_on": {}, "now": {}},
             "scale": {"typical": 0.5, "far": 1.0, "graphs": 10, "edits": 20}, "findings": {"graphs": 10, "held_out": True},
             "blind_spots": {"searched": 10, "starts": 24, "pairs": 0}, "claims": {}}  # fmt: skip
    pictures = {"palette": {"nodes": ["a", "b"], "colors": ["#999999", "#0072B2"], "edges": ["x"], "strokes": None}}
    return Results(facts, {name: pd.DataFrame(rows) for name, rows in tables.items()}, pictures)


def priced(*medians):
    kinds = ["remove leaf", "cut an edge", "open a ring", "relabel a to b", "relabel b to a"]
    rows = [{"kind": kind, "count": 9, "graphs": 9, "median": m, "mean": m, "q05": m / 2, "q95": 2 * m, "low": 0.9 * m, "high": 1.1 * m,
             "by_size": math.nan, "by_ring": 0.0, "by_degree": 0.0, "mark": ""} for kind, m in zip(kinds, medians)]  # fmt: skip
    return sorted(rows, key=lambda row: -row["median"])


def test_statements_follow_the_facts():
    rows = priced(0.5, 0.4, 2.0, 0.1, 0.3)
    results = fabricated(prices=rows)
    first = statement_of(results, "price of open a ring")
    assert (first.section, first.value, first.evidence) == ("dear", 2.0, Evidence("prices", 0))
    assert first.facts == {"typical_changes": 4.0, "depends_on": None}
    assert statement_of(results, "price of relabel a to b").text.startswith("Replacing a by b costs 0.10")
    other = statement_of(fabricated(prices=priced(0.5, 0.4, 0.01, 0.1, 0.3)), "price of open a ring")
    assert other.section == "cheap" and other.text != first.text
    explained = statement_of(fabricated(prices=[{**rows[0], "by_size": 0.6}]), "price of open a ring")
    assert explained.facts["depends_on"] == "by_size" and "60 %" in explained.text


def test_rare_kinds_are_not_ranked():
    rows = [{"low": math.nan if n % 3 else 1.0} for n in range(40)]
    dear, cheap = phrases.ends_of(rows)
    assert dear == [0, 3, 6, 9, 12] and cheap == [27, 30, 33, 36, 39]
    assert phrases.ends_of(rows[:7]) == ([0, 3], [6]) and phrases.ends_of([]) == ([], [])
    assert phrases.ends_of([{"low": math.nan}] * 3) == ([0, 1], [2])


def test_a_defect_is_told_in_the_summary_and_none_is_told_too():
    clean = fabricated(findings=pd.DataFrame(columns=["name", "severity", "strength", "description"]))
    assert statement_of(clean, "defects").value == 0
    rows = [{"name": "collapsed", "severity": "defect", "strength": 1.0, "description": "The loss has collapsed."}]
    found = fabricated(findings=rows)
    assert statement_of(found, "defects").value == 1 and statement_of(found, "finding: collapsed").defect
    shown = render(found, statements(found))
    first = text_of(shown.split("<nav", 1)[0])
    assert "1 defect in 10 checks" in first and "Collapsed." in first and "The loss has collapsed" in text_of(shown)
    assert "No defect in 10 checks" in text_of(render(clean, statements(clean)))


@pytest.mark.parametrize("which", ["made", "hostile", "shipped"])
def test_the_first_screen_is_short_and_has_what_decides(which, request):
    page = card.SHIPPED.read_text(encoding="utf-8") if which == "shipped" else request.getfixturevalue(which).html
    first = page[page.index('<section class="minute">') : page.index('<nav aria-label="contents">')]
    assert len(text_of(re.sub("</d[td]>", " ", first)).split()) <= 150
    assert re.findall("<dt>(.*?)</dt>", first) == ["For", "How often right", "Promises", "Known faults", "Scale"]


def test_equal_graphs_that_lie_apart_are_told_with_the_yardstick():
    row = {"why": "node order", "graphs": 7, "median": 0.2, "low": 0.1, "high": 0.3, "most": 0.4}
    assert "should cost 0" in statement_of(fabricated(equals=[row]), "equal: node order").text
    fine = statement_of(fabricated(equals=[{**row, "most": 0.005}]), "equal: node order")
    assert "costs nothing, as it should (7 graphs tried)" in fine.text and fine.value == 0


def test_marks_say_in_how_many_trainings():
    results = fabricated(prices=priced(0.5, 0.4, 2.0, 0.1, 0.3))
    key = "price of open a ring"
    assert statement_of(results, key).stability == Stability(repeats=False)
    results.tables["stability"] = pd.DataFrame({"claim": [key], "holds": [3], "of": [5], "stable": [False]})
    results.facts["claims"] = {key: "is dear"}
    found = statement_of(results, key).stability
    assert (found, found.level) == (Stability(3, 5, "is dear"), "some")
    assert 'class="stable some"' in render(results, statements(results))
    assert statement_of(results, "price of cut an edge").stability == Stability()


def test_worst_slices_come_first_and_small_ones_are_not_judged():
    truth = molecules().test.graphs
    rings = features.cycle_rank(truth).numpy()
    table = pd.DataFrame({"exact": rings == 0, "edit_distance": 1.0 * (rings > 0), "proven": True, "valid": True})
    found = predictions.slices(table, truth, True, 0)
    assert found["few"].is_monotonic_increasing and found[~found["few"]]["exact"].is_monotonic_increasing
    by_name = found.set_index("slice")
    assert by_name.loc["with 0 rings", "exact"] == 1.0 and by_name.loc["with 1 ring", "exact"] == 0.0
    assert found["few"].tolist() == (found["count"] < predictions.MIN_GRAPHS).tolist()
    assert (found["low"] <= found["exact"]).all() and (found["exact"] <= found["high"]).all()


def test_a_promise_about_sets_is_held_against_what_was_measured():
    def row(name, coverage, pairs=400):
        return {"slice": name, "by": "all", "pairs": pairs, "coverage": coverage, "low": coverage - 0.03, "high": coverage + 0.02,
                "mean_size": 2.5, "median_size": 2.0, "empty": 0.05, "large": 0.25, "few": pairs < 20}  # fmt: skip

    facts = {"level": 0.9, "radius": 0.1, "pairs": 300, "unreachable": 0, "expected": [0.85, 0.95], "most": 20}
    for coverage, met in ((0.80, "Not met"), (0.88, "Met"), (0.97, "Exceeded")):
        rows = [row("all", coverage), row("with a", 0.7), row("with b", 0.6), row("of 1 node", 0.0, 3)]
        results = fabricated(coverage=rows)
        results.facts["sets"] = facts
        found = statement_of(results, "sets hold the truth")
        assert found.facts == {"met": met} and found.value == coverage
        assert {"90 %", f"{100 * coverage:.1f} %", "85.0 %", "95.0 %"} <= set(re.findall(r"[\d.]+ %", found.text))
        worst = statement_of(results, "sets hold the truth least")  # of 3 graphs of 1 node nothing is stated
        assert worst.evidence == Evidence("coverage", 2) and "with b" in worst.text and worst.value == 0.6
        size = statement_of(results, "size of sets")
        assert size.value == 2.5 and {"2.50", "25 %", "5.0 %", "20"} <= set(re.findall(r"[\d.]*\d(?: %)?", size.text))
        assert 'id="coverage-2"' in render(results, statements(results))
    assert not [s for s in statements(fabricated()) if "sets" in s.key]


def test_the_quickest_way_that_is_as_good_is_told():
    rows = [{"way": name, "gradient": False, "count": 60, "exact": e, "low": e - 0.1, "high": e + 0.1, "milliseconds": ms,
             "starts": 0, "iterations": 0, "loss": 0.1} for name, e, ms in (("bad", 0.2, 1), ("quick", 0.85, 5), ("slow", 0.9, 50))]  # fmt: skip
    results = fabricated(costs=rows)
    results.facts["costs"] = {"from": "the text", "count": 60, "threads": 1}
    told = statement_of(results, "milliseconds")
    assert (
        "quick" in told.text
        and told.value == 5
        and "takes 50 ms" in statement_of(results, "milliseconds of the best").text
    )


def test_rules_of_a_corrected_loss_are_told_as_its_report_tells_them(quick):
    data, rules = (
        molecules(),
        (correction.NearlyFree("relabel C to N"), correction.AtLeast("close a ring *", times=2)),
    )
    loop = TrainerConfig(steps=2, learning_rate=1e-3, validate_every=2)
    config = correction.CorrectionTraining(training=EmbeddingTraining(loop=loop, batch_size=16))
    psi = artifact().psi
    found = correction.correct(psi, data.train.graphs, rules, validation=data.test.graphs, config=config, decoded=4)
    corrected = artifacts.Artifact("corrected", found.psi, about={"correction": {"of": "mine", **found.about}})
    quick.setattr(measure, "STEPS", {})
    told = card.make(corrected, data)
    mine, text = [s for s in told.statements if s.section == "rules"], text_of(told.html)
    assert [s.text for s in mine[1:]] == found.report.sentences() and all(
        line in text for line in found.report.sentences()
    )
    held = sum(found.report.rules["after_says"] == "holds")
    assert mine[0].text.startswith("The loss was corrected by 2 rules.") and f"{held} of 2 hold" in mine[0].text
    assert mine[1].value == pytest.approx(found.report.rules["after"][0], rel=1e-4)


def test_rules_are_told_with_whether_they_hold():
    assert "No rules were given" in statement_of(fabricated(), "rules").text
    results = fabricated()
    row = {"rule": "C to N nearly free", "sense": "at most", "goal": 0.4, "before": 0.9, "after": 0.1, "after_low": 0.05,
           "after_high": 0.2, "after_share": 0.7, "after_says": "holds", "cases": 30, "unseen": []}  # fmt: skip
    kind = {"kind": "cut an edge", "named": False, "undoes": False, "before": 1.0, "after": 1.1, "shift": 1.1}
    cost = {"measure": "price of a typical edit", "unit": "loss", "before": 0.25, "after": 0.26, "change": 0.01, "low": None,
            "high": None, "cases": 9}  # fmt: skip
    report = {"rules": [row], "judgements": [], "costs": [cost], "kinds": [kind]}
    report["says"] = [*correction.Report.from_json({**report, "says": []}).sentences(), "A note."]
    results.facts["trained"]["correction"] = {"rules": [{}], "judgements": {"count": 0}, "report": report}
    assert "1 of 1 hold" in statement_of(results, "rules").text
    held, typical = statement_of(results, "rule: C to N nearly free"), f"cost of the rules: {cost['measure']}"
    assert (held.value, held.low, held.high, held.facts) == (0.1, 0.05, 0.2, {"holds": "holds"})
    assert {"0.90", "0.10", "70 %"} <= set(re.findall(r"[\d.]+(?: %)?", held.text))
    assert statement_of(results, typical).value == 0.26 and statement_of(results, "correction: 1").text == "A note."


# -- words, intervals, facts -------------------------------------------------------------------------------------
def test_every_kind_of_edit_has_words(vertices):
    loss = {"node_labels": vertices.vocabulary.node_labels, "edge_labels": vertices.vocabulary.edge_labels}
    found = phrases.edit_phrases(loss | {"molecular": False})
    kinds = set(features.detailed_kinds(all_edits(vertices, ele.graphs.edits.KINDS), vertices))
    assert len(kinds) > 20 and kinds <= set(found)
    assert phrases.edit_phrases(loss | {"molecular": True})["cut an edge"].startswith("cutting a bond")


def test_wilson_covers_as_it_should():
    generator = np.random.default_rng(0)
    for share in (0.05, 0.5, 0.9):
        hits = generator.binomial(40, share, size=2_000)
        covered = np.mean([low <= share <= high for low, high in (wilson(int(k), 40) for k in hits)])
        assert 0.92 < covered < 0.985
    assert wilson(0, 0) == (0.0, 1.0) and wilson(5, 5)[1] == 1.0
    ((_, low, high),) = mean_interval(generator.normal(3, 1, (200, 1)), generator)
    assert low < 3 < high and high - low < 0.5 and np.isnan(mean_interval(np.ones((1, 1)), generator)[0, 1:]).all()


def test_facts_are_plain_and_come_back():
    table = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", "y"], "c": [True, False]})
    results = Results({"f": {"x": np.float32(0.1), "y": math.inf}}, {"t": table}, {}, {"m": "why"})
    fields = json.loads(json.dumps(results.to_json(), allow_nan=False))
    back = Results.from_json(fields)
    assert back.facts["f"] == {"x": 0.1, "y": None} and math.isnan(back.tables["t"]["a"][1])
    assert back.rows("t")[0]["c"] is True and back.rows("nothing") == []
    with pytest.raises(ValueError, match="version 99; this elekit reads 1"):
        Results.from_json({**fields, "version": 99})
    assert plain_values((np.int64(2), [np.bool_(True)])) == [2, [True]]


def test_terms_are_linked_once_and_explained():
    known: set[str] = set()
    shown = linked("A loss of <losses>, 2 rings, no lossy thing and an exactly exact ring.", known)
    assert (
        shown.count('href="#term-loss"') == 1 and shown.count('href="#term-ring"') == 1 and "&lt;losses&gt;" in shown
    )
    assert "loss" in known and "lossy" in shown and text_of(shown).startswith("A loss of <losses>, 2 rings")
    assert len({anchor_of(term) for term in TERMS}) == len(TERMS)


# -- comparing, saving, the command ------------------------------------------------------------------------------
def one(key, value=math.nan, low=math.nan, high=math.nan, unit="", **facts):
    return Statement(key, "s", f"says {value}", value, low, high, unit, facts=facts)


def test_changes_beyond_the_intervals_are_told():
    old = [
        one("same", 1, 0.9, 1.1),
        one("moved", 1, 0.9, 1.1),
        one("gone", 1),
        one("count", 2),
        one("near", 1.0),
        one("time", 5, unit="ms"),
    ]
    new = [
        one("same", 1.05, 0.95, 1.2),
        one("moved", 2, 1.8, 2.2),
        one("new", 1),
        one("count", 3),
        one("near", 1.02),
        one("time", 50, unit="ms"),
    ]
    found = changes("before", old, new)
    assert [pair[1].key for pair in found.changed] == ["moved", "count"]
    assert [s.key for s in found.new] == ["new"] and [s.key for s in found.gone] == ["gone"]
    assert found.unchanged == 2 and "2 statements" in found.summary()
    words = changes("b", [one("w", color="blue"), one("v", x=1)], [one("w", color="red"), one("v", x=1)])
    assert [new.key for _, new in words.changed] == ["w"] and words.unchanged == 1
    results = fabricated()
    shown = text_of(render(results, statements(results), found))
    assert "before: says 1" in shown and "now: says 2" in shown


def test_the_same_again_says_the_same_and_another_loss_does_not(made, quick, tmp_path):
    path = made.save(tmp_path / "old.html")
    again = card.make(artifact(), molecules(), repeats={}, compare=path)
    assert again.changes.changed == [] and again.changes.old_name == artifact().name
    ours = {s.key: s.text for s in made.statements}
    for statement in again.statements:
        if statement.unit != "ms" and statement.section != "stability":
            assert statement.text == ours[statement.key]
    steps = {name: measure.STEPS[name] for name in ("prices", "equals", "faithfulness")}
    quick.setattr(measure, "STEPS", steps)
    moved = card.make(artifact(seed=5), molecules(), repeats={}, compare=artifact())
    assert len(moved.changes.changed) > 5 and moved.changes.new == moved.changes.gone == []
    assert "What changed" in moved.html
    (tmp_path / "no.html").write_text("<html></html>")
    with pytest.raises(ValueError, match=r"no\.html is not a loss card"):
        card.make(artifact(), molecules(), compare=tmp_path / "no.html")


@pytest.mark.parametrize(
    ("key", "value"),
    [("key", ["a"]), ("value", "x"), ("low", {}), ("evidence", 3), ("facts", []), ("unit", "u" * 5_000)],
)
def test_a_card_with_other_values_is_refused(tmp_path, key, value):
    page = card.SHIPPED.read_text(encoding="utf-8")
    begin = page.index('id="facts">') + len('id="facts">')
    end = page.index("</script>", begin)
    fields = json.loads(page[begin:end])
    for forged in ({**fields, "statements": [{**fields["statements"][0], key: value}]}, {**fields, "statements": 3}):
        (tmp_path / "forged.html").write_text(page[:begin] + json.dumps(forged) + page[end:], encoding="utf-8")
        with pytest.raises(ValueError, match="forged.html is not a loss card of this version .the card.statements"):
            card.read_card(tmp_path / "forged.html")


def test_what_does_not_fit_is_refused(tmp_path):
    names = GraphVocabulary(("q",), ("e",), 3)
    graphs = random_vertices(names, 6, torch.Generator().manual_seed(0))
    part = Split(None, graphs, pd.DataFrame({"key": list("abcdef")}))
    other = Dataset("other", names, part, part, part, pd.DataFrame(columns=["row", "value", "reason"]), "d")
    with pytest.raises(ValueError, match="another vocabulary"):
        card.make(artifact(), other)
    with pytest.raises(artifacts.ArtifactError, match="holds no surrogate"):
        card.make(artifact(), molecules(), surrogate="smiles")
    with pytest.raises(artifacts.ArtifactError, match="no artifact at"):
        card.make(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no artifacts in its folders"):
        card.make(artifact(), molecules(), repeats=tmp_path)


def test_the_command_writes_a_card_or_nothing(quick, tmp_path, capsys):
    folder, out = tmp_path / "artifact", tmp_path / "out" / "card.html"
    artifacts.save(artifact(), folder)
    molecules().test.frame.to_csv(tmp_path / "mine.csv", index=False)
    typed = [
        "card",
        "--artifact",
        str(folder),
        "--data",
        str(tmp_path / "mine.csv"),
        "--whole",
        "--out",
        str(out),
        "--json",
    ]
    quick.setattr(measure, "STEPS", {name: measure.STEPS[name] for name in ("prices", "equals", "quality")})
    assert main(typed) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == out.stat().st_size and "not proven" not in told["not_measured"]
    assert "elekit card --artifact" in text_of(out.read_text())
    before = out.read_text()

    def interrupted(subject, found):
        raise KeyboardInterrupt

    quick.setitem(measure.STEPS, "prices", ("prices", interrupted))
    assert main(typed) == 130 and out.read_text() == before
    assert [path.name for path in out.parent.iterdir()] == ["card.html"]
    assert main([*typed[:2], str(tmp_path / "nowhere"), "--out", str(out)]) == 1
    assert "no artifact at" in capsys.readouterr().err
    assert main([*typed, "--compare", str(tmp_path / "mine.csv")]) == 1
    assert "is not a loss card" in capsys.readouterr().err


def test_a_second_measurement_uses_other_graphs_and_says_how_it_went(quick):
    """The two samples share no graph; what was measured twice is compared, and a planted contradiction is named."""
    whole = ele.datasets.load("molecules7")
    cut = {
        name: getattr(whole, name).take(range(n)) for name, n in (("train", 240), ("validation", 110), ("test", 120))
    }
    one = context.make_context(artifact(), replace(whole, **cut), repeats={}, replicate=True)
    two, steps = one.second, ("prices", "equals", "agreement")
    for part in ("train", "graphs", "held_out"):
        texts = [set(to_smiles(getattr(sample, part))) for sample in (one, two)]
        assert texts[0] and texts[1] and not texts[0] & texts[1]
    assert two.seed != one.seed and context.make_context(artifact(), molecules()).second is None
    quick.setattr(measure, "AGAIN", steps)
    found = measure.measure(one, (*steps, "replication"))
    table = found.tables["replication"]
    figures = table[table["holds"].notna()]
    assert len(figures) > 10 and (figures["holds"] == figures["again"].between(figures["low"], figures["high"])).all()
    said = statement_of(found, "replicated")
    assert said.facts["of"] == len(figures) and said.value == pytest.approx(figures["holds"].mean())
    assert said.facts["compared"] == table["kept"].notna().sum() > 0
    row = figures.index[figures["holds"].astype(bool)][0]
    table.loc[row, "holds"] = False
    again = statement_of(found, "replicated")
    assert again.facts["held"] == said.facts["held"] - 1 and "Outside their intervals: " in again.text
    alone = measure.measure(replace(one, replicate=False), ("replication",))
    assert "--replicate" in alone.missing["replication"]
    few = context.make_context(artifact(), molecules(), replicate=True)
    assert "needs 200 graphs" in measure.measure(few, ("replication",)).missing["replication"]


def test_an_interval_of_a_replication_holds_95_percent_of_second_means():
    """Of 4,000 pairs of means of 50 normal values; the confidence interval itself holds 83 %."""
    means = np.random.default_rng(0).normal(size=(2, 4_000, 50)).mean(-1)
    low, high = means[0] - 1.96 / 50**0.5, means[0] + 1.96 / 50**0.5
    held = np.mean((low <= means[1]) & (means[1] <= high))
    low, high = of_replication(means[0], low, high)
    assert held == pytest.approx(0.834, abs=0.02) and np.mean((low <= means[1]) & (means[1] <= high)) > 0.94
    assert np.isnan(of_replication(np.array([0.5]), np.array([np.nan]), np.array([np.nan]))).all()
    wide, narrow = (np.diff(of_replication(0.0, -1.0, 1.0, clusters))[0] for clusters in (20, 1_000))
    assert wide > 1.2 * narrow


def test_rare_kinds_of_edits_are_pooled():
    graphs = molecules().test.graphs
    sample = sample_edits(graphs, samples=6)
    pooled = sample.pooled(8).table
    counts = pooled.groupby("kind")["graph"].nunique()
    changed = pooled["kind"] != sample.table["kind"]
    assert changed.any() and not changed.all() and (sample.pooled(1).table["kind"] == sample.table["kind"]).all()
    assert all("any" in kind for kind in pooled["kind"][changed])
    labels = set(graphs.vocabulary.node_labels)
    named = [kind for kind in counts.index[counts < 8] if labels & set(kind.split())]
    assert not named, named  # what is left of them names no node label


def test_what_random_weights_show_too_is_no_merit_of_the_training():
    shown = [("rings", "encoded", 0.9, 0.5), ("nodes", "encoded", 0.9, 0.88), ("b", "not encoded", 0.1, 0.9)]
    rows = [{"property": name, "mark": mark, "score": score, "untrained": untrained, "low": 0.0, "high": 1.0, "description": ""}
            for name, mark, score, untrained in shown]  # fmt: skip
    found = statement_of(fabricated(concepts=rows), "concepts untrained")
    assert found.value == 1 and "shows 1 of these 2 about as well" in found.text
    rows[1]["untrained"] = 0.2
    assert statement_of(fabricated(concepts=rows), "concepts untrained").value == 0
    keys = {s.key for s in statements(fabricated(concepts=[row | {"untrained": math.nan} for row in rows]))}
    assert "concepts untrained" not in keys  # it was not measured


def test_a_card_needs_no_notebook_and_no_matplotlib():
    """In a fresh process: with the packages of the lab blocked, a card with all its parts can be made."""
    blocked = ("anywidget", "ipywidgets", "traitlets", "IPython", "jscatter", "jupyterlab", "matplotlib", "umap")
    code = f"""
import sys
import conftest
assert not {{"matplotlib", "anywidget"}} & set(sys.modules)
sys.modules.update(dict.fromkeys({blocked!r}))
import cards
made = cards.hostile()
assert len(made.results.states) > 1 and not set(made.results.missing) & {{"cases", "prices", "quality"}}
"""
    paths = os.pathsep.join([str(Path(cards.__file__).parent), str(Path(ele.__file__).parents[1])])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": paths})


def test_every_predictor_is_judged_or_named(monkeypatch):
    """Besides the card's own; without the column of its inputs, the card says that one is not judged."""
    monkeypatch.setattr(predictions, "JUDGED", 12)
    both = context.make_context("molecules7")
    found = measure.measure(both, ["quality"])
    assert list(found.tables["quality"]["from"]) == [
        "the input “description”",
        phrases.TRUE_POINT,
        "the input “smiles”",
    ]
    (told,) = (one for one in statements(found) if one.key == "exact from the input “smiles”")
    assert told.value == 1 and told.low > 0.6 and "another predictor" in told.text.lower()
    test = replace(both.data.test, frame=both.data.test.frame.drop(columns="smiles"))
    without = measure.measure(replace(both, dataset=replace(both.data, test=test)), ["quality"])
    assert len(without.tables["quality"]) == 2
    (told,) = (one for one in statements(without) if one.key == "not judged: the predictor smiles")
    assert "no column smiles" in told.text
