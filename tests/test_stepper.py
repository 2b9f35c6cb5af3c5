"""Stepping through a decoding run: what the loss wants, the frames, the widget in the kernel and in a browser."""

import base64
import contextlib
import gc
import itertools
import json
import re
import tracemalloc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
import traitlets
from conftest import equal, random_relaxed

from elekit import draw
from elekit.decoding import DecodeConfig, Decoded, GradientConfig, SearchStep, Trace, decode
from elekit.decoding.gradient import single_step_traces
from elekit.draw.frames import (
    FAINTEST,
    GHOSTS,
    MARKED,
    frame_positions,
    frames,
    frames_of_runs,
    matching_layout,
    without_faint,
)
from elekit.evaluation.conformal import Calibration
from elekit.evaluation.conformal.sets import PredictionSet
from elekit.graphs.constraints import Constraints
from elekit.graphs.edit_distance import isomorphic
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.inspect.descent_directions import descent_directions
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.model.loss import squared_distance
from elekit.widgets import bundle
from elekit.widgets.stepper import step_through
from elekit.widgets.stepper_state import packed

HOSTILE = '<img src=x onerror="window.hacked=1">'


def psi_of(vocabulary) -> GraphEmbedding:
    torch.manual_seed(0)
    return GraphEmbedding(vocabulary, EmbeddingConfig(hidden=8, rounds=2, dim=16))


def run_of(vocabulary, truth, iterations=12, rule="euclidean", method="gradient+polish", seed=0) -> Trace:
    psi = psi_of(vocabulary)
    config = DecodeConfig(method, gradient=GradientConfig(rule=rule, iterations=iterations, starts=2), seed=seed)
    return decode(psi, psi(truth).detach(), config=config, record=True).traces[0]


@pytest.fixture(scope="module")
def truth(vocabulary) -> Graph:
    nodes = torch.tensor([[1, 2, 3, 1, 0]])
    edges = torch.zeros(1, 5, 5, dtype=torch.long)
    for i, j, r in ((0, 1, 1), (1, 2, 2), (2, 3, 1)):
        edges[0, i, j] = edges[0, j, i] = r
    return Graph.from_labels(nodes, edges, vocabulary)


@pytest.fixture(scope="module")
def trace(vocabulary, truth) -> Trace:
    return run_of(vocabulary, truth)


def edited(trace: Trace, *steps: tuple[str, Graph]) -> Trace:
    """The same run with these steps of local search, (description, graph); "start 2" and the like are restarts."""
    made = [SearchStep(w, 0.5 / (n + 1), graph, w.startswith("start")) for n, (w, graph) in enumerate(steps)]
    return replace(trace, search_steps=tuple(made))


def with_node(graph: Graph, i: int, label: int, to: int | None = None) -> Graph:
    nodes, edges = (labels.clone() for labels in graph.labels())
    nodes[0, i] = label
    if to is not None:
        edges[0, i, to] = edges[0, to, i] = 1
    return Graph.from_labels(nodes, edges, graph.vocabulary)


# -- what the loss wants ---------------------------------------------------------------------------------------
def test_a_gain_is_the_frank_wolfe_gap_of_its_row(trace):
    found = descent_directions(trace)
    N = trace.iterates.nodes.shape[1]
    rows = [(trace.iterates.nodes[:, i], trace.node_gradient[:, i]) for i in range(N)]
    rows += [(trace.iterates.edges[:, i, j], trace.edge_gradient[:, i, j]) for i in range(N) for j in range(i + 1, N)]
    gains = torch.cat([found.nodes, found.pairs], 1)
    channels = torch.cat([found.node_channels, found.pair_channels], 1)
    assert gains.shape == channels.shape == (len(trace), N + N * (N - 1) // 2) and (gains >= 0).all()
    for n, (row, gradient) in enumerate(rows):
        for s in range(len(trace)):
            p, g = row[s].tolist(), gradient[s].tolist()
            gap = sum(a * b for a, b in zip(p, g)) - min(g)
            assert gains[s, n].item() == pytest.approx(gap, abs=1e-5)
            assert channels[s, n] == (g.index(min(g)) if gains[s, n] > 0 else -1)


def test_a_gain_is_what_the_loss_falls_by_to_first_order(vocabulary, truth, generator):
    """Moving a row a little along its direction lowers loss + penalty by that little times the gain."""
    psi, graph = psi_of(vocabulary).double(), random_relaxed(vocabulary, 1, generator, torch.float64)
    target = psi(truth.to(torch.float64)).detach()
    found = Decoded(graph, torch.zeros(1), graph, torch.zeros(1, 1))
    (here,) = single_step_traces(psi, target, found, Constraints(), 0.3, "")
    found = descent_directions(here)

    def objective(nodes, edges):
        moved = Graph(nodes, edges, vocabulary)
        return (squared_distance(psi(moved), target) + 0.3 * moved.valence_violation()).item()

    before, little = objective(graph.nodes, graph.edges), 1e-6
    for i in range(5):
        nodes = graph.nodes.clone()
        nodes[0, i] = torch.lerp(nodes[0, i], torch.eye(vocabulary.K).double()[found.node_channels[0, i]], little)
        assert (before - objective(nodes, graph.edges)) / little == pytest.approx(found.nodes[0, i].item(), abs=1e-4)
    for p, (i, j) in enumerate(torch.triu_indices(5, 5, 1).T.tolist()):
        edges = graph.edges.clone()
        row = torch.lerp(edges[0, i, j], torch.eye(vocabulary.R).double()[found.pair_channels[0, p]], little)
        edges[0, i, j] = edges[0, j, i] = row
        assert (before - objective(graph.nodes, edges)) / little == pytest.approx(found.pairs[0, p].item(), abs=1e-4)


def test_nothing_is_wanted_at_the_best_vertex(trace):
    best = Graph.from_labels(
        trace.node_gradient.argmin(-1), trace.edge_gradient.argmin(-1), trace.iterates.vocabulary
    )
    found = descent_directions(replace(trace, iterates=best))
    assert not found.nodes.any() and not found.pairs.any()
    assert (found.node_channels == -1).all() and (found.pair_channels == -1).all()
    assert found.strongest(0, 5) == [] and frames(trace, found).marks[0] == ()


def test_a_gradient_that_is_not_finite_wants_nothing(trace):
    found = descent_directions(replace(trace, node_gradient=torch.full_like(trace.node_gradient, torch.nan)))
    assert not found.nodes.any() and (found.node_channels == -1).all() and found.pairs.any()


def test_the_strongest_directions_in_words(trace, vocabulary):
    found = descent_directions(trace)
    gains = {(i,): found.nodes[3, i].item() for i in range(5)}
    gains |= {tuple(p): found.pairs[3, n].item() for n, p in enumerate(torch.triu_indices(5, 5, 1).T.tolist())}
    first = found.strongest(3, 4)
    assert [w.part for w in first] == sorted(gains, key=gains.get, reverse=True)[:4]
    for one in found.strongest(3, 100):
        kind = "node" if len(one.part) == 1 else "edge"
        names = vocabulary.node_labels if kind == "node" else vocabulary.edge_labels
        part = "-".join(str(i) for i in one.part)
        wanted = f"become {names[one.channel - 1]}" if one.channel else "go"
        assert one.description == f"{kind} {part} to {wanted}" and one.gain == pytest.approx(gains[one.part])
    some = found.strongest(3, 100, share=0.5)
    assert {w.part for w in some} == {part for part in gains if gains[part] >= 0.5 * first[0].gain}


# -- frames ----------------------------------------------------------------------------------------------------
def test_frames_are_iterates_rounding_and_edits(trace):
    answer = trace.iterates[trace.best].rounded()
    run = frames(edited(trace, ("start 2", with_node(answer, 0, 2)), ("node 0: b to c", with_node(answer, 0, 3))))
    S = len(trace)
    assert len(run) == S + 3 and run.iterates == S
    assert equal(run.graphs[:S], trace.iterates) and equal(run.graphs[S], answer)
    assert run.relaxed[:S] == pytest.approx(trace.relaxed.numpy()) and np.isnan(run.relaxed[S:]).all()
    assert run.rounded[:S] == pytest.approx(trace.rounded.numpy())
    assert run.rounded[S:].tolist() == pytest.approx([trace.rounded[trace.best].item(), 0.5, 0.25])
    assert run.names[0] == f"iteration 0 of {S - 1}" and run.names[S] == f"iterate {trace.best} rounded"
    assert run.names[S + 1 :] == ("start 2", "edit 1 of 1")
    assert run.numbers[2] == tuple(
        f"{values[2]:.3f}"
        for values in (
            trace.relaxed,
            trace.rounded,
            trace.gap,
            trace.gradient_norm,
            trace.step_size,
            trace.projection,
        )
    )
    assert run.at(10**6) == S + 2


def test_a_frame_reads_as_one_sentence(trace):
    found = descent_directions(trace)
    run, S = frames(trace, found), len(trace)
    most = found.strongest(2, 1)[0].description
    for shown in ("Iteration 2", f"{trace.relaxed[2]:.3f}", f"{trace.rounded[2]:.3f}", most):
        assert shown in run.reading(2)
    assert most not in frames(trace).reading(2) and run.reading(2).endswith(".")
    assert trace.stopped in run.reading(S - 1) and trace.stopped in run.reading(S)


def test_marks_are_the_strongest_directions(trace):
    found = descent_directions(trace)
    for s, marks in enumerate(frames(trace, found).marks[: len(trace)]):
        wanted = found.strongest(s, 1000)
        wanted = [w for w in wanted if w.gain >= FAINTEST * wanted[0].gain][:MARKED]
        assert [(m.part, m.kind, m.size) for m in marks] == [
            (w.part, "more" if w.channel else "less", w.gain) for w in wanted
        ]


def test_edits_stay_in_place_and_mark_what_they_change(trace, truth):
    answer = with_node(truth, 3, 0).rounded()  # a path of the slots 0 to 2
    trace = replace(trace, iterates=answer, best=0, **_first(trace))
    grown = with_node(answer, 3, 2, 2)
    longer = with_node(grown, 4, 1, 3)
    run = frames(edited(trace, ("b at 2", grown), ("a at 3", longer), ("start 3", with_node(longer, 0, 3))))
    S = run.iterates
    marks = [{mark.part for mark in marks} for marks in run.marks[S + 1 :]]
    assert marks == [{(3,), (2, 3)}, {(4,), (3, 4)}, set()]
    assert {mark.kind for mark in run.marks[S + 1]} == {"changed"}
    for frame, new, to in ((S + 1, 3, 2), (S + 2, 4, 3)):  # what was there stays, a new node lies by its neighbor
        before, after = run.positions[frame - 1], run.positions[frame]
        assert np.array_equal(np.delete(after, new, 0), np.delete(before, new, 0))
        assert not np.array_equal(after[new], before[new])
        others = np.linalg.norm(np.delete(after, new, 0) - after[new], axis=1)
        assert np.linalg.norm(after[new] - after[to]) < 2.6 and others.min() > 2 * draw.RADIUS
    assert np.array_equal(run.positions[S + 3], draw.layout(with_node(longer, 0, 3)))


def _first(trace: Trace) -> dict:
    names = ("relaxed", "rounded", "gradient_norm", "step_size", "projection", "node_gradient", "edge_gradient")
    return {name: getattr(trace, name)[:1] for name in names}


def test_an_equal_result_is_laid_alike(truth):
    order = torch.tensor([3, 1, 4, 0, 2])
    positions = draw.layout(truth)
    placed = matching_layout(truth.permuted(order), truth, positions)
    same = [n for n, i in enumerate(order.tolist()) if i != 4]
    assert placed[same] == pytest.approx(positions[order[same]])
    other = with_node(truth, 0, 3)
    assert np.array_equal(matching_layout(other, truth, positions), draw.layout(other))


def test_edits_lie_apart_on_the_axis(trace):
    run = frames(edited(trace, ("node 0: a to b", trace.result)))
    across = frame_positions([run])
    assert across[0] == 0 and across[-1] == pytest.approx(1) and len(across) == len(run)
    gaps = np.diff(across)
    assert np.allclose(gaps[: run.iterates - 1], gaps[0]) and (gaps > 0).all()
    long = frames(replace(trace, iterates=Graph.cat([trace.iterates] * 9), **_repeated(trace, 9)))
    gaps = np.diff(frame_positions([long]))
    assert gaps[-1] > 2 * gaps[0]
    assert len(frame_positions([run, long])) == len(long)
    assert frame_positions([run, long])[: len(run)] != pytest.approx(across)


def _repeated(trace: Trace, times: int) -> dict:
    return {name: torch.cat([getattr(trace, name)] * times) for name in _first(trace)}


# -- the widget without a browser ------------------------------------------------------------------------------
def test_the_browser_gets_every_frame(trace, truth):
    widget = step_through(trace, truth=truth, compare=trace, names=("one", "other"))
    run = frames(trace, descent_directions(trace))
    assert widget.numbers == 2 * packed(run)
    nodes, pairs = unpacked(packed(run), run.graphs)
    assert torch.allclose(nodes, run.graphs.nodes, atol=1e-5)
    strength = (1 - run.graphs.edges[..., 0]) * run.graphs.presence()[:, None] * run.graphs.presence()[..., None]
    seen = strength >= draw.VISIBLE
    assert torch.allclose(pairs[seen], run.graphs.edges[seen], atol=1e-5) and (pairs[~seen][..., 0] == 1).all()
    first, second = widget.runs
    assert (first["name"], second["name"]) == ("one", "other") and widget.last == len(run) - 1
    assert [first["layouts"][n] for n in first["laid"]] == [p.round(3).tolist() for p in run.positions]
    part, kind, size, words = run.marks[0][0]
    assert first["marks"][0][0] == [list(part), kind, pytest.approx(size, abs=1e-3), words]
    json.dumps([widget.runs, widget.across, widget.truth_scene, widget.palette], allow_nan=False)


def unpacked(sent: bytes, graphs: Graph) -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes (F, N, K) and symmetric edges (F, N, N, R) that the browser reads from the bytes of a run."""
    F, N, K = graphs.nodes.shape
    counts = np.frombuffer(sent, "<u4", F)
    pairs = np.frombuffer(sent, "<u4", counts.sum(), 4 * F)
    shares = torch.tensor(np.frombuffer(sent, "<u2", offset=4 * (F + counts.sum())) / 65_535).float()
    edges = torch.zeros(graphs.edges.shape)
    edges[..., 0] = 1
    i, j = np.array(np.triu_indices(N, 1))[:, pairs]
    frame = np.repeat(np.arange(F), counts)
    rows = shares[F * N * K :][: len(pairs) * edges.shape[-1]].reshape(len(pairs), -1)
    edges[frame, i, j] = edges[frame, j, i] = rows
    return shares[: F * N * K].reshape(F, N, K), edges


def test_nodes_that_are_rather_absent_are_few_and_lie_near(generator):
    vocabulary = GraphVocabulary(("a", "b"), ("x",), 90)
    graphs = random_relaxed(vocabulary, 6, generator)
    share = torch.rand(6, 90, generator=generator) ** 3  # of presence: most are rather absent
    nodes = torch.stack([1 - share, 0.4 * share, 0.6 * share], dim=2)
    before, after = share, without_faint(replace(graphs, nodes=nodes)).presence()
    assert torch.equal(after[before >= 0.5], before[before >= 0.5])
    for was, now in zip(before, after):
        faint = was[(was < 0.5) & (was >= 0.05)].sort(descending=True).values
        assert len(faint) > 2 * GHOSTS
        assert now[(now < 0.5) & (now >= 0.05)].sort(descending=True).values.tolist() == pytest.approx(
            faint[:GHOSTS].tolist()
        )
    small = random_relaxed(GraphVocabulary(("a", "b"), ("x",), GHOSTS), 3, generator)
    assert without_faint(small) is small


def test_long_runs_of_large_graphs_are_thinned_and_what_is_kept_is_exact(generator):
    vocabulary = GraphVocabulary(("a", "b"), ("x",), 60)
    iterates, S = random_relaxed(vocabulary, 150, generator), 150
    numbers = torch.rand(5, S, generator=generator)
    made = Trace(
        torch.zeros(4), iterates, *numbers, torch.randn(iterates.nodes.shape), torch.randn(iterates.edges.shape),
        best=77, stopped="done",
    )  # fmt: skip
    run = frames(made)
    kept = np.array(run.iterations)
    assert {0, 77, 149} <= set(run.iterations) and 100 < len(kept) < 115 and (np.diff(kept) > 0).all()
    assert (
        equal(run.graphs[: run.iterates], without_faint(iterates[kept]))
        and run.names[3] == f"iteration {kept[3]} of 149"
    )
    assert run.relaxed[: len(kept)] == pytest.approx(numbers[0, kept].numpy())
    nodes, edges = unpacked(packed(run), run.graphs)
    assert torch.allclose(nodes, run.graphs.nodes, atol=1e-5)
    listed = (edges[:, :, :, 0] < 1).sum((1, 2)) // 2
    assert listed.max() <= 180 and len(packed(run)) < 400_000
    parts = {name: getattr(made, name)[:90] for name in _first(made)}
    long, short = frames_of_runs([made, replace(made, iterates=iterates[:90], best=5, **parts)], [None, None])
    assert short.iterations == tuple(s for s in long.iterations if s < 90) and {5, 89} <= set(short.iterations)


def test_two_runs_to_one_graph_are_laid_alike(trace, truth):
    first = replace(trace, iterates=truth, best=0, **_first(trace))
    order = torch.tensor([3, 1, 4, 0, 2])
    widget = step_through(first, compare=replace(first, iterates=truth.permuted(order)))
    ours, theirs = (np.array(run["layouts"][0]) for run in widget.runs)
    there = order != 4  # the slot 4 is free
    assert np.array_equal(theirs[there], ours[order[there]])


def test_150_iterates_of_nine_nodes_weigh_less_than_a_megabyte(generator):
    vocabulary = GraphVocabulary(tuple("CNOFSPHIB"), ("single", "double", "triple", "other"), 9)
    iterates, S = random_relaxed(vocabulary, 151, generator), 151
    made = Trace(
        torch.zeros(4), iterates, *torch.rand(5, S), torch.randn(iterates.nodes.shape),
        torch.randn(iterates.edges.shape), best=S - 1, stopped="done",
    )  # fmt: skip
    widget = step_through(made)
    state = {name: value for name, value in widget.get_state().items() if not name.startswith("_")}
    size = len(state.pop("numbers")) + len(json.dumps(state, default=str))
    assert 200_000 < size < 1_000_000


def test_steps_and_speed_that_are_not_possible_are_refused(trace):
    widget = step_through(trace, step=3)
    assert widget.step == 3
    for name, value in (("step", -1), ("step", widget.last + 1), ("speed", 0), ("speed", 100), ("show", "all")):
        before = getattr(widget, name)
        with pytest.raises(traitlets.TraitError, match=re.escape(str(value))):
            setattr(widget, name, value)
        assert getattr(widget, name) == before
    widget.step = widget.last


def test_the_picture_is_the_frame_shown(trace, truth):
    widget = step_through(trace, truth=truth, step=4)
    words = {text.get_text() for text in widget.picture().findobj(lambda a: hasattr(a, "get_text"))}
    assert frames(trace, descent_directions(trace)).reading(4) in words
    widget.show = "none"
    words = {text.get_text() for text in widget.picture().findobj(lambda a: hasattr(a, "get_text"))}
    assert frames(trace).reading(4) in words
    data, _ = widget._repr_mimebundle_()
    assert data["image/png"].startswith("iVBORw0KGgo")


def set_of(
    graphs: Graph, losses: list[float], decoded: Graph | None = None, size: int | None = None
) -> PredictionSet:
    answer, size = graphs[0] if decoded is None else decoded, len(graphs) if size is None else size
    return PredictionSet(graphs, torch.tensor(losses), size, answer, 0.04, Calibration(0.9, 0.25, 99), max_size=7)


def test_a_prediction_set_says_how_sure_it_is(trace, truth):
    answer, other = trace.result, with_node(truth, 0, 3)
    widget = step_through(trace, truth=truth, sets=[set_of(Graph.cat([answer, other]), [0.04, 0.1])])
    assert widget.found["says"] == "one of these 2, at 90 %" and len(widget.found["graphs"]) == 2
    first, second = widget.found["graphs"]
    same = bool(isomorphic(truth, answer))
    assert first["words"] == "loss 0.040, decoded" + ", truth" * same and second["words"] == "loss 0.100"
    assert "a graph of 4 nodes and 3 edges" in (first["name"], second["name"])
    json.dumps(widget.found, allow_nan=False)
    words = {text.get_text() for text in widget.picture().findobj(lambda a: hasattr(a, "get_text"))}
    assert "one of these 2, at 90 %" in words and "radius 0.250" in words
    empty = step_through(trace, sets=set_of(answer[:0], [], decoded=answer))
    assert empty.found["says"] == "unsure: no graph lies within the radius of 0.250"
    assert [one["words"] for one in empty.found["graphs"]] == ["loss 0.040, decoded, outside the set"]
    empty.picture()
    large = step_through(trace, sets=set_of(Graph.cat([other] * 7), [0.1] * 7, decoded=answer, size=30))
    assert large.found["says"] == "unsure: 30 graphs lie within the radius, more than 7 (the nearest 6 are shown)"
    assert step_through(trace).found == {}


def test_one_trace_in_a_tuple_is_that_trace(trace):
    assert step_through((trace,)).trace is trace and step_through([trace], compare=(trace,)).compare is trace


def test_what_cannot_be_stepped_through_is_refused(trace, truth, vocabulary):
    other = GraphVocabulary(("a", "b", "z"), ("thin", "thick"), 5)
    foreign = Graph(truth.nodes, truth.edges, other)
    elsewhere = replace(trace, target=-trace.target)
    relabeled = replace(trace, iterates=replace(trace.iterates, vocabulary=other))
    decoded = Decoded(truth, torch.zeros(1), truth, torch.zeros(1, 1), (trace,))
    for call, what in (
        (lambda: step_through(()), "trace .* none; .*record=True"),
        (lambda: step_through((trace, trace)), "trace .* 2 in a tuple"),
        (lambda: step_through(decoded), r"trace .* Decoded; .*traces\[0\]"),
        (lambda: step_through(truth), "trace .* Trace, got Graph"),
        (lambda: step_through(trace, compare=truth), "compare .* Trace, got Graph"),
        (lambda: step_through(trace, compare=elsewhere), "different targets"),
        (lambda: step_through(trace, compare=relabeled), "compare has other labels"),
        (lambda: step_through(trace, truth=foreign), "truth has other labels"),
        (lambda: step_through(trace, truth=Graph.cat([truth, truth])), "batch of 2"),
        (lambda: step_through(trace, step=1000), r"step .* 0\.\.\d+, got 1000"),
        (lambda: step_through(trace, names=("a",)), "names must be two"),
        (lambda: step_through(trace, sets=truth), "sets .* PredictionSet, got Graph"),
        (lambda: step_through(trace, sets=[1, 2]), "sets .* 2 in a list"),
        (lambda: step_through(trace, sets=set_of(foreign, [0.1])), "sets has other labels"),
    ):
        with pytest.raises(ValueError, match=what):
            call()


def test_the_inputs_are_left_alone(trace, truth):
    before = [t.clone() for t in (trace.iterates.nodes, trace.iterates.edges, trace.relaxed, truth.nodes)]
    step_through(trace, truth=truth, compare=trace).picture()
    after = (trace.iterates.nodes, trace.iterates.edges, trace.relaxed, truth.nodes)
    assert all(torch.equal(a, b) for a, b in zip(before, after))


def test_a_candidate_and_a_single_node_are_runs_too(truth, vocabulary):
    nearest = decode(psi_of(vocabulary), psi_of(vocabulary)(truth).detach(), candidates=truth, record=True).traces[0]
    widget = step_through(nearest, truth=truth)
    assert widget.last == 1 + len(nearest.search_steps) and widget.runs[0]["names"][0] == "iteration 0 of 0"
    widget.picture()
    lonely = GraphVocabulary(("a", "b"), ("thin",), 1)
    one = Graph.from_labels(torch.tensor([[1]]), torch.zeros(1, 1, 1), lonely)
    widget = step_through(run_of(lonely, one, iterations=3), truth=one)
    size = (4 + 2 * 3) * len(widget.runs[0]["names"])
    assert len(widget.numbers) == size + -size % 4
    widget.picture()


def test_closing_frees_and_stepping_keeps_nothing(trace, truth):
    widget = step_through(trace, truth=truth, compare=trace)
    gone = weakref.ref(widget)
    tracemalloc.start()
    for n in range(20):
        widget.step = n % widget.last
    before = tracemalloc.get_traced_memory()[0]
    for n in range(200):
        widget.step = n % widget.last
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000
    widget.close()
    del widget
    gc.collect()
    assert gone() is None


# -- the widget in a browser -----------------------------------------------------------------------------------
MOLECULE = """
import gc, weakref
import elekit as ele
from elekit.draw.frames import frames_of_runs, frames
from elekit.inspect.descent_directions import descent_directions
data, artifact = ele.datasets.load("molecules7", inputs="description", seed=0), ele.load("molecules7")
case, (_, h) = data.test.take([35]), artifact.surrogate("description")
config = ele.DecodeConfig("gradient+polish", gradient=ele.GradientConfig(iterations=20, starts=1))
_, traces = ele.decode(artifact.psi, h.predict(case.inputs), config=config, record=True)
held, some = ele.evaluation.conformal.Calibration(0.9, 0.3, 99), data.train.graphs[:300]
sets = ele.evaluation.conformal.prediction_sets(artifact.psi, h.predict(case.inputs), held, candidates=some)
w = ele.widgets.step_through(traces, truth=case.graphs, sets=sets)
display(w)  # as a last line it would stay in Out
"""
WORDS = f"""
import torch
import elekit as ele
from dataclasses import replace
from elekit.decoding import uniform
from elekit.model.embedding import EmbeddingConfig, GraphEmbedding
from elekit.graphs.graph import from_edge_lists, GraphVocabulary
hostile = {HOSTILE!r}
vocabulary = GraphVocabulary((hostile, "city", "person"), ("lives in", hostile), 5)
truth = from_edge_lists([(["person", "city", hostile], [(0, 1, "lives in"), (1, 2, hostile)])], vocabulary)
torch.manual_seed(0)
psi = GraphEmbedding(vocabulary, EmbeddingConfig(hidden=8, rounds=2, dim=16))
def run(rule, iterations):
    config = ele.DecodeConfig("gradient+polish", gradient=ele.GradientConfig(rule=rule, iterations=iterations, starts=1))
    return ele.decode(psi, psi(truth).detach(), config=config, record=True).traces[0]
one, other = replace(run("euclidean", 6), search_steps=()), run("exponentiated", 25)
one = replace(one, stopped=hostile)
w = ele.widgets.step_through(one, truth=truth, compare=other, names=(hostile, "exponentiated"))
w
"""
DRAWN = """(root) => {
  const seen = (node) => node && node.getAttribute("visibility") !== "hidden";
  const share = (d) => {
    if (/a[0-9.]+/.test(d)) return 1;
    const [x, y, a, b, c, e] = d.match(/^M([-0-9.]+),([-0-9.]+)L([-0-9.]+),([-0-9.]+)A.* ([-0-9.]+),([-0-9.]+)z$/).slice(1).map(Number);
    const turn = Math.atan2(c - x, y - e) - Math.atan2(a - x, y - b);
    return ((turn / (2 * Math.PI)) % 1 + 1) % 1;
  };
  const nodes = {}, edges = {};
  for (const group of root.querySelectorAll(".elekit-dots > g")) {
    const pie = nodes[group.dataset.part.slice(1)] = {};
    if (seen(group)) group.querySelectorAll("path").forEach((path) => {
      const color = path.getAttribute("fill");  // labels of one element share it
      if (seen(path)) pie[color] = (pie[color] ?? 0) + share(path.getAttribute("d"));
    });
  }
  for (const group of root.querySelectorAll(".elekit-lines > g")) if (seen(group)) {
    const line = [...group.querySelectorAll("line")].find(seen);
    edges[line.dataset.edge] = [Number(line.getAttribute("stroke-opacity")), Number(line.getAttribute("stroke-width"))];
  }
  return {nodes, edges};
}"""
GRAPH = ".elekit-stepper-run .elekit-graph"
SLEEP = """() => {
  window.kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  window.kernel.requestExecute({code: "import time; time.sleep(8)", store_history: false});
}"""


def hold_against(lab, step: int):
    """The drawn pies and edges are the probabilities of the trace."""
    drawn = lab.page.locator(GRAPH).first.evaluate(DRAWN)
    nodes, edges, colors = lab.value(
        f"[w.trace[{step}].nodes[0].tolist(), w.trace[{step}].edges[0].tolist(), w.palette['colors']]"
    )
    for i, row in enumerate(nodes):
        pie = drawn["nodes"].get(str(i), {})
        for color in set(colors):
            wanted = sum(share for share, own in zip(row[1:], colors) if own == color and share > 0.005)
            wanted = wanted if 1 - row[0] >= draw.VISIBLE or not pie else 0
            assert pie.get(color, 0) == pytest.approx(wanted, abs=0.01), (step, i, color)
    N, seen = len(nodes), 0
    for i, j in itertools.combinations(range(N), 2):
        strength = (1 - edges[i][j][0]) * (1 - nodes[i][0]) * (1 - nodes[j][0])
        opacity, width = drawn["edges"].get(f"{i}-{j}", (0, 0))
        assert opacity == pytest.approx(strength if strength >= draw.VISIBLE else 0, abs=0.002), (step, i, j)
        assert width == pytest.approx(7 * opacity, abs=0.02)
        seen += opacity > 0
    assert seen


def showing(lab, name: str, run: int = 0):
    """Wait until a run shows the frame of that name."""
    caption = lab.page.locator(".elekit-stepper-run figcaption").nth(run)
    caption.get_by_text(name, exact=True).wait_for(timeout=15_000)


WITHOUT_KERNEL = """async ([code, state]) => {
  const bytes = Uint8Array.from(atob(state.numbers), (letter) => letter.charCodeAt(0));
  const listeners = [];
  const traits = {...state, numbers: new DataView(bytes.buffer)};
  window.saved = [];
  window.model = {
    get: (name) => traits[name],
    set: (name, value) => {
      if (traits[name] === value) return;
      traits[name] = value;
      for (const [event, callback] of listeners) if (event === `change:${name}`) callback();
    },
    on: (event, callback) => listeners.push([event, callback]),
    off: () => {},
    save_changes: () => window.saved.push(traits.step),
    send: () => {},
  };
  const widget = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
  widget.default.render({model: window.model, el: document.body});
}"""


@pytest.mark.browser
def test_a_late_answer_of_the_kernel_takes_no_step_back(lab, trace):
    widget = step_through(trace)
    state = {name: getattr(widget, name) for name in widget.trait_names(sync=True) if not name.startswith("_")}
    state |= {"numbers": base64.b64encode(widget.numbers).decode(), "layout": None, "tabbable": None, "tooltip": None}
    with contextlib.closing(lab.page.context.new_page()) as page:
        page.evaluate(WITHOUT_KERNEL, [bundle.script(bundle.STATIC / "stepper.js"), state])
        slider, title = page.locator(".elekit-stepper-slider"), page.locator("figcaption span").last
        slider.focus()
        # between two keys, the kernel confirms a step saved before
        for _ in range(3):
            page.evaluate(
                """() => {
              const key = () => document.activeElement.dispatchEvent(
                new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true, cancelable: true}));
              key(); window.model.set("step", 0); key(); window.model.set("step", 0);
            }"""
            )
        assert slider.input_value() == "6" and title.text_content() == "iteration 6 of 12"
        page.wait_for_function("window.saved.at(-1) === 6 && window.model.get('step') === 6")
        page.keyboard.press("ArrowLeft")
        assert slider.input_value() == "5"
        page.evaluate("setTimeout(() => window.model.set('step', 2), 500)")  # by Python, when nothing waits
        page.wait_for_function("document.querySelector('.elekit-stepper-slider').value === '2'")


@pytest.mark.browser
def test_a_molecule_is_stepped_through(lab):
    lab.run(MOLECULE)
    page, keys = lab.page, lab.page.keyboard
    root, slider = page.locator(".elekit-stepper"), page.locator(".elekit-stepper-slider")
    slider.wait_for()
    showing(lab, "iteration 0 of 20")
    hold_against(lab, 0)
    last = lab.value("w.last")
    assert last >= 22

    # keys move the picture and the kernel
    root.focus()
    for key, step in (("ArrowRight", 1), ("ArrowRight", 2), ("PageDown", 12), ("ArrowLeft", 11), ("PageUp", 1)):
        keys.press(key)
        showing(lab, f"iteration {step} of 20")
    slider.focus()
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    showing(lab, "iteration 3 of 20")
    lab.eventually("w.step", 3)
    hold_against(lab, 3)
    assert page.locator(".elekit-stepper-reading p").text_content() == lab.value(
        "frames(w.trace, descent_directions(w.trace)).reading(3)"
    )
    relaxed = lab.value("f'{w.trace.relaxed[3]:.3f}'")
    assert page.locator(".elekit-stepper-figures td").first.text_content() == relaxed
    assert slider.get_attribute("aria-valuetext") == "iteration 3 of 20"
    keys.press("End")
    lab.eventually("w.step", last)
    assert lab.value("w.trace.search_steps[-1].edit") in page.locator(".elekit-stepper-reading").text_content()
    halos = page.locator(f"{GRAPH} .elekit-halos > :not([visibility=hidden])").first
    assert halos.count() == 1 and halos.get_attribute("stroke") == lab.value("w.palette['looks']['changed'][0]")
    keys.press("Home")
    lab.eventually("w.step", 0)

    # the kernel moves the picture
    lab.python("w.step = 7")
    showing(lab, "iteration 7 of 20")
    assert slider.input_value() == "7"
    hold_against(lab, 7)

    # a press and a drag in the chart; where the cursor stands is where its frame is
    chart = page.locator(".elekit-stepper-chart").bounding_box()
    places = {}
    for step in (4, 15, 7):
        lab.python(f"w.step = {step}")
        showing(lab, f"iteration {step} of 20")
        places[step] = float(page.locator("[data-cursor]").get_attribute("x1"))
    page.mouse.click(chart["x"] + places[4], chart["y"] + 60)
    showing(lab, "iteration 4 of 20")
    lab.eventually("w.step", 4)
    page.mouse.move(chart["x"] + places[7], chart["y"] + 60)
    page.mouse.down()
    page.mouse.move(chart["x"] + places[15], chart["y"] + 80, steps=4)
    showing(lab, "iteration 15 of 20")
    page.mouse.up()
    page.mouse.move(chart["x"] + places[4], chart["y"] + 60)
    keys.press("ArrowRight")  # the chart handed the focus to the slider
    showing(lab, "iteration 16 of 20")

    # the slider by pointer
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
    lab.eventually("w.step", last)

    # what the loss wants, on and off
    lab.python("w.step = 2")
    showing(lab, "iteration 2 of 20")
    wished = page.locator(f"{GRAPH} .elekit-halos > :not([visibility=hidden])")
    assert wished.count() == len(lab.value("w.runs[0]['marks'][2]")) > 0
    dashed = page.locator(f"{GRAPH} .elekit-halos > :not([visibility=hidden]):not([stroke-dasharray=none])").count()
    assert dashed == lab.value("sum(m[1] == 'less' for m in w.runs[0]['marks'][2])")
    keys.press("g")
    lab.eventually("w.show", "none")
    assert wished.count() == 0
    assert page.locator(".elekit-stepper-reading p").text_content() == lab.value("w.runs[0]['summaries'][2] + '.'")
    assert page.locator(".elekit-stepper-directions").text_content() == ""
    lab.python("w.show = 'gradient'")
    page.wait_for_function("document.querySelector('.elekit-stepper-directions').textContent !== ''")
    assert page.locator(".elekit-stepper-reading p").text_content() == lab.value("w.runs[0]['readings'][2]")

    # play runs to the end and stops; while it runs it is not read out
    lab.python("w.speed = 30")
    keys.press("Space")
    lab.eventually("w.playing", True)
    lab.eventually("(w.step, w.playing)", [last, False])
    play = page.get_by_role("button", name="Play", exact=True)
    assert play.get_attribute("aria-pressed") == "false"
    lab.python("w.speed = 2; w.step = 0; w.playing = True")
    page.get_by_role("button", name="Pause").wait_for()
    assert page.locator(".elekit-stepper-reading").get_attribute("aria-live") == "off"
    page.wait_for_function("document.querySelector('.elekit-stepper-slider').value > 1")
    page.get_by_role("button", name="Pause").click()
    lab.eventually("w.playing", False)
    assert page.locator(".elekit-stepper-reading").get_attribute("aria-live") == "polite"

    # it goes on while the kernel sleeps, which hears of it afterwards
    lab.python("w.step = 5")
    showing(lab, "iteration 5 of 20")
    page.evaluate(SLEEP)
    page.wait_for_function("window.kernel.status === 'busy'")
    slider.focus()
    for step in (6, 7, 8, 9):
        keys.press("ArrowRight")
        showing(lab, f"iteration {step} of 20")
    assert page.evaluate("window.kernel.status") == "busy"
    lab.eventually("w.step", 9)

    # the prediction set: in words, and each graph drawn, with a name for who cannot see it
    found = lab.value("w.found")
    assert page.locator(".elekit-stepper-summary").text_content() == found["says"]
    members = page.locator(".elekit-stepper-set li")
    assert members.count() == len(found["graphs"]) > 0
    for number, (member, told) in enumerate(zip(members.all(), found["graphs"]), 1):
        named = f"{number} of {len(found['graphs'])}: {told['name']}, {told['words']}"
        assert member.locator("svg").get_attribute("aria-label") == named
        drawn = member.locator(".elekit-dots > g:not([visibility=hidden])")
        assert drawn.count() == sum(k > 0 for k in told["scene"]["nodes"])
        assert member.text_content().endswith(told["words"])

    # everything that takes keys keeps them from the lab and has a name
    reachable = root.locator("button, input, select, [tabindex]")
    assert reachable.count() >= 8
    for element in reachable.all():
        assert element.get_attribute("data-lm-suppress-shortcuts") == "true"
    for element in root.locator("button, input, select").all():
        assert element.get_attribute("aria-label") or element.text_content().strip()
    assert root.get_attribute("role") == "group" and root.get_attribute("aria-label")
    assert page.locator(GRAPH).first.get_attribute("aria-label") == "iteration 9 of 20"
    lab.screenshot("stepper")

    lab.python("gone = weakref.ref(w); w.close(); del w; gc.collect()")
    root.wait_for(state="detached")
    assert lab.value("gone() is None")


@pytest.mark.browser
def test_two_runs_of_any_graphs_go_in_lockstep(lab):
    lab.run(WORDS)
    page, keys = lab.page, lab.page.keyboard
    slider = page.locator(".elekit-stepper-slider")
    slider.focus()
    assert page.locator(".elekit-stepper-run").count() == 2 and page.locator(".elekit-stepper-truth").count() == 1
    keys.press("ArrowRight")
    showing(lab, "iteration 1 of 6")
    showing(lab, "iteration 1 of 25", 1)
    hold_against(lab, 1)
    keys.press("PageDown")
    showing(lab, f"iterate {lab.value('w.trace.best')} rounded")  # over, it stays on its last frame
    showing(lab, "iteration 11 of 25", 1)
    showing(lab, HOSTILE)
    curves = page.locator(".elekit-stepper-chart polyline")
    assert [curve.get_attribute("stroke-dasharray") == "none" for curve in curves.all()] == [True] * 3 + [False] * 3
    assert page.locator(".elekit-stepper-figures tbody tr").count() == 2
    assert f"stopped: {HOSTILE}" in page.locator(".elekit-stepper-reading p").first.text_content()
    keys.press("End")
    lab.eventually("w.step == w.last", True)
    written = page.locator(".elekit-stepper-truth .elekit-edge-label").all_text_contents()
    assert "lives in" in written
    assert page.locator(".elekit-stepper img").count() == 0 and page.evaluate("window.hacked") is None
    lab.screenshot("stepper-compare")
