"""What every question takes: one graph, the point it is held against, many points; and what graphs are called."""

import torch
from torch import Tensor

from elekit.evaluation.formatting import counted
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of

SLACK = 1e-3  # how far from 1 the length of a unit vector may be


def one(graph: Graph, what: str = "graph") -> Graph:
    """The graph itself; ValueError unless it is a batch of one."""
    if len(graph) != 1:
        raise ValueError(f"{what} must be a batch of one, got a batch of {len(graph)}; use graphs[0]")
    return graph


def point_of(psi: Psi, anchor: Graph | Tensor) -> Tensor:
    """(D,) where an anchor lies on the sphere: psi of a graph, or a unit vector (D,) or (1, D) as it is."""
    return points_of(psi, one(anchor, "anchor"))[0] if isinstance(anchor, Graph) else unit(anchor)


def unit(point: Tensor) -> Tensor:
    """(D,) a unit vector given as (D,) or (1, D), detached; ValueError for another shape or length."""
    shape, point = tuple(point.shape), point.detach()
    point = point[0] if len(shape) == 2 and len(point) == 1 else point
    if point.ndim != 1:
        raise ValueError(f"want a graph or one unit vector (D,), got shape {shape}; use points[0]")
    if not abs(float(point.norm()) - 1) <= SLACK:
        raise ValueError(f"want a unit vector, got one of length {float(point.norm()):.3g}; use project.sphere")
    return point


def called(graphs: Graph) -> list[str]:
    """What graphs are called: SMILES of molecules, otherwise how large they are."""
    from elekit.graphs.smiles import is_molecular, to_smiles  # RDKit loads here, not with `import elekit`

    if is_molecular(graphs.vocabulary):
        return [smiles or "no valid molecule" for smiles in to_smiles(graphs)]
    nodes, edges = graphs.labels()
    counts = zip((nodes > 0).sum(1).tolist(), ((edges > 0).sum((1, 2)) // 2).tolist())
    return [f"a graph of {counted(n, 'node')} and {counted(e, 'edge')}" for n, e in counts]


def finite(points: Tensor) -> Tensor:
    """Points (n, D), detached; ValueError for another shape, for none, and for NaN or infinity."""
    if points.ndim != 2 or not len(points):
        raise ValueError(f"points must be (n, D), n >= 1, got shape {tuple(points.shape)}")
    bad = ~torch.isfinite(points).all(1)
    if bad.any():
        raise ValueError(f"point {int(bad.nonzero()[0])} holds NaN or infinity ({int(bad.sum())} of {len(bad)} do)")
    return points.detach()


def points_given(psi: Psi, given: Graph | Tensor, graph: Graph, what: str) -> Tensor:
    """(n, D) where graphs lie, n >= 1: psi of a batch with the labels of `graph`, or unit vectors as they are."""
    if isinstance(given, Graph):
        ours, theirs = ((v.node_labels, v.edge_labels) for v in (graph.vocabulary, given.vocabulary))
        if ours != theirs:
            raise ValueError(f"labels of the {what} are {theirs}, those of the graph {ours}; they must be the same")
        if not len(given):
            raise ValueError(f"no graphs in the {what}: the batch is empty; give at least one")
        return finite(points_of(psi, given))
    points = finite(given)
    off = (points.norm(dim=1) - 1).abs() > SLACK
    if off.any():
        row = int(off.nonzero()[0])
        raise ValueError(
            f"row {row} of the {what} is no unit vector, its length is {float(points[row].norm()):.3g}; "
            "use project.sphere"
        )
    return points
