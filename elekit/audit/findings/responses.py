"""What one loss answers to the questions of a `Basis`, and the yardstick that its prices are held against."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from elekit.audit.findings.probe_set import Basis
from elekit.graphs.graph import Graph
from elekit.model.loss import Psi, paired_distance, points_of

if TYPE_CHECKING:
    import pandas as pd

EVIDENCE = 50  # edits shown with a finding
SEEN = 0.05  # of a typical edit: what costs less is left out of comparisons of directions
LIVE = 0.02  # of the mean over kinds: kinds below are dead and do not set the yardstick


@dataclass(frozen=True, eq=False)
class Answers:
    """Points on the sphere of everything in a basis, and what follows from them at once.

    points: (len(pool) + len(others), D), of walked: (STEPS, w, D), of planted (p, D), of rewritten (r, D).
    """

    basis: Basis
    points: Tensor
    walked: Tensor
    planted: Tensor
    rewritten: Tensor

    @property
    def own(self) -> Tensor:
        """(n, D) of the graphs themselves."""
        return self.points[: len(self.basis.graphs)]

    @property
    def results(self) -> Tensor:
        """(E, D) of the results of edits."""
        n = len(self.basis.graphs)
        return self.points[n : n + len(self.basis.sample.results)]

    @cached_property
    def table(self) -> "pd.DataFrame":
        """The edits of the basis with their prices."""
        sample = self.basis.sample
        price = paired_distance(self.results, self.own[sample.edits.row])
        return sample.table.assign(price=price.numpy(), known=self.basis.known)

    @cached_property
    def price(self) -> np.ndarray:
        """(E,) what each edit costs."""
        return self.table["price"].to_numpy()

    @cached_property
    def kinds(self) -> "pd.Series":
        """Median price of each kind of single edit."""
        return self.table[self.basis.single].groupby("kind")["price"].median()

    @cached_property
    def scale(self) -> float:
        """What a typical single edit costs: the median over kinds of their medians, of kinds that cost anything."""
        live = self.kinds[self.kinds > LIVE * self.kinds.mean()]
        return float(live.median()) if len(live) else 0.0

    @cached_property
    def beside(self) -> "pd.Series":
        """Loss between two edits of one graph, by their mean price: the median for each graph (index) that has several.

        Of single edits to graphs that were not given. Two edits of different places of a graph move its point in
        different directions, so they lie twice as far from each other as from the graph; 1 where every graph lies at
        a place of its own; edits of a graph that alone stands on its own lie together, away from it.
        """
        import pandas as pd

        basis = self.basis
        rows = np.flatnonzero(~basis.known & basis.single & (self.price > SEEN * self.scale))
        rows = np.random.default_rng(0).permutation(rows)
        rows = rows[np.argsort(basis.row[rows], kind="stable")]
        one, other = rows[:-1], rows[1:]
        same = basis.row[one] == basis.row[other]
        one, other = one[same], other[same]
        between = paired_distance(self.results[one], self.results[other]).numpy()
        ratio = 2 * between / (self.price[one] + self.price[other])
        return pd.Series(ratio, basis.row[one]).groupby(level=0).median()

    @cached_property
    def matrix(self) -> np.ndarray:
        """(n, n) learned loss between the graphs."""
        own = self.own.double()
        return (2 - 2 * own @ own.T).clamp_min(0).numpy()

    def examples(self, chosen: np.ndarray) -> tuple[Graph, Graph]:
        """Up to 50 of the chosen edits, (E,) bool, as evidence: graphs before, and after."""
        sample, rows = self.basis.sample, torch.from_numpy(chosen).nonzero()[:EVIDENCE, 0]
        return sample.graphs[sample.edits.row[rows]], sample.results[rows]

    @cached_property
    def far(self) -> float:
        """Mean learned loss between two of the graphs."""
        return mean_apart(self.own)


def mean_apart(points: Tensor) -> float:
    """Mean learned loss between two of the points (n, D)."""
    n, total = len(points), points.double().sum(0)
    return max(0.0, float(2 - 2 * (total @ total - n) / max(1, n * (n - 1))))


def ask(psi: Psi, basis: Basis) -> Answers:
    """Every question of the basis put to a psi."""
    parts = [basis.graphs, basis.sample.results, basis.others, basis.walked, basis.planted, basis.rewritten]
    points = [points_of(psi, graphs) for graphs in parts]
    empty = points[0][:0]
    own, edited, others, walked, planted, rewritten = (p if len(p) else empty for p in points)
    walked = walked.reshape(-1, len(basis.walk_of), own.shape[1])
    return Answers(basis, torch.cat([own, edited, others]), walked, planted, rewritten)
