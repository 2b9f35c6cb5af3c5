"""Checks of notebook 06: the price of breaking a rule, and the nearest neighbor of the reader's own graph."""

from collections.abc import Callable

import networkx as nx
import numpy as np

from checks.answers import edit_row, unknown_edit
from checks.verdict import Verdict, as_integer, as_number, quote
from elekit.graphs.graph import Graph, from_networkx, to_networkx
from elekit.inspect import neighbors
from elekit.inspect.edit_scan import EditScan
from elekit.model.loss import Psi, points_of

TOLERANCE = 0.006  # of a price read from a table or a widget
SAME = 1e-4  # below this loss the neighbor is the graph itself


def check_broken_rule(answer, price, scan: EditScan, rules: Callable[[nx.Graph], list[str]] | None = None) -> Verdict:
    """Check that an edit breaks a rule, and that it has this price.

    Args:
        answer: Row of the edit in `scan.table`, or its text.
        price: Learned loss between before and after, to two decimals.
        scan: All edits of one graph.
        rules: Returns the rules that a graph breaks, as sentences; None if only the reader knows the rules.

    Returns:
        The verdict; its message has the price and the broken rules.
    """
    row = edit_row(answer, scan)
    if row is None:
        return Verdict(False, unknown_edit(answer, scan))
    text, expected = scan.table["edit"].iloc[row], float(scan.table["price"].iloc[row])
    broken = [] if rules is None else rules(to_networkx(scan.result(row))[0])
    if rules is not None and not broken:
        return Verdict(False, f'"{text}" breaks no rule. What would nobody ever build?')
    given = as_number(price)
    if given is None:
        return Verdict(False, f"{quote(price)} is not a price. Give a number, the loss between before and after.")
    if abs(given - expected) > TOLERANCE:
        return Verdict(False, f'"{text}" does not cost {given:g}{_price_hint(given, row, scan)}.')
    if rules is None:
        return Verdict(True, f'"{text}" costs {expected:.2f}. Only you know whether it breaks a rule of your graphs.')
    breaks = np.array([bool(rules(graph)) for graph in to_networkx(scan.results)])
    message = f'"{text}" costs {expected:.2f}. {" ".join(broken)}'
    if breaks.any() and not breaks.all():
        medians = [float(np.median(scan.table["price"].to_numpy()[which])) for which in (breaks, ~breaks)]
        message += (
            f" Of the edits of this graph, {breaks.sum()} break a rule (median price {medians[0]:.2f}) and "
            f"{(~breaks).sum()} break none (median price {medians[1]:.2f})."
        )
    return Verdict(True, message)


def _price_hint(given: float, row: int, scan: EditScan) -> str:
    """Where a wrong price may come from."""
    if given == row:
        return ": that is its row. Look in the column price"
    if abs(given**2 - float(scan.table["price"].iloc[row])) < TOLERANCE:
        return ": that is the distance, and the learned loss is its square"
    return ". Look in its row of the table, in the column price"


def check_nearest(answer, own_graph: nx.Graph, psi: Psi, among: Graph) -> Verdict:
    """Check that a number is the row of the graph in `among` that is nearest to a networkx graph."""
    if not isinstance(own_graph, nx.Graph):
        kind = type(own_graph).__name__
        return Verdict(False, f"{quote(own_graph)} is of type {kind}. Your graph must be a networkx.Graph.")
    try:
        point = points_of(psi, from_networkx([own_graph], among.vocabulary))[0]
    except ValueError as error:
        return Verdict(False, f"Your graph does not fit: {str(error).replace('graph 0', 'it', 1)}.")
    row = as_integer(answer)
    if row is None or not 0 <= row < len(among):
        return Verdict(False, f"{quote(answer)} is not the row of a graph. Give 0 to {len(among) - 1}.")
    near = neighbors(point, points_of(psi, among), k=len(among))
    best, loss = float(near["loss"][0]), float(near.set_index("row")["loss"][row])
    if loss > best + SAME:
        rank = 1 + int((near["loss"] < loss - SAME).sum())
        return Verdict(
            False,
            f"Row {row} has a loss of {loss:.2f} and is number {rank} of {len(among)}; the nearest has {best:.2f}. "
            "ele.inspect.neighbors returns the nearest graph first; its column row has the number.",
        )
    if best < SAME:
        return Verdict(True, f"Row {row} is your own graph: the data already contains it. Now build a new one.")
    return Verdict(True, f"Row {row} is the nearest, with a loss of {best:.2f}.")
