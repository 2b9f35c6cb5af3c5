"""Several trainings of a loss: which claims hold in all of them, and how far figures vary."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from elekit.draw.base import BLUE, GRAY, LIGHT_GRAY, VERMILION, fit_text, printable
from elekit.draw.figure import Picture, axes
from elekit.draw.histograms import COLORS

if TYPE_CHECKING:
    import pandas as pd

SHAPES = "osD^v<>ph"
WIDE = 520  # points for the text of a claim
KNOWN = {"marker": "s", "markersize": 15, "markeredgewidth": 1.8, "ls": ""}
MARKS: dict[str, dict[str, Any]] = {  # also distinct in black and white
    "holds": {**KNOWN, "markerfacecolor": BLUE, "markeredgecolor": BLUE},
    "fails": {**KNOWN, "markerfacecolor": "white", "markeredgecolor": VERMILION},
    "cannot be checked": {"marker": "$?$", "markersize": 11, "color": GRAY, "ls": ""},
}
INSIDE: dict[str, dict[str, Any]] = {
    "holds": {"marker": "+", "color": "white"},
    "fails": {"marker": "x", "color": VERMILION},
}


def stability(table: "pd.DataFrame", *, most: int = 30) -> Figure:
    """A grid of claims and trainings: filled where a claim holds, empty where it fails, ? where it cannot be checked.

    Stable claims are above a line; claims that hold most often come first.

    Args:
        table: The result of `elekit.audit.stability`.
        most: Largest number of claims that are drawn, at least 1; the title states how many are left out.

    Returns:
        The figure.

    Raises:
        ValueError: If a column is missing, there are no trainings or claims, or most is below 1.
    """
    trainings = _trainings(table, ("claim", "holds", "of", "stable"))
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    ordered = table.sort_values(["stable", "holds", "of"], ascending=False, kind="stable")
    shown, stable = ordered.head(most), int(table["stable"].sum())
    rows, columns = len(shown), len(trainings)
    labels = [fit_text(claim, WIDE, 12)[0] for claim in shown["claim"]]
    width = max(7.0, 1.6 + 0.1 * max(map(len, labels)) + 0.95 * columns)
    figure = Picture(figsize=(width, 1.7 + 0.36 * rows), layout="constrained")
    ax = figure.add_subplot()
    used = set()
    for y, row in enumerate(shown[trainings].itertuples(index=False)):
        for x, answer in enumerate(row):
            name = _answer(answer)
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
    ax.set_yticks(range(rows), labels, fontsize=12, parse_math=False)
    ax.set(xlim=(-0.6, columns - 0.4), ylim=(rows - 0.4, -0.6))
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    title = f"{stable} of {len(table)} claims hold in all {columns} trainings"
    title += f"; {len(table) - rows} more are not drawn" if rows < len(table) else ""
    figure.suptitle(title, fontsize=14, fontweight="bold", x=0.01, ha="left")
    keys = [name for name in MARKS if name in used]
    handles = [Line2D([], [], **{**MARKS[name], "markersize": 11}) for name in keys]
    figure.legend(handles, keys, loc="outside lower center", ncols=len(keys), frameon=False, fontsize=12)
    return figure


def across_trainings(table: "pd.DataFrame", xlabel: str = "median price", *, top: int = 10) -> Figure:
    """Figures over trainings: for each name one mark per training, on a line from the lowest to the highest.

    Args:
        table: The result of `elekit.audit.across_trainings`.
        xlabel: Label of the axis.
        top: Number of largest and of smallest means that are drawn, at least 1.

    Returns:
        The figure; each training has a color and a shape.

    Raises:
        ValueError: If a column is missing, there are no trainings or figures, or top is below 1.
    """
    trainings = _trainings(table, ("name", "mean", "sd", "lowest", "highest", "of"))
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    ordered = table.sort_values("mean", ascending=False, kind="stable")
    parted = len(ordered) > 2 * top
    shown = ordered.iloc[[*range(top), *range(len(ordered) - top, len(ordered))]] if parted else ordered
    y = np.arange(len(shown)) + (np.arange(len(shown)) >= top) * parted
    figure = Picture(figsize=(9.5, 1.9 + 0.36 * len(y)), layout="constrained")
    ax = axes(figure.add_subplot(), None)
    ax.hlines(y, shown["lowest"], shown["highest"], color=LIGHT_GRAY, lw=5, zorder=1)
    for number, name in enumerate(trainings):
        values = shown[name].to_numpy(dtype=float)
        look: dict[str, Any] = {"color": COLORS[number % len(COLORS)], "marker": SHAPES[number % len(SHAPES)]}
        ax.plot(values, y, ls="", markersize=9, markeredgecolor="white", gid=f"training-{number}", **look)
    ax.set_yticks(y, [fit_text(name, 260, 12)[0] for name in shown["name"]], fontsize=12, parse_math=False)
    ax.set_ylim(max(len(y) + parted, 1) - 0.4, -0.6)
    ax.grid(axis="y", color="#EEEEEE", zorder=0)
    ax.set_axisbelow(True)
    ax.set_xlabel(printable(xlabel), fontsize=13, parse_math=False)
    ends = f"the {top} largest and the {top} smallest of {len(table)}, " if parted else ""
    ax.set_title(f"{ends}in each of {len(trainings)} trainings", fontsize=13, loc="left")
    handles = [
        Line2D([], [], ls="", markersize=9, color=COLORS[n % len(COLORS)], marker=SHAPES[n % len(SHAPES)])
        for n in range(len(trainings))
    ]
    key = figure.legend(handles, [fit_text(name, 90, 12)[0] for name in trainings], loc="outside lower center",
                        ncols=6, frameon=False, fontsize=12, columnspacing=1, handletextpad=0.2)  # fmt: skip
    for words in key.get_texts():
        words.set_parse_math(False)
    return figure


def _answer(answer) -> str:
    """The name of a mark: True, False, or missing."""
    if answer is True or answer is False or isinstance(answer, np.bool_):
        return "holds" if answer else "fails"
    return "cannot be checked"


def _trainings(table: "pd.DataFrame", needed: tuple[str, ...]) -> list[str]:
    """The columns of the trainings, those that are not needed besides."""
    missing = [name for name in needed if name not in table.columns]
    trainings = [name for name in table.columns if name not in needed]
    if missing or not trainings or not len(table):
        lacks = f"columns {missing}" if missing else "trainings" if not trainings else "rows"
        source = "stability" if "claim" in needed else "across_trainings"
        raise ValueError(f"the table lacks {lacks}; use the result of elekit.audit.{source}")
    return trainings
