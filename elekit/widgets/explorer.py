"""The embedding space as a map: point, pin, search, select, color, compare."""

from collections.abc import Callable
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
from elekit.model.loss import Psi
from elekit.widgets.base import Displayed, run_in_background, show_error, shows_errors, verdict
from elekit.widgets.canvas import Canvas
from elekit.widgets.explored import FOUND, GROUP, KEPT, TO_PINNED, Explored
from elekit.widgets.inspector_io import Json
from elekit.widgets.panels import BESIDE, GraphPanel, MapPanel, Rows, arranged, row_of
from elekit.widgets.space import Data, Space, read

LISTED = 50  # results of a search that are shown
DRAWN = 100  # predictions drawn at a time
LOWEST, HIGHEST = 280, 4000  # pixels of a map


def explore(
    psi: Psi, data: Data, *, map: inspect.maps.EmbeddingMap | None = None, other: Psi | None = None,
    predictions: Tensor | None = None, trace: Trace | None = None, color: str | None = None,
    height: int | None = None, names: tuple[str, str] = ("psi", "other"),
) -> "Explorer":  # fmt: skip
    """Make a widget that shows the embedding space of psi as a map, with the graphs behind its points.

    Args:
        psi: The learned embedding.
        data: The graphs. The column split names the splits of a Dataset.
        map: A map of these graphs, in this order; None = a stored map, otherwise principal components.
        other: A second embedding of the same graphs, shown on a second map.
        predictions: (n, D) unit vectors such as `h.predict(split.inputs)`, rows of nan for missing ones, drawn for
            the pinned and the selected graphs. The column "prediction error" is their learned loss to the truth.
        trace: A decoding run, drawn as a path.
        color: The column to color by at the start.
        height: Height of a map in pixels; None = as the window allows, at least 280.
        names: What the two losses are called if there is an `other`.

    Returns:
        The widget, an `elekit.widgets.explorer.Explorer`.

    Raises:
        ValueError: If `data` has no graphs, or if `map`, `predictions` or `color` do not fit it.
    """
    graphs, frame, texts = read(data)
    spaces = [Space.of(psi, graphs, map)]
    if other is not None:
        spaces.append(Space.of(other, graphs))
    explored = Explored(spaces, graphs, frame, texts, predictions, trace, names)
    return Explorer(explored, color=color, height=height)


class Explorer(Displayed, ipywidgets.Box):
    """A map of graphs to point at, pin, search, select, color and compare; made by `explore`.

    selection_rows: the selected rows, a sorted array. pinned, hovered: a row, or None. color_by: a column of `frame`.
    query: (kind, text) of the last search. All of these can be set. problem: the last error in one sentence, "" after
    a success. error: the exception.
    """

    selection_rows = Rows()
    pinned = traitlets.Int(None, allow_none=True)
    hovered = traitlets.Int(None, allow_none=True)
    color_by = traitlets.Unicode()
    query = traitlets.Tuple(traitlets.Unicode(), traitlets.Unicode(), default_value=("id", ""))
    problem = traitlets.Unicode()
    error: Exception | None = None

    def __init__(self, explored: Explored, *, color: str | None = None, height: int | None = None):
        self.explored, self._closed = explored, False
        several, least = len(explored.spaces) > 1, LOWEST if height is None else height
        self._near: list[pd.DataFrame] = []
        self._edits: dict[int, str] = {}
        self._found = np.empty(0, dtype=np.int64)
        looks = palette(explored.graphs.vocabulary)
        self._below = MapPanel(
            self, palette=looks, columns=explored.columns, grows=height is None,
            sides=list(explored.sides) if several else [],
        )  # fmt: skip
        line = "\n".join(verdict(space.psi) for space in explored.spaces)
        self._beside = GraphPanel(self, palette=looks, kinds=list(explored.search.kinds), health=line)
        self._canvases = [
            Canvas(
                space.map.positions, least, reticle=several,
                clicked=self._clicked, lassoed=self._lassoed, pointed=self._pointed, sent=self._sent,
            )
            for space in explored.spaces
        ]  # fmt: skip
        maps = [canvas.widget for canvas in self._canvases]
        super().__init__(arranged(maps, self._below, self._beside, least), layout=row_of())
        self.add_class("elekit-explorer")
        traitlets.dlink((self, "problem"), (self._beside, "problem"))
        self._below.observe(self._lay, "paper")
        self.color_by = explored.first_column() if color is None else color
        self._select()
        self._below.trust, self._below.offer = explored.trust(), explored.offer()

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

    def make_umap(self) -> None:
        """Make a UMAP map, store it and show it. In JupyterLab the widget stays usable meanwhile."""
        spaces, graphs = self.explored.spaces, self.explored.graphs
        lacking = [k for k, space in enumerate(spaces) if space.map.method != "umap"]
        if not lacking or self._below.busy:
            return
        self._below.busy = "Making the UMAP map; you can continue meanwhile …"

        def work() -> dict[int, inspect.maps.EmbeddingMap]:
            made = {k: inspect.fit_map(spaces[k].points, method="umap") for k in lacking}
            for k, map in made.items():
                inspect.maps.save_map(map, inspect.maps.map_key(spaces[k].psi, graphs))
            return made

        try:
            run_in_background(work, self._move)
        except Exception:  # without an event loop, errors are raised here
            self._below.busy = ""
            raise

    def picture(self) -> Figure:
        """Draw the maps with their colors, the selection, the pinned graph and its neighbors."""
        return self.explored.picture(self.color_by, self.selection_rows, self.pinned, self._near, self._predicted)

    def close(self) -> None:
        """Close the widget and free its data; jupyter-scatter never frees its own widgets."""
        self._closed = True
        left = self.children[0]
        for part in (self._below, self._beside, *self._canvases, left.children[0], left):
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
        self.selection_rows = rows

    def _pointed(self, row: int | None) -> None:
        try:
            self.hovered = row
        except Exception as error:  # pointing does not clear an error, so not `shows_errors`
            show_error(self, error)

    def repaint(self, map: int) -> None:
        self._canvases[map].send_points()

    def resize(self, height: int) -> None:
        """Give the maps this height in pixels, and the panel beside a single map what goes with it."""
        height = max(LOWEST, min(int(height), HIGHEST))
        for canvas in self._canvases:
            canvas.widget.height = height
        if len(self._canvases) == 1:
            self.children[1].layout.max_height = f"{height + BESIDE}px"

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

    @traitlets.observe("color_by")
    def _color(self, change: object = None) -> None:
        if self.color_by == GROUP:
            self._read_molecules()
        column = self.explored.column(self.color_by)
        if self.color_by not in self._below.columns:
            self._below.columns = [*self._below.columns, self.color_by]
        self._below.color_by = self.color_by
        self._paint = paint(column, self._canvases[0].backdrop)
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

    @traitlets.observe("pinned")
    def _pin(self, change: object = None) -> None:
        known, row, beside = self.explored, self.pinned, self._beside
        self._near, self._edits, beside.edits = known.pin(row), {}, {}
        if row is None:
            beside.pinned = {}
        else:
            beside.pinned = {**known.card(row, column=self.color_by, pinned=row), "trust": known.pinned_words(row)}
        beside.neighbors = known.neighbor_lists(self._near)
        if beside.hovered:  # its loss to the pinned graph has changed
            beside.hovered = known.card(beside.hovered["row"], column=self.color_by, pinned=row)
        if self.color_by == TO_PINNED:
            self._color()
        self._mark()
        self._separate(row, list(dict.fromkeys(int(r) for near in self._near for r in near["row"])))

    def _separate(self, pinned: int | None, rows: list[int]) -> None:
        """Compute the edits to one neighbor after the other, as long as the same graph is pinned."""
        if not rows or pinned is None:
            return
        graphs = self.explored.graphs

        def arrived(edits: list[str] | None, error: Exception | None) -> None:
            if self._closed or self.pinned != pinned:
                return
            if error is not None:
                show_error(self, error)
            elif edits is not None:
                self._edits[rows[0]] = edits[0]
                self._beside.edits = {str(row): words for row, words in self._edits.items()}
                self._separate(pinned, rows[1:])

        run_in_background(lambda: inspect.separating_edits(graphs[pinned], graphs[rows[0]]), arrived)

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
        known, self._below.busy = self.explored, ""
        if made is None:
            raise error or RuntimeError("no map was made")
        known.show_maps(made)
        for canvas, space in zip(self._canvases, known.spaces):
            canvas.move(space.map.positions)
        self._below.trust, self._below.offer = known.trust(), known.offer()
        if self.color_by == KEPT:
            self._color()
        self._select()

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
