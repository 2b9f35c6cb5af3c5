"""Fused Gromov-Wasserstein barycentres: a graph is made of those of the nearest training inputs (POT)."""

import itertools
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.graph_kernels import fitting, sketched
from benchmarks.methods.ile import rank_among
from benchmarks.methods.input_features import READERS
from benchmarks.methods.nearest_neighbor import LANDMARKS, Neighbors, best_reading
from benchmarks.methods.regression import KernelRidge, by_kernels
from benchmarks.task_data import DECODED, Problem
from elekit.graphs.distances import weisfeiler_lehman
from elekit.graphs.graph import Graph
from elekit.model.loss import points_of

MOST = 5_000  # training pairs that are weighed
TUNED = 50  # validation pairs on which the grid is tried
COUNTS = (2, 3, 5, 10)
ALPHAS = (0.2, 0.5, 0.8)
THRESHOLDS = (0.4, 0.5, 0.6)
LONGEST = 50  # updates of a barycentre, most take 5


def relaxed_barycenter(graphs: Graph, weights: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The graph with the least weighted sum of fused Gromov-Wasserstein costs to some graphs, as a relaxed one.

    Nodes (n, K) and edges (n, n, R), rows on the simplex, where n is the (low) median of their numbers of nodes.
    alpha: weight of the edges, in (0, 1). One-hot labels are the features of nodes, adjacency (0 or 1) the structure.
    The descent starts at the first graph that has n nodes. POT's barycentre has no labels of edges: here the plans
    that lay its nodes on those of the graphs carry all channels of an edge over, which leaves POT's structure as it
    is (1 - channel 0).
    Source: Vayer et al., ICML 2019.
    """
    from ot.gromov import fgw_barycenters

    parts = []
    for nodes, edges in zip(*(labels.numpy() for labels in graphs.labels())):
        there = np.flatnonzero(nodes)
        parts.append((nodes[there], edges[np.ix_(there, there)]))
    kept = [i for i, (nodes, _) in enumerate(parts) if len(nodes)]
    if not kept:
        return np.zeros((0, graphs.vocabulary.K)), np.zeros((0, 0, graphs.vocabulary.R))
    parts, weights = [parts[i] for i in kept], weights[kept] / weights[kept].sum()
    n = statistics.median_low([len(nodes) for nodes, _ in parts])
    features = [np.eye(graphs.vocabulary.K)[nodes] for nodes, _ in parts]
    structures = [(edges > 0).astype(float) for _, edges in parts]
    start = next(i for i, (nodes, _) in enumerate(parts) if len(nodes) == n)
    made, _, log = fgw_barycenters(
        n, features, structures, lambdas=list(weights), alpha=alpha, max_iter=LONGEST, tol=1e-5, log=True,
        init_C=structures[start], init_X=features[start],
    )  # fmt: skip
    channels = np.eye(graphs.vocabulary.R)
    edges = sum(
        weight * np.einsum("ia,jb,abr->ijr", plan * n, plan * n, channels[own])
        for weight, plan, (_, own) in zip(weights, log["T"], parts)
    )
    return made, edges


def rounded(parts: list[tuple[np.ndarray, np.ndarray]], threshold: float, like: Graph) -> Graph:
    """Relaxed graphs as vertices: the largest label of a node; of an edge above the threshold as well."""
    vocabulary, N = like.vocabulary, like.nodes.shape[1]
    nodes, edges = torch.zeros(len(parts), N), torch.zeros(len(parts), N, N)
    for b, (made, links) in enumerate(parts):
        n = len(made)
        if n:
            own = np.where(1 - links[..., 0] > threshold, 1 + links[..., 1:].argmax(-1), 0)
            nodes[b, :n] = torch.from_numpy(1 + made[:, 1:].argmax(-1))
            edges[b, :n, :n] = torch.from_numpy(np.triu(own, 1) + np.triu(own, 1).T)
    return Graph.from_labels(nodes, edges, vocabulary)


class Barycenter(Predictor):
    """graphs: of the training pairs. weigh: inputs and k to numbers of training pairs and their weights (B, k)."""

    def __init__(self, weigh, graphs: Graph, k: int, alpha: float, threshold: float):
        self.weigh, self.graphs, self.k, self.alpha, self.threshold = weigh, graphs, k, alpha, threshold

    def relaxed(self, inputs) -> list[tuple[np.ndarray, np.ndarray]]:
        weights, rows = self.weigh(inputs, self.k)
        return [
            relaxed_barycenter(self.graphs[torch.from_numpy(own)], np.maximum(weight, 1e-6), self.alpha)
            for own, weight in zip(rows, weights)
        ]

    def predict(self, inputs) -> Graph:
        return rounded(self.relaxed(inputs), self.threshold, self.graphs)


@dataclass(frozen=True)
class NeighborBarycenter(Method):
    """NNBary-FGW: all neighbours weigh the same."""

    name: str = "nnbary-fgw"
    title: str = "NNBary-FGW"
    about: str = "the fused Gromov-Wasserstein barycentre of the graphs of the nearest training inputs"
    tasks: tuple[str, ...] | None = DECODED

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        psi = sketched(fitting(problem.outputs.vocabulary), problem.outputs, LANDMARKS, seed)
        chosen, compared = best_reading(problem, psi, seed)
        neighbors = Neighbors(READERS[problem.kind][chosen](), problem.train.inputs)

        def weigh(inputs, k: int):
            _, rows = neighbors.of(inputs, k)
            return np.ones(rows.shape), rows

        predictor, tried = tuned(weigh, problem)
        told = {"reading": chosen, "loss by reading": compared, **tried}
        return Fitted({"": predictor}, told)


def tuned(weigh, problem: Problem) -> tuple[Barycenter, dict]:
    """k, alpha and threshold of the smallest mean Weisfeiler-Lehman loss on some validation pairs, and all losses."""
    some, found = problem.validation.take(range(min(TUNED, len(problem.validation)))), {}
    for k, alpha in itertools.product(COUNTS, ALPHAS):
        parts = Barycenter(weigh, problem.train.graphs, k, alpha, 0).relaxed(some.inputs)
        for threshold in THRESHOLDS:
            made = rounded(parts, threshold, some.graphs)
            found[k, alpha, threshold] = round(weisfeiler_lehman(made, some.graphs).mean().item(), 5)
    k, alpha, threshold = min(found, key=found.get)
    told = {"neighbours": k, "alpha": alpha, "threshold": threshold, "tuned on": len(some)}
    losses = {f"{k} neighbours, alpha {a:g}, threshold {t:g}": loss for (k, a, t), loss in found.items()}
    return Barycenter(weigh, problem.train.graphs, k, alpha, threshold), told | {"loss by setting": losses}


@dataclass(frozen=True)
class KernelBarycenter(Method):
    """ILE-FGW as a barycentre: the training graphs that kernel ridge regression weighs most, by their weights."""

    name: str = "ilebary-fgw"
    title: str = "ILE-FGW barycentre"
    about: str = "the fused Gromov-Wasserstein barycentre of training graphs, weighted by kernel ridge regression"
    tasks: tuple[str, ...] | None = DECODED

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        problem = replace(problem, train=problem.train.sample(MOST, seed))
        psi = sketched("wl", problem.outputs, LANDMARKS, seed)
        points, truth = points_of(psi, problem.train.graphs), points_of(psi, problem.validation.graphs)
        _, told = by_kernels(points, problem, truth, rank_among, seed)
        reader = READERS[problem.kind][told["reading"]]()
        h = KernelRidge(reader, problem.train.inputs, told["anchors"], seed)
        among_pairs = torch.eye(len(points))  # what it predicts are the weights of the pairs
        h.prepare(among_pairs, told["width"]).solve(told["ridge"])

        def weigh(inputs, k: int):
            weights, rows = h.predict(inputs).topk(min(k, len(points)), dim=1)
            return weights.clamp_min(0).double().numpy(), rows.numpy()

        predictor, tried = tuned(weigh, problem)
        return Fitted({"": predictor}, {**told, "pairs": len(points), **tried}, h.weights.size)


BARYCENTERS = (NeighborBarycenter(), KernelBarycenter())
