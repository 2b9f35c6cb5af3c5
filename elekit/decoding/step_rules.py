"""Step rules: how an iterate follows the gradient and stays in the polytope.

A rule sees rows on the simplex (..., C) and the gradient of the loss by them, and returns new rows on the simplex.
Node rows and edge rows are stepped by the same rule, each with a memory of its own.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from elekit.graphs import projections

FLOOR = 1e-8  # probability below which logits are cut


class StepRule(Protocol):
    """`unprojected` is where a rule stood before its projection, None for rules that never leave the simplex."""

    def step(self, rows: Tensor, gradient: Tensor, memory: dict, t: int) -> tuple[Tensor, Tensor | None]: ...


@dataclass(frozen=True)
class Euclidean:
    """The paper's step: `y <- P_simplex(y - eta g)`, Euclidean projection.

    normalized: g is divided by its largest entry in each graph (nodes and pairs apart), so eta is a length.
    momentum: heavy ball, m <- momentum m + g.
    """

    step_size: float = 0.2
    normalized: bool = True
    momentum: float = 0.9

    def step(self, rows, gradient, memory, t):
        moved = rows - self.step_size * _heavy_ball(gradient, self.normalized, self.momentum, memory, t)
        return projections.simplex(moved), moved


@dataclass(frozen=True)
class EuclideanAdam:
    """Euclidean projection of a step that Adam has scaled coordinate by coordinate: `P(y - eta m / sqrt v)`."""

    step_size: float = 0.3
    beta1: float = 0.9
    beta2: float = 0.99

    def step(self, rows, gradient, memory, t):
        moved = rows - self.step_size * _adam(gradient, memory, t, self.beta1, self.beta2)
        return projections.simplex(moved), moved


@dataclass(frozen=True)
class Exponentiated:
    """Mirror descent with the entropy: `y <- y exp(-eta g) / sum`; multiplicative, never leaves the simplex."""

    step_size: float = 1.0
    normalized: bool = True
    momentum: float = 0.9

    def step(self, rows, gradient, memory, t):
        direction = _heavy_ball(gradient, self.normalized, self.momentum, memory, t)
        return (rows.clamp_min(FLOOR).log() - self.step_size * direction).softmax(-1), None


@dataclass(frozen=True)
class AdamOnLogits:
    """Adam on z with y = softmax(z): follows the simplex's own geometry and scales each coordinate.

    The gradient by z is `y * (g - <y, g>)`, row by row.
    """

    step_size: float = 0.2
    beta1: float = 0.9
    beta2: float = 0.999

    def step(self, rows, gradient, memory, t):
        if not t:
            memory["z"] = rows.clamp_min(FLOOR).log()
        by_logit = rows * (gradient - (rows * gradient).sum(-1, keepdim=True))
        memory["z"] = memory["z"] - self.step_size * _adam(by_logit, memory, t, self.beta1, self.beta2)
        return memory["z"].softmax(-1), None


RULES = {
    "euclidean": Euclidean(),
    "euclidean-plain": Euclidean(0.3, momentum=0.0),
    "adam": AdamOnLogits(),
    "euclidean-adam": EuclideanAdam(),
    "exponentiated": Exponentiated(),
}


def _adam(gradient: Tensor, memory: dict, t: int, beta1: float, beta2: float) -> Tensor:
    """Adam's direction (Kingma and Ba 2015), bias-corrected; t counts from 0."""
    m = beta1 * memory["m"] + (1 - beta1) * gradient if t else (1 - beta1) * gradient
    v = beta2 * memory["v"] + (1 - beta2) * gradient.square() if t else (1 - beta2) * gradient.square()
    memory["m"], memory["v"] = m, v
    return (m / (1 - beta1 ** (t + 1))) / ((v / (1 - beta2 ** (t + 1))).sqrt() + 1e-10)


def _heavy_ball(gradient: Tensor, normalized: bool, momentum: float, memory: dict, t: int) -> Tensor:
    """The direction of the plain rules: scaled where asked for, with momentum (Polyak 1964)."""
    if normalized:
        gradient = _scaled(gradient)
    if momentum:
        memory["m"] = gradient = momentum * memory["m"] + gradient if t else gradient
    return gradient


def _scaled(gradient: Tensor) -> Tensor:
    """Divided by the largest entry of each graph's gradient, where there are any: a single node has no pairs."""
    if not gradient.numel():
        return gradient
    return gradient / gradient.abs().amax(tuple(range(1, gradient.dim())), keepdim=True).clamp_min(1e-12)
