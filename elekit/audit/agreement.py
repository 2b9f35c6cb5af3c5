"""Does the learned loss order pairs of graphs as distances do that people know, and where do they disagree most?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.audit.blind_spots import NEAREST, Pairs
from elekit.evaluation.formatting import figure, percent
from elekit.evaluation.intervals import DRAWS, FEWEST, central
from elekit.graphs import augment
from elekit.graphs._optional import extra
from elekit.graphs.distances import Distance, distances_for
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph
from elekit.inspect._validation import finite
from elekit.inspect.edit_scan import valid
from elekit.inspect.neighbors import distinct, nearest_other
from elekit.model.loss import Psi, paired_distance, points_of

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("random pairs", "nearest neighbors", "walks of edits")
MANY = 100  # graphs, from where on each is in one random pair at most, so that the pairs are independent
STEPS = 6  # edits of the longest walk
SPARE = 2  # times the walks that are wanted: some lead back, or to what is not valid
TOGETHER = 32  # pairs whose distances are asked for at a time
SAME = 1e-6  # roots of losses, or shares of the largest distance, that differ by less are one value: float32's limit
APART = 0.2  # of the pairs of a kind lie between the two ranks of what is called a disagreement
HANG_TOGETHER = 0.2  # of the pairs in one group, from where on it is graphs that are drawn, not groups
TAKEN = ("kind", "graph", "other", "steps", "loss")


@dataclass(frozen=True, eq=False)
class Agreement:
    """Pairs of graphs with the learned loss and known distances of each; row i of everything is one pair.

    table: kind (of `KINDS`), graph (row of the batch asked about), other (row, -1 at the end of a walk), steps (edits
    of the walk, 0 otherwise), loss (in [0, 4]), and a column for each distance, nan where it has no answer (an edit
    distance not proven in time, a molecule that is not valid). graphs, others: the two sides. distances: their names.
    """

    table: "pd.DataFrame"
    graphs: Graph
    others: Graph
    distances: tuple[str, ...]

    def summary(self, *, seed: int = 0) -> "pd.DataFrame":
        """One row for each distance and kind of pairs: how far the loss orders these pairs as the distance does.

        Columns: distance, kind, pairs (used), unknown (left out: no distance), spearman (rank correlation in [-1, 1],
        ties at their mean rank; nan of fewer than 3 pairs and where either side is constant), low and high (its 95 %
        interval) and kendall (tau-b: of pairs of pairs, those in like order minus those in opposite order).

        Kinds are not thrown together, since the correlation depends on the population: the more the distances vary,
        the higher it is as a rule, so nearest neighbors agree less than random pairs under the same loss.
        Interval: bootstrap over groups of pairs that share graphs. Where most pairs hang together by shared graphs,
        graphs are drawn, and a pair counts as often as the product of its two (Owen 2007; rather too wide than too
        narrow). nan from fewer than 5 groups or graphs.
        """
        import pandas as pd

        with extra("card"):
            from scipy.stats import kendalltau

        rows, generator = [], np.random.default_rng(seed)
        for name in self.distances:
            for kind in KINDS:
                some, loss, distance = self._known(name, kind)
                weights = _draws(some["graph"].to_numpy(), some["other"].to_numpy(), generator)
                drawn = rank_correlation(loss, distance, weights)
                drawn = drawn[np.isfinite(drawn)]
                low, high = central(drawn) if len(drawn) else (np.nan, np.nan)
                (spearman,) = rank_correlation(loss, distance, np.ones((1, len(some))))
                rows.append(
                    {
                        "distance": name,
                        "kind": kind,
                        "pairs": len(some),
                        "unknown": int((self.table["kind"] == kind).sum()) - len(some),
                        "spearman": spearman,
                        "low": low,
                        "high": high,
                        "kendall": kendalltau(loss, distance)[0] if np.isfinite(spearman) else np.nan,
                    }
                )
        return pd.DataFrame(rows)

    def disagreements(self, distance: str, most: int = 10) -> Pairs:
        """Pairs whose rank by the loss lies far from that by a distance, the widest gap first: up to `most` each way.

        Ranks are among the pairs of one kind, as shares in [0, 1]; pairs of one value share the range of its ranks,
        and the gap is what lies between the two ranges, so ties disagree with nothing. Where it is below 0.2 (a fifth
        of the pairs) the two do not disagree.

        table: the columns of the pair, with only this distance, as distance; loss_says ("near" or "far"), gap (in
        [0.2, 1]), says (a plain sentence) and row (of `.table`). Empty where nothing disagrees.
        Raises ValueError for a distance that was not asked and most below 1.
        """
        import pandas as pd

        if distance not in self.distances:
            raise ValueError(f"no distance {distance!r} here; there are {', '.join(self.distances)}")
        if most < 1:
            raise ValueError(f"most must be at least 1, got {most}")
        found = []
        for kind in KINDS:
            some, loss, other = self._known(distance, kind)
            (low, high), (other_low, other_high) = _ranges(loss), _ranges(other)
            gap = np.maximum(other_low - high, low - other_high)
            near = other_low > high
            table = some[list(TAKEN)].assign(distance=some[distance], gap=gap, row=some.index)
            table.insert(5, "loss_says", np.where(near, "near", "far"))
            closer = np.where(near, 1 - high, 1 - other_high)  # share of the pairs that lie farther
            farther = np.where(near, other_low, low)  # share that lie nearer
            lines = zip(near, some["loss"], some[distance], closer, farther)
            table["says"] = [_sentence(distance, kind, *line) for line in lines]
            found.append(table[gap >= APART])
        table = pd.concat(found).sort_values("gap", ascending=False, kind="stable")
        table = table[table.groupby("loss_says").cumcount() < most]
        rows = torch.tensor(table["row"].to_numpy(dtype=np.int64))
        return Pairs(table.reset_index(drop=True), self.graphs[rows], self.others[rows])

    def _known(self, distance: str, kind: str) -> tuple["pd.DataFrame", np.ndarray, np.ndarray]:
        """Pairs of one kind whose distance is known, roots of losses and distances, each rounded to what can be told."""
        some = self.table[(self.table["kind"] == kind) & self.table[distance].notna()]
        values = some[distance].to_numpy(dtype=float)
        return some, _told(some["loss"].to_numpy() ** 0.5, SAME), _told(values, SAME * np.abs(values).max(initial=0))


def agreement(
    psi: Psi,
    graphs: Graph,
    *,
    distances: Mapping[str, Distance] | None = None,
    pairs: int = 200,
    seed: int = 0,
    progress: bool = False,
) -> Agreement:
    """The learned loss held against distances that people know, over three kinds of pairs of graphs.

    Random pairs: each graph in one of them at most, of fewer than 100 graphs in several. Nearest neighbors: graphs
    with the one that is nearest by the loss. Walks of edits: graphs with what 1 to 6 random edits make of them
    (`augment.random_edits`; of the results the valid ones, and none that is the graph itself). Of equal graphs one is
    kept, of more than 2,000 a sample.

    graphs: at least 2 different ones; they are rounded. distances: by names, each a callable that takes two batches
    and gives a number for each pair, nan (or infinity) where it has none; None = those of `elekit.graphs.distances` that
    apply. To add one's own: `elekit.graphs.distances.distances_for(graphs.vocabulary) | {"size": mine}`. pairs: of each kind at most
    (>= 1). progress: show a bar over the distances. About 10 s on one core for molecules7, most of it fused
    Gromov-Wasserstein; the exact edit distance takes at worst 0.5 s a pair, and what is not proven then is left out.
    Raises ValueError for fewer graphs, no pairs, names that are taken, distances that give other shapes, and a psi
    that is not finite.
    """
    import pandas as pd

    distances = distances_for(graphs.vocabulary) if distances is None else dict(distances)
    taken = [name for name in distances if name in TAKEN]
    if taken or not distances:
        raise ValueError(f"a distance cannot be called {taken[0]!r}; call it otherwise" if taken else "no distances")
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1, got {pairs}")
    graphs, generator = graphs.detach().rounded(), torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(graphs), generator=generator)[:NEAREST]
    rows = rows[distinct(graphs[rows])] if len(rows) else rows
    if len(rows) < 2:
        raise ValueError(f"pairs are made of at least 2 different graphs, got {len(rows)} (of {len(graphs)})")
    sample, n = graphs[rows], len(rows)
    near = (
        torch.stack([torch.arange(n), nearest_other(finite(points_of(psi, sample)))], 1).sort(1).values.unique(dim=0)
    )
    near = near[torch.randperm(len(near), generator=generator)[:pairs]]
    left, right = torch.cat([_random_pairs(n, pairs, generator), near]).T
    start, ends, steps = _walks(sample, pairs, generator)
    first = torch.cat([left, start])
    one, other = sample[first], Graph.cat([sample[right], ends])
    table = pd.DataFrame(
        {
            "kind": np.repeat(KINDS, [len(left) - len(near), len(near), len(start)]),
            "graph": rows[first].numpy(),
            "other": torch.cat([rows[right], torch.full_like(start, -1)]).numpy(),
            "steps": torch.cat([torch.zeros_like(left), steps]).numpy(),
            "loss": paired_distance(finite(points_of(psi, one)), finite(points_of(psi, other))).numpy(),
        }
    )
    with tqdm(total=len(distances) * len(one), desc="distances", unit="pair", disable=not progress) as bar:
        for name, distance in distances.items():
            bar.set_postfix_str(name)
            table[name] = _asked(name, distance, one, other, bar)
    return Agreement(table, one, other, tuple(distances))


def _random_pairs(n: int, count: int, generator) -> Tensor:
    """(P, 2) different pairs of n graphs, each graph in one of them at most, unless there are few."""
    if n >= MANY:
        return torch.randperm(n, generator=generator)[: 2 * min(count, n // 2)].reshape(-1, 2)
    every = torch.combinations(torch.arange(n))
    return every[torch.randperm(len(every), generator=generator)[:count]]


def _walks(graphs: Graph, count: int, generator) -> tuple[Tensor, Graph, Tensor]:
    """Of up to `count` walks of random edits: rows that they start from, graphs at their ends, and how many edits."""
    rounds = -(-SPARE * count // len(graphs))
    row = torch.cat([torch.randperm(len(graphs), generator=generator) for _ in range(rounds)])[: SPARE * count]
    steps = torch.randint(1, STEPS + 1, row.shape, generator=generator)
    ends = augment.random_edits(graphs[row], steps, generator)
    kept = (valid(ends) & ~isomorphic(ends, graphs[row])).nonzero()[:count, 0]
    return row[kept], ends[kept], steps[kept]


def _asked(name: str, distance: Distance, graphs: Graph, others: Graph, bar) -> np.ndarray:
    """(P,) what a distance says of each pair, nan where that is not finite."""
    found = []
    for start in range(0, len(graphs), TOGETHER):
        some = graphs[start : start + TOGETHER], others[start : start + TOGETHER]
        values = torch.as_tensor(distance(*some)).detach().double().cpu()
        if values.shape != (len(some[0]),):
            raise ValueError(
                f"the distance {name!r} gave shape {tuple(values.shape)} for {len(some[0])} pairs of graphs; "
                "it must give one number for each pair"
            )
        found.append(values)
        bar.update(len(values))
    values = torch.cat(found).numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _told(values: np.ndarray, tolerance: float) -> np.ndarray:
    """Values of which those that follow each other within the tolerance are one, the smallest of them."""
    order = np.argsort(values, kind="stable")
    new = np.diff(values[order], prepend=-np.inf) > tolerance
    found = np.empty_like(values)
    found[order] = values[order][new][new.cumsum() - 1]
    return found


def _ranges(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the values that are smaller than each, and that are not larger: the range of its ranks, in [0, 1]."""
    ordered = np.sort(values)
    return tuple(np.searchsorted(ordered, values, side) / max(len(values), 1) for side in ("left", "right"))


def rank_correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,) Spearman's correlation of n pairs of values, ties at their mean rank, under weights (draws, n) >= 0.

    A weight says how often a pair is there. nan for fewer than 3 pairs and where either side is constant.
    """
    if len(x) < 3:
        return np.full(len(weights), np.nan)
    total, centerd = weights.sum(1, keepdims=True), []
    with np.errstate(invalid="ignore", divide="ignore"):
        for values in (x, y):
            order = np.argsort(values, kind="stable")
            new = np.diff(values[order], prepend=-np.inf) > 0
            mass = np.add.reduceat(weights[:, order], np.flatnonzero(new), axis=1)  # of each value
            rank = np.empty(weights.shape)
            rank[:, order] = (mass.cumsum(1) - mass / 2)[:, new.cumsum() - 1]
            centerd.append(rank - (weights * rank).sum(1, keepdims=True) / total)
        (of_x, of_y), both = ((weights * c * c).sum(1) for c in centerd), (weights * centerd[0] * centerd[1]).sum(1)
        constant = np.minimum(of_x, of_y) <= 1e-9 * total[:, 0] ** 3
        return np.where(constant, np.nan, (both / np.sqrt(of_x * of_y)).clip(-1, 1))


def _draws(graph: np.ndarray, other: np.ndarray, generator) -> np.ndarray:
    """(draws, P) how often each pair is there in samples with replacement of groups or of graphs; no draws of few.

    graph, other: (P,) numbers of the graphs of each pair, other -1 where there is one alone. See `Agreement.summary`.
    """
    with extra("card"):
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

    both = np.stack([graph, np.where(other < 0, graph, other)])
    names, ends = np.unique(both, return_inverse=True)
    ends = ends.reshape(both.shape)
    _, group = connected_components(coo_array((np.ones(len(graph)), ends), shape=2 * (len(names),)), directed=False)
    groups, which, counts = np.unique(group[ends[0]], return_inverse=True, return_counts=True)
    apart_enough = len(groups) >= FEWEST and counts.max() <= HANG_TOGETHER * len(graph)
    n = len(groups) if apart_enough else len(names)
    if n < FEWEST:
        return np.empty((0, len(graph)))
    drawn = generator.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(float)
    if apart_enough:
        return drawn[:, which]
    first, second = drawn[:, ends[0]], drawn[:, ends[1]]
    return np.where(ends[0] == ends[1], first, first * second)


def _sentence(distance: str, kind: str, near: bool, loss: float, value: float, closer: float, farther: float) -> str:
    """closer, farther: shares of the pairs that the one that says near puts farther, and the other one nearer."""
    number = f"{value:.0f}" if value == round(value) else figure(value)
    says = [("The loss", figure(loss), f" of the {kind}"), (distance, number, "")]
    opinions = ("near", "nearer", closer), ("far", "farther", farther)
    return (
        ", ".join(
            f"{who} says {opinion} ({amount}, {more} than {percent(share)}{of})"
            for (who, amount, of), (opinion, more, share) in zip(says, opinions if near else opinions[::-1])
        )
        + "."
    )
