"""What all widgets share: nothing parses markup or reaches for the network, errors are told, closing frees."""

import gc
import re
import subprocess
import sys
import weakref

import pytest
import torch
import traitlets
from lab import NOTEBOOKS

from elekit import draw
from elekit.draw.scenes import palette, scene
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.widgets import base, bundle

STATIC = sorted(bundle.STATIC.iterdir())
HOSTILE = '<img src=x onerror="window.hacked=1">'
VOCABULARY = GraphVocabulary((HOSTILE, "b"), ("&lt;thin", "$thick$"), 3)


@pytest.fixture
def graph():
    edges = torch.tensor([[[0, 1, 0], [1, 0, 2], [0, 2, 0]]])
    return Graph.from_labels(torch.tensor([[1, 2, 1]]), edges, VOCABULARY)


class Small(base.Panel):
    _esm = traitlets.Unicode("export default { render() {} }").tag(sync=True)
    COMMANDS = ("half",)

    def half(self, value):
        if value % 2:
            raise ValueError(f"{value} is odd; give an even number\nmore than one line")
        self.result = value // 2

    def not_for_browsers(self):
        raise AssertionError("called")

    def picture(self):
        return draw.graph(Graph.from_labels(torch.tensor([[1]]), torch.zeros(1, 1, 1), VOCABULARY))


def test_there_is_a_browser_side():
    assert {"dom.js", "graph.js", "shared.css"} <= {path.name for path in STATIC}


def modules(folder, **sources):
    for name, text in sources.items():
        (folder / f"{name}.js").write_text(text)
    return bundle.script(folder / "entry.js")


def test_a_bundle_keeps_every_module_in_its_own_scope(tmp_path):
    base_module = "const x = 1;\n\nexport { x };\n"
    left = 'import { x as y } from "./base.js";\n\nconst x = 2, z = x + y;\n\nexport { z };\n'
    entry = 'import {\n  x,\n} from "./base.js";\nimport { z } from "./left.js";\n\nconst sum = x + z;\n\nexport { sum };\n'
    made = modules(tmp_path, base=base_module, left=left, entry=entry)
    assert made.count("const x = 1;") == 1 and "const { x: y } = $0_base;" in made
    assert made.endswith("export default $2_entry;\n")
    assert not re.search(r"^import\b|^export (?!default)", made, re.MULTILINE)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ('import * as all from "./base.js";\n', "import *"),
        ("export const y = 1;\n", "export const y"),
        ("export { y };\nconst y = 1;\n", "export { y }"),
        ('import { y } from "./base.js";\n', "y"),
        ('import { z } from "./entry.js";\nconst z = 1;\nexport { z };\n', "entry.js"),
    ],
)
def test_a_module_that_breaks_a_rule_is_not_bundled(tmp_path, entry, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        modules(tmp_path, base="const x = 1;\n\nexport { x };\n", entry=entry)


@pytest.mark.parametrize("name", ["explorer_map", "explorer_panel", "inspector", "stepper", "triplets"])
def test_every_widget_is_one_module(name):
    made = bundle.script(bundle.STATIC / f"{name}.js")
    assert made.count("export ") == 1 and "return { render };" in made


@pytest.mark.parametrize("path", STATIC, ids=lambda path: path.name)
def test_nothing_parses_markup_or_reaches_for_the_network(path):
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    parsing = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\("
    reaching = r"https?:|//[a-z]+\.|\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|@import(?! \{)|@font-face|url\("
    assert re.findall(f"{parsing}|{reaching}", text) == []


def test_an_error_in_a_callback_is_told_and_the_next_success_clears_it():
    widget = Small()
    widget._receive(widget, {"do": "half", "with": {"value": 3}}, [])
    assert widget.problem == "3 is odd; give an even number"
    assert isinstance(widget.error, ValueError)
    widget._receive(widget, {"do": "half", "with": {"value": 8}}, [])
    assert (widget.problem, widget.error, widget.result) == ("", None, 4)


def test_an_unexpected_error_says_what_kind_it_is():
    widget = Small()
    widget._receive(widget, {"do": "half", "with": {"value": "x"}}, [])
    assert widget.problem.startswith("TypeError: ")


@pytest.mark.parametrize(
    "content", [{"do": "not_for_browsers"}, {"do": "close"}, {"do": "__init__"}, {}, None, "half", {"do": None}]
)
def test_a_browser_calls_nothing_but_commands(content):
    widget = Small()
    widget._receive(widget, content, [])
    assert widget.problem == "" and widget.comm is not None


def test_readers_without_a_kernel_get_the_static_twin(monkeypatch):
    data, _ = Small()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["image/png"].startswith("iVBORw0KGgo")  # the signature of a PNG

    outputs = []  # a viewer that cannot draw a widget shows the picture, which is the only type of its output
    monkeypatch.setattr(base, "display", lambda data, **options: outputs.append(data))
    Small()._ipython_display_()
    assert ["application/vnd.jupyter.widget-view+json" in output for output in outputs] == [True, False, False]
    assert list(outputs[1]) == ["image/png"] and list(outputs[2]) == ["text/html"]


def test_a_ping_is_answered_and_keeps_the_last_problem(monkeypatch):
    widget, sent = Small(), []
    widget.problem = "an earlier one"
    monkeypatch.setattr(widget, "send", sent.append)
    widget._receive(widget, {"do": "ping", "with": {}}, [])
    assert sent == [{"pong": True}] and widget.problem == "an earlier one"


def test_a_closed_widget_is_freed():
    widget = Small()
    gone = weakref.ref(widget)
    widget.close()
    del widget
    gc.collect()
    assert gone() is None


def test_a_scene_is_the_graph(graph):
    found = scene(graph)
    assert found["nodes"] == [1, 2, 1] and found["edges"] == [[0, 1, 1], [1, 2, 2]]
    assert found["positions"] == draw.layout(graph).round(3).tolist()


def test_a_palette_names_every_label():
    found = palette(VOCABULARY)
    assert found["nodes"] == [HOSTILE, "b"] and found["edges"] == ["&lt;thin", "$thick$"]
    assert len(set(found["colors"])) == 2 and all(re.fullmatch("#[0-9a-f]{6}", c) for c in found["colors"])
    assert found["strokes"] is None


def test_bond_orders_are_strokes():
    from elekit.graphs.smiles import molecule_vocabulary

    assert palette(molecule_vocabulary(["C", "N"], 4))["strokes"] == [1, 2, 3, 1.5]


PANEL = f"""
import os, tempfile
from pathlib import Path
import torch, traitlets
from elekit.draw.scenes import palette, scene
from elekit.graphs.graph import Graph, GraphVocabulary
from elekit.widgets import base, bundle
entry = Path(tempfile.mkdtemp()).resolve() / "entry.js"
home = os.path.relpath(bundle.STATIC, entry.parent)
entry.write_text('''
import {{ button, cleaning, follow, frame, save, send }} from "HOME/dom.js";
import {{ GraphView }} from "HOME/graph.js";
function render({{ model, el }}) {{
  const cleanups = [], root = frame(model, el, cleanups, "a test");
  const view = new GraphView(model.get("palette"), {{ onpick: (part) => save(model, "picked", part) }});
  root.append(view.element, button("go wrong", () => send(model, "go_wrong")));
  follow(model, cleanups, "scene", () => view.show(model.get("scene")));
  return cleaning(cleanups);
}}
export {{ render }};
'''.replace("HOME", home))
vocabulary = GraphVocabulary(({HOSTILE!r}, "b"), ("&lt;thin", "$thick$"), 3)
graph = Graph.from_labels(torch.tensor([[1, 2, 1]]), torch.tensor([[[0, 1, 0], [1, 0, 2], [0, 2, 0]]]), vocabulary)
class Panel(base.Panel):
    _esm = traitlets.Unicode(bundle.script(entry)).tag(sync=True)
    scene, picked = traitlets.Dict().tag(sync=True), traitlets.Dict().tag(sync=True)
    COMMANDS = ("go_wrong",)
    def go_wrong(self):
        raise ValueError({HOSTILE!r} + " is no label")
    def picture(self):
        from elekit import draw
        return draw.graph(graph)
panel = Panel(palette=palette(vocabulary), scene=scene(graph))
panel
"""


STILL, LOST = ".jp-RenderedImage img", ".elekit-kernel:not([hidden])"


def assert_only_the_picture(page):
    """In place of the widget there is its picture, and a sentence instead of a viewer's error."""
    page.locator(STILL).wait_for(state="visible")
    assert page.locator(".elekit").count() == 0 and page.evaluate("window.hacked") is None
    assert page.locator(STILL).evaluate("image => image.naturalWidth") > 100
    place = page.locator(".jp-OutputArea-output").first
    said = place.evaluate("e => [e.innerText, getComputedStyle(e).fontSize, getComputedStyle(e, '::after').content]")
    assert said[1:] == ["0px", f'"{base.RUN_AGAIN}"'] or base.RUN_AGAIN in said[0]


@pytest.mark.browser
def test_a_drawn_graph_is_picked_and_hostile_names_stay_text_also_without_a_kernel(lab, tmp_path):
    lab.run(PANEL)
    page = lab.page
    page.locator("[data-part=n1]").click()
    lab.eventually("panel.picked", {"node": 1})
    page.locator("[data-part=p2]").focus()  # pairs 0-1, 0-2, 1-2
    page.keyboard.press("Enter")
    lab.eventually("panel.picked", {"pair": [1, 2]})
    page.get_by_role("button", name="go wrong").click()
    page.wait_for_selector(".elekit-problem:not([hidden])")
    assert page.locator(".elekit-problem").text_content() == f"{HOSTILE} is no label"
    assert page.locator("[data-part=n0]").get_attribute("aria-label") == f"node 0: {HOSTILE}"
    assert page.locator(".elekit-graph img").count() == 0
    assert page.evaluate("window.hacked") is None

    assert page.locator(STILL).count() == 1 and not page.locator(STILL).is_visible()
    assert page.locator(LOST).count() == 0
    saved = lab.save()
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.locator(LOST).wait_for()
    page.locator("[data-part=n1]").click()
    assert "Run the cell again" in page.locator(LOST).text_content()
    lab.leave()

    lab.open(saved.name)
    assert_only_the_picture(page)
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "nbconvert",
        "--to",
        "html",
        "--output-dir",
        str(tmp_path),
        str(saved),
    ]
    subprocess.run([*command, f"--config={NOTEBOOKS / 'offline.json'}"], check=True, capture_output=True)
    other = page.context.new_page()
    other.goto((tmp_path / f"{saved.stem}.html").as_uri())
    assert_only_the_picture(other)
    other.close()
