"""Step rules of projected gradient descent: how an iterate follows the gradient and stays in the polytope."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from elekit.graphs import projections

FLOOR = 1e-8  # smallest probability whose logarithm is taken
Memory = dict[str, Tensor]


class StepRule(ABC):
    """A step on rows of the simplex. Node rows and pair rows take the same rule, each with its own memory."""

    @abstractmethod
    def step(self, rows: Tensor, gradient: Tensor, memory: Memory, t: int) -> tuple[Tensor, Tensor | None]:
        """The new rows on the simplex, and the rows before their projection (None if the rule has no projection).

        rows, gradient: (M, ..., C) of M independent descents. memory: state of the rule, updated in place; empty at t
        = 0.
        """


@dataclass(frozen=True)
class Euclidean(StepRule):
    """Projected gradient descent, the step of the paper: `y <- P_simplex(y - eta g)`.

    normalized: divide g by its largest entry in each graph (nodes and pairs separately), so that eta is a length.
    momentum: heavy-ball coefficient, in [0, 1): m <- momentum m + g (Polyak 1964).
    """

    step_size: float = 0.2
    normalized: bool = True
    momentum: float = 0.9

    def step(self, rows: Tensor, gradient: Tensor, memory: Memory, t: int) -> tuple[Tensor, Tensor | None]:
        moved = rows - self.step_size * _heavy_ball(gradient, self.normalized, self.momentum, memory, t)
        return projections.simplex(moved), moved


@dataclass(frozen=True)
class EuclideanAdam(StepRule):
    """Euclidean projection of an Adam step: `y <- P_simplex(y - eta m / sqrt(v))`."""

    step_size: float = 0.3
    beta1: float = 0.9
    beta2: float = 0.99

    def step(self, rows: Tensor, gradient: Tensor, memory: Memory, t: int) -> tuple[Tensor, Tensor | None]:
        moved = rows - self.step_size * _adam(gradient, memory, t, self.beta1, self.beta2)
        return projections.simplex(moved), moved


@dataclass(frozen=True)
class Exponentiated(StepRule):
    """Mirror descent with the entropy: `y <- y exp(-eta g) / sum`, which never leaves the simplex."""

    step_size: float = 1.0
    normalized: bool = True
    momentum: float = 0.9

    def step(self, rows: Tensor, gradient: Tensor, memory: Memory, t: int) -> tuple[Tensor, Tensor | None]:
        direction = _heavy_ball(gradient, self.normalized, self.momentum, memory, t)
        return (rows.clamp_min(FLOOR).log() - self.step_size * direction).softmax(-1), None


@dataclass(frozen=True)
class AdamOnLogits(StepRule):
    """Adam on logits z with y = softmax(z); the gradient by z is `y * (g - <y, g>)` in each row."""

    step_size: float = 0.2
    beta1: float = 0.9
    beta2: float = 0.999

    def step(self, rows: Tensor, gradient: Tensor, memory: Memory, t: int) -> tuple[Tensor, Tensor | None]:
        if not t:
            memory["z"] = rows.clamp_min(FLOOR).log()
        by_logit = rows * (gradient - (rows * gradient).sum(-1, keepdim=True))
        memory["z"] = memory["z"] - self.step_size * _adam(by_logit, memory, t, self.beta1, self.beta2)
        return memory["z"].softmax(-1), None


RULES: dict[str, StepRule] = {
    "euclidean": Euclidean(),
    "euclidean-plain": Euclidean(0.3, momentum=0.0),
    "adam": AdamOnLogits(),
    "euclidean-adam": EuclideanAdam(),
    "exponentiated": Exponentiated(),
}


def _adam(gradient: Tensor, memory: Memory, t: int, beta1: float, beta2: float) -> Tensor:
    """Bias-corrected direction of Adam (Kingma and Ba 2015)."""
    m = beta1 * memory["m"] + (1 - beta1) * gradient if t else (1 - beta1) * gradient
    v = beta2 * memory["v"] + (1 - beta2) * gradient.square() if t else (1 - beta2) * gradient.square()
    memory["m"], memory["v"] = m, v
    return (m / (1 - beta1 ** (t + 1))) / ((v / (1 - beta2 ** (t + 1))).sqrt() + 1e-10)


def _heavy_ball(gradient: Tensor, normalized: bool, momentum: float, memory: Memory, t: int) -> Tensor:
    if normalized and gradient.numel():  # a single node has no pairs
        gradient = gradient / gradient.abs().amax(tuple(range(1, gradient.dim())), keepdim=True).clamp_min(1e-12)
    if momentum:
        memory["m"] = gradient = momentum * memory["m"] + gradient if t else gradient
    return gradient
