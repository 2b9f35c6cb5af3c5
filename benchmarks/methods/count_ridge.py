"""Kernel ridge regression from texts onto weighted substructure counts of molecules: a strong baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from torch import Tensor

from benchmarks.methods.base import Fitted, Method
from benchmarks.methods.embedding_predictor import EmbeddingPredictor
from benchmarks.methods.input_features import cosines, ngrams
from benchmarks.methods.substructure_counts import PART_KINDS, CountEmbedding, SubstructureCounts
from benchmarks.task_data import RETRIEVAL_TASKS, TestData, TrainingData
from elekit.decoding import Candidates, DecodeConfig, LocalSearchConfig
from elekit.evaluation.conformal.calibration import LEVEL, calibrated
from elekit.evaluation.intervals import wilson
from elekit.evaluation.ranking import mean_reciprocal_rank, ranks
from elekit.graphs import projections
from elekit.model.loss import Psi, points_of

RIDGES = (0.01, 0.03, 0.1, 0.3)
DECODERS = {
    "candidates": DecodeConfig("candidates"),
    # texts rarely determine the molecule: almost every loss would exceed a lower `retry_above`
    "candidates + polish": DecodeConfig("candidates+polish", local_search=LocalSearchConfig(retry_above=4.0)),
}


class TextKernel:
    """Similarity to the training texts: cosine of TF-IDF of character 3- to 5-grams."""

    def __init__(self, inputs):
        self.reader = ngrams("char", 3, 5)
        self.rows = self.reader.fit_transform(inputs)
        self.train_kernel = self._to_train(self.rows)

    def __call__(self, inputs) -> np.ndarray:
        """(B, n) float64."""
        return self._to_train(self.reader.transform(inputs))

    def _to_train(self, rows) -> np.ndarray:
        return cosines(rows, self.rows).astype(np.float64)

    def regularized(self, ridge: float) -> np.ndarray:
        """(n, n) kernel of the training texts with the ridge on its diagonal."""
        matrix = self.train_kernel.copy()
        matrix[np.diag_indices_from(matrix)] += ridge
        return matrix


class TextRidge:
    """h of kernel ridge regression: `h(x) ~ k(x) (K + ridge I)^-1 Psi`, with Psi (n, D) the training points."""

    def __init__(self, kernel: TextKernel, ridge: float, points: Tensor, inverse: np.ndarray | None = None):
        self.kernel = kernel
        if inverse is None:
            solved = cho_solve(cho_factor(kernel.regularized(ridge)), points.double().numpy())
        else:
            solved = inverse @ points.numpy()
        self.weights = solved.astype(np.float32)

    def predict(self, inputs: Sequence[str]) -> Tensor:
        """(B, D) unit vectors."""
        return projections.sphere(torch.from_numpy(self.kernel(inputs).astype(np.float32) @ self.weights))


def tune_ridge(
    kernel: TextKernel, points: Tensor, data: TrainingData, truth: Tensor
) -> tuple[float, dict[str, float]]:
    """The ridge with the highest mean reciprocal rank of the validation graphs, and the rank of each ridge.

    Args:
        kernel: Kernel of the training texts.
        points: (n, D) points of the training graphs.
        data: Its validation inputs are used.
        truth: (V, D) points of the validation graphs.
    """
    similarity = kernel(data.validation.inputs)
    found, known = {}, (points @ truth.T).double().numpy()  # (n, V): avoids (V, D) predictions per ridge
    train_points = points.double().numpy()
    for ridge in RIDGES:
        mixed = cho_solve(cho_factor(kernel.regularized(ridge)), similarity.T).T  # (V, n)
        length = np.linalg.norm(mixed @ train_points, axis=1, keepdims=True)
        scores = torch.from_numpy(mixed @ known / np.maximum(length, 1e-12))
        found[ridge] = mean_reciprocal_rank(ranks(-scores, torch.arange(len(scores))))
    return max(found, key=found.__getitem__), {f"{ridge:g}": round(value, 5) for ridge, value in found.items()}


class TextRidgePredictor(EmbeddingPredictor):
    """Rank a gallery by `2 - 2 <h(x), psi(y)>`, with prediction sets from the gallery; predict known graphs."""

    def __init__(self, psi: Psi, h: TextRidge, candidates: Candidates, seed: int):
        super().__init__(psi, h, candidates, DecodeConfig("candidates", seed=seed))

    def evaluate_sets(self, data: TestData) -> dict | None:
        """Split conformal prediction: the gallery graphs within the radius of 90 % of the calibration truths."""
        if data.gallery is None:
            return None
        target, truth = self.h.predict(data.calibration.inputs), points_of(self.psi, data.calibration.graphs)
        calibration = calibrated(2 - 2 * (target * truth).sum(1), LEVEL)
        inside = 2 - 2 * self.score_gallery(data.test.inputs, data.gallery) <= calibration.radius
        n, sizes = len(inside), inside.sum(1)
        covered = int(inside[torch.arange(n), data.gallery_rows].sum())
        coverage_low, coverage_high = wilson(covered, n)
        expected_low, expected_high = calibration.expected(n)
        return {
            "level": calibration.level,
            "pairs": calibration.pairs,
            "unreachable": 0,
            "possible": calibration.pairs / (calibration.pairs + 1),
            "radius": calibration.radius,
            "tests": n,
            "coverage": covered / n,
            "coverage_low": coverage_low,
            "coverage_high": coverage_high,
            "set_size": sizes.float().mean().item(),
            "set_size_median": float(sizes.float().median()),
            "empty": (sizes == 0).float().mean().item(),
            "expected_low": expected_low,
            "expected_high": expected_high,
        }


@dataclass(frozen=True)
class CountRidge(Method):
    """Kernel ridge regression onto counts of the given kinds of substructures."""

    name: str
    title: str
    description: str
    kinds: tuple[str, ...]
    tasks: tuple[str, ...] | None = RETRIEVAL_TASKS

    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        psi = CountEmbedding(SubstructureCounts(self.kinds, data.outputs)).requires_grad_(False)
        points, kernel = points_of(psi, data.train.graphs), TextKernel(data.train.inputs)
        ridge, tried = tune_ridge(kernel, points, data, points_of(psi, data.validation.graphs))
        h = TextRidge(kernel, ridge, points)
        known = Candidates(data.train.graphs, points)
        settings = {"kinds": list(self.kinds), "columns": len(psi.counts), "ridge": ridge, "mrr_by_ridge": tried}
        return Fitted({"": TextRidgePredictor(psi, h, known, seed)}, settings, h.weights.size)


COUNT_RIDGES = (
    CountRidge(
        "ridge-morgan",
        "Kernel ridge, Morgan counts",
        "kernel ridge regression onto weighted Morgan counts",
        ("neighborhoods",),
    ),
    CountRidge(
        "ridge-counts",
        "Kernel ridge, all counts",
        "kernel ridge regression onto Morgan counts, functional groups, the formula and lengths of chains",
        tuple(PART_KINDS),
    ),
)
