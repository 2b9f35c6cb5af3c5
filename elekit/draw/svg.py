"""Graphs and charts as SVG text for light pages: no fonts, no scripts, all text escaped."""

import math
from collections.abc import Collection, Sequence
from html import escape

import numpy as np

from elekit.draw.base import BLUE, ORANGE, RADIUS, VERTEX, printable, shortened
from elekit.draw.shapes import AROMATIC, arrow_head, beside_arrow, bond_lines, framed, rgb, text_color

UNIT = 46  # pixels of an edge
ROOM = 0.55  # around a drawing, in edges
LEAST = (2.4, 1.6)  # width and height of a drawing, in edges
LETTERS = 6  # on a node
LARGE = 16  # more nodes need more room on a page
DASHES = ("none", "8 4", "2 4", "8 3 2 3")
WIDE, HIGH = 360, 250  # of a chart: as wide as a phone, so that its text stays readable there


def graph_svg(
    scene: dict, palette: dict, words: str, *,
    changed: tuple[Collection[int], Collection[tuple[int, int]]] = ((), ()), around=None,
) -> str:  # fmt: skip
    """One rounded graph as an SVG element.

    scene, palette: from `elekit.draw.scenes`. words: text for screen readers. changed: nodes and pairs with a wide
    rim. around: (n, 2) positions that must be visible, so that drawings share one scale; None: those of the graph.
    """
    positions = np.asarray(scene["positions"], dtype=float).reshape(-1, 2) * [1, -1]
    there = [i for i, channel in enumerate(scene["nodes"]) if channel]
    shown = positions[there] if around is None else np.asarray(around, dtype=float).reshape(-1, 2) * [1, -1]
    low, high = framed(shown, ROOM, np.array(LEAST) / 2)
    nodes, pairs = set(changed[0]), {tuple(sorted(pair)) for pair in changed[1]}
    ends = sorted(pair for pair in pairs if set(pair) <= set(there))
    lines = [_line(positions[i], positions[j], ORANGE, 0.42, 'stroke-opacity="0.75" ') for i, j in ends]
    rims = [_circle(positions[i], RADIUS + 0.11, ORANGE) for i in sorted(nodes & set(there))]
    centers = {(i, j): np.array([x, -y]) for i, j, x, y in scene.get("centers", ())}
    edges = [part for i, j, channel in scene["edges"]
             for part in _edge(positions[i], positions[j], channel, palette, centers.get((i, j)))]  # fmt: skip
    linked = {i for edge in scene["edges"] for i in edge[:2]}
    dots = [part for i in there for part in _node(positions[i], scene["nodes"][i] - 1, palette, i in linked)]
    left, top, width, height = (f"{UNIT * value:.0f}" for value in (*low, *(high - low)))
    inside = "".join([f"<title>{escape(printable(words))}</title>", *lines, *rims, *edges, *dots])
    box = f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}"'
    kind = "graph large" if len(there) > LARGE else "graph"
    return f'<svg class="{kind}" role="img" aria-label="{escape(printable(words))}" {box}>{inside}</svg>'


def _line(start, end, color: str, width: float, more: str = "") -> str:
    (x1, y1), (x2, y2) = UNIT * np.asarray(start), UNIT * np.asarray(end)
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="{UNIT * width:.1f}" {more}stroke-linecap="round"/>'


def _circle(at, radius: float, fill: str, more: str = "") -> str:
    x, y = UNIT * np.asarray(at)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{UNIT * radius:.1f}" fill="{fill}"{more}/>'


def _text(at, words: str, size: float, fill: str, more: str = "") -> str:
    x, y = UNIT * np.asarray(at)
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="middle" dominant-baseline="central"'
    return f'<text {place} font-size="{size:.0f}" font-weight="700" fill="{fill}"{more}>{escape(words)}</text>'


def _edge(start: np.ndarray, end: np.ndarray, channel: int, palette: dict, center=None) -> list[str]:
    """Strokes of an edge, or one stroke with the label on it, and the head of an arrow."""
    count = palette["strokes"][channel - 1] if palette["strokes"] else 1
    lines = bond_lines(start, end, count, center)
    dashes = ["", 'stroke-dasharray="6 6" ' if count == AROMATIC else "", ""]
    parts = [_line(a, b, "#333333", 0.07, dash) for (a, b), dash in zip(lines, dashes)]
    if direction := palette["arrows"][channel - 1]:
        ends = (start, end) if direction > 0 else (end, start)
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in UNIT * arrow_head(*ends, RADIUS))
        parts.append(f'<polygon points="{corners}" fill="#333333"/>')
    if palette["written"]:
        rim = ' stroke="#ffffff" stroke-width="4" paint-order="stroke"'
        shift = -beside_arrow(start, end) if any(palette["arrows"]) else 0.0
        name = shortened(palette["written"][channel - 1], 10)
        parts.append(_text((start + end) / 2 + shift, name, 11, "#000000", rim))
    return parts


def _node(at: np.ndarray, label: int, palette: dict, linked: bool) -> list[str]:
    color, name = palette["colors"][label], shortened(palette["nodes"][label], LETTERS)
    rim = ' stroke="#000000" stroke-width="1.2"'
    if linked and label in palette.get("vertices", ()):
        return [_circle(at, VERTEX, color, rim)]
    size = min(max(42 / max(len(name), 2), 8), 16)
    return [_circle(at, RADIUS, color, rim), _text(at, name, size, text_color(rgb(color)))]


def bar_svg(value: float, low: float, high: float, top: float) -> str:
    """A bar from 0 to `top` with its interval; hidden from screen readers, since the number is beside it."""
    at = [100 * min(max(v / max(top, 1e-9), 0), 1) if math.isfinite(v) else None for v in (value, low, high)]
    bar = f'<rect x="0" y="3" width="{at[0] or 0:.2f}" height="10" fill="{BLUE}"/>'
    if at[1] is not None and at[2] is not None:
        x = f'x="{at[1]:.2f}" width="{max(at[2] - at[1], 0.3):.2f}"'
        bar += f'<rect {x} y="6.5" height="3" fill="{ORANGE}" stroke="#000000" stroke-width="0.2"/>'
    return f'<svg class="bar" aria-hidden="true" viewBox="0 0 100 16" preserveAspectRatio="none">{bar}</svg>'


def chart_svg(
    series: Sequence[tuple[str, str, Sequence[float], Sequence[float]]], words: str, *, across: str, up: str,
    logarithmic: bool = False, limits: tuple[float, float] | None = None,
) -> str:  # fmt: skip
    """Lines with dots over two labeled axes.

    series: (name, color, x values, y values) each, not empty. words: text for screen readers. across, up: labels of
    the axes. logarithmic: log scale of x > 0. limits: of the y axis; None: those of the values and 0.
    """
    scale = math.log10 if logarithmic else float
    xs = [scale(x) for _, _, values, _ in series for x in values]
    ys = [float(y) for *_, values in series for y in values]
    low, high = limits or (min(0.0, *ys), max(ys) or 1.0)
    first, last = min(xs), max(max(xs), min(xs) + 1e-9)
    left, right, top, bottom = 46, WIDE - 14, 26, HIGH - 42

    def place(x, y):
        across_share = (scale(x) - first) / (last - first)
        return left + across_share * (right - left), bottom - (y - low) / (high - low) * (bottom - top)

    parts = [f"<title>{escape(printable(words))}</title>"]
    for y in _ticks(low, high):
        height = place(10**first if logarithmic else first, y)[1]
        parts.append(f'<line x1="{left}" x2="{right}" y1="{height:.1f}" y2="{height:.1f}" stroke="#dddddd"/>')
        parts.append(_label(left - 6, height, f"{y:g}", "end"))
    marks = [10.0**p for p in range(math.ceil(first), math.floor(last) + 1)] if logarithmic else _ticks(first, last)
    parts += [_label(place(x, low)[0], bottom + 15, f"{x:g}", "middle") for x in marks]
    parts.append(_label(right, HIGH - 8, across, "end"))
    parts.append(_label(4, 12, up, "start"))
    keys = []
    for number, (name, color, *values) in enumerate(series):
        points = [place(*at) for at in zip(*values)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        dash = DASHES[number % len(DASHES)]
        look = f'fill="none" stroke="{color}" stroke-width="2.5" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{path}" {look}/>')
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{color}" stroke="#000000"/>' for px, py in points]
        sample = f'<line x1="1" x2="33" y1="5" y2="5" stroke="{color}" stroke-width="3" stroke-dasharray="{dash}"/>'
        sample = f'<svg aria-hidden="true" width="34" height="10">{sample}</svg>'
        keys.append(f'<span class="key">{sample}{escape(printable(name))}</span>')
    drawn = f'<svg class="chart" role="img" aria-label="{escape(printable(words))}" viewBox="0 0 {WIDE} {HIGH}">'
    return f'{drawn}{"".join(parts)}</svg><p class="keys">{"".join(keys)}</p>'


def _label(x: float, y: float, words: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="middle"'
    return f"<text {place}>{escape(printable(words))}</text>"


def _ticks(low: float, high: float) -> list[float]:
    """About four round numbers between low and high."""
    rough = (high - low) / 4 or 1.0
    power = 10 ** math.floor(math.log10(rough))
    gap = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)
    return [round(n * gap, 9) for n in range(math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9) + 1)]
