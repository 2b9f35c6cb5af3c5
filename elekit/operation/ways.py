"""Ways to decode, from quick to thorough, each with its time and the share of exact answers.

The card, `elekit estimate` and `elekit compress` measure them in the same way, on the same kind of cases.
"""

import math
import time
from collections.abc import Mapping
from typing import Any

import pandas as pd
from torch import Tensor

from elekit.decoding import Candidates
from elekit.evaluation import evaluate
from elekit.evaluation.intervals import wilson
from elekit.evaluation.judging import decode_many
from elekit.graphs.budget import Clock
from elekit.graphs.graph import Graph, GraphBatch
from elekit.model.loss import Psi
from elekit.operation.predictor import decode_config

Settings = Mapping[str, Any]
NARROW = {"beam": 1, "screen": 60, "rounds": 6, "search_starts": 1}
COLUMNS = ["way", "gradient", "starts", "iterations", "count", "exact", "low", "high", "milliseconds", "loss"]


def ways(*, own_graphs: bool, candidates: bool, local: bool = False) -> dict[str, Settings]:
    """Ways to decode, by a description.

    Args:
        own_graphs: Whether h gives relaxed graphs of its own (graph head).
        candidates: Whether there are graphs to choose from.
        local: Whether psi is local and its graphs are too large for gradient descent: growth takes its place.

    Returns:
        The settings of each, see `decode_config`, from quick to thorough of a kind.
    """
    found: dict[str, Settings] = {}
    if own_graphs:
        found["its own graph, rounded"] = {"method": "rounded"}
        found["its own graph, rounded and edited (narrow)"] = {"method": "rounded+polish", **NARROW}
        found["its own graph, rounded and edited"] = {"method": "rounded+polish"}
    if candidates:
        found["nearest known graph"] = {"method": "candidates"}
        found["nearest known graphs, edited (narrow)"] = {"method": "candidates+polish", **NARROW}
        for beam in (1, 2, 4):
            starts = min(beam, 3)
            found[f"nearest known graphs, edited (beam {beam})"] = {
                "method": "candidates+polish", "search_starts": starts, "beam": beam,
            }  # fmt: skip
    if local:
        return found | {"grown from pieces, then edited": {"method": "growth+polish"}}
    for starts, iterations in ((1, 25), (1, 100), (4, 100), (8, 100)):
        way = f"gradient descent, {starts} start{'s' * (starts > 1)}, {iterations} iterations"
        found[way] = {"method": "gradient", "starts": starts, "iterations": iterations}
    return found | {"gradient descent, 4 starts, then edited": {"method": "gradient+polish", "starts": 4}}


def measure_ways(
    psi: Psi, target: Tensor, truth: GraphBatch, chosen: Mapping[str, Settings], *,
    candidates: Candidates | None = None, start: Graph | None = None, seed: int = 0, clock: Clock | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Time and exact matches of each way, on the same targets.

    Args:
        psi: The embedding.
        target: (B, D) unit vectors.
        truth: The B true graphs.
        chosen: Ways to decode, as `ways` returns them.
        candidates: Graphs to choose from, for ways that need them.
        start: B relaxed graphs, for ways that round given ones.
        seed: Seed of random starts.
        clock: Time left; when it is over, further ways are left out, but the first is measured.

    Returns:
        One row per way: way, gradient (whether it descends), starts, iterations, count, exact (share, with the
        Wilson 95 % interval low to high), milliseconds (per graph), loss (mean).
    """
    clock = clock or Clock()
    rows: list[tuple[Any, ...]] = []
    for way, settings in chosen.items():
        if rows and clock.over:
            break
        config = decode_config({**settings, "seed": seed})
        descends = str(config.method).startswith("gradient")
        given: dict[str, Any] = {"candidates": None if descends else candidates}
        given["start"] = start if config.needs_start else None
        began = time.perf_counter()
        decoded = decode_many(psi, target, config=config, **given)
        milliseconds = 1_000 * (time.perf_counter() - began) / len(target)
        exact = evaluate(decoded.graphs, truth, edit_distance=False)["exact"]
        steps = (config.gradient.starts, config.gradient.iterations) if descends else (0, 0)
        share = (len(exact), float(exact.mean()), *wilson(int(exact.sum()), len(exact)))
        rows.append((way, descends, *steps, *share, milliseconds, float(decoded.loss.mean())))
    return pd.DataFrame(rows, columns=COLUMNS)


def best_within(table: pd.DataFrame, milliseconds: float = math.inf) -> pd.Series | None:
    """The way with the most exact answers within a budget; of equals the quickest.

    Args:
        table: As `measure_ways` returns it.
        milliseconds: Most time per graph.

    Returns:
        Its row; None if no way is quick enough.
    """
    quick = table[table["milliseconds"] <= milliseconds]
    if quick.empty:
        return None
    return quick.sort_values(["exact", "milliseconds"], ascending=[False, True], kind="stable").iloc[0]


def front(table: pd.DataFrame) -> pd.DataFrame:
    """The ways that no other one beats in both time and exact answers, quickest first.

    Args:
        table: As `measure_ways` returns it.

    Returns:
        Some of its rows.
    """
    ordered = table.sort_values(["milliseconds", "exact"], ascending=[True, False], kind="stable")
    before = ordered["exact"].cummax().shift(fill_value=-1.0)
    return ordered[ordered["exact"] > before]
