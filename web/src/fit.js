// @ts-check
// Curves through points: the laws of scaling as the data files tell them. Pure.

/** @typedef {{floor: number, scale: number, exponent: number}} Law */

/** Fewer sizes than this say nothing of a law. */
export const SIZES_MIN = 4;
/** Beyond this factor of the largest size a law is not drawn. */
export const REACH = 4;

/** @param {Law} law @param {number} n */
export const fitAt = (law, n) => law.floor + law.scale * n ** -law.exponent;
