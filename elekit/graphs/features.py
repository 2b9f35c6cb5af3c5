"""What can be told of graphs and of edits without any loss: rings, distances, kinds of edits in detail."""

import networkx as nx
import torch
from torch import Tensor

from elekit.graphs.edits import KINDS, Edits
from elekit.graphs.graph import Graph, to_networkx


def reachable(edges: Tensor) -> Tensor:
    """(B, N, N) bool: a path runs between two nodes; edges (B, N, N) are channels or bool."""
    N = edges.shape[1]
    found = ((edges > 0) | torch.eye(N, dtype=torch.bool)).float()
    for _ in range(max(N - 1, 1).bit_length()):  # paths of 2, 4, 8, ... steps
        found = (found @ found).clamp_max(1)
    return found > 0


def shortest_path_lengths(edges: Tensor) -> Tensor:
    """(B, N, N) edges on a shortest path between two nodes, 0 to itself, N where there is none; edges as channels."""
    N = edges.shape[1]
    linked = ((edges > 0) | torch.eye(N, dtype=torch.bool)).float()
    within, found = torch.eye(N).expand(len(edges), N, N), torch.full(edges.shape, N)
    for steps in range(N):
        found = torch.where((within > 0) & (found == N), steps, found)
        within = (within @ linked).clamp_max(1)
    return found


def cycle_rank(graphs: Graph) -> Tensor:
    """(B,) how many rings: edges - nodes + connected parts."""
    nodes, edges = (labels.long().cpu() for labels in graphs.labels())
    there = nodes > 0
    parts = (there / reachable(edges).sum(-1)).sum(1).round().long()  # each node counts 1 / size of its part
    return (edges > 0).sum((1, 2)) // 2 - there.sum(1) + parts


def ring_edges(graphs: Graph) -> Tensor:
    """(B, N, N) bool: edges that lie on a ring."""
    found = graphs.labels()[1].cpu() > 0
    for b, drawn in enumerate(to_networkx(graphs)):
        if drawn.number_of_edges() < drawn.number_of_nodes() and nx.is_connected(drawn):
            found[b] = False  # a tree
            continue
        for i, j in nx.bridges(drawn):
            found[b, i, j] = found[b, j, i] = False
    return found


def detailed_kinds(edits: Edits, graphs: Graph, rings: Tensor | None = None) -> list[str]:
    """Each edit of a batch by what it does and to which labels, without saying where.

    "relabel C to N", "add leaf N by single edge", "add N on its own", "remove leaf" (of one edge or none), "remove
    node", "edge single to double", "close a ring with a single edge", "join parts with a single edge" (between nodes
    that no path connected), "open a ring", "cut an edge" (a bridge), "swap labels C and N", "move a single edge", and
    "shift order" (of two edges at one node). rings: `ring_edges` of the batch, where it is known already.
    """
    rings = ring_edges(graphs) if rings is None else rings
    nodes, edges = (labels.long().cpu() for labels in graphs.labels())
    joined, degree = reachable(edges), (edges > 0).sum(-1)
    names, links = ("nothing", *graphs.vocabulary.node_labels), ("no", *graphs.vocabulary.edge_labels)
    rows, (i, j), at = edits.row, edits.pair[:, 0].clamp_min(0).T, edits.node[:, 0].clamp_min(0)
    old, old_edge, new_edge = nodes[rows, at], edges[rows, i, j], edits.edge[:, 0]
    facts = (
        edits.kind,
        old,
        edits.label,
        old_edge,
        new_edge,
        joined[rows, i, j],
        rings[rows, i, j],
        degree[rows, at],
    )
    said = []
    for kind, old, label, before, after, path, ring, neighbors in zip(*(fact.tolist() for fact in facts)):
        match KINDS[kind]:
            case "relabel":
                words = f"relabel {names[old]} to {names[label[0]]}"
            case "add node" if after < 0:
                words = f"add {names[label[0]]} on its own"
            case "add node":
                words = f"add leaf {names[label[0]]} by {links[after]} edge"
            case "remove node":
                words = "remove leaf" if neighbors <= 1 else "remove node"
            case "change edge" if before and after:
                words = f"edge {links[before]} to {links[after]}"
            case "change edge" if after:
                words = f"{'close a ring' if path else 'join parts'} with a {links[after]} edge"
            case "change edge":
                words = "open a ring" if ring else "cut an edge"
            case "swap labels":
                words = "swap labels {} and {}".format(*sorted(names[k] for k in label))
            case "move edge":
                words = f"move a {links[before]} edge"
            case other:
                words = other
        said.append(words)
    return said


def ring_and_degree(edits: Edits, graphs: Graph, rings: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Of each edit: (E,) bool, is it on a ring, and (E,) the largest number of edges at a node that it touches.

    On a ring: an edge that is changed lies on one or, where no edge is changed, a node that is touched does.
    """
    rings = ring_edges(graphs) if rings is None else rings
    nodes, edges = (labels.long().cpu() for labels in graphs.labels())
    there, degree, of_nodes = nodes > 0, (edges > 0).sum(-1), rings.any(-1)
    on_ring, most = torch.zeros(len(edits), dtype=torch.bool), torch.zeros(len(edits), dtype=torch.long)
    ends = torch.cat([edits.node, edits.pair.flatten(1)], 1)
    for i in ends.T:
        at = ((i >= 0) & there[edits.row, i.clamp_min(0)]).nonzero()[:, 0]
        row, i = edits.row[at], i[at]
        most[at] = torch.maximum(most[at], degree[row, i])
        on_ring[at] |= of_nodes[row, i]
    i, j = edits.pair.clamp_min(0).unbind(-1)  # (E, 2)
    row = edits.row[:, None]
    changed = (edits.edge >= 0) & (edges[row, i, j] > 0)
    return torch.where(changed.any(1), (changed & rings[row, i, j]).any(1), on_ring), most


def is_connected(graphs: Graph) -> Tensor:
    """(B,) bool: between any two nodes that are there runs a path; a graph of no nodes counts as connected."""
    nodes, edges = graphs.labels()
    N = nodes.shape[1]
    reached = ((edges > 0) | torch.eye(N, dtype=torch.bool)).float()
    for _ in range(max(N - 2, 0).bit_length()):  # paths of up to 2, 4, 8, ... steps; the longest has N - 1
        reached = (reached @ reached).clamp_max(1)
    there = nodes > 0
    return (reached.bool() | ~(there[:, :, None] & there[:, None, :])).flatten(1).all(1)
