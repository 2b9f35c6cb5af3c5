"""Fused Gromov-Wasserstein barycenters of the graphs of the nearest training inputs (POT)."""

import itertools
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.graph_kernels import default_kernel, embed_kernel
from benchmarks.methods.ile import retrieval_mrr
from benchmarks.methods.input_features import FEATURES
from benchmarks.methods.nearest_neighbor import LANDMARKS, Neighbors, select_features
from benchmarks.methods.regression import KernelRidge, fit_kernels
from benchmarks.task_data import SMALL_TASKS, TrainingData
from elekit.graphs.distances import weisfeiler_lehman
from elekit.graphs.graph import Graph, GraphBatch
from elekit.model.loss import points_of

MAX_PAIRS = 5_000  # training pairs of the kernel regression
MAX_TUNING = 50  # validation pairs for the grid search
NEIGHBOR_COUNTS = (2, 3, 5, 10)
ALPHAS = (0.2, 0.5, 0.8)
THRESHOLDS = (0.4, 0.5, 0.6)
MAX_ITERATIONS = 50  # most barycenters take 5


def relaxed_barycenter(graphs: GraphBatch, weights: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The relaxed graph with the least weighted sum of fused Gromov-Wasserstein costs to the given graphs.

    Node features are one-hot labels, the structure is the adjacency (0 or 1). The descent starts at the first graph
    with n nodes. POT's barycenter has no edge labels: its transport plans carry over all channels of an edge, which
    leaves POT's structure unchanged (1 - channel 0). Source: Vayer et al., ICML 2019.

    Args:
        graphs: Discrete graphs.
        weights: (B,) weights, normalized here.
        alpha: Weight of the edges, in (0, 1).

    Returns:
        Nodes (n, K) and edges (n, n, R), rows on the simplex, with n the (low) median of the numbers of nodes.
    """
    from ot.gromov import fgw_barycenters

    parts = []
    for nodes, edges in zip(*(labels.numpy() for labels in graphs.labels())):
        present = np.flatnonzero(nodes)
        parts.append((nodes[present], edges[np.ix_(present, present)]))
    kept = [i for i, (nodes, _) in enumerate(parts) if len(nodes)]
    if not kept:
        return np.zeros((0, graphs.vocabulary.K)), np.zeros((0, 0, graphs.vocabulary.R))
    parts, weights = [parts[i] for i in kept], weights[kept] / weights[kept].sum()
    n = statistics.median_low([len(nodes) for nodes, _ in parts])
    features = [np.eye(graphs.vocabulary.K)[nodes] for nodes, _ in parts]
    structures = [(edges > 0).astype(float) for _, edges in parts]
    start = next(i for i, (nodes, _) in enumerate(parts) if len(nodes) == n)
    made, _, log = fgw_barycenters(
        n, features, structures, lambdas=list(weights), alpha=alpha, max_iter=MAX_ITERATIONS, tol=1e-5, log=True,
        init_C=structures[start], init_X=features[start],
    )  # fmt: skip
    channels = np.eye(graphs.vocabulary.R)
    edges = sum(
        weight * np.einsum("ia,jb,abr->ijr", plan * n, plan * n, channels[own])
        for weight, plan, (_, own) in zip(weights, log["T"], parts)
    )
    return made, edges


def round_graphs(parts: list[tuple[np.ndarray, np.ndarray]], threshold: float, like: GraphBatch) -> Graph:
    """Relaxed graphs to discrete ones: the largest label of each node, and of each edge above the threshold."""
    vocabulary, N = like.vocabulary, like.slots()
    nodes, edges = torch.zeros(len(parts), N), torch.zeros(len(parts), N, N)
    for b, (made, links) in enumerate(parts):
        n = len(made)
        if n:
            own = np.where(1 - links[..., 0] > threshold, 1 + links[..., 1:].argmax(-1), 0)
            nodes[b, :n] = torch.from_numpy(1 + made[:, 1:].argmax(-1))
            upper = torch.from_numpy(np.triu(own, 1))
            edges[b, :n, :n] = upper + vocabulary.turn(upper).T
    return Graph.from_labels(nodes, edges, vocabulary)


class BarycenterPredictor(Predictor):
    """Barycenter of training graphs; `weigh` maps inputs and k to weights and rows (B, k) of training pairs."""

    def __init__(self, weigh, graphs: GraphBatch, k: int, alpha: float, threshold: float):
        self.weigh, self.graphs, self.k, self.alpha, self.threshold = weigh, graphs, k, alpha, threshold

    def relaxed(self, inputs) -> list[tuple[np.ndarray, np.ndarray]]:
        weights, rows = self.weigh(inputs, self.k)
        return [
            relaxed_barycenter(self.graphs[torch.from_numpy(own)], np.maximum(weight, 1e-6), self.alpha)
            for own, weight in zip(rows, weights)
        ]

    def predict(self, inputs) -> Graph:
        return round_graphs(self.relaxed(inputs), self.threshold, self.graphs)


@dataclass(frozen=True)
class NeighborBarycenter(Method):
    """NNBary-FGW: all neighbors have the same weight."""

    name: str = "nnbary-fgw"
    title: str = "NNBary-FGW"
    description: str = "the fused Gromov-Wasserstein barycenter of the graphs of the nearest training inputs"
    tasks: tuple[str, ...] | None = SMALL_TASKS

    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        psi = embed_kernel(default_kernel(data.outputs.vocabulary), data.outputs, LANDMARKS, seed)
        chosen, compared = select_features(data, psi, seed)
        neighbors = Neighbors(FEATURES[data.input_kind][chosen](), data.train.inputs)

        def weigh(inputs, k: int):
            _, rows = neighbors.of(inputs, k)
            return np.ones(rows.shape), rows

        predictor, tried = tune_barycenter(weigh, data)
        return Fitted({"": predictor}, {"features": chosen, "loss_by_features": compared, **tried})


def tune_barycenter(weigh, data: TrainingData) -> tuple[BarycenterPredictor, dict]:
    """The predictor with the lowest mean Weisfeiler-Lehman loss on validation pairs, and its settings."""
    some, found = data.validation.take(range(min(MAX_TUNING, len(data.validation)))), {}
    for k, alpha in itertools.product(NEIGHBOR_COUNTS, ALPHAS):
        parts = BarycenterPredictor(weigh, data.train.graphs, k, alpha, 0).relaxed(some.inputs)
        for threshold in THRESHOLDS:
            made = round_graphs(parts, threshold, some.graphs)
            found[k, alpha, threshold] = round(weisfeiler_lehman(made, some.graphs).mean().item(), 5)
    k, alpha, threshold = min(found, key=found.__getitem__)
    settings = {"neighbors": k, "alpha": alpha, "threshold": threshold, "tuning_pairs": len(some)}
    losses = {f"{k} neighbors, alpha {a:g}, threshold {t:g}": loss for (k, a, t), loss in found.items()}
    return BarycenterPredictor(weigh, data.train.graphs, k, alpha, threshold), settings | {"loss_by_setting": losses}


@dataclass(frozen=True)
class KernelBarycenter(Method):
    """ILE-FGW as a barycenter: the training graphs with the largest weights in kernel ridge regression."""

    name: str = "ilebary-fgw"
    title: str = "ILE-FGW barycenter"
    description: str = "fused Gromov-Wasserstein barycenter of training graphs, weighted by kernel ridge regression"
    tasks: tuple[str, ...] | None = SMALL_TASKS

    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        data = replace(data, train=data.train.sample(MAX_PAIRS, seed))
        psi = embed_kernel("wl", data.outputs, LANDMARKS, seed)
        points, truth = points_of(psi, data.train.graphs), points_of(psi, data.validation.graphs)
        _, settings = fit_kernels(points, data, truth, retrieval_mrr, seed)
        features = FEATURES[data.input_kind][settings["features"]]()
        h = KernelRidge(features, data.train.inputs, settings["anchors"], seed)
        pair_indicators = torch.eye(len(points))  # it predicts the weights of the pairs
        h.prepare(pair_indicators, settings["width"]).solve(settings["ridge"])

        def weigh(inputs, k: int):
            weights, rows = h.predict(inputs).topk(min(k, len(points)), dim=1)
            return weights.clamp_min(0).double().numpy(), rows.numpy()

        predictor, tried = tune_barycenter(weigh, data)
        return Fitted({"": predictor}, {**settings, "pairs": len(points), **tried}, h.weights.size)


BARYCENTERS = (NeighborBarycenter(), KernelBarycenter())
