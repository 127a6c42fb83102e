// @ts-check
// Which level of a run's pyramid a chart wants, and the overview with a part of it refined. Pure.

import { lowerBound } from "./series.js";

/** @typedef {import("./data.js").Series} Series */

/** Buckets of a run, two points each, that a chart's width can show; fewer call for a finer level. */
const POINTS_WANTED = 500;

/** Buckets of all lines together that a chart draws at most, before a coarser level will do. */
const POINTS_MAX = 80000;

/**
 * The level whose buckets between two seq are about as many as can be seen, for so many lines.
 * @param {number} records @param {number} top @param {number} lines
 */
export function levelFor(records, top, lines) {
  let level = 0;
  while (level < top && records / 4 ** (level + 1) >= POINTS_WANTED) level++;
  while (level < top && (records / 4 ** level) * lines > POINTS_MAX) level++;
  return level;
}

/**
 * The overview with a part of it replaced by what a finer level says. Pure.
 * @param {Series} top @param {Series | undefined} fine @returns {Series}
 */
export function spliced(top, fine) {
  if (!fine || !fine.seq.length) return top;
  const from = lowerBound(top.seq, fine.seq[0]);
  const to = lowerBound(top.seq, fine.seq[fine.seq.length - 1] + 1);
  const join = (/** @type {Float64Array} */ a, /** @type {Float64Array} */ b) => {
    const out = new Float64Array(from + b.length + a.length - to);
    out.set(a.subarray(0, from));
    out.set(b, from);
    out.set(a.subarray(to), from + b.length);
    return out;
  };
  return { name: top.name, count: top.count, seq: join(top.seq, fine.seq), step: join(top.step, fine.step),
    wall: join(top.wall, fine.wall), value: join(top.value, fine.value) };
}
