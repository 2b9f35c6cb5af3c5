"""Local search: beam search over single and composed edits under the learned loss.

All edits of a graph are ranked by estimates, and only the most promising are evaluated: a local psi is estimated near
each edit (`edit_estimates`), any other by a linear model of the loss (one backward pass).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from elekit.decoding.candidates import check_target, constraints_of
from elekit.decoding.trace import Decoded, SearchStep
from elekit.graphs._schema import require_positive
from elekit.graphs.budget import Clock
from elekit.graphs.constraints import Constraints
from elekit.graphs.edits import ALL_KINDS, Edits, all_edits, check_kinds
from elekit.graphs.graph import Graph
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.prior import GraphPrior
from elekit.model.edit_estimates import EditEstimates
from elekit.model.loss import Psi, points_of, squared_distance

LOCAL_SCREEN, LINEAR_SCREEN = 150, 24  # edits per graph that are evaluated, for a local psi and any other
JUDGED = 6  # edits for each place of a beam that remain after exact estimates: some lead to the same graph
NEW = 0.5  # share of the loss that may remain after an edit to types and links that the training graphs lack
RETRY_SHARE, RETRY_ABOVE = 0.02, 0.15  # of the price of an edit, from which targets are searched again; if unknown
RETRIES = 3  # at most; the second and third only where the one before has found a better graph
FADE_IN = 0.1  # presence that a free slot gets for the linear model, which otherwise ignores edges to it
SAME_SCORE = 1e-6  # scores of one target closer than this belong to one graph in another node order

# From indices of new graphs to descriptions of their edits, or to numbers of starts; called if a search is recorded.
Describe = Callable[[Tensor], Sequence[str | int]]

# a free place in a beam
EMPTY = {"nodes": 0, "edges": 0, "score": float("inf"), "loss": float("inf"), "expanded": True, "history": -1}


@dataclass(frozen=True)
class LocalSearchConfig:
    """Settings of local search.

    Args:
        beam: Graphs per target that are edited in each round.
        screen: Edits per graph that are evaluated; None means 150 for a local psi, and 24 for any other.
        rounds: Maximal number of rounds.
        patience: Rounds without improvement before the search of a target ends.
        penalty: Weight of `Constraints.violation`, which includes the capacities. Invalid starts are allowed.
        tolerance: A graph with at most this learned loss ends the search of its target.
        retry_above: Targets with a higher learned loss are searched again with twice the beam, screen and rounds.
            None means 2 % of the price of a typical edit if psi is local and its health is known, and else 0.15.
        kinds: Kinds of edits, see `elekit.graphs.edits`.
        alternatives: Number of alternatives per target, at least `beam`; None means `beam`.
    """

    beam: int = 2
    screen: int | None = None
    rounds: int = 12
    patience: int = 2
    penalty: float = 1.0
    tolerance: float = 1e-6
    retry_above: float | None = None
    kinds: tuple[str, ...] = ALL_KINDS
    alternatives: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self.kinds)
        screen = 1 if self.screen is None else self.screen
        require_positive(beam=self.beam, rounds=self.rounds, patience=self.patience, screen=screen)
        if self.alternatives is not None and self.alternatives < self.beam:
            raise ValueError(f"alternatives must be at least the beam, {self.beam}, got {self.alternatives}")


def local_search(
    psi: Psi, target: Tensor, starts: Graph, *, config: LocalSearchConfig = LocalSearchConfig(), record: bool = False,
    constraints: Constraints | None = None, budget: float | Clock | None = None,
) -> tuple[Decoded, list[tuple[SearchStep, ...]]]:  # fmt: skip
    """Improve graphs by edits, under `2 - 2 <target, psi(y)>` plus the penalty.

    Args:
        psi: Differentiable embedding of relaxed graphs.
        target: (B, D) unit vectors.
        starts: B * s discrete graphs, those of one target next to each other.
        config: Settings of the search.
        record: Record the accepted steps.
        constraints: What the graphs must satisfy, unless a start does not: no edit leads further away. None =
            `psi.prior.constraints`.
        budget: Seconds for the whole call, see `elekit.graphs.budget`.

    Returns:
        The best graph of each target with alternatives, never worse than its best start (by loss + penalty), and for
        each target the steps that led to it: empty if not recorded. A path that does not begin at the first start of
        the target opens with a step whose `restart` is True.

    Raises:
        ValueError: If a target or start is not finite, or if `len(starts)` is not a positive multiple of B.
    """
    check_target(target)
    target = target.detach()
    starts.check()
    B = len(target)
    if len(starts) == 0 or len(starts) % B:
        raise ValueError(f"{len(starts)} starts for {B} targets: give each target the same number, at least 1")
    clock = Clock.of(budget)
    constraints = constraints_of(psi, constraints).check(starts.vocabulary)
    search = _Search(psi, target, starts, config, constraints, record).run(clock)
    paths = search.paths()
    retried, per_target = (search.loss[:, 0] > search.retry_above).nonzero()[:, 0], len(starts) // B
    for wide in _wider(config, search.screen):
        if not len(retried) or clock.over:
            break
        rows = (retried[:, None] * per_target + torch.arange(per_target)).flatten()
        again = _Search(psi, target[retried], starts[rows], wide, constraints, record).run(clock)
        better = search.take_better(retried, again)
        for row, path in zip(retried[better].tolist(), again.paths(better)):
            paths[row] = path
        retried = retried[better & (search.loss[retried, 0] > search.retry_above)]
    return search.result(), paths


def _wider(config: LocalSearchConfig, screen: int) -> Iterator[LocalSearchConfig]:
    """Settings of the searches after the first, each with twice the beam, screen and rounds of the one before."""
    for times in (2**n for n in range(1, RETRIES + 1)):
        beam = times * config.beam
        kept = None if config.alternatives is None else max(config.alternatives, beam)
        yield replace(config, beam=beam, screen=times * screen, rounds=times * config.rounds, alternatives=kept)


class _Search:
    """Beams of all targets: W places each, best first."""

    def __init__(
        self, psi: Psi, target: Tensor, starts: Graph, config: LocalSearchConfig, constraints: Constraints,
        record: bool,
    ):  # fmt: skip
        self.psi, self.target, self.config, self.record = psi, target, config, record
        self.constraints = constraints
        self.vocabulary = starts.vocabulary
        self.local = getattr(psi, "is_local", False)
        self.prior: GraphPrior | None = getattr(psi, "prior", None)
        self.screen = config.screen or (LOCAL_SCREEN if self.local else LINEAR_SCREEN)
        edit = getattr(getattr(psi, "health", None), "edit", None) if self.local else None
        retry_above = RETRY_ABOVE if edit is None else RETRY_SHARE * edit
        self.retry_above = retry_above if config.retry_above is None else config.retry_above
        B, W = len(target), config.alternatives or config.beam
        nodes, edges = starts.labels()
        N, per_target = nodes.shape[1], len(starts) // B
        self.nodes = torch.full((B, W, N), EMPTY["nodes"])
        self.edges = torch.full((B, W, N, N), EMPTY["edges"])
        self.score = torch.full((B, W), EMPTY["score"])
        self.loss = torch.full((B, W), EMPTY["loss"])
        self.expanded = torch.full((B, W), EMPTY["expanded"])
        self.history = torch.full((B, W), EMPTY["history"])  # index in `steps` of the step that made a graph
        self.steps: list[tuple[int, SearchStep]] = []  # (index of the step before, step)
        self.waiting = torch.zeros(B, dtype=torch.long)  # rounds since the last improvement
        owner, origin = torch.arange(B).repeat_interleave(per_target), torch.full((B * per_target,), -1)
        self._merge(owner, nodes, edges, origin, lambda new: [n % per_target for n in new.tolist()])
        self.active = self.loss[:, 0] > config.tolerance
        self.free = torch.full((B,), self.prior is None)  # targets whose graphs may have new types and links

    def run(self, clock: Clock) -> "_Search":
        for _ in range(self.config.rounds):
            if not self.active.any() or clock.over:
                break
            self.advance()
        return self

    def take_better(self, rows: Tensor, other: "_Search") -> Tensor:
        """Take the beams of another search of these rows where its best graph is better; returns where."""
        W = self.score.shape[1]
        better: Tensor = other.score[:, 0] < self.score[rows, 0] - SAME_SCORE
        for name in ("nodes", "edges", "score", "loss"):
            getattr(self, name)[rows[better]] = getattr(other, name)[better, :W]
        return better

    def advance(self) -> None:
        """One round: expand all graphs of the beams that are not yet expanded."""
        open_ = ~self.expanded & self.active[:, None]
        open_[:, self.config.beam :] = False
        owner, slot = open_.nonzero().T
        self.expanded |= open_
        nodes, edges = self.nodes[owner, slot], self.edges[owner, slot]
        edits = self._screened(nodes, edges, self.target[owner], self.free[owner])
        origin = self.history[owner, slot][edits.row]
        self._merge(
            owner[edits.row], *edits.apply(nodes, edges, self.vocabulary), origin,
            lambda new: edits[new].describe(nodes, edges, self.vocabulary),
        )  # fmt: skip
        self.active &= self.loss[:, 0] > self.config.tolerance
        ended = (self.waiting >= self.config.patience) | self.expanded[:, : self.config.beam].all(1)
        freed = ended & self.active & ~self.free  # their best graphs get one more round
        self.free |= freed
        self.waiting[freed] = self.config.patience - 1
        self.expanded[freed, 0] = False
        self.active &= ~ended | freed

    def _screened(self, nodes: Tensor, edges: Tensor, target: Tensor, free: Tensor) -> Edits:
        """The `screen` edits of each graph with the lowest estimate of loss + penalty."""
        if self.local:
            found = [self._estimated(*row) for row in zip(nodes, edges, target, free)]
            return Edits.cat([replace(one, row=one.row + row) for row, one in enumerate(found)])
        graph = Graph.from_labels(nodes, edges, self.vocabulary)
        edits = all_edits(graph, self.config.kinds)
        if self._narrow:
            edits = edits[self._fitting(edits, graph)]
        estimate = edits.first_order(nodes, edges, *self._gradients(graph, target))
        estimate += self.config.penalty * edits.valence_violation(nodes, edges, self.vocabulary)
        return edits[lowest(estimate, edits.row, self.screen)]

    def _estimated(self, nodes: Tensor, edges: Tensor, target: Tensor, free: Tensor) -> Edits:
        """The edits of one graph with the lowest loss among the `screen` with the lowest estimates."""
        slots = min(len(nodes), int((nodes > 0).nonzero().amax()) + 2 if nodes.any() else 1)  # one is free
        nodes, edges = nodes[None, :slots].short(), edges[None, :slots, :slots].short()
        graph = Graph.from_labels(nodes, edges, self.vocabulary)
        edits = all_edits(graph, self.config.kinds)
        violation = edits.valence_violation(nodes, edges, self.vocabulary)
        fits = (violation <= graph.valence_violation()) & self.constraints.keeps_counts(edits, graph)
        kept, known = fits.nonzero()[:, 0], torch.ones(len(edits), dtype=torch.bool)
        if self.prior is not None:
            known = torch.zeros_like(known).index_fill_(0, self.prior.keeps(edits, nodes, edges), True)
            kept = kept if free else kept[known[kept]]
        if self._narrow:
            kept = kept[self.constraints.keeps_structure(edits[kept], graph)]
        penalty = self.config.penalty * violation
        with torch.no_grad():
            estimates = EditEstimates(self.psi, nodes[0], edges[0])
            if len(kept) > self.screen:
                score = penalty[kept] - 2 * estimates.points(edits[kept], 1) @ target
                kept = kept[score.topk(self.screen, largest=False).indices]
            loss, before = (2 - 2 * points @ target for points in (estimates.points(edits[kept]), estimates.unedited))
            fits = known[kept] | (loss < NEW * before)
            if not self._narrow:
                fits &= self.constraints.keeps_structure(edits[kept], graph)
            kept, score = kept[fits], (loss + penalty[kept])[fits]
            return edits[kept[score.argsort()[: JUDGED * self.score.shape[1]]]]

    @property
    def _narrow(self) -> bool:
        """Whether few edits keep to the constraints, which is then tested before estimates, not after."""
        return self.constraints != Constraints(connected=self.constraints.connected)

    def _fitting(self, edits: Edits, graph: Graph) -> Tensor:
        kept = self.constraints.keeps_counts(edits, graph).nonzero()[:, 0]
        return kept[self.constraints.keeps_structure(edits[kept], graph)]

    def _gradients(self, graph: Graph, target: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of the loss by node channels (F, N, K) and by unordered pairs (F, N, N, R), at the graphs.

        The first free slot is faded in: psi ignores edges to absent nodes, so without this the linear model could
        not rank the places of a new node.
        """
        F, N, K = graph.nodes.shape
        absent = graph.nodes[..., 0] > 0.5
        free = torch.zeros(F, N).masked_fill_(absent, 1.0)
        free = (free.cumsum(1) == 1) & absent  # (F, N) the first free slot
        nodes = torch.where(free[..., None], torch.lerp(graph.nodes, torch.full((K,), 1 / K), FADE_IN), graph.nodes)
        nodes = nodes.detach().requires_grad_()
        edges = graph.edges.detach().requires_grad_()
        with torch.enable_grad():
            loss = squared_distance(self.psi(Graph(nodes, edges, self.vocabulary)), target)
            by_node, by_edge = torch.autograd.grad(loss.sum(), (nodes, edges), materialize_grads=True)
        by_pair = by_edge + self.vocabulary.turn_rows(by_edge.transpose(1, 2))
        faded = FADE_IN * (K - 1) / K
        scale = torch.where(free, 1 / faded, 1.0)
        return by_node, by_pair * scale[:, :, None, None] * scale[:, None, :, None]

    def _merge(self, owner: Tensor, nodes: Tensor, edges: Tensor, origin: Tensor, describe: Describe) -> None:
        """Evaluate new graphs and keep the best W different graphs, old and new, of each target.

        owner: target of each new graph. origin: `history` of the graph that each was made from.
        """
        B, W = self.score.shape
        made = Graph.from_labels(nodes, edges, self.vocabulary)
        embedded = PackedGraphs.of(made) if self.local else made
        points = points_of(self.psi, embedded) if len(made) else self.target[:0]
        loss = squared_distance(points.double(), self.target[owner].double()).to(self.target.dtype)
        score = loss + self.config.penalty * self.constraints.violation(made)
        before = self.score[:, 0].clone()

        all_owner = torch.cat([torch.arange(B).repeat_interleave(W), owner])
        all_score = torch.cat([self.score.flatten(), score])
        # old graphs come first among equals, so that an expanded graph is not expanded again
        order = torch.argsort(torch.cat([self.score.flatten() - SAME_SCORE, score]), stable=True)
        order = order[torch.argsort(all_owner[order], stable=True)]
        ranked, of = all_score[order], all_owner[order]
        same = (of[1:] == of[:-1]) & ((ranked[1:] - ranked[:-1]).abs() <= SAME_SCORE)
        order = order[torch.cat([torch.ones(1, dtype=torch.bool), ~same])]
        of = all_owner[order]
        rank = torch.arange(len(of)) - torch.searchsorted(of, torch.arange(B))[of]
        order, rank = order[rank < W], rank[rank < W]
        of = all_owner[order]

        expanded = torch.zeros(len(owner), dtype=torch.bool)
        for name, new in zip(EMPTY, (nodes, edges, score, loss, expanded, origin)):
            old = getattr(self, name)
            fresh = torch.full_like(old, EMPTY[name])
            fresh[of, rank] = torch.cat([old.flatten(0, 1), new.to(old.dtype)])[order]
            setattr(self, name, fresh)
        self.expanded |= torch.isinf(self.score)
        if self.record:
            new = order >= B * W
            self._note(of[new], rank[new], describe(order[new] - B * W))
        better = self.score[:, 0] < before - SAME_SCORE
        self.waiting = torch.where(better, 0, self.waiting + 1)

    def _note(self, owner: Tensor, rank: Tensor, origins: Sequence[str | int]) -> None:
        """Record how new graphs of the beams were made: by an edit (its description) or as a start (its number)."""
        for b, w, origin in zip(owner.tolist(), rank.tolist(), origins):
            if origin == 0:
                continue  # the path of every target begins at its first start unless it has a restart
            graph = Graph.from_labels(self.nodes[b, w][None], self.edges[b, w][None], self.vocabulary)
            restart = isinstance(origin, int)
            edit = f"start {origin + 1}" if isinstance(origin, int) else origin
            self.steps.append((int(self.history[b, w]), SearchStep(edit, float(self.loss[b, w]), graph, restart)))
            self.history[b, w] = len(self.steps) - 1

    def result(self) -> Decoded:
        graphs = Graph.from_labels(self.nodes[:, 0], self.edges[:, 0], self.vocabulary)
        alternatives = Graph.from_labels(self.nodes.flatten(0, 1), self.edges.flatten(0, 1), self.vocabulary)
        return Decoded(graphs, self.loss[:, 0], alternatives, self.loss)

    def paths(self, chosen: Tensor | None = None) -> list[tuple[SearchStep, ...]]:
        """The steps that led to the best graph of each target, or of chosen ones, in order."""
        found = []
        for index in self.history[slice(None) if chosen is None else chosen, 0].tolist():
            path = []
            while index >= 0:
                index, step = self.steps[index]
                path.append(step)
            found.append(tuple(reversed(path)))
        return found


def lowest(value: Tensor, group: Tensor, k: int) -> Tensor:
    """Indices of the k lowest values (E,) of each group (E,), groups ascending."""
    order = torch.argsort(value)
    order = order[torch.argsort(group[order], stable=True)]
    ranked = group[order]
    first = torch.searchsorted(ranked, ranked)
    return order[torch.arange(len(order)) - first < k]
