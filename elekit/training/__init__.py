"""`fit_embedding`: learn the loss from outputs alone. `fit_surrogate`: regress on it (floor 3)."""

from elekit.training import loop, reruns
from elekit.training.embedding import EmbeddingTraining, fit_embedding
from elekit.training.loop import TrainerConfig
from elekit.training.surrogate import (
    FEW,
    START_BATCH,
    START_STEPS,
    SurrogateTraining,
    bucketed_rows,
    drawn_inputs,
    fit_surrogate,
    inputs_digest,
    kind_of,
    settings,
    training_for,
)

__all__ = [
    "FEW", "START_BATCH", "START_STEPS", "EmbeddingTraining", "SurrogateTraining", "TrainerConfig", "bucketed_rows", "drawn_inputs",
    "fit_embedding", "fit_surrogate", "inputs_digest", "kind_of", "loop", "reruns", "settings", "training_for",
]  # fmt: skip
