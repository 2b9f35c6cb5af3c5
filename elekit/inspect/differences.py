"""What differs between two graphs, as something that can be made to differ elsewhere."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from elekit.graphs.edit_distance import EditStep
from elekit.graphs.features import cycle_rank
from elekit.graphs.graph import Graph

TRIES = 8  # places that are looked for in a graph
STEPS = 2_000  # of the search for a place


def apply_steps(graph: Graph, steps: Sequence[EditStep]) -> Graph:
    """The graph after the edits of `elekit.graphs.edit_distance.edit_steps`, in its own slots."""
    nodes, edges = (labels.clone() for labels in graph.labels())
    for step in steps:
        if step.kind == "node":
            nodes[0, step.where[0]] = step.after
        else:
            i, j = step.where
            edges[0, i, j] = edges[0, j, i] = step.after
    return Graph.from_labels(nodes, edges, graph.vocabulary)


class Difference:
    """A difference between two graphs as a rewriting rule: channels before and after of the k slots that it touches.

    Elsewhere it can be made where each part that changes is before what it is here, and a node that goes has no more
    edges than here. What does not change, such as the label of a node whose edge changes, may be anything.
    graph, other: batches of one in the same slots. steps: of `edit_steps`, from one to the other. rings: how many `other` has more.
    """

    def __init__(self, graph: Graph, other: Graph, steps: Sequence[EditStep]):
        (was, were), (now, are) = ([labels[0].numpy() for labels in y.labels()] for y in (graph, other))
        left = {*np.flatnonzero(was != now).tolist(), *np.argwhere(were != are).ravel().tolist()}
        slots = []
        while left:  # what is there before what is new, and next to what has its place already
            slots.append(max(sorted(left), key=lambda i: (was[i] > 0, (were[i, slots] > 0).sum())))
            left.remove(slots[-1])
        self.slots, self.steps, self.vocabulary = slots, steps, graph.vocabulary
        self.was, self.now = was[slots], now[slots]
        self.were, self.are = were[np.ix_(slots, slots)], are[np.ix_(slots, slots)]
        self.rings = int(cycle_rank(other) - cycle_rank(graph))

    def places(self, among: Graph, rows: list[int], generator) -> tuple[Tensor, Tensor]:
        """Rows and slots (n, k) of up to TRIES different random places in each graph."""
        nodes, edges = (labels.numpy() for labels in among.labels())
        found = []
        for row in rows:
            tried = {}
            for _ in range(TRIES):
                place = self._place(nodes[row], edges[row], generator)
                if place is None:
                    break
                tried[place] = row
            found += [(row, place) for place in tried]
        rows, places = zip(*found) if found else ((), ())
        rows, places = (torch.tensor(found, dtype=torch.long) for found in (rows, places))
        return rows, places.reshape(-1, len(self.slots))

    def _place(self, nodes: np.ndarray, edges: np.ndarray, generator) -> tuple[int, ...] | None:
        """A random place in a graph, or None; (N,) and (N, N) channels."""
        changed, links, degree = self.was != self.now, self.were != self.are, (edges > 0).sum(1)
        fits = []
        for k, label in enumerate(self.was):
            fine = nodes == label if changed[k] else nodes > 0
            if label and not self.now[k]:
                fine &= degree == (self.were[k] > 0).sum()
            slots = np.flatnonzero(fine)
            fits.append(generator.permutation(slots).tolist() if label else slots.tolist())  # new: the first free
        left = STEPS

        def descend(place: tuple[int, ...]) -> tuple[int, ...] | None:
            nonlocal left
            k = len(place)
            if k == len(fits):
                return place
            for slot in fits[k]:
                left -= 1
                linked = all(edges[slot, place[t]] == self.were[k, t] for t in range(k) if links[k, t])
                if slot not in place and linked and (found := descend((*place, slot))):
                    return found
                if left < 0 or (slot not in place and not self.was[k]):
                    break
            return None

        return descend(())

    def at(self, graphs: Graph, places: Tensor) -> Graph:
        """Graphs (n) after the difference is made at slots (n, k)."""
        nodes, edges = (labels.clone() for labels in graphs.labels())
        n = torch.arange(len(nodes))
        for k in np.flatnonzero(self.was != self.now):
            nodes[n, places[:, k]] = int(self.now[k])
        for k, m in np.argwhere(self.were != self.are):
            edges[n, places[:, k], places[:, m]] = int(self.are[k, m])
        return Graph.from_labels(nodes, edges, graphs.vocabulary)

    def describe(self, place: Tensor) -> str:
        """The edits, at slots (k,) of another graph."""
        of = dict(zip(self.slots, place.tolist()))
        moved = (replace(step, where=tuple(sorted(of[i] for i in step.where))) for step in self.steps)
        return "; ".join(step.describe(self.vocabulary) for step in moved)


def difference(steps: Sequence[EditStep], graph: Graph, other: Graph) -> str:
    """Describe the difference of two graphs without positions: "C to N", "ring closed, single to double".

    Names are in alphabetical order, so both directions give the same text. steps: of `edit_steps` from graph to other.
    """
    names, links = graph.vocabulary.node_labels, graph.vocabulary.edge_labels
    removed = added = extra_node = False
    parts = set()
    for step in steps:
        if step.kind == "edge" and not (step.before and step.after):
            removed, added = removed or not step.after, added or not step.before
        elif step.before and step.after:
            labels = links if step.kind == "edge" else names
            parts.add("{} to {}".format(*sorted((labels[step.before - 1], labels[step.after - 1]))))
        else:
            extra_node = True
            parts.add(f"a {names[max(step.before, step.after) - 1]} more")
    if removed or added:
        if cycle_rank(graph) != cycle_rank(other):
            parts.add("ring closed")
        elif not extra_node:
            parts.add("edges moved")
    return ", ".join(sorted(parts))
