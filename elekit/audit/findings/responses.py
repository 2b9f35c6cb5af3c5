"""The points of a probe set under one loss, and the typical cost that its edit costs are compared with."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from elekit.audit.findings.probe_set import ProbeSet
from elekit.graphs import Graph
from elekit.model.loss import Psi, paired_distance, points_of

EVIDENCE = 50  # edits kept with a finding
MIN_COST = 0.05  # of a typical edit: cheaper edits have no direction to compare
LIVE = 0.02  # of the mean over kinds: cheaper kinds do not count for the typical cost


@dataclass(frozen=True, eq=False)
class Responses:
    """Points (unit vectors, D) of a probe set under one psi."""

    probes: ProbeSet
    points: Tensor  # of `ProbeSet.all_graphs`
    walks: Tensor  # (STEPS, w, D)
    planted: Tensor
    rewritten: Tensor
    components: Tensor  # of `ProbeSet.components`

    @classmethod
    def of(cls, psi: Psi, probes: ProbeSet) -> "Responses":
        """Evaluate a psi on the whole probe set."""
        sample = probes.sample
        parts = [probes.graphs, sample.results, probes.extra, probes.walks, probes.planted, probes.rewritten]
        parts.append(probes.components[0])
        points = [points_of(psi, graphs, check=False) for graphs in parts]  # a finding says what is not finite
        empty = points[0][:0]
        own, edited, extra, walks, planted, rewritten, components = (p if len(p) else empty for p in points)
        walks = walks.reshape(-1, len(probes.walk_start), own.shape[1])
        return cls(probes, torch.cat([own, edited, extra]), walks, planted, rewritten, components)

    @property
    def own(self) -> Tensor:
        return self.points[: len(self.probes.graphs)]

    @property
    def edited(self) -> Tensor:
        n = len(self.probes.graphs)
        return self.points[n : n + len(self.probes.sample.results)]

    @cached_property
    def edits(self) -> pd.DataFrame:
        sample = self.probes.sample
        cost = paired_distance(self.edited, self.own[sample.edits.row])
        return sample.table.assign(cost=cost.numpy(), known=self.probes.known)

    @cached_property
    def cost(self) -> np.ndarray:
        """(E,) learned loss between each graph and its edited form."""
        return self.edits["cost"].to_numpy()

    @cached_property
    def typical(self) -> float:
        """Cost of a typical single edit: median over the median costs of the kinds that cost anything."""
        kinds = self.edits[self.probes.single].groupby("kind")["cost"].median()
        live = kinds[kinds > LIVE * kinds.mean()]
        return float(live.median()) if len(live) else 0.0

    @cached_property
    def edit_ratio(self) -> pd.Series:
        """Median loss between two single edits of a graph by their mean cost: near 2 if edits are independent.

        It is 1 where every graph has a place of its own, and small where edits lie together, away from their graph.
        """
        probes = self.probes
        rows = np.flatnonzero(~probes.known & probes.single & (self.cost > MIN_COST * self.typical))
        rows = np.random.default_rng(0).permutation(rows)
        rows = rows[np.argsort(probes.edit_row[rows], kind="stable")]
        same = probes.edit_row[rows[:-1]] == probes.edit_row[rows[1:]]
        one, other = rows[:-1][same], rows[1:][same]
        between = paired_distance(self.edited[one], self.edited[other]).numpy()
        ratio = 2 * between / (self.cost[one] + self.cost[other])
        return pd.Series(ratio, probes.edit_row[one]).groupby(level=0).median()

    @cached_property
    def matrix(self) -> np.ndarray:
        """(n, n) learned loss between the graphs."""
        own = self.own.double()
        return (2 - 2 * own @ own.T).clamp_min(0).numpy()

    @cached_property
    def mean_loss(self) -> float:
        return mean_loss(self.own)

    def examples(self, chosen: np.ndarray) -> tuple[Graph, Graph]:
        """Evidence: up to 50 of the chosen edits, (E,) bool, as graphs before and after."""
        sample, rows = self.probes.sample, torch.from_numpy(chosen).nonzero()[:EVIDENCE, 0]
        return sample.pairs(rows)


def mean_loss(points: Tensor) -> float:
    """Mean learned loss between two of the points (n, D)."""
    n, total = len(points), points.double().sum(0)
    return max(0.0, float(2 - 2 * (total @ total - n) / max(1, n * (n - 1))))
