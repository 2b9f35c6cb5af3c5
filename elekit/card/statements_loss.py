"""Statements about the loss itself: what it rewards, what it cannot see, what it encodes."""

import math

from elekit.audit.concepts import CLOSE, Mark
from elekit.audit.findings import Severity
from elekit.card.phrases import SMALL, agreement_levels, edit_phrases, ends_of, property_names
from elekit.card.results import Results
from elekit.card.statement import Statements, Writer, interval
from elekit.card.texts import TEXTS

TRAITS = ("by_size", "by_ring", "by_degree")  # columns of the price list: what explains the differences of a kind
EXPLAINED = 0.2  # of the differences in price, from which on a trait is mentioned
SHOWN = (Mark.ENCODED, Mark.BY_COUNTS, Mark.WEAK, Mark.NOT_ENCODED)


def purpose(results: Results, write: Writer) -> Statements:
    loss, scale, on = results.facts["loss"], results.facts.get("scale"), results.facts["data"]["trained_on"]
    labels = {name: loss[name] for name in ("node_labels", "edge_labels")}
    yield write("purpose", loss["max_nodes"], facts=labels, predictors=len(loss.get("surrogates", ())))
    if on.get("train"):
        yield write("learned from", on["train"])
    if scale:
        yield write("typical price", scale["typical"], far=scale["far"])


def prices(results: Results, write: Writer) -> Statements:
    rows, phrases = results.rows("prices"), edit_phrases(results.facts["loss"])
    dear, cheap = ends_of(rows)
    for number, row in enumerate(rows):
        # the trait that explains most of the differences in price within a kind; nan compares false
        _, trait = max(((row[name], name) for name in TRAITS if row[name] >= EXPLAINED), default=(0.0, None))
        facts = {"typical_changes": row["median"] / results.facts["scale"]["typical"], "depends_on": trait}
        section = "dear" if number in dear else "cheap" if number in cheap else "other prices"
        phrase = phrases.get(row["kind"], row["kind"])
        yield write("price", interval(row, "median"), number, facts=facts, row=row, section=section, phrase=phrase)


def findings(results: Results, write: Writer) -> Statements:
    if "findings" not in results.tables:
        return
    rows, about = results.rows("findings"), results.facts["findings"]
    defects = [row["severity"] == Severity.DEFECT for row in rows]
    yield write("defects", sum(defects), facts={"checks": len(TEXTS["checks"])}, about=about)
    for number, (row, defect) in enumerate(zip(rows, defects)):
        yield write("finding", row["strength"], number, defect=defect, row=row)


def blind_spots(results: Results, write: Writer) -> Statements:
    if "blind_spots" not in results.tables:
        return
    rows = results.rows("blind_spots")
    yield write("blind spots", len(rows), about=results.facts["blind_spots"])
    for number in [picture["row"] for picture in results.pictures.get("blind_spots", [])]:
        row = rows[number]
        alike = sum(other["differs"] == row["differs"] for other in rows)
        yield write("blind spot", row["loss"], number, row=row, alike=alike)


def equals(results: Results, write: Writer) -> Statements:
    scale = results.facts.get("scale")
    for number, row in enumerate(results.rows("equals")):
        separated = row["most"] > (SMALL * scale["typical"] if scale else 1e-6)
        yield write("equal", interval(row, "median") if separated else 0.0, number, row=row, separated=separated)


def agreement(results: Results, write: Writer) -> Statements:
    for number, row in enumerate(results.rows("agreement")):
        if math.isfinite(row["spearman"]):
            levels = agreement_levels(row)
            yield write("agreement", interval(row, "spearman"), number, row=row, levels=levels)
    for number, row in enumerate(results.rows("disagreements")):
        yield write("disagreement", row["gap"], number, row=row)


def concepts(results: Results, write: Writer) -> Statements:
    rows, names = results.rows("concepts"), property_names(results.facts["loss"])
    for mark in SHOWN:
        if some := [names.get(row["property"], row["property"]) for row in rows if row["mark"] == mark]:
            yield write("concepts", len(some), mark=mark, names=some)
    encoded = [row for row in rows if row["mark"] in (Mark.ENCODED, Mark.BY_COUNTS)]
    if compared := [row for row in encoded if math.isfinite(row["untrained"])]:
        alike = sum(row["untrained"] >= row["score"] - CLOSE for row in compared)
        yield write("concepts untrained", alike, compared=len(compared))
    for number, row in enumerate(rows):
        name, facts = names.get(row["property"], row["property"]), {"mark": row["mark"]}
        yield write("concept", row["score"], number, facts=facts, row=row, name=name)


def faithfulness(results: Results, write: Writer) -> Statements:
    for number, row in enumerate(results.rows("faithfulness")):
        if row["method"] == "shares":
            yield write("faithful", interval(row, "area"), number, row=row)
        elif row["method"] == "gradient magnitude":
            yield write("faithful against gradients", interval(row, "ahead"), number, row=row)


MAKERS = (purpose, prices, findings, blind_spots, equals, agreement, concepts, faithfulness)
