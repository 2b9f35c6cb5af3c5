"""The questions that every loss is asked: many small changes to many graphs, made before any loss is known."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from elekit.audit.findings.conditions import Condition, what_edits_do, where_edits_are
from elekit.audit.findings.graph_traits import Count, Trait, counts_of, traits_of
from elekit.audit.patterns import plant, rewrite
from elekit.graphs import augment
from elekit.graphs.edits import KINDS, SINGLE
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes, node_colors, splitmix64
from elekit.inspect.edit_costs import EditSample, sample_edits

MOST = 300  # graphs asked about; of more a sample
EDITS = 24  # of each graph
WALKS, STEPS = 60, 6  # random walks over edits, and how many edits each
PAIRS, MOST_GIVEN = 300, 5_000  # pairs that share a trait, for each of LEVELS, and graphs they are looked for among
RARE = 0.01  # of the graphs have less or more of something than its usual range
REFERENCE = 4, 64  # rounds of refinement of the reference loss, the first of which sees labels only; numbers for each

# What two graphs may share, coarse to fine. A loss that sees no more than one of these cannot tell graphs that share it.
LEVELS = (
    "the number of nodes",
    "the counts of node labels",
    "the counts of node labels and of edge labels",
    "each node with the edges at it",
    "each node with its direct neighbors",
    "each node with its direct neighbors and the edges at them",
    "each node with what lies up to two edges away",
    "each node with what lies up to three edges away",
)


@dataclass(frozen=True, eq=False)
class Basis:
    """Interventions on a set of graphs; the same basis asks several losses the same questions.

    graphs: n discrete ones. sample: edits of them, single and paired. known: (E,) bool, whether an edit leads to one
    of the graphs that were given. walked: STEPS * w graphs, those of `walk_of` (w,) after 1, 2, ... edits.
    planted: graphs into which a small pattern was written, `host` (p,) which graph it was. rewritten: graphs one of
    whose edges and its two ends became another pattern, `rewrite_of` (r,) which graph it was, `rewrite` (r,) which
    row of `rewrites`, pairs of patterns such as ((1, 3, 2), (1, 2, 4)): label, edge, label. pairs: for each of LEVELS,
    rows (P, 2) of `everything`, of graphs that share this trait and not the next finer one. ranges: least and
    most of each of `counts_of` but for a few of the given graphs; beyond it a loss cannot have learned.
    """

    graphs: Graph
    sample: EditSample
    known: np.ndarray
    walked: Graph
    walk_of: Tensor
    planted: Graph
    host: Tensor
    rewritten: Graph
    rewrite_of: Tensor
    rewrite: Tensor
    rewrites: list[tuple[tuple[int, ...], tuple[int, ...]]]
    others: Graph
    pairs: list[Tensor]
    ranges: tuple[np.ndarray, np.ndarray]

    @cached_property
    def pool(self) -> Graph:
        """The graphs, then the results of their edits."""
        return Graph.cat([self.graphs, self.sample.results])

    @cached_property
    def everything(self) -> Graph:
        """The pool, then the others: what `Answers.points` are of."""
        return Graph.cat([self.pool, self.others])

    @cached_property
    def with_planted(self) -> Graph:
        """The pool, then the graphs with planted patterns."""
        return Graph.cat([self.pool, self.planted])

    @cached_property
    def origin(self) -> Tensor:
        """(of `with_planted`,) which graph each was made from."""
        return torch.cat([torch.arange(len(self.graphs)), self.sample.edits.row, self.host])

    @cached_property
    def traits(self) -> list[Trait]:
        """What graphs of `with_planted` may share."""
        return traits_of(self.with_planted)

    @cached_property
    def row(self) -> np.ndarray:
        """(E,) which graph each edit is of."""
        return self.sample.edits.row.numpy()

    @cached_property
    def single(self) -> np.ndarray:
        """(E,) bool: edits of one thing, which any loss should see; pairs of changes may cancel."""
        return self.sample.table["edit"].isin(SINGLE).to_numpy()

    @cached_property
    def what(self) -> list[Condition]:
        """What edits do."""
        return what_edits_do(self.sample)

    @cached_property
    def where(self) -> list[Condition]:
        """Where edits are."""
        return where_edits_are(self.sample)

    @cached_property
    def counts(self) -> list[Count]:
        """What can be counted in the graphs."""
        return counts_of(self.graphs)

    def common(self, graphs: Graph) -> np.ndarray:
        """(B,) bool: graphs of which nothing that can be counted is out of the usual range."""
        values = np.stack([count.values for count in counts_of(graphs)], 1)
        return ((values >= self.ranges[0]) & (values <= self.ranges[1])).all(1)

    @cached_property
    def usual(self) -> np.ndarray:
        """(E,) bool: edits whose result is in the usual range."""
        return self.common(self.sample.results)

    @cached_property
    def reference(self) -> Tensor:
        """(len(pool), 256) what the reference loss makes of the pool."""
        return reference(self.pool)

    @cached_property
    def identity(self) -> Tensor:
        """(len(pool), len(LEVELS) + 1) numbers that are equal where the trait is; the last tells graphs apart."""
        return levels(self.pool)


def make_basis(graphs: Graph, *, seed: int = 0, progress: bool = False) -> Basis:
    """The interventions; of more than 300 graphs a sample is drawn by the seed."""
    generator = torch.Generator().manual_seed(seed)
    given = graphs.detach().rounded()
    graphs = given
    if len(given) > MOST:
        graphs = given[torch.randperm(len(given), generator=generator)[:MOST]]
    sample = sample_edits(graphs, samples=EDITS, kinds=KINDS, seed=seed, progress=progress)
    known = np.isin(graph_hashes(sample.results, ROUNDS)[:, -1].numpy(), graph_hashes(given, ROUNDS)[:, -1].numpy())
    walk_of = torch.randperm(len(graphs), generator=generator)[:WALKS]
    walked, here = [], graphs[walk_of]
    for _ in range(STEPS):
        here = augment.random_edits(here, torch.ones(len(here), dtype=torch.long), generator)
        walked.append(here)
    planted, host = plant(graphs, generator)
    rewritten = rewrite(graphs, generator)
    others, pairs = level_pairs(graphs, sample, given[:MOST_GIVEN], seed)
    walks = Graph.cat(walked), walk_of
    return Basis(graphs, sample, known, *walks, planted, host, *rewritten, others, pairs, _ranges(given))


def _ranges(graphs: Graph) -> tuple[np.ndarray, np.ndarray]:
    """(counts,) what each count of graphs is at least and at most, but for a few."""
    values = np.stack([count.values for count in counts_of(graphs)])
    low, high = np.quantile(values, [RARE, 1 - RARE], axis=1, method="nearest")
    return low, high


def reference(graphs: Graph) -> Tensor:
    """(B, 256) unit vectors of a loss that nobody learned: what a sane one makes of graphs, roughly.

    Counts of the node colors after 0 to 3 rounds of refinement (the Weisfeiler-Lehman subtree kernel, Shervashidze
    et al. 2011), each color a random vector of signs (Weinberger et al. 2009), every round of the same weight.
    """
    rounds, width = REFERENCE
    parts = []
    for colors in node_colors(graphs, rounds - 1):
        bits = splitmix64(colors)[..., None] >> torch.arange(width)
        signs = ((bits & 1) * 2.0 - 1) * (colors != 0)[..., None]
        counts = signs.sum(1)
        parts.append(counts / counts.norm(dim=1, keepdim=True).clamp_min(1e-9))
    return torch.cat(parts, 1) / rounds**0.5


def levels(graphs: Graph) -> Tensor:
    """(B, len(LEVELS) + 1) numbers that are equal where the trait of that level is; the last tells graphs apart."""
    nodes, edges = (labels.long() for labels in graphs.labels())
    there, kinds = nodes > 0, splitmix64(-edges) * (edges > 0)  # -: no edge has the number of a label
    labels = (splitmix64(nodes) * there).sum(1)
    at_nodes = (splitmix64(splitmix64(nodes) + kinds.sum(2)) * there).sum(1)
    heard = splitmix64(splitmix64(-edges) + splitmix64(splitmix64(nodes) + kinds.sum(2))[:, None, :]) * (edges > 0)
    near = (splitmix64(splitmix64(splitmix64(nodes) + kinds.sum(2)) + heard.sum(2)) * there).sum(1)
    colors = graph_hashes(graphs, ROUNDS)
    coarse = torch.stack([there.sum(1), labels, splitmix64(labels) + kinds.sum((1, 2)), at_nodes], 1)
    return torch.cat([coarse, colors[:, 1:2], near[:, None], colors[:, 2:4], colors[:, -1:]], 1)


def level_pairs(graphs: Graph, sample: EditSample, given: Graph, seed: int) -> tuple[Graph, list[Tensor]]:
    """Pairs that share a trait and not the next finer one, for each of LEVELS, among graphs, edited and given ones.

    (those given graphs that are needed, [(P, 2), ...] rows of graphs, then results of edits, then those).
    """
    generator, whole = np.random.default_rng(seed), sample.table["connected"].to_numpy()
    allowed = np.concatenate([np.ones(len(graphs), bool), whole, np.ones(len(given), bool)])
    identity = torch.cat([levels(graphs), levels(sample.results), levels(given)])
    pairs = [_alike(identity[:, i], identity[:, i + 1], allowed, generator) for i in range(len(LEVELS))]
    first = len(graphs) + len(sample.results)
    needed = torch.cat(pairs).flatten().unique()
    needed = needed[needed >= first]
    place = torch.arange(len(identity))
    place[needed] = first + torch.arange(len(needed))
    return given[needed - first], [place[rows] for rows in pairs]


def _alike(same: Tensor, finer: Tensor, allowed: np.ndarray, generator) -> Tensor:
    """(P, 2) rows that agree in the first number and differ in the second, drawn at random; one graph of each kind."""
    order = generator.permutation(np.flatnonzero(allowed))
    key, rest = same.numpy()[order], finer.numpy()[order]
    first = generator.permutation(np.unique(np.stack([key, rest], 1), axis=0, return_index=True)[1])
    first = first[np.argsort(key[first], kind="stable")]
    rows, keys, found = order[first], key[first], [np.empty((0, 2), dtype=np.int64)]
    for step in (1, 2, 3):
        together = keys[:-step] == keys[step:]
        found.append(np.stack([rows[:-step][together], rows[step:][together]], 1))
    return torch.from_numpy(generator.permutation(np.concatenate(found))[:PAIRS])
