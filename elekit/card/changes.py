"""What changed between two releases of a loss, by the statements of their cards."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from elekit.card.results import Results
from elekit.card.statement import Statement
from elekit.datasets.strict_json import parse_json
from elekit.evaluation.formatting import counted, figure
from elekit.graphs import _schema as schema

_FACTS = re.compile(r'<script type="application/json" id="facts">(.*?)</script>', re.DOTALL)
_VALUE, _OBJECT = schema.maybe(schema.number()), schema.by_name(schema.anything, schema.text())
_STATEMENT = schema.fields(
    {"key": schema.text(), "section": schema.text(), "text": schema.text(100_000)},
    {
        **dict.fromkeys(("value", "low", "high"), _VALUE),
        "unit": schema.text(),
        "evidence": schema.maybe(_OBJECT),
        "stability": schema.maybe(_OBJECT),
        "defect": schema.one_of(False, True),
        "facts": _OBJECT,
    },
    schema.anything,
)
_FIELDS = schema.fields({"measured": _OBJECT, "statements": schema.items(_STATEMENT, 100_000)}, {}, schema.anything)
NEAR = 0.1  # of a value without an interval: smaller differences do not count as changes
SPEED = "ms"  # a unit that depends on the machine
EXAMPLES = "disagreements"  # a section of examples: every loss has others


@dataclass(frozen=True, eq=False)
class Changes:
    """The statements of two cards compared.

    Args:
        old_name: Name of the older loss.
        new: Statements that only the new card has.
        gone: Statements that only the old card has.
        changed: (old, new) pairs that differ.
        unchanged: Number of statements that agree within their intervals.
    """

    old_name: str
    new: list[Statement] = field(default_factory=list)
    gone: list[Statement] = field(default_factory=list)
    changed: list[tuple[Statement, Statement]] = field(default_factory=list)
    unchanged: int = 0

    def summary(self) -> str:
        """Return the counts as one sentence.

        Returns:
            The sentence.
        """
        are = {True: "is", False: "are"}
        return (
            f"Compared with the older loss “{self.old_name}”: {counted(len(self.changed), 'statement')} changed "
            f"beyond what chance explains, {len(self.new):,} {are[len(self.new) == 1]} new, {len(self.gone):,} "
            f"{are[len(self.gone) == 1]} gone, and {self.unchanged:,} did not change."
        )

    def tables(self) -> list[tuple[str, list[tuple[Statement | None, Statement | None]]]]:
        """The tables of the card.

        Returns:
            A heading and (old, new) pairs for each table; None for a missing side.
        """
        pairs: list[tuple[Statement | None, Statement | None]] = [*self.changed]
        new, gone = [(None, one) for one in self.new], [(one, None) for one in self.gone]
        return [("Changed", pairs), ("New", [*new]), ("Gone", [*gone])]


def read_card(path: str | Path) -> tuple[Results, list[Statement]]:
    """Read the facts that a card's HTML file holds.

    Args:
        path: The HTML file.

    Returns:
        What was measured, and the statements.

    Raises:
        ValueError: If the file is not a loss card.
        OSError: If the file cannot be read.
    """
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    found = _FACTS.search(text)
    try:
        fields = parse_json(found[1] if found else "{}")
        _FIELDS(fields, "the card")
        return Results.from_json(fields["measured"]), [Statement.from_json(one) for one in fields["statements"]]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        problem = f" ({error})" if isinstance(error, ValueError) and found else ""
        raise ValueError(f"{path} is not a loss card of this version{problem}; make one with elekit card") from None


def changes(old_name: str, old: list[Statement], new: list[Statement]) -> Changes:
    """Compare the statements of two cards.

    A statement changed if the 95 % intervals of its value do not overlap; without intervals, if the value moved by
    more than a tenth; without a value, if its facts differ. Times depend on the machine and examples of disagreement
    on the loss, so these are not compared.

    Args:
        old_name: Name of the older loss.
        old: Its statements.
        new: The statements of the newer loss.

    Returns:
        What is new, gone and changed.
    """
    before, after = ({s.key: s for s in some if s.unit != SPEED and s.section != EXAMPLES} for some in (old, new))
    pairs = [(before[key], after[key]) for key in after if key in before]
    changed = [pair for pair in pairs if differ(*pair)]
    return Changes(
        old_name,
        new=[after[key] for key in after if key not in before],
        gone=[before[key] for key in before if key not in after],
        changed=changed,
        unchanged=len(pairs) - len(changed),
    )


def differ(old: Statement, new: Statement) -> bool:
    """Whether two values of one statement differ beyond their intervals."""
    if math.isnan(old.value) or math.isnan(new.value):
        return old.facts != new.facts
    if all(math.isfinite(v) for v in (old.low, old.high, new.low, new.high)):
        return old.high < new.low or new.high < old.low
    far = abs(new.value - old.value) > NEAR * max(abs(old.value), abs(new.value))
    return far and figure(old.value) != figure(new.value)
