"""The workbench in a real browser: `python tests/workbench.py measure` times it, `pictures` photographs it.

Times depend on the machine, so each is printed beside a yardstick of the same run: a plain ipywidgets slider for the
opening of a page, an empty page's own frames for key presses.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import test_explorer
from lab import CONNECTED, NOTEBOOKS, RUN_ALL, Lab, browser_page, jupyter_lab

from elekit import card

PICTURES = NOTEBOOKS / "pictures"
PRESSES = 150
PAGE = {"width": 1400, "height": 1000}

STEPPER = """
import elekit as ele
artifact, data = ele.load("molecules7"), ele.datasets.load("molecules7")
case = data.test.take([200])
settings = ele.DecodeConfig(method="gradient+polish", gradient=ele.GradientConfig(iterations={iterations}))
target = artifact.surrogate("description")[1].predict(case.inputs)
traces = ele.decode(artifact.psi, target, config=settings, record=True).traces
w = ele.widgets.step_through(traces, truth=case.graphs)
w
"""
INSPECTOR = """
import elekit as ele
psi = ele.load("qm9").psi
known = ele.datasets.load("molecules7", vocabulary=psi.vocabulary).train
w = ele.widgets.inspect_loss(psi, "CC1CC(O)C1CC=O", among=known)
w
"""
EXPLORER = """
import elekit as ele, torch
artifact, data = ele.load("molecules7"), ele.datasets.load("molecules7").test
w = ele.widgets.explore(artifact.psi, data, color="rings")
w
"""
# Many different graphs: molecules7 over and over, each copy a random edit away.
CROWD = """
import elekit as ele, torch
from elekit.inspect import fit_map
data, psi = ele.datasets.load("molecules7").train, ele.load("molecules7").psi
rows = torch.arange(100_000) % len(data)
once = torch.ones(len(rows), dtype=torch.long)
crowd = ele.augment.random_edits(data.graphs[rows], once, torch.Generator().manual_seed(0))
w = ele.widgets.explore(psi, crowd, map=fit_map(psi.embed(crowd), method="pca"))
w
"""

TIMER = """(root) => {
  window.times = [];
  addEventListener("keydown", () => {
    const start = performance.now();
    requestAnimationFrame(() => {
      const channel = new MessageChannel();  // its message comes after the frame is painted
      channel.port1.onmessage = () => window.times.push(performance.now() - start);
      channel.port2.postMessage(0);
    });
  }, true);
}"""
PICK = """async () => {
  const frame = () => new Promise((then) => requestAnimationFrame(() => setTimeout(then)));
  const wait = (ms) => new Promise((then) => setTimeout(then, ms));
  const times = {pick: [], apply: []}, side = document.querySelector('.elekit-side');
  const until = async (ok) => { while (!ok()) await wait(2); await frame(); };
  for (let n = 0; n < 15; n++) {
    const count = document.querySelector('[data-count]').textContent;
    let start = performance.now();
    const part = document.querySelector(`.elekit-left [data-part=n${n % 9}]`);
    part.dispatchEvent(new MouseEvent('click', {bubbles: true}));
    await until(() => document.querySelector('[data-count]').textContent !== count);
    times.pick.push(performance.now() - start);
    part.dispatchEvent(new MouseEvent('click', {bubbles: true}));
    await wait(800);
    const before = side.dataset.shown;
    start = performance.now();
    document.querySelectorAll('.elekit-edits tbody tr:not([hidden])')[5 + 3 * n].querySelector('button').click();
    await until(() => side.dataset.shown !== before && side.dataset.shown.startsWith('1 '));
    times.apply.push(performance.now() - start);
    await wait(800);
    document.querySelector('[aria-keyshortcuts=u]').click();
    await until(() => side.dataset.shown === before);
    await wait(800);
  }
  return times;
}"""


@contextlib.contextmanager
def laboratory(size=None):
    """A JupyterLab and a page of its own."""
    with contextlib.ExitStack() as stack:
        folder, profile = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        url, token = stack.enter_context(jupyter_lab(folder))
        page, strays = stack.enter_context(browser_page(profile))
        page.set_viewport_size(size or PAGE)
        yield Lab(url, token, folder, page, strays)


def told(times) -> dict:
    """Median and 90th percentile in ms."""
    return {"median": round(statistics.median(times), 1), "p90": round(statistics.quantiles(times, n=10)[-1], 1)}


def opening(lab, name: str, wanted: str) -> float:
    """Seconds from the opening of a page to the first widget of a notebook that is run at once."""
    started = time.perf_counter()
    lab.page.goto(f"{lab.url}/lab/tree/{name}?token={lab.token}&reset")
    lab.page.wait_for_function(CONNECTED, timeout=60_000)
    lab.page.evaluate(RUN_ALL)
    lab.page.wait_for_selector(wanted, timeout=120_000)
    seconds = time.perf_counter() - started
    lab.leave()
    return seconds


def measure_opening(lab) -> dict:
    shutil.copy(NOTEBOOKS / "00_start_here.ipynb", lab.folder)
    slider = "import ipywidgets\nipywidgets.IntSlider()"
    libraries = "import matplotlib.pyplot, pandas, torch\nfrom rdkit import Chem\n"
    for name, code in {"slider": slider, "libraries": libraries + slider}.items():
        lab.run(code, name=name)
        lab.leave()
    opening(lab, "00_start_here.ipynb", ".elekit-graph")  # a warm disk
    plain, loaded, ours = (
        statistics.median(opening(lab, f"{name}.ipynb", wanted) for _ in range(3))
        for name, wanted in (
            ("slider", ".widget-slider"),
            ("libraries", ".widget-slider"),
            ("00_start_here", ".elekit-graph"),
        )
    )
    return {
        "seconds": round(ours, 1),
        "of a plain slider": round(plain, 1),
        "of a slider after importing torch, matplotlib, pandas, RDKit": round(loaded, 1),
        "elekit's share": round(ours - loaded, 1),
    }


def press(lab, count: int = PRESSES) -> dict:
    lab.page.evaluate("() => { window.times.length = 0; }")
    for n in range(count):
        lab.page.keyboard.press("ArrowRight" if n < count / 2 else "ArrowLeft")
        lab.page.wait_for_timeout(37)
    return told(lab.page.evaluate("window.times"))


def measure_stepper(lab) -> dict:
    lab.run(
        "import ipywidgets\nipywidgets.HTML('<p class=empty tabindex=0 data-lm-suppress-shortcuts=true>nothing</p>')"
    )
    lab.page.wait_for_selector(".empty").focus()
    lab.page.evaluate(TIMER)
    empty = press(lab)
    lab.leave()
    lab.run(STEPPER.format(iterations=150))
    lab.page.locator(".elekit-stepper-slider").focus()
    lab.page.evaluate(TIMER)
    press(lab, 20)
    idle = press(lab)
    lab.page.evaluate(
        """() => { window.kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        window.kernel.requestExecute({code: "import time; time.sleep(60)", store_history: false}); }"""
    )
    lab.page.wait_for_function("window.kernel.status === 'busy'")
    busy = press(lab)
    assert lab.page.evaluate("window.kernel.status") == "busy"
    lab.page.evaluate("() => window.kernel.interrupt()")
    lab.page.wait_for_function("window.kernel.status === 'idle'")
    grown = growth(lab, "w.step = n % w.last")
    lab.leave()
    return {"key to picture, ms": idle, "kernel busy, ms": busy, "an empty frame, ms": empty, "growth, MB": grown}


def measure_inspector(lab) -> dict:
    lab.run(INSPECTOR)
    lab.page.wait_for_selector(".elekit-edits tbody tr")
    lab.page.wait_for_timeout(3_000)
    times = lab.page.evaluate(PICK)
    grown = growth(lab, "w.apply(n % 50); w.undo()")
    lab.leave()
    return {**{f"{name}, ms": told(found) for name, found in times.items()}, "growth, MB": grown}


def measure_explorer(lab) -> dict:
    started = time.perf_counter()
    lab.run(CROWD, timeout=400)
    test_explorer.drawn(lab, 1)
    opened = time.perf_counter() - started
    page, where = lab.page, test_explorer.places(lab, 100_000)
    hovers = []
    for row in range(0, 3_000, 100):
        page.mouse.move(*(where[row] + 25))
        page.wait_for_timeout(150)
        before = page.evaluate(DRAWN_LAST)
        start = time.perf_counter()
        page.mouse.move(*where[row])
        with contextlib.suppress(Exception):  # the same point as before is not drawn again
            page.wait_for_function("(before) => window.hoverDrawn !== before", arg=before, timeout=1_500, polling=5)
            hovers.append(1_000 * (time.perf_counter() - start))
    test_explorer.tool(lab, 1)
    low, high = where.min(0), where.max(0)
    middle = sorted(where[:, 0])[len(where) // 2]
    corners = [(low[0], low[1]), (middle, low[1]), (middle, high[1]), (low[0], high[1]), (low[0], low[1] + 30)]
    test_explorer.lasso(lab, corners)
    start = time.perf_counter()
    while not (selected := lab.value("len(w.selection_rows)")):
        page.wait_for_timeout(20)
    lassoed = time.perf_counter() - start
    grown = growth(lab, "w.pinned = (n * 37) % 9000; w.color_by = ('nodes', 'edges')[n % 2]")
    lab.leave()
    return {
        "opened, s": round(opened, 1),
        "hover to drawing, ms": told(hovers),
        "hovers": len(hovers),
        "lasso to Python, s": round(lassoed, 2),
        "selected": selected,
        "growth, MB": grown,
    }


DRAWN_LAST = """() => {
  if (!window.hoverWatch) {
    window.hoverDrawn = 0;
    const card = document.querySelector('[data-card=hovered]');
    window.hoverWatch = new MutationObserver(() => requestAnimationFrame(() => { window.hoverDrawn++; }));
    window.hoverWatch.observe(card, {subtree: true, childList: true, attributes: true, characterData: true});
  }
  return window.hoverDrawn;
}"""


def growth(lab, update: str) -> dict:
    """MB that 200 updates leave behind in the kernel and in the browser, after 50 that fill the caches."""
    cdp = lab.page.context.new_cdp_session(lab.page)
    cdp.send("Performance.enable")

    def now() -> tuple[float, float]:
        lab.page.wait_for_timeout(2_000)
        for _ in range(3):
            cdp.send("HeapProfiler.collectGarbage")
        heap = {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}["JSHeapUsedSize"]
        kernel = lab.value("__import__('gc').collect() and 0 or __import__('psutil').Process().memory_info().rss")
        return kernel / 1e6, heap / 1e6

    found = []
    for count in (50, 200):
        before = now()
        lab.python(f"for n in range({count}): {update}")
        after = now()
        found = [round(b - a, 1) for a, b in zip(before, after)]
    return dict(zip(("kernel", "browser"), found))


MEASURES = {
    "opening": measure_opening,
    "stepper": measure_stepper,
    "inspector": measure_inspector,
    "explorer": measure_explorer,
}


def measure(names) -> None:
    for name in names or MEASURES:
        with laboratory() as lab:
            found = MEASURES[name](lab)
            found["requests leaving the machine"] = len(lab.strays)
        load = os.getloadavg()[0]
        sys.stdout.write(json.dumps({name: found, "load": round(load, 1)}) + "\n")
        sys.stdout.flush()


def photograph(lab, name: str, root: str) -> None:
    lab.page.wait_for_timeout(1_500)
    lab.page.locator(root).first.screenshot(path=PICTURES / f"{name}.png")
    lab.leave()


def pictures(names) -> None:
    with laboratory({"width": 1500, "height": 2400}) as lab:
        for name in names or PHOTOGRAPHS:
            PHOTOGRAPHS[name](lab)


def photograph_stepper(lab) -> None:
    lab.run(STEPPER.format(iterations=40))
    lab.python("w.step = 9")
    photograph(lab, "stepper", ".elekit-stepper")


def photograph_inspector(lab) -> None:
    lab.run(INSPECTOR)
    lab.page.wait_for_selector(".elekit-edits tbody tr")
    lab.page.locator(".elekit-left [data-part=n3]").click()
    photograph(lab, "inspector", ".elekit-inspector")


def photograph_explorer(lab) -> None:
    lab.run(EXPLORER)
    test_explorer.drawn(lab, 1)
    lab.python("w.pinned = 200")
    lab.page.wait_for_timeout(2_000)
    photograph(lab, "explorer", ".jp-OutputArea-output .jupyter-widgets")


def photograph_card(lab) -> None:
    """The first page of the card that comes along, opened as a file."""
    page = lab.page.context.new_page()
    page.set_viewport_size({"width": 1000, "height": 1500})
    page.goto(card.SHIPPED.as_uri())
    page.wait_for_load_state()
    page.screenshot(path=PICTURES / "card.png")
    page.close()


PHOTOGRAPHS = {
    "stepper": photograph_stepper, "inspector": photograph_inspector, "explorer": photograph_explorer,
    "card": photograph_card,
}  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["measure", "pictures"])
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(MEASURES)}; none = all")
    chosen = parser.parse_args()
    {"measure": measure, "pictures": pictures}[chosen.what](chosen.names)
