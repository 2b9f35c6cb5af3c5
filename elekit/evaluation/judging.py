"""Judge predicted graphs against the truth: one row per prediction."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.datasets import Split
from elekit.decoding import Candidates, DecodeConfig, Decoded, decode
from elekit.decoding.candidates import constraints_of
from elekit.decoding.trace import concatenate
from elekit.evaluation import ranking
from elekit.graphs.budget import Clock
from elekit.graphs.constraints import Constraints
from elekit.graphs.edit_distance import edit_distance as exact_edit_distance
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.features import is_connected
from elekit.graphs.graph import GraphBatch
from elekit.graphs.isomorphism import TooSymmetricError
from elekit.graphs.smiles import canonicalized, is_molecular, to_smiles
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.model.loss import Psi, points_of, squared_distance
from elekit.model.surrogate import SurrogateRegressor
from elekit.model.surrogate.reader import Reading

SAME = 1e-5  # graphs with a smaller learned loss count as the same
BATCH_SIZE = 256  # bounds the memory of decoding


def evaluate(
    predicted: GraphBatch, truth: GraphBatch, *, edit_distance: bool = True, timeout: float = 2.0,
    ranks: Tensor | None = None, constraints: Constraints = Constraints(), budget: float | Clock | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Compare predicted graphs with true ones, pair by pair.

    Molecules are brought to one Kekule form first, see `elekit.graphs.smiles.canonicalized`.

    Args:
        predicted: B graphs; rounded.
        truth: B graphs; rounded.
        edit_distance: Whether to compute edit distances.
        timeout: Seconds per pair for the exact edit distance.
        ranks: (B,) rank of the truth among candidates.
        constraints: What predictions should satisfy, such as those of the decoder; one that some true graph violates
            does not count.
        budget: Seconds for all edit distances; those that are not proven in time are upper bounds.
        progress: Whether to show progress bars; None shows them after 2 s, if standard error is a terminal.

    Returns:
        One row per pair: exact (labeled isomorphism), too_symmetric (only if some pairs are too symmetric to compare;
        they count as not exact), edit_distance_unlabelled and edit_distance (without and with
        edge labels, in edits), proven (both are exact), edit_distance_at_least (only if some are not; a lower bound
        of edit_distance), rank if given; connected (only if all true graphs are connected and some predicted ones
        are not); valid (only of molecules, and if constraints ask for more than connected graphs: they are satisfied,
        the prediction is connected if all true graphs are, and RDKit sanitizes molecules); for molecules also
        predicted and truth (SMILES).

    Raises:
        ValueError: If batch sizes or labels differ.
    """
    if len(predicted) != len(truth):
        raise ValueError(f"predictions are compared pair by pair, got {len(predicted)} for {len(truth)} true graphs")
    for name in ("node_labels", "edge_labels"):
        ours, true = getattr(predicted.vocabulary, name), getattr(truth.vocabulary, name)
        if ours != true:
            raise ValueError(f"predicted and true graphs differ in {name}: {list(ours)} and {list(true)}")
    columns: dict[str, Any] = {}
    constraints = constraints.held_by(truth)
    whole = is_connected(predicted).numpy() | (not constraints.connected)
    if not whole.all():
        columns["connected"] = whole
    valid = (constraints.structural(predicted) == 0).numpy()
    if constraints != Constraints(connected=constraints.connected):
        columns["valid"] = valid
    if is_molecular(truth.vocabulary):
        for name, graphs in (("predicted", predicted), ("truth", truth)):
            columns[name] = pd.Series(to_smiles(graphs), dtype=object)  # pandas would turn None into NaN
        columns["valid"] = valid & [smiles is not None for smiles in columns["predicted"]]
        predicted, truth = canonicalized(predicted), canonicalized(truth)
    exact, hard = _compared(predicted, truth)
    columns["exact"] = exact.tolist()
    if any(hard):
        columns["too_symmetric"] = hard
    if edit_distance:
        columns |= _edit_distances(predicted, truth, (~exact).nonzero()[:, 0], timeout, Clock.of(budget), progress)
    if ranks is not None:
        columns["rank"] = ranks.tolist()
    return pd.DataFrame(columns)


def _edit_distances(
    predicted: GraphBatch, truth: GraphBatch, rows: Tensor, timeout: float, clock: Clock, progress: bool | None
) -> dict[str, list[float]]:
    """Columns with the edit distances of these rows; the others are equal."""
    distance, plain, at_least = torch.zeros(3, len(truth)).unbind()
    proven = torch.ones(len(truth), dtype=torch.bool)
    if len(rows):
        shared: dict[str, Any] = {"timeout": timeout, "progress": progress}
        pairs = predicted[rows], truth[rows]
        with clock:
            found = exact_edit_distance(*pairs, budget=clock.part(1 / 2), **shared)
            without = exact_edit_distance(*pairs, edge_labels=False, budget=clock, **shared)
        distance[rows], at_least[rows] = found.distance, found.at_least
        plain[rows] = without.distance.minimum(found.distance)  # which is never smaller
        proven[rows] = found.proven & (plain[rows] <= without.at_least)
    columns = {"edit_distance_unlabelled": plain.tolist(), "edit_distance": distance.tolist()}
    if not proven.all():
        columns["edit_distance_at_least"] = at_least.tolist()
    return {**columns, "proven": proven.tolist()}


def _compared(predicted: GraphBatch, truth: GraphBatch) -> tuple[Tensor, list[bool]]:
    """(B,) bool, which pairs are equal; and which are too symmetric to compare."""
    try:
        return isomorphic(predicted, truth), [False] * len(truth)
    except TooSymmetricError:
        hard = []
        exact = torch.zeros(len(truth), dtype=torch.bool)
        for i in range(len(truth)):
            try:
                exact[i] = isomorphic(predicted[i], truth[i])[0]
                hard.append(False)
            except TooSymmetricError:
                hard.append(True)
        return exact, hard


def summarize(table: pd.DataFrame) -> dict[str, float]:
    """Average a table of `evaluate`.

    Args:
        table: As returned by `evaluate`; optionally with columns loss and loss_of_truth.

    Returns:
        Plain numbers: count, shares in [0, 1], edit distances in edits, hits@1, hits@10 and mrr if there are ranks.
    """

    def means(*names: str) -> dict[str, float]:
        return {name: float(table[name].mean()) for name in names if name in table}

    edits = "edit_distance_unlabelled", "edit_distance", "edit_distance_at_least"
    summary = {"count": len(table)} | means("exact", "valid", "connected", *edits)
    if "proven" in table:
        summary["edit_distances_not_proven"] = int((~table["proven"]).sum())
    if "too_symmetric" in table:
        summary["too_symmetric"] = int(table["too_symmetric"].sum())
    if "rank" in table:
        ranks = torch.tensor(table["rank"].tolist())
        summary |= {f"hits@{k}": ranking.hits_at(ranks, k) for k in (1, 10)}
        summary["mrr"] = ranking.mean_reciprocal_rank(ranks)
    summary |= means("loss", "loss_of_truth")
    if "loss_of_truth" in table:
        better = (table["loss"] < table["loss_of_truth"] - 1e-6) & ~table["exact"].astype(bool)
        summary["fits_better_than_truth"] = float(better.mean())
    return summary


@dataclass(frozen=True, eq=False)
class Judgment:
    """Evaluation of a decoded batch."""

    decoded: Decoded
    table: pd.DataFrame  # of `evaluate`, with loss and loss_of_truth in [0, 4]
    summary: dict[str, float]  # of `summarize`, with seconds and graphs_per_second of decoding


def decode_many(
    psi: Psi, target: Tensor, *, candidates: GraphBatch | Candidates | None = None, start: GraphBatch | None = None,
    config: DecodeConfig = DecodeConfig(), record: bool = False, budget: float | Clock | None = None,
    progress: bool | None = None,
) -> Decoded:  # fmt: skip
    """Decode any number of targets (B, D) with bounded memory, unless traces are recorded.

    Arguments as of `decode`; each batch gets its share of the budget. progress: as in `Clock.track`.
    """
    if candidates is not None:
        candidates = Candidates.of(psi, candidates).within(config.constraints or Constraints())
    pieces, batches = [], range(0, len(target), BATCH_SIZE)
    with Clock.of(budget) as clock:
        for done, first in enumerate(clock.track(batches, "decoding", progress=progress, to_end=True)):
            rows, part = slice(first, first + BATCH_SIZE), clock.part(1 / (len(batches) - done))
            some = start if start is None or len(start) == 1 else start[rows]
            shared: dict[str, Any] = {"config": config, "record": record, "budget": part}
            pieces.append(decode(psi, target[rows], candidates=candidates, start=some, **shared))
    return concatenate(pieces)


def readable(h: SurrogateRegressor, split: Split) -> tuple[Split, list[Reading]]:
    """The pairs whose input h does not refuse, and the readings of all inputs.

    Args:
        h: The surrogate.
        split: n pairs with inputs.

    Returns:
        A split, and n readings.
    """
    readings = h.read(split.inputs)
    rows = [row for row, one in enumerate(readings) if not one.refused]
    return (split if len(rows) == len(split) else split.take(rows)), readings


def check_pairs(target: Tensor, truth: GraphBatch) -> None:
    if len(target) != len(truth) or not len(truth):
        raise ValueError(f"need one target per true graph, at least one; got {len(target)} and {len(truth)}")


def judge(
    psi: Psi, target: Tensor, truth: GraphBatch, *, candidates: GraphBatch | Candidates | None = None,
    config: DecodeConfig = DecodeConfig(), start: GraphBatch | None = None, timeout: float = 2.0,
    rank_among: GraphBatch | Candidates | None = None, truth_among: Tensor | None = None,
    budget: float | Clock | None = None, progress: bool | None = None,
) -> Judgment:  # fmt: skip
    """Decode targets, measure the time, and compare with the truth.

    Args:
        psi: The embedding.
        target: (B, D) h(x), or psi(truth) to measure how decodable the loss itself is.
        truth: B graphs.
        candidates: Graphs to choose from or to start from. Embedding them does not count as decoding time.
        config: How to decode.
        start: Relaxed graphs, one or B, see `elekit.decoding.decode`.
        timeout: Seconds per pair for the exact edit distance.
        rank_among: Graphs that contain each truth once, for Hits@k and MRR.
        truth_among: (B,) rows of the truths in `rank_among`; None for 0..B-1.
        budget: Seconds for decoding, at most half of them, and for edit distances. After them, and after Ctrl-C, the
            best graphs so far are judged by bounds of their edit distances.
        progress: Whether to show progress bars; None shows them after 2 s, if standard error is a terminal.

    Returns:
        The predictions, their table and their summary; truths_among_candidates is the number of truths that equal a
        candidate, unfinished the number of targets whose search was cut off, interrupted whether Ctrl-C did that.

    Raises:
        ValueError: If there are no targets, or not one for each true graph.
    """
    check_pairs(target, truth)
    target = target.detach()
    if candidates is not None:
        candidates = Candidates.of(psi, candidates)
    with Clock.of(budget) as clock:
        started = time.perf_counter()
        decoding: dict[str, Any] = {"budget": clock.part(1 / 2), "progress": progress}
        decoded = decode_many(psi, target, candidates=candidates, start=start, config=config, **decoding)
        seconds = time.perf_counter() - started
        ranks = None
        if rank_among is not None:
            gallery = Candidates.of(psi, rank_among)
            rows = torch.arange(len(target)) if truth_among is None else truth_among
            ranks = ranking.ranks(2 - 2 * target @ gallery.points.T, rows)
        constraints = constraints_of(psi, config.constraints)
        shared: dict[str, Any] = {"constraints": constraints, "budget": clock, "progress": progress}
        table = evaluate(decoded.graphs, truth, timeout=timeout, ranks=ranks, **shared)
    table["loss"] = decoded.loss.numpy()
    points = points_of(psi, truth)
    table["loss_of_truth"] = squared_distance(points, target).clamp_min(0).numpy().astype(np.float64)
    summary = summarize(table) | {"seconds": seconds, "graphs_per_second": len(target) / seconds}
    if candidates is not None:
        summary["truths_among_candidates"] = _number_among(truth, points, candidates)
    summary |= {"unfinished": decoded.unfinished} if decoded.unfinished else {}
    return Judgment(decoded, table, summary | ({"interrupted": True} if clock.interrupted else {}))


def _number_among(truth: GraphBatch, points: Tensor, candidates: Candidates) -> int:
    """Number of true graphs that equal a candidate; only candidates whose points coincide are compared."""
    counts, others = graph_hashes(truth, 0)[:, 0], graph_hashes(candidates.graphs, 0)[:, 0]
    pairs = []
    for first in range(0, len(truth), BATCH_SIZE):
        rows = slice(first, first + BATCH_SIZE)
        close = 2 - 2 * points[rows] @ candidates.points.T <= SAME
        pairs.append((close & (counts[rows, None] == others)).nonzero() + torch.tensor([first, 0]))
    which, of = torch.cat(pairs).T
    if not len(which):
        return 0
    of_all, of = of.unique(return_inverse=True)
    near = candidates.graphs[of_all]
    if is_molecular(truth.vocabulary):
        truth, near = canonicalized(truth), canonicalized(near)
    alike = (graph_hashes(truth, ROUNDS)[which] == graph_hashes(near, ROUNDS)[of]).all(1)
    which, of = which[alike], of[alike]
    equal, _ = _compared(truth[which], near[of])
    return len(which[equal].unique())
