"""What changed between two releases of a loss, by the statements of their cards."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from elekit.card.measured import Measured
from elekit.card.statements import Statement
from elekit.card.wording import counted, figure

_FACTS = re.compile(r'<script type="application/json" id="facts">(.*?)</script>', re.DOTALL)
NEAR = 0.1  # of a value without an interval: smaller differences are not called changes
SPEED = "ms"  # a unit that depends on the machine
EXAMPLES = "disagreements"  # a section of examples: others are found in every loss


@dataclass(frozen=True, eq=False)
class Changes:
    """Statements of two cards held against each other, as (old, new) pairs; None where one has no such statement.

    old_name: of the older loss. unchanged: how many say the same or lie within each other's intervals.
    """

    old_name: str
    new: list[tuple[None, Statement]] = field(default_factory=list)
    gone: list[tuple[Statement, None]] = field(default_factory=list)
    changed: list[tuple[Statement, Statement]] = field(default_factory=list)
    unchanged: int = 0

    def summary(self) -> str:
        """One sentence."""
        return (
            f"Against the older loss “{self.old_name}”: {counted(len(self.changed), 'statement')} changed beyond what chance explains, "
            f"{len(self.new):,} {'is' if len(self.new) == 1 else 'are'} new, {len(self.gone):,} {'is' if len(self.gone) == 1 else 'are'} "
            f"gone, and {self.unchanged:,} hold as before."
        )


def read_card(path: str | Path) -> tuple[Measured, list[Statement]]:
    """What a card's HTML file holds; ValueError for another file."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    found = _FACTS.search(text)
    try:
        fields = json.loads(found[1]) if found else {}
        return Measured.from_json(fields["measured"]), [Statement.from_json(one) for one in fields["statements"]]
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError):
        raise ValueError(f"{path} is no loss card: it holds no measured facts; make it with elekit card") from None


def changes(old_name: str, old: list[Statement], new: list[Statement]) -> Changes:
    """What is new, gone and changed: a statement changed where the 95 % intervals of its value are apart, where there
    are none if the value moved by more than a tenth, and without a value if it says something else.

    Times depend on the machine and examples of disagreement on the loss: these are not compared.
    """
    before, after = ({s.key: s for s in some if s.unit != SPEED and s.section != EXAMPLES} for some in (old, new))
    pairs = [(before[key], after[key]) for key in after if key in before]
    moved = [pair for pair in pairs if differ(*pair)]
    return Changes(
        old_name,
        new=[(None, after[key]) for key in after if key not in before],
        gone=[(before[key], None) for key in before if key not in after],
        changed=moved,
        unchanged=len(pairs) - len(moved),
    )


def differ(old: Statement, new: Statement) -> bool:
    """Whether two values of one statement differ beyond their intervals."""
    if math.isnan(old.value) or math.isnan(new.value):
        return old.says != new.says
    sure = [math.isfinite(v) for v in (old.low, old.high, new.low, new.high)]
    if all(sure):
        return old.high < new.low or new.high < old.low
    return abs(new.value - old.value) > NEAR * max(abs(old.value), abs(new.value)) and figure(old.value) != figure(
        new.value
    )
