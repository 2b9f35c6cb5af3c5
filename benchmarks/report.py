"""The results page, its figures and the table in the README, all written from the stored runs."""

from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks import results
from benchmarks.aggregate import best_decoders, default_decoder, drop_copies, main_metrics, means, reference_method
from benchmarks.goals import goals_table
from benchmarks.markdown import (
    NOT_RUN,
    canonical_inputs,
    capitalize,
    comparison_lines,
    error_analysis,
    escape,
    format_method,
    format_size,
    group_table,
    leaderboard,
    literature,
    noise_table,
    prediction_set_table,
    provenance,
    render_table,
    sampling_error,
)
from benchmarks.methods import ABLATION_PREFIX, ELE_FAMILY, METHODS
from benchmarks.report_figures import ReportFigure, figures_for_task, one_decoder_each, write_png
from benchmarks.runner import plan_runs
from benchmarks.tasks import TASKS, Task
from elekit.datasets.files import SHIPPED, write_atomically
from elekit.training.surrogate import RESTART_BATCH, RESTART_PAIRS, RESTART_STEPS, SurrogateTraining

COMMAND = "python -m benchmarks report"
PAGE = "README.md"  # in the results folder
README = SHIPPED.parent / "README.md"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
ABLATION_REFERENCE = "psi-same-budget"
SETS_NOTE = """\
Prediction sets contain the truth with at least the promised probability for pairs like those of calibration, whatever
the model was trained on. Typos change the test inputs only, so nothing is promised there. –: too few true graphs are
reached by decoding for the level to be possible.
"""

INTRODUCTION = f"""\
# Benchmark results

`{COMMAND}` writes this page from the runs stored in this folder; no number below is typed by hand. Each line of a
`.jsonl` file is one run, and `python -m benchmarks TASK` executes the runs that are missing.
[Notebook 08](../../notebooks/08_against_the_field.ipynb) explores the same runs.

**Which method is ELE?** *ELE* is the method of the paper: psi is learned from outputs alone, and h ends in a point of
the sphere. *ELE + graph head* uses the same psi, but h predicts a relaxed graph, which psi embeds. *ELE + fitted
metric* fits a metric of the sphere on validation pairs after training. *Learned part weights* learns the weights of
substructure counts from labeled pairs, and *Learned environment weights* those of counts of node states of psi;
neither is ELE. A method without a row, or with *not run*, was not run on that task.

**How to read the tables.** A value is the mean over seeds (or folds), ± the standard deviation. **Bold** and ★ mark
the best value of a column, and all that are shown like it. The edit distance is the smallest number of edits to the
truth (an upper bound where the search timed out); it includes edge labels unless stated otherwise. *Entity F1* and
*relation F1* are micro averages over node labels, and over edge labels with the labels of both ends. *POS*, *UAS* and
*LAS* are the shares of words with the right label, with the right head, and with the right head and relation.
*Model errors*: the share of all cases in which a wrong prediction has a smaller loss than the truth. Times are CPU
times.

**How the methods were trained.** All networks that read inputs use the same encoder and the same number of
steps; ELE and DSOKR use kernel regression, or its mean with the network, where validation prefers that.
Hyperparameters were tuned on validation pairs:

- The graph head reads every second SMILES rewritten along a random path, uses a larger learning rate, and is also
  trained on what local search (polish) improves in its graphs. With {RESTART_PAIRS:,} pairs or fewer it starts from
  {SurrogateTraining.starts} random initializations, each trained for {RESTART_STEPS:.0%} of the steps with
  {RESTART_BATCH} pairs per step, and continues with the best one on validation.
- The sequence decoder uses the same rewriting and learning rate on random SMILES. On canonical SMILES rewriting would
  make copying harder.
- On Coloring, h of ELE is also trained with single edits of the truth as negatives, and predicts the mean over the
  eight rotations and reflections of an image.
- On texts with directed graphs (faults, MaintIE, UD), all neural methods read words with two recurrent layers and
  strong dropout, with typos in some of the texts and the same learning rate. An unknown word that is one typo away
  from a known one is read as that. The graph head, the biaffine parser and the span pairs know which words of the
  training texts are nodes; the sequence decoder writes nodes in the order of the text. Graph heads are rounded to
  what all training graphs satisfy: trees with one root on UD.
- On Text2Mol, messages of psi have random weights; its last map is whitened, that is, solved in closed form so that
  the sums over the training graphs have about the identity as covariance. h is kernel ridge regression on character
  n-grams, as in the kernel ridge baselines.
- *ELE + fitted metric* and *ELE* come from the same trained psi and h. Where validation kept the identity as the
  metric, both have the same results; elsewhere ELE was evaluated with one decoder only. *ELE + graph head + fitted
  metric* is listed only where the metric of some seed is not the identity.
"""


def page(folder: Path = results.RESULTS) -> str:
    """The results page as Markdown. folder: of the results."""
    runs = {name: results.read_runs(results.results_path(name, folder)) for name in TASKS}
    tables = {name: results.to_table(done) for name, done in runs.items() if done}
    parts = [INTRODUCTION, "## Goals set before the runs\n", goals_table(tables), ""]
    if tables:
        titles = {name: task.title for name, task in TASKS.items()}
        ranking = leaderboard(pd.concat(tables.values()), titles)
        parts += ["## Leaderboard\n", "Every method with its best decoder.\n", render_table(ranking), ""]
    for name, task in TASKS.items():
        parts += [f"## {escape(task.title)}\n", f"{escape(task.description)}.\n"]
        parts.append(section(task, runs[name], folder) if name in tables else f"{NOT_RUN}.\n")
        published = literature(name)
        parts += [published, ""] if published else []
    parts += ["## Methods\n"]
    parts += [
        f"- **{escape(method.title)}** (`{name}`): {escape(method.description)}." for name, method in METHODS.items()
    ]
    return "\n".join(parts) + "\n"


def section(task: Task, runs: list[dict], folder: Path) -> str:
    """One task: a table per number of pairs, figures, noise, ablations and provenance."""
    table, plan = results.to_table(runs), pd.DataFrame(plan_runs(task.name))
    ablations = table["method"].str.startswith(ABLATION_PREFIX)
    clean = table[(table["noise"] == "none") & ~ablations]
    plan = plan[~plan["method"].str.startswith(ABLATION_PREFIX)]
    parts = list(filter(None, [canonical_inputs(runs)]))
    for labels in task.sizes:
        at_size = plan[_same_size(plan["labels"], labels) & plan["noise"].isna()]
        planned = at_size.groupby("method", sort=False)["seed"].nunique().to_dict()
        parts.append(_group_section(clean[_same_size(clean["labels"], labels)], planned, labels))
    parts += [f"![{one.caption}]({one.file})\n\n*{one.caption}*\n" for one in figures_for_task(task.name, table)]
    if (table["noise"] != "none").any():
        parts.append(_noise_section(table[~ablations], {tuple(one) for one in plan["noise"] if one is not None}))
    if ablations.any():
        parts.append(_ablation_section(table[ablations & (table["noise"] == "none")]))
    return "\n".join([*parts, provenance(runs, results.results_path(task.name, folder)), ""])


def _same_size(labels: pd.Series, size: int | None) -> pd.Series:
    return labels.isna() if size is None else labels == size


def _group_section(table: pd.DataFrame, planned: dict[str, int], labels: int | None) -> str:
    if not len(table):
        return f"### {capitalize(format_size(labels))}\n\n{NOT_RUN}.\n"
    rows = means(table)
    titles = {method: METHODS[method].title for method in planned}
    size = capitalize(format_size(labels, rows["pairs"].mean()))
    parts = [f"### {size}\n", group_table(rows, planned, titles), ""]
    sentences = _comparisons(drop_copies(table), reference_method(table) or "ele")
    return "\n".join([*parts, *sentences, *filter(None, [error_analysis(table)]), sampling_error(table), ""])


def _comparisons(table: pd.DataFrame, method: str) -> list[str]:
    """Comparison with a method by each main metric that it has."""
    parts, own = [], table[table["method"] == method]
    for metric in main_metrics(own):
        if own.loc[own["decoder"] == default_decoder(own, method), metric.column].notna().any():
            lines = comparison_lines(table, metric, method)
            parts += [*lines[:1], "", *lines[1:], ""] if lines else []
    return parts


def _noise_section(table: pd.DataFrame, planned: set[tuple[str, float]]) -> str:
    metric = main_metrics(table)[0]
    rows, parts = means(one_decoder_each(table, metric)), []
    for kind in dict.fromkeys(rows.loc[rows["noise"] != "none", "noise"]):
        some = rows[rows["noise"].isin(["none", kind])]
        rates = sorted({*some["rate"], *(rate for name, rate in planned if name == kind)})
        text = f"{capitalize(metric.title)} at each rate. *change*: from the first rate to the last.\n"
        parts += [f"### Noise: {escape(kind)}\n", text, noise_table(some, rates, metric), ""]
    if "sets.possible" in table:
        sets = table[table["method"].isin(ELE_FAMILY) & table["sets.possible"].notna()]
        parts += (
            ["### Noise: prediction sets\n", SETS_NOTE, prediction_set_table(means(sets)), ""] if len(sets) else []
        )
    return "\n".join(parts)


def _ablation_section(table: pd.DataFrame) -> str:
    parts = ["### Ablations of psi\n", group_table(means(table)), ""]
    has_reference = (table["method"] == ABLATION_REFERENCE).any()
    return "\n".join(parts + (_comparisons(table, ABLATION_REFERENCE) if has_reference else []))


def summary_table(folder: Path = results.RESULTS) -> str:
    """The table of the README: one row per task, for ELE, its best variant and the best other method."""
    rows = []
    for name, task in TASKS.items():
        runs = results.read_runs(results.results_path(name, folder))
        if not runs:
            continue
        table = results.to_table(runs)
        clean = table[(table["noise"] == "none") & ~table["method"].str.startswith(ABLATION_PREFIX)]
        size = main_size(task, clean)
        found = means(drop_copies(clean[_same_size(clean["labels"], size)]))
        for metric in main_metrics(found)[:1]:
            best = best_decoders(found, metric)
            variant = best["method"].isin(ELE_FAMILY[1:])
            other = ~best["method"].isin(ELE_FAMILY)
            arrow = "↑" if metric.better > 0 else "↓"
            rows.append(
                {
                    "task": f"{escape(task.title)}, {format_size(size, found['pairs'].mean())}",
                    "metric": f"{metric.title} {arrow}",
                    "ELE": _first_value(best[best["method"] == "ele"], metric, NOT_RUN, named=False),
                    "best variant of ELE": _first_value(best[variant], metric, "–"),
                    "best other method": _first_value(best[other], metric, "–"),
                    "command": f"`{runs[0]['command']}`",
                }
            )
    return render_table(pd.DataFrame(rows))


def _first_value(rows: pd.DataFrame, metric, missing: str, named: bool = True) -> str:
    if not len(rows):
        return missing
    row = rows.iloc[0]
    value = metric.format(row[metric.column])
    if named:
        return f"{format_method(row)}: {value}"
    return value + (f" ({escape(row['decoder'])})" if row["decoder"] else "")


def main_size(task: Task, table: pd.DataFrame) -> int | None:
    """The size at which most methods were run; of several the first of the task."""
    return max(task.sizes, key=lambda size: table.loc[_same_size(table["labels"], size), "method"].nunique())


def with_summary(text: str, summary: str) -> str:
    """A README with the text between the two markers replaced.

    Raises:
        ValueError: If the README does not contain both markers once, in this order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the README needs the lines {BEGIN} and {END} once each, in this order")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{summary}\n{END}{rest.partition(END)[2]}"


def write(folder: Path = results.RESULTS, readme: Path | None = README) -> list[Path]:
    """Write the results page and its figures, and the summary table into a README.

    Figures of tasks whose runs no longer allow them are removed.

    Args:
        folder: Folder of the results.
        readme: README with the two markers; None for none.

    Returns:
        The written files.
    """
    drawn: list[ReportFigure] = []
    for name in TASKS:
        runs = results.read_runs(results.results_path(name, folder))
        drawn += figures_for_task(name, results.to_table(runs)) if runs else []
    texts = {folder / PAGE: page(folder)}
    if readme is not None:
        texts[readme] = with_summary(readme.read_text(encoding="utf-8"), summary_table(folder))
    for figure in drawn:
        write_atomically(folder / figure.file, partial(write_png, figure.draw()))
    for path in set(folder.glob("*.png")) - {folder / figure.file for figure in drawn}:
        if path.name.startswith(tuple(f"{name}-" for name in TASKS)):
            path.unlink()
    for path, text in texts.items():
        write_atomically(path, partial(Path.write_text, data=text, encoding="utf-8"))
    return [*texts, *(folder / figure.file for figure in drawn)]
