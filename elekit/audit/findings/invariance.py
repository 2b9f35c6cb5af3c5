"""Does the loss change where it must not: with node order, padding, repetition, or the rest of the batch?"""

import torch

from elekit.audit.blind_spots import Variation, invariance_gaps
from elekit.audit.findings.finding import Finding, FindingKind, Severity, describe, make_finding
from elekit.audit.findings.responses import Responses
from elekit.graphs import Graph
from elekit.model.loss import Psi

SEEN = 0.02  # of a typical edit; float32 rounding stays below 0.0001 of it
MAX_LENGTH_ERROR = 1e-3
KINDS = {
    Variation.NODE_ORDER: FindingKind.NODE_ORDER,
    Variation.PADDING: FindingKind.PADDING,
    Variation.REPEATED: FindingKind.NOT_REPEATABLE,
    Variation.BATCH: FindingKind.BATCH,
    Variation.KEKULE_FORM: FindingKind.KEKULE_FORMS,
}


def find_invalid_points(responses: Responses) -> list[Finding]:
    """Points that are not finite or not of unit length."""
    points = responses.points
    bad = ~torch.isfinite(points).all(1)
    if bad.any():
        share, kind, evidence = (
            float(bad.float().mean()),
            FindingKind.NOT_FINITE,
            responses.probes.all_graphs[bad].dense(),
        )
        return [make_finding(kind, {"share": share}, share, evidence=evidence, graphs=len(points))]
    length = points.double().norm(dim=1)
    off = float((length - 1).abs().max())
    if off <= MAX_LENGTH_ERROR:
        return []
    figures = {"off": off, "low": float(length.min()), "high": float(length.max())}
    return [make_finding(FindingKind.NOT_UNIT_LENGTH, figures, min(1.0, off))]


def find_broken_invariances(psi: Psi, graphs: Graph, typical: float, seed: int) -> list[Finding]:
    """Equal graphs that lie apart. A dependence on the Kekule form is a note, everything else a defect."""
    pairs, found = invariance_gaps(psi, graphs, seed=seed), []
    for variation, kind in KINDS.items():
        rows = torch.from_numpy((pairs.table["variation"] == variation).to_numpy(copy=True)).nonzero()[:, 0]
        loss = pairs.table["loss"].iloc[rows.numpy()]
        evidence = pairs.graphs[rows], pairs.others[rows]
        if variation is Variation.KEKULE_FORM:
            if len(loss) and loss.median() > SEEN * typical:
                figures = {"median": float(loss.median()), "molecules": len(loss), "typical": typical}
                found.append(make_finding(kind, figures, severity=Severity.NOTE, evidence=evidence))
        elif len(loss) and (share := float((loss > SEEN * typical).mean())) > SEEN:
            figures = {"median": float(loss.median()), "most": float(loss.max()), "share": share, "typical": typical}
            above = loss[loss > SEEN * typical].median()
            measured = describe("measured", graphs=len(loss), above=above, **figures)
            found.append(make_finding(kind, figures, share, evidence=evidence, measured=measured))
    if any(finding.kind is FindingKind.NOT_REPEATABLE for finding in found):  # noise breaks the other invariances too
        found = [f for f in found if f.kind in (FindingKind.NOT_REPEATABLE, FindingKind.KEKULE_FORMS)]
    return found
