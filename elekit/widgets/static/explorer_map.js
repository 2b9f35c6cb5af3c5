// Below the map: what its colors mean, what is selected, walking by keys, how far it can be trusted.
// On the map: marks for the pinned graph, its neighbors, predictions and decoding runs, over jupyter-scatter's canvas.

import { ask, button, control, follow, frame, html, put, say, shortened, svg } from "./dom.js";

const chip = (color) => html("span", { class: "elekit-chip", style: `background:${color}`, "aria-hidden": "true" });

function legendOf({ classes, ramp, numbers }) {
  const parts = classes.map(({ color, words, count }) =>
    html(
      "li",
      {},
      chip(color),
      `${shortened(words, 26)} `,
      html("span", { class: "elekit-small" }, count.toLocaleString("en")),
    ),
  );
  if (ramp.length) {
    const half = Math.ceil(ramp.length / 2),
      bar = (colors) =>
        html("span", {
          class: "elekit-ramp",
          style: `background:linear-gradient(to right,${colors.join(",")})`,
          "aria-hidden": "true",
        });
    parts.unshift(
      html(
        "li",
        { class: "elekit-scale" },
        numbers[0],
        bar(ramp.slice(0, half)),
        numbers[1],
        bar(ramp.slice(half - 1)),
        numbers[2],
      ),
    );
  }
  return html("ul", { class: "elekit-legend", "aria-label": "what the colors mean" }, ...parts);
}

// A key that tells what the marks mean, as far as there are any.
function keyOf(marks) {
  const kinds = new Set(marks.flatMap((map) => [...map.dots, ...map.lines].map((mark) => mark.kind)));
  const words = {
    pinned: "◎ pinned",
    neighbor: "① … its neighbors by the loss",
    prediction: "◇ prediction h(x)",
    path: "○─■ decoding run",
  };
  return Object.keys(words)
    .filter((kind) => kinds.has(kind))
    .map((kind) => words[kind])
    .join("   ");
}

// Marks over one map. jupyter-scatter keeps its plot in `.api` of the element that holds its canvas; where that is not
// to be found, the map goes without marks.
class Marks {
  constructor(home) {
    this.home = home;
    this.distance = 1;
    this.late = 0;
    this.api = home.api;
    this.lines = svg("g", { class: "elekit-mark-lines" });
    this.dots = svg("g");
    this.layer = svg("svg", { class: "elekit-marks", "aria-hidden": "true" }, this.lines, this.dots);
    home.append(this.layer);
    this.move = () => this.place();
    this.api.subscribe("draw", this.move); // not "view": it does not tell of a camera that was set
    this.observer = new ResizeObserver(() =>
      requestAnimationFrame(() => {
        this.fit();
        this.move();
      }),
    );
    this.observer.observe(home);
  }

  // Whether there is still a plot to ask.
  lives() {
    return this.home.isConnected && !this.api.get("isDestroyed");
  }

  // Whether other points than these are drawn, and have been for a second: the plot drops what comes while it draws.
  missed(version) {
    const drawn = this.lives() ? this.api.get("points")?.[0]?.[3] : undefined;
    this.late = drawn === undefined || drawn === version ? 0 : this.late + 1;
    if (this.late < 4) return false;
    this.late = 0;
    return true;
  }

  show({ dots, lines }) {
    this.placed = [];
    this.lines.replaceChildren(
      ...lines.map(({ kind, points }) => {
        const line = svg("polyline", { class: `elekit-mark-${kind}` });
        this.placed.push((at) => line.setAttribute("points", points.map((p) => at(p).join(",")).join(" ")));
        return line;
      }),
    );
    this.dots.replaceChildren(
      ...dots.map(({ kind, at: where, number }) => {
        const group = svg(
          "g",
          { class: `elekit-mark-${kind}`, "data-mark": number && kind === "neighbor" ? `${kind}-${number}` : kind },
          ...shapeOf(kind, number),
        );
        this.placed.push((at) => group.setAttribute("transform", `translate(${at(where).join(",")})`));
        return group;
      }),
    );
    this.place();
  }

  // Where places on the canvas are on the screen, as the camera sees them now: regl-scatterplot's own scales lag behind.
  place() {
    if (!this.lives()) return;
    const v = this.api.get("cameraView"),
      width = this.home.clientWidth,
      height = this.home.clientHeight;
    if (!v || !this.placed || !width) return;
    const at = ([x, y]) => [
      (((v[0] * x + v[4] * y + v[12]) * height + width) / 2).toFixed(1),
      (((1 - (v[1] * x + v[5] * y + v[13])) * height) / 2).toFixed(1),
    ];
    this.placed.forEach((put) => put(at));
  }

  // A canvas that is higher than wide would cut the map off at its sides: stand back, and again when its shape changes.
  fit() {
    if (!this.lives()) return;
    const { width, height } = this.home.getBoundingClientRect(),
      distance = width > 0 ? Math.max(1, height / width) : 1;
    if (Math.abs(distance - this.distance) > 0.01) this.api.set({ cameraDistance: distance });
    this.distance = distance;
  }

  remove() {
    this.observer.disconnect();
    this.api.unsubscribe("draw", this.move);
    this.layer.remove();
  }
}

function shapeOf(kind, number) {
  if (kind === "pinned") return [svg("circle", { r: 10, class: "elekit-halo" }), svg("circle", { r: 10 })];
  if (kind === "neighbor") {
    const angle = (2 * Math.PI * number) / 8,
      [x, y] = [24 * Math.cos(angle), -24 * Math.sin(angle)];
    return [
      svg("circle", { r: 5 }),
      svg("line", { x1: x / 4, y1: y / 4, x2: 0.65 * x, y2: 0.65 * y }),
      svg("text", { x, y, "text-anchor": "middle", "dominant-baseline": "central" }, String(number)),
    ];
  }
  if (kind === "start") return [svg("circle", { r: 7 })];
  if (kind === "end") return [svg("rect", { x: -6, y: -6, width: 12, height: 12 })];
  const r = number ? 4 : 7; // a prediction of a selected graph, or of the pinned one
  return [svg("path", { d: `M0,${-r}L${r},0L0,${r}L${-r},0z` })];
}

// jupyter-scatter draws every plot of the page on one hidden canvas as large as the window and copies from it: by software
// that is half of what a redraw costs. Where all plots are explorers', it need not be larger than the largest of them.
function fitHiddenCanvas(whole = false) {
  const plots = new Set(
    [...document.querySelectorAll("canvas")]
      .map((canvas) => canvas.parentElement?.parentElement)
      .filter((node) => node?.api && !node.api.get("isDestroyed")),
  );
  const [first] = plots,
    most = (side) => Math.max(...[...plots].map((plot) => plot[side]));
  if (!first || !most("clientWidth")) return;
  const ours = !whole && [...plots].every((plot) => plot.closest(".elekit-map")),
    renderer = first.api.get("renderer");
  const [width, height] = ours
    ? [most("clientWidth"), most("clientHeight")]
    : [window.innerWidth, window.innerHeight];
  const off = (is, wanted) => Math.abs(is / window.devicePixelRatio - wanted) > 2;
  if (!off(renderer.canvas.width, width) && !off(renderer.canvas.height, height)) return;
  renderer.resize(width, height);
  plots.forEach((plot) => plot.api.redraw());
}

// Find the maps of this view of the explorer, put marks on them, and again where a map was drawn anew.
function overlay(model, el, undo) {
  const shown = [];
  const look = () => {
    const homes = [...(el.closest(".elekit-explorer")?.querySelectorAll(".elekit-map") ?? [])].map((map) =>
      [...map.querySelectorAll("div")].find((node) => node.api),
    );
    homes.forEach((home, k) => {
      if (!home || shown[k]?.home === home) return;
      shown[k]?.remove();
      shown[k] = new Marks(home);
      shown[k].fit();
      draw();
    });
  };
  const draw = () => {
    const marks = model.get("marks"),
      words = model.get("alternative");
    shown.forEach((map, k) => {
      map?.show(marks[k] ?? { dots: [], lines: [] });
      const canvas = map?.home.querySelector("canvas");
      if (canvas) put(canvas, { role: "img", "aria-label": words });
    });
  };
  const timer = setInterval(() => {
    look();
    fitHiddenCanvas();
    const painted = model.get("painted");
    shown.forEach((map, k) => map?.missed(painted[k]) && ask(model, "repaint", { map: k }));
  }, 300);
  follow(model, undo, ["marks", "alternative"], draw);
  undo.push(() => {
    clearInterval(timer);
    shown.forEach((map) => map?.remove());
    fitHiddenCanvas(true); // for plots of others; the next explorer fits it anew
  });
}

function walker(model) {
  const directions = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
  return button("Walk by arrow keys", (event) => event.currentTarget.focus(), {
    "aria-label":
      "Walk on the map: arrow keys pin the nearest graph in that direction, Enter adds it to the selection or takes it out",
    title:
      "Focus this, then: arrow keys pin the nearest graph in that direction, Enter adds it to the selection or takes it out",
    onkeydown: (event) => {
      if (directions[event.key]) ask(model, "walk", { direction: directions[event.key] });
      else if (event.key === "Enter" || event.key === " ") ask(model, "toggle");
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
  });
}

function render({ model, el }) {
  const undo = [],
    root = frame(model, el, undo, "About the map");
  const columns = control("select", {
    "aria-label": "Color by",
    onchange: () => ask(model, "color", { column: columns.value }),
  });
  const legend = html("div", { class: "elekit-grow" }),
    key = html("span", { class: "elekit-small" });
  const selected = html("span", { "aria-live": "polite" }),
    trust = html("span", {}),
    busy = html("span", { role: "status" });
  const clear = button("Clear selection", () => ask(model, "select", { what: "none" })),
    make = button("", () => ask(model, "make_umap"));
  root.append(
    html(
      "div",
      { class: "elekit-row elekit-top" },
      html("label", { class: "elekit-row" }, "Color by ", columns),
      legend,
    ),
    html("div", { class: "elekit-row" }, selected, clear, walker(model), key),
    html("div", { class: "elekit-row" }, trust, make, busy),
  );
  follow(model, undo, "columns", () =>
    columns.replaceChildren(
      ...model.get("columns").map((name) => html("option", { value: name }, shortened(name, 40))),
    ),
  );
  follow(model, undo, ["color_by", "columns"], () => (columns.value = model.get("color_by")));
  follow(model, undo, "legend", () => legend.replaceChildren(legendOf(model.get("legend"))));
  follow(model, undo, ["selected", "any_selected"], () => {
    say(selected, model.get("selected"));
    clear.disabled = !model.get("any_selected");
  });
  follow(model, undo, "trust", () => say(trust, model.get("trust")));
  follow(model, undo, "marks", () => say(key, keyOf(model.get("marks"))));
  follow(model, undo, ["offer", "busy"], () => {
    say(make, model.get("offer"));
    make.hidden = !model.get("offer") || Boolean(model.get("busy"));
    say(busy, model.get("busy"));
  });
  overlay(model, el, undo);
  return () => undo.forEach((stop) => stop());
}

export { render };
