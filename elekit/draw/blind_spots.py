"""Pairs of graphs that a loss hardly tells apart, or tells apart though they are equal."""

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from elekit.draw.figure import Picture
from elekit.draw.pairs import pair_grid
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

FEW = 4  # changed parts that are marked


def blind_spots(table: "pd.DataFrame", graphs: Graph, others: Graph, *, most: int = 6, columns: int = 2) -> Figure:
    """Pairs side by side: what differs above, the loss beneath.

    table: n rows with the column loss and either differs (and path, edits), of `elekit.audit.blind_spots`, or why, of
    `elekit.audit.separated_equals`. graphs, others: the two sides. most: pairs drawn (>= 1), from the first on.
    columns: pairs side by side. Without pairs the sheet says so. Raises ValueError for other numbers of graphs, a table
    without these columns, and most < 1.
    """
    title = next((name for name in ("differs", "why") if name in table), None)
    if title is None or "loss" not in table or not len(table) == len(graphs) == len(others):
        raise ValueError(
            f"want columns loss and differs or why, and a pair for each row; got {list(table.columns)}, {len(table)} rows, "
            f"{len(graphs)} and {len(others)} graphs"
        )
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    if not len(table):
        figure = Picture(figsize=(8, 1.5))
        figure.text(0.5, 0.5, "No such pair was found.", ha="center", va="center", fontsize=16)
        return figure
    rows = table.head(most).to_dict("records")
    heads = [(row[title], row.get("path", "the same graph, written differently")) for row in rows]
    feet = [[f"loss {row['loss']:.3f}", f"edits {row['edits']}" if "edits" in row else ""] for row in rows]
    pairs = [(graphs[i], others[i]) for i in range(len(rows))]
    return pair_grid(pairs, heads, feet, columns=min(columns, len(pairs)), width=3.1, few=FEW, sign="≈")
