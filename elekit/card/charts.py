"""The charts of a card."""

from markupsafe import Markup

from elekit.card.results import Results
from elekit.draw.base import BLUE, VERMILION
from elekit.draw.svg import chart_svg
from elekit.evaluation.formatting import percent


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
        caption = "A line that falls fast belongs to an order that finds what matters."
        found.append((Markup(drawn), f"{of[0].upper()}{of[1:]} pairs. {caption}"))  # chart_svg escapes
    return found
