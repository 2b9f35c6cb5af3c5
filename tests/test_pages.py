"""Widgets as HTML pages: one file, no request, and what a user does there gives what the kernel would give."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import random_vertices
from lab import browser_page, find_chromium
from test_selections import HOSTILE, embedding

import elekit as ele
from elekit.datasets import Split
from elekit.graphs.graph import GraphVocabulary
from elekit.widgets import explore, inspect_loss, step_through
from elekit.widgets.explorer_page import MOST, compact

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser_page(tmp_path_factory.mktemp("profile")) as (one, strays):
        errors = []
        one.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        one.on("pageerror", lambda error: errors.append(str(error)))
        one.set_viewport_size({"width": 1280, "height": 800})
        yield one, strays, errors
        assert strays == [] and errors == []


@pytest.fixture(scope="module")
def molecules():
    artifact = ele.load("molecules7")
    data = ele.datasets.load("molecules7", inputs="description", vocabulary=artifact.vocabulary)
    return artifact.psi, data.test


@pytest.mark.browser
def test_the_page_of_an_explorer_does_what_the_kernel_does(page, molecules, tmp_path):
    one, _, _ = page
    psi, test = molecules
    explorer = explore(psi, test, color="rings")
    explorer.pinned = 7
    path = explorer.save_html(tmp_path / "map.html", "Test <molecules>")
    assert path.stat().st_size < 2e6  # ten thousand molecules are below 10 MB
    one.goto(path.as_uri())
    one.locator("h1").get_by_text("Test <molecules>", exact=True).wait_for()
    near = explorer.neighbors["row"].tolist()
    listed = one.locator(".elekit-neighbor")
    assert [int(card.get_attribute("data-row")) for card in listed.all()] == near
    words = [card["loss"] for card in explorer._beside.neighbors["lists"][0]["cards"]]
    assert [text.text_content() for text in listed.locator(".elekit-number").all()] == words
    for kind, text in (("id", "12"), ("text", "azetidine"), ("label", "N>=3"), ("label", "F"), ("id", "no such")):
        one.get_by_label("Search by").select_option(kind)
        one.get_by_label("Search for").fill(text)
        one.get_by_label("Search for").press("Enter")
        told = sum(text in one for one in test.inputs)
        count = told if kind == "text" else len(explorer.find(kind, text))
        one.get_by_text(re.compile(rf"^{count:,} found")).wait_for()
    one.get_by_label("Color by").select_option("nodes: N")
    assert one.locator(".elekit-legend li").count() == len(explorer.frame["nodes: N"].unique())
    one.get_by_label("Walk on the map").focus()
    for key, direction in (("ArrowUp", "up"), ("ArrowLeft", "left")):
        one.keyboard.press(key)
        explorer._below.walk(direction)
        name = explorer.explored.name(explorer.pinned)
        one.locator("[data-card=pinned]").get_by_text(name, exact=True).wait_for()
    box = one.locator(".elekit-page-map canvas").bounding_box()
    one.get_by_role("button", name="Lasso", exact=True).click()
    x, y, w, h = (box[side] for side in ("x", "y", "width", "height"))
    one.mouse.move(x + 2, y + 2)
    one.mouse.down()
    for u, v in ((w - 2, 2), (w - 2, h - 2), (2, h - 2)):
        one.mouse.move(x + u, y + v, steps=4)
    one.mouse.up()
    one.get_by_text(re.compile(r"^960 of 960 selected")).wait_for()
    explorer.close()


@pytest.mark.browser
def test_inspector_and_stepper_work_as_pages(page, molecules, tmp_path):
    one, _, _ = page
    psi, test = molecules
    inspector = inspect_loss(psi, "CC(=O)NC", among=test)
    one.goto(inspector.save_html(tmp_path / "inspector.html").as_uri())
    assert inspector.steps == ["original"] and inspector.at == 0
    one.locator("tbody tr").first.get_by_role("button", name="apply").click()
    one.get_by_role("button", name=re.compile("^1 ")).wait_for()
    one.get_by_role("button", name="Undo").click()
    config = ele.DecodeConfig("gradient", gradient=ele.GradientConfig(iterations=5))
    traces = ele.decode(psi, psi.embed(test.graphs[:1]), config=config, record=True).traces
    one.goto(step_through(traces).save_html(tmp_path / "stepper.html").as_uri())
    one.locator(".elekit-stepper-slider").focus()
    one.keyboard.press("ArrowRight")
    one.get_by_text(re.compile("^iteration 1 of 5")).first.wait_for()
    inspector.close()


@pytest.mark.browser
def test_hostile_names_stay_text(page, tmp_path):
    one, _, _ = page
    vocabulary = GraphVocabulary((HOSTILE, "b"), ("<b>thin</b>", "</script>"), 5)
    graphs = random_vertices(vocabulary, 30, torch.Generator().manual_seed(0))
    frame = pd.DataFrame({"id": [f"{HOSTILE}{i}" for i in range(30)], HOSTILE: [HOSTILE, "x", None] * 10})
    explorer = explore(embedding(vocabulary), Split([HOSTILE] * 30, graphs, frame), color=HOSTILE)
    explorer.pinned = 3
    one.goto(explorer.save_html(tmp_path / "hostile.html", HOSTILE).as_uri())
    one.locator(".elekit-neighbor").first.wait_for()
    assert one.locator("img, b, i").count() == 0 and one.evaluate("window.hacked") is None
    explorer.close()


def test_a_scene_survives_compression(molecules):
    explorer = explore(*molecules)
    for row in (0, 40, 900):
        scene = explorer.explored.scene(row)
        nodes, places, edges, centers = compact(scene)
        assert nodes == scene["nodes"] and np.reshape(edges, (-1, 3)).tolist() == scene["edges"]
        assert np.allclose(np.reshape(places, (-1, 2)) / 100, scene["positions"], atol=0.006)
        assert len(centers) == 4 * len(scene["centers"])
    explorer.close()


def test_too_many_graphs_are_refused_before_a_file_is_written(molecules, tmp_path, monkeypatch):
    explorer = explore(*molecules)
    monkeypatch.setattr("elekit.widgets.explorer_page.MOST", 100)
    with pytest.raises(ValueError, match="at most 100 graphs, these are 960"):
        explorer.save_html(tmp_path / "map.html")
    assert not list(tmp_path.iterdir()) and MOST >= 50_000
    explorer.close()
