"""All pictures of the widgets: `ELEKIT_SCREENSHOTS=folder python tests/pictures.py` makes 36 and compares boxes.

Explorer, inspector and stepper, at 1280 x 800 and 1920 x 1080, in a light and a dark lab, of 9, 24 and 40 nodes. Each
is a picture of the widget in the notebook, and a list of what is wrong in it, empty where all is well.
"""

import argparse
import json
import os
import sys

from workbench import laboratory

LOSSES = {
    9: """
import elekit as ele
artifact = ele.load("molecules7")
psi = artifact.psi
data = ele.datasets.load("molecules7", vocabulary=psi.vocabulary, prepare=artifact.prepare).test
data = data.sample(400)""",
    24: """
import elekit as ele
artifact = ele.load("chembl24")
psi = artifact.psi
data = ele.datasets.load("chembl", vocabulary=psi.vocabulary, prepare=artifact.prepare).test.sample(400)""",
    40: """
import elekit as ele
artifact = ele.load("chembl24").widened(40)
psi = artifact.psi
data = ele.datasets.load("chembl", vocabulary=psi.vocabulary, prepare=artifact.prepare).test.sample(400)""",
}
ONE = "\none = data.graphs[int(data.graphs.sizes.argmax())]"
MAKE = {
    "explorer": "\nw = ele.widgets.explore(psi, data)\nw.pinned = int(data.graphs.sizes.argmax())\nw",
    "inspector": "\nw = ele.widgets.inspect_loss(psi, one, among=data)\nw",
    "stepper": """
config = ele.DecodeConfig("gradient+polish", gradient=ele.GradientConfig(iterations=12))
w = ele.widgets.step_through(ele.decode(psi, psi.embed(one), config=config, record=True).traces, truth=one)
w.step = 4
w""",
}
ROOT = {"explorer": ".elekit-explorer", "inspector": ".elekit-inspector", "stepper": ".elekit-stepper"}
SIZES = [(1280, 800), (1920, 1080)]
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
TURN = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"

# What is wrong with the texts of a widget: cut by their box or by what is around them, over another text, or faint.
# Marks on the map may lie over points; what scrolls is not cut.
WRONG = """(root) => {
  const seen = [], wrong = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const rgb = (color) => {
    const found = color.match(/[\\d.]+/g).map(Number);
    return color.startsWith('color(') ? found.map((v, k) => (k < 3 ? 255 * v : v)) : found;
  };
  const luminance = (color) => {
    const parts = color.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0.9) return color;
    }
    return [255, 255, 255];
  };
  const clipping = (style) => style.overflowX !== 'visible' || style.overflowY !== 'visible';
  while (walker.nextNode()) {
    const node = walker.currentNode, e = node.parentElement, text = node.textContent.trim();
    if (e.matches('details:not([open])')) continue;
    if (!text || e.closest('option, style, script, title, .elekit-hidden, .elekit-marks, .jupyter-scatter')) continue;
    if (e.closest('.elekit-map') || !e.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const style = getComputedStyle(e);
    const range = document.createRange();
    range.selectNodeContents(node);
    const drawn = e instanceof SVGElement;
    const boxes = drawn ? [e.getBoundingClientRect()] : [...range.getClientRects()];
    for (const box of boxes) {
      if (box.width < 1) continue;
      let hidden = false, cut = false;
      for (let p = e; p && p !== root.parentElement; p = p.parentElement) {
        const held = getComputedStyle(p), edge = p.getBoundingClientRect();
        if (!clipping(held) || p.tagName === 'g' || (drawn && p === e)) continue;
        const out = [edge.left - box.left, box.right - edge.right, edge.top - box.top, box.bottom - edge.bottom];
        const whole = box.right <= edge.left || box.left >= edge.right || box.bottom <= edge.top || box.top >= edge.bottom;
        if (whole) hidden = true;
        const scrolls = ['auto', 'scroll'].includes(held.overflowY) || ['auto', 'scroll'].includes(held.overflowX);
        if (scrolls) { if (Math.max(...out) > 3) hidden = true; continue; }
        if (held.textOverflow === 'ellipsis' || held.webkitLineClamp !== 'none') { if (Math.max(...out) > 3) hidden = true; continue; }
        if (Math.max(...out) > 2) cut = true;
      }
      if (hidden) continue;
      if (cut) wrong.push('cut: ' + text.slice(0, 50));
      if (!drawn || !e.matches('.elekit-label:not(.elekit-uncertain, .elekit-edge-label)')) { // those are on nodes
        const [ink, paper] = [luminance(rgb(drawn ? style.fill : style.color)), luminance(behind(e))].sort((a, b) => b - a);
        const disabled = e.closest('[disabled], [aria-disabled=true]');
        if (!disabled && (ink + 0.05) / (paper + 0.05) < 4.5) wrong.push('faint: ' + text.slice(0, 50));
      }
      seen.push({ text, e, box, drawn });
    }
  }
  for (const [n, a] of seen.entries())
    for (const b of seen.slice(n + 1)) {
      if (a.e === b.e) continue;
      const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
      const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
      const room = 0.25 * Math.min(a.box.height, b.box.height); // boxes of text are higher than their letters
      if (across > 2 && down > Math.max(2, room)) wrong.push(`over each other: ${a.text.slice(0, 30)} | ${b.text.slice(0, 30)}`);
    }
  const edge = root.getBoundingClientRect();
  for (const e of root.querySelectorAll('button, select, input, svg, table')) {
    if (!e.checkVisibility() || e.closest('.elekit-scroll, .elekit-map, [class*=elekit-cards], .elekit-found')) continue;
    const box = e.getBoundingClientRect();
    let held = false;
    for (let p = e.parentElement; p && p !== root; p = p.parentElement) held ||= getComputedStyle(p).overflowX !== 'visible';
    if (box.width && !held && (box.left < edge.left - 1 || box.right > edge.right + 1))
      wrong.push('sticks out: ' + (e.textContent || e.tagName).slice(0, 40));
  }
  return [...new Set(wrong)];
}"""
# Backgrounds inside a widget that are light in a dark lab, or dark in a light one; colors that mean something excepted.
MISFIT = """([root, dark]) => {
  const wrong = [];
  for (const e of [root, ...root.querySelectorAll('*')]) {
    if (e instanceof SVGElement || e.closest('.elekit-map > *') || !e.checkVisibility()) continue;
    if (e.matches('.elekit-chip, .elekit-ramp, .elekit-swatch, [aria-pressed=true], [class*=jss]')) continue;
    const style = getComputedStyle(e).backgroundColor;
    const found = style.match(/[\\d.]+/g).map(Number).map((v, k) => (style.startsWith('color(') && k < 3 ? 255 * v : v));
    if (found.length > 3 && found[3] < 0.5) continue;
    const bright = (0.3 * found[0] + 0.59 * found[1] + 0.11 * found[2]) / 255;
    if (dark ? bright > 0.4 : bright < 0.6) wrong.push(`${e.tagName}.${e.className} ${style}`);
  }
  return [...new Set(wrong)];
}"""


def turn(lab, theme: str) -> None:
    """Change the theme of the lab, and wait for its style sheet and the map's colors."""
    lab.page.evaluate(TURN, THEMES[theme])
    lab.page.wait_for_function(
        "(light) => document.body.dataset.jpThemeLight === light", arg=str(theme == "light").lower()
    )
    lab.page.wait_for_timeout(2_000)


def faults(root, theme: str) -> list[str]:
    """What is wrong with a widget in a lab of this theme."""
    element = root.element_handle()
    return [*root.evaluate(WRONG), *root.page.evaluate(MISFIT, [element, theme == "dark"])]


def photograph(lab, widget: str, nodes: int, sizes=SIZES, themes=THEMES) -> dict[str, list[str]]:
    """Pictures of a widget, and what is wrong with each."""
    lab.run(LOSSES[nodes] + ONE + MAKE[widget], name=f"{widget}_{nodes}", timeout=300)
    root = lab.page.locator(ROOT[widget]).first
    root.wait_for()
    lab.page.evaluate(
        "() => document.querySelector('.jp-Cell .jp-InputArea')?.closest('.jp-Cell')?.classList.add('photographed')"
    )
    found = {}
    try:
        for theme in themes:
            turn(lab, theme)
            for width, height in sizes:
                lab.page.set_viewport_size({"width": width, "height": height})
                root.scroll_into_view_if_needed()
                lab.page.wait_for_timeout(2_500)
                name = f"{widget}_{nodes}_{width}x{height}_{theme}"
                found[name] = faults(root, theme)
                box = root.bounding_box()
                if box["height"] > height - 200:
                    found[name].append(f"{box['height']:.0f} pixels high")
                if folder := os.environ.get("ELEKIT_SCREENSHOTS"):
                    root.screenshot(path=os.path.join(folder, f"{name}.png"))
    finally:
        lab.leave()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widgets", nargs="*", choices=list(MAKE), default=list(MAKE))
    parser.add_argument("--nodes", nargs="*", type=int, choices=list(LOSSES), default=list(LOSSES))
    chosen, wrong = parser.parse_args(), 0
    with laboratory({"width": 1280, "height": 800}) as lab:
        for widget in chosen.widgets:
            for nodes in chosen.nodes:
                for name, faulty in photograph(lab, widget, nodes).items():
                    sys.stdout.write(json.dumps({name: faulty}, ensure_ascii=False) + "\n")
                    sys.stdout.flush()
                    wrong += bool(faulty)
    sys.exit(f"{wrong} pictures with faults" if wrong else 0)
