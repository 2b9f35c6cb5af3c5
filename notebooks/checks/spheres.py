"""Drawings of points on the unit sphere in three dimensions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from elekit.draw.base import GRAY, OKABE_ITO, fit_text, to_numpy
from elekit.draw.figure import Picture

ORDER = (4, 5, 2, 0, 1, 6, 3)  # Okabe-Ito colors, the most distinct first
COLORS = tuple(OKABE_ITO[k] for k in ORDER)
TOLERANCE = 1e-3  # of the length of a unit vector


def _view_basis(direction: np.ndarray) -> np.ndarray:
    """(3, 3) rows: right, up, and toward the viewer; a default for a direction near zero."""
    x, y, z = direction if np.linalg.norm(direction) > 0.05 else (1.0, 0.7, 0.4)
    azimuth = np.arctan2(y, x)
    elevation = np.clip(np.arctan2(z, np.hypot(x, y)), -1.1, 1.1)  # never from a pole
    toward = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    return np.stack([right, np.cross(toward, right), toward])


GRID_BASIS = _view_basis(np.zeros(3))  # the great circles look the same from every direction


def spheres(
    frames: Sequence[tuple[object, object]],
    colors=None,
    names: Sequence[str] | None = None,
    *,
    columns: int = 4,
    direction=None,
) -> Figure:
    """Draw one sphere for each set of points, all from the same direction; points on the far side are faint circles.

    Args:
        frames: Pairs of a title and unit vectors (n, 3); an integer title is written as "step 20".
        colors: (n,) categories 0, 1, ... of the points, at most 7; None draws all points in one color.
        names: One name for each category, for the key.
        columns: Largest number of spheres in a row.
        direction: (3,) direction that faces the viewer; None takes the mean of the last frame.

    Returns:
        The figure.

    Raises:
        ValueError: If `frames` is empty, points are not (n, 3) unit vectors, or colors and names do not match.
    """
    frames = [(step, _points(points, step)) for step, points in frames]
    if not frames:
        raise ValueError("frames is empty; give at least one (step, points)")
    if names is not None and not 1 <= len(names) <= len(COLORS):
        raise ValueError(f"names must have 1 to {len(COLORS)} entries, got {len(names)}")
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    side, title, key = 2.9, 0.4, 0.45 if names else 0.0
    size = (side * columns, (side + title) * rows + key)
    figure = Picture(figsize=size)
    basis = _view_basis(frames[-1][1].mean(0) if direction is None else to_numpy(direction))
    for n, (step, points) in enumerate(frames):
        row, column = divmod(n, columns)
        bottom = size[1] - (row + 1) * (side + title)
        ax = figure.add_axes((column / columns, bottom / size[1], 1 / columns, side / size[1]))
        _draw_sphere(ax, points @ basis.T, _categories(colors, len(points), len(names or COLORS)))
        text, font_size = fit_text(f"step {step:,}" if isinstance(step, int) else step, 72 * side, 14)
        ax.set_title(text, fontsize=font_size, parse_math=False, pad=2)
    if names:
        _key(figure, names, columns * side)
    return figure


def _draw_sphere(ax: Axes, seen: np.ndarray, categories: np.ndarray) -> None:
    """One sphere: its outline, three great circles, and the points (n, 3) as (right, up, toward the viewer)."""
    ax.set(xlim=(-1.08, 1.08), ylim=(-1.08, 1.08), aspect="equal")
    ax.set_axis_off()
    ax.add_patch(Circle((0, 0), 1, facecolor="#FAFAFA", edgecolor=GRAY, lw=1.2, zorder=0))
    turn = np.linspace(0, 2 * np.pi, 181)
    for axis in range(3):
        circle = np.stack([np.cos(turn), np.sin(turn), 0 * turn])
        right, up, depth = GRID_BASIS @ np.roll(circle, axis + 1, 0)
        for front, color in ((False, "#EAEAEA"), (True, "#CFCFCF")):
            ax.plot(*np.where((depth >= 0) == front, (right, up), np.nan), color=color, lw=1, zorder=0.5 + front / 4)
    for k in np.unique(categories):
        members = seen[categories == k]
        for front in (False, True):
            shown = members[(members[:, 2] >= 0) == front]
            style = {"s": 22, "lw": 0.3, "ec": "white", "fc": COLORS[k], "alpha": 0.85, "zorder": 3}
            if not front:
                style = {"s": 14, "lw": 0.6, "ec": COLORS[k], "fc": "none", "alpha": 0.3, "zorder": 1}
            ax.scatter(*shown[:, :2].T, gid=f"{'front' if front else 'back'}-{k}", **style)


def _points(points, step) -> np.ndarray:
    points = to_numpy(points)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points of step {step} must be (n, 3), got {points.shape}")
    length = np.linalg.norm(points, axis=1)
    if not np.allclose(length, 1, atol=TOLERANCE):
        raise ValueError(
            f"points of step {step} must have length 1, one has {length[np.argmax(abs(length - 1))]:.3g}"
        )
    return points


def _categories(colors, n: int, most: int) -> np.ndarray:
    found = np.zeros(n) if colors is None else to_numpy(colors)
    if found.shape != (n,) or not np.isin(found, range(most)).all():
        raise ValueError(f"colors must be ({n},) categories 0..{most - 1}, got shape {found.shape}: {found}")
    return found.astype(int)


def _key(figure: Figure, names: Sequence[str], inches: float) -> None:
    dots = [Line2D([], [], ls="", marker="o", ms=9, color=COLORS[k]) for k in range(len(names))]
    labels = [fit_text(name, 72 * inches / len(names) - 30, 14) for name in names]
    key = figure.legend(dots, [label for label, _ in labels], ncols=len(names), loc="lower center", frameon=False,
                        fontsize=14, handletextpad=0.1, columnspacing=1.4, borderaxespad=0.2)  # fmt: skip
    for text, (_, size) in zip(key.get_texts(), labels):
        text.set_parse_math(False)
        text.set_fontsize(size)
