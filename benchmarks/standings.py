"""Results of the benchmark to choose from: a task, a group of runs and a figure, as a table and a picture."""

import html
import io

import pandas as pd
from ipywidgets import HTML, Dropdown, HBox, Image, Layout, VBox
from matplotlib.figure import Figure as Drawing

from benchmarks import figures as draw
from benchmarks.aggregate import FIGURES, GROUP, SPREAD, differences, means, stored, way_of
from benchmarks.markdown import VERDICTS, signed
from benchmarks.tasks import TASKS

DOTS = 90  # an inch
STYLE = "padding:2px 12px 2px 0;text-align:{}"


def standings(table: pd.DataFrame | None = None) -> "Standings":
    """A widget over results of the benchmark: who is ahead, by which figure, on what.

    table: of `benchmarks.results.table`; None: all that is stored. Raises ValueError for one without runs.
    """
    return Standings(stored() if table is None else table)


class Standings(VBox):
    """Dropdowns for task, group and figure over a table and a picture of what was chosen; made by `standings`.

    task, group, figure: the dropdowns; setting their value is the same as choosing. rows: the means that are shown.
    """

    def __init__(self, table: pd.DataFrame):
        if not len(table):
            raise ValueError("there are no runs to show; python -m benchmarks TASK makes some")
        self._table = table
        names = list(dict.fromkeys(table["task"]))
        titles = [(TASKS[name].title if name in TASKS else name, name) for name in names]
        wide = Layout(width="300px")
        self.task = Dropdown(options=titles, description="Task", layout=wide)
        self.group = Dropdown(description="Pairs", layout=wide)
        self.figure = Dropdown(description="Figure", layout=wide)
        self._words, self._drawn = HTML(), Image(format="png", layout=Layout(max_width="100%"))
        chosen = HBox([self.task, self.group, self.figure], layout=Layout(flex_flow="row wrap"))
        super().__init__([chosen, self._words, self._drawn])
        self.add_class("elekit")
        self._filling = False
        for dropdown, follow in ((self.task, self._groups), (self.group, self._figures), (self.figure, self._show)):
            dropdown.observe(lambda _, follow=follow: self._filling or follow(), "value")
        self._groups()

    def _fill(self, dropdown: Dropdown, options: list[tuple]) -> None:
        """New options; the value stays where it is still one of them, else it is the first. Nothing follows."""
        before, self._filling = dropdown.value, True
        dropdown.options = options
        values = [value for _, value in options]
        dropdown.value = before if before in values else values[0]
        self._filling = False

    def _groups(self) -> None:
        """Another task: other groups."""
        found = self._table[self._table["task"] == self.task.value][[*GROUP, "pairs"]].drop_duplicates(GROUP)
        found = found.sort_values(["noise", "rate", "pairs"], key=lambda c: c if c.name != "noise" else c != "none")
        self._kept = {_said(row): tuple(row[name] for name in GROUP) for _, row in found.iterrows()}
        self._fill(self.group, [(words, words) for words in self._kept])
        self._figures()

    def _figures(self) -> None:
        """Another group: the figures that it has."""
        rows = self._chosen()
        there = [column for column in FIGURES if column in rows and rows[column].notna().any()]
        self._fill(self.figure, [(FIGURES[column].title, column) for column in there])
        self._show()

    def _chosen(self) -> pd.DataFrame:
        """The runs of the chosen group."""
        same = pd.Series(True, index=self._table.index)
        for name, value in zip(GROUP, self._kept[self.group.value]):
            same &= self._table[name].isna() if pd.isna(value) else self._table[name] == value
        return self._table[same]

    def _show(self) -> None:
        runs, figure = self._chosen(), FIGURES[self.figure.value]
        rows = means(runs)
        rows = rows[rows[figure.column].notna()].sort_values(
            figure.column, ascending=figure.better < 0, kind="stable"
        )
        self.rows = rows
        self._words.value = _html(rows, runs, figure)
        drawing, written = self.picture(), io.BytesIO()
        drawing.savefig(written, format="png", dpi=DOTS)
        self._drawn.layout.width = f"{drawing.get_figwidth() * DOTS:.0f}px"
        self._drawn.value = written.getvalue()

    def picture(self) -> Drawing:
        """What the widget shows now, as a figure."""
        figure, runs = FIGURES[self.figure.value], self._chosen()
        label = figure.title + (f", {figure.unit}" if figure.unit else "")
        ours = runs.loc[runs["method"] == "ele", "title"]
        return draw.standings(
            runs.assign(name=runs["title"], way=runs["decoder"]), figure.column, label,
            first=ours.iloc[-1] if len(ours) else None, low=figure.better < 0,
        )  # fmt: skip


def _said(row: pd.Series) -> str:
    """A group in words."""
    pairs = f"{'all ' if pd.isna(row['labels']) else ''}{row['pairs']:,.0f} pairs"
    return pairs if row["noise"] == "none" else f"{pairs}, {row['noise']} spoilt at {row['rate']:.0%}"


def _html(rows: pd.DataFrame, runs: pd.DataFrame, figure) -> str:
    """The rows as a table, each held against ELE in its default way."""
    against, way = {}, way_of(rows)
    if figure.better and way is not None:
        found = differences(runs, figure)
        against = {(row["method"], row["decoder"]): row for _, row in found.iterrows()}
    head = ["method", "way to decode", "seeds", figure.title]
    head += [f"against ELE ({way})" if way else "against ELE"] if against else []
    lines = []
    for _, row in rows.iterrows():
        value, spread = row[figure.column], row[figure.column + SPREAD]
        shown = figure.shown(value) + (f" ± {figure.shown(spread, False)}" if spread > 0 else "")
        line = [row["title"], row["decoder"] or "–", str(row["seeds"]), shown]
        one = against.get((row["method"], row["decoder"]))
        if against:
            line.append("–" if one is None else f"{signed(one['difference'], figure)}, {VERDICTS[one['verdict']]}")
        lines.append(_row(line, "td", row["method"] == "ele"))
    return f"<table>{_row(head, 'th', False)}{''.join(lines)}</table>"


def _row(cells: list[str], kind: str, bold: bool) -> str:
    weight = ";font-weight:bold" if bold else ""
    made = (
        f"<{kind} style='{STYLE.format('left' if n < 2 else 'right')}{weight}'>{html.escape(cell)}</{kind}>"
        for n, cell in enumerate(cells)
    )
    return f"<tr>{''.join(made)}</tr>"
