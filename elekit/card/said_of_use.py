"""What a card says of the use of a loss: predictions, their cost, where it comes from, rules, other trainings."""

import math
from collections.abc import Iterator

from elekit.card.measured import Measured
from elekit.card.statement import Statement, speaker
from elekit.card.wording import between, counted, figure, joined, percent, things

TWICE = 2.0  # times as long as the quickest way: otherwise the slower one is not worth a word


@speaker
def predictions(measured: Measured) -> Iterator[Statement]:
    word = things(measured.facts["loss"]["molecular"])["graph"]
    known = measured.facts.get("predictions", {}).get("candidates", 0)
    for number, row in enumerate(measured.rows("quality")):
        sure, source = between(row["low"], row["high"], percent), row["from"]
        if source == "the true point":
            says = (
                f"From the true point of the loss itself {percent(row['exact'])} of {counted(row['count'], word)} are found again "
                f"exactly{sure}: so much the loss and the search allow, whatever makes the prediction."
            )
            yield Statement("exact from the true point", "quality", says, row["exact"], row["low"], row["high"], "share",
                            evidence=f"quality-{number}")  # fmt: skip
            continue
        says = (
            f"From {source}, {percent(row['exact'])} of {counted(row['count'], word)} that were not learned from are predicted "
            f"exactly{sure}, by a search that {'starts from the nearest of ' + counted(known, 'known ' + word) if known else 'knows no graphs'}."
        )
        yield Statement(
            "exact", "quality", says, row["exact"], row["low"], row["high"], "share", evidence=f"quality-{number}"
        )
        says = (
            f"On average a prediction is {figure(row['edits'])} changes from the truth{between(row['edits_low'], row['edits_high'])}; "
            f"in {percent(row['fits_better'])} of all cases a wrong answer fitted what was predicted better than the truth did, "
            "so a longer search would not mend it."
        )
        yield Statement("edit distance", "quality", says, row["edits"], row["edits_low"], row["edits_high"], "changes",
                        evidence=f"quality-{number}")  # fmt: skip
        if row.get("valid") is not None and math.isfinite(row.get("valid", math.nan)):
            sure = between(row["valid_low"], row["valid_high"], percent)
            says = f"{percent(row['valid'])} of the predictions are valid molecules{sure}."
            yield Statement("valid", "quality", says, row["valid"], row["valid_low"], row["valid_high"], "share",
                            evidence=f"quality-{number}")  # fmt: skip
    yield from _slices(measured, word)


def _slices(measured: Measured, word: str) -> Iterator[Statement]:
    rows = measured.rows("slices")
    enough = [(number, row) for number, row in enumerate(rows) if not row["few"]]
    for place, (number, row) in enumerate(enough[:3]):
        says = (
            f"{'Worst' if not place else 'Then'} on {word}s {row['slice']}: {percent(row['exact'])} exact of "
            f"{row['count']:,}{between(row['low'], row['high'], percent)}."
        )
        yield Statement(f"exact {row['slice']}", "quality", says, row["exact"], row["low"], row["high"], "share",
                        evidence=f"slices-{number}")  # fmt: skip
    few = [row for row in rows if row["few"]]
    if few:
        names = joined([f"{row['slice']} ({row['count']})" for row in few[:6]])
        says = f"Of {word}s {names} there were too few among the test cases to say how well they are predicted."
        yield Statement("too few", "quality", says, len(few), unit="slices", evidence="slices")


@speaker
def sets(measured: Measured) -> Iterator[Statement]:
    rows = measured.rows("coverage")
    if not rows:
        return
    word, about, whole = things(measured.facts["loss"]["molecular"])["graph"], measured.facts["sets"], rows[0]
    (least, most), share = about["expected"], whole["coverage"]
    place = "lies below" if share < least else "lies above" if share > most else "does"
    says = (
        f"Instead of one answer it can give all that are near enough, and promises that the truth is among them in "
        f"{percent(about['level'])} of all cases. Of {counted(whole['pairs'], word)} that nothing was learned from {_tenth(share)} lay "
        f"in their set of answers{between(whole['low'], whole['high'], _tenth)}. Where the promise is kept, such a count lies between {_tenth(least)} and "
        f"{_tenth(most)} in 95 % of all trials; this one {place}."
    )
    yield Statement("sets hold the truth", "quality", says, whole["coverage"], whole["low"], whole["high"], "share",
                    evidence="coverage-0")  # fmt: skip
    says = (
        f"Such a set holds {figure(whole['mean_size'])} {word}s on average. In {percent(whole['empty'])} of all cases nothing is near "
        f"enough, in {percent(whole['large'])} more than {about['most']} are; then it says that it is unsure, and somebody must look."
    )
    yield Statement("size of sets", "quality", says, whole["mean_size"], unit=f"{word}s", evidence="coverage-0")
    enough = [(number, row) for number, row in enumerate(rows) if number and not row["few"]]
    if enough:
        number, row = min(enough, key=lambda numbered: numbered[1]["coverage"])
        says = (
            f"The promise is about all {word}s together, not about each kind: of those {row['slice']} the truth is in the set in "
            f"{percent(row['coverage'])} of {row['pairs']:,}{between(row['low'], row['high'], percent)}, the fewest of any kind."
        )
        yield Statement("sets hold the truth least", "quality", says, row["coverage"], row["low"], row["high"], "share",
                        evidence=f"coverage-{number}")  # fmt: skip


def _tenth(share: float) -> str:
    return f"{100 * share:.1f} %"


@speaker
def cost(measured: Measured) -> Iterator[Statement]:
    rows = measured.rows("costs")
    if not rows:
        return
    about = measured.facts["costs"]
    best = max(range(len(rows)), key=lambda n: (rows[n]["exact"], -rows[n]["milliseconds"]))
    near = [n for n, row in enumerate(rows) if row["high"] >= rows[best]["exact"]]
    quick = min(near, key=lambda n: rows[n]["milliseconds"])
    row = rows[quick]
    says = (
        f"One prediction from {about['from']} takes {figure(row['milliseconds'])} ms on {counted(about['threads'], 'processor core')} by "
        f"“{row['way']}”: the quickest way whose share of exact answers, {percent(row['exact'])} "
        f"of {row['count']}{between(row['low'], row['high'], percent)}, cannot be told from the best measured."
    )
    yield Statement("milliseconds", "cost", says, row["milliseconds"], unit="ms", evidence=f"costs-{quick}")
    times = rows[best]["milliseconds"] / max(rows[quick]["milliseconds"], 1e-9)
    if times > TWICE:
        row = rows[best]
        says = (
            f"The best measured, “{row['way']}”, finds {percent(row['exact'])}{between(row['low'], row['high'], percent)} and takes "
            f"{figure(row['milliseconds'])} ms."
        )
        yield Statement(
            "milliseconds of the best", "cost", says, row["milliseconds"], unit="ms", evidence=f"costs-{best}"
        )


@speaker
def origin(measured: Measured) -> Iterator[Statement]:
    data, trained = measured.facts["data"], measured.facts["trained"]
    word, on = things(measured.facts["loss"]["molecular"])["graph"], data["trained_on"]
    if on:
        left = sum(on.get("skipped", {}).values())
        says = (
            f"The loss was learned from “{on['name']}”: {on['rows']:,} rows, of which {on['train']:,} were learned from, "
            f"{on['validation']:,} used to watch the training, {on['test']:,} kept for testing, and {left:,} left out."
        )
        yield Statement("data", "origin", says, on["train"], unit=f"{word}s", evidence="data")
    else:
        says = "The artifact does not say which data the loss was learned from."
        yield Statement("data", "origin", says, evidence="data")
    if data["now"]:
        same = {True: "are the data it was learned from (equal digests)", False: "are other data than it was learned from",
                None: "may or may not be the data it was learned from: the artifact names no digest"}[data["now"]["same"]]  # fmt: skip
        yield Statement(
            "same data", "origin", f"The data asked about here, “{data['now']['name']}”, {same}.", evidence="data"
        )
    by = trained["by"]
    who = f" by {by['by']}" if by.get("by") else ""
    when = f" on {by['at']}" if by.get("at") else ""
    with_seed = f"with seed {trained['seed']}" if trained["seed"] is not None else "with a seed that it does not name"
    unknown = joined([words for words, known in (("by whom", who), ("when", when)) if not known])
    unknown = f"; the artifact does not say {unknown}" if unknown else ""
    yield Statement("trained", "origin", f"It was trained{who}{when} {with_seed}{unknown}.", evidence="training")


@speaker
def rules(measured: Measured) -> Iterator[Statement]:
    correction = measured.facts["trained"]["correction"]
    if not correction:
        yield Statement(
            "rules",
            "rules",
            "No rules were given to this loss: nobody corrected what it learned.",
            evidence="training",
        )
        return
    report, many = correction["report"], correction["judgements"]["count"]
    given = joined([words for words in (counted(len(correction["rules"]), "rule") if correction["rules"] else "",
                                        counted(many, "judgment") if many else "") if words])  # fmt: skip
    held = sum(row["after_says"] == "holds" for row in report["rules"])
    kept = f" Of the rules {held} of {len(report['rules'])} hold on held-out graphs." if report["rules"] else ""
    yield Statement(
        "rules", "rules", f"The loss was corrected by {given}.{kept}", held, unit="rules", evidence="rules"
    )
    lines, judged = list(report["says"]), [row for row in report["judgements"] if row["judgements"]]
    for number, row in enumerate(report["rules"]):
        yield Statement(f"rule: {row['rule']}", "rules", lines.pop(0), _number(row["after"]), _number(row["after_low"]),
                        _number(row["after_high"]), "figure of the rule", evidence=f"rules-{number}")  # fmt: skip
    for row in judged:
        yield Statement(f"judgments {row['which']}", "rules", lines.pop(0), _number(row["after"]), _number(row["low"]),
                        _number(row["high"]), "share", evidence="rules")  # fmt: skip
    for number, row in enumerate(report["costs"]):
        yield Statement(f"cost of the rules: {row['measure']}", "rules", lines.pop(0), _number(row["after"]), unit=row["unit"],
                        evidence=f"corrected-{number}")  # fmt: skip
    for number, line in enumerate(lines):
        yield Statement(f"correction: {number}", "rules", line, evidence="corrected")


def _number(value: float | None) -> float:
    return math.nan if value is None else value


@speaker
def stable(measured: Measured) -> Iterator[Statement]:
    rows, word = measured.rows("stability"), things(measured.facts["loss"]["molecular"])["graph"]
    if rows:
        of, holds = max(row["of"] for row in rows), sum(bool(row["stable"]) for row in rows)
        says = f"{holds} of {counted(len(rows), 'statement')} that were checked hold in all of {of} trainings."
        yield Statement("stable", "stability", says, holds, unit="statements", evidence="stability")
    if near := measured.facts.get("neighbors"):
        says = (
            f"Of the {near['k']} {word}s nearest to one, {percent(near['kept'])} are the same in another training (by chance: "
            f"{percent(near['chance'])}); on average over {counted(near['trainings'], 'repeat')}{between(near['low'], near['high'], percent)}."
        )
        yield Statement(
            "neighbors kept",
            "stability",
            says,
            near["kept"],
            near["low"],
            near["high"],
            "share",
            evidence="stability",
        )
