"""The result of a check: whether an answer is correct, and a message with a hint."""

import math
import numbers
import re
import reprlib
from dataclasses import dataclass

PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")  # ASCII punctuation: all characters with a meaning in Markdown or HTML
MAX_QUOTED = 40  # characters of an answer that a message repeats


@dataclass(frozen=True, repr=False)
class Verdict:
    """Result of checking an answer.

    Attributes:
        correct: True if the answer solves the exercise.
        message: One to three sentences of plain text; markup in them is not interpreted.
        otherwise: What the text starts with if the answer is not correct.
    """

    correct: bool
    message: str
    otherwise: str = "Not yet"

    @property
    def head(self) -> str:
        """What the text starts with."""
        return "✓ Correct" if self.correct else self.otherwise

    def __repr__(self) -> str:
        return f"{self.head}: {self.message}"

    def _repr_markdown_(self) -> str:
        return f"**{self.head}:** " + " ".join(escape_markdown(self.message).split())


def escape_markdown(text: str) -> str:
    """Markdown that displays `text` unchanged: punctuation as entities, `$` and backslashes (math) as code."""

    def entity(match: re.Match) -> str:
        escaped = f"&#{ord(match[0])};"
        return f"<code>{escaped}</code>" if match[0] in "$\\" else escaped

    return PUNCTUATION.sub(entity, text)


def quote(answer) -> str:
    """An answer of any type in quotation marks, as one short line."""
    text = answer if isinstance(answer, str) else reprlib.repr(answer)  # reprlib survives a __repr__ that raises
    text = "".join(c if c.isprintable() else " " for c in text)
    return f"'{text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + '…'}'"


def as_number(answer) -> float | None:
    """The answer as a finite float, or None. Tensors and arrays of one value are numbers; True is not."""
    try:
        answer = answer.item() if hasattr(answer, "item") else answer
        is_number = isinstance(answer, numbers.Real) and not isinstance(answer, bool)
        return float(answer) if is_number and math.isfinite(answer) else None
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def as_integer(answer) -> int | None:
    """The answer as an integer, or None."""
    value = as_number(answer)
    return int(value) if value is not None and value == int(value) else None
