"""The card as one HTML page: no network, no markup from anybody's data, nothing said that was not measured."""

import base64
import hashlib
import json
from pathlib import Path

from elekit.card.changes import Changes
from elekit.card.elements import Html, element, in_script
from elekit.card.evidence import evidence
from elekit.card.glossary import glossary, linked
from elekit.card.measured import Measured
from elekit.card.pictures import picture
from elekit.card.sections import GROUPS, SECTIONS, changed, look
from elekit.card.statements import Statement
from elekit.draw.svg import bar_svg
from elekit.widgets import bundle

STATIC = Path(__file__).parent / "static"
FACTS = "facts"  # id of the script that holds what was measured
MINUTE = (  # keys of what a reader in a hurry is told, where it was said
    "purpose", "defects", "agreement with edit distance, random pairs", "blind spots", "exact", "sets hold the truth",
    "milliseconds", "rules", "stable",
)  # fmt: skip


def page(measured: Measured, statements: list[Statement], changes: Changes | None = None) -> str:
    """All of the card."""
    loss, made = measured.facts["loss"], measured.facts["made"]
    shown = [(key, *section) for key, *section in SECTIONS]
    if changes is not None:
        shown.insert(0, ("changes", "What changed", "", ()))
    parts = [_section(measured, statements, changes, *section) for section in shown]
    title = f"Loss card: {loss['name']}"
    contents = [element("li", element("a", heading, href=f"#{key}")) for key, heading, *_ in shown]
    contents += [
        element("li", element("a", name, href=f"#{name.lower().replace(' ', '-')}"))
        for name in ("Glossary", "Sign-off")
    ]
    header = element(
        "header",
        element("h1", title),
        element(
            "p",
            f"Measured on {made['day']} with elekit {made['elekit']}; seed {made['seed']}{_digest(loss)}.",
            class_="lead",
        ),
        _minute(measured, statements, changes),
        element("nav", element("h2", "Contents"), element("ol", *contents), aria_label="contents"),
    )
    terms = element("section", element("h2", "Glossary"), glossary(), id="glossary")
    main = element("main", *parts, terms, _sign_off(loss), id="main")
    footer = element("footer", element("p", _made(measured)))
    skip = element("a", "Skip to the card", href="#main", class_="skip")
    script = _script()
    facts = {"measured": measured.to_json(), "statements": [statement.to_json() for statement in statements]}
    body = element(
        "body", skip, header, main, footer,
        *(_json(f"state-{number}", state) for number, state in enumerate(measured.states)),
        _json(FACTS, facts), element("script", Html(script), type="module"),
    )  # fmt: skip
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Html(_styles())),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _minute(measured: Measured, statements: list[Statement], changes: Changes | None) -> Html:
    """What somebody who reads nothing else should know."""
    by_key = {statement.key: statement for statement in statements}
    chosen = [by_key[key] for key in MINUTE if key in by_key]
    chosen += [s for s in statements if s.key.startswith("finding: ") and s.says.startswith("Defect")]
    for section, place in (("dear", 0), ("cheap", -1)):
        chosen += [s for s in statements if s.section == section][place:][:1]
    chosen += [s for s in statements if s.evidence.startswith("slices-")][:1]
    order = {statement.key: number for number, statement in enumerate(statements)}
    known: set[str] = set()
    lines = [
        element("li", element("strong", _about(s)), " ", linked(s.says, known), _short_mark(s))
        for s in sorted(set(chosen), key=lambda s: order[s.key])
    ]
    if changes is not None:
        lines.insert(0, element("li", changes.summary(), " ", element("a", "What changed", href="#changes"), "."))
    if measured.missing:
        lines.append(element("li", "Not everything could be measured; each section says what is missing and why."))
    return element("section", element("h2", "In one minute"), element("ul", *lines), class_="minute")


def _digest(loss: dict) -> str:
    """What tells this release of the loss from others of its name."""
    return f"; artifact {loss['digest'][:16]}" if loss.get("digest") else ""


def _short_mark(statement: Statement) -> Html | None:
    """In how many trainings a line of the summary holds."""
    return element("span", f" ({statement.stable})", class_="in-brief") if statement.stable else None


def _about(statement: Statement) -> str:
    """What a line of the summary is about."""
    if statement.evidence.startswith("slices-"):
        return "Weakest at:"
    if statement.evidence.startswith("coverage-"):
        return "How sure:"
    return {"purpose": "What it is for:", "dear": "Punished most:", "cheap": "Punished least:", "findings": "Checks:",
            "blind": "Blind spots:", "agreement": "Known distances:", "quality": "Predictions:", "cost": "Cost:",
            "rules": "Rules:", "stability": "Other trainings:"}[statement.section]  # fmt: skip


def _section(measured, statements, changes, key: str, heading: str, explains: str, tables: tuple[str, ...]) -> Html:
    """A heading, what the section is about, its statements, and the figures behind them."""
    parts: list[Html | None] = [element("h2", heading)]
    known: set[str] = set()
    if explains:
        parts.append(element("p", linked(explains, known), class_="explains"))
    if key == "changes":
        parts.append(changed(changes))
    for name in tables:
        if name in measured.missing:
            parts.append(element("p", f"Not measured: {measured.missing[name]}.", class_="missing"))
    for group, words, folded in GROUPS.get(key, [(key, "", False)]):
        some = [s for s in statements if s.section == group][:: -1 if group == "cheap" else 1]
        if not some:
            continue
        listed = _listed(measured, some, known, pictured=not folded)
        if folded:
            parts.append(element("details", element("summary", words), listed, class_="screen"))
        else:
            parts += [element("h3", words) if words else None, listed]
    parts += look(measured, key)
    parts += [evidence(measured, name) for name in tables]
    return element("section", *parts, id=key)


def _listed(measured: Measured, some: list[Statement], known: set[str], pictured: bool = True) -> Html:
    return element("ul", *(_item(measured, s, known, pictured) for s in some), class_="statements")


def _item(measured: Measured, statement: Statement, known: set[str], pictured: bool) -> Html:
    """One statement with its picture, its mark and the way to its figures."""
    figure = picture(measured, statement.evidence) if pictured else None
    marks = []
    if statement.stable:
        marks.append(element("span", statement.stable, class_=f"stable {_degree(statement.stable)}"))
    if statement.evidence:
        whole = (
            "-figures" if statement.evidence in measured.tables else ""
        )  # otherwise it is a row, or a fold of its own
        marks.append(
            element("a", "figures", href=f"#{statement.evidence}{whole}", aria_label=f"figures: {statement.key}")
        )
    bar = None
    if statement.evidence.startswith("prices-"):
        top = max(row["high"] if row["high"] == row["high"] else row["median"] for row in measured.rows("prices"))
        bar = Html(bar_svg(statement.value, statement.low, statement.high, top))
    kind = "statement" + (" pictured" if figure else "") + (" defect" if statement.says.startswith("Defect") else "")
    parts = (figure, element("p", linked(statement.says, known)), bar, element("p", *marks, class_="marks"))
    return element("li", *parts, class_=kind, data_key=statement.key)


def _degree(stable: str) -> str:
    words = stable.split()
    if words[:2] != ["holds", "in"]:
        return "unknown"
    holds, of = int(words[2]), int(words[4])
    return "all" if holds == of else "none" if not holds else "some"


def _sign_off(loss: dict) -> Html:
    choices = [
        element("span", element("span", class_="box"), words, class_="choice")
        for words in ("accepted", "accepted with remarks", "not accepted")
    ]
    entries = (("Name", ()), ("Role", ()), ("Date", ()), ("Decision", choices), ("Remarks", ()), ("Signature", ()))
    lines = [
        part
        for name, inside in entries
        for part in (element("dt", name), element("dd", *inside, class_="tall" if name == "Remarks" else None))
    ]
    digest = f" with digest {loss['digest'][:16]}" if loss.get("digest") else ""
    says = f"I have read this card about the loss “{loss['name']}”{digest}."
    return element(
        "section", element("h2", "Sign-off"), element("p", says), element("dl", *lines), class_="sign", id="sign-off"
    )


def _made(measured: Measured) -> str:
    made = measured.facts["made"]
    seconds = sum(made["seconds"].values())
    return (
        f"Made by {made.get('command', 'elekit.card.make')} in {seconds:.0f} s on {made['cores']} {made['machine']} cores "
        f"({made['threads']} used by torch), Python {made['python']}, torch {made['torch']}. Times depend on the machine; all other "
        "figures come out the same again from the same artifact, data and seed."
    )


def _json(name: str, content) -> Html:
    text = in_script(json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    return element("script", Html(text), type="application/json", id=name)


def _script() -> str:
    """The page's own script with the widgets it embeds."""
    script = bundle.script(STATIC / "card.js")
    if "</script" in script.lower() or "<!--" in script:
        raise AssertionError("the widgets' scripts would end the script element of the card")
    return script


def _styles() -> str:
    return "\n".join(
        [bundle.style("stepper.css", "inspector.css"), (STATIC / "card.css").read_text(encoding="utf-8")]
    )
