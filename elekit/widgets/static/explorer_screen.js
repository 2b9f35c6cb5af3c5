// How large an explorer is: it grows with the window, and fills the screen with its legend and cards.

import { button, send, setText, update } from "./dom.js";

/** @import { MapPanelState, Model } from "./types.d.ts" */
/** @typedef {import("./dom.js").Cleanups} Cleanups */

const LAB = 200; // pixels of a window that the lab takes at least
const PANELS = 320; // and that the panel below the maps takes
const LEAST = 280; // height of a map
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
  let before = 0; // height of a map outside of the full screen
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const map = () => whole()?.querySelector(".elekit-map");
  const fit = () => {
    const now = map()?.getBoundingClientRect().height ?? 0;
    if (isFull()) {
      before ||= now;
      const below = root.getBoundingClientRect().height;
      send(model, "resize", { height: Math.floor(window.innerHeight - below - 30) });
    } else {
      const wanted = model.get("grows") ? Math.max(LEAST, window.innerHeight - LAB - PANELS) : before;
      if (wanted && Math.abs(wanted - now) > 4) send(model, "resize", { height: Math.floor(wanted) });
      before = 0;
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
