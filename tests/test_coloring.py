"""Colored images and their graphs, against slow scans of the pixels; and the backbone that reads images."""

from dataclasses import replace
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from benchmarks import coloring as made
from benchmarks.coloring import COLORS, MIN_AREA, MIN_BORDER, coloring
from benchmarks.image_figure import align_nodes, draw_images
from elekit.draw import OKABE_ITO
from elekit.draw.pairs import MARKS
from elekit.graphs import augment, projections
from elekit.graphs.graph import Graph, to_networkx
from elekit.model import artifact as artifacts
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.surrogate import BackboneConfig, SurrogateRegressor
from elekit.model.surrogate.image import SYMMETRIES, ImageBackbone, random_symmetries
from elekit.model.surrogate.registry import from_config, make_backbone, to_config
from elekit.training import SurrogateTraining, fit_surrogate, infer_kind
from elekit.training.loop import TrainerConfig

COUNT = 30
PALETTE = np.array(list(COLORS.values())) / 255


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch):
    monkeypatch.setattr(made, "BLOCK", 150)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def folder(cache, monkeypatch):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(cache))
    return cache


@pytest.fixture
def data(folder):
    return coloring(COUNT)


def everything(data):
    """(image (3, S, S), graph of one) of all splits, as numpy and networkx."""
    for split in (data.train, data.validation, data.test):
        yield from zip(split.inputs.numpy(), to_networkx(split.graphs))


def read_off(image: np.ndarray) -> nx.Graph:
    """The graph of an image by flooding: pixels to the nearest colour, pieces of one colour, sides between pieces."""
    nearest = ((image.transpose(1, 2, 0)[:, :, None] - PALETTE) ** 2).sum(-1).argmin(-1)
    grid, size = nx.grid_2d_graph(*nearest.shape), len(nearest)
    alike = nx.Graph(edge for edge in grid.edges if nearest[edge[0]] == nearest[edge[1]])
    alike.add_nodes_from(grid)
    region = {pixel: n for n, piece in enumerate(nx.connected_components(alike)) for pixel in piece}
    graph = nx.Graph()
    for pixel, n in region.items():
        graph.add_node(n, label=list(COLORS)[nearest[pixel]])
    for one, other in grid.edges:
        if region[one] != region[other]:
            sides = graph.get_edge_data(region[one], region[other], {"sides": 0})["sides"]
            graph.add_edge(region[one], region[other], label="touches", sides=sides + 1)
    for i in range(size - 1):  # no two regions meet at a corner alone
        for j in range(size - 1):
            for one, other in (((i, j), (i + 1, j + 1)), ((i, j + 1), (i + 1, j))):
                assert region[one] == region[other] or graph.has_edge(region[one], region[other])
    assert min(sum(r == n for r in region.values()) for n in graph) >= MIN_AREA
    return graph


# -- the data ------------------------------------------------------------------------------------------------------
def test_a_graph_is_what_a_scan_of_its_image_finds(folder):
    data = coloring(COUNT, noise=0.02)
    for image, graph in everything(data):
        found = read_off(image)
        assert nx.is_isomorphic(graph, found, lambda a, b: a["label"] == b["label"])
        assert all(sides >= MIN_BORDER for *_, sides in found.edges(data="sides"))


def test_colorings_are_proper_and_use_all_four_colors(data):
    graphs = [graph for _, graph in everything(data)]
    for graph in graphs:
        assert all(graph.nodes[a]["label"] != graph.nodes[b]["label"] for a, b in graph.edges)
        assert nx.is_connected(graph) and nx.check_planarity(graph)[0]
    assert {label for graph in graphs for label in dict(graph.nodes(data="label")).values()} == set(COLORS)


def test_each_number_of_regions_is_as_common_as_the_others(data):
    counts = [len(graph) for _, graph in everything(data)]
    assert sorted(counts) == [n for n in range(5, 11) for _ in range(COUNT // 6)]
    assert data.train.frame["regions"].tolist() == [len(graph) for graph in to_networkx(data.train.graphs)]


def test_images_lie_between_0_and_1_and_noise_is_what_was_asked_for(folder):
    clean, noisy = coloring(COUNT, noise=0), coloring(COUNT)
    clean, noisy = (torch.cat([s.inputs for s in (d.train, d.validation, d.test)]) for d in (clean, noisy))
    assert clean.shape == (COUNT, 3, 32, 32) and clean.dtype == torch.float32
    assert noisy.min() >= 0 and noisy.max() <= 1
    colors = clean.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0)
    assert torch.allclose(colors, torch.tensor(sorted(COLORS.values())) / 255)
    inside = (clean > 0.2) & (clean < 0.8)  # where no noise is cut off
    assert (noisy - clean)[inside].std() == pytest.approx(0.05, rel=0.02)


def test_seeds_reproduce_and_the_cache_changes_nothing(folder, monkeypatch, tmp_path):
    first = coloring(COUNT, seed=1)
    again = coloring(COUNT, seed=1)  # from the file
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
    drawn = coloring(COUNT, seed=1)
    assert first.digest == again.digest == drawn.digest
    assert [path.name for path in tmp_path.iterdir()] == [f"coloring-{made.CACHE_VERSION}-{COUNT}-32-1.npz"]
    wider = coloring(6, size=40, seed=1)
    others = coloring(COUNT), coloring(COUNT - 1, seed=1), coloring(COUNT, noise=0.1, seed=1), wider
    assert len({first.digest, *(other.digest for other in others)}) == 5
    assert wider.train.inputs.shape[1:] == (3, 40, 40)


def test_a_broken_file_is_made_again_and_without_a_folder_it_works_too(monkeypatch, tmp_path):
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path))
    wanted = coloring(12).digest
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert coloring(12).digest == wanted
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ELEKIT_CACHE_DIR", str(tmp_path / "file"))
    assert coloring(12).digest == wanted


def test_splits_are_by_image_and_equal_graphs_have_equal_keys(folder):
    data = coloring(COUNT, fractions=(0.5, 0.25, 0.25))
    assert (len(data.train), len(data.validation), len(data.test)) == (14, 8, 8)
    rows = [row for split in (data.train, data.validation, data.test) for row in split.frame["row"]]
    assert sorted(rows) == list(range(COUNT))
    graphs, keys = to_networkx(data.train.graphs), data.train.frame["key"].tolist()
    for i, one in enumerate(graphs):
        for j in range(i):
            equal = nx.is_isomorphic(one, graphs[j], lambda a, b: a["label"] == b["label"])
            assert equal == (keys[i] == keys[j])


def test_what_cannot_be_drawn_is_refused(folder):
    for wrong in ({"count": 0}, {"size": 20}, {"noise": -1}):
        with pytest.raises(ValueError, match="count >= 1, size >= 24, noise >= 0"):
            coloring(**{"count": 6, **wrong})


def regions_of(*rows: str) -> np.ndarray:
    return np.array([[[int(c) for c in row] for row in rows]], np.int8)


def test_disputed_partitions_are_told_by_hand():
    halves = regions_of(*["0" * 6 + "1" * 6] * 12)
    assert made.unambiguous(halves, 2).all() and not made.unambiguous(halves, 3).any()  # a third region is missing
    corner = regions_of(*["0" * 6 + "1" * 6] * 6, *["2" * 6 + "3" * 6] * 6)
    assert not made.unambiguous(corner, 4).any()  # 0 and 3 meet at a corner alone
    short = regions_of(*["0" * 6 + "1" * 6] * 6, "3" * 5 + "2" * 7, *["3" * 6 + "2" * 6] * 5)
    assert made.borders(short)[0][0, 0, 2] == 1 and not made.unambiguous(short, 4).any()  # 0 and 2 by one side
    apart = regions_of(*["0" * 4 + "1" * 4 + "0" * 4] * 12)
    assert not made.unambiguous(apart, 2).any()  # 0 is in two pieces
    small = regions_of("0" * 12, *["1" * 12] * 11)
    assert not made.unambiguous(small, 2).any()  # 0 has 12 pixels


def test_the_colors_are_those_of_the_pictures():
    assert [tuple(round(255 * c) for c in to_rgb(color)) for color in OKABE_ITO[:4]] == list(COLORS.values())


# -- the backbone --------------------------------------------------------------------------------------------------
SHAPE = BackboneConfig("image", width=12, layers=2, embedding=3)


def drawn(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [5, 8, 15, 32, 40])
def test_any_square_image_becomes_a_point_and_a_batch_is_its_images(size):
    images = drawn(3, 2, size, size)
    backbone = make_backbone(SHAPE, images, 7).eval()
    assert (
        isinstance(backbone, ImageBackbone) and infer_kind(images) == "image" and infer_kind(images[0, 0]) == "vector"
    )
    together = backbone(images)
    assert together.shape == (3, 7)
    assert torch.allclose(together, torch.cat([backbone(image[None]) for image in images]), atol=1e-6)
    assert torch.allclose(together, backbone(images.contiguous(memory_format=torch.channels_last)), atol=1e-6)


def test_positions_and_colors_are_seen():
    images = drawn(2, 3, 32, 32)
    backbone = make_backbone(SHAPE, images, 7).eval()
    for other in (images.flip(3), images.flip(1), images.roll(8, 2)):
        assert not torch.allclose(backbone(images), backbone(other), atol=1e-4)


def test_the_eight_views_are_the_symmetries_of_a_square():
    square = torch.arange(9.0).reshape(1, 1, 3, 3)
    views = [view(square) for view in SYMMETRIES]
    assert torch.equal(views[0], square) and len({tuple(view.flatten().tolist()) for view in views}) == 8
    again = {tuple(second(view).flatten().tolist()) for view in views for second in SYMMETRIES}
    assert len(again) == 8  # no further ones come out of them
    assert all(
        view[0, 0, 1, 1] == 4 and set(view[0, 0, ::2, ::2].flatten().tolist()) == {0, 2, 6, 8} for view in views
    )


def test_h_of_a_symmetric_image_is_the_mean_over_its_views_and_the_same_for_each_of_them():
    images = drawn(3, 2, 16, 16)
    h = SurrogateRegressor(make_backbone(replace(SHAPE, symmetric=True), images, 7), 7).eval()
    alone = torch.stack([projections.sphere(h.backbone(view(images))) for view in SYMMETRIES])
    assert torch.allclose(h(images), projections.sphere(alone.mean(0)), atol=1e-6)
    for view in SYMMETRIES:
        assert torch.allclose(h(view(images)), h(images), atol=1e-5)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)  # they do differ


def test_while_h_learns_each_symmetric_image_is_seen_in_views_drawn_at_random():
    images = drawn(1, 2, 16, 16).expand(64, -1, -1, -1)
    backbone = make_backbone(replace(SHAPE, symmetric=True), images[:1], 7)
    each = torch.cat([backbone.eval()(view(images[:1])) for view in SYMMETRIES])
    torch.manual_seed(0)
    seen = (backbone.train()(images)[:, None] - each).abs().amax(-1)
    assert seen.amin(1).max() < 1e-4 and set(seen.argmin(1).tolist()) == set(range(8))
    torch.manual_seed(3)
    before = random_symmetries(images)
    torch.manual_seed(3)
    assert torch.equal(before, random_symmetries(images))


def test_only_images_can_be_symmetric():
    with pytest.raises(ValueError, match="only images can be symmetric .*'word'"):
        BackboneConfig("word", symmetric=True)


def test_scaling_comes_from_the_images_and_a_blank_channel_stays_finite():
    images = torch.cat([drawn(20, 1, 8, 8) * 9 + 5, torch.full((20, 1, 8, 8), 0.3)], 1)
    backbone = make_backbone(SHAPE, images, 7)
    scaled = (images - backbone.mean) / backbone.scale
    assert scaled[:, 0].mean().abs() < 1e-4 and scaled[:, 0].std() == pytest.approx(1, rel=1e-3)
    assert scaled[:, 1].abs().max() < 1e-4 and torch.isfinite(backbone(images)).all()


def test_what_is_no_image_is_refused():
    backbone = make_backbone(SHAPE, drawn(2, 3, 8, 8), 7)
    with pytest.raises(ValueError, match=r"images must be \(B, 3, 8, 8\), got \(2, 1, 8, 8\)"):
        backbone(drawn(2, 1, 8, 8))
    with pytest.raises(ValueError, match="reads square images"):
        make_backbone(SHAPE, drawn(2, 3, 8, 9), 7)
    with pytest.raises(ValueError, match="input 0 is 'CCO'"):
        backbone(["CCO"])


def test_h_of_images_learns_and_comes_back_from_a_file(data, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        psi = GraphEmbedding(data.vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=16)).eval()
    training = SurrogateTraining(TrainerConfig(60, 3e-3, warmup=5, validate_every=30), batch_size=16)
    split = data.train.take(range(24))
    h = fit_surrogate(psi, split, validation=split, backbone=SHAPE, training=training, progress=False)
    assert h.history[-1]["loss"] < 0.7 * h.history[0]["loss"] and h.history[-1]["cosine"] > 0.8
    points = h.predict(split.inputs, batch_size=5)
    assert points.shape == (24, 16) and torch.allclose(points, h.predict(split.inputs), atol=1e-6)
    artifacts.save(artifacts.Artifact("images", psi, {"image": h}), tmp_path)
    again = artifacts.load(tmp_path).surrogates["image"]
    assert torch.equal(again.predict(split.inputs), h.predict(split.inputs))
    assert to_config(again.backbone) == to_config(h.backbone)
    assert to_config(from_config(to_config(h.backbone), 16)) == to_config(h.backbone)
    assert isinstance(SurrogateRegressor(h.backbone, 16)(split.inputs[:1]), torch.Tensor)


# -- the picture ---------------------------------------------------------------------------------------------------
def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def gids(ax) -> set[str]:
    return {artist.get_gid() for artist in ax.get_children() if artist.get_gid()}


def test_a_picture_tells_right_from_wrong_in_any_order_of_nodes(data, generator):
    split = data.train.take([0, 1, 2])
    nodes, edges = split.graphs.labels()
    i, j = edges[1].nonzero()[0].tolist()
    edges[1, i, j] = edges[1, j, i] = 0  # a link is missed
    nodes[2, 0] = nodes[2, 0] % 4 + 1  # a colour is wrong
    guessed = augment.shuffled(Graph.from_labels(nodes, edges, data.vocabulary), generator)
    figure = draw_images(split.inputs, split.graphs, guessed)
    verdicts = [text for text in texts(figure) if "predicted" in text]
    assert verdicts == [f"predicted: {verdict}" for verdict in ("right", "wrong", "wrong")]
    kinds = [[gid.split("-")[0] for gid in gids(ax) if gid.startswith(tuple(MARKS))] for ax in figure.axes]
    assert [len(marks) for marks in kinds[:3]] == [0, 0, 0]  # a right one has no marks
    assert kinds[4] == ["gone"] and kinds[5] == [] and kinds[7] == kinds[8] == ["changed"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["missing", "wrong label"]
    assert len(draw_images(split.inputs[:2, :1], split.graphs[:2]).axes) == 4


def test_nodes_are_ordered_as_those_of_a_like_graph(data, generator):
    graphs = data.train.graphs.dense()
    for one, mixed in zip(graphs, augment.shuffled(graphs, generator)):
        aligned = align_nodes(mixed, one)
        assert torch.equal(aligned.labels()[0], one.labels()[0])  # colours lie alike, and where nodes differ links do
        assert nx.is_isomorphic(*to_networkx(Graph.cat([aligned, one])))


def test_what_is_no_picture_is_refused(data):
    split = data.train.take([0, 1])
    with pytest.raises(ValueError, match=r"C = 1 or 3, got \(2, 2, 32, 32\)"):
        draw_images(split.inputs[:, :2], split.graphs)
    with pytest.raises(ValueError, match="one graph for each of 2 images, got 1"):
        draw_images(split.inputs, split.graphs, split.graphs[:1])


# -- h, told apart from what is nearly right -----------------------------------------------------------------------
def test_hard_negatives_are_the_single_edits_of_each_graph(data, monkeypatch):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        psi = GraphEmbedding(data.vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=16)).eval()
    asked = []

    def random_edits(graphs, counts, generator):
        asked.append((graphs, counts))
        return augment.random_edits(graphs, counts, generator)

    monkeypatch.setattr("elekit.training.surrogate.augment", SimpleNamespace(random_edits=random_edits))

    def fitted(hard: int):
        training = SurrogateTraining(TrainerConfig(1, 1e-3), batch_size=8, contrast=1.0, hard_negatives=hard)
        return fit_surrogate(psi, data.train, backbone=SHAPE, training=training, progress=False)

    plain = fitted(0)
    assert not asked
    hard, again = fitted(5), fitted(5)
    graphs, counts = asked[0]
    assert len(graphs) == 40 and counts.tolist() == [1] * 40
    nodes = graphs.nodes.reshape(8, 5, 10, -1)
    assert (nodes == nodes[:, :1]).all() and not (nodes[0] == nodes[1]).all()  # five times each graph of the batch
    assert hard.history[0]["loss"] > plain.history[0]["loss"]  # more to be told apart from
    assert torch.equal(hard.predict(data.test.inputs), again.predict(data.test.inputs))
