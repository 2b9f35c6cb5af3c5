"""Figures hold what they should: counted, read and measured; nothing is shown, nothing is left behind."""

import itertools
import re
import subprocess
import sys
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import padded, random_relaxed
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from elekit import draw
from elekit.decoding import SearchStep
from elekit.draw import frames as frames_module
from elekit.draw import layouts
from elekit.draw.base import BLUE, RADIUS, VERTEX
from elekit.draw.decodings import iterate
from elekit.draw.frames import LOOKS, frames
from elekit.draw.scenes import palette, scene
from elekit.draw.svg import graph_svg
from elekit.graphs import augment
from elekit.graphs.graph import Graph, GraphVocabulary, from_edge_lists
from elekit.graphs.smiles import ParsedSmiles, from_parsed, from_smiles, molecule_vocabulary
from elekit.inspect.descent_directions import descent_directions

HOSTILE = ("<img src=x onerror=alert(1)>", "$\\frac", "$x^2$", "a\nb\x00", "_{", "ß→漢")
SMILES = ["Cc1cnc(N)nc1C", "N#CC1CC2CC1CO2", "C[NH3+]", "O"]


@pytest.fixture
def molecules() -> Graph:
    return from_smiles(SMILES, molecule_vocabulary(["C", "N", "O", "F", "N+", "O-"], 9))


@pytest.fixture
def named() -> Graph:
    """Five nodes, six edges, words as labels; two slots are free."""
    vocabulary = GraphVocabulary(("person", "city"), ("knows", "lives in", "is near"), 7)
    edges = [(0, 1, "knows"), (1, 2, "knows"), (0, 2, "knows"), (0, 3, "lives in"), (1, 3, "lives in")]
    edges.append((3, 4, "is near"))
    return from_edge_lists([(["person", "person", "person", "city", "city"], edges)], vocabulary)


def rendered(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()
    return figure


def marked(figure: Figure, kind: str) -> list:
    """Artists of all axes whose gid says that they are a node, edge, share or label."""
    return [a for ax in figure.axes for a in ax.get_children() if (a.get_gid() or "").startswith(kind + "-")]


def texts(figure: Figure) -> list[str]:
    return [a.get_text() for a in marked(figure, "label")]


def soft(graph: Graph, amount: float = 0.4) -> Graph:
    return augment.softened(graph, torch.full((len(graph),), amount), torch.Generator().manual_seed(0))


# -- layout ----------------------------------------------------------------------------------------------------
def test_edges_of_a_layout_are_about_one_long(molecules, named):
    for graph in [*molecules, named]:
        positions = draw.layout(graph)
        i, j = graph.labels()[1][0].triu(1).nonzero().T.numpy()
        lengths = np.linalg.norm(positions[i] - positions[j], axis=1)
        assert positions.shape == (graph.nodes.shape[1], 2) and np.isfinite(positions).all()
        assert not len(lengths) or 0.9 < np.median(lengths) < 2.3


@pytest.mark.parametrize("smiles", ["C12C3C4C1C5C2C3C45", "C12C3C1C1C2C31", "C1CC2(C1)CC2", "C.C.O", "C#CC#CC"])
def test_nodes_of_a_layout_touch_nothing(smiles):
    """Cages too: RDKit draws cubane as a ladder with two bonds hidden behind the others."""
    graph = from_smiles(smiles)
    positions, edges = draw.layout(graph), graph.labels()[1][0].triu(1).nonzero().tolist()
    for n, point in enumerate(positions):
        assert all(np.linalg.norm(point - other) > 0.7 for m, other in enumerate(positions) if m != n)
        for i, j in edges:
            if n not in (i, j):
                t = np.linspace(0, 1, 200)[:, None]
                assert np.linalg.norm(positions[i] + t * (positions[j] - positions[i]) - point, axis=1).min() > 0.2


def apart(positions: np.ndarray, edges) -> tuple[float, float]:
    """Smallest distance between two nodes, and between a node and an edge that does not end in it."""
    gaps = np.linalg.norm(positions[:, None] - positions, axis=-1) + 99 * np.eye(len(positions))
    to_edges, t = [99.0], np.linspace(0, 1, 60)[:, None, None]
    for i, j in edges:
        line = positions[i] + t * (positions[j] - positions[i])
        to_edges.append(np.linalg.norm(np.delete(positions, [i, j], 0) - line, axis=-1).min(initial=99))
    return gaps.min(), min(to_edges)


@pytest.mark.parametrize("nodes", [24, 40, 60])
def test_graphs_of_up_to_60_nodes_are_placed_without_overlaps(nodes):
    for known in (
        nx.random_regular_graph(3, nodes, seed=1),
        nx.convert_node_labels_to_integers(nx.grid_2d_graph(4, nodes // 4)),
        nx.gnm_random_graph(nodes, int(1.2 * nodes), seed=2),
        nx.random_labeled_tree(nodes, seed=3),
        nx.star_graph(nodes - 1),
    ):
        vocabulary = GraphVocabulary(("a",), ("x",), nodes)
        graph = from_edge_lists([(["a"] * nodes, [(i, j, "x") for i, j in known.edges])], vocabulary)
        positions = draw.layout(graph)
        assert np.array_equal(positions, draw.layout(graph))
        to_nodes, to_edges = apart(positions, known.edges)
        assert to_nodes > 2 * RADIUS and to_edges > RADIUS, known


def test_a_large_molecule_has_equal_bonds_and_regular_rings():
    graph = from_smiles("CC(C)Cc1ccc(cc1)C(C)C(=O)NCc1ccc2[nH]c(=O)c(cc2c1)-c1nc2cc(OC)c(OC)cc2[nH]1")
    positions, bonds = draw.layout(graph), graph.labels()[1][0].triu(1).nonzero().tolist()
    lengths = [np.linalg.norm(positions[i] - positions[j]) for i, j in bonds]
    assert np.ptp(lengths) < 0.05 and min(apart(positions, bonds)) > RADIUS
    centers = layouts.ring_centers(graph, positions)
    assert len(centers) == 6 + 11 + 10  # bonds of a ring of six, of two of six, and of one of six and one of five
    for (i, j), center in centers.items():
        assert np.linalg.norm(positions[i] - center) == pytest.approx(np.linalg.norm(positions[j] - center), abs=0.02)


def test_molecules_have_a_layout_without_rdkit(molecules, monkeypatch):
    monkeypatch.setattr(layouts.importlib.util, "find_spec", lambda name: None)
    for graph in molecules:
        positions, bonds = draw.layout(graph), graph.labels()[1][0].triu(1).nonzero().tolist()
        assert min(apart(positions, bonds)) > RADIUS


def test_absent_nodes_lie_around_the_others(molecules, named):
    for graph in (molecules[2], named, padded(molecules[3], 3)):
        positions, there = draw.layout(graph), graph.labels()[0][0].numpy() > 0
        inside, around = positions[there], positions[~there]
        assert np.linalg.norm(inside[:, None] - around, axis=-1).min() > 0.85
        apart = np.linalg.norm(around[:, None] - around, axis=-1) + np.diag([np.inf] * len(around))
        assert apart.min() > 0.6
        beyond = np.abs(around) > np.abs(inside).max(0)  # of the box around the others
        assert beyond.any(1).all()
    nobody = Graph.from_labels(torch.zeros(1, 3), torch.zeros(1, 3, 3), named.vocabulary)
    assert np.isfinite(draw.layout(nobody)).all()


def test_layout_is_that_of_the_rounded_graph_and_repeatable(molecules, named):
    for graph in (molecules[0], named):
        assert np.array_equal(draw.layout(graph), draw.layout(soft(graph, 0.2)))


def test_a_molecule_that_breaks_valences_has_a_layout(molecules):
    every_pair = torch.full((1, 5, 5), 3).triu(1)
    wrong = Graph.from_labels(torch.ones(1, 5), every_pair + every_pair.transpose(1, 2), molecules.vocabulary)
    assert len(np.unique(draw.layout(wrong).round(3), axis=0)) == 5


# -- one graph -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("nodes", [250, 1_200])
def test_large_graphs_have_a_layout_in_time(nodes):
    chain = [(i, i + 1, "single") for i in range(nodes - 1)]
    graph = from_parsed([ParsedSmiles(nodes=("C",) * nodes, edges=tuple(chain))])
    assert np.isfinite(draw.layout(graph)).all()


def test_a_vertex_is_drawn_cleanly(molecules):
    figure = rendered(draw.graph(molecules[0], title="a title"))
    bonds = from_smiles(SMILES[0]).labels()[1][0].triu(1)
    assert len(marked(figure, "node")) == len(marked(figure, "share")) == 9
    assert texts(figure) == ["N"] * 3  # carbon atoms with bonds are small dots without a letter
    radii = [rim.radius for rim in marked(figure, "node")]
    assert sorted(radii) == [VERTEX] * 6 + [RADIUS] * 3
    strokes = torch.tensor([0, 1, 2, 3, 2])  # of each edge channel, the last for aromatic bonds
    assert len(marked(figure, "edge")) == int(strokes[bonds].sum())
    (ax,) = figure.axes
    assert ax.get_legend() is None and not ax.axison and ax.get_aspect() == 1 and ax.get_title() == "a title"


def test_bond_orders_are_strokes(molecules):
    figure = draw.graph(from_smiles("C=CC#N"))
    strokes = [line.get_gid() for line in marked(figure, "edge")]
    assert sorted(strokes.count(gid) for gid in set(strokes)) == [1, 2, 3]


def test_ring_bonds_lie_inside_and_aromatic_ones_are_dashed():
    """Also where no Kekule form exists, as in a decoded ring of five carbons."""
    vocabulary = GraphVocabulary(("C", "NH"), ("single", "double", "triple", "aromatic"), 7, (4, 3), (1, 2, 3, 1))
    for size in (5, 6):
        ring = [(i, (i + 1) % size, "aromatic") for i in range(size)]
        graph = from_edge_lists([(["C"] * size + ["NH"], [*ring, (0, size, "double")])], vocabulary)
        positions = draw.layout(graph)
        middle, found = positions[:size].mean(0), {}
        for line in marked(rendered(draw.graph(graph, positions=positions)), "edge"):
            found.setdefault(line.get_gid(), []).append(line)
        for i, j, _ in ring:
            outer, inner = found[f"edge-{min(i, j)}-{max(i, j)}"]
            off = [np.linalg.norm(np.mean(line.get_xydata(), 0) - middle) for line in (outer, inner)]
            assert off[1] < off[0] - 0.1 and (outer.get_linestyle(), inner.get_linestyle()) == ("-", "--")
        assert [line.get_linestyle() for line in found[f"edge-0-{size}"]] == ["-", "-"]
        written = graph_svg(scene(graph, positions), palette(vocabulary), "a ring")
        assert written.count("stroke-dasharray") == size and written.count("<line") == 2 * size + 2
        assert re.findall(r">(\w+)</text>", written) == ["NH"]


def test_colors_of_elements_are_their_own():
    labels = ("C", "N", "O", "F", "S", "Cl", "P", "Br", "I", "B", "Si", "Se", "NH", "N+", "N+H", "Rh")
    vocabulary = GraphVocabulary(labels, ("single", "aromatic"), 3, order=(1, 1))
    colors = dict(zip(labels, palette(vocabulary)["colors"]))
    assert len({colors[name] for name in labels[:12]}) == 12
    assert colors["NH"] == colors["N"] and colors["N+H"] == colors["N+"] != colors["N"]


def test_a_relaxed_graph_is_drawn_as_probable_as_it_is(molecules):
    graph = soft(molecules[2:3])
    figure = rendered(draw.graph(graph))
    presence = graph.presence()[0]
    assert len(marked(figure, "node")) == int((presence >= draw.VISIBLE).sum())
    shares = {}
    for wedge in marked(figure, "share"):
        node = int(wedge.get_gid().split("-")[1])
        shares[node] = shares.get(node, 0) + (wedge.theta2 - wedge.theta1) / 360
    for node, share in shares.items():
        assert share == pytest.approx(presence[node].item(), abs=0.04)  # what is absent stays open
    (bond,) = [line for line in marked(figure, "edge") if line.get_gid() == "edge-0-1"]
    expected = (1 - graph.edges[0, 0, 1, 0]) * presence[0] * presence[1]
    assert bond.get_alpha() == pytest.approx(expected.item(), abs=1e-5)
    weaker = [line for line in marked(figure, "edge") if line.get_alpha() < bond.get_alpha()]
    assert weaker and all(line.get_linewidth() < bond.get_linewidth() for line in weaker)
    dashed = [rim for rim in marked(figure, "node") if rim.get_linestyle() == "--"]
    assert len(dashed) == len(marked(figure, "node")) - 2 and len(texts(figure)) == 2
    key = figure.axes[0].get_legend()
    assert {t.get_text() for t in key.get_texts()} <= set(graph.vocabulary.node_labels)


def test_other_edge_labels_are_written_and_overlap_nothing(named):
    figure = rendered(draw.graph(named))
    words = ["person"] * 3 + ["city"] * 2 + ["knows"] * 3 + ["lives in"] * 2 + ["is near"]
    assert sorted(texts(figure)) == sorted(words)
    boxes = [t.get_window_extent() for t in marked(figure, "label")]
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
    only_one = GraphVocabulary(("a", "b"), ("edge",), 2)
    assert texts(draw.graph(from_edge_lists([(["a", "b"], [(0, 1, "edge")])], only_one))) == ["a", "b"]


@pytest.mark.parametrize("which", range(len(SMILES)))
def test_labels_stay_on_their_nodes(molecules, which):
    for graph in (molecules[which], soft(molecules[which : which + 1])):
        figure = rendered(draw.graph(graph))
        rims = {rim.get_gid().split("-")[1]: rim.get_window_extent() for rim in marked(figure, "node")}
        for text in marked(figure, "label"):
            box, rim = text.get_window_extent(), rims[text.get_gid().split("-")[1]]
            assert text.get_fontsize() >= 12 and rim.x0 <= box.x0 and box.x1 <= rim.x1
            assert rim.contains(*box.get_points().mean(0))


def test_everything_lies_inside_the_figure(molecules, named):
    for graph in (molecules[0], soft(molecules[:1]), soft(named), molecules[3]):
        figure = rendered(draw.graph(graph, title="words"))
        for artist in [*marked(figure, "node"), *marked(figure, "label"), figure.axes[0].title]:
            box = artist.get_window_extent()
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize("N", [1, 2, 5])
def test_any_relaxed_graph_is_drawn(N, generator):
    for order in (None, (1, 2)):
        vocabulary = GraphVocabulary(("a", "b"), ("x", "y"), N, order=order)
        for graph in random_relaxed(vocabulary, 3, generator):
            assert len(marked(rendered(draw.graph(graph)), "node")) == N
    nobody = Graph.from_labels(torch.zeros(1, N), torch.zeros(1, N, N), vocabulary)
    assert marked(rendered(draw.graph(nobody)), "node") == []


def test_given_axes_and_positions_are_used(molecules):
    positions = torch.rand(9, 2, generator=torch.Generator().manual_seed(0))
    figure = Figure()
    ax = figure.add_subplot(1, 2, 2)
    assert draw.graph(molecules[0], ax, positions=positions) is figure and len(figure.axes) == 1
    centers = [rim.center for rim in marked(figure, "node")]
    assert np.allclose(centers, positions)


def test_inputs_that_need_gradients_are_drawn_and_left_alone(molecules):
    nodes = molecules[0].nodes.clone().requires_grad_()
    before = nodes.detach().clone()
    rendered(draw.graph(Graph(nodes, molecules[0].edges, molecules.vocabulary)))
    assert torch.equal(nodes.detach(), before) and nodes.grad is None


def test_several_graphs_are_drawn_side_by_side(molecules, named):
    figure = rendered(draw.graphs([molecules, named], titles=["a", "b", "c", "d", "$e$"]))
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c", "d", "$e$"]
    assert len(marked(figure, "node")) == 9 + 9 + 2 + 1 + 5
    assert len(draw.graphs(molecules).axes) == 4
    boxes = [ax.get_window_extent() for ax in figure.axes]
    assert all(a.x1 <= b.x0 + 1e-6 for a, b in itertools.pairwise(boxes[:4])) and boxes[4].y1 <= boxes[0].y0


def test_the_key_lies_below_the_nodes(molecules, named):
    for graph in (soft(molecules[:1], 0.9), soft(molecules[3:4]), soft(named)):
        figure = rendered(draw.graph(graph))
        key = figure.axes[0].get_legend().get_window_extent()
        assert all(key.y1 <= rim.get_window_extent().y0 for rim in marked(figure, "node"))
        assert figure.bbox.x0 <= key.x0 and key.x1 <= figure.bbox.x1 and figure.bbox.y0 <= key.y0


# -- curves ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("S", [1, 2, 50])
def test_loss_curve_shows_both_curves_and_the_gap(S):
    relaxed = torch.linspace(2, 0.1, S)
    figure = rendered(draw.loss_curve(relaxed, relaxed + 0.5, stopped="$5 spent"))
    (ax,) = figure.axes
    assert {tuple(line.get_ydata().round(4)) for line in ax.lines} == {
        tuple(values.double().numpy().round(4)) for values in (relaxed, relaxed + 0.5)
    }
    words = {text.get_text() for text in ax.texts}
    assert {"relaxed", "rounded"} <= words and ("rounding gap" in words) == (S > 1)
    assert len(ax.collections) == 1 and ax.get_xlabel() == "iteration\nstopped: $5 spent"


def test_loss_curve_keeps_its_words_apart():
    values = np.linspace(1, 0, 20)
    for rounded in (values, values + 0.01, values - 0.02):
        (ax,) = rendered(draw.loss_curve(values, rounded)).axes
        one, other = [t.get_window_extent() for t in ax.texts if t.get_text() in ("relaxed", "rounded")]
        assert not one.overlaps(other)


def test_ranking_puts_the_best_on_top_and_marks_the_truth():
    losses, names = torch.tensor([0.5, 0.1, 0.9, 0.3]), ["a", "b", "$c$", "d"]
    (ax,) = rendered(draw.ranking(losses, names, 3)).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b   #1", "d   #2", "a   #3", "$c$   #4"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.1, 0.3, 0.5, 0.9])
    assert [bool(bar.get_hatch()) for bar in ax.patches] == ["truth" in t.get_text() for t in ax.texts]
    assert [bool(bar.get_hatch()) for bar in ax.patches] == [False, True, False, False]
    assert ax.yaxis_inverted()


def test_ranking_shows_a_truth_that_is_far_down():
    losses = np.arange(30.0)
    (ax,) = rendered(draw.ranking(losses, [f"n{i}" for i in range(30)], 20, show=5)).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == [f"n{i}   #{i + 1}" for i in (0, 1, 2, 3, 4, 20)]
    (ax,) = rendered(draw.ranking(losses[:1], ["alone"])).axes
    assert len(ax.patches) == 1 and not ax.patches[0].get_hatch()


def test_history_leaves_out_what_was_not_measured():
    records = [{"step": 0, "loss": 2.0}, {"step": 10, "loss": 1.0, "retrieval": 0.5}, {"step": 20, "retrieval": None}]
    loss, found = rendered(draw.history(records)).axes
    assert loss.lines[0].get_xydata().tolist() == [[0, 2], [10, 1]]
    assert found.lines[0].get_xydata().tolist() == [[10, 0.5]]


# -- whatever is drawn -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("label", HOSTILE)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_labels_are_drawn_as_plain_text(label):
    vocabulary = GraphVocabulary((label, "b"), (label, "y"), 3)
    graph = from_edge_lists([([label, "b", label], [(0, 1, label), (1, 2, "y")])], vocabulary)
    start = "".join(c if c.isprintable() else " " for c in label)[:4]
    for one in (graph, soft(graph)):
        figure = rendered(draw.graph(one, title=label))
        assert sum(text.startswith(start) for text in texts(figure)) == 3
        drawn = [t for t in figure.findobj(lambda a: hasattr(a, "get_parse_math")) if start in t.get_text()]
        assert len(drawn) >= 4 and not any(t.get_parse_math() for t in drawn)
    rendered(draw.ranking([0.1, 0.2], [label, "b"], 0))
    rendered(draw.loss_curve([1, 0.5], [2, 1.5], stopped=label))


def test_a_figure_shows_itself_in_a_notebook(molecules):
    for figure in (draw.graph(molecules[0]), draw.graphs(molecules), draw.loss_curve([2, 1], [2, 1])):
        assert figure._repr_png_().startswith(b"\x89PNG")


def test_no_pyplot_and_no_rdkit_where_no_molecule_is_drawn():
    """In a fresh process: figures of other graphs load neither, and pyplot keeps no figure."""
    code = """
import sys
from elekit import draw
from elekit.graphs.graph import from_edge_lists, GraphVocabulary
graph = from_edge_lists([(["a", "b"], [(0, 1, "x")])], GraphVocabulary(("a", "b"), ("x", "y"), 3))
draw.graphs([graph, graph])
draw.loss_curve([1, 2], [2, 3])
draw.ranking([1], ["a"])
draw.history([{"step": 1, "loss": 1}])
assert not {"matplotlib.pyplot", "rdkit"} & set(sys.modules), "pyplot or rdkit was imported"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "call, what",
    [
        (lambda g: draw.graph(g), "batch of 4"),
        (lambda g: draw.layout(g[:0]), "batch of 0"),
        (lambda g: draw.graph(g[0], positions=np.zeros((3, 2))), r"positions must be \(9, 2\)"),
        (lambda g: draw.graphs(g, ["a"]), "got 4 and 1"),
        (lambda g: draw.graphs([]), "at least one graph"),
        (lambda g: draw.loss_curve([1, 2], [1]), "two curves"),
        (lambda g: draw.loss_curve([], []), "S >= 1"),
        (lambda g: draw.ranking([1, 2], ["a"]), "1 names"),
        (lambda g: draw.ranking([1, 2], ["a", "b"], 2), r"candidate 0\.\.1"),
        (lambda g: draw.history([{"step": 1}]), "nothing to draw"),
    ],
)
def test_what_cannot_be_drawn_is_refused(molecules, call, what):
    with pytest.raises(ValueError, match=what):
        call(molecules)


def test_a_trace_shows_iterates_result_edits_and_truth(relaxed_trace):
    trace, truth = relaxed_trace
    figure = draw.trace(trace, truth=truth, frames=3)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0] == "iteration 0" and titles[-2] == "truth" and any(t.startswith("rounded") for t in titles)
    assert len(figure.axes) == len(titles) and figure.axes[-1].get_ylabel() == "learned loss"


def test_an_equal_truth_is_drawn_where_the_result_is(relaxed_trace):
    trace, _ = relaxed_trace
    N = trace.result.nodes.shape[1]
    figure = draw.trace(trace, truth=trace.result.permuted(torch.arange(N).flip(0)))

    def places(ax):
        return sorted(tuple(np.round(p.center, 6)) for p in ax.patches if (p.get_gid() or "").startswith("node-"))

    assert places(figure.axes[-3]) == places(figure.axes[-2])


def test_a_trace_needs_two_frames(relaxed_trace):
    with pytest.raises(ValueError, match="frames"):
        draw.trace(relaxed_trace[0], frames=1)


def test_a_step_shows_graph_directions_truth_and_where_it_is(relaxed_trace):
    trace, truth = relaxed_trace
    wanted = descent_directions(trace)
    figure = rendered(iterate(trace, 3, truth=truth, directions=wanted))
    run = frames(trace, wanted)
    graph, true, chart = figure.axes
    assert (graph.get_title(), true.get_title()) == ("iteration 3 of 12", "truth")
    halos = {h.get_gid(): h for h in graph.get_children() if (h.get_gid() or "").startswith("halo-")}
    assert set(halos) == {f"halo-{'-'.join(map(str, mark.part))}" for mark in run.marks[3]}
    for mark in run.marks[3]:
        halo, (color, dashed, _) = halos[f"halo-{'-'.join(map(str, mark.part))}"], LOOKS[mark.kind]
        edge = halo.get_edgecolor() if hasattr(halo, "get_edgecolor") else halo.get_color()
        assert to_hex(edge) == color.lower() and (halo.get_linestyle() != "-") == dashed
    widths = [halos[f"halo-{'-'.join(map(str, mark.part))}"].get_linewidth() for mark in run.marks[3]]
    assert widths == sorted(widths, reverse=True) and widths[0] > widths[-1]
    drawn = len(marked(figure, "ghost")) + len([n for n in marked(figure, "node") if n.axes is graph])
    assert drawn == len(marked(figure, "number")) == 4  # every slot, there or not
    (cursor,) = [line for line in chart.lines if line.get_gid() == "cursor"]
    relaxed = next(line for line in chart.lines if len(line.get_ydata()) == 13 and line.get_color() == BLUE)
    assert cursor.get_xdata()[0] == pytest.approx(relaxed.get_xdata()[3])
    assert relaxed.get_ydata() == pytest.approx(trace.relaxed.numpy())
    assert said(figure)[0] == run.reading(3)
    assert said(figure)[1].count(run.marks[3][0].words) == 1
    assert f"rounding gap {trace.gap[3]:.3f}" in said(figure)[2] and trace.stopped in chart.get_xlabel()


def said(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts if text.get_gid() == "said"]


def test_two_runs_at_one_step_and_the_one_that_is_over_stays(relaxed_trace):
    trace, truth = relaxed_trace
    short = replace(trace, iterates=trace.iterates[:5], best=4, **{
        name: getattr(trace, name)[:5]
        for name in ("relaxed", "rounded", "gradient_norm", "step_size", "projection", "node_gradient", "edge_gradient")
    })  # fmt: skip
    figure = rendered(iterate(short, 9, truth=truth, compare=trace, names=("$short$", "long")))
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["$short$: iterate 4 rounded", "long: iteration 9 of 12", "truth", ""]
    assert len(said(figure)) == 4 and marked(figure, "halo") == []
    names = figure.axes[-1].texts
    assert {t.get_text() for t in names} == {f"{n} {w}" for n in ("$short$", "long") for w in ("relaxed", "rounded")}
    boxes = [text.get_window_extent() for text in names]
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
    assert {line.get_linestyle() for line in figure.axes[-1].lines} >= {"-", "--"}


def test_edits_are_steps_too(relaxed_trace):
    trace, truth = relaxed_trace  # three atoms in four slots
    nodes, edges = (labels.clone() for labels in truth.labels())
    nodes[0, 0] = 1 + nodes[0, 0] % 3
    after = Graph.from_labels(nodes, edges, truth.vocabulary)
    polished = (SearchStep("start 2", 0.5, truth, restart=True), SearchStep("node 0: in words", 0.25, after))
    figure = rendered(iterate(replace(trace, search_steps=polished), len(trace) + 2))
    assert figure.axes[0].get_title() == "edit 1 of 1"
    assert [halo.get_gid() for halo in marked(figure, "halo")] == ["halo-0"]
    assert [ghost.get_gid() for ghost in marked(figure, "ghost")] == ["ghost-3"]
    assert "node 0: in words" in said(figure)[0] and "to 0.250" in said(figure)[0]


def test_a_part_that_an_edit_moves_does_not_stretch_its_edge():
    vocabulary = molecule_vocabulary(["C", "O"], 9)
    truth = from_smiles("CCCCCCCO", vocabulary)
    nodes, edges = (labels.clone() for labels in truth.labels())
    edges[0, 6, 7] = edges[0, 7, 6] = 0
    edges[0, 0, 7] = edges[0, 7, 0] = 1
    moved = Graph.from_labels(nodes, edges, vocabulary)
    where = layouts.layout(truth)
    (after,) = frames_module._search_positions(truth, where, (SearchStep("O moved", 0.1, moved),))
    assert np.linalg.norm(after[0] - after[7]) < 1.5
    (same,) = frames_module._search_positions(truth, where, (SearchStep("none", 0.1, truth),))
    assert np.array_equal(same, where)


@pytest.mark.parametrize("step", [-1, 14])
def test_a_step_that_there_is_not_is_refused(relaxed_trace, step):
    with pytest.raises(ValueError, match=rf"0\.\.13, got {step}"):
        iterate(relaxed_trace[0], step)


@pytest.mark.parametrize("label", HOSTILE)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_names_of_a_run_are_drawn_as_plain_text(relaxed_trace, label):
    trace, truth = relaxed_trace
    names = GraphVocabulary((label, "N", "O"), (label, "double", "triple", "aromatic"), 4)
    hostile = replace(trace, iterates=replace(trace.iterates, vocabulary=names), stopped=label)
    named = replace(truth, vocabulary=names)
    figure = iterate(
        hostile, 2, truth=named, directions=descent_directions(hostile), compare=hostile, names=(label, label)
    )
    start = "".join(c if c.isprintable() else " " for c in label)[:4]
    drawn = [t for t in figure.findobj(lambda a: hasattr(a, "get_parse_math")) if start in t.get_text()]
    assert len(drawn) > 6 and not any(t.get_parse_math() for t in drawn)
    rendered(figure)


@pytest.fixture
def relaxed_trace():
    from elekit.decoding import DecodeConfig, GradientConfig, decode
    from elekit.model.embedding import EmbeddingConfig, GraphEmbedding

    truth = from_smiles("CC#N", molecule_vocabulary(["C", "N", "O"], 4))
    torch.manual_seed(0)
    psi = GraphEmbedding(truth.vocabulary, EmbeddingConfig(hidden=8, rounds=2, dim=16))
    config = DecodeConfig("gradient", gradient=GradientConfig(iterations=12, starts=2))
    return decode(psi, psi(truth).detach(), config=config, record=True).traces[0], truth
