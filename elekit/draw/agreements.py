"""Learned loss against distances that people know: every pair as a point, and the pairs that they disagree about."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elekit.draw.base import BLUE, VERMILION, fit_text, printable
from elekit.draw.figure import Picture, axes
from elekit.draw.structures import graph as draw_graph
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

MANY = 1_000  # points of a panel, from where on their number is drawn, not each of them
WIDE, HIGH, WORDS = 3.5, 3.1, 1.25  # inches: of a drawing of the sheet, and of the words above two of them
LINE = 64  # letters of a line above two drawings
SIGNS = {"near": (BLUE, "loss near, distance far"), "far": (VERMILION, "loss far, distance near")}


def agreement(table: "pd.DataFrame", summary: "pd.DataFrame", *, distances: Sequence[str] | None = None) -> Figure:
    """The learned loss of each pair of graphs over a known distance: a row a distance, a column a kind of pairs.

    table: one row a pair with columns kind, loss and the distances, nan where one is unknown. summary: one row for
    each distance and kind of pairs with columns distance, kind, pairs, unknown, spearman, low and high, which stand
    above its panel. distances: which, in what order; None = all of the summary. More than 1,000 pairs of a panel
    become hexagons, the darker the more pairs. Raises ValueError for distances that are not in both and for tables
    without these columns.
    """
    missing = {"kind", "loss"} - set(table.columns)
    missing |= {"distance", "kind", "pairs", "unknown", "spearman", "low", "high"} - set(summary.columns)
    if missing:
        raise ValueError(f"the table or its summary lacks columns {sorted(missing)}; see inspect.agreement")
    names = list(dict.fromkeys(summary["distance"])) if distances is None else list(distances)
    unknown = [name for name in names if name not in table or not (summary["distance"] == name).any()]
    if unknown or not names:
        raise ValueError(f"no distances {unknown or names} here; there are {', '.join(set(summary['distance']))}")
    kinds = list(dict.fromkeys(summary["kind"]))
    figure = Picture(figsize=(0.6 + 4.2 * len(kinds), 0.5 + 3.5 * len(names)), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.12)
    panels = figure.subplots(len(names), len(kinds), sharex="row", sharey=True, squeeze=False)
    for row, (name, line) in enumerate(zip(names, panels)):
        for kind, ax in zip(kinds, line):
            some = table[(table["kind"] == kind) & table[name].notna()]
            found = summary[(summary["distance"] == name) & (summary["kind"] == kind)].iloc[0]
            _panel(axes(ax, None), some[name].to_numpy(dtype=float), some["loss"].to_numpy(dtype=float))
            head = f"{printable(kind)}\n" if row == 0 else ""
            ax.set_title(head + told(found), fontsize=14, parse_math=False)
        line[0].set_ylabel("learned loss", fontsize=14)
        for ax in line:
            words, size = fit_text(name, 250, 14)
            ax.set_xlabel(words, fontsize=size, parse_math=False)
    return figure


def told(found: "pd.Series") -> str:
    """Rank correlation with its interval, and how many pairs are left out, in one or two lines."""
    if np.isnan(found["spearman"]):
        said = "no rank correlation: too few, or all alike"
    elif np.isnan(found["low"]):
        said = f"rank corr. {found['spearman']:.2f}, too few for an interval"
    else:
        said = f"rank corr. {found['spearman']:.2f}  ({found['low']:.2f} to {found['high']:.2f})"
    return said + f"\n{found['unknown']:,} of {found['unknown'] + found['pairs']:,} unknown" * bool(found["unknown"])


def _panel(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    if len(x) > MANY:
        ax.hexbin(x, y, gridsize=30, cmap="cividis_r", mincnt=1, linewidths=0, bins="log", gid="pairs")
    else:
        ax.scatter(x, y, s=26, color=BLUE, alpha=0.45, lw=0, gid="pairs")


def disagreements(table: "pd.DataFrame", graphs: Graph, others: Graph, *, columns: int = 2) -> Figure:
    """A sheet of pairs that the loss and a distance disagree about: both graphs side by side, a sentence above them.

    table: one row a pair with columns says (a sentence) and loss_says ("near" or "far"). graphs, others: the two
    sides, as many. columns: pairs beside each other. Without pairs the sheet says so. Raises ValueError for other
    numbers of graphs and a table without these columns.
    """
    missing = {"says", "loss_says"} - set(table.columns)
    if missing or not len(table) == len(graphs) == len(others):
        raise ValueError(
            f"the table lacks columns {sorted(missing)}"
            if missing
            else f"want a pair of graphs for each of the {len(table)} rows, got {len(graphs)} and {len(others)}"
        )
    if not len(table):
        figure = Picture(figsize=(8, 1.5))
        figure.text(0.5, 0.5, "No pair that the two disagree about.", ha="center", va="center", fontsize=16)
        return figure
    columns = min(columns, len(table))
    rows = -(-len(table) // columns)
    width, height = 2 * WIDE * columns, (HIGH + WORDS) * rows
    figure = Picture(figsize=(width, height))
    for place, (says, opinion) in enumerate(zip(table["says"], table["loss_says"])):
        row, column = divmod(place, columns)
        left, top = 2 * WIDE * column / width, 1 - row * (HIGH + WORDS) / height
        color, sign = SIGNS[opinion]
        figure.text(left + 0.15 / width, top - 0.1 / height, f"{place + 1}. {sign}", color=color, fontsize=15,
                    fontweight="bold", va="top")  # fmt: skip
        words = "\n".join(textwrap.wrap(printable(says), LINE)[:3])
        figure.text(left + 0.15 / width, top - 0.4 / height, words, fontsize=13, va="top", parse_math=False)
        for side, graph in enumerate((graphs[place], others[place])):
            bottom = top - (HIGH + WORDS) / height
            draw_graph(graph, figure.add_axes((left + side * WIDE / width, bottom, WIDE / width, HIGH / height)))
    return figure
