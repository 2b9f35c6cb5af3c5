"""Properties of graphs: what can be counted of every graph, and table columns as targets of a probe."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
import torch

from elekit.audit.probes import Target
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.features import ring_edges, shortest_path_lengths
from elekit.graphs.graph import GraphBatch
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect.search import FEW_LABELS, GROUPS, Search, overview
from elekit.model.loss import BATCH_SIZE

MIN_GRAPHS, MIN_CLASS = 50, 10  # different graphs that a property needs, and that a class needs
MAX_CLASSES = 12
MAX_GRAPHS = 2_000  # different graphs that are used
BLOCK = 2_048  # graphs that are refined together


class PropertyKind(StrEnum):
    """What the values of a property are."""

    NUMBER = "number"
    YES_OR_NO = "yes or no"
    CLASSES = "classes"


@dataclass(frozen=True, eq=False)
class Property:
    """A property of m different graphs."""

    name: str
    kind: PropertyKind
    rows: np.ndarray  # (m,) bool, where it is known and counts
    target: Target | None  # values of these rows; None if it cannot be measured
    note: str = ""  # why not, or what is left out


def graph_properties(graphs: GraphBatch) -> pd.DataFrame:
    """Counts of every graph: nodes, edges, rings, parts (components), diameter (within components), degrees, labels.

    Of molecules also "group: NAME", the functional groups of `elekit.inspect.search.GROUPS` (missing if invalid).
    """
    names = graphs.vocabulary
    labels = names.label_of.to(graphs.labels()[1].device)[graphs.labels()[1]]
    table = overview(graphs).drop(columns="id")
    if len(names.node_labels) == 1:
        table = table.drop(columns=f"nodes: {names.node_labels[0]}")
    table.insert(3, "parts", table["rings"] - table["edges"] + table["nodes"])
    shapes = [_shape(graphs[start : start + BATCH_SIZE]) for start in range(0, len(graphs), BATCH_SIZE)]
    columns = torch.cat(shapes).T if shapes else torch.zeros(4, 0, dtype=torch.long)
    for at, (name, values) in enumerate(zip(("diameter", "largest degree", "leaves", "nodes on rings"), columns)):
        table.insert(4 + at, name, values.numpy())
    if 1 < len(names.edge_labels) <= FEW_LABELS:
        for channel, label in enumerate(names.edge_labels, start=1):
            table[f"edges: {label}"] = ((labels == channel).sum((1, 2)) // 2).cpu().numpy()
    search = Search(table, graphs)
    if search.molecular:
        valid = np.array([molecule is not None for molecule in search.molecules], dtype=bool)
        for name, smarts in GROUPS.items():
            table[f"group: {name}"] = pd.array(search.having(smarts), dtype="boolean")
            table.loc[~valid, f"group: {name}"] = pd.NA
    return table


def _shape(graphs: GraphBatch) -> torch.Tensor:
    """(B, 4) diameter, largest degree, leaves, nodes on rings."""
    edges = graphs.labels()[1].cpu()
    steps, degree = shortest_path_lengths(edges), (edges > 0).sum(2)
    diameter = steps.masked_fill(steps == edges.shape[1], 0).amax((1, 2))  # within components
    return torch.stack([diameter, degree.amax(1), (degree == 1).sum(1), ring_edges(graphs).any(2).sum(1)], 1)


def distinct_rows(graphs: GraphBatch, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are used, and for each the number of its isomorphism class; neither depends on the order of rows."""
    parts = [graph_hashes(graphs[start : start + BLOCK], ROUNDS)[:, -1] for start in range(0, len(graphs), BLOCK)]
    names = torch.cat(parts).cpu().numpy() if parts else np.empty(0, dtype=np.int64)
    kept = np.unique(names)
    if len(kept) > MAX_GRAPHS:
        kept = generator.choice(kept, MAX_GRAPHS, replace=False)
    rows = np.argsort(names, kind="stable")
    rows = rows[np.isin(names[rows], kept)]
    which = np.zeros(len(rows), dtype=np.int64)
    heads: dict[int, list[tuple[int, int]]] = {}
    for at, row in enumerate(rows.tolist()):
        alike = heads.setdefault(names[row], [])  # (row, number) of different graphs of one name; hardly ever two
        same = [number for head, number in alike if bool(isomorphic(graphs[head], graphs[row])[0])]
        if not same:
            same = [int(which[:at].max(initial=-1)) + 1]
            alike.append((row, same[0]))
        which[at] = same[0]
    return rows, which


def parse_column(name: str, column: pd.Series, which: np.ndarray) -> Property:
    """A column as a property of different graphs, `which` (n,); two numbers are classes, 12 classes at most count."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    column = column if column.dtype == "category" else column.convert_dtypes()
    if not is_numeric_dtype(column):
        return _classes(name, column.astype("string").to_numpy(dtype=object, na_value=None), which)
    values = column.to_numpy(dtype=float, na_value=np.nan)
    values[~np.isfinite(values)] = np.nan
    known = np.unique(values[~np.isnan(values)])
    if len(known) == 2:
        words = np.array(["no", "yes"] if is_bool_dtype(column) else [f"{value:g}" for value in known], dtype=object)
        texts: np.ndarray = words[(values == known[-1]).astype(int)]
        texts[np.isnan(values)] = None
        return _classes(name, texts, which)
    return _numbers(name, values, which)


def _numbers(name: str, values: np.ndarray, which: np.ndarray) -> Property:
    known, m = ~np.isnan(values), which.max() + 1
    count = np.bincount(which[known], minlength=m)
    mean = np.bincount(which[known], values[known], m) / np.maximum(count, 1)
    rows = count > 0
    numbers, times = np.unique(mean[rows], return_counts=True)
    note = _too_few(rows) or _constant([f"{number:g}" for number in numbers], times)
    return Property(name, PropertyKind.NUMBER, rows, None if note else Target(mean[rows]), note)


def _classes(name: str, texts: np.ndarray, which: np.ndarray) -> Property:
    m = which.max() + 1
    codes, words = pd.factorize(texts, sort=True)
    frame = pd.DataFrame({"graph": which, "code": codes})[codes >= 0].value_counts(sort=False).reset_index()
    frame = frame.sort_values(["graph", "count", "code"], ascending=[True, False, True]).drop_duplicates("graph")
    of_graph = np.full(m, -1)
    of_graph[frame["graph"]] = frame["code"]  # the most frequent of its rows; of several the first in the alphabet
    rows = of_graph >= 0
    times = np.bincount(of_graph[rows], minlength=len(words))
    kind = PropertyKind.YES_OR_NO if len(words) == 2 else PropertyKind.CLASSES
    seen = np.flatnonzero(times)
    note = _too_few(rows) or (_constant(list(words[seen]), times[seen]) if len(seen) <= 2 else "")
    kept = np.argsort(-times, kind="stable")[:MAX_CLASSES]
    kept = np.sort(kept[times[kept] >= MIN_CLASS])
    if not note and len(kept) < 2:
        note = f"fewer than two of its {len(seen):,} different values have {MIN_CLASS} graphs"
    if note:
        return Property(name, kind, rows, None, note)
    left_out = rows & ~np.isin(of_graph, kept)
    if left_out.any():
        note = f"{left_out.sum():,} graphs of {len(seen) - len(kept):,} rarer classes are left out"
    rows = rows & ~left_out
    if too_few := _too_few(rows):
        return Property(name, kind, rows, None, too_few)
    return Property(name, kind, rows, Target(np.searchsorted(kept, of_graph[rows]), len(kept)), note)


def _too_few(rows: np.ndarray) -> str:
    known = int(rows.sum())
    return "" if known >= MIN_GRAPHS else f"it is known for only {known:,} graphs, and {MIN_GRAPHS} are needed"


def _constant(values: list[str], times: np.ndarray) -> str:
    total, other = int(times.sum()), int(times.sum() - times.max())
    if other >= MIN_CLASS:
        return ""
    exceptions = f"but {other} of {total:,}" if len(values) > 1 else f"{total:,}"
    return f"it is {values[int(times.argmax())]} in all {exceptions} graphs"
