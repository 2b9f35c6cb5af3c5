"""Graphs to sequences of tokens and back, and a canonical order of nodes."""

from abc import ABC, abstractmethod
from itertools import chain
from typing import Any

import torch

from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary
from elekit.graphs.smiles import canonicalized, is_molecular, parse_smiles, to_smiles
from elekit.graphs.weisfeiler_lehman import canonical_colors
from elekit.model.surrogate.tokens import Tokenizer

Tokens = list[Any]  # hashable
GraphParts = tuple[list[str], list[tuple[int, int, str]]]
"""Node labels and (i, j, edge label) of one graph, as in `graph.from_edge_lists`."""

BLOCK = 256  # graphs ordered at a time


class SequenceCodec(ABC):
    """Encodes graphs of a vocabulary as sequences of tokens."""

    def __init__(self, vocabulary: GraphVocabulary):
        self.vocabulary = vocabulary

    @abstractmethod
    def encode(self, graphs: GraphBatch) -> list[Tokens | None]:
        """The tokens of each discrete graph; None if it cannot be encoded."""

    @abstractmethod
    def decode(self, tokens: Tokens) -> GraphParts | None:
        """The graph that the tokens encode; None if they encode no graph of the vocabulary."""


class SmilesCodec(SequenceCodec):
    """Canonical SMILES of molecules. A graph that RDKit cannot sanitize cannot be encoded."""

    def encode(self, graphs: GraphBatch) -> list[Tokens | None]:
        split = Tokenizer("smiles", ()).split
        return [None if text is None else split(text) for text in to_smiles(graphs)]

    def decode(self, tokens: Tokens) -> GraphParts | None:
        reading = parse_smiles("".join(tokens))
        unknown = not set(self.vocabulary.node_labels).issuperset(reading.nodes)
        if reading.error or unknown or len(reading.nodes) > self.vocabulary.max_nodes:
            return None
        return list(reading.nodes), list(reading.edges)


class NodeLinkCodec(SequenceCodec):
    """Nodes in order: (label,), followed by (name of the edge channel, i) for each link to an earlier node i.

    ordered: Nodes have an order of their own, such as that of a text; otherwise, their order is `canonical_order`.
    """

    def __init__(self, vocabulary: GraphVocabulary, ordered: bool = False):
        super().__init__(vocabulary)
        self.ordered = ordered

    def encode(self, graphs: GraphBatch) -> list[Tokens | None]:
        vocabulary, names = self.vocabulary, self.vocabulary.edge_names
        encoded: list[Tokens | None] = []
        blocks = (graphs[start : start + BLOCK] for start in range(0, len(graphs), BLOCK))
        ordered = (block.dense() if self.ordered else canonical_order(block) for block in blocks)
        for nodes, edges in chain.from_iterable(map(_lists, ordered)):
            tokens: Tokens = []
            for j, label in enumerate(nodes):
                if label:
                    tokens.append((vocabulary.node_labels[label - 1],))
                    tokens += [(names[edges[j][i]], i) for i in range(j) if edges[j][i]]
            encoded.append(tokens)
        return encoded

    def decode(self, tokens: Tokens) -> GraphParts | None:
        vocabulary, nodes = self.vocabulary, list[str]()
        edges: dict[tuple[int, int], str] = {}
        for label, *links in tokens:
            if not links:
                nodes.append(label)
                continue
            pair = (links[0], len(nodes) - 1)
            if pair[0] >= pair[1] or pair in edges:
                return None
            edges[pair] = label
        if not 0 < len(nodes) <= self.vocabulary.max_nodes:
            return None
        channel = {name: r for r, name in enumerate(vocabulary.edge_names)}
        found = []
        for (i, j), name in edges.items():  # i is earlier, the channel is that from j to i
            label = vocabulary.edge_labels[int(vocabulary.label_of[channel[name]]) - 1]
            found.append((j, i, label) if channel[name] in vocabulary.directed_labels else (i, j, label))
        return nodes, found


def canonical_order(graphs: GraphBatch) -> Graph:
    """The same graphs with nodes in canonical order, absent ones last.

    Molecules: the order and the Kekule form of their canonical SMILES. Other graphs, and graphs that
    `smiles.canonicalized` leaves unchanged: breadth first; nodes, neighbors and further components sorted by label,
    then number of links (most first), then `weisfeiler_lehman.canonical_colors`.
    """
    orders, graphs = [], graphs.dense()
    for start in range(0, len(graphs), BLOCK):
        some = graphs[start : start + BLOCK]
        for (nodes, edges), colors in zip(_lists(some), canonical_colors(some).tolist()):
            orders.append(_breadth_first(nodes, edges, colors))
    ordered = graphs.permuted(torch.tensor(orders))
    return canonicalized(ordered) if is_molecular(graphs.vocabulary) else ordered


def _breadth_first(nodes: list[int], edges: list[list[int]], colors: list[int]) -> list[int]:
    rank = [(label, -sum(r > 0 for r in row), color) for label, row, color in zip(nodes, edges, colors)]
    waiting = sorted((i for i, label in enumerate(nodes) if label), key=rank.__getitem__)
    order: list[int] = []
    while waiting:
        queue = waiting[:1]
        for i in queue:  # grows as it is walked
            queue += [j for j in waiting if edges[i][j] and j not in queue]
        waiting = [i for i in waiting if i not in queue]
        order += queue
    return order + [i for i, label in enumerate(nodes) if not label]


def _lists(graphs: Graph):
    node_labels, edge_labels = graphs.labels()
    return zip(node_labels.tolist(), edge_labels.tolist())
