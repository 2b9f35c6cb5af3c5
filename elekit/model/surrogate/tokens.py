"""Texts to token numbers."""

import bisect
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from elekit.model.surrogate.config import SequenceBackbone

TOKEN_PATTERNS = {
    "character": re.compile(r".", re.DOTALL),
    "word": re.compile(r"\w+|[^\w\s]"),
    "smiles": re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|."),  # a bracket atom is one token
}
PAD, UNKNOWN = 0, 1
MAX_TOKENS = 5_000  # of an input: recurrent layers take a step for each
MAX_DISTANCE = 12  # tokens; larger distances count as this


@dataclass(frozen=True)
class Tokenizer:
    """Texts to token numbers: 0 pads, 1 is unknown, 2 and up are `tokens`. level: a key of TOKEN_PATTERNS."""

    level: str
    tokens: tuple[str, ...]
    _number: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.level not in TOKEN_PATTERNS:
            raise ValueError(f"level must be one of {tuple(TOKEN_PATTERNS)}, got {self.level!r}")
        object.__setattr__(self, "tokens", tuple(self.tokens))
        object.__setattr__(self, "_number", {token: i + 2 for i, token in enumerate(self.tokens)})

    @classmethod
    def from_texts(cls, level: str, texts: Sequence[str], at_least: int = 1) -> "Tokenizer":
        """The tokens that occur at least `at_least` times in the texts, most frequent first."""
        check_texts(texts)
        counts = Counter(token for text in texts for token in cls(level, ()).split(text))
        kept = sorted((t for t, c in counts.items() if c >= at_least), key=lambda t: (-counts[t], t))
        return cls(level, tuple(kept))

    def split(self, text: str) -> list[str]:
        text = text.lower() if self.level == "word" else text
        return TOKEN_PATTERNS[self.level].findall(text)

    def places(self, text: str, offsets: Sequence[int]) -> list[int]:
        """The token that holds the character at each offset of a text; -1 where there is none."""
        spans = [match.span() for match in TOKEN_PATTERNS[self.level].finditer(text)]
        found = [(bisect.bisect(spans, (offset, len(text))) - 1, offset) for offset in offsets]
        return [i if i >= 0 and offset < spans[i][1] else -1 for i, offset in found]

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token numbers (B, T), padded, and lengths (B,), at least 1."""
        check_texts(texts)
        rows = [[self._number.get(token, UNKNOWN) for token in self.split(text)] or [UNKNOWN] for text in texts]
        long = next((b for b, row in enumerate(rows) if len(row) > MAX_TOKENS), None)
        if long is not None:
            raise ValueError(f"input {long} has {len(rows[long]):,} tokens, at most {MAX_TOKENS:,} are read")
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
        encoded = torch.zeros(len(rows), int(lengths.max()) if rows else 1, dtype=torch.long)
        for b, row in enumerate(rows):
            encoded[b, : len(row)] = torch.tensor(row)
        return encoded, lengths


class TokenBackbone(SequenceBackbone):
    """A backbone whose places are tokens; their relative position is the signed distance, clipped and shifted."""

    num_relative_positions = 2 * MAX_DISTANCE + 1

    def relative_positions(self, T: int) -> Tensor:
        place = torch.arange(T)
        return (place[:, None] - place).clamp(-MAX_DISTANCE, MAX_DISTANCE) + MAX_DISTANCE


def check_texts(texts: Any, kind: str | None = None) -> None:
    """Raise ValueError if the inputs are not a list of texts; kind: of the backbone that reads them."""
    if kind and torch.is_tensor(texts):
        shape = tuple(texts.shape)
        raise ValueError(f"backbone {kind!r} reads texts, the inputs are vectors {shape}; use 'vector'")
    if isinstance(texts, str):
        raise ValueError(f"inputs must be a list of texts, got one text {texts[:60]!r}; give [{texts[:60]!r}]")
    if not isinstance(texts, Iterable):
        raise ValueError(f"inputs must be a list of texts, got a {type(texts).__name__}")
    for b, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"input {b} is not text but {type(text).__name__}: {repr(text)[:60]}")
