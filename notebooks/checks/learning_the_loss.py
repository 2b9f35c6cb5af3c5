"""Checks of notebook 02: a training that tells graphs apart, and spheres told apart by numbers."""

from collections.abc import Mapping

import torch
from torch import Tensor

from checks.verdict import Verdict, number, quoted
from elekit.graphs import projections
from elekit.graphs.graph import Graph
from elekit.inspect import uniformity
from elekit.model.loss import points_of
from elekit.training import EmbeddingTraining
from elekit.training.loop import retrieval, step_generator

GOAL = 0.5  # of softened copies that find their own graph
HOT = 0.3  # a temperature from which own view and others weigh nearly the same
ROWS = {"A": 2, "B": 3, "C": 1}  # in which row of the table each sphere stands


def check_retrieval(psi, graphs: Graph, training: EmbeddingTraining | None = None) -> Verdict:
    """Whether at least half of softened copies of the graphs (the same ones each time) lie nearest to their own graph.

    psi: what was trained, with `training`, which a hint may be about.
    """
    copies = EmbeddingTraining(edited=0.0, softened=1.0).view(graphs, step_generator(1, 0))
    try:
        found = retrieval(points_of(psi, copies), points_of(psi, graphs))
    except (TypeError, ValueError, AttributeError, RuntimeError):
        return Verdict(False, f"give the psi that fit_embedding returned; {quoted(psi)} does not embed these graphs.")
    told = f"{found:.0%} of {len(graphs)} softened copies find their own graph"
    if found >= GOAL:
        return Verdict(True, f"{told}; {GOAL:.0%} were asked for.")
    return Verdict(False, f"{told}, {GOAL:.0%} are asked for. {_advice(training)}")


def _advice(training) -> str:
    if not isinstance(training, EmbeddingTraining):
        return "Look at the temperature and the views."
    if training.temperature >= HOT:
        return f"At temperature {training.temperature:g} the nearest wrong graph pushes hardly more than the farthest: look there first."
    if "softened" not in training.views:
        return "The copies that ask are softened; does the training ever show such views?"
    if "edited" in training.views:
        return "The copies that ask are only softened; what else does the training pull together?"
    return "The views fit the question; look at the temperature again."


def snapshots() -> dict[str, Tensor]:
    """Three sets of 300 points of the sphere, made up: A on two opposite spots, B spread, C on one spot."""
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
    """A DataFrame of `spread` of the three snapshots, in another order, in rows 1, 2 and 3."""
    import pandas as pd

    points = snapshots()
    rows = {row: uniformity(points[name]) for name, row in ROWS.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["mean_cosine", "effective_rank"])
    return table.sort_index().rename_axis("row").round(2) + 0.0  # no -0.0


def check_snapshots(answer) -> Verdict:
    """Whether a dictionary from "A", "B", "C" to the rows 1, 2, 3 says which numbers are of which sphere."""
    if not isinstance(answer, Mapping) or set(answer) != set(ROWS):
        return Verdict(False, f"give a dictionary with a row for each of A, B and C; this is {quoted(answer)}.")
    given = {name: number(answer[name]) for name in ROWS}
    if set(given.values()) != set(ROWS.values()):
        return Verdict(False, f"each of the rows 1, 2 and 3 belongs to one sphere; this is {quoted(dict(answer))}.")
    if given["C"] != ROWS["C"]:
        hint = (
            "on sphere C all arrows from the center point the same way; what is the mean cosine between such arrows?"
        )
    elif given != ROWS:
        hint = (
            "in A and B arrows point in opposite ways and cancel on average; along how many directions do they lie?"
        )
    else:
        return Verdict(
            True, "A is collapsed as well, onto a line: its mean cosine looks healthy, its effective rank does not."
        )
    return Verdict(False, hint)
