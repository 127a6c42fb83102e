// @ts-check
// One sweep: how far it is, what ran when, what mattered, what failed.

import { choice, h, select } from "../dom.js";
import * as format from "../format.js";
import { inOrder, lookOf } from "../colors.js";
import { plotFigure, variantKey } from "../figure.js";
import { bestSoFar, slots } from "../fronts.js";
import { linearTicks, padded } from "../scale.js";
import { LINES_ASKED_MAX, LINES_MAX, overlay } from "../overlay.js";
import { axesFor } from "../axes.js";
import { stateMark } from "./columns.js";
import { curveControls, curveOptions } from "./controls.js";
import { importanceFigures } from "./importance.js";
import { parallelFigure } from "./parallel.js";
import { reasonOf, rungFigure } from "./rungs.js";
import { lossMetrics, measuredBy } from "./twins.js";

/** @typedef {import("../app.js").App} App @typedef {import("../model.js").Run} Run @typedef {import("../model.js").Sweep} Sweep */

const STATES = ["finished", "running", "pending", "pruned", "preempted", "killed", "failed", "crashed", "skipped"];
const COLORS = new Map([["finished", "--good"], ["running", "--accent"], ["failed", "--bad"], ["crashed", "--bad"], ["pruned", "--warn"], ["killed", "--warn"], ["preempted", "--warn"]]);

/** @param {Run[]} runs */
const variantsOf = (runs) => inOrder([...new Set(runs.map((run) => run.variant).filter(Boolean))]);

/** How its runs came about, and what is asked of it. Runs started one by one are no sweep that could go on. @param {Sweep} sweep */
const wayOf = (sweep) => sweep.method === "single" ? "started one by one"
  : `${sweep.method}, ${sweep.maximize ? "maximize" : "minimize"} ${sweep.metric} \u00b7 ${sweep.state}`;

/** @param {App} app @param {Sweep} sweep */
function progress(app, sweep) {
  const planned = Math.max(sweep.planned, sweep.runs.length);
  const counts = STATES.map((state) => ({ state, count: sweep.runs.filter((run) => run.state === state).length })).filter((row) => row.count);
  const rest = planned - sweep.runs.length;
  const done = sweep.runs.filter((run) => !["running", "pending"].includes(run.state));
  const busy = done.reduce((sum, run) => sum + (run.duration_s || 0), 0);
  return h("div.progress", {},
    h("div.progress-bar", { role: "img", "aria-label": counts.map((row) => `${row.count} ${row.state}`).join(", ") },
      counts.map(({ state, count }) => h("span.progress-part", { style: { "flex-grow": count, background: `var(${COLORS.get(state) ?? "--line"})` } })),
      rest > 0 ? h("span.progress-part", { style: { "flex-grow": rest, background: "var(--grid)" } }) : null),
    h("p.soft", {}, counts.map(({ state, count }, i) => [i ? " \u00b7 " : "", h("a", { href: app.link("runs", "", { q: `sweep = "${sweep.name}" and state = ${state}` }) }, `${count} ${state}`)]),
      rest > 0 ? ` \u00b7 ${rest} to come` : "", busy > 0 ? ` \u00b7 ${format.duration(busy)} of run time` : "", ` \u00b7 ${wayOf(sweep)}`));
}

const SLOTS_NAMED = 12;

/** @param {App} app @param {Sweep} sweep */
function timeline(app, sweep) {
  const now = Date.parse(app.model.written) / 1000;
  const rows = sweep.runs.filter((run) => Number.isFinite(run.started_s)).sort((a, b) => a.started_s - b.started_s)
    .map((run) => ({ run, start: run.started_s, end: Number.isFinite(run.ended_s) && run.state !== "running" ? run.ended_s : Math.max(run.started_s, now) }));
  if (!rows.length) return null;
  // A page written long after would press the runs into a corner: what still runs ends with its last sign of life.
  const last = Math.max(...rows.filter((row) => row.run.state !== "running").map((row) => row.end), ...rows.map((row) => row.start + (row.run.records ? 1 : 0)));
  for (const row of rows) if (row.run.state === "running" && app.model.live === false) row.end = Math.max(row.start + 1, last);
  const at = slots(rows);
  const start = rows[0].start;
  const end = Math.max(...rows.map((row) => row.end));
  const most = Math.max(...at) + 1;
  return plotFigure({ title: "Runs over time", wide: true, whole: true, height: Math.min(420, 70 + most * 26), note: "One row a slot; faint when the run did not finish.",
    keys: variantsOf(rows.map(({ run }) => run)).map((variant) => variantKey(variant, "box")),
    table: () => [["run", "state", "slot", "started_s", "ended_s"], ...rows.map((row, i) => [row.run.name, row.run.state, String(at[i]), String(row.start), String(row.end)])] },
  () => ({ label: `${rows.length} runs over ${most} slots`,
    x: { label: "since the first start", domain: [0, end - start || 1], unit: "s" },
    y: { label: "slot", domain: [-0.6, most - 0.4], ticks: linearTicks(0, most - 1, Math.min(most, SLOTS_NAMED)).filter(Number.isInteger).map((at) => ({ at, text: String(at) })) },
    marks: rows.map((row, i) => /** @type {import("../plot.js").Mark} */ ({ type: "bar", from: row.start - start, to: Math.max(row.end - start, row.start - start), y: at[i], size: 0.8,
      color: `var(${row.run.variant ? lookOf(row.run.variant).color : "--sky"})`, alpha: row.run.state === "finished" ? 0.85 : 0.4,
      tip: [row.run.name, `${row.run.state}${row.run.reason ? ": " + row.run.reason : ""}`, format.duration(row.end - row.start)] })) }));
}

/** @param {App} app @param {Sweep} sweep */
function best(app, sweep) {
  const ended = sweep.runs.filter((run) => Number.isFinite(app.model.score(run)) && run.state === "finished" && Number.isFinite(run.ended_s)).sort((a, b) => a.ended_s - b.ended_s);
  if (ended.length < 2) return null;
  const points = ended.map((run, i) => ({ run, x: i + 1, y: app.model.score(run) }));
  const line = bestSoFar(points, sweep.maximize);
  const sorted = points.map((p) => p.y).sort((a, b) => a - b);
  const top = sweep.maximize ? sorted[sorted.length - 1] : Math.min(sorted[sorted.length - 1], sorted[0] + 4 * (sorted[Math.floor(sorted.length / 2)] - sorted[0] || 1));
  return plotFigure({ title: `Best ${sweep.metric} so far`, keys: variantsOf(ended).map((variant) => variantKey(variant, "mark")), table: () => [["ended as", "run", sweep.metric, "best so far"], ...points.map((p, i) => [String(p.x), p.run.name, String(p.y), String(line[i].y)])] },
    () => ({ label: `Best ${sweep.metric} so far`, x: { label: "runs finished", domain: [0.5, points.length + 0.5],
        ticks: linearTicks(1, points.length, 8).filter(Number.isInteger).map((at) => ({ at, text: String(at) })) },
      y: { label: format.axisName(sweep.metric), domain: padded(sorted[0], top, false) },
      marks: [...points.map((p) => /** @type {import("../plot.js").Mark} */ ({ type: "point", x: p.x, y: p.y, color: `var(${lookOf(p.run.variant).color})`, mark: lookOf(p.run.variant).mark, size: 3, hollow: true,
        tip: [p.run.name, `${sweep.metric} ${format.exact(Number(p.y.toPrecision(9)))}`], open: () => { location.hash = app.link("run", p.run.key); } })),
      { type: "line", x: line.flatMap((p, i) => (i ? [p.x, p.x] : [p.x])), y: line.flatMap((p, i) => (i ? [line[i - 1].y, p.y] : [p.y])), color: "var(--ink)", width: 1.5 }] }));
}

const ENDED_MAX = 200;

/** @param {App} app @param {Run[]} runs @param {string} label */
const endedTable = (app, runs, label) => h("div.scroll", { tabindex: "0", role: "region", "aria-label": label }, h("table.config", {},
  h("thead", {}, h("tr", {}, ["run", "state", "reason", "attempts", "duration"].map((head) => h("th", { scope: "col" }, head)))),
  h("tbody", {}, runs.slice(0, ENDED_MAX).map((run) => h("tr", {}, h("td", {}, h("a", { href: app.link("run", run.key) }, run.name)), h("td", {}, stateMark(run.state)),
    h("td.why", {}, reasonOf(run) || format.NOTHING), h("td", {}, String(run.attempt)), h("td", {}, format.duration(run.duration_s))))),
  runs.length > ENDED_MAX ? h("caption", {}, `The first ${ENDED_MAX} of ${runs.length}.`) : null));

/** @param {App} app @param {Sweep} sweep */
function failures(app, sweep) {
  const pruned = sweep.runs.filter((run) => run.state === "pruned");
  const bad = sweep.runs.filter((run) => run.state !== "pruned" && (run.reason || ["failed", "crashed", "killed"].includes(run.state)));
  return [bad.length ? h("section.chapter", {}, h("h2", {}, "What did not go well"), endedTable(app, bad, "Failures")) : null,
    pruned.length ? h("section.chapter", {}, h("details", {}, h("summary.h2", {}, `${pruned.length} ${pruned.length === 1 ? "run" : "runs"} ended early, and why`), endedTable(app, pruned, "Pruned runs"))) : null];
}

/** What a chart of so many runs shows, in words. @param {number} count @param {number} left @param {boolean} bands */
function drawnNote(count, left, bands) {
  if (bands) return `${format.number(count)} runs: of each variant the mean, from its least to its largest, and its best run as a thin line.`;
  return "A cross ends a run that was ended early or failed." + (left ? ` The newest ${format.number(count)} of ${format.number(count + left)} runs; bands hold them all.` : "");
}

/** The best run of each variant. @param {App} app @param {Sweep} sweep @param {Run[]} runs */
function bestOf(app, sweep, runs) {
  /** @type {Map<string, Run>} */
  const best = new Map();
  for (const run of runs) {
    const now = best.get(run.variant);
    const [mine, its] = [app.model.score(run), now ? app.model.score(now) : NaN];
    if (run.state === "finished" && Number.isFinite(mine) && (!now || (sweep.maximize ? mine > its : mine < its))) best.set(run.variant, run);
  }
  return new Set(best.values());
}

/** @param {App} app @param {Sweep} sweep */
function curves(app, sweep) {
  const begun = sweep.runs.filter((run) => run.records > 0);
  if (!begun.length) return null;
  const many = begun.length > LINES_MAX;
  const bands = many && app.place.options.get("draw") !== "lines";
  const runs = bands ? begun : begun.slice(-LINES_ASKED_MAX);
  const top = bands ? bestOf(app, sweep, runs) : new Set();
  const names = measuredBy(app.model, runs);
  const metrics = lossMetrics(names, sweep.metric);
  const all = [...metrics, ...names.filter((name) => !metrics.includes(name))];
  const axes = axesFor(names);
  const options = curveOptions(app, all, axes);
  const line = (/** @type {Run} */ run) => ({ key: run.key, label: bands && !top.has(run) ? run.variant || "runs" : run.name, color: lookOf(run.variant).color, dash: [], width: 1.1,
    stopped: !bands && !["finished", "running", "pending"].includes(run.state), top: top.has(run) });
  return overlay(app, { ...options, title: `${options.metric} of ${runs.length === sweep.runs.length ? "all runs" : `${format.number(runs.length)} runs`}`, wide: true, height: 340,
    note: drawnNote(runs.length, begun.length - runs.length, bands), bands,
    lines: runs.map(line), keys: variantsOf(runs).map((variant) => variantKey(variant)),
    controls: [...curveControls(app, all, axes, options), ...(many ? [choice("Draw", [["", "bands"], ["lines", "lines"]], bands ? "" : "lines", (value) => app.set({ draw: value }))] : [])] });
}

/** @param {App} app */
export function sweepView(app) {
  const { model, place } = app;
  const sweep = model.sweep(place.subject) ?? (place.subject ? undefined : model.sweeps[model.sweeps.length - 1]);
  if (!sweep) {
    return h("div.empty", {}, h("h1", {}, place.subject ? "No such sweep" : "Nothing here yet"),
      h("p", {}, place.subject ? `This page has no sweep called "${place.subject}".` : "This home holds no sweep."));
  }
  const pick = model.sweeps.length > 6 ? select("Sweep", model.sweeps.map((s) => [s.name, s.name]), sweep.name, (name) => app.go({ ...place, subject: name }))
    : model.sweeps.length > 1 ? choice("Sweep", [...model.sweeps].reverse().map((s) => /** @type {[string, string]} */ ([s.name, s.name])), sweep.name, (name) => app.go({ ...place, subject: name })) : null;
  return h("div.run", {}, h("header.view-head", {}, h("h1", {}, sweep.name), pick), progress(app, sweep),
    h("section.chapter", {}, h("h2.hidden", {}, "Charts"), h("div.charts", {}, curves(app, sweep), importanceFigures(sweep), best(app, sweep), parallelFigure(app, sweep), rungFigure(app, sweep), timeline(app, sweep))),
    failures(app, sweep), sweep.spec ? h("section.chapter", {}, h("h2", {}, "The sweep file"), h("pre.log", { tabindex: "0" }, sweep.spec)) : null);
}
