"""Input-output kernel regression: the same regression and decoding as ELE, with a loss that is told, not learned.

`ile-*` regress by sketched kernel ridge regression (the idea of SISOKR: El Ahmad et al., AISTATS 2024), `dsokr-*` by
the same neural h as ELE (the idea of DSOKR: El Ahmad et al., arXiv:2406.09253).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.methods.base import Fitted, Method
from benchmarks.methods.embedding_predictor import Regressed
from benchmarks.methods.graph_kernels import Sketched, sketched
from benchmarks.methods.regression import both, by_kernels
from benchmarks.task_data import MOLECULES, Problem
from elekit.decoding import Candidates, DecodeConfig
from elekit.evaluation.ranking import mean_reciprocal_rank, ranks
from elekit.model.loss import points_of

SKETCH = 1_000  # landmarks among outputs


def rank_among(points: torch.Tensor, truth: torch.Tensor) -> float:
    """Mean reciprocal rank of each true graph among all of validation."""
    return round(mean_reciprocal_rank(ranks(-points @ truth.T, torch.arange(len(truth)))), 5)


@dataclass(frozen=True)
class ILE(Method):
    """Kernel ridge regression on a predefined loss; the best candidate is predicted.

    kernel: of outputs. landmarks: among them. most: training pairs that are used, whose graphs are then the only
    candidates, where the kernel is slow; None: all of them, and all known outputs.
    """

    name: str
    title: str
    about: str
    kernel: str
    tasks: tuple[str, ...] | None = None
    landmarks: int = SKETCH
    most: int | None = None

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        if self.most is not None:
            train = problem.train.sample(self.most, seed)
            problem = replace(problem, train=train, outputs=train.graphs)
        psi = sketched(self.kernel, problem.outputs, self.landmarks, seed)
        known = Candidates.of(psi, problem.outputs)
        points = known.points if problem.outputs is problem.train.graphs else points_of(psi, problem.train.graphs)
        h, told, parameters = self.h(psi, points, problem, seed, work, progress)
        config = DecodeConfig("candidates", seed=seed)
        sizes = {"landmarks": self.landmarks, "dimensions": points.shape[1], "candidates": len(known)}
        settings = {"kernel": self.kernel, **sizes, "pairs": len(points), **told}
        return Fitted({"": Regressed(psi, h, known, config)}, settings, parameters)

    def h(self, psi: Sketched, points: torch.Tensor, problem: Problem, seed: int, work: Path, progress: bool):
        h, told = by_kernels(points, problem, points_of(psi, problem.validation.graphs), rank_among, seed)
        return h, told, h.weights.size


@dataclass(frozen=True)
class DSOKR(ILE):
    """As ILE, with the very regression of ELE: neural and by kernels."""

    def h(self, psi: Sketched, points: torch.Tensor, problem: Problem, seed: int, work: Path, progress: bool):
        h, told = both(psi, points, problem, seed=seed, work=work, progress=progress)
        return h[""], told, sum(p.numel() for p in h["neural"].parameters()) + h["kernels"].weights.size


FEW, MOST = 32, 5_000  # landmarks and pairs of fused Gromov-Wasserstein: 0.8 ms for each of both
ILES = (
    ILE("ile-tanimoto", "ILE, Tanimoto", "sketched kernel ridge on the Tanimoto loss", "tanimoto", MOLECULES),
    ILE("ile-wl", "ILE, Weisfeiler-Lehman", "sketched kernel ridge on the Weisfeiler-Lehman loss", "wl"),
    ILE(
        "ile-fgw", "ILE, FGW", "sketched kernel ridge on the fused Gromov-Wasserstein loss", "fgw",
        ("smi2mol", "coloring", "noise"), FEW, MOST,
    ),
    DSOKR("dsokr-tanimoto", "DSOKR, Tanimoto", "neural regression on the Tanimoto loss", "tanimoto", MOLECULES),
    DSOKR("dsokr-wl", "DSOKR, Weisfeiler-Lehman", "neural regression on the Weisfeiler-Lehman loss", "wl"),
)  # fmt: skip
