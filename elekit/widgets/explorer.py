"""The embedding space as a map: point, pin, search, select, color, compare."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from elekit import inspect
from elekit.decoding import Trace
from elekit.draw.maps import paint
from elekit.draw.scenes import palette
from elekit.graphs.graph import GraphBatch
from elekit.inspect.distinguishing import MIXED
from elekit.model.loss import Psi
from elekit.widgets.alignment import aligned
from elekit.widgets.base import Displayed, in_own_colors, run_in_background, show_error, shows_errors, verdict
from elekit.widgets.canvas import Canvas
from elekit.widgets.explored import CHANGE, FOUND, GROUP, KEPT, SIDES, TO_PINNED, Explored
from elekit.widgets.explorer_page import explorer_state
from elekit.widgets.export import formats
from elekit.widgets.grid import Grid
from elekit.widgets.inspector_io import Json
from elekit.widgets.page import save
from elekit.widgets.panels import GraphPanel, MapPanel, Rows, arranged, limit_height, row_of
from elekit.widgets.selecting import SelectPanel
from elekit.widgets.selections import Selections
from elekit.widgets.space import Data, Space, Vectors, key, read, without_graphs

LISTED = 50  # results of a search that are shown
DRAWN = 100  # predictions drawn at a time
PICTURES = 24  # graphs drawn on the map in place of points
TABS = ("Graph", "Select", "Table")
LOWEST, HIGHEST = 280, 4000  # pixels of a map


def explore(
    psi: Psi | Tensor | np.ndarray, data: Data | pd.DataFrame | None = None, *,
    map: inspect.maps.EmbeddingMap | None = None,
    other: Psi | Tensor | np.ndarray | inspect.maps.EmbeddingMap | None = None,
    losses: tuple[str, str] = SIDES, predictions: Tensor | None = None, trace: Trace | None = None,
    color: str | None = None, id: str | None = None, facts: Sequence[str] = (), session: str | Path | None = None,
    height: int | None = None,
) -> "Explorer":  # fmt: skip
    """Make a widget that shows the embedding space of psi as a map, with the graphs behind its points.

    Args:
        psi: The learned embedding; or vectors (n, D) of any other model, which are scaled to length 1.
        data: The graphs. The column split names the splits of a Dataset. Vectors can also be shown without graphs:
            None, or a DataFrame with their columns.
        map: A map of these graphs, in this order; None = a stored map, otherwise principal components. To keep places
            when graphs are added, pass `earlier.map.extended(psi.embed(new))`.
        other: A second embedding of the same graphs, or vectors, to compare the two losses; or a second map of psi.
        losses: Names of psi and `other`, such as ("before", "after").
        predictions: (n, D) unit vectors such as `h.predict(split.inputs)`, rows of nan for missing ones, drawn for
            the pinned and the selected graphs. The column "prediction error" is their learned loss to the truth.
        trace: A decoding run, drawn as a path.
        color: The column to color by at the start.
        id: The column of the data that names the graphs, on cards and in the search by id.
        facts: Columns that every card shows.
        session: A file of `Explorer.save`; opened if it exists, and where the session is saved to.
        height: Height of a map in pixels; None = as the window allows, at least 280.
        names: What the two losses are called if there is an `other`.

    Returns:
        The widget, an `elekit.widgets.explorer.Explorer`. With two losses, the column "moved" is the share of each
        graph's 15 nearest that differ between them, and "change of loss to pinned" the second loss minus the first.

    Raises:
        ValueError: If `data` has no graphs, or if `map`, `other`, `losses`, `predictions`, `color`, `id`, `facts` or
            the session do not fit it.
    """
    if len(losses) != 2 or losses[0] == losses[1]:
        raise ValueError(f"losses must be two different names, got {losses!r}")
    embedding = _embedding(psi)
    graphs: GraphBatch
    if isinstance(embedding, Vectors) and (data is None or isinstance(data, pd.DataFrame)):
        graphs, frame, texts = without_graphs(len(embedding.points)), data, None
    else:
        graphs, frame, texts = read(data)  # type: ignore[arg-type]  # others are refused there
    if lacking := [name for name in ([] if id is None else [id]) + list(facts) if frame is None or name not in frame]:
        columns = "none" if frame is None else ", ".join(str(name) for name in frame.columns)
        raise ValueError(f"no column {lacking[0]!r} in the data; the columns are {columns}")
    if id is not None and frame is not None:
        frame = frame.assign(id=frame[id])
    spaces = [Space.of(embedding, graphs, map)]
    if isinstance(other, inspect.maps.EmbeddingMap):
        spaces.append(Space.of(embedding, graphs, other))
    elif other is not None:
        spaces.append(Space.of(_embedding(other), graphs))
    names = (str(losses[0]), str(losses[1]))
    explored = Explored(spaces, graphs, frame, texts, predictions, trace, names, tuple(facts))
    if explored.compares and map is None and len({space.map.method for space in spaces}) > 1:
        # a stored map of one loss: maps of two methods cannot be compared
        stored = [k for k, space in enumerate(spaces) if space.map.method != "pca"]
        explored.show_maps({k: inspect.fit_map(spaces[k].points, method="pca") for k in stored})
    return Explorer(explored, color=color, session=session, height=height)


def _embedding(given: Psi | Tensor | np.ndarray) -> Psi:
    return Vectors.of(given) if isinstance(given, Tensor | np.ndarray) else given


class Explorer(Selections, Displayed, ipywidgets.Box):
    """A map of graphs to point at, pin, search, select, color and compare; made by `explore`.

    selection_rows: the selected rows, a sorted array. pinned, hovered: a row, or None. color_by: a column of `frame`.
    query: (kind, text) of the last search. combine, colors: see `Selections`. baseline: a
    known distance by which the neighbors are listed too, "" for none. tab: what is beside the map, "Graph",
    "Select" or "Table". All of these can be set. problem: the last error in one sentence, "" after
    a success. error: the exception.
    """

    selection_rows = Rows()
    pinned = traitlets.Int(None, allow_none=True)
    hovered = traitlets.Int(None, allow_none=True)
    color_by = traitlets.Unicode()
    query = traitlets.Tuple(traitlets.Unicode(), traitlets.Unicode(), default_value=("id", ""))
    baseline = traitlets.Unicode()
    tab = traitlets.Enum(TABS, TABS[0])
    problem = traitlets.Unicode()
    error: Exception | None = None

    def __init__(
        self, explored: Explored, *, color: str | None = None, session: str | Path | None = None,
        height: int | None = None,
    ):  # fmt: skip
        self.explored, self._closed = explored, False
        several, least = len(explored.spaces) > 1, LOWEST if height is None else height
        self._near: list[pd.DataFrame] = []
        self._edits: dict[int, str] = {}
        self._stop: Callable[[], None] | None = None
        self._found = np.empty(0, dtype=np.int64)
        looks = palette(explored.graphs.vocabulary)
        self._below = MapPanel(
            self, palette=looks, columns=explored.columns, grows=height is None,
            sides=list(explored.losses) if several else [],
        )  # fmt: skip
        self._select_panel = SelectPanel(
            self, palette=looks, columns=explored.columns, formats=list(formats(explored.graphs)),
            session=str(session or "session.json"),
        )  # fmt: skip
        self._grid: Grid | None = None
        lines = [verdict(space.psi) for space in explored.spaces[: 1 + explored.compares]]
        if explored.compares:
            lines = [f"{name}: {line}" for name, line in zip(explored.losses, lines)]
        self._beside = GraphPanel(
            self, palette=looks, kinds=list(explored.search.kinds), health="\n".join(lines),
            baselines=explored.baselines, moved=explored.moved_most(LISTED),
        )  # fmt: skip
        self._canvases = [
            Canvas(
                space.map.positions, least, reticle=several,
                clicked=self._clicked, lassoed=self._lassoed, pointed=self._pointed, sent=self._sent,
            )
            for space in explored.spaces
        ]  # fmt: skip
        maps = [canvas.widget for canvas in self._canvases]
        self._tabs = ipywidgets.ToggleButtons(options=TABS, style={"button_width": "5.5em"})
        self._aside = ipywidgets.VBox([self._tabs, self._beside, self._select_panel])
        super().__init__(arranged(maps, self._below, self._aside), layout=row_of())
        limit_height(self.children, least)
        self.add_class("elekit-explorer")
        traitlets.link((self, "tab"), (self._tabs, "value"))
        for panel in (self._beside, self._select_panel):
            traitlets.dlink((self, "problem"), (panel, "problem"))
        traitlets.link((self, "combine"), (self._below, "combine"))
        traitlets.dlink((self, "colors"), (self._select_panel, "colors"))
        self._below.observe(self._lay, "paper")
        self.color_by = explored.first_column() if color is None else color
        self._select()
        self._below.trust, self._below.offers = explored.trust(), explored.offers()
        self._turn()
        if session is not None and Path(session).exists():
            self._open(session)

    # -- for Python --------------------------------------------------------------------------------------------
    @property
    def frame(self) -> pd.DataFrame:
        """A copy of the table of all graphs: columns of the data, of `inspect.search.overview`, of the map."""
        return self.explored.table.copy()

    @property
    def map(self) -> inspect.maps.EmbeddingMap:
        return self.explored.spaces[0].map

    @property
    def selection(self) -> pd.DataFrame:
        """The selected rows of `frame`. Can be set to row numbers, n truth values, rows of `frame`, or None."""
        return self.explored.table.iloc[self.selection_rows].copy()

    @selection.setter
    def selection(self, rows: Any) -> None:
        self.selection_rows = [] if rows is None else rows

    @property
    def found(self) -> pd.DataFrame:
        """The rows of `frame` found by the last search."""
        return self.explored.table.iloc[self._found].copy()

    @property
    def neighbors(self) -> pd.DataFrame:
        """Neighbors of the pinned graph: row, loss, by (0 or 1, the learned loss), and edits between the two."""
        near = [frame.assign(by=k) for k, frame in enumerate(self._near)]
        table = pd.concat(near, ignore_index=True) if near else pd.DataFrame(columns=["row", "loss", "by"])
        return table.assign(edits=[self._edits.get(int(row), "") for row in table["row"]])

    def find(self, kind: str, text: str) -> pd.DataFrame:
        """Rows of `frame` found by `elekit.inspect.search.Search`: by "id", "smiles", "substructure" or "label"."""
        if self.query == (kind, text):
            self._answer()
        self.query = (kind, text)
        return self.found

    def make_map(self, method: str = "umap") -> None:
        """Show a map of another method, a stored one or a new one, which is stored.

        In JupyterLab the widget stays usable meanwhile, and the button becomes "Cancel", see `cancel`.

        Args:
            method: One of `elekit.inspect.maps.METHODS`.
        """
        known = self.explored
        if method not in inspect.maps.METHODS:
            raise ValueError(f"no map method {method!r}; the methods are {', '.join(inspect.maps.METHODS)}")
        spaces = {k: known.spaces[k] for k in known.movable() if known.spaces[k].map.method != method}
        if not spaces or self._below.busy:
            return
        made = {k: known.maps[k, method] for k in spaces if (k, method) in known.maps}

        def work() -> dict[int, inspect.maps.EmbeddingMap]:
            for k, space in spaces.items():
                if k in made:
                    continue
                name = key(space.psi, known.graphs, method)
                stored = None if method == "pca" else inspect.maps.load_map(name, space.points)
                made[k] = stored or inspect.fit_map(space.points, method=method)
                if stored is None and method != "pca":
                    inspect.maps.save_map(made[k], name)
            return made

        if len(made) == len(spaces):
            self._move(made, None)
            return
        self._below.busy = f"Making the {inspect.maps.TITLES[method]} map; you can continue meanwhile …"
        self._below.progress = [time.time(), known.seconds(method)]
        try:
            self._stop = run_in_background(work, self._move)
        except Exception:  # without an event loop, errors are raised here
            self._rest()
            raise

    def cancel(self) -> None:
        """Stop making a map; the map shown stays."""
        if self._stop is not None and self._below.busy:
            self._stop()
            self._rest()

    def _rest(self) -> None:
        self._stop, self._below.busy, self._below.progress = None, "", [0.0, 0.0]

    @property
    def palette(self) -> Json:
        """Looks of the labels, see `elekit.draw.scenes.palette`."""
        return self._below.palette

    @in_own_colors
    def picture(self) -> Figure:
        """Draw the maps with their colors, the selection, the pinned graph and its neighbors."""
        return self.explored.picture(
            self.color_by, self.selection_rows, self.pinned, self._near, self._predicted, self.colors
        )

    def save_html(self, path: str | Path, title: str = "Explorer") -> Path:
        """Write the explorer as one HTML file that needs no kernel and no network; without substructure search."""
        state = explorer_state(
            self.explored, self._canvases[0], self.color_by, self.colors, self.pinned, self.palette
        )  # fmt: skip
        return save(path, "explorer", state | {"selection": self.selection_rows.tolist()}, title)

    def close(self) -> None:
        """Close the widget and free its data; jupyter-scatter never frees its own widgets."""
        self._closed = True
        self.cancel()
        boxes = [part for part in self.children if isinstance(part, ipywidgets.Box)]
        boxes += [part for box in boxes for part in box.children if isinstance(part, ipywidgets.Box)]
        panels = [self._tabs, self._below, self._beside, self._select_panel]
        for part in (*panels, *self._canvases, *boxes):
            part.close()
        super().close()

    # -- from the browser --------------------------------------------------------------------------------------
    @shows_errors
    def execute(self, command: Callable[..., object], values: Json) -> None:
        command(**values)

    @shows_errors
    def _clicked(self, row: int) -> None:
        """Pin a point. jupyter-scatter has selected it, so the selection is restored."""
        for canvas in self._canvases:
            canvas.select(self.selection_rows)
        self.pinned = row

    @shows_errors
    def _lassoed(self, rows: np.ndarray) -> None:
        self.choose(rows)
        for canvas in self._canvases:  # shows what was drawn, which may not be what is selected now
            canvas.select(self.selection_rows)

    @shows_errors
    def _picked(self, rows: list[int]) -> None:
        """Pin the graph of a marked row of the table, or select those of several."""
        if len(rows) == 1:
            self.pinned = rows[0]

    def _pointed(self, row: int | None) -> None:
        try:
            self.hovered = row
        except Exception as error:  # pointing does not clear an error, so not `shows_errors`
            show_error(self, error)

    def repaint(self, map: int) -> None:
        self._canvases[map].send_points()

    def resize(self, height: int) -> None:
        """Give the maps this height in pixels, and the panels what goes with it."""
        height = max(LOWEST, min(int(height), HIGHEST))
        for canvas in self._canvases:
            canvas.widget.height = height
        limit_height(self.children, height)

    def _lay(self, change: object = None) -> None:
        """The browser's theme has changed."""
        for canvas in self._canvases:
            canvas.lay_on(self._below.paper)
        self._color()

    # -- to the browser ----------------------------------------------------------------------------------------
    @traitlets.validate("pinned", "hovered")
    def _valid_row(self, proposal: Json) -> int | None:
        row = proposal["value"]
        return None if row is None else int(self.explored.rows_of([row])[0])

    @traitlets.validate("color_by")
    def _valid_column(self, proposal: Json) -> str:
        if not self.explored.has(proposal["value"]):
            raise ValueError(f"no column {proposal['value']!r}; the columns are {', '.join(self.explored.columns)}")
        return proposal["value"]

    @traitlets.validate("query")
    def _valid_query(self, proposal: Json) -> tuple[str, str]:
        kind, text = proposal["value"]
        if kind == "substructure":
            self._read_molecules()
        self._found = self.explored.search(kind, text)
        return proposal["value"]

    @traitlets.observe("hovered")
    def _hover(self, change: object = None) -> None:
        for canvas in self._canvases:
            canvas.point(self.hovered)
        if self.hovered is not None:  # otherwise the last drawing stays
            self._beside.hovered = self.explored.card(self.hovered, column=self.color_by, pinned=self.pinned)

    @traitlets.observe("selection_rows")
    def _select(self, change: object = None) -> None:
        rows = self.selection_rows
        for canvas in self._canvases:
            canvas.select(rows)
            canvas.paint(self._paint, context=len(rows) > 0)
        self._mark()
        more = f" Predictions of {DRAWN} are drawn." if len(self._predicted) == DRAWN else ""
        self._below.selected = self.explored.selected_words(rows) + more
        self._below.any_selected = bool(len(rows))
        self._select_panel.special, self._select_panel.verdict = [], ""
        self._turn()

    @traitlets.observe("tab")
    def _turn(self, change: object = None) -> None:
        """Show the panel of the current tab, up to date."""
        if self.tab == "Table" and self._grid is None:
            self._grid = Grid(self.explored, self._below.palette, self._picked)
            self._aside.children = [*self._aside.children, self._grid]
        for name, panel in zip(TABS, (self._beside, self._select_panel, self._grid)):
            if panel is not None:
                panel.layout.display = None if name == self.tab else "none"
        if self.tab == "Table" and self._grid is not None:
            self._grid.show(self.selection_rows)
        if self.tab == "Select":
            self._select_panel.show(self._select_panel.column or self.color_by)

    @traitlets.observe("color_by", "colors")
    def _color(self, change: object = None) -> None:
        if self.color_by == GROUP:
            self._read_molecules()
        column = self.explored.column(self.color_by)
        if self.color_by not in self._below.columns:
            self._below.columns = [*self._below.columns, self.color_by]
        self._below.color_by = self.color_by
        self._paint = paint(column, self._canvases[0].backdrop, self.colors)
        self._below.legend = self._paint.legend()
        for canvas in self._canvases:
            canvas.paint(self._paint, context=len(self.selection_rows) > 0)

    def _sent(self) -> None:
        self._below.painted = [canvas.version for canvas in self._canvases]

    def _read_molecules(self) -> None:
        """Parse all molecules once, which takes seconds for 100,000."""
        if self._below.busy or "molecules" in vars(self.explored.search):
            return
        self._below.busy = "Reading the molecules …"
        try:
            self.explored.search.molecules  # noqa: B018 - cached
        finally:
            self._below.busy = ""

    @traitlets.validate("baseline")
    def _valid_baseline(self, proposal: Json) -> str:
        names = self.explored.baselines
        if proposal["value"] not in ("", *names):
            raise ValueError(f"no distance {proposal['value']!r}; there are {', '.join(names) or 'none'}")
        return proposal["value"]

    @traitlets.observe("baseline")
    def _show_neighbors(self, change: object = None) -> None:
        """List the neighbors by a known distance too, once they are computed."""
        known, row, name = self.explored, self.pinned, self.baseline
        self._beside.baseline, self._beside.neighbors = name, known.neighbor_lists(self._near)
        if row is None or not name:
            return

        def arrived(near: pd.DataFrame | None, error: Exception | None) -> None:
            if self._closed or (self.pinned, self.baseline) != (row, name):
                return
            if near is None:
                show_error(self, error or RuntimeError(f"no neighbors by {name}"))
                return
            self._beside.neighbors = known.neighbor_lists(self._near, (name, near))
            self._separate(row, [int(one) for one in near["row"] if int(one) not in self._edits])

        run_in_background(lambda: known.nearest_by(name, row), arrived)

    @traitlets.observe("pinned")
    def _pin(self, change: object = None) -> None:
        known, row, beside = self.explored, self.pinned, self._beside
        self._near, self._edits, beside.edits = known.pin(row), {}, {}
        self._show_pinned()
        self._show_neighbors()
        if beside.hovered:  # its loss to the pinned graph has changed
            beside.hovered = known.card(beside.hovered["row"], column=self.color_by, pinned=row)
        if self.color_by in (TO_PINNED, CHANGE):
            self._color()
        self._mark()
        self._separate(row, list(dict.fromkeys(int(r) for near in self._near for r in near["row"])))

    def _show_pinned(self) -> None:
        row, known, beside = self.pinned, self.explored, self._beside
        if row is None:
            beside.pinned = {}
        else:
            beside.pinned = {**known.card(row, column=self.color_by, pinned=row), "trust": known.pinned_words(row)}
        self._select_panel.note_of = "" if row is None else known.name(row)
        self._select_panel.note = "" if row is None else known.notes.get(row, "")

    def _separate(self, pinned: int | None, rows: list[int]) -> None:
        """Compute the edits to one neighbor after the other, as long as the same graph is pinned."""
        if not rows or pinned is None or not self.explored.drawn:
            return
        graphs = self.explored.graphs

        def arrived(found: Json | None, error: Exception | None) -> None:
            if self._closed or self.pinned != pinned:
                return
            if error is not None:
                show_error(self, error)
            elif found is not None:
                self._edits[rows[0]] = found["words"]
                self._beside.edits = {**self._beside.edits, str(rows[0]): found}
                self._separate(pinned, rows[1:])

        place = np.array(self.explored.scene(pinned)["positions"])
        run_in_background(lambda: aligned(graphs[pinned], graphs[rows[0]], place), arrived)

    @traitlets.observe("query")
    def _answer(self, change: object = None) -> None:
        (kind, text), known, count = self.query, self.explored, len(self._found)
        known.table[FOUND] = np.isin(np.arange(len(known)), self._found)
        words = f"{count:,} found" + (f", the first {LISTED} listed" if count > LISTED else "") + "."
        shown = [known.entry(row) for row in self._found[:LISTED]]
        serial = self._beside.next_serial()
        self._beside.found = {"kind": kind, "text": text, "words": words, "shown": shown, "serial": serial}
        if self.color_by == FOUND:
            self._color()

    @shows_errors
    def _move(self, made: dict[int, inspect.maps.EmbeddingMap] | None, error: Exception | None) -> None:
        if self._closed:
            return
        self._rest()
        if made is None:
            raise error or RuntimeError("no map was made")
        self.show_maps(made)

    def show_maps(self, made: dict[int, inspect.maps.EmbeddingMap]) -> None:
        known = self.explored
        known.show_maps(made)
        for canvas, space in zip(self._canvases, known.spaces):
            canvas.move(space.map.positions)
        self._below.trust, self._below.offers = known.trust(), known.offers()
        if self.color_by == KEPT:
            self._color()
        self._select()
        self.show_kept()

    def show_kept(self) -> None:
        known, panel = self.explored, self._select_panel
        self._below.columns = panel.columns = known.columns
        panel.tags = [{"name": name, "count": len(rows)} for name, rows in known.tags.items()]
        panel.note_of = "" if self.pinned is None else known.name(self.pinned)
        panel.note = known.notes.get(self.pinned, "") if self.pinned is not None else ""
        places = self._canvases[0].on_canvas(np.array([group.place for group in known.groups]))
        self._below.groups = [
            {"level": group.level, "at": at.round(4).tolist(), "name": group.name}
            for group, at in zip(known.groups, places)
            if group.name != MIXED
        ]
        if self.pinned is not None:
            self._show_pinned()
        if self.color_by in known.table:
            self._color()

    def cameras(self) -> list[list[float]]:
        return self._below.cameras

    def look(self, cameras: list[list[float]]) -> None:
        self._below.cameras = cameras

    def draw_rows(self, rows: list[int]) -> None:
        """Send drawings of the graphs that the browser shows instead of points."""
        known = self.explored
        if not known.drawn:
            return
        self._below.pictures = {str(row): known.scene(row) for row in known.rows_of(rows[:PICTURES]).tolist()}

    def _mark(self) -> None:
        """Update the marks on the maps and the maps in words; predictions of pinned and first selected graphs."""
        known, pinned = self.explored, [] if self.pinned is None else [self.pinned]
        rows = dict.fromkeys([*pinned, *self.selection_rows[: 10 * DRAWN].tolist()])
        self._predicted = known.predicted(rows, DRAWN)
        neighbors = [near["row"] for near in self._near] or [(), ()]
        marks = zip(self._canvases, neighbors, (self._predicted, ()), known.placed or (None, None))
        self._below.shapes = [canvas.shape for canvas in self._canvases]
        self._below.marks = [canvas.marks(self.pinned, *shown) for canvas, *shown in marks]
        selected = len(self.selection_rows)
        self._below.alternative = known.alternative(self.color_by, selected, self.pinned, self._near)
