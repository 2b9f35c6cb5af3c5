// Where texts beside nodes and edges go: never over each other, over a letter, or out of the drawing.

import { clamp } from "./dom.js";
import { RADIUS } from "./graph.js";

/** @import { Point } from "./types.d.ts" */
/** @typedef {[left: number, top: number, right: number, bottom: number]} Box */
/** @typedef {{ at: Point, radius: number, letters?: Box | null }} Disk `letters`: what is written on it. */
/**
 * @typedef {object} Wanted
 * @property {Point} at
 * @property {number} [radius] of the node that it belongs to
 * @property {Point} [along] direction of the edge that it belongs to
 * @property {Point} [beside] what is written on that edge: how far it reaches from `at`
 * @property {string} words
 * @property {boolean} [must] whether it is placed further off, or over the drawing, if there is no room beside its part
 */
/** @typedef {{ at: Point, words: string, box: Box, leader: [Point, Point] | null, lifted: boolean }} Placed */
/** @typedef {{ center: Point, box: Box, leader: [Point, Point] | null }} Place */
/**
 * @typedef {object} Drawn
 * @property {Box} frame
 * @property {Disk[]} nodes
 * @property {[Point, Point][]} lines
 * @property {Box[]} others texts and buttons that are there already
 */

const LETTER = 0.58; // width of a letter, of its size
const ROOM = 4; // around a text
const TURNS = [0, 0.5, 0.25, 0.75, 0.125, 0.375, 0.625, 0.875]; // directions from a node, of a turn, in order
const BETWEEN = TURNS.map((turn) => turn + 1 / 16); // more of them, for places further off
const AWAY = 1; // what a place with a leader costs, in lines that are crossed
const STEP = 0.4; // and each step further off
const HIDING = 4; // and a leader over a node or a text

/**
 * @param {Box} a
 * @param {Box} b
 */
const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

/**
 * The part of a line that lies in a box, as shares of its length; null if none does.
 * @param {[Point, Point]} line
 * @param {Box} box
 * @returns {[from: number, to: number] | null}
 */
function within([a, b], box) {
  let [from, to] = [0, 1];
  for (const c of [0, 1]) {
    const run = b[c] - a[c];
    const [near, far] = [box[c] - a[c], box[c + 2] - a[c]];
    if (Math.abs(run) < 1e-9) {
      if (near > 0 || far < 0) return null;
    } else {
      from = Math.max(from, Math.min(near / run, far / run));
      to = Math.min(to, Math.max(near / run, far / run));
    }
  }
  return from <= to ? [from, to] : null;
}

/**
 * True if two lines cross.
 * @param {[Point, Point]} line
 * @param {[Point, Point]} other
 */
function cross([a, b], [c, d]) {
  /** @type {(a: Point, b: Point, c: Point) => boolean} whether c lies to the left of the line from a to b */
  const left = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0]);
  return left(a, b, c) !== left(a, b, d) && left(c, d, a) !== left(c, d, b);
}

/**
 * @param {Point} center
 * @param {number} w half of the width
 * @param {number} h
 * @returns {Box}
 */
const boxAround = ([x, y], w, h) => [x - w, y - h, x + w, y + h];

/**
 * The box of a text.
 * @param {Point} center
 * @param {string} words
 * @param {number} size of letters
 */
const textBox = (center, words, size) =>
  boxAround(center, (LETTER * size * words.length) / 2 + ROOM, 0.6 * size + ROOM);

/**
 * Place texts one after the other. Those that find no free place are left out; those that must be written go further
 * off, with a leader to their part, or else over nodes without letters and over lines.
 * @param {Wanted[]} wanted the most important first
 * @param {Drawn & { size: number, most: number }} among size: of letters. most: number of texts.
 * @returns {Placed[]}
 */
function placeLabels(wanted, { size, most, ...drawn }) {
  const disks = drawn.nodes.map(({ at, radius }) => boxAround(at, radius, radius));
  const letters = drawn.nodes.flatMap((node) => (node.letters ? [node.letters] : []));
  /** @type {Placed[]} */
  const placed = [];
  for (const one of wanted) {
    if (placed.length >= most) break;
    const texts = [...drawn.others, ...placed.map(({ box }) => box)];
    const leaders = placed.flatMap(({ leader }) => (leader ? [leader] : []));
    /** @param {Box[]} taken boxes that may not be covered */
    const find = (taken) => cheapest(one, size, [...taken, ...texts], [...disks, ...texts], leaders, drawn);
    let [place, lifted] = [find(disks), false];
    if (!place && one.must) [place, lifted] = [find(letters), true];
    if (place) placed.push({ at: place.center, words: one.words, box: place.box, leader: place.leader, lifted });
  }
  return placed;
}

/**
 * The free place where a text is nearest to its part and hides least.
 * @param {Wanted} wanted
 * @param {number} size
 * @param {Box[]} taken boxes that may not be covered
 * @param {Box[]} avoided boxes that a leader should not cross
 * @param {[Point, Point][]} leaders that may not be covered
 * @param {Drawn} drawn
 * @returns {Place | null}
 */
function cheapest(wanted, size, taken, avoided, leaders, { frame, lines }) {
  /** @type {(Place & { cost: number }) | null} */
  let best = null;
  const [, , w, h] = textBox([0, 0], wanted.words, size);
  const farthest = wanted.must ? Math.hypot(frame[2] - frame[0], frame[3] - frame[1]) / h : 0;
  for (let away = 0; away <= farthest; away++) {
    const least = away && AWAY + STEP * away;
    if (best && best.cost <= least) break; // no place further off is cheaper
    for (const [n, [u, v]] of directions(away ? undefined : wanted.along, away > 0).entries()) {
      const reach = clearance(wanted, u, v, w, h) + away * h;
      const center = /** @type {Point} */ ([wanted.at[0] + reach * u, wanted.at[1] + reach * v]);
      const box = boxAround(center, w, h);
      const inside = box[0] >= frame[0] && box[1] >= frame[1] && box[2] <= frame[2] && box[3] <= frame[3];
      if (!inside || taken.some((other) => overlap(box, other)) || leaders.some((line) => within(line, box)))
        continue;
      const leader = away ? leaderTo(wanted, [u, v], box) : null;
      const hides = lines.filter((line) => within(line, box) || (leader && cross(leader, line))).length;
      const hidden = leader ? avoided.filter((other) => within(leader, other)).length : 0;
      const cost = least + n / 100 + hides + HIDING * hidden;
      if (!best || cost < best.cost) best = { center, box, leader, cost };
    }
  }
  return best;
}

/**
 * How far from its part the middle of a text is that just clears the node, or the edge, in this direction.
 * @param {Wanted} wanted
 * @param {number} u
 * @param {number} v
 * @param {number} w half of the text's width
 * @param {number} h
 */
function clearance({ along, beside = [0, 0] }, u, v, w, h) {
  const [across, down] = [Math.abs(u), Math.abs(v)];
  if (!along) return Math.min(w / across, h / down) + RADIUS + 12;
  return Math.max(across * w + down * h + 6, Math.min((w + beside[0]) / across, (h + beside[1]) / down));
}

/**
 * A line from a part to the box of its text; from beside a node, from the middle of an edge.
 * @param {Wanted} wanted
 * @param {Point} direction
 * @param {Box} box
 * @returns {[Point, Point]}
 */
function leaderTo({ at: [x, y], radius = 0 }, [u, v], [left, top, right, bottom]) {
  const off = radius && radius + 2;
  return [
    [x + off * u, y + off * v],
    [clamp(x, left, right), clamp(y, top, bottom)],
  ];
}

/**
 * Directions to try, as unit vectors.
 * @param {Point | undefined} along
 * @param {boolean} [more]
 * @returns {Point[]}
 */
function directions(along, more = false) {
  const turns = more ? [...TURNS, ...BETWEEN] : TURNS;
  if (!along) return turns.map((turn) => [Math.cos(2 * Math.PI * turn), -Math.sin(2 * Math.PI * turn)]);
  const length = Math.hypot(...along) || 1;
  const [u, v] = [-along[1] / length, along[0] / length];
  return [
    [u, v],
    [-u, -v],
  ];
}

export { placeLabels, textBox, within };
