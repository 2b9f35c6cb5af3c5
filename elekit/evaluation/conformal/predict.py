"""Calibrating, predicting sets, and measuring how often they hold the truth."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from elekit.datasets import Split
from elekit.decoding import Candidates, DecodeConfig
from elekit.decoding.candidates import check_target
from elekit.evaluation.conformal.calibration import LEVEL, Calibration, calibrated, check_level, highest, radius_of
from elekit.evaluation.conformal.candidate_sets import universes
from elekit.evaluation.conformal.sets import MOST, PredictionSet
from elekit.evaluation.intervals import wilson
from elekit.evaluation.slices import FEWEST, slices
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of, squared_distance

if TYPE_CHECKING:
    import pandas as pd


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

    target: h(x), (n, D). truth: the graphs of the same inputs. in_gallery: sets will be drawn from galleries that
    hold the truth, so that none is unreachable. start: `h.graphs(x)`, where the method rounds them.
    Raises ValueError where the level cannot be promised (too few pairs, or too many truths that no search finds),
    with the highest that can; for another number of targets than of truths; and as `universe` does.
    """
    check_level(level)
    search = {"candidates": candidates, "start": start, "config": config, "progress": progress}
    return calibrated(scores_of(psi, target, truth, in_gallery=in_gallery, **search), level)


def scores_of(psi: Psi, target: Tensor, truth: Graph, *, in_gallery: bool = False, **search) -> Tensor:
    """(n,) learned loss of each truth to its target; inf where no search finds it, see `calibrate`."""
    if len(target) != len(truth) or not len(truth):
        raise ValueError(f"want one target for each true graph, at least one; got {len(target)} and {len(truth)}")
    if in_gallery:
        check_target(target)
        return squared_distance(points_of(psi, truth), target.detach())
    return torch.cat([found.scores(truth[rows]) for rows, found in universes(psi, target, **search)])


def prediction_sets(
    psi: Psi,
    target: Tensor,
    calibration: Calibration,
    *,
    candidates: Graph | Candidates | None = None,
    gallery: Graph | Candidates | None = None,
    start: Graph | None = None,
    config: DecodeConfig = DecodeConfig(),
    most: int = MOST,
    progress: bool = False,
) -> list[PredictionSet]:
    """The set of each target (B, D), from the same candidates and by the same search as were calibrated.

    gallery: what to choose from, where `in_gallery` was calibrated. most: a set that is larger abstains.
    Raises ValueError for `most` below 1, and as `universe` does.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    search = {"candidates": candidates, "gallery": gallery, "start": start, "config": config, "progress": progress}
    return [one for _, found in universes(psi, target, **search) for one in found.sets(calibration, most)]


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
    most: int = MOST,
    progress: bool = False,
) -> "pd.DataFrame":
    """How often truths lie in their sets, and how large these are: of all pairs, then by slice, the worst first.

    truth: of each target, on pairs that were not calibrated on; in the gallery, where there is one. A set that
    abstains counts like any other: the promise is about all of them.
    Columns: slice, by ("all", "size", "rings", "holds", "edges"), pairs, coverage, low and high (95 % interval,
    Wilson), mean_size, median_size, empty and large (shares of sets that abstain, as nothing or as too much is near
    enough), few (too few pairs to say anything; these come last).
    Raises ValueError as `calibrate` and `prediction_sets` do.
    """
    import pandas as pd

    from elekit.graphs.smiles import is_molecular

    if len(target) != len(truth) or not len(truth):
        raise ValueError(f"want one target for each true graph, at least one; got {len(target)} and {len(truth)}")
    search = {"candidates": candidates, "gallery": gallery, "start": start, "config": config, "progress": progress}
    scores, sizes = [], []
    for block, found in universes(psi, target, **search):
        if gallery is None:
            scores.append(found.scores(truth[block]))
        else:
            scores.append(squared_distance(points_of(psi, truth[block]), target[block].detach()))
        sizes.append(found.inside(calibration.radius).sum(1))
    table = pd.DataFrame({"hit": (torch.cat(scores) <= calibration.radius).numpy(), "size": torch.cat(sizes).numpy()})
    groups = {("all", "all"): np.ones(len(table), dtype=bool)}
    groups |= slices(truth, molecular=is_molecular(truth.vocabulary))
    rows = [{"slice": name, "by": by, **_counted(table[members], most)} for (by, name), members in groups.items()]
    whole, *rest = rows
    return pd.DataFrame([whole, *sorted(rest, key=lambda row: (row["few"], row["coverage"]))])


def _counted(table: "pd.DataFrame", most: int) -> dict:
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
        "large": float((size > most).mean()),
        "few": pairs < FEWEST,
    }


def measured(
    psi: Psi,
    h,
    calibration: Split,
    test: Split,
    *,
    candidates: Graph | Candidates | None = None,
    gallery: Graph | Candidates | None = None,
    config: DecodeConfig = DecodeConfig(),
    level: float = LEVEL,
    most: int = MOST,
    progress: bool = False,
) -> dict:
    """Calibrate on one split, measure on another: plain values.

    h: has `predict(inputs)`, and `graphs(inputs)` where the method rounds these. gallery: what sets of the test split
    are drawn from, which holds its truths; None: a search from the candidates.
    Holds level, pairs, unreachable, possible (the highest level that can be promised); and, where the level can be,
    radius, tests, coverage, coverage_low, coverage_high, set_size, set_size_median, empty, large (see `coverage`),
    and expected_low, expected_high (see `Calibration.expected`).
    """
    check_level(level)
    search = {"candidates": candidates, "config": config, "progress": progress}

    def asked(split: Split) -> tuple[Tensor, dict]:
        start = h.graphs(split.inputs) if config.needs_start else None
        return h.predict(split.inputs), {**search, "start": start}

    target, known = asked(calibration)
    scores = scores_of(psi, target, calibration.graphs, in_gallery=gallery is not None, **known)
    found = {"level": level, "pairs": len(scores), "unreachable": int(scores.isinf().sum())}
    found["possible"] = highest(scores)
    if math.isinf(radius_of(scores, level)):
        return found
    held, (target, known) = calibrated(scores, level), asked(test)
    whole = coverage(psi, target, test.graphs, held, gallery=gallery, most=most, **known).iloc[0]
    names = {
        "tests": "pairs", "coverage": "coverage", "coverage_low": "low", "coverage_high": "high",
        "set_size": "mean_size", "set_size_median": "median_size", "empty": "empty", "large": "large",
    }  # fmt: skip
    found |= {"radius": held.radius} | {name: whole[column].item() for name, column in names.items()}
    return found | dict(zip(("expected_low", "expected_high"), held.expected(int(found["tests"]))))
