"""What rules are asked about: edits and walks of some graphs, drawn once, so that every loss answers the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from elekit.correction.rules import Grows, NearlyFree, Rule, kinds_named, named_by
from elekit.evaluation.intervals import DRAWS, FEWEST, central
from elekit.graphs import augment
from elekit.graphs.edit_distance import edit_distance
from elekit.graphs.edits import SINGLE
from elekit.graphs.graph import Graph
from elekit.inspect.edit_costs import EditSample, medians, sample_edits
from elekit.model.loss import Psi, paired_distance, points_of

if TYPE_CHECKING:
    import pandas as pd

SAMPLES = 24  # edits of a graph, evenly over its kinds
WALKS = 400
TRIES = 8  # for each step of a walk
PAIRED = {"swap labels": "swap labels ", "move edge": "move a ", "shift order": "shift order"}  # how kinds begin
HOLDS, FAILS, OPEN = "holds", "does not hold", "not proven"


@dataclass(frozen=True, eq=False)
class Questions:
    """Edits and walks of a batch, see `questions`.

    sample: the edits. of_kind: rows of the sample of each kind. reference: the kinds that set the yardstick.
    rules: each with the kinds it names and those it holds them against, of those that occur often enough.
    unseen: for each rule, the kinds it names that occur in too few graphs. walks: graphs after 0, 1, ... edits, one
    batch each; walk_of: (W,) the row that a walk starts at.
    """

    sample: EditSample
    of_kind: dict[str, np.ndarray]
    reference: tuple[str, ...]
    rules: tuple[tuple[Rule, tuple[str, ...], tuple[str, ...]], ...]
    unseen: tuple[tuple[str, ...], ...]
    walks: tuple[Graph, ...]
    walk_of: Tensor

    @property
    def of_edits(self) -> bool:
        """Whether some rule is about prices."""
        return any(not isinstance(rule, Grows) for rule, *_ in self.rules)

    def draw(self, kinds: Sequence[str], count: int, generator: np.random.Generator) -> tuple[Graph, Graph]:
        """Graphs before and after so many edits, drawn evenly over the kinds."""
        which = generator.integers(len(kinds), size=count)
        places = generator.random(count)
        rows = [self.of_kind[kinds[k]] for k in which.tolist()]
        chosen = torch.tensor([some[int(place * len(some))] for some, place in zip(rows, places.tolist())])
        return self.sample.graphs[self.sample.edits.row[chosen]], self.sample.results[chosen]


def questions(
    graphs: Graph,
    rules: Sequence[Rule],
    *,
    samples: int = SAMPLES,
    exact: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> Questions:
    """Valid edits and, for rules that ask for growth, walks of these graphs.

    samples: edits of a graph, evenly over its kinds. exact: keep only walks along which the exact edit distance from
    the start is proven to grow; otherwise it is the number of labels that differ, place by place, that grows.
    """
    vocabulary, named = graphs.vocabulary, named_by(rules, graphs.vocabulary)
    kinds = (*SINGLE, *(edit for edit, start in PAIRED.items() if any(kind.startswith(start) for kind in named)))
    sample = sample_edits(graphs, samples=samples, kinds=kinds, seed=seed, progress=progress)
    rows = {kind: np.asarray(found) for kind, found in sample.table.groupby("kind").indices.items()}
    of_graphs = sample.table.groupby("kind")["graph"].nunique()
    often = {kind for kind in rows if of_graphs[kind] >= min(FEWEST, len(graphs))}
    single = [kind for kind in rows if kind in often and not kind.startswith(tuple(PAIRED.values()))]
    reference = [kind for kind in single if kind not in named] or single
    asked, unseen = [], []
    for rule in rules:
        wanted = () if isinstance(rule, Grows) else kinds_named(rule.kinds, vocabulary)
        others = () if isinstance(rule, (Grows, NearlyFree)) else kinds_named(rule.of, vocabulary)
        asked.append((rule, *(tuple(kind for kind in some if kind in often) for some in (wanted, others))))
        unseen.append(tuple(kind for kind in (*wanted, *others) if kind not in often))
    steps = max((rule.steps for rule in rules if isinstance(rule, Grows)), default=0)
    walks, walk_of = _walks(sample.graphs, steps, exact, seed) if steps else ((), torch.zeros(0, dtype=torch.long))
    return Questions(sample, rows, tuple(reference), tuple(asked), tuple(unseen), walks, walk_of)


def _walks(graphs: Graph, steps: int, exact: bool, seed: int) -> tuple[tuple[Graph, ...], Tensor]:
    """(graphs after 0, 1, ..., steps edits, row of each walk's start)."""
    generator = torch.Generator().manual_seed(seed)
    walk_of = torch.randint(len(graphs), (WALKS,), generator=generator)
    walks = [graphs[walk_of]]
    for _ in range(steps):
        here, after = walks[-1], walks[-1]
        ahead = torch.zeros(len(here), dtype=torch.bool)
        standing = _differing(walks[0], here)
        for _ in range(TRIES):
            tried = augment.random_edits(here, torch.ones(len(here), dtype=torch.long), generator)
            better = ~ahead & (_differing(walks[0], tried) > standing)
            after = _chosen(better, tried, after)
            ahead |= better
        walks, walk_of = [walk[ahead] for walk in (*walks, after)], walk_of[ahead]
    if exact and len(walk_of):
        found = [edit_distance(walks[0], walk, timeout=0.2) for walk in walks]
        distance = torch.stack([one.distance for one in found])
        keep = (distance.diff(dim=0) > 0).all(0) & torch.stack([one.proven for one in found]).all(0)
        walks, walk_of = [walk[keep] for walk in walks], walk_of[keep]
    return tuple(walks), walk_of


def _differing(one: Graph, other: Graph) -> Tensor:
    """(B,) labels of nodes and of pairs that differ, slot by slot."""
    (nodes, edges), (others, links) = one.labels(), other.labels()
    return (nodes != others).sum(1) + (edges != links).sum((1, 2)) // 2


def _chosen(which: Tensor, these: Graph, those: Graph) -> Graph:
    rows = torch.where(which, 0, len(which)) + torch.arange(len(which))
    return Graph.cat([these, those])[rows]


def answers(psi: Psi, asked: Questions, *, seed: int = 0) -> "pd.DataFrame":
    """Whether a loss keeps rules on these graphs: one row a rule.

    Columns: rule (in words), kind (that decides: the one that comes nearest to breaking it), figure, low and high (95
    % interval, bootstrap over graphs), sense ("at most" or "at least"), goal, share (of the cases that keep the rule:
    edits of the kinds it names; of walks, those along which the loss grows all the way), cases, says ("holds" where
    the whole interval is on the right side of the goal, "does not hold" where it is on the wrong one, else "not
    proven"), unseen (kinds that it names and that occur in fewer than 5 graphs here, of which nothing is known).

    figure: median price of a kind over the yardstick, which is the median over kinds of the median prices of single
    edits that no rule names, or the dearest of the kinds the rule names (`of`); of walks the share of steps that
    grow.
    """
    import pandas as pd

    price = asked.sample.prices(psi).numpy()
    n = len(asked.sample.graphs)
    weight = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    weight = np.concatenate([np.ones((1, n), dtype=weight.dtype), weight])  # first the sample as it is

    def middle(kind: str) -> np.ndarray:
        rows = asked.of_kind[kind]
        return medians(price[rows], asked.sample.edits.row[rows].numpy(), weight)

    typical = np.nanmedian([middle(kind) for kind in asked.reference], 0) if asked.of_edits else None
    distances = _from_the_start(psi, asked.walks)
    found = []
    for (rule, kinds, others), unseen in zip(asked.rules, asked.unseen):
        free = isinstance(rule, NearlyFree)
        kind, cases = "", 0
        if isinstance(rule, Grows):
            grown = np.diff(distances[:, : rule.steps], axis=1) > 0
            drawn = weight[:, asked.walk_of.numpy()]
            figures = (drawn @ grown.mean(1)) / np.maximum(drawn.sum(1), 1) if len(grown) else np.full(1, np.nan)
            goal, kept, cases = rule.share, grown.all(1), len(grown)
        else:
            goal = rule.at_most if free else rule.times
            held = np.nanmax([middle(k) for k in others], 0) if others else typical
            figures, kept = np.full(1, np.nan), np.zeros(0)
            if kinds and (others or free or not rule.of):
                ratios = np.stack([middle(k) for k in kinds]) / held
                kind = kinds[int(ratios[:, 0].argmax() if free else ratios[:, 0].argmin())]
                figures = np.nanmax(ratios, 0) if free else np.nanmin(ratios, 0)
                ratio = price[np.concatenate([asked.of_kind[k] for k in kinds])] / held[0]
                kept, cases = (ratio <= goal if free else ratio >= goal), len(ratio)
        few = len(figures) < 2 or n < FEWEST
        low, high = (np.nan, np.nan) if few else central(figures[1:])
        right, wrong = (high <= goal, low > goal) if free else (low >= goal, high < goal)
        found.append(
            {
                "rule": str(rule),
                "kind": kind,
                "figure": float(figures[0]),
                "low": float(low),
                "high": float(high),
                "sense": "at most" if free else "at least",
                "goal": float(goal),
                "share": float(kept.mean()) if len(kept) else np.nan,
                "cases": cases,
                "says": HOLDS if right else FAILS if wrong else OPEN,
                "unseen": unseen,
            }
        )
    columns = ["rule", "kind", "figure", "low", "high", "sense", "goal", "share", "cases", "says", "unseen"]
    return pd.DataFrame(found, columns=columns)


def _from_the_start(psi: Psi, walks: Sequence[Graph]) -> np.ndarray:
    """(W, steps) learned loss from the start of each walk to where it is after 1, 2, ... edits."""
    points = [points_of(psi, walk) for walk in walks]
    return (
        torch.stack([paired_distance(p, points[0]) for p in points[1:]], 1).numpy()
        if walks and len(walks[0])
        else np.zeros((0, 0))
    )
