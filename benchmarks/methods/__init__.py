"""Every method, by its name."""

from benchmarks.methods.barycenter import BARYCENTERS
from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.count_ridge import RIDGES_ON_COUNTS
from benchmarks.methods.ele import ABLATION, ABLATIONS, BY_POINT, ELE, USUAL
from benchmarks.methods.ile import ILES
from benchmarks.methods.nearest_neighbor import NearestNeighbor
from benchmarks.methods.one_shot import OneShot
from benchmarks.methods.sequence import SEQUENCES

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        ELE(),
        BY_POINT,
        *ABLATIONS,
        *SEQUENCES,
        OneShot(),
        NearestNeighbor(),
        *ILES,
        *BARYCENTERS,
        *RIDGES_ON_COUNTS,
    )
}

__all__ = ["ABLATION", "METHODS", "USUAL", "Fitted", "Method", "Predictor"]
