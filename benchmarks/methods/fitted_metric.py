"""A metric of the embedding space fitted on validation pairs: directions in which h errs count less.

`psi_M(y) = M psi(y) / ||M psi(y)||` and `h_M(x) = M h(x) / ||M h(x)||` with `M = ((1 - s) S + s tr(S) / D I)^(-1/2)`,
where S is the mean of `(h(x) - psi(y)) (h(x) - psi(y))^T` over validation pairs and s is a shrinkage; s = 1 is the
identity. This is the within-class covariance normalization of speaker recognition (Hatch, Kajarekar, Stolcke 2006).
psi_M is as differentiable as psi, so every decoder accepts it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.task_data import TrainingData
from elekit.datasets import Split
from elekit.graphs import augment, projections
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of

IDENTITY = 1.0  # the shrinkage with which M is the identity
SHRINKAGES = (IDENTITY, 0.6, 0.3, 0.1)
FOLDS = 5
EDITS_PER_GRAPH = 32


class MetricPsi:
    """psi_M, with the `vocabulary` and `typical` graph of psi if it has them."""

    def __init__(self, psi: Psi, metric: Tensor):
        self.psi, self.metric = psi, metric
        self.vocabulary, self.typical = getattr(psi, "vocabulary", None), getattr(psi, "typical", None)

    def __call__(self, graphs: Graph) -> Tensor:
        return projections.sphere(self.psi(graphs) @ self.metric)


class MetricH:
    """h_M."""

    def __init__(self, h, metric: Tensor):
        self.h, self.metric = h, metric

    def predict(self, inputs) -> Tensor:
        return projections.sphere(self.h.predict(inputs) @ self.metric)

    def graphs(self, inputs) -> Graph:
        return self.h.graphs(inputs)


def metric_matrix(errors: Tensor, shrinkage: float) -> Tensor:
    """The symmetric matrix M (D, D) for errors (n, D)."""
    D = errors.shape[1]
    covariance = errors.double().T @ errors.double() / len(errors)
    level = covariance.trace() / D
    shrunk = (1 - shrinkage) * covariance + shrinkage * level * torch.eye(D, dtype=torch.double)
    values, vectors = torch.linalg.eigh(shrunk)
    return (vectors * (values.clamp_min(1e-12) / level).rsqrt() @ vectors.T).float()


def fit_metric(
    psi: Psi, h, data: TrainingData, seed: int, exact: Callable[[Tensor, Split], float]
) -> tuple[Tensor, dict]:
    """Fit M on validation pairs.

    The shrinkage is chosen by the number of pairs for which h(x) is nearer to its own graph than to any of 32 single
    edits of it, each pair evaluated with the M of the other folds. The identity is kept unless M also decodes more
    validation pairs correctly, each half decoded with the M of the other half.

    Args:
        psi: Embedding.
        h: Regressor with `predict`.
        data: Its validation split is used.
        seed: Seed of the edits.
        exact: Share of a split that is decoded correctly with a given M.

    Returns:
        M (D, D), and what was tried as plain values.
    """
    graphs, generator = data.validation.graphs, torch.Generator().manual_seed(seed)
    n, predicted, truth = len(graphs), h.predict(data.validation.inputs), points_of(psi, graphs)
    repeated = graphs[torch.arange(n).repeat_interleave(EDITS_PER_GRAPH)].dense()
    edited = points_of(psi, augment.random_edits(repeated, torch.ones(len(repeated), dtype=torch.long), generator))
    edited = edited.reshape(n, EDITS_PER_GRAPH, -1)
    errors, fold = predicted - truth, torch.arange(n) % FOLDS
    separated = {}
    for shrinkage in SHRINKAGES:
        count = 0
        for f in range(FOLDS):
            held_out, rest = fold == f, fold != f
            if not held_out.any() or not rest.any():
                continue
            M = metric_matrix(errors[rest], shrinkage)
            near = projections.sphere(predicted[held_out] @ M)
            own = (near * projections.sphere(truth[held_out] @ M)).sum(1)
            others = (near[:, None] * projections.sphere(edited[held_out] @ M)).sum(2).amax(1)
            count += int((own >= others - 1e-6).sum())  # an edit may lead to the same graph
        separated[shrinkage] = round(count / n, 5)
    best = max(separated, key=separated.__getitem__)
    settings = {"separated_from_edits": {str(s): v for s, v in separated.items()}}
    if best != IDENTITY and n > 1:
        rows = torch.arange(n)

        def decoded_exactly(shrinkage: float) -> float:
            total = 0.0
            for half in (0, 1):
                held_out, rest = rows[half::2], rows[1 - half :: 2]
                M = metric_matrix(errors[rest], shrinkage)
                total += exact(M, data.validation.take(held_out)) * len(held_out)
            return total / n

        decoded = {s: decoded_exactly(s) for s in (IDENTITY, best)}
        settings["decoded"] = {str(s): round(v, 5) for s, v in decoded.items()}
        best = max(decoded, key=decoded.__getitem__)
    return metric_matrix(errors, best), {"shrinkage": best, **settings}
