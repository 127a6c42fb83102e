// @ts-check
// What a run's curve is drawn against: steps, tokens, wall time, energy. Pure.

import { valueAt } from "./series.js";

/** @typedef {import("./data.js").Series} Series */
/** @typedef {"step" | "tokens" | "time" | "energy"} AxisName */
/** @typedef {{x: Float64Array, y: Float64Array, seq: Float64Array, step: Float64Array}} RunCurve */

/** @type {[AxisName, string][]} */
export const AXES = [["step", "step"], ["tokens", "tokens"], ["time", "time"], ["energy", "energy"]];

/** The metric that counts along an axis; null: every record has it anyway. @type {Record<AxisName, string | null>} */
export const COUNTERS = { step: null, tokens: "tokens", time: null, energy: "energy_j" };

/** @type {Record<AxisName, {label: string, unit: string, whole?: boolean}>} */
export const AXIS_LOOK = {
  step: { label: "optimizer steps", unit: "", whole: true },
  tokens: { label: "tokens", unit: "", whole: true },
  time: { label: "wall time since the first record", unit: "s" },
  energy: { label: "energy", unit: "J" },
};

/** Axes that these runs can be drawn against. @param {Iterable<string>} metrics names measured */
export function axesFor(metrics) {
  const known = new Set(metrics);
  return AXES.filter(([name]) => COUNTERS[name] === null || known.has(/** @type {string} */ (COUNTERS[name])));
}

/** The first moment of a run's records. @param {Map<string, Series>} all */
export function startOf(all) {
  let start = Infinity;
  for (const series of all.values()) if (series.wall.length) start = Math.min(start, series.wall[0]);
  return start;
}

/**
 * One metric of a run against an axis; null when the run did not measure what it needs.
 * A counter that was taken at other records is read between them by seq.
 * @param {Map<string, Series>} all @param {string} metric @param {AxisName} axis @param {number} start
 * @returns {RunCurve | null}
 */
export function curveOf(all, metric, axis, start) {
  const series = all.get(metric);
  if (!series) return null;
  const { seq, step, value: y } = series;
  if (axis === "step") return { x: step, y, seq, step };
  if (axis === "time") return { x: series.wall.map((wall) => wall - start), y, seq, step };
  const counter = all.get(/** @type {string} */ (COUNTERS[axis]));
  if (!counter) return null;
  const along = { x: counter.seq, y: counter.value };
  const x = seq.map((at) => valueAt(along, at));
  const keep = [...x.keys()].filter((i) => Number.isFinite(x[i]));
  if (keep.length === x.length) return { x, y, seq, step };
  const pick = (/** @type {Float64Array} */ of) => Float64Array.from(keep, (i) => of[i]);
  return { x: pick(x), y: pick(y), seq: pick(seq), step: pick(step) };
}
