"""State of the decode stepper. Needs no widget and no kernel."""

from typing import Any

import numpy as np

from elekit.decoding import Trace
from elekit.draw.base import VISIBLE
from elekit.draw.frames import (
    GHOSTS,
    LOOKS,
    NUMBERS,
    SHOWN,
    Frames,
    format_loss,
    frame_positions,
    frames_of_runs,
    matching_layout,
)
from elekit.draw.scenes import listed_centers, palette, scene
from elekit.evaluation.conformal.sets import PredictionSet
from elekit.evaluation.formatting import graph_names
from elekit.graphs.graph import Graph
from elekit.inspect.descent_directions import descent_directions
from elekit.model.health import NOT_MEASURED
from elekit.model.surrogate.reader import Reading
from elekit.widgets.inspector_io import listed

SPACED = 1.7  # factor on edge lengths if edges have words on them
EDGES_PER_NODE, FEW_EDGES = 3, 66  # largest number of drawn edges of a relaxed graph; all of 12 nodes


def stepper_state(
    trace: Trace, truth: Graph | None = None, compare: Trace | None = None, names: tuple[str, str] = ("", ""),
    sets: PredictionSet | None = None, reading: Reading | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The state of a decode stepper that does not change while it is used; arguments as of `step_through`.

    JSON values, except `numbers`, bytes of each run, see `packed`.
    """
    traces = [trace] if compare is None else [trace, compare]
    runs = frames_of_runs(traces, [descent_directions(one) for one in traces])
    laid = None if truth is None else matching_layout(truth, runs[0].graphs[-1], runs[0].positions[-1])
    shown = palette(trace.iterates.vocabulary)
    spaced = SPACED if shown["strokes"] is None and len(shown["edges"]) > 1 else 1.0
    return {
        "last": max(map(len, runs)) - 1,
        "across": frame_positions(runs).round(5).tolist(),
        "runs": [_run_state(run, name, spaced) for run, name in zip(runs, names)],
        "numbers": b"".join(packed(run) for run in runs),
        "truth_scene": {} if truth is None or laid is None else scene(truth, spaced * laid),
        "health": str(trace.health or NOT_MEASURED),
        "doubt": "" if reading is None else reading.doubt(float(runs[0].rounded[-1])),
        "found": {} if sets is None else _found(sets, truth, trace.result, runs[0], spaced),
        "palette": {**shown, "looks": LOOKS, "numbers": list(NUMBERS.items()), "ghosts": GHOSTS},
    }


def _found(found: PredictionSet, truth: Graph | None, answer: Graph, run: Frames, spaced: float) -> dict[str, Any]:
    """The sentence of a set, and scene, caption and name of each graph that is drawn."""
    graphs, losses = found.displayed
    graphs, losses = graphs[:SHOWN], losses[:SHOWN]
    more = f" (the nearest {len(graphs)} are shown)" if found.size > len(graphs) else ""
    members = [
        {
            "scene": scene(one, spaced * matching_layout(one, run.graphs[-1], run.positions[-1])),
            "words": ", ".join([f"loss {format_loss(loss)}", *marks]),
            "name": name,
        }
        for one, loss, marks, name in zip(graphs, losses, found.captions(truth, answer), graph_names(graphs))
    ]
    return {"says": found.describe() + more, "graphs": members}


def _run_state(run: Frames, name: str, spaced: float) -> dict[str, Any]:
    """A run without its probabilities; frames that share positions share an entry of `layouts` and of `centers`."""
    layouts, centers, laid = [], [], []
    for frame, positions in enumerate(run.positions):
        if not frame or positions is not run.positions[frame - 1]:
            layouts.append((spaced * positions).round(3).tolist())
            centers.append(listed_centers(run.graphs[max(frame, run.iterates)], spaced * positions))
        laid.append(len(layouts) - 1)
    return {
        "name": name,
        "slots": run.graphs.nodes.shape[1],
        "iterations": run.iterations,
        "stopped": run.stopped,
        "names": run.names,
        "summaries": run.descriptions,
        "readings": [run.reading(at) for at in range(len(run))],
        "numbers": run.numbers,
        "relaxed": listed(run.relaxed, 5),
        "rounded": listed(run.rounded, 5),
        "layouts": layouts,
        "centers": centers,
        "laid": laid,
        "marks": [[[list(m.part), m.kind, round(m.size, 4), m.words] for m in marks] for marks in run.marks],
    }


def packed(run: Frames) -> bytes:
    """The probabilities of F frames with N nodes: all nodes, and the strongest visible edges.

    Little-endian, one after the other: the number of edges of each frame (F,) and their pair numbers (row by row of
    i < j) as uint32; the probabilities of nodes (F, N, K) and of these edges (., R) as uint16, 65,535 for certain;
    zeros up to a multiple of 4 bytes.
    """
    slots = run.graphs.nodes.shape[1]
    i, j = np.triu_indices(slots, 1)
    nodes, pairs = (part.detach().cpu().numpy() for part in (run.graphs.nodes, run.graphs.edges[:, i, j]))
    strength = (1 - pairs[..., 0]) * (1 - nodes[:, i, 0]) * (1 - nodes[:, j, 0])
    most = max(EDGES_PER_NODE * slots, FEW_EDGES)
    if strength.shape[1] > most:
        weaker = np.argpartition(-strength, most, axis=1)[:, most:]
        np.put_along_axis(strength, weaker, 0.0, axis=1)
    frame, pair = np.nonzero(strength >= VISIBLE)
    whole = [np.bincount(frame, minlength=len(run)), pair]
    shares = [(65_535 * part).round().clip(0, 65_535) for part in (nodes, pairs[frame, pair])]
    found = b"".join([*(v.astype("<u4").tobytes() for v in whole), *(v.astype("<u2").tobytes() for v in shares)])
    return found + b"\0" * (-len(found) % 4)
