"""Molecules of very different sizes as one batch, whose dense tensors are made where they are asked for."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import ParsedSmiles

MOST = 2**31  # bytes of the edges of one dense batch
TOGETHER = 2**25  # bytes of them that work goes by


class Molecules(Graph):
    """A batch of discrete graphs, kept as lists of nodes and edges; `nodes` and `edges` are made on demand.

    parts: of each graph the channels of its nodes (n,) and its edges (E, 3): two nodes and a channel.
    Any part of it, by a slice, a list, numbers or a mask, is of this kind again; its dense tensors are as wide as its
    own largest graph. Work on many graphs goes by `blocks`, which puts graphs of one size together.
    """

    def __init__(self, parts: Sequence[tuple[np.ndarray, np.ndarray]], vocabulary: GraphVocabulary):
        object.__setattr__(self, "parts", list(parts))
        object.__setattr__(self, "vocabulary", vocabulary)

    @classmethod
    def of(cls, readings: Sequence[ParsedSmiles], vocabulary: GraphVocabulary) -> "Molecules":
        """Readings of SMILES, none of them refused; KeyError for a label that the vocabulary lacks."""
        nodes = {label: channel for channel, label in enumerate(vocabulary.node_labels, 1)}
        bonds = {label: channel for channel, label in enumerate(vocabulary.edge_labels, 1)}
        parts = [
            (
                np.array([nodes[label] for label in reading.nodes], dtype=np.int8),
                np.array([(i, j, bonds[label]) for i, j, label in reading.edges], dtype=np.int16).reshape(-1, 3),
            )
            for reading in readings
        ]
        return cls(parts, vocabulary)

    @classmethod
    def cat(cls, graphs: Sequence["Molecules"]) -> "Molecules":
        """One batch out of several of the same vocabulary."""
        return cls([part for one in graphs for part in one.parts], graphs[0].vocabulary)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index) -> "Molecules":
        if isinstance(index, slice):
            return Molecules(self.parts[index], self.vocabulary)
        index = np.asarray(index)
        numbers = np.arange(len(self))[index if index.size else slice(0)]  # also masks and negative numbers
        return Molecules([self.parts[i] for i in np.atleast_1d(numbers)], self.vocabulary)

    def __repr__(self) -> str:
        return f"Molecules(B={len(self)}, N={self.sizes.max(initial=1)})"

    @property
    def sizes(self) -> np.ndarray:
        """(B,) numbers of nodes."""
        return np.array([len(nodes) for nodes, _ in self.parts], dtype=int)

    @cached_property
    def dense(self) -> Graph:
        """The same graphs as padded tensors. ValueError for what would take more than 2 GB."""
        return Graph.from_labels(*self.labels(), self.vocabulary)

    @property
    def nodes(self) -> Tensor:
        return self.dense.nodes

    @property
    def edges(self) -> Tensor:
        return self.dense.edges

    def labels(self) -> tuple[Tensor, Tensor]:
        B, N = len(self), int(self.sizes.max(initial=1))
        if self._bytes(B, N) > MOST:
            raise ValueError(f"{B} molecules of up to {N} atoms are too much for one dense batch; take blocks()")
        nodes, edges = np.zeros((B, N), dtype=np.int64), np.zeros((B, N, N), dtype=np.int64)
        for b, (own, links) in enumerate(self.parts):
            nodes[b, : len(own)] = own
            i, j, channel = links.T
            edges[b, i, j] = edges[b, j, i] = channel
        return torch.from_numpy(nodes), torch.from_numpy(edges)

    def blocks(self, together: int) -> Iterator[tuple[Tensor, Graph]]:
        """Numbers of rows and these graphs, smallest first, at most so many at a time and fewer of large ones."""
        order = np.argsort(self.sizes, kind="stable")
        sizes, start, most = self.sizes[order], 0, min(TOGETHER, MOST)
        while start < len(order):
            count = min(together, len(order) - start)
            while count > 1 and self._bytes(count, sizes[start + count - 1]) > most:
                count //= 2
            rows = order[start : start + count]
            yield torch.from_numpy(rows), self[rows].dense
            start += count

    def _bytes(self, B: int, N: int) -> int:
        return 4 * self.vocabulary.R * B * int(N) ** 2

    def digest(self) -> str:
        running = hashlib.sha256(repr(self.vocabulary).encode())
        for nodes, links in self.parts:
            running.update(nodes.tobytes() + b"\0" + links.tobytes() + b"\1")
        return running.hexdigest()

    def check(self, tolerance: float = 1e-3) -> "Molecules":
        return self  # vertices, by how they are made

    def to(self, *args, **kwargs) -> Graph:
        return self.dense.to(*args, **kwargs)
