// Beside the map: search, the graph under the pointer, the pinned graph and its neighbors by the learned loss.

import { differenceKey, drawAligned } from "./differences.js";
import { button, clamp, cleaning, consume, control, follow, frame, html, send, setText, shortened } from "./dom.js";
import { HOVERED } from "./explorer_pointer.js";
import { GraphView } from "./graph.js";
import { zoomable } from "./zoom.js";

/** @import { GraphCard, GraphPanelState, Model, NeighborCard, View } from "./types.d.ts" */
/** @typedef {import("./dom.js").Cleanups} Cleanups */
/** @typedef {Model<GraphPanelState>} PanelModel */

/** @type {Record<string, string>} */
const EXAMPLES = {
  id: "number or id",
  smiles: "such as CCO",
  text: "part of a name, text or value",
  substructure: "SMARTS, such as C=O",
  label: "such as N>=2",
};
/** @type {Record<string, number>} */
const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/**
 * Let arrow keys move between the buttons of a list, as Tab does.
 * @template {HTMLElement} E
 * @param {E} list
 * @returns {E}
 */
function withArrows(list) {
  list.addEventListener("keydown", (event) => {
    const buttons = [...list.querySelectorAll("button")];
    const active = document.activeElement;
    const at = active instanceof HTMLButtonElement ? buttons.indexOf(active) : -1;
    if (!STEPS[event.key] || at < 0) return;
    consume(event);
    buttons[clamp(at + STEPS[event.key], 0, buttons.length - 1)].focus();
  });
  return list;
}

/**
 * @param {PanelModel} model
 * @param {Pick<GraphCard, "name" | "scene">} card
 * @param {boolean} [numbers] whether to write node indices, by which edits refer to nodes
 */
function drawing(model, { name, scene }, numbers = false) {
  const view = new GraphView(model.get("palette"), { label: `drawing of ${name}`, numbers });
  view.show(scene);
  return view;
}

/** @param {string} text */
const title = (text) => html("h3", { class: "elekit-title" }, text);

/**
 * @param {PanelModel} model
 * @param {Cleanups} cleanups
 */
function search(model, cleanups) {
  const kind = control("select", { "aria-label": "Search by" });
  const text = control("input", {
    type: "search",
    "aria-label": "Search for",
    autocomplete: "off",
    spellcheck: "false",
  });
  const count = html("span", { "aria-live": "polite" });
  const all = button("Select all found", () => send(model, "select", { what: "found" }));
  const list = withArrows(html("div", { class: "elekit-found", role: "group", "aria-label": "Graphs found" }));
  const showExample = () => {
    text.placeholder = EXAMPLES[kind.value] ?? "";
  };
  const find = () => {
    setText(count, "searching …");
    send(model, "find", { kind: kind.value, text: text.value });
  };
  text.addEventListener("keydown", (event) => event.key === "Enter" && find()); // the lab keeps forms from submitting
  kind.addEventListener("change", showExample);
  follow(model, cleanups, "kinds", () => {
    const options = model.get("kinds").map((name) => {
      return html("option", { value: name }, name === "smiles" ? "SMILES" : name);
    });
    kind.replaceChildren(...options);
    showExample();
  });
  follow(model, cleanups, ["found", "problem"], () => {
    const found = model.get("found");
    const asked = Boolean(found.text);
    if (asked && document.activeElement !== text) {
      kind.value = found.kind;
      text.value = found.text;
    }
    setText(count, asked && !model.get("problem") ? found.words : "");
    all.hidden = list.hidden = !found.shown.length;
    list.replaceChildren(
      ...found.shown.map(({ row, name, id }) =>
        button(shortened(name, 40), () => send(model, "pin", { row }), {
          title: `${name}, ${id}`,
          "aria-label": `Pin ${name}, ${id}`,
        }),
      ),
    );
  });
  return html(
    "div",
    { class: "elekit-column" },
    html("div", { class: "elekit-row", role: "search" }, kind, text, button("Find", find)),
    html("div", { class: "elekit-row" }, count, all),
    list,
  );
}

/** @param {Partial<GraphCard>} card */
const given = (card) => (card.scene ? /** @type {GraphCard} */ (card) : null);

/**
 * The two cards: the graph under the pointer, and the pinned one.
 * @param {PanelModel} model
 * @param {Cleanups} cleanups
 */
function cards(model, cleanups) {
  /**
   * @param {GraphCard} card
   * @param {boolean} numbers
   */
  const details = (card, numbers) => {
    const facts = card.trust ? [...card.facts, card.trust] : card.facts;
    return [
      ...(card.scene.nodes ? [zoomable(drawing(model, card, numbers))] : []), // vectors alone have no drawing
      html("div", { class: "elekit-name" }, shortened(card.name, 60)),
      html(
        "div",
        { class: "elekit-facts" },
        ...facts.map((fact) => html("div", {}, shortened(fact, 150))),
        html("div", { class: "elekit-input", title: card.text }, shortened(card.text, 400)),
      ),
    ];
  };
  const hovered = html("div", { class: "elekit-card", "data-card": "hovered" });
  const pinned = html("div", { class: "elekit-card", "data-card": "pinned", "aria-live": "polite" });
  const unpin = button("Unpin", () => send(model, "pin"));
  follow(model, cleanups, "hovered", () => {
    const card = given(model.get("hovered"));
    const content = card ? details(card, false) : [html("p", {}, "Point at a dot of the map to see its graph.")];
    hovered.replaceChildren(title("Under the pointer"), ...content);
  });
  follow(model, cleanups, "pinned", () => {
    const card = given(model.get("pinned"));
    const hint = "Click a dot, or find a graph, to pin it here.";
    pinned.replaceChildren(title("Pinned"), ...(card ? [...details(card, true), unpin] : [html("p", {}, hint)]));
  });
  return html("div", { class: "elekit-cards" }, hovered, pinned);
}

/**
 * Neighbors of the pinned graph by each learned loss, drawn over the pinned graph once the differences are known.
 * @param {PanelModel} model
 * @param {Cleanups} cleanups
 */
function neighborLists(model, cleanups) {
  const lists = html("div", { class: "elekit-column" });
  const key = differenceKey();
  /** @type {[row: number, view: GraphView, words: HTMLElement][]} */
  let places = [];
  const showEdits = () => {
    const edits = model.get("edits");
    key.hidden = !Object.values(edits).some(({ marks }) => marks.length);
    for (const [row, view, words] of places) {
      const found = edits[row];
      if (!found || words.dataset.edits === found.words) continue;
      words.dataset.edits = found.words;
      drawAligned(view, found);
      const count = found.edits.length === 1 ? "1 edit" : `${found.edits.length} edits`;
      words.replaceChildren(
        found.edits.length
          ? html("details", {}, control("summary", {}, count), found.edits.join("; "))
          : document.createTextNode(found.words),
      );
    }
  };
  /**
   * @param {NeighborCard} card
   * @param {number} n
   */
  const neighbor = (card, n) => {
    const edits = html(
      "div",
      { class: "elekit-small elekit-separation", "data-row": card.row },
      card.scene.nodes ? "…" : "",
    );
    const view = drawing(model, card);
    if (card.scene.nodes) places.push([card.row, view, edits]);
    const rank = card.rank ? [html("span", { class: `elekit-small elekit-${card.way || "same"}` }, card.rank)] : [];
    const pin = control(
      "button",
      {
        type: "button",
        class: "elekit-button elekit-neighbor",
        "data-row": card.row,
        title: `loss ${card.raw}`,
        onclick: () => send(model, "pin", { row: card.row }),
      },
      ...(card.scene.nodes ? [view.element] : []),
      html(
        "span",
        { class: "elekit-column" },
        html("span", { class: "elekit-name" }, `${n + 1}  ${shortened(card.name, 30)}`),
        html("span", { class: "elekit-number" }, `${card.loss}${card.shared ? " · in both" : ""}`),
        ...rank,
      ),
    );
    return html("div", { class: "elekit-column" }, pin, edits);
  };
  follow(model, cleanups, "neighbors", () => {
    const found = model.get("neighbors");
    places = [];
    lists.replaceChildren(
      ...(found.words ? [html("p", { "aria-live": "polite" }, found.words)] : []),
      ...found.lists.map(({ heading, cards: near }) => {
        const group = { class: "elekit-neighbors", role: "group", "aria-label": heading };
        return html(
          "div",
          { class: "elekit-column" },
          title(heading),
          withArrows(html("div", group, ...near.map(neighbor))),
        );
      }),
    );
    showEdits();
  });
  follow(model, cleanups, "edits", showEdits);
  const baseline = control("select", {
    "aria-label": "List the nearest also by",
    onchange: () => send(model, "compare_with", { baseline: baseline.value }),
  });
  const choice = html("label", { class: "elekit-row" }, "Nearest also by ", baseline);
  follow(model, cleanups, ["baselines", "baseline", "pinned"], () => {
    const options = ["", ...model.get("baselines")].map((value) => html("option", { value }, value || "–"));
    baseline.replaceChildren(...options);
    baseline.value = model.get("baseline");
    choice.hidden = options.length < 2 || !given(model.get("pinned"));
  });
  return html("div", { class: "elekit-column" }, choice, key, lists);
}

/**
 * The graphs whose neighbors differ most between two losses.
 * @param {PanelModel} model
 * @param {Cleanups} cleanups
 */
function movedMost(model, cleanups) {
  const summary = control("summary", {});
  const list = withArrows(
    html("div", { class: "elekit-found", role: "group", "aria-label": "Graphs that moved most" }),
  );
  const element = html("details", {}, summary, list);
  follow(model, cleanups, "moved", () => {
    const { words, shown } = model.get("moved");
    element.hidden = !words;
    setText(summary, `${words} The graphs that moved most`);
    list.replaceChildren(
      ...shown.map(({ row, name, id, share }) =>
        button(`${shortened(name, 30)}  ${share}`, () => send(model, "pin", { row }), {
          title: `${name}, ${id}`,
          "aria-label": `Pin ${name}, ${id}; ${share} of its neighbors change`,
        }),
      ),
    );
  });
  return element;
}

/** @param {View<GraphPanelState>} view */
function render({ model, el }) {
  /** @type {Cleanups} */
  const cleanups = [];
  const root = frame(model, el, cleanups, "Graphs of the map");
  follow(model, cleanups, "hovered", () => {
    const detail = model.get("hovered");
    root.closest(".elekit-explorer")?.dispatchEvent(new CustomEvent(HOVERED, { detail }));
  });
  root.append(
    search(model, cleanups),
    movedMost(model, cleanups),
    cards(model, cleanups),
    neighborLists(model, cleanups),
  );
  return cleaning(cleanups);
}

export { render };
