"""What reads inputs: the same for every method that learns to read, so that only the rest differs."""

from dataclasses import dataclass, field

from benchmarks.task_data import Problem
from elekit.model.surrogate import BackboneConfig
from elekit.training.surrogate import default_training


@dataclass(frozen=True)
class Reading:
    """What inputs of a kind are read by, tuned on validation.

    backbone: its shape. through: how ELE regresses, by "graph" or "point". differs: what its training of h then has,
    see `training_of`; what others' training has lies beside them.
    """

    backbone: BackboneConfig
    through: str = "point"
    differs: dict = field(default_factory=dict)


_usual = default_training(BackboneConfig("smiles", through="graph"))
READINGS = {
    "smiles": Reading(
        BackboneConfig("smiles", width=128, dropout=0.2),
        "graph",
        {"rewritten": _usual.rewritten, "learning_rate": _usual.loop.learning_rate},
    ),
    "text": Reading(BackboneConfig("word", width=128)),
    "image": Reading(
        BackboneConfig("image", width=96, layers=3, embedding=32, symmetric=True),
        differs={"contrast": 1.0, "hard_negatives": 8},
    ),
}


TASK_READINGS = {
    task: Reading(BackboneConfig("tfidf", width=256, dropout=0.3)) for task in ("text2mol", "text2mol-public")
}
"""By task, where inputs differ from others of their kind. These texts are long: on validation 500 steps reach a cosine
of 0.64 to the Tanimoto points, by words 0.59 in four times the time."""


def reading(problem: Problem) -> Reading:
    return TASK_READINGS.get(problem.task) or READINGS[problem.kind]


def encoder(problem: Problem) -> BackboneConfig:
    """The backbone of a problem, to be made for its training inputs by `elekit.model.surrogate.registry.make_backbone`."""
    return reading(problem).backbone
