"""Curves and bars of losses and training histories."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from elekit.draw.base import (
    BLUE,
    GRAY,
    GREEN,
    LIGHT_GRAY,
    ORANGE,
    SKY,
    VERMILION,
    fit_text,
    padded_limits,
    printable,
    to_numpy,
)
from elekit.draw.figure import Picture, axes, figure_of


def loss_curve(relaxed, rounded, ax: Axes | None = None, *, stopped: str | None = None) -> Figure:
    """Draw the learned loss of the relaxed and of the rounded iterate over the iterations; the rounding gap is
    shaded.

    Args:
        relaxed: (S,) losses, S >= 1.
        rounded: (S,) losses.
        ax: Axes to draw into; None makes a new figure.
        stopped: Reason why the run ended, written below the curves.

    Returns:
        The whole figure.

    Raises:
        ValueError: If the shapes differ or are not (S,).
    """
    relaxed, rounded = to_numpy(relaxed), to_numpy(rounded)
    if relaxed.ndim != 1 or not len(relaxed) or relaxed.shape != rounded.shape:
        raise ValueError(f"want two curves (S,) of one length S >= 1, got {relaxed.shape} and {rounded.shape}")
    ax = axes(ax, (7, 4.2))
    steps = np.arange(len(relaxed))
    ax.fill_between(steps, relaxed, rounded, color=LIGHT_GRAY, alpha=0.45, linewidth=0)
    mark = "o" if len(steps) < 30 else None
    for values, color in ((rounded, VERMILION), (relaxed, BLUE)):
        ax.plot(steps, values, color=color, linewidth=2.5, marker=mark, markersize=4)
    ax.set_xlim(-0.02 * len(steps), max(len(steps) - 1, 1) * 1.02)
    ax.set_ylim(*padded_limits(np.concatenate([relaxed, rounded])))
    bottom, top = ax.get_ylim()
    ends = sorted([(rounded[-1], "rounded", VERMILION), (relaxed[-1], "relaxed", BLUE)], key=lambda end: end[0])
    nudge = max(0, 0.08 * (top - bottom) - (ends[1][0] - ends[0][0])) / 2
    for (value, name, color), shift in zip(ends, (-nudge, nudge)):
        ax.annotate(
            name,
            (1, value + shift),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            va="center",
            textcoords="offset points",
            color=color,
            fontsize=13,
            fontweight="bold",
        )
    upper, gap = np.fmax(relaxed, rounded), np.nan_to_num(np.abs(rounded - relaxed))
    if len(steps) > 1 and gap.max() > 0.1 * (top - bottom):
        widest, last = int(gap.argmax()), len(steps) - 1
        x = min(max(widest, 0.3 * last), 0.7 * last)
        near = upper[np.abs(steps - x) <= max(0.2 * last, 1)]
        y = np.nanmax(near) + 0.08 * (top - bottom)  # free of both curves
        ax.annotate(
            "rounding gap",
            (widest, (relaxed[widest] + rounded[widest]) / 2),
            xytext=(x, y),
            fontsize=13,
            ha="center",
            va="bottom",
            arrowprops={"arrowstyle": "-", "color": GRAY, "lw": 1.2},
        )
        ax.set_ylim(bottom, max(top, y + 0.1 * (top - bottom)))
    ax.set_xlabel(
        "iteration" + (f"\nstopped: {printable(stopped)}" if stopped else ""), fontsize=13, parse_math=False
    )
    ax.set_ylabel("learned loss", fontsize=13)
    ax.locator_params(axis="x", integer=True)
    return figure_of(ax)


def ranking(
    losses, names: Sequence[str], truth: int | None = None, ax: Axes | None = None, *, show: int = 10
) -> Figure:
    """Draw the learned loss of the best candidates as bars, best first; the truth has a thick rim, hatching and a
    label.

    Args:
        losses: (C,) losses.
        names: C names.
        truth: Index of the true candidate, if known; it comes last, with its rank, if it is not among the best.
        ax: Axes to draw into; None makes a new figure.
        show: Number of candidates.

    Returns:
        The whole figure.

    Raises:
        ValueError: If the shapes do not fit, or if `truth` is no candidate.
    """
    losses = to_numpy(losses)
    if losses.ndim != 1 or not len(losses) or len(names) != len(losses):
        raise ValueError(f"want losses (C,) and C names, C >= 1, got {losses.shape} and {len(names)} names")
    if truth is not None and not 0 <= truth < len(losses):
        raise ValueError(f"truth must be a candidate 0..{len(losses) - 1}, got {truth}")
    order = np.argsort(losses, kind="stable")
    best = order[:show].tolist() + ([truth] if truth is not None and truth not in order[:show] else [])
    rank = {int(c): 1 + n for n, c in enumerate(order)}
    ax = axes(ax, (7, 1.1 + 0.42 * len(best)))
    bars = ax.barh(range(len(best)), losses[best], color=SKY, height=0.7)
    reach = max(float(np.nanmax(losses[best])), 1e-9)
    for y, (candidate, bar) in enumerate(zip(best, bars)):
        words = f"{losses[candidate]:.3f}"
        if candidate == truth:
            bar.set(facecolor=ORANGE, edgecolor="black", linewidth=2, hatch="//")
            words += "  truth"
        ax.text(
            losses[candidate] + 0.015 * reach,
            y,
            words,
            va="center",
            fontsize=12,
            fontweight="bold" if candidate == truth else "normal",
        )
    labels = [f"{fit_text(names[c], 260, 12)[0]}   #{rank[c]}" for c in best]
    ax.set_yticks(range(len(best)), labels, fontsize=12, parse_math=False)
    ax.set(ylim=(len(best) - 0.4, -0.6), xlim=(min(0.0, float(np.nanmin(losses[best]))), 1.2 * reach))
    ax.set_xlabel("learned loss", fontsize=13)
    return figure_of(ax)


def history(records: Sequence[dict]) -> Figure:
    """Draw loss and retrieval of a training over its steps.

    Args:
        records: Dicts with `step` and any of `loss` and `retrieval`, such as the history of a fit.

    Returns:
        The figure.

    Raises:
        ValueError: If no record has a loss or a retrieval.
    """
    curves = {}
    for name in ("loss", "retrieval"):
        curves[name] = [(r["step"], r[name]) for r in records if r.get(name) is not None]
    if not any(curves.values()):
        raise ValueError(f"nothing to draw: none of the {len(records)} records has a loss or a retrieval")
    figure = Picture(figsize=(7, 5), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for ax, (name, color, words) in zip(panels, (("loss", BLUE, "loss"), ("retrieval", GREEN, "retrieval@1"))):
        axes(ax, None)
        if curves[name]:
            steps, values = zip(*curves[name])
            ax.plot(steps, values, color=color, linewidth=2.5, marker="o", markersize=4)
            ax.annotate(
                f"{values[-1]:.3g}",
                (steps[-1], values[-1]),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                color=color,
                fontsize=13,
                fontweight="bold",
                annotation_clip=False,
            )
        ax.set_ylabel(words, fontsize=13)
    panels[1].set_ylim(0, 1.05)
    panels[1].set_xlabel("step", fontsize=13)
    return figure
