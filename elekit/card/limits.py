"""Acceptance limits: what the figures of a card must keep for a loss to be accepted, stated beforehand."""

import difflib
import functools
import math
import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from elekit.card.statement import Statement, Statements, Writer
from elekit.card.texts import STATEMENTS
from elekit.graphs import _schema

MAX_LIMITS = 1_000
WHOLE = ("defects", "pairs", "limits", "gates")  # units of counts
PERCENT = "share"  # the unit of figures that are written in percent
_NUMBER = _schema.maybe(_schema.number())
_FIELDS = _schema.fields(
    {"statement": _schema.text(1_000, visible=True)},
    {"at_least": _NUMBER, "at_most": _NUMBER, "certain": _schema.one_of(False, True), "why": _schema.text(1_000)},
)
_FILE = _schema.fields({"limit": _schema.items(_schema.anything, MAX_LIMITS)})


@dataclass(frozen=True)
class Limit:
    """One acceptance limit.

    Args:
        statement: Key of the statement whose figure is limited, such as "exact" or "price of relabel C to N".
        at_least: Smallest accepted figure, in the unit of the statement (shares in [0, 1]); None if there is none.
        at_most: Largest accepted figure; None if there is none.
        certain: True if the whole 95 % interval must keep the limit, False if the figure itself must.
        why: The reason for the limit, for readers.

    Raises:
        ValueError: If there is no bound, if the bounds exclude each other, or if no card has such a statement.
    """

    statement: str
    at_least: float | None = None
    at_most: float | None = None
    certain: bool = False
    why: str = ""

    def __post_init__(self) -> None:
        _FIELDS(asdict(self), "the limit")
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"the limit of {self.statement!r} has no bound; give at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"the limit of {self.statement!r} excludes everything: at_least is above at_most")
        if not any(pattern.fullmatch(self.statement) for pattern in _patterns().values()):
            near = difflib.get_close_matches(self.statement, _patterns(), 3, 0.3)
            raise ValueError(f"no card has a statement {self.statement!r}; near are {', '.join(map(repr, near))}")

    def keeps(self, low: float, high: float) -> bool:
        """Test whether an interval lies within the bounds.

        Args:
            low: Its lower end.
            high: Its upper end.

        Returns:
            True if it does.
        """
        lowest = -math.inf if self.at_least is None else self.at_least
        highest = math.inf if self.at_most is None else self.at_most
        return lowest <= low and high <= highest

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Make a limit from plain values.

        Args:
            values: The fields by name.

        Returns:
            The limit.

        Raises:
            ValueError: If a field is unknown or has another type.
        """
        _FIELDS(values, "the limit")
        return cls(**values)


def read_limits(path: str | Path) -> list[Limit]:
    """Read acceptance limits from a TOML file.

    Each is a table `[[limit]]` with the fields of `Limit`:

        [[limit]]
        statement = "exact"
        at_least = 0.8
        why = "below, checking by hand is cheaper"

    Args:
        path: The file.

    Returns:
        The limits in the order of the file.

    Raises:
        ValueError: If the file is not TOML, or a limit is not valid.
        OSError: If the file cannot be read.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        _FILE(content, "the file")
        limits = [Limit.from_json(values) for values in content["limit"]]
    except ValueError as error:  # also of tomllib and of UTF-8
        raise ValueError(f"{path}: {error}") from None
    named = [limit.statement for limit in limits]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise ValueError(f"{path}: the statement {twice[0]!r} has several limits; give one with at_least and at_most")
    return limits


def limit_statements(limits: list[dict[str, Any]], statements: list[Statement], write: Writer) -> Statements:
    """Whether each limit is met, and how many are. limits: as plain values."""
    if not limits:
        yield write("no limits")
        return
    judged = [(limit, *_judged(limit, statements)) for limit in map(Limit.from_json, limits)]
    failed = [limit.statement for limit, _, met in judged if not met]
    yield write("limits", len(judged) - len(failed), facts={"not_met": failed}, of=len(judged))
    for limit, found, met in judged:
        figures = (math.nan,) * 3 if found is None else (found.value, found.low, found.high)
        crossed = met and found is not None and not limit.keeps(*_ends(found))
        percent = found is not None and found.unit == PERCENT
        yield write(
            "limit", figures, facts={"met": met}, limit=limit, found=found, crossed=crossed, in_percent=percent,
            measured=found is not None and math.isfinite(found.value),
            whole=found is not None and found.unit in WHOLE,
        )  # fmt: skip


def _judged(limit: Limit, statements: list[Statement]) -> tuple[Statement | None, bool]:
    """The statement that a limit is about, and whether it is met; what was not measured meets no limit."""
    found = next((one for one in statements if one.key == limit.statement), None)
    if found is None or not math.isfinite(found.value):
        return found, False
    return found, limit.keeps(*(_ends(found) if limit.certain else (found.value, found.value)))


def _ends(statement: Statement) -> tuple[float, float]:
    """The 95 % interval of a figure; the figure itself if it has none."""
    ends = statement.low, statement.high
    low, high = (end if math.isfinite(end) else statement.value for end in ends)
    return low, high


@functools.cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """What the keys of the statements of a card look like, by their template."""
    keys = [template.get("key", name) for name, template in STATEMENTS.items() if "limit" not in name]
    parts = {key: re.split(r"\{\{.*?\}\}", key) for key in keys}
    return {
        re.sub(r"\{\{.*?\}\}", "…", key): re.compile(".+".join(map(re.escape, own))) for key, own in parts.items()
    }
