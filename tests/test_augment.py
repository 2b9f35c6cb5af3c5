"""Random edits, softening and shuffling of graphs."""

from dataclasses import replace

import networkx as nx
import pytest
import torch
from conftest import equal, isomorphic, random_vertices

from elekit.graphs import augment
from elekit.graphs.edit_distance import edit_distance
from elekit.graphs.edit_distance import isomorphic as same_graphs
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, to_networkx
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import from_smiles, is_valid

SMALL = ["C", "CC", "CCO", "C=O", "C#N", "c1ccccc1", "CC(C)(C)C", "OCC1CC1", "C1CCCCC1", "FC(F)F", "NC=O", "CC#N"]


@pytest.fixture
def molecules():
    return from_smiles(SMALL * 20)


@pytest.fixture
def fitting(vocabulary, generator):
    """Discrete graphs within their capacities."""
    drawn = random_vertices(vocabulary, 600, generator, density=0.3)
    return drawn[drawn.valence_violation() == 0][:200]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def counts(graph, many):
    return torch.full((len(graph),), many)


def kind_of_edit(before, after):
    """What one edit made of a graph, from node labels (N,) and edge labels (N, N); None if it was not one edit."""
    (nodes, edges), (new_nodes, new_edges) = before, after
    touched = [i for i in range(len(nodes)) if nodes[i] != new_nodes[i]]
    pairs = [(i, j) for i in range(len(nodes)) for j in range(i) if edges[i, j] != new_edges[i, j]]
    if len(touched) == 0 and len(pairs) == 1:
        return "edge" if all(nodes[i] > 0 for i in pairs[0]) else None
    if len(touched) != 1:
        return None
    i = touched[0]
    if nodes[i] > 0 and new_nodes[i] > 0:
        return "relabel" if not pairs else None
    elsewhere = any(i not in pair for pair in pairs)
    if nodes[i] == 0:  # hung on a node that was there
        hosts = [j for j in range(len(nodes)) if new_edges[i, j] > 0]
        return "add" if len(hosts) == 1 and nodes[hosts[0]] > 0 and not elsewhere else None
    return "remove" if (edges[i] > 0).sum() <= 1 and not new_edges[i].any() and not elsewhere else None


def test_one_edit_is_one_edit_of_every_kind(fitting, generator):
    edited = augment.random_edits(fitting, counts(fitting, 1), generator)
    kinds = []
    for b in range(len(fitting)):
        before, after = (tuple(t[0] for t in g[b].labels()) for g in (fitting, edited))
        stuck = all(torch.equal(*pair) for pair in zip(before, after, strict=True))
        kinds.append("stuck" if stuck else kind_of_edit(before, after))
    assert set(kinds) - {"stuck"} == {"relabel", "edge", "add", "remove"}
    assert kinds.count("stuck") < 0.05 * len(kinds)  # 8 draws that found no place


def test_no_node_with_two_edges_is_removed(generator):
    """A ring has no leaf: what an edit leaves has all its nodes."""
    rings = from_networkx([nx.cycle_graph(4)] * 300, max_nodes=5)
    edited = augment.random_edits(rings, counts(rings, 1), generator)
    assert not equal(edited, rings) and edited.presence().sum(1).min() == 4


@pytest.mark.parametrize("many", [1, 3, 6])
def test_edits_stay_vertices_within_capacities(fitting, molecules, generator, many):
    for graph in (fitting, molecules):
        edited = augment.random_edits(graph, counts(graph, many), generator).check()
        assert equal(edited.rounded(), edited)
        assert (edited.presence().sum(1) >= 1).all() and edited.valence_violation().max() == 0
        assert not equal(edited, graph)


def test_edited_molecules_are_molecules(generator):
    molecules = from_smiles(SMALL * 20, aromatic=False)  # bonds labeled "aromatic" anywhere are graphs, not molecules
    assert is_valid(augment.random_edits(molecules, counts(molecules, 4), generator)).all()


def test_only_the_asked_number_of_edits_is_made(fitting, generator):
    """0 changes nothing, and the rows without edits stay as they are beside rows that have some."""
    assert equal(augment.random_edits(fitting, counts(fitting, 0), generator), fitting)
    mixed = torch.arange(len(fitting)) % 2
    edited = augment.random_edits(fitting, mixed, generator)
    assert equal(edited[mixed == 0], fitting[mixed == 0])
    changed = (edited.nodes != fitting.nodes).flatten(1).any(1) | (edited.edges != fitting.edges).flatten(1).any(1)
    assert not changed[mixed == 0].any() and changed[mixed == 1].float().mean() > 0.95


def test_an_empty_batch_and_a_lone_node(vocabulary, generator):
    none = Graph.from_labels(torch.zeros(0, 5), torch.zeros(0, 5, 5), vocabulary)
    assert len(augment.random_edits(none, counts(none, 2), generator)) == 0
    single = GraphVocabulary(("x",), ("e",), 1)
    lone = Graph.from_labels(torch.ones(4, 1), torch.zeros(4, 1, 1), single)
    assert equal(augment.random_edits(lone, counts(lone, 3), generator), lone)  # there is no edit of it


def test_the_empty_graph_is_left_alone(vocabulary, generator):
    """There is no node to relabel or to hang another one on, capacities or not."""
    nothing = Graph.from_labels(torch.zeros(200, 5), torch.zeros(200, 5, 5), vocabulary)
    assert equal(augment.random_edits(nothing, counts(nothing, 3), generator), nothing)
    assert len(augment.random_edits(PackedGraphs.of(nothing), counts(nothing, 3), generator).node_labels) == 0


# -- packed graphs -------------------------------------------------------------------------------------------------
def test_edits_of_packed_graphs_are_edits_within_capacities(fitting, molecules, generator):
    for graph in (fitting, molecules):
        packed = PackedGraphs.of(graph)
        once = augment.random_edits(packed, counts(graph, 1), generator).check()
        assert (edit_distance(packed[:60], once[:60]).distance <= 2).all()  # a node and its edge
        assert (~same_graphs(packed, once)).float().mean() > 0.6
        often = augment.random_edits(packed, counts(graph, 5), generator).check()
        assert often.valence_violation().max() == 0 and often.sizes.min() >= 1
        assert often.sizes.max() == graph.vocabulary.max_nodes
    none = packed[:0]
    assert len(augment.random_edits(none, counts(none, 2), generator)) == 0


def test_new_labels_are_drawn_by_frequency(generator):
    """Relabeled and added nodes, but for the label that a node has."""
    vocabulary = GraphVocabulary(tuple("abcd"), ("e",), 3)
    packed = PackedGraphs.of(Graph.from_labels(torch.ones(6_000, 1), torch.zeros(6_000, 1, 1), vocabulary))
    frequencies = torch.tensor([5.0, 2, 1, 1, 0])
    edited = augment.random_edits(packed, counts(packed, 1), generator, frequencies)
    relabeled = edited[edited.sizes == 1].node_labels
    relabeled = relabeled[relabeled > 1].bincount(minlength=5) / (relabeled > 1).sum()
    added = edited[edited.sizes == 2].node_labels.reshape(-1, 2).amax(1).bincount(minlength=5)
    torch.testing.assert_close(relabeled, torch.tensor([0, 0, 0.5, 0.5, 0]), atol=0.05, rtol=0)
    torch.testing.assert_close(added / added.sum(), torch.tensor([0, 0.5, 0.25, 0.25, 0]), atol=0.05, rtol=0)
    assert torch.equal(frequencies, torch.tensor([5.0, 2, 1, 1, 0]))


def test_packed_graphs_soften_what_they_hold_and_a_bounded_number_of_pairs(fitting, molecules, generator):
    for graph in (fitting, molecules):
        packed = PackedGraphs.of(graph)
        amounts = torch.linspace(0, 1, len(graph))
        soft = augment.softened(packed, amounts, generator)
        soft.dense().check(1e-5)
        room = graph.vocabulary.max_nodes - packed.sizes
        added = (soft.sizes - packed.sizes)[1:]
        assert torch.equal(added, room.clamp_max(augment.SOFT_NODES)[1:]) and soft.sizes[0] == packed.sizes[0]
        pairs = soft.sizes * (soft.sizes - 1) // 2
        listed, held = soft.pair_offsets.diff(), packed.pair_offsets.diff()
        assert listed[0] == held[0] and (listed <= held + augment.SOFT_PAIRS * soft.sizes).all()
        small = (soft.sizes <= 2 * augment.SOFT_PAIRS + 1) & (amounts > 0)
        assert torch.equal(listed[small], pairs[small])  # all of them
        slots = soft.slots()
        moved = (soft.dense(slots).edges - packed.dense(slots).edges).abs().sum(-1) / 2
        assert (moved <= amounts[:, None, None] + 1e-5).all()
        nodes = (soft.dense(slots).nodes - packed.dense(slots).nodes).abs().sum(-1) / 2
        assert (nodes <= amounts[:, None] + 1e-5).all()
        assert equal(augment.softened(packed, torch.zeros(len(graph)), generator), packed)


def test_views_of_packed_graphs_do_not_depend_on_free_slots(molecules):
    """Ghost nodes do not grow with the limit of the vocabulary."""
    packed, amounts = PackedGraphs.of(molecules), torch.full((len(molecules),), 0.5)
    roomy = replace(packed, vocabulary=replace(packed.vocabulary, max_nodes=500))
    soft = augment.softened(roomy, amounts, seeded(0))
    assert len(soft.nodes) <= len(packed.node_labels) + augment.SOFT_NODES * len(packed)
    assert len(soft.edges) <= len(packed.edge_labels) + augment.SOFT_PAIRS * len(soft.nodes)


def test_softened_stays_in_the_polytope_between_the_graph_and_noise(fitting, generator):
    amounts = torch.linspace(0, 1, len(fitting))
    soft = augment.softened(fitting, amounts, generator).check(1e-5)
    moved = (soft.nodes - fitting.nodes).abs().sum(-1) / 2  # total variation of each row
    assert (moved <= amounts[:, None] + 1e-5).all() and (moved[-20:].mean(1) > 0.3).all()
    moved = (soft.edges - fitting.edges).abs().sum(-1) / 2
    assert (moved <= amounts[:, None, None] + 1e-5).all() and (moved[-20:].mean((1, 2)) > 0.2).all()


def test_softened_by_nothing_is_the_same_graph(fitting, relaxed, generator):
    for graph in (fitting, relaxed):
        assert equal(augment.softened(graph, torch.zeros(len(graph)), generator), graph)


def test_softening_noise_is_uniform_on_the_simplex(vocabulary, generator):
    """Each coordinate of a uniform point of the K-simplex has mean 1/K and variance (K-1) / K^2 (K+1)."""
    vertices = random_vertices(vocabulary, 4_000, generator)
    noise = augment.softened(vertices, torch.ones(4_000), generator)
    i, j = torch.triu_indices(5, 5, 1)
    for rows, K in ((noise.nodes.flatten(0, 1), 4), (noise.edges[:, i, j].flatten(0, 1), 3)):
        torch.testing.assert_close(rows.mean(0), torch.full((K,), 1 / K), atol=0.01, rtol=0)
        torch.testing.assert_close(rows.var(0), torch.full((K,), (K - 1) / (K * K * (K + 1))), atol=0.003, rtol=0)


def test_shuffled_is_isomorphic(vertices, generator):
    shuffled = augment.shuffled(vertices, generator)
    assert not equal(shuffled, vertices)
    for before, after in zip(to_networkx(vertices), to_networkx(shuffled), strict=True):
        assert isomorphic(before, after)


def test_every_order_of_nodes_is_drawn(generator):
    path = nx.path_graph(3)
    nx.set_node_attributes(path, {0: "a", 1: "b", 2: "c"}, "label")
    shuffled = augment.shuffled(from_networkx([path] * 100), generator)
    assert len({tuple(row) for row in shuffled.labels()[0].tolist()}) == 6


VIEWS = {
    "edits": lambda g, source: augment.random_edits(g, counts(g, 2), source),
    "softened": lambda g, source: augment.softened(g, torch.full((len(g),), 0.5), source),
    "shuffled": augment.shuffled,
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_depend_on_their_generator_alone(fitting, name):
    view = VIEWS[name]
    untouched = Graph(fitting.nodes.clone(), fitting.edges.clone(), fitting.vocabulary)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    one = view(fitting, seeded(5))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert equal(view(fitting, seeded(5)), one)
    assert not equal(view(fitting, seeded(6)), one)
    assert equal(fitting, untouched)
