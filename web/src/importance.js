// @ts-check
// Which knob moved the result: the share of its variance that each knob's values explain (the main
// effects of an analysis of variance, unbiased), with a bootstrap interval over the runs. Pure.

import { generator } from "./fit.js";

/** Fewer runs than this say nothing. */
export const RUNS_MIN = 10;
const RESAMPLES = 400;
/** A knob with more values than this is cut into as many bins. */
const BINS = 6;

/** @typedef {{name: string, share: number, low: number, high: number, levels: number}} Importance */

/** Levels of a knob: its values, or bins of equal count when there are many numbers. @param {unknown[]} values */
export function levelsOf(values) {
  const distinct = [...new Set(values.map(String))];
  const numeric = values.every((v) => typeof v === "number");
  if (!numeric || distinct.length <= BINS) return values.map((v) => distinct.indexOf(String(v)));
  const ranked = values.map((v, i) => ({ v: /** @type {number} */ (v), i })).sort((a, b) => a.v - b.v);
  const out = Array(values.length).fill(0);
  ranked.forEach(({ i }, rank) => { out[i] = Math.min(BINS - 1, Math.floor((rank * BINS) / values.length)); });
  return out;
}

/** Omega squared of one factor: the explained share less what chance explains; 0 ... 1. @param {number[]} levels @param {number[]} scores @param {number[]} rows */
function effect(levels, scores, rows) {
  const sums = new Map();
  let total = 0;
  for (const row of rows) {
    const known = sums.get(levels[row]) ?? { sum: 0, count: 0 };
    known.sum += scores[row];
    known.count++;
    sums.set(levels[row], known);
    total += scores[row];
  }
  const mean = total / rows.length;
  const all = rows.reduce((sum, row) => sum + (scores[row] - mean) ** 2, 0);
  const between = [...sums.values()].reduce((sum, { sum: s, count }) => sum + count * (s / count - mean) ** 2, 0);
  const freedom = rows.length - sums.size;
  if (!(all > 0) || sums.size < 2 || freedom < 1) return 0;
  const noise = (all - between) / freedom;
  return Math.max(0, (between - (sums.size - 1) * noise) / (all + noise));
}

/**
 * @param {Map<string, unknown[]>} knobs values by run, of the knobs that differ
 * @param {number[]} scores of the same runs, finite
 * @returns {Importance[] | null} largest first; null: too few runs
 */
export function importances(knobs, scores) {
  if (scores.length < RUNS_MIN) return null;
  const all = scores.map((_, i) => i);
  const random = generator(scores.length * 31 + knobs.size);
  const draws = Array.from({ length: RESAMPLES }, () => all.map(() => Math.floor(random() * all.length)));
  return [...knobs].map(([name, values]) => {
    const levels = levelsOf(values);
    const shares = draws.map((rows) => effect(levels, scores, rows)).sort((a, b) => a - b);
    return { name, share: effect(levels, scores, all), low: shares[Math.floor(0.025 * (RESAMPLES - 1))],
      high: shares[Math.ceil(0.975 * (RESAMPLES - 1))], levels: new Set(levels).size };
  }).sort((a, b) => b.share - a.share);
}
