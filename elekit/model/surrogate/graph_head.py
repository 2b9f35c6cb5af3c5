"""u_W by way of a graph: what is read becomes a relaxed graph y_W(x), and `h_W(x) = psi(y_W(x))` (floor 2).

psi is differentiable and does not mind the order of nodes, so the learned loss itself trains y_W from end to end,
without matching nodes. And h(x) is then where some graph lies, or nearly so: what is left of decoding is to round.
"""

import copy

import torch
from torch import Tensor, nn

from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.model.loss import Psi

SPARE = 3  # places beyond the most nodes there may be, which are still weighed
CHANNELS = 48  # in which two places are compared, for each edge label
APART = 2.0  # how much "no edge" is favored at first, as a logit
NEVER = -1e4  # logit of a node where there is no place
COMMITTED = 0.5  # share of decided graphs that are rounded while h learns
DECIDED = 12  # power of the mean largest share of a node: how much of it a graph must have to count as decided


class GraphBackbone(nn.Module):
    """u_W(x) = psi(y_W(x)): a reader (any backbone), a head that makes a graph of it, and psi, frozen.

    psi is no part of the weights: it is the loss that is regressed on, and can be another one later (`set_psi`).
    Raises ValueError for a psi that no gradient comes through, such as a predefined one.
    """

    def __init__(self, reader: nn.Module, dim: int, vocabulary: GraphVocabulary, psi: Psi):
        super().__init__()
        self.reader, self.config = reader, reader.config
        self.head = GraphHead(reader, dim, vocabulary)
        self.set_psi(psi)

    def set_psi(self, psi: Psi) -> "GraphBackbone":
        """The same graphs, embedded by another psi."""
        if isinstance(psi, nn.Module):
            psi = copy.deepcopy(psi).eval().requires_grad_(False)
        object.__setattr__(self, "psi", psi)  # not one of the modules that are learned and saved
        return self

    def forward(self, inputs) -> Tensor:
        relaxed = self.graphs(inputs)
        return self.embed(round_at_random(relaxed) if self.training else relaxed)

    def embed(self, relaxed: Graph) -> Tensor:
        """u_W where the graphs, as `graphs` makes them, are there already."""
        points = self.psi(relaxed)
        if relaxed.nodes.requires_grad and not points.requires_grad:
            raise ValueError("no gradient comes through this psi, so it can teach no graphs; use through='point'")
        return points

    def graphs(self, inputs) -> Graph:
        """y_W(x), relaxed, one for each input; it may have more slots than the vocabulary has nodes at most."""
        if self.head.offsets is not None:
            return self.head(*self.reader.read(inputs))
        return self.head(None, None, self.reader(inputs))

    def to_config(self) -> dict:
        return self.reader.to_config()

    def _apply(self, fn, recurse=True):  # psi goes to the device, too
        if isinstance(self.psi, nn.Module):
            self.psi._apply(fn)
        return super()._apply(fn, recurse)


class GraphHead(nn.Module):
    """States of what was read to a relaxed graph: every place becomes a node or is absent, every pair an edge or not.

    Places are those that the reader tells of by `read`: tokens of a text, locations of an image. Of a reader that
    tells none, they are as many as a graph may have nodes, each made of the whole input. The places most likely to
    be nodes are the slots of the graph, a few more than there may be nodes.
    """

    def __init__(self, reader: nn.Module, dim: int, vocabulary: GraphVocabulary):
        super().__init__()
        self.vocabulary, K, R = vocabulary, vocabulary.K, vocabulary.R
        self.offsets = getattr(reader, "offsets", None)
        W = dim if self.offsets is None else reader.state_width
        if self.offsets is None:
            self.places = nn.Sequential(nn.SiLU(), nn.Linear(dim, vocabulary.max_nodes * dim))
        else:
            self.apart = nn.Embedding(
                reader.num_relative_positions, R
            )  # what an edge is told of how far its places are apart
        self.nodes = nn.Sequential(nn.Linear(W, W // 2), nn.SiLU(), nn.Linear(W // 2, K))
        self.one, self.other = nn.Linear(W, R * CHANNELS), nn.Linear(W, R * CHANNELS)
        self.bias = nn.Parameter(APART * torch.eye(R)[0])

    def forward(self, states: Tensor | None, inside: Tensor | None, vector: Tensor) -> Graph:
        """states (B, T, W) and which are inside (B, T), or None where no places are told; vector (B, dim)."""
        B, K, R, N = len(vector), self.vocabulary.K, self.vocabulary.R, self.vocabulary.max_nodes
        if self.offsets is None:
            states = self.places(vector).reshape(B, N, -1)
        logits = self.nodes(states)  # (B, T, K)
        if self.offsets is not None:
            outside = ~inside[..., None] & (torch.arange(K, device=logits.device) > 0)
            logits = logits.masked_fill(outside, NEVER)
        T = states.shape[1]
        k = min(T, N + SPARE)
        kept = logits.softmax(-1)[..., 0].topk(k, dim=1, largest=False).indices.sort(1).values  # (B, k)
        logits, states = (x.gather(1, kept[..., None].expand(-1, -1, x.shape[2])) for x in (logits, states))
        one, other = (f(states).reshape(B, k, R, CHANNELS).transpose(1, 2) for f in (self.one, self.other))
        edges = (one @ other.transpose(2, 3)).permute(0, 2, 3, 1) / CHANNELS**0.5 + self.bias  # (B, k, k, R)
        if self.offsets is not None:
            edges = edges + self.apart(self.offsets(T).to(kept)[kept[:, :, None], kept[:, None]])
        edges = (edges + edges.transpose(1, 2)) / 2
        return Graph(logits.softmax(-1), edges.softmax(-1), self.vocabulary).symmetrized()


def round_at_random(graphs: Graph) -> Graph:
    """Some of the graphs rounded, at random, with the gradient of the relaxed ones (straight-through).

    psi takes some mixtures for graphs that they do not round to, such as a node of two labels without an edge for one
    that has edges; what is rounded now and then cannot be learned as such. From the start it would be too early: how
    often a graph is rounded grows with how decided its nodes are. Source: Bengio et al. (2013).
    """
    decided = graphs.nodes.detach().amax(-1).mean(1) ** DECIDED  # (B,)
    chosen = torch.rand(len(graphs)).to(decided) < COMMITTED * decided
    hard = graphs.detach().rounded()

    def through(soft: Tensor, rounded: Tensor) -> Tensor:
        return torch.where(chosen.reshape(-1, *[1] * (soft.dim() - 1)), rounded + soft - soft.detach(), soft)

    return Graph(through(graphs.nodes, hard.nodes), through(graphs.edges, hard.edges), graphs.vocabulary)


def compact(graphs: Graph) -> Graph:
    """The same graphs in as many slots as their vocabulary has nodes at most: those that are most likely there.

    Slots keep their order; empty ones are added where there are fewer.
    """
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
