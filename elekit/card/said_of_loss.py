"""What a card says of the loss itself: what it rewards, what it cannot see, what it encodes."""

import math
from collections.abc import Iterator

from elekit.audit.concepts import CLOSE
from elekit.card.measured import Measured
from elekit.card.statement import Statement, mark, speaker
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
        key,
        section,
        says + trait,
        kind["median"],
        kind["low"],
        kind["high"],
        "loss",
        mark(measured, key),
        f"prices-{row}",
    )


def _depends(kind: dict, word: dict[str, str]) -> str:
    """What explains at least a fifth of the differences in price within a kind."""
    names = {
        "by_size": f"how large the {word['graph']} is",
        "by_ring": "whether it happens on a ring",
        "by_degree": f"how many {word['edge']}s meet there",
    }
    found = [(kind[trait], words) for trait, words in names.items() if kind[trait] >= 0.2]  # nan compares false
    return "".join(
        f" It depends on {words} ({percent(share)} of the differences)." for share, words in sorted(found)[::-1][:1]
    )


@speaker
def wrong(measured: Measured) -> Iterator[Statement]:
    if "findings" not in measured.tables:
        return
    rows, asked = measured.rows("findings"), measured.facts["findings"]
    defects = sum(row["severity"] == "defect" for row in rows)
    word = things(measured.facts["loss"]["molecular"])["graph"]
    held = (
        "" if asked["held_out"] else f" Whether it treats unknown {word}s otherwise was not asked: there were none."
    )
    over = f"over {counted(asked['graphs'], word)} and thousands of changes to them"
    asked_for = counted(len(CHECKS), "check")
    if defects:
        says = f"The {asked_for} for what no sound loss does, {over}, found {counted(defects, 'defect')}.{held}"
    else:
        says = f"None of the {asked_for} for what no sound loss does, {over}, found a defect.{held}"
    yield Statement(
        "defects", "findings", says, defects, unit="defects", stable=mark(measured, "defects"), evidence="findings"
    )
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
        "blind spots",
        "blind",
        says,
        len(rows),
        unit="pairs",
        stable=mark(measured, "blind spots"),
        evidence="blind_spots",
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
        yield Statement(
            key, "blind", says, row["loss"], unit="loss", stable=mark(measured, key), evidence=f"blind_spots-{of}"
        )


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
        yield Statement(
            key, "equals", says, **shown, unit="loss", stable=mark(measured, key), evidence=f"equals-{number}"
        )


KINDS_OF_PAIRS = {
    "random pairs": "random pairs of {graph}s",
    "nearest neighbors": "pairs of nearest neighbors",
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
        section = (
            "agreement" if row["distance"] == "edit distance" or row["kind"] == "random pairs" else "other pairs"
        )
        yield Statement(key, section, says, row["spearman"], row["low"], row["high"], "rank correlation", mark(measured, key),
                        f"agreement-{number}")  # fmt: skip
    for number, row in enumerate(measured.rows("disagreements")):
        key = f"disagreement: {row['distance']}, {row['graph']}, {row['other']}"
        says = f"{row['graph']} and {row['other']}: {row['says']}"
        yield Statement(
            key, "disagreements", says, row["gap"], unit="gap of ranks", evidence=f"disagreements-{number}"
        )


@speaker
def encodes(measured: Measured) -> Iterator[Statement]:
    rows, word = measured.rows("concepts"), things(measured.facts["loss"]["molecular"])
    for mark_, words in (
        ("encoded", "can be read off its points, beyond what sizes and counts tell"),
        (
            "encoded, but only as far as size and counts tell",
            "can be read off its points, but only as far as sizes and counts tell",
        ),
        ("weakly encoded", "can be read off its points weakly"),
        ("not encoded", "could not be read off its points"),
    ):
        some = [property_in_words(row["property"], word) for row in rows if row["mark"] == mark_]
        if some:
            says = f"{counted(len(some), 'property').replace('propertys', 'properties')} {words}: {joined(some)}."
            key = f"concepts {mark_}"
            yield Statement(
                key, "concepts", says, len(some), unit="properties", stable=mark(measured, key), evidence="concepts"
            )
    told = [row for row in rows if row["mark"].startswith("encoded") and row["untrained"] == row["untrained"]]
    if told:
        alike = sum(row["untrained"] >= row["score"] - CLOSE for row in told)
        says = (
            f"A network with random weights shows {alike} of {'these' if len(told) > 1 else 'this'} {len(told)} about as well: that a "
            "property can be read does not say that it was learned, nor that it weighs much in the loss."
        )
        yield Statement("concepts untrained", "concepts", says, alike, unit="properties", evidence="concepts")
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
            yield Statement(
                key, "faithfulness", says, row["area"], row["low"], row["high"], "area", mark(measured, key), evidence
            )
        elif row["method"] == "gradient magnitude":
            key += ", against gradients"
            says = f"Held against the size of gradients there: {row['says']}; on {percent(row['wins'])} of the pairs shares are ahead."
            yield Statement(key, "faithfulness", says, row["ahead"], row["ahead_low"], row["ahead_high"], "area",
                            mark(measured, key), evidence)  # fmt: skip
