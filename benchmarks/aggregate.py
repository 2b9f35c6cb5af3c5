"""Aggregation of runs: means and spread over seeds, and differences between methods, paired by seed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import results
from benchmarks.methods import DEFAULT_DECODERS, ELE_FAMILY

GROUP_COLUMNS = ["task", "noise", "rate", "labels"]  # runs of one group are comparable
ROW_COLUMNS = [*GROUP_COLUMNS, "method", "decoder"]
SPREAD = " ±"  # suffix of a metric: its standard deviation over seeds


@dataclass(frozen=True)
class Metric:
    """A metric of the results.

    Args:
        column: Column in `results.to_table`.
        title: Name in tables.
        better: 1 if higher is better, -1 if lower is better, 0 if neither.
        unit: "%" for a share, which is shown times 100.
        digits: Decimal places.
    """

    column: str
    title: str
    better: int
    unit: str = ""
    digits: int = 1

    @property
    def label(self) -> str:
        """Title and unit, such as "exact, %"."""
        return self.title + (f", {self.unit}" if self.unit else "")

    def format(self, value: float, unit: bool = True) -> str:
        """A value as text, such as "98.1 %"."""
        number = f"{value * (100 if self.unit == '%' else 1):,.{self.digits}f}"
        return f"{number} {self.unit}" if unit and self.unit else number

    def best(self, values: pd.Series) -> float:
        return values.max() if self.better > 0 else values.min()


METRICS = {
    metric.column: metric
    for metric in (
        Metric("exact", "exact", 1, "%"),
        Metric("entity_f1", "entity F1", 1, "%"),
        Metric("relation_f1", "relation F1", 1, "%"),
        Metric("pos", "POS", 1, "%"),
        Metric("uas", "UAS", 1, "%"),
        Metric("las", "LAS", 1, "%"),
        Metric("exact_trees", "exact trees", 1, "%"),
        Metric("edit_distance_unlabelled", "edit distance without edge labels", -1, digits=2),
        Metric("edit_distance", "edit distance", -1, digits=2),
        Metric("valid", "valid", 1, "%"),
        Metric("fits_better_than_truth", "model errors", 0, "%"),
        Metric("hits@1", "Hits@1", 1, "%"),
        Metric("hits@10", "Hits@10", 1, "%"),
        Metric("mrr", "MRR", 1, digits=3),
        Metric("sets.coverage", "coverage of sets", 0, "%"),
        Metric("sets.set_size", "mean set size", 0),
        Metric("sets.possible", "highest possible level", 0, "%"),
        Metric("train_seconds", "training time", -1, "s", 0),
        Metric("ms", "prediction time", -1, "ms"),
        Metric("memory_mb", "memory", -1, "MB", 0),
        Metric("parameters", "parameters", -1, digits=0),
    )
}
QUALITY_COLUMNS = (
    "exact", "entity_f1", "relation_f1", "pos", "uas", "las", "exact_trees", "edit_distance_unlabelled",
    "edit_distance", "valid", "hits@1", "hits@10", "mrr",
)  # fmt: skip
MAIN_COLUMNS = (  # the first that a task has: trees, entities and relations, other graphs, no graphs
    ("las", "exact_trees"), ("relation_f1", "exact"), ("edit_distance", "exact"), ("hits@1", "mrr"),
)  # fmt: skip


def load_results(folder: Path = results.RESULTS) -> pd.DataFrame:
    """All runs of a results folder, see `results.to_table`."""
    return results.to_table(run for path in sorted(folder.glob("*.jsonl")) for run in results.read_runs(path))


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds.

    Args:
        table: Runs, see `results.to_table`. Of a run that occurs twice, the later one counts.

    Returns:
        One row per group, method and decoder: title, pairs, seeds, the metrics, and their spread (`metric ±`), which
        is NaN for a single seed.
    """
    table = table.drop_duplicates([*ROW_COLUMNS, "seed"], keep="last")
    columns = [column for column in METRICS if column in table]
    grouped = table.groupby(ROW_COLUMNS, dropna=False, sort=False)
    counts = grouped.agg(title=("title", "last"), pairs=("pairs", "mean"), seeds=("seed", "nunique"))
    parts = [counts, grouped[columns].mean(), grouped[columns].std().add_suffix(SPREAD)]
    return pd.concat(parts, axis=1).reset_index()


def drop_copies(table: pd.DataFrame) -> pd.DataFrame:
    """The runs of one group without variants of ELE that equal ELE, as where the fitted metric is the identity."""
    columns = ["decoder", "seed", *(one for one in (*QUALITY_COLUMNS, "ms") if one in table)]

    def values(method: str) -> list[tuple]:
        rows = table.loc[table["method"] == method, columns].fillna(-1)
        return sorted(rows.itertuples(index=False, name=None))

    own = values(ELE_FAMILY[0])
    copies = [method for method in ELE_FAMILY[1:] if own and values(method) == own]
    return table[~table["method"].isin(copies)]


def main_metrics(rows: pd.DataFrame) -> list[Metric]:
    """The metrics that methods are ranked by, the most important first."""
    for columns in MAIN_COLUMNS:
        found = [METRICS[column] for column in columns if column in rows and rows[column].notna().any()]
        if found and (found[0].column == columns[0] or columns in MAIN_COLUMNS[2:]):  # all graphs have "exact"
            return found
    return []


def best_decoders(rows: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """For each method of a group, its row with the best mean of a metric; best method first."""
    rows = rows[rows[metric.column].notna()] if metric.column in rows else rows.iloc[:0]
    rows = rows.sort_values(metric.column, ascending=metric.better < 0, kind="stable")
    return rows.drop_duplicates([*GROUP_COLUMNS, "method"])


def default_decoder(rows: pd.DataFrame, method: str) -> str | None:
    """The decoder by which a method is compared: its default, or the first that was run; None if it was not run."""
    decoders = rows.loc[rows["method"] == method, "decoder"].tolist()
    return next((one for one in (*DEFAULT_DECODERS, "", *decoders) if one in decoders), None)


def reference_method(table: pd.DataFrame) -> str | None:
    """The variant of ELE that others are compared with in a group: the best one by the main metric.

    Each variant is judged with its default decoder. Variants with fewer seeds than another one are skipped, and ELE
    itself wins ties. None if no variant was run.
    """
    metrics = main_metrics(table)
    rows = means(table[table["method"].isin(ELE_FAMILY)])
    if not metrics or not len(rows):
        return None
    found = []
    for rank, method in enumerate(ELE_FAMILY):
        row = rows[(rows["method"] == method) & (rows["decoder"] == default_decoder(rows, method))]
        if len(row) and row[metrics[0].column].notna().all():
            one = row.iloc[0]
            found.append((-one["seeds"], -metrics[0].better * one[metrics[0].column], rank, method))
    return min(found)[-1] if found else None


def paired_differences(
    table: pd.DataFrame, metric: Metric, method: str = "ele", decoder: str | None = None
) -> pd.DataFrame:
    """Differences of every method and decoder of one group from a reference, paired by seed.

    Args:
        table: Runs of one group.
        metric: The metric to compare.
        method: Reference method.
        decoder: Reference decoder; None for its default.

    Returns:
        Columns method, decoder, title; value and reference (means); difference (value minus reference), low and high
        (over single seeds); paired (number of common seeds; 0: the means are compared); verdict: "better", "worse" or
        "equal" if that holds in every seed, else "mixed".

    Raises:
        ValueError: If the reference was not run.
    """
    table = table.drop_duplicates([*ROW_COLUMNS, "seed"], keep="last")
    decoder = default_decoder(table, method) if decoder is None else decoder
    is_reference = (table["method"] == method) & (table["decoder"] == decoder)
    if metric.column not in table or not table.loc[is_reference, metric.column].notna().any():
        raise ValueError(f"no run of {method} ({decoder}) has {metric.column}")
    reference, found = table[is_reference].set_index("seed")[metric.column].dropna(), []
    for (name, other), rows in table[~is_reference].groupby(["method", "decoder"], sort=False):
        values = rows.set_index("seed")[metric.column].dropna()
        if not len(values):
            continue
        differences = (values - reference).dropna()
        paired = len(differences)
        if not paired:
            differences = pd.Series([values.mean() - reference.mean()])
        found.append(
            {
                "method": name, "decoder": other, "title": rows["title"].iloc[-1], "value": values.mean(),
                "reference": reference.mean(), "difference": differences.mean(), "low": differences.min(),
                "high": differences.max(), "paired": paired,
                "verdict": _verdict(np.sign(differences.to_numpy()) * metric.better),
            }
        )  # fmt: skip
    columns = ["method", "decoder", "title", "value", "reference", "difference", "low", "high", "paired", "verdict"]
    return pd.DataFrame(found, columns=columns)


def _verdict(signs: np.ndarray) -> str:
    words = {1: "better", -1: "worse", 0: "equal"}
    return words[int(signs[0])] if len(set(signs.tolist())) == 1 else "mixed"
