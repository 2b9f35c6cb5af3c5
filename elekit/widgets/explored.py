"""The data of an explorer: graphs, losses, a table, and sentences about them. Nothing here is displayed."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from elekit import inspect
from elekit.decoding import Trace
from elekit.draw.figure import Picture
from elekit.draw.maps import embedding_map
from elekit.draw.scenes import scene
from elekit.evaluation.formatting import loss_words, significant
from elekit.graphs.distances import distances_for
from elekit.graphs.graph import GraphBatch
from elekit.inspect.distinguishing import Group, graph_features
from elekit.inspect.maps import EmbeddingMap, trust_words
from elekit.inspect.search import Search, overview
from elekit.model.health import typical_edit
from elekit.model.loss import LearnedLoss, Psi, points_of, squared_distance
from elekit.widgets.inspector_io import Json
from elekit.widgets.space import Space

NEIGHBORS = 8
FAST, COMPARED = {"Weisfeiler-Lehman", "Tanimoto"}, 100_000  # known distances to all of so many graphs
CACHED = 512  # scenes
MOST_CLASSES = 60  # different texts in a column that is offered for colors
FEW = 150_000  # atoms of molecules whose functional groups are computed at the start, in two seconds
GROUP, TO_PINNED, KEPT, ERROR, FOUND = (
    "functional group", "loss to pinned", "neighbors kept", "prediction error", "found by search",
)  # fmt: skip
ON_CARD = ("nodes", "edges", "rings", "split", "id", TO_PINNED, FOUND, ERROR)  # on every card
Predicted = tuple[int, np.ndarray]  # a row, and the (2,) position of its prediction


class Explored:
    """n graphs, one or two learned losses over them (`spaces`), and `table`, with a row of facts about each graph.

    frame, texts: columns and inputs of the graphs. predictions: (n, D) unit vectors, or rows of nan. paths: for each
    space the points of a decoding run. placed: their positions on its map. sides: names of two losses.
    """

    def __init__(
        self, spaces: list[Space], graphs: GraphBatch, frame: pd.DataFrame | None, texts: list[str] | None,
        predictions: Tensor | None, trace: Trace | None, sides: tuple[str, str] = ("psi", "other"),
        facts: tuple[str, ...] = (),
    ):  # fmt: skip
        if len(sides) != 2 or len(set(sides)) != 2:
            raise ValueError(f"names must be two different ones, one per loss, got {tuple(sides)!r}")
        self.spaces, self.graphs, self.texts, self.frame = list(spaces), graphs, texts, frame
        self.sides, self.facts = sides, facts  # names of two losses; columns on every card
        self.edits = [typical_edit(space.psi) for space in self.spaces]  # units of their losses
        self.predictions = None if predictions is None else _unit_rows(predictions, self.spaces[0].points)
        self.paths = [] if trace is None else [_path(space.psi, trace) for space in self.spaces]
        self.table = overview(graphs, frame)
        if self.predictions is not None:
            error = squared_distance(self.predictions, self.spaces[0].points)
            self.table[ERROR] = error.clamp_min(0).double().numpy()
        self.table[TO_PINNED], self.table[FOUND] = np.nan, False
        self.tags: dict[str, np.ndarray] = {}  # rows by name
        self.notes: dict[int, str] = {}  # by row
        self.show_maps({})
        self.search = Search(self.table, graphs)
        self.scenes: dict[int, Json] = {}

    def __len__(self) -> int:
        return len(self.graphs)

    def show_maps(self, maps: dict[int, EmbeddingMap]) -> None:
        """Replace maps, by the number of their space; the second is aligned to the first."""
        for k, map in maps.items():
            self.spaces[k] = replace(self.spaces[k], map=map)
        for k, space in enumerate(self.spaces[1:], 1):
            self.spaces[k] = replace(space, map=space.map.aligned_to(self.spaces[0].map))
        self.placed = [space.map.transform(path) for space, path in zip(self.spaces, self.paths)]
        self.predicted_places: dict[int, np.ndarray] = {}  # by row
        self.groups: list[Group] = []  # named, on the first map
        self.table[KEPT] = self.spaces[0].map.kept.astype(np.float64)

    # -- columns -----------------------------------------------------------------------------------------------
    @cached_property
    def columns(self) -> list[str]:
        """Columns to color by: numbers, truth values, and texts with few different values."""
        found = [GROUP] if self.search.molecular else []
        for name in self.table:
            column = self.table[name]
            words = not pd.api.types.is_numeric_dtype(column)
            if name not in ("id", "row") and not (words and column.astype(str).nunique() > MOST_CLASSES):
                found.append(name)
        return found

    def first_column(self) -> str:
        """The column to color by at the start, which takes no time to compute."""
        return GROUP if self.search.molecular and self.table["nodes"].sum() <= FEW else "nodes"

    def has(self, name: str) -> bool:
        return name in self.table or (name == GROUP and self.search.molecular)

    def column(self, name: str) -> pd.Series:
        """A column; functional groups are computed on first use (a second for 10,000 molecules)."""
        if name == GROUP and GROUP not in self.table:
            self.table[GROUP] = self.search.functional_groups()
        return self.table[name]

    def add(self, name: str, values: Any) -> None:
        """Add a column of n values, or replace one."""
        if len(values) != len(self):
            raise ValueError(f"column {name!r} has {len(values)} values for {len(self)} graphs")
        self.table[str(name)] = pd.Series(values).to_numpy()
        vars(self).pop("columns", None)

    def drop(self, name: str) -> None:
        """Remove a column."""
        del self.table[name]
        vars(self).pop("columns", None)

    @cached_property
    def features(self) -> pd.DataFrame:
        """See `elekit.inspect.distinguishing.graph_features`; seconds for 10,000 graphs."""
        return graph_features(self.graphs, self.frame, self.texts)

    # -- rows --------------------------------------------------------------------------------------------------
    def rows_of(self, value: Any) -> np.ndarray:
        """Row numbers from row numbers, n truth values or rows of `table`; ValueError for anything else."""
        n = len(self)
        if isinstance(value, pd.DataFrame):
            return self._rows_of_frame(value)
        rows = np.asarray(value.detach().cpu() if torch.is_tensor(value) else value)
        if rows.dtype == bool:
            if rows.shape != (n,):
                raise ValueError(f"expected {n} truth values, one per graph, got shape {rows.shape}")
            return np.flatnonzero(rows)
        if not rows.size:
            return np.empty(0, dtype=np.int64)
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(f"expected row numbers, {n} truth values or rows of explorer.frame, got {value!r:.80}")
        if rows.min() < 0 or rows.max() >= n:
            raise ValueError(f"no row {rows.max() if rows.max() >= n else rows.min()}; rows are 0..{n - 1}")
        return rows.astype(np.int64)

    def _rows_of_frame(self, frame: pd.DataFrame) -> np.ndarray:
        rows = frame.index.to_numpy()
        if not len(rows):
            return np.empty(0, dtype=np.int64)
        ours = np.issubdtype(rows.dtype, np.integer) and rows.min() >= 0 and rows.max() < len(self)
        if ours and "id" in frame:
            ours = (frame["id"].astype(str).to_numpy() == self.table["id"].iloc[rows].astype(str).to_numpy()).all()
        if not ours:
            raise ValueError("these rows are not from explorer.frame; keep its index when you filter it")
        return rows.astype(np.int64)

    def name(self, row: int) -> str:
        return self.search.smiles[row] or f"graph {self.table['id'].iloc[row]}"

    def entry(self, row: int) -> Json:
        return {"row": int(row), "name": self.name(row), "id": f"id {self.table['id'].iloc[row]}"}

    def card(self, row: int, *, column: str, pinned: int | None) -> Json:
        """Details of a graph: entry, scene, facts (lines of text) and text. column: one more fact."""
        line = self.table.iloc[row]
        facts = [f"id {line['id']}" + (f", {line['split']}" if "split" in self.table else ""), size_words(line)]
        extra = [name for name in dict.fromkeys([*self.facts, column, ERROR]) if self._is_fact(name)]
        facts += [f"{name}: {_formatted(line[name])}" for name in extra]
        if pinned is not None and pinned != row:
            loss = float(line[TO_PINNED])
            raw = f" (loss {loss:.3f})" if self.edits[0] else ""
            facts.append(f"to the pinned graph: {loss_words(loss, self.edits[0])}{raw}")
        facts += (
            [f"tagged: {', '.join(names)}"] if (names := [n for n, rows in self.tags.items() if row in rows]) else []
        )
        facts += [f"note: {self.notes[row]}"] if row in self.notes else []
        text = "" if self.texts is None or self.texts[row] == self.name(row) else self.texts[row]
        return {**self.entry(row), "facts": facts, "text": text, "scene": self.scene(row)}

    def _is_fact(self, name: str) -> bool:
        return name in self.table and (name == ERROR or name not in ON_CARD)

    def scene(self, row: int) -> Json:
        if row not in self.scenes:
            if len(self.scenes) >= CACHED:
                del self.scenes[next(iter(self.scenes))]
            self.scenes[row] = scene(self.graphs[int(row)].dense())
        return self.scenes[row]

    # -- a pinned graph ----------------------------------------------------------------------------------------
    def pin(self, row: int | None) -> list[pd.DataFrame]:
        """Neighbors (row, loss) by each learned loss; sets the table's loss to the pinned graph, by the first."""
        if row is None:
            self.table[TO_PINNED] = np.nan
            return []
        first = self.spaces[0]
        loss = LearnedLoss(first.psi).matrix(first.points, first.points[[row]])[:, 0]
        self.table[TO_PINNED] = loss.clamp_min(0).double().numpy()
        return [inspect.neighbors(s.points[row], s.points, NEIGHBORS, exclude=row) for s in self.spaces]

    @property
    def baselines(self) -> list[str]:
        """Known distances that neighbors can be compared with; none for more than a hundred thousand graphs."""
        return sorted(distances_for(self.graphs.vocabulary).keys() & FAST) if len(self) <= COMPARED else []

    def nearest_by(self, baseline: str, row: int) -> pd.DataFrame:
        """Neighbors (row, loss) of a graph by a known distance; takes seconds."""
        pairs = self.graphs[[row] * len(self)], self.graphs
        distance = distances_for(self.graphs.vocabulary)[baseline](*pairs).nan_to_num(torch.inf)
        distance[row] = torch.inf
        loss, rows = distance.topk(min(NEIGHBORS, len(self) - 1), largest=False)
        return pd.DataFrame({"row": rows.numpy(), "loss": loss.numpy()})

    def neighbor_lists(self, near: list[pd.DataFrame], baseline: tuple[str, pd.DataFrame] | None = None) -> Json:
        """Lists (heading, cards) of neighbors by each loss and by a known distance; in words, how many they share."""
        names = ["the learned loss"] if len(near) == 1 else [f"the learned loss of {side}" for side in self.sides]
        if near and baseline is not None:
            near, names = [*near, baseline[1]], [*names, f"{baseline[0]} distance"]
        units = [*self.edits, 0.0]
        sets = [set(frame["row"]) for frame in near]
        both = set.intersection(*sets) if len(sets) > 1 else set()
        lists = []
        for frame, name, unit in zip(near, names, units):
            cards = [
                {**self.entry(row), "scene": self.scene(row), "shared": row in both}
                | {"loss": loss_words(loss, unit) if "loss" in name else significant(loss), "raw": f"{loss:.4f}"}
                for row, loss in zip(frame["row"], frame["loss"])
            ]
            lists.append({"heading": f"Nearest by {name}", "cards": cards})
        whose = "The two losses" if baseline is None else "The two lists" if len(sets) == 2 else "The three lists"
        words = f"{whose} agree on {len(both)} of {len(sets[0])} neighbors." if len(sets) > 1 else ""
        return {"words": words, "lists": lists}

    def predicted(self, rows: Iterable[int], most: int) -> list[Predicted]:
        """The first `most` rows that have a prediction, with its place on the first map."""
        if self.predictions is None:
            return []
        known = [int(row) for row in rows if torch.isfinite(self.predictions[int(row)]).all()][:most]
        new = [row for row in known if row not in self.predicted_places]
        if new:
            self.predicted_places |= dict(zip(new, self.spaces[0].map.transform(self.predictions[new])))
        return [(row, self.predicted_places[row]) for row in known]

    def picture(
        self, column: str, selected: np.ndarray, pinned: int | None, near: list[pd.DataFrame],
        predicted: list[Predicted], colors: str,
    ) -> Figure:  # fmt: skip
        """All maps, one below the other, with selection, pinned graph, its neighbors (see `pin`) and predictions."""
        count = len(self.spaces)
        figure = Picture(figsize=(7.6 if pinned is None else 13, 6.6 * count))
        for k, place in enumerate(figure.subfigures(count, 1, squeeze=False)[:, 0]):
            map, rows, titles = self.spaces[k].map, [], []
            if near and pinned is not None:
                rows = [pinned, *near[k]["row"]]
                losses = enumerate(near[k].itertuples(index=False), 1)
                titles = [self.name(pinned), *(f"{n}  {self.name(row)}  {loss:.2f}" for n, (row, loss) in losses)]
            embedding_map(
                map.positions, self.column(column), column=column, figure=place,
                selected=selected.tolist() if len(selected) else None, pinned=pinned, neighbors=rows[1:],
                graphs=self.graphs[rows].dense() if rows else None, titles=titles,
                predictions=predicted if k == 0 else (), paths=self.placed[k : k + 1],
                trust=trust_words(map.kept, map.method), colors=colors,
            )  # fmt: skip
        return figure

    # -- words -------------------------------------------------------------------------------------------------
    def selected_words(self, rows: np.ndarray) -> str:
        if not len(rows):
            return f"{len(self):,} graphs, none selected."
        kept, words = self.table[KEPT].to_numpy()[rows], f"{len(rows):,} of {len(self):,} selected"
        if np.isfinite(kept).any():
            words += f"; the map keeps {15 * np.nanmean(kept):.1f} of their 15 nearest neighbors"
        return f"{words}."

    def pinned_words(self, row: int) -> str:
        kept = self.table[KEPT].iloc[row]
        return f"The map keeps {15 * kept:.0f} of its 15 nearest." if np.isfinite(kept) else ""

    def trust(self) -> str:
        words = [trust_words(space.map.kept, space.map.method) for space in self.spaces]
        return words[0] if len(words) == 1 else " ".join(f"{s}: {w}" for s, w in zip(self.sides, words))

    def offer(self) -> str:
        """Label of the button that makes a better map, with the time it takes; "" if there is none."""
        lacking = sum(space.map.method != "umap" for space in self.spaces)
        seconds = 15 + lacking * max(6 * len(self) / 1000, 2)  # measured on two cores
        about = f"{10 * round(seconds / 10):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"
        return f"Make the UMAP map{'s' * (lacking > 1)} (about {about})" if lacking else ""

    def alternative(self, column: str, selected: int, pinned: int | None, near: list[pd.DataFrame]) -> str:
        """The maps in words, for screen readers."""
        words = f"Map of {len(self):,} graphs colored by {column}, {selected:,} selected."
        if pinned is not None:
            names = ", ".join(self.name(row) for row in near[0]["row"])
            words += f" Pinned: {self.name(pinned)}. Nearest by the learned loss: {names}."
        return words


NOUNS = {"nodes": "node", "edges": "edge", "rings": "ring"}


def size_words(line: Any) -> str:
    """ "3 nodes, 2 edges, 0 rings" of a row of the table."""
    return ", ".join(f"{line[name]:,} {noun}{'' if line[name] == 1 else 's'}" for name, noun in NOUNS.items())


def _formatted(value: Any) -> str:
    return "unknown" if pd.isna(value) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _path(psi: Psi, trace: Trace) -> Tensor:
    """(S + 2, D) points of the iterates and of the result."""
    return torch.cat([points_of(psi, trace.iterates), points_of(psi, trace.result)])


def _unit_rows(predictions: Tensor, points: Tensor) -> Tensor:
    """Predictions of the same shape as points (n, D), each row of length 1 or nan; ValueError for others."""
    found = torch.as_tensor(predictions).detach().float().cpu()
    if found.shape != points.shape:
        raise ValueError(f"predictions must have shape {tuple(points.shape)}, got {tuple(found.shape)}")
    length = found.norm(dim=1)
    off = ~found.isnan().any(1) & ~((length - 1).abs() < 1e-3)
    if off.any():
        row = int(off.nonzero()[0])
        raise ValueError(f"prediction {row} has length {float(length[row]):.3g}, not 1; use project.sphere")
    return found
