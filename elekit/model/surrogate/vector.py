"""u_W for vectors: a perceptron."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from elekit.graphs import _schema
from elekit.model.surrogate.config import Backbone, BackboneConfig
from elekit.model.surrogate.tfidf import ResidualLayers


class VectorBackbone(Backbone):
    """Vectors (B, F), standardized by the training inputs, then a perceptron with residual layers."""

    KINDS = ("vector",)
    FIELDS: ClassVar = {"features": _schema.whole(1, 10_000_000)}
    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, config: BackboneConfig, dim: int):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.enter = nn.Linear(features, config.width)
        self.hidden = ResidualLayers(config)
        self.leave = nn.Linear(config.width, dim)

    def forward(self, inputs: Any) -> Tensor:
        x = _vectors(inputs).to(self.mean.device)
        if x.dim() != 2 or x.shape[1] != len(self.mean):
            raise ValueError(f"inputs must be (B, {len(self.mean)}), got {tuple(x.shape)}")
        if not torch.isfinite(x).all():
            bad = (~torch.isfinite(x)).any(1).nonzero()[0, 0]
            raise ValueError(f"input {int(bad)} holds NaN or infinity; drop or fill such rows")
        out: Tensor = self.leave(self.hidden(self.enter((x - self.mean) / self.scale)))
        return out

    @classmethod
    def from_inputs(cls, inputs: Any, config: BackboneConfig, dim: int) -> "VectorBackbone":
        vectors = _vectors(inputs)
        if vectors.dim() != 2 or 0 in vectors.shape:
            raise ValueError(f"backbone 'vector' reads inputs (n, features), got {tuple(vectors.shape)}")
        backbone = cls(vectors.shape[1], config, dim)
        mean, scale = vectors.mean(0), vectors.std(0, correction=0)
        backbone.mean.copy_(mean)
        # a feature that is constant in training must not be scaled up when it varies later
        backbone.scale.copy_(torch.where(scale > 1e-6 * mean.abs(), scale, torch.ones_like(scale)))
        return backbone

    def to_config(self) -> dict[str, Any]:
        return {"features": len(self.mean)}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, values: dict[str, Any]) -> "VectorBackbone":
        return cls(values["features"], config, dim)


def _vectors(inputs: Any) -> Tensor:
    """Inputs as float32; raises ValueError if they are not rows of numbers of one width."""
    try:
        return torch.as_tensor(inputs, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        first = inputs[0] if isinstance(inputs, Sequence) and len(inputs) else inputs
        raise ValueError(f"backbone 'vector' reads rows of numbers, input 0 is {first!r}") from None
