"""Which graphs lie near a point of the sphere, and what separates them from another?"""

import numbers
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from elekit.decoding.candidates import nearest
from elekit.graphs.edit_distance import edit_path, isomorphic
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect._validation import finite, one, unit

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 512
SPOKEN = 4  # edits that are told in words; of more only their number


def neighbors(
    loss_point: Tensor, points: Tensor, k: int = 8, exclude: int | Iterable[int] | None = None
) -> "pd.DataFrame":
    """The k nearest of n points by the learned loss, nearest first: columns row and loss, in [0, 4].

    loss_point: (D,) or (1, D), of length 1. points: (n, D). exclude: a row number or several that are left out.
    k is cut to what there is. Raises ValueError for a point that has not length 1 and for k < 1.
    """
    import pandas as pd

    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    left_out = [exclude] if isinstance(exclude, numbers.Integral) else () if exclude is None else exclude
    left_out = {int(row) for row in left_out}
    loss, row = nearest(unit(loss_point)[None], finite(points), k + len(left_out))
    found = pd.DataFrame({"row": row[0].numpy(), "loss": loss[0].clamp_min(0).double().numpy()})
    return found[~found["row"].isin(left_out)].head(k).reset_index(drop=True)


def separating_edits(graph: Graph, graphs: Graph, timeout: float = 0.5) -> list[str]:
    """What turns one graph into each of several: a shortest list of edits in words, joined by "; ".

    More than 4 edits are only counted ("7 edits apart"), and none is "the same graph". Where a shortest list is not
    proven within `timeout` seconds a graph, the shortest found counts.
    graph: batch of one. graphs: any batch. Raises ValueError as `elekit.graphs.edit_distance.edit_path` does.
    """
    one(graph)
    said = []
    for other in graphs:
        path = edit_path(graph, other, timeout=timeout)
        said.append("; ".join(path) if len(path) <= SPOKEN else f"{len(path)} edits apart")
    return [words or "the same graph" for words in said]


def nearest_other(points: Tensor) -> Tensor:
    """(n,) row of the nearest other point to each of n >= 2 points of the sphere (n, D)."""
    found = []
    for start in range(0, len(points), BLOCK):
        near = points[start : start + BLOCK] @ points.T
        near[torch.arange(len(near)), torch.arange(start, start + len(near))] = -2.0  # itself
        found.append(near.argmax(1))
    return torch.cat(found)


def distinct(graphs: Graph) -> Tensor:
    """Rows, ascending, of graphs that are not isomorphic to an earlier one."""
    kept, seen = [], {}
    for row, name in enumerate(graph_hashes(graphs, ROUNDS)[:, -1].tolist()):
        alike = seen.setdefault(name, [])
        if not (alike and bool(isomorphic(graphs[alike], Graph.cat([graphs[row]] * len(alike))).any())):
            alike.append(row)
            kept.append(row)
    return torch.tensor(kept)
