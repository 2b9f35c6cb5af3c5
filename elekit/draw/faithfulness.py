"""Deletion and insertion curves, and their areas relative to a random order."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.transforms import blended_transform_factory

from elekit.draw.base import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILION, fit_text
from elekit.draw.figure import Picture, axes

if TYPE_CHECKING:
    import pandas as pd

STYLES = (
    (BLUE, "-"), (VERMILION, (0, (5, 1.5))), (ORANGE, (0, (5, 1.5, 1, 1.5))), (GREEN, (0, (2, 1))),
    (PURPLE, (0, (8, 2))), (SKY, (0, (8, 2, 2, 2))),
)  # fmt: skip
AT_RANDOM = (GRAY, (0, (1, 1)))  # what has a curve and no area
WHITE = [withStroke(linewidth=3, foreground="white")]
MARKS = {"deletion": "v", "insertion": "^"}
PANELS = {
    "deletion": ("deletion: lower is better", "share of the parts that are gone"),
    "insertion": ("insertion: higher is better", "share of the parts that stand"),
}


def faithfulness(curves: "pd.DataFrame", summary: "pd.DataFrame") -> Figure:
    """Draw `2 - loss` as parts are removed or added, and how much better each method is than a random order.

    Args:
        curves: Columns curve ("deletion" or "insertion"), method, parts, value, low, high.
        summary: Columns curve, method, area, low, high. A method of `curves` that is missing here is the baseline.
            low and high, the ends of bands and whiskers, may be nan.

    Returns:
        The figure.

    Raises:
        ValueError: If columns are missing, or if there are no or more than 6 methods.
    """
    for table, columns in ((curves, ("parts", "value")), (summary, ("area",))):
        missing = {"curve", "method", *columns, "low", "high"} - set(table.columns)
        if missing:
            raise ValueError(f"the table lacks columns {sorted(missing)}")
    methods = list(dict.fromkeys(summary["method"]))
    if not 1 <= len(methods) <= len(STYLES):
        raise ValueError(f"want 1 to {len(STYLES)} methods, got {len(methods)}")
    looks = dict(zip(methods, STYLES))
    figure = Picture(figsize=(14, 4.8), layout="constrained")
    *places, bars = figure.subplots(1, 3, width_ratios=(1, 1, 1.05))
    for ax, (curve, (title, below)) in zip(places, PANELS.items()):
        axes(ax, None)
        for method, line in curves[curves["curve"] == curve].groupby("method", sort=False):
            color, style = looks.get(method, AT_RANDOM)
            parts = line["parts"].to_numpy()
            ax.fill_between(parts, line["low"], line["high"], color=color, alpha=0.12, lw=0, gid=f"band-{method}")
            ax.plot(parts, line["value"], color=color, ls=style, lw=2.6, gid=f"curve-{method}")
        ax.set_title(title, fontsize=14)
        ax.set_xlabel(below, fontsize=13)
        ax.set(xlim=(0, 1))
    places[0].set_ylabel("2 - loss to the anchor", fontsize=13)
    named = [*methods, *(m for m in dict.fromkeys(curves["method"]) if m not in looks)]
    _areas(bars, summary, named, looks)
    return figure


def _areas(ax: Axes, summary: "pd.DataFrame", named: list, looks: dict) -> None:
    """One row per method: its line, its name, and its area in both curves with whiskers."""
    axes(ax, None)
    ax.axvline(0, color=AT_RANDOM[0], ls=AT_RANDOM[1], lw=2.6)
    beside = blended_transform_factory(ax.transAxes, ax.transData)
    for y, method in enumerate(named):
        color, style = looks.get(method, AT_RANDOM)
        ax.add_line(Line2D((-0.68, -0.55), (y, y), transform=beside, color=color, ls=style, lw=2.6, clip_on=False))
        for curve, shift in zip(PANELS, (-0.15, 0.15)):
            for row in summary[(summary["curve"] == curve) & (summary["method"] == method)].itertuples():
                ax.plot((row.low, row.high), (y + shift,) * 2, color=color, lw=2.6, solid_capstyle="butt")
                ax.plot(row.area, y + shift, MARKS[curve], color=color, ms=10, mec="white", gid=f"area-{method}")
                end = np.nanmax([row.area, row.high])
                ax.annotate(f"{row.area:+.2f}", (end, y + shift), xytext=(6, 0), textcoords="offset points",
                            va="center", fontsize=11, path_effects=WHITE)  # fmt: skip
    ax.set_yticks(range(len(named)), [fit_text(name, 130, 12)[0] for name in named], fontsize=12, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.set(ylim=(len(named) - 0.5, -0.5))
    ax.margins(x=0.3)
    ax.set_title("better than a random order by", fontsize=14)
    ax.set_xlabel("area between the curves (2 - loss)", fontsize=13)
    marks = [Line2D([], [], color="black", marker=mark, ls="", ms=9) for mark in MARKS.values()]
    ax.legend(marks, list(MARKS), loc="lower right", frameon=False, fontsize=12)
