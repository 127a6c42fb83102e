// @ts-check
// One state, the address; one render of it.

import { ageBy, loadIndex, listen } from "./data.js";
import { keepFigures } from "./figure.js";
import { keepFocus } from "./focus.js";
import { Model } from "./model.js";
import * as hash from "./hash.js";
import { h, replace } from "./dom.js";
import { restoreMode, topBar } from "./views/top.js";
import { compareView } from "./views/compare.js";
import { runsView } from "./views/runs.js";
import { runView } from "./views/run.js";
import { sweepView } from "./views/sweep.js";
import { paretoView } from "./views/pareto.js";
import { closeMenus, keys, pressed, showHelp } from "./keys.js";

/** @type {Record<string, (app: import("./app.js").App) => Node>} */
const SHOW = { compare: compareView, runs: runsView, run: runView, sweep: sweepView, pareto: paretoView };

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const top = /** @type {HTMLElement} */ (document.getElementById("top"));

/** @type {Model | null} */
let model = null;
let shown = "";
/** The place before, when it is drawn once more. */
let before = "";

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
  const last = hash.parse(shown || before);
  shown = location.hash;
  before = "";
  const app = appAt(place, model);
  const same = last.view === place.view && last.subject === place.subject;
  const kept = same ? scrollY : 0;
  keepFigures(same);
  const focusAbove = keepFocus(top);
  replace(top, topBar(app, showHelp));
  focusAbove(true);
  top.querySelector(".tab[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  const view = (SHOW[place.view] ?? compareView)(app);
  // The old height stays until the new content has its own: nothing jumps.
  main.style.setProperty("min-height", `${main.offsetHeight}px`);
  const focus = keepFocus(main);
  replace(main, view);
  focus(same);
  keys.app = app;
  scrollTo(0, kept);
  requestAnimationFrame(() => main.style.removeProperty("min-height"));
  document.title = [place.subject, place.view, "bnexp"].filter(Boolean).join(" \u00b7 ");
}

/** The same place once more, with other colours or newer data. */
function again() {
  const place = shown;
  shown = "";
  before = place;
  render();
}

/** A moment in which a new picture would take something out of a person's hand. */
const busy = () => Boolean(document.querySelector("details[open], dialog[open]")) || held ||
  /** @type {Element | null} */ (document.activeElement)?.matches("input:not([type=checkbox]), select") === true;

let held = false;
addEventListener("pointerdown", (event) => {
  held = true;
  closeMenus(/** @type {Node} */ (event.target));
});
addEventListener("pointerup", () => { held = false; });

const LIVE_MS = 1000;

/** Reads the index again whenever the server says that there is news, at most once a second. */
function follow() {
  let news = "";
  let done = "";
  let working = false;
  const events = new EventSource("events");
  events.onmessage = (event) => { news = event.data; };
  setInterval(async () => {
    if (working || news === done || document.hidden || busy()) return;
    working = true;
    const mark = news;
    try {
      ageBy(ageWith(mark));
      model = new Model(await loadIndex());
      again();
      done = mark;
    } catch { /* the server is gone or busy; the next news, or the next second, tries again */ }
    working = false;
  }, LIVE_MS);
}

/** A run's files are as old as its records and its state; the index as the last news. @param {string} mark */
const ageWith = (mark) => (/** @type {string} */ name) => {
  if (name === "index") return mark;
  const run = model?.byKey.get(name.split("-")[1]);
  return run ? `${run.records}-${run.state}` : mark;
};

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
  if (model.live) {
    ageBy(ageWith(model.written));
    follow();
  }
}, failed);
