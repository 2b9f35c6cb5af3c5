"""Evaluation of predicted graphs: exact match, edit distance, ranks, and conformal prediction sets."""

from elekit.evaluation import conformal, intervals, ranking
from elekit.evaluation.judging import Judgment, decode_many, evaluate, judge, summarize

__all__ = ["Judgment", "conformal", "decode_many", "evaluate", "intervals", "judge", "ranking", "summarize"]
