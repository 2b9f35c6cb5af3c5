"""psi_theta: relaxed graphs to points of the unit sphere (paper section on the learned embedding)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from elekit.graphs import _schema, projections
from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary, by_blocks, check_labels
from elekit.graphs.packed import PackedGraphs, RelaxedPackedGraphs
from elekit.graphs.prior import GraphPrior
from elekit.model.health import Health
from elekit.model.loss import BATCH_SIZE, points_of

History = list[dict[str, Any]]  # one dict per validation of a training
SHAPES = ("local", "global")
BLOCK_PAIRS = 2**20  # pairs of nodes of which closed walks are counted at a time


EMBEDDING_FIELDS = _schema.fields(
    {},
    {
        "hidden": _schema.whole(1, 16_384),
        "rounds": _schema.whole(0, 64),
        "dim": _schema.whole(1, 65_536),
        "walks": _schema.whole(0, 64),
        "shape": _schema.one_of(*SHAPES),
    },
)


@dataclass(frozen=True)
class EmbeddingConfig:
    """Architecture of psi.

    Args:
        hidden: Width H of node states.
        rounds: Rounds of message passing.
        dim: Dimension D of the embedding space.
        walks: Closed walks of length 3 to this are counted per node; message passing alone cannot separate some
            regular graphs.
        shape: "local": the state of a node depends on what is within `rounds` edges, and the states after every
            round are summed, so that one edit moves the point a little and many edits move it far. "global": each
            round adds a message from the whole graph, and only the last states are summed.
    """

    hidden: int = 64
    rounds: int = 3
    dim: int = 512
    walks: int = 8
    shape: str = "local"

    def __post_init__(self) -> None:
        EMBEDDING_FIELDS(vars(self), "the embedding")

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read the fields of an artifact; those without a shape are of earlier versions, and global.

        Args:
            fields: The fields by name.

        Returns:
            The architecture.
        """
        return cls(**{"shape": "global", **fields})


class GraphEmbedding(nn.Module):
    """psi_theta: graphs to unit vectors (B, D), by relational message passing.

    Permutation-invariant, differentiable in the graph, and independent of the values at absent nodes. Dense and
    packed forms of a graph have one point. Time and memory for packed graphs follow their nodes and listed pairs.
    `typical` holds the marginal frequencies of the training graphs, `prior` what they have in common, `history` the
    course of the training, and `health` the verdict on it.

    Args:
        vocabulary: Labels of the graphs.
        config: Architecture.
    """

    reads_packed = True

    def __init__(self, vocabulary: GraphVocabulary, config: EmbeddingConfig = EmbeddingConfig()):
        super().__init__()
        self.vocabulary, self.config = vocabulary, config
        self.typical: Graph | None = None
        self.history: History = []
        self.health: Health | None = None
        self.prior: GraphPrior | None = None
        H, relations, walks = config.hidden, vocabulary.R - 1, max(0, config.walks - 2)
        if config.shape == "local":
            self.enter = nn.Linear(vocabulary.K - 1 + relations, H)
            self.walks = nn.Linear(H + walks, 2 * H) if walks else None
            self.rounds = nn.ModuleList(_LocalRound(H, relations) for _ in range(config.rounds))
            self.read = nn.ModuleList(nn.Linear(H, 2 * H) for _ in range(config.rounds + 1))
            reads = config.rounds + 1 + bool(walks)
            self.leave = nn.ModuleList(nn.Linear(2 * H, config.dim) for _ in range(reads))
        else:
            self.enter = nn.Linear(vocabulary.K + relations + walks, H)
            self.rounds = nn.ModuleList(_Round(H, relations) for _ in range(config.rounds))
            self.gate = nn.Linear(H, config.dim)
            self.value = nn.Linear(H, config.dim)

    def forward(self, graph: GraphBatch) -> Tensor:
        """Embed a batch of graphs.

        Args:
            graph: B graphs, dense or packed, with the labels of the vocabulary.

        Returns:
            (B, D) unit vectors, on the device of the graphs.

        Raises:
            ValueError: If the graphs have other labels.
        """
        if not isinstance(graph, Graph) and self._reads_blocks(graph):
            dtype = self.enter.weight.dtype
            return by_blocks(lambda block: self(block.to(dtype)), graph, BATCH_SIZE)
        links = self._links(graph)
        if self.is_local:
            reads = self._local(links)
            pooled = torch.stack([leave(links.total(read)) for leave, read in zip(self.leave, reads)]).sum(0)
        else:
            pooled = links.total(self._global(links))
        return projections.sphere(pooled).to(links.device)

    def contributions(self, graph: GraphBatch, basis: Tensor) -> Tensor:
        """What each node adds to the point of its graph.

        Args:
            graph: B graphs of S nodes in all (B times N if they are dense).
            basis: (D, m) directions.

        Returns:
            (S, m) contributions along these; the sums over the nodes of each graph plus `offset`, normalized, are the
            points.
        """
        links = self._links(graph)
        if not self.is_local:
            return self._global(links) @ basis
        weights = torch.cat([leave.get_parameter("weight") for leave in self.leave], 1)
        return torch.cat(self._local(links), 1) @ (weights.T @ basis)

    @property
    def is_local(self) -> bool:
        """Whether the state of a node depends only on what is near it."""
        return self.config.shape == "local"

    @property
    def offset(self) -> Tensor:
        """(D,) what is added to the sum of `contributions`."""
        if not self.is_local:
            return torch.zeros_like(self.gate.bias)
        return torch.stack([leave.get_parameter("bias") for leave in self.leave]).sum(0)

    def widened(self, max_nodes: int) -> "GraphEmbedding":
        """Copy a local psi for graphs that are larger than those of its training.

        What a node adds to a point depends only on what is near it, so psi does not depend on `max_nodes`. How well
        it tells larger graphs apart must be measured: health is that of the training.

        Args:
            max_nodes: Largest number of nodes, at least that of the vocabulary.

        Returns:
            The same psi, with the same points, in evaluation mode.

        Raises:
            ValueError: If psi is global, or `max_nodes` is smaller than that of the vocabulary.
        """
        known = self.vocabulary.max_nodes
        if not self.is_local:
            raise ValueError(f"a global psi knows graphs of up to {known} nodes; train one on larger graphs")
        if max_nodes < known:
            raise ValueError(f"max_nodes must be at least {known}, as in the training, got {max_nodes}")
        vocabulary = replace(self.vocabulary, max_nodes=max_nodes)
        other = GraphEmbedding(vocabulary, self.config).to(self.enter.weight)
        other.load_state_dict(self.state_dict())
        other.history, other.health = self.history, self.health
        if self.typical is not None:
            other.typical = replace(self.typical.dense(max_nodes), vocabulary=vocabulary)
        if self.prior is not None:
            other.prior = replace(self.prior, pieces=replace(self.prior.pieces, vocabulary=vocabulary))
        return other.eval()

    def _reads_blocks(self, graph: GraphBatch) -> bool:
        """Whether packed graphs are embedded in dense blocks, which on a CPU take less time than most lists."""
        return not (self.enter.weight.is_cuda or (self.is_local and isinstance(graph, PackedGraphs)))

    def _links(self, graph: GraphBatch) -> "_Links":
        if graph.vocabulary is not self.vocabulary:
            check_labels(graph.vocabulary, self.vocabulary, "graphs of another vocabulary", "this embedding")
        weight = self.enter.weight
        if isinstance(graph, PackedGraphs):
            return _PackedLinks(graph.to(weight.device).relaxed().to(weight.dtype), graph.offsets.device)
        if isinstance(graph, RelaxedPackedGraphs):
            return _PackedLinks(graph.to(weight.device), graph.nodes.device)
        if not isinstance(graph, Graph):
            raise TypeError(f"psi embeds dense or packed graphs, got a {type(graph).__name__}")
        return _DenseLinks(graph.to(weight.device), graph.nodes.device)

    def _local(self, links: "_Links") -> list[Tensor]:
        """What is read from the nodes, one (S, 2H) for each of `leave`, 0 at absent nodes."""
        states = self.local_states(links)
        reads = [silu(read(state)) for read, state in zip(self.read, states)]
        if self.walks is not None:
            reads.append(self.read_walks(states[0], links.closed_walks(self.config.walks)))
        return [read * links.present for read in reads]

    def local_states(self, graph: "GraphBatch | _Links") -> list[Tensor]:
        """The node states of a local psi at first and after each round.

        Args:
            graph: B graphs of S nodes in all.

        Returns:
            rounds + 1 tensors (S, H).
        """
        links = graph if isinstance(graph, _Links) else self._links(graph)
        states = [self.enter(torch.cat([links.nodes[:, 1:], links.degrees()], -1))]
        for message_round in self.rounds:
            states.append(message_round(states[-1], links))
        return states

    def count_walks(self, adjacency: Tensor) -> Tensor:
        """Count closed walks.

        Args:
            adjacency: (B, N, N) weights of edges.

        Returns:
            (B, N, walks - 2): log(1 + number of closed walks of length 3, 4, ... from each node).
        """
        return _closed_walks(adjacency, self.config.walks)

    def read_walks(self, state: Tensor, walks: Tensor) -> Tensor:
        """Read the counts of closed walks; no message carries them, so that an edit changes little else.

        Args:
            state: (S, H) first states.
            walks: (S, walks - 2) log(1 + number of closed walks) of each length from 3 on.

        Returns:
            (S, 2H).
        """
        assert self.walks is not None
        return silu(self.walks(torch.cat([state, walks], -1)))

    def _global(self, links: "_Links") -> Tensor:
        """(S, D), 0 at absent nodes."""
        walks = links.closed_walks(self.config.walks)
        state = self.enter(torch.cat([links.nodes, links.degrees(), walks], -1))
        for message_round in self.rounds:
            state = message_round(state, links)
        contributions: Tensor = links.present * torch.sigmoid(self.gate(state)) * self.value(state)
        return contributions

    def embed(self, graph: GraphBatch) -> Tensor:
        """Embed many graphs in bounded memory, without gradients.

        Args:
            graph: Any number B of graphs.

        Returns:
            (B, D) unit vectors on the CPU.

        Raises:
            FloatingPointError: If a vector is not finite, as with damaged weights.
        """
        return points_of(self, graph).cpu() if len(graph) else torch.empty(0, self.config.dim)


class _LocalRound(nn.Module):
    """state + SiLU(LayerNorm(own state + map of the sum of neighbors, each scaled by its edge label))."""

    def __init__(self, H: int, relations: int):
        super().__init__()
        self.own = nn.Linear(H, 2 * H)
        self.scale = nn.Parameter(torch.randn(relations, H))  # of each edge label
        self.back = nn.Linear(H, H)
        self.norm = nn.LayerNorm(H)

    def forward(self, state: Tensor, links: "_Links") -> Tensor:
        own, sent = self.send(state)
        return self.receive(state, own, links.gather_scaled(sent, self.scale))

    def send(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """(S, H) each: what a node keeps and what it sends."""
        own, sent = self.own(state).chunk(2, -1)
        return own, sent

    def receive(self, state: Tensor, own: Tensor, received: Tensor) -> Tensor:
        """New states (S, H) from what was kept and the sums of what was sent."""
        return state + silu(self.norm(own + self.back(silu(received))))


class _Round(nn.Module):
    """state + SiLU(LayerNorm(own state + messages along each edge label + sum over the whole graph))."""

    def __init__(self, H: int, relations: int):
        super().__init__()
        self.own = nn.Linear(H, H)
        self.along = nn.Linear(H, relations * H, bias=False)  # one map per edge label
        self.whole = nn.Linear(H, H, bias=False)
        self.norm = nn.LayerNorm(H)

    def forward(self, state: Tensor, links: "_Links") -> Tensor:
        S, H = state.shape
        messages = links.gather(self.along(state).reshape(S, -1, H))
        whole = self.whole(links.total(links.present * state))[links.rows]
        return state + silu(self.norm(self.own(state) + messages + whole))


class _Links(ABC):
    """The nodes of a batch as one list (S), and sums along edges, which are weighted by the presence of both ends.

    nodes: (S, K) rows. present: (S, 1). rows: (S,) graph of each node. device: of the graphs that were given.
    """

    nodes: Tensor
    present: Tensor
    rows: Tensor
    device: torch.device

    @abstractmethod
    def degrees(self) -> Tensor:
        """(S, R-1): weights of the edges of each label."""

    @abstractmethod
    def gather(self, values: Tensor) -> Tensor:
        """(S, H): the sum over neighbors and edge labels of weight times value; values: (S, R-1, H)."""

    @abstractmethod
    def gather_scaled(self, values: Tensor, scale: Tensor) -> Tensor:
        """`gather` of the values (S, H), multiplied by a scale (R-1, H) of each edge label."""

    @abstractmethod
    def total(self, values: Tensor) -> Tensor:
        """(B, D): sums over the nodes of each graph of (S, D)."""

    @abstractmethod
    def closed_walks(self, longest: int) -> Tensor:
        """(S, longest - 2): log(1 + number of closed walks of length 3, 4, ... from each node)."""


class _DenseLinks(_Links):
    def __init__(self, graph: Graph, device: torch.device):
        self.B, self.N = graph.nodes.shape[:2]
        self.nodes, self.device = graph.nodes.flatten(0, 1), device
        self.rows = torch.arange(self.B, device=self.nodes.device).repeat_interleave(self.N)
        present = graph.presence()[..., None]  # (B, N, 1)
        self.links = graph.edges[..., 1:] * present[:, :, None] * present[:, None]  # (B, N, N, R-1)
        self.present = present.flatten(0, 1)

    def degrees(self) -> Tensor:
        return self.links.sum(2).flatten(0, 1)

    def gather(self, values: Tensor) -> Tensor:
        H = values.shape[-1]
        sums = self.links.flatten(2) @ values.reshape(self.B, -1, H)  # (B, N, N*(R-1)) @ (B, N*(R-1), H)
        return sums.reshape(-1, H)

    def gather_scaled(self, values: Tensor, scale: Tensor) -> Tensor:
        return self.gather(values[:, None] * scale)

    def total(self, values: Tensor) -> Tensor:
        return values.reshape(self.B, self.N, -1).sum(1)

    def closed_walks(self, longest: int) -> Tensor:
        return _closed_walks(self.links.sum(-1), longest).flatten(0, 1)


class _PackedLinks(_Links):
    def __init__(self, graph: RelaxedPackedGraphs, device: torch.device):
        self.nodes, self.rows, self.device = graph.nodes, graph.rows, device
        self.offsets, self.pairs, self.B = graph.offsets, graph.pairs, len(graph)
        self.present = graph.presence()[:, None]
        i, j = graph.pairs
        self.weights = graph.edges[:, 1:] * self.present[i] * self.present[j]  # (P, R-1)
        self.target, self.source = torch.cat([i, j]), torch.cat([j, i])  # both directions
        self.both = torch.cat([self.weights, graph.vocabulary.turn_rows(self.weights)])

    def _add(self, messages: Tensor) -> Tensor:
        return messages.new_zeros(len(self.nodes), messages.shape[1]).index_add(0, self.target, messages)

    def degrees(self) -> Tensor:
        return self._add(self.both)

    def gather(self, values: Tensor) -> Tensor:
        return self._add((values[self.source] * self.both[..., None]).sum(1))

    def gather_scaled(self, values: Tensor, scale: Tensor) -> Tensor:
        return self._add(values[self.source] * (self.both @ scale))

    def total(self, values: Tensor) -> Tensor:
        return values.new_zeros(self.B, values.shape[1]).index_add(0, self.rows, values)

    def closed_walks(self, longest: int) -> Tensor:
        """In dense blocks of graphs of similar size, since powers of sparse matrices fill up."""
        if longest < 3:
            return self.nodes.new_zeros(len(self.nodes), 0)
        sizes = self.offsets.diff()
        place = torch.arange(len(self.rows), device=self.rows.device) - self.offsets[self.rows]
        weights, of_pair = self.weights.sum(1), self.rows[self.pairs[0]]
        order = sizes.argsort()
        ascending, start, counts, nodes = sizes[order].tolist(), 0, [], []
        slot = torch.empty_like(order)  # of a graph within its block
        while start < self.B:
            stop = self.B
            while stop > start + 1 and (stop - start) * ascending[stop - 1] ** 2 > BLOCK_PAIRS:
                stop = start + (stop - start + 1) // 2
            N, block = max(1, ascending[stop - 1]), order[start:stop]
            chosen = torch.zeros(self.B, dtype=torch.bool, device=order.device)
            chosen[block] = True
            slot[block] = torch.arange(len(block), device=order.device)
            own, edges = chosen[self.rows].nonzero()[:, 0], chosen[of_pair].nonzero()[:, 0]
            (i, j), b = place[self.pairs[:, edges]], slot[of_pair[edges]]
            flat = weights.new_zeros(len(block) * N * N)
            flat = flat.index_add(0, torch.cat([(b * N + i) * N + j, (b * N + j) * N + i]), weights[edges].repeat(2))
            walks = _closed_walks(flat.reshape(len(block), N, N), longest)
            counts.append(walks[slot[self.rows[own]], place[own]])
            nodes.append(own)
            start = stop
        if not counts:
            return self.nodes.new_zeros(0, longest - 2)
        found = torch.cat(counts)
        return found.new_zeros(len(self.nodes), longest - 2).index_copy(0, torch.cat(nodes), found)


def _closed_walks(adjacency: Tensor, longest: int) -> Tensor:
    """(B, N, longest - 2): log(1 + number of closed walks of length 3, 4, ... from each node)."""
    if longest < 3:
        return adjacency.new_zeros(*adjacency.shape[:2], 0)
    powers = [adjacency, adjacency @ adjacency]
    while 2 * len(powers) < longest:
        powers.append(powers[-1] @ adjacency)
    # the diagonal of a product of two powers, which are symmetric
    counts = [(powers[(k - 1) // 2] * powers[k - (k - 1) // 2 - 2]).sum(-1) for k in range(3, longest + 1)]
    return torch.stack(counts, -1).clamp_min(0).log1p()
