"""Methods against each other: how many labels they need, what a prediction costs, how noise hurts."""

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

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
MOST = len(STYLES)  # lines of a panel that are told apart; the others are faint
LINE = 0.055  # of the height of a panel, that a label takes
NAMED = 215  # points of a label beside a panel
PLACES = [(right, up) for up in (0, 1, -1, 2, -2, 3, -3, 4, 5) for right in (1, -1)]  # of words about their dot
LEADER = {"arrowstyle": "-", "lw": 0.7, "alpha": 0.6, "shrinkB": 4}  # from a name to what it names
HALO = [withStroke(linewidth=3, foreground="white")]


def standings(
    table: "pd.DataFrame", figure: str, label: str, *, first: str | None = None, low: bool = False, most: int = 20
) -> Figure:
    """A bar for each method and way to decode with its mean over runs, the best on top; whiskers: standard deviation.

    table: one row a run with columns name, way and the figure. low: less is better. first: the name whose bars are
    hatched. most: bars that are drawn. label and errors: as in `label_efficiency`.
    """
    _hold(table, {"name", "way", figure})
    found = table[table[figure].notna()].groupby(["name", "way"], sort=False)[figure].agg(["mean", "std"])
    if not len(found):
        raise ValueError(f"nothing to draw: none of the runs has {figure}")
    found = _scale(label) * found.sort_values("mean", ascending=low, kind="stable")[:most]
    ax = axes(None, (9, 1.0 + 0.4 * len(found)))
    reach = max(float((found["mean"] + found["std"].fillna(0)).max()), 1e-9)
    for y, ((name, _), (mean, spread)) in enumerate(found.iterrows()):
        ours = name == first
        (bar,) = ax.barh(y, mean, color=ORANGE if ours else SKY, height=0.7, gid="bar")
        if ours:
            bar.set(edgecolor="black", linewidth=1.5, hatch="//")
        if spread > 0:
            ax.errorbar(mean, y, xerr=spread, color="black", capsize=4, linewidth=1.5)
        said = f"{mean:.3g}" + (f" ± {spread:.2g}" if spread > 0 else "")
        weight = "bold" if ours else "normal"
        ax.text(
            mean + max(np.nan_to_num(spread), 0) + 0.015 * reach, y, said, va="center", fontsize=12, fontweight=weight
        )
    names = [fit_text(f"{name}, {way}" if way else name, 260, 12)[0] for name, way in found.index]
    ax.set_yticks(range(len(found)), names, fontsize=12, parse_math=False)
    ax.set(ylim=(len(found) - 0.4, -0.6), xlim=(0, 1.2 * reach))
    ax.set_xlabel(label + (" (less is better)" if low else ""), fontsize=14, parse_math=False)
    return ax.get_figure(root=True)


def label_efficiency(table: "pd.DataFrame", figures: Mapping[str, str], *, first: str | None = None) -> Figure:
    """Each figure against the number of labelled pairs (log axis), a panel a figure, a line a method.

    table: one row a run with columns name, pairs and the figures. figures: their columns, and what to call them; one
    that is called "... %" is a share and shown times 100. Dots are means over runs of one size, bars their standard
    deviation. first: the name that is drawn thick and in front. At most 8 methods are told apart, those that come
    first in the table; the others are faint. Raises ValueError for a table without rows or columns.
    """
    _hold(table, {"name", "pairs", *figures})
    figure = Picture(figsize=(7.4 * len(figures), 4.8), layout="constrained")
    panels = figure.subplots(1, len(figures), squeeze=False)[0]
    styles = _styles(table, first)
    sizes = sorted(table["pairs"].unique())
    for ax, (column, label) in zip(panels, figures.items()):
        axes(ax, None)
        ax.set_xscale("log")
        _name_ends(ax, _lines(ax, table, "pairs", column, _scale(label), styles, first))
        ax.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=12)
        ax.xaxis.set_minor_locator(NullLocator())
        _name_axes(ax, "labelled pairs", label)
    return figure


def decoding_budget(
    table: "pd.DataFrame", figure: str, label: str, *, better: int = 1, first: str | None = None
) -> Figure:
    """A figure against the milliseconds of a prediction (log axis): a dot each way to decode.

    table: one row a run with columns name, way, ms and the figure. Dots are means over runs, bars standard
    deviations. better: 1 where more of the figure is better, -1 where less is. A line joins the ways of a method that
    no quicker one of it outdoes; the others are hollow. label, first: as in `label_efficiency`, as are the 8 methods
    and the errors.
    """
    _hold(table, {"name", "way", "ms", figure})
    table = table[table[figure].notna() & (table["ms"] > 0)]
    if not len(table):
        raise ValueError(f"nothing to draw: none of the runs has both {figure} and a time")
    ax = axes(None, (10, 6))
    ax.set_xscale("log")
    styles, scale = _styles(table, first), _scale(label)
    means = table.groupby(["name", "way"], sort=False)[["ms", figure]].mean()
    spread = table.groupby(["name", "way"], sort=False)[figure].std().fillna(0)
    low, high = means["ms"].min(), means["ms"].max()
    reach = max(high / low, 10.0)
    ax.set_xlim(low / reach**0.08, high * reach**0.33)  # room for words on the right
    words = []
    for name, (color, marker) in styles.items():
        ways = means.loc[name].sort_values("ms")
        thick, worth = name == first, better * ways[figure]
        outdone = worth <= worth.cummax().shift(fill_value=-float("inf"))
        drawn = {"color": color, "marker": marker, "markersize": 10 if thick else 8, "zorder": 3 if thick else 2}
        line = {"linewidth": 2.5 if thick else 1.2, "linestyle": "-" if thick else ":"}
        for some, style in ((~outdone, line), (outdone, {"linestyle": "none", "markerfacecolor": "white"})):
            if some.any():
                height, bar = scale * ways.loc[some, figure], scale * spread.loc[name].loc[ways.index[some]]
                ax.errorbar(ways.loc[some, "ms"], height, bar, capsize=4, gid="method", **drawn, **style)
        for n, (way, one) in enumerate(ways.iterrows()):
            said = f"{name}: {way}" if way and not n else way or name
            words.append((one["ms"], scale * one[figure], said, "black" if color == LIGHT_GRAY else color, thick))
    ax.margins(y=0.1)
    ax.xaxis.set_major_formatter("{x:g}")
    _name_axes(ax, "processor time of a prediction, ms", label)
    _beside(ax, words)
    return ax.get_figure(root=True)


def noise_curves(table: "pd.DataFrame", figure: str, label: str, *, first: str | None = None) -> Figure:
    """A figure against the rate of noise, a panel a kind, a line a method; rows of the kind "none" stand at rate 0.

    table: one row a run with columns name, noise, rate and the figure. label, first: as in `label_efficiency`, as are
    the dots, bars, the 8 methods and the errors.
    """
    _hold(table, {"name", "noise", "rate", figure})
    kinds = [kind for kind in dict.fromkeys(table["noise"]) if kind != "none"]
    if not kinds:
        raise ValueError("nothing to draw: no run of the table was spoilt")
    rows, columns = -(-len(kinds) // 2), min(2, len(kinds))
    picture = Picture(figsize=(7.4 * columns, 4.4 * rows), layout="constrained")
    panels = picture.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    for ax in panels[len(kinds) :]:
        ax.remove()
    styles = _styles(table, first)
    ends = []
    for ax, kind in zip(panels, kinds):
        axes(ax, None)
        some = table[table["noise"].isin(["none", kind])]
        ax.set_title(printable(kind), fontsize=15, fontweight="bold", loc="left", parse_math=False)
        ends.append(_lines(ax, some, "rate", figure, _scale(label), styles, first))
        rates = sorted(some["rate"].unique())
        ax.set_xticks(rates, ["0" if not rate else f"{rate:.0%}" for rate in rates], fontsize=12)
        ax.tick_params(labelleft=True)
        _name_axes(ax, "rate of noise", label)
    for ax, its in zip(panels, ends):
        _name_ends(ax, its)
    return picture


def _hold(table: "pd.DataFrame", wanted: set[str]) -> None:
    missing = sorted(wanted - set(table.columns))
    if missing or not len(table):
        raise ValueError(
            f"the table lacks columns {missing}" if missing else "nothing to draw: the table has no rows"
        )


def _scale(label: str) -> float:
    return 100.0 if label.endswith("%") else 1.0


def _styles(table: "pd.DataFrame", first: str | None) -> dict[str, tuple[str, str]]:
    """Colour and marker of each name, of the first one the first."""
    names = list(dict.fromkeys(table["name"]))
    names.sort(key=lambda name: name != first)
    return {name: STYLES[n] if n < MOST else (LIGHT_GRAY, ".") for n, name in enumerate(names)}


def _name_axes(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=14)
    ax.set_ylabel(y, fontsize=14, parse_math=False)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="y", color=LIGHT_GRAY, linewidth=0.6, alpha=0.6)


def _lines(
    ax: Axes, table: "pd.DataFrame", x: str, y: str, scale: float, styles: dict, first: str | None
) -> list[tuple]:
    """Mean and spread of `y` at each `x`, a line a name; where lines end, for `_name_ends`."""
    ends = []
    for name, (color, marker) in styles.items():
        some = table[(table["name"] == name) & table[y].notna()]
        if not len(some):
            continue
        found = some.groupby(x)[y].agg(["mean", "std"]).fillna(0)
        at, mean, spread = found.index.to_numpy(), scale * found["mean"].to_numpy(), scale * found["std"].to_numpy()
        thick = name == first
        ax.errorbar(
            at, mean, spread, color=color, marker=marker, markersize=9 if thick else 7,
            linewidth=3 if thick else 1 if color == LIGHT_GRAY else 1.8, capsize=4,
            zorder=3 if thick else 2, gid="method",
        )  # fmt: skip
        ends.append((mean[-1], at[-1], name, color, thick))
    ax.margins(x=0.06)
    return sorted((end for end in ends if end[3] != LIGHT_GRAY), key=lambda end: end[0])


def _name_ends(ax: Axes, ends: list[tuple]) -> None:
    """Names of lines at the right of the panel, once its limits, which panels may share, are what they will be."""
    bottom, top = ax.get_ylim()
    heights = _apart(np.array([(end[0] - bottom) / (top - bottom) for end in ends]))
    for (value, at, name, color, thick), height in zip(ends, heights):
        words, size = fit_text(name, NAMED, 13)
        ax.annotate(
            words, (at, value), xycoords="data", xytext=(1.04, height), textcoords="axes fraction", va="center",
            color=color, fontsize=size, fontweight="bold" if thick else "normal", parse_math=False,
            annotation_clip=False,
            arrowprops={**LEADER, "color": color},
        )  # fmt: skip


def _apart(heights: np.ndarray) -> np.ndarray:
    """Ascending heights moved as little as it takes to stand `LINE` apart from each other, about where they were."""
    if not len(heights):
        return heights
    steps = LINE * np.arange(len(heights))
    blocks: list[list[float]] = []  # means of runs of labels that push each other, and how many they are
    for value in heights - steps:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    moved = np.concatenate([np.full(n, value) for value, n in blocks]) + steps
    return moved + min(0.0, 1.0 - moved[-1]) if moved[0] > 0 else moved - moved[0]


def _shared(one: tuple, other: tuple) -> float:
    """Area that two boxes (left, bottom, right, top) share."""
    width, height = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    return max(0.0, width) * max(0.0, height)


def _along(ax: Axes) -> list[tuple[float, float]]:
    """Points, in pixels, every few pixels along the lines that join dots."""
    found = []
    for line in ax.lines:
        if line.get_linestyle() == "None":
            continue
        ends = ax.transData.transform(line.get_xydata())
        for one, other in itertools.pairwise(ends):
            count = 2 + int(np.hypot(*(other - one)) / 4)
            found += np.linspace(one, other, count).tolist()
    return found


def _beside(ax: Axes, words: list[tuple]) -> None:
    """Words beside their dots, where they hide neither dots nor lines nor other words as far as there is room."""
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()
    dots = ax.transData.transform([(x, y) for x, y, *_ in words])
    taken = [(px - 7, py - 7, px + 7, py + 7) for px, py in dots]
    taken += [(px - 2, py - 2, px + 2, py + 2) for px, py in _along(ax)]
    height, points = 15 * figure.dpi / 72, figure.dpi / 72
    panel = ax.get_window_extent()
    for (px, py), (x, y, said, color, thick) in sorted(zip(dots.tolist(), words), key=lambda one: -one[0][1]):
        said, size = fit_text(said, 330, 12)
        look = {"fontsize": size, "fontweight": "bold" if thick else "normal", "parse_math": False}
        tried = ax.text(0, 0, said, **look)
        width = tried.get_window_extent().width
        tried.remove()
        gap, best = 11 * points, None
        for right, up in PLACES:
            left = px + gap if right > 0 else px - gap - width
            low = py + up * 0.9 * height - height / 2
            box = (left, low, left + width, low + height)
            outside = box[0] < panel.x0 or box[2] > panel.x1 or box[1] < panel.y0 or box[3] > panel.y1
            over = sum(_shared(box, other) for other in taken) + width * height * outside
            if best is None or over < best[0] - 1e-9:
                best = (over, box, right, up)
        _, box, right, up = best
        taken.append(box)
        ax.annotate(
            said, (x, y), xytext=(right * 11, up * 0.9 * 15), textcoords="offset points", va="center",
            ha="left" if right > 0 else "right", color=color, path_effects=HALO, zorder=4,
            arrowprops={**LEADER, "color": color} if abs(up) > 1 else None, **look,
        )  # fmt: skip
