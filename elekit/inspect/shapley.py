"""Which nodes and edges bring a graph and an anchor together or apart, and which draw it to one of two groups?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from elekit.graphs.graph import Graph
from elekit.inspect._validation import one, point_of, points_given
from elekit.model.loss import Psi, points_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class PartValues:
    """A share for each part of a graph.

    nodes: (N,), nan where absent. edges: (N, N) symmetric, nan where there is none. node_error, edge_error: standard
    errors, same shapes.
    """

    nodes: Tensor
    edges: Tensor
    node_error: Tensor
    edge_error: Tensor

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


@dataclass(frozen=True, eq=False)
class Shares(PartValues):
    """What each part of a graph gives to `2 - loss`: above 0 it brings graph and anchor together, below 0 apart.

    Over the nodes and the unordered pairs they sum to `2 - loss`. loss: of the graph to the anchor, in [0, 4].
    """

    loss: float


@dataclass(frozen=True, eq=False)
class Contrast(PartValues):
    """What makes a graph more like a corpus than a foil: parts above 0 draw it to the corpus, below 0 to the foil.

    Over the nodes and the unordered pairs they sum to `foil_loss - corpus_loss`.
    corpus_loss, foil_loss: mean loss of the graph to the graphs of each, in [0, 4].
    """

    corpus_loss: float
    foil_loss: float


def shapley_values(psi: Psi, graph: Graph, anchor: Graph | Tensor, *, samples: int = 64, seed: int = 0) -> Shares:
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
    graph, point = one(graph), point_of(psi, anchor)
    players, added = _sampled(psi, graph, point, samples, seed)
    share, error = added.mean(0), added.std(0) / len(added) ** 0.5
    return Shares(*_laid_out(graph, players, share, error), max(0.0, 2 - float(share.sum())))


def contrast(
    psi: Psi, graph: Graph, corpus: Graph | Tensor, foil: Graph | Tensor, *, samples: int = 64, seed: int = 0
) -> Contrast:
    """Which nodes and edges make one graph more like the graphs of a corpus than like those of a foil?

    Shapley values, by the rules and with the caveat of `shares`, in the game
    `v(S) = mean_c 2 <psi(y restricted to S), psi(c)> - mean_f 2 <psi(y restricted to S), psi(f)>`, in which the whole
    graph is worth the mean loss to the foil minus the mean loss to the corpus; the shares sum to that. A part that
    draws the graph to both alike gets 0.

    graph: batch of one; it is rounded. corpus, foil: batches of at least one, or unit vectors (n, D).
    Errors hold both what the random orders leave open and, as if the graphs of corpus and foil were drawn at random,
    which of them were drawn; a batch of one adds nothing to the latter. From few samples they are too large.
    Source: Lin, Chen, Kim, Lee (2022), Contrastive Corpus Attribution for Explaining Representations (COCOA).
    Raises ValueError as `shares` does, and for a corpus or foil that is empty or has other labels than the graph.
    """
    graph = one(graph)
    sides = [points_given(psi, side, graph, what).double() for side, what in ((corpus, "corpus"), (foil, "foil"))]
    corpus, foil = sides
    players, added = _sampled(psi, graph, torch.eye(corpus.shape[1]), samples, seed)  # to any point (D,) by a product
    by_order, of_parts = added @ (corpus.mean(0) - foil.mean(0)), added.mean(0)  # (pairs of orders, P), (P, D)
    variance = by_order.var(0) / len(by_order)
    for side in sides:
        variance = variance + (of_parts @ side.T).var(1, unbiased=len(side) > 1) / len(side)
    found = _laid_out(graph, players, by_order.mean(0), variance.sqrt())
    return Contrast(*found, *(max(0.0, 2 - float((of_parts @ side.mean(0)).sum())) for side in sides))


def _sampled(psi: Psi, graph: Graph, points: Tensor, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Parts (P, 2) of the graph, and what each adds in each pair of orders; see `gains`."""
    if samples < 4:
        raise ValueError(f"samples must be at least 4 (two orders and their reverses), got {samples}")
    players, ends = parts_of(*(labels[0] for labels in graph.labels()))
    if not len(players):
        raise ValueError("the graph has no nodes, so there is nothing to share; give one that has")
    return players, gains(psi, graph, points, players, ends, (samples + 1) // 2, seed)


def _laid_out(graph: Graph, players: Tensor, *values: Tensor) -> list[Tensor]:
    """Of each (P,) what the nodes have (N,), and what the pairs have (N, N); nan where nothing is."""
    N, of_node, found = graph.nodes.shape[1], players[:, 0] == players[:, 1], []
    for value in values:
        per_node, per_edge = torch.full((N,), torch.nan), torch.full((N, N), torch.nan)
        per_node[players[of_node, 0]] = value[of_node].float()
        i, j = players[~of_node].T
        per_edge[i, j] = per_edge[j, i] = value[~of_node].float()
        found += [per_node, per_edge]
    return found


def parts_of(nodes: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Parts (P, 2), nodes as (i, i) before edges as (i, j), and for each the numbers (P, 2) of the parts it needs."""
    i = (nodes > 0).nonzero()[:, 0]
    place = torch.full_like(nodes, -1).scatter(0, i, torch.arange(len(i)))
    parts = torch.cat([torch.stack([i, i], 1), edges.triu(1).nonzero()])
    return parts, place[parts]


def gains(psi: Psi, graph: Graph, points: Tensor, players: Tensor, ends: Tensor, pairs: int, seed: int) -> Tensor:
    """(pairs, P) what each part adds to `2 <psi, point>`, mean of an order and its reverse; as `built` of points."""
    generator, P = torch.Generator().manual_seed(seed), len(players)
    forward = torch.stack([torch.randperm(P, generator=generator) for _ in range(pairs)])
    orders = torch.stack([forward, forward.flip(1)], 1).flatten(0, 1)  # (2 * pairs, P)
    value, _ = built(psi, graph, points, players, ends, orders)
    added = value.diff(dim=1)[torch.arange(len(orders))[:, None], orders.argsort(1)]
    return added.unflatten(0, (pairs, 2)).mean(1)


def built(
    psi: Psi, graph: Graph, points: Tensor, players: Tensor, ends: Tensor, orders: Tensor
) -> tuple[Tensor, Tensor]:
    """Values of the graph as it is put together part by part, and how many parts stand: both (orders, P + 1).

    orders: (orders, P) numbers of parts, first comes first. points: (D,), or (D, M) for values (orders, P + 1, M).
    """
    there = orders.argsort(1)[:, None, :] < torch.arange(orders.shape[1] + 1)[:, None]  # the first 0, 1, ..., P parts
    there &= there[..., ends[:, 0]] & there[..., ends[:, 1]]  # an edge needs its ends
    kept, back = there.flatten(0, 1).unique(dim=0, return_inverse=True)  # many orders pass through the same graphs
    value = values(psi, graph, points, players, kept)[back]
    return value.unflatten(0, there.shape[:2]), there.sum(2)


def values(psi: Psi, graph: Graph, points: Tensor, players: Tensor, kept: Tensor) -> Tensor:
    """(C,) `2 <psi(graph restricted to the parts kept), point>` in float64; kept (C, P) bool; 0 of nothing.

    points: (D,), or (D, M) for values (C, M).
    """
    nodes, edges = (labels[0] for labels in graph.labels())
    (i, j), mask = players.T, torch.zeros(len(kept), len(nodes), len(nodes), dtype=torch.bool)
    mask[:, i, j] = mask[:, j, i] = kept
    fragments = Graph.from_labels(nodes * mask.diagonal(dim1=1, dim2=2), edges * mask, graph.vocabulary)
    some, value = kept.any(1), torch.zeros(len(kept), *points.shape[1:], dtype=torch.float64)
    placed = points_of(psi, fragments[some].to(graph.nodes.dtype))
    value[some] = 2 * (placed.double() @ points.double())
    return value
