"""Maximum spanning trees and arborescences of dense weights."""

import networkx as nx
import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
Nodes = NDArray[np.int64]
ROOT = -1e6  # weight of an edge from outside: as few nodes as possible are roots


def maximum_spanning_tree(weights: Weights) -> list[tuple[int, int]]:
    """Find the spanning tree of the highest total weight.

    Args:
        weights: (n, n) finite weights of pairs, symmetric.

    Returns:
        Its n - 1 pairs (i, j), i < j.
    """
    complete = nx.Graph()
    complete.add_nodes_from(range(len(weights)))
    complete.add_weighted_edges_from((i, j, weights[i, j]) for j in range(len(weights)) for i in range(j))
    return [(min(i, j), max(i, j)) for i, j in nx.maximum_spanning_edges(complete, data=False)]


def maximum_arborescence(weights: Weights, roots: Weights | None = None) -> list[tuple[int, int]]:
    """Find the spanning arborescence of the highest total weight.

    The algorithm of Chu and Liu (1965) and Edmonds (1967) on matrices; networkx has it for sparse graphs, and takes a
    hundred times as long here.

    Args:
        weights: (n, n) finite weights of the edges from i to j, much smaller than 1e6.
        roots: (n,) weights of the nodes as the root, likewise; None = any root is as good.

    Returns:
        Its n - 1 edges (from, to).
    """
    n = len(weights)
    rooted = np.full((n + 1, n + 1), ROOT)
    rooted[1:, 1:] = weights
    rooted[0, 1:] += 0 if roots is None else roots
    return [(int(i) - 1, j) for j, i in enumerate(_parents(rooted)[1:]) if i]


def _parents(weights: Weights) -> Nodes:
    """(n,) the parent of each node in the best arborescence from node 0."""
    n = len(weights)
    weights = weights.copy()
    weights[:, 0] = weights[np.arange(n), np.arange(n)] = -np.inf
    parents: Nodes = weights.argmax(0)
    parents[0] = 0
    cycle = _cycle(parents)
    if not len(cycle):
        return parents
    # the cycle becomes one node, the last one
    rest = np.setdiff1d(np.arange(n), cycle)
    k = len(rest)
    into = weights[np.ix_(rest, cycle)] - weights[parents[cycle], cycle]
    out = weights[np.ix_(cycle, rest)]
    smaller = np.full((k + 1, k + 1), -np.inf)
    smaller[:k, :k], smaller[:k, k], smaller[k, :k] = weights[np.ix_(rest, rest)], into.max(1), out.max(0)
    found = _parents(smaller)
    parents[rest] = np.where(found[:k] == k, cycle[out.argmax(0)], rest[found[:k].clip(max=k - 1)])
    parents[cycle[into[found[k]].argmax()]] = rest[found[k]]
    return parents


def _cycle(parents: Nodes) -> Nodes:
    """Nodes of a cycle of edges from parents; none if all paths end in node 0, which is its own parent."""
    on = parents.copy()
    for _ in range(len(parents).bit_length()):  # ancestors of 2, 4, 8, ... edges above
        on = on[on]
    cycle = [int(node) for node in on[on > 0][:1]]
    while cycle and (node := int(parents[cycle[-1]])) != cycle[0]:
        cycle.append(node)
    return np.array(sorted(cycle), dtype=np.int64)
