"""Molecules of very different sizes as one batch: lists of atoms and bonds, converted to dense tensors in blocks."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary
from elekit.graphs.smiles import ParsedSmiles

MAX_BYTES = 2**31  # of the edges of one dense batch
BLOCK_BYTES = 2**25


class Molecules(GraphBatch):
    """A batch of B discrete graphs as lists of nodes and edges; dense tensors are as wide as the largest graph.

    parts: of each graph, its node channels (n,) and its edges (E, 3): two nodes and a channel.
    """

    def __init__(self, parts: Sequence[tuple[np.ndarray, np.ndarray]], vocabulary: GraphVocabulary) -> None:
        self.parts, self.vocabulary = list(parts), vocabulary

    @classmethod
    def from_parsed(cls, molecules: Sequence[ParsedSmiles], vocabulary: GraphVocabulary) -> Self:
        """Convert parsed SMILES without errors; raises a KeyError for a label that the vocabulary lacks."""
        nodes = {label: channel for channel, label in enumerate(vocabulary.node_labels, 1)}
        bonds = {label: channel for channel, label in enumerate(vocabulary.edge_labels, 1)}
        parts = []
        for one in molecules:
            links = np.array([(i, j, bonds[label]) for i, j, label in one.edges], dtype=np.int16).reshape(-1, 3)
            parts.append((np.array([nodes[label] for label in one.nodes], dtype=np.int8), links))
        return cls(parts, vocabulary)

    @classmethod
    def cat(cls, graphs: Sequence[Self]) -> Self:
        return cls([part for one in graphs for part in one.parts], graphs[0].vocabulary)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: Any) -> Self:
        if isinstance(index, slice):
            return type(self)(self.parts[index], self.vocabulary)
        index = np.asarray(index)
        rows = np.arange(len(self))[index if index.size else slice(0)]  # also masks and negative numbers
        return type(self)([self.parts[i] for i in np.atleast_1d(rows)], self.vocabulary)

    def __repr__(self) -> str:
        return f"Molecules(B={len(self)}, N={self.sizes.max(initial=1)})"

    @property
    def sizes(self) -> np.ndarray:
        """(B,) number of nodes of each graph."""
        return np.array([len(nodes) for nodes, _ in self.parts], dtype=int)

    def dense(self) -> Graph:
        """The same graphs as padded tensors; raises a ValueError if they take more than 2 GB."""
        return Graph.from_labels(*self.labels(), self.vocabulary)

    def labels(self) -> tuple[Tensor, Tensor]:
        B, N = len(self), int(self.sizes.max(initial=1))
        if self._bytes(B, N) > MAX_BYTES:
            raise ValueError(f"{B} molecules of up to {N} atoms are too large for one dense batch; use blocks()")
        nodes, edges = np.zeros((B, N), dtype=np.int64), np.zeros((B, N, N), dtype=np.int64)
        for b, (own, links) in enumerate(self.parts):
            nodes[b, : len(own)] = own
            i, j, channel = links.T
            edges[b, i, j] = edges[b, j, i] = channel
        return torch.from_numpy(nodes), torch.from_numpy(edges)

    def blocks(self, size: int) -> Iterator[tuple[Tensor, Graph]]:
        """Iterate over dense blocks, smallest graphs first; blocks of large graphs have fewer than `size`."""
        order = np.argsort(self.sizes, kind="stable")
        sizes, start, most = self.sizes[order], 0, min(BLOCK_BYTES, MAX_BYTES)
        while start < len(order):
            count = min(size, len(order) - start)
            while count > 1 and self._bytes(count, sizes[start + count - 1]) > most:
                count //= 2
            rows = order[start : start + count]
            yield torch.from_numpy(rows), self[rows].dense()
            start += count

    def _bytes(self, B: int, N: int) -> int:
        return 4 * self.vocabulary.R * B * int(N) ** 2

    def digest(self) -> str:
        running = hashlib.sha256(repr(self.vocabulary).encode())
        for nodes, links in self.parts:
            running.update(nodes.tobytes() + b"\0" + links.tobytes() + b"\1")
        return running.hexdigest()
