"""Judging: figures of hand-made pairs, summaries by hand, a judge that finds what is there to be found."""

import itertools
import signal
from dataclasses import replace

import networkx as nx
import pandas as pd
import pytest
import torch
from conftest import equal

from elekit import datasets
from elekit.decoding import Candidates, DecodeConfig, GradientConfig, LocalSearchConfig, uniform
from elekit.evaluation import judging
from elekit.evaluation.judging import decode_many, evaluate, judge, summarize
from elekit.graphs import augment
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, GraphVocabulary, from_networkx, label_tensors
from elekit.graphs.isomorphism import TooSymmetricError
from elekit.graphs.smiles import from_smiles, molecule_vocabulary, to_smiles
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding

MOLECULES = molecule_vocabulary(["C", "N", "O", "F"], 8)


def molecules(*smiles) -> Graph:
    return from_smiles(list(smiles), MOLECULES)


def parts(nodes, edges) -> Graph:
    """One molecule drawn as given, valid or not."""
    return Graph.from_labels(*label_tensors([(nodes, edges)], MOLECULES), MOLECULES)


def xylene(first: str) -> Graph:
    """o-xylene with its ring drawn one way or the other: the bond between the methyls is `first`."""
    other = {"single": "double", "double": "single"}[first]
    ring = [(i, (i + 1) % 6, first if i % 2 == 0 else other) for i in range(6)]
    return parts(["C"] * 8, [*ring, (0, 6, "single"), (1, 7, "single")])


def labeled(graph: nx.Graph, nodes, edges="thin") -> nx.Graph:
    nx.set_node_attributes(graph, dict(zip(graph, nodes)), "label")
    nx.set_edge_attributes(graph, edges, "label")
    return graph


# -- pairs ---------------------------------------------------------------------------------------------------------
def test_pairs_that_are_too_symmetric_to_compare_are_counted(monkeypatch):
    truth = molecules("C1CC1", "CCO", "C1CCC1")

    def compared(a, b):
        if any(len(nodes) == 3 for nodes in map(torch.nonzero, b.labels()[0])):
            raise TooSymmetricError("graph 0: ")
        return isomorphic(a, b)

    monkeypatch.setattr(judging, "isomorphic", compared)
    table = evaluate(truth, truth, edit_distance=False)
    assert table["exact"].tolist() == [False, False, True] and table["too_symmetric"].tolist() == [True, True, False]
    assert summarize(table)["too_symmetric"] == 2


def test_hand_made_pairs_of_molecules():
    truth = Graph.cat([molecules("CCO", "CCO", "CCO", "CCO", "C")])
    predicted = Graph.cat(
        [
            molecules("OCC"),  # the same
            molecules("CCN"),  # one label
            molecules("CC=O"),  # one bond
            parts(["C", "O", "C"], [(0, 1, "double"), (1, 2, "single")]),  # oxygen with three bonds
            molecules("CF"),  # one atom and its bond
        ]
    )
    table = evaluate(predicted, truth)
    assert table["exact"].tolist() == [True, False, False, False, False]
    assert table["valid"].tolist() == [True, True, True, False, True]
    assert table["predicted"].tolist() == ["CCO", "CCN", "CC=O", None, "CF"]
    assert table["truth"].tolist() == ["CCO"] * 4 + ["C"]
    assert table["edit_distance"].tolist() == [0, 1, 1, 2, 2]  # C=O-C to C-C-O: one bond goes, one comes
    assert table["edit_distance_unlabelled"].tolist() == [0, 1, 0, 2, 2]
    assert table["proven"].all()


def test_another_kekule_form_is_the_same_molecule():
    """Between the methyls of o-xylene stands a single or a double bond, and neither drawing is the truth."""
    single, double = xylene("single"), xylene("double")
    assert to_smiles(single) == to_smiles(double)
    truth = Graph.cat([single, double, molecules("Cc1ccccc1C")])
    predicted = Graph.cat([double, single, single])
    assert not judging.isomorphic(single, double).item()
    table = evaluate(predicted, truth)
    assert table["exact"].all() and (table["edit_distance"] == 0).all()


def test_graphs_that_are_no_molecules_have_no_validity():
    drawn = [
        labeled(nx.cycle_graph(4), "aabb"),
        labeled(nx.path_graph(4), "aabb"),
        labeled(nx.cycle_graph(4), "aabb", "thick"),
        labeled(nx.cycle_graph(4), "abab"),
    ]
    graphs = from_networkx(drawn)
    order = torch.tensor([2, 3, 0, 1])
    table = evaluate(graphs, graphs[[0, 0, 0, 0]].permuted(order))
    assert list(table.columns) == ["exact", "edit_distance_unlabelled", "edit_distance", "proven"]
    assert table["exact"].tolist() == [True, False, False, False]
    assert table["edit_distance"].tolist() == [0, 1, 4, 2]
    assert table["edit_distance_unlabelled"].tolist() == [0, 1, 0, 2]


def test_relaxed_predictions_are_rounded(vocabulary, vertices):
    soft = replace(vertices, nodes=0.7 * vertices.nodes + 0.3 / vocabulary.K)
    assert evaluate(soft, vertices, edit_distance=False)["exact"].all()


def test_one_pair_and_no_edit_distance():
    table = evaluate(molecules("C"), molecules("N"), edit_distance=False)
    assert len(table) == 1 and "edit_distance" not in table and "proven" not in table


def test_what_is_not_proven_is_counted():
    truth = molecules("CC1CC(O)C1N", "CCO")
    predicted = molecules("C1OC1C(F)CN", "CCO")
    cut, whole = evaluate(predicted, truth, timeout=0), evaluate(predicted, truth, timeout=60)
    assert cut["proven"].tolist() == [False, True] and whole["proven"].all()
    assert summarize(cut)["edit_distances_not_proven"] == 1
    assert summarize(whole)["edit_distances_not_proven"] == 0
    assert cut["edit_distance"][0] >= whole["edit_distance"][0]


def test_pairs_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="got 2 for 1 true graphs"):
        evaluate(molecules("C", "N"), molecules("C"))
    other = from_networkx([nx.path_graph(2)])
    with pytest.raises(ValueError, match=r"differ in node_labels: \['node'\] and \['C', 'F', 'N', 'O'\]"):
        evaluate(other, molecules("C"))
    with pytest.raises(ValueError, match="differ in node_labels"):
        evaluate(molecules("C"), other)


# -- summaries -----------------------------------------------------------------------------------------------------
def test_a_summary_by_hand():
    table = pd.DataFrame(
        {
            "exact": [True, False, False, False],
            "valid": [True, True, True, False],
            "edit_distance_unlabelled": [0.0, 0, 1, 2],
            "edit_distance": [0.0, 1, 2, 4],
            "proven": [True, True, False, True],
            "rank": [1, 2, 10, 20],
            "loss": [0.0, 0.1, 0.3, 0.4],
            "loss_of_truth": [0.2, 0.2, 0.2, 0.4],
        }
    )
    summary = summarize(table)
    assert summary == {
        "count": 4,
        "exact": 0.25,
        "valid": 0.75,
        "edit_distance_unlabelled": 0.75,
        "edit_distance": 1.75,
        "edit_distances_not_proven": 1,
        "hits@1": 0.25,
        "hits@10": 0.75,
        "mrr": pytest.approx((1 + 1 / 2 + 1 / 10 + 1 / 20) / 4),
        "loss": pytest.approx(0.2),
        "loss_of_truth": pytest.approx(0.25),
        "fits_better_than_truth": 0.25,  # only the second: the first is exact
    }
    assert all(type(value) in (int, float) for value in summary.values())


def test_ranks_become_hits_and_reciprocals():
    truth = molecules("C", "N", "O")
    summary = summarize(evaluate(truth, truth, ranks=torch.tensor([1, 4, 11])))
    assert summary["hits@1"] == pytest.approx(1 / 3) and summary["hits@10"] == pytest.approx(2 / 3)
    assert summary["mrr"] == pytest.approx((1 + 1 / 4 + 1 / 11) / 3)


# -- the judge -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def held_out() -> Graph:
    return datasets.load("molecules7").test.graphs[:40]


@pytest.fixture(scope="module")
def psi(held_out) -> GraphEmbedding:
    torch.manual_seed(0)
    return GraphEmbedding(held_out.vocabulary, EmbeddingConfig(hidden=32, rounds=3, dim=32)).eval()


@pytest.mark.parametrize("method", ["candidates", "candidates+polish"])
def test_truths_among_the_candidates_are_found(psi, held_out, method):
    target = psi.embed(held_out)
    judged = judge(psi, target, held_out, candidates=held_out, config=DecodeConfig(method), rank_among=held_out)
    assert judged.summary["exact"] == judged.summary["hits@1"] == judged.summary["mrr"] == 1.0
    assert judged.summary["valid"] == 1.0 and judged.summary["edit_distance"] == 0
    assert judged.summary["fits_better_than_truth"] == 0
    assert judged.summary["graphs_per_second"] == pytest.approx(40 / judged.summary["seconds"])
    assert judged.table["loss"].abs().max() < 1e-5 and judged.table["loss_of_truth"].abs().max() < 1e-5
    assert equal(judged.decoded.graphs, held_out)


def test_a_target_elsewhere_is_judged_wrong(psi, held_out):
    """Each target is psi of the next graph: what is decoded is that one, and the truth ranks behind it."""
    target = psi.embed(held_out).roll(-1, 0).requires_grad_()
    config = DecodeConfig("candidates")
    judged = judge(psi, target, held_out, candidates=held_out, config=config, rank_among=held_out)
    assert judged.summary["exact"] == 0 and judged.summary["hits@1"] == 0
    assert judged.summary["fits_better_than_truth"] == 1
    assert (judged.table["rank"] >= 2).all()
    assert judged.table["predicted"].tolist()[:-1] == judged.table["truth"].tolist()[1:]
    expected = (psi.embed(held_out) - target.detach()).square().sum(1)
    torch.testing.assert_close(torch.tensor(judged.table["loss_of_truth"]).float(), expected, atol=1e-5, rtol=0)


def test_equal_truths_rank_as_one(psi, held_out):
    truth = held_out[[0, 1, 0, 0]]
    target = psi.embed(truth)
    config = DecodeConfig("candidates")
    apart = judge(psi, target, truth, candidates=truth, config=config, rank_among=truth)
    assert apart.table["rank"].tolist() == [3, 1, 3, 3], "a tie counts against the truth"
    rows = torch.tensor([0, 1, 0, 0])
    merged = judge(psi, target, truth, candidates=truth, config=config, rank_among=truth[:2], truth_among=rows)
    assert merged.table["rank"].tolist() == [1, 1, 1, 1]


def test_graphs_that_coincide_with_the_truth_are_not_the_truth(held_out):
    """A psi that sees nothing puts all graphs at one point; only equal graphs count, in any order of their nodes."""

    def blind(graphs):
        return torch.nn.functional.one_hot(torch.zeros(len(graphs), dtype=torch.long), 4).float()

    truth, others = held_out[:10], held_out[10:]
    twins = augment.shuffled(Graph.cat([truth[:3], truth[2:4]]), torch.Generator().manual_seed(0))
    for known, number in ((others, 0), (Graph.cat([others, twins]), 4)):
        judged = judge(blind, blind(truth), truth, candidates=known, config=DecodeConfig("candidates"))
        assert judged.summary["truths_among_candidates"] == number


def test_a_judge_without_time_has_an_answer_for_each_and_says_what_is_missing(psi, held_out):
    truth, target = held_out[:8], psi.embed(held_out[8:16])
    config = DecodeConfig("gradient+polish", gradient=GradientConfig(iterations=100, starts=1))
    hasty = judge(psi, target, truth, config=config, budget=1e-6, timeout=0)
    assert hasty.summary["unfinished"] == len(hasty.table) == 8 and "interrupted" not in hasty.summary
    assert hasty.summary["edit_distances_not_proven"] == (~hasty.table["proven"]).sum() > 0
    exact = evaluate(hasty.decoded.graphs, truth)
    assert (hasty.table["edit_distance"] >= exact["edit_distance"]).all()
    assert (hasty.table["edit_distance_at_least"] <= exact["edit_distance"]).all()
    assert "edit_distance_at_least" not in exact and exact["proven"].all()


def test_ctrl_c_in_a_judge_gives_what_is_there(psi, held_out):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    calls = itertools.count()

    def interrupted(graphs):
        if next(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        return psi(graphs)

    config = DecodeConfig("gradient", gradient=GradientConfig(iterations=1_000, starts=1, tolerance=-1))
    target, start = psi.embed(held_out[:3]), uniform(held_out.vocabulary)
    judged = judge(interrupted, target, held_out[:3], start=start, config=config)
    assert judged.summary["interrupted"] and judged.summary["unfinished"] == 3 and next(calls) < 20
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


@pytest.mark.parametrize("method", ["candidates+polish", "gradient+polish"])
def test_many_targets_are_decoded_in_pieces(psi, held_out, monkeypatch, method):
    target = psi.embed(held_out[:7])
    config = DecodeConfig(
        method, gradient=GradientConfig(iterations=4, starts=1), local_search=LocalSearchConfig(rounds=1)
    )
    candidates = Candidates.of(psi, held_out) if method.startswith("candidates") else None
    start = held_out[list(range(6, -1, -1))]  # one for each target: the pieces must take their own
    monkeypatch.setattr(judging, "BATCH_SIZE", 3)
    pieces = decode_many(psi, target, candidates=candidates, start=start, config=config)
    monkeypatch.setattr(judging, "BATCH_SIZE", 1)
    single = decode_many(psi, target, candidates=candidates, start=start, config=config)
    assert len(pieces.graphs) == len(single.graphs) == 7
    assert equal(pieces.graphs, single.graphs)
    torch.testing.assert_close(pieces.loss, single.loss, atol=1e-5, rtol=0)


def test_the_judge_refuses_before_it_decodes(psi, held_out, monkeypatch):
    monkeypatch.setattr(judging, "decode", None)
    target = psi.embed(held_out[:3])
    with pytest.raises(ValueError, match="got 3 and 2"):
        judge(psi, target, held_out[:2])
    with pytest.raises(ValueError, match="got 0 and 0"):
        judge(psi, target[:0], held_out[:0])


def test_what_has_other_capacities_is_still_compared():
    bare = GraphVocabulary(MOLECULES.node_labels, MOLECULES.edge_labels, MOLECULES.max_nodes)
    truth = molecules("CCO")
    assert evaluate(Graph(truth.nodes, truth.edges, bare), truth)["exact"].all()
