// @ts-check
// How many columns charts stand in, so that the last row is full: an empty corner looks like something
// that failed to load. Pure, but for `fitted`.

import { h } from "./dom.js";

/** A chart is not narrower than this, and this far from the next one [px]. */
const COLUMN_MIN = 330;
const GAP = 28;
const COLUMNS_MAX = 6;
/** What the page and a sweep's frame take of the width [px]. */
const AROUND = 2 * (16 + 21);

/**
 * Columns, and how many of them the first, wide chart takes.
 * @param {number} width of the whole [px] @param {number} cells that the other charts take
 * @returns {{columns: number, wide: number}}
 */
export function gridOf(width, cells) {
  const most = Math.min(COLUMNS_MAX, Math.max(1, Math.floor((width + GAP) / (COLUMN_MIN + GAP))));
  if (most < 3) return { columns: most, wide: most };
  let best = { columns: most, wide: 2 };
  let least = Infinity;
  for (let columns = most; columns >= Math.max(3, most - 1); columns--) {
    for (const wide of columns < 5 ? [2, 3] : [3, 2]) {
      const empty = (columns - ((cells + wide) % columns)) % columns;
      if (empty >= least) continue;
      least = empty;
      best = { columns, wide };
    }
  }
  return best;
}

/** Charts in such a grid; the first is the wide one, a tall one takes two rows. @param {(HTMLElement | null)[]} figures */
export function fitted(figures) {
  const shown = figures.filter((figure) => figure);
  const cells = shown.slice(1).reduce((sum, figure) => sum + (figure?.classList.contains("tall") ? 2 : 1), 0);
  const grid = h("div.charts.fitted", {}, shown);
  const fit = (/** @type {number} */ width) => {
    const { columns, wide } = gridOf(width, cells);
    grid.style.setProperty("grid-template-columns", `repeat(${columns}, minmax(0, 1fr))`);
    grid.style.setProperty("--wide", String(wide));
    grid.style.setProperty("--tall", columns > 1 ? "2" : "1");
  };
  // Before it is on the page, so that nothing jumps when it comes there.
  fit((document.querySelector("main")?.clientWidth ?? 0) - AROUND);
  new ResizeObserver(() => fit(grid.clientWidth)).observe(grid);
  return grid;
}
