"""One graph with values at its nodes and edges: edit prices and Shapley values."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from elekit.draw.base import BLUE, GRAY, RADIUS, VERMILION, fit_text, require_single, to_numpy
from elekit.draw.figure import Picture, axes
from elekit.draw.layouts import layout
from elekit.draw.placement import RAMP, finite_range, label_positions, present_parts, signed
from elekit.draw.structures import graph as draw_graph
from elekit.draw.structures import points_per_unit
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

HALOS = LinearSegmentedColormap.from_list("halos", RAMP)
NARROW, WIDE = 0.05, 0.17  # of a halo, where an edge is about 1 long


def priced_edits(
    graph: Graph, heat_nodes, heat_pairs, table: "pd.DataFrame", *, top: int = 8, positions=None
) -> Figure:
    """Draw the price of the cheapest edit at each node and edge as a halo, and the extreme edits as bars.

    Low prices are thin and dark: the loss hardly reacts.

    Args:
        graph: Batch of one.
        heat_nodes: (N,) prices, nan where there is no valid edit.
        heat_pairs: (N, N) prices; pairs without an edge are not drawn.
        table: One row per edit with columns edit (description), price and valid.
        top: Number of cheapest and of most expensive edits, at least 1.
        positions: (N, 2), see `layout`.

    Returns:
        The figure.

    Raises:
        ValueError: If shapes do not fit, if a column is missing, or if `top` is below 1.
    """
    nodes, pairs = _fitting(graph, heat_nodes, heat_pairs)
    missing = {"edit", "price", "valid"} - set(table.columns)
    if missing or top < 1:
        raise ValueError(f"the table lacks columns {sorted(missing)}" if missing else f"top must be >= 1, got {top}")
    low, high = finite_range(nodes, pairs[graph.labels()[1][0].cpu().numpy() > 0])
    scale = Normalize(low, high)

    def look(price):
        if np.isnan(price):
            return {"color": GRAY, "width": NARROW, "dashed": True, "words": "none"}
        share = float(scale(price).clip(0, 1))
        return {"color": to_hex(HALOS(share)), "width": NARROW + (WIDE - NARROW) * share, "words": f"{price:.2f}"}

    figure = Picture(figsize=(12.5, 6))
    place = figure.add_axes((0.03, 0.17, 0.42, 0.75))
    _with_halos(graph, place, nodes, pairs, look, positions)
    place.set_title("cheapest valid edit of each node and edge", fontsize=13)
    key = figure.colorbar(
        ScalarMappable(scale, HALOS), cax=figure.add_axes((0.08, 0.1, 0.32, 0.03)), orientation="horizontal"
    )
    key.ax.tick_params(labelsize=11)
    key.set_label("price: the loss hardly minds (thin) to minds most (wide)", fontsize=11)
    bars = figure.add_axes((0.72, 0.11, 0.26, 0.81))
    _price_bars(bars, table[table["valid"].astype(bool)], top, lambda price: HALOS(scale(price)))
    return figure


def shared(graph: Graph, anchor: Graph, shares_of_graph, shares_of_anchor, *, positions=(None, None)) -> Figure:
    """Draw what each part of two graphs contributes to their similarity `2 - loss`.

    Blue and solid halos bring the two together; vermilion and dashed ones keep them apart. The width is the size.

    Args:
        graph: Batch of one.
        anchor: Batch of one.
        shares_of_graph: Arrays (N,) and (N, N), nan where nothing is present.
        shares_of_anchor: The same for the anchor.
        positions: (N, 2) of each graph, see `layout`.

    Returns:
        The figure.

    Raises:
        ValueError: If shapes do not fit.
    """
    both = [_fitting(graph, *shares_of_graph), _fitting(anchor, *shares_of_anchor)]
    look = _signs(*both[0], *both[1])
    figure = Picture(figsize=(12, 5.8))
    for column, (one, shares, where, name) in enumerate(zip((graph, anchor), both, positions, ("graph", "anchor"))):
        place = figure.add_axes((0.03 + 0.5 * column, 0.16, 0.44, 0.74))
        _with_halos(one, place, *shares, look, where)
        place.set_title(f"{name}: shares sum to 2 - loss = {_sum(*shares):.3f}", fontsize=14)
    _key_of_signs(figure, "brings the two together", "keeps them apart")
    return figure


def contrasted(
    graph: Graph, nodes, pairs, table: "pd.DataFrame", *, names=("corpus", "foil"), top: int = 8, positions=None
) -> Figure:
    """One graph with halos that show to which of two groups each part draws it, and the strongest parts as bars.

    Blue and solid: to the first group. Vermilion and dashed, hatched as a bar: to the second. Wider means more.
    Whiskers are two standard errors to each side.

    Args:
        graph: A batch of one.
        nodes: (N,) shares, nan for absent nodes.
        pairs: (N, N) shares, nan for absent edges.
        table: One row per part with the columns part (text), share and error.
        names: Names of the two groups.
        top: Number of bars, >= 1; the largest come first.
        positions: (N, 2) from `layout`.

    Returns:
        The figure.

    Raises:
        ValueError: If a shape does not match, a column is missing, or `top` is below 1.
    """
    nodes, pairs = _fitting(graph, nodes, pairs)
    missing = {"part", "share", "error"} - set(table.columns)
    if missing or top < 1:
        raise ValueError(f"the table lacks columns {sorted(missing)}" if missing else f"top must be >= 1, got {top}")
    first, second = (fit_text(name, 150, 12)[0] for name in names)
    figure = Picture(figsize=(12.5, 6))
    place = figure.add_axes((0.03, 0.16, 0.44, 0.75))
    _with_halos(graph, place, nodes, pairs, _signs(nodes, pairs), positions)
    words, size = fit_text(f"loss to {second} - loss to {first} = {_sum(nodes, pairs):+.3f}", 520, 14)
    place.set_title(words, fontsize=size, parse_math=False)
    bars = axes(figure.add_axes((0.68, 0.16, 0.29, 0.75)), None)
    shown = table.iloc[table["share"].abs().argsort(kind="stable")[::-1][:top]]
    for y, row in enumerate(shown.itertuples()):
        look: dict[str, Any] = (
            {"color": BLUE} if row.share >= 0 else {"color": VERMILION, "hatch": "//", "ec": "white"}
        )
        bars.barh(y, row.share, height=0.7, gid=f"bar-{y}", **look)
        bars.plot((row.share - 2 * row.error, row.share + 2 * row.error), (y, y), color="black", lw=1.8)
    bars.axvline(0, color="black", lw=1)
    labels = [fit_text(part, 190, 12)[0] for part in shown["part"]]
    bars.set_yticks(range(len(shown)), labels, fontsize=12, parse_math=False)
    bars.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    bars.set_title(f"strongest {len(shown)} of {len(table)} parts", fontsize=14)
    bars.set_xlabel("share, with two standard errors", fontsize=13)
    _key_of_signs(figure, f"draws it to {first}", f"draws it to {second}")
    return figure


def _signs(*shares: np.ndarray):
    """The style of a value relative to all given values: width by size; color, dash and text by sign."""
    largest = max(np.nanmax(np.abs(np.concatenate([part.ravel() for part in shares] + [[0.0]]))), 1e-9)

    def look(share):
        width = max(0.02, WIDE * abs(share) / largest)
        color = BLUE if share >= 0 else VERMILION
        return {"color": color, "width": width, "dashed": share < 0, "words": signed(share)}

    return look


def _key_of_signs(figure: Figure, plus: str, minus: str) -> None:
    signs = [Line2D([], [], color=BLUE, lw=6), Line2D([], [], color=VERMILION, lw=6, ls=(0, (1.5, 1)))]
    key = figure.legend(signs, [f"+ {plus}", f"- {minus}"], loc="lower center", ncols=2, frameon=False, fontsize=13,
                        handlelength=3)  # fmt: skip
    for text in key.get_texts():
        text.set_parse_math(False)


def _sum(nodes: np.ndarray, pairs: np.ndarray) -> float:
    return float(np.nansum(nodes) + np.nansum(np.triu(pairs, 1)))


def _fitting(graph: Graph, nodes, pairs) -> tuple[np.ndarray, np.ndarray]:
    require_single(graph)
    nodes, pairs, N = to_numpy(nodes), to_numpy(pairs), graph.nodes.shape[1]
    if nodes.shape != (N,) or pairs.shape != (N, N):
        raise ValueError(f"want values of nodes ({N},) and pairs ({N}, {N}), got {nodes.shape} and {pairs.shape}")
    return nodes, pairs


def _with_halos(graph: Graph, ax: Axes, nodes, pairs, look, positions) -> None:
    """The graph with a halo and a text at each node and edge; `look(value)` gives their style."""
    positions = layout(graph) if positions is None else to_numpy(positions)
    there, _ = present_parts(graph, positions)
    of_nodes, of_edges = label_positions(graph, positions)
    draw_graph(graph, ax, positions=positions)
    left, right = ax.get_xlim()
    ax.set_xlim(min([left, *of_nodes[there, 0] - 0.4]), max([right, *of_nodes[there, 0] + 0.4]))  # words, too
    points = points_per_unit(ax)
    for i in there:
        style = look(nodes[i])
        line = {"lw": style["width"] * points, "ls": (0, (1.5, 1)) if style.get("dashed") else "-"}
        rim = Circle(
            positions[i],
            RADIUS + style["width"] / 2,
            fill=False,
            ec=style["color"],
            zorder=0.6,
            gid=f"halo-{i}",
            **line,
        )
        ax.add_patch(rim)
        _word(ax, of_nodes[i], f"{i}: {style['words']}", points, f"value-{i}")
    for (i, j), place in of_edges.items():
        style = look(pairs[i, j])
        line = {"lw": (0.14 + 1.5 * style["width"]) * points, "ls": (0, (1.5, 1)) if style.get("dashed") else "-"}
        ends = positions[[i, j]].T
        bar = Line2D(*ends, color=style["color"], zorder=0.5, solid_capstyle="butt", gid=f"halo-{i}-{j}", **line)
        ax.add_line(bar)
        _word(ax, place, style["words"], points, f"value-{i}-{j}")


def _word(ax: Axes, place, words: str, points: float, gid: str) -> None:
    size = float(np.clip(0.17 * points, 7, 11))
    white = [withStroke(linewidth=3, foreground="white")]
    ax.text(place[0], place[1], words, fontsize=size, ha="center", va="center", zorder=7, path_effects=white, gid=gid)


def _price_bars(ax: Axes, valid: "pd.DataFrame", top: int, color) -> None:
    """Bars of the cheapest and, below a gap, of the most expensive edits; all edits if there are few."""
    axes(ax, None)
    ordered = valid.sort_values("price", kind="stable")
    parted = len(ordered) > 2 * top
    shown = ordered.iloc[[*range(top), *range(len(ordered) - top, len(ordered))]] if parted else ordered
    y = np.arange(len(shown)) + (np.arange(len(shown)) >= top) * parted
    prices = shown["price"].to_numpy(dtype=float)
    ax.barh(y, prices, color=[color(price) for price in prices], height=0.75)
    reach = max(float(prices.max(initial=0)), 1e-9)
    for at, price in zip(y, prices):
        ax.text(price + 0.02 * reach, at, f"{price:.2f}", va="center", fontsize=11)
    labels = [fit_text(words, 225, 11)[0] for words in shown["edit"]]
    ax.set_yticks(y, labels, fontsize=10 if len(y) > 18 else 11, parse_math=False)
    ax.set(ylim=(max(len(y) + parted, 1) - 0.4, -0.6), xlim=(0, 1.2 * reach))
    ax.set_title(
        f"cheapest and dearest of {len(valid)} valid edits" if parted else f"all {len(valid)} valid edits",
        fontsize=13,
    )
    ax.set_xlabel("price: learned loss to the edited graph", fontsize=12)
