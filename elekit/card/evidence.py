"""The tables behind the statements, as text, each with the command that computes it again."""

import math
from dataclasses import dataclass

from elekit.card.phrases import edit_phrases
from elekit.card.results import Results
from elekit.card.texts import TEXTS

DIGITS = 3
TABLES: dict[str, list[str]] = TEXTS["tables"]
HEADS: dict[str, str] = TEXTS["headings"]
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
    phrases = edit_phrases(loss)
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
