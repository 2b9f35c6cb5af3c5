"""Everything that a card says, measured in one go."""

import json
import os
import platform
import time
from collections.abc import Callable

import numpy as np
import torch
from tqdm.auto import tqdm

import elekit
from elekit.audit.blind_spots import separated_equals
from elekit.audit.findings import findings
from elekit.card.measured import Measured, plain_values
from elekit.card.offline import cases
from elekit.card.predictions import costs, coverage, quality
from elekit.card.relations import agreement, concepts, faithfulness, in_other_trainings
from elekit.card.subject import Subject, drawn
from elekit.card.wording import ends_of
from elekit.draw.layouts import layout
from elekit.draw.placement import neighbor_positions
from elekit.draw.scenes import palette
from elekit.evaluation.intervals import central
from elekit.graphs.graph import Graph
from elekit.inspect.edit_costs import EditSample
from elekit.model import artifact as artifacts
from elekit.model.loss import points_of

SHOWN = 5  # examples of blind spots
TYPICAL = 6  # edits nearest to the median, of which the one that is drawn best is shown
REWRITTEN = 400  # graphs that are written in other ways
PAIRS = 5_000  # of graphs whose mean loss says how far apart two graphs are

STEPS: dict[str, tuple[str, Callable[[Subject, Measured], None]]] = {}
"""What is measured, in this order: the name of the table, the words of the progress bar, and how."""


def step(name: str, words: str):
    """Puts a function into STEPS."""

    def put(function):
        STEPS[name] = words, function
        return function

    return put


def measure(subject: Subject, *, progress: bool = False) -> Measured:
    """Ask everything, and keep why where there is no answer.

    A question that refuses (too few graphs, no inputs) leaves its sentence in `missing`; the others go on.
    progress: show a bar that names the steps.
    """
    import pandas as pd

    found = Measured(facts={"loss": identity(subject), "trained": trained(subject), "data": data_facts(subject)})
    if correction := found.facts["trained"]["correction"]:
        found.tables["rules"] = pd.DataFrame(correction["report"]["rules"])
        found.tables["corrected"] = pd.DataFrame(correction["report"]["costs"])
    found.pictures["palette"] = palette(subject.artifact.vocabulary)
    seconds = {}
    with tqdm(STEPS.items(), disable=not progress, bar_format="{desc:<34}{bar}| {n}/{total} [{elapsed}]") as bar:
        for name, (words, ask) in bar:
            bar.set_description(words)
            started = time.perf_counter()
            if subject.data is None:
                found.missing[name] = "there are no data at hand to ask about; give them with --data"
            else:
                try:
                    ask(subject, found)
                except ValueError as refused:
                    found.missing[name] = " ".join(str(refused).split())
            seconds[name] = round(time.perf_counter() - started, 1)
    found.facts["made"] = {
        "seed": subject.seed,
        "elekit": elekit.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "day": time.strftime("%Y-%m-%d"),
        "seconds": seconds,
    }
    return found


def identity(subject: Subject) -> dict:
    """What the loss is: labels, shape and digests."""
    psi, vocabulary = subject.artifact.psi, subject.artifact.vocabulary
    content = artifacts.verify(subject.folder) if subject.folder is not None else {}
    return plain_values(
        {
            "name": subject.artifact.name,
            "molecular": subject.molecular,
            "node_labels": list(vocabulary.node_labels),
            "edge_labels": list(vocabulary.edge_labels),
            "max_nodes": vocabulary.max_nodes,
            "dimensions": psi.config.dim,
            "parameters": sum(weights.numel() for weights in psi.parameters()),
            "surrogates": list(subject.artifact.surrogates),
            "surrogate": subject.surrogate,
            "repeats": list(subject.repeats),
            "digest": None
            if subject.folder is None
            else json.loads((subject.folder / artifacts.JSON_NAME).read_text())["digest"],
            "files": {name: entry["sha256"] for name, entry in content.get("files", {}).items()},
            "versions": content.get("versions", {}),
        }
    )


def trained(subject: Subject) -> dict:
    """What the artifact says of its trainings."""
    about = subject.artifact.about
    kept = {"seed": about.get("seed"), "command": about.get("command"), "by": about.get("trained") or {}}
    stages = {"psi": about.get("psi", {}), **about.get("surrogates", {})}
    for name, stage in stages.items():
        history = stage.get("history") or [{}]
        kept[name] = {"training": stage.get("training", {}), "last": history[-1]}
    return plain_values({**kept, "correction": about.get("correction")})


def data_facts(subject: Subject) -> dict:
    """What the loss was learned from, by its own account, and what it is held against here."""
    given = subject.data
    now = {} if given is None else {**given.report(), "same": subject.known_data()}
    return plain_values({"trained_on": subject.artifact.about.get("data", {}), "now": now})


@step("prices", "prices of edits")
def prices(subject: Subject, found: Measured) -> None:
    """What each kind of edit costs, with a typical example of each kind; and the yardstick for all of it."""
    graphs = subject.asked
    sample = subject.sample
    own = points_of(subject.psi, sample.graphs)
    priced = sample.edit_costs(subject.psi, own)
    edits, table = priced.edits, priced.summary(seed=subject.seed)
    if not len(table):
        raise ValueError("none of the graphs has an edit that leaves a valid graph, so there is nothing to price")
    generator = np.random.default_rng(subject.seed)
    i, j = generator.integers(len(own), size=(2, PAIRS))
    far = (2 - 2 * (own[i[i != j]].double() * own[j[i != j]].double()).sum(-1)).numpy()
    found.facts["scale"] = plain_values(
        {
            "typical": table["median"].median(),
            "far": far.mean() if len(far) else np.nan,
            "graphs": len(graphs),
            "edits": len(edits),
            "nodes": [int(n) for n in np.unique((graphs.labels()[0] > 0).sum(1).numpy())[[0, -1]]],
        }
    )
    found.tables["prices"] = table
    dear, cheap = ends_of(table.to_dict("records"))
    found.pictures["prices"] = [_example(subject, sample, edits, table["kind"][row], row) for row in (*dear, *cheap)]


def _example(subject: Subject, sample: EditSample, edits, kind: str, row: int) -> dict:
    """A typical edit of a kind: of those nearest to the median price the one whose edges are drawn shortest."""
    mine = edits[edits["kind"] == kind]
    nearest = (mine["price"] - mine["price"].median()).abs().sort_values(kind="stable").index[:TYPICAL]
    best = min(((_placed(sample, e), e) for e in nearest), key=lambda tried: tried[0][0])
    (_, positions), edit = best
    graphs = [sample.graphs[int(sample.edits.row[edit])], sample.results[int(edit)]]
    words = [f"{when}: {name}" for when, name in zip(("before", "after"), subject.names(Graph.cat(graphs)))]
    touched = (edits["nodes"][edit], edits["pairs"][edit])
    picture = drawn(graphs, words, row, positions=positions, changed=touched)
    return {**picture, "price": round(float(edits["price"][edit]), 6)}


def _placed(sample: EditSample, edit: int) -> tuple[float, list]:
    """The longest edge in the drawings before and after, and positions of both: nodes stay where they are."""
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


@step("findings", "what is wrong with it")
def findings_of(subject: Subject, found: Measured) -> None:
    """Findings, and their strongest evidence as pictures."""
    import pandas as pd

    held_out = subject.data.test.graphs if len(subject.data.train) and len(subject.data.test) else None
    told = findings(subject.psi, subject.train, held_out=held_out, seed=subject.seed)
    rows = [(f.what, f.severity, f.strength, f.says) for f in told]
    found.tables["findings"] = pd.DataFrame(rows, columns=["what", "severity", "strength", "says"])
    found.facts["findings"] = {"graphs": min(300, len(subject.train)), "held_out": held_out is not None}
    pictures = []
    for row, finding in enumerate(told):
        evidence = finding.evidence
        if isinstance(evidence, tuple) and len(evidence[0]):
            pair = [side[0] for side in evidence]
            pictures.append(drawn(pair, [subject.names(side)[0] for side in pair], row))
    found.pictures["findings"] = pictures


@step("blind_spots", "what it cannot see")
def blind_spots_of(subject: Subject, found: Measured) -> None:
    """Different graphs that it hardly separates."""
    pairs = subject.blind_pairs
    keep = ["differs", "edits", "proven", "path", "loss", "found"]
    table = pairs.table[keep].copy()
    for side, graphs in (("graph", pairs.graphs), ("other", pairs.others)):
        table[side] = subject.names(graphs)
    found.tables["blind_spots"] = table
    groups = pairs.groups()
    found.pictures["blind_spots"] = [
        drawn([pairs.graphs[r], pairs.others[r]], [table["graph"][r], table["other"][r]], r)
        for r in groups["example"].tolist()[:SHOWN]
    ]
    found.facts["blind_spots"] = {"searched": min(2_000, len(subject.train)), "starts": 24, "pairs": len(table)}


@step("equals", "equal graphs told apart")
def equals(subject: Subject, found: Measured) -> None:
    """The same graph written in another way, which should cost nothing."""
    import pandas as pd

    pairs = separated_equals(subject.psi, subject.train, samples=REWRITTEN, seed=subject.seed)
    rows = []
    for why, some in pairs.table.groupby("why", sort=False):
        loss = some["loss"].to_numpy()
        low, high = central(loss)
        worst = int(some["loss"].idxmax())
        rows.append((why, len(some), float(np.median(loss)), low, high, float(loss.max()), worst))
    columns = ["why", "graphs", "median", "low", "high", "most", "example"]
    table = pd.DataFrame(rows, columns=columns).sort_values("most", ascending=False, kind="stable", ignore_index=True)
    found.pictures["equals"] = [
        drawn([pairs.graphs[r], pairs.others[r]], [subject.names(pairs.graphs[r])[0]] * 2, row)
        for row, (why, r) in enumerate(zip(table["why"], table["example"]))
        if why == "Kekule form"
    ]
    found.tables["equals"] = table.drop(columns="example")


STEPS |= {
    "agreement": ("against known distances", agreement),
    "concepts": ("what it encodes", concepts),
    "faithfulness": ("whether its shares are faithful", faithfulness),
    "quality": ("how well predictions do", quality),
    "coverage": ("how sure predictions are", coverage),
    "costs": ("what a prediction costs", costs),
    "cases": ("cases to look at", cases),
    "stability": ("what holds in other trainings", in_other_trainings),
}
