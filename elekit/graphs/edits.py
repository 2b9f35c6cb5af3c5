"""Single edits of discrete graphs as data: list all of them, apply them, estimate and describe them.

An edit changes at most two node labels and four pairs, so a batch of edits is a few small integer tensors.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.packed import PackedGraphs, cumulative, ranges, sorted_pairs

SINGLE = ("relabel", "remove node", "add node", "change edge")
PAIRED = ("swap labels", "move edge", "shift order")
KINDS = SINGLE + PAIRED
COMPOSED = ("insert node", "contract node", "swap branches", "split node", "merge nodes")  # of local search
ALL_KINDS = KINDS + COMPOSED
PAIRS = 4  # that one edit changes at most


@dataclass(frozen=True, eq=False)
class Edits:
    """E edits of the graphs of a batch; unused entries are -1.

    Args:
        row: (E,) graph number in the batch.
        kind: (E,) index into `ALL_KINDS`.
        node: (E, 2) nodes that change.
        label: (E, 2) new channels of these nodes.
        pair: (E, 4, 2) pairs (i, j) that change.
        edge: (E, 4) new channels of these pairs, from i to j.
    """

    row: Tensor
    kind: Tensor
    node: Tensor
    label: Tensor
    pair: Tensor
    edge: Tensor

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, index: Any) -> "Edits":
        return Edits(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @classmethod
    def cat(cls, parts: Sequence["Edits"]) -> "Edits":
        return cls(*(torch.cat([getattr(e, name) for e in parts]) for name in cls.__dataclass_fields__))

    def node_changes(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Edits, nodes and new channels, one change of each edit at a time."""
        for slot in range(self.node.shape[1]):
            at = (self.node[:, slot] >= 0).nonzero()[:, 0]
            yield at, self.node[at, slot], self.label[at, slot]

    def pair_changes(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Edits, both ends and new channels, one change of each edit at a time."""
        for slot in range(self.edge.shape[1]):
            at = (self.edge[:, slot] >= 0).nonzero()[:, 0]
            i, j = self.pair[at, slot].unbind(-1)
            yield at, i, j, self.edge[at, slot]

    def apply(self, nodes: Tensor, edges: Tensor, vocabulary: GraphVocabulary) -> tuple[Tensor, Tensor]:
        """Apply each edit to its graph: channels (B, N) and (B, N, N) of the batch to (E, N) and (E, N, N)."""
        nodes, edges = nodes[self.row].clone(), edges[self.row].clone()
        for at, i, label in self.node_changes():
            nodes[at, i] = label.to(nodes.dtype)
        for at, i, j, label in self.pair_changes():
            edges[at, i, j] = label.to(edges.dtype)
            edges[at, j, i] = vocabulary.turn(label).to(edges.dtype)
        present = nodes > 0
        return nodes, edges * (present[:, :, None] & present[:, None, :])

    def results(self, graph: Graph) -> PackedGraphs:
        """Apply each edit to its graph of a rounded batch: E graphs as lists of nodes and edges."""
        (nodes, edges), names = graph.labels(), graph.vocabulary
        E, N = len(self), nodes.shape[1]
        b, i, j = edges.triu(1).nonzero().T
        counts = torch.bincount(b, minlength=len(nodes))
        first = torch.arange(E) * N  # slot of each result
        own = ranges(cumulative(counts)[self.row], counts[self.row])
        before = first.repeat_interleave(counts[self.row])
        labels = nodes[self.row].clone()
        for at, k, label in self.node_changes():
            labels[at, k] = label
        pairs, kinds = [torch.stack([before + i[own], before + j[own]])], [edges[b, i, j][own]]
        for at, k, m, label in self.pair_changes():
            pairs.append(torch.stack([first[at] + k, first[at] + m]))
            kinds.append(label)
        listed, present = torch.cat(pairs, 1), labels.flatten() > 0
        joined, kind = sorted_pairs(listed, torch.where(present[listed].all(0), torch.cat(kinds), 0), E * N, names)
        number = cumulative(present.long())
        channels = labels.flatten()[present].to(torch.int16)
        offsets = number[torch.arange(E + 1) * N]
        return PackedGraphs(offsets, channels, number[joined], kind.to(torch.int16), names)

    def first_order(self, nodes: Tensor, edges: Tensor, node_gradient: Tensor, pair_gradient: Tensor) -> Tensor:
        """(E,) estimated changes of a loss: its gradient at the new channels minus that at the old ones.

        If edges at absent nodes have no weight, as in psi, the gradient at "absent" includes the edges of the node,
        so removal counts them once; the gradient at edges to a free slot is zero, so only the label of an added node
        counts (unless the slot is partly present, as in local search).

        nodes, edges: channels (B, N), (B, N, N). node_gradient: (B, N, K). pair_gradient: (B, N, N, R), by unordered
        pairs.
        """
        change = node_gradient.new_zeros(len(self))
        for at, i, label in self.node_changes():
            row = self.row[at]
            change[at] += _difference(node_gradient[row, i], label, nodes[row, i])
        for at, i, j, label in self.pair_changes():
            row = self.row[at]
            change[at] += _difference(pair_gradient[row, i, j], label, edges[row, i, j])
        return change

    def valence_violation(self, nodes: Tensor, edges: Tensor, vocabulary: GraphVocabulary) -> Tensor:
        """(E,) `Graph.valence_violation` after each edit, without building the graphs."""
        if vocabulary.capacity is None:
            return torch.zeros(len(self))
        order, capacity = vocabulary.edge_orders, vocabulary.node_capacities
        weight = order[edges.long()]  # (B, N, N)
        load, limit = weight.sum(-1)[self.row], capacity[nodes.long()][self.row]  # (E, N)
        for at, i, label in self.node_changes():
            limit[at, i] = capacity[label]
        for at, i, j, label in self.pair_changes():
            more = order[label] - weight[self.row[at], i, j]
            load[at, i] += more
            load[at, j] += more
        at = (self.kind == ALL_KINDS.index("remove node")).nonzero()[:, 0]
        removed = self.node[at, 0]
        load[at] -= weight[self.row[at], removed]
        load[at, removed] = 0
        return (load - limit).clamp_min(0).sum(-1)

    def describe(self, nodes: Tensor, edges: Tensor, vocabulary: GraphVocabulary) -> list[str]:
        """Describe each edit, such as "node 3: C to N" or "edge 1-2: single to double"."""
        node_names, descriptions = ("nothing", *vocabulary.node_labels), []
        for e in range(len(self)):
            row, parts = self.row[e], []
            for i, k in zip(self.node[e].tolist(), self.label[e].tolist()):
                if i >= 0:
                    parts.append(f"node {i}: {node_names[nodes[row, i]]} to {node_names[k]}")
            for (i, j), r in zip(self.pair[e].tolist(), self.edge[e].tolist()):
                if r >= 0:
                    parts.append(f"edge {i}-{j}: {vocabulary.change(int(edges[row, i, j]), r)}")
            descriptions.append("; ".join(parts))
        return descriptions


def _difference(gradient: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return gradient.gather(1, new[:, None].long())[:, 0] - gradient.gather(1, old[:, None].long())[:, 0]


def all_edits(graph: Graph, kinds: tuple[str, ...] = KINDS) -> Edits:
    """List every edit of each of B rounded graphs, one kind after another, ignoring capacities.

    "relabel": a node gets another label.
    "remove node": with its edges; the last node of a graph is never removed.
    "add node": in the first free slot, with one edge to a present node (none if the graph is empty).
    "change edge": a pair of nodes gets another edge label, or loses its edge.
    "swap labels": two nodes exchange their labels.
    "move edge": one end of an edge moves to a node that is not a neighbor of the other end.
    "shift order": of two edges at one node, one goes up one label and the other down one.
    "insert node": a node is inserted into an edge; one half keeps the label, the other has it or the first label.
    "contract node": a node of two edges is removed and its neighbors are joined, with the label of one of the edges.
    "swap branches": of two edges (a, b) and (c, d), the ends b and d change places, with or without their labels.
    "split node": a new node with the same label takes one of the edges of a node.
    "merge nodes": a node with one or two edges is removed, and another with the same label takes them.
    """
    check_kinds(kinds)
    nodes, edges = (t.long() for t in graph.labels())
    K, R = graph.vocabulary.K, graph.vocabulary.R
    B, N = nodes.shape
    present, upper = nodes > 0, torch.ones(N, N, dtype=torch.bool).triu(1)
    both = present[:, :, None] & present[:, None, :]
    linked = edges > 0
    distinct = ~torch.eye(N, dtype=torch.bool)
    found = []

    def add(kind: str, row: Tensor, node_changes: Sequence[Any] = (), pair_changes: Sequence[Any] = ()) -> None:
        shapes = (2,), (2,), (PAIRS, 2), (PAIRS,)
        node, label, pair, edge = (torch.full((len(row), *shape), -1) for shape in shapes)
        for slot, (i, k) in enumerate(node_changes):
            node[:, slot], label[:, slot] = i, k
        for slot, (i, j, r) in enumerate(pair_changes):
            pair[:, slot, 0], pair[:, slot, 1], edge[:, slot] = i, j, r
        found.append(Edits(row, torch.full_like(row, ALL_KINDS.index(kind)), node, label, pair, edge))

    if "relabel" in kinds:
        label = torch.arange(K)
        b, i, k = (present[..., None] & (label > 0) & (label != nodes[..., None])).nonzero().T
        add("relabel", b, [(i, k)])
    if "remove node" in kinds:
        b, i = (present & (present.sum(1, keepdim=True) > 1)).nonzero().T
        add("remove node", b, [(i, 0)])
    free = (~present).float().argmax(1)
    if "add node" in kinds:
        usable = present & (~present).any(1, keepdim=True)
        b, j, k, r = (usable[:, :, None, None].expand(B, N, K - 1, R - 1)).nonzero().T
        add("add node", b, [(free[b], k + 1)], [(free[b], j, r + 1)])
        b, k = (~present).all(1, keepdim=True).expand(B, K - 1).nonzero().T
        add("add node", b, [(free[b], k + 1)])
    if "change edge" in kinds:
        label = torch.arange(R)
        b, i, j, r = ((both & upper)[..., None] & (label != edges[..., None])).nonzero().T
        add("change edge", b, (), [(i, j, r)])
    if "swap labels" in kinds:
        b, i, j = (both & upper & (nodes[:, :, None] != nodes[:, None, :])).nonzero().T
        add("swap labels", b, [(i, nodes[b, j]), (j, nodes[b, i])])
    if "move edge" in kinds:
        # node i keeps its end, the other end moves from j to k
        movable = linked[:, :, :, None] & (both & ~linked & distinct)[:, :, None, :]
        b, i, j, k = movable.nonzero().T
        add("move edge", b, (), [(i, j, torch.zeros_like(i)), (i, k, edges[b, i, j])])
    if "shift order" in kinds:
        # at node i: the edge to j goes up one label (or appears), that to k goes down one (or vanishes)
        raisable = both & distinct & (edges < R - 1)
        shiftable = raisable[:, :, :, None] & linked[:, :, None, :] & distinct[None, None]
        shiftable &= linked[:, :, :, None] | (edges[:, :, None, :] > 1)  # otherwise it is "move edge"
        b, i, j, k = shiftable.nonzero().T
        add("shift order", b, (), [(i, j, edges[b, i, j] + 1), (i, k, edges[b, i, k] - 1)])
    if "insert node" in kinds:
        open_ = (linked & upper & (~present).any(1)[:, None, None])[..., None].expand(B, N, N, K - 1)
        b, i, j, k = open_.nonzero().T
        label, new = edges[b, i, j], free[b]
        for first, second in ((label, label), (label, torch.ones_like(label)), (torch.ones_like(label), label)):
            at = ((label > 1) | (first is second)).nonzero()[:, 0]
            ends = (i, j, torch.zeros_like(label)), (i, new, first), (new, j, second)
            add("insert node", b[at], [(new[at], k[at] + 1)], [tuple(part[at] for part in one) for one in ends])
    if "contract node" in kinds and N > 2:
        b, x = (present & (linked.sum(-1) == 2)).nonzero().T
        i, j = linked[b, x].float().topk(2).indices.T
        apart = edges[b, i, j] == 0
        first, second = edges[b, i, x], edges[b, x, j]
        for label, where in ((first, apart), (second, apart & (first != second))):
            at = where.nonzero()[:, 0]
            one, other, middle, zero = i[at], j[at], x[at], torch.zeros_like(at)
            changes = [(middle, one, zero), (middle, other, zero), (one, other, label[at])]
            add("contract node", b[at], [(middle, zero)], changes)
    if "swap branches" in kinds:
        b, i, j = (linked & upper).nonzero().T
        first, second = _pairs_of_equal(b)
        for turned, moved in itertools.product((False, True), repeat=2):
            row, (a, x), (c, y) = b[first], (i[first], j[first]), (i[second], j[second])
            c, y = (y, c) if turned else (c, y)
            one, other = edges[row, a, x], edges[row, c, y]
            new = (edges[row, a, y] == 0) & (edges[row, c, x] == 0) & (a != c) & (x != y) & (a != y) & (c != x)
            if moved:  # the labels stay where they are
                one, other, new = other, one, new & (one != other)
            row, a, x, c, y, one, other = (part[new] for part in (row, a, x, c, y, one, other))
            zero = torch.zeros_like(row)
            add("swap branches", row, (), [(a, x, zero), (c, y, zero), (a, y, other), (c, x, one)])
    if "split node" in kinds:
        b, i, j = (linked & (linked.sum(-1) > 1)[:, :, None] & (~present).any(1)[:, None, None]).nonzero().T
        changes = [(i, j, torch.zeros_like(i)), (free[b], j, edges[b, i, j])]
        add("split node", b, [(free[b], nodes[b, i])], changes)
    if "merge nodes" in kinds:
        common = (linked.float() @ linked.float()) > 0  # the edges of the two would fall together
        alike = both & distinct & (nodes[:, :, None] == nodes[:, None, :]) & ~linked & ~common
        for degree in (1, 2):
            b, i, j = (alike & (linked.sum(-1) == degree)[:, :, None]).nonzero().T
            taken = linked[b, i].float().topk(min(degree, N)).indices.T
            gone = [(i, end, torch.zeros_like(i)) for end in taken]
            add("merge nodes", b, [(i, 0)], [*gone, *((j, end, edges[b, i, end]) for end in taken)])
    return Edits.cat(found)


def _pairs_of_equal(group: Tensor) -> tuple[Tensor, Tensor]:
    """All pairs of positions with the same value of an ascending tensor."""
    position = torch.arange(len(group))
    after = torch.searchsorted(group, group, right=True) - 1 - position
    return position.repeat_interleave(after), ranges(position + 1, after)


def check_kinds(kinds: tuple[str, ...]) -> None:
    unknown = [kind for kind in kinds if kind not in ALL_KINDS]
    if unknown or not kinds:
        raise ValueError(f"unknown kinds of edits {unknown or list(kinds)}; the kinds are {', '.join(ALL_KINDS)}")
