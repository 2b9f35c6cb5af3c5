"""Training: `fit_embedding` learns the loss from outputs alone, `fit_surrogate` regresses on it."""

from elekit.training import distributed, loop, reruns
from elekit.training.embedding import EmbeddingTraining, fit_embedding
from elekit.training.health import measure_health
from elekit.training.loop import TrainerConfig
from elekit.training.surrogate import SurrogateTraining, fit_surrogate, infer_kind

__all__ = [
    "EmbeddingTraining", "SurrogateTraining", "TrainerConfig", "distributed", "fit_embedding", "fit_surrogate",
    "infer_kind", "loop", "measure_health", "reruns",
]  # fmt: skip
