"""Curves, bars, histograms and scatter plots of losses; training histories; deletion and insertion curves."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from elekit.draw import base
from elekit.draw.base import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILION, fit_text, printable, to_numpy
from elekit.draw.figure import (
    DASHED,
    OUTLINE,
    Picture,
    Style,
    axes,
    beside,
    figure_of,
    fitted_title,
    legend,
    name_rows,
    padded_limits,
    require_columns,
)

COLORS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE)
STYLES = (
    (BLUE, "-"), (VERMILION, (0, (5, 1.5))), (ORANGE, (0, (5, 1.5, 1, 1.5))), (GREEN, (0, (2, 1))),
    (PURPLE, (0, (8, 2))), (SKY, (0, (8, 2, 2, 2))),
)  # fmt: skip
MAX_POINTS = 1_000  # of a scatter plot; more become hexagons
AT_RANDOM = (GRAY, (0, (1, 1)))  # the baseline: a curve and no area
MARKS = {"deletion": "v", "insertion": "^"}
CURVES = {
    "deletion": ("deletion: lower is better", "share of the parts removed"),
    "insertion": ("insertion: higher is better", "share of the parts present"),
}


def loss_curve(relaxed, rounded, ax: Axes | None = None, *, stopped: str | None = None) -> Figure:
    """Draw the learned loss of the relaxed and of the rounded iterates, with the rounding gap between them shaded.

    Args:
        relaxed: (S,) losses, S >= 1.
        rounded: (S,) losses.
        ax: Axes to draw into; None makes a new figure.
        stopped: Reason why the run ended, written below the curves.

    Returns:
        The whole figure.
    """
    relaxed, rounded = to_numpy(relaxed), to_numpy(rounded)
    if relaxed.ndim != 1 or not len(relaxed) or relaxed.shape != rounded.shape:
        raise ValueError(f"want two curves (S,) of one length S >= 1, got {relaxed.shape} and {rounded.shape}")
    below = f"\nstopped: {printable(stopped)}" if stopped else ""
    ax = axes(ax, (7, 4.2), x="iteration" + below, y="learned loss")
    steps = np.arange(len(relaxed))
    ax.fill_between(steps, relaxed, rounded, color=base.LIGHT_GRAY, alpha=0.45, linewidth=0)
    mark = "o" if len(steps) < 30 else None
    for values, color in ((rounded, VERMILION), (relaxed, BLUE)):
        ax.plot(steps, values, color=color, linewidth=2.5, marker=mark, markersize=4)
    ax.set_xlim(-0.02 * len(steps), max(len(steps) - 1, 1) * 1.02)
    ax.set_ylim(*padded_limits(np.concatenate([relaxed, rounded])))
    bottom, top = ax.get_ylim()
    ends = sorted([(rounded[-1], "rounded", VERMILION), (relaxed[-1], "relaxed", BLUE)], key=lambda end: end[0])
    nudge = max(0, 0.08 * (top - bottom) - (ends[1][0] - ends[0][0])) / 2
    for (value, name, color), shift in zip(ends, (-nudge, nudge)):
        beside(ax, 1, value + shift, name, gap=6, size=13, edge=True, color=color, fontweight="bold")
    upper, gap = np.fmax(relaxed, rounded), np.nan_to_num(np.abs(rounded - relaxed))
    if len(steps) > 1 and gap.max() > 0.1 * (top - bottom):
        widest, last = int(gap.argmax()), len(steps) - 1
        x = min(max(widest, 0.3 * last), 0.7 * last)
        near = upper[np.abs(steps - x) <= max(0.2 * last, 1)]
        y = np.nanmax(near) + 0.08 * (top - bottom)  # free of both curves
        middle, line = (relaxed[widest] + rounded[widest]) / 2, {"arrowstyle": "-", "color": GRAY, "lw": 1.2}
        ax.annotate("rounding gap", (widest, middle), (x, y), fontsize=13, ha="center", va="bottom", arrowprops=line)
        ax.set_ylim(bottom, max(top, y + 0.1 * (top - bottom)))
    ax.locator_params(axis="x", integer=True)
    return figure_of(ax)


def ranking(
    losses, names: Sequence[str], truth: int | None = None, ax: Axes | None = None, *, show: int = 10
) -> Figure:
    """Draw the learned loss of the best candidates as bars, best first; the truth is hatched and labeled.

    Args:
        losses: (C,) losses.
        names: C names.
        truth: Index of the true candidate, if known; it comes last, with its rank, if it is not among the best.
        ax: Axes to draw into; None makes a new figure.
        show: Number of candidates.

    Returns:
        The whole figure.
    """
    losses = to_numpy(losses)
    if losses.ndim != 1 or not len(losses) or len(names) != len(losses):
        raise ValueError(f"want losses (C,) and C names, C >= 1, got {losses.shape} and {len(names)} names")
    if truth is not None and not 0 <= truth < len(losses):
        raise ValueError(f"truth must be a candidate 0..{len(losses) - 1}, got {truth}")
    order = np.argsort(losses, kind="stable")
    best = order[:show].tolist() + ([truth] if truth is not None and truth not in order[:show] else [])
    rank = {int(c): 1 + n for n, c in enumerate(order)}
    ax = axes(ax, (7, 1.1 + 0.42 * len(best)), x="learned loss")
    bars = ax.barh(range(len(best)), losses[best], color=SKY, height=0.7)
    reach = max(float(np.nanmax(losses[best])), 1e-9)
    for y, (candidate, bar) in enumerate(zip(best, bars)):
        text, weight = f"{losses[candidate]:.3f}", "normal"
        if candidate == truth:
            bar.set(facecolor=ORANGE, edgecolor="black", linewidth=2, hatch="//")
            text, weight = f"{text}  truth", "bold"
        ax.text(losses[candidate] + 0.015 * reach, y, text, va="center", fontsize=12, fontweight=weight)
    labels = [f"{fit_text(names[c], 260, 12)[0]}   #{rank[c]}" for c in best]
    name_rows(ax, labels, width=400)
    ax.set_xlim(min(0.0, float(np.nanmin(losses[best]))), 1.2 * reach)
    return figure_of(ax)


def history(records: Sequence[dict]) -> Figure:
    """Draw loss and retrieval of a training over its steps.

    Args:
        records: Dicts with `step` and any of `loss` and `retrieval`, such as the history of a fit.

    Returns:
        The figure.
    """
    names = ("loss", "retrieval")
    curves = [[(r["step"], r[name]) for r in records if r.get(name) is not None] for name in names]
    if not any(curves):
        raise ValueError(f"nothing to draw: none of the {len(records)} records has a loss or a retrieval")
    figure = Picture(figsize=(7, 5), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for ax, curve, color, name in zip(panels, curves, (BLUE, GREEN), ("loss", "retrieval@1")):
        axes(ax, y=name, x="step" if ax is panels[1] else "")
        if curve:
            steps, values = zip(*curve)
            ax.plot(steps, values, color=color, linewidth=2.5, marker="o", markersize=4)
            text, look = f"{values[-1]:.3g}", Style(color=color, fontweight="bold", annotation_clip=False)
            beside(ax, steps[-1], values[-1], text, size=13, **look)
    panels[1].set_ylim(0, 1.05)
    return figure


def quality_by_time(table: pd.DataFrame, *, by: str | None = None, budget: float | None = None) -> Figure:
    """Draw the share of exact answers against the time of one answer, with 95 % intervals.

    Args:
        table: One row per way to decode, with milliseconds, exact, low and high, as of `elekit.operation.ways`.
        by: Column that divides the ways into series, such as the precision of weights; None for one series.
        budget: Milliseconds, drawn as a line; None for none.

    Returns:
        The figure.
    """
    require_columns(table, ("milliseconds", "exact", "low", "high"), source="elekit.operation.ways", rows=True)
    ax = axes(None, (8, 5), x="milliseconds for one graph (logarithmic)", y="exact answers, %")
    groups = [("", table)] if by is None else [(str(name), some) for name, some in table.groupby(by, sort=False)]
    for (name, some), color, marker in zip(groups, itertools.cycle(COLORS), itertools.cycle("osD^v")):
        some, share = (
            some.sort_values("milliseconds"),
            100 * some.sort_values("milliseconds")[["exact", "low", "high"]],
        )
        ax.vlines(some["milliseconds"], share["low"], share["high"], color=color, linewidth=1.5, alpha=0.6)
        look = Style(color=color, marker=marker, markersize=9, markeredgecolor="black", linestyle="none")
        ax.plot(some["milliseconds"], share["exact"], label=name, **look)
    ax.set_xscale("log")
    if budget is not None:
        ax.axvline(budget, color=VERMILION, linestyle=DASHED, linewidth=2)
        ax.annotate("budget", (budget, 0.02), xycoords=("data", "axes fraction"), fontsize=12, color=VERMILION)
    if by is not None:
        ax.legend(fontsize=12, title=by, frameon=False)
    return figure_of(ax)


def agreement(table: pd.DataFrame, summary: pd.DataFrame, *, distances: Sequence[str] | None = None) -> Figure:
    """Scatter plots of the learned loss over known distances: one row per distance, one column per kind of pairs.

    Panels with more than 1,000 pairs show hexagons, darker for more pairs.

    Args:
        table: `Agreement.table`: one row per pair with columns kind, loss and the distances (nan where unknown).
        summary: `Agreement.summary()`, shown above the panels.
        distances: Distances to draw, in this order; None for all of the summary.

    Returns:
        The figure.
    """
    require_columns(table, ("kind", "loss"), source="elekit.audit.agreement")
    needed = ("distance", "kind", "pairs", "unknown", "spearman", "low", "high")
    require_columns(summary, needed, "the summary", source="Agreement.summary")
    names = list(dict.fromkeys(summary["distance"])) if distances is None else list(distances)
    unknown = [name for name in names if name not in table or not (summary["distance"] == name).any()]
    if unknown or not names:
        raise ValueError(f"unknown distances {unknown or names}; use some of {', '.join(set(summary['distance']))}")
    kinds = list(dict.fromkeys(summary["kind"]))
    figure = Picture(
        figsize=(0.6 + 4.2 * len(kinds), 0.5 + 3.5 * len(names)), layout=ConstrainedLayoutEngine(h_pad=0.12)
    )
    panels = figure.subplots(len(names), len(kinds), sharex="row", sharey=True, squeeze=False)
    for row, (name, line) in enumerate(zip(names, panels)):
        for kind, ax in zip(kinds, line):
            some = table[(table["kind"] == kind) & table[name].notna()]
            found = summary[(summary["distance"] == name) & (summary["kind"] == kind)].iloc[0]
            axes(ax, y="learned loss" if ax is line[0] else "")
            if len(some) > MAX_POINTS:
                look = Style(gridsize=30, cmap="cividis_r", mincnt=1, linewidths=0, bins="log")
                ax.hexbin(some[name], some["loss"], gid="pairs", **look)
            else:
                ax.scatter(some[name], some["loss"], s=26, color=BLUE, alpha=0.45, lw=0, gid="pairs")
            head = f"{printable(kind)}\n" if row == 0 else ""
            ax.set_title(head + caption(found), fontsize=14, parse_math=False)
            text, size = fit_text(name, 250, 14)
            ax.set_xlabel(text, fontsize=size, parse_math=False)
    return figure


def caption(found: pd.Series) -> str:
    """Rank correlation with its interval, and the number of unknown distances, in one or two lines."""
    if np.isnan(found["spearman"]):
        text = "no rank correlation: too few pairs, or constant"
    elif np.isnan(found["low"]):
        text = f"rank corr. {found['spearman']:.2f}, too few for an interval"
    else:
        text = f"rank corr. {found['spearman']:.2f}  ({found['low']:.2f} to {found['high']:.2f})"
    return text + f"\n{found['unknown']:,} of {found['unknown'] + found['pairs']:,} unknown" * bool(found["unknown"])


def histograms(values: Mapping[str, object], xlabel: str = "learned loss", *, bins: int = 50) -> Figure:
    """Draw one histogram per group, one above the other, with median and count.

    Args:
        values: (n,) arrays or tensors by name, n >= 1, at most 6 groups; values that are not finite are left out.
        xlabel: Label of the shared axis.
        bins: Number of bins.

    Returns:
        The figure. Each histogram is scaled to its own maximum.
    """
    kinds = {name: to_numpy(given).ravel() for name, given in values.items()}
    kinds = {name: held[np.isfinite(held)] for name, held in kinds.items()}
    empty = [name for name, held in kinds.items() if not len(held)]
    if not 1 <= len(kinds) <= len(COLORS) or empty:
        found = f"{len(kinds)}" + f", empty: {empty}" * bool(empty)
        raise ValueError(f"want 1 to {len(COLORS)} kinds of values, each with some, got {found}")
    together = np.concatenate(list(kinds.values()))
    edges = np.histogram_bin_edges(together, bins)
    figure = Picture(figsize=(8, 0.75 + 1.15 * len(kinds)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(kinds), 1, sharex=True))
    for ax, (name, held), color in zip(panels, kinds.items(), COLORS):
        axes(ax, x=printable(xlabel) if ax is panels[-1] else "")
        counts, _ = np.histogram(held, edges)
        ax.stairs(counts / len(held), edges, fill=True, color=color, alpha=0.8, gid="shares")
        middle = float(np.median(held))
        ax.axvline(middle, color="black", lw=1.5, ls="--")
        ax.annotate(f"median {middle:.2f}", (middle, 1), xycoords=("data", "axes fraction"), xytext=(5, -2),
                    textcoords="offset points", va="top", fontsize=12)  # fmt: skip
        fitted_title(ax, f"{name}  ({len(held):,})", 250, 13, loc="left", color="black", pad=3)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_ylim(0, 1.25 * (counts / len(held)).max())
    return figure


def faithfulness(curves: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Draw `2 - loss` as parts are removed or added, and how much better each method is than a random order.

    Args:
        curves: Columns curve ("deletion" or "insertion"), method, parts, value, low, high.
        summary: Columns curve, method, area, low, high. A method of `curves` that is missing here is the baseline.
            low and high, the ends of bands and whiskers, may be nan.

    Returns:
        The figure.
    """
    require_columns(curves, ("curve", "method", "parts", "value", "low", "high"))
    require_columns(summary, ("curve", "method", "area", "low", "high"))
    methods = list(dict.fromkeys(summary["method"]))
    if not 1 <= len(methods) <= len(STYLES):
        raise ValueError(f"want 1 to {len(STYLES)} methods, got {len(methods)}")
    looks = dict(zip(methods, STYLES))
    figure = Picture(figsize=(14, 4.8), layout="constrained")
    *places, bars = figure.subplots(1, 3, width_ratios=(1, 1, 1.05))
    for ax, (curve, (title, below)) in zip(places, CURVES.items()):
        axes(ax, x=below, y="2 - loss to the anchor" if ax is places[0] else "")
        for method, line in curves[curves["curve"] == curve].groupby("method", sort=False):
            color, style = looks.get(method, AT_RANDOM)
            parts = line["parts"].to_numpy()
            ax.fill_between(parts, line["low"], line["high"], color=color, alpha=0.12, lw=0, gid=f"band-{method}")
            ax.plot(parts, line["value"], color=color, ls=style, lw=2.6, gid=f"curve-{method}")
        ax.set_title(title, fontsize=14)
        ax.set(xlim=(0, 1))
    named = [*methods, *(m for m in dict.fromkeys(curves["method"]) if m not in looks)]
    _areas(bars, summary, named, looks)
    return figure


def _areas(ax: Axes, summary: pd.DataFrame, named: list, looks: dict) -> None:
    """One row per method: its line, its name, and its area in both curves with whiskers."""
    axes(ax, x="area between the curves (2 - loss)")
    ax.axvline(0, color=AT_RANDOM[0], ls=AT_RANDOM[1], lw=2.6)
    margin = ax.get_yaxis_transform()  # x in axes, y in data
    for y, method in enumerate(named):
        color, style = looks.get(method, AT_RANDOM)
        ax.add_line(Line2D((-0.68, -0.55), (y, y), transform=margin, color=color, ls=style, lw=2.6, clip_on=False))
        for curve, shift in zip(CURVES, (-0.15, 0.15)):
            for row in summary[(summary["curve"] == curve) & (summary["method"] == method)].itertuples():
                ax.plot((row.low, row.high), (y + shift,) * 2, color=color, lw=2.6, solid_capstyle="butt")
                ax.plot(row.area, y + shift, MARKS[curve], color=color, ms=10, mec="white", gid=f"area-{method}")
                end = np.nanmax([row.area, row.high])
                beside(ax, end, y + shift, f"{row.area:+.2f}", gap=6, path_effects=OUTLINE)
    name_rows(ax, named, width=130, margin=0.5)
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0.3)
    ax.set_title("better than a random order by", fontsize=14)
    looks = {name: {"color": "black", "marker": mark, "ls": "", "ms": 9} for name, mark in MARKS.items()}
    legend(ax, looks, 12, loc="lower right")
