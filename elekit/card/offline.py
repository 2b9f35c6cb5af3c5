"""A few predictions to step through and to inspect in a page that has no kernel."""

import base64

import numpy as np
import torch

from elekit.card.measured import Measured, plain_values
from elekit.card.predictions import known_to
from elekit.card.subject import Subject, drawn
from elekit.decoding import DecodeConfig, GradientConfig, decode
from elekit.draw.frames import matching_layout
from elekit.draw.layouts import layout
from elekit.evaluation import conformal, judging
from elekit.graphs.graph import Graph
from elekit.model.loss import points_of

LOOKED_AT = 32  # predictions, of which the cases are chosen
ITERATIONS = 60
APPLIED = 3  # edits at each end of the price list that can be applied in the page
KNOWN = 400  # graphs on the inspector's map
KEPT = ("scene", "table", "heat", "loss", "neighbors", "apart", "shares")  # traits that differ between steps
STILL = (  # those that stay
    "palette", "anchor_scene", "anchor_name", "context", "map_note", "view", "valid_only", "picked", "molecular",
)  # fmt: skip


def cases(subject: Subject, found: Measured) -> None:
    """One prediction that is right, one that is wrong, and one that is typical; each ready to be looked at offline."""
    import pandas as pd

    split = subject.data.test if len(subject.data.test) else subject.data.train
    test = split.sample(LOOKED_AT, subject.seed)
    h = None if subject.surrogate is None or test.inputs is None else subject.artifact.surrogate(subject.surrogate)[1]
    target = points_of(subject.psi, test.graphs) if h is None else h.predict(test.inputs)
    gradient = GradientConfig(iterations=ITERATIONS, starts=2)
    config = DecodeConfig("gradient+polish", gradient=gradient, seed=subject.seed)
    decoded = decode(subject.psi, target, config=config, record=True)
    judged = judging.evaluate(decoded.graphs, test.graphs, timeout=2.0)
    held = found.facts.get("sets")  # measured before, where there is an h
    search = {} if held is None else {"candidates": known_to(subject)}
    rows = []
    for kind, row in _chosen(judged["exact"].to_numpy(), decoded.loss.numpy()).items():
        said = test.inputs[row] if h is not None and isinstance(test.inputs[row], str) else ""
        truth, answer = test.graphs[row], decoded.graphs[row]
        names = subject.names(Graph.cat([truth, answer]))
        some = None
        if held is not None:
            (some,) = conformal.prediction_sets(
                subject.psi, target[[row]], conformal.Calibration.from_json(held), **search
            )
        rows.append(
            {
                "case": kind,
                "input": said,
                "truth": names[0],
                "predicted": names[1],
                "exact": bool(judged["exact"][row]),
                "edits": float(judged["edit_distance"][row]),
                "loss": float(decoded.loss[row]),
                "iterations": len(decoded.traces[row]) - 1,
                "set": "" if some is None else some.says(),
            }
        )
        where = layout(truth)
        positions = [where, matching_layout(answer, truth, where)]
        words = [f"truth: {names[0]}", f"predicted: {names[1]}"]
        picture = drawn([truth, answer], words, len(rows) - 1, positions=positions)
        found.pictures.setdefault("cases", []).append(picture)
        known = split.graphs if not len(subject.data.train) else subject.data.train.graphs
        found.states.append(
            {
                "stepper": _stepper(decoded.traces[row], truth, some),
                "inspector": _inspector(subject, answer, truth, known, names[0]),
            }
        )
    found.tables["cases"] = pd.DataFrame(rows)


def _chosen(exact: np.ndarray, loss: np.ndarray) -> dict[str, int]:
    """Rows of a right one (least loss), a wrong one and a typical one, each another; the typical is as most are."""
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
    """All that the decode stepper draws."""
    from elekit.widgets.stepper import step_through

    widget = step_through(trace, truth=truth, sets=sets)
    names = (
        "step",
        "playing",
        "speed",
        "show",
        "last",
        "across",
        "runs",
        "truth_scene",
        "found",
        "palette",
        "problem",
    )
    state = {name: getattr(widget, name) for name in names}
    numbers = base64.b64encode(widget.numbers).decode()
    widget.close()
    return {**plain_values(state), "numbers": numbers}


def _inspector(subject: Subject, graph: Graph, anchor: Graph, known: Graph, name: str) -> dict:
    """What the loss inspector shows of a graph and of what a few edits make of it.

    still: traits that stay. states: the graph and its edited ones, each with its traits, its place on the map, what was
    done, and next: {row of the table: number of the state that its edit leads to}.
    """
    from elekit.widgets.inspector import inspect_loss

    rows = torch.randperm(len(known), generator=torch.Generator().manual_seed(subject.seed))[:KNOWN]
    among = known[rows]
    same = bool(judging.evaluate(graph, anchor, edit_distance=False)["exact"][0])
    given = {} if same else {"anchor": anchor}
    widget = inspect_loss(subject.psi, graph, among=among, names=subject.names(among), **given)
    still = {trait: getattr(widget, trait) for trait in STILL}
    still |= {"molecular": False, "anchor_name": "original" if same else f"truth, {name}"}
    states = [_state(widget)]
    priced = widget.scan.table
    order = priced[priced["valid"] & priced["connected"]].sort_values("price", kind="stable").index.tolist()
    applied = list(dict.fromkeys([*order[:APPLIED], *order[-APPLIED:]]))
    anchor_at = widget.path["anchor"]
    for row in applied:
        widget.apply(row)
        states[0]["next"][str(row)] = len(states)
        states.append(_state(widget))
        widget.undo()
    widget.close()
    return plain_values({"still": still, "states": states, "anchor": anchor_at})


def _state(widget) -> dict:
    """The step that an inspector shows now, with all that it computes only when asked."""
    widget.ask_shares()
    widget.ask_separates()
    state = {trait: getattr(widget, trait) for trait in KEPT}
    return {**state, "place": widget.path["places"][widget.at], "words": widget.steps[widget.at], "next": {}}
