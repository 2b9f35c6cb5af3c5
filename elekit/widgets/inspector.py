"""The loss inspector: price, apply and undo every edit of a graph."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets
from matplotlib.figure import Figure

from elekit import draw
from elekit.graphs.graph import Graph
from elekit.inspect.maps import EmbeddingMap
from elekit.model.loss import Psi
from elekit.widgets.base import Panel, in_own_colors, verdict
from elekit.widgets.bundle import STATIC, script, style
from elekit.widgets.inspection import Inspection, vocabulary_of
from elekit.widgets.inspector_io import Json, synchronized
from elekit.widgets.page import inspector_state, save
from elekit.widgets.space import Data


def inspect_loss(
    psi: Psi, graph: Graph | str, *, anchor: Graph | str | None = None, among: Data | None = None,
    names: Sequence[str] | None = None, map: EmbeddingMap | None = None, other: Psi | None = None,
    losses: tuple[str, str] = ("first", "second"),
) -> "LossInspector":  # fmt: skip
    """Make a widget that prices every edit of a graph by the learned loss, applies edits, and shows the results.

    Args:
        psi: The learned embedding.
        graph: A batch of one, or SMILES if psi embeds molecules.
        anchor: The graph that losses are measured to; None = `graph`.
        among: Known graphs, for the nearest neighbors and the map; embedded once.
        names: A name for each known graph; None = their SMILES, otherwise numbers.
        map: A map of `among`, in its order; None = a stored map, otherwise principal components (of the single edits
            of `graph` if there is no `among`).
        other: A second learned loss of the same labels, such as psi after a correction: what it takes for each edit.
        losses: Names of psi and `other`, such as ("before", "after").

    Returns:
        The widget, an `elekit.widgets.inspector.LossInspector`.

    Raises:
        ValueError: If a graph is not one graph with the labels of psi, or if `names` or `map` do not fit `among`.
    """
    return LossInspector(psi, graph, anchor=anchor, among=among, names=names, map=map, other=other, losses=losses)


class LossInspector(Inspection, Panel):
    """One graph with its priced edits; made by `inspect_loss`. The first four attributes can be set.

    Attributes:
        at: Step of the history that is shown, 0 = the original.
        view: "price", "shares" or "comparison" (changes of prices by `other`), the meaning of the halos.
        valid_only: Whether the table leaves out edits that break a capacity or a valence.
        picked: {"node": i} or {"pair": [i, j]}, the part whose edits are listed; {} for all.
        scene: The graph as of `elekit.draw.scenes`, with positions of added nodes.
        anchor_scene: The anchor, likewise. anchor_name: "original", or its name.
        molecular: Whether SMILES can be read.
        table: Columns of all edits, row i as in `scan.table`: edit, kind, price, change, valid, connected; node (-1 =
            none) and its new channel label; pair (None = none) and its new channel edge. priced: False for invalid
            edits of a large graph until they are listed. step: the step of all rows.
        heat: Cheapest valid price of nodes and of pairs [i, j, price]; low, high and colors (ramp) of the scale.
        loss: Loss to the anchor, in [0, 4].
        steps: What was done, in words. path: places on the map of all steps and of the anchor.
        context: x and y of the points in the background of the map, alternating. map_note: what they are.
        neighbors: Nearest known graphs: row, name, loss, place, scene.
        separations: Each neighbor drawn over the graph (`elekit.widgets.alignment.aligned`), {} until it is computed.
        unit: Price of a typical edit, in which the browser writes losses; 0 = as they are. unit_words: what it is.
        comparison: Of two losses, names of both and, for each row of the table, price of the other and difference
            (the other's price minus the first's); nodes and pairs [i, j, difference]: of the cheapest valid edits.
        shares: Shares of the parts of graph and anchor in `2 - loss`; {} until they are computed.
    """

    _esm = traitlets.Unicode(script(STATIC / "inspector.js")).tag(sync=True)
    _css = traitlets.Unicode(style("inspector.css")).tag(sync=True)
    COMMANDS = ("apply", "undo", "redo", "go", "reset", "set_anchor", "tidy", "compute_shares", "compute_separations")

    at = traitlets.Int(0).tag(sync=True)
    view = traitlets.Enum(("price", "shares", "comparison"), "price").tag(sync=True)
    valid_only = traitlets.Bool(True).tag(sync=True)
    picked = traitlets.Dict().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)
    anchor_scene = traitlets.Dict().tag(sync=True)
    anchor_name = traitlets.Unicode("original").tag(sync=True)
    molecular = traitlets.Bool(False).tag(sync=True)
    table = traitlets.Dict().tag(sync=True)
    heat = traitlets.Dict().tag(sync=True)
    loss = traitlets.Float(0.0).tag(sync=True)
    steps = traitlets.List(traitlets.Unicode()).tag(sync=True)
    path = traitlets.Dict().tag(sync=True)
    context: "traitlets.List[float]" = traitlets.List().tag(sync=True)
    map_note = traitlets.Unicode("").tag(sync=True)
    neighbors: "traitlets.List[Json]" = traitlets.List().tag(sync=True)
    separations: "traitlets.List[Json]" = traitlets.List().tag(sync=True)
    unit = traitlets.Float(0.0).tag(sync=True)
    unit_words = traitlets.Unicode("").tag(sync=True)
    comparison = traitlets.Dict().tag(sync=True)
    shares = traitlets.Dict().tag(sync=True)
    hold_sync = Panel.hold_sync

    def __init__(self, psi: Psi, graph: Graph | str, **options: Any):
        vocabulary_of(psi, graph)
        Panel.__init__(self, health=verdict(psi))
        try:
            Inspection.__init__(self, psi, graph, **options)
        except BaseException:
            self.close()
            raise
        self.observe(self._arrive, "at")
        self.observe(self._turn, "view")
        self.observe(self._list_all, "valid_only")

    @traitlets.validate("at")
    def _valid_step(self, proposal: Json) -> int:
        if self._visits and not 0 <= proposal["value"] < len(self._visits):
            raise traitlets.TraitError(f"no step {proposal['value']}; steps are 0..{len(self._visits) - 1}")
        return proposal["value"]

    @traitlets.validate("view")
    def _valid_view(self, proposal: Json) -> str:
        if proposal["value"] == "comparison" and self.other is None:
            raise traitlets.TraitError("there is no second loss to compare; pass it as other=")
        return proposal["value"]

    @traitlets.validate("picked")
    def _valid_part(self, proposal: Json) -> Json:
        part = proposal["value"]
        slots = part.get("pair") or [part.get("node")]
        fits = len(part) == 1 and len(set(slots)) == len(slots) == 1 + ("pair" in part) and self._has(slots)
        if part and not fits:
            kinds = '{}, {"node": i} or {"pair": [i, j]}'
            raise traitlets.TraitError(f"picked must be {kinds} of this graph, got {part}")
        return {"pair": sorted(slots)} if "pair" in part else part

    @synchronized
    @in_own_colors
    def picture(self) -> Figure:
        """Draw the graph with its prices and extreme edits, the shares of graph and anchor, or changes of prices."""
        visit, held = self._visits[self.at], self._held
        if self.view == "shares" and self._shares is not None:
            arrays = ((found.nodes, found.edges) for found in self._shares)
            return draw.shared(visit.graph, held.graph, *arrays, positions=(visit.positions, held.positions))
        if self.view == "comparison":
            table, parts = self._compared()
            return draw.changed_prices(visit.graph, *parts, table, names=self.losses, positions=visit.positions)
        return draw.priced_edits(visit.graph, *self.scan.heat(), self.scan.table, positions=visit.positions)

    @synchronized
    def save_html(self, path: str | Path, title: str = "Loss inspector") -> Path:
        """Write the inspector as one HTML file without kernel or network; some edits can be applied there."""
        return save(path, "inspector", inspector_state(self), title)

    def _execute(self, command: str, values: Json) -> None:
        if command != "compute_separations":
            super()._execute(command, values)
            return
        before = self.problem, self.error
        with self.hold_sync():
            super()._execute(command, values)
            if not self.problem:  # the browser asked by itself: the reader's last error stays
                self.problem, self.error = before

    def _turn(self, change: object = None) -> None:
        if self.view == "shares":
            self._execute("compute_shares", {})
