"""Node positions of a drawing, and the rings that its bonds are drawn into."""

import importlib.util
from collections.abc import Iterable, Iterator

import networkx as nx
import numpy as np

from elekit.draw.base import RADIUS, require_single
from elekit.draw.shapes import distance_to_segments, line_counts
from elekit.graphs.graph import Graph, GraphBatch, GraphVocabulary, to_networkx
from elekit.graphs.smiles import is_molecular, is_readable_size, to_mol

MAX_PLACED = 250  # nodes by distances; larger graphs are placed on a circle
TRIED = 64  # nodes of graphs that are placed from several starts
CLEAR = 1.2 * RADIUS  # least distance of a node to another node or to an edge of others
SPACE = 0.75  # between absent nodes
ARROW = 1.7  # length of an edge of directed graphs: heads and labels need room
ROUNDS, SPREAD = 80, 300  # of stress majorization, and of pushing nodes apart
NEAR = 0.6  # between a node and an edge of others
LARGEST_RING = 8


def layout(graph: GraphBatch) -> np.ndarray:
    """Deterministic node positions of one graph, with edges about one unit long, 1.7 if they have a direction.

    RDKit places molecules if it is installed. Other graphs, and cages that RDKit folds onto themselves, are placed by
    their shortest-path distances (stress majorization, Gansner et al., 2004), with few crossings, and so that nodes
    overlap neither each other nor edges. Absent nodes lie around the graph.

    Args:
        graph: Batch of one; it is rounded.

    Returns:
        (N, 2) positions of all slots.
    """
    graph = require_single(graph)
    drawn = nx.Graph(to_networkx(graph)[0])
    N = graph.nodes.shape[1]
    present = sorted(drawn)
    positions = np.zeros((N, 2))
    if present:
        positions[present] = _placed(nx.convert_node_labels_to_integers(drawn, ordering="sorted"), graph.vocabulary)
        positions *= ARROW if graph.vocabulary.directed else 1.0
    absent = [i for i in range(N) if i not in drawn]
    half = 0.9 + np.abs(positions[present]).max(0, initial=0)
    while absent:
        here = absent[: int(4 * half.sum() / (1.2 * SPACE))]  # across a corner they are nearer
        positions[here] = _around(half, len(here))
        absent, half = absent[len(here) :], half + SPACE
    return positions


def _around(half: np.ndarray, count: int) -> np.ndarray:
    """(count, 2) places along a rectangle, clockwise from the middle of its upper side; half: width and height."""
    corners = half * np.array([[0, 1], [1, 1], [1, -1], [-1, -1], [-1, 1], [0, 1]])
    along = np.concatenate([[0], np.linalg.norm(np.diff(corners, axis=0), axis=1).cumsum()])
    at = along[-1] * (np.arange(count) + 0.5) / count
    return np.stack([np.interp(at, along, corners[:, c]) for c in (0, 1)], axis=1)


def aligned_layout(graph: Graph, other: Graph, positions: np.ndarray) -> np.ndarray:
    """The layout of a graph, turned or mirrored so that the nodes it has in common with another graph match.

    Args:
        graph: Batch of one.
        other: Batch of one, with the same slots.
        positions: (N, 2) positions of `other`.

    Returns:
        (N, 2) positions of all slots.
    """
    placed, both = layout(graph), present_nodes(graph) & present_nodes(other)
    if not both.any():
        return placed
    ours, theirs = positions[both].mean(0), placed[both].mean(0)
    left, _, right = np.linalg.svd((placed[both] - theirs).T @ (positions[both] - ours))  # Kabsch (1976)
    return (placed - theirs) @ left @ right + ours


def present_nodes(graph: Graph) -> np.ndarray:
    """(N,) bool: the slots of a batch of one that hold a node."""
    return (graph.labels()[0][0] > 0).cpu().numpy()


def ring_centers(graph: Graph, positions) -> dict[tuple[int, int], np.ndarray]:
    """For each bond i < j in a ring of at most 8 atoms: the center of its smallest ring; other graphs have none."""
    require_single(graph)
    positions, found = np.asarray(positions), dict[tuple[int, int], np.ndarray]()
    if not line_counts(graph.vocabulary):
        return found
    drawn = to_networkx(graph)[0]
    bridges = set(nx.bridges(drawn))
    for i, j, label in list(drawn.edges(data="label")):
        if (i, j) in bridges or (j, i) in bridges:
            continue
        drawn.remove_edge(i, j)
        ring = nx.bidirectional_shortest_path(drawn, i, j)
        drawn.add_edge(i, j, label=label)
        if len(ring) <= LARGEST_RING:
            found[min(i, j), max(i, j)] = positions[ring].mean(0)
    return found


def _placed(drawn: nx.Graph, vocabulary: GraphVocabulary) -> np.ndarray:
    """Positions of nodes 0, 1, ...: the first layout without overlaps, or the one with the fewest."""
    edges = np.array(drawn.edges, dtype=np.int64).reshape(-1, 2)
    found = _first_clear(_layouts(drawn, vocabulary, edges), edges)
    return found - (found.max(0) + found.min(0)) / 2


def _first_clear(layouts: Iterable[np.ndarray], edges: np.ndarray) -> np.ndarray:
    tried: list[np.ndarray] = []
    for found in layouts:
        tried.append(found)
        if _clearance(found, edges) > CLEAR:
            return found
    return max(tried, key=lambda positions: _clearance(positions, edges))


def _layouts(drawn: nx.Graph, vocabulary: GraphVocabulary, edges: np.ndarray) -> Iterator[np.ndarray]:
    readable = is_readable_size(drawn.number_of_nodes(), drawn.number_of_edges())
    chemistry = importlib.util.find_spec("rdkit") is not None
    if readable and chemistry and line_counts(vocabulary) and is_molecular(vocabulary):
        yield from (_unit(found, edges) for found in _molecular_layouts(drawn))
    parts = [sorted(part) for part in nx.connected_components(drawn)]
    renumbered = (nx.convert_node_labels_to_integers(drawn.subgraph(part), ordering="sorted") for part in parts)
    yield _side_by_side(parts, [_by_distances(part) for part in renumbered])


def _side_by_side(parts: list[list[int]], placed: list[np.ndarray]) -> np.ndarray:
    """Positions of all nodes, with their connected parts in rows, the highest first."""
    positions, corner, high = np.zeros((sum(map(len, parts)), 2)), np.zeros(2), 0.0
    sizes = [np.ptp(one, axis=0) + 1.3 for one in placed]
    width = max(1.3 * np.sqrt(sum(size.prod() for size in sizes)), max(size[0] for size in sizes))
    for n in sorted(range(len(parts)), key=lambda n: -sizes[n][1]):
        if corner[0] + sizes[n][0] > width + 1e-6:
            corner, high = np.array([0.0, corner[1] - high]), 0.0
        positions[parts[n]] = placed[n] - [placed[n][:, 0].min(), placed[n][:, 1].max()] + corner
        corner[0] += sizes[n][0]
        high = max(high, sizes[n][1])
    return positions


def _by_distances(drawn: nx.Graph) -> np.ndarray:
    """Positions of a connected graph: of the starts that lead to the fewest crossings, the first without overlaps."""
    if len(drawn) > MAX_PLACED:
        return _circle(np.arange(len(drawn))) * len(drawn) / (2 * np.pi)
    distances, edges = nx.floyd_warshall_numpy(drawn, weight=None), np.array(drawn.edges).reshape(-1, 2)
    if len(drawn) < 2:
        return np.zeros((len(drawn), 2))
    placed = _majorized(np.stack(list(_starts(drawn, distances))), distances)
    best = np.argsort([_crossings(one, edges) for one in placed], kind="stable")[:3]
    return _first_clear((_spread(_unit(placed[which], edges), edges) for which in best), edges)


def _molecular_layouts(drawn: nx.Graph) -> Iterator[np.ndarray]:
    """RDKit's coordinates, quick ones, then those with the fewest collisions."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDepictor

    mol = to_mol([drawn.nodes[i]["label"] for i in sorted(drawn)], list(drawn.edges(data="label")))
    for flips in (0, 4):
        with rdBase.BlockLogs():  # molecules with invalid valences are drawn, too
            Chem.SanitizeMol(mol, catchErrors=True)
            mol.UpdatePropertyCache(strict=False)
            Chem.FastFindRings(mol)
            rdDepictor.Compute2DCoords(mol, nFlipsPerSample=flips, nSample=50 * bool(flips), sampleSeed=1)
            rdDepictor.StraightenDepiction(mol)
        yield mol.GetConformer().GetPositions()[:, :2]


def _starts(drawn: nx.Graph, distances: np.ndarray) -> Iterator[np.ndarray]:
    """Starting positions: without crossings if the graph is planar, and on circles."""
    nodes = np.arange(len(drawn))
    planar, embedding = nx.check_planarity(drawn) if len(drawn) <= TRIED else (False, None)
    if planar and len(drawn) > 2:
        places = nx.combinatorial_embedding_to_pos(embedding)
        yield np.array([places[i] for i in nodes], dtype=float) * (distances.max() / len(drawn))
    for seed in range(7 if len(drawn) <= TRIED else 1):  # the time grows with the square of the nodes
        yield _circle(np.random.default_rng(seed).permutation(nodes)) * distances.max() / 2


def _circle(order: np.ndarray) -> np.ndarray:
    angles = 2 * np.pi * np.argsort(order) / max(len(order), 1)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _majorized(starts: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """(S, n, 2) positions whose distances are close to those of paths, from S starts."""
    places, n = starts @ [1, 1j], len(distances)
    weights = 1 / np.maximum(distances, 1) ** 2 * (1 - np.eye(n))
    inverse = np.linalg.pinv(np.diag(weights.sum(1)) - weights)
    for _ in range(ROUNDS):
        apart = np.abs(places[:, :, None] - places[:, None])
        pull = -weights * distances / np.maximum(apart, 1e-6)
        pull[:, np.arange(n), np.arange(n)] = -pull.sum(2)
        places = (inverse @ (pull @ places[..., None]))[..., 0]
    return np.stack([places.real, places.imag], -1)


def _spread(positions: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Push nodes apart, and away from edges that do not end in them, until nothing is too close."""
    places, nodes, (start, end) = positions @ [1, 1j], np.arange(len(positions)), edges.T
    others = (nodes[:, None] != start) & (nodes[:, None] != end)  # (n, E)
    for n in range(min(SPREAD, 2 * 10**6 // (len(nodes) * len(edges) + 1))):
        off = places[:, None] - places
        apart = np.maximum(np.abs(off), 1e-6)
        move = (off / apart * np.clip(1 - apart, 0, 1)).sum(1) / 2
        along = places[end] - places[start]
        length = np.maximum(np.abs(along), 1e-6)
        off = (places[:, None] - places[start]) / along * length  # (n, E), the edge along the real axis
        share = (off.real / length).clip(0, 1)
        off = off - share * length
        apart = np.abs(off)
        node, edge = ((apart < NEAR) & others).nonzero()
        if not len(node) and not move.any():
            break
        gap, share = apart[node, edge], share[node, edge]
        side = np.where(gap > 1e-6, off[node, edge] / np.maximum(gap, 1e-6), 1j) * along[edge] / length[edge]
        push = side * (NEAR - gap) / 2
        np.add.at(move, node, push)
        np.add.at(move, start[edge], -push * (1 - share))
        np.add.at(move, end[edge], -push * share)
        places = (places + move / np.maximum(np.abs(move) / 0.3, 1)) * (1.06 if n % 10 == 9 else 1.0)  # more room
    return np.stack([places.real, places.imag], 1)


def _crossings(positions: np.ndarray, edges: np.ndarray) -> int:
    """Number of pairs of edges that cross."""
    a, b = (positions[ends][:, None] for ends in edges.T)
    c, d = (positions[ends][None] for ends in edges.T)

    def side(p, q, r):
        return (q - p)[..., 0] * (r - p)[..., 1] - (q - p)[..., 1] * (r - p)[..., 0]

    meet = (side(a, b, c) * side(a, b, d) < -1e-9) & (side(c, d, a) * side(c, d, b) < -1e-9)
    return int(meet.sum()) // 2


def _clearance(positions: np.ndarray, edges: np.ndarray) -> float:
    """Smallest distance of a node to another node or to an edge that does not end in it."""
    closest = _gaps(positions).min(initial=np.inf)
    for i, j in edges:
        others = np.delete(positions, [i, j], axis=0)
        closest = min(closest, distance_to_segments(others, positions[[i]], positions[[j]]).min(initial=np.inf))
    return closest


def _gaps(positions: np.ndarray) -> np.ndarray:
    """(n, n) distances between different nodes."""
    return np.linalg.norm(positions[:, None] - positions, axis=-1) + np.diag(np.full(len(positions), np.inf))


def _unit(positions: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Positions with a median edge length of 1, or up to 2.2 to keep nodes apart."""
    if len(positions) < 2:
        return positions
    gaps = _gaps(positions)
    closest = gaps.min()
    edge = max(np.median(gaps[tuple(edges.T)] if len(edges) else [closest]), 1e-9)
    return positions / edge * np.clip(0.95 * edge / max(closest, 1e-9), 1, 2.2)
