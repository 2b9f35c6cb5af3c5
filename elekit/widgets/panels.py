"""The two panels of the explorer, below the map and beside it."""

import re
from typing import Any

import numpy as np
import traitlets
from ipywidgets import Box, Layout, VBox, Widget
from matplotlib.figure import Figure

from elekit.inspect.search import step
from elekit.widgets.base import Panel
from elekit.widgets.bundle import STATIC, script, style
from elekit.widgets.inspector_io import Json

WHITE = "#ffffff"
BESIDE = 240  # pixels that the panel beside a single map may be higher than the map
UNDER = 28  # pixels that the panels under two maps may be higher than the maps
NOTHING_FOUND: Json = {"kind": "id", "text": "", "words": "", "shown": [], "serial": 0}


class Rows(traitlets.TraitType):
    """Row numbers, as a sorted, read-only array of int64."""

    info_text = "row numbers"
    default_value = np.empty(0, dtype=np.int64)

    def validate(self, obj: Any, value: Any) -> np.ndarray:
        rows = np.unique(obj.explored.rows_of(value))
        rows.flags.writeable = False
        return rows

    def set(self, obj: Any, value: Any) -> None:
        rows: Any = self._validate(obj, value)
        before: Any = self.get(obj)
        if not np.array_equal(rows, before):
            obj._trait_values[self.name] = rows
            obj._notify_trait(self.name, before, rows)


class ExplorerPanel(Panel):
    """A part of an explorer, its `owner`. Commands of the browser set the owner's traits, and errors show there."""

    _css = traitlets.Unicode(style("explorer.css")).tag(sync=True)

    def __init__(self, owner: Any, **traits: Any):
        super().__init__(**traits)
        self.owner = owner

    def _execute(self, command: str, values: Json) -> None:
        self.owner.execute(getattr(self, command), values)

    def select(self, what: str) -> None:
        if what == "found":
            self.owner.choose(self.owner.found)
        else:
            self.owner.selection = None

    def picture(self) -> Figure:
        figure: Figure = self.owner.picture()
        return figure


class MapPanel(ExplorerPanel):
    """Below the map: legend, selection, walking by keys, trust; and the marks on the map.

    columns: what the map can be colored by. color_by: the current one. legend: see `draw.maps.Paint.legend`.
    selected: the selection in words. any_selected: whether it has rows. trust: how faithful the map is, in words.
    offers: (method, label) of the buttons that show other maps. busy: the work in progress, "" for none. progress:
    when it started, as Unix time, and the seconds it is expected to take; 0 if it cannot be canceled.
    alternative: the map in words, for screen readers. marks: for each map, dots {kind, at, number} and lines
    {kind, points} in coordinates of its canvas. painted: for each map, the `Canvas.version` that should be visible.
    combine: see `Selections`. groups: named groups on the first map, {level, at, name}. cameras: for each map, the 16
    numbers of its camera, as the browser looks at it. pictures: scenes of graphs that are drawn on the map, by row.
    paper: color of the background, "#rrggbb", from the theme of the browser. sides: the names of two losses, for
    their maps. shapes: for each map, its width by its height. grows: whether maps grow with the window.
    """

    _esm = traitlets.Unicode(script(STATIC / "explorer_map.js")).tag(sync=True)
    COMMANDS = (
        "color", "select", "walk", "toggle", "circle", "make_map", "cancel", "repaint", "draw_rows", "resize",
    )  # fmt: skip

    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    color_by = traitlets.Unicode().tag(sync=True)
    legend: "traitlets.Dict[str, Any]" = traitlets.Dict({"classes": [], "ramp": [], "numbers": []}).tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
    any_selected = traitlets.Bool(False).tag(sync=True)
    trust = traitlets.Unicode().tag(sync=True)
    offers: "traitlets.List[list[str]]" = traitlets.List().tag(sync=True)
    busy = traitlets.Unicode().tag(sync=True)
    progress: "traitlets.List[float]" = traitlets.List([0.0, 0.0]).tag(sync=True)
    alternative = traitlets.Unicode().tag(sync=True)
    marks = traitlets.List(traitlets.Dict()).tag(sync=True)
    painted = traitlets.List(traitlets.Int()).tag(sync=True)
    combine = traitlets.Unicode("replace").tag(sync=True)
    groups: "traitlets.List[Json]" = traitlets.List().tag(sync=True)
    cameras: "traitlets.List[list[float]]" = traitlets.List().tag(sync=True)
    pictures: "traitlets.Dict[str, Json]" = traitlets.Dict().tag(sync=True)
    paper = traitlets.Unicode(WHITE).tag(sync=True)
    sides = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shapes = traitlets.List(traitlets.Float()).tag(sync=True)
    grows = traitlets.Bool(False).tag(sync=True)

    @traitlets.validate("paper")
    def _valid_color(self, proposal: Json) -> str:
        color: str = proposal["value"]
        return color if re.fullmatch("#[0-9a-f]{6}", color) else WHITE

    def color(self, column: str) -> None:
        self.owner.color_by = column

    def walk(self, direction: str) -> None:
        """Pin the nearest graph in a direction on the first map, or the first graph if none is pinned."""
        pinned = self.owner.pinned
        row = 0 if pinned is None else step(self.owner.map.positions, pinned, direction)
        if row is not None:
            self.owner.pinned = row

    def toggle(self) -> None:
        """Add the pinned graph to the selection, or remove it."""
        if self.owner.pinned is not None:
            self.owner.selection_rows = np.setxor1d(self.owner.selection_rows, [self.owner.pinned])

    def circle(self, size: int) -> None:
        """Choose the graphs in a circle around the pinned one; its radius is size / 20 of the first map."""
        if self.owner.pinned is None:
            raise ValueError("pin a graph first: the circle is drawn around it")
        places = self.owner.map.positions
        away = np.linalg.norm(places - places[self.owner.pinned], axis=1)
        self.owner.choose(np.flatnonzero(away <= size * np.ptp(places, axis=0).max() / 20))

    def make_map(self, method: str) -> None:
        self.owner.make_map(method)

    def cancel(self) -> None:
        self.owner.cancel()

    def repaint(self, map: int) -> None:
        self.owner.repaint(map)

    def draw_rows(self, rows: list[int]) -> None:
        self.owner.draw_rows(rows)

    def resize(self, height: int) -> None:
        self.owner.resize(height)


class GraphPanel(ExplorerPanel):
    """Beside the map: search, the graph under the pointer, the pinned one and its neighbors.

    kinds: kinds of search. found: the last search (kind, text), its count in words, and first results (shown: row,
    name, id). hovered, pinned: row, name, id, facts, text and scene of a graph, {} for none. neighbors: for each
    learned loss a heading and cards (row, name, id, scene, loss, shared, and of two losses way and rank, see
    `Explored.neighbor_lists`), and how the losses agree, in words. moved: of two losses, where their neighbors differ
    most, in words and as entries with their share.
    baselines: known distances to list neighbors by; baseline: the current one, "" for none.
    edits: by row, a neighbor drawn over the pinned graph (see `elekit.widgets.alignment.aligned`); they arrive later.
    """

    _esm = traitlets.Unicode(script(STATIC / "explorer_panel.js")).tag(sync=True)
    COMMANDS = ("pin", "find", "select", "compare_with")

    baselines = traitlets.List(traitlets.Unicode()).tag(sync=True)
    baseline = traitlets.Unicode().tag(sync=True)
    kinds = traitlets.List(traitlets.Unicode()).tag(sync=True)
    found = traitlets.Dict(NOTHING_FOUND).tag(sync=True)
    hovered = traitlets.Dict().tag(sync=True)
    pinned = traitlets.Dict().tag(sync=True)
    neighbors = traitlets.Dict({"words": "", "lists": []}).tag(sync=True)
    edits = traitlets.Dict().tag(sync=True)
    moved = traitlets.Dict({"words": "", "shown": []}).tag(sync=True)

    def pin(self, row: int | None = None) -> None:
        self.owner.pinned = row

    def find(self, kind: str, text: str) -> None:
        try:
            self.owner.find(kind, text)
        except ValueError:
            self.found = {**NOTHING_FOUND, "serial": self.next_serial()}
            raise

    def compare_with(self, baseline: str) -> None:
        self.owner.baseline = baseline

    def next_serial(self) -> int:
        """A new number for each search, so that the browser also hears of a result that equals the last one."""
        return int(self.found["serial"]) + 1


def row_of() -> Layout:
    wrapped = {"display": "flex", "flex_flow": "row wrap", "width": "100%", "overflow": "visible"}
    return Layout(**wrapped, align_items="flex-start", grid_gap="6px")


def arranged(maps: list[Widget], below: MapPanel, beside: Widget) -> list[Widget]:
    """Lay out one map, its panel below it and the other beside; or two maps, and below them the panels side by side.

    Panels scroll, so that all fits a laptop, see `limit_height`.
    """
    for map in maps:
        map.layout = Layout(flex="1 1 340px", min_width="0")
    shown = Box(maps, layout=row_of())
    beside.layout = Layout(flex="2 1 340px", min_width="0", overflow="auto")
    if len(maps) == 1:
        return [VBox([shown, below], layout=Layout(flex="3 1 400px", min_width="0")), beside]
    shown.layout.flex = "1 1 100%"
    below.layout = Layout(flex="2 1 340px", min_width="0", overflow="auto")
    return [shown, below, beside]


def limit_height(parts: list[Widget], height: int) -> None:
    """Let the panels of `arranged` be as high as goes with maps of this height in pixels."""
    _, *panels = parts
    for panel in panels:
        panel.layout.max_height = f"{height + (BESIDE if len(panels) == 1 else UNDER)}px"
