"""One graph, its priced edits and where they lead, as plain values: for the loss inspector and for pages without a kernel."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from elekit import inspect
from elekit.datasets import Dataset, Split
from elekit.draw.layouts import layout
from elekit.draw.placement import neighbor_positions
from elekit.draw.scenes import palette, scene
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.inspect import EditScan, EmbeddingMap
from elekit.inspect.maps import trust_words
from elekit.model.loss import Psi, points_of
from elekit.widgets.inspector_io import (
    DIGITS,
    Visit,
    alone,
    columns,
    heat,
    is_molecular,
    one_graph,
    parts,
    roomy_scene,
)
from elekit.widgets.space import Space, read

NEAREST = 4  # known graphs shown
BACKGROUND = 10_000  # points of the map that are drawn


def vocabulary_of(psi: Psi, graph: Graph | str) -> GraphVocabulary:
    """The vocabulary of psi, or of the graph if psi has none."""
    vocabulary = getattr(psi, "vocabulary", None) or getattr(graph, "vocabulary", None)
    if vocabulary is None:
        raise ValueError("this psi has no vocabulary to read a SMILES with; give a Graph")
    return vocabulary


class Inspection:
    """What the loss inspector shows. `LossInspector` declares the same attributes as traits, which are described there.

    Args:
        psi: The learned embedding.
        graph: The graph to inspect, a batch of one, or a SMILES.
        anchor: The graph to measure losses to; the given graph if None.
        among: Known graphs for the map and the nearest neighbors.
        names: Names of the known graphs.
        map: A map of the known graphs.
    """

    view = "price"
    valid_only = True
    picked: dict = {}  # noqa: RUF012 - replaced, never changed
    _visits: Sequence[Visit] = ()

    def __init__(
        self,
        psi: Psi,
        graph: Graph | str,
        *,
        anchor: Graph | str | None = None,
        among: Dataset | Split | Graph | None = None,
        names: Sequence[str] | None = None,
        map: EmbeddingMap | None = None,
    ):
        self.psi, self._lock, self.vocabulary = psi, threading.RLock(), vocabulary_of(psi, graph)
        self.palette, self.molecular = palette(self.vocabulary), is_molecular(self.vocabulary)
        self.neighbors, self.apart = [], []
        self._know(among, names, map)
        self._start(one_graph(graph, self.vocabulary))
        self._hold("original" if anchor is None else anchor)
        self._arrive()

    @property
    def at(self) -> int:
        """The step of the history that is shown; 0 is the original."""
        return self._at

    @at.setter
    def at(self, step: int) -> None:
        self._at = step
        self._arrive()

    _at = 0

    def hold_sync(self) -> contextlib.AbstractContextManager:
        """Changes within this context reach the browser together."""
        return contextlib.nullcontext()

    @property
    @alone
    def graph(self) -> Graph:
        """The graph shown, a batch of one."""
        return self._visits[self.at].graph

    @property
    @alone
    def anchor(self) -> Graph:
        """What losses are measured to, a batch of one."""
        return self._held.graph

    @property
    @alone
    def scan(self) -> EditScan:
        """All edits of the graph shown, priced."""
        return self._scan

    @property
    @alone
    def history(self) -> list[Graph]:
        """Every graph on the way, the original first, also those that redo leads to."""
        return [visit.graph for visit in self._visits]

    @alone
    def apply(self, row: int, at: int | None = None) -> None:
        """Make the edit of a row of `scan.table`; what had been undone is forgotten.

        at: the step that the row was read at; if another is shown by now (a second click came before the first was
        answered) nothing happens. Raises ValueError for a row that there is not.
        """
        if at not in (None, self.at):
            return
        if not 0 <= row < len(self.scan.table):
            raise ValueError(f"no edit {row}; the table has the rows 0..{len(self.scan.table) - 1}")
        before, table = self._visits[self.at], self.table
        positions = before.positions.copy()
        if table["kind"][row] == "add node" and table["pair"][row]:
            new, ends = table["node"][row], table["pair"][row]
            positions[new] = neighbor_positions(before.graph, positions)[sum(ends) - new]
        visit = self._visit(self.scan.result(row), self.scan.points[row], positions, table["edit"][row])
        self._visits = [*self._visits[: self.at + 1], visit]
        self.at += 1

    @alone
    def undo(self) -> None:
        """Back to the graph before the last edit. Raises ValueError at the original."""
        if self.at == 0:
            raise ValueError("nothing to undo; this is the original")
        self.at -= 1

    @alone
    def redo(self) -> None:
        """Forward again. Raises ValueError where nothing was undone."""
        if self.at == len(self._visits) - 1:
            raise ValueError("nothing to redo; this is the last step")
        self.at += 1

    @alone
    def go(self, step: int) -> None:
        """To a step of the history, 0 = the original. Raises an error for one that there is not."""
        self.at = step

    @alone
    def reset(self, graph: Graph | str) -> None:
        """Start anew from another graph, the new original; an anchor of its own stays. ValueError as `inspect_loss`."""
        graph, follows = one_graph(graph, self.vocabulary), self._held.graph is self._visits[0].graph
        self._start(graph)
        if follows:
            self._hold("original")
        if self.at:
            self.at = 0
        else:
            self._arrive()

    @alone
    def anchor_on(self, what: Graph | str | int) -> None:
        """Measure losses to "original", "current" (the graph as it is now), a graph, a SMILES, or a row of `among`."""
        self._hold(what)
        with self.hold_sync():
            self._price()
        self._turn()

    @alone
    def tidy(self) -> None:
        """Lay the graph out anew, where edits have crowded it."""
        visit = replace(self._visits[self.at], positions=layout(self.graph))
        self._visits[self.at] = visit
        self.scene = roomy_scene(visit.graph, visit.positions)

    @alone
    def ask_shares(self) -> None:
        """Compute what each part of graph and anchor gives to `2 - loss`, where it is not known yet."""
        if self._shares is None:
            visit, held = self._visits[self.at], self._held
            pairs = ((visit.graph, held.point), (held.graph, visit.point))
            self._shares = tuple(inspect.shapley_values(self.psi, graph, point) for graph, point in pairs)
            graph, anchor = (parts(found, one) for found, (one, _) in zip(self._shares, pairs))
            self.shares = {"graph": graph, "anchor": anchor, "loss": self._shares[0].loss}

    @alone
    def ask_separates(self, place: int | None = None) -> None:
        """Put into words what separates a neighbor (its place in the list), or every one, from the graph shown."""
        for n in range(len(self.apart)) if place is None else (place,):
            if 0 <= n < len(self.apart) and not self.apart[n]:
                words = inspect.separating_edits(self.graph, self._known[self.neighbors[n]["row"]])[0]
                self.apart = [*self.apart[:n], words, *self.apart[n + 1 :]]

    def _has(self, slots: list) -> bool:
        nodes = self.scene.get("nodes", [])
        return all(isinstance(i, int) and 0 <= i < len(nodes) and nodes[i] for i in slots)

    def _know(
        self, among: Dataset | Split | Graph | None, names: Sequence[str] | None, map: EmbeddingMap | None
    ) -> None:
        """Take in the known graphs; without any, the map shows the single edits of the original."""
        self._known, self._names = None, []
        if among is None:
            if names is not None or map is not None:
                raise ValueError("names and a map belong to known graphs; give those as among=")
            return
        self._known, frame, _ = read(among)
        if names is None and frame is not None and "smiles" in frame:
            names = frame["smiles"]
        self._names = [f"graph {n}" for n in range(len(self._known))] if names is None else [str(n) for n in names]
        if len(self._names) != len(self._known):
            raise ValueError(f"{len(self._names)} names do not fit the {len(self._known)} graphs of among")
        self._spread_out(Space.of(self.psi, self._known, map).map, f"{len(self._known):,} known graphs")

    def _spread_out(self, map: EmbeddingMap, of: str) -> None:
        """Show a map."""
        rows = np.linspace(0, len(map.positions) - 1, min(len(map.positions), BACKGROUND)).astype(int)
        self._map, self.context = map, map.positions[rows].astype(float).round(4).ravel().tolist()
        self.map_note = f"In gray: {of}. {trust_words(map.kept, map.method)}"

    def _visit(self, graph: Graph, point: Tensor, positions: np.ndarray, words: str) -> Visit:
        return Visit(graph, point, positions, self._map.transform(point[None])[0], words)

    def _start(self, original: Graph) -> None:
        """A history of one graph."""
        point = points_of(self.psi, original)[0]
        if self._known is None:
            edited = inspect.edit_scan(self.psi, original).points
            map = inspect.fit_map(torch.cat([point[None], edited.reshape(-1, len(point))]), method="pca")
            self._spread_out(map, f"the original and its {len(edited):,} single edits")
        self._visits = [self._visit(original, point, layout(original), "original")]

    def _hold(self, what: Graph | str | int) -> None:
        """Take an anchor."""
        if what in ("original", "current"):
            held = self._visits[0 if what == "original" else self.at]
            words = what if what == "original" or not self.at else f"step {self.at}"
            held = replace(held, words=words)
        else:
            known = type(what) is int and self._known is not None and 0 <= what < len(self._known)
            graph = one_graph(self._known[what] if known else what, self.vocabulary)
            words = self._names[what] if known else what if isinstance(what, str) else "another graph"
            held = self._visit(graph, points_of(self.psi, graph)[0], layout(graph), words)
        self._held, self.anchor_name, self.anchor_scene = held, held.words, roomy_scene(held.graph, held.positions)

    @alone
    def _arrive(self, change=None) -> None:
        """Show a step: first its prices, then its neighbors."""
        visit = self._visits[self.at]
        with self.hold_sync():
            self.scene, self.steps = roomy_scene(visit.graph, visit.positions), [v.words for v in self._visits]
            if not self._has(self.picked.get("pair") or list(self.picked.values())):
                self.picked = {}
            self._price()
        if self._known is not None:
            found = inspect.neighbors(visit.point, self._map.points, NEAREST)
            with self.hold_sync():
                self.neighbors = [self._neighbor(int(row), loss) for row, loss in zip(found["row"], found["loss"])]
                self.apart = [""] * len(self.neighbors)
        self._turn()

    def _price(self) -> None:
        """Every edit of the graph shown, against the anchor."""
        self._scan = scan = inspect.edit_scan(self.psi, self.graph, self._held.point)
        self.table, self.heat, self.loss = {**columns(scan), "step": self.at}, heat(scan), scan.loss
        self._shares, self.shares = None, {}
        self.path = {"places": [v.place.tolist() for v in self._visits], "anchor": self._held.place.tolist()}

    def _turn(self, change=None) -> None:
        """Compute the shares if they are shown."""
        if self.view == "shares":
            self.ask_shares()

    def _neighbor(self, row: int, loss: float) -> dict:
        found = {"row": row, "name": self._names[row], "loss": round(loss, DIGITS)}
        return {**found, "place": self._map.positions[row].tolist(), "scene": scene(self._known[row])}
