"""Statements about a learned loss, each with its evidence.

blind_spots        which different graphs does the loss hardly separate?
separated_equals   which equal graphs does it separate?
stability          which statements hold in all of several trainings? (`inspect.claims` makes such statements)
across_trainings   how far do figures move from one training to the next?
neighbors_kept    do two trainings agree on which graphs are near?
agreement          does the loss order pairs as known distances do, and where do they disagree most?
concepts           which properties of a graph does psi encode, and is that more than size and counts tell?
findings.findings  what is wrong with this loss, in plain words with figures?
"""

from elekit.audit import claims, findings
from elekit.audit.agreement import Agreement, agreement
from elekit.audit.blind_spots import Pairs, blind_spots, separated_equals
from elekit.audit.concepts import Concepts, concepts
from elekit.audit.stability import across_trainings, neighbors_kept, stability

__all__ = [
    "Agreement",
    "Concepts",
    "Pairs",
    "across_trainings",
    "agreement",
    "blind_spots",
    "claims",
    "concepts",
    "findings",
    "neighbors_kept",
    "separated_equals",
    "stability",
]
