"""Checks of notebook 06: the price of a broken rule, and the neighbor of a graph of the reader's own."""

from collections.abc import Callable

import networkx as nx
import numpy as np

from checks.answers import edit_row, no_such_edit, whole
from checks.verdict import Verdict, number, quoted
from elekit.graphs.graph import Graph, from_networkx, to_networkx
from elekit.inspect import EditScan, neighbors
from elekit.model.loss import Psi, points_of

ROUNDED = 0.006  # how far a price may be off that was read from a table or a widget
SAME = 1e-4  # loss below which a neighbor is the graph itself


def check_broken_rule(answer, price, scan: EditScan, rules: Callable[[nx.Graph], list[str]] | None = None) -> Verdict:
    """Whether an edit, by its row in `scan.table` or in its words, breaks a rule, and has this price.

    rules: what a graph breaks, in sentences; None where only the reader can tell.
    """
    row = edit_row(answer, scan)
    if row is None:
        return Verdict(False, no_such_edit(answer, scan))
    words, right = scan.table["edit"].iloc[row], float(scan.table["price"].iloc[row])
    broken = [] if rules is None else rules(to_networkx(scan.result(row))[0])
    if rules is not None and not broken:
        return Verdict(False, f'"{words}" breaks no rule: what it makes is in order. What would never be built?')
    given = number(price)
    if given is None:
        return Verdict(False, f"the price is a number, the loss between before and after; {quoted(price)} is none.")
    if abs(given - right) > ROUNDED:
        return Verdict(False, f'"{words}" does not cost {given:g}{_mistaken_for(given, row, scan)}.')
    if rules is None:
        return Verdict(
            True, f'"{words}" costs {right:.2f}. Whether it breaks a rule of your graphs, you alone can say.'
        )
    breaks = np.array([bool(rules(graph)) for graph in to_networkx(scan.results)])
    said = f'"{words}" costs {right:.2f}. {" ".join(broken)}'
    if breaks.any() and not breaks.all():
        medians = [float(np.median(scan.table["price"].to_numpy()[which])) for which in (breaks, ~breaks)]
        said += (
            f" Of this graph's edits, {breaks.sum()} break a rule and cost {medians[0]:.2f} in the median, "
            f"{(~breaks).sum()} break none and cost {medians[1]:.2f}."
        )
    return Verdict(True, said)


def _mistaken_for(given: float, row: int, scan: EditScan) -> str:
    """What a wrong price may have been taken from."""
    if given == row:
        return "; that is its row. Look in the column price"
    if abs(given**2 - float(scan.table["price"].iloc[row])) < ROUNDED:
        return "; that is the distance, and the learned loss is its square"
    return "; look in its row of the table, in the column price"


def check_nearest(answer, mine: nx.Graph, psi: Psi, among: Graph) -> Verdict:
    """Whether a number is the row of the graph in `among` that lies nearest to a networkx graph of the reader's own."""
    if not isinstance(mine, nx.Graph):
        return Verdict(False, f"your graph is to be a networkx.Graph; {quoted(mine)} is {type(mine).__name__}.")
    try:
        point = points_of(psi, from_networkx([mine], among.vocabulary))[0]
    except ValueError as unfit:
        return Verdict(False, f"your graph does not fit: {str(unfit).replace('graph 0', 'it', 1)}.")
    row = whole(answer)
    if row is None or not 0 <= row < len(among):
        return Verdict(False, f"give the row of a graph, 0 to {len(among) - 1}; {quoted(answer)} is none.")
    near = neighbors(point, points_of(psi, among), k=len(among))
    best, yours = float(near["loss"][0]), float(near.set_index("row")["loss"][row])
    if yours > best + SAME:
        place = 1 + int((near["loss"] < yours - SAME).sum())
        return Verdict(
            False,
            f"row {row} lies at {yours:.2f} and is number {place} of {len(among)}; the nearest lies at {best:.2f}. "
            "ele.inspect.neighbors puts the nearest first: take the number in its column row.",
        )
    if best < SAME:
        return Verdict(True, f"row {row} is your own graph; it was there already. Now make one that is new.")
    return Verdict(True, f"row {row}, at a loss of {best:.2f}.")
