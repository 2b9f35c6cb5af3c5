"""`fit_embedding`: learn the loss from outputs alone. `fit_surrogate`: regress on it (floor 3)."""

from elekit.training import loop, reruns
from elekit.training.embedding import EmbeddingTraining, fit_embedding
from elekit.training.loop import TrainerConfig
from elekit.training.surrogate import (
    RESTART_BATCH,
    RESTART_PAIRS,
    RESTART_STEPS,
    SurrogateTraining,
    bucketed_rows,
    default_training,
    draw_inputs,
    fit_surrogate,
    infer_kind,
    inputs_digest,
    settings,
)

__all__ = [
    "RESTART_BATCH",
    "RESTART_PAIRS",
    "RESTART_STEPS",
    "EmbeddingTraining",
    "SurrogateTraining",
    "TrainerConfig",
    "bucketed_rows",
    "default_training",
    "draw_inputs",
    "fit_embedding",
    "fit_surrogate",
    "infer_kind",
    "inputs_digest",
    "loop",
    "reruns",
    "settings",
]  # fmt: skip
