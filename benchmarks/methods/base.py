"""Interface of the benchmark methods."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.task_data import TestData, TrainingData
from elekit.graphs.graph import Graph, GraphBatch


class Predictor(ABC):
    """A trained method with one decoder."""

    @abstractmethod
    def predict(self, inputs) -> Graph | None:
        """One graph per input; None if the method only ranks."""

    def score_gallery(self, inputs, gallery: GraphBatch) -> torch.Tensor | None:
        """(B, C) scores of every gallery graph for every input, higher is better; None if it cannot rank."""
        return None

    def losses(self, inputs, graphs: GraphBatch) -> torch.Tensor | None:
        """(B,) the minimized loss of one graph per input; None if the method minimizes none."""
        return None

    def evaluate_sets(self, data: TestData) -> dict | None:
        """Coverage and size of prediction sets, see `elekit.evaluation.conformal`; None if it builds none."""
        return None


@dataclass(frozen=True)
class Fitted:
    """Result of training a method.

    Args:
        predictors: Predictors by the name of their decoder; "" if there is only one.
        settings: Tuned and given hyperparameters as plain values.
        parameters: Number of learned parameters.
    """

    predictors: dict[str, Predictor]
    settings: dict = field(default_factory=dict)
    parameters: int = 0


class Method(ABC):
    """One benchmark method.

    Attributes:
        name: Name in files and on the command line.
        title: Name in tables.
        description: One sentence for the report.
        tasks: Tasks that the method applies to; None for all.
    """

    name: str
    title: str
    description: str
    tasks: tuple[str, ...] | None = None

    def prepare(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> None:  # noqa: B027
        """Work shared by several runs and not counted as their training time, such as training psi."""

    @abstractmethod
    def fit(self, data: TrainingData, *, seed: int, work: Path, progress: bool = True) -> Fitted:
        """Train the method.

        Args:
            data: What the method may learn from.
            seed: Seed of initialization and sampling.
            work: Folder of this run. Long training keeps its checkpoints there and resumes from them.
            progress: Show progress bars.

        Raises:
            KeyboardInterrupt: On Ctrl-C, after saving a checkpoint.
        """
