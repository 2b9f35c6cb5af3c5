// The inspector with two losses: which edits the second one makes dearer, and which cheaper.

import { pairNumber } from "./graph.js";
import { signHalo } from "./inspector_graph.js";
import { short } from "./inspector_session.js";
import { inUnits, signedUnits } from "./units.js";

/** @import { Comparison, Halos, InspectorState, Model, Scene } from "./types.d.ts" */

/**
 * The comparison of two losses, null if there is only one.
 * @param {Model<InspectorState>} model
 */
function comparisonOf(model) {
  const found = model.get("comparison");
  return found?.names ? /** @type {Comparison} */ (found) : null;
}

/**
 * Halos of the change of the cheapest valid edit of each node and edge.
 * @param {Comparison} comparison
 * @param {Scene} scene
 * @param {number} unit of the losses
 * @returns {Halos}
 */
function changeHalos({ names, nodes, pairs }, scene, unit) {
  const N = scene.nodes.length;
  const changes = new Map(pairs.map(([i, j, value]) => [pairNumber(i, j, N), value]));
  const linked = scene.edges.map(([i, j]) => pairNumber(i, j, N));
  const values = [...nodes, ...linked.map((p) => changes.get(p))];
  const largest = values.reduce((/** @type {number} */ most, value) => Math.max(most, Math.abs(value ?? 0)), 1e-9);
  const words = { plus: `dearer ${short(names[1])}`, minus: `cheaper ${short(names[1])}` };
  /** @type {Halos} */
  const halos = { nodes: new Map(), pairs: new Map() };
  for (const [i, value] of nodes.entries())
    if (value !== null && scene.nodes[i] > 0) halos.nodes.set(i, signHalo(value, largest, words, { unit }));
  for (const p of linked) {
    const value = changes.get(p);
    if (value !== undefined) halos.pairs.set(p, signHalo(value, largest, words, { edge: true, unit }));
  }
  return halos;
}

/**
 * The valid edits among rows that become dearer and cheaper most, in words.
 * @param {Model<InspectorState>} model
 * @param {Comparison} comparison
 * @param {number[]} rows
 */
function changeWords(model, { names, difference }, rows) {
  const table = model.get("table");
  const valid = rows.filter((row) => table.valid[row]).sort((a, b) => difference[b] - difference[a]);
  if (!valid.length) return "No valid edit.";
  /** @param {number} row */
  const named = (row) => `“${short(table.edit[row])}” (${signedUnits(difference[row], model.get("unit"))})`;
  const [most, least] = [valid[0], valid[valid.length - 1]];
  const words = [];
  if (difference[most] > 0) words.push(`${named(most)} becomes dearer most`);
  if (difference[least] < 0) words.push(`${named(least)} becomes cheaper most`);
  return `From ${short(names[0])} to ${short(names[1])}: ${words.join("; ") || "no price changes"}.`;
}

/**
 * What the second loss takes for an edit, in the unit of the first.
 * @param {Model<InspectorState>} model
 * @param {Comparison} comparison
 * @param {number} row
 */
const otherPrice = (model, { names, other, difference }, row) => {
  const unit = model.get("unit");
  const [price, change] = [inUnits(other[row], unit), signedUnits(difference[row], unit)];
  return ` By the loss “${short(names[1])}” it costs ${price} (${change}).`;
};

export { changeHalos, changeWords, comparisonOf, otherPrice };
