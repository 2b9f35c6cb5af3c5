// The inspector's table of edits: sorted, filtered, previewed and applied.

import { button, clamp, consume, control, html, save, setText, shortened, update } from "./dom.js";
import { rampColor } from "./graph.js";
import { comparisonOf } from "./inspector_comparison.js";
import { onRamp } from "./inspector_graph.js";
import { concerns, isWhole, partName, short } from "./inspector_session.js";
import { inUnits, rawLoss, signedUnits } from "./units.js";

/** @import { Comparison, EditTable } from "./types.d.ts" */
/** @import { Column, Panel, Session } from "./inspector_session.js" */

const MOST_ROWS = 300; // in the document at a time
const KINDS = ["relabel", "remove node", "add node", "change edge"];
/** @type {[Column, string, string][]} */
const COLUMNS = [
  ["edit", "edit", "what is changed"],
  ["kind", "kind", "kind of edit"],
  ["price", "price", "learned loss between this graph and the edited one"],
  ["other", "other", "the price by the other loss"],
  ["difference", "difference", "by how much the other loss raises or lowers the price"],
  ["change", "change of loss", "by how much the loss to the anchor rises or falls"],
  ["valid", "valid", "whether the edit keeps all capacities and leaves the graph connected"],
];
/** @type {Record<string, number>} */
const MOVES = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 10,
  PageUp: -10,
  Home: -MOST_ROWS,
  End: MOST_ROWS,
};
const collator = new Intl.Collator("en", { numeric: true });

/**
 * What a row is sorted by.
 * @param {EditTable} table
 * @param {Comparison | null} comparison
 * @param {Column} column
 * @param {number} row
 * @returns {string | number}
 */
function sortKey(table, comparison, column, row) {
  if (column === "other" || column === "difference") return comparison?.[column][row] ?? 0;
  if (column !== "valid") return table[column][row];
  return !table.valid[row] ? 2 : table.connected[row] ? 0 : 1;
}

/**
 * @param {string | number} a
 * @param {string | number} b
 */
const compare = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));

/**
 * @param {Session} session
 * @returns {Panel}
 */
function editTable(session) {
  const { model } = session;
  /** @type {ReturnType<typeof makeRow>[]} */
  const rows = [];
  const body = html("tbody");
  /** @type {number[]} rows of the table, in the order shown */
  let order = [];
  let focused = 0;

  /** Names of the columns; those of two losses carry theirs. */
  const names = () => {
    const [first, second] = comparisonOf(model)?.names.map((name) => shortened(name, 16)) ?? [];
    const ofTwo = { price: `price ${first}`, other: second, difference: "change" };
    return COLUMNS.map(
      ([column, words]) => (first && /** @type {Record<string, string>} */ (ofTwo)[column]) || words,
    );
  };
  const heads = COLUMNS.map(([column, , title], c) => {
    const sort = () => {
      session.descending = session.sortBy === column && !session.descending;
      session.sortBy = column;
      draw();
      session.announce(`Sorted by ${names()[c]}, ${session.descending ? "descending" : "ascending"}.`);
    };
    return html("th", { scope: "col" }, button("", sort, { class: "elekit-button elekit-sort", title }));
  });
  const apply = html("th", { scope: "col" }, html("span", { class: "elekit-hidden" }, "apply"));
  const table = html(
    "table",
    { class: "elekit-edits", role: "grid", "aria-label": "edits and their prices; Enter applies one" },
    html("thead", {}, html("tr", {}, ...heads, apply)),
    body,
  );
  const part = html("strong");
  const count = html("span", { class: "elekit-small", "data-count": "" });
  const all = button("show all", () => session.pick({}));
  const pairing = button(
    "with another node …",
    () => {
      session.pairing = !session.pairing;
      session.redrawAll();
    },
    { title: "then pick the other node; or Shift+click it" },
  );
  const kind = control(
    "select",
    {
      "aria-label": "kind of edit",
      onchange: () => {
        session.kind = kind.value;
        draw();
      },
    },
    html("option", { value: "" }, "all kinds"),
    ...KINDS.map((name) => html("option", { value: name }, name)),
  );
  const search = control("input", {
    type: "search",
    size: 12,
    "aria-label": "filter edits by their words",
    placeholder: "filter, such as N to",
    spellcheck: "false",
    oninput: () => {
      session.words = search.value.trim().toLowerCase();
      draw();
    },
  });
  const valid = control("input", { type: "checkbox", onchange: () => save(model, "valid_only", valid.checked) });

  const hasFocus = () => {
    const root = body.getRootNode();
    return (root instanceof Document || root instanceof ShadowRoot) && body.contains(root.activeElement);
  };

  function arrange() {
    const edits = model.get("table");
    const picked = model.get("picked");
    const comparison = comparisonOf(model);
    const sign = session.descending ? -1 : 1;
    /** @param {number} row */
    const key = (row) => sortKey(edits, comparison, session.sortBy, row);
    order = [...edits.edit.keys()]
      .filter((row) => edits.priced[row])
      .filter((row) => !model.get("valid_only") || edits.valid[row])
      .filter((row) => !session.kind || edits.kind[row] === session.kind)
      .filter((row) => concerns(edits, row, picked))
      .filter((row) => !session.words || edits.edit[row].toLowerCase().includes(session.words))
      .sort((a, b) => sign * compare(key(a), key(b)) || a - b);
  }

  /** @param {number} n */
  function makeRow(n) {
    const swatch = html("span", { class: "elekit-swatch", "aria-hidden": "true" });
    const cells = {
      edit: html("td", { class: "elekit-words" }),
      kind: html("td", { class: "elekit-small" }),
      price: html("span", { class: "elekit-number" }),
      other: html("td", { class: "elekit-number" }),
      difference: html("td", { class: "elekit-number" }),
      change: html("td", { class: "elekit-number" }),
      valid: html("td"),
    };
    const doIt = button("apply", () => session.apply(order[n]), { tabindex: "-1" });
    const show = () => session.preview(order[n]);
    const onfocus = () => {
      move(n, false);
      show();
    };
    const tr = control(
      "tr",
      { tabindex: "-1", onmouseenter: show, onfocus },
      cells.edit,
      cells.kind,
      html("td", { class: "elekit-price" }, swatch, cells.price),
      cells.other,
      cells.difference,
      cells.change,
      cells.valid,
      html("td", {}, doIt),
    );
    return { tr, cells, swatch, apply: doIt };
  }

  /**
   * @param {number} n
   * @param {number} row
   */
  function drawRow(n, row) {
    const edits = model.get("table");
    const heat = model.get("heat");
    if (!rows[n]) {
      rows[n] = makeRow(n);
      body.append(rows[n].tr);
    }
    const { tr, cells, swatch, apply: doIt } = rows[n];
    tr.hidden = false;
    update(tr, { "data-row": row });
    setText(cells.edit, short(edits.edit[row]));
    setText(cells.kind, edits.kind[row]);
    const unit = model.get("unit");
    setText(cells.price, inUnits(edits.price[row], unit));
    update(cells.price, { title: rawLoss(edits.price[row]) });
    const comparison = comparisonOf(model);
    cells.other.hidden = cells.difference.hidden = !comparison;
    setText(cells.other, comparison ? inUnits(comparison.other[row], unit) : "");
    setText(cells.difference, comparison ? signedUnits(comparison.difference[row], unit) : "");
    setText(cells.change, signedUnits(edits.change[row], unit));
    update(cells.change, { title: `change of the ${rawLoss(edits.change[row])}` });
    setText(cells.valid, !edits.valid[row] ? "no" : edits.connected[row] ? "yes" : "disconnects");
    const at = onRamp(heat, edits.price[row]);
    const height = (0.35 + 0.65 * at).toFixed(2);
    update(swatch, { style: `background:${rampColor(heat.ramp, at)};height:${height}em` });
    update(doIt, { "aria-label": `apply ${short(edits.edit[row])}` });
  }

  function draw() {
    arrange();
    const edits = model.get("table");
    const picked = model.get("picked");
    const shown = Math.min(order.length, MOST_ROWS);
    const direction = session.descending ? "descending" : "ascending";
    const words = names();
    for (const [c, head] of heads.entries()) {
      update(head, { "aria-sort": COLUMNS[c][0] === session.sortBy ? direction : "none" });
      head.hidden = ["other", "difference"].includes(COLUMNS[c][0]) && !comparisonOf(model);
      setText(/** @type {HTMLElement} */ (head.firstElementChild), words[c]);
    }
    for (let n = 0; n < shown; n++) drawRow(n, order[n]);
    for (const { tr } of rows.slice(shown)) tr.hidden = true;
    update(table, { "aria-rowcount": order.length + 1 });
    setText(part, partName(picked, model.get("scene"), model.get("palette")));
    const more = shown < order.length ? `, the first ${MOST_ROWS} listed: pick a node, an edge or a kind` : "";
    const waiting = !model.get("valid_only") && edits.priced.includes(false) ? ", pricing the others …" : more;
    setText(count, `${order.length} of ${edits.edit.length} edits${waiting}`);
    all.hidden = isWhole(picked);
    pairing.hidden = picked.node === undefined;
    update(pairing, { "aria-pressed": session.pairing });
    valid.checked = model.get("valid_only");
    const focusedBefore = hasFocus();
    move(focused, focusedBefore && shown > 0);
    if (focusedBefore && !shown) session.root.focus(); // keys still reach the widget
    element.dataset.shown = `${edits.step} ${order.length}`;
  }

  /**
   * One row is reached by Tab, the others from there by arrows.
   * @param {number} n
   * @param {boolean} [focus]
   */
  function move(n, focus = true) {
    rows[focused]?.tr.setAttribute("tabindex", "-1");
    focused = clamp(n, 0, Math.max(0, Math.min(order.length, MOST_ROWS) - 1));
    rows[focused]?.tr.setAttribute("tabindex", "0");
    if (focus) rows[focused]?.tr.focus();
  }

  body.addEventListener("keydown", (event) => {
    if (MOVES[event.key]) move(focused + MOVES[event.key]);
    else if (event.key === "Enter" && order.length) session.apply(order[focused]);
    else return;
    consume(event);
  });
  body.addEventListener("mouseleave", () => session.preview(hasFocus() ? order[focused] : null));
  body.addEventListener("focusout", (event) => {
    if (!(event.relatedTarget instanceof Node && body.contains(event.relatedTarget))) session.preview(null);
  });

  const element = html(
    "div",
    { class: "elekit-column elekit-side" },
    html("div", { class: "elekit-row" }, part, pairing, all),
    html("div", { class: "elekit-row" }, html("label", {}, valid, " valid edits only"), kind, search, count),
    html("div", { class: "elekit-scroll" }, table),
  );
  return { element, traits: ["table", "heat", "valid_only", "unit", "comparison"], draw };
}

export { editTable };
