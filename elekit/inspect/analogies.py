"""Other pairs of graphs with the same difference: does one edit mean the same everywhere?"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.evaluation.formatting import figure
from elekit.evaluation.intervals import MIN_SAMPLES, bootstrap_weights, central_interval, median_interval
from elekit.graphs.edit_distance import edit_distance, edit_steps, isomorphic
from elekit.graphs.edits import SINGLE, all_edits
from elekit.graphs.features import cycle_rank, detailed_kinds, is_connected
from elekit.graphs.graph import Graph, GraphBatch, check_labels
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect._validation import single_graph
from elekit.inspect.differences import RewriteRule, apply_steps, describe_difference
from elekit.inspect.edit_costs import sample_edits
from elekit.inspect.edit_scan import valid
from elekit.model.loss import Psi, points_of

ALIKE = 0.25  # relative deviation of the loss of an analogous pair from that of the given pair
PARALLEL = 0.95  # share of other edits whose cosine an analogous pair exceeds
SAME_COST = 1.5  # 95 % quantile of the losses over the 5 % one, up to which an edit costs the same everywhere
SAME_DIRECTION = 0.5  # mean cosine of two displacements from which they have much the same direction
MIN_PAIRS = 8  # for a statement about all pairs
ZERO = 1e-9  # a smaller loss has no direction
BATCH_SIZE = 200  # graphs searched for matches at a time
CONTROL_EDITS = 4  # edits sampled per graph, one of which is compared


@dataclass(frozen=True, eq=False)
class Analogies:
    """Pairs with the same difference as a given pair; row i of the table and of the graphs belongs to pair i.

    Columns of the table, analogous pairs first, then by cosine: graph (row of the pool), other (row of the pool that
    is isomorphic to the second graph, else -1), path, loss, cosine (of psi(second) - psi(first) with that of the
    given pair), alike (the loss differs by at most 25 %), parallel (the cosine exceeds that of 95 % of other edits of
    the same graphs), analogous (both).
    """

    graph: Graph  # first graph of the given pair
    other: Graph  # second one, in the slots of the first
    difference: str  # without positions, for example "C to N"
    path: str  # their edits, joined by "; "
    loss: float  # in [0, 4]
    table: pd.DataFrame
    graphs: Graph  # the first graphs
    others: Graph  # the second ones, in the slots of the first ones
    directions: Tensor  # (n, D) psi(second) - psi(first) of length 1; 0 where both points coincide
    control: pd.DataFrame  # graph, kind, loss, cosine of one single edit of another kind of each graph
    control_directions: Tensor

    def summary(self, *, seed: int = 0) -> pd.DataFrame:
        """Losses and directions of the pairs beside those of other edits; `seed` is that of the bootstrap.

        Rows "same difference" and "other edits": of, pairs, loss (median), loss_low and loss_high (its 95 %
        interval), loss_q05 and loss_q95 (quantiles), cosine, cosine_q05 and cosine_q95 (with the given pair), mutual
        (mean cosine of two different pairs of the row), mutual_low and mutual_high (its 95 % interval). Intervals are
        nan for fewer than 5 pairs.
        """
        rows, generator = [], np.random.default_rng(seed)
        same = ("same difference", self.table, self.directions)
        for name, table, directions in (same, ("other edits", self.control, self.control_directions)):
            row = {"of": name, "pairs": len(table)}
            for column in ("loss", "cosine"):
                values = table[column].dropna().to_numpy()
                row[column] = np.median(values) if len(values) else np.nan
                if column == "loss":
                    row["loss_low"], row["loss_high"] = median_interval(values, np.arange(len(values)), generator)
                for q in (5, 95):
                    row[f"{column}_q{q:02}"] = np.quantile(values, q / 100) if len(values) else np.nan
            row["mutual"], row["mutual_low"], row["mutual_high"] = _mutual(directions.double().numpy(), generator)
            rows.append(row)
        return pd.DataFrame(rows)

    def describe(self) -> str:
        """Sentences on whether the difference costs the same everywhere and has one direction."""
        n = len(self.table)
        if n < MIN_PAIRS:
            number = ("no other pair has", "only one other pair has", f"only {n} other pairs have")[min(n, 2)]
            return (
                f"Here {number} this difference: {self.difference}. That is too few to say what it costs elsewhere."
            )
        same, control = self.summary().to_dict("records")
        low, high = same["loss_q05"], same["loss_q95"]
        if high < ZERO:
            return f"In {same['pairs']} pairs with this difference the loss is zero: {self.difference}."
        everywhere = "costs nearly" if high <= SAME_COST * low else "does not cost"
        if not same["mutual_low"] > control["mutual_high"]:
            direction = "has no common direction"
        else:
            much = same["mutual"] >= SAME_DIRECTION
            direction = "has much the same direction everywhere" if much else "has some common direction"
        return (
            f"This difference ({self.difference}) costs {figure(self.loss)} here. It {everywhere} the same "
            f"everywhere: {figure(same['loss'])} in the median of {same['pairs']} pairs, and {figure(low)} to "
            f"{figure(high)} in nine of ten. It {direction}: two such displacements have a mean cosine of "
            f"{same['mutual']:.2f}, two other edits of the same graphs {control['mutual']:.2f}. "
            f"{int(self.table['analogous'].sum())} of the pairs are analogous to this one, in loss and direction."
        )


def analogies(
    psi: Psi, graph: GraphBatch, other: GraphBatch, among: GraphBatch, *, samples: int = 400, valid_only: bool = True,
    timeout: float = 1.0, seed: int = 0, progress: bool = False,
) -> Analogies:  # fmt: skip
    """Find pairs (c, d) with the same difference as (a, b), to compare psi(d) - psi(c) with psi(b) - psi(a).

    The difference, a shortest list of edits, is applied at random matches in graphs of a pool, with the same change
    of rings. Each graph gives at most one pair; a result that is itself in the pool is preferred. Displacements on
    the sphere are never quite parallel, so `summary()` compares them with other edits of the same graphs. 400 pairs
    of molecules take about 4 s. Displacements as relations: Mikolov, Yih, Zweig (2013).

    Args:
        psi: The embedding.
        graph: Batch of one.
        other: Batch of one, not isomorphic to `graph`.
        among: The pool, with the same labels and slots; graphs isomorphic to `graph` are left out.
        samples: Maximal number of pairs.
        valid_only: Whether second graphs must be valid. They are connected if `graph` and `other` are.
        timeout: Seconds to find a shortest list of edits.
        seed: Seed of graphs and matches.
        progress: Whether to show a progress bar.

    Returns:
        The pairs and a control.

    Raises:
        ValueError: If a batch has the wrong size or labels, the graphs are isomorphic, or `samples` < 1.
    """
    graph, other = (single_graph(y, what).detach().rounded() for y, what in ((graph, "graph"), (other, "other")))
    for what, y in (("other", other), ("among", among)):
        check_labels(y.vocabulary, graph.vocabulary, f"{what} has other labels", "the graph")
    slots = max(y.slots() for y in (graph, other, among))
    graph, other = graph.dense(slots), other.dense(slots)
    if samples < 1 or not len(among):
        raise ValueError(f"need at least one graph to look among and one sample, got {len(among)} and {samples}")
    steps = edit_steps(graph, other, timeout=timeout)
    if not steps:
        raise ValueError("graph and other are isomorphic, so there is no difference; give two different graphs")
    pool, other = among.dense(slots).detach().rounded(), apply_steps(graph, steps)
    connected_only = bool(is_connected(Graph.cat([graph, other])).all())
    rule = RewriteRule(graph, other, steps)
    found = islice(_pairs(rule, graph, pool, valid_only, connected_only, timeout, seed), samples)
    pairs = list(tqdm(found, total=samples, desc="pairs", unit="pair", disable=not progress))
    rows = torch.tensor([row for row, *_ in pairs], dtype=torch.long)
    starts, results = pool[rows], Graph.cat([result for _, result, *_ in pairs]) if pairs else pool[:0]
    own = points_of(psi, graph)
    given = points_of(psi, other) - own
    before = points_of(psi, starts) if pairs else own[:0]
    moved = points_of(psi, results) - before if pairs else before
    control, control_moved = _control(psi, starts, before, _kind(graph, other), valid_only, connected_only, seed)
    control = control.assign(cosine=_cosine(control_moved, given), graph=rows.numpy()[control["graph"]])
    cosine, reference = _cosine(moved, given), float(given.double().square().sum())
    loss = moved.double().square().sum(1).numpy()
    table = pd.DataFrame({
        "graph": rows.numpy(), "other": [row for *_, row, _ in pairs], "path": [path for *_, path in pairs],
        "loss": loss, "cosine": cosine, "alike": np.abs(loss - reference) <= ALIKE * reference,
        "parallel": cosine > control["cosine"].quantile(PARALLEL),
    })  # fmt: skip
    table["analogous"] = table["alike"] & table["parallel"]
    table = table.sort_values(["analogous", "cosine"], ascending=False, kind="stable")
    best = torch.tensor(table.index.to_numpy())
    path = "; ".join(step.describe(graph.vocabulary) for step in steps)
    return Analogies(
        graph, other, describe_difference(steps, graph, other), path, reference, table.reset_index(drop=True),
        starts[best], results[best], _directions(moved)[best], control, _directions(control_moved),
    )  # fmt: skip


def _pairs(
    rule: RewriteRule, graph: Graph, pool: Graph, valid_only: bool, connected_only: bool, timeout: float, seed: int
) -> Iterator[tuple[int, Graph, int, str]]:
    """(row of the first graph, the second one, its row or -1, path) of each pair, in random order."""
    keys, own = graph_hashes(pool, ROUNDS)[:, -1].tolist(), int(graph_hashes(graph, ROUNDS)[0, -1])
    generator = np.random.default_rng(seed)
    by_key: dict[int, list[int]] = {}
    for row, key in enumerate(keys):
        by_key.setdefault(key, []).append(row)
    order = generator.permutation(len(pool)).tolist()
    order = [row for row in order if keys[row] != own or not isomorphic(pool[row], graph)]
    for start in range(0, len(order), BATCH_SIZE):
        rows, slots = rule.matches(pool, order[start : start + BATCH_SIZE], generator)
        results = rule.apply(pool[rows], slots)
        fits = cycle_rank(results) - cycle_rank(pool[rows]) == rule.rings
        fits &= (is_connected(results) | (not connected_only)) & ~isomorphic(results, pool[rows])
        if valid_only:
            fits[fits.clone()] = valid(results[fits])
        best: dict[int, tuple[int, int]] = {}  # of each graph its match, and the row of the result in the pool
        for i, key in zip(fits.nonzero()[:, 0].tolist(), graph_hashes(results[fits], ROUNDS)[:, -1].tolist()):
            known = next((row for row in by_key.get(key, ()) if isomorphic(pool[row], results[i])), -1)
            earlier = best.setdefault(int(rows[i]), (i, known))
            if earlier[1] < 0 <= known:
                best[int(rows[i])] = (i, known)
        for row, (i, known) in best.items():
            fewest = edit_distance(pool[row], results[i], timeout=timeout) if len(rule.steps) > 1 else None
            if fewest is None or int(fewest.distance) == len(rule.steps):
                yield row, results[i], known, rule.describe(slots[i])


def _kind(graph: Graph, other: Graph) -> str | None:
    """Kind of the single edit between two graphs in the same slots; None if it takes more."""
    edits = all_edits(graph, SINGLE)
    made, labels = edits.apply(*graph.labels(), graph.vocabulary), other.labels()
    same = (made[0] == labels[0]).all(1) & (made[1] == labels[1]).flatten(1).all(1)
    return next(iter(detailed_kinds(edits[same], graph)), None)


def _control(
    psi: Psi, starts: Graph, before: Tensor, kind: str | None, valid_only: bool, connected_only: bool, seed: int
) -> tuple[pd.DataFrame, Tensor]:
    """One single edit of another kind of each graph: table (graph, kind, loss) and displacements."""
    if not len(starts):
        return pd.DataFrame({"graph": np.empty(0, int), "kind": np.empty(0, object), "loss": np.empty(0)}), before
    sample = sample_edits(starts, samples=CONTROL_EDITS, kinds=SINGLE, valid_only=valid_only, seed=seed)
    table = sample.table[(sample.table["kind"] != kind) & (sample.table["connected"] | (not connected_only))]
    table = table.sample(frac=1, random_state=seed).drop_duplicates("graph").sort_index()
    rows = torch.tensor(table.index.to_numpy())
    moved = points_of(psi, sample.results[rows]) - before[sample.edits.row[rows]] if len(rows) else before[:0]
    loss = moved.double().square().sum(1).numpy()
    return table[["graph", "kind"]].assign(loss=loss).reset_index(drop=True), moved


def _directions(moved: Tensor) -> Tensor:
    """(n, D) displacements of length 1, float64; 0 for losses below ZERO."""
    moved = moved.double()
    length = moved.norm(dim=1, keepdim=True)
    return torch.where(length**2 > ZERO, moved / length.clamp_min(1e-30), 0)


def _cosine(moved: Tensor, given: Tensor) -> np.ndarray:
    """(n,) cosines of displacements with one; nan where either is 0."""
    directions, given = _directions(moved), _directions(given)[0]
    cosine = (directions @ given).numpy()
    return np.where(directions.any(1).numpy() & bool(given.any()), cosine, np.nan)


def _mutual(directions: np.ndarray, generator: np.random.Generator) -> tuple[float, float, float]:
    """Mean cosine of two different vectors among n unit vectors (n, D), and its interval; ignores zeros."""
    directions = directions[directions.any(1)]
    n = len(directions)
    if n < 2:
        return np.nan, np.nan, np.nan

    def mean(weight: np.ndarray) -> np.ndarray:
        total, squares = weight.sum(-1), np.square(weight).sum(-1)
        return (np.square(weight @ directions).sum(-1) - squares) / (total**2 - squares)

    whole = float(mean(np.ones(n)))
    if n < MIN_SAMPLES:
        return whole, np.nan, np.nan
    return whole, *central_interval(mean(bootstrap_weights(n, generator).astype(float)))
