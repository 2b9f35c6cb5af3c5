"""`fit_embedding`: learn the loss from outputs alone."""

import contextlib
import hashlib
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from elekit.graphs import _schema, augment
from elekit.graphs._schema import require_positive
from elekit.graphs.graph import Graph, GraphBatch, check_labels
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.prior import GraphPrior
from elekit.model.contrastive import RETRIEVAL_SIZE, info_nce, retrieval
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.health import NOT_MEASURED, Health
from elekit.training import distributed
from elekit.training.health import measure_health
from elekit.training.loop import Callback, TrainerConfig, choose_device, run_loop, seeded, step_generator

VIEWS = ("edited", "softened")
NEGATIVES = ("batch", "edits")
_NUMBERS = _schema.fields(
    {"views": _schema.items(_schema.anything, len(VIEWS))},
    {
        **dict.fromkeys(("batch_size", "max_edits", "hard_negatives"), _schema.whole(1, 10**6)),
        **dict.fromkeys(("temperature", "edited", "softened", "softening", "target_weight"), _schema.number(0)),
    },
    _schema.anything,
)


@dataclass(frozen=True)
class EmbeddingTraining:
    """Settings of the training of psi. The defaults take about two minutes on two cores for small molecules.

    Args:
        loop: Settings of the training loop.
        batch_size: Pairs of views per step.
        temperature: Temperature of InfoNCE, above 0.
        views: Kinds of views. "edited" views (random edits) make psi separate single edits, "softened" views (mixed
            with a random point of the simplex) make gradient decoding work.
        edited: Share of views that are edited, in [0, 1].
        max_edits: Maximal number of edits of a view.
        softened: Share of views that are softened, in [0, 1].
        softening: Maximal weight of the random point, in [0, 1].
        negatives: "batch", or "edits" for single edits of each anchor as well (hard negatives).
        hard_negatives: Single edits per anchor if `negatives` is "edits".
        target_weight: Weight of the fine-tuning term if targets are given.
    """

    loop: TrainerConfig = TrainerConfig(steps=2_000, learning_rate=2e-3)
    batch_size: int = 256
    temperature: float = 0.05
    views: tuple[str, ...] = VIEWS
    edited: float = 0.6
    max_edits: int = 2
    softened: float = 0.6
    softening: float = 0.5
    negatives: str = "batch"
    hard_negatives: int = 4
    target_weight: float = 1.0

    def __post_init__(self) -> None:
        _NUMBERS(vars(self), "the training")
        object.__setattr__(self, "views", tuple(self.views))
        if not self.views or any(view not in VIEWS for view in self.views):
            raise ValueError(f"views must be some of {VIEWS}, got {self.views}")
        require_positive(max_edits=self.max_edits)
        for name in ("edited", "softened", "softening"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.negatives not in NEGATIVES:
            raise ValueError(f"negatives must be one of {NEGATIVES}, got {self.negatives!r}")

    def view(self, graphs: GraphBatch, generator: torch.Generator, frequencies: Tensor | None = None) -> GraphBatch:
        """Draw a random view of each graph.

        Args:
            graphs: B discrete graphs; dense ones are packed.
            generator: Source of randomness; the views are on its device.
            frequencies: (K,) weights of the node labels that edits draw, such as their counts in the training graphs;
                None for equal weights.

        Returns:
            B packed graphs, relaxed if softened.
        """
        view, B, device = PackedGraphs.of(graphs), len(graphs), generator.device
        if "edited" in self.views:
            counts = torch.randint(1, self.max_edits + 1, (B,), generator=generator, device=device)
            chosen = torch.rand(B, generator=generator, device=device) < self.edited
            view = augment.random_edits(view, counts * chosen, generator, frequencies)
        if "softened" not in self.views:
            return view
        amounts = self.softening * torch.rand(B, generator=generator, device=device)
        chosen = torch.rand(B, generator=generator, device=device) < self.softened
        return augment.softened(view, amounts * chosen, generator)


def fit_embedding(
    graphs: GraphBatch, *, validation: GraphBatch | None = None, config: EmbeddingConfig = EmbeddingConfig(),
    training: EmbeddingTraining = EmbeddingTraining(), start: GraphEmbedding | None = None,
    targets: Tensor | None = None, penalty: Callable[[nn.Module, int], Tensor] | None = None, seed: int = 0,
    device: str = "auto", checkpoint: str | Path | None = None, progress: bool = True,
    callback: Callback | None = None,
) -> GraphEmbedding:  # fmt: skip
    """Learn psi by contrastive learning on outputs alone: InfoNCE over two views of each graph.

    Ctrl-C returns the weights reached so far. `elekit.training.distributed` trains on many processes.

    Args:
        graphs: n discrete training graphs, at least two.
        validation: Graphs for retrieval@1 among up to 1,000 (the nearest graph to a random view must be its own);
            None means training graphs.
        config: Architecture of psi.
        training: Settings of the training.
        start: Embedding to continue from.
        targets: (n, D) unit vectors such as h(x_i), for fine-tuning with labeled pairs: a second InfoNCE term pulls
            psi(y_i) to targets[i] and away from other graphs.
        penalty: A further term `penalty(psi, step)`, deterministic in the step. Plain values in its attribute
            `identity`, if any, distinguish runs (see `elekit.correction`).
        seed: Seed of initial weights, batches and views.
        device: torch device; "auto" means CUDA if available.
        checkpoint: File that is written at intervals, and resumed from if it exists.
        progress: Show a progress bar.
        callback: Called as `callback(step, psi)`, in evaluation mode and without gradients, before the first step and
            at every validation; it does not change the result.

    Returns:
        psi in evaluation mode on the CPU; `psi.history` has one dict (step, seconds, loss, retrieval) per validation,
        `psi.health` a verdict (see `measure_health`), which takes a second or a few, at most about 20.

    Raises:
        ValueError: If there are fewer than two graphs, or `targets`, `start` or the checkpoint do not fit.
    """
    for name, given in (("graphs", graphs), ("validation", validation)):
        if given is not None and not isinstance(given, GraphBatch):
            kind = type(given).__name__
            raise ValueError(f"{name} must be a batch of graphs, got a {kind}; give data.train.graphs of a Dataset")
    if isinstance(graphs, Graph):
        graphs.check()
    graphs, n = PackedGraphs.of(graphs), len(graphs)
    if n < 2:
        raise ValueError(f"contrastive learning needs graphs to compare: at least 2, got {n}")
    if targets is not None and targets.shape != (n, config.dim):
        shape = tuple(targets.shape)
        raise ValueError(f"targets must be ({n}, {config.dim}), one unit vector per graph, got {shape}")
    if start is not None:
        check_labels(graphs.vocabulary, start.vocabulary, "graphs of another vocabulary", "the start")
        if start.config != config:
            raise ValueError(f"start was built with {start.config}; give config=start.config")
    torch_device = choose_device(device)
    with seeded(seed):
        psi = GraphEmbedding(graphs.vocabulary, config)
    if start is not None:
        psi.load_state_dict(start.state_dict())
    psi.to(torch_device)
    psi.typical, psi.prior = graphs.average(), GraphPrior.of(graphs)
    frequencies = torch.bincount(graphs.node_labels.long(), minlength=graphs.vocabulary.K)
    held_out = validation if validation is not None and len(validation) > 1 else graphs
    held_out = PackedGraphs.of(held_out)[:RETRIEVAL_SIZE]
    queries = training.view(held_out, step_generator(seed, -1), frequencies)
    examples = graphs.to(torch_device)

    def loss_at(step: int) -> Tensor:
        generator = step_generator(seed, step, torch_device)
        drawn = torch.randint(n, (min(training.batch_size, n),), generator=generator, device=torch_device)
        rows = torch.unique(drawn)
        B, hard = len(rows), None
        points = distributed.divided(psi, training.view(examples[rows.repeat(2)], generator, frequencies))
        if training.negatives == "edits":
            again = examples[rows.repeat_interleave(training.hard_negatives)]
            once = torch.ones(len(again), dtype=torch.long)
            edited = augment.random_edits(again, once, generator, frequencies)
            hard = distributed.divided(psi, edited).reshape(B, -1, config.dim)
        loss = info_nce(points[:B], points[B:], training.temperature, hard)
        if targets is not None:
            fixed = targets[rows.cpu()].to(torch_device)
            own = distributed.divided(psi, examples[rows])
            loss = loss + training.target_weight * info_nce(fixed, own, training.temperature)
        return loss if penalty is None else loss + penalty(psi, step)

    psi.history = run_loop(
        psi,
        training.loop,
        loss_at,
        lambda: {"retrieval": retrieval(psi.embed(queries), psi.embed(held_out))},
        identity={
            "fit": "embedding",
            "config": asdict(config),
            "training": asdict(training),
            "seed": seed,
            "graphs": graphs.digest(),
            "fine-tuned": _fine_tuning(start, targets),
            "penalty": None if penalty is None else getattr(penalty, "identity", type(penalty).__name__),
        },
        checkpoint=checkpoint,
        progress=progress,
        title="fit_embedding",
        callback=callback,
    )
    psi.to("cpu").eval()
    if not psi.history[-1].get("interrupted"):
        psi.health = distributed.by_first(lambda: _health(psi, graphs, validation, seed))
    if progress and distributed.is_first():
        tqdm.write(str(psi.health or NOT_MEASURED), file=sys.stderr)
    return psi


def _health(psi: GraphEmbedding, graphs: GraphBatch, validation: GraphBatch | None, seed: int) -> Health | None:
    with contextlib.suppress(FloatingPointError):
        return measure_health(psi, graphs, held_out=validation, seed=seed)
    return None


def _fine_tuning(start: GraphEmbedding | None, targets: Tensor | None) -> bool | str:
    """False, or a sha256 of initial weights and targets, for the identity of a run."""
    if start is None and targets is None:
        return False
    running = hashlib.sha256()
    tensors = [*(start.state_dict().values() if start is not None else ()), *([] if targets is None else [targets])]
    for tensor in tensors:
        running.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return running.hexdigest()
