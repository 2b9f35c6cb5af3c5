"""Constraints: what they accept, against networkx and enumeration, and decoding that keeps to them."""

import itertools
import json
from dataclasses import replace

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elekit.decoding import (
    Candidates,
    DecodeConfig,
    GradientConfig,
    LocalSearchConfig,
    decode,
    local_search,
    recombine,
)  # fmt: skip
from elekit.decoding.gradient import fold, measure, unfold
from elekit.decoding.step_rules import Euclidean
from elekit.evaluation import evaluate
from elekit.graphs.constraints import Constraints
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.edits import ALL_KINDS, all_edits
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists, from_networkx, to_edge_lists, to_networkx
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.prior import GraphPrior
from elekit.graphs.spanning import maximum_arborescence, maximum_spanning_tree
from elekit.graphs.weisfeiler_lehman import graph_hashes
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding

MIXED = GraphVocabulary(("a", "b"), ("x", "y", "z"), 6, directed=(True, True, False))
ARROWS = GraphVocabulary(("a", "b", "c"), ("x", "y"), 7, directed=True)
PLAIN = GraphVocabulary(("a", "b", "c"), ("x", "y"), 7)
TABLE = (("a", "x", "b"), ("b", "y", "a"), ("a", "z", "b"), ("b", "x", "b"))
EVERY = [
    Constraints(*shape, relations)
    for shape in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1))
    for relations in (None, TABLE)
]
few = settings(max_examples=6, deadline=None)


def mixed(seed: int, count: int = 8) -> Graph:
    """Random graphs of MIXED, sparse and dense, some of them trees and arborescences."""
    generator = torch.Generator().manual_seed(seed)
    lists = []
    for number in range(count):
        size = 1 + int(torch.randint(5, (), generator=generator))
        tree = nx.random_labeled_tree(size, seed=seed * count + number)
        links = list(tree.edges) if number % 2 else []
        if number % 4 == 3:
            links = list(nx.bfs_tree(tree, size - 1).edges)
        if number % 3 == 0:
            links += [
                (i, j) for i, j in itertools.combinations(range(size), 2) if torch.rand((), generator=generator) < 0.4
            ]
        pairs = {tuple(sorted(link)): link for link in links}
        nodes = ["ab"[int(torch.randint(2, (), generator=generator))] for _ in range(size)]
        kinds = "xy" if number % 4 == 3 else "xyz"
        drawn = torch.randint(len(kinds), (len(pairs),), generator=generator).tolist()
        lists.append((nodes, [(i, j, kinds[k]) for (i, j), k in zip(pairs.values(), drawn)]))
    return from_edge_lists(lists, MIXED)


def oracle(constraints: Constraints, graph: Graph) -> bool:
    one = to_networkx(graph)[0]
    shape = nx.Graph(one)
    holds = not constraints.connected or nx.is_connected(shape)
    holds &= not constraints.tree or nx.is_tree(shape)
    arrows = nx.DiGraph([(i, j) for i, j in one.edges if not one.has_edge(j, i)])
    arrows.add_nodes_from(one)
    holds &= not constraints.one_root or [degree for _, degree in arrows.in_degree].count(0) == 1
    if constraints.tree and constraints.one_root:
        assert holds == nx.is_arborescence(one)
    if constraints.relations is not None:
        ((nodes, edges),) = to_edge_lists(graph)
        for i, j, r in edges:
            found = {(nodes[i], r, nodes[j])} | ({(nodes[j], r, nodes[i])} if r == "z" else set())
            holds &= bool(found & set(constraints.relations))
    return holds


@few
@given(st.integers(0, 10_000))
def test_no_violation_is_what_networkx_accepts(seed):
    graphs = mixed(seed)
    for constraints in EVERY:
        wanted = [oracle(constraints, graph) for graph in graphs]
        violation = constraints.violation(graphs)
        assert (violation == 0).tolist() == wanted
        assert torch.equal(constraints.violation(PackedGraphs.of(graphs)), violation)
        assert [reason == "" for reason in constraints.reasons(graphs)] == wanted
        pieces = torch.tensor([nx.number_connected_components(nx.Graph(one)) - 1 for one in to_networkx(graphs)])
        apart = pieces * constraints.connected
        assert torch.equal(constraints.penalty(graphs) < 1e-6, violation == apart)


@few
@given(st.integers(0, 10_000))
def test_no_edit_that_is_kept_raises_a_part(seed):
    graphs = mixed(seed, 3)
    edits = all_edits(graphs, ALL_KINDS)
    made, row = edits.results(graphs), edits.row
    links, before = ((one.pair_offsets.diff() - one.sizes + 1).abs() for one in (made, PackedGraphs.of(graphs)))
    for constraints in EVERY:
        kept = constraints.keeps_counts(edits, graphs) & constraints.keeps_structure(edits, graphs)
        wanted = (links <= before[row]) | (not constraints.tree)
        for part in (
            Constraints(connected=constraints.connected), Constraints(one_root=constraints.one_root),
            Constraints(relations=constraints.relations),
        ):  # fmt: skip
            wanted &= part.violation(made) <= part.violation(graphs)[row]
        assert torch.equal(kept, wanted)


def spanning(n: int, directed: bool):
    """All spanning trees or arborescences of n nodes."""
    pairs = list(itertools.combinations(range(n), 2))
    for chosen in itertools.combinations(pairs, n - 1):
        for turned in itertools.product((False, True), repeat=(n - 1) * directed):
            links = [(j, i) if turn else (i, j) for (i, j), turn in itertools.zip_longest(chosen, turned)]
            graph = (nx.DiGraph if directed else nx.Graph)(links)
            if len(graph) == n and (nx.is_arborescence(graph) if directed else nx.is_tree(graph)):
                yield links


@pytest.mark.parametrize("directed", [False, True])
def test_spanning_trees_are_the_best_of_all(directed, generator):
    for n, count in ((2, 2 if directed else 1), (3, 9 if directed else 3), (4, 64 if directed else 16)):
        every = list(spanning(n, directed))
        assert len(every) == count  # Cayley
        for _ in range(20):
            weights = torch.randn(n, n, generator=generator).double().numpy()
            weights = weights if directed else weights + weights.T
            found = (maximum_arborescence if directed else maximum_spanning_tree)(weights)
            assert sorted(found) in [sorted(one) for one in every]
            best = max(sum(weights[link] for link in links) for links in every)
            assert sum(weights[link] for link in found) == pytest.approx(best)


def test_large_arborescences_are_those_of_networkx(generator):
    for n in (1, 9, 15):
        weights = torch.randn(n, n, generator=generator).double().numpy()
        complete = nx.complete_graph(n, nx.DiGraph)
        nx.set_edge_attributes(complete, {link: weights[link] for link in complete.edges}, "weight")
        best = nx.maximum_spanning_arborescence(complete).size("weight") if n > 1 else 0
        assert sum(weights[link] for link in maximum_arborescence(weights)) == pytest.approx(best)


def relaxed(names: GraphVocabulary, count: int, generator: torch.Generator) -> Graph:
    """Random points of the polytope, most nodes present."""
    N, K, R = names.max_nodes, names.K, names.R
    lean = torch.tensor([-1.0, *[0.0] * (K - 1)])
    nodes = (2 * torch.randn(count, N, K, generator=generator) + lean).softmax(-1)
    edges = (2 * torch.randn(count, N, N, R, generator=generator)).softmax(-1)
    return Graph(nodes, edges, names).symmetrized().check()


@pytest.mark.parametrize("names", [MIXED, ARROWS, PLAIN], ids=["mixed", "directed", "undirected"])
@pytest.mark.parametrize("table", [None, TABLE[:2] + TABLE[3:]], ids=["any", "table"])
def test_rounded_graphs_satisfy_the_constraints(names, table, generator):
    some = relaxed(names, 30, generator)
    labels = some.labels()[0]
    for connected, tree, one_root in itertools.product((False, True), repeat=3):
        if one_root and not names.directed:
            continue
        constraints = Constraints(connected, tree, one_root, table)
        found = constraints.rounded(some).check()
        assert torch.equal(found.labels()[0], labels)
        assert not replace(constraints, relations=None).violation(found).any()
        good = constraints.violation(found) == 0
        assert torch.equal(constraints.rounded(found).edges[good], found.edges[good])
        assert good.all() or connected or tree or one_root
    assert torch.equal(Constraints().rounded(some).edges, some.rounded().edges)


def test_trees_and_arborescences_have_the_highest_odds(generator):
    for names, constraints in ((PLAIN, Constraints(tree=True)), (ARROWS, Constraints(tree=True, one_root=True))):
        names = replace(names, max_nodes=4)
        some = relaxed(names, 6, generator)
        some = replace(some, nodes=Graph.from_labels(torch.ones(6, 4), torch.zeros(6, 4, 4), names).nodes)
        odds = some.edges.log() - some.edges[..., :1].log()
        ahead = names.directed_labels or range(1, names.R)
        best = odds[..., list(ahead)].amax(-1)
        found = constraints.rounded(some).edges
        for b in range(6):
            every = [sum(best[b, i, j] for i, j in links) for links in spanning(4, bool(names.directed))]
            total = sum(odds[b, i, j, int(found[b, i, j].argmax())] for i, j in itertools.combinations(range(4), 2))
            assert float(total) == pytest.approx(float(max(every)), abs=1e-4)


def test_nodes_without_an_edge_get_their_best_one_below_the_cheapest_root():
    names = replace(ARROWS, max_nodes=3)
    graph = from_edge_lists([(["a", "b", "c"], [(0, 1, "x")])], names)
    edges = graph.edges.clone()
    edges[0, 0, 2] = torch.tensor([0.6, 0.0, 0.3, 0.1, 0.0])  # y from a to c
    edges[0, 1, 2] = torch.tensor([0.5, 0.1, 0.0, 0.0, 0.4])  # y from c to b
    found = Constraints(one_root=True).rounded(replace(graph, edges=edges).symmetrized())
    graph = replace(
        graph,
        edges=torch.where(
            torch.ones(3, 3, dtype=torch.bool).triu()[..., None], edges, names.turn_rows(edges.transpose(1, 2))
        ),
    )
    found = Constraints(one_root=True).rounded(graph)
    assert to_edge_lists(found) == [(["a", "b", "c"], [(0, 1, "x"), (0, 2, "y")])]


def random_trees(names: GraphVocabulary, count: int, seed: int) -> PackedGraphs:
    """Random labeled trees of 3 to 6 nodes; with a root if the vocabulary is directed."""
    generator, lists = torch.Generator().manual_seed(seed), []

    def drawn(labels, size):
        return [labels[k] for k in torch.randint(len(labels), (size,), generator=generator).tolist()]

    for number in range(count):
        size = 3 + number % 4
        tree = nx.random_labeled_tree(size, seed=1_000 * seed + number)
        links = list(nx.bfs_tree(tree, 0).edges) if names.directed else list(tree.edges)
        edges = [(i, j, label) for (i, j), label in zip(links, drawn(names.edge_labels, size - 1))]
        lists.append((drawn(names.node_labels, size), edges))
    return PackedGraphs.of(from_edge_lists(lists, names))


def words(count: int, seed: int) -> PackedGraphs:
    """Dependency trees of small sentences: verb, subject, object, and what belongs to the nouns."""
    generator, lists = torch.Generator().manual_seed(seed), []

    def maybe(chance: float) -> bool:
        return bool(torch.rand((), generator=generator) < chance)

    for _ in range(count):
        nodes, edges = ["verb"], []
        for relation in ["subject", *["object"] * maybe(0.7), *["place"] * maybe(0.4)]:
            noun = len(nodes)
            nodes.append("noun")
            edges.append((0, noun, relation))
            for label, kind in [("det", "the"), *[("adjective", "how")] * maybe(0.4)]:
                if maybe(0.7):
                    edges.append((noun, len(nodes), kind))
                    nodes.append(label)
        lists.append((nodes, edges))
    names = GraphVocabulary(
        ("verb", "noun", "det", "adjective"), ("subject", "object", "place", "the", "how"), 10, directed=True
    )
    return PackedGraphs.of(from_edge_lists(lists, names))


def small_psi(graphs: PackedGraphs, shape: str = "local") -> GraphEmbedding:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = EmbeddingConfig(hidden=32, rounds=3, dim=64, walks=4, shape=shape)
        psi = GraphEmbedding(graphs.vocabulary, config).eval().requires_grad_(False)
    psi.prior, psi.typical = GraphPrior.of(graphs), graphs.average()
    return psi


@pytest.mark.parametrize("kind", ["trees", "arborescences", "words"])
def test_answers_are_trees_and_more_often_true(kind):
    if kind == "words":
        known, truths = words(60, 0), words(12, 1)
    else:
        known, truths = (random_trees(ARROWS if kind == "arborescences" else PLAIN, n, n) for n in (60, 12))
    psi = small_psi(known, "local" if kind == "words" else "global")
    assert replace(psi.prior.constraints, relations=None) == Constraints(tree=True, one_root=kind != "trees")
    polish = "" if kind == "words" else "+polish"
    wrong, exact = {}, {}
    for constraints in (None, Constraints()):
        gradient = GradientConfig(iterations=30, starts=2)
        config = DecodeConfig(f"gradient{polish}", gradient=gradient, constraints=constraints)
        answers = decode(psi, psi(truths), config=config).graphs
        wrong[constraints] = int((psi.prior.constraints.violation(answers) > 0).sum())
        exact[constraints] = int(isomorphic(answers, truths).sum())
    assert wrong[None] == 0 < wrong[Constraints()]
    assert exact[None] > exact[Constraints()], exact


def test_search_leads_to_trees_and_keeps_them(generator):
    known = random_trees(ARROWS, 30, 3)
    psi = small_psi(known)
    target = psi(known[:4])
    starts = relaxed(ARROWS, 4, generator).rounded()
    arborescence = psi.prior.constraints
    before = arborescence.violation(starts)
    config = LocalSearchConfig(rounds=3, retry_above=4.0, penalty=0.0, tolerance=-1)
    found, _ = local_search(psi, target, starts, config=config)
    assert (arborescence.violation(found.graphs) <= before).all() and (before > 0).any()
    found, _ = local_search(psi, target, known[4:8].dense(), config=config)
    assert not arborescence.violation(found.alternatives[torch.isfinite(found.alternative_losses).flatten()]).any()
    table = Constraints.of(known[4:8], relations=True)
    found, _ = local_search(psi, target, known[4:8].dense(), config=config, constraints=table)
    assert not table.violation(found.graphs).any()


def key(graphs: PackedGraphs) -> list[int]:
    return graph_hashes(graphs, 8)[:, -1].tolist()


def test_edits_that_are_kept_lead_from_any_tree_to_any_other():
    for directed, count in ((True, 1 + 1 + 2 + 4), (False, 1 + 1 + 1 + 2)):  # rooted and free trees of 1 to 4 nodes
        names = GraphVocabulary(("a",), ("x",), 4, directed=directed)
        constraints = Constraints(tree=True, one_root=directed)
        path = from_edge_lists([(["a"] * 4, [(0, 1, "x"), (1, 2, "x"), (2, 3, "x")])], names)
        waiting, ways = {"the path": path}, {}
        while waiting:
            _, graph = waiting.popitem()
            edits = all_edits(graph, ALL_KINDS)
            edits = edits[constraints.keeps_counts(edits, graph)]
            results = edits[constraints.keeps_structure(edits, graph)].results(graph)
            (own,), found = (graph_hashes(some, 8)[:, -1].tolist() for some in (graph, results))
            ways[own] = set(found)
            waiting |= {
                one: results[n].dense(4) for n, one in enumerate(found) if one not in ways and one not in waiting
            }
        assert len(ways) == count
        assert nx.is_strongly_connected(nx.DiGraph([(one, other) for one, found in ways.items() for other in found]))


def test_parts_of_arborescences_are_joined_to_arborescences():
    known = words(30, 0)
    psi = small_psi(known)
    found, losses = recombine(psi, psi(words(4, 1)), Candidates.of(psi, known), k=20, constraints=Constraints())
    assert not psi.prior.constraints.violation(found).any()
    new = ~torch.isin(graph_hashes(found, 8)[:, -1], graph_hashes(known, 8)[:, -1])
    assert new.sum() > 5 and (losses[:, 0] <= losses[:, -1]).all()


def flat(graph: Graph) -> torch.Tensor:
    """A psi without a gradient: only the penalty has one."""
    return graph.nodes.sum((1, 2))[:, None] * 0


def test_descent_on_the_penalty_leads_to_trees(generator):
    for constraints in (Constraints(tree=True, one_root=True), Constraints(relations=TABLE[:2] + TABLE[3:])):
        nodes, pairs = fold(relaxed(ARROWS, 8, generator))
        first = constraints.penalty(unfold(nodes, pairs, ARROWS))
        for step in range(60):
            frame = measure(flat, torch.zeros(8, 1), nodes, pairs, ARROWS, constraints, 1.0)
            nodes, _ = Euclidean(0.1, momentum=0.0).step(nodes, frame["by_nodes"], {}, step)
            pairs, _ = Euclidean(0.1, momentum=0.0).step(pairs, frame["by_pairs"], {}, step)
        last = constraints.penalty(unfold(nodes, pairs, ARROWS))
        assert (last < 0.1 * first).all(), (first, last)


def test_given_constraints_choose_among_candidates():
    trees, rings = random_trees(PLAIN, 6, 0), from_networkx([labeled(nx.cycle_graph(n)) for n in (3, 4)], PLAIN)
    psi = small_psi(PackedGraphs.cat([trees, PackedGraphs.of(rings)]))
    assert not psi.prior.constraints.tree and psi.prior.constraints.connected
    target = psi(rings)
    found = decode(psi, target, candidates=rings, config=DecodeConfig("candidates"))
    assert isomorphic(found.graphs, rings).all()
    both = PackedGraphs.cat([trees, PackedGraphs.of(rings)])
    config = DecodeConfig("candidates", constraints=Constraints(tree=True))
    assert not config.constraints.violation(decode(psi, target, candidates=both, config=config).graphs).any()
    with pytest.raises(ValueError, match="none of 2 candidates satisfies the constraints; the first has a cycle"):
        decode(psi, target, candidates=rings, config=config)
    table = evaluate(rings, trees[:2], constraints=config.constraints)
    assert table["valid"].tolist() == [False, False]
    assert "valid" not in evaluate(rings, trees[:2]) and "valid" not in evaluate(
        rings, rings, constraints=config.constraints
    )


def labeled(graph: nx.Graph) -> nx.Graph:
    nx.set_node_attributes(graph, "a", "label")
    nx.set_edge_attributes(graph, "x", "label")
    return graph


REASONS = {
    "has a cycle": [(0, 1, "x"), (1, 2, "x"), (0, 2, "x")],
    "has 2 roots": [(0, 1, "x"), (2, 1, "x")],
    "is in 2 pieces and has 2 roots": [(0, 1, "x")],
    "has a cycle and has no root": [(0, 1, "x"), (1, 2, "x"), (2, 0, "x")],
    "": [(0, 1, "x"), (1, 2, "y")],
}


def test_reasons_are_said():
    graphs = from_edge_lists([(["a", "b", "c"], edges) for edges in REASONS.values()], ARROWS)
    assert Constraints(tree=True, one_root=True).reasons(graphs) == list(REASONS)
    (reason,) = Constraints(relations=TABLE[:1]).reasons(graphs[-1:])
    assert reason == "has the relation ('b', 'y', 'c'), which is not allowed"
    heavy = replace(PLAIN, capacity=(1.0, 1.0, 1.0))
    assert Constraints().reasons(from_networkx([labeled(nx.path_graph(3))], heavy)) == [
        "exceeds the capacity of a node"
    ]


BAD = {
    "unknown node label 'q'": lambda: Constraints(relations=[("q", "x", "a")]).check(ARROWS),
    "unknown edge label 'q'": lambda: Constraints(relations=[("a", "q", "a")]).violation(random_trees(ARROWS, 2, 0)),
    "one_root needs directed graphs": lambda: Constraints(one_root=True).check(PLAIN),
    "relation 1, .* must be a list of 3 to 3 values": lambda: Constraints(relations=[("a", "x", "b"), ("a", "x")]),
    "field 'forest'": lambda: Constraints.from_json({"forest": True}),
}


@pytest.mark.parametrize("problem", BAD)
def test_bad_constraints_are_refused(problem):
    with pytest.raises(ValueError, match=problem):
        BAD[problem]()


def test_constraints_survive_json():
    for constraints in EVERY:
        assert Constraints.from_json(json.loads(json.dumps(constraints.to_json()))) == constraints
    assert Constraints(tree=True).connected and not Constraints() and Constraints(relations=())


def test_constraints_of_graphs_are_what_all_satisfy():
    for names, wanted in ((ARROWS, Constraints(tree=True, one_root=True)), (PLAIN, Constraints(tree=True))):
        trees = random_trees(names, 8, 0)
        assert Constraints.of(trees) == wanted
        learned = Constraints.of(trees, relations=True)
        assert not learned.violation(trees).any() and learned.violation(random_trees(names, 40, 5)).any()
        prior = GraphPrior.of(trees)
        assert GraphPrior.from_json(json.loads(json.dumps(prior.to_json())), names).constraints == wanted
        older = {name: value for name, value in prior.to_json().items() if name not in ("tree", "one_root")}
        assert GraphPrior.from_json(older, names).constraints == Constraints(connected=True)
    ring = from_networkx([labeled(nx.cycle_graph(3))], PLAIN)
    assert Constraints.of(Graph.cat([trees, ring])) == Constraints(connected=True)
    apart = from_networkx([labeled(nx.empty_graph(2))], PLAIN)
    assert Constraints.of(Graph.cat([trees, apart])) == Constraints()
