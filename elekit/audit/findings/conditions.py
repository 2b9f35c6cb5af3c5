"""Conditions that describe edits: what an edit changes, and where."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from elekit.audit.findings.graph_traits import RINGS, graph_traits
from elekit.audit.patterns import smallest_rings
from elekit.graphs.edits import KINDS, SINGLE
from elekit.graphs.features import reachable, ring_edges, shortest_path_lengths
from elekit.inspect.edit_costs import EditSample

BOND_ORDERS, EDGE_LABELS = "bond orders (edge order, single or double)", "edge labels"
FAMILIES = ("node labels", "ring closure", "leaves", BOND_ORDERS, EDGE_LABELS)  # conditions; nearly all single edits


@dataclass(frozen=True, eq=False)
class Condition:
    """A condition on E edits."""

    name: str  # for `Finding.subject`
    phrase: str  # for a sentence
    holds: np.ndarray  # (E,) bool
    parent: str = ""  # name of a more general condition that includes it

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.name, self.parent)))


def edit_conditions(sample: EditSample) -> list[Condition]:
    """What edits change, general conditions first."""
    edits, graphs = sample.edits, sample.graphs
    names, row = graphs.vocabulary, edits.row
    nodes, edges = (labels.long() for labels in graphs.labels())
    (i, j), at = edits.pair[:, 0].clamp_min(0).T, edits.node[:, 0].clamp_min(0)
    old, new = nodes[row, at].numpy(), edits.label[:, 0].numpy()
    was, becomes = edges[row, i, j], edits.edge[:, 0]
    turned = ((was != becomes) & (becomes > 0) & (names.turn(was) == becomes)).numpy()
    before, after = names.label_of[was].numpy(), torch.where(becomes < 0, -1, names.label_of[becomes]).numpy()
    degree = (edges > 0).sum(-1)[row, at].numpy()
    linked, on_ring = reachable(edges)[row, i, j].numpy(), ring_edges(graphs)[row, i, j].numpy()
    kind = np.array(KINDS)[edits.kind.numpy()]
    relabel, changed, swapped = kind == "relabel", kind == "change edge", kind == "swap labels"
    added, removed = kind == "add node", kind == "remove node"
    opened = changed & (before > 0) & (after == 0) & on_ring
    closed = changed & (before == 0) & (after > 0) & linked
    bridge = changed & (((before == 0) & (after > 0) & ~linked) | ((before > 0) & (after == 0) & ~on_ring))
    turned &= changed
    ring, order = opened | closed, changed & (before > 0) & (after > 0) & ~turned
    leaf = (added & (after >= 0)) | (removed & (degree == 1))
    isolated = (added & (after < 0)) | (removed & (degree == 0))
    bonds, suffix = (EDGE_LABELS, "") if names.order is None else (BOND_ORDERS, " (edge order)")
    found: list[tuple] = [
        ("any edit", "any single edit", np.isin(kind, SINGLE)),
        ("node labels", "relabeling a node", relabel),
        (bonds, "changing the label of an edge", order),
        ("ring closure", "closing or opening a ring", ring),
        ("leaves", "adding or removing a leaf", leaf),
        ("isolated nodes", "adding or removing an isolated node", isolated),
        ("bridges", "joining two components or cutting a bridge", bridge),
        ("inner nodes", "removing an inner node", removed & (degree > 1)),
    ]
    for (a, one), (b, other) in itertools.combinations(enumerate(names.node_labels, start=1), 2):
        pair = relabel & (((old == a) & (new == b)) | ((old == b) & (new == a)))
        found.append((f"labels {one} and {other}", f"relabeling {one} to {other} or back", pair))
    for (a, one), (b, other) in itertools.combinations(enumerate(names.edge_labels, start=1), 2):
        pair = order & (((before == a) & (after == b)) | ((before == b) & (after == a)))
        found.append((f"edges {one} and {other}{suffix}", f"changing an edge from {one} to {other} or back", pair))
    found += [
        ("exchanged labels", "exchanging the labels of two nodes", swapped),
        ("turned edges", "turning an edge round", turned),
        ("moved edges", "moving one end of an edge to another node", kind == "move edge"),
        ("shifted edge labels", "raising one edge at a node and lowering another", kind == "shift order"),
    ]
    of_two = np.array([""] * len(kind), dtype=object)
    for e in np.flatnonzero(swapped):
        of_two[e] = "{} and {}".format(*sorted(names.node_labels[k - 1] for k in edits.label[e].tolist()))
    found += [(f"exchanged {pair}", f"exchanging {pair}", of_two == pair) for pair in sorted(set(of_two[swapped]))]
    for k, label in enumerate(names.node_labels, start=1):
        of_leaf, either = leaf & (np.where(removed, old, new) == k), relabel & ((old == k) | (new == k))
        found.append((f"leaves {label}", f"adding or removing a leaf {label}", of_leaf, "leaves"))
        found.append((f"label {label}", f"relabeling a node to or from {label}", either))
    length = (shortest_path_lengths(edges)[row, i, j] + 1).numpy()
    rows = np.flatnonzero(opened)
    without = shortest_path_lengths(sample.results[torch.from_numpy(rows)].labels()[1])
    length[rows] = without[torch.arange(len(rows)), i[rows], j[rows]].numpy() + 1
    for size in RINGS:
        phrase, holds = f"closing or opening a ring of {size} nodes", ring & (length == size)
        found.append((f"ring closure of {size} nodes", phrase, holds, "ring closure"))
    for r, label in enumerate(names.edge_labels, start=1):
        found.append((f"rings closed by {label}", f"closing a ring with an edge {label}", ring & (after == r)))
    return [Condition(*condition) for condition in found]


def edit_locations(sample: EditSample) -> list[Condition]:
    """Where edits are, in the graph and in which graphs; the first condition holds everywhere."""
    edits, graphs, table = sample.edits, sample.graphs, sample.table
    names, row = graphs.vocabulary, edits.row[:, None]
    on_ring, degree = (table[name].to_numpy() for name in ("in_ring", "degree"))
    nodes, edges = (labels.long() for labels in graphs.labels())
    ends = torch.cat([edits.node, edits.pair.flatten(1)], 1)
    slots, linked = ends.clamp_min(0), edges > 0
    touched = (ends >= 0) & (nodes[row, slots] > 0)

    def at(holds: torch.Tensor) -> np.ndarray:
        """(E,) bool: edits that touch a node for which `holds` (n, N) is true."""
        return (touched & holds[row, slots]).any(1).numpy()

    within = (ring_edges(graphs).any(-1)[row, slots] | ~touched).all(1).numpy() & touched.any(1).numpy()
    fewest = torch.where(touched, linked.sum(-1)[row, slots], 99).amin(1).numpy()
    found = [
        ("", "", np.ones(len(table), dtype=bool)),
        (" on rings", " on a ring", on_ring),
        (" off rings", " off rings", ~on_ring),
        (" within rings", " within rings", within),
        (" at leaves", " at a node with at most one edge (a leaf)", fewest <= 1),
        (" at inner nodes", " at nodes with several edges", fewest >= 2),
        (" at branches", " at a node with three or more edges", degree >= 3),
    ]
    sizes, last = smallest_rings(edges, max(RINGS)), ends.amax(1).numpy()
    found += [(f" on rings of {s} nodes", f" on a ring of {s} nodes", at((sizes == s).any(2))) for s in RINGS]
    for s in range(1, nodes.shape[1]):
        found.append((f" beyond node {s} in node order", f" beyond the first {s} nodes in order", last >= s))
    for k, label in enumerate(names.node_labels, start=1):
        here, beside = nodes == k, f" next to {label}"
        found.append((f" at {label}", f" at a node {label}", at(here)))
        found.append((beside, beside, at((linked & here[:, None, :]).any(2))))
    for r, label in enumerate(names.edge_labels, start=1):
        found.append(
            (f" at an edge {label}", f" at a node with an edge {label}", at((names.label_of[edges] == r).any(2)))
        )
    size = reachable(edges).sum(-1) * (nodes > 0)
    outside = ~((ends >= 0) & (size == size.amax(1, keepdim=True))[row, slots]).any(1).numpy()
    found.append((" outside the largest component", " outside the largest component", outside))
    for trait in graph_traits(graphs, long=False):
        where = f" in graphs that {trait.phrase}"
        found.append((where, where, trait.holds.numpy()[edits.row.numpy()]))
    return [Condition(*condition) for condition in found]
