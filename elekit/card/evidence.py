"""The figures behind the statements: each table folded, with how it can be made again."""

import math

from elekit.card.elements import Html, element
from elekit.card.measured import Measured
from elekit.card.wording import phrases_of

DIGITS = 3
TABLES = {  # of each: what it shows, and what gives it again
    "prices": ("what each kind of change costs", "inspect.edit_costs(psi, graphs, samples=24, seed={seed}).summary(seed={seed})"),
    "findings": ("what was found wrong", "inspect.findings.findings(psi, train, held_out=test, seed={seed})"),
    "blind_spots": ("pairs that are hardly told apart", "inspect.blind_spots(psi, train, seed={seed})"),
    "equals": ("equal graphs told apart", "inspect.separated_equals(psi, train, samples=400, seed={seed})"),
    "agreement": ("agreement with known distances", "inspect.agreement(psi, graphs, pairs=120, seed={seed}).summary(seed={seed})"),
    "disagreements": ("the strongest disagreements", "inspect.agreement(psi, graphs, pairs=120, seed={seed}).disagreements(distance, most=2)"),
    "concepts": ("what can be read off its points", "inspect.concepts(psi, graphs, seed={seed}).table"),
    "faithfulness": ("shares against other orders", "inspect.faithfulness(psi, graphs, anchors, seed={seed}).summary(seed={seed})"),
    "rules": ("rules before and after", "artifact.about['correction']['report']['rules']"),
    "corrected": ("what the rules cost elsewhere", "artifact.about['correction']['report']['costs']"),
    "quality": ("predictions judged", "evaluation.judge(psi, h.predict(test.inputs), test.graphs, candidates=train)"),
    "slices": ("the same by slice", "elekit evaluate --artifact {name} --data {data} --table predictions.csv"),
    "coverage": ("how often sets of answers hold the truth", "elekit evaluate --artifact {name} --data {data} --sets 0.9"),
    "costs": ("time against quality", "elekit evaluate --artifact {name} --data {data} --limit 60 --method … --starts …"),
    "cases": ("the cases that are shown", "decode(psi, h.predict(inputs), record=True)"),
    "stability": ("which statements hold in which training", "inspect.stability(psis, measure, claims)"),
}  # fmt: skip
HEADS = {
    "count": "cases", "low": "95 % interval", "q05": "5 % below", "q95": "95 % below",
    "by_size": "explained by size", "by_ring": "by ring", "by_degree": "by edges there", "not_proven": "distances not proven",
    "edits_low": "interval", "valid_low": "interval", "beyond_low": "interval", "ahead_low": "interval",
    "fits_better": "wrong answer fits better", "few": "too few", "milliseconds": "ms each", "from": "predicted from",
    "before_low": "interval", "after_low": "interval",
}  # fmt: skip
LONG = 24  # letters, from which on a column may be broken anywhere
HIDDEN = {"hits", "by", "gradient", "shuffled", "sense", "unseen"}  # kept in the facts of the card


def cell(value) -> str:
    """A value of a table as text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2g}" if 0 < abs(value) < 5 * 10 ** -(DIGITS + 1) else f"{value:,.{DIGITS}f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(name: str, rows: list[dict], say=lambda column, value: cell(value)) -> Html:
    """Rows as a table; row n has the id "name-n", which statements link to. Ends of an interval share a column."""
    columns = [column for column in (rows[0] if rows else {}) if column not in HIDDEN]
    columns = [c for c in columns if c != "says" or name == "findings"]  # elsewhere the statements say it
    ends = {c: c.removesuffix("low") + "high" for c in columns if c.endswith("low")}
    columns = [c for c in columns if c not in ends.values()]

    def text(row: dict, column: str) -> str:
        if column not in ends:
            return say(column, row[column])
        low, high = cell(row[column]), cell(row[ends[column]])
        return low if low == high == "–" else f"{low} to {high}"

    long = {c: "long" if any(len(text(row, c)) > LONG for row in rows) else None for c in columns}
    heads = [element("th", HEADS.get(c, c.replace("_", " ")), scope="col", class_=long[c]) for c in columns]
    body = [
        element("tr", *(element("td", text(row, c), class_=long[c]) for c in columns), id=f"{name}-{n}")
        for n, row in enumerate(rows)
    ]
    return element("table", element("thead", element("tr", *heads)), element("tbody", *body))


def _phrase(value: str, phrases: dict[str, str]) -> str:
    """A kind of change, or a claim about its price, in plain words."""
    kind = value.removeprefix("price of ")
    return value[: len(value) - len(kind)] + phrases[kind]


def evidence(measured: Measured, name: str) -> Html | None:
    """The fold with a table and how to make it again; None where it was not measured."""
    rows = measured.rows(name)
    if name not in measured.tables:
        return None
    what, again = TABLES[name]
    loss, made, data = (measured.facts[key] for key in ("loss", "made", "data"))
    again = again.format(seed=made["seed"], name=loss["name"], data=data["now"].get("name", "…"))
    phrases = phrases_of(loss)
    kinds = ("kind", "claim") if name in ("prices", "stability") else ()
    shown = table(name, rows, say=lambda column, value: _phrase(value, phrases) if column in kinds else cell(value))
    region = element("div", shown, class_="scroll", tabindex="0", role="region", aria_label=what)
    how = element("p", "To see them again: ", element("code", again), f" (seed {made['seed']}).", class_="explains")
    empty = element("p", "There are none.") if not rows else None
    inside = (how, empty if empty else region)
    return element(
        "details", element("summary", f"Figures: {what}"), *inside, class_="evidence", id=f"{name}-figures"
    )
