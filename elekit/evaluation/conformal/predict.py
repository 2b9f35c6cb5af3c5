"""Calibrate, predict sets, and measure how often they contain the true graph."""

import math
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.datasets import Split
from elekit.decoding import Candidates, DecodeConfig
from elekit.decoding.candidates import check_target
from elekit.evaluation.conformal.calibration import LEVEL, Calibration, calibrated, check_level, max_level, radius_of
from elekit.evaluation.conformal.candidate_sets import iter_candidate_sets
from elekit.evaluation.conformal.sets import MAX_SIZE, PredictionSet
from elekit.evaluation.intervals import wilson
from elekit.evaluation.slices import MIN_GRAPHS, slices
from elekit.graphs.graph import Graph
from elekit.graphs.smiles import is_molecular
from elekit.model.loss import Psi, points_of, squared_distance


def calibrate(
    psi: Psi,
    target: Tensor,
    truth: Graph,
    *,
    level: float = LEVEL,
    candidates: Graph | Candidates | None = None,
    in_gallery: bool = False,
    start: Graph | None = None,
    config: DecodeConfig = DecodeConfig(),
    progress: bool = False,
) -> Calibration:
    """Find the radius from pairs that neither psi nor h learned from.

    Args:
        psi: The embedding.
        target: (n, D) h(x).
        truth: The n true graphs of the same inputs.
        level: Probability that a set contains the true graph, in (0, 1).
        candidates: Graphs that the search starts from.
        in_gallery: Whether sets will be drawn from galleries that contain the true graphs; nothing is searched.
        start: `h.graphs(x)`, if the method of `config` rounds given graphs.
        config: How to decode, see `candidate_sets`.
        progress: Whether to show a progress bar.

    Returns:
        Level and radius.

    Raises:
        ValueError: If the level cannot be guaranteed, because there are too few pairs or the search misses too many
            true graphs; if there is not one target per true graph; or as in `candidate_sets`.
    """
    check_level(level)
    search = {"candidates": candidates, "start": start, "config": config, "progress": progress}
    return calibrated(scores_of(psi, target, truth, in_gallery=in_gallery, **search), level)


def scores_of(psi: Psi, target: Tensor, truth: Graph, *, in_gallery: bool = False, **search: Any) -> Tensor:
    """(n,) learned loss of each true graph; inf where the search does not reach it. See `calibrate`."""
    _check_pairs(target, truth)
    if in_gallery:
        check_target(target)
        return squared_distance(points_of(psi, truth), target.detach())
    return torch.cat([found.scores(truth[rows]) for rows, found in iter_candidate_sets(psi, target, **search)])


def prediction_sets(
    psi: Psi,
    target: Tensor,
    calibration: Calibration,
    *,
    candidates: Graph | Candidates | None = None,
    gallery: Graph | Candidates | None = None,
    start: Graph | None = None,
    config: DecodeConfig = DecodeConfig(),
    max_size: int = MAX_SIZE,
    progress: bool = False,
) -> list[PredictionSet]:
    """Predict a set of graphs for each target; use the candidates and the search of the calibration.

    Args:
        psi: The embedding.
        target: (B, D) h(x).
        calibration: Level and radius, see `calibrate`.
        candidates, gallery, start, config: See `candidate_sets`; a gallery only if calibrated with `in_gallery`.
        max_size: Larger sets abstain.
        progress: Whether to show a progress bar.

    Returns:
        B prediction sets.

    Raises:
        ValueError: If `max_size` is below 1, or as in `candidate_sets`.
    """
    if max_size < 1:
        raise ValueError(f"max_size must be at least 1, got {max_size}")
    blocks = iter_candidate_sets(
        psi, target, candidates=candidates, gallery=gallery, start=start, config=config, progress=progress
    )
    return [one for _, block in blocks for one in block.prediction_sets(calibration, max_size)]


def coverage(
    psi: Psi,
    target: Tensor,
    truth: Graph,
    calibration: Calibration,
    *,
    candidates: Graph | Candidates | None = None,
    gallery: Graph | Candidates | None = None,
    start: Graph | None = None,
    config: DecodeConfig = DecodeConfig(),
    max_size: int = MAX_SIZE,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure how often sets contain the true graph, and how large they are, over all pairs and by slice.

    Sets that abstain count like any other, as the guarantee is about all sets.

    Args:
        psi: The embedding.
        target: (n, D) h(x) of pairs that were not used for calibration.
        truth: The n true graphs; in the gallery, if there is one.
        calibration: Level and radius.
        candidates, gallery, start, config: See `candidate_sets`; a gallery only if calibrated with `in_gallery`.
        max_size: Larger sets abstain.
        progress: Whether to show a progress bar.

    Returns:
        First a row for all pairs, then slices from lowest coverage: slice, by ("all", "size", "rings", "holds",
        "edges"), pairs, coverage, low and high (Wilson 95 % interval), mean_size, median_size, empty and large
        (shares of sets that are empty or larger than `max_size`), few (fewer than 20 pairs; listed last).

    Raises:
        ValueError: If there is not one target per true graph, or as in `candidate_sets`.
    """
    _check_pairs(target, truth)
    scores, sizes = [], []
    for rows, found in iter_candidate_sets(
        psi, target, candidates=candidates, gallery=gallery, start=start, config=config, progress=progress
    ):
        if gallery is None:
            scores.append(found.scores(truth[rows]))
        else:
            scores.append(squared_distance(points_of(psi, truth[rows]), target[rows].detach()))
        sizes.append(found.inside(calibration.radius).sum(1))
    table = pd.DataFrame({"hit": (torch.cat(scores) <= calibration.radius).numpy(), "size": torch.cat(sizes).numpy()})
    groups = {("all", "all"): np.ones(len(table), dtype=bool)}
    groups |= slices(truth, molecular=is_molecular(truth.vocabulary))
    found_rows = [{"slice": name, "by": by, **_summary(table[part], max_size)} for (by, name), part in groups.items()]
    return pd.DataFrame([found_rows[0], *sorted(found_rows[1:], key=lambda row: (row["few"], row["coverage"]))])


def _check_pairs(target: Tensor, truth: Graph) -> None:
    if len(target) != len(truth) or not len(truth):
        raise ValueError(f"need one target per true graph, at least one; got {len(target)} and {len(truth)}")


def _summary(table: pd.DataFrame, max_size: int) -> dict[str, Any]:
    hits, pairs, size = int(table["hit"].sum()), len(table), table["size"]
    low, high = wilson(hits, pairs)
    return {
        "pairs": pairs,
        "coverage": hits / pairs,
        "low": low,
        "high": high,
        "mean_size": float(size.mean()),
        "median_size": float(size.median()),
        "empty": float((size == 0).mean()),
        "large": float((size > max_size).mean()),
        "few": pairs < MIN_GRAPHS,
    }


def calibrate_and_test(
    psi: Psi,
    h: Any,
    calibration: Split,
    test: Split,
    *,
    candidates: Graph | Candidates | None = None,
    gallery: Graph | Candidates | None = None,
    config: DecodeConfig = DecodeConfig(),
    level: float = LEVEL,
    max_size: int = MAX_SIZE,
    progress: bool = False,
) -> dict[str, Any]:
    """Calibrate on one split and measure coverage on another.

    Args:
        psi: The embedding.
        h: Surrogate with `predict(inputs)`, and `graphs(inputs)` if the method of `config` rounds given graphs.
        calibration: Pairs that neither psi nor h learned from.
        test: Other such pairs.
        candidates: Graphs that the search starts from.
        gallery: Graphs that the sets of the test split are drawn from; contains its true graphs.
        config: How to decode, see `candidate_sets`.
        level: In (0, 1).
        max_size: Larger sets abstain.
        progress: Whether to show a progress bar.

    Returns:
        Plain values: level, pairs, unreachable, possible (the highest level that can be guaranteed); and, if `level`
        can be, radius, tests, coverage, coverage_low, coverage_high, set_size, set_size_median, empty, large (see
        `coverage`), expected_low, expected_high (see `Calibration.expected`).
    """
    check_level(level)

    def inputs_of(split: Split) -> tuple[Tensor, dict[str, Any]]:
        start = h.graphs(split.inputs) if config.needs_start else None
        search = {"candidates": candidates, "config": config, "progress": progress, "start": start}
        return h.predict(split.inputs), search

    target, search = inputs_of(calibration)
    scores = scores_of(psi, target, calibration.graphs, in_gallery=gallery is not None, **search)
    result = {"level": level, "pairs": len(scores), "unreachable": int(scores.isinf().sum())}
    result["possible"] = max_level(scores)
    if math.isinf(radius_of(scores, level)):
        return result
    found, (target, search) = calibrated(scores, level), inputs_of(test)
    whole = coverage(psi, target, test.graphs, found, gallery=gallery, max_size=max_size, **search).iloc[0]
    names = {
        "tests": "pairs", "coverage": "coverage", "coverage_low": "low", "coverage_high": "high",
        "set_size": "mean_size", "set_size_median": "median_size", "empty": "empty", "large": "large",
    }  # fmt: skip
    result |= {"radius": found.radius} | {name: whole[column].item() for name, column in names.items()}
    return result | dict(zip(("expected_low", "expected_high"), found.expected(int(result["tests"]))))
