"""What a correction brought and what it cost, on graphs and judgments that it was not trained on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from elekit.correction.before_after import FROM_INPUTS, REFITTED, Exam, Sitting
from elekit.correction.judgments import CANNOT_SAY, Judgments
from elekit.correction.probe_edits import FAILS, HOLDS
from elekit.correction.rules import known_kinds
from elekit.evaluation.formatting import figure, joined, percent
from elekit.evaluation.intervals import DRAWS, FEWEST, central, mean_interval, wilson
from elekit.inspect.edit_costs import interval

if TYPE_CHECKING:
    import pandas as pd

OF_GRAPHS = "rank correlation with the old loss, of pairs of graphs"
OF_EDITS = "rank correlation with the old loss, of edits that no rule names"
OF_TYPICAL = "price of a typical edit that no rule names"
SHIFTED = 0.25  # a kind's price over a typical one moved by more than this share of it: worth a word
TABLES = {"rules": "rules", "judgments": "judgements", "costs": "costs", "kinds": "kinds"}  # fields, and their JSON keys
SIDES = ("before", "after")


@dataclass(frozen=True, eq=False)
class Report:
    """A loss before and after it was corrected; everything is measured on held-out graphs.

    Held out are the graphs that edits start from; what an edit makes of them may be a graph that was trained on.

    rules: one row a rule: rule, sense, goal, and before and after, each with figure, low, high, share, says (see
    `questions.answers`), as `before`, `before_low`, ...; kind (that decides afterwards), cases, unseen.
    judgments: one row for those learned from and one for those held out: which, judgments, before and after (share
    that the loss agrees with), low and high (95 % interval of the share afterwards).
    costs: one row a measure: measure, unit ("share" in [0, 1], "correlation" in [-1, 1] or "loss" in [0, 4]), before,
    after, change, low and high (95 % interval of the change, bootstrap over graphs, paired), cases.
    kinds: one row a kind of single edit, most shifted first: kind, named (by a rule), undoes (a kind that one names:
    the same pairs of graphs seen from the other side), before and after (median price over that of a typical edit),
    shift (median over the edits of after / before), low and high (95 % interval of that), cases.
    notes: what else a reader must know, in sentences.
    """

    rules: "pd.DataFrame"
    judgments: "pd.DataFrame"
    costs: "pd.DataFrame"
    kinds: "pd.DataFrame"
    notes: tuple[str, ...] = ()

    def says(self) -> list[str]:
        """The report in sentences: one a rule, one a kind of judgments that there are, one a cost, then the rest."""
        said = []
        for row in self.rules.itertuples():
            unseen = f" Of {joined(list(row.unseen))} nothing is known: too few cases." if row.unseen else ""
            kept = f"; {percent(row.after_share)} of {row.cases:,} held-out cases keep it" if row.cases else ""
            sure = "" if np.isnan(row.after_low) else f" ({_number(row.after_low)} to {_number(row.after_high)})"
            said.append(
                f"Rule {row.Index + 1} ({row.rule}) {_verb(row.after_says)}: {_number(row.before)} before, "
                f"{_number(row.after)} now{sure}{kept}.{unseen}"
            )
        for row in self.judgments.itertuples():
            if row.judgements:
                said.append(
                    f"The loss agrees with {percent(row.after)} of {row.judgements} judgments {row.which} "
                    f"({percent(row.low)} to {percent(row.high)}); before it was {percent(row.before)}."
                )
        for row in self.costs.itertuples():
            interval_of = f"{row.low:+.3f} to {row.high:+.3f}; {row.cases:,} cases"
            sure = "" if np.isnan(row.low) else f" (change {row.change:+.3f}, {interval_of})"
            name = row.measure[0].upper() + row.measure[1:]
            said.append(f"{name}: {_exact(row.before)} before, {_exact(row.after)} now{sure}.")
        others = self.kinds[~self.kinds["named"]]
        moved = others[(others["shift"] - 1).abs() > SHIFTED]
        told = [
            f"{row.kind}{' (undoes what a rule names)' * row.undoes} {_number(row.before)} to {_number(row.after)}"
            for row in moved.head(3).itertuples()
        ]
        said.append(
            f"Of {len(others)} kinds of edits that no rule names, {len(moved)} changed their price, against a typical"
            f" edit, by more than {percent(SHIFTED)}{': ' + '; '.join(told) if told else ''}."
        )
        return said + list(self.notes)

    def __str__(self) -> str:
        return "\n".join(self.says())

    def to_json(self) -> dict:
        """Plain values: the four tables as lists of rows, and the sentences; nan as None."""
        tables = {key: getattr(self, name) for name, key in TABLES.items()}
        return {name: _plain(table) for name, table in tables.items()} | {"says": self.says()}

    @classmethod
    def from_json(cls, fields: dict) -> "Report":
        """Back from `to_json`, as `about["correction"]["report"]` of an artifact holds it; KeyError for other fields."""
        import pandas as pd

        tables = [pd.DataFrame(fields[key]) for key in TABLES.values()]
        said = cls(*(table.fillna(np.nan).infer_objects() if len(table) else table for table in tables)).says()
        return cls(*tables, notes=tuple(fields["says"][len(said) :]))


def report(exam: Exam, before: Sitting, after: Sitting, notes: tuple[str, ...] = ()) -> Report:
    """Two sittings of one exam held against each other."""
    return Report(
        _rules(before.rules, after.rules),
        _judgments(exam, before, after),
        _costs(exam, before, after),
        _kinds(exam, before, after),
        (*_told_of(exam.learned, exam.judged), *notes),
    )


def _rules(before: "pd.DataFrame", after: "pd.DataFrame") -> "pd.DataFrame":
    table = after[["rule", "kind", "sense", "goal", "cases", "unseen"]].copy()
    for side, found in zip(SIDES, (before, after)):
        table[side] = found["figure"]
        for name in ("low", "high", "share", "says"):
            table[f"{side}_{name}"] = found[name]
    return table


def _judgments(exam: Exam, before: Sitting, after: Sitting) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for which, old, new in zip(("learned from", "held out"), before.margins, after.margins):
        n = len(new)
        low, high = wilson(int((new > 0).sum()), n) if n else (np.nan, np.nan)
        shares = [float((margins > 0).mean()) if n else np.nan for margins in (old, new)]
        rows.append((which, n, *shares, low, high))
    return pd.DataFrame(rows, columns=["which", "judgements", *SIDES, "low", "high"])


def _costs(exam: Exam, before: Sitting, after: Sitting) -> "pd.DataFrame":
    import pandas as pd

    generator, rows = np.random.default_rng(exam.seed), []
    for measure, new in after.kept.items():
        old = before.kept[FROM_INPUTS if measure == REFITTED else measure]
        changed = mean_interval((new - old)[:, None], generator)[0] if len(new) else np.full(3, np.nan)
        rows.append((measure, "share", old.mean(), new.mean(), *changed, len(new)))
    shuffled = generator.permutation(len(exam.graphs))
    half = len(shuffled) // 2
    one, other = shuffled[:half], shuffled[half : 2 * half]  # each graph in one pair, so that pairs are independent
    far = [(2 - 2 * (s.points[one] * s.points[other]).sum(1)).double().numpy() for s in (before, after)]
    rows.append((OF_GRAPHS, "correlation", 1.0, *_correlation(*far, np.arange(half), generator), half))
    some = np.isin(exam.asked.sample.table["kind"], exam.asked.reference)
    graph = exam.asked.sample.edits.row.numpy()[some]
    alike = _correlation(before.prices[some], after.prices[some], graph, generator)
    rows.append((OF_EDITS, "correlation", 1.0, *alike, some.sum()))
    typical = [_typical(exam, s.prices) for s in (before, after)]
    rows.append((OF_TYPICAL, "loss", *typical, typical[1] - typical[0], np.nan, np.nan, some.sum()))
    return pd.DataFrame(rows, columns=["measure", "unit", *SIDES, "change", "low", "high", "cases"])


def _kinds(exam: Exam, before: Sitting, after: Sitting) -> "pd.DataFrame":
    import pandas as pd

    named = {kind for _, kinds, others in exam.asked.rules for kind in (*kinds, *others)}
    back = known_kinds(exam.graphs.vocabulary)
    undoing = {back[kind] for kind in named} | {kind for kind in back if back[kind] in named}
    typical = [_typical(exam, s.prices) for s in (before, after)]
    graph, generator, rows = exam.asked.sample.edits.row.numpy(), np.random.default_rng(exam.seed), []
    for kind, at in exam.asked.of_kind.items():
        old, new = (s.prices[at] / max(t, 1e-12) for s, t in zip((before, after), typical))
        shift = new / np.maximum(old, 1e-12)
        low, high = interval(shift, graph[at], generator)
        middle = [float(np.median(prices)) for prices in (old, new)]
        rows.append(
            (kind, kind in named, kind in undoing - named, *middle, float(np.median(shift)), low, high, len(at))
        )
    table = pd.DataFrame(rows, columns=["kind", "named", "undoes", *SIDES, "shift", "low", "high", "cases"])
    most = table["shift"].clip(lower=1e-12).map(np.log).abs()
    return table.iloc[most.argsort(kind="stable")[::-1]].reset_index(drop=True)


def _typical(exam: Exam, prices: np.ndarray) -> float:
    """The yardstick: median over kinds that no rule names of their median prices; nan where there are none."""
    if not exam.asked.reference:
        return np.nan
    return float(np.median([np.median(prices[exam.asked.of_kind[kind]]) for kind in exam.asked.reference]))


def _told_of(learned: Judgments, judged: Judgments) -> list[str]:
    """What to know of the judgments."""
    notes = []
    if len(judged) and not bool(judged.random.all()):
        notes.append(
            "The judgments held out were asked because they were informative, so they are harder than others: the "
            "share says nothing of judgments at large."
        )
    return notes


def contradictions(judgments: Judgments) -> str:
    """How many judgments cannot all be true, in a sentence; "" where none."""
    odd, unsure = int(judgments.contradictory().sum()), sum(a == CANNOT_SAY for a in judgments.answers)
    told = f"{odd} of {len(judgments) - unsure} judgments contradict each other: no symmetric loss can keep them all."
    return told if odd else ""


def _correlation(
    old: np.ndarray, new: np.ndarray, cluster: np.ndarray, generator
) -> tuple[float, float, float, float]:
    """(rank correlation, itself minus 1, low, high of that), by bootstrap over whole clusters."""
    import pandas as pd

    n = cluster.max(initial=-1) + 1
    if len(old) < 3 or np.ptp(old) == 0 or np.ptp(new) == 0:
        return np.nan, np.nan, np.nan, np.nan
    x, y = (pd.Series(values).rank().to_numpy() - (len(values) + 1) / 2 for values in (old, new))
    weight = np.concatenate([np.ones((1, n)), generator.multinomial(n, np.full(n, 1 / n), size=DRAWS)])[:, cluster]
    mean = [weight @ values / weight.sum(1) for values in (x, y)]
    spread = [weight @ values**2 / weight.sum(1) - m**2 for values, m in zip((x, y), mean)]
    together = weight @ (x * y) / weight.sum(1) - mean[0] * mean[1]
    some = (spread[0] > 0) & (spread[1] > 0)  # of few graphs a draw may hold one alone
    found = together[some] / np.sqrt(spread[0] * spread[1])[some]
    low, high = central(found[1:] - 1) if n >= FEWEST else (np.nan, np.nan)
    return float(found[0]), float(found[0] - 1), low, high


def _verb(says: str) -> str:
    return {HOLDS: "holds", FAILS: "does not hold"}.get(says, "is not proven either way")


def _number(value: float) -> str:
    return "unknown" if np.isnan(value) else figure(value)


def _exact(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.3f}"


def _plain(table: "pd.DataFrame") -> list[dict]:
    def plain(value):
        value = value.item() if isinstance(value, np.generic) else list(value) if isinstance(value, tuple) else value
        return None if isinstance(value, float) and np.isnan(value) else value

    return [{name: plain(value) for name, value in row.items()} for row in table.to_dict("records")]
