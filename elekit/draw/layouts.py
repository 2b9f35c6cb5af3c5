"""Node positions of a drawing."""

import networkx as nx
import numpy as np

from elekit.draw.base import RADIUS, require_single
from elekit.draw.shapes import distance_to_segments, has_bond_orders
from elekit.graphs._optional import extra
from elekit.graphs.graph import Graph, GraphVocabulary, to_networkx
from elekit.graphs.smiles import is_molecular, is_readable_size, to_mol

MAX_PLACED = 250  # nodes by distances; larger graphs are placed on a circle


def layout(graph: Graph) -> np.ndarray:
    """Deterministic node positions of one graph, with edges about one unit long.

    RDKit places molecules. Other graphs, and cages that RDKit folds onto themselves, are placed by their
    shortest-path distances (Kamada and Kawai, 1989), with as few overlaps as possible. Absent nodes lie on a ring
    around the graph.

    Args:
        graph: Batch of one; it is rounded.

    Returns:
        (N, 2) positions of all slots.
    """
    require_single(graph)
    drawn = to_networkx(graph)[0]
    N = graph.nodes.shape[1]
    present = sorted(drawn)
    positions = np.zeros((N, 2))
    if present:
        positions[present] = _placed(drawn, graph.vocabulary)
    absent = [i for i in range(N) if i not in drawn]
    radius = 0.9 + (np.linalg.norm(positions[present], axis=1).max() if present else 0)
    angles = np.pi / 2 - 2 * np.pi * (np.arange(len(absent)) + 0.5) / max(len(absent), 1)
    positions[absent] = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return positions


def _placed(drawn: nx.Graph, vocabulary: GraphVocabulary) -> np.ndarray:
    """Positions of the present nodes: the first layout without overlaps, or the one with the fewest."""
    tried = []
    for found in _layouts(drawn, vocabulary):
        tried.append(_unit(found, drawn))
        if _clearance(tried[-1], drawn) > 1.2 * RADIUS:
            return tried[-1]
    return max(tried, key=lambda positions: _clearance(positions, drawn))


def _layouts(drawn: nx.Graph, vocabulary: GraphVocabulary):
    readable = is_readable_size(drawn.number_of_nodes(), drawn.number_of_edges())
    if readable and has_bond_orders(vocabulary) and is_molecular(vocabulary):
        yield _molecular_layout(drawn)
    if len(drawn) > MAX_PLACED:
        yield np.array([place for _, place in sorted(nx.circular_layout(sorted(drawn)).items())])
        return
    # disconnected parts are placed as if two edges apart
    distances = {i: dict.fromkeys(drawn, 2.0) | dict(nx.shortest_path_length(drawn, i)) for i in drawn}
    for seed in range(8 if len(drawn) <= 64 else 1):  # the time grows with the cube of the nodes
        start = nx.circular_layout(np.random.default_rng(seed).permutation(sorted(drawn)).tolist())
        found = nx.kamada_kawai_layout(drawn, dist=distances, pos=start)
        yield np.array([found[i] for i in sorted(drawn)])


def _molecular_layout(drawn: nx.Graph) -> np.ndarray:
    with extra("chem"):
        from rdkit import Chem, rdBase
        from rdkit.Chem import rdDepictor

    row = {i: k for k, i in enumerate(sorted(drawn))}
    bonds = [(row[i], row[j], label) for i, j, label in drawn.edges(data="label")]
    mol = to_mol([drawn.nodes[i]["label"] for i in sorted(drawn)], bonds)
    with rdBase.BlockLogs():  # molecules with invalid valences are drawn, too
        Chem.SanitizeMol(mol, catchErrors=True)
        mol.UpdatePropertyCache(strict=False)
        Chem.FastFindRings(mol)
        rdDepictor.Compute2DCoords(mol)
    return mol.GetConformer().GetPositions()[:, :2]


def _clearance(positions: np.ndarray, drawn: nx.Graph) -> float:
    """Smallest distance of a node to another node or to an edge that does not end in it."""
    row = {i: n for n, i in enumerate(sorted(drawn))}
    closest = np.inf
    for i, j in [(row[i], row[j]) for i, j in drawn.edges] + [(n, n) for n in row.values()]:
        others = np.delete(positions, [i, j], axis=0)
        closest = min(closest, distance_to_segments(others, positions[[i]], positions[[j]]).min(initial=np.inf))
    return closest


def _unit(positions: np.ndarray, drawn: nx.Graph) -> np.ndarray:
    """Centered positions with a median edge length of 1, or up to 2.2 to keep nodes apart."""
    positions = positions - (positions.max(0) + positions.min(0)) / 2
    if len(positions) < 2:
        return positions
    row = {i: n for n, i in enumerate(sorted(drawn))}
    gaps = np.linalg.norm(positions[:, None] - positions, axis=-1)
    closest = (gaps + np.where(np.eye(len(gaps)), np.inf, 0)).min()
    edge = max(np.median([gaps[row[i], row[j]] for i, j in drawn.edges] or [closest]), 1e-9)
    return positions / edge * np.clip(0.95 * edge / max(closest, 1e-9), 1, 2.2)
