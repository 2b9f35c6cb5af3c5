"""The graph written as a sequence of tokens, one after another: what most practitioners would pick."""

from collections.abc import Hashable
from dataclasses import asdict, dataclass, replace
from operator import eq
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.neural import Reader, count, learn
from benchmarks.methods.sequence_codec import Links, Parts, Smiles, Writing
from benchmarks.task_data import DECODED, Problem
from elekit.graphs.graph import Graph, from_edge_lists
from elekit.graphs.smiles import is_molecular
from elekit.training.loop import seeded

END = 0  # the token that begins, ends and pads
BEAMS = 5
LONGER = 1.5  # an answer may be so many times as long as the longest of the training pairs
TOGETHER = 128  # inputs searched for at a time
HELD_OUT = 200  # validation pairs that are written while it learns

# What its training has, by task. Random SMILES: 45.8 % of the validation pairs of 5,000 come out right, 42.8 % with a
# learning rate of 2e-3. Canonical ones are not written anew, which makes copying harder: 1,000 pairs, 98.0 % to 51.6 %.
TUNED = {"smi2mol-random": {"rewritten": 0.5, "learning_rate": 4e-3}}


@dataclass(frozen=True)
class DecoderConfig:
    """width: of the recurrent layer and of what it starts from. embedding: of a token. dropout: of both."""

    width: int = 224
    embedding: int = 64
    dropout: float = 0.2


class SequenceModel(nn.Module):
    """p(next token | input, tokens so far): a GRU that attends to the states of the reader (Luong et al. 2015).

    tokens: how many there are, END included.
    """

    def __init__(self, reader: Reader, tokens: int, config: DecoderConfig):
        super().__init__()
        self.reader = reader
        self.enter = nn.Embedding(tokens, config.embedding)
        self.recurrent = nn.GRU(config.embedding, config.width, batch_first=True)
        self.ask = nn.Linear(config.width, reader.width, bias=False)
        self.combine = nn.Linear(config.width + reader.width, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.leave = nn.Linear(config.width, tokens)

    def forward(self, inputs, tokens: Tensor) -> Tensor:
        """Logits (B, T, tokens) of each next token, given those before; tokens (B, T), the first of them END."""
        states, inside, vector = self.reader(inputs)
        return self.step(states, inside, vector.tanh(), tokens)[0]

    def step(self, states: Tensor, inside: Tensor, hidden: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, tokens) after more tokens (B, T), and what is remembered then, (B, width)."""
        out, last = self.recurrent(self.dropout(self.enter(tokens)), hidden[None].contiguous())  # (B, T, width)
        match = self.ask(out) @ states.transpose(1, 2) / states.shape[2] ** 0.5  # (B, T, states)
        seen = match.masked_fill(~inside[:, None], float("-inf")).softmax(-1) @ states
        combined = self.combine(torch.cat([out, seen], -1)).tanh()
        return self.leave(self.dropout(combined)), last[0]

    def loss(self, inputs, written: Tensor) -> Tensor:
        """Mean cross entropy of a token; written (B, T), END from each end on."""
        written = written[:, : int(written.ne(END).sum(1).max()) + 1]
        before = torch.nn.functional.pad(written[:, :-1], (1, 0), value=END)
        counted = torch.cat([torch.ones_like(written[:, :1]), written[:, :-1]], 1).ne(END)  # the first END counts
        logits = self(inputs, before)
        return nn.functional.cross_entropy(logits[counted], written[counted])


@torch.no_grad()
def beam_search(model: SequenceModel, inputs, beams: int, longest: int) -> tuple[Tensor, Tensor]:
    """The most probable sequences that are found, best first: tokens (B, beams, T), log-likelihoods (B, beams).

    Each ends within `longest` tokens, END included, and is padded with END; one that does not has -inf, as has one
    that there is not.
    """
    states, inside, vector = model.reader(inputs)
    B, W = len(vector), beams
    states, inside, hidden = (t.repeat_interleave(W, 0) for t in (states, inside, vector.tanh()))
    score = vector.new_full((B, W), float("-inf"))
    score[:, 0] = 0
    tokens, ended = torch.zeros(B, W, 0, dtype=torch.long), torch.zeros(B, W, dtype=torch.bool)
    last = torch.full((B, W), END)
    first = W * torch.arange(B)[:, None]  # row of the first beam of each input
    for _ in range(longest):
        logits, hidden = model.step(states, inside, hidden, last.reshape(B * W, 1))
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


class Written(Predictor):
    """The best of five beams that tells of a graph within the capacities; the graph without nodes where none does."""

    def __init__(self, model: SequenceModel, writing: Writing, tokens: list[Hashable], longest: int):
        self.model, self.writing, self.tokens, self.longest = model, writing, tokens, longest

    def predict(self, inputs) -> Graph:
        together = range(0, len(inputs), TOGETHER)
        return Graph.cat([self._some(inputs[start : start + TOGETHER]) for start in together])

    def _some(self, inputs) -> Graph:
        found, scores = beam_search(self.model, inputs, BEAMS, self.longest)
        finished = scores.isfinite().tolist()
        parts = [self._first(beams, ends) for beams, ends in zip(found.tolist(), finished)]
        return from_edge_lists(parts, self.writing.vocabulary)

    def _first(self, beams: list[list[int]], finished: list[bool]) -> Parts:
        for beam, ends in zip(beams, finished):
            told = self.writing.read([self.tokens[t - 1] for t in beam if t != END]) if ends else None
            if told is not None and from_edge_lists([told], self.writing.vocabulary).valence_violation() == 0:
                return told
        return [], []


@dataclass(frozen=True)
class SequenceDecoder(Method):
    """An encoder and decoder of about as many parameters as psi and h of ELE."""

    name: str = "sequence"
    title: str = "sequence decoder"
    about: str = "an autoregressive decoder with attention writes the graph, molecules as SMILES; beam search"
    tasks: tuple[str, ...] | None = DECODED
    smiles: bool = True  # molecules as SMILES, where not all graphs are written node by node
    config: DecoderConfig = DecoderConfig()

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        vocabulary = problem.outputs.vocabulary
        smiles = self.smiles and is_molecular(vocabulary)
        writing = Smiles(vocabulary) if smiles else Links(vocabulary)
        texts = writing.write(problem.train.graphs)
        kept = [row for row, text in enumerate(texts) if text is not None]  # noise makes graphs that are no molecules
        texts = [texts[row] for row in kept]
        readable = replace(problem, train=problem.train.take(kept))
        tokens = sorted({token for text in texts for token in text})
        longest = round(LONGER * max(map(len, texts))) + 1

        written = numbered(texts, tokens)
        held_out = problem.validation.take(range(min(HELD_OUT, len(problem.validation))))
        truth = writing.write(held_out.graphs)
        with seeded(seed):
            model = SequenceModel(Reader(readable, self.config.width), len(tokens) + 1, self.config)

        def validate() -> dict[str, float]:
            """Share of held-out graphs that the most probable next token, again and again, writes as they are."""
            found, _ = beam_search(model, held_out.inputs, 1, longest)
            said = [[tokens[t - 1] for t in row if t != END] for row in found[:, 0].tolist()]
            return {"exact": sum(map(eq, said, truth)) / len(truth)}

        training = learn(
            model,
            readable,
            lambda inputs, rows: model.loss(inputs, written[rows]),
            validate,
            identity={"fit": self.name, "config": asdict(self.config), "tokens": [str(token) for token in tokens]},
            seed=seed,
            checkpoint=work / f"{self.name}.pt",
            progress=progress,
            differs=TUNED.get(problem.task),
        )
        told = {"written as": "SMILES" if smiles else "nodes and links", "beams": BEAMS, **asdict(self.config)}
        told |= {"training": training, "pairs left out": len(problem.train) - len(kept)}
        return Fitted({"": Written(model, writing, tokens, longest)}, told, count(model))


def numbered(texts: list[list[Hashable]], tokens: list[Hashable]) -> Tensor:
    """Tokens as numbers from 1 on, (B, longest + 1), END from each end on."""
    number = {token: i for i, token in enumerate(tokens, 1)}
    rows = [torch.tensor([*map(number.__getitem__, text), END]) for text in texts]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END)


SEQUENCES = (
    SequenceDecoder(),
    SequenceDecoder(
        "sequence-links",
        "sequence decoder, no SMILES",
        "the same, writing nodes and links: where inputs are SMILES, writing SMILES is copying",
        tasks=("smi2mol", "smi2mol-random", "noise"),
        smiles=False,
    ),
)
