"""Evaluation of predicted graphs: exact match, edit distance, parts, ranks, conformal sets."""

from elekit.evaluation import conformal, intervals, ranking, structures
from elekit.evaluation.judging import evaluate, judge, summarize

__all__ = ["conformal", "evaluate", "intervals", "judge", "ranking", "structures", "summarize"]
