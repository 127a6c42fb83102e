// @ts-check
// Curves of any number of runs in one chart: first from the overviews, then, zoomed in, from the
// finer levels down to every record.

import * as format from "./format.js";
import { AXIS_LOOK, COUNTERS, curveOf, startOf } from "./axes.js";
import { loadRange, loadRun } from "./data.js";
import { curveFigure, whenSeen } from "./figure.js";
import { levelFor, spliced } from "./levels.js";
import { lowerBound } from "./series.js";

/** @typedef {import("./data.js").Series} Series */
/** @typedef {import("./data.js").Part} Part */
/** @typedef {{key: string, label: string, color: string, dash: number[], width?: number}} Line */

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

/**
 * @param {import("./app.js").App} app
 * @param {{title: string, metric: string, axis: string, logX?: boolean, logY?: boolean, lines: Line[], zoom: [number, number] | null,
 *   zoomed?: (range: [number, number] | null) => void, controls?: Node[], wide?: boolean, height?: number, note?: string,
 *   shape?: (curves: import("./curves.js").Curve[]) => import("./curves.js").Curve[], rules?: {y: number, label: string}[], plain?: string[]}} wish
 * plain: the variants, when colours stand for them and a legend of every run would say too much
 */
export function overlay(app, wish) {
  const { metric, axis } = wish;
  const unit = format.unitOf(metric);
  const bytes = unit === "bytes";
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
  const figure = curveFigure({ title: wish.title, wide: wish.wide, height: wish.height, note: wish.note, controls: wish.controls, table, variants: wish.plain });
  const show = (/** @type {[number, number] | null} */ zoom) => figure.set({
    label: `${metric} against ${axis} of ${wish.lines.length} runs`,
    x: { ...AXIS_LOOK[/** @type {import("./axes.js").AxisName} */ (axis)], log: Boolean(wish.logX) },
    y: { label: metric + (unit && !bytes ? ` [${unit}]` : ""), log: Boolean(wish.logY), format: bytes ? format.bytes : undefined }, trim: /loss$|bpb$|ppl$/.test(metric),
    curves: wish.shape ? wish.shape(curves) : curves, rules: wish.rules ?? [], zoom,
    zoomed: (range) => {
      wish.zoomed?.(range);
      void fill(range);
    },
  });
  const fill = async (/** @type {[number, number] | null} */ zoom) => {
    const mine = ++turn;
    try {
      const found = await Promise.all(wish.lines.map(async (line) => ({ line, curve: await refined(await loadRun(line.key), wish, zoom, app.model.chunk) })));
      if (mine !== turn) return; // another zoom came meanwhile
      curves = found.flatMap(({ line, curve }) => curve ? [{ id: line.key, label: line.label, color: line.color, dash: wish.lines.length > DASHED_MAX ? [] : line.dash,
        width: line.width ?? (wish.lines.length > 12 ? 1.1 : 1.8), alpha: wish.lines.length > 30 ? 0.6 : 1, x: curve.x, y: curve.y }] : []);
      show(zoom);
    } catch (problem) {
      figure.say(problem instanceof Error ? problem.message : String(problem));
    }
  };
  whenSeen(figure.element, () => void fill(wish.zoom));
  return figure.element;
}
