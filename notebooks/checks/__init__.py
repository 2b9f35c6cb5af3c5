"""Checks of the exercises in the notebooks, and drawings that only the lessons need.

    checks.check_ring("C1CCCCC1")      ->  Not yet: too few nodes: 6. ...

A check takes an answer and returns a `Verdict`; no wrong answer raises. It names what is wrong and where to look, but
not the solution: solutions are folded in the notebooks.
"""

from checks.against_the_field import check_level, check_within
from checks.decoding import check_arrival, check_gap, check_settings
from checks.graphs_as_tensors import check_flip, check_ring, ring_wanted
from checks.learning_the_loss import check_retrieval, check_snapshots, snapshot_numbers, snapshots
from checks.own_graphs import check_broken_rule, check_nearest
from checks.regression import check_k, check_order
from checks.rewards import check_cheap, check_dearest
from checks.spheres import spheres
from checks.stakeholders import check_caveat, check_suspect, suspect
from checks.tensors import tensors
from checks.verdict import Verdict

__all__ = [
    "Verdict", "check_arrival", "check_broken_rule", "check_caveat", "check_cheap", "check_dearest", "check_flip",
    "check_gap", "check_k", "check_level", "check_nearest", "check_order", "check_retrieval", "check_ring",
    "check_settings", "check_snapshots", "check_suspect", "check_within", "ring_wanted", "snapshot_numbers",
    "snapshots", "spheres", "suspect", "tensors",
]  # fmt: skip
