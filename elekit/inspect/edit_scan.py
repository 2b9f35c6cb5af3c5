"""The price of every single edit of one graph."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import torch
from torch import Tensor

from elekit.graphs.edits import KINDS, SINGLE, Edits, all_edits
from elekit.graphs.features import is_connected
from elekit.graphs.graph import Graph
from elekit.graphs.smiles import is_molecular, is_valid
from elekit.inspect._validation import anchor_point, single_graph, trimmed
from elekit.model.loss import Psi, points_of, squared_distance

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

    @cached_property
    def results(self) -> Graph:
        """The E edited graphs."""
        return Graph.from_labels(*self.edits.apply(*self.graph.labels()), self.graph.vocabulary)

    def result(self, row: int) -> Graph:
        """One edited graph, a batch of one."""
        edit = self.edits[[range(len(self.edits))[int(row)]]]
        return Graph.from_labels(*edit.apply(*self.graph.labels()), self.graph.vocabulary)

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
    psi: Psi, graph: Graph, anchor: Graph | Tensor | None = None, *, kinds: tuple[str, ...] = SINGLE
) -> EditScan:
    """Price every single edit of a graph by the learned loss `2 - 2 <psi(y), psi(y')>`.

    Args:
        psi: The embedding.
        graph: Batch of one; rounded.
        anchor: What losses are measured to, a batch of one or a unit vector (D,); None for the graph itself.
        kinds: Kinds of edits, see `elekit.graphs.edits`.

    Returns:
        All edits of these kinds.

    Raises:
        ValueError: If a batch has the wrong size, a vector does not have length 1, or a kind is unknown.
    """
    graph = single_graph(graph).detach().rounded()
    narrow = trimmed(graph)
    nodes, edges = narrow.labels()
    edits = all_edits(narrow, kinds)
    results = Graph.from_labels(*edits.apply(nodes, edges), graph.vocabulary)
    own = points_of(psi, narrow)[0]
    points = points_of(psi, results) if len(results) else own.new_empty(0, len(own))
    anchor = own if anchor is None else anchor_point(psi, anchor)
    loss, before = (squared_distance(p, anchor).clamp_min(0).double() for p in (points, own))
    table = pd.DataFrame({
        "edit": edits.describe(nodes, edges, graph.vocabulary), "kind": [KINDS[k] for k in edits.kind.tolist()],
        "loss": loss.numpy(), "change": (loss - before).numpy(),
        "price": squared_distance(points, own).clamp_min(0).double().numpy(),
        "valid": valid(results).numpy(), "connected": is_connected(results).numpy(), **edited_parts(edits),
    })  # fmt: skip
    return EditScan(graph, anchor, float(before), edits, points, table)


def edited_parts(edits: Edits) -> dict[str, list[tuple]]:
    """Slots "nodes" and "pairs" ((i, j), i < j) that each edit touches."""
    return {
        "nodes": [tuple(i for i in slots if i >= 0) for slots in edits.node.tolist()],
        "pairs": [tuple((min(p), max(p)) for p in pairs if p[0] >= 0) for pairs in edits.pair.tolist()],
    }


def valid(graphs: Graph) -> Tensor:
    """(B,) bool: no node exceeds its capacity and, where graphs are molecules, RDKit sanitizes them."""
    fine = graphs.valence_violation() == 0
    if is_molecular(graphs.vocabulary) and fine.any():
        fine[fine.clone()] = is_valid(graphs[fine])
    return fine
