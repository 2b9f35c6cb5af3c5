"""Decoding over a candidate set: exact top-k by the learned loss, in bounded memory."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from elekit.decoding.trace import Decoded
from elekit.graphs._schema import require_positive
from elekit.graphs.constraints import Constraints
from elekit.graphs.graph import GraphBatch
from elekit.graphs.prior import GraphPrior
from elekit.model.loss import Psi, points_of

BATCH_SIZE = 4_096  # candidates compared at a time


@dataclass(frozen=True, eq=False)
class Candidates:
    """A candidate set with its embedding.

    Args:
        graphs: C graphs to choose from, C >= 1.
        points: (C, D) psi of the graphs.
        satisfied: Constraints that the graphs are known to satisfy, see `within`.

    Raises:
        ValueError: If there are no graphs, if the lengths differ, or if a point is NaN or infinite.
    """

    graphs: GraphBatch
    points: Tensor
    satisfied: Constraints = field(default=Constraints(), repr=False)

    def __post_init__(self) -> None:
        if len(self.graphs) == 0:
            raise ValueError("no candidates given; decode without candidates by decode_gradient")
        if len(self.graphs) != len(self.points):
            raise ValueError(f"{len(self.graphs)} candidates, but {len(self.points)} points: give one for each")
        bad = ~torch.isfinite(self.points).all(1)
        if bad.any():
            first = int(bad.nonzero()[0])
            raise ValueError(f"psi of candidate {first} is NaN or infinite ({int(bad.sum())} of {len(bad)} are)")

    @classmethod
    def of(cls, psi: Psi, graphs: "GraphBatch | Candidates") -> "Candidates":
        """Embed a candidate set.

        Args:
            psi: Embedding of graphs.
            graphs: C graphs; `Candidates` are returned unchanged.

        Returns:
            The graphs with their points.
        """
        return graphs if isinstance(graphs, Candidates) else cls(graphs, points_of(psi, graphs))

    def __len__(self) -> int:
        return len(self.graphs)

    def within(self, constraints: Constraints) -> "Candidates":
        """Leave out the graphs that violate constraints; capacities do not count.

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
        return replace(self, graphs=self.graphs[fits], points=self.points[fits], satisfied=constraints)


def nearest(target: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of C points: learned losses (B, k) and indices (B, k), best first; k is cut to C.

    Exact, in bounded memory. The order of equally near points is not defined.
    """
    require_positive(k=k)
    k = min(k, len(points))
    best, index = target.new_empty(len(target), 0), torch.empty(len(target), 0, dtype=torch.long)
    for start in range(0, len(points), BATCH_SIZE):
        score = target @ points[start : start + BATCH_SIZE].T
        score, place = score.topk(min(k, score.shape[1]), dim=1)
        score, number = torch.cat([best, score], 1), torch.cat([index, place + start], 1)
        best, place = score.topk(min(k, score.shape[1]), dim=1)
        index = number.gather(1, place)
    return 2 - 2 * best, index


def decode_candidates(psi: Psi, target: Tensor, candidates: GraphBatch | Candidates, k: int = 1) -> Decoded:
    """Decode over a candidate set: `argmin_y 2 - 2 <target, psi(y)>`, exactly.

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
    loss, index = nearest(target.detach(), candidates.points, k)
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
