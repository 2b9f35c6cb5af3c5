"""A finding: one thing that is wrong with a loss, as values, with a description and the evidence."""

import string
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd

from elekit.evaluation.formatting import figure, percent
from elekit.graphs import Graph

FORMATS = {"figure": figure, "percent": percent}
DESCRIPTIONS = tomllib.loads(Path(__file__).with_name("descriptions.toml").read_text(encoding="utf-8"))


class Severity(StrEnum):
    """How serious a finding is: sound losses have no defect; a note is common, but users should know it."""

    DEFECT = "defect"
    NOTE = "note"


class FindingKind(StrEnum):
    """What a finding is about. Kinds whose value ends in a preposition or verb need `Finding.subject`."""

    NOT_FINITE = "not finite"
    NOT_UNIT_LENGTH = "not of unit length"
    NODE_ORDER = "depends on node order"
    PADDING = "depends on padding"
    NOT_REPEATABLE = "not repeatable"
    BATCH = "depends on the batch"
    KEKULE_FORMS = "depends on the Kekule form"
    COLLAPSED = "collapsed"
    LOW_DIMENSIONAL = "low-dimensional"
    TWO_CLUSTERS = "two clusters"
    MEMORIZES = "memorizes"
    SCATTERED = "scattered"
    ATTRACTOR = "attractor for graphs that"
    DOMINATED = "dominated by"
    OVERWEIGHTS_LABEL = "overweights"
    OVERWEIGHTS_EDITS = "overweights edits of"
    OVERPRICES = "overprices"
    SEES_ONLY = "sees only"
    SEES_LITTLE_MORE_THAN = "sees little more than"
    BLIND_TO_EDITS = "blind to single edits"
    BLIND = "blind to"
    PARTLY_BLIND = "partly blind to"
    NEARLY_BLIND = "nearly blind to"
    COARSE = "coarse"
    CONFUSES = "confuses"
    COINCIDENT_GRAPHS = "coincident graphs"
    SATURATED = "saturated"
    NON_MONOTONIC = "non-monotonic"
    HUB = "hub"


@dataclass(frozen=True, eq=False)
class Finding:
    """One thing that a loss does and a sound loss does not.

    Attributes:
        kind: What it is about.
        description: One to three sentences with figures, for readers; nothing is read back from them.
        subject: What the kind applies to, such as "labels N and O"; "" where the kind says it all.
        severity: Defect or note.
        strength: In [0, 1], how completely it holds.
        figures: The numbers behind the description.
        evidence: A DataFrame, two batches paired row by row, one batch, or None.
        topics: Names of the edit conditions that the subject covers, the specific one first.
    """

    kind: FindingKind
    description: str
    subject: str = ""
    severity: Severity = Severity.DEFECT
    strength: float = 1.0
    figures: dict[str, Any] = field(default_factory=dict)
    evidence: pd.DataFrame | tuple[Graph, Graph] | Graph | None = None
    topics: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Kind and subject, such as "blind to labels N and O"; the same for the same flaw of two losses."""
        return f"{self.kind} {self.subject}".rstrip()


class _Prose(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        return FORMATS.get(format_spec, lambda value: format(value, format_spec))(value)


def describe(key: str, **values: Any) -> str:
    """An entry of `descriptions.toml` with its figures."""
    return _Prose().format(DESCRIPTIONS[key], **values)


def make_finding(
    kind: FindingKind,
    figures: dict[str, Any],
    strength: float = 1.0,
    subject: str = "",
    *,
    key: str = "",
    severity: Severity = Severity.DEFECT,
    evidence: Any = None,
    topics: tuple[str, ...] = (),
    **words: Any,
) -> Finding:
    """A finding described by the entry of its kind, or by another one (key), with its figures and further words."""
    text = describe(key or kind, subject=subject, **(figures | words))
    return Finding(kind, text, subject, severity, strength, figures, evidence, topics)


def findings_table(found: Sequence[Finding]) -> pd.DataFrame:
    """Findings as a table.

    Args:
        found: Findings, as `findings` returns them.

    Returns:
        One row per finding with columns severity, name, strength, description and figures (a dict).
    """
    rows = [(str(f.severity), f.name, f.strength, f.description, f.figures) for f in found]
    return pd.DataFrame(rows, columns=["severity", "name", "strength", "description", "figures"])
