"""Explorer, inspector and stepper on a laptop: 1280 x 800, with the file browser open, and nothing sticks out."""

import pytest

HEIGHT = 600  # pixels of a widget; the rest of 800 is the lab's
LOAD = """
import elekit as ele
from elekit.datasets import Prepare

artifact = ele.load("{name}")
psi = artifact.psi
data = ele.datasets.load("{data}", inputs={inputs}, vocabulary=psi.vocabulary, prepare=artifact.prepare)
test = data.test.sample(120)
one = test.graphs[int(test.graphs.sizes.argmax())]
"""
MAKE = {
    "explorer": "ele.widgets.explore(psi, test)",
    "two losses": """
import numpy as np
points = psi.embed(test.graphs).numpy()
moved = points + np.random.default_rng(0).normal(size=points.shape) / np.sqrt(points.shape[1])
ele.widgets.explore(psi, test, other=moved, losses=("before", "after"))""",
    "inspector": "ele.widgets.inspect_loss(psi, one, among=test)",
    "stepper": """
config = ele.DecodeConfig("gradient+polish", gradient=ele.GradientConfig(iterations=10))
traces = ele.decode(psi, psi.embed(one), config=config, record=True).traces
ele.widgets.step_through(traces, truth=one)""",
}
LOSSES = {"molecules7": ("molecules7", '"description"'), "faults": ("faults", '"report"')}
# Text boxes of the widget that stick out of it to the left or right, unless something around them scrolls or hides.
OUTSIDE = """(root) => {
  const box = root.getBoundingClientRect();
  const held = (e) => e !== root && (getComputedStyle(e).overflowX !== 'visible' || held(e.parentElement));
  return [...root.querySelectorAll('button, p, td, th, label, select, figcaption, svg')]
    .filter((e) => e.checkVisibility() && !held(e))
    .map((e) => [e.textContent.trim().slice(0, 40), e.getBoundingClientRect()])
    .filter(([, b]) => b.width && (b.left < box.left - 1 || b.right > box.right + 1))
    .map(([text]) => text);
}"""


@pytest.mark.browser
@pytest.mark.parametrize(
    "name, widget",
    [("molecules7", "explorer"), ("molecules7", "two losses"), ("faults", "inspector"), ("faults", "stepper")],
)
def test_a_widget_fits_a_laptop(lab, name, widget):
    data, inputs = LOSSES[name]
    lab.page.set_viewport_size({"width": 1280, "height": 800})
    try:
        lab.run(LOAD.format(name=name, data=data, inputs=inputs) + MAKE[widget], name=f"one_screen_{name}_{widget}")
        kind = "explorer" if widget == "two losses" else widget
        root = lab.page.locator(f".elekit-{kind}").first
        root.wait_for()
        lab.page.wait_for_timeout(1500)  # until the fonts and the table have come
        box = root.bounding_box()
        assert 700 < box["width"] < 900, "the file browser is open"
        assert box["height"] <= HEIGHT
        assert root.evaluate(OUTSIDE) == []
        lab.screenshot(f"one_screen_{name}_{widget}")
    finally:
        lab.leave()
        lab.page.set_viewport_size({"width": 1400, "height": 1000})
