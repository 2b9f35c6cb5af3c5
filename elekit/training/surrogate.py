"""`fit_surrogate`: regress on the learned loss."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from elekit.datasets import Split
from elekit.decoding.index import nearest
from elekit.decoding.refinement_loss import refinement_loss
from elekit.graphs import augment, projections
from elekit.graphs._schema import require_positive
from elekit.graphs.graph import GraphBatch, to_edge_lists
from elekit.graphs.smiles import is_molecular, written_at
from elekit.model.contrastive import RETRIEVAL_SIZE, info_nce, retrieval
from elekit.model.loss import Psi, points_of, squared_distance
from elekit.model.surrogate import BackboneConfig, SurrogateRegressor
from elekit.model.surrogate.graph_head import GraphBackbone, compact
from elekit.model.surrogate.reader import Reader, SmilesReader, TextReader, holds_words, make_reader, misspell
from elekit.model.surrogate.registry import make_backbone, to_config
from elekit.model.surrogate.regressor import UnfamiliarInputWarning
from elekit.model.surrogate.text import TextBackbone
from elekit.model.surrogate.tokens import Tokenizer
from elekit.training import distributed
from elekit.training.loop import Callback, TrainerConfig, choose_device, run_loop, seeded, step_generator

REFINE_FROM = 0.5  # share of the steps after which local search refines: most graphs are nearly right by then
RESTART_PAIRS = 1_000  # pairs; with at most so many, a graph head has random restarts
RESTART_STEPS, RESTART_BATCH = 1 / 3, 32  # of a restart: share of the steps, and maximal batch size
MAX_TYPOS = 0.04  # share of the letters of a misspelled text
CALIBRATED_ON = 1_000  # pairs, at most, that limits come from
SPANS = "spans"  # column of a frame: for each node, its characters in the input
RESTART_SEED_STRIDE = 1_000  # between the seeds of restarts


@dataclass(frozen=True)
class SurrogateTraining:
    """Settings of the training of h. The defaults take about four minutes on two cores for 10,000 descriptions.

    Args:
        loop: Settings of the training loop.
        batch_size: Pairs per step.
        contrast: Weight of InfoNCE within the batch, beside the regression; it separates near neighbors.
        temperature: Temperature of InfoNCE, above 0.
        rewritten: Share of SMILES inputs that are rewritten along a random path each time they are drawn, in [0, 1].
        misspelled: Share of other texts that get typos in up to 4 % of their letters each time they are drawn.
        bucket: Batches drawn together and sorted by length of text, which saves padding.
        hard_negatives: Single edits of each graph as further negatives; psi must embed any graph.
        polished: Graph head only: weight of `refinement_loss` in the second half of the steps;
            graphs are then no longer rounded at random.
        aligned: Graph head only: weight of the pairs of which it is known which token is which node: SMILES and
            their molecules, and texts with a column `spans` in the frame of the split, see `known_places`. These
            pairs are learned by the cross-entropy of nodes and edges, the others by psi; with 0, all by psi.
        starts: Number of random restarts for a graph head trained on at most 1,000 pairs. The restart with the
            lowest validation loss continues.
    """

    loop: TrainerConfig = TrainerConfig(steps=1_500, learning_rate=2e-3)
    batch_size: int = 128
    contrast: float = 0.1
    temperature: float = 0.05
    rewritten: float = 0.0
    misspelled: float = 0.0
    bucket: int = 4
    hard_negatives: int = 0
    aligned: float = 0.0
    polished: float = 0.3
    starts: int = 4

    def __post_init__(self) -> None:
        require_positive(batch_size=self.batch_size, bucket=self.bucket, starts=self.starts)
        for name in ("rewritten", "misspelled"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")


def default_training(config: BackboneConfig) -> SurrogateTraining:
    """The default settings for a backbone; those of a graph head on SMILES were chosen on validation pairs of QM9.

    Texts are misspelled since that keeps predictions exact: of molecules7 descriptions with typos in 5 % of letters,
    65 % are, instead of 51 %; without typos 80 and 81 %.
    """
    if config.kind == "word" and config.through == "graph":
        return SurrogateTraining(misspelled=0.3, aligned=1.0, starts=1)
    if config.kind == "word":
        return SurrogateTraining(misspelled=0.3)
    if config.kind == "smiles" and config.through == "graph":
        return SurrogateTraining(TrainerConfig(steps=1_500, learning_rate=4e-3), rewritten=0.5, aligned=1.0)
    return SurrogateTraining()


def fit_surrogate(
    psi: Psi, split: Split, *, validation: Split | None = None, backbone: BackboneConfig | nn.Module | None = None,
    training: SurrogateTraining | None = None, seed: int = 0, device: str = "auto",
    checkpoint: str | Path | None = None, progress: bool = True, callback: Callback | None = None,
    reads: str | Reader = "auto", teacher: SurrogateRegressor | None = None,
) -> SurrogateRegressor:  # fmt: skip
    """Regress on the learned loss: minimize `2 - 2 <h_W(x), psi(y)>` over pairs, with psi frozen.

    Ctrl-C returns the weights reached so far. `elekit.training.distributed` trains on many processes, unless there is
    a graph head.

    Args:
        psi: Embedding of the graphs.
        split: n pairs of inputs and graphs.
        validation: Pairs for retrieval@1 among up to 1,000 (the nearest graph to h(x) must be its own) and for the
            mean of <h, psi>, which ranks restarts; None means training pairs.
        backbone: Architecture, or any module from inputs to (B, D); None means the default for the inputs.
        training: Settings of the training; None means the default for the backbone.
        seed: Seed of initial weights and batches; dropout is seeded by the step.
        device: torch device; "auto" means CUDA if available.
        checkpoint: File that is written at intervals, and resumed from if it exists.
        progress: Show a progress bar.
        callback: As in `fit_embedding`, with h.
        reads: "smiles" brings inputs to the canonical form of their graphs, in training and later, and refuses
            what is no molecule. "verbatim" reads inputs as they are. "auto" means "smiles" if the graphs are
            molecules and 95 % of the inputs are SMILES; in other texts it corrects typos in words. Or the reader of
            another h.
        teacher: A larger h to learn from: its points take the place of psi(y).

    Returns:
        h in evaluation mode on the CPU, with a `reader` whose limits come from the validation pairs; `h.history` has
            a dict (step, seconds, loss, retrieval, cosine) per validation.

    Raises:
        ValueError: If there are no pairs or inputs, inputs are not finite or refused, or the checkpoint belongs to
            another run.
    """
    for given in (split, validation):
        if given is not None and not (hasattr(given, "graphs") and hasattr(given, "inputs")):
            raise ValueError(f"expected a split of a Dataset, such as data.train, got a {type(given).__name__}")
    n = len(split)
    if n == 0:
        raise ValueError("no pairs to regress on: the split is empty")
    held_out = validation if validation is not None and len(validation) else split
    inputs = _checked_inputs("this", split.inputs)
    _checked_inputs("the validation", held_out.inputs)
    if isinstance(backbone, nn.Module):
        training = replace(training or SurrogateTraining(), starts=1)  # continues from the weights of the module
    else:
        backbone = backbone or BackboneConfig(kind=infer_kind(inputs))
        training = training or default_training(backbone)
    through_graph = isinstance(backbone, GraphBackbone) or getattr(backbone, "through", "point") == "graph"
    if through_graph and distributed.count() > 1:
        raise ValueError("a graph head is trained by one process; start it without torchrun, or choose a point")
    torch_device = choose_device(device)
    known = reads if isinstance(reads, Reader) else make_reader(inputs, split.graphs.vocabulary, reads)
    if isinstance(known, SmilesReader):
        split, held_out = _in_normal_form(known, split), _in_normal_form(known, held_out)
        held_out, inputs, n = held_out if len(held_out) else split, split.inputs, len(split)
        if not n:
            raise ValueError("the reader refuses all inputs; reads='auto' makes one that knows them")
    targets = (points_of(psi, split.graphs) if teacher is None else teacher.predict(inputs)).cpu()
    held_out = held_out.take(range(min(RETRIEVAL_SIZE, len(held_out))))
    held_out_targets = points_of(psi, held_out.graphs).cpu()

    def new(seed: int) -> SurrogateRegressor:
        D = targets.shape[1]
        if isinstance(backbone, BackboneConfig):
            with seeded(seed):
                module: nn.Module = make_backbone(backbone, inputs, D, vocabulary=split.graphs.vocabulary, psi=psi)
        else:
            module = backbone
            if isinstance(module, GraphBackbone):
                module.set_psi(psi)
        return SurrogateRegressor(module, D, known and replace(known, limits={})).to(torch_device)

    def learn(h: SurrogateRegressor, training: SurrogateTraining, seed: int, **options: Any) -> None:
        def validate() -> dict[str, float]:
            points = h.predict(held_out.inputs)
            cosine = (points * held_out_targets).sum(1).mean().item()
            return {"retrieval": retrieval(points, held_out_targets), "cosine": cosine}

        h.history = run_loop(
            h,
            training.loop,
            lambda step: _step_loss(h, psi, split, targets, training, seed, step),
            validate,
            identity={
                "fit": "surrogate",
                "backbone": to_config(h.backbone),
                "training": settings(training, has_graph_head=h.has_graph_head, pairs=n),
                "seed": seed,
                "graphs": split.graphs.digest(),
                "targets": tensor_digest(targets),
                "inputs": inputs_digest(inputs),
                **({"spans": inputs_digest(list(map(str, split.frame[SPANS])))} if SPANS in split.frame else {}),
            },
            progress=progress,
            **options,
        )

    h = new(seed)
    restarts = training.starts if _has_restarts(training, has_graph_head=h.has_graph_head, pairs=n) else 0
    files = [None if checkpoint is None else Path(f"{checkpoint}.start-{i}") for i in range(restarts)]
    found: list[SurrogateRegressor] = []
    for i, file in enumerate(files if checkpoint is None or not Path(checkpoint).exists() else ()):
        own_seed = seed + i * RESTART_SEED_STRIDE
        h = new(own_seed)
        title = f"start {i + 1} of {restarts}"
        learn(h, _restart(training), own_seed, checkpoint=file, resume_from=checkpoint, title=title)
        if h.history[-1].get("interrupted"):
            return h.to("cpu").eval()
        found.append(h)
    h = max(found, key=lambda one: float(one.history[-1]["cosine"]), default=h)
    learn(h, training, seed, checkpoint=checkpoint, title="fit_surrogate", callback=callback)
    if checkpoint is not None and Path(checkpoint).exists():  # the checkpoints of restarts have served
        for file in files:
            if file is not None:
                file.unlink(missing_ok=True)
    h = h.to("cpu").eval()
    if isinstance(reads, Reader) and reads.limits:
        h.reader = reads
        return h
    return calibrate_reader(h, psi, held_out, targets if validation is not None and len(validation) else None)


def calibrate_reader(h: SurrogateRegressor, psi: Psi, split: Split, known: Tensor | None) -> SurrogateRegressor:
    """Set the limits of `h.reader`, beyond which an input is unsure, from pairs that h was not trained on.

    known: (n, D) psi of the training graphs. The loss is that of the nearest of them, or with a graph head that of
    the rounded graph: an upper bound of what decoding finds. None leaves the loss without a limit.
    """
    if h.reader is None:
        return h
    inputs = split.take(range(min(CALIBRATED_ON, len(split)))).inputs
    readings = h.read(inputs)
    rows = [row for row, one in enumerate(readings) if not one.refused]
    losses = None if known is None else torch.full((len(readings),), torch.nan)
    if rows and losses is not None and known is not None:
        read = split.take(rows).inputs
        h.reader = replace(h.reader, limits={})  # no warnings while they are set
        points = h.predict(read)
        if h.has_graph_head:
            losses[rows] = squared_distance(points, points_of(psi, h.graphs(read).rounded()))
        else:
            losses[rows] = nearest(points, known, 1)[0][:, 0]
        losses = losses.clamp_min(0)
    h.reader = h.reader.calibrated(readings, losses)
    return h


def _in_normal_form(reader: Reader, split: Split) -> Split:
    """The split with inputs as the reader reads them, without refused ones."""
    readings = reader.read(split.inputs)
    refused = [(row, one.refused) for row, one in enumerate(readings) if one.refused]
    if refused:
        row, why = refused[0]
        message = (
            f"{len(refused)} of {len(readings)} inputs are left out; the first, {readings[row].value[:80]!r}: {why}"
        )
        warnings.warn(message, UnfamiliarInputWarning, stacklevel=3)
    kept = split.take([row for row, one in enumerate(readings) if not one.refused])
    return replace(kept, inputs=reader.collect([one.value for one in readings if not one.refused]))


def _has_restarts(training: SurrogateTraining, *, has_graph_head: bool, pairs: int) -> bool:
    return training.starts > 1 and has_graph_head and pairs <= RESTART_PAIRS


def _restart(training: SurrogateTraining) -> SurrogateTraining:
    steps = max(1, round(training.loop.steps * RESTART_STEPS))
    loop = replace(training.loop, steps=steps, validate_every=steps, checkpoint_every=steps)
    return replace(training, loop=loop, batch_size=min(RESTART_BATCH, training.batch_size), polished=0.0, starts=1)


def _step_loss(
    h: SurrogateRegressor, psi: Psi, split: Split, targets: Tensor, training: SurrogateTraining, seed: int, step: int
) -> Tensor:
    """The loss of one step; targets: psi of all graphs of the split."""
    device = next(h.parameters()).device
    rows = bucketed_rows(split.inputs, min(training.batch_size, len(split)), training.bucket, seed, step)
    generator = step_generator(seed, step)
    target = targets[rows].to(device)
    drawn = draw_inputs(split.inputs, rows, training.rewritten, generator)
    if training.misspelled and isinstance(h.reader, TextReader) and not isinstance(h.reader, SmilesReader):
        typed = draw_misspelled(drawn, training.misspelled, generator)
        read = [one.value for one in h.reader.read(typed)]
        if SPANS in split.frame and isinstance(reader := getattr(h.backbone, "reader", None), TextBackbone):
            read = with_known_places(reader.tokenizer, drawn, read)
        drawn = read
    extra: Tensor | float = 0.0
    if isinstance(h.backbone, GraphBackbone) and training.aligned:
        graphs = split.graphs[rows].dense()
        places = known_places(h.backbone, drawn, split.take(rows), graphs)
        known = (places >= 0).any(1)
        if known.any():
            chosen, rest = (one.nonzero()[:, 0] for one in (known, ~known))
            with seeded(step):
                texts = [drawn[i] for i in chosen.tolist()]
                extra = h.backbone.aligned_loss(texts, graphs[chosen].to(device), places[chosen].to(device))
                extra = training.aligned * extra
            if not len(rest):
                return extra
            drawn, rows, target = [drawn[i] for i in rest.tolist()], rows[rest], target[rest.to(device)]
    with seeded(step + distributed.DROPOUT_STRIDE * distributed.rank()):  # dropout
        if isinstance(h.backbone, GraphBackbone) and training.polished and step >= training.loop.steps * REFINE_FROM:
            relaxed = h.backbone.graphs(drawn)
            points = projections.sphere(h.backbone.embed(relaxed))
            extra += training.polished * refinement_loss(psi, compact(relaxed.to("cpu")), target.cpu()).to(device)
        else:
            points = distributed.divided(h, drawn)  # a graph head rounds some graphs
    regression = squared_distance(points, target).mean() + extra
    hard = None
    if training.hard_negatives:
        again = split.graphs[rows.repeat_interleave(training.hard_negatives)].dense()
        edited = augment.random_edits(again, torch.ones(len(again), dtype=torch.long), generator)
        apart = distributed.divided(lambda some: points_of(psi, some), edited)
        hard = apart.to(device).reshape(len(rows), training.hard_negatives, -1)
    return regression + training.contrast * info_nce(points, target, training.temperature, hard)


def draw_misspelled(texts: Sequence[str], share: float, generator: torch.Generator) -> list[str]:
    """The texts, a share of them with typos in up to 4 % of their letters."""
    chosen = torch.rand(len(texts), generator=generator) < share
    rates = torch.rand(len(texts), generator=generator) * chosen * MAX_TYPOS
    return [misspell(text, rate, generator) for text, rate in zip(texts, rates.tolist())]


def with_known_places(tokenizer: Tokenizer, texts: Sequence[str], misspelled: Sequence[str]) -> list[str]:
    """Misspelled texts, but for those with another number of tokens, of which it is not known which is which node."""
    count = tokenizer.split
    return [new if len(count(new)) == len(count(old)) else old for old, new in zip(texts, misspelled)]


def known_places(backbone: GraphBackbone, texts: Sequence[str], split: Split, graphs: GraphBatch) -> Tensor:
    """(B, N) the token of each node of the graphs, -1 where it is not known.

    The atoms of SMILES are tokens. Of other texts, the column `spans` of the frame gives the characters (start, end)
    of each node in the input of the split, or None, see `places_of_spans`. Where misspelling has changed the number
    of tokens, nothing is known.
    """
    places = torch.full((len(graphs), graphs.slots()), -1)
    if not isinstance(backbone.reader, TextBackbone):
        return places
    tokenizer, found = backbone.reader.tokenizer, [list[int]()] * len(graphs)
    if SPANS in split.frame:
        for row, (text, original, spans) in enumerate(zip(texts, split.inputs or (), split.frame[SPANS])):
            if text == original or len(tokenizer.split(text)) == len(tokenizer.split(str(original))):
                found[row] = places_of_spans(tokenizer, str(original), spans)
    elif is_molecular(graphs.vocabulary):
        lists = zip(texts, to_edge_lists(graphs))
        found = [tokenizer.places(text, written_at(text, graph)) for text, graph in lists]
    for row, known in enumerate(found):
        places[row, : len(known)] = torch.tensor(known, dtype=torch.long)
    return places


def places_of_spans(tokenizer: Tokenizer, text: str, spans: Sequence[tuple[int, int] | None]) -> list[int]:
    """The token of each span of characters of a text, -1 where there is none.

    It is the last one there, most often the noun that the others describe. No two spans share a token: of nested
    ones, such as "horn" in "air horn", the shorter has the first choice.

    Args:
        tokenizer: Splits texts.
        text: The text.
        spans: First character and the one after the last of each span, or None.

    Returns:
        As many token numbers as spans.
    """
    ends = tokenizer.places(text, [-1 if one is None else one[1] - 1 for one in spans])
    starts = tokenizer.places(text, [-1 if one is None else one[0] for one in spans])
    from_last = ((end, start if start >= 0 else end) for start, end in zip(starts, ends))
    within = [range(last, first - 1, -1) if last >= 0 else range(0) for last, first in from_last]
    found, taken = [-1] * len(spans), set[int]()
    for node in sorted(range(len(spans)), key=lambda node: len(within[node])):
        found[node] = next((token for token in within[node] if token not in taken), -1)
        taken.add(found[node])
    return found


def settings(training: SurrogateTraining, *, has_graph_head: bool, pairs: int) -> dict[str, Any]:
    """The settings that have an effect on a training with so many pairs, as plain values."""
    values = asdict(training)
    for name in ("hard_negatives", "misspelled"):
        if not values[name]:
            del values[name]
    for name in ("aligned", "polished"):
        if not (has_graph_head and values[name]):
            del values[name]
    if not _has_restarts(training, has_graph_head=has_graph_head, pairs=pairs):
        del values["starts"]
    return values


def infer_kind(inputs: Tensor | Sequence[Any]) -> str:
    """The default kind of backbone for inputs.

    Args:
        inputs: Images (n, C, S, S), vectors (n, F), or texts.

    Returns:
        "image", "vector", "word" (texts of words) or "smiles" (other texts).

    Raises:
        ValueError: If the inputs are neither a tensor nor texts.
    """
    if isinstance(inputs, Tensor):
        return "image" if inputs.dim() == 4 else "vector"
    if not all(isinstance(text, str) for text in inputs[:100]):
        raise ValueError(f"no backbone suits inputs such as {inputs[0]!r}; give vectors as a tensor, or a module")
    return "word" if holds_words(inputs) else "smiles"


def _checked_inputs(name: str, inputs: Any) -> Any:
    if inputs is None:
        raise ValueError(f"{name} split has no inputs to regress from; name the input column in from_frame")
    if torch.is_tensor(inputs) and not torch.isfinite(inputs).all():
        row = int((~torch.isfinite(inputs)).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"inputs of {name} split hold NaN or infinity, first in row {row}; drop or fill such rows")
    return inputs


def tensor_digest(tensor: Tensor) -> str:
    """sha256 of the values, rounded to 4 digits, so that it does not depend on the last bits of a machine."""
    return hashlib.sha256((tensor * 1e4).round().to(torch.int32).cpu().contiguous().numpy().tobytes()).hexdigest()


def inputs_digest(inputs: Any) -> str:
    """sha256 of the inputs, so that a run is not resumed with other inputs for the same graphs."""
    if torch.is_tensor(inputs):
        return hashlib.sha256(inputs.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
    return hashlib.sha256("\0".join(map(str, inputs)).encode()).hexdigest()


def bucketed_rows(inputs: Any, batch_size: int, bucket: int, seed: int, step: int) -> Tensor:
    """Rows of one batch: `bucket` batches are drawn together and sorted by length of text; one of them, at random."""
    group, turn = divmod(step, bucket)
    generator = step_generator(seed + 1, group)
    rows = torch.randint(len(inputs), (bucket * batch_size,), generator=generator)
    which = torch.randperm(bucket, generator=generator)[turn]
    if torch.is_tensor(inputs):
        order = torch.arange(len(rows))
    else:
        order = torch.tensor([len(inputs[i]) for i in rows.tolist()]).argsort(stable=True)
    return rows[order[which * batch_size : (which + 1) * batch_size]]


def draw_inputs(inputs: Any, rows: Tensor, rewritten: float, generator: torch.Generator) -> Any:
    """The inputs of these rows, with a share of the SMILES rewritten; texts with blanks are not SMILES."""
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
