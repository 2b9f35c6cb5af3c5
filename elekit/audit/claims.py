"""Claims about a loss, checked in other trainings: functions of a result that return True, False or None (open)."""

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from elekit.audit.findings import Finding, Severity
from elekit.graphs._schema import require_positive

Claim = Callable[[Any], bool | None]
ENDS = 5  # kinds at either end of the table of edit costs


def above(threshold: float) -> Claim:
    """A claim about a number: it is larger than the threshold; nan decides nothing."""
    return lambda number: None if math.isnan(number) else bool(number > threshold)


def decreasing(names: Sequence[Hashable]) -> Claim:
    """A claim about a mapping or Series: the numbers of these names decrease strictly; open if some are missing."""
    names = list(names)
    if len(names) < 2:
        raise ValueError(f"an order needs at least 2 names, got {names}")

    def holds(numbers: Mapping[Hashable, float]) -> bool | None:
        known = [numbers[name] for name in names if name in numbers and not math.isnan(numbers[name])]
        if any(one <= other for one, other in itertools.pairwise(known)):
            return False
        return True if len(known) == len(names) else None

    return holds


def among_top(name: Hashable, names: Iterable[Hashable], count: int, *, largest: bool = True) -> Claim:
    """A claim about a mapping or Series: `name` has one of the `count` largest (or smallest) numbers of `names`.

    It is open unless it holds, or fails, for all values of missing numbers; a claim that rests on a tie fails.
    """
    names = set(names) - {name}

    def holds(numbers: Mapping[Hashable, float]) -> bool | None:
        known = {n: numbers[n] for n in [name, *names] if n in numbers and not math.isnan(numbers[n])}
        if name not in known:
            return None
        own, others = known.pop(name), known.values()
        before = sum(other >= own if largest else other <= own for other in others)
        if before >= count:
            return False
        return True if before + len(names) - len(known) < count else None

    return holds


@dataclass(frozen=True, eq=False)
class CostClaim:
    """A claim about `EditCosts.summary`: a kind of edit, a predicate ("costs more than"), perhaps another kind."""

    kind: str
    predicate: str
    holds: Claim
    other: str | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, self.predicate, self.other)))

    def __call__(self, summary: pd.DataFrame) -> bool | None:
        return self.holds(summary)


def cost_claims(summary: pd.DataFrame, *, ends: int = ENDS) -> dict[str, CostClaim]:
    """What `EditCosts.summary` shows, as claims about other such summaries, by their text.

    Of kinds with an interval: which are among the most expensive and cheapest, which cost more than the next cheaper
    kind with a disjoint interval, and which are marked. The `ends` kinds at either end are said to be among as many,
    or among more if the intervals of others reach as far; if these are most kinds, nothing is said.
    """
    require_positive(ends=ends)
    known = summary[summary["low"].notna()].sort_values("median", ascending=False, kind="stable")
    kinds, claims = known["kind"].tolist(), []
    lows, highs = (dict(zip(kinds, known[end])) for end in ("low", "high"))
    for word, some in (("most expensive", kinds[:ends]), ("cheapest", kinds[::-1][:ends])):
        if len(kinds) > ends:  # otherwise every kind is at both ends
            largest = word == "most expensive"
            for kind in some:
                reach = known["high"] >= lows[kind] if largest else known["low"] <= highs[kind]
                count = max(ends, int(reach.sum()))  # with the kind itself
                if count > max(ends, len(kinds) // 2):
                    continue
                predicate = f"is among the {count} {word}" if count > 1 else f"is the {word}"
                claims.append(CostClaim(kind, predicate, _of_medians(among_top(kind, kinds, count, largest=largest))))
    rows = list(known[["kind", "low", "high"]].itertuples(index=False, name=None))
    for i, (kind, low, _) in enumerate(rows):
        cheaper = next((other for other, _, high in rows[i + 1 :] if high < low), None)
        if cheaper is not None:
            claims.append(CostClaim(kind, "costs more than", _of_medians(decreasing([kind, cheaper])), cheaper))
    marked = known[known["mark"] != ""]
    claims += [CostClaim(k, f"is {mark}", _marked(k, mark)) for k, mark in zip(marked["kind"], marked["mark"])]
    return {str(claim): claim for claim in claims}


def finding_claims(found: Sequence[Finding]) -> dict[str, Claim]:
    """Findings as claims about other trainings: the same name is found again; or "no defect" if there is none."""
    claims: dict[str, Claim] = {f"{finding.severity}: {finding.name}": _found(finding.name) for finding in found}
    if any(finding.severity == Severity.DEFECT for finding in found):
        return claims
    return {"no defect": lambda result: all(f.severity != Severity.DEFECT for f in result)} | claims


def _found(name: str) -> Claim:
    return lambda result: any(finding.name == name for finding in result)


def _of_medians(claim: Claim) -> Claim:
    return lambda summary: claim(median_costs(summary))


def median_costs(summary: pd.DataFrame) -> pd.Series:
    """Median cost per kind, of the kinds of a summary that have an interval."""
    return summary[summary["low"].notna()].set_index("kind")["median"]


def _marked(kind: str, mark: str) -> Claim:
    def holds(summary: pd.DataFrame) -> bool | None:
        rows = summary[summary["low"].notna() & (summary["kind"] == kind)]
        return bool((rows["mark"] == mark).all()) if len(rows) else None

    return holds
