// @ts-check
// Colours of things, the same on every chart: Okabe and Ito's palette, which people with any common
// colour blindness can tell apart, as custom properties of style.css; line patterns and marks say
// the same again.

/** @typedef {{color: string, dash: number[], mark: "circle" | "square" | "diamond" | "triangle" | "cross" | "plus"}} Look */

/** @type {Map<string, Look>} */
const VARIANTS = new Map([
  ["ternary", { color: "--blue", dash: [], mark: "circle" }],
  ["fp16", { color: "--vermilion", dash: [], mark: "square" }],
  ["bf16", { color: "--green", dash: [7, 3], mark: "diamond" }],
  ["fp32", { color: "--ink-soft", dash: [2, 3], mark: "plus" }],
  ["int8", { color: "--purple", dash: [9, 3, 2, 3], mark: "triangle" }],
  ["binary", { color: "--amber", dash: [4, 3], mark: "cross" }],
]);

/** @type {Look[]} */
const OTHERS = ["--blue", "--vermilion", "--green", "--purple", "--amber", "--sky", "--ink-soft"].flatMap((color, i) => [
  { color, dash: [], mark: /** @type {const} */ (["circle", "square", "diamond", "triangle", "cross", "plus", "circle"])[i] }]);

/** Low-bit formats, and the floating ones they stand against, the fittest twin first. */
export const LOW_BIT = ["ternary", "binary", "int8"];
export const FLOATS = ["fp16", "bf16", "fp32"];

/** @param {string} variant @returns {Look} */
export const lookOf = (variant) => VARIANTS.get(variant) ?? nthLook([...variant].reduce((sum, c) => sum + c.charCodeAt(0), 0));

/** @param {number} n @returns {Look} */
export const nthLook = (n) => ({ ...OTHERS[n % OTHERS.length],
  dash: [[], [6, 3], [2, 3], [9, 3, 2, 3]][Math.floor(n / OTHERS.length) % 4] });

/** What a custom property stands for now. @param {string} name */
export const resolved = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Variants in the order in which they are always named. @param {string[]} variants */
export function inOrder(variants) {
  const all = [...LOW_BIT, ...FLOATS];
  const place = (/** @type {string} */ v) => (all.indexOf(v) < 0 ? all.length : all.indexOf(v));
  return [...variants].sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
}
