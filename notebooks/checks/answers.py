"""Answers that name an edit: by its row in the table of an `EditScan`, or in its words."""

from checks.verdict import number, quoted
from elekit.inspect import EditScan

ADDED = r"^node (\d+): nothing to (.+); edge \1-(\d+): no edge to (.+)$"  # the inspector says it shorter


def whole(answer) -> int | None:
    """The answer as a whole number, None if it is none."""
    value = number(answer)
    return int(value) if value is not None and value == int(value) else None


def edit_row(answer, scan: EditScan) -> int | None:
    """The row of an edit given by its row or in words, those of `scan.table` or of the loss inspector; else None."""
    if isinstance(answer, str):
        said, words = answer.strip().lower(), scan.table["edit"].str.lower()
        same = ((words == said) | (words.str.replace(ADDED, r"add \2 to node \3, \4", regex=True) == said)).to_numpy()
        return int(same.argmax()) if same.any() else None
    row = whole(answer)
    return row if row is not None and 0 <= row < len(scan.table) else None


def no_such_edit(answer, scan: EditScan) -> str:
    """A hint for what `edit_row` does not understand."""
    return (
        f"{quoted(answer)} is no edit of this graph. Give its row, 0 to {len(scan.table) - 1}, or its words as in the "
        f'column edit, such as "{scan.table["edit"].iloc[0]}".'
    )
