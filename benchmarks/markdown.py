"""Tables and sentences of the report, as Markdown: what stands there comes from the runs."""

import hashlib
import json
import math
import re
from pathlib import Path

import pandas as pd

from benchmarks import noise
from benchmarks.aggregate import FIGURES, SPREAD, Figure, best_ways, differences, means, way_of
from benchmarks.methods import ABLATION
from benchmarks.results import RESULTS
from elekit.evaluation.intervals import wilson

MARKED = ("exact", "edit_distance_unlabelled", "edit_distance", "valid", "hits@1", "hits@10", "mrr", "ms")  # the best
MAIN = (("edit_distance", "exact"), ("hits@1", "mrr"))  # what tells methods apart: graphs predicted, or only found
SETS = ("sets.coverage", "sets.set_size", "sets.possible")
VERDICTS = {
    "better": "better in every seed",
    "worse": "worse in every seed",
    "mixed": "better in some seeds, worse in others",
    "equal": "equal",
}
THEIRS = "Figures of the literature, theirs on their split, so they cannot be held against the table line by line:"


# -- pieces --------------------------------------------------------------------------------------------------------
def escaped(text: str) -> str:
    """Markdown that shows a text as it is, in one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", " ".join(str(text).split()))


def markdown(frame: pd.DataFrame) -> str:
    """A table whose cells are Markdown already; all columns but the first stand to the right."""
    aligned = ["---", *["---:"] * (frame.shape[1] - 1)]
    rows = [list(frame.columns), aligned, *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def size_of(labels: float | None, pairs: float | None = None) -> str:
    """How many pairs a method had to learn from, in words."""
    if labels is None or pd.isna(labels):
        return "all pairs" if pairs is None else f"all {pairs:,.0f} pairs"
    return f"{labels:,.0f} pairs"


def name_of(row) -> str:
    """A method and its way to decode."""
    return escaped(row["title"]) + (f", {escaped(row['decoder'])}" if row["decoder"] else "")


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def starred(shown: list[str], values: pd.Series, figure: Figure) -> list[str]:
    """The best of several values in bold and with a star: all that are shown like it, none where all are."""
    alike = ["" if pd.isna(value) else figure.shown(value, False) for value in values]
    if len({one for one in alike if one}) < 2:
        return shown
    best = figure.shown(figure.best(values), False)
    return [f"**{words}** ★" if one == best else words for words, one in zip(shown, alike)]


def main_figures(rows: pd.DataFrame) -> list[Figure]:
    """What methods are ordered and told apart by, the most telling figure first."""
    for columns in MAIN:
        found = [FIGURES[column] for column in columns if column in rows and rows[column].notna().any()]
        if found:
            return found
    return []


# -- tables --------------------------------------------------------------------------------------------------------
def cells(rows: pd.DataFrame, columns=tuple(FIGURES)) -> pd.DataFrame:
    """Rows of `compared.means` of one group as text: a column for each of some figures that any of them has."""
    shown = {}
    for column in columns:
        if column not in rows or rows[column].isna().all():
            continue
        figure, text = FIGURES[column], []
        for value, spread in zip(rows[column], rows[column + SPREAD]):
            one = "–" if pd.isna(value) else figure.shown(value, False)
            text.append(f"{one} ± {figure.shown(spread, False)}" if spread > 0 else one)
        head = figure.title + (f", {figure.unit}" if figure.unit else "")
        shown[head] = starred(text, rows[column], figure) if column in MARKED else text
    return pd.DataFrame(shown, index=rows.index)


def group_table(rows: pd.DataFrame, wanted=None, titles=None, columns=tuple(FIGURES)) -> str:
    """One group: a row a method and way to decode, the best method first, then the methods that were not run.

    rows: of `compared.means`. wanted: seeds that are planned, by method; titles: of those methods. columns: figures.
    """
    wanted = wanted or {}
    figures = main_figures(rows)
    if figures:
        order = best_ways(rows, figures[0])["method"].tolist()
        rank = rows["method"].map({method: place for place, method in enumerate(order)}).fillna(len(order))
        sign = -figures[0].better
        rows = rows.assign(rank=rank, by=sign * rows[figures[0].column]).sort_values(["rank", "by"], kind="stable")
    seeds = [
        f"{seeds} of {wanted[method]}, rest *missing*" if seeds < wanted.get(method, 0) else str(seeds)
        for method, seeds in zip(rows["method"], rows["seeds"])
    ]
    ways = [escaped(way) or "–" for way in rows["decoder"]]
    left = {"method": [escaped(title) for title in rows["title"]], "way to decode": ways, "seeds": seeds}
    table = pd.concat([pd.DataFrame(left, index=rows.index), cells(rows, columns)], axis=1)
    absent = [escaped(titles[method]) for method in wanted if method not in set(rows["method"])]
    lost = pd.DataFrame({"method": absent, "way to decode": "*missing*", "seeds": "0"})
    return markdown((pd.concat([table, lost]) if absent else table).fillna("–"))


def noise_table(rows: pd.DataFrame, rates: list[float], figure: Figure) -> str:
    """One kind of noise: a row a method, its figure at each rate, how far it moved; the best at the last rate first.

    rows: of `compared.means`, one a method and rate. rates: ascending, 0 for the clean pairs.
    """
    index = ["method", "title", "decoder"]
    wide = rows.pivot(index=index, columns="rate", values=figure.column).reindex(columns=rates)
    wide = wide.sort_values(rates[-1], ascending=figure.better < 0)
    shown = {"method": [name_of({"title": title, "decoder": way}) for _, title, way in wide.index]}
    for rate in rates:
        text = ["*missing*" if pd.isna(value) else figure.shown(value, False) for value in wide[rate]]
        shown[f"{rate:.0%}" if rate else "clean"] = starred(text, wide[rate].reset_index(drop=True), figure)
    moved = wide[rates[-1]] - wide[rates[0]]
    shown["moved"] = ["–" if pd.isna(value) else signed(value, figure) for value in moved]
    return markdown(pd.DataFrame(shown))


def sets_table(rows: pd.DataFrame) -> str:
    """Prediction sets against noise: a row for clean pairs and one for each kind and rate. rows: of `compared.means`."""
    places = {kind: place for place, kind in enumerate(("none", *noise.KINDS))}
    rows = rows.assign(place=rows["noise"].map(places)).sort_values(["place", "rate"])
    noises = [kind if kind != "none" else "clean" for kind in rows["noise"]]
    rates = [f"{rate:.0%}" if rate else "–" for rate in rows["rate"]]
    left = pd.DataFrame({"noise": map(escaped, noises), "rate": rates}, index=rows.index)
    return markdown(pd.concat([left, cells(rows, SETS)], axis=1))


def leaders(table: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    """Who is ahead on what, one row a task and number of pairs of clean runs, each method in its best way.

    table: of `results.table`. titles: of tasks. Columns on, by (a figure), first and second (methods), ELE; Markdown.
    """
    clean = table[(table["noise"] == "none") & ~table["method"].str.startswith(ABLATION)]
    tasks = clean["task"].unique().tolist()
    ranks = {"task": lambda column: column.map(tasks.index), "labels": lambda column: -column.fillna(math.inf)}
    clean = clean.sort_values(["task", "labels"], key=lambda column: ranks[column.name](column))
    found = []
    for (task, labels), runs in clean.groupby(["task", "labels"], dropna=False, sort=False):
        rows = means(runs)
        for figure in main_figures(rows)[:1]:
            best = best_ways(rows, figure)
            said = [(name_of(row), figure.shown(row[figure.column])) for _, row in best.iterrows()]
            ours = best["method"].tolist().index("ele") if "ele" in set(best["method"]) else None
            size = size_of(labels, rows["pairs"].mean())
            line = {"on": f"{escaped(titles.get(task, task))}, {size}", "by": figure.title}
            line |= {"first": ": ".join(said[0]), "second": ": ".join(said[1]) if len(said) > 1 else "–"}
            line["ELE"] = "*missing*" if ours is None else f"{said[ours][1]}, place {ours + 1} of {len(said)}"
            found.append(line)
    return pd.DataFrame(found)


# -- sentences -----------------------------------------------------------------------------------------------------
def signed(value: float, figure: Figure) -> str:
    return ("+" if value > 0 else "−" if value < 0 else "") + figure.shown(abs(value), False)


def told(table: pd.DataFrame, figure: Figure, method: str = "ele") -> list[str]:
    """What is better than a method of a group and what is worse by one figure, by how much, each in its best way.

    table: of `results.table`, one group. Returns a line that says what is compared, then one for each verdict; one
    that says so where the method was not run.
    """
    if figure.column not in table or not table.loc[table["method"] == method, figure.column].notna().any():
        return [f"*missing*: no run of `{method}` tells {figure.title} here."]
    found = differences(table, figure, method)
    found = found[found["method"] != method].sort_values("value", ascending=figure.better < 0, kind="stable")
    found = found.drop_duplicates("method")
    if not len(found):
        return []
    title, way = escaped(table.loc[table["method"] == method, "title"].iloc[-1]), way_of(table, method)
    ours = figure.shown(found["reference"].iloc[0])
    lines = [
        f"By {figure.title}, against {title}{f' ({escaped(way)})' if way else ''}, which has {ours}; "
        "every other method in the one of its ways that did best here:"
    ]
    for verdict, words in VERDICTS.items():
        some = found[found["verdict"] == verdict]
        if len(some):
            lines.append(f"- {words}: " + "; ".join(_apart(row, figure) for _, row in some.iterrows()) + ".")
    return lines


def _apart(row: pd.Series, figure: Figure) -> str:
    """One method against the reference: "X has 3.10, 1.90 more (3 seeds: +1.80 to +2.00)"."""
    said = f"{name_of(row)} has {figure.shown(row['value'])}"
    if row["verdict"] != "equal":
        unit = {"%": " points", "": ""}.get(figure.unit, f" {figure.unit}")
        said += f", {figure.shown(abs(row['difference']), False)}{unit} {'more' if row['difference'] > 0 else 'less'}"
    if row["paired"] < 2:
        return said + (" (one seed)" if row["paired"] else " (no seed in common)")
    return said + f" ({row['paired']} seeds: {signed(row['low'], figure)} to {signed(row['high'], figure)})"


def sure(table: pd.DataFrame) -> str:
    """How sure a share of a group is, for the number of examined graphs alone; "" where ELE predicted none."""
    ours = table[(table["method"] == "ele") & (table["decoder"] == way_of(table))]
    if "exact" not in ours or ours["exact"].isna().all():
        return ""
    exact, count, share = FIGURES["exact"], int(ours["count"].iloc[0]), float(ours["exact"].iloc[0])
    low, high = map(exact.shown, wilson(round(share * count), count))
    return (
        f"A run examines {count:,} graphs; for that alone, {exact.shown(share)} exact may be {low} to {high} "
        "of all graphs (95 %, Wilson)."
    )


def blamed(table: pd.DataFrame) -> str:
    """What errs where the answers of ELE are wrong, h and psi or the search; "" where none tells, or none is wrong."""
    if "fits_better_than_truth" not in table:
        return ""
    ours = table[(table["method"] == "ele") & (table["decoder"] == way_of(table))]
    ours = ours[ours["fits_better_than_truth"].notna() & (ours["exact"] < 1)]
    if not len(ours):
        return ""
    exact, wrong, liked = FIGURES["exact"], 1 - ours["exact"].mean(), ours["fits_better_than_truth"].mean()
    return (
        f"Of the answers of ELE {exact.shown(wrong)} are wrong. In {exact.shown(liked)} of all cases a wrong answer fits "
        "what was predicted better than the truth does: there h or psi err; in the others the search has missed it, or "
        "psi does not tell the two apart.\n"
    )


def copied(runs: list[dict]) -> str:
    """How many answers stand in the inputs themselves; "" where inputs are no SMILES."""
    shares = [run["data"]["inputs_canonical"] for run in runs if "inputs_canonical" in run["data"]]
    if not shares:
        return ""
    return (
        f"Of the examined inputs {FIGURES['exact'].shown(max(shares))} are, letter for letter, the canonical SMILES of "
        "their molecule. Where that is most of them, what writes SMILES has but to copy its input, and what makes nodes "
        "of its tokens, as ELE does, has part of that start; what looks up or ends in a point has to understand it.\n"
    )


def link(path: Path, seen_from: Path | None) -> str:
    """Where a page links to a file. seen_from: the folder of the page; None: that of the file."""
    return path.name if seen_from is None else path.relative_to(seen_from).as_posix()


def provenance(runs: list[dict], path: Path, seen_from: Path | None = None) -> str:
    """Command, data, file and versions behind a table. seen_from: see `link`."""
    about = runs[0]["data"]
    digests = sorted({run["data"]["digest"][:12] for run in runs})
    sizes = ", ".join(f"{about[part]:,} {part}" for part in ("train", "validation", "test") if part in about)
    versions = sorted({", ".join(f"{name} {version}" for name, version in run["versions"].items()) for run in runs})
    threads = sorted({str(run["spent"]["threads"]) for run in runs})
    days = sorted({run["at"] for run in runs})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    parts = [
        f"`{runs[0]['command']}`",
        f"data {escaped(about['name'])}, {about['rows']:,} rows ({sizes})",
        f"digest{'s' * (len(digests) > 1)} " + ", ".join(f"`{digest}`" for digest in digests),
        f"{len(runs)} runs in [{path.name}]({link(path, seen_from)}), sha256 `{digest[:16]}`",
        escaped(" or ".join(versions)),
        f"{' or '.join(threads)} thread{'s' * (threads != ['1'])}",
        days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
    ]
    return f"<sub>{'; '.join(parts)}.</sub>"


def literature(task: str) -> str:
    """Figures of others for a task, as they stand in their source; "" where there are none."""
    known = json.loads((RESULTS / "literature.json").read_text(encoding="utf-8"))
    lines = []
    for one in known:
        if one["task"] == task:
            figures = ", ".join(
                f"{FIGURES[name].title} {FIGURES[name].shown(x)}" for name, x in one["figures"].items()
            )
            source = f"{escaped(capital(one['where']))} ([source]({one['source']}), {one['paper']})"
            lines.append(f"- {escaped(one['method'])}: {figures}. {escaped(capital(one['split']))}. {source}.")
    return "\n".join([THEIRS, "", *lines]) if lines else ""
