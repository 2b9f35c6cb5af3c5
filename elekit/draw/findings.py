"""What was found wrong with a loss: each finding's sentence over the graphs that show it."""

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

WIDTH, HEIGHT, TEXT, GAP = 2.3, 1.75, 0.3, 0.45  # inches: of a panel, of a line, between the panels of a pair
LARGEST = 0.8  # inches, of an edge
FEW = 4  # changed parts; pairs that differ in more are told apart by looking, not by marks
SEVERITIES = {"defect": ("✗ defect", VERMILION), "note": ("• note", BLUE)}


class Finding(Protocol):
    """As of `elekit.audit.findings`."""

    what: str
    says: str
    severity: str
    evidence: "pd.DataFrame | tuple[Graph, Graph] | Graph | None"


def findings(found: Sequence[Finding], *, most: int = 4) -> list[Figure]:
    """One figure a finding, in their order: what it is called, its sentence, and up to `most` pairs of graphs beneath.

    found: as of `elekit.audit.findings.findings`. Pairs stand side by side, the second turned so that what both have
    lies alike; where they differ in few places, these are marked: dashed what goes, solid what changes, dotted what is
    new. Graphs that are no pairs stand alone; evidence that is a table is left to `inspect.findings.table`.
    Raises ValueError for `most` below 1.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    return [_sheet(finding, _shown(finding.evidence, most)) for finding in found]


def _shown(evidence, most: int) -> list[tuple[Graph, ...]]:
    """Pairs of graphs, or single graphs, each a batch of one."""
    if isinstance(evidence, tuple):
        return [(one, other) for one, other, _ in zip(*evidence, range(most))]
    return [(one,) for one, _ in zip(evidence, range(2 * most))] if isinstance(evidence, Graph) else []


def _sheet(finding: Finding, shown: list[tuple[Graph, ...]]) -> Figure:
    """The words above, then two pairs or four graphs a row."""
    block = 4 * WIDTH + 3 * GAP
    sentence = textwrap.wrap(
        printable(finding.says).replace(" %", "\u00a0%"), int(72 * block / 7)
    )  # letters of 13 points
    across = 2 if shown and len(shown[0]) == 2 else 4
    rows, top = -(-len(shown) // across), (len(sentence) + 2.2) * TEXT
    seen: set[str] = set()
    whole = np.array([block + 2 * GAP, top + rows * (HEIGHT + TEXT) + 1.2 * TEXT * bool(rows)])
    figure = Picture(figsize=whole)

    def say(x, y, words, size, **style):
        style = {"va": "top", "gid": "said", "parse_math": False, **style}
        figure.text(x / whole[0], 1 - y / whole[1], words, fontsize=size, **style)

    word, color = SEVERITIES.get(finding.severity, (finding.severity, BLUE))
    say(GAP, 0.4 * TEXT, printable(word), 15, color=color, fontweight="bold")
    title = textwrap.shorten(printable(finding.what), int(72 * (block - 1.4) / 9), placeholder=" …")
    say(GAP + 1.4, 0.4 * TEXT, title, 15, fontweight="bold")
    say(GAP, 1.7 * TEXT, "\n".join(sentence), 13, linespacing=1.35)
    for n, graphs in enumerate(shown):
        row, column = divmod(n, across)
        left = GAP + column * (block + GAP) / across
        middle = top + row * (HEIGHT + TEXT) + HEIGHT / 2
        pair = len(graphs) == 2
        places = aligned_layouts(*graphs) if pair else [layout(graphs[0])]
        marks = differences(*graphs, FEW) if pair and graphs[0].nodes.shape == graphs[1].nodes.shape else []
        seen |= {kind for _, kind in marks}
        sizes = [drawn_size(one, positions) for one, positions in zip(graphs, places)]
        scale = min(LARGEST, *((np.array([WIDTH, HEIGHT]) / size).min() for size in sizes))
        for side, (one, positions, size) in enumerate(zip(graphs, places, sizes)):
            size = size * scale
            center = np.array([left + WIDTH / 2 + side * (WIDTH + GAP), whole[1] - middle])
            axes = figure.add_axes((*(center - size / 2) / whole, *size / whole))
            draw_panel(one, axes, positions, [m for m in marks if m[1] != ("new", "gone")[side]])
        if pair:
            say(left + WIDTH + GAP / 2, middle, "→" if marks else "|", 22, ha="center", va="center")
    looks = [look for kind, look in MARKS.items() if kind in seen]
    if looks:
        lines = [Line2D([], [], color=color, ls=dash, lw=5) for color, dash, _ in looks]
        names = [words for *_, words in looks]
        figure.legend(lines, names, loc="lower center", ncols=3, frameon=False, fontsize=12, handlelength=3)
    return figure
