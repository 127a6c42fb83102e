// @ts-check
// The differences of twins, pair by pair, with the interval of their mean.

import * as format from "../format.js";
import { inOrder, lookOf } from "../colors.js";
import { plotFigure } from "../figure.js";
import { padded } from "../scale.js";
import { cellName } from "../model.js";
import { EXPECTED } from "../published.js";
import { button } from "../dom.js";

/** @typedef {import("../model.js").Sweep} Sweep @typedef {import("../model.js").Pair} Pair */

/** One line of the chart. @param {Sweep} sweep */
function rowsOf(sweep) {
  const rows = sweep.comparison.flatMap((cell) => (cell.pairs ?? []).filter((pair) => pair.count > 0)
    .map((pair) => ({ label: pair.a + (cellName(cell) ? ", " + cellName(cell) : ""), pair })));
  const over = sweep.comparison.length > 1 ? sweep.overall.filter((pair) => pair.own_best && pair.count > 1)
    .map((pair) => ({ label: `${pair.a}, all`, pair })) : [];
  return inOrder([...new Set(rows.map((row) => row.pair.a))]).flatMap((variant) => [...rows, ...over].filter((row) => row.pair.a === variant));
}

/** More rows than this are as high as two other charts. */
const ROWS_SHORT = 7;

const METHODS = new Map([["student", "Student's t"], ["bca", "BCa bootstrap"], ["none", "none: fewer than 5 pairs"]]);

/** @param {import("../app.js").App} app @param {Sweep} sweep */
export function pairedFigure(app, sweep) {
  const rows = rowsOf(sweep);
  if (!rows.length) return null;
  const base = rows[0].pair.b;
  const unit = format.unitOf(sweep.metric);
  const reference = !app.place.options.has("noref") && /loss$/.test(sweep.metric);
  const values = rows.flatMap(({ pair }) => [pair.mean, ...(pair.differences ?? []).map((d) => d.value), Number(pair.low), Number(pair.high)]).filter(Number.isFinite);
  const make = () => ({
    label: `Paired differences of ${sweep.metric} to ${base}`,
    x: { label: `${sweep.metric} minus ${base}'s` + (unit ? ` [${unit}]` : ""), domain: padded(Math.min(0, ...values), Math.max(0, ...values, reference ? EXPECTED.high : 0), false) },
    y: { label: "", domain: /** @type {[number, number]} */ ([-0.6, rows.length - 0.4]), ticks: rows.map((row, i) => ({ at: rows.length - 1 - i, text: row.label })) },
    left: Math.min(180, Math.max(...rows.map((row) => row.label.length)) * 6.8 + 26),
    marks: [...(reference ? [/** @type {import("../plot.js").Mark} */ ({ type: "bar", from: EXPECTED.low, to: EXPECTED.high, y: (rows.length - 1) / 2, size: rows.length + 0.2,
      color: "var(--ink-soft)", alpha: 0.12, tip: [EXPECTED.label, `${EXPECTED.low} to ${EXPECTED.high} nats; other data and budget`] })] : []),
    /** @type {import("../plot.js").Mark} */ ({ type: "rule", x: 0, label: "" }), ...rows.flatMap((row, i) => marksOf(app, row.pair, rows.length - 1 - i))],
  });
  const methods = [...new Set(rows.map((row) => row.pair.interval))].map((name) => METHODS.get(name) ?? name);
  return plotFigure({
    title: "Twin differences", tall: rows.length > ROWS_SHORT, height: Math.max(220, 70 + rows.length * 34),
    note: `A small mark is a pair of runs with the same seed, the large one their mean, the bar its 95 % interval (${methods.join("; ")}).` + (reference ? ` Grey: ${EXPECTED.label}, for orientation.` : ""),
    tools: /loss$/.test(sweep.metric) ? [button(reference ? "hide published" : "show published", () => app.set({ noref: reference ? "1" : "" }))] : [],
    table: () => [["side", "baseline", "seed", "difference"], ...rows.flatMap(({ label, pair }) => (pair.differences ?? []).map((d) => [label, pair.b, d.seed, String(d.value)]))],
  }, make);
}

/** @param {import("../app.js").App} app @param {Pair} pair @param {number} y @returns {import("../plot.js").Mark[]} */
function marksOf(app, pair, y) {
  const look = lookOf(pair.a);
  const color = `var(${look.color})`;
  const interval = Number.isFinite(pair.low) && Number.isFinite(pair.high);
  return [
    ...(pair.differences ?? []).map((d) => ({ type: /** @type {const} */ ("point"), x: d.value, y: y - 0.2, color, mark: look.mark, size: 3, hollow: true,
      tip: [`seed ${d.seed}`, `difference ${format.exact(d.value)}`], open: () => { location.hash = app.link("run", d.a); } })),
    ...(interval ? [{ type: /** @type {const} */ ("error"), x: pair.mean, y: y + 0.12, low: pair.low, high: pair.high, color, across: true }] : []),
    { type: "point", x: pair.mean, y: y + 0.12, color, mark: look.mark, size: 5.5,
      tip: [`${pair.a} minus ${pair.b}`, `mean ${format.exact(Number(pair.mean.toPrecision(8)))}`,
        interval ? `95 % ${format.signed(pair.low, 4)} to ${format.signed(pair.high, 4)}` : "no interval below 5 pairs",
        `n = ${pair.count}; above ${pair.above}, below ${pair.below}` + (Number.isFinite(pair.p) ? `; p = ${format.number(pair.p, 2)}` : "")] },
  ];
}
