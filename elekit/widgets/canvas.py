"""One map on the screen: a jupyter-scatter widget, made once and updated, and its pointer and selection events."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import jscatter
import numpy as np
from matplotlib.colors import to_rgb, to_rgba

from elekit.draw.maps import DARK, LIGHT, Paint, bounding_box
from elekit.widgets.explored import Predicted
from elekit.widgets.inspector_io import Json

NO_POINT = -1  # jupyter-scatter takes None for the first point
TOOLS = [
    "pan_zoom",
    "lasso",
    "lasso_type",
    "divider",
    "download",
    "reset",
]  # full screen leaves legend and cards behind
SIZES = ((2_000, 6), (20_000, 4), (200_000, 3))  # of more points, larger dots are too faint to have a color
PAUSE = 0.4  # seconds between messages with points: the browser drops those that arrive while it draws
# For regl-scatterplot. Without syncEvents it reports the pointer after drawing, which takes 50 to 200 ms in software.
OPTIONS = {"syncEvents": True, "pointOutlineWidth": 0, "pointSizeSelected": 1, "opacityByDensityFill": 0.6,
           "deselectOnDblClick": False,
           "actionKeyMap": {"lasso": "shift"}}  # fmt: skip  # with Alt it would subtract, and `Explorer.choose` again


class Canvas:
    """A map of n points. `widget` is jupyter-scatter's; its events call `clicked`, `lassoed` and `pointed`.

    positions: (n, 2). reticle: cross hairs through the point under the pointer, on all maps.
    version: counts the messages with points and travels with them, so that the browser can detect that it missed one
    and ask for `send_points`. sent: called on every new version.
    """

    def __init__(
        self, positions: np.ndarray, height: int, *, reticle: bool, clicked: Callable[[int], object],
        lassoed: Callable[[np.ndarray], object], pointed: Callable[[int | None], object], sent: Callable[[], object],
    ):  # fmt: skip
        self.clicked, self.lassoed, self.pointed, self.sent, self.version = clicked, lassoed, pointed, sent, 0
        self.frame, self.backdrop = bounding_box(positions), LIGHT
        self.places = self.on_canvas(positions)
        self.codes = np.zeros(len(positions), dtype=np.int64)
        scatter = jscatter.Scatter(
            x=self.places[:, 0], y=self.places[:, 1], x_scale=(-1, 1), y_scale=(-1, 1), height=height,
            color="#000000", background_color="#ffffff", opacity_unselected=0.6, axes=False, legend=False,
            tooltip=False, reticle=reticle, lasso_on_long_press=False, transition_points=False,
            size=next((size for most, size in SIZES if len(positions) < most), 1),
        )  # fmt: skip
        self.widget = scatter.show(TOOLS)
        self.widget.color_scale, self.widget.color_domain, self.widget.color_by = "categorical", {}, "valueA"
        self.widget.regl_scatterplot_options = OPTIONS
        self.widget.add_class("elekit-map")
        self.muted = self.waiting = False
        self.timer: asyncio.TimerHandle | None = None
        self.widget.observe(self._receive_selection, "selection")
        self.widget.observe(self._receive_pointer, "hovering")

    def on_canvas(self, positions: np.ndarray) -> np.ndarray:
        """Positions of the map in coordinates of the canvas, [-1, 1]."""
        middle, half = self.frame
        places: np.ndarray = (np.asarray(positions, dtype=np.float64).reshape(-1, 2) - middle) / half
        return places

    # -- from the browser --------------------------------------------------------------------------------------
    def _receive_selection(self, change: dict[str, Any]) -> None:
        if self.muted:
            return
        rows = np.asarray([] if change["new"] is None else change["new"]).astype(np.int64).ravel()
        if len(rows) == 1 and rows[0] == self.widget.hovering:
            self.clicked(int(rows[0]))
        else:
            self.lassoed(rows)

    def _receive_pointer(self, change: dict[str, Any]) -> None:
        if not self.muted:
            row = change["new"]
            self.pointed(None if row is None or row < 0 else int(row))

    # -- to the browser ----------------------------------------------------------------------------------------
    def _set(self, **traits: Any) -> None:
        self.muted = True
        try:
            with self.widget.hold_sync():
                for name, value in traits.items():
                    setattr(self.widget, name, value)
        finally:
            self.muted = False

    def select(self, rows: np.ndarray) -> None:
        """Select rows (ascending), unless the browser already does."""
        known = self.widget.selection
        if known is None or not np.array_equal(np.sort(known), rows):
            self._set(selection=rows.astype(np.uint32))

    def point(self, row: int | None) -> None:
        """Point at a row, or at nothing, unless the browser already does."""
        point = NO_POINT if row is None else row
        if (NO_POINT if self.widget.hovering is None else self.widget.hovering) != point:
            self._set(hovering=point)

    @property
    def shape(self) -> float:
        """Width of the map by its height."""
        return float(self.frame[1][0] / self.frame[1][1])

    def marks(
        self, pinned: int | None, neighbors: Iterable[int], predicted: Iterable[Predicted], path: np.ndarray | None
    ) -> Json:
        """Marks over the points, in coordinates of the canvas: dots {kind, at, number} and lines {kind, points}."""
        dots, lines = [], []
        if path is not None:
            path = self.on_canvas(path)
            lines.append(("path", path))
            dots += [("start", path[0], 0), ("end", path[-1], 0)]
        for row, position in predicted:
            end = self.on_canvas(position)[0]
            lines.append(("prediction", np.stack([self.places[row], end])))
            dots.append(("prediction", end, int(row != pinned)))
        dots += [("neighbor", self.places[row], number) for number, row in enumerate(neighbors, 1)]
        if pinned is not None:
            dots.append(("pinned", self.places[pinned], 0))
        return {
            "dots": [{"kind": kind, "at": at.round(4).tolist(), "number": n} for kind, at, n in dots],
            "lines": [{"kind": kind, "points": points.round(4).tolist()} for kind, points in lines],
        }

    def move(self, positions: np.ndarray) -> None:
        self.frame = bounding_box(positions)
        self.places = self.on_canvas(positions)
        self.send_points()

    def lay_on(self, paper: str) -> None:
        """Change the background to a color "#rrggbb"; points have to be painted again."""
        self.backdrop = DARK if sum(to_rgb(paper)) < 1.5 else LIGHT
        self._set(background_color=paper, reticle_color=list(to_rgba(self.backdrop.ink, 0.33)))

    def paint(self, paint: Paint, context: bool) -> None:
        """Color the points; with `context`, points that are not selected are gray."""
        colors = [to_rgba(color) for color in paint.colors]
        colors += [colors[-1]] * (2 - len(colors))  # jupyter-scatter takes one color for a name
        own = [list(color) for color in colors]
        gray = [list(to_rgba(self.backdrop.context))] * len(own)
        ink = [list(to_rgba(self.backdrop.ink))] * len(own)
        if not np.array_equal(self.codes, paint.codes):
            self.codes = paint.codes
            self.send_points()
        self._set(color=gray if context else own, color_selected=own, color_hover=ink)

    def send_points(self) -> None:
        """Send places and colors of the points, now or as soon as the browser can take them."""
        self.waiting = self.timer is not None
        if self.waiting:
            return
        self.version += 1
        versions = np.full(len(self.codes), self.version)
        points = np.column_stack([self.places, self.codes, versions]).astype(np.float32)
        self._set(prevent_filter_reset=True, transition_points=False, non_spatial_points_update=False, points=points)
        self.sent()
        try:
            self.timer = asyncio.get_running_loop().call_later(PAUSE, self._timed_out)
        except RuntimeError:  # no browser without an event loop
            self.timer = None

    def _timed_out(self) -> None:
        self.timer = None
        if self.waiting:
            self.send_points()

    def close(self) -> None:
        """Drop all data: jupyter-scatter's widgets are never freed."""
        if self.timer is not None:
            self.timer.cancel()
        self.widget.unobserve_all()
        self.widget.close()
        self.widget.points, self.widget.selection = np.zeros((0, 4), np.float32), np.zeros(0, np.uint32)
