// The loss inspector: its table, its panels, and what the keys do.

import { ask, button, clamp, control, frame, html, put, say } from "./dom.js";
import { between, GraphView } from "./graph.js";
import {
  concerns,
  Drawing,
  KINDS,
  keep,
  legend,
  mapPanel,
  PAUSE,
  partName,
  priceHalos,
  ROWS,
  reading,
  share,
  shareHalos,
  short,
  signed,
} from "./inspector_drawing.js";

// -- the table of edits ---------------------------------------------------------------------------------------
const COLUMNS = [
  ["edit", "edit", "what is changed"],
  ["kind", "kind", "kind of edit"],
  ["price", "price", "learned loss between this graph and the edited one"],
  ["change", "change of loss", "by how much the loss to the anchor rises or falls"],
  ["valid", "valid", "whether capacities hold, and whether the graph stays in one piece"],
];

function editTable(w) {
  const { model, look } = w,
    rows = [],
    body = html("tbody");
  const heads = COLUMNS.map(([name, words, title]) => {
    const sort = button(
      words,
      () => {
        look.down = look.by === name ? !look.down : false;
        look.by = name;
        draw();
        w.tell(`Sorted by ${words}, ${look.down ? "falling" : "rising"}.`);
      },
      { class: "elekit-button elekit-sort", title },
    );
    return html("th", { scope: "col" }, sort);
  });
  const table = html(
    "table",
    { class: "elekit-edits", role: "grid", "aria-label": "edits and their prices; Enter applies one" },
    html(
      "thead",
      {},
      html("tr", {}, ...heads, html("th", { scope: "col" }, html("span", { class: "elekit-hidden" }, "apply"))),
    ),
    body,
  );
  const part = html("strong"),
    count = html("span", { class: "elekit-small", "data-count": "" });
  const all = button("show all", () => w.pick({}));
  const pairing = button(
    "with another node …",
    () => {
      look.pairing = !look.pairing;
      w.redraw();
    },
    { title: "then pick the other node; or Shift+click it" },
  );
  const kind = control(
    "select",
    {
      "aria-label": "kind of edit",
      onchange: () => {
        look.kind = kind.value;
        draw();
      },
    },
    html("option", { value: "" }, "all kinds"),
    ...KINDS.map((name) => html("option", { value: name }, name)),
  );
  const valid = control("input", { type: "checkbox", onchange: () => w.set("valid_only", valid.checked) });
  const scroll = html("div", { class: "elekit-scroll" }, table);
  let order = [],
    focused = 0;

  const value = (t, name, row) => (name === "valid" ? (t.valid[row] ? (t.connected[row] ? 0 : 1) : 2) : t[name][row]);
  function arrange() {
    const t = model.get("table"),
      picked = model.get("picked"),
      only = model.get("valid_only");
    order = t.edit
      .map((_, row) => row)
      .filter(
        (row) => (!only || t.valid[row]) && (!look.kind || t.kind[row] === look.kind) && concerns(t, row, picked),
      );
    const sign = look.down ? -1 : 1,
      key = order.length ? typeof value(t, look.by, order[0]) : "";
    const compare =
      key === "string"
        ? (a, b) => w.collate(value(t, look.by, a), value(t, look.by, b))
        : (a, b) => value(t, look.by, a) - value(t, look.by, b);
    order.sort((a, b) => sign * compare(a, b) || a - b);
  }

  function makeRow(n) {
    const swatch = html("span", { class: "elekit-swatch", "aria-hidden": "true" }),
      number = html("span", { class: "elekit-number" });
    const cells = [
      html("td", { class: "elekit-words" }),
      html("td", { class: "elekit-small" }),
      html("td", { class: "elekit-price" }, swatch, number),
      html("td", { class: "elekit-number" }),
      html("td"),
    ];
    const apply = button("apply", () => w.apply(order[n]), { tabindex: "-1" });
    const tr = control(
      "tr",
      {
        tabindex: "-1",
        onmouseenter: () => w.preview(order[n]),
        onfocus: () => {
          move(n, false);
          w.preview(order[n]);
        },
      },
      ...cells,
      html("td", {}, apply),
    );
    return { tr, cells, swatch, number, apply };
  }

  function draw() {
    arrange();
    const t = model.get("table"),
      heat = model.get("heat"),
      shown = Math.min(order.length, ROWS),
      picked = model.get("picked");
    heads.forEach((head, c) =>
      head.setAttribute("aria-sort", COLUMNS[c][0] !== look.by ? "none" : look.down ? "descending" : "ascending"),
    );
    for (let n = 0; n < Math.max(shown, rows.length); n++) {
      if (n >= shown) {
        rows[n].tr.hidden = true;
        continue;
      }
      if (!rows[n]) body.append((rows[n] = makeRow(n)).tr);
      const { tr, cells, swatch, number, apply } = rows[n],
        row = order[n];
      tr.hidden = false;
      put(tr, { "data-row": row });
      say(cells[0], short(t.edit[row]));
      say(cells[1], t.kind[row]);
      say(number, t.price[row].toFixed(3));
      const at = share(heat, t.price[row]);
      put(swatch, { style: `background:${between(heat.ramp, at)};height:${(0.35 + 0.65 * at).toFixed(2)}em` });
      say(cells[3], signed(t.change[row], 3));
      say(cells[4], !t.valid[row] ? "no" : t.connected[row] ? "yes" : "in pieces");
      put(apply, { "aria-label": `apply ${short(t.edit[row])}` });
    }
    table.setAttribute("aria-rowcount", order.length + 1);
    say(
      part,
      picked.node === undefined && !picked.pair
        ? "All of the graph"
        : partName(picked, model.get("scene"), model.get("palette")),
    );
    say(
      count,
      `${order.length} of ${t.edit.length} edits` +
        (shown < order.length ? `, the first ${ROWS} listed: pick a node, an edge or a kind` : ""),
    );
    all.hidden = picked.node === undefined && !picked.pair;
    pairing.hidden = picked.node === undefined;
    pairing.setAttribute("aria-pressed", look.pairing);
    valid.checked = model.get("valid_only");
    const had = body.contains(body.getRootNode().activeElement);
    move(focused, had && shown > 0);
    if (had && !shown) w.root.focus(); // so that the keys still come here
    root.dataset.shown = `${t.step} ${order.length}`;
  }

  // Of all rows one can be reached by Tab, the others from there by arrows.
  function move(n, focus = true) {
    rows[focused]?.tr.setAttribute("tabindex", "-1");
    focused = clamp(n, 0, Math.max(0, Math.min(order.length, ROWS) - 1));
    rows[focused]?.tr.setAttribute("tabindex", "0");
    if (focus) rows[focused]?.tr.focus();
  }

  body.addEventListener("keydown", (event) => {
    const jump = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (jump) move(jump === Infinity ? ROWS : jump === -Infinity ? 0 : focused + jump);
    else if (event.key === "Enter" && order.length) w.apply(order[focused]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  body.addEventListener("mouseleave", () =>
    w.preview(body.contains(body.getRootNode().activeElement) ? order[focused] : null),
  );
  body.addEventListener("focusout", (event) => body.contains(event.relatedTarget) || w.preview(null));

  const root = html(
    "div",
    { class: "elekit-column elekit-side" },
    html("div", { class: "elekit-row" }, part, pairing, all),
    html("div", { class: "elekit-row" }, html("label", {}, valid, " valid edits only"), kind, count),
    scroll,
  );
  return { element: root, traits: ["table", "heat", "valid_only"], draw };
}

// -- shares ---------------------------------------------------------------------------------------------------
function shareTable(label) {
  const body = html("tbody"),
    table = html(
      "table",
      { "aria-label": label },
      html("thead", {}, html("tr", {}, html("th", {}, "part"), html("th", {}, "share ± error"))),
      body,
    );
  const draw = ({ part, share: values, error }) =>
    body.replaceChildren(
      ...part.map((name, n) =>
        html(
          "tr",
          {},
          html("td", { class: "elekit-words" }, short(name)),
          html("td", { class: "elekit-number" }, `${signed(values[n], 3)} ± ${error[n].toFixed(3)}`),
        ),
      ),
    );
  return {
    element: control(
      "div",
      { class: "elekit-scroll elekit-low", tabindex: "0", role: "region", "aria-label": label },
      table,
    ),
    draw,
  };
}

// The anchor with its shares, beside the graph; below the two their parts.
function sharesPanel(w) {
  const { model } = w,
    drawing = new Drawing(model, "the anchor and its shares"),
    sum = html("p", { class: "elekit-title", "data-sum": "" });
  const [mine, theirs] = [shareTable("shares of the graph's parts"), shareTable("shares of the anchor's parts")],
    name = html("p", { class: "elekit-title" });
  const titled = (words, { element }) =>
    html("div", { class: "elekit-column elekit-half" }, html("p", { class: "elekit-title" }, words), element);
  const element = html("div", { class: "elekit-column" }, name, drawing.view.element);
  const below = html(
    "div",
    { class: "elekit-column elekit-below" },
    sum,
    html(
      "div",
      { class: "elekit-row elekit-top" },
      titled("parts of the graph", mine),
      titled("parts of the anchor", theirs),
    ),
  );
  function draw() {
    const shares = model.get("shares"),
      known = Boolean(shares.graph);
    element.hidden = below.hidden = model.get("view") !== "shares";
    drawing.view.element.style.display = known ? "" : "none";
    say(name, `anchor: ${short(model.get("anchor_name"))}`);
    say(
      sum,
      known
        ? `The shares of either graph sum to 2 − loss = 2 − ${shares.loss.toFixed(3)} = ${(2 - shares.loss).toFixed(3)}.`
        : "Computing shares …",
    );
    if (!known || element.hidden) return;
    drawing.show(model.get("anchor_scene"));
    drawing.mark(shareHalos(shares.anchor, w.largest()), {}, null);
    mine.draw(shares.graph);
    theirs.draw(shares.anchor);
  }
  return { element, below, traits: ["shares", "view", "anchor_scene", "anchor_name"], draw };
}

// -- known graphs nearby --------------------------------------------------------------------------------------
function neighborList(w) {
  const { model, ending } = w,
    cards = [],
    list = html("div", { class: "elekit-cards" }),
    none = html("p", { class: "elekit-small" }, "Give known graphs as among= to see which lie nearest.");
  let timer;
  ending.push(() => clearTimeout(timer));

  function card(n) {
    const view = new GraphView(model.get("palette"), { label: "a known graph" }),
      name = html("strong"),
      words = html("div", { class: "elekit-small elekit-words" });
    const loss = html("span", { class: "elekit-number" }),
      hold = button("as anchor", () => ask(model, "anchor_on", { what: model.get("neighbors")[n].row }));
    const element = html(
      "figure",
      { class: "elekit-card" },
      view.element,
      html("figcaption", {}, name, html("div", { class: "elekit-row" }, loss, hold), words),
    );
    list.append(element);
    return { view, name, loss, words, hold, element };
  }

  function draw() {
    const found = model.get("neighbors"),
      apart = model.get("apart");
    none.hidden = found.length > 0;
    found.forEach((one, n) => {
      const { view, name, loss, words, hold, element } = (cards[n] ??= card(n));
      element.hidden = false;
      if (view.shown !== one.scene) view.show((view.shown = one.scene));
      view.element.setAttribute("aria-label", `drawing of ${short(one.name)}`);
      say(name, `${"abcd"[n]}: ${short(one.name)}`);
      say(loss, `loss ${one.loss.toFixed(3)}`);
      say(words, apart[n] ?? "");
      hold.setAttribute("aria-label", `make ${short(one.name)} the anchor`);
    });
    cards.slice(found.length).forEach(({ element }) => (element.hidden = true));
    clearTimeout(timer);
    const next = apart.indexOf("");
    if (next >= 0) timer = setTimeout(() => ask(model, "ask_separates", { place: next }), next ? 0 : PAUSE);
  }
  return {
    element: html(
      "div",
      { class: "elekit-column elekit-near" },
      html("p", { class: "elekit-title" }, "Nearest known graphs, and the edits that lead there"),
      none,
      list,
    ),
    traits: ["neighbors", "apart"],
    draw,
  };
}

// -- what is done ---------------------------------------------------------------------------------------------
function controls(w) {
  const { model } = w,
    last = () => model.get("steps").length - 1;
  const undo = button("Undo", w.undo, { "aria-keyshortcuts": "u", title: "key u" }),
    redo = button("Redo", w.redo, { "aria-keyshortcuts": "r", title: "key r" });
  const back = button("To the original", () => model.get("at") && ask(model, "go", { step: 0 }));
  const tidy = button("Tidy", () => ask(model, "tidy"), { title: "lay the graph out anew" });
  const price = button("Prices", () => w.set("view", "price")),
    shares = button("Shares", () => w.set("view", "shares"));
  const original = button("Original", () => ask(model, "anchor_on", { what: "original" }), {
    "aria-label": "anchor: the original",
  });
  const current = button("This graph", () => ask(model, "anchor_on", { what: "current" }), {
    "aria-label": "anchor: this graph",
  });
  const smiles = control("input", {
    type: "text",
    "aria-label": "SMILES",
    placeholder: "SMILES",
    size: 14,
    spellcheck: "false",
    onkeydown: (event) => event.key === "Enter" && hold(),
  });
  const hold = () => smiles.value.trim() && ask(model, "anchor_on", { what: smiles.value.trim() });
  const written = html(
    "span",
    { class: "elekit-row" },
    smiles,
    button("as anchor", hold),
    button("as graph", () => smiles.value.trim() && ask(model, "reset", { graph: smiles.value.trim() })),
  );
  written.hidden = !model.get("molecular");
  const group = (name, ...children) =>
    html("span", { class: "elekit-row", role: "group", "aria-label": name }, html("span", {}, name), ...children);
  function draw() {
    const at = model.get("at"),
      shown = model.get("view");
    for (const [one, off] of [
      [undo, at === 0],
      [back, at === 0],
      [redo, at >= last()],
    ])
      one.setAttribute("aria-disabled", off);
    price.setAttribute("aria-pressed", shown === "price");
    shares.setAttribute("aria-pressed", shown === "shares");
    original.setAttribute("aria-pressed", model.get("anchor_name") === "original");
  }
  const root = html(
    "div",
    { class: "elekit-row elekit-controls" },
    undo,
    redo,
    back,
    tidy,
    group("Halos:", price, shares),
    group("Anchor:", original, current),
    written,
  );
  return { element: root, traits: ["at", "steps", "view", "anchor_name"], draw };
}

// The graphs that were visited, in words; each leads back to itself.
function steps(w) {
  const { model } = w,
    list = html("div", { class: "elekit-row elekit-steps", role: "group", "aria-label": "graphs visited" }),
    made = [];
  function draw() {
    model.get("steps").forEach((words, n) => {
      if (!made[n]) list.append((made[n] = button("", () => ask(model, "go", { step: n }))));
      say(made[n], `${n} ${short(words)}`);
      made[n].hidden = false;
      made[n].setAttribute("aria-pressed", n === model.get("at"));
    });
    made.slice(model.get("steps").length).forEach((one) => (one.hidden = true));
  }
  return { element: list, traits: ["steps", "at"], draw };
}

// -- all of it ------------------------------------------------------------------------------------------------
function render({ model, el }) {
  const undo = [],
    root = frame(model, el, undo, "loss inspector");
  root.classList.add("elekit-inspector");
  root.setAttribute("tabindex", "-1"); // a click anywhere in it brings the keys here
  const w = { model, root, ending: undo, look: { by: "price", down: false, kind: "", row: null, pairing: false } };
  const { compare } = new Intl.Collator("en", { numeric: true });
  w.collate = compare;
  w.set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  w.undo = () => model.get("at") > 0 && ask(model, "undo");
  w.redo = () => model.get("at") < model.get("steps").length - 1 && ask(model, "redo");
  w.apply = (row) => row !== undefined && ask(model, "apply", { row, at: model.get("table").step });
  w.largest = () => {
    const shares = model.get("shares");
    return [shares.graph, shares.anchor]
      .flatMap(({ share: values }) => values)
      .reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  };

  const loss = html("p", { class: "elekit-loss" }),
    words = html("p", { class: "elekit-reading", "aria-live": "polite" });
  const drawing = new Drawing(model, "the graph", (part, event) => {
    const before = model.get("picked"),
      { node } = part;
    if (node !== undefined && before.node !== undefined && node !== before.node && (event.shiftKey || w.look.pairing))
      return w.pick({ pair: [Math.min(node, before.node), Math.max(node, before.node)] });
    w.pick(node !== undefined && node === before.node ? {} : part);
  });
  const held = new GraphView(model.get("palette"), { label: "the anchor" }),
    anchor = html("figure", { class: "elekit-anchor" }, held.element, html("figcaption", { class: "elekit-small" }));
  const title = html("p", { class: "elekit-title" }, "graph"),
    key = legend(model),
    edits = editTable(w),
    shares = sharesPanel(w),
    rest = [controls(w), steps(w), mapPanel(w), neighborList(w)];

  const halos = () =>
    model.get("view") === "shares" && model.get("shares").graph
      ? shareHalos(model.get("shares").graph, w.largest())
      : priceHalos(model);
  const mark = () => drawing.mark(halos(), model.get("picked"), w.look.row);
  w.tell = (text) => say(words, text);
  w.preview = (row) => {
    if (row === undefined || row === w.look.row) return;
    w.look.row = row;
    mark();
    read();
  };
  w.pick = (part) => {
    w.look.pairing = false;
    w.set("picked", part);
  };
  w.redraw = () => (edits.draw(), mark(), read());

  function read() {
    const table = model.get("table"),
      picked = model.get("picked"),
      { row } = w.look;
    if (row !== null) return w.tell(reading(model, row));
    const of =
      picked.node === undefined && !picked.pair
        ? ""
        : `${partName(picked, model.get("scene"), model.get("palette"))}: `;
    if (model.get("view") === "shares") return w.tell(of ? `${of}${shareOf(picked)}.` : extremes());
    const some = table.price.map((_, r) => r).filter((r) => concerns(table, r, picked)),
      valid = some.filter((r) => table.valid[r]);
    const least = valid.reduce((best, r) => (best === null || table.price[r] < table.price[best] ? r : best), null);
    const cheap =
      least === null ? "" : ` The cheapest, “${short(table.edit[least])}”, costs ${table.price[least].toFixed(3)}.`;
    w.tell(`${of}${valid.length} valid of ${some.length} edits.${cheap}`);
  }

  function shareOf({ node, pair }) {
    const { nodes, pairs } = model.get("shares").graph ?? { nodes: [], pairs: [] };
    const value = pair ? pairs.find(([i, j]) => i === pair[0] && j === pair[1])?.[2] : nodes[node];
    return value === undefined || value === null
      ? "no share"
      : `${signed(value, 3)}, ${value < 0 ? "keeps the two apart" : "brings the two together"}`;
  }

  function extremes() {
    const { part, share: values } = model.get("shares").graph ?? { part: [] };
    const told = (n, words) => ` “${short(part[n])}” ${words}, ${signed(values[n], 3)}.`;
    if (!part.length) return "";
    const last = part.length - 1; // shares come largest first
    return (
      `Of the graph's parts,${told(0, values[0] < 0 ? "keeps them apart least" : "brings the two together most")}` +
      (values[last] < 0 ? told(last, "keeps them apart most") : " None keeps them apart.")
    );
  }

  function showGraph() {
    w.look.row = null;
    drawing.show(model.get("scene"));
    const name = model.get("anchor_name"),
      step = model.get("at");
    say(
      loss,
      `${step ? `Step ${step}: loss` : "Loss"} to the ${name === "original" ? name : `anchor ${short(name)}`} ${model.get("loss").toFixed(3)}`,
    );
    anchor.hidden = name === "original" || model.get("view") === "shares";
    if (!anchor.hidden) held.show(model.get("anchor_scene"));
    say(anchor.lastChild, `anchor: ${short(name)}`);
    edits.element.hidden = model.get("view") === "shares";
    title.hidden = !edits.element.hidden;
    twins.classList.toggle("elekit-even", edits.element.hidden);
    key.draw();
    mark();
    read();
  }

  root.addEventListener("keydown", (event) => {
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)
    )
      return;
    const act = { u: w.undo, r: w.redo, Escape: () => w.pick({}) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  const [bar, visited, map, near] = rest;
  const twins = html(
    "div",
    { class: "elekit-twin" },
    html("div", { class: "elekit-column elekit-left" }, title, drawing.view.element, key.element),
    html("div", { class: "elekit-right" }, edits.element, shares.element),
  );
  root.append(
    bar.element,
    html("div", { class: "elekit-row elekit-head" }, html("div", { class: "elekit-column" }, loss, words), anchor),
    twins,
    shares.below,
    visited.element,
    html("div", { class: "elekit-twin" }, map.element, near.element),
  );
  keep(
    model,
    undo,
    ["scene", "table", "heat", "loss", "steps", "anchor_name", "anchor_scene", "view", "shares"],
    showGraph,
  );
  keep(model, undo, "picked", w.redraw);
  for (const { traits, draw } of [edits, shares, ...rest]) keep(model, undo, traits, draw);
  return () => undo.forEach((stop) => stop());
}

export { render };
