// How large an explorer is: it grows with the window, and fills the screen with its legend and cards.

import { button, send, setText, update } from "./dom.js";

/** @import { MapPanelState, Model } from "./types.d.ts" */
/** @typedef {import("./dom.js").Cleanups} Cleanups */

const LAB = 200; // pixels of a window that the lab takes at least
const PANELS = 260; // and that the panel below the maps takes
const LEAST = 280; // height of a map
const HALF = 0.46; // of what the lab leaves: the height of two maps, with their panels below
const REST = 200; // ms without a change of the window

/**
 * A button that shows the whole explorer on the full screen; maps take the height that is free.
 * @param {Model<MapPanelState>} model
 * @param {HTMLElement} root
 * @param {Cleanups} cleanups
 */
function fullScreen(model, root, cleanups) {
  const whole = () => root.closest(".elekit-explorer");
  const isFull = () => document.fullscreenElement !== null && document.fullscreenElement === whole();
  const toggle = () => (isFull() ? document.exitFullscreen() : whole()?.requestFullscreen());
  const element = button("Full screen", () => toggle()?.catch(() => {}));
  element.hidden = !document.fullscreenEnabled;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const fit = () => {
    const explorer = whole();
    if (!(explorer instanceof HTMLElement)) return;
    if (isFull()) {
      for (const canvas of explorer.querySelectorAll(".elekit-map canvas"))
        for (let e = canvas.parentElement; e && !e.matches(".elekit-map"); e = e.parentElement)
          e.classList.add("elekit-tall");
      const free = window.innerHeight - root.getBoundingClientRect().height - 30;
      explorer.style.setProperty("--elekit-height", `${Math.max(LEAST, Math.floor(free))}px`);
    } else if (model.get("grows")) {
      const free = window.innerHeight - LAB;
      const wanted = model.get("sides").length > 1 ? HALF * free : free - PANELS;
      const height = Math.max(LEAST, Math.floor(wanted));
      const now = explorer.querySelector(".elekit-map")?.getBoundingClientRect().height ?? 0;
      if (Math.abs(height - now) > 4) send(model, "resize", { height });
    }
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(fit, REST);
  };
  /** @param {Event} event */
  const changed = (event) => {
    event.stopPropagation(); // jupyter-scatter takes any full screen for its own
    setText(element, isFull() ? "Leave full screen" : "Full screen");
    update(element, { "aria-pressed": isFull() });
    later();
  };
  const abort = new AbortController();
  requestAnimationFrame(() => {
    whole()?.addEventListener("fullscreenchange", changed, { signal: abort.signal });
    later();
  });
  window.addEventListener("resize", later, { signal: abort.signal });
  cleanups.push(() => {
    abort.abort();
    clearTimeout(timer);
  });
  return element;
}

export { fullScreen };
