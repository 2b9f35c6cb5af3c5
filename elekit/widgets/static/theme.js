// The theme of the page, for what style sheets do not reach: colors that the kernel chooses.

/** @typedef {import("./dom.js").Cleanups} Cleanups */

const LATE = 600; // ms until the style sheet of a new theme has come

/**
 * Call `callback` with the background of an element, "#rrggbb", now and whenever the theme changes.
 * @param {HTMLElement} element
 * @param {Cleanups} cleanups
 * @param {(color: string) => void} callback
 */
function followPaper(element, cleanups, callback) {
  const brush = document.createElement("canvas").getContext("2d");
  let known = "";
  const look = () => {
    if (!brush || !element.isConnected) return;
    brush.fillStyle = getComputedStyle(element).backgroundColor;
    const color = brush.fillStyle; // an opaque color reads back as "#rrggbb"
    if (color === known || !/^#[0-9a-f]{6}$/.test(color)) return;
    known = color;
    callback(color);
  };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const lookTwice = () => {
    look();
    clearTimeout(timer);
    timer = setTimeout(look, LATE);
  };
  const observer = new MutationObserver(lookTwice);
  for (const root of [document.documentElement, document.body])
    observer.observe(root, {
      attributes: true,
      attributeFilter: ["class", "style", "data-jp-theme-name", "data-theme"],
    });
  const queries = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) => matchMedia(query));
  for (const query of queries) query.addEventListener("change", lookTwice);
  requestAnimationFrame(lookTwice); // the view is not in the page yet
  cleanups.push(() => {
    observer.disconnect();
    clearTimeout(timer);
    for (const query of queries) query.removeEventListener("change", lookTwice);
  });
}

export { followPaper };
