// Select by values of a column, by what is special, and by tags; tag, annotate, export and save what is selected.

import {
  button,
  clamp,
  cleaning,
  control,
  follow,
  frame,
  html,
  send,
  setText,
  shortened,
  svg,
  update,
} from "./dom.js";
import { download } from "./picture.js";

/** @import { Distribution, Model, SelectPanelState, View } from "./types.d.ts" */
/** @typedef {import("./dom.js").Cleanups} Cleanups */
/** @typedef {Model<SelectPanelState>} PanelModel */

const [WIDE, HIGH] = [320, 90]; // of a histogram

/** @param {number} share */
const percent = (share) => `${Math.round(100 * share)} %`;

/** @param {number} value */
const written = (value) => String(Number(value.toPrecision(4)));

/**
 * Options of a select element, with the chosen one.
 * @param {HTMLSelectElement} element
 * @param {[value: string, words: string][]} options
 * @param {string} chosen
 */
function offer(element, options, chosen) {
  element.replaceChildren(...options.map(([value, words]) => html("option", { value }, shortened(words, 40))));
  element.value = chosen;
}

/**
 * A histogram of all and of the selected graphs, with a range to drag over it or to type.
 * @param {PanelModel} model
 * @param {Distribution & { edges: number[] }} found
 */
function histogram(model, { edges, all, selected, unknown }) {
  const most = Math.max(1, ...all);
  const step = WIDE / all.length;
  const [first, last] = [edges[0], edges[edges.length - 1]];
  /** @param {number[]} counts @param {string} name */
  const bars = (counts, name) =>
    counts.map((count, k) => {
      const height = count ? Math.max(1.5, (HIGH * count) / most) : 0;
      const words = `${written(edges[k])} to ${written(edges[k + 1])}: ${all[k]}, selected ${selected[k]}`;
      const at = { x: k * step + 0.5, y: HIGH - height, width: step - 1, height };
      return svg("rect", { class: `elekit-bar-${name}`, ...at }, svg("title", {}, words));
    });
  const brush = svg("rect", { class: "elekit-brush", y: 0, height: HIGH, width: 0 });
  const label = `Histogram of ${model.get("column")}; drag over it to select a range`;
  const chart = svg(
    "svg",
    {
      class: "elekit-histogram",
      viewBox: `0 0 ${WIDE} ${HIGH}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    ...bars(all, "all"),
    ...bars(selected, "selected"),
    brush,
  );
  /** @param {string} name */
  const limit = (name) =>
    control("input", { type: "number", step: "any", "aria-label": `${name} limit`, placeholder: name });
  const [low, high] = [limit("lower"), limit("upper")];
  /** @param {HTMLInputElement} input */
  const number = (input) => (input.value === "" ? null : Number(input.value));
  const choose = () => send(model, "range", { low: number(low), high: number(high) });
  for (const input of [low, high]) input.addEventListener("keydown", (event) => event.key === "Enter" && choose());
  /** @type {number | null} */
  let start = null;
  /** @param {PointerEvent} event */
  const place = (event) => {
    const box = chart.getBoundingClientRect();
    return clamp((event.clientX - box.left) / box.width, 0, 1);
  };
  /** @param {PointerEvent} event */
  const draw = (event) => {
    if (start === null) return;
    const [from, to] = [start, place(event)].sort((a, b) => a - b);
    update(brush, { x: from * WIDE, width: (to - from) * WIDE });
    low.value = written(first + from * (last - first));
    high.value = written(first + to * (last - first));
  };
  chart.addEventListener("pointerdown", (event) => {
    start = place(event);
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", draw);
  chart.addEventListener("pointerup", (event) => {
    draw(event);
    start = null;
    choose();
  });
  const missing = unknown ? html("span", { class: "elekit-small" }, `${unknown.toLocaleString("en")} not known`) : "";
  const ends = html(
    "div",
    { class: "elekit-ends elekit-small" },
    html("span", {}, written(first)),
    html("span", {}, written(last)),
  );
  const row = html("div", { class: "elekit-row" }, low, "to", high, button("Select range", choose), missing);
  return html("div", { class: "elekit-column" }, html("div", {}, chart, ends), row);
}

/**
 * Classes with their counts, to check and select.
 * @param {PanelModel} model
 * @param {Distribution & { classes: [string, number, number][] }} found
 */
function classList(model, { classes, more }) {
  const most = Math.max(1, ...classes.map(([, count]) => count));
  const boxes = classes.map(([name, count, selected]) => {
    const box = control("input", { type: "checkbox", value: name });
    const share = html("span", {
      class: "elekit-share",
      "aria-hidden": "true",
      style: `width:${(60 * count) / most}px`,
    });
    const number = html("span", { class: "elekit-small" }, `${count.toLocaleString("en")}, selected ${selected}`);
    return { box, line: html("label", { class: "elekit-class" }, box, shortened(name, 40), share, number) };
  });
  const choose = () =>
    send(model, "classes", { names: boxes.filter(({ box }) => box.checked).map(({ box }) => box.value) });
  const rest = more ? html("div", { class: "elekit-small" }, `${more} rarer classes are not listed.`) : null;
  const list = html("div", {
    class: "elekit-classes",
    role: "group",
    "aria-label": `Classes of ${model.get("column")}`,
  });
  list.append(...boxes.map(({ line }) => line));
  return html("div", { class: "elekit-column" }, list, rest, html("div", {}, button("Select checked", choose)));
}

/**
 * @param {PanelModel} model
 * @param {Cleanups} cleanups
 */
function byValue(model, cleanups) {
  const column = control("select", {
    "aria-label": "Select by",
    onchange: () => send(model, "show", { column: column.value }),
  });
  const chart = html("div");
  const palette = control("select", {
    "aria-label": "Colors of numbers",
    onchange: () => send(model, "recolor", { colors: palette.value }),
  });
  follow(model, cleanups, ["columns", "column"], () => {
    const columns = model.get("columns");
    offer(
      column,
      columns.map((name) => [name, name]),
      model.get("column"),
    );
  });
  follow(model, cleanups, "distribution", () => {
    const found = model.get("distribution");
    if (found.edges) chart.replaceChildren(histogram(model, { ...found, edges: found.edges }));
    else if (found.classes) chart.replaceChildren(classList(model, { ...found, classes: found.classes }));
    else chart.replaceChildren();
  });
  follow(model, cleanups, ["palettes", "colors"], () => {
    const names = model.get("palettes");
    offer(
      palette,
      names.map((name) => [name, name]),
      model.get("colors"),
    );
  });
  const line = html("label", { class: "elekit-row" }, "Select by ", column);
  return html(
    "div",
    { class: "elekit-column" },
    html("div", { class: "elekit-row" }, line, html("label", { class: "elekit-row" }, "Colors ", palette)),
    chart,
  );
}

/**
 * What sets the selection apart from the rest, or from a tag.
 * @param {PanelModel} model
 * @param {Cleanups} cleanups
 */
function whatIsSpecial(model, cleanups) {
  const against = control("select", { "aria-label": "Compare the selection with" });
  const list = html("div", { class: "elekit-column", "aria-live": "polite" });
  const compare = () => {
    list.replaceChildren(html("p", {}, "comparing …"));
    send(model, "compare", { against: against.value });
  };
  follow(model, cleanups, "tags", () => {
    const names = model.get("tags").map(({ name }) => /** @type {[string, string]} */ ([name, `tag ${name}`]));
    offer(against, [["", "all other graphs"], ...names], model.get("against"));
  });
  follow(model, cleanups, ["special", "verdict", "problem"], () => {
    const found = model.get("special");
    const rows = found.map(({ feature, share, elsewhere }) =>
      html(
        "tr",
        {},
        html(
          "td",
          {},
          button(shortened(feature, 40), () => send(model, "having", { feature }), {
            title: `Select the graphs with: ${feature}`,
          }),
        ),
        html("td", { class: "elekit-number" }, percent(share)),
        html("td", { class: "elekit-number" }, percent(elsewhere)),
      ),
    );
    const heads = ["has", "selection", "others"].map((name) => html("th", { scope: "col" }, name));
    const table = html("table", {}, html("thead", {}, html("tr", {}, ...heads)), html("tbody", {}, ...rows));
    list.replaceChildren(...(found.length ? [table] : [html("p", {}, model.get("verdict"))]));
  });
  const groups = button("Names of groups on the map", () => send(model, "name_groups"));
  const line = html(
    "div",
    { class: "elekit-row" },
    button("What sets the selection apart from", compare),
    against,
    groups,
  );
  return html("div", { class: "elekit-column" }, line, list);
}

/**
 * @param {PanelModel} model
 * @param {Cleanups} cleanups
 */
function tags(model, cleanups) {
  const name = control("input", {
    type: "text",
    "aria-label": "Name of the tag",
    placeholder: "name",
    maxlength: 200,
  });
  const add = () => {
    send(model, "tag", { name: name.value });
    name.value = "";
  };
  name.addEventListener("keydown", (event) => event.key === "Enter" && add());
  const list = html("div", { class: "elekit-column", role: "group", "aria-label": "Tags" });
  const note = control("textarea", { rows: 2, "aria-label": "Note on the pinned graph", maxlength: 10000 });
  const keep = button("Keep note", () => send(model, "annotate", { text: note.value }));
  const whose = html("div", { class: "elekit-small" });
  follow(model, cleanups, "tags", () => {
    const found = model.get("tags").map(({ name, count }) =>
      html(
        "div",
        { class: "elekit-row" },
        button(`${shortened(name, 40)} (${count.toLocaleString("en")})`, () => send(model, "select_tag", { name }), {
          "aria-label": `Select the graphs tagged ${name}`,
        }),
        button("✕", () => send(model, "untag", { name }), { "aria-label": `Remove the tag ${name}` }),
      ),
    );
    list.replaceChildren(...found);
  });
  follow(model, cleanups, ["note", "note_of"], () => {
    const of = model.get("note_of");
    note.value = model.get("note");
    note.disabled = keep.disabled = !of;
    setText(whose, of ? `Note on ${shortened(of, 50)}` : "Pin a graph to write a note on it.");
  });
  return html(
    "div",
    { class: "elekit-column" },
    html("div", { class: "elekit-row" }, name, button("Tag the selection", add)),
    list,
    whose,
    html("div", { class: "elekit-row" }, note, keep),
  );
}

/**
 * @param {PanelModel} model
 * @param {Cleanups} cleanups
 */
function files(model, cleanups) {
  const kind = control("select", { "aria-label": "Format of the file" });
  const path = control("input", { type: "text", "aria-label": "File of the session" });
  const done = html("div", { class: "elekit-small", "aria-live": "polite" });
  follow(model, cleanups, "formats", () => {
    const names = model.get("formats");
    offer(
      kind,
      names.map((name) => [name, name]),
      names[0] ?? "",
    );
  });
  follow(model, cleanups, "session", () => {
    path.value = model.get("session");
  });
  follow(model, cleanups, "done", () => setText(done, model.get("done")));
  /** @param {any} message @param {any} buffers */
  const receive = (message, buffers) => message?.file && download(message.file, new Blob([buffers[0].buffer]));
  model.on("msg:custom", receive);
  cleanups.push(() => model.off("msg:custom", receive));
  return html(
    "div",
    { class: "elekit-column" },
    html(
      "div",
      { class: "elekit-row" },
      button("Download the selection as", () => send(model, "download", { kind: kind.value })),
      kind,
    ),
    html(
      "div",
      { class: "elekit-row" },
      button("Save the session to", () => send(model, "save", { path: path.value })),
      path,
    ),
    done,
  );
}

/** @param {View<SelectPanelState>} view */
function render({ model, el }) {
  /** @type {Cleanups} */
  const cleanups = [];
  const root = frame(model, el, cleanups, "Select graphs");
  root.append(
    byValue(model, cleanups),
    html("hr"),
    whatIsSpecial(model, cleanups),
    html("hr"),
    tags(model, cleanups),
    html("hr"),
    files(model, cleanups),
  );
  return cleaning(cleanups);
}

export { render };
