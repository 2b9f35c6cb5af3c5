"""Checks of the exercises in the notebooks: an answer in, a `Verdict` out (floor 4). No wrong answer raises.

    ele.lessons.check_ring("C1CCCCC1")      ->  Not yet: too few nodes: 6. ...

A check says what is off and where to look, not what the answer is; the solutions are folded in the notebooks.
"""

from elekit.lessons.against_the_field import check_level, check_within
from elekit.lessons.decoding import check_arrival, check_gap, check_settings
from elekit.lessons.graphs_as_tensors import check_flip, check_ring, ring_wanted
from elekit.lessons.learning_the_loss import check_retrieval, check_snapshots, snapshot_numbers, snapshots
from elekit.lessons.own_graphs import check_broken_rule, check_nearest
from elekit.lessons.regression import check_k, check_order
from elekit.lessons.rewards import check_cheap, check_dearest
from elekit.lessons.stakeholders import check_caveat, check_suspect, suspect
from elekit.lessons.verdict import Verdict

__all__ = [
    "Verdict", "check_arrival", "check_broken_rule", "check_caveat", "check_cheap", "check_dearest", "check_flip",
    "check_gap", "check_k", "check_level", "check_nearest", "check_order", "check_retrieval", "check_ring",
    "check_settings", "check_snapshots", "check_suspect", "check_within", "ring_wanted", "snapshot_numbers",
    "snapshots", "suspect",
]  # fmt: skip
