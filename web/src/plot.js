// @ts-check
// Small charts as SVG: scatter, lines with marks, bars; also what every chart becomes when exported.
// A chart is data, {x, y, marks}; `draw` makes the picture of it at a size.

import { s } from "./dom.js";
import { makeScale, telling } from "./scale.js";
import * as format from "./format.js";

/**
 * @typedef {{label: string, domain: [number, number], log?: boolean, unit?: string,
 *   format?: (value: number) => string, ticks?: {at: number, text: string}[]}} Axis
 * @typedef {{type: "line", x: ArrayLike<number>, y: ArrayLike<number>, color: string, dash?: number[],
 *     width?: number, alpha?: number}
 *   | {type: "band", x: ArrayLike<number>, low: ArrayLike<number>, high: ArrayLike<number>, color: string, alpha?: number}
 *   | {type: "point", x: number, y: number, color: string, mark?: string, size?: number, hollow?: boolean,
 *     tip?: string[], open?: () => void}
 *   | {type: "error", x: number, y: number, low: number, high: number, color: string, across?: boolean}
 *   | {type: "bar", from: number, to: number, y: number, size: number, color: string, alpha?: number, tip?: string[], text?: string}
 *   | {type: "cell", x0: number, x1: number, y0: number, y1: number, alpha: number, color: string}
 *   | {type: "rule", y?: number, x?: number, label: string, color?: string, dash?: number[], row?: number}
 *   | {type: "zone", low: number, high: number, label: string, color: string}
 *   | {type: "text", x: number, y: number, text: string, color?: string, anchor?: string, dx?: number, dy?: number}} Mark
 * @typedef {{x: Axis, y: Axis, marks: Mark[], label: string, left?: number}} Chart
 */

const MARGIN = { top: 10, right: 14, bottom: 40 };

/** A mark's outline about the origin. @param {string} kind @param {number} r */
export function markPath(kind, r) {
  const d = r * 1.25;
  const t = r * 0.45;
  switch (kind) {
    case "square": return `M${-r} ${-r}H${r}V${r}H${-r}Z`;
    case "diamond": return `M0 ${-d}L${d} 0L0 ${d}L${-d} 0Z`;
    case "triangle": return `M0 ${-d}L${d} ${r}L${-d} ${r}Z`;
    case "plus": return `M${-t} ${-d}H${t}V${-t}H${d}V${t}H${t}V${d}H${-t}V${t}H${-d}V${-t}H${-t}Z`;
    case "cross": return `M0 ${-t * 1.6}L${r} ${-d}L${d} ${-r}L${t * 1.6} 0L${d} ${r}L${r} ${d}L0 ${t * 1.6}L${-r} ${d}L${-d} ${r}L${-t * 1.6} 0L${-d} ${-r}L${-r} ${-d}Z`;
    default: return `M${-r} 0A${r} ${r} 0 1 1 ${r} 0A${r} ${r} 0 1 1 ${-r} 0Z`;
  }
}

/** @param {ArrayLike<number>} xs @param {ArrayLike<number>} ys @param {(v: number) => number} px @param {(v: number) => number} py */
export function linePath(xs, ys, px, py) {
  let path = "";
  let pen = false;
  for (let i = 0; i < xs.length; i++) {
    const x = px(xs[i]);
    const y = py(ys[i]);
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      pen = false;
      continue;
    }
    path += (pen ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1);
    pen = true;
  }
  return path;
}

/** @param {Axis} axis @param {number} count */
function axisTicks(axis, count) {
  if (axis.ticks) return axis.ticks;
  const at = telling(axis, count);
  const say = axis.format ?? format.ticks(at, axis.log, axis.unit);
  return at.map((tick) => ({ at: tick, text: say(tick) }));
}

/** The words of an upright rule, on the side that has room, each row lower. @param {number} at @param {{label: string, row?: number}} mark @param {number} right */
function besideRule(at, mark, right) {
  const fits = at + 8 + mark.label.length * 6.6 < right;
  return { x: fits ? at + 5 : at - 5, y: MARGIN.top + 12 + (mark.row ?? 0) * 16, "text-anchor": fits ? "start" : "end" };
}

/** @param {Mark} mark @param {any} px @param {any} py @param {number} width @param {number} left */
function drawMark(mark, px, py, width, left) {
  switch (mark.type) {
    case "line":
      return s("path", { d: linePath(mark.x, mark.y, px, py), fill: "none", stroke: mark.color, "stroke-width": mark.width ?? 1.75,
        "stroke-dasharray": mark.dash?.length ? mark.dash.join(" ") : undefined, "stroke-opacity": mark.alpha, "stroke-linejoin": "round" });
    case "band": {
      const keep = [...Array(mark.x.length).keys()].filter((i) => Number.isFinite(py(mark.low[i])) && Number.isFinite(py(mark.high[i])));
      const there = keep.map((i) => `${px(mark.x[i]).toFixed(1)} ${py(mark.high[i]).toFixed(1)}`);
      const back = keep.reverse().map((i) => `${px(mark.x[i]).toFixed(1)} ${py(mark.low[i]).toFixed(1)}`);
      return s("path", { d: keep.length ? "M" + [...there, ...back].join("L") + "Z" : "", fill: mark.color, "fill-opacity": mark.alpha ?? 0.16 });
    }
    case "point":
      return s("path.mark", { d: markPath(mark.mark ?? "circle", mark.size ?? 4), transform: `translate(${px(mark.x).toFixed(1)} ${py(mark.y).toFixed(1)})`,
        fill: mark.hollow ? "var(--surface)" : mark.color, stroke: mark.hollow ? mark.color : "var(--surface)", "stroke-width": mark.hollow ? 1.6 : 1 });
    case "error": {
      const [x, low, high] = mark.across ? [0, px(mark.low), px(mark.high)] : [px(mark.x), py(mark.low), py(mark.high)];
      const y = py(mark.y);
      const d = mark.across ? `M${low} ${y - 4}V${y + 4}M${low} ${y}H${high}M${high} ${y - 4}V${y + 4}`
        : `M${x - 4} ${low}H${x + 4}M${x} ${low}V${high}M${x - 4} ${high}H${x + 4}`;
      return s("path", { d, fill: "none", stroke: mark.color, "stroke-width": 1.4 });
    }
    case "bar": {
      const [from, to] = [px(mark.from), px(mark.to)];
      const half = Math.abs(py(mark.y) - py(mark.y + mark.size / 2));
      if (from === to && !mark.text) return null;
      return s("g", {}, s("rect", { x: Math.min(from, to), y: py(mark.y) - half, width: Math.max(0.75, Math.abs(to - from)), height: 2 * half, fill: mark.color,
        "fill-opacity": mark.alpha ?? 0.9, stroke: half > 2 ? "var(--surface)" : undefined, "stroke-width": 1 }),
      mark.text ? s("text", { x: Math.min(Math.max(from, to) + 6, left + width + MARGIN.right - mark.text.length * 6.8), y: py(mark.y) + 4, class: "note", fill: "var(--ink)",
        "paint-order": "stroke", stroke: "var(--surface)", "stroke-width": 3 }, mark.text) : null);
    }
    case "cell":
      return s("rect", { x: px(mark.x0), y: py(mark.y1), width: Math.max(0.5, px(mark.x1) - px(mark.x0) + 0.4), height: Math.max(0.5, py(mark.y0) - py(mark.y1) + 0.4),
        fill: mark.color, "fill-opacity": mark.alpha });
    case "rule": {
      const upright = mark.x !== undefined;
      const at = upright ? px(mark.x) : py(/** @type {number} */ (mark.y));
      if (!Number.isFinite(at)) return null;
      const color = mark.color ?? "var(--ink-soft)";
      const bottom = py(py.domain[0]);
      return s("g", {}, s("path", { d: upright ? `M${at.toFixed(1)} ${MARGIN.top}V${bottom}` : `M${left} ${at.toFixed(1)}H${left + width}`, stroke: color,
        "stroke-width": 1.25, "stroke-dasharray": (mark.dash ?? [5, 4]).join(" ") }),
      mark.label ? s("text", { ...(upright ? besideRule(at, mark, left + width) : { x: left + width - 4, y: at - 5, "text-anchor": "end" }), fill: color, class: "note" }, mark.label) : null);
    }
    case "zone": {
      const top = py(mark.high);
      return s("g", {}, s("rect", { x: left, y: top, width, height: Math.max(1, py(mark.low) - top), fill: mark.color, "fill-opacity": 0.13 }),
        s("text", { x: left + 6, y: top + 14, class: "note", fill: "var(--ink-soft)" }, mark.label));
    }
    case "text":
      return s("text", { x: px(mark.x) + (mark.dx ?? 0), y: py(mark.y) + (mark.dy ?? 0), fill: mark.color ?? "var(--ink)", "text-anchor": mark.anchor ?? "start", class: "note" }, mark.text);
  }
}

/** Wide enough for the longest label. @param {{text: string}[]} ticks */
const labelRoom = (ticks) => Math.max(...ticks.map((tick) => tick.text.length), 1) * 6.6;

let charts = 0;

/**
 * @param {Chart} chart @param {number} width @param {number} height
 * @returns {{svg: SVGElement, px: any, py: any, left: number, top: number, right: number, bottom: number}}
 */
export function draw(chart, width, height) {
  const bottom = height - MARGIN.bottom;
  const yTicks = axisTicks(chart.y, Math.max(3, Math.floor(bottom / 46)));
  const left = chart.left ?? Math.min(width * 0.4, Math.max(44, labelRoom(yTicks) + 30));
  const inner = width - left - MARGIN.right;
  const px = makeScale(chart.x.domain, [left, left + inner], chart.x.log);
  const py = makeScale(chart.y.domain, [bottom, MARGIN.top], chart.y.log);
  const count = Math.max(2, Math.floor(inner / 84));
  const xTicks = axisTicks(chart.x, count);
  const grid = s("g.grid", {});
  const words = s("g.ticks", {});
  for (const tick of yTicks) {
    const y = py(tick.at);
    grid.append(s("path", { d: `M${left} ${y.toFixed(1)}H${left + inner}` }));
    words.append(s("text", { x: left - 7, y: y + 4, "text-anchor": "end" }, tick.text));
  }
  let last = -Infinity;
  for (const tick of xTicks) {
    const x = px(tick.at);
    grid.append(s("path", { d: `M${x.toFixed(1)} ${MARGIN.top}V${bottom}` }));
    const room = tick.text.length * 3.4;
    if (x - room < last + 6) continue;
    last = x + room;
    words.append(s("text", { x: Math.min(x, width - room), y: bottom + 17, "text-anchor": "middle" }, tick.text));
  }
  const clip = `clip-${charts++}`;
  const svg = s("svg.plot", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": chart.label },
    s("clipPath", { id: clip }, s("rect", { x: left - 8, y: MARGIN.top - 8, width: inner + 16, height: bottom - MARGIN.top + 16 })),
    grid, words,
    s("path.frame", { d: `M${left} ${MARGIN.top}V${bottom}H${left + inner}` }),
    s("text.axis", { x: left + inner / 2, y: height - 6, "text-anchor": "middle" }, chart.x.label),
    s("text.axis", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(13 ${(MARGIN.top + bottom) / 2}) rotate(-90)` }, chart.y.label),
    s("g", { "clip-path": `url(#${clip})` }, chart.marks.map((mark) => drawMark(mark, px, py, inner, left))));
  return { svg, px, py, left, top: MARGIN.top, right: left + inner, bottom };
}

/** @param {any} bar @param {any} drawn @param {number} x @param {number} y */
function barDistance(bar, drawn, x, y) {
  const half = Math.abs(drawn.py(bar.y) - drawn.py(bar.y + bar.size / 2));
  const beside = Math.max(drawn.px(Math.min(bar.from, bar.to)) - x, 0, x - drawn.px(Math.max(bar.from, bar.to)));
  return beside ** 2 + Math.max(0, Math.abs(drawn.py(bar.y) - y) - half) ** 2 * 100;
}

/** The point or bar nearest to a place, within reach. @param {Chart} chart @param {any} drawn @param {number} x @param {number} y */
export function pointAt(chart, drawn, x, y) {
  let best = null;
  let reach = 24 ** 2;
  for (const mark of chart.marks) {
    if ((mark.type !== "point" && mark.type !== "bar") || !mark.tip) continue;
    const distance = mark.type === "point" ? (drawn.px(mark.x) - x) ** 2 + (drawn.py(mark.y) - y) ** 2 : barDistance(mark, drawn, x, y);
    if (distance < reach) {
      reach = distance;
      best = mark;
    }
  }
  return best;
}
