"""Properties of graphs: what is counted of every graph, and columns of a table read as something a probe can tell."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from elekit.audit.probes import Target
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.features import ring_edges, shortest_path_lengths
from elekit.graphs.graph import Graph
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes
from elekit.inspect.search import FEW_LABELS, GROUPS, Search, overview
from elekit.model.loss import BATCH_SIZE

if TYPE_CHECKING:
    import pandas as pd

FEWEST, RAREST = 50, 10  # different graphs that a property, and that one of its kinds, must have
MOST_KINDS = 12
MOST = 2_000  # different graphs that are asked
BLOCK = 2_048  # graphs whose names are made together
NUMBER, YES_OR_NO, KINDS = "number", "yes or no", "kinds"


@dataclass(frozen=True, eq=False)
class Property:
    """A column, a value for each of m different graphs. rows: (m,) bool, where it is known and counts.

    target: values of those rows; None where there is nothing to be told. note: why not, or what was left out.
    """

    name: str
    kind: str
    rows: np.ndarray
    target: Target | None
    note: str = ""


def properties_of(graphs: Graph) -> "pd.DataFrame":
    """What is counted of every graph, a row each.

    nodes, edges, rings (cycle rank), parts (connected ones), diameter (most edges on a shortest path, within parts),
    largest degree, leaves (nodes of one edge), nodes on rings; "nodes: LABEL" and "edges: LABEL" of up to 24 labels,
    where there are several; and of molecules "group: NAME", whether they hold a functional group of
    `elekit.inspect.search.GROUPS` (missing where RDKit does not sanitize the graph).
    """
    import pandas as pd

    names, labels = graphs.vocabulary, graphs.labels()[1]
    table = overview(graphs).drop(columns="id")
    if len(names.node_labels) == 1:
        table = table.drop(columns=f"nodes: {names.node_labels[0]}")
    table.insert(3, "parts", table["rings"] - table["edges"] + table["nodes"])
    shapes = [_shape(graphs[start : start + BATCH_SIZE]) for start in range(0, len(graphs), BATCH_SIZE)]
    shapes = torch.cat(shapes) if shapes else torch.zeros(0, 4, dtype=torch.long)
    for at, (name, values) in enumerate(zip(("diameter", "largest degree", "leaves", "nodes on rings"), shapes.T)):
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


def _shape(graphs: Graph) -> torch.Tensor:
    """(B, 4) diameter, largest degree, leaves, nodes on rings."""
    edges = graphs.labels()[1].cpu()
    steps, degree = shortest_path_lengths(edges), (edges > 0).sum(2)
    diameter = steps.masked_fill(steps == edges.shape[1], 0).amax((1, 2))  # within connected parts
    return torch.stack([diameter, degree.amax(1), (degree == 1).sum(1), ring_edges(graphs).any(2).sum(1)], 1)


def different(graphs: Graph, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are asked, and for each which of the different graphs it is: 0, 1, ... in an order that hangs on the
    graphs alone, so that nothing hangs on the order of the rows."""
    parts = [graph_hashes(graphs[start : start + BLOCK], ROUNDS)[:, -1] for start in range(0, len(graphs), BLOCK)]
    names = torch.cat(parts).numpy() if parts else np.empty(0, dtype=np.int64)
    kept = np.unique(names)
    if len(kept) > MOST:
        kept = generator.choice(kept, MOST, replace=False)
    rows = np.argsort(names, kind="stable")
    rows = rows[np.isin(names[rows], kept)]
    which, heads = np.zeros(len(rows), dtype=np.int64), {}
    for at, row in enumerate(rows.tolist()):
        alike = heads.setdefault(names[row], [])  # (row, number) of different graphs of one name; hardly ever two
        same = [number for head, number in alike if bool(isomorphic(graphs[head], graphs[row])[0])]
        if not same:
            same = [int(which[:at].max(initial=-1)) + 1]
            alike.append((row, same[0]))
        which[at] = same[0]
    return rows, which


def read(name: str, column: "pd.Series", which: np.ndarray) -> Property:
    """A column as a property of the different graphs.

    column: (n,). which: (n,) the different graph that each row shows, 0, 1, ..., m - 1. Two different numbers are a
    yes or no; texts and categories are kinds, of which the 12 commonest count. Numbers not finite are missing.
    """
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    column = column if column.dtype == "category" else column.convert_dtypes()
    if not is_numeric_dtype(column):
        return _kinds(name, column.astype("string").to_numpy(dtype=object, na_value=None), which)
    values = column.to_numpy(dtype=float, na_value=np.nan)
    values[~np.isfinite(values)] = np.nan
    known = np.unique(values[~np.isnan(values)])
    if len(known) == 2:
        words = np.array(["no", "yes"] if is_bool_dtype(column) else [f"{value:g}" for value in known], dtype=object)
        texts = np.where(np.isnan(values), None, words[(values == known[-1]).astype(int)])
        return _kinds(name, texts, which)
    return _numbers(name, values, which)


def _numbers(name: str, values: np.ndarray, which: np.ndarray) -> Property:
    known, m = ~np.isnan(values), which.max() + 1
    count = np.bincount(which[known], minlength=m)
    mean = np.bincount(which[known], values[known], m) / np.maximum(count, 1)
    rows = count > 0
    if rows.sum() < FEWEST:
        return Property(name, NUMBER, rows, None, _too_few(rows.sum()))
    values, times = np.unique(mean[rows], return_counts=True)
    if len(values) == 1:
        return Property(name, NUMBER, rows, None, f"it is {values[0]:g} in all {rows.sum():,} graphs")
    other = rows.sum() - times.max()
    if other < RAREST:
        commonest = f"{values[times.argmax()]:g}"
        return Property(name, NUMBER, rows, None, f"it is {commonest} in all but {other} of {rows.sum():,} graphs")
    return Property(name, NUMBER, rows, Target(mean[rows]))


def _kinds(name: str, texts: np.ndarray, which: np.ndarray) -> Property:
    import pandas as pd

    m = which.max() + 1
    codes, words = pd.factorize(texts, sort=True)
    frame = pd.DataFrame({"graph": which, "code": codes})[codes >= 0].value_counts(sort=False).reset_index()
    frame = frame.sort_values(["graph", "count", "code"], ascending=[True, False, True]).drop_duplicates("graph")
    of_graph = np.full(m, -1)
    of_graph[frame["graph"]] = frame["code"]  # the commonest of its rows, the first in the alphabet of several
    rows = of_graph >= 0
    times = np.bincount(of_graph[rows], minlength=len(words))
    kind = YES_OR_NO if len(words) == 2 else KINDS
    if rows.sum() < FEWEST:
        return Property(name, kind, rows, None, _too_few(rows.sum()))
    there = np.flatnonzero(times)
    if len(there) == 1:
        return Property(name, kind, rows, None, f"it is {words[there[0]]} in all {rows.sum():,} graphs")
    kept = np.argsort(-times, kind="stable")[:MOST_KINDS]
    kept = np.sort(kept[times[kept] >= RAREST])
    if len(kept) < 2:
        many = f"{len(there):,} different values, of which fewer than two are shared by {RAREST} graphs"
        rare = f"it is {words[times.argmax()]} in all but {rows.sum() - times.max()} of {rows.sum():,} graphs"
        return Property(name, kind, rows, None, rare if len(there) == 2 else many)
    left = rows & ~np.isin(of_graph, kept)
    note = ""
    if left.any():
        note = f"{left.sum():,} graphs of {len(there) - len(kept):,} rarer kinds are left out"
    rows = rows & ~left
    if rows.sum() < FEWEST:
        return Property(name, kind, rows, None, _too_few(rows.sum()))
    return Property(name, kind, rows, Target(np.searchsorted(kept, of_graph[rows]), len(kept)), note)


def _too_few(known: int) -> str:
    return f"it is known of {known:,} graphs only, and {FEWEST} are needed"
