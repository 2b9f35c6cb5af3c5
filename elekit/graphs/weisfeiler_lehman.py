"""Color refinement of Weisfeiler and Leman: what rounds of messages between neighbors can tell apart (floor 1)."""

import torch
from torch import Tensor

from elekit.graphs.graph import Graph

GOLDEN, FIRST, SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685  # splitmix64, as int64

BLOCK_SIZE = 4_096  # graphs colored at a time

ROUNDS = 8  # of refinement; what agrees after so many is one graph but for rare pairs, which isomorphism tells apart


def splitmix64(numbers: Tensor) -> Tensor:
    """int64 numbers scattered over all of int64 (splitmix64: Steele, Lea, Flood 2014), so that sums tell multisets."""
    numbers = numbers + GOLDEN
    numbers = (numbers ^ (numbers >> 30)) * FIRST
    numbers = (numbers ^ (numbers >> 27)) * SECOND
    return numbers ^ (numbers >> 31)


def node_colors(graphs: Graph, rounds: int) -> list[Tensor]:
    """Colors (B, N) of the nodes after 0, 1, ..., `rounds` rounds of refinement; 0 at absent nodes.

    Two nodes have one color after t rounds when t rounds of messages cannot tell them apart: the label at first,
    then the color before with the multiset of (edge label, color of the neighbor); Weisfeiler and Leman (1968).
    """
    parts = []
    for rows, block in graphs.blocks(BLOCK_SIZE):
        nodes, edges = (labels.long().cpu() for labels in block.labels())
        parts.append((rows, _passed_on(splitmix64(nodes) * (nodes > 0), edges, rounds)))
    width = max((own[0].shape[1] for _, own in parts), default=1)
    found = [torch.zeros(len(graphs), width, dtype=torch.long) for _ in range(rounds + 1)]
    for rows, own in parts:
        for colors, block_colors in zip(found, own):
            colors[rows, : block_colors.shape[1]] = block_colors
    return found


def _passed_on(colors: Tensor, edges: Tensor, rounds: int) -> list[Tensor]:
    """Any colors (B, N), 0 at absent nodes, after 0, 1, ... rounds along the edges (B, N, N), given as channels."""
    found, links, linked = [colors], splitmix64(-edges), edges > 0  # -: no edge has the number of a label
    for _ in range(rounds):
        heard = splitmix64(links + found[-1][:, None, :]) * linked
        found.append(splitmix64(splitmix64(found[-1]) + heard.sum(2)) * (colors != 0))
    return found


def graph_hashes(graphs: Graph, rounds: int) -> Tensor:
    """(B, rounds + 1) one number for the multiset of node colors after 0, 1, ... rounds; equal for isomorphic graphs.

    Column 0 tells the counts of the labels, column 1 what stands beside what, and so on.
    """
    return torch.stack([(splitmix64(colors) * (colors != 0)).sum(1) for colors in node_colors(graphs, rounds)], 1)


def canonical_colors(graphs: Graph) -> Tensor:
    """(B, N) a color for each node that no other node of its graph has; 0 at absent nodes.

    Where refinement leaves nodes alike, one of them is marked and the colors are passed on, again and again (McKay
    1981 without the search). Isomorphic graphs get the same colors where nodes that stay alike are symmetric; those
    that are not, as in some regular graphs, may get others in another order of the nodes.
    """
    edges, colors = graphs.labels()[1].long().cpu(), node_colors(graphs, ROUNDS)[-1]
    for _ in range(colors.shape[1]):
        alike = ((colors[:, :, None] == colors[:, None, :]).sum(2) > 1) & (colors != 0)
        rows = alike.any(1).nonzero()[:, 0]
        if not len(rows):
            break
        marked = colors[rows]
        first = torch.where(alike[rows], marked, torch.iinfo(torch.long).max).argmin(1)
        each = torch.arange(len(rows))
        marked[each, first] = splitmix64(marked[each, first])
        colors[rows] = _passed_on(marked, edges[rows], ROUNDS)[-1]
    return colors
