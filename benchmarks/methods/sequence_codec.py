"""Graphs as sequences of tokens and back, and the order of nodes in which they are written."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence

import torch

from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import canonicalized, is_molecular, parse_smiles, to_smiles
from elekit.graphs.weisfeiler_lehman import canonical_colors
from elekit.model.surrogate.tokens import Tokenizer

Parts = tuple[list[str], list[tuple[int, int, str]]]
"""Node labels and (i, j, edge label) of one graph, as `graph.from_edge_lists` takes them."""

TOGETHER = 4_096  # graphs whose nodes are told apart at a time, so that memory stays bounded


class Writing(ABC):
    """A way to write graphs of a vocabulary as sequences of tokens."""

    def __init__(self, vocabulary: GraphVocabulary):
        self.vocabulary = vocabulary

    @abstractmethod
    def write(self, graphs: Graph) -> list[list[Hashable] | None]:
        """The tokens of each (rounded) graph, None of one that cannot be written."""

    @abstractmethod
    def read(self, tokens: Sequence[Hashable]) -> Parts | None:
        """The graph that these tokens tell of, None where they tell of none of the vocabulary."""


class Smiles(Writing):
    """Canonical SMILES of molecules; a graph that RDKit does not sanitise cannot be written."""

    def write(self, graphs: Graph) -> list[list[str] | None]:
        split = Tokenizer("smiles", ()).split
        return [None if text is None else split(text) for text in to_smiles(graphs)]

    def read(self, tokens: Sequence[str]) -> Parts | None:
        reading = parse_smiles("".join(tokens))
        strange = not set(self.vocabulary.node_labels).issuperset(reading.nodes)
        if reading.error or strange or len(reading.nodes) > self.vocabulary.max_nodes:
            return None
        return list(reading.nodes), list(reading.edges)


class Links(Writing):
    """Any graph, node by node as `in_order`: (label,), then (edge label, i) for each link to the earlier node i."""

    def write(self, graphs: Graph) -> list[list[tuple]]:
        names, written = self.vocabulary, []
        for nodes, edges in _lists(in_order(graphs)):
            tokens = []
            for j, label in enumerate(nodes):
                if label:
                    tokens.append((names.node_labels[label - 1],))
                    tokens += [(names.edge_labels[edges[j][i] - 1], i) for i in range(j) if edges[j][i]]
            written.append(tokens)
        return written

    def read(self, tokens: Sequence[tuple]) -> Parts | None:
        nodes: list[str] = []
        edges: dict[tuple[int, int], str] = {}
        for label, *where in tokens:
            if not where:
                nodes.append(label)
                continue
            pair = (where[0], len(nodes) - 1)
            if pair[0] >= pair[1] or pair in edges:
                return None
            edges[pair] = label
        if not 0 < len(nodes) <= self.vocabulary.max_nodes:
            return None
        return nodes, [(i, j, label) for (i, j), label in edges.items()]


def in_order(graphs: Graph) -> Graph:
    """The same graphs with their nodes in a canonical order, the absent ones last.

    Molecules: that of their canonical SMILES, and its Kekule form. Other graphs, and what `chem.canonicalised` leaves
    as it is: breadth first, from the first node by label, then most links, then `refinement.canonical_colours`;
    neighbours and further components likewise.
    """
    orders = []
    for start in range(0, len(graphs), TOGETHER):
        some = graphs[start : start + TOGETHER]
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
