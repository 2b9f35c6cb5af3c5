// The loss inspector. What it shows lives in the model's traits; order, filter and preview are only looked at, here.

import { button, clamp, follow, html, say, shortened, svg } from "./dom.js";
import { BLUE, between, GRAY, GraphView, pairNumber, RADIUS, UNIT, VERMILION } from "./graph.js";

const ROWS = 300; // of edits that are put into the document at a time
const PAUSE = 250; // ms after which the kernel is asked what separates the neighbors: prices come first
const THIN = 5,
  WIDE = 17,
  PREVIEW = "#E69F00",
  GREEN = "#009E73";
const KINDS = ["relabel", "remove node", "add node", "change edge"];

const ordinal = (n) =>
  n === 1 ? "" : `${n}${["th", "st", "nd", "rd"][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? "th"} `;
const signed = (value, digits) =>
  (Math.abs(value) < 0.5 * 10 ** -digits ? "" : value > 0 ? "+" : "−") + Math.abs(value).toFixed(digits);
const linked = (scene, [i, j]) => scene.edges.find((edge) => edge[0] === i && edge[1] === j)?.[2] ?? 0;
const short = (text) => shortened(text, 60);

// Draw now and once after any number of the traits changed together.
function keep(model, undo, traits, draw) {
  let due = false;
  follow(model, undo, traits, () => {
    if (due) return;
    due = true;
    queueMicrotask(() => ((due = false), draw()));
  });
}

// -- words ------------------------------------------------------------------------------------------------------
function edited(table, row, scene, { nodes, edges }) {
  const node = table.node[row],
    pair = table.pair[row];
  const [old, now] = [nodes[scene.nodes[node] - 1], nodes[table.label[row] - 1]].map(short);
  const [before, after] = [pair ? edges[linked(scene, pair) - 1] : "", edges[table.edge[row] - 1]].map(
    (name) => name && short(name),
  );
  switch (table.kind[row]) {
    case "relabel":
      return `Changing node ${node} from ${old} to ${now}`;
    case "remove node":
      return `Removing node ${node} (${old})`;
    case "add node":
      return `Adding a node ${now}` + (pair ? ` to node ${pair[0] + pair[1] - node} (${after})` : "");
  }
  if (!before) return `Joining nodes ${pair[0]} and ${pair[1]} (${after})`;
  return after
    ? `Changing edge ${pair.join("-")} from ${before} to ${after}`
    : `Removing edge ${pair.join("-")} (${before})`;
}

function reading(model, row) {
  const table = model.get("table"),
    [price, change] = [table.price[row], table.change[row]];
  const words = `${edited(table, row, model.get("scene"), model.get("palette"))} costs ${price.toFixed(3)}`;
  const rank = 1 + table.price.filter((other, r) => table.valid[r] && other < price).length;
  const valid = table.valid.filter(Boolean).length;
  const rest = table.valid[row]
    ? `; it would be the ${ordinal(rank)}cheapest of ${valid} valid edits.`
    : ", but is not valid.";
  const pieces = table.connected[row] ? "" : " It leaves the graph in pieces.";
  if (Math.abs(price - change) < 1e-5) return words + rest + pieces; // the anchor is the graph itself
  const after = Math.max(0, model.get("loss") + change).toFixed(3);
  return `${words}${rest}${pieces} The loss to the anchor would ${change > 0 ? "rise" : "fall"} by ${Math.abs(change).toFixed(3)} to ${after}.`;
}

function partName({ node, pair }, scene, palette) {
  if (pair) return `Pair ${pair.join("-")} (${short(palette.edges[linked(scene, pair) - 1] ?? "no edge")})`;
  return `Node ${node} (${short(palette.nodes[scene.nodes[node] - 1] ?? "absent")})`;
}

// Whether an edit belongs to the part that is picked.
function concerns(table, row, { node, pair }) {
  const at = table.pair[row];
  if (pair) return table.kind[row] === "change edge" && at[0] === pair[0] && at[1] === pair[1];
  if (node === undefined) return true;
  return table.node[row] === node || (table.kind[row] === "add node" && at !== null && at.includes(node));
}

// -- the drawn graph ------------------------------------------------------------------------------------------
const flip = ([x, y]) => [x * UNIT, -y * UNIT];

class Drawing {
  constructor(model, label, onpick) {
    this.model = model;
    this.view = new GraphView(model.get("palette"), { label, onpick });
    this.notes = svg("g", { "pointer-events": "none" });
    this.view.element.append(this.notes);
  }

  show(scene) {
    const active = this.view.element.getRootNode().activeElement,
      focused = this.view.element.contains(active) && active.dataset.part;
    const there = scene.positions.map((at, i) => [at, scene.spots[i]]).filter(([, spot]) => spot);
    const reach = ([[x, y], [u, v]]) => [
      [x - 0.1, y - 0.1],
      [x + 0.1, y + 0.1],
      [x + 0.82 * (u - x), y + 0.82 * (v - y)],
    ]; // rings, added nodes
    const words = [...scene.words.filter(Boolean), ...there.flatMap(reach)];
    this.scene = scene;
    this.view.show(scene, { around: words.length ? words : scene.positions });
    this.still = this.view.last; // what a preview comes back to
    this.view.element.append(this.notes);
    const [, , width, height] = this.view.element.getAttribute("viewBox").split(" ").map(Number);
    const scale = Math.min((this.view.element.clientWidth || 430) / width, 430 / height);
    this.size = clamp(14.5 / scale, 17, 34); // of words: as large as text around
    if (focused) this.view.parts.get(focused)?.group.focus();
  }

  // halos: {nodes, pairs} as of GraphView.mark, each with `words` that are written beside. picked: a part.
  mark(halos, picked, row) {
    const { scene } = this,
      extra = [];
    this.view.mark(halos);
    if (picked.node !== undefined) extra.push(...this.outline([picked.node], null, "#000000", 20));
    if (picked.pair) extra.push(...this.outline(picked.pair, picked.pair, "#000000", 20));
    const preview = row === null ? [] : this.preview(row);
    if (row === null) this.view.draw(this.still.nodes, this.still.edges);
    scene.words.forEach(
      (at, i) =>
        at && extra.push(this.word(at, `${i}${halos.nodes.get(i)?.words ? ": " + halos.nodes.get(i).words : ""}`)),
    );
    for (const [i, j, x, y] of scene.sides)
      extra.push(this.word([x, y], halos.pairs.get(pairNumber(i, j, scene.nodes.length))?.words ?? ""));
    this.notes.replaceChildren(...extra, ...preview);
    this.view.parts.forEach(({ group, title }, key) => {
      const [i, j] =
        key[0] === "n"
          ? [Number(key.slice(1))]
          : group.querySelector("[data-edge]").dataset.edge.split("-").map(Number);
      const on =
        j === undefined
          ? picked.node === i || picked.pair?.includes(i)
          : picked.pair?.[0] === i && picked.pair[1] === j;
      if (this.view.onpick) group.setAttribute("aria-pressed", Boolean(on));
      const words = (j === undefined ? halos.nodes.get(i) : halos.pairs.get(pairNumber(i, j, scene.nodes.length)))
        ?.title;
      if (words) group.setAttribute("aria-label", `${title.textContent}; ${words}`);
    });
  }

  word(at, text) {
    const [x, y] = flip(at),
      look = { class: "elekit-word", "text-anchor": "middle", "dominant-baseline": "central" };
    return svg("text", { ...look, x, y, "font-size": this.size.toFixed(1) }, text);
  }

  outline(nodes, pair, stroke, room, dash = "none") {
    const rings = nodes
      .map((i) => [i, this.view.positions[i]])
      .map(([, [cx, cy]]) =>
        svg("circle", {
          cx,
          cy,
          r: RADIUS + room,
          fill: "none",
          stroke,
          "stroke-width": 5,
          "stroke-dasharray": dash,
        }),
      );
    if (!pair) return rings;
    const [[x1, y1], [x2, y2]] = pair.map((i) => this.view.positions[i]);
    return [svg("line", { x1, y1, x2, y2, stroke, "stroke-width": 5, "stroke-dasharray": "4 9" }), ...rings];
  }

  // What an edit makes, drawn in place: new labels and edges, a node that would come as a dashed circle.
  preview(row) {
    const { model, scene, view } = this,
      table = model.get("table"),
      node = table.node[row],
      pair = table.pair[row];
    const nodes = this.still.nodes.slice(),
      edges = this.still.edges.slice();
    const set = (values, at, size, channel) =>
      values.fill(0, at * size, (at + 1) * size).fill(1, at * size + channel, at * size + channel + 1);
    if (table.kind[row] === "add node") {
      view.draw(nodes, edges);
      return this.ghost(table, row);
    }
    if (node >= 0) set(nodes, node, view.K, table.label[row]);
    else set(edges, pairNumber(pair[0], pair[1], scene.nodes.length), view.R, table.edge[row]);
    view.draw(nodes, edges);
    return node >= 0
      ? this.outline([node], null, PREVIEW, 27, "10 6")
      : this.outline(pair, pair, PREVIEW, 27, "10 6");
  }

  ghost(table, row) {
    const { scene, view } = this,
      pair = table.pair[row],
      palette = this.model.get("palette");
    const old = pair ? pair[0] + pair[1] - table.node[row] : null;
    const [cx, cy] = old === null ? [0, 0] : flip(scene.spots[old]),
      [x1, y1] = old === null ? [cx, cy] : view.positions[old];
    const name = shortened(palette.nodes[table.label[row] - 1], 6),
      strokes = pair && palette.strokes ? palette.strokes[table.edge[row] - 1] : 1;
    const length = Math.hypot(cx - x1, cy - y1) || 1,
      across = [(y1 - cy) / length, (cx - x1) / length];
    const lines = Array.from({ length: strokes }, (_, n) => 17 * (n - (strokes - 1) / 2)).map((off) =>
      svg("line", {
        x1: x1 + off * across[0],
        y1: y1 + off * across[1],
        x2: cx + off * across[0],
        y2: cy + off * across[1],
        stroke: PREVIEW,
        "stroke-width": 7,
      }),
    );
    const disc = svg("circle", {
      cx,
      cy,
      r: RADIUS,
      fill: "#ffffff",
      stroke: PREVIEW,
      "stroke-width": 6,
      "stroke-dasharray": "10 6",
    });
    const text = svg(
      "text",
      {
        x: cx,
        y: cy,
        class: "elekit-label",
        "text-anchor": "middle",
        "dominant-baseline": "central",
        "font-size": clamp(92 / Math.max(name.length, 2), 13, 33),
      },
      name,
    );
    return [...lines, disc, text];
  }
}

// -- halos ----------------------------------------------------------------------------------------------------
const share = ({ low, high }, price) => clamp((price - low) / (high - low), 0, 1);

function priceHalos(model) {
  const heat = model.get("heat"),
    scene = model.get("scene"),
    N = scene.nodes.length;
  const look = (price) =>
    price === null
      ? { color: GRAY, width: THIN, dashed: true, words: "none", title: "no valid edit" }
      : {
          color: between(heat.ramp, share(heat, price)),
          width: THIN + (WIDE - THIN) * share(heat, price),
          words: price.toFixed(2),
          title: `cheapest valid edit ${price.toFixed(3)}`,
        };
  const prices = new Map(heat.pairs.map(([i, j, price]) => [pairNumber(i, j, N), price])),
    pairs = new Map();
  for (const [i, j] of scene.edges) {
    const halo = look(prices.get(pairNumber(i, j, N)) ?? null);
    pairs.set(pairNumber(i, j, N), { ...halo, width: 14 + 1.5 * halo.width });
  }
  return {
    nodes: new Map(
      scene.nodes
        .map((k, i) => [i, k])
        .filter(([, k]) => k)
        .map(([i]) => [i, look(heat.nodes[i])]),
    ),
    pairs,
  };
}

function shareHalos({ nodes, pairs }, largest) {
  const N = nodes.length;
  const look = (value) => ({
    color: value < 0 ? VERMILION : BLUE,
    dashed: value < 0,
    width: Math.max(2, (WIDE * Math.abs(value)) / largest),
    words: signed(value, 2),
    title: `${value < 0 ? "keeps apart" : "brings together"}, ${signed(value, 3)}`,
  });
  const wide = (halo) => ({ ...halo, width: 14 + 1.5 * halo.width });
  return {
    nodes: new Map(
      nodes
        .map((value, i) => [i, value])
        .filter(([, value]) => value !== null)
        .map(([i, value]) => [i, look(value)]),
    ),
    pairs: new Map(pairs.map(([i, j, value]) => [pairNumber(i, j, N), wide(look(value))])),
  };
}

// What the halos of prices mean: a wedge from thin and dark to wide and light, with the prices at its ends.
function legend(model) {
  const wedge = svg("svg", { viewBox: "0 0 240 24", class: "elekit-wedge", "aria-hidden": "true" });
  const [low, high] = [html("span", { class: "elekit-number" }), html("span", { class: "elekit-number" })];
  const prices = html(
    "div",
    { class: "elekit-row elekit-key" },
    low,
    wedge,
    high,
    "price of the cheapest valid edit; thin: the loss hardly minds",
  );
  const sample = (stroke, dash) =>
    svg(
      "svg",
      { viewBox: "0 0 44 14", class: "elekit-sample", "aria-hidden": "true" },
      svg("line", { x1: 0, y1: 7, x2: 44, y2: 7, stroke, "stroke-width": 10, "stroke-dasharray": dash }),
    );
  const shares = html(
    "div",
    { class: "elekit-row elekit-key" },
    sample(BLUE, "none"),
    "+ brings together",
    sample(VERMILION, "9 7"),
    "− keeps apart",
  );
  const draw = () => {
    const heat = model.get("heat"),
      look = model.get("view");
    say(low, heat.low.toFixed(2));
    say(high, heat.high.toFixed(2));
    wedge.replaceChildren(
      ...Array.from({ length: 24 }, (_, n) =>
        svg("rect", {
          x: 10 * n,
          y: 12 - (4 + n / 3),
          width: 10.5,
          height: 8 + (2 * n) / 3,
          fill: between(heat.ramp, n / 23),
        }),
      ),
    );
    prices.hidden = look !== "price";
    shares.hidden = look === "price";
  };
  return { element: html("div", {}, prices, shares), draw };
}

// -- the map --------------------------------------------------------------------------------------------------
const WIDTH = 480,
  HEIGHT = 330,
  EDGE = 34,
  LEAST = 0.25; // of the map, what is shown near the path
const AROUND = Array.from({ length: 16 }, (_, n) => [Math.cos((n * Math.PI) / 8), Math.sin((n * Math.PI) / 8)]);

function mapPanel(w) {
  const { model } = w,
    canvas = html("canvas", { width: 2 * WIDTH, height: 2 * HEIGHT, "aria-hidden": "true" });
  const over = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }),
    note = html("span", { class: "elekit-small" });
  let whole = false,
    drawn = "";
  const zoom = button("whole map", () => {
    whole = !whole;
    draw();
  });

  const bounds = (xs, ys) =>
    [xs, ys].map((values) =>
      values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]),
    );
  function limits() {
    const context = model.get("context"),
      { places, anchor } = model.get("path");
    const marked = [...places, anchor, ...model.get("neighbors").map(({ place }) => place)],
      every = [...marked];
    for (let n = 0; n < context.length; n += 2) every.push([context[n], context[n + 1]]);
    const all = bounds(
        every.map((p) => p[0]),
        every.map((p) => p[1]),
      ),
      some = bounds(
        marked.map((p) => p[0]),
        marked.map((p) => p[1]),
      );
    return whole
      ? all
      : some.map(([low, high], c) => {
          const missing = Math.max(0, LEAST * (all[c][1] - all[c][0]) - (high - low)) / 2;
          return [low - missing, high + missing];
        });
  }

  function draw() {
    const [[left, right], [bottom, top]] = limits(),
      context = model.get("context");
    const scale = Math.min((WIDTH - 2 * EDGE) / (right - left || 1), (HEIGHT - 2 * EDGE) / (top - bottom || 1));
    const at = ([x, y]) => [
      WIDTH / 2 + scale * (x - (left + right) / 2),
      HEIGHT / 2 - scale * (y - (bottom + top) / 2),
    ];
    const key = `${context.length} ${model.get("map_note")} ${[left, right, bottom, top]}`; // the background is drawn anew only when it changed
    if (key !== drawn) {
      drawn = key;
      const brush = canvas.getContext("2d"),
        size = whole && context.length > 4000 ? 3 : 6;
      brush.clearRect(0, 0, 2 * WIDTH, 2 * HEIGHT);
      brush.fillStyle = "rgba(110,110,110,0.4)";
      for (let n = 0; n < context.length; n += 2) {
        const [x, y] = at([context[n], context[n + 1]]);
        brush.fillRect(2 * x - size / 2, 2 * y - size / 2, size, size);
      }
    }
    over.replaceChildren(...marks(at));
    zoom.setAttribute("aria-pressed", whole);
    say(note, model.get("map_note"));
    const around = model
      .get("neighbors")
      .map(({ name }, n) => `${"abcd"[n]} ${short(name)}`)
      .join(", ");
    over.setAttribute(
      "aria-label",
      `map of the embedding: ${model.get("path").places.length} graphs visited, shown is number ${model.get("at")}` +
        (around ? `; nearest known graphs: ${around}` : ""),
    );
  }

  // The path, the neighbors and the anchor: a point each, and beside it a letter or number where most is free.
  function marks(at) {
    const { places, anchor } = model.get("path"),
      now = model.get("at"),
      spots = places.map(at),
      made = [],
      taken = [];
    const line = (points, dash) =>
      points.length > 1 &&
      made.push(
        svg("polyline", {
          points: points.map((p) => p.join(",")).join(" "),
          fill: "none",
          stroke: "#000000",
          "stroke-width": 2.5,
          "stroke-dasharray": dash,
        }),
      );
    line(spots.slice(now), "4 6");
    line(spots.slice(0, now + 1), "none");
    const points = model
      .get("neighbors")
      .map(({ place }, n) => ({ at: at(place), text: "abcd"[n], fill: GREEN, square: true }));
    if (!["original", "current"].includes(model.get("anchor_name")))
      points.push({ at: at(anchor), text: "anchor", fill: VERMILION, square: true });
    spots.forEach((spot, n) => n !== now && points.push({ at: spot, text: n, fill: "#ffffff" }));
    if (spots[now]) points.push({ at: spots[now], text: now, fill: BLUE, large: true });
    taken.push(...points.map((point) => point.at));
    const labels = points.reverse().map(({ at: [x, y], text, large }) => {
      const far = String(text).length > 3 ? 44 : 20,
        tried = AROUND.map(([c, s]) => [x + far * c, y + 20 * s]);
      const free = tried.map(([u, v]) =>
        taken.reduce(
          (least, [a, b]) => Math.min(least, Math.hypot(a - u, b - v)),
          Math.min(40, u, v, WIDTH - u, HEIGHT - v),
        ),
      );
      const [u, v] = tried[free.indexOf(Math.max(...free))];
      taken.push([u, v]);
      made.push(svg("line", { x1: x, y1: y, x2: u, y2: v, stroke: "#555555", "stroke-width": 1 }));
      return svg(
        "text",
        {
          x: u,
          y: v,
          "font-size": large ? 21 : 17,
          class: "elekit-word",
          style: "font-weight:700",
          "text-anchor": "middle",
          "dominant-baseline": "central",
        },
        text,
      );
    });
    for (const {
      at: [x, y],
      fill,
      square,
      large,
    } of points.reverse()) {
      const size = large ? 8 : 5,
        look = { fill, stroke: "#000000", "stroke-width": 1.5 };
      made.push(
        square
          ? svg("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size, ...look })
          : svg("circle", { cx: x, cy: y, r: size, ...look }),
      );
    }
    return [...made, ...labels];
  }

  const root = html(
    "div",
    { class: "elekit-column elekit-map" },
    html("div", { class: "elekit-row" }, html("p", { class: "elekit-title" }, "On the map"), zoom),
    html("div", { class: "elekit-sheet" }, canvas, over),
    note,
  );
  return { element: root, traits: ["path", "context", "neighbors", "at", "map_note", "anchor_name"], draw };
}

export {
  concerns,
  Drawing,
  KINDS,
  keep,
  legend,
  mapPanel,
  PAUSE,
  partName,
  priceHalos,
  ROWS,
  reading,
  share,
  shareHalos,
  short,
  signed,
};
