"""Where edits cost nothing: the shortest descriptions of the edits that a loss does not see."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from elekit.inspect.findings.answers import Answers
from elekit.inspect.patterns import held_patterns, pattern_name
from elekit.inspect.traits import cycle_rank, distances, on_rings

MOST_PATTERNS = 80
RING_SIZES = (3, 4, 5, 6)
ORDERS, LABELS = "bond orders (edge order, single or double)", "edge labels"
TIMES = 2.5  # more often marked than other edits are
FAMILIES = ("node labels", "ring closure", "leaves", ORDERS, LABELS)  # names of conditions; every single edit but few


@dataclass(frozen=True, eq=False)
class Condition:
    """What an edit does, or where. holds: (E,) bool. name: short, for `Finding.what`. words: for a sentence."""

    name: str
    words: str
    holds: np.ndarray


@dataclass(frozen=True, eq=False)
class Slice:
    """Edits of which a share costs nothing. what, where: conditions, both of which hold. rate: that share."""

    what: Condition
    where: Condition
    rate: float
    edits: np.ndarray

    @property
    def name(self) -> str:
        return f"{self.what.name}{self.where.name}"

    @property
    def words(self) -> str:
        return f"{self.what.words}{self.where.words}"


def what_edits_do(answers: Answers) -> list[Condition]:
    """Conditions on the edit itself, general ones first."""
    basis, table = answers.basis, answers.table
    edits, names = basis.sample.edits, basis.graphs.vocabulary
    nodes, edges = (labels.long() for labels in basis.graphs.labels())
    (i, j), at = edits.pair[:, 0].clamp_min(0).T, edits.node[:, 0].clamp_min(0)
    old, new = nodes[edits.row, at].numpy(), edits.label[:, 0].numpy()
    before, after = edges[edits.row, i, j].numpy(), edits.edge[:, 0].numpy()
    kind, detail = table["edit"].to_numpy(), table["kind"].to_numpy().astype(str)
    relabel, changed = kind == "relabel", kind == "change edge"
    starts = np.char.startswith
    ring = starts(detail, "close a ring") | (detail == "open a ring")
    leaf = starts(detail, "add leaf") | (detail == "remove leaf")
    order = changed & (before > 0) & (after > 0)
    bridge = starts(detail, "join parts") | (detail == "cut an edge")
    bonds = ORDERS if names.order is not None else LABELS
    found = [
        Condition("any edit", "any single edit", answers.single),
        Condition("node labels", "relabelling a node", relabel),
        Condition(bonds, "changing the label of an edge", order),
        Condition("ring closure", "closing or opening a ring", ring),
        Condition("leaves", "adding or removing a leaf", leaf),
        Condition("cuts", "joining two parts or cutting an edge between them", bridge),
        Condition("inner nodes", "removing an inner node", detail == "remove node"),
    ]
    for (a, one), (b, other) in itertools.combinations(enumerate(names.node_labels, start=1), 2):
        pair = relabel & (((old == a) & (new == b)) | ((old == b) & (new == a)))
        found.append(Condition(f"labels {one} and {other}", f"relabelling {one} to {other} or back", pair))
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
        found.append(Condition(f"label {label}", f"relabelling a node to or from {label}", touching))
    length = (distances(edges)[edits.row, i, j] + 1).numpy()
    opened = np.flatnonzero(detail == "open a ring")
    after_all = basis.sample.results[torch.from_numpy(opened)].labels()[1]
    length[opened] = distances(after_all)[torch.arange(len(opened)), i[opened], j[opened]].numpy() + 1
    for size in RING_SIZES:
        words = f"closing or opening a ring of {size} nodes"
        found.append(Condition(f"ring closure of {size} nodes", words, ring & (length == size)))
    for r, label in enumerate(names.edge_labels, start=1):
        found.append(
            Condition(f"rings closed by {label}", f"closing a ring with an edge {label}", ring & (after == r))
        )
    return found


def where_edits_are(answers: Answers) -> list[Condition]:
    """Conditions on the place and the graph; the first is none at all."""
    basis, table = answers.basis, answers.table
    edits, graphs = basis.sample.edits, basis.graphs
    names, row = graphs.vocabulary, edits.row.numpy()
    on_ring, degree, size = (table[name].to_numpy() for name in ("in_ring", "degree", "size"))
    nodes, edges = (labels.long() for labels in graphs.labels())
    ends = torch.cat([edits.node, edits.pair.flatten(1)], 1)
    touched = (ends >= 0) & (nodes[edits.row[:, None], ends.clamp_min(0)] > 0)
    around = on_rings(graphs).any(-1)[edits.row[:, None], ends.clamp_min(0)]
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
    for s in range(int(size.min()), int(size.max())):
        found.append(Condition(f" in graphs of at most {s} nodes", f" in graphs of at most {s} nodes", size <= s))
        found.append(Condition(f" in graphs of more than {s} nodes", f" in graphs of more than {s} nodes", size > s))
    last = ends.amax(1).numpy()
    for s in range(1, nodes.shape[1]):
        where = f" beyond node {s} in node order"
        found.append(
            Condition(where, f", where it touches a node beyond the first {s} in the order of nodes,", last >= s)
        )
    for k, label in enumerate(names.node_labels, start=1):
        held, two = ((nodes == k).sum(1).numpy()[row] >= count for count in (1, 2))
        beside = ((edges > 0) & (nodes == k)[:, None, :]).any(2)
        near = (touched & beside[edits.row[:, None], ends.clamp_min(0)]).any(1).numpy()
        at = (touched & (nodes == k)[edits.row[:, None], ends.clamp_min(0)]).any(1).numpy()
        found.append(Condition(f" at {label}", f", at a node {label},", at))
        found.append(Condition(f" next to {label}", f", next to {label},", near))
        found.append(Condition(f" in graphs with two {label}", f" in graphs that contain two {label}", two))
        found.append(Condition(f" in graphs with {label}", f" in graphs that contain {label}", held))
        found.append(Condition(f" in graphs without {label}", f" in graphs without {label}", ~held))
    for r, label in enumerate(names.edge_labels, start=1):
        held = (edges == r).flatten(1).any(1).numpy()[row]
        at = (touched & (edges == r).any(2)[edits.row[:, None], ends.clamp_min(0)]).any(1).numpy()
        found.append(Condition(f" at an edge {label}", f", at a node with an edge {label},", at))
        found.append(Condition(f" in graphs with an edge {label}", f" in graphs that contain an edge {label}", held))
        found.append(Condition(f" in graphs without an edge {label}", f" in graphs without an edge {label}", ~held))
    ringed = (cycle_rank(graphs) > 0).numpy()[row]
    found.append(Condition(" in graphs with a ring", " in graphs that have a ring", ringed))
    found.append(Condition(" in graphs without a ring", " in graphs without a ring", ~ringed))
    patterns = [p for p in held_patterns(graphs) if len(p[0]) == 3][:MOST_PATTERNS]
    for pattern, held in patterns:
        name = pattern_name(pattern, names)
        found.append(Condition(f" in graphs with {name}", f" in graphs that contain {name}", held.numpy()[row]))
    return found


def slices_of(
    marked: np.ndarray,
    of: np.ndarray,
    row: np.ndarray,
    what: list[Condition],
    where: list[Condition],
    *,
    rate: float,
    fewest: int,
    origins: int,
    most: int = 6,
) -> list[Slice]:
    """Descriptions of marked edits, greedily: each the one that covers most of those left, at least `rate` of it marked and
    2.5 times the share elsewhere.

    marked, of: (E,) bool, edits to be described, and edits that count at all. row: (E,) graph of each. fewest: marked
    edits a slice must cover, from at least `origins` graphs. Of descriptions that cover about as much (95 %), the one
    with the fewest other edits, then the shortest.
    """
    found, left, of = [], marked & of, of.copy()
    what_holds = torch.from_numpy(np.stack([c.holds for c in what])).float()
    where_holds = torch.from_numpy(np.stack([c.holds for c in where])).float()
    while len(found) < most and left.sum() >= fewest:
        covered = (what_holds * torch.from_numpy(left)) @ where_holds.T
        total = (what_holds * torch.from_numpy(of)) @ where_holds.T
        share = covered / total.clamp_min(1)
        elsewhere = (float(left.sum()) - covered) / (float(of.sum()) - total).clamp_min(1)
        fine = (covered >= fewest) & (share >= rate) & (share >= TIMES * elsewhere)
        if not fine.any():
            break
        enough = fine & (covered >= 0.95 * covered[fine].max())
        longer = torch.ones(len(what), len(where)) * 0.02
        longer[:, 0] = 0
        w, e = divmod(int((share - longer).masked_fill(~enough, -1).argmax()), len(where))
        inside = what[w].holds & where[e].holds & of
        hit = inside & left
        of &= ~inside
        left &= ~inside
        if len(np.unique(row[hit])) >= origins:
            found.append(Slice(what[w], where[e], float(hit.sum() / inside.sum()), inside))
    return found
