// @ts-check
// What every curve chart can be asked: which metric, along which axis, on which scales, how smooth.

import { choice, select } from "../dom.js";
import { smoothCurves, smoothingControl, strengthOf } from "./smoothing.js";
import { zoomOf } from "./twins.js";

/** @typedef {import("../app.js").App} App */

/** @param {App} app @param {string[]} metrics @param {[string, string][]} axes */
export function curveOptions(app, metrics, axes) {
  const { options } = app.place;
  const wanted = options.get("y") ?? "";
  return {
    metric: metrics.includes(wanted) ? wanted : metrics[0] ?? "",
    axis: axes.find(([name]) => name === options.get("x"))?.[0] ?? "step",
    logX: options.has("logx"), logY: options.has("logy"),
    zoom: zoomOf(app),
    zoomed: (/** @type {[number, number] | null} */ range) => app.quietly({ z: range ? range.map((v) => v.toPrecision(7)).join("..") : "" }),
    shape: (/** @type {import("../curves.js").Curve[]} */ curves) => smoothCurves(curves, strengthOf(app)),
  };
}

/** @param {App} app @param {string[]} metrics @param {[string, string][]} axes @param {{metric: string, axis: string, logX: boolean, logY: boolean}} now @returns {(Node | null)[]} */
export function curveControls(app, metrics, axes, now) {
  return [
    metrics.length > 1 ? select("Metric", metrics.map((name) => [name, name]), now.metric, (value) => app.set({ y: value })) : null,
    choice("Along", axes, now.axis, (value) => app.set({ x: value, z: "" })),
    choice("Scale", [["", "linear"], ["y", "log y"], ["xy", "log"]], now.logY ? (now.logX ? "xy" : "y") : "",
      (value) => app.set({ logy: value ? "1" : "", logx: value === "xy" ? "1" : "", z: "" })),
    smoothingControl(app),
  ];
}
