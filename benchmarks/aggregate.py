"""What runs say together: means and spread over seeds, and differences from one method, paired by seed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import results
from benchmarks.methods import USUAL

GROUP = ["task", "noise", "rate", "labels"]  # what is compared with each other
ONE = [*GROUP, "method", "decoder"]
SPREAD = " ±"  # behind the name of a figure: its standard deviation over seeds
WAYS = (*USUAL, "")  # of ELE: what others are held against, the first that was run


@dataclass(frozen=True)
class Figure:
    """A figure of the results. better: 1 where more is better, -1 where less is, 0 where neither.

    column: in `results.table`. title: as a heading. unit: "%" of a share, which is then shown times 100. digits:
    behind the point.
    """

    column: str
    title: str
    better: int
    unit: str = ""
    digits: int = 1

    def shown(self, value: float, unit: bool = True) -> str:
        """A value in words, such as "98.1 %"."""
        number = f"{value * (100 if self.unit == '%' else 1):,.{self.digits}f}"
        return f"{number} {self.unit}" if unit and self.unit else number

    def best(self, values: pd.Series) -> float:
        return values.max() if self.better > 0 else values.min()


FIGURES = {
    figure.column: figure
    for figure in (
        Figure("exact", "exact", 1, "%"),
        Figure("edit_distance_unlabelled", "edit distance, edges unlabelled", -1, digits=2),
        Figure("edit_distance", "edit distance", -1, digits=2),
        Figure("valid", "valid", 1, "%"),
        Figure("fits_better_than_truth", "wrong answer fits better", 0, "%"),
        Figure("hits@1", "Hits@1", 1, "%"),
        Figure("hits@10", "Hits@10", 1, "%"),
        Figure("mrr", "MRR", 1, digits=3),
        Figure("sets.coverage", "coverage of sets", 0, "%"),
        Figure("sets.set_size", "mean set size", 0),
        Figure("sets.possible", "level that sets can promise", 0, "%"),
        Figure("train_seconds", "time to train", -1, "s", 0),
        Figure("ms", "time a prediction", -1, "ms"),
        Figure("memory_mb", "memory", -1, "MB", 0),
        Figure("parameters", "parameters", -1, digits=0),
    )
}
QUALITY = ("exact", "edit_distance_unlabelled", "edit_distance", "valid", "hits@1", "hits@10", "mrr")


def stored(folder: Path = results.RESULTS) -> pd.DataFrame:
    """All runs of a folder of results, as `results.table` has them."""
    return results.table(run for path in sorted(folder.glob("*.jsonl")) for run in results.read(path))


def means(table: pd.DataFrame) -> pd.DataFrame:
    """One row a method and way to decode of each group: title, pairs, seeds, figures, and their spread (`figure ±`).

    table: of `results.table`. The spread is the standard deviation over seeds, NaN of one. A run that is there twice
    counts once, as it was done last.
    """
    table = table.drop_duplicates([*ONE, "seed"], keep="last")
    columns = [column for column in FIGURES if column in table]
    grouped = table.groupby(ONE, dropna=False, sort=False)
    about = grouped.agg(title=("title", "last"), pairs=("pairs", "mean"), seeds=("seed", "nunique"))
    parts = [about, grouped[columns].mean(), grouped[columns].std().add_suffix(SPREAD)]
    return pd.concat(parts, axis=1).reset_index()


def best_ways(rows: pd.DataFrame, figure: Figure) -> pd.DataFrame:
    """Of each method of a group the way to decode that is best by its mean figure; the best method first."""
    rows = rows[rows[figure.column].notna()] if figure.column in rows else rows.iloc[:0]
    rows = rows.sort_values(figure.column, ascending=figure.better < 0, kind="stable")
    return rows.drop_duplicates([*GROUP, "method"])


def way_of(rows: pd.DataFrame, method: str = "ele") -> str | None:
    """The way to decode of a method that others are held against: its default, or the first; None: it was not run."""
    ways = rows.loc[rows["method"] == method, "decoder"].tolist()
    return next((way for way in (*WAYS, *ways) if way in ways), None)


def differences(table: pd.DataFrame, figure: Figure, method: str = "ele", way: str | None = None) -> pd.DataFrame:
    """Every method and way of one group against one of them, paired by seed.

    Columns method, decoder, title; value and reference (means); difference (value less reference), low and high (of
    single seeds), paired (seeds that both have, 0: the means are compared); verdict: "better" or "worse" in every
    seed, "equal" in every seed, "mixed" otherwise.
    way: of the reference; None = its default. Raises ValueError where the reference was not run.
    """
    table = table.drop_duplicates([*ONE, "seed"], keep="last")
    way = way_of(table, method) if way is None else way
    is_reference = (table["method"] == method) & (table["decoder"] == way)
    if figure.column not in table or not table.loc[is_reference, figure.column].notna().any():
        raise ValueError(f"no {figure.column} of {method} ({way}) to compare with")
    reference, found = table[is_reference].set_index("seed")[figure.column].dropna(), []
    for (name, decoder), rows in table[~is_reference].groupby(["method", "decoder"], sort=False):
        values = rows.set_index("seed")[figure.column].dropna()
        if not len(values):
            continue
        apart = (values - reference).dropna()
        paired = len(apart)
        if not paired:
            apart = pd.Series([values.mean() - reference.mean()])
        found.append(
            {
                "method": name, "decoder": decoder, "title": rows["title"].iloc[-1], "value": values.mean(),
                "reference": reference.mean(), "difference": apart.mean(), "low": apart.min(), "high": apart.max(),
                "paired": paired, "verdict": _verdict(np.sign(apart.to_numpy()) * figure.better),
            }
        )  # fmt: skip
    columns = ["method", "decoder", "title", "value", "reference", "difference", "low", "high", "paired", "verdict"]
    return pd.DataFrame(found, columns=columns)


def _verdict(signs: np.ndarray) -> str:
    words = {1: "better", -1: "worse", 0: "equal"}
    return words[int(signs[0])] if len(set(signs.tolist())) == 1 else "mixed"
