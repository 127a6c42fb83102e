// @ts-check
// Where a sweep that ends runs early ended which: every rung with the runs that came to it.

import { h } from "../dom.js";
import * as format from "../format.js";
import { inOrder, lookOf } from "../colors.js";
import { loadCurves } from "../data.js";
import { plotFigure, variantKey, whenSeen } from "../figure.js";
import { padded } from "../scale.js";
import { climb, count, earlyOf } from "../rungs.js";

/** @typedef {import("../app.js").App} App @typedef {import("../model.js").Run} Run @typedef {import("../model.js").Sweep} Sweep */
/** @typedef {import("../rungs.js").Rung} Rung @typedef {import("../rungs.js").Early} Early */

const RUNS_MAX = 600;
const SPREAD = 0.3;

/** @param {Run} run @param {Map<string, import("../data.js").Curve>} curves */
const climberOf = (run, curves) => {
  const series = curves.get(run.key)?.series;
  return { key: run.key, cut: run.state === "pruned", reason: run.reason, ended: run.state === "finished", x: series?.step ?? [], y: series?.value ?? [] };
};

/** @param {App} app @param {Sweep} sweep */
export function rungFigure(app, sweep) {
  const early = earlyOf(sweep.spec);
  if (!early || !["asha", "hyperband"].includes(early.type)) return null;
  const runs = sweep.runs.filter((run) => run.records > 0).slice(0, RUNS_MAX);
  if (!runs.length || !app.model.metrics.has(sweep.metric)) return null;
  const place = h("div.whole", { style: { "min-height": "380px" } }, h("p.waiting", {}, "Reading \u2026"));
  whenSeen(place, async () => {
    try {
      const curves = await loadCurves(sweep.id, app.model.metrics.get(sweep.metric)?.id ?? -1);
      const rungs = climb(early, runs.map((run) => climberOf(run, curves)));
      place.replaceChildren(rungs.length ? figure(app, sweep, early, rungs) : h("p.soft", {}, "No run has come to a rung yet."));
    } catch (problem) {
      place.replaceChildren(h("p.soft", {}, problem instanceof Error ? problem.message : String(problem)));
    }
    place.style.removeProperty("min-height");
  });
  return place;
}

/** A run's place beside its rung: the same on every rung, so that its line is a line. @param {number} i @param {number} of */
const beside = (i, of) => (of > 1 ? (i / (of - 1) - 0.5) * SPREAD : 0);

/** @param {App} app @param {Sweep} sweep @param {Early} early @param {Rung[]} rungs */
function figure(app, sweep, early, rungs) {
  const { model } = app;
  const what = early.type === "asha" ? "step" : "report";
  const order = new Map(rungs[0].arrivals.map(({ key }, i) => [key, i]));
  const runOf = (/** @type {string} */ key) => /** @type {Run} */ (model.byKey.get(key));
  const variants = inOrder([...new Set([...order.keys()].map((key) => runOf(key).variant).filter(Boolean))]);
  const xOf = (/** @type {number} */ k, /** @type {string} */ key) => k + beside(order.get(key) ?? 0, order.size);
  const values = rungs.flatMap((rung) => rung.arrivals.map((a) => a.value)).filter(Number.isFinite);
  const [low, high] = padded(Math.min(...values), Math.max(...values), false);
  const top = high + (high - low) * 0.14;
  const words = (/** @type {Rung} */ rung) => `${rung.arrivals.length} came \u00b7 ${count(rung, "cut")} cut`;
  const marks = /** @type {import("../plot.js").Mark[]} */ ([]);
  for (const key of order.keys()) {
    const path = rungs.flatMap((rung, k) => rung.arrivals.filter((a) => a.key === key).map((a) => ({ x: xOf(k, key), y: a.value })));
    if (path.length > 1) marks.push({ type: "line", x: path.map((p) => p.x), y: path.map((p) => p.y), color: `var(${lookOf(runOf(key).variant).color})`, width: 1, alpha: 0.4 });
  }
  rungs.forEach((rung, k) => {
    marks.push({ type: "text", x: k, y: high + (high - low) * 0.05, text: words(rung), anchor: "middle", color: "var(--ink-soft)" });
    for (const a of rung.arrivals) {
      const run = runOf(a.key);
      marks.push({ type: "point", x: xOf(k, a.key), y: a.value, color: a.fate === "cut" ? "var(--ink-soft)" : `var(${lookOf(run.variant).color})`,
        mark: a.fate === "cut" ? "cross" : lookOf(run.variant).mark, size: a.fate === "cut" ? 3 : 4, hollow: a.fate === "here",
        tip: [run.name, `${sweep.metric} ${format.exact(Number(a.value.toPrecision(9)))} at step ${a.step}`, a.fate === "cut" ? reasonOf(run) || "ended here" : a.fate === "on" ? "went on" : run.state],
        open: () => { location.hash = app.link("run", run.key); } });
    }
  });
  return plotFigure({ title: `Rungs of ${early.type}`, height: 360,
    keys: [...variants.map((variant) => ({ ...variantKey(variant, "mark"), label: `${variant}, went on` })), { label: "ended here", color: "--ink-soft", mark: "cross", shape: "mark" }],
    note: `A mark is a run at a rung; the line leads to its next one. ${early.eta > 0 ? `About one in ${format.number(early.eta)} goes on.` : ""}` + (sweep.runs.length > RUNS_MAX ? ` The first ${RUNS_MAX} of ${sweep.runs.length} runs.` : ""),
    table: () => [["rung", "run", "variant", "step", sweep.metric, "fate", "reason"], ...rungs.flatMap((rung) => rung.arrivals.map((a) => [String(rung.at), runOf(a.key).name, runOf(a.key).variant, String(a.step), String(a.value), a.fate, a.fate === "cut" ? runOf(a.key).reason : ""]))] },
  () => ({ label: rungs.map((rung) => `${what} ${rung.at}: ${words(rung)}`).join("; "),
    x: { label: what, domain: [-0.5, rungs.length - 0.5], ticks: rungs.map((rung, k) => ({ at: k, text: `${what} ${format.number(rung.at)}` })) },
    y: { label: format.axisName(sweep.metric), domain: [low, top] }, marks }));
}

/** A run's reason without what its state says already. @param {Run} run */
export const reasonOf = (run) => run.reason.replace(new RegExp(`^${run.state.replace(/[^a-z]/g, "")}: `), "");
