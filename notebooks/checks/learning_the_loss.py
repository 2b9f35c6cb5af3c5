"""Checks of notebook 02: training settings that separate graphs, and point sets recognized by their statistics."""

from collections.abc import Mapping

import torch
from torch import Tensor

from checks.verdict import Verdict, as_number, quote
from elekit.graphs import projections
from elekit.graphs.graph import Graph
from elekit.inspect import uniformity
from elekit.model.contrastive import retrieval
from elekit.model.loss import points_of
from elekit.training import EmbeddingTraining
from elekit.training.loop import step_generator

GOAL = 0.8  # share of softened copies that must retrieve their own graph
HOT = 1.0  # from this temperature on, the softmax weights all graphs nearly alike
ROWS = {"A": 2, "B": 3, "C": 1}  # row of `snapshot_numbers` for each sphere


def check_retrieval(psi, graphs: Graph, training: EmbeddingTraining | None = None) -> Verdict:
    """Check that at least 80 % of the softened copies of `graphs` are nearest to their own graph.

    Args:
        psi: The trained embedding.
        graphs: Graphs to copy; the copies are the same in each call.
        training: Settings that `psi` was trained with; the hint refers to them.

    Returns:
        The verdict; its message has the share of copies that retrieve their own graph.
    """
    copies = EmbeddingTraining(edited=0.0, softened=1.0).view(graphs, step_generator(1, 0))
    slots = max(copies.slots(), graphs.slots())
    try:
        share = retrieval(*(points_of(psi, batch.dense(slots)) for batch in (copies, graphs)))
    except (TypeError, ValueError, AttributeError, RuntimeError):
        return Verdict(False, f"{quote(psi)} does not embed these graphs. Give the psi that fit_embedding returned.")
    result = f"{share:.0%} of {len(graphs)} softened copies find their own graph; the goal is {GOAL:.0%}."
    return Verdict(True, result) if share >= GOAL else Verdict(False, f"{result} {_advice(training)}")


def _advice(training) -> str:
    if not isinstance(training, EmbeddingTraining):
        return "Look at the temperature and the views."
    if training.temperature >= HOT:
        return (
            f"At temperature {training.temperature:g} the nearest wrong graph is pushed away little more than the "
            "others. Change the temperature first."
        )
    if "softened" not in training.views:
        return "The test copies are softened. Does the training use such views?"
    if "edited" in training.views:
        return "The test copies are only softened. What else does the training pull together?"
    return "The views match the test copies. Look at the temperature again."


def snapshots() -> dict[str, Tensor]:
    """Three synthetic sets of 300 points on the sphere: A in two opposite spots, B spread out, C in one spot."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 300, 3, generator=generator)
    spot = torch.tensor([0.6, 0.5, 0.6])
    side = torch.ones(300, 1)
    side[::2] = -1
    return {
        "A": projections.sphere(side * spot + 0.03 * noise[0]),
        "B": projections.sphere(noise[1]),
        "C": projections.sphere(spot + 0.03 * noise[2]),
    }


def snapshot_numbers():
    """A DataFrame with the `uniformity` of the three snapshots, in another order, in rows 1, 2 and 3."""
    import pandas as pd

    points = snapshots()
    rows = {row: uniformity(points[name]) for name, row in ROWS.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["mean_cosine", "effective_rank"])
    return table.sort_index().rename_axis("row").round(2) + 0.0  # no -0.0


def check_snapshots(answer) -> Verdict:
    """Check that a dictionary maps "A", "B" and "C" to their rows in `snapshot_numbers`."""
    if not isinstance(answer, Mapping) or set(answer) != set(ROWS):
        return Verdict(False, f"{quote(answer)} is not a dictionary with one row for each of A, B and C.")
    given = {name: as_number(answer[name]) for name in ROWS}
    if set(given.values()) != set(ROWS.values()):
        return Verdict(False, f"{quote(dict(answer))} does not use each of the rows 1, 2 and 3 once.")
    if given["C"] != ROWS["C"]:
        return Verdict(
            False, "On sphere C all vectors point the same way. What is the mean cosine between such vectors?"
        )
    if given != ROWS:
        return Verdict(
            False,
            "In A and B vectors point in opposite ways, and their cosines cancel on average. Along how many "
            "directions do they lie?",
        )
    return Verdict(True, "A has collapsed onto a line: its mean cosine looks healthy, its effective rank does not.")
