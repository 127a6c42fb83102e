// @ts-check
// Smoothing of curves: said in the address, with the raw line behind.

import { h } from "../dom.js";
import { smoothed } from "../series.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../curves.js").Curve} Curve */

/** @param {App} app */
export function strengthOf(app) {
  const strength = Number(app.place.options.get("s") ?? 0);
  return strength > 0 && strength < 1 ? strength : 0;
}

/** @param {App} app */
export function smoothingControl(app) {
  const strength = strengthOf(app);
  const box = h("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: String(strength),
    onchange: () => app.set({ s: Number(box.value) > 0 ? box.value : "" }) });
  return h("label.smooth", {}, h("span", {}, strength ? `smoothed ${strength}` : "smooth"), box);
}

/**
 * The smoothed curves with what was measured behind each. Bands stay: they are of the measured mean.
 * @param {Curve[]} curves @param {number} strength @returns {Curve[]}
 */
export function smoothCurves(curves, strength) {
  if (!strength) return curves;
  return curves.flatMap((curve) => {
    if (curve.quiet) return [{ ...curve, alpha: 0.15 }];
    const raw = { ...curve, id: curve.id + " raw", quiet: true, stopped: false, alpha: 0.2, width: 1, low: undefined, high: undefined };
    return [raw, { ...curve, label: `${curve.label}, smoothed ${strength}`, y: smoothed(curve, strength) }];
  });
}
