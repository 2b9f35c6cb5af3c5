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

from elekit.decoding.candidates import Candidates, check_target, nearest
from elekit.graphs import _schema
from elekit.graphs.budget import Clock
from elekit.graphs.packed import PackedGraphs, cumulative, ranges
from elekit.graphs.weisfeiler_lehman import splitmix64
from elekit.model.loss import paired_distance, points_of

SAME_LOSS = 1e-9  # graphs of one target closer than this are one graph in another node order
MAX_PARTS = 4_000  # of a generation: bounds memory
FEWER = 3  # times as few parents in each earlier generation
SKETCH = 64  # directions in which the distance of a pair from the target is estimated


@dataclass(frozen=True)
class RecombinationConfig:
    """Settings of `recombine`.

    Args:
        parents: Nearest candidates of each target that are cut into parts.
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
class Parts:
    """The two sides of every bridge of some graphs.

    graph: (F,) number of the graph. nodes: (n,) the nodes of all parts, one part after the other, numbered in the
    batch. offsets: (F + 1,) of `nodes`. end: (F,) the node at the bridge. kind: (F,) the edge label of the bridge.
    """

    graph: Tensor
    nodes: Tensor
    offsets: Tensor
    end: Tensor
    kind: Tensor

    def __len__(self) -> int:
        return len(self.graph)

    @property
    def sizes(self) -> Tensor:
        return self.offsets.diff()

    def __getitem__(self, rows: Tensor) -> "Parts":
        sizes = self.sizes[rows]
        nodes = self.nodes[ranges(self.offsets[rows], sizes)]
        return Parts(self.graph[rows], nodes, cumulative(sizes), self.end[rows], self.kind[rows])

    def after(self, other: "Parts", graphs: PackedGraphs) -> "Parts":
        """The parts of `graphs`, and behind them these, of graphs that come after those."""
        moved = len(graphs), len(graphs.node_labels)
        return Parts(
            torch.cat([other.graph, self.graph + moved[0]]),
            torch.cat([other.nodes, self.nodes + moved[1]]),
            torch.cat([other.offsets, self.offsets[1:] + other.offsets[-1]]),
            torch.cat([other.end, self.end + moved[1]]),
            torch.cat([other.kind, self.kind]),
        )


def parts_of(graphs: PackedGraphs) -> Parts:
    """The two sides of every bridge; those of one bridge are next to each other."""
    S, device = len(graphs.node_labels), graphs.offsets.device
    (i, j), edge = graphs.pairs, torch.arange(len(graphs.edge_labels), device=device)
    source, target, edge = torch.cat([i, j]), torch.cat([j, i]), edge.repeat(2)
    # a breadth-first tree of each component, all at once, level by level
    parent, via = torch.full((S,), -1, device=device), torch.full((S,), -1, device=device)
    (seen, reached), levels = torch.zeros(2, S, dtype=torch.bool, device=device).unbind(), list[Tensor]()
    while not seen.all():
        unseen = torch.where(seen, S, torch.arange(S, device=device))
        first = torch.full((len(graphs),), S, device=device).scatter_reduce_(0, graphs.rows, unseen, "amin")
        front = first[first < S]
        while len(front):
            levels.append(front)
            seen[front] = reached[front] = True
            out = (reached[source] & ~seen[target]).nonzero()[:, 0]
            reached[front] = False
            via[target[out]] = edge[out]
            front = torch.unique(target[out])
            parent[front] = graphs.pairs[:, via[front]].sum(0) - front
    # each other edge adds a number at one end and subtracts it at the other: sums below an edge vanish at bridges
    size = torch.ones(S, dtype=torch.long, device=device)
    others = torch.ones(len(i), dtype=torch.bool, device=device)
    others[via[via >= 0]] = False
    others = others.nonzero()[:, 0]
    marks, crossing = splitmix64(others), torch.zeros_like(size)
    crossing.index_add_(0, i[others], marks).index_add_(0, j[others], -marks)
    for level in reversed(levels):
        below = level[parent[level] >= 0]
        size.index_add_(0, parent[below], size[below])
        crossing.index_add_(0, parent[below], crossing[below])
    # positions at which the nodes below each node follow it
    start, root = torch.zeros_like(size), torch.arange(S, device=device)
    roots = (parent < 0).nonzero()[:, 0]
    start[roots] = cumulative(size[roots])[:-1]
    for level in levels:
        below = level[parent[level] >= 0]
        below = below[parent[below].argsort(stable=True)]
        before = cumulative(size[below])[:-1]
        before -= before[torch.searchsorted(parent[below], parent[below])]
        start[below] = start[parent[below]] + 1 + before
        root[below] = root[parent[below]]
    order = start.argsort()
    cut = ((parent >= 0) & (crossing == 0)).nonzero()[:, 0]
    begin, end, top = start[cut], start[cut] + size[cut], root[cut]
    runs = torch.stack([begin, start[top], end], 1).flatten()  # the nodes below, and those before and after them
    lengths = torch.stack([size[cut], begin - start[top], start[top] + size[top] - end], 1)
    sizes = torch.stack([lengths[:, 0], lengths[:, 1:].sum(1)], 1).flatten()
    ends = torch.stack([cut, parent[cut]], 1).flatten()
    kinds = graphs.edge_labels[via[cut]].long().repeat_interleave(2)
    return Parts(graphs.rows[ends], order[ranges(runs, lengths.flatten())], cumulative(sizes), ends, kinds)


def join(graphs: PackedGraphs, parts: Parts, left: Tensor, right: Tensor) -> PackedGraphs:
    """Join pairs of parts (C,) at their ends, by an edge with the label of the left one."""
    C, device = len(left), left.device
    both = torch.stack([left, right], 1).flatten()  # sides 2c and 2c + 1 make child c
    counts = parts.sizes[both]
    side = torch.arange(2 * C, device=device).repeat_interleave(counts)
    offsets = cumulative(counts)
    old = parts.nodes[ranges(parts.offsets[both], counts)]
    graph = parts.graph[both]
    new = torch.full((2 * C, int(graphs.sizes.max())), -1, device=device)  # of the nodes of the graph of a side
    place = old - graphs.offsets[graph][side]
    new[side, place] = torch.arange(len(side), device=device)

    edges = graphs.pair_offsets.diff()[graph]  # edges of the whole graphs, kept if both ends are in the part
    of = torch.arange(2 * C, device=device).repeat_interleave(edges)
    number = ranges(graphs.pair_offsets[graph], edges)
    ends = new[of, graphs.pairs[:, number] - graphs.offsets[graph][of]]
    kept = (ends >= 0).all(0)
    bridge = new[torch.arange(2 * C, device=device), parts.end[both] - graphs.offsets[graph]].reshape(C, 2).T
    pairs = torch.cat([ends[:, kept], bridge], 1)
    kinds = torch.cat([graphs.edge_labels[number[kept]].long(), parts.kind[left]])
    return PackedGraphs.sorted(offsets[::2], graphs.node_labels[old], pairs, kinds, graphs.vocabulary)


def recombine(
    psi: Any, target: Tensor, candidates: Candidates, k: int = 1, *,
    config: RecombinationConfig = RecombinationConfig(), budget: float | Clock | None = None,
) -> tuple[PackedGraphs, Tensor]:  # fmt: skip
    """The k best graphs of each target among the nearest candidates and what their parts make.

    Children have at most `max_nodes` nodes and do not exceed capacities.

    Args:
        psi: Embedding with `contributions` and `offset`, as `GraphEmbedding`.
        target: (B, D) unit vectors.
        candidates: Graphs to choose from.
        k: Number of graphs per target.
        config: Settings.
        budget: Seconds for the whole call, see `elekit.graphs.budget`.

    Returns:
        B * k graphs, those of one target next to each other, best first, and their learned losses (B, k). The best
        graph is repeated where there are fewer.

    Raises:
        ValueError: If there are no candidates, or if a target is not finite.
    """
    check_target(target)
    clock, pool = Clock.of(budget), PackedGraphs.of(candidates.graphs)
    _, index = nearest(target.detach(), candidates.points, max(config.parents, k))
    found, losses = [], []
    with torch.no_grad():
        for own, rows in zip(target.detach(), index):
            graphs, loss = _of_target(psi, own, pool[rows], candidates.points[rows], config, clock)
            order = loss.argsort()[torch.arange(k).clamp_max(len(loss) - 1)]
            found.append(graphs[order])
            losses.append(loss[order])
    return PackedGraphs.cat(found), torch.stack(losses).to(target.dtype)


def _of_target(
    psi: Any, target: Tensor, graphs: PackedGraphs, points: Tensor, config: RecombinationConfig, clock: Clock
) -> tuple[PackedGraphs, Tensor]:
    """Parents and children of all generations with their losses; `graphs` are sorted by distance."""
    losses, found = paired_distance(points, target), [graphs]
    basis = torch.cat([target[:, None], sketch(len(target)).to(target)], 1)
    pool, (parts, sums) = graphs[:0], _split(psi, basis, graphs[:0])
    cuts = [0, *(config.parents // FEWER**left for left in reversed(range(config.generations)))]
    children = graphs[:0]
    for start, stop in itertools.pairwise(cuts):
        if losses.min() <= config.tolerance or clock.over:
            break
        new, paired = PackedGraphs.cat([graphs[start:stop], children]), len(parts)
        more, more_sums = _split(psi, basis, new)
        parts, sums = more.after(parts, pool), torch.cat([sums, more_sums])
        pool = PackedGraphs.cat([pool, new])
        children = join(pool, parts, *_best_pairs(sums, parts, paired, config.children, graphs.vocabulary.max_nodes))
        children = children[children.valence_violation() == 0]
        loss, order = paired_distance(points_of(psi, children), target).sort()
        fresh = (loss[:, None] - losses).abs().amin(1) > SAME_LOSS
        fresh[1:] &= loss.diff() > SAME_LOSS
        losses, children = torch.cat([losses, loss[fresh]]), children[order[fresh]]
        found.append(children)
        children = children[: config.kept]
    return PackedGraphs.cat(found), losses


def sketch(D: int) -> Tensor:
    """(D, SKETCH) random directions: the squared length of a vector is about that of its product with them."""
    directions: Tensor = torch.randn(D, SKETCH, generator=torch.Generator().manual_seed(0)) / SKETCH**0.5
    return directions


def _split(psi: Any, basis: Tensor, graphs: PackedGraphs) -> tuple[Parts, Tensor]:
    """Parts, and (F, 1 + SKETCH) their sums of contributions: along the target, and the rest of them, sketched."""
    parts = parts_of(graphs)
    values = psi.contributions(graphs, basis)[parts.nodes]
    owner = torch.arange(len(parts)).repeat_interleave(parts.sizes)
    sums = (psi.offset @ basis / 2).repeat(len(parts), 1).index_add_(0, owner, values)
    sums[:, 1:] -= sums[:, :1] * (basis[:, 0] @ basis[:, 1:])
    if len(parts) > MAX_PARTS:  # keep those that point to the target
        kept = (sums[:, 0] / sums[:, 1:].norm(dim=1)).topk(MAX_PARTS).indices
        sums, parts = sums[kept], parts[kept]
    return parts, sums


def _best_pairs(sums: Tensor, parts: Parts, first: int, count: int, max_nodes: int) -> tuple[Tensor, Tensor]:
    """Up to `count` pairs of parts, one from `first` on, whose contributions add up to a point near the target."""
    along, rest = sums[:, 0], sums[:, 1:]
    length = rest.square().sum(1)
    apart = torch.addmm(length[first:, None] + length, rest[first:], rest.T, alpha=2).clamp_min_(1e-12)
    cosine = along[first:, None] + along
    cosine /= apart.addcmul_(cosine, cosine).sqrt_()
    cosine[parts.kind[first:, None] != parts.kind] = -2
    cosine[parts.sizes[first:, None] + parts.sizes > max_nodes] = -2
    best = cosine.flatten().topk(min(2 * count, cosine.numel())).indices
    best = best[cosine.flatten()[best] > -2]
    left, right = best // len(parts) + first, best % len(parts)
    once = (left > right) | (right < first)
    return left[once][:count], right[once][:count]
