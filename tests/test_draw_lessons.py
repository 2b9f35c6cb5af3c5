"""Drawings of the notebooks: points on spheres, numbers of tensors, shares of histograms."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from test_draw import HOSTILE, SMILES, marked, rendered, soft

import checks
from checks.spheres import COLORS, _view_basis
from elekit import draw
from elekit.graphs import projections
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists
from elekit.graphs.smiles import EDGE_LABELS, from_smiles, molecule_vocabulary


@pytest.fixture
def molecules() -> Graph:
    return from_smiles(SMILES, molecule_vocabulary(["C", "N", "O", "F", "N+", "O-"], 9))


@pytest.fixture
def points(generator):
    return projections.sphere(torch.randn(60, 3, generator=generator))


def places(ax, kind: str) -> np.ndarray:
    """(n, 2) positions of the points of a kind ("front-1") in one picture."""
    found = [a.get_offsets().data for a in ax.collections if (a.get_gid() or "").startswith(kind)]
    return np.concatenate(found) if found else np.zeros((0, 2))


# -- spheres -------------------------------------------------------------------------------------------------------
def test_a_sphere_is_seen_from_the_given_direction(points):
    (ax,) = rendered(checks.spheres([(0, points)], direction=(1, 0, 0))).axes
    front, back = places(ax, "front"), places(ax, "back")
    seen = points[:, 0] >= 0
    for drawn, these in ((front, points[seen]), (back, points[~seen])):
        assert np.allclose(np.sort(drawn, 0), np.sort(these[:, 1:].numpy(), 0), atol=1e-6)  # right is y, up is z
    assert len(front) and len(back)


def test_a_sphere_faces_where_the_last_points_lie(points):
    spot = projections.sphere(torch.tensor([0.2, -0.9, 0.3]) + 0.05 * points)
    first, last = rendered(checks.spheres([(0, points), (1, spot)])).axes
    assert len(places(last, "front")) == 60 and np.abs(places(last, "front")).max() < 0.1
    (alone,) = checks.spheres([(0, points)], direction=spot.mean(0)).axes
    assert np.allclose(places(alone, "front"), places(first, "front"))  # all pictures from one side


@pytest.mark.parametrize("direction", [(0, 0, 1), (0, 0, -2), (1, 1, 0.5), (-1, 0.2, 0), (0, 0, 0)])
def test_the_view_rotates_the_sphere_and_does_not_mirror_it(direction):
    right, up, depth = basis = _view_basis(np.array(direction, dtype=float))
    assert np.allclose(basis @ basis.T, np.eye(3)) and np.allclose(np.cross(right, up), depth) and up[2] > 0
    if abs(direction[2]) < np.linalg.norm(direction[:2]):
        assert np.allclose(depth, np.array(direction) / np.linalg.norm(direction))


def test_each_category_has_its_color_and_its_name(points):
    categories = torch.arange(60) % 3
    figure = rendered(checks.spheres([(0, points), ("the end", points)], categories, ["none", "$one$", "two"]))
    for ax in figure.axes:
        drawn = {k: len(places(ax, f"front-{k}")) + len(places(ax, f"back-{k}")) for k in range(3)}
        assert drawn == {0: 20, 1: 20, 2: 20}
        for k in range(3):
            (front,) = [a for a in ax.collections if a.get_gid() == f"front-{k}"]
            assert tuple(front.get_facecolor()[0][:3]) == pytest.approx(to_rgb(COLORS[k]))
    (key,) = figure.legends
    assert [t.get_text() for t in key.get_texts()] == ["none", "$one$", "two"]
    assert [to_rgb(line.get_color()) for line in key.get_lines()] == [to_rgb(c) for c in COLORS[:3]]
    assert [ax.get_title() for ax in figure.axes] == ["step 0", "the end"]


def test_spheres_form_rows_without_overlap(points):
    figure = rendered(checks.spheres([(1000 * n, points) for n in range(5)], torch.zeros(60), ["all"], columns=3))
    boxes = [ax.get_window_extent() for ax in figure.axes]
    assert [ax.get_title() for ax in figure.axes] == [
        "step 0",
        "step 1,000",
        "step 2,000",
        "step 3,000",
        "step 4,000",
    ]
    parts = [box for ax in figure.axes for box in (ax.get_window_extent(), ax.title.get_window_extent())]
    key = figure.legends[0].get_window_extent()
    assert boxes[3].y1 < boxes[0].y0 and boxes[3].x0 == boxes[0].x0
    assert not any(key.overlaps(box) for box in boxes)
    assert all(figure.bbox.x0 <= b.x0 and b.x1 <= figure.bbox.x1 and b.y1 <= figure.bbox.y1 for b in parts)


def test_frames_are_not_mutated(points):
    before = points.clone()
    checks.spheres([(0, points.requires_grad_())])
    assert torch.equal(points.detach(), before)


@pytest.mark.parametrize(
    "call, what",
    [
        (lambda p: checks.spheres([]), "frames is empty"),
        (lambda p: checks.spheres([(7, p[:, :2])]), r"step 7 must be \(n, 3\).*\(60, 2\)"),
        (lambda p: checks.spheres([(7, 2 * p)]), "length 1, one has 2"),
        (lambda p: checks.spheres([(7, p * float("nan"))]), "length 1"),
        (lambda p: checks.spheres([(0, p)], torch.zeros(3)), r"colors must be \(60,\)"),
        (lambda p: checks.spheres([(0, p)], torch.arange(60)), r"0\.\.6"),
        (lambda p: checks.spheres([(0, p)], torch.arange(60) % 3, ["a", "b"]), r"0\.\.1"),
        (lambda p: checks.spheres([(0, p)], torch.full((60,), 0.5)), "categories"),
        (lambda p: checks.spheres([(0, p), (1, p[:5])], torch.zeros(60)), r"colors must be \(5,\)"),
        (lambda p: checks.spheres([(0, p)], torch.zeros(60), list("abcdefgh")), "1 to 7 entries, got 8"),
    ],
)
def test_points_off_the_sphere_raise(points, call, what):
    with pytest.raises(ValueError, match=what):
        call(points)


# -- tensors -------------------------------------------------------------------------------------------------------
def heats(figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for ax in figure.axes for image in ax.images]


def written(figure) -> dict[str, list[str]]:
    """The numbers of each heat map, by its title."""
    return {ax.get_title(): [t.get_text() for t in ax.texts] for ax in figure.axes if ax.images}


def test_tensors_are_drawn_number_by_number(molecules):
    for graph in (molecules[0], soft(molecules[2:3])):
        figure = rendered(checks.tensors(graph))
        nodes, *edges = heats(figure)
        assert np.allclose(nodes, graph.nodes[0])
        assert np.allclose(np.stack(edges, -1), graph.edges[0])
        for title, texts in written(figure).items():
            shown = graph.nodes[0] if "nodes" in title else graph.edges[0, ..., edge_channel(title)]
            assert [float(t) for t in texts] == pytest.approx(shown.flatten().tolist(), abs=0.0051)


def edge_channel(title: str) -> int:
    return ["no edge", *EDGE_LABELS].index(title.split(": ")[1])


def test_tensors_are_labeled(molecules):
    figure = rendered(checks.tensors(molecules[2]))
    titles = [ax.get_title() for ax in figure.axes if ax.images]
    assert titles == [
        "nodes, 9 × 7",
        *(f"edges, 9 × 9: {name}" for name in ("no edge", *molecules.vocabulary.edge_labels)),
    ]
    nodes = figure.axes[0]
    assert [t.get_text() for t in nodes.get_xticklabels()] == ["absent", *molecules.vocabulary.node_labels]
    assert [t.get_text() for t in nodes.get_yticklabels()] == [str(i) for i in range(9)]
    slots = [t for ax in figure.axes for t in ax.texts if t.get_gid() == "slot"]
    assert sorted(t.get_text() for t in slots) == ["0", "1"] and len(marked(figure, "node")) == 2
    assert not any(
        a.get_window_extent().overlaps(b.get_window_extent()) for a in slots for b in marked(figure, "node")
    )


def test_no_panels_overlap(molecules):
    for graph in (molecules[0], from_edge_lists([(["a"], [])], GraphVocabulary(("a",), ("x",), 1))):
        figure = rendered(checks.tensors(graph))
        boxes = [ax.get_tightbbox() for ax in figure.axes]
        assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
        assert all(figure.bbox.x0 <= b.x0 and b.x1 <= figure.bbox.x1 for b in boxes)
        assert all(figure.bbox.y0 <= b.y0 and b.y1 <= figure.bbox.y1 for b in boxes)


def test_many_edge_labels_show_those_that_weigh_most():
    names = tuple(f"kind {k}" for k in range(20))
    edges = [(i, i + 1, f"kind {k}") for i, k in enumerate((3, 17, 3, 8, 11, 19))]
    figure = checks.tensors(from_edge_lists([(["a"] * 7, edges)], GraphVocabulary(("a",), names, 7)))
    assert [title.split(": ")[-1] for title in written(figure)][1:] == [
        "no edge",
        *(f"kind {k}" for k in (3, 8, 11, 17, 19)),
    ]


def test_large_tensors_have_no_numbers():
    path = [(i, i + 1, "x") for i in range(29)]
    figure = rendered(checks.tensors(from_edge_lists([(["a"] * 30, path)], GraphVocabulary(("a",), ("x",), 30))))
    assert (
        heats(figure)[0].shape == (30, 2) and not any(written(figure).values()) and max(figure.get_size_inches()) < 12
    )


def test_a_batch_has_no_one_tensor(molecules):
    with pytest.raises(ValueError, match="batch of 4"):
        checks.tensors(molecules)


# -- histograms ----------------------------------------------------------------------------------------------------
def test_histograms_hold_all_values_on_one_axis(generator):
    values = {"few": torch.rand(40, generator=generator), "$many$": 3 + torch.rand(900, generator=generator)}
    figure = rendered(draw.histograms(values, "how far"))
    limits = {ax.get_xlim() for ax in figure.axes}
    assert len(limits) == 1 and [ax.get_title(loc="left") for ax in figure.axes] == ["few  (40)", "$many$  (900)"]
    for ax, held in zip(figure.axes, values.values()):
        (steps,) = ax.patches
        counts, edges, _ = steps.get_data()
        assert counts.sum() == pytest.approx(1) and edges[0] <= held.min() + 1e-6 and held.max() <= edges[-1] + 1e-6
        middle = counts[edges[1:] <= held.median().item()].sum()
        assert middle == pytest.approx(0.5, abs=0.2)
        assert ax.texts[0].get_text() == f"median {np.median(held):.2f}"
        assert ax.lines[0].get_xdata()[0] == pytest.approx(np.median(held))
    assert figure.axes[-1].get_xlabel() == "how far"


def test_histograms_leave_out_what_is_not_finite():
    (ax,) = draw.histograms({"a": [1.0, float("nan"), 2.0, float("inf")]}).axes
    assert ax.get_title(loc="left") == "a  (2)"


def test_histograms_of_columns_take_any_index():
    columns = pd.DataFrame({"a": [1.0, 2.0, 4.0]}, index=[5, 6, 9])
    (ax,) = draw.histograms({"a": columns["a"]}).axes
    assert ax.texts[0].get_text() == "median 2.00"


@pytest.mark.parametrize(
    "values, what", [({}, "got 0"), ({str(k): [1.0] for k in range(7)}, "got 7"), ({"a": [1.0], "b": []}, "'b'")]
)
def test_histograms_of_nothing_are_refused(values, what):
    with pytest.raises(ValueError, match=what):
        draw.histograms(values)


# -- whatever is drawn ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("label", HOSTILE)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_names_are_drawn_as_plain_text(points, label):
    graph = from_edge_lists([([label, "b", label], [(0, 1, label)])], GraphVocabulary((label, "b"), (label, "y"), 3))
    figures = [
        checks.spheres([(label, points)], torch.zeros(60), [label]),
        checks.tensors(graph),
        draw.histograms({label: [1.0, 2.0]}, label),
    ]
    start = "".join(c if c.isprintable() else " " for c in label)[:4]
    for figure in figures:
        rendered(figure)
        drawn = [t for t in figure.findobj(lambda a: hasattr(a, "get_parse_math")) if start in t.get_text()]
        assert len(drawn) >= 2 and not any(t.get_parse_math() for t in drawn)
        assert figure._repr_png_().startswith(b"\x89PNG")
