"""u_W for images: a residual convolutional net."""

import math
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from elekit.graphs import _schema
from elekit.model.surrogate.config import BackboneConfig, SequenceBackbone

FINE, COARSE = 16, 8  # locations across: where residual blocks begin, and where most layers work


def _symmetry(images: Tensor, mirrored: bool, turns: int) -> Tensor:
    return torch.rot90(images.flip(3) if mirrored else images, turns, (2, 3))


SYMMETRIES = tuple(  # of a square, the identity first
    partial(_symmetry, mirrored=mirrored, turns=turns) for mirrored in (False, True) for turns in range(4)
)


class ImageBackbone(SequenceBackbone):
    """Images (B, C, S, S): strided convolutions down to 8 by 8 locations or fewer, then residual blocks.

    Two poolings of the locations are added: a gated sum, as in psi, which counts objects wherever they are, and a
    map that keeps locations apart. config.width: channels at the end, half as many before. config.layers: residual
    blocks at the end; there is one at each size before. config.embedding: channels that keep their location.
    config.symmetric: training rotates and mirrors images at random.
    """

    KINDS = ("image",)
    FIELDS: ClassVar = {"shape": _schema.items(_schema.whole(1, 16_384), 3, 3)}
    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], config: BackboneConfig, dim: int):
        super().__init__()
        self.shape, self.config = tuple(shape), config
        channels, S, _ = self.shape
        W, half = config.width, max(1, config.width // 2)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        layers: list[nn.Module] = []
        while not layers or S > COARSE:
            stride = 2 if S > COARSE else 1
            S = -(-S // stride)
            after = half if S > COARSE else W
            layers += [nn.Conv2d(channels, after, 3, stride, padding=1), nn.SiLU()]
            channels = after
            if COARSE < S <= FINE:
                layers.append(_Residual(channels, config.dropout))
        layers += [_Residual(W, config.dropout) for _ in range(config.layers)]
        self.layers = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(W)
        self.gate, self.value = nn.Linear(W, dim), nn.Linear(W, dim)
        self.apart = nn.Linear(W, config.embedding)
        self.state_width, self.num_relative_positions = W, (2 * S - 1) ** 2
        self.leave = nn.Sequential(nn.Linear(config.embedding * S * S, 4 * W), nn.SiLU(), nn.Linear(4 * W, dim))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def views(self, images: Tensor) -> list[Tensor]:
        """Batches with the same meaning as the images: their eight views if symmetric, else the images alone."""
        return [view(_images(images)) for view in SYMMETRIES] if self.config.symmetric else [images]

    def relative_positions(self, T: int) -> Tensor:
        """Index of the (row, column) offset between two locations."""
        S = math.isqrt(T)
        down, right = (step.flatten() for step in torch.meshgrid(torch.arange(S), torch.arange(S), indexing="ij"))
        return (down[:, None] - down + S - 1) * (2 * S - 1) + right[:, None] - right + S - 1

    def read(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images = _images(inputs).to(self.mean.device)
        if images.shape[1:] != self.shape:
            raise ValueError(f"images must be (B, {', '.join(map(str, self.shape))}), got {tuple(images.shape)}")
        if self.training and self.config.symmetric:
            images = random_symmetries(images)
        x = ((images - self.mean) / self.scale).contiguous(memory_format=torch.channels_last)
        state = self.norm(self.layers(x).permute(0, 2, 3, 1).flatten(1, 2))  # (B, locations, W)
        counted = (torch.sigmoid(self.gate(state)) * self.value(state)).sum(1)
        inside = torch.ones(state.shape[:2], dtype=torch.bool, device=state.device)
        return state, inside, counted + self.leave(silu(self.apart(state)).flatten(1))

    @classmethod
    def from_inputs(cls, inputs: Any, config: BackboneConfig, dim: int) -> "ImageBackbone":
        images = _images(inputs)
        backbone = cls(images.shape[1:], config, dim)
        backbone.mean.copy_(images.mean((0, 2, 3))[:, None, None])
        scale = images.std((0, 2, 3), correction=0)[:, None, None]
        backbone.scale.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)))
        return backbone

    def to_config(self) -> dict[str, Any]:
        return {"shape": list(self.shape)}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, values: dict[str, Any]) -> "ImageBackbone":
        return cls(tuple(values["shape"]), config, dim)


class _Residual(nn.Module):
    """state + gain (two convolutions of it, and a map of its mean over the image).

    The gain is 0 at first, so that deep nets train without normalization (ReZero, Bachlechner et al. 2020), which
    would take a third of the time.
    """

    def __init__(self, channels: int, dropout: float):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.whole = nn.Linear(channels, channels, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        inner = silu(self.first(x))
        inner = self.second(inner) + self.whole(inner.mean((2, 3)))[:, :, None, None]
        change: Tensor = self.gain * self.dropout(silu(inner))
        return x + change


def random_symmetries(images: Tensor) -> Tensor:
    """Each image (B, C, S, S) in one of its eight views, drawn from torch's global generator."""
    chosen, turned = torch.randint(len(SYMMETRIES), (len(images),)), images.clone()
    for number, view in enumerate(SYMMETRIES):
        rows = (chosen == number).nonzero()[:, 0].to(images.device)
        turned[rows] = view(images[rows])
    return turned


def _images(inputs: Any) -> Tensor:
    """Inputs as square images (n, C, S, S), n > 0; raises ValueError for anything else."""
    if not torch.is_tensor(inputs):
        first = inputs[0] if len(inputs) else inputs
        raise ValueError(f"backbone 'image' reads a tensor of images (n, C, S, S), input 0 is {first!r}")
    if inputs.dim() != 4 or inputs.shape[2] != inputs.shape[3] or 0 in inputs.shape:
        raise ValueError(f"backbone 'image' reads square images (n, C, S, S), got {tuple(inputs.shape)}")
    return inputs.float()
