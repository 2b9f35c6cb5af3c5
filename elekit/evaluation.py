"""Judging predictions: one row a prediction, one DataFrame (floor 3)."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit import metrics
from elekit.decoding import Candidates, DecodeConfig, Decoded, decode
from elekit.graph import Graph
from elekit.loss import Psi, squared_distance

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

    Columns: exact (labelled isomorphism); edit_distance_unlabelled and edit_distance (without and with edge labels)
    and proven (both within `timeout` seconds); for molecules also valid (RDKit sanitises the prediction), predicted
    and truth (SMILES). Molecules are first brought to one Kekule form, see `chem.canonicalised`. ranks: (B,) rank of
    the truth among candidates, as a column `rank`; `summarise` makes Hits@k and MRR of it.
    Raises ValueError for batches of different sizes or labels.
    """
    from elekit import chem  # RDKit loads here, not with `import elekit`

    molecular = chem.is_molecular(truth.vocabulary)
    columns = {}
    if molecular:
        columns["predicted"], columns["truth"] = chem.to_smiles(predicted), chem.to_smiles(truth)
        columns["valid"] = [smiles is not None for smiles in columns["predicted"]]
        predicted, truth = chem.canonicalised(predicted), chem.canonicalised(truth)
    exact = metrics.isomorphic(predicted, truth)
    columns["exact"] = exact.tolist()
    if edit_distance:
        wrong = (~exact).nonzero()[:, 0]
        proven = torch.ones(len(exact), dtype=torch.bool)
        for name, labelled in (("edit_distance_unlabelled", False), ("edit_distance", True)):
            distance = torch.zeros(len(exact))
            if len(wrong):
                found = metrics.edit_distance(
                    predicted[wrong], truth[wrong], edge_labels=labelled, timeout=timeout, progress=progress
                )
                distance[wrong] = found.distance
                proven[wrong] &= found.proven
            columns[name] = distance.tolist()
        columns["proven"] = proven.tolist()
    if ranks is not None:
        columns["rank"] = ranks.tolist()
    return pd.DataFrame(columns)


def summarise(table: pd.DataFrame) -> dict:
    """Means of a table of `evaluate`, as plain numbers: shares in [0, 1], edit distances in edits."""
    summary: dict = {"count": len(table)}
    for name in ("exact", "valid", "edit_distance_unlabelled", "edit_distance"):
        if name in table:
            summary[name] = float(table[name].mean())
    if "proven" in table:
        summary["edit_distances_not_proven"] = int((~table["proven"]).sum())
    if "rank" in table:
        ranks = torch.as_tensor(table["rank"].to_numpy())
        summary |= {f"hits@{k}": metrics.hits_at(ranks, k) for k in (1, 10)}
        summary["mrr"] = metrics.mean_reciprocal_rank(ranks)
    for name in ("loss", "loss_of_truth"):
        if name in table:
            summary[name] = float(table[name].mean())
    if "loss_of_truth" in table:
        better = (table["loss"] < table["loss_of_truth"] - 1e-6) & ~table["exact"].astype(bool)
        summary["fits_better_than_truth"] = float(better.mean())
    return summary


@dataclass(frozen=True, eq=False)
class Judgement:
    """A decoded batch judged. table: one row a prediction; summary: see `summarise`, and the time that decoding took."""

    decoded: Decoded
    table: pd.DataFrame
    summary: dict


def judge(
    psi: Psi,
    target: Tensor,
    truth: Graph,
    *,
    candidates: Graph | Candidates | None = None,
    config: DecodeConfig = DecodeConfig(),
    around: Graph | None = None,
    timeout: float = 10.0,
    rank_among: Graph | Candidates | None = None,
    progress: bool = False,
) -> Judgement:
    """Decode the targets (B, D), time it, and judge against the truth.

    target: h(x), or psi(truth) to ask how decodable the loss itself is. rank_among: a set that holds the truths, by
    row, for Hits@k and MRR. The time does not count psi of the candidates, which is made once.
    """
    if candidates is not None:
        candidates = Candidates.of(psi, candidates)
    started = time.perf_counter()
    pieces = [
        decode(psi, target[s : s + GRAPHS_A_BATCH], candidates=candidates, around=around, config=config)
        for s in range(0, len(target), GRAPHS_A_BATCH)
    ]
    seconds = time.perf_counter() - started
    decoded = Decoded(
        Graph.cat([p.graphs for p in pieces]),
        torch.cat([p.loss for p in pieces]),
        Graph.cat([p.alternatives for p in pieces]),
        torch.cat([p.alternative_losses for p in pieces]),
    )
    ranks = None
    if rank_among is not None:
        gallery = Candidates.of(psi, rank_among)
        ranks = metrics.ranks(2 - 2 * target @ gallery.points.T, torch.arange(len(target)))
    table = evaluate(decoded.graphs, truth, timeout=timeout, ranks=ranks, progress=progress)
    table["loss"] = decoded.loss.numpy()
    with torch.no_grad():
        points = torch.cat([psi(truth[s : s + GRAPHS_A_BATCH]) for s in range(0, len(truth), GRAPHS_A_BATCH)])
    table["loss_of_truth"] = squared_distance(points, target).clamp_min(0).numpy().astype(np.float64)
    summary = summarise(table) | {"seconds": seconds, "graphs_per_second": len(target) / seconds}
    return Judgement(decoded, table, summary)
