// @ts-check
// The loss of the twins: every variant at its own best learning rate, mean and band over the seeds,
// each seed faintly behind.

import { choice, h, select } from "../dom.js";
import * as format from "../format.js";
import { AXIS_LOOK, axesFor, curveOf, startOf } from "../axes.js";
import { loadAll, loadRun } from "../data.js";
import { lookOf } from "../colors.js";
import { curveFigure, whenSeen } from "../figure.js";
import { BAND_RUNS, groupMean } from "../series.js";
import { orderedSides } from "./compare.js";
import { smoothCurves, smoothingControl, strengthOf } from "./smoothing.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../model.js").Run} Run */

const RUNS_MAX = 64;
/** Beyond this many records the mean is of the overview's points. */
const EXACT_RECORDS = 20000;

/** Metrics that tell how well a model predicts. @param {Iterable<string>} names @param {string} first */
export function lossMetrics(names, first) {
  const all = [...names].filter((name) => /loss|bpb|ppl/.test(name) && !/floor/.test(name));
  return [first, "val/loss", "train/loss", ...all].filter((name, i, list) => all.includes(name) && list.indexOf(name) === i);
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
    label: `${side.variant}, lr ${format.rate(side.best.rate)}` }));
  const begun = sweep.runs.filter((run) => run.records > 0).slice(0, RUNS_MAX);
  return begun.map((run) => ({ name: run.variant || run.name, runs: [run], label: run.name }));
}

/** @param {Run} run @param {number} chunk */
async function measured(run, chunk) {
  const top = await loadRun(run.key);
  const all = top.total <= EXACT_RECORDS ? await loadAll(run.key, chunk) : top.series;
  return { run, all, start: startOf(all) };
}

/** @param {App} app @param {import("../model.js").Sweep} sweep @param {import("../model.js").Cell | null} cell */
export function twinCurves(app, sweep, cell) {
  const { model, place } = app;
  const metrics = lossMetrics(model.metrics.keys(), sweep.metric);
  const metric = metrics.includes(place.options.get("y") ?? "") ? /** @type {string} */ (place.options.get("y")) : metrics[0] ?? sweep.metric;
  const axes = axesFor(model.metrics.keys());
  const axis = axes.find(([name]) => name === place.options.get("x"))?.[0] ?? "step";
  const logX = place.options.has("logx");
  const logY = place.options.has("logy");
  const groups = groupsOf(app, sweep, cell);
  const unit = format.unitOf(metric);
  /** @type {string[][]} */
  let table = [];
  const few = groups.some((group) => group.runs.length > 1);
  const least = Math.min(...groups.map((group) => group.runs.length));
  const figure = curveFigure({
    title: `${metric} of the twins`, wide: true, height: 340,
    note: !few ? undefined : (least >= BAND_RUNS ? "Band: 95 % interval of the mean over seeds. " : "Band: least to largest over seeds. ") +
      "Drag to zoom, double-click for all.",
    controls: [
      metrics.length > 1 ? select("Metric", metrics.map((m) => [m, m]), metric, (value) => app.set({ y: value })) : h("span"),
      choice("Along", axes, axis, (value) => app.set({ x: value, z: "" })),
      choice("Scale", [["", "linear"], ["y", "log y"], ["xy", "log"]], logY ? (logX ? "xy" : "y") : "",
        (value) => app.set({ logy: value ? "1" : "", logx: value === "xy" ? "1" : "", z: "" })),
      smoothingControl(app),
    ],
    table: () => table,
  });
  const fill = async () => {
    try {
      const sides = await Promise.all(groups.map(async (group) => ({ ...group, data: await Promise.all(group.runs.map((run) => measured(run, model.chunk))) })));
      /** @type {import("../curves.js").Curve[]} */
      const curves = [];
      table = [["run", "variant", axis, "step", metric]];
      for (const side of sides) {
        const look = lookOf(side.name);
        const seeds = side.data.flatMap(({ run, all, start }) => {
          const curve = curveOf(all, metric, /** @type {any} */ (axis), start);
          if (curve) for (let i = 0; i < curve.x.length; i++) table.push([run.name, run.variant, String(curve.x[i]), String(curve.step[i]), String(curve.y[i])]);
          return curve ? [{ run, ...curve }] : [];
        });
        if (!seeds.length) continue;
        const mean = seeds.length > 1 ? groupMean(seeds) : null;
        for (const seed of seeds) {
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
        y: { label: metric + (unit ? ` [${unit}]` : ""), log: logY }, trim: true,
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
