"""What must not change the loss at all: how a graph is written down, asked again, asked in company."""

import torch

from elekit.audit.blind_spots import Pairs, separated_equals
from elekit.audit.findings.finding import NOTE, Finding
from elekit.audit.findings.responses import Answers
from elekit.evaluation.formatting import figure, percent
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi

SEEN = 0.02  # of a typical edit: rounding in float32 stays below 0.0001 of it
OFF_LENGTH = 1e-3

WORDS = {
    "node order": (
        "sensitive to the order of nodes: the same graph with its nodes numbered in another order (a permutation)",
        "The answer depends on how a graph happens to be written down.",
    ),
    "padding": (
        "sensitive to padding: the same graph with two empty slots more",
        "The answer depends on the size of the batch that a graph stands in.",
    ),
    "asked twice": (
        "not repeatable: the same graph, asked a second time,",
        "It holds noise: something random that was left switched on (such as a dropout).",
    ),
    "company": (
        "dependent on company: the same graph, asked alone and together with others,",
        "The answer depends on what else happens to be asked at the same time (in the batch).",
    ),
}
SHORT = {"asked twice": "not repeatable", "company": "depends on the batch"}


def malformed(answers: Answers) -> list[Finding]:
    """Points that are no numbers, or do not lie on the sphere."""
    points = answers.points
    bad = ~torch.isfinite(points).all(1)
    if bad.any():
        share = float(bad.float().mean())
        says = f"The loss is not a number for {percent(share)} of {len(points)} graphs (NaN or infinity)."
        return [
            Finding(
                "not a number", says, strength=share, figure={"share": share}, evidence=answers.basis.everything[bad]
            )
        ]
    length = points.double().norm(dim=1)
    off = float((length - 1).abs().max())
    if off <= OFF_LENGTH:
        return []
    says = (
        f"The loss is not well formed: the places that it gives to graphs should all be of unit length, 1, but their lengths run "
        f"from {figure(float(length.min()))} to {figure(float(length.max()))}, so that its figures are no distances. What "
        "follows was found after every place was scaled to length 1."
    )
    return [Finding("not of unit length", says, strength=min(1.0, off), figure={"off": off})]


def differently_told(psi: Psi, graphs: Graph, scale: float, seed: int) -> list[Finding]:
    """Equal graphs that lie apart: by node order, padding, noise or company a defect, by Kekule forms a note."""
    pairs, found = separated_equals(psi, graphs, seed=seed), []
    for why, (subject, consequence) in WORDS.items():
        loss = pairs.table["loss"][pairs.table["why"] == why]
        if not len(loss):
            continue
        share = float((loss > SEEN * scale).mean())
        if why == "node order" and found and found[0].what == SHORT["asked twice"]:
            continue
        if share > SEEN:
            says = (
                f"The loss is {subject} lies up to {figure(loss.max())} away, where a typical single edit costs "
                f"{figure(scale)}. It should be 0; it is not for {percent(share)} of {len(loss)} graphs (median "
                f"{figure(loss[loss > SEEN * scale].median())}). {consequence}"
            )
            numbers = {"median": float(loss.median()), "most": float(loss.max()), "share": share, "scale": scale}
            finding = Finding(SHORT.get(why, why), says, strength=share, figure=numbers, evidence=_sides(pairs, why))
            found.insert(0 if why == "asked twice" else len(found), finding)
    loss = pairs.table["loss"][pairs.table["why"] == "Kekule form"]
    if len(loss) and loss.median() > SEEN * scale:
        says = (
            f"The loss separates equal molecules: two ways to draw the double bonds of one aromatic ring (Kekule forms) "
            f"lie {figure(loss.median())} apart (median of {len(loss)} molecules), a typical edit {figure(scale)}. It "
            "sees the drawing, so graphs should come in one canonical form."
        )
        numbers = {"median": float(loss.median()), "molecules": len(loss), "scale": scale}
        found.append(Finding("Kekule forms", says, NOTE, figure=numbers, evidence=_sides(pairs, "Kekule form")))
    if any(finding.what == SHORT["asked twice"] for finding in found):  # noise moves everything else as well
        found = [f for f in found if f.what in (SHORT["asked twice"], "Kekule forms")]
    return found


def _sides(pairs: Pairs, why: str) -> tuple[Graph, Graph]:
    rows = torch.from_numpy((pairs.table["why"] == why).to_numpy(copy=True)).nonzero()[:, 0]
    return pairs.graphs[rows], pairs.others[rows]
