"""Images beside their graphs: what was seen, what is true, what was predicted."""

from itertools import combinations

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from elekit.draw.figure import Picture
from elekit.draw.layouts import layout
from elekit.draw.pairs import MARKS, aligned_layouts, differences, draw_panel
from elekit.graphs.edit_distance import isomorphic, optimize
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import ROUNDS, node_colors

WIDTH, HEIGHT, LINE = 3.4, 3.2, 0.42  # inches: of a panel, and of a line of text
FEW = 8  # differences that are marked; of more none is
WORDS = {"gone": "missed", "changed": "another label", "new": "not in the truth"}


def images(images: torch.Tensor, truth: Graph, predicted: Graph | None = None) -> Figure:
    """One row for each image: the image, its true graph and, where given, the predicted one and whether it is right.

    images: (n, C, S, S) in [0, 1], C = 1 or 3. truth, predicted: batches of n. Nodes of both are matched by what
    stands around them, so that a prediction lies like its truth, and what differs is marked: see the key. Right is a
    prediction that is isomorphic to the truth.
    Raises ValueError for images of another shape, and for batches of other sizes.
    """
    n = len(images)
    if images.dim() != 4 or images.shape[1] not in (1, 3) or not n:
        raise ValueError(f"images must be (n, C, S, S), n > 0, C = 1 or 3, got {tuple(images.shape)}")
    for graphs in (truth, predicted):
        if graphs is not None and len(graphs) != n:
            raise ValueError(f"want one graph for each of {n} images, got {len(graphs)}")
    columns, block = 2 if predicted is None else 3, HEIGHT + LINE
    size = (WIDTH * columns, block * n + LINE)
    figure, seen = Picture(figsize=size), set()

    def axes(row: int, column: int):
        low = (size[1] - (row + 1) * block) / size[1]
        return figure.add_axes((column / columns, low, 1 / columns, HEIGHT / size[1]))

    def say(row: int, column: int, words: str):
        height = (size[1] - row * block - 0.5 * LINE) / size[1]
        place = {"ha": "center", "va": "center", "fontsize": 15, "fontweight": "bold", "gid": "said"}
        figure.text((column + 0.5) / columns, height, words, **place)

    for row in range(n):
        ax = axes(row, 0)
        ax.imshow(images[row].permute(1, 2, 0).expand(-1, -1, 3).clamp(0, 1).cpu().numpy(), gid=f"image-{row}")
        ax.set_axis_off()
        say(row, 0, "image")
        say(row, 1, "its graph")
        if predicted is None:
            draw_panel(truth[row], axes(row, 1), layout(truth[row]), [])
            continue
        ours = alike_ordered(predicted[row], truth[row])
        right = isomorphic(ours, truth[row]).item()
        marks = [] if right else differences(truth[row], ours, FEW)
        seen |= {kind for _, kind in marks}
        say(row, 2, "predicted: right" if right else "predicted: wrong")
        for column, (one, positions) in enumerate(zip((truth[row], ours), aligned_layouts(truth[row], ours)), 1):
            elsewhere = "new" if column == 1 else "gone"
            draw_panel(one, axes(row, column), positions, [mark for mark in marks if mark[1] != elsewhere])
    if seen:
        shown = {kind: look for kind, look in MARKS.items() if kind in seen}
        keys = [Line2D([], [], color=color, ls=dash, lw=6) for color, dash, _ in shown.values()]
        words = [WORDS[kind] for kind in shown]
        figure.legend(keys, words, loc="lower center", ncols=3, frameon=False, fontsize=13, handlelength=3)
    return figure


def alike_ordered(graph: Graph, other: Graph) -> Graph:
    """A graph (batch of one) in an order of nodes in which it is much like another of as many slots.

    Nodes that agree through the most rounds of color refinement are matched, then pairs of them exchanged as long as
    fewer nodes and links differ; after few rounds and after many, of which the better is taken.
    """
    nodes, edges = (labels[0] for labels in graph.labels())
    wanted_nodes, wanted_edges = (labels[0] for labels in other.labels())

    def apart(order: torch.Tensor) -> int:
        return int((nodes[order] != wanted_nodes).sum() + (edges[order][:, order] != wanted_edges).triu(1).sum())

    found = []
    for rounds in (0, 1, ROUNDS):
        ours, theirs = (torch.stack(node_colors(one, rounds), -1)[0] for one in (graph, other))
        alike = (theirs[:, None] == ours[None]).sum(-1)
        order, better = torch.from_numpy(optimize.linear_sum_assignment(-alike.numpy())[1]), True
        while better:
            exchanged = [order.clone() for _ in combinations(order, 2)]
            for one, pair in zip(exchanged, combinations(range(len(order)), 2)):
                one[list(pair)] = order[list(pair[::-1])]
            best = min(exchanged, key=apart, default=order)
            better = apart(best) < apart(order)
            order = best if better else order
        found.append(order)
    return graph.permuted(min(found, key=apart))
