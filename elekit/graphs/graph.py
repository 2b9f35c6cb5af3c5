"""`GraphVocabulary` and `Graph`, a batch of relaxed graphs as dense tensors.

A relaxed graph is a point of a polytope: each node is a distribution over node labels (channel 0 = "absent"), each
unordered pair of nodes a distribution over edge labels (channel 0 = "no edge"). Its vertices are the discrete graphs.

An edge label of directed graphs has two channels, one for each direction: what is channel r from i to j is channel
`reverse[r]` from j to i. So a pair of nodes has at most one edge; in undirected graphs, r = reverse[r].
"""

import hashlib
import math
import numbers
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import networkx as nx
import torch
from torch import Tensor

from elekit.graphs import _schema, projections

MAX_LABELS = 1_000  # of nodes, and of edges
BOTH = "⇄ "  # begins an edge label without direction in directed graphs
MAX_NODES = 10_000  # of a vocabulary that is read from a file; a pair of nodes takes a row of a dense tensor

EdgeList = tuple[Sequence[str], Sequence[tuple[int, int, str]]]
"""One graph as node labels and edges (i, j, edge label), with i and j positions in the node labels; an edge with a
directed label goes from i to j."""


VOCABULARY_FIELDS = _schema.fields(  # of `to_json`
    {
        "node_labels": _schema.items(_schema.text(visible=True), MAX_LABELS, 1),
        "edge_labels": _schema.items(_schema.text(visible=True), MAX_LABELS, 1),
        "max_nodes": _schema.whole(1, MAX_NODES),
    },
    {
        **dict.fromkeys(("capacity", "order"), _schema.maybe(_schema.items(_schema.number(0, 1e6), MAX_LABELS))),
        "directed": _schema.items(_schema.one_of(False, True), MAX_LABELS, 1),
    },
)


@dataclass(frozen=True)
class GraphVocabulary:
    """Labels and size limit that a batch of graphs shares; artifacts store it.

    Args:
        node_labels: Distinct names of the node labels, without "absent", at most 1,000.
        edge_labels: Distinct names of the edge labels, without "no edge", at most 1,000.
        max_nodes: Number of node slots N of the dense tensors, >= 1.
        capacity: For each node label, the largest sum of edge orders at a node (a valence); None = no limit.
        order: For each edge label, how much of the capacity an edge uses; None = 1 each.
        directed: Whether edges have a direction; a tuple says so for each edge label.

    Raises:
        ValueError: If labels are missing or repeated, or a length does not match.
    """

    node_labels: tuple[str, ...]
    edge_labels: tuple[str, ...]
    max_nodes: int
    capacity: tuple[float, ...] | None = None
    order: tuple[float, ...] | None = None
    directed: bool | tuple[bool, ...] = False  # in the end False, or one for each label

    def __post_init__(self) -> None:
        for name in ("node_labels", "edge_labels"):
            labels = tuple(getattr(self, name))
            object.__setattr__(self, name, labels)
            if not labels or len(set(labels)) != len(labels):
                raise ValueError(f"{name} must be distinct and not empty, got {short(labels, 200)}")
            if len(labels) > MAX_LABELS:
                what = f"{name} has {len(labels)} labels, at most {MAX_LABELS} are supported"
                raise ValueError(f"{what}; are they names of nodes instead of kinds?")
        for name, labels in (("capacity", self.node_labels), ("order", self.edge_labels)):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, tuple(float(v) for v in values))
                if len(values) != len(labels):
                    raise ValueError(f"{name} has {len(values)} values for {len(labels)} labels {short(labels, 150)}")
        _schema.require_positive(max_nodes=self.max_nodes)
        each = self.directed
        each = (each,) * len(self.edge_labels) if isinstance(each, bool) else tuple(map(bool, each))
        if len(each) != len(self.edge_labels):
            raise ValueError(f"directed has {len(each)} values for {len(self.edge_labels)} edge labels")
        object.__setattr__(self, "directed", each if any(each) else False)

    @cached_property
    def directed_labels(self) -> tuple[int, ...]:
        """Numbers of the directed edge labels, from 1."""
        each = () if isinstance(self.directed, bool) else self.directed
        return tuple(r for r, one in enumerate(each, 1) if one)

    @property
    def K(self) -> int:
        """Number of node channels, "absent" included."""
        return len(self.node_labels) + 1

    @property
    def R(self) -> int:
        """Number of edge channels: "no edge", the edge labels, and the directed ones again, for edges backward."""
        return len(self.edge_labels) + len(self.directed_labels) + 1

    @cached_property
    def label_of(self) -> Tensor:
        """(R,) the number of the label of each edge channel, from 1; 0 for "no edge"."""
        return torch.tensor([*range(len(self.edge_labels) + 1), *self.directed_labels])

    @cached_property
    def reverse(self) -> Tensor:
        """(R,) what each edge channel is from the other end of an edge."""
        other, first = torch.arange(self.R), len(self.edge_labels) + 1
        for number, label in enumerate(self.directed_labels):
            other[label], other[first + number] = first + number, label
        return other

    def turn(self, channels: Tensor) -> Tensor:
        """Edge channels from the other end.

        Args:
            channels: Edge channels, integers of any shape.

        Returns:
            The channels of the edges from j to i, for those from i to j.
        """
        return self.reverse.to(channels.device)[channels.long()].to(channels.dtype) if self.directed else channels

    def turn_rows(self, rows: Tensor) -> Tensor:
        """Values for each edge channel, from the other end.

        Args:
            rows: (..., R) or, without "no edge", (..., R - 1).

        Returns:
            The same values, those of a channel at the channel that it is from the other end.
        """
        if not self.directed:
            return rows
        skipped = self.R - rows.shape[-1]
        return rows[..., self.reverse.to(rows.device)[skipped:] - skipped]

    @property
    def edge_names(self) -> tuple[str, ...]:
        """Names of the R edge channels, with arrows for the directions."""
        directed, names = set(self.directed_labels), ["no edge"]
        names += [f"→ {label}" if r in directed else label for r, label in enumerate(self.edge_labels, 1)]
        return (*names, *(f"← {self.edge_labels[r - 1]}" for r in self.directed_labels))

    def change(self, before: int, after: int) -> str:
        """Describe what becomes of an edge.

        Args:
            before: Its channel.
            after: Its new channel.

        Returns:
            A text such as "single to double" or "→ cause turned round".
        """
        names = self.edge_names
        turned = before != after and after == self.reverse[before]
        return f"{names[before]} turned round" if turned else f"{names[before]} to {names[after]}"

    @property
    def edge_orders(self) -> Tensor:
        """(R,) capacity that each edge channel uses; 0 for "no edge"."""
        return torch.tensor([0.0, *(self.order or [1.0] * len(self.edge_labels))])[self.label_of]

    @property
    def node_capacities(self) -> Tensor:
        """(K,) capacity of each node channel, infinite without limit; 0 for "absent"."""
        return torch.tensor([0.0, *(self.capacity or [float("inf")] * len(self.node_labels))])

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON-serializable dictionary.

        Returns:
            The fields by name.
        """
        return {name: value for name, value in asdict(self).items() if name != "directed" or value}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Inverse of `to_json`.

        Args:
            fields: The fields by name, with lists in place of tuples.

        Returns:
            The vocabulary.

        Raises:
            ValueError: If fields are missing or have other types or values.
        """
        VOCABULARY_FIELDS(fields, "the vocabulary")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values)


def check_labels(given: GraphVocabulary, expected: GraphVocabulary, problem: str, owner: str) -> None:
    """Raise a ValueError if two vocabularies have different labels; `owner` names what has the expected ones."""
    if (given.node_labels, given.edge_labels, given.directed) != (
        expected.node_labels, expected.edge_labels, expected.directed,
    ):  # fmt: skip
        own, other = (
            f"nodes {short(list(v.node_labels), 150)}, edges {short(list(v.edge_names[1:]), 150)}"
            for v in (expected, given)
        )
        raise ValueError(f"{problem}: {other}; {owner} has {own}; read both with one vocabulary")


class GraphBatch(ABC):
    """Interface of a batch of B graphs: dense tensors (`Graph`), or lists of nodes and edges (`PackedGraphs`)."""

    vocabulary: GraphVocabulary

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: Any) -> Self: ...

    def __iter__(self) -> Iterator[Self]:
        return (self[b] for b in range(len(self)))

    @classmethod
    @abstractmethod
    def cat(cls, graphs: Sequence[Self]) -> Self:
        """Concatenate batches.

        Args:
            graphs: At least one batch, all with the same labels. Other forms and other numbers of node slots are
                converted.

        Returns:
            One batch.
        """

    @abstractmethod
    def labels(self) -> tuple[Tensor, Tensor]:
        """Most probable labels.

        Returns:
            Node channels (B, N) and edge channels (B, N, N), integers; edges at absent nodes are "no edge".
        """

    @abstractmethod
    def lists(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The discrete graphs as lists of present nodes and edges, as the fields of `PackedGraphs`.

        Returns:
            Offsets (B + 1,), node channels (S,), pairs (2, E) and edge channels (E,).
        """

    @abstractmethod
    def slots(self) -> int:
        """Number of node slots of the dense tensors.

        Returns:
            The number N, >= 1.
        """

    @abstractmethod
    def dense(self, slots: int | None = None) -> "Graph":
        """Convert to dense tensors.

        Args:
            slots: Number N of node slots. None keeps dense graphs as they are; packed ones get those of the largest
                graph and a few free ones.

        Returns:
            The same graphs.

        Raises:
            ValueError: If a graph has more nodes.
        """

    @abstractmethod
    def valence_violation(self) -> Tensor:
        """Sum over nodes of how far the edge orders exceed the capacity.

        Returns:
            (B,) >= 0; 0 if no node exceeds its capacity or the vocabulary has none.
        """

    @abstractmethod
    def average(self) -> "Graph":
        """Relaxed graph of the marginal frequencies of the batch (edges: over present nodes), a start for decoding.

        Returns:
            A batch of one, the same row in all slots, since slots have no meaning.
        """

    @abstractmethod
    def blocks(self, size: int) -> Iterator[tuple[Tensor, "Graph"]]:
        """Iterate over all graphs in dense blocks; the order of the rows is up to the batch.

        Args:
            size: Largest number of graphs in a block.

        Yields:
            Row numbers (b,) and the graphs of these rows.
        """

    def digest(self) -> str:
        """Hash of labels and discrete graphs, which identifies training data; free slots do not count.

        Returns:
            A sha256 in hexadecimal.
        """
        names = self.vocabulary
        labels = (names.node_labels, names.edge_labels, *([names.directed] if names.directed else []))
        running = hashlib.sha256(repr(labels).encode())
        for part in self.lists():
            running.update(part.long().cpu().contiguous().numpy().tobytes())
        return running.hexdigest()


def by_blocks(function: Callable[["Graph"], Tensor], graphs: GraphBatch, size: int = 1_024) -> Tensor:
    """Apply a function, which returns one row per graph, to dense blocks of up to `size` graphs; rows in order."""
    if not len(graphs):
        return function(graphs.dense())
    rows, parts = zip(*((rows, function(block)) for rows, block in graphs.blocks(size)))
    return torch.cat(parts)[torch.cat(rows).argsort()]


@dataclass(frozen=True, eq=False)
class Graph(GraphBatch):
    """A batch of B relaxed graphs of up to N nodes, as probabilities.

    Args:
        nodes: (B, N, K), rows on the simplex, channel 0 = absent.
        edges: (B, N, N, R), rows on the simplex, channel 0 = no edge, diagonal all "no edge"; from j to i they are
            those from i to j, turned (`vocabulary.turn_rows`), so symmetric if the graphs are undirected.
        vocabulary: Labels of the K and R channels.

    Raises:
        ValueError: If the shapes do not fit the vocabulary.
    """

    nodes: Tensor
    edges: Tensor
    vocabulary: GraphVocabulary

    def __post_init__(self) -> None:
        B, N = self.nodes.shape[:2]
        K, R = self.vocabulary.K, self.vocabulary.R
        if self.nodes.shape != (B, N, K) or self.edges.shape != (B, N, N, R):
            raise ValueError(
                f"nodes {tuple(self.nodes.shape)} and edges {tuple(self.edges.shape)} do not fit the vocabulary: "
                f"expected (B, N, {K}) and (B, N, N, {R})"
            )

    @classmethod
    def from_labels(cls, node_labels: Tensor, edge_labels: Tensor, vocabulary: GraphVocabulary) -> "Graph":
        """Discrete graphs from channel numbers.

        Args:
            node_labels: (B, N) node channels, integers.
            edge_labels: (B, N, N) edge channels, integers.
            vocabulary: Labels of the channels.

        Returns:
            A batch of B one-hot graphs.
        """
        return cls(_one_hot(node_labels, vocabulary.K), _one_hot(edge_labels, vocabulary.R), vocabulary)

    @classmethod
    def cat(cls, graphs: Sequence[GraphBatch]) -> "Graph":
        slots = max(g.slots() for g in graphs)
        parts = [g.dense(slots) for g in graphs]
        return cls(torch.cat([g.nodes for g in parts]), torch.cat([g.edges for g in parts]), graphs[0].vocabulary)

    def average(self) -> "Graph":
        N = self.nodes.shape[1]
        both = self.presence()[:, :, None] * self.presence()[:, None, :]
        both = both * (1 - torch.eye(N, device=both.device))
        pair = (self.edges * both[..., None]).sum((0, 1, 2))
        pair = pair / pair.sum() if pair.sum() > 0 else self.edges.new_tensor([1.0] + [0.0] * (self.vocabulary.R - 1))
        nodes = self.nodes.mean((0, 1)).expand(1, N, -1)
        return replace(self, nodes=nodes, edges=pair.expand(1, N, N, -1)).symmetrized()

    def __len__(self) -> int:
        return self.nodes.shape[0]

    def __getitem__(self, index: Any) -> "Graph":
        """A smaller batch; an integer gives a batch of one."""
        if isinstance(index, numbers.Integral) or (torch.is_tensor(index) and index.ndim == 0):
            index = int(index)
            if not -len(self) <= index < len(self):
                raise IndexError(f"graph {index} of a batch of {len(self)}")
            index = slice(index, index + 1 or None)
        return replace(self, nodes=self.nodes[index], edges=self.edges[index])

    def __repr__(self) -> str:
        return f"Graph(B={len(self)}, N={self.nodes.shape[1]}, K={self.vocabulary.K}, R={self.vocabulary.R})"

    def blocks(self, size: int) -> Iterator[tuple[Tensor, "Graph"]]:
        for start in range(0, len(self), size):
            part = self[start : start + size]
            yield torch.arange(start, start + len(part)), part

    def presence(self) -> Tensor:
        """Probability that each node is present.

        Returns:
            (B, N) in [0, 1].
        """
        return 1 - self.nodes[..., 0]

    def labels(self) -> tuple[Tensor, Tensor]:
        node_labels, edge_labels = self.nodes.argmax(-1), self.edges.argmax(-1)
        if self.vocabulary.directed:  # of two directions that are as probable, both ends take the same one
            edge_labels = edge_labels.triu(1)
            edge_labels = edge_labels + self.vocabulary.turn(edge_labels).transpose(1, 2)
        present = node_labels > 0
        return node_labels, edge_labels * (present[:, :, None] & present[:, None, :])

    def valence_violation(self) -> Tensor:
        """Sum over nodes of how far the edge orders exceed the capacity; differentiable.

        `sum_i p_i relu(sum_jr order_r e_ijr p_j - sum_k capacity_k n_ik / p_i)`, p = presence.

        Returns:
            (B,) >= 0; 0 if no node exceeds its capacity or the vocabulary has none.
        """
        if self.vocabulary.capacity is None:
            return self.nodes.new_zeros(len(self))
        order = self.vocabulary.edge_orders.to(self.edges)
        capacity = self.vocabulary.node_capacities.to(self.nodes)
        capacity = torch.where(capacity.isinf(), order.max() * self.nodes.shape[1], capacity)  # more than any load
        present = self.presence()
        load = ((self.edges @ order) * present[:, None, :]).sum(-1)
        return (present * load - self.nodes @ capacity).clamp_min(0).sum(-1)

    def lists(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        nodes, edges = self.labels()
        present = nodes > 0
        number = (present.flatten().cumsum(0) - 1).reshape(present.shape)
        b, i, j = (edges.triu(1) > 0).nonzero().T
        pairs = torch.stack([number[b, i], number[b, j]])
        sizes = present.sum(1)
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        return offsets, nodes[present].to(torch.int16), pairs, edges[b, i, j].to(torch.int16)

    def slots(self) -> int:
        return self.nodes.shape[1]

    def dense(self, slots: int | None = None) -> "Graph":
        extra = 0 if slots is None else slots - self.nodes.shape[1]
        if extra == 0:
            return self
        if extra < 0:
            if bool((self.labels()[0][:, extra:] > 0).any()):
                raise ValueError(f"{self} has nodes beyond the first {slots} slots")
            return replace(self, nodes=self.nodes[:, :extra], edges=self.edges[:, :extra, :extra])
        nodes = torch.nn.functional.pad(self.nodes, (0, 0, 0, extra))
        edges = torch.nn.functional.pad(self.edges, (0, 0, 0, extra, 0, extra))
        nodes[:, -extra:, 0] = edges[:, -extra:, :, 0] = edges[:, :, -extra:, 0] = 1
        return replace(self, nodes=nodes, edges=edges)

    def check(self, tolerance: float = 1e-3) -> "Graph":
        """Verify that the graphs lie in the polytope.

        Args:
            tolerance: Largest violation that is accepted, >= 0.

        Returns:
            The batch itself.

        Raises:
            ValueError: If values are not finite, rows are not on the simplex, or edges are asymmetric or loops.
        """
        for name, tensor in (("nodes", self.nodes), ("edges", self.edges)):
            flat = tensor.flatten(1)
            _raise_if(~torch.isfinite(flat).all(-1), f"{name} contain NaN or infinity", "use finite probabilities")
            sums = (tensor.sum(-1) - 1).abs().flatten(1).amax(-1)
            off = (flat.amin(-1) < -tolerance) | (sums > tolerance)
            _raise_if(off, f"{name} rows are not on the simplex", "use projections.polytope")
        gap = (self.edges - self.vocabulary.turn_rows(self.edges.transpose(1, 2))).abs().flatten(1).amax(-1)
        largest = "".join(f"{g:.2g}" for g in gap[gap > tolerance][:1].tolist())  # of the graph that is named
        _raise_if(gap > tolerance, f"edges are not symmetric, largest gap {largest}", "use Graph.symmetrized()")
        loops = 1 - self.edges.diagonal(dim1=1, dim2=2)[:, 0].amin(-1)
        _raise_if(loops > tolerance, "a node has an edge to itself", "use Graph.symmetrized()")
        return self

    def to(self, *args: Any, **kwargs: Any) -> "Graph":
        """Move to another device or dtype.

        Args:
            *args: As `torch.Tensor.to`, like **kwargs.

        Returns:
            A new batch.
        """
        return replace(self, nodes=self.nodes.to(*args, **kwargs), edges=self.edges.to(*args, **kwargs))

    def detach(self) -> "Graph":
        """Detach from the autograd graph.

        Returns:
            A new batch.
        """
        return replace(self, nodes=self.nodes.detach(), edges=self.edges.detach())

    def symmetrized(self) -> "Graph":
        """Project the edges with `projections.symmetric`.

        Returns:
            A new batch.
        """
        return replace(self, edges=projections.symmetric(self.edges, self.vocabulary.turn_rows))

    def rounded(self) -> "Graph":
        """Nearest discrete graphs.

        Returns:
            A new batch with the most probable labels and no edges at absent nodes.
        """
        return Graph.from_labels(*self.labels(), self.vocabulary).to(self.nodes.dtype)

    def permuted(self, order: Tensor) -> "Graph":
        """Reorder the nodes.

        Args:
            order: (N,) for all graphs or (B, N); slot i of the result is slot `order[i]` of this batch.

        Returns:
            A new batch.
        """
        order = order.expand(len(self), -1)
        rows = torch.arange(len(self), device=order.device)[:, None]
        edges = self.edges[rows[..., None], order[:, :, None], order[:, None, :]]
        return replace(self, nodes=self.nodes[rows, order], edges=edges)


def _one_hot(labels: Tensor, channels: int) -> Tensor:
    """(..., channels) float32; torch's own one_hot takes three times the memory."""
    whole = torch.zeros(*labels.shape, channels, device=labels.device)
    return whole.scatter_(-1, labels.long()[..., None], 1.0)


def _raise_if(bad: Tensor, problem: str, fix: str) -> None:
    if bad.any():
        raise ValueError(f"{problem} in graph {int(bad.nonzero()[0])} ({int(bad.sum())} of {len(bad)}); {fix}")


def from_networkx(
    graphs: Iterable[nx.Graph], vocabulary: GraphVocabulary | None = None, *, node_attribute: str | None = "label",
    edge_attribute: str | None = "label", max_nodes: int | None = None,
) -> Graph:  # fmt: skip
    """Convert networkx graphs, also directed ones; nodes keep their order.

    Args:
        graphs: Graphs without self-loops, each with at least one node. If any of them is directed, all become
            directed graphs. Several edges between two nodes become one, see `combined_edges`.
        vocabulary: Labels of the channels; None uses the sorted labels of the graphs.
        node_attribute: Attribute with the node label, a string or number. All nodes get the label "node" if they have
            no attributes, or with None.
        edge_attribute: The same for edges; their common label is "edge".
        max_nodes: Number of node slots of a new vocabulary; None = size of the largest graph.

    Returns:
        A batch of discrete graphs.

    Raises:
        ValueError: If there are no graphs, a graph is of another kind or too large, labels are missing, or the
            vocabulary lacks a label.
    """
    graphs = list(graphs)
    if not graphs:
        raise ValueError("no graphs given: from_networkx needs at least one")
    lists: list[EdgeList] = []
    directed = any(map(is_directed, graphs)) if vocabulary is None else bool(vocabulary.directed)
    for b, one in enumerate(edge_lists(graphs, node_attribute, edge_attribute, directed)):
        if isinstance(one, str):
            raise ValueError(f"graph {b} {one}")
        lists.append(one)
    return from_edge_lists(lists, vocabulary or vocabulary_of(lists, max_nodes, directed))


def is_directed(graph: Any) -> bool:
    """Test whether a value is a directed networkx graph."""
    return isinstance(graph, nx.Graph) and bool(graph.is_directed())


def vocabulary_of(
    graphs: Sequence[EdgeList], max_nodes: int | None = None, directed: bool = False
) -> GraphVocabulary:
    """The vocabulary of all labels that occur, sorted; directed: all edges have a direction but those with `BOTH`."""
    links = tuple(sorted({label for _, edges in graphs for *_, label in edges})) or ("edge",)
    return GraphVocabulary(
        tuple(sorted({label for nodes, _ in graphs for label in nodes})) or ("node",),
        links,
        max_nodes or max((len(nodes) for nodes, _ in graphs), default=0) or 1,
        directed=directed and are_directed(links),
    )


def are_directed(labels: Sequence[str]) -> tuple[bool, ...]:
    """Whether each edge label has a direction in directed graphs: all but those that begin with `BOTH`."""
    return tuple(not label.startswith(BOTH) for label in labels)


def combined_edges(
    edges: Iterable[tuple[int, int, str]], directed: bool = True
) -> tuple[list[tuple[int, int, str]], int]:
    """Join the edges of each pair of nodes to one edge with a combined label.

    Edges with the labels a and b from i to j become "a + b"; a from i to j and b back become "a + ← b"; an edge with
    the same label both ways is "⇄ a", a label without direction.

    Args:
        edges: Edges (i, j, label).
        directed: Whether they go from i to j.

    Returns:
        At most one edge for each pair, and the number of pairs that had several labels.
    """
    held: dict[tuple[int, int], set[str]] = defaultdict(set)
    for i, j, label in edges:
        held[(i, j) if directed else (min(i, j), max(i, j))].add(label)
    found, combined = [], 0
    for (i, j), labels in held.items():
        back = held.get((j, i), set())
        if back and i > j:
            continue  # at (j, i)
        combined += len(labels) + len(back) > 1
        ahead, behind = _combined_label(labels, back), _combined_label(back, labels)
        if labels == back:
            label = " + ".join(sorted(labels))
            found.append((i, j, label if label.startswith(BOTH) else f"{BOTH}{label}"))
        else:
            found.append((j, i, behind) if back and behind < ahead else (i, j, ahead))
    return found, combined


def _combined_label(labels: set[str], back: set[str]) -> str:
    return " + ".join([*sorted(labels), *(f"← {label}" for label in sorted(back))])


def from_edge_lists(graphs: Sequence[EdgeList], vocabulary: GraphVocabulary) -> Graph:
    """Convert (node labels, [(i, j, edge label), ...]) pairs to a batch; same errors as `from_networkx`."""
    return Graph.from_labels(*label_tensors(graphs, vocabulary), vocabulary)


def label_tensors(graphs: Sequence[EdgeList], vocabulary: GraphVocabulary) -> tuple[Tensor, Tensor]:
    """Channel numbers (B, N) and (B, N, N) of edge lists, N = max_nodes."""
    sizes, nodes, edges = channel_lists(graphs, vocabulary)
    N = vocabulary.max_nodes
    node_labels = torch.zeros(len(graphs), N, dtype=torch.long)
    edge_labels = torch.zeros(len(graphs), N, N, dtype=torch.long)
    node_labels[torch.arange(N) < torch.tensor(sizes)[:, None]] = torch.tensor(nodes, dtype=torch.long)
    b, i, j, kind = torch.tensor(edges, dtype=torch.long).reshape(-1, 4).T
    edge_labels[b, i, j], edge_labels[b, j, i] = kind, vocabulary.turn(kind)
    return node_labels, edge_labels


def channel_lists(
    graphs: Sequence[EdgeList], vocabulary: GraphVocabulary
) -> tuple[list[int], list[int], list[tuple[int, int, int, int]]]:
    """Sizes of edge lists, node channels of all graphs in order, and (graph, i, j, edge channel) of all edges."""
    node_channel = {label: k for k, label in enumerate(vocabulary.node_labels, 1)}
    edge_channel = {label: r for r, label in enumerate(vocabulary.edge_labels, 1)}
    sizes, channels, links = [], [], []
    for b, (nodes, edges) in enumerate(graphs):
        if len(nodes) > vocabulary.max_nodes:
            limit = vocabulary.max_nodes
            raise ValueError(f"graph {b} has {len(nodes)} nodes, the vocabulary allows {limit}; raise max_nodes")
        sizes.append(len(nodes))
        try:
            channels += [node_channel[label] for label in nodes]
            links += [(b, i, j, edge_channel[label]) for i, j, label in edges]
        except KeyError as unknown:
            known = "nodes {}, edges {}".format(
                *(short(list(labels), 150) for labels in (vocabulary.node_labels, vocabulary.edge_labels))
            )
            raise ValueError(
                f"graph {b} has the label {short(unknown.args[0])}, unknown to the vocabulary ({known})"
            ) from None
    return sizes, channels, links


def edge_lists(
    graphs: Sequence[Any], node_attribute: str | None = "label", edge_attribute: str | None = "label",
    directed: bool = False,
) -> list[EdgeList | str]:  # fmt: skip
    """Edge lists of networkx graphs; a string in place of one is the reason why a value is no usable graph.

    directed: Whether directed graphs are wanted; an edge of undirected ones then goes both ways.

    Raises:
        ValueError: If no node (or edge) has the attribute, but they have others.
    """
    reasons = [_unusable(graph, directed) for graph in graphs]
    usable = [graph for graph, reason in zip(graphs, reasons) if not reason]
    nodes, edges = ([a for g in usable for *_, a in getattr(g, kind)(data=True)] for kind in ("nodes", "edges"))
    node_attribute = _labeled("node", node_attribute, nodes)
    edge_attribute = _labeled("edge", edge_attribute, edges)
    found: list[EdgeList | str] = []
    for graph, reason in zip(graphs, reasons):
        try:
            found.append(reason or _edge_list(graph, node_attribute, edge_attribute, directed))
        except ValueError as wrong:
            found.append(str(wrong))
    return found


def _unusable(graph: Any, directed: bool) -> str:
    if not isinstance(graph, nx.Graph):
        return f"is no networkx graph but a {type(graph).__name__}; give a list of networkx graphs"
    if graph.is_directed() and not directed:
        return "is directed, undirected graphs are expected; convert it with graph.to_undirected() first"
    if graph.number_of_nodes() == 0:
        return "has no nodes; remove it from the list"
    loop = next(iter(nx.selfloop_edges(graph)), None)
    if loop is not None:
        return f"has a self-loop at node {short(loop[0])}; remove it with graph.remove_edges_from"
    return ""


def _labeled(kind: str, attribute: str | None, elements: Sequence[dict[Any, Any]]) -> str | None:
    """The attribute; None if the elements have no attributes at all."""
    if attribute is None or any(attribute in one for one in elements):
        return attribute
    others = sorted({str(name) for one in elements for name in one})
    if others:
        fix = f"give {kind}_attribute={others[0]!r}" + (" or another one" if len(others) > 1 else "")
        problem = f"no {kind} has the attribute {attribute!r}, they have {short(others, 120)}"
        raise ValueError(f"{problem}; {fix}, or {kind}_attribute=None for {kind}s without labels")
    return None


def _edge_list(graph: nx.Graph, node_attribute: str | None, edge_attribute: str | None, directed: bool) -> EdgeList:
    def text(kind: str, element: Any, attribute: str | None, attributes: dict[Any, Any]) -> str:
        if attribute is None:
            return kind
        if attribute not in attributes:
            raise ValueError(
                f"has the {kind} {short(element)} without the attribute {attribute!r}, which others have"
            )
        return label_text(attributes[attribute])

    position = {node: i for i, node in enumerate(graph)}
    nodes = [text("node", node, node_attribute, a) for node, a in graph.nodes(data=True)]
    edges = [
        (position[u], position[v], text("edge", (u, v), edge_attribute, a)) for u, v, a in graph.edges(data=True)
    ]
    if directed and not graph.is_directed():
        edges += [(j, i, label) for i, j, label in edges]
    if directed or graph.is_multigraph():
        edges, _ = combined_edges(edges, directed)
    return nodes, edges


def label_text(value: Any) -> str:
    """The label of a node or edge as a string: text, truth values, and finite numbers (1.0 is "1")."""
    if isinstance(value, str):
        text = str.__str__(value)
        if not is_unicode(text):
            raise ValueError(f"has the label {short(text)}, which is no valid Unicode (a lone surrogate)")
        return text
    if type(value).__name__ == "bool":  # also numpy's
        return str(value)
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real) and math.isfinite(number := float(value)):
        return str(int(number)) if number.is_integer() else repr(number)
    raise ValueError(f"has the label {short(value)}; labels are strings or finite numbers")


def is_unicode(text: str) -> bool:
    """Test whether a text has no lone surrogate, which no file can hold."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def short(value: Any, limit: int = 60) -> str:
    """The repr of a value for an error message, cut to about `limit` characters."""
    text = repr(value[:1000] if isinstance(value, (str, bytes, list, tuple)) else value)
    return text if len(text) <= limit else f"{text[: limit - 20]}...{text[-15:]}"


def to_edge_lists(graphs: GraphBatch) -> list[EdgeList]:
    """Inverse of `from_edge_lists`, of the rounded graphs; absent nodes are left out and nodes renumbered."""
    names, (offsets, node_labels, pairs, edge_labels) = graphs.vocabulary, (part.cpu() for part in graphs.lists())
    nodes = [names.node_labels[k - 1] for k in node_labels.tolist()]
    graph = torch.searchsorted(offsets, pairs[0], right=True) - 1  # of each pair
    kinds = [names.edge_labels[r - 1] for r in names.label_of[edge_labels.long()].tolist()]
    i, j = pairs - offsets[graph]
    backward = edge_labels > len(names.edge_labels)
    links = list(zip(i.where(~backward, j).tolist(), j.where(~backward, i).tolist(), kinds))
    cuts, link_cuts = offsets.tolist(), torch.searchsorted(pairs[0].contiguous(), offsets).tolist()
    return [(nodes[a:b], links[c:d]) for a, b, c, d in zip(cuts, cuts[1:], link_cuts, link_cuts[1:])]


def to_networkx(graph: GraphBatch) -> list[nx.Graph]:
    """Convert the rounded graphs to networkx.

    Args:
        graph: A batch of B graphs.

    Returns:
        B graphs with the attribute `label` on nodes and edges, directed if the vocabulary is; nodes are the numbers
            of their slots.
    """
    names = graph.vocabulary
    both = {label for r, label in enumerate(names.edge_labels, 1) if r not in names.directed_labels}
    converted, slots = [], None
    if isinstance(graph, Graph):
        slots = [(nodes > 0).nonzero()[:, 0].tolist() for nodes in graph.labels()[0].cpu()]
    for b, (nodes, edges) in enumerate(to_edge_lists(graph)):
        place = range(len(nodes)) if slots is None else slots[b]
        one: nx.Graph = nx.DiGraph() if names.directed else nx.Graph()
        one.add_nodes_from((place[i], {"label": label}) for i, label in enumerate(nodes))
        one.add_edges_from((place[i], place[j], {"label": label}) for i, j, label in edges)
        if names.directed:
            one.add_edges_from((place[j], place[i], {"label": label}) for i, j, label in edges if label in both)
        converted.append(one)
    return converted
