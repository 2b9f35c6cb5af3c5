"""Widgets follow the theme, the window and the reader's settings; the map leaves the wheel to the page."""

import copy
import re

import numpy as np
import pytest
from pictures import MAKE, ROOT, faults, turn
from test_explorer import PLOT, alone, drawn, places

from elekit.draw.maps import DARK, LIGHT
from elekit.widgets import bundle, explore

COLOR = re.compile(r"#[0-9a-fA-F]{3,8}\b|\brgb\(")
LOAD = """
import elekit as ele
artifact = ele.load("molecules7")
psi, data = artifact.psi, ele.datasets.load("molecules7").test.sample(200)
one = data.graphs[int(data.graphs.sizes.argmax())]
"""
CONTROLS = "button, select, input, textarea, [tabindex='0'], [role=img], [role=button]"
NAMELESS = f"""(root) => [...root.querySelectorAll("{CONTROLS}")]
  .filter((e) => e.checkVisibility() && !e.closest('[aria-hidden=true]'))
  .filter((e) => ![e.getAttribute('aria-label'), e.title, e.textContent.trim(), e.labels?.[0]?.textContent].some(Boolean))
  .map((e) => e.outerHTML.slice(0, 120))"""


# -- in Python -------------------------------------------------------------------------------------------------
@pytest.fixture
def explorer():
    from elekit import datasets, load

    made = explore(load("molecules7").psi, datasets.load("molecules7").test.sample(60), color="nodes")
    yield made
    made.close()


def test_points_are_painted_for_the_background(explorer):
    scatter, below = explorer._canvases[0].widget, explorer._below
    light = [list(color) for color in scatter.color]
    below.paper = "#111111"
    assert scatter.background_color == "#111111" and explorer._canvases[0].backdrop is DARK
    dark = [list(color) for color in scatter.color]
    assert dark != light and below.legend["classes"][0]["color"] == explorer._paint.colors[0]
    assert sum(dark[0]) > sum(light[0])  # the dark end of viridis would not show
    below.paper = "no color"
    assert below.paper == "#ffffff" and explorer._canvases[0].backdrop is LIGHT
    assert [list(color) for color in scatter.color] == light


def test_maps_grow_within_limits(explorer):
    scatter = explorer._canvases[0].widget
    assert explorer._below.grows and scatter.height == 280
    for wanted, got in ((500, 500), (10, 280), (10**9, 4000)):
        explorer._below._execute("resize", {"height": wanted})
        assert scatter.height == got and explorer.error is None
    fixed = explore(explorer.explored.spaces[0].psi, explorer.explored.graphs, height=333)
    assert not fixed._below.grows and fixed._canvases[0].widget.height == 333
    fixed.close()


def test_two_losses_have_names(explorer):
    psi, graphs = explorer.explored.spaces[0].psi, explorer.explored.graphs
    both = explore(psi, graphs, other=copy.deepcopy(psi), losses=("before", "after <b>"))
    both.pinned = 0
    assert both._below.sides == ["before", "after <b>"]
    assert "before: " in both._below.trust and "after <b>: " in both._below.trust
    assert [found["heading"] for found in both._beside.neighbors["lists"]] == [
        "Nearest by the learned loss, before", "Nearest by the learned loss, after <b>",
    ]  # fmt: skip
    both.close()
    with pytest.raises(ValueError, match="losses must be two different"):
        explore(psi, graphs, other=psi, losses=("psi", "psi"))


def test_colors_are_defined_in_one_place():
    """Style sheets name no color but among the variables of `shared.css`; drawings only those that mean something."""
    for path in sorted(bundle.STATIC.glob("*.css")):
        rules = re.sub(r"(?s)(:root,\s*:host) \{.*?\}|/\*.*?\*/", "", path.read_text(encoding="utf-8"))
        assert not [line for line in rules.splitlines() if COLOR.search(line) and "box-shadow" not in line], path.name
    for path in sorted(bundle.STATIC.glob("*.js")):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r'(fill|stroke)"?: "#', code), path.name


# -- in the browser --------------------------------------------------------------------------------------------
@pytest.mark.browser
def test_widgets_follow_theme_zoom_and_settings(lab):
    page = lab.page
    page.set_viewport_size({"width": 1280, "height": 800})
    try:
        lab.run(LOAD, *[MAKE[widget] for widget in MAKE], name="themes")
        drawn(lab, 1)
        roots = {widget: page.locator(ROOT[widget]).first for widget in MAKE}
        for theme in ("dark", "light"):
            turn(lab, theme)
            for widget, root in roots.items():
                root.scroll_into_view_if_needed()
                assert faults(root, theme) == [], (widget, theme)
                assert root.evaluate(NAMELESS) == [], widget
            paper = page.evaluate(PLOT, [0, "backgroundColor"])
            assert (sum(paper[:3]) < 1) == (theme == "dark")
            lab.screenshot(f"theme-{theme}")
        narrow = {"125 %": (1024, 640), "side by side": (1010, 800)}  # the file browser takes about 380 of it
        for name, (width, height) in narrow.items():
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(1_500)
            for widget, root in roots.items():
                root.scroll_into_view_if_needed()
                assert 500 < root.bounding_box()["width"] < 680
                assert faults(root, "light") == [], (widget, name)
        page.emulate_media(forced_colors="active")
        pressed = page.locator(".elekit-inspector [aria-pressed=true]").first
        look = "(e) => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color, getComputedStyle(e.parentElement).color]"
        background, ink, plain = pressed.evaluate(look)
        assert background != ink and (background, ink) != (plain, plain)
        page.emulate_media(forced_colors="none", reduced_motion="reduce")
        slow = "(e) => [...e.querySelectorAll('*')].map((n) => getComputedStyle(n).transitionDuration).filter((d) => !/^0s(, 0s)*$/.test(d))"
        for root in roots.values():
            assert root.evaluate(slow) == []
    finally:
        page.emulate_media(forced_colors="none", reduced_motion="no-preference")
        page.set_viewport_size({"width": 1400, "height": 1000})


@pytest.mark.browser
def test_the_map_leaves_the_wheel_to_the_page_and_says_when_its_kernel_is_gone(lab):
    lab.run(LOAD + "explorer = ele.widgets.explore(psi, data, color='nodes')\nexplorer", name="manners")
    page, wrong = lab.page, drawn(lab, 1)
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    zoom = lambda: page.evaluate(PLOT, [0, "cameraView"])[0]  # noqa: E731
    whole = zoom()

    hints = page.get_by_role("note", name="hints for the first use")
    if hints.is_visible():  # of the first explorer that this browser sees
        page.get_by_role("button", name="dismiss the hints").click()
    hints.wait_for(state="hidden")
    assert page.evaluate("localStorage.getItem('elekit-hints-explorer')") == "dismissed"

    where = places(lab, 200)
    row = alone(where, least=7)
    page.mouse.move(*(where[row] + 3))
    page.mouse.move(*where[row])
    tip = page.locator(".elekit-tip")
    tip.get_by_text(lab.value("explorer.frame.key.tolist()")[row], exact=True).wait_for()
    assert tip.locator("circle[data-node]").count() == lab.value(f"int(explorer.frame.nodes[{row}])")
    box, around = tip.bounding_box(), page.locator(".elekit-map").bounding_box()
    assert around["x"] <= box["x"] and box["x"] + box["width"] <= around["x"] + around["width"]
    assert around["y"] <= box["y"] and box["y"] + box["height"] <= around["y"] + around["height"]

    page.mouse.wheel(0, -120)
    page.get_by_text("Ctrl and the wheel zoom;", exact=False).wait_for()
    page.wait_for_timeout(200)
    assert zoom() == whole
    page.keyboard.down("Control")
    for turned, bound in ((-240, 50), (240, 0.8)):
        for _ in range(40):
            page.mouse.wheel(0, turned)
            page.wait_for_timeout(20)
        assert zoom() == pytest.approx(bound * whole, rel=0.01)
    page.keyboard.up("Control")
    middle = np.array([around["x"] + 0.5 * around["width"], around["y"] + 12])
    page.mouse.dblclick(*middle)
    page.wait_for_timeout(400)
    assert zoom() == pytest.approx(whole)
    page.mouse.wheel(0, -120)  # after the clicks
    page.wait_for_timeout(300)
    assert zoom() > whole
    page.get_by_role("button", name="Walk", exact=False).focus()
    page.keyboard.press("0")
    page.wait_for_timeout(300)
    assert zoom() == pytest.approx(whole)
    page.keyboard.press("+")
    page.wait_for_timeout(300)
    assert zoom() == pytest.approx(1.4 * whole)

    height = around["height"]
    page.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement?.matches('.elekit-explorer')")
    page.wait_for_timeout(800)
    for part in (".elekit-legend", "[data-card=pinned]", ".elekit-map"):
        assert page.locator(part).is_visible()
    assert page.locator(".elekit-map").bounding_box()["height"] > height
    page.get_by_role("button", name="Leave full screen").click()
    page.wait_for_function("document.fullscreenElement === null")
    page.wait_for_timeout(800)
    assert page.locator(".elekit-map").bounding_box()["height"] == pytest.approx(height, abs=5)

    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    gone = page.get_by_text("The kernel of this widget was stopped or restarted.", exact=False)
    gone.first.wait_for(timeout=20_000)
    assert gone.count() == 3  # each part of the widget
    column = page.get_by_label("Color by")
    column.select_option("edges")
    page.wait_for_timeout(500)
    assert column.input_value() == "nodes"  # the map keeps its colors
    assert not page.locator(".elekit-map").evaluate("(e) => getComputedStyle(e).pointerEvents === 'auto'")
    assert wrong == []
