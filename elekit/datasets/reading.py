"""Columns of SMILES or networkx graphs as channel tensors, with a reason for each row that is refused."""

import hashlib
import json
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import networkx as nx
import numpy as np
import torch
from tqdm.auto import tqdm

from elekit.datasets.files import cache_arrays, cache_folder
from elekit.graphs._optional import extra
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, label_tensors

READER = 2  # raise it when reading SMILES changes, so that cached readings are made anew
Labels = tuple[list[str], list[tuple[int, int, str]]]  # of nodes, and of edges with their ends
NO_LABELS: Labels = ([], [])
CACHED_FROM = 5_000  # rows; below that reading takes no longer than a few seconds


@dataclass(frozen=True, eq=False)
class Column:
    """Row by row: channels (n, N) and (n, N, N) int8, canonical key, reason why refused ("" = kept)."""

    vocabulary: GraphVocabulary
    nodes: torch.Tensor
    edges: torch.Tensor
    keys: list[str]
    reasons: list[str]


def read_smiles_column(
    smiles: Sequence[str], vocabulary: GraphVocabulary | None, max_nodes: int | None, progress: bool
) -> Column:
    """SMILES as graphs; the key is the canonical SMILES. Long columns are cached, since QM9 takes half a minute."""
    column = _cached(smiles, progress)
    sizes = (column.nodes > 0).sum(1)
    reasons = list(column.reasons)
    limit = min(max_nodes or column.vocabulary.max_nodes, vocabulary.max_nodes if vocabulary else 10**9)
    for row in (sizes > limit).nonzero()[:, 0].tolist():
        reasons[row] = f"more than {limit} nodes"
    if vocabulary is None:
        N = max(1, min(limit, int(sizes.max())))
        vocabulary = replace(column.vocabulary, max_nodes=N)
        return Column(vocabulary, column.nodes[:, :N], column.edges[:, :N, :N], column.keys, reasons)
    return _translated(column, vocabulary, reasons)


def _translated(column: Column, vocabulary: GraphVocabulary, reasons: list[str]) -> Column:
    """The same rows in another vocabulary's channels; rows with labels that it lacks are refused."""
    N = vocabulary.max_nodes
    node_map = [0] + [_channel(v, vocabulary.node_labels) for v in column.vocabulary.node_labels]
    edge_map = [0] + [_channel(v, vocabulary.edge_labels) for v in column.vocabulary.edge_labels]
    nodes = torch.tensor(node_map, dtype=torch.int8)[column.nodes.long()]
    edges = torch.tensor(edge_map, dtype=torch.int8)[column.edges.long()]
    unknown = (nodes < 0).any(1) | (edges < 0).flatten(1).any(1)
    for row in unknown.nonzero()[:, 0].tolist():
        labels = {column.vocabulary.node_labels[k - 1] for k in column.nodes[row].tolist() if node_map[k] < 0}
        reasons[row] = (
            reasons[row] or f"label unknown to the vocabulary: {', '.join(sorted(labels)) or 'an edge label'}"
        )
    n, found = nodes.shape
    fitted_nodes, fitted_edges = torch.zeros(n, N, dtype=torch.int8), torch.zeros(n, N, N, dtype=torch.int8)
    width = min(N, found)
    fitted_nodes[:, :width] = nodes[:, :width].clamp_min(0)
    fitted_edges[:, :width, :width] = edges[:, :width, :width].clamp_min(0)
    return Column(vocabulary, fitted_nodes, fitted_edges, column.keys, reasons)


def _channel(label: str, labels: Sequence[str]) -> int:
    return labels.index(label) + 1 if label in labels else -1


def _cached(smiles: Sequence[str], progress: bool) -> Column:
    if len(smiles) < CACHED_FROM:
        return _read_smiles(smiles, progress)
    with extra("chem"):
        import rdkit

    name = hashlib.sha256("\n".join([f"{READER} {rdkit.__version__}", *map(str, smiles)]).encode()).hexdigest()[:24]
    path = cache_folder() / f"smiles-{name}.npz"
    if path.exists():
        try:
            with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as stored:
                return Column(
                    GraphVocabulary.from_json(json.loads(str(stored["vocabulary"]))),
                    torch.from_numpy(stored["nodes"]),
                    torch.from_numpy(stored["edges"]),
                    stored["keys"].tolist(),
                    stored["reasons"].tolist(),
                )
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
            pass  # a broken cache file is made anew
    column = _read_smiles(smiles, progress)
    cache_arrays(
        path,
        vocabulary=json.dumps(column.vocabulary.to_json()),
        nodes=column.nodes.numpy(),
        edges=column.edges.numpy(),
        keys=np.array(column.keys),
        reasons=np.array(column.reasons),
    )
    return column


def _read_smiles(smiles: Sequence[str], progress: bool) -> Column:
    from elekit.graphs.smiles import molecule_vocabulary, parse_smiles  # RDKit loads here, not with `import elekit`

    readings = [parse_smiles(s) for s in tqdm(smiles, desc="reading SMILES", disable=not progress, mininterval=0.5)]
    sizes = [len(r.nodes) for r in readings]
    labels = {label for r in readings for label in r.nodes}
    vocabulary = molecule_vocabulary(labels or {"C"}, max(1, *sizes) if len(sizes) > 1 else max(1, sizes[0]))
    nodes, edges = label_tensors([(r.nodes, r.edges) for r in readings], vocabulary)
    return Column(vocabulary, nodes, edges, [r.canonical for r in readings], [r.error for r in readings])


def read_networkx_column(
    graphs: Sequence[nx.Graph | str], vocabulary: GraphVocabulary | None, max_nodes: int | None
) -> Column:
    """networkx graphs as channels; a string in place of a graph is the reason why it is none.

    The key is the Weisfeiler-Lehman hash with a number for each isomorphism class under it, found by a labeled
    isomorphism test: equal graphs have equal keys, whatever their node order.
    """
    reasons, parts, drawn = [], [], []
    for graph in graphs:
        reason, labels = "", NO_LABELS
        if isinstance(graph, str):
            reason = graph
        else:
            try:
                if max_nodes and graph.number_of_nodes() > max_nodes:
                    raise ValueError(f"more than {max_nodes} nodes")
                one = from_networkx([graph], vocabulary)
            except ValueError as refused:
                reason = str(refused).replace("graph 0 ", "", 1)
            else:
                labels = _parts(one)
        reasons.append(reason)
        parts.append(labels)
    kept = [labels for labels, reason in zip(parts, reasons) if not reason]
    if vocabulary is None:
        vocabulary = GraphVocabulary(
            tuple(sorted({v for nodes, _ in kept for v in nodes})) or ("node",),
            tuple(sorted({e for _, edges in kept for *_, e in edges})) or ("edge",),
            max((len(nodes) for nodes, _ in kept), default=1),
        )
    nodes, edges = label_tensors(parts, vocabulary)
    for labels in parts:
        graph = nx.Graph()
        graph.add_nodes_from((i, {"label": v}) for i, v in enumerate(labels[0]))
        graph.add_edges_from((i, j, {"label": e}) for i, j, e in labels[1])
        drawn.append(graph)
    return Column(vocabulary, nodes, edges, isomorphism_keys(drawn), reasons)


def _parts(one: Graph) -> Labels:
    """(node labels, edge triples) of a batch of one."""
    names = one.vocabulary
    nodes, edges = (t[0] for t in one.labels())
    kept = edges.triu(1).nonzero().tolist()
    return [names.node_labels[k - 1] for k in nodes.tolist() if k], [
        (i, j, names.edge_labels[edges[i, j] - 1]) for i, j in kept
    ]


def isomorphism_keys(graphs: Sequence[nx.Graph]) -> list[str]:
    """A string for each graph (attribute `label`), equal exactly for isomorphic labeled graphs of the list."""

    def same(a, b):
        return a.get("label") == b.get("label")

    classes: dict[str, list[nx.Graph]] = defaultdict(list)
    keys = []
    for graph in graphs:
        code = nx.weisfeiler_lehman_graph_hash(graph, node_attr="label", edge_attr="label") if len(graph) else "empty"
        known = classes[code]
        number = next((i for i, g in enumerate(known) if nx.is_isomorphic(g, graph, same, same)), len(known))
        if number == len(known):
            known.append(graph)
        keys.append(f"{code}-{number}")
    return keys
