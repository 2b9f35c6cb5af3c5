"""The tables behind the statements, as text, each with the command that computes it again."""

import math
from dataclasses import dataclass

from elekit.card.phrases import phrases_of
from elekit.card.results import Results

DIGITS = 3
TABLES = {  # of each: what it shows, and the command that computes it
    "prices": ("what each kind of change costs", "inspect.edit_costs(psi, graphs, samples=24, seed={seed}).summary(seed={seed})"),
    "findings": ("the findings", "audit.findings.findings(psi, train, held_out=test, seed={seed})"),
    "blind_spots": ("pairs that are hardly separated", "audit.blind_spots(psi, train, seed={seed})"),
    "equals": ("equal graphs that are separated", "audit.invariance_gaps(psi, train, samples=400, seed={seed})"),
    "agreement": ("agreement with known distances", "audit.agreement(psi, graphs, pairs=120, seed={seed}).summary(seed={seed})"),
    "disagreements": ("the strongest disagreements", "audit.agreement(psi, graphs, pairs=120, seed={seed}).disagreements(distance, limit=2)"),
    "concepts": ("properties that can be read off its points", "audit.concepts(psi, graphs, seed={seed}).table"),
    "faithfulness": ("shares compared with other orders", "inspect.faithfulness(psi, graphs, anchors, seed={seed}).summary(seed={seed})"),
    "rules": ("rules before and after", "artifact.about['correction']['report']['rules']"),
    "corrected": ("side effects of the rules", "artifact.about['correction']['report']['costs']"),
    "quality": ("quality of predictions", "evaluation.judge(psi, h.predict(test.inputs), test.graphs, candidates=train)"),
    "slices": ("the same by slice", "elekit evaluate --artifact {name} --data {data} --table predictions.csv"),
    "coverage": ("coverage of prediction sets", "elekit evaluate --artifact {name} --data {data} --sets 0.9"),
    "costs": ("time and quality", "elekit evaluate --artifact {name} --data {data} --limit 60 --method … --starts …"),
    "cases": ("the example cases", "decode(psi, h.predict(inputs), record=True)"),
    "stability": ("which statements hold in which training", "audit.stability(psis, measure, claims)"),
}  # fmt: skip
HEADS = {
    "count": "cases", "low": "95 % interval", "q05": "5 % below", "q95": "95 % below",
    "by_size": "explained by size", "by_ring": "by ring", "by_degree": "by edges there", "not_proven": "distances not proven",
    "edits_low": "interval", "valid_low": "interval", "beyond_low": "interval", "ahead_low": "interval",
    "fits_better": "wrong answer fits better", "few": "too few", "milliseconds": "ms each", "from": "predicted from",
    "before_low": "interval", "after_low": "interval",
}  # fmt: skip
LONG = 24  # characters: a column with a longer text may be broken anywhere
HIDDEN = {"hits", "by", "gradient", "shuffled", "sense", "unseen"}  # only in the facts of the card


def cell(value) -> str:
    """A value of a table as text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2g}" if 0 < abs(value) < 5 * 10 ** -(DIGITS + 1) else f"{value:,.{DIGITS}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and whether it holds long texts."""

    heading: str
    long: bool


@dataclass(frozen=True)
class Table:
    """A table as text: what it shows, the command that computes it, its columns, and the cells of its rows."""

    title: str
    command: str
    columns: list[Column]
    rows: list[list[str]]


def table(results: Results, name: str) -> Table | None:
    """A table as text; None if it was not measured. Both ends of an interval share a column."""
    if name not in results.tables:
        return None
    rows, (title, command) = results.rows(name), TABLES[name]
    loss, made, data = (results.facts[key] for key in ("loss", "made", "data"))
    command = command.format(seed=made["seed"], name=loss["name"], data=data["now"].get("name", "…"))
    phrases = phrases_of(loss)
    names = phrases | {f"price of {kind}": f"price of {phrase}" for kind, phrase in phrases.items()}
    names = names if name in ("prices", "stability") else {}
    columns = [c for c in (rows[0] if rows else {}) if c not in HIDDEN]
    columns = [
        c for c in columns if c not in ("says", "description") or name == "findings"
    ]  # elsewhere the statements show it
    ends = {c: c.removesuffix("low") + "high" for c in columns if c.endswith("low")}
    columns = [c for c in columns if c not in ends.values()]

    def text(row: dict, column: str) -> str:
        if column not in ends:
            value = row[column]
            return names.get(value, cell(value)) if isinstance(value, str) else cell(value)
        low, high = cell(row[column]), cell(row[ends[column]])
        return low if low == high == "–" else f"{low} to {high}"

    cells = [[text(row, column) for column in columns] for row in rows]
    heads = [
        Column(HEADS.get(column, column.replace("_", " ")), any(len(row[n]) > LONG for row in cells))
        for n, column in enumerate(columns)
    ]
    return Table(title, command, heads, cells)
