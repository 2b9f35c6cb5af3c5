"""Isomorphism against VF2 of networkx, and on graphs whose nodes all look alike."""

import itertools
import random

import networkx as nx
import pytest
import torch

from elekit.datasets import from_networkx_graphs
from elekit.draw.frames import matching_layout
from elekit.graphs import from_networkx, isomorphism
from elekit.graphs.edit_distance import isomorphic, isomorphism_of
from elekit.graphs.isomorphism import TooSymmetricError, isomorphism_keys


def labeled(graph: nx.Graph) -> nx.Graph:
    graph = nx.convert_node_labels_to_integers(graph)
    for *_, attributes in (*graph.nodes(data=True), *graph.edges(data=True)):
        attributes.setdefault("label", "a")
        attributes.pop("bipartite", None)
    return graph


def shuffled(graph: nx.Graph, seed: int = 0) -> nx.Graph:
    """Another order of nodes and edges."""
    graph, rng = labeled(graph), random.Random(seed)
    names, nodes, edges = (
        rng.sample(range(len(graph)), len(graph)),
        list(graph.nodes(data=True)),
        list(graph.edges(data=True)),
    )
    rng.shuffle(nodes)
    rng.shuffle(edges)
    again: nx.Graph = nx.Graph()
    again.add_nodes_from((names[i], dict(a)) for i, a in nodes)
    again.add_edges_from((names[i], names[j], dict(a)) for i, j, a in edges)
    return again


def union(*graphs: nx.Graph) -> nx.Graph:
    return nx.disjoint_union_all(graphs)


def with_hub(graph: nx.Graph) -> nx.Graph:
    return nx.complement(union(nx.complement(graph), nx.empty_graph(1)))


def rook() -> nx.Graph:
    return nx.line_graph(nx.complete_bipartite_graph(4, 4))


def shrikhande() -> nx.Graph:
    steps = ((0, 1), (1, 0), (1, 1))
    cells = itertools.product(range(4), range(4))
    return nx.Graph([((i, j), ((i + x) % 4, (j + y) % 4)) for i, j in cells for x, y in steps])


def latin_square_graph(square: list[list[int]]) -> nx.Graph:
    """Cells of one row, one column or one symbol are joined: strongly regular, (25, 12, 5, 6) for order 5."""
    cells = [(i, j, symbol) for i, row in enumerate(square) for j, symbol in enumerate(row)]
    return nx.Graph([(x, y) for x, y in itertools.combinations(cells, 2) if any(p == q for p, q in zip(x, y))])


def cfi(base: nx.Graph, twisted: bool) -> nx.Graph:
    """Graphs of Cai, Fürer and Immerman (1992): the twisted one differs, but not for color refinement."""
    graph: nx.Graph = nx.Graph()
    for v in base:
        for bits in itertools.product((0, 1), repeat=len(base[v])):
            if sum(bits) % 2 == 0:
                graph.add_edges_from(((v, bits), (v, u, bit)) for u, bit in zip(base[v], bits))
    for k, (u, v) in enumerate(base.edges):
        graph.add_edges_from(((u, v, bit), (v, u, bit ^ (twisted and k == 0))) for bit in (0, 1))
    return graph


def plane(q: int) -> nx.Graph:
    """Points and lines of the projective plane over the integers modulo a prime."""
    points = [(1, a, b) for a in range(q) for b in range(q)] + [(0, 1, a) for a in range(q)] + [(0, 0, 1)]
    on = ((p, line) for p in points for line in points if sum(x * y for x, y in zip(p, line)) % q == 0)
    return nx.Graph([(("point", p), ("line", line)) for p, line in on])


HEXAGONS = union(*[nx.cycle_graph(6)] * 11)
MIXED = union(*[nx.cycle_graph(6)] * 9, *[nx.cycle_graph(3)] * 4)
CYCLIC = [[(i + j) % 5 for j in range(5)] for i in range(5)]
OTHER = [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 3, 4, 0, 1], [3, 4, 1, 2, 0], [4, 2, 0, 1, 3]]  # of no group

ALIKE = {
    "eleven hexagons": HEXAGONS,
    "with a hub": with_hub(HEXAGONS),
    "complement": nx.complement(HEXAGONS),
    "rook": rook(),
    "Shrikhande": shrikhande(),
    "hypercube": nx.hypercube_graph(6),
    "Latin square": latin_square_graph(CYCLIC),
    "plane": plane(5),
    "complete": nx.complete_graph(60),
    "no edges": nx.empty_graph(200),
    "complete bipartite": nx.complete_bipartite_graph(20, 20),
    "torus": nx.grid_2d_graph(8, 8, periodic=True),
    "tree": nx.balanced_tree(2, 6),
    "long cycle": nx.cycle_graph(300),
    "Cai-Fürer-Immerman": cfi(nx.petersen_graph(), False),
}
DIFFERENT = {
    "hexagons and triangles": (HEXAGONS, MIXED),
    "with a hub": (with_hub(HEXAGONS), with_hub(MIXED)),
    "complements": (nx.complement(HEXAGONS), nx.complement(MIXED)),
    "rook and Shrikhande": (rook(), shrikhande()),
    "three of each": (union(rook(), rook(), shrikhande()), union(rook(), shrikhande(), shrikhande())),
    "Latin squares": (latin_square_graph(CYCLIC), latin_square_graph(OTHER)),
    "Cai-Fürer-Immerman": (cfi(nx.complete_graph(4), False), cfi(nx.complete_graph(4), True)),
    "prism and Möbius": (nx.circular_ladder_graph(20), nx.circulant_graph(40, [1, 20])),
}


def is_isomorphism(image: dict[int, int], a: nx.Graph, b: nx.Graph) -> bool:
    slots = list(b)
    moved = {node: slots[image[k]] for k, node in enumerate(a)}
    back = nx.relabel_nodes(a, moved)
    return dict(back.nodes) == dict(b.nodes) and back.adj == b.adj and sorted(image.values()) == list(range(len(b)))


@pytest.mark.parametrize("name", ALIKE)
def test_graphs_of_equal_colors_equal_themselves_in_another_order(name):
    one, other = labeled(ALIKE[name]), shuffled(ALIKE[name], seed=3)
    a, b = from_networkx([one]), from_networkx([other])
    assert isomorphic(a, b).all()
    assert is_isomorphism(isomorphism_of(a, b), one, other)
    assert len(set(isomorphism_keys([one, other]))) == 1


@pytest.mark.parametrize("name", DIFFERENT)
def test_graphs_that_color_refinement_confuses_differ(name):
    one, other = (shuffled(graph, seed=4) for graph in DIFFERENT[name])
    a, b = from_networkx([one]), from_networkx([other])
    assert not isomorphic(a, b).any() and isomorphism_of(a, b) is None
    keys = isomorphism_keys([one, other, shuffled(one, 5), shuffled(other, 6)])
    assert keys[0] == keys[2] != keys[1] == keys[3]


def random_graph(rng: random.Random) -> nx.Graph:
    n, seed = rng.randrange(2, 6), rng.randrange(10**6)
    graph = rng.choice(
        [
            lambda: nx.gnp_random_graph(2 * n, rng.random(), seed=seed),
            lambda: nx.random_regular_graph(3, 2 * n, seed=seed),
            lambda: nx.complement(nx.random_regular_graph(2, n + 3, seed=seed)),
            lambda: union(*[nx.cycle_graph(rng.randrange(3, 6)) for _ in range(n)]),
            lambda: nx.circulant_graph(n + 6, rng.sample(range(1, 6), 2)),
        ]
    )()
    kinds = rng.choice(["a", "a", "ab", "abc"])
    for *_, attributes in (*graph.nodes(data=True), *graph.edges(data=True)):
        attributes["label"] = rng.choice(kinds)
    return labeled(graph)


def crossed(graph: nx.Graph, rng: random.Random) -> nx.Graph:
    """Two edges exchange ends where that is possible, so that degrees and labels stay."""
    for (a, b, x), (c, d, y) in zip(*[iter(rng.sample(list(graph.edges(data=True)), graph.number_of_edges()))] * 2):
        if len({a, b, c, d}) == 4 and not graph.has_edge(a, c) and not graph.has_edge(b, d):
            graph.remove_edges_from([(a, b), (c, d)])
            graph.add_edges_from([(a, c, x), (b, d, y)])
            break
    return graph


def test_answers_and_keys_are_those_of_vf2():
    rng, match = random.Random(0), nx.algorithms.isomorphism.categorical_node_match("label", None)
    pool, equal = [], 0
    for _ in range(100):
        one = random_graph(rng)
        other = crossed(shuffled(one, rng.random()), rng) if rng.random() < 0.6 else shuffled(one, rng.random())
        expected = nx.is_isomorphic(one, other, node_match=match, edge_match=match)
        both = from_networkx([one, other])
        assert isomorphic(both[0], both[1]).item() == expected
        pool, equal = [*pool, one, other], equal + expected
    assert 40 < equal < 95
    classes: dict[str, list[nx.Graph]] = {}
    for graph, key in zip(pool, isomorphism_keys(pool), strict=True):  # keys are stored in published splits
        code = nx.weisfeiler_lehman_graph_hash(graph, node_attr="label", edge_attr="label")
        known = classes.setdefault(code, [])
        same = (k for k, g in enumerate(known) if nx.is_isomorphic(g, graph, node_match=match, edge_match=match))
        number = next(same, len(known))
        known += [graph] * (number == len(known))
        assert key == f"{code}-{number}"


@pytest.mark.parametrize(("nodes", "count"), [(16, 120), (20, 150), (400, 3)])
def test_many_graphs_with_one_hash_are_told_apart(nodes, count):
    cubic = [nx.random_regular_graph(3, nodes, seed=seed) for seed in range(count)]
    keys = isomorphism_keys([labeled(graph) for graph in cubic])
    assert len({key.rpartition("-")[0] for key in keys}) == 1 and len(set(keys)) > count - 20 and all(keys)
    assert isomorphism_keys([shuffled(graph, k) for k, graph in enumerate(cubic)]) == keys


def test_a_comparison_beyond_the_bound_is_counted_not_guessed(monkeypatch):
    monkeypatch.setattr(isomorphism, "MAX_WORK", 2_000_000)
    monkeypatch.setattr(isomorphism, "MAX_CLASS_WORK", 6_000_000)
    base = nx.random_regular_graph(3, 30, seed=1)
    one, twisted, easy = cfi(base, False), cfi(base, True), nx.path_graph(4)
    graphs = [labeled(one), shuffled(twisted), labeled(easy), shuffled(twisted, 2), shuffled(easy)]
    keys = isomorphism_keys(graphs)
    assert keys[0] and keys[1] == keys[3] == "" and keys[2] == keys[4] != ""
    data = from_networkx_graphs(graphs, fractions=(1, 0, 0))
    assert data.report()["skipped"] == {"too symmetric to compare": 2, "duplicate of an earlier graph": 1}
    batch = from_networkx([*graphs[2:3], *graphs[:2]])
    with pytest.raises(TooSymmetricError, match="^graph 1: too symmetric to compare"):
        isomorphic(batch[:2], batch[torch.tensor([0, 2])])


def test_a_drawing_takes_the_positions_of_an_isomorphic_graph():
    one, other = labeled(nx.cycle_graph(12)), shuffled(nx.cycle_graph(12))
    a, b = from_networkx([one]), from_networkx([other])
    places = torch.rand(12, 2).numpy()
    placed = matching_layout(a, b, places)
    assert sorted(placed.tolist()) == sorted(places.tolist())
    image = isomorphism_of(a, b)
    assert (placed == places[[image[k] for k in range(12)]]).all()
