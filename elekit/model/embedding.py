"""psi_theta: relaxed graphs to points of the unit sphere (paper section on the learned embedding)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elekit.graphs import _schema, projections
from elekit.graphs.graph import Graph, GraphVocabulary, check_labels
from elekit.model.health import Health
from elekit.model.loss import checked_finite

History = list[dict[str, Any]]  # one dict per validation of a training


EMBEDDING_FIELDS = _schema.fields(
    {},
    {
        "hidden": _schema.whole(1, 16_384),
        "rounds": _schema.whole(0, 64),
        "dim": _schema.whole(1, 65_536),
        "walks": _schema.whole(0, 64),
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
    """

    hidden: int = 96
    rounds: int = 4
    dim: int = 256
    walks: int = 7

    def __post_init__(self) -> None:
        EMBEDDING_FIELDS(vars(self), "the embedding")


class GraphEmbedding(nn.Module):
    """psi_theta: graphs to unit vectors (B, D), by relational message passing over dense tensors.

    Permutation-invariant, differentiable in the graph, and independent of the values at absent nodes. `typical` holds
    the marginal frequencies of the training graphs, `history` the course of the training, `health` the verdict on it.

    Args:
        vocabulary: Labels of the graphs.
        config: Architecture.
    """

    def __init__(self, vocabulary: GraphVocabulary, config: EmbeddingConfig = EmbeddingConfig()):
        super().__init__()
        self.vocabulary, self.config = vocabulary, config
        self.typical: Graph | None = None
        self.history: History = []
        self.health: Health | None = None
        H, relations = config.hidden, vocabulary.R - 1
        features = vocabulary.K + relations + max(0, config.walks - 2)
        self.enter = nn.Linear(features, H)
        self.rounds = nn.ModuleList(_Round(H, relations) for _ in range(config.rounds))
        self.gate = nn.Linear(H, config.dim)
        self.value = nn.Linear(H, config.dim)

    def forward(self, graph: Graph) -> Tensor:
        """Embed a batch of graphs.

        Args:
            graph: B relaxed graphs with the labels of the vocabulary.

        Returns:
            (B, D) unit vectors, on the device of the graphs.

        Raises:
            ValueError: If the graphs have other labels.
        """
        if graph.vocabulary is not self.vocabulary:
            check_labels(graph.vocabulary, self.vocabulary, "graphs of another vocabulary", "this embedding")
        device, graph = graph.nodes.device, graph.to(self.enter.weight.device)
        present = graph.presence()[..., None]  # (B, N, 1)
        links = graph.edges[..., 1:] * present[:, :, None] * present[:, None]  # (B, N, N, R-1); gated by both ends
        state = self.enter(torch.cat([graph.nodes, links.sum(2), self._closed_walks(links.sum(-1))], -1))  # (B, N, H)
        flat = links.flatten(2)  # (B, N, N * (R-1))
        for message_round in self.rounds:
            state = message_round(state, flat, present)
        pooled = (present * torch.sigmoid(self.gate(state)) * self.value(state)).sum(1)  # (B, D)
        return projections.sphere(pooled).to(device)

    def _closed_walks(self, adjacency: Tensor) -> Tensor:
        """(B, N, walks - 2): log(1 + number of closed walks of length 3, 4, ... from each node)."""
        power, counts = adjacency @ adjacency, []
        for _ in range(3, self.config.walks + 1):
            power = power @ adjacency
            counts.append(power.diagonal(dim1=1, dim2=2))
        if not counts:
            return adjacency.new_zeros(*adjacency.shape[:2], 0)
        return torch.stack(counts, -1).clamp_min(0).log1p()

    @torch.no_grad()
    def embed(self, graph: Graph, batch_size: int = 256) -> Tensor:
        """Embed many graphs in bounded memory, without gradients.

        Args:
            graph: Any number B of graphs.
            batch_size: Graphs embedded at a time.

        Returns:
            (B, D) unit vectors on the CPU.

        Raises:
            FloatingPointError: If a vector is not finite, as with damaged weights.
        """
        parts = [self(graph[start : start + batch_size]).cpu() for start in range(0, len(graph), batch_size)]
        return checked_finite(torch.cat(parts), "psi", "graph") if parts else torch.empty(0, self.config.dim)


class _Round(nn.Module):
    """state + SiLU(LayerNorm(own state + messages along each edge label + sum over the whole graph))."""

    def __init__(self, H: int, relations: int):
        super().__init__()
        self.own = nn.Linear(H, H)
        self.along = nn.Linear(H, relations * H, bias=False)  # one map per edge label
        self.whole = nn.Linear(H, H, bias=False)
        self.norm = nn.LayerNorm(H)

    def forward(self, state: Tensor, links: Tensor, present: Tensor) -> Tensor:
        B, _N, H = state.shape
        messages = links @ self.along(state).reshape(B, -1, H)  # (B, N, N*(R-1)) @ (B, N*(R-1), H)
        whole = self.whole((present * state).sum(1, keepdim=True))  # (B, 1, H)
        return state + nn.functional.silu(self.norm(self.own(state) + messages + whole))
