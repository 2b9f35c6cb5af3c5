"""Does one property of graphs dominate the loss, or does one kind of edit cost far too much?"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.audit.findings.conditions import FAMILIES
from elekit.audit.findings.finding import Finding, FindingKind, make_finding
from elekit.audit.findings.graph_traits import graph_counts
from elekit.audit.findings.responses import Responses
from elekit.audit.findings.subgroups import find_subgroups
from elekit.inspect.edit_costs import explained_variance

# The bounds lie outside the range of ten clean losses (see `saturation`).
EXPLAINED = 0.75  # share of the loss between graphs that one count explains,
ABOVE_REFERENCE = 0.68  # and above its share under the reference; clean up to 0.65, of trees and unlabeled graphs
RATIO = 2.5  # cost of edits that touch a label by that of others; clean up to 7.8 after 120 steps,
BY_TYPICAL = 2.2  # and by a typical edit; clean up to 1.95
LABEL_ABOVE = 0.1  # share of its count above the reference, besides; clean 0.05 where BY_TYPICAL is nearly reached
# Under a local psi a heavy label saturates: smaller effects count if its count explains much. Clean losses reach 1.5
# and 1.3 with 0.02 of its count.
SATURATED = 1.5, 1.5, 0.35  # RATIO, BY_TYPICAL and LABEL_ABOVE then
WITH_SHARE = 0.5, 2.0  # share of the loss that the label's count explains, and the ratio of costs then
EXPENSIVE = 6.0  # times a typical edit; clean 0.1 % of edits, of cycles and stars 1 %
FAMILY = 5.0  # times the other families of edits; clean up to 3.4 (opening a ring)
MIN_EDITS = 10
SPARED = ("remove node",)  # removes several edges as well


def find_dominance(responses: Responses, by_share: bool = True) -> list[Finding]:
    """A count explains nearly all of the loss (by_share), or edits of one label cost many times those of others."""
    probes, found, dominant = responses.probes, list[Finding](), list[Finding]()
    own = probes.reference[: len(probes.graphs)].double()
    usual = (2 - 2 * own @ own.T).numpy()
    counts = {count.name: count.values for count in graph_counts(probes.graphs)}
    share = {name: count_share(responses.matrix, count) for name, count in counts.items()}
    above = {name: share[name] - count_share(usual, count) for name, count in counts.items()}

    def explained(count: str) -> dict:
        return {"count": count[0].upper() + count[1:], "usually": max(0.0, share[count] - above[count])}

    for count, (label, touching, others, ratio) in label_effects(responses).items():
        if count not in share:  # the only label
            continue
        heavy = ratio >= RATIO and touching >= BY_TYPICAL * responses.typical and above[count] >= LABEL_ABOVE
        heavy |= all(
            one >= least for one, least in zip((ratio, touching / responses.typical, above[count]), SATURATED)
        )
        dominates = by_share and share[count] >= EXPLAINED and above[count] >= ABOVE_REFERENCE
        if heavy or dominates or (by_share and share[count] >= WITH_SHARE[0] and ratio >= WITH_SHARE[1]):
            figures = {"touching": touching, "others": others, "ratio": ratio, "share": share[count]}
            kind, strength = FindingKind.OVERWEIGHTS_LABEL, 1 - 1 / max(ratio, 1.0)
            finding = make_finding(kind, figures, strength, label, **explained(count))
            (dominant if dominates else found).append(finding)
            share.pop(count)
    found = dominant or found  # beside a dominant label the weights of others mean little
    best = max(share, key=lambda name: above[name])
    if by_share and share[best] >= EXPLAINED and above[best] >= ABOVE_REFERENCE:
        figures = {"share": share[best], "usual": share[best] - above[best]}
        table = pd.DataFrame({"count": list(share), "explained": list(share.values())})
        table = table.sort_values("explained", ascending=False, ignore_index=True)
        kind, strength = FindingKind.DOMINATED, share[best]
        found.append(make_finding(kind, figures, strength, best, evidence=table, **explained(best)))
    return found


def count_share(matrix: np.ndarray, count: np.ndarray) -> float:
    """Share of the variance of the loss between graphs (n, n) that the unordered counts of a pair explain."""
    i, j = np.triu_indices(len(matrix), 1)
    pair = np.minimum(count[i], count[j]) * 10_000 + np.maximum(count[i], count[j])
    return float(np.nan_to_num(explained_variance(matrix[i, j], pair)))


def label_effects(responses: Responses) -> dict[str, tuple[str, float, float, float]]:
    """For the count of each label: the label, the costs of edits that touch it and of others, and their ratio."""
    probes, table = responses.probes, responses.edits
    edits, (nodes, edges) = probes.sample.edits, (x.long() for x in probes.graphs.labels())
    row, names = edits.row, probes.graphs.vocabulary
    found: dict[str, tuple[str, float, float, float]] = {}
    i, j = edits.pair[:, 0].clamp_min(0).T
    old_node, old_edge = nodes[row, edits.node[:, 0].clamp_min(0)], names.label_of[edges[row, i, j]]
    new_node, new_edge = edits.label[:, 0], names.label_of[edits.edge[:, 0].clamp_min(0)]  # whatever the direction
    kinds = ("relabel", "add node", "change edge")
    relabel, add, change = (torch.from_numpy((table["edit"] == kind).to_numpy(copy=True)) for kind in kinds)
    both = change & (old_edge > 0) & (new_edge > 0)
    for k, label in enumerate(names.node_labels, start=1):
        some, touching = relabel if names.K > 3 else add, (new_node == k) | (relabel & (old_node == k))
        found |= _effect(f"the number of nodes {label}", label, table, some & touching, some & ~touching)
    for r, label in enumerate(names.edge_labels, start=1):
        some, touching = both if names.R > 3 else add, (new_edge == r) | (both & (old_edge == r))
        found |= _effect(f"the number of edges {label}", f"edge {label}", table, some & touching, some & ~touching)
    return found


def _effect(count: str, label: str, table: pd.DataFrame, touching: Tensor, others: Tensor) -> dict:
    costs = []
    for some in (touching, others):
        kinds = table[some.numpy()].groupby("kind")["cost"].agg(["median", "size"])
        costs.append(kinds["median"][kinds["size"] >= MIN_EDITS].median())
    one, other = costs
    return {count: (label, one, other, one / other)} if one > 0 and other > 0 else {}  # False for nan


def find_expensive_families(responses: Responses) -> list[Finding]:
    """Families of edits that cost many times what the other families do."""
    cost, found = responses.cost, []
    families = {c.name: c for c in responses.probes.conditions if c.name in FAMILIES and c.holds.sum() >= MIN_EDITS}
    medians = {name: float(np.median(cost[c.holds])) for name, c in families.items()}
    for name, median in medians.items():
        rest = [m for other, m in medians.items() if other != name]
        if not rest or median < FAMILY * max(np.median(rest), responses.typical):
            continue
        others = float(np.median(rest))
        ratio = median / others
        figures, phrase = {"median": median, "others": others, "ratio": ratio}, families[name].phrase
        found.append(make_finding(FindingKind.OVERWEIGHTS_EDITS, figures, 1 - 1 / ratio, name, phrase=phrase))
    return found


def find_expensive_edits(responses: Responses) -> list[Finding]:
    """Single edits that cost many times what a typical one does, described by subgroups."""
    probes, cost, typical, found, least = responses.probes, responses.cost, responses.typical, [], 2 * MIN_EDITS
    of = probes.single & ~responses.edits["kind"].isin(SPARED).to_numpy()
    expensive = of & (cost > EXPENSIVE * typical)
    if expensive.sum() < least:
        return []
    for some in find_subgroups(expensive, of, probes.space, 0.8, min_edits=least, min_graphs=MIN_EDITS, limit=3):
        median = float(np.median(cost[some.edits]))
        ratio = median / typical
        figures = {"median": median, "ratio": ratio, "edits": int(some.edits.sum())}
        words: dict = {"evidence": responses.examples(some.edits), "phrase": some.phrase, "typical": typical}
        found.append(make_finding(FindingKind.OVERPRICES, figures, 1 - 1 / ratio, some.name, **words))
    return found
