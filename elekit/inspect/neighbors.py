"""Nearest neighbors on the sphere, and the edits that separate them."""

import numbers
from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor

from elekit.decoding.index import nearest
from elekit.graphs._schema import require_positive
from elekit.graphs.edit_distance import edit_path, isomorphic
from elekit.graphs.graph import Graph, GraphBatch
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect._validation import finite_points, single_graph, unit_vector

BLOCK = 512
MAX_LISTED = 4  # edits; longer lists are only counted


def neighbors(point: Tensor, points: Tensor, k: int = 8, exclude: int | Iterable[int] | None = None) -> pd.DataFrame:
    """Find the k nearest of n points by the learned loss.

    Args:
        point: (D,) or (1, D) unit vector.
        points: (n, D) unit vectors.
        k: Number of neighbors, at least 1; at most the number of points.
        exclude: Row, or rows, of `points` to leave out.

    Returns:
        Columns row and loss (in [0, 4]), nearest first.

    Raises:
        ValueError: If `point` is not a unit vector or k is below 1.
    """
    require_positive(k=k)
    rows = () if exclude is None else [exclude] if isinstance(exclude, numbers.Integral) else exclude
    left_out = {int(row) for row in rows}  # type: ignore[union-attr]  # numbers.Integral includes int
    loss, row = nearest(unit_vector(point)[None], finite_points(points), k + len(left_out))
    found = pd.DataFrame({"row": row[0].numpy(), "loss": loss[0].clamp_min(0).double().numpy()})
    return found[~found["row"].isin(left_out)].head(k).reset_index(drop=True)


def separating_edits(graph: GraphBatch, graphs: GraphBatch, timeout: float = 0.5) -> list[str]:
    """Describe the edits that turn one graph into each of several.

    Args:
        graph: Batch of one.
        graphs: B graphs.
        timeout: Seconds per pair; then the shortest list found so far counts.

    Returns:
        For each graph a shortest list of edits, joined by "; "; the number of edits if there are more than 4 ("7
        edits apart"); or "the same graph".
    """
    return [separation_words(edit_path(single_graph(graph), other, timeout=timeout)) for other in graphs]


def separation_words(path: list[str]) -> str:
    """A list of edits in one line, see `separating_edits`."""
    return ("; ".join(path) if len(path) <= MAX_LISTED else f"{len(path)} edits apart") or "the same graph"


def nearest_other(points: Tensor) -> Tensor:
    """(n,) row of the nearest other point of each of n >= 2 unit vectors (n, D)."""
    found = []
    for start in range(0, len(points), BLOCK):
        similarity = points[start : start + BLOCK] @ points.T
        similarity[torch.arange(len(similarity)), torch.arange(start, start + len(similarity))] = -2.0  # itself
        found.append(similarity.argmax(1))
    return torch.cat(found)


def distinct(graphs: GraphBatch) -> Tensor:
    """Rows, ascending, of the graphs that are not isomorphic to an earlier one."""
    kept: list[int] = []
    by_hash: dict[int, list[int]] = {}
    for row, key in enumerate(graph_hashes(graphs, ROUNDS)[:, -1].tolist()):
        similar = by_hash.setdefault(key, [])
        if not (similar and bool(isomorphic(graphs[similar], Graph.cat([graphs[row]] * len(similar))).any())):
            similar.append(row)
            kept.append(row)
    return torch.tensor(kept)
