// @ts-check
// Curves through points: the laws of scaling as the data files tell them, and the least of a valley.
// Pure.

/** @typedef {{floor: number, scale: number, exponent: number}} Law */

/** Fewer sizes than this say nothing of a law. */
export const SIZES_MIN = 4;
/** Beyond this factor of the largest size a law is not drawn. */
export const REACH = 4;

/** @param {Law} law @param {number} n */
export const fitAt = (law, n) => law.floor + law.scale * n ** -law.exponent;

/**
 * The least of a parabola through (log rate, loss), by least squares over the points near the best.
 * The interval is that of the vertex over resampled points. Null: too few rates, or no valley.
 * @param {{rate: number, loss: number}[]} points
 */
export function valley(points) {
  const rates = [...new Set(points.map((p) => p.rate))].sort((a, b) => a - b);
  if (rates.length < 3) return null;
  const mean = rates.map((rate) => average(points.filter((p) => p.rate === rate).map((p) => p.loss)));
  const best = mean.indexOf(Math.min(...mean));
  const near = new Set(rates.slice(Math.max(0, best - 2), best + 3));
  const used = points.filter((p) => near.has(p.rate));
  const vertex = parabola(used);
  if (!vertex) return null;
  const draws = [];
  const random = generator(used.length * 7919 + rates.length);
  for (let i = 0; i < 400; i++) {
    const again = parabola(used.map(() => used[Math.floor(random() * used.length)]));
    if (again) draws.push(again.x);
  }
  draws.sort((a, b) => a - b);
  const at = (/** @type {number} */ q) => 10 ** draws[Math.floor(q * (draws.length - 1))];
  return { rate: 10 ** vertex.x, loss: vertex.y, low: draws.length > 300 ? at(0.025) : NaN, high: draws.length > 300 ? at(0.975) : NaN };
}

/** @param {number[]} values */
const average = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** @param {{rate: number, loss: number}[]} points */
function parabola(points) {
  if (new Set(points.map((p) => p.rate)).size < 3) return null;
  const xs = points.map((p) => Math.log10(p.rate));
  const middle = average(xs);
  const m = [0, 0, 0, 0, 0];
  const t = [0, 0, 0];
  points.forEach((p, i) => {
    const x = xs[i] - middle;
    for (let k = 0; k < 5; k++) m[k] += x ** k;
    for (let k = 0; k < 3; k++) t[k] += p.loss * x ** k;
  });
  const det = (/** @type {number[]} */ a) => a[0] * (a[4] * a[8] - a[5] * a[7]) - a[1] * (a[3] * a[8] - a[5] * a[6]) + a[2] * (a[3] * a[7] - a[4] * a[6]);
  const all = det([m[0], m[1], m[2], m[1], m[2], m[3], m[2], m[3], m[4]]);
  const c = det([t[0], m[1], m[2], t[1], m[2], m[3], t[2], m[3], m[4]]) / all;
  const b = det([m[0], t[0], m[2], m[1], t[1], m[3], m[2], t[2], m[4]]) / all;
  const a = det([m[0], m[1], t[0], m[1], m[2], t[1], m[2], m[3], t[2]]) / all;
  const x = -b / (2 * a);
  const outside = x + middle < Math.min(...xs) || x + middle > Math.max(...xs);
  return a > 0 && !outside ? { x: x + middle, y: c + b * x + a * x * x } : null;
}

/** Numbers in [0, 1) that are the same on every visit (mulberry32). @param {number} seed */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
}
