"""u_W for vectors: a perceptron."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elekit.model.surrogate.config import BackboneConfig


class VectorBackbone(nn.Module):
    """u_W for vectors (B, F): standardized by the training inputs, then a perceptron with residual layers."""

    KINDS = ("vector",)

    def __init__(self, features: int, config: BackboneConfig, dim: int):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        W = config.width
        self.enter = nn.Linear(features, W)
        self.hidden = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(W), nn.Linear(W, W), nn.SiLU(), nn.Dropout(config.dropout))
            for _ in range(config.layers)
        )
        self.leave = nn.Linear(W, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = _vectors(x).to(self.mean.device)
        if x.dim() != 2 or x.shape[1] != len(self.mean):
            raise ValueError(f"inputs must be (B, {len(self.mean)}), got {tuple(x.shape)}")
        if not torch.isfinite(x).all():
            bad = (~torch.isfinite(x)).any(1).nonzero()[0, 0]
            raise ValueError(f"input {int(bad)} holds NaN or infinity; drop or fill such rows")
        state = self.enter((x - self.mean) / self.scale)
        for layer in self.hidden:
            state = state + layer(state)
        return self.leave(state)

    @classmethod
    def from_inputs(cls, inputs, config: BackboneConfig, dim: int) -> "VectorBackbone":
        """Its scaling is that of the inputs."""
        vectors = _vectors(inputs)
        if vectors.dim() != 2 or 0 in vectors.shape:
            raise ValueError(f"backbone 'vector' reads inputs (n, features), got {tuple(vectors.shape)}")
        backbone = cls(vectors.shape[1], config, dim)
        mean, scale = vectors.mean(0), vectors.std(0, correction=0)
        backbone.mean.copy_(mean)
        # a feature that never varies in training says nothing: it must not be blown up when it does vary later
        backbone.scale.copy_(torch.where(scale > 1e-6 * mean.abs(), scale, torch.ones_like(scale)))
        return backbone

    def to_config(self) -> dict:
        return {"features": len(self.mean)}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, features: int) -> "VectorBackbone":
        return cls(features, config, dim)


def _vectors(inputs) -> Tensor:
    """Inputs as float32; ValueError for texts and other things that are no rows of numbers of one width."""
    try:
        return torch.as_tensor(inputs, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        first = inputs[0] if isinstance(inputs, Sequence) and len(inputs) else inputs
        raise ValueError(f"backbone 'vector' reads rows of numbers, input 0 is {first!r}") from None
