"""Isomorphism and edit distance: properties, cases by hand, and brute force as the oracle."""

import itertools
import types

import networkx as nx
import numpy as np
import pytest
import torch

from elekit.graphs import augment
from elekit.graphs import edit_distance as edit_distance_module
from elekit.graphs.edit_distance import EditStep, edit_distance, edit_path, edit_steps, isomorphic
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists, to_networkx

LETTERS = GraphVocabulary(("A", "B", "C"), ("x", "y"), 4)
ATOMS = GraphVocabulary(("C", "N", "O"), ("single", "double", "triple"), 9, (4, 3, 2), (1, 2, 3))


def random_graphs(count: int, vocabulary: GraphVocabulary = LETTERS, seed: int = 0) -> Graph:
    """Uniform labels, absent nodes anywhere among the slots; with about every third pair an edge."""
    generator = torch.Generator().manual_seed(seed)
    N = vocabulary.max_nodes
    nodes = torch.randint(0, vocabulary.K, (count, N), generator=generator)
    edges = torch.randint(1, vocabulary.R, (count, N, N), generator=generator)
    edges = (edges * (torch.rand(count, N, N, generator=generator) < 0.4)).triu(1)
    return Graph.from_labels(nodes, edges + edges.transpose(1, 2), vocabulary).rounded()


def molecule_like(count: int, seed: int = 0) -> Graph:
    """Trees and rings of 7 to 9 atoms, by random edits of a chain that respect valences."""
    chain = (["C"] * 8, [(i, i + 1, "single") for i in range(7)])
    counts = torch.full((count,), 12)
    return augment.random_edits(from_edge_lists([chain] * count, ATOMS), counts, torch.Generator().manual_seed(seed))


def brute_force(a: Graph, b: Graph, edge_labels: bool = True) -> list[int]:
    """Every partial one-to-one map between the nodes that are there; what it leaves out is deleted or inserted."""
    fewest = []
    for left, right in zip(to_networkx(a), to_networkx(b)):
        n, m = list(left), list(right)
        costs = []
        for size in range(min(len(n), len(m)) + 1):
            for chosen in itertools.combinations(n, size):
                for images in itertools.permutations(m, size):
                    to = dict(zip(chosen, images))
                    cost = len(n) + len(m) - 2 * size
                    cost += sum(left.nodes[u]["label"] != right.nodes[v]["label"] for u, v in to.items())
                    kept = [(u, v) for u, v in left.edges if u in to and v in to and right.has_edge(to[u], to[v])]
                    cost += left.number_of_edges() + right.number_of_edges() - 2 * len(kept)
                    if edge_labels:
                        cost += sum(left.edges[u, v]["label"] != right.edges[to[u], to[v]]["label"] for u, v in kept)
                    costs.append(cost)
        fewest.append(min(costs))
    return fewest


def line(*atoms: str, edges=(), vocabulary=LETTERS) -> Graph:
    return from_edge_lists([(list(atoms), list(edges))], vocabulary)


# -- edit distance ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("edge_labels", [True, False])
def test_edit_distance_is_that_of_brute_force(edge_labels):
    a, b = random_graphs(60, seed=1), random_graphs(60, seed=2)
    found = edit_distance(a, b, edge_labels=edge_labels)
    assert found.proven.all()
    assert found.distance.tolist() == brute_force(a, b, edge_labels)


@pytest.mark.parametrize("edge_labels", [True, False])
def test_edit_distance_is_that_of_networkx(edge_labels):
    a = molecule_like(6)
    generator = torch.Generator().manual_seed(3)
    b = augment.shuffled(augment.random_edits(a, torch.tensor([0, 1, 2, 2, 3, 3]), generator), generator)
    ours = edit_distance(a, b, edge_labels=edge_labels)
    same = nx.algorithms.isomorphism.categorical_node_match("label", None)
    theirs = [
        nx.graph_edit_distance(g, h, same, same if edge_labels else None, upper_bound=bound + 1)
        for g, h, bound in zip(to_networkx(a), to_networkx(b), ours.distance.tolist())
    ]
    assert ours.proven.all() and ours.distance.tolist() == theirs


@pytest.mark.parametrize(
    "right, expected, without_edge_labels",
    [
        (line("A", "B", "C", edges=[(0, 1, "x"), (1, 2, "y")]), 0, 0),
        (line("C", "B", "A", edges=[(1, 2, "x"), (0, 1, "y")]), 0, 0),  # the other way round
        (line("A", "B", "C", edges=[(0, 1, "x"), (1, 2, "x")]), 1, 0),  # an edge relabeled
        (line("A", "A", "C", edges=[(0, 1, "x"), (1, 2, "y")]), 1, 1),  # a node relabeled
        (line("A", "B", "C", edges=[(0, 1, "x")]), 1, 1),  # an edge deleted
        (line("A", "B", edges=[(0, 1, "x")]), 2, 2),  # a node and its edge deleted
        (line("A", "B", "C", "C", edges=[(0, 1, "x"), (1, 2, "y"), (2, 3, "y")]), 2, 2),  # a node hung on
        (line("A", "B", "C", edges=[(0, 1, "y"), (1, 2, "x"), (0, 2, "x")]), 3, 1),  # or 2 relabelings and an edge
        (line("B"), 4, 4),
    ],
)
def test_edit_distance_by_hand(right, expected, without_edge_labels):
    left = line("A", "B", "C", edges=[(0, 1, "x"), (1, 2, "y")])
    for a, b in ((left, right), (right, left)):
        assert edit_distance(a, b).distance.tolist() == [expected]
        assert edit_distance(a, b, edge_labels=False).distance.tolist() == [without_edge_labels]


def test_edit_distance_is_a_metric_on_molecules():
    a, b, c = molecule_like(25, 1), molecule_like(25, 2), molecule_like(25, 3)
    ab, ba, bc, ac = (edit_distance(u, v) for u, v in ((a, b), (b, a), (b, c), (a, c)))
    assert all(found.proven.all() for found in (ab, ba, bc, ac))
    assert torch.equal(ab.distance, ba.distance)
    assert (ac.distance <= ab.distance + bc.distance).all()
    assert (edit_distance(a, a).distance == 0).all()


def test_edit_distance_ignores_node_order_slots_and_what_rounding_removes():
    a, b = molecule_like(10, 1), molecule_like(10, 2)
    generator = torch.Generator().manual_seed(0)
    expected = edit_distance(a, b).distance
    assert torch.equal(edit_distance(augment.shuffled(a, generator), b).distance, expected)
    soft = augment.softened(a, torch.full((10,), 0.3), generator)
    assert torch.equal(edit_distance(soft, b).distance, expected)
    wide = torch.nn.functional.pad(a.labels()[0], (0, 3)), torch.nn.functional.pad(a.labels()[1], (0, 3, 0, 3))
    assert torch.equal(edit_distance(Graph.from_labels(*wide, ATOMS), b).distance, expected)


def test_edit_distance_of_a_batch_is_that_of_its_pairs():
    a, b = molecule_like(5, 1), molecule_like(5, 2)
    together = edit_distance(a, b).distance
    assert together.tolist() == [edit_distance(u, v).distance.item() for u, v in zip(a, b)]
    assert together.shape == (5,) and together.dtype == torch.float32


def test_edit_distance_is_at_most_the_edits_made():
    a = molecule_like(30)
    counts = torch.arange(30) % 4
    b = augment.random_edits(a, counts, torch.Generator().manual_seed(0))
    distance = edit_distance(a, b).distance
    assert (distance <= 2 * counts).all()  # hanging a node on is a node and an edge
    assert torch.equal(distance == 0, isomorphic(a, b))


def test_out_of_time_is_an_unproven_upper_bound():
    a, b = molecule_like(30, 1), molecule_like(30, 2)
    exact, hasty = edit_distance(a, b), edit_distance(a, b, timeout=0)
    assert exact.proven.all() and not hasty.proven.all()
    assert (hasty.distance >= exact.distance).all()
    assert torch.equal(hasty.distance[hasty.proven], exact.distance[hasty.proven])


@pytest.mark.parametrize("looks", [1, 2, 4, 8, 16])
def test_what_stops_halfway_is_proven_only_if_it_is_right(monkeypatch, looks):
    """A clock that moves one second at each look, so that the search stops after a known number of steps."""
    a, b = molecule_like(30, 1), molecule_like(30, 2)
    exact = edit_distance(a, b)
    ticks = itertools.count()
    monkeypatch.setattr(edit_distance_module, "time", types.SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(edit_distance_module, "QUICK", looks)
    monkeypatch.setattr(edit_distance_module._Search, "solve", lambda self, timeout: None)
    hasty = edit_distance(a, b, timeout=looks)
    assert not hasty.proven.all() and (hasty.distance >= exact.distance).all()
    assert torch.equal(hasty.distance[hasty.proven], exact.distance[hasty.proven])


@pytest.mark.parametrize("edge_labels", [True, False])
def test_the_integer_program_alone_is_that_of_brute_force(monkeypatch, edge_labels):
    monkeypatch.setattr(edit_distance_module, "QUICK", 0)
    a, b = random_graphs(30, seed=3), random_graphs(30, seed=4)
    found = edit_distance(a, b, edge_labels=edge_labels)
    assert found.proven.all() and found.distance.tolist() == brute_force(a, b, edge_labels)
    steps = [edit_steps(u, v) for u, v in zip(a, b)]
    assert not edge_labels or [len(path) for path in steps] == found.distance.tolist()


def test_large_related_graphs_are_proven_and_a_budget_of_all_pairs_is_kept():
    """Two rings of 12 in a chain, a few edits apart in another node order: far beyond the branch and bound."""
    vocabulary = GraphVocabulary(("C", "N", "O"), ("single", "double", "triple"), 24, (4, 3, 2), (1, 2, 3))
    links = [(i, i + 1, "single") for i in range(23)] + [(0, 11, "single"), (12, 23, "single")]
    a = from_edge_lists([(["C", "C", "N", "C"] * 6, links)] * 6, vocabulary)
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([1, 2, 3, 4, 5, 6])
    b = augment.shuffled(augment.random_edits(a, counts, generator), generator)
    found = edit_distance(a, b, timeout=30)
    assert found.proven.all() and (found.distance <= 2 * counts).all() and (found.distance >= 1).all()
    hasty = edit_distance(a, b, budget=1e-3)
    assert (hasty.distance >= found.distance).all() and (hasty.at_least <= found.distance).all()
    assert not hasty.proven.all()


def test_paths_of_a_batch_are_those_of_its_pairs():
    a, b = random_graphs(20, seed=5), random_graphs(20, seed=6)
    found = edit_distance(a, b)
    assert found.paths == [edit_steps(u, v) for u, v in zip(a, b)]
    assert list(map(len, found.paths)) == found.distance.tolist()


def test_graphs_of_many_nodes_are_unproven_not_too_deep():
    """Unequal labels lead straight down, one node at a time."""
    N, labels = 500, tuple(map(str, range(100)))
    vocabulary = GraphVocabulary(labels, ("edge",), N)
    nodes, edges = torch.arange(N)[None] % 100 + 1, torch.zeros(1, N, N)
    path = torch.arange(N - 1)
    edges[0, path, path + 1] = edges[0, path + 1, path] = 1
    turned = edges.clone()
    turned[0, 0, 1] = turned[0, 1, 0] = 0
    turned[0, 0, 2] = turned[0, 2, 0] = 1
    one, other = (Graph.from_labels(nodes, e, vocabulary) for e in (edges, turned))
    found = edit_distance(one, other, timeout=0.2)
    assert 1 <= found.distance <= 2


def test_one_node_and_no_node():
    one = GraphVocabulary(("A", "B"), ("x",), 1)
    a = Graph.from_labels(torch.tensor([[1], [1], [0], [0]]), torch.zeros(4, 1, 1), one)
    b = Graph.from_labels(torch.tensor([[1], [2], [2], [0]]), torch.zeros(4, 1, 1), one)
    assert edit_distance(a, b).distance.tolist() == [0, 1, 1, 0]
    assert isomorphic(a, b).tolist() == [True, False, False, True]
    assert edit_distance(a[:0], b[:0]).distance.shape == isomorphic(a[:0], b[:0]).shape == (0,)


def test_progress_bar_is_shown_on_request_only(capsys):
    a = molecule_like(2)
    edit_distance(a, a)
    assert capsys.readouterr().err == ""
    edit_distance(a, a, progress=True)
    assert "edit distance" in capsys.readouterr().err


# -- edit path -------------------------------------------------------------------------------------------------
def walked(graph: Graph, path: list[str]) -> nx.Graph:
    """What the words make of a graph, done one after the other; each must fit the graph as it then is."""
    (drawn,) = to_networkx(graph)
    for words in path:
        part, change = words.split(": ")
        old, new = change.split(" to ")
        what, where = part.split(" ")
        if what == "node":
            node = int(where)
            assert old == (drawn.nodes[node]["label"] if node in drawn else "nothing") != new
            if new == "nothing":
                assert drawn.degree(node) == 0
                drawn.remove_node(node)
            else:
                drawn.add_node(node, label=new)
        else:
            i, j = map(int, where.split("-"))
            assert i < j and i in drawn and j in drawn
            assert old == (drawn.edges[i, j]["label"] if drawn.has_edge(i, j) else "no edge") != new
            drawn.remove_edge(i, j) if new == "no edge" else drawn.add_edge(i, j, label=new)
    return drawn


def padded_at(graph: Graph, place: int) -> Graph:
    """The same graphs with one absent node more, before slot `place`."""
    nodes, edges = (labels.numpy() for labels in graph.labels())
    edges = np.insert(np.insert(edges, place, 0, axis=1), place, 0, axis=2)
    return Graph.from_labels(
        torch.from_numpy(np.insert(nodes, place, 0, axis=1)), torch.from_numpy(edges), graph.vocabulary
    )


@pytest.mark.parametrize("drawn", [lambda seed: random_graphs(60, seed=seed), lambda seed: molecule_like(25, seed)])
def test_a_path_leads_from_one_graph_to_the_other_and_none_is_shorter(drawn):
    a, b = drawn(1), drawn(2)
    expected = edit_distance(a, b)
    assert expected.proven.all()
    same = nx.algorithms.isomorphism.categorical_node_match("label", None)
    for left, right, length in zip(a, b, expected.distance.tolist()):
        for one in (left, padded_at(left, 0), padded_at(left, 2)):
            path = edit_path(one, right)
            assert len(path) == length
            (goal,) = to_networkx(right)
            assert nx.is_isomorphic(walked(one, path), goal, same, same)


def test_a_path_by_hand():
    chain = from_edge_lists([(["C", "C", "O"], [(0, 1, "single"), (1, 2, "single")])], ATOMS)
    longer = from_edge_lists([(["C", "C", "N", "C"], [(0, 1, "double"), (1, 2, "single"), (2, 3, "single")])], ATOMS)
    assert edit_path(chain, longer) == [
        "node 2: O to N", "edge 0-1: single to double", "node 3: nothing to C", "edge 2-3: no edge to single",
    ]  # fmt: skip
    assert edit_path(longer, chain) == [
        "edge 2-3: single to no edge", "node 3: C to nothing", "node 2: N to O", "edge 0-1: double to single",
    ]  # fmt: skip
    assert edit_path(chain, chain) == edit_steps(chain, chain) == []
    assert edit_steps(chain, longer) == [
        EditStep("node", (2,), 3, 2), EditStep("edge", (0, 1), 1, 2), EditStep("node", (3,), 0, 1), EditStep("edge", (2, 3), 0, 1),
    ]  # fmt: skip


def test_added_nodes_take_the_free_slots_then_numbers_beyond():
    nodes = torch.tensor([[0, 1, 0]])
    lonely = Graph.from_labels(nodes, torch.zeros(1, 3, 3), LETTERS)
    four = line("A", "B", "B", "B")
    assert edit_path(lonely, four) == [f"node {slot}: nothing to B" for slot in (0, 2, 3)]
    assert edit_path(lonely, line("C")) == ["node 1: A to C"]


def test_a_path_found_out_of_time_still_leads_there():
    same = nx.algorithms.isomorphism.categorical_node_match("label", None)
    for left, right in zip(molecule_like(10, 1), molecule_like(10, 2)):
        path = edit_path(left, right, timeout=0)
        assert len(path) == edit_distance(left, right, timeout=0).distance.item()
        assert nx.is_isomorphic(walked(left, path), to_networkx(right)[0], same, same)


def test_a_path_between_batches_and_foreign_graphs_is_refused():
    a = random_graphs(2)
    for left, right in ((a, a[0]), (a[0], a), (a[:0], a[0])):
        with pytest.raises(ValueError, match="two single graphs, got batches of"):
            edit_path(left, right)
    with pytest.raises(ValueError, match="node_labels"):
        edit_path(a[0], random_graphs(1, GraphVocabulary(("A", "B", "D"), ("x", "y"), 4)))
    with pytest.raises(ValueError, match="timeout must be seconds"):
        edit_path(a[0], a[1], timeout=-1)


# -- isomorphism -----------------------------------------------------------------------------------------------
def test_isomorphic_is_brute_force_distance_zero():
    a, b = random_graphs(300, seed=1), random_graphs(300, seed=2)
    expected = [d == 0 for d in edit_distance(a, b).distance.tolist()]
    assert any(expected) and isomorphic(a, b).tolist() == expected


def test_isomorphic_up_to_node_order_and_only_that():
    a = molecule_like(40)
    b = augment.shuffled(a, torch.Generator().manual_seed(0))
    assert isomorphic(a, b).all()
    assert not isomorphic(a, augment.random_edits(a, torch.ones(40), torch.Generator().manual_seed(1))).all()


def test_isomorphic_tells_apart_what_has_the_same_profile():
    """Two triangles and a hexagon: every node has the same label and the same edges."""
    names = GraphVocabulary(("A",), ("x",), 6)
    hexagon = (["A"] * 6, [(i, (i + 1) % 6, "x") for i in range(6)])
    triangles = (["A"] * 6, [(i, i + 1 if i % 3 < 2 else i - 2, "x") for i in range(6)])
    a, b = from_edge_lists([hexagon, hexagon], names), from_edge_lists([triangles, hexagon], names)
    assert isomorphic(a, b).tolist() == [False, True]
    assert edit_distance(a, b).distance.tolist() == [4, 0]


# -- errors ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("judge", [isomorphic, edit_distance])
def test_what_cannot_be_compared_is_refused(judge):
    a = random_graphs(3)
    with pytest.raises(ValueError, match="batches of 3 and 2"):
        judge(a, a[:2])
    other = GraphVocabulary(("A", "B", "D"), ("x", "y"), 4)
    with pytest.raises(ValueError, match=r"node_labels: .*'C'.*'D'"):
        judge(a, random_graphs(3, other))
    with pytest.raises(ValueError, match="edge_labels"):
        judge(a, random_graphs(3, GraphVocabulary(("A", "B", "C"), ("x", "z"), 4)))


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
def test_timeout_out_of_range_is_refused(timeout):
    with pytest.raises(ValueError, match="timeout"):
        edit_distance(random_graphs(1), random_graphs(1), timeout=timeout)
