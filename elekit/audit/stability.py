"""Which statements hold in every one of several training runs of the same loss?"""

import itertools
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.evaluation.intervals import N_BOOTSTRAP, central_interval
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphBatch
from elekit.inspect._validation import finite_points
from elekit.model.loss import Psi, points_of

T = TypeVar("T")
CLAIM_COLUMNS = ("claim", "holds", "of", "stable")  # besides those of the trainings
FIGURE_COLUMNS = ("name", "mean", "sd", "lowest", "highest", "of")
MAX_GRAPHS = 2_000
ALPHA = 0.05  # chance that is ruled out
TIE = 1e-6  # losses that differ by less are equal: the precision of float32


def ruled_out(reruns: int) -> float:
    """What reruns that all agree rule out: claims that fail in a larger share of all trainings.

    A claim that fails in a share f of them passes k reruns with probability (1 - f)^k; below 5 % that is ruled out.

    Args:
        reruns: Number k of further trainings, at least 1.

    Returns:
        The share: 0.53 for four reruns, 0.28 for nine.
    """
    return 1 - ALPHA ** (1 / reruns)


def stability(
    psis: Mapping[str, Psi],
    measure: Callable[[Psi], T],
    claims: Mapping[str, Callable[[T], bool | None]],
    *,
    budget: float | Clock | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Check claims about a loss in several trainings.

    A claim may pass by chance, see `ruled_out`.

    Args:
        psis: At least two losses by name, such as a loss and its reruns (`elekit.model.artifact.load_repeats`).
        measure: Evaluated once per psi, on the same sample, such as `lambda psi: edit_costs(psi, graphs).summary()`.
        claims: Functions of the result by their text, as in `elekit.audit.claims`: True, False, or None if undecided.
        budget: Seconds for the whole call; then claims are not checked in the last trainings, and not stable.
        progress: As in `Clock.track`.

    Returns:
        One row per claim, in the given order: claim, one column per training (True, False or missing), holds and of
        (trainings in which it holds, and can be checked), stable (it holds in every training).

    Raises:
        ValueError: If there are fewer than two trainings, one is named like a column, or `measure` or a claim fails.
    """
    results = _measure(psis, measure, progress, CLAIM_COLUMNS, Clock.of(budget))
    held: dict[str, list] = {name: [None] * len(claims) for name in psis}
    held |= {name: [_check(claim, claims[claim], found, name) for claim in claims] for name, found in results.items()}
    table = pd.DataFrame({name: pd.array(answer, dtype="boolean") for name, answer in held.items()})
    holds, of = table.sum(axis=1).astype(int), table.notna().sum(axis=1).astype(int)
    table.insert(0, "claim", pd.Series(list(claims), dtype=object))
    return table.assign(holds=holds, of=of, stable=holds == len(psis))


def across_trainings(
    psis: Mapping[str, Psi], measure: Callable[[Psi], Mapping[str, float]], *, progress: bool | None = None
) -> pd.DataFrame:
    """How far figures vary over several trainings.

    Args:
        psis: At least two losses by name.
        measure: Figures of a psi by name: `lambda psi: claims.median_costs(edit_costs(psi, graphs).summary())`.
        progress: As in `Clock.track`.

    Returns:
        One row per figure, largest mean first: name, one column per training (nan where it is missing), mean, sd
        (over trainings, n - 1), lowest, highest, of (trainings that have it).

    Raises:
        ValueError: As for `stability`.
    """
    results = _measure(psis, measure, progress, FIGURE_COLUMNS)
    numbers = pd.DataFrame({name: pd.Series(dict(result), dtype=float) for name, result in results.items()})
    found = [getattr(numbers, figure)(axis=1) for figure in ("mean", "std", "min", "max", "count")]
    table = numbers.assign(**dict(zip(FIGURE_COLUMNS[1:], found))).rename_axis("name").reset_index()
    return table.sort_values("mean", ascending=False, kind="stable", ignore_index=True)


def neighbor_overlap(
    psis: Mapping[str, Psi], graphs: GraphBatch, *, k: int = 10, seed: int = 0, progress: bool | None = None
) -> pd.DataFrame:
    """Share of the k nearest neighbors that two trainings have in common; graphs tied for the k-th count in part.

    Args:
        psis: At least two losses by name.
        graphs: n > k different graphs; of more than 2,000 a sample is drawn.
        k: Neighbors per graph, without the graph itself.
        seed: Seed of the sample and the bootstrap.
        progress: As in `Clock.track`.

    Returns:
        One row per pair of trainings: one, other, overlap (mean over graphs, in [0, 1]), low and high (95 % bootstrap
        interval over graphs), chance (k / (n - 1), the overlap of unrelated losses).

    Raises:
        ValueError: If k is not in [1, n - 1], and as for `stability`.
    """
    if not 1 <= k < len(graphs):
        raise ValueError(f"k must be in [1, {len(graphs) - 1}] for {len(graphs)} graphs, got {k}")
    generator = torch.Generator().manual_seed(seed)
    if len(graphs) > MAX_GRAPHS:
        graphs = graphs[torch.randperm(len(graphs), generator=generator)[:MAX_GRAPHS]]
    near = _measure(psis, lambda psi: _nearest(finite_points(points_of(psi, graphs, check=False)), k), progress)
    n, rows = len(graphs), []
    drawn = torch.randint(n, (N_BOOTSTRAP, n), generator=generator)
    for one, other in itertools.combinations(psis, 2):
        overlap = (near[one] * near[other]).sum(1) / k
        low, high = central_interval(overlap[drawn].mean(1).numpy())
        rows.append((one, other, float(overlap.mean()), low, high, k / (n - 1)))
    return pd.DataFrame(rows, columns=["one", "other", "overlap", "low", "high", "chance"])


def _nearest(points: Tensor, k: int) -> Tensor:
    """(n, n) probability that j is among the k nearest of i under random tie breaks; rows sum to k."""
    points = points.double()
    loss = (2 - 2 * points @ points.T).fill_diagonal_(torch.inf)
    last = loss.kthvalue(k, 1, keepdim=True).values
    inside, tied = loss < last - TIE, (loss - last).abs() <= TIE
    places = k - inside.sum(1, keepdim=True)
    return (inside + tied * (places / tied.sum(1, keepdim=True))).float()


def _measure(
    psis: Mapping[str, Psi],
    measure: Callable[[Psi], T],
    progress: bool | None,
    reserved: tuple[str, ...] = (),
    clock: Clock | None = None,
) -> dict[str, T]:
    clock = clock or Clock()
    if len(psis) < 2:
        fix = "create reruns with `elekit train repeats` and load them with elekit.model.artifact.load_repeats"
        raise ValueError(f"stability needs at least 2 trainings, got {len(psis)}; {fix}")
    if taken := [name for name in psis if name in reserved]:
        raise ValueError(f"training {taken[0]!r} has the name of another column of the table; rename it")
    results = {}
    with clock:
        for name, psi in clock.track(psis.items(), "trainings", progress=progress):
            try:
                results[name] = measure(psi)
            except Exception as error:
                raise ValueError(f"measure failed on training {name!r}: {type(error).__name__}: {error}") from error
    return results


def _check(text: str, claim: Callable[[T], bool | None], result: T, name: str) -> bool | None:
    try:
        found = claim(result)
    except Exception as error:
        raise ValueError(f"claim {text!r} failed on training {name!r}: {type(error).__name__}: {error}") from error
    if found is not None and not isinstance(found, bool | np.bool_):
        raise ValueError(f"claim {text!r} returned {found!r} on training {name!r}, not True, False or None")
    return found
