"""A decoding run in one picture: the static twin of stepping through a trace."""

import numpy as np
from matplotlib.figure import Figure
from networkx.algorithms.isomorphism import GraphMatcher, categorical_edge_match, categorical_node_match

from elekit.decoding import Trace
from elekit.draw.base import Picture, array
from elekit.draw.curves import loss_curve
from elekit.draw.layouts import layout
from elekit.draw.structures import graph
from elekit.graph import Graph, to_networkx


def trace(trace: Trace, *, truth: Graph | None = None, frames: int = 4) -> Figure:
    """Iterates of a decoding run from left to right, its result, the truth if it is known; the loss below.

    All iterates lie where the result's nodes are drawn, so that one can watch them settle. truth: a batch of one.
    frames: how many iterates, the first and the last among them. Raises ValueError for fewer than 2 frames.
    """
    if frames < 2:
        raise ValueError(f"frames must be at least 2, got {frames}")
    last = max(trace.best, 1) if len(trace) > 1 else 0
    shown = sorted({round(last * share**1.5) for share in np.linspace(0, 1, frames)})
    rounded = trace.iterates[trace.best].rounded()
    panels = [(trace[s], layout(rounded), f"iteration {s}") for s in shown]
    panels.append((rounded, layout(rounded), f"rounded\nloss {float(trace.rounded[trace.best]):.3f}"))
    if trace.polish:
        done = trace.polish[-1]
        edits = f"{len(trace.edits)} edit" + "s" * (len(trace.edits) != 1)
        panels.append((done.graph, layout(done.graph), f"after {edits}\nloss {done.loss:.3f}"))
    if truth is not None:
        panels.append((truth, _laid_like(truth, *panels[-1][:2]), "truth"))
    figure = Picture(figsize=(2.6 * len(panels), 6.4))
    for column, (one, positions, title) in enumerate(panels):
        place = figure.add_axes((column / len(panels), 0.5, 0.96 / len(panels), 0.4))
        graph(one, place, positions=positions)
        place.set_title(title, fontsize=13)
    below = figure.add_axes((0.07, 0.11, 0.83, 0.34))
    loss_curve(array(trace.relaxed), array(trace.rounded), below, stopped=trace.stopped)
    return figure


def _laid_like(truth: Graph, result: Graph, positions: np.ndarray) -> np.ndarray:
    """Positions of the truth: where the result's nodes are if both are one graph, otherwise its own."""
    (ours,), (theirs,) = to_networkx(truth), to_networkx(result)
    matcher = GraphMatcher(ours, theirs, categorical_node_match("label", None), categorical_edge_match("label", None))
    if not matcher.is_isomorphic():
        return layout(truth)
    placed = layout(truth)
    for i, j in matcher.mapping.items():
        placed[i] = positions[j]
    return placed
