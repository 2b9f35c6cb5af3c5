"""What is wrong with a learned loss? One general instrument, and what it finds in words with figures.

The loss is asked a broad basis of questions (`basis`): every kind of edit of many graphs, pairs that share one trait
after another, patterns planted and rewritten, walks over edits, the same graph written otherwise, graphs held out.
What it answers (`answers`) is held against what any sane loss does: equal graphs lie together, different ones apart,
no edit is free, none costs as much as another graph, no trait drowns the rest, no place pulls everything to it,
training graphs cost what others cost. No check knows a particular defect; each names what it sees.
"""

import numpy as np
import torch

from elekit.audit.findings.attractors import pulled
from elekit.audit.findings.dominance import dominated, outweighed, overpriced
from elekit.audit.findings.finding import DEFECT, NOTE, Finding, table
from elekit.audit.findings.insensitivity import (
    cheap_families,
    cheap_places,
    coinciding,
    dead_edits,
    merged_patterns,
    sees_only,
)
from elekit.audit.findings.invariance import SHORT, differently_told, malformed
from elekit.audit.findings.memorization import HeldOut, hold_out, memorized
from elekit.audit.findings.probe_set import LEVELS, Basis, make_basis
from elekit.audit.findings.responses import Answers, ask
from elekit.audit.findings.saturation import NOTHING, collapsed, flat, heaped, hubs, saturated
from elekit.evaluation.formatting import figure
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi

__all__ = [
    "DEFECT", "NOTE", "Answers", "Basis", "Finding", "HeldOut", "ask", "findings", "hold_out", "make_basis", "table",
]  # fmt: skip

COUNTS = LEVELS.index("the counts of node labels and of edge labels")

FRAGMENTS = 3  # rules of what costs nothing: more are pieces of a wider one, of what costs next to nothing


def findings(
    psi: Psi,
    graphs: Graph,
    *,
    held_out: Graph | HeldOut | None = None,
    basis: Basis | None = None,
    seed: int = 0,
    progress: bool = False,
) -> list[Finding]:
    """What is wrong with a learned loss, in words and figures; defects first, an empty list where nothing is.

    psi: any map from graphs to unit vectors. graphs: what it was trained on, or a sample of it (of more than 300 as
    many are drawn by the seed). held_out: graphs that it was not trained on, of the same make; without them only
    strong memorizing can be seen. basis, held_out: may also be made once, by `make_basis(graphs)` and
    `hold_out(graphs)`, for several losses.
    About 5 s on one core for molecules of 7 to 9 atoms, half of it for the basis.
    Raises ValueError for fewer than 20 graphs.
    """
    if len(graphs) < 20:
        raise ValueError(f"findings need at least 20 graphs to tell a habit from an accident, got {len(graphs)}")
    basis = make_basis(graphs, seed=seed, progress=progress) if basis is None else basis
    if isinstance(held_out, Graph):
        held_out = hold_out(held_out, seed=seed, progress=progress)
    answers = ask(psi, basis)
    found = malformed(answers)
    if any(finding.what == "not a number" for finding in found):
        return found
    if found:
        psi = _scaled(psi)
        answers = ask(psi, basis)
    if answers.far < NOTHING:
        return found + collapsed(answers)
    if answers.scale == 0:
        says = (
            f"The loss is blind to any single edit: every one costs 0, though two graphs lie {figure(answers.far)} "
            "apart."
        )
        return [*found, Finding("blind to any edit", says)]
    found += differently_told(psi, basis.graphs, answers.scale, seed)
    steady = not any(finding.what in SHORT.values() for finding in found)  # else no two batches can be compared
    found += collapsed(answers)
    narrow = flat(answers)
    found += (
        narrow + (dominated(answers) if narrow else [])
        or heaped(answers)
        or (memorized(psi, answers, held_out) if steady else [])
        or _weights_and_blindness(answers)
    )
    if all(finding.severity != DEFECT for finding in found):
        found += hubs(answers)
    return sorted(found, key=lambda finding: finding.severity != DEFECT)


def _weights_and_blindness(answers: Answers) -> list[Finding]:
    """What may be said of a loss whose points neither crowd on a few directions nor stand apart from all others.

    The most general statements come first, and what follows from them is not said again.
    """
    levels, level = sees_only(answers)
    explained, attractors = np.zeros(len(answers.table), dtype=bool), []
    if level > COUNTS:  # graphs of the same counts share a place without an attractor
        attractors, explained = pulled(answers)
    weights = dominated(answers, by_share=not attractors)
    if level < len(LEVELS):  # what changes nothing that the loss sees
        trait, n = answers.basis.identity[:, level], len(answers.basis.graphs)
        explained |= (trait[n:] == trait[:n][answers.basis.sample.edits.row]).numpy()
    if weights:  # what is drowned is not blind, but for what costs exactly nothing
        blind = [] if level < len(LEVELS) else dead_edits(answers, explained, drowned=True)[0]
        return weights + [f for f in levels if level <= COUNTS] + attractors + blind
    defects = [finding for finding in levels if finding.severity == DEFECT] + attractors
    whole = explained
    blind, explained = dead_edits(answers, whole)
    if not blind or len(blind) >= FRAGMENTS:  # one or two rules say it all
        blind = cheap_places(answers, whole, blind) + blind
    blind += cheap_families(answers, explained, blind, sharp=not levels)
    blind += merged_patterns(answers, defects + blind)
    blind += coinciding(answers, defects + blind)
    dear = outweighed(answers, defects) or overpriced(answers, defects + blind)
    return levels + attractors + blind + (dear or ([] if attractors else saturated(answers)))


def _scaled(psi: Psi) -> Psi:
    """The same psi with every point scaled to length 1."""
    return lambda graphs: torch.nn.functional.normalize(psi(graphs), dim=1)
