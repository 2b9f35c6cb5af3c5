"""The two panels of the explorer: what lies below the map, and what lies beside it."""

import numpy as np
import traitlets
from ipywidgets import Box, Layout, VBox, Widget
from matplotlib.figure import Figure

from elekit.inspect.search import step
from elekit.widgets.base import Panel
from elekit.widgets.bundle import STATIC, script, style

NOTHING_FOUND = {"kind": "id", "text": "", "words": "", "shown": [], "asked": 0}


class Rows(traitlets.TraitType):
    """Row numbers, as a sorted array of int64 that cannot be written to."""

    info_text = "row numbers"
    default_value = np.empty(0, dtype=np.int64)

    def validate(self, obj, value):
        rows = np.unique(obj.explored.rows_of(value))
        rows.flags.writeable = False
        return rows

    def set(self, obj, value):
        rows, before = self._validate(obj, value), self.get(obj)
        if not np.array_equal(rows, before):
            obj._trait_values[self.name] = rows
            obj._notify_trait(self.name, before, rows)


class ExplorerPanel(Panel):
    """A part of an explorer, its owner: what the browser asks of it moves the owner's traits, and errors are told there."""

    _css = traitlets.Unicode(style("explorer.css")).tag(sync=True)

    def __init__(self, owner, **traits):
        super().__init__(**traits)
        self.owner = owner

    def _obey(self, command: str, values: dict):
        self.owner.obey(getattr(self, command), values)

    def select(self, what: str):
        """What the last search found, or nothing."""
        self.owner.selection = self.owner.found if what == "found" else None

    def picture(self) -> Figure:
        return self.owner.picture()


class MapPanel(ExplorerPanel):
    """Below the map: colors and their legend, the selection, walking by keys, trust; and marks on the map.

    columns: that the map can be colored by. color_by: the one it is. legend: as of `draw.maps.Paint.legend`.
    selected: in words; any_selected: whether there are. trust: how far the map may be trusted, in words. offer: what
    the button says that makes a better map, "" = none. busy: what is being done, "" = nothing. alternative: what a
    screen reader says of the map. marks: for each map dots {kind, at, number} and lines {kind, points}, on its canvas.
    painted: for each map the version of its points that is to be seen, as of `Canvas.version`.
    """

    _esm = traitlets.Unicode(script(STATIC / "explorer_map.js")).tag(sync=True)
    COMMANDS = ("color", "select", "walk", "toggle", "make_umap", "repaint")

    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    color_by = traitlets.Unicode().tag(sync=True)
    legend = traitlets.Dict({"classes": [], "ramp": [], "numbers": []}).tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
    any_selected = traitlets.Bool(False).tag(sync=True)
    trust = traitlets.Unicode().tag(sync=True)
    offer = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Unicode().tag(sync=True)
    alternative = traitlets.Unicode().tag(sync=True)
    marks = traitlets.List(traitlets.Dict()).tag(sync=True)
    painted = traitlets.List(traitlets.Int()).tag(sync=True)

    def color(self, column: str):
        self.owner.color_by = column

    def walk(self, direction: str):
        """Pin the nearest graph in a direction on the (first) map, or any where none is pinned."""
        pinned = self.owner.pinned
        there = 0 if pinned is None else step(self.owner.map.positions, pinned, direction)
        if there is not None:
            self.owner.pinned = there

    def toggle(self):
        """Take the pinned graph into the selection, or out of it."""
        if self.owner.pinned is not None:
            self.owner.selection_rows = np.setxor1d(self.owner.selection_rows, [self.owner.pinned])

    def make_umap(self):
        self.owner.make_umap()

    def repaint(self, map: int):
        """The browser missed points of a map."""
        self.owner.repaint(map)


class GraphPanel(ExplorerPanel):
    """Beside the map: search, the graph under the pointer, the pinned one and its neighbors.

    kinds: that can be searched by. found: what was asked (kind, text), how many were found (words) and the first of them
    (shown: row, name, id). hovered, pinned: row, name, id, facts, text and scene of a graph, {} = none. neighbors: lists, one for
    each learned loss, of a heading and cards (as hovered, with loss and shared instead of facts), and words on how they differ.
    edits: by row, what separates it from the pinned graph; it comes in later.
    """

    _esm = traitlets.Unicode(script(STATIC / "explorer_panel.js")).tag(sync=True)
    COMMANDS = ("pin", "find", "select")

    kinds = traitlets.List(traitlets.Unicode()).tag(sync=True)
    found = traitlets.Dict(NOTHING_FOUND).tag(sync=True)
    hovered = traitlets.Dict().tag(sync=True)
    pinned = traitlets.Dict().tag(sync=True)
    neighbors = traitlets.Dict({"words": "", "lists": []}).tag(sync=True)
    edits = traitlets.Dict().tag(sync=True)

    def pin(self, row: int | None = None):
        self.owner.pinned = row

    def find(self, kind: str, text: str):
        try:
            self.owner.find(kind, text)
        except ValueError:
            self.found = {**NOTHING_FOUND, "asked": self.asks()}
            raise

    def asks(self) -> int:
        """A number that is another each time, so that an answer that is the same again is told again."""
        return self.found["asked"] + 1


def row_of() -> Layout:
    """Side by side, and one below the other where there is no room."""
    return Layout(
        display="flex",
        flex_flow="row wrap",
        width="100%",
        overflow="visible",
        align_items="flex-start",
        grid_gap="6px",
    )


def arranged(maps: list[Widget], below: MapPanel, beside: GraphPanel) -> list[Widget]:
    """A map and its panel beside the graphs; two maps above them."""
    whole = len(maps) > 1
    for map in maps:
        map.layout = Layout(flex="1 1 400px", min_width="0")
    left = VBox(
        [Box(maps, layout=row_of()), below], layout=Layout(flex=f"3 1 {'100%' if whole else '460px'}", min_width="0")
    )
    beside.layout = Layout(flex=f"2 1 {'100%' if whole else '400px'}", min_width="0")
    return [left, beside]
