// The one module that draws a graph, relaxed or not, as SVG. All widgets use it.

import { clamp, fill, KEEP_KEYS, setText, shortened, svg, update } from "./dom.js";

/** @import { Center, Halo, Halos, Palette, Part, Point, Scene } from "./types.d.ts" */
/** @typedef {(part: Part, event: MouseEvent | KeyboardEvent) => void} OnPick */
/** @typedef {{ part: Part, group: SVGGElement, title: SVGTitleElement, words: string }} Drawing */
/** @typedef {Map<number, Float32Array>} Pairs Shares by pair number; a pair that is not listed is "no edge". */
/** @typedef {Drawing & { disk: SVGCircleElement, rim: SVGCircleElement, radius: number, text: SVGTextElement, number: SVGTextElement | null, wedges: SVGPathElement[] }} NodeDrawing */
/** @typedef {Drawing & { lines: SVGLineElement[], head: SVGPolygonElement | null, text: SVGTextElement | null }} PairDrawing */

const UNIT = 100; // size of one unit of a layout, about the length of an edge
const RADIUS = 30; // of a node, as in elekit.draw
const VERTEX = 11; // of a carbon with bonds
const GAP = 17; // between the lines of a double bond
const SHORT = 14; // by how much a line inside a ring is shorter at each end
const BESIDE = 16; // of the label of an arrow, from its line
const HEAD = [22, 18]; // length and width of the head of an arrow
const AROMATIC = 1.5; // lines of an aromatic bond, the second one dashed
const MARGIN = 48; // around the graph
const LEAST = 0.05; // probabilities below are not drawn, as in elekit.draw
const PURE = 0.95; // a node above this share is certain
const DEEPEST = 16; // magnification
const NUMBER = 19; // size of a node's number
const LEGIBLE = 7; // pixels; smaller numbers are hidden
const BLUE = "#0072B2"; // colors of Okabe and Ito
const VERMILION = "#D55E00";
const ORANGE = "#E69F00";
const GREEN = "#009E73";
const GRAY = "#999999";
const INK = "var(--elekit-ink)"; // of the theme
const PAPER = "var(--elekit-paper)";
const CENTERED = { "text-anchor": "middle", "dominant-baseline": "central" };

/**
 * Index of the pair i < j among N nodes, row by row, as `torch.triu_indices`.
 * @param {number} i
 * @param {number} j
 * @param {number} N
 */
const pairNumber = (i, j, N) => i * N - (i * (i + 1)) / 2 + (j - i - 1);

/**
 * @param {string} color "#rrggbb"
 * @returns {number[]}
 */
const channels = (color) => [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));

/**
 * The color at a share in [0, 1] of a ramp of "#rrggbb"; lighter on a dark background, where dark ends do not show.
 * @param {string[]} ramp
 * @param {number} share
 */
function rampColor(ramp, share) {
  const at = clamp(share, 0, 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  const [from, to] = [channels(ramp[low]), channels(ramp[low + 1])];
  const color = `rgb(${from.map((value, k) => Math.round(value + (at - low) * (to[k] - value))).join(",")})`;
  return `color-mix(in srgb, ${color} 68%, light-dark(${color}, #fff))`;
}

/**
 * White or black, whichever reads better on a color.
 * @param {string} color "#rrggbb"
 */
function inkOn(color) {
  const [r, g, b] = channels(color);
  return 0.3 * r + 0.59 * g + 0.11 * b < 128 ? "#ffffff" : "#000000";
}

/**
 * Path of a pie slice between two shares of a turn.
 * @param {Point} center
 * @param {number} R
 * @param {number} from
 * @param {number} to
 */
function slice([x, y], R, from, to) {
  if (to - from > 0.9999) return `M${x - R},${y}a${R},${R} 0 1 1 ${2 * R},0a${R},${R} 0 1 1 ${-2 * R},0z`;
  /** @param {number} share */
  const at = (share) =>
    `${(x + R * Math.sin(2 * Math.PI * share)).toFixed(2)},${(y - R * Math.cos(2 * Math.PI * share)).toFixed(2)}`;
  return `M${x},${y}L${at(from)}A${R},${R} 0 ${to - from > 0.5 ? 1 : 0} 1 ${at(to)}z`;
}

/**
 * Ends of the lines of a bond between two points; in a ring the second line is shorter and lies inside.
 * @param {Point} a
 * @param {Point} b
 * @param {number} count
 * @param {Point} [center] of the ring that the bond is in
 */
function bondLines(a, b, count, center) {
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
  const [u, v] = [(a[1] - b[1]) / length, (b[0] - a[0]) / length];
  /**
   * @param {number} off
   * @param {number} short
   */
  const line = (off, short) => ({
    x1: a[0] + off * u + short * v,
    y1: a[1] + off * v - short * u,
    x2: b[0] + off * u - short * v,
    y2: b[1] + off * v + short * u,
  });
  if (count === AROMATIC || (count === 2 && center)) {
    const inside = center && u * (center[0] - a[0]) + v * (center[1] - a[1]) < 0 ? -1 : 1;
    return [line(0, 0), line(GAP * inside, SHORT)];
  }
  return Array.from({ length: count }, (_, n) => line(GAP * (n - (count - 1) / 2), 0));
}

/**
 * Corners of the head of an arrow to a node at a point.
 * @param {Point} from
 * @param {Point} to
 */
function arrowHead(from, to) {
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
  const [u, v] = [(to[0] - from[0]) / length, (to[1] - from[1]) / length];
  /**
   * @param {number} back
   * @param {number} off
   */
  const corner = (back, off) =>
    `${(to[0] - back * u - off * v).toFixed(1)},${(to[1] - back * v + off * u).toFixed(1)}`;
  const [behind, half] = [RADIUS + HEAD[0], HEAD[1] / 2];
  return [corner(RADIUS, 0), corner(behind, half), corner(behind, -half)].join(" ");
}

/** @param {string} name */
const labelSize = (name) => clamp(92 / Math.max(name.length, 2), 13, 33).toFixed(0);

/**
 * @param {number} size
 * @param {number} channel
 */
function oneHot(size, channel) {
  const shares = new Float32Array(size);
  shares[channel] = 1;
  return shares;
}

/**
 * Index of the largest value, the first of equals.
 * @param {ArrayLike<number>} values
 */
function argmax(values) {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k] > values[best]) best = k;
  return best;
}

/**
 * A distribution in words, most probable first: "C 80%, N 20%".
 * @param {Float32Array} shares
 * @param {string[]} names of channels 1 and up
 * @param {string} none name of channel 0
 */
function mixture(shares, names, none) {
  return [...shares]
    .map((share, k) => ({ share, name: k ? names[k - 1] : none }))
    .filter(({ share }) => share >= 0.01)
    .sort((a, b) => b.share - a.share)
    .map(({ share, name }) => (share > 0.995 ? name : `${name} ${Math.round(100 * share)}%`))
    .join(", ");
}

/**
 * One graph as SVG: nodes as pies of their labels, edges as strong as they are probable, absent nodes as ghosts. The
 * elements are made once and changed in place, so that a redraw takes a few milliseconds.
 *
 * With `onpick`, nodes and edges take the focus and are picked by pointer, Enter or Space.
 */
class GraphView {
  /**
   * @param {Palette} palette
   * @param {{ label?: string, onpick?: OnPick | null, numbers?: boolean }} [options]
   *   numbers: write the index of each drawn node beside it.
   */
  constructor(palette, { label = "graph", onpick = null, numbers = false } = {}) {
    this.palette = palette;
    this.onpick = onpick;
    this.numbers = numbers;
    this.K = palette.nodes.length + 1;
    this.R = palette.edges.length + 1;
    this.layers = {
      halos: svg("g", { class: "elekit-halos" }),
      lines: svg("g", { class: "elekit-lines" }),
      dots: svg("g", { class: "elekit-dots" }),
      notes: svg("g", { class: "elekit-notes" }),
    };
    const role = onpick ? "group" : "img";
    this.element = svg("svg", { class: "elekit-graph", role, "aria-label": label }, ...Object.values(this.layers));
    /** @type {Point[]} */
    this.positions = [];
    /** @type {Map<number, NodeDrawing>} */
    this.nodes = new Map();
    /** @type {Map<number, PairDrawing>} */
    this.pairs = new Map();
    /** @type {Map<string, SVGElement>} */
    this.halos = new Map();
    /** @type {Map<number, Point>} centers of rings, by pair number */
    this.centers = new Map();
    /** @type {{ nodes: Float32Array, pairs: Pairs, linked: Set<number>, ghosts: Set<number> } | null} */
    this.last = null;
    /** @type {number[]} what all of the drawing takes: left, top, width, height */
    this.whole = [0, 0, 1, 1];
    this.box = this.whole; // what is shown of it
    this.onlook = () => {};
  }

  get N() {
    return this.positions.length;
  }

  /**
   * Position in the drawing of a point of a layout.
   * @param {Point} point
   * @returns {Point}
   */
  static at([x, y]) {
    return [x * UNIT, -y * UNIT];
  }

  /**
   * Set the positions of all N node slots; the drawing starts anew.
   * @param {Point[]} positions in units of an edge
   * @param {Center[]} [centers] of rings
   */
  place(positions, centers = []) {
    this.positions = positions.map(GraphView.at);
    this.centers = new Map(centers.map(([i, j, x, y]) => [pairNumber(i, j, this.N), GraphView.at([x, y])]));
    this.last = null;
    for (const layer of Object.values(this.layers)) layer.replaceChildren();
    this.nodes.clear();
    this.pairs.clear();
    this.halos.clear();
  }

  /**
   * Draw a rounded graph.
   * @param {Scene} scene
   * @param {Point[]} [around] points of the layout that the drawing shows; default: all drawn nodes
   */
  show(scene, around) {
    this.place(scene.positions, scene.centers);
    const { N, K, R } = this;
    const nodes = new Float32Array(N * K);
    /** @type {Pairs} */
    const pairs = new Map();
    for (const [i, k] of scene.nodes.entries()) nodes[i * K + k] = 1;
    for (const [i, j, r] of scene.edges) pairs.set(pairNumber(i, j, N), oneHot(R, r));
    const drawn = scene.positions.filter((_, i) => scene.nodes[i] > 0);
    this.look(around ?? (drawn.length ? drawn : scene.positions));
    this.draw(nodes, pairs);
  }

  /**
   * Show the region around these points of the layout.
   * @param {Point[]} points
   */
  look(points) {
    const [xs, ys] = [0, 1].map((c) => points.map((point) => GraphView.at(point)[c]));
    const [left, top] = [Math.min(...xs) - MARGIN, Math.min(...ys) - MARGIN];
    const [width, height] = [Math.max(...xs) + MARGIN - left, Math.max(...ys) + MARGIN - top];
    const [w, h] = [Math.max(width, 220), Math.max(height, 150)];
    const before = this.magnified;
    const [x, y] = [this.box[0] + this.box[2] / 2, this.box[1] + this.box[3] / 2];
    this.whole = [left - (w - width) / 2, top - (h - height) / 2, w, h];
    this.showBox(before > 1 ? [x - w / before / 2, y - h / before / 2, w / before, h / before] : this.whole);
  }

  /** How much larger than the whole drawing its visible part is drawn. */
  get magnified() {
    return this.whole[2] / this.box[2];
  }

  /** Pixels per unit on the screen. */
  get scale() {
    const { clientWidth, clientHeight } = this.element;
    return Math.min((clientWidth || 400) / this.box[2], (clientHeight || 400) / this.box[3]);
  }

  /**
   * What is seen of the plane of the drawing, more than `box` where that has another shape: left, top, right, bottom.
   * @returns {[number, number, number, number]}
   */
  get frame() {
    const { scale, box } = this;
    const { clientWidth, clientHeight } = this.element;
    const [x, y] = [box[0] + box[2] / 2, box[1] + box[3] / 2];
    const [w, h] = [(clientWidth || 400) / scale / 2, (clientHeight || 400) / scale / 2];
    return [x - w, y - h, x + w, y + h];
  }

  /** @param {number[]} box left, top, width, height; moved into the whole drawing */
  showBox([x, y, w, h]) {
    const [left, top, width, height] = this.whole;
    this.box = [clamp(x, left, left + width - w), clamp(y, top, top + height - h), w, h];
    update(this.element, { viewBox: this.box.map((v) => v.toFixed(1)).join(" ") });
    this.element.classList.toggle("elekit-magnified", this.magnified > 1.001);
    this.element.classList.toggle("elekit-far", NUMBER * this.scale < LEGIBLE);
    this.onlook();
  }

  /**
   * Magnify the drawing; the point at these shares of its width and height stays where it is.
   * @param {number} factor 0 shows all
   * @param {number} [across]
   * @param {number} [down]
   */
  zoom(factor, across = 0.5, down = 0.5) {
    const magnified = factor ? clamp(this.magnified * factor, 1, DEEPEST) : 1;
    const [x, y, w, h] = this.box;
    const [width, height] = [this.whole[2] / magnified, this.whole[3] / magnified];
    this.showBox([x + across * (w - width), y + down * (h - height), width, height]);
  }

  /**
   * Move by shares of what is shown.
   * @param {number} across
   * @param {number} down
   */
  pan(across, down) {
    const [x, y, w, h] = this.box;
    this.showBox([x + across * w, y + down * h, w, h]);
  }

  /**
   * Draw a relaxed graph; only what differs from the last call is touched.
   * @param {Float32Array} nodes (N * K) probabilities
   * @param {Pairs} pairs
   * @param {Set<number>} [ghosts] absent nodes to outline
   */
  draw(nodes, pairs, ghosts = new Set()) {
    const { N, K, last } = this;
    /** @type {Set<number>} nodes with an edge */
    const linked = new Set();
    /** @type {Map<number, [number, number, number]>} ends, and the probability that both exist */
    const ends = new Map();
    for (const p of new Set([...pairs.keys(), ...(last?.pairs.keys() ?? [])])) {
      const [i, j] = this.ends(p);
      const present = (1 - nodes[i * K]) * (1 - nodes[j * K]);
      ends.set(p, [i, j, present]);
      if (present * (1 - (pairs.get(p)?.[0] ?? 1)) > 0.5) linked.add(i).add(j);
    }
    const stale = Array.from({ length: N }, (_, i) => {
      if (!last || linked.has(i) !== last.linked.has(i) || ghosts.has(i) !== last.ghosts.has(i)) return true;
      for (let c = i * K; c < (i + 1) * K; c++) if (nodes[c] !== last.nodes[c]) return true;
      return false;
    });
    for (let i = 0; i < N; i++)
      if (stale[i]) this.drawNode(i, nodes.subarray(i * K, (i + 1) * K), linked.has(i), ghosts.has(i));
    for (const [p, [i, j, present]] of ends) {
      const [now, before] = [pairs.get(p), last?.pairs.get(p)];
      const same = now && before && now.every((share, r) => share === before[r]);
      if (!same || stale[i] || stale[j]) this.drawPair(i, j, p, now ?? oneHot(this.R, 0), present);
    }
    this.last = { nodes: nodes.slice(), pairs: new Map(pairs), linked, ghosts };
  }

  /**
   * The nodes i < j of a pair number.
   * @param {number} p
   * @returns {[number, number]}
   */
  ends(p) {
    let i = 0;
    for (let start = this.N - 1; p >= start; start += this.N - i - 1) i++;
    return [i, p - pairNumber(i, i + 1, this.N) + i + 1];
  }

  /**
   * @param {"dots" | "lines"} layer
   * @param {string} key
   * @param {Part} part
   * @returns {Drawing}
   */
  makeGroup(layer, key, part) {
    const title = svg("title");
    const group = svg("g", { "data-part": key }, title);
    const { onpick } = this;
    if (onpick)
      fill(group, {
        ...KEEP_KEYS,
        tabindex: "0",
        role: "button",
        class: "elekit-pickable",
        onclick: (/** @type {MouseEvent} */ event) => {
          event.stopPropagation();
          onpick(part, event);
        },
        onkeydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          onpick(part, event);
        },
      });
    this.layers[layer].append(group);
    return { part, group, title, words: "" };
  }

  /**
   * @param {Drawing} drawing
   * @param {string} words
   */
  describe(drawing, words) {
    drawing.words = words;
    setText(drawing.title, words);
    if (this.onpick) update(drawing.group, { "aria-label": words });
  }

  /**
   * @param {number} i
   * @returns {NodeDrawing}
   */
  makeNode(i) {
    const [x, y] = this.positions[i];
    const drawing = {
      ...this.makeGroup("dots", `n${i}`, { node: i }),
      disk: svg("circle", { cx: x, cy: y, fill: PAPER }),
      rim: svg("circle", { cx: x, cy: y, fill: "none", "data-node": i }),
      radius: RADIUS,
      text: svg("text", { x, y, class: "elekit-label", ...CENTERED }),
      number: this.numbers ? svg("text", { class: "elekit-node-number" }, String(i)) : null,
      wedges: [],
    };
    if (this.onpick) drawing.group.append(svg("circle", { cx: x, cy: y, r: RADIUS, fill: "transparent" }));
    drawing.group.append(drawing.disk, drawing.rim, drawing.text);
    if (drawing.number) {
      fill(drawing.number, { x: x + 0.86 * RADIUS, y: y - 0.86 * RADIUS });
      this.layers.notes.append(drawing.number);
    }
    this.nodes.set(i, drawing);
    return drawing;
  }

  /**
   * @param {number} i
   * @param {Float32Array} shares
   * @param {boolean} linked whether an edge ends in it
   * @param {boolean} ghost whether it is outlined even if it is absent
   */
  drawNode(i, shares, linked, ghost) {
    const { palette } = this;
    const visible = 1 - shares[0] >= LEAST || ghost;
    if (!visible && !this.nodes.has(i)) return;
    const drawing = this.nodes.get(i) ?? this.makeNode(i);
    const { group, disk, rim, text, number, wedges } = drawing;
    const best = argmax(shares);
    const certain = best > 0 && shares[best] > PURE;
    const vertex = certain && linked && palette.vertices.includes(best - 1);
    const r = vertex ? VERTEX : RADIUS;
    drawing.radius = r;
    update(disk, { r });
    const visibility = visible ? "visible" : "hidden";
    update(group, { visibility });
    if (number) update(number, { visibility });
    for (let k = 1, start = 0; k < this.K; start += shares[k++]) {
      if (shares[k] > 0.005) {
        if (!wedges[k]) {
          wedges[k] = svg("path", { fill: palette.colors[k - 1] });
          group.insertBefore(wedges[k], rim);
        }
        update(wedges[k], { d: slice(this.positions[i], r, start, start + shares[k]), visibility: "inherit" });
      } else if (wedges[k]) update(wedges[k], { visibility: "hidden" });
    }
    update(rim, {
      r,
      stroke: best ? INK : GRAY,
      "stroke-width": best ? 2 : 1.6,
      "stroke-dasharray": best ? "none" : "6 5",
    });
    const name = best && !vertex ? palette.nodes[best - 1] : "";
    setText(text, shortened(name, 6));
    update(text, {
      fill: certain ? inkOn(palette.colors[best - 1]) : INK,
      class: certain ? "elekit-label" : "elekit-label elekit-uncertain",
      "font-size": labelSize(name),
    });
    this.describe(drawing, `node ${i}: ${mixture(shares, palette.nodes, "absent")}`);
  }

  /**
   * @param {number} i
   * @param {number} j
   * @param {number} p
   * @returns {PairDrawing}
   */
  makePair(i, j, p) {
    const drawing = { ...this.makeGroup("lines", `p${p}`, { pair: [i, j] }), lines: [], head: null, text: null };
    this.pairs.set(p, drawing);
    return drawing;
  }

  /**
   * @param {number} i
   * @param {number} j
   * @param {number} p
   * @param {Float32Array} shares
   * @param {number} present probability that both nodes are present
   */
  drawPair(i, j, p, shares, present) {
    const { palette } = this;
    const strength = (1 - shares[0]) * present;
    if (strength < LEAST && !this.pairs.has(p)) return;
    const drawing = this.pairs.get(p) ?? this.makePair(i, j, p);
    const { group, lines } = drawing;
    update(group, { visibility: strength >= LEAST ? "visible" : "hidden" });
    if (strength < LEAST) return;
    const best = argmax(shares);
    const [a, b] = [this.positions[i], this.positions[j]];
    const count = palette.strokes && best ? palette.strokes[best - 1] : 1;
    const ends = bondLines(a, b, count, this.centers.get(p));
    while (lines.length < ends.length) {
      lines.push(svg("line", { stroke: INK, "stroke-linecap": "round", "data-edge": `${i}-${j}` }));
      group.append(lines[lines.length - 1]);
    }
    for (const [n, line] of lines.entries()) {
      if (n >= ends.length) update(line, { visibility: "hidden" });
      else
        update(line, {
          visibility: "inherit",
          ...ends[n],
          "stroke-width": (7 * strength).toFixed(2),
          "stroke-opacity": strength.toFixed(3),
          "stroke-dasharray": n && count === AROMATIC ? "11 12" : "none",
        });
    }
    const direction = best ? palette.arrows[best - 1] : 0;
    if (direction && !drawing.head) {
      drawing.head = svg("polygon", { fill: INK });
      group.append(drawing.head);
    }
    if (drawing.head) {
      const points = direction < 0 ? arrowHead(b, a) : arrowHead(a, b);
      update(drawing.head, {
        visibility: direction ? "inherit" : "hidden",
        points,
        "fill-opacity": strength.toFixed(3),
      });
    }
    if (palette.written) {
      if (!drawing.text) {
        const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
        const off = palette.arrows.some((one) => one !== 0) ? BESIDE / (Math.hypot(dx, dy) || 1) : 0;
        const up = dx < 0 ? -off : off; // above the line
        const [x, y] = [(a[0] + b[0]) / 2 + up * dy, (a[1] + b[1]) / 2 - up * dx];
        drawing.text = svg("text", { class: "elekit-label elekit-edge-label", ...CENTERED, x, y });
        group.append(drawing.text);
      }
      setText(drawing.text, best ? shortened(palette.written[best - 1], 12) : "");
      update(drawing.text, { opacity: clamp(1.5 * strength, 0.2, 1).toFixed(2) });
    }
    this.describe(drawing, `edge ${i}-${j}: ${mixture(shares, palette.edges, "no edge")}`);
  }

  /**
   * Draw halos under nodes and pairs, and remove those of the last call.
   * @param {Halos} halos
   */
  mark({ nodes, pairs }) {
    for (const halo of this.halos.values()) update(halo, { visibility: "hidden" });
    for (const [i, look] of nodes) {
      const [cx, cy] = this.positions[i];
      const halo = this.halo(`n${i}`, () => svg("circle", { fill: "none" }), look);
      update(halo, { cx, cy, r: ((this.nodes.get(i)?.radius ?? RADIUS) + (look.width ?? 10) / 2).toFixed(1) });
    }
    for (const [p, look] of pairs) {
      const [[x1, y1], [x2, y2]] = this.ends(p).map((i) => this.positions[i]);
      const halo = this.halo(`p${p}`, () => svg("line", { "stroke-linecap": "butt" }), look);
      update(halo, { x1, y1, x2, y2 });
    }
  }

  /**
   * @param {string} key
   * @param {() => SVGElement} make
   * @param {Halo} look
   */
  halo(key, make, { color, width = 10, dashed = false, title = "" }) {
    let halo = this.halos.get(key);
    if (!halo) {
      halo = fill(make(), { "stroke-opacity": 0.9 }, svg("title"));
      this.halos.set(key, halo);
      this.layers.halos.append(halo);
    }
    if (halo.firstChild) setText(halo.firstChild, title);
    update(halo, {
      visibility: "visible",
      stroke: color,
      "stroke-width": width.toFixed(1),
      "stroke-dasharray": dashed ? "9 7" : "none",
    });
    return halo;
  }

  /**
   * Rings around nodes, and a dotted line between them for a pair.
   * @param {Part} part
   * @param {string} color
   * @param {number} room between a node and its ring
   * @param {string} [dashes]
   * @returns {SVGElement[]}
   */
  outline({ node, pair }, color, room, dashes = "none") {
    const nodes = pair ?? (node === undefined ? [] : [node]);
    const look = { fill: "none", stroke: color, "stroke-width": 5 };
    const ends = nodes.map((i) => this.positions[i]);
    const rings = ends.map(([cx, cy]) =>
      svg("circle", { cx, cy, r: RADIUS + room, ...look, "stroke-dasharray": dashes }),
    );
    if (!pair) return rings;
    return [svg("line", { ...bondLines(ends[0], ends[1], 1)[0], ...look, "stroke-dasharray": "4 9" }), ...rings];
  }

  /**
   * A node that is not part of the graph, as a dashed disk, with its edge.
   * @param {Point} position in units of an edge
   * @param {number | null} neighbor the node that its edge comes from
   * @param {number} label channel of the node
   * @param {number} edge channel of the edge
   * @param {string} color
   * @returns {SVGElement[]}
   */
  newNode(position, neighbor, label, edge, color) {
    const { nodes, strokes } = this.palette;
    const [cx, cy] = GraphView.at(position);
    const name = shortened(nodes[label - 1], 6);
    const count = neighbor !== null && strokes ? strokes[edge - 1] : 1;
    const lines = bondLines(neighbor === null ? [cx, cy] : this.positions[neighbor], [cx, cy], count).map((ends) =>
      svg("line", { ...ends, stroke: color, "stroke-width": 7 }),
    );
    const disk = { fill: PAPER, stroke: color, "stroke-width": 6, "stroke-dasharray": "10 6" };
    return [
      ...lines,
      svg("circle", { cx, cy, r: RADIUS, ...disk }),
      svg("text", { x: cx, y: cy, class: "elekit-label", ...CENTERED, "font-size": labelSize(name) }, name),
    ];
  }

  /** All nodes and edges that have been drawn. */
  get drawings() {
    return [...this.nodes.values(), ...this.pairs.values()];
  }

  /**
   * The picked part that has the focus.
   * @returns {string | null} its data-part
   */
  get focused() {
    const root = this.element.getRootNode();
    const active = root instanceof Document || root instanceof ShadowRoot ? root.activeElement : null;
    return active && this.element.contains(active) ? active.getAttribute("data-part") : null;
  }
}

export {
  BLUE,
  CENTERED,
  GRAY,
  GREEN,
  GraphView,
  INK,
  LEAST,
  ORANGE,
  oneHot,
  PAPER,
  pairNumber,
  RADIUS,
  rampColor,
  VERMILION,
};
