// The card's own script: models without a kernel, and the folded parts that links and printing open.

import { render as renderInspector } from "../../widgets/static/inspector.js";
import { inspectorModel, stepperModel } from "../../widgets/static/offline.js";
import { sortable } from "../../widgets/static/sort.js";
import { render as renderStepper } from "../../widgets/static/stepper.js";

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
