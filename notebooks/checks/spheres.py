"""Points of the unit sphere in three dimensions, as small pictures of the whole sphere."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from elekit.draw.base import GRAY, OKABE_ITO, fit_text, to_numpy
from elekit.draw.figure import Picture

ORDER = (4, 5, 2, 0, 1, 6, 3)  # of Okabe and Ito's colors, those that differ most first
COLORS = tuple(OKABE_ITO[k] for k in ORDER)
ROUNDING = 1e-3  # by which the length of a unit vector may be off


def _eye(towards: np.ndarray) -> np.ndarray:
    """(3, 3) rows: what is right, up, and towards the eye; slightly from the side and above where nothing is asked."""
    x, y, z = towards if np.linalg.norm(towards) > 0.05 else (1.0, 0.7, 0.4)
    turned, raised = np.arctan2(y, x), np.clip(np.arctan2(z, np.hypot(x, y)), -1.1, 1.1)  # not onto the pole
    towards = np.array([np.cos(raised) * np.cos(turned), np.cos(raised) * np.sin(turned), np.sin(raised)])
    right = np.array([-np.sin(turned), np.cos(turned), 0.0])
    return np.stack([right, np.cross(towards, right), towards])


# great circles only give depth: they are drawn so from wherever the points are seen
FROM_THE_SIDE = _eye(np.zeros(3))


def spheres(
    film: Sequence[tuple[object, object]],
    colors=None,
    names: Sequence[str] | None = None,
    *,
    columns: int = 4,
    towards=None,
) -> Figure:
    """Spheres side by side, one for each (step, points), all seen from one side; points behind are faint and open.

    film: steps (a whole number is written as "step 20", words as they are) and unit vectors (n, 3).
    colors: (n,) categories 0, 1, ... of the points, at most 7; None = one color. names: one for each category, for the
    key. towards: (3,) the direction that faces the eye; None = where the points of the last picture lie on average.
    Raises ValueError for other shapes, points that are not of unit length, and a film without pictures.
    """
    film = [(step, _points(points, step)) for step, points in film]
    if not film:
        raise ValueError("nothing to draw: the film holds no (step, points)")
    if names is not None and not 1 <= len(names) <= len(COLORS):
        raise ValueError(f"names are those of 1 to {len(COLORS)} categories, got {len(names)}")
    columns = min(columns, len(film))
    rows = -(-len(film) // columns)
    side, title, key = 2.9, 0.4, 0.45 if names else 0.0
    size = (side * columns, (side + title) * rows + key)
    figure = Picture(figsize=size)
    eye = _eye(film[-1][1].mean(0) if towards is None else to_numpy(towards))
    for n, (step, points) in enumerate(film):
        row, column = divmod(n, columns)
        bottom = size[1] - (row + 1) * (side + title)
        ax = figure.add_axes((column / columns, bottom / size[1], 1 / columns, side / size[1]))
        sphere(ax, points @ eye.T, _categories(colors, len(points), len(names or COLORS)))
        words, size_of_words = fit_text(f"step {step:,}" if isinstance(step, int) else step, 72 * side, 14)
        ax.set_title(words, fontsize=size_of_words, parse_math=False, pad=2)
    if names:
        _key(figure, names, columns * side)
    return figure


def sphere(ax: Axes, seen: np.ndarray, categories: np.ndarray) -> None:
    """One sphere: its rim, three great circles, and the points (n, 3) as (right, up, towards the eye)."""
    ax.set(xlim=(-1.08, 1.08), ylim=(-1.08, 1.08), aspect="equal")
    ax.set_axis_off()
    ax.add_patch(Circle((0, 0), 1, facecolor="#FAFAFA", edgecolor=GRAY, lw=1.2, zorder=0))
    turn = np.linspace(0, 2 * np.pi, 181)
    for axis in range(3):
        circle = np.stack([np.cos(turn), np.sin(turn), 0 * turn])
        right, up, depth = FROM_THE_SIDE @ np.roll(circle, axis + 1, 0)
        for front, color in ((False, "#EAEAEA"), (True, "#CFCFCF")):
            ax.plot(*np.where((depth >= 0) == front, (right, up), np.nan), color=color, lw=1, zorder=0.5 + front / 4)
    for k in np.unique(categories):
        mine = seen[categories == k]
        for front in (False, True):
            shown = mine[(mine[:, 2] >= 0) == front]
            look = {"s": 22, "lw": 0.3, "ec": "white", "fc": COLORS[k], "alpha": 0.85, "zorder": 3}
            if not front:
                look = {"s": 14, "lw": 0.6, "ec": COLORS[k], "fc": "none", "alpha": 0.3, "zorder": 1}
            ax.scatter(*shown[:, :2].T, gid=f"{'front' if front else 'back'}-{k}", **look)


def _points(points, step) -> np.ndarray:
    points = to_numpy(points)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points of step {step} must be (n, 3) to be drawn on a sphere, got {points.shape}")
    length = np.linalg.norm(points, axis=1)
    if not np.allclose(length, 1, atol=ROUNDING):
        raise ValueError(
            f"points of step {step} must be of length 1, one has {length[np.argmax(abs(length - 1))]:.3g}"
        )
    return points


def _categories(colors, n: int, most: int) -> np.ndarray:
    found = np.zeros(n) if colors is None else to_numpy(colors)
    if found.shape != (n,) or not np.isin(found, range(most)).all():
        raise ValueError(f"colors must be ({n},) categories 0..{most - 1}, got shape {found.shape}: {found}")
    return found.astype(int)


def _key(figure: Figure, names: Sequence[str], inches: float) -> None:
    dots = [Line2D([], [], ls="", marker="o", ms=9, color=COLORS[k]) for k in range(len(names))]
    words = [fit_text(name, 72 * inches / len(names) - 30, 14) for name in names]
    key = figure.legend(dots, [w for w, _ in words], ncols=len(names), loc="lower center", frameon=False, fontsize=14,
                        handletextpad=0.1, columnspacing=1.4, borderaxespad=0.2)  # fmt: skip
    for text, (_, size) in zip(key.get_texts(), words):
        text.set_parse_math(False)
        text.set_fontsize(size)
