"""Positions of labels and of new nodes beside a drawn graph, and the color ramp of edit prices; no matplotlib."""

import numpy as np

from elekit.draw.base import RADIUS, require_single, to_numpy
from elekit.draw.shapes import distance_to_segments
from elekit.graphs.graph import Graph

# matplotlib's cividis from 0 to 0.94; its light end is faint on white
RAMP = ["#00224e", "#163770", "#3f4c6c", "#5c616e", "#767676", "#928c78", "#afa471", "#cfbd62", "#f0d846"]
DIRECTIONS = np.stack([np.cos(a := np.arange(36) * np.pi / 18), np.sin(a)], 1)


def finite_range(*values) -> tuple[float, float]:
    """Minimum and maximum of all finite values, at least 1e-6 apart; (0, 1) if there are none."""
    finite = np.concatenate([to_numpy(v).ravel() for v in values])
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return low, max(high, low + 1e-6)


def decimals(high: float) -> int:
    """Decimals that tell prices up to `high` apart, also those of large graphs: 2 to 5."""
    return int(np.clip(1 - np.floor(np.log10(max(high, 1e-9))), 2, 5))


def signed(value: float) -> str:
    """A value with sign and two digits; no sign if it rounds to zero."""
    words = f"{value:+.2f}"
    return words if words.strip("+-0.") else "0.00"


def neighbor_positions(graph: Graph, positions) -> np.ndarray:
    """(N, 2) position for a new neighbor of each node, at least one edge length away; nan if the node is absent."""
    graph = require_single(graph)
    positions, found = to_numpy(positions), np.full(np.shape(positions), np.nan)
    present, segments = present_parts(graph, positions)
    for i in present:
        near = np.delete(present, np.searchsorted(present, i))
        for reach in (1.0, 1.4, 1.9, 2.5):
            tried = positions[i] + reach * DIRECTIONS
            to_nodes = distance_to_segments(tried, positions[near], positions[near])
            free = np.minimum(to_nodes, distance_to_segments(tried, *segments))
            found[i] = tried[free.round(3).argmax()]
            if free.max() > 2.2 * RADIUS:
                break
    return found


def label_positions(graph: Graph, positions) -> tuple[np.ndarray, dict[tuple[int, int], np.ndarray]]:
    """Free positions for a text at each node, (N, 2), nan if absent, and at each edge, {(i, j): (2,)}, i < j."""
    positions = to_numpy(positions)
    present, _ = present_parts(graph, positions)
    out = neighbor_positions(graph, positions) - positions
    out = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    to_others = positions[present] - positions[:, None]  # (N, nodes, 2)
    ahead = np.maximum((to_others * out[:, None]).sum(-1), 1e-9)
    halfway = (np.square(to_others).sum(-1) / (2 * ahead) + (to_others == 0).all(-1) * 9).min(1, initial=9.0)
    reach = np.minimum(0.6 + 0.2 * np.abs(out[:, 0]), 0.98 * halfway)  # text is wider than high
    of_nodes = positions + reach[:, None] * out
    of_edges, taken = {}, of_nodes[present]
    for i, j in graph.labels()[1][0].cpu().triu(1).nonzero().tolist():
        middle, along = (positions[i] + positions[j]) / 2, positions[j] - positions[i]
        across = np.array([-along[1], along[0]]) / max(np.linalg.norm(along), 1e-9)
        tried = middle + 0.27 * np.stack([across, -across])
        others = positions[[n for n in present if n not in (i, j)]]
        to_words = (tried[:, None] - taken) * [0.5, 1.2]  # text is wider than high
        free = [np.linalg.norm(gaps, axis=-1).min(1, initial=9.0) for gaps in (to_words, tried[:, None] - others)]
        free = np.minimum(*free)
        of_edges[i, j] = tried[free.round(3).argmax()]
        taken = np.concatenate([taken, of_edges[i, j][None]])
    return of_nodes, of_edges


def present_parts(graph: Graph, positions: np.ndarray):
    """Indices of the present nodes, and the start and end points of the edges."""
    nodes, edges = (labels[0].cpu() for labels in graph.labels())
    i, j = edges.triu(1).nonzero().numpy().T
    return nodes.nonzero()[:, 0].numpy(), (positions[i], positions[j])
