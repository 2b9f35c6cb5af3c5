"""Statements about the use of a loss: predictions, their cost, its origin, rules, other trainings."""

import math
from typing import Any

from elekit.audit.stability import ruled_out
from elekit.card.phrases import TRUE_POINT, edit_phrases
from elekit.card.results import Results
from elekit.card.statement import Statements, Writer, interval
from elekit.correction.probe_edits import HOLDS
from elekit.correction.report import Report, cost_sentence, judgment_sentence, kinds_sentence, rule_sentence
from elekit.datasets.named import SOURCES
from elekit.evaluation.formatting import counted
from elekit.model.surrogate.reader import UNSURE_SHARE

TWICE = 2.0  # times the cost of the quickest decoder: below, the best one is not mentioned
SHOWN = 3  # slices with the worst predictions
SHOWN_TYPOS = 0.02  # share of letters with a typo in the statement
FEW = 6  # slices with too few cases that are named


def predictions(results: Results, write: Writer) -> Statements:
    about = results.facts.get("predictions", {})
    known, own = about.get("candidates", 0), about.get("own_graphs", False)
    for number, row in enumerate(results.rows("quality")):
        if row["from"] == TRUE_POINT:
            yield write("exact from the true point", interval(row, "exact"), number, row=row)
            continue
        if number:
            smiles = results.facts["loss"]["molecular"] and "smiles" in row["from"].lower()
            yield write("another predictor", interval(row, "exact"), number, row=row, reads_smiles=smiles)
            continue
        yield write("exact", interval(row, "exact"), number, row=row, known=known, own=own)
        yield write("edit distance", interval(row, "edits"), number, row=row)
        if math.isfinite(row.get("valid", math.nan)):
            yield write("valid", interval(row, "valid"), number)
    for name, columns in about.get("not_judged", {}).items():
        yield write("predictor not judged", facts={"predictor": name}, columns=columns)
    rows = list(enumerate(results.rows("slices")))
    for place, (number, row) in enumerate([one for one in rows if not one[1]["few"]][:SHOWN]):
        yield write("slice", interval(row, "exact"), number, row=row, worst=not place)
    if few := [f"{row['slice']} ({row['count']})" for _, row in rows if row["few"]]:
        yield write("too few", len(few), names=few[:FEW])


def sets(results: Results, write: Writer) -> Statements:
    rows = results.rows("coverage")
    if not rows:
        return
    whole, about = rows[0], results.facts["sets"]
    least, most = about["expected"]
    met = "Not met" if whole["coverage"] < least else "Exceeded" if whole["coverage"] > most else "Met"
    yield write("sets hold the truth", interval(whole, "coverage"), 0, facts={"met": met}, row=whole, about=about)
    yield write("size of sets", whole["mean_size"], 0, row=whole, about=about)
    if enough := [number for number, row in enumerate(rows) if number and not row["few"]]:
        worst = min(enough, key=lambda number: rows[number]["coverage"])
        yield write("sets hold the truth least", interval(rows[worst], "coverage"), worst, row=rows[worst])


def input_changes(results: Results, write: Writer) -> Statements:
    about = results.facts.get("inputs")
    if about is None:
        return
    rows = results.rows("input_changes")
    number = next(n for n, row in enumerate(rows) if row["written"].startswith(f"typos in {100 * SHOWN_TYPOS:g} %"))
    if math.isfinite(rows[0].get("wrong_but_sure", math.nan)):
        counts: dict[str, Any] = {**marked_answers(rows[0]), "some_of": some_of}
        yield write("wrong without a warning", interval(rows[0], "wrong_but_sure"), 0, row=rows[0], **counts)
    if "covered" in rows[number]:
        yield write("inputs with typos", interval(rows[number], "covered"), number, row=rows[number], plain=rows[0])
    if about["limits"]:
        unit = "symbols" if about["smiles"] else "words"
        names = {"unknown": f"unknown {unit}", "unseen": f"unknown pairs of neighboring {unit}"}
        limits = [
            f"a learned loss of {limit:.2f} between h(x) and the answer" if name == "loss"
            else f"{limit:.1%} {names[name]}" if limit else f"no {names[name]}"
            for name, limit in about["limits"].items()
        ]  # fmt: skip
        yield write("unsure rule", UNSURE_SHARE, about=about, limits=limits)


def cost(results: Results, write: Writer) -> Statements:
    rows = results.rows("costs")
    if not rows:
        return
    best = max(range(len(rows)), key=lambda n: (rows[n]["exact"], -rows[n]["milliseconds"]))
    near = [n for n, row in enumerate(rows) if row["high"] >= rows[best]["exact"]]
    quick = min(near, key=lambda n: rows[n]["milliseconds"])
    least, most = rows[quick]["milliseconds"], rows[best]["milliseconds"]
    about = results.facts["costs"]
    usual = [row for row in results.rows("quality") if row["from"] == about["from"] and row.get("milliseconds")]
    wider = usual[0]["milliseconds"] if usual and usual[0]["milliseconds"] > 1.2 * least else None
    yield write("milliseconds", least, quick, row=rows[quick], about=about, usual=wider)
    if most / max(least, 1e-9) > TWICE:
        yield write("milliseconds of the best", most, best, row=rows[best])


def origin(results: Results, write: Writer) -> Statements:
    data, trained = results.facts["data"], results.facts["trained"]
    on, now, by = data["trained_on"], data["now"], trained["by"]
    source = SOURCES.get(on.get("name", ""), "")
    left_out = sum(on.get("skipped", {}).values())
    yield write("data", on.get("train", math.nan), on=on, left_out=left_out, source=source)
    if now:
        yield write("same data", facts={"same": now["same"]}, name=now["name"])
    yield write("trained", facts={"by": by.get("by"), "at": by.get("at"), "seed": trained["seed"]})


def marked_answers(row: dict) -> dict[str, int | None]:
    """How many of the wrong and of the right answers are marked unsure, from shares; None if that is unknown."""
    shares = [row.get(name, math.nan) for name in ("count", "exact", "unsure", "wrong_but_sure")]
    if not all(map(math.isfinite, shares)):
        return {"wrong": None, "right": None, "marked": None, "right_marked": None}
    count, exact, unsure, wrong_but_sure = shares
    wrong, marked = (1 - exact) * count, (1 - exact - wrong_but_sure) * count
    found = {"wrong": wrong, "right": exact * count, "marked": marked, "right_marked": unsure * count - marked}
    return {name: max(0, round(value)) for name, value in found.items()}


def some_of(part: int, whole: int) -> str:
    """A share in words: counts that follow from rounded shares are not stated as figures."""
    share = part / max(1, whole)
    words = ((0.0, "none"), (0.1, "hardly any"), (0.4, "some"), (0.6, "about half"), (0.9, "most"))
    return next((word for most, word in words if share <= most), "nearly all")


def limitations(results: Results, write: Writer) -> Statements:
    """What the loss should not be used for, from the same facts as the statements above."""
    loss = results.facts["loss"]
    yield write("not for other graphs", loss["max_nodes"])
    rows = results.rows("input_changes")
    if rows and math.isfinite(rows[0].get("wrong_but_sure", math.nan)):
        yield write("not without a check", interval(rows[0], "wrong_but_sure"), 0)
    slices = list(enumerate(results.rows("slices")))
    if enough := [(number, row) for number, row in slices if not row["few"]]:
        number, row = enough[0]
        yield write("not for the worst", interval(row, "exact"), number, row=row)
    typed = [(n, row) for n, row in enumerate(rows) if row["written"].startswith(f"typos in {100 * SHOWN_TYPOS:g} %")]
    if typed:
        number, row = typed[0]
        counts = marked_answers(row)
        if counts["right"]:
            yield write("not for typos", (counts["right_marked"] or 0) / counts["right"], number, row=row)
    if prices := results.rows("prices"):
        number = min(range(len(prices)), key=lambda n: prices[n]["median"])
        phrase = edit_phrases(loss)[prices[number]["kind"]]
        yield write("not what it counts least", phrase=phrase)


def operation(results: Results, write: Writer) -> Statements:
    """Stage, gates and history, as the registry of the card has them."""
    about = results.facts.get("operation")
    if about is None:
        yield write("no registry")
        return
    stages = [stage for stage, version in about["stages"].items() if version == about["version"]]
    facts = {"stages": stages, "production": about["production"]}
    yield write("stage", facts=facts, about=about, stages=stages)
    for entry in about["gates"]:
        report, failed = entry["gates"], entry["gates"].get("failed", [])
        count = len(failed) or len(report.get("results", []))
        yield write("gates", count, facts={"failed": failed}, entry=entry)
    for number, line in enumerate(about["history"], 1):
        yield write("history", facts={"line": line}, number=number)


def rules(results: Results, write: Writer) -> Statements:
    correction = results.facts["trained"]["correction"]
    if not correction:
        yield write("no rules")
        return
    report = Report.from_json(correction["report"])
    counts = (len(correction["rules"]), "rule"), (correction["judgements"]["count"], "judgment")
    given = [counted(number, noun) for number, noun in counts if number]
    held = [row.after_says for row in report.rules.itertuples()].count(HOLDS)
    yield write("rules", held, given=given, of=len(report.rules))
    for row in report.rules.itertuples():
        figures, facts = (row.after, row.after_low, row.after_high), {"holds": row.after_says}
        yield write("rule", figures, row.Index, facts=facts, row=row, sentence=rule_sentence(row))
    for row in report.judgments.itertuples():
        if row.judgments:
            yield write("judgments", (row.after, row.low, row.high), row=row, sentence=judgment_sentence(row))
    for row in report.costs.itertuples():
        yield write("cost of the rules", row.after, row.Index, row=row, sentence=cost_sentence(row))
    for number, line in enumerate([kinds_sentence(report.kinds), *report.notes]):
        yield write("correction", facts={"note": line}, number=number)


def replication(results: Results, write: Writer) -> Statements:
    rows = results.rows("replication")
    if not rows:
        return
    phrases = edit_phrases(results.facts["loss"])
    names = {f"price of {kind}": f"price of {phrase}" for kind, phrase in phrases.items()}
    held, kept = ([row for row in rows if row[name] in (True, False)] for name in ("holds", "kept"))
    missed = []
    for row in held:
        if not row["holds"]:
            side = "higher" if row["again"] > row["value"] else "lower"
            missed.append(f"{names.get(row['claim'], row['claim'])} ({side} than before)")
    turned = [f"{names.get(row['claim'], row['claim'])} {row['says']}".strip() for row in kept if not row["kept"]]
    facts = {"held": len(held) - len(missed), "of": len(held), "kept": len(kept) - len(turned), "compared": len(kept)}
    yield write("replicated", facts["held"] / max(1, len(held)), facts=facts, missed=missed, turned=turned)


def trainings(results: Results, write: Writer) -> Statements:
    if rows := results.rows("stability"):
        holds, of = sum(bool(row["stable"]) for row in rows), max(row["of"] for row in rows)
        yield write("stable", holds, checked=len(rows), of=of, fails=ruled_out(max(of - 1, 1)))
    if near := results.facts.get("neighbors"):
        yield write("neighbors kept", interval(near, "kept"), near=near)


MAKERS = (
    predictions, sets, input_changes, cost, limitations, origin, rules, replication, trainings, operation,
)  # fmt: skip
