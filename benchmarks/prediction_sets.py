"""Prediction sets of a method: calibrated on one split, measured on another."""

import math
from typing import Any

from torch import Tensor

from elekit.datasets import Split
from elekit.decoding import Candidates, DecodeConfig
from elekit.evaluation.conformal import LEVEL, coverage
from elekit.evaluation.conformal.calibration import calibrated, check_level, max_level, radius_of
from elekit.evaluation.conformal.predict import scores_of
from elekit.graphs.graph import GraphBatch
from elekit.model.loss import Psi


def calibrate_and_test(
    psi: Psi,
    h: Any,
    calibration: Split,
    test: Split,
    *,
    candidates: GraphBatch | Candidates | None = None,
    gallery: GraphBatch | Candidates | None = None,
    config: DecodeConfig = DecodeConfig(),
    level: float = LEVEL,
) -> dict[str, Any]:
    """Calibrate on one split and measure coverage on another.

    Args:
        psi: The embedding.
        h: Surrogate with `predict(inputs)`, and `graphs(inputs)` if the method of `config` rounds given graphs.
        calibration: Pairs that neither psi nor h learned from.
        test: Other such pairs.
        candidates: Graphs that the search starts from.
        gallery: Graphs that the sets of the test split are drawn from; contains its true graphs.
        config: How to decode.
        level: In (0, 1).

    Returns:
        Plain values: level, pairs, unreachable, possible (the highest level that can be guaranteed); and, if `level`
        can be, radius, tests, coverage, coverage_low, coverage_high, set_size, set_size_median, empty, large (see
        `coverage`), expected_low, expected_high (see `Calibration.expected`).
    """
    check_level(level)

    def inputs_of(split: Split) -> tuple[Tensor, dict[str, Any]]:
        start = h.graphs(split.inputs) if config.needs_start else None
        return h.predict(split.inputs), {"candidates": candidates, "config": config, "start": start}

    target, search = inputs_of(calibration)
    scores = scores_of(psi, target, calibration.graphs, in_gallery=gallery is not None, **search)
    result = {"level": level, "pairs": len(scores), "unreachable": int(scores.isinf().sum())}
    result["possible"] = max_level(scores)
    if math.isinf(radius_of(scores, level)):
        return result
    found, (target, search) = calibrated(scores, level), inputs_of(test)
    whole = coverage(psi, target, test.graphs, found, gallery=gallery, **search).iloc[0]
    names = {
        "tests": "pairs", "coverage": "coverage", "coverage_low": "low", "coverage_high": "high",
        "set_size": "mean_size", "set_size_median": "median_size", "empty": "empty", "large": "large",
    }  # fmt: skip
    result |= {"radius": found.radius} | {name: whole[column].item() for name, column in names.items()}
    return result | dict(zip(("expected_low", "expected_high"), found.expected(int(result["tests"]))))
