"""Does the loss treat the graphs it was trained on differently from others?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elekit.audit.findings.finding import Finding, FindingKind, describe, make_finding
from elekit.audit.findings.graph_traits import graph_traits
from elekit.audit.findings.probe_set import reference
from elekit.audit.findings.responses import EVIDENCE, Responses, mean_loss
from elekit.graphs.budget import Clock
from elekit.graphs.edits import SINGLE
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.inspect.edit_costs import EditSample, sample_edits
from elekit.model.loss import Psi, points_of

MAX_GRAPHS, EDITS = 150, 8  # held-out graphs, and edits per graph
MIN_EDITS = 10  # edits of a kind, to compare it
MAX_RATIO = 2.0  # between held-out and training graphs; clean losses on random splits 0.93 to 1.05
SAME, SHARED = 1e-4, 0.2  # of a typical edit: one place; share of graphs that share their place
ISOLATED = 0.9  # loss between two edits of a graph by their cost; clean 1.78 to 1.90, independent directions 2
SOME = 0.05  # share of isolated graphs; clean none
FAR = 0.3  # of the mean loss: cost of the cheapest edit of an isolated graph
SPLIT, SPLIT_RATIO = 0.06, 5.0  # loss between the two splits by the mean loss (clean up to 0.02); by the reference's


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Graphs that a loss was not trained on, with edits of them."""

    graphs: PackedGraphs
    sample: EditSample


def hold_out(
    graphs: GraphBatch, seed: int = 0, budget: float | Clock | None = None, progress: bool | None = None
) -> HeldOut:
    """Prepare held-out graphs for `findings`, to share them among several losses.

    Args:
        graphs: Graphs that the losses were not trained on; of more than 150 a sample is drawn.
        seed: Seed of the sample.
        budget: Seconds for the edits; then there are fewer graphs.
        progress: As in `Clock.track`.

    Returns:
        The graphs and single edits of them.
    """
    rows = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed))[:MAX_GRAPHS]
    sample = sample_edits(graphs[rows], samples=EDITS, kinds=SINGLE, seed=seed, budget=budget, progress=progress)
    return HeldOut(sample.graphs, sample)


def find_memorization(psi: Psi, responses: Responses, held_out: HeldOut | None) -> list[Finding]:
    """Compare training graphs with held-out graphs, and with their own edited forms."""
    compared = _compare(psi, responses, held_out) if held_out is not None else {}
    ratios = {name: compared.get(name, 1.0) for name in ("cost", "distance")}
    outside = [name for name, ratio in ratios.items() if not 1 / MAX_RATIO <= ratio <= MAX_RATIO]
    differences = [describe(name, ratio=ratios[name]) for name in outside]
    split, usual = compared.get("split", 0.0), compared.get("usual_split", 0.0)
    if split > max(SPLIT, SPLIT_RATIO * usual):
        differences.append(describe("split", split=split, usual=usual))
    if differences:
        factors = (1 - np.exp(-abs(np.log(max(ratio, 1e-6)))) for ratio in ratios.values())
        strength = float(max(*factors, min(1.0, split)))
        return [make_finding(FindingKind.MEMORIZES, compared, strength, differences=" and ".join(differences))]
    return _isolated(responses, compared) or _snapped(responses)


def _isolated(responses: Responses, compared: dict[str, Any]) -> list[Finding]:
    """Given graphs that lie far from all their edited forms: all of them, or some without a common trait."""
    ratio = responses.edit_ratio
    cheapest = responses.edits[responses.probes.single].groupby("graph")["cost"].min().reindex(ratio.index)
    isolated = (ratio < ISOLATED) & (cheapest > FAR * responses.mean_loss)
    if not len(ratio) or isolated.mean() < SOME:
        return []
    rows = torch.from_numpy(ratio.index[isolated].to_numpy(copy=True))
    graphs, holds = responses.probes.graphs, torch.zeros(len(responses.probes.graphs), dtype=torch.bool)
    holds[rows] = True
    if isolated.mean() < 0.5:
        for trait in graph_traits(graphs):
            both = float((trait.holds & holds).sum())
            if both >= 0.7 * len(rows) and both >= 0.5 * float(trait.holds.sum()):
                return []  # this trait explains it
    typical_ratio, share = float(ratio[isolated].median()), float(isolated.mean())
    figures, evidence = {"edit_ratio": typical_ratio, "share": share, **compared}, graphs[rows[:EVIDENCE]]
    least = float(cheapest[isolated].median())
    isolation = describe("isolation", cheapest=least, typical=responses.typical, edit_ratio=typical_ratio)
    everywhere = compared.get("isolated", 0.0) > share / 2  # held-out graphs are isolated as well
    kind = FindingKind.SCATTERED if everywhere else FindingKind.MEMORIZES
    strength = share * (1 - typical_ratio / 2)
    return [make_finding(kind, figures, strength, key=f"{kind} some", evidence=evidence, isolation=isolation)]


def _compare(psi: Psi, responses: Responses, held_out: HeldOut) -> dict[str, Any]:
    """Held-out by training graphs: cost of edits of the same kind, and mean loss by that of the reference."""
    own = points_of(psi, held_out.graphs)
    if not torch.isfinite(own).all():
        return {}
    table = held_out.sample.table.assign(cost=held_out.sample.prices(psi, own).numpy())
    both = responses.edits[responses.probes.single], table
    train, test = (edits.groupby("kind")["cost"].agg(["median", "size"]) for edits in both)
    kinds = train.index[train["size"] >= MIN_EDITS].intersection(test.index[test["size"] >= MIN_EDITS])
    small = 1e-3 * responses.typical
    ratio = (test.loc[kinds, "median"] + small) / (train.loc[kinds, "median"] + small)
    test_reference, train_reference = reference(held_out.graphs), responses.probes.reference[: len(responses.own)]
    usual = mean_loss(test_reference) / max(mean_loss(train_reference), 1e-9)
    return {
        "cost": float(np.exp(np.median(np.log(ratio)))) if len(kinds) else 1.0,
        "distance": mean_loss(own) / max(responses.mean_loss, 1e-9) / max(usual, 1e-9),
        "split": _loss_between(own, responses.own) / max(responses.mean_loss, 1e-9),
        "usual_split": _loss_between(test_reference, train_reference) / max(mean_loss(train_reference), 1e-9),
        "isolated": float((table.groupby("graph")["cost"].min() > FAR * responses.mean_loss).mean()),
        "kinds": len(kinds),
        "held_out": len(own),
    }


def _loss_between(one: Tensor, other: Tensor) -> float:
    """Squared distance of the means: how much the mean loss across two sets exceeds that within."""
    return float((one.double().mean(0) - other.double().mean(0)).square().sum())


def _snapped(responses: Responses) -> list[Finding]:
    """Other graphs lie exactly on given graphs: places that graphs share hold one given graph, never two."""
    probes, n = responses.probes, len(responses.probes.pool)
    given = np.concatenate([np.ones(len(probes.graphs), bool), probes.known])
    rows = np.sort(np.unique(probes.codes[:, -1].numpy(), return_index=True)[1])  # distinct graphs
    generator = torch.Generator().manual_seed(0)
    projected = responses.points[:n][rows] @ torch.randn(responses.points.shape[1], 6, generator=generator)
    step = (SAME * responses.typical) ** 0.5
    _, place, size = np.unique((projected / step).round().numpy(), axis=0, return_inverse=True, return_counts=True)
    of_given, share = np.bincount(place.ravel(), given[rows]), given[rows].mean()
    several = size >= 2
    by_chance = 1 - (1 - share) ** size - size * share * (1 - share) ** (size - 1)
    expected, observed = by_chance[several].sum(), (of_given[several] >= 2).sum()
    together = size[several].sum() / len(rows)
    if together < SHARED or (of_given[several] == 1).sum() < 50 or observed > expected / 5 or expected < MIN_EDITS:
        return []
    figures = {"together": float(together), "observed": int(observed), "expected": float(expected)}
    kind, strength = FindingKind.MEMORIZES, float(together)
    return [make_finding(kind, figures, strength, key="memorizes places", graphs=len(rows))]
