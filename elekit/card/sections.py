"""The sections of a card: their order, headings and fixed texts, and what they show beside their statements."""

from dataclasses import dataclass

from markupsafe import Markup

from elekit.card.evidence import cell
from elekit.card.phrases import counted, figure, joined, percent
from elekit.card.results import Results
from elekit.card.texts import TEXTS
from elekit.draw.base import BLUE, VERMILION
from elekit.draw.svg import chart_svg

Facts = list[tuple[str, object]]


@dataclass(frozen=True)
class Group:
    """Statements with one value of `Statement.section`; folded ones are not printed."""

    section: str
    heading: str = ""
    folded: bool = False
    reverse: bool = False


@dataclass(frozen=True)
class Section:
    """A section of the page: its id, heading, introduction, the tables behind it, and its groups of statements."""

    key: str
    heading: str
    text: str = ""
    tables: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()

    def parts(self) -> tuple[Group, ...]:
        """The groups; one of all statements of the section by default."""
        return self.groups or (Group(self.key),)


SECTIONS = tuple(
    Section(
        one["key"],
        one["heading"],
        one.get("text", "").format(checks=joined(TEXTS["checks"], "or")),
        tuple(one.get("tables", ())),
        tuple(Group(**group) for group in one.get("groups", ())),
    )
    for one in TEXTS["sections"]
)


def scale(results: Results) -> Facts:
    """The size of the vocabulary and the scale of the loss."""
    loss, found = results.facts["loss"], results.facts.get("scale", {})
    names = {
        "typical": "price of a typical change",
        "far": "mean loss between two graphs",
        "graphs": "graphs measured",
        "edits": "changes priced",
    }
    return [(words, cell(found[name])) for name, words in names.items() if name in found] + [
        ("node labels", ", ".join(loss["node_labels"])),
        ("edge labels", ", ".join(loss["edge_labels"])),
        ("nodes at most", loss["max_nodes"]),
    ]


def origin(results: Results) -> list[tuple[str, str | None, Facts]]:
    """(title, id, facts) of the data, of the settings of each training, and of versions and digests."""
    loss, trained, data = (results.facts[key] for key in ("loss", "trained", "data"))
    on, blocks = data["trained_on"], []
    entries: Facts = [(name, f"{on[name]:,}") for name in ("rows", "train", "validation", "test") if name in on]
    entries += [("data digest", on.get("digest", "not recorded"))]
    entries += [(f"left out: {why}", n) for why, n in on.get("skipped", {}).items()]
    blocks.append(("Figures: the data", "data", entries))
    for stage in ("psi", *loss["surrogates"]):
        if stage not in trained:
            continue
        settings, last = trained[stage]["training"], trained[stage]["last"]
        name = "The loss itself" if stage == "psi" else f"The predictor that reads the {stage}"
        flat = {**settings.get("loop", {}), **{k: v for k, v in settings.items() if k != "loop"}}
        entries = [
            (k.replace("_", " "), ", ".join(map(str, v)) if isinstance(v, list) else v) for k, v in flat.items()
        ]
        entries += [(f"at the end: {k}", v) for k, v in last.items()]
        blocks.append((f"{name}: settings", None, entries))
    entries = [("command", trained["command"] or "not recorded")]
    entries += [(k, v) for k, v in trained["by"].items() if not isinstance(v, (dict, list))]
    entries += [(f"{name} then", version) for name, version in loss["versions"].items()]
    entries += [
        ("parameters of the loss", f"{loss['parameters']:,}"),
        ("dimensions of its sphere", loss["dimensions"]),
    ]
    entries += [("artifact digest", loss["digest"] or "never saved")]
    entries += [(f"sha256 of {n}", d) for n, d in loss["files"].items()]
    return [*blocks, ("How it was made: versions and digests", "training", entries)]


def charts(results: Results, key: str) -> list[tuple[Markup, str]]:
    """(SVG, caption) of the charts of a section."""
    return {"faithfulness": _curves, "cost": _cost}[key](results)


def _cost(results: Results) -> list[tuple[Markup, str]]:
    rows, series = results.rows("costs"), []
    if not rows:
        return []
    for name, color, descends in (("from known graphs", BLUE, False), ("gradient descent", VERMILION, True)):
        some = sorted((r for r in rows if r["gradient"] is descends), key=lambda r: r["milliseconds"])
        if some:
            series.append((name, color, [r["milliseconds"] for r in some], [100 * r["exact"] for r in some]))
    words = "; ".join(f"{r['way']}: {r['milliseconds']:.1f} ms, {percent(r['exact'])} exact" for r in rows)
    drawn = chart_svg(
        series, f"share of exact predictions over time: {words}", across="ms for one prediction (logarithmic)",
        up="% exact", logarithmic=True, limits=(0.0, 100.0),
    )  # fmt: skip
    return [(Markup(drawn), "Each dot is one decoder; the figures are below.")]  # chart_svg escapes


def _curves(results: Results) -> list[tuple[Markup, str]]:
    """2 minus the loss while parts are removed, by the order of removal."""
    rows, found = results.rows("curves"), []
    looks = {"shares": BLUE, "gradient magnitude": VERMILION, "random order": "#777777"}
    for of in dict.fromkeys(row["of"] for row in rows):
        some = [row for row in rows if row["of"] == of and row["curve"] == "deletion"]
        series = []
        for method, color in looks.items():
            line = [row for row in some if row["method"] == method]
            series.append((method, color, [100 * row["parts"] for row in line], [row["value"] for row in line]))
        words = f"2 minus the loss while parts are removed, {of} pairs: the faster it falls, the better the order"
        drawn = chart_svg(series, words, across="% of the parts removed", up="2 - loss")
        caption = (
            f"{of[0].upper()}{of[1:]} pairs. A line that falls fast belongs to an order that finds what matters."
        )
        found.append((Markup(drawn), caption))  # chart_svg escapes
    return found


def case_text(case: dict) -> str:
    """What became of a case, in a sentence."""
    verdict = "exact" if case["exact"] else f"{counted(round(case['edits']), 'change')} from the truth"
    return (
        f"Predicted after {case['iterations']} steps of gradient descent and a search over single changes: "
        f"{case['predicted']}, {verdict}; its loss to the predicted point is {figure(case['loss'])}."
    )
