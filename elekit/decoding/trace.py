"""What a decoding run did, step by step: everything that a picture of decoding shows comes out of a `Trace`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from elekit.graphs.graph import Graph


@dataclass(frozen=True)
class Polish:
    """One accepted step of the local search on one graph.

    Args:
        edit: Description of the edit, or "start 2" for a restart.
        loss: Learned loss after the step, in [0, 4].
        graph: The graph after the step, a batch of one.
        restart: True if the search continued from another of its starts instead of making an edit.
    """

    edit: str
    loss: float
    graph: Graph
    restart: bool = False


@dataclass(frozen=True, eq=False)
class Trace:
    """Decoding of one target, detached, on the CPU. Iterates s = 0 (the start) to S; `trace[s]` is a `Graph`.

    iterates: batch of S + 1 relaxed graphs (of the start that won; a candidate is its own only iterate).
    relaxed, rounded: (S + 1,) learned loss of the iterate and of its rounding; their difference is the rounding gap.
    gradient_norm, step_size, projection: (S + 1,) norm of the gradient at the iterate, its distance from the one
    before (0 at the start), and how far the projection had moved it (0 for rules that never leave the polytope).
    node_gradient (S + 1, N, K), edge_gradient (S + 1, N, N, R): of loss + penalty, by node rows and unordered pairs.
    polish: the accepted edits. starts: (M,) learned loss of the rounded result of each start. best: the iterate, of
    those that were checked, whose rounding is the answer before polish. stopped: why it ended.
    """

    target: Tensor
    iterates: Graph
    relaxed: Tensor
    rounded: Tensor
    gradient_norm: Tensor
    step_size: Tensor
    projection: Tensor
    node_gradient: Tensor
    edge_gradient: Tensor
    best: int
    stopped: str
    starts: Tensor = field(default_factory=lambda: torch.empty(0))
    polish: tuple[Polish, ...] = ()

    def __len__(self) -> int:
        return len(self.iterates)

    def __getitem__(self, step: int) -> Graph:
        return self.iterates[step]

    @property
    def gap(self) -> Tensor:
        """(S + 1,) rounding gap: what rounding each iterate costs."""
        return self.rounded - self.relaxed

    @property
    def edits(self) -> tuple[str, ...]:
        """Descriptions of the accepted edits, without restarts."""
        return tuple(step.edit for step in self.polish if not step.restart)

    @property
    def result(self) -> Graph:
        """The graph that decoding ended with, after polish where there was one."""
        return self.polish[-1].graph if self.polish else self.iterates[self.best].rounded()


@dataclass(frozen=True, eq=False)
class Decoded:
    """A batch of decoded graphs, vertices, and the learned loss of each.

    graphs: (B,). loss: (B,). alternatives, alternative_losses: the k best distinct graphs of each target, best first
    (where capacities count, by loss + penalty), (B * k) row by row and (B, k); inf where there were fewer.
    traces: one for each target where recorded.
    """

    graphs: Graph
    loss: Tensor
    alternatives: Graph
    alternative_losses: Tensor
    traces: tuple[Trace, ...] = ()

    @classmethod
    def cat(cls, pieces: Sequence["Decoded"]) -> "Decoded":
        """One result out of those of several batches, of as many alternatives each."""
        return cls(
            Graph.cat([p.graphs for p in pieces]),
            torch.cat([p.loss for p in pieces]),
            Graph.cat([p.alternatives for p in pieces]),
            torch.cat([p.alternative_losses for p in pieces]),
            tuple(trace for p in pieces for trace in p.traces),
        )

    def beside(self, other: "Decoded") -> "Decoded":
        """The same answers, with those of another result as further alternatives, behind its own."""
        B = len(self.graphs)
        mine, theirs = (torch.arange(len(found.alternatives)).reshape(B, -1) for found in (self, other))
        order = torch.cat([mine, theirs + len(self.alternatives)], 1).flatten()
        alternatives = Graph.cat([self.alternatives, other.alternatives])[order]
        losses = torch.cat([self.alternative_losses, other.alternative_losses], 1)
        return Decoded(self.graphs, self.loss, alternatives, losses, self.traces)

    def __iter__(self):
        """Unpacks as `graphs, traces`."""
        return iter((self.graphs, self.traces))
