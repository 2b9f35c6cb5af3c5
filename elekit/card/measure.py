"""Measures everything that a card states."""

import math
import os
import platform
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

import elekit
from elekit import audit
from elekit.audit.concepts import Mark
from elekit.card.cases import cases
from elekit.card.comparisons import agreement, claims, concepts, faithfulness, measure_claims, other_trainings
from elekit.card.context import FEW, Context, drawing
from elekit.card.input_changes import input_changes
from elekit.card.phrases import ends_of
from elekit.card.predictions import costs, coverage, quality
from elekit.card.results import Results
from elekit.card.statements import statements
from elekit.draw.layouts import layout
from elekit.draw.placement import neighbor_positions
from elekit.draw.scenes import palette
from elekit.evaluation.formatting import graph_names
from elekit.evaluation.intervals import central_interval, of_replication
from elekit.graphs.graph import Graph
from elekit.graphs.smiles import is_molecular
from elekit.inspect.edit_costs import EditSample
from elekit.model import artifact as artifacts
from elekit.model.health import NOT_MEASURED
from elekit.model.loss import points_of
from elekit.training.health import SECONDS, measure_health
from elekit.widgets.page import plain_values

SHOWN = 5  # examples of blind spots
TYPICAL = 6  # edits nearest to the median price; the one with the best drawing is shown
REWRITTEN = 400  # graphs that are written in other ways
PAIRS = 5_000  # of graphs whose mean loss says how far apart two graphs are
NO_TIME, STOPPED = "the time of the budget was used up", "the measurement was stopped"


def measure(context: Context, steps: Iterable[str] | None = None, *, progress: bool = False) -> Results:
    """Run all steps, or some.

    The message of a step that raises ValueError (too few graphs, no inputs) goes into `missing`.
    """
    results = Results(facts=recorded(context))
    if correction := results.facts["trained"]["correction"]:
        results.tables["rules"] = pd.DataFrame(correction["report"]["rules"])
        results.tables["corrected"] = pd.DataFrame(correction["report"]["costs"])
    results.pictures["palette"] = palette(context.artifact.vocabulary)
    seconds = {}
    looks = "{desc:<34}{bar}| {n}/{total} [{elapsed}<{remaining}]"
    chosen = {name: STEPS[name] for name in STEPS if steps is None or name in steps}
    with context.clock, tqdm(chosen.items(), disable=not progress, bar_format=looks) as bar:
        for name, (title, run) in bar:
            bar.set_description(title)
            started = time.perf_counter()
            try:
                if context.clock.over:
                    raise ValueError(STOPPED if context.clock.interrupted else NO_TIME)
                run(context, results)
                if name in FIGURES:
                    _widen(results.tables[name], FIGURES[name])
            except ValueError as error:
                results.missing[name] = " ".join(str(error).split())
            seconds[name] = round(time.perf_counter() - started, 1)
    results.facts["made"] = {
        "seed": context.seed,
        "elekit": elekit.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "day": time.strftime("%Y-%m-%d"),
        "seconds": seconds,
    }
    return results


def _widen(table: pd.DataFrame, figures: Iterable[str]) -> None:
    """Make confidence intervals those of a replication, see `intervals.of_replication`; shares stay in [0, 1]."""
    for name in figures:
        if name not in table:
            continue
        low, high = (f"{name}_{end}" if f"{name}_{end}" in table else end for end in ("low", "high"))
        value = table[name]
        share = value.min() >= 0 and table[high].max() <= 1
        clusters = table["graphs"] if name == "median" else math.inf
        ends = of_replication(value, table[low], table[high], clusters)
        table[low], table[high] = (end.clip(0, 1) if share else end for end in ends)


def recorded(context: Context) -> dict:
    """What the artifact and the data record: of the loss, of its training, and of the data."""
    artifact, about, folder = context.artifact, context.artifact.about, context.folder
    content = {} if folder is None else artifacts.verify(folder)
    loss = {
        "name": artifact.name,
        "molecular": is_molecular(artifact.vocabulary),
        "node_labels": artifact.vocabulary.node_labels,
        "edge_labels": artifact.vocabulary.edge_labels,
        "max_nodes": artifact.vocabulary.max_nodes,
        "dimensions": artifact.psi.config.dim,
        "parameters": sum(weights.numel() for weights in artifact.psi.parameters()),
        "health": _health(context),
        "surrogates": list(artifact.surrogates),
        "surrogate": context.surrogate,
        "repeats": list(context.repeats),
        "digest": None if folder is None else artifacts.digest(content),
        "files": {name: entry["sha256"] for name, entry in content.get("files", {}).items()},
        "versions": content.get("versions", {}),
    }
    trained = {"seed": about.get("seed"), "command": about.get("command"), "by": about.get("trained") or {}}
    for name, stage in {"psi": about.get("psi", {}), **about.get("surrogates", {})}.items():
        trained[name] = {"training": stage.get("training", {}), "last": (stage.get("history") or [{}])[-1]}
    trained["correction"] = about.get("correction")
    now = {} if context.dataset is None else {**context.dataset.report(), "same": context.same_data()}
    data = {"trained_on": about.get("data", {}), "now": now}
    return plain_values({"loss": loss, "trained": trained, "data": data})


def _health(context: Context) -> str:
    """The verdict on the loss; measured now if the training did not."""
    health = context.artifact.health
    if health is None and context.dataset is not None:
        part = context.clock.part(at_most=SECONDS)
        health = measure_health(context.psi, context.train, held_out=context.held_out, seed=context.seed, budget=part)
    return str(health or NOT_MEASURED)


def prices(context: Context, results: Results) -> None:
    """The price of each kind of edit with a typical example; and the scale of the loss."""
    sample = context.sample
    own = points_of(context.psi, sample.graphs)
    priced = sample.edit_costs(context.psi, own)
    edits, table = priced.edits, priced.summary(seed=context.seed)
    table.loc[table["graphs"] < FEW, ["low", "high"]] = np.nan
    if not len(table):
        raise ValueError("no edit of these graphs gives a valid graph, so there is no price")
    generator = np.random.default_rng(context.seed)
    i, j = generator.integers(len(own), size=(2, PAIRS))
    far = (2 - 2 * (own[i[i != j]].double() * own[j[i != j]].double()).sum(-1)).numpy()
    results.facts["scale"] = plain_values(
        {
            "typical": table["median"].median(),
            "far": far.mean() if len(far) else np.nan,
            "graphs": len(sample.graphs),
            "edits": len(edits),
            "nodes": [int(n) for n in np.unique(sample.graphs.sizes.numpy())[[0, -1]]],
        }
    )
    results.tables["prices"] = table
    dear, cheap = ends_of(table.to_dict("records"))
    results.pictures["prices"] = [
        _example(context, sample, edits, table["kind"][row], row) for row in (*dear, *cheap)
    ]


def _example(context: Context, sample: EditSample, edits, kind: str, row: int) -> dict:
    """A typical edit of a kind: of those nearest to the median price the one with the shortest drawn edges."""
    mine = edits[edits["kind"] == kind]
    nearest = (mine["price"] - mine["price"].median()).abs().sort_values(kind="stable").index[:TYPICAL]
    (_, positions), edit = min(((_placed(sample, e), e) for e in nearest), key=lambda tried: tried[0][0])
    graphs = list(sample.pairs(torch.tensor([edit])))
    words = [f"{when}: {name}" for when, name in zip(("before", "after"), graph_names(Graph.cat(graphs)))]
    changed = edits["nodes"][edit], edits["pairs"][edit]
    picture = drawing(graphs, words, row, positions=positions, changed=changed)
    return {**picture, "price": round(float(edits["price"][edit]), 6)}


def _placed(sample: EditSample, edit: int) -> tuple[float, list]:
    """The longest edge in the drawings before and after, and the positions of both; nodes stay in place."""
    before, after = sample.pairs(torch.tensor([edit]))
    where = layout(before)
    moved = where.copy()
    new = ((before.labels()[0] == 0) & (after.labels()[0] > 0))[0].nonzero()[:, 0].tolist()
    for node in new:
        ends = after.labels()[1][0, node].nonzero()[:, 0].tolist()
        moved[node] = neighbor_positions(before, where)[ends[0]] if ends else moved[node]
    i, j = after.labels()[1][0].triu(1).nonzero().T.numpy()
    longest = float(np.linalg.norm(moved[i] - moved[j], axis=1).max(initial=0))
    return round(longest, 2), [where, moved]


def findings(context: Context, results: Results) -> None:
    """Findings, with drawings of their strongest evidence."""
    held_out = context.held_out
    options: dict[str, Any] = {"held_out": held_out, "seed": context.seed, "budget": context.part()}
    found = audit.findings.findings(context.psi, context.train, **options)
    rows = [(f.name, str(f.severity), f.strength, f.description) for f in found]
    results.tables["findings"] = pd.DataFrame(rows, columns=["name", "severity", "strength", "description"])
    results.facts["findings"] = {"graphs": min(300, len(context.train)), "held_out": held_out is not None}
    pairs = [(row, f.evidence) for row, f in enumerate(found) if isinstance(f.evidence, tuple) and len(f.evidence[0])]
    results.pictures["findings"] = [
        drawing([a[0], b[0]], [graph_names(side[0])[0] for side in (a, b)], row) for row, (a, b) in pairs
    ]


def blind_spots(context: Context, results: Results) -> None:
    """Different graphs that the loss hardly separates."""
    pairs = context.blind_pairs
    table = pairs.table[["differs", "edits", "proven", "path", "loss", "found"]]
    table = table.assign(graph=graph_names(pairs.graphs), other=graph_names(pairs.others))
    results.tables["blind_spots"] = table
    results.pictures["blind_spots"] = [
        drawing([pairs.graphs[r], pairs.others[r]], [table["graph"][r], table["other"][r]], r)
        for r in pairs.groups()["example"].tolist()[:SHOWN]
    ]
    results.facts["blind_spots"] = {"searched": min(2_000, len(context.train)), "starts": 24, "pairs": len(table)}


def equals(context: Context, results: Results) -> None:
    """The loss between two forms of the same graph, which should be 0."""
    pairs = audit.invariance_gaps(
        context.psi, context.train, samples=REWRITTEN, seed=context.seed, budget=context.part()
    )
    rows = []
    for why, some in pairs.table.groupby("variation", sort=False):
        loss = some["loss"].to_numpy()
        low, high = central_interval(loss)
        worst = int(some["loss"].idxmax())
        rows.append((why, len(some), float(np.median(loss)), low, high, float(loss.max()), worst))
    columns = ["why", "graphs", "median", "low", "high", "most", "example"]
    table = pd.DataFrame(rows, columns=columns).sort_values("most", ascending=False, kind="stable", ignore_index=True)
    results.pictures["equals"] = [
        drawing([pairs.graphs[r], pairs.others[r]], [graph_names(pairs.graphs[r])[0]] * 2, row)
        for row, (why, r) in enumerate(zip(table["why"], table["example"]))
        if why == "Kekule form"
    ]
    results.tables["equals"] = table.drop(columns="example")


def replication(context: Context, results: Results) -> None:
    """The figures of the statements, and the comparisons that are claimed, on other graphs."""
    if not context.replicate:
        raise ValueError("the card was made without a second measurement (--replicate)")
    if context.second is None:
        raise ValueError("a second measurement needs 200 graphs for training, and 100 each for validation and tests")
    again = measure(context.second, AGAIN)
    first, second = ({s.key: s for s in statements(Results.from_json(r.to_json()))} for r in (results, again))
    figures: list[tuple] = []
    comparisons: list[tuple] = []
    for key, one in first.items():
        other = second.get(key)
        if other is None:
            continue
        if math.isfinite(one.low) and math.isfinite(other.value):
            figures.append((key, one.value, one.low, one.high, other.value, one.low <= other.value <= one.high))
        if one.unit == "area" and (one.low > 0 or one.high < 0):
            better = one.low > 0
            comparisons.append((key, f"is {'better' if better else 'worse'}", (other.value > 0) == better))
        if "mark" in one.facts and Mark.NOT_MEASURED not in (one.facts["mark"], other.facts["mark"]):
            comparisons.append((key, f"is {one.facts['mark']}", other.facts["mark"] == one.facts["mark"]))
    checks = claims(context, results)
    measured = measure_claims(context, results, context.clock)(context.psi)
    comparisons += [(key, results.facts["claims"][key], check(measured)) for key, check in checks.items()]
    rows = [(*figure, "", None) for figure in figures]
    rows += [(key, *[math.nan] * 4, None, says, kept) for key, says, kept in comparisons]
    columns = ["claim", "value", "low", "high", "again", "holds", "says", "kept"]
    results.tables["replication"] = pd.DataFrame(rows, columns=columns)


AGAIN = (
    "prices", "findings", "blind_spots", "equals", "agreement", "concepts", "faithfulness", "quality", "coverage",
    "input_changes",
)  # fmt: skip
FIGURES = {
    "prices": ("median",), "agreement": ("spearman",),
    "faithfulness": ("area", "ahead"), "quality": ("exact", "edits", "valid"), "slices": ("exact", "edits", "valid"),
    "coverage": ("coverage",), "input_changes": ("covered", "wrong_but_sure"), "costs": ("exact",),
}  # fmt: skip
"""Columns with confidence intervals, by name of the table."""
STEPS: dict[str, tuple[str, Callable[[Context, Results], None]]] = {
    "prices": ("prices of edits", prices),
    "findings": ("checks for defects", findings),
    "blind_spots": ("blind spots", blind_spots),
    "equals": ("equal graphs separated", equals),
    "agreement": ("against known distances", agreement),
    "concepts": ("properties encoded", concepts),
    "faithfulness": ("faithfulness of explanations", faithfulness),
    "quality": ("quality of predictions", quality),
    "coverage": ("prediction sets", coverage),
    "input_changes": ("inputs with typos", input_changes),
    "costs": ("cost of predictions", costs),
    "cases": ("example cases", cases),
    "stability": ("other trainings", other_trainings),
    "replication": ("measured again", replication),
}
"""What is measured, in this order: by name of the table, the label of the progress bar and the function."""
