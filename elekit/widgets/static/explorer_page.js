// The explorer in a page without a kernel: what the Python side answers there, this answers here.

import { CanvasPlot } from "./canvas_plot.js";
import { button, html, update } from "./dom.js";
import { render as renderMap } from "./explorer_map.js";
import { render as renderGraphs } from "./explorer_panel.js";
import { StaticModel } from "./offline.js";
import { lossWords, significant } from "./units.js";

/** @import { Legend, Palette, Scene } from "./types.d.ts" */
/**
 * `elekit.widgets.explorer_page.explorer_state`; numbers in base64.
 * @typedef {{
 *   places: string, shape: number, names: string[], ids: string[], texts: string[], facts: string[],
 *   columns: Record<string, { codes: string, colors: string[], legend: Legend }>, near: string, losses: string,
 *   unit: number, scenes: number[][][], labels: number[][], palette: Palette, color_by: string, trust: string,
 *   health: string, selection: number[], pinned: number | null, neighbors: number
 * }} Stored
 */

const LISTED = 50; // results of a search that are shown
const COMBINE = {
  replace: (/** @type {Set<number>} */ _, /** @type {number[]} */ rows) => new Set(rows),
  add: (/** @type {Set<number>} */ before, /** @type {number[]} */ rows) => new Set([...before, ...rows]),
  subtract: (/** @type {Set<number>} */ before, /** @type {number[]} */ rows) => {
    const left = new Set(rows);
    return new Set([...before].filter((row) => !left.has(row)));
  },
  intersect: (/** @type {Set<number>} */ before, /** @type {number[]} */ rows) =>
    new Set(rows.filter((row) => before.has(row))),
};
/** @type {Record<string, [number, number]>} */
const DIRECTIONS = { left: [-1, 0], right: [1, 0], up: [0, 1], down: [0, -1] };
/** @type {Record<string, (a: number, b: number) => boolean>} */
const COMPARE = {
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
  "!=": (a, b) => a !== b,
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
  "=": (a, b) => a === b,
};

/** @param {string} text */
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

/**
 * A scene of `elekit.widgets.explorer_page.compact`: hundredths of an edge, without names.
 * @param {number[][]} stored
 * @returns {Scene}
 */
function sceneOf([nodes, places, edges, centers]) {
  const groups = (/** @type {number[]} */ values, /** @type {number} */ size) =>
    Array.from({ length: values.length / size }, (_, n) => values.slice(size * n, size * (n + 1)));
  return {
    nodes,
    positions: groups(places, 2).map(([x, y]) => [x / 100, y / 100]),
    edges: groups(edges, 3).map(([i, j, r]) => [i, j, r]),
    centers: groups(centers, 4).map(([i, j, x, y]) => [i, j, x / 100, y / 100]),
  };
}

/**
 * Draw an explorer into an element.
 * @param {Stored} stored
 * @param {HTMLElement} el
 */
function renderExplorer(stored, el) {
  const places = new Float32Array(bytes(stored.places));
  const near = new Uint32Array(bytes(stored.near));
  const losses = new Float32Array(bytes(stored.losses));
  const n = stored.names.length;
  const points = { places, codes: new Uint8Array(n), colors: ["#000000"], selected: new Set(stored.selection) };
  let pinned = stored.pinned;
  /** @type {number[]} */
  let found = [];
  let serial = 0;
  const names = (/** @type {number} */ row) => ({ row, name: stored.names[row], id: `id ${stored.ids[row]}` });
  const scene = (/** @type {number} */ row) => sceneOf(stored.scenes[row]);
  const card = (/** @type {number} */ row) => ({
    ...names(row),
    scene: scene(row),
    facts: [`id ${stored.ids[row]}`, ...stored.facts[row].split("\n")],
    text: stored.texts[row] ?? "",
  });
  const shared = { problem: "", health: "", palette: stored.palette };
  const map = new StaticModel(
    /** @type {any} */ ({
      ...shared,
      columns: Object.keys(stored.columns),
      color_by: stored.color_by,
      legend: { classes: [], ramp: [], numbers: [] },
      selected: "",
      any_selected: false,
      trust: stored.trust,
      offers: [],
      progress: [0, 1],
      busy: "",
      alternative: "",
      marks: [],
      shapes: [stored.shape],
      painted: [0],
      combine: "replace",
      groups: [],
      cameras: [],
      pictures: {},
      paper: "",
      sides: [],
      grows: true,
    }),
    ({ do: name, with: values }) => act(name, values),
  );
  const panel = new StaticModel(
    /** @type {any} */ ({
      ...shared,
      health: stored.health,
      kinds: ["id", "text", "label"],
      found: { kind: "id", text: "", words: "", shown: [], serial },
      hovered: {},
      pinned: {},
      neighbors: { words: "", lists: [] },
      edits: {},
      moved: { words: "", shown: [] },
      baselines: [],
      baseline: "",
    }),
    ({ do: name, with: values }) => act(name, values),
  );

  const home = html("div", { class: "elekit-page-map" });
  const plot = new CanvasPlot(home, points, {
    pointed: (row) => row !== null && panel.set("hovered", card(row)),
    clicked: (row) => pin(row),
    lassoed: (rows) => choose(rows),
  });
  Object.assign(home, { api: plot });
  const lasso = button("Lasso", () => {
    plot.lassoing = !plot.lassoing;
    update(lasso, { "aria-pressed": plot.lassoing });
  });
  const left = html("div", { class: "elekit-page-left" });
  const right = html("div", { class: "elekit-page-right" });
  const frame = html("div", { class: "elekit-map" }, home);
  left.append(frame, html("div", { class: "elekit-page-tools" }, lasso));
  el.classList.add("elekit-explorer", "elekit-page-explorer");
  el.append(left, right);
  renderMap({ model: map, el: left });
  renderGraphs({ model: panel, el: right });

  /** @param {number[]} rows */
  function choose(rows) {
    const how = /** @type {keyof typeof COMBINE} */ (map.get("combine"));
    points.selected = COMBINE[how](points.selected, rows);
    showSelection();
  }

  function showSelection() {
    const count = points.selected.size.toLocaleString("en");
    const whole = n.toLocaleString("en");
    map.setAll({
      selected: points.selected.size ? `${count} of ${whole} selected.` : `${whole} graphs, none selected.`,
      any_selected: points.selected.size > 0,
      alternative: `Map of ${whole} graphs colored by ${map.get("color_by")}, ${count} selected.`,
    });
    plot.redraw();
  }

  /** @param {string} column */
  function color(column) {
    const { codes, colors, legend } = stored.columns[column];
    points.codes = new Uint8Array(bytes(codes));
    points.colors = colors;
    map.setAll({ color_by: column, legend });
    showSelection();
  }

  /** @param {number | null} row */
  function pin(row) {
    pinned = row;
    const k = stored.neighbors;
    const rows = row === null ? [] : [...near.subarray(k * row, k * (row + 1))];
    const cards = rows.map((one, m) => {
      const loss = losses[k * (row ?? 0) + m];
      return {
        ...names(one),
        scene: scene(one),
        loss: lossWords(loss, stored.unit),
        raw: significant(loss),
        shared: false,
      };
    });
    const plain = cards.map(({ row: one, scene: drawn }) => [
      one,
      { scene: drawn, marks: [], edits: [], words: " " },
    ]);
    panel.setAll({
      edits: Object.fromEntries(plain), // the edits between two graphs are not computed here
      pinned: row === null ? {} : card(row),
      neighbors: { words: "", lists: row === null ? [] : [{ heading: "Nearest by the learned loss", cards }] },
    });
    const dots = rows.map((one, m) => ({ kind: "neighbor", at: plot.place(one), number: m + 1 }));
    if (row !== null) dots.push({ kind: "pinned", at: plot.place(row), number: 0 });
    map.set("marks", [{ dots, lines: [] }]);
  }

  /** @param {string} kind @param {string} text */
  function find(kind, text) {
    const wanted = text.trim();
    const low = wanted.toLowerCase();
    const rows = [...stored.names.keys()];
    /** @type {(row: number) => boolean} */
    let fits = () => false;
    if (wanted && kind === "id") fits = (row) => stored.ids[row] === wanted;
    else if (wanted && kind === "text")
      fits = (row) =>
        stored.names[row].includes(wanted) ||
        [stored.texts[row] ?? "", stored.facts[row]].some((one) => one.toLowerCase().includes(low));
    else if (wanted) {
      const [, label, sign, count] = /^(.*?)\s*(>=|<=|!=|>|<|=)\s*(\d+)$/.exec(wanted) ?? ["", wanted, ">=", "1"];
      const channel = stored.palette.nodes.indexOf(label.trim()) + 1;
      if (channel)
        fits = (row) => COMPARE[sign](stored.scenes[row][0].filter((node) => node === channel).length, Number(count));
    }
    found = rows.filter(fits);
    if (!found.length && kind === "id" && /^\d+$/.test(wanted) && Number(wanted) < n) found = [Number(wanted)];
    const more = found.length > LISTED ? `, the first ${LISTED} listed` : "";
    serial += 1;
    const words = `${found.length.toLocaleString("en")} found${more}.`;
    panel.set("found", { kind, text, words, shown: found.slice(0, LISTED).map(names), serial });
  }

  /** @param {string} direction */
  function walk(direction) {
    if (pinned === null) return pin(0);
    const [x, y] = plot.place(pinned);
    const [u, v] = DIRECTIONS[direction];
    let [best, least] = [-1, Infinity];
    for (let row = 0; row < n; row++) {
      const [dx, dy] = [stored.shape * (places[2 * row] - x), places[2 * row + 1] - y]; // as the map is laid out
      const [along, across] = [dx * u + dy * v, Math.abs(dx * v - dy * u)];
      const distance = dx * dx + dy * dy;
      if (along > 0 && across <= along && distance < least) [best, least] = [row, distance];
    }
    if (best >= 0) pin(best);
  }

  /** @param {number} size of a circle around the pinned graph; with 20, its radius is as large as the map */
  function circle(size) {
    if (pinned === null) return;
    const [x, y] = plot.place(pinned);
    const radius = (size / 20) * 2 * Math.max(1, stored.shape);
    /** @type {(row: number) => boolean} */
    const inside = (row) => Math.hypot(stored.shape * (places[2 * row] - x), places[2 * row + 1] - y) <= radius;
    choose([...stored.names.keys()].filter(inside));
  }

  /** @param {string} name @param {any} values */
  function act(name, values) {
    if (name === "color") color(values.column);
    else if (name === "pin") pin(values.row ?? null);
    else if (name === "find") find(values.kind, values.text);
    else if (name === "walk") walk(values.direction);
    else if (name === "circle") circle(values.size);
    else if (name === "toggle" && pinned !== null) {
      if (!points.selected.delete(pinned)) points.selected.add(pinned);
      showSelection();
    } else if (name === "select" && values.what === "found") choose(found);
    else if (name === "select") {
      points.selected = new Set();
      showSelection();
    } else if (name === "resize") frame.style.height = `${values.height}px`;
    else if (name === "draw_rows") {
      const drawn = values.rows.map((/** @type {number} */ row) => [String(row), scene(row)]);
      map.set("pictures", Object.fromEntries(drawn));
    }
  }

  color(stored.color_by);
  pin(pinned);
}

export { renderExplorer };
