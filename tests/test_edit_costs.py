"""Prices of edits and blind spots: kinds, rings and colors against networkx, prices and figures against loops."""

import math

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import equal, isomorphic, random_vertices
from torch.nn.functional import normalize

import elekit as ele
from elekit.audit import patterns
from elekit.audit.blind_spots import blind_spots, invariance_gaps
from elekit.evaluation.intervals import median_interval
from elekit.graphs import augment, features, weisfeiler_lehman
from elekit.graphs.edit_distance import edit_distance, edit_steps
from elekit.graphs.edit_distance import isomorphic as same_graphs
from elekit.graphs.edits import KINDS, PAIRED, SINGLE, all_edits
from elekit.graphs.graph import Graph, from_networkx, to_networkx
from elekit.graphs.packed import PackedGraphs
from elekit.graphs.smiles import (
    canonicalized,
    from_smiles,
    is_canonical,
    is_valid,
    molecule_vocabulary,
    parse_smiles,
    to_smiles,
)
from elekit.inspect.differences import describe_difference
from elekit.inspect.edit_costs import EditCosts, EditSample, edit_costs, explained_variance, sample_edits
from elekit.inspect.neighbors import distinct
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import LearnedLoss


@pytest.fixture(scope="module")
def molecules():
    return ele.datasets.load("molecules7").train.sample(60).graphs.dense()


@pytest.fixture(scope="module")
def shipped():
    return ele.load("molecules7").psi


@pytest.fixture
def psi(vocabulary):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GraphEmbedding(vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=24)).requires_grad_(False)


def before_and_after(sample: EditSample):
    before, after = sample.pairs(torch.arange(len(sample.edits)))
    assert equal(PackedGraphs.of(before), sample.graphs[sample.edits.row])
    assert equal(PackedGraphs.of(after), sample.results)
    return zip(sample.table.itertuples(), to_networkx(before), to_networkx(after))


# -- traits --------------------------------------------------------------------------------------------------------
def test_rings_distances_and_paths_are_those_of_networkx(vertices):
    rings, steps = features.ring_edges(vertices), features.shortest_path_lengths(vertices.labels()[1])
    paths, rank = features.reachable(vertices.labels()[1]), features.cycle_rank(vertices)
    for b, drawn in enumerate(to_networkx(vertices)):
        bridges = {frozenset(edge) for edge in nx.bridges(drawn)}
        assert {frozenset(e) for e in rings[b].nonzero().tolist()} == {frozenset(e) for e in drawn.edges} - bridges
        assert rank[b] == len(drawn.edges) - len(drawn) + nx.number_connected_components(drawn)
        found = dict(nx.all_pairs_shortest_path_length(drawn))
        for i in drawn:
            for j in drawn:
                assert steps[b, i, j] == found[i].get(j, vertices.nodes.shape[1])
                assert paths[b, i, j] == (j in found[i])


def test_smallest_rings_are_those_of_networkx():
    graphs = [nx.gnp_random_graph(8, 0.3, seed=seed) for seed in range(40)]
    sizes = patterns.ring_sizes(from_networkx(graphs).labels()[1], 6)
    assert sizes.any(0)[3:].all() and not sizes[:, :3].any()
    for b, drawn in enumerate(graphs):
        expected = set()
        for edge in list(drawn.edges):
            without = drawn.copy()
            without.remove_edge(*edge)
            if nx.has_path(without, *edge):
                expected.add(1 + nx.shortest_path_length(without, *edge))
        expected -= {7, 8}
        assert set(sizes[b].nonzero()[:, 0].tolist()) == expected


def test_colors_agree_for_one_graph_and_tell_what_networkx_tells(vertices, generator):
    """Against the Weisfeiler-Lehman hash of networkx: the same pairs agree after the same number of rounds."""
    assert torch.equal(
        weisfeiler_lehman.graph_hashes(vertices, 5),
        weisfeiler_lehman.graph_hashes(augment.shuffled(vertices, generator), 5),
    )
    found = weisfeiler_lehman.graph_hashes(vertices, 3)
    for rounds in range(1, 4):
        hashes = [
            nx.weisfeiler_lehman_graph_hash(
                g, node_attr="label", edge_attr="label", iterations=rounds, digest_size=16
            )
            for g in to_networkx(vertices)
        ]
        mine = {(i, j) for i in range(40) for j in range(40) if found[i, rounds] == found[j, rounds]}
        assert mine == {(i, j) for i in range(40) for j in range(40) if hashes[i] == hashes[j]}
    assert len(set(found[:, 3].tolist())) > len(set(found[:, 0].tolist())) > 10


def test_a_label_is_not_taken_for_an_edge_label():
    """Graphs whose labels of nodes and edges are the same numbers, the other way round."""
    vocabulary = ele.GraphVocabulary(("a", "b"), ("x", "y"), 2)
    edge = torch.tensor([[0, 1], [1, 0]])
    graphs = Graph.from_labels(torch.tensor([[1, 2], [1, 1]]), torch.stack([edge, 2 * edge]), vocabulary)
    assert weisfeiler_lehman.graph_hashes(graphs, 2).unique(dim=0).shape[0] == 2


def test_patterns_are_those_of_a_loop(vertices):
    held = dict(patterns.held_patterns(vertices))
    for b, drawn in enumerate(to_networkx(vertices)):
        nodes, edges = (labels[b] for labels in vertices.labels())
        expected = set()
        for i, j, k in ((a, b, c) for a in drawn for b in drawn[a] for c in drawn[b]):
            one, other = ((int(nodes[end]), int(edges[end, j])) for end in (i, k))
            a, c = sorted((int(nodes[i]), int(nodes[j])))
            expected.add((a, int(edges[i, j]), c))
            if i != k:
                (a, r), (c, s) = sorted((one, other))
                expected.add((a, r, int(nodes[j]), s, c))
        assert {pattern for pattern, rows in held.items() if rows[b]} == expected


def test_planted_graphs_hold_their_pattern_and_rewritten_ones_differ_in_one_edge(vertices, generator):
    sound = PackedGraphs.of(vertices[vertices.valence_violation() == 0]).dense()
    planted, host = patterns.plant(sound, generator)
    assert len(planted) == len(host) > 50 and (planted.valence_violation() == 0).all()
    assert torch.equal(planted.sizes, PackedGraphs.of(sound).sizes[host])
    listed = set(patterns.patterns(sound.vocabulary, long=False)) | set(
        patterns.patterns(sound.vocabulary, long=True)
    )
    assert {pattern for pattern, _ in patterns.held_patterns(planted)} <= listed
    written, row, which, named = patterns.rewrite(sound, generator)
    assert len(written) > 50 and (written.valence_violation() == 0).all()
    (n, e), (n0, e0) = written.dense(sound.slots()).labels(), sound[row].labels()
    changed = (n != n0).sum(1) + (e != e0).sum((1, 2)) // 2
    assert ((changed >= 2) & (changed <= 3)).all() and ((e != e0).sum((1, 2)) <= 2).all()
    assert all(one < other for one, other in named) and which.max() == len(named) - 1


def test_patterns_of_many_labels_are_drawn_from_those_that_occur(generator):
    """Their number is bounded, whatever the number of labels and edges, and common labels come first."""
    vocabulary = ele.GraphVocabulary(tuple(f"a{k}" for k in range(40)), ("x", "y", "z"), 8)
    nodes = torch.randint(1, 4, (60, 8), generator=generator)
    edges = torch.randint(0, 4, (60, 8, 8), generator=generator).triu(1)
    graphs = Graph.from_labels(nodes, edges + edges.transpose(1, 2), vocabulary)
    planted, host = patterns.plant(graphs, generator)
    assert len(planted) <= patterns.MAX_PATTERNS * patterns.HOSTS and len(host.unique()) > 40
    written, _, which, named = patterns.rewrite(graphs, generator)
    assert len(named) <= patterns.MAX_REWRITES and len(written) <= patterns.MAX_REWRITES * patterns.REWRITES
    assert torch.equal(which.unique(), torch.arange(len(named)))
    new = (planted.node_labels > 3).float().mean() + (written.node_labels > 3).float().mean()
    assert 0 < new < 0.5


# -- the sample ----------------------------------------------------------------------------------------------------
def test_what_is_priced_are_graphs_of_molecules(molecules, generator):
    """Not another drawing of one, such as NH off an aromatic ring; judged by reading the SMILES again."""
    some = molecules[:20]
    everything = sample_edits(some, samples=None, kinds=SINGLE, valid_only=False).results.dense()
    known = set(everything.vocabulary.node_labels)
    parsed = [parse_smiles(text or "", True) for text in to_smiles(everything)]
    fits = torch.tensor([not one.error and known.issuperset(one.nodes) for one in parsed])
    read = fits & same_graphs(canonicalized(everything), everything)
    assert torch.equal(is_canonical(everything), read) and 100 < int(read.sum()) < int(is_valid(everything).sum())
    for made in (
        sample_edits(some).results,
        patterns.plant(some, generator)[0],
        patterns.rewrite(some, generator)[0],
    ):
        assert len(made) > 20 and is_canonical(made).all()


def test_kinds_in_detail_are_what_becomes_of_the_graph(vertices):
    sample, seen = sample_edits(vertices, samples=None, kinds=KINDS, valid_only=False), set()
    assert len(sample.table) == len(sample.edits) == len(sample.results) > 1_500
    for line, before, after in before_and_after(sample):
        parts = [nx.number_connected_components(g) for g in (before, after)]
        sizes, links = (len(before), len(after)), (len(before.edges), len(after.edges))
        kind = line.kind
        seen.add(kind.split()[0] + kind.split()[1] if line.edit == "change edge" else line.edit)
        if kind.startswith("relabel"):
            labels = [{i: g.nodes[i]["label"] for i in g} for g in (before, after)]
            (old, new) = next((labels[0][i], labels[1][i]) for i in before if labels[0][i] != labels[1][i])
            assert kind == f"relabel {old} to {new}"
        elif kind.startswith("add leaf"):
            new = next(i for i in after if i not in before)
            (link,) = after.edges(new, data="label")
            assert kind == f"add leaf {after.nodes[new]['label']} by {link[2]} edge"
        elif line.edit == "remove node":
            assert kind == ("remove leaf" if links[0] - links[1] <= 1 else "remove node") and sizes[1] == sizes[0] - 1
        elif kind.startswith("edge "):
            assert links[0] == links[1] and parts[0] == parts[1]
            (pair,) = line.pairs
            assert kind == f"edge {before.edges[pair]['label']} to {after.edges[pair]['label']}"
        elif kind.startswith("close a ring"):
            assert links[1] == links[0] + 1 and parts[1] == parts[0]
        elif kind.startswith("join parts"):
            assert links[1] == links[0] + 1 and parts[1] == parts[0] - 1
        elif kind == "open a ring":
            assert links[1] == links[0] - 1 and parts[1] == parts[0]
        elif kind == "cut an edge":
            assert links[1] == links[0] - 1 and parts[1] == parts[0] + 1
        else:
            assert line.edit in PAIRED and sizes[0] == sizes[1]
    assert {"closea", "joinparts", "opena", "cutan", "edgethin", "edgethick", *SINGLE[:3], *PAIRED} == seen


def test_what_a_price_may_depend_on_is_what_networkx_says(vertices):
    for line, before, _ in before_and_after(sample_edits(vertices, samples=None, valid_only=False)):
        assert line.size == len(before)
        bridges = {frozenset(edge) for edge in nx.bridges(before)}
        touched = {i for i in {*line.nodes, *(i for pair in line.pairs for i in pair)} if i in before}
        assert line.degree == max((before.degree(i) for i in touched), default=0)
        ringed = {i for edge in before.edges if frozenset(edge) not in bridges for i in edge}
        changed = [pair for pair in line.pairs if before.has_edge(*pair)]
        expected = any(frozenset(p) not in bridges for p in changed) if changed else bool(touched & ringed)
        assert line.in_ring == expected


def test_all_edits_that_are_valid_are_there_and_only_those(molecules):
    some = molecules[:12]
    edits = all_edits(some, SINGLE)
    results = Graph.from_labels(*edits.apply(*some.labels(), some.vocabulary), some.vocabulary)
    fine = (results.valence_violation() == 0) & is_canonical(results)
    sample = sample_edits(some, samples=None, kinds=SINGLE)
    assert sample.table["valid"].all() and len(sample.table) == int(fine.sum()) > 300
    assert (
        equal(sample.results, PackedGraphs.of(results[fine]))
        and sample.edits.row.tolist() == edits.row[fine].tolist()
    )
    both = sample_edits(some, samples=None, kinds=SINGLE, valid_only=False)
    assert both.table["valid"].tolist() == ((results.valence_violation() == 0) & is_valid(results)).tolist()


def test_a_budget_ends_the_sample_after_some_graphs(molecules, monkeypatch):
    monkeypatch.setitem(sample_edits.__globals__, "BATCH_SIZE", 7)
    whole, some = sample_edits(molecules, samples=5), sample_edits(molecules, samples=5, budget=1e-6)
    assert len(some.graphs) == 7 and len(whole.graphs) == len(molecules)
    first = whole.table[whole.table["graph"] < 7]
    pd.testing.assert_frame_equal(some.table, first)
    assert len(some.results) == len(some.edits) == len(first)


def test_a_sample_is_spread_over_kinds_and_comes_from_the_seed(molecules):
    state, given = torch.random.get_rng_state(), (molecules.nodes.clone(), molecules.edges.clone())
    one, again, other = (sample_edits(molecules, samples=15, seed=seed).table for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, again)
    assert not one["kind"].equals(other["kind"])
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(given[0], molecules.nodes) and torch.equal(given[1], molecules.edges)
    whole = sample_edits(molecules, samples=None).table.groupby(["graph", "kind"]).size()
    drawn = one.groupby(["graph", "kind"]).size()
    for graph, counts in drawn.groupby("graph"):
        assert counts.sum() <= 15
        exhausted = counts == whole.loc[counts.index]
        assert counts[~exhausted].max() - counts[~exhausted].min() <= 1 if (~exhausted).any() else True
        assert graph < len(molecules)


def test_paired_edits_that_give_back_the_graph_are_left_out(vertices):
    sample = sample_edits(vertices, samples=None, kinds=PAIRED, valid_only=False)
    edits = all_edits(vertices, PAIRED)
    results = Graph.from_labels(*edits.apply(*vertices.labels(), vertices.vocabulary), vertices.vocabulary)
    same = same_graphs(results, vertices[edits.row])
    assert int(same.sum()) > 20 and len(sample.table) == len(edits) - int(same.sum())
    assert not any(isomorphic(before, after) for _, before, after in before_and_after(sample))


def test_of_large_graphs_some_edits_are_drawn_before_they_are_named():
    graphs = from_networkx([nx.random_labeled_tree(24, seed=seed) for seed in range(12)])
    table = sample_edits(graphs, samples=10).table
    assert table["graph"].value_counts().between(8, 10).all()
    assert set(table["edit"]) == {"remove node", "change edge", "move edge"}  # one label, no free slot


# -- prices --------------------------------------------------------------------------------------------------------
def test_prices_are_those_of_the_loss(psi, vertices):
    prices = edit_costs(psi, vertices, samples=None, kinds=KINDS, valid_only=False)
    sample, loss = sample_edits(vertices, samples=None, kinds=KINDS, valid_only=False), LearnedLoss(psi)
    assert list(prices.edits.drop(columns="price")) == list(sample.table)
    for i in range(0, len(prices.edits), 97):
        expected = float(loss(vertices[int(prices.edits["graph"][i])], sample.results[i]))
        assert prices.edits["price"][i] == pytest.approx(expected, abs=1e-5)


def test_the_summary_is_that_of_a_loop(shipped, molecules):
    prices = edit_costs(shipped, molecules)
    table = prices.summary()
    assert table["count"].sum() == len(prices.edits) and (table["median"].diff().dropna() <= 0).all()
    for line in table.itertuples():
        some = prices.edits[prices.edits["kind"] == line.kind]
        assert (line.count, line.graphs) == (len(some), len(set(some["graph"])))
        assert line.median == pytest.approx(np.median(some["price"])) and line.mean == pytest.approx(
            np.mean(some["price"])
        )
        assert line.q05 == pytest.approx(np.quantile(some["price"], 0.05))
        assert math.isnan(line.low) == (line.graphs < 5)
        assert math.isnan(line.low) or line.low <= line.median <= line.high
    pd.testing.assert_frame_equal(table, prices.summary())


def test_marks_name_what_is_nearly_free_and_surprisingly_dear(molecules):
    """A loss that looks at N and O alone, O nine times as hard."""
    names = molecules.vocabulary.node_labels

    def psi(graph):
        count = graph.nodes[..., 1:].sum(1)
        angle = 0.02 * count[:, names.index("N")] + 0.1 * count[:, names.index("O")] + 0.02 * count.sum(1)
        return torch.stack([angle.cos(), angle.sin()], 1)

    table = edit_costs(psi, molecules).summary().set_index("kind")
    assert set(table["mark"]) == {"nearly free", "surprisingly dear", ""}
    for kind, mark in {"relabel C to F": "nearly free", "open a ring": "nearly free"}.items():
        assert table.loc[kind, "mark"] == mark
    assert table.loc["relabel C to O", "mark"] == "surprisingly dear" or table["median"].median() == 0


def test_nothing_is_marked_where_all_kinds_cost_the_same():
    frame = pd.DataFrame(
        {"graph": np.repeat(range(20), 4), "kind": list("abcd") * 20, "price": np.tile([1.0, 1.1, 0.9, 1], 20)}
    )
    table = EditCosts(frame.assign(size=5, in_ring=False, degree=2)).summary()
    assert (table["mark"] == "").all() and table["by_size"].isna().all()
    assert table["low"].tolist() == table["median"].tolist() == table["high"].tolist()


def test_an_interval_counts_graphs_and_not_edits():
    """1,000 edits of 10 graphs, all alike within a graph, tell no more than 10 edits do."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=10)
    low, high = median_interval(np.repeat(values, 100), np.repeat(range(10), 100), np.random.default_rng(1))
    single = median_interval(values, np.arange(10), np.random.default_rng(1))
    naive = median_interval(np.repeat(values, 100), np.arange(1000), np.random.default_rng(1))
    assert (low, high) == single and naive[1] - naive[0] < (high - low) / 3
    assert all(math.isnan(v) for v in median_interval(np.ones(8), np.repeat(range(4), 2), generator))


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    generator, held = np.random.default_rng(0), 0
    for _ in range(200):
        low, high = median_interval(generator.normal(size=40), np.arange(40), generator)
        held += low <= 0 <= high
    assert 0.88 <= held / 200 <= 1


def test_explained_variance_is_one_of_a_cause_and_none_of_noise():
    generator = np.random.default_rng(0)
    trait = generator.integers(0, 5, 4_000)
    assert explained_variance(trait**2.0, trait) == pytest.approx(1)
    assert explained_variance(generator.normal(size=4_000), trait) < 0.01
    half = explained_variance(trait / trait.std() + generator.normal(size=4_000), trait)
    assert half == pytest.approx(0.5, abs=0.05)
    few = [explained_variance(generator.normal(size=12), generator.integers(0, 5, 12)) for _ in range(300)]
    assert np.mean(few) < 0.15  # unadjusted: 0.36
    assert math.isnan(explained_variance(np.ones(9), trait[:9])) and math.isnan(
        explained_variance(np.arange(9.0), np.zeros(9))
    )


def test_foolish_questions_are_refused(psi, vertices):
    with pytest.raises(ValueError, match="no graphs to edit"):
        edit_costs(psi, vertices[:0])
    with pytest.raises(ValueError, match="samples must be at least 1"):
        edit_costs(psi, vertices, samples=0)
    with pytest.raises(ValueError, match="unknown kinds of edits"):
        edit_costs(psi, vertices, kinds=("paint",))


# -- blind spots ---------------------------------------------------------------------------------------------------
def test_a_clean_loss_has_no_blind_spots_among_these(shipped, molecules):
    found = blind_spots(shipped, molecules, starts=3, depth=2)
    assert len(found.table) == len(found.graphs) == len(found.others) == 0
    assert list(found.groups()) == ["differs", "pairs", "loss", "edits", "example"]


def test_blind_spots_are_found_verified_and_named(shipped, molecules):
    """A loss that takes N for O, and a single edge for a double one at N."""

    def psi(graph):
        nodes = graph.nodes.clone()
        N, O = (1 + graph.vocabulary.node_labels.index(label) for label in "NO")
        nodes[..., O], nodes[..., N] = nodes[..., O] + nodes[..., N], 0
        return shipped(Graph(nodes, graph.edges, graph.vocabulary))

    found = blind_spots(psi, molecules, starts=4, depth=3)
    table, loss = found.table, LearnedLoss(psi)
    assert set(table["differs"]) == {"N to O"} and set(table["found"]) == {"data", "search"}
    assert table["edits"].max() >= 2 and table["proven"].all()
    assert torch.equal(edit_distance(found.graphs, found.others).distance, torch.tensor(table["edits"]).float())
    assert not same_graphs(found.graphs, found.others).any() and is_valid(found.others).all()
    assert float(loss(found.graphs, found.others).max()) < 0.01
    groups = found.groups()
    assert groups["pairs"].tolist() == [len(table)] and table["differs"][groups["example"][0]] == "N to O"
    wide = blind_spots(shipped, molecules, bound=1.0, starts=2, depth=3)
    assert wide.table["loss"].max() <= 1.0 and wide.table["edits"].max() >= 3


def test_what_messages_cannot_tell_is_found():
    """Two triangles and a hexagon look alike from every node; they are no isomorphic copies to be passed over."""
    two, six = nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3)), nx.cycle_graph(6)
    graphs = from_networkx([two, six, nx.path_graph(6), nx.star_graph(5), six])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        psi = GraphEmbedding(graphs.vocabulary, EmbeddingConfig(16, 3, 16, walks=2)).requires_grad_(False)
    assert distinct(graphs).tolist() == [0, 1, 2, 3]
    found = blind_spots(psi, graphs, bound=1e-6, starts=1, depth=1).table
    assert [{0, 1}] == [
        {min(i, j), 1 if max(i, j) == 4 else max(i, j)} for i, j in zip(found["graph"], found["other"])
    ]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("CCN", "CCO", "N to O"),
        ("CCO", "CCN", "N to O"),
        ("C1CCC1", "CCCC", "ring closed"),
        ("CC=C", "CCC", "double to single"),
        ("CC", "CCF", "a F more"),
        ("CCCN", "CC(C)N", "edges moved"),
        ("CN=C", "OC=C", "N to O, double to single"),
    ],
)
def test_differences_are_told_without_places(one, other, words):
    graphs = from_smiles([one, other], molecule_vocabulary("CNOF", 6))
    path = edit_steps(graphs[0], graphs[1])
    said = describe_difference(path, graphs[0], graphs[1])
    assert said == words or (other == "OC=C" and "N" in said)


def test_equal_graphs_lie_together_for_a_clean_loss(shipped, molecules):
    found = invariance_gaps(shipped, molecules).table
    assert set(found["variation"]) >= {"node order", "padding", "repeated", "batch"}
    assert found["loss"][found["variation"] != "Kekule form"].max() < 1e-6


@pytest.mark.parametrize("why", ["node order", "padding", "repeated", "batch"])
def test_equal_graphs_told_apart_are_found(shipped, molecules, why):
    noise = torch.Generator().manual_seed(0)

    def psi(graph):
        extra = {
            "node order": graph.nodes[:, 0, 1:],
            "padding": graph.presence().mean(1, keepdim=True),
            "repeated": torch.rand(len(graph), 1, generator=noise),
            "batch": graph.nodes[..., 1:].sum(1).mean(0).expand(len(graph), -1),
        }[why]
        return normalize(torch.cat([shipped(graph), extra], 1), dim=1)

    table = invariance_gaps(psi, molecules).table
    assert table["loss"][table["variation"] == why].median() > 0.001
    untouched = {"node order", "padding", "batch"} - {why}
    if why != "repeated":
        assert table["loss"][table["variation"].isin(untouched)].max() < 1e-6


def test_kekule_forms_are_compared():
    """Where the vocabulary has no aromatic bonds, the drawings of 2-methylpyridine are two graphs."""
    vocabulary = from_smiles(["Cc1ccccn1", "CCO"], aromatic=False).vocabulary
    psi = GraphEmbedding(vocabulary).eval()
    graphs = from_smiles(["Cc1ccccn1", "CCO", "c1ccccc1"], vocabulary)
    found = invariance_gaps(psi, graphs)
    forms = found.table[found.table["variation"] == "Kekule form"]
    assert forms["graph"].tolist() == [0]  # the two drawings of benzene are one graph
    assert forms["loss"].item() > 1e-5
    left, right = found.graphs[int(forms.index[0])], found.others[int(forms.index[0])]
    assert to_smiles(left) == to_smiles(right) and not same_graphs(left, right)


def test_a_psi_of_fixed_size_has_no_answer_to_padding(vertices):
    def psi(graph):
        return normalize(graph.nodes.reshape(len(graph), 20) + 1, dim=1)

    assert set(invariance_gaps(psi, vertices).table["variation"]) == {"node order", "repeated", "batch"}


def test_foolish_bounds_are_refused(psi, generator, vocabulary):
    graphs = random_vertices(vocabulary, 3, generator)
    with pytest.raises(ValueError, match="at least 2 graphs"):
        blind_spots(psi, graphs[:1])
    with pytest.raises(ValueError, match="bound must be positive, got 0"):
        blind_spots(psi, graphs, bound=0)
