// The chart of the stepper: the learned loss of every frame.

import { shortened, svg, update } from "./dom.js";
import { GRAY, INK, PAPER } from "./graph.js";

/** @import { RunState } from "./types.d.ts" */
/** @typedef {(number | null)[]} Curve Loss by frame, null where it is not defined. */

const BLUE = "var(--elekit-blue)"; // legible as text on the theme's background
const VERMILION = "var(--elekit-vermilion)";
const HEIGHT = 200;
const LEFT = 50;
const TOP = 6;
const BOTTOM = HEIGHT - 48;

/**
 * @param {Curve} values
 * @returns {number[]}
 */
const defined = (values) => values.filter((value) => value !== null);

/**
 * About `count` round numbers from low to high.
 * @param {number} low
 * @param {number} high
 * @param {number} count
 */
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const gap = [1, 2, 5].map((factor) => factor * power).find((each) => each >= rough * 0.999) ?? 10 * power;
  const first = Math.ceil(low / gap - 1e-9);
  const length = Math.floor(high / gap + 1e-9) - first + 1;
  return Array.from({ length }, (_, n) => Number(((first + n) * gap).toPrecision(6)));
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} words
 * @param {import("./dom.js").Attributes} [attributes]
 */
const label = (x, y, words, attributes = {}) => svg("text", { x, y, "text-anchor": "middle", ...attributes }, words);

/** Learned loss of all frames, with a cursor at the current one. A press or a drag jumps to a frame. */
class Chart {
  /**
   * @param {RunState[]} runs
   * @param {number[]} axis position of each frame, in [0, 1]
   * @param {(step: number) => void} jump
   */
  constructor(runs, axis, jump) {
    this.runs = runs;
    this.axis = axis;
    this.width = 0;
    this.step = 0;
    this.right = 0;
    this.low = 0;
    this.high = 1;
    /** @type {SVGCircleElement[][]} two for each run: rounded, relaxed */
    this.dots = [];
    this.cursor = svg("line", { stroke: INK, "stroke-width": 2, y1: TOP, y2: BOTTOM, "data-cursor": "" });
    this.element = svg("svg", {
      class: "elekit-stepper-chart",
      role: "img",
      "aria-label": "learned loss of the relaxed and the rounded graph at each frame",
    });
    let held = false;
    /** @param {PointerEvent} event */
    const move = (event) => {
      const x = event.clientX - this.element.getBoundingClientRect().left;
      const distances = this.axis.map((_, frame) => Math.abs(this.x(frame) - x));
      jump(distances.indexOf(Math.min(...distances)));
    };
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      held = true;
      move(event);
    });
    this.element.addEventListener("pointermove", (event) => held && move(event));
    for (const name of ["pointerup", "pointercancel"])
      this.element.addEventListener(name, () => {
        held = false;
      });
  }

  /** @param {number} frame */
  x(frame) {
    return LEFT + this.axis[frame] * (this.width - LEFT - this.right);
  }

  /** @param {number} value */
  y(value) {
    return BOTTOM - ((value - this.low) / (this.high - this.low)) * (BOTTOM - 2 * TOP);
  }

  /** @param {number} width */
  resize(width) {
    if (Math.abs(width - this.width) < 1) return;
    this.width = width;
    const values = defined(this.runs.flatMap((run) => [...run.relaxed, ...run.rounded]));
    this.low = Math.min(0, ...values);
    this.high = (Math.max(...values) || 1) * 1.06;
    const ends = this.runs.flatMap((run) => [
      { curve: run.rounded, text: shortened(`${run.name} rounded`.trim(), 22), color: VERMILION },
      { curve: run.relaxed, text: shortened(`${run.name} relaxed`.trim(), 22), color: BLUE },
    ]);
    this.right = 20 + 10.4 * Math.max(...ends.map((end) => end.text.length));
    update(this.element, { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT });
    const dot = { r: 6.5, stroke: PAPER, "stroke-width": 1.5 };
    this.dots = this.runs.map(() => [VERMILION, BLUE].map((color) => svg("circle", { ...dot, fill: color })));
    this.element.replaceChildren(
      ...this.axes(),
      ...this.runs.flatMap((run, n) => this.curves(run, n)),
      ...this.names(ends),
      this.cursor,
      ...this.dots.flat(),
    );
    this.draw(this.step);
  }

  axes() {
    const right = this.width - this.right;
    const parts = ticks(this.low, this.high, 4).flatMap((value) => {
      const y = this.y(value);
      const grid = svg("line", { x1: LEFT, y1: y, x2: right, y2: y, stroke: "var(--elekit-line)" });
      return [grid, label(LEFT - 8, y + 5, String(value), { "text-anchor": "end" })];
    });
    const iterations = this.runs.map((run) => run.iterations).reduce((a, b) => (b.length > a.length ? b : a));
    const last = iterations[iterations.length - 1];
    const wide = this.x(iterations.length - 1) - this.x(0);
    const count = Math.min(Math.max(1, wide / 55), Math.max(last, 1));
    for (const step of ticks(0, last, count).filter(Number.isInteger))
      parts.push(label(this.x(0) + (wide * step) / Math.max(last, 1), BOTTOM + 18, String(step)));
    const stops = [...new Set(this.runs.map((run) => run.stopped))].join(" / ");
    const axis = "iteration, then rounding and edits";
    const whole = `${axis}; stopped: ${stops}`;
    const room = Math.floor((this.width - 20) / 8);
    const words = whole.length <= room ? whole : shortened(axis, room); // the last frame says why it stopped, too
    return [
      ...parts,
      svg("line", { x1: LEFT, y1: BOTTOM, x2: right, y2: BOTTOM, stroke: "var(--elekit-edge)" }),
      label(LEFT, HEIGHT - 8, words, { "text-anchor": "start" }),
    ];
  }

  /**
   * The two curves of a run, the gap between them, and the roundings and edits that follow the iterates.
   * @param {RunState} run
   * @param {number} n
   */
  curves({ iterations, relaxed, rounded }, n) {
    const [iterates, last] = [iterations.length, rounded.length - 1];
    /**
     * @param {Curve} curve
     * @param {number} from
     * @param {number} to
     */
    const points = (curve, from, to) =>
      curve.slice(from, to).flatMap((value, k) => (value === null ? [] : [[this.x(from + k), this.y(value)]]));
    /** @param {number[][]} places */
    const written = (places) => places.map((place) => place.map((v) => v.toFixed(1)).join(",")).join(" ");
    /**
     * @param {number[][]} places
     * @param {string} stroke
     * @param {number} width
     */
    const path = (places, stroke, width) =>
      svg("polyline", {
        points: written(places),
        fill: "none",
        stroke,
        "stroke-width": width,
        "stroke-dasharray": n ? "7 5" : "none",
        "stroke-linejoin": "round",
      });
    const border = (this.x(iterates - 1) + this.x(Math.min(iterates, last))) / 2;
    const room = this.runs.length > 1 ? 0 : this.x(last) - border;
    const [above, below] = [points(relaxed, 0, iterates), points(rounded, 0, iterates)];
    const after = points(rounded, iterates, last + 1);
    return [
      svg("polygon", {
        points: written([...above, ...below.toReversed()]),
        fill: GRAY,
        "fill-opacity": 0.45 / this.runs.length,
      }),
      svg("line", { x1: border, x2: border, y1: TOP, y2: BOTTOM, stroke: GRAY, "stroke-dasharray": "2 4" }),
      label(border + 8, 20, room < 45 ? "" : room < 120 ? "edits" : "rounding, edits", { "text-anchor": "start" }),
      path(below, VERMILION, 3),
      path(after, VERMILION, 2),
      path(above, BLUE, 3),
      ...after.map(([cx, cy]) => svg("circle", { cx, cy, r: 4.5, fill: VERMILION })),
    ];
  }

  /**
   * Names at the ends of the curves, moved apart.
   * @param {{ curve: Curve, text: string, color: string }[]} ends
   */
  names(ends) {
    let above = Infinity;
    return ends
      .map((end) => ({ ...end, value: defined(end.curve).at(-1) ?? 0 }))
      .sort((a, b) => a.value - b.value)
      .map(({ value, text, color }) => {
        above = Math.min(this.y(value), above - 19, BOTTOM);
        const look = { fill: color, "text-anchor": "start", "font-weight": 700 };
        return label(this.width - this.right + 10, above + 5, text, look);
      });
  }

  /** @param {number} step */
  draw(step) {
    this.step = step;
    if (!this.width) return;
    const x = this.x(step).toFixed(1);
    update(this.cursor, { x1: x, x2: x });
    for (const [n, run] of this.runs.entries()) {
      const frame = Math.min(step, run.names.length - 1);
      for (const [c, curve] of [run.rounded, run.relaxed].entries()) {
        const value = curve[frame];
        const dot = this.dots[n][c];
        update(dot, { visibility: value === null ? "hidden" : "visible" });
        if (value !== null) update(dot, { cx: this.x(frame).toFixed(1), cy: this.y(value).toFixed(1) });
      }
    }
  }
}

export { Chart };
