"""Correct a learned loss: train rules and judgments of an expert into it, and report what changed.

    rules = [NearlyFree("relabel C to N"), AtLeast("close a ring *", times=2)]
    corrected = correct(psi, data.train.graphs, rules, validation=data.validation.graphs)
    print(corrected.report)

`Judgments` answer "is this graph closer to that one or to the other?"; `elekit.widgets.judge` collects them.
"""

from elekit.correction.judgments import Judgments
from elekit.correction.report import Report
from elekit.correction.rules import AtLeast, Grows, NearlyFree, Rule
from elekit.correction.rules import from_json as rules_from_json
from elekit.correction.train import CorrectionTraining, correct

__all__ = [
    "AtLeast", "CorrectionTraining", "Grows", "Judgments", "NearlyFree", "Report", "Rule", "correct",
    "rules_from_json",
]  # fmt: skip
