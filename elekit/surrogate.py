"""h_W: inputs to points of the sphere, by a backbone u_W for text, SMILES or vectors (floor 2; paper eq. of h_W).

Whatever the backbone, `h_W(x) = u_W(x) / ||u_W(x)||`, and regression minimises `2 - 2 <h_W(x), psi(y)>`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elekit import project

TOKEN_PATTERNS = {
    "character": re.compile(r".", re.DOTALL),
    "word": re.compile(r"\w+|[^\w\s]"),
    "smiles": re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|."),  # a bracket atom is one token
}
PAD, UNKNOWN = 0, 1


@dataclass(frozen=True)
class Tokeniser:
    """Texts to token numbers; 0 pads, 1 stands for a token that was not seen when the vocabulary was made."""

    level: str
    tokens: tuple[str, ...]

    def __post_init__(self):
        if self.level not in TOKEN_PATTERNS:
            raise ValueError(f"level must be one of {tuple(TOKEN_PATTERNS)}, got {self.level!r}")
        object.__setattr__(self, "tokens", tuple(self.tokens))
        object.__setattr__(self, "_number", {token: i + 2 for i, token in enumerate(self.tokens)})

    @classmethod
    def of(cls, level: str, texts: Sequence[str], at_least: int = 1) -> "Tokeniser":
        """The tokens that occur at least so often in the texts, most frequent first."""
        _texts(texts)
        counts = Counter(token for text in texts for token in cls(level, ()).split(text))
        kept = sorted((t for t, c in counts.items() if c >= at_least), key=lambda t: (-counts[t], t))
        return cls(level, tuple(kept))

    def split(self, text: str) -> list[str]:
        text = text.lower() if self.level == "word" else text
        return TOKEN_PATTERNS[self.level].findall(text)

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token numbers (B, T), padded, and lengths (B,), at least 1; ValueError for what is not text."""
        _texts(texts)
        rows = [[self._number.get(token, UNKNOWN) for token in self.split(text)] or [UNKNOWN] for text in texts]
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        encoded = torch.zeros(len(rows), int(lengths.max()) if rows else 1, dtype=torch.long)
        for b, row in enumerate(rows):
            encoded[b, : len(row)] = torch.tensor(row)
        return encoded, lengths


def _texts(texts: Sequence[str]):
    """ValueError for what is no list of texts: a single one, vectors, a missing value among them."""
    if isinstance(texts, str):
        raise ValueError(f"inputs are a list of texts, got one text {texts!r}; give [{texts!r}]")
    for b, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"input {b} is not text but {type(text).__name__}: {text!r}")


@dataclass(frozen=True)
class BackboneConfig:
    """kind: "character", "word", "smiles" (recurrent, over such tokens), "vector" (perceptron), or "module".

    width: of each direction of a recurrent layer, or of a hidden layer. embedding: width of a token.
    """

    kind: str = "smiles"
    width: int = 128
    layers: int = 2
    embedding: int = 64
    dropout: float = 0.0


class TextBackbone(nn.Module):
    """u_W for texts: tokens, bidirectional recurrent layers, and what they saw pooled. Padding changes nothing."""

    def __init__(self, tokeniser: Tokeniser, config: BackboneConfig, dim: int):
        super().__init__()
        self.tokeniser, self.config = tokeniser, config
        self.enter = nn.Embedding(len(tokeniser.tokens) + 2, config.embedding, padding_idx=PAD)
        sizes = [config.embedding, *[2 * config.width] * (config.layers - 1)]
        self.forwards = nn.ModuleList(nn.GRU(size, config.width, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.GRU(size, config.width, batch_first=True) for size in sizes)
        self.dropout = nn.Dropout(config.dropout)
        self.leave = nn.Linear(6 * config.width, dim)

    def forward(self, texts: Sequence[str]) -> Tensor:
        tokens, lengths = (t.to(self.enter.weight.device) for t in self.tokeniser.encode(texts))
        B, T = tokens.shape
        position = torch.arange(T, device=tokens.device).expand(B, T)
        inside = position < lengths[:, None]  # (B, T)
        mirrored = torch.where(inside, lengths[:, None] - 1 - position, position)  # reverses within the length
        mirrored = mirrored[..., None]
        state = self.enter(tokens)  # (B, T, E)
        for forwards, backwards in zip(self.forwards, self.backwards):
            reversed_ = state.gather(1, mirrored.expand_as(state))
            there, back = forwards(state)[0], backwards(reversed_)[0]  # (B, T, W) each
            state = self.dropout(torch.cat([there, back.gather(1, mirrored.expand_as(back))], -1))
        row = torch.arange(B, device=tokens.device)
        ends = torch.cat([there[row, lengths - 1], back[row, lengths - 1]], -1)  # (B, 2 W), each at its end
        mean = (state * inside[..., None]).sum(1) / lengths[:, None]
        most = state.masked_fill(~inside[..., None], float("-inf")).amax(1)
        return self.leave(torch.cat([ends, mean, most], -1))


class VectorBackbone(nn.Module):
    """u_W for vectors (B, F): standardised by the training inputs, then a perceptron with residual layers."""

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


class SurrogateRegressor(nn.Module):
    """h_W: inputs -> (B, D), unit norm. backbone: any module from inputs to (B, D).

    Tensors are moved to the device of the backbone's weights first. Raises ValueError, naming the shape that is
    wanted, for a backbone that returns another one.
    """

    def __init__(self, backbone: nn.Module, dim: int):
        super().__init__()
        self.backbone, self.dim = backbone, dim

    def forward(self, inputs) -> Tensor:
        weight = next(self.backbone.parameters(), None)
        if torch.is_tensor(inputs) and weight is not None:
            inputs = inputs.to(weight.device)
        out = self.backbone(inputs)
        wanted = (len(inputs), self.dim)
        if not torch.is_tensor(out) or out.shape != wanted:
            got = tuple(out.shape) if torch.is_tensor(out) else f"a {type(out).__name__}"
            raise ValueError(
                f"the backbone must return {wanted} for {wanted[0]} inputs to regress on this psi, it returned {got}"
            )
        return project.sphere(out)

    @torch.no_grad()
    def predict(self, inputs, batch_size: int = 256) -> Tensor:
        """h of many inputs, batch by batch, without gradients; (B, D) on the CPU. ValueError where there are none."""
        if len(inputs) == 0:
            raise ValueError("no inputs given")
        return torch.cat([self(inputs[s : s + batch_size]).cpu() for s in range(0, len(inputs), batch_size)])


def make_backbone(config: BackboneConfig, inputs, dim: int) -> nn.Module:
    """A backbone for such inputs: its tokens, or its scaling, come from them."""
    if config.kind in TOKEN_PATTERNS:
        if torch.is_tensor(inputs):
            shape = tuple(inputs.shape)
            raise ValueError(f"backbone {config.kind!r} reads texts, the inputs are vectors {shape}; use 'vector'")
        return TextBackbone(Tokeniser.of(config.kind, inputs), config, dim)
    if config.kind != "vector":
        raise ValueError(f"no backbone {config.kind!r}; there are {(*TOKEN_PATTERNS, 'vector')}, or give a module")
    vectors = _vectors(inputs)
    if vectors.dim() != 2 or 0 in vectors.shape:
        raise ValueError(f"backbone 'vector' reads inputs (n, features), got {tuple(vectors.shape)}")
    backbone = VectorBackbone(vectors.shape[1], config, dim)
    mean, scale = vectors.mean(0), vectors.std(0, correction=0)
    backbone.mean.copy_(mean)
    # a feature that never varies in training says nothing: it must not be blown up when it does vary later
    backbone.scale.copy_(torch.where(scale > 1e-6 * mean.abs(), scale, torch.ones_like(scale)))
    return backbone


def _vectors(inputs) -> Tensor:
    """Inputs as float32; ValueError for texts and other things that are no rows of numbers of one width."""
    try:
        return torch.as_tensor(inputs, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        first = inputs[0] if isinstance(inputs, Sequence) and len(inputs) else inputs
        raise ValueError(f"backbone 'vector' reads rows of numbers, input 0 is {first!r}") from None
