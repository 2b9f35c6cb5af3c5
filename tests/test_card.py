"""The loss card: what it says is what was measured, planted properties are told, and no label becomes markup."""

import html as markup
import itertools
import json
import math
import re

import cards
import numpy as np
import pandas as pd
import pytest
import torch
from cards import HOSTILE, artifact, molecules
from conftest import random_vertices

import elekit as ele
from elekit import card, correction
from elekit.card import measure, predictions, wording
from elekit.card.changes import changes
from elekit.card.elements import Html, element, in_script
from elekit.card.glossary import TERMS, anchor_of, linked
from elekit.card.measured import Measured, plain_values
from elekit.card.page import page
from elekit.card.statements import NOT_CHECKED, Statement, statements
from elekit.cli import main
from elekit.datasets.splits import Dataset, Split
from elekit.draw.scenes import palette, scene
from elekit.draw.svg import bar_svg, chart_svg, graph_svg
from elekit.evaluation.intervals import mean_interval, wilson
from elekit.graphs import features
from elekit.graphs.edits import all_edits
from elekit.graphs.graph import GraphVocabulary
from elekit.model import artifact as artifacts
from elekit.training import EmbeddingTraining
from elekit.training.loop import TrainerConfig


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


def said(measured: Measured, key: str) -> Statement:
    return {s.key: s for s in statements(measured)}[key]


# -- what it says is what was measured ---------------------------------------------------------------------------
def figures_in(value):
    """Every number in nested plain values."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for inner in value for number in figures_in(inner)]
    return [float(value)] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def spellings(number: float) -> set[str]:
    """How a measured number may be written in a sentence."""
    ways = (
        {f"{number:.{d}f}" for d in range(4)}
        | {f"{number:+.{d}f}" for d in range(4)}
        | {f"{number:,.0f}", f"{number:.2g}"}
    )
    ways |= {f"{100 * number:.{d}f}" for d in range(2)}
    ways = {way.replace(",", "") for way in ways}
    return {way.lstrip("+-") for way in ways} | {f"{abs(number):.{d}f}" for d in range(4)}


def known_to(statement: dict, measured: dict) -> tuple[set[str], str]:
    """Spellings of the numbers that a statement's evidence holds (its row, or all of the table), and texts in it."""
    name, _, row = statement["evidence"].rpartition("-")
    columns = measured["tables"].get(name or row, {})
    held = [values[int(row)] for values in columns.values()] if name else list(columns.values())
    counts = [len(values) for values in columns.values()] + [2, len(columns)]
    numbers = figures_in(held) + figures_in(measured["facts"]) + counts
    if columns and "scale" in measured["facts"]:
        numbers += [number / measured["facts"]["scale"]["typical"] for number in figures_in(held)]
    return set().union({"4", "95", "99"}, *map(spellings, numbers)), json.dumps(
        [held, statement["key"], measured["facts"]["trained"]], ensure_ascii=False
    )


@pytest.mark.parametrize("which", ["made", "hostile"])
def test_every_number_of_a_statement_is_in_its_evidence(which, request):
    facts = facts_of(request.getfixturevalue(which).html)
    labels = [label for kind in ("node_labels", "edge_labels") for label in facts["measured"]["facts"]["loss"][kind]]
    checked = 0
    for statement in facts["statements"]:
        if statement["section"] in ("stability", "quality") and "-" not in statement["evidence"]:
            continue  # they count rows by what these say
        written, texts = known_to(statement, facts["measured"])
        says = statement["says"]
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
        assert statement.says in text, statement.key
    back = Measured.from_json(facts["measured"])
    again = statements(back)
    assert [(s.key, s.says, s.stable) for s in again] == [(s.key, s.says, s.stable) for s in made.statements]


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
    marks = {s.key: s.stable for s in made.statements}
    assert re.fullmatch(r"holds in [12] of 2 trainings.*", marks["blind spots"])
    dear = [s for s in made.statements if s.section == "dear" and math.isfinite(s.low)]
    assert dear and all(re.match(r"holds in [12] of 2 trainings: is among the five dearest", s.stable) for s in dear)
    table = made.measured.tables["stability"]
    assert table["this loss"].all()  # the loss bears out its own statements
    assert {s.stable for s in hostile.statements if s.section == "dear"} == {NOT_CHECKED}
    assert "no repeats" in hostile.measured.missing["stability"]


def test_what_could_not_be_measured_is_said(made):
    assert "holds no predictor" in made.measured.missing["inputs"]
    nothing = card.make(artifacts.Artifact("alone", artifact().psi))
    assert set(measure.STEPS) == set(nothing.measured.missing)
    text = text_of(nothing.html)
    assert "no data at hand" in text and "Sign-off" in text
    assert {s.key for s in nothing.statements} >= {"purpose", "rules", "trained"}


# -- hostile labels ----------------------------------------------------------------------------------------------
def test_no_label_becomes_markup(hostile):
    before, _after = hostile.html.split('<script type="application/json"', 1)
    assert "<script>alert" not in hostile.html and "<img" not in hostile.html and "onerror=alert(1)>" not in before
    assert HOSTILE in text_of(before.split("</style>")[1])
    assert hostile.html.lower().count("</script>") == 1 + hostile.html.count("<script ") - 1
    for block in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', hostile.html, re.DOTALL):
        assert not set("<>&\u2028") & set(block)
        json.loads(block)
    assert facts_of(hostile.html)["measured"]["facts"]["loss"]["name"] == f"loss {HOSTILE}"


def test_elements_escape_all_but_their_own():
    shown = element("p", "<b>", element("i", '"&'), title='a"<', hidden=True, lang=None)
    assert shown == '<p title="a&quot;&lt;" hidden><b>'.replace("<b>", "&lt;b&gt;") + "<i>&quot;&amp;</i></p>"
    assert isinstance(shown, Html)
    tricky = json.dumps({"a": "</script><!-- & \u2028"}, ensure_ascii=False)
    assert not set("<>&\u2028") & set(in_script(tricky)) and json.loads(in_script(tricky)) == json.loads(tricky)


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
def fabricated(**tables) -> Measured:
    """Facts that nobody measured."""
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
    return Measured(facts, {name: pd.DataFrame(rows) for name, rows in tables.items()}, pictures)


def priced(*medians):
    kinds = ["remove leaf", "cut an edge", "open a ring", "relabel a to b", "relabel b to a"]
    rows = [{"kind": kind, "count": 9, "graphs": 9, "median": m, "mean": m, "q05": m / 2, "q95": 2 * m, "low": 0.9 * m, "high": 1.1 * m,
             "by_size": math.nan, "by_ring": 0.0, "by_degree": 0.0, "mark": ""} for kind, m in zip(kinds, medians)]  # fmt: skip
    return sorted(rows, key=lambda row: -row["median"])


def test_statements_follow_the_facts():
    rows = priced(0.5, 0.4, 2.0, 0.1, 0.3)
    measured = fabricated(prices=rows)
    first = said(measured, "price of open a ring")
    assert (first.section, first.value, first.evidence) == ("dear", 2.0, "prices-0") and "4.0 times" in first.says
    assert said(measured, "price of relabel a to b").says.startswith("Replacing a by b costs 0.10")
    other = said(fabricated(prices=priced(0.5, 0.4, 0.01, 0.1, 0.3)), "price of open a ring")
    assert other.section == "cheap" and other.says != first.says
    assert (
        "It depends on how large the graph is (60 %"
        in said(fabricated(prices=[{**rows[0], "by_size": 0.6}]), "price of open a ring").says
    )


def test_rare_kinds_are_not_ranked():
    rows = [{"low": math.nan if n % 3 else 1.0} for n in range(40)]
    dear, cheap = wording.ends_of(rows)
    assert dear == [0, 3, 6, 9, 12] and cheap == [27, 30, 33, 36, 39]
    assert wording.ends_of(rows[:7]) == ([0, 3], [6]) and wording.ends_of([]) == ([], [])
    assert wording.ends_of([{"low": math.nan}] * 3) == ([0, 1], [2])


def test_a_defect_is_told_in_the_summary_and_none_is_told_too():
    clean = fabricated(findings=pd.DataFrame(columns=["what", "severity", "strength", "says"]))
    assert said(clean, "defects").says.startswith("None of the 10 checks") and said(clean, "defects").value == 0
    rows = [{"what": "collapsed", "severity": "defect", "strength": 1.0, "says": "The loss has collapsed."}]
    found = fabricated(findings=rows)
    assert (
        said(found, "defects").value == 1
        and said(found, "finding: collapsed").says == "Defect: The loss has collapsed."
    )
    shown = page(found, statements(found))
    minute = shown.split("<nav", 1)[0]
    assert "The loss has collapsed" in text_of(minute) and "The loss has collapsed" not in text_of(
        page(clean, statements(clean))
    )


def test_equal_graphs_that_lie_apart_are_told_with_the_yardstick():
    row = {"why": "node order", "graphs": 7, "median": 0.2, "low": 0.1, "high": 0.3, "most": 0.4}
    assert "should cost 0" in said(fabricated(equals=[row]), "equal: node order").says
    fine = said(fabricated(equals=[{**row, "most": 0.005}]), "equal: node order")
    assert "costs nothing, as it should (7 graphs tried)" in fine.says and fine.value == 0


def test_marks_say_in_how_many_trainings():
    measured = fabricated(prices=priced(0.5, 0.4, 2.0, 0.1, 0.3))
    key = "price of open a ring"
    assert said(measured, key).stable == NOT_CHECKED
    measured.tables["stability"] = pd.DataFrame({"claim": [key], "holds": [3], "of": [5], "stable": [False]})
    measured.facts["claims"] = {key: "is dear"}
    assert said(measured, key).stable == "holds in 3 of 5 trainings: is dear"
    assert 'class="stable some"' in page(measured, statements(measured))
    assert said(measured, "price of cut an edge").stable == "not checked in other trainings"


def test_worst_slices_come_first_and_small_ones_are_not_judged():
    truth = molecules().test.graphs
    rings = features.cycle_rank(truth).numpy()
    table = pd.DataFrame({"exact": rings == 0, "edit_distance": 1.0 * (rings > 0), "proven": True, "valid": True})
    found = predictions.slices(table, truth, True, 0)
    assert found["few"].is_monotonic_increasing and found[~found["few"]]["exact"].is_monotonic_increasing
    by_name = found.set_index("slice")
    assert by_name.loc["with 0 rings", "exact"] == 1.0 and by_name.loc["with 1 ring", "exact"] == 0.0
    assert found["few"].tolist() == (found["count"] < predictions.FEWEST).tolist()
    assert (found["low"] <= found["exact"]).all() and (found["exact"] <= found["high"]).all()


def test_a_promise_about_sets_is_held_against_what_was_measured():
    def row(name, coverage, pairs=400):
        return {"slice": name, "by": "all", "pairs": pairs, "coverage": coverage, "low": coverage - 0.03, "high": coverage + 0.02,
                "mean_size": 2.5, "median_size": 2.0, "empty": 0.05, "large": 0.25, "few": pairs < 20}  # fmt: skip

    facts = {"level": 0.9, "radius": 0.1, "pairs": 300, "unreachable": 0, "expected": [0.85, 0.95], "most": 20}
    for coverage, place in ((0.80, "this one lies below"), (0.88, "this one does"), (0.97, "this one lies above")):
        rows = [row("all", coverage), row("with a", 0.7), row("with b", 0.6), row("of 1 node", 0.0, 3)]
        measured = fabricated(coverage=rows)
        measured.facts["sets"] = facts
        says = said(measured, "sets hold the truth").says
        assert (
            f"{100 * coverage:.1f} % lay in their set of answers (95 % interval" in says
            and "90 % of all cases" in says
        )
        assert place in says
        worst = said(measured, "sets hold the truth least")
        assert (
            worst.evidence == "coverage-2" and "with b" in worst.says and worst.value == 0.6
        )  # of 3 nodes nothing is said
        size = said(measured, "size of sets").says
        assert (
            "2.50 graphs on average" in size and "25 % more than 20" in size and "5.0 % of all cases nothing" in size
        )
        assert 'id="coverage-2"' in page(measured, statements(measured))
    assert not [s for s in statements(fabricated()) if "sets" in s.key]


def test_the_quickest_way_that_is_as_good_is_told():
    rows = [{"way": name, "gradient": False, "count": 60, "exact": e, "low": e - 0.1, "high": e + 0.1, "milliseconds": ms,
             "starts": 0, "iterations": 0, "loss": 0.1} for name, e, ms in (("bad", 0.2, 1), ("quick", 0.85, 5), ("slow", 0.9, 50))]  # fmt: skip
    measured = fabricated(costs=rows)
    measured.facts["costs"] = {"from": "the text", "count": 60, "threads": 1}
    told = said(measured, "milliseconds")
    assert (
        "quick" in told.says and told.value == 5 and "takes 50 ms" in said(measured, "milliseconds of the best").says
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
    assert [s.says for s in mine[1:]] == found.report.says() and all(line in text for line in found.report.says())
    held = sum(found.report.rules["after_says"] == "holds")
    assert mine[0].says.startswith("The loss was corrected by 2 rules.") and f"{held} of 2 hold" in mine[0].says
    assert mine[1].value == pytest.approx(found.report.rules["after"][0], rel=1e-4)


def test_rules_are_told_with_whether_they_hold():
    assert "No rules were given" in said(fabricated(), "rules").says
    measured = fabricated()
    row = {"rule": "C to N nearly free", "after": 0.1, "after_low": 0.05, "after_high": 0.2, "after_says": "holds"}
    report = {
        "rules": [row],
        "judgements": [],
        "costs": [],
        "kinds": [],
        "says": ["Rule 1 holds: 0.9 before, 0.1 now."],
    }
    measured.facts["trained"]["correction"] = {"rules": [{}], "judgements": {"count": 0}, "report": report}
    assert "1 of 1 hold" in said(measured, "rules").says
    assert said(measured, "rule: C to N nearly free").says == "Rule 1 holds: 0.9 before, 0.1 now."


# -- words, intervals, facts -------------------------------------------------------------------------------------
def test_every_kind_of_edit_has_words(vertices):
    phrases = wording.phrases(vertices.vocabulary, False)
    kinds = set(features.detailed_kinds(all_edits(vertices, ele.graphs.edits.KINDS), vertices))
    assert len(kinds) > 20 and kinds <= set(phrases)
    assert wording.phrases(vertices.vocabulary, True)["cut an edge"].startswith("cutting a bond")


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
    measured = Measured({"f": {"x": np.float32(0.1), "y": math.inf}}, {"t": table}, {}, {"m": "why"})
    fields = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    back = Measured.from_json(fields)
    assert back.facts["f"] == {"x": 0.1, "y": None} and math.isnan(back.tables["t"]["a"][1])
    assert back.rows("t")[0]["c"] is True and back.rows("nothing") == []
    with pytest.raises(ValueError, match="version 99, this elekit reads 1"):
        Measured.from_json({**fields, "version": 99})
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
def one(key, value=math.nan, low=math.nan, high=math.nan, says="says", unit=""):
    return Statement(key, "s", f"{says} {value}", value, low, high, unit)


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
    assert [pair[1].key for pair in found.new] == ["new"] and [pair[0].key for pair in found.gone] == ["gone"]
    assert found.unchanged == 2 and "2 statements changed" in found.summary()
    words = changes("b", [one("w", says="is blue")], [one("w", says="is red")])
    assert len(words.changed) == 1
    measured = fabricated()
    shown = text_of(page(measured, statements(measured), found))
    assert "before: says 1" in shown and "now: says 2" in shown


def test_the_same_again_says_the_same_and_another_loss_does_not(made, quick, tmp_path):
    path = made.save(tmp_path / "old.html")
    again = card.make(artifact(), molecules(), repeats={}, compare=path)
    assert again.changes.changed == [] and again.changes.old_name == artifact().name
    ours = {s.key: s.says for s in made.statements}
    for statement in again.statements:
        if statement.unit != "ms" and statement.section != "stability":
            assert statement.says == ours[statement.key]
    steps = {name: measure.STEPS[name] for name in ("prices", "equals", "faithfulness")}
    quick.setattr(measure, "STEPS", steps)
    moved = card.make(artifact(seed=5), molecules(), repeats={}, compare=artifact())
    assert len(moved.changes.changed) > 5 and moved.changes.new == moved.changes.gone == []
    assert "What changed" in moved.html
    (tmp_path / "no.html").write_text("<html></html>")
    with pytest.raises(ValueError, match=r"no\.html is no loss card"):
        card.make(artifact(), molecules(), compare=tmp_path / "no.html")


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
    with pytest.raises(ValueError, match="holds no artifacts"):
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
    assert "is no loss card" in capsys.readouterr().err


def test_what_random_weights_show_too_is_no_merit_of_the_training():
    shown = [("rings", "encoded", 0.9, 0.5), ("nodes", "encoded", 0.9, 0.88), ("b", "not encoded", 0.1, 0.9)]
    rows = [{"property": name, "mark": mark, "score": score, "untrained": untrained, "low": 0.0, "high": 1.0, "says": ""}
            for name, mark, score, untrained in shown]  # fmt: skip
    found = said(fabricated(concepts=rows), "concepts untrained")
    assert found.value == 1 and "shows 1 of these 2 about as well" in found.says
    rows[1]["untrained"] = 0.2
    assert said(fabricated(concepts=rows), "concepts untrained").value == 0
    keys = {s.key for s in statements(fabricated(concepts=[row | {"untrained": math.nan} for row in rows]))}
    assert "concepts untrained" not in keys  # not measured, not said
