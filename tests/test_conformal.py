"""Prediction sets: the promise over many splits, the radius and the sets against brute force, and what is refused."""

import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_vertices
from torch.nn.functional import normalize

from benchmarks.prediction_sets import calibrate_and_test
from elekit import datasets
from elekit.datasets import Split
from elekit.decoding import Candidates, DecodeConfig, LocalSearchConfig, decode
from elekit.evaluation import conformal
from elekit.evaluation.conformal import Calibration, calibrate, candidate_sets, coverage, prediction_sets
from elekit.evaluation.conformal.calibration import calibrated, max_level, radius_of
from elekit.evaluation.conformal.sets import canonical_keys
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import kekule_forms
from elekit.model import artifact as artifacts
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import squared_distance

TINY = GraphVocabulary(("a", "b"), ("edge",), 3)
VALENT = GraphVocabulary(("a", "b", "c"), ("thin", "thick"), 4, capacity=(3, 2, 4), order=(1, 2))
THOROUGH = DecodeConfig(local_search=LocalSearchConfig(beam=32, screen=10_000, patience=12, tolerance=-1.0))
WIDE = Calibration(0.9, 4.0, 99)


def embedding(vocabulary, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GraphEmbedding(vocabulary, EmbeddingConfig(hidden=32, rounds=3, dim=32)).requires_grad_(False)


def noisy(psi, graphs, generator, noise=0.3):
    """Where an h that is a little wrong puts these graphs."""
    points = psi(graphs)
    return normalize(points + noise * torch.randn(points.shape, generator=generator) / points.shape[1] ** 0.5, dim=1)


def every_tiny_graph() -> Graph:
    """One of each isomorphism class of TINY."""
    nodes, edges = [], []
    pairs = [(0, 1), (0, 2), (1, 2)]
    for labels in itertools.product(range(3), repeat=3):
        for linked in itertools.product(range(2), repeat=3):
            there = [all(labels[k] for k in pair) for pair in pairs]
            if any(labels) and not any(link and not possible for link, possible in zip(linked, there)):
                made = torch.zeros(3, 3, dtype=torch.long)
                for (i, j), link in zip(pairs, linked):
                    made[i, j] = made[j, i] = link
                nodes.append(labels)
                edges.append(made)
    graphs = Graph.from_labels(torch.tensor(nodes), torch.stack(edges), TINY)
    _, first = np.unique(canonical_keys(graphs), return_index=True)
    return graphs[torch.from_numpy(np.sort(first))]


@pytest.fixture
def pairs(generator):
    """psi, targets and their truths: 120 graphs of up to 4 nodes, and candidates."""
    psi = embedding(VALENT)
    graphs = random_vertices(VALENT, 400, generator, density=0.3)
    graphs = graphs[graphs.valence_violation() == 0]
    truth, known = graphs[:120], graphs[120:]
    return SimpleNamespace(psi=psi, truth=truth, known=known, target=noisy(psi, truth, generator))


# -- the promise -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("level", [0.05, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("n", [1, 9, 10, 19, 100])
def test_the_radius_is_the_smallest_that_covers_enough(n, level, generator):
    scores = torch.rand(n, generator=generator)
    scores[torch.rand(n, generator=generator) < 0.15] = math.inf
    wanted = (n + 1) * Fraction(str(level))  # so many of n pairs, exactly
    enough = [s for s in scores.tolist() if sum(t <= s for t in scores.tolist()) >= wanted]
    assert radius_of(scores, level) == (min(enough) if enough else math.inf)


@pytest.mark.parametrize("unreachable", [0.0, 0.08])
def test_over_many_splits_the_promise_holds_and_is_not_overdone(unreachable, generator):
    """Exchangeable scores, whatever they look like: 0.9 to 0.9 + 1 / (n + 1) of new ones lie within the radius.

    (An infinite radius, which is refused elsewhere, covers all.)
    """
    n, hits = 99, []
    for _ in range(2_000):
        scores = torch.randn(n + 50, generator=generator).exp()
        scores[torch.rand(n + 50, generator=generator) < unreachable] = math.inf
        radius = radius_of(scores[:n], 0.9)
        hits.append(float((scores[n:] <= radius).float().mean()))
    assert np.mean(hits) >= 0.9 - 0.005  # standard error of the mean: 0.0012
    assert np.mean(hits) <= 0.9 + 1 / (n + 1) + 0.005 or unreachable


@pytest.mark.parametrize("gallery", [False, True])
def test_sets_of_graphs_cover_what_was_promised_over_many_splits(pairs, gallery, generator):
    """From targets to sets: scores of single pairs do not depend on the split, so that splits cost nothing."""
    if gallery:
        found = {"gallery": Candidates.of(pairs.psi, pairs.truth)}
        scores = conformal.predict.scores_of(pairs.psi, pairs.target, pairs.truth, in_gallery=True)
    else:
        found = {"candidates": pairs.known}
        scores = conformal.predict.scores_of(pairs.psi, pairs.target, pairs.truth, **found)
    shares = []
    for _ in range(400):
        order = torch.randperm(120, generator=generator)
        shares.append(float((scores[order[60:]] <= radius_of(scores[order[:60]], 0.8)).float().mean()))
    assert 0.8 - 0.01 <= np.mean(shares) <= 0.8 + 1 / 61 + 0.01
    held = calibrated(scores[:60], 0.8)
    table = coverage(pairs.psi, pairs.target[60:], pairs.truth[60:], held, **found)
    assert table["coverage"][0] == pytest.approx(float((scores[60:] <= held.radius).float().mean()))
    low, high = held.expected(60)
    assert low <= table["coverage"][0] <= high


def test_the_order_of_pairs_changes_nothing(pairs, generator):
    order = torch.randperm(120, generator=generator)
    one = calibrate(pairs.psi, pairs.target, pairs.truth, candidates=pairs.known, level=0.7)
    other = calibrate(pairs.psi, pairs.target[order], pairs.truth[order], candidates=pairs.known, level=0.7)
    assert other.radius == pytest.approx(one.radius, abs=1e-5)
    assert (one.pairs, one.unreachable) == (other.pairs, other.unreachable)


def test_where_measured_coverages_are_expected(generator):
    held, n, tests = Calibration(0.9, 1.0, 99), 99, 200
    low, high = held.expected(tests)
    assert low < 0.9 < high and high - low > held.expected(5_000)[1] - held.expected(5_000)[0]
    drawn = torch.rand(4_000, n + tests, generator=generator)
    radius = drawn[:, :n].sort(dim=1).values[:, 89]  # ceil(100 * 0.9) = 90
    seen = (drawn[:, n:] <= radius[:, None]).float().mean(1)
    inside = ((seen >= low - 1e-6) & (seen <= high + 1e-6)).float().mean()
    assert 0.95 - 0.012 <= float(inside) <= 0.95 + 0.02  # whole numbers of pairs: a little more than 95 %


# -- truths that no search finds ---------------------------------------------------------------------------------
def test_unreachable_truths_make_the_radius_infinite_at_the_right_share():
    for lost in range(21):
        scores = torch.arange(99.0)
        scores[torch.arange(lost)] = math.inf
        assert math.isinf(radius_of(scores, 0.9)) == (lost > 9)  # 90 of 99 must be finite
    with pytest.raises(ValueError, match=r"level 0\.9 .* 99 calibration pairs.* 20 .*level=0\.79.* wider beam"):
        calibrated(scores, 0.9)
    assert calibrated(scores, max_level(scores)).radius == 98.0
    assert calibrated(scores, 0.79).unreachable == 20


def test_truths_far_from_where_h_points_are_not_found(pairs):
    """Of every fifth pair h points at another graph, so that no search around it meets the truth."""
    target = pairs.target.clone()
    target[::5] = pairs.target[::5].roll(1, 0)
    narrow = DecodeConfig("candidates+polish", local_search=LocalSearchConfig(screen=1, rounds=1))
    scores = conformal.predict.scores_of(pairs.psi, target, pairs.truth, candidates=pairs.known, config=narrow)
    reached = torch.isfinite(scores)
    assert reached[1::5].float().mean() > reached[::5].float().mean() + 0.3
    with pytest.raises(ValueError, match=r"level 0\.99 .*120 calibration pairs"):
        calibrated(scores, 0.99)


def test_too_few_pairs_promise_little(pairs):
    with pytest.raises(ValueError, match=r"level 0\.9 .* 5 calibration pairs.*level=0\.83.* at least 9 pairs"):
        calibrate(pairs.psi, pairs.target[:5], pairs.truth[:5], in_gallery=True)
    assert calibrate(pairs.psi, pairs.target[:9], pairs.truth[:9], in_gallery=True).pairs == 9


# -- what is in a set ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("radius", [0.0, 0.3, 1.0])
def test_members_are_exactly_the_graphs_within_the_radius(radius, generator):
    psi, everything = embedding(TINY), every_tiny_graph()
    assert len(everything) == 2 + 3 * 2 + 20  # of one node, two nodes, three nodes
    target = noisy(psi, everything, generator, 0.6)[:12]
    loss = squared_distance(target[:, None], psi(everything)[None])
    held = Calibration(0.9, radius, 99)
    sets = prediction_sets(psi, target, held, candidates=everything[:3], config=THOROUGH, max_size=99)
    for one, losses in zip(sets, loss):
        called = canonical_keys(Graph.cat([one.graphs, everything[losses <= radius]]))
        assert sorted(called[: len(one)]) == sorted(called[len(one) :]) and len(set(called)) == len(one) == one.size
        assert one.losses.tolist() == sorted(one.losses.tolist()) and (one.losses <= radius).all()
        assert one.loss == pytest.approx(float(losses.min()), abs=1e-5)
    assert len({len(one) for one in sets}) > 1 or not radius


def test_the_decoded_graph_is_the_best_candidate_and_no_worse_than_decoding_alone(pairs):
    target = pairs.target[:40]
    sets = prediction_sets(pairs.psi, target, WIDE, candidates=pairs.known, max_size=99)
    alone, loss = decode(pairs.psi, target, candidates=pairs.known), torch.tensor([one.loss for one in sets])
    assert (loss <= alone.loss + 1e-5).all() and ((loss - alone.loss).abs() < 1e-5).float().mean() > 0.9
    for one in sets[:20]:
        first, answer = canonical_keys(Graph.cat([one.graphs[:1], one.decoded]))
        assert first == answer
    assert (Graph.cat([one.graphs for one in sets]).valence_violation() == 0).all()


def test_a_truth_scores_as_its_graph_among_the_candidates(pairs):
    found = candidate_sets(pairs.psi, pairs.target, candidates=pairs.known)
    scores = found.scores(pairs.truth)
    for b in range(0, 120, 10):
        called = canonical_keys(Graph.cat([found.graphs[found.rows[b]], pairs.truth[b]]))
        mine = [float(loss) for loss, name in zip(found.losses[b], called) if name == called[-1]]
        assert float(scores[b]) == min(mine, default=math.inf)
    there = torch.isfinite(scores)
    real = squared_distance(pairs.psi(pairs.truth), pairs.target)
    torch.testing.assert_close(scores[there], real[there], atol=1e-5, rtol=0)
    assert there.float().mean() > 0.5


def test_equal_graphs_count_once(pairs, generator):
    twice = Graph.cat([pairs.truth[:6], pairs.truth[:6].permuted(torch.randperm(4, generator=generator))])
    (whole,) = prediction_sets(pairs.psi, pairs.target[:1], WIDE, gallery=twice)
    assert len(whole) == len(set(canonical_keys(pairs.truth[:6]))) < 12
    toluenes = kekule_forms("Cc1ccccc1")
    psi = embedding(toluenes.vocabulary)
    (one,) = prediction_sets(psi, psi(toluenes[:1]), WIDE, gallery=toluenes)
    assert len(toluenes) == 2 and len(one) == 1


def test_names_tell_graphs_apart_and_nothing_else(vertices, generator):
    called = canonical_keys(Graph.cat([vertices, vertices.permuted(torch.randperm(5, generator=generator))]))
    assert (called[:40] == called[40:]).all()
    i, j = torch.triu_indices(40, 40, 1)
    assert (isomorphic(vertices[i], vertices[j]).numpy() == (called[i.numpy()] == called[j.numpy()])).all()


def test_a_set_says_how_sure_it_is(pairs):
    def one(radius, max_size=conformal.MAX_SIZE):
        held = replace(WIDE, radius=radius)
        return prediction_sets(pairs.psi, pairs.target[:1], held, gallery=pairs.truth, max_size=max_size)[0]

    losses = squared_distance(pairs.psi(pairs.truth), pairs.target[:1]).unique()
    nearest = float(losses[0])
    empty, many = one(nearest / 2), one(4.0)
    assert len(empty) == len(empty.graphs) == 0 and empty.abstained
    assert f"{nearest / 2:.3f}" in empty.reason and empty.reason in empty.describe()
    assert empty.loss == pytest.approx(nearest, abs=1e-5) and len(empty.decoded) == 1
    assert many.abstained and many.size > 20 == len(many.graphs) and "more than 20" in many.reason
    some = one(float(one(4.0, 99).losses[2]) + 1e-6)
    assert some.describe() == "one of these 3, at 90 %" and not some.abstained and some.reason == ""
    assert one(some.losses[0].item()).describe() == "this one, at 90 %"
    assert not one(4.0, 200).abstained


# -- coverage by slice --------------------------------------------------------------------------------------------
def test_coverage_counts_all_pairs_and_each_slice(pairs):
    held = Calibration(0.9, 0.05, 99)
    table = coverage(pairs.psi, pairs.target, pairs.truth, held, candidates=pairs.known, max_size=3)
    sets = prediction_sets(pairs.psi, pairs.target, held, candidates=pairs.known, max_size=99)
    called = [canonical_keys(Graph.cat([one.graphs, truth])) for one, truth in zip(sets, pairs.truth)]
    hit = np.array([one[-1] in one[:-1] for one in called])
    size = np.array([len(one) for one in sets])
    assert 0 < hit.mean() < 1 and table["slice"][0] == "all" and table["pairs"][0] == 120
    for row in (table.iloc[0], *(row for _, row in table[table["by"] == "size"].iterrows())):
        nodes = (pairs.truth.labels()[0] > 0).sum(1).numpy()
        members = nodes == int(row["slice"].split()[1]) if row["by"] == "size" else np.ones(120, dtype=bool)
        assert row["pairs"] == members.sum() and row["coverage"] == pytest.approx(hit[members].mean())
        assert row["mean_size"] == pytest.approx(size[members].mean())
        assert row["median_size"] == np.median(size[members])
        assert row["empty"] == pytest.approx((size[members] == 0).mean())
        assert row["large"] == pytest.approx((size[members] > 3).mean())
    assert (table["low"] <= table["coverage"]).all() and (table["coverage"] <= table["high"]).all()
    rest = table[1:]
    assert rest["few"].is_monotonic_increasing and rest[~rest["few"]]["coverage"].is_monotonic_increasing


def test_measured_gives_plain_values(pairs):
    h = SimpleNamespace(predict=lambda inputs: inputs)
    halves, frame = (slice(60), slice(60, 120)), pd.DataFrame(index=range(60))
    split = [Split(pairs.target[rows], pairs.truth[rows], frame) for rows in halves]
    found = calibrate_and_test(pairs.psi, h, *split, candidates=pairs.known, level=0.7)
    assert json.loads(json.dumps(found)) == found and found["pairs"] == found["tests"] == 60
    assert found["coverage_low"] <= found["coverage"] <= found["coverage_high"] and found["set_size"] > 0
    assert found["expected_low"] < 0.7 < found["expected_high"]
    held = calibrate(pairs.psi, pairs.target[:60], pairs.truth[:60], candidates=pairs.known, level=0.7)
    assert found["radius"] == held.radius and found["unreachable"] == held.unreachable
    retrieved = calibrate_and_test(pairs.psi, h, *split, gallery=split[1].graphs, level=0.7)
    assert retrieved["unreachable"] == 0 and retrieved["set_size"] <= 60
    refused = calibrate_and_test(pairs.psi, h, *split, candidates=pairs.known, level=0.999)
    assert set(refused) == {"level", "pairs", "unreachable", "possible"} and refused["possible"] < 0.999


def test_the_shipped_loss_keeps_its_promise():
    artifact = artifacts.load("molecules7")
    data = datasets.load("molecules7", inputs="smiles", vocabulary=artifact.vocabulary)
    known, pairs = data.train.graphs[:1_000], (data.validation.take(range(60)), data.test.take(range(60)))
    found = calibrate_and_test(artifact.psi, artifact.surrogates["smiles"], *pairs, candidates=known)
    assert found["expected_low"] <= found["coverage"] <= found["expected_high"]
    assert 0.5 < found["set_size"] < 10 and found["unreachable"] <= 6


# -- keeping, and what is refused ----------------------------------------------------------------------------------
def test_a_calibration_comes_back_from_json():
    held = Calibration(0.9, 0.125, 99, 3)
    assert Calibration.from_json(json.loads(json.dumps(held.to_json()))) == held
    for odd in ({"level": 0.9}, {**held.to_json(), "radius": None}, [1], {**held.to_json(), "level": "much"}):
        with pytest.raises(ValueError):
            Calibration.from_json(odd)


def test_what_cannot_be_is_refused(pairs):
    psi, target, truth = pairs.psi, pairs.target, pairs.truth
    for level in (0, 1, 90, -0.1, math.nan):
        with pytest.raises(ValueError, match="level must lie above 0 and below 1, such as 0.9 for 90 %"):
            calibrate(psi, target, truth, in_gallery=True, level=level)
    with pytest.raises(ValueError, match="got 5 and 120"):
        calibrate(psi, target[:5], truth, in_gallery=True)
    with pytest.raises(ValueError, match="got 5 and 120"):
        coverage(psi, target[:5], truth, WIDE, gallery=truth)
    with pytest.raises(ValueError, match="max_size must be at least 1"):
        prediction_sets(psi, target, WIDE, gallery=truth, max_size=0)
    for method in ("candidates", "gradient"):
        with pytest.raises(ValueError, match=f"use candidates.polish, not '{method}'"):
            prediction_sets(psi, target, WIDE, candidates=pairs.known, config=DecodeConfig(method))
    with pytest.raises(ValueError, match="NaN"):
        prediction_sets(psi, target * math.nan, WIDE, gallery=truth)
