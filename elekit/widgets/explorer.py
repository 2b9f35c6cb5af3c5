"""The embedding space as a map: point, pin, search, select, color, compare."""

from collections.abc import Callable

import ipywidgets
import numpy as np
import pandas as pd
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from elekit import inspect
from elekit.datasets import Dataset, Split
from elekit.decoding import Trace
from elekit.draw.maps import paint
from elekit.draw.scenes import palette
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi
from elekit.widgets.background import later
from elekit.widgets.base import tell, told, with_picture
from elekit.widgets.canvas import Canvas
from elekit.widgets.explored import FOUND, GROUP, KEPT, TO_PINNED, Explored
from elekit.widgets.panels import GraphPanel, MapPanel, Rows, arranged, row_of
from elekit.widgets.space import Space, read

LISTED = 50  # graphs found that are listed
DRAWN = 100  # predictions that are drawn at once


def explore(
    psi: Psi,
    data: Dataset | Split | Graph,
    *,
    map: inspect.EmbeddingMap | None = None,
    other: Psi | None = None,
    predictions: Tensor | None = None,
    trace: Trace | None = None,
    color: str | None = None,
    height: int = 560,
) -> "Explorer":
    """The embedding space of psi as a map, with the graphs behind its points.

    data: n graphs; of a Dataset all three splits, told apart by the column split.
    map: of these graphs, in this order; None = one that was made before, otherwise the two directions of largest
        variance at once, and a button that makes a UMAP map.
    other: a second psi over the same graphs, on a second map beside the first.
    predictions: (n, D) unit vectors such as `h.predict(split.inputs)`, rows of nan where there is none. Drawn for the
        pinned and the selected graphs; column "prediction error" is their learned loss to the truth.
    trace: a decoding run, drawn as a path. color: column to begin with. height: of a map, in pixels.
    Raises ValueError for data without graphs, and for a map, predictions or a column that do not fit.
    """
    graphs, frame, texts = read(data)
    spaces = [Space.of(psi, graphs, map)]
    if other is not None:
        spaces.append(Space.of(other, graphs))
    return Explorer(Explored(spaces, graphs, frame, texts, predictions, trace), color=color, height=height)


class Explorer(ipywidgets.Box):
    """The widget that `explore` makes.

    Traits, which move the widget when they are set and follow what is done in it:
    selection_rows: rows that are selected, a sorted array. pinned, hovered: row or None. color_by: a column of `frame`.
    query: (kind, text) of the last search, kind "id", "smiles", "substructure" or "label".
    problem: what went wrong last, in one sentence; trouble: that exception.

    `selection` is the selected part of `frame` and can be set; `found` and `neighbors` are frames, too.
    """

    selection_rows = Rows()
    pinned = traitlets.Int(None, allow_none=True)
    hovered = traitlets.Int(None, allow_none=True)
    color_by = traitlets.Unicode()
    query = traitlets.Tuple(traitlets.Unicode(), traitlets.Unicode(), default_value=("id", ""))
    problem = traitlets.Unicode()
    trouble: Exception | None = None

    def __init__(self, explored: Explored, *, color: str | None = None, height: int = 560):
        self.explored, self._closed = explored, False
        self._near: list[pd.DataFrame] = []
        self._edits: dict[int, str] = {}
        self._found = np.empty(0, dtype=np.int64)
        looks = palette(explored.graphs.vocabulary)
        self._below = MapPanel(self, palette=looks, columns=explored.columns)
        self._beside = GraphPanel(self, palette=looks, kinds=list(explored.search.kinds))
        said = {"clicked": self._clicked, "lassoed": self._lassoed, "pointed": self._pointed, "sent": self._sent}
        several = len(explored.spaces) > 1
        self._canvases = [Canvas(s.map.positions, height, reticle=several, **said) for s in explored.spaces]
        maps = [canvas.widget for canvas in self._canvases]
        super().__init__(arranged(maps, self._below, self._beside), layout=row_of())
        self.add_class("elekit-explorer")
        traitlets.dlink((self, "problem"), (self._beside, "problem"))
        self.color_by = explored.first_column() if color is None else color
        self._select()
        self._below.trust, self._below.offer = explored.trust(), explored.offer()

    # -- for Python --------------------------------------------------------------------------------------------
    @property
    def frame(self) -> pd.DataFrame:
        """A row for each graph: the data's columns, those of `elekit.inspect.search.overview`, and neighbors kept (share
        of its 15 nearest that the map keeps), loss to pinned, found by search, prediction error; a copy."""
        return self.explored.table.copy()

    @property
    def map(self) -> inspect.EmbeddingMap:
        """The map that is shown; of two, the first."""
        return self.explored.spaces[0].map

    @property
    def selection(self) -> pd.DataFrame:
        """The rows of `frame` that are selected. Set it by row numbers, n truth values or rows of `frame`; None = none."""
        return self.explored.table.iloc[self.selection_rows].copy()

    @selection.setter
    def selection(self, rows):
        self.selection_rows = [] if rows is None else rows

    @property
    def found(self) -> pd.DataFrame:
        """The rows of `frame` that the last search found."""
        return self.explored.table.iloc[self._found].copy()

    @property
    def neighbors(self) -> pd.DataFrame:
        """Of the pinned graph: row, loss, by (0 or 1, which learned loss), separates (in words, "" until it is known)."""
        near = [frame.assign(by=k) for k, frame in enumerate(self._near)]
        table = pd.concat(near, ignore_index=True) if near else pd.DataFrame(columns=["row", "loss", "by"])
        return table.assign(separates=[self._edits.get(int(row), "") for row in table["row"]])

    def find(self, kind: str, text: str) -> pd.DataFrame:
        """Search by "id", "smiles", "substructure" or "label", as `elekit.inspect.search.search`; the rows of `frame`."""
        if self.query == (kind, text):
            self._answer()
        self.query = (kind, text)
        return self.found

    def make_umap(self) -> None:
        """Make the UMAP map, keep it for the next time and show it; in JupyterLab the widget stays usable meanwhile."""
        spaces, graphs = self.explored.spaces, self.explored.graphs
        lacking = [k for k, space in enumerate(spaces) if space.map.method != "umap"]
        if not lacking or self._below.busy:
            return
        self._below.busy = "Making the UMAP map; everything stays usable meanwhile …"

        def work():
            made = {k: inspect.fit_map(spaces[k].points, method="umap") for k in lacking}
            for k, map in made.items():
                inspect.save_map(map, inspect.map_key(spaces[k].psi, graphs))
            return made

        try:
            later(work, self._move)
        except Exception:  # where no event loop runs
            self._below.busy = ""
            raise

    def picture(self) -> Figure:
        """The static twin: maps, colors, selection, the pinned graph and its neighbors as a figure."""
        return self.explored.picture(self.color_by, self.selection_rows, self.pinned, self._near, self._predicted)

    def close(self):
        """Stop, and let everything go but jupyter-scatter's own widgets, which are never freed."""
        self._closed = True
        left = self.children[0]
        for part in (self._below, self._beside, *self._canvases, left.children[0], left):
            part.close()
        super().close()

    def _repr_mimebundle_(self, **kwargs):
        return with_picture(super()._repr_mimebundle_(**kwargs), self.picture)

    # -- from the browser --------------------------------------------------------------------------------------
    @told
    def obey(self, command: Callable, values: dict):
        """Do what a panel asks for, and tell what goes wrong."""
        command(**values)

    @told
    def _clicked(self, row: int):
        """jupyter-scatter selects what is clicked; here it is pinned, and the selection stays as it was."""
        for canvas in self._canvases:
            canvas.select(self.selection_rows)
        self.pinned = row

    @told
    def _lassoed(self, rows: np.ndarray):
        self.selection_rows = rows

    def _pointed(self, row: int | None):
        try:
            self.hovered = row
        except Exception as wrong:
            tell(self, wrong)

    def repaint(self, map: int):
        """Send the points of a map again."""
        self._canvases[map].send_points()

    # -- to the browser ----------------------------------------------------------------------------------------
    @traitlets.validate("pinned", "hovered")
    def _a_row(self, proposal):
        row = proposal["value"]
        return None if row is None else int(self.explored.rows_of([row])[0])

    @traitlets.validate("color_by")
    def _a_column(self, proposal):
        if not self.explored.has(proposal["value"]):
            raise ValueError(f"no column {proposal['value']!r}; there are {', '.join(self.explored.columns)}")
        return proposal["value"]

    @traitlets.validate("query")
    def _a_query(self, proposal):
        kind, text = proposal["value"]
        if kind == "substructure":
            self._read_molecules()
        self._found = self.explored.search(kind, text)
        return proposal["value"]

    @traitlets.observe("hovered")
    def _hover(self, change=None):
        for canvas in self._canvases:
            canvas.point(self.hovered)
        if self.hovered is not None:  # otherwise the last drawing stays, to be looked at
            self._beside.hovered = self.explored.card(self.hovered, column=self.color_by, pinned=self.pinned)

    @traitlets.observe("selection_rows")
    def _select(self, change=None):
        rows = self.selection_rows
        for canvas in self._canvases:
            canvas.select(rows)
            canvas.paint(self._paint, context=len(rows) > 0)
        self._mark()
        more = f" Predictions of {DRAWN} are drawn." if len(self._predicted) == DRAWN else ""
        self._below.selected = self.explored.selected_words(rows) + more
        self._below.any_selected = bool(len(rows))

    @traitlets.observe("color_by")
    def _color(self, change=None):
        if self.color_by == GROUP:
            self._read_molecules()
        column = self.explored.column(self.color_by)
        if self.color_by not in self._below.columns:
            self._below.columns = [*self._below.columns, self.color_by]
        self._below.color_by = self.color_by
        self._paint = paint(column)
        self._below.legend = self._paint.legend()
        for canvas in self._canvases:
            canvas.paint(self._paint, context=len(self.selection_rows) > 0)

    def _sent(self):
        self._below.painted = [canvas.version for canvas in self._canvases]

    def _read_molecules(self):
        """Once; 100,000 of them take seconds, so that it is said."""
        if self._below.busy or "molecules" in vars(self.explored.search):
            return
        self._below.busy = "Reading the molecules …"
        try:
            self.explored.search.molecules  # noqa: B018 - they are kept
        finally:
            self._below.busy = ""

    @traitlets.observe("pinned")
    def _pin(self, change=None):
        known, row, beside = self.explored, self.pinned, self._beside
        self._near, self._edits, beside.edits = known.pin(row), {}, {}
        if row is None:
            beside.pinned = {}
        else:
            beside.pinned = {**known.card(row, column=self.color_by, pinned=row), "trust": known.pinned_words(row)}
        beside.neighbors = known.neighbor_lists(self._near)
        if beside.hovered:  # its loss to the pinned graph is another one
            beside.hovered = known.card(beside.hovered["row"], column=self.color_by, pinned=row)
        if self.color_by == TO_PINNED:
            self._color()
        self._mark()
        self._separate(row, list(dict.fromkeys(int(r) for near in self._near for r in near["row"])))

    def _separate(self, pinned: int | None, rows: list[int]):
        """Ask one row after the other what separates it, as long as the same graph is pinned."""
        if not rows:
            return
        graphs = self.explored.graphs

        def arrived(words, error):
            if self._closed or self.pinned != pinned:
                return
            if error is not None:
                tell(self, error)
                return
            self._edits[rows[0]] = words[0]
            self._beside.edits = {str(row): said for row, said in self._edits.items()}
            self._separate(pinned, rows[1:])

        later(lambda: inspect.separating_edits(graphs[pinned], graphs[rows[0]]), arrived)

    @traitlets.observe("query")
    def _answer(self, change=None):
        (kind, text), known, count = self.query, self.explored, len(self._found)
        known.table[FOUND] = np.isin(np.arange(len(known)), self._found)
        words = f"{count:,} found" + (f", the first {LISTED} listed" if count > LISTED else "") + "."
        shown = [known.entry(row) for row in self._found[:LISTED]]
        asked = self._beside.asks()
        self._beside.found = {"kind": kind, "text": text, "words": words, "shown": shown, "asked": asked}
        if self.color_by == FOUND:
            self._color()

    @told
    def _move(self, made: dict[int, inspect.EmbeddingMap] | None, error: Exception | None):
        """New maps, by the number of their space, instead of those that are shown."""
        if self._closed:
            return
        known, self._below.busy = self.explored, ""
        if error is not None:
            raise error
        known.show_maps(made)
        for canvas, space in zip(self._canvases, known.spaces):
            canvas.move(space.map.positions)
        self._below.trust, self._below.offer = known.trust(), known.offer()
        if self.color_by == KEPT:
            self._color()
        self._select()

    def _mark(self):
        """Marks on the maps, and the maps in words; predictions of the pinned graph and of the first that are selected."""
        known, pinned = self.explored, [] if self.pinned is None else [self.pinned]
        rows = dict.fromkeys([*pinned, *self.selection_rows[: 10 * DRAWN].tolist()])
        self._predicted = known.predicted(rows, DRAWN)
        self._below.marks = [
            canvas.marks(
                pinned=self.pinned,
                neighbors=self._near[k]["row"] if self._near else (),
                predicted=self._predicted if k == 0 else (),
                path=known.placed[k] if known.placed else None,
            )
            for k, canvas in enumerate(self._canvases)
        ]
        selected = len(self.selection_rows)
        self._below.alternative = known.alternative(self.color_by, selected, self.pinned, self._near)
