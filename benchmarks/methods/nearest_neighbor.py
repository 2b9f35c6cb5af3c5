"""Nearest neighbours in input space: no training at all."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.graph_kernels import Sketched, fitting, sketched
from benchmarks.methods.input_features import READERS, most_alike
from benchmarks.task_data import Problem
from elekit.evaluation.ranking import mean_reciprocal_rank, ranks
from elekit.graphs import projections
from elekit.graphs.graph import Graph
from elekit.model.loss import points_of, squared_distance

COMPARED = 10_000  # training pairs, at most, on which ways to read are compared
LANDMARKS = 500
COUNTS = (1, 3, 10, 30)


class Neighbors:
    """The training inputs that are most alike, by one way to read them."""

    def __init__(self, reader, inputs):
        self.reader, self.rows = reader, reader.fit_transform(inputs)

    def of(self, inputs, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Cosines (B, k) and numbers of training pairs (B, k), best first."""
        return most_alike(self.reader.transform(inputs), self.rows, k)


def best_reading(problem: Problem, psi, seed: int) -> tuple[str, dict[str, float]]:
    """The way to read whose nearest neighbours have the nearest graphs, on validation, and the mean loss of each."""
    some = problem.train.sample(COMPARED, seed)
    truth, known, found = points_of(psi, problem.validation.graphs), points_of(psi, some.graphs), {}
    for name, make in READERS[problem.kind].items():
        _, rows = Neighbors(make(), some.inputs).of(problem.validation.inputs, 1)
        found[name] = round(squared_distance(known[rows[:, 0]], truth).mean().item(), 5)
    return min(found, key=found.get), found


class Nearest(Predictor):
    """The graph of the nearest neighbour; a gallery is scored by its likeness to the graphs of `k` neighbours."""

    def __init__(self, neighbors: Neighbors, graphs: Graph, psi: Sketched, points: torch.Tensor, k: int):
        self.neighbors, self.graphs, self.psi, self.points, self.k = neighbors, graphs, psi, points, k

    def predict(self, inputs) -> Graph:
        return self.graphs[torch.from_numpy(self.neighbors.of(inputs, 1)[1][:, 0])]

    def scores(self, inputs, gallery: Graph) -> torch.Tensor:
        return self.mean(inputs) @ points_of(self.psi, gallery).T

    def mean(self, inputs) -> torch.Tensor:
        """(B, D) where the graphs of the neighbours lie, each weighted by the square of its cosine."""
        alike, rows = self.neighbors.of(inputs, self.k)
        weights = torch.from_numpy(alike).square()[..., None] + 1e-12
        return projections.sphere((weights * self.points[torch.from_numpy(rows)]).sum(1))


@dataclass(frozen=True)
class NearestNeighbor(Method):
    """The graph of the training input that is most alike."""

    name: str = "neighbour"
    title: str = "Nearest neighbour"
    about: str = "the graph of the training input with the most alike n-grams or pixels"
    tasks: tuple[str, ...] | None = None

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        kernel = fitting(problem.outputs.vocabulary)
        psi = sketched(kernel, problem.outputs, LANDMARKS, seed)
        chosen, compared = best_reading(problem, psi, seed)
        neighbors = Neighbors(READERS[problem.kind][chosen](), problem.train.inputs)
        points, truth = points_of(psi, problem.train.graphs), points_of(psi, problem.validation.graphs)
        tried, where = {}, torch.arange(len(truth))
        for k in COUNTS:
            mean = Nearest(neighbors, problem.train.graphs, psi, points, k).mean(problem.validation.inputs)
            tried[k] = round(mean_reciprocal_rank(ranks(-mean @ truth.T, where)), 5)
        k = max(tried, key=tried.get)
        return Fitted(
            {"": Nearest(neighbors, problem.train.graphs, psi, points, k)},
            {
                "reading": chosen, "loss by reading": compared, "kernel": kernel, "landmarks": LANDMARKS,
                "neighbours for ranking": k, "mrr by neighbours": {str(n): value for n, value in tried.items()},
            },
        )  # fmt: skip
