"""Prediction sets of graphs: all answers that are near enough, and how often the truth is among them (floor 3).

    calibration = calibrate(psi, h(inputs), truth, candidates=known, level=0.9)
    for one in prediction_sets(psi, h(new), calibration, candidates=known):
        print(one.says())

Split conformal prediction (Vovk, Gammerman, Shafer 2005; Angelopoulos and Bates 2021, arXiv:2107.07511). How odd a
graph y is for an input x is its learned loss, `2 - 2 <h(x), psi(y)>`. Of n pairs that nothing was learned from, the
radius is the ceil((n + 1) * level)-th smallest loss of the truth; the set of a new input holds all graphs within the
radius. If the new pair is drawn like those n, its truth lies in the set with probability at least `level`, and at
most `level + 1 / (n + 1)` where no two losses are equal, however good or bad h is.

Not all graphs can be listed, so a set is drawn from a universe, which depends on the input alone: the nearest
candidates, what decoding found and the graphs that edits of those reached, the nearest first; or a gallery that is
known to hold the truth. A truth that is not in the universe of its input counts as infinitely far, so the promise
holds all the same; where there are too many of these no radius keeps it, and `calibrate` says so.

The decoded graph is the nearest of the universe (unless it exceeds a capacity, or is in several parts where no
candidate is). It is not forced into the set: that would raise the coverage above the level wherever decoding is right
more often than the level asks for. Where it lies outside, the set is empty: nothing is near enough, and that is said.
"""

from elekit.evaluation.conformal.calibration import LEVEL, Calibration, highest, radius_of
from elekit.evaluation.conformal.candidate_sets import Universe, universe
from elekit.evaluation.conformal.predict import calibrate, coverage, measured, prediction_sets
from elekit.evaluation.conformal.sets import MOST, PredictionSet

__all__ = [
    "LEVEL", "MOST", "Calibration", "PredictionSet", "Universe", "calibrate", "coverage", "highest", "measured",
    "prediction_sets", "radius_of", "universe",
]  # fmt: skip
