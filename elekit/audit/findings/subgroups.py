"""Where edits cost nothing: the shortest descriptions of the edits that a loss does not see."""

from dataclasses import dataclass

import numpy as np
import torch

from elekit.audit.findings.conditions import Condition

TIMES = 2.5  # more often marked than other edits are


@dataclass(frozen=True, eq=False)
class Slice:
    """Edits of which a share costs nothing. what, where: conditions, both of which hold. rate: that share."""

    what: Condition
    where: Condition
    rate: float
    edits: np.ndarray

    @property
    def name(self) -> str:
        return f"{self.what.name}{self.where.name}"

    @property
    def words(self) -> str:
        return f"{self.what.words}{self.where.words}"


def slices_of(
    marked: np.ndarray,
    of: np.ndarray,
    row: np.ndarray,
    what: list[Condition],
    where: list[Condition],
    *,
    rate: float,
    fewest: int,
    origins: int,
    most: int = 6,
) -> list[Slice]:
    """Descriptions of marked edits, greedily: each the one that covers most of those left, at least `rate` of it marked and
    2.5 times the share elsewhere.

    marked, of: (E,) bool, edits to be described, and edits that count at all. row: (E,) graph of each. fewest: marked
    edits a slice must cover, from at least `origins` graphs. Of descriptions that cover about as much (95 %), the one
    with the fewest other edits, then the shortest.
    """
    found, left, of = [], marked & of, of.copy()
    what_holds = torch.from_numpy(np.stack([c.holds for c in what])).float()
    where_holds = torch.from_numpy(np.stack([c.holds for c in where])).float()
    while len(found) < most and left.sum() >= fewest:
        covered = (what_holds * torch.from_numpy(left)) @ where_holds.T
        total = (what_holds * torch.from_numpy(of)) @ where_holds.T
        share = covered / total.clamp_min(1)
        elsewhere = (float(left.sum()) - covered) / (float(of.sum()) - total).clamp_min(1)
        fine = (covered >= fewest) & (share >= rate) & (share >= TIMES * elsewhere)
        if not fine.any():
            break
        enough = fine & (covered >= 0.95 * covered[fine].max())
        longer = torch.ones(len(what), len(where)) * 0.02
        longer[:, 0] = 0
        w, e = divmod(int((share - longer).masked_fill(~enough, -1).argmax()), len(where))
        inside = what[w].holds & where[e].holds & of
        hit = inside & left
        of &= ~inside
        left &= ~inside
        if len(np.unique(row[hit])) >= origins:
            found.append(Slice(what[w], where[e], float(hit.sum() / inside.sum()), inside))
    return found
