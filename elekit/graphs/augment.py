"""Random views of graphs for contrastive learning: edits within capacities, softening, node orders."""

import torch
from torch import Tensor

from elekit.graphs import projections
from elekit.graphs.graph import Graph, GraphVocabulary

EDIT_KINDS = ("relabel", "change edge", "change any pair", "add node", "remove node")


def random_edits(graph: Graph, counts: Tensor, generator: torch.Generator) -> Graph:
    """Apply `counts` (B,) random single edits to B rounded graphs; edits that exceed a capacity are drawn again.

    An edit relabels a node, changes, adds or removes an edge, attaches a new node, or removes a node with at most one
    edge. An edit that fails 8 draws is skipped, so some graphs have fewer edits.
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
            accepted = changed & within_capacity(nodes, edges, graph.vocabulary)
            node_labels[rows[accepted]], edge_labels[rows[accepted]] = nodes[accepted], edges[accepted]
            pending[rows[accepted]] = False
    return Graph.from_labels(node_labels, edge_labels, graph.vocabulary).to(graph.nodes)


def propose_edits(
    node_labels: Tensor, edge_labels: Tensor, vocabulary: GraphVocabulary, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Apply one random edit to each graph, of a uniformly drawn kind, ignoring capacities.

    Channels (B, N) and (B, N, N) in and out, unchanged where the kind does not apply.
    """
    B, N = node_labels.shape
    rows = torch.arange(B)
    nodes, edges = node_labels.clone(), edge_labels.clone()

    def one_of(allowed: Tensor) -> Tensor:
        """A random true column of each row; any column if none is true."""
        return (torch.rand(allowed.shape, generator=generator) + allowed.float()).argmax(-1)

    def other(current: Tensor, size: int) -> Tensor:
        """A uniformly drawn channel of 0..size-1 that differs from the current one."""
        step = torch.randint(1, max(size, 2), current.shape, generator=generator)
        return (current + step) % size

    kind = torch.randint(len(EDIT_KINDS), (B,), generator=generator)
    present = node_labels > 0
    first = one_of(present)
    relabeled = 1 + other(node_labels[rows, first] - 1, vocabulary.K - 1)

    linked = (edge_labels > 0).flatten(1)
    pairs = (present[:, :, None] & present[:, None, :] & ~torch.eye(N, dtype=torch.bool)).flatten(1)
    pair = one_of(torch.where((kind == 1)[:, None] & linked.any(1, keepdim=True), linked, pairs))
    i, j = pair // N, pair % N
    redrawn = other(edge_labels[rows, i, j], vocabulary.R)

    slot = one_of(~present)
    label = torch.randint(1, vocabulary.K, (B,), generator=generator)
    bond = torch.randint(1, vocabulary.R, (B,), generator=generator)
    few = (edge_labels > 0).sum(-1) <= 1
    leaf = one_of(present & few)

    is_relabel, is_edge = (kind == 0) & present.any(1), ((kind == 1) | (kind == 2)) & pairs.any(1)
    is_add = (kind == 3) & ~present.all(1) & present.any(1)
    is_remove = (kind == 4) & (present.sum(1) > 1) & few[rows, leaf] & present[rows, leaf]
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
    """(B,) bool: no node exceeds its capacity; of channels (B, N) and (B, N, N)."""
    load = vocabulary.edge_orders.to(node_labels.device)[edge_labels.long()].sum(-1)
    return (load <= vocabulary.node_capacities.to(node_labels.device)[node_labels.long()]).all(-1)


def softened(graph: Graph, amounts: Tensor, generator: torch.Generator) -> Graph:
    """Mix each row with a uniform random point u of its simplex: `(1 - a) y + a u`, with a = amounts (B,) in [0, 1].

    Gradient decoding moves through the interior of the polytope, where only softened views train the loss.
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
    B, N = graph.nodes.shape[:2]
    return graph.permuted(torch.rand(B, N, generator=generator).argsort(-1).to(graph.nodes.device))
