"""Does the learned loss order pairs of graphs as known distances do, and where do they disagree most?"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.audit.blind_spots import MAX_NEAREST, Pairs
from elekit.evaluation.formatting import figure, percent
from elekit.evaluation.intervals import MIN_SAMPLES, N_BOOTSTRAP, central_interval
from elekit.graphs import Graph, augment
from elekit.graphs._optional import extra
from elekit.graphs._schema import require_positive
from elekit.graphs.budget import Clock
from elekit.graphs.distances import Distance, distances_for
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import GraphBatch
from elekit.inspect._validation import finite_points
from elekit.inspect.edit_scan import valid
from elekit.inspect.neighbors import distinct, nearest_other
from elekit.model.loss import Psi, paired_distance, points_of

KINDS = ("random pairs", "nearest neighbors", "walks of edits")
MANY = 100  # graphs; from here on each is in at most one random pair, so that pairs are independent
STEPS = 6  # edits of the longest walk
SPARE = 2  # walks drawn per walk kept: some lead back or to invalid graphs
BATCH = 32  # pairs per call of a distance
SAME = 1e-6  # root losses, or shares of the largest distance, that differ by less are equal (float32)
MIN_GAP = 0.2  # between the ranks of a disagreement, as a share of the pairs
LARGE_GROUP = 0.2  # of the pairs in one group of shared graphs: the bootstrap draws graphs instead of groups
COLUMNS = ("kind", "graph", "other", "steps", "loss")


@dataclass(frozen=True, eq=False)
class Agreement:
    """Pairs of graphs with the learned loss and known distances, row by row; see `agreement`."""

    table: pd.DataFrame
    graphs: Graph
    others: Graph
    distances: tuple[str, ...]

    def summary(self, *, seed: int = 0) -> pd.DataFrame:
        """Rank correlation of the loss with each distance, per kind of pairs.

        Columns distance, kind, pairs (used), unknown (without a distance), spearman (nan for fewer than 3 pairs or a
        constant side), low and high (95 %, nan for fewer than 5 groups or graphs) and kendall (tau-b). The bootstrap
        draws groups of pairs that share graphs; where one group holds most pairs it draws graphs (Owen 2007).
        """
        with extra("card"):
            from scipy.stats import kendalltau

        rows, generator = [], np.random.default_rng(seed)
        for name, kind in itertools.product(self.distances, KINDS):
            some, loss, distance = self._known(name, kind)
            weights = _bootstrap(some["graph"].to_numpy(), some["other"].to_numpy(), generator)
            drawn = rank_correlation(loss, distance, weights)
            drawn = drawn[np.isfinite(drawn)]
            low, high = central_interval(drawn) if len(drawn) else (np.nan, np.nan)
            (spearman,) = rank_correlation(loss, distance, np.ones((1, len(some))))
            kendall = kendalltau(loss, distance)[0] if np.isfinite(spearman) else np.nan
            unknown = int((self.table["kind"] == kind).sum()) - len(some)
            rows.append((name, kind, len(some), unknown, spearman, low, high, kendall))
        columns = ["distance", "kind", "pairs", "unknown", "spearman", "low", "high", "kendall"]
        return pd.DataFrame(rows, columns=columns)

    def disagreements(self, distance: str, limit: int = 10) -> Pairs:
        """Pairs whose ranks by the loss and by a distance differ most, widest gap first, `limit` in each direction.

        Columns of `table`, distance, by_loss ("near" or "far"), gap (between the ranges of ranks, as a share of the
        pairs of this kind; ties never disagree), description (a sentence) and row (of `table`).
        """
        if distance not in self.distances:
            raise ValueError(f"unknown distance {distance!r}; use one of {', '.join(self.distances)}")
        require_positive(limit=limit)
        found = []
        for kind in KINDS:
            some, loss, other = self._known(distance, kind)
            (low, high), (other_low, other_high) = _rank_ranges(loss), _rank_ranges(other)
            gap = np.maximum(other_low - high, low - other_high)
            near = other_low > high
            table = some[list(COLUMNS)].assign(distance=some[distance], gap=gap, row=some.index)
            table.insert(5, "by_loss", np.where(near, "near", "far"))
            farther, nearer = np.where(near, 1 - high, 1 - other_high), np.where(near, other_low, low)  # shares
            lines = zip(near, some["loss"], some[distance], farther, nearer)
            table["description"] = [_description(distance, kind, *line) for line in lines]
            found.append(table[gap >= MIN_GAP])
        table = pd.concat(found).sort_values("gap", ascending=False, kind="stable")
        table = table[table.groupby("by_loss").cumcount() < limit]
        rows = torch.tensor(table["row"].to_numpy(dtype=np.int64))
        return Pairs(table.reset_index(drop=True), self.graphs[rows], self.others[rows])

    def _known(self, distance: str, kind: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        """Pairs of one kind with a known distance, their root losses and distances; nearly equal values are equal."""
        some = self.table[(self.table["kind"] == kind) & self.table[distance].notna()]
        values = some[distance].to_numpy(dtype=float)
        tolerance = SAME * np.abs(values).max(initial=0)
        return some, _merge_close(some["loss"].to_numpy() ** 0.5, SAME), _merge_close(values, tolerance)


def agreement(
    psi: Psi,
    graphs: GraphBatch,
    *,
    distances: Mapping[str, Distance] | None = None,
    pairs: int = 200,
    seed: int = 0,
    budget: float | Clock | None = None,
    progress: bool | None = None,
) -> Agreement:
    """Compare the learned loss with known distances on three kinds of pairs.

    Random pairs use each of 100 graphs or more at most once. Nearest neighbors pair a graph with the nearest one by
    the loss. Walks pair a graph with the valid, different result of 1 to 6 random edits.

    Args:
        psi: Maps graphs to unit vectors.
        graphs: At least 2 different graphs; duplicates are dropped, and of more than 2,000 a sample is drawn.
        distances: Callables by name that map two batches to one number per pair, nan or infinite where unknown; None
            for `elekit.graphs.distances.distances_for(graphs.vocabulary)`.
        pairs: Largest number of pairs of each kind, at least 1.
        seed: Seed of every random choice.
        budget: Seconds for all distances; pairs for which none is left are unknown.
        progress: As in `Clock.track`.

    Returns:
        Pairs, and a table with columns kind, graph (row), other (row; -1 for the end of a walk), steps (of a walk),
        loss, and one per distance, nan where unknown (not proven in time, invalid molecule).

    Raises:
        ValueError: If graphs, pairs or distances are too few, a name is reserved, or a result has another shape.
    """
    distances = distances_for(graphs.vocabulary) if distances is None else dict(distances)
    if not distances:
        raise ValueError("no distances given")
    if reserved := [name for name in distances if name in COLUMNS]:
        raise ValueError(f"distance name {reserved[0]!r} is reserved; rename it")
    require_positive(pairs=pairs)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(graphs), generator=generator)[:MAX_NEAREST]
    rows = rows[distinct(graphs[rows])] if len(rows) else rows
    if len(rows) < 2:
        raise ValueError(f"agreement needs at least 2 different graphs, got {len(rows)} (of {len(graphs)})")
    sample, n = graphs[rows].dense().detach().rounded(), len(rows)
    nearest = nearest_other(finite_points(points_of(psi, sample, check=False)))
    near = torch.stack([torch.arange(n), nearest], 1).sort(1).values.unique(dim=0)
    near = near[torch.randperm(len(near), generator=generator)[:pairs]]
    left, right = torch.cat([_random_pairs(n, pairs, generator), near]).T
    start, ends, steps = _walks(sample, pairs, generator)
    first = torch.cat([left, start])
    one, other = sample[first], Graph.cat([sample[right], ends])
    kind = np.repeat(KINDS, [len(left) - len(near), len(near), len(start)])
    other_rows = torch.cat([rows[right], torch.full_like(start, -1)])
    steps = torch.cat([torch.zeros_like(left), steps])
    loss = paired_distance(*(finite_points(points_of(psi, side, check=False)) for side in (one, other)))
    columns = (rows[first], other_rows, steps, loss)
    table = pd.DataFrame(dict(zip(COLUMNS, (kind, *(column.numpy() for column in columns)))))
    with Clock.of(budget) as clock:
        for done, (name, distance) in enumerate(distances.items()):
            table[name] = _evaluate(name, distance, one, other, clock.part(1 / (len(distances) - done)), progress)
    return Agreement(table, one, other, tuple(distances))


def _random_pairs(n: int, count: int, generator: torch.Generator) -> Tensor:
    """(P, 2) different pairs of n graphs; of 100 and more, each graph in one pair at most."""
    if n >= MANY:
        return torch.randperm(n, generator=generator)[: 2 * min(count, n // 2)].reshape(-1, 2)
    every = torch.combinations(torch.arange(n))
    return every[torch.randperm(len(every), generator=generator)[:count]]


def _walks(graphs: Graph, count: int, generator: torch.Generator) -> tuple[Tensor, Graph, Tensor]:
    """Start rows, end graphs and numbers of edits of up to `count` random walks."""
    rounds = -(-SPARE * count // len(graphs))
    row = torch.cat([torch.randperm(len(graphs), generator=generator) for _ in range(rounds)])[: SPARE * count]
    steps = torch.randint(1, STEPS + 1, row.shape, generator=generator)
    ends = augment.random_edits(graphs[row], steps, generator)
    kept = (valid(ends) & ~isomorphic(ends, graphs[row])).nonzero()[:count, 0]
    return row[kept], ends[kept], steps[kept]


def _evaluate(
    name: str, distance: Distance, graphs: Graph, others: Graph, clock: Clock, progress: bool | None
) -> np.ndarray:
    """(P,) distance of each pair, nan where it is not finite, and after the end of the budget."""
    found = []
    for start in clock.track(range(0, len(graphs), BATCH), name, progress=progress):
        one, other = graphs[start : start + BATCH], others[start : start + BATCH]
        values = torch.as_tensor(distance(one, other)).detach().double().cpu()
        if values.shape != (len(one),):
            raise ValueError(f"distance {name!r} must return shape ({len(one)},), got {tuple(values.shape)}")
        found.append(values)
    distances = np.full(len(graphs), np.nan)
    known = torch.cat(found).numpy() if found else distances[:0]
    distances[: len(known)] = known
    return np.where(np.isfinite(distances), distances, np.nan)


def _merge_close(values: np.ndarray, tolerance: float) -> np.ndarray:
    """Values with chains of neighbors within the tolerance replaced by the smallest of the chain."""
    order = np.argsort(values, kind="stable")
    new = np.diff(values[order], prepend=-np.inf) > tolerance
    found = np.empty_like(values)
    found[order] = values[order][new][new.cumsum() - 1]
    return found


def _rank_ranges(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest rank of each value, in [0, 1]: shares of smaller, and of smaller or equal, values."""
    ordered, n = np.sort(values), max(len(values), 1)
    return np.searchsorted(ordered, values, "left") / n, np.searchsorted(ordered, values, "right") / n


def rank_correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,) Spearman's correlation of n pairs under weights (draws, n); nan for n < 3 or a constant side."""
    if len(x) < 3:
        return np.full(len(weights), np.nan)
    total, centered = weights.sum(1, keepdims=True), []
    with np.errstate(invalid="ignore", divide="ignore"):
        for values in (x, y):
            order = np.argsort(values, kind="stable")
            new = np.diff(values[order], prepend=-np.inf) > 0
            mass = np.add.reduceat(weights[:, order], np.flatnonzero(new), axis=1)  # of each value
            rank = np.empty(weights.shape)
            rank[:, order] = (mass.cumsum(1) - mass / 2)[:, new.cumsum() - 1]
            centered.append(rank - (weights * rank).sum(1, keepdims=True) / total)
        x, y = centered
        of_x, of_y, both = ((weights * a * b).sum(1) for a, b in ((x, x), (y, y), (x, y)))
        constant = np.minimum(of_x, of_y) <= 1e-9 * total[:, 0] ** 3
        return np.where(constant, np.nan, (both / np.sqrt(of_x * of_y)).clip(-1, 1))


def _bootstrap(graph: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(draws, P) weight of each pair of rows, other -1 for none, in draws of groups or graphs; none for too few."""
    with extra("card"):
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

    both = np.stack([graph, np.where(other < 0, graph, other)])
    names, ends = np.unique(both, return_inverse=True)
    ends = ends.reshape(both.shape)
    _, group = connected_components(coo_array((np.ones(len(graph)), ends), shape=2 * (len(names),)), directed=False)
    groups, which, counts = np.unique(group[ends[0]], return_inverse=True, return_counts=True)
    by_group = len(groups) >= MIN_SAMPLES and counts.max() <= LARGE_GROUP * len(graph)
    n = len(groups) if by_group else len(names)
    if n < MIN_SAMPLES:
        return np.empty((0, len(graph)))
    drawn = generator.multinomial(n, np.full(n, 1 / n), size=N_BOOTSTRAP).astype(float)
    if by_group:
        return drawn[:, which]
    first, second = drawn[:, ends[0]], drawn[:, ends[1]]
    return np.where(ends[0] == ends[1], first, first * second)


def _description(distance: str, kind: str, near: bool, loss: float, value: float, *shares: float) -> str:
    number = f"{value:.0f}" if value == round(value) else figure(value)
    ranks = f"less than {percent(shares[0])}", f"more than {percent(shares[1])}"
    by_loss, by_distance = ranks if near else ranks[::-1]
    return f"The loss is {figure(loss)}, {by_loss} of the {kind}; {distance} is {number}, {by_distance}."
