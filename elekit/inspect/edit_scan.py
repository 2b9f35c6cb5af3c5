"""The price of every single edit of one graph."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.graphs.edits import KINDS, SINGLE, Edits, all_edits
from elekit.graphs.features import is_connected
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import is_canonical, is_molecular, is_valid
from elekit.inspect._validation import anchor_point, single_graph, trimmed
from elekit.model.edit_estimates import EditEstimates
from elekit.model.loss import Psi, checked_finite, points_of, squared_distance

NODE_KINDS, PAIR_KINDS = ("relabel", "remove node"), ("change edge",)


@dataclass(frozen=True, eq=False)
class EditScan:
    """Every edit of one graph; row i of edits, points and table belongs to edit i.

    Columns of the table: edit (description), kind, loss (of the result to the anchor, in [0, 4]), change (loss minus
    that of the unedited graph), price (learned loss between result and unedited graph, in [0, 4]), valid (no node
    exceeds its capacity, and RDKit sanitizes molecules), connected, nodes (slots it touches), pairs ((i, j), i < j).
    """

    graph: Graph  # the unedited graph, rounded
    anchor: Tensor  # (D,) point that losses are measured to
    loss: float  # of the unedited graph to the anchor, in [0, 4]
    edits: Edits
    points: Tensor  # (E, D) psi of each result
    table: pd.DataFrame
    point: Tensor  # (D,) psi of the unedited graph

    @cached_property
    def results(self) -> Graph:
        """The E edited graphs."""
        return _results(self.graph, self.edits)

    def result(self, row: int) -> Graph:
        """One edited graph, a batch of one."""
        row = range(len(self.edits))[int(row)]
        return _results(self.graph, self.edits[row : row + 1])

    @property
    def priced(self) -> np.ndarray:
        """(E,) bool: edits with a price."""
        return np.array(self.table["price"].notna())

    def to_anchor(self, anchor: Tensor) -> "EditScan":
        """The same scan with losses to another anchor, a unit vector (D,); psi is not computed again."""
        loss, before = (squared_distance(p, anchor).clamp_min(0).double() for p in (self.points, self.point))
        table = self.table.assign(loss=loss.numpy(), change=(loss - before).numpy())
        return replace(self, anchor=anchor, loss=float(before), table=table)

    def heat(self) -> tuple[Tensor, Tensor]:
        """Prices of the cheapest valid edit of each node and pair; where low, the loss hardly sees the difference.

        (N,) of relabeling or removing each node, and (N, N) of changing each pair; nan without such an edit.
        """
        N = self.graph.nodes.shape[1]
        nodes, pairs = torch.full((N,), torch.nan), torch.full((N, N), torch.nan)
        priced = self.table[self.table["valid"]]
        for kind, price, slots, linked in zip(*(priced[name] for name in ("kind", "price", "nodes", "pairs"))):
            price = torch.tensor(price)
            for i in slots if kind in NODE_KINDS else ():
                nodes[i] = torch.fmin(nodes[i], price)
            for i, j in linked if kind in PAIR_KINDS else ():
                pairs[i, j] = pairs[j, i] = torch.fmin(pairs[i, j], price)
        return nodes, pairs


def edit_scan(
    psi: Psi,
    graph: GraphBatch,
    anchor: GraphBatch | Tensor | None = None,
    *,
    kinds: tuple[str, ...] = SINGLE,
    valid_only: bool = False,
) -> EditScan:
    """Price every single edit of a graph by the learned loss `2 - 2 <psi(y), psi(y')>`.

    Args:
        psi: The embedding.
        graph: Batch of one; rounded.
        anchor: What losses are measured to, a batch of one or a unit vector (D,); None for the graph itself.
        kinds: Kinds of edits, see `elekit.graphs.edits`.
        valid_only: Whether only valid edits are priced, which most edits of a large molecule are not; loss, change,
            price and points of the others are nan.

    Returns:
        All edits of these kinds.

    Raises:
        ValueError: If a batch has the wrong size, a vector does not have length 1, or a kind is unknown.
    """
    graph = single_graph(graph).detach().rounded()
    narrow = trimmed(graph)
    edits, own = all_edits(narrow, kinds), points_of(psi, narrow)[0]
    results = edits.results(narrow)
    fine = valid(results)
    priced = fine | (not valid_only)
    points = own.new_full((len(edits), len(own)), torch.nan)
    if priced.any():
        points[priced] = _points(psi, narrow, edits[priced], results[priced])
    prices = squared_distance(points, own).clamp_min(0).double().numpy()
    table = pd.DataFrame({
        "edit": edits.describe(*graph.labels(), graph.vocabulary), "kind": [KINDS[k] for k in edits.kind.tolist()],
        "loss": prices, "change": prices, "price": prices, "valid": fine.numpy(),
        "connected": is_connected(results).numpy(), **edited_parts(edits),
    })  # fmt: skip
    scan = EditScan(graph, own, 0.0, edits, points, table, own)
    return scan.to_anchor(own if anchor is None else anchor_point(psi, anchor))


def _points(psi: Any, graph: Graph, edits: Edits, results: PackedGraphs) -> Tensor:
    """(E, D) psi of the results of edits of one graph; of a local psi from what is near each edit."""
    if not getattr(psi, "is_local", False):
        return points_of(psi, results)
    nodes, edges = graph.labels()
    with torch.no_grad():
        found = EditEstimates(psi, nodes[0], edges[0]).points(edits)
    return checked_finite(found, "psi", "edit")


def _results(graph: Graph, edits: Edits) -> Graph:
    return Graph.from_labels(*edits.apply(*graph.labels(), graph.vocabulary), graph.vocabulary)


def edited_parts(edits: Edits) -> dict[str, list[tuple]]:
    """Slots "nodes" and "pairs" ((i, j), i < j) that each edit touches."""
    return {
        "nodes": [tuple(i for i in slots if i >= 0) for slots in edits.node.tolist()],
        "pairs": [tuple((min(p), max(p)) for p in pairs if p[0] >= 0) for pairs in edits.pair.tolist()],
    }


def valid(graphs: GraphBatch, canonical: bool = False) -> Tensor:
    """(B,) bool: no node exceeds its capacity and, where graphs are molecules, RDKit sanitizes them.

    canonical: and they have the labels that `from_smiles` gives to the molecule.
    """
    fine = graphs.valence_violation() == 0
    if is_molecular(graphs.vocabulary) and fine.any():
        fine[fine.clone()] = (is_canonical if canonical else is_valid)(graphs[fine])
    return fine
