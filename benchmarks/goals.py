"""What ELE was to reach, set before the runs, and what it did reach."""

from dataclasses import dataclass

import pandas as pd

from benchmarks.aggregate import FIGURES, Figure, best_ways, means, way_of
from benchmarks.markdown import escaped, markdown, name_of, size_of
from benchmarks.methods import ABLATION, METHODS
from benchmarks.tasks import TASKS


@dataclass(frozen=True)
class Goal:
    """A bar. labels: None: all pairs. low, high: bounds of the figure, None: none there.

    ahead: it was to be better than every other method at as many labels.
    """

    task: str
    labels: int | None
    column: str
    low: float | None = None
    high: float | None = None
    ahead: bool = False

    def short_by(self, value: float) -> float:
        """How far a value is off, 0 where it is within bounds."""
        return max(0.0, -float("inf") if self.low is None else self.low - value,
                   -float("inf") if self.high is None else value - self.high)  # fmt: skip


GOALS = (
    Goal("smi2mol", None, "exact", low=0.98),
    Goal("smi2mol", None, "edit_distance", high=0.05),
    Goal("smi2mol", 5_000, "edit_distance", high=1.5, ahead=True),
    Goal("text2mol", None, "hits@1", low=0.70, ahead=True),
    Goal("text2mol", None, "mrr", low=0.78, ahead=True),
    Goal("coloring", None, "exact", low=0.80),
    *(
        Goal(task, None, "sets.coverage", low=0.88, high=0.92)
        for task in ("smi2mol", "text2mol", "coloring", "noise")
    ),
)
OURS = ("ele", "ele-point")  # no rivals of each other
FASTER = {"task": "smi2mol", "labels": 5_000, "than": "nnbary-fgw", "times": 10}  # a prediction, and more exact


def goals(tables: dict[str, pd.DataFrame]) -> str:
    """A table of the bars and of what was reached, in the way to decode that did best. tables: by task."""
    rows = []
    for goal in GOALS:
        figure = FIGURES[goal.column]
        bounds = [f"at least {figure.shown(goal.low)}"] if goal.low is not None else []
        bounds += [f"at most {figure.shown(goal.high)}"] if goal.high is not None else []
        bounds += ["better than every other method"] if goal.ahead else []
        title = TASKS[goal.task].title if goal.task in TASKS else goal.task
        told = {"on": f"{escaped(title)}, {size_of(goal.labels)}", "figure": figure.title, "goal": ", ".join(bounds)}
        rows.append(told | reached(goal, figure, tables.get(goal.task)))
    task, labels = FASTER["task"], FASTER["labels"]
    told = {
        "on": f"{escaped(TASKS[task].title)}, {size_of(labels)}",
        "figure": FIGURES["ms"].title,
        "goal": f"{FASTER['times']} times less than {escaped(METHODS[FASTER['than']].title)}, and more exact",
    }
    rows.append(told | faster(tables.get(task)))
    return markdown(pd.DataFrame(rows))


def faster(table: pd.DataFrame | None) -> dict[str, str]:
    """ELE's time, in its fastest way that is more exact than what it is timed against; of seeds that both have."""
    missing = {"ELE": "*missing*", "reached": "–"}
    if table is None or "ms" not in table or "exact" not in table:
        return missing
    table = table[(table["labels"] == FASTER["labels"]) & (table["noise"] == "none")]
    both = set.intersection(*(set(table.loc[table["method"] == m, "seed"]) for m in ("ele", FASTER["than"])))
    rows = means(table[table["seed"].isin(both)])
    ours, others = (best_ways(rows[rows["method"] == m], FIGURES["exact"]) for m in ("ele", FASTER["than"]))
    if not len(ours) or not len(others):
        return missing
    slow, ours = others.iloc[0], rows[rows["method"] == "ele"]
    exact = ours[ours["exact"] > slow["exact"]].sort_values("ms")
    if not len(exact):
        return {"ELE": "–", "reached": f"**no**, {name_of(slow)} has {FIGURES['exact'].shown(slow['exact'])} exact"}
    one = exact.iloc[0]
    times, shares = slow["ms"] / one["ms"], [FIGURES["exact"].shown(row["exact"]) for row in (one, slow)]
    said = "yes" if times >= FASTER["times"] else "**no**"
    said += f", {times:.1f} times less than {FIGURES['ms'].shown(slow['ms'])}; exact {' against '.join(shares)}"
    way = f" ({escaped(one['decoder'])})" if one["decoder"] else ""
    return {"ELE": FIGURES["ms"].shown(one["ms"]) + way, "reached": said}


def reached(goal: Goal, figure: Figure, table: pd.DataFrame | None) -> dict[str, str]:
    """ELE's figure, and whether it is what was to be reached. table: of `results.table`, None: no run."""
    missing = {"ELE": "*missing*", "reached": "–"}
    if table is None:
        return missing
    same = table["labels"].isna() if goal.labels is None else table["labels"] == goal.labels
    rows = means(table[same & (table["noise"] == "none")])
    rows, tried = rows[rows[goal.column].notna()] if goal.column in rows else rows.iloc[:0], rows
    of_us = rows["method"].isin(OURS) | rows["method"].str.startswith(ABLATION)
    ours, others = rows[rows["method"] == "ele"], rows[~of_us]
    if not len(ours):
        possible = tried[tried["method"] == "ele"].get("sets.possible", pd.Series(dtype=float)).max()
        lost = f"**no**, no more than {FIGURES['sets.possible'].shown(possible)} can be promised"
        return missing | ({"reached": lost} if goal.column == "sets.coverage" and not pd.isna(possible) else {})
    one = best_ways(ours, figure).iloc[0] if figure.better else ours[ours["decoder"] == way_of(ours)].iloc[0]
    value, way = one[goal.column], escaped(one["decoder"])
    short = figure.shown(goal.short_by(value), False) + (" points" if figure.unit == "%" else "")
    said = [f"**no**, off by {short}" if goal.short_by(value) else "yes"]
    if goal.ahead and not len(others):
        said.append("no other method was run")
    elif goal.ahead:
        rival = best_ways(others, figure).iloc[0]
        behind = (value - rival[goal.column]) * figure.better <= 0
        best = f"{name_of(rival)} has {figure.shown(rival[goal.column])}"
        said.append(f"**no**, {best}" if behind else f"ahead of all ({best})")
    return {"ELE": figure.shown(value) + (f" ({way})" if way else ""), "reached": "; ".join(said)}
