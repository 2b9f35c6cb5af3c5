"""Measurements of a loss against known distances, properties, its own explanations and other trainings."""

import numpy as np

from elekit.audit import claims
from elekit.audit.agreement import rank_correlation
from elekit.audit.blind_spots import BOUND, blind_spots, invariance_gaps
from elekit.audit.concepts import concepts as probe_concepts
from elekit.audit.findings import Severity, findings, hold_out, make_probe_set
from elekit.audit.stability import neighbor_overlap, stability
from elekit.card.context import Context, drawing
from elekit.card.phrases import ENDS, SMALL, agreement_level, edit_phrases
from elekit.card.results import Results, plain_values
from elekit.inspect.faithfulness import faithfulness as measure_faithfulness
from elekit.inspect.faithfulness import near_and_random
from elekit.model.loss import Psi, paired_distance, points_of

EXAMPLES = 2  # disagreements shown in each direction for the edit distance, and half as many for others
PROBED = 600  # graphs
EXPLAINED = 40  # graphs whose parts are removed one by one
OWN = "this loss"  # among its repeats


def agreement(context: Context, results: Results) -> None:
    """Rank correlation with known distances, and the pairs with the strongest disagreement."""
    import pandas as pd

    found = context.agreement
    results.tables["agreement"] = found.summary(seed=context.seed)
    rows, pictures = [], []
    for distance in found.distances:
        most = EXAMPLES if distance == "edit distance" else EXAMPLES // 2
        pairs = found.disagreements(distance, limit=most)
        for n, row in enumerate(pairs.table.to_dict("records")):
            names = [context.names(side[n])[0] for side in (pairs.graphs, pairs.others)]
            pictures.append(drawing([pairs.graphs[n], pairs.others[n]], names, len(rows)))
            kept = {name: row[name] for name in ("kind", "loss", "by_loss", "gap", "description")}
            rows.append(
                {"distance": distance, "graph": names[0], "other": names[1], "value": row["distance"], **kept}
            )
    columns = ["distance", "graph", "other", "value", "kind", "loss", "by_loss", "gap", "description"]
    results.tables["disagreements"] = pd.DataFrame(rows, columns=columns)
    results.pictures["disagreements"] = pictures


def concepts(context: Context, results: Results) -> None:
    """Which properties a probe reads off the points."""
    table = probe_concepts(context.psi, context.graphs[:PROBED], seed=context.seed).table
    results.tables["concepts"] = table.reset_index(drop=True)


def faithfulness(context: Context, results: Results) -> None:
    """Whether Shapley values find the parts that matter, on near and on random pairs."""
    import pandas as pd

    graphs, tables, curves = context.graphs, [], []
    points = points_of(context.psi, graphs)
    for kind, (rows, anchors) in near_and_random(points, EXPLAINED, seed=context.seed).items():
        found = measure_faithfulness(context.psi, graphs[rows], points[anchors], seed=context.seed)
        table, lines = found.summary(seed=context.seed), found.curves
        for one in (table, lines):
            one.insert(0, "of", kind)
        tables.append(table)
        curves.append(lines)
    results.tables["faithfulness"] = pd.concat(tables, ignore_index=True)
    results.tables["curves"] = pd.concat(curves, ignore_index=True)


def other_trainings(context: Context, results: Results) -> None:
    """Which statements hold in the other trainings too."""
    if not context.repeats:
        raise ValueError("there are no repeats of the training; make them with elekit train repeats")
    psis = {OWN: context.psi, **{name: artifact.psi for name, artifact in context.repeats.items()}}
    checks = _claims(context, results)
    if checks:
        table = stability(psis, _answers(context, results), checks)
        results.tables["stability"] = table.astype(dict.fromkeys(psis, object))
    graphs = context.graphs
    if len(graphs) > 10:
        kept = neighbor_overlap(psis, graphs, seed=context.seed)
        own = kept[kept["one"] == OWN]
        results.facts["neighbors"] = plain_values(
            {"k": 10, "kept": own["overlap"].mean(), "low": own["low"].min(), "high": own["high"].max(),
             "chance": own["chance"].iloc[0], "trainings": len(own)}
        )  # fmt: skip


def _answers(context: Context, results: Results):
    """A function of a psi that measures what the claims are about; all that is sampled is sampled once."""
    train, seed, blind = context.train, context.seed, "blind_spots" in results.tables
    checked = "findings" in results.tables
    probes = make_probe_set(train, seed=seed) if checked else None
    test = context.data.test.graphs
    held_out = hold_out(test, seed=seed) if checked and len(context.data.train) and len(test) else None

    def answers(psi: Psi) -> dict:
        prices = context.sample.edit_costs(psi).summary(seed=seed)
        equal = invariance_gaps(psi, train, seed=seed).table.groupby("variation")["loss"].max()
        return {
            "prices": prices,
            "typical": float(prices["median"].median()),
            "findings": findings(psi, train, held_out=held_out, probe_set=probes, seed=seed) if checked else None,
            "blind spots": len(blind_spots(psi, train, seed=seed).table) if blind else None,
            "pairs": _pair_losses(psi, context) if blind else None,
            "equals": equal.to_dict(),
            "order": _correlations(psi, context) if "agreement" in results.tables else {},
        }

    return answers


def _claims(context: Context, results: Results) -> dict:
    """Claims by the key of the statement that they support; their wording goes into the facts."""
    found = {}  # key: (claim, wording); None as a claim where this cannot be checked
    if "prices" in results.tables:
        phrases = edit_phrases(results.facts["loss"])
        for claim in claims.cost_claims(results.tables["prices"], ends=ENDS).values():
            other = f" {phrases.get(claim.other, claim.other)}" if claim.other is not None else ""
            # the first is the strongest: among the most expensive or cheapest
            found.setdefault(f"price of {claim.kind}", (_of("prices", claim.holds), claim.predicate + other))
    if "findings" in results.tables:
        rows = results.rows("findings")
        if not any(row["severity"] == Severity.DEFECT for row in rows):
            none = _of("findings", lambda others: all(f.severity != Severity.DEFECT for f in others))
            found["defects"] = none, "no defect found"
        for row in rows:
            found[f"finding: {row['name']}"] = _of("findings", _contains(row["name"])), "found again"
    for row in results.rows("equals"):
        typical = results.facts["scale"]["typical"] if "scale" in results.facts else None
        found[f"equal: {row['why']}"] = None if typical is None else _separates(row, typical), ""
    if "blind_spots" in results.tables:
        table = results.tables["blind_spots"]
        some = bool(len(table))
        words = "some are found" if some else "none is found"
        found["blind spots"] = _of("blind spots", lambda n: bool(n) == some), words
        for picture in results.pictures["blind_spots"]:
            key = f"blind to {table['differs'][picture['row']]}"
            found[key] = _blind_to(picture["row"]), "this pair lies as near"
    for row in results.rows("agreement"):
        if row["spearman"] == row["spearman"]:
            pair = row["distance"], row["kind"]
            level = agreement_level(row["spearman"])
            found["agreement with {}, {}".format(*pair)] = _agrees(pair, level), ""
    found = {key: claim for key, claim in found.items() if claim[0] is not None}
    results.facts["claims"] = {key: words for key, (_, words) in found.items()}
    return {key: check for key, (check, _) in found.items()}


def _of(name: str, claim):
    """A claim about one of the answers."""
    return lambda answer: claim(answer[name])


def _contains(name: str):
    return lambda others: any(finding.name == name for finding in others)


def _separates(row: dict, typical: float):
    """The same verdict as here on whether equal graphs are separated; None if it was not measured."""
    here = row["most"] > SMALL * typical

    def holds(answer: dict) -> bool | None:
        most = answer["equals"].get(row["why"])
        return None if most is None else bool((most > SMALL * answer["typical"]) == here)

    return holds


def _pair_losses(psi: Psi, context: Context) -> list[float]:
    pairs = context.blind_pairs
    if not len(pairs.table):
        return []
    return paired_distance(points_of(psi, pairs.graphs), points_of(psi, pairs.others)).tolist()


def _blind_to(row: int):
    return lambda answer: bool(answer["pairs"][row] <= BOUND * answer["typical"])


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


def _agrees(pair: tuple[str, str], level: int):
    """Whether the correlation is in the same class; None if there is no correlation."""

    def holds(answer: dict) -> bool | None:
        correlation = answer["order"].get(pair, np.nan)
        return None if np.isnan(correlation) else agreement_level(correlation) == level

    return holds
