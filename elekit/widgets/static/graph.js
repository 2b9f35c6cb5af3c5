// A graph, relaxed or not, drawn as SVG.

import { clamp, fill, put, say, shortened, svg } from "./dom.js";

const UNIT = 100; // of the drawing: an edge is about one unit long
const RADIUS = 30; // of a node, as in elekit.draw
const SEEN = 0.05; // probabilities below are not drawn
const BLUE = "#0072B2",
  VERMILION = "#D55E00",
  GRAY = "#999999";

const pairNumber = (i, j, N) => i * N - (i * (i + 1)) / 2 + (j - i - 1); // of i < j, row by row, as torch.triu_indices

// A color between others, such as of a ramp of "#rrggbb"; share in [0, 1].
function between(ramp, share) {
  const at = clamp(share, 0, 1) * (ramp.length - 1),
    low = Math.min(Math.floor(at), ramp.length - 2);
  const part = (c, k) => parseInt(ramp[c].slice(1 + 2 * k, 3 + 2 * k), 16);
  const mix = [0, 1, 2].map((k) => Math.round(part(low, k) + (at - low) * (part(low + 1, k) - part(low, k))));
  return `rgb(${mix.join(",")})`;
}

// White or black, whichever reads better on a color "#rrggbb".
function inkOn(color) {
  const [r, g, b] = [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));
  return 0.3 * r + 0.59 * g + 0.11 * b < 128 ? "#ffffff" : "#000000";
}

function wedge(x, y, radius, from, to) {
  if (to - from > 0.9999)
    return `M${x - radius},${y}a${radius},${radius} 0 1 1 ${2 * radius},0a${radius},${radius} 0 1 1 ${-2 * radius},0z`;
  const at = (share) => [x + radius * Math.sin(2 * Math.PI * share), y - radius * Math.cos(2 * Math.PI * share)];
  const [a, b] = at(from),
    [c, d] = at(to);
  return `M${x},${y}L${a.toFixed(2)},${b.toFixed(2)}A${radius},${radius} 0 ${to - from > 0.5 ? 1 : 0} 1 ${c.toFixed(2)},${d.toFixed(2)}z`;
}

// A graph, relaxed or not, as one SVG: nodes as pies of their labels, edges as strong as they are probable, what
// is absent as a ghost. It is built once and changed in place, so that a redraw takes a few milliseconds.
//
//   const view = new GraphView(palette, { label: "the graph", onpick: (part) => ... , ghosts: true});
//   view.place(positions);             // [[x, y], ...] of all N slots, in units of an edge
//   view.draw(nodes, edges);           // (N * K) and (pairs * R) probabilities, flat; pairs by pairNumber
//   view.show({nodes, edges, positions});   // a scene of elekit.draw.scenes: channels, [i, j, channel]
//   view.mark({nodes: Map(i -> {color, width, dashed, title}), pairs: Map(pairNumber -> ...)});   // halos under the graph
//
// With onpick, nodes and edges can be focused and picked by pointer or by Enter: {node: i} or {pair: [i, j]}.
class GraphView {
  constructor(palette, { label = "graph", onpick = null, ghosts = false } = {}) {
    Object.assign(this, { palette, onpick, ghosts });
    this.K = palette.nodes.length + 1;
    this.R = palette.edges.length + 1;
    this.layers = ["halos", "lines", "dots", "marks"].map((name) => svg("g", { class: `elekit-${name}` }));
    this.element = svg(
      "svg",
      { class: "elekit-graph", role: onpick ? "group" : "img", "aria-label": label },
      ...this.layers,
    );
    this.parts = new Map(); // of nodes "n3" and pairs "p17": their elements
    this.halos = new Map();
  }

  place(positions) {
    this.positions = positions.map(([x, y]) => [x * UNIT, -y * UNIT]);
    this.N = positions.length;
    this.last = null;
    this.parts.forEach((part) => part.group.remove());
    this.parts.clear();
    this.halos.forEach((halo) => halo.remove());
    this.halos.clear();
  }

  show(scene, { around = null } = {}) {
    this.place(scene.positions);
    const nodes = new Float32Array(this.N * this.K),
      pairs = (this.N * (this.N - 1)) / 2;
    const edges = new Float32Array(pairs * this.R);
    scene.nodes.forEach((k, i) => (nodes[i * this.K + k] = 1));
    for (let p = 0; p < pairs; p++) edges[p * this.R] = 1;
    for (const [i, j, r] of scene.edges) {
      const p = pairNumber(i, j, this.N);
      edges[p * this.R] = 0;
      edges[p * this.R + r] = 1;
    }
    const there = scene.positions.filter((_, i) => scene.nodes[i] > 0);
    this.look(around ?? (this.ghosts || !there.length ? scene.positions : there));
    this.draw(nodes, edges);
  }

  // Let the drawing show these positions, in units of an edge.
  look(positions) {
    const xs = positions.map((p) => p[0] * UNIT),
      ys = positions.map((p) => -p[1] * UNIT),
      room = 48;
    const [left, top] = [Math.min(...xs) - room, Math.min(...ys) - room];
    const [width, height] = [Math.max(...xs) + room - left, Math.max(...ys) + room - top];
    const [w, h] = [Math.max(width, 220), Math.max(height, 150)];
    put(this.element, {
      viewBox: [left - (w - width) / 2, top - (h - height) / 2, w, h].map((v) => v.toFixed(1)).join(" "),
    });
  }

  draw(nodes, edges) {
    const { N, K, R } = this,
      last = this.last;
    const changed = (now, before, at, size) => {
      if (!before) return true;
      for (let c = at; c < at + size; c++) if (now[c] !== before[c]) return true;
      return false;
    };
    const moved = Array.from({ length: N }, (_, i) => changed(nodes, last?.nodes, i * K, K));
    for (let i = 0; i < N; i++) if (moved[i]) this.drawNode(i, nodes.subarray(i * K, (i + 1) * K));
    for (let i = 0, p = 0; i < N; i++)
      for (let j = i + 1; j < N; j++, p++)
        if (moved[i] || moved[j] || changed(edges, last?.edges, p * R, R)) {
          const both = (1 - nodes[i * K]) * (1 - nodes[j * K]);
          this.drawPair(i, j, p, edges.subarray(p * R, (p + 1) * R), both);
        }
    this.last = { nodes: nodes.slice(), edges: edges.slice() };
  }

  // The elements of a node or a pair, made when first needed.
  part(key, layer, picked) {
    let part = this.parts.get(key);
    if (!part) {
      const group = svg("g", { "data-part": key });
      if (this.onpick) {
        fill(
          group,
          {
            tabindex: "0",
            role: "button",
            class: "elekit-pickable",
            "data-lm-suppress-shortcuts": "true",
            onclick: (event) => {
              event.stopPropagation();
              this.onpick(picked, event);
            },
            onkeydown: (event) => {
              if (event.key !== "Enter" && event.key !== " ") return;
              event.preventDefault();
              this.onpick(picked, event);
            },
          },
          [],
        );
      }
      this.layers[layer].append(group);
      part = { group, wedges: [], lines: [] };
      this.parts.set(key, part);
    }
    return part;
  }

  drawNode(i, shares) {
    const part = this.part(`n${i}`, 2, { node: i }),
      [x, y] = this.positions[i],
      { palette } = this;
    if (!part.rim) {
      part.disc = svg("circle", { cx: x, cy: y, r: RADIUS, fill: "#ffffff" });
      part.rim = svg("circle", { cx: x, cy: y, r: RADIUS, fill: "none", "data-node": i });
      part.text = svg("text", {
        x,
        y,
        class: "elekit-label",
        "text-anchor": "middle",
        "dominant-baseline": "central",
      });
      part.title = svg("title");
      part.group.append(part.title, part.disc, part.rim, part.text);
    }
    const there = 1 - shares[0];
    put(part.group, { visibility: there >= SEEN || this.ghosts ? "visible" : "hidden" });
    let best = 0,
      start = 0;
    for (let k = 1; k < this.K; k++) {
      if (shares[k] > shares[best]) best = k;
      let path = part.wedges[k];
      if (shares[k] > 0.005) {
        if (!path) {
          path = part.wedges[k] = svg("path", { fill: palette.colors[k - 1] });
          part.group.insertBefore(path, part.rim);
        }
        put(path, { d: wedge(x, y, RADIUS, start, start + shares[k]), visibility: "inherit" });
      } else if (path) put(path, { visibility: "hidden" });
      start += shares[k];
    }
    put(
      part.rim,
      best
        ? { stroke: "#000000", "stroke-width": 2, "stroke-dasharray": "none" }
        : { stroke: GRAY, "stroke-width": 1.6, "stroke-dasharray": "6 5" },
    );
    const name = best ? palette.nodes[best - 1] : "",
      sure = best && shares[best] > 0.95;
    say(part.text, shortened(name, 6));
    put(part.text, {
      fill: sure ? inkOn(palette.colors[best - 1]) : "#000000",
      class: sure ? "elekit-label" : "elekit-label elekit-unsure",
      "font-size": clamp(92 / Math.max(name.length, 2), 13, 33).toFixed(0),
    });
    const mixture = [...shares].map((s, k) => [s, k ? palette.nodes[k - 1] : "absent"]).filter(([s]) => s >= 0.01);
    const words =
      `node ${i}: ` +
      mixture
        .sort((a, b) => b[0] - a[0])
        .map(([s, n]) => (s > 0.995 ? n : `${n} ${Math.round(100 * s)} %`))
        .join(", ");
    say(part.title, words);
    if (this.onpick) put(part.group, { "aria-label": words });
  }

  drawPair(i, j, p, shares, both) {
    const strength = (1 - shares[0]) * both,
      key = `p${p}`;
    if (strength < SEEN && !this.parts.has(key)) return;
    const part = this.part(key, 1, { pair: [i, j] }),
      { palette } = this;
    put(part.group, { visibility: strength >= SEEN ? "visible" : "hidden" });
    if (strength < SEEN) return;
    let best = 0;
    for (let r = 1; r < this.R; r++) if (shares[r] > shares[best]) best = r;
    const [a, b] = [this.positions[i], this.positions[j]],
      length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const across = [(a[1] - b[1]) / length, (b[0] - a[0]) / length],
      strokes = palette.strokes && best ? palette.strokes[best - 1] : 1;
    for (let n = 0; n < Math.max(strokes, part.lines.length); n++) {
      let line = part.lines[n];
      if (!line) {
        line = part.lines[n] = svg("line", {
          stroke: "#333333",
          "stroke-linecap": "round",
          "data-edge": `${i}-${j}`,
        });
        part.group.append(line);
      }
      const off = 17 * (n - (strokes - 1) / 2);
      put(
        line,
        n >= strokes
          ? { visibility: "hidden" }
          : {
              visibility: "inherit",
              x1: a[0] + off * across[0],
              y1: a[1] + off * across[1],
              x2: b[0] + off * across[0],
              y2: b[1] + off * across[1],
              "stroke-width": (7 * strength).toFixed(2),
              "stroke-opacity": strength.toFixed(3),
            },
      );
    }
    if (!palette.strokes && palette.edges.length > 1) {
      if (!part.text) {
        part.text = svg("text", {
          class: "elekit-label elekit-edge-label",
          "text-anchor": "middle",
          "dominant-baseline": "central",
          x: (a[0] + b[0]) / 2,
          y: (a[1] + b[1]) / 2,
        });
        part.group.append(part.text);
      }
      say(part.text, best ? shortened(palette.edges[best - 1], 12) : "");
      put(part.text, { opacity: clamp(1.5 * strength, 0.2, 1).toFixed(2) }); // a faint edge has a faint word
    }
    if (!part.title) {
      part.title = svg("title");
      part.group.prepend(part.title);
    }
    const kinds = [...shares].map((s, r) => [s, r ? palette.edges[r - 1] : "no edge"]).filter(([s]) => s >= 0.01);
    const words =
      `edge ${i}-${j}: ` +
      kinds
        .sort((x, y) => y[0] - x[0])
        .map(([s, n]) => (s > 0.995 ? n : `${n} ${Math.round(100 * s)} %`))
        .join(", ");
    say(part.title, words);
    if (this.onpick) put(part.group, { "aria-label": words });
  }

  mark({ nodes = new Map(), pairs = new Map() } = {}) {
    const wanted = new Map();
    nodes.forEach((look, i) => wanted.set(`n${i}`, { look, i }));
    for (let i = 0, p = 0; i < this.N; i++)
      for (let j = i + 1; j < this.N; j++, p++) if (pairs.has(p)) wanted.set(`p${p}`, { look: pairs.get(p), i, j });
    this.halos.forEach((halo, key) => wanted.has(key) || put(halo, { visibility: "hidden" }));
    wanted.forEach(({ look, i, j }, key) => {
      let halo = this.halos.get(key);
      if (!halo) {
        halo = j === undefined ? svg("circle", { fill: "none" }) : svg("line", { "stroke-linecap": "butt" });
        halo.append(svg("title"));
        this.halos.set(key, halo);
        this.layers[0].append(halo);
      }
      const [x, y] = this.positions[i],
        width = look.width ?? 10;
      put(halo, {
        visibility: "visible",
        stroke: look.color,
        "stroke-width": width.toFixed(1),
        "stroke-dasharray": look.dashed ? "9 7" : "none",
        "stroke-opacity": look.opacity ?? 0.9,
      });
      if (j === undefined) put(halo, { cx: x, cy: y, r: (RADIUS + width / 2).toFixed(1) });
      else put(halo, { x1: x, y1: y, x2: this.positions[j][0], y2: this.positions[j][1] });
      say(halo.firstChild, look.title ?? "");
    });
  }
}

export { BLUE, between, GRAY, GraphView, pairNumber, RADIUS, UNIT, VERMILION };
