"""What a user did in an explorer, as a file: selection, tags, notes, colors, and the maps as they were looked at."""

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elekit.datasets.files import write_atomically
from elekit.datasets.strict_json import read_json
from elekit.graphs import _schema

FORMAT = "elekit session 1"
MOST = 10**8  # rows
MAX_BYTES = 10**9

_ROWS = _schema.items(_schema.whole(0, MOST), MOST)
_MAP = _schema.fields({"method": _schema.text(40), "positions": _schema.text(MAX_BYTES)})
_FIELDS = _schema.fields(
    {
        "format": _schema.one_of(FORMAT),
        "data": _schema.text(100),
        "color_by": _schema.text(1_000),
        "colors": _schema.text(100),
        "selection": _ROWS,
        "pinned": _schema.maybe(_schema.whole(0, MOST)),
        "query": _schema.items(_schema.text(10_000), 2, 2),
        "tags": _schema.by_name(_ROWS, _schema.text(200, visible=True)),
        "notes": _schema.by_name(_schema.text(10_000), _schema.text(20)),
        "cameras": _schema.items(_schema.items(_schema.number(), 16), 2),
        "maps": _schema.items(_MAP, 2),
    }
)


@dataclass(frozen=True)
class Session:
    """The state of an explorer.

    data: digest of its graphs. Rows are those of its frame. notes: by row. cameras: of each map, 16 numbers or none.
    maps: of each map the method and its (n, 2) positions.
    """

    data: str
    color_by: str
    colors: str
    selection: list[int]
    pinned: int | None
    query: tuple[str, str]
    tags: dict[str, list[int]]
    notes: dict[int, str]
    cameras: list[list[float]]
    maps: list[tuple[str, np.ndarray]]

    def save(self, path: str | Path) -> None:
        """Write the file; an older one stays until the new one is on disk."""
        known = asdict(self) | {"format": FORMAT, "maps": [_encoded(*one) for one in self.maps]}
        text = json.dumps(known, ensure_ascii=False)
        write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))

    @classmethod
    def read(cls, path: str | Path, data: str, graphs: int) -> "Session":
        """The session in a file, for these data (their digest) of so many graphs; ValueError if it is of others."""
        try:
            found = read_json(path, MAX_BYTES)
            _FIELDS(found, "the session")
            if found.pop("format") and found["data"] != data:
                raise ValueError("it was saved for other graphs, or for these in another order")
            rows = [found["selection"], *found["tags"].values(), [int(row) for row in found["notes"]]]
            if max(max(some, default=0) for some in [*rows, [found["pinned"] or 0]]) >= graphs:
                raise ValueError(f"it names rows beyond the {graphs:,} graphs")
            notes = {int(row): text for row, text in found["notes"].items()}
            maps = [_decoded(one, graphs) for one in found["maps"]]
        except ValueError as error:
            raise ValueError(f"{path} is not a session of these graphs: {error}") from None
        return cls(**{**found, "query": tuple(found["query"]), "notes": notes, "maps": maps})


def _encoded(method: str, positions: np.ndarray) -> dict[str, Any]:
    return {"method": method, "positions": base64.b64encode(np.asarray(positions, "<f4").tobytes()).decode()}


def _decoded(one: dict[str, Any], graphs: int) -> tuple[str, np.ndarray]:
    data = base64.b64decode(one["positions"], validate=True)
    positions = np.frombuffer(data, "<f4") if len(data) == 8 * graphs else np.empty(0)
    if not len(positions) or not np.isfinite(positions).all():
        raise ValueError(f"a map must have {graphs:,} finite positions")
    return one["method"], positions.reshape(-1, 2).astype(np.float32)
