"""The smallest edit after which a loss prefers another answer, or finds a graph in another neighborhood."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.evaluation.formatting import figure, joined
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.edits import SINGLE, Edits, all_edits, check_kinds
from elekit.graphs.features import detailed_kinds, is_connected
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes, splitmix64
from elekit.inspect._validation import finite, one, point_of, points_given
from elekit.inspect.edit_scan import valid
from elekit.model.loss import Psi, paired_distance, points_of

if TYPE_CHECKING:
    import pandas as pd

EDITED = "the edited answer"  # what the graph is called where answers are edited and not their target
BY = ("nearest", "mean")
TIE = 1e-6  # losses that differ by less count as equal
CELLS = 20_000_000  # channels of the graphs of one number of edits, duplicates too: beyond, a beam goes on
TOGETHER = 64  # graphs that are edited, and results whose validity is asked, at a time
BLOCK = 4_096  # graphs whose losses are asked at a time


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """Smallest edits that change what a loss prefers; row i of everything is one of them.

    graph: the unedited one, rounded. own: the place that it prefers. to: the place that was asked for; None = any
    other. losses: to every place by name, before any edit, in [0, 4]. graphs: the edited ones, in the slots of
    `graph`. table: one row each, all of the same, smallest number of edits, largest margin first: edits (how many),
    path (in words), kinds (the same without saying where), now (the place that is preferred), margin (by how much
    its loss is below that of `own`, or of all other places where it was asked for by name), own_before, own_after,
    now_before, now_after (losses to both places), proven (no smaller number of edits does it).
    exhausted: every set of up to so many edits was tried. tried: graphs that psi was asked about. complete: every
    graph that edits can reach was tried, so what was not found does not exist.
    """

    graph: Graph
    own: str
    to: str | None
    losses: dict[str, float]
    graphs: Graph
    table: "pd.DataFrame"
    exhausted: int
    tried: int
    complete: bool

    @property
    def says(self) -> str:
        """What was found, and how sure that is, in a few plain sentences."""
        nearest = sorted(self.losses.items(), key=lambda place: place[1])
        before = joined([f"{figure(loss)} to {name}" for name, loss in nearest[:3]])
        tied = [name for name, loss in nearest if loss <= nearest[0][1] + TIE]
        said = [
            f"The loss prefers {self.own}: {before}{', more to the others' * (len(nearest) > 3)}."
            if len(tied) == 1
            else f"The loss prefers none, {joined(tied)} are equally near: {before}. Here {self.own} counts."
        ]
        asked, tried = self.to or "another", f"All sets of up to {_count(self.exhausted)} were tried"
        if self.own == self.to:
            said.append("That is what was asked for, so nothing has to be edited.")
        elif len(self.table):
            first = self.table.iloc[0]
            make = "1 edit makes" if first["edits"] == 1 else f"{first['edits']} edits make"
            said.append(f"{make} it prefer {first['now']}, by {figure(first['margin'])}: {first['path']}.")
            few = "No fewer do." if first["proven"] else f"{tried}; of more only the most promising, so fewer may do."
            said.append(few)
        elif self.complete:
            said.append(f"No edits make it prefer {asked}: all {self.tried:,} graphs that they reach were tried.")
        else:
            said.append(f"No edits were found that make it prefer {asked}. {tried}, of more only the most promising")
            said.append(f"({self.tried:,} graphs in all), so this is no proof that there are none.")
        return " ".join(said)


def counterfactuals(
    psi: Psi,
    graph: Graph,
    places: Mapping[str, Graph | Tensor],
    to: str | None = None,
    *,
    target: Graph | Tensor | None = None,
    by: str = "nearest",
    most: int = 5,
    depth: int = 4,
    width: int = 32,
    kinds: tuple[str, ...] = SINGLE,
    connected_only: bool | None = None,
    progress: bool = False,
) -> Counterfactuals:
    """The fewest edits of a graph after which `argmin_p Delta(y, p)` over some places p is another one.

    places: at least two, by name: answers (batches of one), or neighborhoods (known graphs, or their points (n, D)).
    The loss to a place is that to its nearest member, or the mean over them (`by` "nearest" or "mean"). A
    neighborhood of several does not hold the graph itself: from that every edit would first have to get away.
    to: the place that is to be preferred to all others; None = any is to be preferred to the present one.
    target: None = the graph is what answers are compared with, such as the true graph. Otherwise the graph is itself
    an answer to this target, a batch of one or a unit vector (D,) such as h(x); the places, at least one, are the
    other answers, and the graph is called "the edited answer".

    graph: batch of one; it is rounded. most: edited graphs returned, no two of them isomorphic; they are valid
    (see `elekit.inspect.edit_scan`) and, where connected_only, in one piece; None = where the graph is. On the way there
    graphs may be neither. An edit is one of `kinds`, see `elekit.graphs.edits`: a node goes or comes with its edges.
    All sets of 1, 2, ... up to `depth` edits are tried while they are not too many (1 always; of molecules of up to
    9 atoms mostly 2), beyond that a beam of the `width` graphs with the best margin goes on. Where none is found, the
    table is empty and `says` tells what that proves. Of molecules of 7 to 9 atoms about 1 to 5 s.
    Source: on the notion Wachter, Mittelstadt, Russell (2018), "Counterfactual explanations without opening the
    black box".
    Raises ValueError for other batches, places too few, empty, or of another dimension, unknown names and kinds,
    numbers below 1, and vectors that have not length 1.
    """
    import pandas as pd

    check_kinds(kinds)
    for name, value in (("most", most), ("depth", depth), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    graph = one(graph).detach().rounded()
    where = _Places(psi, graph, places, target, by)
    if to is not None and to not in where.names:
        raise ValueError(f"no place {to!r} to go to; there are {', '.join(map(repr, where.names))}")
    before = where.losses(points_of(psi, graph))[0]
    own = int((before <= before.min() + TIE).nonzero()[0])  # of equally near ones the first
    aim = None if to is None else where.names.index(to)
    connected_only = bool(is_connected(graph)) if connected_only is None else connected_only
    found = _Search(psi, graph, where, own, aim, kinds, connected_only)
    if aim != own:
        with tqdm(desc="edits tried", unit="graph", disable=not progress) as bar:
            found.run(most, depth, width, bar)
    now, after, edits, paths = found.now, found.after, len(found.levels) - 1, found.paths()
    table = pd.DataFrame(
        {
            "edits": np.full(len(now), edits),
            "path": ["; ".join(path) for path, _ in paths],
            "kinds": [", ".join(said) for _, said in paths],
            "now": [where.names[place] for place in now.tolist()],
            "margin": found.margin.numpy(),
            "own_before": np.full(len(now), float(before[own])),
            "own_after": after[:, own].numpy(),
            "now_before": before[now].numpy(),
            "now_after": after.gather(1, now[:, None])[:, 0].numpy(),
            "proven": np.full(len(now), edits <= found.exhausted + 1),
        }
    )
    losses = dict(zip(where.names, before.tolist()))
    graphs = found.graphs(found.levels[-1][found.rows])
    return Counterfactuals(
        graph, where.names[own], to, losses, graphs, table, found.exhausted, found.tried, found.complete
    )


class _Places:
    """What is compared, in float64: the loss of a graph to each place, or of each answer to the target."""

    def __init__(self, psi: Psi, graph: Graph, places, target, by: str):
        if by not in BY:
            raise ValueError(f"by must be one of {', '.join(BY)}, got {by!r}")
        fewest = 2 if target is None else 1
        if len(places) < fewest or (target is not None and EDITED in places):
            wrong = f"one is called {EDITED!r}" if EDITED in places else f"got {len(places)}"
            raise ValueError(f"want at least {fewest} places with names of their own, {wrong}")
        self.names, self.mean = [str(name) for name in places], by == "mean"
        D = points_of(psi, graph).shape[1]
        itself, self.target = graph if target is None else None, None
        self.members = [_points(psi, name, place, itself, graph, D) for name, place in places.items()]
        if target is not None:
            self.target = point_of(psi, target).double()
            if len(self.target) != D:
                raise ValueError(f"the target has length {len(self.target)}, psi gives points of length {D}")
            self.names.append(EDITED)
            self.fixed = torch.stack([self._to(self.target[None], place)[0] for place in self.members])

    def losses(self, points: Tensor) -> Tensor:
        """(n, P) of points (n, D)."""
        if self.target is None:
            return torch.stack([self._to(points.double(), place) for place in self.members], 1)
        return torch.cat([self.fixed.expand(len(points), -1), paired_distance(points, self.target)[:, None]], 1)

    def _to(self, points: Tensor, place: Tensor) -> Tensor:
        squares = points.square().sum(1, keepdim=True) + place.square().sum(1)  # lengths are 1 but for rounding
        loss = (squares - 2 * points @ place.T).clamp_min(0)
        return loss.mean(1) if self.mean else loss.amin(1)


def _points(psi: Psi, name: str, place: Graph | Tensor, itself: Graph | None, graph: Graph, D: int) -> Tensor:
    """(n, D) in float64 where the members of a place lie, without a graph itself where there are others."""
    if isinstance(place, Graph) and itself is not None and len(place) > 1:
        same = (graph_hashes(place, ROUNDS) == graph_hashes(itself, ROUNDS)).all(1)
        same[same.clone()] = isomorphic(place[same], Graph.cat([itself] * len(place))[same])
        place = place[~same] if not same.all() else place
    elif not isinstance(place, Graph) and place.ndim == 1:
        place = place[None]
    points = points_given(psi, place, graph, f"place {name!r}")
    if points.shape[1] != D:
        raise ValueError(f"place {name!r} has points of length {points.shape[1]}, psi gives points of length {D}")
    return points.double()


@dataclass(frozen=True, eq=False)
class _Level:
    """n graphs that one number of edits reaches: channels nodes (n, N) and edges (n, N, N), and what made them.

    edits: n of them, their `row` that of the level before; None at the start.
    """

    nodes: Tensor
    edges: Tensor
    edits: Edits | None = None

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, rows) -> "_Level":
        return _Level(self.nodes[rows], self.edges[rows], self.edits and self.edits[rows])


class _Search:
    """Level by level: all sets of 1, 2, ... edits while they are few enough, then a beam of the best margins."""

    def __init__(self, psi: Psi, graph: Graph, where: _Places, own: int, aim: int | None, kinds, connected_only):
        self.psi, self.where, self.own, self.aim = psi, where, own, aim
        self.kinds, self.connected_only, self.vocabulary = kinds, connected_only, graph.vocabulary
        self.levels = [_Level(*(labels.to(torch.int8) for labels in graph.labels()))]
        self.seen = _keys(self.levels[0])
        self.exhausted, self.tried, self.complete = 0, 0, False
        self.rows = self.now = torch.empty(0, dtype=torch.long)  # what was found, as rows of the last level
        self.margin, self.after = torch.empty(0), torch.empty(0, len(where.names))

    def run(self, most: int, depth: int, width: int, bar) -> None:
        """Go deeper until something is found, nothing new is reached, or `depth` is."""
        (N,), whole = self.levels[0].nodes.shape[1:], True
        each = len(all_edits(self.graphs(self.levels[0]), self.kinds))
        for _ in range(depth):
            level, fits = self.expanded(self.levels[-1])
            self.exhausted += whole
            if not len(level):
                self.complete = whole
                return
            self.levels.append(level)
            losses = self.judged(level[fits], bar)
            margin, now = self.margins(losses)
            if len(chosen := self.different(level[fits], margin, most)):
                self.rows, self.margin = fits[chosen], margin[chosen]
                self.now, self.after = now[chosen], losses[chosen]
                return
            whole &= len(level) * each * N * (N + 1) <= CELLS
            if not whole:
                best = margin.argsort(descending=True, stable=True)[: 8 * width]
                names = graph_hashes(self.graphs(level[fits[best]]), ROUNDS)[:, -1].numpy()
                once = np.sort(np.unique(names, return_index=True)[1])  # places that look alike are edited once
                self.levels[-1] = level[fits[best[torch.from_numpy(once[:width])]]]

    def graphs(self, level: _Level) -> Graph:
        return Graph.from_labels(level.nodes, level.edges, self.vocabulary)

    def expanded(self, level: _Level) -> tuple[_Level, Tensor]:
        """All graphs not yet seen that one more edit makes, and which of them can be an answer.

        Only the very same channels count as seen: psi may think otherwise of another order of nodes.
        """
        parts, fits, count = [], [], 0
        for start in range(0, len(level), TOGETHER):
            some = level[start : start + TOGETHER]
            edits = all_edits(self.graphs(some), self.kinds)
            made = _Level(*edits.apply(some.nodes, some.edges), edits)
            keys = _keys(made)
            fresh = np.unique(keys, return_index=True)[1]
            fresh = np.sort(fresh[~np.isin(keys[fresh], self.seen)])
            self.seen = np.concatenate([self.seen, keys[fresh]])
            made = made[torch.from_numpy(fresh)]
            fine = made.edits.valence_violation(some.nodes, some.edges, self.vocabulary) == 0
            if self.connected_only:
                fine[fine.clone()] = is_connected(self.graphs(made[fine]))
            made.edits.row.add_(start)  # of a tensor that was made here
            parts.append(made)
            fits.append(fine.nonzero()[:, 0] + count)
            count += len(made)
        if not parts:
            return level[:0], torch.empty(0, dtype=torch.long)
        channels = (torch.cat([getattr(part, name) for part in parts]) for name in ("nodes", "edges"))
        return _Level(*channels, Edits.cat([part.edits for part in parts])), torch.cat(fits)

    def judged(self, level: _Level, bar) -> Tensor:
        """(n, P) losses to the places."""
        losses = []
        for start in range(0, len(level), BLOCK):
            points = points_of(self.psi, self.graphs(level[start : start + BLOCK]))
            losses.append(self.where.losses(finite(points)))
            self.tried += len(points)
            bar.update(len(points))
        return torch.cat(losses) if losses else torch.empty(0, len(self.where.names), dtype=torch.float64)

    def margins(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """By how much the new place is preferred (n,), below 0 where it is not, and which it is (n,)."""
        rivals = losses.clone()
        rivals[:, self.own if self.aim is None else self.aim] = torch.inf
        best, now = rivals.min(1)
        if self.aim is None:
            return losses[:, self.own] - best, now
        return best - losses[:, self.aim], torch.full_like(now, self.aim)

    def different(self, level: _Level, margin: Tensor, most: int) -> Tensor:
        """Rows of the best valid ones above a margin of 0, no two of them one graph."""
        order = margin.argsort(descending=True, stable=True)
        order = order[margin[order] > TIE]
        start = self.graphs(self.levels[0])
        chosen, seen = [], {int(graph_hashes(start, ROUNDS)[0, -1]): [start]}
        for rows in order.split(TOGETHER):
            graphs = self.graphs(level[rows])
            fine = valid(graphs).tolist()
            for row, graph, name, sound in zip(rows, graphs, graph_hashes(graphs, ROUNDS)[:, -1].tolist(), fine):
                alike = seen.setdefault(name, [])
                if sound and not any(bool(isomorphic(graph, other)) for other in alike):
                    alike.append(graph)
                    chosen.append(row)
                if len(chosen) == most:
                    return torch.stack(chosen)
        return torch.stack(chosen) if chosen else torch.empty(0, dtype=torch.long)

    def paths(self) -> list[tuple[list[str], list[str]]]:
        """Of each graph found its edits in words, and their kinds in detail, first to last."""
        words, rows = [], self.rows
        for before, level in zip(self.levels[-2::-1], self.levels[:0:-1]):
            edits = level.edits[rows]
            said = edits.describe(before.nodes, before.edges, self.vocabulary)
            words.append(list(zip(said, detailed_kinds(edits, self.graphs(before)))))
            rows = edits.row
        return [tuple(map(list, zip(*reversed(of_one)))) for of_one in zip(*words)] if len(self.rows) else []


def _keys(level: _Level) -> np.ndarray:
    """(n,) int64, one number for the channels of each graph."""
    channels = torch.cat([level.nodes, level.edges.flatten(1)], 1).long()
    return (channels * splitmix64(torch.arange(channels.shape[1]))).sum(1).numpy()


def _count(edits: int) -> str:
    return f"{edits} edit{'s' * (edits != 1)}"
