"""Checks of notebook 08: the most exact decoder within a time budget, and the highest level with small sets."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from checks.answers import whole
from checks.verdict import Verdict, number, quoted
from elekit.evaluation.conformal import CandidateSets, radius_of
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

STEP = 0.05  # tolerance of the level


def check_within(answer, rows: "pd.DataFrame", budget: float) -> Verdict:
    """Check that an answer is the index label of the most exact row within a budget.

    Args:
        answer: The answer.
        rows: Columns title, decoder, ms and exact, see `benchmarks.aggregate.means`.
        budget: Milliseconds per prediction.
    """
    row = whole(answer)
    if row is None or row not in rows.index:
        return Verdict(False, f"give the number in front of a row; {quoted(answer)} is none.")
    one = rows.loc[row]
    text = f"{one['title']}{', ' + one['decoder'] if one['decoder'] else ''} takes {one['ms']:.1f} ms"
    if not one["ms"] <= budget:
        return Verdict(False, f"{text}, more than {budget:g}.")
    text += f" and has {one['exact']:.1%} exact"
    better = rows[(rows["ms"] <= budget) & (rows["exact"] > one["exact"])]
    if len(better):
        return Verdict(False, f"{text}; more exact decoders within {budget:g} ms: {len(better)}.")
    slower = rows[rows["exact"] > one["exact"]]["ms"]
    more = f" A more exact one takes {slower.min():.1f} ms." if len(slower) else " None is more exact, at any price."
    return Verdict(True, f"{text}, the most within {budget:g} ms.{more}")


def check_level(answer, scores: Tensor, found: CandidateSets, truth: Graph, limit: float) -> Verdict:
    """Check that a level is the highest, to 0.05, at which sets contain at most `limit` graphs on average.

    Args:
        answer: The answer.
        scores: (n,) scores of the calibration pairs, see `CandidateSets.scores`.
        found: Candidate sets of other inputs.
        truth: The true graphs of those inputs.
        limit: Largest mean set size.
    """
    level = number(answer)
    if level is None or not 0 < level < 1:
        return Verdict(False, f"a level is a share between 0 and 1, such as 0.9; {quoted(answer)} is none.")
    size = mean_size(level, scores, found)
    if size is None:
        return Verdict(False, f"{level:.0%} is not possible: the search found too few of the true graphs.")
    held = (found.scores(truth) <= radius_of(scores, level)).double().mean().item()
    text = f"at {level:.0%} a set holds {size:.2f} graphs on average"
    if size > limit:
        return Verdict(False, f"{text}, more than {limit:g}: choose a lower level.")
    higher = mean_size(min(level + STEP, 0.999), scores, found)
    if higher is not None and higher <= limit:
        return Verdict(False, f"{text}, but a higher level is possible: at {level + STEP:.0%} it holds {higher:.2f}.")
    return Verdict(True, f"{text}, and {held:.0%} of these {len(truth)} sets contain the truth.")


def mean_size(level: float, scores: Tensor, found: CandidateSets) -> float | None:
    """Mean set size; None if the level is not possible."""
    radius = radius_of(scores, level)
    if radius == torch.inf:
        return None
    return found.inside(radius).sum(1).double().mean().item()
