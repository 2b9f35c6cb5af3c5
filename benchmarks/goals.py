"""Goals that were set before the runs, and what was reached."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.aggregate import METRICS, Metric, best_decoders, default_decoder, means
from benchmarks.markdown import NOT_RUN, escape, format_method, format_size, render_table
from benchmarks.methods import ABLATION_PREFIX, METHODS, OURS
from benchmarks.tasks import TASKS


@dataclass(frozen=True)
class Goal:
    """A goal for one metric of one task.

    Args:
        task: Name of the task.
        labels: Number of pairs; None for all.
        column: The metric.
        low: Lower bound, None for none.
        high: Upper bound, None for none.
        must_lead: Also be better than every method of others at the same number of pairs.
    """

    task: str
    labels: int | None
    column: str
    low: float | None = None
    high: float | None = None
    must_lead: bool = False

    def shortfall(self, value: float) -> float:
        """Distance of a value from the bounds, 0 within them."""
        return max(0.0, -float("inf") if self.low is None else self.low - value,
                   -float("inf") if self.high is None else value - self.high)  # fmt: skip


GOALS = (
    Goal("smi2mol", None, "exact", low=0.98),
    Goal("smi2mol", None, "edit_distance", high=0.05),
    Goal("smi2mol", 5_000, "edit_distance", high=1.5, must_lead=True),
    Goal("text2mol", None, "hits@1", low=0.70, must_lead=True),
    Goal("text2mol", None, "mrr", low=0.78, must_lead=True),
    Goal("coloring", None, "exact", low=0.80),
    Goal("faults", None, "exact", low=0.95),
    Goal("faults", None, "edit_distance", high=0.1),
    Goal("maintie-1", None, "relation_f1", low=0.65, must_lead=True),
    Goal("maintie-1", None, "entity_f1", must_lead=True),
    Goal("maintie-2", None, "relation_f1", must_lead=True),
    Goal("maintie-2", None, "entity_f1", must_lead=True),
    Goal("ud", None, "las", low=0.90, must_lead=True),
    Goal("ud", None, "uas", low=0.93, must_lead=True),
    *(
        Goal(task, None, "sets.coverage", low=0.88, high=0.92)
        for task in ("smi2mol", "text2mol", "coloring", "noise")
    ),
)
SPEED_GOAL: dict[str, Any] = {
    "task": "smi2mol",
    "labels": 5_000,
    "than": "nnbary-fgw",
    "times": 10,
}  # per prediction, and more exact


def goals_table(tables: dict[str, pd.DataFrame]) -> str:
    """Table of all goals: what ELE reached, and what the best of our methods reached. tables: by task."""
    rows = []
    for goal in GOALS:
        metric = METRICS[goal.column]
        bounds = [f"at least {metric.format(goal.low)}"] if goal.low is not None else []
        bounds += [f"at most {metric.format(goal.high)}"] if goal.high is not None else []
        bounds += ["better than every method of others"] if goal.must_lead else []
        title = TASKS[goal.task].title if goal.task in TASKS else goal.task
        row = {
            "on": f"{escape(title)}, {format_size(goal.labels)}",
            "metric": metric.title,
            "goal": ", ".join(bounds),
        }
        rows.append(row | goal_result(goal, metric, tables.get(goal.task)))
    task, labels = SPEED_GOAL["task"], SPEED_GOAL["labels"]
    row = {
        "on": f"{escape(TASKS[task].title)}, {format_size(labels)}",
        "metric": METRICS["ms"].title,
        "goal": f"{SPEED_GOAL['times']} times less than {escape(METHODS[SPEED_GOAL['than']].title)}, and more exact",
    }
    rows.append(row | speed_result(tables.get(task)))
    return render_table(pd.DataFrame(rows))


def _with_decoder(value: str, decoder: str) -> str:
    return value + (f" ({escape(decoder)})" if decoder else "")


def _choose(goal: Goal, metric: Metric, rows: pd.DataFrame) -> pd.Series | None:
    """Our best row for a goal: by the metric, or the nearest to the bounds with a default decoder."""
    rows = rows[rows["method"].isin(OURS)]
    if not len(rows):
        return None
    if metric.better:
        return best_decoders(rows, metric).iloc[0]
    rows = rows[[row["decoder"] == default_decoder(rows, row["method"]) for _, row in rows.iterrows()]]
    key = [(goal.shortfall(row[goal.column]), OURS.index(row["method"])) for _, row in rows.iterrows()]
    return rows.iloc[key.index(min(key))] if key else None


def goal_result(goal: Goal, metric: Metric, table: pd.DataFrame | None) -> dict[str, str]:
    """What was reached. table: runs of the task, see `results.to_table`; None for no run."""
    missing = {"ELE": NOT_RUN, "best of ours": NOT_RUN, "reached": "–"}
    if table is None:
        return missing
    same = table["labels"].isna() if goal.labels is None else table["labels"] == goal.labels
    every = means(table[same & (table["noise"] == "none")])
    rows = every[every[goal.column].notna()] if goal.column in every else every.iloc[:0]
    best, own = _choose(goal, metric, rows), _choose(goal, metric, rows[rows["method"] == "ele"])
    if best is None:
        ours = every[every["method"].isin(OURS)]
        possible = ours.get("sets.possible", pd.Series(dtype=float)).max()
        limited = goal.column == "sets.coverage" and not pd.isna(possible)
        level = f"**no**, the highest possible level is {METRICS['sets.possible'].format(possible)}"
        return missing | ({"reached": level} if limited else {})
    value = best[goal.column]
    short = metric.format(goal.shortfall(value), False) + (" points" if metric.unit == "%" else "")
    verdict = [f"**no**, off by {short}" if goal.shortfall(value) else "yes"]
    others = rows[~rows["method"].isin(OURS) & ~rows["method"].str.startswith(ABLATION_PREFIX)]
    if goal.must_lead and not len(others):
        verdict.append("no other method was run")
    elif goal.must_lead:
        rival = best_decoders(others, metric).iloc[0]
        behind = (value - rival[goal.column]) * metric.better <= 0
        shown = f"{format_method(rival)}: {metric.format(rival[goal.column])}"
        verdict.append(f"**no**, {shown}" if behind else f"ahead of {shown}")
    return {
        "ELE": NOT_RUN if own is None else _with_decoder(metric.format(own[goal.column]), own["decoder"]),
        "best of ours": f"{format_method(best)}: {metric.format(value)}",
        "reached": "; ".join(verdict),
    }


def speed_result(table: pd.DataFrame | None) -> dict[str, str]:
    """Our fastest prediction that is more exact than the method it is timed against, over common seeds."""
    missing = {"ELE": NOT_RUN, "best of ours": NOT_RUN, "reached": "–"}
    if table is None or "ms" not in table or "exact" not in table:
        return missing
    table = table[(table["labels"] == SPEED_GOAL["labels"]) & (table["noise"] == "none")]
    others = table[table["method"] == SPEED_GOAL["than"]]
    table = table[table["seed"].isin(set(others["seed"])) & table["exact"].notna()]
    rows = means(table)
    slow, ours = rows[rows["method"] == SPEED_GOAL["than"]], rows[rows["method"].isin(OURS)]
    if not len(slow) or not len(ours):
        return missing
    slow = best_decoders(slow, METRICS["exact"]).iloc[0]
    exact = ours[ours["exact"] > slow["exact"]].sort_values("ms")
    own = exact[exact["method"] == "ele"]
    own = NOT_RUN if "ele" not in set(ours["method"]) else "–" if not len(own) else _speed(own.iloc[0])
    if not len(exact):
        reached = f"**no**, {format_method(slow)} has {METRICS['exact'].format(slow['exact'])} exact"
        return {"ELE": own, "best of ours": "–", "reached": reached}
    one = exact.iloc[0]
    times, shares = slow["ms"] / one["ms"], [METRICS["exact"].format(row["exact"]) for row in (one, slow)]
    verdict = "yes" if times >= SPEED_GOAL["times"] else "**no**"
    verdict += f", {times:.1f} times less than {METRICS['ms'].format(slow['ms'])}; exact {' against '.join(shares)}"
    shown = f"{format_method(one)}: {METRICS['ms'].format(one['ms'])}"
    return {"ELE": own, "best of ours": shown, "reached": verdict}


def _speed(row: pd.Series) -> str:
    return _with_decoder(METRICS["ms"].format(row["ms"]), row["decoder"])
