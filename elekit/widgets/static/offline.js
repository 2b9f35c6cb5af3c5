// Models of widgets in a page without a kernel: what they show was computed beforehand.

/** @import { InspectorState, Model, StepperState } from "./types.d.ts" */
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

export { inspectorModel, StaticModel, stepperModel };
