"""`fit_embedding`: learn the loss from outputs alone. `fit_surrogate`: regress on it (floor 3)."""

from elekit.train.embedding import EmbeddingTraining, fit_embedding
from elekit.train.surrogate import (
    FEW,
    START_BATCH,
    START_STEPS,
    SurrogateTraining,
    bucketed_rows,
    drawn_inputs,
    fit_surrogate,
    inputs_digest,
    kind_of,
    told,
    training_for,
)

__all__ = [
    "FEW", "START_BATCH", "START_STEPS", "EmbeddingTraining", "SurrogateTraining", "bucketed_rows", "drawn_inputs",
    "fit_embedding", "fit_surrogate", "inputs_digest", "kind_of", "told", "training_for",
]  # fmt: skip
