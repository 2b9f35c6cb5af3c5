"""What an edit does and where, in words: the conditions that descriptions of edits are made of."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from elekit.audit.findings.graph_traits import RINGS, traits_of
from elekit.audit.patterns import smallest_rings
from elekit.graphs.edits import SINGLE
from elekit.graphs.features import reachable, ring_edges, shortest_path_lengths
from elekit.inspect.edit_costs import EditSample

ORDERS, LABELS = "bond orders (edge order, single or double)", "edge labels"
FAMILIES = ("node labels", "ring closure", "leaves", ORDERS, LABELS)  # names of conditions; every single edit but few


@dataclass(frozen=True, eq=False)
class Condition:
    """What an edit does, or where. holds: (E,) bool. name: short, for `Finding.what`. words: for a sentence."""

    name: str
    words: str
    holds: np.ndarray


def what_edits_do(sample: EditSample) -> list[Condition]:
    """Conditions on the edit itself, general ones first."""
    edits, graphs, table = sample.edits, sample.graphs, sample.table
    names = graphs.vocabulary
    nodes, edges = (labels.long() for labels in graphs.labels())
    (i, j), at = edits.pair[:, 0].clamp_min(0).T, edits.node[:, 0].clamp_min(0)
    old, new = nodes[edits.row, at].numpy(), edits.label[:, 0].numpy()
    before, after = edges[edits.row, i, j].numpy(), edits.edge[:, 0].numpy()
    kind, detail = table["edit"].to_numpy(), table["kind"].to_numpy().astype(str)
    relabel, changed = kind == "relabel", kind == "change edge"
    starts = np.char.startswith
    ring = starts(detail, "close a ring") | (detail == "open a ring")
    on_its_own = (detail == "remove leaf") & (~(edges[edits.row, at] > 0).any(-1)).numpy()
    leaf = starts(detail, "add leaf") | ((detail == "remove leaf") & ~on_its_own)
    loose = on_its_own | np.char.endswith(detail, "on its own")
    order = changed & (before > 0) & (after > 0)
    bridge = starts(detail, "join parts") | (detail == "cut an edge")
    bonds = ORDERS if names.order is not None else LABELS
    found = [
        Condition("any edit", "any single edit", table["edit"].isin(SINGLE).to_numpy()),
        Condition("node labels", "relabeling a node", relabel),
        Condition(bonds, "changing the label of an edge", order),
        Condition("ring closure", "closing or opening a ring", ring),
        Condition("leaves", "adding or removing a leaf", leaf),
        Condition("loose nodes", "adding or removing a node on its own", loose),
        Condition("cuts", "joining two parts or cutting an edge between them", bridge),
        Condition("inner nodes", "removing an inner node", detail == "remove node"),
    ]
    for (a, one), (b, other) in itertools.combinations(enumerate(names.node_labels, start=1), 2):
        pair = relabel & (((old == a) & (new == b)) | ((old == b) & (new == a)))
        found.append(Condition(f"labels {one} and {other}", f"relabeling {one} to {other} or back", pair))
    for (a, one), (b, other) in itertools.combinations(enumerate(names.edge_labels, start=1), 2):
        pair = order & (((before == a) & (after == b)) | ((before == b) & (after == a)))
        order_too = " (edge order)" if names.order is not None else ""
        found.append(
            Condition(f"edges {one} and {other}{order_too}", f"changing an edge from {one} to {other} or back", pair)
        )
    found += [
        Condition("exchanged labels", "exchanging the labels of two nodes", kind == "swap labels"),
        Condition("moved edges", "moving one end of an edge to another node", kind == "move edge"),
        Condition("shifted edge labels", "raising one edge at a node and lowering another", kind == "shift order"),
    ]
    for name in sorted(set(detail[kind == "swap labels"])):
        labels = name.removeprefix("swap labels ")
        found.append(Condition(f"exchanged {labels}", f"exchanging {labels}", detail == name))
    gone = np.where(kind == "remove node", old, new)
    for k, label in enumerate(names.node_labels, start=1):
        found.append(Condition(f"leaves {label}", f"adding or removing a leaf {label}", leaf & (gone == k)))
        touching = relabel & ((old == k) | (new == k))
        found.append(Condition(f"label {label}", f"relabeling a node to or from {label}", touching))
    length = (shortest_path_lengths(edges)[edits.row, i, j] + 1).numpy()
    opened = np.flatnonzero(detail == "open a ring")
    after_all = sample.results[torch.from_numpy(opened)].labels()[1]
    length[opened] = shortest_path_lengths(after_all)[torch.arange(len(opened)), i[opened], j[opened]].numpy() + 1
    for size in RINGS:
        words = f"closing or opening a ring of {size} nodes"
        found.append(Condition(f"ring closure of {size} nodes", words, ring & (length == size)))
    for r, label in enumerate(names.edge_labels, start=1):
        found.append(
            Condition(f"rings closed by {label}", f"closing a ring with an edge {label}", ring & (after == r))
        )
    return found


def where_edits_are(sample: EditSample) -> list[Condition]:
    """Conditions on the place and the graph; the first is none at all."""
    edits, graphs, table = sample.edits, sample.graphs, sample.table
    names, row = graphs.vocabulary, edits.row.numpy()
    on_ring, degree = (table[name].to_numpy() for name in ("in_ring", "degree"))
    nodes, edges = (labels.long() for labels in graphs.labels())
    ends = torch.cat([edits.node, edits.pair.flatten(1)], 1)
    touched = (ends >= 0) & (nodes[edits.row[:, None], ends.clamp_min(0)] > 0)
    around = ring_edges(graphs).any(-1)[edits.row[:, None], ends.clamp_min(0)]
    within = (around | ~touched).all(1).numpy() & touched.any(1).numpy()
    fewest = torch.where(touched, (edges > 0).sum(-1)[edits.row[:, None], ends.clamp_min(0)], 99).amin(1).numpy()
    found = [
        Condition("", "", np.ones(len(table), dtype=bool)),
        Condition(" on rings", ", on a ring,", on_ring),
        Condition(" off rings", ", not on a ring,", ~on_ring),
        Condition(" within rings", ", within rings,", within),
        Condition(" at leaves", ", at a node with no more than one edge (a leaf),", fewest <= 1),
        Condition(" at inner nodes", ", at nodes with several edges,", fewest >= 2),
        Condition(" at branches", ", at a node with three or more edges,", degree >= 3),
    ]
    sizes = smallest_rings(edges, max(RINGS))
    for s in RINGS:
        on_size = ((sizes == s).any(2)[edits.row[:, None], ends.clamp_min(0)] & touched).any(1).numpy()
        found.append(Condition(f" on rings of {s} nodes", f", on a ring of {s} nodes,", on_size))
    last = ends.amax(1).numpy()
    for s in range(1, nodes.shape[1]):
        where = f" beyond node {s} in node order"
        found.append(
            Condition(where, f", where it touches a node beyond the first {s} in the order of nodes,", last >= s)
        )
    for k, label in enumerate(names.node_labels, start=1):
        beside = ((edges > 0) & (nodes == k)[:, None, :]).any(2)
        near = (touched & beside[edits.row[:, None], ends.clamp_min(0)]).any(1).numpy()
        at = (touched & (nodes == k)[edits.row[:, None], ends.clamp_min(0)]).any(1).numpy()
        found.append(Condition(f" at {label}", f", at a node {label},", at))
        found.append(Condition(f" next to {label}", f", next to {label},", near))
    for r, label in enumerate(names.edge_labels, start=1):
        at = (touched & (edges == r).any(2)[edits.row[:, None], ends.clamp_min(0)]).any(1).numpy()
        found.append(Condition(f" at an edge {label}", f", at a node with an edge {label},", at))
    where = " outside the largest part"
    found.append(
        Condition(where, ", outside the largest part of the graph,", _outside(nodes, edges, edits.row, ends))
    )
    for trait in traits_of(graphs, long=False):
        where = f" in graphs that {trait.words}"
        found.append(Condition(where, where, trait.holds.numpy()[row]))
    return found


def _outside(nodes: Tensor, edges: Tensor, row: Tensor, ends: Tensor) -> np.ndarray:
    """(E,) bool: an edit touches no node of a largest connected part."""
    size = reachable(edges).sum(-1) * (nodes > 0)
    largest = size == size.amax(1, keepdim=True)
    return ~((ends >= 0) & largest[row[:, None], ends.clamp_min(0)]).any(1).numpy()
