"""`correct`: a learned loss is trained to keep rules and judgments, and held against itself before and after."""

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from elekit.correction.before_after import Exam
from elekit.correction.judgments import Judgments
from elekit.correction.penalties import penalty
from elekit.correction.probe_edits import questions
from elekit.correction.report import Report, contradictions, report
from elekit.correction.rules import Rule, to_json
from elekit.datasets import Split
from elekit.graphs.graph import Graph
from elekit.model.embedding import GraphEmbedding
from elekit.model.surrogate import SurrogateRegressor
from elekit.training import EmbeddingTraining, SurrogateTraining, fit_embedding, fit_surrogate
from elekit.training.loop import TrainerConfig, step_generator

HELD_OUT = 0.2  # share of the graphs, where none are given to hold out
EXAMINED = 1_000  # held-out graphs
PRICED = 400  # of these, whose edits are priced


@dataclass(frozen=True)
class CorrectionTraining:
    """How a loss is corrected. Defaults: about a minute and a half of two cores on small molecules.

    training: of `fit_embedding`, whose contrastive objective goes on, so that the loss stays a good one elsewhere.
    weight, margin, edits: of the penalty, see `elekit.correction.penalty`. among: training graphs whose edits are
    drawn.
    refitting: of an h, which goes on from the weights that it has.
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
    """A corrected loss. psi: in evaluation mode, `psi.history` as of `fit_embedding`. report: before and after.

    about: plain values, as an artifact keeps them under "correction": rules, digest and number of the judgments, how
    it was trained, the report. h: refitted to it, None unless asked for.
    """

    psi: GraphEmbedding
    report: Report
    about: dict
    h: SurrogateRegressor | None = None


def correct(
    psi: GraphEmbedding,
    graphs: Graph,
    rules: Sequence[Rule] = (),
    judgments: Judgments | None = None,
    *,
    validation: Graph | None = None,
    config: CorrectionTraining = CorrectionTraining(),
    surrogate: tuple[SurrogateRegressor, Split] | None = None,
    refit: Split | None = None,
    decoded: int = 100,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Corrected:
    """Train a copy of a learned loss until it keeps rules and judgments, and tell what that cost elsewhere.

    It minimizes InfoNCE, as `fit_embedding` does, plus the penalties of `elekit.correction.penalty`; psi is
    untouched.

    graphs: what to train on. validation: graphs that nothing is learned from, on which everything is measured; None
    holds out a fifth of the graphs. judgments: those asked at random are held out, else a quarter of them.
    surrogate: an h of the uncorrected loss, and a held-out split with its inputs: what exact match becomes with the h
    as it is, which still regresses on the old loss. refit: a training split, on which that h is trained on until it
    fits the corrected loss.
    decoded: held-out graphs that are decoded, each way; 0 leaves that out. checkpoint: a file to go on from;
    refitting has its own beside it. Ctrl-C keeps what was reached, and the report is about that.
    Raises ValueError for nothing to correct, rules at odds or of unknown kinds, and graphs of other labels than
    psi's.
    """
    if not len(rules) and not (judgments is not None and len(judgments.decided())):
        raise ValueError("nothing to correct: give rules, or judgments other than 'cannot say'")
    if decoded < 0:
        raise ValueError(f"decoded is a number of graphs, 0 or more, got {decoded}")
    if refit is not None and surrogate is None:
        raise ValueError("refit= fits an h anew: give that h, and a held-out split, as surrogate=")
    graphs = graphs.detach().rounded()
    if validation is None:
        order = torch.randperm(len(graphs), generator=step_generator(seed, -3))
        held = max(1, round(HELD_OUT * len(graphs)))
        graphs, validation = graphs[order[held:]], graphs[order[:held]]
    validation = validation.detach().rounded()[:EXAMINED]
    judgments = Judgments.none(graphs.vocabulary) if judgments is None else judgments
    learned, judged = judgments.decided().held_out(seed=seed)
    term = penalty(
        graphs,
        rules,
        learned,
        weight=config.weight,
        margin=config.margin,
        edits=config.edits,
        among=config.among,
        seed=seed,
        progress=progress,
    )
    exam = Exam(
        validation,
        config.training.view(validation, step_generator(seed, -1)),
        questions(validation[:PRICED], rules, exact=True, seed=seed, progress=progress),
        learned,
        judged,
        graphs,
        decoded,
        surrogate,
        seed,
    )
    before = exam.sit(psi)
    better = fit_embedding(
        graphs,
        validation=validation,
        config=psi.config,
        training=config.training,
        start=psi,
        penalty=term,
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        progress=progress,
    )
    notes = [contradictions(judgments)]
    if judgments.problems:
        many = f"{len(judgments.problems)} lines" if len(judgments.problems) > 1 else "1 line"
        notes.append(f"{many} of the judgments could not be read ({judgments.problems[0]}).")
    cut, h = bool(better.history[-1].get("interrupted")), None
    if cut:
        reached = better.history[-1]["step"]
        notes.append(f"The training was interrupted after {reached} steps; the report is about what was reached.")
    elif refit is not None:
        h = _refitted(surrogate[0], better, refit, config.refitting, seed, device, checkpoint, progress)
    if surrogate is not None and h is None:
        notes.append("The h regresses on the old loss: train it on (refit) before it is used with the corrected one.")
    found = report(exam, before, exam.sit(better, h), tuple(filter(None, notes)))
    about = {
        "rules": to_json(rules),
        "judgements": {"count": len(judgments), "digest": judgments.digest() if len(judgments) else None},
        "config": asdict(config),
        "seed": seed,
        "history": better.history,
        "report": found.to_json(),
    }
    return Corrected(better, found, json.loads(json.dumps(about)), h)


def _refitted(h, psi, split, training, seed, device, checkpoint, progress) -> SurrogateRegressor:
    """h, trained on until it regresses on the corrected loss."""
    return fit_surrogate(
        psi,
        split,
        backbone=copy.deepcopy(h.backbone).requires_grad_(True),
        training=training,
        seed=seed,
        device=device,
        checkpoint=None if checkpoint is None else Path(checkpoint).with_suffix(".h.checkpoint"),
        progress=progress,
    )
