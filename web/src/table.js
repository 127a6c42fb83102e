// @ts-check
// A table of any length: only the rows in view exist. A real table, so that readers of any kind find
// their way; two empty rows stand for what is above and below.

import { h } from "./dom.js";

export const ROW_HEIGHT = 34;
const MARGIN_ROWS = 12;

export class VirtualTable {
  /**
   * @param {{row: (item: any) => HTMLElement, head: HTMLElement, columns: number, label: string,
   *   keyOf: (item: any) => string, memory: {key: string, top: number}}} wish
   * memory: where the reader was, kept by the caller while the same table is made anew
   */
  constructor(wish) {
    this.wish = wish;
    /** @type {any[]} */
    this.items = [];
    this.from = -1;
    this.to = -1;
    this.cursor = -1;
    /** The rows that exist, by their place. @type {Map<number, HTMLElement>} */
    this.rows = new Map();
    const spacer = () => h("tr.spacer", { "aria-hidden": "true" }, h("td", { colspan: String(wish.columns) }));
    this.above = spacer();
    this.below = spacer();
    this.body = h("tbody", {}, this.above, this.below);
    this.table = h("table.runs-table", { "aria-label": wish.label }, h("thead", {}, wish.head), this.body);
    this.element = h("div.table-box", { tabindex: "0", role: "region", "aria-label": wish.label }, this.table);
    this.element.addEventListener("scroll", () => {
      if (this.settled) wish.memory.top = this.element.scrollTop;
      this.draw();
    }, { passive: true });
    this.settled = false;
    new ResizeObserver(() => {
      if (!this.settled && this.element.clientHeight) {
        this.element.scrollTop = wish.memory.top;
        this.settled = true;
      }
      this.draw();
    }).observe(this.element);
    /** @type {any} */
    this.pause = 0;
    this.element.table = this;
  }

  /** @param {any[]} items */
  set(items) {
    this.items = items;
    this.forget();
    this.cursor = this.wish.memory.key ? items.findIndex((item) => this.wish.keyOf(item) === this.wish.memory.key) : -1;
    this.table.setAttribute("aria-rowcount", String(items.length + 1));
    this.draw();
  }

  draw() {
    const height = this.element.clientHeight || 600;
    const first = Math.floor(this.element.scrollTop / ROW_HEIGHT);
    const from = Math.max(0, first - MARGIN_ROWS);
    const to = Math.min(this.items.length, first + Math.ceil(height / ROW_HEIGHT) + MARGIN_ROWS);
    const near = from <= this.from + MARGIN_ROWS / 2 && from >= this.from - MARGIN_ROWS / 2;
    if (this.from >= 0 && near && Math.abs(to - this.to) <= MARGIN_ROWS / 2 && !(from === 0 && this.from !== 0) && !(to === this.items.length && this.to !== to)) return;
    this.from = from;
    this.to = to;
    this.fill(from, to);
    this.above.firstElementChild.style.setProperty("height", `${from * ROW_HEIGHT}px`);
    this.below.firstElementChild.style.setProperty("height", `${(this.items.length - to) * ROW_HEIGHT}px`);
    clearTimeout(this.pause);
    this.pause = setTimeout(() => {
      for (const box of this.body.querySelectorAll(".spark[data-run]")) box.dispatchEvent(new Event("draw"));
    }, 120);
  }

  /** Rows from...to - 1 between the spacers; those that are there already stay, for making a row costs most. @param {number} from @param {number} to */
  fill(from, to) {
    for (const [i, row] of this.rows) {
      if (i >= from && i < to) continue;
      row.remove();
      this.rows.delete(i);
    }
    let next = this.above.nextSibling;
    for (let i = from; i < to; i++) {
      const old = this.rows.get(i);
      if (old) {
        next = old.nextSibling;
        continue;
      }
      const row = this.wish.row(this.items[i]);
      row.setAttribute("aria-rowindex", String(i + 2));
      if (i === this.cursor) row.classList.add("cursor");
      this.body.insertBefore(row, next);
      this.rows.set(i, row);
    }
  }

  /** All rows are to be made anew. */
  forget() {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.from = -1;
  }

  /** Moves the row that keys speak of. @param {number} by */
  move(by) {
    this.cursor = Math.min(this.items.length - 1, Math.max(0, this.cursor + by));
    this.wish.memory.key = this.items.length ? this.wish.keyOf(this.items[this.cursor]) : "";
    const top = this.cursor * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + 2 * ROW_HEIGHT > scrollTop + clientHeight - ROW_HEIGHT) this.element.scrollTop = top + 3 * ROW_HEIGHT - clientHeight;
    this.forget();
    this.draw();
  }

  current() {
    return this.items[this.cursor];
  }
}
