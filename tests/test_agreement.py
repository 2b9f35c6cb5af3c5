"""Agreement with known distances: losses whose order is known, a planted pair, scipy, and what is drawn of it."""

import math
import re

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import equal, random_vertices
from scipy.stats import kendalltau, spearmanr
from test_draw import HOSTILE, rendered

import elekit as ele
from elekit import draw
from elekit.audit.agreement import KINDS, Agreement, _bootstrap, _merge_close, agreement, rank_correlation
from elekit.draw.base import BLUE, VERMILION
from elekit.graphs.distances import distances_for, edit, weisfeiler_lehman
from elekit.graphs.edit_distance import edit_distance, isomorphic
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.weisfeiler_lehman import ROUNDS, graph_hashes, splitmix64
from elekit.inspect.neighbors import distinct
from elekit.model.loss import LearnedLoss

RANDOM, NEAREST, WALKS = KINDS


@pytest.fixture(scope="module")
def graphs(vocabulary):
    """More than 100 graphs of 1 to 5 nodes, no two of them equal."""
    sampled = random_vertices(vocabulary, 900, torch.Generator().manual_seed(0), density=0.6)
    sampled = sampled[sampled.valence_violation() == 0]
    return sampled[distinct(sampled)]


def name(graph: Graph) -> torch.Tensor:
    """(B,) a number that isomorphic graphs share."""
    return graph_hashes(graph, ROUNDS)[:, -1]


def weight(graph: Graph) -> torch.Tensor:
    """(B,) a number for each graph: its labels, its edges, and a little that is its own."""
    own = (splitmix64(name(graph)) % 128) / 128  # so coarse that float32 tells equal from different
    nodes, edges = graph.nodes[..., 1:].double(), graph.edges[..., 1:].double()
    return nodes.sum(1) @ torch.tensor([3.0, 2.0, 1.0]).double() + edges.sum((1, 2, 3)) / 8 + own


def gap(a: Graph, b: Graph) -> torch.Tensor:
    return (weight(a) - weight(b)).abs()


def on_circle(angle: torch.Tensor) -> torch.Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


def by_weight(graph: Graph) -> torch.Tensor:
    """A psi whose loss, 2 - 2 cos(difference / 10), rises with `gap`."""
    return on_circle(weight(graph) / 10)


def by_chance(graph: Graph) -> torch.Tensor:
    """A psi that puts each graph, whatever its node order, where its number happens to fall on a sphere."""
    bits = splitmix64(name(graph)[:, None] + torch.arange(16)).double() / 2**63
    return torch.nn.functional.normalize(bits, dim=1)


# -- the pairs -----------------------------------------------------------------------------------------------------
def test_each_pair_is_what_its_kind_says_and_has_its_loss(graphs):
    found = agreement(by_chance, graphs, distances={"gap": gap}, pairs=60)
    table, loss = found.table, LearnedLoss(by_chance)
    assert list(table) == ["kind", "graph", "other", "steps", "loss", "gap"] and found.distances == ("gap",)
    assert table["kind"].value_counts().to_dict() == dict.fromkeys(KINDS, 60)
    assert equal(found.graphs, graphs[table["graph"].tolist()])
    assert table["loss"].to_numpy() == pytest.approx(loss(found.graphs, found.others).numpy(), abs=1e-9)
    assert not isomorphic(found.graphs, found.others).any() and (found.others.valence_violation() == 0).all()
    two = table.index[table["other"] >= 0].tolist()
    assert equal(found.others[two], graphs[table["other"][two].tolist()])
    random, near, walks = (table[table["kind"] == kind] for kind in KINDS)
    assert len({*random["graph"], *random["other"]}) == 120  # each graph once
    reach = loss.matrix(graphs, graphs).fill_diagonal_(9).min(1).values.numpy()
    assert near["loss"].to_numpy() == pytest.approx(np.maximum(reach[near["graph"]], reach[near["other"]]), abs=1e-9)
    assert not near.duplicated(["graph", "other"]).any()
    assert (walks["other"] == -1).all() and set(walks["steps"]) == set(range(1, 7)) and (random["steps"] == 0).all()
    some = walks.index[:20].tolist()
    assert (edit_distance(found.graphs[some], found.others[some]).distance.numpy() <= 2 * 6).all()


def test_distances_of_the_table_are_those_asked_pair_by_pair(graphs):
    found = agreement(by_chance, graphs, distances={"mine": gap, "edits": edit}, pairs=40)
    assert found.table["mine"].to_numpy() == pytest.approx(gap(found.graphs, found.others).numpy())
    assert found.table["edits"].tolist() == edit(found.graphs, found.others).tolist()


def test_the_seed_makes_the_pairs_and_inputs_stay(graphs):
    before, state = (graphs.nodes.clone(), graphs.edges.clone()), torch.random.get_rng_state()
    one, again, other = (agreement(by_chance, graphs, distances={"gap": gap}, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one.table, again.table)
    pd.testing.assert_frame_equal(one.summary(), again.summary())
    assert equal(one.others, again.others) and not one.table["graph"].equals(other.table["graph"])
    assert torch.equal(state, torch.random.get_rng_state()) and equal(graphs, Graph(*before, graphs.vocabulary))


def test_few_graphs_give_few_pairs(graphs):
    assert (agreement(by_weight, graphs[:120], distances={"gap": gap}).table["kind"] == RANDOM).sum() == 60
    few = agreement(by_weight, graphs[:20], distances={"gap": gap}).table  # each graph in many pairs
    assert (few["kind"] == RANDOM).sum() == len(few[few["kind"] == RANDOM].drop_duplicates(["graph", "other"])) == 190
    found = agreement(by_weight, graphs[:2], pairs=25)
    assert found.distances == tuple(distances_for(graphs.vocabulary))
    counts = found.table["kind"].value_counts()
    assert counts[RANDOM] == counts[NEAREST] == 1 and counts[WALKS] > 10
    table = found.summary()
    assert table["low"].isna().all() and table.loc[table["kind"] != WALKS, "spearman"].isna().all()
    assert (table.loc[table["kind"] == WALKS, "spearman"].abs() <= 1).all()
    for name in found.distances:
        found.disagreements(name)
    lone = GraphVocabulary(("a", "b"), ("edge",), 1)  # one slot: relabeling is all there is
    single = Graph.from_labels(torch.tensor([[1], [2], [2]]), torch.zeros(3, 1, 1), lone)
    assert agreement(by_chance, single, pairs=9).table["edit distance"].unique().tolist() == [1]


# -- rank correlation ----------------------------------------------------------------------------------------------
def test_a_loss_that_rises_with_a_distance_agrees_wholly(graphs):
    found = agreement(by_weight, graphs, distances={"gap": gap, "its root": lambda a, b: gap(a, b).sqrt()})
    table = found.summary()
    for column in ("spearman", "low", "high", "kendall"):
        assert table[column].to_numpy() == pytest.approx(np.ones(len(table)), abs=1e-12), column
    assert (table["unknown"] == 0).all()
    for name in found.distances:
        assert not len(found.disagreements(name).table)
    reversed_ = agreement(by_weight, graphs, distances={"nearness": lambda a, b: -gap(a, b)}).summary()
    assert reversed_["spearman"].to_numpy() == pytest.approx(-np.ones(3))


def test_a_loss_that_has_nothing_to_do_with_a_distance_gives_an_interval_around_zero(graphs):
    some = {"gap": gap, "edits": edit, "colors": weisfeiler_lehman}
    table = agreement(by_chance, graphs, distances=some).summary().set_index("kind").loc[[RANDOM, WALKS]]
    covered = (table["low"] < 0) & (table["high"] > 0)
    assert covered.sum() >= len(table) - 1 and table["spearman"].abs().max() < 0.2
    assert ((table["high"] - table["low"]).between(0.15, 0.5)).all()


def test_correlations_are_those_of_scipy_and_unknown_distances_are_counted(graphs):
    def patchy(a, b):
        return torch.where(weight(a) > 12, torch.nan, torch.where(weight(b) > 13, torch.inf, gap(a, b).round()))

    found = agreement(by_chance, graphs, distances={"patchy": patchy})
    for line in found.summary().itertuples():
        some = found.table[found.table["kind"] == line.kind]
        fine = some[some["patchy"].notna()]
        assert 0 < line.unknown == len(some) - len(fine) and line.pairs == len(fine)
        assert line.spearman == pytest.approx(spearmanr(fine["loss"], fine["patchy"])[0])
        assert line.kendall == pytest.approx(kendalltau(fine["loss"], fine["patchy"])[0])
        assert line.low < line.spearman < line.high


def test_weights_count_pairs_as_often_as_they_say():
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 6, 30).astype(float), generator.normal(size=30).round(1)
    weights = generator.integers(0, 4, (20, 30))
    for found, times in zip(rank_correlation(x, y, weights), weights):
        assert found == pytest.approx(spearmanr(np.repeat(x, times), np.repeat(y, times))[0])
    assert np.isnan(rank_correlation(x, np.ones(30), weights)).all()
    assert np.isnan(rank_correlation(x[:2], y[:2], weights[:, :2])).all()


@pytest.mark.parametrize("n, pairs", [(120, 60), (12, 60)])
def test_intervals_hold_what_they_promise(n, pairs):
    """Of pairs whose distances depend on both graphs, the true correlation lies in 95 % of intervals, or in more.

    Many graphs in a pair each, and few graphs in many: to take pairs for independent fails there.
    """
    generator, inside, widths = np.random.default_rng(1), [], []
    every = np.array(np.triu_indices(n, 1)).T

    def sample(count, chosen):
        a, b = generator.normal(size=(2, count))
        i, j = chosen.T
        loss, other = np.abs(a[i] - a[j]), np.abs(a[i] + b[i] - a[j] - b[j])
        return loss, other

    many = np.arange(40_000).reshape(-1, 2)
    truth = spearmanr(*sample(40_000, many))[0]
    for _ in range(120):
        chosen = generator.permutation(n).reshape(-1, 2) if n == 2 * pairs else generator.permutation(every)[:pairs]
        loss, other = sample(n, chosen)
        drawn = rank_correlation(loss, other, _bootstrap(*chosen.T, generator))
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        inside.append(low < truth < high)
        widths.append(high - low)
    assert np.mean(inside) >= 0.89 and (n < 2 * pairs or np.mean(widths) < 0.55)


def test_a_walk_from_one_graph_counts_as_often_as_the_graph():
    drawn = _bootstrap(np.array([4, 4, 7, 1, 2, 3, 5, 6, 8, 9]), np.full(10, -1), np.random.default_rng(0))
    assert (drawn[:, 0] == drawn[:, 1]).all() and drawn[:, 1:].sum(1).tolist() == [9] * len(drawn)
    assert _bootstrap(np.array([1, 2, 3, 4]), np.full(4, -1), np.random.default_rng(0)).shape == (0, 4)


def test_what_float32_cannot_tell_is_a_tie():
    values = np.array([0.5, 0.5 + 1e-7, 0.2, 0.5 - 1e-7, 0.9])
    assert _merge_close(values, 1e-6).tolist() == [0.5 - 1e-7, 0.5 - 1e-7, 0.2, 0.5 - 1e-7, 0.9]
    assert _merge_close(values[:0], 1e-6).tolist() == []


def test_a_collapsed_loss_has_no_rank_correlation(graphs):
    noise = torch.randn(16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def psi(graph):
        return torch.nn.functional.normalize(noise + 1e-7 * by_chance(graph))

    found = agreement(psi, graphs, distances={"gap": gap})
    assert found.summary()[["spearman", "low", "high", "kendall"]].isna().all(axis=None)
    assert not len(found.disagreements("gap").table)


# -- disagreements -------------------------------------------------------------------------------------------------
def test_a_planted_pair_is_found_first(graphs):
    """psi follows the weights, but for the heaviest graph, which it takes for the lightest one."""
    light, heavy = graphs[int(weight(graphs).argmin())], graphs[int(weight(graphs).argmax())]

    def psi(graph):
        return on_circle(torch.where(name(graph) == name(heavy), weight(light), weight(graph)) / 10)

    found = agreement(psi, graphs, distances={"gap": gap}, pairs=len(graphs))
    worst = found.disagreements("gap")
    first = int((worst.table["by_loss"] == "near").argmax())
    line, ends = worst.table.iloc[first], {int(name(side[first])) for side in (worst.graphs, worst.others)}
    assert line["kind"] == NEAREST and line["gap"] > 0.9 and ends == {int(name(light)), int(name(heavy))}
    assert line["by_loss"] == "near" and "0.00" in line["description"]
    assert line["loss"] == found.table["loss"][line["row"]] and line["distance"] == found.table["gap"][line["row"]]
    assert worst.table["gap"].is_monotonic_decreasing
    assert ((name(worst.graphs) == name(heavy)) | (name(worst.others) == name(heavy))).all()  # nothing else is wrong


def made(loss, distance, kind=None) -> Agreement:
    """An agreement of made-up numbers; graph i has 1 + i % 3 nodes."""
    n = len(loss)
    vocabulary = GraphVocabulary(("a",), ("edge",), 3)
    nodes = (torch.arange(3) <= (torch.arange(n) % 3)[:, None]).long()
    graphs = Graph.from_labels(nodes, torch.zeros(n, 3, 3), vocabulary)
    table = pd.DataFrame({"kind": kind or RANDOM, "graph": range(n), "other": range(n), "steps": 0, "loss": loss})
    return Agreement(table.assign(known=distance), graphs, graphs, ("known",))


def test_disagreements_are_gaps_of_ranks_within_a_kind_both_ways():
    loss, distance = np.arange(20) / 10, np.arange(20.0)
    distance[[0, 15]] = distance[[15, 0]]
    found = made(loss, distance).disagreements("known")
    table = found.table
    assert table["gap"].tolist() == pytest.approx([0.7, 0.7])  # 14 of the 20 pairs lie between
    assert table["by_loss"].tolist() == ["near", "far"] and table["row"].tolist() == [0, 15]
    numbers = [re.findall(r"[\d.]+\d|\d+", text) for text in table["description"]]
    assert numbers == [["0.00", "95", "15", "75"], ["1.50", "75", "0", "95"]]
    assert equal(found.graphs, made(loss, distance).graphs[[0, 15]])
    assert made(loss, distance).disagreements("known", limit=1).table["row"].tolist() == [0, 15]
    halves = made(np.r_[loss, loss + 1], np.r_[loss, 5 - loss], [RANDOM] * 20 + [WALKS] * 20)
    assert set(halves.disagreements("known", 99).table["kind"]) == {WALKS}


def test_ties_disagree_with_nothing():
    loss = np.random.default_rng(0).permutation(30) / 10
    assert not len(made(loss, np.ones(30)).disagreements("known").table)
    assert not len(made(loss, (loss > 1.5).astype(float)).disagreements("known").table)
    assert len(made(loss, (loss < 1.5).astype(float)).disagreements("known").table)


def test_pairs_without_a_distance_do_not_disagree():
    distance = np.arange(20.0)
    distance[3] = np.nan
    assert not len(made(np.arange(20) / 10, distance).disagreements("known").table)


# -- errors --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options, message",
    [
        ({"distances": {}}, "no distances"),
        ({"distances": {"loss": gap}}, "'loss' is reserved"),
        ({"distances": {"wide": lambda a, b: a.nodes.sum(1)}}, r"'wide' .*got \(32, 4\)"),
        ({"pairs": 0}, "pairs must be at least 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(graphs, options, message):
    with pytest.raises(ValueError, match=message):
        agreement(by_chance, graphs, **{"distances": {"gap": gap}} | options)


def test_graphs_that_make_no_pair_and_losses_that_are_no_numbers_are_refused(graphs):
    for some in (graphs[:0], graphs[:1], Graph.cat([graphs[:1]] * 4)):
        with pytest.raises(ValueError, match="at least 2 different graphs"):
            agreement(by_chance, some)
    with pytest.raises(ValueError, match="NaN or infinity"):
        agreement(lambda graph: by_chance(graph) * torch.nan, graphs)
    with pytest.raises(ValueError, match="'other'.*known"):
        made(np.arange(3), np.arange(3)).disagreements("other")
    with pytest.raises(ValueError, match="limit must be at least 1"):
        made(np.arange(3), np.arange(3)).disagreements("known", 0)


# -- the shipped loss ----------------------------------------------------------------------------------------------
def test_the_shipped_loss_agrees_with_edits():
    molecules = ele.datasets.load("molecules7").test.graphs[:300]
    few = {name: f for name, f in distances_for(molecules.vocabulary).items() if "Gromov" not in name}
    table = agreement(ele.load("molecules7").psi, molecules, distances=few, pairs=80).summary()
    found = table.set_index(["distance", "kind"])
    assert list(found.index.unique(0)) == ["edit distance", "Weisfeiler-Lehman", "Tanimoto"]
    assert (found.loc["edit distance", "low"][[RANDOM, WALKS]] > [0.4, 0.6]).all() and (table["unknown"] == 0).all()


# -- pictures ------------------------------------------------------------------------------------------------------
def points(ax):
    return next(artist for artist in ax.collections if artist.get_gid() == "pairs").get_offsets()


def test_every_pair_is_a_point_under_its_rank_correlation(graphs):
    found = agreement(by_chance, graphs, distances={"gap": gap, HOSTILE[1]: gap}, pairs=50)
    table = found.table.copy()
    table.loc[:9, "gap"] = math.nan
    found = Agreement(table, found.graphs, found.others, found.distances)
    figure = rendered(draw.agreement(table, found.summary()))
    assert len(figure.axes) == 6
    summary = found.summary()
    for ax, line in zip(figure.axes, summary.itertuples()):
        some = table[(table["kind"] == line.kind) & table[line.distance].notna()]
        assert np.asarray(points(ax)) == pytest.approx(some[[line.distance, "loss"]].to_numpy())
        assert f"rank corr. {line.spearman:.2f}  ({line.low:.2f} to {line.high:.2f})" in ax.get_title()
    assert figure.axes[0].get_title().startswith(f"{RANDOM}\n") and "10 of 50 unknown" in figure.axes[0].get_title()
    one = rendered(draw.agreement(table, summary, distances=["gap"]))
    assert [ax.get_xlabel() for ax in one.axes] == ["gap"] * 3 and one.axes[0].get_ylabel() == "learned loss"


def test_many_pairs_are_counted_and_what_is_not_known_is_said():
    loss = np.random.default_rng(0).random(1_500)
    many = made(loss, loss)
    ax = rendered(draw.agreement(many.table, many.summary())).axes[0]
    assert points(ax).shape[0] < 900
    few = made(np.arange(4.0), np.arange(4.0))
    titles = [ax.get_title() for ax in rendered(draw.agreement(few.table, few.summary())).axes]
    assert "1.00, too few for an interval" in titles[0] and "no rank correlation" in titles[1]


def test_a_sheet_shows_both_graphs_of_each_pair_and_says_how_they_disagree():
    loss, distance = np.arange(20) / 10, np.arange(20.0)
    distance[[0, 15]] = distance[[15, 0]]
    worst = made(loss, distance).disagreements("known")
    figure = rendered(draw.disagreements(worst.table, worst.graphs, worst.others))
    assert len(figure.axes) == 4
    nodes = [sum((p.get_gid() or "").startswith("node-") for p in ax.patches) for ax in figure.axes]
    assert nodes == [n for side in worst.graphs.presence().sum(1).long().tolist() for n in (side, side)]
    words = [" ".join(text.get_text().split()) for text in figure.texts]
    assert words[::2] == ["1. loss near, distance far", "2. loss far, distance near"]
    assert words[1::2] == worst.table["description"].tolist()
    colors = [matplotlib.colors.to_hex(text.get_color()).upper() for text in figure.texts[::2]]
    assert colors == [BLUE, VERMILION] and min(text.get_fontsize() for text in figure.texts) >= 11


def test_a_sheet_of_nothing_says_so_and_other_tables_are_refused():
    none = made(np.arange(9.0), np.arange(9.0)).disagreements("known")
    empty = rendered(draw.disagreements(none.table, none.graphs, none.others))
    assert len(empty.texts) == 1 and not empty.axes
    with pytest.raises(ValueError, match="lacks columns"):
        draw.disagreements(none.table.drop(columns="description"), none.graphs, none.others)
    full = made(np.arange(3.0), np.arange(3.0))
    with pytest.raises(ValueError, match="0 rows.*3 and 3 graphs"):
        draw.disagreements(none.table, full.graphs, full.others)
    with pytest.raises(ValueError, match=r"lacks columns \['high', 'low'\]"):
        draw.agreement(full.table, full.summary().drop(columns=["low", "high"]))
    with pytest.raises(ValueError, match=r"\['other'\].*known"):
        draw.agreement(full.table, full.summary(), distances=["other"])
