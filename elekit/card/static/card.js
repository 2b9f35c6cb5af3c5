// The card's own script: models without a kernel, and the folded parts that links and printing open.

import { render as renderInspector } from "../../widgets/static/inspector.js";
import { sortable } from "../../widgets/static/sort.js";
import { render as renderStepper } from "../../widgets/static/stepper.js";

/** @import { InspectorState, Model, StepperState } from "../../widgets/static/types.d.ts" */
/** @typedef {(values: any) => string | void} Command Returns why the card cannot do it, "" for no answer. */
/** @typedef {Pick<InspectorState, "scene" | "table" | "heat" | "loss" | "neighbors" | "separations" | "shares">} StepState */
/** @typedef {StepState & { place: [number, number], words: string, next: Record<string, number> }} Step */
/** @typedef {{ fixed: Partial<InspectorState>, states: Step[], anchor: [number, number] }} Inspection */
/** @typedef {Omit<StepperState, "numbers"> & { numbers: string }} StoredStepper */

const REFUSED = "This page holds no learned loss, so it cannot do that. ";
const ELSEWHERE = " In JupyterLab, ele.widgets.inspect_loss does all of it.";

/**
 * The traits of a widget, without a kernel.
 * @template State
 * @implements {Model<State>}
 */
class StaticModel {
  /**
   * @param {State} traits
   * @param {(message: { do: string, with: object }) => void} [answer]
   */
  constructor(traits, answer = () => {}) {
    this.traits = traits;
    this.answer = answer;
    /** @type {Map<string, Set<() => void>>} */
    this.listeners = new Map();
  }

  /**
   * @template {keyof State} Key
   * @param {Key} name
   */
  get(name) {
    return this.traits[name];
  }

  /**
   * @template {keyof State} Key
   * @param {Key} name
   * @param {State[Key]} value
   */
  set(name, value) {
    this.traits[name] = value;
    this.changed(String(name));
  }

  /** @param {Partial<State>} values */
  setAll(values) {
    Object.assign(/** @type {object} */ (this.traits), values);
    for (const name of Object.keys(values)) this.changed(name);
  }

  /** @param {string} name */
  changed(name) {
    for (const callback of [...(this.listeners.get(`change:${name}`) ?? [])]) callback();
  }

  /**
   * @param {string} event
   * @param {() => void} callback
   */
  on(event, callback) {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(callback));
  }

  /**
   * @param {string} event
   * @param {() => void} callback
   */
  off(event, callback) {
    this.listeners.get(event)?.delete(callback);
  }

  save_changes() {}

  /** @param {{ do: string, with: object }} message */
  send(message) {
    this.answer(message);
  }
}

/** @param {StoredStepper} state */
function stepperModel(state) {
  const bytes = Uint8Array.from(atob(state.numbers), (letter) => letter.charCodeAt(0));
  return new StaticModel({ ...state, numbers: new DataView(bytes.buffer) });
}

/**
 * An inspector that moves among states computed beforehand, and refuses everything else.
 * @param {Inspection} inspection
 */
function inspectorModel({ fixed, states, anchor }) {
  let path = [0];
  let at = 0;
  const traits = () => {
    const { place, words, next, ...state } = states[path[at]];
    return {
      ...state,
      table: { ...state.table, step: at },
      at,
      problem: "",
      picked: {},
      steps: path.map((n) => states[n].words),
      path: { places: path.map((n) => states[n].place), anchor },
    };
  };
  /** @type {Record<string, Command>} */
  const commands = {
    apply({ row, at: step }) {
      if (step !== undefined && step !== at) return "";
      const { next, table } = states[path[at]];
      const edits = Object.keys(next).map((known) => table.edit[Number(known)]);
      if (next[row] === undefined)
        return edits.length
          ? `These edits can be applied here: ${edits.join("; ")}.`
          : "Undo returns to the graph whose edits can be applied.";
      path = [...path.slice(0, at + 1), next[row]];
      at += 1;
    },
    undo() {
      at = Math.max(0, at - 1);
    },
    redo() {
      at = Math.min(path.length - 1, at + 1);
    },
    go({ step }) {
      at = step;
    },
    set_anchor: () => "The anchor is fixed.",
    tidy: () => "The layout is fixed.",
    compute_separations: () => "",
    compute_shares: () => "",
  };
  const state = /** @type {InspectorState} */ ({ ...fixed, ...traits() });
  const model = new StaticModel(state, ({ do: name, with: values }) => {
    const refusal = commands[name]?.(values);
    if (refusal === undefined) model.setAll(traits());
    else if (refusal) model.set("problem", REFUSED + refusal + ELSEWHERE);
  });
  return model;
}

/**
 * @param {string} id
 * @returns {any}
 */
const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");

// Widgets are drawn when they are first opened, so that a page of many parts opens at once.
for (const place of document.querySelectorAll("[data-widget]")) {
  const fold = place.closest("details");
  if (!(place instanceof HTMLElement) || !fold) continue;
  const draw = () => {
    const { state, widget } = place.dataset;
    if (!fold.open || place.childElementCount || !state || !widget) return;
    const stored = read(state)[widget];
    if (widget === "stepper") renderStepper({ model: stepperModel(stored), el: place });
    else renderInspector({ model: inspectorModel(stored), el: place });
  };
  fold.addEventListener("toggle", draw);
  draw();
}

/** Open the fold that holds the target of the page's link, and move the focus there. */
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = target?.closest("details");
  if (!target || !fold) return;
  fold.open = true;
  target.scrollIntoView({ block: "center" });
  const goal = target.matches("tr") ? target : fold.querySelector("summary");
  goal?.setAttribute("tabindex", "-1");
  goal?.focus({ preventScroll: true });
}
addEventListener("hashchange", unfold);
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest('a[href^="#"]') : null;
  if (link?.getAttribute("href") === location.hash) unfold();
});
unfold();

for (const table of document.querySelectorAll(".evidence table"))
  if (table instanceof HTMLTableElement) sortable(table);

// Folded parts are printed too, except widgets, which are of no use on paper.
/** @type {HTMLDetailsElement[]} */
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details")].filter((fold) => !fold.open && !fold.matches(".look"));
  for (const fold of opened) fold.open = true;
});
addEventListener("afterprint", () => {
  for (const fold of opened) fold.open = false;
  opened = [];
});
