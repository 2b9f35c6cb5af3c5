"""What the check of an exercise answers: right or not yet, and a sentence that helps."""

import math
import numbers
import re
import reprlib
from dataclasses import dataclass

PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")  # of ASCII: all that markdown and HTML read as signs
LONGEST = 40  # letters of an answer that are quoted


@dataclass(frozen=True, repr=False)
class Verdict:
    """right: whether the exercise is solved. says: one or two sentences of plain text, markup in them means nothing."""

    right: bool
    says: str

    def __repr__(self) -> str:
        return ("✓ Right: " if self.right else "Not yet: ") + self.says

    def _repr_markdown_(self) -> str:
        return ("**✓ Right:** " if self.right else "**Not yet:** ") + " ".join(escaped(self.says).split())


def escaped(text: str) -> str:
    """Markdown that shows the text as it is: punctuation as entities, and where a formula could begin, as code."""

    def entity(sign) -> str:
        shown = f"&#{ord(sign[0])};"
        return f"<code>{shown}</code>" if sign[0] in "$\\" else shown

    return PUNCTUATION.sub(entity, text)


def quoted(answer) -> str:
    """What the reader gave, in one short line, whatever it is."""
    words = answer if isinstance(answer, str) else reprlib.repr(answer)  # which bears a repr that raises
    words = "".join(c if c.isprintable() else " " for c in words)
    return f"'{words if len(words) <= LONGEST else words[: LONGEST - 1] + '…'}'"


def number(answer) -> float | None:
    """The answer as a finite number, None if it is none; a tensor or array of one value is one, True is not."""
    try:
        answer = answer.item() if hasattr(answer, "item") else answer
        plain = isinstance(answer, numbers.Real) and not isinstance(answer, bool)
        return float(answer) if plain and math.isfinite(answer) else None
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None
