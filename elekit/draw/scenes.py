"""Graphs as plain JSON for drawing outside matplotlib: in the browser and as SVG."""

import numpy as np

from elekit.draw.base import chosen_atom_colors, require_single
from elekit.draw.layouts import layout, ring_centers
from elekit.draw.shapes import arrow_directions, label_colors, line_counts, vertex_labels
from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary


def palette(vocabulary: GraphVocabulary) -> dict:
    """Names and appearance of the labels, without "absent" and "no edge".

    nodes: label names. edges: names of the edge channels. colors: "#rrggbb" per node label. vertices: node labels
    drawn as a small dot. strokes: number of lines per edge label if the labels are bonds (1.5: one of two is dashed).
    arrows: direction of each edge channel, as of `arrow_directions`. written: text on an edge for each channel; None
    if edges are not labeled by words. atoms: name of the colors of atoms, see `elekit.draw.atom_colors`.
    """
    strokes, labels = line_counts(vocabulary), vocabulary.edge_labels
    written = [labels[r - 1] for r in vocabulary.label_of[1:].tolist()]
    return {
        "nodes": list(vocabulary.node_labels),
        "colors": ["#" + "".join(f"{round(255 * part):02x}" for part in color) for color in label_colors(vocabulary)],
        "atoms": chosen_atom_colors(),
        "vertices": vertex_labels(vocabulary),
        "edges": list(vocabulary.edge_names[1:]),
        "strokes": strokes,
        "arrows": arrow_directions(vocabulary),
        "written": None if strokes or len(labels) == 1 else written,
    }


def scene(graph: GraphBatch, positions=None) -> dict:
    """One rounded graph. nodes: N channels; edges: [i, j, channel] with i < j; positions: N pairs, see `layout`.

    centers: [i, j, x, y] of the rings that bonds are drawn into. Raises ValueError if the batch is not one graph.
    """
    graph = require_single(graph)
    (nodes,), (edges,) = (t.cpu() for t in graph.labels())
    found = edges.triu(1).nonzero().tolist()
    positions = layout(graph) if positions is None else np.asarray(positions)
    return {
        "nodes": nodes.tolist(),
        "edges": [[i, j, int(edges[i, j])] for i, j in found],
        "positions": positions.round(3).tolist(),
        "centers": listed_centers(graph, positions),
    }


def listed_centers(graph: Graph, positions) -> list[list[float]]:
    """[i, j, x, y] of `ring_centers`, as plain JSON."""
    return [[i, j, *at.round(3).tolist()] for (i, j), at in ring_centers(graph, positions).items()]
