"""The changes of a relaxed graph that lower the loss most, at each iterate of a decoding run."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from elekit.decoding import Trace
from elekit.graphs.graph import GraphVocabulary


class DescentDirection(NamedTuple):
    """One node or pair that the gradient moves to another channel."""

    part: tuple[int, ...]  # (i,) of a node, (i, j) with i < j of a pair
    channel: int  # that it moves to; 0 is absent
    gain: float  # first-order decrease of the loss, at least 0
    description: str  # for example "node 3 to become N" or "edge 1-2 to go"


@dataclass(frozen=True, eq=False)
class DescentDirections:
    """First-order gain, at least 0, of moving each node and pair of each iterate to its best channel.

    Pairs are unordered, in the order of `torch.triu_indices(N, N, 1)`. Channels are -1 where the gain is 0.
    """

    nodes: Tensor  # (S + 1, N) gains
    node_channels: Tensor  # (S + 1, N)
    pairs: Tensor  # (S + 1, P) gains
    pair_channels: Tensor  # (S + 1, P)
    vocabulary: GraphVocabulary  # of the channels

    def __len__(self) -> int:
        return len(self.nodes)

    def strongest(self, step: int, k: int = 3, *, share: float = 0.0) -> list[DescentDirection]:
        """The k largest gains at one iterate, largest first, that are at least `share` times the largest."""
        N = self.nodes.shape[1]
        parts = [(i,) for i in range(N)] + [(i, j) for i in range(N) for j in range(i + 1, N)]
        gains = torch.cat([self.nodes[step], self.pairs[step]])
        channels = torch.cat([self.node_channels[step], self.pair_channels[step]])
        order = torch.argsort(gains, descending=True, stable=True)[:k].tolist()
        least = share * float(gains[order[0]]) if order else 0.0
        kept = [n for n in order if channels[n] >= 0 and gains[n] >= least]
        return [self._direction(parts[n], int(channels[n]), float(gains[n])) for n in kept]

    def _direction(self, part: tuple[int, ...], channel: int, gain: float) -> DescentDirection:
        kind, names = ("node", "edge")[len(part) - 1], self.vocabulary
        labels = names.node_labels if kind == "node" else names.edge_names[1:]
        change = f"to become {labels[channel - 1]}" if channel else "to go"
        return DescentDirection(part, channel, gain, f"{kind} {'-'.join(map(str, part))} {change}")


def descent_directions(trace: Trace) -> DescentDirections:
    """The Frank-Wolfe gap `sum_k p_k g_k - min_k g_k` of each row p, g the gradient of loss + penalty.

    The sum over all rows is 0 only if no direction within the polytope descends (Jaggi 2013, eq. 2).
    """
    graph = trace.iterates
    i, j = torch.triu_indices(graph.edges.shape[1], graph.edges.shape[2], 1)
    nodes, node_channels = _gap(graph.nodes, trace.node_gradient)
    pairs, pair_channels = _gap(graph.edges[:, i, j], trace.edge_gradient[:, i, j])
    return DescentDirections(nodes, node_channels, pairs, pair_channels, graph.vocabulary)


def _gap(rows: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and channel of each row; a sum of terms >= 0 is exactly 0 at a best vertex. NaN counts as 0."""
    lowest, channel = gradient.min(-1)
    gain = (rows.clamp_min(0) * (gradient - lowest[..., None])).sum(-1).nan_to_num(0)
    return gain, channel.masked_fill(gain <= 0, -1)
