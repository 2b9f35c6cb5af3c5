"""What goes into the loss inspector, and what it sends to the browser as plain JSON."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from elekit.draw.placement import RAMP, finite_range, label_positions, neighbor_positions
from elekit.draw.scenes import scene
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.inspect import EditScan, ShapleyValues

DIGITS = 6  # of numbers that go to the browser


def alone(method: Callable) -> Callable:
    """One at a time: a lab may hear the browser in a thread of its own (a subshell) while a cell is running."""

    @functools.wraps(method)
    def locked(self, *given, **named):
        with self._lock:
            return method(self, *given, **named)

    return locked


@dataclass(frozen=True, eq=False)
class Visit:
    """A graph on the way: batch of one, its point (D,), positions (N, 2) of its nodes, its place (2,) on the map."""

    graph: Graph
    point: Tensor
    positions: np.ndarray
    place: np.ndarray
    words: str


def one_graph(given: Graph | str, vocabulary: GraphVocabulary) -> Graph:
    """One rounded graph of these labels, a batch of one, out of such a graph or a SMILES; ValueError for others."""
    if isinstance(given, str):
        if not is_molecular(vocabulary):
            raise ValueError(f"{given!r} is not understood: the labels of this loss are no atoms; give a Graph")
        from elekit.graphs.smiles import from_smiles

        return from_smiles(given, vocabulary)
    if not isinstance(given, Graph) or len(given) != 1:
        what = f"a batch of {len(given)}" if isinstance(given, Graph) else type(given).__name__
        raise ValueError(f"want one graph (a batch of one) or a SMILES, got {what}; use graphs[0]")
    theirs = given.vocabulary
    if (vocabulary.node_labels, vocabulary.edge_labels) != (theirs.node_labels, theirs.edge_labels):
        raise ValueError(
            f"the graph has labels {list(theirs.node_labels)} and {list(theirs.edge_labels)}, the loss knows "
            f"{list(vocabulary.node_labels)} and {list(vocabulary.edge_labels)}; read it with the loss's vocabulary"
        )
    return given.detach().rounded()


def is_molecular(vocabulary: GraphVocabulary) -> bool:
    """Whether graphs of these labels are molecules, so that SMILES are understood."""
    from elekit.graphs.smiles import is_molecular

    return is_molecular(vocabulary)


def roomy_scene(graph: Graph, positions: np.ndarray) -> dict:
    """A scene with places for words at nodes and edges, and where a neighbor of each node would go; None if absent."""
    of_nodes, of_edges = label_positions(graph, positions)
    return {
        **scene(graph, positions),
        "words": [listed(place) if np.isfinite(place).all() else None for place in of_nodes],
        "sides": [[i, j, *listed(place)] for (i, j), place in of_edges.items()],
        "spots": [listed(spot) if np.isfinite(spot).all() else None for spot in neighbor_positions(graph, positions)],
    }


def columns(scan: EditScan) -> dict:
    """The table of a scan by columns, and what each edit sets: a node's channel, a pair's channel; -1 or None = none.

    An edit that adds a node on an edge is told shorter than in the scan: "add F to node 3, single".
    """
    table, edits, names = scan.table, scan.edits, scan.graph.vocabulary
    node, label, edge = (values[:, 0].tolist() for values in (edits.node, edits.label, edits.edge))
    told, pairs = table["edit"].tolist(), [list(linked[0]) if linked else None for linked in table["pairs"]]
    for row, (kind, pair) in enumerate(zip(table["kind"], pairs)):
        if kind == "add node" and pair:
            added, linked = names.node_labels[label[row] - 1], names.edge_labels[edge[row] - 1]
            told[row] = f"add {added} to node {sum(pair) - node[row]}, {linked}"
    plain = {name: table[name].tolist() for name in ("kind", "valid", "connected")}
    numbers = {name: table[name].round(DIGITS).tolist() for name in ("price", "change")}
    return {"edit": told, **plain, **numbers, "node": node, "label": label, "pair": pairs, "edge": edge}


def heat(scan: EditScan) -> dict:
    """Cheapest valid price of nodes and of pairs [i, j, price], the ends of the ramp (over what is there), its colors."""
    (nodes, pairs), linked = scan.heat(), scan.graph.labels()[1][0] > 0
    low, high = finite_range(nodes, pairs[linked])
    return {"nodes": listed(nodes), "pairs": listed_pairs(pairs), "low": low, "high": high, "ramp": RAMP}


def parts(shares: ShapleyValues, graph: Graph) -> dict:
    """Shares of nodes and of pairs [i, j, share]; and their table by columns: part, share, error."""
    table = shares.table(graph)
    rows = {name: table[name].tolist() for name in ("part", "share", "error")}
    return {"nodes": listed(shares.nodes), "pairs": listed_pairs(shares.edges), **rows}


def listed(values) -> list:
    """(n,) numbers as a list, with None for what is no number."""
    values = np.asarray(values, dtype=float)
    return [round(v, DIGITS) if np.isfinite(v) else None for v in values.tolist()]


def listed_pairs(values: Tensor) -> list:
    """[i, j, value] of the finite entries above the diagonal of (N, N)."""
    return [[i, j, round(float(values[i, j]), DIGITS)] for i, j in (~values.isnan()).triu(1).nonzero().tolist()]
