// A button that copies what a widget shows as a picture. The elements are copied with their computed styles into an SVG,
// which the browser paints; nothing leaves the page.

import { button, html, setText, svg } from "./dom.js";

const SCALE = 2; // pixels of the picture by those on the screen
const [MARGIN, GAP] = [8, 6];
const LEFT_OUT = "button, select, input, title, .elekit-zoom, .elekit-tip, .elekit-wheel, [hidden]";
const SAID = 8000; // ms that the answer stays
const COPIED = "Copied: paste the picture where you need it.";
const DOWNLOADED = "Copying is not allowed here, so the picture was downloaded.";
const KEPT = /^(class|id|style|title|role|tabindex|aria-.*|data-.*|on.*)$/; // attributes that are not copied
// Styles of what is inside of a drawing.
const DRAWN =
  "color display dominant-baseline fill fill-opacity filter font opacity paint-order stroke stroke-dasharray " +
  "stroke-linecap stroke-linejoin stroke-opacity stroke-width text-anchor visibility";

/**
 * Pixels of an element that are scrolled out of sight.
 * @param {Element} element
 */
const unseen = (element) => {
  const more = element.scrollHeight - element.clientHeight;
  return more > 1 && /auto|scroll/.test(getComputedStyle(element).overflowY) ? more : 0;
};

/**
 * A copy that looks the same without style sheets; null for what is not visible or can only be used.
 * @param {Element} element
 * @returns {Element | null}
 */
function copied(element) {
  const style = getComputedStyle(element);
  if (element.matches(LEFT_OUT) || style.display === "none") return null;
  const inside = element instanceof SVGElement && element.ownerSVGElement;
  const names = inside ? DRAWN.split(" ") : [...style];
  let copy = /** @type {Element} */ (document.createElementNS(element.namespaceURI, element.localName));
  if (element instanceof HTMLCanvasElement) copy = html("img", { src: element.toDataURL() });
  if (element instanceof SVGElement)
    for (const { name, value } of element.attributes) if (!KEPT.test(name)) copy.setAttribute(name, value);
  const rules = names.map((name) => `${name}:${style.getPropertyValue(name)}`);
  const more = unseen(element);
  if (more) rules.push(`height:${element.clientHeight + more}px`, "max-height:none", "overflow:hidden");
  copy.setAttribute("style", rules.join(";"));
  for (const child of element.childNodes) {
    const part = child instanceof Element ? copied(child) : (child.textContent ?? "").replace(/\p{C}/gu, " ");
    if (part) copy.append(part);
  }
  return copy;
}

/**
 * The elements in rows, as they lie on the page, but without what is between the rows.
 * @param {Element[]} elements
 */
function arranged(elements) {
  const boxes = elements
    .map((element) => ({ element, box: element.getBoundingClientRect() }))
    .filter(({ element, box }) => box.width && box.height && element.checkVisibility())
    .sort((one, two) => one.box.top - two.box.top);
  const left = Math.min(...boxes.map(({ box }) => box.left));
  let [width, bottom, above, start] = [0, MARGIN - GAP, Number.NEGATIVE_INFINITY, 0];
  const parts = boxes.map(({ element, box }) => {
    if (box.top >= above - 1) start = bottom + GAP - box.top; // a new row
    above = Math.max(above, box.bottom);
    const [x, y] = [box.left - left + MARGIN, box.top + start];
    const hidden = [element, ...element.querySelectorAll("*")].reduce((sum, one) => sum + unseen(one), 0);
    width = Math.max(width, x + box.width);
    bottom = Math.max(bottom, y + box.height + hidden);
    return { element, x, y, width: box.width, height: box.height + hidden };
  });
  return { parts, width: Math.ceil(width + MARGIN), height: Math.ceil(bottom + MARGIN) };
}

/**
 * @param {Element[]} elements
 * @param {string} paper color of the background
 * @returns {Promise<Blob>} a PNG
 */
async function pictureOf(elements, paper) {
  const { parts, width, height } = arranged(elements);
  if (!parts.length) throw new Error("nothing is shown yet");
  const sheet = html("div");
  for (const { element, x, y, width: wide, height: high } of parts) {
    const copy = copied(element);
    if (!copy) continue;
    copy.setAttribute("style", `${copy.getAttribute("style")};position:relative;inset:auto;margin:0;`);
    const style = `position:absolute;left:${x}px;top:${y}px;width:${wide}px;height:${high}px`;
    sheet.append(html("div", { style }, copy));
  }
  const size = { width: SCALE * width, height: SCALE * height, viewBox: `0 0 ${width} ${height}` };
  const drawn = svg("svg", size, svg("foreignObject", { width: "100%", height: "100%" }, sheet));
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(drawn))}`;
  await image.decode();
  const canvas = html("canvas", { width: SCALE * width, height: SCALE * height });
  const brush = canvas.getContext("2d");
  if (!brush) throw new Error("this browser paints no pictures");
  brush.fillStyle = paper;
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.drawImage(image, 0, 0);
  return new Promise((then, fail) =>
    canvas.toBlob((blob) => (blob ? then(blob) : fail(new Error("the picture is too large"))), "image/png"),
  );
}

/**
 * Hand a file to the reader of the page.
 * @param {string} name
 * @param {Blob} blob
 */
function download(name, blob) {
  const address = URL.createObjectURL(blob);
  const link = html("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/**
 * A button that copies a picture of some elements, and says what became of it.
 * @param {string} kind of widget, the name of a downloaded file
 * @param {Element} root whose background the picture has
 * @param {() => Element[]} parts what is on the picture
 */
function copyButton(kind, root, parts) {
  const said = html("span", { class: "elekit-small", role: "status" });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @param {string} text */
  const say = (text) => {
    clearTimeout(timer);
    setText(said, text);
    timer = setTimeout(() => setText(said, ""), SAID);
  };
  const copy = async () => {
    try {
      const picture = pictureOf(parts(), getComputedStyle(root).backgroundColor);
      try {
        // the picture is only promised: some browsers allow copying only at once after the click
        await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
        say(COPIED);
      } catch {
        download(`${kind}.png`, await picture);
        say(DOWNLOADED);
      }
    } catch (error) {
      say(`No picture: ${error instanceof Error ? error.message : error}.`);
    }
  };
  const label = `Copy the ${kind} as a picture`;
  const element = button("Copy as picture", copy, { "aria-label": label, title: label });
  return html("span", { class: "elekit-row" }, element, said);
}

export { copyButton, download };
