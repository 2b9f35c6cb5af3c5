"""Which properties psi encodes: the score of each, next to the scores of counts and of the control."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from elekit.draw.base import BLUE, LIGHT_GRAY, ORANGE, fit_text, printable
from elekit.draw.figure import Picture, axes

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("property", "score", "low", "high", "control", "size", "counts", "mark")
# name, offset below the middle of a row, height, style
BARS: tuple[tuple[str, float, float, dict[str, Any]], ...] = (
    ("psi, with 95 % interval", -0.17, 0.42, {"color": BLUE}),
    ("size and label counts, without psi", 0.15, 0.2, {"facecolor": "white", "edgecolor": ORANGE, "hatch": "////"}),
    ("psi, random values (control)", 0.34, 0.16, {"facecolor": LIGHT_GRAY, "edgecolor": "black", "lw": 0.8}),
)
SIGNS = {"encoded": "●", "explained by size and counts": "◐", "weakly encoded": "○"}


def concepts(table: "pd.DataFrame") -> Figure:
    """Bars of the scores of each property, with its mark, from 0 (guessing) to 1 (perfect).

    The wide bar with a 95 % interval is the probe of psi, the hatched bar is size and label counts without psi (size
    alone where counts is nan), the gray bar is the control. Negative scores appear as 0.

    Args:
        table: `Concepts.table`, or columns property, score, low, high, control, size, counts and mark of it. Rows
            without a score are listed below the bars.

    Returns:
        The figure.

    Raises:
        ValueError: If a column is missing, or no property has a score.
    """
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise ValueError(f"the table lacks columns {missing}")
    shown, others = table[table["score"].notna()], table[table["score"].isna()]
    if not len(shown):
        raise ValueError(f"none of the {len(table)} properties has a score")
    y = np.arange(len(shown))
    known = shown["counts"].fillna(shown["size"])
    values = [column.to_numpy(dtype=float).clip(0, 1) for column in (shown["score"], known, shown["control"])]
    figure = Picture(figsize=(12, 2.2 + 0.52 * len(shown)), layout="constrained")
    ax = axes(figure.add_subplot(), None)
    for (_, below, height, look), value, gid in zip(BARS, values, ("score", "counts", "control")):
        ax.barh(y + below, value, height, gid=gid, **look)
    score, low, high = (shown[name].to_numpy(dtype=float).clip(0, 1) for name in ("score", "low", "high"))
    reach = np.stack([score - np.fmin(low, score), np.fmax(high, score) - score])
    ax.errorbar(score, y + BARS[0][1], xerr=reach, fmt="none", ecolor="black", elinewidth=1.6, capsize=4)
    for at, (value, mark) in enumerate(zip(shown["score"], shown["mark"])):
        text = f"{value:.2f}  {SIGNS.get(mark, '×')} {mark}"
        ax.text(1.03, at, text, va="center", fontsize=12, parse_math=False, gid=f"mark-{at}")
    for at in y[:-1]:
        ax.axhline(at + 0.5, color=LIGHT_GRAY, lw=0.6)
    names = [fit_text(name, 260, 12)[0] for name in shown["property"]]
    ax.set_yticks(y, names, fontsize=12, parse_math=False)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    ax.set(xlim=(0, 1.62), ylim=(len(shown) - 0.45, -0.55))
    ax.spines["bottom"].set_bounds(0, 1)
    ax.set_xlabel("score on held-out graphs: 0 = guessing, 1 = perfect", fontsize=13, loc="left")
    handles = [Patch(label=name, **look) for name, *_, look in BARS]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=12)
    if len(others):
        named = ", ".join(printable(name) for name in others["property"])
        words, size = fit_text(f"not measured: {named}", 820, 11)
        ax.annotate(words, (0, 0), xycoords="axes fraction", xytext=(0, -58), textcoords="offset points", va="top",
                    fontsize=size, parse_math=False, gid="not measured")  # fmt: skip
    return figure
