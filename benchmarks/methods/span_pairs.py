"""Classifier of spans and pairs of spans, after SpERT (Eberts and Ulges, ECAI 2020), without a pretrained encoder.

Each span of up to a few tokens gets a node label or none, so that nodes may be nested; then each ordered pair of the
spans that are nodes gets an edge label or none.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.methods.base import Fitted, Method
from benchmarks.methods.neural import Encoder, PlacedModel, fit_places
from benchmarks.task_data import RELATION_TASKS, TrainingData
from elekit.evaluation.structures import relation_scores
from elekit.graphs.graph import EdgeList, Graph, GraphVocabulary
from elekit.training.loop import seeded
from elekit.training.surrogate import SPANS

MAX_WIDTH = 6  # tokens of a span


@dataclass(frozen=True)
class SpanPairConfig:
    """width: of the hidden layers. widths: width of the embedding of the length of a span. dropout: of inputs."""

    width: int = 160
    widths: int = 16
    dropout: float = 0.2


class SpanPairModel(PlacedModel):
    """Encoder and two classifiers with one hidden layer; spans are (first token, last token)."""

    def __init__(self, encoder: Encoder, vocabulary: GraphVocabulary, longest: int, config: SpanPairConfig):
        super().__init__()
        self.encoder, self.vocabulary, self.longest = encoder, vocabulary, longest
        self.lengths = nn.Embedding(longest, config.widths)
        size = 2 * encoder.width + config.widths

        def classifier(inputs: int, labels: int) -> nn.Module:
            hidden = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(inputs, config.width), nn.SiLU())
            return nn.Sequential(hidden, nn.Linear(config.width, labels))

        self.spans = classifier(size + config.width, vocabulary.K)  # with the vector of the text
        self.pairs = classifier(2 * size + encoder.width, 1 + len(vocabulary.edge_labels))

    def span_vectors(self, states: Tensor) -> Tensor:
        """(B, longest, T, D): the first and last state, and the length, of the span of each length that ends at t.

        SpERT takes the maximum over the span, which loses much with the dropout of this encoder.
        """
        B, T, _ = states.shape
        first = [nn.functional.pad(states, (0, 0, k, 0))[:, :T] for k in range(self.longest)]
        last = states[:, None].expand(-1, self.longest, -1, -1)
        lengths = self.lengths.weight[None, :, None].expand(B, -1, T, -1)
        return torch.cat([torch.stack(first, 1), last, lengths], -1)

    def span_scores(self, vectors: Tensor, vector: Tensor) -> Tensor:
        """(B, longest, T, K)."""
        text = vector.tanh()[:, None, None].expand(-1, *vectors.shape[1:3], -1)
        return self.spans(torch.cat([vectors, text], -1))

    def pair_scores(self, states: Tensor, vectors: Tensor, b: Tensor, one: Tensor, other: Tensor) -> Tensor:
        """(P, 1 + labels) of edges from spans `one` to `other`, both (P, 2), in texts b (P,)."""
        token = torch.arange(states.shape[1])
        after = torch.minimum(one[:, 1], other[:, 1])[:, None] < token
        between = after & (token < torch.maximum(one[:, 0], other[:, 0])[:, None])
        context = states[b].masked_fill(~between[..., None], -1e4).amax(1)
        context = context.where(between.any(1, keepdim=True), torch.zeros(()))
        ends = [vectors[b, last - first, last] for first, last in (one.T, other.T)]
        return self.pairs(torch.cat([*ends, context], -1))

    def possible(self, inside: Tensor) -> Tensor:
        """(B, longest, T) the spans within a text."""
        last = torch.arange(inside.shape[1])
        return inside[:, None] & (last >= torch.arange(self.longest)[:, None])

    def loss(self, inputs, places: Tensor, truth: Graph) -> Tensor:
        """Cross-entropy of all spans, and of all ordered pairs of nodes; places (B, N, 2), -1 for no span."""
        states, inside, vector = self.encoder(inputs)
        vectors, known = self.span_vectors(states), places[..., 0] >= 0
        node_labels, edge_labels = truth.labels()
        labels = torch.zeros(vectors.shape[:3], dtype=torch.long)
        b, i = known.nonzero().T
        first, last = places[b, i].T
        labels[b, last - first, last] = node_labels[b, i]
        here = self.possible(inside)
        total = cross_entropy(self.span_scores(vectors, vector)[here], labels[here])
        b, i, j = (known[:, :, None] & known[:, None] & ~torch.eye(known.shape[1], dtype=torch.bool)).nonzero().T
        if not len(b):
            return total
        forward = edge_labels[b, i, j]
        forward = forward.where(forward <= len(self.vocabulary.edge_labels), 0)
        return total + cross_entropy(self.pair_scores(states, vectors, b, places[b, i], places[b, j]), forward)

    @torch.no_grad()
    def read(self, inputs) -> list[EdgeList]:
        """The labeled spans of each text in its order, and of each two the more probable direction of an edge."""
        states, inside, vector = self.encoder(inputs)
        vectors, names = self.span_vectors(states), self.vocabulary
        scores = self.span_scores(vectors, vector).log_softmax(-1)
        found = (scores.argmax(-1) > 0) & self.possible(inside)
        graphs: list[EdgeList] = []
        for b, own in enumerate(found):
            length, last = own.nonzero().T
            kept = scores[b, length, last, 0].argsort()[: names.max_nodes]  # the surest nodes
            spans = sorted((int(last[k] - length[k]), int(last[k])) for k in kept)
            kinds = [int(scores[b, z - a, z].argmax()) for a, z in spans]
            edges: list[tuple[int, int, str]] = []
            n, at = len(spans), torch.tensor(spans, dtype=torch.long).reshape(-1, 2)
            i, j = torch.triu_indices(n, n, 1)
            if len(i):
                row = torch.full_like(i, b)
                both = [self.pair_scores(states, vectors, row, at[p], at[q]) for p, q in ((i, j), (j, i))]
                gain = torch.cat([(one[:, 1:] - one[:, :1]) for one in both], 1)  # against none
                best, which = gain.max(1)
                L = len(names.edge_labels)
                for p, q, value, r in zip(i.tolist(), j.tolist(), best.tolist(), which.tolist()):
                    if value > 0:
                        edges.append((p, q, names.edge_labels[r]) if r < L else (q, p, names.edge_labels[r - L]))
            graphs.append(([names.node_labels[k - 1] for k in kinds], edges))
        return graphs


@dataclass(frozen=True)
class SpanPairs(Method):
    """Trained on all spans and on the pairs of true nodes."""

    name: str = "span-pairs"
    title: str = "Span pairs"
    description: str = "classifies spans, then pairs of spans, as SpERT does, without pretrained weights"
    tasks: tuple[str, ...] | None = RELATION_TASKS
    config: SpanPairConfig = SpanPairConfig()

    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        with seeded(seed):
            encoder = Encoder(data, self.config.width)
            places, longest = span_places(encoder, data)
            model = SpanPairModel(encoder, data.outputs.vocabulary, longest, self.config)
        return fit_places(
            model, places, data, relation_scores, name=self.name,
            config={**asdict(self.config), "longest_span": longest}, seed=seed, work=work, progress=progress,
        )  # fmt: skip


def span_places(encoder: Encoder, data: TrainingData) -> tuple[Tensor, int]:
    """(n, N, 2) first and last token of each node, -1 where it has none or too many; and the largest number."""
    places = torch.full((len(data.train), data.outputs.vocabulary.max_nodes, 2), -1)
    for row, (text, spans) in enumerate(zip(cast(list[str], data.train.inputs), data.train.frame[SPANS])):
        ends = [(-1, -1) if one is None else (one[0], one[1] - 1) for one in spans]
        found = [encoder.tokenizer.places(text, [end[k] for end in ends]) for k in (0, 1)]
        for node, (first, last) in enumerate(zip(*found)):
            if 0 <= first <= last < first + MAX_WIDTH:
                places[row, node] = torch.tensor([first, last])
    return places, 1 + int((places[..., 1] - places[..., 0]).max())
