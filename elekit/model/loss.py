"""The learned loss Delta_theta(y, y') = ||psi(y) - psi(y')||^2 = 2 - 2 <psi(y), psi(y')>."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphBatch, by_blocks
from elekit.graphs.packed import PackedGraphs

Psi = Callable[[Any], Tensor]
"""Any differentiable map from a batch of relaxed graphs (`Graph`) to unit vectors (B, D).

One with the attribute `reads_packed` also maps `PackedGraphs`.
"""

SLOTS = 32  # vocabularies of up to so many nodes have blocks of one size
BATCH_SIZE = 256  # graphs embedded at a time: bounds memory and fits a processor's cache


def points_of(psi: Psi, graphs: GraphBatch, check: bool = True) -> Tensor:
    """psi of any number of graphs, in batches and without gradients: (B, D), or (0, 0); finite if checked."""
    if not len(graphs):
        return torch.empty(0, 0)
    with torch.no_grad():
        if isinstance(graphs, PackedGraphs) and getattr(psi, "reads_packed", False):
            starts = range(0, len(graphs), BATCH_SIZE)
            points = torch.cat([psi(graphs[start : start + BATCH_SIZE]) for start in starts])
        else:
            points = in_blocks(psi, graphs)
    return checked_finite(points, "psi", "graph") if check else points


def in_blocks(psi: Psi, graphs: GraphBatch) -> Tensor:
    """psi (B, D) of dense blocks; of packed graphs in at least `SLOTS` slots, so that psi may be of fixed size."""
    least = min(graphs.vocabulary.max_nodes, SLOTS) if isinstance(graphs, PackedGraphs) else 1
    return by_blocks(lambda block: psi(block.dense(max(block.slots(), least))), graphs, BATCH_SIZE)


def checked_finite(points: Tensor, of: str, what: str) -> Tensor:
    """The points (B, D); raises FloatingPointError for the first that is not finite."""
    bad = ~torch.isfinite(points).all(-1)
    if bad.any():
        raise FloatingPointError(
            f"{of} of {what} {int(bad.nonzero()[0])} is not finite: damaged weights, or a diverged training"
        )
    return points


def squared_distance(u: Tensor, v: Tensor) -> Tensor:
    """`2 - 2 <u, v>` of unit vectors, in [0, 4]; (..., D) x (..., D) -> (...), broadcasting."""
    return 2 - 2 * (u * v).sum(-1)


def paired_distance(u: Tensor, v: Tensor) -> Tensor:
    """Learned loss `||u - v||^2` of paired unit vectors, in float64: more exact than `squared_distance`."""
    return (u.double() - v.double()).square().sum(-1)


class LearnedLoss:
    """Delta_theta, the learned loss of an embedding: in [0, 4], symmetric, zero for equal graphs.

    Args:
        psi: Embedding of graphs.
    """

    def __init__(self, psi: Psi):
        self.psi = psi

    def __call__(self, y: GraphBatch | Tensor, other: GraphBatch | Tensor) -> Tensor:
        """Loss of pairs.

        Args:
            y: B graphs, or their points (B, D).
            other: B graphs or points. A batch of one, here or in `y`, is compared with all rows of the other.

        Returns:
            (B,) losses.
        """
        return squared_distance(self._point(y), self._point(other))

    def matrix(self, y: GraphBatch | Tensor, other: GraphBatch | Tensor) -> Tensor:
        """Loss of every `y` against every `other`.

        Args:
            y: B graphs, or their points (B, D).
            other: C graphs, or their points (C, D).

        Returns:
            (B, C) losses.
        """
        return 2 - 2 * self._point(y) @ self._point(other).T

    def _point(self, y: GraphBatch | Tensor) -> Tensor:
        if isinstance(y, Graph) or (isinstance(y, GraphBatch) and getattr(self.psi, "reads_packed", False)):
            return self.psi(y)
        return in_blocks(self.psi, y) if isinstance(y, GraphBatch) else y
