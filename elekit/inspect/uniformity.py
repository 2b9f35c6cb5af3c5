"""Uniformity and alignment of points on the sphere, to detect collapse."""

import torch
from torch import Tensor

from elekit.inspect._validation import finite_points

MAX_POINTS = 2_000  # compared pair by pair; of more points, a sample


def uniformity(points: Tensor, *, seed: int = 0) -> dict[str, float]:
    """Measure how evenly points fill the unit sphere.

    Args:
        points: (n, D) unit vectors, n >= 1; more than 2,000 are sampled.
        seed: Seed of the sample.

    Returns:
        n; mean_cosine over pairs, in [-1, 1] (1: collapsed); uniformity `log mean exp(-2 ||u - v||^2)` over pairs, in
        [-8, 0], lower is more uniform (Wang and Isola 2020); effective_rank, `exp` of the entropy of the normalized
        singular values, in [1, min(n, D)] (RankMe: Garrido, Balestriero, Najman, LeCun 2023). A single point has no
        pairs: nan.

    Raises:
        ValueError: If `points` is not (n, D) or not finite.
    """
    points, n = finite_points(points), len(points)
    if n > MAX_POINTS:
        points = points[torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:MAX_POINTS]]
    points = points.double()
    i, j = torch.triu_indices(len(points), len(points), 1)
    cosine = (points @ points.T)[i, j]
    singular = torch.linalg.svdvals(points)
    entropy = torch.special.entr(singular / singular.sum().clamp_min(1e-12)).sum()
    return {
        "n": n,
        "mean_cosine": float(cosine.mean()),
        "uniformity": float((4 * (cosine - 1)).exp().mean().log()),  # ||u - v||^2 = 2 - 2 <u, v>
        "effective_rank": float(entropy.exp()),
    }


def alignment(points: Tensor, views: Tensor) -> float:
    """Compute the mean learned loss between paired points (Wang and Isola 2020).

    Args:
        points: (n, D) unit vectors, for example of graphs.
        views: (n, D) unit vectors, for example of edited copies of these graphs.

    Returns:
        A loss in [0, 4]; 0 if all pairs coincide.

    Raises:
        ValueError: If shapes differ or a point is not finite.
    """
    if points.shape != views.shape:
        raise ValueError(f"points {tuple(points.shape)} and views {tuple(views.shape)} must be paired row by row")
    return float((finite_points(points) - finite_points(views)).double().square().sum(-1).mean())
