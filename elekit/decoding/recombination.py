"""Recombination: new graphs from two parts of known ones, each cut off at a bridge.

psi adds up what the nodes of a graph contribute, so two joined parts lie near the normalized sum of both. One matrix
product ranks all pairs of parts; only the best are built and embedded. Genetic algorithms on molecules cut and join
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
from elekit.model.loss import paired_distance, points_of

SAME_LOSS = 1e-9  # graphs of one target closer than this are one graph in another node order
MAX_PARTS = 4_000  # that are paired at a time: bounds memory


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


def parts_of(graphs: PackedGraphs) -> Parts:
    """The two sides of every bridge, by one depth-first search of each graph (Tarjan, 1974)."""
    neighbors: list[list[tuple[int, int]]] = [[] for _ in range(len(graphs.node_labels))]
    for i, j, kind in zip(*graphs.pairs.tolist(), graphs.edge_labels.tolist()):
        neighbors[i].append((j, kind))
        neighbors[j].append((i, kind))
    found: list[tuple[int, int, int]] = []  # graph, end, kind
    nodes: list[list[int]] = []
    ends = graphs.offsets.tolist()
    for graph, (first, stop) in enumerate(itertools.pairwise(ends)):
        for below, above, kind, side, rest in _bridges(neighbors, first, stop):
            found += [(graph, below, kind), (graph, above, kind)]
            nodes += [side, rest]
    graph_, end, kind_ = torch.tensor(found, dtype=torch.long).reshape(-1, 3).T
    sizes = torch.tensor([len(side) for side in nodes], dtype=torch.long)
    flat = torch.tensor([node for side in nodes for node in side], dtype=torch.long)
    return Parts(graph_, flat, cumulative(sizes), end, kind_)


def _bridges(
    neighbors: list[list[tuple[int, int]]], first: int, stop: int
) -> list[tuple[int, int, int, list[int], list[int]]]:
    """Of each bridge: its end below and above in the search tree, its label, and the nodes on both sides."""
    found = []
    number: dict[int, int] = {}  # of each node, in the order in which those of its component are found
    for root in range(first, stop):
        if root in number:
            continue
        order, low, last = [root], {}, {}
        number[root] = low[root] = 0
        stack = [(root, -1, 0, iter(neighbors[root]))]
        bridges = []
        while stack:
            node, parent, kind, rest = stack[-1]
            for other, label in rest:
                if other == parent:
                    continue
                if other in number:
                    low[node] = min(low[node], number[other])
                    continue
                number[other] = low[other] = len(order)
                order.append(other)
                stack.append((other, node, label, iter(neighbors[other])))
                break
            else:
                stack.pop()
                last[node] = len(order)  # below a node are those found between it and this
                if parent >= 0:
                    low[parent] = min(low[parent], low[node])
                    if low[node] == number[node]:
                        bridges.append((node, parent, kind))
        for node, parent, kind in bridges:
            start, end = number[node], last[node]
            found.append((node, parent, kind, order[start:end], order[:start] + order[end:]))
    return found


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
    """Parents and children of all generations with their losses."""
    losses, parents = paired_distance(points, target), graphs
    for _ in range(config.generations):
        if losses.min() <= config.tolerance or clock.over:
            break
        children = _children(psi, target, parents, config.children)
        if not len(children):
            break
        loss, order = paired_distance(points_of(psi, children), target).sort()
        new = (loss[:, None] - losses).abs().amin(1) > SAME_LOSS
        new[1:] &= loss.diff() > SAME_LOSS
        if not new.any():
            break
        children, losses = children[order[new]], torch.cat([losses, loss[new]])
        graphs, parents = PackedGraphs.cat([graphs, children]), PackedGraphs.cat([parents, children[: config.kept]])
    return graphs, losses


def _children(psi: Any, target: Tensor, graphs: PackedGraphs, count: int) -> PackedGraphs:
    """Up to `count` pairs of parts whose contributions add up to a point near the target."""
    parts = parts_of(graphs)
    values = psi.contributions(graphs)[parts.nodes]
    owner = torch.arange(len(parts)).repeat_interleave(parts.sizes)
    sums = values.new_zeros(len(parts), values.shape[1]).index_add(0, owner, values) + psi.offset / 2
    if len(parts) > MAX_PARTS:  # keep those that point to the target
        kept = (sums @ target).topk(MAX_PARTS).indices
        sums, parts = sums[kept], parts[kept]
    gram, along = sums @ sums.T, sums @ target
    length = gram.diagonal()
    cosine = (along[:, None] + along) / (length[:, None] + length + 2 * gram).clamp_min(1e-12).sqrt()
    fits = parts.kind[:, None] == parts.kind
    fits &= parts.sizes[:, None] + parts.sizes <= graphs.vocabulary.max_nodes
    left, right = torch.triu_indices(len(parts), len(parts), 1)
    cosine = cosine.masked_fill(~fits, -2)[left, right]
    best = cosine.topk(min(count, len(cosine))).indices
    best = best[cosine[best] > -2]
    children = join(graphs, parts, left[best], right[best])
    return children[children.valence_violation() == 0]
