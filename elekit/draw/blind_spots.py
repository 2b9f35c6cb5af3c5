"""Pairs of different graphs that a loss hardly separates, and of equal graphs that it separates."""

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from elekit.draw.figure import Picture
from elekit.draw.pairs import pair_grid
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

MAX_MARKS = 4  # changed parts that are marked


def blind_spots(table: "pd.DataFrame", graphs: Graph, others: Graph, *, most: int = 6, columns: int = 2) -> Figure:
    """Pairs of graphs side by side, with what differs above and the loss below.

    Args:
        table: `Pairs.table` of `elekit.audit.blind_spots` (columns loss, differs, path and edits) or of
            `elekit.audit.invariance_gaps` (columns loss and variation).
        graphs: The first graph of each pair.
        others: The second graph of each pair.
        most: Largest number of pairs that are drawn, at least 1.
        columns: Pairs per row.

    Returns:
        The figure; without pairs, a note that there are none.

    Raises:
        ValueError: If a column is missing, the numbers of rows and graphs differ, or most is below 1.
    """
    title = next((name for name in ("differs", "variation") if name in table), None)
    if title is None or "loss" not in table or not len(table) == len(graphs) == len(others):
        raise ValueError(
            f"the table needs columns loss and differs or variation, and one pair of graphs per row; it has columns "
            f"{list(table.columns)} and {len(table)} rows, for {len(graphs)} and {len(others)} graphs"
        )
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    if not len(table):
        figure = Picture(figsize=(8, 1.5))
        figure.text(0.5, 0.5, "No pairs were found.", ha="center", va="center", fontsize=16)
        return figure
    rows = table.head(most).to_dict("records")
    heads = [(row[title], row.get("path", "the same graph, written differently")) for row in rows]
    feet = [[f"loss {row['loss']:.3f}", f"edits {row['edits']}" if "edits" in row else ""] for row in rows]
    pairs = [(graphs[i], others[i]) for i in range(len(rows))]
    return pair_grid(pairs, heads, feet, columns=min(columns, len(pairs)), width=3.1, few=MAX_MARKS, sign="≈")
