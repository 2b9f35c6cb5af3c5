"""What differs between two graphs, as something that can be made to differ elsewhere."""

import re

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from elekit.graphs.features import cycle_rank
from elekit.graphs.graph import Graph, to_networkx

TRIES = 8  # places that are looked for in a graph
STEPS = 2_000  # of the search for a place


def edited(graph: Graph, path: list[str]) -> Graph:
    """What a path of `elekit.graphs.edit_distance.edit_path` makes of a graph, in its slots."""
    nodes, edges = (labels.clone() for labels in graph.labels())
    names = ("nothing", *graph.vocabulary.node_labels), ("no edge", *graph.vocabulary.edge_labels)
    for part in path:
        where, said = part.split(": ", 1)
        i, *j = map(int, where.split()[1].split("-"))
        old = int(edges[0, i, j[0]] if j else nodes[0, i])
        new = names[bool(j)].index(said.removeprefix(f"{names[bool(j)][old]} to "))  # labels may hold any words
        if j:
            edges[0, i, j[0]] = edges[0, j[0], i] = new
        else:
            nodes[0, i] = new
    return Graph.from_labels(nodes, edges, graph.vocabulary)


class Difference:
    """A difference between two graphs as a rewriting rule: channels before and after of the k slots that it touches.

    Elsewhere it can be made where each part that changes is before what it is here, and a node that goes has no more
    edges than here. What does not change, such as the label of a node whose edge changes, may be anything.
    graph, other: batches of one in the same slots. path: of `elekit.graphs.edit_distance.edit_path`, from one to the other.
    rings: how many `other` has more.
    """

    def __init__(self, graph: Graph, other: Graph, path: list[str]):
        (was, were), (now, are) = ([labels[0].numpy() for labels in y.labels()] for y in (graph, other))
        left = {*np.flatnonzero(was != now).tolist(), *np.argwhere(were != are).ravel().tolist()}
        slots = []
        while left:  # what is there before what is new, and next to what has its place already
            slots.append(max(sorted(left), key=lambda i: (was[i] > 0, (were[i, slots] > 0).sum())))
            left.remove(slots[-1])
        self.slots, self.path = slots, path
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

    def words(self, place: Tensor) -> str:
        """The path, at another place."""
        of = dict(zip(self.slots, place.tolist()))
        said = []
        for part in self.path:
            where, words = part.split(": ", 1)
            kind, slots = where.split()
            said.append(f"{kind} {'-'.join(map(str, sorted(of[int(i)] for i in slots.split('-'))))}: {words}")
        return "; ".join(said)


def difference(path: list[str], graph: Graph, other: Graph) -> str:
    """What differs between two graphs without saying where: "C to N", "ring closed, single to double"; sorted.

    path: of `elekit.graphs.edit_distance.edit_path`. Names stand in alphabetical order, so either direction gives the same words.
    """
    lost = gained = 0
    said = set()
    for part in path:
        old, new = re.fullmatch(r"(?:node|edge) [\d-]+: (.*) to (.*?)", part, re.DOTALL).groups()
        if part.startswith("node"):
            end = {old, new} - {"nothing"}
            said.add(f"a {end.pop()} more" if len(end) == 1 else "{} to {}".format(*sorted(end)))
        elif "no edge" in (old, new):
            lost, gained = lost + (new == "no edge"), gained + (old == "no edge")
        else:
            said.add("{} to {}".format(*sorted((old, new))))
    if lost or gained:
        rings = [
            len(g.edges) - len(g) + nx.number_connected_components(g) for g in to_networkx(Graph.cat([graph, other]))
        ]
        if rings[0] != rings[1]:
            said.add("ring closed")
        elif not any(words.endswith(" more") for words in said):
            said.add("edges moved")
    return ", ".join(sorted(said))
