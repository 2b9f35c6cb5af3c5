"""A finding: what is wrong with a loss, in words and figures, and the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from elekit.graphs.graph import Graph

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
