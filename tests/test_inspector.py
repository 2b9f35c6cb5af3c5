"""The loss inspector: prices are those of the loss, steps can be taken back, and what is clicked is what happens."""

import gc
import os
import re
import threading
import time
import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import traitlets
from conftest import equal, random_vertices
from matplotlib.figure import Figure
from test_draw import rendered

import elekit
from elekit import draw, inspect
from elekit.datasets.splits import Split
from elekit.graphs import projections
from elekit.graphs.edit_distance import edit_distance
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import from_smiles, to_smiles
from elekit.model.loss import LearnedLoss, points_of
from elekit.widgets import inspect_loss, inspection
from elekit.widgets.inspector import LossInspector

HOSTILE = '<img src=x onerror="window.hacked=1">'


def counting(graph: Graph) -> torch.Tensor:
    """A psi that knows any labels: how many nodes and edges there are of each kind, and their squares."""
    nodes = graph.nodes[..., 1:].sum(1)
    edges = graph.edges[..., 1:].sum((1, 2)) / 2
    links = graph.edges[..., 1:].sum((2, 3)).square().sum(1, keepdim=True) / 9
    return projections.sphere(torch.cat([nodes, edges, links, torch.ones_like(links)], 1))


@pytest.fixture(scope="module")
def psi():
    return elekit.load("molecules7").psi


@pytest.fixture(scope="module")
def known(psi):
    """A split of eleven molecules."""
    smiles = ["CCO", "CCN", "CCC", "CC=O", "C1CC1", "CC#N", "OCCO", "CC(C)O", "FCCO", "NCC=O", "CCOC"]
    return Split(None, from_smiles(smiles, psi.vocabulary), pd.DataFrame({"smiles": smiles}))


@pytest.fixture
def widget(psi, known):
    return inspect_loss(psi, "CC(C)O", among=known)


@pytest.fixture
def plain(vocabulary, generator):
    """Of labels that are no atoms."""
    return inspect_loss(counting, random_vertices(vocabulary, 30, generator)[7])


def row_of(widget, edit, kind=None):
    table = widget.scan.table
    (row,) = table.index[table["edit"] == edit]
    assert kind is None or table["kind"][row] == kind
    return int(row)


def ask(widget, command, /, **values):
    """As the browser asks."""
    widget._receive(widget, {"do": command, "with": values}, [])


# -- edits -----------------------------------------------------------------------------------------------------
def test_the_table_that_is_sent_is_the_scan(widget):
    table, sent = widget.scan.table, widget.table
    assert len(table) == len(sent["edit"]) > 50
    for name in ("kind", "valid", "connected"):
        assert sent[name] == table[name].tolist()
    for name in ("price", "change"):
        assert sent[name] == pytest.approx(table[name].tolist(), abs=1e-6)
    for row, kind in enumerate(sent["kind"]):
        node, pair = sent["node"][row], sent["pair"][row]
        assert table["nodes"][row] == (() if node < 0 else (node,))
        assert table["pairs"][row] == (() if pair is None else (tuple(pair),))
        nodes, edges = (labels[0] for labels in widget.scan.result(row).labels())
        assert node < 0 or nodes[node] == sent["label"][row]
        assert pair is None or edges[pair[0], pair[1]] == sent["edge"][row]
        if kind != "add node":
            assert sent["edit"][row] == table["edit"][row]
    assert "add N to node 2, double" in sent["edit"]
    assert row_of(widget, "node 4: nothing to N; edge 4-2: no edge to double") == sent["edit"].index(
        "add N to node 2, double"
    )


def test_the_price_of_an_edit_is_the_loss_between_before_and_after(widget, psi):
    loss = LearnedLoss(psi)
    with torch.no_grad():
        for row in (3, 41, 80):
            before, price = widget.graph, widget.table["price"][row]
            widget.apply(row)
            assert price == pytest.approx(loss(before, widget.graph).item(), abs=1e-5)
            assert widget.loss == pytest.approx(loss(widget.history[0], widget.graph).item(), abs=1e-5)
            assert not equal(before, widget.graph)
    assert len(widget.history) == 4 and widget.at == 3 and len(widget.steps) == 4 and widget.steps[0] == "original"


def test_undo_and_redo_restore_exactly_the_same(widget):
    def all_of_it():
        names = ("scene", "table", "heat", "loss", "picked", "neighbors")
        return [getattr(widget, name) for name in names], widget.scan.table.copy(), widget.graph

    seen = [all_of_it()]
    for row in (5, 60, 9):
        widget.apply(row)
        seen.append(all_of_it())
    order = [
        (widget.undo, 2),
        (widget.undo, 1),
        (widget.redo, 2),
        (widget.undo, 1),
        (widget.undo, 0),
        (widget.redo, 1),
    ]
    for step, expected in order:
        step()
        traits, table, graph = all_of_it()
        assert widget.at == widget.table["step"] == expected and traits == seen[expected][0]
        pd.testing.assert_frame_equal(table, seen[expected][1], check_exact=True)
        assert equal(graph, seen[expected][2])
    assert len(widget.steps) == 4  # what was undone can still be redone
    widget.apply(0)
    assert widget.at == 2 and len(widget.steps) == len(widget.history) == len(widget.path["places"]) == 3


def test_the_ends_of_the_history_are_told(widget):
    for command, words in (("undo", "nothing to undo"), ("redo", "nothing to redo")):
        ask(widget, command)
        assert widget.problem.startswith(words)
    with pytest.raises(ValueError, match="no edit 99999"):
        widget.apply(99999)
    with pytest.raises(ValueError, match="no edit -1"):
        widget.apply(-1)
    ask(widget, "apply", row=0)
    assert widget.problem == "" and widget.at == 1


def test_a_second_click_before_the_first_was_answered_does_nothing(widget):
    ask(widget, "apply", row=4, at=0)
    graph = widget.graph
    ask(widget, "apply", row=4, at=0)
    assert widget.at == 1 and widget.graph is graph and widget.problem == ""


def test_setting_traits_moves_the_widget(widget):
    widget.apply(2)
    widget.apply(3)
    widget.at = 0
    assert equal(widget.graph, widget.history[0]) and widget.loss == pytest.approx(0, abs=1e-5)
    with pytest.raises(traitlets.TraitError, match=r"no step 9; .*0\.\.2"):
        widget.at = 9
    assert widget.at == 0
    ask(widget, "go", step=2)
    assert equal(widget.graph, widget.history[2])
    widget.picked = {"pair": [2, 0]}
    assert widget.picked == {"pair": [0, 2]}
    for wrong in ({"node": 6}, {"node": 99}, {"pair": [0, 0]}, {"pair": [0]}, {"node": 0, "pair": [0, 1]}, {"x": 1}):
        with pytest.raises(traitlets.TraitError, match="picked must be"):
            widget.picked = wrong
    widget.view = "shares"
    assert widget.shares["loss"] == pytest.approx(widget.loss, abs=1e-5)


def test_what_is_picked_is_kept_until_it_is_gone(widget):
    widget.picked = {"node": 3}
    widget.apply(row_of(widget, "node 1: C to N"))
    assert widget.picked == {"node": 3}
    widget.apply(row_of(widget, "node 3: O to nothing"))
    assert widget.picked == {}


def test_nodes_stay_where_they_are_and_new_ones_come_beside_theirs(widget):
    before = np.array(widget.scene["positions"])
    spots = widget.scene["spots"]
    widget.apply(row_of(widget, "node 4: nothing to C; edge 4-1: no edge to single"))
    after = np.array(widget.scene["positions"])
    assert np.array_equal(before[:4], after[:4]) and after[4] == pytest.approx(spots[1], abs=1e-3)
    gaps = np.linalg.norm(after[:4] - after[4], axis=1)
    assert gaps.argmin() == 1 and gaps.min() > 0.9
    widget.apply(row_of(widget, "node 0: C to nothing"))
    assert np.array_equal(after, np.array(widget.scene["positions"]))
    widget.tidy()
    assert widget.scene["positions"] == draw.layout(widget.graph).round(3).tolist()


def test_the_graph_that_was_given_is_left_as_it_is(psi):
    graph = from_smiles("CCO", psi.vocabulary)
    nodes, edges = graph.nodes.clone(), graph.edges.clone()
    widget = inspect_loss(psi, graph)
    widget.apply(0)
    widget.compute_shares()
    assert torch.equal(graph.nodes, nodes) and torch.equal(graph.edges, edges)


# -- anchors ---------------------------------------------------------------------------------------------------
def test_losses_are_measured_to_the_anchor(widget, psi, known):
    loss = LearnedLoss(psi)
    other = from_smiles("NCC=O", psi.vocabulary)
    anchors = [("NCC=O", other, "NCC=O"), (other, other, "another graph"), (5, known.graphs[5], "CC#N")]
    for given, graph, name in anchors:
        widget.set_anchor(given)
        assert equal(widget.anchor, graph) and widget.anchor_name == name
        with torch.no_grad():
            results = widget.scan.results
            assert widget.loss == pytest.approx(loss(widget.graph, graph).item(), abs=1e-5)
            changes = loss(results, graph) - loss(widget.graph, graph)
        assert widget.table["change"] == pytest.approx(changes.tolist(), abs=1e-5)
        assert widget.anchor_scene["nodes"] == graph.labels()[0][0].tolist()
        widget.apply(1)
    widget.set_anchor("current")
    assert widget.loss == pytest.approx(0, abs=1e-5) and widget.anchor_name == "step 3"
    widget.undo()
    assert widget.loss > 0.01
    widget.set_anchor("original")
    assert equal(widget.anchor, widget.history[0])


def test_a_reset_is_a_new_original(widget):
    widget.apply(0)
    ask(widget, "reset", graph="CC#N")
    assert widget.steps == ["original"] and widget.at == 0 and widget.loss == pytest.approx(0, abs=1e-5)
    assert to_smiles(widget.graph) == to_smiles(widget.anchor) == ["CC#N"]
    widget.set_anchor("CCO")
    widget.reset("CCC")
    assert to_smiles(widget.anchor) == ["CCO"] and widget.loss > 0.01


@pytest.mark.parametrize("command, name", [("set_anchor", "what"), ("reset", "graph")])
@pytest.mark.parametrize(
    "given, words",
    [
        ("C(C", "RDKit refuses"), ("CS", "atoms that this loss does not know: S"), ("C" * 20, "20 atoms, this loss takes up to"), ("", "empty SMILES"),
        (None, "got NoneType"), (99, "got int"), (True, "got bool"), (HOSTILE, "RDKit refuses"),
    ],
)  # fmt: skip
def test_a_graph_that_cannot_be_read_is_told_and_changes_nothing(widget, command, name, given, words):
    widget.apply(0)
    before = widget.get_state(["scene", "table", "loss", "steps", "anchor_scene", "anchor_name", "path"])
    ask(widget, command, **{name: given})
    assert words in widget.problem
    assert widget.get_state(list(before)) == before


def test_what_does_not_fit_is_refused(psi, known, vocabulary):
    graph = known.graphs[0]
    with pytest.raises(ValueError, match="batch of 11"):
        inspect_loss(psi, known.graphs)
    with pytest.raises(ValueError, match="the graph has other labels"):
        inspect_loss(psi, Graph.from_labels(torch.ones(1, 5), torch.zeros(1, 5, 5), vocabulary))
    with pytest.raises(ValueError, match="has no vocabulary"):
        inspect_loss(counting, "CCO")
    with pytest.raises(ValueError, match="3 names .* 11 graphs"):
        inspect_loss(psi, graph, among=known, names=list("abc"))
    with pytest.raises(ValueError, match="names and map .*among="):
        inspect_loss(psi, graph, names=["x"])
    short = inspect.fit_map(points_of(psi, known.graphs[:5]), method="pca")
    with pytest.raises(ValueError, match="map shows 5 graphs"):
        inspect_loss(psi, graph, among=known, map=short)
    turned = inspect.fit_map(points_of(psi, known.graphs).flip(0), method="pca")
    with pytest.raises(ValueError, match="map shows other points"):
        inspect_loss(psi, graph, among=known, map=turned)


# -- the map and the neighbors ---------------------------------------------------------------------------------
def test_neighbors_are_the_nearest_and_what_separates_them_comes_when_asked(widget, psi, known):
    for row in (None, 11, 30):
        if row is not None:
            widget.apply(row)
        with torch.no_grad():
            loss = LearnedLoss(psi)(known.graphs, widget.graph)
        order = loss.argsort(stable=True)[:4].tolist()
        assert [one["row"] for one in widget.neighbors] == order
        assert [one["loss"] for one in widget.neighbors] == pytest.approx(loss[order].tolist(), abs=1e-5)
        assert [one["name"] for one in widget.neighbors] == [known.frame["smiles"][n] for n in order]
        assert widget.separations == [{}] * 4
        ask(widget, "compute_separations", place=1)
        assert [bool(words) for words in widget.separations] == [False, True, False, False]
        widget.compute_separations()
        distance = edit_distance(Graph.cat([widget.graph] * 4), known.graphs[order]).distance.tolist()
        told = [
            0 if w == "the same graph" else int(w.split()[0]) if "apart" in w else 1 + w.count(";")
            for w in (found["words"] for found in widget.separations)
        ]
        assert told == distance
    ask(widget, "compute_separations", place=99)
    assert widget.problem == ""


def test_what_the_browser_asks_by_itself_clears_no_error(widget):
    ask(widget, "undo")
    ask(widget, "compute_separations", place=0)
    assert widget.problem.startswith("nothing to undo") and isinstance(widget.error, ValueError)
    ask(widget, "compute_separations", place="x")
    assert widget.problem.startswith("TypeError")


def test_the_path_lies_on_the_map_of_the_known_graphs(psi, known):
    map = inspect.fit_map(points_of(psi, known.graphs), method="pca")
    names = [f"no. {n}" for n in range(11)]
    widget = inspect_loss(psi, known.graphs[2], among=known.graphs, names=names, map=map)
    assert widget.path["places"] == [pytest.approx(map.positions[2].tolist(), abs=1e-4)]
    assert widget.path["anchor"] == widget.path["places"][0]
    assert np.array(widget.context).reshape(-1, 2) == pytest.approx(map.positions, abs=1e-3)
    assert (
        widget.neighbors[0]["name"] == "no. 2"
        and "PCA map" in widget.map_note
        and "11 known graphs" in widget.map_note
    )
    assert widget.neighbors[0]["place"] == pytest.approx(map.positions[2].tolist())
    widget.apply(0)
    assert len(widget.path["places"]) == 2 and widget.path["places"][1] != widget.path["places"][0]


def test_without_known_graphs_the_map_shows_the_edits(psi):
    widget = inspect_loss(psi, "CCO")
    first, edits = widget.context, widget.scan
    assert len(first) == 2 * (len(edits.table) + 1) and widget.neighbors == [] and "single edits" in widget.map_note
    widget.apply(7)
    assert widget.path["places"][1] == pytest.approx(first[2 * 8 : 2 * 8 + 2], abs=1e-3)  # where edit 7 was
    assert widget.context == first
    widget.reset("CCN")
    assert widget.context != first


# -- shares ----------------------------------------------------------------------------------------------------
def test_shares_of_both_sum_to_two_minus_the_loss(widget):
    assert widget.shares == {}
    widget.set_anchor("FCCO")
    widget.compute_shares()
    for side in ("graph", "anchor"):
        sent = widget.shares[side]
        total = sum(v for v in sent["nodes"] if v is not None) + sum(v for *_, v in sent["pairs"])
        assert total == pytest.approx(2 - widget.loss, abs=1e-4)
        assert sum(sent["share"]) == pytest.approx(total, abs=1e-4) and sent["share"] == sorted(
            sent["share"], reverse=True
        )
    nodes = widget.scene["nodes"]
    assert [v is not None for v in widget.shares["graph"]["nodes"]] == [k > 0 for k in nodes]
    widget.apply(0)
    assert widget.shares == {}  # of another graph
    widget.view = "shares"
    first = widget.shares
    widget.undo()
    assert widget.shares and widget.shares != first  # looked at, so computed
    widget.set_anchor("original")
    assert widget.shares["loss"] == pytest.approx(0, abs=1e-5)


# -- other graphs ----------------------------------------------------------------------------------------------
def test_any_labels_do(plain, vocabulary):
    assert not plain.molecular and plain.vocabulary == vocabulary
    for _ in range(3):
        row = plain.scan.table["price"].idxmax()
        price = plain.table["price"][row]
        before = plain.graph
        plain.apply(int(row))
        assert price == pytest.approx(LearnedLoss(counting)(before, plain.graph).item(), abs=1e-5)
    plain.compute_shares()
    ask(plain, "set_anchor", what="CCO")
    assert "not atoms" in plain.problem


def test_a_single_slot(psi):
    vocabulary = replace(psi.vocabulary, max_nodes=1)
    widget = inspect_loss(psi, from_smiles("C", vocabulary))
    assert set(widget.table["kind"]) == {"relabel"} and widget.heat["pairs"] == []
    widget.apply(0)
    widget.view = "shares"
    assert widget.problem == "" and widget.loss > 0
    rendered(widget.picture())


def test_a_graph_of_one_label_and_one_slot_has_no_edits():
    one = Graph.from_labels(torch.ones(1, 1), torch.zeros(1, 1, 1), GraphVocabulary(("a",), ("b",), 1))
    widget = inspect_loss(counting, one)
    assert widget.table["edit"] == [] and widget.loss == pytest.approx(0, abs=1e-6)
    rendered(widget.picture())


def test_of_many_edits_only_the_valid_ones_are_priced_until_all_are_listed(psi, monkeypatch):
    whole = inspect_loss(psi, "CC(=O)OC1CC1")
    monkeypatch.setattr(inspection, "MANY", 0)
    widget = inspect_loss(psi, "CC(=O)OC1CC1")
    assert whole.table["priced"] == [True] * len(whole.table["edit"])
    valid = np.array(whole.table["valid"])
    assert widget.table["valid"] == whole.table["valid"] and widget.table["priced"] == whole.table["valid"]
    assert np.array(widget.table["price"])[valid] == pytest.approx(np.array(whole.table["price"])[valid], abs=1e-5)
    assert widget.heat["nodes"] == pytest.approx(whole.heat["nodes"], abs=1e-5)
    row = int(np.flatnonzero(~valid)[0])
    widget.apply(row)
    assert torch.equal(widget.graph.nodes, whole.scan.result(row).nodes) and not all(widget.table["priced"])
    widget.undo()
    widget.valid_only = False
    assert widget.table["priced"] == whole.table["priced"]
    assert widget.table["price"] == pytest.approx(whole.table["price"], abs=1e-5)
    widget = inspect_loss(psi, "CC(=O)OC1CC1")
    assert widget.scan.priced.all() and not all(widget.table["priced"])  # Python gets all


def test_heat_is_of_valid_edits(widget):
    table = widget.scan.table
    of_a_node = table[table["valid"] & table["kind"].isin(["relabel", "remove node"])]
    for i, price in enumerate(widget.heat["nodes"]):
        own = of_a_node[[i in touched for touched in of_a_node["nodes"]]]
        assert price == (pytest.approx(own["price"].min(), abs=1e-5) if len(own) else None)
    assert any(
        table[~table["valid"]]["price"] < table[table["valid"]]["price"].max()
    )  # the filter had something to do
    low, high = widget.heat["low"], widget.heat["high"]
    assert low < high and all(low - 1e-5 <= p <= high + 1e-5 for p in widget.heat["nodes"] if p is not None)


# -- the widget ------------------------------------------------------------------------------------------------
def test_the_static_twin_shows_what_the_widget_shows(widget):
    prices = rendered(widget.picture())
    assert isinstance(prices, Figure) and any("valid edits" in ax.get_title() for ax in prices.axes)
    widget.set_anchor("FCCO")
    widget.view = "shares"
    shares = rendered(widget.picture())
    assert [f"{2 - widget.loss:.3f}" in ax.get_title() for ax in shares.axes] == [True, True]
    assert "image/png" in widget._repr_mimebundle_()[0]


def test_every_synced_trait_is_documented():
    own = [name for name, trait in LossInspector.class_own_traits().items() if trait.metadata.get("sync")]
    told = set(re.findall(r"(\w+):", LossInspector.__doc__))
    assert {name for name in own if not name.startswith("_")} - told == set()


def test_a_cell_waits_for_what_the_browser_asked_for(widget, monkeypatch):
    """A lab hears the browser in another thread than that of the cells."""
    began, scan = threading.Event(), inspect.edit_scan

    def slow(*given, **named):
        began.set()
        time.sleep(0.2)
        return scan(*given, **named)

    monkeypatch.setattr(inspect, "edit_scan", slow)
    browser = threading.Thread(target=ask, args=(widget, "apply"), kwargs={"row": 5})
    browser.start()
    began.wait(10)
    assert equal(widget.scan.graph, widget.history[1]) and len(widget.scan.table) == len(widget.table["edit"])
    assert widget.loss == pytest.approx(widget.scan.loss)
    browser.join()


def test_every_command_is_a_method():
    assert all(callable(getattr(LossInspector, name)) for name in LossInspector.COMMANDS)


def test_a_closed_inspector_is_freed(psi, known):
    widget = inspect_loss(psi, "CCO", among=known)
    widget.apply(0)
    gone = weakref.ref(widget)
    widget.close()
    del widget
    gc.collect()
    assert gone() is None


# -- in a browser ----------------------------------------------------------------------------------------------
MOLECULES = """
import gc, json, weakref
import torch; torch.set_num_threads(1)
import elekit as ele
from elekit.graphs.smiles import from_smiles
from IPython.display import display
psi = ele.load("molecules7").psi
names = ["CCO", "CCN", "CC(C)O", "CC=O", "C1CC1", "CC#N", "OCCO", "FCCO"]
from elekit.evaluation.formatting import significant
known = from_smiles(names, psi.vocabulary)
w = ele.widgets.inspect_loss(psi, "CC(C)O", among=known, names=names)
display(w)
def listed(only=True, key="price", down=False, part=None, kind=None):
    table = w.scan.table.assign(row=range(len(w.scan.table)), text=w.table["edit"])
    table = table[(table["valid"] | (not only)) & (table["kind"].eq(kind) | (kind is None))]
    if part is not None:
        table = table[[touched in part for touched in zip(table["nodes"], table["pairs"])]]
    table = table.assign(rounded=table[key].round(6))
    table = table.sort_values(["rounded", "row"], ascending=[not down, True])
    return [[text, significant(price / w.unit)] for text, price in zip(table["text"], table["price"])]
"""

LISTED = """() => [...document.querySelectorAll('.elekit-edits tbody tr:not([hidden])')].map(tr => [tr.cells[0].textContent, tr.cells[2].textContent])"""
UNREACHABLE = """() => [...document.querySelectorAll('.elekit-inspector :is(button, input, select, [tabindex])')]
  .filter(e => e.dataset.lmSuppressShortcuts !== 'true' || !(e.getAttribute('aria-label') || e.textContent || e.type === 'checkbox')).map(e => e.outerHTML.slice(0, 120))"""


def watched(lab):
    """Errors of the page, as they come."""
    errors = []
    lab.page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


def eventually(lab, expression, wanted, seconds=20):
    """Wait until a JavaScript expression of the page has a value."""
    lab.page.wait_for_function(
        f"wanted => JSON.stringify({expression}) === wanted", arg=wanted, timeout=1000 * seconds
    )


def same_rows(lab, expression):
    wanted = lab.python(f"print(json.dumps({expression}, separators=(',', ':')))")
    eventually(lab, f"({LISTED})()", wanted)
    return lab.page.evaluate(LISTED)


OVERLAPPING = """() => {
  const boxes = [...document.querySelectorAll('.elekit-left .elekit-word')].map((word) => word.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return boxes.flatMap((a, n) => boxes.slice(0, n).filter((b) => meet(a, b))).length;
}"""


@pytest.mark.browser
def test_what_is_clicked_and_typed_is_what_happens(lab):
    errors = watched(lab)
    lab.run(MOLECULES)
    page = lab.page
    graph, says = page.locator(".elekit-left > .elekit-zoomable"), page.locator(".elekit-reading")
    assert len(same_rows(lab, "listed()")) > 10
    assert page.evaluate(UNREACHABLE) == []
    lab.eventually("all(w.separations)", True)  # asked for by the browser, after the prices

    # picking, by mouse and by keys
    graph.locator("[data-part=n3]").click()
    lab.eventually("w.picked", {"node": 3})
    at_three = "[((3,), ())] + [((4,), ((3, 4),))]"
    assert len(same_rows(lab, f"listed(part={at_three})")) > 3
    assert graph.locator("[data-part=n3]").get_attribute("aria-pressed") == "true"
    graph.locator("[data-part=n1]").focus()
    page.keyboard.press("Enter")
    lab.eventually("w.picked", {"node": 1})
    graph.locator("[data-part=n0]").focus()
    page.keyboard.press("Shift+Enter")
    lab.eventually("w.picked", {"pair": [0, 1]})
    same_rows(lab, "listed(part=[((), ((0, 1),))])")
    page.keyboard.press("Escape")
    lab.eventually("w.picked", {})
    lab.python("w.picked = {'pair': [0, 2]}")  # from Python; nodes without an edge between them
    same_rows(lab, "listed(part=[((), ((0, 2),))])")
    page.get_by_role("button", name="show all").click()
    graph.locator("[data-part=n0]").click()
    page.get_by_role("button", name="with another node").click()
    graph.locator("[data-part=n3]").click()
    lab.eventually("w.picked", {"pair": [0, 3]})
    page.keyboard.press("Escape")

    # order and filter
    head = page.get_by_role("columnheader", name="change of loss")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    same_rows(lab, "listed(key='change')")
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    same_rows(lab, "listed(key='change', down=True)")
    page.get_by_role("columnheader", name="price").get_by_role("button").press("Enter")
    page.get_by_role("checkbox", name="valid edits only").click()
    lab.eventually("w.valid_only", False)
    everything = same_rows(lab, "listed(only=False)")
    assert len(everything) == lab.value("len(w.scan.table)") and page.locator("td", has_text="no").count() > 0
    lab.python("w.valid_only = True")
    page.get_by_label("kind of edit").select_option("change edge")
    same_rows(lab, "listed(kind='change edge')")
    page.get_by_label("kind of edit").select_option("")
    words, listed = page.get_by_role("searchbox", name="filter edits"), same_rows(lab, "listed()")
    words.fill("TO n")
    assert page.evaluate(LISTED) == [row for row in listed if "to n" in row[0].lower()] != []
    words.fill("")

    # labels that do not overlap, and the zoom by keys, pointer and wheel
    drawn, kept = graph.locator(".elekit-graph"), graph.locator("[data-part=n1]")
    assert page.evaluate(OVERLAPPING) == 0 and page.locator(".elekit-left .elekit-word").count() > 3
    whole, box = (drawn.get_attribute("viewBox") for _ in range(2))
    kept.focus()
    for key, wider in (("+", -1), ("+", -1), ("-", 1), ("Shift+ArrowLeft", 0), ("0", 1)):
        page.keyboard.press(key)
        before, box = box, drawn.get_attribute("viewBox")
        assert np.sign(float(box.split()[2]) - float(before.split()[2])) == wider and page.evaluate(OVERLAPPING) == 0
    assert box == whole
    kept.hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_selector(".elekit-left .elekit-magnified")
    box, at, before = drawn.get_attribute("viewBox"), drawn.bounding_box(), lab.value("w.picked")
    middle = (at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 30, middle[1] - 20, steps=3)
    page.mouse.up()
    assert drawn.get_attribute("viewBox") != box and lab.value("w.picked") == before  # a drag picks nothing
    page.get_by_role("button", name="whole drawing").first.click()
    assert drawn.get_attribute("viewBox") == whole
    lab.screenshot("inspector")

    # a preview, then done by keys
    rows = same_rows(lab, "listed()")
    page.locator("tbody tr").nth(0).focus()
    for key in (
        "ArrowDown",
        "ArrowDown",
        "End",
        "Home",
        "ArrowDown",
        "ArrowUp",
        "ArrowDown",
        "ArrowDown",
        "ArrowDown",
    ):
        page.keyboard.press(key)
    rank = 1 + sum(float(price) < float(rows[3][1]) for _, price in rows)
    end = {1: "st", 2: "nd", 3: "rd"}.get(rank, "th")
    words = f"costs {rows[3][1]}; it would be the {rank}{end} cheapest of {len(rows)} valid edits."
    assert words in says.text_content()
    page.keyboard.press("Enter")
    lab.eventually("[w.at, w.steps[-1]]", [1, rows[3][0]])
    loss = lab.python("w.scan; print(significant(w.loss / w.unit))")  # the scan waits for what the browser asked for
    assert loss == rows[3][1]
    page.wait_for_selector(f".elekit-loss:has-text('Step 1: {loss} edits from the original')")
    same_rows(lab, "listed()")
    page.keyboard.press("u")  # the row has still the focus
    lab.eventually("w.at", 0)
    assert same_rows(lab, "listed()") == rows
    page.keyboard.press("r")
    lab.eventually("w.at", 1)
    page.get_by_role("button", name="Undo").click()
    lab.eventually("w.at", 0)
    eventually(lab, "document.querySelector('[aria-keyshortcuts=u]').getAttribute('aria-disabled')", '"true"')
    page.keyboard.press("u")
    page.keyboard.press("r")
    lab.eventually("[w.at, w.problem]", [1, ""])
    page.wait_for_selector(".elekit-side[data-shown^='1 ']")  # the browser has the table of this step
    page.locator("tbody tr").nth(1).get_by_role("button").dblclick()  # the second click is one too many
    lab.eventually("w.at", 2)
    assert lab.value("w.scan and [w.at, len(w.steps)]") == [2, 3]
    page.get_by_role("button", name="0 original").click()
    lab.eventually("w.at", 0)

    # anchors and shares
    entry = page.get_by_role("textbox", name="SMILES")
    entry.fill("C(C")
    entry.press("Enter")
    page.wait_for_selector(".elekit-problem:not([hidden])")
    assert "RDKit refuses" in page.locator(".elekit-problem").text_content()
    entry.fill("FCCO")
    entry.press("u")  # a letter here, not "undo"
    entry.press("Backspace")
    entry.press("Enter")
    lab.eventually("[w.anchor_name, w.problem]", ["FCCO", ""])
    page.wait_for_selector(".elekit-anchor:not([hidden])")
    page.get_by_role("button", name="Shares").click()
    lab.eventually("bool(w.shares)", True)
    total = lab.python("print(f'{2 - w.shares[\"loss\"]:.3f}')")
    page.wait_for_selector(f"[data-sum]:has-text('= {total}')")
    signs = lab.value("[[v < 0 for v in w.shares[side]['share']].count(True) for side in ('graph', 'anchor')]")
    drawn = "[...document.querySelectorAll('.elekit-twin .elekit-zoomable .elekit-graph')].map(g => [...g.querySelectorAll('.elekit-halos [visibility=visible][stroke=\"#D55E00\"][stroke-dasharray=\"9 7\"]')].length)"
    assert page.evaluate(f"({drawn}).slice(0, 2)") == signs and sum(signs) > 0
    assert page.evaluate(UNREACHABLE) == []
    lab.screenshot("inspector-shares")
    page.get_by_role("button", name="make CCO the anchor").click()
    lab.eventually("w.anchor_name", "CCO")
    lab.python("w.view = 'price'")
    page.wait_for_selector(".elekit-edits", state="visible")
    assert errors == []


UPDATES = """
def update(times):
    row = int(w.scan.table["price"].idxmax())
    for _ in range(times):
        w.apply(row); w.undo()
def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
"""

# Reads the traits of the widget w as a page without a kernel would have them, and renders them there.
WITHOUT_KERNEL = """async ({esm, state}) => {
  const url = URL.createObjectURL(new Blob([esm], {type: 'text/javascript'}));
  const widget = (await import(url)).default, heard = {}, sent = [];
  const model = {
    get: name => state[name], send: message => sent.push(message), save_changes: () => {},
    set: (name, value) => { state[name] = value; (heard['change:' + name] ?? []).forEach(then => then()); },
    on: (name, then) => (heard[name] ??= []).push(then), off: () => {},
  };
  const el = document.createElement('div');
  el.id = 'alone';
  document.body.append(el);
  widget.render({model, el});
  await new Promise(then => setTimeout(then, 100));
  const rows = () => el.querySelectorAll('.elekit-edits tbody tr:not([hidden])').length;
  const before = rows();
  el.querySelector('.elekit-left [data-part=n3]').dispatchEvent(new MouseEvent('click', {bubbles: true}));
  await new Promise(then => setTimeout(then, 100));
  el.querySelector('.elekit-edits tbody button').click();
  const after = rows(), said = el.querySelector('.elekit-reading').textContent;
  el.remove();
  return {before, after, said, sent: sent.map(m => m.do)};
}"""


@pytest.mark.browser
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's own account of memory")
def test_updates_leave_nothing_behind_and_closing_frees(lab):
    errors = watched(lab)
    lab.run(MOLECULES, UPDATES)
    page = lab.page
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")

    def settled():
        """Elements of the page that are alive, once the browser is up to date."""
        lab.python("w.picked = {'node': 1}")
        page.wait_for_selector("strong:has-text('Node 1')")
        lab.python("w.picked = {}")
        page.wait_for_selector("strong:has-text('All of the graph')")
        page.wait_for_timeout(500)
        cdp.send("HeapProfiler.collectGarbage")
        metrics = {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}
        return metrics["Nodes"], metrics["JSHeapUsedSize"] / 1e6

    lab.python("update(20)")
    nodes, heap = settled()
    before, figures = lab.value("resident()"), lab.value("len(__import__('matplotlib.pyplot').pyplot.get_fignums())")
    lab.python("update(100)")
    nodes_after, heap_after = settled()
    grown = lab.value("resident()") - before
    print(
        f"200 updates: kernel {grown:+.1f} MB, page {heap_after - heap:+.1f} MB, {nodes_after - nodes:+.0f} elements"
    )
    assert lab.value("len(__import__('matplotlib.pyplot').pyplot.get_fignums())") == figures
    assert grown < 30 and heap_after - heap < 10 and nodes_after < nodes + 300

    state = lab.value("{k: v for k, v in w.get_state().items() if not k.startswith('_') and k != 'layout'}")
    alone = page.evaluate(WITHOUT_KERNEL, {"esm": LossInspector.class_traits()["_esm"].default(), "state": state})
    assert (
        alone["before"] > alone["after"] > 0 and alone["said"].startswith("Node 3 (O)") and "apply" in alone["sent"]
    )
    freed = "gone = weakref.ref(w); w.close(); del w; gc.collect(); print(gone() is None)"
    assert lab.python(freed) == "True"
    page.wait_for_selector(".elekit-inspector", state="detached")
    assert errors == []


STRANGE = f"""
import torch
from elekit import widgets
from elekit.graphs import projections
from elekit.graphs.graph import Graph, GraphVocabulary
vocabulary = GraphVocabulary(({HOSTILE!r}, "$b$ to nothing"), ("&lt;thin; edge", {HOSTILE!r} * 3), 5)
def psi(graph):
    nodes, edges = graph.nodes[..., 1:].sum(1), graph.edges[..., 1:].sum((1, 2)) / 2
    return projections.sphere(torch.cat([nodes, edges, torch.ones(len(nodes), 1)], 1))
edges = torch.zeros(1, 5, 5); edges[0, 0, 1] = edges[0, 1, 0] = 1; edges[0, 1, 2] = edges[0, 2, 1] = 2
graph = Graph.from_labels(torch.tensor([[1, 2, 1, 0, 0]]), edges, vocabulary)
others = Graph.cat([graph] * 3)
w = widgets.inspect_loss(psi, graph, among=others, names=[{HOSTILE!r}] * 3)
w
"""


@pytest.mark.browser
def test_hostile_names_stay_text(lab):
    errors = watched(lab)
    lab.run(STRANGE)
    page = lab.page
    page.locator(".elekit-left [data-part=n1]").click()
    lab.eventually("w.picked", {"node": 1})
    for n in range(page.locator("tbody tr:not([hidden])").count()):
        page.locator("tbody tr").nth(n).hover()
    assert page.locator(".elekit-reading").text_content().count("costs") == 1
    rows = len(page.evaluate(LISTED))
    page.get_by_role("checkbox").click()  # there are no capacities, so every edit is valid
    assert len(page.evaluate(LISTED)) == rows > 5
    lab.python("w.set_anchor(1); w.view = 'shares'; w.apply(3)")
    page.wait_for_selector("[data-sum]:has-text('sum to')")
    lab.python("w.view = 'price'")
    lab.eventually("all(w.separations)", True)
    page.wait_for_selector(f".elekit-card strong:has-text('a: {HOSTILE[:9]}')")
    assert not page.get_by_role("textbox", name="SMILES").is_visible()
    assert page.locator(".elekit-inspector img").count() == 0 and page.evaluate("window.hacked") is None
    assert lab.value("w.problem") == "" and errors == []
