"""Decoding over a candidate set: top-k by the learned loss, exact up to a million candidates."""

import warnings
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from elekit.decoding.index import RECALL, PointIndex, has_faiss, nearest
from elekit.decoding.trace import Decoded
from elekit.graphs.constraints import Constraints
from elekit.graphs.graph import GraphBatch
from elekit.graphs.prior import GraphPrior
from elekit.model.loss import Psi, points_of

MANY = 1_000_000  # so many candidates are searched approximately


@dataclass(frozen=True, eq=False)
class Candidates:
    """A candidate set with its embedding.

    Args:
        graphs: C graphs to choose from, C >= 1.
        points: (C, D) psi of the graphs.
        satisfied: Constraints that the graphs are known to satisfy, see `within`.
        index: An index of the points, by which they are searched approximately; None = exactly. One that was saved
            brings its points along: `Candidates(graphs, index.points, index=index)`.

    Raises:
        ValueError: If there are no graphs, if the lengths differ, if a point is NaN or infinite, or if the index is
            one of other points.
    """

    graphs: GraphBatch
    points: Tensor
    satisfied: Constraints = field(default=Constraints(), repr=False)
    index: PointIndex | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if len(self.graphs) == 0:
            raise ValueError("no candidates given; decode without candidates by decode_gradient")
        if len(self.graphs) != len(self.points):
            raise ValueError(f"{len(self.graphs)} candidates, but {len(self.points)} points: give one for each")
        bad = ~torch.isfinite(self.points).all(1)
        if bad.any():
            first = int(bad.nonzero()[0])
            raise ValueError(f"psi of candidate {first} is NaN or infinite ({int(bad.sum())} of {len(bad)} are)")
        if self.index is not None and not (
            self.index.points is self.points or torch.equal(self.index.points, self.points)
        ):
            raise ValueError("the index is one of other points; build it from the points of the candidates")

    @classmethod
    def of(cls, psi: Psi, graphs: "GraphBatch | Candidates", exact: bool = False) -> "Candidates":
        """Embed a candidate set; a million graphs or more get an index by which they are searched approximately.

        The index is made with FAISS (the extra `scale`), which takes about a minute for a million graphs, and is kept
        if it finds 99 % of the nearest points. Otherwise a warning says why the search is exact.

        Args:
            psi: Embedding of graphs.
            graphs: C graphs; `Candidates` are returned unchanged, but for their index if `exact`.
            exact: Whether to search exactly, whatever the number of graphs.

        Returns:
            The graphs with their points.
        """
        if isinstance(graphs, Candidates):
            return replace(graphs, index=None) if exact and graphs.index is not None else graphs
        points = points_of(psi, graphs)
        return cls(graphs, points, index=None if exact or len(points) < MANY else _index_of(points))

    def __len__(self) -> int:
        return len(self.graphs)

    def within(self, constraints: Constraints) -> "Candidates":
        """Leave out the graphs that violate constraints; capacities do not count.

        Where some are left out, the others are searched exactly: an index is one of all points.

        Args:
            constraints: What the graphs must satisfy.

        Returns:
            The other candidates.

        Raises:
            ValueError: If no graph satisfies the constraints.
        """
        if constraints == self.satisfied or not constraints:
            return self
        fits = constraints.structural(self.graphs) == 0
        if not fits.any():
            reason = constraints.reasons(self.graphs[0])[0]
            raise ValueError(f"none of {len(self)} candidates satisfies the constraints; the first {reason}")
        if fits.all():
            return replace(self, satisfied=constraints)
        return Candidates(self.graphs[fits], self.points[fits], constraints)

    def nearest(self, target: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Find the k nearest candidates of each target: exactly, or by the index if there is one.

        Args:
            target: (B, D) unit vectors.
            k: Number of candidates per target; cut to C.

        Returns:
            Learned losses (B, k), best first, and numbers (B, k) of the candidates.
        """
        if self.index is not None:
            return self.index.search(target, k)
        return nearest(target.detach(), self.points, k)


def _index_of(points: Tensor) -> PointIndex | None:
    """An index of many points, or None, with a warning that says why."""
    if not has_faiss():
        why = "FAISS is not installed; install it with: pip install 'elekit[scale]'"
    elif points.dtype != torch.float32 or points.device.type != "cpu":
        why = f"an index takes float32 on the CPU, not {points.dtype} on {points.device.type}"
    else:
        index = PointIndex.build(points)
        if min(index.recall.values()) >= RECALL:
            return index
        why = f"an index would miss too many ({index.describe()})"
    warnings.warn(f"{len(points):,} candidates are searched exactly, which is slow: {why}", stacklevel=3)
    return None


def decode_candidates(psi: Psi, target: Tensor, candidates: GraphBatch | Candidates, k: int = 1) -> Decoded:
    """Decode over a candidate set: `argmin_y 2 - 2 <target, psi(y)>`; exactly, unless the candidates have an index.

    Args:
        psi: Embedding of graphs.
        target: (B, D) unit vectors.
        candidates: Graphs to choose from.
        k: Number of alternatives per target; at most the number of candidates.

    Returns:
        The best candidate of each target, and the k best as alternatives.

    Raises:
        ValueError: If there are no candidates, or if a target is not finite.
    """
    candidates = Candidates.of(psi, candidates)
    check_target(target)
    loss, index = candidates.nearest(target.detach(), k)
    found = candidates.graphs[index.flatten()].dense()
    return Decoded(found[:: index.shape[1]], loss[:, 0], found, loss)


def constraints_of(psi: Psi, given: Constraints | None) -> Constraints:
    """Given constraints, or those that the training graphs of psi satisfy."""
    if given is not None:
        return given
    prior: GraphPrior | None = getattr(psi, "prior", None)
    return Constraints() if prior is None else prior.constraints


def check_target(target: Tensor) -> None:
    """Raise ValueError if `target` is not a non-empty batch (B, D) of finite vectors."""
    if target.dim() != 2 or len(target) == 0:
        raise ValueError(f"targets must be a batch of unit vectors (B, D), B > 0, got shape {tuple(target.shape)}")
    bad = ~torch.isfinite(target).all(1)
    if bad.any():
        raise ValueError(f"target {int(bad.nonzero()[0])} holds NaN or infinity ({int(bad.sum())} of {len(bad)} do)")
