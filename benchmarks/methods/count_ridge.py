"""Kernel ridge regression from texts onto counted parts of molecules: no loss is learned, and it is hard to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from torch import Tensor

from benchmarks.methods.base import Fitted, Method
from benchmarks.methods.embedding_predictor import Regressed
from benchmarks.methods.input_features import cosines, ngrams
from benchmarks.methods.substructure_counts import KINDS, CountEmbedding, Counts
from benchmarks.task_data import SEARCHED, Exam, Problem
from elekit.decoding import Candidates, DecodeConfig
from elekit.evaluation.conformal.calibration import LEVEL, calibrated
from elekit.evaluation.intervals import wilson
from elekit.evaluation.ranking import mean_reciprocal_rank, ranks
from elekit.graphs import projections
from elekit.model.loss import points_of

RIDGES = (0.01, 0.03, 0.1, 0.3)


class TextKernel:
    """How alike texts are to the training texts: the cosine of TF-IDF of n-grams of 3 to 5 characters."""

    def __init__(self, inputs: Sequence[str]):
        self.reader = ngrams("char", 3, 5)
        self.rows = self.reader.fit_transform(inputs)
        self.among = self._to(self.rows)

    def __call__(self, inputs: Sequence[str]) -> np.ndarray:
        """(B, n) float64."""
        return self._to(self.reader.transform(inputs))

    def _to(self, rows) -> np.ndarray:
        return cosines(rows, self.rows).astype(np.float64)

    def ridged(self, ridge: float) -> np.ndarray:
        """(n, n) the kernel with the ridge on its diagonal."""
        matrix = self.among.copy()
        matrix[np.diag_indices_from(matrix)] += ridge
        return matrix


class Ridge:
    """h of kernel ridge regression: `h(x) ~ k(x) (K + ridge I)^-1 Psi`; Psi (n, D): points of the training graphs."""

    def __init__(self, kernel: TextKernel, ridge: float, points: Tensor, inverse: np.ndarray | None = None):
        self.kernel = kernel
        right = points.double().numpy()
        solved = cho_solve(cho_factor(kernel.ridged(ridge)), right) if inverse is None else inverse @ right
        self.weights = solved.astype(np.float32)

    def predict(self, inputs: Sequence[str]) -> Tensor:
        """(B, D) unit vectors."""
        return projections.sphere(torch.from_numpy(self.kernel(inputs).astype(np.float32) @ self.weights))


def tuned(kernel: TextKernel, points: Tensor, problem: Problem, truth: Tensor) -> tuple[float, dict[str, float]]:
    """The ridge by which validation texts find their own graphs best, and the mean reciprocal rank for each.

    truth: (V, D) points of the validation graphs.
    """
    near = kernel(problem.validation.inputs)
    found, known = {}, (points @ truth.T).double().numpy()  # (n, V): no row needs its D numbers
    among = points.double().numpy()
    for ridge in RIDGES:
        mixed = cho_solve(cho_factor(kernel.ridged(ridge)), near.T).T  # (V, n)
        length = np.linalg.norm(mixed @ among, axis=1, keepdims=True)
        scores = torch.from_numpy(mixed @ known / np.maximum(length, 1e-12))
        found[ridge] = mean_reciprocal_rank(ranks(-scores, torch.arange(len(scores))))
    return max(found, key=found.get), {f"{ridge:g}": round(value, 5) for ridge, value in found.items()}


class Ranked(Regressed):
    """`argmin 2 - 2 <h(x), psi(y)>` over known graphs, and the order of a gallery, with prediction sets from it."""

    def __init__(self, psi: CountEmbedding, h: Ridge, candidates: Candidates, seed: int):
        super().__init__(psi, h, candidates, DecodeConfig("candidates", seed=seed))

    def sets(self, exam: Exam) -> dict | None:
        """Split conformal: all of the gallery within the radius that holds 90 % of the truths of calibration."""
        if exam.gallery is None:
            return None
        target, truth = self.h.predict(exam.calibration.inputs), points_of(self.psi, exam.calibration.graphs)
        held = calibrated(2 - 2 * (target * truth).sum(1), LEVEL)
        inside = 2 - 2 * self.scores(exam.test.inputs, exam.gallery) <= held.radius
        n, sizes = len(inside), inside.sum(1)
        hit = int(inside[torch.arange(n), exam.where].sum())
        bounds = wilson(hit, n)
        found = {"level": held.level, "pairs": held.pairs, "unreachable": 0}
        found |= {"possible": held.pairs / (held.pairs + 1), "radius": held.radius, "tests": n, "coverage": hit / n}
        found |= dict(zip(("coverage_low", "coverage_high"), bounds))
        found |= {"set_size": sizes.float().mean().item(), "set_size_median": float(sizes.float().median())}
        found |= {"empty": (sizes == 0).float().mean().item()}
        return found | dict(zip(("expected_low", "expected_high"), held.expected(n)))


@dataclass(frozen=True)
class RidgeCounts(Method):
    """kinds: of parts that are counted."""

    name: str
    title: str
    about: str
    kinds: tuple[str, ...]
    tasks: tuple[str, ...] | None = SEARCHED

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        psi = CountEmbedding(Counts(self.kinds, problem.outputs)).requires_grad_(False)
        points, kernel = points_of(psi, problem.train.graphs), TextKernel(problem.train.inputs)
        ridge, tried = tuned(kernel, points, problem, points_of(psi, problem.validation.graphs))
        h = Ridge(kernel, ridge, points)
        known = Candidates(problem.train.graphs, points)
        settings = {"kinds": list(self.kinds), "columns": len(psi.counts), "ridge": ridge, "mrr by ridge": tried}
        return Fitted({"": Ranked(psi, h, known, seed)}, settings, h.weights.size)


RIDGES_ON_COUNTS = (
    RidgeCounts(
        "ridge-morgan",
        "Kernel ridge, Morgan",
        "kernel ridge regression on weighted Morgan counts",
        ("neighbourhoods",),
    ),
    RidgeCounts(
        "ridge-counts",
        "Kernel ridge, all counts",
        "the same on Morgan counts, functional groups, the formula and lengths of chains",
        tuple(KINDS),
    ),
)
