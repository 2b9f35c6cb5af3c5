"""Points of all edits of a graph under a local psi, from the nodes near each edit alone.

After some rounds of messages an edit has changed only the states of nodes within as many edges. A linear model of the
loss misses many good edits of graphs of real size; the states after one round rank them among the first.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot, silu

from elekit.graphs.edits import Edits
from elekit.graphs.graph import Graph

CHUNK = 2_000  # edits at a time


class EditEstimates:
    """The states of psi on one discrete graph, kept for estimates of its edits.

    Args:
        psi: Local embedding, a `GraphEmbedding` with `shape="local"`.
        nodes: (N,) node channels.
        edges: (N, N) edge channels.
    """

    def __init__(self, psi: Any, nodes: Tensor, edges: Tensor):
        self.psi, self.nodes, self.edges = psi, nodes.to(torch.int16), edges.to(torch.int16)
        self.states = psi.local_states(Graph.from_labels(nodes[None], edges[None], psi.vocabulary))
        self.reads = [silu(read(state)) for read, state in zip(psi.read, self.states)]
        self.adjacency = (edges > 0).to(self.states[0].dtype)
        self.counts = psi.count_walks(self.adjacency[None])[0]
        if psi.walks is not None:
            self.reads.append(psi.read_walks(self.states[0], self.counts))
        self.reads = [read * (nodes > 0)[:, None] for read in self.reads]
        self.point = torch.stack([leave(read.sum(0)) for leave, read in zip(psi.leave, self.reads)]).sum(0)

    @property
    def unedited(self) -> Tensor:
        """(D,) unit vector: the point of the graph itself."""
        return normalize(self.point, dim=0)

    def points(self, edits: Edits, depth: int | None = None) -> Tensor:
        """Points of edits of this graph.

        Args:
            edits: E edits, all of row 0.
            depth: Rounds to compute. The states of later rounds, and the counts of closed walks, are taken from the
                graph before the edit. None computes all: the points are exact.

        Returns:
            (E, D) unit vectors.
        """
        parts = [self._points(edits[start : start + CHUNK], depth) for start in range(0, len(edits), CHUNK)]
        return normalize(torch.cat(parts), dim=-1) if parts else self.point.new_zeros(0, len(self.point))

    def _points(self, edits: Edits, depth: int | None) -> Tensor:
        """(E, D), not normalized."""
        psi, E, N = self.psi, len(edits), len(self.nodes)
        nodes, edges = edits.apply(self.nodes[None], self.edges[None], psi.vocabulary)
        near = changed = self._changed(edits, nodes)
        points: Tensor = self.point.expand(E, -1)
        place: Tensor = torch.empty(0)
        states: Tensor = place
        for level in range((len(psi.rounds) if depth is None else min(depth, len(psi.rounds))) + 1):
            if level:
                near = near | (near.to(self.adjacency.dtype) @ self.adjacency > 0)
            e, i = near.nonzero().T
            labels = edges[e, i].long()  # (n, N), of the edges at each node
            if level == 0:
                states = self._first(nodes[e, i], labels)
            else:
                row, j = labels.nonzero().T
                own, sent = psi.rounds[level - 1].send(states)
                messages = sent[place[e[row], j]] * psi.rounds[level - 1].scale[labels[row, j] - 1]
                received = messages.new_zeros(len(e), messages.shape[1]).index_add_(0, row, messages)
                at = place[e, i]
                states = psi.rounds[level - 1].receive(states[at], own[at], received)
            reads = silu(psi.read[level](states)) * (nodes[e, i] > 0)[:, None]
            points = points + self._change(level, reads, e, i, E)
            # all states that enter the next round: those before the edits, and behind them the new ones
            states = torch.cat([self.states[level], states])
            place = torch.arange(N).repeat(E, 1)
            place[e, i] = N + torch.arange(len(e))
        if psi.walks is not None and depth is None:
            points = points + self._walks(nodes, edges, changed)
        return points

    def _first(self, nodes: Tensor, labels: Tensor) -> Tensor:
        """(n, H): first states of nodes with these labels (n,) and labels of edges (n, N)."""
        degrees = labels.new_zeros(len(labels), self.psi.vocabulary.R)
        degrees = degrees.scatter_add_(1, labels, torch.ones_like(labels))[:, 1:]
        label = one_hot(nodes.long(), self.psi.vocabulary.K)[:, 1:]
        first: Tensor = self.psi.enter(torch.cat([label, degrees], 1).to(self.adjacency.dtype))
        return first

    def _changed(self, edits: Edits, nodes: Tensor) -> Tensor:
        """(E, N) bool: nodes whose label or edges change."""
        E, N = nodes.shape
        touched = torch.cat([edits.node, edits.pair.flatten(1)], 1)
        changed = torch.zeros(E, N + 1, dtype=torch.bool)  # the last column takes unused entries
        changed = changed.scatter_(1, torch.where(touched < 0, N, touched), True)[:, :N]
        removed = ((nodes == 0) & (self.nodes > 0)).to(self.adjacency.dtype)
        return changed | (removed @ self.adjacency > 0)  # a removed node loses edges that the edit does not list

    def _change(self, level: int, reads: Tensor, e: Tensor, i: Tensor, E: int) -> Tensor:
        """(E, D): what new reads (n, 2H) of nodes i of edits e add to the points."""
        weight: Tensor = self.psi.leave[level].weight
        change = reads.new_zeros(E, reads.shape[1]).index_add_(0, e, reads - self.reads[level][i])
        return change @ weight.T

    def _walks(self, nodes: Tensor, edges: Tensor, changed: Tensor) -> Tensor:
        """(E, D): what changes in the first states and in the counts of closed walks add to the points."""
        E, N = nodes.shape
        adjacency = (edges > 0).to(self.adjacency.dtype)
        counts = self.counts.expand(E, N, -1).clone()
        other = (adjacency != self.adjacency).flatten(1).any(1)
        counts[other] = self.psi.count_walks(adjacency[other])
        e, i = (changed | (counts != self.counts).any(-1)).nonzero().T
        states = self._first(nodes[e, i], edges[e, i].long())
        reads = self.psi.read_walks(states, counts[e, i]) * (nodes[e, i] > 0)[:, None]
        return self._change(len(self.psi.read), reads, e, i, E)
