"""A loss for graph heads: cross-entropy to the graphs that local search finds from their output."""

import torch
from torch import Tensor

from elekit.decoding.local_search import LocalSearchConfig, local_search
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of, squared_distance

SEARCH = LocalSearchConfig(beam=1, rounds=3, patience=1, retry_above=4.0, penalty=0.0)  # short: runs at every step
MAX_SEARCHED = 16  # graphs of a batch that are searched from
TOLERANCE = 1e-4  # learned loss below which a graph counts as the target's
MIN_PROBABILITY = 1e-12  # keeps logarithms finite


def refinement_loss(psi: Psi, graphs: Graph, target: Tensor) -> Tensor:
    """Cross-entropy of relaxed graphs (B, with gradient) to their local search results, divided by B.

    Single edits of a rounded graph find improvements that the gradient of the learned loss misses: on the way from
    one label to another lie mixtures that psi maps near a third label. Only graphs whose rounding misses its target
    count, at most `MAX_SEARCHED` of them (drawn from torch's global generator), and only those that the search
    improves. The improved graph has the same slots, so nodes need no matching.
    """
    with torch.no_grad():
        rounded = graphs.detach().rounded()
        loss = squared_distance(points_of(psi, rounded), target)
        wrong = (loss > TOLERANCE).nonzero()[:, 0]
        wrong = wrong[torch.randperm(len(wrong))[:MAX_SEARCHED]]
    if not len(wrong):
        return graphs.nodes.sum() * 0
    found, _ = local_search(psi, target[wrong], rounded[wrong], config=SEARCH)
    better = found.loss < loss[wrong] - TOLERANCE / 10
    nodes, edges = found.graphs[better].labels()
    rows = wrong[better]
    present = nodes > 0
    pairs = (present[:, :, None] & present[:, None, :]).triu(1)
    of_nodes = graphs.nodes[rows].gather(2, nodes[..., None])[..., 0]
    of_edges = graphs.edges[rows].gather(3, edges[..., None])[..., 0][pairs]
    log_likelihood = of_nodes.clamp_min(MIN_PROBABILITY).log().sum() + of_edges.clamp_min(MIN_PROBABILITY).log().sum()
    return -log_likelihood / len(graphs)
