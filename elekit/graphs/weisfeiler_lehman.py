"""Weisfeiler-Lehman color refinement of labeled graphs, batched. Colors are int64 hashes; 0 marks absent nodes."""

import torch
from torch import Tensor

from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs

ROUNDS = 8  # graphs with equal hashes after 8 rounds are isomorphic but for rare pairs, which `isomorphic` decides


def splitmix64(numbers: Tensor) -> Tensor:
    """Hash int64 numbers so well that sums of hashes identify multisets (Steele, Lea and Flood, 2014)."""
    numbers = numbers - 7046029254386353131
    numbers = (numbers ^ (numbers >> 30)) * -4658895280553007687
    numbers = (numbers ^ (numbers >> 27)) * -7723592293110705685
    return numbers ^ (numbers >> 31)


def _colors(graphs: GraphBatch, rounds: int) -> tuple[PackedGraphs, list[Tensor]]:
    """The graphs, packed, and the colors (S,) of their nodes after 0, 1, ..., T rounds."""
    packed = PackedGraphs.of(graphs).to("cpu")
    return packed, _refine(splitmix64(packed.node_labels.long()), packed, rounds)


def _refine(colors: Tensor, graphs: PackedGraphs, rounds: int) -> list[Tensor]:
    """Colors (S,) after 0, 1, ... rounds."""
    found, (i, j) = [colors], graphs.pairs
    kinds = graphs.edge_labels.long()
    links, back = splitmix64(-kinds), splitmix64(-graphs.vocabulary.turn(kinds))  # negative: no hashes of node labels
    for _ in range(rounds):
        before, messages = found[-1], torch.zeros_like(colors)
        messages.index_add_(0, i, splitmix64(links + before[j])).index_add_(0, j, splitmix64(back + before[i]))
        found.append(splitmix64(splitmix64(before) + messages))
    return found


def _in_slots(graphs: GraphBatch, packed: PackedGraphs, colors: Tensor) -> Tensor:
    """(B, N) the colors (S,) of present nodes in the node slots of the graphs."""
    slots = graphs.slots()
    present = torch.arange(slots) < packed.sizes[:, None]
    if not isinstance(graphs, PackedGraphs):
        present = graphs.labels()[0].cpu() > 0
    return torch.zeros(present.shape, dtype=torch.long).masked_scatter_(present, colors)


def node_colors(graphs: GraphBatch, rounds: int) -> list[Tensor]:
    """Node colors, T + 1 tensors (B, N), after 0, 1, ..., T rounds of refinement (Weisfeiler and Leman, 1968).

    The first color is the label; each round hashes it with the multiset of (edge label, color of the neighbor).
    """
    packed, found = _colors(graphs, rounds)
    return [_in_slots(graphs, packed, colors) for colors in found]


def graph_hashes(graphs: GraphBatch, rounds: int) -> Tensor:
    """(B, T + 1) hashes of the multisets of node colors after 0, 1, ..., T rounds; equal for isomorphic graphs."""
    packed, found = _colors(graphs, rounds)
    hashed = splitmix64(torch.stack(found, 1))
    return hashed.new_zeros(len(packed), rounds + 1).index_add_(0, packed.rows, hashed)


def color_occurrences(graphs: GraphBatch, rounds: int) -> list[tuple[Tensor, Tensor]]:
    """After each of 0, 1, ..., T rounds the graph numbers (S,) and colors (S,) of all S present nodes.

    These are the features of the subtree kernel, sparse. Source: Shervashidze et al., JMLR 12 (2011).
    """
    packed, found = _colors(graphs, rounds)
    return [(packed.rows, colors) for colors in found]


def canonical_colors(graphs: GraphBatch) -> Tensor:
    """Colors (B, N) that are unique within each graph, for a canonical node order; 0 at absent nodes.

    Where refinement leaves several nodes with one color, one of them is individualized and the colors are refined
    again (McKay 1981, without the search). Isomorphic graphs get the same colors if nodes of equal color are
    symmetric; in some regular graphs they are not, and the colors depend on the node order.
    """
    packed, (*_, colors) = _colors(graphs, ROUNDS)
    while True:
        order = colors.argsort(stable=True)
        order = order[packed.rows[order].argsort(stable=True)]
        row = packed.rows[order]
        shared = ((row[1:] == row[:-1]) & (colors[order][1:] == colors[order][:-1])).nonzero()[:, 0]
        if not len(shared):
            return _in_slots(graphs, packed, colors)
        first = torch.ones_like(shared, dtype=torch.bool)  # of its graph
        first[1:] = row[shared][1:] != row[shared][:-1]
        chosen, changed = order[shared[first]], torch.zeros(len(packed), dtype=torch.bool)
        changed[packed.rows[chosen]] = True
        individualized = colors.index_put((chosen,), splitmix64(colors[chosen]))
        colors = torch.where(changed[packed.rows], _refine(individualized, packed, ROUNDS)[-1], colors)
