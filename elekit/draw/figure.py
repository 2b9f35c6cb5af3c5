"""Figures, axes, keys and rows that the drawings share. Text is drawn literally: `$` starts no formula."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from elekit.draw.base import RADIUS, fit_text

Style = dict[str, Any]  # keyword arguments of an artist
DASHED = (0, (1.5, 1))
OUTLINE = [withStroke(linewidth=3, foreground="white")]


class Picture(Figure):
    """A matplotlib figure that a notebook shows without a `%matplotlib` line."""

    def _repr_png_(self) -> bytes:
        written = io.BytesIO()
        self.savefig(written, format="png")
        return written.getvalue()


def axes(ax: Axes | None, size: tuple[float, float] | None = None, *, x: str = "", y: str = "") -> Axes:
    """The given axes, or those of a new figure, without top and right spines; x, y: labels of the axes."""
    ax = Picture(figsize=size, layout="constrained").add_subplot() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=11)
    ax.set_xlabel(x or ax.get_xlabel(), fontsize=13, parse_math=False)
    ax.set_ylabel(y or ax.get_ylabel(), fontsize=13)
    return ax


def figure_of(ax: Axes) -> Figure:
    """The whole figure that axes belong to."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def write(figure: Figure, x: float, y: float, text: str, size: float, **style) -> None:
    """Text at a place in inches, from the lower left corner of the figure."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, fontsize=size, parse_math=False, gid="said", **style)


def message(text: str) -> Figure:
    """A figure with one sentence."""
    figure = Picture(figsize=(8, 1.5))
    write(figure, 4, 0.75, text, 16, ha="center", va="center")
    return figure


def fitted_title(ax: Axes, text: str, width: float, size: float, **style) -> None:
    """A title at most `width` points wide."""
    text, size = fit_text(text, width, size)
    ax.set_title(text, fontsize=size, parse_math=False, **style)


def legend(owner: Axes | FigureBase, looks: Mapping[str, Artist | Style] | Sequence, size: float, **style):
    """A legend without frame; `looks`: a handle, or the style of a line, by name or as (name, look) pairs."""
    pairs = list(looks.items() if isinstance(looks, Mapping) else looks)
    handles = [Line2D([], [], **look) if isinstance(look, dict) else look for _, look in pairs]
    found = owner.legend(handles, [name for name, _ in pairs], frameon=False, fontsize=size, **style)
    for text in found.get_texts():
        text.set_parse_math(False)
    return found


def outlined(ax: Axes, position, text: str, size: float, **style) -> None:
    """Text with a white outline, above all else."""
    x, y = position
    ax.text(x, y, text, fontsize=size, zorder=7, path_effects=OUTLINE, parse_math=False, **style)


def padded_limits(values: np.ndarray) -> tuple[float, float]:
    """Axis limits that contain all finite values, with a margin."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = 0.07 * (high - low) or 0.1
    return low - margin, high + margin


def size_in_inches(ax: Axes) -> np.ndarray:
    """Width and height of the axes in inches."""
    return np.array(ax.get_window_extent().size) / figure_of(ax).dpi


def points_per_unit(ax: Axes) -> float:
    """Points per data unit of axes with equal aspect."""
    return 72 * float((size_in_inches(ax) / [np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())]).min())


def halo(ax: Axes, positions: np.ndarray, part: Sequence[int], width: float, bar: float, color, dash, name: str):
    """A rim around the node (i,), `width` wide, or a line under the pair (i, j), `bar` wide, in edge lengths."""
    points = points_per_unit(ax)
    line = Style(color=color, ls=dash, gid=f"{name}-{'-'.join(map(str, part))}")
    if len(part) == 1:
        rim = Circle(positions[part[0]], RADIUS + width / 2, fill=False, zorder=0.6, lw=width * points, **line)
        ax.add_patch(rim)
    else:
        x, y = positions[list(part)].T
        ax.add_line(Line2D(x, y, zorder=0.5, lw=bar * points, solid_capstyle="butt", **line))
