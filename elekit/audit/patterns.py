"""Small patterns of labels along one or two edges: listed, named, written into graphs, replaced by one another.

A pattern is a tuple of channels along a path: (label, edge, label) or (label, edge, label, edge, label).
"""

import itertools

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from elekit.graphs.edits import Edits
from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary
from elekit.graphs.packed import PackedGraphs, cumulative, ranges
from elekit.inspect.edit_scan import valid

Pattern = tuple[int, ...]
MAX_PATTERNS, HOSTS, MAX_SLOTS = 240, 8, 16  # patterns that are planted, graphs per pattern, slots for long ones
REWRITES = 8  # per pair of patterns
TRIES = 4  # for each of these graphs, as some are no molecules
MAX_SITES, MAX_REWRITES = 10_000, 1_000  # edges that are rewritten, each both ways; pairs of patterns


def pattern_name(pattern: Pattern, vocabulary: GraphVocabulary) -> str:
    """Labels along the path: "C double O", "F single C single F"."""
    names = (vocabulary.node_labels, vocabulary.edge_names[1:])
    return " ".join(names[place % 2][k - 1] for place, k in enumerate(pattern))


def patterns(vocabulary: GraphVocabulary, long: bool) -> list[Pattern]:
    """All patterns of two nodes, or of three (long), within the capacities; each from one end only."""
    order, capacity = vocabulary.edge_orders.tolist(), vocabulary.node_capacities.tolist()
    labels, links = range(1, vocabulary.K), range(1, vocabulary.R)
    ends = [(k, r) for k, r in itertools.product(labels, links) if order[r] <= capacity[k]]
    if not long:
        return [(a, r, b) for a, r in ends for b in labels if a <= b and order[r] <= capacity[b]]
    pairs, back = list(itertools.combinations_with_replacement(ends, 2)), vocabulary.reverse.tolist()
    return [(a, r, c, back[s], b) for c in labels for (a, r), (b, s) in pairs if order[r] + order[s] <= capacity[c]]


def plant(graphs: Graph, generator: torch.Generator) -> tuple[PackedGraphs, Tensor]:
    """Write patterns over paths of two or three nodes, each in several graphs: valid results, and the row of each.

    Of more than 240 patterns, some are drawn, by the frequencies of their labels.
    """
    vocabulary = graphs.vocabulary
    nodes, edges = (labels.long() for labels in graphs.labels())
    chosen = _drawn(patterns(vocabulary, long=False), nodes, generator)
    if len(chosen) < MAX_PATTERNS:
        longer = patterns(vocabulary, long=True)
        more = torch.randperm(len(longer), generator=generator)[: MAX_PATTERNS - len(chosen)]
        chosen = chosen + [longer[i] for i in more.tolist()]
    paths = {3: _paths(edges, 2, generator), 5: _paths(edges, 3, generator)}
    load = vocabulary.edge_orders[edges].sum(-1)
    found = [_planted(edges, load, paths[len(p)], p, vocabulary, generator) for p in chosen]
    pattern = torch.arange(len(found)).repeat_interleave(torch.tensor([len(edits) for edits in found]))
    edits = Edits.cat(found)
    made = edits.results(graphs)
    kept = valid(made, canonical=True).nonzero()[:, 0]
    kept = kept[_ranks(pattern[kept]) < HOSTS]
    return made[kept], edits.row[kept]


def _ranks(groups: Tensor) -> Tensor:
    """(n,) number of each entry in its group, from 0; `groups` are whole numbers, ascending."""
    return torch.arange(len(groups)) - cumulative(groups.bincount())[groups]


def _drawn(found: list[Pattern], nodes: Tensor, generator: torch.Generator) -> list[Pattern]:
    """Up to 240 of some patterns of two nodes, by the frequencies of their labels in channels (B, N)."""
    if len(found) <= MAX_PATTERNS:
        return found
    frequency = nodes.flatten().bincount(minlength=int(nodes.max()) + 1).float() + 1  # 1: every label has a chance
    frequency = torch.cat([frequency, torch.ones(max(a + b for a, _, b in found))])
    ends = torch.tensor([(a, b) for a, _, b in found])
    drawn = frequency[ends].prod(1).multinomial(MAX_PATTERNS, generator=generator)
    return [found[i] for i in drawn.tolist()]


def _paths(edges: Tensor, length: int, generator: torch.Generator, limit: int = 2_000) -> Tensor:
    """(P, 1 + length) random paths of two or three nodes: the graph, then the nodes."""
    N, rows = edges.shape[1], torch.arange(len(edges))
    if length == 3:
        rows = torch.randperm(len(edges), generator=generator)[:100]  # graphs; each has many paths
    b, i, j = (edges[rows] > 0).nonzero().T
    found = torch.stack([rows[b], i, j], 1)
    if length == 3:
        counts = torch.bincount(b * N + i, minlength=len(rows) * N)  # edges from each node
        onward = counts[b * N + j]
        before = torch.arange(len(b)).repeat_interleave(onward)
        after = ranges(cumulative(counts)[b * N + j], onward)
        kept = j[after] != i[before]
        found = torch.cat([found[before[kept]], j[after[kept]][:, None]], 1)
    return found[torch.randperm(len(found), generator=generator)[:limit]]


def _planted(
    edges: Tensor, load: Tensor, paths: Tensor, pattern: Pattern, vocabulary: GraphVocabulary,
    generator: torch.Generator,
) -> Edits:  # fmt: skip
    """A pattern over up to TRIES * HOSTS paths in different graphs, within capacities; load: (B, N)."""
    order, capacity = vocabulary.edge_orders, vocabulary.node_capacities
    row, path = paths[:, 0], paths[:, 1:]
    load = load[row[:, None], path]  # (P, nodes of the path)
    for place, r in enumerate(pattern[1::2]):
        more = order[r] - order[edges[row, path[:, place], path[:, place + 1]]]
        load[:, place] += more
        load[:, place + 1] += more
    ends, links = torch.tensor(pattern[::2]), torch.tensor(pattern[1::2])
    fine = (load <= capacity[ends]).all(1).nonzero()[:, 0]
    fine = fine[torch.randperm(len(fine), generator=generator)]
    first = torch.from_numpy(np.unique(row[fine].numpy(), return_index=True)[1]).long()
    chosen = fine[first[torch.randperm(len(first), generator=generator)[: TRIES * HOSTS]]]
    n = len(chosen)
    return _overwriting(row[chosen], path[chosen], ends.expand(n, -1), links.expand(n, -1))


def _overwriting(row: Tensor, path: Tensor, labels: Tensor, links: Tensor) -> Edits:
    """Edits that put labels (E, k) and links (E, k - 1) along paths (E, k) of up to three nodes."""
    free = 3 - path.shape[1]
    path, labels, links = pad(path, (0, free), value=-1), pad(labels, (0, free)), pad(links, (0, free), value=-1)
    pairs = torch.stack([path[:, :-1], path[:, 1:]], -1)
    return Edits(row, torch.zeros_like(row), path, labels, pairs, links)


def rewrite(
    graphs: Graph, generator: torch.Generator
) -> tuple[PackedGraphs, Tensor, Tensor, list[tuple[Pattern, Pattern]]]:
    """Replace an edge and its two ends by another pattern that differs in two or three parts, not by "swap labels".

    Of many edges, patterns or pairs of patterns, some are drawn. Returns valid results, the row of each, its index in
    the list, and the list of pairs of patterns, the smaller first.
    """
    vocabulary = graphs.vocabulary
    order, capacity = vocabulary.edge_orders, vocabulary.node_capacities
    nodes, edges = (labels.long() for labels in graphs.labels())
    load = order[edges].sum(-1)
    b, i, j = (edges > 0).nonzero().T  # each edge both ways
    if len(b) > MAX_SITES:
        drawn = torch.randperm(len(b), generator=generator)[:MAX_SITES].sort().values
        b, i, j = b[drawn], i[drawn], j[drawn]
    a, r, c = nodes[b, i], edges[b, i, j], nodes[b, j]
    listed = _drawn(patterns(vocabulary, long=False), nodes, generator)
    back = vocabulary.reverse.tolist()
    new = torch.tensor([p for a, r, b in listed for p in {(a, r, b), (b, back[r], a)}]).reshape(-1, 3)
    changed = (new[:, 0] != a[:, None]).long() + (new[:, 1] != r[:, None]) + (new[:, 2] != c[:, None])
    fits = [capacity[new[:, p]] - order[new[:, 1]] >= (load[b, e] - order[r])[:, None] for p, e in ((0, i), (2, j))]
    swapped = (new[:, 0] == c[:, None]) & (new[:, 2] == a[:, None]) & (new[:, 1] == r[:, None])
    at, to = ((changed >= 2) & fits[0] & fits[1] & ~swapped & (a <= c)[:, None]).nonzero().T
    shuffled = torch.randperm(len(at), generator=generator)
    at, to = at[shuffled], to[shuffled]
    K, R = vocabulary.K, vocabulary.R
    size = K * K * R
    before, after = (_code(p, vocabulary) for p in (torch.stack([a[at], r[at], c[at]], 1), new[to]))
    kinds, which = (torch.minimum(before, after) * size + torch.maximum(before, after)).unique(return_inverse=True)
    if len(kinds) > MAX_REWRITES:
        drawn = torch.randperm(len(kinds), generator=generator)[:MAX_REWRITES].sort().values
        number = torch.full_like(kinds, -1)
        number[drawn] = torch.arange(len(drawn))
        held = (number[which] >= 0).nonzero()[:, 0]
        at, to, which, kinds = at[held], to[held], number[which[held]], kinds[drawn]
    by_kind = which.argsort(stable=True)
    tried = by_kind[_ranks(which[by_kind]) < TRIES * REWRITES]
    at, to, which = at[tried], to[tried], which[tried]
    edits = _overwriting(b[at], torch.stack([i, j], 1)[at], new[to][:, ::2], new[to][:, 1:2])
    pairs = [(_pattern(kind // size, K, R), _pattern(kind % size, K, R)) for kind in kinds.tolist()]
    made = edits.results(graphs)
    kept = valid(made, canonical=True).nonzero()[:, 0]
    kept = kept[_ranks(which[kept]) < REWRITES]
    return made[kept], b[at][kept], which[kept], pairs


def _code(pattern: Tensor, vocabulary: GraphVocabulary) -> Tensor:
    """(P,) one number for patterns (P, 3), the same from either end."""
    (one, kind, other), K, R = pattern.T, vocabulary.K, vocabulary.R
    return torch.minimum((one * R + kind) * K + other, (other * R + vocabulary.turn(kind)) * K + one)


def _pattern(code: int, K: int, R: int) -> Pattern:
    return code // (K * R), code // K % R, code % K


def neighboring_labels(graphs: GraphBatch) -> list[tuple[tuple[int, int], Tensor]]:
    """Every two labels at the ends of an edge, the smaller first, and (B,) bool, which graphs have such an edge."""
    packed, K = PackedGraphs.of(graphs), graphs.vocabulary.K
    ends = packed.node_labels.long()[packed.pairs]
    codes, holds = _holders(ends.amin(0) * K + ends.amax(0), packed.rows[packed.pairs[0]], len(packed))
    return [((code // K, code % K), held) for code, held in zip(codes, holds)]


def held_patterns(graphs: GraphBatch) -> list[tuple[Pattern, Tensor]]:
    """Every pattern that occurs, and (B,) bool, which graphs contain it; of three nodes only for up to 16 slots."""
    packed, K, R = PackedGraphs.of(graphs), graphs.vocabulary.K, graphs.vocabulary.R
    (one, other), kinds = packed.node_labels.long()[packed.pairs], packed.edge_labels.long()
    row = packed.rows[packed.pairs[0]]
    codes, holds = _holders(_code(torch.stack([one, kinds, other], 1), packed.vocabulary), row, len(packed))
    found = [(_pattern(code, K, R), held) for code, held in zip(codes, holds)]
    if packed.slots() > MAX_SLOTS:
        return found
    (nodes, edges), back = packed.labels(), packed.vocabulary.reverse.tolist()
    once = torch.ones(edges.shape[1:], dtype=torch.bool).triu(1)  # i < k: each path from one end
    linked = edges > 0
    b, i, j, k = (linked[:, :, :, None] & linked[:, None, :, :] & once[None, :, None, :]).nonzero().T
    ends = [nodes[b, e] * R + edges[b, e, j] for e in (i, k)]
    low, high = torch.minimum(*ends), torch.maximum(*ends)
    for code, held in zip(*_holders((low * K + nodes[b, j]) * (K * R) + high, b, len(graphs))):
        one, middle, other = code // (K * R) // K, code // (K * R) % K, code % (K * R)
        found.append(((one // R, one % R, middle, back[other % R], other // R), held))
    return found


def _holders(code: Tensor, row: Tensor, count: int) -> tuple[list[int], Tensor]:
    """Different codes, and (codes, count) bool, which of `count` graphs have them."""
    codes, which = code.unique(return_inverse=True)
    holds = torch.zeros(len(codes), count, dtype=torch.bool)
    holds[which, row] = True
    return codes.tolist(), holds


def ring_sizes(edges: Tensor, limit: int) -> Tensor:
    """(B, limit + 1) bool: some edge's smallest ring has 3, 4, ..., `limit` nodes; edges (B, N, N) channels."""
    sizes = torch.arange(limit + 1)
    return (smallest_rings(edges, limit).flatten(1)[:, :, None] == sizes).any(1) & (sizes >= 3)


def smallest_rings(edges: Tensor, limit: int) -> Tensor:
    """(B, N, N) nodes of the smallest ring through each edge, up to `limit`, else 0; edges (B, N, N) channels."""
    linked, found = (edges > 0).float(), torch.zeros(edges.shape, dtype=torch.long)
    b, i, j = linked.triu(1).nonzero().T
    counts = torch.bincount(b, minlength=len(edges))
    place = torch.arange(len(b)) - cumulative(counts)[b]  # of an edge in its graph
    reached = torch.zeros(len(edges), int(counts.max()) if len(counts) else 0, edges.shape[1])
    reached[b, place, i] = 1
    for size in range(3, limit + 1):
        for _ in range(2 if size == 3 else 1):
            onward = reached @ linked
            onward[b, place, j] -= 1  # not along the edge itself
            reached = (reached + onward).clamp_max(1)
        closed = (reached[b, place, j] > 0) & (found[b, i, j] == 0)
        found[b[closed], i[closed], j[closed]] = found[b[closed], j[closed], i[closed]] = size
    return found
