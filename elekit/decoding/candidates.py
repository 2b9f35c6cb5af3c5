"""Decoding over a candidate set: exact top-k by the learned loss, in bounded memory."""

from dataclasses import dataclass

import torch
from torch import Tensor

from elekit.decoding.trace import Decoded
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of

BLOCK = 4_096  # candidates compared at a time


@dataclass(frozen=True, eq=False)
class Candidates:
    """Graphs to choose from and where psi puts them; points (C, D). ValueError for none, and for NaN in points."""

    graphs: Graph
    points: Tensor

    def __post_init__(self):
        if len(self.graphs) == 0:
            raise ValueError("no candidates given; decode without candidates by decode_gradient")
        if len(self.graphs) != len(self.points):
            raise ValueError(f"{len(self.graphs)} candidates, but {len(self.points)} points: give one for each")
        bad = ~torch.isfinite(self.points).all(1)
        if bad.any():
            first = int(bad.nonzero()[0])
            raise ValueError(f"psi of candidate {first} is NaN or infinite ({int(bad.sum())} of {len(bad)} are)")

    @classmethod
    def of(cls, psi: Psi, graphs: "Graph | Candidates") -> "Candidates":
        """psi of every candidate; candidates that have their points come back as they are."""
        if isinstance(graphs, Candidates):
            return graphs
        return cls(graphs, points_of(psi, graphs))

    def __len__(self) -> int:
        return len(self.graphs)


def nearest(target: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Learned loss and number of the k nearest of C points: (B, k) and (B, k), best first; k is cut to C.

    Exact, in O(B * (BLOCK + k)) memory whatever C is. Which of equally near points come first is not promised.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    k = min(k, len(points))
    best, index = target.new_empty(len(target), 0), torch.empty(len(target), 0, dtype=torch.long)
    for start in range(0, len(points), BLOCK):
        score = target @ points[start : start + BLOCK].T
        score, place = score.topk(min(k, score.shape[1]), dim=1)
        score, number = torch.cat([best, score], 1), torch.cat([index, place + start], 1)  # a few of each block
        best, place = score.topk(min(k, score.shape[1]), dim=1)
        index = number.gather(1, place)
    return 2 - 2 * best, index


def decode_candidates(psi: Psi, target: Tensor, candidates: Graph | Candidates, k: int = 1) -> Decoded:
    """`argmin_y 2 - 2 <target, psi(y)>` over a candidate set; target (B, D) unit vectors.

    The k best of each target are in `alternatives`. Raises ValueError where there are no candidates.
    """
    candidates = Candidates.of(psi, candidates)
    check_target(target)
    loss, index = nearest(target.detach(), candidates.points, k)
    return Decoded(candidates.graphs[index[:, 0]], loss[:, 0], candidates.graphs[index.flatten()], loss)


def check_target(target: Tensor) -> None:
    """ValueError for targets that are not a batch of finite vectors, at least one."""
    if target.dim() != 2 or len(target) == 0:
        raise ValueError(f"targets must be a batch of unit vectors (B, D), B > 0, got shape {tuple(target.shape)}")
    bad = ~torch.isfinite(target).all(1)
    if bad.any():
        raise ValueError(f"target {int(bad.nonzero()[0])} holds NaN or infinity ({int(bad.sum())} of {len(bad)} do)")
