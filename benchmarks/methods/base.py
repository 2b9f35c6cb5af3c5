"""The interface of every method: what it is called, what it costs to fit, what it answers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.task_data import Exam, Problem
from elekit.graphs.graph import Graph


class Predictor(ABC):
    """What a method has learned, ready to be asked. A method gives one for each way to decode."""

    @abstractmethod
    def predict(self, inputs) -> Graph | None:
        """A graph for each input; None of a method that only ranks."""

    def scores(self, inputs, gallery: Graph) -> torch.Tensor | None:
        """(B, C) how well each graph of the gallery fits each input, more is better; None of one that cannot tell."""
        return None

    def losses(self, inputs, graphs: Graph) -> torch.Tensor | None:
        """(B,) the loss that is minimised, of one graph for each input; None of one that minimises none."""
        return None

    def sets(self, exam: Exam) -> dict | None:
        """Coverage and size of prediction sets, as `elekit.evaluation.conformal.measured` tells; None of one that makes none."""
        return None


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    predictors: by the way they decode, "" where there is one way. settings: what was tuned on validation and what was
    given, as plain values. parameters: how many numbers were learned.
    """

    predictors: dict[str, Predictor]
    settings: dict = field(default_factory=dict)
    parameters: int = 0


class Method(ABC):
    """One method of the field. name: in files and on the command line. title: in tables. about: one sentence.

    tasks: those it applies to; None: all.
    """

    name: str
    title: str
    about: str
    tasks: tuple[str, ...] | None = None

    def prepare(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> None:  # noqa: B027
        """What is done once for many runs and is told apart in the costs, such as learning psi; kept in `work`."""

    @abstractmethod
    def fit(self, problem: Problem, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        """Learn from a problem; long training keeps its checkpoints in `work` and goes on from there.

        Ctrl-C in the middle raises KeyboardInterrupt, after what was reached is kept. work: a folder of this run.
        """
