"""A finding: what is wrong with a loss, in words and figures, and the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from elekit.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

DEFECT, NOTE = "defect", "note"


@dataclass(frozen=True, eq=False)
class Finding:
    """One thing that a loss does and a sane loss does not.

    what: short name that stays the same from version to version, such as "node order" or "blind to N or O". says: one
    to three plain sentences with figures. severity: "defect", or "note" for what losses of this kind do as a rule and
    a reader should know all the same. strength: in [0, 1], how completely it holds. figure: the numbers. evidence: a
    DataFrame, a pair of batches whose graphs i belong together, one batch, or None.
    """

    what: str
    says: str
    severity: str = DEFECT
    strength: float = 1.0
    figure: dict = field(default_factory=dict)
    evidence: "pd.DataFrame | tuple[Graph, Graph] | Graph | None" = None


def table(found: Sequence[Finding]) -> "pd.DataFrame":
    """One row a finding, in their order: severity, what, strength, says, and numbers (a dict)."""
    import pandas as pd

    rows = [(f.severity, f.what, f.strength, f.says, f.figure) for f in found]
    return pd.DataFrame(rows, columns=["severity", "what", "strength", "says", "numbers"])


def percent(share: float) -> str:
    """ "97 %"; one digit more below 10 %, and never "100 %" of what is not all."""
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def figure(value: float) -> str:
    """A loss or a ratio in two to three digits."""
    return (
        f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
    )


def joined(words: list[str], last: str = "and") -> str:
    """ "a, b and c"."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def counted(number: int, noun: str) -> str:
    """ "1 graph", "1,200 graphs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def things(molecular: bool) -> dict[str, str]:
    """What the parts are called."""
    if molecular:
        return {"graph": "molecule", "node": "atom", "edge": "bond", "label": "element"}
    return {"graph": "graph", "node": "node", "edge": "edge", "label": "label"}
