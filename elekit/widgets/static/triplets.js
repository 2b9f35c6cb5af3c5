// Three graphs and one question: buttons and keys answer it, the kernel asks the next.

import {
  button,
  cleaning,
  consume,
  fill,
  follow,
  frame,
  hasModifier,
  html,
  send,
  setText,
  shortened,
  update,
} from "./dom.js";
import { GraphView } from "./graph.js";

/** @import { TripletsState, View } from "./types.d.ts" */
/** @typedef {import("./dom.js").Cleanups} Cleanups */

/** @type {Record<string, string>} */
const CHOICES = {
  1: "left",
  ArrowLeft: "left",
  2: "right",
  ArrowRight: "right",
  0: "cannot say",
  ArrowDown: "cannot say",
};
const KEYS = "Keys: 1 or ← left, 2 or → right, 0 or ↓ cannot say, u or Backspace undo.";

/** @param {View<TripletsState>} view */
function render({ model, el }) {
  /** @type {Cleanups} */
  const cleanups = [];
  const palette = model.get("palette");
  const root = frame(model, el, cleanups, "which graph is closer?");
  /** @type {number | null} */
  let sent = null; // the question already answered: a second press must not answer the next one

  /**
   * @param {"anchor" | "left" | "right"} side
   * @param {string} heading
   */
  const figure = (side, heading) => {
    const view = new GraphView(palette, { label: heading });
    const name = html("span", { class: "elekit-small" });
    const caption = html("figcaption", { class: "elekit-title" }, heading);
    return {
      side,
      view,
      name,
      element: html("figure", { class: `elekit-triplets-${side}` }, caption, view.element, name),
    };
  };
  const anchor = figure("anchor", "Is this graph closer to");
  const left = figure("left", "the left one, or");
  const right = figure("right", "the right one?");

  /** @param {string} choice */
  const answer = (choice) => {
    const question = model.get("question");
    if (!question.anchor || question.number === sent) return;
    sent = question.number;
    send(model, "answer", { choice, number: sent });
  };
  const undo = () => {
    const { number } = model.get("question");
    if (!number || number === sent) return;
    sent = number;
    send(model, "undo", { number });
  };
  const answers = [
    button("1  left is closer", () => answer("left")),
    button("0  cannot say", () => answer("cannot say")),
    button("2  right is closer", () => answer("right")),
  ];
  const back = button("u  undo", undo);
  const progress = html("div", { class: "elekit-triplets-progress", "aria-live": "polite" });
  fill(
    root,
    { tabindex: "0" },
    anchor.element,
    html("div", { class: "elekit-triplets-pair" }, left.element, right.element),
    html("div", { class: "elekit-row elekit-triplets-row" }, ...answers, back),
    progress,
    html("p", { class: "elekit-small" }, KEYS),
  );
  root.classList.add("elekit-triplets");

  root.addEventListener("keydown", (event) => {
    if (hasModifier(event)) return;
    const choice = CHOICES[event.key];
    if (!choice && event.key !== "u" && event.key !== "Backspace") return;
    consume(event);
    if (event.repeat) return;
    if (choice) answer(choice);
    else undo();
  });

  follow(model, cleanups, "question", () => {
    const question = model.get("question");
    sent = null;
    for (const { side, view, name, element } of [anchor, left, right]) {
      const graph = question[side];
      element.hidden = !graph;
      if (!graph) continue;
      view.show(graph.scene);
      setText(name, shortened(graph.name, 60));
      update(view.element, { "aria-label": `${side}: ${graph.name || "a graph"}` });
    }
    for (const each of answers) each.disabled = !question.anchor;
    back.disabled = !question.number;
    const label = question.anchor ? `question ${question.number + 1}: which graph is closer?` : "no question is left";
    update(root, { "aria-label": label });
  });
  follow(model, cleanups, ["progress", "question"], () => {
    const done = model.get("question").anchor ? [] : ["All triplets have been asked."];
    progress.replaceChildren(...[...done, ...model.get("progress")].map((sentence) => html("p", {}, sentence)));
  });
  return cleaning(cleanups);
}

export { render };
