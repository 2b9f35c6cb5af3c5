"""Autoregressive decoder: the graph as a sequence of tokens."""

from collections.abc import Hashable
from dataclasses import asdict, dataclass, replace
from operator import eq
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.neural import Encoder, EncoderModel, count_parameters, train
from benchmarks.methods.sequence_codec import GraphParts, NodeLinkCodec, SequenceCodec, SmilesCodec
from benchmarks.task_data import DECODING_TASKS, TrainingData
from elekit.graphs.graph import Graph, from_edge_lists
from elekit.graphs.smiles import is_molecular
from elekit.training.loop import seeded
from elekit.training.surrogate import SPANS

END = 0  # token at the start and the end of a sequence, and for padding
BEAMS = 5
MAX_LENGTH_RATIO = 1.5  # of an answer to the longest training sequence
BLOCK = 128  # inputs decoded at a time
MAX_VALIDATED = 200  # validation pairs decoded during training

# Training changes by task, tuned on validation. Random SMILES, 5,000 pairs: 45.8 % exact, 42.8 % with learning rate
# 2e-3. Canonical SMILES are not randomized, which makes copying harder: 51.6 % instead of 98.0 % with 1,000 pairs.
TRAINING_CHANGES = {"smi2mol-random": {"rewritten": 0.5, "learning_rate": 4e-3}}


@dataclass(frozen=True)
class DecoderConfig:
    """width: of the recurrent layer and its initial state. embedding: of a token. dropout: of both."""

    width: int = 224
    embedding: int = 64
    dropout: float = 0.2


class SequenceModel(EncoderModel):
    """p(next token | input, tokens so far): a GRU with attention to the encoder states (Luong et al. 2015).

    `tokens` is the number of tokens, END included.
    """

    def __init__(self, encoder: Encoder, tokens: int, config: DecoderConfig):
        super().__init__()
        self.encoder = encoder
        self.embed = nn.Embedding(tokens, config.embedding)
        self.recurrent = nn.GRU(config.embedding, config.width, batch_first=True)
        self.query = nn.Linear(config.width, encoder.width, bias=False)
        self.combine = nn.Linear(config.width + encoder.width, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.width, tokens)

    def forward(self, inputs, tokens: Tensor) -> Tensor:
        """Logits (B, T, tokens) of each next token given the previous ones; tokens (B, T) start with END."""
        states, mask, vector = self.encoder(inputs)
        return self.step(states, mask, vector.tanh(), tokens)[0]

    def step(self, states: Tensor, mask: Tensor, hidden: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, tokens) after more tokens (B, T), and the new hidden state (B, width)."""
        out, last = self.recurrent(self.dropout(self.embed(tokens)), hidden[None].contiguous())  # (B, T, width)
        scores = self.query(out) @ states.transpose(1, 2) / states.shape[2] ** 0.5  # (B, T, states)
        attended = scores.masked_fill(~mask[:, None], float("-inf")).softmax(-1) @ states
        combined = self.combine(torch.cat([out, attended], -1)).tanh()
        return self.output(self.dropout(combined)), last[0]

    def loss(self, inputs, target: Tensor) -> Tensor:
        """Mean cross entropy per token; target (B, T), padded with END."""
        target = target[:, : int(target.ne(END).sum(1).max()) + 1]
        before = torch.nn.functional.pad(target[:, :-1], (1, 0), value=END)
        counted = torch.cat([torch.ones_like(target[:, :1]), target[:, :-1]], 1).ne(END)  # the first END counts
        logits = self(inputs, before)
        return nn.functional.cross_entropy(logits[counted], target[counted])


@torch.no_grad()
def beam_search(model: SequenceModel, inputs, beams: int, longest: int) -> tuple[Tensor, Tensor]:
    """The most probable sequences found, best first: tokens (B, beams, T) and log-likelihoods (B, beams).

    Sequences are padded with END. A sequence that does not end within `longest` tokens (END included), and a beam
    without a sequence, have -inf.
    """
    states, mask, vector = model.encoder(inputs)
    B, W = len(vector), beams
    states, mask, hidden = (t.repeat_interleave(W, 0) for t in (states, mask, vector.tanh()))
    score = vector.new_full((B, W), float("-inf"))
    score[:, 0] = 0
    tokens, ended = torch.zeros(B, W, 0, dtype=torch.long), torch.zeros(B, W, dtype=torch.bool)
    last = torch.full((B, W), END)
    first = W * torch.arange(B)[:, None]  # row of the first beam of each input
    for _ in range(longest):
        logits, hidden = model.step(states, mask, hidden, last.reshape(B * W, 1))
        gain = logits[:, 0].log_softmax(-1).reshape(B, W, -1)
        V = gain.shape[2]
        stays = torch.full((V,), float("-inf")).index_fill(0, torch.tensor(END), 0.0)
        gain = torch.where(ended[..., None], stays, gain)
        score, place = (score[..., None] + gain).flatten(1).topk(W)
        beam, last = place // V, place % V
        hidden = hidden[(first + beam).flatten()]
        tokens = torch.cat([tokens.gather(1, beam[..., None].expand_as(tokens)), last[..., None]], 2)
        ended = last == END
        if (ended | score.isinf()).all():
            break
    return tokens, score.masked_fill(~ended, float("-inf"))


class SequencePredictor(Predictor):
    """The best beam that encodes a graph within the capacities; the graph without nodes if there is none."""

    def __init__(self, model: SequenceModel, codec: SequenceCodec, tokens: list[Hashable], longest: int):
        self.model, self.codec, self.tokens, self.longest = model, codec, tokens, longest

    def predict(self, inputs) -> Graph:
        return Graph.cat([self._predict_block(inputs[s : s + BLOCK]) for s in range(0, len(inputs), BLOCK)])

    def _predict_block(self, inputs) -> Graph:
        found, scores = beam_search(self.model, inputs, BEAMS, self.longest)
        finished = scores.isfinite().tolist()
        parts = [self._first_valid(beams, ends) for beams, ends in zip(found.tolist(), finished)]
        return from_edge_lists(parts, self.codec.vocabulary)

    def _first_valid(self, beams: list[list[int]], finished: list[bool]) -> GraphParts:
        for beam, ends in zip(beams, finished):
            parts = self.codec.decode([self.tokens[t - 1] for t in beam if t != END]) if ends else None
            if parts is not None and from_edge_lists([parts], self.codec.vocabulary).valence_violation() == 0:
                return parts
        return [], []


@dataclass(frozen=True)
class SequenceDecoder(Method):
    """Encoder and decoder with about as many parameters as psi and h of ELE.

    Args:
        smiles: Write molecules as SMILES; otherwise, and for other graphs, nodes and links.
        config: Architecture of the decoder.
    """

    name: str = "sequence"
    title: str = "Sequence decoder"
    description: str = "autoregressive decoder with attention and beam search; writes SMILES, or nodes and links"
    tasks: tuple[str, ...] | None = DECODING_TASKS
    smiles: bool = True
    config: DecoderConfig = DecoderConfig()

    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        vocabulary = data.outputs.vocabulary
        smiles = self.smiles and is_molecular(vocabulary)
        ordered = SPANS in data.train.frame  # nodes are in the order of the text
        codec = SmilesCodec(vocabulary) if smiles else NodeLinkCodec(vocabulary, ordered)
        # graphs with noise may be no molecules
        encoded = [(row, text) for row, text in enumerate(codec.encode(data.train.graphs)) if text is not None]
        kept, texts = [row for row, _ in encoded], [text for _, text in encoded]
        encodable = replace(data, train=data.train.take(kept))
        tokens = sorted({token for text in texts for token in text})
        longest = round(MAX_LENGTH_RATIO * max(len(text) for text in texts)) + 1

        targets = token_numbers(texts, tokens)
        held_out = data.validation.take(range(min(MAX_VALIDATED, len(data.validation))))
        truth = codec.encode(held_out.graphs)
        with seeded(seed):
            model = SequenceModel(Encoder(encodable, self.config.width), len(tokens) + 1, self.config)

        def validate() -> dict[str, float]:
            """Share of held-out graphs that greedy decoding writes exactly."""
            found, _ = beam_search(model, held_out.inputs, 1, longest)
            predicted = [[tokens[t - 1] for t in row if t != END] for row in found[:, 0].tolist()]
            return {"exact": sum(map(eq, predicted, truth)) / len(truth)}

        training = train(
            model,
            encodable,
            lambda inputs, rows: model.loss(inputs, targets[rows]),
            validate,
            identity={"fit": self.name, "config": asdict(self.config), "tokens": [str(token) for token in tokens]},
            seed=seed,
            checkpoint=work / f"{self.name}.pt",
            progress=progress,
            changes=TRAINING_CHANGES.get(data.task),
        )
        settings = {
            "format": "SMILES" if smiles else "nodes and links", "beams": BEAMS, **asdict(self.config),
            "training": training, "pairs_left_out": len(data.train) - len(kept),
        }  # fmt: skip
        return Fitted({"": SequencePredictor(model, codec, tokens, longest)}, settings, count_parameters(model))


def token_numbers(texts: list[list[Any]], tokens: list[Any]) -> Tensor:
    """Tokens as numbers from 1, (B, longest + 1), padded with END."""
    number = {token: i for i, token in enumerate(tokens, 1)}
    rows = [torch.tensor([*map(number.__getitem__, text), END]) for text in texts]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END)


SEQUENCE_DECODERS = (
    SequenceDecoder(),
    SequenceDecoder(
        "sequence-links",
        "Sequence decoder, no SMILES",
        "the sequence decoder, writing nodes and links; it cannot copy an input SMILES",
        tasks=("smi2mol", "smi2mol-random", "noise"),
        smiles=False,
    ),
)
