"""Findings about a loss, and disagreements with a distance: each description above its graphs."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from elekit.draw.base import BLUE, VERMILION, printable
from elekit.draw.figure import Picture, message, require_columns, write
from elekit.draw.pairs import GAP, MAX_MARKS, draw_group, mark_legend
from elekit.draw.shapes import differences
from elekit.draw.structures import graph as draw_graph
from elekit.graphs._schema import require_positive
from elekit.graphs.graph import Graph, GraphBatch

WIDTH, HEIGHT, TEXT = 2.3, 1.75, 0.3  # inches: a panel, a line of text
MAX_EDGE = 0.8  # inches
WIDE, HIGH, ABOVE = 3.5, 3.1, 1.25  # inches: a graph of a disagreement, and the text above the pair
LINE = 64  # letters per line of that text
SIGNS = {"near": (BLUE, "loss near, distance far"), "far": (VERMILION, "loss far, distance near")}
SEVERITIES = {"defect": ("✗ defect", VERMILION), "note": ("• note", BLUE)}


def findings(found: Sequence, *, most: int = 4) -> list[Figure]:
    """One figure per finding: severity, name, description and the evidence.

    Pairs are drawn side by side in aligned layouts. Where they differ in few places, these are marked: dashed if
    removed, solid if changed, dotted if new. Evidence that is a table is not drawn.

    Args:
        found: Findings, as `elekit.audit.findings.findings` returns them.
        most: Largest number of pairs per finding (of single graphs, twice as many), at least 1.

    Returns:
        The figures, in the order of the findings.
    """
    require_positive(most=most)
    return [_sheet(finding, _shown(finding.evidence, most)) for finding in found]


def _shown(evidence, most: int) -> list[tuple[Graph, ...]]:
    """Up to `most` pairs of graphs, or single graphs."""
    if isinstance(evidence, tuple):
        return [(one, other) for one, other, _ in zip(*evidence, range(most))]
    return [(one.dense(),) for one, _ in zip(evidence, range(2 * most))] if isinstance(evidence, GraphBatch) else []


def _sheet(finding, shown: list[tuple[Graph, ...]]) -> Figure:
    """Text at the top, then two pairs or four graphs per row."""
    block = 4 * WIDTH + 3 * GAP
    description = printable(finding.description).replace(" %", "\u00a0%")
    lines = textwrap.wrap(description, int(72 * block / 7))  # letters of 13 points
    across = 2 if shown and len(shown[0]) == 2 else 4
    rows, top = -(-len(shown) // across), (len(lines) + 2.2) * TEXT
    whole = np.array([block + 2 * GAP, top + rows * (HEIGHT + TEXT) + 1.2 * TEXT * bool(rows)])
    figure = Picture(figsize=(whole[0], whole[1]))

    def text(down, words, size, left=GAP, **style):
        write(figure, left, whole[1] - down, words, size, **{"va": "top", **style})

    word, color = SEVERITIES.get(finding.severity, (finding.severity, BLUE))
    text(0.4 * TEXT, printable(word), 15, color=color, fontweight="bold")
    title = textwrap.shorten(printable(finding.name), int(72 * (block - 1.4) / 9), placeholder=" …")
    text(0.4 * TEXT, title, 15, GAP + 1.4, fontweight="bold")
    text(1.7 * TEXT, "\n".join(lines), 13, linespacing=1.35)
    seen: set[str] = set()
    for n, graphs in enumerate(shown):
        row, column = divmod(n, across)
        left = GAP + column * (block + GAP) / across
        middle = top + row * (HEIGHT + TEXT) + HEIGHT / 2
        pair = len(graphs) == 2
        comparable = pair and graphs[0].nodes.shape == graphs[1].nodes.shape
        marks = differences(graphs[0], graphs[1], MAX_MARKS) if comparable else []
        seen |= {kind for _, kind in marks}
        draw_group(figure, graphs, marks, (left, whole[1] - middle), (WIDTH, HEIGHT), MAX_EDGE)
        if pair:
            text(middle, "→" if marks else "|", 22, left + WIDTH + GAP / 2, ha="center", va="center")
    mark_legend(figure, seen)
    return figure


def disagreements(table: pd.DataFrame, graphs: Graph, others: Graph, *, columns: int = 2) -> Figure:
    """A sheet of pairs on which the loss and a distance disagree, with the description above both graphs.

    Args:
        table: `Pairs.table` of `Agreement.disagreements`, with columns description and by_loss ("near" or "far").
        graphs: The first graph of each pair.
        others: The second graph of each pair.
        columns: Pairs per row.

    Returns:
        The figure; if there are no pairs, it holds a note instead.
    """
    require_columns(table, ("description", "by_loss"))
    if not len(table) == len(graphs) == len(others):
        found = f"{len(graphs)} and {len(others)} graphs"
        raise ValueError(f"the table has {len(table)} rows, but there are {found}")
    if not len(table):
        return message("The loss and the distance disagree on no pair.")
    columns = min(columns, len(table))
    rows = -(-len(table) // columns)
    block, tall = 2 * WIDE, HIGH + ABOVE
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
