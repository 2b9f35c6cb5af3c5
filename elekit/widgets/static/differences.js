// How a graph differs from another one that it is drawn over.

import { html, svg } from "./dom.js";
import { pairNumber } from "./graph.js";

/** @import { Aligned, Halo, Halos } from "./types.d.ts" */

/** @type {Record<"gone" | "changed" | "new", { color: string, dashed: boolean, words: string }>} */
const MARKS = {
  gone: { color: "#cc79a7", dashed: true, words: "removed" },
  changed: { color: "#e69f00", dashed: false, words: "changed" },
  new: { color: "#56b4e9", dashed: false, words: "added" },
};

/**
 * Draw a graph over another one: what both have is pale, what differs has a halo.
 * @param {import("./graph.js").GraphView} view
 * @param {Aligned} aligned
 */
function drawAligned(view, { scene, marks, words }) {
  const { positions } = scene;
  const kept = positions.filter((_, i) => scene.nodes[i] > 0 || marks.some(([part]) => part.includes(i)));
  view.show(scene, kept);
  /** @type {Halos} */
  const halos = { nodes: new Map(), pairs: new Map() };
  /** @type {Set<string>} */
  const changed = new Set();
  for (const [part, kind] of marks) {
    const { color, dashed, words: what } = MARKS[kind];
    /** @type {Halo} */
    const halo = { color, dashed, width: part.length > 1 ? 30 : 18, title: what };
    if (part.length > 1) halos.pairs.set(pairNumber(part[0], part[1], positions.length), halo);
    else halos.nodes.set(part[0], halo);
    changed.add(part.length > 1 ? `p${pairNumber(part[0], part[1], positions.length)}` : `n${part[0]}`);
  }
  view.mark(halos);
  for (const { group } of view.drawings)
    group.classList.toggle("elekit-common", Boolean(marks.length) && !changed.has(group.dataset.part ?? ""));
  view.element.setAttribute("aria-label", `${view.element.getAttribute("aria-label")}; ${words}`);
}

/** The meaning of the halos. */
function differenceKey() {
  const items = Object.values(MARKS).map(({ color, dashed, words }) => {
    const look = { stroke: color, "stroke-width": 8, "stroke-dasharray": dashed ? "6 4" : "none" };
    const line = svg("line", { x1: 0, y1: 6, x2: 26, y2: 6, ...look });
    return html("span", {}, svg("svg", { width: 26, height: 12, "aria-hidden": "true" }, line), ` ${words}  `);
  });
  return html(
    "div",
    { class: "elekit-small elekit-difference-key" },
    "From the pinned graph to its neighbor: ",
    ...items,
  );
}

export { differenceKey, drawAligned };
