"""What can be counted in a graph, and the traits in words that follow: what graphs may have in common."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from elekit.audit.patterns import held_patterns, pattern_name, ring_sizes
from elekit.graphs.features import count_components, cycle_rank
from elekit.graphs.graph import Graph

RINGS = (3, 4, 5, 6, 7)


@dataclass(frozen=True)
class Count:
    """Something that can be counted in graphs. name: "the number of rings". values: (B,) integers.

    noun: what is counted, one and several. label: of which label, "" of none.
    """

    name: str
    values: np.ndarray
    noun: tuple[str, str]
    label: str = ""


@dataclass(frozen=True, eq=False)
class Trait:
    """Something that graphs may share.

    words: as in "graphs that contain N". labels: that it speaks of. holds: (B,) bool.
    """

    words: str
    labels: tuple[str, ...]
    holds: Tensor


def counts_of(graphs: Graph) -> list[Count]:
    """Nodes, edges, rings, connected parts, edges at one node, and nodes and edges of each label, where there are several."""
    names = graphs.vocabulary
    nodes, edges = (labels.cpu().long() for labels in graphs.labels())
    there, linked = nodes > 0, edges > 0
    found = [("the number of nodes", there.sum(1), ("node", "nodes"))]
    if names.K > 2:
        for k, label in enumerate(names.node_labels, start=1):
            found.append((f"the number of nodes {label}", (nodes == k).sum(1), (label, label), label))
    found.append(("the number of edges", linked.sum((1, 2)) // 2, ("edge", "edges")))
    if names.R > 2:
        for r, label in enumerate(names.edge_labels, start=1):
            noun = (f"edge {label}", f"edges {label}")
            found.append((f"the number of edges {label}", (edges == r).sum((1, 2)) // 2, noun, label))
    found.append(("the number of rings", cycle_rank(graphs), ("ring", "rings")))
    found.append(
        ("the number of separate parts", count_components(nodes, edges), ("separate part", "separate parts"))
    )
    degree = linked.sum(-1)
    found.append(("the number of leaves", (degree == 1).sum(1), ("leaf", "leaves")))
    found.append(("the number of branchings", (degree >= 3).sum(1), ("branching", "branchings")))
    found.append(("the most edges at one node", degree.amax(1), ("edge at one node", "edges at one node")))
    return [Count(name, values.numpy(), *rest) for name, values, *rest in found]


def traits_of(graphs: Graph, long: bool = True) -> list[Trait]:
    """Traits that some of the graphs hold and some do not, general ones first: bounds on counts, rings, neighbors, patterns.

    long: small patterns of three nodes as well as of two.
    """
    nodes, edges = (labels.cpu().long() for labels in graphs.labels())
    names, rings, linked = graphs.vocabulary, ring_sizes(edges, max(RINGS)), edges > 0
    found = [trait for count in counts_of(graphs) for trait in _bounds(count)]
    found += [Trait(f"hold a ring of {size} nodes", (), rings[:, size]) for size in RINGS]
    for (a, one), (b, other) in itertools.combinations_with_replacement(enumerate(names.node_labels, start=1), 2):
        beside = ((nodes[:, :, None] == a) & linked & (nodes[:, None, :] == b)).flatten(1).any(1)
        found.append(Trait(f"contain {one} next to {other}", (one, other), beside))
    for pattern, held in held_patterns(graphs):
        if long or len(pattern) == 3:
            parts = [(names.node_labels, names.edge_labels)[i % 2][k - 1] for i, k in enumerate(pattern)]
            found.append(Trait(f"contain {pattern_name(pattern, names)}", tuple(parts), held))
    return [trait for trait in found if 0 < int(trait.holds.sum()) < len(graphs)]


def _bounds(count: Count) -> list[Trait]:
    """At least, at most and exactly so many; an even or an odd number."""
    values, (one, several), found = torch.from_numpy(count.values), count.noun, []
    labels, verb = (count.label,) if count.label else (), "contain" if count.label else "have"
    low, high = int(values.min()), int(values.max())

    def add(bound: str, number: int, holds: Tensor):
        amount = f"{number} {one if number == 1 else several}"
        found.append(Trait(f"{verb} {bound} {amount}", labels, holds))

    for v in range(low + 1, high + 1):
        if v == 1:
            found.append(Trait(f"{verb} {one if one == count.label else article(one)}", labels, values >= 1))
            found.append(Trait(f"{verb} no {one}", labels, values == 0))
        else:
            add("at least", v, values >= v)
            add("at most", v - 1, values < v)
        if v < high:
            add("exactly", v, values == v)
    if high - low >= 2:
        for rest, kind in enumerate(("even", "odd")):
            found.append(Trait(f"{verb} an {kind} number of {several}", labels, values % 2 == rest))
    return found


def article(noun: str) -> str:
    """ "an edge", "a ring"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
