"""Questions about a loss: every figure against an oracle (enumeration, loops, networkx, RDKit, closed forms)."""

import importlib
import itertools
import math
import subprocess
import sys
import warnings

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import equal, padded, random_vertices
from torch.nn.functional import normalize

import elekit
from elekit.graphs import augment
from elekit.graphs.edit_distance import edit_distance
from elekit.graphs.edits import KINDS, SINGLE
from elekit.graphs.graph import Graph, from_edge_lists, to_networkx
from elekit.graphs.smiles import from_smiles, molecule_vocabulary, to_smiles
from elekit.inspect import (
    alignment,
    edit_scan,
    fit_map,
    maps,
    neighbors,
    separating_edits,
    shapley_values,
    uniformity,
)
from elekit.inspect.maps import EmbeddingMap, load_map, map_key, save_map
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import LearnedLoss, points_of

ATOMS = molecule_vocabulary("CNO", 9)


def flat(graph):
    """A psi that is a plain function: all rows of the graph, nodes first, as one unit vector."""
    return normalize(torch.cat([graph.nodes.flatten(1), graph.edges.flatten(1)], 1), dim=1)


def counted(graph):
    """(B, K - 1), not of unit length: how often each node label is there."""
    return graph.nodes[..., 1:].sum(1)


@pytest.fixture
def psi(vocabulary):
    return embedding(vocabulary)


def embedding(vocabulary, seed=0, trained=False, shape="global"):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GraphEmbedding(vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=24, shape=shape)).requires_grad_(
            trained
        )


def on_sphere(n, D=8, seed=0):
    return normalize(torch.randn(n, D, generator=torch.Generator().manual_seed(seed)), dim=1)


# -- edit scan -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kinds", [SINGLE, KINDS, ("change edge",)])
@pytest.mark.parametrize("which", ["module", "local", "function"])
def test_every_edit_has_the_price_that_the_loss_gives_its_result(psi, vertices, kinds, which):
    psi = {"module": psi, "local": embedding(vertices.vocabulary, shape="local"), "function": flat}[which]
    loss, anchor = LearnedLoss(psi), vertices[7]
    for graph in vertices[:4]:
        scan = edit_scan(psi, graph, anchor, kinds=kinds)
        table = scan.table
        assert len(table) == len(scan.edits) == len(scan.points) == len(scan.results)
        assert set(table["kind"]) <= set(kinds)
        assert scan.loss == pytest.approx(float(loss(graph, anchor)), abs=1e-5)
        for row in range(0, len(table), 7):
            result, line = scan.result(row), table.iloc[row]
            assert equal(result, scan.results[row]) and not equal(result, graph)
            assert line["loss"] == pytest.approx(float(loss(result, anchor)), abs=1e-5)
            assert line["price"] == pytest.approx(float(loss(result, graph)), abs=1e-5)
            assert line["change"] == pytest.approx(line["loss"] - scan.loss, abs=1e-6)
            torch.testing.assert_close(scan.points[row], psi(result)[0].detach())
        assert (table["price"] >= 0).all()


def test_free_slots_change_no_price_and_cost_nothing(psi, vertices):
    seen = []

    def watched(graph):
        seen.append(graph.nodes.shape[1])
        return psi(graph)

    graph = vertices[3]
    narrow, wide = edit_scan(psi, graph), edit_scan(watched, padded(graph, 60))
    assert max(seen) <= 13 and wide.graph.nodes.shape[1] == 65
    prices, others = (dict(zip(scan.table["edit"], scan.table["price"])) for scan in (narrow, wide))
    assert prices.keys() <= others.keys()
    assert [others[edit] for edit in prices] == pytest.approx(list(prices.values()), abs=1e-5)
    added = wide.table.index[wide.table["kind"] == "add node"][0]
    assert wide.result(added).nodes.shape[1] == 65


def test_nothing_that_comes_back_holds_gradients(vocabulary, vertices):
    psi = embedding(vocabulary, trained=True)
    point = psi(vertices[1])
    scan, found = edit_scan(psi, vertices[0], point), shapley_values(psi, vertices[0], point, samples=4)
    assert point.requires_grad
    assert not any(t.requires_grad for t in (scan.points, scan.anchor, found.nodes, found.edges))
    assert not fit_map(point.expand(3, -1)).points.requires_grad and uniformity(point)["n"] == 1
    assert neighbors(point, psi(vertices))["row"][0] == 1


def test_an_anchor_is_a_graph_or_a_point_or_the_graph_itself(psi, vertices):
    graph, anchor = vertices[0], vertices[1]
    point = psi(anchor)
    by_graph, by_row, by_vector = (edit_scan(psi, graph, a) for a in (anchor, point, point[0]))
    for other in (by_row, by_vector):
        pd.testing.assert_frame_equal(by_graph.table, other.table)
        torch.testing.assert_close(by_graph.anchor, other.anchor)
    own = edit_scan(psi, graph)
    assert own.loss == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(own.table["loss"], own.table["price"])
    assert (own.table["price"] > 1e-3).any()
    relaxed = augment.softened(graph, torch.tensor([0.3]), torch.Generator().manual_seed(0))
    pd.testing.assert_frame_equal(edit_scan(psi, relaxed).table, own.table)


def test_validity_is_that_of_capacities_and_rdkit(psi, vertices):
    full = vertices[vertices.presence().sum(1).argmax()]
    scan = edit_scan(psi, full)
    assert scan.table["valid"].tolist() == (scan.results.valence_violation() == 0).tolist()
    assert 0 < scan.table["valid"].mean() < 1
    scan = edit_scan(embedding(ATOMS), from_smiles("CC1=CC=NO1", ATOMS))
    expected = [g.valence_violation().item() == 0 and to_smiles(g)[0] is not None for g in scan.results]
    assert scan.table["valid"].tolist() == expected and 0 < sum(expected) < len(expected)


def test_what_rdkit_refuses_is_not_valid_whatever_the_capacities(monkeypatch):
    scan = edit_scan(flat, from_smiles("CCO", ATOMS))
    monkeypatch.setattr(
        sys.modules["elekit.inspect.edit_scan"], "is_valid", lambda graphs: torch.zeros(len(graphs), dtype=torch.bool)
    )
    assert scan.table["valid"].any()
    assert not edit_scan(flat, from_smiles("CCO", ATOMS)).table["valid"].any()


def test_connectedness_is_that_of_networkx(psi, vertices):
    told = []
    for graph in vertices[:12]:
        scan = edit_scan(psi, graph)
        expected = [nx.is_connected(g) for g in to_networkx(scan.results)]
        assert scan.table["connected"].tolist() == expected
        told += expected
    assert 0 < sum(told) < len(told)
    chain = from_edge_lists(
        [(["C"] * 9, [(i, i + 1, "single") for i in range(8)])], ATOMS
    )  # the longest path there is
    table = edit_scan(flat, chain, kinds=("relabel", "change edge")).table
    cuts = table["edit"].str.endswith("single to no edge")
    assert cuts.sum() == 8 and table["connected"].tolist() == (~cuts).tolist()


def test_an_edit_changes_only_what_it_touches(psi, vertices):
    for graph in vertices[:4]:
        scan = edit_scan(psi, graph, kinds=KINDS)
        nodes, edges = graph.labels()
        new_nodes, new_edges = scan.results.labels()
        for row, line in scan.table.iterrows():
            assert (new_nodes[row] != nodes[0]).nonzero()[:, 0].tolist() == sorted(line["nodes"])
            changed = set(map(tuple, (new_edges[row] != edges[0]).triu(1).nonzero().tolist()))
            if line["kind"] == "remove node":  # with its edges
                changed = {pair for pair in changed if not set(pair) & set(line["nodes"])}
            assert changed == set(line["pairs"])


def test_heat_is_the_cheapest_valid_edit_of_each_part(psi, vertices):
    for graph in vertices[:6]:
        scan = edit_scan(psi, graph)
        nodes, pairs = scan.heat()
        valid = scan.table[scan.table["valid"]]
        N = len(nodes)
        assert pairs.shape == (N, N) and torch.equal(pairs.isnan(), pairs.T.isnan())
        for i in range(N):
            own = [p for k, t, p in zip(valid["kind"], valid["nodes"], valid["price"]) if k != "add node" and i in t]
            assert math.isnan(nodes[i]) if not own else nodes[i].item() == pytest.approx(min(own))
            for j in range(i):
                of_pair = [(j, i) in t and k == "change edge" for k, t in zip(valid["kind"], valid["pairs"])]
                own = valid["price"][of_pair]
                assert math.isnan(pairs[i, j]) if own.empty else pairs[i, j].item() == pytest.approx(own.min())
                assert pairs[i, j].isnan() or pairs[i, j] == pairs[j, i]


def test_a_scan_without_edits_is_empty():
    lonely = from_edge_lists([(["C"], [])], ATOMS)
    scan = edit_scan(flat, lonely, kinds=("change edge",))
    assert len(scan.table) == len(scan.results) == 0 and scan.points.shape == (0, flat(lonely).shape[1])
    assert all(heat.isnan().all() for heat in scan.heat())


@pytest.mark.parametrize("question", [edit_scan, shapley_values])
def test_what_is_no_graph_and_no_point_is_refused(question, psi, vertices):
    with pytest.raises(ValueError, match="graph must be a batch of one, got a batch of 3"):
        question(psi, vertices[:3], vertices[0])
    with pytest.raises(ValueError, match="anchor must be a batch of one, got a batch of 2"):
        question(psi, vertices[0], vertices[:2])
    with pytest.raises(ValueError, match=r"got shape \(2, 24\)"):
        question(psi, vertices[0], psi(vertices[:2]))
    for length in (2.0, 0.0, float("nan")):
        with pytest.raises(ValueError, match=f"length is {length:.3g}|NaN"):
            question(psi, vertices[0], psi(vertices[0])[0] * length)


def test_kinds_that_there_are_not_are_refused(psi, vertices):
    with pytest.raises(ValueError, match="unknown kinds of edits .'rename'."):
        edit_scan(psi, vertices[0], kinds=("rename",))


def test_a_single_atom_has_a_scan_and_shares():
    lonely = from_smiles("C", molecule_vocabulary("CNO", 1))
    psi = embedding(lonely.vocabulary)
    assert edit_scan(psi, lonely).table["edit"].tolist() == ["node 0: C to N", "node 0: C to O"]
    alone = shapley_values(psi, lonely, lonely)
    assert alone.nodes.tolist() == pytest.approx([2.0]) and alone.loss == pytest.approx(0, abs=1e-6)


# -- shares --------------------------------------------------------------------------------------------------------
def exact_shares(psi, graph, point):
    """Shapley values by definition: what a part adds to every set of others, weighed by how many orders have it.

    {(i,): share of node i, (i, j): share of edge i-j}. Fragments are built from names, by another road than the code.
    """
    (drawn,) = to_networkx(graph)
    parts = [(i,) for i in drawn] + [tuple(sorted(edge)) for edge in drawn.edges]

    def value(kept):
        slots = [i for (i,) in (p for p in kept if len(p) == 1)]
        if not slots:
            return 0.0
        links = [
            (slots.index(i), slots.index(j), drawn.edges[i, j]["label"])
            for i, j in (p for p in kept if len(p) == 2)
            if i in slots and j in slots
        ]
        made = from_edge_lists([([drawn.nodes[i]["label"] for i in slots], links)], graph.vocabulary)
        with torch.no_grad():
            return 2 * float(psi(made)[0].double() @ point.double())

    found = dict.fromkeys(parts, 0.0)
    worth = {kept: value(kept) for size in range(len(parts) + 1) for kept in itertools.combinations(parts, size)}
    for kept, before in worth.items():
        weight = 1 / (len(parts) * math.comb(len(parts) - 1, len(kept))) if len(kept) < len(parts) else 0
        for part in set(parts) - set(kept):
            found[part] += weight * (worth[tuple(p for p in parts if p in kept or p == part)] - before)
    return found


def test_shares_are_shapley_values(psi, vocabulary):
    graph = from_edge_lists(
        [(["a", "b", "c", "a"], [(0, 1, "thin"), (1, 2, "thick"), (0, 2, "thin"), (2, 3, "thin")])], vocabulary
    )
    point = psi(random_vertices(vocabulary, 1, torch.Generator().manual_seed(5)))[0].detach()
    exact = exact_shares(psi, graph, point)
    assert len(exact) == 8 and max(exact.values()) - min(exact.values()) > 0.1
    few, many = (shapley_values(psi, graph, point, samples=n) for n in (64, 4_000))
    for found, (part, share) in itertools.product((few, many), exact.items()):
        of_node = len(part) == 1
        value = (found.nodes if of_node else found.edges)[part]
        error = (found.node_error if of_node else found.edge_error)[part]
        assert abs(float(value) - share) < 4.5 * float(error) + 1e-5
    assert many.node_error.nanmean() < 0.25 * few.node_error.nanmean()  # 62 times the samples: an eighth


@pytest.mark.parametrize("samples", [4, 5, 64])
def test_shares_add_up_to_two_minus_the_loss(psi, vertices, samples):
    loss = LearnedLoss(psi)
    for graph in vertices[:8]:
        found = shapley_values(psi, graph, vertices[9], samples=samples)
        assert found.loss == pytest.approx(float(loss(graph, vertices[9])), abs=1e-5)
        total = found.nodes.nansum() + found.edges.triu(1).nansum()
        assert float(total) == pytest.approx(2 - found.loss, abs=1e-5)


def test_parts_that_count_only_together_share_alike(vocabulary):
    """A psi that sees how many edges there are, also at absent nodes: an edge is worth nothing without its ends."""
    pair = from_edge_lists([(["a", "b"], [(0, 1, "thin")])], vocabulary)
    found = shapley_values(lambda g: g.edges[..., 1:].sum((1, 2)) / 4, pair, torch.tensor([0.6, 0.8]), samples=2_000)
    worth = 2 * 0.6 / 2  # of the whole, to be shared by three
    for share, error in (
        (found.nodes[0], found.node_error[0]), (found.nodes[1], found.node_error[1]),
        (found.edges[0, 1], found.edge_error[0, 1]),
    ):  # fmt: skip
        assert abs(share - worth / 3) < 4 * error < 0.05


def test_errors_tell_how_far_shares_lie_apart_from_seed_to_seed(psi, vertices):
    graph = vertices[vertices.presence().sum(1).argmax()]
    several = [shapley_values(psi, graph, vertices[9], samples=16, seed=s) for s in range(40)]
    for values, errors in (("nodes", "node_error"), ("edges", "edge_error")):
        apart = torch.stack([getattr(s, values) for s in several]).std(0)
        told = torch.stack([getattr(s, errors) for s in several]).square().mean(0).sqrt()
        there = ~apart.isnan()
        assert there.any() and 0.7 < (apart[there].norm() / told[there].norm()) < 1.4


def test_an_odd_number_of_orders_is_rounded_up(psi, vertices):
    four, five, six = (shapley_values(psi, vertices[4], vertices[9], samples=n).nodes for n in (4, 5, 6))
    assert torch.equal(five.nan_to_num(), six.nan_to_num()) and not torch.equal(four.nan_to_num(), six.nan_to_num())


def test_shares_stand_where_the_parts_are(psi, vertices):
    for graph in vertices[:8].permuted(torch.tensor([4, 0, 3, 1, 2])):  # absent nodes among the others
        nodes, edges = (labels[0] for labels in graph.labels())
        found = shapley_values(psi, graph, vertices[9], samples=4)
        for of_nodes, of_edges in ((found.nodes, found.edges), (found.node_error, found.edge_error)):
            assert torch.equal(of_nodes.isnan(), nodes == 0) and torch.equal(of_edges.isnan(), edges == 0)
            torch.testing.assert_close(of_edges, of_edges.T, equal_nan=True)


def test_parts_that_are_alike_get_equal_shares(vocabulary, psi):
    """The ends of a-b-a, and its edges; in a triangle of one label and one kind of edge, everything of a kind."""
    chain = from_edge_lists([(["a", "b", "a"], [(0, 1, "thin"), (1, 2, "thin")])], vocabulary)
    ring = from_edge_lists([(["a"] * 3, [(0, 1, "thick"), (1, 2, "thick"), (0, 2, "thick")])], vocabulary)
    anchor = random_vertices(vocabulary, 1, torch.Generator().manual_seed(2))
    found = shapley_values(psi, chain, anchor, samples=400)
    assert abs(found.nodes[0] - found.nodes[2]) < 4 * (found.node_error[0] + found.node_error[2])
    assert abs(found.edges[0, 1] - found.edges[1, 2]) < 4 * (found.edge_error[0, 1] + found.edge_error[1, 2])
    assert abs(found.nodes[0] - found.edges[0, 1]) > 4 * (found.node_error[0] + found.edge_error[0, 1])
    found = shapley_values(psi, ring, anchor, samples=400)
    for values, errors in ((found.nodes[:3], found.node_error[:3]), (found.edges.triu(1), found.edge_error.triu(1))):
        some = ~values.isnan() & (values != 0)
        assert some.sum() == 3
        assert values[some].max() - values[some].min() < 8 * errors[some].max()


def test_a_part_that_psi_does_not_see_gets_nothing(vocabulary):
    def blind(graph):  # to edges, and to nodes labeled b
        return normalize(counted(graph) * torch.tensor([1.0, 0.0, 1.0]), dim=1)

    graph = from_edge_lists([(["a", "b", "c", "c"], [(0, 1, "thin"), (1, 2, "thick"), (2, 3, "thin")])], vocabulary)
    found = shapley_values(blind, graph, torch.tensor([0.6, 0.0, 0.8]))
    assert found.nodes[1] == 0 and found.edges.nansum() == 0 and found.node_error[1] == 0
    assert (found.nodes[[0, 2, 3]] > 0.1).all()


def test_where_parts_simply_add_up_shares_are_exact(vocabulary):
    graph = from_edge_lists([(["a", "a", "c"], [(0, 1, "thin")])], vocabulary)
    found = shapley_values(lambda g: counted(g) / 10, graph, torch.tensor([0.8, 0.0, -0.6]), samples=4)
    assert found.nodes[:3].tolist() == pytest.approx([0.16, 0.16, -0.12])
    assert found.node_error[:3].tolist() == pytest.approx([0, 0, 0], abs=1e-9)
    assert found.loss == pytest.approx(1.8)
    table = found.table(graph)
    assert table["part"].tolist() == ["node 0: a", "node 1: a", "edge 0-1: thin", "node 2: c"]
    assert table["share"].is_monotonic_decreasing and list(table.columns) == ["part", "share", "error"]


def test_shares_depend_on_their_seed_and_nothing_else(psi, vertices):
    before = torch.random.get_rng_state()
    one, same, other = (shapley_values(psi, vertices[4], vertices[9], samples=8, seed=s) for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.testing.assert_close(one.nodes, same.nodes, rtol=0, atol=0, equal_nan=True)
    assert not torch.allclose(one.nodes, other.nodes, equal_nan=True)
    wide = shapley_values(psi, padded(vertices[4], 2), vertices[9], samples=8, seed=1)
    torch.testing.assert_close(wide.nodes[:5], one.nodes, equal_nan=True, rtol=1e-4, atol=1e-5)


def test_shares_of_nothing_and_of_too_few_samples_are_refused(psi, vertices):
    with pytest.raises(ValueError, match="samples must be at least 4 .*, got 3"):
        shapley_values(psi, vertices[0], vertices[1], samples=3)
    nothing = Graph.from_labels(torch.zeros(1, 5), torch.zeros(1, 5, 5), vertices.vocabulary)
    with pytest.raises(ValueError, match="no nodes"):
        shapley_values(psi, nothing, vertices[1])


# -- maps ----------------------------------------------------------------------------------------------------------
def kept_by_loops(points, positions):
    k, kept = min(15, len(points) - 1), []
    for i in range(len(points)):
        near, here = (
            sorted((j for j in range(len(points)) if j != i), key=lambda j: float(((x[i] - x[j]) ** 2).sum()))[:k]
            for x in (points.double().numpy(), positions.astype(float))
        )
        kept.append(len(set(near) & set(here)) / k)
    return kept


@pytest.mark.parametrize("n", [2, 3, 16, 17, 60])
@pytest.mark.parametrize("block", [7, 1_000])
def test_kept_is_the_share_of_neighbors_that_loops_count(n, block, monkeypatch):
    monkeypatch.setattr(maps, "BLOCK", block)
    fitted = fit_map(on_sphere(n), method="pca")
    np.testing.assert_allclose(fitted.kept, kept_by_loops(fitted.points, fitted.positions), atol=1e-6)
    assert fitted.trust == pytest.approx(fitted.kept.mean(), abs=1e-6)


def test_points_that_are_flat_are_mapped_without_loss_and_chance_keeps_little():
    angle = torch.rand(200, generator=torch.Generator().manual_seed(0)) * 2 * torch.pi
    circle = torch.stack([angle.cos(), angle.sin(), torch.zeros(200)], 1)
    assert fit_map(circle, method="pca").trust > 0.99
    shuffled = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    assert maps.neighbors_kept(circle, shuffled).mean() == pytest.approx(15 / 199, abs=0.02)


def test_equal_points_are_not_their_own_neighbors():
    """Of 40 equal points any 15 others are nearest; the point itself never counts."""
    kept = maps.neighbors_kept(on_sphere(1).expand(40, -1), np.zeros((40, 2), np.float32))
    assert (kept <= 1).all()
    index = np.array([[0, 4, 5], [3, 1, 2], [7, 8, 9]])
    assert maps._without_self(index, np.array([0, 1, 2])).tolist() == [[4, 5], [3, 2], [7, 8]]


def test_of_many_points_a_seeded_sample_is_judged(monkeypatch):
    points = on_sphere(90)
    whole = fit_map(points, method="pca")
    monkeypatch.setattr(maps, "MAX_JUDGED", 50)
    monkeypatch.setattr(maps, "JUDGED", 20)
    one, same, other = (fit_map(points, method="pca", seed=s) for s in (0, 0, 1))
    judged = ~np.isnan(one.kept)
    assert judged.sum() == 20
    np.testing.assert_array_equal(one.kept[judged], whole.kept[judged])
    np.testing.assert_array_equal(one.kept, same.kept)
    assert (np.isnan(other.kept) != ~judged).any()
    assert one.trust == pytest.approx(one.kept[judged].mean(), abs=1e-6)


@pytest.mark.parametrize("n, D", [(40, 8), (5, 20)])
def test_pca_is_that_of_a_singular_value_decomposition(n, D):
    points = on_sphere(n, D)
    centerd = (points - points.mean(0)).double().numpy()
    _, _, directions = np.linalg.svd(centerd)
    for axis, direction in enumerate(directions[:2]):
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        np.testing.assert_allclose(fit_map(points, method="pca").positions[:, axis], centerd @ direction, atol=1e-5)


@pytest.mark.parametrize("n, D", [(1, 4), (2, 4), (4, 4), (3, 1)])
def test_too_few_points_for_umap_get_a_map_all_the_same(n, D):
    fitted = fit_map(on_sphere(n, D))
    assert fitted.method == "pca" and fitted.positions.shape == (n, 2) and fitted.positions.dtype == np.float32
    assert np.isfinite(fitted.positions).all() and fitted.trust == 1
    np.testing.assert_allclose(fitted.transform(fitted.points), fitted.positions, atol=1e-6)


def test_umap_keeps_clusters_together_repeats_itself_and_starts_where_it_is_told():
    centers = on_sphere(3, 16)
    noise = torch.randn(60, 16, generator=torch.Generator().manual_seed(1))
    points = normalize(centers.repeat(20, 1) + 0.05 * noise, dim=1)
    state, threads = np.random.get_state()[1].copy(), torch.get_num_threads()
    fitted, same = fit_map(points, seed=3), fit_map(points, seed=3)
    assert (np.random.get_state()[1] == state).all()
    assert fitted.method == "umap" and fitted.positions.dtype == np.float32 and fitted.positions.shape == (60, 2)
    np.testing.assert_array_equal(fitted.positions, same.positions)
    assert not np.allclose(fit_map(points, seed=4).positions, fitted.positions)
    middles = np.stack([fitted.positions[c::3].mean(0) for c in range(3)])
    nearest_middle = np.square(fitted.positions[:, None] - middles).sum(-1).argmin(1)
    assert nearest_middle.tolist() == [0, 1, 2] * 20 and fitted.trust > 0.6
    for sign in (1, -1):  # a map that ignores its start would differ from one of the two
        start = sign * fitted.positions
        moved = fit_map(points, start=start).positions
        kept = [np.corrcoef(moved[:, axis], start[:, axis])[0, 1] for axis in (0, 1)]
        assert np.mean(kept) > 0.2  # three clusters may turn a little, on some processors more than on others
    for few in (5, 16, 17, 31):  # no neighbors to spare
        fitted = fit_map(points[:few])
        assert fitted.method == "umap" and np.isfinite(fitted.positions).all()
    assert np.isfinite(fit_map(points[:1].expand(12, -1)).positions).all()
    assert np.isfinite(fit_map(points[:12], start=np.zeros((12, 2))).positions).all()
    assert torch.get_num_threads() == threads


def test_what_cannot_be_mapped_is_refused():
    points = on_sphere(6)
    with pytest.raises(ValueError, match="'mds'.*umap, tsne, pca"):
        fit_map(points, method="mds")
    with pytest.raises(ValueError, match=r"points must be \(n, D\), n >= 1, got shape \(8,\)"):
        fit_map(points[0])
    with pytest.raises(ValueError, match=r"got shape \(0, 8\)"):
        fit_map(points[:0])
    for start in (np.zeros((5, 2)), np.full((6, 2), np.nan)):
        with pytest.raises(ValueError, match=r"\(6, 2\)"):
            fit_map(points, start=start)
    points[4, 2] = float("nan")
    with pytest.raises(ValueError, match="point 4 has NaN or infinity"):
        fit_map(points, method="pca")


def test_points_of_the_map_land_on_their_own_places_and_others_between_their_neighbors():
    points = on_sphere(50)
    fitted = fit_map(points, method="pca")
    np.testing.assert_allclose(fitted.transform(points), fitted.positions, atol=1e-5)
    near = normalize(points + 1e-3 * torch.randn(points.shape, generator=torch.Generator().manual_seed(1)), dim=1)
    np.testing.assert_allclose(fitted.transform(near), fitted.positions, atol=1e-3)
    between = fitted.transform(normalize(points[:1] + points[1:2], dim=1))
    assert between.shape == (1, 2) and between.dtype == np.float32
    far = fitted.transform(on_sphere(200, seed=9))
    assert (far >= fitted.positions.min(0)).all() and (far <= fitted.positions.max(0)).all()
    np.testing.assert_allclose(far[7], fitted.transform(on_sphere(200, seed=9)[7:8])[0], atol=1e-6)
    assert fitted.transform(points[:0]).shape == (0, 2)


def test_a_point_halfway_between_two_lands_halfway():
    fitted = EmbeddingMap(np.array([[0, 0], [4, 2]], np.float32), torch.eye(3)[:2], np.ones(2), "pca")
    halfway = normalize(torch.tensor([[1.0, 1.0, 0.5]]), dim=1)
    np.testing.assert_allclose(fitted.transform(halfway), [[2, 1]], atol=1e-6)
    nearer = fitted.transform(normalize(torch.tensor([[1.0, 0.8, 0.5]]), dim=1))[0]
    assert 0 < nearer[0] < 2 and nearer[1] == pytest.approx(nearer[0] / 2)


@pytest.mark.parametrize("mirror", [1, -1])
def test_alignment_undoes_turning_mirroring_moving_and_scaling(mirror):
    fitted = fit_map(on_sphere(30), method="pca")
    turn = np.array([[np.cos(2), np.sin(2)], [-mirror * np.sin(2), mirror * np.cos(2)]])
    other = EmbeddingMap(
        (3 * fitted.positions @ turn + [5, -7]).astype(np.float32), fitted.points, fitted.kept, "pca"
    )
    back = other.aligned_to(fitted)
    np.testing.assert_allclose(back.positions, fitted.positions, atol=1e-5)
    assert back.positions.dtype == np.float32 and back.method == "pca"
    np.testing.assert_array_equal(back.kept, other.kept)
    with pytest.raises(ValueError, match="maps of 30 and 29 points cannot be aligned"):
        other.aligned_to(fit_map(on_sphere(29), method="pca"))


def test_no_similar_map_lies_nearer_than_the_aligned_one():
    mine, theirs = (fit_map(on_sphere(30, seed=s), method="pca") for s in (0, 1))

    def apart(positions):
        return np.square(positions - theirs.positions).sum()

    best = mine.aligned_to(theirs).positions
    draw = np.random.default_rng(0)
    for _ in range(200):
        angle, scale = draw.normal(0, 0.05), np.exp(draw.normal(0, 0.05))
        turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        assert apart(best @ turn + draw.normal(0, 0.01, 2)) >= apart(best) - 1e-6


def test_a_key_names_all_that_a_map_is_made_of(psi, vocabulary, vertices):
    key = map_key(psi, vertices)
    assert key == map_key(embedding(vocabulary), vertices) and len(key) == 64
    deeper = embedding(vocabulary)
    with torch.no_grad():
        next(deeper.parameters()).view(-1)[3] += 1e-3
    others = [
        map_key(deeper, vertices),
        map_key(psi, vertices[:-1]),
        map_key(psi, vertices, method="pca"),
        map_key(psi, vertices, seed=1),
        map_key(type("Other", (GraphEmbedding,), {"forward": None})(vocabulary, psi.config), vertices),
        map_key(lambda g: flat(g), vertices),
        map_key(lambda g: flat(g).flip(1), vertices),
    ]
    assert len({key, *others}) == 8
    assert map_key(lambda g: flat(g), vertices) == map_key(flat, vertices)  # the points, where there are no weights


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Folders of shipped and of cached maps, empty."""
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("elekit.inspect.maps.SHIPPED", tmp_path / "shipped")
    return tmp_path / "shipped" / "maps", tmp_path / "cache" / "maps"


def test_a_map_is_kept_and_found_again(places):
    fitted = fit_map(on_sphere(20), method="pca")
    assert load_map("k", fitted.points) is None
    path = save_map(fitted, "k")
    assert path == places[1] / "k.safetensors" and path.exists()
    assert save_map(fitted, "shipped", places[0]).parent == places[0]
    for key in ("k", "shipped"):
        found = load_map(key, fitted.points)
        np.testing.assert_array_equal(found.positions, fitted.positions)
        np.testing.assert_array_equal(found.kept, fitted.kept.astype(np.float32))
        assert found.method == "pca" and torch.equal(found.points, fitted.points)
    assert load_map("other", fitted.points) is None
    assert sorted(p.name for p in path.parent.iterdir()) == ["k.safetensors"]


@pytest.mark.parametrize(
    "harm", ["cut", "empty", "text", "folder", "size", "width", "nan", "method", "foreign", "tensor"]
)
def test_a_map_file_that_cannot_be_used_is_passed_over_with_a_warning(places, harm):
    fitted = fit_map(on_sphere(20), method="pca")
    path = save_map(fitted, "k", places[0])
    whole = path.read_bytes()
    if harm in ("cut", "empty", "text"):
        path.write_bytes({"cut": whole[:-9], "empty": b"", "text": b"no tensors in here"}[harm])
    elif harm == "folder":
        path.unlink()
        path.mkdir()
    elif harm in ("size", "width", "nan", "method"):
        positions = fitted.positions[:, [0, 1, 1]] if harm == "width" else fitted.positions.copy()
        positions[3, 0] = np.nan if harm == "nan" else 0
        cut = slice(0, 19 if harm == "size" else 20)
        method = "isomap" if harm == "method" else "pca"
        save_map(EmbeddingMap(positions[cut], fitted.points[cut], fitted.kept[cut], method), "k", places[0])
    else:
        from safetensors.numpy import save_file

        about = {"format": maps.FORMAT if harm == "tensor" else "something else", "method": "pca"}
        save_file({"positions": fitted.positions} | ({} if harm == "tensor" else {"kept": fitted.kept}), path, about)
    with pytest.warns(UserWarning, match="k.safetensors is skipped"):
        assert load_map("k", fitted.points) is None
    save_map(fitted, "k")  # what is in the cache is found behind it
    with pytest.warns(UserWarning, match="is skipped"):
        assert load_map("k", fitted.points).trust == pytest.approx(fitted.trust)


def test_the_shipped_maps_are_those_of_the_shipped_loss():
    data, psi = elekit.datasets.load("molecules7"), elekit.load("molecules7").psi
    test = data.test.graphs
    for graphs in (test, Graph.cat([data.train.graphs, data.validation.graphs, test])):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = load_map(map_key(psi, graphs), points_of(psi, graphs))
        assert found is not None and found.method == "umap" and len(found.positions) == len(graphs)
        assert found.trust > 0.3  # 0.42 of the 960, 0.33 of all 9,605; chance keeps 0.02 and 0.002
        if len(graphs) < 1_000:  # psi on another machine may break a tie otherwise
            again = maps.neighbors_kept(found.points, found.positions)
            assert np.abs(again - found.kept).mean() < 0.01


def test_asking_loads_neither_umap_nor_anything_that_draws():
    heavy = ("umap", "sklearn", "numba", "matplotlib", "ipywidgets", "rdkit")
    code = (
        "import sys, torch, elekit.inspect as i; i.fit_map(torch.eye(8), method='pca');"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# -- spread --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "points, cosine, expected, rank",
    [
        (torch.eye(4)[[1, 1, 1]], 1, 0, 1),  # collapsed
        (torch.eye(6), 0, -4, 6),  # orthogonal
        (torch.stack([torch.eye(3)[0], -torch.eye(3)[0]]), -1, -8, 1),  # antipodes
        (torch.eye(4)[[0, 0, 1, 1]], 1 / 3, math.log((2 + 4 * math.exp(-4)) / 6), 2),
    ],
)
def test_spread_in_closed_form(points, cosine, expected, rank):
    told = uniformity(points)
    assert told == pytest.approx(
        {"n": len(points), "mean_cosine": cosine, "uniformity": expected, "effective_rank": rank}, abs=1e-6
    )


def test_spread_is_that_of_loops_over_pairs():
    points = on_sphere(25, 6)
    pairs = list(itertools.combinations(points.double(), 2))
    told = uniformity(points)
    assert told["mean_cosine"] == pytest.approx(sum(float(u @ v) for u, v in pairs) / len(pairs), abs=1e-6)
    potential = sum(math.exp(-2 * float((u - v).square().sum())) for u, v in pairs) / len(pairs)
    assert told["uniformity"] == pytest.approx(math.log(potential), abs=1e-6)
    share = np.linalg.svd(points.double().numpy(), compute_uv=False)
    share = share / share.sum()
    assert told["effective_rank"] == pytest.approx(math.exp(-(share * np.log(share)).sum()), rel=1e-5)


def test_spread_of_many_points_is_that_of_a_seeded_sample(monkeypatch):
    points = on_sphere(300)
    whole = uniformity(points)
    monkeypatch.setattr(importlib.import_module("elekit.inspect.uniformity"), "MAX_POINTS", 100)
    sampled = uniformity(points)
    assert sampled == uniformity(points) and sampled != uniformity(points, seed=1) and sampled != whole
    assert sampled["n"] == 300 and sampled["uniformity"] == pytest.approx(whole["uniformity"], abs=0.2)


def test_spread_of_one_point_has_no_pairs():
    told = uniformity(on_sphere(1))
    assert math.isnan(told["mean_cosine"]) and math.isnan(told["uniformity"])
    assert told["effective_rank"] == pytest.approx(1)
    with pytest.raises(ValueError, match="n >= 1"):
        uniformity(on_sphere(0))


def test_alignment_is_the_mean_loss_of_pairs(psi, vertices):
    one, other = psi(vertices), psi(vertices.permuted(torch.tensor([1, 0, 2, 3, 4]))).flip(0)
    assert alignment(one, other) == pytest.approx(float(LearnedLoss(psi)(one, other).mean()), abs=1e-5)
    assert alignment(one, one) == 0 and alignment(one, -one) == pytest.approx(4, abs=1e-5)
    with pytest.raises(ValueError, match="paired row by row"):
        alignment(one, other[:3])
    with pytest.raises(ValueError, match="point 1 has NaN"):
        alignment(one, other.index_fill(0, torch.tensor([1]), float("nan")))


# -- around --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "exclude, out",
    [
        (None, ()),
        (4, (4,)),
        (0, (0,)),
        (np.int64(4), (4,)),
        ([4, 7], (4, 7)),
        (torch.tensor([4, 11]), (4, 11)),
        ({3}, (3,)),
    ],
    ids=str,
)
@pytest.mark.parametrize("k", [1, 5, 99])
def test_neighbors_are_a_sort_without_what_is_excluded(exclude, out, k):
    points = on_sphere(12)
    expected = sorted((float((points[4] - p).square().sum()), r) for r, p in enumerate(points) if r not in out)[:k]
    for target in (points[4], points[4:5]):
        found = neighbors(target, points, k, exclude)
        assert found["row"].tolist() == [row for _, row in expected]
        np.testing.assert_allclose(found["loss"], [loss for loss, _ in expected], atol=1e-6)
        assert list(found.columns) == ["row", "loss"] and found.index.tolist() == list(range(len(expected)))


def test_neighbors_of_what_is_no_unit_vector_are_refused():
    points = on_sphere(5)
    with pytest.raises(ValueError, match="k must be at least 1"):
        neighbors(points[0], points, 0)
    with pytest.raises(ValueError, match="length is 3"):
        neighbors(3 * points[0], points)
    with pytest.raises(ValueError, match=r"got shape \(2, 8\)"):
        neighbors(points[:2], points)


def test_what_separates_molecules_is_said_in_words():
    drawn = from_smiles(["CCO", "OCC", "CCN", "CC=O", "CCOC", "C1CC2CC2C1"], ATOMS)
    same, turned, relabeled, bond, longer, far = separating_edits(drawn[0], drawn)
    assert same == turned == "the same graph"
    assert relabeled == "node 2: O to N"
    assert bond == "edge 1-2: single to double"
    assert longer == "node 3: nothing to C; edge 2-3: no edge to single"
    distance = int(edit_distance(drawn[0], drawn[5]).distance)
    assert distance > 4 and far == f"{distance} edits apart"
    with pytest.raises(ValueError, match="graph must be a batch of one"):
        separating_edits(drawn, drawn)
