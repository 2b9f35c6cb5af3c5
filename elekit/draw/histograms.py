"""Histograms of several groups of values over one axis."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from elekit.draw.base import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, fit_text, printable, to_numpy
from elekit.draw.figure import Picture, axes

COLORS = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE)


def histograms(values: Mapping[str, object], xlabel: str = "learned loss", *, bins: int = 50) -> Figure:
    """Draw one histogram per group, one above the other, with median and count.

    Args:
        values: (n,) arrays or tensors by name, n >= 1, at most 6 groups; values that are not finite are left out.
        xlabel: Label of the shared axis.
        bins: Number of bins.

    Returns:
        The figure. Each histogram is scaled to its own maximum.

    Raises:
        ValueError: If there are no groups, too many, or groups without values.
    """
    kinds = {name: to_numpy(given).ravel() for name, given in values.items()}
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
        words, size = fit_text(f"{name}  ({len(held):,})", 250, 13)
        ax.set_title(words, loc="left", fontsize=size, color="black", parse_math=False, pad=3)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_ylim(0, 1.25 * (counts / len(held)).max())
    panels[-1].set_xlabel(printable(xlabel), fontsize=13, parse_math=False)
    return figure
