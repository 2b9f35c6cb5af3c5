"""The explorer's panel for selecting: by values of a column, by what is special, by tags; and what is kept of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import traitlets

from elekit.draw.maps import FEW
from elekit.widgets.bundle import STATIC, script
from elekit.widgets.inspector_io import Json
from elekit.widgets.panels import ExplorerPanel

BINS, LISTED_CLASSES = 24, 40
COMBINE: dict[
    str, Callable[[np.ndarray, np.ndarray], np.ndarray]
] = {  # what becomes of the selection when rows are chosen
    "replace": lambda before, rows: rows,
    "add": np.union1d,
    "subtract": lambda before, rows: np.setdiff1d(before, rows),
    "intersect": np.intersect1d,
}
COLORS = ("viridis", "cividis", "plasma", "gray")  # perceptually uniform color maps of matplotlib


class SelectPanel(ExplorerPanel):
    """Select by values, by special features, or by tags; tag, annotate, export and save what is selected.

    columns: columns to select by. column: the current one. distribution: see `distribution`. special: features of the
    selection (feature, share, elsewhere), against: the tag that it is compared with, "" for all others; verdict: a
    sentence if there are none. tags: name
    and number of graphs of each. note_of: the graph whose note is shown, in words, "" for none. note: its text.
    colors: the color map of numbers, one of palettes. formats: endings of files to export to. session: the file that
    the session is saved to. done: the last thing that was written.
    """

    _esm = traitlets.Unicode(script(STATIC / "explorer_select.js")).tag(sync=True)
    COMMANDS = (
        "show", "range", "classes", "having", "compare", "tag", "untag", "select_tag", "annotate", "recolor",
        "download", "save", "name_groups",
    )  # fmt: skip

    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)
    column = traitlets.Unicode().tag(sync=True)
    distribution = traitlets.Dict().tag(sync=True)
    special: "traitlets.List[Json]" = traitlets.List().tag(sync=True)
    against = traitlets.Unicode().tag(sync=True)
    verdict = traitlets.Unicode().tag(sync=True)
    tags: "traitlets.List[Json]" = traitlets.List().tag(sync=True)
    note_of = traitlets.Unicode().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    colors = traitlets.Unicode().tag(sync=True)
    palettes = traitlets.List(traitlets.Unicode(), list(COLORS)).tag(sync=True)
    formats = traitlets.List(traitlets.Unicode()).tag(sync=True)
    session = traitlets.Unicode().tag(sync=True)
    done = traitlets.Unicode().tag(sync=True)

    def show(self, column: str) -> None:
        """Show the distribution of a column."""
        self.distribution = distribution(self.owner.explored.column(column), self.owner.selection_rows)
        self.column = column

    def range(self, low: float | None, high: float | None) -> None:
        """Choose the graphs whose value lies between two numbers, None for no limit."""
        values = self.owner.explored.column(self.column).to_numpy(dtype=float, na_value=np.nan)
        low, high = (-np.inf if low is None else low), (np.inf if high is None else high)
        if low > high:
            raise ValueError(f"the range of {self.column} is empty: {low:g} is above {high:g}")
        self.owner.choose(np.flatnonzero((values >= low) & (values <= high)))

    def classes(self, names: list[str]) -> None:
        """Choose the graphs of some classes of the column."""
        self.owner.choose(np.flatnonzero(as_classes(self.owner.explored.column(self.column)).isin(names)))

    def compare(self, against: str) -> None:
        """List what sets the selection apart from a tag, or from all others ("")."""
        found = self.owner.distinguish(against or None)
        self.against, self.special = against, found[["feature", "share", "elsewhere"]].to_dict("records")
        self.verdict = "" if len(found) else "Nothing sets them apart by more than chance."

    def having(self, feature: str) -> None:
        """Choose the graphs that have a feature."""
        self.owner.choose(np.flatnonzero(self.owner.explored.features[feature].to_numpy()))

    def tag(self, name: str) -> None:
        self.owner.tag(name)

    def untag(self, name: str) -> None:
        self.owner.untag(name)

    def select_tag(self, name: str) -> None:
        self.owner.choose(self.owner.explored.tags[name])

    def annotate(self, text: str) -> None:
        self.owner.annotate(text)

    def recolor(self, colors: str) -> None:
        self.owner.colors = colors

    def name_groups(self) -> None:
        """Show the names of groups on the map, or hide them."""
        self.owner.name_groups(show=not self.owner.groups)

    def download(self, kind: str) -> None:
        """Send the selected graphs to the browser, which keeps them as a file; all graphs if none are selected."""
        rows = self.owner.chosen_rows()
        self.send({"file": f"selection{kind}"}, [self.owner.exported(kind, rows)])
        self.done = f"{len(rows):,} graphs written to selection{kind}, among your downloads."

    def save(self, path: str) -> None:
        self.done = f"Saved to {self.owner.save(path)}."


def as_classes(column: pd.Series) -> pd.Series:
    """Values as the texts that the explorer lists: yes or no for truth values, "not known" for missing ones."""
    words = column.map({True: "yes", False: "no"}) if pd.api.types.is_bool_dtype(column) else column
    if pd.api.types.is_numeric_dtype(words):
        words = words.map(lambda value: f"{value:.6g}", na_action="ignore")
    return words.astype(object).where(column.notna(), "not known").astype(str)


def distribution(column: pd.Series, rows: np.ndarray) -> Json:
    """How a column is distributed over all graphs, and over the selected rows.

    Returns:
        {"edges": BINS + 1 numbers, "all": counts, "selected": counts, "unknown": number} for numbers, or {"classes":
        [[name, count, selected], ...], "more": number of classes that are not listed}, most frequent first.
    """
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    chosen = np.zeros(len(column), dtype=bool)
    chosen[rows] = True
    if numeric and column.nunique() > FEW:
        values = column.to_numpy(dtype=float, na_value=np.nan)
        known = np.isfinite(values)
        edges = np.histogram_bin_edges(values[known], BINS)
        counts = (np.histogram(values[some], edges)[0].tolist() for some in (known, known & chosen))
        every, selected = counts
        return {"edges": edges.tolist(), "all": every, "selected": selected, "unknown": int((~known).sum())}
    words = as_classes(column)
    every, selected = words.value_counts(), words[chosen].value_counts()
    listed: list[Any] = [[name, int(n), int(selected.get(name, 0))] for name, n in every.items()][:LISTED_CLASSES]
    if numeric:
        listed.sort(key=lambda one: (one[0] == "not known", float(one[0]) if one[0] != "not known" else 0))
    return {"classes": listed, "more": max(0, len(every) - LISTED_CLASSES)}
