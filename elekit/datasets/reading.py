"""Columns of SMILES or graphs as lists of nodes and edges, with a reason for each row that is skipped."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from elekit.datasets.files import cache_arrays, cache_folder, cached_arrays
from elekit.datasets.prepare import ANY_ATOM, OTHER, STRUCTURES, Prepare
from elekit.datasets.strict_json import parse_json
from elekit.graphs._optional import extra
from elekit.graphs.graph import (
    BOTH,
    MAX_LABELS,
    EdgeList,
    GraphVocabulary,
    are_directed,
    edge_lists,
    is_directed,
    short,
)
from elekit.graphs.isomorphism import TooSymmetricError, isomorphism_keys
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import element_and_charge, is_aromatic, molecule_vocabulary, parse_smiles, write_smiles

READER = 5  # raise it when the parsing of SMILES changes, which invalidates the cache
CACHED_FROM = 5_000  # rows; shorter columns are parsed in seconds
COMBINED = "several edges between two nodes, in place of which there is one with a combined label"
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

    def labels(self, kind: str) -> list[str]:
        return self.node_labels if kind == "node" else self.edge_labels

    def occurrences(self, kind: str) -> np.ndarray:
        """(2, n): each row without a reason with each label that it has."""
        table, width = (self.nodes if kind == "node" else self.edges), max(1, len(self.labels(kind)))
        valid = np.array([not reason for reason in self.reasons], dtype=bool)
        row, label = table[valid[table[:, 0]]][:, [0, -1]].astype(np.int64).T
        return np.stack(np.divmod(np.unique(row * width + label), width))

    def counts(self, kind: str) -> np.ndarray:
        """For each label, the number of rows without a reason that have it."""
        return np.bincount(self.occurrences(kind)[1], minlength=len(self.labels(kind)))

    def rare(self, kind: str, vocabulary: GraphVocabulary | None, min_count: int) -> np.ndarray:
        """For each label, whether it occurs in too few rows, or is unknown to a given vocabulary."""
        labels = self.labels(kind)
        if vocabulary:
            return _channels(labels, getattr(vocabulary, f"{kind}_labels")) == 0
        return (self.counts(kind) < min_count) & ~np.isin(labels, (OTHER, ANY_ATOM))

    def refuse(self, kind: str, misfit: np.ndarray, problem: str) -> None:
        """Set the reason of the rows that have one of the labels that do not fit."""
        found: dict[int, list[str]] = defaultdict(list)
        rows, labels = self.occurrences(kind)
        for row, label in zip(rows[misfit[labels]].tolist(), labels[misfit[labels]].tolist()):
            found[row].append(self.labels(kind)[label])
        for row, those in found.items():
            names = ", ".join(sorted(name if name.isprintable() and name else repr(name) for name in those))
            self.reasons[row] = f"{problem}: {names if len(names) < 300 else names[:300] + '...'}"

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
    smiles: Sequence[str], vocabulary: GraphVocabulary | None, prepare: Prepare, progress: bool = False
) -> tuple[Column, GraphVocabulary]:
    """Parse SMILES; the keys are canonical SMILES. Long columns are cached: QM9 takes half a minute.

    Returns the column, and the vocabulary: the given one, which decides whether bonds are aromatic, or that of the
    rows that fit the options.
    """
    aromatic = is_aromatic(vocabulary) if vocabulary else prepare.aromatic
    column = _cached(smiles, replace(prepare, aromatic=aromatic), progress)
    if prepare.charges == "none":
        charged = np.array([bool(element_and_charge(label)[1]) for label in column.node_labels], dtype=bool)
        column.refuse("node", charged, "charged atoms")
    rare = column.rare("node", vocabulary, prepare.min_count)
    if prepare.rare == "other" and rare.any() and (vocabulary is None or ANY_ATOM in vocabulary.node_labels):
        _replace_atoms(column, rare, aromatic)

    def new(node_labels: set[str], _: set[str], N: int) -> GraphVocabulary:
        return molecule_vocabulary(node_labels or {"C"}, N, aromatic)

    return column, _fit(column, vocabulary, prepare, new)


def _replace_atoms(column: Column, rare: np.ndarray, aromatic: bool) -> None:
    """Replace rare atoms by any atom ("*"), and write the SMILES of their molecules anew."""
    bounds = np.arange(len(column.reasons) + 1)
    first, first_edge = (np.searchsorted(table[:, 0], bounds) for table in (column.nodes, column.edges))
    for row in np.unique(column.nodes[rare[column.nodes[:, 1]], 0]).tolist():
        nodes = column.nodes[first[row] : first[row + 1]]
        edges = column.edges[first_edge[row] : first_edge[row + 1]]
        atoms = [ANY_ATOM if rare[k] else column.node_labels[k] for k in nodes[:, 1].tolist()]
        bonds = [(i, j, column.edge_labels[k]) for i, j, k in edges[:, 1:].tolist()]
        molecule = parse_smiles(write_smiles(atoms, bonds) or "", aromatic)
        if (len(molecule.nodes), len(molecule.edges)) != (len(nodes), len(edges)):
            column.reasons[row] = column.reasons[row] or "rare atoms that cannot be replaced"
            continue
        nodes[:, 1] = [_code(column.node_labels, label) for label in molecule.nodes]
        for place, (i, j, label) in enumerate(molecule.edges):
            edges[place, 1:] = i, j, _code(column.edge_labels, label)
        column.keys[row] = molecule.canonical
        if column.dropped is not None:
            column.dropped[row] = "; ".join([*filter(None, [column.dropped[row]]), "rare atoms"])


def _code(labels: list[str], label: str) -> int:
    if label not in labels:
        labels.append(label)
    return labels.index(label)


def read_graph_column(
    values: Sequence[Any], vocabulary: GraphVocabulary | None, prepare: Prepare, *,
    node_attribute: str | None = "label", edge_attribute: str | None = "label",
) -> tuple[Column, GraphVocabulary]:  # fmt: skip
    """Read networkx graphs or node-link JSON, with `isomorphism_keys`; returns what `read_smiles_column` does."""
    if prepare.standardizes:
        raise ValueError("prepare.fragments and prepare.charges are for SMILES, these are graphs; leave them out")
    graphs: list[nx.Graph | str] = [graph_of(value) for value in values]
    given = [g for g in graphs if not isinstance(g, str)]
    mostly = 2 * sum(map(is_directed, given)) > len(given)  # so that one bad row does not change the others
    directed = mostly if vocabulary is None else bool(vocabulary.directed)
    lists = iter(edge_lists(given, node_attribute, edge_attribute, directed))
    found = [g if isinstance(g, str) else next(lists) for g in graphs]
    reasons = [one if isinstance(one, str) else "" for one in found]
    packed: list[EdgeList] = [((), ()) if isinstance(one, str) else one for one in found]
    combined = [
        COMBINED if isinstance(graph, nx.Graph) and len(edges) < graph.number_of_edges() and not reason else ""
        for graph, (_, edges), reason in zip(graphs, packed, reasons)
    ]
    column = Column.of(packed, [""] * len(packed), reasons, combined)
    if prepare.rare == "other":
        other = []
        for kind, labels in (("node", column.node_labels), ("edge", column.edge_labels)):
            known = vocabulary is None or OTHER in getattr(vocabulary, f"{kind}_labels")
            rare = column.rare(kind, vocabulary, prepare.min_count) & known
            other.append({label: OTHER if rare[k] else label for k, label in enumerate(labels)})
        packed = [
            ([other[0][v] for v in nodes], [(i, j, other[1][e]) for i, j, e in edges]) for nodes, edges in packed
        ]
        column = Column.of(packed, [""] * len(packed), reasons, combined)

    def new(node_labels: set[str], edge_labels: set[str], N: int) -> GraphVocabulary:
        links = tuple(sorted(edge_labels or {"edge"}))
        direction = directed and are_directed(links)
        return GraphVocabulary(tuple(sorted(node_labels or {"node"})), links, N, directed=direction)

    vocabulary = _fit(column, vocabulary, prepare, new)
    fitting = [row for row, reason in enumerate(reasons) if not reason]
    for row, key in zip(fitting, isomorphism_keys([_plain(packed[row], directed) for row in fitting])):
        column.keys[row], reasons[row] = key, "" if key else str(TooSymmetricError())
    return column, vocabulary


def _plain(one: EdgeList, directed: bool) -> nx.Graph:
    graph: nx.Graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from((i, {"label": v}) for i, v in enumerate(one[0]))
    graph.add_edges_from((i, j, {"label": e}) for i, j, e in one[1])
    if directed:
        graph.add_edges_from((j, i, {"label": e}) for i, j, e in one[1] if e.startswith(BOTH))
    return graph


def _fit(
    column: Column, vocabulary: GraphVocabulary | None, prepare: Prepare,
    new: Callable[[set[str], set[str], int], GraphVocabulary],
) -> GraphVocabulary:  # fmt: skip
    """The vocabulary, given or new; rows that do not fit get a reason before any tensor is allocated."""
    sizes = column.sizes
    limit = min(prepare.max_nodes or 10**9, vocabulary.max_nodes if vocabulary else 10**9)
    for rows, reason in (
        (sizes > limit, f"more than {limit} nodes"),
        (sizes < prepare.min_nodes, f"fewer than {prepare.min_nodes} nodes"),
    ):
        for row in np.flatnonzero(rows).tolist():
            column.reasons[row] = column.reasons[row] or reason
    for kind in ("node", "edge"):
        misfit = column.rare(kind, vocabulary, prepare.min_count)
        if vocabulary is None:
            counts = column.counts(kind)
            _check_number(kind, counts[~misfit & (counts > 0)])
        few = f"label in fewer than {prepare.min_count} rows"
        column.refuse(kind, misfit, "label unknown to the vocabulary" if vocabulary else few)
    if prepare.structure != "any":
        _refuse_structures(column, prepare, vocabulary or _new_vocabulary(column, new))
    return vocabulary or _new_vocabulary(column, new)


def _new_vocabulary(column: Column, new: Callable[[set[str], set[str], int], GraphVocabulary]) -> GraphVocabulary:
    """The vocabulary of the rows without a reason."""
    used = [{column.labels(kind)[k] for k in np.flatnonzero(column.counts(kind))} for kind in ("node", "edge")]
    valid = np.array([not reason for reason in column.reasons], dtype=bool)
    return new(used[0], used[1], int(max(1, column.sizes[valid].max(initial=1))))


def _refuse_structures(column: Column, prepare: Prepare, vocabulary: GraphVocabulary) -> None:
    """Set the reason of the rows whose graphs have another structure."""
    rows = [row for row, reason in enumerate(column.reasons) if not reason]
    expected = STRUCTURES[prepare.structure].check(vocabulary)
    for row, reason in zip(rows, expected.reasons(column.graphs(vocabulary)[rows])):
        column.reasons[row] = f"the graph {reason}" if reason else ""


def _check_number(kind: str, rows: np.ndarray) -> None:
    """Raise a ValueError for too many labels, which occur in so many rows."""
    if len(rows) > MAX_LABELS:
        least = np.sort(rows)[-MAX_LABELS - 1] + 1
        names = f" (are they names of {kind}s instead of kinds?)" if (rows == 1).mean() > 0.5 else ""
        problem = f"{len(rows)} {kind} labels{names}, at most {MAX_LABELS:,} are supported"
        fix = f"prepare=Prepare(min_count={least}) skips rows with a label that fewer than {least} rows have, and "
        fix += "replaces these labels by one with rare='other'"
        raise ValueError(f"{problem}; {fix}; vocabulary= skips those with labels that it lacks")


def _cached(smiles: Sequence[str], prepare: Prepare, progress: bool) -> Column:
    if len(smiles) < CACHED_FROM:
        return _read_smiles(smiles, prepare, progress)
    with extra("chem"):
        import rdkit

    options = f"{prepare.aromatic} {prepare.fragments} {prepare.charges != 'keep'}"
    text = "\n".join([f"{READER} {rdkit.__version__} {options}", *map(str, smiles)])
    name = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:24]
    path = cache_folder() / f"smiles-{name}.npz"
    if (stored := cached_arrays(path)) is not None:
        labels, words = json.loads(str(stored["labels"])), json.loads(str(stored["words"]))
        return Column(stored["nodes"], stored["edges"], *labels, *words)
    column = _read_smiles(smiles, prepare, progress)
    labels = json.dumps([column.node_labels, column.edge_labels])
    words = json.dumps([column.keys, column.reasons, column.dropped])
    cache_arrays(path, labels=labels, words=words, nodes=column.nodes, edges=column.edges)
    return column


def _read_smiles(smiles: Sequence[str], prepare: Prepare, progress: bool) -> Column:
    bar = tqdm(smiles, desc="reading SMILES", disable=not progress, mininterval=0.5)
    standardize = prepare.standardized if prepare.standardizes else None
    molecules = [parse_smiles(text, prepare.aromatic, standardize) for text in bar]
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
    directed, several = (document.get(kind, False) for kind in ("directed", "multigraph"))
    for kind, value in (("directed", directed), ("multigraph", several)):
        if value not in (True, False, None):
            raise ValueError(f'its "{kind}" is {short(value)}; it must be true or false')
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
    known, kinds = set(ids), (nx.MultiGraph, nx.MultiDiGraph) if several else (nx.Graph, nx.DiGraph)
    graph: nx.Graph = kinds[bool(directed)]()
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
        if graph.has_edge(*ends) and not several:
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
