"""Two graphs side by side in one orientation, with their differences marked."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from elekit.draw.base import ORANGE, PURPLE, RADIUS, SKY, printable, require_single
from elekit.draw.figure import Picture
from elekit.draw.layouts import layout
from elekit.draw.placement import label_positions
from elekit.draw.structures import graph as draw_graph
from elekit.draw.structures import points_per_unit
from elekit.graphs.graph import Graph

MARKS = {  # what an edit does to a part: color, dashes, words; none of the colors is one of C, N, O and F
    "gone": (PURPLE, (0, (1.5, 1)), "is gone afterwards"),
    "changed": (ORANGE, "-", "gets another label"),
    "new": (SKY, (0, (0.5, 0.5)), "is new"),
}
WIDTH = 0.11  # of a halo, where an edge is about 1 long
TEXT, GAP, LARGEST = 0.27, 0.45, 0.9  # inches: of a line, between two panels, and of an edge at most


def pair_grid(pairs, heads, feet, *, columns: int, width: float, few: int | None = None, sign: str = "→") -> Figure:
    """Pairs in a grid: a title and up to two lines above each, a line below each of its panels, a key at the end.

    width: of a panel in inches. few: parts that may be marked; of more none is. sign: between the two of a pair.
    """
    rows, height = -(-len(pairs) // columns), 0.72 * width
    block, tall = 2 * width + GAP, height + 4.4 * TEXT
    whole = np.array([columns * (block + GAP), rows * tall + 1.6 * TEXT])
    figure = Picture(figsize=(whole[0], whole[1]))

    def say(x, y, words, size, **style):
        figure.text(x / whole[0], y / whole[1], words, fontsize=size, parse_math=False, gid="said", **style)

    seen = set()
    for n, (pair, (title, path), foot) in enumerate(zip(pairs, heads, feet)):
        row, column = divmod(n, columns)
        left, top = GAP / 2 + column * (block + GAP), whole[1] - row * tall
        say(left, top - 1.15 * TEXT, _cut(title, 72 * block / 9.2), 14, va="bottom", fontweight="bold")
        lines = textwrap.wrap(printable(path), int(72 * block / 7.2))  # letters of 12 points
        lines = lines[:2] if len(lines) < 3 else [lines[0], f"{lines[1][:-2]} …"]
        say(left, top - 1.3 * TEXT, "\n".join(lines), 12, va="top")
        middle, (marks, places) = (
            top - 3 * TEXT - height / 2,
            (differences(pair[0], pair[1], few), aligned_layouts(*pair)),
        )
        seen |= {kind for _, kind in marks}
        sizes = [drawn_size(one, positions) for one, positions in zip(pair, places)]
        scale = min(LARGEST, *((np.array([width, height]) / size).min() for size in sizes))  # one for both
        for side, (one, positions, size) in enumerate(zip(pair, places, sizes)):
            center = left + width / 2 + side * (width + GAP)
            size = size * scale
            box = (*((center, middle) - size / 2) / whole, *size / whole)
            draw_panel(one, figure.add_axes(box), positions, [m for m in marks if m[1] != ("new", "gone")[side]])
            words = _cut(foot[side], 72 * (width + GAP) / 7.2)
            say(center, middle - height / 2 - 0.1 * TEXT, words, 12, ha="center", va="top")
        say(left + width + GAP / 2, middle, sign, 26, ha="center", va="center")
    shown = [look for kind, look in MARKS.items() if kind in seen]
    keys = [Line2D([], [], color=color, ls=dash, lw=6) for color, dash, _ in shown]
    figure.legend(
        keys, [words for *_, words in shown], loc="lower center", ncols=3, frameon=False, fontsize=13, handlelength=3
    )
    return figure


def _cut(text: str, letters: float) -> str:
    text = printable(text)
    return text if len(text) <= letters else f"{text[: int(letters) - 1]}…"


def drawn_size(graph: Graph, positions: np.ndarray) -> np.ndarray:
    """Width and height of a drawing with its node numbers, in edge lengths."""
    there = _there(graph)
    return np.maximum(np.ptp(positions[there], axis=0) + 1.1, [2.4, 1.6]) if there.any() else np.array([2.4, 1.6])


def _there(graph: Graph) -> np.ndarray:
    return (graph.labels()[0][0] > 0).cpu().numpy()


def differences(before: Graph, after: Graph, few: int | None = None) -> list[tuple[tuple[int, ...], str]]:
    """Nodes (i,) and pairs (i, j), i < j, that differ between two graphs of the same slots, and how.

    few: more than so many are told apart by looking, not by marks, and none is given.
    """
    require_single(before), require_single(after)
    if before.nodes.shape != after.nodes.shape:
        raise ValueError(
            f"the two graphs of a pair need the same slots, got {before.nodes.shape[1]} and {after.nodes.shape[1]}"
        )
    found = []
    for was, now in zip(before.labels(), after.labels()):
        was, now = (labels[0].cpu() for labels in (was, now))
        for part in (was != now).nonzero().tolist():
            if part == sorted(part):
                kind = "gone" if not now[tuple(part)] else "changed" if was[tuple(part)] else "new"
                found.append((tuple(part), kind))
    return found if few is None or len(found) <= few else []


def aligned_layouts(before: Graph, after: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 2) of both graphs, the second rotated or mirrored so that common nodes match."""
    first, second = layout(before), layout(after)
    both = _there(before) & _there(after)
    if not both.any():
        return first, second
    ours, theirs = first[both].mean(0), second[both].mean(0)
    left, _, right = np.linalg.svd((second[both] - theirs).T @ (first[both] - ours))  # Kabsch (1976), mirrors allowed
    return first, (second - theirs) @ left @ right + ours


def draw_panel(graph: Graph, ax: Axes, positions: np.ndarray, marks) -> None:
    draw_graph(graph, ax, positions=positions)
    points, white = points_per_unit(ax), [withStroke(linewidth=3, foreground="white")]
    way = label_positions(graph, positions)[0] - positions
    way *= (RADIUS + WIDTH + 0.12) / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
    for i in np.flatnonzero(_there(graph)):
        x, y = positions[i] + way[i]
        gid, color = f"number-{i}", "#444444"
        ax.text(
            x, y, str(i), fontsize=11, color=color, path_effects=white, gid=gid, ha="center", va="center", zorder=7
        )
    for part, kind in marks:
        color, dash, _ = MARKS[kind]
        line: dict[str, Any] = {"color": color, "ls": dash, "gid": f"{kind}-{'-'.join(map(str, part))}"}
        if len(part) == 1:
            rim = Circle(positions[part[0]], RADIUS + WIDTH / 2, fill=False, zorder=0.6, lw=WIDTH * points, **line)
            ax.add_patch(rim)
        else:
            x, y = positions[list(part)].T
            ax.add_line(Line2D(x, y, zorder=0.5, lw=3 * WIDTH * points, solid_capstyle="butt", **line))
