"""Triplets to ask a person about: informative ones, and some at random."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from elekit.graphs.graph import GraphBatch
from elekit.inspect.neighbors import distinct
from elekit.model.loss import Psi, points_of

POOL = 3_000  # triplets to choose from
NEAREST = 12  # graphs around an anchor that it is compared with
MAX_ANCHORS, FEW_ANCHORS = 500, 50
SHARPNESS = 10.0  # of the preference of a loss: 73 : 27 at a relative gap of 0.1
REPETITION = 0.15  # penalty for each earlier occurrence of a graph, in bits


@dataclass(frozen=True)
class Triplet:
    """A question: is graph `anchor` closer to graph `left` or to graph `right`? Each is a row of the batch."""

    anchor: int
    left: int
    right: int
    random: bool = False  # drawn at random, not because it is informative

    @property
    def rows(self) -> tuple[int, int, int]:
        """Rows of anchor, left and right."""
        return self.anchor, self.left, self.right


class Triplets:
    """Triplets in the order to ask about them, most informative first, each once; reproducible by the seed.

    Each loss prefers left with probability `p = sigmoid(10 (d_right - d_left) / (d_right + d_left))`. The information
    of a triplet is the entropy of the mean p, in bits: 1 at a tie and where losses contradict each other, 0 where all
    agree with certainty. Graphs that occurred before count less. Both graphs are among the nearest to the anchor, and
    of many graphs only the half with nearer neighbors become anchors, since far graphs are hard to compare.

    psis: one embedding, or several trainings of it. graphs: at least 3 that are not isomorphic. random: share of
    triplets drawn at random, in [0, 1]; only these estimate how often a loss agrees with people.
    """

    def __init__(self, psis: Psi | Sequence[Psi], graphs: GraphBatch, *, random: float = 0.25, seed: int = 0):
        psis = list(psis) if isinstance(psis, Sequence) else [psis]
        if not psis:
            raise ValueError("no loss to choose triplets by: give one psi, or several")
        if not 0 <= random <= 1:
            raise ValueError(f"random must be a share in [0, 1], got {random}")
        self.graphs, self.random, self.seed = graphs, random, seed
        different = distinct(graphs).numpy().astype(int)
        if len(different) < 3:
            raise ValueError(f"a triplet needs 3 different graphs, got {len(different)}")
        generator = np.random.default_rng(seed)
        anchors = generator.permutation(different)[: 2 * MAX_ANCHORS]
        points = [points_of(psi, graphs).double() for psi in psis]
        self.triplets = self._pool(anchors, different, points[0], generator)
        self.preference = np.mean([self._preference(one) for one in points], 0)  # (T,) of left
        p = self.preference.clip(1e-12, 1 - 1e-12)
        self.information = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))

    def _pool(
        self, anchors: np.ndarray, different: np.ndarray, points: torch.Tensor, generator: np.random.Generator
    ) -> np.ndarray:
        """(T, 3) different triplets of near graphs, sides at random."""
        k = min(NEAREST, len(different) - 1)
        among = torch.from_numpy(different)
        loss = 2 - 2 * points[torch.from_numpy(anchors)] @ points[among].T
        loss[torch.from_numpy(anchors)[:, None] == among] = torch.inf
        found = loss.topk(k, largest=False)
        every_anchor = len(anchors) <= FEW_ANCHORS
        nearest_half = found.values[:, -1].argsort()[: len(anchors) // 2].numpy()
        kept = slice(None) if every_anchor else nearest_half
        anchors, near = anchors[kept], different[found.indices.numpy()[kept]]
        one, other = np.triu_indices(k, 1)
        pairs = np.stack([near[:, one], near[:, other]], -1)  # (anchors, pairs, 2)
        first = np.broadcast_to(anchors[:, None, None], (*pairs.shape[:2], 1))
        every: np.ndarray = np.concatenate([first, pairs], -1).reshape(-1, 3)
        every = every[generator.permutation(len(every))[:POOL]]
        turned = generator.random(len(every)) < 0.5
        every[turned] = every[turned][:, [0, 2, 1]]
        return every

    def _preference(self, points: torch.Tensor) -> np.ndarray:
        """(T,) probability that left is nearer."""
        anchor, left, right = (points[torch.from_numpy(column)] for column in self.triplets.T)
        near, far = ((anchor - side).square().sum(-1).numpy() for side in (left, right))
        gap = SHARPNESS * (far - near) / np.maximum(far + near, 1e-12)
        preference: np.ndarray = 1 / (1 + np.exp(-gap))
        return preference

    def __len__(self) -> int:
        return len(self.triplets)

    def next(self, earlier: Sequence[Triplet] = ()) -> Triplet | None:
        """The next triplet after earlier ones; None if none is left."""
        taken = {self._key(one.rows) for one in earlier}
        free = np.array([self._key(rows) not in taken for rows in self.triplets.tolist()], dtype=bool)
        if not free.any():
            return None
        generator = np.random.default_rng([self.seed, len(earlier)])
        at_random = bool(generator.random() < self.random)
        if at_random:
            row = int(generator.choice(np.flatnonzero(free)))
        else:
            seen = Counter(graph for one in earlier for graph in one.rows)
            repeated = np.array([[seen[graph] for graph in rows] for rows in self.triplets.tolist()]).sum(1)
            row = int(np.where(free, self.information - REPETITION * repeated, -np.inf).argmax())
        anchor, left, right = self.triplets[row].tolist()
        return Triplet(anchor, left, right, at_random)

    @staticmethod
    def _key(rows: Sequence[int]) -> tuple[int, frozenset[int]]:
        return rows[0], frozenset(rows[1:])
