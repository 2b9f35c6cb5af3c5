"""Checks of notebooks 04 to 06: correct answers pass, each wrong one gets the fitting hint, and nothing raises."""

from types import SimpleNamespace

import flats
import networkx as nx
import numpy as np
import pytest
import torch

import checks
import elekit as ele
from checks.answers import edit_row
from elekit.decoding import GradientConfig
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx
from elekit.widgets.inspector import LossInspector

HOSTILE = "<img src=x onerror=alert(1)>"


class Sulky:
    def __repr__(self):
        raise RuntimeError("no")


GARBAGE = [None, "", "nonsense", HOSTILE, "3", 2.5, -1, 10**9, 10**400, float("nan"), float("inf"), True, [], [3], {}, object(),
           Sulky(), np.zeros((2, 2)), torch.zeros(0), torch.tensor([1, 2]), nx.Graph(), b"x", len, int, 1j]  # fmt: skip


def assert_wrong(verdict, *hints: str) -> None:
    """The answer is wrong, and the message contains all hints."""
    assert isinstance(verdict, checks.Verdict) and not verdict.correct
    for hint in hints:
        assert hint in verdict.message, verdict.message


# -- notebook 04 ---------------------------------------------------------------------------------------------------
def trace_of(relaxed: list[float], rounded: list[float], best: int):
    """A trace of which only the two curves matter."""
    steps = len(relaxed)
    vocabulary = GraphVocabulary(("a",), ("e",), 2)
    graphs = Graph.from_labels(torch.ones(steps, 2), torch.zeros(steps, 2, 2), vocabulary)
    nothing = torch.zeros(steps)
    return ele.Trace(
        torch.zeros(4), graphs, torch.tensor(relaxed), torch.tensor(rounded), nothing, nothing, nothing,
        graphs.nodes, graphs.edges, best, "done",
    )  # fmt: skip


@pytest.fixture(scope="module")
def trace():
    """Right at 2, wrong again at 4, right from 5; the gap is widest at 3, the rounded loss highest at 0."""
    return trace_of([1.5, 0.6, 0.5, 0.1, 0.2, 0.1, 0.1], [1.6, 0.9, 0.25, 0.9, 0.4, 0.25, 0.25 + 2e-6], best=6)


def test_the_first_rounding_is_correct(trace):
    for answer in (2, 2.0, torch.tensor(2), np.int64(2)):
        verdict = checks.check_first_rounding(answer, trace)
        assert verdict.correct and "0.25" in verdict.message


@pytest.mark.parametrize(
    "answer, hint",
    [
        (0, "loss 1.60; the result has 0.25"),
        (1, "loss 0.90"),
        (4, "(loss 0.40, not 0.25)"),
        (5, "Iterate 5 rounds to the result"),
        (6, "Iterate 6 rounds to the result"),
        (7, "0 to 6"),
        (-1, "0 to 6"),
        (2.5, "0 to 6"),
        ("2", "'2' is not"),
    ],
)
def test_a_wrong_first_rounding_gets_a_direction(trace, answer, hint):
    assert_wrong(checks.check_first_rounding(answer, trace), hint)


def test_the_widest_gap_is_correct(trace):
    verdict = checks.check_gap(3, trace)
    assert verdict.correct and "0.80" in verdict.message


@pytest.mark.parametrize(
    "answer, hint",
    [(0, "highest there"), (1, "wider elsewhere"), (0.8, "0.8 is the width"), (0.3, "0 to 6"), (99, "0 to 6")],
)
def test_a_wrong_gap_gets_a_hint(trace, answer, hint):
    assert_wrong(checks.check_gap(answer, trace), hint)


@pytest.fixture(scope="module")
def psi():
    return ele.load("molecules7").psi


@pytest.fixture(scope="module")
def hard(psi):
    """Cyclohexylamine, as in the notebook."""
    return ele.from_smiles("NC1CCCCC1", psi.vocabulary)


def settled(answer, psi, graph, seed=1, **more):
    return checks.check_settings(answer, psi, psi.embed(graph), graph, seed=seed, **more)


@pytest.mark.parametrize(
    "settings",
    [GradientConfig(starts=4), GradientConfig(iterations=50, starts=8), GradientConfig("exponentiated", starts=4)],
    ids=["4 starts", "8 starts", "other rule"],
)
def test_settings_that_find_the_truth_are_correct(psi, hard, settings):
    verdict = settled(settings, psi, hard)
    assert verdict.correct and "400" in verdict.message


def test_settings_that_fail_get_a_diagnosis_of_the_trace(psi, hard):
    assert_wrong(settled(GradientConfig(starts=1), psi, hard), "the truth 0.00", "the search failed", "had settled")
    assert_wrong(settled(GradientConfig(starts=1, iterations=6), psi, hard), "not settled")
    assert_wrong(
        settled(GradientConfig(starts=3, iterations=6), psi, hard), "Its 3 starts ended in 3 different graphs"
    )


def test_settings_over_budget_do_not_run(psi, hard):
    assert_wrong(
        settled(GradientConfig(starts=10_000, iterations=10_000), psi, hard),
        "100000000 gradient steps, more than 400",
    )
    assert_wrong(settled(GradientConfig(starts=3), psi, hard, most=299), "300 gradient steps, more than 299")


def test_a_wrong_point_is_a_failed_prediction(psi, hard):
    other = psi.embed(ele.from_smiles("CCO", psi.vocabulary))
    verdict = checks.check_settings(GradientConfig(starts=4), psi, other, hard)
    assert_wrong(verdict, "The prediction failed")


def test_another_drawing_of_a_ring_counts_as_the_truth(psi, monkeypatch):
    truth = ele.from_smiles("Cc1ccccn1", psi.vocabulary)
    drawings = ele.graphs.smiles.kekule_forms("Cc1ccccn1")  # with double bonds in the ring, as a decoder may find it
    for drawing in ele.from_networkx(ele.to_networkx(drawings), psi.vocabulary):
        assert not ele.graphs.edit_distance.isomorphic(drawing, truth).item()
        found = SimpleNamespace(graphs=drawing)
        monkeypatch.setattr("checks.decoding.decode", lambda *given, found=found, **settings: found)
        assert settled(GradientConfig(starts=4), psi, truth).correct


# -- notebook 05 ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def scan(psi):
    """The molecule of the first exercise."""
    return ele.inspect.edit_scan(psi, ele.from_smiles("C=CCC1CO1", psi.vocabulary))


def test_an_edit_is_named_by_row_or_in_words(psi, scan):
    for row in (0, 20, len(scan.table) - 1):
        words = scan.table["edit"][row]
        assert [edit_row(answer, scan) for answer in (row, words, f" {words.upper()} ", torch.tensor(row))] == [
            row
        ] * 4
    for wrong in (len(scan.table), -1, 0.5, "node 0: C to Q", "add C to node 6, double"):
        assert edit_row(wrong, scan) is None


def test_texts_of_the_inspector_are_recognized(psi, scan):
    shown = LossInspector(psi, "C=CCC1CO1").table["edit"]
    assert any(words.startswith("add ") for words in shown)
    assert [edit_row(words, scan) for words in shown] == list(range(len(scan.table)))


def test_a_cheap_edit_is_correct(scan):
    table = scan.table
    for row in table.index[table["valid"] & (table["price"] < 0.15)]:
        assert checks.check_cheap(int(row), scan, 0.15).correct
    assert checks.check_cheap("add C to node 0, double", scan, 0.2).correct


def test_an_expensive_edit_gets_its_price(scan):
    table = scan.table
    cheap = table["valid"] & (table["price"] < 0.15)
    dear = table.index[table["valid"] & ~cheap]
    for row in dear:
        assert_wrong(
            checks.check_cheap(int(row), scan, 0.15), f"costs {table['price'][row]:.2f}", f"limit: {cheap.sum()},"
        )
    assert_wrong(checks.check_cheap(int(dear[0]), scan, 0.01), "Raise the limit")
    same = table.index[(table["kind"] == table["kind"][cheap].iloc[0]) & table["valid"] & ~cheap][0]
    assert_wrong(checks.check_cheap(int(same), scan, 0.15), "of the kind")
    other = table.index[~table["kind"].isin(set(table["kind"][cheap])) & table["valid"]][0]
    assert_wrong(checks.check_cheap(int(other), scan, 0.15), "all of other kinds")


def test_an_invalid_edit_is_wrong_at_any_limit(scan):
    row = scan.table.index[~scan.table["valid"]][0]
    assert_wrong(checks.check_cheap(int(row), scan, 4.0), "not a valid graph")


def test_the_most_expensive_of_three(scan):
    table = scan.table.sort_values("price")
    rows = [int(table.index[n]) for n in (10, 60, 30)]
    words = scan.table["edit"][rows].tolist()
    for answer in (1, words[1], 1.0):
        assert checks.check_most_expensive(answer, rows, scan).correct
        assert checks.check_most_expensive(answer, words, scan).correct
    assert_wrong(checks.check_most_expensive(0, words, scan), "number 3 of 3", words[0])
    assert_wrong(checks.check_most_expensive(words[2], rows, scan), "number 2 of 3")
    assert_wrong(checks.check_most_expensive(3, words, scan), "0 to 2")
    assert_wrong(
        checks.check_most_expensive(scan.table["edit"][int(table.index[-1])], words, scan), "0 to 2"
    )  # of another edit
    assert_wrong(checks.check_most_expensive(0, ["nonsense", 1], scan), "'nonsense' is not an edit")


# -- notebook 06 ---------------------------------------------------------------------------------------------------
def counted(graph: Graph) -> torch.Tensor:
    """How often each label, and each link between two labels, is there."""
    linked = torch.einsum("bik,bijr,bjl->bkrl", graph.nodes[..., 1:], graph.edges[..., 1:], graph.nodes[..., 1:])
    return torch.cat([graph.nodes[..., 1:].sum(1), linked.flatten(1)], 1)


@pytest.fixture(scope="module")
def plans():
    """A psi that counts, some flats, the edits of one, and which of them break a rule."""
    graphs = from_networkx(list(flats.enumerate_flats())[300:330])
    middle = counted(graphs).mean(0)

    def psi(graph: Graph) -> torch.Tensor:
        return ele.graphs.projections.sphere(counted(graph) - middle)

    scan = ele.inspect.edit_scan(psi, graphs[0])
    breaks = np.array([bool(flats.broken_rules(graph)) for graph in ele.to_networkx(scan.results)])
    assert 0 < breaks.mean() < 1
    return psi, graphs, scan, breaks


def test_a_broken_rule_with_its_price_is_correct(plans):
    _, _, scan, breaks = plans
    row, price = int(breaks.argmax()), scan.table["price"]
    assert abs(price[breaks].median() - price[~breaks].median()) > 0.02
    for answer in (row, scan.table["edit"][row]):
        verdict = checks.check_broken_rule(answer, round(price[row], 2), scan, flats.broken_rules)
        assert verdict.correct
    assert flats.broken_rules(ele.to_networkx(scan.result(row))[0])[0] in verdict.message
    assert f"{breaks.sum()} break a rule (median price {price[breaks].median():.2f})" in verdict.message
    assert f"{(~breaks).sum()} break none (median price {price[~breaks].median():.2f})" in verdict.message


def test_a_wrong_price_gets_its_likely_source(plans):
    _, _, scan, breaks = plans
    row = int(scan.table["price"][breaks].idxmax())
    price = float(scan.table["price"][row])
    assert row > 1 and abs(price - 1) > 0.1
    for wrong, hint in (
        (price + 0.5, "column price"), (price**0.5, "the distance"), (row, "its row"), ("dear", "'dear' is not a price")
    ):  # fmt: skip
        assert_wrong(checks.check_broken_rule(row, wrong, scan, flats.broken_rules), hint)


def test_an_edit_that_breaks_no_rule_is_wrong(plans):
    _, _, scan, breaks = plans
    row = int((~breaks).argmax())
    assert_wrong(checks.check_broken_rule(row, scan.table["price"][row], scan, flats.broken_rules), "breaks no rule")


def test_without_rules_only_the_price_is_judged(plans):
    _, _, scan, breaks = plans
    row = int((~breaks).argmax())
    verdict = checks.check_broken_rule(row, scan.table["price"][row], scan)
    assert verdict.correct and "Only you know" in verdict.message
    assert_wrong(checks.check_broken_rule(row, scan.table["price"][row] + 0.3, scan), "does not cost")


def small_flat(extra: str = "store") -> nx.Graph:
    made = nx.Graph()
    for name in ("hall", "lounge", "kitchen", "bath", extra):
        made.add_node(name, label=name)
    made.add_edges_from([("hall", "lounge"), ("hall", "bath"), ("hall", extra), ("lounge", "kitchen")], label="door")
    return made


def test_the_nearest_neighbor_is_correct_and_others_get_their_rank(plans):
    psi, graphs, *_ = plans
    mine = small_flat()
    loss = ele.LearnedLoss(psi).matrix(from_networkx([mine], graphs.vocabulary), graphs)[0]
    order = loss.argsort().tolist()
    assert checks.check_nearest(order[0], mine, psi, graphs).correct
    assert_wrong(checks.check_nearest(order[-1], mine, psi, graphs), f"number {len(graphs)} of {len(graphs)}")
    assert_wrong(checks.check_nearest(order[0] - len(graphs), mine, psi, graphs), "not the row of a graph")


def test_a_known_graph_is_recognized(plans):
    psi, graphs, *_ = plans
    verdict = checks.check_nearest(7, ele.to_networkx(graphs[7])[0], psi, graphs)
    assert verdict.correct and "already contains it" in verdict.message


@pytest.mark.parametrize(
    "mine, hint",
    [
        (None, "networkx.Graph"),
        ("C", "networkx.Graph"),
        (nx.Graph(), "it has no nodes"),
        (small_flat("garage"), "it has the label 'garage', unknown"),
        (small_flat().to_directed(), "it is directed"),
        (nx.disjoint_union(small_flat(), small_flat()), "it has 10 nodes"),
    ],
)
def test_a_graph_that_does_not_fit_gets_the_reason(plans, mine, hint):
    psi, graphs, *_ = plans
    assert_wrong(checks.check_nearest(0, mine, psi, graphs), hint)


# -- garbage -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("answer", GARBAGE, ids=[str(n) for n in range(len(GARBAGE))])
def test_garbage_gets_a_hint(trace, psi, hard, scan, plans, answer):
    other, graphs, plan, breaks = plans
    row = int(breaks.argmax())
    verdicts = [
        checks.check_first_rounding(answer, trace),
        checks.check_gap(answer, trace),
        settled(answer, psi, hard),
        checks.check_cheap(answer, scan, 0.15),
        checks.check_most_expensive(answer, [0, 1, 2], scan),
        checks.check_most_expensive(0, [answer, 1, 2], scan),
        checks.check_broken_rule(answer, 0.5, plan, flats.broken_rules),
        checks.check_broken_rule(row, answer, plan, flats.broken_rules),
        checks.check_nearest(answer, small_flat(), other, graphs),
        checks.check_nearest(0, answer, other, graphs),
    ]
    for verdict in verdicts:
        assert_wrong(verdict)
        assert 20 < len(verdict.message) < 400
        assert "<img" not in verdict._repr_markdown_()


def test_invalid_settings_get_a_hint(psi, hard):
    assert_wrong(settled(GradientConfig(rule=HOSTILE.__class__, starts=1), psi, hard), "Gradient descent fails")
    assert_wrong(settled(GradientConfig(noise=float("nan"), starts=1), psi, hard))
