"""What does each kind of edit cost, over many graphs, how sure is that, and what does it depend on?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.evaluation.intervals import DRAWS, FEWEST, central
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.edits import KINDS, PAIRED, SINGLE, Edits, all_edits
from elekit.graphs.features import detailed_kinds, is_connected, ring_and_degree, ring_edges
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect.edit_scan import valid
from elekit.model.loss import Psi, paired_distance, points_of

if TYPE_CHECKING:
    import pandas as pd

TOGETHER, PAIRS_TOGETHER = 100, 10_000  # graphs, and pairs of their slots, whose edits are listed at a time
MANY = 20  # times the sample: more edits of a graph than that are not named before some are drawn
FREE, DEAR = 0.4, 2.5  # of the typical price; see EditCosts.summary
MADE_OF = ("size", "in_ring", "degree")  # what a price may depend on


@dataclass(frozen=True, eq=False)
class EditSample:
    """Edits of many graphs, not yet priced; row i of everything is edit i. See `sample_edits`.

    graphs: the unedited ones, rounded. edits: E of them. results: the E graphs after. table: columns as in `EditCosts`,
    without price.
    """

    graphs: Graph
    edits: Edits
    results: Graph
    table: "pd.DataFrame"

    def prices(self, psi: Psi, before: Tensor | None = None) -> Tensor:
        """(E,) learned loss between before and after, in [0, 4]. before: psi of the graphs, where it is known."""
        before = points_of(psi, self.graphs) if before is None else before
        return paired_distance(points_of(psi, self.results), before[self.edits.row])

    def edit_costs(self, psi: Psi, before: Tensor | None = None) -> "EditCosts":
        """The same edits priced by a loss, so that several losses are asked the same; before: as of `prices`."""
        table = self.table.copy()
        table.insert(3, "price", self.prices(psi, before).numpy())
        return EditCosts(table)


@dataclass(frozen=True, eq=False)
class EditCosts:
    """Single edits of many graphs, priced by the learned loss.

    edits: one row an edit: graph (row of the batch), kind (in detail, without saying where: see
    `elekit.graphs.features.detailed_kinds`), edit (kind as in `elekit.graphs.edits.KINDS`), price (learned loss between before
    and after, in [0, 4]), valid (no node exceeds its capacity and, where graphs are molecules, RDKit sanitizes it),
    connected (the result is in one piece), nodes (slots it touches), pairs ((i, j), i < j), and what the price may
    depend on: size (nodes before), in_ring (the edge that is changed lies on a ring; where none is changed, a node
    that is touched does), degree (most edges at a node that is touched).
    """

    edits: "pd.DataFrame"

    def summary(self, *, seed: int = 0) -> "pd.DataFrame":
        """One row a kind, dearest first: what it costs, how sure that is, and what it depends on.

        Columns: kind, count (edits), graphs (that had one), median, mean, q05 and q95 (5 and 95 % quantiles), low and
        high (95 % interval of the median, bootstrap over graphs, since edits of one graph are no independent draws;
        nan from fewer than 5 graphs), by_size, by_ring and by_degree (share of the variance of prices within the kind
        that the trait explains: adjusted R^2 of group means, in [0, 1], nan where the trait does not vary), mark.

        mark: the typical price is the median over kinds of their medians, so that frequent kinds do not set it. A kind
        is "nearly free" where the whole interval of its median lies below 0.4 of that, "surprisingly dear" where it
        lies above 2.5 of it, else "". The mark is about this list; of the shipped loss on molecules7 no kind has one.
        Whether something is wrong with a loss is asked by `elekit.audit.findings`.
        """
        import pandas as pd

        rows, generator = [], np.random.default_rng(seed)
        for kind, some in self.edits.groupby("kind", sort=True):
            price = some["price"].to_numpy()
            low, high = interval(price, some["graph"].to_numpy(), generator)
            rows.append(
                {
                    "kind": kind,
                    "count": len(some),
                    "graphs": some["graph"].nunique(),
                    "median": np.median(price),
                    "mean": price.mean(),
                    "q05": np.quantile(price, 0.05),
                    "q95": np.quantile(price, 0.95),
                    "low": low,
                    "high": high,
                    **{f"by_{t.removeprefix('in_')}": explained(price, some[t].to_numpy()) for t in MADE_OF},
                }
            )
        columns = ["kind", "count", "graphs", "median", "mean", "q05", "q95", "low", "high"]
        columns += [f"by_{t.removeprefix('in_')}" for t in MADE_OF]
        table = pd.DataFrame(rows, columns=columns)
        typical = table["median"].median()
        table["mark"] = np.select(
            [table["high"] < FREE * typical, table["low"] > DEAR * typical], ["nearly free", "surprisingly dear"], ""
        )
        return table.sort_values("median", ascending=False, kind="stable", ignore_index=True)


def edit_costs(
    psi: Psi,
    graphs: Graph,
    *,
    samples: int | None = 40,
    kinds: tuple[str, ...] = SINGLE,
    valid_only: bool = True,
    seed: int = 0,
    progress: bool = False,
) -> EditCosts:
    """Single edits of many graphs priced by the learned loss `2 - 2 <psi(y), psi(y')>` between before and after.

    graphs: any batch; they are rounded. samples: edits drawn of each graph, spread evenly over the kinds it has in
    detail; None = all. kinds: of `elekit.graphs.edits`; of the paired ones those that give back the same graph are left out.
    valid_only: leave out edits whose result is not valid. progress: show a bar over the graphs.
    About 10 s for 1,000 molecules of molecules7 on one core, most of it RDKit's.
    Raises ValueError for no graphs, no samples, and kinds that there are not.
    """
    sample = sample_edits(graphs, samples=samples, kinds=kinds, valid_only=valid_only, seed=seed, progress=progress)
    return sample.edit_costs(psi)


def sample_edits(
    graphs: Graph,
    *,
    samples: int | None = 40,
    kinds: tuple[str, ...] = KINDS,
    valid_only: bool = True,
    seed: int = 0,
    progress: bool = False,
) -> EditSample:
    """Edits of many graphs with what is known of them before any loss is asked; arguments as in `edit_costs`.

    The same sample serves several losses, which are then asked the same questions.
    """
    import pandas as pd

    if not len(graphs):
        raise ValueError("no graphs to edit: the batch is empty")
    if samples is not None and samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}; None takes all edits")
    graphs = graphs.detach().rounded()
    generator, found = np.random.default_rng(seed), []
    with tqdm(total=len(graphs), desc="edits", unit="graph", disable=not progress) as bar:
        together = max(1, min(TOGETHER, PAIRS_TOGETHER // graphs.nodes.shape[1] ** 2))
        for start in range(0, len(graphs), together):
            some = graphs[start : start + together]
            edits, results, table = _edits_of(some, samples, kinds, valid_only, generator)
            edits.row.add_(start)  # of tensors that were made here
            found.append((edits, results, table.assign(graph=table["graph"] + start)))
            bar.update(len(some))
    edits, results, tables = zip(*found)
    return EditSample(graphs, Edits.cat(edits), Graph.cat(results), pd.concat(tables, ignore_index=True))


def _edits_of(graphs: Graph, samples: int | None, kinds, valid_only: bool, generator):
    """(edits, results, table) of a few graphs."""
    import pandas as pd

    nodes, edges = graphs.labels()
    edits, rings = all_edits(graphs, kinds), ring_edges(graphs)
    if samples is not None and len(edits) > MANY * samples * len(graphs):  # large graphs have tens of thousands each
        edits = edits[torch.from_numpy(_evenly(edits.row.numpy(), edits.kind.numpy(), MANY * samples, generator))]
    if valid_only:  # what exceeds a capacity is ruled out before it is drawn; the rest is asked of RDKit below
        edits = edits[(edits.valence_violation(nodes, edges, graphs.vocabulary) == 0).nonzero()[:, 0]]
    detail = np.array(detailed_kinds(edits, graphs, rings), dtype=object)
    drawn = _evenly(edits.row.numpy(), detail, samples, generator)
    edits, detail = edits[torch.from_numpy(drawn)], detail[drawn]
    results = Graph.from_labels(*edits.apply(nodes, edges), graphs.vocabulary)
    fine = valid(results)
    keep = fine.clone() if valid_only else torch.ones_like(fine)
    keep &= ~_unchanged(edits, graphs, results)
    kept = keep.nonzero()[:, 0]
    edits, results, detail = edits[kept], results[kept], detail[kept.numpy()]
    ring, degree = ring_and_degree(edits, graphs, rings)
    table = pd.DataFrame(
        {
            "graph": edits.row.numpy(),
            "kind": detail,
            "edit": [KINDS[k] for k in edits.kind.tolist()],
            "valid": fine[kept].numpy(),
            "connected": is_connected(results).numpy(),
            "nodes": [tuple(i for i in slots if i >= 0) for slots in edits.node.tolist()],
            "pairs": [tuple((min(p), max(p)) for p in pairs if p[0] >= 0) for pairs in edits.pair.tolist()],
            "size": (nodes > 0).sum(1)[edits.row].numpy(),
            "in_ring": ring.numpy(),
            "degree": degree.numpy(),
        }
    )
    return edits, results, table


def _evenly(row: np.ndarray, kind: np.ndarray, samples: int | None, generator) -> np.ndarray:
    """Which edits, ascending: up to `samples` of each graph, one of each of its kinds before a second of any."""
    import pandas as pd

    if samples is None:
        return np.arange(len(row))
    chance = generator.random(len(row))
    frame = pd.DataFrame({"row": row, "kind": kind, "chance": chance}).sort_values("chance")
    turn = frame.groupby(["row", "kind"]).cumcount()
    frame = frame.assign(turn=turn).sort_values(["row", "turn", "chance"])
    return np.sort(frame.index[(frame.groupby("row").cumcount() < samples).to_numpy()].to_numpy())


def _unchanged(edits: Edits, graphs: Graph, results: Graph) -> Tensor:
    """(E,) bool: the result is the graph itself, its nodes in another order; single edits never are."""
    same = torch.zeros(len(edits), dtype=torch.bool)
    paired = torch.tensor([KINDS.index(kind) for kind in PAIRED])
    some = torch.isin(edits.kind, paired).nonzero()[:, 0]
    some = some[(graph_hashes(results[some], ROUNDS) == graph_hashes(graphs, ROUNDS)[edits.row[some]]).all(1)]
    same[some] = isomorphic(results[some], graphs[edits.row[some]])
    return same


def interval(values: np.ndarray, cluster: np.ndarray, generator) -> tuple[float, float]:
    """95 % interval of the median by bootstrap over whole clusters; (nan, nan) from fewer than 5 of them."""
    which = np.unique(cluster, return_inverse=True)[1]
    n = which.max(initial=-1) + 1
    if n < FEWEST:
        return np.nan, np.nan
    drawn = medians(values, which, generator.multinomial(n, np.full(n, 1 / n), size=DRAWS))
    return central(drawn)


def medians(values: np.ndarray, cluster: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(draws,) medians of values that weigh what their cluster does in each draw; nan where none weighs anything.

    values: (n,). cluster: (n,) numbers. weight: (draws, clusters), >= 0.
    """
    order = np.argsort(values, kind="stable")
    heaped = weight[:, cluster[order]].cumsum(1)
    half, last = heaped[:, -1:] / 2, len(values) - 1
    sides = [values[order][side.sum(1).clip(max=last)] for side in (heaped < half, heaped <= half)]
    return np.where(half[:, 0] > 0, (sides[0] + sides[1]) / 2, np.nan)


def explained(values: np.ndarray, trait: np.ndarray) -> float:
    """Share of the variance that the means of the trait's groups explain, adjusted for their number, in [0, 1].

    nan where there is nothing to explain: one group, too few values, or no variance.
    """
    groups, which, counts = np.unique(trait, return_inverse=True, return_counts=True)
    spare = len(values) - len(groups)
    total = np.square(values - values.mean()).sum()
    if len(groups) < 2 or spare < 1 or total < 1e-12:
        return np.nan
    means = np.bincount(which, values) / counts
    within = np.square(values - means[which]).sum()
    return float(max(0.0, 1 - within / spare * (len(values) - 1) / total))
