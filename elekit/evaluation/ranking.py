"""Ranks of the true candidate, and the figures made of them: Hits@k and the mean reciprocal rank."""

from torch import Tensor


def ranks(scores: Tensor, truth: Tensor) -> Tensor:
    """(B,) rank of the true candidate, 1 = best; a lower score is better, and a tie counts against the truth.

    scores: (B, C), no NaN. truth: (B,) column of the true candidate. Raises ValueError for other shapes or values.
    """
    if scores.ndim != 2 or truth.shape != scores.shape[:1]:
        raise ValueError(f"want scores (B, C) and truth (B,), got {tuple(scores.shape)} and {tuple(truth.shape)}")
    B, C = scores.shape
    if scores.isnan().any():
        raise ValueError(f"scores of row {int(scores.isnan().any(1).nonzero()[0])} hold NaN; they cannot be ranked")
    if B and not (truth.min() >= 0 and truth.max() < C):
        raise ValueError(f"truth must be columns 0..{C - 1}, got {int(truth.min())}..{int(truth.max())}")
    return (scores <= scores.gather(1, truth.long()[:, None])).sum(1)


def hits_at(ranks: Tensor, k: int) -> float:
    """Share of ranks (B,) that are k or better, in [0, 1]; ValueError for k < 1 or ranks that are not 1, 2, ..."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return (_from_one(ranks) <= k).double().mean().item()


def mean_reciprocal_rank(ranks: Tensor) -> float:
    """Mean of 1 / rank over ranks (B,), in (0, 1]; ValueError for ranks that are not 1, 2, ..."""
    return _from_one(ranks).double().reciprocal().mean().item()


def _from_one(ranks: Tensor) -> Tensor:
    if ranks.ndim != 1 or not len(ranks) or ranks.min() < 1:
        raise ValueError(f"ranks must be (B,) with B >= 1, counted from 1; got shape {tuple(ranks.shape)}, {ranks}")
    return ranks
