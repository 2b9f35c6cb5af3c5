"""What a loss has to do with what else is known: known distances, properties, its own explanations, other trainings."""

import numpy as np

from elekit.audit import claims
from elekit.audit.agreement import rank_correlation
from elekit.audit.blind_spots import BOUND, Pairs, blind_spots, separated_equals
from elekit.audit.concepts import concepts as probe
from elekit.audit.findings import findings, hold_out, make_basis
from elekit.audit.stability import neighbors_kept, stability
from elekit.card.measured import Measured, plain_values
from elekit.card.subject import Subject, drawn
from elekit.card.wording import ENDS, SMALL, how_far, phrases_of
from elekit.inspect.faithfulness import faithfulness as follow
from elekit.inspect.faithfulness import near_and_random
from elekit.model.loss import Psi, paired_distance, points_of

MOST = 2  # disagreements each way shown for the edit distance, and half as many for others
PROBED = 600  # graphs
FOLLOWED = 40  # graphs whose parts are taken away one by one
OWN = "this loss"  # among its repeats


def agreement(subject: Subject, found: Measured) -> None:
    """Rank correlation with known distances, and the pairs they disagree about most."""
    import pandas as pd

    asked = subject.known_distances
    found.tables["agreement"] = asked.summary(seed=subject.seed)
    rows, pictures = [], []
    for distance in asked.distances:
        pairs = asked.disagreements(distance, most=MOST if distance == "edit distance" else MOST // 2)
        for n, row in enumerate(pairs.table.to_dict("records")):
            names = [subject.names(side[n])[0] for side in (pairs.graphs, pairs.others)]
            pictures.append(drawn([pairs.graphs[n], pairs.others[n]], names, len(rows)))
            kept = {name: row[name] for name in ("kind", "loss", "loss_says", "gap", "says")}
            rows.append(
                {"distance": distance, "graph": names[0], "other": names[1], "value": row["distance"], **kept}
            )
    columns = ["distance", "graph", "other", "value", "kind", "loss", "loss_says", "gap", "says"]
    found.tables["disagreements"] = pd.DataFrame(rows, columns=columns)
    found.pictures["disagreements"] = pictures


def concepts(subject: Subject, found: Measured) -> None:
    """Which properties can be read off its points."""
    table = probe(subject.psi, subject.asked[:PROBED], seed=subject.seed).table
    found.tables["concepts"] = table.reset_index(drop=True)


def faithfulness(subject: Subject, found: Measured) -> None:
    """Whether shares find the parts that count, on near and on random pairs."""
    import pandas as pd

    graphs, tables, curves = subject.asked, [], []
    points = points_of(subject.psi, graphs)
    for kind, (rows, anchors) in near_and_random(points, FOLLOWED, seed=subject.seed).items():
        asked = follow(subject.psi, graphs[rows], points[anchors], seed=subject.seed)
        table, lines = asked.summary(seed=subject.seed), asked.curves
        for one in (table, lines):
            one.insert(0, "of", kind)
        tables.append(table)
        curves.append(lines)
    found.tables["faithfulness"] = pd.concat(tables, ignore_index=True)
    found.tables["curves"] = pd.concat(curves, ignore_index=True)


def in_other_trainings(subject: Subject, found: Measured) -> None:
    """Which statements hold in the repeats of the training too: the same questions put to all."""
    if not subject.repeats:
        raise ValueError("there are no repeats of the training; make them with elekit train repeats")
    psis = {OWN: subject.psi, **{name: artifact.psi for name, artifact in subject.repeats.items()}}
    said = _claims(subject, found)
    if said:
        table = stability(psis, _questions(subject, found), said)
        found.tables["stability"] = table.astype(dict.fromkeys(psis, object))
    graphs = subject.asked
    if len(graphs) > 10:
        kept = neighbors_kept(psis, graphs, seed=subject.seed)
        own = kept[kept["one"] == OWN]
        found.facts["neighbors"] = plain_values(
            {"k": 10, "kept": own["kept"].mean(), "low": own["low"].min(), "high": own["high"].max(),
             "chance": own["chance"].iloc[0], "trainings": len(own)}
        )  # fmt: skip


def _questions(subject: Subject, found: Measured):
    """What is asked of every training: one function of a psi; what is drawn is drawn once."""
    train, seed = subject.train, subject.seed
    told = "findings" in found.tables
    basis = make_basis(train, seed=seed) if told else None
    test = subject.data.test.graphs
    held_out = hold_out(test, seed=seed) if told and len(subject.data.train) and len(test) else None

    def ask(psi: Psi) -> dict:
        prices = subject.sample.edit_costs(psi).summary(seed=seed)
        equal = separated_equals(psi, train, seed=seed).table.groupby("why")["loss"].max()
        return {
            "prices": prices,
            "typical": float(prices["median"].median()),
            "findings": findings(psi, train, held_out=held_out, basis=basis, seed=seed) if told else None,
            "blind spots": len(blind_spots(psi, train, seed=seed).table) if "blind_spots" in found.tables else None,
            "pairs": _apart(psi, subject.blind_pairs) if "blind_spots" in found.tables else None,
            "equals": equal.to_dict(),
            "order": _orders(psi, subject) if "agreement" in found.tables else {},
        }

    return ask


def _claims(subject: Subject, found: Measured) -> dict:
    """Claims by the key of the statement that they bear out."""
    said = {}
    if "prices" in found.tables:
        table = found.tables["prices"].copy()
        of_prices = claims.of_prices(table, most=ENDS)
        for claim, check in of_prices.items():
            kind = next(kind for kind in sorted(table["kind"], key=len, reverse=True) if claim.startswith(f"{kind} "))
            key = f"price of {kind}"
            if key not in said:  # the first is the strongest: among the dearest or cheapest
                said[key] = _of("prices", check), _in_words(claim.removeprefix(f"{kind} "), found)
    if "findings" in found.tables:
        rows = found.rows("findings")
        if not any(row["severity"] == "defect" for row in rows):
            said["defects"] = (
                _of("findings", lambda told: all(f.severity != "defect" for f in told)),
                "no defect found",
            )
        for row in rows:
            said[f"finding: {row['what']}"] = _of("findings", _names(row["what"])), "found again"
    for row in found.rows("equals"):
        said[f"equal: {row['why']}"] = (
            _tells_apart(row, found.facts["scale"]["typical"]) if "scale" in found.facts else None,
            "",
        )
    if "blind_spots" in found.tables:
        some = bool(len(found.tables["blind_spots"]))
        said["blind spots"] = (
            _of("blind spots", lambda n: bool(n) == some),
            "some are found" if some else "none is found",
        )
        for picture in found.pictures["blind_spots"]:
            differs = found.tables["blind_spots"]["differs"][picture["row"]]
            said[f"blind to {differs}"] = _blind_to(picture["row"]), "this pair lies as near"
    for row in found.rows("agreement"):
        if row["spearman"] == row["spearman"]:
            pair = row["distance"], row["kind"]
            said["agreement with {}, {}".format(*pair)] = _orders_as(pair, how_far(row["spearman"])), ""
    said = {key: claim for key, claim in said.items() if claim[0] is not None}
    found.facts["claims"] = {key: words for key, (_, words) in said.items()}
    return {key: check for key, (check, _) in said.items()}


def _of(name: str, claim):
    """A claim about one of the answers."""
    return lambda answer: claim(answer[name])


def _names(what: str):
    return lambda told: any(finding.what == what for finding in told)


def _tells_apart(row: dict, typical: float):
    """The same verdict as here on whether equal graphs lie apart; None where it was not asked."""
    here = row["most"] > SMALL * typical

    def holds(answer: dict) -> bool | None:
        most = answer["equals"].get(row["why"])
        return None if most is None else bool((most > SMALL * answer["typical"]) == here)

    return holds


def _apart(psi: Psi, pairs: Pairs) -> list[float]:
    """Loss of each pair."""
    return (
        paired_distance(points_of(psi, pairs.graphs), points_of(psi, pairs.others)).tolist()
        if len(pairs.table)
        else []
    )


def _blind_to(row: int):
    return lambda answer: bool(answer["pairs"][row] <= BOUND * answer["typical"])


def _orders(psi: Psi, subject: Subject) -> dict[tuple[str, str], float]:
    """Rank correlation with each distance on each kind of the same pairs."""
    asked, found = subject.known_distances, {}
    loss = paired_distance(points_of(psi, asked.graphs), points_of(psi, asked.others)).numpy()
    for distance in asked.distances:
        for kind, some in asked.table.groupby("kind"):
            some = some[some[distance].notna()]
            values = loss[some.index].round(6), some[distance].to_numpy(dtype=float).round(6)
            found[distance, kind] = float(rank_correlation(*values, np.ones((1, len(some))))[0])
    return found


def _orders_as(pair: tuple[str, str], words: str):
    """Whether the correlation is as high in words; None where there is none."""

    def holds(answer: dict) -> bool | None:
        correlation = answer["order"].get(pair, np.nan)
        return None if np.isnan(correlation) else how_far(correlation) == words

    return holds


def _in_words(claim: str, found: Measured) -> str:
    """ "is among the five dearest", "costs more than replacing C by N"."""
    more = "costs more than "
    return more + phrases_of(found.facts["loss"])[claim.removeprefix(more)] if claim.startswith(more) else claim
