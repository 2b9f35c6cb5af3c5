"""Which nodes and edges bring a graph and an anchor together, and which keep them apart?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from elekit.graph import Graph
from elekit.inspect.asking import one, point_of
from elekit.loss import Psi, points_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Shares:
    """What each part of a graph gives to `2 - loss`: above 0 it brings graph and anchor together, below 0 apart.

    nodes: (N,), nan where absent. edges: (N, N) symmetric, nan where there is none. Over the nodes and the unordered
    pairs they sum to `2 - loss`. node_error, edge_error: standard errors, same shapes. loss: of the graph to the
    anchor, in [0, 4].
    """

    nodes: Tensor
    edges: Tensor
    node_error: Tensor
    edge_error: Tensor
    loss: float

    def table(self, graph: Graph) -> "pd.DataFrame":
        """Columns part (in words, such as "node 3: C" or "edge 1-2: single"), share, error; largest share first."""
        import pandas as pd

        names = graph.vocabulary
        nodes, edges = (labels[0].tolist() for labels in one(graph).labels())
        parts = [
            (f"node {i}: {names.node_labels[nodes[i] - 1]}", self.nodes[i], self.node_error[i])
            for i in (~self.nodes.isnan()).nonzero()[:, 0].tolist()
        ]
        parts += [
            (f"edge {i}-{j}: {names.edge_labels[edges[i][j] - 1]}", self.edges[i, j], self.edge_error[i, j])
            for i, j in (~self.edges.isnan()).triu(1).nonzero().tolist()
        ]
        rows = [(part, float(share), float(error)) for part, share, error in parts]
        table = pd.DataFrame(rows, columns=["part", "share", "error"])
        return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def shares(psi: Psi, graph: Graph, anchor: Graph | Tensor, *, samples: int = 64, seed: int = 0) -> Shares:
    """Shapley values of the parts of one graph in the game `v(S) = 2 <psi(y restricted to S), anchor>`.

    Parts are the nodes and the edges that are there. An edge one of whose ends is left out does nothing, and nothing
    at all counts 0 (a loss of 2). What a part adds to v is averaged over `samples` random orders in which the graph
    is put together, each with its reverse (antithetic, so an odd number is rounded up; at least 4). In every
    order they sum to `v(whole) = 2 - loss`, so the shares do too, however few the samples.

    graph: batch of one; it is rounded. anchor: a batch of one or a unit vector (D,).
    Caveat: a graph put together half is a fragment of a kind that psi seldom or never saw in training; shares tell
    how psi adds up, not what would be true of the fragments.
    Sources: Shapley (1953); Castro, Gomez, Tejada (2009) on sampling; Mitchell et al. (2022) on antithetic orders.
    Raises ValueError for other batches, a vector that has not length 1, an empty graph and fewer than 4 samples.
    """
    if samples < 4:
        raise ValueError(f"samples must be at least 4 (two orders and their reverses), got {samples}")
    graph, point = one(graph), point_of(psi, anchor)
    nodes, edges = (labels[0] for labels in graph.labels())
    players, ends = parts_of(nodes, edges)
    if not len(players):
        raise ValueError("the graph has no nodes, so there is nothing to share; give one that has")
    added = gains(psi, graph, point, players, ends, (samples + 1) // 2, seed)  # (pairs of orders, players)
    share, error = added.mean(0), added.std(0) / len(added) ** 0.5
    N, of_node = len(nodes), players[:, 0] == players[:, 1]
    found = []
    for value in (share, error):
        per_node, per_edge = torch.full((N,), torch.nan), torch.full((N, N), torch.nan)
        per_node[players[of_node, 0]] = value[of_node].float()
        i, j = players[~of_node].T
        per_edge[i, j] = per_edge[j, i] = value[~of_node].float()
        found += [per_node, per_edge]
    return Shares(found[0], found[1], found[2], found[3], max(0.0, 2 - float(share.sum())))


def parts_of(nodes: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Parts (P, 2), nodes as (i, i) before edges as (i, j), and for each the numbers (P, 2) of the parts it needs."""
    i = (nodes > 0).nonzero()[:, 0]
    place = torch.full_like(nodes, -1).scatter(0, i, torch.arange(len(i)))
    parts = torch.cat([torch.stack([i, i], 1), edges.triu(1).nonzero()])
    return parts, place[parts]


def gains(psi: Psi, graph: Graph, point: Tensor, players: Tensor, ends: Tensor, pairs: int, seed: int) -> Tensor:
    """(pairs, P) what each part adds to `2 <psi, point>`, mean of an order and its reverse."""
    generator, P = torch.Generator().manual_seed(seed), len(players)
    forward = torch.stack([torch.randperm(P, generator=generator) for _ in range(pairs)])
    orders = torch.stack([forward, forward.flip(1)], 1).flatten(0, 1)  # (2 * pairs, P)
    rank = orders.argsort(1)
    there = rank[:, None, :] < torch.arange(P + 1)[:, None]  # (orders, P + 1, P): the first 0, 1, ..., P parts
    there &= there[..., ends[:, 0]] & there[..., ends[:, 1]]  # an edge needs its ends
    kept, back = there.flatten(0, 1).unique(dim=0, return_inverse=True)  # many orders pass through the same graphs
    value = values(psi, graph, point, players, kept)[back].reshape(len(orders), P + 1)
    added = value.diff(dim=1).gather(1, rank)
    return added.reshape(pairs, 2, P).mean(1)


def values(psi: Psi, graph: Graph, point: Tensor, players: Tensor, kept: Tensor) -> Tensor:
    """(C,) `2 <psi(graph restricted to the parts kept), point>` in float64; kept (C, P) bool; 0 of nothing."""
    nodes, edges = (labels[0] for labels in graph.labels())
    (i, j), mask = players.T, torch.zeros(len(kept), len(nodes), len(nodes), dtype=torch.bool)
    mask[:, i, j] = mask[:, j, i] = kept
    fragments = Graph.from_labels(nodes * mask.diagonal(dim1=1, dim2=2), edges * mask, graph.vocabulary)
    some, value = kept.any(1), torch.zeros(len(kept), dtype=torch.float64)
    value[some] = 2 * (points_of(psi, fragments[some]).double() @ point.double())
    return value
