"""The matplotlib figure and axes that all plots share."""

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Picture(Figure):
    """A matplotlib figure that a notebook shows without a `%matplotlib` line."""

    def _repr_png_(self) -> bytes:
        written = io.BytesIO()
        self.savefig(written, format="png")
        return written.getvalue()


def axes(ax: Axes | None, size: tuple[float, float] | None) -> Axes:
    """The given axes, or those of a new figure, without top and right spines."""
    ax = Picture(figsize=size, layout="constrained").add_subplot() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=11)
    return ax


def figure_of(ax: Axes) -> Figure:
    """The whole figure that axes belong to."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure
