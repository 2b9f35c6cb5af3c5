"""The graph head: a backbone whose output is a relaxed graph y_W(x), with `h_W(x) = psi(y_W(x))`.

psi is differentiable and permutation-invariant, so the learned loss trains y_W end to end without matching nodes.
h(x) then lies at or near a graph, and decoding is little more than rounding. This head is not part of the paper.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.model.loss import Psi
from elekit.model.surrogate.config import Backbone, SequenceBackbone

SPARE_SLOTS = 3  # slots of a graph beyond `max_nodes`
CHANNELS, ALL_CHANNELS = (8, 48), 640  # of the bilinear form that scores each edge label: few, where there are many
NO_EDGE_BIAS = 2.0  # initial logit of "no edge"
DISTRACTORS, DISTRACTING = 4, 0.1  # places of a text that may be taken for nodes, from this probability on
MASKED = -1e4  # logit of a node label at padding
ROUNDED_SHARE = 0.5  # share of decided graphs that are rounded during training
DECIDED_POWER = 12  # of the mean largest node probability, for the degree to which a graph is decided


class GraphBackbone(Backbone):
    """u_W(x) = psi(y_W(x)): any backbone as the reader, a head that makes a graph of what it read, and psi, frozen.

    psi is not part of the weights; `set_psi` replaces it.
    """

    psi: Psi

    def __init__(self, reader: Backbone, dim: int, vocabulary: GraphVocabulary, psi: Psi):
        super().__init__()
        self.reader, self.config = reader, reader.config
        self.head = GraphHead(reader, dim, vocabulary)
        self.set_psi(psi)

    def set_psi(self, psi: Psi) -> None:
        """Embed the graphs by another psi (a module is copied)."""
        if isinstance(psi, nn.Module):
            psi = copy.deepcopy(psi).eval().requires_grad_(False)
        object.__setattr__(self, "psi", psi)  # not a submodule: neither trained nor saved

    def forward(self, inputs: Any) -> Tensor:
        relaxed = self.graphs(inputs)
        return self.embed(round_at_random(relaxed) if self.training else relaxed)

    def embed(self, relaxed: Graph) -> Tensor:
        """u_W of graphs that `graphs` returned."""
        points = self.psi(relaxed)
        if relaxed.nodes.requires_grad and not points.requires_grad:
            raise ValueError("this psi has no gradient and cannot train a graph head; use through='point'")
        return points

    def graphs(self, inputs: Any) -> Graph:
        """y_W(x): relaxed graphs, in up to `max_nodes + SPARE_SLOTS` slots."""
        if isinstance(self.reader, SequenceBackbone):
            graphs: Graph = self.head(*self.reader.read(inputs))
        else:
            graphs = self.head(None, None, self.reader(inputs))
        return graphs

    def aligned_loss(self, inputs: Any, graphs: Graph, places: Tensor) -> Tensor:
        """`GraphHead.aligned_loss` of inputs whose reader is a `SequenceBackbone`."""
        states, inside, _ = self.reader.read(inputs)  # type: ignore[operator]
        return self.head.aligned_loss(states, inside, graphs, places)

    def to_config(self) -> dict[str, Any]:
        return self.reader.to_config()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "GraphBackbone":
        if isinstance(self.psi, nn.Module):  # psi moves to the same device
            self.psi._apply(fn)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]


class GraphHead(nn.Module):
    """States of the reader to a relaxed graph: each place becomes a node or is absent, each pair an edge or none.

    Places are those of a `SequenceBackbone`; for other readers, `max_nodes` places made from the whole vector. The
    places most likely to be nodes become the slots of the graph.
    """

    def __init__(self, reader: Backbone, dim: int, vocabulary: GraphVocabulary):
        super().__init__()
        self.vocabulary, K, R = vocabulary, vocabulary.K, vocabulary.R
        if isinstance(reader, SequenceBackbone):
            W = reader.state_width
            self.relative_positions: Callable[[int], Tensor] | None = reader.relative_positions
            self.apart = nn.Embedding(reader.num_relative_positions, R)  # edge logits by relative position
        else:
            W, self.relative_positions = dim, None
            self.places = nn.Sequential(nn.SiLU(), nn.Linear(dim, vocabulary.max_nodes * dim))
        self.nodes = nn.Sequential(nn.Linear(W, W // 2), nn.SiLU(), nn.Linear(W // 2, K))
        self.channels = min(max(CHANNELS[0], ALL_CHANNELS // R), CHANNELS[1])
        self.one, self.other = (self._end(W, R * self.channels, bool(vocabulary.directed)) for _ in range(2))
        self.bias = nn.Parameter(NO_EDGE_BIAS * torch.eye(R)[0])

    @staticmethod
    def _end(width: int, channels: int, directed: bool) -> nn.Module:
        """What one end of an edge contributes; only edges with a direction gain from a hidden layer."""
        if not directed:
            return nn.Linear(width, channels)
        return nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, channels))

    def forward(self, states: Tensor | None, inside: Tensor | None, vector: Tensor) -> Graph:
        """states (B, T, W) and mask inside (B, T), or None for readers without places; vector (B, dim)."""
        N = self.vocabulary.max_nodes
        if states is None:
            states = self.places(vector).reshape(len(vector), N, -1)
        logits = self.node_logits(states, inside)
        k = min(states.shape[1], N + SPARE_SLOTS)
        kept = logits.softmax(-1)[..., 0].topk(k, dim=1, largest=False).indices.sort(1).values  # (B, k)
        edges = self.edge_logits(states, kept)
        return Graph(_at(logits, kept).softmax(-1), edges.softmax(-1), self.vocabulary).symmetrized()

    def node_logits(self, states: Tensor, inside: Tensor | None = None) -> Tensor:
        """(B, T, K): the label of the node at each place; padding is absent."""
        logits: Tensor = self.nodes(states)
        if inside is not None:
            outside = ~inside[..., None] & (torch.arange(logits.shape[2], device=logits.device) > 0)
            logits = logits.masked_fill(outside, MASKED)
        return logits

    def edge_logits(self, states: Tensor, places: Tensor) -> Tensor:
        """(B, k, k, R): the edge label between each two of some places (B, k)."""
        (B, T, _), k = states.shape, places.shape[1]
        states = _at(states, places)
        C = self.channels
        one, other = (f(states).reshape(B, k, -1, C).transpose(1, 2) for f in (self.one, self.other))
        edges: Tensor = (one @ other.transpose(2, 3)).permute(0, 2, 3, 1) / C**0.5 + self.bias
        if self.relative_positions is not None:
            edges = edges + self.apart(self.relative_positions(T).to(places)[places[:, :, None], places[:, None]])
        return (edges + self.vocabulary.turn_rows(edges.transpose(1, 2))) / 2

    def aligned_loss(self, states: Tensor, inside: Tensor, graphs: Graph, places: Tensor) -> Tensor:
        """-log of the probability of graphs, divided by their number of nodes, where the place of each node is known.

        Places without a node are absent. Where edges have a direction, places that may be taken for nodes all the
        same must have no edges, or else one mistake brings others with it. Nodes without a place do not count, nor do
        rows without any.

        Args:
            states: (B, T, W) of the reader.
            inside: (B, T) the places that are not padding.
            graphs: B discrete graphs.
            places: (B, N) the place of each node of `graphs`, -1 where it has none.

        Returns:
            A scalar.
        """
        (B, T, _), known = states.shape, places >= 0
        count = known.sum().clamp_min(1)
        node_labels, edge_labels = graphs.labels()
        labels = node_labels.new_zeros(B, T + 1).scatter_(1, places.where(known, T), node_labels)[:, :T]
        logits = self.node_logits(states)
        nodes = cross_entropy(logits.transpose(1, 2), labels, reduction="none")
        if self.vocabulary.directed:
            likely = _likely_nodes(logits.detach(), inside & (labels == 0) & known.any(1, keepdim=True))
            places, known = torch.cat([places, likely], 1), torch.cat([known, likely >= 0], 1)
            more = likely.shape[1]
            edge_labels = pad(edge_labels, (0, more, 0, more))  # they have no edges
        pairs = (known[:, :, None] & known[:, None]).triu(1)
        edge_logits = self.edge_logits(states, places.clamp_min(0))
        edges = cross_entropy(edge_logits[pairs], edge_labels[pairs], reduction="sum")
        return ((nodes * (inside & known.any(1, keepdim=True))).sum() + edges) / count


def _likely_nodes(logits: Tensor, absent: Tensor) -> Tensor:
    """(B, k) places without a node that are most likely to be taken for one; -1 where it is unlikely."""
    chance = (1 - logits.softmax(-1)[..., 0]).masked_fill(~absent, 0)
    chance, place = chance.topk(min(DISTRACTORS, chance.shape[1]), dim=1)
    return place.where(chance > DISTRACTING, -1)


def _at(values: Tensor, places: Tensor) -> Tensor:
    """(B, k, C): values (B, T, C) at some places (B, k)."""
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))


def round_at_random(graphs: Graph) -> Graph:
    """Some of the graphs rounded, with the gradient of the relaxed ones (straight-through, Bengio et al. 2013).

    psi maps some mixtures near graphs that they do not round to; rounding during training rules such mixtures out.
    The probability of rounding grows with how decided the nodes are, so that rounding does not begin too early.
    """
    decided = graphs.nodes.detach().amax(-1).mean(1) ** DECIDED_POWER  # (B,)
    chosen = torch.rand(len(graphs)).to(decided) < ROUNDED_SHARE * decided
    hard = graphs.detach().rounded()

    def through(soft: Tensor, rounded: Tensor) -> Tensor:
        return torch.where(chosen.reshape(-1, *[1] * (soft.dim() - 1)), rounded + soft - soft.detach(), soft)

    return Graph(through(graphs.nodes, hard.nodes), through(graphs.edges, hard.edges), graphs.vocabulary)


def compact(graphs: Graph) -> Graph:
    """The same graphs in `max_nodes` slots: the slots most likely to be nodes, in order, padded with empty slots."""
    N, slots = graphs.vocabulary.max_nodes, graphs.nodes.shape[1]
    if slots < N:
        more = N - slots
        nodes = nn.functional.pad(graphs.nodes, (0, 0, 0, more))
        edges = nn.functional.pad(graphs.edges, (0, 0, 0, more, 0, more))
        nodes[:, slots:, 0], edges[:, slots:, :, 0], edges[:, :, slots:, 0] = 1, 1, 1
        return Graph(nodes, edges, graphs.vocabulary)
    kept = graphs.nodes[..., 0].topk(N, dim=1, largest=False).indices.sort(1).values
    B = torch.arange(len(graphs))[:, None]
    edges = graphs.edges[B[..., None], kept[:, :, None], kept[:, None]]
    return Graph(graphs.nodes[B, kept], edges, graphs.vocabulary)
