"""Checks of the exercises in the notebooks, and drawings that only the notebooks use.

    checks.check_ring("C1CCCCC1")                     ->  Not yet: Your graph has 6 nodes, too few. ...
    checks.check_guess(0.3, 0.74, within=0.1)         ->  A surprise: you guessed 0.3, and it is 0.74. Why?
    python notebooks/checks grade anna.ipynb          which exercises a student solved

A check takes an answer and returns a `Verdict`; it never raises. Its message names the mistake and where to look, but
not the solution, which is folded in the notebook.
"""

from checks.against_the_field import check_level, check_within
from checks.decoding import check_first_rounding, check_gap, check_settings
from checks.graphs_as_tensors import check_flip, check_ring, draw_target
from checks.guesses import check_guess
from checks.learning_the_loss import check_retrieval, check_snapshots, snapshot_numbers, snapshots
from checks.network import network
from checks.operation import check_bound, serving
from checks.own_graphs import check_broken_rule, check_nearest
from checks.regression import check_k, check_order
from checks.rewards import check_cheap, check_most_expensive
from checks.spheres import spheres
from checks.stakeholders import check_caveat, check_suspects, suspect
from checks.tensors import tensors
from checks.verdict import Verdict

__all__ = [
    "Verdict", "check_bound", "check_broken_rule", "check_caveat", "check_cheap", "check_first_rounding",
    "check_flip",
    "check_gap", "check_guess", "check_k", "check_level", "check_most_expensive", "check_nearest", "check_order",
    "check_retrieval", "check_ring", "check_settings", "check_snapshots", "check_suspects", "check_within",
    "draw_target", "network", "serving", "snapshot_numbers", "snapshots", "spheres", "suspect", "tensors",
]  # fmt: skip
