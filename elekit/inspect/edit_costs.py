"""The price of each kind of edit over many graphs, with intervals, and what it depends on."""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.evaluation.intervals import median_interval
from elekit.graphs.budget import Clock
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.edits import KINDS, PAIRED, SINGLE, Edits, all_edits
from elekit.graphs.features import detailed_kinds, is_connected, ring_and_degree, ring_edges
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect.edit_scan import edited_parts, valid
from elekit.model.loss import Psi, paired_distance, points_of

BATCH_SIZE, BATCH_PAIRS = 100, 10_000  # graphs, and pairs of slots, edited at a time
PRESAMPLE = 20  # if a graph has more edits than this multiple of the sample, some are drawn before kinds are computed
EDITS_AT_ONCE = 2_000  # each with a dense graph of its own
CHEAP, EXPENSIVE = 0.4, 2.5  # multiples of the typical price; see EditCosts.summary
TRAITS = ("size", "in_ring", "degree")  # that a price may depend on


@dataclass(frozen=True, eq=False)
class EditSample:
    """Edits of many graphs without prices; row i of every attribute belongs to edit i. See `sample_edits`."""

    graphs: PackedGraphs  # the unedited graphs
    edits: Edits
    results: PackedGraphs
    table: pd.DataFrame  # columns as in `EditCosts.edits`, without price

    def pairs(self, rows: Tensor) -> tuple[Graph, Graph]:
        """The graphs before and after some edits, in the same slots."""
        edits = self.edits[rows]
        before = self.graphs[edits.row].dense()
        each = replace(edits, row=torch.arange(len(edits)))
        return before, Graph.from_labels(*each.apply(*before.labels(), before.vocabulary), before.vocabulary)

    def pooled(self, least: int) -> "EditSample":
        """The same edits with rare kinds pooled by kinds without node labels, such as "relabel any to any".

        A kind is rare if fewer than `least` graphs have it, or if most edits of its pool are of such kinds.
        """
        kinds = self.table["kind"]
        rare = self.table.groupby("kind")["graph"].transform("nunique") < least
        if not rare.any():
            return self
        general: list[str] = []
        for rows in torch.arange(len(kinds)).split(EDITS_AT_ONCE):
            edits = replace(self.edits[rows], row=torch.arange(len(rows)))
            general += detailed_kinds(edits, self.graphs[self.edits.row[rows]].dense(), node_labels=False)
        pool = pd.Series(general, index=kinds.index, dtype=object)
        rare |= rare.groupby(pool).transform("mean") > 1 / 2
        return replace(self, table=self.table.assign(kind=kinds.where(~rare, pool)))

    def prices(self, psi: Psi, before: Tensor | None = None) -> Tensor:
        """(E,) learned loss between each graph before and after the edit; `before` is psi of the unedited graphs."""
        before = points_of(psi, self.graphs) if before is None else before
        return paired_distance(points_of(psi, self.results), before[self.edits.row])

    def edit_costs(self, psi: Psi, before: Tensor | None = None) -> "EditCosts":
        """The edits with their prices by one loss; `before` as of `prices`."""
        table = self.table.copy()
        table.insert(3, "price", self.prices(psi, before).numpy())
        return EditCosts(table)

    def price_changes(self, psi: Psi, other: Psi) -> pd.DataFrame:
        """The edits with columns price (by psi), other, and difference (other - price), largest changes first."""
        table = self.table.assign(price=self.prices(psi).numpy(), other=self.prices(other).numpy())
        table = table.assign(difference=table["other"] - table["price"])
        return table.sort_values("difference", key=np.abs, ascending=False, kind="stable")


@dataclass(frozen=True, eq=False)
class EditCosts:
    """Single edits of many graphs, priced by the learned loss.

    Columns of the edits: graph (row of the batch), kind (see `elekit.graphs.features.detailed_kinds`), edit (kind as
    in `elekit.graphs.edits.KINDS`), price (learned loss between before and after, in [0, 4]), valid (no node exceeds
    its capacity, and RDKit sanitizes molecules), connected, nodes (slots it touches), pairs ((i, j), i < j), size
    (nodes before), in_ring (the changed edge lies on a ring; if none changes, a touched node does), degree (largest
    number of edges at a touched node).
    """

    edits: pd.DataFrame

    def summary(self, *, seed: int = 0) -> pd.DataFrame:
        """Prices by kind of edit, most expensive first; `seed` is that of the bootstrap over graphs.

        The typical price is the median over kinds of their medians, so that frequent kinds do not set it. A kind is
        "nearly free" if the interval of its median lies below 0.4 of the typical price, and "surprisingly dear" if it
        lies above 2.5 of it. Marks compare kinds of this list; `elekit.audit.findings` looks for defects of a loss.

        One row per kind: kind, count (edits), graphs (with such edits), median, mean, q05 and q95 (quantiles), low
        and high (95 % interval of the median; nan for fewer than 5 graphs), by_size, by_ring and by_degree (share of
        the variance within the kind that the trait explains: adjusted R^2 of group means, in [0, 1], nan if the trait
        is constant), mark ("nearly free", "surprisingly dear" or "").
        """
        rows, generator = [], np.random.default_rng(seed)
        for kind, some in self.edits.groupby("kind", sort=True):
            price = some["price"].to_numpy()
            low, high = median_interval(price, some["graph"].to_numpy(), generator)
            figures = np.median(price), price.mean(), np.quantile(price, 0.05), np.quantile(price, 0.95), low, high
            explained = (explained_variance(price, some[trait].to_numpy()) for trait in TRAITS)
            rows.append((kind, len(some), some["graph"].nunique(), *figures, *explained))
        columns = ["kind", "count", "graphs", "median", "mean", "q05", "q95", "low", "high"]
        table = pd.DataFrame(rows, columns=[*columns, *(f"by_{t.removeprefix('in_')}" for t in TRAITS)])
        typical = table["median"].median()
        cheap, expensive = table["high"] < CHEAP * typical, table["low"] > EXPENSIVE * typical
        table["mark"] = np.select([cheap, expensive], ["nearly free", "surprisingly dear"], "")
        return table.sort_values("median", ascending=False, kind="stable", ignore_index=True)


def edit_costs(psi: Psi, graphs: GraphBatch, *, kinds: tuple[str, ...] = SINGLE, **options: Any) -> EditCosts:
    """Price single edits of many graphs by the learned loss `2 - 2 <psi(y), psi(y')>` between before and after.

    1,000 molecules of molecules7 take about 10 s on one core, mostly in RDKit.

    Args:
        psi: The embedding.
        graphs: B graphs; rounded.
        kinds: Kinds of edits, see `elekit.graphs.edits`.
        **options: samples, valid_only, seed, budget and progress, see `sample_edits`.

    Returns:
        The priced edits, and their `summary()` by kind.
    """
    return sample_edits(graphs, kinds=kinds, **options).edit_costs(psi)


def sample_edits(
    graphs: GraphBatch, *, samples: int | None = 40, kinds: tuple[str, ...] = KINDS, valid_only: bool = True,
    seed: int = 0, budget: float | Clock | None = None, progress: bool | None = None,
) -> EditSample:  # fmt: skip
    """Sample edits of many graphs independently of any loss, to compare several losses on the same edits.

    Args:
        graphs: B graphs; rounded.
        samples: Edits per graph, spread evenly over its detailed kinds; None for all.
        kinds: Kinds of edits, see `elekit.graphs.edits`; paired edits that give back the same graph are left out.
        valid_only: Whether to leave out edits with invalid results, and other drawings of a molecule than that of
            `from_smiles`.
        seed: Seed of the sample.
        budget: Seconds for the whole call; then the sample has edits of the first graphs only, of some at least.
        progress: As in `Clock.track`.

    Returns:
        The edits, their results and their traits.

    Raises:
        ValueError: If there are no graphs, `samples` is below 1, or a kind is unknown.
    """
    if not len(graphs):
        raise ValueError("no graphs to edit: the batch is empty")
    if samples is not None and samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}; None takes all edits")
    packed, generator, found, cuts = PackedGraphs.of(graphs), np.random.default_rng(seed), [], [0]
    while cuts[-1] < len(packed):
        some = packed[cuts[-1] : cuts[-1] + BATCH_SIZE]
        cuts.append(cuts[-1] + min(len(some), max(1, BATCH_PAIRS // some.slots() ** 2)))
    with Clock.of(budget) as clock:
        for start, stop in clock.track(list(itertools.pairwise(cuts)), "edits", progress=progress, to_end=True):
            if start and clock.over:
                packed = packed[:start]
                break
            edits, made, table = _edits_of(packed[start:stop].dense(), samples, kinds, valid_only, generator)
            edits.row.add_(start)  # owned here
            found.append((edits, PackedGraphs.of(made), table.assign(graph=table["graph"] + start)))
    edits, results = Edits.cat([one[0] for one in found]), PackedGraphs.cat([one[1] for one in found])
    return EditSample(packed, edits, results, pd.concat([one[2] for one in found], ignore_index=True))


def _edits_of(
    graphs: Graph, samples: int | None, kinds: tuple[str, ...], valid_only: bool, generator: np.random.Generator
) -> tuple[Edits, Graph, pd.DataFrame]:
    """Edits, results and table of a few graphs."""
    nodes, edges = graphs.labels()
    edits, rings = all_edits(graphs, kinds), ring_edges(graphs)
    if samples is not None and len(edits) > PRESAMPLE * samples * len(graphs):
        edits = edits[_evenly(edits.row, edits.kind.numpy(), PRESAMPLE * samples, generator)]
    if valid_only:  # cheap part of the check, before sampling
        edits = edits[(edits.valence_violation(nodes, edges, graphs.vocabulary) == 0).nonzero()[:, 0]]
    detail = np.array(detailed_kinds(edits, graphs, rings), dtype=object)
    drawn = _evenly(edits.row, detail, samples, generator)
    edits, detail = edits[drawn], detail[drawn.numpy()]
    results = Graph.from_labels(*edits.apply(nodes, edges, graphs.vocabulary), graphs.vocabulary)
    fine = valid(results, canonical=valid_only)
    keep = fine.clone() if valid_only else torch.ones_like(fine)
    keep &= ~_unchanged(edits, graphs, results)
    kept = keep.nonzero()[:, 0]
    edits, results, detail = edits[kept], results[kept], detail[kept.numpy()]
    ring, degree = ring_and_degree(edits, graphs, rings)
    table = pd.DataFrame({
        "graph": edits.row.numpy(), "kind": detail, "edit": [KINDS[k] for k in edits.kind.tolist()],
        "valid": fine[kept].numpy(), "connected": is_connected(results).numpy(), **edited_parts(edits),
        "size": (nodes > 0).sum(1)[edits.row].numpy(), "in_ring": ring.numpy(), "degree": degree.numpy(),
    })  # fmt: skip
    return edits, results, table


def _evenly(row: Tensor, kind: np.ndarray, samples: int | None, generator: np.random.Generator) -> Tensor:
    """Rows of up to `samples` edits per graph, one of each of its kinds before a second of any; ascending."""
    if samples is None:
        return torch.arange(len(row))
    frame = pd.DataFrame({"row": row.numpy(), "kind": kind, "chance": generator.random(len(row))})
    frame = frame.sort_values("chance")
    turn = frame.groupby(["row", "kind"]).cumcount()
    frame = frame.assign(turn=turn).sort_values(["row", "turn", "chance"])
    kept = frame.index[(frame.groupby("row").cumcount() < samples).to_numpy()]
    return torch.from_numpy(np.sort(kept.to_numpy()))


def _unchanged(edits: Edits, graphs: Graph, results: Graph) -> Tensor:
    """(E,) bool: the result is isomorphic to the graph; only for paired edits."""
    same = torch.zeros(len(edits), dtype=torch.bool)
    paired = torch.tensor([KINDS.index(kind) for kind in PAIRED])
    some = torch.isin(edits.kind, paired).nonzero()[:, 0]
    some = some[(graph_hashes(results[some], ROUNDS) == graph_hashes(graphs, ROUNDS)[edits.row[some]]).all(1)]
    same[some] = isomorphic(results[some], graphs[edits.row[some]])
    return same


def explained_variance(values: np.ndarray, trait: np.ndarray) -> float:
    """Adjusted R^2 of the group means of a trait, in [0, 1]; nan for one group, few values or no variance."""
    groups, which, counts = np.unique(trait, return_inverse=True, return_counts=True)
    spare = len(values) - len(groups)
    total = np.square(values - values.mean()).sum()
    if len(groups) < 2 or spare < 1 or total < 1e-12:
        return np.nan
    means = np.bincount(which, values) / counts
    within = np.square(values - means[which]).sum()
    return float(max(0.0, 1 - within / spare * (len(values) - 1) / total))
