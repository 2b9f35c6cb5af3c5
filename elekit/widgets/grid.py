"""A table of the explorer's graphs to sort, filter and pick from, linked with its map; drawn by itables."""

import base64
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from itables.widget import ITable

from elekit.draw.svg import graph_svg
from elekit.widgets.explored import FOUND, KEPT, TO_PINNED, Explored

LISTED = 300  # rows, each with a picture
OPTIONS: dict[str, Any] = {  # of itables; the text of all cells is escaped here
    "allow_html": True, "select": "os", "paging": False, "scrollX": True, "scrollY": "380px", "scrollCollapse": True,
    "maxBytes": 0, "maxColumns": 0, "showIndex": False, "show_dtypes": False,
    "layout": {"topStart": None, "topEnd": "search", "bottomStart": None, "bottomEnd": None},
}  # fmt: skip
LEFT_OUT = (FOUND, KEPT)  # of no use in a table


class Grid(ipywidgets.VBox):
    """Rows of an explorer as a table with pictures.

    picked: called with the row that is marked, or with all of several.
    """

    def __init__(self, explored: Explored, palette: dict, picked: Callable[[list[int]], object]):
        self.explored, self.palette, self.rows = explored, palette, np.empty(0, dtype=np.int64)
        self.caption = ipywidgets.HTML()
        self.table = ITable(pd.DataFrame(), **OPTIONS)
        self.table.observe(lambda change: picked(self.rows[change["new"]].tolist()), "selected_rows")
        super().__init__([self.caption, self.table])

    def show(self, rows: np.ndarray) -> None:
        """List these rows, at most LISTED; all graphs if there are none."""
        whole = rows if len(rows) else np.arange(len(self.explored))
        self.rows = whole[:LISTED]
        what = "selected graphs" if len(rows) else "graphs"
        cut = f"The first {LISTED} of {len(whole):,} {what}" if len(whole) > LISTED else f"{len(whole):,} {what}"
        self.caption.value = f"{cut}. Mark a row to pin its graph."
        frame = self.explored.table.iloc[self.rows].drop(columns=list(LEFT_OUT), errors="ignore")
        if frame.get(TO_PINNED, pd.Series(dtype=float)).isna().all():
            frame = frame.drop(columns=TO_PINNED, errors="ignore")
        texts = frame.select_dtypes(exclude=["number", "bool"]).columns
        frame = frame.assign(**{name: frame[name].map(lambda value: escape(str(value))) for name in texts})
        own = ["id", *self.explored.facts, *(self.explored.frame if self.explored.frame is not None else ())]
        first = [name for name in dict.fromkeys(own) if name in frame]
        frame = frame[[*first, *frame.columns.difference(first, sort=False)]]
        if self.explored.drawn:
            frame.insert(0, "graph", [self._picture(row) for row in self.rows.tolist()])
        frame.columns = [escape(str(name)) for name in frame.columns]
        self.table.update(frame, selected_rows=[], **OPTIONS)

    def _picture(self, row: int) -> str:
        drawn = graph_svg(self.explored.scene(row), self.palette, self.explored.name(row))
        drawn = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        data = base64.b64encode(drawn.encode()).decode()
        name = escape(self.explored.name(row), quote=True)
        return f'<img alt="{name}" height="56" src="data:image/svg+xml;base64,{data}">'
