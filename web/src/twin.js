// @ts-check
// Which run is another's twin, and what sets two runs apart. Pure.

import { FLOATS, LOW_BIT } from "./colors.js";

/** @typedef {import("./model.js").Model} Model @typedef {import("./model.js").Run} Run */

/** What twins may differ in besides. */
const FREE = new Set(["quant.variant", "optim.lr", "train.seed"]);

/** Knobs of a run that the search chose, but those that twins may differ in. @param {Model} model @param {Run} run */
const place = (model, run) => JSON.stringify(model.sweeps[run.sweep].varied.filter((name) => !FREE.has(name)).map((name) => model.knob(run, name) ?? null));

/**
 * The run on the other side of the comparison: same sweep, same chosen knobs, the fittest variant;
 * among those the same seed and the nearest learning rate.
 * @param {Model} model @param {Run} run @returns {Run | null}
 */
export function twinOf(model, run) {
  const wanted = LOW_BIT.includes(run.variant) ? [...FLOATS, ...LOW_BIT] : [...LOW_BIT, ...FLOATS];
  const here = place(model, run);
  const far = (/** @type {Run} */ other) => {
    const a = Number(model.knob(run, "optim.lr"));
    const b = Number(model.knob(other, "optim.lr"));
    return Number.isFinite(a) && Number.isFinite(b) ? Math.abs(Math.log(a / b)) : 0;
  };
  const seed = (/** @type {Run} */ other) => Number(model.knob(other, "train.seed") !== model.knob(run, "train.seed"));
  const fit = model.sweeps[run.sweep].runs.filter((other) => other !== run && other.variant !== run.variant && other.records > 0 &&
    wanted.includes(other.variant) && place(model, other) === here);
  fit.sort((a, b) => wanted.indexOf(a.variant) - wanted.indexOf(b.variant) || seed(a) - seed(b) || far(a) - far(b) || a.number - b.number);
  return fit[0] ?? null;
}

/** Names of knobs in which two runs differ. @param {Model} model @param {Run} a @param {Run} b */
export const differences = (model, a, b) => new Set([...model.knobs.keys()].filter((name) => String(model.knob(a, name)) !== String(model.knob(b, name))));
