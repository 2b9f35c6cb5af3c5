"""What an explorer selects and keeps: combined selections, tags, notes, columns, groups, exports, a session file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import traitlets

from elekit.datasets.files import write_atomically
from elekit.inspect.distinguishing import Group, distinguishing_features, map_groups
from elekit.inspect.maps import neighbors_kept
from elekit.widgets.base import in_own_colors
from elekit.widgets.explored import Explored
from elekit.widgets.export import content, kind_of
from elekit.widgets.selecting import COLORS, COMBINE
from elekit.widgets.session import Session

GROUPS = "group on the map"
TAGGED = "tag: "


class Selections(traitlets.HasTraits):
    """The part of `Explorer` that needs no browser.

    combine: what a lasso, a filter or a search does to the selection: "replace", "add", "subtract" or "intersect".
    colors: the color map of numbers, see `elekit.widgets.selecting.COLORS`.
    """

    explored: Explored
    selection_rows: Any
    pinned: Any
    color_by: Any
    palette: Any
    query: Any

    combine = traitlets.Enum(tuple(COMBINE), "replace")
    colors = traitlets.Enum(COLORS, COLORS[0])

    def choose(self, rows: Any) -> None:
        """Combine the selection with rows, as `combine` says; rows as of `Explorer.selection`."""
        self.selection_rows = COMBINE[self.combine](self.selection_rows, self.explored.rows_of(rows))

    def chosen_rows(self) -> np.ndarray:
        """The selected rows, or all if none are selected."""
        rows: np.ndarray = self.selection_rows
        return rows if len(rows) else np.arange(len(self.explored))

    @property
    def tags(self) -> dict[str, np.ndarray]:
        """Rows of each tag; a copy. Each tag is also a column "tag: NAME" of `frame`."""
        return {name: rows.copy() for name, rows in self.explored.tags.items()}

    @property
    def notes(self) -> dict[int, str]:
        """Text of the note on each row that has one; a copy."""
        return dict(self.explored.notes)

    def tag(self, name: str, rows: Any = None) -> None:
        """Give rows a tag besides those that have it: by default the selection, or the pinned graph if none is."""
        name, known = name.strip(), self.explored
        if not name or len(name) > 200 or not name.isprintable():
            raise ValueError("a tag needs a name of 1 to 200 printable characters")
        if rows is None:
            rows = self.selection_rows if len(self.selection_rows) or self.pinned is None else [self.pinned]
        rows = known.rows_of(rows)
        if not len(rows):
            raise ValueError(f"nothing to tag as {name!r}: select or pin some graphs first")
        self._retag({**known.tags, name: np.union1d(known.tags.get(name, rows), rows)})

    def untag(self, name: str, rows: Any = None) -> None:
        """Take a tag from rows, by default from all."""
        if name not in self.explored.tags:
            raise ValueError(f"no tag {name!r}; the tags are {', '.join(self.explored.tags) or 'none'}")
        left = self.explored.tags[name][:0] if rows is None else self.explored.rows_of(rows)
        kept = left if rows is None else np.setdiff1d(self.explored.tags[name], left)
        others = {one: held for one, held in self.explored.tags.items() if one != name}
        self._retag({**others, name: kept} if len(kept) else others)

    def _retag(self, tags: dict[str, np.ndarray]) -> None:
        known = self.explored
        for name in known.tags.keys() - tags.keys():
            known.drop(TAGGED + name)
            if self.color_by == TAGGED + name:
                self.color_by = known.first_column()
        known.tags = tags
        for name, rows in tags.items():
            known.add(TAGGED + name, np.isin(np.arange(len(known)), rows))
        self.show_kept()

    def annotate(self, text: str, row: int | None = None) -> None:
        """Write a note on a graph, by default the pinned one; "" removes it."""
        row = self.pinned if row is None else row
        if row is None:
            raise ValueError("pin a graph to write a note on it")
        at = int(self.explored.rows_of([row])[0])
        notes = {**self.explored.notes, at: text.strip()[:10_000]}
        self._renote({one: words for one, words in notes.items() if words})

    def _renote(self, notes: dict[int, str]) -> None:
        self.explored.notes = notes
        self.show_kept()

    def add(self, name: str, values: Sequence[Any]) -> None:
        """Add a column of n values to `frame`, to color and select by."""
        self.explored.add(name, values)
        self.show_kept()

    def distinguish(self, against: str | Any = None) -> pd.DataFrame:
        """What sets the selection apart; see `elekit.inspect.distinguishing.distinguishing_features`.

        against: name of a tag, or rows, that it is compared with; None = all other graphs.
        """
        tags = self.explored.tags
        others = tags[against] if isinstance(against, str) and against in tags else against
        if isinstance(others, str):
            raise ValueError(f"no tag {others!r}; the tags are {', '.join(tags) or 'none'}")
        rows = None if others is None else self.explored.rows_of(others)
        return distinguishing_features(self.explored.features, self.selection_rows, rows)

    @property
    def groups(self) -> list[Group]:
        """The named groups of the first map, coarse and fine."""
        return list(self.explored.groups)

    def name_groups(self, show: bool = True) -> None:
        """Name groups of graphs that lie together on the first map; column "group on the map" has the coarse ones."""
        known = self.explored
        if not show:
            known.groups = []
            self.show_kept()
            return
        known.groups = map_groups(known.spaces[0].map.positions, known.features)
        names = np.full(len(known), "", dtype=object)
        for n, group in enumerate((one for one in known.groups if not one.level), 1):
            names[group.rows] = f"{n} {group.name}"
        known.add(GROUPS, names)
        self.show_kept()

    def export(self, path: str | Path, rows: Any = None) -> Path:
        """Write graphs to a file: .csv, .smi, .sdf, .json (node-link), .png or .svg (a sheet of drawings).

        rows: as of `selection`; None = the selection, or all graphs if none are selected.
        """
        data = self.exported(kind_of(path), self.chosen_rows() if rows is None else self.explored.rows_of(rows))
        write_atomically(path, lambda partial: partial.write_bytes(data))
        return Path(path)

    @in_own_colors
    def exported(self, kind: str, rows: np.ndarray) -> bytes:
        """The content of a file with these rows."""
        return content(kind, self.explored.graphs[rows.tolist()], self.explored.table.iloc[rows])

    # -- the session -------------------------------------------------------------------------------------------
    def save(self, path: str | Path) -> Path:
        """Save selection, tags, notes, colors, search, maps and views; `explore(..., session=path)` opens them."""
        known = self.explored
        Session(
            data=known.digest, color_by=self.color_by, colors=self.colors, pinned=self.pinned,
            query=self.query, selection=self.selection_rows.tolist(), notes=known.notes, cameras=self.cameras(),
            tags={name: rows.tolist() for name, rows in known.tags.items()},
            maps=[(space.map.method, space.map.positions) for space in known.spaces],
        ).save(path)  # fmt: skip
        return Path(path)

    def _open(self, path: str | Path) -> None:
        """Restore a session; what cannot be restored raises before anything changes."""
        known = self.explored
        found = Session.read(path, known.digest, len(known))
        if len(found.maps) != len(known.spaces):
            raise ValueError(
                f"{path} has {len(found.maps)} maps, this explorer {len(known.spaces)}; pass the same psi"
            )
        made = {}
        for k, (space, (method, positions)) in enumerate(zip(known.spaces, found.maps)):
            if not np.array_equal(space.map.positions, positions):
                kept = neighbors_kept(space.points, positions)
                made[k] = replace(space.map, positions=positions, kept=kept, method=method)
        if made:
            self.show_maps(made)
        self._retag({name: np.asarray(rows, dtype=np.int64) for name, rows in found.tags.items()})
        self._renote(found.notes)
        if known.has(found.color_by):
            self.color_by = found.color_by
        self.colors, self.query = found.colors, found.query
        self.selection_rows, self.pinned = found.selection, found.pinned
        self.look(found.cameras)

    # -- in the browser, see Explorer --------------------------------------------------------------------------
    def show_kept(self) -> None:
        """Show columns, tags, notes and groups."""
        raise NotImplementedError

    def show_maps(self, made: dict[int, Any]) -> None:
        """Show other maps, by the number of their space."""
        raise NotImplementedError

    def cameras(self) -> list[list[float]]:
        """Where each map is looked at, 16 numbers of its camera, or none."""
        raise NotImplementedError

    def look(self, cameras: list[list[float]]) -> None:
        """Look at the maps as `cameras` says."""
        raise NotImplementedError
