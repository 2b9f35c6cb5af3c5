"""The difference between two graphs, as a rewriting rule that applies elsewhere."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from elekit.graphs.edit_distance import EditStep
from elekit.graphs.features import cycle_rank
from elekit.graphs.graph import Graph, GraphBatch

MATCHES = 8  # random matches tried per graph
SEARCH_STEPS = 2_000  # limit of the search for one match


def apply_steps(graph: Graph, steps: Sequence[EditStep]) -> Graph:
    """The graph after the edits of `elekit.graphs.edit_distance.edit_steps`, in its own slots."""
    nodes, edges = (labels.clone() for labels in graph.labels())
    for step in steps:
        if step.kind == "node":
            nodes[0, step.where[0]] = step.after
        else:
            i, j = step.where
            edges[0, i, j], edges[0, j, i] = step.after, graph.vocabulary.reverse[step.after]
    return Graph.from_labels(nodes, edges, graph.vocabulary)


class RewriteRule:
    """The difference of two graphs in the same slots: channels before and after of the k slots that change.

    It matches wherever each changed part has the channel it has here, and a removed node has no more edges than here.
    Unchanged parts, such as the label of a node whose edge changes, may be anything.
    steps: of `edit_steps`, from graph to other. rings: cycle rank of `other` minus that of `graph`.
    """

    def __init__(self, graph: Graph, other: Graph, steps: Sequence[EditStep]):
        (old_nodes, old_edges), (nodes, edges) = (
            [labels[0].numpy() for labels in y.labels()] for y in (graph, other)
        )
        changed = {*np.flatnonzero(old_nodes != nodes).tolist(), *np.argwhere(old_edges != edges).ravel().tolist()}
        slots: list[int] = []
        while changed:  # present nodes before added ones, and neighbors of earlier slots first
            slots.append(
                max(sorted(changed), key=lambda i: (old_nodes[i] > 0, (old_edges[i, np.array(slots, int)] > 0).sum()))
            )
            changed.remove(slots[-1])
        grid = np.ix_(slots, slots)
        self.slots, self.steps, self.vocabulary = slots, steps, graph.vocabulary
        self.old_nodes, self.nodes = old_nodes[slots], nodes[slots]
        self.old_edges, self.edges = old_edges[grid], edges[grid]
        self.rings = int(cycle_rank(other) - cycle_rank(graph))

    def matches(self, pool: Graph, rows: list[int], generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Rows (n,) and slots (n, k) of up to MATCHES different random matches in each of some graphs."""
        nodes, edges = (labels.numpy() for labels in pool.labels())
        found: dict[tuple[int, tuple[int, ...]], None] = {}
        for row in rows:
            for _ in range(MATCHES):
                if (match := self._match(nodes[row], edges[row], generator)) is None:
                    break
                found[row, match] = None
        slots = torch.tensor([match for _, match in found], dtype=torch.long)
        return torch.tensor([row for row, _ in found], dtype=torch.long), slots.reshape(-1, len(self.slots))

    def _match(self, nodes: np.ndarray, edges: np.ndarray, generator: np.random.Generator) -> tuple[int, ...] | None:
        """Slots of a random match in a graph with channels (N,) and (N, N), or None."""
        changed, linked, degree = self.old_nodes != self.nodes, self.old_edges != self.edges, (edges > 0).sum(1)
        options = []
        for k, label in enumerate(self.old_nodes):
            fits = nodes == label if changed[k] else nodes > 0
            if label and not self.nodes[k]:
                fits &= degree == (self.old_edges[k] > 0).sum()
            slots = np.flatnonzero(fits)  # of an added node: first free slot
            options.append((generator.permutation(slots) if label else slots).tolist())
        left = SEARCH_STEPS

        def descend(match: tuple[int, ...]) -> tuple[int, ...] | None:
            nonlocal left
            k = len(match)
            if k == len(options):
                return match
            for slot in options[k]:
                left -= 1
                fits = all(edges[slot, match[t]] == self.old_edges[k, t] for t in range(k) if linked[k, t])
                if slot not in match and fits and (found := descend((*match, slot))):
                    return found
                if left < 0 or (slot not in match and not self.old_nodes[k]):
                    break
            return None

        return descend(())

    def apply(self, graphs: Graph, slots: Tensor) -> Graph:
        """Graphs (n) after the rule is applied at slots (n, k)."""
        nodes, edges = (labels.clone() for labels in graphs.labels())
        n = torch.arange(len(nodes))
        for k in np.flatnonzero(self.old_nodes != self.nodes):
            nodes[n, slots[:, k]] = int(self.nodes[k])
        for k, m in np.argwhere(self.old_edges != self.edges):
            edges[n, slots[:, k], slots[:, m]] = int(self.edges[k, m])
        return Graph.from_labels(nodes, edges, graphs.vocabulary)

    def describe(self, slots: Tensor) -> str:
        """The edits at slots (k,) of another graph."""
        place, parts = dict(zip(self.slots, slots.tolist())), []
        for step in self.steps:
            where, ends = [place[i] for i in step.where], (step.before, step.after)
            if where != sorted(where):  # an edge, seen from its other end
                ends = tuple(self.vocabulary.reverse[list(ends)].tolist())
            before, after = ends
            parts.append(replace(step, where=tuple(sorted(where)), before=before, after=after))
        return "; ".join(step.describe(self.vocabulary) for step in parts)


def describe_difference(steps: Sequence[EditStep], graph: GraphBatch, other: GraphBatch) -> str:
    """Describe the difference of two graphs without positions: "C to N", "ring closed, single to double".

    Names are in alphabetical order, so both directions give the same text. steps: of `edit_steps`, graph to other.
    """
    vocabulary, names = graph.vocabulary, graph.vocabulary.node_labels
    edges_moved = extra_node = False
    parts = set()
    for step in steps:
        if step.before and step.after:
            ends = (
                [names[k - 1] for k in (step.before, step.after)]
                if step.kind == "node"
                else [vocabulary.edge_labels[vocabulary.label_of[k] - 1] for k in (step.before, step.after)]
            )
            turned = step.kind == "edge" and step.after == vocabulary.reverse[step.before] != step.before
            parts.add(f"{ends[0]} turned round" if turned else "{} to {}".format(*sorted(ends)))
        elif step.kind == "edge":
            edges_moved = True
        else:
            extra_node = True
            parts.add(f"a {names[max(step.before, step.after) - 1]} more")
    if edges_moved and cycle_rank(graph) != cycle_rank(other):
        parts.add("ring closed")
    elif edges_moved and not extra_node:
        parts.add("edges moved")
    return ", ".join(sorted(parts))
