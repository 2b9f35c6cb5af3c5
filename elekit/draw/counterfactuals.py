"""Graphs before and after edits, side by side: counterfactuals, and pairs that differ in the same."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from elekit.draw.pairs import sheet
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd


def counterfactuals(graph: Graph, graphs: Graph, table: "pd.DataFrame", own: str, *, most: int = 3) -> Figure:
    """One row an edited graph: before and after, what the edits change marked, the losses beneath, the edits above.

    graph: batch of one. graphs: n edited ones in its slots. table: n rows with columns path, now, margin, own_before,
    own_after, now_before, now_after and proven; own: the place that was preferred before. All as of
    `elekit.inspect.counterfactuals`. most: rows drawn, from the first on. What goes is dashed, what changes is solid,
    what is new is dotted; numbers are those of the words. Raises ValueError for no rows, others than graphs, and a
    table without these columns.
    """
    losses = [f"{whose}_{when}" for whose in ("own", "now") for when in ("before", "after")]
    rows = _rows(table, ["edits", "path", "now", "margin", *losses, "proven"], graphs)[:most]
    heads, feet = [], []
    for row in rows:
        number = "1 edit" if row["edits"] == 1 else f"{row['edits']} edits"
        sure = "no fewer do" if row["proven"] else "fewer may do"
        title = f"{own} before, {row['now']} after, by {row['margin']:.2f}"
        heads.append((title, f"{number}, {sure}: {row['path']}"))
        feet.append([
            f"loss to {own} {row[f'own_{when}']:.2f}, to {row['now']} {row[f'now_{when}']:.2f}"
            for when in ("before", "after")
        ])  # fmt: skip
    return sheet([(graph, graphs[i]) for i in range(len(rows))], heads, feet, columns=1, width=4.4)


def analogies(
    graph: Graph, other: Graph, path: str, loss: float, graphs: Graph, others: Graph, table: "pd.DataFrame",
    *, most: int = 7, columns: int = 2,
) -> Figure:  # fmt: skip
    """A pair of graphs, then pairs that differ in the same: what differs is marked, loss and cosine stand beneath.

    graph, other: batches of one in the same slots; path: what differs, in words; loss: between them. graphs, others:
    n pairs; table: n rows with columns path, loss, cosine and analogous. All as of `elekit.inspect.analogies`. most:
    pairs drawn beside the given one, from the first on; columns: pairs side by side. Marks as in `counterfactuals`.
    Raises ValueError for others than graphs and a table without these columns.
    """
    rows = _rows(table, ("path", "loss", "cosine", "analogous"), graphs, fewest=0)[:most]
    heads, feet = [("the given pair", path)], [[f"loss {loss:.2f}", ""]]
    for row in rows:
        alike = "analogous" if row["analogous"] else "another distance or direction"
        heads.append((alike, row["path"]))
        feet.append([f"loss {row['loss']:.2f}", f"cosine {row['cosine']:.2f}"])
    pairs = [(graph, other), *((graphs[i], others[i]) for i in range(len(rows)))]
    return sheet(pairs, heads, feet, columns=min(columns, len(pairs)), width=3.1)


def _rows(table: "pd.DataFrame", needed: Sequence[str], graphs: Graph, fewest: int = 1) -> list[dict]:
    missing = [name for name in needed if name not in table.columns]
    if missing or len(table) != len(graphs) or len(table) < fewest:
        raise ValueError(
            f"the table lacks columns {missing}"
            if missing
            else f"want a row for each graph, at least {fewest}, got {len(table)} rows and {len(graphs)} graphs"
        )
    return table.to_dict("records")
