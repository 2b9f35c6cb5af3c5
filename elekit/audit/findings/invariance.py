"""Does the loss change where it must not: with node order, padding, repetition, or the rest of the batch?"""

import torch

from elekit.audit.blind_spots import Pairs, Variation, invariance_gaps
from elekit.audit.findings.finding import Finding, FindingKind, Severity
from elekit.audit.findings.responses import Responses
from elekit.evaluation.formatting import figure, percent
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi

SEEN = 0.02  # of a typical edit; float32 rounding stays below 0.0001 of it
MAX_LENGTH_ERROR = 1e-3

CHECKS = {  # kind, what two equal graphs differ in, likely cause
    Variation.NODE_ORDER: (
        FindingKind.NODE_ORDER,
        "with its nodes in another order",
        "It depends on node numbering.",
    ),
    Variation.PADDING: (
        FindingKind.PADDING,
        "with two more empty slots",
        "It depends on the size to which a batch is padded.",
    ),
    Variation.REPEATED: (
        FindingKind.NOT_REPEATABLE,
        "evaluated a second time",
        "A random part, such as dropout, is left switched on.",
    ),
    Variation.BATCH: (FindingKind.BATCH, "evaluated alone", "It depends on the other graphs in the batch."),
}


def find_invalid_points(responses: Responses) -> list[Finding]:
    """Points that are not finite or not of unit length."""
    points = responses.points
    bad = ~torch.isfinite(points).all(1)
    if bad.any():
        share = float(bad.float().mean())
        text = f"The loss is NaN or infinite for {percent(share)} of {len(points)} graphs."
        evidence = responses.probes.all_graphs[bad]
        return [Finding(FindingKind.NOT_FINITE, text, strength=share, figures={"share": share}, evidence=evidence)]
    length = points.double().norm(dim=1)
    off = float((length - 1).abs().max())
    if off <= MAX_LENGTH_ERROR:
        return []
    low, high = float(length.min()), float(length.max())
    text = (
        f"The points are not of unit length: their lengths range from {figure(low)} to {figure(high)}, so the loss "
        "is not a distance on the sphere. All further findings are for points scaled to length 1."
    )
    figures = {"off": off, "low": low, "high": high}
    return [Finding(FindingKind.NOT_UNIT_LENGTH, text, strength=min(1.0, off), figures=figures)]


def find_broken_invariances(psi: Psi, graphs: Graph, typical: float, seed: int) -> list[Finding]:
    """Equal graphs that lie apart. A dependence on the Kekule form is a note, everything else a defect."""
    pairs, found = invariance_gaps(psi, graphs, seed=seed), []
    for variation, (kind, how, cause) in CHECKS.items():
        loss = pairs.table["loss"][pairs.table["variation"] == variation]
        if not len(loss):
            continue
        share = float((loss > SEEN * typical).mean())
        if share > SEEN:
            text = (
                f"The loss between a graph and the same graph {how} should be 0. It is not for {percent(share)} of "
                f"{len(loss)} graphs (median {figure(loss[loss > SEEN * typical].median())}, up to "
                f"{figure(loss.max())}; a typical single edit costs {figure(typical)}). {cause}"
            )
            figures = {"median": float(loss.median()), "most": float(loss.max()), "share": share, "typical": typical}
            found.append(Finding(kind, text, strength=share, figures=figures, evidence=_evidence(pairs, variation)))
    loss = pairs.table["loss"][pairs.table["variation"] == Variation.KEKULE_FORM]
    if len(loss) and loss.median() > SEEN * typical:
        text = (
            f"The loss separates two Kekule forms of the same molecule by {figure(loss.median())} (median of "
            f"{len(loss)} molecules; a typical edit costs {figure(typical)}). Convert molecules to one canonical "
            "form."
        )
        figures = {"median": float(loss.median()), "molecules": len(loss), "typical": typical}
        evidence = _evidence(pairs, Variation.KEKULE_FORM)
        found.append(
            Finding(FindingKind.KEKULE_FORMS, text, severity=Severity.NOTE, figures=figures, evidence=evidence)
        )
    if any(finding.kind is FindingKind.NOT_REPEATABLE for finding in found):  # noise breaks the other invariances too
        found = [f for f in found if f.kind in (FindingKind.NOT_REPEATABLE, FindingKind.KEKULE_FORMS)]
    return found


def _evidence(pairs: Pairs, variation: Variation) -> tuple[Graph, Graph]:
    rows = torch.from_numpy((pairs.table["variation"] == variation).to_numpy(copy=True)).nonzero()[:, 0]
    return pairs.graphs[rows], pairs.others[rows]
