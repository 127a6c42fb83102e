// @ts-check
// Curves of any number of runs in one chart: first from the overviews, then, zoomed in, from the
// finer levels down to every record.

import * as format from "./format.js";
import { AXIS_LOOK, COUNTERS, curveOf, startOf } from "./axes.js";
import { loadCurves, loadRange, loadRun } from "./data.js";
import { curveFigure, LEGEND_MAX, whenSeen } from "./figure.js";
import { levelFor, spliced } from "./levels.js";
import { groupMean, lowerBound } from "./series.js";

/** @typedef {import("./data.js").Series} Series */
/** @typedef {import("./data.js").Part} Part */
/** @typedef {{key: string, label: string, color: string, dash: number[], width?: number, stopped?: boolean, top?: boolean}} Line  top: drawn by itself, too, where the others are a band */

/** With more lines than this the whole range is drawn from one file of each sweep. */
const COARSE_MIN = 24;

/** With more runs than this lines tell nothing apart: bands of the variants do. */
export const LINES_MAX = 200;

/** So many runs are drawn line by line when asked for. */
export const LINES_ASKED_MAX = 1000;

/** Places at which the mean of many runs is taken. */
const BAND_POINTS = 400;

/** With more lines than this patterns tell nothing apart any more, and cost most of the drawing. */
const DASHED_MAX = 24;

/**
 * The series of a run as fine as a range of the axis needs.
 * @param {Part} part @param {{metric: string, axis: string, lines: Line[]}} wish @param {[number, number] | null} zoom @param {number} chunk
 */
async function refined(part, wish, zoom, chunk) {
  const { metric } = wish;
  const axis = /** @type {import("./axes.js").AxisName} */ (wish.axis);
  const start = startOf(part.series);
  const curve = curveOf(part.series, metric, axis, start);
  if (!curve || part.level === 0) return curve;
  const [left, right] = zoom ?? [-Infinity, Infinity];
  const width = 4 ** part.level;
  const from = Math.max(0, lowerBound(curve.x, left) - 1);
  const to = Math.min(curve.x.length - 1, lowerBound(curve.x, right));
  const first = Math.floor(curve.seq[from] / width) * width;
  const last = Math.min(part.total - 1, curve.seq[to] + width);
  const level = levelFor(last - first + 1, part.level, wish.lines.length);
  if (level >= part.level) return curve;
  const fine = await loadRange(part, level, first, last, chunk);
  const all = new Map(part.series);
  for (const name of [metric, COUNTERS[axis]]) {
    const top = name && part.series.get(name);
    if (name && top) all.set(name, spliced(top, fine.get(name)));
  }
  return curveOf(all, metric, axis, start);
}

/** Lines of one colour as one curve with its band. @param {{line: Line, curve: import("./axes.js").RunCurve | null}[]} found @returns {import("./curves.js").Curve[]} */
function bandsOf(found) {
  const colors = [...new Set(found.map(({ line }) => line.color))];
  return colors.flatMap((color) => {
    const members = found.filter(({ line, curve }) => line.color === color && curve);
    if (!members.length) return [];
    const { label, dash } = members[0].line;
    const mean = groupMean(members.map(({ curve }) => /** @type {import("./axes.js").RunCurve} */ (curve)), { range: true, points: BAND_POINTS });
    return [{ id: color, label: `${label}, mean of ${members.length}`, color, dash, width: 2.2, alpha: 1, x: mean.x, y: mean.y, low: mean.low, high: mean.high, note: (i) => `(n = ${mean.count[i]})` }];
  });
}

/**
 * The curves of many runs from the files of their sweeps; a run that they lack is left out.
 * @param {import("./app.js").App} app @param {{metric: string, axis: string, lines: Line[]}} wish
 */
async function coarse({ model }, { metric, axis, lines }) {
  const counter = COUNTERS[/** @type {import("./axes.js").AxisName} */ (axis)];
  const names = [metric, ...(counter && counter !== metric ? [counter] : [])];
  const runs = lines.map((line) => /** @type {import("./model.js").Run} */ (model.byKey.get(line.key)));
  const files = new Map(await Promise.all([...new Set(runs.map((run) => run.sweep))].map(async (i) => /** @type {[number, any[]]} */ ([i,
    await Promise.all(names.map((name) => loadCurves(model.sweeps[i].id, model.metrics.get(name)?.id ?? -1)))]))));
  return lines.map((line, i) => {
    const found = (files.get(runs[i].sweep) ?? []).flatMap((file) => file.get(line.key)?.series ?? []);
    const all = new Map(found.map((series) => [series.name, series]));
    return { line, curve: curveOf(all, metric, /** @type {any} */ (axis), startOf(all)) };
  });
}

/**
 * @param {import("./app.js").App} app
 * @param {{title: string, metric: string, axis: string, logX?: boolean, logY?: boolean, lines: Line[], zoom: [number, number] | null,
 *   zoomed?: (range: [number, number] | null) => void, controls?: (Node | null)[], wide?: boolean, height?: number, note?: string,
 *   shape?: (curves: import("./curves.js").Curve[]) => import("./curves.js").Curve[], bands?: boolean, rules?: {y: number, label: string}[], keys?: import("./figure.js").Key[], bare?: boolean}} wish
 * bands: lines of one colour together, their mean and from least to largest
 * keys, bare: as a frame has them; without, every line is named
 */
export function overlay(app, wish) {
  const { metric, axis } = wish;
  /** @type {import("./curves.js").Curve[]} */
  let curves = [];
  let turn = 0;
  const table = async () => {
    const rows = [["run", axis, "step", metric]];
    for (const line of wish.lines) {
      const part = await loadRun(line.key);
      const all = await loadRange(part, 0, 0, part.total - 1, app.model.chunk);
      const curve = curveOf(all, metric, /** @type {any} */ (axis), startOf(part.series));
      if (curve) for (let i = 0; i < curve.x.length; i++) rows.push([line.label, String(curve.x[i]), String(curve.step[i]), String(curve.y[i])]);
    }
    return rows;
  };
  const figure = curveFigure({ title: wish.title, wide: wish.wide, height: wish.height, note: wish.note, controls: wish.controls, table, keys: wish.keys, bare: wish.bare,
    soon: wish.bands ? [] : wish.lines.slice(0, LEGEND_MAX).map(({ label, color, dash }) => ({ label, color, dash })) });
  const show = (/** @type {[number, number] | null} */ zoom) => figure.set({
    label: `${metric} against ${axis} of ${wish.lines.length} runs`,
    x: { ...AXIS_LOOK[/** @type {import("./axes.js").AxisName} */ (axis)], log: Boolean(wish.logX) },
    y: { label: format.axisName(metric), log: Boolean(wish.logY), unit: format.unitOf(metric) }, trim: /loss$|bpb$|ppl$/.test(metric),
    curves: wish.shape ? wish.shape(curves) : curves, rules: wish.rules ?? [], zoom,
    zoomed: (range) => {
      wish.zoomed?.(range);
      // What is there already is on screen first; then it gets finer.
      requestAnimationFrame(() => setTimeout(() => void fill(range)));
    },
  });
  const fill = async (/** @type {[number, number] | null} */ zoom) => {
    const mine = ++turn;
    try {
      const many = wish.lines.length > COARSE_MIN && wish.lines.some((line) => Boolean(app.model.byKey.get(line.key)?.records));
      const found = many && (wish.bands || wish.lines.length > LINES_MAX || (!zoom && wish.axis !== "time")) ? await coarse(app, wish)
        : await Promise.all(wish.lines.map(async (line) => ({ line, curve: await refined(await loadRun(line.key), wish, zoom, app.model.chunk) })));
      if (mine !== turn) return; // another zoom came meanwhile
      const alone = found.filter(({ line }) => line.top || !wish.bands).flatMap(({ line, curve }) => curve ? [{ id: line.key, label: line.label, color: line.color, dash: wish.lines.length > DASHED_MAX ? [] : line.dash,
        width: line.width ?? (wish.lines.length > 12 ? 1.1 : 1.8), alpha: !wish.bands && wish.lines.length > 30 ? 0.6 : 1, stopped: line.stopped, x: curve.x, y: curve.y }] : []);
      curves = wish.bands ? [...bandsOf(found), ...alone] : alone;
      show(zoom);
    } catch (problem) {
      figure.say(problem instanceof Error ? problem.message : String(problem));
    }
  };
  whenSeen(figure.element, () => void fill(wish.zoom));
  return figure.element;
}
