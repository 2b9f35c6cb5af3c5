"""Statements about a learned loss, each with its evidence."""

from elekit.audit import claims, findings
from elekit.audit.agreement import agreement
from elekit.audit.blind_spots import blind_spots, invariance_gaps
from elekit.audit.concepts import concepts
from elekit.audit.stability import across_trainings, neighbor_overlap, ruled_out, stability

__all__ = [
    "across_trainings", "agreement", "blind_spots", "claims", "concepts", "findings", "invariance_gaps",
    "neighbor_overlap", "ruled_out", "stability",
]  # fmt: skip
