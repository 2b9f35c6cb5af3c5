"""The radius that keeps a promise, found from how far truths lie from what was predicted."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from elekit.evaluation.formatting import counted
from elekit.evaluation.intervals import SURE
from elekit.graphs._optional import extra

LEVEL = 0.9


@dataclass(frozen=True)
class Calibration:
    """The radius that keeps a promise.

    level: the share of truths that lie in their set, in (0, 1). radius: learned loss, in [0, 4]. pairs: how many it
    was found from. unreachable: of these, truths that no search found.
    """

    level: float
    radius: float
    pairs: int
    unreachable: int = 0

    def __post_init__(self):
        check_level(self.level)

    def expected(self, tests: int) -> tuple[float, float]:
        """Where 95 % of the coverages measured on so many pairs lie, if they are drawn like those of the calibration.

        What a radius covers of all pairs is itself a draw: Beta(k, n + 1 - k), k = ceil((n + 1) * level); Vovk 2012.
        """
        with extra("card"):
            from scipy.stats import betabinom

        k = place_of(self.pairs, self.level)
        low, high = betabinom(tests, k, self.pairs + 1 - k).ppf([(1 - SURE) / 2, (1 + SURE) / 2])
        return float(low) / tests, float(high) / tests

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict) -> "Calibration":
        """Back from `to_json`; ValueError for what is none."""
        try:
            level, radius, pairs, unreachable = (fields[name] for name in cls.__dataclass_fields__)
            return cls(float(level), float(radius), int(pairs), int(unreachable))
        except (TypeError, KeyError) as odd:
            raise ValueError(f"no calibration: want {', '.join(cls.__dataclass_fields__)}, got {fields!r}") from odd


def place_of(pairs: int, level: float) -> int:
    """ceil((n + 1) * level): which of n scores, from the smallest, is the radius."""
    return math.ceil((pairs + 1) * level - 1e-9)  # 0.7 of 10 is more than 7 in floating point


def radius_of(scores: Tensor, level: float) -> float:
    """The ceil((n + 1) * level)-th smallest of n scores; inf where there are fewer, or where that one is inf."""
    check_level(level)
    place = place_of(len(scores), level)
    return float(scores.sort().values[place - 1]) if place <= len(scores) else math.inf


def highest(scores: Tensor) -> float:
    """The highest level that a finite radius keeps: finite scores over n + 1."""
    return int(torch.isfinite(scores).sum()) / (len(scores) + 1)


def check_level(level: float) -> None:
    """ValueError for a level that is no share between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie above 0 and below 1, such as 0.9 for 90 %, got {level}")


def calibrated(scores: Tensor, level: float) -> Calibration:
    """The calibration of these scores; ValueError, with the highest level that can be promised, where none is."""
    radius, n = radius_of(scores, level), len(scores)
    unreachable = n - int(torch.isfinite(scores).sum())
    if math.isinf(radius):
        lost = f", of which no search found the truth of {unreachable}" if unreachable else ""
        possible = math.floor(100 * highest(scores))
        mend = f"at most {possible} % can (level={possible / 100:g}); or " if possible else ""
        enough = math.ceil(level / (1 - level) - 1e-9)
        more = "search with a wider beam" if n >= enough else f"give at least {enough} pairs"
        pairs = counted(n, "calibration pair")
        raise ValueError(f"{100 * level:g} % cannot be promised from {pairs}{lost}: {mend}{more}")
    return Calibration(level, radius, n, unreachable)
