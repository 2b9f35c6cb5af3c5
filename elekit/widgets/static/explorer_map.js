// Below the map: legend, selection, walking by keys, trust. On the map: marks over jupyter-scatter's canvas for the
// pinned graph, its neighbors, predictions and decoding runs.

import {
  askKernel,
  button,
  cleaning,
  consume,
  control,
  follow,
  frame,
  html,
  send,
  setText,
  shortened,
  svg,
  update,
} from "./dom.js";
import { CENTERED } from "./graph.js";

/** @import { Legend, MapMarks, MapPanelState, Model, PlotElement, Point, View } from "./types.d.ts" */
/** @typedef {import("./dom.js").Cleanups} Cleanups */

const TICK = 300; // ms between two looks at the page's plots
const PATIENCE = 4; // ticks after which points that are not drawn are sent again
const WALK =
  "Walk on the map: arrow keys pin the nearest graph in that direction, Enter adds it to the selection or removes it";
/** @type {Record<string, string>} */
const DIRECTIONS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
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

/** Marks over one map, drawn beside its canvas. */
class Marks {
  /**
   * @param {PlotElement} home the element in which jupyter-scatter keeps its canvas and, as `.api`, its plot
   * @param {() => void} onuse
   */
  constructor(home, onuse) {
    this.home = home;
    this.onuse = onuse;
    home.addEventListener("pointerup", onuse, true);
    this.plot = home.api;
    this.distance = 1;
    this.late = 0;
    /** @type {((place: (point: Point) => string) => void)[]} */
    this.placed = [];
    this.lines = svg("g", { class: "elekit-mark-lines" });
    this.dots = svg("g");
    this.layer = svg("svg", { class: "elekit-marks", "aria-hidden": "true" }, this.lines, this.dots);
    home.append(this.layer);
    this.move = () => this.place();
    this.plot.subscribe("draw", this.move); // "view" misses changes of the camera made by code
    this.observer = new ResizeObserver(() =>
      requestAnimationFrame(() => {
        this.fit();
        this.place();
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
      const left = ((camera[0] * x + camera[4] * y + camera[12]) * height + width) / 2;
      const top = ((1 - (camera[1] * x + camera[5] * y + camera[13])) * height) / 2;
      return `${left.toFixed(1)},${top.toFixed(1)}`;
    };
    for (const move of this.placed) move(place);
  }

  /** A canvas that is higher than wide cuts the map off at its sides: move the camera back. */
  fit() {
    if (!this.alive) return;
    const { width, height } = this.home.getBoundingClientRect();
    const distance = width > 0 ? Math.max(1, height / width) : 1;
    if (Math.abs(distance - this.distance) > 0.01) this.plot.set({ cameraDistance: distance });
    this.distance = distance;
  }

  remove() {
    this.observer.disconnect();
    this.home.removeEventListener("pointerup", this.onuse, true);
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
      const canvas = map?.home.querySelector("canvas");
      if (canvas) update(canvas, { role: "img", "aria-label": model.get("alternative") });
    }
  };
  const attach = () => {
    const maps = root.closest(".elekit-explorer")?.querySelectorAll(".elekit-map") ?? [];
    for (const [k, map] of [...maps].entries()) {
      const home = /** @type {Element[]} */ ([...map.querySelectorAll("div")]).find(hasPlot);
      if (!home || shown[k]?.home === home) continue;
      shown[k]?.remove();
      shown[k] = new Marks(home, () => askKernel(root));
      shown[k].fit();
      draw();
    }
  };
  const timer = setInterval(() => {
    attach();
    fitHiddenCanvas();
    const versions = model.get("painted");
    for (const [k, map] of shown.entries()) if (map?.missed(versions[k])) send(model, "repaint", { map: k });
  }, TICK);
  follow(model, cleanups, ["marks", "alternative"], draw);
  cleanups.push(() => {
    clearInterval(timer);
    for (const map of shown) map?.remove();
    fitHiddenCanvas(true); // for other plots; the next explorer shrinks it again
  });
}

/** @param {Model<MapPanelState>} model */
function walker(model) {
  /** @param {KeyboardEvent} event */
  const onkeydown = (event) => {
    if (DIRECTIONS[event.key]) send(model, "walk", { direction: DIRECTIONS[event.key] });
    else if (event.key === "Enter" || event.key === " ") send(model, "toggle");
    else return;
    consume(event);
  };
  const focus = () => element.focus();
  const element = button("Walk by arrow keys", focus, { "aria-label": WALK, title: WALK, onkeydown });
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
  const legend = html("div", { class: "elekit-grow" });
  const key = html("span", { class: "elekit-small" });
  const selected = html("span", { "aria-live": "polite" });
  const trust = html("span");
  const busy = html("span", { role: "status" });
  const clear = button("Clear selection", () => send(model, "select", { what: "none" }));
  const others = html("span", { class: "elekit-row", role: "group", "aria-label": "other maps" });
  const cancel = button("Cancel", () => send(model, "cancel"));
  const bar = /** @type {HTMLProgressElement} */ (html("progress", { "aria-label": "time of the map, estimated" }));
  root.append(
    html(
      "div",
      { class: "elekit-row elekit-top" },
      html("label", { class: "elekit-row" }, "Color by ", columns),
      legend,
    ),
    html("div", { class: "elekit-row" }, selected, clear, walker(model), key),
    html("div", { class: "elekit-row" }, trust, others, busy, bar, cancel),
  );
  follow(model, cleanups, "columns", () =>
    columns.replaceChildren(
      ...model.get("columns").map((name) => html("option", { value: name }, shortened(name, 40))),
    ),
  );
  follow(model, cleanups, ["color_by", "columns"], () => {
    columns.value = model.get("color_by");
  });
  follow(model, cleanups, "legend", () => legend.replaceChildren(legendList(model.get("legend"))));
  follow(model, cleanups, ["selected", "any_selected"], () => {
    setText(selected, model.get("selected"));
    clear.disabled = !model.get("any_selected");
  });
  follow(model, cleanups, "trust", () => setText(trust, model.get("trust")));
  follow(model, cleanups, "marks", () => setText(key, markKey(model.get("marks"))));
  follow(model, cleanups, ["offers", "busy"], () => {
    const made = model
      .get("offers")
      .map(([method, label]) => button(label, () => send(model, "make_map", { method })));
    others.replaceChildren(...made);
    others.hidden = Boolean(model.get("busy"));
    cancel.hidden = bar.hidden = !model.get("busy");
    setText(busy, model.get("busy"));
  });
  const advance = () => {
    const [started, expected] = model.get("progress");
    const share = (Date.now() / 1000 - started) / Math.max(expected, 1);
    bar.value = share < 0.8 ? share : 1 - 0.2 * Math.exp(4 * (0.8 - share)); // never full before the map is made
  };
  follow(model, cleanups, "progress", advance);
  const clock = setInterval(advance, 500);
  cleanups.push(() => clearInterval(clock));
  overlay(model, root, cleanups);
  return cleaning(cleanups);
}

export { render };
