"""State of the loss inspector: one graph, its priced edits and their results. Needs no widget and no kernel."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit import inspect
from elekit.draw.layouts import layout
from elekit.draw.placement import neighbor_positions
from elekit.draw.scenes import palette, scene
from elekit.evaluation.formatting import significant
from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary, check_labels
from elekit.graphs.smiles import is_molecular
from elekit.inspect.edit_scan import EditScan
from elekit.inspect.maps import EmbeddingMap, trust_words
from elekit.inspect.shapley import ShapleyValues
from elekit.model.health import typical_edit
from elekit.model.loss import Psi, points_of
from elekit.widgets import inspector_io as io
from elekit.widgets.alignment import aligned
from elekit.widgets.inspector_io import DIGITS, Json, Visit, one_graph, roomy_scene, synchronized
from elekit.widgets.space import Data, Space, read

NEAREST = 4  # known graphs shown
MANY = 150_000  # a scan with more takes seconds
SCANS = 4  # kept, so that undo, redo and another anchor take no time
BACKGROUND = 10_000  # points of the map that are drawn


def vocabulary_of(psi: Psi, graph: Graph | str) -> GraphVocabulary:
    vocabulary = getattr(psi, "vocabulary", None) or getattr(graph, "vocabulary", None)
    if vocabulary is None:
        raise ValueError("this psi has no vocabulary to read SMILES with; pass a Graph")
    return vocabulary


class Inspection:
    """The state that the loss inspector shows; `LossInspector` documents its attributes."""

    view = "price"
    valid_only = True
    unit = 0.0
    unit_words = ""
    picked: Json = {}  # noqa: RUF012 - replaced, never mutated
    _visits: list[Visit] = []  # noqa: RUF012 - replaced
    _scans: list[tuple[Graph, Psi, EditScan]] = []  # noqa: RUF012 - replaced
    comparison: Json = {}  # noqa: RUF012 - replaced
    _scan: EditScan
    _known: GraphBatch | None
    _names: list[str]
    _shares: tuple[ShapleyValues, ...] | None

    def __init__(
        self, psi: Psi, graph: Graph | str, *, anchor: Graph | str | None = None, among: Data | None = None,
        names: Sequence[str] | None = None, map: EmbeddingMap | None = None, other: Psi | None = None,
        losses: tuple[str, str] = ("first", "second"),
    ):  # fmt: skip
        self.psi, self._lock, self.vocabulary = psi, threading.RLock(), vocabulary_of(psi, graph)
        if len(losses) != 2 or losses[0] == losses[1]:
            raise ValueError(f"losses must be two different names, got {losses!r}")
        self.other, self.losses = other, (str(losses[0]), str(losses[1]))
        if other is not None:
            labels = getattr(other, "vocabulary", self.vocabulary)
            check_labels(labels, self.vocabulary, "other= has other labels", "psi")
        self.palette, self.molecular = palette(self.vocabulary), is_molecular(self.vocabulary)
        self.neighbors: list[Json] = []
        self.separations: list[Json] = []
        self._measure_in(typical_edit(psi), "the price of a typical edit of this loss")
        self._know(among, names, map)
        self._start(one_graph(graph, self.vocabulary))
        self._hold("original" if anchor is None else anchor)
        self._arrive()

    @property
    def at(self) -> int:
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
    @synchronized
    def graph(self) -> Graph:
        """The graph shown, a batch of one."""
        return self._visits[self.at].graph

    @property
    @synchronized
    def anchor(self) -> Graph:
        """The graph that losses are measured to, a batch of one."""
        return self._held.graph

    @property
    @synchronized
    def scan(self) -> EditScan:
        """All edits of the graph shown, priced."""
        if not self._scan.priced.all():
            self._scan = self._scanned(self.graph, whole=True).to_anchor(self._held.point)
        return self._scan

    @property
    @synchronized
    def price_changes(self) -> pd.DataFrame:
        """Of two losses, edits by change of price: edit, valid, price, other, difference (other - price)."""
        if self.other is None:
            raise ValueError("there is no second loss to compare; pass it as other=")
        table = self._compared()[0]
        return table.sort_values("difference", key=np.abs, ascending=False, kind="stable")

    @property
    @synchronized
    def history(self) -> list[Graph]:
        """All graphs visited, the original first, including those that redo returns to."""
        return [visit.graph for visit in self._visits]

    @synchronized
    def apply(self, row: int, at: int | None = None) -> None:
        """Apply the edit of a row of `scan.table`; steps that were undone are dropped.

        at: the step at which the row was read. If another one is shown by now (a double click), nothing happens.
        """
        if at not in (None, self.at):
            return
        if not 0 <= row < len(self._scan.table):
            raise ValueError(f"no edit {row}; the table has rows 0..{len(self._scan.table) - 1}")
        before, table = self._visits[self.at], self.table
        positions = before.positions.copy()
        if table["kind"][row] == "add node" and table["pair"][row]:
            new, ends = table["node"][row], table["pair"][row]
            positions[new] = neighbor_positions(before.graph, positions)[sum(ends) - new]
        result = self._scan.result(row)
        visit = self._visit(result, points_of(self.psi, result)[0], positions, table["edit"][row])
        self._visits = [*self._visits[: self.at + 1], visit]
        self.at += 1

    @synchronized
    def undo(self) -> None:
        if self.at == 0:
            raise ValueError("nothing to undo; this is the original")
        self.at -= 1

    @synchronized
    def redo(self) -> None:
        if self.at == len(self._visits) - 1:
            raise ValueError("nothing to redo; this is the last step")
        self.at += 1

    @synchronized
    def go(self, step: int) -> None:
        self.at = step

    @synchronized
    def reset(self, graph: Graph | str) -> None:
        """Start over from another graph or SMILES. An anchor other than the original is kept."""
        original, follows = one_graph(graph, self.vocabulary), self._held.graph is self._visits[0].graph
        self._start(original)
        if follows:
            self._hold("original")
        if self.at:
            self.at = 0
        else:
            self._arrive()

    @synchronized
    def set_anchor(self, what: Graph | str | int) -> None:
        """Measure losses to "original", "current" (the graph shown), a batch of one, SMILES, or a row of `among`."""
        self._hold(what)
        with self.hold_sync():
            self._price()
        self._turn()

    @synchronized
    def tidy(self) -> None:
        """Compute a new layout, for a graph that edits have crowded."""
        visit = replace(self._visits[self.at], positions=layout(self.graph))
        self._visits[self.at] = visit
        self.scene = roomy_scene(visit.graph, visit.positions)

    @synchronized
    def compute_shares(self) -> None:
        """Compute the shares of all parts of graph and anchor in `2 - loss` (Shapley values), once."""
        if self._shares is None:
            visit, held = self._visits[self.at], self._held
            mine = inspect.shapley_values(self.psi, visit.graph, held.point)
            other = inspect.shapley_values(self.psi, held.graph, visit.point)
            self._shares = mine, other
            shares = {"graph": io.parts(mine, visit.graph), "anchor": io.parts(other, held.graph)}
            self.shares = {**shares, "loss": mine.loss}

    @synchronized
    def compute_separations(self, place: int | None = None) -> None:
        """Draw its neighbors over the graph, or the one at `place`, and compute the edits between them."""
        if self._known is None:
            return
        for n in range(len(self.separations)) if place is None else (place,):
            if 0 <= n < len(self.separations) and not self.separations[n]:
                other, here = self._known[self.neighbors[n]["row"]], self._visits[self.at].positions
                self.separations = [
                    *self.separations[:n],
                    aligned(self.graph, other, here),
                    *self.separations[n + 1 :],
                ]

    def _measure_in(self, unit: float, what: str) -> None:
        self.unit = unit if unit > 0 else 0.0
        self.unit_words = f"1 edit = {what} (loss {significant(unit)})." if self.unit else ""

    def _has(self, slots: list[Any]) -> bool:
        nodes = self.scene.get("nodes", [])
        return all(isinstance(i, int) and 0 <= i < len(nodes) and nodes[i] for i in slots)

    def _know(self, among: Data | None, names: Sequence[str] | None, map: EmbeddingMap | None) -> None:
        """Set the known graphs. Without any, the map shows the single edits of the original."""
        self._known, self._names = None, []
        if among is None:
            if names is not None or map is not None:
                raise ValueError("names and map describe known graphs; pass those as among=")
            return
        self._known, frame, _ = read(among)
        if names is None and frame is not None and "smiles" in frame:
            names = frame["smiles"]
        self._names = [f"graph {n}" for n in range(len(self._known))] if names is None else [str(n) for n in names]
        if len(self._names) != len(self._known):
            raise ValueError(f"got {len(self._names)} names for {len(self._known)} graphs in among")
        self._show_map(Space.of(self.psi, self._known, map).map, f"{len(self._known):,} known graphs")

    def _show_map(self, map: EmbeddingMap, of: str) -> None:
        rows = np.linspace(0, len(map.positions) - 1, min(len(map.positions), BACKGROUND)).astype(int)
        self._map, self.context = map, map.positions[rows].astype(float).round(4).ravel().tolist()
        self.map_note = f"In gray: {of}. {trust_words(map.kept, map.method)}"

    def _visit(self, graph: Graph, point: Tensor, positions: np.ndarray, words: str) -> Visit:
        return Visit(graph, point, positions, self._map.transform(point[None])[0], words)

    def _start(self, original: Graph) -> None:
        point = points_of(self.psi, original)[0]
        if self._known is None:
            scan = self._scanned(original)
            edited = scan.points[torch.from_numpy(scan.priced)]
            map = inspect.fit_map(torch.cat([point[None], edited.reshape(-1, len(point))]), method="pca")
            self._show_map(map, f"the original and its {len(edited):,} single edits")
        self._visits = [self._visit(original, point, layout(original), "original")]

    def _hold(self, what: Graph | str | int) -> None:
        if what in ("original", "current"):
            held = self._visits[0 if what == "original" else self.at]
            words = what if what == "original" or not self.at else f"step {self.at}"
            held = replace(held, words=words)
        else:
            given, words = what, what if isinstance(what, str) else "another graph"
            if type(what) is int and self._known is not None and 0 <= what < len(self._known):
                given, words = self._known[what].dense(), self._names[what]
            graph = one_graph(given, self.vocabulary)
            held = self._visit(graph, points_of(self.psi, graph)[0], layout(graph), words)
        self._held, self.anchor_name, self.anchor_scene = held, held.words, roomy_scene(held.graph, held.positions)

    @synchronized
    def _arrive(self, change: object = None) -> None:
        """Show the current step: first its prices, then its neighbors."""
        visit = self._visits[self.at]
        with self.hold_sync():
            self.scene, self.steps = roomy_scene(visit.graph, visit.positions), [v.words for v in self._visits]
            if not self._has(self.picked.get("pair") or list(self.picked.values())):
                self.picked = {}
            self._price()
        if self._known is not None:
            found = inspect.neighbors(visit.point, self._map.points, NEAREST)
            pairs = zip(found["row"].tolist(), found["loss"])
            with self.hold_sync():
                self.neighbors = [self._neighbor(self._known, row, loss) for row, loss in pairs]
                self.separations = [{} for _ in self.neighbors]
        self._turn()

    def _price(self) -> None:
        scan = self._scanned(self.graph, whole=not self.valid_only).to_anchor(self._held.point)
        self._scan = scan
        if not self.unit:
            prices = scan.table["price"][scan.table["valid"]]
            self._measure_in(
                float(prices.median()) if len(prices) else 0.0, "the median price of the edits of this graph"
            )
        self.table, self.heat, self.loss = {**io.columns(scan), "step": self.at}, io.heat(scan), scan.loss
        self._shares, self.shares = None, {}
        if self.other is not None:
            table, (nodes, pairs) = self._compared()
            columns = {name: table[name].fillna(0.0).round(DIGITS).tolist() for name in ("other", "difference")}
            parts = {"nodes": io.listed(nodes), "pairs": io.listed_pairs(pairs)}
            self.comparison = {"names": list(self.losses), **columns, **parts}
        self.path = {"places": [v.place.tolist() for v in self._visits], "anchor": self._held.place.tolist()}

    def _compared(self) -> tuple[pd.DataFrame, tuple[Tensor, Tensor]]:
        """Prices of the table's edits by both losses, and the changes of the cheapest ones: (N,) and (N, N)."""
        mine, other = self._scan, self._scanned(self.graph, whole=bool(self._scan.priced.all()), psi=self.other)
        table = mine.table[["edit", "valid", "price"]].assign(other=other.table["price"])
        nodes, pairs = (after - before for before, after in zip(mine.heat(), other.heat()))
        return table.assign(difference=table["other"] - table["price"]), (nodes, pairs)

    def _scanned(self, graph: Graph, whole: bool = False, psi: Psi | None = None) -> EditScan:
        """The edits of a graph by psi or another loss, computed once for each of the last graphs shown.

        whole: whether all are priced; otherwise, of many, only the valid ones as long as others are not listed.
        """
        psi = self.psi if psi is None else psi
        found = next((scan for one, by, scan in self._scans if one is graph and by is psi), None)
        if found is None or (whole and not found.priced.all()):
            used = int((graph.labels()[0] > 0).sum())
            many = used**3 * graph.vocabulary.R > MANY  # about as many nodes have all edited graphs together
            found = inspect.edit_scan(psi, graph, valid_only=many and not whole and self.valid_only)
            others = [one for one in self._scans if one[0] is not graph or one[1] is not psi]
            most = SCANS if self.other is None else 2 * SCANS
            self._scans = [*others[1 - most :], (graph, psi, found)]
        return found

    @synchronized
    def _list_all(self, change: object = None) -> None:
        """Price the rest of the edits if they are listed."""
        if not self.valid_only and not self._scan.priced.all():
            self._price()

    def _turn(self, change: object = None) -> None:
        if self.view == "shares":
            self.compute_shares()

    def _neighbor(self, known: GraphBatch, row: int, loss: float) -> Json:
        found = {"row": row, "name": self._names[row], "loss": round(loss, DIGITS)}
        return {**found, "place": self._map.positions[row].tolist(), "scene": scene(known[row].dense())}
