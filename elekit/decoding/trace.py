"""Records of decoding runs; drawings of decoding take all their data from a `Trace`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from elekit.graphs.graph import Graph
from elekit.model.health import Health


@dataclass(frozen=True)
class SearchStep:
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
    """Record of decoding one target: iterates s = 0 (the start) to S, detached, on the CPU; `trace[s]` is a `Graph`.

    Args:
        target: (D,) unit vector.
        iterates: Batch of S + 1 relaxed graphs of the best descent. A candidate is its own only iterate.
        relaxed: (S + 1,) learned loss of each iterate.
        rounded: (S + 1,) learned loss of each rounded iterate.
        gradient_norm: (S + 1,) norm of the gradient at each iterate.
        step_size: (S + 1,) distance of each iterate from the previous one, 0 at the start.
        projection: (S + 1,) how far the projection moved each iterate, 0 for rules that never leave the polytope.
        node_gradient: (S + 1, N, K) gradient of loss + penalty by node rows.
        edge_gradient: (S + 1, N, N, R) gradient of loss + penalty by unordered pairs.
        best: Index of the checked iterate with the best rounding.
        stopped: Why the run ended, one sentence.
        starts: (M,) learned loss of the rounded result of each start.
        search_steps: Steps of the local search.
        health: Verdict on psi after its training, if it was measured.
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
    search_steps: tuple[SearchStep, ...] = ()
    health: Health | None = None

    def __len__(self) -> int:
        return len(self.iterates)

    def __getitem__(self, step: int) -> Graph:
        return self.iterates[step]

    @property
    def gap(self) -> Tensor:
        """(S + 1,) rounding gap: loss of the rounded iterate minus loss of the iterate."""
        return self.rounded - self.relaxed

    @property
    def edits(self) -> tuple[str, ...]:
        """Descriptions of the accepted edits, without restarts."""
        return tuple(step.edit for step in self.search_steps if not step.restart)

    @property
    def result(self) -> Graph:
        """The decoded graph, a batch of one, after local search if there was one."""
        return self.search_steps[-1].graph if self.search_steps else self.iterates[self.best].rounded()


@dataclass(frozen=True, eq=False)
class Decoded:
    """A batch of decoded graphs; unpacks as `graphs, traces`.

    Args:
        graphs: B discrete graphs.
        loss: (B,) their learned losses.
        alternatives: B * k graphs, row by row: the k best distinct graphs of each target, best first (by loss +
            penalty if the vocabulary has capacities).
        alternative_losses: (B, k) their learned losses, inf where a target has fewer than k.
        traces: One trace per target, or none if not recorded.
        unfinished: Number of targets whose search the end of the budget cut off.
    """

    graphs: Graph
    loss: Tensor
    alternatives: Graph
    alternative_losses: Tensor
    traces: tuple[Trace, ...] = ()
    unfinished: int = 0

    def __iter__(self) -> Iterator[Any]:
        return iter((self.graphs, self.traces))


def concatenate(pieces: Sequence[Decoded]) -> Decoded:
    """Results of several batches of targets as one, with the same number of alternatives per target."""
    return Decoded(
        Graph.cat([p.graphs for p in pieces]),
        torch.cat([p.loss for p in pieces]),
        Graph.cat([p.alternatives for p in pieces]),
        torch.cat([p.alternative_losses for p in pieces]),
        tuple(trace for p in pieces for trace in p.traces),
        sum(p.unfinished for p in pieces),
    )
