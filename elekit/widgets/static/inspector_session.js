// What the panels of the inspector share: the state that only the browser has, and sentences about edits and parts.

import { follow, save, send, shortened } from "./dom.js";
import { inUnits } from "./units.js";

/** @import { EditTable, InspectorState, Model, Palette, Part, Scene } from "./types.d.ts" */
/** @typedef {import("./dom.js").Cleanups} Cleanups */
/** @typedef {"edit" | "kind" | "price" | "other" | "difference" | "change" | "valid"} Column */
/** @typedef {{ element: HTMLElement, traits: (keyof InspectorState)[], draw: () => void }} Panel */

/** @param {unknown} text */
const short = (text) => shortened(text, 60);

/**
 * @param {number} value
 * @param {number} digits
 */
const signed = (value, digits) =>
  (Math.abs(value) < 0.5 * 10 ** -digits ? "" : value > 0 ? "+" : "−") + Math.abs(value).toFixed(digits);

/** @param {number} n */
const ordinal = (n) => `${n}${["th", "st", "nd", "rd"][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? "th"}`;

/** @param {Part} part */
const isWhole = ({ node, pair }) => node === undefined && !pair;

class Session {
  /**
   * @param {Model<InspectorState>} model
   * @param {HTMLElement} root
   * @param {Cleanups} cleanups
   */
  constructor(model, root, cleanups) {
    this.model = model;
    this.root = root;
    this.cleanups = cleanups;
    /** @type {Column} */
    this.sortBy = "price";
    this.descending = false;
    this.kind = ""; // of the listed edits, "" = all
    this.words = ""; // that the listed edits contain, in lower case
    this.pairing = false; // whether the next picked node completes a pair
    /** @type {number | null} */
    this.previewed = null; // row of the table
    this.written = "pointed"; // prices on the drawing, see InspectedGraph.mark
    /** @type {(text: string) => void} */
    this.announce = () => {};
    this.redrawGraph = () => {};
    this.redrawAll = () => {};
  }

  /** @param {number | null | undefined} row */
  preview(row) {
    if (row === undefined || row === this.previewed) return;
    this.previewed = row;
    this.redrawGraph();
  }

  /** @param {Part} part */
  pick(part) {
    this.pairing = false;
    save(this.model, "picked", part);
  }

  /** @param {number | undefined} row */
  apply(row) {
    if (row !== undefined) send(this.model, "apply", { row, at: this.model.get("table").step });
  }

  undo() {
    if (this.model.get("at") > 0) send(this.model, "undo");
  }

  redo() {
    if (this.model.get("at") < this.model.get("steps").length - 1) send(this.model, "redo");
  }

  /** Largest absolute share of either graph, which the widths of halos are relative to. */
  get largestShare() {
    const { graph, anchor } = this.model.get("shares");
    const shares = [...(graph?.share ?? []), ...(anchor?.share ?? [])];
    return shares.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  }
}

/**
 * Call `draw` now, and once after any number of the traits changed together.
 * @param {Session} session
 * @param {(keyof InspectorState)[]} traits
 * @param {() => void} draw
 */
function followTogether({ model, cleanups }, traits, draw) {
  let due = false;
  follow(model, cleanups, traits, () => {
    if (due) return;
    due = true;
    queueMicrotask(() => {
      due = false;
      draw();
    });
  });
}

/**
 * Channel of the edge of a pair, 0 = no edge.
 * @param {Scene} scene
 * @param {[number, number]} pair
 */
const edgeOf = (scene, [i, j]) => scene.edges.find((edge) => edge[0] === i && edge[1] === j)?.[2] ?? 0;

/**
 * @param {Part} part
 * @param {Scene} scene
 * @param {Palette} palette
 */
function partName({ node, pair }, scene, { nodes, edges }) {
  if (pair) return `Pair ${pair.join("-")} (${short(edges[edgeOf(scene, pair) - 1] ?? "no edge")})`;
  if (node !== undefined) return `Node ${node} (${short(nodes[scene.nodes[node] - 1] ?? "absent")})`;
  return "All of the graph";
}

/**
 * True if an edit changes a part.
 * @param {EditTable} table
 * @param {number} row
 * @param {Part} part
 */
function concerns(table, row, { node, pair }) {
  const edited = table.pair[row];
  if (pair) return table.kind[row] === "change edge" && edited?.[0] === pair[0] && edited[1] === pair[1];
  if (node === undefined) return true;
  return table.node[row] === node || (table.kind[row] === "add node" && Boolean(edited?.includes(node)));
}

/**
 * An edit as the subject of a sentence.
 * @param {EditTable} table
 * @param {number} row
 * @param {Scene} scene
 * @param {Palette} palette
 */
function editPhrase(table, row, scene, { nodes, edges }) {
  const node = table.node[row];
  const pair = table.pair[row];
  const label = short(nodes[table.label[row] - 1]);
  const edge = short(edges[table.edge[row] - 1] ?? "");
  const old = short(nodes[scene.nodes[node] - 1]);
  switch (table.kind[row]) {
    case "relabel":
      return `Changing node ${node} from ${old} to ${label}`;
    case "remove node":
      return `Removing node ${node} (${old})`;
    case "add node":
      return `Adding a node ${label}${pair ? ` to node ${pair[0] + pair[1] - node} (${edge})` : ""}`;
  }
  if (!pair) return table.edit[row];
  const before = short(edges[edgeOf(scene, pair) - 1] ?? "");
  if (!before) return `Joining nodes ${pair.join(" and ")} (${edge})`;
  if (!edge) return `Removing edge ${pair.join("-")} (${before})`;
  if (before.slice(1) === edge.slice(1) && before !== edge) return `Turning edge ${pair.join("-")} round (${before})`;
  return `Changing edge ${pair.join("-")} from ${before} to ${edge}`;
}

/**
 * What an edit costs and does.
 * @param {Model<InspectorState>} model
 * @param {number} row
 */
function editSentence(model, row) {
  const table = model.get("table");
  const unit = model.get("unit");
  const [price, change] = [table.price[row], table.change[row]];
  const valid = table.price.filter((_, other) => table.valid[other]);
  const rank = 1 + valid.filter((other) => other < price).length;
  const which = rank > 1 ? `${ordinal(rank)} cheapest` : "cheapest";
  const words = [
    `${editPhrase(table, row, model.get("scene"), model.get("palette"))} costs ${inUnits(price, unit)}`,
    table.valid[row] ? `; it would be the ${which} of ${valid.length} valid edits.` : ", but is not valid.",
  ];
  if (!table.connected[row]) words.push(" It disconnects the graph.");
  if (Math.abs(price - change) >= 1e-5) {
    // otherwise the anchor is the graph itself
    const after = inUnits(Math.max(0, model.get("loss") + change), unit);
    const verb = change > 0 ? "rise" : "fall";
    words.push(` The loss to the anchor would ${verb} by ${inUnits(Math.abs(change), unit)} to ${after}.`);
  }
  return words.join("");
}

export { concerns, editSentence, followTogether, isWhole, partName, Session, short, signed };
