"""Nearest neighbors in input space, without training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.graph_kernels import KernelEmbedding, default_kernel, embed_kernel
from benchmarks.methods.input_features import FEATURES, nearest_rows
from benchmarks.task_data import TrainingData
from elekit.evaluation.ranking import mean_reciprocal_rank, ranks
from elekit.graphs import projections
from elekit.graphs.graph import Graph, GraphBatch
from elekit.model.loss import points_of, squared_distance

MAX_COMPARED = 10_000  # training pairs on which features are compared
LANDMARKS = 500
NEIGHBOR_COUNTS = (1, 3, 10, 30)


class Neighbors:
    """The nearest training inputs with given features."""

    def __init__(self, features, inputs):
        self.features, self.rows = features, features.fit_transform(inputs)

    def of(self, inputs, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Cosines (B, k) and indices (B, k) of the nearest training pairs, nearest first."""
        return nearest_rows(self.features.transform(inputs), self.rows, k)


def select_features(data: TrainingData, psi, seed: int) -> tuple[str, dict[str, float]]:
    """The features whose nearest neighbors have the nearest graphs on validation, and the mean loss of each."""
    some = data.train.sample(MAX_COMPARED, seed)
    truth, known, found = points_of(psi, data.validation.graphs), points_of(psi, some.graphs), {}
    for name, make in FEATURES[data.input_kind].items():
        _, rows = Neighbors(make(), some.inputs).of(data.validation.inputs, 1)
        found[name] = round(squared_distance(known[rows[:, 0]], truth).mean().item(), 5)
    return min(found, key=found.__getitem__), found


class NearestPredictor(Predictor):
    """Predicts the graph of the nearest neighbor; ranks a gallery by similarity to the graphs of `k` neighbors."""

    def __init__(self, neighbors: Neighbors, graphs: GraphBatch, psi: KernelEmbedding, points: torch.Tensor, k: int):
        self.neighbors, self.graphs, self.psi, self.points, self.k = neighbors, graphs, psi, points, k

    def predict(self, inputs) -> Graph:
        return self.graphs[torch.from_numpy(self.neighbors.of(inputs, 1)[1][:, 0])].dense()

    def score_gallery(self, inputs, gallery: GraphBatch) -> torch.Tensor:
        return self.mean_point(inputs) @ points_of(self.psi, gallery).T

    def mean_point(self, inputs) -> torch.Tensor:
        """(B, D) mean of the points of the neighbors' graphs, weighted by squared cosines."""
        similarity, rows = self.neighbors.of(inputs, self.k)
        weights = torch.from_numpy(similarity).square()[..., None] + 1e-12
        return projections.sphere((weights * self.points[torch.from_numpy(rows)]).sum(1))


@dataclass(frozen=True)
class NearestNeighbor(Method):
    """The graph of the nearest training input."""

    name: str = "nearest-neighbor"
    title: str = "Nearest neighbor"
    description: str = "the graph of the training input with the most similar n-grams or pixels"
    tasks: tuple[str, ...] | None = None

    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        kernel = default_kernel(data.outputs.vocabulary)
        psi = embed_kernel(kernel, data.outputs, LANDMARKS, seed)
        chosen, compared = select_features(data, psi, seed)
        neighbors = Neighbors(FEATURES[data.input_kind][chosen](), data.train.inputs)
        points, truth = points_of(psi, data.train.graphs), points_of(psi, data.validation.graphs)
        tried, rows = {}, torch.arange(len(truth))
        for k in NEIGHBOR_COUNTS:
            mean = NearestPredictor(neighbors, data.train.graphs, psi, points, k).mean_point(data.validation.inputs)
            tried[k] = round(mean_reciprocal_rank(ranks(-mean @ truth.T, rows)), 5)
        k = max(tried, key=tried.__getitem__)
        return Fitted(
            {"": NearestPredictor(neighbors, data.train.graphs, psi, points, k)},
            {
                "features": chosen, "loss_by_features": compared, "kernel": kernel, "landmarks": LANDMARKS,
                "ranking_neighbors": k, "mrr_by_neighbors": {str(n): value for n, value in tried.items()},
            },
        )  # fmt: skip
