"""Widget to explore the results: choose a task, a group of runs and a metric; see a table and a figure."""

import html
import io

import pandas as pd
from ipywidgets import HTML, Dropdown, HBox, Image, Layout, VBox, Widget
from matplotlib.figure import Figure

from benchmarks import figures
from benchmarks.aggregate import (
    GROUP_COLUMNS,
    METRICS,
    SPREAD,
    Metric,
    default_decoder,
    load_results,
    means,
    paired_differences,
    reference_method,
)
from benchmarks.markdown import VERDICTS, format_signed
from benchmarks.methods import ELE_FAMILY
from benchmarks.tasks import TASKS
from elekit.widgets.base import Displayed

DPI = 90
CELL_STYLE = "padding:2px 12px 2px 0;text-align:{}"


def standings(table: pd.DataFrame | None = None) -> "Standings":
    """A widget that ranks methods by a metric.

    Args:
        table: Runs, see `benchmarks.results.to_table`; None for all stored runs.

    Raises:
        ValueError: If the table has no runs.
    """
    return Standings(load_results() if table is None else table)


class Standings(Displayed, VBox):
    """Dropdowns for task, group and metric above a table and a figure; created by `standings`.

    Attributes:
        task: Dropdown of the task. Setting the value of a dropdown equals choosing it.
        group: Dropdown of the number of pairs and the noise.
        metric: Dropdown of the metric.
        rows: The means shown.
    """

    def __init__(self, table: pd.DataFrame):
        if not len(table):
            raise ValueError("no runs to show; create some with `python -m benchmarks TASK`")
        self._table = table
        names = list(dict.fromkeys(table["task"]))
        titles = [(TASKS[name].title if name in TASKS else name, name) for name in names]
        wide = Layout(width="300px")
        self.task = Dropdown(options=titles, description="Task", layout=wide)
        self.group = Dropdown(description="Pairs", layout=wide)
        self.metric = Dropdown(description="Metric", layout=wide)
        self._text, self._image = HTML(), Image(format="png", layout=Layout(max_width="100%"))
        controls = HBox([self.task, self.group, self.metric], layout=Layout(flex_flow="row wrap"))
        super().__init__([controls, self._text, self._image])
        self.add_class("elekit")
        self._filling = False
        for dropdown, update in (
            (self.task, self._update_groups),
            (self.group, self._update_metrics),
            (self.metric, self._show),
        ):
            dropdown.observe(lambda _, update=update: self._filling or update(), "value")
        self._update_groups()

    def close(self) -> None:
        """Release the widget and those that it consists of; each would stay in memory as long as the kernel."""
        for box in (*self.children, self):
            for part in (*getattr(box, "children", ()), box):
                for own in (part.layout, getattr(part, "style", None)):
                    if own is not None:
                        own.close()
                Widget.close(part)

    def _fill(self, dropdown: Dropdown, options: list[tuple]) -> None:
        """Set new options without triggering updates; keep the value if it is still an option."""
        before, self._filling = dropdown.value, True
        dropdown.options = options
        values = [value for _, value in options]
        dropdown.value = before if before in values else values[0]
        self._filling = False

    def _update_groups(self) -> None:
        found = self._table[self._table["task"] == self.task.value]
        found = found[[*GROUP_COLUMNS, "pairs"]].drop_duplicates(GROUP_COLUMNS)
        found = found.sort_values(["noise", "rate", "pairs"], key=lambda c: c if c.name != "noise" else c != "none")
        self._groups = {_describe(row): tuple(row[name] for name in GROUP_COLUMNS) for _, row in found.iterrows()}
        self._fill(self.group, [(text, text) for text in self._groups])
        self._update_metrics()

    def _update_metrics(self) -> None:
        rows = self._runs()
        available = [column for column in METRICS if column in rows and rows[column].notna().any()]
        self._fill(self.metric, [(METRICS[column].title, column) for column in available])
        self._show()

    def _runs(self) -> pd.DataFrame:
        """The runs of the chosen group."""
        same = pd.Series(True, index=self._table.index)
        for name, value in zip(GROUP_COLUMNS, self._groups[self.group.value]):
            same &= self._table[name].isna() if pd.isna(value) else self._table[name] == value
        return self._table[same]

    def _show(self) -> None:
        runs, metric = self._runs(), METRICS[self.metric.value]
        rows = means(runs)
        self.rows = rows[rows[metric.column].notna()].sort_values(
            metric.column, ascending=metric.better < 0, kind="stable"
        )
        self._text.value = _html(self.rows, runs, metric)
        drawing, written = self.picture(), io.BytesIO()
        drawing.savefig(written, format="png", dpi=DPI)
        self._image.layout.width = f"{drawing.get_figwidth() * DPI:.0f}px"
        self._image.value = written.getvalue()

    def picture(self) -> Figure:
        """The current view as a figure."""
        metric, runs = METRICS[self.metric.value], self._runs()
        highlight = set(runs.loc[runs["method"].isin(ELE_FAMILY), "title"])
        return figures.method_bars(
            runs.assign(name=runs["title"]), metric.column, metric.label,
            highlight=highlight, lower_is_better=metric.better < 0,
        )  # fmt: skip


def _describe(row: pd.Series) -> str:
    pairs = f"{'all ' if pd.isna(row['labels']) else ''}{row['pairs']:,.0f} pairs"
    return pairs if row["noise"] == "none" else f"{pairs}, {row['noise']} noise at {row['rate']:.0%}"


def _html(rows: pd.DataFrame, runs: pd.DataFrame, metric: Metric) -> str:
    """The rows as a table, each compared with the best variant of ELE and its default decoder."""
    differences, reference, title = {}, reference_method(runs), ""
    decoder = None if reference is None else default_decoder(rows, reference)
    if metric.better and decoder is not None and reference is not None:
        found = paired_differences(runs, metric, reference)
        differences = {(row["method"], row["decoder"]): row for _, row in found.iterrows()}
        title = runs.loc[runs["method"] == reference, "title"].iloc[-1]
    head = ["method", "decoder", "seeds", metric.title]
    head += [f"compared with {title}{f' ({decoder})' if decoder else ''}"] if differences else []
    lines = []
    for _, row in rows.iterrows():
        value, spread = row[metric.column], row[metric.column + SPREAD]
        cell = metric.format(value) + (f" ± {metric.format(spread, False)}" if spread > 0 else "")
        line = [row["title"], row["decoder"] or "–", str(row["seeds"]), cell]
        one = differences.get((row["method"], row["decoder"]))
        if differences:
            verdict = (
                "–" if one is None else f"{format_signed(one['difference'], metric)}, {VERDICTS[one['verdict']]}"
            )
            line.append(verdict)
        lines.append(_row(line, "td", row["method"] in ELE_FAMILY))
    return f"<table>{_row(head, 'th', False)}{''.join(lines)}</table>"


def _row(cells: list[str], tag: str, bold: bool) -> str:
    weight = ";font-weight:bold" if bold else ""
    parts = (
        f"<{tag} style='{CELL_STYLE.format('left' if n < 2 else 'right')}{weight}'>{html.escape(cell)}</{tag}>"
        for n, cell in enumerate(cells)
    )
    return f"<tr>{''.join(parts)}</tr>"
