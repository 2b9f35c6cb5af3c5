"""`correct`: train a learned loss to keep rules and judgments, and compare it with itself before."""

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from elekit.correction.before_after import Evaluation
from elekit.correction.judgments import Judgments
from elekit.correction.penalties import penalty
from elekit.correction.probe_edits import draw_probe_edits
from elekit.correction.report import Report, contradictions, report
from elekit.correction.rules import Rule, to_json
from elekit.datasets import Split
from elekit.evaluation.formatting import counted
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.model.embedding import GraphEmbedding
from elekit.model.surrogate import SurrogateRegressor
from elekit.training import EmbeddingTraining, SurrogateTraining, fit_embedding, fit_surrogate
from elekit.training.loop import TrainerConfig, step_generator

HELD_OUT = 0.2  # share of the graphs, if no validation graphs are given
EVALUATED = 1_000  # held-out graphs
PRICED = 400  # of these, whose edits are priced


@dataclass(frozen=True)
class CorrectionTraining:
    """Settings of `correct`; the defaults take about a minute and a half on two cores for small molecules.

    Attributes:
        training: Of `fit_embedding`, whose contrastive objective continues, so that the loss stays good elsewhere.
        weight: Factor of the penalty, above 0.
        margin: Required beyond what rules state, in logarithms of prices, so that rules hold on other graphs too.
        edits: Edits per rule, and judgments, in each step.
        among: Number of training graphs whose edits and walks are drawn beforehand.
        refitting: Of h, which continues from its weights.
    """

    training: EmbeddingTraining = EmbeddingTraining(
        loop=TrainerConfig(steps=400, learning_rate=1e-3, warmup=20, validate_every=100, checkpoint_every=100),
        batch_size=192,
    )
    weight: float = 1.0
    margin: float = 0.2
    edits: int = 64
    among: int = 1_000
    refitting: SurrogateTraining = SurrogateTraining(TrainerConfig(steps=400, learning_rate=1e-3, warmup=20))


@dataclass(frozen=True, eq=False)
class Corrected:
    """A corrected loss."""

    psi: GraphEmbedding  # in evaluation mode; `psi.history` as of `fit_embedding`
    report: Report  # the loss before and after
    about: dict[str, Any]  # plain values that an artifact keeps under "correction"
    h: SurrogateRegressor | None = None  # fitted to the corrected loss


def correct(
    psi: GraphEmbedding, graphs: GraphBatch, rules: Sequence[Rule] = (), judgments: Judgments | None = None, *,
    validation: GraphBatch | None = None, config: CorrectionTraining = CorrectionTraining(),
    surrogate: tuple[SurrogateRegressor, Split] | None = None, refit: Split | None = None, decoded: int = 100,
    seed: int = 0, device: str = "auto", checkpoint: str | Path | None = None, progress: bool = True,
) -> Corrected:  # fmt: skip
    """Train a copy of a learned loss to keep rules and judgments, and report what that costs elsewhere.

    Minimizes InfoNCE, as `fit_embedding` does, plus hinges of rules and judgments. Ctrl-C keeps what was reached.

    Args:
        psi: The embedding; it is not changed.
        graphs: Training graphs.
        rules: What the expert requires of prices of edits.
        judgments: What people judged. Those drawn at random are held out, otherwise a quarter of them.
        validation: Held-out graphs for all measurements; None holds out a fifth of `graphs`.
        config: How to train.
        surrogate: An h of the uncorrected loss, and a held-out split, to measure exact match.
        refit: A training split, to fit h to the corrected loss.
        decoded: Number of held-out graphs decoded by each method; 0 decodes none.
        seed: Seed of training and measurements.
        device: "auto", "cpu" or "cuda".
        checkpoint: A file to resume from; h has its own beside it.
        progress: Whether to show progress bars.

    Returns:
        The corrected psi with its report; `about`, the plain values that an artifact keeps; and h, if refitted.

    Raises:
        ValueError: If there is nothing to correct, or rules contradict each other or name unknown kinds.
    """
    if not len(rules) and not (judgments is not None and len(judgments.decided)):
        raise ValueError("nothing to correct: give rules, or judgments other than 'cannot say'")
    if decoded < 0:
        raise ValueError(f"decoded must be a number of graphs, at least 0, got {decoded}")
    if refit is not None and surrogate is None:
        raise ValueError("refit= fits h to the corrected loss: give h, and a held-out split, as surrogate=")
    graphs = PackedGraphs.of(graphs)
    if validation is None:
        order = torch.randperm(len(graphs), generator=step_generator(seed, -3))
        held = max(1, round(HELD_OUT * len(graphs)))
        graphs, validation = graphs[order[held:]], graphs[order[:held]]
    validation = PackedGraphs.of(validation)[:EVALUATED]
    judgments = Judgments.empty(graphs.vocabulary) if judgments is None else judgments
    learned, held_out = judgments.decided.split(seed=seed)
    term = penalty(
        graphs, rules, learned, weight=config.weight, margin=config.margin, edits=config.edits, among=config.among,
        seed=seed, progress=progress,
    )  # fmt: skip
    queries = config.training.view(validation, step_generator(seed, -1))
    probes = draw_probe_edits(validation[:PRICED], rules, exact=True, seed=seed, progress=progress)
    evaluation = Evaluation(validation, queries, probes, learned, held_out, graphs, decoded, surrogate, seed)
    before = evaluation.measure(psi)
    better = fit_embedding(
        graphs, validation=validation, config=psi.config, training=config.training, start=psi, penalty=term,
        seed=seed, device=device, checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
    history = better.history
    notes, h = [contradictions(judgments)], None
    if judgments.problems:
        lines = counted(len(judgments.problems), "line")
        notes.append(f"{lines} of the judgments could not be read ({judgments.problems[0]}).")
    if history[-1].get("interrupted"):
        notes.append(f"Training was interrupted after {history[-1]['step']} steps; the report is about that state.")
    elif refit is not None and surrogate is not None:
        backbone = copy.deepcopy(surrogate[0].backbone).requires_grad_(True)
        beside = None if checkpoint is None else Path(checkpoint).with_suffix(".h.checkpoint")
        reader = surrogate[0].reader
        known = "auto" if reader is None else replace(reader, limits={})  # they belong to the old loss
        h = fit_surrogate(
            better, refit, validation=surrogate[1], backbone=backbone, training=config.refitting, seed=seed,
            device=device, checkpoint=beside, progress=progress, reads=known,
        )  # fmt: skip
    if surrogate is not None and h is None:
        notes.append("h regresses on the old loss: refit it before use with the corrected loss.")
    found = report(evaluation, before, evaluation.measure(better, h), tuple(filter(None, notes)))
    digest = judgments.digest() if len(judgments) else None
    about: dict[str, Any] = {"rules": to_json(rules), "judgements": {"count": len(judgments), "digest": digest}}
    about |= {"config": asdict(config), "seed": seed, "history": history, "report": found.to_json()}
    return Corrected(better, found, json.loads(json.dumps(about)), h)
