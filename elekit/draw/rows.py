"""Tables, and charts with one labeled row per item, the first at the top."""

from collections.abc import Collection

import numpy as np
from matplotlib.axes import Axes

from elekit.draw.base import fit_text, require_positive, to_numpy


def require_columns(table, needed: Collection[str], what: str = "the table", *, source: str = "", rows: bool = False):
    """Raises ValueError if the table lacks columns, or rows; source: the function that returns such tables."""
    missing = [name for name in needed if name not in table.columns]
    if missing or (rows and not len(table)):
        lacks = f"columns {sorted(missing)}" if missing else "rows"
        raise ValueError(f"{what} lacks {lacks}" + f"; use the result of {source}" * bool(source))


def name_rows(ax: Axes, names, y=None, *, width: float = 260, size: float = 12, margin: float = 0.6) -> None:
    """Names at the left of the rows, the first row at the top; y: their heights, 0, 1, ... by default."""
    y = range(len(names)) if y is None else y
    ax.set_yticks(y, [fit_text(name, width, size)[0] for name in names], fontsize=size, parse_math=False)
    ax.set_ylim(max(y, default=0) + margin, -margin)


def ends(table, top: int):
    """The first and last `top` rows, their heights with a gap between both groups, and whether there is a gap.

    Tables with up to 2 * `top` rows are returned whole.
    """
    require_positive(top=top)
    gap = len(table) > 2 * top
    shown = table.iloc[[*range(top), *range(len(table) - top, len(table))]] if gap else table
    return shown, np.arange(len(shown)) + (np.arange(len(shown)) >= top) * gap, gap


def whiskers(ax: Axes, y, middle, low, high, *, color: str = "black", width: float = 1.8) -> None:
    """Intervals with caps around the middle of each row; none where an end is nan."""
    middle, low, high = map(to_numpy, (middle, low, high))
    reach = np.nan_to_num(np.abs([low - middle, high - middle]))
    ax.errorbar(middle, y, xerr=reach, fmt="none", ecolor=color, elinewidth=width, capsize=4)


def beside(ax: Axes, x: float, y: float, text: str, *, gap: float = 8, size: float = 11, edge: bool = False, **style):
    """Text to the right of a point, `gap` points away; edge: x is a fraction of the width of the axes."""
    ax.annotate(text, (x, y), xycoords=("axes fraction", "data") if edge else "data", xytext=(gap, 0),
                textcoords="offset points", va="center", fontsize=size, parse_math=False, **style)  # fmt: skip
