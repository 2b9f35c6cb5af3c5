"""psi as a picture: what one node sees after each round, what all nodes add, and the point that the sum becomes."""

import networkx as nx
import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from elekit.draw.base import OKABE_ITO, RADIUS, require_single, to_numpy
from elekit.draw.figure import Picture
from elekit.draw.layouts import layout
from elekit.draw.structures import graph as draw_graph
from elekit.graphs.graph import Graph, to_networkx
from elekit.model.embedding import GraphEmbedding

SHOWN = 16  # dimensions drawn
MAP = colormaps["cividis"]


def network(psi: GraphEmbedding, graph: Graph, node: int = 0) -> Figure:
    """Draw how a local psi computes the point of a graph.

    Above is the graph, once before and once after each round of messages; circles mark what the state of one node
    depends on by then. Below is what each node adds to the first dimensions of the sphere; the sum, with a constant,
    and divided by its length, is the point.

    Args:
        psi: A local embedding.
        graph: Batch of one.
        node: The node to follow.

    Returns:
        The figure.

    Raises:
        ValueError: If the batch does not hold one graph, or it has no such node.
    """
    graph = require_single(graph)
    (plain,) = to_networkx(graph)
    nodes, positions = sorted(plain), layout(graph)
    if node not in plain:
        raise ValueError(f"the graph has no node {node}; its nodes are {', '.join(map(str, nodes))}")
    rounds = psi.config.rounds
    figure = Picture(figsize=(2.7 * (rounds + 1), 6.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    hops = nx.single_source_shortest_path_length(plain, node)
    for n, ax in enumerate(above.subplots(1, rounds + 1)):
        for seen in (other for other, steps in hops.items() if steps <= n):
            ax.add_patch(Circle(positions[seen], 1.6 * RADIUS, color=OKABE_ITO[1], alpha=0.55, lw=0, zorder=0))
        draw_graph(graph, ax, positions=positions)
        ax.set_title(f"node {node} after {n} round{'s' * (n != 1)}" if n else f"node {node} at first", fontsize=13)
    with torch.no_grad():
        added = psi.contributions(graph, torch.eye(psi.config.dim)[:, :SHOWN])[nodes]
        rows = torch.cat([added, psi.offset[None, :SHOWN]])
    labels = [f"node {i}: {plain.nodes[i]['label']}" for i in nodes] + ["constant"]
    left, right = below.subplots(1, 2, width_ratios=(1, 1))
    _heat(left, to_numpy(rows), labels, f"what each node adds to dimensions 1 to {SHOWN} of {psi.config.dim}")
    _heat(
        right,
        to_numpy(psi.embed(graph)[:, :SHOWN]),
        ["psi(y)"],
        "their sum, divided by its length: the point on the sphere",
    )
    return figure


def _heat(ax, values: np.ndarray, labels: list[str], title: str) -> None:
    """Numbers as colors, dark below zero and bright above."""
    most = np.abs(values).max()
    ax.imshow(values, cmap=MAP, vmin=-most, vmax=most, aspect="auto" if len(values) > 1 else 3)
    ax.set_yticks(range(len(labels)), labels, fontsize=11)
    ax.set_xticks([])
    ax.set_title(title, fontsize=12)
