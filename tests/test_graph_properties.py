"""Properties of graph operations, searched for counterexamples by hypothesis."""

import networkx as nx
import pytest
import torch
from conftest import equal, isomorphic
from hypothesis import given, settings
from hypothesis import strategies as st

from elekit.graphs import projections
from elekit.graphs.augment import random_edits
from elekit.graphs.distances import distances_for, weisfeiler_lehman
from elekit.graphs.edit_distance import edit_distance
from elekit.graphs.edit_distance import isomorphic as same_graphs
from elekit.graphs.edits import KINDS, Edits, all_edits
from elekit.graphs.features import count_components, cycle_rank, is_connected, reachable, shortest_path_lengths
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists, from_networkx, to_edge_lists, to_networkx
from elekit.graphs.smiles import from_smiles, is_valid, molecule_vocabulary, to_smiles
from elekit.graphs.weisfeiler_lehman import canonical_colors, graph_hashes, node_colors

VOCABULARY = GraphVocabulary(("a", "b"), ("thin", "thick"), 5, capacity=(3, 2), order=(1, 2))
MOLECULES = molecule_vocabulary(("C", "N", "O", "F"), 7)
few = settings(max_examples=30, deadline=None)


@st.composite
def graphs(draw, count=1, vocabulary=VOCABULARY):
    """Batches of discrete graphs of 1 to N nodes, the absent ones anywhere."""
    N = vocabulary.max_nodes
    lists = []
    for _ in range(count):
        n = draw(st.integers(1, N))
        nodes = draw(st.lists(st.sampled_from(vocabulary.node_labels), min_size=n, max_size=n))
        labels = st.sampled_from(("", *vocabulary.edge_labels))
        pairs = [(i, j, draw(labels)) for i in range(n) for j in range(i)]
        lists.append((nodes, [pair for pair in pairs if pair[2]]))
    order = torch.tensor([draw(st.permutations(range(N))) for _ in range(count)])
    return from_edge_lists(lists, vocabulary).permuted(order)


def tensors(*shape):
    size = int(torch.tensor(shape).prod())
    numbers = st.lists(st.floats(-10, 10, width=32), min_size=size, max_size=size)
    return numbers.map(lambda values: torch.tensor(values, dtype=torch.float64).reshape(shape))


orders = st.permutations(range(VOCABULARY.max_nodes)).map(torch.tensor)


# -- projections ---------------------------------------------------------------------------------------------------
@few
@given(tensors(2, 3, 3), tensors(2, 3, 3, 2))
def test_a_projected_graph_is_in_the_polytope_and_stays_there(nodes, edges):
    vocabulary = GraphVocabulary(("a", "b"), ("x",), 3)
    once = projections.polytope(nodes, edges)
    Graph(*once, vocabulary).check(1e-9)
    for first, second in zip(once, projections.polytope(*once), strict=True):
        torch.testing.assert_close(first, second, atol=1e-9, rtol=0)


@few
@given(tensors(1, 3, 3), tensors(1, 3, 3, 2), tensors(1, 3, 3), tensors(1, 3, 3, 2))
def test_no_other_graph_of_the_polytope_is_nearer(nodes, edges, other_nodes, other_edges):
    off_diagonal = ~torch.eye(3, dtype=torch.bool)

    def distance(one):
        return (one[0] - nodes).square().sum() + (one[1] - edges)[:, off_diagonal].square().sum()

    other = projections.polytope(other_nodes, other_edges)
    assert distance(projections.polytope(nodes, edges)) <= distance(other) + 1e-9


# -- orders of nodes -----------------------------------------------------------------------------------------------
@few
@given(graphs(), orders)
def test_invariants_do_not_depend_on_the_order_of_nodes(graph, order):
    moved = graph.permuted(order)
    assert torch.equal(graph_hashes(graph, 4), graph_hashes(moved, 4))
    assert same_graphs(graph, moved).all() and edit_distance(graph, moved).distance.item() == 0
    for invariant in (cycle_rank, is_connected, Graph.valence_violation):
        assert torch.equal(invariant(graph), invariant(moved))
    assert torch.equal(count_components(graph), count_components(moved))
    assert weisfeiler_lehman(graph, moved).item() == 0
    torch.testing.assert_close(graph.average().nodes, moved.average().nodes)


@few
@given(graphs(), orders)
def test_values_at_nodes_follow_the_order_of_nodes(graph, order):
    moved = graph.permuted(order)
    for colors in (lambda g: node_colors(g, 3)[-1], Graph.presence):
        assert torch.equal(colors(graph)[:, order], colors(moved))
    for pairs in (reachable, shortest_path_lengths):
        assert torch.equal(pairs(graph.labels()[1])[:, order][:, :, order], pairs(moved.labels()[1]))
    assert sorted(canonical_colors(graph)[0].tolist()) == sorted(canonical_colors(moved)[0].tolist())
    assert equal(moved.permuted(order.argsort()), graph)


# -- edits ---------------------------------------------------------------------------------------------------------
def undone(edits: Edits, nodes, edges) -> Edits:
    """Edits (E,) of the results that restore labels and edges (B, N) and (B, N, N) of the graphs before."""
    before_nodes, before_edges = nodes[edits.row], edges[edits.row]
    rows = torch.arange(len(edits))
    label = torch.where(edits.node >= 0, before_nodes.gather(1, edits.node.clamp_min(0)), -1)
    i, j = edits.pair.clamp_min(0).unbind(-1)
    edge = torch.where(edits.edge >= 0, before_edges[rows[:, None], i, j], -1)
    return Edits(rows, edits.kind, edits.node, label, edits.pair, edge)


@few
@given(graphs(count=2))
def test_every_edit_changes_the_graph_and_can_be_undone(graph):
    nodes, edges = (labels.long() for labels in graph.labels())
    kinds = tuple(kind for kind in KINDS if kind != "remove node")  # its edges are lost
    edits = all_edits(graph, kinds)
    new_nodes, new_edges = edits.apply(nodes, edges, graph.vocabulary)
    changed = (new_nodes != nodes[edits.row]).any(1) | (new_edges != edges[edits.row]).flatten(1).any(1)
    assert changed.all()
    old_nodes, old_edges = undone(edits, nodes, edges).apply(new_nodes, new_edges, graph.vocabulary)
    assert torch.equal(old_nodes, nodes[edits.row]) and torch.equal(old_edges, edges[edits.row])


@few
@given(graphs())
def test_a_removed_node_comes_back_by_adding_it_and_its_edges(graph):
    nodes, edges = (labels.long() for labels in graph.labels())
    edits = all_edits(graph, ("remove node",))
    new_nodes, new_edges = edits.apply(nodes, edges, graph.vocabulary)
    for row, i in enumerate(edits.node[:, 0].tolist()):
        assert new_nodes[row, i] == 0 and new_edges[row, i].eq(0).all() and new_edges[row, :, i].eq(0).all()
        back, links = new_nodes[row].clone(), new_edges[row].clone()
        back[i], links[i], links[:, i] = nodes[0, i], edges[0, i], edges[0, :, i]
        assert torch.equal(back, nodes[0]) and torch.equal(links, edges[0])


@few
@given(graphs(), st.integers(0, 4), st.integers(0, 100))
def test_random_edits_take_no_more_steps_than_asked(graph, count, seed):
    drawn = random_edits(graph, torch.tensor([count]), torch.Generator().manual_seed(seed))
    assert edit_distance(graph, drawn).distance.item() <= 2 * count  # adding a leaf is two edits: a node and an edge


# -- round trips ---------------------------------------------------------------------------------------------------
@few
@given(graphs(count=3))
def test_networkx_and_edge_lists_give_the_graphs_back(graph):
    through = from_networkx(to_networkx(graph), VOCABULARY), from_edge_lists(to_edge_lists(graph), VOCABULARY)
    assert equal(*through) and same_graphs(graph, through[0]).all()
    assert all(isomorphic(*pair) for pair in zip(to_networkx(graph), to_networkx(through[0]), strict=True))


@few
@given(graphs(vocabulary=MOLECULES))
def test_smiles_give_valid_molecules_back(graph):
    (smiles,) = to_smiles(graph)
    assert is_valid(graph).item() == (smiles is not None)
    if smiles is not None and nx.is_forest(to_networkx(graph)[0]):  # without rings there is one Kekule form
        again = from_smiles(smiles, None)
        assert to_smiles(again) == [smiles]
        if set(again.vocabulary.node_labels) <= set(MOLECULES.node_labels):  # RDKit writes N(=O)=O with charges
            assert same_graphs(graph, from_smiles(smiles, MOLECULES)).all()


# -- distances -----------------------------------------------------------------------------------------------------
@few
@given(graphs(count=3))
def test_edit_distance_is_a_metric(graph):
    a, b, c = graph
    found = {
        name: edit_distance(*pair) for name, pair in {"ab": (a, b), "ba": (b, a), "bc": (b, c), "ac": (a, c)}.items()
    }
    assert all(one.proven.all() for one in found.values())
    ab, ba, bc, ac = (one.distance.item() for one in found.values())
    assert ab == ba and ac <= ab + bc and edit_distance(a, a).distance.item() == 0
    assert (ab == 0) == same_graphs(a, b).item()


@few
@given(graphs(count=2), orders)
@pytest.mark.parametrize("name", distances_for(VOCABULARY))
def test_known_distances_are_symmetric_and_zero_for_isomorphic_graphs(name, graph, order):
    distance = distances_for(VOCABULARY)[name]
    a, b = graph
    torch.testing.assert_close(distance(a, b), distance(b, a))
    assert distance(a, a.permuted(order)).item() == pytest.approx(0, abs=1e-6)
