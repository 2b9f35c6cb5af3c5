"""`fit_surrogate`: regress on the learned loss (floor 3)."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from elekit.datasets import Split
from elekit.decoding import refinement_loss
from elekit.graphs import augment, projections
from elekit.model.contrastive import info_nce
from elekit.model.loss import points_of, squared_distance
from elekit.model.surrogate import BackboneConfig, GraphBackbone, SurrogateRegressor, make_backbone, to_config
from elekit.model.surrogate.graph_head import compact
from elekit.training.loop import (
    RETRIEVAL_SIZE,
    TrainerConfig,
    choose_device,
    retrieval,
    run_loop,
    seeded,
    step_generator,
    tensor_digest,
)

REFINE_FROM = 0.5  # of the steps: when most graphs are nearly right, and polish is quick and finds the rest
RESTART_PAIRS = 1_000  # pairs; up to so many, an h through a graph begins several times
RESTART_STEPS, RESTART_BATCH = 1 / 3, 32  # what a beginning has of the steps, and its batch, at most
RESTART_SEED_STRIDE = 1_000  # between the seeds of beginnings


@dataclass(frozen=True)
class SurrogateTraining:
    """How h is trained. Defaults: about four minutes of two cores on ten thousand descriptions.

    contrast: weight of InfoNCE within the batch (temperature 0.05) beside the regression; it keeps near neighbors
    apart. hard_negatives: so many single edits of each graph as further negatives there; psi must embed any graph.
    rewritten: share of SMILES inputs that are written anew, along a random path, each time they are drawn.
    bucket: so many batches are drawn at once and texts of like length put together, which saves padding.
    polished: of an h through a graph, weight of what polish puts right in its graphs (`elekit.decoding.refinement_loss`),
    in the second half of the steps; from then on they are no longer rounded at random.
    starts: of an h through a graph, so many short beginnings where pairs are few (up to 1,000), from other weights
    each; what is nearest to psi on validation goes on. Few pairs often teach graphs that are right for them alone.
    """

    loop: TrainerConfig = TrainerConfig(steps=1_500, learning_rate=2e-3)
    batch_size: int = 128
    contrast: float = 0.1
    temperature: float = 0.05
    rewritten: float = 0.0
    bucket: int = 4
    hard_negatives: int = 0
    polished: float = 0.3
    starts: int = 4

    def __post_init__(self):
        for name in ("batch_size", "bucket", "starts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.rewritten <= 1:
            raise ValueError(f"rewritten is a share, from 0 to 1, got {self.rewritten}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")


def default_training(shape: BackboneConfig) -> SurrogateTraining:
    """How an h of such a shape is best trained: what was best on validation pairs of QM9 by way of a graph."""
    if shape.kind == "smiles" and shape.through == "graph":
        return SurrogateTraining(TrainerConfig(steps=1_500, learning_rate=4e-3), rewritten=0.5)
    return SurrogateTraining()


def fit_surrogate(
    psi: nn.Module,
    split: Split,
    *,
    validation: Split | None = None,
    backbone: BackboneConfig | nn.Module | None = None,
    training: SurrogateTraining | None = None,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    progress: bool = True,
    callback: Callable[[int, nn.Module], None] | None = None,
) -> SurrogateRegressor:
    """Regress on the learned loss: minimize `2 - 2 <h_W(x), psi(y)>` over pairs, psi frozen.

    split: inputs and graphs side by side. validation: where retrieval@1 among 1,000 is measured (h(x) must find psi
    of its own graph) and <h, psi>, by which beginnings are judged; None takes pairs of the training split.
    backbone: its shape; None picks one for the inputs (`infer_kind`); or any module, inputs to (B, D).
    training: None takes what suits the shape (`default_training`).
    device, checkpoint, callback, Ctrl-C: as in `fit_embedding`.
    Returns h in evaluation mode on the CPU, with `h.history` (step, seconds, loss, retrieval, cosine).
    Raises ValueError for a split without inputs, without pairs, or with NaN in vector inputs.
    """
    n = len(split)
    if n == 0:
        raise ValueError("no pairs to regress on: the split is empty")
    held_out = validation if validation is not None and len(validation) else split
    for name, given in (("this", split), ("the validation", held_out)):
        _check_inputs(name, given.inputs)
    if isinstance(backbone, nn.Module):
        training = replace(training or SurrogateTraining(), starts=1)  # it goes on from the weights that it has
    else:
        backbone = backbone or BackboneConfig(kind=infer_kind(split.inputs))
        training = training or default_training(backbone)
    device = choose_device(device)
    targets = points_of(psi, split.graphs).cpu()
    held_out = held_out.take(range(min(RETRIEVAL_SIZE, len(held_out))))
    held_out_targets = points_of(psi, held_out.graphs).cpu()

    def made(seed: int) -> SurrogateRegressor:
        module, D = backbone, targets.shape[1]
        if isinstance(module, GraphBackbone):
            module.set_psi(psi)
        elif not isinstance(module, nn.Module):
            with seeded(seed):
                module = make_backbone(module, split.inputs, D, vocabulary=split.graphs.vocabulary, psi=psi)
        return SurrogateRegressor(module, D).to(device)

    def learn(h: SurrogateRegressor, training: SurrogateTraining, seed: int, **options) -> None:
        def validate() -> dict[str, float]:
            points = h.predict(held_out.inputs)
            cosine = (points * held_out_targets).sum(1).mean().item()
            return {"retrieval": retrieval(points, held_out_targets), "cosine": cosine}

        h.history = run_loop(
            h,
            training.loop,
            lambda step: _regression(h, psi, split, targets, training, seed, step),
            validate,
            identity={
                "fit": "surrogate",
                "backbone": to_config(h.backbone),
                "training": settings(training, has_graph_head=h.has_graph_head, pairs=n),
                "seed": seed,
                "graphs": split.graphs.digest(),
                "targets": tensor_digest(targets),
                "inputs": inputs_digest(split.inputs),
            },
            progress=progress,
            **options,
        )

    h, starts, begun = made(seed), [], []
    if _starts(training, has_graph_head=h.has_graph_head, pairs=n) > 1:
        places = [None if checkpoint is None else Path(f"{checkpoint}.start-{i}") for i in range(training.starts)]
        starts = [(seed + i * RESTART_SEED_STRIDE, place) for i, place in enumerate(places)]
    for number, place in starts if checkpoint is None or not Path(checkpoint).exists() else ():
        h = made(number)
        title = f"start {len(begun) + 1} of {len(starts)}"
        learn(h, _beginning(training), number, checkpoint=place, given=checkpoint, title=title)
        if h.history[-1].get("interrupted"):
            return h.to("cpu").eval()
        begun.append(h)
    h = max(begun, key=lambda one: one.history[-1]["cosine"], default=h)
    learn(h, training, seed, checkpoint=checkpoint, title="fit_surrogate", callback=callback)
    if checkpoint is not None and Path(checkpoint).exists():  # the beginnings are not needed any more
        for _, place in starts:
            place.unlink(missing_ok=True)
    return h.to("cpu").eval()


def _starts(training: SurrogateTraining, *, has_graph_head: bool, pairs: int) -> int:
    """How often h begins."""
    return training.starts if has_graph_head and pairs <= RESTART_PAIRS else 1


def _beginning(training: SurrogateTraining) -> SurrogateTraining:
    """A short training, by what h is to be judged whether it is to go on."""
    steps = max(1, round(training.loop.steps * RESTART_STEPS))
    loop = replace(training.loop, steps=steps, validate_every=steps, checkpoint_every=steps)
    return replace(training, loop=loop, batch_size=min(RESTART_BATCH, training.batch_size), polished=0.0, starts=1)


def _regression(
    h: SurrogateRegressor,
    psi: nn.Module,
    split: Split,
    targets: Tensor,
    training: SurrogateTraining,
    seed: int,
    step: int,
) -> Tensor:
    """The loss of one step; targets: psi of all graphs of the split."""
    device = next(h.parameters()).device
    rows = bucketed_rows(split.inputs, min(training.batch_size, len(split)), training.bucket, seed, step)
    generator = step_generator(seed, step)
    wanted = targets[rows].to(device)
    drawn = draw_inputs(split.inputs, rows, training.rewritten, generator)
    mended = 0.0
    with seeded(step):  # dropout
        if h.has_graph_head and training.polished and step >= training.loop.steps * REFINE_FROM:
            relaxed = h.backbone.graphs(drawn)
            points = projections.sphere(h.backbone.embed(relaxed))
            mended = training.polished * refinement_loss(psi, compact(relaxed.to("cpu")), wanted.cpu()).to(device)
        else:
            points = h(drawn)  # of an h through a graph, some are rounded
    regression = squared_distance(points, wanted).mean() + mended
    hard = None
    if training.hard_negatives:
        again = split.graphs[rows.repeat_interleave(training.hard_negatives)]
        edited = augment.random_edits(again, torch.ones(len(again), dtype=torch.long), generator)
        hard = points_of(psi, edited).to(device).reshape(len(rows), training.hard_negatives, -1)
    return regression + training.contrast * info_nce(points, wanted, training.temperature, hard)


def settings(training: SurrogateTraining, *, has_graph_head: bool, pairs: int) -> dict:
    """What an h was trained by, as plain values; without what did not matter."""
    settings = asdict(training)
    if not training.hard_negatives:
        del settings["hard_negatives"]
    if not (has_graph_head and training.polished):
        del settings["polished"]
    if _starts(training, has_graph_head=has_graph_head, pairs=pairs) == 1:
        del settings["starts"]
    return settings


def infer_kind(inputs) -> str:
    """The backbone that suits such inputs: images (n, C, S, S), vectors, texts with blanks (words), others (SMILES)."""
    if torch.is_tensor(inputs):
        return "image" if inputs.dim() == 4 else "vector"
    if not all(isinstance(text, str) for text in inputs[:100]):
        raise ValueError(f"no backbone suits inputs such as {inputs[0]!r}; give vectors as a tensor, or a module")
    return "word" if any(" " in text.strip() for text in inputs[:100]) else "smiles"


def _check_inputs(name: str, inputs):
    if inputs is None:
        raise ValueError(f"{name} split has no inputs to regress from; name the input column in from_frame")
    if torch.is_tensor(inputs) and not torch.isfinite(inputs).all():
        row = int((~torch.isfinite(inputs)).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"inputs of {name} split hold NaN or infinity, first in row {row}; drop or fill such rows")


def inputs_digest(inputs) -> str:
    """sha256 of what h reads, so that a run is not resumed on other inputs of the same graphs."""
    if torch.is_tensor(inputs):
        return hashlib.sha256(inputs.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
    return hashlib.sha256("\0".join(map(str, inputs)).encode()).hexdigest()


def bucketed_rows(inputs, batch_size: int, bucket: int, seed: int, step: int) -> Tensor:
    """Rows of one batch: of `bucket` batches drawn at once and sorted by the length of their texts, one at random."""
    together, turn = divmod(step, bucket)
    generator = step_generator(seed + 1, together)
    rows = torch.randint(len(inputs), (bucket * batch_size,), generator=generator)
    which = torch.randperm(bucket, generator=generator)[turn]
    if torch.is_tensor(inputs):
        order = torch.arange(len(rows))
    else:
        order = torch.tensor([len(inputs[i]) for i in rows.tolist()]).argsort(stable=True)
    return rows[order[which * batch_size : (which + 1) * batch_size]]


def draw_inputs(inputs, rows: Tensor, rewritten: float, generator: torch.Generator):
    """The inputs of these rows, a share of the SMILES among them written anew; a text with blanks is no SMILES."""
    if torch.is_tensor(inputs):
        return inputs[rows]
    texts = [inputs[i] for i in rows.tolist()]
    if rewritten:
        from elekit.graphs.smiles import randomize_smiles  # RDKit loads here, not with `import elekit`

        chosen = (torch.rand(len(texts), generator=generator) < rewritten).nonzero()[:, 0].tolist()
        chosen = [i for i in chosen if " " not in texts[i].strip()]  # RDKit reads "C is methane" as C, named so
        seed = int(torch.randint(2**20, (1,), generator=generator))
        for i, text in zip(chosen, randomize_smiles([texts[i] for i in chosen], seed)):
            texts[i] = text
    return texts
