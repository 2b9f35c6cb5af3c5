"""Regression of inputs on points of a sphere, the same for every loss that has a psi, learned or predefined.

Two ways, neural (what `elekit.fit_surrogate` trains) and by kernels (a linear system); their mean where it is best.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from torch import Tensor

from benchmarks.methods.encoders import encoder
from benchmarks.methods.input_features import READERS, cosines
from benchmarks.task_data import Problem
from elekit.graphs import projections
from elekit.model.loss import Psi, points_of
from elekit.model.surrogate import SurrogateRegressor
from elekit.training import SurrogateTraining, fit_surrogate
from elekit.training.loop import TrainerConfig, raise_if_interrupted
from elekit.training.surrogate import settings

ANCHORS = 2_000  # landmarks among training inputs
MOST_ANCHORS = 5_000  # so many training inputs, and no more, are all anchors in the end
BLOCK = 4_096  # inputs compared with the anchors at a time
WIDTHS = (None, 1.0, 0.3)  # of the kernel of inputs; None: the cosine itself
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
COMPARED = 10_000  # training pairs, at most, on which ways to read and widths are compared
JITTER = 1e-9


def training_of(problem: Problem, *, learning_rate: float = 2e-3, **differs) -> SurrogateTraining:
    """How everything neural is trained that reads inputs: steps and batches are those of the budget.

    learning_rate, and what else of `SurrogateTraining` differs: of one method, tuned on validation.
    """
    budget = problem.budget
    loop = TrainerConfig(budget.steps, learning_rate, validate_every=500, checkpoint_every=500)
    return SurrogateTraining(loop=loop, batch_size=budget.batch_size, **differs)


def neural(
    psi: Psi, problem: Problem, *, seed: int, work: Path, progress: bool, through: str = "point", **differs
) -> tuple[SurrogateRegressor, dict]:
    """h trained by steps, and its settings; resumable in `work`.

    through: see `BackboneConfig`. differs: of the training, see `training_of`.
    """
    training = training_of(problem, **differs)
    h = fit_surrogate(
        psi,
        problem.train,
        validation=problem.validation,
        backbone=replace(encoder(problem), through=through),
        training=training,
        seed=seed,
        checkpoint=work / "h.pt",
        progress=progress,
    )
    raise_if_interrupted(h)
    return h, settings(training, has_graph_head=h.has_graph_head, pairs=len(problem.train))


class KernelRidge:
    """h of sketched kernel ridge regression: `h(x) ~ k(x, anchors) A`, with `A` of least squares and a ridge.

    `A = (K_an K_na + ridge n K_aa)^-1 K_an Y`: with all n inputs as anchors `A = (K + ridge n)^-1 Y`. Kernel of two
    inputs with cosine c: c itself, or `exp((c - 1) / width)`. Source: Rudi et al. (2015).
    """

    def __init__(self, reader, inputs, anchors: int, seed: int):
        self.reader, self.rows = reader, reader.fit_transform(inputs)
        chosen = np.random.default_rng(seed).permutation(self.rows.shape[0])[:anchors]
        self.anchors = self.rows[np.sort(chosen)].astype(np.float64)

    def kernel(self, rows) -> np.ndarray:
        """(B, A) between rows and anchors, float64: in single precision it would not be positive."""
        alike = cosines(rows.astype(np.float64), self.anchors)
        return alike if self.width is None else np.exp((alike - 1) / self.width)

    def prepare(self, points: Tensor, width: float | None) -> "KernelRidge":
        """Sum up what `solve` needs; points: (n, D) the targets. width: of the kernel."""
        self.width, self.n, a = width, len(points), self.anchors.shape[0]
        self.square, self.cross = np.zeros((a, a)), np.zeros((a, points.shape[1]))
        for start in range(0, self.n, BLOCK):
            block = self.kernel(self.rows[start : start + BLOCK])
            self.square += block.T @ block
            self.cross += block.T @ points[start : start + BLOCK].double().numpy()
        self.among = self.kernel(self.anchors)
        return self

    def solve(self, ridge: float) -> "KernelRidge":
        matrix = self.square + ridge * self.n * self.among
        matrix[np.diag_indices_from(matrix)] += JITTER * np.trace(matrix)
        self.weights = cho_solve(cho_factor(matrix, overwrite_a=True), self.cross)
        return self

    def predict(self, inputs) -> Tensor:
        """(B, D) unit vectors."""
        rows = self.reader.transform(inputs)
        parts = [self.kernel(rows[s : s + BLOCK]) @ self.weights for s in range(0, rows.shape[0], BLOCK)]
        return projections.sphere(torch.from_numpy(np.concatenate(parts)).float())


def by_kernels(
    points: Tensor, problem: Problem, truth: Tensor, judged: Callable[[Tensor, Tensor], float], seed: int
) -> tuple[KernelRidge, dict]:
    """h of kernel ridge regression on points (n, D), tuned on validation: how to read, kernel width, ridge.

    truth: (V, D) points of the validation graphs. judged: predictions and truth to a number, more is better.
    """
    inputs, few = problem.validation.inputs, min(COMPARED, len(points))
    drawn = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:few]  # rows may be sorted
    some = problem.train.take(drawn).inputs
    tried, best = {}, (-np.inf, "", None, 0.0)
    for name, make in READERS[problem.kind].items():
        read = KernelRidge(make(), some, ANCHORS, seed)
        for width in WIDTHS:
            h = read.prepare(points[drawn], width)
            for ridge in RIDGES:
                value = judged(h.solve(ridge).predict(inputs), truth)
                tried[f"{name}, width {width or 'none'}, ridge {ridge:g}"] = value
                best = max(best, (value, name, width, ridge), key=lambda one: one[0])
    _, name, width, ridge = best
    anchors = ANCHORS if len(points) > MOST_ANCHORS else MOST_ANCHORS
    h = KernelRidge(READERS[problem.kind][name](), problem.train.inputs, anchors, seed).prepare(points, width)
    if len(points) > min(few, ANCHORS):  # the ridge is tuned again where there are more pairs or anchors
        again = {r: judged(h.solve(r).predict(inputs), truth) for r in RIDGES}
        ridge = max(again, key=again.get)
        tried |= {f"in the end, ridge {r:g}": value for r, value in again.items()}
    h.solve(ridge)
    return h, {"reading": name, "width": width, "ridge": ridge, "anchors": len(h.among), "tried": tried}


class Mean:
    """The mean of several h, brought back to the sphere."""

    def __init__(self, *parts):
        self.parts = parts

    def predict(self, inputs) -> Tensor:
        """(B, D) unit vectors."""
        return projections.sphere(sum(h.predict(inputs) for h in self.parts))


def closeness(points: Tensor, truth: Tensor) -> float:
    """Mean of `<h(x), psi(y)>`, by which a regression is tuned: the learned loss is 2 - 2 times that."""
    return round((points * truth).sum(1).mean().item(), 5)


def both(psi: Psi, points: Tensor, problem: Problem, *, seed: int, work: Path, progress: bool, **differs):
    """What is best on validation, as "", of both ways and their mean; each alone, by name; and settings."""
    truth = points_of(psi, problem.validation.graphs)
    trained, settings = neural(psi, problem, seed=seed, work=work, progress=progress, **differs)
    solved, tuned = by_kernels(points, problem, truth, closeness, seed)
    found = {"mean": Mean(trained, solved), "neural": trained, "kernels": solved}
    tried = {name: closeness(h.predict(problem.validation.inputs), truth) for name, h in found.items()}
    best = max(tried, key=tried.get)
    settings = {"neural": settings, "kernels": tuned, "tried": tried, "best": best}
    return {"": found[best], "neural": trained, "kernels": solved}, settings
