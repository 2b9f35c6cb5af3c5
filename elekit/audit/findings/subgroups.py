"""Subgroup discovery: the shortest descriptions of a set of marked edits."""

from dataclasses import dataclass

import numpy as np
import torch

from elekit.audit.findings.conditions import Condition

Space = tuple[np.ndarray, list[Condition], list[Condition]]  # (E,) graphs, conditions and locations of edits
LIFT = 2.5  # least share of marked edits in a subgroup by their share elsewhere


@dataclass(frozen=True, eq=False)
class Subgroup:
    """Edits for which both conditions hold, (E,) bool; `rate` of them are marked."""

    condition: Condition
    location: Condition
    rate: float
    edits: np.ndarray

    @property
    def name(self) -> str:
        return f"{self.condition.name}{self.location.name}"

    @property
    def phrase(self) -> str:
        return f"{self.condition.phrase}{self.location.phrase}"


def find_subgroups(
    marked: np.ndarray, of: np.ndarray, space: Space, rate: float, *, min_edits: int, min_graphs: int, limit: int = 6
) -> list[Subgroup]:
    """Greedy subgroup discovery: in turn the subgroup that covers most of the marked edits that are left.

    marked, of: (E,) bool, edits to describe, and all edits that count. A subgroup needs a share of `rate` marked
    edits, 2.5 times the share elsewhere, and `min_edits` marked edits of `min_graphs` graphs. Among subgroups that
    cover 95 % of the best, the purest wins, then the shortest description.
    """
    found: list[Subgroup] = []
    (row, conditions, locations), left, of = space, marked & of, of.copy()
    condition_holds = torch.from_numpy(np.stack([c.holds for c in conditions])).float()
    location_holds = torch.from_numpy(np.stack([c.holds for c in locations])).float()
    while len(found) < limit and left.sum() >= min_edits:
        covered, total = ((condition_holds * torch.from_numpy(some)) @ location_holds.T for some in (left, of))
        share = covered / total.clamp_min(1)
        elsewhere = (float(left.sum()) - covered) / (float(of.sum()) - total).clamp_min(1)
        fine = (covered >= min_edits) & (share >= rate) & (share >= LIFT * elsewhere)
        if not fine.any():
            break
        enough = fine & (covered >= 0.95 * covered[fine].max())
        longer = torch.full((len(conditions), len(locations)), 0.02)
        longer[:, 0] = 0
        c, k = divmod(int((share - longer).masked_fill(~enough, -1).argmax()), len(locations))
        inside = conditions[c].holds & locations[k].holds & of
        hit = inside & left
        of &= ~inside
        left &= ~inside
        if len(np.unique(row[hit])) >= min_graphs:
            found.append(Subgroup(conditions[c], locations[k], float(hit.sum() / inside.sum()), inside))
    return found
