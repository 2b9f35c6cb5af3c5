"""Graphs as plain JSON, for those who draw them elsewhere: the widgets' browser side."""

import numpy as np

from elekit.draw.base import has_bond_orders, hold_one, label_colors
from elekit.draw.layouts import layout
from elekit.graphs.graph import Graph, GraphVocabulary


def palette(vocabulary: GraphVocabulary) -> dict:
    """Names and looks of the labels, "absent" and "no edge" left out.

    nodes, edges: names. colors: one "#rrggbb" for each node label. strokes: how many lines an edge of each label
    is, where labels are bond orders; None where edge labels are to be written.
    """
    strokes = [int(order) for order in vocabulary.order] if has_bond_orders(vocabulary) else None
    return {
        "nodes": list(vocabulary.node_labels),
        "colors": ["#" + "".join(f"{round(255 * part):02x}" for part in color) for color in label_colors(vocabulary)],
        "edges": list(vocabulary.edge_labels),
        "strokes": strokes,
    }


def scene(graph: Graph, positions=None) -> dict:
    """One graph, rounded. nodes: N channels; edges: [i, j, channel] with i < j; positions: N pairs, as of `layout`.

    Raises ValueError for a batch that is not of one graph.
    """
    hold_one(graph)
    (nodes,), (edges,) = (t.cpu() for t in graph.labels())
    found = edges.triu(1).nonzero().tolist()
    positions = layout(graph) if positions is None else np.asarray(positions)
    return {
        "nodes": nodes.tolist(),
        "edges": [[i, j, int(edges[i, j])] for i, j in found],
        "positions": positions.round(3).tolist(),
    }
