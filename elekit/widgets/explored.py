"""The data of an explorer: graphs, losses, a table, and sentences about them. Nothing here is displayed."""

import hashlib
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
from elekit.inspect.maps import METHODS, MOST, TITLES, EmbeddingMap, neighbors_kept, trust_words
from elekit.inspect.search import Search, overview
from elekit.model.health import typical_edit
from elekit.model.loss import Psi, points_of, squared_distance
from elekit.widgets.inspector_io import Json
from elekit.widgets.space import NO_GRAPHS, Space

NEIGHBORS = 8
OWN, CLOSEST = 8, 3  # columns and nearest points on the card of a vector without a graph
FAST, COMPARED = {"Weisfeiler-Lehman", "Tanimoto"}, 100_000  # known distances to all of so many graphs
CACHED = 512  # scenes
MOST_CLASSES = 60  # different texts in a column that is offered for colors
FEW = 150_000  # atoms of molecules whose functional groups are computed at the start, in two seconds; points on cards
GROUP, TO_PINNED, KEPT, ERROR, FOUND, MOVED, CHANGE = (
    "functional group", "loss to pinned", "neighbors kept", "prediction error", "found by search", "moved",
    "change of loss to pinned",
)  # fmt: skip
ON_CARD = ("nodes", "edges", "rings", "split", "id", TO_PINNED, FOUND, ERROR)  # on every card
SIDES = ("psi", "other")
SECONDS = {"umap": 6.0, "tsne": 10.0, "pca": 0.5}  # of a map per 1,000 points, measured on two cores
Predicted = tuple[int, np.ndarray]  # a row, and the (2,) position of its prediction


class Explored:
    """n graphs, one or two learned losses over them (`spaces`), and `table`, with a row of facts about each graph.

    The second space may also be another map of the first loss. losses: their names. frame, texts: columns and inputs
    of the graphs. predictions: (n, D) unit vectors, or rows of nan. paths: for each space the points of a decoding
    run. placed: their positions on its map. drawn: whether there are graphs; otherwise there are vectors alone.
    """

    def __init__(
        self, spaces: list[Space], graphs: GraphBatch, frame: pd.DataFrame | None, texts: list[str] | None,
        predictions: Tensor | None, trace: Trace | None, losses: tuple[str, str] = SIDES,
        facts: tuple[str, ...] = (),
    ):  # fmt: skip
        self.spaces, self.graphs, self.texts, self.frame = list(spaces), graphs, texts, frame
        self.losses, self.facts = losses, facts  # names of two losses; columns on every card
        self.edits = [typical_edit(space.psi) for space in self.spaces]  # units of their losses
        self.drawn = graphs.vocabulary != NO_GRAPHS
        self.compares = len(spaces) > 1 and spaces[1].psi is not spaces[0].psi
        self.predictions = None if predictions is None else _unit_rows(predictions, self.spaces[0].points)
        self.paths = [] if trace is None else [_path(space.psi, trace) for space in self.spaces]
        self.table = overview(graphs, frame, structure=self.drawn)
        if self.predictions is not None:
            error = squared_distance(self.predictions, self.spaces[0].points)
            self.table[ERROR] = error.clamp_min(0).double().numpy()
        self.table[TO_PINNED], self.table[FOUND] = np.nan, False
        self.tags: dict[str, np.ndarray] = {}  # rows by name
        self.notes: dict[int, str] = {}  # by row
        if self.compares:
            self.table[CHANGE] = np.nan
            self.table[MOVED] = 1 - neighbors_kept(spaces[0].points, spaces[1].points).astype(np.float64)
        self.maps = {(k, space.map.method): space.map for k, space in enumerate(spaces)}
        self.show_maps({})
        self.search = Search(self.table, graphs)
        self.scenes: dict[int, Json] = {}

    def __len__(self) -> int:
        return len(self.graphs)

    @property
    def digest(self) -> str:
        """Of the graphs, or of the vectors if there are none."""
        points = self.spaces[0].points.contiguous().numpy().tobytes()
        return self.graphs.digest() if self.drawn else hashlib.sha256(points).hexdigest()

    def show_maps(self, maps: dict[int, EmbeddingMap]) -> None:
        """Replace maps, by the number of their space; the second is aligned to the first."""
        for k, map in maps.items():
            self.maps[k, map.method] = map
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
            if name not in ("id", "row") and not (words and _many(column)):
                found.append(name)
        return found

    def first_column(self) -> str:
        """The column to color by at the start, which takes no time to compute."""
        if not self.drawn:
            own = (name for name in self.columns if name not in (TO_PINNED, FOUND, KEPT, CHANGE))
            return next(own, KEPT)
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
        return self.search.smiles_of(row) or f"{self.noun} {self.table['id'].iloc[row]}"

    @property
    def noun(self) -> str:
        return "graph" if self.drawn else "point"

    def entry(self, row: int) -> Json:
        return {"row": int(row), "name": self.name(row), "id": f"id {self.table['id'].iloc[row]}"}

    def card(self, row: int, *, column: str, pinned: int | None) -> Json:
        """Details of a graph: entry, scene, facts (lines of text) and text. column: one more fact."""
        line = self.table.iloc[row]
        facts = [f"id {line['id']}" + (f", {line['split']}" if "split" in self.table else "")]
        facts += [size_words(line)] if self.drawn else []
        own = self._own_columns() if not self.drawn and not self.facts else self.facts
        extra = [name for name in dict.fromkeys([*own, column, ERROR]) if self._is_fact(name)]
        facts += [f"{name}: {_formatted(line[name])}" for name in extra]
        if pinned is not None and pinned != row:
            loss = float(line[TO_PINNED])
            raw = f" (loss {loss:.3f})" if self.edits[0] else ""
            facts.append(f"to the pinned {self.noun}: {loss_words(loss, self.edits[0])}{raw}")
        tags = ", ".join(name for name, rows in self.tags.items() if row in rows)
        kept = {"tagged": tags, "note": self.notes.get(row, "")}
        facts += [f"{what}: {words}" for what, words in kept.items() if words]
        if not self.drawn and 1 < len(self) <= FEW:
            facts.append(self._nearest_words(row))
        text = "" if self.texts is None or self.texts[row] == self.name(row) else self.texts[row]
        return {**self.entry(row), "facts": facts, "text": text, "scene": self.scene(row)}

    def _own_columns(self) -> list[str]:
        """The first columns of the data, without the one that names the points."""
        if self.frame is None:
            return []
        return [str(name) for name in self.frame if not self.frame[name].equals(self.table["id"])][:OWN]

    def _nearest_words(self, row: int) -> str:
        """The points nearest to one by the first loss, with the losses."""
        space = self.spaces[0]
        near = inspect.neighbors(space.points[row], space.points, CLOSEST, exclude=row)
        named = [
            f"{self.table['id'].iloc[one]} ({significant(loss)})" for one, loss in zip(near["row"], near["loss"])
        ]
        return f"nearest, with the loss: {', '.join(named)}"

    def _is_fact(self, name: str) -> bool:
        return name in self.table and (name == ERROR or name not in ON_CARD)

    def scene(self, row: int) -> Json:
        """The drawing of a graph; {} for vectors alone."""
        if not self.drawn:
            return {}
        if row not in self.scenes:
            if len(self.scenes) >= CACHED:
                del self.scenes[next(iter(self.scenes))]
            self.scenes[row] = scene(self.graphs[int(row)].dense())
        return self.scenes[row]

    # -- a pinned graph ----------------------------------------------------------------------------------------
    def pin(self, row: int | None) -> list[pd.DataFrame]:
        """Neighbors (row, loss) by each learned loss; sets the table's losses to the pinned graph."""
        changed = [TO_PINNED, *([CHANGE] if self.compares else [])]
        if row is None:
            self.table[changed] = np.nan
            return []
        self.losses_to = [s.loss_to(row) for s in self.spaces[: 1 + self.compares]]
        self.table[TO_PINNED] = self.losses_to[0]
        if self.compares:
            self.table[CHANGE] = self.losses_to[1] - self.losses_to[0]
        return [inspect.neighbors(s.points[row], s.points, NEIGHBORS, exclude=row) for s in self.spaces]

    @property
    def baselines(self) -> list[str]:
        """Known distances that neighbors can be compared with; none for more than a hundred thousand graphs."""
        fits = self.drawn and len(self) <= COMPARED
        return sorted(distances_for(self.graphs.vocabulary).keys() & FAST) if fits else []

    def nearest_by(self, baseline: str, row: int) -> pd.DataFrame:
        """Neighbors (row, loss) of a graph by a known distance; takes seconds."""
        pairs = self.graphs[[row] * len(self)], self.graphs
        distance = distances_for(self.graphs.vocabulary)[baseline](*pairs).nan_to_num(torch.inf)
        distance[row] = torch.inf
        loss, rows = distance.topk(min(NEIGHBORS, len(self) - 1), largest=False)
        return pd.DataFrame({"row": rows.numpy(), "loss": loss.numpy()})

    def neighbor_lists(self, near: list[pd.DataFrame], baseline: tuple[str, pd.DataFrame] | None = None) -> Json:
        """Lists (heading, cards) of neighbors by each loss and by a known distance; in words, how many they share.

        Of two losses, also what came nearer.
        """
        near = near[: 1 + self.compares]
        units = [*self.edits[: len(near)], 0.0]
        names = [f"the learned loss, {name}" for name in self.losses] if self.compares else ["the learned loss"]
        if near and baseline is not None:
            near, names = [*near, baseline[1]], [*names, f"{baseline[0]} distance"]
        sets = [set(frame["row"]) for frame in near]
        both = set.intersection(*sets) if len(sets) > 1 else set()
        lists = []
        for frame, name, unit in zip(near, names, units):
            rows, learned = frame["row"].to_numpy(), "loss" in name
            moves = self._moves(rows) if learned else [{}] * len(rows)
            cards = [
                {**self.entry(row), "scene": self.scene(row), "shared": row in both, **moved}
                | {"loss": loss_words(loss, unit) if learned else significant(loss), "raw": f"{loss:.4f}"}
                for row, loss, moved in zip(rows, frame["loss"], moves)
            ]
            lists.append({"heading": f"Nearest by {name}", "cards": cards})
        whose = "The two losses" if baseline is None else "The two lists" if len(sets) == 2 else "The three lists"
        words = f"{whose} agree on {len(both)} of {len(sets[0])} neighbors." if len(sets) > 1 else ""
        return {"words": words, "lists": lists}

    def _moves(self, rows: np.ndarray) -> list[Json]:
        """For each row, whether the second loss ranks it nearer to the pinned graph than the first, or farther."""
        if not self.compares:
            return [{}] * len(rows)
        # the pinned graph itself is at rank 0
        first, second = (np.searchsorted(np.sort(loss), loss[rows]).clip(1) for loss in self.losses_to)
        found = []
        for before, after in zip(first.tolist(), second.tolist()):
            way = "nearer" if after < before else "farther" if after > before else ""
            words = f"{way} {self.losses[1]}: rank {before:,} → {after:,}" if way else f"rank {before:,} in both"
            found.append({"way": way, "rank": words})
        return found

    def moved_most(self, most: int) -> Json:
        """In words how much the nearest neighbors differ between the two losses, and the graphs where most do."""
        if not self.compares:
            return {"words": "", "shown": []}
        moved = self.table[MOVED]
        words = f"From {self.losses[0]} to {self.losses[1]}, {100 * moved.mean():.0f} % of the 15 nearest change."
        rows = moved.sort_values(ascending=False, kind="stable").dropna().index[:most]
        return {"words": words, "shown": [{**self.entry(r), "share": f"{100 * moved[r]:.0f} %"} for r in rows]}

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
                graphs=self.graphs[rows].dense() if rows and self.drawn else None,
                titles=titles if self.drawn else (),
                predictions=predicted if k == 0 else (), paths=self.placed[k : k + 1],
                trust=trust_words(map.kept, map.method), colors=colors,
            )  # fmt: skip
        return figure

    # -- words -------------------------------------------------------------------------------------------------
    def selected_words(self, rows: np.ndarray) -> str:
        if not len(rows):
            return f"{len(self):,} {self.noun}s, none selected."
        kept, words = self.table[KEPT].to_numpy()[rows], f"{len(rows):,} of {len(self):,} selected"
        if np.isfinite(kept).any():
            words += f"; the map keeps {15 * np.nanmean(kept):.1f} of their 15 nearest neighbors"
        return f"{words}."

    def pinned_words(self, row: int) -> str:
        kept = self.table[KEPT].iloc[row]
        return f"The map keeps {15 * kept:.0f} of its 15 nearest." if np.isfinite(kept) else ""

    def trust(self) -> str:
        words = [trust_words(space.map.kept, space.map.method) for space in self.spaces]
        return words[0] if len(words) == 1 else " ".join(f"{s}: {w}" for s, w in zip(self.losses, words))

    def movable(self) -> range:
        """The spaces whose maps are laid out anew; a second map of the first loss stays."""
        return range(1 + self.compares)

    def offers(self) -> list[list[str]]:
        """(method, label) of the other maps: how far each can be trusted, or the time it takes; none for many."""
        found = []
        for method in METHODS if len(self) <= MOST else ():
            if all(self.spaces[k].map.method == method for k in self.movable()):
                continue
            made = [self.maps[k, method] for k in self.movable() if (k, method) in self.maps]
            if len(made) == len(self.movable()):
                trust = " and ".join(f"{100 * map.trust:.0f} %" for map in made)
                found.append([method, f"{TITLES[method]} (keeps {trust})"])
            else:
                found.append([method, f"Make {TITLES[method]} ({duration(self.seconds(method))})"])
        return found

    def seconds(self, method: str) -> float:
        """Expected time to make the missing maps of a method."""
        lacking = sum((k, method) not in self.maps for k in self.movable())
        return (15 if method == "umap" else 2) + lacking * max(SECONDS[method] * len(self) / 1000, 1)

    def alternative(self, column: str, selected: int, pinned: int | None, near: list[pd.DataFrame]) -> str:
        """The maps in words, for screen readers."""
        words = f"Map of {len(self):,} {self.noun}s colored by {column}, {selected:,} selected."
        if pinned is not None:
            names = ", ".join(self.name(row) for row in near[0]["row"])
            words += f" Pinned: {self.name(pinned)}. Nearest by the learned loss: {names}."
        return words


NOUNS = {"nodes": "node", "edges": "edge", "rings": "ring"}


def size_words(line: Any) -> str:
    """ "3 nodes, 2 edges, 0 rings" of a row of the table."""
    return ", ".join(f"{line[name]:,} {noun}{'' if line[name] == 1 else 's'}" for name, noun in NOUNS.items())


def duration(seconds: float) -> str:
    return f"{max(10 * round(seconds / 10), 5):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def _many(column: pd.Series) -> bool:
    """Whether a column has too many different texts for colors."""
    if column.head(10 * MOST_CLASSES).astype(str).nunique() > MOST_CLASSES:  # which saves reading a million texts
        return True
    return int(column.astype(str).nunique()) > MOST_CLASSES


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
