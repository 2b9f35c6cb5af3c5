"""Counts of graphs, and the traits that follow from them: what graphs may have in common."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elekit.audit.patterns import held_patterns, neighboring_labels, pattern_name, ring_sizes
from elekit.graphs import Graph
from elekit.graphs.features import cycle_rank
from elekit.graphs.graph import GraphBatch, by_blocks

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


def graph_counts(graphs: GraphBatch) -> list[Count]:
    """Nodes, edges, rings, components, leaves, branchings, the largest degree, and nodes and edges per label."""
    names = graphs.vocabulary
    found: list[tuple[Any, ...]] = [("the number of nodes", ("node", "nodes"))]
    if names.K > 2:
        found += [(f"the number of nodes {label}", (label, label), label) for label in names.node_labels]
    found.append(("the number of edges", ("edge", "edges")))
    if len(names.edge_labels) > 1:
        links = names.edge_labels
        found += [(f"the number of edges {label}", (f"edge {label}", f"edges {label}"), label) for label in links]
    found += [
        ("the number of rings", ("ring", "rings")),
        ("the number of components", ("component", "components")),
        ("the number of leaves", ("leaf", "leaves")),
        ("the number of branchings", ("branching", "branchings")),
        ("the largest degree", ("edge at one node", "edges at one node")),
    ]
    values = by_blocks(_counted, graphs).numpy()
    return [Count(name, values[:, column], *rest) for column, (name, *rest) in enumerate(found)]


def _counted(block: Graph) -> Tensor:
    """(B, C) the values of `graph_counts`."""
    names, (nodes, edges) = block.vocabulary, (labels.cpu().long() for labels in block.labels())
    present, linked, rings = (nodes > 0).sum(1), edges > 0, cycle_rank(block)
    degree, size = linked.sum(-1), linked.sum((1, 2)) // 2
    of_nodes = [(nodes == k).sum(1) for k in range(1, names.K)] if names.K > 2 else []
    labels = range(1, len(names.edge_labels) + 1)
    of_edges = [(names.label_of[edges] == r).sum((1, 2)) // 2 for r in labels] if len(labels) > 1 else []
    shape = (degree == 1).sum(1), (degree >= 3).sum(1), degree.amax(1)
    return torch.stack([present, *of_nodes, size, *of_edges, rings, rings - size + present, *shape], 1)


def graph_traits(graphs: GraphBatch, long: bool = True) -> list[Trait]:
    """Traits that some graphs have: bounds on counts, rings, neighbors, patterns of two or (long) three nodes."""
    names = graphs.vocabulary
    rings = by_blocks(lambda block: ring_sizes(block.labels()[1].cpu(), max(RINGS)), graphs)
    found = [trait for count in graph_counts(graphs) for trait in _bounds(count)]
    found += [Trait(f"have a ring of {size} nodes", (), rings[:, size]) for size in RINGS]
    for (a, b), held in neighboring_labels(graphs):
        one, other = names.node_labels[a - 1], names.node_labels[b - 1]
        found.append(Trait(f"contain {one} next to {other}", (one, other), held))
    for pattern, held in held_patterns(graphs):
        if long or len(pattern) == 3:
            parts = [(names.node_labels, names.edge_names[1:])[i % 2][k - 1] for i, k in enumerate(pattern)]
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
