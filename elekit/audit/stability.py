"""The same answers over several trainings of one loss: which statements hold in all of them?"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.evaluation.intervals import DRAWS, central
from elekit.graphs.graph import Graph
from elekit.inspect._validation import finite
from elekit.model.loss import Psi, points_of

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
COUNTED = ("holds", "of", "stable")  # columns beside those of the trainings
SPREAD = ("mean", "sd", "lowest", "highest", "of")
MOST = 2_000  # graphs whose neighbors are compared; of more a sample
TIE = 1e-6  # losses that differ by less are equal: float32 leaves as much


def stability(
    psis: Mapping[str, Psi],
    measure: Callable[[Psi], T],
    claims: Mapping[str, Callable[[T], bool | None]],
    *,
    progress: bool = False,
) -> "pd.DataFrame":
    """Which statements about a loss hold in each of several trainings? Only those may be said without a caveat.

    psis: at least two by name, such as the loss that is explained and its repeats (`elekit.model.artifact.load_repeats`: other
        seeds, and halves of the graphs).
    measure: asked once of each psi, for instance `lambda psi: edit_costs(psi, graphs).summary()`; it should ask each
        the same questions (one sample of edits, one seed), so that nothing but the training differs.
    claims: statements by their words, each a function of an answer: True, False, or None where this answer does not
        tell. `elekit.audit.claims` makes them of a price list or of findings; any function will do.

    Returns one row a claim, in the order given: claim, one column a training (True, False, or missing where it cannot
    be checked), holds (trainings in which it does), of (trainings in which it could be checked), stable (it holds in
    every training; what cannot be checked in one of them is not stable).

    How much that proves: the training that a claim was made from bears it out in any case, so k repeats are k
    trials. A claim that would fail in a share f of all trainings passes them with probability (1 - f)^k: four that
    all agree rule out no f below 0.53 at the 5 % level, and of many claims some pass by luck.
    Raises ValueError for fewer than two trainings, a training named as one of the other columns, a claim that
    answers neither True, False nor None, and an error in `measure` or in a claim, with the training and the claim.
    """
    import pandas as pd

    answers = _answers(psis, measure, progress, ("claim", *COUNTED))
    held = {name: [_checked(claim, claims[claim], answers[name], name) for claim in claims] for name in psis}
    table = pd.DataFrame({name: pd.array(answer, dtype="boolean") for name, answer in held.items()})
    holds, of = table.sum(axis=1).astype(int), table.notna().sum(axis=1).astype(int)
    table.insert(0, "claim", pd.Series(list(claims), dtype=object))
    return table.assign(holds=holds, of=of, stable=holds == len(psis))


def across_trainings(
    psis: Mapping[str, Psi], measure: Callable[[Psi], Mapping[str, float]], *, progress: bool = False
) -> "pd.DataFrame":
    """Numbers over several trainings: how far does a figure move when only the training changes?

    measure: numbers by name of each psi, a mapping or a Series, such as the median price of each kind of edit
    (`lambda psi: claims.medians(edit_costs(psi, graphs).summary())`). Other arguments as in `stability`.
    Returns one row a name, largest mean first: name, one column a training (nan where it has no such number), mean,
    sd (standard deviation over trainings, n - 1), lowest, highest, of (trainings that have it).
    `table[list(psis)].corr("spearman")` is the rank correlation between every two trainings.
    Raises ValueError as `stability` does.
    """
    import pandas as pd

    answers = _answers(psis, measure, progress, ("name", *SPREAD))
    numbers = pd.DataFrame({name: pd.Series(dict(answer), dtype=float) for name, answer in answers.items()})
    found = [getattr(numbers, figure)(axis=1) for figure in ("mean", "std", "min", "max", "count")]
    table = numbers.assign(**dict(zip(SPREAD, found))).rename_axis("name").reset_index()
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)


def neighbors_kept(
    psis: Mapping[str, Psi], graphs: Graph, *, k: int = 10, seed: int = 0, progress: bool = False
) -> "pd.DataFrame":
    """Do two trainings agree on which graphs are near? One row a pair of trainings.

    Of the k nearest graphs of each graph (itself left out) in one training, the share that is among the k nearest in
    the other. Where several lie at the same loss as the k-th, each counts for its share of the places that are left,
    as if ties were broken at random: a loss that puts everything at one place agrees with others by chance alone.
    graphs: n > k, different from each other; of more than 2,000 as many are drawn by the seed.
    Returns columns one, other, kept (mean over graphs, in [0, 1]), low and high (95 % interval, bootstrap over
    graphs), chance (k / (n - 1), what two losses that have nothing in common keep).
    Raises ValueError for k that does not fit, and as `stability` does.
    """
    import pandas as pd

    if not 1 <= k < len(graphs):
        raise ValueError(f"k must be from 1 to {len(graphs) - 1}, graphs without one, got {k}")
    generator = torch.Generator().manual_seed(seed)
    if len(graphs) > MOST:
        graphs = graphs[torch.randperm(len(graphs), generator=generator)[:MOST]]
    near = _answers(psis, lambda psi: _nearest(finite(points_of(psi, graphs)), k), progress)
    names, n, rows = list(psis), len(graphs), []
    drawn = torch.randint(n, (DRAWS, n), generator=generator)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            kept = (near[one] * near[other]).sum(1) / k
            low, high = central(kept[drawn].mean(1).numpy())
            rows.append((one, other, float(kept.mean()), low, high, k / (n - 1)))
    return pd.DataFrame(rows, columns=["one", "other", "kept", "low", "high", "chance"])


def _nearest(points: Tensor, k: int) -> Tensor:
    """(n, n) the chance that j is among the k nearest of i, ties broken at random; rows sum to k."""
    points = points.double()
    loss = (2 - 2 * points @ points.T).fill_diagonal_(torch.inf)
    last = loss.kthvalue(k, 1, keepdim=True).values
    inside, tied = loss < last - TIE, (loss - last).abs() <= TIE
    places = k - inside.sum(1, keepdim=True)
    return (inside + tied * (places / tied.sum(1, keepdim=True))).float()


def _answers(psis: Mapping[str, Psi], measure: Callable[[Psi], T], progress: bool, taken: tuple = ()) -> dict[str, T]:
    """What every training answers; taken: names of columns that no training may have."""
    if len(psis) < 2:
        raise ValueError(
            f"stability is asked of at least 2 trainings, got {len(psis)}; repeats of a loss come from "
            "release.repeats(folder), and `elekit train repeats` makes them"
        )
    for name in psis:
        if name in taken:
            raise ValueError(f"no training may be called {name!r}, which is another column of the table; rename it")
    answers = {}
    for name, psi in tqdm(psis.items(), desc="trainings", unit="training", disable=not progress):
        try:
            answers[name] = measure(psi)
        except Exception as failed:
            raise ValueError(f"training {name!r} could not be asked: {_said(failed)}") from failed
    return answers


def _checked(claim: str, check: Callable[[T], bool | None], answer: T, name: str) -> bool | None:
    try:
        found = check(answer)
    except Exception as failed:
        raise ValueError(f"claim {claim!r} failed on training {name!r}: {_said(failed)}") from failed
    if found is not None and not isinstance(found, bool | np.bool_):
        raise ValueError(
            f"claim {claim!r} answers {found!r} on training {name!r}; it must be True, False, or None (cannot tell)"
        )
    return found


def _said(failed: Exception) -> str:
    return f"{type(failed).__name__}: {failed}"
