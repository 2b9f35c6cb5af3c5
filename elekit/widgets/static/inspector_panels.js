// The inspector's smaller panels: shares, nearest known graphs, controls, and the graphs visited.

import { drawAligned } from "./differences.js";
import { button, control, html, save, send, setText, update } from "./dom.js";
import { GraphView } from "./graph.js";
import { InspectedGraph, shareHalos } from "./inspector_graph.js";
import { short, signed } from "./inspector_session.js";
import { sortable } from "./sort.js";
import { lossWords, rawLoss } from "./units.js";
import { zoomable } from "./zoom.js";

/** @import { Aligned, PartShares, Scene } from "./types.d.ts" */
/** @import { Panel, Session } from "./inspector_session.js" */

const PAUSE = 250; // ms before the kernel computes separating edits, so that prices come first
const LETTERS = "abcd";

/** @param {string} label */
function shareTable(label) {
  const body = html("tbody");
  const head = html("tr", {}, ...["part", "share ± error"].map((words) => html("th", { scope: "col" }, words)));
  const table = html("table", { "aria-label": label }, html("thead", {}, head), body);
  const sort = sortable(table);
  /** @param {PartShares} shares */
  const draw = ({ part, share, error }) => {
    body.replaceChildren(
      ...part.map((name, n) => {
        const value = `${signed(share[n], 3)} ± ${error[n].toFixed(3)}`;
        return html(
          "tr",
          {},
          html("td", { class: "elekit-words" }, short(name)),
          html("td", { class: "elekit-number" }, value),
        );
      }),
    );
    sort();
  };
  const region = { class: "elekit-scroll elekit-low", tabindex: "0", role: "region", "aria-label": label };
  return { element: control("div", region, table), draw };
}

/**
 * The anchor with its shares, and (`below`) the shares of all parts.
 * @param {Session} session
 * @returns {Panel & { below: HTMLElement }}
 */
function sharesPanel(session) {
  const { model } = session;
  const drawing = new InspectedGraph(model, "the anchor and its shares");
  const sum = html("p", { class: "elekit-title", "data-sum": "" });
  const name = html("p", { class: "elekit-title" });
  const ofGraph = shareTable("shares of the graph's parts");
  const ofAnchor = shareTable("shares of the anchor's parts");
  /**
   * @param {string} words
   * @param {HTMLElement} table
   */
  const titled = (words, table) =>
    html("div", { class: "elekit-column elekit-half" }, html("p", { class: "elekit-title" }, words), table);
  const element = html("div", { class: "elekit-column" }, name, zoomable(drawing.view));
  const below = html(
    "div",
    { class: "elekit-column elekit-below" },
    sum,
    html(
      "div",
      { class: "elekit-row elekit-top" },
      titled("parts of the graph", ofGraph.element),
      titled("parts of the anchor", ofAnchor.element),
    ),
  );
  function draw() {
    const { graph, anchor, loss } = model.get("shares");
    element.hidden = below.hidden = model.get("view") !== "shares";
    drawing.view.element.style.display = graph ? "" : "none";
    setText(name, `anchor: ${short(model.get("anchor_name"))}`);
    if (!graph || !anchor || loss === undefined) {
      setText(sum, "Computing shares …");
      return;
    }
    const total = `2 − loss = 2 − ${loss.toFixed(3)} = ${(2 - loss).toFixed(3)}`;
    setText(sum, `The shares of either graph sum to ${total}.`);
    if (element.hidden) return;
    drawing.show(model.get("anchor_scene"));
    drawing.mark(shareHalos(anchor, session.largestShare), {}, null);
    ofGraph.draw(graph);
    ofAnchor.draw(anchor);
  }
  return { element, below, traits: ["shares", "view", "anchor_scene", "anchor_name"], draw };
}

/**
 * The nearest known graphs, and the edits that separate them from the graph.
 * @param {Session} session
 * @returns {Panel}
 */
function neighborList({ model, cleanups }) {
  /** @type {ReturnType<typeof makeCard>[]} */
  const cards = [];
  const list = html("div", { class: "elekit-cards" });
  const none = html("p", { class: "elekit-small" }, "Pass known graphs as among= to see the nearest ones.");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  cleanups.push(() => clearTimeout(timer));

  /** @param {number} n */
  function makeCard(n) {
    const view = new GraphView(model.get("palette"), { label: "a known graph" });
    const name = html("strong");
    const count = control("summary");
    const words = html("div", { class: "elekit-words" });
    const details = html("details", { class: "elekit-small" }, count, words);
    const loss = html("span", { class: "elekit-number" });
    const hold = button("as anchor", () => send(model, "set_anchor", { what: model.get("neighbors")[n].row }));
    const caption = html("figcaption", {}, name, html("div", { class: "elekit-row" }, loss, hold), details);
    const element = html("figure", { class: "elekit-card" }, view.element, caption);
    list.append(element);
    return { view, name, loss, count, words, details, hold, element, scene: /** @type {Scene | null} */ (null) };
  }

  function draw() {
    const found = model.get("neighbors");
    const edits = model.get("separations");
    none.hidden = found.length > 0;
    for (const [n, known] of found.entries()) {
      cards[n] ??= makeCard(n);
      const card = cards[n];
      card.element.hidden = false;
      const found = edits[n];
      const shown = found?.scene ? found.scene : known.scene;
      update(card.view.element, { "aria-label": `drawing of ${short(known.name)}` });
      if (card.scene !== shown && found?.scene) drawAligned(card.view, /** @type {Aligned} */ (found));
      else if (card.scene !== shown) card.view.show(shown);
      card.scene = shown;
      setText(card.name, `${LETTERS[n]}: ${short(known.name)}`);
      update(card.name, { title: known.name });
      setText(card.loss, lossWords(known.loss, model.get("unit")));
      update(card.loss, { title: rawLoss(known.loss) });
      const count = found?.edits?.length ?? 0;
      setText(card.count, found?.words === undefined ? "…" : count === 1 ? "1 edit" : `${count} edits`);
      setText(card.words, found?.edits?.join("; ") ?? "");
      update(card.details, { title: found?.words ?? "" });
      update(card.hold, { "aria-label": `make ${short(known.name)} the anchor` });
    }
    for (const { element } of cards.slice(found.length)) element.hidden = true;
    clearTimeout(timer);
    const next = edits.findIndex((one) => !one.scene);
    if (next >= 0) timer = setTimeout(() => send(model, "compute_separations", { place: next }), next ? 0 : PAUSE);
  }
  const title = html("p", { class: "elekit-title" }, "Nearest known graphs, and the edits to them");
  const element = html("div", { class: "elekit-column elekit-near" }, title, none, list);
  return { element, traits: ["neighbors", "separations", "unit"], draw };
}

/**
 * @param {Session} session
 * @returns {Panel}
 */
function controls(session) {
  const { model } = session;
  const undo = button("Undo", () => session.undo(), { "aria-keyshortcuts": "u", title: "key u" });
  const redo = button("Redo", () => session.redo(), { "aria-keyshortcuts": "r", title: "key r" });
  const back = button("To the original", () => model.get("at") && send(model, "go", { step: 0 }));
  const tidy = button("Tidy", () => send(model, "tidy"), { title: "compute a new layout" });
  const price = button("Prices", () => save(model, "view", "price"));
  const shares = button("Shares", () => save(model, "view", "shares"));
  const compared = button("Changes", () => save(model, "view", "comparison"));
  /** @param {string} what */
  const setAnchor = (what) => send(model, "set_anchor", { what });
  const original = button("Original", () => setAnchor("original"), { "aria-label": "anchor: the original" });
  const current = button("This graph", () => setAnchor("current"), { "aria-label": "anchor: this graph" });
  const smiles = control("input", {
    type: "text",
    "aria-label": "SMILES",
    placeholder: "SMILES",
    size: 14,
    spellcheck: "false",
    onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Enter" && hold(),
  });
  const hold = () => smiles.value.trim() && setAnchor(smiles.value.trim());
  const start = () => smiles.value.trim() && send(model, "reset", { graph: smiles.value.trim() });
  const typed = html("span", { class: "elekit-row" }, smiles, button("as anchor", hold), button("as graph", start));
  typed.hidden = !model.get("molecular");
  /**
   * @param {string} name
   * @param {...HTMLElement} buttons
   */
  const group = (name, ...buttons) =>
    html("span", { class: "elekit-row", role: "group", "aria-label": name }, html("span", {}, name), ...buttons);
  function draw() {
    const at = model.get("at");
    const last = model.get("steps").length - 1;
    update(undo, { "aria-disabled": at === 0 });
    update(back, { "aria-disabled": at === 0 });
    update(redo, { "aria-disabled": at >= last });
    update(price, { "aria-pressed": model.get("view") === "price" });
    update(shares, { "aria-pressed": model.get("view") === "shares" });
    compared.hidden = !model.get("comparison")?.names;
    update(compared, { "aria-pressed": model.get("view") === "comparison" });
    update(original, { "aria-pressed": model.get("anchor_name") === "original" });
  }
  const element = html(
    "div",
    { class: "elekit-row elekit-controls" },
    undo,
    redo,
    back,
    tidy,
    group("Halos:", price, shares, compared),
    group("Anchor:", original, current),
    typed,
  );
  return { element, traits: ["at", "steps", "view", "anchor_name", "comparison"], draw };
}

/**
 * The graphs visited; each button returns to its graph.
 * @param {Session} session
 * @returns {Panel}
 */
function history({ model }) {
  const group = { class: "elekit-row elekit-steps", role: "group", "aria-label": "graphs visited" };
  const element = html("div", group);
  /** @type {HTMLButtonElement[]} */
  const buttons = [];
  function draw() {
    const steps = model.get("steps");
    for (const [n, words] of steps.entries()) {
      if (!buttons[n]) {
        buttons[n] = button("", () => send(model, "go", { step: n }));
        element.append(buttons[n]);
      }
      setText(buttons[n], `${n} ${short(words)}`);
      buttons[n].hidden = false;
      update(buttons[n], { "aria-pressed": n === model.get("at") });
    }
    for (const one of buttons.slice(steps.length)) one.hidden = true;
  }
  return { element, traits: ["steps", "at"], draw };
}

export { controls, history, neighborList, sharesPanel };
