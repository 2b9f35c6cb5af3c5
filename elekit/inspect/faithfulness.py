"""Faithfulness of Shapley values: deletion and insertion curves against random orders and simpler attributions."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.evaluation.intervals import mean_interval
from elekit.graphs.budget import Clock
from elekit.graphs.graph import Graph, GraphBatch
from elekit.inspect._validation import reference_points
from elekit.inspect.neighbors import nearest_other
from elekit.inspect.shapley import build, marginal_gains, parts_of, values
from elekit.model.loss import Psi, squared_distance

CURVES = ("deletion", "insertion")
SHARES, RANDOM = "shares", "random order"
METHODS = (SHARES, "gradient magnitude", "gradient x input", "leave one out")
GRID = np.linspace(0, 1, 21)  # where curves of graphs of different sizes are averaged


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How well orders of parts, most supporting first, find what makes a graph similar to its anchor.

    Columns of the curves: curve ("deletion" or "insertion"), method (one of METHODS, or "random order"), parts (share
    of the parts that are removed or present, in [0, 1]), value (`2 - loss` to the anchor, mean over pairs), low and
    high (95 % bootstrap interval over pairs; nan for fewer than 5). Columns of the areas: pair, curve, method, area
    (between the curve and the mean of the random orders, in units of `2 - loss`; positive if better than random).
    """

    curves: pd.DataFrame
    areas: pd.DataFrame

    def summary(self, *, seed: int = 0) -> pd.DataFrame:
        """Each method beside a random order, and Shapley values ("shares") beside each method.

        One row per curve and method: curve, method, pairs, area (mean), low and high, ahead (mean area of the shares
        minus that of the method on the same pair), ahead_low and ahead_high, wins (share of pairs on which the shares
        have the larger area; ties count half), says (ahead in words). Intervals are 95 %, by a bootstrap over pairs;
        nan for fewer than 5.
        """
        generator, rows = np.random.default_rng(seed), []
        for curve in CURVES:
            some = self.areas[self.areas["curve"] == curve].pivot(index="pair", columns="method", values="area")
            ahead = some[[SHARES]].to_numpy() - some[list(METHODS)].to_numpy()
            areas = mean_interval(some[list(METHODS)].to_numpy(), generator)
            for method, area, gaps, gap in zip(METHODS, areas, ahead.T, mean_interval(ahead, generator)):
                row = {"curve": curve, "method": method, "pairs": len(some)}
                row |= dict(zip(("area", "low", "high"), area))
                if method != SHARES:
                    row |= dict(zip(("ahead", "ahead_low", "ahead_high"), gap))
                    row |= {"wins": (1 + np.sign(gaps.round(6)).mean()) / 2, "says": _compared(*gap)}
                rows.append(row)
        table = pd.DataFrame(rows)
        return table.assign(says=table["says"].fillna(""))


def faithfulness(
    psi: Psi, graphs: GraphBatch, anchors: GraphBatch | Tensor, *, samples: int = 64, orders: int = 10, seed: int = 0,
    budget: float | Clock | None = None, progress: bool | None = None,
) -> Faithfulness:  # fmt: skip
    """Compute deletion and insertion curves of graphs, each with its own anchor.

    Deletion removes parts (nodes and edges), insertion adds them, the most supporting part first, and records
    `v = 2 - loss` to the anchor (0 for the empty graph). The better the order, the sooner v falls or rises. Orders
    follow Shapley values ("shares"), gradient magnitude (norm of the derivative of the loss in the channels of a
    part), gradient x input (minus that derivative times the channels), or leave one out (what v loses without the
    part). An edge is removed with its ends, so curves are over the share of removed parts. A pair of molecules7 takes
    about 35 ms on one core. Samek et al. (2017); Petsiuk, Das, Saenko (2018).
    Caveat: curves show whether the values describe psi, not whether psi is right about fragments.

    Args:
        psi: The embedding; differentiable.
        graphs: B graphs; rounded.
        anchors: B graphs, or unit vectors (B, D).
        samples: Orders per Shapley value, at least 4.
        orders: Number of random orders, at least 1.
        seed: Seed of all orders.
        budget: Seconds for the whole call; then there are fewer pairs, at least one.
        progress: As in `Clock.track`.

    Returns:
        Mean curves and the areas of each pair.

    Raises:
        ValueError: If graphs and anchors do not match, a graph is empty, or psi is not differentiable.
    """
    if orders < 1 or samples < 4:
        raise ValueError(f"need at least 1 random order and 4 samples, got {orders} and {samples}")
    points = reference_points(psi, anchors, graphs, "anchors")
    if len(graphs) != len(points):
        numbers = f"{len(graphs)} and {len(points)}"
        raise ValueError(f"graphs are paired with anchors, got {numbers}; give one anchor per graph")
    graphs, generator = graphs.dense().detach().rounded(), torch.Generator().manual_seed(seed)
    empty = (graphs.presence() == 0).all(1)
    if empty.any():
        raise ValueError(f"graph {int(empty.nonzero()[0])} has no nodes, so there is nothing to remove; leave it out")
    curves, areas = [], []  # of each pair: (CURVES, METHODS + 1, GRID), (CURVES, METHODS)
    with Clock.of(budget) as clock:
        for b in clock.track(range(len(graphs)), "faithfulness", progress=progress, to_end=True):
            if b and clock.over:
                break
            players, ends = parts_of(*(labels[0] for labels in graphs[b].labels()))
            game = psi, graphs[b], points[b], players, ends
            shuffled = torch.stack([torch.randperm(len(players), generator=generator) for _ in range(orders + 1)])
            score = scores(*game, samples, seed + b)[:, shuffled[0]]
            ranked = shuffled[0][score.argsort(dim=1, descending=True, stable=True)]
            x, v = _curves(*game, torch.cat([ranked, shuffled[1:]]))
            area = torch.trapezoid(v, x, dim=2).numpy()
            better = area[:, : len(METHODS)] - area[:, len(METHODS) :].mean(1, keepdims=True)
            areas.append(better * [[-1], [1]])  # a deletion curve is the better the lower it lies
            on_grid = np.array([[np.interp(GRID, *line) for line in zip(*lines)] for lines in zip(x, v)])
            methods, at_random = np.split(on_grid, [len(METHODS)], axis=1)
            curves.append(np.concatenate([methods, at_random.mean(1, keepdims=True)], 1))
    pairs = range(len(areas))
    index = pd.MultiIndex.from_product([pairs, CURVES, METHODS], names=["pair", "curve", "method"])
    table = pd.DataFrame({"area": np.array(areas).ravel()}, index).reset_index()
    index = pd.MultiIndex.from_product([CURVES, (*METHODS, RANDOM), GRID], names=["curve", "method", "parts"])
    mean = mean_interval(np.array(curves).reshape(len(pairs), -1), np.random.default_rng(seed))
    return Faithfulness(pd.DataFrame(mean, index, ["value", "low", "high"]).reset_index(), table)


def scores(
    psi: Psi, graph: Graph, point: Tensor, players: Tensor, ends: Tensor, samples: int = 64, seed: int = 0
) -> Tensor:
    """(METHODS, P) how much each part supports `2 - loss` to the point, on the scale of each method."""
    nodes, edges = (rows.clone().requires_grad_() for rows in (graph.nodes, graph.edges))
    with torch.enable_grad():
        loss = squared_distance(psi(Graph(nodes, edges, graph.vocabulary))[0], point)
    if not loss.requires_grad:
        raise ValueError("psi is not differentiable in the graph; give a differentiable psi")
    of_nodes, of_edges = torch.autograd.grad(loss, (nodes, edges), allow_unused=True, materialize_grads=True)
    of_edges = of_edges + of_edges.transpose(1, 2)  # a pair is one part with two entries
    whole = torch.ones(1, len(players), dtype=torch.bool)
    without = ~torch.eye(len(players), dtype=torch.bool)
    without &= without[:, ends[:, 0]] & without[:, ends[:, 1]]
    worth = values(psi, graph, point, players, torch.cat([whole, without]))
    i, j = players.T

    def per_part(of_node: Tensor, of_pair: Tensor) -> Tensor:
        return torch.where(i == j, of_node[0, i], of_pair[0, i, j]).double()

    shares = marginal_gains(psi, graph, point, players, ends, (samples + 1) // 2, seed).mean(0)
    magnitude = per_part(of_nodes.norm(dim=-1), of_edges.norm(dim=-1))
    product = per_part((of_nodes * graph.nodes).sum(-1), (of_edges * graph.edges).sum(-1))
    return torch.stack([shares, magnitude, -product, worth[0] - worth[1:]])


def near_and_random(points: Tensor, count: int, *, seed: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """Rows of `count` of n >= 2 unit vectors (n, D), and of their anchors: the nearest other ("near"), any other
    ("random")."""
    if len(points) < 2:
        raise ValueError(f"pairs need at least 2 points, got {len(points)}")
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(points), generator=generator)[:count]
    further = torch.randint(1, len(points), (len(rows),), generator=generator)
    return {"near": (rows, nearest_other(points)[rows]), "random": (rows, (rows + further) % len(points))}


def _curves(
    psi: Psi, graph: Graph, point: Tensor, players: Tensor, ends: Tensor, orders: Tensor
) -> tuple[Tensor, Tensor]:
    """Share of parts that are removed or present, and `2 - loss`: each (CURVES, orders, P + 1)."""
    both = torch.cat([orders.flip(1), orders])  # deletion is insertion in reverse
    value, present = (found.chunk(2) for found in build(psi, graph, point, players, ends, both))
    removed, added = 1 - present[0].flip(1).double() / len(players), present[1].double() / len(players)
    return torch.stack([removed, added]), torch.stack([value[0].flip(1), value[1]])


def _compared(ahead: float, low: float, high: float) -> str:
    if low > 0 or high < 0:
        span = f"{abs(ahead):.3f} ({min(abs(low), abs(high)):.3f} to {max(abs(low), abs(high)):.3f})"
        return f"shares are {'better' if low > 0 else 'worse'} by {span}"
    span = f" ({low:+.3f} to {high:+.3f})" if low <= high else ", too few pairs"
    return f"no clear difference: {ahead:+.3f}{span}"
