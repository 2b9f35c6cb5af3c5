// What is written beside the parts of the inspector's graph: numbers of nodes, prices, shares or changes.

import { clamp, svg } from "./dom.js";
import { CENTERED, RADIUS } from "./graph.js";
import { placeLabels, textBox, within } from "./labels.js";

/** @import { GraphView } from "./graph.js" */
/** @import { Box, Placed, Wanted } from "./labels.js" */
/** @import { Halo, Halos, Part, Point, RoomyScene } from "./types.d.ts" */
/**
 * @typedef {object} Parts
 * @property {Halos} halos their words are written
 * @property {string} written which of them: "all" that find a place, "few" (the extremes), or "pointed" (none)
 * @property {Part[]} pointed at, or with the focus: written in any case
 * @property {Part[]} chosen written in any case
 * @property {Point[]} added nodes that a preview adds, which nothing may cover
 */
/** @typedef {Wanted & { weight: number, rank: number, number?: number }} WantedPart `rank`: weight of the halo. */

const TEXT = 14; // pixels
const EDGE_TEXT = 17; // size of what is written on edges
const MOST = 24; // labels in the visible part of a drawing
const FEW = 5; // extremes whose values are written
const CHOSEN = 9; // weight of parts that are picked or edited
const POINTED = 10; // and of those that are pointed at or have the focus

/**
 * Labels as SVG: those of chosen parts and asked extremes in any case, then as many as find a free place.
 * @param {GraphView} view
 * @param {RoomyScene} scene
 * @param {Parts} parts
 * @returns {SVGElement[]}
 */
function partLabels(view, scene, parts) {
  const size = TEXT / view.scale;
  const frame = view.frame;
  const wanted = [...wantedNodes(view, scene, parts, frame), ...wantedEdges(view, parts, frame)];
  wanted.sort((a, b) => b.weight - a.weight);
  const valued = wanted.filter(({ words, rank }) => words && rank >= 0).sort((a, b) => b.rank - a.rank);
  const extremes = parts.written === "few" ? valued.slice(0, FEW) : [];
  const must = new Set([...wanted.filter(({ weight }) => weight >= CHOSEN), ...extremes]);
  for (const one of wanted) {
    one.must = must.has(one);
    const value = one.must || parts.written === "all" ? one.words : "";
    one.words = one.number === undefined ? value : value ? `${one.number}: ${value}` : String(one.number);
  }
  const edgeTexts = [...view.pairs.values()].map(({ text }) => lettersBox(text)).filter((box) => box !== null);
  const placed = placeLabels(
    wanted.filter(({ words }) => words).sort((a, b) => Number(b.must) - Number(a.must)),
    {
      size,
      frame,
      most: MOST,
      nodes: [
        ...[...view.nodes].map(([i, { radius, text }]) => ({
          at: view.positions[i],
          radius,
          letters: lettersBox(text),
        })),
        ...parts.added.map((at) => ({ at, radius: RADIUS, letters: textBox(at, "M", RADIUS) })),
      ],
      lines: scene.edges.map(([i, j]) => [view.positions[i], view.positions[j]]),
      others: [...edgeTexts, ...tools(view)],
    },
  );
  return drawn(placed, size, (1.3 / view.scale).toFixed(2));
}

/**
 * @param {Placed[]} placed
 * @param {number} size
 * @param {string} thin width of a line
 */
function drawn(placed, size, thin) {
  const look = { "font-size": size.toFixed(1), style: `stroke-width:${(size / 3.5).toFixed(1)}px` };
  return [
    ...placed.flatMap(({ leader }) => {
      if (!leader) return [];
      const [[x1, y1], [x2, y2]] = leader;
      return [svg("line", { class: "elekit-leader", x1, y1, x2, y2, "stroke-width": thin })];
    }),
    ...placed.flatMap(({ box: [x, y, right, bottom], lifted }) => {
      const area = { x, y, width: right - x, height: bottom - y, "stroke-width": thin };
      return lifted ? [svg("rect", { class: "elekit-plate", ...area })] : [];
    }),
    ...placed.map(({ at: [x, y], words }) =>
      svg("text", { class: "elekit-word", ...CENTERED, x, y, ...look }, words),
    ),
  ];
}

/**
 * The box of a text in the drawing, null if there is none.
 * @param {SVGTextElement | null} text
 */
function lettersBox(text) {
  if (!text?.textContent || text.closest("[visibility=hidden]")) return null;
  const [x, y, size] = ["x", "y", "font-size"].map((name) => Number(text.getAttribute(name)));
  return textBox([x, y], text.textContent, size || EDGE_TEXT);
}

/**
 * The box of the buttons over the drawing.
 * @param {GraphView} view
 * @returns {Box[]}
 */
function tools({ element, scale, frame: [, top, right] }) {
  const beside = element.nextElementSibling;
  if (!(beside instanceof HTMLElement)) return [];
  return [[right - (beside.offsetWidth + 4) / scale, top, right, top + (beside.offsetHeight + 4) / scale]];
}

/**
 * How early a part is labeled.
 * @param {Parts} parts
 * @param {Halo | undefined} halo
 * @param {(part: Part) => boolean | undefined} isPart
 * @param {(part: Part) => boolean | undefined} [isNear] true for other parts with which it is labeled
 */
function weightOf({ pointed, chosen }, halo, isPart, isNear = isPart) {
  if (pointed.some(isPart)) return POINTED;
  return [...pointed, ...chosen].some((part) => isPart(part) || isNear(part)) ? CHOSEN : (halo?.weight ?? -1);
}

/**
 * Labels of the nodes in the frame.
 * @param {GraphView} view
 * @param {RoomyScene} scene
 * @param {Parts} parts
 * @param {Box} frame
 * @returns {WantedPart[]}
 */
function wantedNodes(view, scene, parts, [left, top, right, bottom]) {
  return [...scene.nodes.keys()].flatMap((i) => {
    const [x, y] = view.positions[i];
    const at = /** @type {Point} */ ([clamp(x, left, right), clamp(y, top, bottom)]);
    if (!scene.nodes[i] || Math.hypot(x - at[0], y - at[1]) > RADIUS) return [];
    const halo = parts.halos.nodes.get(i);
    const weight = weightOf(
      parts,
      halo,
      ({ node }) => node === i,
      ({ pair }) => pair?.includes(i),
    );
    const radius = view.nodes.get(i)?.radius;
    return [{ at, radius, words: halo?.words ?? "", rank: halo?.weight ?? -1, weight, number: i }];
  });
}

/**
 * Labels of the edges in the frame, in the middle of what is seen of them.
 * @param {GraphView} view
 * @param {Parts} parts
 * @param {Box} frame
 * @returns {WantedPart[]}
 */
function wantedEdges(view, parts, frame) {
  return [...parts.halos.pairs].flatMap(([p, halo]) => {
    const [i, j] = view.ends(p);
    const [a, b] = [view.positions[i], view.positions[j]];
    const seen = within([a, b], frame);
    if (!halo.words || !seen) return [];
    const half = (seen[0] + seen[1]) / 2;
    const along = /** @type {Point} */ ([b[0] - a[0], b[1] - a[1]]);
    const at = /** @type {Point} */ ([a[0] + half * along[0], a[1] + half * along[1]]);
    const letters = lettersBox(view.pairs.get(p)?.text ?? null);
    const beside = /** @type {Point} */ (
      letters ? [0, 1].map((c) => Math.max(letters[c + 2] - at[c], at[c] - letters[c])) : [0, 0]
    );
    const weight = weightOf(parts, halo, ({ pair }) => pair?.[0] === i && pair[1] === j);
    return [{ at, along, beside, words: halo.words, rank: halo.weight ?? -1, weight }];
  });
}

export { partLabels };
