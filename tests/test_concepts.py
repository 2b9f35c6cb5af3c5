"""What psi encodes: planted properties are found and no others; scores against loops; all kinds of columns."""

import importlib
import re

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_vertices
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score
from torch.nn.functional import normalize, one_hot

import elekit as ele
from elekit import draw
from elekit.audit import probes, properties
from elekit.audit.concepts import Baseline, Mark, concepts, mark, untrained
from elekit.draw.charts import BARS
from elekit.evaluation.formatting import percent
from elekit.graphs import augment
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.features import cycle_rank
from elekit.graphs.graph import Graph, GraphVocabulary, to_networkx
from elekit.graphs.smiles import is_molecular
from elekit.graphs.weisfeiler_lehman import graph_hashes
from elekit.inspect.search import GROUPS, Search
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding

WORDS = GraphVocabulary(("red", "green", "blue"), ("thin", "thick"), 7)


SMALL = EmbeddingConfig(hidden=16, rounds=2, dim=24)


@pytest.fixture(autouse=True)
def small_by_default(monkeypatch):
    monkeypatch.setattr(importlib.import_module("elekit.audit.concepts"), "EmbeddingConfig", lambda: SMALL)


@pytest.fixture(scope="module")
def graphs() -> Graph:
    return random_vertices(WORDS, 260, torch.Generator().manual_seed(0))


def chance(graphs: Graph, seed: int) -> np.ndarray:
    """(B,) numbers in [0, 1) that mean nothing, one for each different graph."""
    names = graph_hashes(graphs, 8)[:, -1].numpy()
    return np.array([np.random.default_rng([abs(int(name)), seed]).random() for name in names])


def noise(graphs: Graph, width: int = 12) -> torch.Tensor:
    return torch.tensor(np.stack([chance(graphs, 100 + k) for k in range(width)], 1) - 0.5).float()


def planted(*values, scale: float = 0.2):
    """psi with a coordinate for each of some functions of graphs, values about [-2, 2], noise, and the rest."""

    def psi(graphs: Graph) -> torch.Tensor:
        told = torch.stack([torch.as_tensor(value(graphs)).float() for value in values], 1)
        point = torch.cat([scale * told, 0.2 * noise(graphs)], 1)
        return torch.cat([point, (1 - point.square().sum(1, keepdim=True)).sqrt()], 1)

    return psi


def by_size(graphs: Graph) -> torch.Tensor:
    """Every function of the number of nodes, and nothing else."""
    return one_hot(graphs.presence().sum(1).round().long(), 8).float()


def by_name(found) -> pd.DataFrame:
    return found.table.set_index("property")


# -- what is encoded -----------------------------------------------------------------------------------------------
def test_the_one_property_that_is_planted_is_named_and_no_other(graphs):
    given = {"secret": chance(graphs, 1), "above half": chance(graphs, 1) > 0.5, "other": chance(graphs, 2)}
    found = by_name(concepts(planted(lambda g: chance(g, 1) - 0.5), graphs, given))
    assert set(found.index[found["mark"] == Mark.ENCODED]) == {"secret", "above half"}
    secret = found.loc["secret"]
    assert secret["score"] > 0.99 and secret["beyond"] > 0.95 and 0.98 < secret["low"] <= secret["high"] <= 1
    assert abs(secret["counts"]) < 0.1 and secret["selectivity"] == pytest.approx(secret["score"] - secret["control"])
    assert found.loc["above half", "score"] > 0.9 and found.loc["above half", "kind"] == "yes or no"
    rest = found.drop(index=["secret", "above half"])
    assert (rest["mark"] == Mark.NOT_ENCODED).all() and (rest["score"] < 0.25).all() and len(rest) >= 12
    assert (rest["untrained"] > 0.4).sum() >= 8  # they can be told, only not from this psi


def test_a_psi_of_size_alone_encodes_the_rest_through_size(graphs):
    found = by_name(concepts(by_size, graphs))
    assert list(found.index[found["mark"] == Mark.ENCODED]) == ["nodes"]
    for name in ("rings", "edges", "diameter"):
        told = found.loc[name]
        assert told["mark"] == Mark.BY_COUNTS and told["score"] > 0.25
        assert told["size"] == pytest.approx(told["score"], abs=0.03) and told["beyond"] < 0.03
    red = found.loc["nodes: red"]
    assert red["mark"] == Mark.BY_COUNTS and np.isnan(red["counts"]) and not np.isnan(red["size"])
    assert found.loc["nodes", ["size", "counts", "beyond"]].isna().all()


def test_rings_beside_size_are_encoded_beyond_it(graphs):
    psi = planted(lambda g: (g.presence().sum(1) - 4) / 2, lambda g: cycle_rank(g).clamp_max(8) / 4)
    told = by_name(concepts(psi, graphs)).loc["rings"]
    assert told["mark"] == Mark.ENCODED and told["beyond"] > 0.8 and told["size"] > 0.3


def test_labels_that_mean_nothing_have_no_score(graphs):
    """Of 16, about one has an interval above 0; none gets a mark, none is told where it is dealt out to graphs."""
    given = {f"number {k}": chance(graphs, k) for k in range(8)}
    given |= {f"kind {k}": np.array(["x", "y", "z"])[(3 * chance(graphs, 20 + k)).astype(int)] for k in range(8)}
    psi = GraphEmbedding(WORDS, SMALL).requires_grad_(False)
    found = by_name(concepts(psi, graphs, given)).loc[list(given)]
    assert (found["mark"] == Mark.NOT_ENCODED).all() and (found["low"] > 0).sum() <= 2 and found["score"].max() < 0.2
    assert found["shuffled"].abs().mean() < 0.06 and found["high"].median() > 0


def test_values_given_to_label_counts_are_no_more_than_label_counts(graphs):
    """A psi that knows label counts by heart tells nonsense keyed to them; the control reaches as much."""

    def counts(graphs):
        return graphs.nodes[..., 1:].sum(1)

    def psi(graphs):
        names = graph_hashes(graphs, 0)[:, 0]
        rows = [np.random.default_rng(abs(int(name))).normal(size=96) for name in names]
        return normalize(torch.tensor(np.stack(rows)))

    some = graphs[counts(graphs).sum(1) <= 4]  # 34 different counts
    nonsense = {"nonsense": [np.random.default_rng([abs(int(n)), 7]).random() for n in graph_hashes(some, 0)[:, 0]]}
    told = by_name(concepts(psi, some, nonsense)).loc["nonsense"]
    assert told["score"] > 0.6 and told["counts"] > 0.6 and told["control"] > 0.5 and told["shuffled"] < 0.2, told
    assert told["mark"] == Mark.BY_COUNTS


def test_copies_of_a_graph_are_one_graph(graphs):
    """Four copies, nodes in other orders: a psi that knows graphs by heart must not tell values that mean nothing."""

    def by_heart(graphs):
        return normalize(noise(graphs, 40))

    few = graphs[properties.distinct_rows(graphs[:120], np.random.default_rng(0))[0]]
    generator = torch.Generator().manual_seed(1)
    copies = Graph.cat([few, *(augment.shuffled(few, generator) for _ in range(3))])
    given = {"secret": chance(copies, 1), "kind": chance(copies, 2) > 0.5}
    found = concepts(by_heart, copies, given)
    told = by_name(found).loc[list(given)]
    rows, which = properties.distinct_rows(copies, np.random.default_rng(0))
    assert (
        (told["mark"] == Mark.NOT_ENCODED).all()
        and (told["graphs"] == which.max() + 1).all()
        and which.max() + 1 <= 120
    )
    assert len(rows) == len(copies) and (np.bincount(which) >= 4).all()
    for same in (rows[which == k] for k in range(10)):
        assert isomorphic(copies[same[:1].repeat(len(same))], copies[same]).all()
    assert len(found.rows) == which.max() + 1 == len(set(graph_hashes(copies[found.rows], 8)[:, -1].tolist()))


def test_copies_are_averaged_and_settled_by_majority(graphs):
    which = np.repeat(np.arange(60), 3)
    numbers = properties.parse_column("x", pd.Series(np.arange(180.0)).where(np.arange(180) % 3 > 0), which)
    assert numbers.target.values == pytest.approx(np.arange(60) * 3 + 1.5)
    texts = np.where(np.arange(180) // 3 % 2, "a", "b").astype(object)
    texts[::3] = "a"
    kinds = properties.parse_column("y", pd.Series(texts), which)
    assert kinds.target.values.tolist() == [1, 0] * 30 and kinds.kind == "yes or no"


# -- what nothing hangs on -----------------------------------------------------------------------------------------
def same(one, other, tolerance=1e-3):
    one, other = by_name(one), by_name(other)
    assert (one["mark"] == other.loc[one.index, "mark"]).all()
    figures = one.drop(columns=["kind", "graphs", "mark", "description"])
    pd.testing.assert_frame_equal(figures, other.loc[one.index, figures.columns], atol=tolerance, rtol=0)


@pytest.fixture(scope="module")
def small() -> GraphEmbedding:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return GraphEmbedding(WORDS, EmbeddingConfig(hidden=16, rounds=2, dim=16)).requires_grad_(False)


def test_nothing_hangs_on_the_order_of_rows_or_how_the_sphere_is_turned(graphs, small):
    graphs = graphs[:140]
    given = pd.DataFrame({"x": chance(graphs, 1), "y": chance(graphs, 2) > 0.4}, index=range(5, 145))
    before, kept, state = graphs.digest(), given.copy(), torch.get_rng_state()
    found = concepts(small, graphs, given, seed=3)
    order = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(0))
    same(found, concepts(small, graphs[order], given.iloc[order.numpy()], seed=3))
    assert graphs.digest() == before and given.equals(kept) and torch.equal(state, torch.get_rng_state())
    turn = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)))[0]
    turned = concepts(lambda g: small(g) @ turn, graphs, given, seed=3)
    same(concepts(lambda g: small(g), graphs, given, seed=3), turned, tolerance=0.03)


def test_the_same_seed_gives_the_same_table_and_others_nearly(graphs, small, capsys):
    one, again, other = (concepts(small, graphs[:150], seed=seed, progress=seed == 4).table for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(other) and "concepts" in capsys.readouterr().err
    both = one.set_index("property")["score"] - other.set_index("property")["score"]
    assert both.abs().median() < 0.1


def test_random_weights_have_the_shape_of_psi(graphs, small):
    made = untrained(small, graphs, 0)
    assert made.config == small.config and untrained(lambda g: small(g), graphs, 0).config == SMALL
    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), untrained(small, graphs, 0).parameters()))
    found = by_name(concepts(made, graphs[:150]))
    told = found[found["score"].notna()]
    assert np.allclose(told["score"], told["untrained"]) and (told["mark"] == Mark.ENCODED).any()
    encoded = told[told["mark"] != Mark.NOT_ENCODED]
    assert all(percent(row.untrained) in row.description for row in encoded.itertuples())


# -- scores --------------------------------------------------------------------------------------------------------
def test_scores_are_those_of_sklearn_and_of_a_loop():
    generator = np.random.default_rng(0)
    folds, y = generator.permutation(60) % 5, generator.normal(size=60)
    told, classes = y + 0.5 * generator.normal(size=60), generator.integers(3, size=60)
    guessed = np.where(generator.random(60) < 0.6, classes, generator.integers(3, size=60))
    weight = np.concatenate([np.ones((1, 60)), generator.multinomial(60, np.full(60, 1 / 60), size=3)])
    means = [y[folds != fold].mean() for fold in folds]
    for row, drawn in enumerate(weight):
        rows = np.repeat(np.arange(60), drawn.astype(int))
        r2 = 1 - np.square(y - told)[rows].sum() / np.square(y - means)[rows].sum()
        assert probes.r2_scores(y, told, folds, weight)[row] == pytest.approx(r2)
        apart = balanced_accuracy_score(classes[rows], guessed[rows], adjusted=True)
        assert probes.accuracy_scores(classes, guessed, 3, weight)[row] == pytest.approx(apart)
    assert probes.r2_scores(y, np.array(means), folds, weight) == pytest.approx(np.zeros(4))
    assert probes.accuracy_scores(classes, np.full(60, 2), 3, weight) == pytest.approx(np.zeros(4))
    assert np.isnan(probes.accuracy_scores(classes, guessed, 4, weight)).all()  # a class that is not there


def test_what_is_told_of_a_fold_hangs_on_the_others_alone():
    """Other values in a fold change what is told of all graphs but its own."""
    generator = np.random.default_rng(0)
    features, folds = generator.normal(size=(90, 6)), np.arange(90) % 5
    y = features @ generator.normal(size=6) + 0.3 * generator.normal(size=90)
    targets = [probes.Target(y), probes.Target((y > 0).astype(int), 2), probes.Target(np.digitize(y, [-1, 1]), 3)]
    own = folds == 2
    other = [probes.Target(np.where(own, t.values[::-1], t.values), t.classes) for t in targets]
    for one, two in zip(
        probes.cross_val_predict(features, targets, folds), probes.cross_val_predict(features, other, folds)
    ):
        assert np.array_equal(one[own], two[own]) and not np.array_equal(one[~own], two[~own])
    for one, two, changed in zip(
        probes.residual_errors(targets, folds, features[:, :2], features),
        probes.residual_errors(other, folds, features[:, :2], features),
        zip(targets, other),
    ):
        alike = own & (changed[0].values == changed[1].values)
        assert alike.sum() >= 1 or not changed[0].classes
        assert one[alike] == pytest.approx(two[alike])


def test_probes_find_what_is_linear_and_stay_within_what_they_saw():
    generator = np.random.default_rng(0)
    features, folds = generator.normal(size=(200, 5)), np.arange(200) % 5
    features[0] *= 1_000  # one graph far off
    y = features[:, 0] / np.linalg.norm(features[:, :1], axis=1) + 0.01 * generator.normal(size=200)
    (told,) = probes.cross_val_predict(features, [probes.Target(y)], folds)
    assert y.min() <= told.min() and told.max() <= y.max()
    features, weak = generator.normal(size=(200, 5)), generator.normal(size=200)
    y = features @ [1, 2, 0, 0, 0.5] + weak
    (told,) = probes.cross_val_predict(features, [probes.Target(y)], folds)
    for fold in range(5):
        slow = Ridge(alpha=0.1).fit(features[folds != fold], y[folds != fold]).predict(features[folds == fold])
        assert told[folds == fold] == pytest.approx(slow, abs=0.2)


def test_what_is_left_by_counts_is_the_share_that_psi_removes():
    """y = counts + 2 * psi + noise of variance 1: counts leave 4 + 1, of which psi removes 4/5."""
    generator = np.random.default_rng(0)
    given, features = generator.normal(size=(4_000, 2)), generator.normal(size=(4_000, 3))
    y = given @ [3, -1] + 2 * features[:, 0] + generator.normal(size=4_000)
    (error,) = probes.residual_errors([probes.Target(y)], np.arange(4_000) % 5, given, np.c_[features, given])
    assert error.mean(0) == pytest.approx([5, 1], abs=0.25)
    assert probes.error_reduction(error, np.ones((1, 4_000)))[0] == pytest.approx(0.8, abs=0.02)


def test_bumps_tell_any_function_of_counts(graphs):
    counts = graphs.nodes[..., 1:].sum(1).double().numpy()
    values = np.sin(counts[:, 0]) + counts[:, 1] * counts[:, 2] / 4
    (told,) = probes.cross_val_predict(probes.rbf_features(counts), [probes.Target(values)], np.arange(260) % 5)
    assert np.square(values - told).mean() < 0.05 * values.var()


def test_what_goes_with_a_property_is_its_share_of_the_mean_loss():
    """Against a loop over pairs: two places and points about them."""
    generator = np.random.default_rng(0)
    kind = np.arange(80) % 2
    points = generator.normal(size=(80, 3)) + 3 * kind[:, None]
    pairs = [(i, j) for i in range(80) for j in range(i)]
    loss = np.array([np.square(points[i] - points[j]).sum() for i, j in pairs])
    within = np.array([kind[i] == kind[j] for i, j in pairs])
    apart = 1 - loss[within].mean() / loss.mean()
    assert probes.loss_share(points, kind[:, None].astype(float)) == pytest.approx(apart, abs=0.02)
    assert probes.loss_share(points, generator.normal(size=(80, 1))) < 0.05
    assert np.isnan(probes.loss_share(np.ones((80, 3)), kind[:, None].astype(float)))


def test_a_deal_gives_all_graphs_of_a_kind_one_value():
    kinds, values = np.arange(300) % 30, np.random.default_rng(0).normal(size=300)
    dealt = probes.control_target(probes.Target(values), kinds, np.random.default_rng(0))
    assert all(len(set(dealt.values[kinds == k])) == 1 for k in range(30)) and set(dealt.values) <= set(values)
    assert probes.control_target(probes.Target(values), np.zeros(300, dtype=int), np.random.default_rng(0)) is None
    assert (
        probes.control_target(probes.Target(10.0 - kinds), kinds, np.random.default_rng(0)) is None
    )  # other names of kinds
    shuffled = probes.control_target(probes.Target(values), np.arange(300), np.random.default_rng(0))
    assert sorted(shuffled.values) == sorted(values) and (shuffled.values != values).mean() > 0.9


@pytest.mark.parametrize(
    "changes, against, expected",
    [
        ({}, "counts", Mark.ENCODED),
        ({"low": 0.2, "control": 0.8}, "counts", Mark.ENCODED),  # what counts leave cannot come from counts
        ({"low": 0.2, "control": 0.8}, "size", Mark.WEAK),
        ({"beyond": 0.05}, "counts", Mark.WEAK),  # counts alone tell nothing, either
        ({"beyond": 0.05, "counts": 0.6}, "counts", Mark.BY_COUNTS),
        ({"beyond_low": -0.1, "size": 0.6}, "size", Mark.BY_COUNTS),
        ({"beyond": np.nan, "beyond_low": np.nan}, "counts", Mark.BY_COUNTS),
        ({"beyond": np.nan, "beyond_low": np.nan}, "", Mark.ENCODED),
        ({"score": 0.3}, "counts", Mark.WEAK),
        ({"score": 0.09}, "counts", Mark.NOT_ENCODED),
        ({"low": -0.01}, "counts", Mark.NOT_ENCODED),
        ({"low": 0.05, "shuffled": 0.06}, "counts", Mark.NOT_ENCODED),
        ({"control": np.nan, "shuffled": np.nan}, "size", Mark.ENCODED),
    ],
)
def test_marks_follow_from_figures(changes, against, expected):
    told = {"score": 0.9, "low": 0.85, "control": 0.3, "shuffled": 0.0, "size": 0.1, "counts": 0.1, "beyond": 0.8}
    assert mark(told | {"beyond_low": 0.7} | changes, Baseline(against)) is expected


# -- properties ----------------------------------------------------------------------------------------------------
def test_what_is_counted_is_what_networkx_counts(graphs):
    table = properties.graph_properties(graphs)
    for row, drawn in enumerate(to_networkx(graphs[:80])):
        parts = [drawn.subgraph(part) for part in nx.connected_components(drawn)]
        bridges = {frozenset(edge) for edge in nx.bridges(drawn)}
        on_rings = {n for edge in drawn.edges if frozenset(edge) not in bridges for n in edge}
        degrees = [degree for _, degree in drawn.degree]
        expected = {
            "nodes": len(drawn),
            "edges": len(drawn.edges),
            "rings": len(drawn.edges) - len(drawn) + len(parts),
            "parts": len(parts),
            "diameter": max(nx.diameter(part) for part in parts),
            "largest degree": max(degrees),
            "leaves": degrees.count(1),
            "nodes on rings": len(on_rings),
            **{f"nodes: {w}": sum(label == w for _, label in drawn.nodes(data="label")) for w in WORDS.node_labels},
            **{f"edges: {w}": sum(label == w for *_, label in drawn.edges(data="label")) for w in WORDS.edge_labels},
        }
        assert table.loc[row].to_dict() == expected


def test_molecules_have_functional_groups_and_what_is_no_molecule_has_none():
    graphs = ele.datasets.load("molecules7").test.graphs[:50]
    oxygen = graphs.vocabulary.node_labels.index("O") + 1
    nodes, edges = torch.zeros(1, 7, dtype=torch.long), torch.zeros(1, 7, 7, dtype=torch.long)
    nodes[0, :2], edges[0, 0, 1], edges[0, 1, 0] = oxygen, 3, 3  # no oxygen has three
    table = properties.graph_properties(Graph.cat([graphs, Graph.from_labels(nodes, edges, graphs.vocabulary)]))
    search = Search(pd.DataFrame(index=range(50)), graphs)
    for name, smarts in GROUPS.items():
        assert table[f"group: {name}"][:50].tolist() == search.having(smarts).tolist()
        assert table[f"group: {name}"].isna().to_numpy().nonzero()[0].tolist() == [50]


def test_graphs_without_labels_are_probed_too():
    vocabulary = GraphVocabulary(("node",), ("edge",), 7)
    graphs = random_vertices(vocabulary, 400, torch.Generator().manual_seed(0))
    found = by_name(concepts(by_size, graphs))
    assert not any(":" in name for name in found.index) and not is_molecular(vocabulary)
    assert found.loc["nodes", "mark"] == Mark.ENCODED and found.loc["edges", "mark"] == Mark.BY_COUNTS
    assert found.loc["edges", "counts"] == pytest.approx(found.loc["edges", "size"], abs=0.02)


def test_columns_of_all_kinds_are_told_or_said(graphs):
    n, secret = len(graphs), chance(graphs, 1)
    kinds = np.array(["low", "middle", "high"])[np.digitize(secret, [0.3, 0.7])].astype(object)
    kinds[:4], kinds[4:10] = "rare", None
    gaps = secret.copy()
    gaps[:30], gaps[30:33] = np.nan, np.inf
    given = pd.DataFrame(
        {
            "gaps": gaps,
            "kinds": kinds,
            "category": pd.Categorical.from_codes(np.digitize(secret, [0.3, 0.7]), [3, 1, 2]),
            "one or five": np.where(secret > 0.5, 5, 1),
            "maybe": pd.Series([None if k < 9 else bool(s > 0.5) for k, s in enumerate(secret)], dtype=object),
            "constant": 7,
            "same text": "x",
            "nothing": None,
            "few": np.where(np.arange(n) < 40, secret, np.nan),
            "nearly constant": np.where(np.arange(n) < 5, secret, 0.0),
            "names": [f"graph {k}" for k in range(n)],
            "nearly one": np.where(np.arange(n) < 4, "b", "a"),
            "<b>$x$": secret,
            7: secret,
            "nodes": secret,  # takes the place of what is counted
        }
    )
    found = by_name(concepts(planted(lambda g: 3 * (chance(g, 1) - 0.5)), graphs, given))
    told = found.loc[["gaps", "kinds", "category", "one or five", "maybe", "<b>$x$", "7", "nodes"]]
    assert (told["mark"] == Mark.ENCODED).all(), told
    assert told["kind"].tolist() == ["number", "classes", "classes", "yes or no", "yes or no", *3 * ["number"]]
    assert found.loc["gaps", "graphs"] <= found.loc["constant", "graphs"] - 15
    assert re.search(r"\b1 rarer\b", found.loc["kinds", "description"])
    reasons = {  # the value or number that the reason names
        "constant": "7", "same text": "x", "nothing": "0", "few": "50", "nearly constant": "0", "names": "10",
        "nearly one": "a",
    }  # fmt: skip
    for name, value in reasons.items():
        description = found.loc[name, "description"].removeprefix(f'"{name}"')
        assert found.loc[name, "mark"] == Mark.NOT_MEASURED and re.search(rf"\b{value}\b", description), description
        assert np.isnan(found.loc[name, "score"])
    assert found["score"].dropna().is_monotonic_decreasing and found["score"].isna()[-len(reasons) :].all()


def test_too_few_graphs_and_rows_are_refused(graphs, small):
    copies = graphs[:20].nodes.repeat(4, 1, 1), graphs[:20].edges.repeat(4, 1, 1, 1)
    with pytest.raises(ValueError, match="at least 50 different graphs, got (1?[0-9]|20) .*of 80"):
        concepts(small, Graph(*copies, WORDS))
    with pytest.raises(ValueError, match="at least 50 different graphs, got 0"):
        concepts(small, graphs[:0])
    with pytest.raises(ValueError, match="3 rows for 260 graphs"):
        concepts(small, graphs, {"x": [1, 2, 3]})
    with pytest.raises(ValueError, match="NaN"):
        concepts(lambda g: torch.full((len(g), 4), torch.nan), graphs)


def test_a_constant_psi_encodes_nothing(graphs):
    found = by_name(concepts(lambda g: torch.eye(3)[:1].expand(len(g), -1), graphs))
    assert set(found["mark"]) <= {Mark.NOT_ENCODED, Mark.NOT_MEASURED} and found["score"].dropna().abs().max() < 1e-6


def test_of_many_graphs_a_sample_is_asked(monkeypatch, graphs, small):
    monkeypatch.setattr(properties, "MAX_GRAPHS", 80)
    found = concepts(small, graphs)
    assert len(found.rows) == len(set(found.rows)) == 80 and found.table["graphs"].max() == 80


# -- drawn ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def table() -> pd.DataFrame:
    rows = [
        ("rings", 0.97, 0.9, 1.02, 0.3, 0.1, 0.2, Mark.ENCODED),
        ("nodes", 0.8, 0.7, 0.9, 0.3, np.nan, np.nan, Mark.WEAK),
        ("nodes: $C$", 0.7, 0.6, 0.8, 0.3, 0.6, np.nan, Mark.BY_COUNTS),
        ("<b>x", -0.2, -0.3, 0.1, np.nan, 0.0, 0.1, Mark.NOT_ENCODED),
        ("gone", *[np.nan] * 6, Mark.NOT_MEASURED),
    ]
    return pd.DataFrame(rows, columns=["property", "score", "low", "high", "control", "size", "counts", "mark"])


def test_bars_are_as_long_as_the_figures(table):
    figure = draw.concepts(table)
    assert figure._repr_png_().startswith(b"\x89PNG")
    (ax,) = figure.axes
    bars = {name: [bar.get_width() for bar in ax.patches if bar.get_gid() == name] for name in ("score", "counts")}
    bars["control"] = [bar.get_width() for bar in ax.patches if bar.get_gid() == "control"]
    assert bars["score"] == pytest.approx([0.97, 0.8, 0.7, 0])
    assert bars["counts"] == pytest.approx([0.2, np.nan, 0.6, 0.1], nan_ok=True)
    assert bars["control"] == pytest.approx([0.3, 0.3, 0.3, np.nan], nan_ok=True)
    ends = [segment[:, 0] for segment in ax.collections[0].get_segments()]
    assert np.array(ends[:3]) == pytest.approx(np.array([[0.9, 1], [0.7, 0.9], [0.6, 0.8]]))
    texts = {text.get_gid(): text.get_text() for text in ax.texts}
    assert texts["mark-0"] == "0.97  ● encoded" and texts["mark-3"] == "-0.20  × not encoded"
    assert Mark.BY_COUNTS in texts["mark-2"] and "gone" in texts["not measured"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rings", "nodes", "nodes: $C$", "<b>x"]
    drawn = [*ax.texts, *ax.get_yticklabels()]
    assert not any(text.get_parse_math() for text in drawn) and min(t.get_fontsize() for t in drawn) >= 11


def test_bars_differ_without_color(table):
    hatches = {(bar.get_hatch(), round(bar.get_height(), 2)) for bar in draw.concepts(table).axes[0].patches}
    assert len(hatches) == len(BARS) == len({height for _, height in hatches})


def test_nothing_to_draw_is_refused(table):
    with pytest.raises(ValueError, match="lacks columns .*'counts'"):
        draw.concepts(table.drop(columns="counts"))
    with pytest.raises(ValueError, match="none of the 1 properties"):
        draw.concepts(table[-1:])
    assert len(draw.concepts(table[:1]).axes[0].patches) == 3
