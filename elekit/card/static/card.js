// The card's own script: what stands in for a kernel, and the folded parts that links and printing open.

import { render as renderInspector } from "../../widgets/static/inspector.js";
import { render as renderStepper } from "../../widgets/static/stepper.js";

const REFUSED = "This page holds no learned loss to ask, so it cannot answer that. ";
const ELSEWHERE = " In JupyterLab ele.widgets.inspect_loss does all of it.";

// Traits of a widget, with no kernel behind them; `answer` of a message that the widget sends to it.
class Shim {
  constructor(traits, answer = () => null) {
    Object.assign(this, { traits, answer, listeners: new Map() });
  }
  get(name) { return this.traits[name]; }
  set(name, value) {
    const all = typeof name === "string" ? { [name]: value } : name;
    Object.assign(this.traits, all);
    for (const key of Object.keys(all)) for (const hear of [...(this.listeners.get(`change:${key}`) ?? [])]) hear();
  }
  on(event, hear) { this.listeners.set(event, [...(this.listeners.get(event) ?? []), hear]); }
  off(event, hear) { this.listeners.set(event, (this.listeners.get(event) ?? []).filter((one) => one !== hear)); }
  save_changes() {}
  send(message) { this.answer(message); }
}

function stepperModel(state) {
  const bytes = Uint8Array.from(atob(state.numbers), (letter) => letter.charCodeAt(0));
  return new Shim({ ...state, numbers: new DataView(bytes.buffer) });
}

// The inspector goes along states that were computed beforehand, and says so where it has none.
function inspectorModel({ still, states, anchor }) {
  let path = [0], at = 0;
  const traits = () => {
    const { scene, table, heat, loss, neighbors, apart, shares } = states[path[at]];
    return { scene, table: { ...table, step: at }, heat, loss, neighbors, apart, shares, at, problem: "", picked: {},
      steps: path.map((n) => states[n].words), path: { places: path.map((n) => states[n].place), anchor } };
  };
  const known = () => Object.keys(states[path[at]].next).map((row) => states[path[at]].table.edit[row]);
  const commands = {
    apply({ row, at: asked }) {
      if (asked !== undefined && asked !== at) return "";
      const next = states[path[at]].next[row];
      if (next === undefined) return known().length ? `Here these edits can be applied: ${known().join("; ")}.` : "Undo leads back to the graph whose edits can be applied.";
      path = [...path.slice(0, at + 1), next];
      at += 1;
    },
    undo: () => void (at = Math.max(0, at - 1)),
    redo: () => void (at = Math.min(path.length - 1, at + 1)),
    go: ({ step }) => void (at = step),
    anchor_on: () => "The anchor stays as it is.",
    tidy: () => "The drawing stays as it is.",
    ask_separates: () => "",
    ask_shares: () => "",
  };
  const model = new Shim({ ...still, ...traits() }, ({ do: what, with: values }) => {
    const refused = commands[what]?.(values ?? {}) ?? null;
    if (refused === null) model.set(traits());
    else if (refused) model.set("problem", REFUSED + refused + ELSEWHERE);
  });
  return model;
}

const read = (id) => JSON.parse(document.getElementById(id).textContent);

// Widgets are drawn when they are first opened: a page of many parts opens at once.
for (const place of document.querySelectorAll("[data-widget]")) {
  const fold = place.closest("details");
  const draw = () => {
    if (!fold.open || place.childElementCount) return;
    const state = read(place.dataset.state)[place.dataset.widget];
    if (place.dataset.widget === "stepper") renderStepper({ model: stepperModel(state), el: place });
    else renderInspector({ model: inspectorModel(state), el: place });
  };
  fold.addEventListener("toggle", draw);
  draw();
}

// A link to a figure opens the fold that it lies in.
function unfold() {
  const there = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = there?.closest("details");
  if (!fold) return;
  fold.open = true;
  there.scrollIntoView({ block: "center" });
  const goal = there.matches("tr") ? there : fold.querySelector("summary");
  goal.setAttribute("tabindex", "-1");
  goal.focus({ preventScroll: true });
}
addEventListener("hashchange", unfold);
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (link && link.getAttribute("href") === location.hash) unfold();
});
unfold();

// What is folded is printed too, except widgets, which are of no use on paper.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not(.look):not([open])")];
  opened.forEach((fold) => (fold.open = true));
});
addEventListener("afterprint", () => opened.splice(0).forEach((fold) => (fold.open = false)));
