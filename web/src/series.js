// @ts-check
// Series of numbers: decoding, smoothing, group means, decimation for the screen. Pure.

/** @typedef {{x: Float64Array, y: Float64Array}} Curve */

const WORDS = new Map([["NaN", NaN], ["Infinity", Infinity], ["-Infinity", -Infinity]]);

/** A number of the data files: some cannot be said in JSON. @param {unknown} value @returns {number} */
export function numeric(value) {
  if (typeof value === "number") return value;
  return typeof value === "string" ? WORDS.get(value) ?? NaN : NaN;
}

/** @param {unknown[]} values @param {boolean} narrow they are floats, said in nine digits */
export function numbers(values, narrow) {
  const out = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const number = numeric(values[i]);
    out[i] = narrow ? Math.fround(number) : number;
  }
  return out;
}

/** @param {{from: number, by?: number, count?: number, deltas?: number[]}} told */
export function integers(told) {
  if (told.deltas) {
    const out = new Float64Array(told.deltas.length + 1);
    out[0] = told.from;
    for (let i = 0; i < told.deltas.length; i++) out[i + 1] = out[i] + told.deltas[i];
    return out;
  }
  const out = new Float64Array(told.count ?? 0);
  for (let i = 0; i < out.length; i++) out[i] = told.from + i * (told.by ?? 1);
  return out;
}

/** The first position whose x is not below. @param {ArrayLike<number>} xs ascending @param {number} x */
export function lowerBound(xs, x) {
  let low = 0;
  let high = xs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The position whose x is nearest; -1 of nothing. @param {ArrayLike<number>} xs @param {number} x */
export function nearest(xs, x) {
  if (!xs.length) return -1;
  const at = lowerBound(xs, x);
  if (at === 0) return 0;
  if (at === xs.length) return at - 1;
  return x - xs[at - 1] <= xs[at] - x ? at - 1 : at;
}

/** y at x, linear between neighbours, NaN outside. @param {Curve} curve @param {number} x */
export function valueAt(curve, x) {
  const { x: xs, y: ys } = curve;
  const at = lowerBound(xs, x);
  if (at < xs.length && xs[at] === x) return ys[at];
  if (at === 0 || at === xs.length) return NaN;
  const part = (x - xs[at - 1]) / (xs[at] - xs[at - 1]);
  return ys[at - 1] + part * (ys[at] - ys[at - 1]);
}

/**
 * Time-weighted exponential moving average, unbiased at the start, as wandb smooths: the weight of
 * what came before falls with the distance in x, so that unevenly spaced points are treated alike.
 * Points that are not finite stay as they are and are passed over.
 * @param {Curve} curve @param {number} strength 0 ... 0.999 @returns {Float64Array}
 */
export function smoothed(curve, strength) {
  const { x, y } = curve;
  const out = Float64Array.from(y);
  const range = x.length ? x[x.length - 1] - x[0] : 0;
  if (!(strength > 0) || !(range > 0)) return out;
  const weight = Math.min(Math.sqrt(strength), 0.999);
  let sum = 0;
  let total = 0;
  let before = x[0];
  for (let i = 0; i < x.length; i++) {
    if (!Number.isFinite(y[i])) continue;
    const decay = weight ** (((x[i] - before) / range) * 1000);
    sum = sum * decay + y[i];
    total = total * decay + 1;
    before = x[i];
    out[i] = sum / total;
  }
  return out;
}

/** Student's t for 95 %, two-sided, by degrees of freedom. */
const T95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145,
  2.131, 2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042];

/** @param {number} freedom */
export function t95(freedom) {
  if (freedom < 1) return NaN;
  if (freedom <= T95.length) return T95[freedom - 1];
  const z = 1.959964;
  return z + (z ** 3 + z) / (4 * freedom);
}

/** From this many runs on a band is the 95 % interval of the mean; below, the least and the largest. */
export const BAND_RUNS = 5;

/**
 * The mean of several curves and its band. At each x of any curve the curves that have begun and
 * not ended there count, linear between their points: a run's end never moves the mean silently,
 * `count` tells.
 * @param {Curve[]} curves
 * @param {{range?: boolean, points?: number}} [wish] range: the band is from least to largest; points: so many x at most
 */
export function groupMean(curves, { range = false, points = Infinity } = {}) {
  const all = new Set();
  for (const curve of curves) for (const x of curve.x) all.add(x);
  const every = Math.ceil(all.size / points) || 1;
  const x = Float64Array.from(all).sort().filter((_, i) => i % every === 0 || i === all.size - 1);
  const mean = new Float64Array(x.length);
  const low = new Float64Array(x.length);
  const high = new Float64Array(x.length);
  const count = new Float64Array(x.length);
  const places = curves.map(() => 0);
  for (let i = 0; i < x.length; i++) {
    /** @type {number[]} */
    const values = [];
    for (let c = 0; c < curves.length; c++) {
      const curve = curves[c];
      while (places[c] < curve.x.length && curve.x[places[c]] < x[i]) places[c]++;
      const value = between(curve, places[c], x[i]);
      if (Number.isFinite(value)) values.push(value);
    }
    const band = meanBand(values);
    mean[i] = band.mean;
    low[i] = range ? Math.min(...values) : band.low;
    high[i] = range ? Math.max(...values) : band.high;
    count[i] = values.length;
  }
  return { x, y: mean, low, high, count };
}

/** y at x, when `at` is the first position not below x. @param {Curve} curve @param {number} at @param {number} x */
function between(curve, at, x) {
  if (at < curve.x.length && curve.x[at] === x) return curve.y[at];
  if (at === 0 || at === curve.x.length) return NaN;
  const part = (x - curve.x[at - 1]) / (curve.x[at] - curve.x[at - 1]);
  return curve.y[at - 1] + part * (curve.y[at] - curve.y[at - 1]);
}

/** @param {number[]} values finite */
export function meanBand(values) {
  const n = values.length;
  if (n === 0) return { mean: NaN, low: NaN, high: NaN, sd: NaN, count: 0 };
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const sd = n > 1 ? Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1)) : NaN;
  if (n >= BAND_RUNS) {
    const half = (t95(n - 1) * sd) / Math.sqrt(n);
    return { mean, low: mean - half, high: mean + half, sd, count: n };
  }
  return { mean, low: Math.min(...values), high: Math.max(...values), sd, count: n };
}

/**
 * Positions of a slice to draw in so many columns: of each the first, the least, the largest and the
 * last point, and what is not finite as a gap. The drawn line is the same to the pixel (M4).
 * @param {Curve} curve @param {number} from @param {number} to @param {number} columns
 * @param {number} left @param {number} right x at the edges
 * @returns {number[] | null} null: few enough to draw all
 */
export function columnPicks(curve, from, to, columns, left, right) {
  if (to - from <= columns * 4) return null;
  const { x, y } = curve;
  const scale = columns / (right - left);
  /** @type {number[]} */
  const picks = [];
  let i = from;
  while (i < to) {
    const column = Math.floor((x[i] - left) * scale);
    const first = i;
    let least = i;
    let largest = i;
    let gap = -1;
    while (i < to && Math.floor((x[i] - left) * scale) === column) {
      if (!Number.isFinite(y[i])) gap = gap < 0 ? i : gap;
      else {
        if (!(y[i] >= y[least])) least = i;
        if (!(y[i] <= y[largest])) largest = i;
      }
      i++;
    }
    const chosen = [first, least, largest, i - 1, gap].filter((at) => at >= 0).sort((a, b) => a - b);
    for (const at of chosen) if (picks[picks.length - 1] !== at) picks.push(at);
  }
  return picks;
}

/** Least and largest finite number of a slice. @param {ArrayLike<number>} y @param {number} from @param {number} to @param {boolean} positive */
export function extent(y, from, to, positive) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = from; i < to; i++) {
    const value = y[i];
    if (!Number.isFinite(value) || (positive && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

/**
 * Largest-triangle-three-buckets (Steinarsson 2013): the look of a curve in a few points. Only for
 * sparklines, where nothing is read off.
 * @param {Curve} curve @param {number} count
 */
export function glance(curve, count) {
  const keep = [...curve.x.keys()].filter((i) => Number.isFinite(curve.y[i]));
  if (keep.length <= count) return keep;
  const out = [keep[0]];
  const size = (keep.length - 2) / (count - 2);
  let last = keep[0];
  for (let b = 0; b < count - 2; b++) {
    const from = Math.floor(b * size) + 1;
    const to = Math.floor((b + 1) * size) + 1;
    const next = keep.slice(to, Math.min(Math.floor((b + 2) * size) + 1, keep.length));
    const nx = next.reduce((sum, i) => sum + curve.x[i], 0) / next.length;
    const ny = next.reduce((sum, i) => sum + curve.y[i], 0) / next.length;
    let best = keep[from];
    let area = -1;
    for (let k = from; k < to; k++) {
      const i = keep[k];
      const size2 = Math.abs((nx - curve.x[last]) * (curve.y[i] - curve.y[last]) -
        (curve.x[last] - curve.x[i]) * (ny - curve.y[last]));
      if (size2 > area) {
        area = size2;
        best = i;
      }
    }
    out.push(best);
    last = best;
  }
  out.push(keep[keep.length - 1]);
  return out;
}
