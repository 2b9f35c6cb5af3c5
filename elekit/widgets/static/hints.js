// Hints for the first use of a kind of widget. Once dismissed they stay away, in this browser.

import { button, html } from "./dom.js";

/** @typedef {import("./dom.js").Cleanups} Cleanups */

const DISMISSED = "elekit-hints-dismissed"; // event that reaches the other widgets of the page

/** @param {string} kind */
const key = (kind) => `elekit-hints-${kind}`;

/** @param {string} kind */
function isDismissed(kind) {
  try {
    return localStorage.getItem(key(kind)) === "dismissed";
  } catch {
    return false; // a page without storage shows them each time
  }
}

/**
 * A line of hints with a button that dismisses them.
 * @param {string} kind of widget
 * @param {string[]} sentences
 * @param {Cleanups} cleanups
 */
function hints(kind, sentences, cleanups) {
  const dismiss = () => {
    try {
      localStorage.setItem(key(kind), "dismissed");
    } catch {
      // dismissed in this page only
    }
    window.dispatchEvent(new CustomEvent(DISMISSED, { detail: kind }));
  };
  const element = html(
    "div",
    { class: "elekit-hints", role: "note", "aria-label": "hints for the first use" },
    html("ul", {}, ...sentences.map((sentence) => html("li", {}, sentence))),
    button("Got it", dismiss, { "aria-label": "dismiss the hints", title: "dismiss the hints" }),
  );
  element.hidden = isDismissed(kind);
  /** @param {Event} event */
  const hide = (event) => {
    if (event instanceof CustomEvent && event.detail === kind) element.hidden = true;
  };
  window.addEventListener(DISMISSED, hide);
  cleanups.push(() => window.removeEventListener(DISMISSED, hide));
  return element;
}

export { hints };
