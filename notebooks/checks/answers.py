"""Answers that name an edit: by its row in `EditScan.table`, or by its text."""

from checks.verdict import as_integer, quote
from elekit.inspect.edit_scan import EditScan

ADDED_NODE = r"^node (\d+): nothing to (.+); edge \1-(\d+): no edge to (.+)$"  # the inspector shortens this text


def edit_row(answer, scan: EditScan) -> int | None:
    """Row of an edit given by its row or its text, as in `scan.table` or in the loss inspector; None if unknown."""
    if isinstance(answer, str):
        given, texts = answer.strip().lower(), scan.table["edit"].str.lower()
        short = texts.str.replace(ADDED_NODE, r"add \2 to node \3, \4", regex=True)
        matches = ((texts == given) | (short == given)).to_numpy()
        return int(matches.argmax()) if matches.any() else None
    row = as_integer(answer)
    return row if row is not None and 0 <= row < len(scan.table) else None


def unknown_edit(answer, scan: EditScan) -> str:
    """Message for an answer that `edit_row` does not recognize."""
    return (
        f"{quote(answer)} is not an edit of this graph. Give its row, 0 to {len(scan.table) - 1}, or its text from "
        f'the column edit, such as "{scan.table["edit"].iloc[0]}".'
    )
