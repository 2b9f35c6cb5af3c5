// The inspector's map: known graphs in gray, the graphs visited as a path, their nearest neighbors, and the anchor.

import { button, html, setText, svg, update } from "./dom.js";
import { BLUE, CENTERED, GREEN, INK, PAPER, VERMILION } from "./graph.js";
import { short } from "./inspector_session.js";

/** @import { Point } from "./types.d.ts" */
/** @import { Panel, Session } from "./inspector_session.js" */
/** @typedef {{ at: Point, text: string, fill: string, square?: boolean, large?: boolean }} Dot */
/** @typedef {(point: Point) => Point} Projection */

const WIDTH = 480;
const HEIGHT = 330;
const EDGE = 34; // free margin
const LEAST = 0.25; // of the map, that is shown around the path
const MANY = 4000; // numbers (two per point) above which points are small
const LETTERS = "abcd"; // of the nearest graphs
const AROUND = Array.from({ length: 16 }, (_, n) => [Math.cos((n * Math.PI) / 8), Math.sin((n * Math.PI) / 8)]);

/**
 * Least and greatest x, and least and greatest y.
 * @param {Point[]} points
 */
function bounds(points) {
  /** @param {0 | 1} c */
  const along = (c) =>
    points.reduce(
      (range, point) => [Math.min(range[0], point[c]), Math.max(range[1], point[c])],
      [Infinity, -Infinity],
    );
  return [along(0), along(1)];
}

/**
 * @param {Session} session
 * @returns {Panel}
 */
function mapPanel({ model }) {
  const canvas = html("canvas", { width: 2 * WIDTH, height: 2 * HEIGHT, "aria-hidden": "true" });
  const overlay = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const note = html("span", { class: "elekit-small" });
  let whole = false;
  let background = "";
  const zoom = button("whole map", () => {
    whole = !whole;
    draw();
  });

  const context = () => {
    const values = model.get("context");
    return Array.from(
      { length: values.length / 2 },
      (_, n) => /** @type {Point} */ ([values[2 * n], values[2 * n + 1]]),
    );
  };

  function limits() {
    const { places, anchor } = model.get("path");
    const marked = [...places, anchor, ...model.get("neighbors").map(({ place }) => place)];
    const all = bounds([...marked, ...context()]);
    if (whole) return all;
    return bounds(marked).map(([low, high], c) => {
      const missing = Math.max(0, LEAST * (all[c][1] - all[c][0]) - (high - low)) / 2;
      return [low - missing, high + missing];
    });
  }

  /** @param {Projection} project */
  function drawContext(project) {
    const brush = canvas.getContext("2d");
    if (!brush) return;
    const size = whole && model.get("context").length > MANY ? 3 : 6;
    brush.clearRect(0, 0, 2 * WIDTH, 2 * HEIGHT);
    brush.fillStyle = "rgba(128,128,128,0.5)"; // shows on light and dark
    for (const [x, y] of context().map(project)) brush.fillRect(2 * x - size / 2, 2 * y - size / 2, size, size);
  }

  function draw() {
    const [[left, right], [bottom, top]] = limits();
    const scale = Math.min((WIDTH - 2 * EDGE) / (right - left || 1), (HEIGHT - 2 * EDGE) / (top - bottom || 1));
    /** @type {Projection} */
    const project = ([x, y]) => [
      WIDTH / 2 + scale * (x - (left + right) / 2),
      HEIGHT / 2 - scale * (y - (bottom + top) / 2),
    ];
    const key = [model.get("context").length, model.get("map_note"), left, right, bottom, top].join(" ");
    if (key !== background) drawContext(project);
    background = key;
    overlay.replaceChildren(...marks(project));
    update(zoom, { "aria-pressed": whole });
    setText(note, model.get("map_note"));
    const count = model.get("path").places.length;
    const near = model.get("neighbors").map(({ name }, n) => `${LETTERS[n]} ${short(name)}`);
    const nearest = near.length ? `; nearest known graphs: ${near.join(", ")}` : "";
    const label = `map of the embedding: ${count} graphs visited, current graph ${model.get("at")}${nearest}`;
    update(overlay, { "aria-label": label });
  }

  /**
   * @param {Point[]} points
   * @param {string} dashes
   */
  function path(points, dashes) {
    const look = { fill: "none", stroke: INK, "stroke-width": 2.5, "stroke-dasharray": dashes };
    return points.length > 1 ? [svg("polyline", { points: points.join(" "), ...look })] : [];
  }

  /** @param {Projection} project */
  function marks(project) {
    const { places, anchor } = model.get("path");
    const now = model.get("at");
    const visited = places.map(project);
    /** @type {Dot[]} */
    const dots = model.get("neighbors").map(({ place }, n) => {
      return { at: project(place), text: LETTERS[n], fill: GREEN, square: true };
    });
    if (!["original", "current"].includes(model.get("anchor_name")))
      dots.push({ at: project(anchor), text: "anchor", fill: VERMILION, square: true });
    for (const [n, at] of visited.entries()) if (n !== now) dots.push({ at, text: String(n), fill: PAPER });
    if (visited[now]) dots.push({ at: visited[now], text: String(now), fill: BLUE, large: true });
    const { lines, texts } = labels(dots);
    return [
      ...path(visited.slice(now), "4 6"),
      ...path(visited.slice(0, now + 1), "none"),
      ...lines,
      ...dots.map(({ at: [x, y], fill, square, large }) => {
        const size = large ? 8 : 5;
        const look = { fill, stroke: INK, "stroke-width": 1.5 };
        return square
          ? svg("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size, ...look })
          : svg("circle", { cx: x, cy: y, r: size, ...look });
      }),
      ...texts,
    ];
  }

  /**
   * A text beside each dot where most room is free, tied to it by a line.
   * @param {Dot[]} dots the most important ones last
   */
  function labels(dots) {
    const taken = dots.map((dot) => dot.at);
    /** @type {SVGElement[]} */
    const lines = [];
    const texts = dots.toReversed().map(({ at: [x, y], text, large }) => {
      const far = text.length > 3 ? 44 : 20;
      const tried = AROUND.map(([c, s]) => /** @type {Point} */ ([x + far * c, y + 20 * s]));
      const free = tried.map(([u, v]) =>
        Math.min(40, u, v, WIDTH - u, HEIGHT - v, ...taken.map(([a, b]) => Math.hypot(a - u, b - v))),
      );
      const [u, v] = tried[free.indexOf(Math.max(...free))];
      taken.push([u, v]);
      lines.push(svg("line", { x1: x, y1: y, x2: u, y2: v, stroke: "var(--elekit-edge)", "stroke-width": 1 }));
      const look = { class: "elekit-word elekit-map-label", "font-size": large ? 21 : 17, ...CENTERED };
      return svg("text", { x: u, y: v, ...look }, text);
    });
    return { lines, texts };
  }

  const element = html(
    "div",
    { class: "elekit-column elekit-map" },
    html("div", { class: "elekit-row" }, html("p", { class: "elekit-title" }, "On the map"), zoom),
    html("div", { class: "elekit-sheet" }, canvas, overlay),
    note,
  );
  return { element, traits: ["path", "context", "neighbors", "at", "map_note", "anchor_name"], draw };
}

export { mapPanel };
