"""The cost of each kind of edit, over many graphs."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from elekit.draw.base import BLUE, LIGHT_GRAY, fit_text
from elekit.draw.figure import Picture, axes

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("kind", "count", "median", "low", "high", "q05", "q95", "mark")


def edit_costs(summary: "pd.DataFrame", *, top: int = 10) -> Figure:
    """Draw the median price of each kind of edit with its 95 % interval, over a band from the 5 % to the 95 %
    quantile.

    Args:
        summary: From `elekit.inspect.EditCosts.summary`, most expensive first.
        top: Number of most expensive and of cheapest kinds, at least 1.

    Returns:
        The figure.

    Raises:
        ValueError: If columns or rows are missing, or if `top` is below 1.
    """
    missing = [name for name in NEEDED if name not in summary.columns]
    if missing or not len(summary):
        raise ValueError(
            f"the table lacks {f'columns {missing}' if missing else 'rows'}; see inspect.EditCosts.summary"
        )
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    parted = len(summary) > 2 * top
    shown = summary.iloc[[*range(top), *range(len(summary) - top, len(summary))]] if parted else summary
    y = np.arange(len(shown)) + (np.arange(len(shown)) >= top) * parted
    figure = Picture(figsize=(10, 1.7 + 0.36 * len(y)), layout="constrained")
    ax = axes(figure.add_subplot(), None)
    ax.hlines(y, shown["q05"], shown["q95"], color=LIGHT_GRAY, lw=6, gid="band")
    median = shown["median"].to_numpy(dtype=float)
    reach = [np.nan_to_num(np.abs(shown[name].to_numpy(dtype=float) - median)) for name in ("low", "high")]
    ax.errorbar(median, y, xerr=reach, fmt="none", ecolor="black", elinewidth=1.8, capsize=4)
    ax.plot(median, y, "o", color=BLUE, markersize=8, markeredgecolor="white", gid="median")
    for at, (price, high, count, mark) in zip(y, shown[["median", "q95", "count", "mark"]].itertuples(index=False)):
        note = f"{price:.2f}  (of {count:,})" + f"  {mark}" * bool(mark)
        ax.annotate(note, (high, at), xytext=(8, 0), textcoords="offset points", va="center", fontsize=11)
    names = [fit_text(name, 270, 12)[0] for name in shown["kind"]]
    ax.set_yticks(y, names, fontsize=12, parse_math=False)
    ax.set(xlim=(0, 1.25 * float(shown["q95"].max()) or 1.0), ylim=(len(y) + parted - 0.4, -0.6))
    ax.set_xlabel("price: learned loss between before and after", fontsize=13)
    if parted:
        ax.set_title(f"the {top} dearest and the {top} cheapest of {len(summary)} kinds", fontsize=13, loc="left")
    handles = [
        Line2D([], [], color=BLUE, marker="o", ls="", markersize=8),
        Line2D([], [], color="black", lw=1.8, marker="|", markersize=9),
        Line2D([], [], color=LIGHT_GRAY, lw=6),
    ]
    words = ["median", "its 95 % interval", "nine in ten"]
    figure.legend(handles, words, loc="outside lower center", ncols=3, frameon=False, fontsize=12)
    return figure
