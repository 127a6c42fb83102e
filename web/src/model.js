// @ts-check
// The index as the views use it: runs as rows, knobs and metrics by name. Pure.

import { numbers } from "./series.js";

/**
 * @typedef {{i: number, key: string, name: string, state: string, reason: string, variant: string,
 *   host: string, device: string, dir: string, number: number, attempt: number, exit_code: number,
 *   records: number, created_s: number, started_s: number, ended_s: number, duration_s: number,
 *   sweep: number}} Run
 * @typedef {{name: string, unit: string, help: string, identity: boolean, values: any[],
 *   at?: number[]}} Knob
 * @typedef {{id: number, name: string, last: Float64Array, min: Float64Array, max: Float64Array,
 *   measured: Uint8Array}} Metric
 * @typedef {{setting: string, rate: number, mean: number, sd: number, runs: number[], losses: number[]}} Group
 * @typedef {{a: string, b: string, count: number, mean: number, interval: string, low: any, high: any, p: any,
 *   above: number, ties: number, below: number, own_best?: boolean,
 *   differences?: {seed: string, value: number, a: string, b: string}[]}} Pair
 * @typedef {{variant: string, size: string, floor: number, scale: number, exponent: number,
 *   exponent_low: any, exponent_high: any}} Law  loss = floor + scale * size^-exponent
 * @typedef {{a: string, b: string, size: number, ratio: any, ratio_low: any, ratio_high: any, meeting: string,
 *   meets_at: any}} Worth  a at `size` parameters is as good as b at ratio times as many
 * @typedef {{knob: string, at: number, at_low: any, at_high: any, value: number, value_low: any, value_high: any}} Valley
 * @typedef {{variant: string, edge: boolean, best: Group, rates: Group[], valley: Valley | null, metrics: {name: string, mean: number}[]}} Side
 * @typedef {{knob: string, share: number, low: number, high: number, levels?: number, spearman?: any}} Effect
 * @typedef {{runs: number, top: number, effects: Effect[], importance: Effect[],
 *   anova: {effects: {knobs: string, share: number, p: any}[], residual_share: number} | null}} Insight
 * @typedef {{where: {name: string, value: any}[], sides: Side[], pairs?: Pair[]}} Cell
 * @typedef {{name: string, method: string, metric: string, state: string, hash: string, spec: string,
 *   maximize: boolean, created_s: number, planned: number, varied: string[], comparison: Cell[], overall: Pair[],
 *   laws: Law[], worth: Worth[], insight: Insight | null, id: number,
 *   runs: Run[], i: number}} Sweep
 */

const FIELDS = ["name", "key", "sweep", "state", "reason", "variant", "host", "device", "attempt", "duration_s",
  "created_s", "started_s", "ended_s", "records", "exit_code", "number"];

export class Model {
  /** @param {any} index what data/index.js says */
  constructor(index) {
    this.written = String(index.written);
    this.live = index.live === true;
    this.files = String(index.files ?? "");
    this.chunk = Number(index.chunk);
    /** @type {Run[]} */
    this.runs = rows(index.runs);
    /** @type {Map<string, Run>} */
    this.byKey = new Map(this.runs.map((run) => [run.key, run]));
    /** @type {Map<string, Knob>} */
    this.knobs = new Map(index.knobs.map((/** @type {Knob} */ knob) => [knob.name, knob]));
    /** @type {Map<string, Metric>} */
    this.metrics = new Map(index.metrics.map((/** @type {any} */ told) => [told.name, metricOf(told)]));
    /** @type {Sweep[]} */
    this.sweeps = index.sweeps.map((/** @type {any} */ sweep, /** @type {number} */ i) => ({ ...sweep, i, runs: [],
      comparison: sweep.comparison?.cells ?? [], overall: sweep.comparison?.pairs ?? [],
      laws: sweep.comparison?.laws ?? [], worth: sweep.comparison?.worth ?? [] }));
    for (const run of this.runs) this.sweeps[run.sweep].runs.push(run);
  }

  /** @param {string} name @returns {Sweep | undefined} */
  sweep(name) {
    return this.sweeps.find((sweep) => sweep.name === name);
  }

  /** @param {Run} run @param {string} name */
  knob(run, name) {
    const knob = this.knobs.get(name);
    if (!knob) return undefined;
    const at = knob.at ? knob.at[run.i] : 0;
    return at < 0 ? undefined : knob.values[at];
  }

  /** The last number of a metric; undefined: never measured. @param {Run} run @param {string} name */
  last(run, name) {
    const metric = this.metrics.get(name);
    return metric?.measured[run.i] ? metric.last[run.i] : undefined;
  }

  /** The best number of a metric, by the sweep's goal when it is the sweep's own. @param {Run} run @param {string} name */
  best(run, name) {
    const metric = this.metrics.get(name);
    if (!metric?.measured[run.i]) return undefined;
    const sweep = this.sweeps[run.sweep];
    const up = sweep.metric === name ? sweep.maximize : !/loss|ppl|bpb|_ms$|_bytes$/.test(name);
    return up ? metric.max[run.i] : metric.min[run.i];
  }

  /** Whatever a filter or a column can name. @param {Run} run @param {string} name @returns {unknown} */
  value(run, name) {
    if (name === "sweep") return this.sweeps[run.sweep].name;
    if (FIELDS.includes(name)) return /** @type {any} */ (run)[name];
    if (this.knobs.has(name)) return this.knob(run, name);
    if (name.startsWith("best:")) return this.best(run, name.slice(5));
    return this.last(run, name);
  }

  /** @param {string} name */
  knows(name) {
    return FIELDS.includes(name) || this.knobs.has(name) || this.metrics.has(name.replace(/^best:/, ""));
  }

  /** The sweep's metric at its best. @param {Run} run */
  score(run) {
    const value = this.best(run, this.sweeps[run.sweep].metric);
    return value === undefined ? NaN : value;
  }

  /** Names of knobs that are not the same in all of these runs. @param {Run[]} runs */
  differing(runs) {
    return [...this.knobs.values()].filter((knob) => knob.at && runs.length > 1 &&
      runs.some((run) => String(this.knob(run, knob.name)) !== String(this.knob(runs[0], knob.name)))).map((knob) => knob.name);
  }
}

/** @param {any} columns @returns {Run[]} */
function rows(columns) {
  const names = Object.keys(columns).filter((name) => Array.isArray(columns[name]));
  return Array.from({ length: columns.count }, (_, i) => {
    /** @type {any} */
    const run = { i };
    for (const name of names) run[name] = columns[name][i];
    for (const name of ["created_s", "started_s", "ended_s", "duration_s"]) {
      if (typeof run[name] !== "number") run[name] = NaN;
    }
    return run;
  });
}

/** @param {any} told @returns {Metric} */
function metricOf(told) {
  const measured = Uint8Array.from(told.last.v, (/** @type {unknown} */ v) => (v === null ? 0 : 1));
  const column = (/** @type {any} */ c) => numbers(c.v, c.float === true);
  return { id: told.id, name: told.name, last: column(told.last), min: column(told.min), max: column(told.max), measured };
}

/** How a cell is called: "model.width 64"; "" when the sweep has but one. @param {Cell} cell */
export const cellName = (cell) => cell.where.map(({ name, value }) => `${name.replace(/^.*\./, "")} ${value}`).join(", ");

/** @param {Side} side @param {string} name */
export const sideMetric = (side, name) => side.metrics.find((metric) => metric.name === name)?.mean ?? NaN;
