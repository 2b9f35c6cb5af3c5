"""What a method is given, and what it is examined on."""

from dataclasses import dataclass, field

import torch

from elekit.datasets import Split
from elekit.graphs.graph import Graph

# Names of tasks by what methods ask of them, see `tasks.TASKS`.
DECODED = ("smi2mol", "smi2mol-random", "noise", "coloring", "text2mol-small")  # graphs are predicted: small ones
SEARCHED = ("text2mol", "text2mol-small", "text2mol-public")  # texts; graphs are looked for among others
MOLECULES = ("smi2mol", "smi2mol-random", "noise", *SEARCHED)


@dataclass(frozen=True)
class Budget:
    """What every method that is trained by steps may spend: so many steps, of so many pairs."""

    steps: int
    batch_size: int = 128


@dataclass(frozen=True, eq=False)
class Problem:
    """What a method may learn from.

    task: its name. kind: what inputs are: "smiles", "text" or "image".
    train: labelled pairs. validation: further pairs, to tune on, at most as many as there are to train.
    outputs: graphs that are known without inputs: a loss may be learned from them, and they are candidates.
    artefact: name of a shipped artefact whose psi was learned from these very outputs, or None.
    """

    task: str
    kind: str
    train: Split
    validation: Split
    outputs: Graph
    budget: Budget
    artifact: str | None = None


@dataclass(frozen=True, eq=False)
class Exam:
    """What predictions are judged on; no method sees it before it has learned.

    test: pairs. calibration: pairs that were neither learned from nor tuned on, for prediction sets.
    gallery: graphs among which each truth is to be found, row `where[i]` for pair i; None: no retrieval.
    decoded: whether graphs are to be predicted, or only found in the gallery.
    """

    test: Split
    calibration: Split
    gallery: Graph | None = None
    where: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    decoded: bool = True
