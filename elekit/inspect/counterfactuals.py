"""The smallest edit after which a loss prefers another answer, or places a graph in another neighborhood."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.evaluation.formatting import counted, figure, joined
from elekit.graphs._schema import require_positive
from elekit.graphs.budget import Clock
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.edits import SINGLE, Edits, all_edits, check_kinds
from elekit.graphs.features import detailed_kinds, is_connected
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes, splitmix64
from elekit.inspect._validation import anchor_point, finite_points, reference_points, single_graph
from elekit.inspect.edit_scan import valid
from elekit.model.loss import Psi, paired_distance, points_of

EDITED_ANSWER = "the edited answer"  # name of the graph where answers are edited, not their target
TOLERANCE = 1e-6  # losses that differ by less count as equal
MAX_CHANNELS = 20_000_000  # of all graphs of one number of edits; beyond, the search becomes a beam search
BATCH_SIZE = 64  # graphs edited, and results checked, at a time
BLOCK = 1_024  # graphs embedded at a time


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """Smallest edits that change what a loss prefers; row i of the table belongs to edited graph i.

    Columns of the table, largest margin first: edits (their number, the smallest possible), path (the edits, joined
    by "; "), kinds (the same without positions), new (the reference preferred now), margin (loss of `preferred` minus
    that of new; if a reference was requested, smallest loss of all others minus that of new), old_before, old_after,
    new_before, new_after (losses to `preferred` and to new), proven (fewer edits do not suffice).
    """

    graph: Graph  # the unedited graph, rounded
    preferred: str  # the reference that it is nearest to
    desired: str | None  # the requested reference; None for any other
    losses: dict[str, float]  # of the unedited graph to each reference, in [0, 4]
    graphs: Graph  # the edited graphs, in the slots of `graph`
    table: pd.DataFrame
    exhausted: int  # every set of up to this many edits was tried
    tried: int  # number of graphs that psi evaluated
    complete: bool  # every graph that edits can reach was tried, so what was not found does not exist

    def describe(self) -> str:
        """Sentences on what was found and how certain that is."""
        nearest = sorted(self.losses.items(), key=lambda entry: entry[1])
        before = joined([f"{figure(loss)} to {name}" for name, loss in nearest[:3]])
        tied = [name for name, loss in nearest if loss <= nearest[0][1] + TOLERANCE]
        text = (
            f"The loss prefers {self.preferred}: {before}{', more to the others' * (len(nearest) > 3)}."
            if len(tied) == 1
            else f"The loss prefers none: {joined(tied)} are equally near ({before}). Here {self.preferred} counts."
        )
        tried = f"All sets of up to {counted(self.exhausted, 'edit')} were tried"
        goal = f"make it prefer {self.desired or 'another'}"
        if self.preferred == self.desired:
            return f"{text} That is the requested reference, so no edit is needed."
        if len(self.table):
            first = self.table.iloc[0]
            make = "1 edit makes" if first["edits"] == 1 else f"{first['edits']} edits make"
            fewer = "No fewer do." if first["proven"] else f"{tried}; of more, only the most promising: fewer may do."
            return f"{text} {make} it prefer {first['new']}, by {figure(first['margin'])}: {first['path']}. {fewer}"
        if self.complete:
            return f"{text} No edits {goal}: all {self.tried:,} graphs within reach were tried."
        return (
            f"{text} No edits were found that {goal}. {tried}; of more, only the most promising "
            f"({self.tried:,} graphs in all), so this is no proof that there are none."
        )


def counterfactuals(
    psi: Psi, graph: Graph, references: Mapping[str, Graph | Tensor], desired: str | None = None, *,
    target: Graph | Tensor | None = None, by: str = "nearest", max_results: int = 5, max_edits: int = 4,
    beam: int = 32, kinds: tuple[str, ...] = SINGLE, connected_only: bool | None = None,
    budget: float | Clock | None = None, progress: bool | None = None,
) -> Counterfactuals:  # fmt: skip
    """Find the fewest edits of a graph y after which `argmin_r Delta(y, r)` over some references is another one.

    All sets of 1, 2, ... up to `max_edits` edits are tried while there are not too many (always 1; 2 for most
    molecules of up to 9 atoms); then a beam search continues. Molecules of 7 to 9 atoms take about 1 to 5 s. The
    notion: Wachter, Mittelstadt, Russell (2018), Counterfactual explanations without opening the black box.

    Args:
        psi: The embedding.
        graph: Batch of one; rounded.
        references: At least two by name, or one with a target: answers (batches of one), or neighborhoods (known
            graphs without `graph` itself, or their points (n, D)).
        desired: The reference to be preferred to all others; None for any other than the present one.
        target: None if `graph` is what answers are compared with, for example the true graph. Otherwise `graph` is
            itself an answer to this target, a batch of one or a unit vector (D,), called "the edited answer".
        by: Loss to a neighborhood: that to its nearest member ("nearest") or the mean ("mean").
        max_results: Maximal number of edited graphs; all valid, no two isomorphic.
        max_edits: Maximal number of edits.
        beam: Width of the beam search.
        kinds: Kinds of edits, see `elekit.graphs.edits`.
        connected_only: Whether edited graphs must be connected; None if `graph` is. Graphs between edits need not be.
        budget: Seconds for the whole call; then some graphs of the last number of edits are not tried.
        progress: As in `Clock.track`.

    Returns:
        The edited graphs; none if no counterfactual was found.

    Raises:
        ValueError: If a batch, a reference, a name, a kind, a number or a vector is invalid.
    """
    check_kinds(kinds)
    require_positive(max_results=max_results, max_edits=max_edits, beam=beam)
    graph = single_graph(graph).detach().rounded()
    losses_to = _References(psi, graph, references, target, by)
    names = losses_to.names
    if desired is not None and desired not in names:
        raise ValueError(f"no reference {desired!r}; the references are {', '.join(map(repr, names))}")
    goal = None if desired is None else names.index(desired)
    connected_only = bool(is_connected(graph)) if connected_only is None else connected_only
    search = _Search(psi, graph, losses_to, goal, kinds, connected_only)
    before, old = search.before, search.old
    if goal != old:
        with Clock.of(budget) as clock:
            search.run(max_results, max_edits, beam, clock, progress)
    new, after, edits, paths = search.new, search.after, len(search.levels) - 1, search.paths()
    n = len(new)
    table = pd.DataFrame({
        "edits": np.full(n, edits), "path": ["; ".join(steps) for steps, _ in paths],
        "kinds": [", ".join(kinds_of) for _, kinds_of in paths], "new": [names[k] for k in new.tolist()],
        "margin": search.margin.numpy(),
        "old_before": np.full(n, float(before[old])), "old_after": after[:, old].numpy(),
        "new_before": before[new].numpy(), "new_after": after.gather(1, new[:, None])[:, 0].numpy(),
        "proven": np.full(n, edits <= search.exhausted + 1),
    })  # fmt: skip
    graphs, losses = search.graphs(search.levels[-1][search.rows]), dict(zip(names, before.tolist()))
    return Counterfactuals(
        graph, names[old], desired, losses, graphs, table, search.exhausted, search.tried, search.complete
    )


class _References:
    """Loss of a graph to each reference, or of each answer to the target, in float64."""

    def __init__(
        self, psi: Psi, graph: Graph, references: Mapping[str, Graph | Tensor], target: Graph | Tensor | None, by: str
    ):
        if by not in ("nearest", "mean"):
            raise ValueError(f"by must be one of nearest, mean, got {by!r}")
        least = 2 if target is None else 1
        if len(references) < least or (target is not None and EDITED_ANSWER in references):
            wrong = f"one is called {EDITED_ANSWER!r}" if EDITED_ANSWER in references else f"got {len(references)}"
            raise ValueError(f"need at least {least} references with names of their own, {wrong}")
        self.names, self.mean = [str(name) for name in references], by == "mean"
        D = points_of(psi, graph).shape[1]
        self.target, itself = None, graph if target is None else None
        self.members = [_points(psi, name, members, itself, graph, D) for name, members in references.items()]
        if target is not None:
            self.target = anchor_point(psi, target).double()
            if len(self.target) != D:
                raise ValueError(f"the target has length {len(self.target)}, psi gives points of length {D}")
            self.names.append(EDITED_ANSWER)
            self.fixed = torch.stack([self._loss(self.target[None], members)[0] for members in self.members])

    def __call__(self, points: Tensor) -> Tensor:
        """(n, R) losses of points (n, D)."""
        if self.target is None:
            return torch.stack([self._loss(points.double(), members) for members in self.members], 1)
        return torch.cat([self.fixed.expand(len(points), -1), paired_distance(points, self.target)[:, None]], 1)

    def _loss(self, points: Tensor, members: Tensor) -> Tensor:
        squares = points.square().sum(1, keepdim=True) + members.square().sum(1)  # lengths are 1 up to rounding
        loss = (squares - 2 * points @ members.T).clamp_min(0)
        return loss.mean(1) if self.mean else loss.amin(1)


def _points(psi: Psi, name: str, members: Graph | Tensor, itself: Graph | None, graph: Graph, D: int) -> Tensor:
    """(n, D) float64 points of the members of a reference, without the graph itself unless it is the only one."""
    if isinstance(members, GraphBatch) and itself is not None and len(members) > 1:
        same = (graph_hashes(members, ROUNDS) == graph_hashes(itself, ROUNDS)).all(1)
        same[same.clone()] = isomorphic(members[same], Graph.cat([itself] * len(members))[same])
        members = members[~same] if not same.all() else members
    elif not isinstance(members, GraphBatch) and members.ndim == 1:
        members = members[None]
    points = reference_points(psi, members, graph, f"reference {name!r}")
    if points.shape[1] != D:
        raise ValueError(f"reference {name!r} has points of length {points.shape[1]}, psi gives points of length {D}")
    return points.double()


@dataclass(frozen=True, eq=False)
class _Level:
    """n graphs that one number of edits reaches: channels (n, N) and (n, N, N), and their last edits.

    The `row` of an edit is that of the level before; the first level has no edits.
    """

    nodes: Tensor
    edges: Tensor
    edits: Edits

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, rows: Tensor | slice) -> "_Level":
        return _Level(self.nodes[rows], self.edges[rows], self.edits[rows] if len(self.edits) else self.edits)


class _Search:
    """Level by level: all sets of 1, 2, ... edits while they are few enough, then a beam of the best margins."""

    def __init__(
        self, psi: Psi, graph: Graph, losses: _References, goal: int | None, kinds: tuple[str, ...], connected: bool
    ):
        self.psi, self.losses_to, self.goal = psi, losses, goal
        self.before = losses(points_of(psi, graph))[0]
        tied = self.before <= self.before.min() + TOLERANCE
        self.old = int(tied.nonzero()[0])  # the first of several equally near ones
        self.kinds, self.connected_only, self.vocabulary = kinds, connected, graph.vocabulary
        nodes, edges = (labels.to(torch.int16) for labels in graph.labels())
        self.levels = [_Level(nodes, edges, all_edits(graph, kinds)[:0])]
        self.seen = _keys(self.levels[0])
        self.exhausted, self.tried, self.complete = 0, 0, False
        self.rows = self.new = torch.empty(0, dtype=torch.long)  # results, as rows of the last level
        self.margin, self.after = torch.empty(0), torch.empty(0, len(losses.names))

    def run(self, max_results: int, max_edits: int, beam: int, clock: Clock, progress: bool | None) -> None:
        """Add levels until a result is found, no new graph is reached, `max_edits` is, or the time is up."""
        N, whole = self.levels[0].nodes.shape[1], True
        each = len(all_edits(self.graphs(self.levels[0]), self.kinds))
        for _ in range(max_edits):
            if len(self.levels) > 1 and clock.over:
                return
            level, fits = self.expand(self.levels[-1], clock, progress)
            if not len(level):
                self.exhausted += whole
                self.complete = whole
                return
            self.levels.append(level)
            losses = self.evaluate(level[fits], clock, progress)
            fits = fits[: len(losses)]
            whole &= not clock.over
            self.exhausted += whole
            margin, new = self.margins(losses)
            if len(chosen := self.distinct_results(level[fits], margin, max_results)):
                self.rows, self.margin = fits[chosen], margin[chosen]
                self.new, self.after = new[chosen], losses[chosen]
                return
            whole &= len(level) * each * N * (N + 1) <= MAX_CHANNELS
            if not whole:
                best = margin.argsort(descending=True, stable=True)[: 8 * beam]
                keys = graph_hashes(self.graphs(level[fits[best]]), ROUNDS)[:, -1].numpy()
                once = np.sort(np.unique(keys, return_index=True)[1])
                self.levels[-1] = level[fits[best[torch.from_numpy(once[:beam])]]]

    def graphs(self, level: _Level) -> Graph:
        return Graph.from_labels(level.nodes, level.edges, self.vocabulary)

    def expand(self, level: _Level, clock: Clock, progress: bool | None) -> tuple[_Level, Tensor]:
        """All new graphs that one more edit makes, and the rows of possible results.

        Graphs count as seen only with identical channels, as psi may depend on the order of nodes.
        """
        parts, fits, count = [], [], 0
        for start in clock.track(range(0, len(level), BATCH_SIZE), "edits", progress=progress, to_end=True):
            if start and clock.over:
                break
            some = level[start : start + BATCH_SIZE]
            edits = all_edits(self.graphs(some), self.kinds)
            made = _Level(*edits.apply(some.nodes, some.edges, self.vocabulary), edits)
            keys = _keys(made)
            fresh = np.unique(keys, return_index=True)[1]
            fresh = np.sort(fresh[~np.isin(keys[fresh], self.seen)])
            self.seen = np.concatenate([self.seen, keys[fresh]])
            made = made[torch.from_numpy(fresh)]
            fine = made.edits.valence_violation(some.nodes, some.edges, self.vocabulary) == 0
            if self.connected_only:
                fine[fine.clone()] = is_connected(self.graphs(made[fine]))
            made.edits.row.add_(start)  # owned here
            parts.append(made)
            fits.append(fine.nonzero()[:, 0] + count)
            count += len(made)
        if not parts:
            return level[:0], torch.empty(0, dtype=torch.long)
        nodes, edges = (torch.cat([getattr(part, name) for part in parts]) for name in ("nodes", "edges"))
        return _Level(nodes, edges, Edits.cat([part.edits for part in parts])), torch.cat(fits)

    def evaluate(self, level: _Level, clock: Clock, progress: bool | None) -> Tensor:
        """(n, R) losses to the references; of the first rows if the time is up."""
        losses = []
        for start in clock.track(range(0, len(level), BLOCK), "edits tried", progress=progress, to_end=True):
            if start and clock.over:
                break
            points = points_of(self.psi, self.graphs(level[start : start + BLOCK]))
            losses.append(self.losses_to(finite_points(points)))
            self.tried += len(points)
        return torch.cat(losses) if losses else torch.empty(0, len(self.losses_to.names), dtype=torch.float64)

    def margins(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) margin by which the new reference is preferred, negative if it is not, and (n,) that reference."""
        rivals = losses.clone()
        rivals[:, self.old if self.goal is None else self.goal] = torch.inf
        best, new = rivals.min(1)
        if self.goal is None:
            return losses[:, self.old] - best, new
        return best - losses[:, self.goal], torch.full_like(new, self.goal)

    def distinct_results(self, level: _Level, margin: Tensor, max_results: int) -> Tensor:
        """Rows of the best valid graphs with a positive margin, no two of them isomorphic."""
        order = margin.argsort(descending=True, stable=True)
        order = order[margin[order] > TOLERANCE]
        start = self.graphs(self.levels[0])
        chosen: list[int] = []
        seen = {int(graph_hashes(start, ROUNDS)[0, -1]): [start]}
        for first in range(0, len(order), BATCH_SIZE):
            rows = order[first : first + BATCH_SIZE]
            graphs = self.graphs(level[rows])
            keys, fine = graph_hashes(graphs, ROUNDS)[:, -1].tolist(), valid(graphs).tolist()
            for row, graph, key, is_valid in zip(rows.tolist(), graphs, keys, fine):
                similar = seen.setdefault(key, [])
                if is_valid and not any(bool(isomorphic(graph, other)) for other in similar):
                    similar.append(graph)
                    chosen.append(row)
                if len(chosen) == max_results:
                    return torch.tensor(chosen)
        return torch.tensor(chosen, dtype=torch.long)

    def paths(self) -> list[tuple[list[str], list[str]]]:
        """Descriptions and detailed kinds of the edits of each result, first to last."""
        levels, rows = [], self.rows
        for before, level in zip(self.levels[-2::-1], self.levels[:0:-1]):
            edits = level.edits[rows]
            steps = edits.describe(before.nodes, before.edges, self.vocabulary)
            levels.append(list(zip(steps, detailed_kinds(edits, self.graphs(before)))))
            rows = edits.row
        if not len(self.rows):
            return []
        return [([step for step, _ in reversed(path)], [kind for _, kind in reversed(path)]) for path in zip(*levels)]


def _keys(level: _Level) -> np.ndarray:
    """(n,) int64 hash of the channels of each graph."""
    channels = torch.cat([level.nodes, level.edges.flatten(1)], 1).long()
    return (channels * splitmix64(torch.arange(channels.shape[1]))).sum(1).numpy()
