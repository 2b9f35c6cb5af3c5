"""Do the points fill the sphere, and does the distance on it still mean anything?"""

import numpy as np
import torch

from elekit.inspect.findings.answers import Answers
from elekit.inspect.findings.finding import Finding, figure

# Bounds lie outside what was measured of ten clean losses: molecules7 and QM9 as shipped, four trainings on molecules7
# of 300 to 500 steps, and trainings on floor plans, labelled and unlabelled random graphs, and 67 cycles and stars.
USED = 0.2  # mean loss of two graphs; clean 0.77 to 1.95, of a possible 4 (2 where points are spread evenly)
NOTHING = 1e-4  # below, nothing else can be said
DIRECTIONS = 3.0  # effective dimensions; clean 3.7 (67 cycles and stars) to 100
FEW, OF_ALL = 8, 3  # directions with any variance at all, and how many times more the reference uses; clean 24 to 253
ANY = 1e-6  # of the variance
LOCAL = 0.6  # typical edit / mean loss of two graphs; clean 0.03 to 0.23
GROWTH = 1.5  # of the loss from one random edit to six; clean 3.7 to 11
POINTS = 3_000


def collapsed(answers: Answers) -> list[Finding]:
    """All graphs at nearly one place."""
    if answers.far >= USED:
        return []
    cosine = 1 - answers.far / 2
    says = (
        f"The loss has collapsed: two unrelated graphs lie {figure(answers.far)} apart on average, of a possible 4 (losses "
        f"that were trained well: 0.8 to 2). Nearly all graphs sit at one place of the sphere (mean cosine "
        f"{cosine:.4f}), and a typical edit costs {figure(answers.scale)}."
    )
    numbers = {"far": answers.far, "mean_cosine": cosine, "scale": answers.scale}
    return [Finding("collapsed", says, strength=1 - answers.far / USED, figure=numbers)]


def flat(answers: Answers) -> list[Finding]:
    """All graphs on a few directions of the sphere."""
    effective, rank = dimensions(answers.points)
    usual, most = dimensions(answers.basis.reference)
    D = answers.points.shape[1]
    if not (effective < min(DIRECTIONS, usual / 4) or (rank <= FEW and most > OF_ALL * rank)):
        return []
    says = (
        f"The loss is low-dimensional: of the {D} dimensions of the sphere its points fill a subspace of {rank}, most of "
        f"it {figure(effective)} effective dimensions, where the same graphs need far more ({figure(usual)} for a loss "
        "that counts their parts). So unrelated graphs land side by side."
    )
    numbers = {"effective": effective, "directions": rank, "reference": usual, "D": D}
    return [Finding("low-dimensional", says, strength=max(0.0, 1 - effective / usual), figure=numbers)]


def dimensions(points: torch.Tensor) -> tuple[float, int]:
    """Effective dimensions of a set of points about their mean, and directions with any variance.

    exp of the entropy of the shares of variance (Roy and Vetterli 2007), of at most 3,000 points.
    """
    points = points[:POINTS].double()
    points = points - points.mean(0)
    share = torch.linalg.eigvalsh(points.T @ points).clamp_min(0)
    share = share / share.sum().clamp_min(1e-30)
    return float(torch.special.entr(share).sum().exp()), int((share > ANY).sum())


def saturated(answers: Answers) -> list[Finding]:
    """A single edit costs as much as another graph altogether, so the loss has no near and far."""
    ratio = answers.scale / answers.far
    steps = (2 - 2 * (answers.walked * answers.own[answers.basis.walk_of]).sum(-1)).median(1).values.tolist()
    growth = steps[-1] / max(steps[0], 1e-9)
    if ratio <= LOCAL and growth >= GROWTH:
        return []
    if ratio > LOCAL:
        start = (
            f"The distance saturates: a single edit costs {figure(answers.scale)}, an unrelated graph "
            f"{figure(answers.far)}, which is hardly more."
        )
    else:
        start = "The distance saturates: more edits hardly cost more than one."
    says = (
        f"{start} After 1, 2, ... {len(steps)} edits the loss is {', '.join(figure(s) for s in steps)}: it tells equal "
        "from different, not near from far."
    )
    numbers = {"ratio": ratio, "scale": answers.scale, "far": answers.far, "growth": growth, "steps": steps}
    return [Finding("saturated", says, strength=float(np.clip(ratio, 0, 1)), figure=numbers)]
