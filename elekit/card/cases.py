"""A few predictions to step through and to inspect in a page without a kernel."""

import numpy as np
import pandas as pd

from elekit import evaluation
from elekit.card.context import Context, drawing, shuffled
from elekit.card.predictions import known_graphs, readable_inputs
from elekit.card.results import Results
from elekit.decoding import DecodeConfig, GradientConfig, Trace, decode
from elekit.draw.frames import matching_layout
from elekit.draw.layouts import layout
from elekit.evaluation import conformal
from elekit.evaluation.formatting import graph_names
from elekit.graphs.graph import Graph
from elekit.model.loss import points_of
from elekit.model.surrogate.reader import Reading
from elekit.widgets.inspection import Inspection
from elekit.widgets.page import inspector_state, stepper_page_state
from elekit.widgets.stepper_state import stepper_state

DECODED = 32  # predictions from which the cases are chosen
ITERATIONS = 60
APPLIED = 3  # edits at each end of the price list that can be applied in the page
COLUMNS = ["case", "input", "truth", "predicted", "exact", "edits", "loss", "iterations", "set"]
KNOWN = 400  # graphs on the inspector's map
FIXED = (
    "palette",
    "anchor_scene",
    "anchor_name",
    "context",
    "map_note",
    "view",
    "valid_only",
    "picked",
    "molecular",
    "unit",
    "unit_words",
)


def cases(context: Context, results: Results) -> None:
    """One right, one wrong and one typical prediction, each with the state of its widgets."""
    split = context.data.test if len(context.data.test) else context.data.train
    test, psi = readable_inputs(context, split.sample(DECODED, context.seed)), context.psi
    inputs, readings = test.inputs if context.surrogate is not None else None, None
    if inputs is None:
        target = points_of(psi, test.graphs)
    else:
        _, h = context.artifact.surrogate(context.surrogate)
        target, readings = h.predict(inputs), h.read(inputs)
    gradient = GradientConfig(iterations=ITERATIONS, starts=2)
    config = DecodeConfig("gradient+polish", gradient=gradient, seed=context.seed)
    decoded = decode(psi, target, config=config, record=True)
    judged = evaluation.evaluate(decoded.graphs, test.graphs, budget=context.part())
    calibration = results.facts.get("sets")  # measured before, if there is a predictor
    candidates = known_graphs(context) if calibration is not None else None
    rows: list[tuple] = []
    pictures = results.pictures.setdefault("cases", [])
    for kind, row in _chosen(judged["exact"].to_numpy(), decoded.loss.numpy()).items():
        truth, answer, found = test.graphs[row].dense(), decoded.graphs[row], None
        names = graph_names(Graph.cat([truth, answer]))
        given = None if inputs is None else inputs[row]
        if calibration is not None:
            sets = conformal.Calibration.from_json(calibration)
            own = None if readings is None else [readings[row]]
            (found,) = conformal.prediction_sets(psi, target[[row]], sets, candidates=candidates, readings=own)
        text = given if isinstance(given, str) else ""
        set_text = "" if found is None else found.describe()
        exact, edits, loss = bool(judged["exact"][row]), float(judged["edit_distance"][row]), float(decoded.loss[row])
        positions = [layout(truth)]
        positions.append(matching_layout(answer, truth, positions[0]))
        words = [f"truth: {names[0]}", f"predicted: {names[1]}"]
        pictures.append(drawing([truth, answer], words, len(rows), positions=positions))
        rows.append((kind, text, *names, exact, edits, loss, len(decoded.traces[row]) - 1, set_text))
        inspector = _inspector(context, answer, truth, names[0])
        reading = None if readings is None else readings[row]
        stepper = _stepper(decoded.traces[row], truth, found, reading)
        results.states.append({"stepper": stepper, "inspector": inspector})
    results.tables["cases"] = pd.DataFrame(rows, columns=COLUMNS)


def _chosen(exact: np.ndarray, loss: np.ndarray) -> dict[str, int]:
    """Rows of the right one of least loss, a wrong one, and a typical one that is right or wrong as most are."""
    rows, chosen = np.argsort(loss, kind="stable"), {}
    right, wrong = (rows[exact[rows] == value].tolist() for value in (True, False))
    if right:
        chosen["right"] = right[0]
    if wrong:
        chosen["wrong"] = wrong[len(wrong) // 2]
    most = [row for row in (right if len(right) >= len(wrong) else wrong) if row not in chosen.values()]
    if most:
        chosen["typical"] = most[len(most) // 2]
    return chosen


def _stepper(trace: Trace, truth: Graph, sets: conformal.sets.PredictionSet | None, reading: Reading | None) -> dict:
    """The traits of the decode stepper."""
    return stepper_page_state(stepper_state(trace, truth, sets=sets, reading=reading))


def _inspector(context: Context, graph: Graph, anchor: Graph, name: str) -> dict:
    """The traits of the loss inspector, for a graph and for what a few edits make of it."""
    among = context.train[shuffled(len(context.train), context.seed)[:KNOWN]]
    same = bool(evaluation.evaluate(graph, anchor, edit_distance=False)["exact"][0])
    names = graph_names(among)
    shown = Inspection(context.psi, graph, anchor=None if same else anchor, among=among, names=names)
    return inspector_state(shown, APPLIED, anchor_name="original" if same else f"truth, {name}")
