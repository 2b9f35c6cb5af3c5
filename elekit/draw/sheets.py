"""Findings about a loss: the description of each above the graphs that show it."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from elekit.draw._validation import require_positive
from elekit.draw.base import BLUE, VERMILION, printable
from elekit.draw.figure import Picture, write
from elekit.draw.pairs import GAP, MAX_MARKS, draw_group, mark_legend
from elekit.draw.shapes import differences
from elekit.graphs.graph import Graph

WIDTH, HEIGHT, TEXT = 2.3, 1.75, 0.3  # inches: a panel, a line of text
MAX_EDGE = 0.8  # inches
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
    return [(one,) for one, _ in zip(evidence, range(2 * most))] if isinstance(evidence, Graph) else []


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
