"""Exact comparison of labeled graphs: isomorphism, edit distance and shortest edit paths.

A short branch and bound proves the distance of most pairs of up to ten nodes, and of very similar ones. An integer
program solves the rest: F2 of J. Lerouge et al., "New binary linear programming formulation to compute the graph edit
distance", Pattern Recognition 72, 2017. Its relaxation is nearly tight where molecules are related.
"""

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from elekit.graphs._optional import LazyModule
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphBatch, GraphVocabulary
from elekit.graphs.isomorphism import LabeledGraph, TooSymmetricError

if TYPE_CHECKING:
    from scipy import optimize, sparse
else:
    optimize = LazyModule("scipy.optimize", "chem")
    sparse = LazyModule("scipy.sparse", "chem")

MAX_DEPTH = 400  # of the search, in assigned nodes
QUICK = 0.05  # seconds of branch and bound, before the integer program
MAX_VARIABLES = 40_000  # of the integer program: about 100 nodes of molecules

Array = np.ndarray[Any, np.dtype[Any]]
Channels = tuple[Array, Array]
"""Node channels (n,) and edge channels (n, n) of the present nodes of one graph."""


@dataclass(frozen=True, eq=False)
class EditDistances:
    """Edit distances of B pairs: whole numbers (B,) float32, upper bounds where not `proven` (B,) bool.

    at_least: (B,) float32, lower bounds.
    """

    distance: Tensor
    proven: Tensor
    at_least: Tensor
    _searches: "list[tuple[_Search, list[int]]]" = field(repr=False)

    @cached_property
    def paths(self) -> "list[list[EditStep]]":
        """The edits of each pair, as of `edit_steps`."""
        return [search.path(slots) for search, slots in self._searches]


@dataclass(frozen=True)
class EditStep:
    """One edit of an edit path: a part gets another label.

    where: slots, (i,) of a node, (i, j) with i < j of an edge. before, after: channels, of an edge from i to j; 0
    means absent.
    """

    kind: Literal["node", "edge"]
    where: tuple[int, ...]
    before: int
    after: int

    def describe(self, vocabulary: GraphVocabulary) -> str:
        """Describe the edit as `Edits.describe` does, for example "node 3: C to N"."""
        if self.kind == "edge":
            change = vocabulary.change(self.before, self.after)
        else:
            names = ("nothing", *vocabulary.node_labels)
            change = f"{names[self.before]} to {names[self.after]}"
        return f"{self.kind} {'-'.join(map(str, self.where))}: {change}"


def isomorphic(a: GraphBatch, b: GraphBatch) -> Tensor:
    """(B,) bool: graph i of `a` equals graph i of `b` up to the order of nodes, labels included.

    Pairs whose multisets of (node label, labels of its edges) agree are decided by `isomorphism`; a
    `TooSymmetricError` (a ValueError) if that exceeds its bound for a pair.
    """
    check_comparable(a, b)
    same = []
    for i, (left, right) in enumerate(zip(present_channels(a), present_channels(b))):
        undecided = _profile(*left) == _profile(*right)
        try:
            same.append(undecided and _labeled(left).isomorphism(_labeled(right)) is not None)
        except TooSymmetricError:
            raise TooSymmetricError(f"graph {i}: ") from None
    return torch.tensor(same, dtype=torch.bool)


def isomorphism_of(a: GraphBatch, b: GraphBatch) -> dict[int, int] | None:
    """The slot of `b` for each present node of `a` (batches of one); None if they are not isomorphic."""
    (left,), (right,) = present_channels(a), present_channels(b)
    image = _labeled(left).isomorphism(_labeled(right))
    slots, others = ((graph.labels()[0][0] > 0).nonzero()[:, 0].tolist() for graph in (a, b))
    return None if image is None else {slot: others[k] for slot, k in zip(slots, image.tolist())}


def _labeled(channels: Channels) -> LabeledGraph:
    nodes, edges = channels
    ends = np.nonzero(np.triu(edges, 1))
    return LabeledGraph(nodes, np.column_stack([*ends, edges[ends], edges.T[ends]]))


def edit_distance(
    a: GraphBatch, b: GraphBatch, *, edge_labels: bool = True, timeout: float = 2.0,
    budget: float | Clock | None = None, progress: bool | None = None,
) -> EditDistances:  # fmt: skip
    """Smallest number of single edits that turn graph i of `a` into graph i of `b`.

    `min_P #{i: n_i != n'_P(i)} + #{i < j: e_ij != e'_P(i)P(j)}` over node assignments P, the smaller graph padded by
    absent nodes: the graph edit distance with cost 1 for relabeling, inserting or deleting a node or an edge.

    Unrelated molecules of 9 heavy atoms take about 10 ms. Molecules of 24 that are up to ten edits apart take 0.3 s,
    unrelated ones 1 to 15 s.

    edge_labels: False ignores edge labels. timeout: seconds per pair. budget: seconds for all pairs, see
    `elekit.graphs.budget`; each pair gets a bound first, then the closest ones are proven. What is not proven in time
    is an upper bound. progress: as in `Clock.track`.
    """
    check_comparable(a, b)
    _check_timeout(timeout)
    pairs = zip(present_channels(a, edge_labels), present_channels(b, edge_labels))
    searches = [_Search(left, right) for left, right in pairs]
    with Clock.of(budget) as clock:
        for search in searches:  # each gets a bound, even if no time is left
            search.run(min(QUICK, timeout, clock.left / max(1, len(searches))))
        hard = sorted((s for s in searches if not s.proven), key=lambda search: search.best - search.floor)
        for done, search in enumerate(clock.track(hard, "edit distances", progress=progress)):
            search.solve(clock.part(1 / (len(hard) - done), timeout).left)
    return EditDistances(
        torch.tensor([search.best for search in searches], dtype=torch.float32),
        torch.tensor([search.proven for search in searches], dtype=torch.bool),
        torch.tensor([search.floor for search in searches], dtype=torch.float32),
        list(zip(searches, _slots(a))),
    )


def edit_path(a: GraphBatch, b: GraphBatch, *, timeout: float = 2.0) -> list[str]:
    """The edits of `edit_steps` in words: "node 3: C to N", "edge 1-2: single to no edge"."""
    return [step.describe(a.vocabulary) for step in edit_steps(a, b, timeout=timeout)]


def edit_steps(a: GraphBatch, b: GraphBatch, *, timeout: float = 2.0) -> list[EditStep]:
    """A shortest list of single edits that turns graph `a` into graph `b` (batches of one), up to the order of nodes.

    Slots are those of `a`; added nodes take its first free slots, then numbers from N on. In the order given, edges
    are removed before their nodes, and nodes are added before their edges. If time (in seconds) runs out, the
    shortest list found so far.
    """
    if len(a) != 1 or len(b) != 1:
        raise ValueError(f"an edit path takes two single graphs, got batches of {len(a)} and {len(b)}; use a[0]")
    return edit_distance(a, b, timeout=timeout, progress=False).paths[0]


def _slots(graph: GraphBatch) -> Iterator[list[int]]:
    """Slots of the present nodes of each graph, then the others."""
    for present in graph.labels()[0] > 0:
        yield [*present.nonzero()[:, 0].tolist(), *(~present).nonzero()[:, 0].tolist()]


def check_comparable(a: GraphBatch, b: GraphBatch) -> None:
    if len(a) != len(b):
        sizes = f"graphs are compared pair by pair, got batches of {len(a)} and {len(b)}"
        raise ValueError(f"{sizes}; repeat a single one with Graph.cat([y] * B)")
    for name in ("node_labels", "edge_names"):
        labels, others = getattr(a.vocabulary, name), getattr(b.vocabulary, name)
        if labels != others:
            what = name.replace("edge_names", "edge_labels")
            raise ValueError(f"vocabularies differ in {what}: {list(labels)} and {list(others)}; load both with one")


def _check_timeout(timeout: float) -> None:
    if not timeout >= 0:
        raise ValueError(f"timeout must be seconds >= 0, got {timeout}")


def present_channels(graph: GraphBatch, edge_labels: bool = True) -> Iterator[Channels]:
    """Channels of the present nodes of each graph, rounded.

    Without edge_labels, all edges of undirected graphs have channel 1; of directed ones 1 forward, 2 backward, and 3
    without direction.
    """
    offsets, nodes, pairs, kinds = (part.cpu() for part in graph.lists())
    cuts, own = offsets.tolist(), nodes.long().numpy()
    links = torch.searchsorted(pairs[0].contiguous(), offsets).tolist()
    turned = graph.vocabulary.turn(kinds).long()
    kinds = kinds.long()
    if not edge_labels:
        kinds, turned = (
            1 + (one > two) + 2 * (one == two) * bool(graph.vocabulary.directed)
            for one, two in ((kinds, turned), (turned, kinds))
        )
    ends, labels, back = pairs.numpy(), kinds.numpy(), turned.numpy()
    for first, last, start, stop in zip(cuts, cuts[1:], links, links[1:]):
        edges = np.zeros((last - first,) * 2, dtype=int)
        i, j = ends[:, start:stop] - first
        edges[i, j], edges[j, i] = labels[start:stop], back[start:stop]
        yield own[first:last], edges


def _steps(before: Channels, after: Channels, slots: list[int]) -> list[EditStep]:
    """Differences between two graphs of one node order."""
    found = []
    for i, j in itertools.combinations_with_replacement(range(len(before[0])), 2):
        linked, where = i != j, tuple(sorted({slots[i], slots[j]}))
        i, j = (i, j) if slots[i] <= slots[j] else (j, i)
        old, new = (int(edges[i, j] if linked else nodes[i]) for nodes, edges in (before, after))
        if old != new:
            stage = 1 - linked if not new else 4 + linked if not old else 2 + linked
            found.append((stage, where, EditStep("edge" if linked else "node", where, old, new)))
    return [step for *_, step in sorted(found, key=lambda entry: entry[:2])]


def _profile(nodes: Array, edges: Array) -> list[tuple[int, ...]]:
    """Sorted (node label, sorted labels of its edges) of all nodes; equal for isomorphic graphs."""
    return sorted((label, *row) for label, row in zip(nodes.tolist(), np.sort(edges, axis=1).tolist()))


class _Search:
    """The fewest edits between two graphs; `a` is the one with fewer nodes.

    answer: of each node of `a`, absent ones included, the node of `b`. best: its edits. floor: a lower bound.
    """

    def __init__(self, left: Channels, right: Channels) -> None:
        self.turned = len(left[0]) > len(right[0])
        a, b = (right, left) if self.turned else (left, right)
        self.size_a, size = len(a[0]), len(b[0])
        self.nodes_a, self.edges_a = np.pad(a[0], (0, size - self.size_a)), np.pad(a[1], (0, size - self.size_a))
        self.nodes_b, self.edges_b = b
        channels = np.arange(1, 1 + max(self.edges_a.max(initial=0), self.edges_b.max(initial=0)))
        self.kinds_a, self.kinds_b = ((e[..., None] == channels).astype(int) for e in (self.edges_a, self.edges_b))
        self.assign = optimize.linear_sum_assignment  # loads scipy before the timeout starts
        pairs = np.triu_indices(size)
        self.floor = _multiset_distance(self.nodes_a, self.nodes_b)
        # the smaller channel of both ends, since any order of nodes is possible
        self.floor += _multiset_distance(*(np.minimum(e, e.T)[pairs] for e in (self.edges_a, self.edges_b)))
        self.place = np.arange(size)
        self.answer, self.best = self.place.copy(), self._edits()

    @property
    def proven(self) -> bool:
        return self.best <= self.floor

    def run(self, timeout: float) -> None:
        """Depth-first branch and bound.

        The bound is a linear assignment of the remaining nodes by label, edges to assigned nodes, and half the
        multiset difference of their other edges; its solution is also tried as an answer.
        """
        self.deadline = time.monotonic() + timeout
        rows = np.arange(len(self.nodes_b))
        if self._descend(rows, rows, (self.nodes_a[:, None] != self.nodes_b).astype(float), 0.0):
            self.floor = self.best

    def solve(self, timeout: float) -> None:
        """The integer program.

        x_ik: node i of `a` becomes node k of `b`. y_ef: edge e becomes edge f, possible only if the ends do, at
        either end of e and of f. What is not matched is inserted or deleted. Edges of directed graphs become f from
        either end: first ends go to first ends, second to second.
        """
        edges_a, edges_b = (np.argwhere(np.triu(edges, 1)) for edges in (self.edges_a, self.edges_b))
        constant, sides = len(self.nodes_b) + len(edges_a) + len(edges_b), [[0, 1]]
        if any((edges != edges.T).any() for edges in (self.edges_a, self.edges_b)):
            edges_b, sides = np.concatenate([edges_b, edges_b[:, ::-1]]), [[0], [1]]
        n, m, p, q = self.size_a, len(self.nodes_b), len(edges_a), len(edges_b)
        if self.proven or timeout <= 0 or n * m + p * q > MAX_VARIABLES:
            return
        relabel = self.nodes_a[:n, None] != self.nodes_b
        change = self.edges_a[tuple(edges_a.T)][:, None] != self.edges_b[tuple(edges_b.T)]
        saved = np.r_[relabel.ravel() - 1.0, change.ravel() - 2.0]  # against inserting and deleting everything
        one, kron = sparse.identity, sparse.kron
        blocks = [[kron(one(n), np.ones((1, m))), None], [kron(np.ones((1, n)), one(m)), None]]
        if p and q:
            for side in sides:
                at_a, at_b = _incidence(edges_a[:, side], n), _incidence(edges_b[:, side], m)
                blocks += [[-kron(at_a.T, one(m)), kron(one(p), at_b)], [-kron(one(n), at_b.T), kron(at_a, one(q))]]
        else:
            blocks[0][1] = sparse.csr_array((n, p * q))
        matrix, ends = sparse.block_array(blocks, format="csr"), len(sides) * (p * m + n * q) * bool(p and q)
        low = np.r_[np.ones(n), np.zeros(m), np.full(ends, -np.inf)]  # each node of a has one of b
        high = np.r_[np.ones(n + m), np.zeros(ends)]
        found = optimize.milp(
            saved, constraints=optimize.LinearConstraint(matrix, low, high), bounds=optimize.Bounds(0, 1),
            integrality=np.repeat([1, 0], [n * m, p * q]), options={"time_limit": timeout},
        )  # fmt: skip
        if found.x is not None:
            self.place[:n] = found.x[: n * m].reshape(n, m).argmax(1)
            self.place[n:] = np.setdiff1d(np.arange(m), self.place[:n])
            if (edits := self._edits()) < self.best:
                self.answer, self.best = self.place.copy(), edits
        if found.mip_dual_bound is not None and np.isfinite(found.mip_dual_bound):
            self.floor = max(self.floor, math.ceil(found.mip_dual_bound + constant - 1e-6))

    def path(self, slots: list[int]) -> list[EditStep]:
        """The edits from left to right; slots: of the present nodes of left, then free ones."""
        padded, other = (self.nodes_a, self.edges_a), (self.nodes_b, self.edges_b)
        before, after = (other, padded) if self.turned else (padded, other)
        image = np.argsort(self.answer) if self.turned else self.answer  # of each node before, the node after
        slots = [*slots, *range(len(slots), len(image))]
        return _steps(before, (after[0][image], after[1][np.ix_(image, image)]), slots)

    def _edits(self) -> int:
        moved = self.edges_b[np.ix_(self.place, self.place)]
        return int((self.nodes_a != self.nodes_b[self.place]).sum() + (self.edges_a != moved).sum() // 2)

    def _descend(self, rest_a: Array, rest_b: Array, fixed: Array, so_far: float) -> bool:
        """Search completions of a partial assignment; True if all were visited or ruled out.

        rest_a, rest_b: nodes not yet assigned. fixed: (len(rest_a), len(rest_b)) cost of label and edges to assigned
        nodes.
        """
        if self.best <= self.floor or not len(rest_a):
            return True
        loose_a = self.kinds_a[np.ix_(rest_a, rest_a)].sum(1)
        loose_b = self.kinds_b[np.ix_(rest_b, rest_b)].sum(1)
        shared = np.minimum(loose_a[:, None], loose_b).sum(-1)
        cost = fixed + (np.maximum(loose_a.sum(-1)[:, None], loose_b.sum(-1)) - shared) / 2
        rows, columns = self.assign(cost)
        bound = math.ceil(so_far + cost[rows, columns].sum() - 1e-6)
        if len(rest_a) == len(self.place):
            self.floor = max(self.floor, bound)
        if bound >= self.best:
            return True
        self.place[rest_a] = rest_b[columns]
        if (edits := self._edits()) < self.best:
            self.answer, self.best = self.place.copy(), edits
        if time.monotonic() > self.deadline or len(self.place) - len(rest_a) > MAX_DEPTH:
            return False
        degree = (self.edges_a[rest_a] > 0).sum(1)
        tied = degree - loose_a.sum(-1)  # edges to assigned nodes: the most constrained node comes next
        row = int(np.argmax(tied * len(self.place) + degree))
        finished = True
        for column in np.argsort(cost[row], kind="stable"):
            if so_far + cost[row, column] >= self.best:
                break
            if time.monotonic() > self.deadline:
                return False
            node, image = rest_a[row], rest_b[column]
            next_a, next_b = np.delete(rest_a, row), np.delete(rest_b, column)
            edges_differ = self.edges_a[next_a, node][:, None] != self.edges_b[next_b, image]
            left = np.delete(np.delete(fixed, row, 0), column, 1) + edges_differ
            self.place[node] = image
            finished &= self._descend(next_a, next_b, left, so_far + fixed[row, column])
            if not finished:
                break
        return finished


def _incidence(ends: Array, size: int) -> Any:
    """(size, E) sparse matrix of the nodes (E, 1 or 2) at one or both ends of each edge."""
    columns = np.arange(len(ends)).repeat(ends.shape[1])
    return sparse.csr_array((np.ones(ends.size), (ends.ravel(), columns)), (size, len(ends)))


def _multiset_distance(a: Array, b: Array) -> int:
    """Fewest changes that make two multisets of channels of equal size equal."""
    channels = np.arange(1 + max(a.max(initial=0), b.max(initial=0)))
    return len(a) - int(np.minimum((a[:, None] == channels).sum(0), (b[:, None] == channels).sum(0)).sum())
