"""The figures of the report: which ones there are, and which runs they show."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from benchmarks import figures
from benchmarks.aggregate import Metric, best_decoders, drop_copies, main_metrics, means
from benchmarks.markdown import capitalize, escape, format_size
from benchmarks.methods import ABLATION_PREFIX, ELE_FAMILY

DPI = 80
PALETTE_SIZE = 256  # colors of a file
LABELS_FILE = "{task}-labels.png"


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the report: its file name, its caption, and a function that draws it."""

    file: str
    caption: str
    draw: Callable[[], Figure]


def figures_for_task(task: str, table: pd.DataFrame) -> list[ReportFigure]:
    """The figures that the runs of a task allow. table: see `results.to_table`."""
    metrics = main_metrics(table)
    table = table[~table["method"].str.startswith(ABLATION_PREFIX)]
    clean = table[table["noise"] == "none"]
    if not metrics or not len(clean):
        return []
    found, first = [], metrics[0]
    labels = {metric.column: metric.label for metric in metrics}
    highlight = highlighted(clean)
    several = clean[clean["labels"].fillna(0).groupby(clean["method"]).transform("nunique") > 1]
    if len(several):  # a method that was run at one size has no curve
        shown = one_decoder_each(several, first)
        names = capitalize(" and ".join(metric.title for metric in metrics))
        caption = f"{names} by number of labeled pairs. {decoder_note(shown)}"
        found.append(
            ReportFigure(
                LABELS_FILE.format(task=task),
                caption,
                lambda: figures.label_efficiency(shown, labels, highlight=highlight),
            )
        )
    group = largest_group(clean)
    exact = metrics[-1]
    if "ms" in group and group.groupby("method")["ms"].any().sum() > 1:
        costs = by_quality(drop_copies(group), exact)
        caption = f"{capitalize(exact.title)} by prediction time, {format_size(group['labels'].iloc[0])}."
        found.append(
            ReportFigure(
                f"{task}-budget.png",
                caption,
                lambda: figures.prediction_cost(
                    costs, exact.column, labels[exact.column], better=exact.better, highlight=highlight
                ),
            )
        )
    if (table["noise"] != "none").any():
        noisy = one_decoder_each(table, first)
        caption = f"{capitalize(first.title)} by rate of noise. {decoder_note(noisy)}"
        found.append(
            ReportFigure(
                f"{task}-noise.png",
                caption,
                lambda: figures.noise_curves(noisy, first.column, labels[first.column], highlight=highlight),
            )
        )
    return found


def highlighted(table: pd.DataFrame) -> tuple[str, ...]:
    """Titles of ELE and its variants among the runs, the one with the most runs first."""
    runs = table[table["method"].isin(ELE_FAMILY)]
    return tuple(runs["title"].value_counts(sort=True).index)


def by_quality(table: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The runs of a group for `figures.prediction_cost`, best method first."""
    order = best_decoders(means(table), metric)["method"].tolist()
    table = table[table["method"].isin(order)]
    return plot_columns(table.sort_values("method", key=lambda c: c.map(order.index), kind="stable"))


def plot_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that `figures` uses: name, and pairs averaged over folds of one size."""
    pairs = table.groupby(table["labels"].fillna(0))["pairs"].transform("mean").round()
    return table.assign(name=table["title"], pairs=pairs)


def one_decoder_each(table: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """For each method the decoder that was run in most groups, of several the best on average; best method first."""
    rows = means(table)
    found = rows.groupby(["method", "decoder"], sort=False)[metric.column].agg(["size", "mean"]).reset_index()
    found["by"] = -metric.better * found["mean"]
    found = found.sort_values(["size", "by"], ascending=[False, True], kind="stable").drop_duplicates("method")
    order = found.sort_values("by")[["method", "decoder"]]
    return plot_columns(order.merge(table, on=["method", "decoder"], how="left"))


def largest_group(table: pd.DataFrame) -> pd.DataFrame:
    """The runs of the size with most methods; of several with most runs, then most pairs."""
    sizes = table.groupby(table["labels"].fillna(0)).agg({"method": "nunique", "seed": "size", "pairs": "max"})
    best = sizes.sort_values(["method", "seed", "pairs"], ascending=False).index[0]
    return table[table["labels"].fillna(0) == best]


def decoder_note(shown: pd.DataFrame) -> str:
    """Which decoders a figure shows."""
    chosen = shown.drop_duplicates("method")
    parts = [f"{escape(row['title'])}: {escape(row['decoder'])}" for _, row in chosen.iterrows() if row["decoder"]]
    return f"Decoders: {'; '.join(parts)}." if parts else ""


def write_png(figure: Figure, path) -> None:
    """Write a small file: a palette is enough for lines and text."""
    from PIL import Image

    figure.savefig(path, format="png", dpi=DPI)
    with Image.open(path) as opened:
        small = opened.convert("RGB").quantize(PALETTE_SIZE, method=Image.Quantize.MAXCOVERAGE)
    small.save(path, format="png", optimize=True)
