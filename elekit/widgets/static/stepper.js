// Stepping through decoding runs. All frames are here from the start: nothing waits for the kernel.

import { button, clamp, control, fill, follow, frame, html, put, say, shortened, svg } from "./dom.js";
import { BLUE, GRAY, GraphView, pairNumber, RADIUS, VERMILION } from "./graph.js";

const SAVED_AFTER = 120; // ms: the kernel hears of steps at most that often
const SPEEDS = [1, 2, 4, 8, 16, 30];
const advanced = new WeakMap(); // when a widget last played on: it may be shown in several places, and shall play once

const shown = (values) => values.filter((value) => value !== null && value !== undefined);

// The part of `floats` that begins at `place.at`, as one array for each frame; moves `place.at` on.
function slices(floats, place, frames, size) {
  return Array.from({ length: frames }, () => floats.subarray(place.at, (place.at += size)));
}

// One run: its graph with halos, its title, and the strongest wishes in words.
class Run {
  constructor(run, palette, floats, place) {
    Object.assign(this, run, { palette, last: run.names.length - 1, laidOut: -1, digits: [] });
    const pairs = (run.slots * (run.slots - 1)) / 2;
    this.nodes = slices(floats, place, run.names.length, run.slots * (palette.nodes.length + 1));
    this.edges = slices(floats, place, run.names.length, pairs * (palette.edges.length + 1));
    this.view = new GraphView(palette, { label: run.name || "relaxed graph", ghosts: true });
    this.title = html("span");
    this.caption = html(
      "figcaption",
      { class: "elekit-title" },
      run.name ? html("span", { title: run.name }, run.name) : null,
      this.title,
    );
    this.wants = html("p", { class: "elekit-stepper-wants" });
    this.element = html("figure", { class: "elekit-stepper-run" }, this.caption, this.view.element, this.wants);
  }

  at(step) {
    return Math.min(step, this.last);
  }

  lay(which) {
    this.laidOut = which;
    this.view.place(this.layouts[which]);
    this.view.look(this.layouts[which]);
    this.digits.forEach((digit) => digit.remove());
    this.digits = this.view.positions.map(([x, y], i) =>
      svg("text", { x: x + 0.86 * RADIUS, y: y - 0.86 * RADIUS, class: "elekit-stepper-digit" }, String(i)),
    );
    this.view.layers[3].append(...this.digits);
  }

  marked(step, wishes) {
    return this.marks[this.at(step)].filter(([, kind]) => wishes || kind === "changed");
  }

  draw(step, wishes) {
    const frame = this.at(step),
      marks = this.marked(step, wishes),
      looks = this.palette.looks;
    if (this.laid[frame] !== this.laidOut) this.lay(this.laid[frame]);
    this.view.draw(this.nodes[frame], this.edges[frame]);
    const halos = { nodes: new Map(), pairs: new Map() };
    for (const [part, kind, size, words] of marks) {
      const [color, dashed] = looks[kind],
        share = size / marks[0][2],
        title = `${words}: ${size}`;
      if (part.length === 1)
        halos.nodes.set(part[0], { color, dashed, title, width: kind === "changed" ? 11 : 4 + 12 * share });
      else halos.pairs.set(pairNumber(...part, this.slots), { color, dashed, title, width: 9 + 16 * share });
    }
    this.view.mark(halos);
    say(this.title, this.names[frame]);
    put(this.view.element, { "aria-label": [this.name, this.names[frame]].filter(Boolean).join(": ") });
    const wanted = marks.filter(([, kind]) => kind !== "changed").slice(0, 3);
    say(
      this.wants,
      wanted.length
        ? `The loss wants ${wanted.map(([, , size, words]) => `${words} (${size.toFixed(2)})`).join(", ")}`
        : "",
    );
  }

  reading(step, wishes) {
    const [first] = this.marked(step, wishes).filter(([, kind]) => kind !== "changed");
    return (
      (this.name ? `${this.name}: ` : "") +
      this.told[this.at(step)] +
      (first ? `; the loss most wants ${first[3]}.` : ".")
    );
  }
}

// Round numbers from low to high, about so many.
function ticks(low, high, about) {
  const rough = (high - low) / about || 1,
    power = 10 ** Math.floor(Math.log10(rough));
  const gap = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999);
  const first = Math.ceil(low / gap - 1e-9);
  return Array.from({ length: Math.floor(high / gap + 1e-9) - first + 1 }, (_, n) =>
    Number(((first + n) * gap).toPrecision(6)),
  );
}

// The learned loss of all frames; a cursor at the one shown. A press or a drag jumps.
class Chart {
  constructor(runs, across, jump) {
    Object.assign(this, { runs, across, jump, height: 200, width: 0, step: 0 });
    this.element = svg("svg", {
      class: "elekit-stepper-chart",
      role: "img",
      "aria-label": "learned loss of the relaxed and of the rounded graph at each frame",
    });
    const move = (event) => {
      const x = event.clientX - this.element.getBoundingClientRect().left;
      const off = this.across.map((_, frame) => Math.abs(this.x(frame) - x));
      this.jump(off.indexOf(Math.min(...off)));
    };
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      this.held = true;
      move(event);
    });
    this.element.addEventListener("pointermove", (event) => this.held && move(event));
    for (const name of ["pointerup", "pointercancel"]) this.element.addEventListener(name, () => (this.held = false));
  }

  x(frame) {
    return this.left + this.across[frame] * (this.width - this.left - this.right);
  }

  y(value) {
    return this.bottom - ((value - this.low) / (this.high - this.low)) * (this.bottom - 12);
  }

  resize(width) {
    if (Math.abs(width - this.width) < 1) return;
    this.width = width;
    const values = shown(this.runs.flatMap((run) => [...run.relaxed, ...run.rounded]));
    this.low = Math.min(0, ...values);
    this.high = (Math.max(...values) || 1) * 1.06;
    const ends = this.runs.flatMap((run) =>
      [
        [run.rounded, "rounded", VERMILION],
        [run.relaxed, "relaxed", BLUE],
      ].map(([curve, what, color]) => ({
        value: shown(curve).at(-1),
        text: shortened(`${run.name} ${what}`.trim(), 22),
        color,
      })),
    );
    this.left = 50;
    this.right = 20 + 10.4 * Math.max(...ends.map((end) => end.text.length));
    this.bottom = this.height - 48;
    put(this.element, { viewBox: `0 0 ${width} ${this.height}`, width, height: this.height });
    this.dots = [];
    this.cursor = svg("line", { stroke: "#000000", "stroke-width": 2, y1: 6, y2: this.bottom, "data-cursor": "" });
    this.element.replaceChildren(
      ...this.axes(),
      ...this.runs.flatMap((run, n) => this.curves(run, n)),
      ...this.ends(ends),
      this.cursor,
      ...this.dots.flat(),
    );
    this.draw(this.step);
  }

  text(x, y, words, attributes = {}) {
    return svg("text", { x, y, "text-anchor": "middle", ...attributes }, words);
  }

  axes() {
    const parts = [],
      right = this.width - this.right,
      line = (x1, y1, x2, y2, extra = {}) => svg("line", { x1, y1, x2, y2, stroke: "#777777", ...extra });
    for (const value of ticks(this.low, this.high, 4)) {
      const y = this.y(value);
      parts.push(
        line(this.left, y, right, y, { stroke: "#e4e4e4" }),
        this.text(this.left - 8, y + 5, String(value), { "text-anchor": "end" }),
      );
    }
    const last = Math.max(...this.runs.map((run) => run.iterates)) - 1;
    const room = Math.max(1, (this.x(last) - this.x(0)) / 55);
    for (const s of ticks(0, last, Math.min(room, Math.max(last, 1))).filter(Number.isInteger))
      parts.push(this.text(this.x(s), this.bottom + 18, String(s)));
    const stops = [...new Set(this.runs.map((run) => run.stopped))].join(" / ");
    const letters = Math.floor((this.width - 20) / 8),
      words = `iteration, then rounding and edits; stopped: ${stops}`;
    parts.push(
      line(this.left, this.bottom, right, this.bottom),
      this.text(this.left, this.height - 8, shortened(words, letters), { "text-anchor": "start" }),
    );
    return parts;
  }

  // The gap, the two curves, and apart from them the roundings of the polish.
  curves(run, n) {
    const S = run.iterates,
      frames = run.rounded.map((_, frame) => frame),
      dash = n ? "7 5" : "none";
    const points = (curve, from, to) =>
      frames
        .slice(from, to)
        .filter((f) => curve[f] !== null)
        .map((f) => `${this.x(f).toFixed(1)},${this.y(curve[f]).toFixed(1)}`);
    const path = (curve, from, to, stroke, width) =>
      svg("polyline", {
        points: points(curve, from, to).join(" "),
        fill: "none",
        stroke,
        "stroke-width": width,
        "stroke-dasharray": dash,
        "stroke-linejoin": "round",
      });
    const border = (this.x(S - 1) + this.x(Math.min(S, run.last))) / 2,
      dot = (fill) => svg("circle", { r: 6.5, fill, stroke: "#ffffff", "stroke-width": 1.5 });
    this.dots.push([dot(VERMILION), dot(BLUE)]);
    const room = this.x(run.last) - border,
      named = this.runs.length > 1 || room < 45 ? "" : room < 120 ? "edits" : "rounding, edits";
    return [
      svg("polygon", {
        points: [...points(run.relaxed, 0, S), ...points(run.rounded, 0, S).reverse()].join(" "),
        fill: "#bbbbbb",
        "fill-opacity": 0.45 / this.runs.length,
      }),
      svg("line", { x1: border, x2: border, y1: 6, y2: this.bottom, stroke: GRAY, "stroke-dasharray": "2 4" }),
      this.text(border + 8, 20, named, { "text-anchor": "start" }),
      path(run.rounded, 0, S, VERMILION, 3),
      path(run.rounded, S, run.last + 1, VERMILION, 2),
      path(run.relaxed, 0, S, BLUE, 3),
      ...frames
        .slice(S)
        .filter((f) => run.rounded[f] !== null)
        .map((f) => svg("circle", { cx: this.x(f), cy: this.y(run.rounded[f]), r: 4.5, fill: VERMILION })),
    ];
  }

  // Names at the ends of the curves, moved apart.
  ends(ends) {
    let above = Infinity;
    ends
      .sort((a, b) => a.value - b.value)
      .forEach((end) => (end.y = above = Math.min(this.y(end.value), above - 19, this.bottom)));
    return ends.map(({ text, color, y }) =>
      this.text(this.width - this.right + 10, y + 5, text, {
        fill: color,
        "text-anchor": "start",
        "font-weight": 700,
      }),
    );
  }

  draw(step) {
    this.step = step;
    if (!this.width) return;
    const x = this.x(step).toFixed(1);
    put(this.cursor, { x1: x, x2: x });
    this.runs.forEach((run, n) =>
      [run.rounded, run.relaxed].forEach((curve, c) => {
        const frame = run.at(step),
          value = curve[frame],
          there = value !== null && value !== undefined;
        put(
          this.dots[n][c],
          there
            ? { cx: this.x(frame).toFixed(1), cy: this.y(value).toFixed(1), visibility: "visible" }
            : { visibility: "hidden" },
        );
      }),
    );
  }
}

// The figures of the frame: one row for each run.
class Figures {
  constructor(runs, names) {
    this.cells = runs.map(() => names.map(([, meaning]) => html("td", { class: "elekit-number", title: meaning })));
    const corner = runs.length > 1 ? [html("th", { scope: "col" }, "run")] : [];
    const rows = runs.map((run, n) =>
      html("tr", {}, ...(corner.length ? [html("th", { scope: "row" }, run.name)] : []), ...this.cells[n]),
    );
    this.runs = runs;
    this.element = html(
      "table",
      { class: "elekit-stepper-figures" },
      html(
        "thead",
        {},
        html(
          "tr",
          {},
          ...corner,
          ...names.map(([name, meaning]) => html("th", { scope: "col", title: meaning }, name)),
        ),
      ),
      html("tbody", {}, ...rows),
    );
  }

  draw(step) {
    this.runs.forEach((run, n) =>
      run.numbers[run.at(step)].forEach((value, c) => say(this.cells[n][c], value || "–")),
    );
  }
}

// What the colors mean: of labels and of halos.
function legend(palette) {
  const dots = palette.nodes
    .slice(0, 12)
    .map((name, k) =>
      html(
        "span",
        { class: "elekit-stepper-key" },
        svg(
          "svg",
          { width: 16, height: 16, "aria-hidden": "true" },
          svg("circle", { cx: 8, cy: 8, r: 7, fill: palette.colors[k] }),
        ),
        shortened(name, 20),
      ),
    );
  const halos = Object.values(palette.looks).map(([color, dashed, words]) =>
    html(
      "span",
      { class: "elekit-stepper-key" },
      svg(
        "svg",
        { width: 36, height: 16, "aria-hidden": "true" },
        svg("line", {
          x1: 1,
          x2: 35,
          y1: 8,
          y2: 8,
          stroke: color,
          "stroke-width": 8,
          "stroke-dasharray": dashed ? "9 7" : "none",
        }),
      ),
      words,
    ),
  );
  return html("div", { class: "elekit-row elekit-stepper-legend" }, ...dots, ...halos);
}

// Buttons, slider and speed; `sync` brings them in line with the model.
function controls(model, go, play, toggle, last) {
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
    "aria-label": "speed, frames a second",
    onchange: () => {
      model.set("speed", Number(speed.value));
      model.save_changes();
    },
  });
  const playing = button("Play", play, { class: "elekit-button elekit-stepper-play" });
  const overlay = button("What the loss wants", toggle, { title: "key g" });
  const jump = (text, name, to) => button(text, () => go(to()), { "aria-label": name, title: name });
  const here = () => model.get("step");
  const element = html(
    "div",
    { class: "elekit-row" },
    jump("|◀", "first frame", () => 0),
    jump("◀", "previous frame", () => here() - 1),
    playing,
    jump("▶", "next frame", () => here() + 1),
    jump("▶|", "last frame", () => last),
    slider,
    html("label", { class: "elekit-stepper-speed" }, "frames/s ", speed),
    overlay,
  );
  const sync = () => {
    const now = model.get("speed"),
      speeds = [...new Set([...SPEEDS, now])].sort((a, b) => a - b);
    if (speed.options.length !== speeds.length || Number(speed.value) !== now)
      speed.replaceChildren(
        ...speeds.map((each) => html("option", { value: each, selected: each === now }, String(each))),
      );
    say(playing, model.get("playing") ? "Pause" : "Play");
    put(playing, { "aria-pressed": String(model.get("playing")) });
    put(overlay, { "aria-pressed": String(model.get("show") === "gradient") });
  };
  return { element, slider, sync };
}

// The prediction set: what it says, and its graphs, small.
function members(found, palette) {
  const each = found.graphs.map(({ scene, words, name }, n) => {
    const view = new GraphView(palette, { label: `${n + 1} of ${found.graphs.length}: ${name}, ${words}` });
    view.show(scene);
    return html("li", {}, html("figure", {}, view.element, html("figcaption", {}, words)));
  });
  return html(
    "section",
    { class: "elekit-stepper-set", "aria-label": "prediction set" },
    html("p", { class: "elekit-stepper-says" }, found.says),
    control("ol", { tabindex: "0", "aria-label": "graphs of the set, the nearest first" }, ...each),
  );
}

const MOVES = {
  ArrowLeft: (step) => step - 1,
  ArrowRight: (step) => step + 1,
  PageUp: (step) => step - 10,
  PageDown: (step) => step + 10,
  Home: () => 0,
  End: () => Infinity,
};

function render({ model, el }) {
  const undo = [],
    palette = model.get("palette"),
    last = model.get("last"),
    root = frame(model, el, undo, "decoding, step by step");
  const view = model.get("numbers"); // a DataView
  const floats = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const place = { at: 0 },
    runs = model.get("runs").map((run) => new Run(run, palette, floats, place));
  const wishes = () => model.get("show") === "gradient";

  let saving = null,
    timer = null;
  const save = () => {
    saving = null;
    model.save_changes();
  };
  const go = (to) => {
    const step = clamp(to, 0, last);
    if (step === model.get("step")) return;
    model.set("step", step);
    saving ??= setTimeout(save, SAVED_AFTER);
  };
  const set = (trait, value) => {
    model.set(trait, value);
    model.save_changes();
  };
  const pause = () => model.get("playing") && set("playing", false);
  const jump = (to) => {
    pause();
    go(to);
  };
  const play = () => {
    if (!model.get("playing") && model.get("step") === last) go(0);
    set("playing", !model.get("playing"));
  };
  const toggle = () => set("show", wishes() ? "none" : "gradient");
  const tick = () => {
    const wait = 1000 / model.get("speed"),
      key = model.get("runs"),
      now = performance.now();
    if (now - (advanced.get(key) ?? 0) > 0.7 * wait) {
      advanced.set(key, now);
      if (model.get("step") >= last) return void pause();
      go(model.get("step") + 1);
    }
    timer = setTimeout(tick, wait);
  };

  const { element: row, slider, sync } = controls(model, jump, play, toggle, last);
  const chart = new Chart(runs, model.get("across"), jump),
    figures = new Figures(runs, palette.numbers);
  const reading = html(
    "div",
    { class: "elekit-stepper-reading", "aria-live": "polite" },
    ...runs.map(() => html("p")),
  );
  const graphs = html("div", { class: "elekit-stepper-graphs" }, ...runs.map((run) => run.element));
  const truth = model.get("truth_scene");
  if (truth?.nodes) {
    const drawn = new GraphView(palette, { label: "the true graph" });
    drawn.show(truth);
    graphs.append(
      html(
        "figure",
        { class: "elekit-stepper-truth" },
        html("figcaption", { class: "elekit-title" }, "truth"),
        drawn.element,
      ),
    );
  }
  const found = model.get("found"),
    told = found?.says ? [members(found, palette)] : [];
  const keys = "Keys: ← → one frame, Page Up/Down ten, Home, End; Space plays; g shows what the loss wants.";
  root.append(
    row,
    reading,
    graphs,
    ...told,
    legend(palette),
    chart.element,
    figures.element,
    html("p", { class: "elekit-small" }, keys),
  );
  fill(root, { tabindex: "0", class: `elekit elekit-stepper elekit-stepper-${runs.length}` }, []);
  chart.element.addEventListener("pointerdown", () => slider.focus({ preventScroll: true }));

  root.addEventListener("keydown", (event) => {
    const tag = event.target.tagName;
    if (event.ctrlKey || event.altKey || event.metaKey || tag === "SELECT") return;
    if (MOVES[event.key]) jump(MOVES[event.key](model.get("step")));
    else if (event.key === " " && tag !== "BUTTON") event.repeat || play();
    else if (event.key === "g") toggle();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const draw = () => {
    const step = model.get("step");
    runs.forEach((run, n) => {
      run.draw(step, wishes());
      say(reading.children[n], run.reading(step, wishes()));
    });
    chart.draw(step);
    figures.draw(step);
    slider.value = step;
    put(slider, { "aria-valuetext": runs.map((run) => run.names[run.at(step)]).join("; ") });
  };
  follow(model, undo, ["step", "show"], draw);
  follow(model, undo, ["speed", "playing", "show"], sync);
  follow(model, undo, "playing", () => {
    clearTimeout(timer);
    put(reading, { "aria-live": model.get("playing") ? "off" : "polite" });
    if (model.get("playing")) timer = setTimeout(tick, 1000 / model.get("speed"));
  });
  const watch = new ResizeObserver(() => root.clientWidth > 20 && chart.resize(root.clientWidth - 20)); // hidden, it has no width
  watch.observe(root);
  chart.resize(root.clientWidth > 20 ? root.clientWidth - 20 : 800);
  undo.push(
    () => watch.disconnect(),
    () => clearTimeout(timer),
    () => saving !== null && (clearTimeout(saving), save()),
  );
  return () => undo.forEach((stop) => stop());
}

export { render };
