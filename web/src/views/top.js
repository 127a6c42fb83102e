// @ts-check
// The bar: where one is, and light or dark.

import { button, h } from "../dom.js";

const TABS = [["compare", "Compare"], ["sweep", "Sweep"], ["runs", "Runs"], ["pareto", "Pareto"]];

const MODES = ["", "light", "dark"];

/** @param {string} mode */
function paint(mode) {
  document.documentElement.dataset.theme = mode;
  try {
    localStorage.setItem("bnexp.theme", mode);
  } catch { /* a page from a folder may have no storage; the choice then lasts as long as the page */ }
}

/** The mode chosen last time. */
export function restoreMode() {
  try {
    const mode = localStorage.getItem("bnexp.theme") ?? "";
    if (MODES.includes(mode)) document.documentElement.dataset.theme = mode;
  } catch { /* as above */ }
}

/** The other of light and dark. */
export function switchMode() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
  paint(now === "dark" ? "light" : "dark");
  dispatchEvent(new Event("bnexp-look"));
}

/** @param {import("../app.js").App} app @param {() => void} help */
export function topBar(app, help) {
  return h("div.top-inner", {},
    h("a.brand", { href: app.link("compare"), "aria-label": "bnexp, comparison" }, h("span.brand-b", {}, "bn"), "exp"),
    h("nav.tabs", { "aria-label": "Views" }, TABS.map(([view, words]) => h("a.tab", { href: app.link(view),
      "aria-current": app.place.view === view ? "page" : undefined }, words))),
    h("div.top-end", {}, h("span.soft.written", {}, app.model.live ? "live" : "as of " + app.model.written.replace("T", " ").slice(0, 16) + " UTC"),
      button("Light or dark", switchMode, { title: "Light or dark (d)", "aria-label": "Light or dark" }, "\u25d0"),
      button("Keys", help, { title: "Keys (?)", "aria-label": "Keys" }, "?")));
}
