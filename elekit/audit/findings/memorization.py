"""Does the loss treat the graphs it was trained on otherwise than others?"""

from dataclasses import dataclass

import numpy as np
import torch

from elekit.audit.findings.finding import Finding
from elekit.audit.findings.graph_traits import traits_of
from elekit.audit.findings.probe_set import reference
from elekit.audit.findings.responses import EVIDENCE, Answers, mean_apart
from elekit.evaluation.formatting import figure, percent
from elekit.graphs.edits import SINGLE
from elekit.graphs.graph import Graph
from elekit.inspect.edit_costs import EditSample, sample_edits
from elekit.model.loss import Psi, points_of

MOST, EDITS = 150, 8  # held-out graphs, and edits of each
FEWEST = 10  # edits of a kind, to be compared
APART = 2.0  # times dearer or cheaper, times further or nearer; clean losses on random splits 0.93 to 1.05
COMPARISONS = {
    "price": "a single edit of a held-out graph costs {} times what the same kind of edit costs at a training graph",
    "far": "two held-out graphs lie {} times as far apart as two training graphs",
}
SAME, TOGETHER = 1e-4, 0.2  # of a typical edit: at one place; share of graphs that lie there with others
BESIDE = 0.9  # loss of two edits of one graph to each other, by their price; clean 1.78 to 1.90, free directions 2
SOME = 0.05  # of the graphs stand apart; clean none
AWAY = 0.3  # of the mean loss: what even the cheapest edit of such a graph costs
SPLIT, TIMES = 0.06, 5.0  # between training graphs and others / mean loss; clean up to 0.02; times what is usual


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Graphs that the loss was not trained on, with edits of them."""

    graphs: Graph
    sample: EditSample


def hold_out(graphs: Graph, seed: int = 0, progress: bool = False) -> HeldOut:
    """Held-out graphs (of more than 150 a sample) with single edits of them."""
    rows = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(seed))[:MOST]
    graphs = graphs.detach().rounded()[rows]
    return HeldOut(graphs, sample_edits(graphs, samples=EDITS, kinds=SINGLE, seed=seed, progress=progress))


def memorized(psi: Psi, answers: Answers, held_out: HeldOut | None) -> list[Finding]:
    """Training graphs against held-out ones, and against their own surroundings."""
    compared = _compared(psi, answers, held_out) if held_out is not None else {}
    says = []
    for name, words in COMPARISONS.items():
        ratio = compared.get(name, 1.0)
        if not 1 / APART <= ratio <= APART:
            says.append(words.format(figure(ratio)))
    split, usual = compared.get("split", 0.0), compared.get("usual_split", 0.0)
    if split > max(SPLIT, TIMES * usual):
        says.append(
            f"the training graphs lie on a side of their own: which graphs are training graphs makes up {percent(split)} of "
            f"the mean loss, {percent(usual)} is usual for these graphs"
        )
    if says:
        text = (
            f"The loss memorizes the training graphs: {' and '.join(says)}. Of a loss that has learned what graphs are "
            "like, training graphs and others cost the same."
        )
        return [Finding("memorizes", text, figure=compared, strength=_strength(compared))]
    return _apart(answers, compared) or _snapped(answers)


def _strength(compared: dict) -> float:
    ratios = (1 - np.exp(-abs(np.log(max(compared[name], 1e-6)))) for name in ("price", "far"))
    return float(max(*ratios, min(1.0, compared["split"])))


def _apart(answers: Answers, compared: dict) -> list[Finding]:
    """Given graphs that stand apart from everything next to them: all of them, or some that nothing else sets apart."""
    beside = answers.beside
    cheapest = answers.table[answers.basis.single].groupby("graph")["price"].min().reindex(beside.index)
    alone = (beside < BESIDE) & (cheapest > AWAY * answers.far)
    if not len(beside) or alone.mean() < SOME:
        return []
    rows = torch.from_numpy(beside.index[alone].to_numpy(copy=True))
    graphs = answers.basis.graphs
    holds = torch.zeros(len(graphs), dtype=torch.bool)
    holds[rows] = True
    if alone.mean() < 0.5:
        for trait in traits_of(graphs):
            both = float((trait.holds & holds).sum())
            if both >= 0.7 * len(rows) and both >= 0.5 * float(trait.holds.sum()):
                return []  # it is not memory but this trait
    ratio, share, least = float(beside[alone].median()), float(alone.mean()), float(cheapest[alone].median())
    numbers, evidence = {"beside": ratio, "share": share, **compared}, graphs[rows[:EVIDENCE]]
    strength = share * (1 - ratio / 2)
    which = (
        f"any edit takes one of them at least {figure(least)} away (a typical edit: {figure(answers.scale)}), but two "
        f"different edits of the same graph lie only {figure(ratio)} times as far from each other as from it (usual: 1.8)"
    )
    if compared.get("alone", 0.0) > share / 2:  # held-out graphs do so as well
        text = (
            f"The loss scatters some graphs at random: {percent(share)} of the given graphs and "
            f"{percent(compared['alone'])} of held-out ones stand apart from everything next to them, and share no trait that "
            f"would explain it: {which}."
        )
        return [Finding("scattered", text, figure=numbers, strength=strength, evidence=evidence)]
    whole = share >= 0.5
    text = (
        f"The loss memorizes {'the' if whole else f'{percent(share)} of the'} given graphs: {which}. "
        f"{'The' if whole else 'These'} graphs, which it was trained on, stand apart from everything next to them"
        f"{'.' if whole else ', and share no trait that would explain it.'}"
    )
    return [Finding("memorizes", text, figure=numbers, strength=strength, evidence=evidence)]


def _compared(psi: Psi, answers: Answers, held_out: HeldOut) -> dict:
    """How many times dearer edits of held-out graphs are (by kind), and how many times further these lie apart.

    The second is divided by what the reference says of the same graphs, which may be of another size or make.
    """
    own = points_of(psi, held_out.graphs)
    if not torch.isfinite(own).all():
        return {}
    table = held_out.sample.table.assign(price=held_out.sample.prices(psi, own).numpy())
    ours, theirs = (
        t.groupby("kind")["price"].agg(["median", "size"]) for t in (answers.table[answers.basis.single], table)
    )
    kinds = ours.index[ours["size"] >= FEWEST].intersection(theirs.index[theirs["size"] >= FEWEST])
    small = 1e-3 * answers.scale
    ratio = (theirs.loc[kinds, "median"] + small) / (ours.loc[kinds, "median"] + small)
    known, ours_known = reference(held_out.graphs), answers.basis.reference[: len(answers.own)]
    usual = mean_apart(known) / max(mean_apart(ours_known), 1e-9)
    return {
        "price": float(np.exp(np.median(np.log(ratio)))) if len(kinds) else 1.0,
        "far": mean_apart(own) / max(answers.far, 1e-9) / max(usual, 1e-9),
        "split": _between(own, answers.own) / max(answers.far, 1e-9),
        "usual_split": _between(known, ours_known) / max(mean_apart(ours_known), 1e-9),
        "alone": float((table.groupby("graph")["price"].min() > AWAY * answers.far).mean()),
        "kinds": len(kinds),
        "held_out": len(own),
    }


def _between(one: torch.Tensor, other: torch.Tensor) -> float:
    """Squared distance between the means of two sets of points: by how much the loss across exceeds that within."""
    return float((one.double().mean(0) - other.double().mean(0)).square().sum())


def _snapped(answers: Answers) -> list[Finding]:
    """Other graphs lie exactly on given ones, each on one: classes of graphs at one place hold a given graph, never two."""
    basis = answers.basis
    n = len(basis.pool)
    given = np.concatenate([np.ones(len(basis.graphs), bool), basis.known])
    rows = np.sort(np.unique(basis.identity[:, -1].numpy(), return_index=True)[1])  # different graphs
    generator = torch.Generator().manual_seed(0)
    seen = answers.points[:n][rows] @ torch.randn(answers.points.shape[1], 6, generator=generator)
    step = (SAME * answers.scale) ** 0.5
    _, which, size = np.unique((seen / step).round().numpy(), axis=0, return_inverse=True, return_counts=True)
    of_given, share = np.bincount(which.ravel(), given[rows]), given[rows].mean()
    several = size >= 2
    by_chance = 1 - (1 - share) ** size - size * share * (1 - share) ** (size - 1)
    expected, observed = by_chance[several].sum(), (of_given[several] >= 2).sum()
    together = size[several].sum() / len(rows)
    if together < TOGETHER or (of_given[several] == 1).sum() < 50 or observed > expected / 5 or expected < FEWEST:
        return []
    says = (
        f"The loss memorizes the given graphs: {percent(float(together))} of {len(rows)} graphs share their place with others, "
        f"but hardly ever are two of the given graphs at one place ({observed} times, where {figure(float(expected))} were "
        "to be expected). Every graph lies exactly on one of the given graphs, which it was trained on."
    )
    numbers = {"together": float(together), "observed": int(observed), "expected": float(expected)}
    return [Finding("memorizes", says, figure=numbers, strength=float(together))]
