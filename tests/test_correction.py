"""Correcting a loss: rules against loops and a linear programme, judgments in files, training that keeps both."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import random_vertices
from scipy.optimize import linprog
from torch.nn.functional import normalize

import elekit as ele
from elekit import correction
from elekit.cli import main
from elekit.correction import AtLeast, CorrectionTraining, Grows, Judgments, NearlyFree, penalties, probe_edits, rules
from elekit.correction.judgments import ANSWERS, write_lines
from elekit.correction.probe_edits import FAILS, HOLDS, UNPROVEN, evaluate_rules
from elekit.correction.report import Report
from elekit.correction.train import correct
from elekit.graphs.edit_distance import edit_distance, isomorphic
from elekit.graphs.edits import KINDS, all_edits
from elekit.graphs.features import detailed_kinds
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import molecule_vocabulary, to_smiles
from elekit.model.contrastive import retrieval
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import LearnedLoss, points_of
from elekit.training import EmbeddingTraining, fit_embedding
from elekit.training.loop import TrainerConfig, step_generator

LOOP = TrainerConfig(steps=50, learning_rate=5e-3, warmup=5, validate_every=20, checkpoint_every=10)
QUICK = CorrectionTraining(EmbeddingTraining(LOOP, batch_size=32, temperature=0.1), weight=3.0, edits=32, among=100)
RULES = (NearlyFree("relabel a to b", at_most=0.4), AtLeast("edge thin to thick", times=1.1))


def sound(vocabulary, count: int, seed: int) -> Graph:
    """Graphs of 3 nodes and more that exceed no capacity."""
    graphs = random_vertices(vocabulary, 4 * count, torch.Generator().manual_seed(seed))
    return graphs[(graphs.valence_violation() == 0) & (graphs.presence().sum(1) > 2)][:count]


@pytest.fixture(scope="module")
def graphs(vocabulary):
    return sound(vocabulary, 120, 0)


@pytest.fixture(scope="module")
def held_out(vocabulary):
    return sound(vocabulary, 90, 1)


@pytest.fixture(scope="module")
def psi(graphs):
    """A loss learned from outputs alone, in a moment."""
    return fit_embedding(
        graphs,
        config=EmbeddingConfig(hidden=16, rounds=2, dim=24),
        training=QUICK.training,
        device="cpu",
        progress=False,
    )


def counting(weights):
    """psi that counts node labels and edges, each label in a direction and with a weight of its own."""
    w = torch.tensor(weights)

    def psi(graph: Graph):
        counts = (graph.nodes[..., 1:].sum(1)) * w
        links = graph.edges[..., 1:].sum((1, 2)) / 2
        return normalize(torch.cat([counts, links, torch.full((len(graph), 1), 12.0)], 1), dim=1)

    return psi


# -- kinds and rules -----------------------------------------------------------------------------------------------
def test_every_kind_of_edit_is_known_and_what_undoes_it(vertices):
    """Every edit of some graphs, and every edit of its result that leads back: of the kinds that are listed."""
    known = rules.known_kinds(vertices.vocabulary)
    empty = Graph.from_labels(torch.zeros(1, 5), torch.zeros(1, 5, 5), vertices.vocabulary)
    vertices = Graph.cat([vertices, empty])
    seen = set(detailed_kinds(all_edits(vertices, KINDS), vertices))
    assert seen == set(known)
    single = all_edits(vertices[:6])
    results = Graph.from_labels(*single.apply(*vertices[:6].labels(), vertices.vocabulary), vertices.vocabulary)
    names, undone = detailed_kinds(single, vertices[:6]), 0
    back = all_edits(results)
    returned = Graph.from_labels(*back.apply(*results.labels(), results.vocabulary), vertices.vocabulary)
    start = vertices[:6][single.row][back.row]
    same = (returned.nodes == start.nodes).flatten(1).all(1) & (returned.edges == start.edges).flatten(1).all(1)
    for row, kind in zip(back.row[same].tolist(), np.array(detailed_kinds(back, results))[same.numpy()]):
        name = names[row]
        if known[name] != name or name in ("open a ring", "cut an edge", "remove leaf"):
            assert known[name] == kind or known[kind] == name, (name, kind)
            undone += 1
    assert undone > 100


def test_patterns_name_kinds_and_what_undoes_them(vocabulary):
    def named(*patterns):
        return set(rules.match_kinds(patterns, vocabulary))

    assert named("relabel a to b") == {"relabel a to b"}
    assert named("relabel a to b either way") == {"relabel a to b", "relabel b to a"}
    assert named("relabel * to c") == {"relabel a to c", "relabel b to c"}
    assert named("close a ring *") == {"close a ring with a thin edge", "close a ring with a thick edge"}
    assert named("open a ring either way") == named("close a ring *", "open a ring")
    assert named("close a ring with a thin edge either way") == {"close a ring with a thin edge", "open a ring"}
    assert named("*") == set(rules.known_kinds(vocabulary))
    odd = GraphVocabulary(("*", "a to b", "b"), ("e",), 3)
    assert rules.match_kinds(["relabel * to b"], odd) == ("relabel * to b",)  # a label, not a pattern
    with pytest.raises(ValueError, match="no kind of edit 'relable a to b'; the nearest are 'relabel a to b'"):
        named("relable a to b")
    with pytest.raises(ValueError, match="rule 2, 'nearly free': no kind of edit 'C to N'; the nearest are"):
        rules.check_rules([Grows(), NearlyFree("C to N")], vocabulary)


def test_rules_survive_json():
    given = (
        NearlyFree(("relabel a to b", "remove *"), 0.3),
        AtLeast("open a ring", 2, ("remove leaf",)),
        Grows(3, 0.8),
    )
    written = json.loads(json.dumps(rules.to_json(given)))
    assert rules.from_json(written) == given
    assert written[0] == {"rule": "nearly free", "kinds": ["relabel a to b", "remove *"], "at_most": 0.3}
    assert [str(rule) for rule in given] == [
        "'relabel a to b' and 'remove *': at most 0.30 times a typical edit",
        "'open a ring': at least 2.00 times 'remove leaf'",
        "the loss grows with each of 3 edits: on at least 80 % of the steps",
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rule": "grows"}, "must be a list of objects, got dict"),
        (["grows"], "rule 1: no rule 'grows'; .*'nearly free', 'at least' and 'grows'"),
        ([{"rule": "grows"}, {"rule": "cheap"}], "rule 2: no rule 'cheap'"),
        ([{"rule": "at least", "kinds": ["a"]}], "rule 1, 'at least', lacks times"),
        ([{"rule": "nearly free"}], "rule 1, 'nearly free', lacks kinds"),
        (
            [{"rule": "nearly free", "kinds": ["a"], "atmost": 1}],
            "'nearly free', has no 'atmost'; it has kinds and at_most",
        ),
        ([{"rule": "nearly free", "kinds": []}], "rule 1: rule 'nearly free': kinds of edits .*got"),
        ([{"rule": "nearly free", "kinds": [3]}], "kinds of edits .*got \\[3\\]"),
        ([{"rule": "nearly free", "kinds": "a", "at_most": "low"}], "at_most must be a number above 0, got 'low'"),
        ([{"rule": "at least", "kinds": "a", "times": math.inf}], "times must be a number above 0, got inf"),
        ([{"rule": "grows", "steps": 1}], "steps must be an integer of at least 2, got 1"),
        ([{"rule": "grows", "steps": 10**9}], "got 1000000000; at most 1,000"),
        ([{"rule": ["grows"]}], "rule 1: no rule list of 1"),
        ([{"rule": "grows", "share": True}], "share must lie in \\(0, 1\\], got True"),
    ],
)
def test_rules_that_are_none_are_named(fields, words):
    with pytest.raises(ValueError, match=words):
        rules.from_json(fields)


def test_rules_at_odds_are_named(vocabulary):
    free, dear = NearlyFree("relabel a to b", 0.4), AtLeast("relabel *", 2)
    for odd, words in (
        ([free, dear], r"rule 1 \('relabel a to b': at most .*\) and rule 2 .* contradict each other"),
        (
            [free, Grows(), AtLeast("relabel b to a", 0.5)],
            "rule 1 .* and rule 3 .* contradict each other",
        ),  # symmetric
        ([AtLeast("relabel *", 2, "relabel a to b")], "rule 1 .* contradicts itself"),
        ([AtLeast("remove leaf", 3, "open a ring"), AtLeast("open a ring", 0.5, "remove leaf")], "contradict"),
    ):
        with pytest.raises(ValueError, match=words):
            rules.check_rules(odd, vocabulary)
    rules.check_rules([free, AtLeast("relabel a to b", 0.4)], vocabulary)  # just so
    with pytest.raises(ValueError, match="rule 1 is a str; rules are NearlyFree, AtLeast and Grows"):
        rules.check_rules(["nearly free"], vocabulary)


def test_rules_are_at_odds_exactly_where_no_prices_keep_them(vocabulary):
    """Random rules about four kinds against a linear programme over the logarithms of their prices."""
    kinds, generator, odd = ["remove leaf", "remove node", "open a ring", "cut an edge"], np.random.default_rng(0), 0
    for _ in range(120):
        given, bounds = [], []
        for _ in range(6):
            i, j = generator.permutation(len(kinds))[:2]
            factor = float(generator.choice([0.3, 0.6, 1.5, 3.0]))
            row = np.zeros(len(kinds) + 1)  # the last is a typical edit
            if generator.random() < 0.5:
                given.append(NearlyFree(kinds[i], factor))
                row[[i, -1]] = 1, -1
                bounds.append((row, math.log(factor)))
            else:
                given.append(AtLeast(kinds[i], factor, kinds[j]))
                row[[j, i]] = 1, -1
                bounds.append((row, -math.log(factor)))
        left, right = zip(*bounds)
        possible = linprog(np.zeros(len(kinds) + 1), left, right, bounds=(None, None)).status == 0
        try:
            rules.check_rules(given, vocabulary)
            assert possible, given
        except ValueError:
            assert not possible, given
            odd += 1
    assert 10 < odd < 100


# -- penalties -----------------------------------------------------------------------------------------------------
def test_a_hinge_is_zero_exactly_where_every_case_keeps_the_rule(generator):
    free, least, among, grows = NearlyFree("k", 0.4), AtLeast("k", 2), AtLeast("k", 2, "l"), Grows(3, 1.0)
    broken = dict.fromkeys((free, least, among, grows), 0)
    for _ in range(300):
        prices, others = (
            torch.rand(2, generator=generator) ** 2 + 0.01,
            torch.rand(3, generator=generator) ** 3 + 0.01,
        )
        walk = torch.rand(2, 4, generator=generator).cumsum(1) - 0.3 * torch.rand(2, 4, generator=generator)
        typical = others.median()
        for rule, kept, given in (
            (free, all(p <= 0.4 * typical for p in prices), prices),
            (least, all(p >= 2 * typical for p in prices), prices),
            (among, all(p >= 2 * other for p in prices for other in others), prices),
            (grows, all(a < b for row in walk.tolist() for a, b in itertools.pairwise(row)), walk),
        ):
            value = penalties.hinge(rule, given, others)
            assert (value == 0) == kept and value >= 0
            assert penalties.hinge(rule, given, others, margin=0.3) >= value
            broken[rule] += not kept
    assert all(30 < count < 300 for count in broken.values()), broken


@pytest.mark.parametrize("rule", [NearlyFree("k", 0.4), AtLeast("k", 3), AtLeast("k", 3, "l"), Grows(2, 1.0)])
def test_going_down_a_hinge_keeps_the_rule_and_leaves_the_yardstick(rule):
    prices = torch.tensor([[1.0, 0.7], [0.5, 0.4]]) if isinstance(rule, Grows) else torch.tensor([1.0, 0.2, 2.0])
    prices, others = prices.requires_grad_(), torch.tensor([1.0, 0.9, 1.1], requires_grad=True)
    assert penalties.hinge(rule, prices, others) > 0
    optimizer = torch.optim.SGD([prices, others], 0.05)
    for _ in range(800):
        optimizer.zero_grad()
        value = penalties.hinge(rule, prices, others)
        if value == 0:
            break
        value.backward()
        optimizer.step()
    assert value == 0
    if not getattr(rule, "of", ()):
        assert torch.equal(others, torch.tensor([1.0, 0.9, 1.1]))  # the yardstick is no way out


def test_a_triplet_hinge_is_zero_exactly_where_all_are_kept(generator):
    for _ in range(100):
        near, far = torch.rand(2, 2, generator=generator)
        assert (penalties.triplet_hinge(near, far) == 0) == bool((near <= far).all())
        scale = torch.cat([near, far]).mean()
        slow = sum(max(0.0, float((a - b) / scale) + 0.2) for a, b in zip(near, far)) / 2
        assert penalties.triplet_hinge(near, far, 0.2) == pytest.approx(slow, abs=1e-6)


def test_a_loss_that_keeps_a_rule_pays_nothing_and_another_pays(graphs):
    rule = NearlyFree("relabel a to b either way", at_most=0.3)
    term = penalties.penalty(graphs, [rule], margin=0.0)
    blind, sharp = counting([1.0, 1.0, 4.0]), counting([4.0, 4.0, 4.0])
    merged = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])  # a and b in one direction

    def of_one(graph):
        nodes = torch.cat([graph.nodes[..., :1], graph.nodes[..., 1:] @ merged / 2], -1)
        return blind(replace(graph, nodes=nodes))

    assert all(term(of_one, step) == 0 for step in range(3))
    assert all(term(sharp, step) > 0.1 for step in range(3))
    assert term(sharp, 4) == term(sharp, 4) != term(sharp, 5)  # random by the step alone


def test_a_penalty_needs_cases(graphs, vocabulary):
    single = graphs[:0]
    lone = Graph.from_labels(torch.tensor([[1, 0, 0, 0, 0]]), torch.zeros(1, 5, 5), vocabulary)
    with pytest.raises(
        ValueError, match="rule 1 .*'open a ring'.*: none of 1 graphs has a valid edit of such a kind"
    ):
        penalties.penalty(lone, [NearlyFree("open a ring")])
    with pytest.raises(ValueError, match="no graphs to edit"):
        penalties.penalty(single, [NearlyFree("open a ring")])
    with pytest.raises(ValueError, match="weight of a penalty must be above 0"):
        penalties.penalty(graphs, RULES, weight=0.0)


# -- whether rules hold --------------------------------------------------------------------------------------------
def test_answers_are_those_of_a_loop(held_out):
    loss = counting([3.0, 1.0, 2.0])
    given = [
        NearlyFree(("relabel a to b", "remove leaf"), 0.6),
        AtLeast("relabel a to *", 1.2),
        AtLeast("cut an edge", 0.5, "relabel *"),
        Grows(3),
    ]
    asked = probe_edits.draw_probe_edits(held_out, given)
    found = evaluate_rules(loss, asked)
    price = LearnedLoss(loss)(asked.sample.results, asked.sample.graphs[asked.sample.edits.row])
    table = asked.sample.table.assign(price=price.numpy())
    median = table.groupby("kind")["price"].median()
    named = {"relabel a to b", "relabel a to c", "remove leaf", "cut an edge"} | {
        k for k in median.index if k.startswith("relabel")
    }
    often = table.groupby("kind")["graph"].nunique() >= 5
    typical = np.median([median[k] for k in median.index if k not in named and often[k]])
    assert set(asked.reference) == {k for k in median.index if k not in named and often[k]}
    worst = max(("relabel a to b", "remove leaf"), key=median.get)
    assert found["kind"][0] == worst and found["figure"][0] == pytest.approx(median[worst] / typical, rel=1e-3)
    least = min(("relabel a to b", "relabel a to c"), key=median.get)
    assert found["kind"][1] == least and found["figure"][1] == pytest.approx(median[least] / typical, rel=1e-3)
    dearest = max(median[k] for k in median.index if k.startswith("relabel") and often[k])
    assert found["figure"][2] == pytest.approx(median["cut an edge"] / dearest, rel=1e-3)
    some = table[table["kind"].isin(["relabel a to b", "remove leaf"])]
    assert found["share"][0] == pytest.approx((some["price"] <= 0.6 * typical).mean()) and found["cases"][0] == len(
        some
    )
    far = np.array([LearnedLoss(loss)(walk, asked.walks[0]).double().numpy() for walk in asked.walks[1:]]).T
    assert found["figure"][3] == pytest.approx((np.diff(far) > 0).mean(), abs=0.02)
    for row in found.itertuples():
        below = row.sense == "at most"
        wanted = (
            HOLDS
            if (row.high <= row.goal if below else row.low >= row.goal)
            else FAILS
            if (row.low > row.goal if below else row.high < row.goal)
            else UNPROVEN
        )
        assert row.low <= row.figure <= row.high and row.says == wanted


def test_a_goal_inside_the_interval_is_neither_kept_nor_broken(held_out):
    loss = counting([3.0, 1.0, 2.0])
    (figure,) = evaluate_rules(loss, probe_edits.draw_probe_edits(held_out, [NearlyFree("relabel a to b")]))["figure"]
    given = [NearlyFree("relabel a to b", figure), AtLeast("relabel a to b", figure)]
    assert evaluate_rules(loss, probe_edits.draw_probe_edits(held_out, given))["says"].tolist() == [
        UNPROVEN,
        UNPROVEN,
    ]
    wide = [NearlyFree("relabel a to b", 3 * figure), AtLeast("relabel a to b", figure / 3)]
    assert evaluate_rules(loss, probe_edits.draw_probe_edits(held_out, wide))["says"].tolist() == [HOLDS, HOLDS]
    narrow = [NearlyFree("relabel a to b", figure / 3), AtLeast("relabel a to b", 3 * figure)]
    assert [evaluate_rules(loss, probe_edits.draw_probe_edits(held_out, [rule]))["says"][0] for rule in narrow] == [
        FAILS,
        FAILS,
    ]


def test_a_rule_of_which_nothing_is_seen_is_not_proven(held_out):
    asked = probe_edits.draw_probe_edits(held_out[:3], [NearlyFree("relabel a to b"), AtLeast("add * on its own", 2)])
    found = evaluate_rules(counting([1.0, 1.0, 1.0]), asked)
    assert found["says"].tolist() == [UNPROVEN, UNPROVEN] and found["low"].isna().all()
    assert found["unseen"][1] == ("add a on its own", "add b on its own", "add c on its own")


def test_walks_go_away_from_where_they_start(held_out):
    asked = probe_edits.draw_probe_edits(held_out[:20], [Grows(3)], exact=True)
    found = torch.stack([edit_distance(asked.walks[0], walk, timeout=1.0).distance for walk in asked.walks])
    assert len(asked.walk_starts) > 20 and (found[0] == 0).all() and (found.diff(dim=0) > 0).all()
    assert isomorphic(asked.walks[0], held_out[:20][asked.walk_starts]).all()
    assert all((walk.valence_violation() == 0).all() for walk in asked.walks)
    nodes, edges = zip(*(walk.labels() for walk in probe_edits.draw_probe_edits(held_out, [Grows(3)]).walks))
    standing = [(n != nodes[0]).sum(1) + (e != edges[0]).sum((1, 2)) // 2 for n, e in zip(nodes, edges)]
    assert (torch.stack(standing).diff(dim=0) > 0).all()


# -- judgments ----------------------------------------------------------------------------------------------------
def judged(graphs: Graph, rows, given=None, random=None) -> Judgments:
    a, b, c = (graphs[torch.tensor(column)] for column in zip(*rows))
    marks = torch.tensor(random or [False] * len(rows))
    return Judgments(a, b, c, tuple(given or ["left"] * len(rows)), marks)


def test_margins_and_sides_follow_the_answer(graphs):
    loss = counting([3.0, 1.0, 2.0])
    held = judged(graphs, [(0, 1, 2), (0, 1, 2), (3, 4, 5)], ["left", "right", "cannot say"])
    d = LearnedLoss(loss)
    first = d(graphs[0], graphs[2]) - d(graphs[0], graphs[1])
    assert held.margins(loss).tolist() == pytest.approx(
        [first.item(), -first.item(), (d(graphs[3], graphs[5]) - d(graphs[3], graphs[4])).item()], abs=1e-5
    )
    near, far = held.sides
    assert torch.equal(near.nodes, graphs[torch.tensor([1, 2, 4])].nodes)
    assert torch.equal(far.nodes, graphs[torch.tensor([2, 1, 5])].nodes)
    assert len(held.decided) == 2
    nothing = Judgments.empty(graphs.vocabulary)
    assert len(nothing) == 0 == len(nothing.margins(loss)) == len(nothing.contradictory) and len(nothing.decided) == 0


def test_what_cannot_all_be_true_is_counted(graphs):
    rows = [(0, 1, 2), (0, 2, 1), (3, 4, 5), (3, 5, 6), (3, 6, 4), (7, 8, 9), (8, 9, 7), (9, 7, 8), (7, 1, 2)]
    given = ["left"] * 5 + ["left", "left", "left", "left"]
    held = judged(graphs, rows, given)
    # 78 < 79, 89 < 87, 79 < 89 is a circle, too
    assert held.contradictory.tolist() == [True] * 8 + [False]
    assert not judged(graphs, rows[:2], ["left", "cannot say"]).contradictory.any()
    unsure = judged(graphs, [*rows[:2], rows[0], (5, 6, 7)], ["left", "left", "cannot say", "cannot say"])
    assert unsure.contradictory.tolist() == [True, True, False, False]
    shuffled = replace(held, anchors=held.anchors.permuted(torch.tensor([4, 3, 2, 1, 0])))
    assert shuffled.contradictory.tolist() == held.contradictory.tolist()  # of whatever node order


def test_a_file_of_judgments_loses_nothing(graphs, tmp_path):
    path, held = (
        tmp_path / "deep" / "j.jsonl",
        judged(graphs, [(0, 1, 2), (3, 4, 5), (6, 7, 8)], ANSWERS, [True, False, True]),
    )
    held[[0]].append(path)
    held[[1, 2]].append(path)
    again = Judgments.read(path, graphs.vocabulary)
    assert again.answers == held.answers and torch.equal(again.random, held.random) and again.problems == ()
    for one, other in ((again.anchors, held.anchors), (again.lefts, held.lefts), (again.rights, held.rights)):
        assert isomorphic(one, other).all()
    whole = path.read_bytes()
    for cut in (1, 20, 200):  # the last line was cut off, then somebody went on
        path.write_bytes(whole[:-cut])
        held[[0]].append(path)
        again = Judgments.read(path, graphs.vocabulary)
        kept = held.answers[: 3 if cut == 1 else 2]
        assert again.answers == (*kept, held.answers[0])
        assert len(again.problems) == (cut > 1) and all(p.startswith("line 3: ") for p in again.problems)
    write_lines(path, [{"answer": "taken back"}])
    assert Judgments.read(path, graphs.vocabulary).answers == held.answers[:2]
    with pytest.raises(OSError, match="cannot append to"):
        held.append(tmp_path)


def test_a_file_may_be_written_by_hand(tmp_path):
    vocabulary = molecule_vocabulary(["C", "N", "O"], 6)
    path = tmp_path / "j.jsonl"
    linked = {
        "nodes": [{"id": 0, "label": "C"}, {"id": 1, "label": "O"}],
        "links": [{"source": 0, "target": 1, "label": "double"}],
    }
    path.write_text(
        "\n".join(
            [
                json.dumps({"anchor": "CCO", "left": "CCN", "right": linked, "answer": "right"}),
                "",
                json.dumps({"anchor": "CCO", "left": "CCF", "right": "C", "answer": "left"}),
                json.dumps({"anchor": "CCO", "left": "CCC", "right": "C", "answer": "perhaps"}),
                json.dumps({"anchor": "CCO", "left": "C(", "right": "C", "answer": "left"}),
                json.dumps({"anchor": "CCO", "answer": "left"}),
                "[1]",
                json.dumps({"anchor": "CCO", "left": json.dumps(linked), "right": "C", "answer": "cannot say"}),
                json.dumps({"anchor": "C", "left": "C", "right": "C", "answer": "left", "random": "no"}),
                '{"anchor": "C", "anchor": "CC", "left": "C", "right": "C", "answer": "left"}',
                "[" * 100_000,
            ]
        )
    )
    held = Judgments.read(path, vocabulary)
    assert held.answers == ("right", "cannot say") and not held.random.any()
    assert to_smiles(held.rights) == ["C=O", "C"] and to_smiles(held.lefts) == ["CCN", "C=O"]
    assert [p.split(":")[0] for p in held.problems] == [f"line {n}" for n in (3, 4, 5, 6, 7, 9, 10, 11)]
    assert max(map(len, held.problems)) < 400
    held.append(tmp_path / "again.jsonl")
    assert json.loads((tmp_path / "again.jsonl").read_text().splitlines()[0])["anchor"] == "CCO"
    with pytest.raises(FileNotFoundError):
        Judgments.read(tmp_path / "none.jsonl", vocabulary)


@pytest.mark.parametrize(
    "left",
    [
        "C" * 20_000, "CCé", "C\nC", "[" * 10**5, '{"nodes": ' * 10**5, '{"nodes": [{"id": 0}]}',
        {"nodes": [{"id": 0, "label": "C"}], "edges": [{"source": 0, "target": 7}]}, 10**400, [[[["C"]]]],
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_judgment_that_would_crash_or_be_read_in_part_is_a_problem(left, tmp_path):
    line = {"anchor": "CC", "left": "C", "right": "CO", "answer": "left"}
    text = "\n".join([json.dumps(line), json.dumps({**line, "left": left}), "[" * 10**5, json.dumps(line)])
    (tmp_path / "hostile.jsonl").write_text(text)
    held = Judgments.read(tmp_path / "hostile.jsonl", molecule_vocabulary(["C", "N", "O"], 6))
    assert len(held) == 2 and [p.split(":")[0] for p in held.problems] == ["line 2", "line 3"]
    assert all(len(p) < 400 for p in held.problems)


def test_what_is_held_out_is_not_learned_from(graphs):
    rows = [(i, i + 1, i + 2) for i in range(20)]
    by_lot = [i % 4 == 0 for i in range(20)]
    held = judged(graphs, rows + rows[:2], ["left"] * 20 + ["right"] * 2, by_lot + [False] * 2)
    learned, apart = held.split()
    assert len(apart) == 5 and apart.random.all()
    assert len(learned) == 22 - 5 - 1 and not learned.random.any()  # row 20 asks what row 0 asked
    learned, apart = judged(graphs, rows).split()
    assert (len(learned), len(apart)) == (15, 5)
    assert not {tuple(sorted(p)) for p in learned.pairs} & {
        tuple(sorted(p)) for p in apart.pairs if p in learned.pairs
    }
    learned, apart = Judgments.empty(graphs.vocabulary).split()
    assert (len(learned), len(apart)) == (0, 0)


def test_judgments_must_fit_together(graphs):
    with pytest.raises(ValueError, match=r"\(2\), got \[2, 2, 1, 2\]"):
        Judgments(graphs[:2], graphs[:2], graphs[:1], ("left", "left"), torch.zeros(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="no answer 'yes'; the answers are 'left', 'right', 'cannot say'"):
        Judgments(graphs[:1], graphs[:1], graphs[:1], ("yes",), torch.zeros(1, dtype=torch.bool))


# -- correcting ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def taste(graphs, held_out):
    """Judgments of one who counts c twentyfold; two of five are held out, as if asked at random."""
    loss = counting([0.3, 0.3, 6.0])
    rows = np.random.default_rng(1).integers(0, 60, size=(250, 3))
    rows = [row for row in rows.tolist() if len(set(row)) == 3]
    held = judged(Graph.cat([graphs[:60]]), rows, random=[i % 5 in (0, 4) for i in range(len(rows))])
    margins = held.margins(loss)
    return replace(
        held, answers=tuple("left" if m > 0 else "right" if m < 0 else "cannot say" for m in margins.tolist())
    )


@pytest.fixture(scope="module")
def corrected(psi, graphs, held_out, taste):
    before = {k: v.clone() for k, v in psi.state_dict().items()}
    found = correct(
        psi, graphs, RULES, taste, validation=held_out, config=QUICK, decoded=4, device="cpu", progress=False
    )
    assert all(torch.equal(v, before[k]) for k, v in psi.state_dict().items())
    return found


def test_rules_hold_afterwards_that_did_not_before(corrected):
    table = corrected.report.rules
    assert table["before_says"].tolist() == [FAILS, FAILS], table
    assert table["after_says"].tolist() == [HOLDS, HOLDS], table
    assert (table["after_share"] > table["before_share"]).all()


def test_judgments_are_learned_and_told_of_those_held_out(corrected, taste, psi):
    table = corrected.report.judgments.set_index("which")
    learned, apart = taste.decided.split()
    assert apart.random.all() and table["judgments"].tolist() == [len(learned), len(apart)]
    assert table.loc["held out", "before"] == pytest.approx((apart.margins(psi) > 0).float().mean().item())
    assert table.loc["held out", "after"] == pytest.approx((apart.margins(corrected.psi) > 0).float().mean().item())
    assert table.loc["held out", "after"] > table.loc["held out", "before"]
    assert table.loc["held out", "low"] < table.loc["held out", "after"] < table.loc["held out", "high"]


def test_what_it_cost_is_told(corrected, psi, held_out):
    costs = corrected.report.costs.set_index("measure")
    retrieved = costs.loc[correction.before_after.RETRIEVAL]
    queries = QUICK.training.view(held_out, step_generator(0, -1))
    shares = [retrieval(points_of(p, queries), points_of(p, held_out)) for p in (psi, corrected.psi)]
    assert retrieved[["before", "after"]].tolist() == pytest.approx(shares) and retrieved["cases"] == len(held_out)
    assert retrieved["low"] <= retrieved["change"] <= retrieved["high"]
    assert {m: u for m, u in costs["unit"].items() if "decodable" in m} == {
        correction.before_after.CANDIDATES: "share",
        correction.before_after.GRADIENT: "share",
    }
    cosine = [points_of(p, held_out) for p in (psi, corrected.psi)]
    alike = np.corrcoef([(c @ c.T).triu(1)[torch.ones(len(c), len(c)).triu(1) > 0].numpy() for c in cosine])[0, 1]
    assert costs.loc[correction.report.OF_GRAPHS, "after"] == pytest.approx(alike, abs=0.3)  # of 45 pairs
    kinds = corrected.report.kinds.set_index("kind")
    assert kinds.loc["relabel a to b", "named"] and not kinds.loc["open a ring", "named"]
    assert kinds.loc["relabel a to b", "after"] == pytest.approx(corrected.report.rules["after"][0])
    assert kinds.loc["relabel a to b", "shift"] < 1 < kinds.loc["edge thin to thick", "shift"]


def test_the_report_speaks_and_survives_json(corrected):
    said = str(corrected.report)
    for words in (
        "Rule 1 ('relabel a to b': at most 0.40 times a typical edit) holds",
        "judgments held out",
        "Retrieval",
        "that no rule names",
    ):
        assert words in said, words
    assert json.loads(json.dumps(corrected.about)) == corrected.about
    assert (
        corrected.about["rules"] == rules.to_json(RULES)
        and corrected.about["report"]["says"] == corrected.report.sentences()
    )
    back = Report.from_json(json.loads(json.dumps(corrected.about["report"])))
    assert back.sentences() == corrected.report.sentences() and back.to_json() == corrected.report.to_json()


def test_a_correction_drawn(corrected):
    from matplotlib.figure import Figure

    report = corrected.report
    figure = ele.draw.corrections(report.rules, report.judgments, report.costs)
    assert isinstance(figure, Figure) and figure._repr_png_()
    above, below = figure.axes
    at = {gid: [line.get_xdata()[0] for line in above.lines if line.get_gid() == gid] for gid in ("before", "after")}
    for side, found in at.items():
        assert found == pytest.approx((report.rules[side] / report.rules["goal"]).tolist())
    after = [line.get_xdata()[0] for line in below.lines if line.get_gid() == "after"]
    shares = report.costs[report.costs["unit"] != "loss"]["after"].tolist()
    assert after == pytest.approx([*report.judgments["after"], *shares])
    assert all(text.get_fontsize() >= 11 for ax in figure.axes for text in ax.texts if text.get_text())
    with pytest.raises(ValueError, match="the table of costs lacks columns"):
        ele.draw.corrections(report.rules, report.judgments, report.costs.drop(columns="unit"))
    with pytest.raises(ValueError, match="nothing to draw"):
        ele.draw.corrections(report.rules[:0], report.judgments[:0], report.costs[:0])


def test_a_run_that_was_cut_goes_on_bit_for_bit(psi, graphs, held_out, corrected, taste, tmp_path, monkeypatch):
    calls, whole = iter(range(10_000)), correction.penalties.Penalty.__call__

    def cut(self, psi, step):
        if next(calls) == 25:
            raise KeyboardInterrupt
        return whole(self, psi, step)

    options = {
        "validation": held_out,
        "config": QUICK,
        "decoded": 0,
        "device": "cpu",
        "progress": False,
        "checkpoint": tmp_path / "run",
    }
    monkeypatch.setattr(correction.penalties.Penalty, "__call__", cut)
    half = correct(psi, graphs, RULES, taste, **options)
    monkeypatch.undo()
    assert half.psi.history[-1]["interrupted"] and any(
        "interrupted after 25 steps" in said for said in half.report.sentences()
    )
    again = correct(psi, graphs, RULES, taste, **options)
    assert not any("exact" in measure for measure in again.report.costs["measure"])
    assert all(torch.equal(v, again.psi.state_dict()[k]) for k, v in corrected.psi.state_dict().items())
    with pytest.raises(ValueError, match="belongs to another run: penalty differ"):
        correct(psi, graphs, RULES[:1], taste, **options)


def test_a_loss_learned_under_rules_from_the_start(graphs, held_out, psi):
    config, loop = psi.config, replace(LOOP, steps=80)
    training = replace(QUICK.training, loop=loop)
    term = penalties.penalty(graphs, RULES[:1], weight=3.0, edits=32, among=100)
    learned = fit_embedding(graphs, config=config, training=training, penalty=term, device="cpu", progress=False)
    asked = probe_edits.draw_probe_edits(held_out, RULES[:1])
    assert evaluate_rules(psi, asked)["says"].tolist() == [FAILS] and evaluate_rules(learned, asked)[
        "says"
    ].tolist() == [HOLDS]


@pytest.mark.filterwarnings("error")
def test_one_held_out_graph_proves_nothing(psi, graphs):
    quick = replace(QUICK, training=replace(QUICK.training, loop=replace(LOOP, steps=2)))
    held = judged(graphs, [(0, 1, 2), (3, 4, 5)])
    options = {"validation": graphs[:1], "config": quick, "decoded": 0, "device": "cpu", "progress": False}
    report = correct(psi, graphs, RULES, held, **options).report
    assert report.rules["after_says"].tolist() == [UNPROVEN, UNPROVEN] and report.costs["low"].isna().all()
    assert json.dumps(report.to_json()) and "nan" not in str(report)
    assert ele.draw.corrections(report.rules, report.judgments, report.costs)._repr_png_()


def test_nothing_to_correct_is_said(psi, graphs):
    with pytest.raises(ValueError, match="nothing to correct: give rules, or judgments"):
        correct(psi, graphs)
    unsure = judged(graphs, [(0, 1, 2)], ["cannot say"])
    with pytest.raises(ValueError, match="nothing to correct"):
        correct(psi, graphs, (), unsure)
    with pytest.raises(ValueError, match="surrogate="):
        correct(psi, graphs, RULES, refit=object())


# -- from a shell --------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with 90 molecules, an artifact of a loss of them that learned nothing, and rules."""
    folder = tmp_path_factory.mktemp("shop")
    frame = ele.datasets.load("molecules7").train.frame[["smiles"]].iloc[40:130]
    frame.to_csv(folder / "data.csv", index=False)
    data = ele.datasets.from_frame(folder / "data.csv", smiles="smiles")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = GraphEmbedding(data.vocabulary, EmbeddingConfig(hidden=12, rounds=2, dim=12)).requires_grad_(
            False
        )
    h = ele.fit_surrogate(
        untrained,
        ele.datasets.from_frame(folder / "data.csv", smiles="smiles", input="smiles").train,
        backbone=ele.BackboneConfig("smiles", width=8),
        training=ele.SurrogateTraining(loop=TrainerConfig(2, 1e-3), batch_size=8),
        device="cpu",
        progress=False,
    )
    ele.save(ele.Artifact("mine", untrained, {"smiles": h}, {"seed": 0, "data": {"rows": 90}}), folder / "old")
    (folder / "rules.json").write_text(json.dumps([{"rule": "nearly free", "kinds": ["relabel C to N"]}]))
    return folder


def command(shop, *more):
    fast = ["--steps", "4", "--batch-size", "16", "--decoded", "1", "--device", "cpu"]
    return ["correct", "--artifact", str(shop / "old"), "--data", str(shop / "data.csv"), *fast, *map(str, more)]


def test_correct_writes_an_artifact_that_tells_what_was_done(shop, tmp_path, capsys, monkeypatch):
    out, judgments = tmp_path / "new", tmp_path / "j.jsonl"
    write_lines(judgments, [{"anchor": "CCO", "left": "CCN", "right": "CCC", "answer": "left"}] * 2)
    judgments.write_text(judgments.read_text() + '{"anchor": "CC')  # cut off
    arguments = command(shop, "--out", out, "--rules", shop / "rules.json", "--judgments", judgments, "--json")
    calls, whole = iter(range(10_000)), correction.penalties.Penalty.__call__

    def cut(self, psi, step):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return whole(self, psi, step)

    monkeypatch.setattr(correction.penalties.Penalty, "__call__", cut)
    assert main(arguments) == 130 and json.loads(capsys.readouterr().out)["interrupted"]
    reached = ele.load(out).about["correction"]["history"][-1]
    assert reached["step"] == 2 and reached["interrupted"]
    monkeypatch.undo()
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["artifact"] == str(out) and document["rules"][0]["rule"].startswith("'relabel C to N'")
    artifact = ele.load(out)
    told = artifact.about["correction"]
    assert artifact.surrogates == {} and artifact.about["surrogates"] == {} and artifact.about["data"] == {"rows": 90}
    assert told["of"] == "mine" and told["rules"] == [
        {"rule": "nearly free", "kinds": ["relabel C to N"], "at_most": 0.4}
    ]
    assert told["judgements"]["count"] == 2 and told["report"]["says"] == document["says"]
    assert any("1 line of the judgments could not be read" in said for said in document["says"])
    measures = {row["measure"] for row in document["costs"]}
    assert correction.before_after.FROM_INPUTS in measures and correction.before_after.REFITTED not in measures


def test_correct_refuses_in_one_sentence(shop, tmp_path, capsys):
    bad = tmp_path / "bad.json"
    for content, words in (
        ("{", "bad.json: is no JSON"),
        ('[{"rule": "free"}]', "bad.json: rule 1: no rule 'free'"),
        (
            '[{"rule": "nearly free", "kinds": ["relabel C to X"]}]',
            "no kind of edit 'relabel C to X'; the nearest are",
        ),
    ):
        bad.write_text(content)
        assert main(command(shop, "--out", tmp_path / "new", "--rules", bad)) == 1
        said = capsys.readouterr().err
        assert words in said and said.count("\n") == 1, said
    assert main(command(shop, "--out", tmp_path / "new")) == 1 and "nothing to correct" in capsys.readouterr().err
    assert main(command(shop, "--out", tmp_path / "new", "--rules", tmp_path / "none.json")) == 1
    assert "no file" in capsys.readouterr().err
    assert main(command(shop, "--out", shop / "old", "--rules", shop / "rules.json")) == 1
    assert "already holds a learned loss with surrogates" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
