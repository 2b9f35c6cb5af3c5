"""Do the points of many graphs fill the sphere, or do they collapse?"""

import torch
from torch import Tensor

from elekit.inspect._validation import finite

MOST = 2_000  # points compared pair by pair; of more a sample


def uniformity(points: Tensor, *, seed: int = 0) -> dict:
    """How a set of points fills the unit sphere, to see a loss collapse.

    points: (n, D) unit vectors, n >= 1; of more than 2,000 as many are drawn by the seed.
    Returns n (points given); mean_cosine over pairs, in [-1, 1], 1 = all the same; uniformity
    `log mean exp(-2 ||u - v||^2)` over pairs, in [-8, 0], the lower the better spread (Wang and Isola 2020);
    effective_rank, `exp` of the entropy of the normalized singular values, in [1, min(n, D)] (RankMe: Garrido,
    Balestriero, Najman, LeCun 2023). Of a single point there are no pairs: nan.
    Raises ValueError for points that are not (n, D) or not finite.
    """
    points, n = finite(points), len(points)
    if n > MOST:
        points = points[torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:MOST]]
    points = points.double()
    cosine = points @ points.T
    i, j = torch.triu_indices(len(points), len(points), 1)
    cosine = cosine[i, j]
    uniformity = (4 * (cosine - 1)).exp().mean().log()  # ||u - v||^2 = 2 - 2 <u, v>
    singular = torch.linalg.svdvals(points)
    share = singular / singular.sum().clamp_min(1e-12)
    rank = torch.special.entr(share).sum().exp()
    return {
        "n": n,
        "mean_cosine": float(cosine.mean()),
        "uniformity": float(uniformity),
        "effective_rank": float(rank),
    }


def alignment(points: Tensor, views: Tensor) -> float:
    """Mean learned loss between paired rows (n, D), such as graphs and edited views of them, in [0, 4]; 0 = the same.

    Wang and Isola (2020). Raises ValueError for shapes that differ and points that are not finite.
    """
    if points.shape != views.shape:
        raise ValueError(f"points {tuple(points.shape)} and views {tuple(views.shape)} must be paired row by row")
    return float((finite(points) - finite(views)).double().square().sum(-1).mean())
