"""u_W for images: a residual convolutional net."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.relative_positions import image_relative_positions

FINEST, COARSEST = 16, 8  # locations across, where the net begins and where most of its layers work

VIEWS = tuple(  # the eight symmetries of a square, first of all itself
    lambda images, turns=turns, mirrored=mirrored: torch.rot90(images.flip(3) if mirrored else images, turns, (2, 3))
    for mirrored in (False, True)
    for turns in range(4)
)


class ImageBackbone(nn.Module):
    """u_W for images (B, C, S, S): convolutions that condense the image step by step, to 8 by 8 locations or fewer.

    What the locations hold is pooled twice: summed through gates, as psi sums over nodes, which counts things
    wherever they are; and kept apart by location, which tells where they are.
    width: channels at the end, half as many before. layers: residual blocks at the end; one at each size before.
    embedding: channels that are kept apart by location. symmetric: while it learns, each image is turned and mirrored
    at random.
    Raises ValueError for images of another shape than the first ones had.
    """

    KINDS = ("image",)

    def __init__(self, shape: tuple[int, int, int], config: BackboneConfig, dim: int):
        super().__init__()
        self.shape, self.config = tuple(shape), config
        channels, S, _ = self.shape
        W, half = config.width, max(1, config.width // 2)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        layers: list[nn.Module] = []
        while not layers or S > COARSEST:
            stride = 2 if S > COARSEST else 1
            S = -(-S // stride)
            after = half if S > COARSEST else W
            layers += [nn.Conv2d(channels, after, 3, stride, padding=1), nn.SiLU()]
            channels = after
            if COARSEST < S <= FINEST:
                layers.append(_Residual(channels, config.dropout))
        layers += [_Residual(W, config.dropout) for _ in range(config.layers)]
        self.layers = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(W)
        self.gate, self.value = nn.Linear(W, dim), nn.Linear(W, dim)
        self.apart = nn.Linear(W, config.embedding)
        self.state_width, self.num_relative_positions = W, (2 * S - 1) ** 2
        self.leave = nn.Sequential(nn.Linear(config.embedding * S * S, 4 * W), nn.SiLU(), nn.Linear(4 * W, dim))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        return self.read(images)[-1]

    def views(self, images: Tensor) -> list[Tensor]:
        """What means the same as these images: they themselves, and all turned and mirrored where that is told."""
        return [view(_images(images)) for view in VIEWS] if self.config.symmetric else [images]

    def offsets(self, locations: int) -> Tensor:
        return image_relative_positions(math.isqrt(locations))

    def read(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Its state at each location (B, T, state_width = W), that all are there (B, T), and u_W (B, dim)."""
        images = _images(images).to(self.mean.device)
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
    def from_inputs(cls, inputs, config: BackboneConfig, dim: int) -> "ImageBackbone":
        """Its shape is that of the images; its scaling, too, channel by channel."""
        images = _images(inputs)
        backbone = cls(images.shape[1:], config, dim)
        backbone.mean.copy_(images.mean((0, 2, 3))[:, None, None])
        scale = images.std((0, 2, 3), correction=0)[:, None, None]
        backbone.scale.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)))
        return backbone

    def to_config(self) -> dict:
        return {"shape": list(self.shape)}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, shape: list[int]) -> "ImageBackbone":
        return cls(tuple(shape), config, dim)


class _Residual(nn.Module):
    """state + gain (two convolutions of it, and what the whole image says).

    The gain is 0 at first, so that deep nets learn without normalization (ReZero, Bachlechner et al. 2020), which
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
        return x + self.gain * self.dropout(silu(inner))


def random_symmetries(images: Tensor) -> Tensor:
    """Each image (B, C, S, S) in one of its eight views, drawn from torch's own generator."""
    chosen, turned = torch.randint(len(VIEWS), (len(images),)), images.clone()
    for number, view in enumerate(VIEWS):
        rows = (chosen == number).nonzero()[:, 0].to(images.device)
        turned[rows] = view(images[rows])
    return turned


def _images(inputs) -> Tensor:
    """Inputs as square images (n, C, S, S); ValueError for anything else, and for none."""
    if not torch.is_tensor(inputs):
        first = inputs[0] if len(inputs) else inputs
        raise ValueError(f"backbone 'image' reads a tensor of images (n, C, S, S), input 0 is {first!r}")
    if inputs.dim() != 4 or inputs.shape[2] != inputs.shape[3] or 0 in inputs.shape:
        raise ValueError(f"backbone 'image' reads square images (n, C, S, S), got {tuple(inputs.shape)}")
    return inputs.float()
