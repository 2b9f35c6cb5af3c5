"""What prediction sets are drawn from: a gallery, or the graphs that a search finds around a point of the sphere."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.decoding import Candidates, DecodeConfig, decode
from elekit.decoding.candidates import check_target, nearest
from elekit.evaluation.conformal.calibration import Calibration
from elekit.evaluation.conformal.canonical import names
from elekit.evaluation.conformal.sets import MOST, PredictionSet
from elekit.graphs.features import is_connected
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi

TOGETHER = 256  # targets searched at a time, so that memory stays bounded
STARTS = 16  # nearest candidates, or descents, that a search begins with
KEPT = 32  # graphs that it keeps
BLOCK = 4_096  # candidates looked at together


@dataclass(frozen=True, eq=False)
class Universe:
    """For each of B inputs the graphs that its set is drawn from, best first.

    graphs: any number. rows: (B, W) which of them. losses: (B, W) ascending; inf at a free place. decoded: (B,) what
    decoding answers, loss: (B,) of it.
    """

    graphs: Graph
    rows: Tensor
    losses: Tensor
    decoded: Graph
    loss: Tensor

    def names(self, chosen: Tensor, *others: Graph) -> tuple[np.ndarray, np.ndarray]:
        """What the chosen graphs (B, W) bool are called, row by row, and what others are: equal graphs alike."""
        rows, back = self.rows[chosen].unique(return_inverse=True)  # a graph of a gallery is named once
        found = names(Graph.cat([self.graphs[rows], *others]))
        return found[: len(rows)][back.numpy()], found[len(rows) :]

    def scores(self, truth: Graph) -> Tensor:
        """(B,) learned loss of each truth as the universe of its input has it; inf where it is not in there."""
        alike = (_node_counts(self.graphs)[self.rows] == _node_counts(truth)[:, None]).all(-1)  # equal graphs are
        alike &= torch.isfinite(self.losses)
        found, wanted = self.names(alike, truth)
        alike[alike.clone()] = torch.from_numpy(found == wanted[alike.nonzero()[:, 0].numpy()])
        return torch.where(alike, self.losses, torch.inf).amin(1)

    def inside(self, radius: float) -> Tensor:
        """(B, W) bool: graphs within the radius; of equal ones the best alone."""
        import pandas as pd

        within = self.losses <= radius
        found, _ = self.names(within)
        again = pd.DataFrame({"of": within.nonzero()[:, 0].numpy(), "name": found}).duplicated()
        within[within.clone()] = torch.from_numpy(~again.to_numpy())
        return within

    def sets(self, calibration: Calibration, most: int = MOST) -> list[PredictionSet]:
        found = []
        for b, inside in enumerate(self.inside(calibration.radius)):
            listed, size = inside.nonzero()[:most, 0], int(inside.sum())
            graphs, losses = self.graphs[self.rows[b, listed]], self.losses[b, listed]
            answer, loss = self.decoded[b], float(self.loss[b])
            found.append(PredictionSet(graphs, losses, size, answer, loss, calibration, most))
        return found


def universe(
    psi: Psi, target: Tensor, *, candidates=None, gallery=None, start=None, config=DecodeConfig(), whole: bool = False
) -> Universe:
    """What the sets of targets (B, D) are drawn from: all of a gallery, or what a search finds.

    The search is `decode` with its polish: the 16 nearest candidates (or results of descents), and the best 32 of all
    graphs that edits of the best ones reach, without those that exceed a capacity. whole: also without those that are
    in several parts. start: relaxed graphs, one for each target, where the method rounds them.
    Raises ValueError for a way to decode without polish, and for one whose time is limited: what it finds is no
    function of the input.
    """
    check_target(target)
    target = target.detach()
    if gallery is not None:
        known = Candidates.of(psi, gallery)
        losses, rows = nearest(target, known.points, len(known))
        return Universe(known.graphs, rows, losses, known.graphs[rows[:, 0]], losses[:, 0])
    if config.method is not None and "polish" not in config.method:
        raise ValueError(f"sets are drawn from what the polish finds; use candidates+polish, not {config.method!r}")
    if config.local_search.budget_ms is not None or config.gradient.budget_ms is not None:
        raise ValueError("a search whose time is limited finds other graphs each time; leave budget_ms out")
    wide = replace(
        config.local_search, alternatives=max(KEPT, config.local_search.alternatives or 0, config.local_search.beam)
    )
    config = replace(config, search_starts=max(STARTS, config.search_starts), local_search=wide)
    found = decode(psi, target, candidates=candidates, start=start, config=config)
    B, W = found.alternative_losses.shape
    left_out = found.alternatives.valence_violation() > 0
    if whole:
        left_out |= ~is_connected(found.alternatives)
    losses = found.alternative_losses.masked_fill(left_out.reshape(B, W), torch.inf)
    losses, order = losses.sort(dim=1, stable=True)
    return Universe(found.alternatives, order + W * torch.arange(B)[:, None], losses, found.graphs, found.loss)


def universes(
    psi: Psi, target: Tensor, *, candidates=None, gallery=None, start=None, config=DecodeConfig(), progress=False
) -> Iterator[tuple[slice, Universe]]:
    """The same for any number of targets, 256 at a time, so that memory stays bounded.

    Graphs in several parts are left out where no candidate is one.
    """
    check_target(target)
    candidates, gallery = (None if known is None else Candidates.of(psi, known) for known in (candidates, gallery))
    whole = candidates is not None and gallery is None and _all_connected(candidates.graphs)
    for first in tqdm(range(0, len(target), TOGETHER), desc="prediction sets", disable=not progress):
        rows = slice(first, first + TOGETHER)
        search = {"start": None if start is None else start[rows], "config": config, "whole": whole}
        yield rows, universe(psi, target[rows], candidates=candidates, gallery=gallery, **search)


def _all_connected(graphs: Graph) -> bool:
    return all(bool(is_connected(graphs[start : start + BLOCK]).all()) for start in range(0, len(graphs), BLOCK))


def _node_counts(graphs: Graph) -> Tensor:
    """(B, K) nodes of each label."""
    return torch.nn.functional.one_hot(graphs.labels()[0], graphs.vocabulary.K).sum(1)[:, 1:]
