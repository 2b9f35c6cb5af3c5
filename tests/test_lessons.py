"""Checks of exercises: the correct answer passes, each wrong one gets the fitting hint, and nothing raises."""

import html
import re

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import padded

import checks
from checks.learning_the_loss import ROWS
from checks.verdict import Verdict, escape_markdown, quote
from elekit.graphs.graph import Graph
from elekit.graphs.smiles import from_smiles, molecule_vocabulary
from elekit.training import EmbeddingTraining

SMALL = molecule_vocabulary(["C", "N", "O", "F"], 7)
HOSTILE = "<img src=x onerror=alert(1)> **b** $x^2$ [a](http://b) `c` _d_ &lt; \\(e\\) | # ~"


class Sulky:
    def __repr__(self):
        raise RuntimeError("no")


GARBAGE = [None, "", "nonsense", HOSTILE, 3, -1, float("nan"), float("inf"), True, [], {}, [None], object(), Sulky(), 10**400,
           np.zeros((2, 2)), torch.zeros(0), torch.tensor(3), nx.Graph(), b"x", {"A": 1}, [[1]], lambda: 1, int]  # fmt: skip


def ring(at: int = 3, bond: str = "double") -> nx.Graph:
    """A ring of six with an O in it, and another that hangs on node `at`."""
    drawn = nx.cycle_graph(6)
    drawn.add_edge(at, 6)
    nx.set_node_attributes(drawn, "C", "label")
    nx.set_edge_attributes(drawn, "single", "label")
    drawn.nodes[0]["label"], drawn.nodes[6]["label"], drawn.edges[at, 6]["label"] = "O", "O", bond
    return drawn


def without(drawn: nx.Graph, *edge: int) -> nx.Graph:
    drawn.remove_edge(*edge)
    return drawn


def with_edge(drawn: nx.Graph, *edge: int) -> nx.Graph:
    drawn.add_edge(*edge, label="single")
    return drawn


# -- a verdict -----------------------------------------------------------------------------------------------------
def test_the_text_of_a_verdict_starts_with_the_result():
    assert repr(Verdict(True, "well done.")) == "✓ Correct: well done."
    assert repr(Verdict(False, "look again.")) == "Not yet: look again."
    assert Verdict(True, "a")._repr_markdown_() == "**✓ Correct:** a"


def test_markdown_displays_the_message_unchanged():
    for text in (HOSTILE, "a\n\n# b\n    c"):
        shown = escape_markdown(text)
        assert not re.search(r"[<>*\[\]()`_\\|~$]", re.sub(r"<code>&#(36|92);</code>", "", shown))
        assert not re.search(r"(?<!<code>)&#(36|92);", shown)  # where formulas could begin
        assert not re.search(r"[#&](?!#?\d+;)", shown)
        assert html.unescape(re.sub("</?code>", "", shown)) == text
    assert "\n" not in Verdict(False, "a\n\n# b")._repr_markdown_()


def test_answers_are_quoted_in_one_short_line():
    for answer in GARBAGE:
        assert len(quote(answer)) <= 42 and quote(answer).isprintable()
    assert quote("abc") == "'abc'" and quote("a" * 100).endswith("…'")


# -- notebook 01 ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "answer",
    [
        "O=C1CCOCC1",
        "C1CC(=O)CCO1",
        ring(),
        nx.relabel_nodes(ring(), {0: "a", 3: "b"}),
        from_smiles("O=C1CCOCC1", SMALL),
    ],
    ids=["smiles", "other smiles", "networkx", "relabeled", "graph"],
)
def test_the_ring_is_right_in_any_spelling(answer):
    assert checks.check_ring(answer).correct


def test_the_ring_is_right_in_any_order_and_padding(generator):
    target = from_smiles("O=C1CCOCC1", SMALL)
    for graph in (target.permuted(torch.randperm(7, generator=generator)), padded(target, 4)):
        assert checks.check_ring(graph).correct


@pytest.mark.parametrize(
    "answer, hint",
    [
        ("C1CCOCC1", "6 nodes, too few"),
        ("CC1CC(=O)CCO1", "8 nodes, too many"),
        ("O=C1CCCCC1", "labels are 6 C, 1 O"),
        ("O=C1CCNCC1", "labels are 5 C, 1 N, 1 O"),
        (without(ring(), 3, 6), "2 components"),
        (without(ring(), 0, 1), "not closed"),
        ("CC1OCCC1=O", "Your ring has 5 nodes"),
        (with_edge(ring(), 1, 5), "has 2 rings"),
        (ring(bond="single"), "edges are 7 single"),
        (ring(bond="triple"), "6 single, 1 triple"),
        (ring(at=2), "joined elsewhere"),
        ("O=C1OCCCC1", "joined elsewhere"),
        ("C1CC(", "C1CC("),
        (nx.cycle_graph(7), "the label 'node', unknown"),
        (nx.DiGraph([(0, 1)]), "directed"),
        (nx.Graph(), "no nodes"),
        (7, "int"),
        (checks.draw_target(), "is of type Picture"),
        (Graph.cat([from_smiles("O=C1CCOCC1", SMALL)] * 2), "a batch of 2"),
    ],
)
def test_a_wrong_ring_gets_a_hint(answer, hint):
    verdict = checks.check_ring(answer)
    assert not verdict.correct and hint in verdict.message


@pytest.fixture(scope="module")
def ethanol():
    return from_smiles("CCO", SMALL)


@pytest.fixture(scope="module")
def blur(ethanol):
    """Every node is 0.6 carbon and 0.1 of everything else, so that what is another flips at w = 1 / 1.5."""
    row = torch.full((ethanol.vocabulary.K,), 0.1)
    row[1] = 0.6
    return Graph(row.expand(1, 7, -1), ethanol.edges, ethanol.vocabulary)


def test_the_first_flip_is_found_to_a_hundredth(ethanol, blur):
    for weight in (0.67, torch.tensor(0.67), np.float64(2 / 3 + 1e-3), 2 / 3 + 9e-3):
        assert checks.check_flip(weight, ethanol, blur).correct


@pytest.mark.parametrize(
    "weight, hint",
    [(0.3, "At 0.30 rounding still gives"), (0.0, "still gives"), (0.8, "already has at 0.79"), (1.0, "already has at 0.99"),
     (1.4, "outside 0 to 1"), (-0.2, "outside 0 to 1"), ("half", "one number"), ([0.3], "one number"), (True, "one number")],
)  # fmt: skip
def test_a_wrong_weight_gets_a_direction(ethanol, blur, weight, hint):
    verdict = checks.check_flip(weight, ethanol, blur)
    assert not verdict.correct and hint in verdict.message


# -- notebook 02 ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def molecules():
    chains = ["C" * n + end for n in range(1, 6) for end in ("", "O", "N", "F", "=O", "#N")]
    return from_smiles(chains, molecule_vocabulary(["C", "N", "O", "F"], 7))


def sees_everything(graph: Graph) -> torch.Tensor:
    """Nodes as unit vectors, in their order: a psi to which any softened copy is nearest its own vertex."""
    return torch.nn.functional.normalize(torch.cat([graph.nodes.flatten(1), graph.edges.flatten(1)], 1), dim=1)


def sees_nothing(graph: Graph) -> torch.Tensor:
    return torch.ones(len(graph), 3) / 3**0.5


def test_retrieval_is_what_decides(molecules):
    assert checks.check_retrieval(sees_everything, molecules).correct
    assert not checks.check_retrieval(sees_nothing, molecules).correct


@pytest.mark.parametrize(
    "training, hint",
    [
        (EmbeddingTraining(temperature=5.0), "temperature 5"),
        (EmbeddingTraining(temperature=0.1, views=("edited",)), "copies are softened"),
        (EmbeddingTraining(temperature=0.1), "only softened"),
        (EmbeddingTraining(temperature=0.1, views=("softened",)), "temperature again"),
        (None, "the temperature and the views"),
    ],
)
def test_poor_training_gets_a_hint(molecules, training, hint):
    verdict = checks.check_retrieval(sees_nothing, molecules, training)
    assert not verdict.correct and "3% of 30" in verdict.message and hint in verdict.message


def test_the_numbers_of_the_snapshots_identify_them():
    table, points = checks.snapshot_numbers(), checks.snapshots()
    assert all(torch.allclose(p.norm(dim=1), torch.ones(len(p))) for p in points.values())
    cosine, rank = table["mean_cosine"], table["effective_rank"]
    a, b, c = (ROWS[name] for name in "ABC")
    assert cosine[c] > 0.9 and max(abs(cosine[a]), abs(cosine[b])) < 0.1
    assert rank[b] > 2.9 and max(rank[a], rank[c]) < 1.5
    for name, row in ROWS.items():
        mean = (points[name] @ points[name].T).mean().item()  # with itself as well: 1 / 300 more
        assert mean == pytest.approx(cosine[row], abs=0.02)


@pytest.mark.parametrize(
    "answer, hint",
    [
        ({"A": 1, "B": 3, "C": 2}, "sphere C"),
        ({"A": 3, "B": 2, "C": 1}, "In A and B"),
        ({"A": 1, "B": 1, "C": 1}, "each of the rows 1, 2 and 3"),
        ({"A": 0, "B": 1, "C": 2}, "each of the rows 1, 2 and 3"),
        ({"A": "2", "B": "3", "C": "1"}, "each of the rows 1, 2 and 3"),
        ({"A": 1, "B": 2}, "each of A, B and C"),
        ([2, 3, 1], "each of A, B and C"),
    ],
)
def test_wrong_snapshots_get_a_hint(answer, hint):
    verdict = checks.check_snapshots(answer)
    assert not verdict.correct and hint in verdict.message
    assert checks.check_snapshots(ROWS).correct


# -- notebook 03 ---------------------------------------------------------------------------------------------------
NAMES, LOSSES = ["ring", "word", "dot"], torch.tensor([0.3, 0.5, 0.1])


@pytest.mark.parametrize(
    "answer, hint",
    [
        (["ring", "word", "dot"], "1 of 3 names are in their place; the first wrong place is 1"),
        (["word", "dot", "ring"], "wrong place is 2"),
        (["word", "ring"], "'dot' is missing"),
        (["word", "ring", "ring"], "'dot' is missing"),
        (["word", "ring", "dot", "dot"], "twice"),
        (["word", "ring", "tree"], "'tree' is not one of the names 'ring', 'word', 'dot'"),
        ([1, 2, 3], "'1' is not one of"),
        ("word", "list of the 3 names"),
    ],
)
def test_a_wrong_order_gets_its_first_wrong_place(answer, hint):
    verdict = checks.check_order(answer, NAMES, LOSSES)
    assert not verdict.correct and hint in verdict.message
    for order in (["word", "ring", "dot"], ("word", "ring", "dot")):
        assert checks.check_order(order, NAMES, LOSSES).correct


@pytest.mark.parametrize(
    "k, hint",
    [(1, "Hits@1 is 50.0%, below 90%"), (3, "Hits@3 is 80.0%, below 90%"), (5, "Hits@5 is 90.0%"), (100, "smaller k"), (0, "1, 2, 3"),
     (-2, "1, 2, 3"), (2.5, "1, 2, 3"), ("four", "1, 2, 3"), (True, "1, 2, 3")],
)  # fmt: skip
def test_a_wrong_k_gets_its_hits(k, hint):
    ranks = torch.tensor([1, 1, 1, 1, 1, 2, 2, 3, 4, 9])
    verdict = checks.check_k(k, ranks)
    assert not verdict.correct and hint in verdict.message
    assert checks.check_k(4, ranks).correct and checks.check_k(np.int64(9), ranks, goal=1.0).correct


# -- whatever is given ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("answer", GARBAGE, ids=[type(answer).__name__ for answer in GARBAGE])
def test_no_answer_raises(answer, ethanol, blur, molecules):
    verdicts = [
        checks.check_ring(answer),
        checks.check_flip(answer, ethanol, blur),
        checks.check_retrieval(answer, molecules, answer),
        checks.check_snapshots(answer),
        checks.check_order(answer, NAMES, LOSSES),
        checks.check_k(answer, torch.tensor([1, 2, 5])),
        checks.check_guess(answer, "tree", ["ring", "tree"]),
        checks.check_guess(answer, 7.5, within=0.5),
    ]
    for verdict in verdicts:
        assert not verdict.correct and len(verdict.message) > 20
        assert "<img" not in verdict._repr_markdown_()
