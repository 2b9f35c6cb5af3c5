"""Checks of arguments."""

from collections.abc import Collection

from elekit.graphs.graph import Graph


def require_single(graph: Graph):
    """Raises ValueError unless the batch holds exactly one graph."""
    if len(graph) != 1:
        raise ValueError(f"one graph is drawn at a time, got a batch of {len(graph)}; use graph[0] or draw.graphs")


def require_columns(table, needed: Collection[str], what: str = "the table", *, source: str = "", rows: bool = False):
    """Raises ValueError if the table lacks columns, or rows; source: the function that returns such tables."""
    missing = [name for name in needed if name not in table.columns]
    if missing or (rows and not len(table)):
        lacks = f"columns {sorted(missing)}" if missing else "rows"
        raise ValueError(f"{what} lacks {lacks}" + f"; use the result of {source}" * bool(source))


def require_positive(**counts: int):
    """Raises ValueError if a count is below 1."""
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
