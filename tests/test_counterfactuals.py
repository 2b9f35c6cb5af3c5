"""Counterfactuals against every graph there is, analogies against edits listed one by one; losses of known truth."""

import itertools
import re
import sys
from collections import deque

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import equal, isomorphic, random_vertices
from torch.nn.functional import normalize

import elekit as ele
from elekit.draw.pairs import aligned_layouts
from elekit.draw.pairs import analogies as draw_analogies
from elekit.draw.pairs import counterfactuals as draw_counterfactuals
from elekit.graphs.edit_distance import EditStep, edit_distance, edit_path
from elekit.graphs.edit_distance import isomorphic as same_graphs
from elekit.graphs.edits import SINGLE, all_edits
from elekit.graphs.features import detailed_kinds, is_connected
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists, from_networkx, to_networkx
from elekit.graphs.smiles import from_smiles, is_valid, molecule_vocabulary
from elekit.graphs.weisfeiler_lehman import graph_hashes
from elekit.inspect.analogies import _mutual, analogies
from elekit.inspect.counterfactuals import EDITED_ANSWER, counterfactuals
from elekit.inspect.differences import describe_difference
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding

SMALL = GraphVocabulary(("a", "b"), ("x", "y"), 3, capacity=(2, 3), order=(1, 2))
SMALL_CN = GraphVocabulary(("C", "N"), ("bond",), 2)
WORDS = GraphVocabulary(("C", "N", "O"), ("bond",), 5)


def trained_nowhere(vocabulary, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GraphEmbedding(vocabulary, EmbeddingConfig(hidden=16, rounds=2, dim=8)).requires_grad_(False)


def number_of(label, step=0.3):
    """Points of a circle: so many nodes of a label, so far around."""

    def psi(graph):
        angle = step * graph.nodes[..., graph.vocabulary.node_labels.index(label) + 1].sum(1)
        return torch.stack([angle.cos(), angle.sin()], 1)

    return psi


def around(angle):
    return torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float32)


def chain(labels, vocabulary=WORDS):
    return from_edge_lists([(list(labels), [(i, i + 1, "bond") for i in range(len(labels) - 1)])], vocabulary)


@pytest.fixture(scope="module")
def shipped():
    return ele.load("molecules7").psi


@pytest.fixture(scope="module")
def molecules():
    return ele.datasets.load("molecules7").train.sample(300).graphs.dense()


# -- the slow way --------------------------------------------------------------------------------------------------
def edited_once(graph):
    """Every graph (labels, {pair: edge}) that one single edit makes, listed by hand; free slots hold 0."""
    nodes, edges = graph
    N, (K, R) = len(nodes), (SMALL.K, SMALL.R)
    there = [i for i in range(N) if nodes[i]]
    for i in there:
        for k in range(1, K):
            if k != nodes[i]:
                yield (*nodes[:i], k, *nodes[i + 1 :]), edges
        if len(there) > 1:
            yield (*nodes[:i], 0, *nodes[i + 1 :]), frozenset(e for e in edges if i not in e[0])
    for i in set(range(N)) - set(there):
        for j, k, r in itertools.product(there, range(1, K), range(1, R)):
            yield (*nodes[:i], k, *nodes[i + 1 :]), edges | {(tuple(sorted((i, j))), r)}
    for pair in itertools.combinations(there, 2):
        rest = frozenset(e for e in edges if e[0] != pair)
        for r in range(R):
            if rest | ({(pair, r)} if r else set()) != edges:
                yield nodes, rest | ({(pair, r)} if r else set())


def reached_from(start):
    """{graph: fewest single edits} of all graphs."""
    found, todo = {start: 0}, deque([start])
    while todo:
        for after in edited_once(before := todo.popleft()):
            if after not in found:
                found[after] = found[before] + 1
                todo.append(after)
    return found


def listed(graph):
    nodes, edges = (labels[0] for labels in graph.labels())
    pairs = {((i, j), int(edges[i, j])) for i, j in edges.triu(1).nonzero().tolist()}
    return tuple(nodes.tolist()), frozenset(pairs)


def dense(graphs):
    nodes, edges = torch.zeros(len(graphs), 3), torch.zeros(len(graphs), 3, 3)
    for b, (labels, pairs) in enumerate(graphs):
        nodes[b] = torch.tensor(labels)
        for (i, j), r in pairs:
            edges[b, i, j] = edges[b, j, i] = r
    return Graph.from_labels(nodes, edges, SMALL)


def replayed(graph, path):
    """What a path in words makes of a graph."""
    nodes, edges = (labels.clone() for labels in graph.labels())
    names = ("nothing", *graph.vocabulary.node_labels), ("no edge", *graph.vocabulary.edge_labels)
    for part in path.split("; "):
        kind, slots, old, new = re.fullmatch(r"(node|edge) ([\d-]+): (.*) to (.*)", part).groups()
        if kind == "node":
            assert names[0][nodes[0, int(slots)]] == old
            nodes[0, int(slots)] = names[0].index(new)
            edges *= (nodes[:, :, None] > 0) & (nodes[:, None] > 0)
        else:
            i, j = map(int, slots.split("-"))
            assert names[1][edges[0, i, j]] == old
            edges[0, i, j] = edges[0, j, i] = names[1].index(new)
    return Graph.from_labels(nodes, edges, graph.vocabulary)


# -- counterfactuals -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("to", [None, "second"])
def test_no_graph_needs_fewer_edits_or_has_a_larger_margin(seed, to):
    """Against all graphs of up to 3 nodes, each with the fewest edits that lead to it."""
    psi, generator = trained_nowhere(SMALL, seed), torch.Generator().manual_seed(seed)
    sound = random_vertices(SMALL, 60, generator)
    sound = sound[is_connected(sound) & (sound.valence_violation() == 0)]
    start, members = sound[0], sound[1:8]
    places = {"first": members[:3], "second": members[3:6], "third": members[6]}
    fewest = reached_from(listed(start))
    graphs = dense(list(fewest))
    left_out = [not isomorphic(g, to_networkx(start)[0]) for g in to_networkx(members)]
    kept = [[i for i in rows if left_out[i]] or list(rows) for rows in (range(3), range(3, 6), [6])]
    for by, pooled in (("nearest", np.min), ("mean", np.mean)):
        points = psi(graphs).double().numpy(), psi(members).double().numpy()
        loss = np.square(points[0][:, None] - points[1]).sum(-1)
        loss = np.stack([pooled(loss[:, rows], axis=1) for rows in kept], 1)
        own = int(loss[0].argmin())  # the start is the first
        if to is None:
            margin = loss[:, own] - np.delete(loss, own, 1).min(1)
        else:
            margin = np.delete(loss, 1, 1).min(1) - loss[:, 1]
        answers = (margin > 1e-6) & (graphs.valence_violation() == 0).numpy() & is_connected(graphs).numpy()
        edits = np.array(list(fewest.values()))
        found = counterfactuals(psi, start, places, to, by=by, max_edits=12, max_results=2)
        assert found.preferred == ("first", "second", "third")[own]
        assert list(found.losses.values()) == pytest.approx(loss[0], abs=1e-6)
        if to == found.preferred:
            assert not len(found.table) and "no edit is needed" in found.describe()
        elif not answers.any():
            assert found.complete and "all" in found.describe() and not len(found.table)
        else:
            least = edits[answers].min()
            assert (found.table["edits"] == least).all() and found.table["proven"].all()
            best = margin[answers & (edits == least)].max()
            assert found.table["margin"][0] == pytest.approx(best, abs=1e-5)


def test_both_outcomes_of_the_slow_way_occur():
    """The test above compares something: flips of several numbers of edits."""
    graphs = random_vertices(SMALL, 60, torch.Generator().manual_seed(0))
    numbers = set()
    for seed in range(6):
        psi = trained_nowhere(SMALL, seed)
        found = counterfactuals(psi, graphs[seed], {"a": graphs[20 + seed], "b": graphs[30 + seed]}, max_edits=6)
        numbers.add(int(found.table["edits"].max()) if len(found.table) else 0)
    assert len(numbers) > 1


def test_a_known_flip_takes_the_number_of_edits_that_it_must(monkeypatch):
    """Places at 0 and at 4 nodes N: from 3 on the second is nearer; N counts alone."""
    psi, start = number_of("N"), chain("CCCCC")
    found = counterfactuals(psi, start, {"few": around(0), "many": around(1.2)}, kinds=("relabel",))
    assert found.preferred == "few" and (found.table["edits"] == 3).all() and found.table["proven"].all()
    assert found.table["new"].eq("many").all() and found.exhausted == 3 and not found.complete
    expected = (2 - 2 * np.cos(0.9)) - (2 - 2 * np.cos(0.3))
    assert found.table["margin"].to_numpy() == pytest.approx(expected, abs=1e-5)
    assert found.table["old_after"][0] - found.table["new_after"][0] == pytest.approx(expected, abs=1e-5)
    assert found.table["old_before"][0] == pytest.approx(0, abs=1e-6)
    assert found.table["new_before"][0] == pytest.approx(2 - 2 * np.cos(1.2), abs=1e-5)
    assert found.table["kinds"].eq("relabel C to N, relabel C to N, relabel C to N").all()
    assert "3 edits make it prefer many" in found.describe() and "No fewer do" in found.describe()
    every = counterfactuals(psi, start, {"few": around(0), "many": around(1.2)}, kinds=("relabel",), max_results=20)
    assert len(every.table) == 6  # ways to have three N on a chain of five, either end first
    assert not any(isomorphic(a, b) for a, b in itertools.combinations(to_networkx(every.graphs), 2))
    monkeypatch.setattr(sys.modules["elekit.inspect.counterfactuals"], "BATCH_SIZE", 4)  # graphs edited at a time
    start = chain("CCCC")  # with a free slot
    other = counterfactuals(psi, start, {"few": around(0), "many": around(1.2)}, max_results=40)
    assert len(other.table) > 6 and other.table["proven"].all() and other.table["kinds"].nunique() > 1
    assert all(equal(replayed(start, path), graph) for path, graph in zip(other.table["path"], other.graphs))
    once = counterfactuals(psi, chain("CNNCC"), {"few": around(0), "many": around(1.2)})
    assert (once.table["edits"] == 1).all() and "1 edit makes it prefer many" in once.describe()


def test_invalid_graphs_are_no_answers(monkeypatch):
    def no_oxygen(graphs):
        return (graphs.labels()[0] != 3).all(1)

    places = {"few": around(0), "many": around(1.2)}
    before = counterfactuals(number_of("N"), chain("COCC"), places, max_results=100)
    monkeypatch.setattr(sys.modules["elekit.inspect.counterfactuals"], "valid", no_oxygen)
    after = counterfactuals(number_of("N"), chain("COCC"), places, max_results=100)
    assert not no_oxygen(before.graphs).all() and no_oxygen(after.graphs).all() and len(after.table) > 1


def test_more_edits_than_can_all_be_tried_are_not_called_proven(monkeypatch):
    places = {"few": around(0), "many": around(1.2)}
    monkeypatch.setattr(sys.modules["elekit.inspect.counterfactuals"], "MAX_CHANNELS", 1)  # not the function
    found = counterfactuals(number_of("N"), chain("CCCCC"), places)
    assert found.exhausted == 1 and found.table["edits"].eq(3).all() and not found.table["proven"].any()
    assert "fewer may do" in found.describe() and "up to 1 edit were tried" in found.describe()
    found = counterfactuals(number_of("N"), chain("CNCCC"), places)  # 2 edits: no single one does
    assert found.exhausted == 1 and found.table["edits"].eq(2).all() and found.table["proven"].all()
    none = counterfactuals(number_of("N"), chain("CCCCC"), places, max_edits=2)
    assert not len(none.table) and not none.complete and "no proof" in none.describe()
    blind = counterfactuals(
        lambda g: around(0).expand(len(g), -1), chain("CN", SMALL_CN), places, "many", max_edits=50
    )
    assert not blind.complete and "no proof" in blind.describe()  # whatever the beam left out


def test_what_cannot_be_is_said_and_how_sure_that_is():
    def blind(graph):
        return around(0).expand(len(graph), -1)

    places = {"one": around(0.1), "other": around(0.5)}
    tiny = SMALL_CN
    sure = counterfactuals(blind, chain("CN", tiny), places, max_edits=9)
    assert sure.complete and not len(sure.table) and len(sure.graphs) == 0
    assert (
        sure.tried == len(reached_small(tiny)) and "No edits make it prefer another: all 7 graphs" in sure.describe()
    )
    unsure = counterfactuals(blind, chain("CCNC"), places, "other", max_edits=2)
    assert not unsure.complete and unsure.exhausted == 2
    assert "prefer other" in unsure.describe() and "no proof" in unsure.describe()
    far = {"a": around(0), "b": around(2.0)}
    one_kind = counterfactuals(number_of("N"), chain("CCC"), far, kinds=("relabel",))
    assert one_kind.complete and one_kind.tried == 26  # all other labelings; with three N it is still nearer to a
    there = counterfactuals(blind, chain("CN"), places, "one")
    assert there.tried == 0 and "no edit is needed" in there.describe()
    tied = counterfactuals(blind, chain("CN", tiny), {"x": around(0.2), "y": around(-0.2)}, max_edits=9)
    assert "x and y are equally near" in tied.describe() and not len(tied.table)


def reached_small(vocabulary):
    """Connected graphs in the two slots of C-N but itself: one node (2 labels, 2 slots), two linked (4 labels)."""
    assert (vocabulary.max_nodes, vocabulary.K, vocabulary.R) == (2, 3, 2)
    return [*itertools.product("CN", range(2)), *itertools.product("CN", repeat=2)][:-1]


def test_an_answer_can_be_edited_instead_of_the_target():
    """The target has 4 N; an answer of 3 beats one of 1 until it has 1 or 0, or 7 or 8."""
    psi, rival = number_of("N"), chain("NCC")
    found = counterfactuals(psi, chain("NNNC"), {"rival": rival}, target=around(1.2))
    assert (
        found.preferred == EDITED_ANSWER and found.table["new"].eq("rival").all() and found.table["edits"].eq(3).all()
    )
    assert found.table["new_before"].nunique() == 1 and found.table["new_after"].equals(found.table["new_before"])
    wins = counterfactuals(psi, chain("CCC"), {"rival": rival}, target=chain("NNNN"))
    assert wins.preferred == "rival" and wins.table["new"].eq(EDITED_ANSWER).all() and wins.table["edits"].eq(2).all()
    same = counterfactuals(psi, chain("CCC"), {"rival": rival}, EDITED_ANSWER, target=around(1.2))
    pd.testing.assert_frame_equal(wins.table, same.table)


def test_a_graph_does_not_hold_itself_in_its_neighborhood(vocabulary):
    psi, graphs = trained_nowhere(vocabulary), random_vertices(vocabulary, 9, torch.Generator().manual_seed(3))
    start, order = graphs[0], torch.arange(vocabulary.max_nodes).flip(0)
    with_itself = {"mine": Graph.cat([graphs[1:5], start.permuted(order)]), "theirs": graphs[5:]}
    without = {"mine": graphs[1:5], "theirs": graphs[5:]}
    one, other = (counterfactuals(psi, start, places) for places in (with_itself, without))
    assert one.losses == pytest.approx(other.losses) and one.losses["mine"] > 0.01
    alone = counterfactuals(psi, start, {"mine": start, "theirs": graphs[5:]})
    assert alone.preferred == "mine" and alone.losses["mine"] == pytest.approx(0, abs=1e-6)


def test_points_stand_for_graphs(shipped, molecules):
    parts = {"a": molecules[:20], "b": molecules[20:40]}
    points = {name: shipped.embed(graphs) for name, graphs in parts.items()}
    one, other = (counterfactuals(shipped, molecules[50], places) for places in (parts, points))
    pd.testing.assert_frame_equal(one.table, other.table)


def test_edited_molecules_are_valid_different_and_where_their_path_leads(shipped, molecules):
    state, kept = torch.random.get_rng_state(), (molecules.nodes.clone(), molecules.edges.clone())
    seen = set()
    for row in range(0, 12, 2):
        places = {"left": molecules[row + 1], "right": molecules[row + 20]}
        found = counterfactuals(shipped, molecules[row], places)
        assert len(found.table) == len(found.graphs) > 0
        seen |= set(found.table["edits"])
        assert is_valid(found.graphs).all() and is_connected(found.graphs).all()
        assert not any(isomorphic(a, b) for a, b in itertools.combinations(to_networkx(found.graphs), 2))
        assert (found.table["margin"].diff().dropna() <= 0).all() and (found.table["margin"] > 0).all()
        loss = ele.LearnedLoss(shipped)
        for line, graph in zip(found.table.itertuples(), found.graphs):
            assert equal(replayed(molecules[row], line.path), graph)
            for name, value in ((found.preferred, line.old_after), (line.new, line.new_after)):
                assert float(loss(graph, places[name])) == pytest.approx(value, abs=1e-5)
    assert len(seen) > 1
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(kept[0], molecules.nodes) and torch.equal(kept[1], molecules.edges)


def test_results_hang_together_where_the_graph_does():
    """Only cutting pays here: the loss counts edges."""

    def psi(graph):
        angle = 0.3 * graph.edges[..., 1:].sum((1, 2, 3)) / 2
        return torch.stack([angle.cos(), angle.sin()], 1)

    places, edges = {"full": around(1.2), "none": around(0.0)}, ("change edge",)
    whole = counterfactuals(psi, chain("CCCCC"), places, kinds=edges, max_edits=3)
    assert not len(whole.table)
    parted = counterfactuals(psi, chain("CCCCC"), places, kinds=edges, connected_only=False)
    assert parted.table["edits"].eq(3).all() and not is_connected(parted.graphs).any()
    loose = from_edge_lists([(["C", "C", "C"], [(0, 1, "bond")])], WORDS)  # in two parts already
    assert len(counterfactuals(psi, loose, {"some": around(0.3), "none": around(0.0)}, kinds=edges).table)


def test_wrong_arguments_of_counterfactuals_are_named(shipped, molecules):
    one, psi = chain("CC"), number_of("N")
    places = {"a": around(0), "b": around(1)}
    for wrong, words in [
        ((psi, Graph.cat([one, one]), places), "batch of one"),
        ((psi, one, {"a": around(0)}), "at least 2 references.*got 1"),
        ((psi, one, places, "c"), "no reference 'c'.*'a', 'b'"),
        ((psi, one, {"a": around(0), "b": torch.zeros(0, 2)}), "points must be"),
        ((psi, one, {"a": around(0), "b": one[:0]}), "no graphs in the reference 'b'"),
        ((psi, one, {"a": around(0), "b": chain("CC", SMALL_CN)}), "labels of the reference 'b'"),
        ((psi, one, {"a": around(0), "b": torch.tensor([1.0, 0, 0])}), "'b' has points of length 3"),
        ((psi, one, {"a": around(0), "b": torch.tensor([[3.0, 0], [0, 1]])}), "unit vector"),
    ]:
        with pytest.raises(ValueError, match=words):
            counterfactuals(*wrong)
    for options, words in [
        ({"by": "median"}, "by must be one of nearest, mean"),
        ({"max_results": 0}, "max_results must be at least 1"),
        ({"max_edits": 0}, "max_edits must be at least 1"),
        ({"beam": 0}, "beam must be at least 1"),
        ({"kinds": ("paint",)}, "paint"),
        ({"target": torch.tensor([1.0, 0, 0])}, "target has length 3"),
    ]:
        with pytest.raises(ValueError, match=words):
            counterfactuals(psi, one, places, **options)
    with pytest.raises(ValueError, match="called 'the edited answer'"):
        counterfactuals(psi, one, {EDITED_ANSWER: around(0)}, target=around(1))


# -- analogies -----------------------------------------------------------------------------------------------------
def straight(graph):
    """Nearly flat: what counts of labels and edges add up to, far from where the sphere bends."""
    counts = torch.cat([graph.nodes[..., 1:].sum(1), graph.edges[..., 1:].sum((1, 2)) / 2], 1)
    return normalize(torch.cat([0.005 * counts, torch.ones(len(counts), 1)], 1), dim=1)


def scattered(graph):
    """Every graph at a place of its own."""
    names = graph_hashes(graph, 6)[:, -1].tolist()
    made = [torch.randn(32, generator=torch.Generator().manual_seed(name % 2**62)) for name in names]
    return normalize(torch.stack(made), dim=1)


def test_where_labels_add_up_relabels_are_parallel_and_cost_the_same(molecules):
    given = from_smiles(["CC(C)=O", "NC(C)=O"], molecules.vocabulary)
    found = analogies(straight, given[0], given[1], molecules, samples=150)
    assert found.difference == "C to N" and len(found.table) == 150 and len(found.control) > 100
    assert found.table["cosine"].min() > 0.999 and np.ptp(found.table["loss"]) < 0.01 * found.loss
    assert found.table["analogous"].all() and found.control["cosine"].median() < 0.9
    same, other = found.summary().to_dict("records")
    assert same["mutual"] > 0.999 > 0.6 > other["mutual"] and same["loss_low"] <= same["loss"] <= same["loss_high"]
    assert "costs nearly the same everywhere" in found.describe() and "much the same direction" in found.describe()


def test_where_every_graph_lies_for_itself_nothing_is_parallel(molecules):
    given = from_smiles(["CC(C)=O", "NC(C)=O"], molecules.vocabulary)
    found = analogies(scattered, given[0], given[1], molecules, samples=150)
    same = found.summary().iloc[0]
    assert abs(same["mutual"]) < 0.03 and abs(found.table["cosine"].median()) < 0.1
    assert found.table["parallel"].mean() < 0.15 and "has no common direction" in found.describe()
    assert "does not cost the same everywhere" in found.describe()


PAIRS = [
    ("CC(C)=O", "NC(C)=O"), ("CC(C)=O", "CC(C)O"), ("CCCC", "C1CCC1"), ("CCC", "CCCC"), ("CCCO", "CCO"),
    ("C1CCC1", "CCCC"), ("CCCC", "CC(C)C"), ("CCO", "CCNC"),
]  # fmt: skip


def steps_of(path, vocabulary):
    """The edits that a path in words describes."""
    steps = []
    for part in path.split("; "):
        kind, where, old, new = re.fullmatch(r"(node|edge) ([\d-]+): (.*) to (.*)", part).groups()
        names = ("nothing", *vocabulary.node_labels) if kind == "node" else ("no edge", *vocabulary.edge_labels)
        steps.append(EditStep(kind, tuple(map(int, where.split("-"))), names.index(old), names.index(new)))
    return steps


@pytest.mark.parametrize("before, after", PAIRS)
def test_pairs_differ_in_the_same_and_in_nothing_else(shipped, molecules, before, after):
    one, other = from_smiles([before, after], molecules.vocabulary)
    found = analogies(shipped, one, other, molecules, samples=40)
    assert same_graphs(found.other, other).all() and found.path == "; ".join(edit_path(one, other))
    assert len(found.table) > 10 and found.table["graph"].is_unique
    number = len(edit_path(one, other))
    edits = edit_distance(found.graphs, found.others)
    assert edits.distance.eq(number).all() and edits.proven.all() and is_valid(found.others).all()
    for line, left, right in zip(found.table.itertuples(), found.graphs, found.others):
        assert equal(left, molecules[line.graph]) and equal(replayed(left, line.path), right)
        assert line.other < 0 or same_graphs(right, molecules[line.other]).all()
        assert not same_graphs(left, one).all()
        assert describe_difference(steps_of(line.path, one.vocabulary), left, right) == found.difference
    points = [shipped.embed(graphs).double() for graphs in (one, found.other, found.graphs, found.others)]
    given, moved = points[1] - points[0], points[3] - points[2]
    cosine = torch.nn.functional.cosine_similarity(moved, given)
    assert found.table["cosine"].to_numpy() == pytest.approx(cosine.numpy(), abs=1e-4)
    assert found.table["loss"].to_numpy() == pytest.approx(moved.square().sum(1).numpy(), abs=1e-6)
    if number == 1:  # the same kind of edit, in detail
        expected = of_one_kind(one, found.other)
        assert {of_one_kind(a, b) for a, b in zip(found.graphs, found.others)} == {expected}


def of_one_kind(graph, other):
    edits = all_edits(graph, SINGLE)
    made = Graph.from_labels(*edits.apply(*graph.labels(), graph.vocabulary), graph.vocabulary)
    (row,) = [i for i, one in enumerate(made) if equal(one, other)]
    return detailed_kinds(edits[[row]], graph)[0]


def test_every_graph_that_can_differ_so_is_found():
    """Against all single edits of all graphs, where nothing is invalid."""
    graphs = from_networkx([nx.gnp_random_graph(5, 0.5, seed=seed) for seed in range(30)])
    whole = graphs[is_connected(graphs)]
    psi, seen = trained_nowhere(graphs.vocabulary), []
    path = nx.path_graph(5)
    for pair in ((path, nx.cycle_graph(5)), (nx.cycle_graph(5), path)):
        one, other = from_networkx(pair, graphs.vocabulary)
        found = analogies(psi, one, other, whole, samples=1000)
        kind = of_one_kind(one, found.other)
        expected = set()
        for row, graph in enumerate(whole):
            kinds = detailed_kinds(all_edits(graph, SINGLE), graph)
            if kind in kinds and not same_graphs(graph, one).all():
                expected.add(row)
        assert set(found.table["graph"]) == expected
        seen.append(len(expected))
    assert min(seen) > 5


def test_joining_parts_is_not_closing_a_ring_and_what_fewer_edits_do_is_left_out():
    parts = [(["C"] * 3, [(0, 1, "bond")]), (["C"] * 3, [(0, 1, "bond"), (1, 2, "bond")])]
    one, other = from_edge_lists(parts, WORDS)
    loose = from_edge_lists([(["C"] * 4, [(0, 1, "bond"), (2, 3, "bond")])], WORDS)
    among = Graph.cat([loose, chain("CCC"), chain("CCCC")])
    found = analogies(straight, one, other, among)
    assert found.table["graph"].tolist() == [0]
    one, other = from_edge_lists([parts[0], (["C"] * 2, [(0, 1, "bond")])], WORDS)  # a node of no edges goes
    assert analogies(straight, one, other, Graph.cat([chain("CCC"), chain("CCCC"), loose])).table.empty
    one, other, among = chain("CNCOO"), chain("NOCOO"), Graph.cat([chain("CN"), chain("CNCOC")])
    found = analogies(straight, one, other, among)
    assert found.path == "node 0: C to N; node 1: N to O"
    assert found.table["graph"].tolist() == [1]  # of C-N one edit makes O-N


def test_a_result_that_is_known_is_preferred(shipped):
    names = molecule_vocabulary(["C", "N", "O"], 7)
    among = from_smiles(["CCCCO", "CCCNO"], names)  # of the four C of the first one gives the second
    one, other = from_smiles(["CO", "NO"], names)
    found = analogies(straight, one, other, among)
    assert found.table.set_index("graph")["other"].to_dict()[0] == 1


def test_mutual_cosines_are_those_of_a_loop():
    vectors = normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), dim=1).double().numpy()
    mean, low, high = _mutual(np.concatenate([vectors, np.zeros((2, 3))]), np.random.default_rng(0))
    assert mean == pytest.approx(np.mean([a @ b for a, b in itertools.combinations(vectors, 2)]))
    assert low < mean < high
    assert np.isnan(_mutual(vectors[:1], np.random.default_rng(0))).all()
    assert np.isnan(_mutual(vectors[:3], np.random.default_rng(0))[1:]).all()


def test_analogies_come_from_the_seed(shipped, molecules):
    state, (one, other) = torch.random.get_rng_state(), from_smiles(["CCO", "CCN"], molecules.vocabulary)
    first, again, another = (analogies(shipped, one, other, molecules, samples=20, seed=s) for s in (0, 0, 1))
    pd.testing.assert_frame_equal(first.table, again.table)
    pd.testing.assert_frame_equal(first.summary(), again.summary())
    assert not first.table["graph"].equals(another.table["graph"])
    assert torch.equal(state, torch.random.get_rng_state())


def test_few_pairs_and_blind_losses_are_said(molecules):
    one, other = from_smiles(["CCO", "CCN"], molecules.vocabulary)
    few = analogies(straight, one, other, from_smiles(["CCCO", "CCC", "CCO"], molecules.vocabulary))
    assert len(few.table) == 1 and "only one other pair has" in few.describe()
    none = analogies(straight, one, other, from_smiles(["CCC"], molecules.vocabulary))
    assert not len(none.table) and len(none.graphs) == 0 and "no other pair has" in none.describe()
    assert none.summary()["pairs"].tolist() == [0, 0] and none.summary()["loss"].isna().all()
    blind = analogies(lambda g: torch.eye(4)[:1].expand(len(g), -1), one, other, molecules[:60])
    assert (
        blind.table["cosine"].isna().all()
        and not blind.table["analogous"].any()
        and "the loss is zero" in blind.describe()
    )


def test_hostile_labels_are_taken_for_labels():
    vocabulary = GraphVocabulary(("a to b", "b", "x; node 1: c"), ("to", "no edge to"), 4)
    graphs = random_vertices(vocabulary, 60, torch.Generator().manual_seed(0), density=0.6)
    one = from_edge_lists([(["a to b", "b"], [(0, 1, "to")])], vocabulary)
    other = from_edge_lists([(["a to b", "x; node 1: c"], [(0, 1, "no edge to")])], vocabulary)
    found = analogies(trained_nowhere(vocabulary), one, other, graphs)
    assert same_graphs(found.other, other).all() and len(found.table) > 5
    rendered(draw_analogies(*given_pair(found)))


def test_wrong_arguments_of_analogies_are_named(shipped, molecules):
    one, other = from_smiles(["CCO", "CCN"], molecules.vocabulary)
    for wrong, options, words in [
        ((one, one, molecules), {}, "so there is no difference"),
        ((molecules[:2], other, molecules), {}, "graph must be a batch of one"),
        ((one, molecules[:2], molecules), {}, "other must be a batch of one"),
        ((one, other, molecules[:0]), {}, "at least one graph"),
        ((one, other, molecules), {"samples": 0}, "at least one graph.*0"),
        ((one, other, chain("CC")), {}, "among has other labels"),
        ((one, chain("CN"), molecules), {}, "other has other labels"),
    ]:
        with pytest.raises(ValueError, match=words):
            analogies(shipped, *wrong, **options)


# -- pictures ------------------------------------------------------------------------------------------------------
def rendered(figure):
    figure.canvas.draw()
    return figure


def given_pair(found):
    return found.graph, found.other, found.path, found.loss, found.graphs, found.others, found.table


def gids(ax):
    return {artist.get_gid() for artist in ax.get_children()}


def test_changed_parts_are_marked_where_they_are_and_not_by_color_alone():
    names = molecule_vocabulary(["C", "N", "O"], 6)
    before = from_edge_lists([(["C", "C", "O"], [(0, 1, "single"), (1, 2, "single")])], names)
    after = from_edge_lists([(["N", "C", "C"], [(0, 1, "double"), (0, 2, "single")])], names)
    table = pd.DataFrame([{
        "edits": 4, "path": "so", "new": "B", "margin": 0.125, "old_before": 0.1, "old_after": 0.3,
        "new_before": 0.25, "new_after": 0.175, "proven": False,
    }])  # fmt: skip
    figure = rendered(draw_counterfactuals(before, after, table, "A"))
    left, right = (gids(ax) for ax in figure.axes)
    assert {"changed-0", "changed-2", "changed-0-1", "gone-1-2", "number-0", "number-2"} <= left
    assert {"changed-0", "changed-2", "changed-0-1", "new-0-2"} <= right
    assert not any(str(gid).startswith("new") for gid in left)
    assert not any(str(gid).startswith("gone") for gid in right)
    looks = {a.get_gid(): a.get_linestyle() for ax in figure.axes for a in ax.lines}
    assert len({looks[gid] for gid in ("changed-0-1", "gone-1-2", "new-0-2")}) > 1 and looks["changed-0-1"] == "-"
    said = " ".join(text.get_text() for text in figure.texts)
    assert "A before, B after, by 0.12" in said and "4 edits, fewer may do: so" in said
    assert "loss to A 0.10, to B 0.25" in said and "loss to A 0.30, to B 0.17" in said


def test_both_graphs_lie_alike_and_have_one_scale(shipped, molecules):
    one, other = from_smiles(["CCCCCO", "CCCC(C)CO"], molecules.vocabulary)
    found = analogies(shipped, one, other, molecules[:1])
    before, after = aligned_layouts(one, found.other)
    assert np.linalg.norm(before[:6] - after[:6], axis=1).max() < 1.2  # the seventh is new
    figure = rendered(draw_analogies(*given_pair(found)))
    scales = [ax.get_window_extent().width / np.ptp(ax.get_xlim()) for ax in figure.axes[:2]]
    assert scales[0] == pytest.approx(scales[1], rel=0.02)


def test_words_lie_in_the_picture_and_are_large_enough(shipped, molecules):
    one, other = from_smiles(["CC(=O)O", "CC(=O)NC"], molecules.vocabulary)
    found = analogies(shipped, one, other, molecules, samples=30)
    places = {"a place of a very long name that goes on": molecules[0], "b": molecules[1]}
    edited = counterfactuals(shipped, molecules[2], places)
    for figure in (
        draw_analogies(*given_pair(found)),
        draw_counterfactuals(edited.graph, edited.graphs, edited.table, edited.preferred),
    ):
        width, height = rendered(figure).canvas.get_width_height()
        boxes = [text.get_window_extent() for text in figure.texts]
        assert len(boxes) > 5 and all(text.get_fontsize() >= 11 for text in figure.texts)
        assert all(b.x0 >= 0 and b.x1 <= width and b.y0 >= 0 and b.y1 <= height for b in boxes)
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_single_nodes_and_no_pairs_are_drawn(molecules):
    one, other = from_smiles(["C", "N"], molecules.vocabulary)
    found = analogies(straight, one, other, from_smiles(["O"], molecules.vocabulary))
    rendered(draw_analogies(*given_pair(found)))
    edited = counterfactuals(number_of("N"), chain("C"), {"a": around(0), "b": around(0.3)}, kinds=("relabel",))
    rendered(draw_counterfactuals(edited.graph, edited.graphs, edited.table, edited.preferred))
    with pytest.raises(ValueError, match="at least 1, got 0 rows"):
        draw_counterfactuals(edited.graph, edited.graphs[:0], edited.table[:0], edited.preferred)
    with pytest.raises(ValueError, match=r"lacks columns \['path'\]"):
        draw_counterfactuals(edited.graph, edited.graphs, edited.table.drop(columns="path"), "a")
    with pytest.raises(ValueError, match="same slots, got 7 and 5"):
        draw_analogies(one, chain("C"), "", 0.1, found.graphs, found.others, found.table)
