// @ts-check
// Loss, memory and speed of every finished run, two at a time, and what no other run beats.

import { choice, h, select } from "../dom.js";
import * as format from "../format.js";
import { inOrder, lookOf } from "../colors.js";
import { keyItem, plotFigure, variantKey } from "../figure.js";
import { front, stairs } from "../fronts.js";
import { padded } from "../scale.js";

/** @typedef {import("../app.js").App} App @typedef {import("../model.js").Run} Run */

/** @typedef {{name: string, words: string, large: boolean, log: boolean, unit?: string}} Goal */

/** @param {App} app @param {import("../model.js").Sweep} sweep @returns {Goal[]} */
function goalsOf(app, sweep) {
  const has = (/** @type {string} */ name) => app.model.metrics.has(name);
  const memory = ["mem/engine_bytes", "mem/device_bytes", "mem/peak_rss_bytes"].find(has);
  return [{ name: "best:" + sweep.metric, words: sweep.metric, large: sweep.maximize, log: false },
    ...(memory ? [{ name: memory, words: "training memory", large: false, log: true, unit: "bytes" }] : []),
    ...(has("model/deployed_bytes") ? [{ name: "model/deployed_bytes", words: "deployed weights", large: false, log: true, unit: "bytes" }] : []),
    ...(has("tokens_per_s") ? [{ name: "tokens_per_s", words: "tokens/s", large: true, log: true }] : [])];
}

/** Exact, and readable besides. @param {Goal} goal @param {number} value */
const sayGoal = (goal, value) => `${goal.words} ${format.exact(Number(value.toPrecision(9)))}` + (goal.unit === "bytes" ? ` bytes, ${format.bytes(value)}` : "");

/** @param {App} app @param {Run[]} runs @param {Goal} gx @param {Goal} gy */
function figure(app, runs, gx, gy) {
  const { model } = app;
  const points = runs.map((run) => ({ run, x: Number(model.value(run, gx.name) ?? NaN), y: Number(model.value(run, gy.name) ?? NaN) }))
    .filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y) && (!gx.log || p.x > 0) && (!gy.log || p.y > 0));
  if (!points.length) return null;
  const variants = inOrder([...new Set(points.map((p) => p.run.variant))]);
  const fronts = variants.map((variant) => ({ variant, points: front(points.filter((p) => p.run.variant === variant), gx.large, gy.large) }));
  const onFront = new Set(fronts.flatMap((f) => f.points));
  const xs = points.map((p) => p.x);
  const sorted = points.map((p) => p.y).sort((a, b) => a - b);
  // A run that went wrong would flatten the rest.
  const top = gy.log || gy.large ? sorted[sorted.length - 1] : Math.min(sorted[sorted.length - 1], sorted[0] + 4 * (sorted[Math.floor(sorted.length / 2)] - sorted[0] || 1));
  const make = () => ({
    label: `${gy.words} against ${gx.words}`,
    x: { label: `${gx.words} (${gx.large ? "more" : "less"} is better)`, log: gx.log, domain: padded(Math.min(...xs), Math.max(...xs), gx.log, 0.06), unit: gx.unit },
    y: { label: format.axisName(gy.words), log: gy.log, domain: padded(sorted[0], top, gy.log, 0.06), unit: gy.unit },
    marks: [...fronts.filter((f) => f.points.length > 1).map((f) => /** @type {import("../plot.js").Mark} */ ({ type: "line", ...stairs(f.points, gx.large), color: `var(${lookOf(f.variant).color})`, dash: lookOf(f.variant).dash, width: 1.5 })),
      ...points.sort((a, b) => Number(onFront.has(a)) - Number(onFront.has(b))).map((p) => {
        const look = lookOf(p.run.variant);
        return /** @type {import("../plot.js").Mark} */ ({ type: "point", x: p.x, y: p.y, color: `var(${look.color})`, mark: look.mark, size: onFront.has(p) ? 4.5 : 2.6, hollow: !onFront.has(p),
          tip: [p.run.name, sayGoal(gy, p.y), sayGoal(gx, p.x)], open: () => { location.hash = app.link("run", p.run.key); } });
      })],
  });
  return plotFigure({ title: `${gy.words} against ${gx.words}`, height: 360,
    table: () => [["run", "variant", ...[gx, gy].map((goal) => goal.words + (goal.unit ? ` [${goal.unit}]` : "")), "on the front"], ...points.map((p) => [p.run.name, p.run.variant, String(p.x), String(p.y), onFront.has(p) ? "yes" : "no"])] }, make);
}

/** @param {App} app */
export function paretoView(app) {
  const { model, place } = app;
  const sweep = model.sweep(place.subject) ?? model.sweeps[model.sweeps.length - 1];
  if (!sweep) return h("div.empty", {}, h("h1", {}, "Nothing here yet"), h("p", {}, "This home holds no sweep."));
  const runs = sweep.runs.filter((run) => run.state === "finished");
  const goals = goalsOf(app, sweep);
  const pairs = goals.flatMap((gx, i) => (i ? [[gx, goals[0]]] : [])).concat(goals.length > 2 ? [[goals[1], goals[goals.length - 1]]] : []);
  const variants = inOrder([...new Set(runs.map((run) => run.variant).filter(Boolean))]);
  return h("div.pareto", {}, h("header.view-head", {}, h("h1", {}, "Loss, memory, speed"),
    model.sweeps.length > 6 ? select("Sweep", model.sweeps.map((s) => [s.name, s.name]), sweep.name, (name) => app.go({ ...place, subject: name }))
      : choice("Sweep", [...model.sweeps].reverse().map((s) => /** @type {[string, string]} */ ([s.name, s.name])), sweep.name, (name) => app.go({ ...place, subject: name }))),
  runs.length ? h("section.chapter", {}, h("p.soft", {}, "Every finished run is a point; filled ones, joined by steps, are not beaten by any run of their variant. Speed is that of a run's last record."),
    h("div.legend", {}, variants.map((v) => keyItem(variantKey(v, "mark")))),
    h("h2.hidden", {}, "Fronts"), h("div.charts.half", {}, pairs.map(([gx, gy]) => figure(app, runs, gx, gy)))) : h("p.empty", {}, "No run of this sweep has finished yet."));
}
