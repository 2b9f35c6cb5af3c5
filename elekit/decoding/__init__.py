"""From a point of the sphere to a graph: `y_hat = argmin_y 2 - 2 <target, psi(y)>`, for any differentiable psi.

`decode_candidates` ranks a candidate set, `recombine` joins parts of candidates, `decode_gradient` descends over
relaxed graphs, `local_search` improves graphs by edits, and `decode` combines them.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from elekit.decoding.candidates import Candidates, check_target, constraints_of, decode_candidates
from elekit.decoding.gradient import GradientConfig, decode_gradient, single_step_traces, uniform
from elekit.decoding.local_search import LocalSearchConfig, local_search
from elekit.decoding.recombination import RecombinationConfig, recombine
from elekit.decoding.step_rules import RULES
from elekit.decoding.trace import Decoded, SearchStep, Trace
from elekit.graphs._schema import require_positive
from elekit.graphs.budget import Clock
from elekit.graphs.constraints import Constraints
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.prior import GraphPrior
from elekit.model.loss import Psi, points_of, squared_distance

__all__ = [
    "METHODS", "RULES", "Candidates", "Constraints", "DecodeConfig", "Decoded", "GradientConfig", "LocalSearchConfig",
    "RecombinationConfig", "SearchStep", "Trace", "decode", "decode_candidates", "decode_gradient", "default_method",
    "local_search", "recombine", "uniform",
]  # fmt: skip

METHODS = tuple(
    base + search for base in ("candidates", "growth", "gradient", "rounded") for search in ("", "+polish")
)
LARGE = 12  # nodes; gradient descent hardly ever finds larger graphs


@dataclass(frozen=True)
class DecodeConfig:
    """Settings of `decode`.

    Args:
        method: One of `METHODS`: "candidates" ranks a candidate set, "growth" joins frequent pieces of the training
            graphs (of a local psi with a prior), "gradient" runs gradient descent, "rounded" rounds given relaxed
            graphs; "+polish" adds local search. None = that of `default_method`.
        search_starts: Number of graphs that local search starts from. With "rounded+polish" and candidates: the
            rounded graph and the nearest `search_starts - 1` candidates.
        recombination: Settings of recombination: with a local psi and candidates, local search starts from what parts
            of the candidates make.
        growth: Settings of growth, that is, of recombination from pieces.
        gradient: Settings of gradient descent.
        local_search: Settings of local search.
        seed: Seed of the random starts of gradient descent.
        constraints: What answers must satisfy. None = what all training graphs of psi satisfy
            (`psi.prior.constraints`), `Constraints()` = only the capacities. Given ones also leave out candidates.
    """

    method: str | None = None
    search_starts: int = 8
    recombination: RecombinationConfig = field(default_factory=RecombinationConfig)
    growth: RecombinationConfig = field(default_factory=lambda: RecombinationConfig(600, 200, 6, 60))
    gradient: GradientConfig = field(default_factory=GradientConfig)
    local_search: LocalSearchConfig = field(default_factory=LocalSearchConfig)
    seed: int = 0
    constraints: Constraints | None = None

    def __post_init__(self) -> None:
        if self.method is not None and self.method not in METHODS:
            raise ValueError(f"no decoding method {self.method!r}; there are {', '.join(METHODS)}")
        require_positive(search_starts=self.search_starts)

    @property
    def needs_start(self) -> bool:
        """True if the method rounds given relaxed graphs; `start` is then required, one graph per target."""
        return self.method is not None and self.method.startswith("rounded")


def decode(
    psi: Psi, target: Tensor, *, candidates: GraphBatch | Candidates | None = None, start: GraphBatch | None = None,
    config: DecodeConfig = DecodeConfig(), record: bool = False, budget: float | Clock | None = None,
) -> Decoded:  # fmt: skip
    """Decode a batch of targets: `argmin_y 2 - 2 <target, psi(y)>`.

    Args:
        psi: Differentiable embedding of relaxed graphs.
        target: (B, D) unit vectors, such as h(x) or psi(y).
        candidates: Graphs to choose from, or to start local search from.
        start: Relaxed graphs, one or one per target, to start gradient descent from (None = `psi.typical`, otherwise
            the center of the polytope), or to round, one per target, such as `h.graphs(x)`.
        config: Method and settings.
        record: Record a `Trace` of each target.
        budget: Seconds for the whole call, shared by descent and local search; then the best result so far counts.

    Returns:
        The decoded graphs; unpacks as `graphs, traces`.

    Raises:
        ValueError: If the method lacks candidates or graphs to round, a target is not finite, or there is no
            vocabulary.
    """
    check_target(target)
    clock = Clock.of(budget)
    by_default = "gradient+polish" if candidates is None and start is not None else default_method(psi, candidates)
    method = config.method or by_default
    with_search = method.endswith("+polish")
    k, penalty = config.search_starts if with_search else 1, config.gradient.penalty
    constraints = constraints_of(psi, config.constraints)
    if candidates is not None and config.constraints is not None:
        candidates = Candidates.of(psi, candidates)
        candidates = candidates.within(constraints.check(candidates.graphs.vocabulary))
    if method.startswith("growth") and not _grows(psi):
        raise ValueError(f"method {method!r} needs a local psi with a prior that has pieces; use 'gradient+polish'")
    if method.startswith(("candidates", "growth")):
        pool = None
        if method.startswith("candidates"):
            if candidates is None:
                raise ValueError(f"method {method!r} needs candidates; give candidates= or use 'gradient+polish'")
            pool = Candidates.of(psi, candidates)
        found, stopped = _from_candidates(psi, target, pool, k, config, clock, with_search)
        if record:
            found = replace(found, traces=single_step_traces(psi, target, found, constraints, penalty, stopped))
    elif config.needs_start:
        found = _rounded(psi, target, method, start, constraints, penalty, record)
        if candidates is not None and k > 1:
            candidates = Candidates.of(psi, candidates)
            other, _ = _from_candidates(psi, target, candidates, k - 1, config, clock, with_search)
            found = _add_alternatives(found, other)
    else:
        start = _default_start(psi, candidates) if start is None else start.dense()
        options: dict[str, Any] = {"k": k, "seed": config.seed, "record": record, "constraints": constraints}
        part = clock.part(1 / 2) if with_search else clock
        found = decode_gradient(psi, target, start, config=config.gradient, budget=part, **options)
    health = getattr(psi, "health", None)
    if not with_search:
        traces = tuple(replace(trace, health=health) for trace in found.traces)
        return replace(found, traces=traces, unfinished=len(target) * (clock.over and method == "gradient"))
    improved, paths = local_search(
        psi, target, found.alternatives, config=config.local_search, record=record, constraints=constraints,
        budget=clock,
    )  # fmt: skip
    traces = tuple(replace(trace, search_steps=path, health=health) for trace, path in zip(found.traces, paths))
    return replace(improved, traces=traces, unfinished=len(target) * clock.over)


def default_method(psi: Any, candidates: GraphBatch | Candidates | None = None) -> str:
    """The method of `decode` where none is given.

    Args:
        psi: The embedding.
        candidates: Graphs to choose from, if any.

    Returns:
        "candidates+polish" with candidates. Without, "growth+polish" for graphs too large for gradient descent if psi
        is local and knows pieces of graphs, otherwise "gradient+polish".
    """
    if candidates is not None:
        return "candidates+polish"
    return "growth+polish" if _grows(psi) and psi.vocabulary.max_nodes > LARGE else "gradient+polish"


def _grows(psi: Any) -> bool:
    prior: GraphPrior | None = getattr(psi, "prior", None)
    return getattr(psi, "is_local", False) and prior is not None and len(prior.pieces) > 0


def _from_candidates(
    psi: Psi, target: Tensor, candidates: Candidates | None, k: int, config: DecodeConfig, clock: Clock, search: bool
) -> tuple[Decoded, str]:
    """The k best starts of each target, and where they come from: pieces if there are no candidates."""
    settings = config.growth if candidates is None else config.recombination
    if candidates is not None and not (search and settings.generations and getattr(psi, "is_local", False)):
        return decode_candidates(psi, target, candidates, k), f"nearest of {len(candidates)} candidates"
    shared: dict[str, Any] = {"constraints": config.constraints, "budget": clock.part(1 / 2)}
    packed, losses = recombine(psi, target, candidates, k, config=settings, **shared)
    graphs = packed.dense()
    found = Decoded(graphs[torch.arange(len(target)) * k], losses[:, 0], graphs, losses)
    return found, "grown from pieces" if candidates is None else f"best recombination of {len(candidates)} candidates"


def _rounded(
    psi: Psi, target: Tensor, method: str, start: GraphBatch | None, constraints: Constraints,
    penalty: float, record: bool,
) -> Decoded:  # fmt: skip
    if start is None or len(start) != len(target):
        needed = f"one graph for each of {len(target)} targets, given as start="
        raise ValueError(f"method {method!r} rounds {needed}; got {'none' if start is None else len(start)}")
    start = start.dense().detach()
    graphs = constraints.check(start.vocabulary).rounded(start)
    losses = squared_distance(points_of(psi, graphs), target.detach())
    found = Decoded(graphs, losses, graphs, losses[:, None])
    if not record:
        return found
    traces = single_step_traces(psi, target, found, constraints, penalty, "a given graph, rounded", start)
    return replace(found, traces=traces)


def _add_alternatives(found: Decoded, other: Decoded) -> Decoded:
    """The first result, with the alternatives of another one after its own."""
    B = len(found.graphs)
    first, second = (torch.arange(len(one.alternatives)).reshape(B, -1) for one in (found, other))
    order = torch.cat([first, second + len(found.alternatives)], 1).flatten()
    alternatives = Graph.cat([found.alternatives, other.alternatives])[order]
    losses = torch.cat([found.alternative_losses, other.alternative_losses], 1)
    return replace(found, alternatives=alternatives, alternative_losses=losses)


def _default_start(psi: Psi, candidates: GraphBatch | Candidates | None) -> Graph:
    typical: Graph | None = getattr(psi, "typical", None)
    if typical is not None:
        return typical
    graphs = candidates.graphs if isinstance(candidates, Candidates) else candidates
    vocabulary = getattr(psi, "vocabulary", None) if graphs is None else graphs.vocabulary
    if vocabulary is None:
        raise ValueError("psi has no vocabulary; give start=, such as uniform(vocabulary) or graphs.average()")
    return uniform(vocabulary)
