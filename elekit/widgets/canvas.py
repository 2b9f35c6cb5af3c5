"""One map on the screen: jupyter-scatter's widget, made once and updated, with who selects and points at what."""

import asyncio

import jscatter
import numpy as np
from matplotlib.colors import to_rgba

from elekit.draw.maps import CONTEXT, Paint, bounding_square

NOBODY = -1  # jupyter-scatter takes None for the first point
TOOLS = ["pan_zoom", "lasso", "lasso_type", "divider", "full_screen", "download", "reset"]
APART = 0.4  # seconds between points sent: what comes while the browser still draws is lost there, see `version`
# For regl-scatterplot. It tells of the pointer only after it drew, which takes 50 to 200 ms by software, unless told to.
OPTIONS = {"syncEvents": True, "pointOutlineWidth": 0, "pointSizeSelected": 1, "opacityByDensityFill": 0.6}


class Canvas:
    """A map of n points. Its `widget` is jupyter-scatter's; `clicked`, `lassoed` and `pointed` are called from it.

    positions: (n, 2). reticle: cross hairs through the point that is pointed at, on this map or another.
    version: counts the points that were sent; it goes along with them, so that the browser can tell when it missed some
    (it drops what comes while it draws) and ask for them by `send_points`. sent: called when there is another version.
    """

    def __init__(self, positions: np.ndarray, height: int, *, reticle: bool, clicked, lassoed, pointed, sent):
        self.clicked, self.lassoed, self.pointed, self.sent, self.version = clicked, lassoed, pointed, sent, 0
        self.frame = bounding_square(positions)
        self.places = self.on_canvas(positions)
        self.codes = np.zeros(len(positions), dtype=np.int64)
        scatter = jscatter.Scatter(
            x=self.places[:, 0], y=self.places[:, 1], x_scale=(-1, 1), y_scale=(-1, 1), height=height, color="#000000",
            axes=False, legend=False, tooltip=False, reticle=reticle, background_color="white", opacity_unselected=0.6,
            lasso_on_long_press=False, transition_points=False, size=6 if len(positions) < 2_000 else 4 if len(positions) < 20_000 else 3,
        )  # fmt: skip
        self.widget = scatter.show(TOOLS)
        self.widget.color_scale, self.widget.color_domain, self.widget.color_by = "categorical", {}, "valueA"
        self.widget.regl_scatterplot_options = OPTIONS
        self.widget.add_class("elekit-map")
        self.deaf = self.waiting = False
        self.resting: asyncio.TimerHandle | None = None
        self.widget.observe(self._hear_selection, "selection")
        self.widget.observe(self._hear_pointer, "hovering")

    def on_canvas(self, positions: np.ndarray) -> np.ndarray:
        """Where positions of the map are on the canvas, in [-1, 1]."""
        middle, half = self.frame
        return (np.asarray(positions, dtype=np.float64).reshape(-1, 2) - middle) / half

    # -- from the browser --------------------------------------------------------------------------------------
    def _hear_selection(self, change):
        if self.deaf:
            return
        rows = np.asarray([] if change["new"] is None else change["new"]).astype(np.int64).ravel()
        if len(rows) == 1 and rows[0] == self.widget.hovering:
            self.clicked(int(rows[0]))
        else:
            self.lassoed(rows)

    def _hear_pointer(self, change):
        if not self.deaf:
            row = change["new"]
            self.pointed(None if row is None or row < 0 else int(row))

    # -- to the browser ----------------------------------------------------------------------------------------
    def _tell(self, **traits):
        self.deaf = True
        try:
            with self.widget.hold_sync():
                for name, value in traits.items():
                    setattr(self.widget, name, value)
        finally:
            self.deaf = False

    def select(self, rows: np.ndarray):
        """Select rows (ascending), unless the browser says that it has these."""
        known = self.widget.selection
        if known is None or not np.array_equal(np.sort(known), rows):
            self._tell(selection=rows.astype(np.uint32))

    def point(self, row: int | None):
        """Point at a row, unless the browser says that it does; None = at nothing."""
        row = NOBODY if row is None else row
        if (NOBODY if self.widget.hovering is None else self.widget.hovering) != row:
            self._tell(hovering=row)

    def marks(self, *, pinned: int | None, neighbors=(), predicted=(), path: np.ndarray | None = None) -> dict:
        """What is drawn over the points, in places on the canvas: dots {kind, at, number} and lines {kind, points}.

        pinned, neighbors: rows. predicted: (row, (2,) position of its prediction) pairs. path: (m, 2) positions.
        """
        dots, lines = [], []
        if path is not None:
            path = self.on_canvas(path)
            lines.append(("path", path))
            dots += [("start", path[0], 0), ("end", path[-1], 0)]
        for row, position in predicted:
            there = self.on_canvas(position)[0]
            lines.append(("prediction", np.stack([self.places[row], there])))
            dots.append(("prediction", there, int(row != pinned)))
        dots += [("neighbor", self.places[row], number) for number, row in enumerate(neighbors, 1)]
        if pinned is not None:
            dots.append(("pinned", self.places[pinned], 0))
        return {
            "dots": [{"kind": kind, "at": at.round(4).tolist(), "number": n} for kind, at, n in dots],
            "lines": [{"kind": kind, "points": points.round(4).tolist()} for kind, points in lines],
        }

    def move(self, positions: np.ndarray):
        """The points go elsewhere."""
        self.frame = bounding_square(positions)
        self.places = self.on_canvas(positions)
        self.send_points()

    def paint(self, paint: Paint, context: bool):
        """Color the points; with `context` those that are not selected are gray."""
        colors = [to_rgba(color) for color in paint.colors]
        colors += [colors[-1]] * (2 - len(colors))  # a single color would be no list to jupyter-scatter
        own = [list(color) for color in colors]
        gray = [list(to_rgba(CONTEXT))] * len(own)
        black = [[0.0, 0.0, 0.0, 1.0]] * len(own)
        if not np.array_equal(self.codes, paint.codes):
            self.codes = paint.codes
            self.send_points()
        self._tell(color=gray if context else own, color_selected=own, color_hover=black)

    def send_points(self):
        """Places and colors of the points, now or as soon as the browser can take them."""
        self.waiting = self.resting is not None
        if self.waiting:
            return
        self.version += 1
        versions = np.full(len(self.codes), self.version)
        points = np.column_stack([self.places, self.codes, versions]).astype(np.float32)
        self._tell(prevent_filter_reset=True, transition_points=False, non_spatial_points_update=False, points=points)
        self.sent()
        try:
            self.resting = asyncio.get_running_loop().call_later(APART, self._rested)
        except RuntimeError:  # no browser without an event loop
            self.resting = None

    def _rested(self):
        self.resting = None
        if self.waiting:
            self.send_points()

    def close(self):
        """jupyter-scatter's widgets are never freed, so that this one is left without anything of value."""
        if self.resting is not None:
            self.resting.cancel()
        self.widget.unobserve_all()
        self.widget.close()
        self.widget.points, self.widget.selection = np.zeros((0, 4), np.float32), np.zeros(0, np.uint32)
