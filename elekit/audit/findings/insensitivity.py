"""Which differences between graphs does the loss not see?"""

import numpy as np
import pandas as pd
import torch

from elekit.audit.findings.conditions import FAMILIES
from elekit.audit.findings.finding import Finding, FindingKind, Severity, make_finding
from elekit.audit.findings.probe_set import LEVELS
from elekit.audit.findings.responses import Responses
from elekit.audit.findings.subgroups import Subgroup, find_subgroups
from elekit.audit.patterns import pattern_name
from elekit.evaluation.formatting import joined
from elekit.graphs.edit_distance import edit_steps, isomorphic
from elekit.inspect.differences import describe_difference
from elekit.model.loss import paired_distance

# Shares of the cost of a typical edit; "clean" are ten sound losses.
EXACT = 1e-10  # structurally blind; float32 leaves 1e-13, trained losses 1e-8
FREE = 0.05  # of 60,000 single edits under clean losses not one cost less
CHEAP = 0.4  # for families of edits; clean 0.54 and more
CHEAP_KIND = 0.35  # for single kinds; short trainings leave 0.07, those that see more than counts 0.24
VERY_CHEAP, SOUND = 0.2, 0.6  # cost in a location, cost elsewhere
SAME = 0.02  # one place
INVISIBLE = 1e-5  # for rearrangements; of 20,000 under clean losses 11 cost less

ALL, NEAR_ALL = 0.95, 0.8  # share of the pairs of a level; of the edits of a subgroup
MIN_PAIRS = 4
MIN_FREE, MIN_GRAPHS = 16, 4  # free edits of a subgroup, and graphs they come from
PART, RATIO, MANY = 0.15, 3.0, 20  # share of a kind that is free, by the share elsewhere, free edits in it
MIN_EDITS = 100  # in a location, and elsewhere
MAX_COMPARED = 5_000  # graphs among which coinciding ones are searched
ANYWHERE = 0.05  # share of free single edits without a rule


def find_limited_view(responses: Responses) -> tuple[list[Finding], int]:
    """The coarsest of LEVELS such that graphs that agree in it lie at one place; its index, len(LEVELS) for none."""
    typical, pairs, pool = responses.typical, responses.probes.pairs, responses.probes.all_graphs
    losses = [paired_distance(responses.points[rows[:, 0]], responses.points[rows[:, 1]]).numpy() for rows in pairs]
    tested = [i for i, loss in enumerate(losses) if len(loss) >= MIN_PAIRS]
    seen = [i for i in tested if (losses[i] < EXACT * typical).mean() < ALL]
    level = next((i for i in tested if i > max(seen, default=-1)), len(LEVELS))
    if level < len(LEVELS):
        shown, kind, severity = level, FindingKind.SEES_ONLY, Severity.DEFECT
        strength = float((losses[shown] < EXACT * typical).mean())
        figures = {"pairs": len(losses[shown]), "share": strength, "typical": typical}
    else:
        near = [i for i in tested if np.median(losses[i]) < FREE * typical]
        if not near:
            return [], level
        shown, kind, severity = near[0], FindingKind.SEES_LITTLE_MORE_THAN, Severity.NOTE
        median = float(np.median(losses[shown]))
        strength, figures = 1 - median / typical, {"median": median, "typical": typical}
    rows, count, name = pairs[shown][:50], len(losses[shown]), LEVELS[shown]
    evidence = (pool[rows[:, 0]], pool[rows[:, 1]])
    found = make_finding(kind, figures, strength, name, severity=severity, evidence=evidence, pairs=count)
    return [found], level


def find_free_edits(
    responses: Responses, explained: np.ndarray, exact_only: bool = False
) -> tuple[list[Finding], np.ndarray]:
    """Edits that cost nothing (with exact_only, exactly 0), by subgroups; and (E,) bool, edits explained by now."""
    probes, cost = responses.probes, responses.cost
    left, exact = probes.single & ~explained, cost < EXACT * responses.typical
    free = exact if exact_only else cost < FREE * responses.typical
    of, least = left & probes.usual, {"min_edits": MIN_FREE, "min_graphs": MIN_GRAPHS}
    whole = find_subgroups(free, of, probes.space, NEAR_ALL, **least)
    for some in whole:
        left &= ~(some.condition.holds & some.location.holds)
    rare = left & ~probes.usual  # beyond the usual ranges only exact zeros count
    whole += find_subgroups(exact, rare, probes.space, NEAR_ALL, **least)
    found = [_blind(responses, some) for some in whole]
    of &= left
    free = free & of
    if exact_only:
        return found, explained | ~of
    for condition in probes.conditions[1:]:
        inside = condition.holds & of
        elsewhere = free[of & ~inside].mean() if (of & ~inside).any() else 0.0
        if free[inside].sum() < MANY or free[inside].mean() < max(PART, RATIO * elsewhere):
            continue
        some = Subgroup(condition, probes.locations[0], float(free[inside].mean()), inside)
        found.append(_blind(responses, some, partly=True))
        of, free = of & ~inside, free & ~inside
    if of.any() and free.mean() * len(free) >= MANY and free[of].mean() >= ANYWHERE:
        share, typical = float(free[of].mean()), responses.typical
        figures, evidence = {"share": share, "edits": int(of.sum())}, responses.examples(free & of)
        coarse = make_finding(FindingKind.COARSE, figures, share, evidence=evidence, typical=typical, free=FREE)
        found = [coarse] + [finding for finding in found if finding.strength >= ALL]  # the rest is chance
    else:
        found += _free_rearrangements(responses, whole, explained)
    return found, explained | ~of


def _free_rearrangements(responses: Responses, whole: list[Subgroup], explained: np.ndarray) -> list[Finding]:
    """Paired changes that cost exactly nothing, unless this follows from blindness to single edits."""
    probes, kind = responses.probes, responses.edits["edit"]
    of = ~probes.single & ~explained & probes.usual
    implied = {"relabel": ["swap labels"], "change edge": ["shift order", "move edge"]}
    for some in whole:
        for single, paired in implied.items():
            if (kind[some.edits] == single).any():
                of &= ~kind.isin(paired).to_numpy()
    free = of & (responses.cost < INVISIBLE * responses.typical)
    groups = find_subgroups(free, of, probes.space, NEAR_ALL, min_edits=MANY, min_graphs=MIN_GRAPHS, limit=3)
    found = [_blind(responses, some) for some in groups]
    for some in groups:
        of &= ~some.edits
    for condition in probes.conditions:
        inside = condition.holds & of
        if (free & inside).sum() >= MANY and free[inside].mean() >= PART:
            some = Subgroup(condition, probes.locations[0], float(free[inside].mean()), inside)
            found.append(_blind(responses, some, partly=True))
            of &= ~inside
    return found


def _blind(responses: Responses, some: Subgroup, partly: bool = False) -> Finding:
    cost, typical = responses.cost, responses.typical
    kind, graphs = FindingKind.PARTLY_BLIND if partly else FindingKind.BLIND, responses.probes.edit_row[some.edits]
    figures = {"share": some.rate, "edits": int(some.edits.sum()), "graphs": len(np.unique(graphs))}
    figures |= {"median": float(np.median(cost[some.edits])), "typical": typical}
    evidence, topics = responses.examples(some.edits & (cost < FREE * typical)), some.condition.topics
    return make_finding(kind, figures, some.rate, some.name, evidence=evidence, topics=topics, phrase=some.phrase)


def find_unseen_components(responses: Responses, exact_only: bool) -> list[Finding]:
    """Graphs of several components that lie where one of them lies alone (with exact_only, exactly)."""
    alone, row = responses.probes.components
    loss = paired_distance(responses.components, responses.points[row]).numpy()
    size = (alone.labels()[0] > 0).sum(1).numpy()
    table = pd.DataFrame({"row": row.numpy(), "loss": loss, "size": size, "place": np.arange(len(row))})
    nearest = table.sort_values("loss", kind="stable").groupby("row").head(1).set_index("row")
    sizes = table.groupby("row")["size"].agg(["max", "sum", "count"]).loc[nearest.index]
    one = sizes["sum"] - sizes["max"] == sizes["count"] - 1  # but for one component, only isolated nodes
    free = nearest["loss"] < (EXACT if exact_only else FREE) * responses.typical
    largest = nearest["size"] == sizes["max"]
    for name, of in (("all but one component", slice(None)), ("isolated nodes beside a component", one)):
        if len(free[of]) >= MIN_FREE and free[of].mean() >= NEAR_ALL:
            if name.startswith("all") and largest[free].mean() >= ALL:
                name = "all but the largest component"
            shown = torch.from_numpy(nearest["place"][free & (one | (name[0] == "a"))].to_numpy(copy=True))[:50]
            share, median = float(free[of].mean()), float(nearest["loss"][of].median())
            figures = {"share": share, "graphs": len(free[of]), "median": median, "typical": responses.typical}
            evidence = responses.probes.pool[row[shown]], alone[shown]
            return [
                make_finding(FindingKind.BLIND, figures, share, name, key="blind to components", evidence=evidence)
            ]
    return []


def find_cheap_edits(
    responses: Responses, explained: np.ndarray, named: list[Finding], sharp: bool = True
) -> list[Finding]:
    """Edits that are nearly free, cheapest first: families are defects, kinds too if the loss is sharp otherwise."""
    probes, cost, typical, found = responses.probes, responses.cost, responses.typical, list[Finding]()
    left = usual = probes.single & ~explained & probes.usual
    topics = {topic for finding in named for topic in finding.topics}
    medians = []
    for condition in probes.conditions[1:]:
        inside = condition.holds & usual
        if inside.sum() < MANY or (condition.holds & ~probes.single).any() or condition.name in topics:
            continue
        family, median = condition.name in FAMILIES, float(np.median(cost[inside]))
        if median < (CHEAP if family else CHEAP_KIND) * typical:
            medians.append((not family, median, condition))
    for _, median, condition in sorted(medians, key=lambda line: line[:2]):
        inside = condition.holds & usual
        if (inside & left).sum() < 0.5 * inside.sum() or len(found) == 3:
            continue  # most of these edits are in a finding already
        defect = condition.name in FAMILIES or (sharp and median < VERY_CHEAP * typical)
        figures = {"median": median, "typical": typical, "edits": int(inside.sum())}
        severity = Severity.DEFECT if defect else Severity.NOTE
        rest: dict = {"evidence": responses.examples(inside), "topics": condition.topics, "phrase": condition.phrase}
        kind, share, name = FindingKind.NEARLY_BLIND, median / typical, condition.name
        found.append(make_finding(kind, figures, 1 - share, name, severity=severity, share=share, **rest))
        left = left & ~inside
    return found


def find_cheap_locations(responses: Responses, explained: np.ndarray, named: list[Finding]) -> list[Finding]:
    """Families of edits that are nearly free in some locations or graphs, and cost a usual amount elsewhere."""
    probes, cost, typical, found = responses.probes, responses.cost / responses.typical, responses.typical, []
    topics = {topic for finding in named if finding.kind is FindingKind.BLIND for topic in finding.topics}
    for condition in probes.conditions:
        if condition.name not in FAMILIES or condition.name in topics:
            continue
        family, best, most = condition.holds & ~explained & probes.usual, None, 0.0
        for location in probes.locations[1:]:
            inside, outside = family & location.holds, family & ~location.holds
            if min(inside.sum(), outside.sum()) < MIN_EDITS:
                continue
            here, elsewhere = (float(np.median(cost[some])) for some in (inside, outside))
            between = float(inside.sum()) * float(outside.sum()) * (elsewhere - here) ** 2  # variance explained
            if here < VERY_CHEAP and elsewhere > SOUND and between > most:
                best, most = (location, inside, here, elsewhere), between
        if best is None:
            continue
        location, inside, here, elsewhere = best
        figures = {"median": here * typical, "elsewhere": elsewhere * typical, "edits": int(inside.sum())}
        rest: dict = {"evidence": responses.examples(inside), "topics": condition.topics, "phrase": condition.phrase}
        kind, key, name = FindingKind.NEARLY_BLIND, "nearly blind at a location", condition.name + location.name
        found.append(make_finding(kind, figures, 1 - here, name, key=key, typical=typical, **rest))
    return found


def find_confused_patterns(responses: Responses) -> list[Finding]:
    """Patterns of two nodes and their edge that the loss does not separate, though it sees each part."""
    probes, names = responses.probes, responses.probes.graphs.vocabulary
    if not len(probes.rewritten):
        return []
    loss = paired_distance(responses.rewritten, responses.own[probes.rewritten_row]).numpy()
    table = pd.DataFrame({"rewrite": probes.rewrite_index.numpy(), "graph": probes.rewritten_row.numpy()})
    table = table.assign(loss=loss, free=loss < FREE * responses.typical)
    kinds = table.groupby("rewrite").agg(loss=("loss", "median"), free=("free", "mean"), graphs=("graph", "nunique"))
    kinds = kinds[kinds.index.isin(table["rewrite"][probes.in_range(probes.rewritten)])]
    found = []
    for rewrite, line in kinds[(kinds["free"] >= NEAR_ALL) & (kinds["graphs"] >= 3)].head(3).iterrows():
        one, other = (pattern_name(p, names) for p in probes.rewrites[rewrite])
        rows = (probes.rewrite_index == rewrite).nonzero()[:, 0]
        evidence = (probes.graphs[probes.rewritten_row[rows]], probes.rewritten[rows])
        figures = {"loss": float(line["loss"]), "graphs": int(line["graphs"]), "typical": responses.typical}
        kind, strength = FindingKind.CONFUSES, float(line["free"])
        found.append(make_finding(kind, figures, strength, f"{one} and {other}", evidence=evidence))
    return found


def find_coincident_graphs(responses: Responses) -> list[Finding]:
    """Different graphs at one place, by what differs."""
    probes, typical, n = responses.probes, responses.typical, len(responses.probes.pool)
    whole = np.concatenate([np.ones(len(probes.graphs), bool), probes.sample.table["connected"].to_numpy()])
    allowed = np.flatnonzero(whole & probes.in_range(probes.pool))
    distinct = np.sort(np.unique(probes.codes[:, -1].numpy()[allowed], return_index=True)[1])
    rows = torch.from_numpy(allowed[distinct])
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:MAX_COMPARED]]
    points, counts = responses.points[:n][rows], probes.codes[rows, 2]
    pairs = set()
    for start in range(0, len(rows), 1024):
        some = points[start : start + 1024]
        near = some @ points.T
        near[counts[start : start + 1024, None] == counts] = -2.0  # weak losses see little more than counts
        best = near.argmax(1)
        fine = (paired_distance(some, points[best]) < SAME * typical) & (near.amax(1) > -2)
        pairs |= {tuple(sorted((start + i, int(best[i])))) for i in fine.nonzero()[:, 0].tolist()}
    if len(pairs) < MIN_PAIRS or len(pairs) < 0.002 * len(rows):
        return []
    i, j = rows[torch.tensor(sorted(pairs))].T
    chosen = torch.randperm(len(i), generator=torch.Generator().manual_seed(0))[:40]
    left, right = probes.pool[i[chosen]], probes.pool[j[chosen]]
    differ = ~isomorphic(left, right)
    words = [describe_difference(edit_steps(a, b, timeout=0.2), a, b) for a, b, d in zip(left, right, differ) if d]
    if len(words) < MIN_PAIRS:
        return []
    groups = pd.Series(words).value_counts()
    often = joined([f'"{name}" ({count} of {len(words)})' for name, count in groups.head(3).items()])
    figures = {"pairs": len(pairs), "graphs": len(rows), "typical": typical}
    kind, strength = FindingKind.COINCIDENT_GRAPHS, min(1.0, 2 * len(pairs) / len(rows))
    return [make_finding(kind, figures, strength, evidence=(left, right), same=SAME, often=often)]
