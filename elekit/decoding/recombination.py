"""Recombination: new graphs from two parts of known ones, each cut off at a bridge.

psi adds up what the nodes of a graph contribute, so two joined parts lie near the normalized sum of both. One matrix
product ranks all pairs of parts, in a random projection of what is not along the target; only the best are built and
embedded. Genetic algorithms on molecules cut and join
in the same way (Jensen, Chemical Science 10, 3567, 2019), but embed each child.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elekit.decoding.candidates import Candidates, check_target, constraints_of
from elekit.graphs import _schema
from elekit.graphs.budget import Clock
from elekit.graphs.constraints import Constraints
from elekit.graphs.graph import GraphVocabulary
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.parts import Parts, join, parts_of
from elekit.model.loss import paired_distance, points_of

SAME_LOSS = 1e-9  # graphs of one target closer than this are one graph in another node order
MAX_PARTS = 4_000  # of a generation: bounds memory
FEWER = 3  # times as few parents in each earlier generation
SKETCH = 64  # directions in which the distance of a pair from the target is estimated


@dataclass(frozen=True)
class RecombinationConfig:
    """Settings of `recombine`.

    Args:
        parents: Nearest candidates of each target that are cut into parts: all in the last generation, and in each
            one before it a third of the next. Without candidates: parts of pieces that growth begins with.
        children: Pairs of parts that are built and embedded in each generation.
        generations: Generations; the children of one are parents in the next. 0 turns recombination off.
        kept: Children of a generation that become parents.
        tolerance: A graph with at most this learned loss ends the search of its target.
    """

    parents: int = 60
    children: int = 64
    generations: int = 2
    kept: int = 20
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("parents", "children", "kept"):
            _schema.whole(1, 10**6)(getattr(self, name), name)
        _schema.whole(0, 10**6)(self.generations, "generations")


@dataclass(frozen=True, eq=False)
class Library:
    """Distinct parts of some graphs, and (F, D) the sums of what their nodes contribute."""

    graphs: PackedGraphs
    parts: Parts
    sums: Tensor


def recombine(
    psi: Any, target: Tensor, candidates: Candidates | None, k: int = 1, *,
    config: RecombinationConfig = RecombinationConfig(), constraints: Constraints | None = None,
    budget: float | Clock | None = None,
) -> tuple[PackedGraphs, Tensor]:  # fmt: skip
    """The k best graphs of each target among the nearest candidates and what their parts make.

    Children have at most `max_nodes` nodes and satisfy the constraints and the capacities.

    Args:
        psi: Embedding with `contributions` and `offset`, as `GraphEmbedding`.
        target: (B, D) unit vectors.
        candidates: Graphs to choose from; None = the pieces of `psi.prior`, of which graphs grow.
        k: Number of graphs per target.
        config: Settings.
        constraints: What children must satisfy; None = `psi.prior.constraints`.
        budget: Seconds for the whole call, see `elekit.graphs.budget`.

    Returns:
        B * k graphs, those of one target next to each other, best first, and their learned losses (B, k). The best
        graph is repeated where there are fewer.

    Raises:
        ValueError: If there are no candidates, or if a target is not finite.
    """
    check_target(target)
    library = None
    if candidates is None:
        candidates = Candidates.of(psi, psi.prior.pieces)
        library = _library(psi, psi.prior.pieces)
    clock, pool = Clock.of(budget), PackedGraphs.of(candidates.graphs)
    constraints = constraints_of(psi, constraints)
    _, index = candidates.nearest(target.detach(), max(config.parents, k))
    found, losses = [], []
    with torch.no_grad():
        for own, rows in zip(target.detach(), index):
            known = pool[rows], candidates.points[rows]
            graphs, loss = _of_target(psi, own, *known, config, constraints, clock, library)
            order = loss.argsort()[torch.arange(k).clamp_max(len(loss) - 1)]
            found.append(graphs[order])
            losses.append(loss[order])
    return PackedGraphs.cat(found), torch.stack(losses).to(target.dtype)


def _of_target(
    psi: Any, target: Tensor, graphs: PackedGraphs, points: Tensor, config: RecombinationConfig,
    constraints: Constraints, clock: Clock, library: Library | None,
) -> tuple[PackedGraphs, Tensor]:  # fmt: skip
    """Parents and children of all generations with their losses; `graphs` are sorted by distance."""
    losses, found = paired_distance(points, target), [graphs]
    basis = torch.cat([target[:, None], sketch(len(target)).to(target)], 1)
    if library is None:
        cuts = [0, *(config.parents // FEWER**left for left in reversed(range(config.generations)))]
        added = [graphs[start:stop] for start, stop in itertools.pairwise(cuts)]
        pool, (parts, sums), paired = graphs[:0], _split(psi, basis, graphs[:0]), 0
    else:
        added, pool = [graphs[:0]] * config.generations, library.graphs
        sums = _apart(library.sums @ basis, basis)
        order = _cosine(sums).argsort()
        parts, sums, paired = library.parts[order], sums[order], max(0, len(order) - config.parents)
    waiting, ahead = graphs[:0], losses[:0]  # children that are not cut yet
    for one in added:
        if losses.min() <= config.tolerance or clock.over:
            break
        if len(one) + len(waiting):
            new, paired = PackedGraphs.cat([one, waiting[: config.kept]]), len(parts)
            waiting, ahead = waiting[config.kept :], ahead[config.kept :]
            more, more_sums = _split(psi, basis, new)
            parts, sums = more.after(parts, pool), torch.cat([sums, more_sums])
            pool = PackedGraphs.cat([pool, new])
        children = join(pool, parts, *_best_pairs(sums, parts, paired, config.children, graphs.vocabulary))
        children = children[constraints.violation(children) == 0]
        if not len(children):
            continue
        loss, order = paired_distance(points_of(psi, children), target).sort()
        fresh = (loss[:, None] - losses).abs().amin(1) > SAME_LOSS
        fresh[1:] &= loss.diff() > SAME_LOSS
        losses, children = torch.cat([losses, loss[fresh]]), children[order[fresh]]
        found.append(children)
        ahead, order = torch.cat([ahead, loss[fresh]]).sort()
        waiting = PackedGraphs.cat([waiting, children])[order]
        if library is not None and not len(waiting):
            break
    return PackedGraphs.cat(found), losses


def sketch(D: int) -> Tensor:
    """(D, SKETCH) random directions: the squared length of a vector is about that of its product with them."""
    directions: Tensor = torch.randn(D, SKETCH, generator=torch.Generator().manual_seed(0)) / SKETCH**0.5
    return directions


def _library(psi: Any, graphs: PackedGraphs) -> Library:
    """The distinct parts of small graphs."""
    with torch.no_grad():
        parts, sums = _summed(psi, graphs, torch.eye(len(psi.offset)))
    shadow = (sums @ sketch(len(psi.offset))[:, 0] * 1e4).round()
    _, kind = torch.unique(torch.stack([shadow, parts.sizes, parts.kind]), dim=1, return_inverse=True)
    first = torch.full((int(kind.max()) + 1 if len(kind) else 0,), len(kind))
    first.scatter_reduce_(0, kind, torch.arange(len(kind)), "amin")
    return Library(graphs, parts[first], sums[first])


def _split(psi: Any, basis: Tensor, graphs: PackedGraphs) -> tuple[Parts, Tensor]:
    """Parts, and (F, 1 + SKETCH) their sums of contributions: along the target, and the rest of them, sketched."""
    parts, sums = _summed(psi, graphs, basis)
    sums = _apart(sums, basis)
    if len(parts) > MAX_PARTS:  # keep those that point to the target
        kept = _cosine(sums).topk(MAX_PARTS).indices
        sums, parts = sums[kept], parts[kept]
    return parts, sums


def _summed(psi: Any, graphs: PackedGraphs, basis: Tensor) -> tuple[Parts, Tensor]:
    """Parts, and (F, m) the sums of what their nodes contribute along a basis (D, m)."""
    parts = parts_of(graphs)
    values = psi.contributions(graphs, basis)[parts.nodes]
    owner = torch.arange(len(parts)).repeat_interleave(parts.sizes)
    return parts, (psi.offset @ basis / 2).repeat(len(parts), 1).index_add_(0, owner, values)


def _apart(sums: Tensor, basis: Tensor) -> Tensor:
    """Sums whose sketch no longer holds what is along the target."""
    return torch.cat([sums[:, :1], sums[:, 1:] - sums[:, :1] * (basis[:, 0] @ basis[:, 1:])], 1)


def _cosine(sums: Tensor) -> Tensor:
    return sums[:, 0] / sums[:, 0].hypot(sums[:, 1:].norm(dim=1)).clamp_min(1e-12)


def _best_pairs(sums: Tensor, parts: Parts, first: int, count: int, names: GraphVocabulary) -> tuple[Tensor, Tensor]:
    """Up to `count` pairs of parts, one from `first` on, whose contributions add up to a point near the target."""
    along, rest, turned = sums[:, 0], sums[:, 1:], names.turn(parts.kind)
    length = rest.square().sum(1)
    apart = torch.addmm(length[first:, None] + length, rest[first:], rest.T, alpha=2).clamp_min_(1e-12)
    cosine = along[first:, None] + along
    cosine /= apart.addcmul_(cosine, cosine).sqrt_()
    cosine[parts.kind[first:, None] != turned] = -2
    cosine[parts.sizes[first:, None] + parts.sizes > names.max_nodes] = -2
    best = cosine.flatten().topk(min(2 * count, cosine.numel())).indices
    best = best[cosine.flatten()[best] > -2]
    left, right = best // len(parts) + first, best % len(parts)
    once = (left > right) | (right < first)
    return left[once][:count], right[once][:count]
