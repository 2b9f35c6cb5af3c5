"""Arc-factored dependency parser: scores of all heads of a word, and the best tree (Dozat and Manning, ICLR 2017)."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.methods.base import Fitted, Method
from benchmarks.methods.neural import Encoder, PlacedModel, fit_places
from benchmarks.task_data import TREE_TASKS, TrainingData
from elekit.evaluation.structures import tree_scores
from elekit.graphs.graph import EdgeList, Graph, GraphVocabulary
from elekit.graphs.spanning import maximum_arborescence
from elekit.training.loop import seeded
from elekit.training.surrogate import SPANS, places_of_spans

OUTSIDE = -1e4  # score of a head that is no word


@dataclass(frozen=True)
class BiaffineConfig:
    """arcs, labels: width of the vectors of heads and dependents for arcs and for their labels. dropout: of both."""

    arcs: int = 128
    labels: int = 48
    dropout: float = 0.3


class Biaffine(nn.Module):
    """`outputs` scores [x_i, 1] W [y_j, 1] of each two of the vectors x (B, I, D) and y (B, J, D)."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(outputs, width + 1, width + 1) / width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, outputs, I, J)."""
        x, y = (torch.cat([one, torch.ones_like(one[..., :1])], -1) for one in (x, y))
        return torch.einsum("bid,rde,bje->brij", x, self.weights, y)

    def of_pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """(P, outputs) for pairs x (P, D), y (P, D)."""
        x, y = (torch.cat([one, torch.ones_like(one[:, :1])], -1) for one in (x, y))
        return torch.einsum("pd,rde,pe->pr", x, self.weights, y)


class BiaffineModel(PlacedModel):
    """Encoder, a label (or none) for each token, a head for each word, a label for each arc."""

    def __init__(self, encoder: Encoder, vocabulary: GraphVocabulary, config: BiaffineConfig):
        super().__init__()
        self.encoder, self.vocabulary, W = encoder, vocabulary, encoder.width

        def layer(width: int) -> nn.Module:
            return nn.Sequential(nn.Linear(W, width), nn.SiLU(), nn.Dropout(config.dropout))

        self.words = nn.Sequential(layer(config.arcs), nn.Linear(config.arcs, vocabulary.K))
        self.head, self.dependent = layer(config.arcs), layer(config.arcs)
        self.label_head, self.label_dependent = layer(config.labels), layer(config.labels)
        self.root = nn.Parameter(torch.zeros(W))
        self.arcs = Biaffine(config.arcs, 1)
        self.labels = Biaffine(config.labels, len(vocabulary.edge_labels))

    def arc_scores(self, states: Tensor, words: Tensor) -> Tensor:
        """(B, 1 + T, T): each token, or first the root, as the head of each token; only words (B, T) are heads."""
        heads = torch.cat([self.root.expand(len(states), 1, -1), states], 1)
        scores = self.arcs(self.head(heads), self.dependent(states))[:, 0]
        outside = ~nn.functional.pad(words, (1, 0), value=True)
        return scores.masked_fill(outside[:, :, None], OUTSIDE)

    def label_scores(self, states: Tensor, b: Tensor, heads: Tensor, dependents: Tensor) -> Tensor:
        """(P, labels) of arcs in sentences b (P,)."""
        return self.labels.of_pairs(self.label_head(states[b, heads]), self.label_dependent(states[b, dependents]))

    def loss(self, inputs, places: Tensor, truth: Graph) -> Tensor:
        """Cross-entropy of words, heads and labels; places (B, N): the token of each node, -1 where it has none."""
        states, inside, _ = self.encoder(inputs)
        (B, T, _), known = states.shape, places >= 0
        node_labels, edge_labels = truth.labels()
        tokens = node_labels.new_zeros(B, T + 1).scatter_(1, places.where(known, T), node_labels)[:, :T]
        total = cross_entropy(self.words(states)[inside], tokens[inside])
        arc = (edge_labels > 0) & (edge_labels <= len(self.vocabulary.edge_labels))  # (B, N, N) from head i to j
        arc &= known[:, :, None] & known[:, None]
        b, i, j = arc.nonzero().T
        heads = torch.zeros(B, T, dtype=torch.long)
        heads[b, places[b, j]] = 1 + places[b, i]
        scores, words = self.arc_scores(states, tokens > 0), tokens > 0
        total = total + cross_entropy(scores.transpose(1, 2)[words], heads[words])
        return total + cross_entropy(
            self.label_scores(states, b, places[b, i], places[b, j]), edge_labels[b, i, j] - 1
        )

    @torch.no_grad()
    def read(self, inputs) -> list[EdgeList]:
        """The words of each sentence and their best tree, with one root."""
        states, inside, _ = self.encoder(inputs)
        logits = self.words(states)
        logits[..., 1:] = logits[..., 1:].masked_fill(~inside[..., None], OUTSIDE)
        tags = logits.argmax(-1)
        scores, names = self.arc_scores(states, tags > 0).double().numpy(), self.vocabulary
        parsed: list[EdgeList] = []
        for b, own in enumerate(tags):
            words = own.nonzero()[: names.max_nodes, 0]
            at = words.numpy()
            weights = scores[b][np.ix_(1 + at, at)]
            arcs = torch.tensor(maximum_arborescence(weights, scores[b][0, at]), dtype=torch.long).reshape(-1, 2)
            heads, dependents = words[arcs].T
            labels = self.label_scores(states, torch.full_like(heads, b), heads, dependents).argmax(-1)
            edges = [(i, j, names.edge_labels[r]) for (i, j), r in zip(arcs.tolist(), labels.tolist())]
            parsed.append(([names.node_labels[k - 1] for k in own[words].tolist()], edges))
        return parsed


@dataclass(frozen=True)
class BiaffineParser(Method):
    """The parser with greedy training; the tree of Chu, Liu and Edmonds at prediction."""

    name: str = "biaffine"
    title: str = "Biaffine parser"
    description: str = (
        "arc-factored parser: the encoder, classifiers of words, heads and labels, and the maximum spanning tree"
    )
    tasks: tuple[str, ...] | None = TREE_TASKS
    config: BiaffineConfig = BiaffineConfig()

    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        vocabulary = data.outputs.vocabulary
        with seeded(seed):
            model = BiaffineModel(Encoder(data, self.config.arcs), vocabulary, self.config)
        return fit_places(
            model, node_places(model.encoder, data), data, tree_scores,
            name=self.name, config=asdict(self.config), seed=seed, work=work, progress=progress,
        )  # fmt: skip


def node_places(encoder: Encoder, data: TrainingData) -> Tensor:
    """(n, N) the token of each node of the training graphs, -1 where it has none."""
    places = torch.full((len(data.train), data.outputs.vocabulary.max_nodes), -1)
    for row, (text, spans) in enumerate(zip(cast(list[str], data.train.inputs), data.train.frame[SPANS])):
        found = places_of_spans(encoder.tokenizer, text, spans)
        places[row, : len(found)] = torch.tensor(found, dtype=torch.long)
    return places
