"""Small patterns of labels along one or two edges: listed, named, written into graphs, replaced by one another.

A pattern is a tuple of channels along a path: (label, edge, label) or (label, edge, label, edge, label).
"""

import itertools

import numpy as np
import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary
from elekit.graphs.packed import PackedGraphs

Pattern = tuple[int, ...]
Labels = tuple[Tensor, Tensor]
MAX_PATTERNS, HOSTS, MAX_SLOTS = 240, 8, 16  # patterns that are planted, graphs per pattern, slots for long ones
REWRITES = 8  # per pair of patterns


def pattern_name(pattern: Pattern, vocabulary: GraphVocabulary) -> str:
    """Labels along the path: "C double O", "F single C single F"."""
    names = (vocabulary.node_labels, vocabulary.edge_labels)
    return " ".join(names[place % 2][k - 1] for place, k in enumerate(pattern))


def patterns(vocabulary: GraphVocabulary, long: bool) -> list[Pattern]:
    """All patterns of two nodes, or of three (long), within the capacities; each from one end only."""
    order, capacity = vocabulary.edge_orders.tolist(), vocabulary.node_capacities.tolist()
    labels, links = range(1, vocabulary.K), range(1, vocabulary.R)
    ends = [(k, r) for k, r in itertools.product(labels, links) if order[r] <= capacity[k]]
    if not long:
        return [(a, r, b) for a, r in ends for b in labels if a <= b and order[r] <= capacity[b]]
    pairs = list(itertools.combinations_with_replacement(ends, 2))
    return [(a, r, c, s, b) for c in labels for (a, r), (b, s) in pairs if order[r] + order[s] <= capacity[c]]


def plant(graphs: Graph, generator: torch.Generator) -> tuple[Graph, Tensor]:
    """Write patterns over paths of two or three nodes, each in several graphs: the results, and the row of each."""
    vocabulary = graphs.vocabulary
    longer = patterns(vocabulary, long=True)
    chosen = patterns(vocabulary, long=False)
    chosen = (chosen + [longer[i] for i in torch.randperm(len(longer), generator=generator).tolist()])[:MAX_PATTERNS]
    nodes, edges = (labels.long() for labels in graphs.labels())
    paths = {3: _paths(edges, 2, generator), 5: _paths(edges, 3, generator)}
    found = [_planted((nodes, edges), paths[len(p)], p, vocabulary, generator) for p in chosen]
    made = Graph.from_labels(torch.cat([n for _, n, _ in found]), torch.cat([e for *_, e in found]), vocabulary)
    return made, torch.cat([rows for rows, *_ in found])


def _paths(edges: Tensor, length: int, generator: torch.Generator, limit: int = 2_000) -> Tensor:
    """(P, 1 + length) random paths of two or three nodes: the graph, then the nodes."""
    linked = edges > 0
    if length == 2:
        found = linked.nonzero()
    else:
        other = ~torch.eye(edges.shape[1], dtype=torch.bool)
        few = torch.randperm(len(edges), generator=generator)[:100]  # graphs; each has many paths
        b, i, j, k = (linked[few][:, :, :, None] & linked[few][:, None, :, :] & other[None, :, None, :]).nonzero().T
        found = torch.stack([few[b], i, j, k], 1)
    return found[torch.randperm(len(found), generator=generator)[:limit]]


def _planted(
    labels: Labels, paths: Tensor, pattern: Pattern, vocabulary: GraphVocabulary, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """A pattern over up to HOSTS paths in different graphs within the capacities: (rows, nodes, edges)."""
    nodes, edges = labels
    order, capacity = vocabulary.edge_orders, vocabulary.node_capacities
    row, path = paths[:, 0], paths[:, 1:]
    load = order[edges].sum(-1)[row[:, None], path]  # (P, nodes of the path)
    for place, r in enumerate(pattern[1::2]):
        more = order[r] - order[edges[row, path[:, place], path[:, place + 1]]]
        load[:, place] += more
        load[:, place + 1] += more
    ends, links = torch.tensor(pattern[::2]), torch.tensor(pattern[1::2])
    fine = (load <= capacity[ends]).all(1).nonzero()[:, 0]
    fine = fine[torch.randperm(len(fine), generator=generator)]
    first = torch.from_numpy(np.unique(row[fine].numpy(), return_index=True)[1]).long()
    chosen = fine[first[torch.randperm(len(first), generator=generator)[:HOSTS]]]
    row, path, n = row[chosen], path[chosen], len(chosen)
    return row, *_overwritten(nodes[row], edges[row], path, ends.expand(n, -1), links.expand(n, -1))


def _overwritten(nodes: Tensor, edges: Tensor, path: Tensor, labels: Tensor, links: Tensor) -> tuple[Tensor, Tensor]:
    """Channels (B, N) and (B, N, N) with labels (B, k) and links (B, k - 1) along paths (B, k)."""
    nodes, edges, rows = nodes.clone(), edges.clone(), torch.arange(len(nodes))
    nodes[rows[:, None], path] = labels
    for place in range(links.shape[1]):
        i, j = path[:, place], path[:, place + 1]
        edges[rows, i, j] = edges[rows, j, i] = links[:, place]
    return nodes, edges


def rewrite(graphs: Graph, generator: torch.Generator) -> tuple[Graph, Tensor, Tensor, list[tuple[Pattern, Pattern]]]:
    """Replace an edge and its two ends by another pattern that differs in two or three parts, not by "swap labels".

    Returns the results, the row of each, its index in the list, and the list of pairs of patterns, the smaller first.
    """
    vocabulary = graphs.vocabulary
    order, capacity = vocabulary.edge_orders, vocabulary.node_capacities
    nodes, edges = (labels.long() for labels in graphs.labels())
    load = order[edges].sum(-1)
    b, i, j = (edges > 0).nonzero().T  # each edge both ways
    a, r, c = nodes[b, i], edges[b, i, j], nodes[b, j]
    new = torch.tensor([p for p in patterns(vocabulary, long=False) for p in {p, p[::-1]}]).reshape(-1, 3)
    changed = (new[:, 0] != a[:, None]).long() + (new[:, 1] != r[:, None]) + (new[:, 2] != c[:, None])
    fits = [capacity[new[:, p]] - order[new[:, 1]] >= (load[b, e] - order[r])[:, None] for p, e in ((0, i), (2, j))]
    swapped = (new[:, 0] == c[:, None]) & (new[:, 2] == a[:, None]) & (new[:, 1] == r[:, None])
    at, to = ((changed >= 2) & fits[0] & fits[1] & ~swapped & (a <= c)[:, None]).nonzero().T
    shuffled = torch.randperm(len(at), generator=generator)
    at, to = at[shuffled], to[shuffled]
    K, R = vocabulary.K, vocabulary.R
    size = K * K * R
    before, after = _code(torch.stack([a[at], r[at], c[at]], 1), K, R), _code(new[to], K, R)
    kinds, which = (torch.minimum(before, after) * size + torch.maximum(before, after)).unique(return_inverse=True)
    by_kind = which.argsort(stable=True)
    start = torch.cat([torch.zeros(1, dtype=torch.long), which.bincount(minlength=len(kinds)).cumsum(0)[:-1]])
    kept = by_kind[torch.arange(len(by_kind)) - start[which[by_kind]] < REWRITES]
    at, to, which = at[kept], to[kept], which[kept]
    made = _overwritten(nodes[b[at]], edges[b[at]], torch.stack([i, j], 1)[at], new[to][:, ::2], new[to][:, 1:2])
    pairs = [(_pattern(kind // size, K, R), _pattern(kind % size, K, R)) for kind in kinds.tolist()]
    return Graph.from_labels(*made, vocabulary), b[at], which, pairs


def _code(pattern: Tensor, K: int, R: int) -> Tensor:
    """(P,) one number for patterns (P, 3), the same from either end."""
    low, high = torch.minimum(pattern[:, 0], pattern[:, 2]), torch.maximum(pattern[:, 0], pattern[:, 2])
    return (low * R + pattern[:, 1]) * K + high


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
    codes, holds = _holders(_code(torch.stack([one, kinds, other], 1), K, R), row, len(packed))
    found = [(_pattern(code, K, R), held) for code, held in zip(codes, holds)]
    if packed.slots() > MAX_SLOTS:
        return found
    nodes, edges = packed.labels()
    once = torch.ones(edges.shape[1:], dtype=torch.bool).triu(1)  # i < k: each path from one end
    linked = edges > 0
    b, i, j, k = (linked[:, :, :, None] & linked[:, None, :, :] & once[None, :, None, :]).nonzero().T
    ends = [nodes[b, e] * R + edges[b, e, j] for e in (i, k)]
    low, high = torch.minimum(*ends), torch.maximum(*ends)
    for code, held in zip(*_holders((low * K + nodes[b, j]) * (K * R) + high, b, len(graphs))):
        one, middle, other = code // (K * R) // K, code // (K * R) % K, code % (K * R)
        found.append(((one // R, one % R, middle, other % R, other // R), held))
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
    linked, N = edges > 0, edges.shape[1]
    found = torch.zeros(edges.shape, dtype=torch.long)
    for i, j in itertools.combinations(range(N), 2):
        rows = linked[:, i, j].nonzero()[:, 0]
        without = linked[rows].float()
        without[:, i, j] = without[:, j, i] = 0
        reached = torch.zeros(len(rows), 1, N)
        reached[:, 0, i] = 1
        for steps in range(1, limit):
            reached = (reached + reached @ without).clamp_max(1)
            now = (reached[:, 0, j] > 0) & (found[rows, i, j] == 0)
            found[rows[now], i, j] = found[rows[now], j, i] = steps + 1
    return found
