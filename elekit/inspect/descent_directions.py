"""What does the loss want to change, at each iterate of a decoding run?"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from elekit.decoding import Trace
from elekit.graphs.graph import GraphVocabulary


class Wish(NamedTuple):
    """One row that the loss wants elsewhere: part (i,) or (i, j), i < j; the channel it should be at; the gain >= 0."""

    part: tuple[int, ...]
    channel: int
    gain: float
    words: str  # such as "node 3 to become N" or "edge 1-2 to go"


@dataclass(frozen=True, eq=False)
class Wishes:
    """To first order, what each row of each iterate would gain by moving to its best channel.

    nodes, node_channels: (S + 1, N). pairs, pair_channels: (S + 1, P) of the unordered pairs, row by row as
    `torch.triu_indices(N, N, 1)`. Gains are >= 0; a channel is -1 where a row is at its best already.
    """

    nodes: Tensor
    node_channels: Tensor
    pairs: Tensor
    pair_channels: Tensor
    vocabulary: GraphVocabulary

    def __len__(self) -> int:
        return len(self.nodes)

    def strongest(self, step: int, k: int = 3, *, share: float = 0.0) -> list[Wish]:
        """Up to k wishes at one iterate, largest gain first; share in [0, 1]: at least that much of the largest."""
        N = self.nodes.shape[1]
        parts = [(i,) for i in range(N)] + torch.triu_indices(N, N, 1).T.tolist()
        gains = torch.cat([self.nodes[step], self.pairs[step]])
        channels = torch.cat([self.node_channels[step], self.pair_channels[step]])
        order = torch.argsort(gains, descending=True, stable=True)[:k].tolist()
        least = share * float(gains[order[0]]) if order else 0.0
        kept = [n for n in order if channels[n] >= 0 and gains[n] >= least]
        return [self._wish(tuple(parts[n]), int(channels[n]), float(gains[n])) for n in kept]

    def _wish(self, part: tuple[int, ...], channel: int, gain: float) -> Wish:
        kind, names = (
            ("node", self.vocabulary.node_labels) if len(part) == 1 else ("edge", self.vocabulary.edge_labels)
        )
        wanted = f"to become {names[channel - 1]}" if channel else "to go"
        return Wish(part, channel, gain, f"{kind} {'-'.join(map(str, part))} {wanted}")


def descent_directions(trace: Trace) -> Wishes:
    """The gain `sum_k p_k g_k - min_k g_k` of each row p with gradient g: the Frank-Wolfe gap of its simplex.

    Summed over all rows it is 0 only where no direction in the polytope goes downhill. The gradient is that of the
    trace, of loss + penalty. Source: Jaggi (2013), Revisiting Frank-Wolfe, equation 2.
    """
    graph = trace.iterates
    i, j = torch.triu_indices(*graph.edges.shape[1:3], 1)
    found = (*_gap(graph.nodes, trace.node_gradient), *_gap(graph.edges[:, i, j], trace.edge_gradient[:, i, j]))
    return Wishes(*found, graph.vocabulary)


def _gap(rows: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and channel of each row; a sum of terms >= 0, so that it is exactly 0 at a best vertex, and 0 for NaN."""
    lowest, channel = gradient.min(-1)
    gain = (rows.clamp_min(0) * (gradient - lowest[..., None])).sum(-1).nan_to_num(0)
    return gain, channel.masked_fill(gain <= 0, -1)
