"""psi_theta: relaxed graphs to points of the unit sphere (floor 2; paper section on the learned embedding).

Relational message passing over dense tensors: permutation-invariant, differentiable in the graph, and blind to
whatever stands at absent nodes. Message passing alone cannot tell some regular graphs apart, so nodes also
carry closed-walk counts (diagonals of powers of the adjacency), which see rings.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elekit.graphs import projections
from elekit.graphs.graph import Graph, GraphVocabulary


@dataclass(frozen=True)
class EmbeddingConfig:
    """Shape of psi. hidden: width of node states; rounds of message passing; dim D of the sphere's space."""

    hidden: int = 96
    rounds: int = 4
    dim: int = 256
    walks: int = 7  # closed walks of 3 to this length


class GraphEmbedding(nn.Module):
    """psi_theta: Graph -> (B, D), unit norm.

    Graphs are moved to the device of the weights, and the points to that of the graphs: on an accelerator psi serves
    all that keeps its graphs on the CPU.
    """

    def __init__(self, vocabulary: GraphVocabulary, config: EmbeddingConfig = EmbeddingConfig()):
        super().__init__()
        self.vocabulary, self.config = vocabulary, config
        self.typical: Graph | None = None  # marginal frequencies of what it was trained on: where descents start
        H, relations = config.hidden, vocabulary.R - 1
        features = vocabulary.K + relations + max(0, config.walks - 2)
        self.enter = nn.Linear(features, H)
        self.rounds = nn.ModuleList(_Round(H, relations) for _ in range(config.rounds))
        self.gate = nn.Linear(H, config.dim)
        self.value = nn.Linear(H, config.dim)

    def forward(self, graph: Graph) -> Tensor:
        if graph.vocabulary is not self.vocabulary:
            self._check_vocabulary(graph.vocabulary)
        asked_from, graph = graph.nodes.device, graph.to(self.enter.weight.device)
        present = graph.presence()[..., None]  # (B, N, 1)
        links = graph.edges[..., 1:] * present[:, :, None] * present[:, None]  # (B, N, N, R-1); gated by both ends
        state = self.enter(torch.cat([graph.nodes, links.sum(2), self._closed_walks(links.sum(-1))], -1))  # (B, N, H)
        flat = links.flatten(2)  # (B, N, N * (R-1))
        for message_round in self.rounds:
            state = message_round(state, flat, present)
        pooled = (present * torch.sigmoid(self.gate(state)) * self.value(state)).sum(1)  # (B, D)
        return projections.sphere(pooled).to(asked_from)

    def _closed_walks(self, adjacency: Tensor) -> Tensor:
        """(B, N, walks - 2): log(1 + number of closed walks of length 3, 4, ... from each node)."""
        power, counts = adjacency @ adjacency, []
        for _ in range(3, self.config.walks + 1):
            power = power @ adjacency
            counts.append(power.diagonal(dim1=1, dim2=2))
        return (
            torch.stack(counts, -1).clamp_min(0).log1p() if counts else adjacency.new_zeros(*adjacency.shape[:2], 0)
        )

    def _check_vocabulary(self, other: GraphVocabulary):
        mine = self.vocabulary
        if (mine.node_labels, mine.edge_labels) != (other.node_labels, other.edge_labels):
            raise ValueError(
                f"graphs of another vocabulary: nodes {list(other.node_labels)}, "
                f"edges {list(other.edge_labels)}; this "
                f"embedding knows nodes {list(mine.node_labels)}, edges {list(mine.edge_labels)}"
            )

    @torch.no_grad()
    def embed(self, graph: Graph, batch_size: int = 256) -> Tensor:
        """psi of many graphs, batch by batch in bounded memory, without gradients; (B, D) on the CPU."""
        parts = [self(graph[start : start + batch_size]).cpu() for start in range(0, len(graph), batch_size)]
        return torch.cat(parts) if parts else torch.empty(0, self.config.dim)


class _Round(nn.Module):
    """state + SiLU(LayerNorm(own + messages along each edge label + what the whole graph says))."""

    def __init__(self, H: int, relations: int):
        super().__init__()
        self.own = nn.Linear(H, H)
        self.along = nn.Linear(H, relations * H, bias=False)  # one map per edge label
        self.whole = nn.Linear(H, H, bias=False)
        self.norm = nn.LayerNorm(H)

    def forward(self, state: Tensor, links: Tensor, present: Tensor) -> Tensor:
        B, _, H = state.shape
        messages = links @ self.along(state).reshape(B, -1, H)  # (B, N, N*(R-1)) @ (B, N*(R-1), H)
        whole = self.whole((present * state).sum(1, keepdim=True))  # (B, 1, H)
        return state + nn.functional.silu(self.norm(self.own(state) + messages + whole))
