"""Shapley values of nodes and edges: what makes a graph similar to an anchor, or to one group rather than another."""

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphBatch
from elekit.inspect._validation import anchor_point, reference_points, single_graph, trimmed
from elekit.model.loss import Psi, points_of


@dataclass(frozen=True, eq=False)
class PartValues:
    """A value for each node and edge of a graph, nan for absent ones, and their standard errors."""

    nodes: Tensor  # (N,)
    edges: Tensor  # (N, N), symmetric
    node_error: Tensor
    edge_error: Tensor

    def table(self, graph: Graph) -> pd.DataFrame:
        """Columns part ("node 3: C", "edge 1-2: single"), share (the value) and error; largest value first."""
        names = graph.vocabulary
        nodes, edges = (labels[0].tolist() for labels in single_graph(graph).labels())
        parts = [
            (f"node {i}: {names.node_labels[nodes[i] - 1]}", self.nodes[i], self.node_error[i])
            for i in (~self.nodes.isnan()).nonzero()[:, 0].tolist()
        ]
        parts += [
            (f"edge {i}-{j}: {names.edge_names[edges[i][j]]}", self.edges[i, j], self.edge_error[i, j])
            for i, j in (~self.edges.isnan()).triu(1).nonzero().tolist()
        ]
        rows = [(part, float(share), float(error)) for part, share, error in parts]
        table = pd.DataFrame(rows, columns=["part", "share", "error"])
        return table.sort_values("share", ascending=False, kind="stable", ignore_index=True)


@dataclass(frozen=True, eq=False)
class ShapleyValues(PartValues):
    """Contribution of each part to `2 - loss`, their sum: positive parts bring graph and anchor together."""

    loss: float  # of the graph to the anchor, in [0, 4]


@dataclass(frozen=True, eq=False)
class Contrast(PartValues):
    """Contribution of each part to `foil_loss - corpus_loss`, their sum: positive parts favor the corpus."""

    corpus_loss: float  # mean loss of the graph to the graphs of the corpus, in [0, 4]
    foil_loss: float


def shapley_values(
    psi: Psi, graph: GraphBatch, anchor: GraphBatch | Tensor, *, samples: int = 64, seed: int = 0
) -> ShapleyValues:
    """Compute Shapley values of the parts of a graph in the game `v(S) = 2 <psi(y restricted to S), anchor>`.

    Parts are nodes and edges; an edge has no effect without both ends, and v of nothing is 0 (a loss of 2). The
    marginal contribution of a part is averaged over random orders, each with its reverse. In each order contributions
    sum to `2 - loss`, so the values do too, for any number of samples.
    Caveat: partial graphs are unlike what psi saw in training; values describe psi, not the truth about fragments.
    Shapley (1953); Castro, Gomez, Tejada (2009) on sampling; Mitchell et al. (2022) on antithetic orders.

    Args:
        psi: The embedding.
        graph: Batch of one; rounded.
        anchor: Batch of one, or a unit vector (D,).
        samples: Number of orders, at least 4; rounded up to an even number.
        seed: Seed of the orders.

    Returns:
        Values and their standard errors.

    Raises:
        ValueError: If a batch has the wrong size, a vector does not have length 1, there are no nodes or < 4 samples.
    """
    graph, point = single_graph(graph), anchor_point(psi, anchor)
    players, added = _sample(psi, graph, point, samples, seed)
    share, error = added.mean(0), added.std(0) / len(added) ** 0.5
    nodes, edges = _layout(graph, players, share)
    node_error, edge_error = _layout(graph, players, error)
    return ShapleyValues(nodes, edges, node_error, edge_error, max(0.0, 2 - float(share.sum())))


def contrast(
    psi: Psi,
    graph: GraphBatch,
    corpus: GraphBatch | Tensor,
    foil: GraphBatch | Tensor,
    *,
    samples: int = 64,
    seed: int = 0,
) -> Contrast:
    """Compute which parts make a graph more similar to a corpus than to a foil.

    Shapley values, as in `shapley_values` and with its caveat, in the game
    `v(S) = mean_c 2 <psi(y restricted to S), psi(c)> - mean_f 2 <psi(y restricted to S), psi(f)>`.
    Lin, Chen, Kim, Lee (2022), Contrastive Corpus Attribution for Explaining Representations (COCOA).

    Args:
        psi: The embedding.
        graph: Batch of one; rounded.
        corpus: At least one graph, or unit vectors (n, D).
        foil: At least one graph, or unit vectors (n, D).
        samples: Number of orders, at least 4; rounded up to an even number.
        seed: Seed of the orders.

    Returns:
        Values and standard errors, which cover the random orders and the draw of the graphs of corpus and foil.

    Raises:
        ValueError: As in `shapley_values`, and if corpus or foil is empty or has other labels than the graph.
    """
    graph = single_graph(graph)
    names = ((corpus, "corpus"), (foil, "foil"))
    sides = [reference_points(psi, side, graph, what).double() for side, what in names]
    D = sides[0].shape[1]
    players, added = _sample(psi, graph, torch.eye(D), samples, seed)  # a product gives the values for any point (D,)
    by_order, by_part = added @ (sides[0].mean(0) - sides[1].mean(0)), added.mean(0)  # (pairs of orders, P), (P, D)
    variance = by_order.var(0) / len(by_order)
    for side in sides:
        variance = variance + (by_part @ side.T).var(1, unbiased=len(side) > 1) / len(side)
    nodes, edges = _layout(graph, players, by_order.mean(0))
    node_error, edge_error = _layout(graph, players, variance.sqrt())
    losses = [max(0.0, 2 - float((by_part @ side.mean(0)).sum())) for side in sides]
    return Contrast(nodes, edges, node_error, edge_error, *losses)


def _sample(psi: Psi, graph: Graph, points: Tensor, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Parts (P, 2) of the graph, and what each adds in each pair of orders; see `marginal_gains`."""
    if samples < 4:
        raise ValueError(f"samples must be at least 4 (two orders and their reverses), got {samples}")
    players, ends = parts_of(*(labels[0] for labels in graph.labels()))
    if not len(players):
        raise ValueError("the graph has no nodes, so there are no parts to value; give a graph with nodes")
    return players, marginal_gains(psi, graph, points, players, ends, (samples + 1) // 2, seed)


def _layout(graph: Graph, players: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Values (P,) as (N,) of nodes and (N, N) of pairs; nan elsewhere."""
    N, is_node = graph.nodes.shape[1], players[:, 0] == players[:, 1]
    nodes, pairs = torch.full((N,), torch.nan), torch.full((N, N), torch.nan)
    nodes[players[is_node, 0]] = value[is_node].float()
    i, j = players[~is_node].T
    pairs[i, j] = pairs[j, i] = value[~is_node].float()
    return nodes, pairs


def parts_of(nodes: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Parts (P, 2), nodes as (i, i) before edges as (i, j), and numbers (P, 2) of the parts that each depends on."""
    i = (nodes > 0).nonzero()[:, 0]
    place = torch.full_like(nodes, -1).scatter(0, i, torch.arange(len(i)))
    parts = torch.cat([torch.stack([i, i], 1), edges.triu(1).nonzero()])
    return parts, place[parts]


def marginal_gains(
    psi: Psi, graph: Graph, points: Tensor, players: Tensor, ends: Tensor, pairs: int, seed: int
) -> Tensor:
    """(pairs, P) what each part adds to `2 <psi, point>`, mean of an order and its reverse; as `build` of points."""
    generator, P = torch.Generator().manual_seed(seed), len(players)
    forward = torch.stack([torch.randperm(P, generator=generator) for _ in range(pairs)])
    orders = torch.stack([forward, forward.flip(1)], 1).flatten(0, 1)  # (2 * pairs, P)
    value, _ = build(psi, graph, points, players, ends, orders)
    added = value.diff(dim=1)[torch.arange(len(orders))[:, None], orders.argsort(1)]
    return added.reshape(pairs, 2, *added.shape[1:]).mean(1)


def build(
    psi: Psi, graph: Graph, points: Tensor, players: Tensor, ends: Tensor, orders: Tensor
) -> tuple[Tensor, Tensor]:
    """Values of the graph as it is built part by part, and the number of parts present: both (orders, P + 1).

    orders: (orders, P) numbers of parts, first comes first. points: (D,), or (D, M) for values (orders, P + 1, M).
    """
    counts = torch.arange(orders.shape[1] + 1)  # the first 0, 1, ..., P parts are present
    present = orders.argsort(1)[:, None, :] < counts[:, None]
    present &= present[..., ends[:, 0]] & present[..., ends[:, 1]]  # an edge needs its ends
    kept, back = torch.unique(present.flatten(0, 1), dim=0, return_inverse=True)  # orders share many partial graphs
    value = values(psi, graph, points, players, kept)[back]
    return value.reshape(*present.shape[:2], *value.shape[1:]), present.sum(2)


def values(psi: Psi, graph: Graph, points: Tensor, players: Tensor, kept: Tensor) -> Tensor:
    """(C,) `2 <psi(graph restricted to the parts kept), point>` in float64; kept (C, P) bool; 0 of nothing.

    points: (D,), or (D, M) for values (C, M).
    """
    nodes, edges = (labels[0] for labels in trimmed(graph).labels())
    (i, j), mask = players.T, torch.zeros(len(kept), len(nodes), len(nodes), dtype=torch.bool)
    mask[:, i, j] = mask[:, j, i] = kept
    fragments = Graph.from_labels(nodes * mask.diagonal(dim1=1, dim2=2), edges * mask, graph.vocabulary)
    some, value = kept.any(1), torch.zeros(len(kept), *points.shape[1:], dtype=torch.float64)
    embedded = points_of(psi, fragments[some].to(graph.nodes.dtype))
    value[some] = 2 * (embedded.double() @ points.double())
    return value
