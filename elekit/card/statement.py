"""A statement of a card: a fact about one loss with the sentence that states it."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from elekit.card.results import Results
from elekit.card.texts import STATEMENTS, filled
from elekit.evaluation.formatting import things
from elekit.widgets.page import plain_values


@dataclass(frozen=True)
class Evidence:
    """The table that a statement comes from, and the row of it; or the block of facts if `table` names no table."""

    table: str
    row: int | None = None

    def __str__(self) -> str:
        return self.table if self.row is None else f"{self.table}-{self.row}"


@dataclass(frozen=True)
class Stability:
    """In how many trainings a statement holds.

    Args:
        holds: Number of trainings that agree.
        of: Number of trainings compared; 0 if this statement was not compared.
        claim: What exactly was compared, as a predicate.
        repeats: False if there are no other trainings to compare with.
    """

    holds: int = 0
    of: int = 0
    claim: str = ""
    repeats: bool = True

    @property
    def level(self) -> str:
        """ "all", "some", "none" or "unknown"."""
        if not self.of:
            return "unknown"
        return "all" if self.holds == self.of else "some" if self.holds else "none"

    def __str__(self) -> str:
        if not self.of:
            return "not checked in other trainings" if self.repeats else "not checked: no repeats"
        return f"holds in {self.holds} of {self.of} trainings" + (f": {self.claim}" if self.claim else "")


@dataclass(frozen=True)
class Statement:
    """One fact about a loss.

    Args:
        key: Stays the same from release to release, so that two cards can be compared.
        section: The part of the card that it belongs to.
        text: The fact as a sentence.
        value: The main figure; NaN if there is none.
        low: Lower end of its 95 % interval; NaN if there is none.
        high: Upper end of its 95 % interval; NaN if there is none.
        unit: Unit of the three figures, such as "loss" or "share".
        evidence: Where the figures come from.
        stability: Whether it holds in other trainings; None if that question has no meaning.
        defect: True if no sound loss does this.
        facts: The values that the text states beside the main figure, for comparisons.
        brief: The fact in a few words, for the first screen; "" if it is not among the first to know.
    """

    key: str
    section: str
    text: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    unit: str = ""
    evidence: Evidence | None = None
    stability: Stability | None = None
    defect: bool = False
    facts: dict = field(default_factory=dict)
    brief: str = ""

    def to_json(self) -> dict:
        """Return plain JSON values.

        Returns:
            The fields; NaN becomes None.
        """
        return plain_values(asdict(self))

    @classmethod
    def from_json(cls, values: dict) -> "Statement":
        """Read what `to_json` returned.

        Args:
            values: The JSON values.

        Returns:
            The statement.
        """
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        known |= {name: math.nan for name in ("value", "low", "high") if known.get(name) is None}
        for name, kind in (("evidence", Evidence), ("stability", Stability)):
            known[name] = kind(**known[name]) if known.get(name) else None
        return cls(**known)


def stability_of(results: Results, key: str) -> Stability:
    """In how many trainings the statement with this key holds."""
    for row in results.rows("stability"):
        if row["claim"] == key:
            return Stability(row["holds"], row["of"], results.facts["claims"][key])
    return Stability(repeats="stability" in results.tables)


Statements = Iterator[Statement]


def interval(row: dict, name: str) -> tuple[float, float, float]:
    """A column of a row with its 95 % interval, from the columns NAME_low and NAME_high, or low and high."""
    low, high = (f"{name}_{end}" if f"{name}_{end}" in row else end for end in ("low", "high"))
    return row[name], row[low], row[high]


@dataclass(frozen=True)
class Writer:
    """Writes the statements about one loss from the templates of statements.toml."""

    results: Results

    def __call__(
        self,
        name: str,
        figures: float | tuple[float, float, float] = math.nan,
        number: int | None = None,
        /,
        *,
        defect: bool = False,
        facts: dict | None = None,
        **values: Any,
    ) -> Statement:
        """The statement of a template; the templates know its facts, too.

        figures: value, or (value, low, high). number: of the row that is the evidence; None for the whole table.
        """
        template, loss, facts = STATEMENTS[name], self.results.facts["loss"], facts or {}
        value, low, high = figures if isinstance(figures, tuple) else (figures, math.nan, math.nan)
        given: dict[str, Any] = {"value": value, "low": low, "high": high}
        values |= {"loss": loss, "defect": defect} | given | things(loss["molecular"]) | facts
        parts = [part for part in ("key", "section", "text", "unit", "brief") if part in template]
        written: dict[str, Any] = {"key": name} | {part: filled(template[part], values) for part in parts}
        stability = stability_of(self.results, written["key"]) if template.get("compared") else None
        evidence = Evidence(template["evidence"], number)
        return Statement(**written, **given, evidence=evidence, stability=stability, defect=defect, facts=facts)
