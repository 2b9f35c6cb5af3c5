"""Figures, axes, keys and rows that the drawings share. Text is drawn literally: `$` starts no formula."""

import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from elekit.draw.base import RADIUS, fit_text, to_numpy
from elekit.graphs._schema import require_positive

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


def halo(ax: Axes, positions, part: Sequence[int], width: float, bar: float, color, dash, name: str, radii=None):
    """A rim around the node (i,), `width` wide, or a line under the pair (i, j), `bar` wide, in edge lengths.

    radii: of the nodes; None: all are `RADIUS`.
    """
    points = points_per_unit(ax)
    line = Style(color=color, ls=dash, gid=f"{name}-{'-'.join(map(str, part))}")
    if len(part) == 1:
        radius = (RADIUS if radii is None else radii[part[0]]) + width / 2
        ax.add_patch(Circle(positions[part[0]], radius, fill=False, zorder=0.6, lw=width * points, **line))
    else:
        x, y = positions[list(part)].T
        ax.add_line(Line2D(x, y, zorder=0.5, lw=bar * points, solid_capstyle="butt", **line))


def require_columns(table, needed: Collection[str], what: str = "the table", *, source: str = "", rows: bool = False):
    """Raises ValueError if the table lacks columns, or rows; source: the function that returns such tables."""
    missing = [name for name in needed if name not in table.columns]
    if missing or (rows and not len(table)):
        lacks = f"columns {sorted(missing)}" if missing else "rows"
        raise ValueError(f"{what} lacks {lacks}" + f"; use the result of {source}" * bool(source))


def name_rows(ax: Axes, names, y=None, *, width: float = 260, size: float = 12, margin: float = 0.6) -> None:
    """Names at the left of the rows, the first row at the top; y: their heights, 0, 1, ... by default."""
    y = range(len(names)) if y is None else y
    ax.set_yticks(y, [fit_text(name, width, size)[0] for name in names], fontsize=size, parse_math=False)
    ax.set_ylim(max(y, default=0) + margin, -margin)


def ends(table, top: int):
    """The first and last `top` rows, their heights with a gap between both groups, and whether there is a gap.

    Tables with up to 2 * `top` rows are returned whole.
    """
    require_positive(top=top)
    gap = len(table) > 2 * top
    shown = table.iloc[[*range(top), *range(len(table) - top, len(table))]] if gap else table
    return shown, np.arange(len(shown)) + (np.arange(len(shown)) >= top) * gap, gap


def whiskers(ax: Axes, y, middle, low, high, *, color: str = "black", width: float = 1.8) -> None:
    """Intervals with caps around the middle of each row; none where an end is nan."""
    middle, low, high = map(to_numpy, (middle, low, high))
    reach = np.nan_to_num(np.abs([low - middle, high - middle]))
    ax.errorbar(middle, y, xerr=reach, fmt="none", ecolor=color, elinewidth=width, capsize=4)


def beside(ax: Axes, x: float, y: float, text: str, *, gap: float = 8, size: float = 11, edge: bool = False, **style):
    """Text to the right of a point, `gap` points away; edge: x is a fraction of the width of the axes."""
    ax.annotate(text, (x, y), xycoords=("axes fraction", "data") if edge else "data", xytext=(gap, 0),
                textcoords="offset points", va="center", fontsize=size, parse_math=False, **style)  # fmt: skip
