"""Counts of graphs, and the traits that follow from them: what graphs may have in common."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from elekit.audit.patterns import held_patterns, pattern_name, ring_sizes
from elekit.graphs import Graph
from elekit.graphs.features import cycle_rank

RINGS = (3, 4, 5, 6, 7)


@dataclass(frozen=True)
class Count:
    """A count of graphs: its name, its (B,) integers, the noun (singular, plural), and the label it is about."""

    name: str
    values: np.ndarray
    noun: tuple[str, str]
    label: str = ""


@dataclass(frozen=True, eq=False)
class Trait:
    """Something that graphs may share: a verb phrase ("contain N"), the labels in it, and (B,) bool."""

    phrase: str
    labels: tuple[str, ...]
    holds: Tensor


def graph_counts(graphs: Graph) -> list[Count]:
    """Nodes, edges, rings, components, leaves, branchings, the largest degree, and nodes and edges per label."""
    names = graphs.vocabulary
    nodes, edges = (labels.cpu().long() for labels in graphs.labels())
    present, linked, rings = (nodes > 0).sum(1), edges > 0, cycle_rank(graphs)
    degree, size = linked.sum(-1), linked.sum((1, 2)) // 2
    found: list[tuple] = [("the number of nodes", present, ("node", "nodes"))]
    if names.K > 2:
        for k, label in enumerate(names.node_labels, start=1):
            found.append((f"the number of nodes {label}", (nodes == k).sum(1), (label, label), label))
    found.append(("the number of edges", size, ("edge", "edges")))
    if names.R > 2:
        for r, label in enumerate(names.edge_labels, start=1):
            noun = (f"edge {label}", f"edges {label}")
            found.append((f"the number of edges {label}", (edges == r).sum((1, 2)) // 2, noun, label))
    found += [
        ("the number of rings", rings, ("ring", "rings")),
        ("the number of components", rings - size + present, ("component", "components")),
        ("the number of leaves", (degree == 1).sum(1), ("leaf", "leaves")),
        ("the number of branchings", (degree >= 3).sum(1), ("branching", "branchings")),
        ("the largest degree", degree.amax(1), ("edge at one node", "edges at one node")),
    ]
    return [Count(name, values.numpy(), *rest) for name, values, *rest in found]


def graph_traits(graphs: Graph, long: bool = True) -> list[Trait]:
    """Traits that some graphs have: bounds on counts, rings, neighbors, patterns of two or (long) three nodes."""
    nodes, edges = (labels.cpu().long() for labels in graphs.labels())
    names, rings, linked = graphs.vocabulary, ring_sizes(edges, max(RINGS)), edges > 0
    found = [trait for count in graph_counts(graphs) for trait in _bounds(count)]
    found += [Trait(f"have a ring of {size} nodes", (), rings[:, size]) for size in RINGS]
    for (a, one), (b, other) in itertools.combinations_with_replacement(enumerate(names.node_labels, start=1), 2):
        beside = ((nodes[:, :, None] == a) & linked & (nodes[:, None, :] == b)).flatten(1).any(1)
        found.append(Trait(f"contain {one} next to {other}", (one, other), beside))
    for pattern, held in held_patterns(graphs):
        if long or len(pattern) == 3:
            parts = [(names.node_labels, names.edge_labels)[i % 2][k - 1] for i, k in enumerate(pattern)]
            found.append(Trait(f"contain {pattern_name(pattern, names)}", tuple(parts), held))
    return [trait for trait in found if 0 < int(trait.holds.sum()) < len(graphs)]


def _bounds(count: Count) -> list[Trait]:
    """At least, at most and exactly a number; an even or an odd number."""
    values, (one, several), found = torch.from_numpy(count.values), count.noun, []
    labels, verb = (count.label,) if count.label else (), "contain" if count.label else "have"
    low, high = int(values.min()), int(values.max())
    for v in range(low + 1, high + 1):
        if v == 1:
            article = "" if one == count.label else "an " if one[0] in "aeiou" else "a "
            found += [(f"{article}{one}", values >= 1), (f"no {one}", values == 0)]
        else:
            found.append((f"at least {v} {several}", values >= v))
            found.append((f"at most {v - 1} {one if v == 2 else several}", values < v))
        if v < high:
            found.append((f"exactly {v} {one if v == 1 else several}", values == v))
    if high - low >= 2:
        found += [(f"an {kind} number of {several}", values % 2 == rest) for rest, kind in enumerate(("even", "odd"))]
    return [Trait(f"{verb} {phrase}", labels, holds) for phrase, holds in found]
