// @ts-check
// Curves of runs on a canvas: uPlot keeps the axes, the zoom and the cursor; the lines are drawn here,
// because every run has its own x and aligning fifty of them would cost more than drawing them.

import uPlot from "uplot";
import { h } from "./dom.js";
import { resolved } from "./colors.js";
import { columnPicks, extent, lowerBound, nearest } from "./series.js";
import { padded, telling, makeScale } from "./scale.js";
import * as format from "./format.js";

/**
 * @typedef {{id: string, label: string, color: string, dash: number[], width: number, alpha: number,
 *   x: Float64Array, y: Float64Array, low?: Float64Array, high?: Float64Array, quiet?: boolean, stopped?: boolean,
 *   note?: (i: number) => string}} Curve  quiet: behind the others, not named in the tooltip; stopped: a cross where it ends
 * @typedef {{label: string, x: {label: string, log: boolean, unit?: string, whole?: boolean},
 *   y: {label: string, log: boolean, unit?: string}, trim?: boolean, curves: Curve[],
 *   rules: {y: number, label: string}[], zoom: [number, number] | null,
 *   zoomed: (range: [number, number] | null) => void}} Picture
 * unit: what an axis is counted in, as format.ticks knows it; whole: it has no halves; trim: the steep start may leave the frame.
 */

const TIP_ROWS = 12;
/** With more curves than this each is a thin line. */
const MANY = 12;

/** Least and largest y that is drawn between two x. @param {Picture} picture @param {number} left @param {number} right */
function yExtent(picture, left, right) {
  let low = Infinity;
  let high = -Infinity;
  for (const curve of picture.curves) {
    const from = Math.max(0, lowerBound(curve.x, left) - 1);
    const to = Math.min(curve.x.length, lowerBound(curve.x, right) + 1);
    for (const ys of curve.low && curve.high ? [curve.low, curve.high] : [curve.y]) {
      const part = extent(ys, from, to, picture.y.log);
      low = Math.min(low, part.low);
      high = Math.max(high, part.high);
    }
  }
  return { low, high };
}

/** The first steps of a training would press what matters into a line at the bottom. */
const START_SHARE = 0.1;

/** @param {Picture} picture @param {number} left @param {number} right @returns {[number, number]} */
function yRange(picture, left, right) {
  const whole = yExtent(picture, left, right);
  const { low: least } = whole;
  let { low, high } = whole;
  if (picture.trim && !picture.y.log && !picture.x.log && !picture.zoom) {
    const late = yExtent(picture, left + (right - left) * START_SHARE, right);
    const roomy = late.high + (late.high - least) * 0.25;
    if (roomy < high && late.high > least) high = roomy;
  }
  for (const rule of picture.rules) {
    // A floor far below would flatten the curves: it is drawn when it is near.
    if (rule.y < low && low - rule.y < (high - low) * 0.6) low = rule.y;
  }
  return padded(low, high, picture.y.log);
}

/** @param {Picture} picture @returns {[number, number]} */
export function xRange(picture) {
  let low = Infinity;
  let high = -Infinity;
  for (const { x } of picture.curves) {
    const from = picture.x.log ? lowerBound(x, Number.MIN_VALUE) : 0;
    if (from < x.length) {
      low = Math.min(low, x[from]);
      high = Math.max(high, x[x.length - 1]);
    }
  }
  if (low === high && picture.x.whole && !picture.x.log) return [low - 1, high + 1];
  if (!(low < high)) return padded(low, high, picture.x.log);
  return [low, high];
}

/** One curve between the edges of the canvas. @param {CanvasRenderingContext2D} pen @param {Curve} curve @param {any} frame */
function drawCurve(pen, curve, frame) {
  const { px, py, left, right, columns } = frame;
  const from = Math.max(0, lowerBound(curve.x, left) - 1);
  const to = Math.min(curve.x.length, lowerBound(curve.x, right) + 1);
  const picks = columnPicks(curve, from, to, columns, left, right);
  const count = picks ? picks.length : to - from;
  const dot = (/** @type {number} */ i) => {
    const [x, y] = [px(curve.x[i]), py(curve.y[i])];
    pen.moveTo(x + pen.lineWidth, y);
    pen.arc(x, y, pen.lineWidth, 0, 2 * Math.PI);
  };
  pen.beginPath();
  let down = false;
  let lone = -1; // a point without neighbours is no line, and is seen all the same
  for (let k = 0; k < count; k++) {
    const i = picks ? picks[k] : from + k;
    const x = px(curve.x[i]);
    const y = py(curve.y[i]);
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      if (lone >= 0) dot(lone);
      down = false;
      lone = -1;
      continue;
    }
    if (down) pen.lineTo(x, y);
    else pen.moveTo(x, y);
    lone = down ? -1 : i;
    down = true;
  }
  if (lone >= 0) dot(lone);
  pen.stroke();
}

/** The last point that is a number. @param {Curve} curve */
export function endOf(curve) {
  let i = curve.y.length - 1;
  while (i >= 0 && !Number.isFinite(curve.y[i])) i--;
  return i;
}

/** @param {CanvasRenderingContext2D} pen @param {Curve} curve @param {any} frame @param {number} size */
function drawCross(pen, curve, frame, size) {
  const i = endOf(curve);
  if (i < 0) return;
  const [x, y] = [frame.px(curve.x[i]), frame.py(curve.y[i])];
  pen.setLineDash([]);
  pen.beginPath();
  pen.moveTo(x - size, y - size);
  pen.lineTo(x + size, y + size);
  pen.moveTo(x - size, y + size);
  pen.lineTo(x + size, y - size);
  pen.stroke();
}

/** @param {CanvasRenderingContext2D} pen @param {Curve} curve @param {any} frame */
function drawBand(pen, curve, frame) {
  const low = /** @type {Float64Array} */ (curve.low);
  const high = /** @type {Float64Array} */ (curve.high);
  const from = Math.max(0, lowerBound(curve.x, frame.left) - 1);
  const to = Math.min(curve.x.length, lowerBound(curve.x, frame.right) + 1);
  pen.beginPath();
  for (let i = from; i < to; i++) if (Number.isFinite(high[i])) pen.lineTo(frame.px(curve.x[i]), frame.py(high[i]));
  for (let i = to - 1; i >= from; i--) if (Number.isFinite(low[i])) pen.lineTo(frame.px(curve.x[i]), frame.py(low[i]));
  pen.closePath();
  pen.fill();
}

export class CurveChart {
  /** @param {HTMLElement} host @param {Picture} picture @param {number} height */
  constructor(host, picture, height) {
    this.host = host;
    this.picture = picture;
    this.height = height;
    /** @type {any} */
    this.plot = null;
    this.tip = h("div.tip", { hidden: true });
    this.strong = "";
    this.make();
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(host);
  }

  destroy() {
    this.watch.disconnect();
    this.plot?.destroy();
  }

  resize() {
    const width = this.host.clientWidth;
    if (width > 40 && this.plot && Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: this.height });
  }

  /** New data or another look; the zoom stays. @param {Picture} picture */
  update(picture) {
    const same = this.picture.x.log === picture.x.log && this.picture.y.log === picture.y.log &&
      this.picture.x.label === picture.x.label;
    this.picture = picture;
    if (!same || !this.plot) {
      this.plot?.destroy();
      this.make();
      return;
    }
    const [left, right] = picture.zoom ?? xRange(picture);
    const [low, high] = yRange(picture, left, right);
    this.plot.batch(() => {
      this.plot.setData(this.dummy(), false);
      this.plot.setScale("x", { min: left, max: right });
      this.plot.setScale("y", { min: low, max: high });
    });
    this.plot.redraw(false, true);
  }

  /** Emphasizes one curve. @param {string} id "" for none */
  emphasize(id) {
    if (id === this.strong) return;
    this.strong = id;
    this.plot?.redraw(false, false);
  }

  /** uPlot wants data of its own; two corners are enough for its scales. */
  dummy() {
    const [left, right] = xRange(this.picture);
    return [[left, right], [null, null]];
  }

  make() {
    const { picture } = this;
    const [left, right] = picture.zoom ?? xRange(picture);
    const soft = resolved("--ink-soft");
    const grid = { stroke: resolved("--grid"), width: 1 };
    const font = "12px system-ui, sans-serif";
    const sides = [picture.x, picture.y];
    const splits = (/** @type {any} */ u, /** @type {number} */ side, /** @type {number} */ low, /** @type {number} */ high) => {
      const room = side === 0 ? u.bbox.width / devicePixelRatio / 84 : u.bbox.height / devicePixelRatio / 44;
      return telling({ domain: [low, high], ...sides[side] }, Math.max(2, room));
    };
    const values = (/** @type {any} */ _u, /** @type {number[]} */ at, /** @type {number} */ side) => at.map(format.ticks(at, sides[side].log, sides[side].unit));
    this.plot = new uPlot({
      width: Math.max(this.host.clientWidth, 120),
      height: this.height,
      padding: [10, 22, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: true, dist: 4 }, points: { show: false }, focus: { prox: -1 } },
      scales: {
        x: { time: false, auto: false, min: left, max: right, distr: picture.x.log ? 3 : 1 },
        y: { auto: false, range: () => this.yNow(), distr: picture.y.log ? 3 : 1 },
      },
      axes: [
        { stroke: soft, grid, ticks: { show: false }, font, label: picture.x.label, labelFont: font, labelSize: 18, size: 28, gap: 4,
          splits, values,
          filter: (/** @type {any} */ _u, /** @type {number[]} */ at) => at },
        { stroke: soft, grid, ticks: { show: false }, font, label: picture.y.label, labelFont: font, labelSize: 20, gap: 4,
          size: (/** @type {any} */ _u, /** @type {string[] | null} */ values) => 14 + Math.max(24, ...(values ?? []).map((v) => v.length * 6.8)),
          splits, values,
          filter: (/** @type {any} */ _u, /** @type {number[]} */ at) => at },
      ],
      series: [{}, { show: true, stroke: "transparent", paths: () => null, points: { show: false } }],
      hooks: {
        draw: [() => this.drawAll()],
        setScale: [(/** @type {any} */ u, /** @type {string} */ key) => this.scaled(u, key)],
        setCursor: [(/** @type {any} */ u) => this.showTip(u)],
      },
    }, this.dummy(), this.host);
    this.plot.setScale("y", this.yObject());
    this.plot.over.append(this.tip);
    this.plot.over.addEventListener("mouseleave", () => this.hideTip());
    this.plot.over.addEventListener("dblclick", () => this.zoomTo(null));
    this.plot.root.querySelector("canvas").setAttribute("aria-hidden", "true");
  }

  yNow() {
    const x = this.plot?.scales.x;
    const [left, right] = x && x.min !== null && x.min !== undefined ? [x.min, x.max] : this.picture.zoom ?? xRange(this.picture);
    return yRange(this.picture, left, right);
  }

  yObject() {
    const [min, max] = this.yNow();
    return { min, max };
  }

  /** @param {[number, number] | null} range */
  zoomTo(range) {
    const [min, max] = range ?? xRange(this.picture);
    this.plot.setScale("x", { min, max });
  }

  /** @param {any} u @param {string} key */
  scaled(u, key) {
    if (key !== "x" || !this.plot) return;
    const { min, max } = u.scales.x;
    const [low, high] = yRange(this.picture, min, max);
    const y = u.scales.y;
    if (y.min !== low || y.max !== high) u.setScale("y", { min: low, max: high });
    const [left, right] = xRange(this.picture);
    const whole = min <= left && max >= right;
    const known = this.picture.zoom;
    if (whole ? known !== null : !known || known[0] !== min || known[1] !== max) {
      this.picture = { ...this.picture, zoom: whole ? null : [min, max] };
      this.picture.zoomed(whole ? null : [min, max]);
    }
  }

  frame() {
    const u = this.plot;
    const { left, top, width, height } = u.bbox;
    const x = u.scales.x;
    const y = u.scales.y;
    return { px: makeScale([x.min, x.max], [left, left + width], this.picture.x.log),
      py: makeScale([y.min, y.max], [top + height, top], this.picture.y.log),
      left: x.min, right: x.max, columns: Math.max(1, Math.round(width)), box: u.bbox };
  }

  drawAll() {
    const pen = /** @type {CanvasRenderingContext2D} */ (this.plot.ctx);
    const frame = this.frame();
    const { box } = frame;
    const dense = this.picture.x.log ? { ...frame, columns: Infinity } : frame; // columns are of linear x
    const ratio = devicePixelRatio || 1;
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top, box.width, box.height);
    pen.clip();
    // Lines of one pixel are drawn ten times as fast as wider ones, whose outlines have to be filled.
    const many = this.picture.curves.length > MANY;
    pen.lineJoin = many ? "bevel" : "round";
    pen.lineCap = many ? "butt" : "round";
    for (const curve of this.picture.curves) {
      if (!curve.low) continue;
      pen.fillStyle = resolved(curve.color);
      pen.globalAlpha = 0.16;
      drawBand(pen, curve, frame);
    }
    this.drawRules(pen, frame, ratio);
    const ordered = [...this.picture.curves].sort((a, b) => Number(a.id === this.strong) - Number(b.id === this.strong));
    for (const curve of ordered) {
      const strong = curve.id === this.strong;
      pen.strokeStyle = resolved(curve.color);
      pen.globalAlpha = this.strong && !strong ? curve.alpha * 0.3 : curve.alpha;
      pen.lineWidth = strong ? (curve.width + 1) * ratio : many ? 1 : curve.width * ratio;
      pen.setLineDash(curve.dash.map((d) => d * ratio));
      drawCurve(pen, curve, dense);
      if (curve.stopped) drawCross(pen, curve, frame, 3 * ratio);
    }
    pen.restore();
  }

  /** @param {CanvasRenderingContext2D} pen @param {any} frame @param {number} ratio */
  drawRules(pen, frame, ratio) {
    pen.globalAlpha = 1;
    pen.font = `${12 * ratio}px system-ui, sans-serif`;
    pen.textAlign = "right";
    for (const rule of this.picture.rules) {
      const y = Math.round(frame.py(rule.y)) + 0.5;
      if (!(y >= frame.box.top && y <= frame.box.top + frame.box.height)) continue;
      pen.strokeStyle = pen.fillStyle = resolved("--ink-soft");
      pen.lineWidth = 1.25 * ratio;
      pen.setLineDash([5 * ratio, 4 * ratio]);
      pen.beginPath();
      pen.moveTo(frame.box.left, y);
      pen.lineTo(frame.box.left + frame.box.width, y);
      pen.stroke();
      pen.fillText(rule.label, frame.box.left + frame.box.width - 4 * ratio, y - 5 * ratio);
    }
  }

  hideTip() {
    this.tip.hidden = true;
    this.emphasize("");
  }

  /** The exact values of the measured points nearest to the cursor. @param {any} u */
  showTip(u) {
    const { left, top } = u.cursor;
    if (left === undefined || left < 0) return this.hideTip();
    const x = u.posToVal(left, "x");
    /** @type {{curve: Curve, i: number, distance: number}[]} */
    const rows = [];
    for (const curve of this.picture.curves) {
      if (curve.quiet) continue;
      const i = nearest(curve.x, x);
      if (i < 0) continue;
      const away = Math.abs(u.valToPos(curve.x[i], "x") - left);
      if (away > 60 && curve.x.length > 1) continue;
      const y = u.valToPos(curve.y[i], "y");
      rows.push({ curve, i, distance: Number.isFinite(y) ? Math.abs(y - top) : 1e6 });
    }
    if (!rows.length) return this.hideTip();
    rows.sort((a, b) => a.distance - b.distance);
    const first = rows[0];
    const shown = rows.slice(0, TIP_ROWS).sort((a, b) => b.curve.y[b.i] - a.curve.y[a.i]);
    this.tip.replaceChildren(
      h("div.tip-head", {}, this.picture.x.label.replace(/ since.*/, "") + " " + format.quantity(first.curve.x[first.i], this.picture.x.unit ?? "")),
      ...shown.map(({ curve, i }) => h(curve === first.curve ? "div.tip-row.tip-near" : "div.tip-row", {},
        h("span.swatch", { style: { background: `var(${curve.color})` } }), h("span.tip-name", {}, curve.label),
        h("span.tip-value", {}, format.exact(curve.y[i]) + (curve.note ? " " + curve.note(i) : "")))),
      rows.length > TIP_ROWS ? h("div.tip-more", {}, `and ${rows.length - TIP_ROWS} more`) : "");
    this.tip.hidden = false;
    const box = this.tip.getBoundingClientRect();
    const over = u.over.getBoundingClientRect();
    const right = left + 16 + box.width > over.width;
    this.tip.style.setProperty("left", `${right ? Math.max(-40, left - box.width - 14) : left + 14}px`);
    this.tip.style.setProperty("top", `${Math.min(Math.max(0, top - box.height / 2), Math.max(0, over.height - box.height))}px`);
    this.emphasize(this.picture.curves.length > 4 ? first.curve.id : "");
  }
}
