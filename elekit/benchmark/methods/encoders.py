"""What reads inputs: the same for every method that learns to read, so that only the rest differs."""

from dataclasses import dataclass

from elekit.benchmark.problem import Problem
from elekit.surrogate import BackboneConfig


@dataclass(frozen=True)
class Reading:
    """backbone: its shape. rewritten: share of SMILES inputs that are written anew, each time they are drawn."""

    backbone: BackboneConfig
    rewritten: float = 0.0


READINGS = {
    "smiles": Reading(BackboneConfig("smiles", width=128, dropout=0.2)),
    "text": Reading(BackboneConfig("word", width=128)),
    "image": Reading(BackboneConfig("image", width=96, layers=3, embedding=32)),
}


def reading(problem: Problem) -> Reading:
    return READINGS[problem.kind]


def encoder(problem: Problem) -> BackboneConfig:
    """The backbone of a problem, to be made for its training inputs by `elekit.surrogate.make_backbone`."""
    return reading(problem).backbone
