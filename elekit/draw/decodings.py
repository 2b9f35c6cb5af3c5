"""Decoding runs, whole or at one step, and prediction sets: the static counterparts of the stepper."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Circle

from elekit.decoding import Trace
from elekit.draw import base
from elekit.draw.base import BLUE, GRAY, RADIUS, VERMILION, fit_text, printable, to_numpy
from elekit.draw.curves import loss_curve
from elekit.draw.figure import (
    DASHED,
    Picture,
    Style,
    axes,
    beside,
    halo,
    legend,
    outlined,
    padded_limits,
    points_per_unit,
    size_in_inches,
)
from elekit.draw.frames import (
    LOOKS,
    NUMBERS,
    SHOWN,
    Frames,
    format_loss,
    frame_positions,
    frames_of_runs,
    matching_layout,
)
from elekit.draw.layouts import layout
from elekit.draw.structures import graph, node_radii
from elekit.graphs._schema import require_positive
from elekit.graphs.graph import Graph, GraphBatch

WIDE, HIGH = 2.3, 3.9  # inches: a graph of a prediction set, and the whole set


def trace(trace: Trace, *, truth: GraphBatch | None = None, frames: int = 4) -> Figure:
    """Draw iterates of a decoding run from left to right, its result and the truth, over the curve of the loss.

    All iterates use the layout of the result, so the nodes can be followed.

    Args:
        trace: A recorded run.
        truth: Batch of one, if known.
        frames: Number of iterates, including the first and the last; at least 2.

    Returns:
        The figure.
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
        panels.append((truth.dense(), matching_layout(truth, *panels[-1][:2]), "truth"))
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
    compare_directions=None, names: tuple[str, str] = ("", ""), found=None, doubt: str = "",
) -> Figure:  # fmt: skip
    """Draw one step of a decoding run: its graph, the descent directions, the truth, and the loss of all steps.

    Sky blue and solid halos: the loss decreases if the part appears or changes; purple and dashed: if it disappears.
    The width is relative to the strongest direction of the step. Orange: changed by an edit.

    Args:
        trace: A recorded run.
        step: Number of a frame: iterates (fewer of long runs of large graphs), then the best one rounded, then each
            step of local search.
        truth: Batch of one, if known.
        directions: Of the trace, from `elekit.inspect.descent_directions`; None draws none.
        compare: Another run of the same target at the same step; a run that has ended stays on its last frame.
        compare_directions: Of the other run.
        names: Names of the two runs.
        found: The target's prediction set, drawn below.
        doubt: Why the answer is unsure, written above.

    Returns:
        The figure.
    """
    both = [(trace, directions)] + ([(compare, compare_directions)] if compare is not None else [])
    runs = frames_of_runs(*zip(*both))
    last = max(map(len, runs)) - 1
    if not 0 <= step <= last:
        raise ValueError(f"step must lie in 0..{last}, got {step}")
    panels, lines = len(runs) + (truth is not None), 0.026 * 3 * len(runs)  # of text below the graphs
    whole = figure = Picture(figsize=(2.4 + 4.3 * max(panels, 2), 8.6 + HIGH * (found is not None)))
    if found is not None:
        figure, below = whole.subfigures(2, 1, squeeze=False, height_ratios=(8.6, HIGH))[:, 0]
        prediction_set(found, truth=truth, decoded=trace.result, figure=below)
    places = [figure.add_axes((column / panels, 0.52, 0.97 / panels, 0.42)) for column in range(panels)]
    for place, run, name in zip(places, runs, names):
        at = run.at(step)
        _marked(run, at, place)
        free = len(run.absent(at)) - len(run.ghosts(at))
        title = ": ".join(filter(None, (printable(name), run.names[at]))) + f", +{free} free" * bool(free)
        place.set_title(title, fontsize=14, parse_math=False)
    if truth is not None:
        graph(truth, places[-1], positions=matching_layout(truth, runs[0].graphs[-1], runs[0].positions[-1]))
        places[-1].set_title("truth", fontsize=14)
    kinds = dict.fromkeys(mark.kind for run in runs for mark in run.marks[run.at(step)])
    looks = [(LOOKS[kind][2], {"color": LOOKS[kind][0], "ls": _dash(kind), "lw": 6}) for kind in kinds]
    legend(figure, looks, 12, loc="center", bbox_to_anchor=(0.5, 0.5), ncols=3)
    for n, (run, name) in enumerate(zip(runs, names)):
        for line, (text, size) in enumerate(_lines(run, run.at(step), printable(name))):
            text, size = fit_text(text, 72 * 0.96 * whole.get_figwidth(), size)
            height = 0.475 - 0.026 * (3 * n + line)
            figure.text(0.5, height, text, fontsize=size, ha="center", va="top", parse_math=False, gid="said")
    if doubt:
        text, size = fit_text(f"Unsure: {doubt}", 72 * 0.96 * whole.get_figwidth(), 12)
        figure.text(
            0.5, 0.997, text, fontsize=size, ha="center", va="top", parse_math=False, color=VERMILION, gid="doubt"
        )
    _curves(runs, names, step, figure.add_axes((0.08, 0.09, 0.76, 0.345 - lines)))
    return whole


def _marked(run: Frames, at: int, ax: Axes) -> None:
    """One frame of a run: the graph, outlines of absent nodes, and halos at the frame's marks."""
    one, positions = run.graphs[at], run.positions[at]
    graph(one, ax, positions=positions)
    ghosts = run.ghosts(at)
    shown = sorted({*ghosts, *np.flatnonzero(to_numpy(one.presence()[0]) >= base.VISIBLE).tolist()})
    for i in ghosts:
        ax.add_patch(Circle(positions[i], RADIUS, fill=False, ec=GRAY, ls="--", zorder=0.8, gid=f"ghost-{i}"))
    size = float(np.clip(0.17 * points_per_unit(ax), 6, 10))
    for i in shown:
        outlined(ax, positions[i] + 0.9 * RADIUS, str(i), size, color="#444444", gid=f"number-{i}")
    largest, radii = max((mark.size for mark in run.marks[at]), default=1.0), node_radii(one)
    for part, kind, size, _ in run.marks[at]:
        width = 0.11 if kind == "changed" else 0.04 + 0.13 * size / largest
        halo(ax, positions, part, width, width, LOOKS[kind][0], _dash(kind), "halo", radii)
    low, high = positions[shown].min(0) - 0.6, positions[shown].max(0) + 0.6  # do not cut off outlines and halos
    ax.set(xlim=(min(low[0], ax.get_xlim()[0]), max(high[0], ax.get_xlim()[1])))
    ax.set(ylim=(min(low[1], ax.get_ylim()[0]), max(high[1], ax.get_ylim()[1])))


def _lines(run: Frames, at: int, name: str) -> list[tuple[str, float]]:
    """The lines of text below the graphs, with their font sizes."""
    known = [f"{what} {value}" for what, value in zip(NUMBERS, run.numbers[at]) if value]
    strongest = [f"{mark.words} ({mark.size:.2f})" for mark in run.directions(at)[:3]]
    directions = [(f"descent directions: {', '.join(strongest)}", 11.5)] if strongest else []
    return [(f"{name}: " * bool(name) + run.reading(at), 13), *directions, (",  ".join(known), 11.5)]


def _dash(kind: str):
    return DASHED if LOOKS[kind][1] else "-"


def _curves(runs: list[Frames], names, step: int, ax: Axes) -> None:
    """The learned loss of all frames of one or two runs, with the rounding gap shaded and a cursor at the step."""
    stopped = " / ".join(dict.fromkeys(printable(run.stopped) for run in runs))
    axes(ax, x=f"iteration, then rounding and edits\nstopped: {stopped}", y="learned loss")
    across, ends = frame_positions(runs), []
    for run, name, dash in zip(runs, names, ("-", "--")):
        x, S, at = across[: len(run)], run.iterates, run.at(step)
        gap = Style(color=base.LIGHT_GRAY, alpha=0.45 / len(runs), linewidth=0)
        ax.fill_between(x[:S], run.relaxed[:S], run.rounded[:S], **gap)
        ax.plot(x[:S], run.rounded[:S], color=VERMILION, lw=2.5, ls=dash)
        ax.plot(x[S:], run.rounded[S:], color=VERMILION, lw=1.5, ls=dash, marker="o", ms=6)
        ax.plot(x[:S], run.relaxed[:S], color=BLUE, lw=2.5, ls=dash)
        ax.axvline((x[S - 1] + x[S]) / 2, color=GRAY, lw=1, ls=":")
        for values, what, color in ((run.rounded, "rounded", VERMILION), (run.relaxed[:S], "relaxed", BLUE)):
            ends.append((float(values[-1]), " ".join(filter(None, (fit_text(name, 100, 12)[0], what))), color))
            ax.plot(x[at], values[at] if at < len(values) else np.nan, "o", ms=9, color=color)
    ax.axvline(across[step], color="black", lw=1.5, gid="cursor")
    losses = np.concatenate([[0.0], *(r.relaxed for r in runs), *(r.rounded for r in runs)])
    ax.set(xlim=(-0.01, 1.01), ylim=padded_limits(losses))
    room = 15 / 72 / size_in_inches(ax)[1] * np.ptp(ax.get_ylim())  # of a line of text
    free = -np.inf
    for value, text, color in sorted(ends):
        value = max(value, free)
        free = value + room
        beside(ax, 1, value, text, size=12, edge=True, color=color, fontweight="bold")
    iterations = max((run.iterations for run in runs), key=len)
    S = iterations[-1]
    ticks = range(0, S + 1, max(1, round(S / 8 / 5) * 5) if S > 12 else 1)
    ax.set_xticks(np.interp(ticks, iterations, across[: len(iterations)]), [str(s) for s in ticks])


def prediction_set(
    found, *, truth: GraphBatch | None = None, decoded: Graph | None = None, shown: int = SHOWN,
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
    """
    require_positive(shown=shown)
    graphs, losses = (some[:shown] for some in found.displayed)
    columns, radius, empty = max(len(graphs), 4), found.calibration.radius, not found.size
    figure = Picture(figsize=(WIDE * columns, HIGH)) if figure is None else figure
    more = f" (the nearest {len(graphs)} are shown)" if found.size > len(graphs) else ""
    whole = figure.get_figure(root=True)
    assert whole is not None
    words, size = fit_text(found.describe() + more, 0.96 * 72 * whole.get_figwidth(), 15)
    figure.text(0.5, 0.97, words, fontsize=size, fontweight="bold", ha="center", va="top", parse_math=False)
    for column, (one, loss, marks) in enumerate(zip(graphs, losses, found.captions(truth, decoded))):
        left = 0.5 + (column - len(graphs) / 2) / columns
        place = figure.add_axes((left, 0.38, 0.98 / columns, 0.38))
        graph(one, place)
        place.set_title(f"loss {format_loss(loss)}\n{', '.join(marks)}", fontsize=11, parse_math=False)
    ax = axes(figure.add_axes((0.06, 0.2, 0.88, 0.12)), x="learned loss to the prediction")
    ax.axvspan(0, radius, color=base.LIGHT_GRAY, alpha=0.45, lw=0, gid="within")
    ax.axvline(radius, color="black", lw=1.5, ls="--", gid="radius")
    look = Style(marker="D", color=VERMILION, mfc="white", mew=2) if empty else Style(marker="o", color=BLUE)
    ax.plot(losses, np.zeros(len(losses)), ls="", ms=9, clip_on=False, gid="losses", **look)
    ax.set(xlim=(0, 1.12 * max(radius, *losses, 1e-3)), ylim=(-1, 1))
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.annotate(f"radius {radius:.3f}", (radius, 1), xytext=(4, 0), textcoords="offset points", va="top", fontsize=11)
    return whole
