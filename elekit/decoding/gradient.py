"""Decoding by projected gradient descent over relaxed graphs: starts, steps, rounding (paper section on decoding)."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from elekit.decoding.candidates import check_target
from elekit.decoding.step_rules import RULES, StepRule
from elekit.decoding.trace import Decoded, Trace
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.model.loss import Psi, squared_distance

TOGETHER = 512  # descents that run side by side: what fits the processor's cache


@dataclass(frozen=True)
class GradientConfig:
    """How to descend. rule: a name in `steps.RULES` or a step rule.

    starts: descents of each target from different random points, judged by the learned loss of their rounded graphs.
    spread: standard deviation of the noise on the logits of a start. penalty: weight of `Graph.valence_violation`, how far
    valences are exceeded (only where the vocabulary has capacities). check_every: iterations between roundings.
    tolerance: a rounded graph whose loss is at most that ends its target's search. budget_ms: for the whole call.
    """

    rule: str | StepRule = "euclidean"
    iterations: int = 100
    starts: int = 4
    spread: float = 1.0
    penalty: float = 0.1
    check_every: int = 10
    tolerance: float = 1e-4
    budget_ms: float | None = None

    def __post_init__(self):
        if isinstance(self.rule, str) and self.rule not in RULES:
            raise ValueError(f"no step rule {self.rule!r}; there are {', '.join(RULES)}")
        for name in ("iterations", "starts", "check_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.budget_ms is not None and self.budget_ms <= 0:
            raise ValueError(f"budget_ms must be above 0, got {self.budget_ms}")


def uniform(vocabulary: GraphVocabulary) -> Graph:
    """The middle of the polytope, a batch of one: where descents start when nothing better is known."""
    N, K, R = vocabulary.max_nodes, vocabulary.K, vocabulary.R
    return Graph(torch.full((1, N, K), 1 / K), torch.full((1, N, N, R), 1 / R), vocabulary).symmetrized()


def decode_gradient(
    psi: Psi,
    target: Tensor,
    around: Graph,
    *,
    config: GradientConfig = GradientConfig(),
    k: int = 1,
    seed: int = 0,
    record: bool = False,
) -> Decoded:
    """`y <- P(y - eta grad_y [2 - 2 <target, psi(y)> + penalty excess(y)])` from random starts, then rounding.

    target: (B, D) unit vectors. around: the relaxed graph that starts scatter around, a batch of one (such as
    `Graph.typical` of the training graphs, or `uniform`) or of B (such as each target's nearest candidate). The first
    start of each target is that graph itself, softened but without noise, unless its nodes are all alike, as those of
    `typical` and `uniform` are: noise alone can tell them apart.
    k: how many alternatives to keep of each target, at most one a start. record: make a full `Trace` of the start
    that won; the answers are the same. seed: of the noise, which is drawn anew for every TOGETHER descents.
    Raises ValueError for NaN in targets or `around`, or in all that psi makes of a target's iterates.
    """
    check_target(target)
    around.check()
    target, B, starts = target.detach(), len(target), config.starts
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if len(around) not in (1, B):
        raise ValueError(f"`around` must be one graph or one for each of {B} targets, got {len(around)}")
    parallel = max(1, TOGETHER // starts)
    clock = _Clock(config.budget_ms)
    pieces = []
    for first in range(0, B, parallel):
        piece = slice(first, first + parallel)
        clock.share((B - first + parallel - 1) // parallel)
        mine = around if len(around) == 1 else around[piece]
        generator = torch.Generator().manual_seed(seed * 1_000_003 + first)
        pieces.append(_descend(psi, target[piece], mine, config, k, generator, clock, record))
    loss = torch.cat([p.loss for p in pieces])
    lost = (~torch.isfinite(loss)).nonzero()
    if len(lost):
        raise ValueError(f"psi gave no finite loss for target {int(lost[0])} ({len(lost)} of {B}); check its weights")
    return Decoded.cat(pieces)


class _Clock:
    """The time budget: each piece of work may take its share of what is left."""

    def __init__(self, budget_ms: float | None):
        self.end = None if budget_ms is None else time.perf_counter() + budget_ms / 1000
        self.stop = self.end

    def share(self, pieces: int):
        if self.end is not None:
            now = time.perf_counter()
            self.stop = now + max(0.0, self.end - now) / pieces

    def over(self) -> bool:
        return self.stop is not None and time.perf_counter() >= self.stop


def scatter(
    around: Graph, targets: int, starts: int, spread: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Node rows (B * starts, N, K) and pair rows (B * starts, P, R) of random starts: softmax(log p + spread noise).

    The first start carries no noise where the nodes of `around` can be told apart without it.
    """
    parts = fold(around)
    alike = torch.stack([(rows == rows[:, :1]).flatten(1).all(1) for rows in parts]).all(0)
    made = []
    for rows in parts:
        noise = torch.randn((targets, starts, *rows.shape[1:]), generator=generator).to(rows)
        noise[~alike.expand(targets), 0] = 0
        # vertices are pulled inwards, so that every label can still be reached
        inside = 0.9 * rows + 0.1 / rows.shape[-1]
        made.append((inside.log()[:, None] + spread * noise).softmax(-1).flatten(0, 1))
    return made[0], made[1]


def fold(graph: Graph) -> tuple[Tensor, Tensor]:
    """Node rows (M, N, K) and rows of unordered pairs (M, P, R) of graphs; `unfold` puts them together again."""
    N = graph.nodes.shape[1]
    i, j = torch.triu_indices(N, N, 1)
    return graph.nodes, graph.edges[:, i, j]


def unfold(nodes: Tensor, pairs: Tensor, vocabulary: GraphVocabulary) -> Graph:
    """Graph of node rows (M, N, K) and rows of unordered pairs (M, P, R), P = N (N - 1) / 2."""
    M, N, _ = nodes.shape
    i, j = torch.triu_indices(N, N, 1)
    place = torch.full((N, N), len(i))
    place[i, j] = place[j, i] = torch.arange(len(i))
    empty = pairs.new_zeros(M, 1, vocabulary.R)
    empty[..., 0] = 1
    return Graph(nodes, torch.cat([pairs, empty], 1)[:, place], vocabulary)


def _descend(psi, target, around, config, k, generator, clock, record) -> Decoded:
    vocabulary, starts, B = around.vocabulary, config.starts, len(target)
    rule = RULES[config.rule] if isinstance(config.rule, str) else config.rule
    nodes, pairs = scatter(around, B, starts, config.spread, generator)
    owner = torch.arange(B).repeat_interleave(starts)
    M, N = nodes.shape[:2]
    alive = torch.arange(M)  # descents that go on
    searching = torch.ones(B, dtype=torch.bool)  # targets not found yet
    ended = torch.zeros(B, dtype=torch.long)  # last step of each
    best = {
        "score": torch.full((M,), float("inf")),
        "loss": torch.full((M,), float("inf")),
        "nodes": torch.zeros(M, N, dtype=torch.long),
        "edges": torch.zeros(M, N, N, dtype=torch.long),
        "step": torch.zeros(M, dtype=torch.long),
    }
    memories, frames = ({}, {}), []

    def judge(step: int, due: bool) -> Tensor:
        """Learned loss of the rounded iterates; where due, the best of each descent is kept."""
        rounded = unfold(nodes, pairs, vocabulary).rounded()
        with torch.no_grad():
            loss = squared_distance(psi(rounded), target[owner[alive]])
        if due:
            score = loss + config.penalty * rounded.valence_violation()
            better = (score < best["score"][alive]) & searching[owner[alive]]
            for name, value in zip(best, (score[better], loss[better], *rounded[better].labels(), step)):
                best[name][alive[better]] = value
        return loss

    for step in range(config.iterations + 1):
        frame = measure(psi, target[owner[alive]], nodes, pairs, vocabulary, config.penalty)
        last = step == config.iterations or clock.over()
        due = last or step % config.check_every == 0
        if record or due:
            frame["rounded"] = judge(step, due)
        if record:
            frames.append(frame)
        ended[searching] = step
        if due:
            searching &= best["loss"].reshape(B, starts).amin(1) > config.tolerance
        if last or not searching.any():
            break
        by_nodes, by_pairs = frame["by_nodes"], frame["by_pairs"]
        going = searching[owner[alive]]
        if not record and not going.all():  # a record is rectangular: it follows every descent to the end
            alive, nodes, pairs, by_nodes, by_pairs = (x[going] for x in (alive, nodes, pairs, by_nodes, by_pairs))
            memories = tuple({name: value[going] for name, value in memory.items()} for memory in memories)
        nodes, nodes_before_projection = rule.step(nodes, by_nodes, memories[0], step)
        pairs, pairs_before_projection = rule.step(pairs, by_pairs, memories[1], step)
        if record:
            frame["moved"] = _length(nodes - frame["nodes"], pairs - frame["pairs"])
            frame["projected"] = (
                torch.zeros(M)
                if nodes_before_projection is None
                else _length(nodes - nodes_before_projection, pairs - pairs_before_projection)
            )

    order = best["score"].reshape(B, starts).argsort(1)
    rows = torch.arange(B)[:, None] * starts + order
    kept = _distinct(best["score"][rows], min(k, starts))
    winners = rows[:, 0]
    chosen = rows.gather(1, kept.clamp_min(0)).flatten()
    losses = best["loss"][chosen].reshape(B, -1).masked_fill(kept < 0, float("inf"))
    alternatives = Graph.from_labels(best["nodes"][chosen], best["edges"][chosen], vocabulary)
    graphs = Graph.from_labels(best["nodes"][winners], best["edges"][winners], vocabulary)
    traces = ()
    if record:
        unfound = f"all {config.iterations} iterations done"
        if step < config.iterations:
            unfound = f"the time budget of {config.budget_ms or 0:g} ms was used up"
        found = f"found (loss at most {config.tolerance:g})"
        of_starts = best["loss"].reshape(B, starts)
        traces = tuple(
            make_trace(
                target[b], row, frames[: ended[b] + 1], vocabulary, best=int(best["step"][row]),
                stopped=unfound if searching[b] else found, starts=of_starts[b],
            )
            for b, row in enumerate(winners.tolist())
        )  # fmt: skip
    return Decoded(graphs, best["loss"][winners], alternatives, losses, traces)


def measure(psi, target: Tensor, nodes: Tensor, pairs: Tensor, vocabulary: GraphVocabulary, penalty: float) -> dict:
    """Learned loss of relaxed graphs, and the gradient of loss + penalty by rows of nodes and of unordered pairs."""
    with torch.enable_grad():
        nodes, pairs = nodes.detach().requires_grad_(), pairs.detach().requires_grad_()
        relaxed = unfold(nodes, pairs, vocabulary)
        loss = squared_distance(psi(relaxed), target)
        # each descent is independent, so one backward pass of the sum gives every gradient
        objective = (loss + penalty * relaxed.valence_violation()).sum()
        by_nodes, by_pairs = torch.autograd.grad(objective, (nodes, pairs), materialize_grads=True)
    nodes, pairs, loss = nodes.detach(), pairs.detach(), loss.detach()
    return {"nodes": nodes, "pairs": pairs, "loss": loss, "by_nodes": by_nodes, "by_pairs": by_pairs}


def single_step_traces(
    psi: Psi, target: Tensor, chosen: Decoded, penalty: float, stopped: str, relaxed: Graph | None = None
) -> tuple[Trace, ...]:
    """Traces of answers that no descent led to, such as candidates: one iterate each, and where it wants to go.

    relaxed: what was rounded to the answers, which then are the iterates.
    """
    vocabulary = chosen.graphs.vocabulary
    frame = measure(psi, target.detach(), *fold(chosen.graphs if relaxed is None else relaxed), vocabulary, penalty)
    frame["rounded"] = frame["loss"] if relaxed is None else chosen.loss
    return tuple(
        make_trace(
            target[b].detach(), b, [frame], vocabulary, best=0, stopped=stopped, starts=chosen.alternative_losses[b]
        )
        for b in range(len(target))
    )


def _distinct(scores: Tensor, k: int) -> Tensor:
    """(B, k) places of the first k different scores of each ascending row, -1 where there are fewer.

    Equal to six digits means the same graph in another node order: psi cannot tell those apart.
    """
    new = torch.ones_like(scores, dtype=torch.bool)
    new[:, 1:] = (scores[:, 1:] - scores[:, :-1]) > 1e-6
    rank = torch.where(new, new.cumsum(1) - 1, scores.shape[1])
    kept = torch.full((len(scores), scores.shape[1] + 1), -1)  # the last place takes the rest
    kept.scatter_(1, rank, torch.arange(scores.shape[1]).expand_as(scores))
    return kept[:, :k]


def _length(nodes: Tensor, pairs: Tensor) -> Tensor:
    """(M,) Euclidean length over node rows and (each unordered pair once) pair rows."""
    return (nodes.square().flatten(1).sum(1) + pairs.square().flatten(1).sum(1)).sqrt()


def make_trace(
    target: Tensor, row: int, frames: list, vocabulary: GraphVocabulary, *, best: int, stopped: str, starts: Tensor
) -> Trace:
    """The `Trace` of one row of the frames that a descent left."""

    def series(name):
        return torch.stack([frame[name][row] for frame in frames])

    def before(name):
        """What led to each iterate: nothing to the first."""
        return torch.stack([torch.zeros(()), *(frame[name][row] for frame in frames[:-1])])

    by_nodes, by_pairs = series("by_nodes"), series("by_pairs")
    apart = 1 - torch.eye(by_nodes.shape[1])[..., None]
    return Trace(
        target=target,
        iterates=unfold(series("nodes"), series("pairs"), vocabulary),
        relaxed=series("loss"),
        rounded=series("rounded"),
        gradient_norm=_length(by_nodes, by_pairs),
        step_size=before("moved"),
        projection=before("projected"),
        node_gradient=by_nodes,
        edge_gradient=unfold(by_nodes, by_pairs, vocabulary).edges * apart,
        best=best,
        stopped=stopped,
        starts=starts,
    )
