"""Judging predictions: one row a prediction, one DataFrame (floor 3)."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.decoding import Candidates, DecodeConfig, Decoded, decode
from elekit.decoding.candidates import nearest
from elekit.evaluation import ranking
from elekit.graphs.edit_distance import edit_distance as exact_edit_distance
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, points_of, squared_distance

SAME = 1e-5  # learned loss below which two graphs count as one
GRAPHS_A_BATCH = 256  # decoded at a time, so that memory stays bounded


def evaluate(
    predicted: Graph,
    truth: Graph,
    *,
    edit_distance: bool = True,
    timeout: float = 10.0,
    ranks: Tensor | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Judge predicted graphs against true ones, pair by pair; both rounded.

    Columns: exact (labeled isomorphism); edit_distance_unlabelled and edit_distance (without and with edge labels)
    and proven (both within `timeout` seconds); for molecules also valid (RDKit sanitizes the prediction), predicted
    and truth (SMILES). Molecules are first brought to one Kekule form, see `chem.canonicalized`. ranks: (B,) rank of
    the truth among candidates, as a column `rank`; `summarize` makes Hits@k and MRR of it.
    Raises ValueError for batches of different sizes or labels.
    """
    from elekit.graphs.smiles import (  # RDKit loads here, not with `import elekit`
        canonicalized,
        is_molecular,
        to_smiles,
    )

    if len(predicted) != len(truth):
        raise ValueError(f"predictions are judged pair by pair, got {len(predicted)} for {len(truth)} true graphs")
    for name in ("node_labels", "edge_labels"):
        ours, theirs = getattr(predicted.vocabulary, name), getattr(truth.vocabulary, name)
        if ours != theirs:
            raise ValueError(f"predicted and true graphs differ in {name}: {list(ours)} and {list(theirs)}")
    molecular = is_molecular(truth.vocabulary)
    columns = {}
    if molecular:
        for name, graphs in (("predicted", predicted), ("truth", truth)):
            columns[name] = pd.Series(to_smiles(graphs), dtype=object)  # pandas would make NaN of None
        columns["valid"] = [smiles is not None for smiles in columns["predicted"]]
        predicted, truth = canonicalized(predicted), canonicalized(truth)
    exact = isomorphic(predicted, truth)
    columns["exact"] = exact.tolist()
    if edit_distance:
        wrong = (~exact).nonzero()[:, 0]
        proven = torch.ones(len(exact), dtype=torch.bool)
        for name, labeled in (("edit_distance_unlabelled", False), ("edit_distance", True)):
            distance = torch.zeros(len(exact))
            if len(wrong):
                found = exact_edit_distance(
                    predicted[wrong], truth[wrong], edge_labels=labeled, timeout=timeout, progress=progress
                )
                distance[wrong] = found.distance
                proven[wrong] &= found.proven
            columns[name] = distance.tolist()
        columns["proven"] = proven.tolist()
    if ranks is not None:
        columns["rank"] = ranks.tolist()
    return pd.DataFrame(columns)


def summarize(table: pd.DataFrame) -> dict:
    """Means of a table of `evaluate`, as plain numbers: shares in [0, 1], edit distances in edits."""
    summary: dict = {"count": len(table)}
    for name in ("exact", "valid", "edit_distance_unlabelled", "edit_distance"):
        if name in table:
            summary[name] = float(table[name].mean())
    if "proven" in table:
        summary["edit_distances_not_proven"] = int((~table["proven"]).sum())
    if "rank" in table:
        ranks = torch.tensor(table["rank"].tolist())
        summary |= {f"hits@{k}": ranking.hits_at(ranks, k) for k in (1, 10)}
        summary["mrr"] = ranking.mean_reciprocal_rank(ranks)
    for name in ("loss", "loss_of_truth"):
        if name in table:
            summary[name] = float(table[name].mean())
    if "loss_of_truth" in table:
        better = (table["loss"] < table["loss_of_truth"] - 1e-6) & ~table["exact"].astype(bool)
        summary["fits_better_than_truth"] = float(better.mean())
    return summary


@dataclass(frozen=True, eq=False)
class Judgment:
    """A decoded batch judged. table: one row a prediction; summary: see `summarize`, and the time of decoding."""

    decoded: Decoded
    table: pd.DataFrame
    summary: dict


def decode_many(
    psi: Psi,
    target: Tensor,
    *,
    candidates: Graph | Candidates | None = None,
    start: Graph | None = None,
    config: DecodeConfig = DecodeConfig(),
) -> Decoded:
    """`decode` of any number of targets, 256 at a time, so that memory stays bounded; without traces."""
    if candidates is not None:
        candidates = Candidates.of(psi, candidates)
    pieces = []
    for first in range(0, len(target), GRAPHS_A_BATCH):
        rows = slice(first, first + GRAPHS_A_BATCH)
        mine = start if start is None or len(start) == 1 else start[rows]
        pieces.append(decode(psi, target[rows], candidates=candidates, start=mine, config=config))
    return Decoded.cat(pieces)


def judge(
    psi: Psi,
    target: Tensor,
    truth: Graph,
    *,
    candidates: Graph | Candidates | None = None,
    config: DecodeConfig = DecodeConfig(),
    start: Graph | None = None,
    timeout: float = 10.0,
    rank_among: Graph | Candidates | None = None,
    truth_among: Tensor | None = None,
    progress: bool = False,
) -> Judgment:
    """Decode the targets (B, D), time it, and judge against the truth.

    target: h(x), or psi(truth) to ask how decodable the loss itself is. rank_among: a set that holds each truth once,
    for Hits@k and MRR; truth_among: (B,) where in it, None = row by row. The time does not count psi of the
    candidates, which is made once; `truths_among_candidates` says how many answers could be looked up.
    Raises ValueError for no targets, and for another number of them than of truths.
    """
    if len(target) != len(truth) or len(target) == 0:
        raise ValueError(f"want one target for each true graph, at least one; got {len(target)} and {len(truth)}")
    target = target.detach()
    if candidates is not None:
        candidates = Candidates.of(psi, candidates)
    started = time.perf_counter()
    decoded = decode_many(psi, target, candidates=candidates, start=start, config=config)
    seconds = time.perf_counter() - started
    ranks = None
    if rank_among is not None:
        gallery = Candidates.of(psi, rank_among)
        rows = torch.arange(len(target)) if truth_among is None else truth_among
        ranks = ranking.ranks(2 - 2 * target @ gallery.points.T, rows)
    table = evaluate(decoded.graphs, truth, timeout=timeout, ranks=ranks, progress=progress)
    table["loss"] = decoded.loss.numpy()
    points = points_of(psi, truth)
    table["loss_of_truth"] = squared_distance(points, target).clamp_min(0).numpy().astype(np.float64)
    summary = summarize(table) | {"seconds": seconds, "graphs_per_second": len(target) / seconds}
    if candidates is not None:
        summary["truths_among_candidates"] = int((nearest(points, candidates.points, 1)[0] <= SAME).sum())
    return Judgment(decoded, table, summary)
