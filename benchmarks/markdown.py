"""Tables and sentences of the report as Markdown, all computed from the runs."""

import hashlib
import json
import math
import re
from pathlib import Path

import pandas as pd

from benchmarks import noise
from benchmarks.aggregate import (
    METRICS,
    QUALITY_COLUMNS,
    SPREAD,
    Metric,
    best_decoders,
    default_decoder,
    drop_copies,
    main_metrics,
    means,
    paired_differences,
    reference_method,
)
from benchmarks.methods import ABLATION_PREFIX, ELE_FAMILY
from benchmarks.results import RESULTS
from elekit.evaluation.intervals import wilson

MARKED = (*QUALITY_COLUMNS, "ms")  # best: bold
SET_COLUMNS = ("sets.coverage", "sets.set_size", "sets.possible")
NOT_RUN = "*not run*"
VERDICTS = {
    "better": "better in every seed",
    "worse": "worse in every seed",
    "mixed": "better in some seeds, worse in others",
    "equal": "equal",
}
LITERATURE = "Published results. They use other splits, so they cannot be compared with the table line by line:"


# -- formatting ----------------------------------------------------------------------------------------------------
def escape(text: str) -> str:
    """Markdown that shows a text literally, in one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", " ".join(str(text).split()))


def render_table(frame: pd.DataFrame) -> str:
    """A table whose cells are already Markdown; all columns but the first are right-aligned."""
    aligned = ["---", *["---:"] * (frame.shape[1] - 1)]
    rows = [list(frame.columns), aligned, *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def format_size(labels: float | None, pairs: float | None = None) -> str:
    """The number of training pairs, such as "5,000 pairs"."""
    if labels is None or pd.isna(labels):
        return "all pairs" if pairs is None else f"all {pairs:,.0f} pairs"
    return f"{labels:,.0f} pairs"


def format_method(row) -> str:
    """Method and decoder of a row."""
    return escape(row["title"]) + (f", {escape(row['decoder'])}" if row["decoder"] else "")


def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def format_signed(value: float, metric: Metric) -> str:
    return ("+" if value > 0 else "−" if value < 0 else "") + metric.format(abs(value), False)


def mark_best(cells: list[str], values: pd.Series, metric: Metric) -> list[str]:
    """Bold and starred cells for the best value and all that are shown like it; unchanged if all are alike."""
    shown = ["" if pd.isna(value) else metric.format(value, False) for value in values]
    if len({one for one in shown if one}) < 2:
        return cells
    best = metric.format(metric.best(values), False)
    return [f"**{cell}** ★" if one == best else cell for cell, one in zip(cells, shown)]


# -- tables --------------------------------------------------------------------------------------------------------
def format_cells(rows: pd.DataFrame, columns=tuple(METRICS)) -> pd.DataFrame:
    """Rows of `aggregate.means` of one group as text, one column per metric that any row has."""
    found = {}
    for column in columns:
        if column not in rows or rows[column].isna().all():
            continue
        metric, cells = METRICS[column], []
        for value, spread in zip(rows[column], rows[column + SPREAD]):
            cell = "–" if pd.isna(value) else metric.format(value, False)
            cells.append(f"{cell} ± {metric.format(spread, False)}" if spread > 0 else cell)
        found[metric.label] = mark_best(cells, rows[column], metric) if column in MARKED else cells
    return pd.DataFrame(found, index=rows.index)


def group_table(rows: pd.DataFrame, planned=None, titles=None, columns=tuple(METRICS)) -> str:
    """Table of one group: one row per method and decoder, best method first, then methods that were not run.

    Args:
        rows: Rows of `aggregate.means`.
        planned: Number of planned seeds by method.
        titles: Titles of the planned methods.
        columns: Metrics to show.
    """
    planned = planned or {}
    metrics = main_metrics(rows)
    if metrics:
        order = best_decoders(rows, metrics[0])["method"].tolist()
        rank = rows["method"].map({method: place for place, method in enumerate(order)}).fillna(len(order))
        sign = -metrics[0].better
        rows = rows.assign(rank=rank, by=sign * rows[metrics[0].column]).sort_values(["rank", "by"], kind="stable")
    seeds = [
        f"{seeds} of {planned[method]}" if seeds < planned.get(method, 0) else str(seeds)
        for method, seeds in zip(rows["method"], rows["seeds"])
    ]
    decoders = [escape(decoder) or "–" for decoder in rows["decoder"]]
    left = {"method": [escape(title) for title in rows["title"]], "decoder": decoders, "seeds": seeds}
    table = pd.concat([pd.DataFrame(left, index=rows.index), format_cells(rows, columns)], axis=1)
    absent = [escape(titles[method]) for method in planned if method not in set(rows["method"])]
    missing = pd.DataFrame({"method": absent, "decoder": NOT_RUN, "seeds": "0"})
    return render_table((pd.concat([table, missing]) if absent else table).fillna("–"))


def noise_table(rows: pd.DataFrame, rates: list[float], metric: Metric) -> str:
    """Table of one kind of noise: one row per method, its metric at each rate, and the change.

    The best method at the last rate comes first.

    Args:
        rows: Rows of `aggregate.means`, one per method and rate.
        rates: Rates in ascending order, 0 for clean pairs.
        metric: The metric to show.
    """
    wide = rows.pivot(index=["method", "title", "decoder"], columns="rate", values=metric.column)
    wide = wide.reindex(columns=rates).sort_values(rates[-1], ascending=metric.better < 0)
    found = {"method": [format_method({"title": title, "decoder": decoder}) for _, title, decoder in wide.index]}
    for rate in rates:
        cells = [NOT_RUN if pd.isna(value) else metric.format(value, False) for value in wide[rate]]
        found[f"{rate:.0%}" if rate else "clean"] = mark_best(cells, wide[rate].reset_index(drop=True), metric)
    change = wide[rates[-1]] - wide[rates[0]]
    found["change"] = ["–" if pd.isna(value) else format_signed(value, metric) for value in change]
    return render_table(pd.DataFrame(found))


def prediction_set_table(rows: pd.DataFrame) -> str:
    """Prediction sets under noise: rows of `aggregate.means`, one per method, kind and rate."""
    places = {kind: place for place, kind in enumerate(("none", *noise.NOISE_KINDS))}
    rows = rows.assign(place=rows["noise"].map(places)).sort_values(["place", "rate"], kind="stable")
    kinds = [kind if kind != "none" else "clean" for kind in rows["noise"]]
    rates = [f"{rate:.0%}" if rate else "–" for rate in rows["rate"]]
    left = {"noise": map(escape, kinds), "rate": rates, "method": map(escape, rows["title"])}
    return render_table(pd.concat([pd.DataFrame(left, index=rows.index), format_cells(rows, SET_COLUMNS)], axis=1))


def leaderboard(table: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    """The two best methods and the places of ELE, one row per task and number of pairs of clean runs.

    Args:
        table: Runs, see `results.to_table`.
        titles: Titles of the tasks.

    Returns:
        Columns on, by (a metric), first, second, ELE, best variant of ELE; cells are Markdown.
    """
    clean = table[(table["noise"] == "none") & ~table["method"].str.startswith(ABLATION_PREFIX)]
    tasks = clean["task"].unique().tolist()
    ranks = {"task": lambda column: column.map(tasks.index), "labels": lambda column: -column.fillna(math.inf)}
    clean = clean.sort_values(["task", "labels"], key=lambda column: ranks[column.name](column))
    found = []
    for (task, labels), runs in clean.groupby(["task", "labels"], dropna=False, sort=False):
        rows = means(drop_copies(runs))
        for metric in main_metrics(rows)[:1]:
            best = best_decoders(rows, metric).reset_index(drop=True)
            shown = [f"{format_method(row)}: {metric.format(row[metric.column])}" for _, row in best.iterrows()]
            places = {method: place for place, method in enumerate(best["method"])}
            variants = [places[method] for method in ELE_FAMILY[1:] if method in places]
            size = format_size(labels, rows["pairs"].mean())
            line = {"on": f"{escape(titles.get(task, task))}, {size}", "by": metric.title}
            line |= {"first": shown[0], "second": shown[1] if len(shown) > 1 else "–", "ELE": NOT_RUN}
            if "ele" in places:
                own = best.loc[places["ele"], metric.column]
                line["ELE"] = f"{metric.format(own)}, place {places['ele'] + 1} of {len(shown)}"
            line["best variant of ELE"] = (
                f"{shown[min(variants)]}, place {min(variants) + 1} of {len(shown)}" if variants else "–"
            )
            found.append(line)
    return pd.DataFrame(found)


# -- sentences -----------------------------------------------------------------------------------------------------
def comparison_lines(table: pd.DataFrame, metric: Metric, method: str | None = None) -> list[str]:
    """Which methods of a group are better and worse than a reference, each with its best decoder.

    Args:
        table: Runs of one group, see `results.to_table`.
        metric: The metric to compare.
        method: Reference method; None for `aggregate.reference_method`.

    Returns:
        A line that names the reference, and one line per verdict; a single line if the reference was not run.
    """
    method = method or reference_method(table) or "ele"
    if metric.column not in table or not table.loc[table["method"] == method, metric.column].notna().any():
        return [f"{NOT_RUN}: no run of `{method}` has {metric.title} here."]
    found = paired_differences(table, metric, method)
    found = found[found["method"] != method].sort_values("value", ascending=metric.better < 0, kind="stable")
    found = found.drop_duplicates("method")
    if not len(found):
        return []
    title = escape(table.loc[table["method"] == method, "title"].iloc[-1])
    decoder = default_decoder(table, method)
    lines = [
        f"Compared by {metric.title} with {title}{f' ({escape(decoder)})' if decoder else ''}: "
        f"{metric.format(found['reference'].iloc[0])}. Each other method is shown with its best decoder."
    ]
    for verdict, words in VERDICTS.items():
        some = found[found["verdict"] == verdict]
        if len(some):
            lines.append(
                f"- {capitalize(words)}: " + "; ".join(_difference(row, metric) for _, row in some.iterrows()) + "."
            )
    return lines


def _difference(row: pd.Series, metric: Metric) -> str:
    """One method and its difference from the reference: "X 3.10, 1.90 more (3 seeds: +1.80 to +2.00)"."""
    text = f"{format_method(row)}: {metric.format(row['value'])}"
    if row["verdict"] != "equal":
        unit = {"%": " points", "": ""}.get(metric.unit, f" {metric.unit}")
        more = "more" if row["difference"] > 0 else "less"
        text += f", {metric.format(abs(row['difference']), False)}{unit} {more}"
    if row["paired"] < 2:
        return text + (" (one seed)" if row["paired"] else " (no common seed)")
    return (
        text
        + f" ({row['paired']} seeds: {format_signed(row['low'], metric)} to {format_signed(row['high'], metric)})"
    )


def _reference_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The runs of the reference method of a group with its default decoder."""
    method = reference_method(table) or "ele"
    return table[(table["method"] == method) & (table["decoder"] == default_decoder(table, method))]


def sampling_error(table: pd.DataFrame) -> str:
    """Confidence interval of the exact share of the reference method; "" if it predicts no graphs."""
    runs = _reference_rows(table)
    if "exact" not in runs or runs["exact"].isna().all():
        return ""
    exact, count, share = METRICS["exact"], int(runs["count"].iloc[0]), float(runs["exact"].iloc[0])
    low, high = map(exact.format, wilson(round(share * count), count))
    return (
        f"Sampling error: each run is evaluated on {count:,} graphs. {escape(runs['title'].iloc[0])} with "
        f"{exact.format(share)} exact has a 95 % interval of {low} to {high} (Wilson)."
    )


def error_analysis(table: pd.DataFrame) -> str:
    """Share of model errors among the wrong predictions of the reference; "" if unknown or nothing is wrong."""
    if "fits_better_than_truth" not in table:
        return ""
    runs = _reference_rows(table)
    runs = runs[runs["fits_better_than_truth"].notna() & (runs["exact"] < 1)]
    if not len(runs):
        return ""
    exact = METRICS["exact"]
    wrong, model_errors = exact.format(1 - runs["exact"].mean()), exact.format(runs["fits_better_than_truth"].mean())
    return (
        f"{escape(runs['title'].iloc[0])} predicts {wrong} of the graphs wrongly. In {model_errors} of all cases the "
        "model prefers the wrong graph to the truth (model error); in the rest the search missed the optimum (search "
        "error), or psi does not distinguish the two graphs.\n"
    )


def canonical_inputs(runs: list[dict]) -> str:
    """How many inputs already are the canonical SMILES of their answer; "" if inputs are no SMILES."""
    shares = [run["data"]["inputs_canonical"] for run in runs if "inputs_canonical" in run["data"]]
    if not shares:
        return ""
    return (
        f"{METRICS['exact'].format(max(shares))} of the test inputs are the canonical SMILES of their molecule. If "
        "most are, a method that writes SMILES can copy its input, and a graph head, which turns tokens into nodes, "
        "shares part of that advantage. Methods that look up a graph, or whose h ends in a point, cannot copy.\n"
    )


def relative_link(path: Path, seen_from: Path | None) -> str:
    """Link to a file from a page in the folder `seen_from`; None for a page in the same folder."""
    return path.name if seen_from is None else path.relative_to(seen_from).as_posix()


def provenance(runs: list[dict], path: Path, seen_from: Path | None = None) -> str:
    """Command, data, results file and versions of a table. seen_from: see `relative_link`."""
    data = runs[0]["data"]
    digests = sorted({run["data"]["digest"][:12] for run in runs})
    sizes = ", ".join(f"{data[part]:,} {part}" for part in ("train", "validation", "test") if part in data)
    versions = sorted({", ".join(f"{name} {version}" for name, version in run["versions"].items()) for run in runs})
    threads = sorted({str(run["spent"]["threads"]) for run in runs})
    days = sorted({run["at"] for run in runs})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    parts = [
        f"`{runs[0]['command']}`",
        f"data {escape(data['name'])}, {data['rows']:,} rows ({sizes})",
        f"digest{'s' * (len(digests) > 1)} " + ", ".join(f"`{one}`" for one in digests),
        f"{len(runs)} runs in [{path.name}]({relative_link(path, seen_from)}), sha256 `{digest[:16]}`",
        escape(" or ".join(versions)),
        f"{' or '.join(threads)} thread{'s' * (threads != ['1'])}",
        days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
    ]
    return f"<sub>{'; '.join(parts)}.</sub>"


def literature(task: str) -> str:
    """Published results for a task, as in their source; "" if there are none."""
    known = json.loads((RESULTS / "literature.json").read_text(encoding="utf-8"))
    lines = []
    for one in known:
        if one["task"] == task:
            values = ", ".join(
                f"{METRICS[name].title} {METRICS[name].format(x)}" for name, x in one["figures"].items()
            )
            source = f"{escape(capitalize(one['where']))} ([source]({one['source']}), {one['paper']})"
            lines.append(f"- {escape(one['method'])}: {values}. {escape(capitalize(one['split']))}. {source}.")
    return "\n".join([LITERATURE, "", *lines]) if lines else ""
