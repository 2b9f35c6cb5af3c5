"""The static twins of the loss inspector: halos that say what they should, bars in order, room for words and nodes."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_vertices
from matplotlib.colors import to_hex
from test_draw import HOSTILE, marked, rendered

from elekit import draw
from elekit.draw import placement
from elekit.draw.base import BLUE, GRAY, RADIUS, VERMILION
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import from_smiles, molecule_vocabulary, to_smiles


@pytest.fixture
def molecule():
    return from_smiles("CC1CC1C=O", molecule_vocabulary(["C", "N", "O"], 8))


@pytest.fixture
def heat(molecule):
    """Prices that rise with the number of the node; every pair has one, also where there is no edge."""
    N = molecule.nodes.shape[1]
    nodes = torch.arange(N) / 10
    nodes[5:] = torch.nan
    return nodes, (nodes[:, None] + nodes) / 2


def table(count, invalid=()):
    edits = pd.DataFrame({"edit": [f"edit {n}" for n in range(count)], "price": np.linspace(1, 0, count)})
    return edits.assign(valid=[n not in invalid for n in range(count)])


def halos(figure, ax=0):
    """Artists by the part that their gid names."""
    return {a.get_gid()[5:]: a for a in figure.axes[ax].get_children() if (a.get_gid() or "").startswith("halo-")}


def words(figure, ax=0):
    return {a.get_gid()[6:]: a.get_text() for a in figure.axes[ax].texts if (a.get_gid() or "").startswith("value-")}


def color(artist):
    return to_hex(artist.get_edgecolor() if hasattr(artist, "get_edgecolor") else artist.get_color())


# -- prices ----------------------------------------------------------------------------------------------------
def test_every_node_and_edge_has_a_halo_and_its_price(molecule, heat):
    figure = rendered(draw.priced_edits(molecule, *heat, table(5)))
    edges = {f"{i}-{j}" for i, j in molecule.labels()[1][0].triu(1).nonzero().tolist()}
    assert set(halos(figure)) == set(words(figure)) == {str(i) for i in range(6)} | edges
    assert words(figure)["3"] == "3: 0.30"  # the number of the node, too
    assert words(figure)["0-1"] == "0.05"


def test_dearer_is_wider_and_lighter(molecule, heat):
    found = halos(draw.priced_edits(molecule, *heat, table(5)))
    widths = [found[str(i)].get_linewidth() for i in range(5)]
    lights = [np.mean(found[str(i)].get_edgecolor()[:3]) for i in range(5)]
    assert widths == sorted(set(widths)) and lights == sorted(set(lights))
    assert color(found["0"]) == placement.RAMP[0] and color(found["4"]) == placement.RAMP[-1]


def test_what_has_no_valid_edit_is_gray_and_dashed(molecule, heat):
    found, written = (f(draw.priced_edits(molecule, *heat, table(5))) for f in (halos, words))
    assert color(found["5"]) == GRAY.lower() and found["5"].get_linestyle() != "-" and written["5"] == "5: none"
    assert found["4"].get_linestyle() in ("-", "solid")


def test_bars_are_the_cheapest_and_the_most_expensive_valid_edits(molecule, heat):
    figure = draw.priced_edits(molecule, *heat, table(30, invalid=(0, 29)), top=3)
    ax = next(ax for ax in figure.axes if ax.get_xlabel().startswith("learned loss"))
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"edit {n}" for n in (28, 27, 26, 3, 2, 1)]
    lengths = [bar.get_width() for bar in ax.patches]
    assert lengths == sorted(lengths) and lengths[0] == pytest.approx(1 / 29)
    y = [bar.get_y() for bar in ax.patches]
    assert np.diff(y).tolist() == pytest.approx([1, 1, 2, 1, 1])  # a gap between the two groups
    assert "28 valid edits" in ax.get_title()


@pytest.mark.parametrize("count, invalid, kept", [(4, (), 4), (6, (), 6), (2, (0, 1), 0), (0, (), 0)])
def test_few_edits_are_all_shown(molecule, heat, count, invalid, kept):
    figure = rendered(draw.priced_edits(molecule, *heat, table(count, invalid), top=3))
    ax = next(ax for ax in figure.axes if ax.get_xlabel().startswith("learned loss"))
    assert len(ax.patches) == len(ax.get_yticklabels()) == kept


def test_wrong_arguments_are_named(molecule, heat):
    with pytest.raises(ValueError, match=r"nodes \(8,\) and pairs \(8, 8\), got \(3,\)"):
        draw.priced_edits(molecule, heat[0][:3], heat[1], table(3))
    with pytest.raises(ValueError, match=r"lacks columns \['price', 'valid'\]"):
        draw.priced_edits(molecule, *heat, table(3)[["edit"]])
    with pytest.raises(ValueError, match="top must be at least 1"):
        draw.priced_edits(molecule, *heat, table(3), top=0)
    with pytest.raises(ValueError, match="batch of 2"):
        draw.priced_edits(Graph.cat([molecule, molecule]), *heat, table(3))
    with pytest.raises(ValueError, match="got"):
        draw.shared(molecule, molecule, heat, (heat[0], heat[1][:2]))


def test_a_single_node_and_prices_that_are_all_one(molecule):
    one = from_smiles("C", molecule_vocabulary(["C", "N"], 1))
    rendered(draw.priced_edits(one, torch.tensor([0.3]), torch.full((1, 1), torch.nan), table(1)))
    rendered(draw.priced_edits(one, torch.tensor([torch.nan]), torch.full((1, 1), torch.nan), table(0)))
    nobody = Graph.from_labels(torch.zeros(1, 1), torch.zeros(1, 1, 1), one.vocabulary)
    rendered(draw.priced_edits(nobody, torch.tensor([torch.nan]), torch.full((1, 1), torch.nan), table(0)))
    shares = (torch.tensor([2.0]), torch.full((1, 1), torch.nan))
    rendered(draw.shared(one, one, shares, shares))


def test_hostile_labels_are_drawn_as_they_are():
    vocabulary = GraphVocabulary(HOSTILE[:3], HOSTILE[3:], 3)
    graph = Graph.from_labels(
        torch.tensor([[1, 2, 3]]), torch.tensor([[[0, 1, 0], [1, 0, 2], [0, 2, 0]]]), vocabulary
    )
    heat = torch.rand(3), torch.rand(3, 3)
    rendered(draw.priced_edits(graph, *heat, pd.DataFrame({"edit": HOSTILE, "price": 0.5, "valid": True})))
    rendered(draw.shared(graph, graph, heat, heat))


def test_words_lie_in_the_picture(molecule, heat):
    anchor = from_smiles("NC1OCCC1CC=O", molecule_vocabulary(["C", "N", "O"], 10))
    shares = torch.full((10,), -0.25), torch.full((10, 10), 0.25)
    for figure in (draw.priced_edits(molecule, *heat, table(3)), draw.shared(anchor, anchor, shares, shares)):
        width, height = rendered(figure).canvas.get_width_height()
        boxes = [a.get_window_extent() for ax in figure.axes for a in ax.texts]
        assert len(boxes) > 10
        assert all(b.x0 >= 0 and b.x1 <= width and b.y0 >= 0 and b.y1 <= height for b in boxes)


# -- shares ----------------------------------------------------------------------------------------------------
def test_shares_have_their_sign_by_color_dash_and_word(molecule):
    nodes, edges = torch.full((8,), torch.nan), torch.full((8, 8), torch.nan)
    nodes[:6] = torch.tensor([0.5, -0.25, 0.001, -0.001, 0.1, 0.1])
    edges[0, 1] = edges[1, 0] = -0.1
    figure = rendered(draw.shared(molecule, molecule, (nodes, edges), (-nodes, -edges)))
    found, other = halos(figure), halos(figure, 1)
    assert [color(found[part]) for part in ("0", "1", "0-1")] == [c.lower() for c in (BLUE, VERMILION, VERMILION)]
    assert [color(other[part]) for part in ("0", "1", "0-1")] == [c.lower() for c in (VERMILION, BLUE, BLUE)]
    assert found["1"].get_linestyle() != "-" and found["0"].get_linestyle() in ("-", "solid")
    assert found["0"].get_linewidth() > found["1"].get_linewidth() > found["4"].get_linewidth()
    assert words(figure)["0"] == "0: +0.50" and words(figure)["0-1"] == "-0.10"
    assert words(figure)["2"] == "2: 0.00" and words(figure)["3"] == "3: 0.00"
    assert figure.axes[0].get_title().endswith(f"= {0.5 - 0.25 + 0.2 - 0.1:.3f}")


# -- room ------------------------------------------------------------------------------------------------------
def molecules():
    names = molecule_vocabulary(["C", "N", "O"], 10)
    return list(
        from_smiles(["C", "CC", "CC(C)(C)C", "C1CC1", "O=CC1CC(N)OC1C", "C1CC2CC1C2", "CC(C)C(C)(C)C"], names)
    )


@pytest.mark.parametrize("graph", molecules(), ids=lambda graph: to_smiles(graph)[0])
def test_an_added_node_lies_near_its_neighbor_and_clear_of_all_others(graph):
    positions = draw.layout(graph)
    spots = placement.neighbor_positions(graph, positions)
    there = graph.labels()[0][0].nonzero()[:, 0].tolist()
    edges = graph.labels()[1][0].triu(1).nonzero().tolist()
    assert np.isfinite(spots).all(1).nonzero()[0].tolist() == there
    for i in there:
        assert 0.95 < np.linalg.norm(spots[i] - positions[i]) < 2.6
        assert all(np.linalg.norm(spots[i] - positions[j]) > 2 * RADIUS for j in there)
        for a, b in edges:
            t = np.linspace(0, 1, 100)[:, None]
            assert np.linalg.norm(positions[a] + t * (positions[b] - positions[a]) - spots[i], axis=1).min() > RADIUS


@pytest.mark.parametrize("graph", molecules(), ids=lambda graph: to_smiles(graph)[0])
def test_words_lie_at_their_own_node_or_edge(graph):
    positions = draw.layout(graph)
    of_nodes, of_edges = placement.label_positions(graph, positions)
    there = graph.labels()[0][0].nonzero()[:, 0].numpy()
    for i in there:
        distance = np.linalg.norm(positions[there] - of_nodes[i], axis=1)
        assert there[distance.argmin()] == i and distance.min() > RADIUS
    for (i, j), place in of_edges.items():
        assert np.linalg.norm((positions[i] + positions[j]) / 2 - place) == pytest.approx(0.27)
    assert set(of_edges) == {tuple(pair) for pair in graph.labels()[1][0].triu(1).nonzero().tolist()}


def test_room_of_any_graph_is_finite_and_repeatable(vocabulary, generator):
    for graph in random_vertices(vocabulary, 12, generator):
        positions = draw.layout(graph)
        before = positions.copy()
        spots, (of_nodes, of_edges) = (
            placement.neighbor_positions(graph, positions),
            placement.label_positions(graph, positions),
        )
        there = (graph.labels()[0][0] > 0).numpy()
        assert np.array_equal(np.isfinite(spots).all(1), there) and np.array_equal(
            np.isfinite(of_nodes).all(1), there
        )
        assert all(np.isfinite(place).all() for place in of_edges.values())
        assert np.array_equal(positions, before) and np.array_equal(
            placement.neighbor_positions(graph, positions), spots, equal_nan=True
        )


def test_the_span_of_nothing_is_a_span():
    assert placement.finite_range(torch.tensor([torch.nan])) == (0.0, 1.0)
    low, high = placement.finite_range(torch.tensor([0.5, torch.nan]), np.array([0.5]))
    assert low == 0.5 < high
    assert placement.finite_range(torch.tensor([0.5, 2.0]), np.array([[0.25]])) == (0.25, 2.0)


def test_marks_of_the_graph_itself_are_still_there(molecule, heat):
    figure = draw.priced_edits(molecule, *heat, table(3))
    assert len(marked(figure, "node")) == 6


def summary(kinds):
    """Edit costs, most expensive first, whose figures lie around 1, 1/2, 1/3, ...; the last kind has no interval."""
    median = 1 / np.arange(1, kinds + 1)
    told = {"kind": [f"{HOSTILE} {n}" for n in range(kinds)], "count": range(kinds, 0, -1), "median": median}
    told |= {"low": 0.9 * median, "high": 1.2 * median, "q05": 0.5 * median, "q95": 1.5 * median}
    listed = pd.DataFrame(told).assign(mark=["surprisingly dear", *[""] * (kinds - 1)])
    listed.loc[kinds - 1, ["low", "high"]] = np.nan
    return listed


def test_a_price_list_shows_both_ends_in_order():
    listed = summary(12)
    figure = draw.edit_costs(listed, top=3)
    rendered(figure)
    (ax,) = figure.axes
    (dots,) = [line for line in ax.lines if line.get_gid() == "median"]
    assert np.allclose(dots.get_xdata(), listed["median"].iloc[[0, 1, 2, 9, 10, 11]])
    (bands,) = [c for c in ax.collections if c.get_gid() == "band"]
    spans = np.array([segment[:, 0] for segment in bands.get_segments()])
    assert np.allclose(spans, listed[["q05", "q95"]].iloc[[0, 1, 2, 9, 10, 11]])
    said = [text.get_text() for text in ax.texts]
    assert said[0] == "1.00  (of 12)  surprisingly dear" and said[-1] == "0.08  (of 1)"
    assert "3 most expensive and the 3 cheapest of 12" in ax.get_title(loc="left")
    whole = draw.edit_costs(summary(1))
    assert len(whole.axes[0].texts) == 1 and not whole.axes[0].get_title(loc="left")


def test_a_price_list_of_another_make_is_refused():
    with pytest.raises(ValueError, match="lacks columns.*q05"):
        draw.edit_costs(summary(3).drop(columns="q05"))
    with pytest.raises(ValueError, match="lacks rows"):
        draw.edit_costs(summary(3)[:0])
    with pytest.raises(ValueError, match="top must be at least 1"):
        draw.edit_costs(summary(3), top=0)


def said(figure):
    return [text.get_text() for text in figure.texts if text.get_gid() == "said"]


def test_pairs_that_a_loss_hardly_separates_stand_side_by_side(vocabulary, generator):
    graphs = random_vertices(vocabulary, 3, generator)
    others = graphs.permuted(torch.arange(graphs.nodes.shape[1]).flip(0))
    told = pd.DataFrame(
        {"differs": [HOSTILE, "a to b", "c to b"], "path": "node 0: a to b", "edits": 1, "loss": [0.0, 0.01, 0.02]}
    )
    figure = draw.blind_spots(told, graphs, others, most=2)
    rendered(figure)
    words = said(figure)
    assert len(figure.axes) == 4 and words.count("≈") == 2  # two of three pairs
    assert "a to b" in words and "loss 0.010" in words and "c to b" not in words
    equals = draw.blind_spots(pd.DataFrame({"variation": ["node order"], "loss": [0.3]}), graphs[:1], others[:1])
    assert "the same graph, written differently" in said(equals)
    none = draw.blind_spots(told[:0], graphs[:0], others[:0])
    assert len(none.texts) == 1 and not none.axes


def test_pairs_of_another_make_are_refused(vertices):
    told = pd.DataFrame({"differs": ["x"], "loss": [0.1]})
    for table, sides in ((told.drop(columns="loss"), 1), (told.drop(columns="differs"), 1), (told, 2)):
        with pytest.raises(ValueError, match="loss and differs or variation"):
            draw.blind_spots(table, vertices[:sides], vertices[:1])
    with pytest.raises(ValueError, match="most must be at least 1"):
        draw.blind_spots(told, vertices[:1], vertices[:1], most=0)


def test_many_changes_are_not_marked(vertices):
    from elekit.draw.shapes import differences

    one, other = vertices[:1], vertices[1:2]
    every = differences(one, other)
    assert (
        len(every) > 1
        and differences(one, other, len(every)) == every
        and differences(one, other, len(every) - 1) == []
    )
