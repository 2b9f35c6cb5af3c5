"""A learned loss over many graphs, or vectors of another model, with a map; and the data that an explorer accepts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.datasets import Dataset, Split
from elekit.datasets.splits import SPLITS
from elekit.graphs.graph import GraphBatch, GraphVocabulary
from elekit.graphs.packed import PackedGraphs
from elekit.inspect import maps
from elekit.inspect._validation import finite_points
from elekit.inspect.maps import EmbeddingMap
from elekit.model.loss import Psi, points_of

Data = Dataset | Split | GraphBatch
NO_GRAPHS = GraphVocabulary(("(no graph)",), ("(no edge)",), 1)  # of points that are vectors alone

BATCH = 4_096  # graphs embedded per step of the progress bar
CHECKED = 8  # graphs whose points are compared with those of a given map


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of another model in the place of psi: known for n points only, scaled to length 1."""

    points: Tensor
    health = "Vectors of another model, scaled to length 1: the loss is their squared distance, 2 - 2 cos."

    @classmethod
    def of(cls, given: Tensor | np.ndarray) -> "Vectors":
        """From an array (n, D) of any numbers; ValueError for others, and for vectors of length 0."""
        points = finite_points(torch.as_tensor(given).detach().float().cpu())
        length = points.norm(dim=1, keepdim=True)
        if not length.all():
            row = int((length[:, 0] == 0).nonzero()[0])
            raise ValueError(f"vector {row} has length 0, so it has no direction; leave it out")
        return cls(points / length)

    def __call__(self, graphs: GraphBatch) -> Tensor:
        raise ValueError("vectors are known for their own points only; to show a trace, pass the psi that embeds it")


@dataclass(frozen=True, eq=False)
class Space:
    """A learned loss over n graphs: psi, their points (n, D), and a map of them."""

    psi: Psi
    points: Tensor
    map: EmbeddingMap

    @classmethod
    def of(cls, psi: Psi, graphs: GraphBatch, map: EmbeddingMap | None = None) -> "Space":
        """With the given map, a stored one, or the first two principal components."""
        if isinstance(psi, Vectors) and len(psi.points) != len(graphs):
            raise ValueError(f"got {len(psi.points)} vectors for {len(graphs)} graphs; give one for each, in order")
        if map is None:
            points = embedded(psi, graphs)
            found = None if len(graphs) > maps.MOST else maps.load_map(key(psi, graphs), points)
            return cls(psi, points, found or maps.fit_map(points, method="pca"))
        if len(map.positions) != len(graphs):
            shown = len(map.positions)
            raise ValueError(f"the map shows {shown} graphs, expected {len(graphs)}; fit it to these graphs")
        some = np.unique(np.linspace(0, len(graphs) - 1, CHECKED).astype(int)).tolist()
        own = psi.points[some] if isinstance(psi, Vectors) else points_of(psi, graphs[some])
        if own.shape[1] != map.points.shape[1] or not torch.allclose(own, map.points[some], atol=1e-3):
            raise ValueError("the map shows other points than psi of these graphs; fit it to psi and keep the order")
        return cls(psi, map.points, map)

    def loss_to(self, row: int) -> np.ndarray:
        """(n,) learned losses of all points to one of them."""
        loss: np.ndarray = (2 - 2 * self.points @ self.points[row]).clamp_min(0).double().numpy()
        return loss


def key(psi: Psi, graphs: GraphBatch, method: str = "umap") -> str:
    return maps.map_key(psi.points if isinstance(psi, Vectors) else psi, graphs, method=method)


def embedded(psi: Psi, graphs: GraphBatch) -> Tensor:
    """psi of all graphs (n, D), with a progress bar for many."""
    if isinstance(psi, Vectors):
        return psi.points
    starts = range(0, len(graphs), BATCH)
    bar = tqdm(starts, desc="embedding", disable=len(starts) < 4, leave=False)
    return torch.cat([points_of(psi, graphs[start : start + BATCH]) for start in bar])


def without_graphs(n: int) -> PackedGraphs:
    """n graphs without nodes, for vectors alone."""
    none = torch.zeros(0, dtype=torch.int16)
    return PackedGraphs(
        torch.zeros(n + 1, dtype=torch.long), none, torch.zeros(2, 0, dtype=torch.long), none, NO_GRAPHS
    )


def read(data: Data) -> tuple[GraphBatch, pd.DataFrame | None, list[str] | None]:
    """Graphs, their frame, and their inputs if those are texts; a Dataset is read in the order of its splits."""
    graphs: GraphBatch
    if isinstance(data, GraphBatch):
        graphs, frame, inputs = data, None, None
    elif isinstance(data, Split):
        graphs, frame, inputs = data.graphs, data.frame, data.inputs
    elif isinstance(data, Dataset):
        parts = [getattr(data, name) for name in SPLITS]
        graphs = PackedGraphs.cat([part.graphs for part in parts])
        frame = pd.concat([part.frame.assign(split=name) for part, name in zip(parts, SPLITS)], ignore_index=True)
        written = all(isinstance(part.inputs, (list, tuple)) for part in parts)
        inputs = [text for part in parts for text in part.inputs] if written else None
    else:
        kind = type(data).__name__
        raise ValueError(f"expected a Dataset, a Split or a Graph, got {kind}; use datasets.from_frame")
    if not len(graphs):
        raise ValueError("got no graphs to explore")
    if isinstance(inputs, (list, tuple)) and all(isinstance(text, str) for text in inputs):
        return graphs, frame, list(inputs)
    return graphs, frame, None
