// Where texts beside nodes and edges go: never over each other, over a node, or out of the drawing.

import { RADIUS } from "./graph.js";

/** @import { Point } from "./types.d.ts" */
/** @typedef {{ at: Point, along?: Point, words: string }} Wanted `along`: direction of the edge that it belongs to. */
/** @typedef {{ at: Point, words: string }} Placed */
/** @typedef {[left: number, top: number, right: number, bottom: number]} Box */

const LETTER = 0.58; // width of a letter, of its size
const ROOM = 4; // around a text
const TURNS = [0, 0.5, 0.25, 0.75, 0.125, 0.375, 0.625, 0.875]; // directions from a node, of a turn, in order

/**
 * @param {Box} a
 * @param {Box} b
 */
const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

/**
 * True if the line from a to b passes through a box.
 * @param {[Point, Point]} line
 * @param {Box} box
 */
function crosses([a, b], box) {
  let [from, to] = [0, 1];
  for (const c of [0, 1]) {
    const run = b[c] - a[c];
    const [near, far] = [box[c] - a[c], box[c + 2] - a[c]];
    if (Math.abs(run) < 1e-9) {
      if (near > 0 || far < 0) return false;
    } else {
      from = Math.max(from, Math.min(near / run, far / run));
      to = Math.min(to, Math.max(near / run, far / run));
    }
  }
  return from <= to;
}

/**
 * Place texts one after the other; those that find no free place are left out.
 * @param {Wanted[]} wanted the most important first
 * @param {{ size: number, frame: Box, most: number, nodes: { at: Point, radius: number }[], lines: [Point, Point][] }} among
 *   size: of letters. most: number of texts. nodes, lines: what is drawn.
 * @returns {Placed[]}
 */
function placeLabels(wanted, { size, frame, most, nodes, lines }) {
  /** @type {Box[]} */
  const taken = nodes.map(({ at: [x, y], radius }) => [x - radius, y - radius, x + radius, y + radius]);
  /** @type {Placed[]} */
  const placed = [];
  for (const { at, along, words } of wanted) {
    if (placed.length >= most) break;
    const [w, h] = [(LETTER * size * words.length) / 2 + ROOM, 0.6 * size + ROOM];
    /** @type {{ center: Point, box: Box, cost: number } | null} */
    let best = null;
    for (const [n, [u, v]] of directions(along).entries()) {
      // the text just clears the node, or the edge, in this direction
      const reach = along
        ? Math.abs(u) * w + Math.abs(v) * h + 6
        : Math.min(w / Math.abs(u), h / Math.abs(v)) + RADIUS + 12;
      const center = /** @type {Point} */ ([at[0] + reach * u, at[1] + reach * v]);
      /** @type {Box} */
      const box = [center[0] - w, center[1] - h, center[0] + w, center[1] + h];
      const inside = box[0] >= frame[0] && box[1] >= frame[1] && box[2] <= frame[2] && box[3] <= frame[3];
      if (!inside || taken.some((other) => overlap(box, other))) continue;
      const cost = n / 100 + lines.filter((line) => crosses(line, box)).length;
      if (!best || cost < best.cost) best = { center, box, cost };
    }
    if (!best) continue;
    taken.push(best.box);
    placed.push({ at: best.center, words });
  }
  return placed;
}

/**
 * Directions to try, as unit vectors.
 * @param {Point | undefined} along
 * @returns {Point[]}
 */
function directions(along) {
  if (!along) return TURNS.map((turn) => [Math.cos(2 * Math.PI * turn), -Math.sin(2 * Math.PI * turn)]);
  const length = Math.hypot(...along) || 1;
  const [u, v] = [-along[1] / length, along[0] / length];
  return [
    [u, v],
    [-u, -v],
  ];
}

export { placeLabels };
