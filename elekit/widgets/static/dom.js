// Elements, and the link between a view and its model.
// Text from the data only becomes text nodes and attributes; nothing here parses markup.

/** @import { Model, Problem } from "./types.d.ts" */
/** @typedef {string | number | boolean | null | undefined | ((event: any) => void)} Attribute */
/** @typedef {Record<string, Attribute>} Attributes */
/** @typedef {Node | string | null | undefined} Child */
/** @typedef {(() => void)[]} Cleanups What to undo when a view is removed. */

const SVG = "http://www.w3.org/2000/svg";
const PATIENCE = 8000; // ms the kernel may take to answer before the widget says so
const LOST =
  "The kernel of this widget was stopped or restarted. Run the cell again, or reload the page of a dashboard.";
const SILENT =
  "The kernel does not answer. Wait if it is busy. Run the cell again if it was stopped (of a dashboard, reload the page).";
const UNANSWERED = "elekit-unanswered"; // event of a root: the kernel did not take what a control says
const KEEP_KEYS = { "data-lm-suppress-shortcuts": "true" }; // JupyterLab then leaves the element's keys alone

/**
 * Set attributes and append children. A function becomes a listener ("onclick"); null, undefined and false set nothing.
 * @template {Element} E
 * @param {E} element
 * @param {Attributes} attributes
 * @param {...Child} children
 * @returns {E}
 */
function fill(element, attributes, ...children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 */
const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, ...children);

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 */
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, ...children);

/**
 * An HTML element that takes the focus.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 */
const control = (tag, attributes = {}, ...children) => html(tag, { ...KEEP_KEYS, ...attributes }, ...children);

/**
 * @param {string} text
 * @param {(event: MouseEvent) => void} onclick
 * @param {Attributes} [attributes]
 */
const button = (text, onclick, attributes = {}) =>
  control("button", { type: "button", class: "elekit-button", onclick, ...attributes }, text);

/** @type {WeakMap<Element, Record<string, string | number | boolean>>} */
const written = new WeakMap();

/**
 * Set the attributes that changed since the last update; writing to the document is the cost of a redraw.
 * @param {Element} element
 * @param {Record<string, string | number | boolean>} attributes
 */
function update(element, attributes) {
  const known = written.get(element) ?? {};
  written.set(element, known);
  for (const [name, value] of Object.entries(attributes)) {
    if (known[name] === value) continue;
    known[name] = value;
    element.setAttribute(name, String(value));
  }
}

/**
 * @param {Node} node
 * @param {string | number} text
 */
function setText(node, text) {
  const value = String(text);
  if (node.textContent !== value) node.textContent = value;
}

/**
 * Call `callback` now and on every change of the traits, until the view is removed.
 * @template State
 * @param {Model<State>} model
 * @param {Cleanups} cleanups
 * @param {(keyof State & string) | (keyof State & string)[]} traits
 * @param {() => void} callback
 */
function follow(model, cleanups, traits, callback) {
  for (const trait of [traits].flat()) {
    model.on(`change:${trait}`, callback);
    cleanups.push(() => model.off(`change:${trait}`, callback));
  }
  callback();
}

/** @type {WeakMap<Element, () => void>} */
const asking = new WeakMap();

/**
 * Ask the kernel of a root made by `frame` for an answer, after a use outside of the root.
 * @param {Element} root
 */
const askKernel = (root) => asking.get(root)?.();

/**
 * A line that says when the kernel is gone. A kernel that dies without a word is noticed when the widget is used: each
 * use asks it for an answer, by the returned function.
 * @template State
 * @param {Model<State>} model
 * @param {HTMLElement} root
 * @param {Cleanups} cleanups
 */
function watchKernel(model, root, cleanups) {
  const line = html("div", { class: "elekit-kernel", role: "alert", hidden: true });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let rested = 0; // time from which on the next question may be asked
  /** @param {string} text */
  const show = (text) => {
    setText(line, text);
    if (text) root.dispatchEvent(new CustomEvent(UNANSWERED));
    line.hidden = !text;
    root.classList.toggle("elekit-lost", text === LOST);
  };
  const overdue = () => {
    timer = undefined;
    if (line.hidden) show(SILENT);
  };
  const ask = () => {
    if (timer === undefined && performance.now() >= rested) askNow();
  };
  const askNow = () => {
    clearTimeout(timer);
    timer = undefined;
    rested = performance.now() + 1000;
    try {
      model.send({ do: "ping", with: {} });
      timer = setTimeout(overdue, PATIENCE);
    } catch {
      show(LOST);
    }
  };
  /** @param {any} message */
  const hear = (message) => {
    if (!message?.pong) return;
    clearTimeout(timer);
    timer = undefined;
    show("");
  };
  const look = () => setTimeout(askNow, 500);
  root.append(line);
  for (const event of ["click", "change", "keydown"]) root.addEventListener(event, ask, true);
  model.on("msg:custom", hear);
  model.on("comm_live_update", look); // JupyterLab restarts the kernel
  cleanups.push(() => {
    clearTimeout(timer);
    model.off("msg:custom", hear);
    model.off("comm_live_update", look);
  });
  return ask;
}

/**
 * Add the root of a view to `el`: a labeled group with the health of the loss, the last error and a lost kernel.
 * @template {Problem} State
 * @param {Model<State>} model
 * @param {HTMLElement} el
 * @param {Cleanups} cleanups
 * @param {string} label
 */
function frame(model, el, cleanups, label) {
  const problem = html("div", { class: "elekit-problem", role: "alert" });
  const health = html("div", { class: "elekit-health" });
  const root = control("section", { class: "elekit", role: "group", "aria-label": label }, health, problem);
  el.append(root);
  asking.set(root, watchKernel(model, root, cleanups));
  follow(model, cleanups, "problem", () => {
    setText(problem, model.get("problem") || "");
    problem.hidden = !model.get("problem");
  });
  follow(model, cleanups, "health", () => {
    setText(health, model.get("health") || "");
    health.hidden = !model.get("health");
  });
  return root;
}

/**
 * Call a command of the widget's Python class. Without a kernel nothing happens; the line of `watchKernel` says so.
 * @template State
 * @param {Model<State>} model
 * @param {string} command
 * @param {object} [values]
 */
function send(model, command, values = {}) {
  try {
    model.send({ do: command, with: values });
  } catch {
    // the kernel is gone
  }
}

/**
 * Set a trait and save it.
 * @template State
 * @template {keyof State} Key
 * @param {Model<State>} model
 * @param {Key} trait
 * @param {State[Key]} value
 */
function save(model, trait, value) {
  model.set(trait, value);
  model.save_changes();
}

/** @param {Cleanups} cleanups */
const cleaning = (cleanups) => () => {
  for (const cleanup of cleanups) cleanup();
};

/**
 * True for keys that belong to the browser or the lab.
 * @param {KeyboardEvent} event
 */
const hasModifier = (event) => event.ctrlKey || event.altKey || event.metaKey;

/** @param {Event} event */
function consume(event) {
  event.preventDefault();
  event.stopPropagation();
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * At most `length` characters, without control characters.
 * @param {unknown} text
 * @param {number} length
 */
function shortened(text, length) {
  const plain = [...String(text)].map((c) => (/\p{C}/u.test(c) ? " " : c));
  return plain.length <= length ? plain.join("") : `${plain.slice(0, length - 1).join("")}…`;
}

export {
  askKernel,
  button,
  clamp,
  cleaning,
  consume,
  control,
  fill,
  follow,
  frame,
  hasModifier,
  html,
  KEEP_KEYS,
  save,
  send,
  setText,
  shortened,
  svg,
  UNANSWERED,
  update,
};
