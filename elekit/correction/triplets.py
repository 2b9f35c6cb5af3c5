"""Which triplets to ask a person about: those that tell most of where the loss is wrong, and some at random."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from elekit.graphs.graph import Graph
from elekit.inspect.neighbors import distinct
from elekit.model.loss import Psi, points_of

POOL = 3_000  # triplets that questions are chosen from
NEAREST = 12  # graphs around an anchor that it is compared with
ANCHORS, FEW = 500, 50
SHARP = 10.0  # how fast a loss becomes sure: at a relative gap of 0.1 it says 73 : 27
AGAIN = 0.15  # what a graph's coming up again costs, in bits


@dataclass(frozen=True)
class Triplet:
    """A question: is graph `anchor` closer to graph `left` or to graph `right`? Row numbers of the batch.

    random: drawn at random, not because it is informative.
    """

    anchor: int
    left: int
    right: int
    random: bool = False

    @property
    def rows(self) -> tuple[int, int, int]:
        return self.anchor, self.left, self.right


class Triplets:
    """Questions about graphs, the most informative first, none twice; the same order for the same seed.

    psis: one loss or several trainings of it. graphs: at least 3 different ones. random: share of the questions that
    are drawn at random: only those tell how often a loss agrees with people, since the others are the hard ones.

    A triplet is compared by how sure the losses are: each says `p = sigmoid(10 (d_right - d_left) / (d_right +
    d_left))` that left is nearer, and `information` is the entropy of the mean p, in bits: 1 at a tie and where
    losses contradict each other, 0 where all are sure of the same. Graphs that came up before count less, so that
    questions differ. Both graphs lie among the nearest to the anchor, and of many graphs the half that has nearer
    ones become anchors: of two far ones nobody can say.
    Raises ValueError for fewer than 3 different graphs, no psi, and a share outside [0, 1].
    """

    def __init__(self, psis: Psi | Sequence[Psi], graphs: Graph, *, random: float = 0.25, seed: int = 0):
        psis = list(psis) if isinstance(psis, Sequence) else [psis]
        if not psis:
            raise ValueError("no loss to ask about: give psi, or several")
        if not 0 <= random <= 1:
            raise ValueError(f"random is a share, from 0 to 1, got {random}")
        self.graphs, self.random, self.seed = graphs, random, seed
        different = distinct(graphs).numpy().astype(int)
        if len(different) < 3:
            raise ValueError(f"a triplet takes 3 different graphs, there are {len(different)}")
        generator = np.random.default_rng(seed)
        anchors = generator.permutation(different)[: 2 * ANCHORS]
        points = [points_of(psi, graphs).double() for psi in psis]
        self.triplets = self._pool(anchors, different, points[0], generator)
        sure = [self._sure(one) for one in points]
        self.preference = np.mean(sure, 0)  # (T,) of left
        p = self.preference.clip(1e-12, 1 - 1e-12)
        self.information = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))

    def _pool(self, anchors: np.ndarray, different: np.ndarray, points: torch.Tensor, generator) -> np.ndarray:
        """(T, 3) different triplets of near graphs, sides drawn by lot."""
        k = min(NEAREST, len(different) - 1)
        among = torch.from_numpy(different)
        loss = 2 - 2 * points[torch.from_numpy(anchors)] @ points[among].T
        loss[torch.from_numpy(anchors)[:, None] == among] = torch.inf
        found = loss.topk(k, largest=False)
        kept = slice(None) if len(anchors) <= FEW else found.values[:, -1].argsort()[: len(anchors) // 2].numpy()
        anchors, near = anchors[kept], different[found.indices.numpy()[kept]]
        one, other = np.triu_indices(k, 1)
        pairs = np.stack([near[:, one], near[:, other]], -1)  # (anchors, pairs, 2)
        every = np.concatenate([np.broadcast_to(anchors[:, None, None], (*pairs.shape[:2], 1)), pairs], -1).reshape(
            -1, 3
        )
        every = every[generator.permutation(len(every))[:POOL]]
        turned = generator.random(len(every)) < 0.5
        every[turned] = every[turned][:, [0, 2, 1]]
        return every

    def _sure(self, points: torch.Tensor) -> np.ndarray:
        anchor, left, right = (points[torch.from_numpy(column)] for column in self.triplets.T)
        near, far = ((anchor - side).square().sum(-1).numpy() for side in (left, right))
        gap = SHARP * (far - near) / np.maximum(far + near, 1e-12)
        return 1 / (1 + np.exp(-gap))

    def __len__(self) -> int:
        return len(self.triplets)

    def next(self, asked: Sequence[Triplet] = ()) -> Triplet | None:
        """The question after those that were asked; None when there is none left."""
        taken = {self._key(one.rows) for one in asked}
        free = np.array([self._key(rows) not in taken for rows in self.triplets.tolist()], dtype=bool)
        if not free.any():
            return None
        generator = np.random.default_rng([self.seed, len(asked)])
        by_lot = bool(generator.random() < self.random)
        if by_lot:
            row = int(generator.choice(np.flatnonzero(free)))
        else:
            seen = Counter(graph for one in asked for graph in one.rows)
            again = np.array([[seen[graph] for graph in rows] for rows in self.triplets.tolist()]).sum(1)
            row = int(np.where(free, self.information - AGAIN * again, -np.inf).argmax())
        return Triplet(*self.triplets[row].tolist(), random=by_lot)

    @staticmethod
    def _key(rows: Sequence[int]) -> tuple[int, frozenset[int]]:
        return rows[0], frozenset(rows[1:])
