"""Findings about a loss: the description of each above the graphs that show it."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from elekit.draw.base import BLUE, VERMILION, printable
from elekit.draw.figure import Picture
from elekit.draw.layouts import layout
from elekit.draw.pairs import MARKS, aligned_layouts, differences, draw_panel, drawn_size
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

WIDTH, HEIGHT, TEXT, GAP = 2.3, 1.75, 0.3, 0.45  # inches: a panel, a line of text, the space between panels
MAX_EDGE = 0.8  # inches
MAX_MARKS = 4  # changed parts; pairs with more have no marks
SEVERITIES = {"defect": ("✗ defect", VERMILION), "note": ("• note", BLUE)}


class Finding(Protocol):
    """As `elekit.audit.findings.Finding`."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def evidence(self) -> "pd.DataFrame | tuple[Graph, Graph] | Graph | None": ...


def findings(found: Sequence[Finding], *, most: int = 4) -> list[Figure]:
    """One figure per finding: severity, name, description and the evidence.

    Pairs are drawn side by side in aligned layouts. Where they differ in few places, these are marked: dashed if
    removed, solid if changed, dotted if new. Evidence that is a table is not drawn.

    Args:
        found: Findings, as `elekit.audit.findings.findings` returns them.
        most: Largest number of pairs per finding (of single graphs, twice as many), at least 1.

    Returns:
        The figures, in the order of the findings.

    Raises:
        ValueError: If most is below 1.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    return [_sheet(finding, _shown(finding.evidence, most)) for finding in found]


def _shown(evidence, most: int) -> list[tuple[Graph, ...]]:
    """Up to `most` pairs of graphs, or single graphs."""
    if isinstance(evidence, tuple):
        return [(one, other) for one, other, _ in zip(*evidence, range(most))]
    return [(one,) for one, _ in zip(evidence, range(2 * most))] if isinstance(evidence, Graph) else []


def _sheet(finding: Finding, shown: list[tuple[Graph, ...]]) -> Figure:
    """Text at the top, then two pairs or four graphs per row."""
    block = 4 * WIDTH + 3 * GAP
    sentence = textwrap.wrap(
        printable(finding.description).replace(" %", "\u00a0%"), int(72 * block / 7)
    )  # letters of 13 points
    across = 2 if shown and len(shown[0]) == 2 else 4
    rows, top = -(-len(shown) // across), (len(sentence) + 2.2) * TEXT
    seen: set[str] = set()
    whole = np.array([block + 2 * GAP, top + rows * (HEIGHT + TEXT) + 1.2 * TEXT * bool(rows)])
    figure = Picture(figsize=(whole[0], whole[1]))

    def write(x, y, words, size, **style):
        style = {"va": "top", "gid": "text", "parse_math": False, **style}
        figure.text(x / whole[0], 1 - y / whole[1], words, fontsize=size, **style)

    word, color = SEVERITIES.get(finding.severity, (finding.severity, BLUE))
    write(GAP, 0.4 * TEXT, printable(word), 15, color=color, fontweight="bold")
    title = textwrap.shorten(printable(finding.name), int(72 * (block - 1.4) / 9), placeholder=" …")
    write(GAP + 1.4, 0.4 * TEXT, title, 15, fontweight="bold")
    write(GAP, 1.7 * TEXT, "\n".join(sentence), 13, linespacing=1.35)
    for n, graphs in enumerate(shown):
        row, column = divmod(n, across)
        left = GAP + column * (block + GAP) / across
        middle = top + row * (HEIGHT + TEXT) + HEIGHT / 2
        pair = len(graphs) == 2
        places = aligned_layouts(*graphs) if pair else [layout(graphs[0])]
        marks = (
            differences(graphs[0], graphs[1], MAX_MARKS)
            if pair and graphs[0].nodes.shape == graphs[1].nodes.shape
            else []
        )
        seen |= {kind for _, kind in marks}
        sizes = [drawn_size(one, positions) for one, positions in zip(graphs, places)]
        scale = min(MAX_EDGE, *((np.array([WIDTH, HEIGHT]) / size).min() for size in sizes))
        for side, (one, positions, size) in enumerate(zip(graphs, places, sizes)):
            size = size * scale
            center = np.array([left + WIDTH / 2 + side * (WIDTH + GAP), whole[1] - middle])
            axes = figure.add_axes((*(center - size / 2) / whole, *size / whole))
            draw_panel(one, axes, positions, [m for m in marks if m[1] != ("new", "gone")[side]])
        if pair:
            write(left + WIDTH + GAP / 2, middle, "→" if marks else "|", 22, ha="center", va="center")
    looks = [look for kind, look in MARKS.items() if kind in seen]
    if looks:
        lines = [Line2D([], [], color=color, ls=dash, lw=5) for color, dash, _ in looks]
        names = [words for *_, words in looks]
        figure.legend(lines, names, loc="lower center", ncols=3, frameon=False, fontsize=12, handlelength=3)
    return figure
