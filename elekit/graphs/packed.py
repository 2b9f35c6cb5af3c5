"""Graphs of any sizes as lists of nodes and edges: memory follows their number, not the size of the largest graph.

`PackedGraphs` holds discrete graphs, `RelaxedPackedGraphs` relaxed ones. Both number the nodes of a whole batch, from
the first graph to the last: graph b has the nodes `offsets[b]` to `offsets[b + 1] - 1`.
"""

import bisect
import numbers
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from elekit.graphs.graph import EdgeList, Graph, GraphBatch, GraphVocabulary, channel_lists, short

BLOCK_VALUES = 2**22  # of the edges of one dense block
MAX_VALUES = 2**29  # of the edges of any dense batch: 2 GiB
SIMILAR = 1.25  # size of the largest graph of a block by that of the smallest
USUAL = 0.99  # of the graphs fit the slots of their average
SPARE = 4  # free node slots of a dense batch


class _Packed(GraphBatch):
    """What both packed forms share: offsets, selection, and conversion to dense tensors."""

    offsets: Tensor
    pairs: Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sizes(self) -> Tensor:
        """(B,) number of nodes of each graph."""
        return self.offsets.diff()

    @cached_property
    def pair_offsets(self) -> Tensor:
        """(B + 1,) graph b has the listed pairs `pair_offsets[b]` to `pair_offsets[b + 1] - 1`."""
        return torch.searchsorted(self.pairs[0].contiguous(), self.offsets.contiguous())

    @cached_property
    def rows(self) -> Tensor:
        """(S,) the graph of each node."""
        return torch.arange(len(self), device=self.offsets.device).repeat_interleave(self.sizes)

    @abstractmethod
    def _select(self, nodes: Any, pairs: Any, offsets: Tensor, shift: Tensor | int) -> Self:
        """Nodes and pairs of some graphs, their node numbers shifted."""

    def __getitem__(self, index: Any) -> Self:
        """Some of the graphs; an integer gives a batch of one."""
        if isinstance(index, numbers.Integral) or (
            torch.is_tensor(index) and index.ndim == 0 and not index.dtype.is_floating_point
        ):
            index = int(index)
            if not -len(self) <= index < len(self):
                raise IndexError(f"graph {index} of a batch of {len(self)}")
            index = slice(index, index + 1 or None)
        device = self.offsets.device
        if isinstance(index, slice) and index.step in (None, 1):
            start, stop, _ = index.indices(len(self))
            stop = max(start, stop)
            offsets, (first, last) = self.offsets[start : stop + 1], self.pair_offsets[[start, stop]].tolist()
            nodes = slice(*offsets[[0, -1]].tolist())
            return self._select(nodes, slice(first, last), offsets - nodes.start, -nodes.start)
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=device)
            index = index.long() if not len(index) else index
        graphs = torch.arange(len(self), device=device)[index]
        sizes, counts = self.sizes[graphs], self.pair_offsets.diff()[graphs]
        offsets = cumulative(sizes)
        shift = (offsets[:-1] - self.offsets[graphs]).repeat_interleave(counts)
        return self._select(
            ranges(self.offsets[graphs], sizes), ranges(self.pair_offsets[graphs], counts), offsets, shift
        )

    def slots(self, spare: int = SPARE) -> int:
        """Number of node slots of dense tensors: that of the largest graph and some free ones, at most `max_nodes`.

        Args:
            spare: Number of free slots.

        Returns:
            The number, >= 1.
        """
        largest = int(self.sizes.max()) if len(self) else 1
        return max(1, largest, min(largest + spare, self.vocabulary.max_nodes))

    def _dense(self, slots: int | None, nodes: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Values at nodes (S, ...) and pairs (P, ...) in tensors (B, N, ...) and (B, N, N, ...), zero elsewhere."""
        N, largest = self.slots() if slots is None else slots, int(self.sizes.max()) if len(self) else 1
        if largest > N:
            raise ValueError(f"a graph of {largest} nodes does not fit {N} node slots")
        if len(self) * N**2 * self.vocabulary.R > MAX_VALUES:
            raise ValueError(
                f"{len(self):,} graphs in {N:,} node slots each are too large for one dense batch; use blocks()"
            )
        place = torch.arange(len(self.rows), device=self.rows.device) - self.offsets[self.rows]
        full_nodes = nodes.new_zeros(len(self), N, *nodes.shape[1:])
        full_edges = edges.new_zeros(len(self), N, N, *edges.shape[1:])
        full_nodes[self.rows, place] = nodes
        (i, j), row = place[self.pairs], self.rows[self.pairs[0]]
        full_edges[row, i, j] = edges
        full_edges[row, j, i] = self.vocabulary.turn_rows(edges) if edges.ndim > 1 else self.vocabulary.turn(edges)
        return full_nodes, full_edges

    def blocks(self, size: int) -> Iterator[tuple[Tensor, Graph]]:
        """Iterate over all graphs in dense blocks of similar size, the smallest graphs first.

        Args:
            size: Largest number of graphs in a block; blocks of large graphs have fewer.

        Yields:
            Row numbers (b,) and the graphs of these rows, without free slots.
        """
        order = torch.argsort(self.sizes, stable=True)
        sizes, start = self.sizes[order].tolist(), 0
        while start < len(order):
            largest = int(SIMILAR * sizes[start]) + 2
            stop = min(start + size, bisect.bisect_right(sizes, largest), len(order))
            while stop > start + 1 and (stop - start) * sizes[stop - 1] ** 2 * self.vocabulary.R > BLOCK_VALUES:
                stop = start + (stop - start) // 2
            rows = order[start:stop]
            yield rows, self[rows].dense(max(1, sizes[stop - 1]))
            start = stop


@dataclass(frozen=True, eq=False)
class PackedGraphs(_Packed):
    """B discrete graphs of any sizes.

    Args:
        offsets: (B + 1,) number of the first node of each graph, and of all nodes S; int64.
        node_labels: (S,) node channels, 1 to K - 1.
        pairs: (2, E) the two nodes i < j of each edge, numbered in the batch, each pair once, sorted; int64.
        edge_labels: (E,) edge channels from i to j, 1 to R - 1.
        vocabulary: Labels of the channels.
    """

    offsets: Tensor
    node_labels: Tensor
    pairs: Tensor
    edge_labels: Tensor
    vocabulary: GraphVocabulary

    @classmethod
    def of(cls, graphs: GraphBatch) -> "PackedGraphs":
        """Convert a batch; dense graphs are rounded, absent nodes are left out and nodes renumbered.

        Args:
            graphs: B graphs.

        Returns:
            The same graphs; packed ones are returned unchanged.
        """
        if isinstance(graphs, PackedGraphs):
            return graphs
        return cls(*graphs.lists(), graphs.vocabulary)

    @classmethod
    def from_edge_lists(cls, graphs: Sequence[EdgeList], vocabulary: GraphVocabulary) -> "PackedGraphs":
        """Convert edge lists.

        Args:
            graphs: B pairs (node labels, [(i, j, edge label), ...]).
            vocabulary: Labels of the channels.

        Returns:
            B graphs.

        Raises:
            ValueError: If a label is unknown to the vocabulary.
        """
        sizes, nodes, edges = channel_lists(graphs, vocabulary)
        offsets = cumulative(torch.tensor(sizes, dtype=torch.long))
        b, i, j, kinds = torch.tensor(edges, dtype=torch.long).reshape(-1, 4).T
        pairs = torch.stack([i, j]) + offsets[b]
        return cls.sorted(offsets, torch.tensor(nodes, dtype=torch.int16), pairs, kinds, vocabulary)

    @classmethod
    def sorted(
        cls, offsets: Tensor, node_labels: Tensor, pairs: Tensor, edge_labels: Tensor, vocabulary: GraphVocabulary
    ) -> "PackedGraphs":
        """Bring pairs in any order into that of the class.

        Args:
            offsets: (B + 1,) as of the class.
            node_labels: (S,) node channels.
            pairs: (2, E) two nodes of each edge; of equal pairs the last one counts.
            edge_labels: (E,) edge channels from the first to the second; 0 removes a pair.
            vocabulary: Labels of the channels.

        Returns:
            B graphs.
        """
        pairs, kinds = sorted_pairs(pairs, edge_labels, len(node_labels), vocabulary)
        return cls(offsets, node_labels.to(torch.int16), pairs, kinds.to(torch.int16), vocabulary)

    @classmethod
    def cat(cls, graphs: Sequence[GraphBatch]) -> "PackedGraphs":
        """Concatenate batches.

        Args:
            graphs: At least one batch; all have the same vocabulary. Dense ones are packed.

        Returns:
            One batch.
        """
        parts = [cls.of(one) for one in graphs]
        nodes, edges = (torch.cat([getattr(one, name) for one in parts]) for name in ("node_labels", "edge_labels"))
        offsets, pairs = _renumbered(parts)
        return cls(offsets, nodes, pairs, edges, parts[0].vocabulary)

    def __repr__(self) -> str:
        sizes = f"{int(self.sizes.min())} to {int(self.sizes.max())}" if len(self) else "0"
        return f"PackedGraphs(B={len(self)}, {sizes} nodes, E={len(self.edge_labels)})"

    def _select(self, nodes: Any, pairs: Any, offsets: Tensor, shift: Tensor | int) -> "PackedGraphs":
        kinds = self.edge_labels[pairs]
        return PackedGraphs(offsets, self.node_labels[nodes], self.pairs[:, pairs] + shift, kinds, self.vocabulary)

    def labels(self) -> tuple[Tensor, Tensor]:
        """Channels in dense tensors, with as many slots as `dense` has.

        Returns:
            Node channels (B, N) and edge channels (B, N, N), integers.
        """
        return self._dense(None, self.node_labels.long(), self.edge_labels.long())

    def dense(self, slots: int | None = None) -> Graph:
        """Convert to dense tensors.

        Args:
            slots: Number N of node slots; None uses that of the largest graph and a few free ones, see `slots`.

        Returns:
            The same graphs, the absent nodes last.

        Raises:
            ValueError: If a graph has more nodes, or the tensors take more than 2 GiB.
        """
        channels = self._dense(slots, self.node_labels, self.edge_labels)
        return Graph.from_labels(*channels, self.vocabulary)

    def relaxed(self) -> "RelaxedPackedGraphs":
        """Convert to one-hot rows.

        Returns:
            The same graphs.
        """
        K, R = self.vocabulary.K, self.vocabulary.R
        nodes = torch.eye(K, device=self.offsets.device)[self.node_labels.long()]
        edges = torch.eye(R, device=self.offsets.device)[self.edge_labels.long()]
        return RelaxedPackedGraphs(self.offsets, nodes, self.pairs, edges, self.vocabulary)

    def lists(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.offsets, self.node_labels, self.pairs, self.edge_labels

    def average(self) -> Graph:
        """Relaxed graph of the marginal frequencies, as `Graph.average`, in slots that 99 % of the graphs fit.

        Returns:
            A batch of one, the same row in all slots.
        """
        K, R, usual = self.vocabulary.K, self.vocabulary.R, self.sizes.double()
        usual = usual.quantile(USUAL).ceil() + SPARE if len(self) else usual.new_zeros(())
        N = min(self.vocabulary.max_nodes, int(usual)) if len(self) else self.vocabulary.max_nodes
        nodes = torch.bincount(self.node_labels.long(), minlength=K).double()
        nodes[0] = (N - self.sizes).clamp_min(0).sum()
        edges = torch.bincount(self.edge_labels.long(), minlength=R).double()
        edges = (edges + self.vocabulary.turn_rows(edges)) / 2
        edges[0] = (self.sizes * (self.sizes - 1)).sum() / 2 - edges.sum()
        if edges.sum() == 0:
            edges[0] = 1
        nodes, edges = (nodes / nodes.sum().clamp_min(1)).float(), (edges / edges.sum()).float()
        return Graph(nodes.expand(1, N, K), edges.expand(1, N, N, R), self.vocabulary).symmetrized()

    def valence_violation(self) -> Tensor:
        beyond = self._load() - self.vocabulary.node_capacities.to(self.offsets.device)[self.node_labels.long()]
        found = torch.zeros(len(self), device=self.offsets.device)
        return found.index_add_(0, self.rows, beyond.clamp_min(0))

    def _load(self) -> Tensor:
        """(S,) sum of the edge orders at each node."""
        order = self.vocabulary.edge_orders.to(self.offsets.device)[self.edge_labels.long()]
        load = torch.zeros(len(self.node_labels), device=self.offsets.device)
        return load.index_add_(0, self.pairs.flatten(), order.repeat(2))

    def check(self) -> "PackedGraphs":
        """Verify offsets, channels and pairs.

        Returns:
            The batch itself.

        Raises:
            ValueError: If channels are not of the vocabulary, or pairs are not sorted or join different graphs.
        """
        S, (i, j), limits = len(self.node_labels), self.pairs, (self.vocabulary.K - 1, self.vocabulary.R - 1)
        if self.offsets[[0, -1]].tolist() != [0, S] or bool((self.sizes < 0).any()):
            raise ValueError(f"offsets must rise from 0 to the number of nodes, {S}, got {short(self.offsets)}")
        parts = ("node_labels", self.node_labels, limits[0]), ("edge_labels", self.edge_labels, limits[1])
        for name, channels, most in parts:
            if bool(((channels < 1) | (channels > most)).any()):
                raise ValueError(f"{name} must lie in 1 to {most}, got {channels.min()} to {channels.max()}")
        if len(i) != len(self.edge_labels) or bool(((i < 0) | (i >= j) | (j >= S)).any()):
            raise ValueError(f"pairs {short(self.pairs)} must be nodes i < j below {S}, one pair for each edge label")
        if bool(((i * S + j).diff() <= 0).any()):
            raise ValueError("pairs must be sorted, each pair once; use PackedGraphs.sorted")
        apart = (self.rows[i] != self.rows[j]).nonzero()
        if len(apart):
            raise ValueError(f"pair {self.pairs[:, apart[0, 0]].tolist()} joins two graphs")
        return self

    def to(self, device: torch.device | str) -> "PackedGraphs":
        """Move to another device.

        Args:
            device: The device.

        Returns:
            A new batch.
        """
        moved = {name: getattr(self, name).to(device) for name in ("offsets", "node_labels", "pairs", "edge_labels")}
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class RelaxedPackedGraphs(_Packed):
    """B relaxed graphs of any sizes, as probabilities; pairs that are not listed are "no edge".

    Args:
        offsets: (B + 1,) number of the first node of each graph, and of all nodes S; int64.
        nodes: (S, K) rows on the simplex, channel 0 = absent.
        pairs: (2, P) two nodes i < j of one graph, numbered in the batch, each pair once, sorted; int64.
        edges: (P, R) rows on the simplex, from i to j, channel 0 = no edge.
        vocabulary: Labels of the K and R channels.
    """

    offsets: Tensor
    nodes: Tensor
    pairs: Tensor
    edges: Tensor
    vocabulary: GraphVocabulary

    @classmethod
    def cat(cls, graphs: Sequence[Self]) -> Self:
        nodes, edges = (torch.cat([getattr(one, name) for one in graphs]) for name in ("nodes", "edges"))
        offsets, pairs = _renumbered(graphs)
        return cls(offsets, nodes, pairs, edges, graphs[0].vocabulary)

    def __repr__(self) -> str:
        return f"RelaxedPackedGraphs(B={len(self)}, S={len(self.nodes)}, P={len(self.edges)})"

    def _select(self, nodes: Any, pairs: Any, offsets: Tensor, shift: Tensor | int) -> "RelaxedPackedGraphs":
        edges = self.edges[pairs]
        return RelaxedPackedGraphs(offsets, self.nodes[nodes], self.pairs[:, pairs] + shift, edges, self.vocabulary)

    def presence(self) -> Tensor:
        """Probability that each node is present.

        Returns:
            (S,) in [0, 1].
        """
        return 1 - self.nodes[:, 0]

    def labels(self) -> tuple[Tensor, Tensor]:
        return self.dense().labels()

    def lists(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.dense().lists()

    def valence_violation(self) -> Tensor:
        return self.dense().valence_violation()

    def average(self) -> Graph:
        return self.dense().average()

    def dense(self, slots: int | None = None) -> Graph:
        """Convert to dense tensors, as `PackedGraphs.dense`; differentiable.

        Args:
            slots: Number N of node slots; None uses that of the largest graph and a few free ones.

        Returns:
            The same graphs, "absent" in slots without a node.
        """
        nodes, edges = (
            torch.cat([rows[..., :1] + (rows.detach().sum(-1, keepdim=True) == 0), rows[..., 1:]], -1)
            for rows in self._dense(slots, self.nodes, self.edges)
        )
        return Graph(nodes, edges, self.vocabulary)

    def to(self, *args: Any, **kwargs: Any) -> "RelaxedPackedGraphs":
        """Move to another device, or the probabilities to another dtype.

        Args:
            *args: As `torch.Tensor.to`, like **kwargs.

        Returns:
            A new batch.
        """
        nodes, edges = self.nodes.to(*args, **kwargs), self.edges.to(*args, **kwargs)
        offsets, pairs = self.offsets.to(nodes.device), self.pairs.to(nodes.device)
        return replace(self, offsets=offsets, nodes=nodes, pairs=pairs, edges=edges)


def _renumbered(parts: Sequence[_Packed]) -> tuple[Tensor, Tensor]:
    """Offsets and pairs of several batches as one."""
    first = cumulative(torch.tensor([int(one.offsets[-1]) for one in parts])).tolist()
    offsets = torch.cat([parts[0].offsets[:1], *(one.offsets[1:] + k for one, k in zip(parts, first))])
    return offsets, torch.cat([one.pairs + k for one, k in zip(parts, first)], 1)


def cumulative(counts: Tensor) -> Tensor:
    """(n + 1,) 0 and the sums of the first 1, 2, ... counts."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def sorted_pairs(
    pairs: Tensor, kinds: Tensor, nodes: int, vocabulary: GraphVocabulary, keep_empty: bool = False
) -> tuple[Tensor, Tensor]:
    """Sort pairs (2, E) of S nodes, i < j, each once: of equal ones the last counts; kind 0 drops out unless kept."""
    low, high = pairs.amin(0), pairs.amax(0)
    if vocabulary.directed:
        kinds = torch.where(pairs[0] == low, kinds, vocabulary.turn(kinds))
    key, order = (low * nodes + high).sort(stable=True)
    last = torch.ones_like(key, dtype=torch.bool)
    last[:-1] = key[1:] != key[:-1]
    order = order[last if keep_empty else last & (kinds[order] > 0)]
    return torch.stack([low[order], high[order]]), kinds[order]


def ranges(starts: Tensor, counts: Tensor) -> Tensor:
    """The numbers start, ..., start + count - 1 of each start, one after the other."""
    ends = counts.cumsum(0)
    shift = (starts - ends + counts).repeat_interleave(counts)
    return torch.arange(len(shift), device=starts.device) + shift
