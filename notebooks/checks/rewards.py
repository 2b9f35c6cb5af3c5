"""Checks of notebook 05: edits that are nearly free, and edits that are dear."""

from collections.abc import Sequence

from checks.answers import edit_row, no_such_edit, whole
from checks.verdict import Verdict, quoted
from elekit.inspect import EditScan


def check_cheap(answer, scan: EditScan, limit: float) -> Verdict:
    """Whether an edit, by its row in `scan.table` or in its words, is valid and costs less than `limit`."""
    row = edit_row(answer, scan)
    if row is None:
        return Verdict(False, no_such_edit(answer, scan))
    words, kind, price, valid = (scan.table[name].iloc[row] for name in ("edit", "kind", "price", "valid"))
    told = f'"{words}" costs {price:.2f}'
    if not valid:
        return Verdict(False, f"{told}, but what it makes is no valid graph; look at the column valid.")
    if price < limit:
        return Verdict(True, f"{told}. The loss hardly sees the difference; would you?")
    cheaper = scan.table[scan.table["valid"] & (scan.table["price"] < limit)]
    if not len(cheaper):
        return Verdict(False, f"{told}, and no valid edit costs less than {limit:g}; raise the limit.")
    where = f'some of them of the kind "{kind}" too' if kind in set(cheaper["kind"]) else "all of other kinds"
    return Verdict(False, f"{told}, not less than {limit:g}. Valid edits that do: {len(cheaper)}, {where}.")


def check_dearest(answer, edits: Sequence, scan: EditScan) -> Verdict:
    """Whether an answer, a place in `edits` or the words of one, is the edit that the loss prices highest.

    edits: rows of `scan.table`, or their words.
    """
    rows = [edit_row(edit, scan) for edit in edits]
    for edit, row in zip(edits, rows):
        if row is None:
            return Verdict(False, no_such_edit(edit, scan))
    place = whole(answer)
    if isinstance(answer, str) and (row := edit_row(answer, scan)) in rows:
        place = rows.index(row)
    if place is None or not 0 <= place < len(rows):
        return Verdict(
            False, f"guess 0 to {len(rows) - 1}, the place of an edit in the list; {quoted(answer)} is none."
        )
    words, prices = scan.table["edit"].iloc[rows[place]], scan.table["price"].iloc[rows].tolist()
    told = f'"{words}" costs {prices[place]:.2f}'
    rank = 1 + sum(price > prices[place] for price in prices)
    if rank == 1:
        others = " and ".join(f"{price:.2f}" for price in sorted(prices)[:-1])
        return Verdict(True, f"{told}, the others {others}.")
    return Verdict(
        False,
        f"{told} and is number {rank} of {len(rows)}. The loss adds up what the nodes see around them: after which of "
        "the edits do most of them see something else?",
    )
