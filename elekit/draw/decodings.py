"""A decoding run in one picture, whole or at one step: the static twins of stepping through a trace."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from elekit.decoding import Trace
from elekit.draw.base import BLUE, FAINT, GRAY, RADIUS, SEEN, VERMILION, array, fitted, plain, spread
from elekit.draw.curves import loss_curve
from elekit.draw.figure import Picture, axes
from elekit.draw.frames import LOOKS, NUMBERS, Frames, frames, laid_like, shares_of_axis
from elekit.draw.layouts import layout
from elekit.draw.sets import HIGH, prediction_set
from elekit.draw.structures import _extent, _points, graph
from elekit.graphs.graph import Graph


def trace(trace: Trace, *, truth: Graph | None = None, frames: int = 4) -> Figure:
    """Iterates of a decoding run from left to right, its result, the truth if it is known; the loss below.

    All iterates lie where the result's nodes are drawn, so that one can watch them settle. truth: a batch of one.
    frames: how many iterates, the first and the last among them. Raises ValueError for fewer than 2 frames.
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
        panels.append((truth, laid_like(truth, *panels[-1][:2]), "truth"))
    figure = Picture(figsize=(2.6 * len(panels), 6.4))
    for column, (one, positions, title) in enumerate(panels):
        place = figure.add_axes((column / len(panels), 0.5, 0.96 / len(panels), 0.4))
        graph(one, place, positions=positions)
        place.set_title(title, fontsize=13)
    below = figure.add_axes((0.07, 0.11, 0.83, 0.34))
    loss_curve(array(trace.relaxed), array(trace.rounded), below, stopped=trace.stopped)
    return figure


def iterate(
    trace: Trace, step: int, *, truth: Graph | None = None, wishes=None, compare: Trace | None = None,
    compare_wishes=None, names: tuple[str, str] = ("", ""), found=None,
) -> Figure:  # fmt: skip
    """One step of a decoding run: its graph, what the loss wants to change in it, the truth, the loss of all steps.

    step: an iterate 0..S, then the best one rounded (S + 1), then each step of the polish; `draw.frames.frames` says
    what they are. wishes: of the trace, as of `elekit.inspect.descent_directions`; None draws none. Sky blue and solid: the loss
    wants that part to be there or to be another; purple and dashed: to go; the wider the more, relative to the
    strongest of the step. Orange: what an edit changed. truth: batch of one. compare, compare_wishes: another run of the same
    target at the same step; a run that is over stays on its last. names: of the two runs.
    found: the prediction set of the target, as of `elekit.evaluation.conformal.prediction_sets`; it is drawn below.
    Raises ValueError for a step that there is not.
    """
    runs = [frames(trace, wishes)]
    runs += [frames(compare, compare_wishes, like=runs[0])] if compare is not None else []
    last = max(map(len, runs)) - 1
    if not 0 <= step <= last:
        raise ValueError(f"step must lie in 0..{last}, got {step}")
    panels, lines = len(runs) + (truth is not None), 0.026 * 3 * len(runs)  # of text below the graphs
    whole = figure = Picture(figsize=(2.4 + 4.3 * max(panels, 2), 8.6 + HIGH * (found is not None)))
    if found is not None:
        figure, below = whole.subfigures(2, 1, height_ratios=(8.6, HIGH))
        prediction_set(found, truth=truth, decoded=trace.result, figure=below)
    for column, (run, name) in enumerate(zip(runs, names)):
        at = run.at(step)
        place = figure.add_axes((column / panels, 0.52, 0.97 / panels, 0.42))
        marked(run, at, place)
        place.set_title(": ".join(filter(None, (plain(name), run.names[at]))), fontsize=14, parse_math=False)
    if truth is not None:
        place = figure.add_axes(((panels - 1) / panels, 0.52, 0.97 / panels, 0.42))
        graph(truth, place, positions=laid_like(truth, runs[0].graphs[-1], runs[0].positions[-1]))
        place.set_title("truth", fontsize=14)
    kinds = dict.fromkeys(mark.kind for run in runs for mark in run.marks[run.at(step)])
    keys = [Line2D([], [], color=LOOKS[kind][0], ls=_dash(kind), lw=6) for kind in kinds]
    words = [LOOKS[kind][2] for kind in kinds]
    figure.legend(keys, words, loc="center", bbox_to_anchor=(0.5, 0.5), ncols=3, frameon=False, fontsize=12)
    for n, (run, name) in enumerate(zip(runs, names)):
        for line, (said, size) in enumerate(_words(run, run.at(step), plain(name))):
            said, size = fitted(said, 72 * 0.96 * whole.get_figwidth(), size)
            height = 0.475 - 0.026 * (3 * n + line)
            figure.text(0.5, height, said, fontsize=size, ha="center", va="top", parse_math=False, gid="said")
    _curves(runs, names, step, figure.add_axes((0.08, 0.09, 0.76, 0.345 - lines)))
    return whole


def marked(run: Frames, at: int, ax: Axes) -> None:
    """One frame of a run: the graph, ghosts of what is absent, halos where the loss wants something or an edit was."""
    one, positions = run.graphs[at], run.positions[at]
    graph(one, ax, positions=positions)
    points = _points(ax)
    for i in np.flatnonzero(array(one.presence()[0]) < SEEN):
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
    """What is said below the graphs, line by line, with its size."""
    known = [f"{what} {value}" for what, value in zip(NUMBERS, run.numbers[at]) if value]
    wished = [f"{mark.words} ({mark.size:.2f})" for mark in run.wished(at)[:3]]
    wants = [(f"the loss wants {', '.join(wished)}", 11.5)] if wished else []
    return [(f"{name}: " * bool(name) + run.reading(at), 13), *wants, (",  ".join(known), 11.5)]


def _dash(kind: str):
    return (0, (1.5, 1)) if LOOKS[kind][1] else "-"


def _curves(runs: list[Frames], names, step: int, ax: Axes) -> None:
    """Learned loss of all frames of one run or two, the rounding gap shaded, a line at the step."""
    axes(ax, None)
    across, ends = shares_of_axis(runs), []
    for run, name, dash in zip(runs, names, ("-", "--")):
        x, S = across[: len(run)], run.iterates
        ax.fill_between(x[:S], run.relaxed[:S], run.rounded[:S], color=FAINT, alpha=0.45 / len(runs), linewidth=0)
        ax.plot(x[:S], run.rounded[:S], color=VERMILION, lw=2.5, ls=dash)
        ax.plot(x[S:], run.rounded[S:], color=VERMILION, lw=1.5, ls=dash, marker="o", ms=6)
        ax.plot(x[:S], run.relaxed[:S], color=BLUE, lw=2.5, ls=dash)
        ax.axvline((x[S - 1] + x[S]) / 2, color=GRAY, lw=1, ls=":")
        for values, what, color in ((run.rounded, "rounded", VERMILION), (run.relaxed[:S], "relaxed", BLUE)):
            ends.append([float(values[-1]), " ".join(filter(None, (fitted(name, 100, 12)[0], what))), color])
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
        ylim=spread(np.concatenate([[0.0], *(r.relaxed for r in runs), *(r.rounded for r in runs)])),
    )
    room = 15 / 72 / _extent(ax)[1] * np.ptp(ax.get_ylim())  # of a line of words
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
    stopped = " / ".join(dict.fromkeys(plain(run.stopped) for run in runs))
    ax.set_xlabel(f"iteration, then rounding and edits\nstopped: {stopped}", fontsize=13, parse_math=False)
    ax.set_ylabel("learned loss", fontsize=13)
