"""How the explorer copes with many points: `python -m benchmarks.explorer_size [points]`, a few minutes.

A million vectors in clusters, with a column of numbers and one of names, are shown in JupyterLab in a headless
Chromium, panned and lassoed with real mouse events. Without a GPU the browser draws by software, so frames per second
are a lower bound.
"""

import argparse
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

POINTS = 1_000_000
DIMENSIONS = 32
PAN = (80, 20)  # pixels
GOALS = {"load, s": 10.0, "frames per second": 30.0, "lasso of half, s": 3.0}
SETUP = """
import resource, time
import numpy as np, pandas as pd, torch
from elekit.inspect.maps import fit_map
from elekit.widgets import explore
generator = torch.Generator().manual_seed(0)
n, d = {points}, {dimensions}
group = torch.randint(40, (n,), generator=generator)
points = torch.randn(40, d, generator=generator)[group] + 0.7 * torch.randn(n, d, generator=generator)
points = torch.nn.functional.normalize(points, dim=1)
names = np.char.add("group ", (group % 12).numpy().astype(str))
frame = pd.DataFrame({{"group": names, "value": points[:, 0].numpy()}})
started = time.time()
map = fit_map(points, method="pca")
fitted = time.time() - started
"""
SHOW = """
started = time.time()
explorer = explore(points, frame, map=map, color="group", height=420)
explored = time.time() - started
selected = []
explorer.observe(lambda change: selected.append((time.time(), len(change["new"]))), "selection_rows")
explorer
"""
HOME = "[...document.querySelectorAll('.elekit-map div')].find((element) => element.api)"
DRAWN = f"(n) => {HOME}?.api.get('isPointsDrawn') && {HOME}.api.get('points').length === n && Date.now() / 1000"
WATCH = """() => {
  const canvas = document.querySelector('.elekit-map canvas');
  window.frames_shown = [];
  let last = '';
  const api = [...document.querySelectorAll('.elekit-map div')].find((element) => element.api).api;
  if (window.counted === undefined) api.subscribe('draw', () => { window.counted += 1; });
  window.counted ??= 0;
  const look = () => {
    const now = `${canvas.style.transform} ${window.counted}`;
    if (now !== last) window.frames_shown.push(performance.now());
    last = now;
    window.looking = requestAnimationFrame(look);
  };
  window.looking = requestAnimationFrame(look);
}"""


def measure(points: int) -> dict[str, float]:
    """Figures of one session, in seconds, frames per second and GB."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
    from lab import Lab, browser_page, jupyter_lab  # type: ignore[import-not-found]  # tests/lab.py

    found: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as profile,
        jupyter_lab(Path(folder)) as (url, token),
        browser_page(Path(profile)) as (page, strays),
    ):
        page.set_viewport_size({"width": 1280, "height": 800})
        lab = Lab(url, token, Path(folder), page, strays)
        lab.run(SETUP.format(points=points, dimensions=DIMENSIONS), SHOW, timeout=600)
        drawn = page.wait_for_function(DRAWN, arg=points, timeout=300_000, polling=20).json_value()
        found["fit the map (PCA, judged on a sample), s"] = lab.value("fitted")
        found["make the widget, s"] = lab.value("explored")
        found["load, s"] = drawn - lab.value("started")
        page.wait_for_timeout(3_000)
        found["frames per second"] = _panned(page)
        page.locator(".elekit-map").first.locator("button").nth(1).click()
        found["lasso of half, s"], found["share selected"] = _lassoed(lab, points)
        lab.python("explorer.selection = None")
        started = lab.value("time.time()")
        lab.python("explorer.pinned = 7")
        found["pin, s"] = lab.value("time.time()") - started
        found["memory of the kernel, GB"] = lab.value("resource.getrusage(resource.RUSAGE_SELF).ru_maxrss") / 1e6
        found["memory of the page, GB"] = page.evaluate("performance.memory.usedJSHeapSize") / 1e9
        lab.screenshot("explorer_size")
        lab.leave()
    return found


def _panned(page) -> float:
    """Frames per second in which the map moves while a mouse drags it for five seconds, the median."""
    canvas = page.locator(".elekit-map canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(WATCH)
    page.mouse.move(x, y)
    page.mouse.down()
    started, n = time.monotonic(), 0
    while time.monotonic() - started < 5:
        n += 1
        page.mouse.move(x + 60 * (n % 20 - 10) / 10, y + 2 * (n % 15))
        page.wait_for_timeout(8)
    page.mouse.move(x + PAN[0], y + PAN[1])  # a drag that ends where it began is a click
    page.mouse.up()
    times = page.evaluate("() => { cancelAnimationFrame(window.looking); return window.frames_shown; }")
    gaps = [after - before for before, after in pairwise(times)]
    return 1000 / max(statistics.median(gaps), 1) if gaps else 0.0


def _lassoed(lab, points: int) -> tuple[float, float]:
    """Seconds from the end of a lasso around the left half to the selection in Python, and the share selected."""
    box = lab.page.locator(".elekit-map canvas").first.bounding_box()
    left, top = box["x"] + 4, box["y"] + 4
    middle, bottom = box["x"] + box["width"] / 2 + PAN[0], box["y"] + box["height"] - 4
    corners = [(left, top), (middle, top), (middle, bottom), (left, bottom), (left, top + 40)]
    mouse = lab.page.mouse
    mouse.move(*corners[0])
    mouse.down()
    for (x, y), (u, v) in pairwise(corners):
        for share in (0.25, 0.5, 0.75, 1):
            mouse.move(x + share * (u - x), y + share * (v - y))
            lab.page.wait_for_timeout(40)
    lab.python("selected.clear()")
    started = time.time()
    mouse.up()
    deadline = time.monotonic() + 120
    while not lab.value("len(selected)") and time.monotonic() < deadline:
        lab.page.wait_for_timeout(20)
    arrived, count = lab.value("selected[-1]")
    return arrived - started, count / points


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", nargs="?", type=int, default=POINTS)
    for name, value in measure(parser.parse_args().points).items():
        goal = f"  (goal {GOALS[name]:g})" if name in GOALS else ""
        sys.stdout.write(f"{name}: {value:.2f}{goal}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
