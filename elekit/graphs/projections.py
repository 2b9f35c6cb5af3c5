"""Euclidean projections onto the sets that relaxed graphs and embeddings live in. Tensors in, tensors out."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize


def simplex(x: Tensor) -> Tensor:
    """Project rows (..., K) onto the probability simplex: `argmin_p ||p - x||, p >= 0, sum p = 1`.

    Sorting algorithm of Held, Wolfe and Crowder (1974), O(K log K) per row.
    """
    K = x.shape[-1]
    descending = x.sort(dim=-1, descending=True).values
    surplus = descending.cumsum(-1) - 1
    count = torch.arange(1, K + 1, device=x.device, dtype=x.dtype)
    support = (descending * count > surplus).sum(-1, keepdim=True).clamp_min(1)
    threshold = surplus.gather(-1, support - 1) / support
    return (x - threshold).clamp_min(0)


def _same(rows: Tensor) -> Tensor:
    return rows


def symmetric(edges: Tensor, turn_rows: Callable[[Tensor], Tensor] = _same) -> Tensor:
    """Project edge tensors (..., N, N, R) onto symmetric ones, (i, j) averaged with (j, i), without self-loops.

    turn_rows: `GraphVocabulary.turn_rows`, which gives the rows from j to i for those from i to j.
    """
    averaged = (edges + turn_rows(edges.transpose(-2, -3))) / 2
    N, R = edges.shape[-2:]
    no_edge = torch.zeros(R, dtype=edges.dtype, device=edges.device)
    no_edge[0] = 1
    diagonal = torch.eye(N, dtype=torch.bool, device=edges.device)[..., None]
    return torch.where(diagonal, no_edge, averaged)


def polytope(nodes: Tensor, edges: Tensor, turn_rows: Callable[[Tensor], Tensor] = _same) -> tuple[Tensor, Tensor]:
    """Project nodes (..., N, K) and edges (..., N, N, R) onto the relaxed graphs.

    Exact: (i, j) and (j, i) share one target, so averaging them and then projecting each row is the projection onto
    the intersection.
    """
    return simplex(nodes), simplex(symmetric(edges, turn_rows))


def sphere(x: Tensor) -> Tensor:
    """Project rows (..., D) onto the unit sphere; a zero row stays zero."""
    return normalize(x, dim=-1)
