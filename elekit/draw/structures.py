"""Drawings of graphs, relaxed or discrete: nodes as pies of their labels, edges as strong as they are probable."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Polygon, Wedge
from matplotlib.patheffects import withStroke

from elekit.draw.base import GRAY, RADIUS, VERTEX, VISIBLE, fit_text, require_single, to_numpy
from elekit.draw.figure import Picture, figure_of, fitted_title, legend, points_per_unit, size_in_inches
from elekit.draw.layouts import layout, ring_centers
from elekit.draw.shapes import (
    AROMATIC,
    arrow_directions,
    arrow_head,
    beside_arrow,
    bond_lines,
    framed,
    label_colors,
    line_counts,
    text_color,
    vertex_labels,
)
from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary

PURE = 0.95  # a node is drawn without outline of its text, or as a vertex, above this share


class _Line(NamedTuple):
    """An edge from `start` to `end`: the probability that it and both ends exist, and the center of its ring."""

    start: np.ndarray
    end: np.ndarray
    strength: float
    center: np.ndarray | None


def graph(graph: GraphBatch, ax: Axes | None = None, *, positions=None, title: str | None = None) -> Figure:
    """Draw one graph, relaxed or discrete.

    A node is a pie of its labels with the most probable one written on it; the absent share stays open, and a node
    that is more likely absent has a dashed rim and no text. The width and opacity of an edge are the probability that
    it and both ends exist. Molecules look as chemists draw them: a carbon with bonds is a small dot, bond orders are
    one to three strokes, in rings inside the ring, and the second stroke of an aromatic bond is dashed. Other edge
    labels are written if they survive rounding. A key explains the colors if nodes are mixtures.

    Args:
        graph: Batch of one.
        ax: Axes to draw into; None makes a new figure.
        positions: (N, 2) node positions, see `layout`; pass the same to compare several graphs.
        title: Title of the axes.

    Returns:
        The whole figure.
    """
    graph = require_single(graph)
    nodes, edges, vocabulary = to_numpy(graph.nodes[0]), to_numpy(graph.edges[0]), graph.vocabulary
    positions = layout(graph) if positions is None else to_numpy(positions)
    if positions.shape != (len(nodes), 2):
        raise ValueError(f"positions must be ({len(nodes)}, 2), one for each slot, got {positions.shape}")
    seen = np.flatnonzero(1 - nodes[:, 0] >= VISIBLE)
    mixed = [k for k in np.argsort(-nodes[:, 1:].sum(0)) if nodes[:, 1 + k].max() >= VISIBLE][:10]
    relaxed = bool((nodes.max(1) < 0.99).any())
    ax = _canvas(ax, positions[seen], 0.5 * -(-len(mixed) // 5) if relaxed else 0, title, vocabulary)
    points = points_per_unit(ax)
    written = [(positions[i] - RADIUS, positions[i] + RADIUS) for i in seen]  # corners of boxes to keep clear of text
    strength, radii = np.triu(_strength(graph), 1), node_radii(graph)
    centers = ring_centers(graph, positions)
    for i, j in np.argwhere(strength >= VISIBLE).tolist():
        line = _Line(positions[i], positions[j], float(strength[i, j]), centers.get((i, j)))
        _edge(ax, (i, j), edges[i, j], line, vocabulary, points, written)
    colors = label_colors(vocabulary)
    for i in seen.tolist():
        _node(ax, i, nodes[i], positions[i], vocabulary, colors, points, radii[i])
    if relaxed:
        dots = [(fit_text(vocabulary.node_labels[k], 90, 11)[0],
                 {"ls": "", "marker": "o", "ms": 9, "color": colors[k]}) for k in mixed]  # fmt: skip
        legend(ax, dots, 11, ncols=min(5, len(mixed)), loc="lower center", handletextpad=0.1, columnspacing=1.0,
               borderaxespad=0)  # fmt: skip
    return figure_of(ax)


def node_radii(graph: Graph) -> np.ndarray:
    """(N,) radii of the nodes of one graph: small for certain carbon atoms with bonds."""
    nodes = to_numpy(graph.nodes[0])
    vertex = np.isin(nodes.argmax(1) - 1, vertex_labels(graph.vocabulary)) & (nodes.max(1) > PURE)
    return np.where(vertex & (_strength(graph).max(1, initial=0) > 0.5), VERTEX, RADIUS)


def _strength(graph: Graph) -> np.ndarray:
    """(N, N) probability that each edge and both of its ends exist."""
    present = 1 - to_numpy(graph.nodes[0])[:, 0]
    strength: np.ndarray = (1 - to_numpy(graph.edges[0])[..., 0]) * np.outer(present, present)
    return strength


def graphs(graphs: GraphBatch | Sequence[Graph], titles: Sequence[str] | None = None, *, columns: int = 4) -> Figure:
    """Draw several graphs in a grid, each as in `graph`.

    Args:
        graphs: One batch or several.
        titles: One per graph.
        columns: Graphs per row.

    Returns:
        The figure.
    """
    single = [one for batch in ([graphs] if isinstance(graphs, GraphBatch) else graphs) for one in batch]
    heads = [None] * len(single) if titles is None else list(titles)
    if not single or len(heads) != len(single):
        raise ValueError(f"want one title for each graph and at least one graph, got {len(single)} and {len(heads)}")
    columns = min(columns, len(single))
    rows = -(-len(single) // columns)
    width, height, room = 3.6, 3.4, 0.4 * any(heads)
    figure = Picture(figsize=(width * columns, (height + room) * rows))
    for i, (one, title) in enumerate(zip(single, heads)):
        row, column = divmod(i, columns)
        share = height / (height + room) / rows
        graph(one, figure.add_axes((column / columns, 1 - (row + 1) / rows, 1 / columns, share)), title=title)
    return figure


def _canvas(ax: Axes | None, positions, key: float, title: str | None, vocabulary: GraphVocabulary) -> Axes:
    """Axes without frame that contain the positions, with room for a key below."""
    low, high = framed(positions, 0.55, [1.7 if key else 1.2, 0.8])
    low = low - [0, key]
    if ax is None:
        size = (0.95 if line_counts(vocabulary) else 1.7) * (high - low)  # words need more room than strokes
        size *= min(1, 12 / size.max())
        room = 0.45 if title else 0
        ax = Picture(figsize=(size[0], size[1] + room)).add_axes((0, 0, 1, size[1] / (size[1] + room)))
    extent = size_in_inches(ax)
    spare = (extent / (extent / (high - low)).min() - (high - low)) / 2  # so that the axes fill their place
    low, high = low - spare, high + spare
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    ax.set_axis_off()
    if title:
        fitted_title(ax, title, 72 * extent[0], 15)
    return ax


def _node(ax, i, shares, position, vocabulary, colors, points, radius):
    """A pie that is open where the node is absent, its rim, and its label if it survives rounding."""
    start = 90.0
    ax.add_patch(Circle(position, radius, facecolor="white", edgecolor="none", zorder=2))
    for k in np.flatnonzero(shares[1:] > 0.005).tolist():
        end, start = start, start - 360 * shares[1 + k]
        ax.add_patch(Wedge(position, radius, start, end, facecolor=colors[k], lw=0, zorder=3, gid=f"share-{i}"))
    kept = shares.argmax() > 0
    rim = {"edgecolor": "black", "lw": 1.2} if kept else {"edgecolor": GRAY, "lw": 1.0, "ls": "--"}
    ax.add_patch(Circle(position, radius, facecolor="none", zorder=4, gid=f"node-{i}", **rim))
    if kept and radius == RADIUS:
        k = int(shares[1:].argmax())
        text, size = fit_text(vocabulary.node_labels[k], 1.8 * RADIUS * points, 1.1 * RADIUS * points)
        pure = shares[1 + k] > PURE
        outline = None if pure else [withStroke(linewidth=size / 6, foreground="white")]
        ax.text(*position, text, fontsize=size, color=text_color(colors[k]) if pure else "black", fontweight="bold",
                path_effects=outline, ha="center", va="center_baseline", zorder=5, parse_math=False,
                gid=f"label-{i}")  # fmt: skip


def _edge(ax, ends, shares, line, vocabulary, points, written):
    """The strokes of one edge, and its label if it is legible; appends the label's box to `written`."""
    i, j = ends
    start, end, strength, center = line
    label, kept, bonds = int(shares[1:].argmax()), shares.argmax() > 0, line_counts(vocabulary)
    width = 5 * strength * min(1, points / 65)
    count = bonds[label] if bonds and kept else 1
    for n, stroke in enumerate(bond_lines(start, end, count, center)):
        look = {"color": "#333333", "alpha": strength, "lw": width, "zorder": 1, "gid": f"edge-{i}-{j}"}
        dashes = (0, (2, 1.4)) if n and count == AROMATIC else "-"
        ax.add_line(Line2D(*np.stack(stroke).T, ls=dashes, **look))
    if direction := arrow_directions(vocabulary)[label]:
        head = arrow_head(start, end, RADIUS) if direction > 0 else arrow_head(end, start, RADIUS)
        ax.add_patch(Polygon(head, facecolor="#333333", alpha=strength, lw=0, zorder=1.5, gid=f"arrow-{i}-{j}"))
    if bonds or not kept or len(vocabulary.edge_labels) == 1:
        return
    room = max(0.3, np.linalg.norm(end - start) - 2 * RADIUS) * points
    name = vocabulary.edge_labels[vocabulary.label_of[1 + label] - 1]
    text, size = fit_text(name, room, min(13, 0.26 * points))
    half = np.array([0.3 * len(text) + 0.2, 0.7]) * size / points
    shift = beside_arrow(start, end) if vocabulary.directed else 0.0
    centers = [start + t * (end - start) + shift for t in (0.5, 0.42, 0.58, 0.35, 0.65)]

    def is_free(center):
        return not any(((center - half < high) & (low < center + half)).all() for low, high in written)

    at = next(filter(is_free, centers), centers[0])
    written.append((at - half, at + half))
    ax.text(*at, text, fontsize=size, ha="center", va="center", zorder=2.5, parse_math=False, gid=f"label-{i}-{j}",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
