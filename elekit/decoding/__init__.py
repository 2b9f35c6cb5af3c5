"""From a point of the sphere back to a graph: `y_hat = argmin_y 2 - 2 <target, psi(y)>` (floor 2).

`candidates` ranks a given set, `gradient` descends over relaxed graphs, `polish` searches single edits, and `decode`
puts them together. All take any differentiable psi.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from elekit.decoding.candidates import Candidates, check_target, decode_candidates, nearest
from elekit.decoding.gradient import GradientConfig, decode_gradient, single_step_traces, uniform
from elekit.decoding.local_search import LocalSearchConfig, local_search
from elekit.decoding.refinement_loss import refinement_loss
from elekit.decoding.step_rules import RULES, AdamOnLogits, Euclidean, EuclideanAdam, Exponentiated, StepRule
from elekit.decoding.trace import Decoded, Polish, Trace
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of, squared_distance

__all__ = [
    "METHODS",
    "RULES",
    "AdamOnLogits",
    "Candidates",
    "DecodeConfig",
    "Decoded",
    "Euclidean",
    "EuclideanAdam",
    "Exponentiated",
    "GradientConfig",
    "LocalSearchConfig",
    "Polish",
    "StepRule",
    "Trace",
    "check_target",
    "decode",
    "decode_candidates",
    "decode_gradient",
    "nearest",
    "polish",
    "refinement_loss",
    "uniform",
]  # fmt: skip

METHODS = ("candidates", "candidates+polish", "gradient", "gradient+polish", "rounded", "rounded+polish")


@dataclass(frozen=True)
class DecodeConfig:
    """How to decode.

    method: one of METHODS; None takes candidates+polish where there are candidates, else gradient+polish. "rounded"
        takes relaxed graphs that are there already, such as those that h goes through; "rounded+polish" begins from
        them and, where there are candidates, from the nearest of these as well.
    kept: how many candidates, or results of different starts, the polish begins from.
    """

    method: str | None = None
    kept: int = 3
    gradient: GradientConfig = GradientConfig()
    polish: LocalSearchConfig = LocalSearchConfig()
    seed: int = 0

    def __post_init__(self):
        if self.method is not None and self.method not in METHODS:
            raise ValueError(f"no decoding method {self.method!r}; there are {', '.join(METHODS)}")
        if self.kept < 1:
            raise ValueError(f"kept must be at least 1, got {self.kept}")

    @property
    def rounds(self) -> bool:
        """Whether graphs that are there are rounded, so that `around` is wanted, one for each target."""
        return self.method is not None and self.method.startswith("rounded")


def decode(
    psi: Psi,
    target: Tensor,
    *,
    candidates: Graph | Candidates | None = None,
    around: Graph | None = None,
    config: DecodeConfig = DecodeConfig(),
    record: bool = False,
) -> Decoded:
    """Decode a batch of targets; unpacks as `graphs, traces`.

    target: (B, D) unit vectors, such as h(x) or psi(y). candidates: a set to choose from or to start from.
    around: relaxed graphs where gradient descents start, one or one for each target; None takes what psi saw in
    training (`psi.typical`), or the middle of the polytope. Of the methods "rounded" what is rounded, one for each
    target, such as `h.graphs(x)`. record: make a `Trace` of each target.
    Raises ValueError for a method that needs candidates, or graphs to round, without any, for NaN in targets, and
    where nothing says what graphs a psi without a `vocabulary` embeds.
    """
    check_target(target)
    method = config.method or ("gradient+polish" if candidates is None else "candidates+polish")
    keep = config.kept if "polish" in method else 1
    if method.startswith("candidates"):
        if candidates is None:
            raise ValueError(f"method {method!r} needs candidates; give candidates= or use 'gradient+polish'")
        candidates = Candidates.of(psi, candidates)
        rough = decode_candidates(psi, target, candidates, keep)
        if record:
            stopped = f"nearest of {len(candidates)} candidates"
            rough = replace(rough, traces=single_step_traces(psi, target, rough, config.gradient.penalty, stopped))
    elif config.rounds:
        rough = _rounded(psi, target, method, around, config.gradient.penalty, record)
        if candidates is not None and keep > 1:
            near = decode_candidates(psi, target, candidates, keep - 1)
            rough = rough.beside(near)
    else:
        if around is None:
            around = _middle(psi, candidates)
        rough = decode_gradient(psi, target, around, config=config.gradient, k=keep, seed=config.seed, record=record)
    if "polish" not in method:
        return rough
    done, paths = local_search(psi, target, rough.alternatives, config=config.polish, record=record)
    return replace(done, traces=tuple(replace(trace, polish=path) for trace, path in zip(rough.traces, paths)))


def _rounded(psi: Psi, target: Tensor, method: str, around: Graph | None, penalty: float, record: bool) -> Decoded:
    """Graphs that are there, one for each target, rounded."""
    if around is None or len(around) != len(target):
        given = "none" if around is None else f"{len(around)}"
        raise ValueError(
            f"method {method!r} rounds a graph of each of {len(target)} targets, given in around=; got {given}"
        )
    around = around.detach()
    graphs = around.rounded()
    losses = squared_distance(points_of(psi, graphs), target.detach())
    found = Decoded(graphs, losses, graphs, losses[:, None])
    if not record:
        return found
    return replace(found, traces=single_step_traces(psi, target, found, penalty, "a given graph, rounded", around))


def _middle(psi: Psi, candidates: Graph | Candidates | None) -> Graph:
    """Where descents start when nobody says: what psi saw in training, or the middle of the polytope."""
    typical = getattr(psi, "typical", None)
    if typical is not None:
        return typical
    graphs = candidates.graphs if isinstance(candidates, Candidates) else candidates
    vocabulary = getattr(psi, "vocabulary", None) if graphs is None else graphs.vocabulary
    if vocabulary is None:
        raise ValueError("psi has no vocabulary; give around=, such as uniform(vocabulary) or graphs.average()")
    return uniform(vocabulary)
