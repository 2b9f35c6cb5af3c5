"""The learned parts: the embedding psi, the loss it defines, the surrogate h, and the artifact that stores them."""

from elekit.model import artifact, contrastive, embedding, health, loss, surrogate
from elekit.model.artifact import Artifact, ArtifactError, load, save
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import LearnedLoss, Psi
from elekit.model.surrogate import BackboneConfig, SurrogateRegressor

__all__ = [
    "Artifact", "ArtifactError", "BackboneConfig", "EmbeddingConfig", "GraphEmbedding", "LearnedLoss", "Psi",
    "SurrogateRegressor", "artifact", "contrastive", "embedding", "health", "load", "loss", "save", "surrogate",
]  # fmt: skip
