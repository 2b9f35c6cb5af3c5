"""Columns of SMILES or networkx graphs as channel tensors, with a reason for each row that is skipped."""

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
from elekit.graphs.graph import EdgeList, GraphVocabulary, from_networkx, label_tensors, to_edge_lists, vocabulary_of
from elekit.graphs.smiles import molecule_vocabulary, parse_smiles

READER = 4  # raise it when the parsing of SMILES changes, which invalidates the cache
CACHED_FROM = 5_000  # rows; shorter columns are parsed in seconds


@dataclass(frozen=True, eq=False)
class Column:
    """n graphs: channels (n, N) and (n, N, N) int8, canonical keys, reasons to skip them ("" = valid).

    dropped: for each graph, what it leaves out of its SMILES, joined by "; "; None if graphs leave nothing out.
    """

    vocabulary: GraphVocabulary
    nodes: torch.Tensor
    edges: torch.Tensor
    keys: list[str]
    reasons: list[str]
    dropped: list[str] | None = None


def read_smiles_column(
    smiles: Sequence[str], vocabulary: GraphVocabulary | None, max_nodes: int | None, progress: bool
) -> Column:
    """Parse SMILES; the keys are canonical SMILES. Long columns are cached: QM9 takes half a minute."""
    column = _cached(smiles, progress)
    sizes = (column.nodes > 0).sum(1)
    reasons = list(column.reasons)
    limit = min(max_nodes or column.vocabulary.max_nodes, vocabulary.max_nodes if vocabulary else 10**9)
    for row in (sizes > limit).nonzero()[:, 0].tolist():
        reasons[row] = f"more than {limit} nodes"
    if vocabulary is None:
        N = max(1, min(limit, int(sizes.max())))
        vocabulary = replace(column.vocabulary, max_nodes=N)
        return replace(
            column, vocabulary=vocabulary, nodes=column.nodes[:, :N], edges=column.edges[:, :N, :N], reasons=reasons
        )
    return _translated(column, vocabulary, reasons)


def _translated(column: Column, vocabulary: GraphVocabulary, reasons: list[str]) -> Column:
    """Convert to the channels of another vocabulary; rows with labels that it lacks are skipped."""
    N = vocabulary.max_nodes
    node_map = [0] + [_channel(v, vocabulary.node_labels) for v in column.vocabulary.node_labels]
    edge_map = [0] + [_channel(v, vocabulary.edge_labels) for v in column.vocabulary.edge_labels]
    nodes = torch.tensor(node_map, dtype=torch.int8)[column.nodes.long()]
    edges = torch.tensor(edge_map, dtype=torch.int8)[column.edges.long()]
    unknown = (nodes < 0).any(1) | (edges < 0).flatten(1).any(1)
    for row in unknown.nonzero()[:, 0].tolist():
        labels = {column.vocabulary.node_labels[k - 1] for k in column.nodes[row].tolist() if node_map[k] < 0}
        what = ", ".join(sorted(labels)) or "an edge label"
        reasons[row] = reasons[row] or f"label unknown to the vocabulary: {what}"
    n, found = nodes.shape
    fitted_nodes, fitted_edges = torch.zeros(n, N, dtype=torch.int8), torch.zeros(n, N, N, dtype=torch.int8)
    width = min(N, found)
    fitted_nodes[:, :width] = nodes[:, :width].clamp_min(0)
    fitted_edges[:, :width, :width] = edges[:, :width, :width].clamp_min(0)
    return replace(column, vocabulary=vocabulary, nodes=fitted_nodes, edges=fitted_edges, reasons=reasons)


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
                vocabulary = GraphVocabulary.from_json(json.loads(str(stored["vocabulary"])))
                nodes, edges = torch.from_numpy(stored["nodes"]), torch.from_numpy(stored["edges"])
                words = (stored[name].tolist() for name in ("keys", "reasons", "dropped"))
                return Column(vocabulary, nodes, edges, *words)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
            pass  # a corrupt cache file is replaced
    column = _read_smiles(smiles, progress)
    words = {name: np.array(getattr(column, name)) for name in ("keys", "reasons", "dropped")}
    vocabulary_text = json.dumps(column.vocabulary.to_json())
    cache_arrays(path, vocabulary=vocabulary_text, nodes=column.nodes.numpy(), edges=column.edges.numpy(), **words)
    return column


def _read_smiles(smiles: Sequence[str], progress: bool) -> Column:
    bar = tqdm(smiles, desc="reading SMILES", disable=not progress, mininterval=0.5)
    molecules = [parse_smiles(text) for text in bar]
    labels = {label for one in molecules for label in one.nodes}
    vocabulary = molecule_vocabulary(labels or {"C"}, max(1, *(len(one.nodes) for one in molecules), 1))
    nodes, edges = label_tensors([(one.nodes, one.edges) for one in molecules], vocabulary)
    words = [(one.canonical, one.error, "; ".join(one.dropped)) for one in molecules]
    return Column(vocabulary, nodes, edges, *map(list, zip(*words)))


def read_networkx_column(
    graphs: Sequence[nx.Graph | str], vocabulary: GraphVocabulary | None, max_nodes: int | None
) -> Column:
    """Convert networkx graphs, with `isomorphism_keys`; a string in place of a graph is the reason to skip it."""
    reasons: list[str] = []
    lists: list[EdgeList] = []
    for graph in graphs:
        reason = ""
        edge_list: EdgeList = ((), ())
        if isinstance(graph, str):
            reason = graph
        else:
            try:
                if max_nodes and graph.number_of_nodes() > max_nodes:
                    raise ValueError(f"more than {max_nodes} nodes")
                (edge_list,) = to_edge_lists(from_networkx([graph], vocabulary))
            except ValueError as error:
                reason = str(error).replace("graph 0 ", "", 1)
        reasons.append(reason)
        lists.append(edge_list)
    if vocabulary is None:
        vocabulary = vocabulary_of(lists)
    plain = []
    for labels, links in lists:
        graph = nx.Graph()
        graph.add_nodes_from((i, {"label": v}) for i, v in enumerate(labels))
        graph.add_edges_from((i, j, {"label": e}) for i, j, e in links)
        plain.append(graph)
    return Column(vocabulary, *label_tensors(lists, vocabulary), isomorphism_keys(plain), reasons)


def isomorphism_keys(graphs: Sequence[nx.Graph]) -> list[str]:
    """A key for each graph, equal exactly for isomorphic labeled graphs (attribute `label`) of the list.

    The key is the Weisfeiler-Lehman hash with the number of the isomorphism class under it.
    """

    def same(a: dict[str, str], b: dict[str, str]) -> bool:
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
