"""Distances that learn nothing: against networkx, RDKit, POT, slow loops and hand-made cases."""

import itertools
from collections import Counter

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import equal, padded, random_vertices
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import AllChem

from elekit.graphs import augment
from elekit.graphs.distances import distances_for, edit, fused_gromov_wasserstein, tanimoto, weisfeiler_lehman
from elekit.graphs.edit_distance import edit_distance
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, to_networkx
from elekit.graphs.smiles import from_smiles, kekule_forms, to_smiles
from elekit.graphs.weisfeiler_lehman import canonical_colors

LABELED = [edit, weisfeiler_lehman, fused_gromov_wasserstein]


@pytest.fixture
def others(vocabulary):
    return random_vertices(vocabulary, 40, torch.Generator().manual_seed(1))


@pytest.fixture
def molecules():
    return from_smiles(["CCO", "CC=O", "C1CC1C#N", "c1ccccc1", "CC(C)(C)N", "OCCN"])


def drawn(nodes: str, *edges: tuple[int, int, str]) -> Graph:
    """One graph of up to 4 nodes by its labels and edges."""
    graph = nx.Graph()
    graph.add_nodes_from((i, {"label": label}) for i, label in enumerate(nodes))
    graph.add_edges_from((i, j, {"label": label}) for i, j, label in edges)
    vocabulary = GraphVocabulary(("a", "b"), ("thin", "thick"), 4)
    if nodes:
        return from_networkx([graph], vocabulary)
    return Graph.from_labels(torch.zeros(1, 4), torch.zeros(1, 4, 4), vocabulary)


# -- all of them ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("distance", LABELED)
def test_a_distance_is_zero_of_one_graph_symmetric_and_knows_no_order(distance, vertices, others, generator):
    found = distance(vertices, others)
    assert found.shape == (40,) and found.dtype == torch.float64 and (found >= 0).all()
    assert (distance(vertices, augment.shuffled(vertices, generator)).abs() < 1e-12).all()
    again = distance(augment.shuffled(others, generator), padded(augment.shuffled(vertices, generator), 2))
    assert torch.allclose(found, again, atol=1e-12, rtol=0)
    assert len(found.unique()) > 4
    one_by_one = torch.cat([distance(a, b) for a, b in zip(vertices, others)])
    assert torch.allclose(found, one_by_one, atol=1e-12, rtol=0)


@pytest.mark.parametrize("distance", [*LABELED, tanimoto])
def test_inputs_stay_as_they_are_and_what_cannot_be_paired_is_refused(distance, molecules):
    before = molecules.nodes.clone(), molecules.edges.clone()
    assert distance(molecules[:0], molecules[:0]).shape == (0,)
    state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    distance(molecules, molecules)
    assert equal(molecules, Graph(*before, molecules.vocabulary))
    assert torch.equal(state[0], torch.random.get_rng_state()) and (state[1] == np.random.get_state()[1]).all()
    with pytest.raises(ValueError, match="batches of 6 and 5"):
        distance(molecules, molecules[:5])
    with pytest.raises(ValueError, match="vocabularies differ in node_labels"):
        distance(molecules, from_smiles(["CS"] * 6))


@pytest.mark.parametrize("distance", LABELED)
def test_single_nodes_parts_and_relaxed_graphs_have_distances(distance, relaxed):
    assert torch.equal(distance(relaxed, relaxed.rounded()), torch.zeros(len(relaxed), dtype=torch.float64))
    assert distance(drawn("a"), drawn("b")) > 0 and distance(drawn("a"), drawn("a")) == 0
    assert distance(drawn("aa"), drawn("aa", (0, 1, "thin"))) > 0
    assert distance(drawn("aab", (0, 1, "thin")), drawn("aba", (0, 2, "thin"))) == 0
    assert distance(drawn(""), drawn("")) == 0


def test_known_distances_are_those_that_apply(vocabulary, molecules):
    names = ["edit distance", "Weisfeiler-Lehman", "fused Gromov-Wasserstein"]
    assert list(distances_for(vocabulary)) == names
    assert list(distances_for(molecules.vocabulary)) == [*names, "Tanimoto"]
    for distance in distances_for(molecules.vocabulary).values():
        assert torch.isfinite(distance(molecules, molecules[[1, 2, 3, 4, 5, 0]])).all()


# -- edit distance -------------------------------------------------------------------------------------------------
def test_edit_distance_is_the_exact_one_and_nan_where_it_is_not_proven(vertices, others):
    assert edit(vertices, others).tolist() == edit_distance(vertices, others).distance.tolist()
    large = from_networkx([nx.random_regular_graph(4, 24, seed=seed) for seed in range(2)])
    unproven = edit(large[:1], large[1:], timeout=0.01)
    assert unproven.isnan().all() and unproven.shape == (1,)
    with pytest.raises(ValueError, match="timeout"):
        edit(vertices, others, timeout=-1)


# -- Weisfeiler-Lehman ---------------------------------------------------------------------------------------------
def subtrees(graph: nx.Graph) -> Counter:
    """Colors of 0 to 3 rounds, written out in full."""
    color, found = {i: graph.nodes[i]["label"] for i in graph}, Counter()
    for t in range(4):
        found.update((t, own) for own in color.values())
        color = {i: repr((color[i], sorted((graph.edges[i, j]["label"], color[j]) for j in graph[i]))) for i in graph}
    return found


def test_the_kernel_distance_is_that_of_a_loop(vertices, others):
    def kernel(one: Counter, other: Counter) -> int:
        return sum(count * other[color] for color, count in one.items())

    found = weisfeiler_lehman(vertices, others)
    for distance, *pair in zip(found.tolist(), to_networkx(vertices), to_networkx(others)):
        a, b = (subtrees(graph) for graph in pair)
        assert distance == pytest.approx(2 - 2 * kernel(a, b) / (kernel(a, a) * kernel(b, b)) ** 0.5, abs=1e-12)


def test_the_kernel_tells_what_the_hash_of_networkx_tells(vertices, others):
    found = weisfeiler_lehman(vertices, others)
    for i, pair in enumerate(zip(to_networkx(vertices), to_networkx(others))):
        one, other = (nx.weisfeiler_lehman_graph_hash(g, "label", "label", iterations=3) for g in pair)
        if one == other:
            assert found[i] == 0
    two = [nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))]
    assert weisfeiler_lehman(*from_networkx(two)) == 0  # what refinement cannot tell, the kernel cannot
    assert weisfeiler_lehman(drawn("a"), drawn("b")) == weisfeiler_lehman(drawn(""), drawn("a")) == 2


# -- fused Gromov-Wasserstein --------------------------------------------------------------------------------------
def test_transport_of_hand_made_pairs():
    def cost(*pair):
        return fused_gromov_wasserstein(*pair).item()

    assert cost(drawn("a"), drawn("b")) == 0.5  # (1 - alpha) for the label
    assert cost(drawn("aa"), drawn("aa", (0, 1, "thin"))) == 0.25  # alpha, and half of the draws of two nodes
    assert cost(drawn("a"), drawn("ab")) == 0.25
    assert cost(drawn("aa", (0, 1, "thin")), drawn("aa", (0, 1, "thick"))) == 0  # labels of edges do not count
    assert np.isnan(cost(drawn(""), drawn("a"))) and np.isnan(cost(drawn("a"), drawn("")))
    assert fused_gromov_wasserstein(drawn("a"), drawn("b"), alpha=0.2).item() == pytest.approx(0.8)
    for alpha in (0, 1):
        with pytest.raises(ValueError, match="alpha must lie between 0"):
            fused_gromov_wasserstein(drawn("a"), drawn("b"), alpha=alpha)


def test_transport_is_what_pot_finds_from_many_plans(vertices, others):
    """And never dearer than the best order of the nodes, where both have as many."""
    from ot import emd
    from ot.gromov import fused_gromov_wasserstein2

    generator, gaps, orders = np.random.default_rng(0), [], 0
    for found, a, b in zip(fused_gromov_wasserstein(vertices, others).tolist(), vertices, others):
        (labels, linked), (their_labels, their_linked) = (
            (nodes[0][nodes[0] > 0].numpy(), (edges[0] > 0)[nodes[0] > 0][:, nodes[0] > 0].numpy().astype(float))
            for nodes, edges in (a.labels(), b.labels())
        )
        weights = [np.full(len(own), 1 / len(own)) for own in (labels, their_labels)]
        differ = (labels[:, None] != their_labels).astype(float)
        plans = [np.outer(*weights), *(emd(*weights, generator.random(differ.shape)) for _ in range(12))]
        costs = [
            fused_gromov_wasserstein2(differ, linked, their_linked, *weights, alpha=0.5, G0=plan, max_iter=100)
            for plan in plans
        ]
        gaps.append(found - min(costs))
        if len(labels) == len(their_labels):
            orders += 1
            by_order = [
                differ[range(len(p)), p].mean() / 2 + np.square(linked - their_linked[np.ix_(p, p)]).mean() / 2
                for p in map(list, itertools.permutations(range(len(labels))))
            ]
            assert found <= min(by_order) + 1e-9
    assert np.quantile(gaps, 0.9) <= 1e-9 and max(gaps) < 0.05 and np.mean(gaps) < 0.002 and orders > 3


def test_neither_order_decides_where_descents_end(generator):
    """Larger graphs have many plans that no small step betters."""
    graphs = random_vertices(GraphVocabulary(("a",), ("edge",), 14), 60, generator, density=0.25)
    one, other = graphs[:30], graphs[30:]
    found = fused_gromov_wasserstein(one, other)
    again = fused_gromov_wasserstein(augment.shuffled(other, generator), augment.shuffled(one, generator))
    assert torch.allclose(found, again, atol=1e-12, rtol=0)


def test_every_node_has_a_canonical_color_of_its_own(vertices, generator):
    symmetric = from_networkx([nx.cycle_graph(8), nx.complete_graph(8), nx.petersen_graph(), nx.star_graph(7)])
    for graphs in (vertices, symmetric):
        colors, shuffled = canonical_colors(graphs), canonical_colors(augment.shuffled(graphs, generator))
        there = graphs.labels()[0] > 0
        assert ((colors != 0) == there).all()
        assert all(len(set(c[t].tolist())) == t.sum() for c, t in zip(colors, there))
        assert torch.equal(colors.sort(1).values, shuffled.sort(1).values)
        assert (fused_gromov_wasserstein(graphs, augment.shuffled(graphs, generator)).abs() < 1e-12).all()


# -- Tanimoto ------------------------------------------------------------------------------------------------------
def test_tanimoto_is_that_of_rdkit(molecules):
    written = to_smiles(molecules)
    with rdBase.BlockLogs():  # an older way to the same bits
        bits = [AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(s), 2, nBits=2048) for s in written]
    order = [3, 0, 5, 1, 2, 4]
    expected = [1 - DataStructs.TanimotoSimilarity(bits[i], bits[j]) for i, j in enumerate(order)]
    assert tanimoto(molecules, molecules[order]).tolist() == pytest.approx(expected)
    assert len(set(expected)) >= 3 and (tanimoto(molecules, molecules) == 0).all()


def test_two_drawings_of_one_molecule_lie_at_zero_and_what_is_no_molecule_nowhere(molecules):
    forms = kekule_forms("Cc1ccccc1C")
    assert tanimoto(forms[:1], forms[1:2]) == 0 and edit(forms[:1], forms[1:2]) > 0
    nodes, edges = (labels[:1].clone() for labels in molecules.labels())
    edges[edges == 1] = 3  # triple bonds all along
    broken = Graph.from_labels(nodes, edges, molecules.vocabulary)
    assert tanimoto(broken, molecules[:1]).isnan() and tanimoto(molecules[:1], broken).isnan()
    with pytest.raises(ValueError, match=r"needs molecules, these graphs have nodes \['a', 'b'\]"):
        tanimoto(drawn("a"), drawn("b"))
