// @ts-check
// The answer in one sentence. Pure: numbers in, words out; the numbers come from the data files.

import * as format from "./format.js";
import { FLOATS, inOrder, LOW_BIT } from "./colors.js";
import { sideMetric } from "./model.js";

/** @typedef {import("./model.js").Cell} Cell */
/** @typedef {import("./model.js").Side} Side */
/** @typedef {{text: string, strong?: boolean, variant?: string}} Piece */

/**
 * The two sides that the sentence is about: the lowest-bit variant and its fittest floating twin.
 * @param {Cell} cell @returns {[Side, Side] | null}
 */
export function twins(cell) {
  const by = (/** @type {string} */ name) => cell.sides.find((side) => side.variant === name);
  const low = LOW_BIT.map(by).find((side) => side);
  const high = FLOATS.map(by).find((side) => side);
  if (low && high) return [low, high];
  return cell.sides.length >= 2 ? [cell.sides[0], cell.sides[1]] : null;
}

/** Whether a sweep has two sides of one model to set against each other. @param {import("./model.js").Sweep} sweep */
export const answers = (sweep) => sweep.comparison.some((cell) => twins(cell) !== null);

/** What a sweep without an answer still lacks, in a sentence. @param {import("./model.js").Sweep} sweep */
export function missing(sweep) {
  const { runs } = sweep;
  const variants = inOrder([...new Set(runs.map((run) => run.variant).filter(Boolean))]);
  const finished = inOrder([...new Set(sweep.comparison.flatMap((cell) => cell.sides.map((side) => side.variant)))]);
  const others = variants.filter((variant) => !finished.includes(variant));
  const rest = Math.max(sweep.planned, runs.length) - runs.length;
  const count = (/** @type {string} */ state) => runs.filter((run) => run.state === state).length;
  const ahead = [[count("running"), "running"], [count("pending") + rest, "to come"]].filter(([n]) => n).map(([n, words]) => `${n} ${words}`).join(", ");
  const so = (/** @type {string} */ words) => `${words}${ahead ? `: ${ahead}` : ""}.`;
  if (!runs.length) return so("No run has begun yet");
  if (!variants.length) return "Its runs say no variant: there are no sides to compare.";
  if (!finished.length && count("finished")) return so(`No run has finished with a number for ${sweep.metric}`);
  if (!finished.length) return so(`No run has finished${ahead ? " yet" : ""}`);
  if (finished.length > 1) return so(`${format.listed(finished)} have finished, but not at the same settings of the model`);
  if (others.length) return so(`Only ${finished[0]} has finished runs, ${format.listed(others)} ${others.length > 1 ? "have" : "has"} none${ahead ? " yet" : ""}`);
  return `Only ${finished[0]} is in it: there is no twin to compare it with${ahead ? ` (${ahead})` : ""}.`;
}

/** A side as a legend names it. @param {Side} side */
export const sideLabel = (side) => Number.isFinite(side.best.rate) ? `${side.variant}, lr ${format.rate(side.best.rate)}` : side.variant;

/** The bytes that a side's weights take where the model is used. @param {Side} side */
export function weightBytes(side) {
  const deployed = sideMetric(side, "model/deployed_bytes");
  return Number.isFinite(deployed) ? deployed : sideMetric(side, "model/fp16_bytes");
}

/** @param {Side} a @param {Side} b @param {(side: Side) => number} of */
export const ratio = (a, b, of) => of(a) / of(b);

/** The paired statistics of two sides, when the data files have them. @param {Cell} cell @param {string} a @param {string} b */
export function pairOf(cell, a, b) {
  return (cell.pairs ?? []).find((pair) => pair.a === a && pair.b === b);
}

/**
 * The sentence in pieces; strong ones carry the numbers. Null: there are no two sides.
 * @param {Cell} cell @param {{metric: string, maximize: boolean}} sweep @returns {Piece[] | null}
 */
export function sentence(cell, sweep) {
  const sides = twins(cell);
  if (!sides) return null;
  const [a, b] = sides;
  const unit = format.unitOf(sweep.metric);
  const pair = pairOf(cell, a.variant, b.variant);
  const gap = pair ? pair.mean : a.best.mean - b.best.mean;
  const half = pair && Number.isFinite(pair.low) && Number.isFinite(pair.high) ? (pair.high - pair.low) / 2 : NaN;
  const level = Number.isFinite(half) && pair.low <= 0 && pair.high >= 0;
  const ahead = sweep.maximize ? gap > 0 : gap < 0;
  const decimals = Math.abs(gap) < 0.01 ? 4 : Math.abs(gap) < 0.1 ? 3 : 2;
  /** @type {Piece[]} */
  const pieces = [{ text: a.variant, variant: a.variant }, { text: level ? " is level with " : " is " }];
  const amount = format.signed(gap, decimals) + (Number.isFinite(half) ? ` ± ${format.fixed(half, decimals)}` : "") +
    (unit ? " " + unit : "");
  if (level) pieces.push({ text: b.variant, variant: b.variant }, { text: " (" }, { text: amount, strong: true }, { text: ")" });
  else pieces.push({ text: amount, strong: true }, { text: ahead ? " ahead of " : " behind " }, { text: b.variant, variant: b.variant });
  const params = sideMetric(a, "model/params");
  if (Number.isFinite(params)) pieces.push({ text: " at " }, { text: format.short(params, 2), strong: true }, { text: " parameters" });
  pieces.push(...ratios(a, b));
  return [...pieces, ...samples(pair, a, b)];
}

/** @param {Side} a @param {Side} b @returns {Piece[]} */
function ratios(a, b) {
  /** @type {Piece[]} */
  const pieces = [];
  const speed = ratio(a, b, (side) => sideMetric(side, "tokens_per_s"));
  if (Number.isFinite(speed)) {
    const slower = speed < 1;
    pieces.push({ text: ", " }, { text: format.times(slower ? 1 / speed : speed), strong: true }, { text: slower ? " slower" : " faster" });
  }
  const weights = ratio(b, a, weightBytes);
  if (Number.isFinite(weights)) {
    const larger = weights < 1;
    pieces.push({ text: ", weights " }, { text: format.times(larger ? 1 / weights : weights), strong: true },
      { text: larger ? " larger" : " smaller" });
  }
  return pieces;
}

/** How many runs stand behind it. @param {any} pair @param {Side} a @param {Side} b @returns {Piece[]} */
function samples(pair, a, b) {
  const n = pair ? pair.count : Math.min(a.best.runs.length, b.best.runs.length);
  const few = pair && n > 0 && !Number.isFinite(pair.low);
  const what = pair ? (n === 1 ? "pair" : "pairs") : n === 1 ? "run a side" : "runs a side";
  return [{ text: "; n\u00a0=\u00a0" }, { text: String(n), strong: true }, { text: ` ${what}${few ? ", too few for an interval" : ""}.` }];
}
