"""A decoding run as a sequence of frames, in numbers and words; shared by the static picture and the stepper."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from elekit.decoding import SearchStep, Trace
from elekit.draw.base import ORANGE, PURPLE, SKY, VISIBLE, to_numpy
from elekit.draw.layouts import aligned_layout, layout
from elekit.draw.placement import neighbor_positions
from elekit.draw.shapes import differences
from elekit.graphs.edit_distance import isomorphism_of
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.isomorphism import TooSymmetricError

NUMBERS = {  # values of each frame, and their meaning
    "relaxed loss": "learned loss of the relaxed graph to the target, in [0, 4]",
    "rounded loss": "learned loss of its rounding",
    "rounding gap": "rounded minus relaxed loss",
    "gradient norm": "norm of the gradient of loss and penalty",
    "step length": "distance from the previous iterate",
    "projection": "distance that the projection onto the polytope moved the iterate",
}
SHOWN = 6  # graphs of a prediction set
PAIRS = 400_000  # pairs of nodes of all iterates that are shown: all of small graphs, 111 of 60 nodes
STRETCHED = 1.8  # times the longest edge of a fresh layout: an edge is drawn anew from here on
GHOSTS = 12  # absent nodes that are outlined; of more, only marked ones. Also nodes drawn that are rather absent
MARKED, FAINTEST = 12, 0.1  # maximum number of marked directions, and their minimum share of the strongest
# kinds of marks: color, dashed or not, key; no color is that of C, N, O or F
LOOKS = {
    "more": (SKY, False, "appearing or changing lowers the loss"),
    "less": (PURPLE, True, "disappearing lowers the loss"),
    "changed": (ORANGE, False, "changed by the edit"),
}


class Mark(NamedTuple):
    """A highlighted part (i,) or (i, j), i < j; kind: a key of LOOKS; size: gain of a direction, 1 for an edit."""

    part: tuple[int, ...]
    kind: str
    size: float
    words: str


@dataclass(frozen=True, eq=False)
class Frames:
    """F frames: iterates, the best one rounded, then the steps of local search (polish).

    graphs: batch of F, see `without_faint`. positions: F arrays (N, 2); they change if local search restarts from
    another graph. relaxed, rounded: (F,) learned loss; relaxed is nan after the iterates. names, descriptions: title
    and sentence. numbers: values of NUMBERS as text. marks: descent directions, or parts that an edit changed,
    strongest first. iterations: number of each iterate in the trace. stopped: why the run ended.
    """

    graphs: Graph
    positions: tuple[np.ndarray, ...]
    relaxed: np.ndarray
    rounded: np.ndarray
    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    numbers: tuple[tuple[str, ...], ...]
    marks: tuple[tuple[Mark, ...], ...]
    iterations: tuple[int, ...]
    stopped: str

    def __len__(self) -> int:
        return len(self.names)

    @property
    def iterates(self) -> int:
        """Number of iterates, the first frames."""
        return len(self.iterations)

    def at(self, step: int) -> int:
        """The frame at a step; a run that has ended stays on its last frame."""
        return min(step, len(self) - 1)

    def reading(self, at: int) -> str:
        """One sentence about a frame."""
        strongest = self.directions(at)[:1]
        return self.descriptions[at] + (f"; strongest descent direction: {strongest[0].words}." if strongest else ".")

    def directions(self, at: int) -> list[Mark]:
        """Descent directions of a frame, strongest first."""
        return [mark for mark in self.marks[at] if mark.kind != "changed"]

    def absent(self, at: int) -> list[int]:
        return np.flatnonzero(to_numpy(self.graphs[at].presence()[0]) < VISIBLE).tolist()

    def ghosts(self, at: int) -> list[int]:
        """Absent nodes that are outlined in a frame: all if they are few, otherwise those with marks."""
        absent = self.absent(at)
        marked = {i for mark in self.marks[at] for i in mark.part}
        return [i for i in absent if len(absent) <= GHOSTS or i in marked]


def frames_of_runs(traces: Sequence[Trace], directions: Sequence) -> list[Frames]:
    """The frames of runs in lockstep: with the same iterates and, if the results are isomorphic, the same positions.

    directions: of each run, from `elekit.inspect.descent_directions`; None marks nothing on iterates.
    """
    kept = np.unique(np.concatenate([shown_iterates(trace) for trace in traces]))
    runs: list[Frames] = []
    for trace, found in zip(traces, directions):
        runs.append(frames(trace, found, like=runs[0] if runs else None, kept=kept[kept < len(trace)]))
    return runs


def shown_iterates(trace: Trace) -> np.ndarray:
    """Numbers of the iterates that are shown: all of small graphs, otherwise more of them where the iterates move."""
    count, slots = trace.iterates.nodes.shape[:2]
    most = max(PAIRS // slots**2, 20)
    if count <= most:
        return np.arange(count)
    moved = np.nan_to_num(to_numpy(trace.step_size)).cumsum()
    progress = np.linspace(0, 1, count) + moved / max(moved[-1], 1e-9)
    shown = np.searchsorted(progress, np.linspace(0, progress[-1], most - 1))
    return np.unique([*shown.clip(0, count - 1), trace.best, count - 1])


def frames(trace: Trace, directions=None, *, like: Frames | None = None, kept=None) -> Frames:
    """The frames of a decoding run.

    directions: from `elekit.inspect.descent_directions`; None marks nothing on iterates. like: a run whose node
    positions are used if both results are isomorphic. kept: numbers of the iterates, None for `shown_iterates`.
    """
    kept = shown_iterates(trace) if kept is None else kept
    S, polish, answer = len(trace) - 1, trace.search_steps, trace.iterates[trace.best].rounded()
    where = layout(answer)
    if like is not None:
        where = matching_layout(answer, like.graphs[like.iterates], like.positions[0])
    relaxed, rounded = to_numpy(trace.relaxed), to_numpy(trace.rounded)
    after = [float(rounded[trace.best]), *(done.loss for done in polish)]
    columns = (relaxed, rounded, trace.gap, trace.gradient_norm, trace.step_size, trace.projection)
    numbers = [tuple(map(format_loss, row)) for row in zip(*(to_numpy(column)[kept] for column in columns))]
    numbers += [("", format_loss(loss), *[""] * (len(NUMBERS) - 2)) for loss in after]
    rows: list[tuple] = []
    for s in kept.tolist():
        last = f", the last (stopped: {trace.stopped})" if s == S else ""
        losses = f"relaxed loss {format_loss(relaxed[s])}, rounded loss {format_loss(rounded[s])}"
        strongest = [] if directions is None else directions.strongest(s, MARKED, share=FAINTEST)
        marks = [Mark(d.part, "more" if d.channel else "less", d.gain, d.description) for d in strongest]
        rows.append((f"iteration {s} of {S}", f"Iteration {s}{last}: {losses}", tuple(marks)))
    best = f"Best rounded iterate ({trace.best}): loss {format_loss(after[0])} (stopped: {trace.stopped})"
    rows += [(f"iterate {trace.best} rounded", best, ()), *_edits(answer, polish, after)]
    names, descriptions, highlights = zip(*rows)
    drawn = without_faint(trace.iterates[kept])
    marked = {i for marks in highlights for mark in marks for i in mark.part}
    seen = set((drawn.presence() >= VISIBLE).any(0).nonzero()[:, 0].tolist()) | marked
    where = _near_first(where, answer, seen)
    return Frames(
        graphs=Graph.cat([drawn, answer, *(done.graph for done in polish)]),
        positions=(*[where] * (len(kept) + 1), *_search_positions(answer, where, polish)),
        relaxed=np.concatenate([relaxed[kept], np.full(len(after), np.nan)]),
        rounded=np.concatenate([rounded[kept], after]),
        names=names, descriptions=descriptions, numbers=tuple(numbers), marks=highlights,
        iterations=tuple(kept.tolist()), stopped=trace.stopped,
    )  # fmt: skip


def without_faint(graphs: Graph) -> Graph:
    """Relaxed graphs with at most `GHOSTS` nodes each that are rather absent, the most present ones of them."""
    presence = graphs.presence()
    faint = presence.where(presence < 0.5, -1.0)
    hidden = (faint >= VISIBLE) & (faint.argsort(dim=1, descending=True, stable=True).argsort(dim=1) >= GHOSTS)
    if not hidden.any():
        return graphs
    nodes = graphs.nodes.clone()
    nodes[hidden] = torch.eye(nodes.shape[2], dtype=nodes.dtype, device=nodes.device)[0]
    return replace(graphs, nodes=nodes)


def _near_first(where: np.ndarray, answer: Graph, seen: set[int]) -> np.ndarray:
    """Positions in which slots that are seen lie nearer to the graph than other absent ones."""
    absent = (answer.labels()[0][0] == 0).nonzero()[:, 0].tolist()
    if len(absent) <= GHOSTS:
        return where
    where = where.copy()
    where[sorted(absent, key=lambda i: i not in seen)] = where[absent]
    return where


def format_loss(value: float) -> str:
    """Three decimals, five below 0.01; never a negative zero."""
    value = float(value)
    words = f"{value:.{5 if abs(value) < 0.01 and value else 3}f}"
    return words if words.strip("-0.") else "0.000"


def frame_positions(runs: list[Frames]) -> np.ndarray:
    """(F,) positions in [0, 1] of the frames of the longest run on a shared axis; edits are wider than iterates."""
    last = max(len(run) for run in runs) - 1
    iterations = max((run.iterations for run in runs), key=len)
    widths = np.ones(last)
    widths[: len(iterations) - 1] = np.diff(iterations)
    wide = max(1.0, 0.04 * widths.sum())
    edited = [any(run.iterates <= f < len(run) for run in runs) for f in range(1, last + 1)]
    widths = np.where(edited, np.maximum(widths, wide), widths)
    return np.cumsum([0.0, *widths]) / max(sum(widths), 1)


def matching_layout(graph: GraphBatch, other: Graph, positions: np.ndarray) -> np.ndarray:
    """Positions of a graph: those of `other` if the two are isomorphic, otherwise its own layout."""
    placed = layout(graph)
    with contextlib.suppress(TooSymmetricError):
        for i, j in (isomorphism_of(graph, other) or {}).items():
            placed[i] = positions[j]
    return placed


def _edits(before: Graph, polish: tuple[SearchStep, ...], losses: list[float]):
    """Name, description and marks of each step of local search."""
    total, number = sum(not done.restart for done in polish), 0
    for done, came_from in zip(polish, losses):
        if done.restart:
            yield done.edit, f"Polish restarts from {done.edit}: loss {format_loss(done.loss)}", ()
        else:
            number += 1
            change = f"loss from {format_loss(came_from)} to {format_loss(done.loss)}"
            marks = tuple(Mark(part, "changed", 1.0, done.edit) for part, _ in differences(before, done.graph))
            yield f"edit {number} of {total}", f"Edit {number} of {total}, {done.edit}: {change}", marks
        before = done.graph


def _search_positions(before: Graph, where: np.ndarray, polish: tuple[SearchStep, ...]):
    """Positions of each step: a new node is placed beside its neighbor, a restart gets a new layout.

    Where edits have moved a part of the graph, so that an edge would be stretched, the new layout is turned to the
    old positions.
    """
    for done in polish:
        if done.restart:
            where = layout(done.graph)
        else:
            new = (before.labels()[0] == 0) & (done.graph.labels()[0] > 0)
            for i in new[0].nonzero()[:, 0].tolist():
                neighbors = done.graph.labels()[1][0, i].nonzero()[:, 0].tolist()
                free = [place for place in neighbor_positions(before, where)[neighbors] if np.isfinite(place).all()]
                if free:
                    where = where.copy()
                    where[i] = free[0]
            placed = aligned_layout(done.graph, before, where)
            if _longest(done.graph, where) > STRETCHED * _longest(done.graph, placed):
                where = placed
        before = done.graph
        yield where


def _longest(graph: Graph, positions: np.ndarray) -> float:
    """Length of the longest edge."""
    i, j = graph.labels()[1][0].cpu().triu(1).nonzero().numpy().T
    return float(np.linalg.norm(positions[i] - positions[j], axis=1).max(initial=0.0))
