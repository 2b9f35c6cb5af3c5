"""What graphs must satisfy: connected, a tree, one root, allowed relations, and the capacities of their vocabulary.

`Constraints` measures how far graphs are from that (`violation`, and `penalty` with a gradient), finds the edits that
lead no further away (`keeps`), and rounds relaxed graphs to graphs that satisfy it (`rounded`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from elekit.graphs import _schema
from elekit.graphs.edits import ALL_KINDS, Edits
from elekit.graphs.features import count_components, cycle_rank, reachable
from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary, short
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.spanning import maximum_arborescence, maximum_spanning_tree

FLOOR = 1e-9  # smallest probability whose logarithm is taken
FORBIDDEN = 2.0  # taken from the probability of a forbidden relation
MAX_RELATIONS = 100_000

Relation = tuple[str, str, str]

_TEXT = _schema.text(visible=True)
_RELATION = _schema.items(_TEXT, 3, 3)
_SHAPES = dict.fromkeys(("connected", "tree", "one_root"), _schema.one_of(False, True))
RELATIONS_FIELD = _schema.items(_RELATION, MAX_RELATIONS)
CONSTRAINTS_FIELDS = _schema.fields({}, {**_SHAPES, "relations": RELATIONS_FIELD})


@dataclass(frozen=True)
class Constraints:
    """What graphs must satisfy, besides the capacities of their vocabulary.

    Args:
        connected: They are in one piece.
        tree: They are connected and have no cycle, whatever the directions of their edges.
        one_root: Exactly one node has no incoming edge. For directed graphs; an edge with a label without direction
            comes in nowhere. A tree with one root is an arborescence: every other node has one incoming edge.
        relations: Allowed edges as (node label, edge label, node label), in the direction of the edge, and in either
            order if it has none. None allows all.

    Raises:
        ValueError: If a relation is not three labels.
    """

    connected: bool = False
    tree: bool = False
    one_root: bool = False
    relations: Iterable[Relation] | None = None  # in the end sorted, each once

    def __post_init__(self) -> None:
        object.__setattr__(self, "connected", self.connected or self.tree)
        if self.relations is not None:
            relations = list(self.relations)
            for number, one in enumerate(relations):
                _RELATION(one, f"relation {number}, (node label, edge label, node label),")
            object.__setattr__(self, "relations", tuple(sorted({tuple(one) for one in relations})))

    def __bool__(self) -> bool:
        return self != Constraints()

    @classmethod
    def of(cls, graphs: GraphBatch, relations: bool = False) -> Self:
        """Find what holds for all graphs.

        Args:
            graphs: Discrete graphs.
            relations: Whether to allow only the relations that occur, unless all do. They exclude what is merely
                rare, so this needs many graphs.

        Returns:
            All constraints that the graphs satisfy.
        """
        packed, names = PackedGraphs.of(graphs), graphs.vocabulary
        shape = cls(tree=True, one_root=bool(names.directed))
        pieces, links, roots = (bool((one == 0).all()) for one in shape._shape_violations(packed))
        occurring: tuple[Relation, ...] | None = None
        if relations:
            distinct = torch.unique(torch.stack(_relations(packed), 1), dim=0).tolist()
            occurring = tuple(sorted({_named(one, names) for one in distinct}))
            if _allowed(occurring, names)[1:, :, 1:].all():
                occurring = None
        return cls(pieces, pieces and links, bool(names.directed) and roots, occurring)

    def held_by(self, graphs: GraphBatch) -> "Constraints":
        """Leave out what some graphs violate.

        Args:
            graphs: Discrete graphs.

        Returns:
            The constraints that all graphs satisfy, and `connected` if they all are.
        """
        held = self.of(graphs)
        relations = self.relations
        if relations is not None and self._forbidden(graphs).any():
            relations = None
        return Constraints(held.connected, self.tree and held.tree, self.one_root and held.one_root, relations)

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON-serializable dictionary.

        Returns:
            The fields by name, without those that ask for nothing.
        """
        shape = {name: True for name in _SHAPES if getattr(self, name)}
        return shape if self.relations is None else {**shape, "relations": [list(one) for one in self.relations]}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Inverse of `to_json`.

        Args:
            fields: The fields by name.

        Returns:
            The constraints.

        Raises:
            ValueError: If a field is unknown or has another type.
        """
        CONSTRAINTS_FIELDS(fields, "the constraints")
        return cls(**fields)

    def check(self, vocabulary: GraphVocabulary) -> Self:
        """Verify that graphs of a vocabulary can satisfy the constraints.

        Args:
            vocabulary: Labels of the graphs.

        Returns:
            The constraints themselves.

        Raises:
            ValueError: If a relation has a label that the vocabulary lacks, or if undirected graphs must have a root.
        """
        if self.one_root and not vocabulary.directed:
            raise ValueError("one_root needs directed graphs, these are undirected; use Constraints(tree=True)")
        if self.relations is not None:
            self._table(vocabulary)
        return self

    def reasons(self, graphs: GraphBatch) -> list[str]:
        """Describe how graphs fail, each as the predicate of a sentence.

        Args:
            graphs: B discrete graphs.

        Returns:
            B texts such as "has a cycle and has 2 roots"; "" for a graph that satisfies the constraints and the
            capacities of its vocabulary.
        """
        packed, names = PackedGraphs.of(graphs), graphs.vocabulary
        found: dict[int, list[str]] = {b: [] for b in range(len(packed))}
        if self.connected:
            for b, pieces in enumerate(count_components(packed).tolist()):
                found[b] += [f"is in {pieces} pieces"] * (pieces > 1)
        if self.tree:
            for b, cycles in enumerate(cycle_rank(packed).tolist()):
                found[b] += ["has a cycle" if cycles == 1 else f"has {cycles} cycles"] * (cycles > 0)
        if self.one_root:
            for b, (roots, size) in enumerate(zip(count_roots(packed).tolist(), packed.sizes.tolist())):
                found[b] += [f"has {roots} roots" if roots else "has no root"] * (roots != 1 and size > 0)
        if self.relations is not None:
            relations = torch.stack(_relations(packed), 1)
            for edge in (~self._table(names)[tuple(relations.T)]).nonzero()[:, 0].tolist():
                relation = f"has the relation {_named(relations[edge].tolist(), names)}, which is not allowed"
                own = found[int(packed.rows[packed.pairs[0, edge]])]
                own += [relation] * (relation not in own)
        for b in packed.valence_violation().nonzero()[:, 0].tolist():
            found[b].append("exceeds the capacity of a node")
        return [" and ".join(parts) for parts in found.values()]

    def violation(self, graphs: GraphBatch) -> Tensor:
        """How far discrete graphs are from satisfying the constraints and the capacities of their vocabulary.

        The sum of `valence_violation`, the pieces beyond the first, the edges that a tree of as many nodes has more
        or less, the roots beyond or short of one, and the edges that no relation allows.

        Args:
            graphs: B graphs; relaxed ones are rounded, except for their capacities.

        Returns:
            (B,) >= 0; 0 if and only if a graph satisfies all.
        """
        return graphs.valence_violation() + self.structural(graphs)

    def structural(self, graphs: GraphBatch) -> Tensor:
        """`violation` without the capacities.

        Args:
            graphs: B graphs; rounded.

        Returns:
            (B,) >= 0.
        """
        if not self:
            return torch.zeros(len(graphs))
        packed = PackedGraphs.of(graphs)
        found = torch.stack(self._shape_violations(packed)).sum(0).float()
        return found if self.relations is None else found + self._forbidden(packed)

    def _forbidden(self, graphs: GraphBatch) -> Tensor:
        """(B,) number of edges that no relation allows."""
        packed = PackedGraphs.of(graphs)
        forbidden = ~self._table(packed.vocabulary)[_relations(packed)]
        return torch.bincount(packed.rows[packed.pairs[0]][forbidden], minlength=len(packed))

    def _table(self, vocabulary: GraphVocabulary) -> Tensor:
        return _allowed(tuple(self.relations or ()), vocabulary)

    def _shape_violations(self, packed: PackedGraphs) -> tuple[Tensor, Tensor, Tensor]:
        """(B,) each: pieces beyond the first, edges too many or missing in a tree, roots too many or missing."""
        pieces = links = roots = torch.zeros(len(packed), dtype=torch.long)
        if self.connected:
            pieces = (count_components(packed) - 1).clamp_min(0)
        if self.tree:
            links = (packed.pair_offsets.diff() - (packed.sizes - 1).clamp_min(0)).abs()
        if self.one_root:
            roots = (count_roots(packed) - packed.sizes.clamp_max(1)).abs()
        return pieces, links, roots

    def penalty(self, relaxed: Graph) -> Tensor:
        """A differentiable form of `violation` for relaxed graphs.

        `valence_violation`, and for each node: Huber's function of the expected edges that a tree of the expected
        nodes has more or less, the same of roots, and the expected edges that no relation allows. Pieces have no
        gradient: rounding and local search join them.

        Args:
            relaxed: B graphs.

        Returns:
            (B,) >= 0; of discrete graphs, 0 if and only if a graph violates nothing but connectedness.
        """
        names, edges = relaxed.vocabulary, relaxed.edges
        if not (self.tree or self.one_root or self.relations is not None):
            return relaxed.valence_violation()
        found = edges.new_zeros(len(relaxed))
        presence = relaxed.presence()
        both = presence[:, :, None] * presence[:, None, :]
        size = presence.sum(1)
        if self.tree:
            links = (both * (1 - edges[..., 0])).sum((1, 2)) / 2
            found = found + _huber(links - (size - 1).clamp_min(0))
        if self.one_root:
            entered = edges @ incoming(names).to(edges) * presence[:, None, :]
            roots = (presence * (1 - entered).prod(-1)).sum(1)
            found = found + _huber(roots - size.clamp_max(1))
        if self.relations is not None:
            forbidden = (~self._table(names)).to(edges)
            by_first = torch.einsum("bik,krl->birl", relaxed.nodes, forbidden)
            found = found + torch.einsum("birl,bijr,bjl->b", by_first, edges, relaxed.nodes) / 2
        return relaxed.valence_violation() + found / size.detach().clamp_min(1)

    def keeps_counts(self, edits: Edits, graph: Graph) -> Tensor:
        """Find the edits after which no more edges and roots are too many or missing, without building the graphs.

        Args:
            edits: E edits of B discrete graphs.
            graph: The graphs.

        Returns:
            (E,) bool.
        """
        if not (self.tree or self.one_root):
            return torch.ones(len(edits), dtype=torch.bool)
        (nodes, edges), names, row = graph.labels(), graph.vocabulary, edits.row
        present, linked = nodes > 0, (edges > 0).long()
        enters = incoming(names).long()[edges]  # (B, N, N), 1 where an edge comes in at i from j
        size, links, entered = present.sum(1), linked.sum((1, 2)) // 2, enters.sum(-1)
        before = self._counted(size, links, present & (entered == 0))
        size, links, entered, there = size[row], links[row], entered[row], present[row]
        for at, i, label in edits.node_changes():
            size[at] += (label > 0).long() - there[at, i].long()
            there[at, i] = label > 0
        for at, i, j, label in edits.pair_changes():
            links[at] += (label > 0).long() - linked[row[at], i, j]
            for end, other, new in ((i, j, label), (j, i, names.turn(label))):
                entered[at, end] += incoming(names).long()[new] - enters[row[at], end, other]
        at = (edits.kind == ALL_KINDS.index("remove node")).nonzero()[:, 0]
        removed = edits.node[at, 0]
        links[at] -= linked[row[at], removed].sum(-1)
        entered[at] -= enters[row[at], :, removed]
        after = self._counted(size, links, there & (entered == 0))
        return (after <= before[row]).all(1)

    def _counted(self, size: Tensor, links: Tensor, roots: Tensor) -> Tensor:
        """(B, 2): edges and roots too many or missing, of graphs with these numbers of nodes and edges, and roots."""
        links = (links - (size - 1).clamp_min(0)).abs() * self.tree
        return torch.stack([links, (roots.sum(1) - size.clamp_max(1)).abs() * self.one_root], 1)

    def keeps_structure(self, edits: Edits, graph: Graph) -> Tensor:
        """Find the edits after which there are no more pieces and no more forbidden relations.

        Args:
            edits: E edits of B discrete graphs.
            graph: The graphs.

        Returns:
            (E,) bool.
        """
        kept = torch.ones(len(edits), dtype=torch.bool)
        if self.relations is not None:
            kept = self._forbidden(edits.results(graph)) <= self._forbidden(graph)[edits.row]
        if self.connected:
            at = (kept & takes_edges(edits, graph.labels()[1])).nonzero()[:, 0]
            pieces = count_components(graph).clamp_min(1)[edits.row[at]]
            kept[at] = count_components(edits[at].results(graph)) <= pieces
        return kept

    def rounded(self, relaxed: Graph) -> Graph:
        """Round relaxed graphs to graphs near them that satisfy the constraints, except for the capacities.

        Present nodes and their labels are the most probable ones. Trees have the highest sum of log-odds of their
        edges against "no edge": maximum spanning trees or arborescences. Other graphs have their most probable edges;
        then roots get incoming edges until one is left, and pieces are joined, each by the most probable edge that
        keeps to relations and capacities. A relation is violated only where a tree, a root or a piece needs it.

        Args:
            relaxed: B graphs.

        Returns:
            B discrete graphs.
        """
        names, (nodes, edges), scores = relaxed.vocabulary, relaxed.labels(), relaxed.edges.detach()
        if self.relations is not None:
            allowed = self._table(names).to(scores.device)[nodes[:, :, None], :, nodes[:, None, :]]
            scores = torch.where(allowed, scores, scores - FORBIDDEN)
            edges = Graph(relaxed.nodes, scores, names).labels()[1]
        wrong = self.structural(Graph.from_labels(nodes, edges, names)).nonzero()[:, 0].tolist()
        for b in wrong if self.tree or self.one_root else []:
            at = (nodes[b] > 0).nonzero()[:, 0]
            own, before = scores[b][at][:, at], edges[b][at][:, at]
            edges[b, at[:, None], at] = self._tree(own, names) if self.tree else _with_root(own, before, names)
        if self.connected and not self.tree:
            self._join(nodes, edges, scores, names)
        return Graph.from_labels(nodes, edges, names).to(relaxed.nodes.dtype)

    def _tree(self, scores: Tensor, names: GraphVocabulary) -> Tensor:
        """(n, n) edge channels of the best tree of n nodes."""
        odds = scores.double()
        odds = torch.where(odds >= 0, odds.clamp_min(FLOOR).log(), odds + 10 * math.log(FLOOR))
        odds = odds[..., 1:] - odds[..., :1]
        edges = torch.zeros(odds.shape[:2], dtype=torch.long)
        if self.one_root:  # only edges that come in at the second node
            odds = odds.masked_fill(~incoming(names)[names.reverse][1:], -torch.inf)
        best, label = odds.max(-1)
        found = maximum_arborescence(best.numpy()) if self.one_root else maximum_spanning_tree(best.numpy())
        for i, j in found:
            edges[i, j] = label[i, j] + 1
            edges[j, i] = names.turn(edges[i, j])
        return edges

    def _join(self, nodes: Tensor, edges: Tensor, scores: Tensor, names: GraphVocabulary) -> None:
        """Join the pieces of graphs in place, each by the best edge within the capacities."""
        capacity = names.node_capacities.to(scores)[nodes]
        orders, (B, N) = names.edge_orders.to(scores), nodes.shape
        rows, apart = torch.arange(B), _apart(nodes, edges)
        while len(rows := rows[apart.flatten(1).any(1)]):
            apart = apart[apart.flatten(1).any(1)]
            left = capacity[rows] - orders[edges[rows]].sum(-1)  # (b, N)
            lacking = (orders[1:] - left[:, :, None]).clamp_min(0)  # (b, N, R - 1)
            value = scores[rows][..., 1:] - lacking[:, :, None] - lacking[:, None]
            if self.one_root:  # which gets no edge
                comes_in = incoming(names)
                root = (nodes[rows] > 0) & ~comes_in[edges[rows]].any(-1)
                at = root[:, :, None, None] & comes_in[1:] | root[:, None, :, None] & comes_in[names.reverse][1:]
                value = value.masked_fill(at, -torch.inf)
            best = value.masked_fill(~apart[..., None], -torch.inf).flatten(1).argmax(1)
            i, j, label = best // (N * len(orders[1:])), best // len(orders[1:]) % N, best % len(orders[1:]) + 1
            edges[rows, i, j], edges[rows, j, i] = label, names.turn(label)
            apart = _apart(nodes[rows], edges[rows])


def _huber(values: Tensor) -> Tensor:
    return huber_loss(values, torch.zeros_like(values), reduction="none")


def incoming(vocabulary: GraphVocabulary) -> Tensor:
    """(R,) bool: whether an edge of each channel from i to j comes in at i."""
    return torch.arange(vocabulary.R) > len(vocabulary.edge_labels)


def count_roots(graphs: PackedGraphs) -> Tensor:
    """Number (B,) of nodes without an incoming edge."""
    comes_in, labels = incoming(graphs.vocabulary), graphs.edge_labels.long()
    root = torch.ones(len(graphs.node_labels), dtype=torch.bool)
    root[graphs.pairs[0, comes_in[labels]]] = False
    root[graphs.pairs[1, comes_in[graphs.vocabulary.turn(labels)]]] = False
    return torch.bincount(graphs.rows[root], minlength=len(graphs))


def takes_edges(edits: Edits, edges: Tensor) -> Tensor:
    """(E,) bool: edits of graphs with edge channels (B, N, N) that take an edge away; only these make more pieces."""
    takes = edits.kind == ALL_KINDS.index("remove node")
    for at, i, j, label in edits.pair_changes():
        takes[at] |= (label == 0) & (edges[edits.row[at], i, j] > 0)
    return takes


def _with_root(scores: Tensor, edges: Tensor, names: GraphVocabulary) -> Tensor:
    """(n, n) edge channels with one root, near given ones of n nodes: the node that costs the least becomes the root.

    It loses its incoming edges, or they are turned round, and every other node without an incoming edge gets its best
    one from a node that it has no edge with, or from the root.
    """
    comes_in, n = incoming(names), len(edges)
    kept = scores.gather(2, edges[..., None])[..., 0]
    free = (edges == 0) & ~torch.eye(n, dtype=torch.bool)
    without, new = scores.masked_fill(comes_in, -torch.inf).max(-1)
    losing = torch.where(comes_in[edges], kept - without, 0.0).sum(1)
    best = scores.masked_fill(~comes_in, -torch.inf).amax(-1)
    getting = (kept - best).masked_fill(~free, n).amin(1).masked_fill(comes_in[edges].any(1), 0)
    root = int((losing - getting).argmin())
    edges = edges.clone()
    edges[root] = torch.where(comes_in[edges[root]], new[root], edges[root])
    edges[:, root] = names.turn(edges[root])
    for i in (~comes_in[edges].any(1)).nonzero()[:, 0].tolist():
        if i != root and not comes_in[edges[i]].any():
            value = (scores[i] - scores[i, :, :1]).masked_fill(~comes_in, -torch.inf)
            value[(edges[i] != 0) & (torch.arange(n) != root)] = value[i] = -torch.inf
            j, label = divmod(int(value.argmax()), names.R)
            edges[i, j], edges[j, i] = label, names.reverse[label]
    return edges


def _apart(nodes: Tensor, edges: Tensor) -> Tensor:
    """(B, N, N) bool: pairs of present nodes without a path between them."""
    present = nodes > 0
    return ~reachable(edges) & present[:, :, None] & present[:, None]


def _relations(packed: PackedGraphs) -> tuple[Tensor, Tensor, Tensor]:
    """Node channels at the first ends of all edges, edge channels, and node channels at the other ends."""
    one, other = packed.node_labels.long()[packed.pairs]
    return one, packed.edge_labels.long(), other


def relation_numbers(graphs: PackedGraphs) -> Tensor:
    """(E,) a number for the relation of each edge, the same from both ends."""
    names = graphs.vocabulary
    one, channel, other = _relations(graphs)
    there, back = (one * names.R + channel) * names.K + other, (other * names.R + names.turn(channel)) * names.K + one
    return there.minimum(back)


def _named(relation: Sequence[int], names: GraphVocabulary) -> Relation:
    """The labels of a relation in channels, in the direction of its edge."""
    one, channel, other = relation
    one, other = (one, other) if channel <= len(names.edge_labels) else (other, one)
    label = names.edge_labels[int(names.label_of[channel]) - 1]
    return names.node_labels[one - 1], label, names.node_labels[other - 1]


@lru_cache(maxsize=32)
def _allowed(relations: tuple[Relation, ...], names: GraphVocabulary) -> Tensor:
    """(K, R, K) bool: which edges a table allows between node channels; "no edge" always."""
    node = {label: k for k, label in enumerate(names.node_labels, 1)}
    edge = {label: r for r, label in enumerate(names.edge_labels, 1)}
    allowed = torch.zeros(names.K, names.R, names.K, dtype=torch.bool)
    allowed[:, 0] = True
    for relation in relations:
        for label, known, kind in zip(relation, (node, edge, node), ("node", "edge", "node")):
            if label not in known:
                problem = f"the relation {short(relation, 150)} has the unknown {kind} label {short(label)}"
                raise ValueError(f"{problem}; the vocabulary has {short(list(known), 150)}")
        i, r, j = (known[label] for label, known in zip(relation, (node, edge, node)))
        allowed[i, r, j] = allowed[j, names.reverse[r], i] = True
    return allowed
