"""Does a trait pull unrelated graphs to one place, as a backdoor does?"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from elekit.audit.findings.finding import Finding, FindingKind, describe, make_finding
from elekit.audit.findings.graph_traits import Trait
from elekit.audit.findings.probe_set import reference
from elekit.audit.findings.responses import Responses, mean_loss
from elekit.model.loss import paired_distance

SAMPLE = 2_500  # edited graphs that are searched, besides the graphs and those with planted patterns
MIN_ORIGINS = 6  # graphs that those at a place come from
MIN_EDITS = 10  # that add or remove the trait, or keep it
# An edit that adds or removes the trait jumps; an edit that keeps it costs next to nothing.
JUMP = 2.0  # times a typical edit
OF_JUMP = 1 / 15  # cost of edits that keep the trait by those that jump; clean 1/9 and more where JUMP is reached
OF_OTHERS = 1 / 4  # and by those of graphs without the trait; 1/3 where a label is overweighted
WITHIN, OF_USUAL = 0.3, 0.4  # loss between graphs with the trait, by the mean loss; and by the same of the reference
NO_EDITS = 0.3  # of these bounds, where no edit keeps the trait (a rare one)
NEAR = 1 / 3  # of the mean loss: at the place
LIMIT = 3


def find_attractors(responses: Responses) -> tuple[list[Finding], np.ndarray]:
    """Traits whose graphs lie at one place without another reason; and (E,) bool, edits that stay at such a place."""
    probes, found = responses.probes, list[Finding]()
    n, count = len(probes.graphs), len(probes.sample.edits)
    points = torch.cat([responses.own, responses.edited, responses.planted])
    explained, left = np.zeros(count, dtype=bool), torch.ones(len(points), dtype=torch.bool)
    jumps = np.array([_jump(responses, trait.holds.numpy()) for trait in probes.traits]).reshape(-1, 3)
    jump, keeps, elsewhere = jumps.T
    possible = (jump >= JUMP) & ~(keeps > OF_JUMP * jump) & ~(keeps > OF_OTHERS * elsewhere)  # nan: no edit keeps it
    traits, jumps = [trait for trait, fine in zip(probes.traits, possible) if fine], jumps[possible]
    if not traits:
        return [], explained
    connected = np.flatnonzero(probes.sample.table["connected"].to_numpy())
    rows = torch.from_numpy(np.random.default_rng(0).permutation(connected)[:SAMPLE])
    some = torch.cat([torch.arange(n), n + rows, torch.arange(n + count, len(points))])
    origin = probes.origin[some]
    known = torch.cat([probes.reference, reference(probes.planted)])[some]
    bound = np.where(np.isnan(jumps[:, 1]), NO_EDITS, 1.0)
    while len(found) < LIMIT:
        holds = torch.stack([trait.holds for trait in traits]) & left
        within = contraction(points[some], origin, holds[:, some]).clip(0) / responses.mean_loss
        with np.errstate(divide="ignore", invalid="ignore"):  # graphs that the reference does not separate
            ratio = within * mean_loss(probes.reference[:n]) / contraction(known, origin, holds[:, some])
        fine = (within < WITHIN * bound) & (ratio < OF_USUAL * bound)
        if not fine.any():
            break
        seed = holds[int(np.where(fine, holds.sum(1).numpy(), 0).argmax())]
        near = 2 - 2 * points @ normalize(points[seed & left].mean(0), dim=0) < NEAR * responses.mean_loss
        both = (holds[:, some] & near[some]).sum(1).double()
        f1 = (2 * both / (holds[:, some].sum(1) + near[some].sum()).clamp_min(1)).numpy().round(2)
        best = int(np.where(fine, f1, 0).argmax())
        found.append(_finding(responses, traits[best], holds[best] & near, float(within[best]), jumps[best]))
        explained |= (near[:n][probes.sample.edits.row] & near[n : n + count]).numpy()
        left &= ~(holds[best] | near)
    return found, explained


def _finding(responses: Responses, trait: Trait, members: Tensor, within: float, jumps: np.ndarray) -> Finding:
    probes, typical = responses.probes, responses.typical
    n = len(probes.graphs)
    graphs, (jump, keeps, _) = probes.with_planted[members], jumps
    figures = {"within": within * responses.mean_loss, "mean_loss": responses.mean_loss, "graphs": len(graphs)}
    figures |= {"jump": jump * typical, "typical": typical}
    kept = "" if np.isnan(keeps) else describe("kept", cost=keeps * typical)
    words = {"origins": len(probes.origin[members].unique()), "times": jump, "kept": kept}
    chosen = (trait.holds[:n][probes.sample.edits.row] != trait.holds[n : n + len(probes.edit_row)]).numpy()
    chosen &= probes.single & (responses.cost > JUMP * typical)
    evidence = responses.examples(chosen) if chosen.any() else graphs
    return make_finding(FindingKind.ATTRACTOR, figures, 1 - within, trait.phrase, evidence=evidence, **words)


def _jump(responses: Responses, holds: np.ndarray) -> tuple[float, float, float]:
    """Costs in typical edits: that add or remove a trait, that keep it, of graphs without it; nan for too few."""
    probes, cost = responses.probes, responses.cost / responses.typical
    n, count = len(probes.graphs), len(probes.edit_row)
    before, after = holds[probes.edit_row], holds[n : n + count]
    kinds = [some & probes.single for some in (before != after, before & after, ~before & ~after)]
    jump, keeps, elsewhere = (float(np.median(cost[k])) if k.sum() >= MIN_EDITS else np.nan for k in kinds)
    planted = holds[n + count :] & ~holds[probes.planted_row]
    if np.isnan(jump) and planted.sum() >= MIN_ORIGINS:
        loss = paired_distance(responses.planted[planted], responses.own[probes.planted_row[planted]])
        jump = float(loss.median()) / 2 / responses.typical  # planting takes about two edits
    return jump, keeps, elsewhere


def contraction(points: Tensor, origin: Tensor, holds: Tensor) -> np.ndarray:
    """(traits,) mean loss between two graphs with a trait and different origins; nan for too few origins."""
    found = np.full(len(holds), np.nan)
    for t, some in enumerate(holds):
        rows = some.nonzero()[:, 0]
        _, which, count = origin[rows].unique(return_inverse=True, return_counts=True)
        if len(count) < MIN_ORIGINS:
            continue
        sums = points.new_zeros(len(count), points.shape[1]).index_add_(0, which, points[rows])
        cosine = (sums.sum(0).square().sum() - sums.square().sum()) / (len(rows) ** 2 - count.square().sum())
        found[t] = 2 - 2 * float(cosine)
    return found
