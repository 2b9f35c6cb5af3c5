"""Weisfeiler-Lehman color refinement of labeled graphs, batched. Colors are int64 hashes; 0 marks absent nodes."""

import torch
from torch import Tensor

from elekit.graphs.graph import GraphBatch

ROUNDS = 8  # graphs with equal hashes after 8 rounds are isomorphic but for rare pairs, which `isomorphic` decides
BLOCK_SIZE = 4_096  # graphs colored at a time


def splitmix64(numbers: Tensor) -> Tensor:
    """Hash int64 numbers so well that sums of hashes identify multisets (Steele, Lea and Flood, 2014)."""
    numbers = numbers - 7046029254386353131
    numbers = (numbers ^ (numbers >> 30)) * -4658895280553007687
    numbers = (numbers ^ (numbers >> 27)) * -7723592293110705685
    return numbers ^ (numbers >> 31)


def node_colors(graphs: GraphBatch, rounds: int) -> list[Tensor]:
    """Node colors, T + 1 tensors (B, N), after 0, 1, ..., T rounds of refinement (Weisfeiler and Leman, 1968).

    The first color is the label; each round hashes it with the multiset of (edge label, color of the neighbor).
    """
    parts = []
    for rows, block in graphs.blocks(BLOCK_SIZE):
        nodes, edges = (labels.long().cpu() for labels in block.labels())
        parts.append((rows, _refine(splitmix64(nodes) * (nodes > 0), edges, rounds)))
    width = max((own[0].shape[1] for _, own in parts), default=1)
    found = [torch.zeros(len(graphs), width, dtype=torch.long) for _ in range(rounds + 1)]
    for rows, own in parts:
        for colors, block_colors in zip(found, own):
            colors[rows, : block_colors.shape[1]] = block_colors
    return found


def _refine(colors: Tensor, edges: Tensor, rounds: int) -> list[Tensor]:
    """Colors (B, N) after 0, 1, ... rounds along the edge channels (B, N, N)."""
    found, links, linked = [colors], splitmix64(-edges), edges > 0  # negative: distinct from hashes of node labels
    for _ in range(rounds):
        messages = splitmix64(links + found[-1][:, None, :]) * linked
        found.append(splitmix64(splitmix64(found[-1]) + messages.sum(2)) * (colors != 0))
    return found


def graph_hashes(graphs: GraphBatch, rounds: int) -> Tensor:
    """(B, T + 1) hashes of the multisets of node colors after 0, 1, ..., T rounds; equal for isomorphic graphs."""
    return torch.stack([(splitmix64(colors) * (colors != 0)).sum(1) for colors in node_colors(graphs, rounds)], 1)


def color_occurrences(graphs: GraphBatch, rounds: int) -> list[tuple[Tensor, Tensor]]:
    """After each of 0, 1, ..., T rounds the graph numbers (M,) and colors (M,) of all M present nodes.

    These are the features of the subtree kernel, sparse. Source: Shervashidze et al., JMLR 12 (2011).
    """
    found = []
    for colors in node_colors(graphs, rounds):
        row, node = (colors != 0).nonzero(as_tuple=True)
        found.append((row, colors[row, node]))
    return found


def canonical_colors(graphs: GraphBatch) -> Tensor:
    """Colors (B, N) that are unique within each graph, for a canonical node order; 0 at absent nodes.

    Where refinement leaves several nodes with one color, one of them is individualized and the colors are refined
    again (McKay 1981, without the search). Isomorphic graphs get the same colors if nodes of equal color are
    symmetric; in some regular graphs they are not, and the colors depend on the node order.
    """
    edges, colors = graphs.labels()[1].long().cpu(), node_colors(graphs, ROUNDS)[-1]
    for _ in range(colors.shape[1]):
        shared = ((colors[:, :, None] == colors[:, None, :]).sum(2) > 1) & (colors != 0)
        rows = shared.any(1).nonzero()[:, 0]
        if not len(rows):
            break
        individualized = colors[rows]
        first = torch.where(shared[rows], individualized, torch.iinfo(torch.long).max).argmin(1)
        each = torch.arange(len(rows))
        individualized[each, first] = splitmix64(individualized[each, first])
        colors[rows] = _refine(individualized, edges[rows], ROUNDS)[-1]
    return colors
