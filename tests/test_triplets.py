"""Triplets: which are asked first, and the widget that asks them, in the kernel and in a browser."""

from collections import Counter

import numpy as np
import pytest
import torch
from conftest import random_vertices
from matplotlib.figure import Figure
from torch.nn.functional import normalize

from elekit.correction import Judgments
from elekit.correction.triplets import Triplets
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.graphs.smiles import from_smiles, molecule_vocabulary
from elekit.model.loss import LearnedLoss
from elekit.widgets import judge
from elekit.widgets.triplets import TripletJudge

HOSTILE = '<img src=x onerror="window.hacked=1">'


def on_a_line(places):
    """psi that puts graph i, a lone path of i + 1 nodes, at an angle places[i] of the circle."""
    angles = torch.tensor([0.0, *places])

    def psi(graph: Graph):
        angle = angles[(graph.presence() > 0.5).sum(1)]
        return torch.stack([angle.cos(), angle.sin()], 1)

    return psi


def paths(count: int) -> Graph:
    vocabulary = GraphVocabulary(("a",), ("e",), count)
    nodes = torch.arange(1, count + 1)[:, None] > torch.arange(count)
    edges = torch.zeros(count, count, count, dtype=torch.long)
    for n in range(count):
        for i in range(n):
            edges[n, i, i + 1] = edges[n, i + 1, i] = 1
    return Graph.from_labels(nodes.long(), edges, vocabulary)


@pytest.fixture(scope="module")
def graphs(vocabulary):
    return random_vertices(vocabulary, 40, torch.Generator().manual_seed(3))


def psi_of(seed: int):
    """Any loss at all."""
    weights = torch.randn(3 + 4, 6, generator=torch.Generator().manual_seed(seed))

    def psi(graph: Graph):
        counts = torch.cat([graph.nodes[..., 1:].sum(1), graph.edges[..., 1:].sum((1, 2))], 1)
        return normalize(counts @ weights[: counts.shape[1]] + 0.3, dim=1)

    return psi


# -- which are asked -----------------------------------------------------------------------------------------------
def test_a_tie_is_asked_first():
    """Graphs at 0, 10, -10 and far away on a circle: from 0 it is a tie between 10 and -10, all else is clear."""
    loss = on_a_line([0.0, 0.1, -0.1, 0.9, 1.9])
    found = Triplets(loss, paths(5), random=0.0).next()
    assert found.anchor == 0 and {found.left, found.right} == {1, 2} and not found.random


def test_what_losses_disagree_about_is_asked_first():
    one, other = on_a_line([0.0, 0.1, 0.3, 1.4, 1.9]), on_a_line([0.0, 0.3, 0.1, 1.4, 1.9])  # 1 and 2 exchanged
    found = Triplets([one, other], paths(5), random=0.0)
    first = found.next()
    assert {first.left, first.right} == {1, 2}
    alone = Triplets(one, paths(5), random=0.0)
    rows = [
        [set(rows[1:]) == {1, 2} and rows[0] == 0 for rows in t.triplets.tolist()].index(True) for t in (alone, found)
    ]
    assert alone.information[rows[0]] < 0.2 < 0.99 < found.information[rows[1]]


def test_information_is_the_entropy_of_a_loop(graphs):
    psis = [psi_of(1), psi_of(2)]
    found = Triplets(psis, graphs, seed=1)
    for (a, b, c), information in list(zip(found.triplets.tolist(), found.information))[:40]:
        p = 0.0
        for psi in psis:
            near, far = (LearnedLoss(psi)(graphs[a], graphs[x]).item() for x in (b, c))
            p += 1 / (1 + np.exp(-10 * (far - near) / (far + near))) / 2
        assert information == pytest.approx(-p * np.log2(p) - (1 - p) * np.log2(1 - p), abs=1e-3)


def test_every_triplet_is_asked_once_and_holds_three_different_graphs():
    triplets, asked = Triplets(on_a_line([0.0, 0.5, 1.1, 1.3, 2.0]), paths(5), seed=2), []
    while (one := triplets.next(asked)) is not None and len(asked) < 99:
        asked.append(one)
    assert len(asked) == len(triplets) == 5 * 6
    assert len({(t.anchor, frozenset((t.left, t.right))) for t in asked}) == len(asked)
    assert all(len(set(t.rows)) == 3 for t in asked)
    assert 3 < sum(t.random for t in asked) < 14  # of 30, a quarter
    assert 5 < sum(t.left < t.right for t in asked) < 25  # sides are drawn by lot


def test_questions_differ_and_are_the_same_for_the_same_seed(graphs):
    def first(seed, count=12):
        triplets, asked = Triplets(psi_of(1), graphs, seed=seed), []
        for _ in range(count):
            asked.append(triplets.next(asked))
        return asked

    assert first(0) == first(0) != first(1)
    assert max(Counter(row for t in first(0, 20) for row in t.rows).values()) <= 4
    copies = Graph.cat([graphs, graphs.permuted(torch.tensor([4, 2, 3, 1, 0]))])
    from elekit.audit.blind_spots import distinct

    allowed = set(distinct(copies).tolist())
    assert {row for rows in Triplets(psi_of(1), copies).triplets.tolist() for row in rows} <= allowed


def test_too_little_to_ask_about_is_said(graphs):
    with pytest.raises(ValueError, match="3 different graphs, got 1"):
        Triplets(psi_of(1), graphs[torch.zeros(4, dtype=torch.long)])
    with pytest.raises(ValueError, match="no loss"):
        Triplets([], graphs)
    with pytest.raises(ValueError, match="random must be a share"):
        Triplets(psi_of(1), graphs, random=25)
    with pytest.raises(ValueError, match="name for each of 40 graphs, got 1"):
        judge(psi_of(1), graphs, names=["one"])


# -- in the kernel -------------------------------------------------------------------------------------------------
def send(widget: TripletJudge, what: str, **values):
    widget._receive(widget, {"do": what, "with": values}, [])


def test_answers_are_kept_in_order_and_in_the_file(graphs, tmp_path):
    path = tmp_path / "j.jsonl"
    widget = judge(psi_of(1), graphs, file=path, seed=1)
    asked = []
    for number, choice in enumerate(("left", "right", "cannot say")):
        asked.append(widget.triplet)
        send(widget, "answer", choice=choice, number=number)
        send(widget, "answer", choice=choice, number=number)  # pressed twice
    assert widget.answered == len(widget.judgments) == 3 and widget.problem == ""
    for i, triplet in enumerate(asked):
        for side, row in zip(("anchors", "lefts", "rights"), triplet.rows):
            assert torch.equal(getattr(widget.judgments, side)[i].nodes, graphs[row].nodes)
    assert widget.judgments.random.tolist() == [t.random for t in asked]
    kept = Judgments.read(path, graphs.vocabulary)
    assert kept.answers == widget.judgments.answers == ("left", "right", "cannot say")
    agrees = (widget.judgments.decided.margins(widget.psi) > 0).sum().item()
    assert (
        widget.progress[0] == "3 judged, 1 of them 'cannot say'."
        and f"The loss agrees with {agrees} of 2" in widget.progress[1]
    )

    send(widget, "undo", number=3)
    assert widget.triplet == asked[2] and len(widget.judgments) == 2
    assert Judgments.read(path, graphs.vocabulary).answers == ("left", "right")
    again = judge(psi_of(1), graphs, file=path, seed=1)  # goes on where it was
    assert again.triplet == asked[2] and again.answered == 2 and again.judgments.answers == ("left", "right")
    assert again.progress == widget.progress
    others = judge(psi_of(1), random_vertices(graphs.vocabulary, 30, torch.Generator().manual_seed(9)), file=path)
    assert others.answered == 2 and others.triplet is not None


def test_what_cannot_be_written_is_kept_and_written_later(graphs, tmp_path):
    path = tmp_path / "folder" / "j.jsonl"
    widget = judge(psi_of(1), graphs, file=path)
    (tmp_path / "folder").write_text("in the way")
    send(widget, "answer", choice="left", number=0)
    assert "cannot append to" in widget.problem and isinstance(widget.error, OSError)
    assert len(widget.judgments) == 1 and widget.question["number"] == 1
    (tmp_path / "folder").unlink()
    send(widget, "answer", choice="right", number=1)
    assert widget.problem == "" and Judgments.read(path, graphs.vocabulary).answers == ("left", "right")


def test_wrong_answers_are_told_and_what_is_not_asked_is_not_answered(graphs):
    widget = judge(psi_of(1), graphs)
    send(widget, "answer", choice="perhaps", number=0)
    assert (
        widget.problem == "no answer 'perhaps'; the answers are 'left', 'right', 'cannot say'"
        and widget.answered == 0
    )
    send(widget, "undo", number=0)
    send(widget, "answer", choice="left", number=7)
    send(widget, "_ask")
    assert widget.answered == 0
    with pytest.raises(ValueError, match="no answer 'perhaps'"):
        widget.answer("perhaps")


def test_the_last_question_and_its_picture(tmp_path):
    widget = judge(on_a_line([0.0, 0.4, 1.1]), paths(3), names=["one", "$two$", HOSTILE])
    while widget.triplet is not None:
        assert set(widget.question) == {"number", "anchor", "left", "right"}
        assert isinstance(widget.picture(), Figure) and widget.picture()._repr_png_()
        widget.answer("cannot say")
    assert widget.question == {"number": 3} and widget.answered == 3
    assert widget.picture()._repr_png_()
    widget.answer("left")
    assert widget.answered == 3


def test_contradictions_and_lines_that_cannot_be_read_are_told(graphs, tmp_path):
    path = tmp_path / "j.jsonl"
    rows = [torch.tensor([0, 0]), torch.tensor([1, 2]), torch.tensor([2, 1])]
    Judgments(*(graphs[r] for r in rows), ("left", "left"), torch.tensor([True, False])).append(path)
    with open(path, "a") as file:
        file.write('{"anchor"')
    widget = judge(psi_of(1), graphs, file=path)
    said = " ".join(widget.progress)
    assert "2 contradict each other." in said and "1 line of the file could not be read (line 3" in said
    assert "Of those drawn at random" in said


def test_names_are_smiles_of_molecules():
    molecules = from_smiles(["CCO", "NCC", "CCC"], molecule_vocabulary(["C", "N", "O"], 3))
    widget = judge(psi_of(1), molecules)
    assert {widget.question[side]["name"] for side in ("anchor", "left", "right")} == {"CCO", "CCN", "CCC"}


# -- in a browser --------------------------------------------------------------------------------------------------
MOLECULES = """
import elekit as ele
from elekit.correction import Judgments
psi, data = ele.load("molecules7").psi, ele.datasets.load("molecules7")
w = ele.widgets.judge(psi, data.test.graphs[:60], file="judged.jsonl", seed=4)
w
"""


@pytest.mark.browser
def test_questions_are_answered_by_keys_alone(lab):
    lab.run(MOLECULES)
    page, keys = lab.page, lab.page.keyboard
    root = page.locator(".elekit-triplets")
    root.wait_for()
    assert root.get_attribute("data-lm-suppress-shortcuts") == "true" and root.get_attribute("role") == "group"
    names = page.locator(".elekit-triplets figure span")

    def asked(number: int):
        """The browser shows the question that the kernel asks."""
        page.wait_for_function(
            "n => document.querySelector('.elekit-triplets').ariaLabel.startsWith(`question ${n}:`)", arg=number + 1
        )
        assert lab.value("w.question['number']") == number
        assert names.all_text_contents() == lab.value("[w.question[s]['name'] for s in ('anchor', 'left', 'right')]")
        drawn = page.locator(".elekit-triplets figure .elekit-graph").first.locator("circle[data-node]").count()
        assert drawn >= lab.value("sum(k > 0 for k in w.question['anchor']['scene']['nodes'])")

    asked(0)
    lab.screenshot("triplets-first")
    root.focus()
    wanted = []
    for number, (key, choice) in enumerate(
        (
            ("1", "left"),
            ("ArrowRight", "right"),
            ("0", "cannot say"),
            ("ArrowLeft", "left"),
            ("2", "right"),
            ("ArrowDown", "cannot say"),
        )
    ):
        keys.press(key)
        wanted.append(choice)
        asked(number + 1)
    assert lab.value("w.judgments.answers") == wanted
    keys.press("u")
    asked(5)
    keys.press("Backspace")
    asked(4)
    page.get_by_role("button", name="left is closer").click()
    asked(5)
    wanted = [*wanted[:4], "left"]
    assert (
        lab.value("Judgments.read('judged.jsonl', psi.vocabulary).answers")
        == wanted
        == lab.value("w.judgments.answers")
    )
    told = page.locator(".elekit-triplets-progress").text_content()
    assert told == "".join(lab.value("w.progress")) and told.startswith("5 judged, 1 of them 'cannot say'.")
    keys.press("Control+1")  # the lab's own
    page.wait_for_timeout(100)
    assert lab.value("w.answered") == 5
    for element in root.locator("button").all():
        assert element.get_attribute("data-lm-suppress-shortcuts") == "true"
    lab.screenshot("triplets")
