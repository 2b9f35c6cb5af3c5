"""Input-output kernel regression: the same regression and decoding as ELE, with a loss that is told, not learned.

`ile-*` regress by sketched kernel ridge regression (the idea of SISOKR: El Ahmad et al., AISTATS 2024), `dsokr-*` by
the same neural h as ELE (the idea of DSOKR: El Ahmad et al., arXiv:2406.09253).
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve

from elekit import metrics, project
from elekit.benchmark.methods.base import Fitted, Method
from elekit.benchmark.methods.ele import Regressed, regression
from elekit.benchmark.methods.encoders import encoder
from elekit.benchmark.methods.inputs import READERS, cosines
from elekit.benchmark.methods.kernels import Sketched, sketched
from elekit.benchmark.problem import Problem
from elekit.decoding import Candidates, DecodeConfig
from elekit.loss import points_of
from elekit.train import fit_surrogate
from elekit.training import stop_if_interrupted

SKETCH = 1_000  # landmarks among outputs
ANCHORS = 2_000  # landmarks among training inputs
BLOCK = 4_096  # inputs compared with the anchors at a time
WIDTHS = (None, 1.0, 0.3)  # of the kernel of inputs; None: the cosine itself
RIDGES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
COMPARED = 10_000  # training pairs, at most, on which ways to read and widths are compared
JITTER = 1e-12  # of the trace of what is inverted


class KernelRidge:
    """h of sketched kernel ridge regression: `h(x) ~ k(x, anchors) A`, with `A` of least squares and a ridge.

    `A = (K_an K_na + ridge n K_aa)^-1 K_an Y`: with all n inputs as anchors `A = (K + ridge n)^-1 Y`. Kernel of two
    inputs with cosine c: c itself, or `exp((c - 1) / width)`. Source: Rudi et al. (2015).
    """

    def __init__(self, reader, inputs, width: float | None, anchors: int, seed: int):
        self.reader, self.width, self.rows = reader, width, reader.fit_transform(inputs)
        chosen = np.random.default_rng(seed).permutation(self.rows.shape[0])[:anchors]
        self.anchors = self.rows[np.sort(chosen)]

    def kernel(self, rows) -> np.ndarray:
        """(B, A) between rows and anchors, float64."""
        alike = cosines(rows, self.anchors).astype(np.float64)
        return alike if self.width is None else np.exp((alike - 1) / self.width)

    def prepare(self, points: torch.Tensor) -> "KernelRidge":
        """Sum up what `solve` needs; points: (n, D) the targets."""
        self.n, a = len(points), self.anchors.shape[0]
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

    def predict(self, inputs) -> torch.Tensor:
        """(B, D) unit vectors."""
        rows = self.reader.transform(inputs)
        parts = [self.kernel(rows[s : s + BLOCK]) @ self.weights for s in range(0, rows.shape[0], BLOCK)]
        return project.sphere(torch.from_numpy(np.concatenate(parts)).float())


def rank_among(points: torch.Tensor, truth: torch.Tensor) -> float:
    """Mean reciprocal rank of each true graph among all of validation."""
    return round(metrics.mean_reciprocal_rank(metrics.ranks(-points @ truth.T, torch.arange(len(truth)))), 5)


@dataclass(frozen=True)
class ILE(Method):
    """Kernel ridge regression on a predefined loss; the best candidate is predicted. kernel: of outputs."""

    name: str
    title: str
    about: str
    kernel: str
    tasks: tuple[str, ...] | None = None

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        psi = sketched(self.kernel, problem.outputs, SKETCH, seed)
        known = Candidates.of(psi, problem.outputs)
        points = known.points if problem.outputs is problem.train.graphs else points_of(psi, problem.train.graphs)
        h, told, parameters = self.h(psi, points, problem, seed, work, progress)
        config = DecodeConfig("candidates", seed=seed)
        settings = {"kernel": self.kernel, "landmarks": SKETCH, "dimensions": points.shape[1], **told}
        return Fitted({"": Regressed(psi, h, known, config)}, settings, parameters)

    def h(self, psi: Sketched, points: torch.Tensor, problem: Problem, seed: int, work: Path, progress: bool):
        truth, inputs = points_of(psi, problem.validation.graphs), problem.validation.inputs
        few, tried = min(COMPARED, len(problem.train)), {}
        best = (-1.0, "", None, 0.0)
        for name, make in READERS[problem.kind].items():
            for width in WIDTHS:
                h = KernelRidge(make(), problem.train.inputs[:few], width, ANCHORS, seed).prepare(points[:few])
                for ridge in RIDGES:
                    mrr = tried[f"{name}, width {width or 'none'}, ridge {ridge:g}"] = rank_among(
                        h.solve(ridge).predict(inputs), truth
                    )
                    best = max(best, (mrr, name, width, ridge), key=lambda one: one[0])
        _, name, width, ridge = best
        h = KernelRidge(READERS[problem.kind][name](), problem.train.inputs, width, ANCHORS, seed).prepare(points)
        again = {}
        if len(problem.train) > few:  # the ridge is tuned again where there are more pairs
            again = {f"ridge {r:g}": rank_among(h.solve(r).predict(inputs), truth) for r in RIDGES}
            ridge = max(RIDGES, key=lambda r: again[f"ridge {r:g}"])
        h.solve(ridge)
        told = {"reading": name, "width": width, "ridge": ridge, "anchors": len(h.among), "mrr by setting": tried | again}
        return h, told, h.weights.size


@dataclass(frozen=True)
class DSOKR(ILE):
    """As ILE, with the neural h of ELE."""

    def h(self, psi: Sketched, points: torch.Tensor, problem: Problem, seed: int, work: Path, progress: bool):
        training = regression(problem)
        h = fit_surrogate(
            psi, problem.train, validation=problem.validation, backbone=encoder(problem), training=training,
            seed=seed, checkpoint=work / "h.pt", progress=progress,
        )  # fmt: skip
        stop_if_interrupted(h)
        return h, {"h": asdict(training)}, sum(p.numel() for p in h.parameters())


MOLECULAR = ("smi2mol", "noise", "text2mol")
ILES = (
    ILE("ile-tanimoto", "ILE, Tanimoto", "sketched kernel ridge regression on the Tanimoto loss", "tanimoto", MOLECULAR),
    ILE("ile-wl", "ILE, Weisfeiler-Lehman", "sketched kernel ridge regression on the Weisfeiler-Lehman loss", "wl"),
    DSOKR("dsokr-tanimoto", "DSOKR, Tanimoto", "neural regression on the Tanimoto loss", "tanimoto", MOLECULAR),
    DSOKR("dsokr-wl", "DSOKR, Weisfeiler-Lehman", "neural regression on the Weisfeiler-Lehman loss", "wl"),
)
