"""Split conformal prediction sets of graphs.

    calibration = calibrate(psi, h.predict(inputs), truth, candidates=known, level=0.9)
    for prediction in prediction_sets(psi, h.predict(new), calibration, candidates=known):
        print(prediction.describe())

The score of a graph y for an input x is its learned loss `2 - 2 <h(x), psi(y)>`. The radius is the ceil((n + 1) *
level)-th smallest score of n true graphs from which neither psi nor h learned. The set of a new input contains all
graphs within the radius. If the new pair is exchangeable with these, the set contains its true graph with probability
at least `level`, and at most `level + 1 / (n + 1)` without ties, however good h is (Vovk, Gammerman, Shafer 2005;
Angelopoulos and Bates 2021, arXiv:2107.07511).

A set is drawn from candidates that depend on the input alone: the graphs that local search reaches, or a gallery that
contains the true graph. A true graph that the search does not reach has an infinite score, so the guarantee still
holds. The decoded graph, the nearest candidate, is not forced into the set, which would raise the coverage.
"""

from elekit.evaluation.conformal.calibration import LEVEL, Calibration, radius_of
from elekit.evaluation.conformal.candidate_sets import candidate_sets
from elekit.evaluation.conformal.predict import calibrate, coverage, prediction_sets
from elekit.evaluation.conformal.sets import MAX_SIZE

__all__ = [
    "LEVEL", "MAX_SIZE", "Calibration", "calibrate", "candidate_sets", "coverage", "prediction_sets", "radius_of",
]  # fmt: skip
