"""One sentence of a card, and how sentences are registered and marked."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from elekit.card.measured import Measured, plain_values

NOT_CHECKED = "not checked: no repeats"


@dataclass(frozen=True)
class Statement:
    """One sentence about a loss.

    key: the same from release to release, so that two cards can be compared. section: where it stands. says: the
    sentence. value, low, high: its main figure with its 95 % interval, nan where there is none. unit: of them, such
    as "loss" or "share". stable: whether it holds in other trainings, in words, "" where that cannot be asked.
    evidence: the table, and the row of it, that the figures come from ("prices-3").
    """

    key: str
    section: str
    says: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    unit: str = ""
    stable: str = ""
    evidence: str = ""

    def to_json(self) -> dict:
        return plain_values(asdict(self))

    @classmethod
    def from_json(cls, fields: dict) -> "Statement":
        return cls(**{k: math.nan if v is None else v for k, v in fields.items()})


SPEAKERS: list[Callable[[Measured], Iterator[Statement]]] = []
"""What makes statements, in the order of the card."""


def speaker(function):
    """Puts a function into SPEAKERS."""
    SPEAKERS.append(function)
    return function


def mark(measured: Measured, key: str) -> str:
    """In how many trainings a claim holds, in words."""
    for row in measured.rows("stability"):
        if row["claim"] == key:
            what = measured.facts["claims"][key]
            return f"holds in {row['holds']} of {row['of']} trainings" + (f": {what}" if what else "")
    return "not checked in other trainings" if "stability" in measured.tables else NOT_CHECKED
