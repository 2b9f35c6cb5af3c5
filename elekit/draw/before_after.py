"""A loss before and after a correction, side by side."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from elekit.draw.base import BLUE, GRAY, SKY, VERMILION, printable
from elekit.draw.figure import Picture, Style, axes, beside, legend, require_columns

BROKEN = "does not hold"  # a value of `after_says`
LETTERS = 44  # of a line of words beside a row
NARROWEST = 1.6  # times the goal, each way, that the axis of the rules shows at least


def corrections(rules: pd.DataFrame, judgments: pd.DataFrame, costs: pd.DataFrame) -> Figure:
    """Draw a loss before (circles) and after (dots) its correction: rules, then judgments and side effects.

    Args:
        rules: Columns rule, sense ("at most" or "at least"), goal, before, after, after_low, after_high, after_says;
            drawn as multiples of the goal, with the side that keeps the rule shaded.
        judgments: Columns which, judgments, before, after, low, high.
        costs: Columns measure, unit, before, after, low, high (of the change); rows with unit "loss" are not drawn.

    Returns:
        The figure.
    """
    wanted = ("rule", "sense", "goal", "before", "after", "after_low", "after_high", "after_says")
    require_columns(rules, wanted, "the table of rules")
    numbers = ("before", "after", "low", "high")
    require_columns(judgments, ("which", "judgments", *numbers), "the table of judgments")
    require_columns(costs, ("measure", "unit", *numbers), "the table of costs")
    held = judgments.loc[judgments["judgments"] > 0, ["which", "judgments", *numbers]].itertuples(index=False)
    shares = [(f"agrees with {count} judgments {which}", *values) for which, count, *values in held]
    other = costs.loc[costs["unit"] != "loss", ["measure", *numbers]].itertuples(index=False)
    shares += [(name, old, new, old + low, old + high) for name, old, new, low, high in other]
    counts = [count for count in (len(rules), len(shares)) if count]
    if not counts:
        raise ValueError("nothing to draw: no rules, no judgments and no costs")
    figure = Picture(figsize=(12, 1.9 + sum(0.62 * count + 0.9 for count in counts)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(counts), 1, height_ratios=[count + 1.2 for count in counts])).tolist()
    if len(rules):
        _draw_rules(panels.pop(0), rules)
    if shares:
        _draw_shares(panels.pop(0), shares)
    looks: dict[str, Artist | Style] = {
        "before": {"ls": "", "marker": "o", "ms": 11, "mfc": "white", "mec": "black", "mew": 1.8},
        "after, with 95 % interval": {"ls": "-", "lw": 2.5, "marker": "o", "ms": 11, "color": BLUE},
    }
    if len(rules):
        looks["keeps the rule"] = Patch(color=SKY, alpha=0.35)
    legend(figure, looks, 13, loc="outside lower center", ncols=3)
    return figure


def _draw_rules(ax: Axes, rules: pd.DataFrame) -> None:
    """Values relative to their goals, on a log axis."""
    goal = rules["goal"].to_numpy(dtype=float)
    numbers = rules[["before", "after", "after_low", "after_high"]].to_numpy(dtype=float) / goal[:, None]
    numbers = np.where(numbers > 0, numbers, np.where(np.isnan(numbers), np.nan, 1e-3))
    finite = numbers[np.isfinite(numbers)]
    low = min(1 / NARROWEST, *(finite / 1.25)) if len(finite) else 1 / NARROWEST
    high = max(NARROWEST, *(finite * 1.25)) if len(finite) else NARROWEST
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    for y, row in enumerate(rules.itertuples()):
        left, right = (low, 1.0) if row.sense == "at most" else (1.0, high)
        ax.fill_betweenx([y - 0.36, y + 0.36], left, right, color=SKY, alpha=0.35, lw=0, gid="keeps")
        _pair(ax, y, *numbers[y])
    ax.axvline(1, color="black", lw=1.5, ls="--")
    notes = [f"{_short(row.before)} to {_short(row.after)}: {row.after_says}" for row in rules.itertuples()]
    _rows(ax, [_wrapped(rule) for rule in rules["rule"]], notes, rules["after_says"].eq(BROKEN).tolist())
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high]
    ax.set_xticks(ticks, ["goal" if t == 1 else f"{t:g} x goal" for t in ticks], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_title("rules, on held-out graphs", fontsize=14, loc="left")


def _draw_shares(ax: Axes, shares: list[tuple]) -> None:
    """Shares and rank correlations."""
    lowest = min([0.0, *(value for _, *values in shares for value in values if np.isfinite(value))])
    ax.set_xlim(lowest - 0.02, 1.02)
    for y, (_, before, after, low, high) in enumerate(shares):
        _pair(ax, y, before, after, low, min(high, 1.0))
    notes = [f"{_short(before)} to {_short(after)}" for _, before, after, *_ in shares]
    _rows(ax, [_wrapped(words) for words, *_ in shares], notes)
    ax.set_title("judgments and side effects (1 is best)", fontsize=14, loc="left")


def _pair(ax: Axes, y: int, before: float, after: float, low: float, high: float) -> None:
    if np.isfinite([before, after]).all():
        arrow = {"arrowstyle": "->", "color": GRAY, "lw": 1.5, "shrinkA": 7, "shrinkB": 7}
        ax.annotate("", (after, y), (before, y), arrowprops=arrow)
    ax.plot([low, high], [y, y], color=BLUE, lw=2.5, solid_capstyle="butt", gid="interval")
    ax.plot([before], [y], "o", ms=11, mfc="white", mec="black", mew=1.8, gid="before")
    ax.plot([after], [y], "o", ms=9, color=BLUE, gid="after")


def _rows(ax: Axes, names: list[str], notes: list[str], broken: Sequence[bool] = ()) -> None:
    """Name each row at the left and annotate it at the right, in color if it is broken."""
    axes(ax)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), names, fontsize=12, parse_math=False)
    for y, text in enumerate(notes):
        look = Style(color=VERMILION, fontweight="bold") if y < len(broken) and broken[y] else {}
        beside(ax, 1, y, text, gap=10, size=12, edge=True, annotation_clip=False, **look)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(printable(text), LETTERS, max_lines=2, placeholder=" …"))


def _short(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.2f}"
