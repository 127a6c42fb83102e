// @ts-check
// One state, the address; one render of it.

import { loadIndex, listen } from "./data.js";
import { Model } from "./model.js";
import * as hash from "./hash.js";
import { h, replace } from "./dom.js";
import { restoreMode, topBar } from "./views/top.js";
import { compareView } from "./views/compare.js";
import { runsView } from "./views/runs.js";
import { runView } from "./views/run.js";
import { keys, pressed, showHelp } from "./keys.js";

/** @type {Record<string, (app: import("./app.js").App) => Node>} */
const SHOW = { compare: compareView, runs: runsView, run: runView };

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const top = /** @type {HTMLElement} */ (document.getElementById("top"));

/** @type {Model | null} */
let model = null;
let shown = "";

/** @param {hash.Place} place @param {Model} known @returns {import("./app.js").App} */
function appAt(place, known) {
  const app = {
    model: known, place,
    go: (/** @type {hash.Place} */ next) => { location.hash = hash.print(next); },
    set: (/** @type {Record<string, string>} */ changes) => { location.hash = hash.print(hash.changed(app.place, changes)); },
    quietly: (/** @type {Record<string, string>} */ changes) => {
      app.place = hash.changed(app.place, changes);
      shown = hash.print(app.place);
      history.replaceState(null, "", shown);
    },
    link: (/** @type {string} */ view, subject = "", /** @type {Record<string, string>} */ options = {}) =>
      hash.print({ view, subject, options: new Map(Object.entries(options)) }),
  };
  return app;
}

function render() {
  if (!model || location.hash === shown && shown) return;
  const place = hash.parse(location.hash);
  const before = hash.parse(shown);
  shown = location.hash;
  const app = appAt(place, model);
  const kept = before.view === place.view && before.subject === place.subject ? scrollY : 0;
  replace(top, topBar(app, showHelp));
  const view = (SHOW[place.view] ?? compareView)(app);
  // The old height stays until the new content has its own: nothing jumps.
  main.style.setProperty("min-height", `${main.offsetHeight}px`);
  replace(main, view);
  keys.app = app;
  scrollTo(0, kept);
  requestAnimationFrame(() => main.style.removeProperty("min-height"));
  document.title = [place.subject, place.view, "bnexp"].filter(Boolean).join(" \u00b7 ");
}

/** The same place once more, as when the colours have changed. */
function again() {
  shown = "";
  render();
}

/** @param {unknown} problem */
function failed(problem) {
  replace(main, h("div.empty", {}, h("h1", {}, "The data cannot be read"),
    h("p", {}, problem instanceof Error ? problem.message : String(problem))));
}

listen(window);
restoreMode();
addEventListener("hashchange", render);
addEventListener("keydown", pressed);
// Canvases hold the colours that they were drawn in.
addEventListener("bnexp-look", again);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
loadIndex().then((index) => {
  model = new Model(index);
  shown = "";
  render();
}, failed);
