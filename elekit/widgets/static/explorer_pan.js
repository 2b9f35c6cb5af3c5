// Panning a map that takes long to draw, such as one of a million points without a GPU: while the mouse drags, the last
// picture of the map moves, and the map is drawn once at the end.

/** @import { PlotElement } from "./types.d.ts" */

const MANY = 100_000; // points of maps that are timed
const SLOW = 60; // ms of a drawing beyond which the picture moves instead

/**
 * @param {PlotElement} home the element in which jupyter-scatter keeps its canvas and, as `.api`, its plot
 * @param {Element} layer marks over the map, which move along
 * @returns {() => void} a function that takes it back
 */
function quickPan(home, layer) {
  const plot = home.api;
  const canvas = home.querySelector("canvas");
  const moved = [canvas, layer].filter((element) => element !== null);
  let slow = false;
  /** @type {[x: number, y: number] | null} where the mouse went down */
  let start = null;
  let [dx, dy] = [0, 0];

  const time = () => {
    const began = performance.now();
    plot.subscribe("draw", () => (slow = performance.now() - began > SLOW), 1);
    plot.redraw();
  };
  const timer = setInterval(() => {
    const points = plot.get("isDestroyed") ? undefined : plot.get("points");
    if (!points?.length) return;
    clearInterval(timer);
    if (points.length > MANY) time();
  }, 500);

  /** @param {string} transform */
  const show = (transform) => {
    for (const element of moved) /** @type {HTMLElement} */ (element).style.transform = transform;
  };
  /** @param {MouseEvent} event */
  const down = (event) => {
    const pans = slow && event.button === 0 && !event.shiftKey && plot.get("mouseMode") === "panZoom";
    start = pans && event.target === canvas ? [event.clientX, event.clientY] : null;
    [dx, dy] = [0, 0];
  };
  /** @param {MouseEvent} event */
  const move = (event) => {
    if (!start) return;
    event.stopImmediatePropagation(); // the plot would draw
    [dx, dy] = [event.clientX - start[0], event.clientY - start[1]];
    show(`translate(${dx}px,${dy}px)`);
  };
  const up = () => {
    const view = start && (dx || dy) ? plot.get("cameraView") : undefined;
    start = null;
    if (!view) return;
    const height = home.clientHeight;
    const next = Float32Array.from(view);
    next[12] += (2 * dx) / height;
    next[13] -= (2 * dy) / height;
    plot.subscribe("draw", () => show(""), 1);
    plot.set({ cameraView: next });
  };
  home.addEventListener("mousedown", down, true);
  window.addEventListener("mousemove", move, true);
  window.addEventListener("mouseup", up, true);
  return () => {
    clearInterval(timer);
    home.removeEventListener("mousedown", down, true);
    window.removeEventListener("mousemove", move, true);
    window.removeEventListener("mouseup", up, true);
  };
}

export { quickPan };
