"""Isomorphism of labeled graphs: exact answers with bounded work.

Colors are refined as in `weisfeiler_lehman`, until they are stable. Between each two colors the most frequent edge
label is left out, so that graphs of equal colors fall into pieces, which are matched one by one. In a piece without
such a cut a node gets a color of its own, and each candidate of the other graph in turn (McKay, 1981); candidates
that an automorphism maps to a failed one are skipped. Colors are 64-bit hashes: if two collide, the search is longer,
and each isomorphism is verified.

Canonical forms of libraries (nauty, BLISS) are faster on some graphs, but nothing bounds their work: on a graph of a
random Latin square of order 30, BLISS takes longer than all that is done here. The wheels are GPL, too.
"""

import functools
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

MAX_WORK = 100_000_000  # of one comparison, in edges that are refined; takes about 1 s
MAX_CLASS_WORK = 3 * MAX_WORK  # of all comparisons of graphs with one hash and one code
ROUND_WORK = 3_000  # overhead of a round of refinement, as edges
CODE_ROUNDS = 4, 16  # of refinement for a code, at least and at most
CODE_BLOCK = 500_000  # edges that are refined at once for a code
MAX_DEPTH = 100  # of nested searches
CELLS = 4  # colors among which a search chooses


class TooSymmetricError(ValueError):
    """Two graphs are so symmetric that comparing them takes too long."""

    def __init__(self, where: str = "") -> None:
        super().__init__(f"{where}too symmetric to compare")


class _Budget:
    left = MAX_WORK

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise TooSymmetricError


def _mix(numbers: Array) -> Array:
    """`weisfeiler_lehman.splitmix64` of uint64."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = numbers ^ (numbers >> np.uint64(31))
    return mixed


class _Part:
    """Some nodes of a graph, with refined colors.

    nodes: (n,) their numbers in the graph. colors: (n,) uint64. ends, kinds: (2, m) positions in `nodes` and (m,)
    labels of edges, each in both directions; -1 for pairs without an edge, where those with one were left out.
    """

    def __init__(self, nodes: Array, colors: Array, ends: Array, kinds: Array, budget: _Budget) -> None:
        self.nodes, self.ends, self.kinds, self.budget = nodes, ends, kinds, budget
        links, (left, right) = _mix(kinds.astype(np.uint64)), ends
        count = len(np.unique(colors))
        while len(left):
            budget.spend(ROUND_WORK + len(left))
            sums = np.zeros_like(colors)
            np.add.at(sums, left, _mix(links + colors[right]))
            colors = _mix(_mix(colors) + sums)
            before, count = count, len(np.unique(colors))
            if count <= before:  # a round after the last split, so that distinct colors determine the edges
                break
        self.colors, self.order = colors, np.argsort(colors, kind="stable")
        self.sorted = colors[self.order]
        self.discrete = count == len(colors)

    def individualized(self, node: int) -> "_Part":
        colors = self.colors.copy()
        colors[node : node + 1] = _mix(colors[node : node + 1])
        return _Part(self.nodes, colors, self.ends, self.kinds, self.budget)

    @functools.cached_property
    def cells(self) -> list[Array]:
        """The nodes of the most frequent colors of several nodes; does not depend on the order of nodes."""
        _, start, sizes = np.unique(self.sorted, return_index=True, return_counts=True)
        several = [k for k in np.argsort(-sizes, kind="stable").tolist()[:CELLS] if sizes[k] > 1]
        return [self.order[start[k] : start[k] + sizes[k]] for k in several]

    def splitting_node(self) -> int:
        """A node of `cells` whose individualization gives the most colors."""
        nodes = [int(cell[0]) for cell in self.cells]
        if len(nodes) == 1:
            return nodes[0]
        return max(nodes, key=lambda node: len(np.unique(self.individualized(node).colors)))

    @functools.cached_property
    def split(self) -> tuple[list[tuple[Any, ...]], list["_Part"]]:
        """Counts of edges between colors, and the pieces that remain without the most frequent labels."""
        n = len(self.nodes)
        names, cell, sizes = np.unique(self.colors, return_inverse=True, return_counts=True)
        pair = cell[self.ends[0]] * len(names) + cell[self.ends[1]]
        groups, group, counts = np.unique(
            np.stack([pair, self.kinds]), axis=1, return_inverse=True, return_counts=True
        )
        first, second = np.divmod(groups[0], len(names))
        possible = sizes[first] * (sizes[second] - (first == second))
        frequent = 2 * counts > possible
        summary = list(zip(names[first].tolist(), names[second].tolist(), groups[1].tolist(), counts.tolist()))
        kept = ~frequent[group.ravel()]
        ends, kinds = [self.ends[:, kept]], [self.kinds[kept]]
        for k in np.flatnonzero(frequent & (counts < possible)).tolist():
            left, right = (np.flatnonzero(cell == side) for side in (first[k], second[k]))
            self.budget.spend(len(left) * len(right))
            linked = self.ends[:, pair == groups[0, k]]
            absent = np.setdiff1d((left[:, None] * n + right).ravel(), linked[0] * n + linked[1])
            ends.append(np.stack(np.divmod(absent[absent // n != absent % n], n)))
            kinds.append(np.full(ends[-1].shape[1], -1))
        return summary, self._pieces(np.concatenate(ends, 1), np.concatenate(kinds))

    def _pieces(self, ends: Array, kinds: Array) -> list["_Part"]:
        """Connected components by other edges, ordered by colors."""
        component = _components(len(self.nodes), ends)
        if not component.any():
            return [self]
        of_edge = component[ends[0]]
        nodes, edges = np.argsort(component, kind="stable"), np.argsort(of_edge, kind="stable")
        numbers = np.arange(component.max() + 2)
        node_cuts, edge_cuts = np.searchsorted(component[nodes], numbers), np.searchsorted(of_edge[edges], numbers)
        position, pieces = np.empty_like(component), []
        for k in numbers[:-1]:
            own, links = nodes[node_cuts[k] : node_cuts[k + 1]], edges[edge_cuts[k] : edge_cuts[k + 1]]
            position[own] = np.arange(len(own))
            args = self.nodes[own], self.colors[own], position[ends[:, links]], kinds[links]
            pieces.append(_Part(*args, self.budget))
        return sorted(pieces, key=lambda piece: piece.sorted.tolist())

    @functools.cached_property
    def code(self) -> int:
        """A hash that is equal for isomorphic parts: the colors after each choice of one node in each piece."""
        total = np.zeros(1, dtype=np.uint64)
        for piece in [self] if self.discrete else self.split[1]:
            total = total + _mix(_mix(piece.colors).sum(keepdims=True)) + piece.choices()
        return int(total[0])

    def choices(self) -> Array:
        """(1,) a hash of the colors after individualizing each node of the largest cell, if that is cheap."""
        total, size = np.zeros(1, dtype=np.uint64), len(self.kinds)
        if self.discrete or not size:
            return total
        cell, (least, most) = self.cells[0], CODE_ROUNDS
        rounds = min(most, MAX_WORK // (2 * len(cell) * size))  # that half of the work allows
        if rounds < least:
            return total
        order = np.argsort(self.ends[0], kind="stable")
        linked, first = np.unique(self.ends[0, order], return_index=True)
        links, right = _mix(self.kinds[order].astype(np.uint64)), self.ends[1, order]
        count = max(1, CODE_BLOCK // size)
        for nodes in (cell[k : k + count] for k in range(0, len(cell), count)):
            colors = np.repeat(self.colors[None], len(nodes), 0)
            rows = np.arange(len(nodes))
            colors[rows, nodes] = _mix(colors[rows, nodes])
            for _ in range(rounds):
                sums = np.add.reduceat(_mix(links + colors[:, right]), first, axis=1)
                colors = _mix(colors)
                colors[:, linked] += sums
            total = total + _mix(_mix(colors).sum(1)).sum(keepdims=True)
        return total


def _components(n: int, ends: Array) -> Array:
    """(n,) numbers 0, 1, ... of the connected components of the nodes."""
    found = np.arange(n)
    while True:
        least = found.copy()
        np.minimum.at(least, ends[0], found[ends[1]])
        least = least[least]
        if (least == found).all():
            return np.unique(found, return_inverse=True)[1]
        found = least


def _match(a: _Part, b: _Part, depth: int) -> dict[int, int] | None:
    """The node of `b` for each node of `a` in an isomorphism that keeps colors."""
    if not np.array_equal(a.sorted, b.sorted):
        return None
    if a.discrete:
        return dict(zip(a.nodes[a.order].tolist(), b.nodes[b.order].tolist()))
    if depth > MAX_DEPTH:
        raise TooSymmetricError
    (edges, pieces), (other_edges, others) = a.split, b.split
    if edges != other_edges or len(pieces) != len(others):
        return None
    return _match_nodes(a, b, depth + 1) if len(pieces) == 1 else _match_pieces(pieces, list(others), depth + 1)


def _match_pieces(pieces: list[_Part], others: list[_Part], depth: int) -> dict[int, int] | None:
    found: dict[int, int] = {}
    for piece in pieces:
        for k, other in enumerate(others):
            images = _match(piece, other, depth)
            if images is not None:
                found |= images
                del others[k]
                break
        else:
            return None
    return found


def _match_nodes(a: _Part, b: _Part, depth: int) -> dict[int, int] | None:
    """A node of `a` takes a color of its own with each candidate of `b` that no automorphism maps to a failed one."""
    first = a.splitting_node()
    fixed = a.individualized(first)
    failed: list[tuple[int, _Part]] = []
    orbit = {node: node for node in b.nodes.tolist()}

    def root(node: int) -> int:
        while orbit[node] != node:
            node = orbit[node] = orbit[orbit[node]]
        return node

    for node in np.flatnonzero(b.colors == a.colors[first]).tolist():
        name = int(b.nodes[node])
        if any(root(name) == root(other) for other, _ in failed):
            continue
        candidate = b.individualized(node)
        if not np.array_equal(fixed.sorted, candidate.sorted):
            continue
        for _, other in failed:
            automorphism = _match(other, candidate, depth) if other.code == candidate.code else None
            if automorphism is not None:
                for one, image in automorphism.items():
                    orbit[root(one)] = root(image)
                break
        else:
            images = _match(fixed, candidate, depth) if not failed or fixed.code == candidate.code else None
            if images is not None:
                return images
            failed.append((name, candidate))
    return None


class LabeledGraph:
    """A graph with labels as numbers, prepared for comparisons.

    nodes: (n,) labels >= 0. edges: (m, 4), two different nodes, a label >= 0, and the label from the other end, which
    is another one if the edge has a direction; each pair once.
    """

    def __init__(self, nodes: Array, edges: Array) -> None:
        self.nodes, self.edges = np.asarray(nodes, dtype=np.int64), np.asarray(edges, dtype=np.int64).reshape(-1, 4)
        self.budget = _Budget()

    @functools.cached_property
    def _part(self) -> _Part:
        ends = self.edges[:, :2].T
        both, kinds = np.concatenate([ends, ends[::-1]], 1), self.edges[:, 2:].T.ravel()
        return _Part(np.arange(len(self.nodes)), _mix(self.nodes.astype(np.uint64)), both, kinds, self.budget)

    @property
    def code(self) -> int:
        """A hash that is equal for isomorphic graphs; TooSymmetricError if it takes too long."""
        self.budget.left = MAX_WORK
        return self._part.code

    def isomorphism(self, other: "LabeledGraph", work: int | None = None) -> Array | None:
        """(n,) the node of `other` for each node, so that labels and edges agree; None if there is no isomorphism.

        Raises:
            TooSymmetricError: If the search needs more than `work`; None = MAX_WORK.
        """
        self.budget.left = other.budget.left = MAX_WORK if work is None else work
        if len(self.nodes) != len(other.nodes) or len(self.edges) != len(other.edges):
            return None
        found = _match(self._part, other._part, 0)
        if found is None:
            return None
        image = np.array([found[node] for node in range(len(self.nodes))], dtype=np.int64)
        moved = np.column_stack([image[self.edges[:, :2]], self.edges[:, 2:]])
        if not (self.nodes == other.nodes[image]).all() or _edge_set(moved) != _edge_set(other.edges):
            raise TooSymmetricError  # a collision of hashes
        return image


def _edge_set(edges: Array) -> set[tuple[int, int, int]]:
    return {(i, j, kind) if i < j else (j, i, back) for i, j, kind, back in edges.tolist()}


class _Classes:
    """The isomorphism classes of graphs with one hash, numbered as they come."""

    def __init__(self) -> None:
        self.first: LabeledGraph | None = None
        self.count = 0
        self.known: dict[int, list[tuple[int, LabeledGraph]]] = {}  # by code, computed if there are several classes
        self.work: dict[int, int] = defaultdict(lambda: MAX_CLASS_WORK)  # that is left

    def number(self, graph: LabeledGraph) -> int:
        if self.first is None:
            self.first, self.count = graph, 1
            return 0
        if not self.known:
            if self._same(graph, self.first, 0):
                return 0
            self.known[self.first.code] = [(0, self.first)]
        members = self.known.setdefault(graph.code, [])
        for number, member in members:
            if self._same(graph, member, graph.code):
                return number
        members.append((self.count, graph))
        self.count += 1
        return self.count - 1

    def _same(self, one: LabeledGraph, other: LabeledGraph, code: int) -> bool:
        work = min(self.work[code], MAX_WORK)
        try:
            return one.isomorphism(other, work) is not None
        finally:
            if work > min(one.budget.left, other.budget.left):
                self.work[code] -= work - min(one.budget.left, other.budget.left)


def isomorphism_keys(graphs: Sequence[nx.Graph]) -> list[str]:
    """A key for each graph, equal exactly for isomorphic labeled graphs (attribute `label`) of the list.

    The key is the Weisfeiler-Lehman hash with the number of the isomorphism class under it; "" for a graph that is
    too symmetric to compare with an earlier one.
    """
    classes: dict[str, _Classes] = defaultdict(_Classes)
    numbers: dict[Any, int] = {}  # of labels of nodes, and of the two labels of an edge, there and back
    keys = []
    for graph in graphs:
        hashed = "empty"
        if len(graph):
            with warnings.catch_warnings(category=UserWarning, action="ignore"):  # of a change in networkx 3.5
                hashed = nx.weisfeiler_lehman_graph_hash(_ascii(graph), node_attr="label", edge_attr="label")
        position = {node: i for i, node in enumerate(graph)}
        nodes = [numbers.setdefault(str(label), len(numbers)) for _, label in graph.nodes(data="label")]
        both = {(position[i], position[j]): label for i, j, label in graph.edges(data="label")}
        edges = []
        for (i, j), label in both.items():
            if (back := both.get((j, i))) is None or i < j:
                there = (str(label), None if back is None else str(back)) if graph.is_directed() else (str(label),)
                edges.append((i, j, *(numbers.setdefault(one, len(numbers)) for one in (there, there[::-1]))))
        try:
            keys.append(f"{hashed}-{classes[hashed].number(LabeledGraph(np.array(nodes), np.array(edges)))}")
        except TooSymmetricError:
            keys.append("")
    return keys


def _ascii(graph: nx.Graph) -> nx.Graph:
    """The graph with labels in ASCII, which networkx needs for its hashes."""
    attributes = [a for *_, a in (*graph.nodes(data=True), *graph.edges(data=True))]
    if all(a.get("label", "").isascii() for a in attributes):
        return graph
    graph = graph.copy()
    for *_, a in (*graph.nodes(data=True), *graph.edges(data=True)):
        a["label"] = a.get("label", "").encode("ascii", "backslashreplace").decode()
    return graph
