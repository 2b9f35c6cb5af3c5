"""Candidates that prediction sets are drawn from: a gallery, or the graphs that local search reaches."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.decoding import Candidates, DecodeConfig, decode
from elekit.decoding.candidates import check_target, constraints_of
from elekit.decoding.local_search import RETRY_ABOVE
from elekit.evaluation.conformal.calibration import Calibration
from elekit.evaluation.conformal.sets import MAX_SIZE, PredictionSet, canonical_keys
from elekit.graphs.features import is_connected
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.model.loss import Psi

BATCH_SIZE = 256  # targets searched at a time, which bounds memory
STARTS = 16  # nearest candidates, or results of gradient descent, that the search starts from
KEPT = 32  # graphs that the search returns

Known = GraphBatch | Candidates | None


@dataclass(frozen=True, eq=False)
class CandidateSets:
    """The candidates of B inputs, best first."""

    graphs: GraphBatch  # of all inputs
    rows: Tensor  # (B, W) of `graphs`
    losses: Tensor  # (B, W), ascending; inf marks an unused place
    decoded: Graph
    loss: Tensor  # (B,) of `decoded`

    def keys(self, chosen: Tensor, *others: GraphBatch) -> tuple[np.ndarray, np.ndarray]:
        """Canonical keys of the chosen (B, W) candidates, row by row, and of other graphs."""
        rows, inverse = np.unique(self.rows[chosen].numpy(), return_inverse=True)  # each graph of a gallery once
        keys = canonical_keys(PackedGraphs.cat([self.graphs[torch.from_numpy(rows)], *others]))
        return keys[: len(rows)][inverse], keys[len(rows) :]

    def scores(self, truth: GraphBatch) -> Tensor:
        """(B,) learned losses of B true graphs; inf where one is not among the candidates of its input."""
        counts = _node_counts(self.graphs)[self.rows], _node_counts(truth)[:, None]
        same = (counts[0] == counts[1]).all(-1) & torch.isfinite(self.losses)  # necessary, and fast
        keys, truths = self.keys(same, truth)
        same[same.clone()] = torch.from_numpy(keys == truths[same.nonzero()[:, 0].numpy()])
        return torch.where(same, self.losses, torch.inf).amin(1)

    def inside(self, radius: float) -> Tensor:
        """(B, W) bool, the candidates within a radius; of equal graphs, only the best is marked."""
        within = self.losses <= radius
        keys, _ = self.keys(within)
        repeated = pd.DataFrame({"row": within.nonzero()[:, 0].numpy(), "key": keys}).duplicated()
        within[within.clone()] = torch.from_numpy(~repeated.to_numpy())
        return within

    def prediction_sets(self, calibration: Calibration, max_size: int = MAX_SIZE) -> list[PredictionSet]:
        """The prediction set of each input."""
        sets = []
        for b, inside in enumerate(self.inside(calibration.radius)):
            listed, size = inside.nonzero()[:max_size, 0], int(inside.sum())
            graphs, losses = self.graphs[self.rows[b, listed]].dense(), self.losses[b, listed]
            answer, loss = self.decoded[b], float(self.loss[b])
            sets.append(PredictionSet(graphs, losses, size, answer, loss, calibration, max_size))
        return sets


class SearchOptions(TypedDict, total=False):
    """Keyword arguments of `candidate_sets`, for any number of targets, and whether to show a progress bar."""

    candidates: Known
    gallery: Known
    start: Graph | None
    config: DecodeConfig
    progress: bool


def candidate_sets(
    psi: Psi, target: Tensor, *, candidates: Known = None, gallery: Known = None, start: Graph | None = None,
    config: DecodeConfig = DecodeConfig(), connected_only: bool = False,
) -> CandidateSets:  # fmt: skip
    """Find the candidates of targets: a gallery, or what local search reaches.

    The search starts from the 16 nearest candidates, or results of gradient descent, and returns the best 32 graphs
    that it meets, without those that violate the constraints of the decoder. Candidates and galleries are searched
    exactly, even those with an index: a set must be drawn from the same graphs when it is calibrated and when it is
    used, and no graph of a gallery may be missed.

    Args:
        psi: The embedding.
        target: (B, D) unit vectors.
        candidates: Graphs that the search starts from.
        gallery: Graphs to choose from; nothing is searched.
        start: B relaxed graphs, if the method of `config` rounds given graphs.
        config: How to decode; the method must include local search ("polish").
        connected_only: Whether to leave out disconnected graphs.

    Returns:
        The candidates of each target.

    Raises:
        ValueError: If the method has no local search.
    """
    check_target(target)
    target = target.detach()
    if gallery is not None:
        known = Candidates.of(psi, gallery, exact=True)
        losses, rows = known.nearest(target, len(known))
        return CandidateSets(known.graphs, rows, losses, known.graphs[rows[:, 0]].dense(), losses[:, 0])
    if config.method is not None and "polish" not in config.method:
        raise ValueError(f"prediction sets need local search; use candidates+polish, not {config.method!r}")
    search = config.local_search
    retry_above = RETRY_ABOVE if search.retry_above is None else search.retry_above  # a set needs no perfect best
    candidates = None if candidates is None else Candidates.of(psi, candidates, exact=True)
    kept = max(KEPT, search.alternatives or 0, search.beam)
    wide = replace(search, alternatives=kept, retry_above=retry_above)
    config = replace(config, search_starts=max(STARTS, config.search_starts), local_search=wide)
    found = decode(psi, target, candidates=candidates, start=start, config=config)
    B, W = found.alternative_losses.shape
    left_out = constraints_of(psi, config.constraints).violation(found.alternatives) > 0
    if connected_only:
        left_out |= ~is_connected(found.alternatives)
    losses = found.alternative_losses.masked_fill(left_out.reshape(B, W), torch.inf)
    losses, order = losses.sort(dim=1, stable=True)
    return CandidateSets(found.alternatives, order + W * torch.arange(B)[:, None], losses, found.graphs, found.loss)


def iter_candidate_sets(
    psi: Psi, target: Tensor, *, candidates: Known = None, gallery: Known = None, start: Graph | None = None,
    config: DecodeConfig = DecodeConfig(), progress: bool = False,
) -> Iterator[tuple[slice, CandidateSets]]:  # fmt: skip
    """`candidate_sets` of any number of targets, 256 at a time; disconnected graphs only if a candidate is one."""
    check_target(target)
    candidates, gallery = (
        None if graphs is None else Candidates.of(psi, graphs, exact=True) for graphs in (candidates, gallery)
    )
    connected_only = candidates is not None and gallery is None and _all_connected(candidates.graphs)
    for first in tqdm(range(0, len(target), BATCH_SIZE), desc="prediction sets", disable=not progress):
        rows = slice(first, first + BATCH_SIZE)
        yield rows, candidate_sets(
            psi, target[rows], candidates=candidates, gallery=gallery,
            start=None if start is None else start[rows], config=config, connected_only=connected_only,
        )  # fmt: skip


def _all_connected(graphs: GraphBatch) -> bool:
    return bool(is_connected(graphs).all())


def _node_counts(graphs: GraphBatch) -> Tensor:
    """(B, K - 1) number of nodes of each label."""
    packed, K = PackedGraphs.of(graphs), graphs.vocabulary.K
    code = packed.rows * K + packed.node_labels
    return torch.bincount(code, minlength=len(graphs) * K).reshape(-1, K)[:, 1:]
