// @ts-check
// Loss against learning rate: the U of every variant, each seed a point, the mean a line.

import * as format from "../format.js";
import { lookOf } from "../colors.js";
import { plotFigure, variantKey } from "../figure.js";
import { padded } from "../scale.js";
import { orderedSides } from "./compare.js";

/** With more rates than this the axis has round numbers of its own. */
const RATES_NAMED = 7;

/** @param {import("../app.js").App} app @param {import("../model.js").Sweep} sweep @param {import("../model.js").Cell} cell */
export function uCurve(app, sweep, cell) {
  const sides = orderedSides(cell).map((side) => ({ ...side, rates: side.rates.filter((rate) => typeof rate.rate === "number" && rate.rate > 0) }));
  const all = sides.flatMap((side) => side.rates);
  if (new Set(all.map((rate) => rate.rate)).size < 2) return null;
  const unit = format.unitOf(sweep.metric);
  const xs = all.map((rate) => rate.rate);
  const means = all.map((rate) => rate.mean);
  // A rate that diverged would flatten the rest: the view keeps to three times the spread of the better half.
  const sorted = [...means].sort((a, b) => a - b);
  const best = sweep.maximize ? sorted[sorted.length - 1] : sorted[0];
  const middle = sorted[Math.floor(sorted.length / 2)];
  const limit = best + (middle - best) * 4;
  const shown = all.flatMap((rate) => rate.losses).filter((loss) => sweep.maximize ? loss >= limit : loss <= limit);
  const beyond = all.length - all.filter((rate) => sweep.maximize ? rate.mean >= limit : rate.mean <= limit).length;
  const rates = [...new Set(xs)].sort((a, b) => a - b);
  const make = () => ({
    label: `${sweep.metric} against learning rate for ${sides.map((side) => side.variant).join(", ")}`,
    x: { label: "learning rate", log: true, domain: padded(Math.min(...xs), Math.max(...xs), true, 0.08), format: format.rate,
      ticks: sides.every(alone) && rates.length <= RATES_NAMED ? rates.map((at) => ({ at, text: format.rate(at) })) : undefined },
    y: { label: sweep.metric + (unit ? ` [${unit}]` : ""), domain: padded(Math.min(...shown), Math.max(...shown), false, 0.08) },
    marks: sides.flatMap((side) => marksOf(app, side, sweep, sweep.maximize ? (mean) => mean >= limit : (mean) => mean <= limit)),
  });
  return plotFigure({
    title: `${sweep.metric} against learning rate`, height: 374, keys: sides.map((side) => variantKey(side.variant, "mark")),
    note: (sides.some(alone) ? "A point is a run, a line the mean over seeds; " : "A point is a run, other knobs vary, too; ") + "the large mark is the best rate." + (sides.some(leastOf) ? " Dotted: the least of a parabola in log rate, with its 95 % interval." : "") + (beyond ? ` ${beyond} worse ${beyond === 1 ? "rate is" : "rates are"} off the chart.` : ""),
    table: () => [["variant", "optim.lr", "run", sweep.metric], ...sides.flatMap((side) => side.rates.flatMap((rate) =>
      rate.runs.map((run, i) => [side.variant, String(rate.rate), app.model.runs[run].name, String(rate.losses[i])])))],
  }, make);
}

/** The rate is all that its settings differ in: its means are a curve. @param {import("../model.js").Side} side */
const alone = (side) => new Set(side.rates.map((rate) => rate.rate)).size === side.rates.length && side.rates.every((rate) => !rate.setting.includes(" "));

/** The fitted least, where the runs determine it. @param {import("../model.js").Side} side */
const leastOf = (side) => side.valley?.knob === "optim.lr" && Number.isFinite(side.valley.at_low) && Number.isFinite(side.valley.at_high) ? side.valley : null;

/** @param {import("../app.js").App} app @param {import("../model.js").Side} side @param {import("../model.js").Sweep} sweep @param {(mean: number) => boolean} inside the chart @returns {import("../plot.js").Mark[]} */
function marksOf(app, side, sweep, inside) {
  const look = lookOf(side.variant);
  const color = `var(${look.color})`;
  const points = side.rates.flatMap((rate) => rate.runs.map((run, i) => ({
    type: /** @type {const} */ ("point"), x: rate.rate, y: rate.losses[i], color, mark: look.mark, size: 3, hollow: true,
    tip: [app.model.runs[run].name, `${sweep.metric} ${format.exact(rate.losses[i])}`, `learning rate ${format.rate(rate.rate)}`],
    open: () => { location.hash = app.link("run", app.model.runs[run].key); } })));
  const least = leastOf(side);
  /** @type {import("../plot.js").Mark[]} */
  const fitted = least ? [{ type: "rule", x: least.at, label: "", color, dash: [2, 4] },
    { type: "error", x: least.at, y: least.value, low: least.at_low, high: least.at_high, color, across: true }] : [];
  const means = side.rates.filter((rate) => inside(rate.mean)).sort((a, b) => a.rate - b.rate);
  return [
    ...fitted,
    ...(alone(side) ? [{ type: /** @type {const} */ ("line"), x: means.map((rate) => rate.rate), y: means.map((rate) => rate.mean), color, dash: look.dash }] : []),
    ...points,
    { type: "point", x: side.best.rate, y: side.best.mean, color, mark: look.mark, size: 6,
      tip: [`${side.variant} at its best rate ${format.rate(side.best.rate)}`, `mean ${format.exact(side.best.mean)}, n = ${side.best.runs.length}`] },
  ];
}
