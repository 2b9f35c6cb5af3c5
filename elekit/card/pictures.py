"""The graphs that belong to a row of a table, drawn side by side."""

from elekit.card.elements import Html, element
from elekit.card.measured import Measured
from elekit.draw.svg import graph_svg


def picture(measured: Measured, row: str) -> Html | None:
    """The graphs that belong to a row of a table, "prices-3", side by side; None where there are none."""
    name, _, number = row.rpartition("-")
    found = [p for p in measured.pictures.get(name, []) if str(p["row"]) == number]
    if not found:
        return None
    drawn, palette = found[0], measured.pictures["palette"]
    around = [at for one in drawn["graphs"] for at, there in zip(one["positions"], one["nodes"]) if there]
    same_place = name == "prices"
    sides = []
    for one, words in zip(drawn["graphs"], drawn["words"]):
        svg = graph_svg(one, palette, words, changed=drawn["changed"], around=around if same_place else None)
        sides.append(element("div", Html(svg), element("figcaption", words), class_="side"))
    arrow = element("span", "→" if same_place else "|", class_="arrow", aria_hidden="true")
    parts = [sides[0], *(part for side in sides[1:] for part in (arrow, side))]
    price = f"This one costs {drawn['price']:.2f}." if "price" in drawn else None
    return element("figure", *parts, element("figcaption", price) if price else None, class_="pair")
