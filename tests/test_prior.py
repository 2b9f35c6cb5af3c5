"""What decoding knows of the training graphs: types, links and connectedness, against enumeration."""

import json
import random
from dataclasses import replace

import networkx as nx
import pytest
import torch
from conftest import random_vertices

from elekit.decoding import DecodeConfig, GradientConfig, LocalSearchConfig, decode
from elekit.evaluation.judging import evaluate, summarize
from elekit.graphs.constraints import Constraints
from elekit.graphs.edits import ALL_KINDS, all_edits
from elekit.graphs.features import is_connected
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists, from_networkx
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.prior import GraphPrior
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding

NAMES = GraphVocabulary(("a", "b"), ("thin", "thick"), 8)


def types_and_links(graphs):
    """Per graph, the sets of types and links of its nodes."""
    found = []
    for offsets, nodes, pairs, edges in (one.lists() for one in PackedGraphs.of(graphs)):
        ends = [[] for _ in range(int(offsets[-1]))]
        for i, j, label in zip(*pairs.tolist(), edges.tolist()):
            ends[i].append(label)
            ends[j].append(label)
        types = [(label, tuple(sorted(own))) for label, own in zip(nodes.tolist(), ends)]
        links = [(*sorted((types[i], types[j])), label) for i, j, label in zip(*pairs.tolist(), edges.tolist())]
        found.append((set(types), set(links)))
    return found


def labeled(graph, node="a", edge="thin"):
    nx.set_node_attributes(graph, node, "label")
    nx.set_edge_attributes(graph, edge, "label")
    return graph


def rings_and_chains():
    graphs = [labeled(make(n)) for n in (4, 5, 6) for make in (nx.cycle_graph, nx.path_graph)]
    return from_networkx(graphs * 2, NAMES)


def small_psi(graphs, shape="local"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = EmbeddingConfig(hidden=16, rounds=3, dim=48, walks=5, shape=shape)
        psi = GraphEmbedding(graphs.vocabulary, config).eval().requires_grad_(False)
    psi.prior, psi.typical = GraphPrior.of(PackedGraphs.of(graphs)), graphs.average()
    return psi


def test_edits_to_new_types_and_links_are_left_out(generator):
    seen = random_vertices(NAMES, 12, generator)
    seen = Graph.cat([seen, seen])  # nothing is in one graph alone
    prior = GraphPrior.of(PackedGraphs.of(seen))
    known = [set().union(*sets) for sets in zip(*types_and_links(seen))]
    assert [len(prior.types), len(prior.links)] == [len(one) for one in known]
    some = seen[:3]
    (nodes, edges), edits = some.labels(), all_edits(some, ALL_KINDS)
    results = Graph.from_labels(*edits.apply(nodes, edges, NAMES), NAMES)
    wanted = [types <= known[0] and links <= known[1] for types, links in types_and_links(results)]
    kept = prior.keeps(edits, nodes, edges).tolist()
    assert kept == [e for e, good in enumerate(wanted) if good]
    assert 10 < len(kept) < len(edits) - 10


def test_what_most_graphs_have_alone_excludes_nothing():
    different = from_networkx([labeled(nx.star_graph(n)) for n in range(1, 7)], NAMES)
    prior = GraphPrior.of(PackedGraphs.of(different))
    assert len(prior.types) == len(prior.links) == 0
    edits = all_edits(different[:2])
    assert len(prior.keeps(edits, *different[:2].labels())) == len(edits)


def test_a_prior_survives_json(generator):
    prior = GraphPrior.of(PackedGraphs.of(random_vertices(NAMES, 20, generator)))
    again = GraphPrior.from_json(prior.to_json(), NAMES)
    assert again.to_json() == prior.to_json()
    with pytest.raises(ValueError, match="types"):
        GraphPrior.from_json({**prior.to_json(), "types": [0.5]}, NAMES)


def test_connected_data_have_connected_answers(generator):
    graphs = rings_and_chains()
    target = torch.nn.functional.normalize(torch.randn(6, 48, generator=generator), dim=1)
    for shape in ("local", "global"):
        psi = small_psi(graphs, shape)
        assert psi.prior.constraints.connected
        for method in ("gradient", "gradient+polish"):
            config = DecodeConfig(method, gradient=GradientConfig(iterations=10))
            assert is_connected(decode(psi, target, config=config).alternatives).all()
        pieces = random_vertices(NAMES, 6, generator)
        pieces = replace(pieces, edges=torch.zeros_like(pieces.edges).index_fill(3, torch.tensor([0]), 1))
        found = decode(psi, target, start=pieces, config=DecodeConfig("rounded"))
        assert is_connected(found.graphs).all()
        assert (found.graphs.nodes == pieces.nodes).all()
    psi.prior = replace(psi.prior, constraints=Constraints())
    assert not is_connected(decode(psi, target, start=pieces, config=DecodeConfig("rounded")).graphs).any()


def test_pieces_are_joined_by_their_most_probable_edges():
    relaxed = from_networkx([labeled(nx.empty_graph(3))], NAMES)
    edges = relaxed.edges.clone()
    for i, j, values in ((0, 1, (0.6, 0.1, 0.3)), (1, 2, (0.7, 0.2, 0.1)), (0, 2, (0.9, 0.05, 0.05))):
        edges[0, i, j] = edges[0, j, i] = torch.tensor(values)
    joined = Constraints(connected=True).rounded(replace(relaxed, edges=edges)).labels()[1][0]
    assert joined[0, 1] == 2
    assert joined[1, 2] == 1
    assert joined[0, 2] == 0


def test_pieces_are_no_valid_answer_where_the_truth_is_connected():
    whole = from_networkx([labeled(nx.path_graph(4)), labeled(nx.cycle_graph(4))], NAMES)
    pieces = from_networkx([labeled(nx.path_graph(4)), labeled(nx.empty_graph(4))], NAMES)
    table = evaluate(pieces, whole)
    assert table["connected"].tolist() == [True, False]
    assert summarize(table)["connected"] == 0.5
    assert "connected" not in evaluate(whole, whole)
    assert "connected" not in evaluate(pieces, pieces)


def test_sets_and_forests_stay_in_pieces():
    pairs = [labeled(nx.disjoint_union(nx.path_graph(2), nx.path_graph(n))) for n in (1, 2, 3)]
    forests = from_networkx(pairs * 2, NAMES)
    psi = small_psi(forests)
    assert not psi.prior.constraints.connected
    found = decode(psi, psi(forests), config=DecodeConfig(local_search=LocalSearchConfig(beam=4)))
    assert (found.loss < 1e-5).sum() >= 4


def test_relations_are_learned_where_there_are_no_links_and_new_ones_are_rare():
    """Stars around a hub: countless types of hubs, few relations."""
    kinds = "abcdefgh"
    names = GraphVocabulary(("hub", *kinds), tuple(f"has {kind}" for kind in kinds), 9, directed=(True,) * 8)

    def star(seed, kinds=kinds):
        leaves = random.Random(seed).choices(kinds, k=8)
        return ["hub", *leaves], [(0, i, f"has {leaf}") for i, leaf in enumerate(leaves, 1)]

    many = GraphPrior.of(PackedGraphs.of(from_edge_lists([star(seed) for seed in range(400)], names)))
    assert not len(many.links)
    assert set(many.constraints.relations) == {("hub", f"has {kind}", kind) for kind in kinds}
    again = GraphPrior.from_json(json.loads(json.dumps(many.to_json())), names)
    assert again.constraints == many.constraints
    few = GraphPrior.of(PackedGraphs.of(from_edge_lists([star(seed, kinds[seed]) for seed in range(8)], names)))
    assert few.constraints.relations is None  # each graph has a relation of its own: new ones will be common
