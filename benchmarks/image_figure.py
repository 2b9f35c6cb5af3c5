"""Figure of images beside their true and predicted graphs."""

from itertools import combinations
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.optimize import linear_sum_assignment

from elekit.draw.figure import Picture
from elekit.draw.layouts import layout
from elekit.draw.pairs import MARKS, aligned_layouts, draw_panel
from elekit.draw.shapes import differences
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.weisfeiler_lehman import ROUNDS, node_colors

PANEL_WIDTH, PANEL_HEIGHT, LINE_HEIGHT = 3.4, 3.2, 0.42  # inches
MAX_MARKS = 8  # more differences are not marked
LEGEND = {"gone": "missing", "changed": "wrong label", "new": "not in the truth"}


def draw_images(images: torch.Tensor, truth: GraphBatch, predicted: GraphBatch | None = None) -> Figure:
    """One row per image: the image, its true graph, and the predicted graph with a verdict.

    Nodes of both graphs are matched by their neighborhoods, so that corresponding nodes have the same position;
    differences are marked.

    Args:
        images: (n, C, S, S) in [0, 1], with C = 1 or 3.
        truth: n graphs.
        predicted: n graphs, or None.

    Raises:
        ValueError: If the shape of the images or the number of graphs is wrong.
    """
    n = len(images)
    if images.dim() != 4 or images.shape[1] not in (1, 3) or not n:
        raise ValueError(f"images must be (n, C, S, S), n > 0, C = 1 or 3, got {tuple(images.shape)}")
    for graphs in (truth, predicted):
        if graphs is not None and len(graphs) != n:
            raise ValueError(f"need one graph for each of {n} images, got {len(graphs)}")
    slots = max(graphs.slots() for graphs in (truth, predicted) if graphs is not None)
    truth, predicted = truth.dense(slots), None if predicted is None else predicted.dense(slots)
    columns, block = 2 if predicted is None else 3, PANEL_HEIGHT + LINE_HEIGHT
    size = (PANEL_WIDTH * columns, block * n + LINE_HEIGHT)
    figure, seen = Picture(figsize=size), set()

    def axes(row: int, column: int):
        low = (size[1] - (row + 1) * block) / size[1]
        return figure.add_axes((column / columns, low, 1 / columns, PANEL_HEIGHT / size[1]))

    def title(row: int, column: int, text: str):
        height = (size[1] - row * block - 0.5 * LINE_HEIGHT) / size[1]
        place: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 15, "fontweight": "bold", "gid": "title"}
        figure.text((column + 0.5) / columns, height, text, **place)

    for row in range(n):
        ax = axes(row, 0)
        ax.imshow(images[row].permute(1, 2, 0).expand(-1, -1, 3).clamp(0, 1).cpu().numpy(), gid=f"image-{row}")
        ax.set_axis_off()
        title(row, 0, "image")
        title(row, 1, "its graph")
        if predicted is None:
            draw_panel(truth[row], axes(row, 1), layout(truth[row]), [])
            continue
        ours = align_nodes(predicted[row], truth[row])
        right = isomorphic(ours, truth[row]).item()
        marks = [] if right else differences(truth[row], ours, MAX_MARKS)
        seen |= {kind for _, kind in marks}
        title(row, 2, "predicted: right" if right else "predicted: wrong")
        for column, (one, positions) in enumerate(zip((truth[row], ours), aligned_layouts(truth[row], ours)), 1):
            elsewhere = "new" if column == 1 else "gone"
            draw_panel(one, axes(row, column), positions, [mark for mark in marks if mark[1] != elsewhere])
    if seen:
        shown = {kind: look for kind, look in MARKS.items() if kind in seen}
        keys = [Line2D([], [], color=color, ls=dash, lw=6) for color, dash, _ in shown.values()]
        words = [LEGEND[kind] for kind in shown]
        figure.legend(keys, words, loc="lower center", ncols=3, frameon=False, fontsize=13, handlelength=3)
    return figure


def align_nodes(graph: Graph, other: Graph) -> Graph:
    """A graph (batch of one) with its nodes permuted to resemble another graph with the same number of slots.

    Nodes that agree through most rounds of color refinement are matched; then pairs are exchanged while fewer nodes
    and edges differ. The best result over 0, 1 and all rounds is returned.
    """
    nodes, edges = (labels[0] for labels in graph.labels())
    other_nodes, other_edges = (labels[0] for labels in other.labels())

    def difference(order: torch.Tensor) -> int:
        return int((nodes[order] != other_nodes).sum() + (edges[order][:, order] != other_edges).triu(1).sum())

    found = []
    for rounds in (0, 1, ROUNDS):
        own, others = (torch.stack(node_colors(one, rounds), -1)[0] for one in (graph, other))
        alike = (others[:, None] == own[None]).sum(-1)
        order, better = torch.from_numpy(linear_sum_assignment(-alike.numpy())[1]), True
        while better:
            exchanged = [order.clone() for _ in combinations(order, 2)]
            for one, pair in zip(exchanged, combinations(range(len(order)), 2)):
                one[list(pair)] = order[list(pair[::-1])]
            best = min(exchanged, key=difference, default=order)
            better = difference(best) < difference(order)
            order = best if better else order
        found.append(order)
    return graph.permuted(min(found, key=difference))
