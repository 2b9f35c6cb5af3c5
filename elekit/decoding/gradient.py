"""Decoding by projected gradient descent over relaxed graphs: starts, steps, rounding (paper section on decoding)."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elekit.decoding.candidates import check_target, constraints_of
from elekit.decoding.step_rules import RULES, Memory, StepRule
from elekit.decoding.trace import Decoded, Trace, concatenate
from elekit.graphs._schema import require_positive
from elekit.graphs.budget import Clock
from elekit.graphs.constraints import Constraints
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.model.loss import Psi, squared_distance

BATCH_SIZE = 512  # descents run together: what fits the processor's cache
SAME_SCORE = 1e-6  # scores of one target closer than this belong to one graph in another node order
Frame = dict[str, Tensor]  # what is recorded of one step, one row per descent


@dataclass(frozen=True)
class GradientConfig:
    """Settings of gradient descent.

    Args:
        rule: Step rule, or its name in `RULES`.
        iterations: Steps of each descent, at least 1.
        starts: Descents per target from different random starts; the lowest learned loss after rounding wins.
        noise: Standard deviation of the noise on the logits of a start.
        penalty: Weight of `Constraints.penalty`, which includes the capacities of the vocabulary.
        check_every: Iterations between roundings.
        tolerance: A rounded graph with at most this learned loss ends the search of its target.
    """

    rule: str | StepRule = "euclidean"
    iterations: int = 100
    starts: int = 4
    noise: float = 1.0
    penalty: float = 0.1
    check_every: int = 10
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if isinstance(self.rule, str) and self.rule not in RULES:
            raise ValueError(f"no step rule {self.rule!r}; there are {', '.join(RULES)}")
        require_positive(iterations=self.iterations, starts=self.starts, check_every=self.check_every)


def uniform(vocabulary: GraphVocabulary) -> Graph:
    """The center of the polytope of relaxed graphs.

    Args:
        vocabulary: Labels and size of the graph.

    Returns:
        A batch of one graph whose node rows and edge rows are uniform.
    """
    N, K, R = vocabulary.max_nodes, vocabulary.K, vocabulary.R
    return Graph(torch.full((1, N, K), 1 / K), torch.full((1, N, N, R), 1 / R), vocabulary).symmetrized()


def decode_gradient(
    psi: Psi, target: Tensor, start: Graph, *, config: GradientConfig = GradientConfig(), k: int = 1, seed: int = 0,
    record: bool = False, constraints: Constraints | None = None, budget: float | Clock | None = None,
) -> Decoded:  # fmt: skip
    """Decode by projected gradient descent: `y <- P(y - eta grad_y [2 - 2 <target, psi(y)> + penalty violation(y)])`.

    The first start of each target is `start` itself, softened but without noise, unless all of its nodes are alike
    (as in `Graph.average` and `uniform`): only noise can separate those.

    Args:
        psi: Differentiable embedding of relaxed graphs.
        target: (B, D) unit vectors.
        start: Relaxed graph that random starts scatter around: a batch of one, or one per target.
        config: Settings of the descent.
        k: Number of alternatives per target; at most one per start.
        seed: Seed of the noise, drawn separately for each batch of `BATCH_SIZE` descents.
        record: Record a `Trace` of the best descent of each target; the decoded graphs do not depend on it.
        constraints: What the graphs must satisfy; None = `psi.prior.constraints`.
        budget: Seconds for the whole call, see `elekit.graphs.budget`.

    Returns:
        The best rounded graph of each target, with up to k alternatives.

    Raises:
        ValueError: If target, start or the loss is not finite, or if the number of starts does not fit.
    """
    check_target(target)
    start.check()
    target, B = target.detach(), len(target)
    require_positive(k=k)
    constraints = constraints_of(psi, constraints).check(start.vocabulary)
    if len(start) not in (1, B):
        raise ValueError(f"start must be one graph or one for each of {B} targets, got {len(start)}")
    batch_size = max(1, BATCH_SIZE // config.starts)
    clock, pieces = Clock.of(budget), []
    for first in range(0, B, batch_size):
        rows = slice(first, first + batch_size)
        part = clock.part(1 / math.ceil((B - first) / batch_size))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + first)
        own_start = start if len(start) == 1 else start[rows]
        pieces.append(_descend(psi, target[rows], own_start, config, k, generator, constraints, part, record))
    found = concatenate(pieces)
    failed = (~torch.isfinite(found.loss)).nonzero()
    if len(failed):
        which = f"target {int(failed[0])} ({len(failed)} of {B})"
        raise ValueError(f"psi gave no finite loss for {which}; check its weights")
    return found


def random_starts(
    start: Graph, targets: int, starts: int, noise: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Node rows (B * starts, N, K) and pair rows (B * starts, P, R) of random starts: softmax(log p + noise).

    The first start has no noise if the nodes of `start` differ.
    """
    parts = fold(start)
    alike = torch.stack([(rows == rows[:, :1]).flatten(1).all(1) for rows in parts]).all(0)
    made = []
    for rows in parts:
        draw = torch.randn((targets, starts, *rows.shape[1:]), generator=generator).to(rows)
        draw[~alike.expand(targets), 0] = 0
        # vertices move inwards, so that every label can still be reached
        inside = 0.9 * rows + 0.1 / rows.shape[-1]
        made.append((inside.log()[:, None] + noise * draw).softmax(-1).flatten(0, 1))
    return made[0], made[1]


def fold(graph: Graph) -> tuple[Tensor, Tensor]:
    """Node rows (M, N, K) and rows of unordered pairs (M, P, R) of graphs; the inverse of `unfold`."""
    N = graph.nodes.shape[1]
    i, j = torch.triu_indices(N, N, 1)
    return graph.nodes, graph.edges[:, i, j]


def unfold(nodes: Tensor, pairs: Tensor, vocabulary: GraphVocabulary) -> Graph:
    """Graphs of node rows (M, N, K) and rows of unordered pairs (M, P, R), P = N (N - 1) / 2."""
    M, N, _ = nodes.shape
    i, j = torch.triu_indices(N, N, 1)
    place = torch.full((N, N), len(i))
    place[i, j] = place[j, i] = torch.arange(len(i))
    empty = pairs.new_zeros(M, 1, vocabulary.R)
    empty[..., 0] = 1
    edges = torch.cat([pairs, empty], 1)[:, place]
    if vocabulary.directed:
        edges = torch.where(torch.ones(N, N, dtype=torch.bool).triu()[..., None], edges, vocabulary.turn_rows(edges))
    return Graph(nodes, edges, vocabulary)


def _descend(
    psi: Psi, target: Tensor, start: Graph, config: GradientConfig, k: int, generator: torch.Generator,
    constraints: Constraints, clock: Clock, record: bool,
) -> Decoded:  # fmt: skip
    vocabulary, starts, B = start.vocabulary, config.starts, len(target)
    rule = RULES[config.rule] if isinstance(config.rule, str) else config.rule
    nodes, pairs = random_starts(start, B, starts, config.noise, generator)
    owner = torch.arange(B).repeat_interleave(starts)  # target of each descent
    M, N = nodes.shape[:2]
    alive = torch.arange(M)  # descents that continue
    searching = torch.ones(B, dtype=torch.bool)  # targets without a graph within the tolerance
    ended = torch.zeros(B, dtype=torch.long)  # last step of each target
    best = {
        "score": torch.full((M,), float("inf")),
        "loss": torch.full((M,), float("inf")),
        "nodes": torch.zeros(M, N, dtype=torch.long),
        "edges": torch.zeros(M, N, N, dtype=torch.long),
        "step": torch.zeros(M, dtype=torch.long),
    }
    memories: tuple[Memory, Memory] = ({}, {})
    frames: list[Frame] = []

    def judge(step: int, due: bool) -> Tensor:
        """Learned loss of the rounded iterates; if `due`, update the best graph of each descent."""
        rounded = constraints.rounded(unfold(nodes, pairs, vocabulary))
        with torch.no_grad():
            loss = squared_distance(psi(rounded), target[owner[alive]])
        if due:
            score = loss + config.penalty * constraints.violation(rounded)
            better = (score < best["score"][alive]) & searching[owner[alive]]
            found = (score[better], loss[better], *rounded[better].labels(), torch.tensor(step))
            for name, value in zip(best, found):
                best[name][alive[better]] = value
        return loss

    for step in range(config.iterations + 1):
        frame = measure(psi, target[owner[alive]], nodes, pairs, vocabulary, constraints, config.penalty)
        last = step == config.iterations or clock.over
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
            for memory in memories:
                memory.update({name: value[going] for name, value in memory.items()})
        nodes, moved_nodes = rule.step(nodes, by_nodes, memories[0], step)
        pairs, moved_pairs = rule.step(pairs, by_pairs, memories[1], step)
        if record:
            frame["moved"] = _length(nodes - frame["nodes"], pairs - frame["pairs"])
            frame["projected"] = torch.zeros(M)
            if moved_nodes is not None and moved_pairs is not None:
                frame["projected"] = _length(nodes - moved_nodes, pairs - moved_pairs)

    order = best["score"].reshape(B, starts).argsort(1)
    rows = torch.arange(B)[:, None] * starts + order
    kept = _distinct(best["score"][rows], min(k, starts))
    winners = rows[:, 0]
    chosen = rows.gather(1, kept.clamp_min(0)).flatten()
    losses = best["loss"][chosen].reshape(B, -1).masked_fill(kept < 0, float("inf"))
    alternatives = Graph.from_labels(best["nodes"][chosen], best["edges"][chosen], vocabulary)
    graphs = Graph.from_labels(best["nodes"][winners], best["edges"][winners], vocabulary)
    traces: tuple[Trace, ...] = ()
    if record:
        not_found = f"all {config.iterations} iterations done"
        if step < config.iterations:
            not_found = "the time budget was used up"
        found = f"found (loss at most {config.tolerance:g})"
        of_starts = best["loss"].reshape(B, starts)
        traces = tuple(
            _trace(
                target[b], row, frames[: int(ended[b]) + 1], vocabulary, best=int(best["step"][row]),
                stopped=not_found if searching[b] else found, starts=of_starts[b],
            )
            for b, row in enumerate(winners.tolist())
        )  # fmt: skip
    return Decoded(graphs, best["loss"][winners], alternatives, losses, traces)


def measure(
    psi: Psi, target: Tensor, nodes: Tensor, pairs: Tensor, vocabulary: GraphVocabulary, constraints: Constraints,
    penalty: float,
) -> Frame:  # fmt: skip
    """Learned loss of relaxed graphs, and the gradient of loss + penalty by rows of nodes and of unordered pairs."""
    with torch.enable_grad():
        nodes, pairs = nodes.detach().requires_grad_(), pairs.detach().requires_grad_()
        relaxed = unfold(nodes, pairs, vocabulary)
        loss = squared_distance(psi(relaxed), target)
        # descents are independent, so one backward pass of the sum gives every gradient
        objective = (loss + penalty * constraints.penalty(relaxed)).sum()
        by_nodes, by_pairs = torch.autograd.grad(objective, (nodes, pairs), materialize_grads=True)
    nodes, pairs, loss = nodes.detach(), pairs.detach(), loss.detach()
    return {"nodes": nodes, "pairs": pairs, "loss": loss, "by_nodes": by_nodes, "by_pairs": by_pairs}


def single_step_traces(
    psi: Psi, target: Tensor, chosen: Decoded, constraints: Constraints, penalty: float, stopped: str,
    relaxed: Graph | None = None,
) -> tuple[Trace, ...]:  # fmt: skip
    """Traces of results that no descent led to: one iterate each, the result or the relaxed graph rounded to it."""
    vocabulary = chosen.graphs.vocabulary
    rows = fold(chosen.graphs if relaxed is None else relaxed)
    frame = measure(psi, target.detach(), *rows, vocabulary, constraints, penalty)
    frame["rounded"] = frame["loss"] if relaxed is None else chosen.loss
    losses = chosen.alternative_losses
    options: dict[str, Any] = {"best": 0, "stopped": stopped}
    of = range(len(target))
    return tuple(_trace(target[b].detach(), b, [frame], vocabulary, starts=losses[b], **options) for b in of)


def _distinct(scores: Tensor, k: int) -> Tensor:
    """(B, k) positions of the first k different scores of each ascending row, -1 where there are fewer."""
    new = torch.ones_like(scores, dtype=torch.bool)
    new[:, 1:] = (scores[:, 1:] - scores[:, :-1]) > SAME_SCORE
    rank = torch.where(new, new.cumsum(1) - 1, scores.shape[1])
    kept = torch.full((len(scores), scores.shape[1] + 1), -1)  # the last column takes the rest
    kept.scatter_(1, rank, torch.arange(scores.shape[1]).expand_as(scores))
    return kept[:, :k]


def _length(nodes: Tensor, pairs: Tensor) -> Tensor:
    """(M,) Euclidean length over node rows and rows of unordered pairs."""
    return (nodes.square().flatten(1).sum(1) + pairs.square().flatten(1).sum(1)).sqrt()


def _trace(target: Tensor, row: int, frames: list[Frame], vocabulary: GraphVocabulary, **more: Any) -> Trace:
    def series(name: str) -> Tensor:
        return torch.stack([frame[name][row] for frame in frames])

    def previous(name: str) -> Tensor:
        """Values of the step that led to each iterate, 0 for the first."""
        return torch.stack([torch.zeros(()), *(frame[name][row] for frame in frames[:-1])])

    by_nodes, by_pairs = series("by_nodes"), series("by_pairs")
    off_diagonal = 1 - torch.eye(by_nodes.shape[1])[..., None]
    return Trace(
        target=target,
        iterates=unfold(series("nodes"), series("pairs"), vocabulary),
        relaxed=series("loss"),
        rounded=series("rounded"),
        gradient_norm=_length(by_nodes, by_pairs),
        step_size=previous("moved"),
        projection=previous("projected"),
        node_gradient=by_nodes,
        edge_gradient=unfold(by_nodes, by_pairs, vocabulary).edges * off_diagonal,
        **more,
    )
