"""Columns of SMILES or graphs as lists of nodes and edges, with a reason for each row that is skipped."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from elekit.datasets.files import cache_arrays, cache_folder, cached_arrays
from elekit.datasets.strict_json import parse_json
from elekit.graphs._optional import extra
from elekit.graphs.graph import MAX_LABELS, EdgeList, GraphVocabulary, edge_lists, short
from elekit.graphs.isomorphism import TooSymmetricError, isomorphism_keys
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import AROMATIC, is_aromatic, molecule_vocabulary, parse_smiles

READER = 5  # raise it when the parsing of SMILES changes, which invalidates the cache
CACHED_FROM = 5_000  # rows; shorter columns are parsed in seconds
NO_GRAPH = "neither a networkx graph nor node-link JSON"


@dataclass(frozen=True, eq=False)
class Column:
    """n graphs with any labels, their canonical keys, and reasons to skip them ("" = valid).

    nodes: (S, 2), the row and label of each node, sorted by row. edges: (E, 4), the row, both ends and label of each
    edge. Labels are positions in `node_labels` and `edge_labels`. dropped: for each graph, what it leaves out of its
    SMILES, joined by "; "; None if graphs leave nothing out.
    """

    nodes: np.ndarray
    edges: np.ndarray
    node_labels: list[str]
    edge_labels: list[str]
    keys: list[str]
    reasons: list[str]
    dropped: list[str] | None = None

    @classmethod
    def of(cls, graphs: Sequence[EdgeList], *words: list[str]) -> "Column":
        node_code: dict[str, int] = {}
        edge_code: dict[str, int] = {}
        nodes: list[tuple[int, int]] = []
        edges: list[tuple[int, int, int, int]] = []
        for row, (labels, links) in enumerate(graphs):
            nodes += [(row, node_code.setdefault(label, len(node_code))) for label in labels]
            edges += [(row, i, j, edge_code.setdefault(label, len(edge_code))) for i, j, label in links]
        node_array, edge_array = np.array(nodes, np.int32).reshape(-1, 2), np.array(edges, np.int32).reshape(-1, 4)
        return cls(node_array, edge_array, list(node_code), list(edge_code), *words)

    @property
    def sizes(self) -> np.ndarray:
        """(n,) number of nodes."""
        return np.bincount(self.nodes[:, 0], minlength=len(self.reasons))

    def graphs(self, vocabulary: GraphVocabulary) -> PackedGraphs:
        """All n graphs; nodes of labels that the vocabulary lacks have channel 0, and such edges are left out."""
        offsets = np.concatenate([[0], np.cumsum(self.sizes)])
        row, i, j, label = self.edges.T
        nodes = torch.from_numpy(_channels(self.node_labels, vocabulary.node_labels)[self.nodes[:, 1]])
        edges = torch.from_numpy(_channels(self.edge_labels, vocabulary.edge_labels)[label])
        pairs = torch.from_numpy(np.stack([i, j]) + offsets[row])
        return PackedGraphs.sorted(torch.from_numpy(offsets), nodes, pairs, edges, vocabulary)


def _channels(labels: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """The channel of each label; 0 if it is not among the known ones."""
    channel = {label: k for k, label in enumerate(known, 1)}
    return np.array([channel.get(label, 0) for label in labels], np.int16)


def read_smiles_column(
    smiles: Sequence[str], vocabulary: GraphVocabulary | None, max_nodes: int | None, progress: bool,
    min_count: int = 1, aromatic: bool = AROMATIC,
) -> tuple[Column, GraphVocabulary]:  # fmt: skip
    """Parse SMILES; the keys are canonical SMILES. Long columns are cached: QM9 takes half a minute.

    Returns the column, and the vocabulary: the given one, which decides whether bonds are aromatic, or that of the
    rows that fit `max_nodes` and `min_count`.
    """
    aromatic = is_aromatic(vocabulary) if vocabulary else aromatic
    column = _cached(smiles, aromatic, progress)

    def new(node_labels: set[str], _: set[str], N: int) -> GraphVocabulary:
        return molecule_vocabulary(node_labels or {"C"}, N, aromatic)

    return column, _fit(column, vocabulary, max_nodes, min_count, new)


def read_graph_column(
    values: Sequence[Any], vocabulary: GraphVocabulary | None, max_nodes: int | None, *, min_count: int = 1,
    node_attribute: str | None = "label", edge_attribute: str | None = "label",
) -> tuple[Column, GraphVocabulary]:  # fmt: skip
    """Read networkx graphs or node-link JSON, with `isomorphism_keys`; returns what `read_smiles_column` does."""
    graphs: list[nx.Graph | str] = [graph_of(value) for value in values]
    lists = iter(edge_lists([g for g in graphs if not isinstance(g, str)], node_attribute, edge_attribute))
    found = [g if isinstance(g, str) else next(lists) for g in graphs]
    reasons = [one if isinstance(one, str) else "" for one in found]
    packed = [((), ()) if isinstance(one, str) else one for one in found]
    column = Column.of(packed, [""] * len(packed), reasons)

    def new(node_labels: set[str], edge_labels: set[str], N: int) -> GraphVocabulary:
        return GraphVocabulary(tuple(sorted(node_labels or {"node"})), tuple(sorted(edge_labels or {"edge"})), N)

    vocabulary = _fit(column, vocabulary, max_nodes, min_count, new)
    fitting = [row for row, reason in enumerate(reasons) if not reason]
    for row, key in zip(fitting, isomorphism_keys([_plain(packed[row]) for row in fitting])):
        column.keys[row], reasons[row] = key, "" if key else str(TooSymmetricError())
    return column, vocabulary


def _plain(one: EdgeList) -> nx.Graph:
    graph: nx.Graph = nx.Graph()
    graph.add_nodes_from((i, {"label": v}) for i, v in enumerate(one[0]))
    graph.add_edges_from((i, j, {"label": e}) for i, j, e in one[1])
    return graph


def _fit(
    column: Column, vocabulary: GraphVocabulary | None, max_nodes: int | None, min_count: int,
    new: Callable[[set[str], set[str], int], GraphVocabulary],
) -> GraphVocabulary:  # fmt: skip
    """The vocabulary, given or new; rows that do not fit get a reason before any tensor is allocated."""
    reasons, sizes = column.reasons, column.sizes
    limit = min(max_nodes or 10**9, vocabulary.max_nodes if vocabulary else 10**9)
    for row in np.flatnonzero(sizes > limit).tolist():
        reasons[row] = reasons[row] or f"more than {limit} nodes"
    kinds = (("node", column.nodes, column.node_labels), ("edge", column.edges, column.edge_labels))
    for kind, table, labels in kinds:
        valid = np.array([not reason for reason in reasons])
        pairs = np.unique(table[valid[table[:, 0]]][:, [0, -1]], axis=0)  # which row has which label
        rows = np.bincount(pairs[:, 1], minlength=len(labels))  # with each label
        if vocabulary:
            misfit = _channels(labels, getattr(vocabulary, f"{kind}_labels")) == 0
            problem = "label unknown to the vocabulary"
        else:
            misfit, problem = rows < min_count, f"label in fewer than {min_count} rows"
            _check_number(kind, rows[~misfit & (rows > 0)])
        found: dict[int, list[str]] = defaultdict(list)
        for row, label in pairs[misfit[pairs[:, 1]]].tolist():
            found[row].append(labels[label])
        for row, those in found.items():
            names = ", ".join(sorted(name if name.isprintable() and name else repr(name) for name in those))
            reasons[row] = f"{problem}: {names if len(names) < 80 else names[:80] + '...'}"
    if vocabulary:
        return vocabulary
    valid = np.array([not reason for reason in reasons])
    used = [{labels[k] for k in np.unique(table[valid[table[:, 0]], -1]).tolist()} for _, table, labels in kinds]
    return new(used[0], used[1], int(max(1, sizes[valid].max(initial=1))))


def _check_number(kind: str, rows: np.ndarray) -> None:
    """Raise a ValueError for too many labels, which occur in so many rows."""
    if len(rows) > MAX_LABELS:
        least = np.sort(rows)[-MAX_LABELS - 1] + 1
        names = f" (are they names of {kind}s instead of kinds?)" if (rows == 1).mean() > 0.5 else ""
        problem = f"{len(rows)} {kind} labels{names}, at most {MAX_LABELS} are supported"
        fix = f"min_count={least} skips rows with a label that fewer than {least} rows have"
        raise ValueError(f"{problem}; {fix}, vocabulary= those with labels that it lacks")


def _cached(smiles: Sequence[str], aromatic: bool, progress: bool) -> Column:
    if len(smiles) < CACHED_FROM:
        return _read_smiles(smiles, aromatic, progress)
    with extra("chem"):
        import rdkit

    text = "\n".join([f"{READER} {rdkit.__version__} {aromatic}", *map(str, smiles)])
    name = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:24]
    path = cache_folder() / f"smiles-{name}.npz"
    if (stored := cached_arrays(path)) is not None:
        labels, words = json.loads(str(stored["labels"])), json.loads(str(stored["words"]))
        return Column(stored["nodes"], stored["edges"], *labels, *words)
    column = _read_smiles(smiles, aromatic, progress)
    labels = json.dumps([column.node_labels, column.edge_labels])
    words = json.dumps([column.keys, column.reasons, column.dropped])
    cache_arrays(path, labels=labels, words=words, nodes=column.nodes, edges=column.edges)
    return column


def _read_smiles(smiles: Sequence[str], aromatic: bool, progress: bool) -> Column:
    bar = tqdm(smiles, desc="reading SMILES", disable=not progress, mininterval=0.5)
    molecules = [parse_smiles(text, aromatic) for text in bar]
    words = [(one.canonical, one.error, "; ".join(one.dropped)) for one in molecules]
    for row, text in enumerate(smiles):
        if not isinstance(text, str) and not (pd.api.types.is_scalar(text) and pd.isna(text)):
            words[row] = ("", f"a {type(text).__name__} in place of a SMILES", "")
    return Column.of([(one.nodes, one.edges) for one in molecules], *map(list, zip(*words)))


def graph_of(value: Any) -> nx.Graph | str:
    """A networkx graph, also of node-link JSON (text or parsed); for other values the reason to skip them."""
    if isinstance(value, nx.Graph):
        return value
    if isinstance(value, (str, bytes)):
        try:
            value = parse_json(value if isinstance(value, str) else value.decode())
        except json.JSONDecodeError:
            return NO_GRAPH
        except ValueError as wrong:
            return f"unreadable JSON: {str(wrong)[:80]}"
    if not isinstance(value, dict):
        return NO_GRAPH
    try:
        return _from_node_link(value)
    except ValueError as wrong:
        return str(wrong)


def _from_node_link(document: dict[str, Any]) -> nx.Graph:
    """A graph of node-link JSON, of networkx or D3. Ids that edges write as text ("0" for 0) are matched.

    networkx.node_link_graph would add a node for each unknown id, merge repeated ones, and read JSON without
    "multigraph" as a multigraph.
    """
    for kind in ("directed", "multigraph"):
        if document.get(kind):
            raise ValueError(
                f"is {'a multigraph' if kind == 'multigraph' else kind}; convert it to a simple undirected graph"
            )
    document = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in document.items()}  # of parquet
    listed = [document[name] for name in ("edges", "links") if name in document]
    nodes = document.get("nodes")
    if not isinstance(nodes, list) or len(listed) != 1 or not isinstance(listed[0], list):
        raise ValueError(f'{NO_GRAPH}: it needs a list "nodes" and one list "edges" or "links"')
    for what, some in (("node", nodes), ("edge", listed[0])):
        odd = next((k for k, one in enumerate(some) if not isinstance(one, dict)), None)
        if odd is not None:
            raise ValueError(f"{what} {odd} is no JSON object but {short(some[odd])}")
    named = ["id" in one for one in nodes]
    if any(named) and not all(named):
        raise ValueError(f'node {named.index(False)} has no "id", others have')
    ids = [_node_id(one.get("id", k)) for k, one in enumerate(nodes)]
    if len(set(ids)) != len(ids):
        raise ValueError(f"two nodes have the id {short(Counter(ids).most_common(1)[0][0])}")
    texts: dict[str, list[Any]] = defaultdict(list)
    for one in ids:
        texts[str(one)].append(one)
    known, graph = set(ids), nx.Graph()
    graph.add_nodes_from((i, {k: v for k, v in one.items() if k != "id"}) for i, one in zip(ids, nodes))
    for number, one in enumerate(listed[0]):
        ends = []
        for end in ("source", "target"):
            if end not in one:
                raise ValueError(f'edge {number} has no "{end}"')
            end = _node_id(one[end])
            matched = [end] if end in known else texts.get(str(end), [])
            if len(matched) != 1:
                raise ValueError(f"edge {number} names the unknown node {short(end)}")
            ends += matched
        if graph.has_edge(*ends):
            raise ValueError(f"two edges join the nodes {short(ends[0])} and {short(ends[1])}")
        graph.add_edges_from([(*ends, {k: v for k, v in one.items() if k not in ("source", "target", "key")})])
    return graph


def _node_id(value: Any) -> Any:
    """A hashable id that equals no id of another type: 1 and true, say."""
    if isinstance(value, list):
        return tuple(_node_id(one) for one in value)
    if value is None or isinstance(value, (dict, bool)) or value != value:
        raise ValueError(f"{short(value)} is no id of a node; ids are text or numbers")
    return value
