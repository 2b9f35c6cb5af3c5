"""Small patterns of labels along an edge or two: listed, named, written into graphs, one turned into another.

A pattern is a tuple of channels: (label, edge, label), or (label, edge, label, edge, label) along a path.
"""

import itertools

import numpy as np
import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphVocabulary

MOTIFS, HOSTS = 240, 8  # patterns that are planted, and how many graphs each is written into
REWRITES = 8  # of each two patterns


def pattern_name(pattern: tuple[int, ...], vocabulary: GraphVocabulary) -> str:
    """ "C double O", "F single C single F"."""
    names = (vocabulary.node_labels, vocabulary.edge_labels)
    return " ".join(names[place % 2][k - 1] for place, k in enumerate(pattern))


def patterns(vocabulary: GraphVocabulary, long: bool) -> list[tuple[int, ...]]:
    """Every pattern of two nodes, or of three, that respects capacities; each once, not also from its other end."""
    order, capacity = vocabulary.edge_orders().tolist(), vocabulary.node_capacities().tolist()
    labels, links = range(1, vocabulary.K), range(1, vocabulary.R)
    ends = [(k, r) for k, r in itertools.product(labels, links) if order[r] <= capacity[k]]
    if not long:
        return [(a, r, b) for a, r in ends for b in labels if a <= b and order[r] <= capacity[b]]
    pairs = list(itertools.combinations_with_replacement(ends, 2))
    return [(a, r, c, s, b) for c in labels for (a, r), (b, s) in pairs if order[r] + order[s] <= capacity[c]]


def plant(graphs: Graph, generator: torch.Generator) -> tuple[Graph, Tensor]:
    """Small patterns written over paths of two or three nodes, each in several graphs: (graphs, host of each)."""
    vocabulary = graphs.vocabulary
    longer = patterns(vocabulary, long=True)
    chosen = patterns(vocabulary, long=False)
    chosen = (chosen + [longer[i] for i in torch.randperm(len(longer), generator=generator).tolist()])[:MOTIFS]
    nodes, edges = (labels.long() for labels in graphs.labels())
    paths = {3: _paths(edges, 2, generator), 5: _paths(edges, 3, generator)}
    found = [_written(nodes, edges, paths[len(p)], p, vocabulary, generator) for p in chosen]
    host = torch.cat([rows for rows, *_ in found])
    made = Graph.from_labels(torch.cat([n for _, n, _ in found]), torch.cat([e for *_, e in found]), vocabulary)
    return made, host


def _paths(edges: Tensor, length: int, generator: torch.Generator, most: int = 2_000) -> Tensor:
    """(P, 1 + length) graph and the nodes of paths of two or three nodes, drawn at random."""
    linked = edges > 0
    if length == 2:
        found = linked.nonzero()
    else:
        other = ~torch.eye(edges.shape[1], dtype=torch.bool)
        few = torch.randperm(len(edges), generator=generator)[:100]  # graphs; there are many paths in each
        b, i, j, k = (linked[few][:, :, :, None] & linked[few][:, None, :, :] & other[None, :, None, :]).nonzero().T
        found = torch.stack([few[b], i, j, k], 1)
    return found[torch.randperm(len(found), generator=generator)[:most]]


def _written(nodes: Tensor, edges: Tensor, paths: Tensor, pattern, vocabulary, generator):
    """A pattern written over up to HOSTS paths, of different graphs, that can carry it: (graph of each, nodes, edges)."""
    order, capacity = vocabulary.edge_orders(), vocabulary.node_capacities()
    row, path = paths[:, 0], paths[:, 1:]
    load = order[edges].sum(-1)[row[:, None], path]  # (P, nodes of the path)
    for place, r in enumerate(pattern[1::2]):
        more = order[r] - order[edges[row, path[:, place], path[:, place + 1]]]
        load[:, place] += more
        load[:, place + 1] += more
    labels = torch.tensor(pattern[::2])
    fine = (load <= capacity[labels]).all(1).nonzero()[:, 0]
    fine = fine[torch.randperm(len(fine), generator=generator)]
    first = torch.from_numpy(np.unique(row[fine].numpy(), return_index=True)[1]).long()
    chosen = fine[first[torch.randperm(len(first), generator=generator)[:HOSTS]]]
    row, path = row[chosen], path[chosen]
    return row, *_overwritten(
        nodes[row], edges[row], path, labels.expand(len(row), -1), torch.tensor(pattern[1::2]).expand(len(row), -1)
    )


def _overwritten(nodes: Tensor, edges: Tensor, path: Tensor, labels: Tensor, links: Tensor) -> tuple[Tensor, Tensor]:
    """Channels (B, N) and (B, N, N) with labels (B, k) and links (B, k - 1) put along paths (B, k)."""
    nodes, edges, rows = nodes.clone(), edges.clone(), torch.arange(len(nodes))
    nodes[rows[:, None], path] = labels
    for place in range(links.shape[1]):
        i, j = path[:, place], path[:, place + 1]
        edges[rows, i, j] = edges[rows, j, i] = links[:, place]
    return nodes, edges


def rewrite(graphs: Graph, generator: torch.Generator):
    """An edge and its two ends turned into another such pattern, two or three of its parts at once.

    (graphs, which graph each was, which row of the list, list of pairs of patterns, the smaller first). Exchanging
    the two labels is left out: that is "swap labels".
    """
    vocabulary = graphs.vocabulary
    order, capacity = vocabulary.edge_orders(), vocabulary.node_capacities()
    nodes, edges = (labels.long() for labels in graphs.labels())
    load = order[edges].sum(-1)
    b, i, j = (edges > 0).nonzero().T  # each edge both ways
    a, r, c = nodes[b, i], edges[b, i, j], nodes[b, j]
    new = torch.tensor([p for p in patterns(vocabulary, long=False) for p in {p, p[::-1]}]).reshape(-1, 3)
    changed = (new[:, 0] != a[:, None]).long() + (new[:, 1] != r[:, None]) + (new[:, 2] != c[:, None])
    spare = [capacity[new[:, p]] - order[new[:, 1]] >= (load[b, e] - order[r])[:, None] for p, e in ((0, i), (2, j))]
    swapped = (new[:, 0] == c[:, None]) & (new[:, 2] == a[:, None]) & (new[:, 1] == r[:, None])
    at, to = ((changed >= 2) & spare[0] & spare[1] & ~swapped & (a <= c)[:, None]).nonzero().T
    shuffled = torch.randperm(len(at), generator=generator)
    at, to = at[shuffled], to[shuffled]
    K, R = vocabulary.K, vocabulary.R
    before = _code(torch.stack([a[at], r[at], c[at]], 1), K, R)
    after = _code(new[to], K, R)
    kind = torch.minimum(before, after) * (K * K * R) + torch.maximum(before, after)
    kinds, which = kind.unique(return_inverse=True)
    by_kind = which.argsort(stable=True)
    start = torch.cat([torch.zeros(1, dtype=torch.long), which.bincount(minlength=len(kinds)).cumsum(0)[:-1]])
    turn = torch.arange(len(by_kind)) - start[which[by_kind]]
    kept = by_kind[turn < REWRITES]
    at, to, which = at[kept], to[kept], which[kept]
    made = _overwritten(nodes[b[at]], edges[b[at]], torch.stack([i, j], 1)[at], new[to][:, ::2], new[to][:, 1:2])
    both = [(k // (K * K * R), k % (K * K * R)) for k in kinds.tolist()]
    named = [tuple((code // (K * R), code // K % R, code % K) for code in pair) for pair in both]
    return Graph.from_labels(*made, vocabulary), b[at], which, named


def _code(pattern: Tensor, K: int, R: int) -> Tensor:
    """(P,) one number for patterns (P, 3), the same from either end."""
    low, high = torch.minimum(pattern[:, 0], pattern[:, 2]), torch.maximum(pattern[:, 0], pattern[:, 2])
    return (low * R + pattern[:, 1]) * K + high


def held_patterns(graphs: Graph, most: int = 16) -> list[tuple[tuple[int, ...], Tensor]]:
    """Every pattern that occurs, with which graphs (B,) hold it; of three nodes only where there are up to 16 slots."""
    vocabulary = graphs.vocabulary
    K, R = vocabulary.K, vocabulary.R
    nodes, edges = (labels.long() for labels in graphs.labels())
    b, i, j = (edges > 0).triu(1).nonzero().T
    short = _code(torch.stack([nodes[b, i], edges[b, i, j], nodes[b, j]], 1), K, R)
    found = [
        ((code // (K * R), code // K % R, code % K), _rows_of(short == code, b, len(graphs)))
        for code in short.unique().tolist()
    ]
    if nodes.shape[1] > most:
        return found
    once = torch.ones(edges.shape[1:], dtype=torch.bool).triu(1)  # i < k: each path from one end
    linked = edges > 0
    b, i, j, k = (linked[:, :, :, None] & linked[:, None, :, :] & once[None, :, None, :]).nonzero().T
    ends = [nodes[b, e] * R + edges[b, e, j] for e in (i, k)]
    low, high = torch.minimum(*ends), torch.maximum(*ends)
    codes, which = ((low * K + nodes[b, j]) * (K * R) + high).unique(return_inverse=True)
    holds = torch.zeros(len(codes), len(graphs), dtype=torch.bool)
    holds[which, b] = True
    for code, held in zip(codes.tolist(), holds):
        low, middle, high = code // (K * R) // K, code // (K * R) % K, code % (K * R)
        found.append(((low // R, low % R, middle, high % R, high // R), held))
    return found


def _rows_of(chosen: Tensor, row: Tensor, count: int) -> Tensor:
    held = torch.zeros(count, dtype=torch.bool)
    held[row[chosen]] = True
    return held


def ring_sizes(edges: Tensor, most: int) -> Tensor:
    """(B, most + 1) bool: some edge's smallest ring has 3, 4, ..., `most` nodes; edges (B, N, N) channels."""
    sizes = torch.arange(most + 1)
    return (smallest_rings(edges, most).flatten(1)[:, :, None] == sizes).any(1) & (sizes >= 3)


def smallest_rings(edges: Tensor, most: int) -> Tensor:
    """(B, N, N) nodes of the smallest ring through each edge, up to `most`, else 0; edges (B, N, N) channels."""
    linked, N = edges > 0, edges.shape[1]
    found = torch.zeros(edges.shape, dtype=torch.long)
    for i, j in itertools.combinations(range(N), 2):
        rows = linked[:, i, j].nonzero()[:, 0]
        without = linked[rows].float()
        without[:, i, j] = without[:, j, i] = 0
        reached = torch.zeros(len(rows), 1, N)
        reached[:, 0, i] = 1
        for steps in range(1, most):
            reached = (reached + reached @ without).clamp_max(1)
            now = (reached[:, 0, j] > 0) & (found[rows, i, j] == 0)
            found[rows[now], i, j] = found[rows[now], j, i] = steps + 1
    return found
