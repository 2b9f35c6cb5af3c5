"""What decoding would put right, as a loss of what makes graphs: polish is its teacher (floor 2)."""

import torch
from torch import Tensor

from elekit.decoding.local_search import LocalSearchConfig, local_search
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of, squared_distance

SEARCH = LocalSearchConfig(beam=1, rounds=3, patience=1, doubt=4.0, penalty=0.0)  # short: it is asked at every step
MOST = 16  # graphs of a batch that are polished
RIGHT = 1e-4  # learned loss below which a graph counts as the target's
LEAST = 1e-12  # probability, so that its logarithm is finite


def refinement_loss(psi: Psi, graphs: Graph, target: Tensor) -> Tensor:
    """Cross-entropy of relaxed graphs with what polish makes of them rounded: summed over nodes and edges, a mean of B.

    target: (B, D) where psi should take the graphs. Only graphs count that round to another point, at most MOST of
    them, drawn by torch's own generator, and only where polish finds a better graph. That graph has the same slots,
    so that no nodes are matched. It teaches what the gradient of the loss cannot: the way from one label to another
    leads through mixtures which psi takes for a third, as half C- and half C+ is much like C.
    """
    with torch.no_grad():
        rounded = graphs.detach().rounded()
        loss = squared_distance(points_of(psi, rounded), target)
        wrong = (loss > RIGHT).nonzero()[:, 0]
        wrong = wrong[torch.randperm(len(wrong))[:MOST]]
    if not len(wrong):
        return graphs.nodes.sum() * 0
    found, _ = local_search(psi, target[wrong], rounded[wrong], config=SEARCH)
    better = found.loss < loss[wrong] - RIGHT / 10
    nodes, edges = found.graphs[better].labels()
    rows = wrong[better]
    there = nodes > 0
    pairs = (there[:, :, None] & there[:, None, :]).triu(1)
    of_nodes = graphs.nodes[rows].gather(2, nodes[..., None])[..., 0]
    of_edges = graphs.edges[rows].gather(3, edges[..., None])[..., 0][pairs]
    return -(of_nodes.clamp_min(LEAST).log().sum() + of_edges.clamp_min(LEAST).log().sum()) / len(graphs)
