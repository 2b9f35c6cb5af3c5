"""How values of several kinds are spread, one above the other on one axis."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from elekit.draw.base import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, array, fitted, plain
from elekit.draw.figure import Picture, axes

COLORS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE)


def histograms(values: Mapping[str, object], xlabel: str = "learned loss", *, bins: int = 50) -> Figure:
    """A histogram for each kind of values, one above the other on one axis, with its median and how many they are.

    values: (n,) arrays or tensors by their names, n >= 1, at most 6; what is not finite is left out. Heights are shares
    of a kind, each drawn to its own highest. Raises ValueError for none, for more kinds, and for kinds without values.
    """
    kinds = {name: array(given).ravel() for name, given in values.items()}
    kinds = {name: held[np.isfinite(held)] for name, held in kinds.items()}
    empty = [name for name, held in kinds.items() if not len(held)]
    if not 1 <= len(kinds) <= len(COLORS) or empty:
        raise ValueError(
            f"want 1 to {len(COLORS)} kinds of values, each with some, got {len(kinds)}"
            + f", empty: {empty}" * bool(empty)
        )
    together = np.concatenate(list(kinds.values()))
    edges = np.histogram_bin_edges(together, bins)
    figure = Picture(figsize=(8, 0.75 + 1.15 * len(kinds)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(kinds), 1, sharex=True))
    for ax, (name, held), color in zip(panels, kinds.items(), COLORS):
        axes(ax, None)
        counts, _ = np.histogram(held, edges)
        ax.stairs(counts / len(held), edges, fill=True, color=color, alpha=0.8, gid="shares")
        middle = float(np.median(held))
        ax.axvline(middle, color="black", lw=1.5, ls="--")
        ax.annotate(f"median {middle:.2f}", (middle, 1), xycoords=("data", "axes fraction"), xytext=(5, -2),
                    textcoords="offset points", va="top", fontsize=12)  # fmt: skip
        words, size = fitted(f"{name}  ({len(held):,})", 250, 13)
        ax.set_title(words, loc="left", fontsize=size, color="black", parse_math=False, pad=3)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_ylim(0, 1.25 * (counts / len(held)).max())
    panels[-1].set_xlabel(plain(xlabel), fontsize=13, parse_math=False)
    return figure
