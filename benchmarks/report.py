"""The page of results, its pictures and what the README quotes: written by one command from the runs alone."""

from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks import results
from benchmarks.aggregate import best_ways, means, way_of
from benchmarks.goals import goals
from benchmarks.markdown import (
    blamed,
    capital,
    copied,
    escaped,
    group_table,
    leaders,
    link,
    literature,
    main_figures,
    markdown,
    noise_table,
    provenance,
    sets_table,
    size_of,
    sure,
    told,
)
from benchmarks.methods import ABLATION, METHODS
from benchmarks.report_figures import LABELS, Picture, of_task, one_way, write_png
from benchmarks.runner import planned
from benchmarks.tasks import TASKS, Task
from elekit.datasets.files import SHIPPED, write_atomically
from elekit.training.surrogate import RESTART_BATCH, RESTART_PAIRS, RESTART_STEPS, SurrogateTraining

COMMAND = "elekit benchmark report"
PAGE = "README.md"  # in the folder of the results
README = SHIPPED.parent / "README.md"
BEGIN, END = f"<!-- written by `{COMMAND}`: begin -->", f"<!-- written by `{COMMAND}`: end -->"
WHOLE = "psi-same-budget"  # what ablations are held against
QUOTED = ("exact", "edit_distance_unlabelled", "edit_distance", "valid", "hits@1", "mrr", "train_seconds", "ms")
OF_SETS = """\
Sets promise to hold the truth at their level for pairs like those of calibration, whatever was learned from. Typos are
in the examined inputs alone: calibration has not seen the like, so nothing is promised there. –: decoding does not reach
so many truths that the level could be promised.
"""

INTRODUCTION = f"""\
# Against the field: results

Written by `{COMMAND}` from the lines that lie in this folder: no figure below is typed by hand. A line is a run;
`elekit benchmark TASK` makes those that are missing. [Notebook 08](../../notebooks/08_against_the_field.ipynb) reads
the same lines.

How to read the tables: a figure is the mean over seeds (or folds), ± its standard deviation where there are several.
**Bold** and ★: the best of its column, several where they are shown alike. An edit distance counts the fewest edits
to the truth (an upper bound where the search ran out of time); edge labels count, unless it says otherwise. *Wrong
answer fits better*: of all cases, those where it does, since the loss of the truth is higher. Times are processor time.

Every method that learns to read its inputs does so with the same encoder and as many steps. What was tuned was tuned
on validation pairs: so ELE reads every other SMILES written anew and takes larger steps, as the sequence decoder does
where SMILES are written at random (where they are canonical it would copy them less well), and is taught what polish
puts right in its graphs; where there are {RESTART_PAIRS:,} pairs or fewer it makes {SurrogateTraining.starts} beginnings
before that, each of {RESTART_STEPS:.0%} of the steps with {RESTART_BATCH} pairs a step, and goes on from the best on
validation; on Coloring it is also set apart from single edits of the truth, and its answer for an image is the mean
over the eight ways to turn and mirror it.
*missing*: a run that is planned and not done.
"""


def page(folder: Path = results.RESULTS) -> str:
    """The page, as Markdown. folder: of the results."""
    runs = {name: results.read(results.path_of(name, folder)) for name in TASKS}
    tables = {name: results.table(done) for name, done in runs.items() if done}
    parts = [INTRODUCTION, "## Goals that were set before the runs\n", goals(tables), ""]
    if tables:
        titles = {name: task.title for name, task in TASKS.items()}
        ahead = leaders(pd.concat(tables.values()), titles)
        parts += ["## Who is ahead\n", "Every method in the way to decode that did best.\n", markdown(ahead), ""]
    for name, task in TASKS.items():
        parts += [f"## {escaped(task.title)}\n", f"{escaped(capital(task.about))}.\n"]
        parts.append(section(task, runs[name], folder) if name in tables else "*missing*: no run yet.\n")
        theirs = literature(name)
        parts += [theirs, ""] if theirs else []
    parts += ["## The methods\n"]
    parts += [
        f"- **{escaped(method.title)}** (`{name}`): {escaped(method.about)}." for name, method in METHODS.items()
    ]
    return "\n".join(parts) + "\n"


def section(task: Task, runs: list[dict], folder: Path) -> str:
    """One task: a table for each number of pairs, pictures, noise, ablations, and where it all comes from."""
    table, plan = results.table(runs), pd.DataFrame(planned(task.name))
    ablations = table["method"].str.startswith(ABLATION)
    clean, plan = table[(table["noise"] == "none") & ~ablations], plan[~plan["method"].str.startswith(ABLATION)]
    parts = list(filter(None, [copied(runs)]))
    for labels in task.sizes:
        asked = plan[_same(plan["labels"], labels) & plan["noise"].isna()]
        wanted = asked.groupby("method", sort=False)["seed"].nunique().to_dict()
        parts.append(_group(clean[_same(clean["labels"], labels)], wanted, labels))
    parts += [f"![{picture.says}]({picture.file})\n\n*{picture.says}*\n" for picture in of_task(task.name, table)]
    if (table["noise"] != "none").any():
        parts.append(_noise(table[~ablations], {tuple(noise) for noise in plan["noise"] if noise is not None}))
    if ablations.any():
        parts.append(_without(table[ablations & (table["noise"] == "none")]))
    return "\n".join([*parts, provenance(runs, results.path_of(task.name, folder)), ""])


def _same(labels: pd.Series, size: int | None) -> pd.Series:
    return labels.isna() if size is None else labels == size


def _group(table: pd.DataFrame, wanted: dict[str, int], labels: int | None) -> str:
    if not len(table):
        return f"### {capital(size_of(labels))}\n\n*missing*: none of the {len(wanted)} methods was run.\n"
    rows = means(table)
    titles = {method: METHODS[method].title for method in wanted}
    parts = [f"### {capital(size_of(labels, rows['pairs'].mean()))}\n", group_table(rows, wanted, titles), ""]
    return "\n".join(parts + _sentences(table, "ele") + [*filter(None, [blamed(table)]), sure(table), ""])


def _sentences(table: pd.DataFrame, method: str) -> list[str]:
    """What is better and what is worse than a method, by each main figure that it has."""
    parts, ours = [], table[table["method"] == method]
    for figure in main_figures(ours):
        if ours.loc[ours["decoder"] == way_of(ours, method), figure.column].notna().any():
            lines = told(table, figure, method)
            parts += [*lines[:1], "", *lines[1:], ""] if lines else []
    return parts


def _noise(table: pd.DataFrame, wanted: set[tuple[str, float]]) -> str:
    figure = main_figures(table)[0]
    rows, parts = means(one_way(table, figure)), []
    for kind in dict.fromkeys(rows.loc[rows["noise"] != "none", "noise"]):
        some = rows[rows["noise"].isin(["none", kind])]
        rates = sorted({*some["rate"], *(rate for name, rate in wanted if name == kind)})
        head = f"{capital(figure.title)} at each rate; *moved*: from the first rate to the last.\n"
        parts += [f"### Noise: {escaped(kind)}\n", head, noise_table(some, rates, figure), ""]
    if "sets.possible" in table:
        ours = table[(table["method"] == "ele") & table["sets.possible"].notna()]
        parts += ["### Noise: prediction sets of ELE\n", OF_SETS, sets_table(means(ours)), ""] if len(ours) else []
    return "\n".join(parts)


def _without(table: pd.DataFrame) -> str:
    parts = ["### psi without one or another of its ingredients\n", group_table(means(table)), ""]
    return "\n".join(parts + (_sentences(table, WHOLE) if (table["method"] == WHOLE).any() else []))


def excerpt(folder: Path = results.RESULTS) -> str:
    """What the project's README quotes: the goals, and for each task a table, each method in its best way to decode.

    And the picture of label efficiency, where a task was run with several numbers of pairs.
    """
    runs = {name: results.read(results.path_of(name, folder)) for name in TASKS}
    tables = {name: results.table(done) for name, done in runs.items() if done}
    parts = [goals(tables), ""]
    for name, table in tables.items():
        clean = table[(table["noise"] == "none") & ~table["method"].str.startswith(ABLATION)]
        size = quoted_size(TASKS[name], clean)
        rows = means(clean[_same(clean["labels"], size)])
        figures = main_figures(rows)
        if figures:
            rows = best_ways(rows, figures[0])
            size = size_of(size, rows["pairs"].mean())
            said = f"each method in its way to decode with the best {figures[0].title}"
            head = f"**{escaped(TASKS[name].title)}**, {size}, {said}:\n"
            parts += [head, group_table(rows, columns=QUOTED), ""]
            path = results.path_of(name, folder).resolve()
            near = README.parent if path.is_relative_to(README.parent) else None
            shown = [one for one in of_task(name, table) if one.file == LABELS.format(task=name)]
            parts += [f"![{one.says}]({link(path.with_name(one.file), near)})\n" for one in shown]
            parts += [*filter(None, [copied(runs[name])]), provenance(runs[name], path, near), ""]
    return "\n".join(parts)


def quoted_size(task: Task, table: pd.DataFrame) -> int | None:
    """The size of which most methods were run; of several the first that the task names."""
    return max(task.sizes, key=lambda size: table.loc[_same(table["labels"], size), "method"].nunique())


def with_excerpt(text: str, quoted: str) -> str:
    """A README with what stands between the two marks replaced. ValueError where the marks are not there once."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"the README wants the lines {BEGIN} and {END} once each, in this order")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{quoted}\n{END}{rest.partition(END)[2]}"


def write(folder: Path = results.RESULTS, readme: Path | None = README) -> list[Path]:
    """Write the page and its pictures, and into a README what it quotes (None: into none); returns the files.

    Pictures of tasks that the runs are no longer enough for are removed.
    """
    drawn: list[Picture] = []
    for name in TASKS:
        runs = results.read(results.path_of(name, folder))
        drawn += of_task(name, results.table(runs)) if runs else []
    texts = {folder / PAGE: page(folder)}
    if readme is not None:
        texts[readme] = with_excerpt(readme.read_text(encoding="utf-8"), excerpt(folder))
    for picture in drawn:
        write_atomically(folder / picture.file, partial(write_png, picture.draw()))
    for path in set(folder.glob("*.png")) - {folder / picture.file for picture in drawn}:
        if path.name.startswith(tuple(f"{name}-" for name in TASKS)):  # drawn once, of runs that are no longer there
            path.unlink()
    for path, text in texts.items():
        write_atomically(path, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
    return [*texts, *(folder / picture.file for picture in drawn)]
