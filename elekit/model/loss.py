"""The learned loss Delta_theta(y, y') = ||psi(y) - psi(y')||^2 = 2 - 2 <psi(y), psi(y')> (floor 2)."""

from collections.abc import Callable

import torch
from torch import Tensor

from elekit.graphs.graph import Graph

Psi = Callable[[Graph], Tensor]
"""Any differentiable map from a batch of relaxed graphs to unit vectors (B, D)."""

BATCH_SIZE = 256  # graphs embedded at a time: bounded memory, and what fits a processor's cache


def points_of(psi: Psi, graphs: Graph) -> Tensor:
    """psi of any number of graphs, BATCH_SIZE at a time and without gradients: (B, D); (0, 0) of none."""
    with torch.no_grad():
        rows, parts = (
            zip(*((rows, psi(block)) for rows, block in graphs.blocks(BATCH_SIZE))) if len(graphs) else ((), ())
        )
    return torch.cat(parts)[torch.cat(rows).argsort()] if parts else torch.empty(0, 0)


def squared_distance(u: Tensor, v: Tensor) -> Tensor:
    """`2 - 2 <u, v>` of unit vectors, in [0, 4]; (..., D) x (..., D) -> (...), broadcasting."""
    return 2 - 2 * (u * v).sum(-1)


def paired_distance(u: Tensor, v: Tensor) -> Tensor:
    """Learned loss `||u - v||^2` of paired unit vectors, in float64: of near points exacter than `2 - 2 <u, v>`."""
    return (u.double() - v.double()).square().sum(-1)


class LearnedLoss:
    """Delta_theta of any psi: graphs, or points of the sphere, in; (B,) out, in [0, 4]; symmetric, zero on self."""

    def __init__(self, psi: Psi):
        self.psi = psi

    def __call__(self, y: Graph | Tensor, other: Graph | Tensor) -> Tensor:
        """Loss of pairs: row b of `y` against row b of `other`; a batch of one is compared with all."""
        return squared_distance(self._point(y), self._point(other))

    def matrix(self, y: Graph | Tensor, other: Graph | Tensor) -> Tensor:
        """Loss of every `y` against every `other`: (B, C)."""
        return 2 - 2 * self._point(y) @ self._point(other).T

    def _point(self, y: Graph | Tensor) -> Tensor:
        return self.psi(y) if isinstance(y, Graph) else y
