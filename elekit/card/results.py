"""What was measured of a loss: plain numbers and tables, from which everything on the card follows."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from elekit.widgets.page import plain_values

VERSION = 1


@dataclass(frozen=True, eq=False)
class Results:
    """Everything that a card states about one loss.

    Args:
        facts: Plain values by topic: loss (name, labels, sizes of the networks, digests, versions), data, trained,
            scale, predictions, made (seed, machine, seconds, the command that makes the card again) and others.
        tables: DataFrames by name, such as "prices" or "quality"; only those that could be measured.
        pictures: By name of a table, the drawings of some of its rows: {"row", "graphs" (scenes), "words" (one per
            graph), "changed" (nodes, pairs)}; and "palette".
        missing: By name of a table, the reason why it could not be measured, in one sentence.
        states: What the widgets of the page show; not part of the JSON.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    states: list[dict] = field(default_factory=list, repr=False)

    def rows(self, name: str) -> list[dict]:
        """Return the rows of a table.

        Args:
            name: Name of the table.

        Returns:
            One dictionary per row; an empty list if the table was not measured.
        """
        return self.tables[name].to_dict("records") if name in self.tables else []

    def to_json(self) -> dict:
        """Return plain JSON values; NaN and infinity become None.

        Returns:
            All fields but `states`, and the version of the format.
        """
        tables = {name: {c: table[c].tolist() for c in table.columns} for name, table in self.tables.items()}
        fields = {"version": VERSION, "facts": self.facts, "tables": tables}
        return plain_values(fields | {"pictures": self.pictures, "missing": self.missing})

    @classmethod
    def from_json(cls, fields: dict) -> "Results":
        """Read what `to_json` returned.

        Args:
            fields: The JSON values.

        Returns:
            The results, without `states`.

        Raises:
            ValueError: If another version of the format wrote them.
        """
        if fields.get("version") != VERSION:
            raise ValueError(f"the card has format version {fields.get('version')!r}; this elekit reads {VERSION}")
        tables = {}
        for name, columns in fields["tables"].items():
            table = pd.DataFrame({c: pd.Series(values, dtype=object) for c, values in columns.items()})
            tables[name] = table.infer_objects().fillna(np.nan) if len(table) else table
        return cls(fields["facts"], tables, fields["pictures"], fields["missing"])
