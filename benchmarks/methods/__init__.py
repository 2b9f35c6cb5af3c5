"""All benchmark methods by name."""

from benchmarks.methods.barycenter import BARYCENTERS
from benchmarks.methods.base import Fitted, Method, Predictor
from benchmarks.methods.biaffine import BiaffineParser
from benchmarks.methods.count_ridge import COUNT_RIDGES
from benchmarks.methods.ele import ABLATION_PREFIX, ABLATIONS, DEFAULT_DECODERS, ELE_VARIANTS
from benchmarks.methods.ile import ILES
from benchmarks.methods.nearest_neighbor import NearestNeighbor
from benchmarks.methods.one_shot import OneShot
from benchmarks.methods.part_weights import PART_WEIGHTS
from benchmarks.methods.sequence import SEQUENCE_DECODERS
from benchmarks.methods.span_pairs import SpanPairs

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        *ELE_VARIANTS, *PART_WEIGHTS, *ABLATIONS, *SEQUENCE_DECODERS, OneShot(), NearestNeighbor(), *ILES,
        *BARYCENTERS, *COUNT_RIDGES, BiaffineParser(), SpanPairs(),
    )
}  # fmt: skip
ELE_FAMILY = tuple(method.name for method in ELE_VARIANTS)  # ELE itself first
OURS = (*ELE_FAMILY, *(method.name for method in PART_WEIGHTS))  # not competitors of each other

__all__ = ["ABLATION_PREFIX", "DEFAULT_DECODERS", "ELE_FAMILY", "METHODS", "OURS", "Fitted", "Method", "Predictor"]
