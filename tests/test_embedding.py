"""psi: on the sphere; invariant to node order, padding and absent nodes; differentiable; separates rings."""

import itertools
from dataclasses import replace

import networkx as nx
import pytest
import torch
from conftest import padded, random_relaxed, random_vertices
from hypothesis import given, settings
from hypothesis import strategies as st

from elekit.decoding import decode
from elekit.graphs.augment import shuffled
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx
from elekit.graphs.packed import PackedGraphs, RelaxedPackedGraphs
from elekit.graphs.prior import GraphPrior
from elekit.model.embedding import SHAPES, EmbeddingConfig, GraphEmbedding
from elekit.model.loss import points_of

TINY = EmbeddingConfig(hidden=8, rounds=2, dim=6, walks=4)
TINY_OF = {shape: replace(TINY, shape=shape) for shape in SHAPES}


def made(vocabulary, config=TINY, dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GraphEmbedding(vocabulary, config).to(dtype).eval()


@pytest.fixture(params=SHAPES)
def psi(vocabulary, request):
    return made(vocabulary, TINY_OF[request.param])


@pytest.fixture
def graphs(vocabulary, generator):
    """Relaxed graphs and vertices in one batch, float64."""
    inside = random_relaxed(vocabulary, 10, generator, torch.float64)
    return Graph.cat([inside, random_vertices(vocabulary, 10, generator).to(torch.float64)])


def test_points_are_unit_vectors_and_differ(psi, graphs):
    points = psi(graphs)
    assert points.shape == (20, 6)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(20).double())
    assert torch.pdist(points[:10]).min() > 1e-4


def test_node_order_does_not_matter(psi, graphs, generator):
    other = shuffled(graphs, generator)
    assert not torch.equal(other.nodes, graphs.nodes)
    torch.testing.assert_close(psi(other), psi(graphs))


@settings(deadline=None, max_examples=40)
@given(
    nodes=st.integers(1, 7), labels=st.integers(1, 4), bonds=st.integers(1, 3), count=st.integers(1, 5),
    rounds=st.integers(0, 3), walks=st.integers(0, 6), relaxed=st.booleans(), seed=st.integers(0, 2**16),
    shape=st.sampled_from(SHAPES),
)  # fmt: skip
def test_any_psi_of_any_graph_is_invariant_under_permutation(
    nodes, labels, bonds, count, rounds, walks, relaxed, seed, shape
):
    vocabulary = GraphVocabulary(tuple("abcd"[:labels]), tuple("xyz"[:bonds]), nodes)
    generator = torch.Generator().manual_seed(seed)
    make = random_relaxed if relaxed else random_vertices
    graphs = make(vocabulary, count, generator).to(torch.float64)
    psi = made(vocabulary, EmbeddingConfig(hidden=8, rounds=rounds, dim=6, walks=walks, shape=shape))
    points = psi(graphs)
    order = torch.stack([torch.randperm(nodes, generator=generator) for _ in range(count)])
    torch.testing.assert_close(psi(graphs.permuted(order)), points)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(count).double())


def test_padding_does_not_matter(psi, graphs):
    torch.testing.assert_close(psi(padded(graphs, 3)), psi(graphs))


def test_edges_at_absent_nodes_do_not_matter(psi, graphs, generator):
    nodes = graphs.nodes.clone()
    nodes[:, -1] = torch.eye(nodes.shape[-1])[0].double()  # the last node is absent
    before = replace(graphs, nodes=nodes)
    noise = random_relaxed(graphs.vocabulary, len(graphs), generator, torch.float64).edges
    edges = graphs.edges.clone()
    edges[:, -1], edges[:, :, -1] = noise[:, -1], noise[:, :, -1]
    assert not torch.equal(edges, graphs.edges)
    torch.testing.assert_close(psi(replace(before, edges=edges)), psi(before))
    edges[:, 0, 1] = edges[:, 1, 0] = noise[:, 0, 1]  # between present nodes they count
    assert (psi(replace(before, edges=edges)) - psi(before))[:10].abs().amax(1).min() > 1e-6


def packed(graphs):
    """The same relaxed graphs with all pairs listed."""
    B, N = graphs.nodes.shape[:2]
    i, j = torch.triu_indices(N, N, 1)
    pairs = (torch.stack([i, j])[:, None] + N * torch.arange(B)[:, None]).flatten(1)
    nodes, edges = graphs.nodes.flatten(0, 1), graphs.edges[:, i, j].flatten(0, 1)
    return RelaxedPackedGraphs(torch.arange(B + 1) * N, nodes, pairs, edges, graphs.vocabulary)


def test_packed_and_dense_graphs_have_one_point_and_one_gradient(psi, graphs):
    nodes, edges = graphs.nodes.clone().requires_grad_(), graphs.edges.clone().requires_grad_()
    dense = replace(graphs, nodes=nodes, edges=edges)
    points = psi(packed(dense))
    torch.testing.assert_close(points, psi(dense))
    direction = torch.randn(points.shape, generator=torch.Generator().manual_seed(0)).double()
    wanted = torch.autograd.grad((psi(dense) * direction).sum(), (nodes, edges))
    found = torch.autograd.grad((points * direction).sum(), (nodes, edges))
    torch.testing.assert_close(found[0], wanted[0])
    i, j = torch.triu_indices(5, 5, 1)
    by_pair = [(part + part.transpose(1, 2))[:, i, j] for part in (found[1], wanted[1])]  # unordered, no loops
    torch.testing.assert_close(*by_pair)


def test_packed_graphs_of_different_sizes_are_embedded_in_blocks(vocabulary, generator, monkeypatch):
    graphs = random_vertices(vocabulary, 40, generator)
    of = PackedGraphs.of(graphs)
    for shape in SHAPES:
        psi = made(vocabulary, TINY_OF[shape])
        points = psi(graphs.to(torch.float64))
        monkeypatch.setattr("elekit.model.embedding.BLOCK_PAIRS", 30)
        monkeypatch.setattr("elekit.model.loss.BATCH_SIZE", 7)
        torch.testing.assert_close(psi(of), points.detach())
        torch.testing.assert_close(points_of(psi, of), points.detach())
        monkeypatch.undo()


def test_contributions_add_up_to_the_points(psi, graphs):
    of = packed(graphs)
    values = psi.contributions(of, torch.eye(6).double())
    sums = torch.zeros(len(graphs), 6).double().index_add(0, of.rows, values) + psi.offset
    torch.testing.assert_close(torch.nn.functional.normalize(sums), psi(graphs))


def test_one_by_one_equals_the_batch(psi, graphs):
    torch.testing.assert_close(torch.cat([psi(graph) for graph in graphs]), psi(graphs))


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_embed_equals_forward_without_gradients(psi, graphs, batch_size, monkeypatch):
    monkeypatch.setattr("elekit.model.loss.BATCH_SIZE", batch_size)
    points = psi.embed(graphs)
    assert not points.requires_grad
    torch.testing.assert_close(points, psi(graphs).detach())


def test_embed_of_no_graphs(psi, graphs):
    assert psi.embed(graphs[:0]).shape == (0, 6)


def test_training_mode_changes_nothing(psi, graphs):
    assert torch.equal(psi.train()(graphs), psi.eval()(graphs))


@pytest.mark.parametrize("share", [1, 0.01])
def test_gradient_in_the_graph(psi, graphs, share):
    """Inside the polytope and just beside vertices (on them, walk counts clamped at zero have a kink)."""
    inside, vertices = graphs[:2], graphs[11:13]
    y = Graph(vertices.nodes.lerp(inside.nodes, share), vertices.edges.lerp(inside.edges, share), graphs.vocabulary)

    def of(nodes, edges):
        return psi(replace(y, nodes=nodes, edges=edges))

    assert torch.autograd.gradcheck(of, (y.nodes.clone().requires_grad_(), y.edges.clone().requires_grad_()))


def test_gradient_in_the_weights_reaches_every_parameter(psi, graphs):
    (psi(graphs) * torch.randn(20, 6, generator=torch.Generator().manual_seed(1)).double()).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in psi.parameters())


def rings(*sizes):
    return nx.disjoint_union_all([nx.cycle_graph(size) for size in sizes])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("one, other", [((6,), (3, 3)), ((7,), (3, 4)), ((8,), (4, 4))])
def test_separates_rings_that_message_passing_alone_cannot(one, other, shape):
    pair = from_networkx([rings(*one), rings(*other)]).to(torch.float64)
    seeing = made(pair.vocabulary, replace(TINY, walks=7, shape=shape))(pair)
    blind = made(pair.vocabulary, replace(TINY, walks=2, shape=shape))(pair)
    assert (seeing[0] - seeing[1]).norm() > 1e-3
    torch.testing.assert_close(blind[0], blind[1])


def test_edge_labels_count(vocabulary, psi):
    thin, thick = nx.path_graph(2), nx.path_graph(2)
    for graph, label in ((thin, "thin"), (thick, "thick")):
        nx.set_node_attributes(graph, "a", "label")
        nx.set_edge_attributes(graph, label, "label")
    points = psi(from_networkx([thin, thick], vocabulary).to(torch.float64))
    assert (points[0] - points[1]).norm() > 1e-3


def test_one_graph_of_one_node():
    lone = nx.Graph()
    lone.add_node(0)
    graph = from_networkx([lone])
    for walks, shape in itertools.product((2, 3, 7), SHAPES):
        point = made(graph.vocabulary, replace(TINY, walks=walks, shape=shape), torch.float32)(graph)
        assert point.shape == (1, 6)
        torch.testing.assert_close(point.norm(), torch.tensor(1.0))


def test_another_vocabulary_is_refused(psi, graphs, vocabulary):
    other = replace(graphs, vocabulary=replace(vocabulary, node_labels=("a", "b", "z")))
    message = r"another vocabulary: nodes \['a', 'b', 'z'\][^;]*; .* has nodes \['a', 'b', 'c'\]"
    for call in (psi, psi.embed):
        with pytest.raises(ValueError, match=message):
            call(other)


def test_max_nodes_may_differ(psi, graphs, vocabulary):
    wider = replace(padded(graphs, 2), vocabulary=replace(vocabulary, max_nodes=7))
    torch.testing.assert_close(psi(wider), psi(graphs))


def test_a_local_psi_embeds_larger_graphs_with_the_same_points_for_known_ones(vocabulary, generator):
    known = random_vertices(vocabulary, 6, generator)
    psi = made(vocabulary, dtype=torch.float32)
    psi.typical = PackedGraphs.of(known).average()
    psi.prior = GraphPrior.of(PackedGraphs.of(known))
    larger = psi.widened(vocabulary.max_nodes + 3)
    points = psi.embed(known)
    assert torch.equal(larger.embed(known), points) and larger.vocabulary.max_nodes == vocabulary.max_nodes + 3
    path = nx.path_graph(vocabulary.max_nodes + 3)
    nx.set_node_attributes(path, vocabulary.node_labels[0], "label")
    nx.set_edge_attributes(path, vocabulary.edge_labels[0], "label")
    graph = from_networkx([path], vocabulary=larger.vocabulary)
    found = decode(larger, larger.embed(graph), candidates=PackedGraphs.cat([PackedGraphs.of(known), graph])).graphs
    assert bool(isomorphic(found, graph).all())
    assert larger.typical.slots() == vocabulary.max_nodes + 3 and psi.vocabulary == vocabulary
    with pytest.raises(ValueError, match=f"at least {vocabulary.max_nodes}"):
        psi.widened(vocabulary.max_nodes - 1)
    with pytest.raises(ValueError, match="a global psi"):
        made(vocabulary, TINY_OF["global"]).widened(vocabulary.max_nodes + 3)
