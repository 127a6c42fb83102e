// @ts-check
// Loss against size: parameters, and bytes of the deployed weights; fitted where there are enough
// sizes, drawn on where that may still be believed. And the gap itself beside published ones.

import { button, h } from "../dom.js";
import * as format from "../format.js";
import { inOrder, lookOf } from "../colors.js";
import { plotFigure, variantKey } from "../figure.js";
import { fitAt, REACH, SIZES_MIN } from "../fit.js";
import { padded } from "../scale.js";
import { cellName, sideMetric } from "../model.js";
import { PUBLISHED } from "../published.js";
import { weightBytes } from "../verdict.js";

/** @typedef {import("../model.js").Sweep} Sweep @typedef {import("../model.js").Side} Side */

/** @param {Sweep} sweep @param {(side: Side) => number} sizeOf */
function pointsOf(sweep, sizeOf) {
  return inOrder([...new Set(sweep.comparison.flatMap((cell) => cell.sides.map((side) => side.variant)))]).map((variant) => ({
    variant, look: lookOf(variant), points: sweep.comparison.flatMap((cell) => {
      const side = cell.sides.find((s) => s.variant === variant);
      return side && sizeOf(side) > 0 ? [{ n: sizeOf(side), loss: side.best.mean, name: cellName(cell) }] : [];
    }).sort((a, b) => a.n - b.n) }));
}

/** @param {any[]} lines @param {number} reach */
function curve(lines, reach) {
  return lines.flatMap(({ look, points, fit }) => {
    if (!fit) return [{ type: "line", x: points.map((/** @type {any} */ p) => p.n), y: points.map((/** @type {any} */ p) => p.loss), color: `var(${look.color})`, dash: look.dash, alpha: 0.6 }];
    const [low, high] = [points[0].n, points[points.length - 1].n];
    const along = (/** @type {number} */ from, /** @type {number} */ to) => Array.from({ length: 60 }, (_, i) => from * (to / from) ** (i / 59));
    const inside = along(low, high);
    const beyond = along(high, high * reach);
    return [{ type: "line", x: inside, y: inside.map((n) => fitAt(fit, n)), color: `var(${look.color})` },
      { type: "line", x: beyond, y: beyond.map((n) => fitAt(fit, n)), color: `var(${look.color})`, dash: [3, 4], alpha: 0.7 }];
  });
}

/** A law as people write it: 2.09 + 85.3 N^-0.452. @param {import("../model.js").Law} law */
const formula = (law) => [law.floor < 1e-6 ? "" : `${format.number(law.floor, 3)} + `, `${format.number(law.scale, 3)}\u2009N`, h("sup", {}, `\u2212${format.number(law.exponent, 3)}`),
  Number.isFinite(law.exponent_low) ? h("span.soft", {}, `, exponent ${format.number(law.exponent_low, 2)} to ${format.number(law.exponent_high, 2)} (95 %)`) : null];

/** How much of the baseline's size a side is worth. @param {import("../model.js").Worth} w */
function worthWords(w) {
  if (!Number.isFinite(w.ratio)) return null;
  const range = Number.isFinite(w.ratio_low) ? ` (95 %: ${format.number(w.ratio_low, 2)} to ${format.number(w.ratio_high, 2)})` : "";
  const meets = w.meeting === "ahead" ? `; the laws meet at ${format.short(w.meets_at, 2)}.` : w.meeting === "reached" ? "; the laws have met." : `; the laws do not meet within ${REACH}\u00d7 of what was measured.`;
  return h("div", {}, `${w.a} at ${format.short(w.size, 2)} does what ${w.b} does at ${format.number(w.ratio, 2)}\u00d7 the size${range}${meets}`);
}

/** What the laws say, in words. @param {Sweep} sweep @param {any[]} lines @param {string} what */
function words(sweep, lines, what) {
  const fitted = lines.filter((line) => line.fit);
  if (!fitted.length) return `A law needs ${SIZES_MIN} sizes, and a loss that falls with them.`;
  return [fitted.map(({ variant, fit }) => h("div", {}, `${variant}: `, formula(fit))),
    what === "parameters" ? sweep.worth.map(worthWords) : null, h("div", {}, `Dotted: drawn on, to ${REACH}\u00d7 the largest size.`)];
}

/** Where the laws of two sides meet, when that is on the chart. @param {Sweep} sweep @param {string} what @param {number} most @returns {import("../plot.js").Mark[]} */
const meetings = (sweep, what, most) => (what === "parameters" ? sweep.worth : []).filter((w) => w.meets_at > 0 && w.meets_at <= most)
  .map((w, row) => ({ type: "rule", row, x: w.meets_at, label: `${w.a} meets ${w.b}`, color: `var(${lookOf(w.a).color})`, dash: [2, 3] }));

/** @param {import("../app.js").App} app @param {Sweep} sweep @param {string} what @param {(side: Side) => number} sizeOf */
function sizeFigure(app, sweep, what, sizeOf) {
  const lines = pointsOf(sweep, sizeOf).filter((line) => line.points.length > 1)
    .map((line) => ({ ...line, fit: sweep.laws.find((law) => law.variant === line.variant && law.size === what) ?? null }));
  if (!lines.length || sweep.maximize) return null;
  const xs = lines.flatMap((line) => line.points.map((p) => p.n));
  const ys = lines.flatMap((line) => line.points.map((p) => p.loss));
  const fitted = lines.some((line) => line.fit);
  const reach = fitted ? REACH : 1;
  const bytes = what !== "parameters";
  const said = bytes ? "deployed weights" : what;
  const lowest = Math.min(...ys, ...lines.filter((line) => line.fit).map((line) => fitAt(/** @type {any} */ (line.fit), Math.max(...xs) * reach)));
  const unit = format.unitOf(sweep.metric);
  const make = () => ({
    label: `${sweep.metric} against ${said}`,
    x: { label: said, log: true, domain: padded(Math.min(...xs), Math.max(...xs) * reach, true, 0.04), unit: bytes ? "bytes" : undefined },
    y: { label: sweep.metric + (unit ? ` [${unit}]` : ""), log: true, domain: padded(lowest, Math.max(...ys), true) },
    marks: [...meetings(sweep, what, Math.max(...xs) * reach), .../** @type {any[]} */ (curve(lines, reach)), ...lines.flatMap(({ variant, look, points }) => points.map((p) => /** @type {import("../plot.js").Mark} */ ({ type: "point", x: p.n, y: p.loss,
      color: `var(${look.color})`, mark: look.mark, size: 5, tip: [`${variant}${p.name ? ", " + p.name : ""}`, `${sweep.metric} ${format.exact(Number(p.loss.toPrecision(9)))}`, bytes ? `${format.bytes(p.n)}, ${format.exact(Math.round(p.n))} bytes` : `${format.exact(Math.round(p.n))} parameters`] })))],
  });
  return plotFigure({ title: `${sweep.metric} against ${said}`, note: words(sweep, lines, what), keys: lines.map((line) => variantKey(line.variant, "mark")),
    table: () => [["variant", what, sweep.metric], ...lines.flatMap((line) => line.points.map((p) => [line.variant, String(p.n), String(p.loss)]))] }, make);
}

/** The gap against the size, beside published gaps. @param {import("../app.js").App} app @param {Sweep} sweep */
function gapFigure(app, sweep) {
  if (!/loss$/.test(sweep.metric)) return null;
  const own = sweep.comparison.flatMap((cell) => (cell.pairs ?? []).filter((pair) => pair.count > 0).map((pair) => ({ pair, name: cellName(cell),
    n: sideMetric(cell.sides[0], "model/params") }))).filter((row) => row.n > 0);
  if (!own.length) return null;
  const reference = !app.place.options.has("noref");
  const shown = reference ? PUBLISHED : [];
  const xs = [...own.map((row) => row.n), ...shown.map((p) => p.params)];
  const ys = [0, ...own.flatMap(({ pair }) => [pair.mean, pair.low, pair.high].filter(Number.isFinite)), ...shown.flatMap((p) => [p.low, p.high])];
  const marks = /** @type {import("../plot.js").Mark[]} */ ([{ type: "rule", y: 0, label: "" }]);
  const quest = shown.filter((p) => p.low !== p.high);
  if (quest.length) marks.push({ type: "band", x: quest.map((p) => p.params), low: quest.map((p) => p.low), high: quest.map((p) => p.high), color: "var(--ink-soft)", alpha: 0.18 });
  for (const p of shown) {
    const ends = p.low === p.high ? [{ y: p.low, words: p.source }] : [{ y: p.low, words: `${p.source}, weights of 2 bits` }, { y: p.high, words: `${p.source}, weights of 1 bit` }];
    for (const { y, words } of ends) {
      marks.push({ type: "point", x: p.params, y, color: "var(--ink-soft)", mark: p.source.startsWith("Spectra") ? "triangle" : p.source.startsWith("BitNet") ? "diamond" : "plus", size: 3.5, hollow: true,
        tip: [words, format.signed(y, 3) + " nats", format.short(p.params) + " parameters", "other data and budget"] });
    }
  }
  for (const { pair, name, n } of own) {
    const look = lookOf(pair.a);
    const color = `var(${look.color})`;
    if (Number.isFinite(pair.low)) marks.push({ type: "error", x: n, y: pair.mean, low: pair.low, high: pair.high, color });
    marks.push({ type: "point", x: n, y: pair.mean, color, mark: look.mark, size: 5, tip: [`${pair.a} minus ${pair.b}${name ? ", " + name : ""}`, `${format.signed(pair.mean, 4)} nats, n = ${pair.count}`, format.short(n) + " parameters"] });
  }
  return plotFigure({ title: "Gap against size", height: sweep.comparison.length > 1 ? undefined : 240, note: reference ? "Grey, published, for orientation: QuEST with 2 bits (lower crosses) and 1 bit (upper), Spectra TriLM (triangles), BitNet b1.58 (diamonds); other data, tokenizers and budgets." : undefined,
    keys: inOrder([...new Set(own.map((row) => row.pair.a))]).map((variant) => variantKey(variant, "mark")),
    tools: [button(reference ? "hide published" : "show published", () => app.set({ noref: reference ? "1" : "" }))],
    table: () => [["side", "baseline", "parameters", "gap", "low", "high", "pairs"], ...own.map(({ pair, n }) => [pair.a, pair.b, String(n), String(pair.mean), String(pair.low), String(pair.high), String(pair.count)])] },
  () => ({ label: "Gap against parameters", x: { label: "parameters", log: true, domain: padded(Math.min(...xs), Math.max(...xs), true) },
    y: { label: "gap [nats]", domain: padded(Math.min(...ys), Math.max(...ys), false) }, marks }));
}

/** @param {import("../app.js").App} app @param {Sweep} sweep */
export function scalingFigures(app, sweep) {
  return [sizeFigure(app, sweep, "parameters", (side) => sideMetric(side, "model/params")),
    sizeFigure(app, sweep, "deployed bytes", weightBytes), gapFigure(app, sweep)];
}
