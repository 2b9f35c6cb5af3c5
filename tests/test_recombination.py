"""Recombination and search under a local psi: parts against networkx, joins, and unseen graphs found again."""

import itertools

import networkx as nx
import pytest
import torch
from conftest import random_vertices

from elekit.decoding import Candidates, DecodeConfig, RecombinationConfig, decode, recombine
from elekit.decoding.local_search import LocalSearchConfig, local_search
from elekit.graphs.edits import ALL_KINDS, all_edits
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.parts import join, parts_of, pieces_of
from elekit.graphs.prior import GraphPrior
from elekit.model.edit_estimates import EditEstimates
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding

NAMES = GraphVocabulary(tuple("abcd"), ("thin", "thick"), 24)


def local_psi(vocabulary=NAMES, walks=6, rounds=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = EmbeddingConfig(hidden=24, rounds=rounds, dim=96, walks=walks, shape="local")
        return GraphEmbedding(vocabulary, config).eval().requires_grad_(False)


def random_graph(seed, nodes=12):
    """Rings and chains, joined by bridges, with random labels."""
    generator = torch.Generator().manual_seed(seed)

    def draw(names):
        return names[int(torch.randint(len(names), (), generator=generator))]

    graph = nx.Graph()
    while len(graph) < nodes:
        piece = (
            nx.cycle_graph(int(torch.randint(3, 7, (), generator=generator))) if draw((0, 1)) else nx.path_graph(2)
        )
        before = list(graph)
        graph = nx.disjoint_union(graph, piece)
        if before:
            graph.add_edge(draw(before), len(graph) - 1)
    nx.set_node_attributes(graph, {node: draw("abcd") for node in graph}, "label")
    nx.set_edge_attributes(graph, {edge: draw(("thin", "thin", "thick")) for edge in graph.edges}, "label")
    return graph


def matches(one, other):
    node_match, edge_match = nx.isomorphism.categorical_node_match("label", ""), nx.isomorphism.categorical_edge_match
    return nx.is_isomorphic(one, other, node_match, edge_match("label", ""))


def networkx_of(packed):
    (graph,) = [nx.Graph() for _ in range(len(packed))]
    for i, label in enumerate(packed.node_labels.tolist()):
        graph.add_node(i, label="abcd"[label - 1])
    for i, j, label in zip(*packed.pairs.tolist(), packed.edge_labels.tolist()):
        graph.add_edge(i, j, label=("thin", "thick")[label - 1])
    return graph


def test_parts_are_the_two_sides_of_each_bridge():
    graphs = [random_graph(seed) for seed in range(12)] + [nx.disjoint_union(random_graph(1), random_graph(2))]
    packed = PackedGraphs.of(from_networkx(graphs[:-1], NAMES))
    packed = PackedGraphs.cat(
        [packed, PackedGraphs.of(from_networkx(graphs[-1:], GraphVocabulary("abcd", ("thin", "thick"), 60)))]
    )
    parts, seen = parts_of(packed), {}
    for f in range(len(parts)):
        b = int(parts.graph[f])
        first = int(packed.offsets[b])
        own = frozenset((parts.nodes[parts.offsets[f] : parts.offsets[f + 1]] - first).tolist())
        assert int(parts.end[f]) - first in own
        seen.setdefault(b, set()).add((own, int(parts.end[f]) - first, int(parts.kind[f])))
    for b, graph in enumerate(graphs):
        wanted = set()
        for i, j in nx.bridges(graph):
            cut = graph.copy()
            cut.remove_edge(i, j)
            kind = ("thin", "thick").index(graph.edges[i, j]["label"]) + 1
            for end in (i, j):
                rest = set(nx.node_connected_component(graph, i))
                side = set(nx.node_connected_component(cut, end))
                wanted.add((frozenset(side & rest), end, kind))
        assert seen.get(b, set()) == wanted


def test_pieces_are_what_bridges_leave_with_the_neighbors_across_them():
    graphs = [random_graph(seed) for seed in range(8)]
    wanted = []
    for graph in graphs:
        bridges = list(nx.bridges(graph))
        inner = graph.copy()
        inner.remove_edges_from(bridges)
        for own in nx.connected_components(inner):
            piece = nx.Graph(graph.subgraph(own))
            for across, (i, j) in enumerate(pair for pair in bridges if own & set(pair)):
                near, far = (i, j) if i in own else (j, i)
                piece.add_node(("across", across), label=graph.nodes[far]["label"])
                piece.add_edge(near, ("across", across), label=graph.edges[i, j]["label"])
            wanted.append(piece)
    distinct = []
    for one in wanted:
        distinct += [] if any(matches(one, other) for other in distinct) else [one]
    found = [networkx_of(one) for one in pieces_of(PackedGraphs.of(from_networkx(graphs, NAMES)), 1000)]
    assert len(found) == len(distinct)
    assert all(any(matches(one, other) for other in distinct) for one in found)
    counts = [sum(matches(one, other) for other in wanted) for one in found]
    assert counts == sorted(counts, reverse=True)


def test_graphs_grow_from_pieces_without_candidates():
    psi = local_psi()
    known = PackedGraphs.of(from_networkx([random_graph(seed, 8) for seed in range(60)], NAMES))
    psi.prior, truths = GraphPrior.of(known), known[:6]
    found = decode(psi, psi(truths))
    assert sum(matches(networkx_of(PackedGraphs.of(found.graphs[b])), networkx_of(truths[b])) for b in range(6)) >= 4
    alone, loss = recombine(psi, psi(truths), None, k=2)
    torch.testing.assert_close((psi(alone) - psi(truths).repeat_interleave(2, 0)).square().sum(1), loss.flatten())
    psi.prior = None
    with pytest.raises(ValueError, match="growth"):
        decode(psi, psi(truths), config=DecodeConfig("growth"))


def test_joining_the_two_sides_of_a_bridge_gives_the_graph_back():
    graphs = [random_graph(seed) for seed in range(6)]
    packed = PackedGraphs.of(from_networkx(graphs, NAMES))
    parts = parts_of(packed)
    even = torch.arange(0, len(parts), 2)
    children = join(packed, parts, even, even + 1).check()
    for c, f in enumerate(even.tolist()):
        assert matches(networkx_of(children[c]), graphs[int(parts.graph[f])])


def test_a_graph_made_of_parts_of_two_candidates_is_found():
    psi = local_psi()
    packed = PackedGraphs.of(from_networkx([random_graph(seed) for seed in range(30)], NAMES))
    parts = parts_of(packed)
    fits = [
        (f, g) for f, g in itertools.combinations(range(len(parts)), 2)
        if parts.graph[f] != parts.graph[g] and parts.kind[f] == parts.kind[g]
        and 8 <= parts.sizes[f] + parts.sizes[g] <= 20
    ]  # fmt: skip
    left, right = torch.tensor(fits)[torch.randperm(len(fits), generator=torch.Generator().manual_seed(0))[:20]].T
    truths = join(packed, parts, left, right)
    found, loss = recombine(psi, psi(truths), Candidates.of(psi, packed), k=2)
    assert loss.shape == (20, 2)
    assert (loss.diff(dim=1) >= 0).all()
    hits = sum(matches(networkx_of(found[2 * b]), networkx_of(truths[b])) for b in range(20))
    assert hits >= 15
    torch.testing.assert_close((psi(found) - psi(truths).repeat_interleave(2, 0)).square().sum(1), loss.flatten())
    off, _ = recombine(psi, psi(truths), Candidates.of(psi, packed), config=RecombinationConfig(generations=0))
    assert sum(matches(networkx_of(off[b]), networkx_of(truths[b])) for b in range(20)) == 0


def test_children_keep_to_the_size_and_capacities_of_the_vocabulary():
    narrow = GraphVocabulary(tuple("abcd"), ("thin", "thick"), 16, capacity=(5, 6, 7, 9), order=(1, 2))
    graphs = from_networkx([random_graph(seed, 10) for seed in range(40)], narrow)
    graphs = PackedGraphs.of(graphs[graphs.valence_violation() == 0])
    assert len(graphs) >= 5
    psi = local_psi(narrow)
    target = torch.nn.functional.normalize(torch.randn(4, 96, generator=torch.Generator().manual_seed(0)), dim=1)
    found, _ = recombine(psi, target, Candidates.of(psi, graphs), k=10)
    assert found.check().sizes.max() <= 16
    assert (found.valence_violation() == 0).all()


@pytest.mark.parametrize("count", [1, 3])
def test_few_candidates_without_bridges(count):
    psi = local_psi()
    ring = nx.cycle_graph(5)
    nx.set_node_attributes(ring, "a", "label")
    nx.set_edge_attributes(ring, "thin", "label")
    graphs = PackedGraphs.of(from_networkx([ring] * count, NAMES))
    found, loss = recombine(psi, psi(graphs[:1]), Candidates.of(psi, graphs), k=4)
    assert len(found) == 4
    assert loss.max() < 1e-9


@pytest.mark.parametrize(("walks", "rounds"), [(2, 3), (6, 3), (6, 0)])
def test_estimates_of_edits_are_exact_at_the_depth_of_psi(walks, rounds, generator):
    vocabulary = GraphVocabulary(("a", "b", "c"), ("thin", "thick"), 7)
    psi = local_psi(vocabulary, walks=walks, rounds=rounds)
    off = []
    for graph in random_vertices(vocabulary, 4, generator):
        nodes, edges = graph.labels()
        edits = all_edits(graph, ALL_KINDS)
        exact = psi(Graph.from_labels(*edits.apply(nodes, edges, vocabulary), vocabulary))
        estimates = EditEstimates(psi, nodes[0], edges[0])
        torch.testing.assert_close(estimates.points(edits), exact)
        off.append((estimates.points(edits, 0) - exact).abs().max())
    assert max(off) > 1e-3


def test_local_search_finds_a_graph_one_edit_away_again():
    psi = local_psi()
    truths = from_networkx([random_graph(seed, 14) for seed in range(8)], NAMES)
    nodes, edges = truths.labels()
    edits = all_edits(truths)
    order = torch.randperm(len(edits), generator=torch.Generator().manual_seed(0))
    chosen = order[[int((edits.row[order] == b).nonzero()[0, 0]) for b in range(len(truths))]]
    starts = Graph.from_labels(*edits[chosen].apply(nodes, edges, NAMES), NAMES)
    found, _ = local_search(psi, psi(truths), starts, config=LocalSearchConfig(tolerance=-1))
    assert (found.loss < 1e-6).sum() >= 7


def test_decoding_recombines_candidates_under_a_local_psi():
    psi = local_psi()
    graphs = PackedGraphs.of(from_networkx([random_graph(seed) for seed in range(30)], NAMES))
    parts = parts_of(graphs)
    right = next(f for f in range(len(parts)) if parts.graph[f] > 3 and parts.kind[f] == parts.kind[0])
    truth = join(graphs, parts, torch.tensor([0]), torch.tensor([right]))
    decoded, traces = decode(psi, psi(truth), candidates=Candidates.of(psi, graphs.dense()), record=True)
    assert matches(networkx_of(PackedGraphs.of(decoded)), networkx_of(truth))
    assert traces[0].stopped == "best recombination of 30 candidates"
    plain = DecodeConfig(method="candidates")
    nearest, _ = decode(psi, psi(truth), candidates=Candidates.of(psi, graphs.dense()), config=plain)
    assert not matches(networkx_of(PackedGraphs.of(nearest)), networkx_of(truth))
