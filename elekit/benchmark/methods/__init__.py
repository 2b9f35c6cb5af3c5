"""Every method, by its name."""

from elekit.benchmark.methods.base import Fitted, Method, Predictor
from elekit.benchmark.methods.barycentre import BARYCENTRES
from elekit.benchmark.methods.ele import ABLATION, ABLATIONS, BY_POINT, ELE, USUAL
from elekit.benchmark.methods.ile import ILES
from elekit.benchmark.methods.neighbour import NearestNeighbour
from elekit.benchmark.methods.oneshot import OneShot
from elekit.benchmark.methods.ridge import RIDGES_ON_COUNTS
from elekit.benchmark.methods.sequence import SEQUENCES

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        ELE(), BY_POINT, *ABLATIONS, *SEQUENCES, OneShot(), NearestNeighbour(), *ILES, *BARYCENTRES, *RIDGES_ON_COUNTS,
    )
}

__all__ = ["ABLATION", "METHODS", "USUAL", "Fitted", "Method", "Predictor"]
