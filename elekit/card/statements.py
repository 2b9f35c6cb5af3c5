"""Every sentence that a card says about its loss, made from what was measured and from nothing else."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from elekit.card.measured import Measured, plain_values
from elekit.card.wording import (
    CHECKS,
    SMALL,
    between,
    counted,
    ends_of,
    figure,
    how_far,
    joined,
    percent,
    phrases_of,
    property_in_words,
    things,
)

NOT_CHECKED = "not checked: no repeats"
TWICE = 2.0  # times as long as the quickest way: otherwise the slower one is not worth a word


@dataclass(frozen=True)
class Statement:
    """One sentence about a loss.

    key: the same from release to release, so that two cards can be compared. section: where it stands. says: the
    sentence. value, low, high: its main figure with its 95 % interval, nan where there is none. unit: of them, such
    as "loss" or "share". stable: whether it holds in other trainings, in words, "" where that cannot be asked.
    evidence: the table, and the row of it, that the figures come from ("prices-3").
    """

    key: str
    section: str
    says: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    unit: str = ""
    stable: str = ""
    evidence: str = ""

    def to_json(self) -> dict:
        return plain_values(asdict(self))

    @classmethod
    def from_json(cls, fields: dict) -> "Statement":
        return cls(**{k: math.nan if v is None else v for k, v in fields.items()})


SPEAKERS: list[Callable[[Measured], Iterator[Statement]]] = []
"""What makes statements, in the order of the card."""


def speaker(function):
    """Puts a function into SPEAKERS."""
    SPEAKERS.append(function)
    return function


def statements(measured: Measured) -> list[Statement]:
    """Everything that may be said of what was measured."""
    return [statement for speak in SPEAKERS for statement in speak(measured)]


def mark(measured: Measured, key: str) -> str:
    """In how many trainings a claim holds, in words."""
    for row in measured.rows("stability"):
        if row["claim"] == key:
            what = measured.facts["claims"][key]
            return f"holds in {row['holds']} of {row['of']} trainings" + (f" ({what})" if what else "")
    return "not checked in other trainings" if "stability" in measured.tables else NOT_CHECKED


@speaker
def purpose(measured: Measured) -> Iterator[Statement]:
    loss, scale, data = measured.facts["loss"], measured.facts.get("scale"), measured.facts["data"]
    word = things(loss["molecular"])
    names = f"{joined(loss['node_labels'])} tied by {joined(loss['edge_labels'], 'or')} {word['edge']}s"
    says = (
        f"The loss “{loss['name']}” says how wrong one {word['graph']} is in place of another. It knows {word['graph']}s of up "
        f"to {counted(loss['max_nodes'], word['node'])}: {names}. Anything else it refuses."
    )
    yield Statement("purpose", "purpose", says, loss["max_nodes"], unit=f"{word['node']}s", evidence="scale")
    on = data["trained_on"]
    if on.get("train"):
        says = (
            f"It was learned from {counted(on['train'], word['graph'])} alone, without anybody saying which are alike: "
            "from examples, not from a written rule."
        )
        yield Statement("learned from", "purpose", says, on["train"], unit=f"{word['graph']}s", evidence="data")
    if scale:
        says = (
            f"Its unit: 0 means the same {word['graph']}, a typical single change costs {figure(scale['typical'])}, two unrelated "
            f"{word['graph']}s lie {figure(scale['far'])} apart on average; 4 is the most there is."
        )
        yield Statement("typical price", "purpose", says, scale["typical"], unit="loss", evidence="scale")


@speaker
def rewards(measured: Measured) -> Iterator[Statement]:
    rows = measured.rows("prices")
    typical = measured.facts.get("scale", {}).get("typical")
    dear, cheap = ends_of(rows)
    for row, kind in enumerate(rows):
        section = "dear" if row in dear else "cheap" if row in cheap else "other prices"
        yield _price(measured, row, kind, section, typical)


def _price(measured: Measured, row: int, kind: dict, section: str, typical: float) -> Statement:
    what, ratio = phrases_of(measured.facts["loss"])[kind["kind"]], kind["median"] / typical
    sure = between(kind["low"], kind["high"])
    times = "as much as a typical change" if 0.95 <= ratio <= 1.05 else f"{ratio:.1f} times a typical change"
    says = (
        f"{what[0].upper()}{what[1:]} costs {figure(kind['median'])}{sure or ', from too few graphs for an interval'}, "
        f"{times}; nine in ten cost between {figure(kind['q05'])} and {figure(kind['q95'])}."
    )
    trait = _depends(kind, things(measured.facts["loss"]["molecular"]))
    if kind["mark"]:
        says += f" That is {kind['mark']}."
    key = f"price of {kind['kind']}"
    return Statement(
        key, section, says + trait, kind["median"], kind["low"], kind["high"], "loss", mark(measured, key), f"prices-{row}"
    )


def _depends(kind: dict, word: dict[str, str]) -> str:
    """What explains at least a fifth of the differences in price within a kind."""
    names = {
        "by_size": f"how large the {word['graph']} is",
        "by_ring": "whether it happens on a ring",
        "by_degree": f"how many {word['edge']}s meet there",
    }
    found = [(kind[trait], words) for trait, words in names.items() if kind[trait] >= 0.2]  # nan compares false
    return "".join(f" It depends on {words} ({percent(share)} of the differences)." for share, words in sorted(found)[::-1][:1])


@speaker
def wrong(measured: Measured) -> Iterator[Statement]:
    if "findings" not in measured.tables:
        return
    rows, asked = measured.rows("findings"), measured.facts["findings"]
    defects = sum(row["severity"] == "defect" for row in rows)
    word = things(measured.facts["loss"]["molecular"])["graph"]
    held = "" if asked["held_out"] else f" Whether it treats unknown {word}s otherwise was not asked: there were none."
    over = f"over {counted(asked['graphs'], word)} and thousands of changes to them"
    asked_for = counted(len(CHECKS), "check")
    if defects:
        says = f"The {asked_for} for what no sound loss does, {over}, found {counted(defects, 'defect')}.{held}"
    else:
        says = f"None of the {asked_for} for what no sound loss does, {over}, found a defect.{held}"
    yield Statement("defects", "findings", says, defects, unit="defects", stable=mark(measured, "defects"), evidence="findings")
    for number, row in enumerate(rows):
        key, kind = f"finding: {row['what']}", "Defect" if row["severity"] == "defect" else "Good to know"
        yield Statement(
            key, "findings", f"{kind}: {row['says']}", row["strength"], unit="strength", stable=mark(measured, key),
            evidence=f"findings-{number}",
        )  # fmt: skip


@speaker
def unseen(measured: Measured) -> Iterator[Statement]:
    if "blind_spots" not in measured.tables:
        return
    rows, asked = measured.rows("blind_spots"), measured.facts["blind_spots"]
    word = things(measured.facts["loss"]["molecular"])["graph"]
    where = f"among {counted(asked['searched'], word)} and by search from {asked['starts']} of them"
    if rows:
        says = (
            f"{counted(len(rows), 'pair')} of different {word}s that the loss hardly tells apart (less than a twentieth of a "
            f"typical change) {'was' if len(rows) == 1 else 'were'} found, {where}."
        )
    else:
        says = f"No two different {word}s that the loss hardly tells apart were found, {where}."
    yield Statement(
        "blind spots", "blind", says, len(rows), unit="pairs", stable=mark(measured, "blind spots"), evidence="blind_spots"
    )
    for picture in measured.pictures.get("blind_spots", []):
        row, of = rows[picture["row"]], picture["row"]
        edits = counted(int(row["edits"]), "change") + ("" if row["proven"] else ", perhaps fewer,")
        alike = sum(other["differs"] == row["differs"] for other in rows)
        says = (
            f"{row['graph']} and {row['other']} are {edits} apart ({row['differs']}), and the loss between them is "
            f"{figure(row['loss'])}. {counted(alike, 'pair')} found {'differs' if alike == 1 else 'differ'} in this way."
        )
        key = f"blind to {row['differs']}"
        yield Statement(key, "blind", says, row["loss"], unit="loss", stable=mark(measured, key), evidence=f"blind_spots-{of}")


EQUALS = {
    "node order": "with its {node}s numbered in another order",
    "padding": "with empty places added",
    "asked twice": "asked again",
    "company": "asked alone instead of among others",
    "Kekule form": "with the double bonds of an aromatic ring drawn the other way round",
}


@speaker
def same(measured: Measured) -> Iterator[Statement]:
    word, scale = things(measured.facts["loss"]["molecular"]), measured.facts.get("scale")
    for number, row in enumerate(measured.rows("equals")):
        how = EQUALS[row["why"]].format(**word)
        many = counted(row["graphs"], word["graph"])
        apart = row["most"] > SMALL * scale["typical"] if scale else row["most"] > 1e-6
        if apart:
            says = (
                f"The same {word['graph']}, {how}, costs up to {figure(row['most'])} (median {figure(row['median'])} over "
                f"{many}), where it should cost 0."
            )
        else:
            says = f"The same {word['graph']}, {how}, costs nothing, as it should ({many} tried)."
        key = f"equal: {row['why']}"
        shown = {"value": row["median"], "low": row["low"], "high": row["high"]} if apart else {"value": 0.0}
        yield Statement(key, "equals", says, **shown, unit="loss", stable=mark(measured, key), evidence=f"equals-{number}")


KINDS_OF_PAIRS = {
    "random pairs": "random pairs of {graph}s",
    "nearest neighbours": "pairs of nearest neighbours",
    "walks of edits": "pairs a few changes apart",
}


@speaker
def agrees(measured: Measured) -> Iterator[Statement]:
    word = things(measured.facts["loss"]["molecular"])["graph"]
    for number, row in enumerate(measured.rows("agreement")):
        if not math.isfinite(row["spearman"]):
            continue
        unknown = f" ({counted(row['unknown'], 'pair')} more had no distance)" if row["unknown"] else ""
        name = row["distance"] + ("" if "distance" in row["distance"] else " distance")
        pairs = KINDS_OF_PAIRS.get(row["kind"], "pairs ({kind}) of {graph}s").format(kind=row["kind"], graph=word)
        far = how_far(row["spearman"]).format(pairs=f"{row['pairs']} {pairs}{unknown}")
        says = (
            f"The loss and the {name} {far}: rank correlation "
            f"{row['spearman']:.2f}{between(row['low'], row['high'], '{:.2f}'.format)}."
        )
        key = f"agreement with {row['distance']}, {row['kind']}"
        section = "agreement" if row["distance"] == "edit distance" or row["kind"] == "random pairs" else "other pairs"
        yield Statement(key, section, says, row["spearman"], row["low"], row["high"], "rank correlation", mark(measured, key),
                        f"agreement-{number}")  # fmt: skip
    for number, row in enumerate(measured.rows("disagreements")):
        key = f"disagreement: {row['distance']}, {row['graph']}, {row['other']}"
        says = f"{row['graph']} and {row['other']}: {row['says']}"
        yield Statement(key, "disagreements", says, row["gap"], unit="gap of ranks", evidence=f"disagreements-{number}")




@speaker
def encodes(measured: Measured) -> Iterator[Statement]:
    rows, word = measured.rows("concepts"), things(measured.facts["loss"]["molecular"])
    for mark_, words in (
        ("encoded", "can be read off its points, beyond what sizes and counts tell"),
        ("encoded, but only as far as size and counts tell", "can be read off its points, but only as far as sizes and counts tell"),
        ("weakly encoded", "can be read off its points weakly"),
        ("not encoded", "could not be read off its points"),
    ):
        some = [property_in_words(row["property"], word) for row in rows if row["mark"] == mark_]
        if some:
            says = f"{counted(len(some), 'property').replace('propertys', 'properties')} {words}: {joined(some)}."
            key = f"concepts {mark_}"
            yield Statement(key, "concepts", says, len(some), unit="properties", stable=mark(measured, key), evidence="concepts")
    for number, row in enumerate(rows):
        yield Statement(f"concept: {row['property']}", "each concept", row["says"], row["score"], row["low"], row["high"],
                        "score", evidence=f"concepts-{number}")  # fmt: skip


@speaker
def faithful(measured: Measured) -> Iterator[Statement]:
    for number, row in enumerate(measured.rows("faithfulness")):
        does = "taking parts away" if row["curve"] == "deletion" else "putting parts together"
        key, evidence = f"faithful: {row['of']}, {row['curve']}", f"faithfulness-{number}"
        if row["method"] == "shares":
            better = "better than" if row["low"] > 0 else "worse than" if row["high"] < 0 else "not told apart from"
            says = (
                f"On {row['pairs']} {row['of']} pairs, {does} in the order of their shares is {better} a random order, by "
                f"{figure(row['area'])} of 2{between(row['low'], row['high'])}."
            )
            yield Statement(key, "faithfulness", says, row["area"], row["low"], row["high"], "area", mark(measured, key), evidence)
        elif row["method"] == "gradient magnitude":
            key += ", against gradients"
            says = f"Held against the size of gradients there: {row['says']}; on {percent(row['wins'])} of the pairs shares are ahead."
            yield Statement(key, "faithfulness", says, row["ahead"], row["ahead_low"], row["ahead_high"], "area",
                            mark(measured, key), evidence)  # fmt: skip


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
        yield Statement("exact", "quality", says, row["exact"], row["low"], row["high"], "share", evidence=f"quality-{number}")
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
        yield Statement("milliseconds of the best", "cost", says, row["milliseconds"], unit="ms", evidence=f"costs-{best}")


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
        says = "The artefact does not say which data the loss was learned from."
        yield Statement("data", "origin", says, evidence="data")
    if data["now"]:
        same = {True: "are the data it was learned from (equal digests)", False: "are other data than it was learned from",
                None: "may or may not be the data it was learned from: the artefact names no digest"}[data["now"]["same"]]  # fmt: skip
        yield Statement("same data", "origin", f"The data asked about here, “{data['now']['name']}”, {same}.", evidence="data")
    by = trained["by"]
    who = f" by {by['by']}" if by.get("by") else ""
    when = f" on {by['at']}" if by.get("at") else ""
    with_seed = f"with seed {trained['seed']}" if trained["seed"] is not None else "with a seed that it does not name"
    unknown = joined([words for words, known in (("by whom", who), ("when", when)) if not known])
    unknown = f"; the artefact does not say {unknown}" if unknown else ""
    yield Statement("trained", "origin", f"It was trained{who}{when} {with_seed}{unknown}.", evidence="training")


@speaker
def rules(measured: Measured) -> Iterator[Statement]:
    correction = measured.facts["trained"]["correction"]
    if not correction:
        yield Statement("rules", "rules", "No rules were given to this loss: nobody corrected what it learned.", evidence="training")
        return
    report, many = correction["report"], correction["judgements"]["count"]
    given = joined([words for words in (counted(len(correction["rules"]), "rule") if correction["rules"] else "",
                                        counted(many, "judgement") if many else "") if words])  # fmt: skip
    held = sum(row["after_says"] == "holds" for row in report["rules"])
    kept = f" Of the rules {held} of {len(report['rules'])} hold on held-out graphs." if report["rules"] else ""
    yield Statement("rules", "rules", f"The loss was corrected by {given}.{kept}", held, unit="rules", evidence="rules")
    lines, judged = list(report["says"]), [row for row in report["judgements"] if row["judgements"]]
    for number, row in enumerate(report["rules"]):
        yield Statement(f"rule: {row['rule']}", "rules", lines.pop(0), _number(row["after"]), _number(row["after_low"]),
                        _number(row["after_high"]), "figure of the rule", evidence=f"rules-{number}")  # fmt: skip
    for row in judged:
        yield Statement(f"judgements {row['which']}", "rules", lines.pop(0), _number(row["after"]), _number(row["low"]),
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
    if near := measured.facts.get("neighbours"):
        says = (
            f"Of the {near['k']} {word}s nearest to one, {percent(near['kept'])} are the same in another training (by chance: "
            f"{percent(near['chance'])}); on average over {counted(near['trainings'], 'repeat')}{between(near['low'], near['high'], percent)}."
        )
        yield Statement("neighbours kept", "stability", says, near["kept"], near["low"], near["high"], "share", evidence="stability")
