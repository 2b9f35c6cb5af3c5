"""Edits and walks on which rules are evaluated, drawn once so that losses are compared on the same ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.correction.rules import AtLeast, Grows, NearlyFree, Rule, kind_catalog, match_kinds, named_kinds
from elekit.evaluation.intervals import MIN_SAMPLES, bootstrap_weights, central_interval, weighted_medians
from elekit.graphs import augment
from elekit.graphs.edit_distance import edit_distance
from elekit.graphs.edits import PAIRED, SINGLE
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.inspect.edit_costs import EditSample, sample_edits
from elekit.model.loss import Psi, paired_distance, points_of

SAMPLES = 24  # edits per graph, evenly over its kinds
WALKS = 400
TRIES = 8  # per step of a walk
HOLDS, FAILS, UNPROVEN = "holds", "does not hold", "not proven"


class RuleProbes(NamedTuple):
    """A rule with the frequent kinds that it names, those it compares them with, and the rare kinds that it names."""

    rule: Rule
    kinds: tuple[str, ...]
    others: tuple[str, ...]
    unseen: tuple[str, ...]

    @property
    def testable(self) -> bool:  # whether there are edits to evaluate a rule about prices on
        return bool(self.kinds and (self.others or not getattr(self.rule, "of", ())))


@dataclass(frozen=True, eq=False)
class ProbeEdits:
    """Edits and walks of a batch of graphs."""

    sample: EditSample
    rows: dict[str, np.ndarray]  # of the sample, by kind
    reference: tuple[str, ...]  # kinds whose median sets the typical price
    rules: tuple[RuleProbes, ...]
    walks: tuple[Graph, ...]  # W graphs after 0, 1, ... edits
    walk_starts: Tensor  # (W,) rows of the graphs that walks start at

    @property
    def has_price_rules(self) -> bool:
        return any(not isinstance(probes.rule, Grows) for probes in self.rules)

    def draw(
        self, kinds: Sequence[str], count: int, generator: np.random.Generator
    ) -> tuple[PackedGraphs, PackedGraphs]:
        """Graphs before and after `count` random edits, evenly over the kinds."""
        which = generator.integers(len(kinds), size=count)
        places = generator.random(count)
        rows = [self.rows[kinds[k]] for k in which.tolist()]
        chosen = torch.tensor([some[int(place * len(some))] for some, place in zip(rows, places.tolist())])
        return self.sample.graphs[self.sample.edits.row[chosen]], self.sample.results[chosen]


def draw_probe_edits(
    graphs: GraphBatch, rules: Sequence[Rule], *, exact: bool = False, seed: int = 0, progress: bool = False
) -> ProbeEdits:
    """Draw valid edits of graphs and, for rules about growth, walks.

    exact: keep only walks along which the exact edit distance from the start is proven to grow; otherwise the number
    of differing labels grows, slot by slot.
    """
    vocabulary, named = graphs.vocabulary, named_kinds(rules, graphs.vocabulary)
    catalog = kind_catalog(vocabulary)
    paired = {catalog[kind].edit for kind in named}
    kinds = (*SINGLE, *(edit for edit in PAIRED if edit in paired))
    sample = sample_edits(graphs, samples=SAMPLES, kinds=kinds, seed=seed, progress=progress)
    groups = sample.table.groupby("kind")
    rows = {kind: np.asarray(found) for kind, found in groups.indices.items()}
    n_graphs, edit = groups["graph"].nunique(), groups["edit"].first()
    frequent = {kind for kind in rows if n_graphs[kind] >= min(MIN_SAMPLES, len(graphs))}
    single = [kind for kind in rows if kind in frequent and edit[kind] in SINGLE]
    reference = [kind for kind in single if kind not in named] or single
    probes = []
    for rule in rules:
        own = () if isinstance(rule, Grows) else match_kinds(rule.kinds, vocabulary)
        others = match_kinds(rule.of, vocabulary) if isinstance(rule, AtLeast) else ()
        found, found_others = (tuple(kind for kind in some if kind in frequent) for some in (own, others))
        unseen = tuple(kind for kind in (*own, *others) if kind not in frequent)
        probes.append(RuleProbes(rule, found, found_others, unseen))
    steps = max((rule.steps for rule in rules if isinstance(rule, Grows)), default=0)
    walks, starts = (
        _walks(sample.graphs.dense(), steps, exact, seed) if steps else ((), torch.zeros(0, dtype=torch.long))
    )
    return ProbeEdits(sample, rows, tuple(reference), tuple(probes), walks, starts)


def _walks(graphs: Graph, steps: int, exact: bool, seed: int) -> tuple[tuple[Graph, ...], Tensor]:
    """Graphs after 0, 1, ..., steps edits, and the row of each walk's start."""
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(graphs), (WALKS,), generator=generator)
    walks = [graphs[starts]]
    for _ in range(steps):
        here, after = walks[-1], walks[-1]
        moved = torch.zeros(len(here), dtype=torch.bool)
        distance = _label_distance(walks[0], here)
        for _ in range(TRIES):
            tried = augment.random_edits(here, torch.ones(len(here), dtype=torch.long), generator)
            better = ~moved & (_label_distance(walks[0], tried) > distance)
            after = Graph.cat([tried, after])[torch.where(better, 0, len(better)) + torch.arange(len(better))]
            moved |= better
        walks, starts = [walk[moved] for walk in (*walks, after)], starts[moved]
    if exact and len(starts):
        found = [edit_distance(walks[0], walk, timeout=0.2) for walk in walks]
        grows = (torch.stack([one.distance for one in found]).diff(dim=0) > 0).all(0)
        keep = grows & torch.stack([one.proven for one in found]).all(0)
        walks, starts = [walk[keep] for walk in walks], starts[keep]
    return tuple(walks), starts


def _label_distance(one: Graph, other: Graph) -> Tensor:
    """(B,) labels of nodes and of pairs that differ, slot by slot."""
    (nodes, edges), (others, links) = one.labels(), other.labels()
    return (nodes != others).sum(1) + (edges != links).sum((1, 2)) // 2


def evaluate_rules(psi: Psi, probes: ProbeEdits, *, seed: int = 0) -> pd.DataFrame:
    """Test whether a loss keeps each rule: one row per rule.

    Columns: rule (in words), kind (nearest to breaking it), figure, low and high (95 % bootstrap interval), sense
    ("at most" or "at least"), goal, share (of the cases that keep the rule: edits of the named kinds, or walks
    along which the loss always grows), cases, says ("holds" if the whole interval is on the right side of the goal,
    "does not hold" if it is on the wrong one, else "not proven"), unseen (named kinds in fewer than 5 graphs).

    figure: median price of a kind over the typical price, the median over kinds of the median prices of single edits
    that no rule names, or over the most expensive of the kinds `of`; of walks, the share of steps that grow.
    """
    price = probes.sample.prices(psi).numpy()
    n = len(probes.sample.graphs)
    weight = bootstrap_weights(n, np.random.default_rng(seed))
    weight = np.concatenate([np.ones((1, n), dtype=weight.dtype), weight])  # row 0 is the sample itself
    graph = probes.sample.edits.row.numpy()

    @cache
    def median(kind: str) -> np.ndarray:
        rows = probes.rows[kind]
        return weighted_medians(price[rows], graph[rows], weight)

    def relative(one: RuleProbes) -> tuple[np.ndarray, float]:
        """(kinds, draws) medians over those of what they are compared with, and the latter in the sample."""
        medians = [median(kind) for kind in one.others or probes.reference]
        held = np.nanmax(medians, 0) if one.others else np.nanmedian(medians, 0)
        return np.stack([median(kind) for kind in one.kinds]) / held, float(held[0])

    distances = _distances_from_start(psi, probes.walks)
    found = []
    for one in probes.rules:
        rule, unknown = one.rule, np.full(1, np.nan)
        kept: np.ndarray = np.zeros(0, dtype=bool)
        kind, cases, figures = "", 0, unknown
        at_most = isinstance(rule, NearlyFree)
        if isinstance(rule, Grows):
            goal = rule.share
            grown = np.diff(distances[:, : rule.steps], axis=1) > 0
            drawn = weight[:, probes.walk_starts.numpy()]
            figures = (drawn @ grown.mean(1)) / np.maximum(drawn.sum(1), 1) if len(grown) else unknown
            kept, cases = np.asarray(grown.all(1)), len(grown)
        else:
            goal = rule.at_most if isinstance(rule, NearlyFree) else rule.times
            if one.testable:
                ratios, held = relative(one)
                kind = one.kinds[int(ratios[:, 0].argmax() if at_most else ratios[:, 0].argmin())]
                figures = np.nanmax(ratios, 0) if at_most else np.nanmin(ratios, 0)
                ratio = price[np.concatenate([probes.rows[k] for k in one.kinds])] / held
                kept, cases = np.asarray(ratio <= goal if at_most else ratio >= goal), len(ratio)
        few = len(figures) < 2 or n < MIN_SAMPLES
        low, high = (np.nan, np.nan) if few else central_interval(figures[1:])
        right, wrong = (high <= goal, low > goal) if at_most else (low >= goal, high < goal)
        share = float(kept.mean()) if len(kept) else np.nan
        sense, verdict = "at most" if at_most else "at least", HOLDS if right else FAILS if wrong else UNPROVEN
        measured = (float(figures[0]), float(low), float(high), sense, float(goal))
        found.append((str(rule), kind, *measured, share, cases, verdict, one.unseen))
    columns = ["rule", "kind", "figure", "low", "high", "sense", "goal", "share", "cases", "says", "unseen"]
    return pd.DataFrame(found, columns=columns)


def _distances_from_start(psi: Psi, walks: Sequence[Graph]) -> np.ndarray:
    """(W, steps) learned loss between the start of each walk and its graph after 1, 2, ... edits."""
    if not walks or not len(walks[0]):
        return np.zeros((0, 0))
    points = [points_of(psi, walk) for walk in walks]
    return torch.stack([paired_distance(p, points[0]) for p in points[1:]], 1).numpy()
