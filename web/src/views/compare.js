// @ts-check
// The first thing one sees: for each sweep the answer, then what it rests on.

import { h, choice, select } from "../dom.js";
import * as format from "../format.js";
import { cellName, sideMetric } from "../model.js";
import { inOrder, lookOf } from "../colors.js";
import { answers, missing, sentence, weightBytes, twins } from "../verdict.js";
import { twinCurves } from "./twins.js";
import { uCurve } from "./ucurve.js";
import { pairedFigure } from "./paired.js";
import { costFigures } from "./cost.js";
import { scalingFigures } from "./scaling.js";
import { fitted } from "../grid.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../model.js").Sweep} Sweep */
/** @typedef {import("../model.js").Cell} Cell */
/** @typedef {import("../model.js").Side} Side */

/** The largest model first: that is what people ask about. @param {Sweep} sweep @returns {Cell[]} */
export function orderedCells(sweep) {
  const size = (/** @type {Cell} */ cell) => sideMetric(cell.sides[0], "model/params") || 0;
  return [...sweep.comparison].sort((a, b) => size(b) - size(a));
}

/** @param {Cell} cell @returns {Side[]} */
export const orderedSides = (cell) => inOrder(cell.sides.map((side) => side.variant)).map((variant) =>
  /** @type {Side} */ (cell.sides.find((side) => side.variant === variant)));

/** @param {string} variant */
export const variantName = (variant) => {
  const look = lookOf(variant);
  return h("span.variant", {}, h("span.swatch", { class: look.dash.length ? "swatch dashed" : "swatch",
    style: { color: `var(${look.color})` } }), variant);
};

/** @param {Cell} cell @param {Sweep} sweep */
const verdict = (cell, sweep) => h("p.verdict", {}, (sentence(cell, sweep) ?? [{ text: missing(sweep) }]).map((piece) => piece.variant ? h("b.said-variant", {}, piece.text)
  : piece.strong ? h("b.said-number", {}, piece.text) : piece.text));

/**
 * The columns of the table of sides; those that nobody measured are left out.
 * @type {{head: string, unit: string, of: (side: Side) => number, show: (value: number) => string}[]}
 */
const COLUMNS = [
  { head: "tokens/s", unit: "", of: (side) => sideMetric(side, "tokens_per_s"), show: (v) => format.short(v) },
  { head: "training memory", unit: "", of: (side) => firstOf(side, ["mem/engine_bytes", "mem/device_bytes", "mem/peak_rss_bytes"]), show: format.bytes },
  { head: "deployed weights", unit: "", of: weightBytes, show: format.bytes },
  { head: "parameters", unit: "", of: (side) => sideMetric(side, "model/params"), show: (v) => format.short(v) },
  { head: "energy", unit: "", of: (side) => sideMetric(side, "energy_j"), show: (v) => format.si(v, "J") },
];

/** @param {Side} side @param {string[]} names */
const firstOf = (side, names) => names.map((name) => sideMetric(side, name)).find(Number.isFinite) ?? NaN;

/** What a side chose for itself: its learning rate, or all that was tuned. @param {Side} side */
const settingOf = (side) => Number.isFinite(side.best.rate) && !side.best.setting.includes(" ") ? format.rate(side.best.rate)
  : format.setting(side.best.setting) || format.NOTHING;

/** Sides whose best rate may lie beyond what was tried. @param {Cell} cell */
function edges(cell) {
  const sides = orderedSides(cell).filter((side) => side.edge);
  if (!sides.length) return null;
  return h("p.overall", {}, `The best learning rate of ${format.listed(sides.map((side) => side.variant))} is at the edge of what was tried: the gap may change beyond it.`);
}

/** @param {Cell} cell @param {Sweep} sweep */
function sidesTable(cell, sweep) {
  const sides = orderedSides(cell);
  const base = twins(cell)?.[1] ?? sides[0];
  const columns = COLUMNS.filter((column) => sides.some((side) => Number.isFinite(column.of(side))));
  const unit = format.unitOf(sweep.metric);
  const row = (/** @type {Side} */ side) => {
    const gap = side.best.mean - base.best.mean;
    return h("tr", {}, h("th", { scope: "row" }, variantName(side.variant)),
      h("td", {}, format.fixed(side.best.mean, 4), Number.isFinite(side.best.sd) ? h("span.soft", {}, ` ± ${format.fixed(side.best.sd, 4)}`) : null),
      h("td", {}, side === base ? h("span.soft", {}, "baseline") : format.signed(gap, 4)),
      h("td", {}, settingOf(side), side.edge ? h("span.soft", { title: "The best is the least or the largest that was tried: try beyond it." }, " edge") : null),
      columns.map((column) => {
        const value = column.of(side);
        const share = value / column.of(base);
        return h("td", {}, column.show(value), side !== base && Number.isFinite(share) && Math.abs(share - 1) > 0.0005
          ? h("span.soft", {}, " " + format.times(share)) : null);
      }),
      h("td", {}, String(side.best.runs.length)));
  };
  return h("div.scroll", { tabindex: "0", role: "region", "aria-label": `Sides of ${sweep.name}` }, h("table.sides", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "variant"), h("th", { scope: "col", title: "Mean over seeds of each run's best, and their standard deviation." }, `best ${sweep.metric}${unit ? ` [${unit}]` : ""}`, sides.some((side) => Number.isFinite(side.best.sd)) ? " \u00b1 deviation" : ""),
      h("th", { scope: "col" }, "gap"), h("th", { scope: "col" }, sides.some((side) => side.best.setting.includes(" ")) ? "at its best setting" : "at learning rate"),
      columns.map((column) => h("th", { scope: "col" }, column.head)), h("th", { scope: "col" }, "runs"))),
    h("tbody", {}, sides.map(row))));
}

/** Over all models of the sweep, when there are several. @param {Sweep} sweep */
function overall(sweep) {
  const pairs = sweep.comparison.length > 1 ? sweep.overall.filter((pair) => pair.own_best) : [];
  if (!pairs.length) return null;
  const unit = format.unitOf(sweep.metric);
  return h("p.overall", {}, `Over all ${sweep.comparison.length} models: `, pairs.map((pair, i) => [i ? "; " : "", h("b", {}, pair.a), ` ${format.signed(pair.mean, 3)}`,
    Number.isFinite(pair.low) ? ` [${format.signed(pair.low, 3)}, ${format.signed(pair.high, 3)}]` : "", unit ? ` ${unit}` : "", ` to ${pair.b}, n = ${pair.count}`]), ".");
}

/** @param {Sweep} sweep */
function progress(sweep) {
  const done = sweep.runs.filter((run) => run.state === "finished").length;
  const all = Math.max(sweep.planned, sweep.runs.length);
  const bad = sweep.runs.filter((run) => ["failed", "crashed"].includes(run.state)).length;
  return `${format.number(done)} of ${format.number(all)} runs finished` + (bad ? `, ${bad} failed` : "") + ` \u00b7 ${sweep.method} \u00b7 ${format.moment(sweep.created_s)}`;
}

/** @param {App} app @param {Sweep} sweep */
function section(app, sweep) {
  const cells = orderedCells(sweep);
  const named = app.place.options.get("cell");
  const cell = cells.find((c) => cellName(c) === named) ?? cells.find(twins) ?? cells[0];
  const head = h("header.sweep-head", {}, h("h2", {}, h("a", { href: app.link("sweep", sweep.name) }, sweep.name)),
    h("span.soft", {}, progress(sweep)),
    cells.length > 1 ? select("Model", cells.map((c) => [cellName(c), cellName(c)]), cellName(cell), (value) => app.set({ cell: value })) : null);
  if (!cell) {
    return h("section.sweep", {}, head, h("p.verdict", {}, missing(sweep)),
      sweep.runs.some((run) => run.records > 0) ? h("div.charts.one", {}, twinCurves(app, sweep, null)) : null);
  }
  return h("section.sweep", {}, head,
    h("div.sweep-top", {}, h("div.sweep-said", {}, verdict(cell, sweep), overall(sweep), edges(cell)), sidesTable(cell, sweep)),
    fitted([twinCurves(app, sweep, cell), uCurve(app, sweep, cell), pairedFigure(app, sweep),
      ...costFigures(cell), ...scalingFigures(app, sweep)]));
}

/** Sweeps that have no answer yet, a line each. @param {App} app @param {Sweep[]} sweeps */
const waiting = (app, sweeps) => !sweeps.length ? null : h("section.sweep", {}, h("h2", {}, "No answer yet"),
  h("ul.waits", {}, sweeps.map((sweep) => h("li", {}, h("a", { href: app.link("compare", sweep.name) }, sweep.name), " ", missing(sweep), " ", h("span.soft", {}, progress(sweep))))));

/** @param {App} app */
export function compareView(app) {
  const { model, place } = app;
  if (!model.sweeps.length) {
    return h("div.empty", {}, h("h1", {}, "Nothing here yet"),
      h("p", {}, "This home holds no sweep. Start one and write the page again:"),
      h("pre", {}, "bnexp sweep sweeps/lr.toml\nbnexp dashboard --out page"));
  }
  const recent = [...model.sweeps].reverse();
  // Nothing to answer with anywhere: then the newest sweep is what one came for.
  const whole = place.subject ? recent.filter((sweep) => sweep.name === place.subject) : recent.some(answers) ? recent.filter(answers) : recent.slice(0, 1);
  return h("div.compare", {}, h("h1.hidden", {}, "Comparison"),
    model.sweeps.length > 1 ? h("nav.pick", { "aria-label": "Sweeps" }, choice("Sweep", [["", "all sweeps"],
      ...recent.map((s) => /** @type {[string, string]} */ ([s.name, s.name]))],
      place.subject, (value) => app.go({ ...place, subject: value }))) : null,
    whole.length ? whole.map((sweep) => section(app, sweep)) : h("p", {}, `There is no sweep called "${place.subject}".`),
    place.subject ? null : waiting(app, recent.filter((sweep) => !whole.includes(sweep))));
}
