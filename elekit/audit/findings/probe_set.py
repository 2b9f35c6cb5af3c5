"""The probe set: many small changes to many graphs, built once and evaluated under any loss."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from elekit.audit.findings.conditions import Condition, edit_conditions, edit_locations
from elekit.audit.findings.graph_traits import Trait, graph_counts, graph_traits
from elekit.audit.findings.subgroups import Space
from elekit.audit.patterns import Pattern, plant, rewrite
from elekit.graphs import Graph, augment
from elekit.graphs.budget import Clock
from elekit.graphs.edits import KINDS, SINGLE
from elekit.graphs.features import is_connected, reachable
from elekit.graphs.graph import GraphBatch, by_blocks
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.weisfeiler_lehman import ROUNDS, color_occurrences, graph_hashes, splitmix64
from elekit.inspect.edit_costs import EditSample, sample_edits

MAX_GRAPHS = 300
EDITS = 24  # per graph
WALKS, STEPS = 60, 6  # random walks over edits, and edits per walk
PAIRS, MAX_GIVEN = 300, 5_000  # pairs per level of LEVELS, and graphs among which they are drawn
RARE = 0.01  # share of the graphs below and above the usual range of a count
REFERENCE = 4, 64  # Weisfeiler-Lehman rounds of the reference loss (the first: labels only), dimensions per round
BLOCK = 65_536  # nodes hashed at a time

# What two graphs may share, coarse to fine. A loss that sees only one of these cannot separate graphs that share it.
LEVELS = (
    "the number of nodes",
    "node label counts",
    "node and edge label counts",
    "each node with its edges",
    "each node with its neighbors",
    "each node with its neighbors and their edges",
    "what lies within two edges of each node",
    "what lies within three edges of each node",
)


@dataclass(frozen=True, eq=False)
class ProbeSet:
    """Interventions on a set of graphs, the same for every loss that is audited with it."""

    graphs: Graph  # n graphs that are probed, discrete
    sample: EditSample  # E single and paired edits of them
    known: np.ndarray  # (E,) bool, whether an edit leads to one of the given graphs
    walks: PackedGraphs  # STEPS * w graphs: w random walks after 1, 2, ... edits
    walk_start: Tensor  # (w,) rows of `graphs`
    planted: PackedGraphs  # p graphs with a small pattern written into them
    planted_row: Tensor  # (p,) rows of `graphs`
    rewritten: PackedGraphs  # r graphs with one edge and its two ends replaced by another pattern
    rewritten_row: Tensor  # (r,) rows of `graphs`
    rewrite_index: Tensor  # (r,) rows of `rewrites`
    rewrites: list[tuple[Pattern, Pattern]]  # such as ((1, 3, 2), (1, 2, 4)): label, edge, label
    extra: PackedGraphs  # further given graphs that `pairs` needs
    pairs: list[Tensor]  # for each of LEVELS, rows (P, 2) of `all_graphs` that share it but not the next finer one
    ranges: tuple[np.ndarray, np.ndarray]  # of `graph_counts` of the given graphs, but for the rarest 1 % at each end

    @cached_property
    def pool(self) -> PackedGraphs:
        """The n graphs, then the E results of their edits."""
        return PackedGraphs.cat([self.graphs, self.sample.results])

    @cached_property
    def all_graphs(self) -> PackedGraphs:
        """The pool, then the extra graphs: the graphs of `Responses.points`."""
        return PackedGraphs.cat([self.pool, self.extra])

    @cached_property
    def with_planted(self) -> PackedGraphs:
        """The pool, then the p graphs with planted patterns."""
        return PackedGraphs.cat([self.pool, self.planted])

    @cached_property
    def origin(self) -> Tensor:
        """(n + E + p,) rows of `graphs` that `with_planted` were made from."""
        return torch.cat([torch.arange(len(self.graphs)), self.sample.edits.row, self.planted_row])

    @cached_property
    def components(self) -> tuple[Graph, Tensor]:
        """Connected components, alone, of up to 300 graphs of the pool that have several, and their rows (c,)."""
        rows = (~is_connected(self.pool)).nonzero()[:, 0]
        rows = rows[:: 1 + len(rows) // MAX_GRAPHS]
        nodes, edges = (labels.long() for labels in self.pool[rows].labels())
        linked, present = reachable(edges), nodes > 0
        first = present & ~(linked.tril(-1) & present[:, None, :]).any(2)  # of its component
        graph, root = first.nonzero().T
        kept = linked[graph, root] & present[graph]
        alone = edges[graph] * (kept[:, :, None] & kept[:, None, :])
        return Graph.from_labels(nodes[graph] * kept, alone, self.pool.vocabulary), rows[graph]

    @cached_property
    def traits(self) -> list[Trait]:
        return graph_traits(self.with_planted)

    @cached_property
    def edit_row(self) -> np.ndarray:
        """(E,) rows of `graphs` that the edits change."""
        return self.sample.edits.row.numpy()

    @cached_property
    def single(self) -> np.ndarray:
        """(E,) bool: edits of one thing, which any loss should see; paired changes may cancel."""
        return self.sample.table["edit"].isin(SINGLE).to_numpy()

    @cached_property
    def conditions(self) -> list[Condition]:
        return edit_conditions(self.sample)

    @cached_property
    def locations(self) -> list[Condition]:
        return edit_locations(self.sample)

    @property
    def space(self) -> Space:
        """What `find_subgroups` describes edits by."""
        return self.edit_row, self.conditions, self.locations

    def in_range(self, graphs: GraphBatch) -> np.ndarray:
        """(B,) bool: graphs whose counts all lie within the usual ranges."""
        values = np.stack([count.values for count in graph_counts(graphs)], 1)
        return np.all((values >= self.ranges[0]) & (values <= self.ranges[1]), axis=1)

    @cached_property
    def usual(self) -> np.ndarray:
        """(E,) bool: edits whose results lie within the usual ranges."""
        return self.in_range(self.sample.results)

    @cached_property
    def reference(self) -> Tensor:
        """(n + E, 256) points of the pool under the reference loss."""
        return reference(self.pool)

    @cached_property
    def codes(self) -> Tensor:
        return level_codes(self.pool)


def make_probe_set(
    graphs: GraphBatch, *, size: int = MAX_GRAPHS, seed: int = 0, budget: float | Clock | None = None,
    progress: bool | None = None,
) -> ProbeSet:  # fmt: skip
    """Build the probe set of some graphs. It does not depend on a loss, so several losses can share it.

    Args:
        graphs: Training graphs.
        size: Largest number of graphs; of more a sample is drawn.
        seed: Seed of every random choice.
        budget: Seconds for the edits of the graphs; then the probe set has fewer graphs.
        progress: As in `Clock.track`.

    Returns:
        The probe set.
    """
    generator = torch.Generator().manual_seed(seed)
    given, chosen = PackedGraphs.of(graphs), torch.arange(len(graphs))
    if len(given) > size:
        chosen = torch.randperm(len(given), generator=generator)[:size]
    sample = sample_edits(given[chosen], samples=EDITS, kinds=KINDS, seed=seed, budget=budget, progress=progress)
    graphs = sample.graphs.dense()
    known = np.isin(graph_hashes(sample.results, ROUNDS)[:, -1].numpy(), graph_hashes(given, ROUNDS)[:, -1].numpy())
    walk_start = torch.randperm(len(graphs), generator=generator)[:WALKS]
    walks, current = [], graphs[walk_start]
    for _ in range(STEPS):
        current = augment.random_edits(current, torch.ones(len(current), dtype=torch.long), generator)
        walks.append(current)
    planted, planted_row = plant(graphs, generator)
    rewritten, rewritten_row, rewrite_index, rewrites = rewrite(graphs, generator)
    extra, pairs = level_pairs(graphs, sample, given[:MAX_GIVEN], seed)
    counts = np.stack([count.values for count in graph_counts(given)])
    low, high = np.quantile(counts, [RARE, 1 - RARE], axis=1, method="nearest")
    return ProbeSet(
        graphs, sample, known, PackedGraphs.cat(walks), walk_start, planted, planted_row, rewritten, rewritten_row,
        rewrite_index, rewrites, extra, pairs, (low, high),
    )  # fmt: skip


def reference(graphs: GraphBatch) -> Tensor:
    """(B, 256) points of an untrained reference loss: hashed subtree counts (Shervashidze et al. 2011)."""
    rounds, width = REFERENCE
    parts = []
    for row, colors in color_occurrences(graphs, rounds - 1):
        counts = torch.zeros(len(graphs), width)
        for some, hashed in zip(row.split(BLOCK), splitmix64(colors).split(BLOCK)):
            counts.index_add_(0, some, (hashed[:, None] >> torch.arange(width) & 1) * 2.0 - 1)
        parts.append(counts / counts.norm(dim=1, keepdim=True).clamp_min(1e-9))
    return torch.cat(parts, 1) / rounds**0.5


def level_codes(graphs: GraphBatch) -> Tensor:
    """(B, len(LEVELS) + 1) codes that are equal where graphs agree at that level; the last separates graphs."""
    return by_blocks(_level_codes, graphs)


def _level_codes(graphs: Graph) -> Tensor:
    nodes, edges = (labels.long() for labels in graphs.labels())
    present, kinds = nodes > 0, splitmix64(-edges) * (edges > 0)  # -: edge codes differ from node codes
    labels = (splitmix64(nodes) * present).sum(1)
    with_edges = splitmix64(splitmix64(nodes) + kinds.sum(2))
    at_nodes = (with_edges * present).sum(1)
    messages = splitmix64(splitmix64(-edges) + with_edges[:, None, :]) * (edges > 0)
    near = (splitmix64(with_edges + messages.sum(2)) * present).sum(1)
    colors = graph_hashes(graphs, ROUNDS)
    coarse = torch.stack([present.sum(1), labels, splitmix64(labels) + kinds.sum((1, 2)), at_nodes], 1)
    return torch.cat([coarse, colors[:, 1:2], near[:, None], colors[:, 2:4], colors[:, -1:]], 1)


def level_pairs(
    graphs: GraphBatch, sample: EditSample, given: PackedGraphs, seed: int
) -> tuple[PackedGraphs, list[Tensor]]:
    """The given graphs that are needed, and `ProbeSet.pairs`."""
    generator, connected = np.random.default_rng(seed), sample.table["connected"].to_numpy()
    allowed = np.concatenate([np.ones(len(graphs), bool), connected, np.ones(len(given), bool)])
    codes = torch.cat([level_codes(graphs), level_codes(sample.results), level_codes(given)])
    pairs = [_pairs_at(codes[:, i], codes[:, i + 1], allowed, generator) for i in range(len(LEVELS))]
    first = len(graphs) + len(sample.results)
    needed = torch.cat(pairs).flatten().unique()
    needed = needed[needed >= first]
    place = torch.arange(len(codes))
    place[needed] = first + torch.arange(len(needed))
    return given[needed - first], [place[rows] for rows in pairs]


def _pairs_at(code: Tensor, finer: Tensor, allowed: np.ndarray, generator: np.random.Generator) -> Tensor:
    """(P, 2) random rows with equal code and different finer code; of each finer code one graph."""
    order = generator.permutation(np.flatnonzero(allowed))
    key, rest = code.numpy()[order], finer.numpy()[order]
    first = generator.permutation(np.unique(np.stack([key, rest], 1), axis=0, return_index=True)[1])
    first = first[np.argsort(key[first], kind="stable")]
    rows, keys, found = order[first], key[first], [np.empty((0, 2), dtype=np.int64)]
    for step in (1, 2, 3):
        same = keys[:-step] == keys[step:]
        found.append(np.stack([rows[:-step][same], rows[step:][same]], 1))
    return torch.from_numpy(generator.permutation(np.concatenate(found))[:PAIRS])
