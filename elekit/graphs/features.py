"""Structural features of discrete graphs and of edits: reachability, path lengths, rings, detailed kinds of edits."""

from typing import Any

import networkx as nx
import torch
from torch import Tensor

from elekit.graphs.edits import KINDS, Edits
from elekit.graphs.graph import Graph, GraphBatch, to_networkx
from elekit.graphs.packed import PackedGraphs

Names = tuple[str, ...]


def reachable(edges: Tensor) -> Tensor:
    """Transitive closure of edge channels (B, N, N): True if a path connects two nodes, and on the diagonal."""
    N = edges.shape[1]
    paths = ((edges > 0) | torch.eye(N, dtype=torch.bool, device=edges.device)).float()
    for _ in range(max(N - 1, 1).bit_length()):  # paths of up to 2, 4, 8, ... edges
        paths = (paths @ paths).clamp_max(1)
    return paths > 0


def components(graphs: PackedGraphs) -> Tensor:
    """(S,) the first node of the connected component of each node."""
    i, j = graphs.pairs
    first = torch.arange(len(graphs.node_labels), device=i.device)
    while True:
        one, other = first[i], first[j]
        lower = first.scatter_reduce(0, torch.cat([one, other]), one.minimum(other).repeat(2), "amin")
        lower = lower[lower]
        if torch.equal(lower, first):
            return first
        first = lower


def count_components(graphs: GraphBatch) -> Tensor:
    """Number (B,) of connected components."""
    packed = PackedGraphs.of(graphs)
    first = components(packed)
    return torch.bincount(packed.rows[first == torch.arange(len(first), device=first.device)], minlength=len(packed))


def is_connected(graphs: GraphBatch) -> Tensor:
    """(B,) bool, True for a graph without nodes."""
    return count_components(graphs) <= 1


def shortest_path_lengths(edges: Tensor) -> Tensor:
    """Lengths (B, N, N) of shortest paths along edge channels (B, N, N), N where no path exists."""
    N = edges.shape[1]
    linked = ((edges > 0) | torch.eye(N, dtype=torch.bool)).float()
    within, lengths = torch.eye(N).expand(len(edges), N, N), torch.full(edges.shape, N)
    for steps in range(N):
        lengths = torch.where((within > 0) & (lengths == N), steps, lengths)
        within = (within @ linked).clamp_max(1)
    return lengths


def cycle_rank(graphs: GraphBatch) -> Tensor:
    """Number (B,) of independent rings: edges - nodes + connected components."""
    packed = PackedGraphs.of(graphs)
    return packed.pair_offsets.diff() - packed.sizes + count_components(packed)


def ring_edges(graphs: GraphBatch) -> Tensor:
    """(B, N, N) bool: edges that lie on a ring, that is, all edges but bridges."""
    found = graphs.labels()[1].cpu() > 0
    for b, one in enumerate(to_networkx(graphs)):
        one = nx.Graph(one)
        if one.number_of_edges() < one.number_of_nodes() and nx.is_connected(one):
            found[b] = False  # a tree
        else:
            i, j = torch.tensor(list(nx.bridges(one)), dtype=torch.long).reshape(-1, 2).T
            found[b, i, j] = found[b, j, i] = False
    return found


def detailed_kinds(
    edits: Edits, graphs: Graph, rings: Tensor | None = None, *, node_labels: bool = True
) -> list[str]:
    """Kind of each edit with the labels involved, without its position. rings: `ring_edges(graphs)`, if known.
    node_labels: False puts "any" in the place of every node label.

    The kinds are "relabel C to N", "add leaf N by single edge", "add N on its own", "remove leaf" (at most one edge),
    "remove node", "edge single to double", "close a ring with a single edge", "join parts with a single edge" (if no
    path connects the nodes), "open a ring", "cut an edge" (a bridge), "swap labels C and N", "move a single edge" and
    "shift order" (of two edges at one node). In directed graphs, leaves are added by "→ a" (from the leaf) or "← a",
    and there is "turn a cause edge round".
    """
    rings = ring_edges(graphs) if rings is None else rings
    nodes, edges = (labels.long().cpu() for labels in graphs.labels())
    joined, degree = reachable(edges), (edges > 0).sum(-1)
    vocabulary = graphs.vocabulary
    labels = vocabulary.node_labels if node_labels else ("any",) * len(vocabulary.node_labels)
    names, arrows = ("nothing", *labels), vocabulary.edge_names
    links = ("no", *(vocabulary.edge_labels[r - 1] for r in vocabulary.label_of[1:].tolist()))
    rows, at = edits.row, edits.node[:, 0].clamp_min(0)
    i, j = edits.pair[:, 0].clamp_min(0).unbind(-1)
    columns = (
        *(edits.kind, nodes[rows, at], edits.label, edges[rows, i, j], edits.edge[:, 0]),
        *(joined[rows, i, j], rings[rows, i, j], degree[rows, at]),
    )
    return [_detailed_kind(names, links, arrows, *one) for one in zip(*(column.tolist() for column in columns))]


def _detailed_kind(
    names: Names, links: Names, arrows: Names, kind: int, old: int, label: Any, before: int, *facts: int
) -> str:
    after, path, ring, neighbors = facts
    match KINDS[kind]:
        case "relabel":
            return f"relabel {names[old]} to {names[label[0]]}"
        case "add node" if after < 0:
            return f"add {names[label[0]]} on its own"
        case "add node":
            return f"add leaf {names[label[0]]} by {arrows[after]} edge"
        case "remove node":
            return "remove leaf" if neighbors <= 1 else "remove node"
        case "change edge" if before and after and before != after and links[before] == links[after]:
            return f"turn a {links[before]} edge round"
        case "change edge" if before and after:
            return f"edge {links[before]} to {links[after]}"
        case "change edge" if after:
            return f"{'close a ring' if path else 'join parts'} with a {links[after]} edge"
        case "change edge":
            return "open a ring" if ring else "cut an edge"
        case "swap labels":
            return "swap labels {} and {}".format(*sorted(names[k] for k in label))
        case "move edge":
            return f"move a {links[before]} edge"
    return KINDS[kind]


def ring_and_degree(edits: Edits, graphs: Graph, rings: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Of each edit (E,): whether it is on a ring, and the largest number of edges at its nodes.

    An edit is on a ring if an edge that it changes lies on one or, for edits without such edges, if one of its nodes
    does.
    """
    rings = ring_edges(graphs) if rings is None else rings
    nodes, edges = (labels.long().cpu() for labels in graphs.labels())
    present, degree, of_nodes = nodes > 0, (edges > 0).sum(-1), rings.any(-1)
    on_ring, largest = torch.zeros(len(edits), dtype=torch.bool), torch.zeros(len(edits), dtype=torch.long)
    for i in torch.cat([edits.node, edits.pair.flatten(1)], 1).T:
        at = ((i >= 0) & present[edits.row, i.clamp_min(0)]).nonzero()[:, 0]
        row, i = edits.row[at], i[at]
        largest[at] = torch.maximum(largest[at], degree[row, i])
        on_ring[at] |= of_nodes[row, i]
    i, j = edits.pair.clamp_min(0).unbind(-1)  # (E, 2)
    row = edits.row[:, None]
    changed = (edits.edge >= 0) & (edges[row, i, j] > 0)
    return torch.where(changed.any(1), (changed & rings[row, i, j]).any(1), on_ring), largest
