"""One graph with values at its nodes and edges: edit prices and Shapley values."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex
from matplotlib.figure import Figure

from elekit.draw.base import BLUE, GRAY, VERMILION, fit_text, require_single, to_numpy
from elekit.draw.figure import (
    DASHED,
    Picture,
    Style,
    axes,
    ends,
    fitted_title,
    halo,
    legend,
    name_rows,
    outlined,
    points_per_unit,
    require_columns,
)
from elekit.draw.layouts import layout
from elekit.draw.placement import RAMP, decimals, finite_range, label_positions, present_parts, signed
from elekit.draw.structures import graph as draw_graph
from elekit.draw.structures import node_radii
from elekit.graphs._schema import require_positive
from elekit.graphs.graph import Graph

HALOS = LinearSegmentedColormap.from_list("halos", RAMP)
NARROW, WIDE = 0.05, 0.17  # of a halo, where an edge is about 1 long
MOST_TEXTS = 30


def priced_edits(
    graph: Graph, heat_nodes, heat_pairs, table: pd.DataFrame, *, top: int = 8, positions=None
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
    """
    nodes, pairs = _fitting(graph, heat_nodes, heat_pairs)
    require_columns(table, ("edit", "price", "valid"))
    scale = Normalize(*finite_range(nodes, pairs[graph.labels()[1][0].cpu().numpy() > 0]))

    digits = decimals(float(scale.vmax or 0))

    def look(price):
        if np.isnan(price):
            return NARROW, GRAY, DASHED, "none"
        share = float(scale(price).clip(0, 1))
        return NARROW + (WIDE - NARROW) * share, to_hex(HALOS(share)), "-", f"{price:.{digits}f}"

    figure = Picture(figsize=(12.5, 6))
    place = figure.add_axes((0.03, 0.17, 0.42, 0.75))
    _with_halos(graph, place, nodes, pairs, look, positions)
    place.set_title("cheapest valid edit of each node and edge", fontsize=13)
    below = figure.add_axes((0.08, 0.1, 0.32, 0.03))
    key = figure.colorbar(ScalarMappable(scale, HALOS), cax=below, orientation="horizontal")
    key.ax.tick_params(labelsize=11)
    key.set_label("price of the edit, from low (thin) to high (wide)", fontsize=11)
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
    graph: Graph, nodes, pairs, table: pd.DataFrame, *, names=("corpus", "foil"), top: int = 8, positions=None
) -> Figure:
    """Draw which of two groups each part brings a graph closer to, as halos, and the strongest parts as bars.

    Blue and solid: the first group. Vermilion and dashed (hatched as a bar): the second. The width is the size.
    Whiskers are two standard errors to each side.

    Args:
        graph: Batch of one.
        nodes: (N,) shares, nan where nothing is present.
        pairs: (N, N) shares.
        table: One row per part with columns part (description), share and error.
        names: Of the two groups.
        top: Number of bars, the largest sizes first; at least 1.
        positions: (N, 2), see `layout`.

    Returns:
        The figure.
    """
    nodes, pairs = _fitting(graph, nodes, pairs)
    require_columns(table, ("part", "share", "error"))
    require_positive(top=top)
    first, second = (fit_text(name, 150, 12)[0] for name in names)
    figure = Picture(figsize=(12.5, 6))
    place = figure.add_axes((0.03, 0.16, 0.44, 0.75))
    _with_halos(graph, place, nodes, pairs, _signs(nodes, pairs), positions)
    fitted_title(place, f"loss to {second} - loss to {first} = {_sum(nodes, pairs):+.3f}", 520, 14)
    bars = axes(figure.add_axes((0.68, 0.16, 0.29, 0.75)), x="share, with two standard errors")
    shown = table.iloc[table["share"].abs().argsort(kind="stable")[::-1][:top]]
    for y, row in enumerate(shown.itertuples()):
        look = Style(color=BLUE) if row.share >= 0 else Style(color=VERMILION, hatch="//", ec="white")
        bars.barh(y, row.share, height=0.7, gid=f"bar-{y}", **look)
        bars.plot((row.share - 2 * row.error, row.share + 2 * row.error), (y, y), color="black", lw=1.8)
    bars.axvline(0, color="black", lw=1)
    name_rows(bars, shown["part"], width=190)
    bars.set_title(f"strongest {len(shown)} of {len(table)} parts", fontsize=14)
    _key_of_signs(figure, f"closer to {first}", f"closer to {second}")
    return figure


def changed_prices(
    graph: Graph, nodes, pairs, table: pd.DataFrame, *, names=("before", "after"), top: int = 12, positions=None
) -> Figure:
    """Draw by how much a second loss changes the price of the cheapest edit of each part, and the largest changes.

    Blue and solid: dearer by the second loss. Vermilion and dashed (hatched as a bar): cheaper. The width is the
    size.

    Args:
        graph: Batch of one.
        nodes: (N,) changes of prices, nan where there is no valid edit.
        pairs: (N, N) changes; pairs without an edge are not drawn.
        table: One row per edit with columns edit (description), price, other (the second loss's), difference, valid.
        names: Of the two losses.
        top: Number of bars, the largest changes first; at least 1.
        positions: (N, 2), see `layout`.

    Returns:
        The figure.
    """
    nodes, pairs = _fitting(graph, nodes, pairs)
    require_columns(table, ("edit", "price", "other", "difference", "valid"))
    require_positive(top=top)
    first, second = (fit_text(name, 150, 12)[0] for name in names)
    figure = Picture(figsize=(12.5, 6))
    place = figure.add_axes((0.03, 0.16, 0.42, 0.75))
    of_edges = np.where(graph.labels()[1][0].cpu().numpy() > 0, pairs, np.nan)
    look = _signs(nodes, of_edges)
    _with_halos(
        graph, place, nodes, pairs, lambda v: (NARROW, GRAY, DASHED, "none") if np.isnan(v) else look(v), positions
    )
    fitted_title(place, f"price of the cheapest edit: {second} - {first}", 520, 14)
    valid = table[table["valid"].astype(bool)]
    shown = valid.iloc[valid["difference"].abs().argsort(kind="stable")[::-1][:top]]
    bars = axes(figure.add_axes((0.70, 0.16, 0.28, 0.75)), x=f"change of price, {first} to {second}")
    reach = max(float(shown["difference"].abs().max()) if len(shown) else 0, 1e-9)
    for y, row in enumerate(shown.itertuples()):
        style = Style(color=BLUE) if row.difference >= 0 else Style(color=VERMILION, hatch="//", ec="white")
        bars.barh(y, row.difference, height=0.7, gid=f"bar-{y}", **style)
        text = f"{row.price:.{decimals(reach)}f} to {row.other:.{decimals(reach)}f}"
        bars.text(max(row.difference, 0) + 0.02 * reach, y, text, va="center", fontsize=11)
    bars.axvline(0, color="black", lw=1)
    bars.set_xlim(
        min(0, *shown["difference"], 0) * 1.1, (max(0, *shown["difference"], 0) or 0.1 * reach) + 0.75 * reach
    )
    name_rows(bars, shown["edit"], width=225)
    bars.set_title(f"largest {len(shown)} changes of {len(valid)} valid edits", fontsize=14)
    _key_of_signs(figure, f"dearer {second}", f"cheaper {second}")
    return figure


def _signs(*shares: np.ndarray):
    """The style of a value relative to all given values: width by size; color, dashes and text by sign."""
    largest = max(np.nanmax(np.abs(np.concatenate([part.ravel() for part in shares] + [[0.0]]))), 1e-9)

    def look(share):
        color, dash = BLUE if share >= 0 else VERMILION, DASHED if share < 0 else "-"
        return max(0.02, WIDE * abs(share) / largest), color, dash, signed(share)

    return look


def _key_of_signs(figure: Figure, plus: str, minus: str) -> None:
    signs = {f"+ {plus}": {"color": BLUE, "lw": 6}, f"- {minus}": {"color": VERMILION, "lw": 6, "ls": DASHED}}
    legend(figure, signs, 13, loc="lower center", ncols=2, handlelength=3)


def _sum(nodes: np.ndarray, pairs: np.ndarray) -> float:
    return float(np.nansum(nodes) + np.nansum(np.triu(pairs, 1)))


def _fitting(graph: Graph, nodes, pairs) -> tuple[np.ndarray, np.ndarray]:
    graph = require_single(graph)
    nodes, pairs, N = to_numpy(nodes), to_numpy(pairs), graph.nodes.shape[1]
    if nodes.shape != (N,) or pairs.shape != (N, N):
        raise ValueError(f"want values of nodes ({N},) and pairs ({N}, {N}), got {nodes.shape} and {pairs.shape}")
    return nodes, pairs


def _with_halos(graph: Graph, ax: Axes, nodes, pairs, look, positions) -> None:
    """The graph with a halo and a text at each node and edge; `look(value)`: width, color, dashes and text.

    Large graphs have texts only where they do not overlap, beside at most `MOST_TEXTS` parts: the extremes.
    """
    positions = layout(graph) if positions is None else to_numpy(positions)
    present, _ = present_parts(graph, positions)
    of_nodes, of_edges = label_positions(graph, positions)
    draw_graph(graph, ax, positions=positions)
    left, right = ax.get_xlim()
    ax.set_xlim(min([left, *of_nodes[present, 0] - 0.4]), max([right, *of_nodes[present, 0] + 0.4]))  # text, too
    points = points_per_unit(ax)
    size = float(np.clip(0.17 * points, 7, 11))
    parts: list[tuple] = [((i,), f"{i}: ", nodes[i], of_nodes[i]) for i in present]
    parts += [(pair, "", pairs[pair], place) for pair, place in of_edges.items()]
    low, high = finite_range([value for _, _, value, _ in parts])
    parts.sort(key=lambda part: -abs(np.nan_to_num(part[2], nan=(low + high) / 2) - (low + high) / 2))
    radii = node_radii(graph)
    written: list[tuple[np.ndarray, np.ndarray]] = []
    for part, name, value, place in parts:
        width, color, dash, text = look(value)
        halo(ax, positions, part, width, 0.14 + 1.5 * width, color, dash, "halo", radii)
        half = np.array([0.3 * len(name + text), 0.6]) * size / points
        free = all((np.abs(place - other) > half + room).any() for other, room in written)
        if len(parts) <= MOST_TEXTS or (free and len(written) < MOST_TEXTS):
            written.append((place, half))
            outlined(ax, place, name + text, size, ha="center", va="center", gid=f"value-{'-'.join(map(str, part))}")


def _price_bars(ax: Axes, valid: pd.DataFrame, top: int, color) -> None:
    """Bars of the cheapest and, below a gap, of the most expensive edits; all edits if there are few."""
    axes(ax, x="learned loss to the edited graph")
    shown, y, parted = ends(valid.sort_values("price", kind="stable"), top)
    prices = shown["price"].to_numpy(dtype=float)
    ax.barh(y, prices, color=[color(price) for price in prices], height=0.75)
    reach = max(float(prices.max(initial=0)), 1e-9)
    for at, price in zip(y, prices):
        ax.text(price + 0.02 * reach, at, f"{price:.{decimals(reach)}f}", va="center", fontsize=11)
    name_rows(ax, shown["edit"], y, width=225, size=10 if len(y) > 18 else 11)
    ax.set_xlim(0, 1.2 * reach)
    title = f"lowest and highest of {len(valid)} valid edits" if parted else f"all {len(valid)} valid edits"
    ax.set_title(title, fontsize=13)
