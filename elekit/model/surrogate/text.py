"""u_W for texts and SMILES: a recurrent net over tokens."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from elekit.graphs import _schema
from elekit.model.surrogate.config import BackboneConfig
from elekit.model.surrogate.tokens import PAD, TOKEN_PATTERNS, TokenBackbone, Tokenizer, check_texts

HEADS = 4


class Attention(nn.TransformerEncoderLayer):
    """A layer in which every token reads all others, such as an earlier mention of the same thing."""

    def __init__(self, width: int, dropout: float):
        super().__init__(width, HEADS, 2 * width, dropout, batch_first=True, norm_first=True)

    def forward(self, states: Tensor, inside: Tensor) -> Tensor:  # type: ignore[override]
        """States (B, T, width) and the mask of the tokens that are no padding (B, T)."""
        return super().forward(states, src_key_padding_mask=~inside)


class TextBackbone(TokenBackbone):
    """Token embeddings, bidirectional recurrent layers, and pooling of their states; independent of padding."""

    KINDS = tuple(TOKEN_PATTERNS)
    FIELDS: ClassVar = {"tokens": _schema.items(_schema.text(100_000), 1_000_000)}

    def __init__(self, tokenizer: Tokenizer, config: BackboneConfig, dim: int):
        super().__init__()
        self.tokenizer, self.config = tokenizer, config
        self.enter = nn.Embedding(len(tokenizer.tokens) + 2, config.embedding, padding_idx=PAD)
        sizes = [config.embedding, *[2 * config.width] * (config.layers - 1)]
        self.forwards = nn.ModuleList(nn.GRU(size, config.width, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.GRU(size, config.width, batch_first=True) for size in sizes)
        self.dropout = nn.Dropout(config.dropout)
        self.attention = nn.ModuleList(Attention(2 * config.width, config.dropout) for _ in range(config.attention))
        self.leave = nn.Linear(6 * config.width, dim)
        self.state_width = 2 * config.width

    def read(self, inputs: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        tokens, lengths = (t.to(self.enter.weight.device) for t in self.tokenizer.encode(inputs))
        B, T = tokens.shape
        position = torch.arange(T, device=tokens.device).expand(B, T)
        inside = position < lengths[:, None]  # (B, T)
        mirrored = torch.where(inside, lengths[:, None] - 1 - position, position)  # reverses within the length
        mirrored = mirrored[..., None]
        state = self.enter(tokens)  # (B, T, E)
        for forwards, backwards in zip(self.forwards, self.backwards):
            reversed_ = state.gather(1, mirrored.expand_as(state))
            ahead, back = forwards(state)[0], backwards(reversed_)[0]  # (B, T, W) each
            state = self.dropout(torch.cat([ahead, back.gather(1, mirrored.expand_as(back))], -1))
        for layer in self.attention:
            state = layer(state, inside)
        row = torch.arange(B, device=tokens.device)
        ends = torch.cat([ahead[row, lengths - 1], back[row, lengths - 1]], -1)  # (B, 2 W), the last state of each
        mean = (state * inside[..., None]).sum(1) / lengths[:, None]
        highest = state.masked_fill(~inside[..., None], float("-inf")).amax(1)
        return state, inside, self.leave(torch.cat([ends, mean, highest], -1))

    @classmethod
    def from_inputs(cls, inputs: Sequence[str], config: BackboneConfig, dim: int) -> "TextBackbone":
        check_texts(inputs, config.kind)
        return cls(Tokenizer.from_texts(config.kind, inputs), config, dim)

    def to_config(self) -> dict[str, Any]:
        return {"tokens": list(self.tokenizer.tokens)}

    @classmethod
    def from_config(cls, config: BackboneConfig, dim: int, values: dict[str, Any]) -> "TextBackbone":
        return cls(Tokenizer(config.kind, tuple(values["tokens"])), config, dim)
