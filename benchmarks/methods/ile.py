"""Input output kernel regression: regression and decoding as in ELE, with a predefined loss.

`ile-*` use sketched kernel ridge regression (after SISOKR: El Ahmad et al., AISTATS 2024), `dsokr-*` the neural h of
ELE (after DSOKR: El Ahmad et al., arXiv:2406.09253).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.methods.base import Fitted, Method
from benchmarks.methods.embedding_predictor import EmbeddingPredictor
from benchmarks.methods.graph_kernels import KernelEmbedding, embed_kernel
from benchmarks.methods.regression import fit_both, fit_kernels
from benchmarks.task_data import MOLECULE_TASKS, TrainingData
from elekit.decoding import Candidates, DecodeConfig
from elekit.evaluation.ranking import mean_reciprocal_rank, ranks
from elekit.model.loss import points_of

LANDMARKS = 1_000  # among outputs


def retrieval_mrr(points: torch.Tensor, truth: torch.Tensor) -> float:
    """Mean reciprocal rank of each true graph among all validation graphs."""
    return round(mean_reciprocal_rank(ranks(-points @ truth.T, torch.arange(len(truth)))), 5)


@dataclass(frozen=True)
class ILE(Method):
    """Kernel ridge regression on a predefined loss; predicts the best candidate.

    Args:
        kernel: Kernel of outputs, see `graph_kernels.KERNELS`.
        landmarks: Landmarks of the kernel among the outputs.
        max_pairs: For slow kernels: number of training pairs, whose graphs are then the only candidates.
    """

    name: str
    title: str
    description: str
    kernel: str
    tasks: tuple[str, ...] | None = None
    landmarks: int = LANDMARKS
    max_pairs: int | None = None

    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        if self.max_pairs is not None:
            train = data.train.sample(self.max_pairs, seed)
            data = replace(data, train=train, outputs=train.graphs)
        psi = embed_kernel(self.kernel, data.outputs, self.landmarks, seed)
        known = Candidates.of(psi, data.outputs)
        points = known.points if data.outputs is data.train.graphs else points_of(psi, data.train.graphs)
        h, regression, parameters = self.regress(psi, points, data, seed, work, progress)
        config = DecodeConfig("candidates", seed=seed)
        sizes = {"landmarks": self.landmarks, "dimensions": points.shape[1], "candidates": len(known)}
        settings = {"kernel": self.kernel, **sizes, "pairs": len(points), **regression}
        return Fitted({"": EmbeddingPredictor(psi, h, known, config)}, settings, parameters)

    def regress(
        self, psi: KernelEmbedding, points: torch.Tensor, data: TrainingData, seed: int, work: Path, progress: bool
    ):
        """h, its settings, and its number of parameters."""
        h, settings = fit_kernels(points, data, points_of(psi, data.validation.graphs), retrieval_mrr, seed)
        return h, settings, h.weights.size


@dataclass(frozen=True)
class DSOKR(ILE):
    """As ILE, with the regression of ELE: neural, by kernels, or their mean."""

    def regress(
        self, psi: KernelEmbedding, points: torch.Tensor, data: TrainingData, seed: int, work: Path, progress: bool
    ):
        h, settings = fit_both(psi, points, data, seed=seed, work=work, progress=progress)
        return h[""], settings, sum(p.numel() for p in h["neural"].parameters()) + h["kernels"].weights.size


FGW_LANDMARKS, FGW_PAIRS = 32, 5_000  # fused Gromov-Wasserstein takes 0.8 ms per pair of graphs
ILES = (
    ILE("ile-tanimoto", "ILE, Tanimoto", "sketched kernel ridge regression on the Tanimoto loss", "tanimoto",
        MOLECULE_TASKS),
    ILE("ile-wl", "ILE, Weisfeiler-Lehman", "sketched kernel ridge regression on the Weisfeiler-Lehman loss", "wl"),
    ILE(
        "ile-fgw", "ILE, FGW", "sketched kernel ridge regression on the fused Gromov-Wasserstein loss", "fgw",
        ("smi2mol", "coloring", "noise"), FGW_LANDMARKS, FGW_PAIRS,
    ),
    DSOKR("dsokr-tanimoto", "DSOKR, Tanimoto", "regression of ELE on the Tanimoto loss", "tanimoto", MOLECULE_TASKS),
    DSOKR("dsokr-wl", "DSOKR, Weisfeiler-Lehman", "regression of ELE on the Weisfeiler-Lehman loss", "wl"),
)  # fmt: skip
