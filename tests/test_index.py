"""The index of many points against exact search: what it finds, threads, files, and points that are hard to tell apart."""

import json
import shutil
import sys
import warnings

import numpy as np
import pytest
import torch
from conftest import random_vertices
from torch.nn.functional import normalize

from elekit.decoding import Candidates, decode_candidates
from elekit.decoding import candidates as candidates_module
from elekit.decoding import index as index_module
from elekit.decoding.index import JSON, LISTS, POINTS, PointIndex, nearest
from elekit.evaluation.conformal import candidate_sets
from elekit.graphs.constraints import Constraints
from elekit.graphs.graph import GraphVocabulary

NO_FAISS = "FAISS is not installed (the extra `scale`)"
needs_faiss = pytest.mark.skipif(not index_module.has_faiss(), reason=NO_FAISS)
SMALL = GraphVocabulary(("a", "b", "c"), ("thin", "thick"), 8)


def sphere(*shape, seed=0):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def clustered(count, D, centers=100, spread=0.7):
    number = torch.arange(count) % centers
    return normalize(sphere(centers, D)[number] + spread * torch.randn(count, D) / D**0.5, dim=1)


def psi(graphs):
    """Labels and edges, projected at random."""
    flat = torch.cat([graphs.nodes.flatten(1), graphs.edges.flatten(1)], 1)
    return normalize(flat @ torch.randn(flat.shape[1], 16, generator=torch.Generator().manual_seed(0)), dim=1)


def assert_as_near(found, expected):
    """Losses are those of the k nearest; rows are distinct, and have these losses."""
    torch.testing.assert_close(found[0], expected[0], atol=2e-6, rtol=0)
    assert all(len(set(rows)) == len(rows) for rows in found[1].tolist())


@pytest.fixture(scope="module")
def points():
    torch.manual_seed(0)
    return clustered(6_000, 32, centers=30)


@pytest.fixture(scope="module")
def index(points):
    return PointIndex.build(points)


@pytest.fixture(scope="module")
def targets(points):
    generator = torch.Generator().manual_seed(1)
    return index_module._targets(points, 300, generator)


@needs_faiss
def test_recall_is_what_the_index_says(index, points, targets):
    truth, _ = nearest(targets, points, 100)
    assert index.lists.nprobe < index.lists.nlist and min(index.recall.values()) > 0.99
    for k, promised in index.recall.items():
        losses, rows = index.search(targets, k)
        assert float((losses <= truth[:, k - 1, None] + 1e-6).double().mean()) > max(0.985, promised - 0.01)
        torch.testing.assert_close(2 - 2 * (points[rows] * targets[:, None]).sum(-1), losses, atol=2e-6, rtol=0)
        assert (losses.diff() >= 0).all()
    told = index.describe()
    assert "6,000 points of dimension 32 in 64 lists" in told and "% of the 10 nearest" in told


@needs_faiss
@pytest.mark.parametrize("C, D", [(1, 1), (3, 1), (200, 1), (5, 7), (300, 20), (2_000, 33)])
def test_with_all_lists_and_all_points_compared_again_it_is_exact(C, D, monkeypatch):
    """Also with fewer points than neighbors, lists or codes, in one dimension, and in an odd number of them."""
    monkeypatch.setattr(index_module, "AGAIN", (C, 0))
    points, targets = sphere(C, D), sphere(9, D, seed=1)
    index = PointIndex.build(points)
    index.lists.nprobe = index.lists.nlist
    for k in (1, 7, 100, 5_000):
        found = index.search(targets, k)
        assert found[0].shape == found[1].shape == (9, min(k, C))
        assert_as_near(found, nearest(targets, points, k))


@needs_faiss
def test_lists_with_too_few_points_are_made_up_for_exactly():
    points = clustered(2_000, 16)
    index = PointIndex.build(points)
    index.lists.nprobe = 1
    targets = sphere(20, 16, seed=1)
    assert (index.lists.search(targets.numpy(), 90)[1] < 0).any()
    losses, rows = index.search(targets, 90)
    assert (rows >= 0).all() and torch.isfinite(losses).all() and losses.shape == (20, 90)


@needs_faiss
def test_threads_and_batches_change_nothing(index, points, targets):
    import faiss

    before, answers, built = (torch.get_num_threads(), faiss.omp_get_max_threads()), [], []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            faiss.omp_set_num_threads(threads)
            answers += [index.search(targets, 10)]
            answers += [tuple(torch.cat(part) for part in zip(*(index.search(t, 10) for t in targets.split(60))))]
            built.append(faiss.serialize_index(PointIndex.build(points).lists))
            assert faiss.omp_get_max_threads() == threads
    finally:
        torch.set_num_threads(before[0])
        faiss.omp_set_num_threads(before[1])
    assert all(torch.equal(losses, answers[0][0]) and torch.equal(rows, answers[0][1]) for losses, rows in answers)
    assert all(np.array_equal(other, built[0]) for other in built)


@needs_faiss
@pytest.mark.parametrize("spread", [0, 1e-7, 1e-5, 1e-3])
def test_points_on_top_of_each_other(spread):
    """Equal points all count; of nearly equal ones some are missed, by no more than what sets them apart."""
    centers = sphere(20, 24)
    noise = torch.randn(10_000, 24, generator=torch.Generator().manual_seed(3))
    points = normalize(centers[torch.arange(10_000) % 20] + spread * noise, dim=1)
    index, targets = PointIndex.build(points), sphere(40, 24, seed=1)
    losses, rows = index.search(targets, 10)
    truth, _ = nearest(targets, points, 10)
    assert all(len(set(row)) == 10 for row in rows.tolist())
    assert (losses - truth).max() < 10 * spread + 2e-6
    if spread < 1e-6:
        assert index.recall[10] == 1


@needs_faiss
def test_all_points_equal():
    points = sphere(1, 24).expand(3_000, -1)
    losses, rows = PointIndex.build(points).search(points[:2], 5)
    torch.testing.assert_close(losses, torch.zeros(2, 5), atol=1e-6, rtol=0)
    assert len(set(rows[0].tolist())) == 5


@needs_faiss
def test_bad_points_and_targets_are_refused(index, targets):
    spoilt = sphere(50, 8)
    spoilt[7, 3] = float("nan")
    for points in (spoilt, spoilt[:0], sphere(50, 8).double(), sphere(8)):
        with pytest.raises(ValueError, match="NaN or infinite|float32 on the CPU"):
            PointIndex.build(points)
    for bad in (targets.masked_fill(targets == targets[3, 5], float("inf")), targets[0], targets[:, :4]):
        with pytest.raises(ValueError, match="targets must be finite"):
            index.search(bad, 3)
    with pytest.raises(ValueError, match="k must be at least 1"):
        index.search(targets, 0)
    assert index.search(targets[:0], 3)[0].shape == index.search(targets[:0], 3)[1].shape == (0, 3)
    losses, _ = index.search(targets.double().requires_grad_(), 3)
    assert losses.dtype == torch.float64 and not losses.requires_grad


# -- files ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def saved(index, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    index.save(folder)
    return folder


@needs_faiss
def test_a_saved_index_answers_the_same(index, saved, points, targets):
    for loaded in (PointIndex.load(saved), PointIndex.load(saved, points)):
        assert all(torch.equal(a, b) for a, b in zip(loaded.search(targets, 10), index.search(targets, 10)))
        assert loaded.describe() == index.describe() and torch.equal(loaded.points, points)


@needs_faiss
@pytest.mark.parametrize("name", [JSON, LISTS, POINTS])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "missing"])
def test_damaged_files_are_refused(name, damage, saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "copy")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    changed = {"flip": data, "cut": data[: len(data) // 3], "empty": b""}
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(changed[damage])
    if (name, damage) == (JSON, "flip"):  # the middle of the file is in a figure or digest
        content = json.loads((saved / JSON).read_text())
        (folder / JSON).write_text(json.dumps({**content, "lists": "0" * 64}))
    with pytest.raises(ValueError, match="build it again") as error:
        PointIndex.load(folder)
    assert str(folder) in str(error.value)


@needs_faiss
def test_an_index_of_other_points_is_refused(saved, points, index):
    other = points.clone()
    other[77] = other[78]
    for wrong in (other, points[:-1], points[:, :-1], points.double()):
        with pytest.raises(ValueError, match="one of other points"):
            PointIndex.load(saved, wrong)
    graphs = random_vertices(SMALL, 4, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="one of other points"):
        Candidates(graphs, points[:4], index=index)


# -- candidates ----------------------------------------------------------------------------------------------------
@needs_faiss
def test_many_candidates_are_searched_by_an_index(generator, monkeypatch):
    graphs = random_vertices(SMALL, 3_000, generator)
    target = psi(random_vertices(SMALL, 50, generator))
    exact = Candidates.of(psi, graphs)
    assert exact.index is None
    monkeypatch.setattr(candidates_module, "MANY", 3_000)
    many = Candidates.of(psi, graphs)
    assert many.index is not None and min(many.index.recall.values()) >= 0.99
    assert Candidates.of(psi, many) is many
    assert Candidates.of(psi, many, exact=True).index is None and Candidates.of(psi, graphs, exact=True).index is None
    assert Candidates.of(psi, graphs[:2_999]).index is None
    found, truth = (decode_candidates(psi, target, known, k=5) for known in (many, exact))
    assert float((found.alternative_losses <= truth.alternative_losses + 1e-6).double().mean()) > 0.98
    torch.testing.assert_close(many.nearest(target, 3_000)[0], exact.nearest(target, 3_000)[0], atol=2e-6, rtol=0)
    some = many.within(Constraints(connected=True))
    assert some.index is None and 0 < len(some) < 3_000
    assert some.within(Constraints()).index is None and many.within(Constraints()).index is many.index


@needs_faiss
def test_prediction_sets_of_a_gallery_stay_exact(generator, monkeypatch):
    graphs = random_vertices(SMALL, 500, generator)
    known = Candidates.of(psi, graphs)
    indexed = Candidates(graphs, known.points, index=PointIndex.build(known.points))
    monkeypatch.setattr(PointIndex, "search", lambda *_: pytest.fail("searched approximately"))
    sets = candidate_sets(psi, psi(graphs[:3]), gallery=indexed)
    assert sets.losses.shape == (3, 500) and torch.isfinite(sets.losses).all()


@needs_faiss
def test_an_index_that_misses_too_much_is_not_used(generator, monkeypatch):
    graphs = random_vertices(SMALL, 200, generator)
    monkeypatch.setattr(candidates_module, "MANY", 100)
    monkeypatch.setattr(candidates_module, "RECALL", 1.01)
    with pytest.warns(UserWarning, match="200 candidates are searched exactly.*would miss too many"):
        assert Candidates.of(psi, graphs).index is None
    with pytest.warns(UserWarning, match="float64"):
        assert Candidates.of(lambda g: psi(g).double(), graphs).index is None


def test_without_faiss_search_is_exact_with_one_warning(generator, monkeypatch):
    graphs = random_vertices(SMALL, 200, generator)
    monkeypatch.setattr(candidates_module, "MANY", 100)
    monkeypatch.setitem(sys.modules, "faiss", None)  # any import of it fails
    monkeypatch.setattr(candidates_module, "has_faiss", lambda: False)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        known = Candidates.of(psi, graphs)
        known.nearest(psi(graphs[:3]), 4)
    (one,) = told
    assert "elekit[scale]" in str(one.message) and known.index is None
    with pytest.raises(ModuleNotFoundError, match="elekit\\[scale\\]"):
        PointIndex.build(sphere(50, 8))
