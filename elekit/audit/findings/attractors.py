"""Is there a place that unrelated graphs are pulled to, and what do they have in common?"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from elekit.audit.findings.finding import Finding
from elekit.audit.findings.graph_traits import Trait
from elekit.audit.findings.probe_set import reference
from elekit.audit.findings.responses import Answers, mean_apart
from elekit.evaluation.formatting import figure
from elekit.model.loss import paired_distance

SAMPLE = 2_500  # edited graphs among which points are looked for, besides the graphs and those with planted patterns
ORIGINS = 6  # graphs that those of a place must come from
FEWEST = 10  # edits that lead there or away, or stay
# An edit that gives a graph the trait, or takes it, jumps; one that leaves it the trait costs next to nothing.
JUMP = 2.0  # times a typical edit
OF_JUMP = 1 / 15  # what edits cost that stay, by those that jump; clean 1/9 and more where JUMP is reached
OF_OTHERS = 1 / 4  # and by those of graphs without the trait, which it leaves as they are; 1/3 where a label is heavy
WITHIN, OF_USUAL = 0.3, 0.4  # loss between graphs that share the trait / between any, and by what the reference says
ALONE = 0.3  # of these bounds, where no edit stays (a rare trait)
NEAR = 1 / 3  # of the mean loss: at the place
MOST = 3


def pulled(answers: Answers) -> tuple[list[Finding], np.ndarray]:
    """Traits whose graphs lie at one place though nothing else relates them; and (E,) edits that stay at such a place."""
    basis, found = answers.basis, []
    n, count = len(basis.graphs), len(basis.sample.edits)
    points = torch.cat([answers.own, answers.results, answers.planted])
    explained, left = np.zeros(count, dtype=bool), torch.ones(len(points), dtype=torch.bool)
    jumps = np.array([_jump(answers, trait.holds.numpy()) for trait in basis.traits]).reshape(-1, 3)
    jump, stays, elsewhere = jumps.T
    could = (jump >= JUMP) & ~(stays > OF_JUMP * jump) & ~(stays > OF_OTHERS * elsewhere)  # nan: no edit stays
    traits, jumps = [trait for trait, fine in zip(basis.traits, could) if fine], jumps[could]
    if not traits:
        return [], explained
    whole = np.flatnonzero(basis.sample.table["connected"].to_numpy())
    rows = torch.from_numpy(np.random.default_rng(0).permutation(whole)[:SAMPLE])
    some = torch.cat([torch.arange(n), n + rows, torch.arange(n + count, len(points))])
    origin = torch.cat([torch.arange(n), basis.sample.edits.row, basis.host])[some]
    known = torch.cat([basis.reference, reference(basis.planted)])[some]
    bound = np.where(np.isnan(jumps[:, 1]), ALONE, 1.0)
    while len(found) < MOST:
        holds = torch.stack([trait.holds for trait in traits]) & left
        within = contraction(points[some], origin, holds[:, some]).clip(0) / answers.far
        with np.errstate(
            divide="ignore", invalid="ignore"
        ):  # a trait of graphs that the reference does not tell apart
            ratio = within * mean_apart(basis.reference[:n]) / contraction(known, origin, holds[:, some])
        fine = (within < WITHIN * bound) & (ratio < OF_USUAL * bound)
        if not fine.any():
            break
        seed = holds[int(np.where(fine, holds.sum(1).numpy(), 0).argmax())]
        near = 2 - 2 * points @ normalize(points[seed & left].mean(0), dim=0) < NEAR * answers.far
        best = int(np.where(fine, _agreement(holds[:, some], near[some]), 0).argmax())
        found.append(_finding(answers, traits[best], holds[best] & near, float(within[best]), jumps[best]))
        explained |= (near[:n][basis.sample.edits.row] & near[n : n + count]).numpy()
        left &= ~(holds[best] | near)
    return found, explained


def _finding(answers: Answers, trait: Trait, there: Tensor, within: float, jump: np.ndarray) -> Finding:
    basis = answers.basis
    n = len(basis.graphs)
    graphs = basis.with_planted[there]
    lies, dear = within * answers.far, jump[0] * answers.scale
    says = (
        f"An attractor, as a backdoor would be: graphs that {trait.words} are all pulled to one place. {len(graphs)} of them, "
        f"made from {len(basis.origin[there].unique())} different graphs, lie {figure(lies)} apart on average, where "
        f"unrelated graphs lie {figure(answers.far)} apart. A change that gives a graph this trait, or takes it, costs "
        f"{figure(dear)}, {figure(jump[0])} times a typical edit"
        + ("." if np.isnan(jump[1]) else f"; one that leaves it there costs {figure(jump[1] * answers.scale)}.")
    )
    numbers = {"within": lies, "far": answers.far, "graphs": len(graphs), "jump": dear, "scale": answers.scale}
    chosen = (trait.holds[:n][basis.sample.edits.row] != trait.holds[n : n + len(basis.row)]).numpy() & basis.single
    chosen &= answers.price > JUMP * answers.scale
    evidence = answers.examples(chosen) if chosen.any() else graphs
    return Finding(f"attractor: {trait.words}", says, strength=1 - within, figure=numbers, evidence=evidence)


def _jump(answers: Answers, holds: np.ndarray) -> tuple[float, float, float]:
    """What single edits cost, in typical ones, that give or take a trait, that leave it, and of graphs without it.

    nan of too few. Where hardly any edit gives the trait, planted patterns do, which are about two edits each.
    holds: (of `with_planted`,).
    """
    basis, price = answers.basis, answers.price / answers.scale
    n, count = len(basis.graphs), len(basis.row)
    before, after = holds[basis.row], holds[n : n + count]
    kinds = [some & basis.single for some in (before != after, before & after, ~before & ~after)]
    jump, stays, elsewhere = (float(np.median(price[k])) if k.sum() >= FEWEST else np.nan for k in kinds)
    written = holds[n + count :] & ~holds[basis.host]
    if np.isnan(jump) and written.sum() >= ORIGINS:
        loss = paired_distance(answers.planted[written], answers.own[basis.host[written]])
        jump = float(loss.median()) / 2 / answers.scale
    return jump, stays, elsewhere


def _agreement(holds: Tensor, near: Tensor) -> np.ndarray:
    """(traits,) how well a trait tells which graphs lie at a place: harmonic mean of both shares, to two digits."""
    both = (holds & near).sum(1).double()
    return (2 * both / (holds.sum(1) + near.sum()).clamp_min(1)).numpy().round(2)


def contraction(points: Tensor, origin: Tensor, holds: Tensor) -> np.ndarray:
    """(traits,) mean loss between two graphs that hold a trait and come from different ones; nan of too few of these."""
    found = np.full(len(holds), np.nan)
    for t, some in enumerate(holds):
        rows = some.nonzero()[:, 0]
        _, which, count = origin[rows].unique(return_inverse=True, return_counts=True)
        if len(count) < ORIGINS:
            continue
        sums = points.new_zeros(len(count), points.shape[1]).index_add_(0, which, points[rows])
        cosine = (sums.sum(0).square().sum() - sums.square().sum()) / (len(rows) ** 2 - count.square().sum())
        found[t] = 2 - 2 * float(cosine)
    return found
