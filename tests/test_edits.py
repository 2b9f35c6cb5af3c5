"""Edits against an oracle that knows no edits: of all graphs there are, those that differ in just the right way."""

import itertools
from functools import cache

import pytest
import torch
from conftest import equal, random_relaxed, random_vertices

from elekit.graphs.edits import ALL_KINDS, COMPOSED, KINDS, PAIRED, SINGLE, Edits, all_edits
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.packed import PackedGraphs

VOCABULARIES = {
    "three nodes": GraphVocabulary(("a", "b"), ("thin", "thick"), 3),
    "four nodes": GraphVocabulary(("a",), ("edge",), 4),
    "three labels": GraphVocabulary(("a", "b", "c"), ("thin", "thick", "fat"), 2),
    "one node": GraphVocabulary(("a", "b"), ("edge",), 1),
}


@cache
def all_graphs(vocabulary):
    """Every discrete graph as (nodes, edges of the pairs i < j), edges only between nodes that are there."""
    N = vocabulary.max_nodes
    pairs = list(itertools.combinations(range(N), 2))
    return pairs, [
        (nodes, edges)
        for nodes in itertools.product(range(vocabulary.K), repeat=N)
        for edges in itertools.product(range(vocabulary.R), repeat=len(pairs))
        if all(r == 0 or (nodes[i] and nodes[j]) for (i, j), r in zip(pairs, edges))
    ]


def batch(vocabulary, drawn):
    pairs, _ = all_graphs(vocabulary)
    nodes = torch.tensor([nodes for nodes, _ in drawn])
    edges = torch.zeros(len(drawn), nodes.shape[1], nodes.shape[1], dtype=torch.long)
    for b, (_, labels) in enumerate(drawn):
        for (i, j), r in zip(pairs, labels):
            edges[b, i, j] = edges[b, j, i] = r
    return Graph.from_labels(nodes, edges, vocabulary)


def kind_of(pairs, one, other):
    """Kinds of single edit that lead from one graph to the other, read off their difference."""
    (nodes, edges), (new_nodes, new_edges) = one, other
    at = [i for i, (a, b) in enumerate(zip(nodes, new_nodes)) if a != b]
    moved = [n for n, (a, b) in enumerate(zip(edges, new_edges)) if a != b]
    kinds = set()
    if len(at) == 1 and not moved and nodes[at[0]] and new_nodes[at[0]]:
        kinds.add("relabel")
    if len(at) == 1 and new_nodes[at[0]] == 0 and any(new_nodes) and all(at[0] in pairs[n] for n in moved):
        kinds.add("remove node")
    first_empty = 0 in nodes and at == [nodes.index(0)]
    if first_empty and len(moved) == (1 if any(nodes) else 0) and all(at[0] in pairs[n] for n in moved):
        kinds.add("add node")
    if not at and len(moved) == 1:
        kinds.add("change edge")
    swapped = [nodes[i] for i in at] == [new_nodes[i] for i in reversed(at)]
    if len(at) == 2 and not moved and all(nodes[i] for i in at) and swapped:
        kinds.add("swap labels")
    if not at and len(moved) == 2 and set(pairs[moved[0]]) & set(pairs[moved[1]]):
        before, after = [edges[n] for n in moved], [new_edges[n] for n in moved]
        if sorted(before) == sorted(after) and 0 in before:
            kinds.add("move edge")
        elif sorted(b - a for a, b in zip(before, after)) == [-1, 1]:
            kinds.add("shift order")
    return kinds


def as_tuples(nodes, edges, pairs):
    return [(tuple(n), tuple(e[i][j] for i, j in pairs)) for n, e in zip(nodes.tolist(), edges.tolist())]


@pytest.mark.parametrize("name", VOCABULARIES)
def test_all_edits_are_the_graphs_that_differ_in_just_one_way(name, generator):
    vocabulary = VOCABULARIES[name]
    pairs, every = all_graphs(vocabulary)
    chosen = [every[i] for i in torch.randperm(len(every), generator=generator)[:25].tolist()] + [every[0], every[-1]]
    graphs = batch(vocabulary, chosen)
    edits = all_edits(graphs)
    nodes, edges = graphs.labels()
    made_nodes, made_edges = edits.apply(nodes, edges, graphs.vocabulary)
    assert torch.equal(made_edges, made_edges.transpose(1, 2))
    made = as_tuples(made_nodes, made_edges, pairs)
    found = {}
    for row, kind, result in zip(edits.row.tolist(), edits.kind.tolist(), made):
        found.setdefault((row, KINDS[kind]), []).append(result)
    wanted = {}
    for row, graph in enumerate(chosen):
        for other in every:
            for kind in kind_of(pairs, graph, other):
                wanted.setdefault((row, kind), []).append(other)
    assert {key: sorted(results) for key, results in found.items()} == {key: sorted(r) for key, r in wanted.items()}
    assert all(result != chosen[row] for (row, _), results in found.items() for result in results)
    if name == "three nodes":
        assert {kind for _, kind in found} == set(KINDS)


def test_impossible_edits_are_not_listed():
    vocabulary = VOCABULARIES["three nodes"]
    full, single = batch(vocabulary, [((1, 1, 1), (2, 2, 2)), ((0, 2, 0), (0, 0, 0))])
    assert len(all_edits(full, ("add node",))) == len(all_edits(single, ("remove node",))) == 0
    assert len(all_edits(full, ("move edge", "shift order", "swap labels"))) == 0
    assert len(all_edits(single, ("change edge", *PAIRED))) == 0
    assert len(all_edits(single, ("relabel",))) == 1 and len(all_edits(single, ("add node",))) == 2 * 2


def content(edits, n):
    return [getattr(edits, name)[n].tolist() for name in ("kind", "node", "label", "pair", "edge")]


def test_edits_of_a_batch_are_those_of_its_graphs(vertices):
    nodes, edges = vertices.labels()
    together = all_edits(vertices)
    for b in range(len(vertices)):
        alone, mine = all_edits(vertices[b]), together[together.row == b]
        order = [sorted(range(len(e)), key=lambda n, e=e: content(e, n)) for e in (alone, mine)]
        wanted = alone[order[0]].apply(nodes[b][None], edges[b][None], vertices.vocabulary)
        made = mine[order[1]].apply(nodes, edges, vertices.vocabulary)
        assert all(torch.equal(one, other) for one, other in zip(wanted, made))
    few = all_edits(vertices, SINGLE)
    assert set(few.kind.tolist()) == {KINDS.index(kind) for kind in SINGLE}
    assert len(few) == int((together.kind < len(SINGLE)).sum())


def test_edits_of_a_relaxed_graph_are_those_of_its_rounding(vocabulary, generator):
    relaxed = random_relaxed(vocabulary, 3, generator)
    one, other = all_edits(relaxed), all_edits(relaxed.rounded())
    assert all(torch.equal(getattr(one, name), getattr(other, name)) for name in Edits.__dataclass_fields__)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_packed_results_are_those_of_dense_tensors(name, generator):
    vocabulary = VOCABULARIES[name]
    _, every = all_graphs(vocabulary)
    graphs = batch(vocabulary, [every[i] for i in torch.randperm(len(every), generator=generator)[:25].tolist()])
    edits = all_edits(graphs, ALL_KINDS)
    edits = edits[torch.randperm(len(edits), generator=generator)]
    expected = PackedGraphs.of(Graph.from_labels(*edits.apply(*graphs.labels(), graphs.vocabulary), vocabulary))
    assert equal(edits.results(graphs).check(), expected)
    assert len(edits[:0].results(graphs)) == 0


def test_apply_leaves_its_inputs_alone_and_makes_vertices(vertices):
    nodes, edges = (t.to(torch.int8) for t in vertices.labels())
    before = nodes.clone(), edges.clone()
    made_nodes, made_edges = all_edits(vertices).apply(nodes, edges, vertices.vocabulary)
    assert torch.equal(nodes, before[0]) and torch.equal(edges, before[1])
    assert made_nodes.dtype == made_edges.dtype == torch.int8
    made = Graph.from_labels(made_nodes, made_edges, vertices.vocabulary)
    again = made.check().labels()  # labels() leaves no edge at an absent node
    assert torch.equal(again[0], made_nodes.long()) and torch.equal(again[1], made_edges.long())


def test_excess_is_that_of_the_edited_graph(vertices):
    nodes, edges = vertices.labels()
    edits = all_edits(vertices)
    made = Graph.from_labels(*edits.apply(nodes, edges, vertices.vocabulary), vertices.vocabulary)
    wanted = made.valence_violation()
    assert (wanted > 0).any() and (wanted == 0).any()
    torch.testing.assert_close(edits.valence_violation(nodes, edges, vertices.vocabulary), wanted)
    free = GraphVocabulary(("a", "b", "c"), ("thin", "thick"), 5)
    assert torch.equal(edits.valence_violation(nodes, edges, free), torch.zeros(len(edits)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_first_order_is_exact_for_a_linear_loss(vertices, generator, dtype):
    """Linear in every row. Left out: removed nodes, whose edges such a loss does not see go (see the next test)."""
    B, N, K = vertices.nodes.shape
    by_node = torch.randn(B, N, K, generator=generator, dtype=dtype)
    by_pair = torch.randn(B, N, N, vertices.vocabulary.R, generator=generator, dtype=dtype)
    by_pair = by_pair + by_pair.transpose(1, 2)

    def loss(graph, row):
        upper = torch.ones(N, N, dtype=torch.bool).triu(1)
        along_pairs = (graph.edges * by_pair[row])[:, upper].flatten(1).sum(1)
        return (graph.nodes * by_node[row]).flatten(1).sum(1) + along_pairs

    nodes, edges = vertices.labels()
    edits = all_edits(vertices, tuple(kind for kind in KINDS if kind != "remove node"))
    made = Graph.from_labels(*edits.apply(nodes, edges, vertices.vocabulary), vertices.vocabulary).to(dtype)
    change = loss(made, edits.row) - loss(vertices.to(dtype), torch.arange(B))[edits.row]
    torch.testing.assert_close(edits.first_order(nodes, edges, by_node, by_pair), change, atol=1e-5, rtol=1e-5)


def test_first_order_counts_the_edges_of_a_removed_node_once(vertices, generator):
    """Where edges weigh what both their ends are there, as in psi, the gradient by "absent" holds their worth."""
    _, N, K = vertices.nodes.shape
    weight = torch.randn(N, N, vertices.vocabulary.R, generator=generator)
    weight = (weight + weight.transpose(0, 1)) * torch.tensor([0.0, 1, 1])
    of_label = torch.randn(N, K, generator=generator)

    def loss(graph):
        p = graph.presence()
        gated = torch.einsum("bi,bj,bijr,ijr->b", p, p, graph.edges, weight) / 2
        return (graph.nodes * of_label).flatten(1).sum(1) + gated

    point = vertices.nodes.clone().requires_grad_(), vertices.edges.clone().requires_grad_()
    by_node, by_edge = torch.autograd.grad(loss(Graph(*point, vertices.vocabulary)).sum(), point)
    nodes, edges = vertices.labels()
    edits = all_edits(vertices)
    made = Graph.from_labels(*edits.apply(nodes, edges, vertices.vocabulary), vertices.vocabulary)
    change = loss(made) - loss(vertices)[edits.row]
    estimate = edits.first_order(nodes, edges, by_node, by_edge + by_edge.transpose(1, 2))
    added = edits.kind == KINDS.index("add node")
    torch.testing.assert_close(estimate[~added], change[~added], atol=1e-5, rtol=1e-5)
    assert (edits.kind == KINDS.index("remove node")).any()
    i, k = edits.node[added, 0], edits.label[added, 0]
    torch.testing.assert_close(estimate[added], of_label[i, k] - of_label[i, 0])  # of its label alone


def test_describe_names_the_change():
    vocabulary = VOCABULARIES["three nodes"]
    graph = batch(vocabulary, [((1, 2, 0), (1, 0, 0))])
    nodes, edges = graph.labels()
    edits = all_edits(graph)
    words = dict(zip(edits.describe(nodes, edges, vocabulary), edits.kind.tolist()))
    assert len(words) == len(edits)
    for said, kind in {
        "node 0: a to b": "relabel",
        "node 1: b to nothing": "remove node",
        "node 2: nothing to a; edge 2-0: no edge to thick": "add node",
        "edge 0-1: thin to no edge": "change edge",
        "edge 0-1: thin to thick": "change edge",
        "node 0: a to b; node 1: b to a": "swap labels",
    }.items():
        assert KINDS[words[said]] == kind
    path = batch(vocabulary, [((1, 1, 1), (1, 1, 0)), ((1, 1, 1), (1, 2, 0))])
    said = all_edits(path, PAIRED).describe(*path.labels(), vocabulary)
    assert "edge 1-0: thin to no edge; edge 1-2: no edge to thin" in said
    assert "edge 0-1: thin to thick; edge 0-2: thin to no edge" in said
    assert "edge 0-1: thin to thick; edge 0-2: thick to thin" in said


@pytest.mark.parametrize("kinds", [(), ("relable",), ("relabel", "add nodes")])
def test_unknown_kinds_are_refused(vertices, kinds):
    with pytest.raises(ValueError, match="unknown kinds of edits .*relabel, remove node"):
        all_edits(vertices, kinds)


def test_no_edits_of_no_graphs(vocabulary, generator):
    none = random_vertices(vocabulary, 2, generator)[:0]
    edits = all_edits(none)
    assert len(edits) == 0 and edits.describe(*none.labels(), vocabulary) == []
    assert [len(t) for t in edits.apply(*none.labels(), none.vocabulary)] == [0, 0]


def composed(nodes, edges):
    """By brute force over one graph (labels of slots, labels of pairs): what each composed kind of edit makes."""
    n, found = len(nodes), {kind: set() for kind in COMPOSED}
    linked = {pair: label for pair, label in edges.items() if label}

    def of(new_nodes, changes):
        new = {**edges, **{tuple(sorted(pair)): label for pair, label in changes.items()}}
        return tuple(new_nodes), tuple(sorted(new.items()))

    free = nodes.index(0) if 0 in nodes else None
    for (i, j), label in linked.items():
        for k, one, other in itertools.product((1, 2), (1, 2), (1, 2)):
            if free is not None and label in (one, other) and {one, other} <= {label, 1}:
                new = [*nodes[:free], k, *nodes[free + 1 :]]
                changes = {(i, j): 0, (i, free): one, (free, j): other}
                found["insert node"].add(of(new, changes))
    for x in range(n):
        ends = [k for k in range(n) if linked.get(tuple(sorted((x, k))))]
        if len(ends) == 2 and tuple(ends) not in linked:
            for end in ends:
                changes = {(x, ends[0]): 0, (x, ends[1]): 0, tuple(ends): linked[tuple(sorted((x, end)))]}
                found["contract node"].add(of([*nodes[:x], 0, *nodes[x + 1 :]], changes))
        for end in ends if free is not None and len(ends) > 1 else ():
            label, new = linked[tuple(sorted((x, end)))], [*nodes[:free], nodes[x], *nodes[free + 1 :]]
            found["split node"].add(of(new, {(x, end): 0, (free, end): label}))
        for y in range(n):
            theirs = [k for k in range(n) if linked.get(tuple(sorted((y, k))))]
            if (
                y != x
                and nodes[x] == nodes[y] > 0
                and len(ends) in (1, 2)
                and y not in ends
                and not {*ends} & {*theirs}
            ):
                changes = {(x, end): 0 for end in ends}
                changes |= {(y, end): linked[tuple(sorted((x, end)))] for end in ends}
                found["merge nodes"].add(of([*nodes[:x], 0, *nodes[x + 1 :]], changes))
    for (one, first), (other, second) in itertools.combinations(linked.items(), 2):
        for (a, x), (c, y) in itertools.product((one, one[::-1]), (other, other[::-1])):
            taken = {tuple(sorted(pair)) for pair in ((a, y), (c, x))} & set(linked)
            if len({a, x, c, y}) == 4 and not taken:
                changes = {(a, x): 0, (c, y): 0, (a, y): second, (c, x): first}
                found["swap branches"].add(of(nodes, changes))
    return found


def test_composed_edits_are_those_of_brute_force(generator):
    vocabulary = GraphVocabulary(("a", "b"), ("thin", "thick"), 5)
    graphs = Graph.cat([random_vertices(vocabulary, 30, generator), random_vertices(vocabulary, 1, generator)])
    graphs.edges[10:] *= (torch.rand(21, 5, 5, 1, generator=generator) < 0.6) * torch.eye(3)[0].logical_not() + 1e-3
    graphs = graphs.symmetrized().rounded()
    nodes, edges = graphs.labels()
    pairs, seen = list(itertools.combinations(range(5), 2)), set()
    for b in range(len(graphs)):
        wanted = composed(nodes[b].tolist(), {(i, j): int(edges[b, i, j]) for i, j in pairs})
        for kind in COMPOSED:
            edits = all_edits(graphs[b], (kind,))
            made = [
                (tuple(n.tolist()), tuple(sorted({(i, j): int(e[i, j]) for i, j in pairs}.items())))
                for n, e in zip(*edits.apply(nodes[b : b + 1], edges[b : b + 1], graphs.vocabulary))
            ]
            assert set(made) == wanted[kind], kind
            assert len(made) == len(set(made)) or kind == "swap branches"  # two swaps may make one graph
            seen |= {kind} if made else set()
    assert seen == set(COMPOSED)
