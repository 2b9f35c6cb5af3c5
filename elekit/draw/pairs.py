"""Pairs of graphs side by side in one orientation, with their differences marked."""

import textwrap
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elekit.draw.base import ORANGE, PURPLE, RADIUS, SKY, printable, shortened
from elekit.draw.figure import Picture, halo, legend, message, outlined, require_columns, write
from elekit.draw.layouts import aligned_layout, layout, present_nodes
from elekit.draw.placement import label_positions
from elekit.draw.shapes import differences, framed
from elekit.draw.structures import graph as draw_graph
from elekit.draw.structures import node_radii
from elekit.graphs._schema import require_positive
from elekit.graphs.graph import Graph

MARKS = {  # what an edit does to a part: color, dashes, words; none of the colors is one of C, N, O and F
    "gone": (PURPLE, (0, (1.5, 1)), "removed"),
    "changed": (ORANGE, "-", "label changed"),
    "new": (SKY, (0, (0.5, 0.5)), "added"),
}
WIDTH = 0.11  # of a halo, where an edge is about 1 long
TEXT, GAP, LARGEST = 0.27, 0.45, 0.9  # inches: of a line, between two panels, and of an edge at most
MAX_MARKS = 4  # changed parts of a pair; pairs with more have no marks


def counterfactuals(graph: Graph, graphs: Graph, table: pd.DataFrame, preferred: str, *, most: int = 3) -> Figure:
    """Draw one row per edited graph: before and after, with the changes marked, the losses below and the edits above.

    Removed parts are dashed, changed ones solid, new ones dotted; numbers are those of the descriptions.

    Args:
        graph: Batch of one.
        graphs: n edited graphs in its slots.
        table: n rows from `elekit.inspect.counterfactuals`.
        preferred: Name of the reference that was preferred before.
        most: Maximum number of rows.

    Returns:
        The figure.
    """
    losses = [f"{whose}_{when}" for whose in ("old", "new") for when in ("before", "after")]
    rows = _rows(table, ["edits", "path", "new", "margin", *losses, "proven"], graphs)[:most]
    heads, feet = [], []
    for row in rows:
        number = "1 edit" if row["edits"] == 1 else f"{row['edits']} edits"
        sure = "no fewer do" if row["proven"] else "fewer may do"
        new, old = row["new"], preferred
        title = f"{old} before, {new} after, by {row['margin']:.2f}"
        heads.append((title, f"{number}, {sure}: {row['path']}"))
        pairs = [(row[f"old_{when}"], row[f"new_{when}"]) for when in ("before", "after")]
        feet.append([f"loss to {old} {to_old:.2f}, to {new} {to_new:.2f}" for to_old, to_new in pairs])
    return pair_grid([(graph, graphs[i]) for i in range(len(rows))], heads, feet, columns=1, width=4.4)


def analogies(
    graph: Graph, other: Graph, path: str, loss: float, graphs: Graph, others: Graph, table: pd.DataFrame,
    *, most: int = 7, columns: int = 2,
) -> Figure:  # fmt: skip
    """Draw a pair of graphs, then other pairs with the same difference, with loss and cosine below.

    Args:
        graph: Batch of one.
        other: Batch of one in the same slots.
        path: Description of the difference.
        loss: Loss between the two.
        graphs: First graphs of n pairs.
        others: Second graphs of n pairs.
        table: n rows from `elekit.inspect.analogies`.
        most: Maximum number of pairs besides the first.
        columns: Pairs per row.

    Returns:
        The figure.
    """
    rows = _rows(table, ("path", "loss", "cosine", "analogous"), graphs, fewest=0)[:most]
    heads, feet = [("the given pair", path)], [[f"loss {loss:.2f}", ""]]
    for row in rows:
        alike = "analogous" if row["analogous"] else "another distance or direction"
        heads.append((alike, row["path"]))
        feet.append([f"loss {row['loss']:.2f}", f"cosine {row['cosine']:.2f}"])
    pairs = [(graph, other), *((graphs[i], others[i]) for i in range(len(rows)))]
    return pair_grid(pairs, heads, feet, columns=min(columns, len(pairs)), width=3.1)


def _rows(table: pd.DataFrame, needed: Sequence[str], graphs: Graph, fewest: int = 1) -> list[dict]:
    require_columns(table, needed)
    if len(table) != len(graphs) or len(table) < fewest:
        found = f"{len(table)} rows and {len(graphs)} graphs"
        raise ValueError(f"want a row for each graph, at least {fewest}, got {found}")
    return table.to_dict("records")


def blind_spots(table: pd.DataFrame, graphs: Graph, others: Graph, *, most: int = 6, columns: int = 2) -> Figure:
    """Pairs of graphs side by side, with what differs above and the loss below.

    Args:
        table: `Pairs.table` of `elekit.audit.blind_spots` (columns loss, differs, path and edits) or of
            `elekit.audit.invariance_gaps` (columns loss and variation).
        graphs: The first graph of each pair.
        others: The second graph of each pair.
        most: Largest number of pairs that are drawn, at least 1.
        columns: Pairs per row.

    Returns:
        The figure; if there are no pairs, it holds a note instead.
    """
    title = next((name for name in ("differs", "variation") if name in table), None)
    if title is None or "loss" not in table or not len(table) == len(graphs) == len(others):
        found = f"columns {list(table.columns)}, {len(table)} rows, {len(graphs)} and {len(others)} graphs"
        raise ValueError(f"the table needs columns loss and differs or variation, one row per pair; got {found}")
    require_positive(most=most)
    if not len(table):
        return message("No pairs were found.")
    rows = table.head(most).to_dict("records")
    heads = [(row[title], row.get("path", "the same graph, written differently")) for row in rows]
    feet = [[f"loss {row['loss']:.3f}", f"edits {row['edits']}" if "edits" in row else ""] for row in rows]
    pairs = [(graphs[i], others[i]) for i in range(len(rows))]
    return pair_grid(pairs, heads, feet, columns=min(columns, len(pairs)), width=3.1, few=MAX_MARKS, sign="≈")


def pair_grid(pairs, heads, feet, *, columns: int, width: float, few: int | None = None, sign: str = "→") -> Figure:
    """Pairs in a grid: a title and up to two lines above each, a line below each of its panels, a legend at the end.

    width: of a panel in inches. few: pairs with more changed parts have no marks. sign: between the two of a pair.
    """
    rows, height = -(-len(pairs) // columns), 0.72 * width
    block, tall = 2 * width + GAP, height + 4.4 * TEXT
    whole = np.array([columns * (block + GAP), rows * tall + 1.6 * TEXT])
    figure, seen = Picture(figsize=(whole[0], whole[1])), set()
    for n, (pair, (title, path), foot) in enumerate(zip(pairs, heads, feet)):
        row, column = divmod(n, columns)
        left, top = GAP / 2 + column * (block + GAP), whole[1] - row * tall
        title = shortened(title, 72 * block / 9.2)
        write(figure, left, top - 1.15 * TEXT, title, 14, va="bottom", fontweight="bold")
        lines = textwrap.wrap(printable(path), int(72 * block / 7.2))  # letters of 12 points
        lines = lines[:2] if len(lines) < 3 else [lines[0], f"{lines[1][:-2]} …"]
        write(figure, left, top - 1.3 * TEXT, "\n".join(lines), 12, va="top")
        middle, marks = top - 3 * TEXT - height / 2, differences(pair[0], pair[1], few)
        seen |= {kind for _, kind in marks}
        draw_group(figure, pair, marks, (left, middle), (width, height), LARGEST)
        for side, words in enumerate(foot):
            center = left + width / 2 + side * (width + GAP)
            words = shortened(words, 72 * (width + GAP) / 7.2)
            write(figure, center, middle - height / 2 - 0.1 * TEXT, words, 12, ha="center", va="top")
        write(figure, left + width + GAP / 2, middle, sign, 26, ha="center", va="center")
    mark_legend(figure, seen)
    return figure


def _drawn_size(graph: Graph, positions: np.ndarray) -> np.ndarray:
    """Width and height of a drawing with its node numbers, in edge lengths."""
    low, high = framed(positions[present_nodes(graph)], 0.55, [1.2, 0.8])
    return high - low


def aligned_layouts(before: Graph, after: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 2) of both graphs, the second rotated or mirrored so that common nodes match."""
    first = layout(before)
    return first, aligned_layout(after, before, first)


def draw_panel(graph: Graph, ax: Axes, positions: np.ndarray, marks) -> None:
    """One graph with the numbers of its nodes and its marks."""
    draw_graph(graph, ax, positions=positions)
    way = label_positions(graph, positions)[0] - positions
    way *= (RADIUS + WIDTH + 0.12) / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
    for i in np.flatnonzero(present_nodes(graph)):
        outlined(ax, positions[i] + way[i], str(i), 11, color="#444444", ha="center", va="center", gid=f"number-{i}")
    radii = node_radii(graph)
    for part, kind in marks:
        color, dash, _ = MARKS[kind]
        halo(ax, positions, part, WIDTH, 3 * WIDTH, color, dash, kind, radii)


def draw_group(figure: Figure, graphs, marks, corner, panel, largest: float) -> None:
    """A graph, or an aligned pair, side by side at one scale; lengths in inches.

    corner: left end and middle height of the first panel. panel: width and height. largest: of an edge.
    """
    whole, panel = figure.get_size_inches(), np.array(panel)
    places = aligned_layouts(*graphs) if len(graphs) == 2 else [layout(graphs[0])]
    sizes = np.stack([_drawn_size(one, positions) for one, positions in zip(graphs, places)])
    sizes *= min(largest, (panel / sizes).min())
    for side, (one, positions, size) in enumerate(zip(graphs, places, sizes)):
        center = corner + np.array([panel[0] / 2 + side * (panel[0] + GAP), 0])
        ax = figure.add_axes((*(center - size / 2) / whole, *size / whole))
        draw_panel(one, ax, positions, [mark for mark in marks if mark[1] != ("new", "gone")[side]])


def mark_legend(figure: Figure, seen: Collection[str]) -> None:
    """The meaning of the marks in use."""
    looks = [(words, {"color": color, "ls": dash, "lw": 6}) for k, (color, dash, words) in MARKS.items() if k in seen]
    legend(figure, looks, 13, loc="lower center", ncols=3, handlelength=3)
