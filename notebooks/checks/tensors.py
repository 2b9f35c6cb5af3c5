"""The tensors of a graph as heat maps with numbers."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elekit.draw.base import RADIUS, fit_text, require_single, to_numpy
from elekit.draw.figure import Picture
from elekit.draw.layouts import layout
from elekit.draw.placement import label_positions
from elekit.draw.structures import graph as draw_graph
from elekit.graphs.graph import Graph

MAP = colormaps["cividis"]
CELL, MAX_PANEL = 0.42, 4.2  # inches: one number, the largest panel
MAX_CHANNELS = 6  # edge channels shown
MAX_NUMBERED = 12  # rows or columns of a panel with numbers


def tensors(graph: Graph) -> Figure:
    """Draw the node matrix and the channels of the edge tensor of one graph, relaxed or discrete.

    On the left are the nodes (N, K), one row per slot, one column for "absent" and for each label; below them is the
    graph with its slots numbered. On the right are the edges (N, N, R), one panel for "no edge" and for each label.
    Values run from 0 (dark) to 1 (bright). Panels with more than 12 rows or columns have no numbers, and of more than
    6 edge channels those with the largest sum are drawn.

    Args:
        graph: Batch of one.

    Returns:
        The figure.

    Raises:
        ValueError: If the batch does not hold one graph.
    """
    require_single(graph)
    nodes, edges = to_numpy(graph.nodes[0]), to_numpy(graph.edges[0])
    (N, K), names = nodes.shape, ["no edge", *graph.vocabulary.edge_labels]
    heaviest = 1 + np.argsort(-edges[..., 1:].sum((0, 1)), kind="stable")
    shown = [0, *sorted(heaviest[: MAX_CHANNELS - 1].tolist())]
    columns = -(-len(shown) // 2)
    side, width = (min(CELL * count, MAX_PANEL) for count in (max(N, 4), max(K, 3)))
    gap, head, foot = 0.45, 0.4, 0.5  # inches beside, above and below a panel
    left = gap + max(width, side) + gap
    size = (left + columns * (side + gap), 2 * (head + side + foot))
    figure = Picture(figsize=size)

    def panel(x: float, row: int, width: float) -> Axes:
        bottom = size[1] - (row + 1) * (head + side + foot) + foot
        return figure.add_axes((x / size[0], bottom / size[1], width / size[0], side / size[1]))

    ax = panel(gap, 0, width)
    _heat(ax, nodes, f"nodes, {N} × {K}")
    labels = [fit_text(name, 60, 11)[0] for name in ["absent", *graph.vocabulary.node_labels]]
    ax.set_xticks(
        range(K),
        labels if K <= MAX_NUMBERED else [""] * K,
        parse_math=False,
        rotation=30,
        ha="right",
        rotation_mode="anchor",
    )
    ax.set_ylabel("slot", fontsize=12, labelpad=1)
    _draw_numbered(graph, panel(0.1, 1, left - 0.3))
    for n, channel in enumerate(shown):
        ax = panel(left + n % columns * (side + gap), n // columns, side)
        _heat(ax, edges[..., channel], f"edges, {N} × {N}: {names[channel]}")
        ax.set_xticks(range(N), range(N) if N <= MAX_NUMBERED else [""] * N)
    return figure


def _draw_numbered(graph: Graph, ax: Axes) -> None:
    """The graph with slot numbers beside its nodes, if the heat maps have numbers, too."""
    positions = layout(graph)
    draw_graph(graph, ax, positions=positions)
    if len(positions) > MAX_NUMBERED:
        return
    offset = label_positions(graph, positions)[0] - positions
    anchors = positions + (RADIUS + 0.18) * offset / np.linalg.norm(offset, axis=1, keepdims=True)
    for i in np.flatnonzero(np.isfinite(anchors[:, 0])):  # NaN: absent
        ax.text(*anchors[i], str(i), fontsize=11, color="#555555", ha="center", va="center", zorder=6, gid="slot")


def _heat(ax: Axes, values: np.ndarray, title: str) -> None:
    ax.imshow(values, cmap=MAP, vmin=0, vmax=1, aspect="auto", gid="heat")
    N, M = values.shape
    for edge in np.arange(N + 1) - 0.5:
        ax.axhline(edge, color="white", lw=1)
    for edge in np.arange(M + 1) - 0.5:
        ax.axvline(edge, color="white", lw=1)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0, labelsize=11)
    ax.set_yticks(range(N), range(N) if N <= MAX_NUMBERED else [""] * N)
    text, font_size = fit_text(title, 1.15 * ax.get_window_extent().width / ax.figure.dpi * 72, 13)
    ax.set_title(text, fontsize=font_size, parse_math=False, pad=6)
    if max(N, M) > MAX_NUMBERED:
        return
    size = 11 if max(N, M) <= MAX_PANEL / CELL else 9
    for (i, j), value in np.ndenumerate(values):
        is_integer = abs(value - round(value)) < 5e-3
        text = f"{value:.0f}" if is_integer else f"{value:.2f}".lstrip("0")
        color = "black" if value > 0.55 else "white"
        alpha = 0.45 if is_integer and value < 0.5 else 1  # zeros are faint
        ax.text(j, i, text, ha="center", va="center", fontsize=size, color=color, alpha=alpha, gid="number")
