// Zooming and panning of a drawn graph: by buttons, by keys, by the wheel with Ctrl, and by dragging.

import { button, clamp, consume, hasModifier, html } from "./dom.js";

/** @import { GraphView } from "./graph.js" */

const STEP = 1.4;
const DRAG = 4; // pixels; less is a click
const KEYS =
  "Keys: + and − zoom, 0 shows the whole drawing, Shift and arrows move. Ctrl and the wheel zoom, dragging moves.";
/** @type {Record<string, [number, number]>} */
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Zoom or move drawings by a key.
 * @param {GraphView[]} views
 * @param {KeyboardEvent} event
 * @returns {boolean} whether the key is one of these
 */
function zoomByKey(views, event) {
  const move = event.shiftKey ? MOVES[event.key] : undefined;
  const factor = { "+": STEP, "=": STEP, "-": 1 / STEP, 0: 0 }[event.key];
  if (hasModifier(event) || (!move && factor === undefined)) return false;
  for (const view of views) {
    if (move) view.pan(0.2 * move[0], 0.2 * move[1]);
    else view.zoom(factor ?? 0);
  }
  return true;
}

/**
 * A drawing with its buttons.
 * @param {GraphView} view
 */
function zoomable(view) {
  const svg = view.element;
  /** @type {{ x: number, y: number, moved: boolean } | null} */
  let held = null;
  svg.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      const box = svg.getBoundingClientRect();
      const at = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      view.zoom(clamp(Math.exp(-event.deltaY / 200), 1 / STEP, STEP), at[0], at[1]);
      consume(event);
    },
    { passive: false },
  );
  svg.addEventListener("pointerdown", (event) => {
    held = event.button === 0 && view.magnified > 1 ? { x: event.clientX, y: event.clientY, moved: false } : null;
  });
  svg.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    if (!held.moved && Math.hypot(dx, dy) < DRAG) return;
    if (!held.moved) svg.setPointerCapture(event.pointerId);
    const [width, height] = view.box.slice(2).map((size) => view.scale * size);
    view.pan(-dx / width, -dy / height);
    held = { x: event.clientX, y: event.clientY, moved: true };
  });
  svg.addEventListener(
    "click",
    (event) => {
      if (held?.moved) consume(event);
      held = null;
    },
    true,
  );
  svg.addEventListener("pointercancel", () => {
    held = null;
  });
  /**
   * @param {string} text
   * @param {string} name
   * @param {number} factor
   */
  const tool = (text, name, factor) =>
    button(text, () => view.zoom(factor), { "aria-label": name, title: `${name}. ${KEYS}` });
  const tools = html(
    "div",
    { class: "elekit-zoom", role: "group", "aria-label": "zoom" },
    tool("+", "zoom in", STEP),
    tool("−", "zoom out", 1 / STEP),
    tool("⤢", "whole drawing", 0),
  );
  new ResizeObserver(() => view.showBox(view.box)).observe(svg);
  const element = html("div", { class: "elekit-zoomable" }, svg, tools);
  element.addEventListener("keydown", (event) => zoomByKey([view], event) && consume(event));
  return element;
}

export { zoomable, zoomByKey };
