"""Statements about the use of a loss: predictions, their cost, its origin, rules, other trainings."""

import math

from elekit.card.phrases import TRUE_POINT, between, counted, figure, joined, percent, things
from elekit.card.results import Results
from elekit.card.statement import Evidence, Statement, Statements

TWICE = 2.0  # times the cost of the quickest decoder: below, the best one is not mentioned
FEW = 6  # slices with too few cases that are named


def predictions(results: Results) -> Statements:
    word = things(results.facts["loss"]["molecular"])["graph"]
    known = results.facts.get("predictions", {}).get("candidates", 0)
    for number, row in enumerate(results.rows("quality")):
        sure, evidence = between(row["low"], row["high"], percent), Evidence("quality", number)
        exact, cases = percent(row["exact"]), counted(row["count"], word)
        if row["from"] == TRUE_POINT:
            text = (
                f"From the true point of the loss itself {exact} of {cases} are found exactly{sure}: this is what "
                "the loss and the search allow, whatever makes the prediction."
            )
            key = "exact from the true point"
            yield Statement(key, "quality", text, row["exact"], row["low"], row["high"], "share", evidence)
            continue
        start = "starts from the nearest of " + counted(known, "known " + word) if known else "knows no graphs"
        text = (
            f"From {row['from']}, {exact} of {cases} outside the training data are predicted exactly{sure}, by a "
            f"search that {start}."
        )
        yield Statement("exact", "quality", text, row["exact"], row["low"], row["high"], "share", evidence)
        text = (
            f"On average a prediction is {figure(row['edits'])} changes from the truth"
            f"{between(row['edits_low'], row['edits_high'])}; in {percent(row['fits_better'])} of all cases a wrong "
            "answer is nearer to the predicted point than the truth, so a longer search would not help."
        )
        figures = row["edits"], row["edits_low"], row["edits_high"]
        yield Statement("edit distance", "quality", text, *figures, "changes", evidence)
        if math.isfinite(row.get("valid", math.nan)):
            sure = between(row["valid_low"], row["valid_high"], percent)
            text = f"{percent(row['valid'])} of the predictions are valid molecules{sure}."
            figures = row["valid"], row["valid_low"], row["valid_high"]
            yield Statement("valid", "quality", text, *figures, "share", evidence)
    yield from _slices(results, word)


def _slices(results: Results, word: str) -> Statements:
    rows = results.rows("slices")
    enough = [(number, row) for number, row in enumerate(rows) if not row["few"]]
    for place, (number, row) in enumerate(enough[:3]):
        text = (
            f"{'Then' if place else 'Worst'} on {word}s {row['slice']}: {percent(row['exact'])} exact of "
            f"{row['count']:,}{between(row['low'], row['high'], percent)}."
        )
        yield Statement(f"exact {row['slice']}", "quality", text, row["exact"], row["low"], row["high"], "share",
                        Evidence("slices", number))  # fmt: skip
    few = [row for row in rows if row["few"]]
    if few:
        names = joined([f"{row['slice']} ({row['count']})" for row in few[:FEW]])
        text = f"Of {word}s {names} there were too few test cases to measure how well they are predicted."
        yield Statement("too few", "quality", text, len(few), unit="slices", evidence=Evidence("slices"))


def sets(results: Results) -> Statements:
    rows = results.rows("coverage")
    if not rows:
        return
    word, about, whole = things(results.facts["loss"]["molecular"])["graph"], results.facts["sets"], rows[0]
    (least, most), share = about["expected"], whole["coverage"]
    met = "Not met" if share < least else "Exceeded" if share > most else "Met"
    text = (
        f"Instead of one answer it can return a set of answers that should contain the truth in "
        f"{percent(about['level'])} of all cases. {met}: {_tenth(share)} of the sets of "
        f"{counted(whole['pairs'], word)} outside the training data contain it"
        f"{between(whole['low'], whole['high'], _tenth)}. If the target holds, this share is between {_tenth(least)} "
        f"and {_tenth(most)} in 95 % of all trials."
    )
    figures, facts = (share, whole["low"], whole["high"]), {"met": met}
    yield Statement("sets hold the truth", "quality", text, *figures, "share", Evidence("coverage", 0), facts=facts)
    text = (
        f"A set has {figure(whole['mean_size'])} {word}s on average. In {percent(whole['empty'])} of all cases no "
        f"{word} "
        f"is near enough, in {percent(whole['large'])} more than {about['most']} are; then the answer is “unsure”, "
        "and a person must decide."
    )
    unit = f"{word}s"
    yield Statement("size of sets", "quality", text, whole["mean_size"], unit=unit, evidence=Evidence("coverage", 0))
    enough = [(number, row) for number, row in enumerate(rows) if number and not row["few"]]
    if enough:
        number, row = min(enough, key=lambda numbered: numbered[1]["coverage"])
        text = (
            f"The target is for all {word}s together, not for each kind: for those {row['slice']} the set contains "
            "the "
            f"truth in {percent(row['coverage'])} of {row['pairs']:,}{between(row['low'], row['high'], percent)}, "
            "the lowest share of any kind."
        )
        figures = row["coverage"], row["low"], row["high"]
        yield Statement("sets hold the truth least", "quality", text, *figures, "share", Evidence("coverage", number))


def _tenth(share: float) -> str:
    return f"{100 * share:.1f} %"


def cost(results: Results) -> Statements:
    rows = results.rows("costs")
    if not rows:
        return
    about = results.facts["costs"]
    best = max(range(len(rows)), key=lambda n: (rows[n]["exact"], -rows[n]["milliseconds"]))
    near = [n for n, row in enumerate(rows) if row["high"] >= rows[best]["exact"]]
    quick = min(near, key=lambda n: rows[n]["milliseconds"])
    row, top = rows[quick], rows[best]
    text = (
        f"One prediction from {about['from']} takes {figure(row['milliseconds'])} ms on "
        f"{counted(about['threads'], 'processor core')} with “{row['way']}”: the quickest decoder whose share of "
        "exact "
        f"answers, {percent(row['exact'])} of {row['count']}{between(row['low'], row['high'], percent)}, cannot be "
        "told from the best."
    )
    yield Statement("milliseconds", "cost", text, row["milliseconds"], unit="ms", evidence=Evidence("costs", quick))
    if top["milliseconds"] / max(row["milliseconds"], 1e-9) > TWICE:
        text = (
            f"The best, “{top['way']}”, finds {percent(top['exact'])}{between(top['low'], top['high'], percent)} and "
            f"takes {figure(top['milliseconds'])} ms."
        )
        key, evidence = "milliseconds of the best", Evidence("costs", best)
        yield Statement(key, "cost", text, top["milliseconds"], unit="ms", evidence=evidence)


def origin(results: Results) -> Statements:
    data, trained = results.facts["data"], results.facts["trained"]
    word, on = things(results.facts["loss"]["molecular"])["graph"], data["trained_on"]
    if on:
        left = sum(on.get("skipped", {}).values())
        text = (
            f"The loss was learned from “{on['name']}”: {on['rows']:,} rows, of which {on['train']:,} were used for "
            f"training, {on['validation']:,} for validation and {on['test']:,} for tests; {left:,} were left out."
        )
        yield Statement("data", "origin", text, on["train"], unit=f"{word}s", evidence=Evidence("data"))
    else:
        yield Statement("data", "origin", "The artifact does not record which data the loss was learned from.",
                        evidence=Evidence("data"))  # fmt: skip
    if data["now"]:
        same = {
            True: "are the data it was learned from (equal digests)",
            False: "are not the data it was learned from",
            None: "may or may not be the data it was learned from: the artifact has no digest",
        }[data["now"]["same"]]
        text, facts = f"The data of this card, “{data['now']['name']}”, {same}.", {"same": data["now"]["same"]}
        yield Statement("same data", "origin", text, evidence=Evidence("data"), facts=facts)
    by, seed = trained["by"], trained["seed"]
    known = [f" by {by['by']}" if by.get("by") else "", f" on {by['at']}" if by.get("at") else ""]
    unknown = joined([name for name, words in zip(("by whom", "when"), known) if not words])
    text = f"It was trained{''.join(known)} with {'an unknown seed' if seed is None else f'seed {seed}'}"
    text += f"; the artifact does not record {unknown}." if unknown else "."
    facts = {"by": by.get("by"), "at": by.get("at"), "seed": seed}
    yield Statement("trained", "origin", text, evidence=Evidence("training"), facts=facts)


def rules(results: Results) -> Statements:
    correction = results.facts["trained"]["correction"]
    if not correction:
        text = "No rules were given to this loss: nobody corrected what it learned."
        yield Statement("rules", "rules", text, evidence=Evidence("training"))
        return
    report, many = correction["report"], correction["judgements"]["count"]
    some = [(len(correction["rules"]), "rule"), (many, "judgment")]
    given = joined([counted(number, noun) for number, noun in some if number])
    held = sum(row["after_says"] == "holds" for row in report["rules"])
    kept = f" Of the rules {held} of {len(report['rules'])} hold on held-out graphs." if report["rules"] else ""
    text = f"The loss was corrected by {given}.{kept}"
    yield Statement("rules", "rules", text, held, unit="rules", evidence=Evidence("rules"))
    lines, judged = iter(report["says"]), [row for row in report["judgements"] if row["judgements"]]
    for number, row in enumerate(report["rules"]):
        figures = [_number(row[name]) for name in ("after", "after_low", "after_high")]
        yield Statement(f"rule: {row['rule']}", "rules", next(lines), *figures, "figure of the rule",
                        Evidence("rules", number), facts={"holds": row["after_says"]})  # fmt: skip
    for row in judged:
        figures = [_number(row[name]) for name in ("after", "low", "high")]
        key = f"judgements {row['which']}"
        yield Statement(key, "rules", next(lines), *figures, "share", Evidence("rules"))
    for number, row in enumerate(report["costs"]):
        yield Statement(f"cost of the rules: {row['measure']}", "rules", next(lines), _number(row["after"]),
                        unit=row["unit"], evidence=Evidence("corrected", number))  # fmt: skip
    for number, line in enumerate(lines):
        yield Statement(f"correction: {number}", "rules", line, evidence=Evidence("corrected"), facts={"note": line})


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def trainings(results: Results) -> Statements:
    rows, word = results.rows("stability"), things(results.facts["loss"]["molecular"])["graph"]
    if rows:
        of, holds = max(row["of"] for row in rows), sum(bool(row["stable"]) for row in rows)
        text = f"{holds} of {counted(len(rows), 'statement')} that were checked hold in all of {of} trainings."
        yield Statement("stable", "stability", text, holds, unit="statements", evidence=Evidence("stability"))
    if near := results.facts.get("neighbors"):
        text = (
            f"Of the {near['k']} nearest neighbors of a {word}, {percent(near['kept'])} are the same in another "
            f"training (by chance: {percent(near['chance'])}), on average over {counted(near['trainings'], 'repeat')}"
            f"{between(near['low'], near['high'], percent)}."
        )
        yield Statement("neighbors kept", "stability", text, near["kept"], near["low"], near["high"], "share",
                        Evidence("stability"))  # fmt: skip


MAKERS = (predictions, sets, cost, origin, rules, trainings)
