"""Does one trait of graphs drown the others, or one kind of edit cost out of all proportion?"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from elekit.audit.findings.conditions import FAMILIES
from elekit.audit.findings.finding import Finding
from elekit.audit.findings.responses import Answers
from elekit.audit.findings.subgroups import slices_of
from elekit.evaluation.formatting import figure, percent

if TYPE_CHECKING:
    import pandas as pd

# Bounds lie outside what was measured of ten clean losses (see `spreading`).
EXPLAINED = 0.75  # share of the loss between graphs that one count explains,
MORE = 0.68  # and above what it explains of the reference; clean up to 0.65, of trees and unlabeled graphs
TIMES = 2.5  # what edits that touch a label cost by what others do; clean up to 7.8 after 120 steps,
AT_LEAST = 2.2  # and by a typical edit; clean up to 1.95
ABOVE = 0.1  # what its count explains above the reference, besides; clean 0.05 where AT_LEAST is nearly reached
WITH_SHARE = 0.5, 2.0  # share of the loss that the label's count explains, and how many times dearer it is then
DEAR = 6.0  # times a typical edit; clean 0.1 % of edits that take no inner node out, of cycles and stars 1 %
FAMILY = 5.0  # times the other families of edits; clean up to 3.4 (opening a ring)
FEWEST = 10  # edits
SPARED = ("remove node",)  # takes several edges with it


def dominated(answers: Answers, by_share: bool = True) -> list[Finding]:
    """One count explains nearly all of the loss between graphs, or one label's edits cost many times the others'.

    by_share: False where something else is known to make two heaps of the graphs, which a count may happen to tell.
    """
    import pandas as pd

    basis, found, drowning = answers.basis, [], []
    own = basis.reference[: len(basis.graphs)].double()
    usual = (2 - 2 * own @ own.T).numpy()
    counts = {count.name: count.values for count in basis.counts}
    share = {name: explained_by(answers.matrix, count) for name, count in counts.items()}
    above = {name: share[name] - explained_by(usual, count) for name, count in counts.items()}
    for count, (label, touching, others, times) in label_effects(answers).items():
        if count not in share:  # the only label there is
            continue
        heavy = times >= TIMES and touching >= AT_LEAST * answers.scale and above[count] >= ABOVE
        drowns = by_share and share[count] >= EXPLAINED and above[count] >= MORE
        if heavy or drowns or (by_share and share[count] >= WITH_SHARE[0] and times >= WITH_SHARE[1]):
            weight = f", so {label} is weighted {figure(times)} times as much" if times >= WITH_SHARE[1] else ""
            says = (
                f"One label outweighs the others, {label}: edits that touch it cost {figure(touching)}, those that do not "
                f"{figure(others)}{weight} (usual: about as much). {count[0].upper()}{count[1:]} explains "
                f"{percent(share[count])} of the loss between two graphs, {percent(max(0.0, share[count] - above[count]))} is usual."
            )
            numbers = {"touching": touching, "others": others, "times": times, "share": share[count]}
            finding = Finding(f"label weight of {label}", says, strength=1 - 1 / max(times, 1.0), figure=numbers)
            (drowning if drowns else found).append(finding)
            share.pop(count)
    found = drowning or found  # beside a label that drowns the rest, what the rest weigh means little
    best = max(share, key=lambda name: above[name])
    if by_share and share[best] >= EXPLAINED and above[best] >= MORE:
        table = pd.DataFrame({"trait": list(share), "explained": list(share.values())})
        size = best == "the number of nodes"
        says = (
            f"{'Size dominates' if size else 'One count dominates'}: {best} alone explains {percent(share[best])} of the "
            f"learned loss between two graphs, where {percent(max(0.0, share[best] - above[best]))} is usual for these "
            "graphs. Everything else about a graph hardly counts."
        )
        numbers = {"share": share[best], "usual": share[best] - above[best]}
        table = table.sort_values("explained", ascending=False, ignore_index=True)
        what = "size dominates" if size else f"{best.removeprefix('the ')} dominates"
        found.append(Finding(what, says, strength=share[best], figure=numbers, evidence=table))
    return found


def explained_by(matrix: np.ndarray, count: np.ndarray) -> float:
    """Share of the variance of the loss between graphs that the counts of both explain, whatever the dependence.

    R^2 of the means over each unordered pair of values, adjusted for their number; 0 where the count does not vary.
    """
    i, j = np.triu_indices(len(matrix), 1)
    loss, low, high = matrix[i, j], np.minimum(count[i], count[j]), np.maximum(count[i], count[j])
    _, which, size = np.unique(low * 10_000 + high, return_inverse=True, return_counts=True)
    total, spare = np.square(loss - loss.mean()).sum(), len(loss) - len(size)
    if len(size) < 2 or spare < 1 or total < 1e-12:
        return 0.0
    means = np.bincount(which, loss) / size
    return float(max(0.0, 1 - np.square(loss - means[which]).sum() / spare * (len(loss) - 1) / total))


def label_effects(answers: Answers) -> dict[str, tuple[str, float, float, float]]:
    """For the count of each node and edge label: the label, price of edits that touch it, of others alike, the ratio.

    Relabeling, where there are at least three labels, otherwise adding leaves; the median over kinds of medians.
    """
    basis, table = answers.basis, answers.table
    edits, (nodes, edges) = basis.sample.edits, (x.long() for x in basis.graphs.labels())
    row, names, found = edits.row, basis.graphs.vocabulary, {}
    i, j = edits.pair[:, 0].clamp_min(0).T
    old = {"relabel": nodes[row, edits.node[:, 0].clamp_min(0)], "edge": edges[row, i, j]}
    new = {"relabel": edits.label[:, 0], "edge": edits.edge[:, 0]}
    is_edit = {
        kind: torch.from_numpy((table["edit"] == kind).to_numpy(copy=True))
        for kind in ("relabel", "add node", "change edge")
    }
    both = is_edit["change edge"] & (old["edge"] > 0) & (new["edge"] > 0)
    for k, label in enumerate(names.node_labels, start=1):
        some = is_edit["relabel"] if names.K > 3 else is_edit["add node"]
        touching = (new["relabel"] == k) | (is_edit["relabel"] & (old["relabel"] == k))
        found |= _effect(f"the number of nodes {label}", label, table, some & touching, some & ~touching)
    for r, label in enumerate(names.edge_labels, start=1):
        some = both if names.R > 3 else is_edit["add node"]
        touching = (new["edge"] == r) | (both & (old["edge"] == r))
        found |= _effect(f"the number of edges {label}", f"edge {label}", table, some & touching, some & ~touching)
    return found


def _effect(count: str, label: str, table: "pd.DataFrame", touching: Tensor, others: Tensor) -> dict:
    prices = []
    for some in (touching, others):
        kinds = table[some.numpy()].groupby("kind")["price"].agg(["median", "size"])
        prices.append(kinds["median"][kinds["size"] >= FEWEST].median())
    one, other = prices
    return {count: (label, one, other, one / other)} if one > 0 and other > 0 else {}  # nan compares false


def outweighed(answers: Answers, named: list[Finding]) -> list[Finding]:
    """A whole family of edits that costs many times what the others do."""
    if named:
        return []
    price, found = answers.price, []
    families = {c.name: c for c in answers.basis.what if c.name in FAMILIES and c.holds.sum() >= FEWEST}
    medians = {name: float(np.median(price[c.holds])) for name, c in families.items()}
    for name, median in medians.items():
        others = [m for other, m in medians.items() if other != name]
        if not others or median < FAMILY * max(np.median(others), answers.scale):
            continue
        times = median / np.median(others)
        size = ": size outweighs everything else" if name == "leaves" else ""
        says = (
            f"One kind of difference outweighs the others{size}: {families[name].words} costs {figure(median)}, "
            f"{figure(times)} times what other kinds of edit cost ({figure(float(np.median(others)))})."
        )
        numbers = {"median": median, "others": float(np.median(others)), "times": float(times)}
        what = "size outweighs" if name == "leaves" else f"{name} outweigh"
        found.append(Finding(what, says, strength=1 - 1 / times, figure=numbers))
    return found


def overpriced(answers: Answers, named: list[Finding]) -> list[Finding]:
    """Single edits that cost many times what a typical one does, by what they have in common."""
    if named:
        return []
    price, row = answers.price, answers.basis.row
    of = answers.basis.single & ~answers.table["kind"].isin(SPARED).to_numpy()
    dear = of & (price > DEAR * answers.scale)
    if dear.sum() < 2 * FEWEST:
        return []
    what, where, found = answers.basis.what, answers.basis.where, []
    for some in slices_of(dear, of, row, what, where, rate=0.8, fewest=2 * FEWEST, origins=FEWEST, most=3):
        median, count = float(np.median(price[some.edits])), int(some.edits.sum())
        times = median / answers.scale
        says = (
            f"Some edits are surprisingly dear: {some.words} costs {figure(median)} (median of {count}), {figure(times)} "
            f"times a typical edit ({figure(answers.scale)})."
        )
        numbers = {"median": median, "times": times, "edits": count}
        evidence = answers.examples(some.edits)
        found.append(
            Finding(
                f"surprisingly dear: {some.name}", says, strength=1 - 1 / times, figure=numbers, evidence=evidence
            )
        )
    return found
