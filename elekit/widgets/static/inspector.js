// The loss inspector. What it shows is in the model's traits; sorting, filter and preview stay in the browser.

import { cleaning, consume, frame, hasModifier, html, setText, update } from "./dom.js";
import { GraphView } from "./graph.js";
import { hints } from "./hints.js";
import { changeHalos, changeWords, comparisonOf, otherPrice } from "./inspector_comparison.js";
import { InspectedGraph, legend, priceHalos, shareHalos } from "./inspector_graph.js";
import { mapPanel } from "./inspector_map.js";
import { controls, history, neighborList, sharesPanel } from "./inspector_panels.js";
import {
  concerns,
  editSentence,
  followTogether,
  isWhole,
  partName,
  Session,
  short,
  signed,
} from "./inspector_session.js";
import { editTable } from "./inspector_table.js";
import { inUnits, lossWords, rawLoss } from "./units.js";
import { zoomable } from "./zoom.js";

/** @import { InspectorState, Model, Part, View } from "./types.d.ts" */

const HINTS = [
  "Pick a node or an edge to list its edits.",
  "Point at an edit to preview it; Enter applies it.",
  "Keys: u undoes, r redoes.",
];

/**
 * The picked part, or the whole graph, in one sentence.
 * @param {Model<InspectorState>} model
 */
function summary(model) {
  const table = model.get("table");
  const picked = model.get("picked");
  const name = isWhole(picked) ? "" : `${partName(picked, model.get("scene"), model.get("palette"))}: `;
  if (model.get("view") === "shares") return name ? `${name}${shareWords(model, picked)}.` : extremeShares(model);
  const rows = [...table.price.keys()].filter((row) => concerns(table, row, picked));
  const comparison = comparisonOf(model);
  if (model.get("view") === "comparison" && comparison) return `${name}${changeWords(model, comparison, rows)}`;
  const valid = rows.filter((row) => table.valid[row]).sort((a, b) => table.price[a] - table.price[b] || a - b);
  const cheapest = valid.length
    ? ` The cheapest, “${short(table.edit[valid[0]])}”, costs ${inUnits(table.price[valid[0]], model.get("unit"))}.`
    : "";
  return `${name}${valid.length} valid of ${rows.length} edits.${cheapest}`;
}

/**
 * @param {Model<InspectorState>} model
 * @param {Part} part
 */
function shareWords(model, { node, pair }) {
  const { graph } = model.get("shares");
  const value = pair ? graph?.pairs.find(([i, j]) => i === pair[0] && j === pair[1])?.[2] : graph?.nodes[node ?? -1];
  if (value === undefined || value === null) return "no share";
  return `${signed(value, 3)}, ${value < 0 ? "keeps the two apart" : "brings the two together"}`;
}

/**
 * The parts with the largest and the smallest share; the table lists shares from large to small.
 * @param {Model<InspectorState>} model
 */
function extremeShares(model) {
  const { part, share } = model.get("shares").graph ?? { part: [], share: [] };
  if (!part.length) return "";
  const last = part.length - 1;
  /** @param {number} n */
  const named = (n) => `“${short(part[n])}” (${signed(share[n], 3)})`;
  if (share[0] < 0) return `Every part keeps the two apart, ${named(0)} least and ${named(last)} most.`;
  const apart = share[last] < 0 ? `${named(last)} keeps them apart most` : "no part keeps them apart";
  return `${named(0)} brings the two together most; ${apart}.`;
}

/** @param {View<InspectorState>} view */
function render({ model, el }) {
  /** @type {import("./dom.js").Cleanups} */
  const cleanups = [];
  const root = frame(model, el, cleanups, "loss inspector");
  root.classList.add("elekit-inspector");
  root.setAttribute("tabindex", "-1"); // a click anywhere in it brings the keys here
  const session = new Session(model, root, cleanups);
  const shown = html("p", { class: "elekit-title" }, "graph");

  const loss = html("p", { class: "elekit-loss" });
  const words = html("p", { class: "elekit-reading", "aria-live": "polite" });
  const drawing = new InspectedGraph(model, "the graph", (part, event) => {
    const before = model.get("picked").node;
    const { node } = part;
    if (node !== undefined && node === before) session.pick({});
    else if (node !== undefined && before !== undefined && (event.shiftKey || session.pairing))
      session.pick({ pair: [Math.min(node, before), Math.max(node, before)] });
    else session.pick(part);
  });
  const anchorView = new GraphView(model.get("palette"), { label: "the anchor" });
  const anchorName = html("figcaption", { class: "elekit-small" });
  const anchor = html("figure", { class: "elekit-anchor" }, anchorView.element, anchorName);
  const key = legend(session);
  const edits = editTable(session);
  const shares = sharesPanel(session);
  const [bar, visited, map, near] = [controls(session), history(session), mapPanel(session), neighborList(session)];
  const head = html(
    "div",
    { class: "elekit-row elekit-head" },
    html("div", { class: "elekit-column" }, loss, words),
    anchor,
  );
  const left = html(
    "div",
    { class: "elekit-column elekit-left" },
    head,
    shown,
    zoomable(drawing.view),
    key.element,
    visited.element,
  );
  const known = html("div", { class: "elekit-twin elekit-known" }, map.element, near.element);
  const right = html("div", { class: "elekit-right" }, edits.element, shares.element, shares.below, known);
  const upper = html("div", { class: "elekit-twin elekit-screen" }, left, right);
  root.append(hints("inspector", HINTS, cleanups), bar.element, upper);

  session.announce = (text) => setText(words, text);
  session.redrawGraph = () => {
    const { graph } = model.get("shares");
    const byShare = model.get("view") === "shares" && graph;
    const comparison = comparisonOf(model);
    const byChange = model.get("view") === "comparison" && comparison;
    const halos = byShare
      ? shareHalos(graph, session.largestShare)
      : byChange
        ? changeHalos(comparison, model.get("scene"), model.get("unit"))
        : priceHalos(model);
    const row = session.previewed;
    drawing.mark(halos, model.get("picked"), row, byShare || byChange ? "all" : session.written);
    const more = row !== null && comparison ? otherPrice(model, comparison, row) : "";
    session.announce(row === null ? summary(model) : editSentence(model, row) + more);
  };
  session.redrawAll = () => {
    edits.draw();
    session.redrawGraph();
  };

  function showGraph() {
    const name = model.get("anchor_name");
    const step = model.get("at");
    const showsShares = model.get("view") === "shares";
    session.previewed = null;
    drawing.show(model.get("scene"));
    const start = step ? `Step ${step}: ` : "";
    const to = name === "original" ? name : `anchor ${short(name)}`;
    setText(loss, `${start}${lossWords(model.get("loss"), model.get("unit"))} from the ${to}`);
    update(loss, { title: rawLoss(model.get("loss")) });
    anchor.hidden = name === "original" || showsShares;
    if (!anchor.hidden) anchorView.show(model.get("anchor_scene"));
    setText(anchorName, `anchor: ${short(name)}`);
    edits.element.hidden = showsShares;
    shown.hidden = !showsShares;
    upper.classList.toggle("elekit-even", showsShares);
    key.draw();
    session.redrawGraph();
  }

  root.addEventListener("keydown", (event) => {
    const tag = event.target instanceof Element ? event.target.tagName : "";
    if (hasModifier(event) || ["INPUT", "SELECT", "TEXTAREA"].includes(tag)) return;
    if (event.key === "u") session.undo();
    else if (event.key === "r") session.redo();
    else if (event.key === "Escape") session.pick({});
    else return;
    consume(event);
  });

  followTogether(
    session,
    [
      "scene",
      "table",
      "heat",
      "loss",
      "steps",
      "anchor_name",
      "anchor_scene",
      "view",
      "shares",
      "comparison",
      "unit",
      "unit_words",
    ],
    showGraph,
  );
  followTogether(session, ["picked"], session.redrawAll);
  for (const { traits, draw } of [edits, shares, bar, visited, map, near]) followTogether(session, traits, draw);
  return cleaning(cleanups);
}

export { render };
