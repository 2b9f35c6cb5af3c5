"""What the neural baselines share: how they read inputs, and the training, which is that of every h."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.methods.encoders import encoder
from benchmarks.methods.regression import training_of
from benchmarks.task_data import Problem
from elekit.model.surrogate.registry import make_backbone, to_config
from elekit.training.loop import raise_if_interrupted, run_loop, seeded, step_generator
from elekit.training.surrogate import bucketed_rows, draw_inputs, inputs_digest, settings


class Reader(nn.Module):
    """The backbone of a problem: inputs to its states, which of them are there, and a vector.

    States (B, T, `width`) are those that the backbone tells by `read`, such as one at each token; a backbone that
    tells none has one, the vector (B, dim) itself.
    """

    def __init__(self, problem: Problem, dim: int):
        super().__init__()
        self.backbone = make_backbone(encoder(problem), problem.train.inputs, dim)
        self.width = getattr(self.backbone, "state_width", dim)

    def forward(self, inputs) -> tuple[Tensor, Tensor, Tensor]:
        if hasattr(self.backbone, "read"):
            return self.backbone.read(inputs)
        vector = self.backbone(inputs)
        return vector[:, None], torch.ones(len(vector), 1, dtype=torch.bool), vector


def learn(
    model: nn.Module,
    problem: Problem,
    loss_of: Callable[[Tensor | Sequence[str], Tensor], Tensor],
    validate: Callable[[], dict[str, float]],
    *,
    identity: dict,
    seed: int,
    checkpoint: Path,
    progress: bool,
    differs: dict | None = None,
) -> dict:
    """Train a model that has a `reader` on the labelled pairs: as many steps, as large batches as h.

    loss_of: the loss of some inputs and the numbers of their rows. identity: of the method, beside the problem's.
    differs: of the training, see `training_of`.
    Returns how it was trained, as plain values; the model is in evaluation mode then, with `model.history`. Ctrl-C
    keeps the checkpoint and raises KeyboardInterrupt.
    """
    training, inputs = training_of(problem, **(differs or {})), problem.train.inputs
    n = len(problem.train)
    size, as_trained = min(training.batch_size, n), settings(training, has_graph_head=False, pairs=n)

    def loss_at(step: int) -> Tensor:
        rows = bucketed_rows(inputs, size, training.bucket, seed, step)
        drawn = draw_inputs(inputs, rows, training.rewritten, step_generator(seed, step))
        with seeded(step):  # dropout
            return loss_of(drawn, rows)

    model.history = run_loop(
        model,
        training.loop,
        loss_at,
        validate,
        identity={
            **identity,
            "backbone": to_config(model.reader.backbone),
            "training": as_trained,
            "seed": seed,
            "graphs": problem.train.graphs.digest(),
            "inputs": inputs_digest(inputs),
        },
        checkpoint=checkpoint,
        progress=progress,
        title=identity["fit"],
    )
    raise_if_interrupted(model)
    return as_trained


def count(*modules: nn.Module) -> int:
    """How many numbers they learned."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())
