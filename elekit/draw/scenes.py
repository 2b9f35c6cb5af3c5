"""Graphs as plain JSON for drawing outside matplotlib: in the browser and as SVG."""

import numpy as np

from elekit.draw.base import require_single
from elekit.draw.layouts import layout
from elekit.draw.shapes import has_bond_orders, label_colors
from elekit.graphs.graph import Graph, GraphVocabulary


def palette(vocabulary: GraphVocabulary) -> dict:
    """Names and appearance of the labels, without "absent" and "no edge".

    nodes, edges: label names. colors: "#rrggbb" per node label. strokes: number of lines per edge label if the
    labels are bond orders; None if edge labels are written.
    """
    strokes = [int(order) for order in vocabulary.order or ()] if has_bond_orders(vocabulary) else None
    return {
        "nodes": list(vocabulary.node_labels),
        "colors": ["#" + "".join(f"{round(255 * part):02x}" for part in color) for color in label_colors(vocabulary)],
        "edges": list(vocabulary.edge_labels),
        "strokes": strokes,
    }


def scene(graph: Graph, positions=None) -> dict:
    """One rounded graph. nodes: N channels; edges: [i, j, channel] with i < j; positions: N pairs, see `layout`.

    Raises ValueError if the batch does not hold one graph.
    """
    require_single(graph)
    (nodes,), (edges,) = (t.cpu() for t in graph.labels())
    found = edges.triu(1).nonzero().tolist()
    positions = layout(graph) if positions is None else np.asarray(positions)
    return {
        "nodes": nodes.tolist(),
        "edges": [[i, j, int(edges[i, j])] for i, j in found],
        "positions": positions.round(3).tolist(),
    }
