// How the pointer moves a map and what it shows: the wheel zooms only when asked to, and a drawing follows the pointer.

import { consume, html, shortened } from "./dom.js";
import { GraphView } from "./graph.js";

/** @import { GraphCard, Palette, PlotElement } from "./types.d.ts" */

const HOVERED = "elekit-hovered"; // event of the panel beside, with the graph under the pointer
const HOW = "Ctrl and the wheel zoom; so does the wheel alone after a click into the map.";
const SAID = 2500; // ms that this stays
const AWAY = 14; // pixels between the pointer and its drawing

/**
 * The wheel zooms with Ctrl, or after a click into the map until the pointer leaves it; otherwise the page scrolls.
 * A double click shows the whole map.
 * @param {HTMLElement} home of a plot
 * @param {() => void} reset
 * @returns {() => void} undoes it
 */
function tameWheel(home, reset) {
  let clicked = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const note = html("div", { class: "elekit-wheel", "aria-hidden": "true", hidden: true }, HOW);
  home.append(note);
  const hide = () => {
    note.hidden = true;
  };
  const abort = new AbortController();
  const options = { capture: true, signal: abort.signal };
  home.addEventListener(
    "wheel",
    (event) => {
      if (clicked || event.ctrlKey || event.metaKey) return;
      event.stopPropagation(); // the plot does not hear of it
      note.hidden = false;
      clearTimeout(timer);
      timer = setTimeout(hide, SAID);
    },
    { ...options, passive: true },
  );
  home.addEventListener(
    "pointerdown",
    () => {
      clicked = true;
      hide();
    },
    options,
  );
  home.addEventListener(
    "pointerleave",
    () => {
      clicked = false;
    },
    { signal: abort.signal },
  );
  home.addEventListener("dblclick", reset, options);
  const tool = home.closest(".elekit-map");
  tool?.addEventListener(
    "click",
    (event) => {
      if (!(event.target instanceof Element) || !event.target.closest("button[title='Reset View']")) return;
      consume(event); // its own view does not fit the canvas
      reset();
    },
    options,
  );
  return () => {
    abort.abort();
    clearTimeout(timer);
    note.remove();
  };
}

/** The graph under the pointer, drawn beside it. */
class Tip {
  /**
   * @param {PlotElement} home
   * @param {Palette} palette
   */
  constructor(home, palette) {
    this.home = home;
    this.plot = home.api;
    this.palette = palette;
    this.row = -1; // under the pointer
    /** @type {Partial<GraphCard>} */
    this.card = {};
    this.element = html("div", { class: "elekit-tip", "aria-hidden": "true", hidden: true });
    home.append(this.element);
    this.abort = new AbortController();
    const { signal } = this.abort;
    home.addEventListener("pointermove", (event) => this.move(event), { signal });
    home.addEventListener("pointerleave", () => this.leave(), { signal });
    home.addEventListener("pointerdown", () => this.leave(), { signal });
    this.enter = (/** @type {number} */ row) => {
      this.row = row;
      this.show();
    };
    this.leave = () => {
      this.row = -1;
      this.element.hidden = true;
    };
    this.plot.subscribe("pointover", this.enter);
    this.plot.subscribe("pointout", this.leave);
    home.closest(".elekit-explorer")?.addEventListener(
      HOVERED,
      (event) => {
        if (!(event instanceof CustomEvent)) return;
        this.card = event.detail;
        this.show();
      },
      { signal },
    );
  }

  show() {
    const { row, scene, name } = this.card;
    if (!scene || row === undefined || row !== this.row) return;
    const view = new GraphView(this.palette, { label: "" });
    view.show(scene);
    this.element.replaceChildren(view.element, html("div", {}, shortened(name, 60)));
    this.element.hidden = false;
    this.place();
  }

  /** @param {PointerEvent} event */
  move(event) {
    this.at = [event.clientX, event.clientY];
    if (!this.element.hidden) this.place();
  }

  /** Beside the pointer, on the side where the map has more room. */
  place() {
    const box = this.home.getBoundingClientRect();
    const [x, y] = [(this.at?.[0] ?? box.left) - box.left, (this.at?.[1] ?? box.top) - box.top];
    const { style } = this.element;
    [style.left, style.right] = x < box.width / 2 ? [`${x + AWAY}px`, "auto"] : ["auto", `${box.width - x + AWAY}px`];
    [style.top, style.bottom] =
      y < box.height / 2 ? [`${y + AWAY}px`, "auto"] : ["auto", `${box.height - y + AWAY}px`];
  }

  remove() {
    this.abort.abort();
    this.plot.unsubscribe("pointover", this.enter);
    this.plot.unsubscribe("pointout", this.leave);
    this.element.remove();
  }
}

export { HOVERED, Tip, tameWheel };
