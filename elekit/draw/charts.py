"""Charts with one labeled row per item: edit costs, coverage, concepts, claims and trainings."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from elekit.draw.base import BLUE, GRAY, LIGHT_GRAY, ORANGE, VERMILION, fit_text, printable
from elekit.draw.curves import COLORS
from elekit.draw.figure import (
    Picture,
    Style,
    axes,
    beside,
    ends,
    figure_of,
    legend,
    name_rows,
    require_columns,
    whiskers,
)
from elekit.graphs._schema import require_positive

SHAPES = "osD^v<>ph"
WIDE = 520  # points for the text of a claim
KNOWN = Style(marker="s", markersize=15, markeredgewidth=1.8, ls="")
MARKS = {  # also distinct in black and white
    "holds": {**KNOWN, "markerfacecolor": BLUE, "markeredgecolor": BLUE},
    "fails": {**KNOWN, "markerfacecolor": "white", "markeredgecolor": VERMILION},
    "cannot be checked": Style(marker="$?$", markersize=11, color=GRAY, ls=""),
}
INSIDE = {"holds": Style(marker="+", color="white"), "fails": Style(marker="x", color=VERMILION)}
BARS = (  # name, offset below the middle of a row, height, style
    ("psi, with 95 % interval", -0.17, 0.42, Style(color=BLUE)),
    ("size and label counts, without psi", 0.15, 0.2, Style(facecolor="white", edgecolor=ORANGE, hatch="////")),
    ("psi, random values (control)", 0.34, 0.16, Style(facecolor=LIGHT_GRAY, edgecolor="black", lw=0.8)),
)
SIGNS = {"encoded": "●", "explained by size and counts": "◐", "weakly encoded": "○"}


def edit_costs(summary: pd.DataFrame, *, top: int = 10) -> Figure:
    """Draw the median price of each kind of edit, its 95 % interval, and a band from the 5 % to the 95 % quantile.

    Args:
        summary: From `elekit.inspect.edit_costs(...).summary()`, most expensive first.
        top: Number of most expensive and of cheapest kinds, at least 1.

    Returns:
        The figure.
    """
    needed = ("kind", "count", "median", "low", "high", "q05", "q95", "mark")
    require_columns(summary, needed, source="elekit.inspect.edit_costs", rows=True)
    shown, y, parted = ends(summary, top)
    ax = axes(None, (10, 1.7 + 0.36 * len(y)), x="price: learned loss between before and after")
    ax.hlines(y, shown["q05"], shown["q95"], color=LIGHT_GRAY, lw=6, gid="band")
    whiskers(ax, y, shown["median"], shown["low"], shown["high"])
    ax.plot(shown["median"], y, "o", color=BLUE, markersize=8, markeredgecolor="white", gid="median")
    for at, (price, high, count, mark) in zip(y, shown[["median", "q95", "count", "mark"]].itertuples(index=False)):
        beside(ax, high, at, f"{price:.2f}  (of {count:,})" + f"  {mark}" * bool(mark))
    name_rows(ax, shown["kind"], y, width=270)
    ax.set_xlim(0, 1.25 * float(shown["q95"].max()) or 1.0)
    if parted:
        ax.set_title(
            f"the {top} most expensive and the {top} cheapest of {len(summary)} kinds", fontsize=13, loc="left"
        )
    looks = {
        "median": {"color": BLUE, "marker": "o", "ls": "", "markersize": 8},
        "its 95 % interval": {"color": "black", "lw": 1.8, "marker": "|", "markersize": 9},
        "5 % to 95 % quantile": {"color": LIGHT_GRAY, "lw": 6},
    }
    legend(ax.figure, looks, 12, loc="outside lower center", ncols=3)
    return figure_of(ax)


def coverage(table: pd.DataFrame, level: float) -> Figure:
    """Draw the coverage of prediction sets by slice, with 95 % intervals, the target level and the mean set size.

    Args:
        table: From `elekit.evaluation.conformal.coverage`. Slices with too few pairs are only listed.
        level: Target level in (0, 1).

    Returns:
        The figure.
    """
    needed = ("slice", "by", "pairs", "coverage", "low", "high", "mean_size", "few")
    require_columns(table, needed, source="elekit.evaluation.conformal.coverage", rows=True)
    few = table["few"].to_numpy(dtype=bool) & (table["by"] != "all").to_numpy()
    shown, others = table[~few], table[few]
    y = np.arange(len(shown))
    height = 1.9 + 0.36 * len(y) + 0.3 * bool(len(others))
    ax = axes(None, (10, height), x="share of sets that contain the truth")
    ax.axvline(level, color="black", lw=1.5, ls="--", gid="level")
    whiskers(ax, y, shown["coverage"], shown["low"], shown["high"], color=GRAY, width=2)
    ax.plot(shown["coverage"], y, "o", ms=8, color=BLUE, gid="coverage")
    for at, (share, size, pairs) in enumerate(shown[["coverage", "mean_size", "pairs"]].itertuples(index=False)):
        beside(ax, 1.02, at, f"{100 * share:.1f} %   {size:.1f} graphs   (of {pairs:,})", gap=0, edge=True)
    name_rows(ax, shown["slice"], width=220)
    ax.set_xlim(max(0.0, min(shown["low"].min(), level) - 0.03), 1.005)
    if len(others):
        names = ", ".join(f"{name} ({pairs:,})" for name, pairs in others[["slice", "pairs"]].itertuples(index=False))
        words, size = fit_text(f"too few pairs: {names}", 900, 11)
        place = ("figure fraction", "axes fraction")
        ax.annotate(words, (0.01, 0), xycoords=place, xytext=(0, -52), textcoords="offset points", va="top",
                    fontsize=size, parse_math=False, gid="few")  # fmt: skip
    looks = {
        "measured": {"color": BLUE, "marker": "o", "ls": "", "markersize": 8},
        "its 95 % interval": {"color": GRAY, "lw": 2, "marker": "|", "markersize": 9},
        f"target: {100 * level:g} %": {"color": "black", "lw": 1.5, "ls": "--"},
    }
    legend(ax.figure, looks, 12, loc="outside lower center", ncols=3)
    return figure_of(ax)


def concepts(table: pd.DataFrame) -> Figure:
    """Bars of the scores of each property, with its mark, from 0 (guessing) to 1 (perfect).

    The wide bar with a 95 % interval is the probe of psi, the hatched bar is size and label counts without psi (size
    alone where counts is nan), the gray bar is the control. Negative scores appear as 0.

    Args:
        table: `Concepts.table`, or columns property, score, low, high, control, size, counts and mark of it. Rows
            without a score are listed below the bars.

    Returns:
        The figure.
    """
    require_columns(table, ("property", "score", "low", "high", "control", "size", "counts", "mark"))
    shown, others = table[table["score"].notna()], table[table["score"].isna()]
    if not len(shown):
        raise ValueError(f"none of the {len(table)} properties has a score")
    y = np.arange(len(shown))
    known = shown["counts"].fillna(shown["size"])
    values = [column.to_numpy(dtype=float).clip(0, 1) for column in (shown["score"], known, shown["control"])]
    ax = axes(None, (12, 2.2 + 0.52 * len(shown)))
    for (_, below, height, look), value, gid in zip(BARS, values, ("score", "counts", "control")):
        ax.barh(y + below, value, height, gid=gid, **look)
    score, low, high = (shown[name].to_numpy(dtype=float).clip(0, 1) for name in ("score", "low", "high"))
    whiskers(ax, y + BARS[0][1], score, np.fmin(low, score), np.fmax(high, score), width=1.6)
    for at, (value, mark) in enumerate(zip(shown["score"], shown["mark"])):
        text = f"{value:.2f}  {SIGNS.get(mark, '×')} {mark}"
        ax.text(1.03, at, text, va="center", fontsize=12, parse_math=False, gid=f"mark-{at}")
    for at in y[:-1]:
        ax.axhline(at + 0.5, color=LIGHT_GRAY, lw=0.6)
    name_rows(ax, shown["property"], margin=0.55)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_xlim(0, 1.62)
    ax.spines["bottom"].set_bounds(0, 1)
    ax.set_xlabel("score on held-out graphs: 0 = guessing, 1 = perfect", fontsize=13, loc="left")
    looks = [(name, Patch(**look)) for name, *_, look in BARS]
    legend(ax.figure, looks, 12, loc="outside upper center", ncols=3)
    if len(others):
        named = ", ".join(printable(name) for name in others["property"])
        words, size = fit_text(f"not measured: {named}", 820, 11)
        ax.annotate(words, (0, 0), xycoords="axes fraction", xytext=(0, -58), textcoords="offset points", va="top",
                    fontsize=size, parse_math=False, gid="not measured")  # fmt: skip
    return figure_of(ax)


def stability(table: pd.DataFrame, *, most: int = 30) -> Figure:
    """A grid of claims and trainings: filled where a claim holds, empty where it fails, ? where it cannot be checked.

    Stable claims are above a line; claims that hold most often come first.

    Args:
        table: The result of `elekit.audit.stability`.
        most: Largest number of claims that are drawn, at least 1; the title states how many are left out.

    Returns:
        The figure.
    """
    trainings = _trainings(table, ("claim", "holds", "of", "stable"))
    require_positive(most=most)
    ordered = table.sort_values(["stable", "holds", "of"], ascending=False, kind="stable")
    shown, stable = ordered.head(most), int(table["stable"].sum())
    rows, columns = len(shown), len(trainings)
    letters = max(len(fit_text(claim, WIDE, 12)[0]) for claim in shown["claim"])
    width = max(7.0, 1.6 + 0.1 * letters + 0.95 * columns)
    figure = Picture(figsize=(width, 1.7 + 0.36 * rows), layout="constrained")
    ax = figure.add_subplot()
    used = set()
    for y, row in enumerate(shown[trainings].itertuples(index=False)):
        for x, answer in enumerate(row):
            name = "cannot be checked" if pd.isna(answer) else "holds" if answer else "fails"
            used.add(name)
            ax.plot(x, y, gid=f"{name}-{x}-{y}", **MARKS[name])
            if name in INSIDE:
                ax.plot(x, y, ls="", markersize=8, markeredgewidth=2, **INSIDE[name])
    for y, (holds, of, whole) in enumerate(shown[["holds", "of", "stable"]].itertuples(index=False)):
        text = "all" if whole else f"{holds} of {of}" + " checked" * (of < columns)
        ax.text(columns - 0.35, y, text, va="center", fontsize=12, fontweight="bold" if whole else "normal")
    if 0 < stable < rows:
        ax.axhline(stable - 0.5, color="black", lw=1.2, gid="stable above")
    ax.set_xticks(range(columns), [fit_text(name, 68, 12)[0] for name in trainings], fontsize=12, parse_math=False)
    name_rows(ax, shown["claim"], width=WIDE)
    ax.set_xlim(-0.6, columns - 0.4)
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    title = f"{stable} of {len(table)} claims hold in all {columns} trainings"
    title += f"; {len(table) - rows} more are not drawn" if rows < len(table) else ""
    figure.suptitle(title, fontsize=14, fontweight="bold", x=0.01, ha="left")
    looks = {name: {**look, "markersize": 11} for name, look in MARKS.items() if name in used}
    legend(figure, looks, 12, loc="outside lower center", ncols=len(looks))
    return figure


def across_trainings(table: pd.DataFrame, xlabel: str = "median price", *, top: int = 10) -> Figure:
    """Figures over trainings: for each name one mark per training, on a line from the lowest to the highest.

    Args:
        table: The result of `elekit.audit.across_trainings`.
        xlabel: Label of the axis.
        top: Number of largest and of smallest means that are drawn, at least 1.

    Returns:
        The figure; each training has a color and a shape.
    """
    trainings = _trainings(table, ("name", "mean", "sd", "lowest", "highest", "of"))
    shown, y, parted = ends(table.sort_values("mean", ascending=False, kind="stable"), top)
    ax = axes(None, (9.5, 1.9 + 0.36 * len(y)), x=printable(xlabel))
    ax.hlines(y, shown["lowest"], shown["highest"], color=LIGHT_GRAY, lw=5, zorder=1)
    looks = []
    for number, name in enumerate(trainings):
        look = Style(color=COLORS[number % len(COLORS)], marker=SHAPES[number % len(SHAPES)], ls="", ms=9)
        ax.plot(shown[name].to_numpy(dtype=float), y, mec="white", gid=f"training-{number}", **look)
        looks.append((fit_text(name, 90, 12)[0], look))
    name_rows(ax, shown["name"], y)
    ax.grid(axis="y", color="#EEEEEE", zorder=0)
    ax.set_axisbelow(True)
    subset = f"the {top} largest and the {top} smallest of {len(table)}, " if parted else ""
    ax.set_title(f"{subset}in each of {len(trainings)} trainings", fontsize=13, loc="left")
    legend(ax.figure, looks, 12, loc="outside lower center", ncols=6, columnspacing=1, handletextpad=0.2)
    return figure_of(ax)


def _trainings(table: pd.DataFrame, needed: tuple[str, ...]) -> list[str]:
    """The columns of the trainings: all but the needed ones."""
    source = f"elekit.audit.{'stability' if 'claim' in needed else 'across_trainings'}"
    require_columns(table, needed, source=source)
    trainings = [name for name in table.columns if name not in needed]
    if not trainings or not len(table):
        lacks = "rows" if trainings else "trainings"
        raise ValueError(f"the table lacks {lacks}; use the result of {source}")
    return trainings
