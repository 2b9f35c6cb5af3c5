"""The loss inspector: every edit of a graph priced, applied and undone; what brings two graphs together."""

from collections.abc import Sequence

import traitlets
from matplotlib.figure import Figure

from elekit import draw
from elekit.datasets import Dataset, Split
from elekit.graphs.graph import Graph
from elekit.inspect import EmbeddingMap
from elekit.model.loss import Psi
from elekit.widgets.base import Panel
from elekit.widgets.bundle import STATIC, script, style
from elekit.widgets.inspection import Inspection, vocabulary_of
from elekit.widgets.inspector_io import alone


def inspect_loss(
    psi: Psi,
    graph: Graph | str,
    *,
    anchor: Graph | str | None = None,
    among: Dataset | Split | Graph | None = None,
    names: Sequence[str] | None = None,
    map: EmbeddingMap | None = None,
) -> "LossInspector":
    """A widget that prices every edit of a graph by the learned loss, applies them, and shows where they lead.

    graph: batch of one, or a SMILES where psi knows molecules. anchor: what losses are measured to; None = the graph
    as given. among: known graphs for neighbors and the map, embedded once. names: one for each of them; None =
    their SMILES, or numbers. map: of `among`, in its order; None = one made before, or the two directions of largest
    variance (PCA), those of the graph's single edits where there is no `among`.
    Raises ValueError for what is not one graph of psi's labels, and for names or a map that do not fit `among`.
    """
    return LossInspector(psi, graph, anchor=anchor, among=among, names=names, map=map)


class LossInspector(Inspection, Panel):
    """One graph, its priced edits, and where they lead; made by `inspect_loss`.

    Traits that move the widget when they are set:
        at: step of the history that is shown, 0 = the original. view: "price" or "shares", what the halos mean.
        valid_only: whether the table leaves out edits that break a capacity or a molecule.
        picked: {"node": i} or {"pair": [i, j]}, whose edits are listed; {} = all.
    Traits to be read:
        scene: the graph as of `draw.scenes`, with places for words and for added nodes. anchor_scene: the anchor's.
        anchor_name: "original" or what was given. molecular: whether SMILES are understood.
        table: columns of all edits, row i as in `scan.table`: edit, kind, price, change, valid, connected, and what is
        edited: node (-1 = none) to channel label, pair (None) to channel edge; step: of the history it belongs to.
        heat: cheapest valid price of nodes and of pairs [i, j, price]; the ramp's ends low and high, and its colors.
        loss: to the anchor, in [0, 4].
        steps: in words, what was done; undo and redo go along it. path: places on the map of all steps and the anchor.
        context: what the map shows behind, x and y in turn; map_note: what it is.
        neighbors: nearest known graphs: row, name, loss, place, scene; apart: for each, what separates it, "" until
        asked.
        shares: of the graph's and the anchor's parts in `2 - loss`; {} until asked.
    """

    _esm = traitlets.Unicode(script(STATIC / "inspector.js")).tag(sync=True)
    _css = traitlets.Unicode(style("inspector.css")).tag(sync=True)
    COMMANDS = ("apply", "undo", "redo", "go", "reset", "anchor_on", "tidy", "ask_shares", "ask_separates")

    at = traitlets.Int(0).tag(sync=True)
    view = traitlets.Enum(("price", "shares"), "price").tag(sync=True)
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
    context = traitlets.List().tag(sync=True)
    map_note = traitlets.Unicode("").tag(sync=True)
    neighbors = traitlets.List().tag(sync=True)
    apart = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shares = traitlets.Dict().tag(sync=True)
    hold_sync = Panel.hold_sync

    def __init__(self, psi: Psi, graph: Graph | str, *, anchor=None, among=None, names=None, map=None):
        vocabulary_of(psi, graph)
        Panel.__init__(self)
        try:
            Inspection.__init__(self, psi, graph, anchor=anchor, among=among, names=names, map=map)
        except BaseException:
            self.close()
            raise
        self.observe(self._arrive, "at")
        self.observe(self._turn, "view")

    @traitlets.validate("at")
    def _a_step(self, proposal) -> int:
        if self._visits and not 0 <= proposal["value"] < len(self._visits):
            raise traitlets.TraitError(f"no step {proposal['value']}; the steps are 0..{len(self._visits) - 1}")
        return proposal["value"]

    @traitlets.validate("picked")
    def _a_part(self, proposal) -> dict:
        part = proposal["value"]
        slots = part.get("pair") or [part.get("node")]
        if part and not (
            len(part) == 1 and len(set(slots)) == len(slots) == 1 + ("pair" in part) and self._has(slots)
        ):
            raise traitlets.TraitError(
                f'picked must be {{}}, {{"node": i}} or {{"pair": [i, j]}} of this graph, got {part}'
            )
        return {"pair": sorted(slots)} if "pair" in part else part

    @alone
    def picture(self) -> Figure:
        """The static twin: the graph with priced halos and its cheapest and dearest edits, or both graphs' shares."""
        visit, held = self._visits[self.at], self._held
        if self.view == "shares" and self._shares is not None:
            arrays = ((found.nodes, found.edges) for found in self._shares)
            return draw.shared(visit.graph, held.graph, *arrays, positions=(visit.positions, held.positions))
        return draw.priced_edits(visit.graph, *self.scan.heat(), self.scan.table, positions=visit.positions)

    def _obey(self, command: str, values: dict) -> None:
        if command != "ask_separates":
            super()._obey(command, values)
            return
        told = self.problem, self.trouble
        with self.hold_sync():
            super()._obey(command, values)
            if not self.problem:  # no reader asked for it, so it takes no word back
                self.problem, self.trouble = told

    def _turn(self, change=None) -> None:
        if self.view == "shares":
            self._obey("ask_shares", {})
