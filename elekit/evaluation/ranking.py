"""Rank of the true candidate, Hits@k and mean reciprocal rank."""

from torch import Tensor

from elekit.graphs._schema import require_positive


def ranks(scores: Tensor, truth: Tensor) -> Tensor:
    """(B,) ranks of the true candidates, columns (B,) of scores (B, C); 1 is best, the lowest score.

    Ties count against the truth. ValueError if a shape or a column is invalid, or a score is NaN.
    """
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise ValueError(f"scores must be (B, C) and truth (B,), got {tuple(scores.shape)} and {tuple(truth.shape)}")
    B, C = scores.shape
    if scores.isnan().any():
        row = int(scores.isnan().any(1).nonzero()[0])
        raise ValueError(f"scores of row {row} contain NaN; they cannot be ranked")
    if B and not (truth.min() >= 0 and truth.max() < C):
        raise ValueError(f"truth must be columns 0..{C - 1}, got {int(truth.min())}..{int(truth.max())}")
    return (scores <= scores.gather(1, truth.long()[:, None])).sum(1)


def hits_at(ranks: Tensor, k: int) -> float:
    """Share of ranks (B,) that are at most k, in [0, 1]; ValueError if k or a rank is below 1."""
    require_positive(k=k)
    return (_checked(ranks) <= k).double().mean().item()


def mean_reciprocal_rank(ranks: Tensor) -> float:
    """Mean of 1 / rank over ranks (B,), in (0, 1]; ValueError if a rank is below 1."""
    return _checked(ranks).double().reciprocal().mean().item()


def _checked(ranks: Tensor) -> Tensor:
    if ranks.ndim != 1 or not len(ranks) or ranks.min() < 1:
        raise ValueError(f"ranks must be (B,) with B >= 1, counted from 1; got shape {tuple(ranks.shape)}, {ranks}")
    return ranks
