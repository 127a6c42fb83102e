// @ts-check
// The latent weights' histogram over training as a heat map: where the weights lie between the
// ternary thresholds, and how that moves.

import * as format from "../format.js";
import { loadAll } from "../data.js";
import { plotFigure, whenSeen } from "../figure.js";
import { h } from "../dom.js";

const COLUMNS_MAX = 160;
/** Width of a bin, in units of the weight scale, as the engine counts. */
const BIN = 0.25;

/**
 * Bins over steps; neighbouring records are averaged when there are more than fit. Pure.
 * @param {Map<string, import("../data.js").Series>} all @param {string[]} names bins in order
 */
export function heatOf(all, names) {
  const first = all.get(names[0]);
  const count = first ? first.value.length : 0;
  const width = Math.max(1, Math.ceil(count / COLUMNS_MAX));
  const columns = [];
  for (let from = 0; first && from < count; from += width) {
    const to = Math.min(count, from + width);
    // A column stands for the steps up to its record: none lies beyond the last step.
    columns.push({ step: from ? first.step[from - 1] : Math.max(0, first.step[0] - (count > 1 ? first.step[1] - first.step[0] : 1)), end: first.step[to - 1],
      shares: names.map((name) => {
        const series = all.get(name);
        let sum = 0;
        for (let i = from; series && i < to; i++) sum += series.value[i];
        return sum / (to - from);
      }) });
  }
  return columns;
}

/** @param {import("../app.js").App} app @param {import("../model.js").Run} run */
export function heatFigure(app, run) {
  const names = [...app.model.metrics.values()].filter((metric) => metric.measured[run.i] && /\/hist_\d+$/.test(metric.name)).map((metric) => metric.name).sort();
  if (names.length < 2) return null;
  const place = h("div.two", { style: { "min-height": "300px" } });
  whenSeen(place, async () => {
    const columns = heatOf(await loadAll(run.key, app.model.chunk), names);
    if (!columns.length) return;
    const most = Math.max(...columns.flatMap((column) => column.shares).filter(Number.isFinite));
    place.replaceChildren(plotFigure({ title: "Latent weights over training",
      note: "Share of weights by size: the stronger the colour, the more. Below 0.5 a weight is rounded to zero. The last bin holds all above.",
      table: () => [["step", ...names], ...columns.map((column) => [String(column.step), ...column.shares.map(String)])] },
    () => ({ label: "Histogram of the latent weights over training",
      x: { label: "optimizer steps", domain: [columns[0].step, columns[columns.length - 1].end] },
      y: { label: "|weight| / scale", domain: [0, names.length * BIN], format: (v) => format.number(v, 2) },
      marks: [...columns.flatMap((column) => column.shares.map((share, bin) => /** @type {import("../plot.js").Mark} */ ({ type: "cell", x0: column.step, x1: column.end, y0: bin * BIN, y1: (bin + 1) * BIN,
        alpha: Number.isFinite(share) ? Math.sqrt(share / most) : 0, color: "var(--blue)" }))),
      { type: "rule", y: 0.5, label: "" }] })));
  });
  return place;
}
