"""What does the loss make of every single edit of a graph?"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from elekit.graphs import edits as graph_edits
from elekit.graphs.edits import Edits, all_edits
from elekit.graphs.features import is_connected
from elekit.graphs.graph import Graph
from elekit.inspect._validation import one, point_of
from elekit.model.loss import Psi, points_of, squared_distance

if TYPE_CHECKING:
    import pandas as pd

OF_A_NODE, OF_A_PAIR = ("relabel", "remove node"), ("change edge",)


@dataclass(frozen=True, eq=False)
class EditScan:
    """Every edit of one graph, priced by the learned loss; row i of everything is edit i.

    graph: the unedited one, rounded. anchor: (D,) point that losses are measured to.
    loss: of the unedited graph to the anchor, in [0, 4]. edits: E of them. points: (E, D) psi of each result.
    table: one row an edit: edit (in words), kind, loss (of the result to the anchor, in [0, 4]), change (loss minus
    that of the unedited graph), price (learned loss between result and unedited graph, in [0, 4]), valid (no node
    exceeds its capacity, and RDKit sanitizes it where it is a molecule), connected, nodes (slots it touches), pairs
    ((i, j) it touches, i < j).
    """

    graph: Graph
    anchor: Tensor
    loss: float
    edits: Edits
    points: Tensor
    table: "pd.DataFrame"

    @cached_property
    def results(self) -> Graph:
        """The graphs that the edits make, a batch of E."""
        return Graph.from_labels(*self.edits.apply(*self.graph.labels()), self.graph.vocabulary)

    def result(self, row: int) -> Graph:
        """The graph that one edit makes, a batch of one."""
        return self.results[int(row)]

    def heat(self) -> tuple[Tensor, Tensor]:
        """Cheapest valid price of an edit that relabels or removes each node (N,), and that changes each pair (N, N).

        nan where there is no such edit. Where it is low, the loss hardly sees the difference.
        """
        N = self.graph.nodes.shape[1]
        nodes, pairs = torch.full((N,), torch.nan), torch.full((N, N), torch.nan)
        priced = self.table[self.table["valid"]]
        for kind, price, touched, linked in zip(*(priced[name] for name in ("kind", "price", "nodes", "pairs"))):
            price = torch.tensor(price)
            for i in touched if kind in OF_A_NODE else ():
                nodes[i] = torch.fmin(nodes[i], price)
            for i, j in linked if kind in OF_A_PAIR else ():
                pairs[i, j] = pairs[j, i] = torch.fmin(pairs[i, j], price)
        return nodes, pairs


def edit_scan(
    psi: Psi, graph: Graph, anchor: Graph | Tensor | None = None, *, kinds: tuple[str, ...] = graph_edits.SINGLE
) -> EditScan:
    """Every edit of these kinds of one graph, priced by the learned loss `2 - 2 <psi(y), psi(y')>`.

    graph: batch of one; it is rounded. anchor: what losses are measured to, a batch of one or a unit vector (D,);
    None = the graph itself. kinds: of edits, see `elekit.graphs.edits`.
    Raises ValueError for other batches, a vector that has not length 1, and kinds that there are not.
    """
    import pandas as pd

    graph = one(graph).detach().rounded()
    nodes, edges = graph.labels()
    edits = all_edits(graph, kinds)
    results = Graph.from_labels(*edits.apply(nodes, edges), graph.vocabulary)
    own = points_of(psi, graph)[0]
    points = points_of(psi, results) if len(results) else own.new_empty(0, len(own))
    anchor = own if anchor is None else point_of(psi, anchor)
    loss, before = (squared_distance(p, anchor).clamp_min(0).double() for p in (points, own))
    table = pd.DataFrame(
        {
            "edit": edits.describe(nodes, edges, graph.vocabulary),
            "kind": [graph_edits.KINDS[k] for k in edits.kind.tolist()],
            "loss": loss.numpy(),
            "change": (loss - before).numpy(),
            "price": squared_distance(points, own).clamp_min(0).double().numpy(),
            "valid": valid(results).numpy(),
            "connected": is_connected(results).numpy(),
            "nodes": [tuple(i for i in touched if i >= 0) for touched in edits.node.tolist()],
            "pairs": [tuple((min(p), max(p)) for p in touched if p[0] >= 0) for touched in edits.pair.tolist()],
        }
    )
    return EditScan(graph, anchor, float(before), edits, points, table)


def valid(graphs: Graph) -> Tensor:
    """(B,) bool: no node exceeds its capacity and, where graphs are molecules, RDKit sanitizes them."""
    from elekit.graphs.smiles import is_molecular, is_valid

    respected = graphs.valence_violation() == 0
    if is_molecular(graphs.vocabulary) and respected.any():
        respected[respected.clone()] = is_valid(graphs[respected])
    return respected
