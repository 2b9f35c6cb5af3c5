"""Checks of notebook 03: which change of a text moves h(x) most, and how many candidates are enough."""

from collections.abc import Sequence

import torch
from torch import Tensor

from checks.verdict import Verdict, number, quoted
from elekit.evaluation.ranking import hits_at


def check_order(answer, names: Sequence[str], losses) -> Verdict:
    """Whether the names stand in the order of their measured losses (as many), the largest first."""
    if isinstance(answer, str) or not isinstance(answer, Sequence):
        return Verdict(False, f"give a list of the {len(names)} names; {quoted(answer)} is {type(answer).__name__}.")
    strange = [name for name in answer if not isinstance(name, str) or name not in names]
    if strange:
        return Verdict(False, f"{quoted(strange[0])} is none of the names: {', '.join(map(quoted, names))}.")
    left_out = [name for name in names if name not in answer]
    if left_out or len(answer) != len(names):
        what = f"{quoted(left_out[0])} is left out" if left_out else "a name is given twice"
        return Verdict(False, f"each of the {len(names)} names stands once in the order; {what}.")
    order = torch.as_tensor(losses).argsort(descending=True).tolist()
    right = [given == names[i] for given, i in zip(answer, order)]
    if all(right):
        return Verdict(True, "this is the order that was measured.")
    first = 1 + right.index(False)
    return Verdict(
        False, f"{sum(right)} of {len(right)} stand where they were measured; the first that does not is in place {first}. "
        "Ask of each change: would another molecule be drawn, and how much of it would be different?"
    )  # fmt: skip


def check_k(answer, ranks: Tensor, goal: float = 0.9) -> Verdict:
    """Whether k is the smallest for which Hits@k of the ranks (n,) reaches the goal, a share."""
    k = number(answer)
    if k is None or k != int(k) or k < 1:
        return Verdict(False, f"k counts candidates: 1, 2, 3, ...; {quoted(answer)} is no such number.")
    k = int(k)
    found = hits_at(ranks, k)
    told = f"Hits@{k} is {found:.1%}"
    if found < goal:
        return Verdict(False, f"{told}, below {goal:.0%}: the truth is still further down too often.")
    if k > 1 and hits_at(ranks, k - 1) >= goal:
        return Verdict(False, f"{told}, which is enough, but a smaller k is enough as well.")
    return Verdict(True, f"{told}, and with one candidate less it stays below {goal:.0%}.")
