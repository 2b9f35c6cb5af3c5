"""ELE itself, decoded in several ways, and psi without one or another of its ingredients."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor

from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.embedding_predictor import Regressed
from benchmarks.methods.encoders import reading
from benchmarks.methods.fitted_metric import UNCHANGED, MeasuredH, MeasuredPsi, fitted_metric
from benchmarks.methods.part_weights import ELEText
from benchmarks.methods.regression import both, neural
from benchmarks.task_data import SEARCHED, Problem
from elekit.datasets import Split
from elekit.datasets.molecules import Molecules
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
QUICK = ("rounded", "rounded + polish", "candidates", "candidates + quick polish", "candidates + polish")
SLOW_FROM, SETS_FROM = 5_000, 7_000  # pairs
USUAL = ("rounded + polish", "candidates + polish")  # what `elekit decode` does: the first that h allows
AS_LEARNED = "candidates + polish"  # the way in which psi is also asked before it was told what h gets wrong
PSI_STEPS = 1_200
ABLATION = "psi-"  # how names of methods begin that are ELE with a psi without an ingredient


@dataclass(frozen=True)
class ELE(Method):
    """psi from outputs alone, h regressed on it, then psi told what h gets wrong (`metric`).

    training: of psi, where no shipped one was learned from these outputs. through: how h is regressed, "graph" or
    "point", see `BackboneConfig`; None: what was better on validation for inputs of this kind.
    """

    name: str = "ele"
    title: str = "ELE"
    about: str = "a loss learned from the outputs; h regresses on it, of SMILES through a graph, and is decoded"
    training: EmbeddingTraining = EmbeddingTraining(loop=TrainerConfig(PSI_STEPS, 2e-3, matmul_precision="medium"))
    shape: EmbeddingConfig = EmbeddingConfig()
    shipped: bool = True  # take the psi that comes along, where it was learned from these outputs
    tasks: tuple[str, ...] | None = None
    ways: tuple[str, ...] = tuple(DECODERS)
    through: str | None = None

    def prepare(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> None:
        if not isinstance(problem.outputs, Molecules) and not self.takes_shipped(problem):
            self.psi(problem, work, progress)

    def takes_shipped(self, problem: Problem) -> bool:
        return self.shipped and problem.artifact is not None

    def psi(self, problem: Problem, work: Path, progress: bool) -> GraphEmbedding:
        """The learned loss of the outputs: shipped, or learned here once and kept beside the runs that use it."""
        if self.takes_shipped(problem):
            artifact = artifacts.load(problem.artifact)
            artifact.psi.history = artifact.about["psi"]["history"]
            return artifact.psi
        checkpoint = work.parent / f"psi-{self.name}-{problem.outputs.digest()[:12]}.pt"
        psi = fit_embedding(
            problem.outputs,
            validation=problem.validation.graphs,
            config=self.shape,
            training=self.training,
            checkpoint=checkpoint,
            progress=progress,
        )
        raise_if_interrupted(psi)
        return psi

    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        if isinstance(problem.outputs, Molecules):  # some are too large for messages between all nodes
            return ELEText().fit(problem, seed=seed, work=work, progress=progress)
        psi = self.psi(problem, work, progress)
        if problem.task in SEARCHED:
            return ELEText().fit(problem, seed=seed, work=work, progress=progress, messages=psi)
        known = Candidates.of(psi, problem.outputs)
        h, trained, told = self.regress(psi, problem, seed=seed, work=work, progress=progress)
        told |= {
            "psi": problem.artifact if self.takes_shipped(problem) else asdict(self.training),
            "shape": asdict(psi.config),
            "psi_seconds": psi.history[-1]["seconds"],
        }
        ways = [way for way in self.ways if told["through"] == "graph" or not way.startswith("rounded")]
        configs = {way: DECODERS[way] for way in ways if way in QUICK or len(problem.train) >= SLOW_FROM}
        usual = next(way for way in USUAL if way in configs)
        with_sets = usual if len(problem.train) >= SETS_FROM else None

        def measured(metric: Tensor, ways: Iterable[str]) -> dict[str, Predictor]:
            told_psi, told_h = MeasuredPsi(psi, metric), MeasuredH(h, metric)
            candidates = Candidates(known.graphs, projections.sphere(known.points @ metric))
            return {
                way: Regressed(told_psi, told_h, candidates, replace(configs[way], seed=seed), way == with_sets)
                for way in ways
            }

        def exact(metric: Tensor, split: Split) -> float:
            found = measured(metric, [usual])[usual].predict(split.inputs)
            return evaluate(found, split.graphs, edit_distance=False)["exact"].mean()

        metric, told["metric"] = fitted_metric(psi, h, problem, seed, exact)
        found = measured(metric, configs)
        if told["metric"]["shrunk"] != UNCHANGED and len(problem.train) >= SLOW_FROM:
            found[f"{AS_LEARNED}, psi as it was learned"] = Regressed(psi, h, known, DECODERS[AS_LEARNED])
        return Fitted(found, told, sum(p.numel() for m in (psi, trained) for p in m.parameters()))

    def regress(self, psi: GraphEmbedding, problem: Problem, *, seed: int, work: Path, progress: bool):
        """h; what of it was trained by steps; and settings."""
        usual = reading(problem)
        through = self.through or usual.through
        told, options = {"through": through}, {"seed": seed, "work": work, "progress": progress}
        options |= usual.differs if through == usual.through else {}
        if through == "graph":
            h, told["h"] = neural(psi, problem, through=through, **options)
            return h, h, told
        found, told["h"] = both(psi, points_of(psi, problem.train.graphs), problem, **options)
        return found[""], found["neural"], told


def _without(name: str, title: str, about: str, **changes) -> ELE:
    """ELE with a psi that is learned in another way."""
    return ELE(
        f"{ABLATION}{name}", f"ELE, {title}", about, replace(ELE.training, **changes), shipped=False,
        tasks=("noise",), ways=("candidates", "candidates + polish", "gradient"), through="point",
    )  # fmt: skip


BY_POINT = ELE(
    "ele-point", "ELE, h by a point", "h ends in a point of the sphere, not in a graph that psi embeds",
    tasks=("smi2mol", "smi2mol-random"), through="point",
)  # fmt: skip
ABLATIONS = (
    _without("same-budget", "all ingredients", "psi as it is meant to be, learned as long as those below"),
    _without("unsoftened", "no softened views", "views are edited only", views=("edited",)),
    _without("unedited", "no edited views", "views are softened only", views=("softened",)),
    _without("hard", "hard negatives", "single edits of each graph as further negatives", negatives="edits"),
    _without("warm", "temperature 0.2", "a softer contrast than 0.05", temperature=0.2),
    replace(
        _without("untrained", "untrained psi", "random weights: what the architecture knows by itself"),
        training=replace(ELE.training, loop=TrainerConfig(1, 1e-12)),
    ),
)
