"""What a correction achieved and what it cost, on held-out graphs and judgments."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from elekit.correction.before_after import FROM_INPUTS, REFITTED, Evaluation, Measurements
from elekit.correction.judgments import CANNOT_SAY, Judgments
from elekit.correction.probe_edits import FAILS, HOLDS, UNPROVEN
from elekit.correction.rules import known_kinds
from elekit.evaluation import intervals
from elekit.evaluation.formatting import figure, joined, percent

OF_GRAPHS = "rank correlation with the old loss, of pairs of graphs"
OF_EDITS = "rank correlation with the old loss, of edits that no rule names"
OF_TYPICAL = "price of a typical edit that no rule names"
SHIFTED = 0.25  # a kind is reported if its price, relative to a typical one, changed by a larger share
TABLES = {"rules": "rules", "judgments": "judgements", "costs": "costs", "kinds": "kinds"}  # by key in files
SIDES = ("before", "after")
VERBS = {HOLDS: "holds", FAILS: "does not hold", UNPROVEN: "is not proven either way"}
INFORMATIVE = (
    "The judgments held out were chosen because they were informative, so they are harder than others: their share "
    "does not estimate agreement in general."
)


@dataclass(frozen=True, eq=False)
class Report:
    """A loss before and after correction, measured on held-out graphs.

    Edits start at held-out graphs; an edited graph may be among the training graphs.

    Attributes:
        rules: One row per rule: rule, sense, goal, then before and after, each with _low, _high, _share and _says
            (see `elekit.correction.probe_edits.evaluate_rules`); kind (nearest to breaking the rule afterwards),
            cases, unseen.
        judgments: Rows "learned from" and "held out": which, judgments (their number), before and after (share that
            the loss agrees with), low and high (95 % interval of the share afterwards).
        costs: One row per measure: measure, unit ("share" in [0, 1], "correlation" in [-1, 1] or "loss" in [0, 4]),
            before, after, change, low and high (95 % interval of the change, paired bootstrap over graphs), cases.
        kinds: One row per kind of single edit, most changed first: kind, named (by a rule), undoes (a kind that a
            rule names), before and after (median price over that of a typical edit), shift (median over the edits of
            after / before), low and high (95 % interval of the shift), cases.
        notes: Further sentences.
    """

    rules: pd.DataFrame
    judgments: pd.DataFrame
    costs: pd.DataFrame
    kinds: pd.DataFrame
    notes: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """Write the report in sentences.

        Returns:
            One per rule, one per group of judgments, one per cost, one about kinds, and the notes.
        """
        lines = [rule_sentence(row) for row in self.rules.itertuples()]
        lines += [judgment_sentence(row) for row in self.judgments.itertuples() if row.judgments]
        lines += [cost_sentence(row) for row in self.costs.itertuples()]
        return [*lines, kinds_sentence(self.kinds), *self.notes]

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values.

        Returns:
            The tables as lists of rows, and the sentences under "says"; nan becomes None.
        """
        tables = {key: getattr(self, name).rename(columns=TABLES) for name, key in TABLES.items()}
        return {key: _plain_rows(table) for key, table in tables.items()} | {"says": self.sentences()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Report":
        """Read what `to_json` returns, as `about["correction"]["report"]` of an artifact holds it.

        Args:
            fields: The tables and sentences.

        Returns:
            The report.
        """
        back = {key: name for name, key in TABLES.items()}
        tables = [pd.DataFrame(fields[key]).rename(columns=back) for key in TABLES.values()]
        tables = [table.fillna(np.nan).infer_objects() if len(table) else table for table in tables]
        bare = cls(tables[0], tables[1], tables[2], tables[3])
        return replace(bare, notes=tuple(fields["says"][len(bare.sentences()) :]))


def rule_sentence(row: Any) -> str:
    """A row of `Report.rules` in a sentence."""
    unseen = f" Nothing is known about {joined(list(row.unseen))}: too few cases." if row.unseen else ""
    kept = f"; {percent(row.after_share)} of {row.cases:,} held-out cases keep it" if row.cases else ""
    interval = "" if np.isnan(row.after_low) else f" ({_number(row.after_low)} to {_number(row.after_high)})"
    verdict, now = VERBS[row.after_says], f"{_number(row.after)} now{interval}"
    return f"Rule {row.Index + 1} ({row.rule}) {verdict}: {_number(row.before)} before, {now}{kept}.{unseen}"


def judgment_sentence(row: Any) -> str:
    """A row of `Report.judgments` in a sentence."""
    return (
        f"The loss agrees with {percent(row.after)} of {row.judgments} judgments {row.which} "
        f"({percent(row.low)} to {percent(row.high)}); before: {percent(row.before)}."
    )


def cost_sentence(row: Any) -> str:
    """A row of `Report.costs` in a sentence."""
    interval = f" (change {row.change:+.3f}, {row.low:+.3f} to {row.high:+.3f}; {row.cases:,} cases)"
    name, change = row.measure[0].upper() + row.measure[1:], "" if np.isnan(row.low) else interval
    return f"{name}: {_number(row.before, True)} before, {_number(row.after, True)} now{change}."


def kinds_sentence(kinds: "pd.DataFrame") -> str:
    """`Report.kinds` in a sentence."""
    others = kinds[~kinds["named"]]
    moved = others[(others["shift"] - 1).abs() > SHIFTED]
    listed = [
        f"{row.kind}{' (undoes what a rule names)' * row.undoes} {_number(row.before)} to {_number(row.after)}"
        for row in moved.head(3).itertuples()
    ]
    return (
        f"Of {len(others)} kinds of edits that no rule names, {len(moved)} changed their price, relative to a "
        f"typical edit, by more than {percent(SHIFTED)}{': ' + '; '.join(listed) if listed else ''}."
    )


def report(evaluation: Evaluation, before: Measurements, after: Measurements, notes: tuple[str, ...] = ()) -> Report:
    """Compare two measurements of one evaluation."""
    both = evaluation, before, after
    tables = _rules(before.rules, after.rules), _judgments(before, after), _costs(*both), _kinds(*both)
    if not bool(evaluation.held_out.random.all()):
        notes = (INFORMATIVE, *notes)
    return Report(*tables, notes)


def _rules(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    table = after[["rule", "kind", "sense", "goal", "cases", "unseen"]].copy()
    for side, found in zip(SIDES, (before, after)):
        table[side] = found["figure"]
        for name in ("low", "high", "share", "says"):
            table[f"{side}_{name}"] = found[name]
    return table


def _judgments(before: Measurements, after: Measurements) -> pd.DataFrame:
    rows = []
    for which, old, new in zip(("learned from", "held out"), before.margins, after.margins):
        n = len(new)
        low, high = intervals.wilson(int((new > 0).sum()), n) if n else (np.nan, np.nan)
        shares = [float((margins > 0).mean()) if n else np.nan for margins in (old, new)]
        rows.append((which, n, *shares, low, high))
    return pd.DataFrame(rows, columns=["which", "judgments", *SIDES, "low", "high"])


def _costs(evaluation: Evaluation, before: Measurements, after: Measurements) -> pd.DataFrame:
    probes, generator, rows = evaluation.probes, np.random.default_rng(evaluation.seed), []
    for measure, new in after.success.items():
        old = before.success[FROM_INPUTS if measure == REFITTED else measure]
        changed = intervals.mean_interval((new - old)[:, None], generator)[0] if len(new) else np.full(3, np.nan)
        rows.append((measure, "share", old.mean(), new.mean(), *changed, len(new)))
    shuffled = generator.permutation(len(evaluation.graphs))
    half = len(shuffled) // 2
    one, other = shuffled[:half], shuffled[half : 2 * half]  # independent pairs
    old, new = ((2 - 2 * (s.points[one] * s.points[other]).sum(1)).double().numpy() for s in (before, after))
    rows.append((OF_GRAPHS, "correlation", 1.0, *_correlation(old, new, np.arange(half), generator), half))
    some = np.isin(probes.sample.table["kind"], probes.reference)
    graph = probes.sample.edits.row.numpy()[some]
    alike = _correlation(before.prices[some], after.prices[some], graph, generator)
    rows.append((OF_EDITS, "correlation", 1.0, *alike, some.sum()))
    typical = [_typical(evaluation, s.prices) for s in (before, after)]
    rows.append((OF_TYPICAL, "loss", *typical, typical[1] - typical[0], np.nan, np.nan, some.sum()))
    return pd.DataFrame(rows, columns=["measure", "unit", *SIDES, "change", "low", "high", "cases"])


def _kinds(evaluation: Evaluation, before: Measurements, after: Measurements) -> pd.DataFrame:
    probes = evaluation.probes
    named = {kind for one in probes.rules for kind in (*one.kinds, *one.others)}
    inverse = known_kinds(evaluation.graphs.vocabulary)
    undoing = {inverse[kind] for kind in named} | {kind for kind in inverse if inverse[kind] in named}
    typical = [_typical(evaluation, s.prices) for s in (before, after)]
    graph, generator, rows = probes.sample.edits.row.numpy(), np.random.default_rng(evaluation.seed), []
    for kind, at in probes.rows.items():
        old, new = (s.prices[at] / max(t, 1e-12) for s, t in zip((before, after), typical))
        shift = new / np.maximum(old, 1e-12)
        low, high = intervals.median_interval(shift, graph[at], generator)
        middle = [float(np.median(prices)) for prices in (old, new)]
        figures = *middle, float(np.median(shift)), low, high, len(at)
        rows.append((kind, kind in named, kind in undoing - named, *figures))
    table = pd.DataFrame(rows, columns=["kind", "named", "undoes", *SIDES, "shift", "low", "high", "cases"])
    most = table["shift"].clip(lower=1e-12).map(np.log).abs()
    return table.iloc[most.argsort(kind="stable")[::-1]].reset_index(drop=True)


def _typical(evaluation: Evaluation, prices: np.ndarray) -> float:
    """Typical price: median over kinds that no rule names of their median prices; nan if there are none."""
    medians = [np.median(prices[evaluation.probes.rows[kind]]) for kind in evaluation.probes.reference]
    return float(np.median(medians)) if medians else np.nan


def contradictions(judgments: Judgments) -> str:
    """A sentence on the judgments that cannot all be true; "" if there are none."""
    cyclic, decided = int(judgments.contradictory.sum()), sum(a != CANNOT_SAY for a in judgments.answers)
    text = f"{cyclic} of {decided} judgments contradict each other: no symmetric loss can satisfy them all."
    return text if cyclic else ""


def _correlation(
    old: np.ndarray, new: np.ndarray, cluster: np.ndarray, generator: np.random.Generator
) -> tuple[float, float, float, float]:
    """Rank correlation, itself minus 1, and the 95 % interval of that, by bootstrap over whole clusters."""
    n = cluster.max(initial=-1) + 1
    if len(old) < 3 or np.ptp(old) == 0 or np.ptp(new) == 0:
        return np.nan, np.nan, np.nan, np.nan
    x, y = (pd.Series(values).rank().to_numpy() - (len(values) + 1) / 2 for values in (old, new))
    weight = np.concatenate([np.ones((1, n)), intervals.bootstrap_weights(n, generator)])[:, cluster]
    mean = [weight @ values / weight.sum(1) for values in (x, y)]
    spread = [weight @ values**2 / weight.sum(1) - m**2 for values, m in zip((x, y), mean)]
    together = weight @ (x * y) / weight.sum(1) - mean[0] * mean[1]
    some = (spread[0] > 0) & (spread[1] > 0)  # a draw may contain a single graph
    found = together[some] / np.sqrt(spread[0] * spread[1])[some]
    low, high = intervals.central_interval(found[1:] - 1) if n >= intervals.MIN_SAMPLES else (np.nan, np.nan)
    return float(found[0]), float(found[0] - 1), low, high


def _number(value: float, exact: bool = False) -> str:
    return "unknown" if np.isnan(value) else f"{value:.3f}" if exact else figure(value)


def _plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    def plain(value: Any) -> Any:
        value = value.item() if isinstance(value, np.generic) else list(value) if isinstance(value, tuple) else value
        return None if isinstance(value, float) and np.isnan(value) else value

    return [{name: plain(value) for name, value in row.items()} for row in table.to_dict("records")]
