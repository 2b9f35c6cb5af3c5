"""Calibrate, predict sets, and measure how often they contain the true graph."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.decoding.candidates import check_target
from elekit.evaluation.conformal.calibration import LEVEL, Calibration, calibrated, check_level
from elekit.evaluation.conformal.candidate_sets import SearchOptions, iter_candidate_sets
from elekit.evaluation.conformal.sets import MAX_SIZE, PredictionSet
from elekit.evaluation.intervals import wilson
from elekit.evaluation.judging import check_pairs
from elekit.evaluation.slices import MIN_GRAPHS, slices
from elekit.graphs._schema import require_positive
from elekit.graphs.graph import GraphBatch
from elekit.graphs.smiles import is_molecular
from elekit.model.loss import Psi, points_of, squared_distance
from elekit.model.surrogate.reader import Reading


def calibrate(
    psi: Psi, target: Tensor, truth: GraphBatch, *, level: float = LEVEL, in_gallery: bool = False,
    **search: Unpack[SearchOptions],
) -> Calibration:  # fmt: skip
    """Find the radius from pairs that neither psi nor h learned from.

    Args:
        psi: The embedding.
        target: (n, D) h(x).
        truth: The n true graphs of the same inputs.
        level: Probability that a set contains the true graph, in (0, 1).
        in_gallery: Whether sets will be drawn from galleries that contain the true graphs; nothing is searched.
        **search: candidates, start and config, see `candidate_sets`; progress.

    Returns:
        Level and radius.

    Raises:
        ValueError: If there are too few pairs for the level, or the search misses too many true graphs.
    """
    check_level(level)
    return calibrated(scores_of(psi, target, truth, in_gallery=in_gallery, **search), level)


def scores_of(
    psi: Psi, target: Tensor, truth: GraphBatch, *, in_gallery: bool = False, **search: Unpack[SearchOptions]
) -> Tensor:
    """(n,) learned loss of each true graph; inf where the search does not reach it. See `calibrate`."""
    check_pairs(target, truth)
    if in_gallery:
        check_target(target)
        return squared_distance(points_of(psi, truth), target.detach())
    return torch.cat([found.scores(truth[rows]) for rows, found in iter_candidate_sets(psi, target, **search)])


def prediction_sets(
    psi: Psi, target: Tensor, calibration: Calibration, *, max_size: int = MAX_SIZE,
    readings: Sequence[Reading] | None = None, **search: Unpack[SearchOptions],
) -> list[PredictionSet]:  # fmt: skip
    """Predict a set of graphs for each target; use the candidates and the search of the calibration.

    Args:
        psi: The embedding.
        target: (B, D) h(x).
        calibration: Level and radius, see `calibrate`.
        max_size: Larger sets abstain.
        readings: `h.read(inputs)`: sets of inputs unlike those of the calibration abstain, since the guarantee does
            not hold for them.
        **search: As for `calibrate`; or a gallery, only if calibrated with `in_gallery`.

    Returns:
        B prediction sets.

    Raises:
        ValueError: If `max_size` is below 1, there is not one reading per target, or as in `candidate_sets`.
    """
    if readings is not None and len(readings) != len(target):
        raise ValueError(f"need one reading per target, got {len(readings)} for {len(target)}")
    require_positive(max_size=max_size)
    blocks = iter_candidate_sets(psi, target, **search)
    sets = [one for _, block in blocks for one in block.prediction_sets(calibration, max_size)]
    if readings is not None:
        sets = [replace(one, doubt=reading.doubt(one.loss)) for one, reading in zip(sets, readings)]
    return sets


def coverage(
    psi: Psi, target: Tensor, truth: GraphBatch, calibration: Calibration, *, max_size: int = MAX_SIZE,
    **search: Unpack[SearchOptions],
) -> pd.DataFrame:  # fmt: skip
    """Measure how often sets contain the true graph, and how large they are, over all pairs and by slice.

    Sets that abstain count like any other, as the guarantee is about all sets.

    Args:
        psi: The embedding.
        target: (n, D) h(x) of pairs that were not used for calibration.
        truth: The n true graphs; in the gallery, if there is one.
        calibration: Level and radius.
        max_size: Larger sets abstain.
        **search: As for `prediction_sets`.

    Returns:
        First a row for all pairs, then slices from lowest coverage: slice, by ("all", "size", "rings", "holds",
        "edges"), pairs, coverage, low and high (Wilson 95 % interval), mean_size, median_size, empty and large
        (shares of sets that are empty or larger than `max_size`), few (fewer than 20 pairs; listed last).

    Raises:
        ValueError: If there is not one target per true graph, or as in `candidate_sets`.
    """
    check_pairs(target, truth)
    scores, sizes = [], []
    for rows, found in iter_candidate_sets(psi, target, **search):
        if search.get("gallery") is None:
            scores.append(found.scores(truth[rows]))
        else:
            scores.append(squared_distance(points_of(psi, truth[rows]), target[rows].detach()))
        sizes.append(found.inside(calibration.radius).sum(1))
    table = pd.DataFrame({"hit": (torch.cat(scores) <= calibration.radius).numpy(), "size": torch.cat(sizes).numpy()})
    groups = {("all", "all"): np.ones(len(table), dtype=bool)}
    groups |= slices(truth, molecular=is_molecular(truth.vocabulary))
    found_rows = [{"slice": name, "by": by, **_summary(table[part], max_size)} for (by, name), part in groups.items()]
    return pd.DataFrame([found_rows[0], *sorted(found_rows[1:], key=lambda row: (row["few"], row["coverage"]))])


def _summary(table: pd.DataFrame, max_size: int) -> dict[str, Any]:
    hits, pairs, size = int(table["hit"].sum()), len(table), table["size"]
    shares = dict(zip(("coverage", "low", "high"), (hits / pairs, *wilson(hits, pairs))))
    sizes = {"mean_size": float(size.mean()), "median_size": float(size.median())}
    ends = {"empty": float((size == 0).mean()), "large": float((size > max_size).mean())}
    return {"pairs": pairs, **shares, **sizes, **ends, "few": pairs < MIN_GRAPHS}
