// Three graphs, one question: buttons and keys answer it, the kernel asks the next.

import { ask, button, fill, follow, frame, html, put, say, shortened } from "./dom.js";
import { GraphView } from "./graph.js";

const CHOICES = {
  1: "left",
  ArrowLeft: "left",
  2: "right",
  ArrowRight: "right",
  0: "cannot say",
  ArrowDown: "cannot say",
};

function render({ model, el }) {
  const undo = [],
    palette = model.get("palette"),
    root = frame(model, el, undo, "which graph is closer?");
  const figure = (side, heading) => {
    const view = new GraphView(palette, { label: heading }),
      name = html("span", { class: "elekit-small" });
    const caption = html("figcaption", { class: "elekit-title" }, heading);
    return { view, name, element: html("figure", { class: `elekit-triplets-${side}` }, caption, view.element, name) };
  };
  const sides = {
    anchor: figure("anchor", "Is this graph closer to"),
    left: figure("left", "the left one, or"),
    right: figure("right", "the right one?"),
  };
  const answer = (choice) => {
    const { number, anchor } = model.get("question");
    if (!anchor || number === sent) return;
    sent = number; // a second press is no answer to the next question
    ask(model, "answer", { choice, number });
  };
  const back = () => {
    const { number } = model.get("question");
    if (!number || number === sent) return;
    sent = number;
    ask(model, "undo", { number });
  };
  let sent = null;
  const buttons = [
    button("1  left is closer", () => answer("left")),
    button("0  cannot say", () => answer("cannot say")),
    button("2  right is closer", () => answer("right")),
  ];
  const undone = button("u  undo", back);
  const told = html("div", { class: "elekit-triplets-told", "aria-live": "polite" });
  const keys = "Keys: 1 or ← left, 2 or → right, 0 or ↓ cannot say, u or Backspace undo.";
  root.append(
    sides.anchor.element,
    html("div", { class: "elekit-triplets-pair" }, sides.left.element, sides.right.element),
    html("div", { class: "elekit-row elekit-triplets-row" }, ...buttons, undone),
    told,
    html("p", { class: "elekit-small" }, keys),
  );
  fill(root, { tabindex: "0", class: "elekit elekit-triplets" }, []);

  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (CHOICES[event.key]) event.repeat || answer(CHOICES[event.key]);
    else if (event.key === "u" || event.key === "Backspace") event.repeat || back();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  follow(model, undo, "question", () => {
    const question = model.get("question"),
      there = Boolean(question.anchor);
    sent = null;
    for (const [side, { view, name, element }] of Object.entries(sides)) {
      element.hidden = !there;
      if (!there) continue;
      view.show(question[side].scene);
      say(name, shortened(question[side].name, 60));
      put(view.element, { "aria-label": `${side}: ${question[side].name || "a graph"}` });
    }
    buttons.forEach((each) => (each.disabled = !there));
    undone.disabled = !question.number;
    put(root, {
      "aria-label": there ? `question ${question.number + 1}: which graph is closer?` : "no question is left",
    });
  });
  follow(model, undo, ["told", "question"], () => {
    const said = model.get("question").anchor
      ? model.get("told")
      : ["No question is left: every triplet was asked.", ...model.get("told")];
    told.replaceChildren(...said.map((sentence) => html("p", {}, sentence)));
  });
  return () => undo.forEach((stop) => stop());
}

export { render };
