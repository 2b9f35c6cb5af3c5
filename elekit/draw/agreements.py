"""The learned loss against known distances: a point per pair, and the pairs with the largest disagreement."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from elekit.draw.base import BLUE, VERMILION, fit_text, printable
from elekit.draw.figure import Picture, axes
from elekit.draw.structures import graph as draw_graph
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 1_000  # of a panel; more become hexagons
WIDE, HIGH, TEXT = 3.5, 3.1, 1.25  # inches: a graph, and the text above a pair
LINE = 64  # letters per line of text
SIGNS = {"near": (BLUE, "loss near, distance far"), "far": (VERMILION, "loss far, distance near")}


def agreement(table: "pd.DataFrame", summary: "pd.DataFrame", *, distances: Sequence[str] | None = None) -> Figure:
    """Scatter plots of the learned loss over known distances: one row per distance, one column per kind of pairs.

    Panels with more than 1,000 pairs show hexagons, darker for more pairs.

    Args:
        table: `Agreement.table`: one row per pair with columns kind, loss and the distances (nan where unknown).
        summary: `Agreement.summary()`, shown above the panels.
        distances: Distances to draw, in this order; None for all of the summary.

    Returns:
        The figure.

    Raises:
        ValueError: If a column is missing, or a distance is not in both tables.
    """
    missing = {"kind", "loss"} - set(table.columns)
    missing |= {"distance", "kind", "pairs", "unknown", "spearman", "low", "high"} - set(summary.columns)
    if missing:
        raise ValueError(f"the table or its summary lacks columns {sorted(missing)}; use elekit.audit.agreement")
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
            _panel(axes(ax, None), some[name].to_numpy(dtype=float), some["loss"].to_numpy(dtype=float))
            head = f"{printable(kind)}\n" if row == 0 else ""
            ax.set_title(head + caption(found), fontsize=14, parse_math=False)
        line[0].set_ylabel("learned loss", fontsize=14)
        for ax in line:
            words, size = fit_text(name, 250, 14)
            ax.set_xlabel(words, fontsize=size, parse_math=False)
    return figure


def caption(found: "pd.Series") -> str:
    """Rank correlation with its interval, and the number of unknown distances, in one or two lines."""
    if np.isnan(found["spearman"]):
        text = "no rank correlation: too few pairs, or constant"
    elif np.isnan(found["low"]):
        text = f"rank corr. {found['spearman']:.2f}, too few for an interval"
    else:
        text = f"rank corr. {found['spearman']:.2f}  ({found['low']:.2f} to {found['high']:.2f})"
    return text + f"\n{found['unknown']:,} of {found['unknown'] + found['pairs']:,} unknown" * bool(found["unknown"])


def _panel(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    if len(x) > MAX_POINTS:
        ax.hexbin(x, y, gridsize=30, cmap="cividis_r", mincnt=1, linewidths=0, bins="log", gid="pairs")
    else:
        ax.scatter(x, y, s=26, color=BLUE, alpha=0.45, lw=0, gid="pairs")


def disagreements(table: "pd.DataFrame", graphs: Graph, others: Graph, *, columns: int = 2) -> Figure:
    """A sheet of pairs on which the loss and a distance disagree, with the description above both graphs.

    Args:
        table: `Pairs.table` of `Agreement.disagreements`, with columns description and by_loss ("near" or "far").
        graphs: The first graph of each pair.
        others: The second graph of each pair.
        columns: Pairs per row.

    Returns:
        The figure; without pairs, a note that there are none.

    Raises:
        ValueError: If a column is missing, or the numbers of rows and graphs differ.
    """
    missing = {"description", "by_loss"} - set(table.columns)
    if missing or not len(table) == len(graphs) == len(others):
        raise ValueError(
            f"the table lacks columns {sorted(missing)}"
            if missing
            else f"the table has {len(table)} rows, but there are {len(graphs)} and {len(others)} graphs"
        )
    if not len(table):
        figure = Picture(figsize=(8, 1.5))
        figure.text(0.5, 0.5, "The loss and the distance disagree on no pair.", ha="center", va="center", fontsize=16)
        return figure
    columns = min(columns, len(table))
    rows = -(-len(table) // columns)
    width, height = 2 * WIDE * columns, (HIGH + TEXT) * rows
    figure = Picture(figsize=(width, height))
    for place, (description, by_loss) in enumerate(zip(table["description"], table["by_loss"])):
        row, column = divmod(place, columns)
        left, top = 2 * WIDE * column / width, 1 - row * (HIGH + TEXT) / height
        color, sign = SIGNS[by_loss]
        figure.text(left + 0.15 / width, top - 0.1 / height, f"{place + 1}. {sign}", color=color, fontsize=15,
                    fontweight="bold", va="top")  # fmt: skip
        words = "\n".join(textwrap.wrap(printable(description), LINE)[:3])
        figure.text(left + 0.15 / width, top - 0.4 / height, words, fontsize=13, va="top", parse_math=False)
        for side, graph in enumerate((graphs[place], others[place])):
            bottom = top - (HIGH + TEXT) / height
            draw_graph(graph, figure.add_axes((left + side * WIDE / width, bottom, WIDE / width, HIGH / height)))
    return figure
