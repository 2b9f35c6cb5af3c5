"""Euclidean projections onto the sets that relaxed graphs and embeddings live in. Tensors in, tensors out."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def simplex(x: Tensor) -> Tensor:
    """Project rows onto the probability simplex, `argmin_p ||p - x||, p >= 0, sum p = 1`.

    Sorting algorithm of Held, Wolfe and Crowder (1974), O(K log K) per row.

    Args:
        x: (..., K), any real numbers.

    Returns:
        (..., K), rows on the simplex.
    """
    K = x.shape[-1]
    descending = x.sort(dim=-1, descending=True).values
    surplus = descending.cumsum(-1) - 1
    count = torch.arange(1, K + 1, device=x.device, dtype=x.dtype)
    support = (descending * count > surplus).sum(-1, keepdim=True).clamp_min(1)
    threshold = surplus.gather(-1, support - 1) / support
    return (x - threshold).clamp_min(0)


def symmetric(edges: Tensor) -> Tensor:
    """Project onto symmetric edge tensors without self-loops.

    Args:
        edges: (..., N, N, R), channel 0 = "no edge".

    Returns:
        (..., N, N, R), (i, j) averaged with (j, i) and the diagonal all "no edge".
    """
    averaged = (edges + edges.transpose(-2, -3)) / 2
    N, R = edges.shape[-2:]
    no_edge = torch.zeros(R, dtype=edges.dtype, device=edges.device)
    no_edge[0] = 1
    diagonal = torch.eye(N, dtype=torch.bool, device=edges.device)[..., None]
    return torch.where(diagonal, no_edge, averaged)


def polytope(nodes: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Project onto the relaxed graphs.

    Exact: (i, j) and (j, i) share one target, so averaging them and then projecting each row is the projection onto
    the intersection.

    Args:
        nodes: (..., N, K), any real numbers.
        edges: (..., N, N, R), any real numbers.

    Returns:
        Node rows and symmetric edge rows on the simplex, of the same shapes.
    """
    return simplex(nodes), simplex(symmetric(edges))


def sphere(x: Tensor) -> Tensor:
    """Project rows onto the unit sphere.

    Args:
        x: (..., D).

    Returns:
        (..., D), unit vectors; a zero row stays zero.
    """
    return normalize(x, dim=-1)
