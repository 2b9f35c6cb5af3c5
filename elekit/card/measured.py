"""What was measured of a loss, once: plain numbers and tables, from which everything on the card follows."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything that a card says about one loss. All of it can be kept as JSON.

    facts: plain values by subject: loss (name, labels, sizes of the networks, digests, versions), data, trained, scale,
    predictions, correction, made (seed, machine, how long it took, the command that makes it again).
    tables: DataFrames by name: prices, findings, blind_spots, equals, agreement, disagreements, concepts, faithfulness,
    curves, quality, slices, coverage, costs, stability, cases, rules; each only where it could be measured.
    pictures: for some rows of a table of that name what is drawn: {"row", "graphs": scenes, "words": of each,
    "changed": (nodes, pairs)}, and "palette" once.
    missing: what could not be measured, by the name of the table: why, in one sentence.
    states: what the widgets of the card show, for its page alone; not part of the JSON.
    """

    facts: dict[str, dict] = field(default_factory=dict)
    tables: dict[str, "pd.DataFrame"] = field(default_factory=dict)
    pictures: dict[str, list[dict]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    states: list[dict] = field(default_factory=list, repr=False)

    def rows(self, name: str) -> list[dict]:
        """The rows of a table as dictionaries; [] where it was not measured."""
        return self.tables[name].to_dict("records") if name in self.tables else []

    def to_json(self) -> dict:
        """Plain values: numbers that are none become None."""
        return plain_values(
            {
                "version": VERSION,
                "facts": self.facts,
                "tables": {n: {c: t[c].tolist() for c in t.columns} for n, t in self.tables.items()},
                "pictures": self.pictures,
                "missing": self.missing,
            }
        )

    @classmethod
    def from_json(cls, fields: dict) -> "Measured":
        """Back from `to_json`; ValueError for what a newer version wrote."""
        import pandas as pd

        if fields.get("version") != VERSION:
            raise ValueError(f"the card has version {fields.get('version')!r}, this elekit reads {VERSION}")
        tables = {}
        for name, columns in fields["tables"].items():
            table = pd.DataFrame({c: pd.Series(values, dtype=object) for c, values in columns.items()})
            tables[name] = table.infer_objects().fillna(np.nan) if len(table) else table
        return cls(fields["facts"], tables, fields["pictures"], fields["missing"])


def plain_values(value):
    """The same with plain Python values only, floats in six digits, and None for nan and infinity."""
    if isinstance(value, dict):
        return {str(k): plain_values(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain_values(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
