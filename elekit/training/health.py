"""Measure the health of a learned loss: prices of edits, nearest graphs, and a small decoding."""

import numpy as np
import torch
from torch import Tensor

from elekit.decoding import Candidates, decode
from elekit.graphs import augment
from elekit.graphs.budget import Clock
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.model.health import Health
from elekit.model.loss import Psi, paired_distance, points_of

SECONDS = 20.0  # more than enough for small graphs on a quiet machine, which need about one
TESTED, KNOWN, EDITS = 40, 1_000, 8  # graphs, graphs, edits of each graph
ENOUGH = 10  # held-out graphs; with fewer, training graphs are tested
MAX_NODES = 64  # of tested graphs, if there are smaller ones
BATCH_SIZE = 8  # graphs decoded at a time
SAME = 1e-5  # graphs with a smaller loss lie at one point


def measure_health(
    psi: Psi, graphs: GraphBatch, *, held_out: GraphBatch | None = None, budget: float | Clock | None = SECONDS,
    seed: int = 0,
) -> Health | None:  # fmt: skip
    """Measure whether a learned loss distinguishes graphs, and whether graphs can be decoded from their points.

    Up to 40 graphs of at most 64 nodes are decoded from their own points, starting from up to 1,000 other training
    graphs. Different graphs are those with different Weisfeiler-Lehman hashes.

    Args:
        psi: The embedding.
        graphs: Its training graphs.
        held_out: Other graphs, which are tested if there are at least 10.
        budget: Seconds for the whole call; then fewer graphs are decoded.
        seed: Seed of the samples.

    Returns:
        The figures; None if there are no two different graphs.

    Raises:
        FloatingPointError: If a point is not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    unseen = held_out is not None and len(held_out) >= ENOUGH
    tested, own = _different(held_out if unseen and held_out is not None else graphs, TESTED, generator)
    known, others = _different(graphs, KNOWN, generator)
    new = ~torch.isin(others, own)
    known, n = known[new], len(tested)
    if n + len(known) < 2:
        return None
    with Clock.of(budget) as clock:
        points = points_of(psi, PackedGraphs.cat([tested, known]))
        loss = (2 - 2 * points @ points.T).clamp_min(0).fill_diagonal_(torch.inf)
        apart = loss[:n][torch.isfinite(loss[:n])]
        edit = _price_of_edits(psi, tested, own, points[:n], generator)
        candidates = Candidates(known, points[n:]) if len(known) else None
        decoded = found = 0
        wrong: list[float] = []
        order = tested.sizes.argsort(stable=True)
        for first in range(0, n, BATCH_SIZE):
            if clock.over:
                break
            rows = order[first : first + BATCH_SIZE]
            part = decode(psi, points[rows], candidates=candidates, budget=clock)
            if not part.unfinished:
                right = graph_hashes(part.graphs, ROUNDS)[:, -1] == own[rows]
                decoded, found = decoded + len(rows), found + int(right.sum())
                wrong += part.loss[~right].clamp_min(0).tolist()
    return Health(
        graphs=n + len(known),
        held_out=unseen,
        edit=edit,
        nearest=float(loss[:n].amin(1).median()),
        random=float(apart.median()),
        coincident=int((loss.amin(1) <= SAME).sum()),
        decoded=decoded,
        found=found,
        wrong=float(np.median(wrong)) if wrong else None,
    )


def _different(graphs: GraphBatch, count: int, generator: torch.Generator) -> tuple[PackedGraphs, Tensor]:
    """Up to `count` different graphs in random order, small ones if there are any, and their hashes."""
    drawn = PackedGraphs.of(graphs[torch.randperm(len(graphs), generator=generator)[: 4 * count]])
    small = (drawn.sizes <= MAX_NODES).nonzero()[:, 0]
    drawn = drawn[small] if len(small) else drawn
    hashes = graph_hashes(drawn, ROUNDS)[:, -1]
    _, first = np.unique(hashes.numpy(), return_index=True)
    rows = torch.from_numpy(np.sort(first)[:count])
    return drawn[rows], hashes[rows]


def _price_of_edits(
    psi: Psi, graphs: PackedGraphs, hashes: Tensor, points: Tensor, generator: torch.Generator
) -> float | None:
    """Median price of single edits within the capacities."""
    rows = torch.arange(len(graphs)).repeat_interleave(EDITS)
    edited = augment.random_edits(graphs[rows], torch.ones_like(rows), generator)
    changed = graph_hashes(edited, ROUNDS)[:, -1] != hashes[rows]
    price = paired_distance(points_of(psi, edited[changed]), points[rows[changed]])
    return float(price.median()) if len(price) else None
