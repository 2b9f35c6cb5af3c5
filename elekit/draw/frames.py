"""A decoding run as one frame after the other: what a picture of each shows, in numbers and in words."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from networkx.algorithms.isomorphism import GraphMatcher, categorical_edge_match, categorical_node_match

from elekit.decoding import SearchStep, Trace
from elekit.draw.base import ORANGE, PURPLE, SKY, array
from elekit.draw.layouts import layout
from elekit.draw.placement import beside
from elekit.graphs.graph import Graph, to_networkx

NUMBERS = {  # what is told of each frame, and what it means
    "relaxed loss": "learned loss of the relaxed graph to the target, in [0, 4]",
    "rounded loss": "learned loss of its rounding",
    "rounding gap": "what rounding costs: rounded minus relaxed loss",
    "gradient norm": "length of the gradient of loss and penalty",
    "step length": "distance from the iterate before",
    "projection": "how far the projection onto the polytope had moved the iterate",
}
SHOWN = 6  # graphs of a prediction set
MARKED, FAINTEST = 12, 0.1  # wishes marked in a frame at most, and the least share of the strongest
# kinds of marks: color, whether dashed, what they say; none of the colors is one of the elements C, N, O and F
LOOKS = {
    "more": (SKY, False, "wanted there, or other"),
    "less": (PURPLE, True, "wanted gone"),
    "changed": (ORANGE, False, "changed by the edit"),
}


class Mark(NamedTuple):
    """What stands out: part (i,) or (i, j), i < j; kind of LOOKS; size: the gain of a wish, 1 of a change."""

    part: tuple[int, ...]
    kind: str
    size: float
    words: str


@dataclass(frozen=True, eq=False)
class Frames:
    """F = S + 2 + P frames: iterates 0 to S, the best of them rounded, then each of P steps of the polish.

    graphs: batch of F. positions: F arrays (N, 2); they change where the polish goes on from another start.
    relaxed, rounded: (F,) learned loss; relaxed is nan after the iterates. names, numbers: of each frame a title and
    the values of NUMBERS as text. told: what `reading` says before the wishes. marks: of each frame what the loss
    wants, or what an edit changed, strongest first. iterates: S + 1. stopped: why it ended.
    """

    graphs: Graph
    positions: tuple[np.ndarray, ...]
    relaxed: np.ndarray
    rounded: np.ndarray
    names: tuple[str, ...]
    told: tuple[str, ...]
    numbers: tuple[tuple[str, ...], ...]
    marks: tuple[tuple[Mark, ...], ...]
    iterates: int
    stopped: str

    def __len__(self) -> int:
        return len(self.names)

    def at(self, step: int) -> int:
        """The frame shown at a step: a run that is over stays on its last."""
        return min(step, len(self) - 1)

    def reading(self, at: int) -> str:
        """One frame in one sentence."""
        wish = self.wished(at)[:1]
        return self.told[at] + (f"; the loss most wants {wish[0].words}." if wish else ".")

    def wished(self, at: int) -> list[Mark]:
        """What the loss wants in a frame, strongest first."""
        return [mark for mark in self.marks[at] if mark.kind != "changed"]


def frames(trace: Trace, wishes=None, *, like: Frames | None = None) -> Frames:
    """The frames of a decoding run.

    wishes: as of `elekit.inspect.descent_directions`, None for no marks on iterates. like: a run whose result gives the places
    of the nodes, where both results are one graph.
    """
    S, answer = len(trace) - 1, trace.iterates[trace.best].rounded()
    where = layout(answer)
    if like is not None:
        where = laid_like(answer, like.graphs[like.iterates], like.positions[0])
    relaxed, rounded = (array(values) for values in (trace.relaxed, trace.rounded))
    after = [float(rounded[trace.best]), *(done.loss for done in trace.search_steps)]
    placed = _polished_places(answer, where, trace.search_steps)
    columns = [
        relaxed,
        rounded,
        array(trace.gap),
        *map(array, (trace.gradient_norm, trace.step_size, trace.projection)),
    ]
    numbers = [tuple(map(digits, row)) for row in zip(*columns)]
    numbers += [("", digits(loss), *[""] * (len(NUMBERS) - 2)) for loss in after]
    edits = list(_edits(answer, trace.search_steps, after))
    return Frames(
        graphs=Graph.cat([trace.iterates, answer, *(done.graph for done in trace.search_steps)]),
        positions=(*[where] * (S + 2), *placed),
        relaxed=np.concatenate([relaxed, np.full(len(after), np.nan)]),
        rounded=np.concatenate([rounded, after]),
        names=(
            *(f"iteration {s} of {S}" for s in range(S + 1)),
            f"iterate {trace.best} rounded",
            *(e[0] for e in edits),
        ),
        told=(
            *(_told(trace, s) for s in range(S + 1)),
            f"The best rounded iterate, number {trace.best}, costs {digits(after[0])} (stopped: {trace.stopped})",
            *(e[1] for e in edits),
        ),
        numbers=tuple(numbers),
        marks=(*(_wanted(wishes, s) for s in range(S + 1)), (), *(e[2] for e in edits)),
        iterates=S + 1,
        stopped=trace.stopped,
    )


def digits(value: float) -> str:
    """Three digits behind the point, five of what is below 0.01; nothing below zero by rounding alone."""
    value = float(value)
    words = f"{value:.{5 if abs(value) < 0.01 and value else 3}f}"
    return words if words.strip("-0.") else "0.000"


def shares_of_axis(runs: list[Frames]) -> np.ndarray:
    """(F,) where each frame of the longest run lies on an axis from 0 to 1: edits lie further apart than iterates."""
    last = max(len(run) for run in runs) - 1
    wide = max(1.0, 0.04 * last)
    polished = [any(run.iterates <= f < len(run) for run in runs) for f in range(1, last + 1)]
    return np.cumsum([0.0, *(wide if p else 1.0 for p in polished)]) / max(
        sum(wide if p else 1.0 for p in polished), 1
    )


def laid_like(graph: Graph, other: Graph, positions: np.ndarray) -> np.ndarray:
    """Positions of a graph: where those of another are if both are one graph, otherwise its own."""
    (ours,), (theirs,) = to_networkx(graph), to_networkx(other)
    matcher = GraphMatcher(ours, theirs, categorical_node_match("label", None), categorical_edge_match("label", None))
    if not matcher.is_isomorphic():
        return layout(graph)
    placed = layout(graph)
    for i, j in matcher.mapping.items():
        placed[i] = positions[j]
    return placed


def _told(trace: Trace, s: int) -> str:
    last = f", the last (stopped: {trace.stopped})" if s == len(trace) - 1 else ""
    return f"Iteration {s}{last}: the relaxed graph costs {digits(trace.relaxed[s])}, its rounding {digits(trace.rounded[s])}"


def _wanted(wishes, s: int) -> tuple[Mark, ...]:
    found = [] if wishes is None else wishes.strongest(s, MARKED, share=FAINTEST)
    return tuple(Mark(wish.part, "more" if wish.channel else "less", wish.gain, wish.words) for wish in found)


def _edits(before: Graph, polish: tuple[SearchStep, ...], losses: list[float]):
    """Name, sentence and marks of each step of the polish."""
    total, number = sum(not done.restart for done in polish), 0
    for done, came_from in zip(polish, losses):
        if done.restart:
            yield done.edit, f"The polish goes on from {done.edit}, whose rounding costs {digits(done.loss)}", ()
        else:
            number += 1
            said = f"Edit {number} of {total}, {done.edit}: the loss goes from {digits(came_from)} to {digits(done.loss)}"
            marks = tuple(Mark(part, "changed", 1.0, done.edit) for part in _changed(before, done.graph))
            yield f"edit {number} of {total}", said, marks
        before = done.graph


def _changed(before: Graph, after: Graph) -> list[tuple[int, ...]]:
    """Nodes (i,) and pairs (i, j) whose labels differ."""
    (was, were), (now, are) = before.labels(), after.labels()
    return [*map(tuple, (was != now)[0].nonzero().tolist()), *map(tuple, (were != are)[0].triu(1).nonzero().tolist())]


def _polished_places(before: Graph, where: np.ndarray, polish: tuple[SearchStep, ...]):
    """Positions of each step of the polish: as before, a new node next to its neighbor; another start lies anew."""
    for done in polish:
        if done.restart:
            where = layout(done.graph)
        else:
            new = ((before.labels()[0] == 0) & (done.graph.labels()[0] > 0))[0].nonzero()[:, 0].tolist()
            for i in new:
                neighbors = done.graph.labels()[1][0, i].nonzero()[:, 0].tolist()
                free = [place for place in beside(before, where)[neighbors] if np.isfinite(place).all()]
                if free:
                    where = where.copy()
                    where[i] = free[0]
        before = done.graph
        yield where
