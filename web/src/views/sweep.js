// @ts-check
// One sweep: how far it is, what ran when, what mattered, what failed.

import { choice, h, select } from "../dom.js";
import * as format from "../format.js";
import { inOrder, lookOf } from "../colors.js";
import { plotFigure } from "../figure.js";
import { bestSoFar, slots } from "../fronts.js";
import { importances, RUNS_MIN } from "../importance.js";
import { padded, timeTicks } from "../scale.js";
import { overlay } from "../overlay.js";
import { axesFor } from "../axes.js";
import { curveControls, curveOptions } from "./controls.js";
import { parallelFigure } from "./parallel.js";
import { lossMetrics } from "./twins.js";

/** @typedef {import("../app.js").App} App @typedef {import("../model.js").Run} Run @typedef {import("../model.js").Sweep} Sweep */

const STATES = ["finished", "running", "pending", "pruned", "preempted", "killed", "failed", "crashed", "skipped"];
const COLORS = new Map([["finished", "--good"], ["running", "--accent"], ["failed", "--bad"], ["crashed", "--bad"], ["pruned", "--warn"], ["killed", "--warn"], ["preempted", "--warn"]]);
const CURVES_MAX = 200;

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
      rest > 0 ? ` \u00b7 ${rest} to come` : "", busy > 0 ? ` \u00b7 ${format.duration(busy)} of run time` : "", ` \u00b7 ${sweep.method}, ${sweep.maximize ? "maximize" : "minimize"} ${sweep.metric} \u00b7 ${sweep.state}`));
}

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
  return plotFigure({ title: "Runs over time", wide: true, whole: true, height: Math.min(420, 70 + most * 26), note: "One row a slot; coloured by variant, faint when the run did not finish.",
    table: () => [["run", "state", "slot", "started_s", "ended_s"], ...rows.map((row, i) => [row.run.name, row.run.state, String(at[i]), String(row.start), String(row.end)])] },
  () => ({ label: `${rows.length} runs over ${most} slots`,
    x: { label: "since the first start", domain: [0, Math.max(1, end - start)], time: true, format: (v) => (v === 0 ? "0" : format.duration(v)), ticks: timeTicks(0, Math.max(1, end - start), 6).map((t) => ({ at: t, text: t ? format.duration(t) : "0" })) },
    y: { label: "slot", domain: [-0.6, most - 0.4], ticks: Array.from({ length: Math.min(most, 12) }, (_, i) => ({ at: i, text: String(i) })) },
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
  return plotFigure({ title: `Best ${sweep.metric} so far`, table: () => [["ended as", "run", sweep.metric, "best so far"], ...points.map((p, i) => [String(p.x), p.run.name, String(p.y), String(line[i].y)])] },
    () => ({ label: `Best ${sweep.metric} so far`, x: { label: "runs finished", domain: [0.5, points.length + 0.5] },
      y: { label: sweep.metric, domain: padded(sorted[0], top, false) },
      marks: [...points.map((p) => /** @type {import("../plot.js").Mark} */ ({ type: "point", x: p.x, y: p.y, color: `var(${lookOf(p.run.variant).color})`, mark: lookOf(p.run.variant).mark, size: 3, hollow: true,
        tip: [p.run.name, `${sweep.metric} ${format.exact(Number(p.y.toPrecision(9)))}`], open: () => { location.hash = app.link("run", p.run.key); } })),
      { type: "line", x: line.flatMap((p, i) => (i ? [p.x, p.x] : [p.x])), y: line.flatMap((p, i) => (i ? [line[i - 1].y, p.y] : [p.y])), color: "var(--ink)", width: 1.5 }] }));
}

/** @param {App} app @param {Sweep} sweep */
function importance(app, sweep) {
  const runs = sweep.runs.filter((run) => run.state === "finished" && Number.isFinite(app.model.score(run)));
  const names = [...new Set([...sweep.varied, "train.seed"])].filter((name) => new Set(runs.map((run) => String(app.model.knob(run, name)))).size > 1);
  const told = importances(new Map(names.map((name) => [name, runs.map((run) => app.model.knob(run, name))])), runs.map((run) => app.model.score(run)));
  if (!told) return h("figure.chart", {}, h("figcaption.chart-head", {}, h("h3", {}, "What mattered")), h("p.soft", {}, `Fewer than ${RUNS_MIN} finished runs say nothing of that.`));
  if (!told.length) return null;
  return plotFigure({ title: "What mattered", height: Math.max(200, 80 + told.length * 34),
    note: `Share of the variance of ${sweep.metric} over ${runs.length} runs that each knob explains by itself (analysis of variance, less what chance explains), with a 95 % bootstrap interval.`,
    table: () => [["knob", "share", "low", "high", "levels"], ...told.map((row) => [row.name, String(row.share), String(row.low), String(row.high), String(row.levels)])] },
  () => ({ label: "Share of the variance explained", x: { label: "share of variance", domain: [0, 1.12], ticks: [0, 0.25, 0.5, 0.75, 1].map((at) => ({ at, text: `${at * 100}\u202f%` })) },
    y: { label: "", domain: [-0.6, told.length - 0.4], ticks: told.map((row, i) => ({ at: told.length - 1 - i, text: row.name.replace(/^.*\./, "") })) },
    left: Math.min(150, Math.max(...told.map((row) => row.name.replace(/^.*\./, "").length)) * 7 + 22),
    marks: told.flatMap((row, i) => /** @type {import("../plot.js").Mark[]} */ ([
      { type: "bar", from: 0, to: row.share, y: told.length - 1 - i, size: 0.5, color: "var(--blue)", alpha: 0.75, tip: [row.name, `${format.number(row.share * 100, 3)} % of the variance`, `95 %: ${format.number(row.low * 100, 2)} to ${format.number(row.high * 100, 2)} %`, `${row.levels} levels`] },
      { type: "error", x: row.share, y: told.length - 1 - i, low: row.low, high: row.high, color: "var(--ink)", across: true }])) }));
}

/** @param {App} app @param {Sweep} sweep */
function failures(app, sweep) {
  const bad = sweep.runs.filter((run) => run.reason || ["failed", "crashed", "killed"].includes(run.state));
  if (!bad.length) return null;
  return h("section.chapter", {}, h("h2", {}, "What did not go well"), h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Failures" }, h("table.config", {},
    h("thead", {}, h("tr", {}, ["run", "state", "reason", "attempts", "duration"].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, bad.slice(0, 200).map((run) => h("tr", {}, h("td", {}, h("a", { href: app.link("run", run.key) }, run.name)), h("td", {}, h(`span.state.state-${run.state}`, {}, run.state)),
      h("td", {}, run.reason || format.NOTHING), h("td", {}, String(run.attempt)), h("td", {}, format.duration(run.duration_s))))))));
}

/** @param {App} app @param {Sweep} sweep */
function curves(app, sweep) {
  const runs = sweep.runs.filter((run) => run.records > 0).slice(0, CURVES_MAX);
  if (!runs.length) return null;
  const metrics = lossMetrics(app.model.metrics.keys(), sweep.metric);
  const all = [...metrics, ...[...app.model.metrics.keys()].filter((name) => !metrics.includes(name) && !/hist_/.test(name))];
  const axes = axesFor(app.model.metrics.keys());
  const options = curveOptions(app, all, axes);
  return overlay(app, { ...options, title: `${options.metric} of ${runs.length === sweep.runs.length ? "all runs" : `${runs.length} runs`}`, wide: true, height: 340,
    note: "Coloured by variant; dashed when the run did not finish." + (sweep.runs.length > CURVES_MAX ? ` The first ${CURVES_MAX}.` : ""),
    lines: runs.map((run) => ({ key: run.key, label: run.name, color: lookOf(run.variant).color, dash: ["finished", "running"].includes(run.state) ? [] : [5, 3], width: 1.1 })),
    controls: curveControls(app, all, axes, options), plain: inOrder([...new Set(runs.map((run) => run.variant))]) });
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
    h("section.chapter", {}, h("div.charts", {}, curves(app, sweep), importance(app, sweep), parallelFigure(app, sweep), best(app, sweep), timeline(app, sweep))),
    failures(app, sweep), sweep.spec ? h("section.chapter", {}, h("h2", {}, "The sweep file"), h("pre.log", { tabindex: "0" }, sweep.spec)) : null);
}
