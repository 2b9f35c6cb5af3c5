"""ELE with several decoders, its variants (graph head, fitted metric), and ablations of psi."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.count_ridge import TextKernel, TextRidge, TextRidgePredictor, tune_ridge
from benchmarks.methods.embedding_predictor import EmbeddingPredictor, RecombinedPredictor
from benchmarks.methods.encoders import encoding_for
from benchmarks.methods.environments import whitened_messages
from benchmarks.methods.fitted_metric import MetricH, MetricPsi, fit_metric
from benchmarks.methods.regression import fit_both, fit_neural
from benchmarks.task_data import DECODING_TASKS, RETRIEVAL_TASKS, SPAN_TASKS, TREE_TASKS, TrainingData
from elekit.datasets import Split
from elekit.decoding import Candidates, DecodeConfig, LocalSearchConfig
from elekit.evaluation.judging import evaluate
from elekit.graphs import projections
from elekit.model import artifact as artifacts
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import points_of
from elekit.training import EmbeddingTraining, fit_embedding
from elekit.training.loop import TrainerConfig, raise_if_interrupted

DECODERS = {
    "rounded": DecodeConfig("rounded"),
    "rounded + polish": DecodeConfig("rounded+polish"),
    "candidates": DecodeConfig("candidates"),
    "candidates + quick polish": DecodeConfig(
        "candidates+polish",
        search_starts=1,
        local_search=LocalSearchConfig(beam=1, screen=12, patience=1, retry_above=4.0),
    ),
    "candidates + polish": DecodeConfig("candidates+polish"),
    "gradient": DecodeConfig("gradient"),
    "gradient + polish": DecodeConfig("gradient+polish"),
}
QUICK_DECODERS = ("rounded", "rounded + polish", "candidates", "candidates + quick polish", "candidates + polish")
SPAN_DECODERS = {  # which of them run on texts, by what h ends in and what is predicted
    ("graph", "relations"): ("rounded", "rounded + polish"),
    ("point", "relations"): ("candidates", "candidates + polish"),
    ("graph", "trees"): ("rounded",),
    ("point", "trees"): ("candidates",),  # local search takes seconds for a long sentence
}
MIN_PAIRS_SLOW, MIN_PAIRS_SETS = 5_000, 7_000  # training pairs from which slow decoders and prediction sets run
DEFAULT_DECODERS = ("rounded + polish", "candidates + polish")  # as `elekit decode`: the first that h supports
PSI_STEPS, SPAN_PSI_STEPS, TREE_PSI_STEPS = 1_200, 400, 200  # the last two on texts with entities, and sentences
ABLATION_PREFIX = "psi-"


@dataclass(frozen=True)
class ELE(Method):
    """Train psi on the outputs alone, regress h on psi(y), decode with the learned loss.

    Args:
        psi_training: Training of psi, unless a shipped psi was trained on the same outputs.
        psi_shape: Architecture of psi.
        use_shipped: Use a shipped psi that was trained on the same outputs.
        decoders: Names of the decoders to evaluate.
        through: What h ends in, "point" (ELE) or "graph" (graph head), see `BackboneConfig`.
        fitted_metric: Fit a metric of the embedding space on validation pairs, see
        `benchmarks.methods.fitted_metric`.
    """

    name: str = "ele"
    title: str = "ELE"
    description: str = "the method of the paper: psi learned from outputs alone, h ends in a point of the sphere"
    tasks: tuple[str, ...] | None = None
    psi_training: EmbeddingTraining = EmbeddingTraining(
        loop=TrainerConfig(PSI_STEPS, 2e-3, matmul_precision="medium")
    )
    psi_shape: EmbeddingConfig = EmbeddingConfig()
    use_shipped: bool = True
    decoders: tuple[str, ...] = tuple(DECODERS)
    through: str = "point"
    fitted_metric: bool = False

    def prepare(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> None:
        if not (self.uses_shipped(data) or data.task in RETRIEVAL_TASKS):
            self.psi(data, work, progress)

    def uses_shipped(self, data: TrainingData) -> bool:
        return self.use_shipped and data.artifact is not None

    def training_for(self, data: TrainingData) -> EmbeddingTraining:
        """The training of psi on the outputs of a task."""
        if data.task not in SPAN_TASKS:
            return self.psi_training
        steps = TREE_PSI_STEPS if data.task in TREE_TASKS else SPAN_PSI_STEPS
        return replace(self.psi_training, loop=replace(self.psi_training.loop, steps=steps))

    def psi(self, data: TrainingData, work: Path, progress: bool) -> GraphEmbedding:
        """The psi of these outputs: a shipped one, or one trained once and kept beside the runs that use it."""
        if self.uses_shipped(data):
            artifact = artifacts.load(str(data.artifact))
            artifact.psi.history = artifact.about["psi"]["history"]
            return artifact.psi
        owner = "ele" if self.psi_training == ELE.psi_training else self.name  # variants of ELE share psi
        psi = fit_embedding(
            data.outputs,
            validation=data.validation.graphs,
            config=self.psi_shape,
            training=self.training_for(data),
            checkpoint=work.parent / f"psi-{owner}-{data.outputs.digest()[:12]}.pt",
            progress=progress,
        )
        raise_if_interrupted(psi)
        return psi

    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        if data.task in RETRIEVAL_TASKS:
            return self._fit_text(data, seed)
        psi = self.psi(data, work, progress)
        settings = {
            "through": self.through,
            "psi": data.artifact if self.uses_shipped(data) else asdict(self.training_for(data)),
            "shape": asdict(psi.config),
            "psi_seconds": psi.history[-1]["seconds"],
        }
        known = Candidates.of(psi, data.outputs)
        h, trained, settings["h"] = self._regress(psi, data, seed=seed, work=work, progress=progress)
        names = [one for one in self.decoders if self.through == "graph" or not one.startswith("rounded")]
        if data.task in SPAN_TASKS:
            names = list(SPAN_DECODERS[self.through, "trees" if data.task in TREE_TASKS else "relations"])
        configs = {one: DECODERS[one] for one in names if one in QUICK_DECODERS or len(data.train) >= MIN_PAIRS_SLOW}
        default = next((one for one in DEFAULT_DECODERS if one in configs), names[0])
        with_sets = default if len(data.train) >= MIN_PAIRS_SETS and data.task not in SPAN_TASKS else None
        parameters = sum(p.numel() for module in (psi, trained) for p in module.parameters())

        def predictors(psi, h, candidates: Candidates, names: Iterable[str]) -> dict[str, Predictor]:
            return {
                one: EmbeddingPredictor(psi, h, candidates, replace(configs[one], seed=seed), one == with_sets)
                for one in names
            }

        if not self.fitted_metric:
            return Fitted(predictors(psi, h, known, configs), settings, parameters)

        def with_metric(metric: Tensor, names: Iterable[str]) -> dict[str, Predictor]:
            candidates = Candidates(known.graphs, projections.sphere(known.points @ metric))
            return predictors(MetricPsi(psi, metric), MetricH(h, metric), candidates, names)

        def exact(metric: Tensor, split: Split) -> float:
            predicted = with_metric(metric, [default])[default].predict(split.inputs)
            assert predicted is not None
            return evaluate(predicted, split.graphs, edit_distance=False)["exact"].mean()

        metric, settings["metric"] = fit_metric(psi, h, data, seed, exact)
        return Fitted(with_metric(metric, configs), settings, parameters)

    def _fit_text(self, data: TrainingData, seed: int) -> Fitted:
        """psi of whitened messages; h by kernel ridge regression on n-grams, as in the other methods for texts."""
        psi = whitened_messages(data.outputs, seed)
        points, kernel = points_of(psi, data.train.graphs), TextKernel(data.train.inputs)
        ridge, tried = tune_ridge(kernel, points, data, points_of(psi, data.validation.graphs))
        h, known = TextRidge(kernel, ridge, points), Candidates(data.train.graphs, points)
        settings: dict[str, Any] = {"through": self.through, "psi": "whitened messages", "shape": asdict(psi.config)}
        settings |= {"ridge": ridge, "mrr_by_ridge": tried}
        parameters = sum(p.numel() for p in psi.parameters()) + h.weights.size
        ranked = TextRidgePredictor(psi, h, known, seed)
        if data.task not in DECODING_TASKS:  # too large to decode
            return Fitted({"": ranked}, settings, parameters)
        recombined = RecombinedPredictor(psi, h, psi, h, known)
        return Fitted({"candidates": ranked, "recombination": recombined}, settings, parameters)

    def _regress(self, psi: GraphEmbedding, data: TrainingData, *, seed: int, work: Path, progress: bool):
        """h, the part of it with trained parameters, and its settings."""
        encoding = encoding_for(data)
        options: dict[str, Any] = {"seed": seed, "work": work, "progress": progress}
        options |= encoding.training_changes if self.through == encoding.through else {}
        if self.through == "graph":
            h, settings = fit_neural(psi, data, through="graph", **options)
            return h, h, settings
        fitted, settings = fit_both(psi, points_of(psi, data.train.graphs), data, **options)
        return fitted[""], fitted["neural"], settings


def _ablation(name: str, title: str, description: str, **changes) -> ELE:
    """ELE with a psi that is trained in another way."""
    return ELE(
        f"{ABLATION_PREFIX}{name}", title, description, tasks=("noise",),
        psi_training=replace(ELE.psi_training, **changes), use_shipped=False,
        decoders=("candidates", "candidates + polish", "gradient"),
    )  # fmt: skip


SMILES_TASKS = ("smi2mol", "smi2mol-random")
ELE_VARIANTS = (
    ELE(),
    ELE(
        "ele-fitted-metric", "ELE + fitted metric",
        "ELE, then a metric of the sphere fitted on validation pairs, so that directions in which h errs count less; "
        "where this does not help on validation, the metric is the identity",
        tasks=(*SMILES_TASKS, "noise", "coloring"), fitted_metric=True,
    ),
    ELE(
        "ele-graph-head", "ELE + graph head",
        "psi as in ELE; h predicts a relaxed graph, which psi embeds",
        tasks=(*SMILES_TASKS, *SPAN_TASKS), through="graph",
    ),
    ELE(
        "ele-graph-head-fitted-metric", "ELE + graph head + fitted metric",
        "ELE + graph head, with the fitted metric of ELE + fitted metric",
        tasks=("smi2mol-random",),  # on smi2mol, validation keeps the identity in all runs but one
        through="graph", fitted_metric=True,
    ),
)  # fmt: skip
_untrained = replace(
    _ablation("untrained", "Untrained psi", "random weights: what the architecture of psi contributes by itself"),
    psi_training=replace(ELE.psi_training, loop=TrainerConfig(1, 1e-12)),
)
ABLATIONS = (
    _ablation("same-budget", "ELE, same training budget", "psi trained as usual, with the steps of the ablations"),
    _ablation("unsoftened", "ELE, no softened views", "views are only edited", views=("edited",)),
    _ablation("unedited", "ELE, no edited views", "views are only softened", views=("softened",)),
    _ablation("hard", "ELE, hard negatives", "single edits of each graph as additional negatives", negatives="edits"),
    _ablation("warm", "ELE, temperature 0.2", "a softer contrast than 0.05", temperature=0.2),
    _untrained,
    replace(
        _untrained, name="psi-untrained-fitted-metric", title="Untrained psi + fitted metric", fitted_metric=True,
        description="random weights of psi and a metric fitted on validation pairs",
    ),
)  # fmt: skip
