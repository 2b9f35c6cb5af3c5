"""Checks and conversions of arguments: one graph, one anchor, many points."""

import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphBatch
from elekit.model.loss import Psi, points_of

SPARE = 8  # free node slots
TOLERANCE = 1e-3  # of the length of unit vectors


def single_graph(graph: GraphBatch, what: str = "graph") -> Graph:
    """The graph, dense; ValueError unless it is a batch of one."""
    if len(graph) != 1:
        raise ValueError(f"{what} must be a batch of one, got a batch of {len(graph)}; use graphs[0]")
    return graph.dense()


def trimmed(graph: Graph) -> Graph:
    """The graphs without the absent slots at the end, but for `SPARE`; psi has the same value for both."""
    used = int((graph.labels()[0] > 0).any(0).nonzero().amax()) + 1 if len(graph) and graph.labels()[0].any() else 0
    N = min(graph.nodes.shape[1], used + SPARE)
    return Graph(graph.nodes[:, :N], graph.edges[:, :N, :N], graph.vocabulary)


def anchor_point(psi: Psi, anchor: GraphBatch | Tensor) -> Tensor:
    """(D,) psi of a batch of one, or a unit vector (D,) or (1, D)."""
    if isinstance(anchor, GraphBatch):
        return points_of(psi, single_graph(anchor, "anchor"))[0]
    return unit_vector(anchor)


def unit_vector(point: Tensor) -> Tensor:
    """(D,) a unit vector given as (D,) or (1, D), detached; ValueError for another shape or length."""
    rows = point[None] if point.ndim == 1 else point
    if rows.ndim != 2 or len(rows) != 1:
        raise ValueError(f"expected a graph or one unit vector (D,), got shape {tuple(point.shape)}; use points[0]")
    return _unit_vectors(rows, "point")[0]


def _unit_vectors(points: Tensor, what: str) -> Tensor:
    points = finite_points(points)
    off = (points.norm(dim=1) - 1).abs() > TOLERANCE
    if off.any():
        row = int(off.nonzero()[0])
        wrong = f"row {row} of the {what} is not a unit vector, its length is {float(points[row].norm()):.3g}"
        raise ValueError(f"{wrong}; use elekit.graphs.projections.sphere")
    return points


def finite_points(points: Tensor) -> Tensor:
    """Points (n, D), detached; ValueError for another shape, n = 0, and NaN or infinity."""
    if points.ndim != 2 or not len(points):
        raise ValueError(f"points must be (n, D), n >= 1, got shape {tuple(points.shape)}")
    bad = ~torch.isfinite(points.sum(1))  # a third of the time of looking at each number
    if bad.any():
        bad = ~torch.isfinite(points).all(1)
    if bad.any():
        raise ValueError(f"point {int(bad.nonzero()[0])} has NaN or infinity, as have {int(bad.sum())} of {len(bad)}")
    return points.detach()


def reference_points(psi: Psi, given: GraphBatch | Tensor, graph: GraphBatch, what: str) -> Tensor:
    """(n, D) psi of n >= 1 graphs with the labels of `graph`, or n unit vectors."""
    if isinstance(given, GraphBatch):
        own, labels = ((v.node_labels, v.edge_names[1:]) for v in (graph.vocabulary, given.vocabulary))
        if own != labels:
            raise ValueError(f"labels of the {what} are {labels}, those of the graph {own}; they must be the same")
        if not len(given):
            raise ValueError(f"no graphs in the {what}: the batch is empty; give at least one")
        return finite_points(points_of(psi, given, check=False))
    return _unit_vectors(given, what)
