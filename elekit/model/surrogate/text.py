"""u_W for texts and SMILES: recurrent, over tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.relative_positions import REACH, text_relative_positions
from elekit.model.surrogate.tokens import PAD, TOKEN_PATTERNS, Tokenizer


class TextBackbone(nn.Module):
    """u_W for texts: tokens, bidirectional recurrent layers, and what they saw pooled. Padding changes nothing."""

    KINDS = tuple(TOKEN_PATTERNS)
    offsets, num_relative_positions = staticmethod(text_relative_positions), 2 * REACH + 1

    def __init__(self, tokenizer: Tokenizer, config: BackboneConfig, dim: int):
        super().__init__()
        self.tokenizer, self.config = tokenizer, config
        self.enter = nn.Embedding(len(tokenizer.tokens) + 2, config.embedding, padding_idx=PAD)
        sizes = [config.embedding, *[2 * config.width] * (config.layers - 1)]
        self.forwards = nn.ModuleList(nn.GRU(size, config.width, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.GRU(size, config.width, batch_first=True) for size in sizes)
        self.dropout = nn.Dropout(config.dropout)
        self.leave = nn.Linear(6 * config.width, dim)
        self.state_width = 2 * config.width

    def forward(self, texts: Sequence[str]) -> Tensor:
        return self.read(texts)[-1]

    def read(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Its state at each token (B, T, state_width = 2 W), which of these are there (B, T), and u_W (B, dim)."""
        tokens, lengths = (t.to(self.enter.weight.device) for t in self.tokenizer.encode(texts))
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
        return state, inside, self.leave(torch.cat([ends, mean, most], -1))

    @classmethod
    def from_inputs(cls, inputs: Sequence[str], config: BackboneConfig, dim: int) -> "TextBackbone":
        """Its tokens are those of the inputs."""
        if torch.is_tensor(inputs):
            shape = tuple(inputs.shape)
            raise ValueError(f"backbone {config.kind!r} reads texts, the inputs are vectors {shape}; use 'vector'")
        return cls(Tokenizer.from_texts(config.kind, inputs), config, dim)

    def to_config(self) -> dict:
        return {"tokens": list(self.tokenizer.tokens)}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, tokens: Sequence[str]) -> "TextBackbone":
        return cls(Tokenizer(config.kind, tuple(tokens)), config, dim)
