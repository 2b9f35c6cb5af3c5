"""Euclidean projections onto the sets that graphs and embeddings live in (floor 0: tensors only)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def simplex(x: Tensor) -> Tensor:
    """Nearest point of the probability simplex to each row, `argmin_p ||p - x||, p >= 0, sum p = 1`.

    x: (..., K), any real numbers. Returns (..., K). Idempotent. Sorting algorithm of Held, Wolfe and
    Crowder (1974), O(K log K) a row.
    """
    K = x.shape[-1]
    descending = x.sort(dim=-1, descending=True).values
    surplus = descending.cumsum(-1) - 1
    count = torch.arange(1, K + 1, device=x.device, dtype=x.dtype)
    support = (descending * count > surplus).sum(-1, keepdim=True).clamp_min(1)
    threshold = surplus.gather(-1, support - 1) / support
    return (x - threshold).clamp_min(0)


def symmetric(edges: Tensor) -> Tensor:
    """Nearest symmetric edge tensor with an empty diagonal; edges (..., N, N, R), channel 0 = "no edge"."""
    averaged = (edges + edges.transpose(-2, -3)) / 2
    N, R = edges.shape[-2:]
    empty = torch.zeros(R, dtype=edges.dtype, device=edges.device)
    empty[0] = 1
    diagonal = torch.eye(N, dtype=torch.bool, device=edges.device)[..., None]
    return torch.where(diagonal, empty, averaged)


def polytope(nodes: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest relaxed graph: node rows and (symmetric) edge rows on the simplex, diagonal "no edge".

    nodes (..., N, K), edges (..., N, N, R). Exact: averaging (i, j) with (j, i) and then projecting each
    row is the projection onto the intersection, because both entries share one target.
    """
    return simplex(nodes), simplex(symmetric(edges))


def sphere(x: Tensor) -> Tensor:
    """Nearest point of the unit sphere to each row; x (..., D). A zero row stays zero."""
    return normalize(x, dim=-1)
