"""Views of graphs for contrastive learning: random edits that respect capacities, and softening (floor 1)."""

import torch
from torch import Tensor

from elekit.graphs import projections
from elekit.graphs.graph import Graph, GraphVocabulary

EDIT_KINDS = ("relabel", "change edge", "change any pair", "add node", "remove node")


def random_edits(graph: Graph, counts: Tensor, generator: torch.Generator) -> Graph:
    """Each discrete graph after counts[b] random single edits; what would exceed a capacity is drawn again.

    An edit relabels a node, changes, adds or removes an edge, hangs a new node on an old one, or removes a node
    with at most one edge. counts: (B,) integers >= 0. An edit that found no place in 8 draws is left out.
    """
    node_labels, edge_labels = graph.labels()
    for done in range(int(counts.max()) if len(counts) else 0):
        pending = counts > done
        for _ in range(8):
            if not pending.any():
                break
            rows = pending.nonzero()[:, 0]
            nodes, edges = propose_edits(node_labels[rows], edge_labels[rows], graph.vocabulary, generator)
            changed = (nodes != node_labels[rows]).any(1) | (edges != edge_labels[rows]).flatten(1).any(1)
            fine = changed & within_capacity(nodes, edges, graph.vocabulary)
            node_labels[rows[fine]], edge_labels[rows[fine]] = nodes[fine], edges[fine]
            pending[rows[fine]] = False
    return Graph.from_labels(node_labels, edge_labels, graph.vocabulary).to(graph.nodes)


def propose_edits(node_labels: Tensor, edge_labels: Tensor, vocabulary: GraphVocabulary, generator: torch.Generator):
    """One random edit of each graph, of a kind drawn uniformly, capacities ignored; (B, N) and (B, N, N) channels."""
    B, N = node_labels.shape
    rows = torch.arange(B)
    nodes, edges = node_labels.clone(), edge_labels.clone()

    def one_of(allowed: Tensor) -> Tensor:
        """A random true column of each row; any column where none is true."""
        return (torch.rand(allowed.shape, generator=generator) + allowed.float()).argmax(-1)

    def other(current: Tensor, size: int) -> Tensor:
        """A channel of 0..size-1 other than the current one, uniformly."""
        step = torch.randint(1, max(size, 2), current.shape, generator=generator)
        return (current + step) % size

    kind = torch.randint(len(EDIT_KINDS), (B,), generator=generator)
    there = node_labels > 0
    first = one_of(there)
    relabeled = 1 + other(node_labels[rows, first] - 1, vocabulary.K - 1)

    linked = (edge_labels > 0).flatten(1)
    pairs = (there[:, :, None] & there[:, None, :] & ~torch.eye(N, dtype=torch.bool)).flatten(1)
    pair = one_of(torch.where((kind == 1)[:, None] & linked.any(1, keepdim=True), linked, pairs))
    i, j = pair // N, pair % N
    redrawn = other(edge_labels[rows, i, j], vocabulary.R)

    slot = one_of(~there)
    label = torch.randint(1, vocabulary.K, (B,), generator=generator)
    bond = torch.randint(1, vocabulary.R, (B,), generator=generator)
    leaf = one_of(there & ((edge_labels > 0).sum(-1) <= 1))

    is_relabel, is_edge = (kind == 0) & there.any(1), ((kind == 1) | (kind == 2)) & pairs.any(1)
    is_add = (kind == 3) & ~there.all(1) & there.any(1)
    is_remove = (kind == 4) & (there.sum(1) > 1) & ((edge_labels[rows, leaf] > 0).sum(-1) <= 1) & there[rows, leaf]
    nodes[rows[is_relabel], first[is_relabel]] = relabeled[is_relabel]
    for a, b, value, where in ((i, j, redrawn, is_edge), (slot, first, bond, is_add)):
        edges[rows[where], a[where], b[where]] = value[where]
        edges[rows[where], b[where], a[where]] = value[where]
    nodes[rows[is_add], slot[is_add]] = label[is_add]
    nodes[rows[is_remove], leaf[is_remove]] = 0
    edges[rows[is_remove], leaf[is_remove]] = 0
    edges[rows[is_remove], :, leaf[is_remove]] = 0
    return nodes, edges


def within_capacity(node_labels: Tensor, edge_labels: Tensor, vocabulary: GraphVocabulary) -> Tensor:
    """(B,) bool: every node within its capacity; channels (B, N) and (B, N, N)."""
    load = vocabulary.edge_orders().to(node_labels.device)[edge_labels.long()].sum(-1)
    return (load <= vocabulary.node_capacities().to(node_labels.device)[node_labels.long()]).all(-1)


def softened(graph: Graph, amounts: Tensor, generator: torch.Generator) -> Graph:
    """Each row mixed with a random point of its simplex: `(1 - a) y + a u`, u uniform on the simplex.

    amounts: (B,) in [0, 1]. Without softened views a loss is meaningless off the vertices, where gradient
    decoding walks.
    """
    B, N, K = graph.nodes.shape
    R = graph.vocabulary.R
    noise_nodes = _uniform_simplex((B, N, K), generator).to(graph.nodes)
    noise_edges = _uniform_simplex((B, N, N, R), generator).to(graph.nodes)
    upper = torch.ones(N, N, dtype=torch.bool).triu(1)[None, ..., None]
    noise_edges = torch.where(upper, noise_edges, noise_edges.transpose(1, 2))
    a = amounts.to(graph.nodes)
    nodes = torch.lerp(graph.nodes, noise_nodes, a[:, None, None])
    edges = torch.lerp(graph.edges, noise_edges, a[:, None, None, None])
    return Graph(nodes, projections.symmetric(edges), graph.vocabulary)


def _uniform_simplex(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    exponential = -torch.rand(shape, generator=generator).clamp_min(1e-7).log()
    return exponential / exponential.sum(-1, keepdim=True)


def shuffled(graph: Graph, generator: torch.Generator) -> Graph:
    """Nodes of each graph in a random order."""
    B, N = graph.nodes.shape[:2]
    return graph.permuted(torch.rand(B, N, generator=generator).argsort(-1).to(graph.nodes.device))
