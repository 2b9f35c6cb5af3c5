"""Methods that do not learn to read: against closed forms, slow loops, and what must come out of copies."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import random_vertices

from benchmarks.methods import METHODS, barycenter, graph_kernels, input_features, regression
from benchmarks.methods.ile import ILE
from benchmarks.methods.nearest_neighbor import NearestNeighbor
from benchmarks.task_data import Budget, TrainingData
from elekit import datasets
from elekit.datasets import Split
from elekit.graphs import distances
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import from_smiles, is_valid, molecule_vocabulary
from elekit.model.loss import points_of

CLASSICAL = ("nearest-neighbor", "ile-tanimoto", "ile-wl", "ile-fgw", "nnbary-fgw", "ilebary-fgw")


@pytest.fixture(scope="module")
def data() -> TrainingData:
    data = datasets.load("molecules7")
    train = data.train.sample(24)
    return TrainingData("noise", "text", train, data.validation.sample(6), train.graphs, Budget(2), None)


@pytest.fixture(scope="module")
def broken(data) -> Graph:
    """One molecule, one graph that RDKit does not sanitise, one without nodes."""
    nodes, edges = (labels[:3].clone() for labels in data.outputs.labels())
    edges[1][edges[1] > 0] = 3
    nodes[2], edges[2] = 0, 0
    assert is_valid(Graph.from_labels(nodes, edges, data.outputs.vocabulary)).tolist() == [True, False, False]
    return Graph.from_labels(nodes, edges, data.outputs.vocabulary)


# -- kernels -------------------------------------------------------------------------------------------------------
def pairs(graphs: Graph) -> tuple[Graph, Graph]:
    rows = torch.arange(len(graphs))
    return graphs[rows.repeat_interleave(len(graphs))], graphs[rows.repeat(len(graphs))]


def test_kernels_are_the_distances_that_they_are_named_after(data):
    graphs = data.outputs[:6]
    a, b = pairs(graphs)
    tanimoto = 1 - distances.tanimoto(a, b).view(6, 6).float()
    wl = 1 - distances.weisfeiler_lehman(a, b).view(6, 6).float() / 2
    assert torch.allclose(graph_kernels.Tanimoto(graphs)(graphs), tanimoto, atol=1e-6)
    assert torch.allclose(graph_kernels.WeisfeilerLehman(graphs)(graphs), wl, atol=1e-6)
    fgw = graph_kernels.FusedGromovWasserstein(graphs)
    costs, best = fgw.costs(graphs), distances.fused_gromov_wasserstein(a, b).view(6, 6)
    assert (costs - best).abs().mean() < 0.02 < best.mean()  # one descent against ten
    assert torch.equal(costs.diag(), torch.zeros(6, dtype=torch.float64))
    assert torch.allclose(fgw(graphs), (-costs / fgw.scale).exp().float())


def test_other_labels_have_the_kernels_that_need_no_chemistry(vertices):
    wl = graph_kernels.WeisfeilerLehman(vertices[:5])(vertices)
    for column, landmark in enumerate(vertices[:5]):
        expected = 1 - distances.weisfeiler_lehman(vertices, landmark[torch.zeros(40, dtype=torch.long)]) / 2
        assert torch.allclose(wl[:, column].double(), expected, atol=1e-6)
    assert graph_kernels.default_kernel(vertices.vocabulary) == "wl"
    with pytest.raises(ValueError, match="kernel 'wl'"):
        graph_kernels.Tanimoto(vertices)
    with pytest.raises(ValueError, match="'rbf'.*tanimoto, wl, fgw"):
        graph_kernels.embed_kernel("rbf", vertices, 4, 0)


@pytest.mark.parametrize("name", ["tanimoto", "wl"])
def test_with_all_landmarks_products_are_the_kernel(data, name):
    psi = graph_kernels.embed_kernel(name, data.outputs, 1_000, 0)
    points = points_of(psi, data.outputs)
    exact = graph_kernels.KERNELS[name](data.outputs)(data.outputs)
    assert torch.allclose(points @ points.T, exact, atol=2e-3) and exact.std() > 0.05
    few = points_of(graph_kernels.embed_kernel(name, data.outputs, 8, 0), data.outputs)
    assert few.shape[1] <= 9 and ((few @ few.T - exact).abs().mean() > (points @ points.T - exact).abs().mean())


@pytest.mark.parametrize("name", list(graph_kernels.KERNELS))
def test_what_is_no_molecule_has_its_place_too(data, broken, name):
    psi = graph_kernels.embed_kernel(name, data.outputs[:8], 8, 0)
    points = psi(broken)
    assert torch.isfinite(points).all() and torch.allclose(points.norm(dim=1), torch.ones(3), atol=1e-5)
    alone = {"tanimoto": [1, 2], "wl": [2], "fgw": [2]}[name]
    assert points[alone, -1].tolist() == [1] * len(alone) and points[0, -1] == 0
    again = graph_kernels.embed_kernel(name, data.outputs[:8], 8, 0)(broken)
    assert torch.equal(points, again)


def test_molecules_of_very_different_sizes_have_the_same_points(data):
    texts = ["C" * n + "O" for n in (3, 30, 2, 60)]
    lazy = PackedGraphs.of(from_smiles(texts, molecule_vocabulary(["C", "O"], 61)))
    dense = from_smiles(texts)
    for name in ("tanimoto", "wl"):
        one, other = (graph_kernels.KERNELS[name](graphs)(graphs) for graphs in (lazy, dense))
        assert torch.equal(one, other) and len(one.unique()) > 3


# -- regression and neighbours -------------------------------------------------------------------------------------
@pytest.mark.parametrize("width", [None, 0.5])
def test_with_all_anchors_the_regression_is_kernel_ridge_regression(data, width, generator):
    points = torch.randn(24, 5, generator=generator)
    h = regression.KernelRidge(input_features.ngrams("char", 3, 5), data.train.inputs, 24, 0).prepare(points, width)
    rows = input_features.ngrams("char", 3, 5).fit_transform(data.train.inputs).toarray().astype(float)
    reader = input_features.ngrams("char", 3, 5).fit(data.train.inputs)
    asked = reader.transform(data.validation.inputs).toarray().astype(float)

    def kernel(a, b):
        return a @ b.T if width is None else np.exp((a @ b.T - 1) / width)

    solved = np.linalg.solve(kernel(rows, rows) + 0.01 * 24 * np.eye(24), points.numpy())
    expected = kernel(asked, rows) @ solved
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(h.solve(0.01).predict(data.validation.inputs).numpy(), expected, atol=1e-4)


def test_a_training_input_finds_its_own_graph_and_scores_it_best(data, tmp_path):
    fitted = NearestNeighbor().fit(data, seed=0, work=tmp_path, progress=False)
    predictor = fitted.predictors[""]
    found = predictor.predict(data.train.inputs[3:9])
    assert isomorphic(found, data.train.graphs[3:9]).all()
    predictor.k = 1
    best = predictor.score_gallery(data.train.inputs, data.train.graphs).argmax(1)
    assert (best == torch.arange(24)).float().mean() > 0.9
    assert fitted.settings["features"] in input_features.FEATURES["text"]


def test_the_most_alike_are_those_of_a_full_table(data, generator):
    images = torch.rand(40, 3, 8, 8, generator=generator)
    for reader, given in ((input_features.Pixels(2), images), (input_features.counts(1, 3), data.train.inputs)):
        rows = reader.fit_transform(given)
        table = input_features.cosines(rows, rows)
        assert np.allclose(np.diag(table), 1, atol=1e-5)
        alike, numbers = input_features.nearest_rows(rows, rows, 4)
        assert np.allclose(alike, np.sort(table, 1)[:, ::-1][:, :4], atol=1e-6)
        assert np.allclose(np.take_along_axis(table, numbers, 1), alike, atol=1e-6)
    assert input_features.nearest_rows(rows, rows[:2], 5)[1].shape == (24, 2)


# -- barycentres ---------------------------------------------------------------------------------------------------
def test_a_barycenter_of_copies_is_the_graph(data):
    for graph in data.outputs[:6]:
        copies = graph[torch.zeros(3, dtype=torch.long)]
        made = barycenter.round_graphs([barycenter.relaxed_barycenter(copies, np.ones(3), 0.5)], 0.5, graph)
        assert isomorphic(made, graph).all()  # labels of edges as well


def test_a_barycenter_lies_in_the_polytope_and_knows_sizes(vertices):
    nodes, edges = barycenter.relaxed_barycenter(vertices[:5], np.arange(1.0, 6), 0.5)
    sizes = sorted((vertices[:5].labels()[0] > 0).sum(1).tolist())
    assert len(nodes) == sizes[2] and np.allclose(nodes.sum(1), 1) and np.allclose(edges.sum(2), 1)
    assert np.allclose(edges, edges.transpose(1, 0, 2)) and edges.min() > -1e-9
    barycenter.round_graphs([(nodes, edges)], 0.5, vertices).check()


def test_a_graph_that_weighs_all_decides_and_graphs_without_nodes_do_not_count(data, broken):
    one, _ = data.outputs[:2]
    size = int((one.labels()[0] > 0).sum())
    same = [g for g in data.outputs if int((g.labels()[0] > 0).sum()) == size][:3]
    both = Graph.cat([same[1], same[2], broken[2:]])
    for place in (0, 1):
        weights = np.array([1e-9, 1e-9, 1e-9])
        weights[place] = 1
        made = barycenter.round_graphs([barycenter.relaxed_barycenter(both, weights, 0.5)], 0.5, one)
        assert isomorphic(made, same[1 + place]).all()
    nodes, _ = barycenter.relaxed_barycenter(broken[2:], np.ones(1), 0.5)
    assert len(barycenter.round_graphs([(nodes, _)], 0.5, one)) == 1 and len(nodes) == 0


# -- whole methods -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CLASSICAL)
def test_a_method_learns_predicts_and_repeats_itself(data, tmp_path, name, monkeypatch):
    monkeypatch.setattr(regression, "WIDTHS", (1.0,))
    monkeypatch.setattr(barycenter, "NEIGHBOR_COUNTS", (2,))
    method = replace(METHODS[name], landmarks=6) if name == "ile-fgw" else METHODS[name]
    first, again = (method.fit(data, seed=0, work=tmp_path, progress=False) for _ in range(2))
    assert first.settings == again.settings and first.settings
    asked = data.validation.inputs
    one, other = (fitted.predictors[""].predict(asked) for fitted in (first, again))
    assert torch.equal(one.nodes, other.nodes) and torch.equal(one.edges, other.edges) and len(one) == 6
    one.check()
    scores = first.predictors[""].score_gallery(asked, data.outputs[:7])
    assert scores is None if name.endswith("bary-fgw") else scores.shape == (6, 7) and torch.isfinite(scores).all()


def test_images_and_colored_graphs_go_as_well(vocabulary, tmp_path, generator, monkeypatch):
    monkeypatch.setattr(regression, "WIDTHS", (1.0,))
    graphs = random_vertices(vocabulary, 30, generator)
    images = torch.rand(30, 3, 8, 8, generator=generator)
    everything = Split(images, graphs, datasets.load("molecules7").train.frame[:30])
    train, validation = everything.take(range(24)), everything.take(range(24, 30))
    data = TrainingData("coloring", "image", train, validation, graphs, Budget(2), None)
    for name in ("nearest-neighbor", "ile-wl", "nnbary-fgw"):
        predictor = METHODS[name].fit(data, seed=0, work=tmp_path, progress=False).predictors[""]
        found = predictor.predict(images[:24])
        assert len(found) == 24
        if name == "nearest-neighbor":
            assert isomorphic(found, train.graphs).all()


def test_few_pairs_are_used_where_the_kernel_is_slow(data, tmp_path, monkeypatch):
    monkeypatch.setattr(regression, "WIDTHS", (1.0,))
    method = replace(METHODS["ile-wl"], max_pairs=10, landmarks=5)
    assert isinstance(method, ILE)
    settings = method.fit(data, seed=0, work=tmp_path, progress=False).settings
    assert (settings["pairs"], settings["candidates"], settings["landmarks"]) == (10, 10, 5)
