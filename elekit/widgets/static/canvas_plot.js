// A map of points on a plain canvas, with the part of regl-scatterplot's interface that the explorer uses. For pages
// without a kernel, where jupyter-scatter cannot run.

import { clamp } from "./dom.js";

/** @import { Point } from "./types.d.ts" */
/** @typedef {{ places: Float32Array, codes: Uint8Array, colors: string[], selected: Set<number> }} Points */

const NEAR = 8; // pixels within which a point is pointed at
const MOVED = 3; // pixels from which on a press is a drag
const GRAY = "#d0d0d0";

class CanvasPlot {
  /**
   * @param {HTMLElement} home
   * @param {Points} points
   * @param {{ pointed: (row: number | null) => void, clicked: (row: number) => void, lassoed: (rows: number[]) => void }} events
   */
  constructor(home, points, events) {
    this.home = home;
    this.points = points;
    this.events = events;
    this.canvas = document.createElement("canvas");
    home.append(this.canvas);
    this.lassoing = false; // whether a drag draws a lasso
    this.scale = 1;
    this.shift = [0, 0];
    this.distance = 1;
    this.stretch = 1;
    /** @type {[number, number]} */
    this.bounds = [0.5, 50];
    this.over = -1;
    /** @type {Point[]} */
    this.path = [];
    /** @type {Map<string, Set<(value: number) => void>>} */
    this.listeners = new Map();
    this.asked = false;
    /** @type {Point[] | null} */
    this.listed = null;
    new ResizeObserver(() => this.redraw()).observe(home);
    this.listen();
  }

  /** @param {string} name */
  get(name) {
    const [x, y] = this.shift;
    const s = this.scale / this.distance;
    if (name === "isDestroyed") return false;
    if (name === "cameraView") return new Float32Array([s, 0, 0, 0, 0, s, 0, 0, 0, 0, 1, 0, x, y, 0, 1]);
    if (name === "camera")
      return {
        scale: (/** @type {number} */ factor) => this.zoom(factor, [0, 0]),
        setScaleBounds: (/** @type {[number, number]} */ bounds) => {
          this.bounds = bounds;
        },
      };
    if (name === "points") {
      this.listed ??= Array.from({ length: this.points.codes.length }, (_, row) => this.place(row));
      return this.listed;
    }
    return undefined;
  }

  /** @param {{ cameraDistance?: number, aspectRatio?: number, cameraView?: Float32Array }} options */
  set({ cameraDistance, aspectRatio, cameraView }) {
    if (cameraDistance) this.distance = cameraDistance;
    if (aspectRatio) this.stretch = aspectRatio;
    if (cameraView) [this.scale, this.shift] = [cameraView[0] * this.distance, [cameraView[12], cameraView[13]]];
    this.redraw();
  }

  /** @param {string} event @param {(value: number) => void} callback */
  subscribe(event, callback) {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(callback));
  }

  /** @param {string} event @param {(value: number) => void} callback */
  unsubscribe(event, callback) {
    this.listeners.get(event)?.delete(callback);
  }

  /** @param {string} event @param {number} [value] */
  publish(event, value = 0) {
    for (const callback of this.listeners.get(event) ?? []) callback(value);
  }

  reset() {
    [this.scale, this.shift] = [1, [0, 0]];
    this.redraw();
  }

  /**
   * @param {number} factor
   * @param {Point} at in [-1, 1], what stays in its place; in units of the height
   */
  zoom(factor, [x, y]) {
    const before = this.scale / this.distance;
    const after = clamp(before * factor, ...this.bounds);
    const share = after / before;
    this.scale = after * this.distance;
    this.shift = [x + share * (this.shift[0] - x), y + share * (this.shift[1] - y)];
    this.redraw();
  }

  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  /** @param {number} row @returns {Point} */
  place(row) {
    return [this.points.places[2 * row], this.points.places[2 * row + 1]];
  }

  /** Pixels of a place. @param {number} x @param {number} y @returns {Point} */
  pixel(x, y) {
    const { clientWidth: width, clientHeight: height } = this.home;
    const s = this.scale / this.distance;
    return [
      ((s * x * this.stretch + this.shift[0]) * height + width) / 2,
      ((1 - (s * y + this.shift[1])) * height) / 2,
    ];
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.home;
    const { codes, colors, selected, places } = this.points;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    const { canvas } = this;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    const brush = canvas.getContext("2d");
    if (!brush) return;
    brush.scale(ratio, ratio);
    const size = clamp((codes.length < 2000 ? 3 : codes.length < 20000 ? 2 : 1.5) * Math.sqrt(this.scale), 1.5, 7);
    const paint = (/** @type {boolean} */ front) => {
      for (let row = 0; row < codes.length; row++) {
        const chosen = !selected.size || selected.has(row);
        if (chosen !== front) continue;
        const [x, y] = this.pixel(places[2 * row], places[2 * row + 1]);
        if (x < -size || y < -size || x > width + size || y > height + size) continue;
        brush.fillStyle = chosen ? colors[codes[row]] : GRAY;
        brush.beginPath();
        brush.arc(x, y, size, 0, 2 * Math.PI);
        brush.fill();
      }
    };
    if (selected.size) paint(false);
    paint(true);
    if (this.path.length > 1) {
      brush.strokeStyle = "#0072b2";
      brush.lineWidth = 2;
      brush.fillStyle = "#0072b233";
      brush.beginPath();
      for (const [x, y] of this.path) brush.lineTo(x, y);
      brush.closePath();
      brush.fill();
      brush.stroke();
    }
    this.publish("draw");
  }

  /** Row of the nearest point. @param {Point} at in pixels */
  nearest([x, y]) {
    let [best, least] = [-1, NEAR * NEAR];
    for (let row = 0; row < this.points.codes.length; row++) {
      const [u, v] = this.pixel(this.points.places[2 * row], this.points.places[2 * row + 1]);
      const distance = (u - x) ** 2 + (v - y) ** 2;
      if (distance < least) [best, least] = [row, distance];
    }
    return best;
  }

  /** Rows of the points inside the lasso: a ray to the right crosses it an odd number of times. */
  inside() {
    const { path } = this;
    return [...this.points.codes.keys()].filter((row) => {
      const [x, y] = this.pixel(this.points.places[2 * row], this.points.places[2 * row + 1]);
      let odd = false;
      for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
        const [[u, v], [w, z]] = [path[i], path[j]];
        if (v > y !== z > y && x < ((w - u) * (y - v)) / (z - v) + u) odd = !odd;
      }
      return odd;
    });
  }

  listen() {
    const { home } = this;
    /** @type {Point | null} */
    let start = null;
    /** @type {Point} */
    let last = [0, 0];
    let moved = false;
    let lasso = false;
    const at = (/** @type {MouseEvent} */ event) => {
      const box = home.getBoundingClientRect();
      return /** @type {Point} */ ([event.clientX - box.left, event.clientY - box.top]);
    };
    home.addEventListener("pointerdown", (event) => {
      if (event.target !== this.canvas) return;
      start = last = at(event);
      moved = false;
      lasso = this.lassoing || event.shiftKey || event.altKey;
      this.path = lasso ? [start] : [];
      this.canvas.setPointerCapture(event.pointerId);
    });
    home.addEventListener("pointermove", (event) => {
      const here = at(event);
      if (!start) {
        const row = this.nearest(here);
        if (row === this.over) return;
        this.over = row;
        this.events.pointed(row < 0 ? null : row);
        if (row < 0) this.publish("pointout");
        else this.publish("pointover", row);
        return;
      }
      if (Math.hypot(here[0] - start[0], here[1] - start[1]) > MOVED) moved = true;
      if (lasso) this.path.push(here);
      else {
        const half = home.clientHeight / 2;
        this.shift = [this.shift[0] + (here[0] - last[0]) / half, this.shift[1] - (here[1] - last[1]) / half];
      }
      last = here;
      this.redraw();
    });
    home.addEventListener("pointerup", (event) => {
      if (!start) return;
      start = null;
      if (!moved) {
        const row = this.nearest(at(event));
        if (row >= 0) this.events.clicked(row);
      } else if (lasso) this.events.lassoed(this.inside());
      this.path = [];
      this.redraw();
    });
    home.addEventListener("pointerleave", () => {
      this.over = -1;
      this.publish("pointout");
    });
    home.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const [x, y] = at(event);
        const { clientWidth: width, clientHeight: height } = home;
        this.zoom(Math.exp(-event.deltaY / 300), [(2 * x - width) / height, 1 - (2 * y) / height]);
      },
      { passive: false },
    );
  }
}

export { CanvasPlot };
