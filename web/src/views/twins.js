// @ts-check
// The loss of the twins: every variant at its own best learning rate, mean and band over the seeds,
// each seed faintly behind.

import { choice, select } from "../dom.js";
import * as format from "../format.js";
import { AXIS_LOOK, axesFor, COUNTERS, curveOf, startOf } from "../axes.js";
import { loadAll, loadCurves, loadRun } from "../data.js";
import { lookOf } from "../colors.js";
import { curveFigure, LEGEND_MAX, whenSeen } from "../figure.js";
import { BAND_RUNS, groupMean } from "../series.js";
import { orderedSides } from "./compare.js";
import { sideLabel } from "../verdict.js";
import { smoothCurves, smoothingControl, strengthOf } from "./smoothing.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../model.js").Run} Run */

const RUNS_MAX = 64;
/** Beyond this many records in all the mean is of the overview's points. */
const EXACT_RECORDS = 60000;
/** With more seeds than this only their mean and its band are drawn. */
const SEEDS_DRAWN = 16;
/** With more runs than this the overviews come from one file. */
const COARSE_MIN = 16;
/** Places at which a mean is taken: more than a screen is wide. */
const MEAN_POINTS = 4000;

/** What any of these runs measured, the latent histogram's bins left out. @param {import("../model.js").Model} model @param {Run[]} runs */
export const measuredBy = (model, runs) => [...model.metrics.values()].filter((metric) => !/\/hist_\d+$/.test(metric.name) && runs.some((run) => metric.measured[run.i])).map((metric) => metric.name);

/** Metrics that tell how well a model predicts, the sweep's own first. @param {string[]} names measured @param {string} first */
export function lossMetrics(names, first) {
  const all = names.filter((name) => /loss|bpb|ppl/.test(name) && !/floor/.test(name));
  return [first, "val/loss", "train/loss", ...all].filter((name, i, list) => names.includes(name) && list.indexOf(name) === i);
}

/** The entropy of the data in the metric's unit, where it is known. @param {import("../model.js").Model} model @param {Run[]} runs @param {string} metric */
export function floorOf(model, runs, metric) {
  if (!/loss$|bpb$/.test(metric)) return NaN;
  for (const run of runs) {
    const floor = Number(model.last(run, "data/entropy_floor") ?? NaN); // nats a byte
    if (!Number.isFinite(floor)) continue;
    if (/bpb$/.test(metric)) return floor / Math.LN2;
    // The loss is per token: its tokens are as long as its bits per byte say.
    const bytes = Number(model.last(run, "val/loss") ?? NaN) / (Number(model.last(run, "val/bpb") ?? NaN) * Math.LN2);
    return Number.isFinite(bytes) ? floor * bytes : NaN;
  }
  return NaN;
}

/** @param {App} app @param {import("../model.js").Sweep} sweep @param {import("../model.js").Cell | null} cell */
function groupsOf(app, sweep, cell) {
  if (cell) return orderedSides(cell).map((side) => ({ name: side.variant, runs: side.best.runs.slice(0, RUNS_MAX).map((i) => app.model.runs[i]),
    label: sideLabel(side) }));
  const begun = sweep.runs.filter((run) => run.records > 0).slice(0, RUNS_MAX);
  return begun.map((run) => ({ name: run.variant || run.name, runs: [run], label: run.name }));
}

/** How a metric's curves are read: every record while they are few, else overviews, of many runs from one file. @param {App} app @param {import("../model.js").Sweep} sweep @param {Run[]} runs @param {string[]} names */
async function readerOf({ model }, sweep, runs, names) {
  const records = runs.reduce((sum, run) => sum + run.records, 0);
  if (records > EXACT_RECORDS && runs.length > COARSE_MIN) {
    const files = await Promise.all(names.map((name) => loadCurves(sweep.id, model.metrics.get(name)?.id ?? -1)));
    return async (/** @type {Run} */ run) => new Map(files.flatMap((file) => file.get(run.key)?.series ?? []).map((series) => [series.name, series]));
  }
  return async (/** @type {Run} */ run) => records > EXACT_RECORDS ? (await loadRun(run.key)).series : loadAll(run.key, model.chunk);
}

/** @param {App} app @param {import("../model.js").Sweep} sweep @param {import("../model.js").Cell | null} cell */
export function twinCurves(app, sweep, cell) {
  const { model, place } = app;
  const names = measuredBy(model, sweep.runs);
  const metrics = lossMetrics(names, sweep.metric);
  const metric = metrics.includes(place.options.get("y") ?? "") ? /** @type {string} */ (place.options.get("y")) : metrics[0] ?? sweep.metric;
  const axes = axesFor(names);
  const axis = axes.find(([name]) => name === place.options.get("x"))?.[0] ?? "step";
  const logX = place.options.has("logx");
  const logY = place.options.has("logy");
  const groups = groupsOf(app, sweep, cell);
  const table = async () => {
    const rows = [["run", "variant", axis, "step", metric]];
    for (const run of groups.flatMap((group) => group.runs)) {
      const all = await loadAll(run.key, model.chunk);
      const curve = curveOf(all, metric, /** @type {any} */ (axis), startOf(all));
      if (curve) for (let i = 0; i < curve.x.length; i++) rows.push([run.name, run.variant, String(curve.x[i]), String(curve.step[i]), String(curve.y[i])]);
    }
    return rows;
  };
  const few = groups.some((group) => group.runs.length > 1);
  const least = Math.min(...groups.map((group) => group.runs.length));
  const figure = curveFigure({
    title: `${metric} of the ${cell ? "twins" : "runs"}`, wide: true, height: 340,
    note: !few ? undefined : (least >= BAND_RUNS ? "Band: 95 % interval of the mean over seeds. " : "Band: least to largest over seeds. ") +
      "Drag to zoom, double-click for all.",
    controls: [
      metrics.length > 1 ? select("Metric", metrics.map((m) => [m, m]), metric, (value) => app.set({ y: value })) : null,
      choice("Along", axes, axis, (value) => app.set({ x: value, z: "" })),
      choice("Scale", [["", "linear"], ["y", "log y"], ["xy", "log"]], logY ? (logX ? "xy" : "y") : "",
        (value) => app.set({ logy: value ? "1" : "", logx: value === "xy" ? "1" : "", z: "" })),
      smoothingControl(app),
    ],
    table, soon: groups.slice(0, LEGEND_MAX).map(({ name, label }) => ({ ...lookOf(name), label })),
  });
  const fill = async () => {
    try {
      const counter = COUNTERS[/** @type {import("../axes.js").AxisName} */ (axis)];
      const read = await readerOf(app, sweep, groups.flatMap((group) => group.runs), [metric, ...(counter && counter !== metric ? [counter] : [])]);
      const sides = await Promise.all(groups.map(async (group) => ({ ...group, data: await Promise.all(group.runs.map(async (run) => {
        const all = await read(run);
        return { run, all, start: startOf(all) };
      })) })));
      /** @type {import("../curves.js").Curve[]} */
      const curves = [];
      for (const side of sides) {
        const look = lookOf(side.name);
        const seeds = side.data.flatMap(({ run, all, start }) => {
          const curve = curveOf(all, metric, /** @type {any} */ (axis), start);
          return curve ? [{ run, ...curve }] : [];
        });
        if (!seeds.length) continue;
        const mean = seeds.length > 1 ? groupMean(seeds, { points: MEAN_POINTS }) : null;
        // So many lines are a thick one, which hides the mean that they are for; the band tells of them.
        for (const seed of mean && seeds.length > SEEDS_DRAWN ? [] : seeds) {
          curves.push({ id: seed.run.key, label: seed.run.name, color: look.color, dash: look.dash, width: mean ? 1 : 2, alpha: mean ? 0.35 : 1, quiet: Boolean(mean), x: seed.x, y: seed.y });
        }
        if (mean) {
          curves.push({ id: side.label, label: side.label, color: look.color, dash: look.dash, width: 2.2, alpha: 1, x: mean.x, y: mean.y,
            low: mean.low, high: mean.high, note: (i) => `(n = ${mean.count[i]})` });
        }
      }
      const floor = floorOf(model, groups.flatMap((group) => group.runs), metric);
      figure.set({
        label: `${metric} against ${axis}, ${groups.map((group) => group.label).join("; ")}`,
        x: { ...AXIS_LOOK[/** @type {import("../axes.js").AxisName} */ (axis)], log: logX },
        y: { label: format.axisName(metric), log: logY, unit: format.unitOf(metric) }, trim: true,
        curves: smoothCurves(curves, strengthOf(app)), rules: Number.isFinite(floor) ? [{ y: floor, label: "entropy of the text" }] : [],
        zoom: zoomOf(app), zoomed: (range) => app.quietly({ z: range ? range.map((v) => v.toPrecision(7)).join("..") : "" }),
      });
    } catch (problem) {
      figure.say(problem instanceof Error ? problem.message : String(problem));
    }
  };
  whenSeen(figure.element, fill);
  return figure.element;
}

/** The part that is looked at, from the address. @param {App} app @returns {[number, number] | null} */
export function zoomOf(app) {
  const parts = (app.place.options.get("z") ?? "").split("..").map(Number);
  return parts.length === 2 && parts[0] < parts[1] ? [parts[0], parts[1]] : null;
}
