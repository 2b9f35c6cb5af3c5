// Stepping through decoding runs. All frames are in the browser from the start: nothing waits for the kernel.

import {
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
  save,
  setText,
  shortened,
  svg,
  update,
} from "./dom.js";
import { GraphView, LEAST, pairNumber } from "./graph.js";
import { hints } from "./hints.js";
import { copyButton } from "./picture.js";
import { Chart } from "./stepper_chart.js";
import { zoomable, zoomByKey } from "./zoom.js";

/** @import { Halos, Mark, Model, Palette, PredictionSet, RunState, StepperPalette, StepperState, View } from "./types.d.ts" */

const SAVE_DELAY = 120; // ms between two steps that the kernel hears of
const SPEEDS = [1, 2, 4, 8, 16, 30];
const KEYS =
  "Keys: ← → one frame, Page Up/Down ten, Home, End; Space plays; g shows the descent directions; + and − zoom, Shift and arrows move.";

const HINTS = [
  "Arrow keys step, Space plays.",
  "A click on the curve jumps to a frame.",
  "Halos show what would lower the loss.",
];

/** @type {WeakMap<RunState[], number>} when playing last advanced a widget, whose views must advance it only once */
const advanced = new WeakMap();

/** @type {Record<string, (step: number) => number>} */
const MOVES = {
  ArrowLeft: (step) => step - 1,
  ArrowRight: (step) => step + 1,
  PageUp: (step) => step - 10,
  PageDown: (step) => step + 10,
  Home: () => 0,
  End: () => Infinity,
};

/** @typedef {{ nodes: Float32Array, pairs: import("./graph.js").Pairs }} Frame */

/**
 * The frames of all runs, from the bytes that `stepper_state.packed` writes.
 * @param {DataView} view
 * @param {RunState[]} runs
 * @param {Palette} palette
 * @returns {Frame[][]}
 */
function unpacked(view, runs, palette) {
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  const [K, R] = [palette.nodes.length + 1, palette.edges.length + 1];
  let start = 0;
  /**
   * @template {Uint32Array | Uint16Array} A
   * @param {new (buffer: ArrayBufferLike, start: number, length: number) => A} Kind
   * @param {number} length
   */
  const take = (Kind, length) => {
    const found = new Kind(bytes, start, length);
    start += found.byteLength;
    return found;
  };
  /** @param {Uint16Array} shares */
  const floats = (shares) => Float32Array.from(shares, (share) => share / 65535);
  return runs.map(({ names, slots }) => {
    const counts = take(Uint32Array, names.length);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const numbers = take(Uint32Array, total);
    const nodes = take(Uint16Array, names.length * slots * K);
    const rows = take(Uint16Array, total * R);
    start = 4 * Math.ceil(start / 4);
    let edge = 0;
    return names.map((_, f) => {
      const pairs = new Map();
      for (const end = edge + counts[f]; edge < end; edge++)
        pairs.set(numbers[edge], floats(rows.subarray(edge * R, (edge + 1) * R)));
      return { nodes: floats(nodes.subarray(f * slots * K, (f + 1) * slots * K)), pairs };
    });
  });
}

/** One run: its graph with halos, its title, and its strongest descent directions in words. */
class Run {
  /**
   * @param {RunState} state
   * @param {StepperPalette} palette
   * @param {Frame[]} frames
   */
  constructor(state, palette, frames) {
    const { names, name } = state;
    this.state = state;
    this.palette = palette;
    this.last = names.length - 1;
    this.layout = -1;
    this.frames = frames;
    this.view = new GraphView(palette, { label: name || "relaxed graph", numbers: true });
    this.title = html("span");
    this.directions = html("p", { class: "elekit-stepper-directions" });
    const heading = name ? html("span", { title: name }, name) : null;
    this.element = html(
      "figure",
      { class: "elekit-stepper-run" },
      html("figcaption", { class: "elekit-title" }, heading, this.title),
      zoomable(this.view),
      this.directions,
    );
  }

  /**
   * The frame shown at a step: a run that is over stays on its last.
   * @param {number} step
   */
  at(step) {
    return Math.min(step, this.last);
  }

  /** @param {number} step */
  name(step) {
    return this.state.names[this.at(step)];
  }

  /**
   * @param {number} step
   * @param {boolean} directions whether descent directions are shown
   */
  draw(step, directions) {
    const at = this.at(step);
    const { layouts, centers, laid, name } = this.state;
    const marks = this.state.marks[at].filter(([, kind]) => directions || kind === "changed");
    if (laid[at] !== this.layout) {
      this.layout = laid[at];
      this.view.place(layouts[this.layout], centers[this.layout]);
      this.view.look(layouts[this.layout].filter((_, i) => this.isSeen(i)));
    }
    const { nodes, pairs } = this.frames[at];
    this.view.draw(nodes, pairs, new Set(this.ghosts(at)));
    this.view.mark(this.halos(marks));
    const free = this.absent(at).length - this.ghosts(at).length;
    setText(this.title, free ? `${this.name(step)}, +${free} free` : this.name(step));
    update(this.view.element, { "aria-label": [name, this.name(step)].filter(Boolean).join(": ") });
    const strongest = marks.filter(([, kind]) => kind !== "changed").slice(0, 3);
    const words = strongest.map(([, , size, what]) => `${what} (${size.toFixed(2)})`).join(", ");
    setText(this.directions, words && `Descent directions: ${words}`);
  }

  /**
   * Whether a node is absent from a frame.
   * @param {number} at
   * @param {number} i
   */
  isAbsent(at, i) {
    return this.frames[at].nodes[i * this.view.K] > 1 - LEAST;
  }

  /** @param {number} at */
  absent(at) {
    return [...Array(this.state.slots).keys()].filter((i) => this.isAbsent(at, i));
  }

  /**
   * Absent nodes that are outlined in a frame: all if they are few, otherwise those with marks.
   * @param {number} at
   */
  ghosts(at) {
    const absent = this.absent(at);
    const marked = new Set(this.state.marks[at].flatMap(([part]) => part));
    return absent.length <= this.palette.ghosts ? absent : absent.filter((i) => marked.has(i));
  }

  /**
   * Whether a node is drawn in any frame of the current layout.
   * @param {number} i
   */
  isSeen(i) {
    return this.state.laid.some(
      (layout, at) => layout === this.layout && (!this.isAbsent(at, i) || this.ghosts(at).includes(i)),
    );
  }

  /**
   * @param {Mark[]} marks strongest first
   * @returns {Halos}
   */
  halos(marks) {
    /** @type {Halos} */
    const halos = { nodes: new Map(), pairs: new Map() };
    for (const [part, kind, size, words] of marks) {
      const [color, dashed] = this.palette.looks[kind];
      const share = size / marks[0][2];
      const look = { color, dashed, title: `${words}: ${size}` };
      if (part.length === 1) halos.nodes.set(part[0], { ...look, width: kind === "changed" ? 11 : 4 + 12 * share });
      else halos.pairs.set(pairNumber(part[0], part[1], this.state.slots), { ...look, width: 9 + 16 * share });
    }
    return halos;
  }

  /**
   * The frame in one sentence.
   * @param {number} step
   * @param {boolean} directions
   */
  reading(step, directions) {
    const { name, readings, summaries } = this.state;
    const at = this.at(step);
    return (name ? `${name}: ` : "") + (directions ? readings[at] : `${summaries[at]}.`);
  }
}

/**
 * The figures of the current frame, one row per run.
 * @param {Run[]} runs
 * @param {[name: string, meaning: string][]} columns
 */
function figureTable(runs, columns) {
  const cells = runs.map(() => columns.map(([, title]) => html("td", { class: "elekit-number", title })));
  const several = runs.length > 1;
  const heads = columns.map(([name, title]) => html("th", { scope: "col", title }, name));
  const rows = runs.map(({ state }, n) =>
    html("tr", {}, several ? html("th", { scope: "row" }, state.name) : null, ...cells[n]),
  );
  const element = html(
    "table",
    { class: "elekit-stepper-figures" },
    html("thead", {}, html("tr", {}, several ? html("th", { scope: "col" }, "run") : null, ...heads)),
    html("tbody", {}, ...rows),
  );
  /** @param {number} step */
  const draw = (step) => {
    for (const [n, run] of runs.entries())
      for (const [c, value] of run.state.numbers[run.at(step)].entries()) setText(cells[n][c], value || "–");
  };
  return { element, draw };
}

/**
 * The colors of labels and halos.
 * @param {StepperPalette} palette
 */
function legend(palette) {
  /**
   * @param {number} width
   * @param {SVGElement} sample
   * @param {string} words
   */
  const key = (width, sample, words) =>
    html(
      "span",
      { class: "elekit-stepper-key" },
      svg("svg", { width, height: 16, "aria-hidden": "true" }, sample),
      words,
    );
  const labels = palette.nodes
    .slice(0, 12)
    .map((name, k) => key(16, svg("circle", { cx: 8, cy: 8, r: 7, fill: palette.colors[k] }), shortened(name, 20)));
  const halos = Object.values(palette.looks).map(([stroke, dashed, words]) => {
    const look = { stroke, "stroke-width": 8, "stroke-dasharray": dashed ? "9 7" : "none" };
    return key(36, svg("line", { x1: 1, x2: 35, y1: 8, y2: 8, ...look }), words);
  });
  return html("div", { class: "elekit-row elekit-stepper-legend" }, ...labels, ...halos);
}

/**
 * Buttons, slider and speed; `sync` updates them from the model.
 * @param {Model<StepperState>} model
 * @param {() => number} current
 * @param {(step: number) => void} go
 * @param {() => void} play
 * @param {() => void} toggle
 */
function controls(model, current, go, play, toggle) {
  const last = model.get("last");
  const slider = control("input", {
    type: "range",
    min: 0,
    max: last,
    step: 1,
    "aria-label": "frame",
    class: "elekit-stepper-slider",
    oninput: () => go(Number(slider.value)),
  });
  const speed = control("select", {
    "aria-label": "speed, frames per second",
    onchange: () => save(model, "speed", Number(speed.value)),
  });
  const playing = button("Play", play, { class: "elekit-button elekit-stepper-play" });
  const directions = button("Descent directions", toggle, { title: "key g" });
  /**
   * @param {string} text
   * @param {string} name
   * @param {(step: number) => number} move
   */
  const jump = (text, name, move) => button(text, () => go(move(current())), { "aria-label": name, title: name });
  const element = html(
    "div",
    { class: "elekit-row" },
    jump("|◀", "first frame", () => 0),
    jump("◀", "previous frame", (step) => step - 1),
    playing,
    jump("▶", "next frame", (step) => step + 1),
    jump("▶|", "last frame", () => last),
    slider,
    html("label", { class: "elekit-stepper-speed" }, "frames/s ", speed),
    directions,
  );
  const sync = () => {
    const now = model.get("speed");
    const speeds = [...new Set([...SPEEDS, now])].sort((a, b) => a - b);
    if (speed.options.length !== speeds.length || Number(speed.value) !== now)
      speed.replaceChildren(
        ...speeds.map((each) => html("option", { value: each, selected: each === now }, String(each))),
      );
    setText(playing, model.get("playing") ? "Pause" : "Play");
    update(playing, { "aria-pressed": model.get("playing") });
    update(directions, { "aria-pressed": model.get("show") === "gradient" });
  };
  return { element, slider, sync };
}

/**
 * The prediction set: a summary, and its graphs.
 * @param {PredictionSet} set
 * @param {Palette} palette
 */
function predictionSet({ says, graphs }, palette) {
  const members = graphs.map(({ scene, words, name }, n) => {
    const view = new GraphView(palette, { label: `${n + 1} of ${graphs.length}: ${name}, ${words}` });
    view.show(scene);
    return html("li", {}, html("figure", {}, view.element, html("figcaption", {}, words)));
  });
  return html(
    "section",
    { class: "elekit-stepper-set", "aria-label": "prediction set" },
    html("p", { class: "elekit-stepper-summary" }, says),
    control("ol", { tabindex: "0", "aria-label": "graphs of the set, nearest first" }, ...members),
  );
}

/** @param {View<StepperState>} view */
function render({ model, el }) {
  /** @type {import("./dom.js").Cleanups} */
  const cleanups = [];
  const palette = model.get("palette");
  const last = model.get("last");
  const root = frame(model, el, cleanups, "decoding, step by step");
  const frames = unpacked(model.get("numbers"), model.get("runs"), palette);
  const runs = model.get("runs").map((state, n) => new Run(state, palette, frames[n]));
  const showsDirections = () => model.get("show") === "gradient";

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let saving;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  // The answer of the kernel to an earlier step may arrive while a later one waits to be saved: the later one counts.
  let waiting = 0;
  const current = () => (saving === undefined ? model.get("step") : waiting);
  const saveStep = () => {
    saving = undefined;
    model.set("step", waiting);
    model.save_changes();
  };
  /** @param {number} to */
  const go = (to) => {
    const step = clamp(to, 0, last);
    if (step === current()) return;
    waiting = step;
    saving ??= setTimeout(saveStep, SAVE_DELAY);
    if (step === model.get("step")) draw();
    else model.set("step", step);
  };
  const pause = () => {
    if (model.get("playing")) save(model, "playing", false);
  };
  /** @param {number} to */
  const jump = (to) => {
    pause();
    go(to);
  };
  const play = () => {
    if (!model.get("playing") && current() === last) go(0);
    save(model, "playing", !model.get("playing"));
  };
  const toggle = () => save(model, "show", showsDirections() ? "none" : "gradient");
  const tick = () => {
    const wait = 1000 / model.get("speed");
    const key = model.get("runs");
    const now = performance.now();
    if (now - (advanced.get(key) ?? 0) > 0.7 * wait) {
      advanced.set(key, now);
      if (current() >= last) {
        pause();
        return;
      }
      go(current() + 1);
    }
    timer = setTimeout(tick, wait);
  };

  const { element: row, slider, sync } = controls(model, current, jump, play, toggle);
  const chart = new Chart(model.get("runs"), model.get("across"), jump);
  const figures = figureTable(runs, palette.numbers);
  const sentences = runs.map(() => html("p"));
  const reading = html("div", { class: "elekit-stepper-reading", "aria-live": "polite" }, ...sentences);
  const graphs = html("div", { class: "elekit-stepper-graphs" }, ...runs.map((run) => run.element));
  const truth = model.get("truth_scene");
  if (truth.nodes) {
    const view = new GraphView(palette, { label: "the true graph" });
    view.show(/** @type {import("./types.d.ts").Scene} */ (truth));
    const caption = html("figcaption", { class: "elekit-title" }, "truth");
    graphs.append(html("figure", { class: "elekit-stepper-truth" }, caption, zoomable(view)));
  }
  const plot = html("div", { class: "elekit-stepper-plot" }, chart.element);
  const keys = html("p", { class: "elekit-small" }, KEYS);
  const key = legend(palette);
  const copy = copyButton("stepper", root, () => [reading, graphs, key, plot]);
  const doubt = model.get("doubt");
  const found = model.get("found");
  fill(
    root,
    { tabindex: "0" },
    hints("stepper", HINTS, cleanups),
    row,
    doubt ? html("p", { class: "elekit-stepper-doubt", role: "note" }, `Unsure: ${doubt}`) : null,
    reading,
    html(
      "div",
      { class: "elekit-stepper-screen" },
      graphs,
      html("div", { class: "elekit-stepper-course" }, key, plot, figures.element, copy, keys),
    ),
    found.graphs ? predictionSet(/** @type {PredictionSet} */ (found), palette) : null,
  );
  root.classList.add("elekit-stepper", `elekit-stepper-${runs.length}`);
  chart.element.addEventListener("pointerdown", () => slider.focus({ preventScroll: true }));

  root.addEventListener("keydown", (event) => {
    const tag = event.target instanceof Element ? event.target.tagName : "";
    if (hasModifier(event) || tag === "SELECT") return;
    if (
      zoomByKey(
        runs.map((run) => run.view),
        event,
      )
    ) {
      consume(event);
      return;
    }
    if (MOVES[event.key]) jump(MOVES[event.key](current()));
    else if (event.key === "g") toggle();
    else if (event.key === " " && tag !== "BUTTON") {
      if (!event.repeat) play();
    } else return;
    consume(event);
  });

  const draw = () => {
    const step = current();
    for (const [n, run] of runs.entries()) {
      run.draw(step, showsDirections());
      setText(sentences[n], run.reading(step, showsDirections()));
    }
    chart.draw(step);
    figures.draw(step);
    slider.value = String(step);
    update(slider, { "aria-valuetext": runs.map((run) => run.name(step)).join("; ") });
  };
  follow(model, cleanups, ["step", "show"], draw);
  follow(model, cleanups, ["speed", "playing", "show"], sync);
  follow(model, cleanups, "playing", () => {
    clearTimeout(timer);
    update(reading, { "aria-live": model.get("playing") ? "off" : "polite" });
    if (model.get("playing")) timer = setTimeout(tick, 1000 / model.get("speed"));
  });
  const fit = () => {
    if (plot.clientWidth > 20) chart.resize(plot.clientWidth); // zero while it is hidden
  };
  const observer = new ResizeObserver(fit);
  observer.observe(plot);
  chart.resize(800);
  fit();
  cleanups.push(() => {
    observer.disconnect();
    clearTimeout(timer);
    clearTimeout(saving);
    if (saving !== undefined) saveStep();
  });
  return cleaning(cleanups);
}

export { render };
