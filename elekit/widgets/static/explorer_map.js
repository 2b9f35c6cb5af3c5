// Below the map: legend, selection, walking by keys, trust. On the map: marks over jupyter-scatter's canvas for the
// pinned graph, its neighbors, predictions and decoding runs.

import {
  askKernel,
  button,
  clamp,
  cleaning,
  consume,
  control,
  follow,
  frame,
  hasModifier,
  html,
  KEEP_KEYS,
  save,
  send,
  setText,
  shortened,
  svg,
  UNANSWERED,
  update,
} from "./dom.js";
import { Overlays } from "./explorer_overlays.js";
import { quickPan } from "./explorer_pan.js";
import { Tip, tameWheel } from "./explorer_pointer.js";
import { fullScreen } from "./explorer_screen.js";
import { CENTERED } from "./graph.js";
import { hints } from "./hints.js";
import { copyButton } from "./picture.js";
import { followPaper } from "./theme.js";

/** @import { Legend, MapMarks, MapPanelState, Model, PlotElement, Point, View } from "./types.d.ts" */
/** @typedef {import("./dom.js").Cleanups} Cleanups */

const TICK = 300; // ms between two looks at the page's plots
const PATIENCE = 4; // ticks after which points that are not drawn are sent again
const STRETCH = 2; // a map is drawn at most so much wider or higher than it is, to fill its canvas
const [FAR, NEAR] = [0.8, 50]; // zoom
const STEP = 1.4; // of the zoom by keys
const WALK =
  "Walk on the map: arrow keys pin the nearest graph in that direction, Enter adds it to the selection or removes it, 1 to 9 select as a lasso does all that lie in a circle around it, small to large, + and − zoom to it, 0 shows the whole map";
const HINTS = [
  "Point at a dot to see its graph; click to pin it.",
  "Ctrl and wheel zoom, a double click shows all.",
  "The lasso selects.",
];
/** @type {Record<string, string>} */
const DIRECTIONS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
/** @type {Record<string, string>} */
const COMBINE = {
  replace: "replaces",
  add: "adds (Shift)",
  subtract: "subtracts (Alt)",
  intersect: "intersects",
};
/** @type {Record<string, string>} */
const KINDS = {
  pinned: "◎ pinned",
  neighbor: "① … its neighbors by the loss",
  prediction: "◇ prediction h(x)",
  path: "○─■ decoding run",
};

/** @param {Legend} legend */
function legendList({ classes, ramp, numbers }) {
  /** @param {string} color */
  const chip = (color) => html("span", { class: "elekit-chip", style: `background:${color}`, "aria-hidden": "true" });
  /** @param {string[]} colors */
  const bar = (colors) => {
    const style = `background:linear-gradient(to right,${colors.join(",")})`;
    return html("span", { class: "elekit-ramp", style, "aria-hidden": "true" });
  };
  const items = classes.map(({ color, words, count }) => {
    const number = html("span", { class: "elekit-small" }, count.toLocaleString("en"));
    return html("li", {}, chip(color), `${shortened(words, 26)} `, number);
  });
  if (ramp.length) {
    const half = Math.ceil(ramp.length / 2);
    const [low, middle, high] = numbers;
    const [lower, upper] = [bar(ramp.slice(0, half)), bar(ramp.slice(half - 1))];
    items.unshift(html("li", { class: "elekit-scale" }, low, lower, middle, upper, high));
  }
  return html("ul", { class: "elekit-legend", "aria-label": "meaning of the colors" }, ...items);
}

/**
 * The meaning of the marks that are drawn.
 * @param {MapMarks[]} maps
 */
function markKey(maps) {
  const kinds = new Set(maps.flatMap(({ dots, lines }) => [...dots, ...lines].map((mark) => mark.kind)));
  return Object.entries(KINDS)
    .filter(([kind]) => kinds.has(kind))
    .map(([, words]) => words)
    .join("   ");
}

/**
 * Keep a lasso with Shift from JupyterLab, which would select cells instead and take the mouse until it is released.
 * @param {MouseEvent} event
 */
function keepLasso(event) {
  if (event.shiftKey) event.stopPropagation();
}

/** Marks over one map, drawn beside its canvas. */
class Marks {
  /**
   * @param {PlotElement} home the element in which jupyter-scatter keeps its canvas and, as `.api`, its plot
   * @param {{ model: Model<MapPanelState>, map: number, onuse: () => void, side: string }} options
   *   map: its number. side: name of the loss, "" for none
   */
  constructor(home, { model, map, onuse, side }) {
    this.home = home;
    this.onuse = onuse;
    home.addEventListener("pointerup", onuse, true);
    this.combine = combining(model);
    home.addEventListener("pointerdown", this.combine, true);
    home.addEventListener("mousedown", keepLasso);
    this.plot = home.api;
    this.plot.set({ width: "auto", height: "auto" }); // otherwise it misses changes of its size
    this.shape = 1; // width of the map by its height
    this.stretch = 1; // of the drawn map
    this.distance = 1;
    this.late = 0;
    /** @type {Point | undefined} */
    this.pinned = undefined;
    /** @type {((place: (point: Point) => string) => void)[]} */
    this.placed = [];
    this.lines = svg("g", { class: "elekit-mark-lines" });
    this.dots = svg("g");
    this.layer = svg("svg", { class: "elekit-marks", "aria-hidden": "true" }, this.lines, this.dots);
    home.append(this.layer);
    this.overlays = new Overlays(model, map, this.plot, this.layer);
    if (side) home.append(html("div", { class: "elekit-map-name" }, shortened(side, 40)));
    this.release = tameWheel(home, () => this.reset());
    this.tip = new Tip(home, model.get("palette"));
    this.stopPan = quickPan(home, this.layer);
    this.move = () => this.place();
    this.plot.subscribe("draw", this.move); // "view" misses changes of the camera made by code
    this.observer = new ResizeObserver(() =>
      requestAnimationFrame(() => {
        this.fit();
        this.place();
        home.append(this.layer); // Chromium may leave a layer unpainted when its canvas shrinks
      }),
    );
    this.observer.observe(home);
  }

  get alive() {
    return this.home.isConnected && !this.plot.get("isDestroyed");
  }

  /**
   * True if the plot has shown another version of the points for a second: it drops points that arrive while it draws.
   * @param {number} version
   */
  missed(version) {
    const drawn = this.alive ? this.plot.get("points")?.[0]?.[3] : undefined;
    this.late = drawn === undefined || drawn === version ? 0 : this.late + 1;
    if (this.late < PATIENCE) return false;
    this.late = 0;
    return true;
  }

  /** @param {MapMarks} marks */
  show({ dots, lines }) {
    this.placed = [];
    this.pinned = dots.find(({ kind }) => kind === "pinned")?.at;
    this.lines.replaceChildren(
      ...lines.map(({ kind, points }) => {
        const line = svg("polyline", { class: `elekit-mark-${kind}` });
        this.placed.push((place) => line.setAttribute("points", points.map(place).join(" ")));
        return line;
      }),
    );
    this.dots.replaceChildren(
      ...dots.map(({ kind, at, number }) => {
        const name = number && kind === "neighbor" ? `${kind}-${number}` : kind;
        const group = svg("g", { class: `elekit-mark-${kind}`, "data-mark": name }, ...shapes(kind, number));
        this.placed.push((place) => group.setAttribute("transform", `translate(${place(at)})`));
        return group;
      }),
    );
    this.place();
  }

  /** Move the marks to where the camera shows them. regl-scatterplot's own scales lag behind its camera. */
  place() {
    if (!this.alive) return;
    const camera = this.plot.get("cameraView");
    const { clientWidth: width, clientHeight: height } = this.home;
    if (!camera || !width) return;
    /** @param {Point} point */
    const place = ([x, y]) => {
      const across = x * this.stretch;
      const left = ((camera[0] * across + camera[4] * y + camera[12]) * height + width) / 2;
      const top = ((1 - (camera[1] * across + camera[5] * y + camera[13])) * height) / 2;
      return `${left.toFixed(1)},${top.toFixed(1)}`;
    };
    for (const move of this.placed) move(place);
    this.overlays.move(place, camera, width, height);
  }

  /**
   * Draw the map as wide as its canvas, within limits; move the camera back where the canvas is still narrower.
   * @param {number} [shape] width of the map by its height
   */
  fit(shape = this.shape) {
    this.shape = shape;
    if (!this.alive) return;
    const { width, height } = this.home.getBoundingClientRect();
    if (!width || !height) return;
    const stretch = clamp(width / height, this.shape / STRETCH, this.shape * STRETCH);
    const distance = Math.max(1, (stretch * height) / width);
    if (Math.abs(stretch - this.stretch) > 0.01) this.plot.set({ aspectRatio: stretch });
    if (Math.abs(distance - this.distance) > 0.01) this.plot.set({ cameraDistance: distance });
    this.stretch = stretch;
    this.distance = distance;
    this.plot.get("camera").setScaleBounds([FAR / distance, NEAR / distance]);
  }

  /** Show the whole map. */
  reset() {
    if (!this.alive) return;
    this.plot.reset();
    this.plot.set({ cameraDistance: this.distance });
  }

  /**
   * Magnify the middle of the map, or bring the pinned graph there.
   * @param {number} factor 0 shows the whole map
   */
  zoom(factor) {
    const camera = this.alive ? this.plot.get("cameraView") : undefined;
    if (!factor || !camera) {
      this.reset();
      return;
    }
    const scale = clamp(factor * camera[5], FAR / this.distance, NEAR / this.distance);
    const now = [-camera[12] / camera[0] / this.stretch, -camera[13] / camera[5]];
    const [x, y] = this.pinned ?? now;
    const view = [scale, 0, 0, 0, 0, scale, 0, 0, 0, 0, 1, 0, -scale * x * this.stretch, -scale * y, 0, 1];
    this.plot.set({ cameraView: new Float32Array(view) });
    this.plot.redraw();
  }

  remove() {
    this.release();
    this.tip.remove();
    this.home.querySelector(".elekit-map-name")?.remove();
    this.observer.disconnect();
    this.overlays.remove();
    this.stopPan();
    this.home.removeEventListener("pointerup", this.onuse, true);
    this.home.removeEventListener("pointerdown", this.combine, true);
    this.home.removeEventListener("mousedown", keepLasso);
    this.plot.unsubscribe("draw", this.move);
    this.layer.remove();
  }
}

/**
 * @param {string} kind
 * @param {number} number
 */
function shapes(kind, number) {
  if (kind === "pinned") return [svg("circle", { r: 10, class: "elekit-halo" }), svg("circle", { r: 10 })];
  if (kind === "neighbor") {
    const angle = (2 * Math.PI * number) / 8;
    const [x, y] = [24 * Math.cos(angle), -24 * Math.sin(angle)];
    return [
      svg("circle", { r: 5 }),
      svg("line", { x1: x / 4, y1: y / 4, x2: 0.65 * x, y2: 0.65 * y }),
      svg("text", { x, y, ...CENTERED }, String(number)),
    ];
  }
  if (kind === "start") return [svg("circle", { r: 7 })];
  if (kind === "end") return [svg("rect", { x: -6, y: -6, width: 12, height: 12 })];
  const r = number ? 4 : 7; // the prediction of a selected graph, or of the pinned one
  return [svg("path", { d: `M0,${-r}L${r},0L0,${r}L${-r},0z` })];
}

/**
 * The plot of an element, if jupyter-scatter keeps one there.
 * @param {Element | null | undefined} element
 * @returns {element is PlotElement}
 */
const hasPlot = (element) => Boolean(element && "api" in element && element.api);

/**
 * The elements with the plots of an explorer's maps, as far as they are there.
 * @param {Element} root of a panel
 */
function plotsOf(root) {
  const maps = root.closest(".elekit-explorer")?.querySelectorAll(".elekit-map") ?? [];
  return [...maps].map((map) => /** @type {Element[]} */ ([...map.querySelectorAll("div")]).find(hasPlot));
}

/**
 * jupyter-scatter draws every plot of the page on one hidden canvas as large as the window and copies from it, which
 * takes half of a redraw in software. If all plots are explorers', the largest plot is size enough.
 * @param {boolean} [whole] restore the size of the window
 */
function fitHiddenCanvas(whole = false) {
  const canvases = [...document.querySelectorAll("canvas")];
  const parents = new Set(canvases.map((canvas) => canvas.parentElement?.parentElement));
  const plots = [...parents].filter(hasPlot).filter((home) => !home.api.get("isDestroyed"));
  const width = Math.max(0, ...plots.map((home) => home.clientWidth));
  const height = Math.max(0, ...plots.map((home) => home.clientHeight));
  if (!width) return;
  const ours = !whole && plots.every((home) => home.closest(".elekit-map"));
  const wanted = ours ? { width, height } : { width: window.innerWidth, height: window.innerHeight };
  const renderer = plots[0].api.get("renderer");
  /** @param {"width" | "height"} side */
  const fits = (side) => Math.abs(renderer.canvas[side] / window.devicePixelRatio - wanted[side]) <= 2;
  if (fits("width") && fits("height")) return;
  renderer.resize(wanted.width, wanted.height);
  for (const { api } of plots) api.redraw();
}

/**
 * Keep JupyterLab from taking the keys of parts that others wrote: tabs, table, tools of the map.
 * @param {Event} event
 */
function keepKeys(event) {
  if (!(event.target instanceof HTMLElement)) return;
  for (const [name, value] of Object.entries(KEEP_KEYS)) event.target.setAttribute(name, value);
}

/**
 * Find the maps of this explorer, and put marks on them; again when a map was made anew.
 * @param {Model<MapPanelState>} model
 * @param {HTMLElement} root
 * @param {Cleanups} cleanups
 */
function overlay(model, root, cleanups) {
  /** @type {(Marks | undefined)[]} */
  const shown = [];
  const draw = () => {
    const marks = model.get("marks");
    for (const [k, map] of shown.entries()) {
      map?.show(marks[k] ?? { dots: [], lines: [] });
      map?.fit(model.get("shapes")[k] ?? 1);
      const canvas = map?.home.querySelector("canvas");
      if (canvas) update(canvas, { role: "img", "aria-label": model.get("alternative") });
    }
  };
  const attach = () => {
    for (const [k, home] of plotsOf(root).entries()) {
      if (!home || shown[k]?.home === home) continue;
      shown[k]?.remove();
      const onuse = () => askKernel(root);
      shown[k] = new Marks(home, { model, map: k, onuse, side: model.get("sides")[k] ?? "" });
      draw();
    }
  };
  const timer = setInterval(() => {
    attach();
    fitHiddenCanvas();
    const versions = model.get("painted");
    for (const [k, map] of shown.entries()) if (map?.missed(versions[k])) send(model, "repaint", { map: k });
  }, TICK);
  follow(model, cleanups, ["marks", "shapes", "alternative"], draw);
  cleanups.push(() => {
    clearInterval(timer);
    for (const map of shown) map?.remove();
    fitHiddenCanvas(true); // for other plots; the next explorer shrinks it again
  });
  requestAnimationFrame(() => root.closest(".elekit-explorer")?.addEventListener("focusin", keepKeys));
  return (/** @type {number} */ factor) => {
    for (const map of shown) map?.zoom(factor);
  };
}

/**
 * With Shift or Alt, the next lasso adds or subtracts; with neither it does what was chosen before.
 * @param {Model<MapPanelState>} model
 */
function combining(model) {
  let chosen = "";
  /** @param {PointerEvent} event */
  return (event) => {
    const held = event.shiftKey ? "add" : event.altKey ? "subtract" : "";
    if (held) chosen ||= model.get("combine");
    const wanted = held || chosen;
    if (!held) chosen = "";
    if (wanted && wanted !== model.get("combine")) save(model, "combine", wanted);
  };
}

/**
 * @param {Model<MapPanelState>} model
 * @param {(factor: number) => void} zoom
 */
function walker(model, zoom) {
  /** @type {Record<string, number>} */
  const zooms = { "+": STEP, "=": STEP, "-": 1 / STEP, 0: 0 };
  /** @param {KeyboardEvent} event */
  const onkeydown = (event) => {
    if (event.key in zooms && !hasModifier(event)) zoom(zooms[event.key]);
    else if (DIRECTIONS[event.key]) send(model, "walk", { direction: DIRECTIONS[event.key] });
    else if (/^[1-9]$/.test(event.key) && !hasModifier(event)) send(model, "circle", { size: Number(event.key) });
    else if (event.key === "Enter" || event.key === " ") send(model, "toggle");
    else return;
    consume(event);
  };
  const focus = () => element.focus();
  const element = button("Walk", focus, { "aria-label": WALK, title: WALK, onkeydown });
  return element;
}

/** @param {View<MapPanelState>} view */
function render({ model, el }) {
  /** @type {Cleanups} */
  const cleanups = [];
  const root = frame(model, el, cleanups, "About the map");
  const columns = control("select", {
    "aria-label": "Color by",
    onchange: () => send(model, "color", { column: columns.value }),
  });
  const combine = control("select", {
    "aria-label": "What a new lasso, filter or search does to the selection",
    onchange: () => save(model, "combine", combine.value),
  });
  combine.append(...Object.entries(COMBINE).map(([value, words]) => html("option", { value }, words)));
  const legend = html("div");
  const key = html("span");
  const selected = html("span", { "aria-live": "polite" });
  const trust = html("span");
  const busy = html("span", { role: "status" });
  const clear = button("Clear", () => send(model, "select", { what: "none" }), { "aria-label": "Clear selection" });
  const others = html("span", { class: "elekit-row", role: "group", "aria-label": "other maps" });
  const cancel = button("Cancel", () => send(model, "cancel"));
  const bar = /** @type {HTMLProgressElement} */ (html("progress", { "aria-label": "time of the map, estimated" }));
  const zoom = overlay(model, root, cleanups);
  const pictured = () => [...plotsOf(root).filter((home) => home !== undefined), legend, key, trust];
  root.append(
    hints("explorer", HINTS, cleanups),
    html(
      "div",
      { class: "elekit-row elekit-bar" },
      html("label", { class: "elekit-choice" }, "Color by ", columns),
      walker(model, zoom),
      fullScreen(model, root, cleanups),
      copyButton("explorer", root, pictured),
    ),
    legend,
    html(
      "div",
      { class: "elekit-row elekit-bar" },
      html("label", { class: "elekit-row" }, "A lasso ", combine),
      clear,
      selected,
    ),
    html("div", { class: "elekit-row elekit-small" }, key, trust, others, busy, bar, cancel),
  );
  follow(model, cleanups, "columns", () =>
    columns.replaceChildren(
      ...model.get("columns").map((name) => html("option", { value: name }, shortened(name, 40))),
    ),
  );
  follow(model, cleanups, ["color_by", "columns"], () => {
    columns.value = model.get("color_by");
  });
  follow(model, cleanups, "combine", () => {
    combine.value = model.get("combine");
  });
  follow(model, cleanups, "legend", () => legend.replaceChildren(legendList(model.get("legend"))));
  follow(model, cleanups, ["selected", "any_selected"], () => {
    setText(selected, model.get("selected"));
    clear.disabled = !model.get("any_selected");
  });
  follow(model, cleanups, "trust", () => setText(trust, model.get("trust")));
  follow(model, cleanups, "marks", () => setText(key, markKey(model.get("marks"))));
  follow(model, cleanups, ["offers", "busy", "progress"], () => {
    const made = model
      .get("offers")
      .map(([method, label]) => button(label, () => send(model, "make_map", { method })));
    others.replaceChildren(...made);
    others.hidden = Boolean(model.get("busy"));
    cancel.hidden = bar.hidden = !model.get("busy") || !model.get("progress")[1];
    setText(busy, model.get("busy"));
  });
  root.addEventListener(UNANSWERED, () => {
    columns.value = model.get("color_by"); // the map keeps its colors
  });
  followPaper(root, cleanups, (color) => {
    if (color !== model.get("paper")) save(model, "paper", color);
  });
  const advance = () => {
    const [started, expected] = model.get("progress");
    const share = (Date.now() / 1000 - started) / Math.max(expected, 1);
    bar.value = share < 0.8 ? share : 1 - 0.2 * Math.exp(4 * (0.8 - share)); // never full before the map is made
  };
  follow(model, cleanups, "progress", advance);
  const clock = setInterval(advance, 500);
  cleanups.push(() => clearInterval(clock));
  return cleaning(cleanups);
}

export { render };
