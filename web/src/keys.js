// @ts-check
// The keyboard: / j k p b d g ? and Enter, as the help says.

import { button, h } from "./dom.js";
import { list } from "./hash.js";
import { switchMode } from "./views/top.js";

/** @type {[string, string][]} */
const HELP = [["/", "filter the runs"], ["j  k", "next, previous row"], ["Enter", "open the row's run"], ["p", "put the row's run on the overlay, or take it off"],
  ["b", "make the row's run the baseline"], ["g", "group all but the seed, or not"], ["d", "dark or light"], ["?", "this list"], ["Esc", "close, leave the filter"]];

/** @type {{app: import("./app.js").App | null}} */
export const keys = { app: null };

export function showHelp() {
  const known = document.querySelector("dialog.help");
  if (known instanceof HTMLDialogElement) {
    known.close();
    return;
  }
  const dialog = h("dialog.help", { "aria-label": "Keys" }, h("h2", {}, "Keys"),
    h("dl.keys", {}, HELP.map(([key, words]) => [h("dt", {}, key.split("  ").map((k) => h("kbd", {}, k))), h("dd", {}, words)])),
    h("p.soft", {}, "Drag in a chart to zoom, double-click for the whole range. The address holds the view: share it."),
    button("close", () => dialog.close()));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** The table on screen, on the runs view. */
const table = () => /** @type {any} */ (document.querySelector(".table-box"))?.table;

/** The run under the table's cursor. */
function currentRun() {
  const row = table()?.current();
  return row?.kind === "run" ? row.run : null;
}

/** @type {Record<string, (app: import("./app.js").App) => void>} */
const ACTS = {
  "/": (app) => {
    const box = document.getElementById("filter");
    if (box) box.focus();
    else {
      location.hash = app.link("runs");
      setTimeout(() => document.getElementById("filter")?.focus(), 50);
    }
  },
  j: () => table()?.move(1),
  k: () => table()?.move(-1),
  p: (app) => {
    const run = currentRun();
    if (!run) return;
    const now = list(app.place, "sel");
    app.set({ sel: (now.includes(run.key) ? now.filter((key) => key !== run.key) : [...now, run.key]).join(",") });
  },
  b: (app) => {
    const run = currentRun();
    if (run) app.set({ base: app.place.options.get("base") === run.key ? "" : run.key });
  },
  g: (app) => {
    if (app.place.view === "runs") app.set({ group: app.place.options.get("group") ? "" : "seed" });
  },
  d: () => switchMode(),
  "?": () => showHelp(),
};

/** Closes the menus that a click or a key went past. @param {Node | null} inside what keeps its menu open */
export function closeMenus(inside) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!inside || !menu.contains(inside)) menu.removeAttribute("open");
}

/** @param {KeyboardEvent} event */
export function pressed(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape") closeMenus(null);
  if (event.key === "Escape" && target.matches("input")) target.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (event.key === "Enter" && target.matches(".table-box, body, main") && keys.app) {
    const run = currentRun();
    if (run) location.hash = keys.app.link("run", run.key);
    return;
  }
  const act = Object.hasOwn(ACTS, event.key) ? ACTS[event.key] : null;
  if (!act || !keys.app) return;
  event.preventDefault();
  act(keys.app);
}
