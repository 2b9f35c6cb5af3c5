"""Prediction sets and their coverage."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from elekit.draw.base import BLUE, GRAY, LIGHT_GRAY, VERMILION, fit_text
from elekit.draw.figure import Picture, axes
from elekit.draw.frames import SHOWN, format_loss
from elekit.draw.structures import graph
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

WIDE, HIGH = 2.3, 3.9  # inches of a graph, and of the whole
NEEDED = ("slice", "by", "pairs", "coverage", "low", "high", "mean_size", "few")


def prediction_set(
    found, *, truth: Graph | None = None, decoded: Graph | None = None, shown: int = SHOWN,
    figure: Figure | SubFigure | None = None,
) -> Figure:  # fmt: skip
    """Draw a prediction set: its graphs, best first, and their losses beside the radius.

    An empty set shows the decoded graph, which lies outside the radius.

    Args:
        found: A set from `elekit.evaluation.conformal.prediction_sets`.
        truth: Batch of one, marked if it is shown.
        decoded: Batch of one, marked if it is shown; None means the set's own decoded graph.
        shown: Maximum number of graphs, at least 1.
        figure: Figure to draw into; None makes a new one.

    Returns:
        The whole figure.

    Raises:
        ValueError: If `shown` is below 1.
    """
    if shown < 1:
        raise ValueError(f"shown must be at least 1, got {shown}")
    graphs, losses = (some[:shown] for some in found.displayed)
    columns, radius, empty = max(len(graphs), 4), found.calibration.radius, not found.size
    figure = Picture(figsize=(WIDE * columns, HIGH)) if figure is None else figure
    more = f" (the nearest {len(graphs)} are shown)" if found.size > len(graphs) else ""
    whole = figure.get_figure(root=True)
    assert whole is not None
    width = 72 * whole.get_figwidth()
    words, size = fit_text(found.describe() + more, 0.96 * width, 15)
    figure.text(
        0.5, 0.97, words, fontsize=size, fontweight="bold", ha="center", va="top", parse_math=False, gid="says"
    )  # fmt: skip
    titles = [
        f"loss {format_loss(loss)}\n{', '.join(marks)}" for loss, marks in zip(losses, found.captions(truth, decoded))
    ]
    for column, one in enumerate(graphs):
        left = 0.5 + (column - len(graphs) / 2) / columns
        place = figure.add_axes((left, 0.38, 0.98 / columns, 0.38))
        graph(one, place)
        place.set_title(titles[column], fontsize=11, parse_math=False)
    ax = axes(figure.add_axes((0.06, 0.2, 0.88, 0.12)), None)
    ax.axvspan(0, radius, color=LIGHT_GRAY, alpha=0.45, lw=0, gid="within")
    ax.axvline(radius, color="black", lw=1.5, ls="--", gid="radius")
    look: dict[str, Any] = (
        {"marker": "D", "color": VERMILION, "mfc": "white", "mew": 2} if empty else {"marker": "o", "color": BLUE}
    )
    ax.plot(losses, np.zeros(len(losses)), ls="", ms=9, clip_on=False, gid="losses", **look)
    ax.set(xlim=(0, 1.12 * max(radius, *losses, 1e-3)), ylim=(-1, 1))
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.annotate(f"radius {radius:.3f}", (radius, 1), xytext=(4, 0), textcoords="offset points", va="top", fontsize=11)
    ax.set_xlabel("learned loss to what was predicted", fontsize=12)
    return whole


def coverage(table: "pd.DataFrame", level: float) -> Figure:
    """Draw the coverage of prediction sets by slice, with 95 % intervals, the target level and the mean set size.

    Args:
        table: From `elekit.evaluation.conformal.coverage`. Slices with too few pairs are only listed.
        level: Target level in (0, 1).

    Returns:
        The figure.

    Raises:
        ValueError: If columns or rows are missing.
    """
    missing = [name for name in NEEDED if name not in table]
    if missing or not len(table):
        raise ValueError(f"the table lacks {f'columns {missing}' if missing else 'rows'}; see conformal.coverage")
    few = table["few"].to_numpy(dtype=bool) & (table["by"] != "all").to_numpy()
    shown, others = table[~few], table[few]
    y = np.arange(len(shown))
    figure = Picture(figsize=(10, 1.9 + 0.36 * len(y) + 0.3 * bool(len(others))), layout="constrained")
    ax = axes(figure.add_subplot(), None)
    ax.axvline(level, color="black", lw=1.5, ls="--", gid="level")
    middle = shown["coverage"].to_numpy(dtype=float)
    reach = [np.abs(shown[name].to_numpy(dtype=float) - middle) for name in ("low", "high")]
    ax.errorbar(middle, y, xerr=reach, fmt="none", ecolor=GRAY, elinewidth=2, capsize=4)
    ax.plot(middle, y, "o", ms=8, color=BLUE, gid="coverage")
    for at, (share, size, pairs) in enumerate(shown[["coverage", "mean_size", "pairs"]].itertuples(index=False)):
        note = f"{100 * share:.1f} %   {size:.1f} graphs   (of {pairs:,})"
        ax.annotate(note, (1.02, at), xycoords=("axes fraction", "data"), va="center", fontsize=11)
    ax.set_yticks(y, [fit_text(name, 220, 12)[0] for name in shown["slice"]], fontsize=12, parse_math=False)
    ax.set(xlim=(max(0.0, min(shown["low"].min(), level) - 0.03), 1.005), ylim=(len(y) - 0.4, -0.6))
    ax.set_xlabel("share of truths that lie in their set", fontsize=13)
    if len(others):
        names = ", ".join(f"{name} ({pairs:,})" for name, pairs in others[["slice", "pairs"]].itertuples(index=False))
        words, size = fit_text(f"too few pairs to say: {names}", 900, 11)
        place = ("figure fraction", "axes fraction")
        ax.annotate(words, (0.01, 0), xycoords=place, xytext=(0, -52), textcoords="offset points", va="top",
                    fontsize=size, parse_math=False, gid="few")  # fmt: skip
    handles = [
        Line2D([], [], color=BLUE, marker="o", ls="", markersize=8),
        Line2D([], [], color=GRAY, lw=2, marker="|", markersize=9),
        Line2D([], [], color="black", lw=1.5, ls="--"),
    ]
    shown = ["measured", "its 95 % interval", f"promised: {100 * level:g} %"]
    figure.legend(handles, shown, loc="outside lower center", ncols=3, frameon=False, fontsize=12)
    return figure
