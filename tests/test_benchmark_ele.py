"""The benchmark's tasks, and ELE as one of its methods."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import equal

from benchmarks.methods import METHODS
from benchmarks.methods.ele import ABLATIONS, ELE, ELE_VARIANTS
from benchmarks.methods.embedding_predictor import EmbeddingPredictor
from benchmarks.methods.encoders import ENCODINGS
from benchmarks.methods.fitted_metric import MetricH, MetricPsi, fit_metric, metric_matrix
from benchmarks.methods.regression import MeanRegressor, mean_cosine
from benchmarks.runner import evaluate_predictor
from benchmarks.task_data import Budget, TestData
from benchmarks.tasks import MAX_VALIDATION, TASKS
from elekit.decoding import Candidates, DecodeConfig
from elekit.decoding.candidates import constraints_of
from elekit.graphs import projections
from elekit.graphs.smiles import parse_smiles, to_smiles
from elekit.model import artifact as artifacts
from elekit.model.embedding import EmbeddingConfig
from elekit.model.loss import points_of
from elekit.training import EmbeddingTraining
from elekit.training.loop import TrainerConfig

TASK = TASKS["noise"]  # on molecules7, which comes along
SMALL = replace(
    ELE(),
    psi_training=EmbeddingTraining(loop=TrainerConfig(6, 2e-3), batch_size=16),
    psi_shape=EmbeddingConfig(hidden=8, rounds=1, dim=16),
    use_shipped=False,
)


@pytest.fixture(scope="module")
def posed():
    return TASK.load_data(labels=60)


@pytest.fixture(scope="module")
def small(posed):
    """Sixty pairs, few graphs besides, a few steps."""
    data, _, _ = posed
    return replace(data, outputs=data.train.graphs, artifact=None, budget=Budget(4, 16))


# -- tasks -------------------------------------------------------------------------------------------------------------
def test_no_pair_is_learned_from_and_judged(posed):
    data, test_data, about = posed
    parts = [data.train, data.validation, test_data.calibration, test_data.test]
    keys = [set(part.frame["key"]) for part in parts]
    assert sum(map(len, keys)) == len(set().union(*keys)) == sum(map(len, parts))
    assert len(data.train) == len(data.validation) == 60 < MAX_VALIDATION
    assert about["train_pairs"] == 60 and about["examined"] == len(test_data.test)


def test_labels_are_drawn_by_the_seed_and_the_rest_stays(posed):
    first, again, other = posed[0], TASK.load_data(labels=60)[0], TASK.load_data(labels=60, seed=1)[0]
    assert first.train.inputs == again.train.inputs != other.train.inputs
    assert equal(first.outputs, other.outputs) and len(first.outputs) > 5_000


@pytest.mark.parametrize("labels", [0, -1, 10**6])
def test_labels_that_there_are_not_are_refused(labels):
    with pytest.raises(ValueError, match=r"got labels=(0|-1|1000000)$"):
        TASK.load_data(labels=labels)


def test_a_shipped_psi_is_taken_only_where_it_learned_from_these_graphs(posed):
    assert posed[0].artifact == "molecules7"
    for spoilt, expected in (("labels", "molecules7"), ("typos", "molecules7"), ("outputs", None), ("missing", None)):
        data, test_data, _ = TASK.load_data(labels=60, noise=(spoilt, 0.5))
        assert data.artifact == expected, spoilt
        assert (test_data.test.inputs == posed[1].test.inputs) == (spoilt != "typos")
        assert equal(test_data.test.graphs, posed[1].test.graphs)  # the truth is never spoilt
    other = replace(TASK, artifact="qm9")
    assert other.load_data(labels=60)[0].artifact is None


def test_unknown_noise_is_refused():
    with pytest.raises(ValueError, match="'rain'.*labels, outputs, missing, typos"):
        TASK.load_data(labels=60, noise=("rain", 0.1))


@pytest.mark.realdata
def test_a_rewritten_task_asks_for_the_same_graphs_by_other_smiles(data_dir):
    data, test_data, _ = TASKS["smi2mol-random"].load_data(labels=50)
    plain, asked, _ = TASKS["smi2mol"].load_data(labels=50)
    for ours, theirs in ((data.train, plain.train), (test_data.test, asked.test)):
        assert equal(ours.graphs, theirs.graphs)
        same = sum(one == other for one, other in zip(ours.inputs, theirs.inputs))
        assert same < 0.3 * len(ours)
    assert [parse_smiles(text).canonical for text in data.train.inputs] == data.train.frame["key"].tolist()
    assert data.artifact == plain.artifact == "qm9"


# -- ELE ---------------------------------------------------------------------------------------------------------------
def test_ele_decodes_in_every_way_and_goes_on_where_it_was(small, tmp_path):
    work = tmp_path / "run"
    SMALL.prepare(small, seed=0, work=work, progress=False)
    fitted = SMALL.fit(small, seed=0, work=work, progress=False)
    assert {"candidates", "candidates + polish"} <= set(fitted.predictors)
    assert {path.name.split("-")[0] for path in tmp_path.glob("*.pt")} == {"psi"}  # once, beside all runs
    again = SMALL.fit(small, seed=0, work=work, progress=False)
    texts = small.validation.inputs[:5]
    for way, predictor in fitted.predictors.items():
        assert len(predictor.predict(texts)) == 5
        assert equal(predictor.predict(texts), again.predictors[way].predict(texts)), way
    found = fitted.predictors["candidates"].predict(texts)
    known = set(to_smiles(small.outputs))
    assert set(to_smiles(found)) <= known


def test_the_shipped_psi_is_used_as_it_is(posed, tmp_path):
    data = replace(posed[0], budget=Budget(2, 8))
    psi = ELE().psi(data, tmp_path / "run", progress=False)
    shipped = artifacts.load("molecules7").psi
    assert torch.equal(psi(data.train.graphs[:3]), shipped(data.train.graphs[:3]))
    assert list(tmp_path.iterdir()) == []


def test_ablations_differ_from_ele_in_psi_alone():
    settings = [method.psi_training for method in ABLATIONS if not method.fitted_metric]
    assert len(settings) > 4 and len(set(settings)) == len(settings)
    assert {method.through for method in ABLATIONS} == {"point"}
    assert METHODS["psi-same-budget"].psi_training == METHODS["ele"].psi_training == ELE.psi_training


def test_only_the_method_of_the_paper_is_called_ele():
    """h ends in a point, and nothing is fitted on validation pairs; every other variant says what it is."""
    named = {method.title: (method.through, method.fitted_metric) for method in ELE_VARIANTS}
    assert named == {
        "ELE": ("point", False),
        "ELE + fitted metric": ("point", True),
        "ELE + graph head": ("graph", False),
        "ELE + graph head + fitted metric": ("graph", True),
    }
    assert METHODS["ele"].title == "ELE" and ENCODINGS["smiles"].through == "graph"
    assert [method.title for method in METHODS.values()].count("ELE") == 1


def test_a_fitted_metric_changes_nothing_where_it_does_not_help(small, tmp_path, monkeypatch):
    plain = SMALL.fit(small, seed=0, work=tmp_path / "a", progress=False)
    monkeypatch.setattr("benchmarks.methods.ele.evaluate", lambda *_, **__: {"exact": np.array([0.5])})
    fitted = replace(SMALL, fitted_metric=True).fit(small, seed=0, work=tmp_path / "b", progress=False)
    assert "metric" not in plain.settings and fitted.settings["metric"]["shrinkage"] == 1.0
    texts = small.validation.inputs[:5]
    one, other = (run.predictors["candidates"].predict(texts) for run in (plain, fitted))
    assert equal(one, other)


def test_ele_through_a_graph_decodes_in_more_ways(small, tmp_path):
    graphs = replace(
        SMALL, through="graph", decoders=("rounded", "rounded + polish", "candidates", "candidates + polish")
    )
    fitted = graphs.fit(small, seed=0, work=tmp_path / "run", progress=False)
    texts, h = small.validation.inputs[:5], fitted.predictors["rounded"].h
    assert (*fitted.predictors,) == graphs.decoders
    rounded = constraints_of(fitted.predictors["rounded"].psi, None).rounded(h.graphs(texts))
    assert equal(fitted.predictors["rounded"].predict(texts), rounded)
    assert fitted.settings["through"] == "graph" and fitted.settings["h"]["rewritten"] == 0  # texts are no SMILES
    for way in ("rounded + polish", "candidates + polish"):
        assert len(fitted.predictors[way].predict(texts)) == 5


class Known:
    """An h that knows the truth."""

    def __init__(self, psi, split):
        self.points = dict(zip(split.inputs, points_of(psi, split.graphs)))

    def predict(self, inputs):
        return torch.stack([self.points[text] for text in inputs])


def test_a_perfect_h_gets_full_marks(posed):
    _, test_data, _ = posed
    psi, some = artifacts.load("molecules7").psi, test_data.test.take(range(40))
    predictor = EmbeddingPredictor(psi, Known(psi, some), Candidates.of(psi, some.graphs), DecodeConfig("candidates"))
    figures = evaluate_predictor(predictor, TestData(some, test_data.calibration, some.graphs, torch.arange(40)))
    assert figures["exact"] == figures["hits@1"] == figures["mrr"] == 1 and figures["edit_distance"] == 0
    assert figures["count"] == figures["among"] == 40


def test_a_mean_of_points_lies_on_the_sphere_between_them(posed):
    psi, some = artifacts.load("molecules7").psi, posed[1].test.take(range(6))
    turned = Known(psi, some)
    turned.points = {text: point.roll(1) for text, point in turned.points.items()}
    truth = points_of(psi, some.graphs)
    mean = MeanRegressor(Known(psi, some), turned).predict(some.inputs)
    assert torch.allclose(mean.norm(dim=1), torch.ones(6), atol=1e-5)
    assert mean_cosine(turned.predict(some.inputs), truth) < mean_cosine(mean, truth) < mean_cosine(truth, truth)


# -- the metric --------------------------------------------------------------------------------------------------------
def test_a_metric_makes_errors_alike_in_all_directions(generator):
    errors = torch.randn(4_000, 6, generator=generator) * torch.tensor([3.0, 1, 1, 0.5, 0.2, 0.1])
    M = metric_matrix(errors, shrinkage=0.0)
    assert torch.allclose(M, M.T, atol=1e-5)
    made = errors @ M
    covariance = made.T @ made / len(made)
    assert torch.allclose(covariance, covariance[0, 0] * torch.eye(6), atol=1e-3)
    assert torch.allclose(metric_matrix(errors, shrinkage=1.0), torch.eye(6), atol=1e-5)  # which changes nothing


def erring(psi, split, directions, generator) -> Known:
    """An h that is right but for a few directions (D, k), in which it is far off."""
    h = Known(psi, split)
    off = torch.randn(len(h.points), directions.shape[1], generator=generator) @ directions.T
    h.points = {text: projections.sphere(point + error) for (text, point), error in zip(h.points.items(), off)}
    return h


def test_a_metric_finds_the_directions_in_which_h_errs(posed, generator):
    """Told of them, psi tells graphs from edits again, and so it is taken where decoding is better for it."""
    data, psi = posed[0], artifacts.load("molecules7").psi
    directions = torch.linalg.qr(torch.randn(512, 10, generator=generator)).Q
    h, asked = erring(psi, data.validation, directions, generator), []

    def exact(metric, split):  # as if decoding were right wherever the metric is not the old one
        asked.append(len(split))
        return 1.0 - float(torch.allclose(metric, torch.eye(512), atol=1e-5))

    M, told = fit_metric(psi, h, data, 0, exact)
    assert sum(asked) == 2 * len(h.points) and told["decoded"] == {"1.0": 0.0, str(told["shrinkage"]): 1.0}
    assert told["separated_from_edits"][str(told["shrinkage"])] > told["separated_from_edits"]["1.0"]
    assert (directions.T @ M).norm(dim=1).max() < 0.5 * M.norm() / 16  # these count less
    truth = points_of(psi, data.validation.graphs)
    near, own = MetricH(h, M).predict(data.validation.inputs), MetricPsi(psi, M)(data.validation.graphs)
    assert torch.allclose(near.norm(dim=1), torch.ones(len(near)), atol=1e-5)
    assert mean_cosine(near, own) > mean_cosine(h.predict(data.validation.inputs), truth) + 0.1


def test_a_metric_by_which_no_more_graphs_are_decoded_right_is_not_taken(posed, generator):
    data, psi = posed[0], artifacts.load("molecules7").psi
    directions = torch.linalg.qr(torch.randn(512, 10, generator=generator)).Q
    h = erring(psi, data.validation, directions, generator)
    M, told = fit_metric(psi, h, data, 0, lambda metric, split: 0.5)
    assert max(told["separated_from_edits"].values()) > told["separated_from_edits"]["1.0"]
    assert told["shrinkage"] == 1.0 and set(told["decoded"].values()) == {0.5}
    assert torch.allclose(M, torch.eye(512), atol=1e-5)
