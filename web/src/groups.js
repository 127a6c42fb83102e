// @ts-check
// Rows of the runs table: filtered, grouped, sorted. Pure.

import { meanBand, t95 } from "./series.js";

/**
 * @typedef {import("./model.js").Run} Run
 * @typedef {(run: Run, name: string) => unknown} Value
 * @typedef {{kind: "run", run: Run, depth: number} | {kind: "group", key: string, runs: Run[], values: [string, unknown][]}} Row
 */

/** Missing values last, numbers by size, words as people sort them. @param {unknown} a @param {unknown} b */
export function compare(a, b) {
  const none = (/** @type {unknown} */ v) => v === undefined || v === null || (typeof v === "number" && Number.isNaN(v));
  if (none(a) || none(b)) return Number(none(a)) - Number(none(b));
  if (typeof a === "number" && typeof b === "number") return a - b;
  return COLLATOR.compare(String(a), String(b));
}

const COLLATOR = new Intl.Collator("en", { numeric: true });

/**
 * A copy in order; what has no value stays at the end in both directions. Stable.
 * @template T @param {T[]} items @param {(item: T) => unknown} of @param {boolean} descending @returns {T[]}
 */
export function sorted(items, of, descending) {
  const keyed = items.map((item) => ({ item, value: of(item) }));
  const missing = (/** @type {unknown} */ v) => v === undefined || v === null || (typeof v === "number" && Number.isNaN(v));
  keyed.sort((a, b) => {
    if (missing(a.value) || missing(b.value)) return Number(missing(a.value)) - Number(missing(b.value));
    return descending ? compare(b.value, a.value) : compare(a.value, b.value);
  });
  return keyed.map(({ item }) => item);
}

/**
 * Runs that agree in all of these, in the order of their first run.
 * @param {Run[]} runs @param {string[]} by @param {Value} value
 */
export function grouped(runs, by, value) {
  /** @type {Map<string, Run[]>} */
  const groups = new Map();
  for (const run of runs) {
    const key = JSON.stringify(by.map((name) => value(run, name) ?? null));
    const known = groups.get(key);
    if (known) known.push(run);
    else groups.set(key, [run]);
  }
  return [...groups].map(([key, members]) => ({ key, runs: members,
    values: by.map((name) => /** @type {[string, unknown]} */ ([name, value(members[0], name)])) }));
}

/**
 * What a group shows in a column: the mean of what was measured, the word or value that all share.
 * @param {Run[]} runs @param {string} name @param {Value} value @param {boolean} measured
 */
export function summary(runs, name, value, measured) {
  const all = runs.map((run) => value(run, name));
  const numbers = all.filter((v) => typeof v === "number" && Number.isFinite(v));
  if (measured && numbers.length && all.every((v) => v === undefined || v === null || typeof v === "number")) {
    const band = meanBand(/** @type {number[]} */ (numbers));
    return { mean: band.mean, half: band.count > 1 ? (t95(band.count - 1) * band.sd) / Math.sqrt(band.count) : NaN, count: band.count };
  }
  const words = new Set(all.map((v) => String(v ?? "")));
  return words.size === 1 ? { word: [...words][0], same: all[0] } : { word: `${words.size} values` };
}

/**
 * @param {Run[]} runs already filtered
 * @param {{by: string[], sort: string, descending: boolean, open: Set<string>}} wish @param {Value} value
 * @returns {Row[]}
 */
export function arranged(runs, wish, value) {
  const inOrder = sorted(runs, (run) => value(run, wish.sort), wish.descending);
  if (!wish.by.length) return inOrder.map((run) => ({ kind: "run", run, depth: 0 }));
  const groups = grouped(inOrder, wish.by, value);
  const keyOf = (/** @type {typeof groups[0]} */ group) => {
    const told = summary(group.runs, wish.sort, value, true);
    return "mean" in told ? told.mean : told.word;
  };
  return sorted(groups, keyOf, wish.descending).flatMap((group) => group.runs.length === 1 ? [/** @type {Row} */ ({ kind: "run", run: group.runs[0], depth: 0 })] : [
    /** @type {Row} */ ({ kind: "group", ...group }),
    ...(wish.open.has(group.key) ? group.runs.map((run) => /** @type {Row} */ ({ kind: "run", run, depth: 1 })) : [])]);
}
