"""The figures behind the statements: each table folded, with how it can be made again."""

import math

from elekit.card.elements import Html, element
from elekit.card.measured import Measured
from elekit.card.wording import phrases_of

DIGITS = 3
TABLES = {  # of each: what it shows, and what gives it again
    "prices": ("what each kind of change costs", "inspect.price_list(psi, graphs, samples=40, seed={seed}).summary(seed={seed})"),
    "findings": ("what was found wrong", "inspect.findings.findings(psi, train, held_out=test, seed={seed})"),
    "blind_spots": ("pairs that are hardly told apart", "inspect.blind_spots(psi, train, seed={seed})"),
    "equals": ("equal graphs told apart", "inspect.separated_equals(psi, train, samples=400, seed={seed})"),
    "quality": ("predictions judged", "evaluation.judge(psi, h.predict(test.inputs), test.graphs, candidates=train)"),
    "slices": ("the same by slice", "elekit evaluate --artefact {name} --data {data} --table predictions.csv"),
    "costs": ("time against quality", "elekit evaluate --artefact {name} --data {data} --limit 60 --method … --starts …"),
    "cases": ("the cases that are shown", "decode(psi, h.predict(inputs), record=True)"),
    "stability": ("which statements hold in which training", "inspect.stability(psis, measure, claims)"),
}  # fmt: skip
HEADS = {
    "kind": "kind of change", "count": "cases", "graphs": "graphs", "low": "interval from", "high": "to",
    "q05": "5 % below", "q95": "95 % below", "by_size": "explained by size", "by_ring": "by ring",
    "by_degree": "by edges there", "mark": "mark", "not_proven": "distances not proven", "edits_low": "edits from",
    "edits_high": "edits to", "valid_low": "valid from", "valid_high": "valid to", "fits_better": "wrong answer fits better",
    "few": "too few", "milliseconds": "ms each", "from": "predicted from", "gradient": "descends",
}  # fmt: skip
LONG = {"says", "path", "input", "way", "kind", "claim", "slice"}
HIDDEN = {"hits", "by", "gradient"}


def cell(value) -> str:
    """A value of a table as text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2g}" if 0 < abs(value) < 5 * 10 ** -(DIGITS + 1) else f"{value:,.{DIGITS}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(name: str, rows: list[dict], caption=None, say=lambda column, value: cell(value)) -> Html:
    """Rows as a table; row n has the id "name-n", which statements link to."""
    columns = [column for column in (rows[0] if rows else {}) if column not in HIDDEN]
    heads = [element("th", HEADS.get(c, c.replace("_", " ")), scope="col", class_="long" if c in LONG else None) for c in columns]
    body = [
        element("tr", *(element("td", say(c, row[c]), class_="long" if c in LONG else None) for c in columns), id=f"{name}-{n}")
        for n, row in enumerate(rows)
    ]
    top = [element("caption", caption)] if caption is not None else []
    return element("table", *top, element("thead", element("tr", *heads)), element("tbody", *body))


def evidence(measured: Measured, name: str) -> Html | None:
    """The fold with a table and how to make it again; None where it was not measured."""
    rows = measured.rows(name)
    if name not in measured.tables:
        return None
    what, again = TABLES[name]
    loss, made, data = (measured.facts[key] for key in ("loss", "made", "data"))
    again = again.format(seed=made["seed"], name=loss["name"], data=data["now"].get("name", "…"))
    phrases = phrases_of(loss)
    shown = table(name, rows, say=lambda column, value: phrases[value] if column == "kind" else cell(value))
    region = element("div", shown, class_="scroll", tabindex="0", role="region", aria_label=what)
    how = element("p", "To see them again: ", element("code", again), f" (seed {made['seed']}).", class_="explains")
    empty = element("p", "There are none.") if not rows else None
    inside = (how, empty if empty else region)
    return element("details", element("summary", f"Figures: {what}"), *inside, class_="evidence", id=name)
