"""Directed graphs: every part of the method takes them, and direction counts."""

import itertools
import json
import re

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import elekit as ele
from elekit.audit.patterns import held_patterns, pattern_name
from elekit.datasets import from_networkx_graphs
from elekit.decoding import DecodeConfig, GradientConfig
from elekit.draw.scenes import palette, scene
from elekit.draw.svg import graph_svg
from elekit.graphs import augment
from elekit.graphs.distances import fused_gromov_wasserstein, weisfeiler_lehman
from elekit.graphs.edit_distance import _Search, edit_distance, edit_path, isomorphic, present_channels
from elekit.graphs.edits import ALL_KINDS, all_edits
from elekit.graphs.features import detailed_kinds
from elekit.graphs.graph import (
    Graph,
    GraphVocabulary,
    combined_edges,
    from_edge_lists,
    from_networkx,
    to_edge_lists,
    to_networkx,
)
from elekit.graphs.isomorphism import isomorphism_keys
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.prior import GraphPrior
from elekit.graphs.weisfeiler_lehman import graph_hashes
from elekit.inspect import edit_scan
from elekit.model import artifact as artifacts
from elekit.model.edit_estimates import EditEstimates
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.widgets import inspect_loss

NAMES = GraphVocabulary(("a", "b"), ("x", "y", "z"), 7, directed=(True, True, False))
SMALL = EmbeddingConfig(24, 3, 48, 6)
few = settings(max_examples=25, deadline=None)


def random_digraph(seed: int, most: int = 6) -> nx.DiGraph:
    """A graph of the labels of NAMES: x and y in one direction, z in both."""
    generator = torch.Generator().manual_seed(seed)
    graph, draw = nx.DiGraph(), lambda n: int(torch.randint(n, (), generator=generator))
    size = 2 + draw(most - 1)
    graph.add_nodes_from((i, {"label": "ab"[draw(2)]}) for i in range(size))
    for i, j in itertools.combinations(range(size), 2):
        if (kind := draw(6)) < 3:
            for ends in [(i, j), (j, i)][:: 1 if draw(2) else -1][: 1 + (kind == 2)]:
                graph.add_edge(*ends, label="xyz"[kind])
    return graph


def batch(seeds, most=6) -> Graph:
    lists = []
    for graph in (random_digraph(seed, most) for seed in seeds):
        edges = [(i, j, r) for i, j, r in graph.edges(data="label") if r != "z" or i < j]
        lists.append(([label for _, label in graph.nodes(data="label")], edges))
    return from_edge_lists(lists, NAMES)


def same(one: nx.DiGraph, other: nx.DiGraph) -> bool:
    labels = [lambda a, b: a["label"] == b["label"]] * 2
    return nx.is_isomorphic(one, other, *labels)


def shuffled(graphs: Graph) -> Graph:
    return graphs.permuted(torch.stack([torch.randperm(graphs.nodes.shape[1]) for _ in range(len(graphs))]))


def reversed_(graphs: Graph) -> Graph:
    return Graph(graphs.nodes, graphs.edges.transpose(1, 2), graphs.vocabulary)


@pytest.fixture(scope="module")
def graphs() -> Graph:
    return batch(range(40))


@pytest.fixture(scope="module")
def psi() -> GraphEmbedding:
    torch.manual_seed(0)
    return GraphEmbedding(NAMES, SMALL).eval()


def test_every_channel_is_reversed_twice_by_itself():
    assert NAMES.R == 6 and torch.equal(NAMES.reverse[NAMES.reverse], torch.arange(6))
    assert NAMES.edge_names == ("no edge", "→ x", "→ y", "z", "← x", "← y")
    assert NAMES.reverse.tolist() == [0, 4, 5, 3, 1, 2] and NAMES.label_of.tolist() == [0, 1, 2, 3, 1, 2]
    plain = GraphVocabulary(("a",), ("x", "y"), 3)
    assert plain.R == 3 and not plain.directed and torch.equal(plain.reverse, torch.arange(3))
    assert GraphVocabulary.from_json(json.loads(json.dumps(NAMES.to_json()))) == NAMES
    assert "directed" not in plain.to_json()
    with pytest.raises(ValueError, match="directed has 1 values for 2 edge labels"):
        GraphVocabulary(("a",), ("x", "y"), 3, directed=(True,))


@few
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=5))
def test_forms_keep_direction(seeds):
    dense = batch(seeds).check()
    packed = PackedGraphs.of(dense).check()
    assert torch.equal(packed.dense(7).edges, dense.edges)
    assert torch.equal(packed.relaxed().dense(7).edges, dense.edges)
    for graph, seed in zip(to_networkx(packed), seeds):
        wanted = random_digraph(seed)
        assert graph.is_directed() and dict(graph.nodes(data="label")) == dict(wanted.nodes(data="label"))
        assert sorted(graph.edges(data="label")) == sorted(wanted.edges(data="label"))
    again = from_edge_lists(to_edge_lists(packed), NAMES)
    assert torch.equal(again.edges, dense.edges)


@few
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_isomorphism_hashes_and_keys_agree_with_networkx(one, other):
    drawn = [random_digraph(seed, 4) for seed in (one, other)]
    drawn += [drawn[0].reverse(), nx.relabel_nodes(drawn[0], dict(enumerate(reversed(range(len(drawn[0]))))))]
    vertices = batch([one, other], 4)
    vertices = Graph.cat([vertices, reversed_(vertices[:1]), shuffled(vertices[:1])])
    keys = isomorphism_keys(drawn)
    for i, j in itertools.combinations(range(4), 2):
        equal = same(drawn[i], drawn[j])
        a, b = vertices[i], vertices[j]
        assert bool(isomorphic(a, b)) == equal and (keys[i] == keys[j]) == equal
        assert torch.equal(graph_hashes(a, 8)[:, -1], graph_hashes(b, 8)[:, -1]) == equal
        assert (float(weisfeiler_lehman(a, b)) < 1e-9) == equal or not equal
    assert float(fused_gromov_wasserstein(vertices[0], vertices[3])) < 1e-6


def fewest_edits(one, other) -> int:
    """By all assignments."""
    size = max(len(one[0]), len(other[0]))
    (n, e), (m, f) = (
        (torch.tensor(nodes.tolist() + [0] * (size - len(nodes))),
         torch.nn.functional.pad(torch.tensor(edges), (0, size - len(nodes)) * 2)) for nodes, edges in (one, other)
    )  # fmt: skip
    upper = torch.ones(size, size, dtype=torch.bool).triu(1)
    costs = []
    for order in itertools.permutations(range(size)):
        p = torch.tensor(order)
        costs.append(int((n != m[p]).sum() + ((e != f[p][:, p]) & upper).sum()))
    return min(costs)


def test_edit_distance_is_that_of_all_assignments_and_its_path_leads_there(graphs):
    rows = [*range(24), *range(3, 27)]
    a, b = graphs[rows[:24]], graphs[rows[24:]]
    found = edit_distance(a, b)
    sides = list(present_channels(a)), list(present_channels(b))
    wanted = [fewest_edits(one, other) for one, other in zip(*sides)]
    assert found.proven.all() and found.distance.tolist() == wanted
    for one, other, distance in zip(*sides, wanted):
        program = _Search(one, other)
        program.solve(10.0)
        assert program.floor <= distance <= program.best and program.proven
    for row in range(24):
        made = ele.inspect.differences.apply_steps(a[row].dense(14), found.paths[row])
        assert bool(isomorphic(made, b[row]))
    turned = from_edge_lists([(["a", "b"], [(1, 0, "x")])], NAMES)
    assert edit_path(from_edge_lists([(["a", "b"], [(0, 1, "x")])], NAMES), turned) == ["edge 0-1: → x turned round"]


def test_psi_sees_direction_and_nothing_else(graphs, psi):
    packed = PackedGraphs.of(graphs)
    points = psi.embed(graphs)
    torch.testing.assert_close(psi.embed(packed), points, atol=1e-5, rtol=0)
    torch.testing.assert_close(psi.embed(shuffled(graphs)), points, atol=1e-5, rtol=0)
    apart = (psi.embed(reversed_(graphs)) - points).norm(dim=1)
    equal = torch.tensor([same(g, g.reverse()) for g in (random_digraph(seed) for seed in range(40))])
    assert equal.any() and (apart[equal] < 1e-5).all() and (apart[~equal] > 1e-3).all()


@pytest.mark.parametrize("shape", ["local", "global"])
def test_relaxed_graphs_have_one_point_in_both_forms(graphs, shape):
    torch.manual_seed(1)
    psi = GraphEmbedding(NAMES, EmbeddingConfig(24, 2, 32, 5, shape)).eval()
    soft = augment.softened(PackedGraphs.of(graphs), torch.full((40,), 0.4), torch.Generator().manual_seed(0))
    dense = soft.dense().check()
    torch.testing.assert_close(psi(soft), psi(dense), atol=1e-5, rtol=0)
    torch.testing.assert_close(psi(shuffled(dense)), psi(dense), atol=1e-5, rtol=0)


def test_views_are_graphs(graphs):
    generator = torch.Generator().manual_seed(0)
    amounts = torch.rand(40, generator=generator)
    for some in (graphs, PackedGraphs.of(graphs)):
        PackedGraphs.of(augment.random_edits(some, torch.full((40,), 3), generator)).check()
        augment.softened(some, amounts, generator).dense().check()
    PackedGraphs.of(graphs).average().check()


def test_edits_lists_and_estimates_agree(graphs, psi):
    edits = all_edits(graphs, ALL_KINDS)
    made = Graph.from_labels(*edits.apply(*graphs.labels(), NAMES), NAMES).check()
    listed, wanted = edits.results(graphs).check(), PackedGraphs.of(made)
    assert torch.equal(listed.pairs, wanted.pairs) and torch.equal(listed.edge_labels, wanted.edge_labels)
    turned = [text for text in edits.describe(*graphs.labels(), NAMES) if "turned round" in text]
    assert len(turned) == sum(r != "z" for seed in range(40) for *_, r in random_digraph(seed).edges(data="label"))
    with torch.no_grad():
        for row in range(0, 40, 8):
            own = all_edits(graphs[row], ALL_KINDS)
            exact = psi(Graph.from_labels(*own.apply(*graphs[row].labels(), NAMES), NAMES))
            estimates = EditEstimates(psi, *(labels[0] for labels in graphs[row].labels()))
            torch.testing.assert_close(estimates.points(own), exact, atol=1e-4, rtol=0)
    kinds = detailed_kinds(all_edits(graphs), graphs)
    assert {"turn a x edge round", "edge x to y", "add leaf a by → x edge", "add leaf b by ← y edge"} <= set(kinds)


def test_contracting_and_inserting_nodes_keeps_the_direction_of_paths():
    path = from_edge_lists([(["a", "b", "a"], [(0, 1, "x"), (1, 2, "x")])], NAMES)
    contracted = all_edits(path, ("contract node",)).results(path)
    assert to_edge_lists(contracted) == [(["a", "a"], [(0, 1, "x")])]
    edge = from_edge_lists([(["a", "b"], [(1, 0, "y")])], NAMES)
    inserted = to_edge_lists(all_edits(edge, ("insert node",)).results(edge))
    assert (["a", "b", "a"], [(2, 0, "y"), (1, 2, "y")]) in inserted


def test_merging_undoes_splitting_with_the_direction_of_edges():
    tree = from_edge_lists([(["a", "b", "a"], [(0, 1, "x"), (2, 0, "y")])], NAMES)
    split = all_edits(tree, ("split node",)).results(tree)
    assert (["a", "b", "a", "a"], [(0, 1, "x"), (2, 3, "y")]) in to_edge_lists(split)
    for one in split:
        merged = all_edits(one.dense(), ("merge nodes",)).results(one.dense())
        assert isomorphic(merged, PackedGraphs.cat([PackedGraphs.of(tree)] * len(merged))).any()


def test_the_prior_does_not_depend_on_the_order_of_nodes_and_sees_direction(graphs):
    twice = Graph.cat([graphs, shuffled(graphs)])  # so that nothing occurs in one graph only
    priors = [GraphPrior.of(PackedGraphs.of(some)) for some in (twice, shuffled(twice), reversed_(twice))]
    one, other, back = priors
    assert len(one.types) and torch.equal(one.types, other.types) and torch.equal(one.links, other.links)
    assert not torch.equal(one.types, back.types)
    edits = all_edits(graphs[:6])
    kept = one.keeps(edits, *graphs[:6].labels())
    results = edits.results(graphs[:6])
    for number in range(0, len(edits), 17):
        known = torch.isin(GraphPrior.of(results[number]).types, one.types).all() if len(results[number]) else True
        assert number not in kept or known or not len(one.types)


def test_patterns_are_read_along_the_arrows():
    path = from_edge_lists([(["a", "b", "a"], [(0, 1, "x"), (2, 1, "y")])], NAMES)
    names = {pattern_name(pattern, NAMES) for pattern, _ in held_patterns(path)}
    assert {"a → x b", "a → y b"} <= names
    assert names & {"a → x b ← y a", "a → y b ← x a"}


COMBINED = {
    "one": ([(0, 1, "x")], [(0, 1, "x")], 0),
    "two": ([(0, 1, "x"), (0, 1, "y")], [(0, 1, "x + y")], 1),
    "both ways": ([(0, 1, "x"), (1, 0, "x")], [(0, 1, "⇄ x")], 1),
    "there and back": ([(0, 1, "y"), (1, 0, "x")], [(1, 0, "x + ← y")], 1),
    "combined before": ([(0, 1, "⇄ x"), (1, 0, "⇄ x")], [(0, 1, "⇄ x")], 1),
    "repeated": ([(0, 1, "x"), (0, 1, "x")], [(0, 1, "x")], 0),
}


@pytest.mark.parametrize("case", COMBINED)
def test_edges_of_one_pair_become_one(case):
    given_, wanted, count = COMBINED[case]
    assert combined_edges(given_) == (wanted, count)
    turned = [(1 - i, 1 - j, r) for i, j, r in given_]
    edges = [(i, j, r) if "⇄" not in r else (0, 1, r) for i, j, r in combined_edges(turned)[0]]
    assert edges == [(1 - i, 1 - j, r) if "⇄" not in r else (0, 1, r) for i, j, r in wanted]


def test_multigraphs_and_mixed_graphs_are_read():
    several = nx.MultiDiGraph()
    several.add_nodes_from([(0, {"label": "a"}), (1, {"label": "b"})])
    several.add_edges_from([(0, 1, {"label": "x"}), (0, 1, {"label": "y"}), (1, 0, {"label": "x"})])
    plain = nx.Graph()
    plain.add_nodes_from(several.nodes(data=True))
    plain.add_edge(0, 1, label="x")
    found = from_networkx([several, plain])
    assert found.vocabulary.edge_labels == ("x + y + ← x", "⇄ x")
    assert found.vocabulary.directed == (True, False)
    again = from_networkx(to_networkx(found), found.vocabulary)
    assert torch.equal(again.edges, found.edges)
    undirected = from_networkx([nx.MultiGraph(plain)])
    assert not undirected.vocabulary.directed and undirected.vocabulary.edge_labels == ("x",)
    with pytest.raises(ValueError, match="graph 0 is directed, undirected graphs are expected"):
        from_networkx([several], undirected.vocabulary)


def causes(count=60):
    """Chains and trees of causes: directed graphs with a text each."""
    drawn, texts = [], []
    for seed in range(count):
        graph = random_digraph(seed, 5)
        drawn.append(graph)
        texts.append(" ".join(f"{i}{r}{j}" for i, j, r in graph.edges(data="label")) or "none")
    return drawn, texts


def test_from_graphs_to_answers(tmp_path):
    drawn, texts = causes()
    data = from_networkx_graphs(drawn, texts, fractions=(0.8, 0.1, 0.1))
    assert data.vocabulary.directed and data.report()["directed"]
    loop = ele.training.TrainerConfig(30, 2e-3)
    training = ele.training.EmbeddingTraining(loop=loop)
    psi = ele.fit_embedding(data.train.graphs, config=SMALL, training=training, seed=0, progress=False)
    folder = tmp_path / "causes"
    artifacts.save(artifacts.Artifact("causes", psi), folder)
    psi = ele.load(folder).psi
    assert psi.vocabulary == data.vocabulary
    some = data.train.graphs[:6]
    target = psi.embed(some)
    for config in (
        DecodeConfig("candidates"), DecodeConfig("candidates+polish"), DecodeConfig("growth"),
        DecodeConfig("gradient+polish", gradient=GradientConfig(iterations=15, starts=2)),
    ):  # fmt: skip
        known = {"candidates": data.train.graphs} if (config.method or "").startswith("candidates") else {}
        graphs, _ = ele.decode(psi, target, config=config, **known)
        PackedGraphs.of(graphs).check()
        if known:
            assert isomorphic(graphs, some).all()
    scan = edit_scan(psi, some[:1])
    assert scan.table["edit"].str.contains("turned round").any() or not (some[:1].edge_labels != 3).any()


def test_arrows_are_drawn_and_said():
    graph = from_edge_lists([(["a", "b", "a"], [(1, 0, "x"), (1, 2, "z")])], NAMES)
    look = palette(NAMES)
    assert look["arrows"] == [1, 1, 0, -1, -1] and look["written"] == ["x", "y", "z", "x", "y"]
    drawing = graph_svg(scene(graph, [(0, 0), (1, 0), (2, 0)]), look, "three nodes")
    heads = [part.split('"')[1] for part in drawing.split("<polygon ")[1:]]
    assert len(heads) == 1
    xs = [float(corner.split(",")[0]) for corner in heads[0].split()]
    assert xs[0] == min(xs)  # the tip is at node 0, on the left
    figure = ele.draw.graph(graph)
    arrows = [patch for ax in figure.axes for patch in ax.patches if str(patch.get_gid()).startswith("arrow")]
    assert [patch.get_gid() for patch in arrows] == ["arrow-0-1"]


def test_the_inspector_names_the_arrow_of_an_added_node(psi):
    widget = inspect_loss(psi, from_edge_lists([(["a", "b"], [(1, 0, "x")])], NAMES))
    seen = set()
    for row, name in enumerate(widget.table["edit"]):
        if not (match := re.fullmatch(r"add (\S+) to node (\d), (.+)", name)):
            continue
        added, old, label = match.groups()
        ((nodes, edges),) = to_edge_lists(widget.scan.result(row))
        ((i, j, found),) = set(edges) - {(1, 0, "x")}
        assert nodes[max(i, j)] == added and min(i, j) == int(old)
        arrow = "" if found == "z" else "→ " if i == int(old) else "← "
        assert label == f"{arrow}{found}"
        seen.add(label[:1])
    assert {"→", "←"} < seen
