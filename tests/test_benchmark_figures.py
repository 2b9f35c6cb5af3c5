"""Methods against each other, drawn: every dot is where its mean is, every line has its name, nothing overlaps."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from test_draw import HOSTILE, rendered

from benchmarks import figures
from benchmarks.figures import LABEL_HEIGHT, MAX_STYLED, STYLES, _spread_out
from elekit.draw.base import LIGHT_GRAY


def runs(names=("ELE", "other"), sizes=(100, 1_000, 100_000), seeds=3, ways=("",)) -> pd.DataFrame:
    """Figures of each run: 10 * its name's place + its seed, exact a hundredth of it."""
    return pd.DataFrame(
        {"name": name, "decoder": way, "pairs": size, "seed": seed, "noise": "none", "rate": 0.0, "ms": 2.0 ** (n + w),
         "edit_distance": 10 * n + seed - w, "exact": (10 * n + seed) / 100}
        for n, name in enumerate(names) for w, way in enumerate(ways) for size in sizes for seed in range(seeds)
    )  # fmt: skip


def lines(ax) -> list:
    """The error bars of a panel: (line, caps, bars)."""
    return [drawn for drawn in ax.containers if drawn.get_label() is not None]


def named(ax) -> dict[str, object]:
    return {text.get_text(): text for text in ax.texts}


def test_dots_are_means_over_runs_and_bars_their_spread():
    figure = rendered(
        figures.label_efficiency(runs(), {"edit_distance": "edit distance", "exact": "exact, %"}, highlight=["ELE"])
    )
    left, right = figure.axes
    assert left.get_xscale() == "log" and left.get_ylabel() == "edit distance" and right.get_ylabel() == "exact, %"
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["100", "1,000", "100,000"]
    for ax in (left, right):  # a share is shown times 100
        for n, (line, _, (bars,)) in enumerate(lines(ax)):
            assert line.get_xdata().tolist() == [100, 1_000, 100_000]
            assert np.allclose(line.get_ydata(), 10 * n + 1)
            assert all(
                np.ptp(bar[:, 1]) == pytest.approx(2) for bar in bars.get_segments()
            )  # of 0, 1, 2: 1 up and down


def test_one_run_has_no_bar():
    (ax,) = figures.label_efficiency(runs(seeds=1), {"exact": "exact, %"}).axes
    assert all(np.ptp(bar[:, 1]) == 0 for _, _, (bars,) in lines(ax) for bar in bars.get_segments())


def test_lines_are_told_apart_by_color_marker_and_name():
    names = [f"method {n}" for n in range(MAX_STYLED + 2)]
    table = runs(names)
    (ax,) = rendered(figures.label_efficiency(table, {"edit_distance": "edit distance"}, highlight=["method 3"])).axes
    styles = [(line.get_color(), line.get_marker()) for line, *_ in lines(ax)]
    assert styles[:MAX_STYLED] == list(STYLES) and {color for color, _ in styles[MAX_STYLED:]} == {LIGHT_GRAY}
    assert set(named(ax)) == set(names[:MAX_STYLED])  # what is faint has no name
    first = named(ax)["method 3"]
    assert first.get_fontweight() == "bold" and to_rgb(first.get_color()) == to_rgb(STYLES[0][0])
    boxes = sorted((Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)  # without their lines
    assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(boxes))
    assert all(box.x0 > ax.get_window_extent().x1 - 1 and box.x1 <= ax.figure.bbox.x1 + 1 for box in boxes)


@pytest.mark.parametrize("heights", [[], [0.5], [0.5] * 5, [0.0, 0.0, 0.01, 0.9], [0.99, 1.0, 1.0], [0.2, 0.5, 0.9]])
def test_names_move_as_little_as_it_takes(heights):
    moved = _spread_out(np.array(heights, dtype=float))
    assert len(moved) == len(heights) and (np.diff(moved) >= LABEL_HEIGHT - 1e-9).all()
    if heights:
        assert moved[0] >= -1e-9 and moved[-1] <= 1 + 1e-9
        if len(heights) == 1 or np.diff(heights).min() >= LABEL_HEIGHT:
            assert np.allclose(moved, heights)


def test_each_way_to_decode_is_a_dot_with_its_name():
    table = pd.concat([runs(["ELE"], [100], ways=("quick", "slow")), runs(["other"], [100]).assign(ms=50.0)])
    (ax,) = rendered(
        figures.prediction_cost(table, "edit_distance", "edit distance", better=-1, highlight=["ELE"])
    ).axes
    ours, other = (drawn[0] for drawn in lines(ax))
    assert (
        ours.get_xdata().tolist() == [1, 2] and np.allclose(ours.get_ydata(), [1, 0]) and ours.get_linestyle() == "-"
    )
    (ax_other_way,) = figures.prediction_cost(table, "edit_distance", "edit distance", highlight=["ELE"]).axes
    joined, outdone, _ = (drawn[0] for drawn in lines(ax_other_way))  # were more better, slow would be no use
    assert joined.get_xdata().tolist() == [1] and outdone.get_xdata().tolist() == [2]
    assert outdone.get_linestyle() == "None" and outdone.get_markerfacecolor() == "white"
    assert other.get_xdata().tolist() == [50] and set(named(ax)) == {"ELE: quick", "slow", "other"}
    assert ax.get_xscale() == "log"


def test_words_hide_neither_dots_nor_words_where_there_is_room():
    table = runs([f"method {n}" for n in range(6)], [100]).assign(ms=10.0)
    (ax,) = rendered(figures.prediction_cost(table, "edit_distance", "edit distance")).axes
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
    dots = ax.transData.transform([(10.0, 10 * n + 1) for n in range(6)])
    assert not any(box.contains(*dot) for box in boxes for dot in dots)


def test_words_are_not_written_across_the_lines_that_join_dots():
    """A level line: right of its first dot, where words stand if nothing is in the way, it would be struck through."""
    table = pd.concat([runs(["ELE"], [100], 1, ways=("quick", "slow")).assign(exact=0.5), runs(["other"], [100], 1)])
    table.loc[table["decoder"] == "slow", ["ms", "exact"]] = 1_000.0, 0.51
    (ax,) = rendered(figures.prediction_cost(table, "exact", "exact, %", highlight=["ELE"])).axes
    one, other = ax.transData.transform([(1.0, 50), (1_000.0, 51)])
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    assert not any(box.contains(*(one + t * (other - one))) for box in boxes for t in np.linspace(0, 1, 200))


def test_what_was_not_timed_is_left_out():
    table = pd.concat([runs(["ELE"], [100]), runs(["other"], [100]).assign(ms=float("nan"))])
    (ax,) = figures.prediction_cost(table, "exact", "exact, %").axes
    assert set(named(ax)) == {"ELE"}


def test_noise_has_a_panel_a_kind_and_starts_clean():
    clean = runs(sizes=[100])
    spoilt = [
        clean.assign(noise=kind, rate=rate, exact=rate) for kind in ("typos", "$x$", "c") for rate in (0.1, 0.3)
    ]
    figure = rendered(figures.noise_curves(pd.concat([clean, *spoilt]), "exact", "exact, %", highlight=["ELE"]))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["typos", "$x$", "c"]
    for ax in figure.axes:
        for n, (line, *_) in enumerate(lines(ax)):
            assert line.get_xdata().tolist() == [0, 0.1, 0.3] and np.allclose(line.get_ydata(), [10 * n + 1, 10, 30])
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "10%", "30%"]
        assert set(named(ax)) == {"ELE", "other"}


def test_names_stand_beside_the_ends_of_their_lines_also_where_another_panel_reaches_higher():
    clean = runs().assign(noise="none", rate=0.0)
    spoilt = [clean.assign(noise="a", rate=0.3), clean.assign(noise="b", rate=0.3, exact=20 * clean["exact"])]
    figure = rendered(figures.noise_curves(pd.concat([clean, *spoilt]), "exact", "exact, %"))
    for ax in figure.axes:
        bottom, top = ax.get_ylim()
        ends = {(line.get_ydata()[-1] - bottom) / (top - bottom) for line, *_ in lines(ax)}
        stand = {text.xyann[1] for text in ax.texts}
        assert len(stand) == len(ends) > 1
        assert max(abs(min(ends, key=lambda end: abs(end - height)) - height) for height in stand) < 0.1


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda t: figures.label_efficiency(t, {"mrr": "MRR"}), r"lacks columns \['mrr'\]"),
        (lambda t: figures.prediction_cost(t.drop(columns="ms"), "exact", "exact"), r"lacks columns \['ms'\]"),
        (lambda t: figures.noise_curves(t, "exact", "exact"), "no run of the table has noise"),
        (lambda t: figures.label_efficiency(t[:0], {"exact": "exact"}), "no rows"),
        (lambda t: figures.prediction_cost(t.assign(ms=0.0), "exact", "exact"), "none of the runs"),
    ],
)
def test_tables_that_cannot_be_drawn_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(runs())


@pytest.mark.parametrize("label", HOSTILE)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_of_methods_are_drawn_as_they_are(label):
    table = pd.concat([runs([label], ways=[label]), runs([label]).assign(noise=label, rate=0.1)])
    for figure in (
        figures.label_efficiency(table, {"exact": "exact, %"}, highlight=[label]),
        figures.prediction_cost(table, "exact", "exact, %"),
        figures.noise_curves(table, "exact", "exact, %"),
    ):
        rendered(figure)
        assert not any(text.get_parse_math() for ax in figure.axes for text in ax.texts)
