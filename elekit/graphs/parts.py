"""Parts of graphs: the two sides of a bridge, joined again with other sides, and pieces without bridges."""

from dataclasses import dataclass

import torch
from torch import Tensor

from elekit.graphs.features import components
from elekit.graphs.packed import PackedGraphs, cumulative, ranges
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes, splitmix64


@dataclass(frozen=True, eq=False)
class Parts:
    """The two sides of every bridge of some graphs.

    graph: (F,) number of the graph. nodes: (n,) the nodes of all parts, one part after the other, numbered in the
    batch. offsets: (F + 1,) of `nodes`. end: (F,) the node at the bridge. kind: (F,) the edge channel from that node.
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
    kinds = torch.where(graphs.pairs[0, via[cut]].repeat_interleave(2) == ends, kinds, graphs.vocabulary.turn(kinds))
    return Parts(graphs.rows[ends], order[ranges(runs, lengths.flatten())], cumulative(sizes), ends, kinds)


def join(graphs: PackedGraphs, parts: Parts, left: Tensor, right: Tensor) -> PackedGraphs:
    """Join pairs of parts (C,) at their ends, by the bridge of the left one."""
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


def pieces_of(graphs: PackedGraphs, most: int) -> PackedGraphs:
    """The most frequent pieces that bridges leave, each with the neighbors across its bridges.

    Args:
        graphs: Discrete graphs.
        most: Number of pieces that are returned at most.

    Returns:
        Distinct graphs, the most frequent first.
    """
    (i, j), S = graphs.pairs, len(graphs.node_labels)
    low, high = parts_of(graphs).end.reshape(-1, 2).sort(1)[0].T
    bridge = torch.isin(i * S + j, low * S + high)
    inner = PackedGraphs(
        graphs.offsets, graphs.node_labels, graphs.pairs[:, ~bridge], graphs.edge_labels[~bridge], graphs.vocabulary
    )
    firsts, piece = torch.unique(components(inner), return_inverse=True)
    kinds = graphs.edge_labels[bridge]
    near, far = torch.cat([i[bridge], j[bridge]]), torch.cat([j[bridge], i[bridge]])
    owner = torch.cat([piece, piece[near]])  # nodes of pieces, and behind them those across the bridges
    order = owner.argsort(stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    across = torch.stack([place[near], place[S:]])
    found = PackedGraphs.sorted(
        cumulative(torch.bincount(owner, minlength=len(firsts))),
        torch.cat([graphs.node_labels, graphs.node_labels[far]])[order],
        torch.cat([place[inner.pairs], across], 1),
        torch.cat([inner.edge_labels, kinds, graphs.vocabulary.turn(kinds)]).long(),
        graphs.vocabulary,
    )
    _, kind, counts = torch.unique(graph_hashes(found, ROUNDS)[:, -1], return_inverse=True, return_counts=True)
    first = torch.full_like(counts, len(found)).scatter_reduce_(0, kind, torch.arange(len(found)), "amin")
    frequent = counts.argsort(descending=True, stable=True)[:most]
    return found[first[frequent]]
