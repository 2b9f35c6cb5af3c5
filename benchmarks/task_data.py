"""What a method learns from (`TrainingData`) and what its predictions are evaluated on (`TestData`)."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from elekit.datasets import Split
from elekit.graphs.graph import GraphBatch

# Task names by what a task requires of a method, see `tasks.TASKS`.
RELATION_TASKS = ("faults", "maintie-1", "maintie-2")  # texts to entities and relations
TREE_TASKS = ("ud",)  # sentences to dependency trees
SPAN_TASKS = (*RELATION_TASKS, *TREE_TASKS)  # the place of each node in its text is known
SMALL_TASKS = ("smi2mol", "smi2mol-random", "noise", "coloring", "text2mol-small", *RELATION_TASKS)  # small graphs
DECODING_TASKS = (*SMALL_TASKS, *TREE_TASKS)  # graphs are predicted
RETRIEVAL_TASKS = ("text2mol", "text2mol-small", "text2mol-public")  # the truth is retrieved from a gallery, by text
MOLECULE_TASKS = ("smi2mol", "smi2mol-random", "noise", *RETRIEVAL_TASKS)


@dataclass(frozen=True)
class Budget:
    """Training budget of every method that is trained by gradient steps: steps, and pairs per step."""

    steps: int
    batch_size: int = 128


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a method may learn from.

    Args:
        task: Name of the task.
        input_kind: "smiles", "text" or "image".
        train: Labeled pairs.
        validation: Labeled pairs for tuning, never more than training pairs.
        outputs: Graphs without inputs. A loss may be learned from them, and they serve as candidates.
        budget: Training budget.
        artifact: Name of a shipped artifact whose psi was trained on exactly these outputs, or None.
    """

    task: str
    input_kind: str
    train: Split
    validation: Split
    outputs: GraphBatch
    budget: Budget
    artifact: str | None = None


@dataclass(frozen=True, eq=False)
class TestData:
    """What predictions are evaluated on. No method sees it during training.

    Args:
        test: Test pairs.
        calibration: Pairs used neither for training nor for tuning, to calibrate prediction sets.
        gallery: Graphs from which each true graph is retrieved; None for no retrieval.
        gallery_rows: (n,) row of the true graph in the gallery for each test pair.
        decode: True if graphs are predicted, False if they are only retrieved.
        edit_distance: True if edit distances are computed.
        scores: Further metrics of predicted and true graphs, see `elekit.evaluation.structures`.
    """

    __test__ = False  # not a pytest class

    test: Split
    calibration: Split
    gallery: GraphBatch | None = None
    gallery_rows: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    decode: bool = True
    edit_distance: bool = True
    scores: Callable[[GraphBatch, GraphBatch], dict[str, float]] | None = None
