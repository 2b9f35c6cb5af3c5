"""Statements about a loss that can be held against another training's answer; see `elekit.audit.stability`.

A claim is a function of an answer: True where it holds, False where it does not, None where the answer does not tell
(a kind of edit that is missing in another price list is no evidence against what was said of it). `of_prices` and
`of_findings` make all that a reader of such an answer is told, named in the words that she meets.
"""

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elekit.audit.findings import DEFECT, Finding

if TYPE_CHECKING:
    import pandas as pd

Claim = Callable[[Any], "bool | None"]
MOST = 5  # kinds at either end of a price list
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def above(threshold: float) -> Claim:
    """A claim about a number: it is larger than the threshold; nan does not tell."""

    def holds(number: float) -> bool | None:
        return None if math.isnan(number) else bool(number > threshold)

    return holds


def same_order(names: Sequence[Hashable]) -> Claim:
    """A claim about a mapping or Series of numbers: those of these names fall from each to the next.

    Two that are there and do not fall refute it, whatever else is missing; otherwise a number that is missing or nan
    leaves it open. Raises ValueError for fewer than two names.
    """
    names = list(names)
    if len(names) < 2:
        raise ValueError(f"an order is one of at least 2 names, got {names}")

    def holds(numbers: Mapping[Hashable, float]) -> bool | None:
        told = [numbers[name] for name in names if name in numbers and not math.isnan(numbers[name])]
        if any(one <= other for one, other in itertools.pairwise(told)):
            return False
        return True if len(told) == len(names) else None

    return holds


def among(name: Hashable, names: Iterable[Hashable], most: int, *, largest: bool = True) -> Claim:
    """A claim about a mapping or Series of numbers: `name` has one of the `most` largest (or smallest) of `names`.

    Other names of the answer do not count. A number that is missing or nan might be anything: the claim holds where
    the name would be among them whatever is missing, is refuted where it would not be in any case, and is open else.
    Of equal numbers each counts before the other: a claim that rests on a tie does not hold.
    """
    names = set(names) - {name}

    def holds(numbers: Mapping[Hashable, float]) -> bool | None:
        told = {n: numbers[n] for n in [name, *names] if n in numbers and not math.isnan(numbers[n])}
        if name not in told:
            return None
        own, others = told.pop(name), told.values()
        before = sum(other >= own if largest else other <= own for other in others)
        if before >= most:
            return False
        return True if before + len(names) - len(told) < most else None

    return holds


@dataclass(frozen=True)
class PriceClaim:
    """A claim about the price of one kind of edit in another cost list, as of `EditCosts.summary`.

    Args:
        kind: The kind of edit.
        predicate: What is claimed of it, without the kind that it is compared with: "is among the five dearest".
        holds: The claim.
        other: The kind that it costs more than, if the claim is a comparison.
    """

    kind: str
    predicate: str
    holds: Claim
    other: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.predicate}" + (f" {self.other}" if self.other is not None else "")


def price_claims(summary: "pd.DataFrame", *, most: int = MOST) -> list[PriceClaim]:
    """Return what a cost list states, as claims about other cost lists.

    Only kinds with an interval count (edits in at least 5 graphs), by their medians: which are among the `most`
    dearest and cheapest; which cost more than the next cheaper kind whose interval does not overlap; and which are
    marked as nearly free or surprisingly dear. A kind that is missing in another list, or has no interval there, leaves
    the claim open.

    Args:
        summary: A cost list as of `EditCosts.summary`.
        most: Number of kinds at each end of the list, at least 1.

    Returns:
        The claims; those about the ends of the list come first.

    Raises:
        ValueError: If `most` is below 1.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    known = summary[summary["low"].notna()].sort_values("median", ascending=False, kind="stable")
    kinds, claims = known["kind"].tolist(), []
    ends = {"dearest": (kinds[:most], True), "cheapest": (kinds[::-1][:most], False)}
    for word, (some, largest) in ends.items():
        if len(kinds) > most:  # of five kinds each is among the five dearest
            number = WORDS[most] if most < len(WORDS) else str(most)
            place = f"is among the {number} {word}" if most > 1 else f"is the {word}"
            claims += [PriceClaim(k, place, _of_medians(among(k, kinds, most, largest=largest))) for k in some]
    rows = list(known[["kind", "low", "high"]].itertuples(index=False, name=None))
    for i, (kind, low, _) in enumerate(rows):
        cheaper = next((other for other, _, high in rows[i + 1 :] if high < low), None)
        if cheaper is not None:
            claims.append(PriceClaim(kind, "costs more than", _of_medians(same_order([kind, cheaper])), cheaper))
    marked = known[known["mark"] != ""]
    return claims + [PriceClaim(k, f"is {mark}", _marked(k, mark)) for k, mark in zip(marked["kind"], marked["mark"])]


def of_prices(summary: "pd.DataFrame", *, most: int = MOST) -> dict[str, Claim]:
    """Return the claims of `price_claims` by their sentences.

    Args:
        summary: A cost list as of `EditCosts.summary`.
        most: Number of kinds at each end of the list, at least 1.

    Returns:
        The claims by sentence, such as "relabel C to N is among the five dearest".

    Raises:
        ValueError: If `most` is below 1.
    """
    return {str(claim): claim.holds for claim in price_claims(summary, most=most)}


def of_findings(found: Sequence[Finding]) -> dict[str, Claim]:
    """What `elekit.audit.findings.findings` found, as claims about what it finds in other trainings.

    Each finding is found again: one of the same `what`, whatever its figures. Where there is no defect, that is a
    claim itself: "no defect is found".
    """
    claims = {f"{finding.severity}: {finding.what}": _found(finding.what) for finding in found}
    if any(finding.severity == DEFECT for finding in found):
        return claims
    return {"no defect is found": lambda answer: all(finding.severity != DEFECT for finding in answer)} | claims


def _of_medians(claim: Claim) -> Claim:
    return lambda summary: claim(medians(summary))


def medians(summary: "pd.DataFrame") -> "pd.Series":
    """Median price by kind, of the kinds of a price list that have an interval."""
    return summary[summary["low"].notna()].set_index("kind")["median"]


def _marked(kind: str, mark: str) -> Claim:
    def holds(summary: "pd.DataFrame") -> bool | None:
        told = summary[summary["low"].notna() & (summary["kind"] == kind)]
        return bool((told["mark"] == mark).all()) if len(told) else None

    return holds


def _found(what: str) -> Claim:
    return lambda answer: any(finding.what == what for finding in answer)
