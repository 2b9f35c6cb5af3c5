"""Random views of graphs for contrastive learning: edits within capacities, softening, node orders.

Views of packed graphs are made on the device of the generator; work and memory follow the number of nodes and edges.
"""

from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary
from elekit.graphs.packed import PackedGraphs, RelaxedPackedGraphs, cumulative, ranges, sorted_pairs

EDIT_KINDS = ("relabel", "change edge", "change any pair", "add node", "remove node")
TRIES = 8  # draws of an edit
SOFT_NODES = 2  # absent nodes that softening adds to a packed graph
SOFT_PAIRS = 4  # pairs per node of a packed graph that are softened, in addition to edges


@overload
def random_edits(
    graphs: Graph, counts: Tensor, generator: torch.Generator, frequencies: Tensor | None = None
) -> Graph: ...
@overload
def random_edits(
    graphs: PackedGraphs, counts: Tensor, generator: torch.Generator, frequencies: Tensor | None = None
) -> PackedGraphs: ...
def random_edits(
    graphs: GraphBatch, counts: Tensor, generator: torch.Generator, frequencies: Tensor | None = None
) -> GraphBatch:
    """Apply random single edits to discrete graphs; edits that exceed a capacity are drawn again.

    An edit relabels a node, changes, adds or removes an edge, attaches a new node, or removes a node with at most one
    edge. An edit that fails 8 draws is skipped, so some graphs have fewer edits.

    Args:
        graphs: B graphs. Dense ones are rounded and keep their slots.
        counts: (B,) number of edits of each graph.
        generator: Source of randomness.
        frequencies: (K,) weights of new node labels, >= 0; None for equal weights.

    Returns:
        B graphs of the same form.
    """
    names, device = graphs.vocabulary, generator.device
    counts = counts.to(device).long()
    weights = torch.ones(names.K) if frequencies is None else frequencies.float()
    weights = torch.cat([weights.new_zeros(1), weights[1:]]).to(device)
    if isinstance(graphs, Graph):
        return _edited(_Sites.of_slots(graphs, device), counts, names, weights, generator).in_slots_of(graphs)
    packed = PackedGraphs.of(graphs).to(device)
    return _edited(_Sites.of_packed(packed, counts), counts, names, weights, generator).packed(names)


@dataclass(frozen=True, eq=False)
class _Sites:
    """B graphs as sites that hold a node or nothing (label 0), and edges (fields as of `PackedGraphs`)."""

    offsets: Tensor
    labels: Tensor
    pairs: Tensor
    kinds: Tensor

    @classmethod
    def of_slots(cls, graph: Graph, device: torch.device) -> "_Sites":
        nodes, edges = (labels.to(device) for labels in graph.labels())
        B, N = nodes.shape
        b, i, j = edges.triu(1).nonzero().T
        offsets = torch.arange(B + 1, device=device) * N
        return cls(offsets, nodes.flatten(), torch.stack([b * N + i, b * N + j]), edges[b, i, j])

    @classmethod
    def of_packed(cls, graphs: PackedGraphs, spare: Tensor) -> "_Sites":
        """With up to `spare` (B,) empty sites in each graph, within the limit of the vocabulary."""
        sizes = torch.minimum(graphs.sizes + spare, (graphs.sizes).clamp_min(graphs.vocabulary.max_nodes))
        offsets = cumulative(sizes)
        place = ranges(offsets[:-1], graphs.sizes)
        labels = place.new_zeros(int(offsets[-1]))
        labels[place] = graphs.node_labels.long()
        return cls(offsets, labels, place[graphs.pairs], graphs.edge_labels.long())

    def in_slots_of(self, graph: Graph) -> Graph:
        B, N = graph.nodes.shape[:2]
        edges = self.kinds.new_zeros(B, N, N)
        b, (i, j) = self.pairs[0] // N, self.pairs % N
        edges[b, i, j], edges[b, j, i] = self.kinds, graph.vocabulary.turn(self.kinds)
        return Graph.from_labels(self.labels.reshape(B, N), edges, graph.vocabulary).to(graph.nodes)

    def packed(self, vocabulary: GraphVocabulary) -> PackedGraphs:
        number = cumulative((self.labels > 0).long())
        labels, kinds = self.labels[self.labels > 0].to(torch.int16), self.kinds.to(torch.int16)
        return PackedGraphs(number[self.offsets], labels, number[self.pairs], kinds, vocabulary)

    def chosen(self, sites: Tensor) -> "_Choices":
        """The marked (S,) sites of each graph."""
        before = cumulative(sites.long())[self.offsets]
        return _Choices(torch.cat([sites.nonzero()[:, 0], sites.new_zeros(1).long()]), before[:-1], before.diff())


@dataclass(frozen=True, eq=False)
class _Choices:
    """Some sites of each graph: all of them in order, and the first and the number of those of each graph (B,)."""

    sites: Tensor
    first: Tensor
    counts: Tensor

    def pick(self, rows: Tensor, number: Tensor) -> Tensor:
        """The site of that number in each of some graphs; any site if there is none."""
        return self.sites[self.first[rows] + torch.where(self.counts[rows] > 0, number, 0)]


def _edited(
    sites: _Sites, counts: Tensor, vocabulary: GraphVocabulary, weights: Tensor, generator: torch.Generator
) -> _Sites:
    for done in range(int(counts.max()) if len(counts) else 0):
        sites = _edit(sites, (counts > done).nonzero()[:, 0], vocabulary, weights, generator)
    return sites


def _edit(
    sites: _Sites, rows: Tensor, vocabulary: GraphVocabulary, weights: Tensor, generator: torch.Generator
) -> _Sites:
    """After one random edit of each of the graphs `rows` (n,), but for those of which no draw fits.

    A proposed edit gives one site another label and one pair another kind, or one of both; the changes of the load of
    the two ends tell whether it fits.
    """
    S, R, device = len(sites.labels), vocabulary.R, sites.labels.device
    order, capacity = vocabulary.edge_orders.to(device), vocabulary.node_capacities.to(device)
    labels, pairs, kinds = sites.labels, sites.pairs, sites.kinds
    ends = pairs.flatten()
    load = torch.zeros(S, device=device).index_add_(0, ends, order[kinds].repeat(2))
    present, degree = labels > 0, torch.bincount(ends, minlength=S)
    nodes, leaves, free = (sites.chosen(some) for some in (present, present & (degree <= 1), ~present))
    first_edge = torch.searchsorted(pairs[0].contiguous(), sites.offsets)
    keys = torch.cat([pairs[0] * S + pairs[1], pairs.new_full((1,), S * S)])  # the last: no pair
    pairs, kinds = torch.cat([pairs, pairs.new_zeros(2, 1)], 1), torch.cat([kinds, kinds.new_zeros(1)])

    def below(count: Tensor) -> Tensor:
        """A random number of 0 to count - 1 for each count; 0 if there is none."""
        drawn = (torch.rand(count.shape, generator=generator, device=device) * count).long()
        return drawn.minimum((count - 1).clamp_min(0))

    def label_other_than(old: Tensor) -> Tensor:
        """A label by weight; 0 if there is no other one."""
        chances = weights.repeat(len(old), 1).scatter_(1, old[:, None], 0)
        drawn = torch.rand(len(old), generator=generator, device=device)
        total = chances.cumsum(1)
        label = torch.searchsorted(total, (drawn * total[:, -1])[:, None], right=True)[:, 0]
        return torch.where(total[:, -1] > 0, label.clamp_max(len(weights) - 1), 0)

    def draw(rows: Tensor) -> tuple[Tensor, Tensor]:
        """Site, label, i, j and kind (5, n) of a random edit of each of some graphs, and whether it fits."""
        count, every = nodes.counts[rows], torch.full_like(rows, R - 1)
        number = below(count)
        another = (number + 1 + below(count - 1)) % count.clamp_min(1)
        first, other = nodes.pick(rows, number), nodes.pick(rows, another)
        leaf, slot = leaves.pick(rows, below(leaves.counts[rows])), free.pick(rows, below(free.counts[rows]))
        size = first_edge.diff()[rows]
        edge = torch.where(size > 0, first_edge[rows] + below(size), len(kinds) - 1)
        kind = torch.randint(len(EDIT_KINDS), rows.shape, generator=generator, device=device)
        linked = (kind == EDIT_KINDS.index("change edge")) & (size > 0)
        low = torch.where(linked, pairs[0, edge], first.minimum(other))
        high = torch.where(linked, pairs[1, edge], first.maximum(other))
        place = torch.searchsorted(keys, low * S + high)
        old = torch.where(keys[place] == low * S + high, kinds[place], 0)
        new, bond, nothing = (old + 1 + below(every)) % R, 1 + below(every), torch.zeros_like(rows)
        relabeled, hung = label_other_than(labels[first]), label_other_than(nothing)
        change = order[new] - order[old]

        def of_kind(*options: Tensor) -> Tensor:
            return torch.stack(options).gather(0, kind[None])[0]

        site = of_kind(first, low, low, slot, leaf)
        label = of_kind(relabeled, labels[low], labels[low], hung, nothing)
        i, j = of_kind(first, low, low, first, leaf), of_kind(first, high, high, slot, leaf)
        link = of_kind(nothing, new, new, bond, nothing)
        more = of_kind(0 * load[first], change, change, order[bond], -load[leaf])
        fits = of_kind(
            (count > 0) & (relabeled > 0), low != high, low != high,
            (count > 0) & (free.counts[rows] > 0) & (hung > 0), (count > 1) & (leaves.counts[rows] > 0),
        )  # fmt: skip
        for end in (i, j):
            fits &= load[end] + more <= capacity[torch.where(end == site, label, labels[end])]
        return torch.stack([site, label, i, j, link]), fits

    made = []
    for _ in range(TRIES):
        edits, fits = draw(rows)
        made.append(edits[:, fits])
        rows = rows[~fits]
    site, label, i, j, link = torch.cat(made, 1)
    labels = labels.clone()
    labels[site] = label
    pairs, kinds = torch.cat([pairs[:, :-1], torch.stack([i, j])], 1), torch.cat([kinds[:-1], link])
    kinds = torch.where((labels[pairs] > 0).all(0) & (pairs[0] != pairs[1]), kinds, 0)
    return _Sites(sites.offsets, labels, *sorted_pairs(pairs, kinds, S, vocabulary))


@overload
def softened(graph: Graph, amounts: Tensor, generator: torch.Generator) -> Graph: ...
@overload
def softened(graph: PackedGraphs, amounts: Tensor, generator: torch.Generator) -> RelaxedPackedGraphs: ...
def softened(graph: GraphBatch, amounts: Tensor, generator: torch.Generator) -> GraphBatch:
    """Mix each row with a uniform random point u of its simplex: `(1 - a) y + a u`.

    Gradient decoding moves through the interior of the polytope, where only softened views train the loss. Of dense
    graphs all slots and pairs are mixed, of packed ones the nodes, the edges, 2 absent nodes (within the limit of
    the vocabulary), and up to 4 random other pairs per node: all pairs of small graphs.

    Args:
        graph: B graphs.
        amounts: (B,) weight a of the random points, in [0, 1].
        generator: Source of randomness.

    Returns:
        B relaxed graphs.
    """
    if isinstance(graph, Graph):
        return _softened_slots(graph, amounts, generator)
    device, R = generator.device, graph.vocabulary.R
    graphs, amounts = PackedGraphs.of(graph).to(device), amounts.to(device).float()
    room = (graph.vocabulary.max_nodes - graphs.sizes).clamp(0, SOFT_NODES)
    sizes = graphs.sizes + room * (amounts > 0)
    offsets = cumulative(sizes)
    place = ranges(offsets[:-1], graphs.sizes)
    labels = place.new_zeros(int(offsets[-1]))
    labels[place] = graphs.node_labels.long()
    total = sizes * (sizes - 1) // 2 * (amounts > 0)
    drawn = total.minimum(SOFT_PAIRS * sizes)
    row = torch.arange(len(sizes), device=device).repeat_interleave(drawn)
    number = ranges(torch.zeros_like(drawn), drawn)
    at_random = (torch.rand(len(row), generator=generator, device=device, dtype=torch.double) * total[row]).long()
    number = torch.where((drawn < total)[row], at_random, number)
    high = ((1 + (1 + 8 * number.double()).sqrt()) / 2 + 1e-9).long()  # pairs (0, 1), (0, 2), (1, 2), (0, 3), ...
    others = torch.stack([number - high * (high - 1) // 2, high]) + offsets[row]
    kinds = torch.cat([torch.zeros_like(row), graphs.edge_labels.long()])
    listed = torch.cat([others, place[graphs.pairs]], 1)
    pairs, kinds = sorted_pairs(listed, kinds, len(labels), graph.vocabulary, keep_empty=True)
    weights = amounts.repeat_interleave(sizes)
    rows = [(labels, graph.vocabulary.K, weights), (kinds, R, weights[pairs[0]])]
    nodes, edges = (
        torch.lerp(torch.eye(width, device=device)[own], _uniform_simplex((len(own), width), generator), a[:, None])
        for own, width, a in rows
    )
    return RelaxedPackedGraphs(offsets, nodes, pairs, edges, graph.vocabulary)


def _softened_slots(graph: Graph, amounts: Tensor, generator: torch.Generator) -> Graph:
    B, N, K = graph.nodes.shape
    R = graph.vocabulary.R
    noise_nodes = _uniform_simplex((B, N, K), generator).to(graph.nodes)
    noise_edges = _uniform_simplex((B, N, N, R), generator).to(graph.nodes)
    upper = torch.ones(N, N, dtype=torch.bool).triu(1)[None, ..., None].to(noise_edges.device)
    noise_edges = torch.where(upper, noise_edges, graph.vocabulary.turn_rows(noise_edges.transpose(1, 2)))
    a = amounts.to(graph.nodes)
    nodes = torch.lerp(graph.nodes, noise_nodes, a[:, None, None])
    edges = torch.lerp(graph.edges, noise_edges, a[:, None, None, None])
    return Graph(nodes, edges, graph.vocabulary).symmetrized()


def _uniform_simplex(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    exponential = -torch.rand(shape, generator=generator, device=generator.device).clamp_min(1e-7).log()
    return exponential / exponential.sum(-1, keepdim=True)


def shuffled(graph: GraphBatch, generator: torch.Generator) -> Graph:
    """Draw an order of the node slots of each graph."""
    dense = graph.dense()
    order = torch.rand(dense.nodes.shape[:2], generator=generator, device=generator.device).argsort(-1)
    return dense.permuted(order.to(dense.nodes.device))
