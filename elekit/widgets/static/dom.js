// What the widgets share: making elements, and the frame around a widget.
// Text of the data only ever becomes text nodes and attributes: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// An HTML or an SVG element; children are nodes or texts; "onclick" and its like take functions.
const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Set only what changed: writing to the document is what a redraw costs.
function put(node, attributes) {
  const known = (node.elekit ??= {});
  for (const [name, value] of Object.entries(attributes)) {
    if (known[name] === value) continue;
    known[name] = value;
    node.setAttribute(name, value);
  }
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Call `then` now and whenever one of the traits changes, until the view is gone; collects what to undo.
function follow(model, undo, traits, then) {
  for (const trait of [traits].flat()) {
    model.on(`change:${trait}`, then);
    undo.push(() => model.off(`change:${trait}`, then));
  }
  then();
}

// The frame of a widget: a labelled group whose keys the lab leaves alone, with a line for what went wrong.
function frame(model, el, undo, name) {
  const problem = html("div", { class: "elekit-problem", role: "alert" });
  const root = html("section", {
    class: "elekit",
    role: "group",
    "aria-label": name,
    "data-lm-suppress-shortcuts": "true",
  });
  el.append(root);
  root.append(problem);
  follow(model, undo, "problem", () => {
    say(problem, model.get("problem") || "");
    problem.hidden = !model.get("problem");
  });
  return root;
}

// A control that can be focused: the lab must not take its keys. Attributes as of `html`.
const control = (tag, attributes, ...children) =>
  html(tag, { "data-lm-suppress-shortcuts": "true", ...attributes }, ...children);

const button = (text, onclick, attributes = {}) =>
  control("button", { type: "button", class: "elekit-button", onclick, ...attributes }, text);

// Ask the kernel to do something: calls the method of that name of the widget's Python side.
function ask(model, what, values = {}) {
  model.send({ do: what, with: values });
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function shortened(text, letters) {
  const plain = [...String(text)].map((c) => (/\p{C}/u.test(c) ? " " : c));
  return plain.length <= letters ? plain.join("") : plain.slice(0, letters - 1).join("") + "…";
}

export { ask, button, clamp, control, fill, follow, frame, html, put, say, shortened, svg };
