// @ts-check
// What the sides cost: memory by part, speed, energy per token; measured apart from estimated.

import * as format from "../format.js";
import { lookOf } from "../colors.js";
import { plotFigure } from "../figure.js";
import { sideMetric } from "../model.js";
import { weightBytes } from "../verdict.js";
import { orderedSides } from "./compare.js";

/** @typedef {import("../model.js").Side} Side @typedef {import("../model.js").Cell} Cell */

/** @type {[string, string, string][]} */
const PARTS = [["weights", "mem/weights_bytes", "--blue"], ["gradients", "mem/grads_bytes", "--amber"],
  ["optimizer", "mem/optimizer_bytes", "--green"], ["activations", "mem/activations_bytes", "--purple"]];
const WHOLE = "mem/engine_bytes";
/** What the engine allocated beyond the parts: the packed forms and panels that its products work in. */
const BUFFERS = /** @type {[string, string, string]} */ (["buffers", "", "--ink-soft"]);

/** @typedef {{label: string, unit: string, most: number, bars: (side: Side, y: number) => import("../plot.js").Mark[]}} Bars */

/** A chart of bars, one row a side. @param {Side[]} sides @param {Bars} wish @returns {() => import("../plot.js").Chart} */
const barChart = (sides, { label, unit, most, bars }) => () => ({
  label: `${label} of ${sides.map((side) => side.variant).join(", ")}`,
  x: { label, unit, domain: [0, most > 0 ? most * 1.26 : 1] },
  y: { label: "", domain: [-0.6, sides.length - 0.4], ticks: sides.map((side, i) => ({ at: sides.length - 1 - i, text: side.variant })) },
  left: 64,
  marks: sides.flatMap((side, i) => bars(side, sides.length - 1 - i)),
});

/** @param {Side[]} sides */
const heightFor = (sides) => 84 + sides.length * 34;

/** @param {Cell} cell */
export function memoryFigure(cell) {
  const sides = orderedSides(cell).filter((side) => PARTS.some(([, name]) => Number.isFinite(sideMetric(side, name))));
  if (!sides.length) return null;
  const told = (/** @type {Side} */ side) => PARTS.reduce((sum, [, name]) => sum + (sideMetric(side, name) || 0), 0);
  const total = (/** @type {Side} */ side) => Math.max(told(side), sideMetric(side, WHOLE) || 0);
  const part = (/** @type {Side} */ side, /** @type {string} */ name) => name ? sideMetric(side, name) || 0 : total(side) - told(side);
  const parts = sides.some((side) => part(side, "") > 0) ? [...PARTS, BUFFERS] : PARTS;
  const bars = (/** @type {Side} */ side, /** @type {number} */ y) => {
    let at = 0;
    return parts.map(([words, name, color], i) => {
      const from = at;
      at += part(side, name);
      return /** @type {import("../plot.js").Mark} */ ({ type: "bar", from, to: at, y, size: 0.62, color: `var(${color})`,
        text: i === parts.length - 1 ? format.bytes(total(side)) : undefined, tip: [`${side.variant}, ${words}`, format.bytes(part(side, name)), `${format.exact(part(side, name))} bytes`] });
    });
  };
  return plotFigure({ title: "Training memory by part", height: heightFor(sides), note: "What the engine allocated.",
    keys: parts.map(([label, , color]) => ({ label, color, shape: "box" })),
    table: () => [["variant", ...parts.map(([words]) => words + " [bytes]")], ...sides.map((side) => [side.variant, ...parts.map(([, name]) => String(part(side, name)))])] },
  barChart(sides, { label: "memory", unit: "bytes", most: Math.max(...sides.map(total)), bars }));
}

/** @param {Cell} cell @param {{title: string, label: string, unit: string, note: string, of: (side: Side) => number, say: (v: number) => string, faint?: boolean}} wish */
function simple(cell, wish) {
  const sides = orderedSides(cell).filter((side) => Number.isFinite(wish.of(side)));
  if (!sides.length) return null;
  const bars = (/** @type {Side} */ side, /** @type {number} */ y) => [/** @type {import("../plot.js").Mark} */ ({ type: "bar", from: 0, to: wish.of(side), y, size: 0.62,
    color: `var(${lookOf(side.variant).color})`, alpha: wish.faint ? 0.45 : 0.9, text: wish.say(wish.of(side)), tip: [side.variant, `${format.exact(wish.of(side))} ${wish.unit}`] })];
  return plotFigure({ title: wish.title, height: heightFor(sides), note: wish.note,
    table: () => [["variant", `${wish.label} [${wish.unit}]`], ...sides.map((side) => [side.variant, String(wish.of(side))])] },
  barChart(sides, { label: wish.label, unit: wish.unit, most: Math.max(...sides.map(wish.of)), bars }));
}

/** @param {Cell} cell */
function speedFigure(cell) {
  return simple(cell, { title: "Training speed", label: "tokens/s", unit: "tokens/s", note: "Measured: the median of a run, the mean of a side's best runs.", of: (side) => sideMetric(side, "tokens_per_s"), say: (v) => format.short(v) });
}

/** @param {Cell} cell */
function deployedFigure(cell) {
  return simple(cell, { title: "Deployed weights", label: "deployed weights", unit: "bytes", note: "As a file for use holds them, embedding and head included.", of: weightBytes, say: format.bytes });
}

const ENERGY = [
  { title: "Energy per trained token, measured", note: "By the machine's own counter, over the whole run.", of: (/** @type {Side} */ side) => sideMetric(side, "energy_j") / sideMetric(side, "tokens") },
  { title: "Energy per token, estimated", note: "An estimate of the arithmetic alone, after the paper's table; nothing was measured.", faint: true, of: (/** @type {Side} */ side) => sideMetric(side, "energy/estimate_j_per_token") }];

/** @param {Cell} cell */
export function costFigures(cell) {
  return [memoryFigure(cell), speedFigure(cell), deployedFigure(cell),
    ...ENERGY.map((wish) => simple(cell, { ...wish, label: "energy per token", unit: "J/token", say: (v) => format.si(v, "J") }))];
}
