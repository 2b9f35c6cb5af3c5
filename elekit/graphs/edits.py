"""Single edits of discrete graphs as data: list all of them, apply them, estimate and describe them.

An edit changes at most two node labels and two pairs, so a batch of edits is a few small integer tensors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphVocabulary

SINGLE = ("relabel", "remove node", "add node", "change edge")
PAIRED = ("swap labels", "move edge", "shift order")
KINDS = SINGLE + PAIRED


@dataclass(frozen=True, eq=False)
class Edits:
    """E edits of the graphs of a batch; unused entries are -1.

    Args:
        row: (E,) graph number in the batch.
        kind: (E,) index into `KINDS`.
        node: (E, 2) nodes that change.
        label: (E, 2) new channels of these nodes.
        pair: (E, 2, 2) pairs (i, j) that change.
        edge: (E, 2) new channels of these pairs.
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

    def apply(self, nodes: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Apply each edit to its graph: channels (B, N) and (B, N, N) of the batch to (E, N) and (E, N, N)."""
        nodes, edges = nodes[self.row].clone(), edges[self.row].clone()
        for slot in range(2):
            at = (self.node[:, slot] >= 0).nonzero()[:, 0]
            nodes[at, self.node[at, slot]] = self.label[at, slot].to(nodes.dtype)
            at = (self.edge[:, slot] >= 0).nonzero()[:, 0]
            i, j = self.pair[at, slot].unbind(-1)
            edges[at, i, j] = edges[at, j, i] = self.edge[at, slot].to(edges.dtype)
        present = nodes > 0
        return nodes, edges * (present[:, :, None] & present[:, None, :])

    def first_order(self, nodes: Tensor, edges: Tensor, node_gradient: Tensor, pair_gradient: Tensor) -> Tensor:
        """(E,) estimated changes of a loss: its gradient at the new channels minus that at the old ones.

        If edges at absent nodes have no weight, as in psi, the gradient at "absent" includes the edges of the node,
        so removal counts them once; the gradient at edges to a free slot is zero, so only the label of an added node
        counts (unless the slot is partly present, as in local search).

        nodes, edges: channels (B, N), (B, N, N). node_gradient: (B, N, K). pair_gradient: (B, N, N, R), by unordered
        pairs.
        """
        change = node_gradient.new_zeros(len(self))
        for slot in range(2):
            at = (self.node[:, slot] >= 0).nonzero()[:, 0]
            row, i = self.row[at], self.node[at, slot]
            gradient = node_gradient[row, i]
            change[at] += _difference(gradient, self.label[at, slot], nodes[row, i])
            at = (self.edge[:, slot] >= 0).nonzero()[:, 0]
            row, (i, j) = self.row[at], self.pair[at, slot].unbind(-1)
            gradient = pair_gradient[row, i, j]
            change[at] += _difference(gradient, self.edge[at, slot], edges[row, i, j])
        return change

    def valence_violation(self, nodes: Tensor, edges: Tensor, vocabulary: GraphVocabulary) -> Tensor:
        """(E,) `Graph.valence_violation` after each edit, without building the graphs."""
        if vocabulary.capacity is None:
            return torch.zeros(len(self))
        order, capacity = vocabulary.edge_orders, vocabulary.node_capacities
        weight = order[edges.long()]  # (B, N, N)
        load, limit = weight.sum(-1)[self.row], capacity[nodes.long()][self.row]  # (E, N)
        for slot in range(2):
            at = (self.node[:, slot] >= 0).nonzero()[:, 0]
            limit[at, self.node[at, slot]] = capacity[self.label[at, slot]]
            at = (self.edge[:, slot] >= 0).nonzero()[:, 0]
            i, j = self.pair[at, slot].unbind(-1)
            more = order[self.edge[at, slot]] - weight[self.row[at], i, j]
            load[at, i] += more
            load[at, j] += more
        at = (self.kind == KINDS.index("remove node")).nonzero()[:, 0]
        removed = self.node[at, 0]
        load[at] -= weight[self.row[at], removed]
        load[at, removed] = 0
        return (load - limit).clamp_min(0).sum(-1)

    def describe(self, nodes: Tensor, edges: Tensor, vocabulary: GraphVocabulary) -> list[str]:
        """Describe each edit, such as "node 3: C to N" or "edge 1-2: single to double"."""
        node_names, edge_names = ("nothing", *vocabulary.node_labels), ("no edge", *vocabulary.edge_labels)
        descriptions = []
        for e in range(len(self)):
            row, parts = self.row[e], []
            for i, k in zip(self.node[e].tolist(), self.label[e].tolist()):
                if i >= 0:
                    parts.append(f"node {i}: {node_names[nodes[row, i]]} to {node_names[k]}")
            for (i, j), r in zip(self.pair[e].tolist(), self.edge[e].tolist()):
                if r >= 0:
                    parts.append(f"edge {i}-{j}: {edge_names[edges[row, i, j]]} to {edge_names[r]}")
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
    """
    check_kinds(kinds)
    nodes, edges = (t.long() for t in graph.labels())
    K, R = graph.vocabulary.K, graph.vocabulary.R
    B, N = nodes.shape
    present, upper = nodes > 0, torch.ones(N, N, dtype=torch.bool).triu(1)
    both = present[:, :, None] & present[:, None, :]
    linked = edges > 0
    other = ~torch.eye(N, dtype=torch.bool)
    found = []

    def add(kind: str, row: Tensor, node_changes: Sequence[Any] = (), pair_changes: Sequence[Any] = ()) -> None:
        node, label, pair, edge = (torch.full((len(row), *shape), -1) for shape in ((2,), (2,), (2, 2), (2,)))
        for slot, (i, k) in enumerate(node_changes):
            node[:, slot], label[:, slot] = i, k
        for slot, (i, j, r) in enumerate(pair_changes):
            pair[:, slot, 0], pair[:, slot, 1], edge[:, slot] = i, j, r
        found.append(Edits(row, torch.full_like(row, KINDS.index(kind)), node, label, pair, edge))

    if "relabel" in kinds:
        label = torch.arange(K)
        b, i, k = (present[..., None] & (label > 0) & (label != nodes[..., None])).nonzero().T
        add("relabel", b, [(i, k)])
    if "remove node" in kinds:
        b, i = (present & (present.sum(1, keepdim=True) > 1)).nonzero().T
        add("remove node", b, [(i, 0)])
    if "add node" in kinds:
        free = (~present).float().argmax(1)
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
        movable = linked[:, :, :, None] & (both & ~linked & other)[:, :, None, :]
        b, i, j, k = movable.nonzero().T
        add("move edge", b, (), [(i, j, torch.zeros_like(i)), (i, k, edges[b, i, j])])
    if "shift order" in kinds:
        # at node i: the edge to j goes up one label (or appears), that to k goes down one (or vanishes)
        raisable = both & other & (edges < R - 1)
        shiftable = raisable[:, :, :, None] & linked[:, :, None, :] & other[None, None]
        shiftable &= linked[:, :, :, None] | (edges[:, :, None, :] > 1)  # otherwise it is "move edge"
        b, i, j, k = shiftable.nonzero().T
        add("shift order", b, (), [(i, j, edges[b, i, j] + 1), (i, k, edges[b, i, k] - 1)])
    return Edits.cat(found)


def check_kinds(kinds: tuple[str, ...]) -> None:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ValueError(f"unknown kinds of edits {unknown or list(kinds)}; the kinds are {', '.join(KINDS)}")
