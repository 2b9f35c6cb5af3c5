"""The decode stepper: relaxed graphs with descent directions, then rounding and edits, frame by frame."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import traitlets
from matplotlib.figure import Figure

from elekit.decoding import Decoded, Trace
from elekit.draw import decodings
from elekit.evaluation.conformal.sets import PredictionSet
from elekit.graphs.graph import Graph, GraphBatch, check_labels
from elekit.inspect.descent_directions import descent_directions
from elekit.model.surrogate.reader import Reading
from elekit.widgets.base import Panel, in_own_colors
from elekit.widgets.bundle import STATIC, script, style
from elekit.widgets.page import save, stepper_page_state
from elekit.widgets.stepper_state import stepper_state

T = TypeVar("T")
FASTEST = 60  # frames per second


class Stepper(Panel):
    """A decoding run, or two in lockstep, frame by frame; made by `step_through`.

    The frames are the iterates (fewer of long runs of large graphs), the best of them rounded, then each step of the
    local search. Of two runs, the shorter one stays on its last frame. The browser holds all frames, so that stepping
    needs no kernel.

    Attributes:
        step: The frame shown, 0..last. Can be set, as the next three.
        playing: Whether the widget advances by itself.
        speed: Frames per second, in (0, 60].
        show: "gradient" for halos that show descent directions, or "none".
        trace, compare, truth, sets: As given to `step_through`.
        last, across, runs, numbers, truth_scene, doubt, found: State of the browser, see `stepper_state`.
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
    numbers = traitlets.Bytes(b"").tag(sync=True)  # probabilities, see `stepper_state.packed`
    truth_scene = traitlets.Dict().tag(sync=True)
    doubt = traitlets.Unicode("").tag(sync=True)
    found = traitlets.Dict().tag(sync=True)

    def __init__(
        self, trace: Trace, truth: Graph | None, compare: Trace | None, names: tuple[str, str], step: int,
        sets: PredictionSet | None, reading: Reading | None = None,
    ):  # fmt: skip
        self.trace, self.compare, self.truth, self.names, self.sets = trace, compare, truth, names, sets
        self._state = state = stepper_state(trace, truth, compare, names, sets, reading)
        if not 0 <= step <= state["last"]:
            raise ValueError(f"step must be in 0..{state['last']}, got {step}")
        super().__init__(**state)
        self.step = step

    @traitlets.validate("step")
    def _valid_step(self, proposal: dict[str, Any]) -> int:
        if not 0 <= proposal["value"] <= self.last:
            raise traitlets.TraitError(f"step must be in 0..{self.last}, got {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("speed")
    def _valid_speed(self, proposal: dict[str, Any]) -> float:
        if not 0 < proposal["value"] <= FASTEST:
            raise traitlets.TraitError(f"speed must be in (0, {FASTEST}], got {proposal['value']}")
        return proposal["value"]

    def save_html(self, path: str | Path, title: str = "Decode stepper") -> Path:
        """Write the stepper with all its frames as one HTML file that needs no kernel and no network."""
        return save(path, "stepper", stepper_page_state(self._state), title)

    @in_own_colors
    def picture(self) -> Figure:
        drawn = (self.trace, self.compare) if self.show == "gradient" else (None, None)
        directions = [None if trace is None else descent_directions(trace) for trace in drawn]
        return decodings.iterate(
            self.trace, self.step, truth=self.truth, directions=directions[0], compare=self.compare,
            compare_directions=directions[1], names=self.names, found=self.sets, doubt=self.doubt,
        )  # fmt: skip


def step_through(
    trace: Trace | Sequence[Trace], *, truth: GraphBatch | None = None,
    compare: Trace | Sequence[Trace] | None = None, names: tuple[str, str] = ("", ""), step: int = 0,
    sets: PredictionSet | Sequence[PredictionSet] | None = None,
    reading: Reading | Sequence[Reading] | None = None,
) -> Stepper:  # fmt: skip
    """Make a widget that steps through a decoding run by keys, slider, chart or play.

    Args:
        trace: A trace of `decode(..., record=True)`, or a sequence that holds one.
        truth: The true graph, a batch of one.
        compare: Another run of the same target, shown in lockstep.
        names: Names of the two runs.
        step: The first frame shown: iterates, the best of them rounded, then the steps of the local search. All
            iterates are frames of up to 200 iterations of 40 nodes; of more, the iterates that move most.
        sets: The prediction set of the target (`conformal.prediction_sets`), or a sequence that holds one.
        reading: The reading of the input (`h.read`), or a sequence that holds one; the widget then says if the answer
            is unsure, and why.

    Returns:
        The widget, an `elekit.widgets.stepper.Stepper`.

    Raises:
        ValueError: If targets or labels differ, or if an argument is of another kind or out of range.
    """
    run = _only(trace, Trace, "trace")
    vocabulary = run.iterates.vocabulary
    if len(names) != 2:
        raise ValueError(f"names must be two, one per run, got {len(names)}: {tuple(names)!r}")
    first, second = (str(name) for name in names)
    other = None if compare is None else _only(compare, Trace, "compare")
    if other is not None:
        check_labels(other.iterates.vocabulary, vocabulary, "compare has other labels", "the trace")
        if other.target.shape != run.target.shape or (other.target - run.target).abs().max() > 1e-5:
            raise ValueError("the two runs have different targets; compare runs of the same target")
        first, second = first or "first", second or "second"
    if truth is not None:
        check_labels(truth.vocabulary, vocabulary, "truth has other labels", "the trace")
        if len(truth) != 1:
            raise ValueError(f"truth must be a batch of one, got a batch of {len(truth)}; use graphs[0]")
        truth = truth.dense()
    members = None if sets is None else _only(sets, PredictionSet, "sets")
    if members is not None:
        check_labels(members.decoded.vocabulary, vocabulary, "sets has other labels", "the trace")
    read = None if reading is None else _only(reading, Reading, "reading")
    return Stepper(run, truth, other, (first, second), step, members, read)


def _only(given: T | Sequence[T], kind: type[T], name: str) -> T:
    """An argument of this kind, or the only entry of a sequence."""
    if isinstance(given, (tuple, list)) and len(given) == 1:
        given = given[0]
    if isinstance(given, kind):
        return given
    found = type(given).__name__
    fixes = {PredictionSet: "use conformal.prediction_sets", Reading: "use h.read(inputs)"}
    fix = fixes.get(kind, "decode with record=True")
    if isinstance(given, Decoded):
        fix = "pass its traces[0]"
    elif isinstance(given, (tuple, list)):
        found, fix = (f"{len(given)} in a {found}", "pass one of them") if given else ("none", fix)
    raise ValueError(f"{name} must be one {kind.__name__}, got {found}; {fix}")
