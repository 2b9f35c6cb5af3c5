"""Maps of many graphs: the colors of their points, and the map as a figure."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize, to_hex, to_rgba_array
from matplotlib.figure import Figure

from elekit.draw.base import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW, fit_text, printable
from elekit.draw.figure import Picture, figure_of, fitted_title, legend
from elekit.draw.shapes import framed
from elekit.draw.structures import graph
from elekit.graphs.graph import Graph

CLASSES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)  # most frequent first
STEPS = 64  # of a scale
FEW = 8  # so many different numbers are classes, each with its count
BEYOND = 0.01  # share of values at each end that may lie beyond a scale
KEYS = 4  # classes in a row of the legend
MOST_DOTS = 50_000  # of more points, a figure shows every so many


@dataclass(frozen=True)
class Backdrop:
    """What points are painted on, light or dark.

    ramp: the part of a color map that shows on it. other, unknown: colors of rare classes and of missing values.
    context: of points that are not selected. ink: of the point under the pointer.
    """

    ramp: tuple[float, float]
    other: str
    unknown: str
    context: str
    ink: str


LIGHT = Backdrop((0.0, 0.88), "#555555", "#DDDDDD", "#D0D0D0", "#000000")
DARK = Backdrop((0.35, 1.0), "#A8A8A8", "#6E6E6E", "#4C4C4C", "#FFFFFF")


@dataclass(frozen=True, eq=False)
class Paint:
    """How the values of a column are painted.

    codes: (n,) each point's color. colors: "#rrggbb" by code. classes: (color, words, count) of each, empty for a
    scale. scale: (low, high), None for classes; clipped: (below, above), whether values lie beyond it.
    unknown: how many values are missing.
    """

    codes: np.ndarray
    colors: list[str]
    classes: list[tuple[str, str, int]]
    scale: tuple[float, float] | None = None
    clipped: tuple[bool, bool] = (False, False)
    unknown: int = 0

    def legend(self) -> dict:
        """As plain JSON: classes, ramp (colors from low to high), numbers (text at both ends and the middle)."""
        classes = [{"color": color, "words": words, "count": count} for color, words, count in self.classes]
        found: dict = {"classes": classes, "ramp": [], "numbers": []}
        if self.scale is not None:
            low, high = self.scale
            words = [f"{low:.3g}", f"{(low + high) / 2:.3g}", f"{high:.3g}"]
            words[0] += " or less" * self.clipped[0]
            words[2] += " or more" * self.clipped[1]
            found |= {"ramp": self.colors[:STEPS:7], "numbers": words}
        return found


def paint(values, on: Backdrop = LIGHT, ramp: str = "viridis") -> Paint:
    """Colors of a column: a color map of matplotlib for numbers, Okabe-Ito for at most 7 categories and "other".

    Numbers with at most 8 distinct values are categories too, in order and on the color map. A scale runs from the
    1 % to the 99 % quantile if the values beyond would squeeze it. Missing values are gray.
    """
    values = pd.Series(values).reset_index(drop=True)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return _numbers(values.to_numpy(dtype=np.float64, na_value=np.nan), matplotlib.colormaps[ramp], on)
    missing = values.isna().to_numpy()
    truth = pd.api.types.is_bool_dtype(values.dtype)
    if truth:
        words = values.map({True: "yes", False: "no"})
    else:
        quick = isinstance(values.dtype, pd.StringDtype)  # others may hold lists, which cannot be counted
        which, different = pd.factorize(values if quick else np.array([str(v) for v in values], dtype=object))
        words = pd.Series(np.array([*(printable(text) for text in different), ""], dtype=object)[which])
    counts = words[~missing].value_counts()
    kept = list(counts.index[: len(CLASSES)])
    colors = [{"yes": VERMILION, "no": SKY}[word] for word in kept] if truth else list(CLASSES[: len(kept)])
    place = {word: code for code, word in enumerate(kept)}
    codes = words.map(place).fillna(len(kept)).to_numpy(dtype=np.int64)
    classes = [(color, word, int(counts[word])) for color, word in zip(colors, kept)]
    others = counts.iloc[len(CLASSES) :]
    if len(others):
        colors.append(on.other)
        classes.append((on.other, f"other ({len(others):,})", int(others.sum())))
    return _with_unknown(codes, colors, classes, missing, on)


def _numbers(values: np.ndarray, ramp: Colormap, on: Backdrop) -> Paint:
    missing = ~np.isfinite(values)
    known = values[~missing]
    different, counts = np.unique(known, return_counts=True)
    if len(different) <= FEW:
        colors = [to_hex(color) for color in ramp(np.linspace(*on.ramp, len(different)))]
        classes = [(c, f"{value:.6g}", int(n)) for c, value, n in zip(colors, different, counts)]
        return _with_unknown(np.searchsorted(different, values), colors, classes, missing, on)
    low, high = different[0], different[-1]
    inner = np.quantile(known, [BEYOND, 1 - BEYOND])
    if np.ptp(inner) > 0 and high - low > 1.5 * np.ptp(inner):
        low, high = inner
    share = (np.where(missing, low, values) - low) / (high - low)
    codes = (share * STEPS).astype(np.int64).clip(0, STEPS - 1)
    colors = [to_hex(color) for color in ramp(np.linspace(*on.ramp, STEPS))]
    clipped = (bool(different[0] < low), bool(different[-1] > high))
    return replace(_with_unknown(codes, colors, [], missing, on), scale=(float(low), float(high)), clipped=clipped)


def _with_unknown(codes, colors, classes, missing, on: Backdrop) -> Paint:
    unknown = int(missing.sum())
    if unknown:
        codes = np.where(missing, len(colors), codes)
        colors, classes = [*colors, on.unknown], [*classes, (on.unknown, "not known", unknown)]
    return Paint(codes.astype(np.int64), colors or [on.unknown], classes, unknown=unknown)


def bounding_box(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Center (2,) and half width and height (2,) of a box around all positions, with a margin.

    The shorter side is at least a quarter of the longer one.
    """
    low, high = framed(np.asarray(positions, dtype=np.float64).reshape(-1, 2), 0, 0)
    half = 1.1 * (high - low) / 2
    longer = float(half.max()) or 1.0
    return (low + high) / 2, half.clip(longer / 4)


def embedding_map(
    positions: np.ndarray, values=None, *, column: str = "", selected: Sequence[int] | None = None,
    pinned: int | None = None, neighbors: Sequence[int] = (), graphs: Graph | None = None, titles: Sequence[str] = (),
    predictions: Sequence[tuple[int, np.ndarray]] = (), paths: Sequence[np.ndarray] = (), trust: str = "",
    colors: str = "viridis", figure: Figure | None = None,
) -> Figure:  # fmt: skip
    """Draw a map of graphs, colored by a column, with a pinned graph and its numbered neighbors beside the map.

    Args:
        positions: (n, 2) map positions.
        values: n values to color by, see `paint`.
        column: Name of the values.
        selected: Rows to highlight; all others become gray.
        pinned: Row of the pinned graph.
        neighbors: Rows of its neighbors, nearest first.
        graphs: The pinned graph and its neighbors, to be drawn.
        titles: One per drawn graph.
        predictions: (row, (2,) position of its prediction) pairs, drawn as dashed lines to diamonds.
        paths: (m, 2) each, such as a decoding run, from a ring to a square.
        trust: A sentence below the map.
        colors: Color map of numbers.
        figure: Figure to draw into; None makes a new one.

    Returns:
        The whole figure.
    """
    positions = np.asarray(positions, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or (values is not None and len(values) != len(positions)):
        shown = "none" if values is None else len(values)
        raise ValueError(f"want positions (n, 2) and n values, got {positions.shape} and {shown} values")
    shown = 0 if graphs is None else len(graphs)
    if titles and len(titles) != shown:
        raise ValueError(f"want one title for each graph that is drawn, got {len(titles)} for {shown}")
    figure = Picture(figsize=(13 if shown else 7.6, 6.6)) if figure is None else figure
    width = 0.54 if shown else 1.0
    found = paint(np.zeros(len(positions)) if values is None else values, ramp=colors)
    below = 0.17 if found.scale is not None else 0.15 + 0.035 * -(-len(found.classes) // KEYS)  # for key and caption
    ax = figure.add_axes((0.01, below, width - 0.02, 0.98 - below))
    ax.set(xticks=[], yticks=[])
    ax.set_aspect("equal", adjustable="datalim")
    ax.spines[:].set_color(GRAY)
    _dots(ax, positions, found, column if values is not None else None, selected)
    for row, there in predictions:
        ax.plot(*np.stack([positions[row], there]).T, color="black", lw=1, ls="--", zorder=4, gid=f"prediction-{row}")
        ax.plot(*there, color="black", marker="D", ms=6, mfc="white", zorder=5)
    for path in paths:
        ax.plot(*np.asarray(path).T, color="black", lw=1.6, zorder=4, gid="path-line")
        ax.plot(*path[0], color="black", marker="o", ms=9, mfc="white", zorder=5)
        ax.plot(*path[-1], color="black", marker="s", ms=8, zorder=5)
    for n, row in enumerate(neighbors, 1):
        _number(ax, positions[row], n)
    if pinned is not None:
        ax.plot(*positions[pinned], "o", ms=15, mfc="none", mec="black", mew=2.6, zorder=6, gid=f"pinned-{pinned}")
    for k, one in enumerate(graphs if graphs is not None else ()):
        row, place = divmod(k, 3)
        left, bottom = width + (1 - width) * place / 3, 0.98 - (row + 1) * 0.3
        small = figure.add_axes((left, bottom, (1 - width) / 3.1, 0.23))
        graph(one, small)
        if titles:
            fitted_title(small, titles[k], 138, 12, fontweight="bold" if k == 0 else "normal")
    if trust:
        inches = figure.bbox.width / figure.dpi  # a subfigure has no get_figwidth
        lines = textwrap.wrap(printable(trust), int(10 * inches))  # characters of 11 points per inch
        figure.text(0.01, 0.005, "\n".join(lines), fontsize=11, va="bottom", parse_math=False)
    return figure_of(ax)


def _dots(ax: Axes, positions: np.ndarray, found: Paint, column: str | None, selected: Sequence[int] | None):
    """The points, gray where they are not selected, and the key of their colors (none without a column)."""
    colors = to_rgba_array(found.colors)[found.codes]
    ahead = np.full(len(positions), selected is None)
    ahead[[] if selected is None else np.asarray(selected, dtype=np.int64)] = True
    front, behind = np.flatnonzero(ahead), np.flatnonzero(~ahead)
    front, behind = (rows[:: -(-len(rows) // MOST_DOTS) or 1] for rows in (front, behind))
    size = float(np.clip(40_000 / max(len(positions), 1), 2, 30))
    for rows, look, z in ((behind, [LIGHT.context], 1), (front, colors[front], 2)):
        if len(rows):
            x, y = positions[rows].T
            ax.scatter(x, y, c=look, s=size, lw=0, zorder=z, rasterized=True)
    if column is None:
        return
    box = ax.get_position()
    if found.scale is not None:
        ramp = ListedColormap(found.colors[:STEPS])
        below = ax.figure.add_axes((box.x0 + 0.02, 0.105, box.width - 0.1, 0.022))
        bar = ax.figure.colorbar(ScalarMappable(Normalize(*found.scale), ramp), cax=below, orientation="horizontal")
        beyond = {(True, False): " (and below)", (False, True): " (and above)", (True, True): " (and beyond)"}
        bar.ax.set_title(
            printable(column) + beyond.get(found.clipped, ""), fontsize=12, loc="left", pad=3, parse_math=False
        )
        bar.ax.tick_params(labelsize=11)
        return
    looks = [(f"{fit_text(words, 110, 11)[0]} ({count:,})", {"ls": "", "marker": "o", "ms": 8, "color": color})
             for color, words, count in found.classes]  # fmt: skip
    key = legend(ax, looks, 11, ncols=KEYS, loc="upper left", bbox_to_anchor=(0, -0.01), title=printable(column),
                 alignment="left", title_fontsize=12, handletextpad=0.1, columnspacing=1.0)  # fmt: skip
    key.get_title().set_parse_math(False)


def _number(ax: Axes, position: np.ndarray, n: int) -> None:
    """A ring at a point and its number beside it, each number in another direction."""
    angle = 2 * np.pi * n / 8
    x, y = position
    ax.plot(x, y, "o", ms=6, mfc="none", mec="black", mew=1.4, zorder=5, gid=f"neighbor-{n}")
    ax.annotate(str(n), (x, y), (22 * np.cos(angle), 22 * np.sin(angle)), textcoords="offset points", ha="center",
                va="center", fontsize=12, fontweight="bold", zorder=7, arrowprops={"arrowstyle": "-", "lw": 0.9},
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.8})  # fmt: skip
