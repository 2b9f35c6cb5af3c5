"""Checks of notebook 03: which change of a text moves h(x) most, and how many candidates are enough."""

from collections.abc import Sequence

import torch
from torch import Tensor

from checks.verdict import Verdict, as_number, quote
from elekit.evaluation.ranking import hits_at


def check_order(answer, names: Sequence[str], losses) -> Verdict:
    """Check that a list has all `names` in descending order of their measured `losses`."""
    if isinstance(answer, str) or not isinstance(answer, Sequence):
        return Verdict(False, f"{quote(answer)} is not a list. Give a list of the {len(names)} names.")
    unknown = [name for name in answer if not isinstance(name, str) or name not in names]
    if unknown:
        return Verdict(False, f"{quote(unknown[0])} is not one of the names {', '.join(map(quote, names))}.")
    missing = [name for name in names if name not in answer]
    if missing or len(answer) != len(names):
        what = f"{quote(missing[0])} is missing" if missing else "one name occurs twice"
        return Verdict(False, f"Give each of the {len(names)} names once; {what}.")
    order = torch.as_tensor(losses).argsort(descending=True).tolist()
    correct = [given == names[i] for given, i in zip(answer, order)]
    if all(correct):
        return Verdict(True, "This is the measured order.")
    first = 1 + correct.index(False)
    return Verdict(
        False,
        f"{sum(correct)} of {len(correct)} names are in their place; the first wrong place is {first}. Ask of "
        "each change: does it contradict the rest of the text, and on which sentence does h rely (section 6)?",
    )


def check_k(answer, ranks: Tensor, goal: float = 0.9) -> Verdict:
    """Check that k is the smallest number for which Hits@k of the ranks (n,) reaches the goal, a share."""
    k = as_number(answer)
    if k is None or k != int(k) or k < 1:
        return Verdict(False, f"{quote(answer)} is not a number of candidates. Give 1, 2, 3, ...")
    k = int(k)
    hits = hits_at(ranks, k)
    result = f"Hits@{k} is {hits:.1%}"
    if hits < goal:
        return Verdict(False, f"{result}, below {goal:.0%}: the truth has a higher rank too often.")
    if k > 1 and hits_at(ranks, k - 1) >= goal:
        return Verdict(False, f"{result}, which is enough, but so is a smaller k.")
    return Verdict(True, f"{result}; with one candidate less it is below {goal:.0%}.")
