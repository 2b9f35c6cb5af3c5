"""`Graph` and `GraphVocabulary`: in and out of networkx, checks, rounding, capacities."""

import json
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import equal, isomorphic, padded, random_relaxed, random_vertices

from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, to_networkx


def labeled(graph, nodes="a", edges="thin"):
    nx.set_node_attributes(graph, nodes, "label")
    nx.set_edge_attributes(graph, edges, "label")
    return graph


# -- networkx ------------------------------------------------------------------------------------------------------
def test_networkx_round_trip_keeps_every_graph(vocabulary, vertices):
    drawn = to_networkx(vertices)
    assert equal(from_networkx(drawn, vocabulary), vertices)
    for before, after in zip(drawn, to_networkx(from_networkx(drawn)), strict=True):
        assert isomorphic(before, after)


def test_names_of_nodes_do_not_matter(vocabulary):
    path = labeled(nx.path_graph(3))
    named = nx.relabel_nodes(path, {0: "x", 1: (2, 3), 2: 7})
    assert equal(from_networkx([named], vocabulary), from_networkx([path], vocabulary))


def test_missing_labels_get_the_default_and_other_attributes_are_named():
    plain = from_networkx([nx.path_graph(3)])
    assert (plain.vocabulary.node_labels, plain.vocabulary.edge_labels) == (("node",), ("edge",))
    colored = nx.Graph()
    colored.add_nodes_from([(0, {"color": "red"}), (1, {"color": 5})])
    colored.add_edge(0, 1, kind=2.0)
    made = from_networkx([colored], node_attribute="color", edge_attribute="kind", max_nodes=4).vocabulary
    assert (made.node_labels, made.edge_labels, made.max_nodes) == (("5", "red"), ("2",), 4)


def looped():
    graph = nx.path_graph(2)
    graph.add_edge(1, 1)
    return graph


FINE = nx.path_graph(2)
BAD = {
    "self-loop": (looped(), r"graph 1 has a self-loop at node 1; remove it"),
    "no nodes": (nx.Graph(), r"graph 1 has no nodes; remove"),
    "no graph": ("CCO", r"graph 1 is no networkx graph but a str; give a list"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_graph_is_named_with_the_mend(case):
    graph, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        from_networkx([FINE, graph])


def test_no_graphs_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        from_networkx([])


def test_a_lone_graph_instead_of_a_list_is_an_error():
    with pytest.raises(ValueError, match="give a list of networkx graphs"):
        from_networkx(nx.path_graph(3))


def test_what_does_not_fit_the_vocabulary_is_named(vocabulary):
    fine = labeled(nx.path_graph(5))
    with pytest.raises(ValueError, match="graph 1 has 6 nodes, the vocabulary allows 5; raise max_nodes"):
        from_networkx([fine, labeled(nx.path_graph(6))], vocabulary)
    with pytest.raises(ValueError, match="graph 1 has 3 nodes, the vocabulary allows 2; raise max_nodes"):
        from_networkx([nx.path_graph(2), nx.path_graph(3)], max_nodes=2)
    with pytest.raises(ValueError, match=r"graph 1 has the label 'z', unknown to the vocabulary \(nodes \['a'"):
        from_networkx([fine, labeled(nx.path_graph(2), "z")], vocabulary)
    with pytest.raises(ValueError, match=r"graph 0 has the label 'wire', unknown .* edges \['thin'"):
        from_networkx([labeled(nx.path_graph(2), "a", "wire")], vocabulary)


# -- vocabulary ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bare", [True, False])
def test_vocabulary_survives_json(vocabulary, bare):
    vocabulary = replace(vocabulary, capacity=None, order=None) if bare else vocabulary
    assert GraphVocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"node_labels": ()}, "node_labels must be distinct and not empty"),
        ({"edge_labels": ("x", "x")}, "edge_labels must be distinct"),
        ({"node_labels": tuple(map(str, range(1_001)))}, "at most 1000"),
        ({"max_nodes": 0}, "max_nodes must be at least 1"),
        ({"capacity": (1, 2)}, "capacity has 2 values for 1 labels"),
        ({"order": ()}, "order has 0 values for 1 labels"),
    ],
)
def test_vocabulary_refuses_nonsense(fields, message):
    with pytest.raises(ValueError, match=message):
        GraphVocabulary(**{"node_labels": ("a",), "edge_labels": ("e",), "max_nodes": 2, **fields})


def test_1000_labels_fit(generator):
    vocabulary = GraphVocabulary(tuple(map(str, range(1_000))), ("e",), 4)
    graphs = random_vertices(vocabulary, 5, generator)
    assert equal(from_networkx(to_networkx(graphs), vocabulary), graphs)


# -- shape and indexing --------------------------------------------------------------------------------------------
def test_tensors_that_do_not_fit_the_vocabulary_are_refused(vocabulary, relaxed):
    with pytest.raises(ValueError, match="do not fit the vocabulary"):
        Graph(relaxed.nodes[..., :3], relaxed.edges, vocabulary)
    with pytest.raises(ValueError, match="do not fit the vocabulary"):
        Graph(relaxed.nodes, relaxed.edges[:, :4], vocabulary)


@pytest.mark.parametrize("index", [3, np.int64(3), torch.tensor(3), -9, [3], slice(3, 4)])
def test_an_integer_gives_a_batch_of_one(relaxed, index):
    assert len(relaxed) == 12
    assert equal(relaxed[index], Graph(relaxed.nodes[3:4], relaxed.edges[3:4], relaxed.vocabulary))


def test_the_last_graph(relaxed):
    assert equal(relaxed[-1], relaxed[len(relaxed) - 1])


@pytest.mark.parametrize("index", [12, -13, np.int64(12)])
def test_out_of_range_is_an_index_error(relaxed, index):
    with pytest.raises(IndexError, match="of a batch of 12"):
        relaxed[index]


def test_iterating_and_joining_gives_the_batch_back(relaxed):
    assert equal(Graph.cat(list(relaxed)), relaxed)


def test_one_graph_of_one_node():
    lone = nx.Graph()
    lone.add_node(0, label="x")
    graph = from_networkx([lone]).check()
    assert (graph.nodes.shape, graph.edges.shape) == ((1, 1, 2), (1, 1, 1, 2))
    assert graph.presence().tolist() == [[1]] and graph.valence_violation().tolist() == [0]
    assert equal(graph.permuted(torch.tensor([0])), graph)
    assert isomorphic(to_networkx(graph)[0], lone)


# -- changing ------------------------------------------------------------------------------------------------------
def test_permuting_gives_isomorphic_graphs_and_can_be_undone(vertices, relaxed, generator):
    orders = torch.rand(len(vertices), 5, generator=generator).argsort(-1)
    for before, after in zip(to_networkx(vertices), to_networkx(vertices.permuted(orders)), strict=True):
        assert isomorphic(before, after)
    orders = orders[: len(relaxed)]
    assert not equal(relaxed.permuted(orders), relaxed)
    assert equal(relaxed.permuted(orders).permuted(orders.argsort(-1)), relaxed)
    one = torch.tensor([2, 0, 1, 4, 3])
    assert equal(relaxed.permuted(one)[3], relaxed[3].permuted(one))
    assert torch.equal(relaxed.permuted(one).edges[:, 0, 3], relaxed.edges[:, 2, 4])


def test_rounding_is_idempotent_and_keeps_vertices(vertices, relaxed):
    assert equal(vertices.rounded(), vertices)
    once = relaxed.rounded().check()
    assert equal(once.rounded(), once)
    assert once.nodes.unique().tolist() == once.edges.unique().tolist() == [0, 1]


def test_rounding_leaves_no_edge_at_absent_nodes(relaxed):
    assert (relaxed.nodes.argmax(-1) == 0).any()
    rounded = relaxed.rounded()
    absent = rounded.nodes[..., 0] == 1
    assert (rounded.edges[absent][..., 0] == 1).all()
    labels = relaxed.labels()[1]
    assert labels[absent].eq(0).all() and labels.transpose(1, 2)[absent].eq(0).all()


def test_rounding_takes_the_most_probable_channel_between_present_nodes(relaxed):
    nodes, edges = relaxed.rounded().labels()
    for b in range(len(relaxed)):
        for i in range(5):
            assert relaxed.nodes[b, i, nodes[b, i]] == relaxed.nodes[b, i].max()
            for j in range(5):
                if nodes[b, i] > 0 and nodes[b, j] > 0:
                    assert relaxed.edges[b, i, j, edges[b, i, j]] == relaxed.edges[b, i, j].max()


def test_nothing_changes_its_input(relaxed):
    before = Graph(relaxed.nodes.clone(), relaxed.edges.clone(), relaxed.vocabulary)
    relaxed.rounded(), relaxed.symmetrized(), relaxed.check(), relaxed.valence_violation()
    relaxed.permuted(torch.arange(5).flip(0))
    assert equal(relaxed, before)


def test_digest_tells_graphs_and_vocabularies_apart(vertices):
    other = replace(vertices.vocabulary, node_labels=("a", "b", "d"))
    digests = {
        vertices.digest(),
        vertices[:-1].digest(),
        vertices[torch.arange(len(vertices)).flip(0)].digest(),
        replace(vertices, vocabulary=other).digest(),
    }
    assert len(digests) == 4 and vertices[:].digest() == vertices.digest()


# -- check ---------------------------------------------------------------------------------------------------------
def broken(graph, where, value, tensor):
    changed = getattr(graph, tensor).clone()
    changed[where] = value
    return replace(graph, **{tensor: changed})


def test_check_passes_the_polytope(vertices, relaxed):
    assert relaxed.check() is relaxed and vertices.check() is vertices
    assert len(relaxed[:0].check()) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("tensor", ["nodes", "edges"])
def test_check_finds_what_is_not_finite(relaxed, tensor, value):
    with pytest.raises(ValueError, match=rf"{tensor} contain NaN or infinity in graph 7 \(1 of 12\); use finite"):
        broken(relaxed, (7, 1), value, tensor).check()


@pytest.mark.parametrize("tensor", ["nodes", "edges"])
def test_check_finds_rows_off_the_simplex(relaxed, tensor):
    message = rf"{tensor} rows are not on the simplex in graph 4 \(1 of 12\); use projections.polytope"
    for entries in ([0.5, 0.6], [1.5, -0.5]):  # a wrong sum, a negative entry
        row = torch.zeros(getattr(relaxed, tensor).shape[-1])
        row[:2] = torch.tensor(entries)
        with pytest.raises(ValueError, match=message):
            broken(relaxed, (4, 2, 3)[: 2 + (tensor == "edges")], row, tensor).check()


def test_check_finds_asymmetry_and_says_how_large(vertices):
    empty = torch.tensor([1.0, 0, 0])
    flat = broken(vertices, (slice(None), 0, 1), empty, "edges")
    flat = broken(flat, (slice(None), 1, 0), empty, "edges")
    bad = broken(flat, (3, 0, 1), torch.tensor([0.88, 0.12, 0]), "edges")
    bad = broken(bad, (5, 0, 1), torch.tensor([0.5, 0.5, 0]), "edges")
    message = r"edges are not symmetric, largest gap 0.12 in graph 3 \(2 of 40\); use Graph.symmetrized\(\)"
    with pytest.raises(ValueError, match=message):
        bad.check()
    assert bad.symmetrized().check()


def test_check_finds_self_loops(relaxed):
    bad = broken(relaxed, (2, 1, 1), torch.tensor([0.5, 0.5, 0]), "edges")
    with pytest.raises(ValueError, match=r"edge to itself in graph 2 \(1 of 12\); use Graph.symmetrized\(\)"):
        bad.check()
    assert bad.symmetrized().check()


# -- capacities ----------------------------------------------------------------------------------------------------
def violation_by_loop(graph):
    vocabulary, total = graph.vocabulary, []
    for b in range(len(graph)):
        over = 0.0
        present = [1 - row[0] for row in graph.nodes[b].tolist()]
        for i, row in enumerate(graph.nodes[b].tolist()):
            load = sum(
                order * graph.edges[b, i, j, r + 1].item() * present[j]
                for j in range(len(present))
                for r, order in enumerate(vocabulary.order)
            )
            capacity = sum(c * p for c, p in zip(vocabulary.capacity, row[1:], strict=True))
            over += max(0.0, present[i] * load - capacity)
        total.append(over)
    return total


def test_excess_equals_a_loop(vocabulary, vertices, generator):
    crowded = random_vertices(vocabulary, 20, generator, density=0.9)
    for graph in (vertices, crowded, random_relaxed(replace(vocabulary, capacity=(0.5, 1, 0)), 5, generator)):
        torch.testing.assert_close(
            graph.valence_violation(), torch.tensor(violation_by_loop(graph)), atol=1e-4, rtol=1e-4
        )
        assert graph.valence_violation().max() > 0


def test_excess_is_zero_exactly_when_capacities_are_respected(vocabulary, vertices):
    order, capacity = dict(zip(("thin", "thick"), (1, 2))), dict(zip("abc", (3, 2, 4)))
    fine = [
        all(sum(order[a["label"]] for a in g[v].values()) <= capacity[g.nodes[v]["label"]] for v in g)
        for g in to_networkx(vertices)
    ]
    assert (vertices.valence_violation() == 0).tolist() == fine
    assert 0 < sum(fine) < len(fine)


def test_without_capacities_nothing_is_in_excess(vocabulary, vertices):
    free = replace(vertices, vocabulary=replace(vocabulary, capacity=None))
    assert free.valence_violation().tolist() == [0] * len(vertices)


def test_an_infinite_capacity_holds_anything_and_spoils_no_other(vocabulary, generator):
    crowded = random_vertices(vocabulary, 20, generator, density=1.0)
    excess = replace(crowded, vocabulary=replace(vocabulary, capacity=(float("inf"),) * 3)).valence_violation()
    assert excess.tolist() == [0] * 20
    mixed = replace(crowded, vocabulary=replace(vocabulary, capacity=(3, 2, float("inf")))).valence_violation()
    limited = replace(crowded, vocabulary=replace(vocabulary, capacity=(3, 2, 1000))).valence_violation()
    assert torch.equal(mixed, limited) and mixed.max() > 0


def test_excess_is_differentiable(vocabulary, generator):
    graph = random_relaxed(replace(vocabulary, capacity=(0.5, 0.2, 0.1)), 2, generator, torch.float64)

    def valence_violation(nodes, edges):
        return replace(graph, nodes=nodes, edges=edges).valence_violation()

    assert (graph.valence_violation() > 0.1).all()
    assert torch.autograd.gradcheck(valence_violation, (graph.nodes.requires_grad_(), graph.edges.requires_grad_()))


def test_absent_nodes_carry_nothing(vertices):
    """Excess at vertices with a crowd of edges drawn at absent nodes."""
    wide = padded(vertices, 3)
    edges = wide.edges.clone()
    edges[:, 5:, :5] = edges[:, :5, 5:] = torch.tensor([0.0, 0, 1])
    assert torch.equal(replace(wide, edges=edges).valence_violation(), vertices.valence_violation())
