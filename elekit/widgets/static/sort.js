// Tables whose headings sort their rows.

import { button } from "./dom.js";

const collator = new Intl.Collator("en", { numeric: true });

/**
 * The first number of a cell, such as 1,234, −0.5, "0.1 to 0.2" or "0.1 ± 0.2"; NaN for other texts.
 * @param {string} text
 */
const numberOf = (text) =>
  /^[-+−]?[\d.]/.test(text) ? Number.parseFloat(text.replaceAll(",", "").replace("−", "-")) : Number.NaN;

/**
 * @param {string} one
 * @param {string} other
 */
function compare(one, other) {
  const difference = numberOf(one) - numberOf(other);
  return Number.isNaN(difference) ? collator.compare(one, other) : difference;
}

/**
 * Turn the headings of a table into buttons that sort its rows, first ascending; cells without a value stay last.
 * @param {HTMLTableElement} table
 * @returns {() => void} Sorts rows that were replaced as before.
 */
function sortable(table) {
  const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
  let column = -1;
  let descending = false;
  const sort = () => {
    const body = table.tBodies[0];
    if (column < 0 || !body) return;
    const sign = descending ? -1 : 1;
    /** @param {HTMLTableRowElement} row */
    const text = (row) => row.cells[column]?.textContent?.trim() ?? "";
    /** @param {string} cell */
    const empty = (cell) => Number(cell === "" || cell === "–");
    const rows = [...body.rows].sort((a, b) => {
      const [one, other] = [text(a), text(b)];
      return empty(one) - empty(other) || sign * compare(one, other);
    });
    body.append(...rows);
    for (const [n, head] of heads.entries())
      head.setAttribute("aria-sort", n !== column ? "none" : descending ? "descending" : "ascending");
  };
  for (const [n, head] of heads.entries()) {
    const onclick = () => {
      descending = column === n && !descending;
      column = n;
      sort();
    };
    head.setAttribute("aria-sort", "none");
    head.replaceChildren(button(head.textContent?.trim() ?? "", onclick, { class: "elekit-button elekit-sort" }));
  }
  return sort;
}

export { sortable };
