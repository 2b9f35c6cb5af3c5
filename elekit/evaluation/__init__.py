"""Evaluation of predicted graphs: exact match, edit distance, ranks, and conformal prediction sets."""

from elekit.evaluation import conformal, intervals, ranking
from elekit.evaluation.judging import evaluate, judge, summarize

__all__ = ["conformal", "evaluate", "intervals", "judge", "ranking", "summarize"]
