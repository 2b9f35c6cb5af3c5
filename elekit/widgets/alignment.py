"""A graph drawn over another one: the parts that both have in the same places, and what differs, marked."""

import numpy as np

from elekit.draw.layouts import aligned_layout, layout, present_nodes
from elekit.draw.scenes import scene
from elekit.draw.shapes import differences
from elekit.graphs.edit_distance import edit_steps
from elekit.graphs.graph import GraphBatch
from elekit.inspect.differences import apply_steps
from elekit.inspect.neighbors import separation_words
from elekit.widgets.inspector_io import Json

TIMEOUT = 0.5  # seconds for the shortest path of edits
NEAR = 0.35  # common nodes that lie nearer to their place than this, in edges, are drawn at it


def aligned(graph: GraphBatch, other: GraphBatch, positions: np.ndarray | None = None) -> Json:
    """The scene of `other` in the slots and places of a graph, and how it differs.

    Args:
        graph: Batch of one.
        other: Batch of one.
        positions: (n, 2) where the nodes of `graph` are drawn; None = its layout.

    Returns:
        scene: of `other`. marks: [[i] or [i, j], "gone", "changed" or "new"] by slot. edits: each in words. words:
        all in one line, see `elekit.inspect.separating_edits`.
    """
    steps = edit_steps(graph, other, timeout=TIMEOUT)
    slots = max([graph.slots(), *(1 + i for step in steps for i in step.where)])
    before = graph.dense(slots)
    after = apply_steps(before, steps)
    places = layout(before)
    if positions is not None:
        places[: len(positions)] = positions[:slots]
    turned = aligned_layout(after, before, places)
    common = present_nodes(before) & present_nodes(after)
    if np.linalg.norm(turned[common] - places[common], axis=1).max(initial=0) < NEAR:
        turned[common] = places[common]
    turned[present_nodes(before) & ~common] = places[present_nodes(before) & ~common]
    marks = [[list(part), kind] for part, kind in differences(before, after)]
    edits = [step.describe(graph.vocabulary) for step in steps]
    return {"scene": scene(after, turned), "marks": marks, "edits": edits, "words": separation_words(edits)}
