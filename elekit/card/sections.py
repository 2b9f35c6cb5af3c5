"""The sections of a card: their order, their headings, the fixed words that explain them, and what is shown besides."""

from elekit.card.changes import Changes
from elekit.card.elements import Html, element
from elekit.card.evidence import cell
from elekit.card.measured import Measured
from elekit.card.pictures import picture
from elekit.card.wording import CHECKS, counted, figure, joined, percent
from elekit.draw.base import BLUE, VERMILION
from elekit.draw.svg import chart_svg

SECTIONS = (  # key, heading, what it is about, tables of figures behind it
    ("purpose", "What this loss is for", "", ()),
    (
        "rewards",
        "What it rewards and what it punishes",
        ("Each kind of single change was made to many graphs and its price asked. A dear change is one that the loss punishes: "
        "a prediction that is wrong in this way counts as far off. A cheap one is nearly forgiven. Prices are medians."),
        ("prices",),
    ),
    (
        "findings",
        "What is wrong with it",
        (f"It is checked whether {joined(list(CHECKS), 'or')}. No sound loss does any of this. Finding nothing is no proof that "
        "nothing is wrong."),
        ("findings",),
    ),
    (
        "blind",
        "What it cannot see",
        ("Pairs of different graphs that lie at nearly the same place: the nearest pairs among the data, and pairs that a search "
        "over changes found. A prediction may confuse the two sides of such a pair at no cost."),
        ("blind_spots",),
    ),
    (
        "equals",
        "Equal graphs that it tells apart",
        "The same graph can be written in several ways. The loss between two of them should be 0.",
        ("equals",),
    ),
    (
        "agreement",
        "Where it disagrees with distances that people know",
        ("Other ways to say how far two graphs lie apart are known; none of them is right in itself. Where the loss agrees, it is "
        "easier to trust; where it does not, somebody must decide who is right. Walks of edits are graphs with what a few random "
        "changes make of them."),
        ("agreement", "disagreements"),
    ),
    (
        "concepts",
        "What it encodes",
        ("A probe tries to read a property of a graph off its place on the sphere. Much can be told from size and counts alone, so "
        "each is held against what these tell, and against a control: a property that means nothing."),
        ("concepts",),
    ),
    (
        "faithfulness",
        "Can its explanations be trusted",
        ("Shares say which parts of a graph bring it near to another. If they are right, taking away the parts with the largest "
        "shares first must drive the two apart faster than taking them away in random order."),
        ("faithfulness",),
    ),
    (
        "quality",
        "How well predictions made with it do",
        "Test cases were predicted and held against the truth. None of them was learned from.",
        ("quality", "slices", "coverage"),
    ),
    (
        "cost",
        "What a prediction costs",
        ("The same few test cases were decoded in several ways and timed on this machine. With few cases the shares are less sure "
        "than those above."),
        ("costs",),
    ),
    (
        "cases",
        "Look for yourself",
        ("A right prediction (the one that fitted best), a wrong one (of middling fit) and a typical one. On a screen each opens "
        "into a stepper, which goes through the search step by step, and an inspector, which prices every single change of the "
        "answer. Both work by keyboard."),
        ("cases",),
    ),
    ("origin", "What it was learned from, and how", "", ()),
    (
        "rules",
        "Rules it was given",
        "An expert may state what a loss must do, and have it trained in. What is stated here is held against the loss.",
        ("rules", "corrected"),
    ),
    (
        "stability",
        "What holds in other trainings",
        ("A training depends on chance. The same questions were put to losses from other trainings: other random starts, "
        "or half of the graphs. The loss of this card counts as one of them. Only what holds in all may be said without a caveat."),
        ("stability",),
    ),
)  # fmt: skip

GROUPS = {  # statements of a section: which, under which heading, and whether they are folded (and not printed)
    "rewards": [
        ("dear", "Punished most", False),
        ("cheap", "Punished least", False),
        ("other prices", "All kinds of change in between", True),
    ],
    "agreement": [
        ("agreement", "", False),
        ("other pairs", "On other pairs", True),
        ("disagreements", "Where they disagree most", False),
    ],
    "concepts": [("concepts", "", False), ("each concept", "All properties, one by one", True)],
}


def look(measured: Measured, key: str) -> list[Html]:
    """What a section shows besides its statements."""
    shown = {"purpose": _scale, "faithfulness": _curves, "cost": _cost, "cases": _cases, "origin": _origin}.get(key)
    return shown(measured) if shown else []


def _scale(measured: Measured) -> list[Html]:
    """The yardstick and what the loss knows, in figures."""
    loss, scale = measured.facts["loss"], measured.facts.get("scale", {})
    names = {
        "typical": "price of a typical change",
        "far": "mean loss between two graphs",
        "graphs": "graphs asked about",
        "edits": "changes priced",
    }
    entries = [(words, cell(scale[name])) for name, words in names.items() if name in scale]
    entries += [
        ("node labels", ", ".join(loss["node_labels"])),
        ("edge labels", ", ".join(loss["edge_labels"])),
        ("nodes at most", loss["max_nodes"]),
    ]
    return [
        element(
            "details", element("summary", "Figures: what it knows, and its yardstick"), _facts(entries), id="scale"
        )
    ]


def _cost(measured: Measured) -> list[Html]:
    """The curve of quality over time."""
    rows = measured.rows("costs")
    if not rows:
        return []
    series = []
    for name, color, descends in (("from known graphs", BLUE, False), ("gradient descent", VERMILION, True)):
        some = sorted((r for r in rows if r["gradient"] is descends), key=lambda r: r["milliseconds"])
        if some:
            series.append((name, color, [r["milliseconds"] for r in some], [100 * r["exact"] for r in some]))
    words = "; ".join(f"{r['way']}: {r['milliseconds']:.1f} ms, {percent(r['exact'])} exact" for r in rows)
    drawn = chart_svg(
        series, f"share of exact predictions over time: {words}", across="ms for one prediction (logarithmic)",
        up="% exact", logarithmic=True, limits=(0.0, 100.0),
    )  # fmt: skip
    return [
        element("figure", Html(drawn), element("figcaption", "Each dot is one way to decode; the figures are below."))
    ]


def _curves(measured: Measured) -> list[Html]:
    """What is left of the nearness of two graphs while parts are taken away, by the orders compared."""
    rows, parts = measured.rows("curves"), []
    looks = {"shares": BLUE, "gradient magnitude": VERMILION, "random order": "#777777"}
    for of in dict.fromkeys(row["of"] for row in rows):
        some = [row for row in rows if row["of"] == of and row["curve"] == "deletion"]
        series = []
        for method, color in looks.items():
            line = [row for row in some if row["method"] == method]
            series.append((method, color, [100 * row["parts"] for row in line], [row["value"] for row in line]))
        words = f"2 minus the loss while parts are taken away, {of} pairs: the faster it falls, the better the order"
        drawn = chart_svg(series, words, across="% of the parts taken away", up="2 - loss")
        parts.append(
            element(
                "figure",
                Html(drawn),
                element(
                    "figcaption",
                    f"{of[0].upper()}{of[1:]} pairs. The faster a line falls, the better that order finds the parts that count.",
                ),
            )
        )
    return parts


def _cases(measured: Measured) -> list[Html]:
    """Each case: what was asked, both graphs, and the two widgets behind it."""
    parts = []
    for number, case in enumerate(measured.rows("cases")):
        verdict = "exact" if case["exact"] else f"{counted(round(case['edits']), 'change')} from the truth"
        parts.append(element("h3", f"A {case['case']} prediction"))
        if case["input"]:
            parts.append(element("p", "Asked: ", element("q", case["input"])))
        says = f"Predicted after {case['iterations']} steps of gradient descent and a search over single changes: {case['predicted']}, "
        parts.append(element("p", f"{says}{verdict}; its loss to what was predicted is {figure(case['loss'])}."))
        if case.get("set"):
            parts.append(element("p", f"As a set of answers, it says: {case['set']}."))
        parts.append(picture(measured, f"cases-{number}"))
        if number >= len(measured.states):
            continue
        for widget, words in (
            ("stepper", "Step through this search"),
            ("inspector", "Inspect this answer: what would each change cost?"),
        ):
            place = element("div", data_widget=widget, data_state=f"state-{number}")
            note = ""
            if widget == "inspector":
                note = "Edits that are not among a few prepared ones can be looked at but not applied: there is no loss in this page to ask."
            told = element("p", note, class_="explains") if note else None
            parts.append(element("details", element("summary", words), told, place, class_="look"))
    if measured.states:
        parts.append(
            element(
                "noscript", element("p", "The stepper and the inspector need JavaScript, which is switched off here.")
            )
        )
    return parts


def _origin(measured: Measured) -> list[Html]:
    """Data, settings, versions and digests, as they were kept."""
    loss, trained, data = (measured.facts[key] for key in ("loss", "trained", "data"))
    parts, on = [], data["trained_on"]
    entries = [(name, f"{on[name]:,}") for name in ("rows", "train", "validation", "test") if name in on]
    entries += [
        ("data digest", on.get("digest", "not kept")),
        *(("left out: " + why, n) for why, n in on.get("skipped", {}).items()),
    ]
    parts.append(element("details", element("summary", "Figures: the data"), _facts(entries), id="data"))
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
        parts.append(element("details", element("summary", f"{name}: settings"), _facts(entries)))
    kept = [
        ("command", trained["command"] or "not kept"),
        *((f"{k}", v) for k, v in trained["by"].items() if not isinstance(v, (dict, list))),
    ]
    kept += [(f"{name} then", version) for name, version in loss["versions"].items()]
    kept += [
        ("numbers learned by the loss", f"{loss['parameters']:,}"),
        ("dimensions of its sphere", loss["dimensions"]),
    ]
    kept += [
        ("artifact digest", loss["digest"] or "never saved"),
        *((f"sha256 of {n}", d) for n, d in loss["files"].items()),
    ]
    return [
        *parts,
        element("details", element("summary", "How it was made: versions and digests"), _facts(kept), id="training"),
    ]


def _facts(entries) -> Html:
    return element(
        "dl",
        *(part for name, value in entries for part in (element("dt", name), element("dd", value))),
        class_="facts",
    )


def changed(changes: Changes) -> Html:
    """What changed between two releases, both values shown."""
    parts = [element("p", changes.summary())]
    for words, some in (("Changed", changes.changed), ("New", changes.new), ("Gone", changes.gone)):
        if not some:
            continue
        rows = [element("tr", *(element("td", text) for text in (f"before: {old.says}" if old else "–", f"now: {new.says}" if new else "–")))
                for old, new in some]  # fmt: skip
        heads = element("tr", element("th", "before", scope="col"), element("th", "now", scope="col"))
        body = element("table", element("thead", heads), element("tbody", *rows), class_="changes")
        parts += [
            element("h3", f"{words} ({len(some)})"),
            element("div", body, class_="scroll", tabindex="0", role="region", aria_label=words),
        ]
    return element("div", *parts)
