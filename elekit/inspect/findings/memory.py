"""Does the loss treat the graphs it was trained on otherwise than others?"""

from dataclasses import dataclass

import numpy as np
import torch

from elekit.edits import SINGLE
from elekit.graph import Graph
from elekit.inspect.findings.answers import Answers
from elekit.inspect.findings.basis import reference
from elekit.inspect.findings.finding import Finding, figure, percent
from elekit.inspect.prices import EditSample, apart, sample_edits
from elekit.loss import Psi, points_of

MOST, EDITS = 150, 8  # held-out graphs, and edits of each
FEWEST = 10  # edits of a kind, to be compared
APART = 2.0  # times dearer or cheaper, times further or nearer; clean losses on random splits 0.93 to 1.05
COMPARISONS = {
    "price": "a single edit of a held-out graph costs {} times what the same kind of edit costs at a training graph",
    "far": "two held-out graphs lie {} times as far apart as two training graphs",
}
SAME, TOGETHER = 1e-4, 0.2  # of a typical edit: at one place; share of graphs that lie there with others
BESIDE = 0.9  # loss of two edits of one graph to each other, by their price; clean 1.78 to 1.90, free directions 2


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


def memorised(psi: Psi, answers: Answers, held_out: HeldOut | None) -> list[Finding]:
    """Training graphs against held-out ones, and against their own surroundings."""
    beside, compared = _beside(answers), _compared(psi, answers, held_out) if held_out is not None else {}
    numbers = {"beside": beside, **compared}
    says = []
    for name, words in COMPARISONS.items():
        ratio = compared.get(name, 1.0)
        if not 1 / APART <= ratio <= APART:
            says.append(words.format(figure(ratio)))
    if says:
        text = (
            f"The loss memorises the training graphs: {' and '.join(says)}. Of a loss that has learned what graphs are "
            "like, training graphs and others cost the same."
        )
        return [Finding("memorises", text, figure=numbers, strength=_strength(compared))]
    if beside >= BESIDE:
        return _snapped(answers)
    text = (
        f"The loss memorises the given graphs: any edit takes one of them {figure(answers.scale)} away, but two different "
        f"edits of the same graph lie only {figure(beside)} times as far from each other as from it (1.8 in losses that "
        "do not memorise). The given graphs, which it was trained on, stand apart from everything next to them."
    )
    return [Finding("memorises", text, figure=numbers, strength=1 - beside / 2)]


def _strength(compared: dict) -> float:
    return float(max(1 - np.exp(-abs(np.log(max(compared[name], 1e-6)))) for name in ("price", "far")))


def _beside(answers: Answers) -> float:
    """Median loss between two edits of one graph, by their mean price; of single edits to graphs that are not given.

    Two edits of different places of a graph move its point in different directions, so they lie twice as far from
    each other as from the graph; edits of a graph that stands on its own lie together, away from it.
    """
    table, row = answers.table, answers.basis.sample.edits.row.numpy()
    rows = np.flatnonzero(~answers.basis.known & answers.single & (table["price"].to_numpy() > 0.05 * answers.scale))
    rows = np.random.default_rng(0).permutation(rows)
    rows = rows[np.argsort(row[rows], kind="stable")]
    same = row[rows][:-1] == row[rows][1:]
    one, other = rows[:-1][same], rows[1:][same]
    if len(one) < FEWEST:
        return 2.0
    price = table["price"].to_numpy()
    return float(
        np.median(2 * apart(answers.results[one], answers.results[other]).numpy() / (price[one] + price[other]))
    )


def _compared(psi: Psi, answers: Answers, held_out: HeldOut) -> dict:
    """How many times dearer edits of held-out graphs are (by kind), and how many times further these lie apart.

    The second is divided by what the reference says of the same graphs, which may be of another size or make.
    """
    own = points_of(psi, held_out.graphs)
    if not torch.isfinite(own).all():
        return {}
    table = held_out.sample.table.assign(price=held_out.sample.prices(psi, own).numpy())
    ours, theirs = (
        t.groupby("kind")["price"].agg(["median", "size"]) for t in (answers.table[answers.single], table)
    )
    kinds = ours.index[ours["size"] >= FEWEST].intersection(theirs.index[theirs["size"] >= FEWEST])
    small = 1e-3 * answers.scale
    ratio = (theirs.loc[kinds, "median"] + small) / (ours.loc[kinds, "median"] + small)
    usual = _far(reference(held_out.graphs)) / max(_far(answers.basis.reference[: len(answers.own)]), 1e-9)
    return {
        "price": float(np.exp(np.median(np.log(ratio)))) if len(kinds) else 1.0,
        "far": _far(own) / max(answers.far, 1e-9) / max(usual, 1e-9),
        "kinds": len(kinds),
        "held_out": len(own),
    }


def _far(points: torch.Tensor) -> float:
    """Mean loss between two of the points."""
    n, total = len(points), points.double().sum(0)
    return float(2 - 2 * (total @ total - n) / max(1, n * (n - 1)))


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
        f"The loss memorises the given graphs: {percent(float(together))} of {len(rows)} graphs share their place with others, "
        f"but hardly ever are two of the given graphs at one place ({observed} times, where {figure(float(expected))} were "
        "to be expected). Every graph lies exactly on one of the given graphs, which it was trained on."
    )
    numbers = {"together": float(together), "observed": int(observed), "expected": float(expected)}
    return [Finding("memorises", says, figure=numbers, strength=float(together))]
