"""The learned loss against known distances: a point per pair, and the pairs with the largest disagreement."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from elekit.draw._validation import require_columns
from elekit.draw.base import BLUE, VERMILION, fit_text, printable
from elekit.draw.figure import Picture, axes, message, write
from elekit.draw.structures import graph as draw_graph
from elekit.graphs.graph import Graph

MAX_POINTS = 1_000  # of a panel; more become hexagons
WIDE, HIGH, TEXT = 3.5, 3.1, 1.25  # inches: a graph, and the text above a pair
LINE = 64  # letters per line of text
SIGNS = {"near": (BLUE, "loss near, distance far"), "far": (VERMILION, "loss far, distance near")}


def agreement(table: pd.DataFrame, summary: pd.DataFrame, *, distances: Sequence[str] | None = None) -> Figure:
    """Scatter plots of the learned loss over known distances: one row per distance, one column per kind of pairs.

    Panels with more than 1,000 pairs show hexagons, darker for more pairs.

    Args:
        table: `Agreement.table`: one row per pair with columns kind, loss and the distances (nan where unknown).
        summary: `Agreement.summary()`, shown above the panels.
        distances: Distances to draw, in this order; None for all of the summary.

    Returns:
        The figure.
    """
    require_columns(table, ("kind", "loss"), source="elekit.audit.agreement")
    needed = ("distance", "kind", "pairs", "unknown", "spearman", "low", "high")
    require_columns(summary, needed, "the summary", source="Agreement.summary")
    names = list(dict.fromkeys(summary["distance"])) if distances is None else list(distances)
    unknown = [name for name in names if name not in table or not (summary["distance"] == name).any()]
    if unknown or not names:
        raise ValueError(f"unknown distances {unknown or names}; use some of {', '.join(set(summary['distance']))}")
    kinds = list(dict.fromkeys(summary["kind"]))
    figure = Picture(
        figsize=(0.6 + 4.2 * len(kinds), 0.5 + 3.5 * len(names)), layout=ConstrainedLayoutEngine(h_pad=0.12)
    )
    panels = figure.subplots(len(names), len(kinds), sharex="row", sharey=True, squeeze=False)
    for row, (name, line) in enumerate(zip(names, panels)):
        for kind, ax in zip(kinds, line):
            some = table[(table["kind"] == kind) & table[name].notna()]
            found = summary[(summary["distance"] == name) & (summary["kind"] == kind)].iloc[0]
            _panel(axes(ax, y="learned loss" if ax is line[0] else ""), some[name], some["loss"])
            head = f"{printable(kind)}\n" if row == 0 else ""
            ax.set_title(head + caption(found), fontsize=14, parse_math=False)
            text, size = fit_text(name, 250, 14)
            ax.set_xlabel(text, fontsize=size, parse_math=False)
    return figure


def caption(found: pd.Series) -> str:
    """Rank correlation with its interval, and the number of unknown distances, in one or two lines."""
    if np.isnan(found["spearman"]):
        text = "no rank correlation: too few pairs, or constant"
    elif np.isnan(found["low"]):
        text = f"rank corr. {found['spearman']:.2f}, too few for an interval"
    else:
        text = f"rank corr. {found['spearman']:.2f}  ({found['low']:.2f} to {found['high']:.2f})"
    return text + f"\n{found['unknown']:,} of {found['unknown'] + found['pairs']:,} unknown" * bool(found["unknown"])


def _panel(ax: Axes, x: pd.Series, y: pd.Series) -> None:
    if len(x) > MAX_POINTS:
        ax.hexbin(x, y, gridsize=30, cmap="cividis_r", mincnt=1, linewidths=0, bins="log", gid="pairs")
    else:
        ax.scatter(x, y, s=26, color=BLUE, alpha=0.45, lw=0, gid="pairs")


def disagreements(table: pd.DataFrame, graphs: Graph, others: Graph, *, columns: int = 2) -> Figure:
    """A sheet of pairs on which the loss and a distance disagree, with the description above both graphs.

    Args:
        table: `Pairs.table` of `Agreement.disagreements`, with columns description and by_loss ("near" or "far").
        graphs: The first graph of each pair.
        others: The second graph of each pair.
        columns: Pairs per row.

    Returns:
        The figure; without pairs, a note that there are none.
    """
    require_columns(table, ("description", "by_loss"))
    if not len(table) == len(graphs) == len(others):
        found = f"{len(graphs)} and {len(others)} graphs"
        raise ValueError(f"the table has {len(table)} rows, but there are {found}")
    if not len(table):
        return message("The loss and the distance disagree on no pair.")
    columns = min(columns, len(table))
    rows = -(-len(table) // columns)
    block, tall = 2 * WIDE, HIGH + TEXT
    whole = np.array([block * columns, tall * rows])
    figure = Picture(figsize=(whole[0], whole[1]))
    for n, (description, by_loss) in enumerate(zip(table["description"], table["by_loss"])):
        row, column = divmod(n, columns)
        left, top = block * column, whole[1] - tall * row
        color, sign = SIGNS[by_loss]
        write(figure, left + 0.15, top - 0.1, f"{n + 1}. {sign}", 15, color=color, fontweight="bold", va="top")
        lines = textwrap.wrap(printable(description), LINE)[:3]
        write(figure, left + 0.15, top - 0.4, "\n".join(lines), 13, va="top")
        for side, graph in enumerate((graphs[n], others[n])):
            corner = np.array([left + side * WIDE, top - tall])
            draw_graph(graph, figure.add_axes((*corner / whole, *np.array([WIDE, HIGH]) / whole)))
    return figure
