"""The two values that everything shares: `GraphVocabulary` and the batched relaxed `Graph` (floor 0).

A graph is a point of a polytope: each node a mixture over labels (channel 0 = "absent"), each unordered
pair of nodes a mixture over edge labels (channel 0 = "no edge"). A discrete graph is a vertex of it.
"""

import hashlib
import numbers
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import networkx as nx
import torch
from torch import Tensor

from elekit.graphs import projections

MAX_LABELS = 127  # channel numbers are stored as int8


@dataclass(frozen=True)
class GraphVocabulary:
    """What graphs are made of; a checkpoint is held against it.

    node_labels, edge_labels: names, without the "absent" and "no edge" channels that come before them.
    max_nodes: slots N of the dense tensors.
    capacity: for each node label, how much edge order a node may carry (a valence); None = no limit.
    order: for each edge label, what it takes of that capacity; None = 1 each.
    """

    node_labels: tuple[str, ...]
    edge_labels: tuple[str, ...]
    max_nodes: int
    capacity: tuple[float, ...] | None = None
    order: tuple[float, ...] | None = None

    def __post_init__(self):
        for name in ("node_labels", "edge_labels"):
            labels = tuple(getattr(self, name))
            object.__setattr__(self, name, labels)
            if not labels or len(set(labels)) != len(labels):
                raise ValueError(f"{name} must be distinct and not empty, got {labels!r}")
            if len(labels) > MAX_LABELS:
                raise ValueError(
                    f"{name} has {len(labels)} labels, at most {MAX_LABELS} go; are they names, not kinds?"
                )
        for name, labels in (("capacity", self.node_labels), ("order", self.edge_labels)):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, tuple(float(v) for v in values))
                if len(values) != len(labels):
                    raise ValueError(f"{name} has {len(values)} values for {len(labels)} labels {labels!r}")
        if self.max_nodes < 1:
            raise ValueError(f"max_nodes must be at least 1, got {self.max_nodes}")

    @property
    def K(self) -> int:
        """Node channels, "absent" included."""
        return len(self.node_labels) + 1

    @property
    def R(self) -> int:
        """Edge channels, "no edge" included."""
        return len(self.edge_labels) + 1

    def edge_orders(self) -> Tensor:
        """(R,) what each edge channel takes of a node's capacity; "no edge" takes 0."""
        return torch.tensor([0.0, *(self.order or [1.0] * len(self.edge_labels))])

    def node_capacities(self) -> Tensor:
        """(K,) capacity of each node channel, infinite where there is no limit; "absent" carries nothing."""
        return torch.tensor([0.0, *(self.capacity or [float("inf")] * len(self.node_labels))])

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict) -> "GraphVocabulary":
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


@dataclass(frozen=True, eq=False)
class Graph:
    """A batch of B relaxed graphs of up to N nodes. Always probabilities, never logits.

    nodes: (B, N, K), rows on the simplex, channel 0 = absent.
    edges: (B, N, N, R), symmetric, rows on the simplex, channel 0 = no edge, diagonal all "no edge".
    """

    nodes: Tensor
    edges: Tensor
    vocabulary: GraphVocabulary

    def __post_init__(self):
        B, N = self.nodes.shape[:2]
        K, R = self.vocabulary.K, self.vocabulary.R
        if self.nodes.shape != (B, N, K) or self.edges.shape != (B, N, N, R):
            raise ValueError(
                f"nodes {tuple(self.nodes.shape)} and edges {tuple(self.edges.shape)} do not fit the vocabulary: "
                f"want (B, N, {K}) and (B, N, N, {R})"
            )

    # -- making ------------------------------------------------------------------------------------------------
    @classmethod
    def from_labels(cls, node_labels: Tensor, edge_labels: Tensor, vocabulary: GraphVocabulary) -> "Graph":
        """Vertices of the polytope from channel numbers: node_labels (B, N), edge_labels (B, N, N), integers."""
        nodes = torch.nn.functional.one_hot(node_labels.long(), vocabulary.K).float()
        edges = torch.nn.functional.one_hot(edge_labels.long(), vocabulary.R).float()
        return cls(nodes, edges, vocabulary)

    @classmethod
    def cat(cls, graphs: Sequence["Graph"]) -> "Graph":
        """One batch out of several of the same vocabulary."""
        return cls(torch.cat([g.nodes for g in graphs]), torch.cat([g.edges for g in graphs]), graphs[0].vocabulary)

    def average(self) -> "Graph":
        """One relaxed graph whose node and pair rows are the batch's marginal frequencies; batch of one.

        Pairs count where both nodes are there. Every slot gets the same row, since slots have no meaning.
        """
        N = self.nodes.shape[1]
        both = self.presence()[:, :, None] * self.presence()[:, None, :]
        both = both * (1 - torch.eye(N, device=both.device))
        pair = (self.edges * both[..., None]).sum((0, 1, 2))
        pair = pair / pair.sum() if pair.sum() > 0 else self.edges.new_tensor([1.0] + [0.0] * (self.vocabulary.R - 1))
        nodes = self.nodes.mean((0, 1)).expand(1, N, -1)
        return replace(self, nodes=nodes, edges=pair.expand(1, N, N, -1)).symmetrized()

    # -- asking ------------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return self.nodes.shape[0]

    def __getitem__(self, index) -> "Graph":
        """A smaller batch; an integer gives a batch of one."""
        if isinstance(index, numbers.Integral) or (torch.is_tensor(index) and index.ndim == 0):
            index = int(index)
            if not -len(self) <= index < len(self):
                raise IndexError(f"graph {index} of a batch of {len(self)}")
            index = slice(index, index + 1 or None)
        return replace(self, nodes=self.nodes[index], edges=self.edges[index])

    def __iter__(self):
        return (self[b] for b in range(len(self)))

    def __repr__(self) -> str:
        return f"Graph(B={len(self)}, N={self.nodes.shape[1]}, K={self.vocabulary.K}, R={self.vocabulary.R})"

    def blocks(self, together: int) -> Iterator[tuple[Tensor, "Graph"]]:
        """All graphs, at most so many at a time, with the numbers of their rows; another kind may change the order."""
        for start in range(0, len(self), together):
            part = self[start : start + together]
            yield torch.arange(start, start + len(part)), part

    def presence(self) -> Tensor:
        """(B, N) how much of each node is there, in [0, 1]."""
        return 1 - self.nodes[..., 0]

    def labels(self) -> tuple[Tensor, Tensor]:
        """Most probable channel of each node (B, N) and, between nodes that are there, of each edge (B, N, N)."""
        node_labels = self.nodes.argmax(-1)
        there = node_labels > 0
        edge_labels = self.edges.argmax(-1) * (there[:, :, None] & there[:, None, :])
        return node_labels, edge_labels

    def valence_violation(self) -> Tensor:
        """(B,) how far nodes exceed their capacity, summed over nodes; 0 = every valence respected. Differentiable.

        `sum_i p_i relu(sum_jr order_r e_ijr p_j - sum_k capacity_k n_ik / p_i)`, p = presence.
        """
        if self.vocabulary.capacity is None:
            return self.nodes.new_zeros(len(self))
        order = self.vocabulary.edge_orders().to(self.edges)
        capacity = self.vocabulary.node_capacities().to(self.nodes)
        capacity = torch.where(capacity.isinf(), order.max() * self.nodes.shape[1], capacity)  # more than any load
        present = self.presence()
        load = ((self.edges @ order) * present[:, None, :]).sum(-1)
        return (present * load - self.nodes @ capacity).clamp_min(0).sum(-1)

    def digest(self) -> str:
        """sha256 of the rounded batch and its labels; tells which data a model was trained on."""
        running = hashlib.sha256(repr(self.vocabulary).encode())
        for labels in self.labels():
            running.update(labels.to(torch.int8).cpu().contiguous().numpy().tobytes())
        return running.hexdigest()

    def check(self, tolerance: float = 1e-3) -> "Graph":
        """The graph itself if it lies in the polytope; otherwise a ValueError that names the graph and the mend."""
        for name, tensor in (("nodes", self.nodes), ("edges", self.edges)):
            flat = tensor.flatten(1)
            self._refuse(~torch.isfinite(flat).all(-1), f"{name} hold NaN or infinity", "use finite probabilities")
            sums = (tensor.sum(-1) - 1).abs().flatten(1).amax(-1)
            off = (flat.amin(-1) < -tolerance) | (sums > tolerance)
            self._refuse(off, f"{name} rows are not on the simplex", "use project.polytope")
        gap = (self.edges - self.edges.transpose(1, 2)).abs().flatten(1).amax(-1)
        largest = "".join(f"{g:.2g}" for g in gap[gap > tolerance][:1].tolist())  # of the graph that is named
        self._refuse(gap > tolerance, f"edges not symmetric, largest gap {largest}", "use Graph.symmetrized()")
        loops = 1 - self.edges.diagonal(dim1=1, dim2=2)[:, 0].amin(-1)
        self._refuse(loops > tolerance, "a node has an edge to itself", "use Graph.symmetrized()")
        return self

    @staticmethod
    def _refuse(bad: Tensor, what: str, mend: str):
        if bad.any():
            raise ValueError(f"{what} in graph {int(bad.nonzero()[0])} ({int(bad.sum())} of {len(bad)}); {mend}")

    # -- changing (a new graph each time) ----------------------------------------------------------------------
    def to(self, *args, **kwargs) -> "Graph":
        """On another device or dtype, as torch's own `to`."""
        return replace(self, nodes=self.nodes.to(*args, **kwargs), edges=self.edges.to(*args, **kwargs))

    def detach(self) -> "Graph":
        return replace(self, nodes=self.nodes.detach(), edges=self.edges.detach())

    def symmetrized(self) -> "Graph":
        return replace(self, edges=projections.symmetric(self.edges))

    def rounded(self) -> "Graph":
        """Nearest vertex: the most probable labels, no edges at absent nodes."""
        return Graph.from_labels(*self.labels(), self.vocabulary).to(self.nodes.dtype)

    def permuted(self, order: Tensor) -> "Graph":
        """Nodes in another order; order: (N,) for all, or (B, N) one for each graph."""
        order = order.expand(len(self), -1)
        rows = torch.arange(len(self), device=order.device)[:, None]
        return replace(
            self,
            nodes=self.nodes[rows, order],
            edges=self.edges[rows[..., None], order[:, :, None], order[:, None, :]],
        )


def from_networkx(
    graphs: Iterable[nx.Graph],
    vocabulary: GraphVocabulary | None = None,
    *,
    node_attribute: str = "label",
    edge_attribute: str = "label",
    max_nodes: int | None = None,
) -> Graph:
    """Labeled undirected networkx graphs as one batch of vertices.

    Without a vocabulary one is made of the labels found (sorted). Nodes or edges without the attribute get the
    label "node" or "edge". Node order is that of the networkx graph.
    Raises ValueError, naming the graph, for an empty list, directed graphs, multigraphs, self-loops, graphs
    without nodes or with more than max_nodes, and labels that the vocabulary lacks.
    """
    graphs = list(graphs)
    if not graphs:
        raise ValueError("no graphs given: from_networkx needs at least one")
    drawn = [_read_networkx(i, g, node_attribute, edge_attribute) for i, g in enumerate(graphs)]
    if vocabulary is None:
        vocabulary = GraphVocabulary(
            tuple(sorted({label for nodes, _ in drawn for label in nodes})),
            tuple(sorted({label for _, edges in drawn for *_, label in edges})) or ("edge",),
            max_nodes or max(len(nodes) for nodes, _ in drawn),
        )
    return from_edge_lists(drawn, vocabulary)


def from_edge_lists(
    parts: Sequence[tuple[list[str], list[tuple[int, int, str]]]], vocabulary: GraphVocabulary
) -> Graph:
    """One batch from (node labels, [(i, j, edge label), ...]) pairs; the same errors as `from_networkx`."""
    return Graph.from_labels(*label_tensors(parts, vocabulary), vocabulary)


def label_tensors(parts, vocabulary: GraphVocabulary) -> tuple[Tensor, Tensor]:
    """Channel numbers (B, N) and (B, N, N), int8, of (node labels, edge triples) pairs."""
    N = vocabulary.max_nodes
    node_channel = {label: k + 1 for k, label in enumerate(vocabulary.node_labels)}
    edge_channel = {label: r + 1 for r, label in enumerate(vocabulary.edge_labels)}
    node_labels = torch.zeros(len(parts), N, dtype=torch.int8)
    edge_labels = torch.zeros(len(parts), N, N, dtype=torch.int8)
    for b, (nodes, edges) in enumerate(parts):
        if len(nodes) > N:
            raise ValueError(
                f"graph {b} has {len(nodes)} nodes, the vocabulary allows {N}; raise max_nodes or leave it out"
            )
        try:
            if nodes:
                node_labels[b, : len(nodes)] = torch.tensor(
                    [node_channel[label] for label in nodes], dtype=torch.int8
                )
            for i, j, label in edges:
                edge_labels[b, i, j] = edge_labels[b, j, i] = edge_channel[label]
        except KeyError as unknown:
            raise ValueError(
                f"graph {b} has the label {unknown.args[0]!r}, unknown to the vocabulary "
                f"(nodes {list(vocabulary.node_labels)}, edges {list(vocabulary.edge_labels)})"
            ) from None
    return node_labels, edge_labels


def _read_networkx(index: int, graph: nx.Graph, node_attribute: str, edge_attribute: str):
    if not isinstance(graph, nx.Graph):
        kind = type(graph).__name__
        raise ValueError(f"graph {index} is no networkx graph but a {kind}; give a list of networkx graphs")
    if graph.is_directed() or graph.is_multigraph():
        kind = "a multigraph" if graph.is_multigraph() else "directed"
        raise ValueError(f"graph {index} is {kind}; convert it with networkx.Graph(graph) first")
    if graph.number_of_nodes() == 0:
        raise ValueError(f"graph {index} has no nodes; leave it out")
    loop = next(iter(nx.selfloop_edges(graph)), None)
    if loop is not None:
        raise ValueError(f"graph {index} has a self-loop at node {loop[0]!r}; remove it with graph.remove_edges_from")
    position = {node: i for i, node in enumerate(graph)}
    nodes = [str(attributes.get(node_attribute, "node")) for _, attributes in graph.nodes(data=True)]
    edges = [(position[u], position[v], str(a.get(edge_attribute, "edge"))) for u, v, a in graph.edges(data=True)]
    return nodes, edges


def to_networkx(graph: Graph) -> list[nx.Graph]:
    """The batch, rounded, as networkx graphs with a `label` on each node and edge."""
    node_labels, edge_labels = (t.cpu() for t in graph.labels())
    drawn = []
    for nodes, edges in zip(node_labels, edge_labels):
        made = nx.Graph()
        made.add_nodes_from(
            (i, {"label": graph.vocabulary.node_labels[nodes[i] - 1]}) for i in nodes.nonzero()[:, 0].tolist()
        )
        for i, j in edges.triu(1).nonzero().tolist():
            made.add_edge(i, j, label=graph.vocabulary.edge_labels[edges[i, j] - 1])
        drawn.append(made)
    return drawn
