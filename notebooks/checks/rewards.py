"""Checks of notebook 05: edits that are nearly free, and the most expensive of several edits."""

from collections.abc import Sequence

from checks.answers import edit_row, unknown_edit
from checks.verdict import Verdict, as_integer, quote
from elekit.inspect.edit_scan import EditScan


def check_cheap(answer, scan: EditScan, limit: float) -> Verdict:
    """Check that an edit, given by its row in `scan.table` or its text, is valid and costs less than `limit`."""
    row = edit_row(answer, scan)
    if row is None:
        return Verdict(False, unknown_edit(answer, scan))
    text, kind, price, valid = (scan.table[name].iloc[row] for name in ("edit", "kind", "price", "valid"))
    result = f'"{text}" costs {price:.2f}'
    if not valid:
        return Verdict(False, f"{result}, but its result is not a valid graph. Look at the column valid.")
    if price < limit:
        return Verdict(True, f"{result}. The loss hardly sees the difference; would you?")
    cheaper = scan.table[scan.table["valid"] & (scan.table["price"] < limit)]
    if not len(cheaper):
        return Verdict(False, f"{result}, and no valid edit costs less than {limit:g}. Raise the limit.")
    where = f'some of them also of the kind "{kind}"' if kind in set(cheaper["kind"]) else "all of other kinds"
    return Verdict(False, f"{result}, not less than {limit:g}. Valid edits below the limit: {len(cheaper)}, {where}.")


def check_most_expensive(answer, edits: Sequence, scan: EditScan) -> Verdict:
    """Check that an answer names the most expensive of several edits.

    Args:
        answer: Position in `edits`, or the text of an edit in it.
        edits: Rows of `scan.table`, or texts of edits.
        scan: All edits of one graph.

    Returns:
        The verdict; its message has the price, and the rank of a wrong answer.
    """
    rows = [edit_row(edit, scan) for edit in edits]
    for edit, row in zip(edits, rows):
        if row is None:
            return Verdict(False, unknown_edit(edit, scan))
    position = as_integer(answer)
    if isinstance(answer, str) and (row := edit_row(answer, scan)) in rows:
        position = rows.index(row)
    if position is None or not 0 <= position < len(rows):
        return Verdict(False, f"{quote(answer)} is not a position in the list of edits. Give 0 to {len(rows) - 1}.")
    text, prices = scan.table["edit"].iloc[rows[position]], scan.table["price"].iloc[rows].tolist()
    result = f'"{text}" costs {prices[position]:.2f}'
    rank = 1 + sum(price > prices[position] for price in prices)
    if rank == 1:
        others = " and ".join(f"{price:.2f}" for price in sorted(prices)[:-1])
        return Verdict(True, f"{result}, the others {others}.")
    return Verdict(
        False,
        f"{result} and is number {rank} of {len(rows)}. The loss sums what the nodes see around them: after which "
        "edit do most of them see something else?",
    )
