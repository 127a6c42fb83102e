// @ts-check
// What the sides cost: memory by part, speed, energy per token; measured apart from estimated.

import * as format from "../format.js";
import { lookOf } from "../colors.js";
import { plotFigure } from "../figure.js";
import { linearTicks } from "../scale.js";
import { sideMetric } from "../model.js";
import { orderedSides } from "./compare.js";

/** @typedef {import("../model.js").Side} Side */

/** @type {[string, string, string][]} */
const PARTS = [["weights", "mem/weights_bytes", "--blue"], ["gradients", "mem/grads_bytes", "--amber"],
  ["optimizer", "mem/optimizer_bytes", "--green"], ["activations", "mem/activations_bytes", "--purple"]];

/** Ticks that are round in KiB, MiB, GiB. @param {number} most */
function byteTicks(most) {
  const unit = 1024 ** Math.max(0, Math.floor(Math.log2(most) / 10));
  return linearTicks(0, (most * 1.2) / unit, 3).map((tick) => tick * unit);
}

/** A chart of bars, one row a side. @param {Side[]} sides @param {string} label @param {number} most @param {(side: Side, y: number) => import("../plot.js").Mark[]} bars @param {(v: number) => string} [say] @param {number[]} [at] */
const barChart = (sides, label, most, bars, say, at) => () => ({
  label: `${label} of ${sides.map((side) => side.variant).join(", ")}`,
  x: { label, domain: /** @type {[number, number]} */ ([0, most * 1.22]), format: say, ticks: at?.map((tick) => ({ at: tick, text: tick ? format.bytes(tick).replace(/\.0+(?=\D)/, "") : "0" })) },
  y: { label: "", domain: /** @type {[number, number]} */ ([-0.6, sides.length - 0.4]), ticks: sides.map((side, i) => ({ at: sides.length - 1 - i, text: side.variant })) },
  left: 64,
  marks: sides.flatMap((side, i) => bars(side, sides.length - 1 - i)),
});

/** @param {import("../model.js").Cell} cell */
export function memoryFigure(cell) {
  const sides = orderedSides(cell).filter((side) => PARTS.some(([, name]) => Number.isFinite(sideMetric(side, name))));
  if (!sides.length) return null;
  const part = (/** @type {Side} */ side, /** @type {string} */ name) => sideMetric(side, name) || 0;
  const total = (/** @type {Side} */ side) => PARTS.reduce((sum, [, name]) => sum + part(side, name), 0);
  const bars = (/** @type {Side} */ side, /** @type {number} */ y) => {
    let at = 0;
    return PARTS.map(([words, name, color], i) => {
      const from = at;
      at += part(side, name);
      return /** @type {import("../plot.js").Mark} */ ({ type: "bar", from, to: at, y, size: 0.62, color: `var(${color})`,
        text: i === PARTS.length - 1 ? format.bytes(total(side)) : undefined, tip: [`${side.variant}, ${words}`, format.bytes(part(side, name)), `${format.exact(part(side, name))} bytes`] });
    });
  };
  return plotFigure({ title: "Training memory by part", height: 110 + sides.length * 36, note: "Weights (blue), gradients (amber), optimizer (green), activations (purple): what the engine allocated.",
    table: () => [["variant", ...PARTS.map(([words]) => words + " [bytes]")], ...sides.map((side) => [side.variant, ...PARTS.map(([, name]) => String(part(side, name)))])] },
  barChart(sides, "memory", Math.max(...sides.map(total)), bars, format.bytes, byteTicks(Math.max(...sides.map(total)))));
}

/** @param {import("../model.js").Cell} cell @param {{title: string, label: string, note: string, of: (side: Side) => number, say: (v: number) => string, faint?: boolean}} wish */
function simple(cell, wish) {
  const sides = orderedSides(cell).filter((side) => Number.isFinite(wish.of(side)));
  if (!sides.length) return null;
  const bars = (/** @type {Side} */ side, /** @type {number} */ y) => [/** @type {import("../plot.js").Mark} */ ({ type: "bar", from: 0, to: wish.of(side), y, size: 0.62,
    color: `var(${lookOf(side.variant).color})`, alpha: wish.faint ? 0.45 : 0.9, text: wish.say(wish.of(side)), tip: [side.variant, `${format.exact(wish.of(side))} ${wish.label}`] })];
  return plotFigure({ title: wish.title, height: 110 + sides.length * 36, note: wish.note,
    table: () => [["variant", wish.label], ...sides.map((side) => [side.variant, String(wish.of(side))])] },
  barChart(sides, wish.label, Math.max(...sides.map(wish.of)), bars));
}

/** @param {import("../model.js").Cell} cell */
export function speedFigure(cell) {
  return simple(cell, { title: "Training speed", label: "tokens/s", note: "Measured over each side's best runs.", of: (side) => sideMetric(side, "tokens_per_s"), say: (v) => format.short(v) });
}

/** Joules at the size that the largest of some values has. @param {number} most @returns {[number, string]} */
function jouleUnit(most) {
  for (const [unit, words] of /** @type {[number, string][]} */ ([[1, "J"], [1e-3, "mJ"], [1e-6, "\u00b5J"]])) if (most >= unit) return [unit, words];
  return [1e-9, "nJ"];
}

/** @param {import("../model.js").Cell} cell */
export function energyFigures(cell) {
  const wishes = [
    { title: "Energy per trained token, measured", note: "By the machine's own counter, over the whole run.", of: (/** @type {Side} */ side) => sideMetric(side, "energy_j") / sideMetric(side, "tokens") },
    { title: "Energy per token, estimated", note: "An estimate of the arithmetic alone, after the paper's table; nothing was measured.", faint: true, of: (/** @type {Side} */ side) => sideMetric(side, "energy/estimate_j_per_token") }];
  return wishes.map((wish) => {
    const [unit, words] = jouleUnit(Math.max(0, ...cell.sides.map(wish.of).filter(Number.isFinite)));
    return simple(cell, { ...wish, label: `${words}/token`, of: (side) => wish.of(side) / unit, say: (v) => format.number(v, 3) + "\u202f" + words });
  });
}
