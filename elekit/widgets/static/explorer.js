// Beside the map: search, the graph under the pointer, the pinned graph and its neighbors by the learned loss.

import { ask, button, clamp, control, follow, frame, html, say, shortened, svg } from "./dom.js";
import { GraphView, RADIUS } from "./graph.js";

// Up and down move between the buttons of a list, as Tab does.
function byArrows(list) {
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const buttons = [...list.querySelectorAll("button")],
      at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[clamp(at + step, 0, buttons.length - 1)].focus();
  });
  return list;
}

function drawing(model, card, numbered = false) {
  const view = new GraphView(model.get("palette"), { label: `drawing of ${card.name}` });
  view.show(card.scene);
  if (numbered) {
    // by which the edits call the nodes
    const there = view.positions.map((at, i) => [...at, i]).filter(([, , i]) => card.scene.nodes[i] > 0);
    view.element.append(
      ...there.map(([x, y, i]) =>
        svg(
          "text",
          {
            x: x + 0.95 * RADIUS,
            y: y + 1.1 * RADIUS,
            class: "elekit-label elekit-node-number",
            "text-anchor": "middle",
          },
          String(i),
        ),
      ),
    );
  }
  return view.element;
}

const facts = (card) =>
  html(
    "div",
    { class: "elekit-facts" },
    ...[...card.facts, card.trust].filter(Boolean).map((fact) => html("div", {}, shortened(fact, 150))),
    html("div", { class: "elekit-input", title: card.text }, shortened(card.text, 400)),
  );
const title = (text, attributes = {}) => html("h3", { class: "elekit-title", ...attributes }, text);

function searching(model, undo) {
  const kind = control("select", { "aria-label": "Search by" });
  const text = control("input", {
    type: "search",
    "aria-label": "Search for",
    autocomplete: "off",
    spellcheck: "false",
  });
  const count = html("span", { "aria-live": "polite" });
  const all = button("Select all found", () => ask(model, "select", { what: "found" }));
  const list = byArrows(
    html("div", { class: "elekit-found", role: "group", "aria-label": "Graphs that were found" }),
  );
  const hint = () =>
    (text.placeholder =
      { id: "number or id", smiles: "such as CCO", substructure: "SMARTS, such as C=O", label: "such as N>=2" }[
        kind.value
      ] ?? "");
  const go = () => {
    say(count, "searching …");
    ask(model, "find", { kind: kind.value, text: text.value });
  };
  text.addEventListener("keydown", (event) => event.key === "Enter" && go()); // the lab keeps Enter from submitting a form
  const form = html("div", { class: "elekit-row", role: "search" }, kind, text, button("Find", go));
  kind.addEventListener("change", hint);
  follow(model, undo, "kinds", () => {
    kind.replaceChildren(
      ...model.get("kinds").map((name) => html("option", { value: name }, name === "smiles" ? "SMILES" : name)),
    );
    hint();
  });
  follow(model, undo, ["found", "problem"], () => {
    const found = model.get("found"),
      asked = Boolean(found.text);
    if (asked && document.activeElement !== text) [kind.value, text.value] = [found.kind, found.text];
    say(count, asked && !model.get("problem") ? found.words : "");
    all.hidden = list.hidden = !found.shown.length;
    list.replaceChildren(
      ...found.shown.map(({ row, name, id }) =>
        button(shortened(name, 40), () => ask(model, "pin", { row }), {
          title: `${name}, ${id}`,
          "aria-label": `Pin ${name}, ${id}`,
        }),
      ),
    );
  });
  return html("div", { class: "elekit-column" }, form, html("div", { class: "elekit-row" }, count, all), list);
}

// The two cards: what is under the pointer, and what is pinned.
function cards(model, undo) {
  const hovered = html("div", { class: "elekit-card", "data-card": "hovered" });
  const pinned = html("div", { class: "elekit-card", "data-card": "pinned", "aria-live": "polite" });
  const fill = (place, heading, card, hint, extra = []) =>
    place.replaceChildren(
      title(heading),
      ...(card.scene
        ? [
            drawing(model, card, place === pinned),
            html("div", { class: "elekit-name" }, shortened(card.name, 60)),
            facts(card),
            ...extra,
          ]
        : [html("p", {}, hint)]),
    );
  follow(model, undo, "hovered", () =>
    fill(hovered, "Under the pointer", model.get("hovered"), "Point at a dot of the map to see its graph."),
  );
  follow(model, undo, "pinned", () =>
    fill(pinned, "Pinned", model.get("pinned"), "Click a dot, or find a graph, to pin it here.", [
      button("Unpin", () => ask(model, "pin")),
    ]),
  );
  return html("div", { class: "elekit-cards" }, hovered, pinned);
}

// Neighbors of the pinned graph by each learned loss; what separates them comes in later, by row.
function neighborhood(model, undo) {
  const lists = html("div", { class: "elekit-column" });
  let waiting = [];
  const tell = () => {
    const edits = model.get("edits");
    waiting.forEach(([row, place]) => edits[row] === undefined || say(place, edits[row]));
  };
  follow(model, undo, "neighbors", () => {
    const { words, lists: found } = model.get("neighbors");
    waiting = [];
    lists.replaceChildren(
      ...(words ? [html("p", { "aria-live": "polite" }, words)] : []),
      ...found.map(({ heading, cards: near }) => {
        const made = near.map((card, k) => {
          const apart = html("span", { class: "elekit-small", "data-apart": card.row }, "…");
          waiting.push([card.row, apart]);
          const told = html(
            "span",
            { class: "elekit-column" },
            html("span", { class: "elekit-name" }, `${k + 1}  ${shortened(card.name, 30)}`),
            html("span", { class: "elekit-number" }, `loss ${card.loss}${card.shared ? " · in both" : ""}`),
            apart,
          );
          return control(
            "button",
            {
              type: "button",
              class: "elekit-button elekit-neighbor",
              "data-row": card.row,
              onclick: () => ask(model, "pin", { row: card.row }),
            },
            drawing(model, card),
            told,
          );
        });
        return html(
          "div",
          { class: "elekit-column" },
          title(heading),
          byArrows(html("div", { class: "elekit-neighbors", role: "group", "aria-label": heading }, ...made)),
        );
      }),
    );
    tell();
  });
  follow(model, undo, "edits", tell);
  return lists;
}

function render({ model, el }) {
  const undo = [],
    root = frame(model, el, undo, "Graphs of the map");
  root.append(searching(model, undo), cards(model, undo), neighborhood(model, undo));
  return () => undo.forEach((stop) => stop());
}

export { render };
