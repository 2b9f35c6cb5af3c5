"""A decoding run in one picture, whole or at one step: the static counterparts of the stepper."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from elekit.decoding import Trace
from elekit.draw.base import (
    BLUE,
    GRAY,
    LIGHT_GRAY,
    RADIUS,
    VERMILION,
    VISIBLE,
    fit_text,
    padded_limits,
    printable,
    to_numpy,
)
from elekit.draw.curves import loss_curve
from elekit.draw.figure import Picture, axes
from elekit.draw.frames import LOOKS, NUMBERS, Frames, frame_positions, frames, matching_layout
from elekit.draw.layouts import layout
from elekit.draw.sets import HIGH, prediction_set
from elekit.draw.structures import graph, points_per_unit, size_in_inches
from elekit.graphs.graph import Graph


def trace(trace: Trace, *, truth: Graph | None = None, frames: int = 4) -> Figure:
    """Draw iterates of a decoding run from left to right, its result and the truth, over the curve of the loss.

    All iterates use the layout of the result, so the nodes can be followed.

    Args:
        trace: A recorded run.
        truth: Batch of one, if known.
        frames: Number of iterates, including the first and the last; at least 2.

    Returns:
        The figure.

    Raises:
        ValueError: If `frames` is below 2.
    """
    if frames < 2:
        raise ValueError(f"frames must be at least 2, got {frames}")
    last = max(trace.best, 1) if len(trace) > 1 else 0
    shown = sorted({round(last * share**1.5) for share in np.linspace(0, 1, frames)})
    rounded = trace.iterates[trace.best].rounded()
    panels = [(trace[s], layout(rounded), f"iteration {s}") for s in shown]
    panels.append((rounded, layout(rounded), f"rounded\nloss {float(trace.rounded[trace.best]):.3f}"))
    if trace.search_steps:
        done = trace.search_steps[-1]
        edits = f"{len(trace.edits)} edit" + "s" * (len(trace.edits) != 1)
        panels.append((done.graph, layout(done.graph), f"after {edits}\nloss {done.loss:.3f}"))
    if truth is not None:
        panels.append((truth, matching_layout(truth, *panels[-1][:2]), "truth"))
    figure = Picture(figsize=(2.6 * len(panels), 6.4))
    for column, (one, positions, title) in enumerate(panels):
        place = figure.add_axes((column / len(panels), 0.5, 0.96 / len(panels), 0.4))
        graph(one, place, positions=positions)
        place.set_title(title, fontsize=13)
    below = figure.add_axes((0.07, 0.11, 0.83, 0.34))
    loss_curve(to_numpy(trace.relaxed), to_numpy(trace.rounded), below, stopped=trace.stopped)
    return figure


def iterate(
    trace: Trace, step: int, *, truth: Graph | None = None, directions=None, compare: Trace | None = None,
    compare_directions=None, names: tuple[str, str] = ("", ""), found=None,
) -> Figure:  # fmt: skip
    """Draw one step of a decoding run: its graph, the descent directions, the truth, and the loss of all steps.

    Sky blue and solid halos: the loss decreases if the part appears or changes; purple and dashed: if it disappears.
    The width is relative to the strongest direction of the step. Orange: changed by an edit.

    Args:
        trace: A recorded run.
        step: Iterate 0..S, then the best one rounded (S + 1), then each step of local search.
        truth: Batch of one, if known.
        directions: Of the trace, from `elekit.inspect.descent_directions`; None draws none.
        compare: Another run of the same target at the same step; a run that has ended stays on its last frame.
        compare_directions: Of the other run.
        names: Names of the two runs.
        found: The target's prediction set, drawn below.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no such step.
    """

    runs = [frames(trace, directions)]
    runs += [frames(compare, compare_directions, like=runs[0])] if compare is not None else []
    last = max(map(len, runs)) - 1
    if not 0 <= step <= last:
        raise ValueError(f"step must lie in 0..{last}, got {step}")
    panels, lines = len(runs) + (truth is not None), 0.026 * 3 * len(runs)  # of text below the graphs
    whole = figure = Picture(figsize=(2.4 + 4.3 * max(panels, 2), 8.6 + HIGH * (found is not None)))
    if found is not None:
        figure, below = whole.subfigures(2, 1, squeeze=False, height_ratios=(8.6, HIGH))[:, 0]
        prediction_set(found, truth=truth, decoded=trace.result, figure=below)
    for column, (run, name) in enumerate(zip(runs, names)):
        at = run.at(step)
        place = figure.add_axes((column / panels, 0.52, 0.97 / panels, 0.42))
        marked(run, at, place)
        place.set_title(": ".join(filter(None, (printable(name), run.names[at]))), fontsize=14, parse_math=False)
    if truth is not None:
        place = figure.add_axes(((panels - 1) / panels, 0.52, 0.97 / panels, 0.42))
        graph(truth, place, positions=matching_layout(truth, runs[0].graphs[-1], runs[0].positions[-1]))
        place.set_title("truth", fontsize=14)
    kinds = dict.fromkeys(mark.kind for run in runs for mark in run.marks[run.at(step)])
    keys = [Line2D([], [], color=LOOKS[kind][0], ls=_dash(kind), lw=6) for kind in kinds]
    words = [LOOKS[kind][2] for kind in kinds]
    figure.legend(keys, words, loc="center", bbox_to_anchor=(0.5, 0.5), ncols=3, frameon=False, fontsize=12)
    for n, (run, name) in enumerate(zip(runs, names)):
        for line, (text, size) in enumerate(_words(run, run.at(step), printable(name))):
            text, size = fit_text(text, 72 * 0.96 * whole.get_figwidth(), size)
            height = 0.475 - 0.026 * (3 * n + line)
            figure.text(0.5, height, text, fontsize=size, ha="center", va="top", parse_math=False, gid="said")
    _curves(runs, names, step, figure.add_axes((0.08, 0.09, 0.76, 0.345 - lines)))
    return whole


def marked(run: Frames, at: int, ax: Axes) -> None:
    """One frame of a run: the graph, outlines of absent nodes, and halos at the frame's marks."""
    one, positions = run.graphs[at], run.positions[at]
    graph(one, ax, positions=positions)
    points = points_per_unit(ax)
    for i in np.flatnonzero(to_numpy(one.presence()[0]) < VISIBLE).tolist():
        ax.add_patch(Circle(positions[i], RADIUS, fill=False, ec=GRAY, ls="--", zorder=0.8, gid=f"ghost-{i}"))
    for i, (x, y) in enumerate(positions + 0.9 * RADIUS):
        white = [withStroke(linewidth=3, foreground="white")]
        ax.text(x, y, str(i), fontsize=10, color="#444444", zorder=7, path_effects=white, gid=f"number-{i}")
    largest = max((mark.size for mark in run.marks[at]), default=1.0)
    for part, kind, size, _ in run.marks[at]:
        width = 0.11 if kind == "changed" else 0.04 + 0.13 * size / largest
        line = {
            "lw": width * points,
            "ls": _dash(kind),
            "color": LOOKS[kind][0],
            "gid": f"halo-{'-'.join(map(str, part))}",
        }
        if len(part) == 1:
            ax.add_patch(Circle(positions[part[0]], RADIUS + width / 2, fill=False, zorder=0.6, **line))
        else:
            ax.add_line(Line2D(*positions[list(part)].T, zorder=0.5, solid_capstyle="butt", **line))
    low, high = positions.min(0) - 0.6, positions.max(0) + 0.6  # ghosts and halos shall not be cut off
    ax.set(xlim=(min(low[0], ax.get_xlim()[0]), max(high[0], ax.get_xlim()[1])))
    ax.set(ylim=(min(low[1], ax.get_ylim()[0]), max(high[1], ax.get_ylim()[1])))


def _words(run: Frames, at: int, name: str) -> list[tuple[str, float]]:
    """The lines of text below the graphs, with their font sizes."""
    known = [f"{what} {value}" for what, value in zip(NUMBERS, run.numbers[at]) if value]
    strongest = [f"{mark.words} ({mark.size:.2f})" for mark in run.directions(at)[:3]]
    directions = [(f"descent directions: {', '.join(strongest)}", 11.5)] if strongest else []
    return [(f"{name}: " * bool(name) + run.reading(at), 13), *directions, (",  ".join(known), 11.5)]


def _dash(kind: str):
    return (0, (1.5, 1)) if LOOKS[kind][1] else "-"


def _curves(runs: list[Frames], names, step: int, ax: Axes) -> None:
    """The learned loss of all frames of one or two runs, with the rounding gap shaded and a cursor at the step."""
    axes(ax, None)
    across = frame_positions(runs)
    ends: list[list[Any]] = []
    for run, name, dash in zip(runs, names, ("-", "--")):
        x, S = across[: len(run)], run.iterates
        ax.fill_between(
            x[:S], run.relaxed[:S], run.rounded[:S], color=LIGHT_GRAY, alpha=0.45 / len(runs), linewidth=0
        )
        ax.plot(x[:S], run.rounded[:S], color=VERMILION, lw=2.5, ls=dash)
        ax.plot(x[S:], run.rounded[S:], color=VERMILION, lw=1.5, ls=dash, marker="o", ms=6)
        ax.plot(x[:S], run.relaxed[:S], color=BLUE, lw=2.5, ls=dash)
        ax.axvline((x[S - 1] + x[S]) / 2, color=GRAY, lw=1, ls=":")
        for values, what, color in ((run.rounded, "rounded", VERMILION), (run.relaxed[:S], "relaxed", BLUE)):
            ends.append([float(values[-1]), " ".join(filter(None, (fit_text(name, 100, 12)[0], what))), color])
            ax.plot(
                x[run.at(step)],
                values[run.at(step)] if run.at(step) < len(values) else np.nan,
                "o",
                ms=9,
                color=color,
            )
    ax.axvline(across[step], color="black", lw=1.5, gid="cursor")
    ax.set(
        xlim=(-0.01, 1.01),
        ylim=padded_limits(np.concatenate([[0.0], *(r.relaxed for r in runs), *(r.rounded for r in runs)])),
    )
    room = 15 / 72 / size_in_inches(ax)[1] * np.ptp(ax.get_ylim())  # of a line of words
    ends.sort()
    for n, (value, words, color) in enumerate(ends):
        value = max(value, ends[n - 1][0] + room) if n else value
        ends[n][0] = value
        ax.annotate(
            words, (1, value), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
            va="center", color=color, fontsize=12, fontweight="bold", parse_math=False,
        )  # fmt: skip
    S = max(run.iterates for run in runs) - 1
    every = max(1, round(S / 8 / 5) * 5) if S > 12 else 1
    ax.set_xticks(across[: S + 1 : every], [str(s) for s in range(0, S + 1, every)])
    stopped = " / ".join(dict.fromkeys(printable(run.stopped) for run in runs))
    ax.set_xlabel(f"iteration, then rounding and edits\nstopped: {stopped}", fontsize=13, parse_math=False)
    ax.set_ylabel("learned loss", fontsize=13)
