"""The card as one HTML page: no network, no markup from data, and only statements that were measured."""

import base64
import functools
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup

from elekit.card.changes import Changes
from elekit.card.charts import charts
from elekit.card.evidence import cell, table
from elekit.card.glossary import glossary, linked
from elekit.card.results import Results
from elekit.card.statement import Evidence, Statement
from elekit.card.texts import FUNCTIONS, TEXTS
from elekit.draw.svg import bar_svg, graph_svg
from elekit.evaluation.formatting import joined
from elekit.widgets import bundle
from elekit.widgets.page import script_json as json_text

STATIC = Path(__file__).parent / "static"


def render(results: Results, statements: list[Statement], changes: Changes | None = None) -> str:
    """The page as HTML."""
    since = [] if changes is None else [{"key": "changes", "heading": "What changed"}]
    facts = {"measured": results.to_json(), "statements": [statement.to_json() for statement in statements]}
    script = bundle.script(STATIC / "card.js")
    if "</script" in script.lower() or "<!--" in script:
        raise AssertionError("the script of the card would end its script element")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    styles = [bundle.style("stepper.css", "inspector.css"), (STATIC / "card.css").read_text(encoding="utf-8")]
    return _environment().get_template("card.html.j2").render(
        results=results, changes=changes, sections=since + TEXTS["sections"], facts=facts,
        loss=results.facts["loss"], made=results.facts["made"],
        digest=(results.facts["loss"].get("digest") or "")[:16],
        by_section={s.section: [t for t in statements if t.section == s.section] for s in statements},
        blocks=_first_screen(statements),
        policy=f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        script=Markup(script), style=Markup("\n".join(styles)),  # files of this package
        picture=functools.partial(picture, results), table=functools.partial(table, results),
        bar=functools.partial(_bar, results), anchor=functools.partial(_anchor, results),
    )  # fmt: skip


@functools.cache
def _environment() -> jinja2.Environment:
    loader, strict = jinja2.PackageLoader("elekit.card"), jinja2.StrictUndefined
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=strict, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"linked": linked, "script_json": script_json}
    environment.globals.update(
        FUNCTIONS, glossary=glossary, charts=charts, cell=cell, Evidence=Evidence, new_terms=set
    )
    environment.globals["checks"] = joined(TEXTS["checks"], "or")
    return environment


def script_json(value) -> Markup:
    """See `elekit.widgets.page.script_json`."""
    return Markup(json_text(value))  # escaped there


def picture(results: Results, evidence: Evidence | None) -> dict | None:
    """The graphs of a row of a table, side by side: (SVG, caption) pairs, the sign between them, and a note."""
    if evidence is None:
        return None
    found = next((one for one in results.pictures.get(evidence.table, []) if one["row"] == evidence.row), None)
    if found is None:
        return None
    palette, edit = results.pictures["palette"], evidence.table == "prices"
    around = [at for one in found["graphs"] for at, there in zip(one["positions"], one["nodes"]) if there]
    sides = [
        (Markup(graph_svg(one, palette, words, changed=found["changed"], around=around if edit else None)), words)
        for one, words in zip(found["graphs"], found["words"])
    ]
    note = f"This one costs {found['price']:.2f}." if "price" in found else ""
    return {"sides": sides, "sign": "→" if edit else "|", "note": note}


def _bar(results: Results, statement: Statement) -> Markup | None:
    if statement.evidence is None or statement.evidence.table != "prices":
        return None
    top = max(row["high"] if row["high"] == row["high"] else row["median"] for row in results.rows("prices"))
    return Markup(bar_svg(statement.value, statement.low, statement.high, top))  # numbers only


def _anchor(results: Results, evidence: Evidence) -> str:
    """The id of a row, of the fold of a table, or of a block of facts."""
    whole = evidence.row is None and evidence.table in results.tables
    return f"{evidence}-figures" if whole else str(evidence)


def _first_screen(statements: list[Statement]) -> list[tuple[str, list[Statement]]]:
    """The title and the statements of each block for readers who read nothing else."""
    by_section: dict[str, list[Statement]] = {}
    for one in statements:
        by_section.setdefault(one.section, []).append(one)
    named = {one.key: [one] for one in statements}
    named |= {
        "worst slice": [s for s in statements if s.evidence is not None and s.evidence.table == "slices"][:1],
        "defects found": [s for s in statements if s.defect],
        "dearest": by_section.get("dear", [])[:1],
        "cheapest": by_section.get("cheap", [])[-1:],
    }
    blocks = [(one["title"], [s for key in one["statements"] for s in named.get(key, [])]) for one in TEXTS["blocks"]]
    return [(title, some) for title, some in blocks if some]
