"""Checks of notebook 08: the most exact method within a time budget, and the highest level with small sets."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from checks.verdict import Verdict, as_integer, as_number, quote
from elekit.evaluation.conformal import radius_of
from elekit.evaluation.conformal.candidate_sets import CandidateSets
from elekit.graphs.graph import Graph

if TYPE_CHECKING:
    import pandas as pd

STEP = 0.05  # tolerance of a level


def check_within(answer, rows: "pd.DataFrame", budget: float) -> Verdict:
    """Check that an answer is the index of the most exact row within a time budget.

    Args:
        answer: A label of `rows.index`.
        rows: Columns title, decoder, ms and exact, as returned by `benchmarks.aggregate.means`.
        budget: Milliseconds per prediction.

    Returns:
        The verdict; its message names the method, its time and its share of exact predictions.
    """
    label = as_integer(answer)
    if label is None or label not in rows.index:
        return Verdict(False, f"{quote(answer)} is not the number of a row.")
    row = rows.loc[label]
    result = f"{row['title']}{', ' + row['decoder'] if row['decoder'] else ''} takes {row['ms']:.1f} ms"
    if not row["ms"] <= budget:
        return Verdict(False, f"{result}, more than {budget:g} ms.")
    result += f" and is exact in {row['exact']:.1%} of cases"
    better = rows[(rows["ms"] <= budget) & (rows["exact"] > row["exact"])]
    if len(better):
        return Verdict(False, f"{result}. Rows within {budget:g} ms that are more exact: {len(better)}.")
    slower = rows[rows["exact"] > row["exact"]]["ms"]
    more = f"The next better row takes {slower.min():.1f} ms." if len(slower) else "No row is more exact at any cost."
    return Verdict(True, f"{result}, the most within {budget:g} ms. {more}")


def check_level(answer, scores: Tensor, found: CandidateSets, truth: Graph, limit: float) -> Verdict:
    """Check that a level is the highest, to 0.05, at which sets contain at most `limit` graphs on average.

    Args:
        answer: A level in (0, 1).
        scores: (n,) scores of the calibration pairs, see `CandidateSets.scores`.
        found: Candidate sets of other inputs.
        truth: The graphs of those inputs.
        limit: Largest mean size of the sets.

    Returns:
        The verdict; its message has the mean size, and for a correct answer the coverage.
    """
    level = as_number(answer)
    if level is None or not 0 < level < 1:
        return Verdict(False, f"A level is a share between 0 and 1, such as 0.9; {quote(answer)} is not.")
    size = mean_size(level, scores, found)
    if size is None:
        return Verdict(False, f"A level of {level:.0%} cannot be guaranteed: the search found too few of the truths.")
    coverage = (found.scores(truth) <= radius_of(scores, level)).double().mean().item()
    result = f"At {level:.0%} a set contains {size:.2f} graphs on average"
    if size > limit:
        return Verdict(False, f"{result}, more than {limit:g}. Try a lower level.")
    higher = mean_size(min(level + STEP, 0.999), scores, found)
    if higher is not None and higher <= limit:
        return Verdict(
            False, f"{result}, but you can raise the level: at {level + STEP:.0%} it contains {higher:.2f}."
        )
    return Verdict(True, f"{result}, and {coverage:.0%} of these {len(truth)} sets contain the truth.")


def mean_size(level: float, scores: Tensor, found: CandidateSets) -> float | None:
    """Mean number of graphs in a set; None if the level cannot be guaranteed."""
    radius = radius_of(scores, level)
    if radius == torch.inf:
        return None
    return found.inside(radius).sum(1).double().mean().item()
