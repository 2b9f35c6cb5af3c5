// The inspector's graph: halos of prices or shares, words beside the parts, and previews of edits.

import { clamp, html, setText, svg, update } from "./dom.js";
import { BLUE, CENTERED, GRAY, GraphView, ORANGE, oneHot, pairNumber, rampColor, VERMILION } from "./graph.js";
import { signed } from "./inspector_session.js";

/** @import { EditTable, Halo, Halos, Heat, InspectorState, Model, Part, PartShares, Point, RoomyScene } from "./types.d.ts" */

const THIN = 5; // width of the halo of the cheapest edit
const WIDE = 17; // and of the most expensive one
const HEIGHT = 430; // of the drawing on the screen
const BLACK = "#000000";

/**
 * Where a price lies on the ramp, in [0, 1].
 * @param {Heat} heat
 * @param {number} price
 */
const onRamp = ({ low, high }, price) => clamp((price - low) / (high - low), 0, 1);

/**
 * The same halo for an edge, which covers the edge's lines.
 * @param {Halo} halo
 * @returns {Halo}
 */
const forEdge = (halo) => ({ ...halo, width: 14 + 1.5 * (halo.width ?? 0) });

/**
 * Halos of the cheapest valid edit of each node and edge.
 * @param {Model<InspectorState>} model
 * @returns {Halos}
 */
function priceHalos(model) {
  const heat = model.get("heat");
  const { nodes, edges } = model.get("scene");
  /**
   * @param {number | null | undefined} price
   * @returns {Halo}
   */
  const look = (price) => {
    if (price === null || price === undefined)
      return { color: GRAY, width: THIN, dashed: true, words: "none", title: "no valid edit" };
    return {
      color: rampColor(heat.ramp, onRamp(heat, price)),
      width: THIN + (WIDE - THIN) * onRamp(heat, price),
      words: price.toFixed(2),
      title: `cheapest valid edit ${price.toFixed(3)}`,
    };
  };
  const prices = new Map(heat.pairs.map(([i, j, price]) => [pairNumber(i, j, nodes.length), price]));
  const linked = edges.map(([i, j]) => pairNumber(i, j, nodes.length));
  const present = [...nodes.keys()].filter((i) => nodes[i] > 0);
  return {
    nodes: new Map(present.map((i) => [i, look(heat.nodes[i])])),
    pairs: new Map(linked.map((p) => [p, forEdge(look(prices.get(p)))])),
  };
}

/**
 * Halos of the shares of nodes and edges in the similarity of two graphs.
 * @param {PartShares} shares
 * @param {number} largest share, which gets the widest halo
 * @returns {Halos}
 */
function shareHalos({ nodes, pairs }, largest) {
  /**
   * @param {number} value
   * @returns {Halo}
   */
  const look = (value) => ({
    color: value < 0 ? VERMILION : BLUE,
    dashed: value < 0,
    width: Math.max(2, (WIDE * Math.abs(value)) / largest),
    words: signed(value, 2),
    title: `${value < 0 ? "keeps apart" : "brings together"}, ${signed(value, 3)}`,
  });
  /** @type {Halos} */
  const halos = { nodes: new Map(), pairs: new Map() };
  for (const [i, value] of nodes.entries()) if (value !== null) halos.nodes.set(i, look(value));
  for (const [i, j, value] of pairs) halos.pairs.set(pairNumber(i, j, nodes.length), forEdge(look(value)));
  return halos;
}

/** A drawn graph with halos, words beside them, the picked part, and a preview of an edit. */
class InspectedGraph {
  /**
   * @param {Model<InspectorState>} model
   * @param {string} label
   * @param {import("./graph.js").OnPick | null} [onpick]
   */
  constructor(model, label, onpick = null) {
    this.model = model;
    this.view = new GraphView(model.get("palette"), { label, onpick });
    this.notes = svg("g", { "pointer-events": "none" });
    this.view.element.append(this.notes);
    this.textSize = 17;
    /** @type {RoomyScene | null} */
    this.scene = null;
    /** @type {GraphView["last"]} */
    this.unedited = null;
  }

  /** @param {RoomyScene} scene */
  show(scene) {
    const { view } = this;
    const { focused } = view;
    /** @type {Point[]} */
    const around = scene.words.filter((at) => at !== null);
    for (const [i, spot] of scene.spots.entries()) {
      if (!spot) continue;
      const [[x, y], [u, v]] = [scene.positions[i], spot];
      around.push([x - 0.1, y - 0.1], [x + 0.1, y + 0.1], [x + 0.82 * (u - x), y + 0.82 * (v - y)]);
    }
    this.scene = scene;
    view.show(scene, around.length ? around : scene.positions);
    this.unedited = view.last;
    view.element.append(this.notes);
    const { width, height } = view.size;
    const scale = Math.min((view.element.clientWidth || HEIGHT) / width, HEIGHT / height);
    this.textSize = clamp(14.5 / scale, 17, 34); // as large as the text around the drawing
    if (focused) view.drawings.find(({ group }) => group.dataset.part === focused)?.group.focus();
  }

  /**
   * @param {Halos} halos
   * @param {Part} picked
   * @param {number | null} row the edit to preview
   */
  mark(halos, picked, row) {
    const { scene, unedited, view } = this;
    if (!scene || !unedited) return;
    view.mark(halos);
    const notes = view.outline(picked, BLACK, 20);
    const preview = row === null ? [] : this.preview(scene, unedited, row);
    if (row === null) view.draw(unedited.nodes, unedited.pairs);
    for (const [i, at] of scene.words.entries()) {
      const words = halos.nodes.get(i)?.words;
      if (at) notes.push(this.text(at, words ? `${i}: ${words}` : String(i)));
    }
    for (const [i, j, x, y] of scene.sides) {
      const words = halos.pairs.get(pairNumber(i, j, scene.nodes.length))?.words;
      notes.push(this.text([x, y], words ?? ""));
    }
    this.notes.replaceChildren(...notes, ...preview);
    for (const drawing of view.drawings) {
      const { node, pair } = drawing.part;
      const halo = pair
        ? halos.pairs.get(pairNumber(pair[0], pair[1], scene.nodes.length))
        : halos.nodes.get(node ?? -1);
      const pressed = pair
        ? picked.pair?.[0] === pair[0] && picked.pair[1] === pair[1]
        : picked.node === node || (node !== undefined && picked.pair?.includes(node));
      if (view.onpick) update(drawing.group, { "aria-pressed": Boolean(pressed) });
      const label = halo?.title ? `${drawing.words}; ${halo.title}` : drawing.words;
      update(drawing.group, { "aria-label": label });
    }
  }

  /**
   * @param {Point} at
   * @param {string} words
   */
  text(at, words) {
    const [x, y] = GraphView.at(at);
    return svg("text", { class: "elekit-word", ...CENTERED, x, y, "font-size": this.textSize.toFixed(1) }, words);
  }

  /**
   * Draw the graph as an edit would leave it, and mark what changes.
   * @param {RoomyScene} scene
   * @param {NonNullable<GraphView["last"]>} unedited
   * @param {number} row
   */
  preview(scene, unedited, row) {
    const { view } = this;
    const table = this.model.get("table");
    const [node, pair] = [table.node[row], table.pair[row]];
    const [nodes, pairs] = [unedited.nodes.slice(), new Map(unedited.pairs)];
    const adds = table.kind[row] === "add node";
    if (!adds && node >= 0) nodes.set(oneHot(view.K, table.label[row]), node * view.K);
    else if (!adds && pair) pairs.set(pairNumber(...pair, scene.nodes.length), oneHot(view.R, table.edge[row]));
    view.draw(nodes, pairs);
    if (adds) return this.addedNode(scene, table, row);
    return view.outline(node >= 0 || !pair ? { node } : { pair }, ORANGE, 27, "10 6");
  }

  /**
   * @param {RoomyScene} scene
   * @param {EditTable} table
   * @param {number} row
   */
  addedNode(scene, table, row) {
    const pair = table.pair[row];
    const neighbor = pair ? pair[0] + pair[1] - table.node[row] : null;
    const spot = (neighbor !== null && scene.spots[neighbor]) || /** @type {Point} */ ([0, 0]);
    return this.view.newNode(spot, neighbor, table.label[row], table.edge[row], ORANGE);
  }
}

/**
 * The meaning of the halos.
 * @param {Model<InspectorState>} model
 */
function legend(model) {
  const wedge = svg("svg", { viewBox: "0 0 240 24", class: "elekit-wedge", "aria-hidden": "true" });
  const [low, high] = [html("span", { class: "elekit-number" }), html("span", { class: "elekit-number" })];
  const words = "price of the cheapest valid edit; a thin halo: an edit there changes the loss little";
  const prices = html("div", { class: "elekit-row elekit-key" }, low, wedge, high, words);
  /**
   * @param {string} stroke
   * @param {string} dashes
   */
  const sample = (stroke, dashes) => {
    const look = { stroke, "stroke-width": 10, "stroke-dasharray": dashes };
    const line = svg("line", { x1: 0, y1: 7, x2: 44, y2: 7, ...look });
    return svg("svg", { viewBox: "0 0 44 14", class: "elekit-sample", "aria-hidden": "true" }, line);
  };
  const shares = html(
    "div",
    { class: "elekit-row elekit-key" },
    sample(BLUE, "none"),
    "+ brings together",
    sample(VERMILION, "9 7"),
    "− keeps apart",
  );
  const draw = () => {
    const heat = model.get("heat");
    setText(low, heat.low.toFixed(2));
    setText(high, heat.high.toFixed(2));
    wedge.replaceChildren(
      ...Array.from({ length: 24 }, (_, n) => {
        const [y, height] = [12 - (4 + n / 3), 8 + (2 * n) / 3];
        return svg("rect", { x: 10 * n, y, width: 10.5, height, fill: rampColor(heat.ramp, n / 23) });
      }),
    );
    prices.hidden = model.get("view") !== "price";
    shares.hidden = !prices.hidden;
  };
  return { element: html("div", {}, prices, shares), draw };
}

export { InspectedGraph, legend, onRamp, priceHalos, shareHalos };
