"""Figures that compare methods: bars, label efficiency, prediction cost and noise."""

import itertools
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter, NullLocator

from elekit.draw.base import BLUE, GRAY, GREEN, LIGHT_GRAY, ORANGE, PURPLE, SKY, VERMILION, fit_text, printable
from elekit.draw.figure import Picture, axes

if TYPE_CHECKING:
    import pandas as pd

STYLES = (
    (BLUE, "o"),
    (VERMILION, "s"),
    (GREEN, "^"),
    (ORANGE, "D"),
    (PURPLE, "v"),
    ("black", "X"),
    (SKY, "P"),
    (GRAY, "*"),
)
MAX_STYLED = len(STYLES)  # lines of a panel with their own style; further lines are faint
LABEL_HEIGHT = 0.055  # of a panel
LABEL_WIDTH = 215  # points
OFFSETS = [(right, up) for up in (0, 1, -1, 2, -2, 3, -3, 4, 5) for right in (1, -1)]  # of a label from its dot
LEADER = {"arrowstyle": "-", "lw": 0.7, "alpha": 0.6, "shrinkB": 4}  # from a label to its dot
HALO = [withStroke(linewidth=3, foreground="white")]


def method_bars(
    table: "pd.DataFrame",
    metric: str,
    label: str,
    *,
    highlight: Collection[str] = (),
    lower_is_better: bool = False,
    max_bars: int = 20,
) -> Figure:
    """A bar per method and decoder with the mean over runs and its standard deviation, best on top.

    Args:
        table: One row per run with columns name, decoder and the metric.
        metric: Column to show.
        label: Name of the metric; a label that ends in "%" is a share, shown times 100.
        highlight: Names of methods whose bars are hatched.
        lower_is_better: Sort in ascending order.
        max_bars: Number of bars.

    Raises:
        ValueError: If a column is missing or there is nothing to draw.
    """
    _require_columns(table, {"name", "decoder", metric})
    found = table[table[metric].notna()].groupby(["name", "decoder"], sort=False)[metric].agg(["mean", "std"])
    if not len(found):
        raise ValueError(f"nothing to draw: none of the runs has {metric}")
    found = _scale(label) * found.sort_values("mean", ascending=lower_is_better, kind="stable")[:max_bars]
    ax = axes(None, (9, 1.0 + 0.4 * len(found)))
    reach = max(float((found["mean"] + found["std"].fillna(0)).max()), 1e-9)
    for y, ((name, _), (mean, spread)) in enumerate(found.iterrows()):
        highlighted = name in highlight
        (bar,) = ax.barh(y, mean, color=ORANGE if highlighted else SKY, height=0.7, gid="bar")
        if highlighted:
            bar.set(edgecolor="black", linewidth=1.5, hatch="//")
        if spread > 0:
            ax.errorbar(mean, y, xerr=spread, color="black", capsize=4, linewidth=1.5)
        text = f"{mean:.3g}" + (f" ± {spread:.2g}" if spread > 0 else "")
        weight = "bold" if highlighted else "normal"
        ax.text(
            mean + max(np.nan_to_num(spread), 0) + 0.015 * reach, y, text, va="center", fontsize=12, fontweight=weight
        )
    names = [fit_text(f"{name}, {decoder}" if decoder else name, 260, 12)[0] for name, decoder in found.index]
    ax.set_yticks(range(len(found)), names, fontsize=12, parse_math=False)
    ax.set(ylim=(len(found) - 0.4, -0.6), xlim=(0, 1.2 * reach))
    ax.set_xlabel(label + (" (lower is better)" if lower_is_better else ""), fontsize=14, parse_math=False)
    return _figure(ax)


def label_efficiency(table: "pd.DataFrame", metrics: Mapping[str, str], *, highlight: Collection[str] = ()) -> Figure:
    """Each metric by number of labeled pairs (log axis): one panel per metric, one line per method.

    Dots are means over the runs of one size, error bars their standard deviation. The first 8 methods of the table
    have their own style; the others are faint.

    Args:
        table: One row per run with columns name, pairs and the metrics.
        metrics: Labels by column; a label that ends in "%" is a share, shown times 100.
        highlight: Names of methods drawn thick and in front.

    Raises:
        ValueError: If a column is missing or there is nothing to draw.
    """
    _require_columns(table, {"name", "pairs", *metrics})
    figure = Picture(figsize=(7.4 * len(metrics), 4.8), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    styles = _styles(table, highlight)
    sizes = sorted(table["pairs"].unique())
    for ax, (column, label) in zip(panels, metrics.items()):
        axes(ax, None)
        ax.set_xscale("log")
        _label_lines(ax, _lines(ax, table, "pairs", column, _scale(label), styles, highlight))
        ax.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=12)
        ax.xaxis.set_minor_locator(NullLocator())
        _label_axes(ax, "labeled pairs", label)
    return figure


def prediction_cost(
    table: "pd.DataFrame", metric: str, label: str, *, better: int = 1, highlight: Collection[str] = ()
) -> Figure:
    """A metric by milliseconds per prediction (log axis): one dot per method and decoder.

    Dots are means over runs, error bars standard deviations. A line joins the decoders of a method that no faster
    decoder of it beats; the other dots are hollow.

    Args:
        table: One row per run with columns name, decoder, ms and the metric.
        metric: Column to show.
        label: Name of the metric, see `label_efficiency`.
        better: 1 if higher is better, -1 if lower is better.
        highlight: Names of methods drawn thick and in front.

    Raises:
        ValueError: If a column is missing or there is nothing to draw.
    """
    _require_columns(table, {"name", "decoder", "ms", metric})
    table = table[table[metric].notna() & (table["ms"] > 0)]
    if not len(table):
        raise ValueError(f"nothing to draw: none of the runs has both {metric} and a time")
    ax = axes(None, (10, 6))
    ax.set_xscale("log")
    styles, scale = _styles(table, highlight), _scale(label)
    means = table.groupby(["name", "decoder"], sort=False)[["ms", metric]].mean()
    spread = table.groupby(["name", "decoder"], sort=False)[metric].std().fillna(0)
    low, high = means["ms"].min(), means["ms"].max()
    reach = max(high / low, 10.0)
    ax.set_xlim(low / reach**0.08, high * reach**0.33)  # room for labels on the right
    labels = []
    for name, (color, marker) in styles.items():
        decoders = means.loc[name].sort_values("ms")
        thick, value = name in highlight, better * decoders[metric]
        beaten = value <= value.cummax().shift(fill_value=-float("inf"))
        drawn: dict[str, Any] = {
            "color": color,
            "marker": marker,
            "markersize": 10 if thick else 8,
            "zorder": 3 if thick else 2,
        }
        line: dict[str, Any] = {"linewidth": 2.5 if thick else 1.2, "linestyle": "-" if thick else ":"}
        for some, style in ((~beaten, line), (beaten, {"linestyle": "none", "markerfacecolor": "white"})):
            if some.any():
                height, bar = scale * decoders.loc[some, metric], scale * spread.loc[name].loc[decoders.index[some]]
                ax.errorbar(decoders.loc[some, "ms"], height, bar, capsize=4, gid="method", **drawn, **style)
        for n, (decoder, one) in enumerate(decoders.iterrows()):
            text = f"{name}: {decoder}" if decoder and not n else decoder or name
            labels.append((one["ms"], scale * one[metric], text, "black" if color == LIGHT_GRAY else color, thick))
    ax.margins(y=0.1)
    ax.xaxis.set_major_formatter("{x:g}")
    _label_axes(ax, "CPU time per prediction, ms", label)
    _place_labels(ax, labels)
    return _figure(ax)


def noise_curves(table: "pd.DataFrame", metric: str, label: str, *, highlight: Collection[str] = ()) -> Figure:
    """A metric by rate of noise: one panel per kind, one line per method; clean runs are at rate 0.

    Args:
        table: One row per run with columns name, noise ("none" for clean runs), rate and the metric.
        metric: Column to show.
        label: Name of the metric, see `label_efficiency`.
        highlight: Names of methods drawn thick and in front.

    Raises:
        ValueError: If a column is missing or no run has noise.
    """
    _require_columns(table, {"name", "noise", "rate", metric})
    kinds = [kind for kind in dict.fromkeys(table["noise"]) if kind != "none"]
    if not kinds:
        raise ValueError("nothing to draw: no run of the table has noise")
    rows, columns = -(-len(kinds) // 2), min(2, len(kinds))
    picture = Picture(figsize=(7.4 * columns, 4.4 * rows), layout="constrained")
    panels = picture.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for ax in panels[len(kinds) :]:
        ax.remove()
    styles = _styles(table, highlight)
    ends = []
    for ax, kind in zip(panels, kinds):
        axes(ax, None)
        some = table[table["noise"].isin(["none", kind])]
        ax.set_title(printable(kind), fontsize=15, fontweight="bold", loc="left", parse_math=False)
        ends.append(_lines(ax, some, "rate", metric, _scale(label), styles, highlight))
        rates = sorted(some["rate"].unique())
        ax.set_xticks(rates, ["0" if not rate else f"{rate:.0%}" for rate in rates], fontsize=12)
        ax.tick_params(labelleft=True)
        _label_axes(ax, "rate of noise", label)
    for ax, own in zip(panels, ends):
        _label_lines(ax, own)
    return picture


def _require_columns(table: "pd.DataFrame", columns: set[str]) -> None:
    missing = sorted(columns - set(table.columns))
    if missing or not len(table):
        raise ValueError(
            f"the table lacks columns {missing}" if missing else "nothing to draw: the table has no rows"
        )


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert figure is not None  # these axes belong to one
    return figure


def _scale(label: str) -> float:
    return 100.0 if label.endswith("%") else 1.0


def _styles(table: "pd.DataFrame", highlight: Collection[str]) -> dict[str, tuple[str, str]]:
    """Color and marker of each name; highlighted names get the first styles."""
    names = list(dict.fromkeys(table["name"]))
    names.sort(key=lambda name: name not in highlight)
    return {name: STYLES[n] if n < MAX_STYLED else (LIGHT_GRAY, ".") for n, name in enumerate(names)}


def _label_axes(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=14)
    ax.set_ylabel(y, fontsize=14, parse_math=False)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="y", color=LIGHT_GRAY, linewidth=0.6, alpha=0.6)


def _lines(
    ax: Axes, table: "pd.DataFrame", x: str, y: str, scale: float, styles: dict, highlight: Collection[str]
) -> list[tuple]:
    """Draw mean and spread of `y` at each `x`, one line per name; returns the line ends for `_label_lines`."""
    ends = []
    for name, (color, marker) in styles.items():
        some = table[(table["name"] == name) & table[y].notna()]
        if not len(some):
            continue
        found = some.groupby(x)[y].agg(["mean", "std"]).fillna(0)
        at, mean, spread = found.index.to_numpy(), scale * found["mean"].to_numpy(), scale * found["std"].to_numpy()
        thick = name in highlight
        ax.errorbar(
            at, mean, spread, color=color, marker=marker, markersize=9 if thick else 7,
            linewidth=3 if thick else 1 if color == LIGHT_GRAY else 1.8, capsize=4,
            zorder=3 if thick else 2, gid="method",
        )  # fmt: skip
        ends.append((mean[-1], at[-1], name, color, thick))
    ax.margins(x=0.06)
    return sorted((end for end in ends if end[3] != LIGHT_GRAY), key=lambda end: end[0])


def _label_lines(ax: Axes, ends: list[tuple]) -> None:
    """Label lines at the right of the panel, after the limits (which panels may share) are final."""
    bottom, top = ax.get_ylim()
    heights = _spread_out(np.array([(end[0] - bottom) / (top - bottom) for end in ends]))
    for (value, at, name, color, thick), height in zip(ends, heights):
        words, size = fit_text(name, LABEL_WIDTH, 13)
        ax.annotate(
            words, (at, value), xycoords="data", xytext=(1.04, height), textcoords="axes fraction", va="center",
            color=color, fontsize=size, fontweight="bold" if thick else "normal", parse_math=False,
            annotation_clip=False,
            arrowprops={**LEADER, "color": color},
        )  # fmt: skip


def _spread_out(heights: np.ndarray) -> np.ndarray:
    """Ascending heights, moved as little as possible to be `LABEL_HEIGHT` apart."""
    if not len(heights):
        return heights
    steps = LABEL_HEIGHT * np.arange(len(heights))
    blocks: list[list[float]] = []  # mean and size of each run of labels that push each other
    for value in heights - steps:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    moved = np.concatenate([np.full(n, value) for value, n in blocks]) + steps
    return moved + min(0.0, 1.0 - moved[-1]) if moved[0] > 0 else moved - moved[0]


def _overlap(one: tuple, other: tuple) -> float:
    """Area of the intersection of two boxes (left, bottom, right, top)."""
    width, height = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    return max(0.0, width) * max(0.0, height)


def _line_points(ax: Axes) -> list[tuple[float, float]]:
    """Points (in pixels) every few pixels along the lines that join dots."""
    found = []
    for line in ax.lines:
        if line.get_linestyle() == "None":
            continue
        ends = ax.transData.transform(line.get_xydata())
        for one, other in itertools.pairwise(ends):
            count = 2 + int(np.hypot(*(other - one)) / 4)
            found += np.linspace(one, other, count).tolist()
    return found


def _place_labels(ax: Axes, labels: list[tuple]) -> None:
    """Place labels next to their dots, where they overlap dots, lines and other labels least."""
    figure = _figure(ax)
    figure.draw_without_rendering()
    dots = ax.transData.transform([(x, y) for x, y, *_ in labels])
    taken = [(px - 7, py - 7, px + 7, py + 7) for px, py in dots]
    taken += [(px - 2, py - 2, px + 2, py + 2) for px, py in _line_points(ax)]
    height, points = 15 * figure.dpi / 72, figure.dpi / 72
    panel = ax.get_window_extent()
    for (px, py), (x, y, text, color, thick) in sorted(zip(dots.tolist(), labels), key=lambda one: -one[0][1]):
        text, size = fit_text(text, 330, 12)
        look: dict[str, Any] = {"fontsize": size, "fontweight": "bold" if thick else "normal", "parse_math": False}
        tried = ax.text(0, 0, text, **look)
        width = tried.get_window_extent().width
        tried.remove()
        gap, places = 11 * points, []
        for right, up in OFFSETS:
            left = px + gap if right > 0 else px - gap - width
            low = py + up * 0.9 * height - height / 2
            box = (left, low, left + width, low + height)
            outside = box[0] < panel.x0 or box[2] > panel.x1 or box[1] < panel.y0 or box[3] > panel.y1
            over = sum(_overlap(box, other) for other in taken) + width * height * outside
            places.append((over, box, right, up))
        least = min(over for over, *_ in places)
        _, box, right, up = next(one for one in places if one[0] < least + 1e-9)
        taken.append(box)
        ax.annotate(
            text, (x, y), xytext=(right * 11, up * 0.9 * 15), textcoords="offset points", va="center",
            ha="left" if right > 0 else "right", color=color, path_effects=HALO, zorder=4,
            arrowprops={**LEADER, "color": color} if abs(up) > 1 else None, **look,
        )  # fmt: skip
