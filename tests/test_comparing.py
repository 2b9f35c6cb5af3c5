"""Vectors of any model, several maps of the same points, and two losses side by side: all agree with brute force."""

import asyncio
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch
import traitlets
from test_draw import rendered
from test_explorer import ask, embedding, widget_rows
from torch.nn.functional import normalize

import elekit
from elekit import inspect
from elekit.graphs.smiles import from_smiles
from elekit.inspect import maps
from elekit.model.loss import LearnedLoss, points_of
from elekit.widgets import explore, inspect_loss
from elekit.widgets.base import run_in_background
from elekit.widgets.explored import NEIGHBORS

SMILES = [
    "C", "CC", "CCC", "CCCC", "CO", "CCO", "CCCO", "OCCO", "C=O", "CC=O", "CCC=O", "O=CC=O", "C#N", "CC#N", "CCC#N",
    "CN", "CCN", "CCCN", "NCCN", "C=C", "C=CC", "C#C", "C1CC1", "C1CCC1", "C1CO1", "CC(=O)O", "CC(=O)N", "COC", "FC",
]  # fmt: skip


@pytest.fixture(scope="module")
def vectors():
    """Of another model: any lengths."""
    return np.random.default_rng(0).normal(size=(60, 7)) * np.linspace(0.1, 9, 60)[:, None]


@pytest.fixture(scope="module")
def graphs():
    return from_smiles(SMILES)


def nearest_by_loops(points, row, k):
    """Rows of the k nearest by cosine."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return [other for other in np.argsort(-(unit @ unit[row])).tolist() if other != row][:k]


# -- vectors of any model --------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["array", "tensor", "frame"])
def test_vectors_are_explored_without_graphs(vectors, form):
    frame = pd.DataFrame({"kind": ["a", "b", None] * 20, "id": [f"v{i}" for i in range(60)], "nodes": 1.5})
    given = torch.tensor(vectors) if form == "tensor" else vectors
    made = explore(given, frame if form == "frame" else None)
    assert len(made.frame) == 60 and not {"edges", "rings"} & set(made.frame)
    made.pinned, made.hovered, made.selection = 5, 6, [1, 2]
    near = made.neighbors
    assert near["row"].tolist() == nearest_by_loops(vectors, 5, NEIGHBORS)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.allclose(made.frame["loss to pinned"], np.square(unit - unit[5]).sum(1), atol=1e-5)
    assert made._beside.pinned["scene"] == {} and made._beside.edits == {} and "scaled" in made._beside.health
    assert "2 of 60 selected" in made._below.selected and made._below.alternative.startswith("Map of 60 points")
    made._canvases[0].widget.set_state({"selection": widget_rows([3, 4])})
    assert made.selection_rows.tolist() == [3, 4]
    assert rendered(made.picture())
    if form == "frame":
        assert made.color_by == "kind" and made.frame["nodes"].eq(1.5).all()
        assert made.find("label", "b").index.tolist() == list(range(1, 60, 3))
        assert made.find("id", "v7").index.tolist() == [7] and made._beside.pinned["name"] == "point v5"
    made.close()


def test_vectors_take_the_place_of_psi(vectors, graphs):
    few = vectors[: len(SMILES)]
    made = explore(few, graphs, other=embedding(graphs.vocabulary))
    made.pinned = 3
    near = made.neighbors
    assert near[near["by"] == 0]["row"].tolist() == nearest_by_loops(few, 3, NEIGHBORS)
    points = points_of(embedding(graphs.vocabulary), graphs).numpy()
    assert near[near["by"] == 1]["row"].tolist() == nearest_by_loops(points, 3, NEIGHBORS)
    assert made._beside.pinned["scene"]["nodes"] and near["edits"].all()
    made.close()


def test_vectors_that_cannot_be_shown_are_refused(vectors, graphs):
    wrong = vectors.copy()
    wrong[4] = 0
    with pytest.raises(ValueError, match="vector 4 has length 0"):
        explore(wrong)
    with pytest.raises(ValueError, match="60 vectors for 29 graphs"):
        explore(vectors, graphs)
    with pytest.raises(ValueError, match="60 vectors for 29 graphs"):
        explore(embedding(graphs.vocabulary), graphs, other=vectors)
    with pytest.raises(ValueError, match="3 rows for 60"):
        explore(vectors, pd.DataFrame({"a": [1, 2, 3]}))
    with pytest.raises(ValueError, match="expected a Dataset"):
        explore(embedding(graphs.vocabulary))
    with pytest.raises(ValueError, match="two different names"):
        explore(vectors, losses=("a", "a"))


# -- two losses ------------------------------------------------------------------------------------------------
def test_what_moved_between_two_losses_is_what_loops_find(graphs):
    psi, other = embedding(graphs.vocabulary), embedding(graphs.vocabulary, 1)
    made = explore(psi, graphs, other=other, losses=("before", "after"))
    both = [points_of(one, graphs).numpy() for one in (psi, other)]
    for row in range(len(graphs)):
        first, second = (set(nearest_by_loops(points, row, 15)) for points in both)
        assert made.frame["moved"][row] == pytest.approx(1 - len(first & second) / 15, abs=1e-6)
    most = made._beside.moved
    shown = [made.frame["moved"][one["row"]] for one in most["shown"]]
    assert shown == sorted(made.frame["moved"], reverse=True) and "before to after" in most["words"]
    assert made.frame["change of loss to pinned"].isna().all()

    made.pinned = 6
    before, after = (
        torch.tensor([float(LearnedLoss(one)(graphs[6], graphs[k])) for k in range(len(graphs))])
        for one in (psi, other)
    )
    assert np.allclose(made.frame["change of loss to pinned"], after - before, atol=1e-5)
    lists = made._beside.neighbors["lists"]
    assert [one["heading"] for one in lists] == [f"Nearest by the learned loss, {n}" for n in ("before", "after")]
    for one in lists:
        for card in one["cards"]:
            ranks = [1 + sum(l < loss[card["row"]] for k, l in enumerate(loss) if k != 6) for loss in (before, after)]
            way = "nearer" if ranks[1] < ranks[0] else "farther" if ranks[1] > ranks[0] else ""
            assert card["way"] == way
            assert card["rank"] == (
                f"{way} after: rank {ranks[0]} → {ranks[1]}" if way else f"rank {ranks[0]} in both"
            )
    assert {card["way"] for one in lists for card in one["cards"]} >= {"nearer", "farther"}
    made.pinned = None
    assert made.frame["change of loss to pinned"].isna().all()
    made.close()


def test_a_second_map_of_the_same_points_is_no_second_loss(graphs):
    psi = embedding(graphs.vocabulary)
    second = inspect.fit_map(points_of(psi, graphs), method="tsne", n_neighbors=5)
    made = explore(psi, graphs, other=second)
    made.pinned = 2
    assert [space.map.method for space in made.explored.spaces] == ["pca", "tsne"]
    assert len(made._beside.neighbors["lists"]) == 1 and "moved" not in made.frame and not made._beside.moved["words"]
    assert [len(marks["dots"]) for marks in made._below.marks] == [NEIGHBORS + 1] * 2
    assert rendered(made.picture())
    with pytest.raises(ValueError, match="shows 3 graphs"):
        explore(psi, graphs, other=inspect.fit_map(points_of(psi, graphs[:3]), method="pca"))
    made.close()


def test_two_losses_start_with_maps_of_one_method(graphs, monkeypatch, tmp_path):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
    psi, other = embedding(graphs.vocabulary), embedding(graphs.vocabulary, 1)
    stored = inspect.fit_map(points_of(psi, graphs), method="tsne")
    maps.save_map(stored, maps.map_key(psi, graphs))
    alone, both = explore(psi, graphs), explore(psi, graphs, other=other)
    assert alone.map.method == "tsne" and [space.map.method for space in both.explored.spaces] == ["pca"] * 2
    assert both.explored.maps[0, "tsne"].positions.tolist() == stored.positions.tolist()
    alone.close()
    both.close()


def test_changes_of_prices_are_those_of_the_two_losses(graphs):
    psi, other = embedding(graphs.vocabulary), embedding(graphs.vocabulary, 1)
    sample = inspect.sample_edits(graphs[:9], samples=5)
    table = sample.price_changes(psi, other)
    assert table["difference"].abs().is_monotonic_decreasing and len(table) == len(sample.table)
    for row in table.index[::7]:
        pair = sample.graphs[int(sample.edits.row[row])], sample.results[int(row)]
        first, second = (float(LearnedLoss(one)(*pair)) for one in (psi, other))
        assert table["price"][row] == pytest.approx(first, abs=1e-5)
        assert table["difference"][row] == pytest.approx(second - first, abs=1e-5)


# -- maps ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def clusters():
    generator = torch.Generator().manual_seed(0)
    centers = normalize(torch.randn(3, 16, generator=generator), dim=1)
    return normalize(centers.repeat(20, 1) + 0.05 * torch.randn(60, 16, generator=generator), dim=1)


def test_added_points_move_no_other_and_land_where_the_map_places_them(clusters):
    fitted = inspect.fit_map(clusters[:40], method="pca")
    longer = fitted.extended(clusters[40:])
    np.testing.assert_array_equal(longer.positions[:40], fitted.positions)
    np.testing.assert_array_equal(longer.positions[40:], fitted.transform(clusters[40:]))
    np.testing.assert_array_equal(longer.kept, maps.neighbors_kept(clusters, longer.positions))
    assert longer.method == "pca" and torch.equal(longer.points, clusters)
    np.testing.assert_array_equal(fitted.extended(clusters[:1]).positions[-1], fitted.positions[0])


def test_tsne_keeps_clusters_together_repeats_itself_and_starts_where_it_is_told(clusters):
    fitted, same = (inspect.fit_map(clusters, method="tsne") for _ in range(2))
    np.testing.assert_array_equal(fitted.positions, same.positions)
    middles = np.stack([fitted.positions[c::3].mean(0) for c in range(3)])
    nearest_middle = np.square(fitted.positions[:, None] - middles).sum(-1).argmin(1)
    assert (
        nearest_middle.tolist() == [0, 1, 2] * 20
        and fitted.trust > 0.6
        and "t-SNE" in maps.trust_words(fitted.kept, "tsne")
    )
    for sign in (1, -1):
        moved = inspect.fit_map(clusters, method="tsne", start=sign * fitted.positions).positions
        assert all(np.corrcoef(moved[:, axis], sign * fitted.positions[:, axis])[0, 1] > 0.5 for axis in (0, 1))
    assert np.isfinite(inspect.fit_map(clusters[:5], method="tsne").positions).all()


def test_settings_of_a_map_change_it_and_its_key(clusters, graphs):
    assert not np.allclose(
        inspect.fit_map(clusters, n_neighbors=4).positions, inspect.fit_map(clusters, n_neighbors=8).positions
    )
    psi = embedding(graphs.vocabulary)
    keys = [maps.map_key(psi, graphs, **settings) for settings in ({}, {"n_neighbors": 5}, {"min_dist": 0.5})]
    assert len({*keys, maps.map_key(psi, graphs, method="tsne")}) == 4
    assert maps.map_key(psi, graphs, n_neighbors=15, min_dist=0.1) == keys[0]
    for wrong in ({"n_neighbors": 1}, {"min_dist": 2.0}):
        with pytest.raises(ValueError, match="n_neighbors must be >= 2 and min_dist in"):
            inspect.fit_map(clusters, **wrong)


def test_maps_of_several_methods_are_made_once_and_shown_again(vectors, monkeypatch, tmp_path):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
    made, calls, real = explore(vectors), [], inspect.fit_map
    monkeypatch.setattr(inspect, "fit_map", lambda *a, **k: calls.append(k["method"]) or real(*a, **k))
    first = made.map
    assert [method for method, _ in made._below.offers] == ["umap", "tsne"]
    ask(made, "below", "make_map", method="tsne")
    assert made.map.method == "tsne" and calls == ["tsne"]
    offers = dict(made._below.offers)
    assert offers["pca"] == f"PCA (keeps {100 * first.trust:.0f} %)" and offers["umap"].startswith("Make UMAP (")
    ask(made, "below", "make_map", method="pca")
    assert made.map is first and calls == ["tsne"]
    again = explore(vectors)
    again.make_map("tsne")
    assert calls == ["tsne"] and again.map.method == "tsne"  # from the file
    with pytest.raises(ValueError, match="no map method 'mds'"):
        again.make_map("mds")
    made.close()
    again.close()


def test_cancel_ends_the_work_and_leaves_the_map(vectors, monkeypatch, tmp_path):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
    steps = []

    def slow(points, **settings):
        while True:
            steps.append(threading.current_thread())
            time.sleep(0.002)

    async def use():
        made = explore(vectors)
        before = made.map
        monkeypatch.setattr(inspect, "fit_map", slow)
        made.make_map("umap")
        assert made._below.busy and made._below.progress[1] > 0
        while not steps:
            await asyncio.sleep(0.005)
        ask(made, "below", "cancel")
        assert made._below.busy == ""
        steps[0].join(5)
        assert not steps[0].is_alive() and made.map is before and made.problem == ""
        monkeypatch.undo()
        monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
        made.make_map("pca")  # nothing to do, and nothing is in the way
        ask(made, "below", "cancel")
        made.close()

    asyncio.run(asyncio.wait_for(use(), 60))


def test_a_result_that_comes_after_the_stop_is_dropped():
    arrived = []

    async def use():
        stop = run_in_background(lambda: 1, lambda result, error: arrived.append(result))
        time.sleep(0.05)  # the thread is done, its message waits
        stop()
        await asyncio.sleep(0.05)
        run_in_background(lambda: 2, lambda result, error: arrived.append(result))
        await asyncio.sleep(0.1)

    asyncio.run(use())
    assert arrived == [2]


def test_beyond_a_size_only_pca_is_offered(vectors, monkeypatch):
    monkeypatch.setattr("elekit.widgets.explored.MOST", 59)
    made = explore(vectors)
    assert made._below.offers == [] and made.map.method == "pca"
    made.close()


# -- the inspector ---------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def compared():
    """Before and after a correction."""
    before, after = elekit.load("molecules7").psi, elekit.load("molecules7-corrected").psi
    return before, after, inspect_loss(before, "CC(C)O", other=after, losses=("before", "after"))


def test_prices_by_the_second_loss_are_its_losses(compared):
    before, after, widget = compared
    sent, table = widget.comparison, widget.scan.table
    assert sent["names"] == ["before", "after"] and len(sent["other"]) == len(widget.table["edit"]) == len(table)
    with torch.no_grad():
        for row in range(0, len(table), 9):
            first, second = (
                float(LearnedLoss(psi)(widget.graph, widget.scan.result(row))) for psi in (before, after)
            )
            assert widget.table["price"][row] == pytest.approx(first, abs=1e-5)
            assert sent["other"][row] == pytest.approx(second, abs=1e-5)
            assert sent["difference"][row] == pytest.approx(second - first, abs=1e-5)
    changes = widget.price_changes
    assert changes["difference"].abs().is_monotonic_decreasing and len(changes) == len(table)
    cheapest = {}
    for _, row in table[table["valid"]].iterrows():
        if row["kind"] in ("relabel", "remove node"):
            one = [row["price"], sent["other"][row.name]]
            (i,) = row["nodes"]
            cheapest[i] = np.minimum(cheapest.get(i, np.inf), one)
    for i, (first, second) in cheapest.items():
        assert sent["nodes"][i] == pytest.approx(second - first, abs=1e-5)


def test_the_comparison_follows_the_graph_and_is_drawn(compared):
    _, after, widget = compared
    widget.apply(3)
    with torch.no_grad():
        second = float(LearnedLoss(after)(widget.graph, widget.scan.result(5)))
    assert widget.comparison["other"][5] == pytest.approx(second, abs=1e-5)
    widget.view = "comparison"
    assert rendered(widget.picture())
    widget.undo()
    widget.view = "price"


def test_a_comparison_needs_a_second_loss_of_the_same_labels(compared, vocabulary):
    before, after, _ = compared
    alone = inspect_loss(before, "CCO")
    assert alone.comparison == {}
    with pytest.raises(traitlets.TraitError, match="other="):
        alone.view = "comparison"
    with pytest.raises(ValueError, match="other="):
        alone.price_changes  # noqa: B018 - raises
    with pytest.raises(ValueError, match="other labels"):
        inspect_loss(before, "CCO", other=embedding(vocabulary))
    with pytest.raises(ValueError, match="two different names"):
        inspect_loss(before, "CCO", other=after, losses=("a", "a"))


def test_hostile_names_of_losses_are_only_text(graphs):
    name = "<b>$x$</b>"
    psi, other = embedding(graphs.vocabulary), embedding(graphs.vocabulary, 1)
    made = explore(psi, graphs, other=other, losses=(name, "after"))
    made.pinned = 1
    assert rendered(made.picture())
    widget = inspect_loss(psi, "CCO", other=other, losses=(name, "after"))
    widget.view = "comparison"
    assert rendered(widget.picture())
    made.close()
