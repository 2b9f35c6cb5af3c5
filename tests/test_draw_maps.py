"""Maps of many graphs: colors mean what the values are, the figure shows what it was given, words fit the numbers."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from elekit import draw
from elekit.draw.maps import CLASSES, DARK, LIGHT, STEPS, bounding_box, paint
from elekit.graphs.smiles import from_smiles
from elekit.inspect.maps import trust_words

HOSTILE = ["<img src=x onerror=alert(1)>", "$\\frac", "a\nb\x00", "_{"]


def brightness(color):
    return float(np.dot(to_rgb(color), (0.3, 0.59, 0.11)))


def rendered(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def by_gid(figure, gid):
    return [a for ax in figure.axes for a in ax.get_children() if a.get_gid() == gid]


def words_of(figure):
    texts = [t.get_text() for t in figure.texts]
    for ax in figure.axes:
        texts += [ax.get_title(), ax.get_title(loc="left"), *(t.get_text() for t in ax.texts)]
        if ax.get_legend():
            texts += [t.get_text() for t in [*ax.get_legend().get_texts(), ax.get_legend().get_title()]]
    return texts


# -- paint -----------------------------------------------------------------------------------------------------
def test_the_most_frequent_classes_have_colors_of_their_own_and_the_others_share_one():
    values = [name for k, name in enumerate("abcdefghij") for _ in range(20 - k)]
    found = paint(values)
    assert [words for _, words, _ in found.classes] == [*"abcdefg", "other (3)"]
    assert [count for *_, count in found.classes] == [20, 19, 18, 17, 16, 15, 14, 13 + 12 + 11]
    assert found.colors == [*CLASSES, LIGHT.other] and len(set(found.colors)) == 8
    for value, code in zip(values, found.codes):
        assert found.classes[code][1] == (value if value in "abcdefg" else "other (3)")


def test_truth_values_are_yes_and_no():
    found = paint([True, False, True])
    assert {words: count for _, words, count in found.classes} == {"yes": 2, "no": 1}
    assert found.classes[found.codes[1]][1] == "no"


@pytest.mark.parametrize("values", [[3, 1, 1, 2], [3.5, 0.25, 0.25, 1.0], pd.array([3, 1, None, 2], dtype="Int64")])
def test_few_numbers_are_classes_in_their_order_and_brighter_where_they_are_larger(values):
    found = paint(values)
    named = [float(words) for _, words, _ in found.classes if words != "not known"]
    assert named == sorted(named)
    colors = [brightness(color) for color, words, _ in found.classes if words != "not known"]
    assert colors == sorted(colors)
    for value, code in zip(pd.array(values), found.codes):
        assert found.classes[code][1] == ("not known" if pd.isna(value) else f"{value:.6g}")


def test_a_scale_keeps_order_and_reaches_from_least_to_most():
    values = np.random.default_rng(0).permutation(np.linspace(-2, 7, 300))
    found = paint(values)
    assert found.scale == (-2, 7) and found.clipped == (False, False) and found.unknown == 0
    assert len(found.colors) == STEPS and (np.diff(found.codes[values.argsort()]) >= 0).all()
    assert (found.codes.min(), found.codes.max()) == (0, STEPS - 1)
    assert np.abs(found.codes - (values + 2) / 9 * STEPS).max() <= 1
    shades = [brightness(color) for color in found.colors]
    assert shades == sorted(shades) and shades[-1] < 0.85  # shows on white
    assert found.legend()["numbers"] == ["-2", "2.5", "7"]


def test_a_few_far_values_do_not_squeeze_a_scale():
    values = np.concatenate([np.linspace(0, 1, 1000), [50.0]])
    found = paint(values)
    assert found.scale[1] <= 1 and found.clipped == (True, True)
    assert found.codes[-1] == STEPS - 1 and found.legend()["numbers"][2].endswith(" or more")


def test_what_is_missing_is_gray_and_counted():
    for values in ([*np.linspace(0, 1, 50), np.nan, np.inf], ["a", None, "b", None], [np.nan, np.nan]):
        missing = ~np.isfinite(values) if isinstance(values[-1], float) else np.array([v is None for v in values])
        found = paint(values)
        assert found.unknown == missing.sum()
        assert [found.colors[code] == LIGHT.unknown for code in found.codes] == missing.tolist()
        assert found.classes[-1] == (LIGHT.unknown, "not known", missing.sum())


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 50, HOSTILE, [(1, 2), [3]], pd.Categorical(["x", "y", "x"])])
def test_any_column_can_be_painted(values):
    found = paint(values)
    assert found.codes.shape == (len(values),) and all(0 <= code < len(found.colors) for code in found.codes)
    assert json.loads(json.dumps(found.legend())) == found.legend()
    assert sum(count for *_, count in found.classes) == len(values)


def test_painting_leaves_the_column_alone():
    column = pd.Series([2.0, np.nan, 1.0], index=[5, 7, 9])
    before = column.copy()
    paint(column)
    pd.testing.assert_series_equal(column, before)


# -- words and frames ------------------------------------------------------------------------------------------
def test_trust_is_told_as_it_is():
    kept = np.array([0.2, 0.4, np.nan, 0.6], np.float32)
    said = trust_words(kept, "umap")
    assert "UMAP" in said and "40 %" in said and "judged on 3" in said
    assert "judged" not in trust_words(kept[:2], "umap")
    good, fair, poor = (trust_words(np.full(5, share), "pca").split(": ")[1] for share in (0.9, 0.4, 0.05))
    assert "mostly" in good and "not always" in fair and "says little" in poor
    assert "not measured" in trust_words(np.full(3, np.nan), "pca")


@pytest.mark.parametrize("n", [1, 2, 50])
def test_a_frame_holds_all_and_wastes_little(n):
    positions = np.random.default_rng(n).normal(size=(n, 2)) * [30, 12] + 100
    middle, half = bounding_box(positions)
    inside = (positions - middle) / half
    assert np.abs(inside).max() <= 1 and (half > 0).all()
    if n > 1:
        assert np.abs(inside).max() > 0.9
        assert np.allclose(np.diff(inside, axis=0) * half, np.diff(positions, axis=0))
    assert (bounding_box(np.zeros((0, 2)))[1] > 0).all()
    line = bounding_box(np.array([[0.0, 5.0], [8.0, 5.0]]))[1]
    assert line[1] == pytest.approx(line[0] / 4)  # not infinitely thin


def contrast(color, other):
    """Of two colors "#rrggbb", as the Web Content Accessibility Guidelines define it."""

    def luminance(color):
        parts = np.array([int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(color), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("values", [np.arange(500.0), np.arange(5), list("abcdefghijklmn"), [True, False, None]])
def test_points_show_on_a_dark_background(values):
    light, dark = paint(values), paint(values, DARK)
    assert dark.codes.tolist() == light.codes.tolist() and len(dark.colors) == len(light.colors)
    assert min(contrast(color, "#111111") for color in dark.colors) >= 3
    assert contrast(DARK.ink, "#111111") > 15 and contrast(DARK.context, "#111111") < 3  # context stays behind


# -- the figure ------------------------------------------------------------------------------------------------
@pytest.fixture
def positions():
    return np.random.default_rng(0).normal(size=(40, 2))


@pytest.fixture
def molecules():
    return from_smiles(["CCO", "CC", "C#N"])


def dots(figure):
    """Positions (n, 2) and colors of all points."""
    found = figure.axes[0].collections
    colors = [to_hex(c) for s in found for c in np.broadcast_to(s.get_facecolors(), (len(s.get_offsets()), 4))]
    return np.concatenate([s.get_offsets() for s in found]), colors


def test_every_point_is_drawn_in_the_color_of_its_value(positions):
    values = ["a"] * 30 + ["b"] * 10
    figure = rendered(draw.embedding_map(positions, values, column="kind"))
    where, colors = dots(figure)
    found = paint(values)
    assert np.allclose(where, positions) and colors == [found.colors[c].lower() for c in found.codes]
    assert {"kind", "a (30)", "b (10)"} <= set(words_of(figure))


def test_what_is_not_selected_is_gray(positions):
    figure = rendered(draw.embedding_map(positions, np.arange(40.0), column="size", selected=[3, 5]))
    where, colors = dots(figure)
    for position, color in zip(where, colors):
        chosen = any(np.allclose(position, positions[row]) for row in (3, 5))
        assert (color == LIGHT.context.lower()) != chosen
    assert len(where) == 40 and any("size" in words for words in words_of(figure))


def test_a_long_sentence_below_the_map_fits_into_the_figure(positions):
    figure = draw.embedding_map(positions, trust="word " * 26)
    rendered(figure)
    (text,) = figure.texts
    box = text.get_window_extent()
    assert text.get_text().split() == ["word"] * 26
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 < figure.axes[0].get_window_extent().y0


def test_the_pinned_graph_and_its_neighbors_are_marked_numbered_and_drawn(positions, molecules):
    figure = draw.embedding_map(
        positions, pinned=4, neighbors=[9, 2], graphs=molecules, titles=["CCO", "1 CC", "2 C#N"], trust="Trust it."
    )
    rendered(figure)
    (ring,) = by_gid(figure, "pinned-4")
    assert np.allclose(ring.get_xydata(), positions[4:5])
    for number, row in enumerate([9, 2], 1):
        (mark,) = by_gid(figure, f"neighbor-{number}")
        assert np.allclose(mark.get_xydata(), positions[row : row + 1])
        (told,) = [a for a in figure.axes[0].texts if a.get_text() == str(number)]
        assert np.allclose(told.xy, positions[row])
    said = words_of(figure)
    assert {"CCO", "1 CC", "2 C#N", "Trust it."} <= set(said) and len(figure.axes) == 1 + 3
    nodes = [sum((a.get_gid() or "").startswith("node-") for a in ax.get_children()) for ax in figure.axes[1:]]
    assert nodes == [3, 2, 2]


def test_predictions_and_paths_are_drawn_where_they_are(positions):
    path = np.array([[0.0, 0.0], [0.5, 0.2], [1.0, 1.0]])
    figure = draw.embedding_map(positions, predictions=[(7, np.array([0.3, 0.4]))], paths=[path])
    (line,) = by_gid(rendered(figure), "prediction-7")
    assert np.allclose(line.get_xydata(), [positions[7], [0.3, 0.4]]) and line.get_linestyle() == "--"
    (way,) = by_gid(figure, "path-line")
    assert np.allclose(way.get_xydata(), path)


def test_a_map_is_drawn_into_a_figure_that_is_given(positions):
    whole = Figure(figsize=(6, 6))
    upper, lower = whole.subfigures(2, 1)
    for part in (upper, lower):
        assert draw.embedding_map(positions, figure=part) is whole
    assert len(upper.axes) == len(lower.axes) == 1


def test_hostile_names_are_drawn_as_they_are(positions, molecules):
    titles = HOSTILE[:3]
    figure = draw.embedding_map(
        positions, HOSTILE * 10, column=HOSTILE[1], pinned=0, neighbors=[1, 2], graphs=molecules, titles=titles
    )
    assert HOSTILE[1] in words_of(rendered(figure))


def test_shapes_that_do_not_fit_are_refused(positions, molecules):
    with pytest.raises(ValueError, match=r"\(40, 2\) and 3 values"):
        draw.embedding_map(positions, [1, 2, 3])
    with pytest.raises(ValueError, match=r"positions \(n, 2\)"):
        draw.embedding_map(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="one title for each graph"):
        draw.embedding_map(positions, graphs=molecules, titles=["a"])
