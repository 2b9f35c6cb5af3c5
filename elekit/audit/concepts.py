"""Which properties of a graph does psi encode, and is that more than size and label counts explain?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch

from elekit.audit.probes import FOLDS, ProbeData, loss_share, rbf_features
from elekit.audit.properties import MIN_GRAPHS, Property, PropertyKind, distinct_rows, graph_properties, parse_column
from elekit.evaluation.formatting import percent
from elekit.evaluation.intervals import N_BOOTSTRAP, central_interval
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.inspect._validation import finite_points
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import Psi, points_of
from elekit.training.loop import seeded

Table: TypeAlias = pd.DataFrame | Mapping
SOME, MUCH = 0.1, 0.5  # of a score
TOGETHER = 64  # properties that are fitted at a time
NO_TIME = "the time of the budget was used up"
CLOSE = 0.05  # an untrained psi within this of the score encodes the property as well
FIGURES = (
    "score", "low", "high", "control", "selectivity", "shuffled", "untrained", "size", "counts",
    "beyond", "beyond_low", "beyond_high", "loss_share",
)  # fmt: skip


class Mark(StrEnum):
    """The verdict on a property; see `concepts`."""

    ENCODED = "encoded"
    WEAK = "weakly encoded"
    BY_COUNTS = "explained by size and counts"
    NOT_ENCODED = "not encoded"
    NOT_MEASURED = "not measured"


class Baseline(StrEnum):
    """What is known of a graph without psi; NONE for the size itself, SIZE for counts of node labels."""

    NONE = ""
    SIZE = "size"
    COUNTS = "counts"


@dataclass(frozen=True, eq=False)
class Concepts:
    """The table of `concepts`, best score first, and the (m,) rows of the graphs that were used."""

    table: pd.DataFrame
    rows: np.ndarray


def concepts(
    psi: Psi,
    graphs: GraphBatch,
    properties: Table | None = None,
    *,
    seed: int = 0,
    budget: float | Clock | None = None,
    progress: bool | None = None,
) -> Concepts:
    """Fit linear probes that predict properties of graphs from psi, and compare them with controls.

    Probes are cross-validated in 5 folds: ridge regression for numbers, logistic regression for classes. Isomorphic
    graphs count once. Scores are R^2, and `(balanced accuracy - 1/k) / (1 - 1/k)` for k classes. Columns:

    - property, kind ("number", "yes or no" or "classes"), graphs (with a known value), description (sentences).
    - score, low, high: of psi, with a 95 % interval (bootstrap over held-out graphs for fixed probes).
    - control: score for random values per combination of node label counts (Hewitt and Liang 2019). selectivity:
      score - control. shuffled: the same with one random value per graph; about 0 unless something leaks.
    - untrained: score of an embedding with random weights; if as high as score, training is not the reason.
    - size, counts: scores of any function of the number of nodes, and of that and the node label counts.
    - beyond, beyond_low, beyond_high: share of the squared error (or Brier score) left by counts, or by size for
      counts of node labels, that psi removes; nan for the size, and if less than 1 % is left.
    - loss_share: share of the mean loss between two graphs that the property explains, in [0, 1].
    - mark: "not encoded" (score below 0.1, or low not above 0 and shuffled), "explained by size and counts" (beyond
      below 0.1 or not above 0, and counts reach half the score), "encoded" (score at least 0.5, beyond at least
      0.1, low above control), "weakly encoded" otherwise, "not measured" (too few graphs, or too little variation).

    "Not encoded" means not linearly (Alain and Bengio 2017, Conneau et al. 2018).

    Args:
        psi: Maps graphs to unit vectors.
        graphs: At least 50 different graphs; they are rounded, and of more than 2,000 a sample is drawn.
        properties: One row per graph: numbers, booleans or classes of at least 10 graphs, possibly missing. They are
            added to `elekit.audit.properties.graph_properties`, and replace those of the same name.
        seed: Seed of every random choice.
        budget: Seconds for the whole call; then fewer properties are measured, the given ones last.
        progress: As in `Clock.track`.

    Returns:
        The table and the graphs that were used.

    Raises:
        ValueError: If there are fewer than 50 different graphs, or properties has another number of rows.
    """
    from threadpoolctl import threadpool_limits

    graphs = PackedGraphs.of(graphs)
    given = _as_table(graphs, properties)
    generator = np.random.default_rng(seed)
    rows, which = distinct_rows(graphs, generator)
    first = rows[np.unique(which, return_index=True)[1]]  # of each different graph
    if len(first) < MIN_GRAPHS:
        raise ValueError(f"concepts needs at least {MIN_GRAPHS} different graphs, got {len(first)} of {len(graphs)}")
    counted = graph_properties(graphs[torch.from_numpy(rows)])
    own = [name for name in counted if name not in given]
    table = pd.concat([counted[own], given.iloc[rows].reset_index(drop=True)], axis=1)
    baselines = {f"nodes: {label}": Baseline.SIZE for label in graphs.vocabulary.node_labels}
    baselines = {name: kind for name, kind in (baselines | {"nodes": Baseline.NONE}).items() if name in own}
    parsed = [(parse_column(name, table[name], which), baselines.get(name, Baseline.COUNTS)) for name in table]
    with threadpool_limits(1), Clock.of(budget) as clock:  # 1: the matrices are small
        data = _probe_data(psi, graphs[torch.from_numpy(first)], generator, seed)
        figures = _figures(data, parsed, generator, clock, progress)
    late = [(replace(one, note=NO_TIME) if one.target and one.name not in figures else one, b) for one, b in parsed]
    columns = ["property", "kind", "graphs", *FIGURES, "mark", "description"]
    found = pd.DataFrame([_row(one, figures.get(one.name), baseline) for one, baseline in late], columns=columns)
    return Concepts(found.sort_values("score", ascending=False, kind="stable", ignore_index=True), first)


def _as_table(graphs: GraphBatch, given: Table | None) -> pd.DataFrame:
    if given is None:
        return pd.DataFrame(index=range(len(graphs)))
    if isinstance(given, Mapping):
        given = pd.DataFrame({name: pd.Series(list(values)) for name, values in given.items()})
    if len(given) != len(graphs):
        raise ValueError(f"properties must have one row per graph, got {len(given)} rows for {len(graphs)} graphs")
    table = pd.DataFrame(given).reset_index(drop=True)
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    return table.loc[:, ~table.columns.duplicated()]


def _probe_data(psi: Psi, graphs: GraphBatch, generator: np.random.Generator, seed: int) -> ProbeData:
    m, names = len(graphs), graphs.vocabulary
    counts = torch.nn.functional.one_hot(graphs.labels()[0], names.K)[..., 1:].sum(1).double().numpy()
    size = rbf_features(counts.sum(1, keepdims=True))
    features = {
        "score": finite_points(points_of(psi, graphs, check=False)).cpu().double().numpy(),
        "untrained": points_of(untrained(psi, graphs, seed), graphs).double().numpy(),
        "size": size,
        "counts": np.concatenate([size, rbf_features(counts)], 1),
    }
    weight = np.concatenate([np.ones((1, m)), generator.multinomial(m, np.full(m, 1 / m), size=N_BOOTSTRAP)])
    groups = np.unique(counts, axis=0, return_inverse=True)[1].ravel()
    return ProbeData(features, groups, generator.permutation(m) % FOLDS, weight)


def untrained(psi: Psi, graphs: GraphBatch, seed: int) -> GraphEmbedding:
    """An embedding with random weights, of the shape of psi where that is known."""
    config = psi.config if isinstance(psi, GraphEmbedding) else EmbeddingConfig()
    with seeded(seed):
        return GraphEmbedding(graphs.vocabulary, config).eval()


def _figures(
    data: ProbeData,
    parsed: list[tuple[Property, Baseline]],
    generator: np.random.Generator,
    clock: Clock,
    progress: bool | None,
) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    groups: dict[bytes, list[tuple[Property, Baseline]]] = {}
    for one, baseline in parsed:
        if one.target:
            groups.setdefault(one.rows.tobytes(), []).append((one, baseline))  # fitted together
    parts = [some[at : at + TOGETHER] for some in groups.values() for at in range(0, len(some), TOGETHER)]
    for some in clock.track(parts, "concepts", progress=progress):
        here, targets = data.at(some[0][0].rows), [one.target for one, _ in some if one.target]
        each = [{"loss_share": loss_share(here.features["score"], target.columns)} for target in targets]
        for name in here.features:
            for line, draws in zip(each, here.scores(name, targets)):
                line[name] = draws[0]
                if name == "score":
                    line["low"], line["high"] = _interval(draws)
        for name, kinds in (("control", here.groups), ("shuffled", np.arange(len(here.groups)))):
            for line, control in zip(each, here.controls(targets, kinds, generator)):
                line[name] = control
        for name in (Baseline.SIZE, Baseline.COUNTS):
            at = [i for i, (_, baseline) in enumerate(some) if baseline is name]
            for i, draws in zip(at, here.beyond(name, [targets[i] for i in at])):
                each[i]["beyond"], (each[i]["beyond_low"], each[i]["beyond_high"]) = draws[0], _interval(draws)
        for (one, baseline), line in zip(some, each):
            undefined = {Baseline.NONE: ("size", "counts"), Baseline.SIZE: ("counts",)}.get(baseline, ())
            line["selectivity"] = line["score"] - line["control"]
            figures[one.name] = line | dict.fromkeys(undefined, np.nan)
    return figures


def _interval(draws: np.ndarray) -> tuple[float, float]:
    return (np.nan, np.nan) if np.isnan(draws[0]) else central_interval(draws[1:])


def mark(figures: Mapping[str, float], baseline: Baseline) -> Mark:
    if not (figures["score"] >= SOME and figures["low"] > np.nanmax([0.0, figures["shuffled"]])):
        return Mark.NOT_ENCODED
    beyond = not baseline or (figures["beyond"] >= SOME and figures["beyond_low"] > 0)
    if not beyond and (np.isnan(figures["beyond"]) or figures[baseline] >= figures["score"] / 2):
        return Mark.BY_COUNTS
    selective = baseline is Baseline.COUNTS or not figures["low"] <= figures["control"]
    return Mark.ENCODED if beyond and selective and figures["score"] >= MUCH else Mark.WEAK


def _row(one: Property, figures: dict[str, float] | None, baseline: Baseline) -> dict:
    row = {"property": one.name, "kind": str(one.kind), "graphs": int(one.rows.sum())}
    if figures is None:
        return row | {"mark": str(Mark.NOT_MEASURED), "description": f'"{one.name}" is not measured: {one.note}.'}
    verdict = mark(figures, baseline)
    return row | figures | {"mark": str(verdict), "description": _description(one, figures, baseline, verdict)}


def _description(one: Property, figures: dict[str, float], baseline: Baseline, verdict: Mark) -> str:
    texts = {name: percent(max(value, 0.0)) if value >= 0.0005 else "0 %" for name, value in figures.items()}
    score = "R^2" if one.kind is PropertyKind.NUMBER else "adjusted balanced accuracy"
    known = "size" if baseline is Baseline.SIZE else "size and label counts"
    result = verdict if verdict is not Mark.BY_COUNTS else f"explained by {known}"
    interval = f"(95 % interval {texts['low']} to {texts['high']})"
    probed = f"a linear probe of psi has a {score} of {texts['score']} on held-out graphs {interval}"
    parts = [f'"{one.name}" is {result}: {probed}']
    if not np.isnan(figures["control"]):
        parts.append(f"For random values per combination of label counts it has {texts['control']}")
    if baseline and np.isnan(figures["beyond"]):
        parts.append(f"A probe of {known} alone leaves no error that psi could remove")
    elif baseline:
        removed = f"{texts['beyond']} of its error ({texts['beyond_low']} to {texts['beyond_high']})"
        parts.append(f"A probe of {known} alone has {texts[baseline]}; psi removes {removed}")
    if verdict is not Mark.NOT_ENCODED:
        parts.append(f"The property explains {texts['loss_share']} of the mean loss between two graphs")
        if figures["untrained"] >= figures["score"] - CLOSE:
            parts.append(f"Random weights have {texts['untrained']}, so this need not come from training")
    if one.note:
        parts.append(one.note[0].upper() + one.note[1:])
    return ". ".join(parts) + "."
