// The inspector's graph: halos of prices or shares, words beside the parts, and previews of edits.

import { clamp, control, html, setText, svg, update } from "./dom.js";
import { BLUE, GRAY, GraphView, INK, ORANGE, oneHot, pairNumber, rampColor, VERMILION } from "./graph.js";
import { partLabels } from "./inspector_labels.js";
import { short, signed } from "./inspector_session.js";
import { inUnits, rawLoss, signedUnits } from "./units.js";

/** @import { EditTable, Halo, Halos, Heat, InspectorState, Model, Part, PartShares, Point, RoomyScene } from "./types.d.ts" */

const THIN = 5; // width of the halo of the cheapest edit
const WIDE = 17; // and of the most expensive one
const MARGIN = 0.75; // around the graph, in edges
/** @type {Record<string, string>} */
const WRITTEN = { pointed: "prices where I point", few: "five prices", all: "all prices that fit" };

/** @type {WeakMap<Heat, number[]>} */
const sorted = new WeakMap();

/**
 * Where a price lies on the ramp, in [0, 1]: its rank among those of the drawing, so that a few dear ones do not make
 * all others look alike.
 * @param {Heat} heat
 * @param {number} price
 */
function onRamp(heat, price) {
  let prices = sorted.get(heat);
  if (!prices) {
    prices = [...heat.nodes.filter((one) => one !== null), ...heat.pairs.map(([, , one]) => one)].sort(
      (a, b) => a - b,
    );
    sorted.set(heat, prices);
  }
  const below = prices.filter((one) => one < price).length;
  return prices.length > 1 ? clamp(below / (prices.length - 1), 0, 1) : 0.5;
}

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
  const unit = model.get("unit");
  const { nodes, edges } = model.get("scene");
  /**
   * @param {number | null | undefined} price
   * @returns {Halo}
   */
  const look = (price) => {
    if (price === null || price === undefined)
      return { color: GRAY, width: THIN, dashed: true, words: "none", title: "no valid edit", weight: -0.5 };
    return {
      color: rampColor(heat.ramp, onRamp(heat, price)),
      width: THIN + (WIDE - THIN) * onRamp(heat, price),
      words: inUnits(price, unit),
      weight: Math.abs(onRamp(heat, price) - 0.5), // the cheapest and the most expensive edits are labeled first
      title: `cheapest valid edit ${inUnits(price, unit)} (${rawLoss(price)})`,
    };
  };
  const prices = new Map(heat.pairs.map(([i, j, price]) => [pairNumber(i, j, nodes.length), price]));
  const linked = edges.map(([i, j]) => pairNumber(i, j, nodes.length));
  const present = [...nodes.keys()].filter((i) => nodes[i] > 0);
  const pairs = new Map(linked.map((p) => [p, forEdge(look(prices.get(p)))]));
  const { pair } = model.get("picked");
  const picked = pair ? pairNumber(...pair, nodes.length) : -1;
  if (prices.has(picked) && !pairs.has(picked))
    // without an edge: only its price is drawn
    pairs.set(picked, { ...look(prices.get(picked)), color: "none" });
  return { nodes: new Map(present.map((i) => [i, look(heat.nodes[i])])), pairs };
}

/**
 * The halo of a value with a sign.
 * @param {number} value
 * @param {number} largest absolute value, which gets the widest halo
 * @param {{ plus: string, minus: string }} meaning of the signs
 * @param {{ edge?: boolean, unit?: number | null }} [options] edge: whether it is the halo of an edge. unit: of a loss;
 *   null for a share, which has none.
 * @returns {Halo}
 */
function signHalo(value, largest, { plus, minus }, { edge = false, unit = null } = {}) {
  const [words, exactly] =
    unit === null
      ? [signed(value, 2), signed(value, 3)]
      : [signedUnits(value, unit), `${signedUnits(value, unit)} (${rawLoss(value)})`];
  const halo = {
    color: value < 0 ? VERMILION : BLUE,
    dashed: value < 0,
    width: Math.max(2, (WIDE * Math.abs(value)) / largest),
    words,
    weight: Math.abs(value) / largest,
    title: `${value < 0 ? minus : plus}, ${exactly}`,
  };
  return edge ? forEdge(halo) : halo;
}

/**
 * Halos of the shares of nodes and edges in the similarity of two graphs.
 * @param {PartShares} shares
 * @param {number} largest share, which gets the widest halo
 * @returns {Halos}
 */
function shareHalos({ nodes, pairs }, largest) {
  const words = { plus: "brings together", minus: "keeps apart" };
  /** @type {Halos} */
  const halos = { nodes: new Map(), pairs: new Map() };
  for (const [i, value] of nodes.entries()) if (value !== null) halos.nodes.set(i, signHalo(value, largest, words));
  for (const [i, j, value] of pairs)
    halos.pairs.set(pairNumber(i, j, nodes.length), signHalo(value, largest, words, { edge: true }));
  return halos;
}

/**
 * Where a previewed edit adds a node, and beside which one.
 * @param {RoomyScene} scene
 * @param {EditTable} table
 * @param {number} row
 */
function newPlace(scene, table, row) {
  const pair = table.pair[row];
  const neighbor = pair ? pair[0] + pair[1] - table.node[row] : null;
  return { neighbor, spot: (neighbor !== null && scene.spots[neighbor]) || /** @type {Point} */ ([0, 0]) };
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
    this.labels = svg("g", { "pointer-events": "none" });
    this.view.element.append(this.notes, this.labels);
    this.view.onlook = () => this.label();
    /** @type {RoomyScene | null} */
    this.scene = null;
    /** @type {GraphView["last"]} */
    this.unedited = null;
    /** @type {Halos} */
    this.halos = { nodes: new Map(), pairs: new Map() };
    /** @type {Part[]} labeled in any case */
    this.chosen = [];
    /** @type {Point[]} nodes that a previewed edit adds */
    this.added = [];
    this.written = "all"; // which values are written beside the parts: "all", "few", or "pointed"
    /** @type {string | null} data-part of the part under the pointer */
    this.pointed = null;
    const { element } = this.view;
    element.addEventListener("pointerover", ({ target }) => this.point(target));
    element.addEventListener("pointerleave", () => this.point(null));
    for (const event of ["focusin", "focusout"]) element.addEventListener(event, () => this.label());
  }

  /** @param {EventTarget | null} target */
  point(target) {
    const group = target instanceof Element ? target.closest("[data-part]") : null;
    const part = group?.getAttribute("data-part") ?? null;
    if (part === this.pointed) return;
    this.pointed = part;
    this.label();
  }

  /** @param {RoomyScene} scene */
  show(scene) {
    const { view } = this;
    const { focused } = view;
    /** @type {Point[]} */
    const around = [];
    for (const [i, spot] of scene.spots.entries()) {
      if (!spot) continue;
      const [[x, y], [u, v]] = [scene.positions[i], spot];
      around.push([x - MARGIN, y - MARGIN], [x + MARGIN, y + MARGIN], [x + 0.82 * (u - x), y + 0.82 * (v - y)]);
    }
    this.scene = null; // what is drawn meanwhile has no labels
    view.show(scene, around.length ? around : scene.positions);
    this.scene = scene;
    this.unedited = view.last;
    this.pointed = null;
    view.element.append(this.notes, this.labels);
    if (focused) view.drawings.find(({ group }) => group.dataset.part === focused)?.group.focus();
  }

  /**
   * @param {Halos} halos
   * @param {Part} picked
   * @param {number | null} row the edit to preview
   * @param {string} [written] which values are written: "all", "few" (the extremes), or "pointed"
   */
  mark(halos, picked, row, written = "all") {
    const { scene, unedited, view } = this;
    if (!scene || !unedited) return;
    this.halos = halos;
    this.written = written;
    view.mark(halos);
    const notes = view.outline(picked, INK, 20);
    const preview = row === null ? [] : this.preview(scene, unedited, row);
    if (row === null) view.draw(unedited.nodes, unedited.pairs);
    this.notes.replaceChildren(...notes, ...preview);
    this.chosen = [picked, ...(row === null ? [] : this.edited(row))];
    this.added = row === null ? [] : this.newSpots(scene, row);
    this.label();
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
   * The parts that an edit changes.
   * @param {number} row
   * @returns {Part[]}
   */
  edited(row) {
    const table = this.model.get("table");
    const [node, pair] = [table.node[row], table.pair[row]];
    if (table.kind[row] === "add node") return pair ? [{ node: pair[0] + pair[1] - node }] : [];
    return pair ? [{ pair }, { node: pair[0] }, { node: pair[1] }] : [{ node }];
  }

  /** Write numbers and values beside the parts. */
  label() {
    const { scene, view, halos, written, pointed, chosen, added } = this;
    if (!scene) return;
    const lit = view.drawings.filter(({ group: { dataset } }) =>
      [pointed, view.focused].includes(dataset.part ?? ""),
    );
    const parts = { halos, written, pointed: lit.map(({ part }) => part), chosen, added };
    this.labels.replaceChildren(...partLabels(view, scene, parts));
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
    const { neighbor, spot } = newPlace(scene, table, row);
    return this.view.newNode(spot, neighbor, table.label[row], table.edge[row], ORANGE);
  }

  /**
   * @param {RoomyScene} scene
   * @param {number} row
   */
  newSpots(scene, row) {
    const table = this.model.get("table");
    return table.kind[row] === "add node" ? [GraphView.at(newPlace(scene, table, row).spot)] : [];
  }
}

/**
 * The meaning of the halos, and which prices are written on the drawing.
 * @param {import("./inspector_session.js").Session} session
 */
function legend(session) {
  const { model } = session;
  const written = control(
    "select",
    {
      "aria-label": "Prices on the drawing",
      onchange: () => {
        session.written = written.value;
        session.redrawGraph();
      },
    },
    ...Object.entries(WRITTEN).map(([value, words]) => html("option", { value }, words)),
  );
  const unit = html("span", { class: "elekit-small" });
  const wedge = svg("svg", { viewBox: "0 0 240 24", class: "elekit-wedge", "aria-hidden": "true" });
  const [low, high] = [html("span", { class: "elekit-number" }), html("span", { class: "elekit-number" })];
  const words = "cheapest valid edit of each part, by rank";
  const prices = html("div", { class: "elekit-row elekit-key" }, low, wedge, high, words, written, unit);
  /**
   * @param {string} stroke
   * @param {string} dashes
   */
  const sample = (stroke, dashes) => {
    const look = { stroke, "stroke-width": 10, "stroke-dasharray": dashes };
    const line = svg("line", { x1: 0, y1: 7, x2: 44, y2: 7, ...look });
    return svg("svg", { viewBox: "0 0 44 14", class: "elekit-sample", "aria-hidden": "true" }, line);
  };
  const [plus, minus] = [html("span"), html("span")];
  const signs = html(
    "div",
    { class: "elekit-row elekit-key" },
    sample(BLUE, "none"),
    plus,
    sample(VERMILION, "9 7"),
    minus,
  );
  const draw = () => {
    const heat = model.get("heat");
    setText(low, `cheapest ${inUnits(heat.low, model.get("unit"))}`);
    setText(high, `dearest ${inUnits(heat.high, model.get("unit"))}`);
    wedge.replaceChildren(
      ...Array.from({ length: 24 }, (_, n) => {
        const [y, height] = [12 - (4 + n / 3), 8 + (2 * n) / 3];
        return svg("rect", { x: 10 * n, y, width: 10.5, height, fill: rampColor(heat.ramp, n / 23) });
      }),
    );
    setText(unit, model.get("unit_words"));
    const after = short(model.get("comparison")?.names?.[1]);
    const compares = model.get("view") === "comparison";
    setText(plus, compares ? `+ dearer ${after}` : "+ brings together");
    setText(minus, compares ? `− cheaper ${after}` : "− keeps apart");
    prices.hidden = model.get("view") !== "price";
    signs.hidden = !prices.hidden;
  };
  return { element: html("div", {}, prices, signs), draw };
}

export { InspectedGraph, legend, onRamp, priceHalos, shareHalos, signHalo };
