"""Decoding by projected gradient descent over relaxed graphs: starts, steps, rounding (paper section on decoding)."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from elekit.decoding.candidates import check_target
from elekit.decoding.steps import RULES, StepRule
from elekit.decoding.trace import Decoded, Trace
from elekit.graph import Graph, GraphVocabulary
from elekit.loss import Psi, squared_distance

TOGETHER = 512  # descents that run side by side: what fits the processor's cache


@dataclass(frozen=True)
class GradientConfig:
    """How to descend. rule: a name in `steps.RULES` or a step rule.

    starts: descents of each target from different random points, judged by the learned loss of their rounded graphs.
    spread: standard deviation of the noise on the logits of a start. penalty: weight of `Graph.excess`, how far
    valences are exceeded (only where the vocabulary has capacities). check_every: iterations between roundings.
    tolerance: a rounded graph whose loss is below it ends the search of its target. budget_ms: for the whole call.
    """

    rule: str | StepRule = "adam"
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
    return Graph(torch.full((1, N, K), 1 / K), torch.full((1, N, N, R), 1 / R), vocabulary).symmetrised()


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

    target: (B, D) unit vectors. around: the relaxed graph that starts scatter around, a batch of one (such as the
    mean of the training graphs, or `uniform`) or of B (such as each target's nearest candidate; then one of the
    starts is that graph itself, softened).
    k: how many alternatives to keep of each target. record: make a full `Trace` of the start that won.
    Raises ValueError for NaN in targets or `around`.
    """
    check_target(target)
    around.check()
    B, starts = len(target), config.starts
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
    return Decoded(
        Graph.cat([p.graphs for p in pieces]),
        torch.cat([p.loss for p in pieces]),
        Graph.cat([p.alternatives for p in pieces]),
        torch.cat([p.alternative_losses for p in pieces]),
        tuple(trace for p in pieces for trace in p.traces),
    )


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


def scatter(around: Graph, targets: int, starts: int, spread: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Node rows (B * starts, N, K) and pair rows (B * starts, P, R) of random starts: softmax(log p + spread noise).

    Of a graph of each target's own, the first start carries no noise.
    """
    N, K = around.nodes.shape[1:]
    i, j = torch.triu_indices(N, N, 1)
    made = []
    for rows in (around.nodes, around.edges[:, i, j]):
        noise = torch.randn((targets, starts, *rows.shape[1:]), generator=generator).to(rows)
        if len(around) > 1 or targets == 1:
            noise[:, 0] = 0 if starts > 1 or len(around) > 1 else noise[:, 0]
        # vertices are pulled inwards, so that every label can still be reached
        inside = 0.9 * rows + 0.1 / rows.shape[-1]
        made.append((inside.log()[:, None] + spread * noise).softmax(-1).flatten(0, 1))
    return made[0], made[1]


def unfold(nodes: Tensor, pairs: Tensor, vocabulary: GraphVocabulary) -> Graph:
    """Graph of node rows (M, N, K) and rows of unordered pairs (M, P, R), P = N (N - 1) / 2."""
    M, N, _ = nodes.shape
    i, j = torch.triu_indices(N, N, 1)
    place = torch.full((N, N), len(i))
    place[i, j] = place[j, i] = torch.arange(len(i))
    empty = torch.zeros_like(pairs[:, :1])
    empty[..., 0] = 1
    return Graph(nodes, torch.cat([pairs, empty], 1)[:, place], vocabulary)


def _descend(psi, target, around, config, k, generator, clock, record) -> Decoded:
    vocabulary, starts, B = around.vocabulary, config.starts, len(target)
    rule = RULES[config.rule] if isinstance(config.rule, str) else config.rule
    nodes, pairs = scatter(around, B, starts, config.spread, generator)
    owner = torch.arange(B).repeat_interleave(starts)
    M, N, P = len(nodes), nodes.shape[1], pairs.shape[1]
    alive = torch.arange(M)
    best = {
        "score": torch.full((M,), float("inf")),
        "loss": torch.full((M,), float("inf")),
        "nodes": torch.zeros(M, N, dtype=torch.long),
        "edges": torch.zeros(M, N, N, dtype=torch.long),
        "step": torch.zeros(M, dtype=torch.long),
    }
    memories, frames, stopped = ({}, {}), [], f"all {config.iterations} iterations done"

    def judge(step: int) -> Tensor:
        """Learned loss of the rounded iterates; the best of each descent is kept."""
        rounded = unfold(nodes, pairs, vocabulary).rounded()
        with torch.no_grad():
            loss = squared_distance(psi(rounded), target[owner[alive]])
        score = loss + config.penalty * rounded.excess()
        better = score < best["score"][alive]
        rows = alive[better]
        labels = rounded[better].labels()
        for name, value in zip(best, (score[better], loss[better], *labels, step)):
            best[name][rows] = value
        return loss

    for step in range(config.iterations + 1):
        nodes, pairs = nodes.detach().requires_grad_(), pairs.detach().requires_grad_()
        relaxed = unfold(nodes, pairs, vocabulary)
        loss = squared_distance(psi(relaxed), target[owner[alive]])
        # each descent is independent, so one backward pass of the sum gives every gradient
        objective = loss + config.penalty * relaxed.excess()
        by_nodes, by_pairs = torch.autograd.grad(objective.sum(), (nodes, pairs))
        nodes, pairs = nodes.detach(), pairs.detach()
        last = step == config.iterations or clock.over()
        rounded_loss = judge(step) if record or last or step % config.check_every == 0 else None
        frame = {"nodes": nodes, "pairs": pairs, "loss": loss.detach(), "rounded": rounded_loss, "by_nodes": by_nodes, "by_pairs": by_pairs}
        if rounded_loss is not None and not last:
            found = best["loss"].reshape(B, starts).amin(1) <= config.tolerance
            if found.all():
                last, stopped = True, f"every target found (loss at most {config.tolerance:g})"
        elif step < config.iterations and last:
            stopped = f"the time budget of {config.budget_ms:g} ms was used up"
        if record:
            frames.append(frame)
        if last:
            break
        if rounded_loss is not None and not record and found.any():
            keep = ~found[owner[alive]]
            alive, nodes, pairs, by_nodes, by_pairs = (x[keep] for x in (alive, nodes, pairs, by_nodes, by_pairs))
            memories = tuple({name: value[keep] for name, value in memory.items()} for memory in memories)
        nodes, unprojected_nodes = rule.step(nodes, by_nodes, memories[0], step)
        pairs, unprojected_pairs = rule.step(pairs, by_pairs, memories[1], step)
        if record:
            frame["moved"] = _length(nodes - frame["nodes"], pairs - frame["pairs"])
            frame["projected"] = (
                torch.zeros(M) if unprojected_nodes is None else _length(nodes - unprojected_nodes, pairs - unprojected_pairs)
            )

    order = best["score"].reshape(B, starts).argsort(1)
    rows = torch.arange(B)[:, None] * starts + order
    kept = _distinct(best["score"][rows], min(k, starts))
    winners = rows[:, 0]
    chosen = rows.gather(1, kept.clamp_min(0)).flatten()
    losses = best["loss"][chosen].reshape(B, -1).masked_fill(kept < 0, float("inf"))
    alternatives = Graph.from_labels(best["nodes"][chosen], best["edges"][chosen], vocabulary)
    graphs = Graph.from_labels(best["nodes"][winners], best["edges"][winners], vocabulary)
    traces = tuple(
        _trace(b, int(winners[b]), frames, best, target, starts, vocabulary, stopped) for b in range(B) if record
    )
    return Decoded(graphs, best["loss"][winners], alternatives, losses, traces)


def _distinct(scores: Tensor, k: int) -> Tensor:
    """(B, k) places of the first k different scores of each ascending row, -1 where there are fewer.

    Equal to six digits means the same graph in another node order: psi cannot tell those apart.
    """
    new = torch.ones_like(scores, dtype=torch.bool)
    new[:, 1:] = (scores[:, 1:] - scores[:, :-1]) > 1e-6
    rank = torch.where(new, new.cumsum(1) - 1, scores.shape[1])
    kept = torch.full((len(scores), max(k, scores.shape[1] + 1)), -1)
    kept.scatter_(1, rank, torch.arange(scores.shape[1]).expand_as(scores))
    return kept[:, :k]


def _length(nodes: Tensor, pairs: Tensor) -> Tensor:
    """(M,) Euclidean length over node rows and (each unordered pair once) pair rows."""
    return (nodes.square().flatten(1).sum(1) + pairs.square().flatten(1).sum(1)).sqrt()


def _trace(b, row, frames, best, target, starts, vocabulary, stopped) -> Trace:
    def series(name):
        return torch.stack([frame[name][row] for frame in frames])

    def before(name):
        """What led to each iterate: nothing to the first."""
        return torch.stack([torch.zeros(()), *(frame[name][row] for frame in frames[:-1])])

    gradient = unfold(series("by_nodes"), series("by_pairs"), vocabulary)
    return Trace(
        target=target[b],
        iterates=unfold(series("nodes"), series("pairs"), vocabulary),
        relaxed=series("loss"),
        rounded=series("rounded"),
        gradient_norm=torch.stack([_length(f["by_nodes"][row : row + 1], f["by_pairs"][row : row + 1])[0] for f in frames]),
        step_size=before("moved"),
        projection=before("projected"),
        node_gradient=gradient.nodes,
        edge_gradient=gradient.edges * (1 - torch.eye(gradient.nodes.shape[1]))[None, :, :, None],
        best=int(best["step"][row]),
        stopped=stopped,
        starts=best["loss"].reshape(-1, starts)[b],
    )
