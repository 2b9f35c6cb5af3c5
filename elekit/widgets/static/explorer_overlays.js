// On the map: names of groups, drawings in place of points where few are in view, and the view itself, for sessions.

import { follow, send, shortened, svg } from "./dom.js";
import { CENTERED, GraphView } from "./graph.js";

/** @import { MapPanelState, Model, Plot, Point } from "./types.d.ts" */
/** @typedef {import("./dom.js").Cleanups} Cleanups */

const CLOSE = 2; // zoom from which on the fine groups are named
const FEW = 24; // points in view that are drawn as graphs
const SIZE = [88, 66]; // of such a drawing
const REST = 300; // ms without movement
const TRIES = 5; // to move a camera that the plot moves elsewhere while it is made

class Overlays {
  /**
   * @param {Model<MapPanelState>} model
   * @param {number} map number of the map; groups are named on the first
   * @param {Plot} plot
   * @param {SVGElement} layer
   */
  constructor(model, map, plot, layer) {
    this.model = model;
    this.map = map;
    this.plot = plot;
    /** @type {Cleanups} */
    this.cleanups = [];
    this.names = svg("g", { class: "elekit-groups" });
    this.drawings = svg("svg", { class: "elekit-pictures", "aria-hidden": "true" });
    layer.before(this.drawings);
    layer.prepend(this.names);
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.asked = "";
    this.tries = 0;
    /** @type {(point: Point) => string} */
    this.place = () => "0,0";
    this.zoom = 1;
    follow(model, this.cleanups, "groups", () => this.nameGroups());
    follow(model, this.cleanups, "pictures", () => this.drawGraphs());
    follow(model, this.cleanups, "cameras", () => this.look());
  }

  /**
   * The map has moved.
   * @param {(point: Point) => string} place
   * @param {ArrayLike<number>} camera
   * @param {number} width
   * @param {number} height
   */
  move(place, camera, width, height) {
    this.place = place;
    this.zoom = camera[5];
    this.size = [width, height];
    this.nameGroups();
    this.moveDrawings();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(), REST);
  }

  nameGroups() {
    const groups = this.map ? [] : this.model.get("groups");
    const level = this.zoom < CLOSE ? 0 : Math.max(0, ...groups.map((group) => group.level));
    const taken = /** @type {number[][]} */ ([]);
    const shown = groups
      .filter((group) => group.level === level)
      .map(({ at, name }) => {
        const [x, y] = this.place(at).split(",").map(Number);
        const text = shortened(name, 34);
        const half = 4.2 * text.length;
        const free = taken.every(([x2, y2, half2]) => Math.abs(x - x2) > half + half2 || Math.abs(y - y2) > 20);
        const inside = !this.size || (x > half && x < this.size[0] - half && y > 10 && y < this.size[1] - 10);
        if (!free || !inside) return null;
        taken.push([x, y, half]);
        return svg("text", { x, y, class: "elekit-group-name", ...CENTERED }, text);
      });
    this.names.replaceChildren(...shown.filter((text) => text !== null));
  }

  /** Remember the view; draw the graphs in view if they are few. */
  settle() {
    const camera = this.plot.get("cameraView");
    if (!camera) return;
    const cameras = this.model.get("cameras").slice();
    while (cameras.length < this.map) cameras.push([]);
    const wanted = this.tries ? cameras[this.map] : undefined;
    if (wanted?.some((value, k) => Math.abs(value - camera[k]) > 1e-4)) {
      this.tries -= 1;
      this.plot.set({ cameraView: new Float32Array(wanted) });
      this.timer = setTimeout(() => this.settle(), REST);
      return;
    }
    this.tries = 0;
    cameras[this.map] = [...Array.from(camera)].map((value) => Math.round(1e6 * value) / 1e6);
    this.seen = JSON.stringify(cameras[this.map]);
    this.model.set("cameras", cameras);
    this.model.save_changes();
    if (this.map) return;
    const rows = this.inView();
    const few = rows.length <= FEW ? rows : [];
    if (String(few) === this.asked) return;
    this.asked = String(few);
    if (few.length) send(this.model, "draw_rows", { rows: few });
    else this.drawings.replaceChildren();
  }

  /** Rows of the points in view; none if the map is not magnified. */
  inView() {
    const [width, height] = this.size ?? [0, 0];
    /** @type {number[]} */
    const rows = [];
    if (this.zoom < CLOSE) return rows;
    for (const [row, [x, y]] of (this.plot.get("points") ?? []).entries()) {
      const [left, top] = this.place([x, y]).split(",").map(Number);
      if (left > 0 && left < width && top > 0 && top < height) rows.push(row);
      if (rows.length > FEW) break;
    }
    return rows;
  }

  drawGraphs() {
    const pictures = this.map ? {} : this.model.get("pictures");
    const wanted = new Set(this.asked.split(","));
    const points = this.plot.get("points") ?? [];
    /** @type {[SVGElement, Point][]} */
    this.drawn = Object.entries(pictures)
      .filter(([row]) => wanted.has(row) && points[Number(row)])
      .map(([row, scene]) => {
        const view = new GraphView(this.model.get("palette"), { label: `drawing of row ${row}` });
        view.show(scene);
        const [x, y] = points[Number(row)];
        return [view.element, /** @type {Point} */ ([x, y])];
      });
    this.drawings.replaceChildren(...this.drawn.map(([element]) => element));
    this.moveDrawings();
  }

  moveDrawings() {
    const [width, height] = SIZE;
    for (const [element, at] of this.drawn ?? []) {
      const [x, y] = this.place(at).split(",").map(Number);
      const box = { x: x - width / 2, y: y - height / 2, width, height };
      for (const [name, value] of Object.entries(box)) element.setAttribute(name, value.toFixed(1));
    }
  }

  /** Move the camera to where a session looked. */
  look() {
    const wanted = this.model.get("cameras")[this.map];
    if (!wanted?.length || JSON.stringify(wanted) === this.seen) return;
    this.seen = JSON.stringify(wanted);
    this.tries = TRIES;
    this.plot.set({ cameraView: new Float32Array(wanted) });
  }

  remove() {
    clearTimeout(this.timer);
    this.drawings.remove();
    for (const cleanup of this.cleanups) cleanup();
  }
}

export { Overlays };
