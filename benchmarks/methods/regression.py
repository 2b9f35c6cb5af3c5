"""Regression from inputs to points of a sphere, the same for every psi, learned or predefined.

Neural (`elekit.fit_surrogate`), by kernels (a linear system), or the mean of both, whichever is best on validation.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from torch import Tensor

from benchmarks.methods.encoders import encoder_for, encoding_for
from benchmarks.methods.input_features import FEATURES, cosines
from benchmarks.task_data import TrainingData
from elekit.graphs import projections
from elekit.model.loss import Psi, points_of
from elekit.model.surrogate import SurrogateRegressor
from elekit.training import SurrogateTraining, fit_surrogate
from elekit.training.loop import TrainerConfig, raise_if_interrupted
from elekit.training.surrogate import settings

ANCHORS = 2_000  # landmarks among the training inputs
MAX_ALL_ANCHORS = 5_000  # up to this number of training inputs, all are anchors in the end
BLOCK = 4_096  # inputs compared with the anchors at a time
WIDTHS = (None, 1.0, 0.3)  # of the kernel of inputs; None: the cosine
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
MAX_COMPARED = 10_000  # training pairs on which features and widths are compared
JITTER = 1e-9


def neural_training(data: TrainingData, **changes) -> SurrogateTraining:
    """Training of every neural model that reads inputs, with the steps and batch size of the budget.

    changes: `learning_rate` and fields of `SurrogateTraining`, tuned on validation for single methods.
    """
    changes = {"learning_rate": 2e-3, **encoding_for(data).shared_changes, **changes}
    learning_rate = changes.pop("learning_rate")
    loop = TrainerConfig(data.budget.steps, learning_rate, validate_every=500, checkpoint_every=500)
    return SurrogateTraining(loop=loop, batch_size=data.budget.batch_size, **changes)


def fit_neural(
    psi: Psi, data: TrainingData, *, seed: int, work: Path, progress: bool, through: str = "point", **changes
) -> tuple[SurrogateRegressor, dict]:
    """The neural h and its settings; training resumes from `work`. through: "point" or "graph"."""
    training = neural_training(data, **changes)
    h = fit_surrogate(
        psi,
        data.train,
        validation=data.validation,
        backbone=replace(encoder_for(data), through=through),
        training=training,
        seed=seed,
        checkpoint=work / "h.pt",
        progress=progress,
        reads=encoding_for(data).reads,
    )
    raise_if_interrupted(h)
    return h, settings(training, has_graph_head=h.has_graph_head, pairs=len(data.train))


class KernelRidge:
    """h of sketched kernel ridge regression: `h(x) ~ k(x, anchors) A`, with A from least squares with a ridge.

    `A = (K_an K_na + ridge n K_aa)^-1 K_an Y`; if all n inputs are anchors, `A = (K + ridge n)^-1 Y`. The kernel of
    two inputs with cosine c is c, or `exp((c - 1) / width)`. Source: Rudi et al. (2015).
    """

    def __init__(self, features, inputs, anchors: int, seed: int):
        self.features, self.rows = features, features.fit_transform(inputs)
        chosen = np.random.default_rng(seed).permutation(self.rows.shape[0])[:anchors]
        self.anchors = self.rows[np.sort(chosen)].astype(np.float64)

    def kernel(self, rows) -> np.ndarray:
        """(B, A) between rows and anchors; float64, since it would not be positive in single precision."""
        similarity = cosines(rows.astype(np.float64), self.anchors)
        return similarity if self.width is None else np.exp((similarity - 1) / self.width)

    def prepare(self, points: Tensor, width: float | None) -> "KernelRidge":
        """Accumulate the linear system for targets (n, D) and a kernel width."""
        self.width, self.n, a = width, len(points), self.anchors.shape[0]
        self.square, self.cross = np.zeros((a, a)), np.zeros((a, points.shape[1]))
        for start in range(0, self.n, BLOCK):
            block = self.kernel(self.rows[start : start + BLOCK])
            self.square += block.T @ block
            self.cross += block.T @ points[start : start + BLOCK].double().numpy()
        self.anchor_kernel = self.kernel(self.anchors)
        return self

    def solve(self, ridge: float) -> "KernelRidge":
        matrix = self.square + ridge * self.n * self.anchor_kernel
        matrix[np.diag_indices_from(matrix)] += JITTER * np.trace(matrix)
        self.weights = cho_solve(cho_factor(matrix, overwrite_a=True), self.cross)
        return self

    def predict(self, inputs) -> Tensor:
        """(B, D) unit vectors."""
        rows = self.features.transform(inputs)
        parts = [self.kernel(rows[s : s + BLOCK]) @ self.weights for s in range(0, rows.shape[0], BLOCK)]
        return projections.sphere(torch.from_numpy(np.concatenate(parts)).float())


def fit_kernels(
    points: Tensor, data: TrainingData, truth: Tensor, score: Callable[[Tensor, Tensor], float], seed: int
) -> tuple[KernelRidge, dict]:
    """h of kernel ridge regression, with input features, kernel width and ridge tuned on validation.

    Args:
        points: (n, D) targets.
        data: Training data.
        truth: (V, D) points of the validation graphs.
        score: Score of predictions given the truth, higher is better.
        seed: Seed of the anchors and of the pairs for tuning.

    Returns:
        h, and its settings as plain values.
    """
    inputs, few = data.validation.inputs, min(MAX_COMPARED, len(points))
    chosen = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:few]  # rows may be sorted
    some = data.train.take(chosen).inputs
    tried: dict[str, float] = {}
    best: tuple[float, str, float | None, float] = (-np.inf, "", None, 0.0)
    for name, make in FEATURES[data.input_kind].items():
        candidate = KernelRidge(make(), some, ANCHORS, seed)
        for width in WIDTHS:
            h = candidate.prepare(points[chosen], width)
            for ridge in RIDGES:
                value = score(h.solve(ridge).predict(inputs), truth)
                tried[f"{name}, width {width or 'none'}, ridge {ridge:g}"] = value
                best = max(best, (value, name, width, ridge), key=lambda one: one[0])
    _, name, width, ridge = best
    anchors = ANCHORS if len(points) > MAX_ALL_ANCHORS else MAX_ALL_ANCHORS
    h = KernelRidge(FEATURES[data.input_kind][name](), data.train.inputs, anchors, seed).prepare(points, width)
    if len(points) > min(few, ANCHORS):  # more pairs or anchors than during tuning: tune the ridge again
        final = {r: score(h.solve(r).predict(inputs), truth) for r in RIDGES}
        ridge = max(final, key=final.__getitem__)
        tried |= {f"final, ridge {r:g}": value for r, value in final.items()}
    h.solve(ridge)
    return h, {"features": name, "width": width, "ridge": ridge, "anchors": len(h.anchor_kernel), "tried": tried}


class MeanRegressor:
    """The mean of several h, normalized to the sphere."""

    def __init__(self, *parts):
        self.parts = parts

    def predict(self, inputs) -> Tensor:
        """(B, D) unit vectors."""
        return projections.sphere(sum(h.predict(inputs) for h in self.parts))


def mean_cosine(points: Tensor, truth: Tensor) -> float:
    """Mean of `<h(x), psi(y)>`; the learned loss is 2 - 2 times that."""
    return round((points * truth).sum(1).mean().item(), 5)


def fit_both(psi: Psi, points: Tensor, data: TrainingData, *, seed: int, work: Path, progress: bool, **changes):
    """Neural and kernel regression on points (n, D).

    Returns:
        Regressors "neural", "kernels" and "" (the best on validation of both and their mean), and the settings.
    """
    truth = points_of(psi, data.validation.graphs)
    trained, neural_settings = fit_neural(psi, data, seed=seed, work=work, progress=progress, **changes)
    solved, kernel_settings = fit_kernels(points, data, truth, mean_cosine, seed)
    found: dict[str, Any] = {"mean": MeanRegressor(trained, solved), "neural": trained, "kernels": solved}
    tried = {name: mean_cosine(h.predict(data.validation.inputs), truth) for name, h in found.items()}
    best = max(tried, key=tried.__getitem__)
    about = {"neural": neural_settings, "kernels": kernel_settings, "tried": tried, "best": best}
    return {"": found[best], "neural": trained, "kernels": solved}, about
