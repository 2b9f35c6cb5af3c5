"""Discrete polish: a beam search over single edits (and pairs of edits) under the learned loss.

Edits are screened by a linear model of the loss (one backward pass), and only the most promising are evaluated.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from elekit.decoding.candidates import check_target
from elekit.decoding.trace import Decoded, Polish
from elekit.graphs.edits import KINDS, Edits, all_edits, check_kinds
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of, squared_distance

GHOST = 0.1  # how far a free slot is faded in, so that a linear model sees what hangs on it
EQUAL = 1e-6  # graphs of one target whose scores differ by less count as one: psi cannot tell node orders apart
# a free place in a beam
EMPTY = {"nodes": 0, "edges": 0, "score": float("inf"), "loss": float("inf"), "expanded": True, "history": -1}


@dataclass(frozen=True)
class LocalSearchConfig:
    """How to search. beam: graphs of each target that are edited further. screen: edits evaluated of each graph.

    rounds: at most. kept: how many of the best graphs met are told as alternatives; None: as many as `beam`.
    patience: rounds without a better graph before giving up. penalty: weight of `Graph.valence_violation`; invalid starts are
    accepted and mended. tolerance: a graph whose loss is below it ends the search of its target. doubt: a target
    whose best graph has a loss above it is searched once more, with twice the beam and twice the screen. budget_ms:
    for the whole call. kinds: of edits, see `elekit.graphs.edits`.
    """

    beam: int = 2
    screen: int = 24
    rounds: int = 12
    patience: int = 2
    penalty: float = 1.0
    tolerance: float = 1e-4
    doubt: float = 0.15
    budget_ms: float | None = None
    kinds: tuple[str, ...] = KINDS
    kept: int | None = None

    def __post_init__(self):
        check_kinds(self.kinds)
        for name in ("beam", "screen", "rounds", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.kept is not None and self.kept < self.beam:
            raise ValueError(f"kept must be at least as many as the beam, {self.beam}, got {self.kept}")
        if self.budget_ms is not None and self.budget_ms <= 0:
            raise ValueError(f"budget_ms must be above 0, got {self.budget_ms}")


def local_search(
    psi: Psi, target: Tensor, starts: Graph, *, config: LocalSearchConfig = LocalSearchConfig(), record: bool = False
) -> tuple[Decoded, list[tuple[Polish, ...]]]:
    """The best graph that edits reach from the starts of each target, under `2 - 2 <target, psi(y)>`.

    target: (B, D). starts: B * s discrete graphs, those of one target next to each other.
    Returns the result, with up to `beam` (or `kept`) alternatives, and for each target the edits that led from a
    start to it (empty tuples unless record); where that was not its first start, the path opens with a `Polish`
    whose `restart` is True. Never worse than the best start, by loss + penalty.
    """
    check_target(target)
    target = target.detach()
    starts.check()
    B = len(target)
    if len(starts) == 0 or len(starts) % B:
        raise ValueError(f"{len(starts)} starts for {B} targets: give each target the same number, at least 1")
    deadline = float("inf") if config.budget_ms is None else time.perf_counter() + config.budget_ms / 1000
    search = _Search(psi, target, starts, config, record).run(deadline)
    paths = search.paths()
    doubtful = (search.loss[:, 0] > config.doubt).nonzero()[:, 0]
    if len(doubtful) and time.perf_counter() < deadline:
        each = len(starts) // B
        theirs = (doubtful[:, None] * each + torch.arange(each)).flatten()
        kept = None if config.kept is None else max(config.kept, 2 * config.beam)
        wide = replace(config, beam=2 * config.beam, screen=2 * config.screen, kept=kept)
        again = _Search(psi, target[doubtful], starts[theirs], wide, record).run(deadline)
        for row, better, path in zip(doubtful.tolist(), search.take_better(doubtful, again).tolist(), again.paths()):
            paths[row] = path if better else paths[row]
    return search.result(), paths


class _Search:
    """Beams of all targets: channels nodes (B, W, N), edges (B, W, N, N), score and loss (B, W), best first."""

    def __init__(self, psi: Psi, target: Tensor, starts: Graph, config: LocalSearchConfig, record: bool):
        self.psi, self.target, self.config, self.record = psi, target, config, record
        self.vocabulary = starts.vocabulary
        B, W = len(target), config.kept or config.beam
        nodes, edges = starts.labels()
        N, each = nodes.shape[1], len(starts) // B
        shapes = {"nodes": (N,), "edges": (N, N)}
        for name, value in EMPTY.items():
            setattr(self, name, torch.full((B, W, *shapes.get(name, ())), value))
        # `history` is the number of the step in `steps` that made a graph, -1 for a first start
        self.steps: list[tuple[int, Polish]] = []  # (number of the step before, step)
        self.waiting = torch.zeros(B, dtype=torch.long)  # rounds since the best last got better
        owner, origin = torch.arange(B).repeat_interleave(each), torch.full((B * each,), -1)
        self._merge(owner, nodes, edges, origin, lambda new: [n % each for n in new.tolist()])
        self.active = self.loss[:, 0] > config.tolerance

    def run(self, deadline: float) -> "_Search":
        """Rounds until nothing is left to do, or time is up."""
        for _ in range(self.config.rounds):
            if not self.active.any() or time.perf_counter() >= deadline:
                break
            self.advance()
        return self

    def take_better(self, rows: Tensor, other: "_Search") -> Tensor:
        """Take over what another search of these targets found, where its best graph is better; which those are."""
        W = self.score.shape[1]
        better = other.score[:, 0] < self.score[rows, 0] - EQUAL
        for name in ("nodes", "edges", "score", "loss"):
            getattr(self, name)[rows[better]] = getattr(other, name)[better, :W]
        return better

    def advance(self):
        """One round: expand every graph of the beams that was not expanded yet."""
        open_ = ~self.expanded & self.active[:, None]
        open_[:, self.config.beam :] = False
        owner, slot = open_.nonzero().T
        self.expanded |= open_
        nodes, edges = self.nodes[owner, slot], self.edges[owner, slot]
        edits = self._screened(nodes, edges, self.target[owner])
        came_from = self.history[owner, slot][edits.row]
        self._merge(
            owner[edits.row], *edits.apply(nodes, edges), came_from,
            lambda new: edits[new].describe(nodes, edges, self.vocabulary),
        )  # fmt: skip
        self.active &= (self.loss[:, 0] > self.config.tolerance) & (self.waiting < self.config.patience)
        self.active &= (~self.expanded[:, : self.config.beam]).any(1)

    def _screened(self, nodes: Tensor, edges: Tensor, target: Tensor) -> Edits:
        """Of all edits of each graph the `screen` that a linear model of loss + penalty likes best."""
        graph = Graph.from_labels(nodes, edges, self.vocabulary)
        by_node, by_pair = self._gradients(graph, target)
        edits = all_edits(graph, self.config.kinds)
        estimate = edits.first_order(nodes, edges, by_node, by_pair)
        estimate = estimate + self.config.penalty * edits.valence_violation(nodes, edges, self.vocabulary)
        return edits[lowest(estimate, edits.row, self.config.screen)]

    def _gradients(self, graph: Graph, target: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the loss by node channels (F, N, K) and by unordered pairs (F, N, N, R), at the graphs.

        The first free slot is faded in a little: an edge to an absent node weighs nothing, so without this a linear
        model could not say where to hang a new node.
        """
        F, N, K = graph.nodes.shape
        absent = graph.nodes[..., 0] > 0.5
        ghost = torch.zeros(F, N).masked_fill_(absent, 1.0)
        ghost = (ghost.cumsum(1) == 1) & absent  # (F, N) the first free slot, if any
        nodes = torch.where(ghost[..., None], torch.lerp(graph.nodes, torch.full((K,), 1 / K), GHOST), graph.nodes)
        nodes = nodes.detach().requires_grad_()
        edges = graph.edges.detach().requires_grad_()
        with torch.enable_grad():
            loss = squared_distance(self.psi(Graph(nodes, edges, self.vocabulary)), target)
            by_node, by_edge = torch.autograd.grad(loss.sum(), (nodes, edges), materialize_grads=True)
        by_pair = by_edge + by_edge.transpose(1, 2)
        faded = GHOST * (K - 1) / K
        scale = torch.where(ghost, 1 / faded, 1.0)
        return by_node, by_pair * scale[:, :, None, None] * scale[:, None, :, None]

    def _merge(self, owner: Tensor, nodes: Tensor, edges: Tensor, came_from: Tensor, describe: Callable):
        """Judge new graphs and keep the best `beam` different ones of old and new in each row.

        describe: from numbers of new graphs to descriptions of their edits, or to numbers of starts; called only if
            the search is recorded.
        """
        B, W = self.score.shape
        made = Graph.from_labels(nodes, edges, self.vocabulary)
        points = points_of(self.psi, made) if len(made) else self.target[:0]
        loss = squared_distance(points, self.target[owner])
        score = loss + self.config.penalty * made.valence_violation()
        before = self.score[:, 0].clone()

        all_owner = torch.cat([torch.arange(B).repeat_interleave(W), owner])
        all_score = torch.cat([self.score.flatten(), score])
        # old graphs come first among equals, so that a graph already expanded is not expanded again
        order = torch.argsort(torch.cat([self.score.flatten() - EQUAL, score]), stable=True)
        order = order[torch.argsort(all_owner[order], stable=True)]
        ranked, mine = all_score[order], all_owner[order]
        same = (mine[1:] == mine[:-1]) & ((ranked[1:] - ranked[:-1]).abs() <= EQUAL)
        order = order[torch.cat([torch.ones(1, dtype=torch.bool), ~same])]
        mine = all_owner[order]
        first = torch.searchsorted(mine, torch.arange(B))
        rank = torch.arange(len(mine)) - first[mine]
        order, rank = order[rank < W], rank[rank < W]
        mine = all_owner[order]

        fields = {
            "nodes": nodes, "edges": edges, "score": score, "loss": loss,
            "expanded": torch.zeros(len(owner), dtype=torch.bool), "history": came_from,
        }  # fmt: skip
        for name, new in fields.items():
            old = getattr(self, name)
            pool = torch.cat([old.flatten(0, 1), new.to(old.dtype)])
            fresh = torch.full_like(old, EMPTY[name])
            fresh[mine, rank] = pool[order]
            setattr(self, name, fresh)
        self.expanded |= torch.isinf(self.score)
        if self.record:
            new = order >= B * W
            self._note(mine[new], rank[new], describe(order[new] - B * W))
        better = self.score[:, 0] < before - EQUAL
        self.waiting = torch.where(better, 0, self.waiting + 1)

    def _note(self, owner: Tensor, rank: Tensor, origins: Sequence[str | int]):
        """Record how the graphs that entered a beam were made: by an edit (its description) or as a start (its number)."""
        for b, w, origin in zip(owner.tolist(), rank.tolist(), origins):
            if origin == 0:
                continue  # the path of every target begins at its first start unless it has a restart
            graph = Graph.from_labels(self.nodes[b, w][None], self.edges[b, w][None], self.vocabulary)
            loss = float(self.loss[b, w])
            restart = isinstance(origin, int)
            step = Polish(f"start {origin + 1}" if restart else origin, loss, graph, restart)
            self.steps.append((int(self.history[b, w]), step))
            self.history[b, w] = len(self.steps) - 1

    def result(self) -> Decoded:
        graphs = Graph.from_labels(self.nodes[:, 0], self.edges[:, 0], self.vocabulary)
        alternatives = Graph.from_labels(self.nodes.flatten(0, 1), self.edges.flatten(0, 1), self.vocabulary)
        return Decoded(graphs, self.loss[:, 0], alternatives, self.loss)

    def paths(self) -> list[tuple[Polish, ...]]:
        """For each target the accepted edits, first to last."""
        found = []
        for number in self.history[:, 0].tolist():
            path = []
            while number >= 0:
                number, step = self.steps[number]
                path.append(step)
            found.append(tuple(reversed(path)))
        return found


def lowest(value: Tensor, group: Tensor, k: int) -> Tensor:
    """Numbers of the k lowest values (E,) of each group (E,), groups ascending."""
    order = torch.argsort(value)
    order = order[torch.argsort(group[order], stable=True)]
    ranked = group[order]
    first = torch.searchsorted(ranked, ranked)
    return order[torch.arange(len(order)) - first < k]
