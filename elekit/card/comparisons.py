"""Measurements of a loss against known distances, properties, its own explanations and other trainings."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from elekit import audit, inspect
from elekit.audit.agreement import rank_correlation
from elekit.audit.blind_spots import BOUND
from elekit.audit.findings import Finding, Severity, hold_out, make_probe_set
from elekit.card.context import Context, drawing
from elekit.card.phrases import ENDS, SMALL, agreement_level, agreement_levels, edit_phrases
from elekit.card.results import Results
from elekit.evaluation.formatting import graph_names
from elekit.graphs.budget import Clock
from elekit.inspect.faithfulness import near_and_random
from elekit.model.loss import Psi, paired_distance, points_of
from elekit.widgets.page import plain_values

EXAMPLES = 2  # disagreements shown in each direction for the edit distance, and half as many for others
PROBED = 1_000  # graphs
EXPLAINED = 40  # graphs whose parts are removed one by one
COPIED = ("kind", "loss", "by_loss", "gap", "description")  # columns of disagreements
OWN = "this loss"  # among its repeats


def agreement(context: Context, results: Results) -> None:
    """Rank correlation with known distances, and the pairs with the strongest disagreement."""
    found = context.agreement
    rows: list[tuple] = []
    pictures = []
    results.tables["agreement"] = found.summary(seed=context.seed)
    for distance in found.distances:
        most = EXAMPLES if distance == "edit distance" else EXAMPLES // 2
        pairs = found.disagreements(distance, limit=most)
        for n, row in enumerate(pairs.table.to_dict("records")):
            names = [graph_names(side[n])[0] for side in (pairs.graphs, pairs.others)]
            pictures.append(drawing([pairs.graphs[n], pairs.others[n]], names, len(rows)))
            rows.append((distance, *names, *(row[name] for name in ("distance", *COPIED))))
    results.tables["disagreements"] = pd.DataFrame(rows, columns=["distance", "graph", "other", "value", *COPIED])
    results.pictures["disagreements"] = pictures


def concepts(context: Context, results: Results) -> None:
    """Which properties a probe reads off the points."""
    table = audit.concepts(context.psi, context.graphs[:PROBED], seed=context.seed, budget=context.part()).table
    results.tables["concepts"] = table.reset_index(drop=True)


def faithfulness(context: Context, results: Results) -> None:
    """Whether Shapley values find the parts that matter, on near and on random pairs."""
    graphs, tables, curves = context.graphs, [], []
    points = points_of(context.psi, graphs)
    clock = context.part()
    for kind, (rows, anchors) in near_and_random(points, EXPLAINED, seed=context.seed).items():
        found = inspect.faithfulness(
            context.psi, graphs[rows], points[anchors], seed=context.seed, budget=clock.part(1 / 2)
        )
        table, lines = found.summary(seed=context.seed), found.curves
        for one in (table, lines):
            one.insert(0, "of", kind)
        tables.append(table)
        curves.append(lines)
    results.tables["faithfulness"] = pd.concat(tables, ignore_index=True)
    results.tables["curves"] = pd.concat(curves, ignore_index=True)


def other_trainings(context: Context, results: Results) -> None:
    """Which statements hold in the other trainings too."""
    graphs = context.graphs
    if not context.repeats:
        raise ValueError("there are no repeats of the training; make them with elekit train repeats")
    psis: dict[str, Psi] = {OWN: context.psi, **{name: artifact.psi for name, artifact in context.repeats.items()}}
    if checks := claims(context, results):
        clock = context.clock  # all that is left: no other measurement follows
        table = audit.stability(psis, measure_claims(context, results, clock), checks, budget=clock)
        results.tables["stability"] = table.astype(dict.fromkeys(psis, object))
    if len(graphs) > 10:
        kept = audit.neighbor_overlap(psis, graphs, seed=context.seed)
        own = kept[kept["one"] == OWN]
        results.facts["neighbors"] = plain_values(
            {"k": 10, "kept": own["overlap"].mean(), "low": own["low"].min(), "high": own["high"].max(),
             "chance": own["chance"].iloc[0], "trainings": len(own)}
        )  # fmt: skip


def measure_claims(context: Context, results: Results, clock: Clock) -> Callable[[Psi], dict]:
    """A function of a psi that measures what the claims are about; all that is sampled is sampled once.

    It is measured on other graphs than those of the card, if there are enough: what holds by the luck of a sample
    should not pass. Pairs of the blind spots stay the same.
    """
    other, tables = context.second or context, results.tables
    train, seed = other.train, other.seed
    probes = make_probe_set(train, seed=seed, budget=clock.part(1 / 8)) if "findings" in tables else None
    held_out = None
    if probes is not None and other.held_out is not None:
        held_out = hold_out(other.held_out, seed=seed, budget=clock.part(1 / 8))
    share = 1 / (1 + len(context.repeats))  # of the search for blind spots, in each training

    def measure(psi: Psi) -> dict:
        prices = other.sample.edit_costs(psi).summary(seed=seed)
        equals = audit.invariance_gaps(psi, train, seed=seed).table.groupby("variation")["loss"].max()
        found = {"prices": prices, "typical": float(prices["median"].median()), "equals": equals.to_dict()}
        if probes is not None:
            found["findings"] = audit.findings.findings(psi, train, held_out=held_out, probe_set=probes, seed=seed)
        if "blind_spots" in tables:
            found["blind spots"] = len(audit.blind_spots(psi, train, seed=seed, budget=clock.part(share / 2)).table)
            found["pairs"] = _pair_losses(psi, context)
        return found | {"order": _correlations(psi, other) if "agreement" in tables else {}}

    return measure


def claims(context: Context, results: Results) -> dict[str, Callable[[dict], bool | None]]:
    """Checks of what `measure_claims` returns, by the key of their statement; their wording goes into the facts."""
    found: dict[str, tuple[Callable[[dict], bool | None], str]] = {}  # (check, wording)
    typical = results.facts.get("scale", {}).get("typical")
    if "prices" in results.tables:
        phrases = edit_phrases(results.facts["loss"])
        for claim in audit.claims.cost_claims(results.tables["prices"], ends=ENDS).values():
            other = f" {phrases.get(claim.other, claim.other)}" if claim.other is not None else ""
            # the first is the strongest: among the most expensive or cheapest
            found.setdefault(f"price of {claim.kind}", (_of("prices", claim.holds), claim.predicate + other))
    if "findings" in results.tables:
        table = results.tables["findings"]
        if not (table["severity"] == Severity.DEFECT).any():
            found["defects"] = _of("findings", _no_defect), "no defect found"
        found |= {f"finding: {name}": (_of("findings", _contains(name)), "found again") for name in table["name"]}
    if typical is not None:
        found |= {f"equal: {row['why']}": (_separates(row, typical), "") for row in results.rows("equals")}
    if "blind_spots" in results.tables:
        table = results.tables["blind_spots"]
        some, wording = bool(len(table)), "some are found" if len(table) else "none is found"
        found["blind spots"] = _of("blind spots", lambda n: bool(n) == some), wording
        for row in [picture["row"] for picture in results.pictures["blind_spots"]]:
            found[f"blind to {table['differs'][row]}"] = _blind_to(row), "this pair lies as near"
    for row in results.rows("agreement"):
        if np.isfinite(row["spearman"]):
            found[f"agreement with {row['distance']}, {row['kind']}"] = _agrees(row), ""
    results.facts["claims"] = {key: wording for key, (_, wording) in found.items()}
    return {key: check for key, (check, _) in found.items()}


def _no_defect(findings: list[Finding]) -> bool:
    return all(finding.severity != Severity.DEFECT for finding in findings)


def _of(name: str, claim: Callable) -> Callable[[dict], bool | None]:
    """A claim about one of the measurements."""
    return lambda measured: claim(measured[name])


def _contains(name: str) -> Callable[[list[Finding]], bool]:
    return lambda findings: any(finding.name == name for finding in findings)


def _separates(row: dict, typical: float) -> Callable[[dict], bool | None]:
    """The same verdict as here on whether equal graphs are separated; None if it was not measured."""
    here = row["most"] > SMALL * typical

    def holds(measured: dict) -> bool | None:
        most = measured["equals"].get(row["why"])
        return None if most is None else bool((most > SMALL * measured["typical"]) == here)

    return holds


def _pair_losses(psi: Psi, context: Context) -> list[float]:
    pairs = context.blind_pairs
    if not len(pairs.table):
        return []
    return paired_distance(points_of(psi, pairs.graphs), points_of(psi, pairs.others)).tolist()


def _blind_to(row: int) -> Callable[[dict], bool]:
    return lambda measured: bool(measured["pairs"][row] <= BOUND * measured["typical"])


def _correlations(psi: Psi, context: Context) -> dict[tuple[str, str], float]:
    """Rank correlation with each distance on each kind of the same pairs."""
    known, correlations = context.agreement, {}
    loss = paired_distance(points_of(psi, known.graphs), points_of(psi, known.others)).numpy()
    for distance in known.distances:
        for kind, some in known.table.groupby("kind"):
            some = some[some[distance].notna()]
            values = loss[some.index].round(6), some[distance].to_numpy(dtype=float).round(6)
            correlations[distance, kind] = float(rank_correlation(*values, np.ones((1, len(some))))[0])
    return correlations


def _agrees(row: dict) -> Callable[[dict], bool | None]:
    """Whether the correlation is in one of the classes that are stated; None if there is no correlation."""
    strongest, weakest = agreement_levels(row)

    def holds(measured: dict) -> bool | None:
        found = measured["order"].get((row["distance"], row["kind"]), np.nan)
        return None if np.isnan(found) else strongest <= agreement_level(found) <= weakest

    return holds
