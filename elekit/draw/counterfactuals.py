"""Graphs before and after edits, side by side: counterfactuals and analogies."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from elekit.draw.pairs import pair_grid
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd


def counterfactuals(graph: Graph, graphs: Graph, table: "pd.DataFrame", preferred: str, *, most: int = 3) -> Figure:
    """Draw one row per edited graph: before and after, with the changes marked, the losses below and the edits above.

    Removed parts are dashed, changed ones solid, new ones dotted; numbers are those of the descriptions.

    Args:
        graph: Batch of one.
        graphs: n edited graphs in its slots.
        table: n rows from `elekit.inspect.counterfactuals`.
        preferred: Name of the reference that was preferred before.
        most: Maximum number of rows.

    Returns:
        The figure.

    Raises:
        ValueError: If there are no rows, if the numbers of rows and graphs differ, or if columns are missing.
    """
    losses = [f"{whose}_{when}" for whose in ("old", "new") for when in ("before", "after")]
    rows = _rows(table, ["edits", "path", "new", "margin", *losses, "proven"], graphs)[:most]
    heads, feet = [], []
    for row in rows:
        number = "1 edit" if row["edits"] == 1 else f"{row['edits']} edits"
        sure = "no fewer do" if row["proven"] else "fewer may do"
        title = f"{preferred} before, {row['new']} after, by {row['margin']:.2f}"
        heads.append((title, f"{number}, {sure}: {row['path']}"))
        feet.append([
            f"loss to {preferred} {row[f'old_{when}']:.2f}, to {row['new']} {row[f'new_{when}']:.2f}"
            for when in ("before", "after")
        ])  # fmt: skip
    return pair_grid([(graph, graphs[i]) for i in range(len(rows))], heads, feet, columns=1, width=4.4)


def analogies(
    graph: Graph, other: Graph, path: str, loss: float, graphs: Graph, others: Graph, table: "pd.DataFrame",
    *, most: int = 7, columns: int = 2,
) -> Figure:  # fmt: skip
    """Draw a pair of graphs, then other pairs with the same difference, with loss and cosine below.

    Args:
        graph: Batch of one.
        other: Batch of one in the same slots.
        path: Description of the difference.
        loss: Loss between the two.
        graphs: First graphs of n pairs.
        others: Second graphs of n pairs.
        table: n rows from `elekit.inspect.analogies`.
        most: Maximum number of pairs besides the first.
        columns: Pairs per row.

    Returns:
        The figure.

    Raises:
        ValueError: If the numbers of rows and graphs differ, or if columns are missing.
    """
    rows = _rows(table, ("path", "loss", "cosine", "analogous"), graphs, fewest=0)[:most]
    heads, feet = [("the given pair", path)], [[f"loss {loss:.2f}", ""]]
    for row in rows:
        alike = "analogous" if row["analogous"] else "another distance or direction"
        heads.append((alike, row["path"]))
        feet.append([f"loss {row['loss']:.2f}", f"cosine {row['cosine']:.2f}"])
    pairs = [(graph, other), *((graphs[i], others[i]) for i in range(len(rows)))]
    return pair_grid(pairs, heads, feet, columns=min(columns, len(pairs)), width=3.1)


def _rows(table: "pd.DataFrame", needed: Sequence[str], graphs: Graph, fewest: int = 1) -> list[dict]:
    missing = [name for name in needed if name not in table.columns]
    if missing or len(table) != len(graphs) or len(table) < fewest:
        raise ValueError(
            f"the table lacks columns {missing}"
            if missing
            else f"want a row for each graph, at least {fewest}, got {len(table)} rows and {len(graphs)} graphs"
        )
    return table.to_dict("records")
