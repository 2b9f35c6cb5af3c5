"""Correct a learned loss: train rules and judgments of an expert into it, and report what changed.

    rules = [NearlyFree("relabel C to N"), AtLeast("close a ring *", times=2)]
    corrected = correct(psi, data.train.graphs, rules, validation=data.validation.graphs)
    print(corrected.report)

`NearlyFree`, `AtLeast` and `Grows` are rules. `Judgments` are answers to "is this graph closer to that one or to the
other?", collected by `elekit.widgets.judge`. `penalty` turns both into a term of `fit_embedding`.
"""

from elekit.correction.judgments import Judgments
from elekit.correction.penalties import penalty
from elekit.correction.report import Report
from elekit.correction.rules import AtLeast, Grows, NearlyFree, Rule
from elekit.correction.rules import from_json as rules_from_json
from elekit.correction.rules import to_json as rules_to_json
from elekit.correction.train import CorrectionTraining, correct

__all__ = [
    "AtLeast", "CorrectionTraining", "Grows", "Judgments", "NearlyFree", "Report", "Rule", "correct",
    "penalty", "rules_from_json", "rules_to_json",
]  # fmt: skip
