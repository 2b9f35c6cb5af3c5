"""Measures everything that a card states."""

import json
import os
import platform
import time
from collections.abc import Callable

import numpy as np
import torch
from tqdm.auto import tqdm

import elekit
from elekit.audit.blind_spots import invariance_gaps
from elekit.audit.findings import findings
from elekit.card.cases import cases
from elekit.card.comparisons import agreement, concepts, faithfulness, other_trainings
from elekit.card.context import Context, drawing
from elekit.card.phrases import ends_of
from elekit.card.predictions import costs, coverage, quality
from elekit.card.results import Results, plain_values
from elekit.draw.layouts import layout
from elekit.draw.placement import neighbor_positions
from elekit.draw.scenes import palette
from elekit.evaluation.intervals import central_interval
from elekit.graphs.graph import Graph
from elekit.inspect.edit_costs import EditSample
from elekit.model import artifact as artifacts
from elekit.model.loss import points_of

SHOWN = 5  # examples of blind spots
TYPICAL = 6  # edits nearest to the median price; the one with the best drawing is shown
REWRITTEN = 400  # graphs that are written in other ways
PAIRS = 5_000  # of graphs whose mean loss says how far apart two graphs are

STEPS: dict[str, tuple[str, Callable[[Context, Results], None]]] = {}
"""What is measured, in this order: by name of the table, the label of the progress bar and the function."""


def step(name: str, words: str):
    """Register a function in STEPS."""

    def register(function):
        STEPS[name] = words, function
        return function

    return register


def measure(context: Context, *, progress: bool = False) -> Results:
    """Run all steps. The message of a step that raises ValueError (too few graphs, no inputs) goes into `missing`."""
    import pandas as pd

    results = Results(facts={"loss": identity(context), "trained": trained(context), "data": data_facts(context)})
    if correction := results.facts["trained"]["correction"]:
        results.tables["rules"] = pd.DataFrame(correction["report"]["rules"])
        results.tables["corrected"] = pd.DataFrame(correction["report"]["costs"])
    results.pictures["palette"] = palette(context.artifact.vocabulary)
    seconds = {}
    with tqdm(STEPS.items(), disable=not progress, bar_format="{desc:<34}{bar}| {n}/{total} [{elapsed}]") as bar:
        for name, (words, run) in bar:
            bar.set_description(words)
            started = time.perf_counter()
            if context.data is None:
                results.missing[name] = "there are no data to measure on; name them with --data"
            else:
                try:
                    run(context, results)
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


def identity(context: Context) -> dict:
    """Labels, sizes and digests of the loss."""
    psi, vocabulary = context.artifact.psi, context.artifact.vocabulary
    content = artifacts.verify(context.folder) if context.folder is not None else {}
    return plain_values(
        {
            "name": context.artifact.name,
            "molecular": context.molecular,
            "node_labels": list(vocabulary.node_labels),
            "edge_labels": list(vocabulary.edge_labels),
            "max_nodes": vocabulary.max_nodes,
            "dimensions": psi.config.dim,
            "parameters": sum(weights.numel() for weights in psi.parameters()),
            "surrogates": list(context.artifact.surrogates),
            "surrogate": context.surrogate,
            "repeats": list(context.repeats),
            "digest": None
            if context.folder is None
            else json.loads((context.folder / artifacts.JSON_NAME).read_text())["digest"],
            "files": {name: entry["sha256"] for name, entry in content.get("files", {}).items()},
            "versions": content.get("versions", {}),
        }
    )


def trained(context: Context) -> dict:
    """How the loss and its predictors were trained, from the artifact."""
    about = context.artifact.about
    kept = {"seed": about.get("seed"), "command": about.get("command"), "by": about.get("trained") or {}}
    stages = {"psi": about.get("psi", {}), **about.get("surrogates", {})}
    for name, stage in stages.items():
        history = stage.get("history") or [{}]
        kept[name] = {"training": stage.get("training", {}), "last": history[-1]}
    return plain_values({**kept, "correction": about.get("correction")})


def data_facts(context: Context) -> dict:
    """The data that the loss was trained on, from the artifact, and the data that it is measured on."""
    given = context.data
    now = {} if given is None else {**given.report(), "same": context.same_data()}
    return plain_values({"trained_on": context.artifact.about.get("data", {}), "now": now})


@step("prices", "prices of edits")
def prices(context: Context, results: Results) -> None:
    """The price of each kind of edit with a typical example; and the scale of the loss."""
    graphs = context.graphs
    sample = context.sample
    own = points_of(context.psi, sample.graphs)
    priced = sample.edit_costs(context.psi, own)
    edits, table = priced.edits, priced.summary(seed=context.seed)
    if not len(table):
        raise ValueError("no edit of these graphs gives a valid graph, so there is no price")
    generator = np.random.default_rng(context.seed)
    i, j = generator.integers(len(own), size=(2, PAIRS))
    far = (2 - 2 * (own[i[i != j]].double() * own[j[i != j]].double()).sum(-1)).numpy()
    results.facts["scale"] = plain_values(
        {
            "typical": table["median"].median(),
            "far": far.mean() if len(far) else np.nan,
            "graphs": len(graphs),
            "edits": len(edits),
            "nodes": [int(n) for n in np.unique((graphs.labels()[0] > 0).sum(1).numpy())[[0, -1]]],
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
    best = min(((_placed(sample, e), e) for e in nearest), key=lambda tried: tried[0][0])
    (_, positions), edit = best
    graphs = [sample.graphs[int(sample.edits.row[edit])], sample.results[int(edit)]]
    words = [f"{when}: {name}" for when, name in zip(("before", "after"), context.names(Graph.cat(graphs)))]
    touched = (edits["nodes"][edit], edits["pairs"][edit])
    picture = drawing(graphs, words, row, positions=positions, changed=touched)
    return {**picture, "price": round(float(edits["price"][edit]), 6)}


def _placed(sample: EditSample, edit: int) -> tuple[float, list]:
    """The longest edge in the drawings before and after, and the positions of both; nodes stay in place."""
    before, after = sample.graphs[int(sample.edits.row[edit])], sample.results[int(edit)]
    where = layout(before)
    moved = where.copy()
    new = ((before.labels()[0] == 0) & (after.labels()[0] > 0))[0].nonzero()[:, 0].tolist()
    for node in new:
        ends = after.labels()[1][0, node].nonzero()[:, 0].tolist()
        moved[node] = neighbor_positions(before, where)[ends[0]] if ends else moved[node]
    i, j = after.labels()[1][0].triu(1).nonzero().T.numpy()
    longest = float(np.linalg.norm(moved[i] - moved[j], axis=1).max(initial=0))
    return round(longest, 2), [where, moved]


@step("findings", "checks for defects")
def findings_of(context: Context, results: Results) -> None:
    """Findings, with drawings of their strongest evidence."""
    import pandas as pd

    held_out = context.data.test.graphs if len(context.data.train) and len(context.data.test) else None
    found = findings(context.psi, context.train, held_out=held_out, seed=context.seed)
    rows = [(f.name, str(f.severity), f.strength, f.description) for f in found]
    results.tables["findings"] = pd.DataFrame(rows, columns=["name", "severity", "strength", "description"])
    results.facts["findings"] = {"graphs": min(300, len(context.train)), "held_out": held_out is not None}
    pictures = []
    for row, finding in enumerate(found):
        evidence = finding.evidence
        if isinstance(evidence, tuple) and len(evidence[0]):
            pair = [side[0] for side in evidence]
            pictures.append(drawing(pair, [context.names(side)[0] for side in pair], row))
    results.pictures["findings"] = pictures


@step("blind_spots", "blind spots")
def blind_spots_of(context: Context, results: Results) -> None:
    """Different graphs that the loss hardly separates."""
    pairs = context.blind_pairs
    keep = ["differs", "edits", "proven", "path", "loss", "found"]
    table = pairs.table[keep].copy()
    for side, graphs in (("graph", pairs.graphs), ("other", pairs.others)):
        table[side] = context.names(graphs)
    results.tables["blind_spots"] = table
    groups = pairs.groups()
    results.pictures["blind_spots"] = [
        drawing([pairs.graphs[r], pairs.others[r]], [table["graph"][r], table["other"][r]], r)
        for r in groups["example"].tolist()[:SHOWN]
    ]
    results.facts["blind_spots"] = {"searched": min(2_000, len(context.train)), "starts": 24, "pairs": len(table)}


@step("equals", "equal graphs separated")
def equals(context: Context, results: Results) -> None:
    """The loss between two forms of the same graph, which should be 0."""
    import pandas as pd

    pairs = invariance_gaps(context.psi, context.train, samples=REWRITTEN, seed=context.seed)
    rows = []
    for why, some in pairs.table.groupby("variation", sort=False):
        loss = some["loss"].to_numpy()
        low, high = central_interval(loss)
        worst = int(some["loss"].idxmax())
        rows.append((why, len(some), float(np.median(loss)), low, high, float(loss.max()), worst))
    columns = ["why", "graphs", "median", "low", "high", "most", "example"]
    table = pd.DataFrame(rows, columns=columns).sort_values("most", ascending=False, kind="stable", ignore_index=True)
    results.pictures["equals"] = [
        drawing([pairs.graphs[r], pairs.others[r]], [context.names(pairs.graphs[r])[0]] * 2, row)
        for row, (why, r) in enumerate(zip(table["why"], table["example"]))
        if why == "Kekule form"
    ]
    results.tables["equals"] = table.drop(columns="example")


STEPS |= {
    "agreement": ("against known distances", agreement),
    "concepts": ("properties encoded", concepts),
    "faithfulness": ("faithfulness of explanations", faithfulness),
    "quality": ("quality of predictions", quality),
    "coverage": ("prediction sets", coverage),
    "costs": ("cost of predictions", costs),
    "cases": ("example cases", cases),
    "stability": ("other trainings", other_trainings),
}
