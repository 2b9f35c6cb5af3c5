"""Statements about the loss itself: what it rewards, what it cannot see, what it encodes."""

import math

from elekit.audit.concepts import CLOSE, Mark
from elekit.audit.findings import Severity
from elekit.card.phrases import (
    AGREEMENT,
    SMALL,
    agreement_level,
    between,
    counted,
    ends_of,
    figure,
    joined,
    percent,
    phrases_of,
    property_names,
    things,
)
from elekit.card.results import Results
from elekit.card.statement import Evidence, Statement, Statements, stability_of
from elekit.card.texts import TEXTS

EQUALS = {  # two forms of one graph, by the reason of `elekit.audit.blind_spots.invariance_gaps`
    "node order": "with its {node}s numbered in another order",
    "padding": "with empty slots added",
    "repeated": "evaluated twice",
    "batch": "evaluated alone instead of in a batch",
    "Kekule form": "with the double bonds of an aromatic ring drawn the other way round",
}
DEPENDS = {  # columns of the price list, and what they stand for
    "by_size": "how large the {graph} is",
    "by_ring": "whether it happens on a ring",
    "by_degree": "how many {edge}s meet there",
}
EXPLAINED = 0.2  # of the differences in price, from which on a property is mentioned
DISTANCES = {"edit distance": "edit distance"}  # names of distances that need no noun
PAIRS = {
    "random pairs": "random pairs of {graph}s",
    "nearest neighbors": "pairs of nearest neighbors",
    "walks of edits": "pairs a few changes apart",
}
MARKS = {  # of `elekit.audit.concepts`
    Mark.ENCODED: "can be read off its points, beyond what sizes and counts tell",
    Mark.BY_COUNTS: "can be read off its points, but only as far as sizes and counts tell",
    Mark.WEAK: "can be read off its points weakly",
    Mark.NOT_ENCODED: "could not be read off its points",
}


def purpose(results: Results) -> Statements:
    loss, scale, data = results.facts["loss"], results.facts.get("scale"), results.facts["data"]
    word, on = things(loss["molecular"]), data["trained_on"]
    names = f"{joined(loss['node_labels'])} tied by {joined(loss['edge_labels'], 'or')} {word['edge']}s"
    text = (
        f"The loss “{loss['name']}” measures how wrong one {word['graph']} is in place of another. It accepts "
        f"{word['graph']}s of up to {counted(loss['max_nodes'], word['node'])}: {names}. It refuses anything else."
    )
    labels = {name: loss[name] for name in ("node_labels", "edge_labels")}
    unit = f"{word['node']}s"
    yield Statement(
        "purpose", "purpose", text, loss["max_nodes"], unit=unit, evidence=Evidence("scale"), facts=labels
    )
    if on.get("train"):
        text = (
            f"It was learned from {counted(on['train'], word['graph'])} alone, without labels that say which are "
            "similar: from examples, not from a written rule."
        )
        unit = f"{word['graph']}s"
        yield Statement("learned from", "purpose", text, on["train"], unit=unit, evidence=Evidence("data"))
    if scale:
        text = (
            f"Its unit: 0 means the same {word['graph']}, a typical single change costs {figure(scale['typical'])}, "
            f"two unrelated {word['graph']}s are {figure(scale['far'])} apart on average, and 4 is the maximum."
        )
        yield Statement("typical price", "purpose", text, scale["typical"], unit="loss", evidence=Evidence("scale"))


def prices(results: Results) -> Statements:
    rows = results.rows("prices")
    typical, phrases = results.facts.get("scale", {}).get("typical"), phrases_of(results.facts["loss"])
    word = things(results.facts["loss"]["molecular"])
    dear, cheap = ends_of(rows)
    for number, row in enumerate(rows):
        what, ratio, key = phrases[row["kind"]], row["median"] / typical, f"price of {row['kind']}"
        section = "dear" if number in dear else "cheap" if number in cheap else "other prices"
        sure = between(row["low"], row["high"]) or ", from too few graphs for an interval"
        times = "as much as a typical change" if 0.95 <= ratio <= 1.05 else f"{ratio:.1f} times a typical change"
        text = (
            f"{what[0].upper()}{what[1:]} costs {figure(row['median'])}{sure}, {times}; nine in ten cost between "
            f"{figure(row['q05'])} and {figure(row['q95'])}."
        )
        text += f" That is {row['mark']}." if row["mark"] else ""
        # the property that explains most of the differences in price within a kind; nan compares false
        share, trait = max(((row[name], name) for name in DEPENDS if row[name] >= EXPLAINED), default=(0.0, None))
        if trait is not None:
            text += f" It depends on {DEPENDS[trait].format(**word)} ({percent(share)} of the differences)."
        facts = {"typical_changes": ratio, "depends_on": trait}
        yield Statement(key, section, text, row["median"], row["low"], row["high"], "loss",
                        Evidence("prices", number), stability_of(results, key), facts=facts)  # fmt: skip


def findings(results: Results) -> Statements:
    if "findings" not in results.tables:
        return
    rows, about = results.rows("findings"), results.facts["findings"]
    word = things(results.facts["loss"]["molecular"])["graph"]
    defects = sum(row["severity"] == Severity.DEFECT for row in rows)
    checks, over = (
        counted(len(TEXTS["checks"]), "check"),
        f"on {counted(about['graphs'], word)} and thousands of changes to them",
    )
    text = (
        f"The {checks} for what no sound loss does, {over}, found {counted(defects, 'defect')}."
        if defects
        else f"None of the {checks} for what no sound loss does, {over}, found a defect."
    )
    if not about["held_out"]:
        text += f" Whether it treats unknown {word}s differently was not checked: there were none."
    yield Statement("defects", "findings", text, defects, unit="defects", evidence=Evidence("findings"),
                    stability=stability_of(results, "defects"), facts={"checks": len(TEXTS["checks"])})  # fmt: skip
    for number, row in enumerate(rows):
        key, defect = f"finding: {row['name']}", row["severity"] == Severity.DEFECT
        text = f"{'Defect' if defect else 'Note'}: {row['description']}"
        yield Statement(key, "findings", text, row["strength"], unit="strength",
                        evidence=Evidence("findings", number), stability=stability_of(results, key),
                        defect=defect)  # fmt: skip


def blind_spots(results: Results) -> Statements:
    if "blind_spots" not in results.tables:
        return
    rows, about = results.rows("blind_spots"), results.facts["blind_spots"]
    word = things(results.facts["loss"]["molecular"])["graph"]
    where = f"among {counted(about['searched'], word)} and by a search from {about['starts']} of them"
    text = (
        f"{counted(len(rows), 'pair')} of different {word}s that the loss hardly separates (less than a twentieth of "
        f"a typical change) {'was' if len(rows) == 1 else 'were'} found, {where}."
        if rows
        else f"No pair of different {word}s that the loss hardly separates was found, {where}."
    )
    yield Statement("blind spots", "blind", text, len(rows), unit="pairs", evidence=Evidence("blind_spots"),
                    stability=stability_of(results, "blind spots"))  # fmt: skip
    for picture in results.pictures.get("blind_spots", []):
        row, key = rows[picture["row"]], f"blind to {rows[picture['row']]['differs']}"
        edits = counted(int(row["edits"]), "change") + ("" if row["proven"] else ", perhaps fewer,")
        alike = sum(other["differs"] == row["differs"] for other in rows)
        text = (
            f"{row['graph']} and {row['other']} are {edits} apart ({row['differs']}), and the loss between them is "
            f"{figure(row['loss'])}. {counted(alike, 'pair')} found {'differs' if alike == 1 else 'differ'} in this "
            "way."
        )
        yield Statement(key, "blind", text, row["loss"], unit="loss",
                        evidence=Evidence("blind_spots", picture["row"]),
                        stability=stability_of(results, key))  # fmt: skip


def equals(results: Results) -> Statements:
    word, scale = things(results.facts["loss"]["molecular"]), results.facts.get("scale")
    for number, row in enumerate(results.rows("equals")):
        how, many = EQUALS[row["why"]].format(**word), counted(row["graphs"], word["graph"])
        separated = row["most"] > SMALL * scale["typical"] if scale else row["most"] > 1e-6
        if separated:
            text = (
                f"The same {word['graph']}, {how}, costs up to {figure(row['most'])} (median {figure(row['median'])} "
                f"over {many}), where it should cost 0."
            )
            figures = row["median"], row["low"], row["high"]
        else:
            text = f"The same {word['graph']}, {how}, costs nothing, as it should ({many} tried)."
            figures = 0.0, math.nan, math.nan
        key = f"equal: {row['why']}"
        evidence, stability = Evidence("equals", number), stability_of(results, key)
        yield Statement(key, "equals", text, *figures, "loss", evidence, stability)


def agreement(results: Results) -> Statements:
    word = things(results.facts["loss"]["molecular"])["graph"]
    for number, row in enumerate(results.rows("agreement")):
        if not math.isfinite(row["spearman"]):
            continue
        unknown = f" ({counted(row['unknown'], 'pair')} more had no distance)" if row["unknown"] else ""
        name = DISTANCES.get(row["distance"], f"{row['distance']} distance")
        pairs = PAIRS.get(row["kind"], "pairs ({kind}) of {graph}s").format(kind=row["kind"], graph=word)
        order = AGREEMENT[agreement_level(row["spearman"])][1].format(pairs=f"{row['pairs']} {pairs}{unknown}")
        text = (
            f"The loss and the {name} {order}: rank correlation "
            f"{row['spearman']:.2f}{between(row['low'], row['high'], '{:.2f}'.format)}."
        )
        key = f"agreement with {row['distance']}, {row['kind']}"
        first = row["distance"] == "edit distance" or row["kind"] == "random pairs"
        yield Statement(key, "agreement" if first else "other pairs", text, row["spearman"], row["low"], row["high"],
                        "rank correlation", Evidence("agreement", number), stability_of(results, key))  # fmt: skip
    for number, row in enumerate(results.rows("disagreements")):
        key = f"disagreement: {row['distance']}, {row['graph']}, {row['other']}"
        text, evidence = f"{row['graph']} and {row['other']}: {row['description']}", Evidence("disagreements", number)
        yield Statement(key, "disagreements", text, row["gap"], unit="gap of ranks", evidence=evidence)


def concepts(results: Results) -> Statements:
    rows, names = results.rows("concepts"), property_names(results.facts["loss"])
    for mark, words in MARKS.items():
        some = [names.get(row["property"], row["property"]) for row in rows if row["mark"] == mark]
        if some:
            key = f"concepts {mark}"
            text = f"{len(some):,} {'property' if len(some) == 1 else 'properties'} {words}: {joined(some)}."
            yield Statement(key, "concepts", text, len(some), unit="properties", evidence=Evidence("concepts"),
                            stability=stability_of(results, key))  # fmt: skip
    compared = [
        row for row in rows if row["mark"] in (Mark.ENCODED, Mark.BY_COUNTS) and row["untrained"] == row["untrained"]
    ]
    if compared:
        alike = sum(row["untrained"] >= row["score"] - CLOSE for row in compared)
        text = (
            f"A network with random weights shows {alike} of {'these' if len(compared) > 1 else 'this'} "
            f"{len(compared)} "
            "about as well: that a property can be read off does not mean that it was learned, nor that it matters "
            "much to the loss."
        )
        evidence = Evidence("concepts")
        yield Statement("concepts untrained", "concepts", text, alike, unit="properties", evidence=evidence)
    for number, row in enumerate(rows):
        yield Statement(f"concept: {row['property']}", "each concept", row["description"], row["score"],
                        row["low"], row["high"], "score", Evidence("concepts", number),
                        facts={"mark": row["mark"]})  # fmt: skip


def faithfulness(results: Results) -> Statements:
    for number, row in enumerate(results.rows("faithfulness")):
        does = "removing parts" if row["curve"] == "deletion" else "adding parts"
        key, evidence = f"faithful: {row['of']}, {row['curve']}", Evidence("faithfulness", number)
        if row["method"] == "shares":
            better = "better than" if row["low"] > 0 else "worse than" if row["high"] < 0 else "not told apart from"
            text = (
                f"On {row['pairs']} {row['of']} pairs, {does} in the order of their shares is {better} a random "
                f"order, by {figure(row['area'])} of 2{between(row['low'], row['high'])}."
            )
            yield Statement(key, "faithfulness", text, row["area"], row["low"], row["high"], "area", evidence,
                            stability_of(results, key))  # fmt: skip
        elif row["method"] == "gradient magnitude":
            key += ", against gradients"
            text = (
                f"Compared with the size of gradients on these pairs: {row['says']}; on {percent(row['wins'])} of "
                "the pairs shares are ahead."
            )
            yield Statement(key, "faithfulness", text, row["ahead"], row["ahead_low"], row["ahead_high"], "area",
                            evidence, stability_of(results, key))  # fmt: skip


MAKERS = (purpose, prices, findings, blind_spots, equals, agreement, concepts, faithfulness)
