"""The pictures of the report: which there are, and what of the runs they show."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure as Drawing

from benchmarks import figures as draw
from benchmarks.aggregate import Figure, best_ways, means
from benchmarks.markdown import capital, escaped, main_figures, size_of
from benchmarks.methods import ABLATION

DOTS = 80  # an inch
COLORS = 256  # of a file
LABELS = "{task}-labels.png"  # the file that shows what few labels are enough for


@dataclass(frozen=True)
class Picture:
    """file: its name. says: what it shows. draw: makes it."""

    file: str
    says: str
    draw: Callable[[], Drawing]


def of_task(task: str, table: pd.DataFrame) -> list[Picture]:
    """The pictures that the runs of one task are enough for. table: of `results.table`."""
    figures = main_figures(table)
    table = table[~table["method"].str.startswith(ABLATION)]  # what psi is without has a table of its own
    clean = table[table["noise"] == "none"]
    if not figures or not len(clean):
        return []
    found, first = [], figures[0]
    names = {figure.column: figure.title + (f", {figure.unit}" if figure.unit else "") for figure in figures}
    title = clean.loc[clean["method"] == "ele", "title"]
    ele = title.iloc[-1] if len(title) else None
    several = clean[clean["labels"].fillna(0).groupby(clean["method"]).transform("nunique") > 1]
    if len(several):  # a method that was run at one size says nothing of what few labels are enough for
        shown = one_way(several, first)
        both = capital(" and ".join(figure.title for figure in figures))
        says = f"{both} against the number of labelled pairs. {ways(shown)}"
        found.append(Picture(LABELS.format(task=task), says, lambda: draw.label_efficiency(shown, names, first=ele)))
    group = largest(clean)
    exact = figures[-1]
    if "ms" in group and group.groupby("method")["ms"].any().sum() > 1:
        costs = timed(group, exact)
        says = f"{capital(exact.title)} against the time of a prediction, {size_of(group['labels'].iloc[0])}."
        found.append(
            Picture(
                f"{task}-budget.png",
                says,
                lambda: draw.decoding_budget(
                    costs, exact.column, names[exact.column], better=exact.better, first=ele
                ),
            )
        )
    if (table["noise"] != "none").any():
        spoilt = one_way(table, first)
        says = f"{capital(first.title)} against the rate of noise. {ways(spoilt)}"
        found.append(
            Picture(
                f"{task}-noise.png",
                says,
                lambda: draw.noise_curves(spoilt, first.column, names[first.column], first=ele),
            )
        )
    return found


def timed(table: pd.DataFrame, figure: Figure) -> pd.DataFrame:
    """A group for a picture of what a prediction costs, the best method first."""
    order = best_ways(means(table), figure)["method"].tolist()
    return named(
        table[table["method"].isin(order)].sort_values("method", key=lambda c: c.map(order.index), kind="stable")
    )


def named(table: pd.DataFrame) -> pd.DataFrame:
    """With the columns that pictures ask for: name, way, and pairs, of folds of one size their mean."""
    pairs = table.groupby(table["labels"].fillna(0))["pairs"].transform("mean").round()
    return table.assign(name=table["title"], way=table["decoder"], pairs=pairs)


def one_way(table: pd.DataFrame, figure: Figure) -> pd.DataFrame:
    """Of each method the way to decode that was run most widely, of several the best on average; the best first."""
    rows = means(table)
    found = rows.groupby(["method", "decoder"], sort=False)[figure.column].agg(["size", "mean"]).reset_index()
    found["by"] = -figure.better * found["mean"]
    found = found.sort_values(["size", "by"], ascending=[False, True], kind="stable").drop_duplicates("method")
    order = found.sort_values("by")[["method", "decoder"]]
    return named(order.merge(table, on=["method", "decoder"], how="left"))


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the size at which most methods were run; of several that of most runs, then of most pairs."""
    sizes = table.groupby(table["labels"].fillna(0)).agg({"method": "nunique", "seed": "size", "pairs": "max"})
    best = sizes.sort_values(["method", "seed", "pairs"], ascending=False).index[0]
    return table[table["labels"].fillna(0) == best]


def ways(shown: pd.DataFrame) -> str:
    """Which ways to decode a picture shows."""
    chosen = shown.drop_duplicates("method")
    said = [f"{escaped(row['title'])} by {escaped(row['decoder'])}" for _, row in chosen.iterrows() if row["decoder"]]
    return f"Ways to decode: {'; '.join(said)}." if said else ""


def write_png(drawing: Drawing, path) -> None:
    """A small file: few colours are enough for lines and words."""
    from PIL import Image

    drawing.savefig(path, format="png", dpi=DOTS)
    with Image.open(path) as opened:
        small = opened.convert("RGB").quantize(COLORS, method=Image.Quantize.MAXCOVERAGE)
    small.save(path, format="png", optimize=True)
