"""The radius of prediction sets, from the scores of true graphs."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from elekit.evaluation.formatting import counted
from elekit.evaluation.intervals import CONFIDENCE
from elekit.graphs._optional import extra

LEVEL = 0.9


@dataclass(frozen=True)
class Calibration:
    """A calibrated radius.

    Attributes:
        level: Guaranteed probability that a set contains the true graph, in (0, 1).
        radius: Learned loss, in [0, 4].
        pairs: Number of calibration pairs.
        unreachable: Number of calibration pairs whose true graph the search does not reach.
    """

    level: float
    radius: float
    pairs: int
    unreachable: int = 0

    def __post_init__(self) -> None:
        check_level(self.level)

    def expected(self, tests: int) -> tuple[float, float]:
        """Compute where the coverage measured on test pairs lies with probability 95 %.

        The coverage of a radius is Beta(k, n + 1 - k) distributed, k = ceil((n + 1) * level) (Vovk 2012), so the
        number of covered test pairs is beta-binomial.

        Args:
            tests: Number of test pairs, exchangeable with the calibration pairs.

        Returns:
            Lower and upper bound, in [0, 1].
        """
        with extra("card"):
            from scipy.stats import betabinom

        k = quantile_rank(self.pairs, self.level)
        low, high = betabinom(tests, k, self.pairs + 1 - k).ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return float(low) / tests, float(high) / tests

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values.

        Returns:
            The attributes by name.
        """
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Calibration":
        """Read what `to_json` returns.

        Args:
            fields: The attributes by name.

        Returns:
            The calibration.
        """
        names = list(cls.__dataclass_fields__)
        try:
            level, radius, pairs, unreachable = (fields[name] for name in names)
            return cls(float(level), float(radius), int(pairs), int(unreachable))
        except (TypeError, KeyError) as error:
            raise ValueError(f"a calibration has the fields {', '.join(names)}, got {fields!r}") from error


def quantile_rank(pairs: int, level: float) -> int:
    """ceil((n + 1) * level): rank of the score that becomes the radius."""
    return math.ceil((pairs + 1) * level - 1e-9)  # 0.7 * 10 is more than 7 in floating point


def radius_of(scores: Tensor, level: float) -> float:
    """Compute the ceil((n + 1) * level)-th smallest score.

    Args:
        scores: (n,) learned losses; inf where the true graph is not reached.
        level: In (0, 1).

    Returns:
        The radius; inf if there are too few finite scores.

    Raises:
        ValueError: If `level` is not in (0, 1).
    """
    check_level(level)
    rank = quantile_rank(len(scores), level)
    return float(scores.sort().values[rank - 1]) if rank <= len(scores) else math.inf


def max_level(scores: Tensor) -> float:
    """The highest level that a finite radius guarantees: the number of finite scores over n + 1."""
    return int(torch.isfinite(scores).sum()) / (len(scores) + 1)


def check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie above 0 and below 1, such as 0.9 for 90 %, got {level}")


def calibrated(scores: Tensor, level: float) -> Calibration:
    """Calibration of scores (n,); ValueError, with the highest possible level, if the radius is infinite."""
    radius, n = radius_of(scores, level), len(scores)
    unreachable = n - int(torch.isfinite(scores).sum())
    if math.isinf(radius):
        lost = f", of which {unreachable} have a true graph that the search does not reach" if unreachable else ""
        possible = math.floor(100 * max_level(scores))
        alternative = f"use level={possible / 100:g} or lower, " if possible else ""
        enough = math.ceil(level / (1 - level) - 1e-9)
        more = "search with a wider beam" if n >= enough else f"give at least {enough} pairs"
        pairs = counted(n, "calibration pair")
        raise ValueError(f"level {level:g} cannot be guaranteed from {pairs}{lost}; {alternative}or {more}")
    return Calibration(level, radius, n, unreachable)
