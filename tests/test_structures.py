"""Scores by parts, against plain recounts of the same things."""

import itertools

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elekit.evaluation.structures import micro_f1, relation_scores, tree_scores
from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.packed import PackedGraphs

WORDS = GraphVocabulary(("A", "B"), ("r", "s"), 5, directed=True)
MIXED = GraphVocabulary(("A", "B"), ("r", "s"), 5, directed=(True, False))


@st.composite
def graphs(draw, n: int | None = None):
    n = n or draw(st.integers(1, 5))
    nodes = draw(st.lists(st.sampled_from("AB"), min_size=n, max_size=n))
    edges = []
    for i, j in itertools.combinations(range(n), 2):
        if label := draw(st.sampled_from(["", "r", "s"])):
            edges.append((i, j, label) if draw(st.booleans()) else (j, i, label))
    return nodes, edges


def packed(lists, vocabulary=WORDS) -> PackedGraphs:
    return PackedGraphs.from_edge_lists(lists, vocabulary)


def matched(one: list, other: list) -> int:
    """The size of a largest matching of equal parts."""
    graph = nx.Graph()
    graph.add_nodes_from(("one", i) for i in range(len(one)))
    graph.add_edges_from((("one", i), ("other", j)) for i, a in enumerate(one) for j, b in enumerate(other) if a == b)
    return len(nx.algorithms.bipartite.maximum_matching(graph, [("one", i) for i in range(len(one))])) // 2


@given(st.lists(st.tuples(graphs(), graphs()), min_size=1, max_size=4), st.sampled_from([WORDS, MIXED]))
@settings(max_examples=60, deadline=None)
def test_f1_is_that_of_a_matching_of_parts(pairs, vocabulary):
    right, total = [0, 0], [0, 0]
    for pair in pairs:
        labels = [nodes for nodes, _ in pair]
        ends = [[(nodes[i], nodes[j], r) for i, j, r in edges] for nodes, edges in pair]
        if vocabulary is MIXED:  # an s from A to B is one from B to A
            ends = [[("A", "B", "s") if one == ("B", "A", "s") else one for one in some] for some in ends]
        for kind, parts in enumerate((labels, ends)):
            right[kind] += matched(*parts)
            total[kind] += sum(map(len, parts))
    expected = [2 * a / b if b else 1.0 for a, b in zip(right, total)]
    found = relation_scores(*(packed([pair[k] for pair in pairs], vocabulary) for k in (0, 1)))
    assert list(found.values()) == pytest.approx(expected) and list(found) == ["entity_f1", "relation_f1"]


@given(st.lists(graphs(), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_nodes_does_not_count_for_relations(lists, random):
    turned = []
    for nodes, edges in lists:
        place = random.sample(range(len(nodes)), len(nodes))
        turned.append(
            ([nodes[place.index(i)] for i in range(len(nodes))], [(place[i], place[j], r) for i, j, r in edges])
        )
    assert set(relation_scores(packed(turned), packed(lists)).values()) == {1.0}
    assert micro_f1([]) == 1.0


@given(st.lists(st.integers(1, 5).flatmap(lambda n: st.tuples(graphs(n), graphs(n))), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_heads_are_columns_of_the_matrix_of_edges(pairs):
    """Oracle: dense tensors; the head of word j is right where column j of the edges from i to j is."""
    found = tree_scores(*(packed([pair[k] for pair in pairs]) for k in (0, 1)))
    (nodes, edges), (true_nodes, true_edges) = (packed([pair[k] for pair in pairs]).labels() for k in (0, 1))
    into, true_into = (torch.where(e <= 2, e, 0) for e in (edges, true_edges))
    there = true_nodes > 0
    pos = (nodes == true_nodes)[there]
    heads = ((into > 0) == (true_into > 0)).all(1)[there]
    arcs = (into == true_into).all(1)[there]
    exact = ((nodes == true_nodes) & (into == true_into).all(1)).all(1)
    expected = [one.float().mean().item() for one in (pos, heads, arcs, exact)]
    assert list(found.values()) == pytest.approx(expected) and list(found) == ["pos", "uas", "las", "exact_trees"]


def test_a_turned_arc_and_another_number_of_words_are_wrong():
    tree = (["A", "B", "A"], [(1, 0, "r"), (1, 2, "s")])
    assert set(tree_scores(packed([tree]), packed([tree])).values()) == {1.0}
    turned, short = (tree[0], [(0, 1, "r"), (1, 2, "s")]), (["A", "B"], [(1, 0, "r")])
    scores = tree_scores(packed([turned]), packed([tree]))
    assert scores == {"pos": 1.0, "uas": pytest.approx(1 / 3), "las": pytest.approx(1 / 3), "exact_trees": 0.0}
    both = tree_scores(packed([short, tree]), packed([tree, tree]))
    assert both == {"pos": 0.5, "uas": 0.5, "las": 0.5, "exact_trees": 0.5}
    two_heads = (tree[0], [(1, 0, "r"), (1, 2, "s"), (0, 2, "s")])
    assert tree_scores(packed([two_heads]), packed([tree]))["uas"] == pytest.approx(2 / 3)
    relabeled = (["A", "A", "A"], [(1, 0, "s"), (1, 2, "s")])
    assert tree_scores(packed([relabeled]), packed([tree])) == {
        "pos": pytest.approx(2 / 3), "uas": 1.0, "las": pytest.approx(2 / 3), "exact_trees": 0.0,
    }  # fmt: skip


def test_what_cannot_be_compared_is_refused():
    plain = GraphVocabulary(("A", "B"), ("r", "s"), 5)
    one = packed([(["A"], [])])
    for scores in (relation_scores, tree_scores):
        with pytest.raises(ValueError, match="got 1 for 2"):
            scores(one, packed([(["A"], [])] * 2))
    with pytest.raises(ValueError, match="directed"):
        tree_scores(packed([(["A"], [])], plain), packed([(["A"], [])], plain))
