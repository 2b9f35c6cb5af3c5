"""A few predictions to step through and to inspect in a page without a kernel."""

import base64

import numpy as np
import torch

from elekit.card.context import Context, drawing
from elekit.card.predictions import known_graphs
from elekit.card.results import Results, plain_values
from elekit.decoding import DecodeConfig, GradientConfig, decode
from elekit.draw.frames import matching_layout
from elekit.draw.layouts import layout
from elekit.evaluation import conformal, judging
from elekit.graphs.graph import Graph
from elekit.model.loss import points_of
from elekit.widgets.inspection import Inspection
from elekit.widgets.stepper_state import stepper_state

DECODED = 32  # predictions from which the cases are chosen
ITERATIONS = 60
APPLIED = 3  # edits at each end of the price list that can be applied in the page
KNOWN = 400  # graphs on the inspector's map
CHANGING = (
    "scene",
    "table",
    "heat",
    "loss",
    "neighbors",
    "separations",
    "shares",
)  # traits that differ between steps
FIXED = ("palette", "anchor_scene", "anchor_name", "context", "map_note", "view", "valid_only", "picked", "molecular")


def cases(context: Context, results: Results) -> None:
    """One right, one wrong and one typical prediction, each with the state of its widgets."""
    import pandas as pd

    split = context.data.test if len(context.data.test) else context.data.train
    test = split.sample(DECODED, context.seed)
    h = None if context.surrogate is None or test.inputs is None else context.artifact.surrogate(context.surrogate)[1]
    target = points_of(context.psi, test.graphs) if h is None else h.predict(test.inputs)
    gradient = GradientConfig(iterations=ITERATIONS, starts=2)
    config = DecodeConfig("gradient+polish", gradient=gradient, seed=context.seed)
    decoded = decode(context.psi, target, config=config, record=True)
    judged = judging.evaluate(decoded.graphs, test.graphs, timeout=2.0)
    calibration = results.facts.get("sets")  # measured before, if there is a predictor
    search = {} if calibration is None else {"candidates": known_graphs(context)}
    rows = []
    for kind, row in _chosen(judged["exact"].to_numpy(), decoded.loss.numpy()).items():
        text = test.inputs[row] if h is not None and isinstance(test.inputs[row], str) else ""
        truth, answer = test.graphs[row], decoded.graphs[row]
        names = context.names(Graph.cat([truth, answer]))
        some = None
        if calibration is not None:
            (some,) = conformal.prediction_sets(
                context.psi, target[[row]], conformal.Calibration.from_json(calibration), **search
            )
        rows.append(
            {
                "case": kind,
                "input": text,
                "truth": names[0],
                "predicted": names[1],
                "exact": bool(judged["exact"][row]),
                "edits": float(judged["edit_distance"][row]),
                "loss": float(decoded.loss[row]),
                "iterations": len(decoded.traces[row]) - 1,
                "set": "" if some is None else some.describe(),
            }
        )
        where = layout(truth)
        positions = [where, matching_layout(answer, truth, where)]
        words = [f"truth: {names[0]}", f"predicted: {names[1]}"]
        picture = drawing([truth, answer], words, len(rows) - 1, positions=positions)
        results.pictures.setdefault("cases", []).append(picture)
        known = split.graphs if not len(context.data.train) else context.data.train.graphs
        results.states.append(
            {
                "stepper": _stepper(decoded.traces[row], truth, some),
                "inspector": _inspector(context, answer, truth, known, names[0]),
            }
        )
    results.tables["cases"] = pd.DataFrame(rows)


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


def _stepper(trace, truth: Graph, sets=None) -> dict:
    """The traits of the decode stepper."""
    state = stepper_state(trace, truth, sets=sets)
    used = {"step": 0, "playing": False, "speed": 4.0, "show": "gradient", "problem": ""}
    return {**plain_values(used | state | {"numbers": None}), "numbers": base64.b64encode(state["numbers"]).decode()}


def _inspector(context: Context, graph: Graph, anchor: Graph, known: Graph, name: str) -> dict:
    """The traits of the loss inspector, for a graph and for what a few edits make of it.

    fixed: traits that do not change. states: the graph and its edited ones, each with its traits, its place on
    the map, its description, and next: {row of the table: number of the state that its edit leads to}.
    """
    rows = torch.randperm(len(known), generator=torch.Generator().manual_seed(context.seed))[:KNOWN]
    among = known[rows]
    same = bool(judging.evaluate(graph, anchor, edit_distance=False)["exact"][0])
    given = {} if same else {"anchor": anchor}
    shown = Inspection(context.psi, graph, among=among, names=context.names(among), **given)
    fixed = {trait: getattr(shown, trait) for trait in FIXED}
    fixed |= {"molecular": False, "anchor_name": "original" if same else f"truth, {name}"}
    states = [_state(shown)]
    priced = shown.scan.table
    order = priced[priced["valid"] & priced["connected"]].sort_values("price", kind="stable").index.tolist()
    applied = list(dict.fromkeys([*order[:APPLIED], *order[-APPLIED:]]))
    anchor_at = shown.path["anchor"]
    for row in applied:
        shown.apply(row)
        states[0]["next"][str(row)] = len(states)
        states.append(_state(shown))
        shown.undo()
    return plain_values({"fixed": fixed, "states": states, "anchor": anchor_at})


def _state(shown: Inspection) -> dict:
    """The step that is shown, with all that is computed on demand."""
    shown.compute_shares()
    shown.compute_separations()
    state = {trait: getattr(shown, trait) for trait in CHANGING}
    return {**state, "place": shown.path["places"][shown.at], "words": shown.steps[shown.at], "next": {}}
