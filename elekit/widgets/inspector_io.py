"""Inputs of the loss inspector, and what it sends to the browser as JSON."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from elekit.draw.placement import RAMP, finite_range, neighbor_positions
from elekit.draw.scenes import scene
from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary, check_labels, short
from elekit.graphs.smiles import from_parsed, is_aromatic, is_molecular, parse_smiles
from elekit.inspect.edit_scan import EditScan
from elekit.inspect.shapley import ShapleyValues

DIGITS = 6  # of numbers sent to the browser


Json = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])


def synchronized(method: F) -> F:
    """Decorator: hold `self._lock`. JupyterLab may run commands in a thread (a subshell) while a cell is running."""

    @functools.wraps(method)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return cast(F, locked)


@dataclass(frozen=True, eq=False)
class Visit:
    """A step of the history: a batch of one, its point (D,), node positions (N, 2), its place (2,) on the map."""

    graph: Graph
    point: Tensor
    positions: np.ndarray
    place: np.ndarray
    words: str


def one_graph(given: object, vocabulary: GraphVocabulary) -> Graph:
    """A rounded batch of one, read from a graph of these labels or from SMILES; ValueError for anything else."""
    if isinstance(given, str):
        if not is_molecular(vocabulary):
            raise ValueError(f"cannot read {given!r}: the labels of this loss are not atoms; pass a Graph")
        return _one_molecule(given, vocabulary)
    if not isinstance(given, GraphBatch) or len(given) != 1:
        what = f"a batch of {len(given)}" if isinstance(given, GraphBatch) else type(given).__name__
        raise ValueError(f"expected one graph (a batch of one) or a SMILES string, got {what}; use graphs[0]")
    check_labels(given.vocabulary, vocabulary, "the graph has other labels", "the loss")
    return given.dense().detach().rounded()


def _one_molecule(smiles: str, vocabulary: GraphVocabulary) -> Graph:
    """The graph of SMILES; ValueError that says what in it the loss does not take."""
    molecule, name = parse_smiles(smiles, is_aromatic(vocabulary)), short(smiles)
    if molecule.error:
        raise ValueError(f"cannot read {name}: {molecule.error}")
    if (atoms := len(molecule.nodes)) > (most := vocabulary.max_nodes):
        fix = f"take a smaller molecule, or a loss for larger ones, such as that of artifact.widened({atoms})"
        raise ValueError(f"{name} has {atoms} atoms, this loss takes up to {most}; {fix}")
    if unknown := sorted({*molecule.nodes} - {*vocabulary.node_labels}):
        known = ", ".join(vocabulary.node_labels)
        raise ValueError(f"{name} has atoms that this loss does not know: {', '.join(unknown)}; it knows {known}")
    return from_parsed([molecule], vocabulary)


def roomy_scene(graph: Graph, positions: np.ndarray) -> Json:
    """A scene, with positions of new neighbors of nodes ("spots"); None for absent nodes."""
    spots = [listed(spot) if np.isfinite(spot).all() else None for spot in neighbor_positions(graph, positions)]
    return {**scene(graph, positions), "spots": spots}


def columns(scan: EditScan) -> Json:
    """The table of a scan by columns, and what each edit sets: a node's channel, a pair's channel; -1 or None = none.

    Edits that add a node with an edge are shortened: "add F to node 3, single",
    or "add leak to node 3, → causes" where edges have a direction.
    """
    table, edits, labels = scan.table, scan.edits, scan.graph.vocabulary
    ahead = edits.pair[:, 0, 0] <= edits.pair[:, 0, 1]  # pairs of the table are in order, those of edits need not be
    edge = torch.where(ahead, edits.edge[:, 0], labels.turn(edits.edge[:, 0])).tolist()
    node, label = (values[:, 0].tolist() for values in (edits.node, edits.label))
    names, pairs = table["edit"].tolist(), [list(linked[0]) if linked else None for linked in table["pairs"]]
    for row, (kind, pair) in enumerate(zip(table["kind"], pairs)):
        if kind == "add node" and pair:
            old = sum(pair) - node[row]
            channel = edge[row] if old == pair[0] else int(labels.reverse[edge[row]])  # as seen from the old node
            names[row] = f"add {labels.node_labels[label[row] - 1]} to node {old}, {labels.edge_names[channel]}"
    plain = {name: table[name].tolist() for name in ("kind", "valid", "connected")}
    numbers = {name: table[name].fillna(0.0).round(DIGITS).tolist() for name in ("price", "change")}
    return {
        "edit": names,
        **plain,
        **numbers,
        "priced": scan.priced.tolist(),
        "node": node,
        "label": label,
        "pair": pairs,
        "edge": edge,
    }


def heat(scan: EditScan) -> Json:
    """Cheapest valid price of nodes and of pairs [i, j, price]; the ramp's colors, and the prices at its ends."""
    (nodes, pairs), linked = scan.heat(), scan.graph.labels()[1][0] > 0
    low, high = finite_range(nodes, pairs[linked])
    return {"nodes": listed(nodes), "pairs": listed_pairs(pairs), "low": low, "high": high, "ramp": RAMP}


def parts(shares: ShapleyValues, graph: Graph) -> Json:
    """Shares of nodes and of pairs [i, j, share]; and their table by columns: part, share, error."""
    table = shares.table(graph)
    rows = {name: table[name].tolist() for name in ("part", "share", "error")}
    return {"nodes": listed(shares.nodes), "pairs": listed_pairs(shares.edges), **rows}


def listed(values: ArrayLike, digits: int = DIGITS) -> list[float | None]:
    """(n,) numbers as a list, with None for nan and infinity, which JSON lacks."""
    return [round(v, digits) if np.isfinite(v) else None for v in np.asarray(values, dtype=float).tolist()]


def listed_pairs(values: Tensor) -> list[list[float]]:
    """[i, j, value] of the finite entries above the diagonal of (N, N)."""
    return [[i, j, round(float(values[i, j]), DIGITS)] for i, j in (~values.isnan()).triu(1).nonzero().tolist()]
