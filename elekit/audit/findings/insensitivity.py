"""What does the loss not see?"""

import numpy as np
import torch

from elekit.audit.findings.conditions import FAMILIES
from elekit.audit.findings.finding import DEFECT, NOTE, Finding
from elekit.audit.findings.probe_set import LEVELS
from elekit.audit.findings.responses import Answers
from elekit.audit.findings.subgroups import Slice, slices_of
from elekit.audit.patterns import pattern_name
from elekit.evaluation.formatting import figure, joined, percent
from elekit.graphs.edit_distance import edit_steps, isomorphic
from elekit.inspect.differences import difference
from elekit.model.loss import paired_distance

EXACT = 1e-10  # of a typical edit: structurally blind; float32 leaves 1e-13, trained losses 1e-8
DEAD = 0.05  # of a typical edit; of 60,000 single edits under ten clean losses not one cost less
ALL = 0.95  # of pairs
PAIRS = 4  # fewest, for a statement; all of so few must then lie at one place
NEAR_ALL, EDITS, ORIGINS = 0.8, 16, 4  # share of a slice that is dead, dead edits in it, graphs they come from
PART, TIMES, MANY = 0.15, 3.0, 20  # share of a kind that is dead, by how much more than elsewhere, dead edits in it
CHEAP = 0.4  # of a typical edit, for whole families of edits; clean 0.54 and more
CHEAP_KIND = 0.35  # the same for single kinds; short trainings leave 0.07,
VERY, SOUND, BROAD = 0.2, 0.6, 100  # those that see more than counts 0.24; what others must cost; edits
SAME, COMPARED = 0.02, 5_000  # of a typical edit: at one place; graphs among which such are looked for
NEVER = 1e-5  # of a typical edit: rearrangements that cannot be seen; of 20,000 under ten clean losses 11 cost less
ANYWHERE = 0.05  # share of single edits that are dead without a rule

LEVEL_NAMES = ("size only", "counts only", "counts only", "one hop", "one hop", "one hop", "two hops", "three hops")
LEVEL_WORDS = (
    "The loss sees the size of a graph and nothing else",
    "The loss counts node labels and sees nothing else of a graph (a bag of labels): not how nodes are linked",
    "The loss counts labels, of nodes and of edges, and sees nothing else of a graph (a bag of labels)",
    "The loss sees less than one hop: of each node its label and the edges at it, but not its neighbors",
    "The loss sees only one hop: of each node its direct neighbors, nothing beyond this neighborhood",
    "The loss sees little more than one hop: of each node its direct neighbors and the edges at these",
    "The loss sees only two hops: of each node what lies up to two edges away",
    "The loss sees only three hops: of each node what lies up to three edges away",
)


def sees_only(answers: Answers) -> tuple[list[Finding], int]:
    """The coarsest trait such that graphs that share it lie at one place; and which of LEVELS (len(LEVELS): none)."""
    scale, pairs = answers.scale, answers.basis.pairs
    losses = [paired_distance(answers.points[rows[:, 0]], answers.points[rows[:, 1]]).numpy() for rows in pairs]
    told = [i for i, loss in enumerate(losses) if len(loss) >= PAIRS]
    level = len(LEVELS)
    for i in reversed(told):
        if (losses[i] < EXACT * scale).mean() < ALL:
            break
        level = i
    pool = answers.basis.everything
    if level < len(LEVELS):
        count, share = len(losses[level]), (losses[level] < EXACT * scale).mean()
        says = (
            f"{LEVEL_WORDS[level]}. Of {count} pairs of different graphs that agree in {LEVELS[level]}, "
            f"{percent(share)} lie at one place (loss 0), where a typical edit costs {figure(scale)}."
        )
        rows = pairs[level][:50]
        numbers = {"pairs": count, "share": float(share), "scale": scale}
        evidence = (pool[rows[:, 0]], pool[rows[:, 1]])
        return [Finding(LEVEL_NAMES[level], says, strength=float(share), figure=numbers, evidence=evidence)], level
    for i in told:
        if np.median(losses[i]) < DEAD * scale:
            says = (
                f"The loss hardly sees more than {LEVELS[i]}: graphs that agree in this lie {figure(np.median(losses[i]))} "
                f"apart (median of {len(losses[i])} pairs), a typical edit costs {figure(scale)}. Longer training usually "
                "mends this."
            )
            rows = pairs[i][:50]
            numbers = {"median": float(np.median(losses[i])), "scale": scale}
            evidence = (pool[rows[:, 0]], pool[rows[:, 1]])
            return [Finding("near-sighted", says, NOTE, 1 - numbers["median"] / scale, numbers, evidence)], level
    return [], level


def dead_edits(answers: Answers, explained: np.ndarray, drowned: bool = False) -> tuple[list[Finding], np.ndarray]:
    """Edits that cost nothing, by what they have in common; and (E,) bool, edits that need no explanation any more.

    explained: (E,) bool, those that need none from the start. drowned: something else costs so much that only what
    costs exactly nothing counts, and only where a rule tells it.
    """
    basis, price = answers.basis, answers.price
    left, exact = basis.single & ~explained, price < EXACT * answers.scale
    dead = exact if drowned else price < DEAD * answers.scale
    options = {"rate": NEAR_ALL, "fewest": EDITS, "origins": ORIGINS}
    of = left & basis.usual
    whole = slices_of(dead & of, of, basis.row, basis.what, basis.where, **options)
    for some in whole:
        left &= ~(some.what.holds & some.where.holds)
    odd = left & ~basis.usual  # beyond the usual range only what is exactly free counts
    whole += slices_of(exact & odd, odd, basis.row, basis.what, basis.where, **options)
    found = [_slice_finding(answers, some, complete=True) for some in whole]
    of &= left
    dead = dead & of
    if drowned:
        return found, explained | ~of
    for condition in basis.what[1:]:
        inside = condition.holds & of
        elsewhere = dead[of & ~inside].mean() if (of & ~inside).any() else 0.0
        if dead[inside].sum() < MANY or dead[inside].mean() < max(PART, TIMES * elsewhere):
            continue
        some = Slice(condition, basis.where[0], float(dead[inside].mean()), inside)
        found.append(_slice_finding(answers, some, complete=False))
        of, dead = of & ~inside, dead & ~inside
    if of.any() and dead.mean() * len(dead) >= MANY and dead[of].mean() >= ANYWHERE:
        share = float(dead[of].mean())
        says = (
            f"The loss is coarse: {percent(share)} of {int(of.sum())} single edits cost next to nothing (below {percent(DEAD)} "
            f"of a typical edit, {figure(answers.scale)}), and no rule was found that tells which. Different graphs share places."
        )
        numbers = {"share": share, "edits": int(of.sum())}
        coarse = Finding("coarse", says, strength=share, figure=numbers, evidence=answers.examples(dead & of))
        found = [coarse] + [finding for finding in found if finding.strength >= ALL]  # the rest is chance
    else:
        found += _dead_pairs(answers, whole, explained)
    return found, explained | ~of


def _dead_pairs(answers: Answers, whole: list[Slice], explained: np.ndarray) -> list[Finding]:
    """Rearrangements, two changes at once, that leave the point exactly where it was.

    Short trainings make rearrangements cheap, so only what is structurally invisible counts. What follows from blind
    single edits is left out: exchanging two labels that the loss takes for one.
    """
    table, price, row = answers.table, answers.price, answers.basis.row
    of = ~answers.basis.single & ~explained & answers.basis.usual
    for some in whole:
        for kind, singles in (("swap labels", "relabel"), ("shift order", "change edge")):
            if (table["edit"][some.edits] == singles).any():
                of &= (table["edit"] != kind).to_numpy()
        if (table["edit"][some.edits] == "change edge").any():
            of &= (table["edit"] != "move edge").to_numpy()
    dead = of & (price < NEVER * answers.scale)
    found = slices_of(
        dead, of, row, answers.basis.what, answers.basis.where, rate=NEAR_ALL, fewest=MANY, origins=ORIGINS, most=3
    )
    said = [_slice_finding(answers, some, complete=True) for some in found]
    for some in found:
        of &= ~some.edits
    for condition in answers.basis.what:
        inside = condition.holds & of
        if (dead & inside).sum() >= MANY and dead[inside].mean() >= PART:
            some = Slice(condition, answers.basis.where[0], float(dead[inside].mean()), inside)
            said.append(_slice_finding(answers, some, complete=False))
            of &= ~inside
    return said


def _slice_finding(answers: Answers, some: Slice, complete: bool) -> Finding:
    price, row = answers.price, answers.basis.row
    count, graphs = int(some.edits.sum()), len(np.unique(row[some.edits]))
    if complete:
        says = (
            f"The loss is blind to {some.name}: {some.words} costs {figure(np.median(price[some.edits]))} (median), next to "
            f"nothing beside a typical edit ({figure(answers.scale)}). That holds for {percent(some.rate)} of {count} such "
            f"edits in {graphs} graphs."
        )
    else:
        says = (
            f"The loss is partly blind to {some.name}: {some.words} costs nothing in {percent(some.rate)} of {count} cases "
            f"(in {graphs} graphs), where a typical edit costs {figure(answers.scale)}."
        )
    name = f"{'blind' if complete else 'partly blind'} to {some.name}"
    numbers = {"share": some.rate, "edits": count, "graphs": graphs, "median": float(np.median(price[some.edits]))}
    numbers["scale"] = answers.scale
    evidence = answers.examples(some.edits & (price < DEAD * answers.scale))
    return Finding(name, says, strength=some.rate, figure=numbers, evidence=evidence)


def cheap_families(
    answers: Answers, explained: np.ndarray, named: list[Finding], sharp: bool = True
) -> list[Finding]:
    """Edits that are nearly free without being dead, cheapest first: families a defect, single kinds mostly a note.

    sharp: the loss sees the rest well, so that what costs next to nothing is no matter of a short training.
    """
    basis, price, found = answers.basis, answers.price, []
    left = basis.single & ~explained & basis.usual
    medians = []
    for condition in basis.what[1:]:
        inside = condition.holds & left
        family = condition.name in FAMILIES
        if (
            inside.sum() < MANY
            or (condition.holds & ~basis.single).any()
            or any(condition.name in f.what for f in named)
        ):
            continue
        median = float(np.median(price[inside]))
        if median < (CHEAP if family else CHEAP_KIND) * answers.scale:
            medians.append((not family, median, condition))
    for _, median, condition in sorted(medians, key=lambda line: line[:2]):
        inside = condition.holds & basis.single & ~explained & basis.usual
        if (inside & left).sum() < 0.5 * inside.sum() or len(found) == 3:
            continue  # most of it is said already
        defect = condition.name in FAMILIES or (sharp and median < VERY * answers.scale)
        severity = DEFECT if defect else NOTE
        says = (
            f"The loss is nearly blind to {condition.name}: {condition.words} costs {figure(median)} (median of "
            f"{int(inside.sum())}), {percent(median / answers.scale)} of a typical edit ({figure(answers.scale)})."
        )
        numbers = {"median": median, "scale": answers.scale, "edits": int(inside.sum())}
        what, evidence = f"nearly blind to {condition.name}", answers.examples(inside)
        found.append(Finding(what, says, severity, 1 - median / answers.scale, numbers, evidence))
        left &= ~inside
    return found


def cheap_places(answers: Answers, explained: np.ndarray, named: list[Finding]) -> list[Finding]:
    """A family of edits that is nearly free in some places, or some graphs, and costs what it should elsewhere."""
    basis, price, found = answers.basis, answers.price / answers.scale, []
    for condition in basis.what:
        if condition.name not in FAMILIES or any(f.what.startswith(f"blind to {condition.name}") for f in named):
            continue
        family, best, most = condition.holds & ~explained & basis.usual, None, 0.0
        for where in basis.where[1:]:
            inside, outside = family & where.holds, family & ~where.holds
            if min(inside.sum(), outside.sum()) < BROAD:
                continue
            cheap, usual = (float(np.median(price[some])) for some in (inside, outside))
            parts = (
                float(inside.sum()) * float(outside.sum()) * (usual - cheap) ** 2
            )  # how well the place tells prices
            if cheap < VERY and usual > SOUND and parts > most:
                best, most = (where, inside, cheap, usual), parts
        if best is None:
            continue
        where, inside, cheap, usual = best
        says = (
            f"The loss is nearly blind to {condition.name}{where.name}: there, {condition.words} costs "
            f"{figure(cheap * answers.scale)} (median of {int(inside.sum())}), elsewhere {figure(usual * answers.scale)}, where a "
            f"typical edit costs {figure(answers.scale)}."
        )
        numbers = {"median": cheap * answers.scale, "elsewhere": usual * answers.scale, "edits": int(inside.sum())}
        what, evidence = f"nearly blind to {condition.name}{where.name}", answers.examples(inside)
        found.append(Finding(what, says, DEFECT, 1 - cheap, numbers, evidence))
    return found


def merged_patterns(answers: Answers, named: list[Finding]) -> list[Finding]:
    """Patterns of two nodes and their edge that the loss takes for one another, though each part of it is seen."""
    import pandas as pd

    basis, names = answers.basis, answers.basis.graphs.vocabulary
    if named or not len(basis.rewritten):
        return []
    loss = paired_distance(answers.rewritten, answers.own[basis.rewrite_of]).numpy()
    table = pd.DataFrame({"rewrite": basis.rewrite.numpy(), "graph": basis.rewrite_of.numpy(), "loss": loss})
    table["dead"] = table["loss"] < DEAD * answers.scale
    by_kind = table.groupby("rewrite").agg(
        loss=("loss", "median"), dead=("dead", "mean"), graphs=("graph", "nunique")
    )
    usual = basis.common(basis.rewritten)
    by_kind = by_kind[by_kind.index.isin(table["rewrite"][usual])]
    merged = by_kind[(by_kind["dead"] >= NEAR_ALL) & (by_kind["graphs"] >= 3)]
    found = []
    for kind, line in merged.head(3).iterrows():
        one, other = (pattern_name(p, names) for p in basis.rewrites[kind])
        rows = (basis.rewrite == kind).nonzero()[:, 0]
        says = (
            f"The loss takes {one} and {other} for one another (two families are merged): putting one for the other costs "
            f"{figure(line['loss'])}, in {int(line['graphs'])} graphs, where a typical edit costs {figure(answers.scale)}."
        )
        evidence = (basis.graphs[basis.rewrite_of[rows]], basis.rewritten[rows])
        numbers = {"loss": float(line["loss"]), "graphs": int(line["graphs"]), "scale": answers.scale}
        what = f"merged: {one} and {other}"
        found.append(Finding(what, says, strength=float(line["dead"]), figure=numbers, evidence=evidence))
    return found


def coinciding(answers: Answers, named: list[Finding]) -> list[Finding]:
    """Different graphs at one place that no other finding accounts for, by what differs."""
    import pandas as pd

    basis = answers.basis
    if named:
        return []
    n = len(basis.pool)
    whole = np.concatenate([np.ones(len(basis.graphs), bool), basis.sample.table["connected"].to_numpy()])
    rows = np.flatnonzero(whole & basis.common(basis.pool))
    rows = torch.from_numpy(rows[np.sort(np.unique(basis.identity[:, -1].numpy()[rows], return_index=True)[1])])
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:COMPARED]]
    points, counts = answers.points[:n][rows], basis.identity[rows, 2]
    pairs = set()
    for start in range(0, len(rows), 1024):
        near = points[start : start + 1024] @ points.T
        near[counts[start : start + 1024, None] == counts] = -2.0  # weak losses hardly see more than counts
        best = near.argmax(1)
        fine = (paired_distance(points[start : start + 1024], points[best]) < SAME * answers.scale) & (
            near.amax(1) > -2
        )
        pairs |= {tuple(sorted((start + i, int(best[i])))) for i in fine.nonzero()[:, 0].tolist()}
    if len(pairs) < PAIRS or len(pairs) < 0.002 * len(rows):
        return []
    i, j = rows[torch.tensor(sorted(pairs))].T
    chosen = torch.randperm(len(i), generator=torch.Generator().manual_seed(0))[:40]
    left, right = basis.pool[i[chosen]], basis.pool[j[chosen]]
    differ = ~isomorphic(left, right)
    words = [difference(edit_steps(a, b, timeout=0.2), a, b) for a, b, d in zip(left, right, differ) if d]
    if len(words) < PAIRS:
        return []
    groups = pd.Series(words).value_counts()
    often = joined([f'"{name}" ({count} of {len(words)})' for name, count in groups.head(3).items()])
    says = (
        f"Different graphs lie at one place: {len(pairs)} pairs among {len(rows)} graphs cost less than {percent(SAME)} of a "
        f"typical edit ({figure(answers.scale)}). What differs most often: {often}."
    )
    numbers = {"pairs": len(pairs), "graphs": len(rows), "scale": answers.scale}
    return [
        Finding(
            "blind spots", says, strength=min(1.0, 2 * len(pairs) / len(rows)), figure=numbers, evidence=(left, right)
        )
    ]
