"""Contrasts and the faithfulness of shares: against enumeration, losses whose parts add up, and slow loops."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import equal, random_vertices
from matplotlib.colors import to_hex
from test_draw import HOSTILE, marked, rendered
from test_inspect import embedding, exact_shares

import elekit as ele
from elekit import draw
from elekit.draw.base import BLUE, VERMILION
from elekit.evaluation.intervals import mean_interval
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists
from elekit.inspect import contrast, faithfulness, shapley_values
from elekit.inspect.faithfulness import CURVES, METHODS, near_and_random, scores
from elekit.inspect.shapley import parts_of
from elekit.model.loss import LearnedLoss, points_of

NODES, EDGES = torch.tensor([0.6, -0.4, 0.25]), torch.tensor([0.3, -0.15])  # what each label is worth
NORTH = torch.tensor([1.0, 0.0])


def adding(graph):
    """A psi (not of unit length) whose `2 <psi, NORTH>` is what the labels of nodes and edges are worth, added up."""
    worth = (graph.nodes[..., 1:] @ NODES).sum(1) + (graph.edges[..., 1:] @ EDGES).sum((1, 2)) / 2
    return torch.stack([worth / 2, torch.zeros_like(worth)], 1)


def scattered(nodes, vocabulary):
    """Nodes without edges."""
    return from_edge_lists([(list(nodes), [])], vocabulary)


@pytest.fixture
def psi(vocabulary):
    return embedding(vocabulary)


@pytest.fixture
def square(vocabulary):
    edges = [(0, 1, "thin"), (1, 2, "thick"), (0, 2, "thin"), (2, 3, "thin")]
    return from_edge_lists([(["a", "b", "c", "a"], edges)], vocabulary)


def flat(found):
    """Shares of nodes, then of pairs i < j, of the parts that are there."""
    i, j = torch.triu_indices(len(found.nodes), len(found.nodes), 1)
    both = torch.cat([found.nodes, found.edges[i, j]])
    return both[~both.isnan()]


# -- contrast ------------------------------------------------------------------------------------------------------
def test_a_contrast_is_the_shapley_value_of_the_difference_of_means(psi, vocabulary, square):
    groups = random_vertices(vocabulary, 7, torch.Generator().manual_seed(5))
    corpus, foil = groups[:3], groups[3:]
    found = contrast(psi, square, corpus, foil, samples=4_000)
    exact = exact_shares(psi, square, psi(corpus).mean(0) - psi(foil).mean(0))
    assert max(exact.values()) - min(exact.values()) > 0.02
    for part, share in exact.items():
        value = (found.nodes if len(part) == 1 else found.edges)[part]
        assert float(value) == pytest.approx(share, abs=0.004)
    assert torch.equal(found.edges.isnan(), found.edge_error.isnan()) and found.edges.isnan().sum() == 25 - 8


def test_a_contrast_adds_up_to_the_difference_of_mean_losses(psi, vertices):
    loss = LearnedLoss(psi)
    for graph in vertices[:6]:
        found = contrast(psi, graph, vertices[6:16], vertices[16:40], samples=4)
        assert found.corpus_loss == pytest.approx(float(loss.matrix(graph, vertices[6:16]).mean()), abs=1e-5)
        assert found.foil_loss == pytest.approx(float(loss.matrix(graph, vertices[16:40]).mean()), abs=1e-5)
        assert float(flat(found).sum()) == pytest.approx(found.foil_loss - found.corpus_loss, abs=1e-5)


def test_a_contrast_with_itself_is_nothing_and_swapped_it_turns_round(psi, vertices, square):
    same = contrast(psi, square, vertices[:9], vertices[:9])
    assert flat(same).abs().max() < 1e-6 and same.corpus_loss == same.foil_loss
    groups = vertices[:9], vertices[9:20]
    there, back = contrast(psi, square, *groups), contrast(psi, square, *groups[::-1])
    assert torch.allclose(flat(there), -flat(back), atol=1e-6) and flat(there).abs().max() > 0.01
    assert torch.allclose(there.node_error, back.node_error, equal_nan=True)
    assert (there.corpus_loss, there.foil_loss) == pytest.approx((back.foil_loss, back.corpus_loss))


def test_a_contrast_of_single_graphs_is_the_difference_of_their_shares(psi, vertices, square):
    found = contrast(psi, square, vertices[1], vertices[2], seed=3)
    one, other = (shapley_values(psi, square, vertices[row], seed=3) for row in (1, 2))
    assert torch.allclose(flat(found), flat(one) - flat(other), atol=1e-6)
    assert equal_numbers(found, contrast(psi, square, psi(vertices[1]), psi(vertices[2]), seed=3))


def equal_numbers(one, other):
    fields = ("nodes", "edges", "node_error", "edge_error")
    return all(torch.allclose(getattr(one, f), getattr(other, f), atol=1e-6, equal_nan=True) for f in fields)


def test_errors_are_those_of_other_draws(psi, vocabulary, square):
    """Corpora drawn again and again, and orders too: the shares scatter as the errors say."""
    pool, generator = psi(random_vertices(vocabulary, 300, torch.Generator().manual_seed(1))), torch.Generator()
    found, errors = [], []
    for seed in range(120):
        rows = torch.randperm(len(pool), generator=generator.manual_seed(seed))
        drawn = contrast(psi, square, pool[rows[:8]], pool[rows[8:24]], seed=seed)
        found.append(flat(drawn))
        errors.append(flat(replace(drawn, nodes=drawn.node_error, edges=drawn.edge_error)))
    ratio = torch.stack(found).std(0) / torch.stack(errors).square().mean(0).sqrt()
    assert ((ratio > 0.75) & (ratio < 1.3)).all()


def test_one_node_has_all_of_a_contrast(psi, vocabulary, vertices):
    found = contrast(psi, scattered("a", vocabulary), vertices[:4], vertices[4:9])
    assert float(found.nodes[0]) == pytest.approx(found.foil_loss - found.corpus_loss, abs=1e-5)
    assert len(found.table(scattered("a", vocabulary))) == 1


def test_a_contrast_refuses_what_it_cannot_answer(psi, vocabulary, vertices, square):
    nobody = Graph.from_labels(torch.zeros(1, 5), torch.zeros(1, 5, 5), vocabulary)
    other = scattered("xy", GraphVocabulary(("x", "y"), ("thin", "thick"), 5))
    with pytest.raises(ValueError, match="graph must be a batch of one, got a batch of 3"):
        contrast(psi, vertices[:3], vertices, vertices)
    with pytest.raises(ValueError, match="no nodes"):
        contrast(psi, nobody, vertices, vertices)
    with pytest.raises(ValueError, match="no graphs in the foil"):
        contrast(psi, square, vertices, vertices[:0])
    with pytest.raises(ValueError, match=r"labels of the corpus are \(\('x', 'y'\)"):
        contrast(adding, square, other, vertices)
    with pytest.raises(ValueError, match="row 1 of the corpus is not a unit vector, its length is 2"):
        contrast(psi, square, psi(vertices) * torch.tensor([1.0, 2.0] * 20)[:, None], vertices)
    with pytest.raises(ValueError, match="at least 4"):
        contrast(psi, square, vertices, vertices, samples=3)


# -- scores --------------------------------------------------------------------------------------------------------
def scored(psi, graph, point, **settings):
    players, ends = parts_of(*(labels[0] for labels in graph.labels()))
    found = scores(psi, graph, point, players, ends, **settings)
    rows = zip(players.tolist(), found.T.tolist())
    return {tuple(sorted(set(part))): dict(zip(METHODS, row)) for part, row in rows}


def test_scores_of_parts_that_add_up_are_known(vocabulary, square):
    found = scored(adding, square, NORTH, samples=4_000)
    a, b, c, thin, thick = *NODES.tolist(), *EDGES.tolist()
    worth = {(0,): a, (1,): b, (2,): c, (3,): a, (0, 1): thin, (1, 2): thick, (0, 2): thin, (2, 3): thin}
    assert set(found) == set(worth)
    for part, of_part in found.items():
        touching = [worth[edge] for edge in worth if len(edge) == 2 and set(part) < set(edge)]
        # an edge counts once it and both its ends stand: the three share it alike
        alike = worth[part] / 3 if len(part) == 2 else worth[part] + sum(touching) / 3
        assert of_part["shares"] == pytest.approx(alike, abs=0.02)
        assert of_part["leave one out"] == pytest.approx(worth[part] + sum(touching), abs=1e-5)
        assert of_part["gradient x input"] == pytest.approx(worth[part], abs=1e-5)
        size = (EDGES if len(part) == 2 else NODES).norm()
        assert of_part["gradient magnitude"] == pytest.approx(float(size), abs=1e-5)


def test_gradients_are_those_of_differences(psi, vocabulary, square):
    """Every channel of a part moved a little to both sides, by a loop in double precision."""
    psi, square, step = psi.double(), square.to(torch.float64), 1e-6
    point = psi(random_vertices(vocabulary, 1, torch.Generator().manual_seed(5)).to(torch.float64))[0].detach()

    def loss(part, channel, by):
        moved = replace(square, nodes=square.nodes.clone(), edges=square.edges.clone())
        if len(part) == 1:
            moved.nodes[0, part[0], channel] += by
        else:
            moved.edges[0, part[0], part[1], channel] += by
            moved.edges[0, part[1], part[0], channel] += by
        with torch.no_grad():
            return float(2 - 2 * psi(moved)[0] @ point)

    for part, found in scored(psi, square, point, samples=4).items():
        row = square.nodes[0, part[0]] if len(part) == 1 else square.edges[0, part[0], part[1]]
        slope = [(loss(part, k, step) - loss(part, k, -step)) / (2 * step) for k in range(len(row))]
        assert found["gradient magnitude"] == pytest.approx(np.linalg.norm(slope), abs=1e-5)
        assert found["gradient x input"] == pytest.approx(-(row.numpy() @ slope), abs=1e-5)


# -- curves --------------------------------------------------------------------------------------------------------
def curve_of(found, curve, method):
    some = found.curves[(found.curves["curve"] == curve) & (found.curves["method"] == method)]
    return some["parts"].to_numpy(), some["value"].to_numpy()


def test_parts_that_add_up_go_and_come_in_order_of_their_worth(vocabulary):
    graph = scattered("bacab", vocabulary)
    worth = np.array([0.6, 0.6, 0.25, -0.4, -0.4])
    found = faithfulness(adding, graph, NORTH[None])
    expected = {"deletion": worth.sum() - np.r_[0, worth.cumsum()], "insertion": np.r_[0, worth.cumsum()]}
    for curve, method in itertools.product(CURVES, ("shares", "gradient x input", "leave one out")):
        parts, value = curve_of(found, curve, method)
        assert value == pytest.approx(np.interp(parts, np.arange(6) / 5, expected[curve]), abs=1e-5)


def test_no_order_is_better_than_that_of_the_shares_where_parts_add_up(vocabulary):
    graph, worth = scattered("bacab", vocabulary), [-0.4, 0.6, 0.25, 0.6, -0.4]
    areas = {"deletion": [], "insertion": []}
    for order in itertools.permutations(worth):
        left = np.r_[0, np.cumsum(order)]
        for curve, value in (("deletion", sum(worth) - left), ("insertion", left)):
            areas[curve].append(float(np.mean((value[1:] + value[:-1]) / 2)))
    found = faithfulness(adding, graph, NORTH[None], orders=4_000).areas.set_index(["curve", "method"])["area"]
    best = {"deletion": -min(areas["deletion"]), "insertion": max(areas["insertion"])}
    for curve, sign in (("deletion", -1), ("insertion", 1)):
        assert found[curve, "shares"] == pytest.approx(best[curve] - sign * np.mean(areas[curve]), abs=0.01)
        assert found[curve].max() == pytest.approx(found[curve, "shares"]) and found[curve, "shares"] > 0.2


def test_an_edge_goes_with_its_ends_and_comes_after_them(vocabulary):
    """Worth 0.6, 0.25 and an edge of nearly nothing: taking `a` away takes two of three parts."""
    graph = from_edge_lists([(["a", "c"], [(0, 1, "thin")])], vocabulary)
    found = faithfulness(lambda g: adding(replace(g, edges=1e-3 * g.edges)), graph, NORTH[None])
    for curve, x, v in (
        ("deletion", [0, 2 / 3, 1], [0.85, 0.25, 0]), ("insertion", [0, 1 / 3, 2 / 3, 1], [0, 0.6, 0.85, 0.85])
    ):  # fmt: skip
        parts, value = curve_of(found, curve, "shares")
        assert value == pytest.approx(np.interp(parts, x, v), abs=1e-3)


def test_no_order_wins_where_all_parts_are_worth_the_same(vertices):
    """Not even one that takes nodes first, with which their edges go."""

    def counting(graph):
        parts = graph.presence().sum(1) + graph.edges[..., 1:].sum((1, 2, 3)) / 2
        return torch.stack([parts / 40, torch.zeros_like(parts)], 1)

    found = faithfulness(counting, vertices[:12], NORTH.expand(12, 2))
    assert found.areas["area"].abs().max() < 1e-6 and len(found.areas) == 12 * len(CURVES) * len(METHODS)
    summary = found.summary().set_index(["curve", "method"])
    assert (summary.drop("shares", level="method")["wins"] == 0.5).all()


def test_an_order_at_random_has_no_area_and_the_shares_are_said_to_be_better(vocabulary):
    """Parts that add up have gradients of one size, so that these order nothing."""
    generator = np.random.default_rng(0)
    drawn = [sorted(generator.choice(["a", "b"], 5)) for _ in range(60)]  # so that their own order would be the best
    graphs = Graph.cat([scattered(nodes, vocabulary) for nodes in drawn])
    summary = faithfulness(adding, graphs, NORTH.expand(60, 2)).summary().set_index(["curve", "method"])
    for curve in CURVES:
        gradient = summary.loc[curve, "gradient magnitude"]
        assert abs(gradient["area"]) < 0.06 and gradient["low"] < 0.01 and gradient["high"] > -0.01
        assert summary.loc[(curve, "shares"), "low"] > 0.1
        assert gradient["ahead_low"] > 0.1 and gradient["says"].startswith("shares are better by 0.")
        assert gradient["ahead"] == pytest.approx(summary.loc[(curve, "shares"), "area"] - gradient["area"])
        assert summary.loc[(curve, "gradient x input"), "says"].endswith("+0.000 (+0.000 to +0.000)")


def test_areas_lie_between_the_curves(psi, vertices):
    """With one pair, the area is that between its own curves; on graphs whose points lie on the grid."""
    graph = next(g for g in vertices if len(parts_of(*(labels[0] for labels in g.labels()))[0]) == 5)
    found = faithfulness(psi, graph, vertices[9])
    for curve, sign in (("deletion", -1), ("insertion", 1)):
        parts, at_random = curve_of(found, curve, "random order")
        for method in METHODS:
            gap = sign * (curve_of(found, curve, method)[1] - at_random)
            area = float(((gap[1:] + gap[:-1]) / 2 * np.diff(parts)).sum())
            row = found.areas[(found.areas["curve"] == curve) & (found.areas["method"] == method)]
            assert row["area"].item() == pytest.approx(area, abs=1e-6)
    ends = found.curves.groupby("curve")["value"].agg(["first", "last"])
    whole = 2 - float(LearnedLoss(psi)(graph, vertices[9]))
    assert ends.to_numpy().tolist() == [pytest.approx([whole, 0], abs=1e-5), pytest.approx([0, whole], abs=1e-5)]


def test_anchors_may_be_points_and_a_seed_gives_the_same_again(psi, vertices):
    state, nodes, edges = torch.get_rng_state(), vertices.nodes.clone(), vertices.edges.clone()
    anchors = vertices[8:16]
    one, again, by_points = (
        faithfulness(psi, vertices[:8], given, samples=8) for given in (anchors, anchors, psi(anchors))
    )
    assert one.areas.equals(again.areas) and one.curves.equals(again.curves)
    assert np.allclose(one.areas["area"], by_points.areas["area"], atol=1e-6)
    assert not one.areas.equals(faithfulness(psi, vertices[:8], vertices[8:16], samples=8, seed=1).areas)
    assert torch.equal(state, torch.get_rng_state())
    assert equal(vertices, Graph(nodes, edges, vertices.vocabulary))


def test_a_single_pair_and_a_single_node_have_no_interval(psi, vocabulary, vertices):
    found = faithfulness(psi, scattered("a", vocabulary), vertices[0])
    assert found.areas["area"].abs().max() == 0 and found.curves[["low", "high"]].isna().all(axis=None)
    said = found.summary()
    assert said["pairs"].unique() == [1] and said["low"].isna().all()
    assert said["says"].iloc[1].endswith("+0.000, too few pairs")
    rendered(draw.faithfulness(found.curves, said))


def test_intervals_are_about_those_of_a_normal_mean():
    generator = np.random.default_rng(0)
    values = generator.normal([0.0, 3.0], [1.0, 0.1], size=(80, 2))
    for (mean, low, high), column in zip(mean_interval(values, generator), values.T):
        reach = 1.96 * column.std() / 80**0.5
        assert mean == pytest.approx(column.mean())
        assert mean - low == pytest.approx(reach, rel=0.25) and high - mean == pytest.approx(reach, rel=0.25)


def test_faithfulness_refuses_what_it_cannot_answer(psi, vocabulary, vertices):
    nobody = Graph.from_labels(torch.zeros(1, 5), torch.zeros(1, 5, 5), vocabulary)
    other = scattered("xy", GraphVocabulary(("x", "y"), ("thin", "thick"), 5))
    with pytest.raises(ValueError, match="got 3 and 2"):
        faithfulness(psi, vertices[:3], vertices[:2])
    with pytest.raises(ValueError, match="no graphs in the anchors"):
        faithfulness(psi, vertices[:0], vertices[:0])
    with pytest.raises(ValueError, match="graph 2 has no nodes"):
        faithfulness(psi, Graph.cat([vertices[:2], nobody]), vertices[:3])
    with pytest.raises(ValueError, match="labels of the anchors"):
        faithfulness(adding, vertices[0], other)
    with pytest.raises(ValueError, match="not differentiable"):
        faithfulness(lambda g: points_of(psi, g), vertices[:2], vertices[2:4])
    for wrong in ({"orders": 0}, {"samples": 3}):
        with pytest.raises(ValueError, match="at least 1 random order and 4 samples"):
            faithfulness(psi, vertices[:2], vertices[2:4], **wrong)


def test_near_anchors_are_the_nearest_and_random_ones_any_other(psi, vertices):
    points = psi(vertices)
    loss, found = LearnedLoss(psi).matrix(points, points), near_and_random(points, 15)
    loss.fill_diagonal_(9)
    assert torch.equal(found["near"][0], found["random"][0]) and len(set(found["near"][0].tolist())) == 15
    assert all(loss[i, j] == loss[i].min() for i, j in zip(*found["near"]))
    assert all(i != j for i, j in zip(*found["random"])) and len(set(found["random"][1].tolist())) > 5
    assert len(near_and_random(points, 99)["near"][0]) == 40
    with pytest.raises(ValueError, match="at least 2 points, got 1"):
        near_and_random(points[:1], 1)


def test_shares_of_the_shipped_loss_are_better_than_the_size_of_its_gradient():
    psi, graphs = ele.load("molecules7").psi, ele.datasets.load("molecules7").test.graphs[:400]
    points = points_of(psi, graphs)
    for rows, anchors in near_and_random(points, 25).values():
        found = faithfulness(psi, graphs[rows], points[anchors], samples=32)
        summary = found.summary().set_index(["curve", "method"])
        for curve in CURVES:
            assert summary.loc[(curve, "shares"), "low"] > 0
            assert summary.loc[(curve, "gradient magnitude"), "ahead_low"] > 0


# -- pictures ------------------------------------------------------------------------------------------------------
def test_curves_are_drawn_as_they_are_each_in_its_own_style(psi, vertices):
    found = faithfulness(psi, vertices[:6], vertices[6:12], samples=8)
    figure = rendered(draw.faithfulness(found.curves, found.summary()))
    lines, bands = marked(figure, "curve"), marked(figure, "band")
    assert len(lines) == len(bands) == 2 * (len(METHODS) + 1)
    first = lines[0]
    assert np.allclose(first.get_ydata(), curve_of(found, "deletion", "shares")[1])
    looks = {line.get_gid(): (line.get_color(), line.get_linestyle(), str(line._dash_pattern)) for line in lines}
    assert len({look[0] for look in looks.values()}) == len({look[2] for look in looks.values()}) == len(METHODS) + 1
    areas = {(a.get_gid(), a.get_marker()): a.get_xdata()[0] for a in marked(figure, "area")}
    summary = found.summary().set_index(["curve", "method"])["area"]
    assert areas["area-leave one out", "^"] == pytest.approx(summary["insertion", "leave one out"])
    assert len(areas) == len(summary)
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == [*METHODS, "random order"]


def test_wrong_tables_are_named(psi, vertices):
    found = faithfulness(psi, vertices[:5], vertices[5:10], samples=4)
    with pytest.raises(ValueError, match=r"lacks columns \['value'\]"):
        draw.faithfulness(found.curves.drop(columns="value"), found.summary())
    with pytest.raises(ValueError, match="want 1 to 6 methods, got 0"):
        draw.faithfulness(found.curves, found.summary()[:0])


def test_a_contrast_has_its_sign_by_color_dash_hatching_and_word(vocabulary, square):
    foil = -NORTH[None]
    found = contrast(adding, square, NORTH[None], foil)
    table = found.table(square)
    figure = rendered(draw.contrasted(square, found.nodes, found.edges, table, names=("these", HOSTILE[1]), top=5))
    bars = {bar.get_gid(): bar for bar in marked(figure, "bar")}
    assert len(bars) == 5 and "strongest 5 of 8 parts" in figure.axes[1].get_title()
    sizes = [abs(bars[f"bar-{y}"].get_width()) for y in range(5)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == pytest.approx(table["share"].abs().max())
    for bar in bars.values():
        positive = bar.get_width() >= 0
        assert to_hex(bar.get_facecolor()) == (BLUE if positive else VERMILION).lower()
        assert bool(bar.get_hatch()) != positive
    assert f"= {2 * (0.6 + 0.6 - 0.4 + 0.25 + 0.9 - 0.15):+.3f}" in figure.axes[0].get_title()
    assert [text.get_text()[:2] for text in figure.legends[0].get_texts()] == ["+ ", "- "]


def test_contrasts_of_one_node_and_wrong_ones(vocabulary, square):
    lonely = scattered("a", vocabulary)
    found = contrast(adding, lonely, NORTH[None], NORTH[None])
    rendered(draw.contrasted(lonely, found.nodes, found.edges, found.table(lonely)))
    with pytest.raises(ValueError, match=r"lacks columns \['error'\]"):
        draw.contrasted(lonely, found.nodes, found.edges, found.table(lonely).drop(columns="error"))
    with pytest.raises(ValueError, match="top must be at least 1"):
        draw.contrasted(lonely, found.nodes, found.edges, found.table(lonely), top=0)
    with pytest.raises(ValueError, match=r"nodes \(5,\) and pairs \(5, 5\)"):
        draw.contrasted(lonely, found.nodes[:2], found.edges, found.table(lonely))
