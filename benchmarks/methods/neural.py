"""Shared by the neural baselines: the input encoder, and a training loop that matches the training of h."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.methods.base import Fitted, Predictor
from benchmarks.methods.encoders import encoder_for, encoding_for
from benchmarks.methods.regression import neural_training
from benchmarks.task_data import TrainingData
from elekit.graphs.graph import EdgeList, Graph, GraphBatch, GraphVocabulary, from_edge_lists
from elekit.model.surrogate.reader import make_reader
from elekit.model.surrogate.registry import make_backbone, to_config
from elekit.model.surrogate.text import TextBackbone
from elekit.model.surrogate.tokens import Tokenizer
from elekit.training.loop import raise_if_interrupted, run_loop, seeded, step_generator
from elekit.training.surrogate import (
    bucketed_rows,
    draw_inputs,
    draw_misspelled,
    inputs_digest,
    settings,
    with_known_places,
)

BLOCK = 128  # texts read at a time
MAX_VALIDATED = 200  # validation pairs read during training


class Encoder(nn.Module):
    """The input encoder of a task: inputs to states, a mask of valid states, and a vector.

    States are (B, T, `width`), one per token, if the backbone returns them by `read`; otherwise (B, 1, dim), the
    vector itself. The vector is (B, dim).
    """

    def __init__(self, data: TrainingData, dim: int):
        super().__init__()
        self.backbone = make_backbone(encoder_for(data), data.train.inputs, dim)
        reads = encoding_for(data).reads
        self.reader = None if reads == "verbatim" else make_reader(data.train.inputs, data.outputs.vocabulary, reads)
        self.width = getattr(self.backbone, "state_width", dim)

    @property
    def tokenizer(self) -> Tokenizer:
        """How an encoder of texts splits them."""
        assert isinstance(self.backbone, TextBackbone)
        return self.backbone.tokenizer

    def forward(self, inputs) -> tuple[Tensor, Tensor, Tensor]:
        if not self.training and self.reader is not None:
            inputs = [one.value for one in self.reader.read(inputs)]
        if hasattr(self.backbone, "read"):
            return self.backbone.read(inputs)  # type: ignore[operator]
        vector = self.backbone(inputs)
        return vector[:, None], torch.ones(len(vector), 1, dtype=torch.bool), vector


class EncoderModel(nn.Module):
    """A model with an encoder, trained by `train`."""

    encoder: Encoder
    history: list[dict[str, Any]]


def train(
    model: EncoderModel,
    data: TrainingData,
    loss_of: Callable[[Tensor | Sequence[str], Tensor], Tensor],
    validate: Callable[[], dict[str, float]],
    *,
    identity: dict,
    seed: int,
    checkpoint: Path,
    progress: bool,
    changes: dict | None = None,
) -> dict:
    """Train a model that has an `encoder` on the labeled pairs, with as many steps and pairs per step as h.

    Args:
        model: The model, trained in place; afterwards in evaluation mode, with `model.history`.
        data: Training data.
        loss_of: Loss for inputs and the indices of their rows.
        validate: Metrics on validation pairs.
        identity: Identity of the method for the checkpoint.
        seed: Seed of batches and dropout.
        checkpoint: File to resume from.
        progress: Show a progress bar.
        changes: Changes of the training, see `neural_training`.

    Returns:
        The training settings as plain values.

    Raises:
        KeyboardInterrupt: On Ctrl-C, after saving a checkpoint.
    """
    training, inputs = neural_training(data, **(changes or {})), data.train.inputs
    n = len(data.train)
    size, as_trained = min(training.batch_size, n), settings(training, has_graph_head=False, pairs=n)

    def loss_at(step: int) -> Tensor:
        rows = bucketed_rows(inputs, size, training.bucket, seed, step)
        generator = step_generator(seed, step)
        batch = draw_inputs(inputs, rows, training.rewritten, generator)
        if training.misspelled:
            typed = draw_misspelled(batch, training.misspelled, generator)
            if model.encoder.reader is not None:
                typed = [one.value for one in model.encoder.reader.read(typed)]
            batch = with_known_places(model.encoder.tokenizer, batch, typed)
        with seeded(step):  # dropout
            return loss_of(batch, rows)

    model.history = run_loop(
        model,
        training.loop,
        loss_at,
        validate,
        identity={
            **identity,
            "backbone": to_config(model.encoder.backbone),
            "training": as_trained,
            "seed": seed,
            "graphs": data.train.graphs.digest(),
            "inputs": inputs_digest(inputs),
        },
        checkpoint=checkpoint,
        progress=progress,
        title=identity["fit"],
    )
    raise_if_interrupted(model)
    return as_trained


class ListPredictor(Predictor):
    """Graphs that a model reads from texts as edge lists.

    Args:
        read: From some texts to their edge lists.
        vocabulary: Labels of the graphs.
    """

    def __init__(self, read: Callable[[Sequence[str]], list[EdgeList]], vocabulary: GraphVocabulary):
        self.read, self.vocabulary = read, vocabulary

    def predict(self, inputs) -> Graph:
        lists = [one for s in range(0, len(inputs), BLOCK) for one in self.read(inputs[s : s + BLOCK])]
        return from_edge_lists(lists, self.vocabulary)


class PlacedModel(EncoderModel):
    """A model of directed graphs that learns from the places of their nodes in the text."""

    vocabulary: GraphVocabulary

    def loss(self, inputs, places: Tensor, truth: Graph) -> Tensor:
        """The loss of true graphs; places (B, N, ...), -1 where a node has none."""
        raise NotImplementedError

    def read(self, inputs: Sequence[str]) -> list[EdgeList]:
        """The graphs of texts."""
        raise NotImplementedError


def fit_places(
    model: PlacedModel, places: Tensor, data: TrainingData, scores: Callable[[Graph, GraphBatch], dict[str, float]],
    *, name: str, config: dict[str, Any], seed: int, work: Path, progress: bool,
) -> Fitted:  # fmt: skip
    """Train a model with the places (n, N, ...) of the training nodes, validated by `scores`."""
    predictor = ListPredictor(model.read, model.vocabulary)
    held_out = data.validation.take(range(min(MAX_VALIDATED, len(data.validation))))

    def loss(inputs, rows: Tensor) -> Tensor:
        truth = data.train.graphs[rows].dense()
        return model.loss(inputs, places[rows, : truth.slots()], truth)

    training = train(
        model, data, loss, lambda: scores(predictor.predict(held_out.inputs), held_out.graphs),
        identity={"fit": name, "config": config}, seed=seed, checkpoint=work / f"{name}.pt", progress=progress,
    )  # fmt: skip
    return Fitted({"": predictor}, {**config, "training": training}, count_parameters(model))


def count_parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())
