"""Checks of notebook 08: the most exact way within a time, and the level at which sets stay small."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from checks.answers import whole
from checks.verdict import Verdict, number, quoted
from elekit.evaluation.conformal import CandidateSets, radius_of
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

STEP = 0.05  # of a level, that is left free


def check_within(answer, rows: "pd.DataFrame", budget: float) -> Verdict:
    """Whether an answer, a label of the index of `rows`, is the most exact way to predict within a time.

    rows: columns title, decoder, ms and exact, as `benchmarks.aggregate.means` has them. budget: ms a prediction.
    """
    row = whole(answer)
    if row is None or row not in rows.index:
        return Verdict(False, f"give the number in front of a row; {quoted(answer)} is none.")
    one = rows.loc[row]
    told = f"{one['title']}{', ' + one['decoder'] if one['decoder'] else ''} takes {one['ms']:.1f} ms"
    if not one["ms"] <= budget:
        return Verdict(False, f"{told}, more than {budget:g}.")
    told += f" and has {one['exact']:.1%} exact"
    better = rows[(rows["ms"] <= budget) & (rows["exact"] > one["exact"])]
    if len(better):
        return Verdict(False, f"{told}; ways within {budget:g} ms that have more: {len(better)}.")
    slower = rows[rows["exact"] > one["exact"]]["ms"]
    more = f" For more you have to wait {slower.min():.1f} ms." if len(slower) else " No way has more, at any price."
    return Verdict(True, f"{told}, the most within {budget:g} ms.{more}")


def check_level(answer, scores: Tensor, found: CandidateSets, truth: Graph, limit: float) -> Verdict:
    """Whether a level is the highest, to 0.05, at which sets hold at most `limit` graphs on average.

    scores: (n,) of the calibration pairs, as `Universe.scores` gives them. found: the universe of other inputs.
    truth: their graphs.
    """
    level = number(answer)
    if level is None or not 0 < level < 1:
        return Verdict(False, f"a level is a share between 0 and 1, such as 0.9; {quoted(answer)} is none.")
    size = mean_size(level, scores, found)
    if size is None:
        return Verdict(False, f"{level:.0%} cannot be promised: too few of the truths were found by the search.")
    held = (found.scores(truth) <= radius_of(scores, level)).double().mean().item()
    told = f"at {level:.0%} a set holds {size:.2f} graphs on average"
    if size > limit:
        return Verdict(False, f"{told}, more than {limit:g}: promise less.")
    higher = mean_size(min(level + STEP, 0.999), scores, found)
    if higher is not None and higher <= limit:
        return Verdict(
            False, f"{told}, and you could promise more: at {level + STEP:.0%} it would hold {higher:.2f}."
        )
    return Verdict(True, f"{told}, and {held:.0%} of these {len(truth)} truths are in theirs.")


def mean_size(level: float, scores: Tensor, found: CandidateSets) -> float | None:
    """How many graphs a set holds on average; None where the level cannot be promised."""
    radius = radius_of(scores, level)
    if radius == torch.inf:
        return None
    return found.inside(radius).sum(1).double().mean().item()
