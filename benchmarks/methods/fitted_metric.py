"""A loss told what its regression gets wrong: directions in which h often errs count less.

`psi_M(y) = M psi(y) / ||M psi(y)||` and `h_M(x) = M h(x) / ||M h(x)||` with `M = ((1 - s) S + s tr(S) / D I)^(-1/2)`,
where S is the mean of `(h(x) - psi(y)) (h(x) - psi(y))^T` over validation pairs and s shrinks it; s = 1 changes nothing.
It is the within-class covariance normalisation of speaker recognition (Hatch, Kajarekar, Stolcke 2006), and a way to
fine-tune psi with labels. psi_M is as differentiable as psi, so all decoders take it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.task_data import Problem
from elekit.datasets import Split
from elekit.graphs import augment, projections
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of

UNCHANGED = 1.0
SHRUNK = (UNCHANGED, 0.6, 0.3, 0.1)
FOLDS = 5
EDITED = 32  # edits of each validation graph that its own point is told from


class MeasuredPsi:
    """psi_M. vocabulary, typical: those of psi, where it has any."""

    def __init__(self, psi: Psi, metric: Tensor):
        self.psi, self.metric = psi, metric
        self.vocabulary, self.typical = getattr(psi, "vocabulary", None), getattr(psi, "typical", None)

    def __call__(self, graphs: Graph) -> Tensor:
        return projections.sphere(self.psi(graphs) @ self.metric)


class MeasuredH:
    """h_M."""

    def __init__(self, h, metric: Tensor):
        self.h, self.metric = h, metric

    def predict(self, inputs) -> Tensor:
        return projections.sphere(self.h.predict(inputs) @ self.metric)

    def graphs(self, inputs) -> Graph:
        return self.h.graphs(inputs)


def metric_of(errors: Tensor, shrunk: float) -> Tensor:
    """M (D, D), symmetric, of errors (n, D)."""
    D = errors.shape[1]
    covariance = errors.double().T @ errors.double() / len(errors)
    level = covariance.trace() / D
    values, vectors = torch.linalg.eigh((1 - shrunk) * covariance + shrunk * level * torch.eye(D, dtype=torch.double))
    return (vectors * (values.clamp_min(1e-12) / level).rsqrt() @ vectors.T).float()


def fitted_metric(
    psi: Psi, h, problem: Problem, seed: int, exact: Callable[[Tensor, Split], float]
) -> tuple[Tensor, dict]:
    """M, and what was tried, on validation alone.

    s is the one with which most h(x) are nearer to their own graph than to any of 32 single edits of it, each judged
    with the M of the other pairs (5 folds). Decoding has the last word: s = 1 where no more pairs of one half come
    out right with the M of the other half. exact: the share of a split that is decoded right with an M.
    """
    graphs, generator = problem.validation.graphs, torch.Generator().manual_seed(seed)
    n, predicted, truth = len(graphs), h.predict(problem.validation.inputs), points_of(psi, graphs)
    again = graphs[torch.arange(n).repeat_interleave(EDITED)]
    edited = points_of(psi, augment.random_edits(again, torch.ones(len(again), dtype=torch.long), generator))
    edited, errors, fold = edited.reshape(n, EDITED, -1), predicted - truth, torch.arange(n) % FOLDS
    tried = {}
    for shrunk in SHRUNK:
        told = 0
        for f in range(FOLDS):
            here, there = fold == f, fold != f
            if not here.any() or not there.any():
                continue
            M = metric_of(errors[there], shrunk)
            near = projections.sphere(predicted[here] @ M)
            own = (near * projections.sphere(truth[here] @ M)).sum(1)
            others = (near[:, None] * projections.sphere(edited[here] @ M)).sum(2).amax(1)
            told += int((own >= others - 1e-6).sum())  # an edit may lead to the same graph
        tried[shrunk] = round(told / n, 5)
    shrunk = max(tried, key=tried.get)
    about = {"told from edits": {str(s): v for s, v in tried.items()}}
    if shrunk != UNCHANGED and n > 1:
        rows = torch.arange(n)

        def right(s: float) -> float:  # share of all pairs, each half decoded with the M of the other
            told = 0.0
            for half in (0, 1):
                here, there = rows[half::2], rows[1 - half :: 2]
                told += exact(metric_of(errors[there], s), problem.validation.take(here)) * len(here)
            return told / n

        decoded = {s: right(s) for s in (UNCHANGED, shrunk)}
        about["decoded"] = {str(s): round(v, 5) for s, v in decoded.items()}
        shrunk = max(decoded, key=decoded.get)
    return metric_of(errors, shrunk), {"shrunk": shrunk, **about}
