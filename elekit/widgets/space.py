"""A learned loss over many graphs with their map, and the data that an explorer accepts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from elekit.datasets import Dataset, Split
from elekit.datasets.splits import SPLITS
from elekit.graphs.graph import GraphBatch
from elekit.graphs.packed import PackedGraphs
from elekit.inspect import maps
from elekit.inspect.maps import EmbeddingMap
from elekit.model.loss import Psi, points_of

Data = Dataset | Split | GraphBatch

BATCH = 4_096  # graphs embedded per step of the progress bar
CHECKED = 8  # graphs whose points are compared with those of a given map


@dataclass(frozen=True, eq=False)
class Vectors:
    """Points (n, D) of n graphs by another model, in place of a psi; scaled to length 1."""

    points: Tensor
    health = "Vectors of another model, scaled to length 1; the loss is 2 - 2 times their cosine."

    @classmethod
    def of(cls, values: Tensor | np.ndarray, n: int) -> "Vectors":
        points = torch.as_tensor(values).detach().float().cpu()
        if points.ndim != 2 or len(points) != n:
            raise ValueError(f"expected vectors ({n}, D), one per graph, got shape {tuple(points.shape)}")
        length = points.norm(dim=1, keepdim=True)
        bad = ~torch.isfinite(points).all(1) | (length[:, 0] == 0)
        if bad.any():
            raise ValueError(f"vector {int(bad.nonzero()[0])} is 0 or not finite; it has no direction")
        return cls(points / length)

    def __call__(self, graphs: object) -> Tensor:
        raise ValueError("these are vectors of given graphs; a decoding run or another graph needs the model itself")


@dataclass(frozen=True, eq=False)
class Space:
    """A learned loss over n graphs: psi, their points (n, D), and a map of them."""

    psi: Psi
    points: Tensor
    map: EmbeddingMap

    @classmethod
    def of(cls, psi: Psi, graphs: GraphBatch, map: EmbeddingMap | None = None) -> "Space":
        """With the given map, a stored one, or the first two principal components."""
        if isinstance(psi, Vectors):
            if map is not None and not torch.allclose(map.points, psi.points, atol=1e-3):
                raise ValueError("the map shows other points than these vectors; fit it to them and keep the order")
            return cls(psi, psi.points, map or maps.fit_map(psi.points, method="pca"))
        if map is None:
            points = embedded(psi, graphs)
            map = maps.load_map(maps.map_key(psi, graphs), points) or maps.fit_map(points, method="pca")
            return cls(psi, points, map)
        if len(map.positions) != len(graphs):
            shown = len(map.positions)
            raise ValueError(f"the map shows {shown} graphs, expected {len(graphs)}; fit it to these graphs")
        some = np.unique(np.linspace(0, len(graphs) - 1, CHECKED).astype(int)).tolist()
        own = points_of(psi, graphs[some])
        if own.shape[1] != map.points.shape[1] or not torch.allclose(own, map.points[some], atol=1e-3):
            raise ValueError("the map shows other points than psi of these graphs; fit it to psi and keep the order")
        return cls(psi, map.points, map)


def embedded(psi: Psi, graphs: GraphBatch) -> Tensor:
    """psi of all graphs (n, D), with a progress bar for many."""
    starts = range(0, len(graphs), BATCH)
    bar = tqdm(starts, desc="embedding", disable=len(starts) < 4, leave=False)
    return torch.cat([points_of(psi, graphs[start : start + BATCH]) for start in bar])


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
