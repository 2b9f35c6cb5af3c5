"""Stepping through a decoding run: the relaxed graph, what the loss wants, rounding and edits, frame by frame."""

from collections.abc import Sequence

import traitlets
from matplotlib.figure import Figure

from elekit.decoding import Decoded, Trace
from elekit.draw import decodings
from elekit.evaluation.conformal import PredictionSet
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.inspect.descent_directions import descent_directions
from elekit.widgets.base import Panel
from elekit.widgets.bundle import STATIC, script, style
from elekit.widgets.stepper_state import stepper_state

FASTEST = 60  # frames a second


class Stepper(Panel):
    """A decoding run, or two in lockstep, frame by frame; made by `step_through`.

    Frames are the iterates 0..S, the best of them rounded, then each step of the polish; of two runs the one that is
    over stays on its last. All are in the browser from the start, so stepping needs no kernel.

    step: the frame shown, 0..last. playing: whether it runs by itself. speed: frames a second, above 0, at most 60.
    show: "gradient" for halos where the loss wants something, or "none". Setting them moves the widget, using the
    widget moves them. last, across, runs, numbers, truth_scene, found: what the browser draws.
    trace, compare: the runs (compare None without one). truth: the true graph, None if not given. sets: the
    prediction set of the target, None if not given.
    """

    _esm = traitlets.Unicode(script(STATIC / "stepper.js")).tag(sync=True)
    _css = traitlets.Unicode(style("stepper.css")).tag(sync=True)

    step = traitlets.Int(0).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    speed = traitlets.Float(4.0).tag(sync=True)
    show = traitlets.Enum(["gradient", "none"], "gradient").tag(sync=True)

    last = traitlets.Int(0).tag(sync=True)
    across = traitlets.List(traitlets.Float()).tag(sync=True)
    runs = traitlets.List(traitlets.Dict()).tag(sync=True)
    numbers = traitlets.Bytes(b"").tag(sync=True)  # of each run nodes (F, N, K), then pairs (F, P, R): float32 "<"
    truth_scene = traitlets.Dict().tag(sync=True)
    found = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        trace: Trace,
        truth: Graph | None,
        compare: Trace | None,
        names: tuple[str, str],
        step: int,
        sets: PredictionSet | None = None,
    ):
        self.trace, self.compare, self.truth, self.names, self.sets = trace, compare, truth, names, sets
        super().__init__(**stepper_state(trace, truth, compare, names, sets))
        self.step = step

    @traitlets.validate("step")
    def _step_there(self, proposal):
        if not 0 <= proposal["value"] <= self.last:
            raise traitlets.TraitError(f"step must lie in 0..{self.last}, got {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("speed")
    def _speed_possible(self, proposal):
        if not 0 < proposal["value"] <= FASTEST:
            raise traitlets.TraitError(f"speed must lie above 0 and up to {FASTEST}, got {proposal['value']}")
        return proposal["value"]

    def picture(self) -> Figure:
        """The frame shown now, as a figure."""
        shown = [t for t in (self.trace, self.compare) if t is not None]
        wanted = [descent_directions(t) if self.show == "gradient" else None for t in shown] + [None]
        return decodings.iterate(
            self.trace,
            self.step,
            truth=self.truth,
            directions=wanted[0],
            compare=self.compare,
            compare_directions=wanted[1],
            names=self.names,
            found=self.sets,
        )


def step_through(
    trace: Trace | Sequence[Trace],
    *,
    truth: Graph | None = None,
    compare: Trace | Sequence[Trace] | None = None,
    names: tuple[str, str] = ("", ""),
    step: int = 0,
    sets: PredictionSet | Sequence[PredictionSet] | None = None,
) -> Stepper:
    """Step through a decoding run by keys, slider, chart or play; all frames are preloaded.

    trace: what `decode(..., record=True)` gives; a tuple of one is taken as that one. truth: the true graph, a batch of
    one. compare: another run of the same target, shown in lockstep. names: of the two runs. step: the frame to begin
    with, see `Stepper`. sets: what the target may stand for, one of `elekit.evaluation.conformal.prediction_sets` (a list of one
    is taken as that one); its graphs are drawn small, with what the set says.
    Raises ValueError for anything else in place of a trace or a set, for runs of other targets or vocabularies, for a
    truth or a set of another vocabulary, a truth that is not one graph, and for a step that there is not.
    """
    trace = _one_trace(trace, "trace")
    vocabulary = trace.iterates.vocabulary
    if len(names) != 2:
        raise ValueError(f"names must be two, one for each run, got {len(names)}: {tuple(names)!r}")
    names = tuple(str(name) for name in names)
    if compare is not None:
        compare = _one_trace(compare, "compare")
        _same_vocabulary(compare.iterates.vocabulary, vocabulary, "compare")
        if compare.target.shape != trace.target.shape or (compare.target - trace.target).abs().max() > 1e-5:
            raise ValueError("the two runs decode different targets; compare runs of the same target")
        names = tuple(name or default for name, default in zip(names, ("first", "second")))
    if truth is not None:
        _same_vocabulary(truth.vocabulary, vocabulary, "truth")
        if len(truth) != 1:
            raise ValueError(f"truth must be a batch of one, got a batch of {len(truth)}; use graphs[0]")
    if sets is not None:
        sets = _one_set(sets)
        _same_vocabulary(sets.decoded.vocabulary, vocabulary, "the prediction set")
    last = max(len(t) + len(t.search_steps) for t in (trace, compare) if t is not None)
    if not 0 <= step <= last:
        raise ValueError(f"step must lie in 0..{last}, got {step}")
    return Stepper(trace, truth, compare, names, step, sets)


def _one_trace(given, what: str) -> Trace:
    if isinstance(given, (tuple, list)) and len(given) == 1:
        given = given[0]
    if isinstance(given, Trace):
        return given
    found, mend = (
        type(given).__name__,
        "give its traces[0]" if isinstance(given, Decoded) else "decode with record=True",
    )
    if isinstance(given, (tuple, list)):
        found, mend = (f"{len(given)} in a {found}", "give one, such as traces[0]") if given else ("none", mend)
    raise ValueError(f"{what} must be one Trace, got {found}; {mend}")


def _one_set(given) -> PredictionSet:
    if isinstance(given, (tuple, list)) and len(given) == 1:
        given = given[0]
    if not isinstance(given, PredictionSet):
        what = type(given).__name__ if not isinstance(given, (tuple, list)) else f"{len(given)} of them"
        raise ValueError(f"sets must be one prediction set, got {what}; give one of conformal.prediction_sets")
    return given


def _same_vocabulary(given: GraphVocabulary, wanted: GraphVocabulary, what: str) -> None:
    if (given.node_labels, given.edge_labels) != (wanted.node_labels, wanted.edge_labels):
        raise ValueError(
            f"{what} has other labels (nodes {list(given.node_labels)}, edges {list(given.edge_labels)}) than the trace "
            f"(nodes {list(wanted.node_labels)}, edges {list(wanted.edge_labels)})"
        )
