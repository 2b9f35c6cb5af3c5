"""`fit_embedding`: learn the loss from outputs alone (floor 3)."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from elekit.graphs import augment
from elekit.graphs.graph import Graph
from elekit.model.contrastive import info_nce
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.training.loop import (
    RETRIEVAL_SIZE,
    TrainerConfig,
    choose_device,
    retrieval,
    run_loop,
    seeded,
    step_generator,
)

VIEWS = ("edited", "softened")
NEGATIVES = ("batch", "edits")


@dataclass(frozen=True)
class EmbeddingTraining:
    """How psi is trained. Defaults: a usable loss on small molecules in about two minutes of two cores.

    views: "edited" (0 to max_edits random edits) and "softened" (mixed with a random point of the simplex); with
    both, gradient decoding works (softened) and single edits are told apart (edited).
    negatives: "batch", or "edits" for single edits of each anchor as well (hard negatives).
    """

    loop: TrainerConfig = TrainerConfig(steps=2_000, learning_rate=2e-3)
    batch_size: int = 256  # pairs of views
    temperature: float = 0.05
    views: tuple[str, ...] = VIEWS
    edited: float = 0.6  # share of views that are edited
    max_edits: int = 2
    softened: float = 0.6  # share of views that are softened
    softening: float = 0.5  # by up to this much
    negatives: str = "batch"
    hard_negatives: int = 4  # single edits of each anchor, where negatives = "edits"
    target_weight: float = 1.0  # of the fine-tuning term, where targets are given

    def __post_init__(self):
        object.__setattr__(self, "views", tuple(self.views))
        if not self.views or set(self.views) - set(VIEWS):
            raise ValueError(f"views must be some of {VIEWS}, got {self.views}")
        if self.max_edits < 1:
            raise ValueError(f"max_edits must be at least 1, got {self.max_edits}")
        for name in ("edited", "softened", "softening"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.negatives not in NEGATIVES:
            raise ValueError(f"negatives must be one of {NEGATIVES}, got {self.negatives!r}")

    def view(self, graph: Graph, generator: torch.Generator) -> Graph:
        """A random view of each graph."""
        B = len(graph)
        if "edited" in self.views:
            counts = torch.randint(1, self.max_edits + 1, (B,), generator=generator)
            chosen = torch.rand(B, generator=generator) < self.edited
            graph = augment.random_edits(graph, counts * chosen, generator)
        if "softened" in self.views:
            amounts = self.softening * torch.rand(B, generator=generator)
            chosen = torch.rand(B, generator=generator) < self.softened
            graph = augment.softened(graph, amounts * chosen, generator)
        return graph


def fit_embedding(
    graphs: Graph,
    *,
    validation: Graph | None = None,
    config: EmbeddingConfig = EmbeddingConfig(),
    training: EmbeddingTraining = EmbeddingTraining(),
    start: GraphEmbedding | None = None,
    targets: Tensor | None = None,
    penalty: Callable[[nn.Module, int], Tensor] | None = None,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    progress: bool = True,
    callback: Callable[[int, nn.Module], None] | None = None,
) -> GraphEmbedding:
    """Learn psi_theta by contrastive learning on outputs alone (InfoNCE over two views of each graph).

    graphs: vertices, at least two different ones. validation: where retrieval@1 among 1,000 is measured (a softened,
    edited copy must find its own graph); None takes graphs of the training set.
    start, targets: fine-tuning with labeled pairs: go on from `start` with a second term that pulls psi(y_i) to
        targets[i], (n, D) unit vectors such as h(x_i), away from those of other graphs.
    penalty: one more term: called with psi and the step, a scalar; random by the step alone, so that a run can be
        resumed, and plain values in its `identity`, if it has one, tell it from others (`elekit.correction.penalty`).
    device: "auto", which is CUDA where there is some, or torch's name. checkpoint: a file to write at intervals and
        to resume from if it is there.
    callback: called with (step, psi), in evaluation mode and without gradients, before the first step that this run takes
        and at every validation, to film what is learned; it changes nothing of it.
    Returns psi in evaluation mode on the CPU, with `psi.history`, a list of dicts (step, seconds, loss, retrieval).
    Ctrl-C keeps what was reached. Raises ValueError for fewer than two graphs or targets of another shape.
    """
    graphs.check()
    n = len(graphs)
    if n < 2:
        raise ValueError(f"contrastive learning tells graphs apart: it needs at least 2, got {n}")
    if targets is not None and targets.shape != (n, config.dim):
        raise ValueError(
            f"targets must be ({n}, {config.dim}), one unit vector for each graph, got {tuple(targets.shape)}"
        )
    if start is not None:
        start._check_vocabulary(graphs.vocabulary)
        if start.config != config:
            raise ValueError(f"start was built with {start.config}; give config=start.config")
    device = choose_device(device)
    with seeded(seed):
        psi = GraphEmbedding(graphs.vocabulary, config)
    if start is not None:
        psi.load_state_dict(start.state_dict())
    psi.to(device)
    psi.typical = graphs.average()
    held_out = validation if validation is not None and len(validation) > 1 else graphs
    held_out = held_out[:RETRIEVAL_SIZE]
    queries = training.view(held_out, step_generator(seed, -1))

    def loss_at(step: int) -> Tensor:
        generator = step_generator(seed, step)
        rows = torch.randint(n, (min(training.batch_size, n),), generator=generator).unique()
        B, batch = len(rows), graphs[rows]
        views = [training.view(batch, generator), training.view(batch, generator)]
        if training.negatives == "edits":
            again = batch[torch.arange(B).repeat_interleave(training.hard_negatives)]
            views.append(augment.random_edits(again, torch.ones(len(again), dtype=torch.long), generator))
        points = psi(Graph.cat(views).to(device))
        hard = points[2 * B :].reshape(B, -1, config.dim) if training.negatives == "edits" else None
        loss = info_nce(points[:B], points[B : 2 * B], training.temperature, hard)
        if targets is not None:
            wanted = targets[rows].to(device)
            loss = loss + training.target_weight * info_nce(wanted, psi(batch.to(device)), training.temperature)
        return loss if penalty is None else loss + penalty(psi, step)

    def validate() -> dict[str, float]:
        return {"retrieval": retrieval(psi.embed(queries), psi.embed(held_out))}

    psi.history = run_loop(
        psi,
        training.loop,
        loss_at,
        validate,
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
    return psi.to("cpu").eval()


def _fine_tuning(start: GraphEmbedding | None, targets: Tensor | None) -> bool | str:
    """False, or a sha256 of the weights started from and the targets, for the identity of a run."""
    if start is None and targets is None:
        return False
    running = hashlib.sha256()
    tensors = [*(start.state_dict().values() if start is not None else ()), *([] if targets is None else [targets])]
    for tensor in tensors:
        running.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return running.hexdigest()
