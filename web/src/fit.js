// @ts-check
// Scaling fits L(N) = E + A N^-a with E, A >= 0, by variable projection: for a fixed exponent the
// model is linear, so only the exponent is searched. Weighted after Huber on the logarithm of the
// loss, so that a run that went wrong does not bend the curve. Pure.

/** @typedef {{n: number, loss: number}} Point @typedef {{floor: number, scale: number, exponent: number, sizes: number}} Fit */

const HUBER = 1e-3;
/** Fewer sizes than this say nothing of three numbers. */
export const SIZES_MIN = 4;
/** Beyond this factor of the largest size a curve is not drawn. */
export const REACH = 4;

/** Least squares for E and A, neither below zero. @param {number[]} u N^-a @param {number[]} y @param {number[]} w weights */
function project(u, y, w) {
  let sw = 0, su = 0, sy = 0, suu = 0, suy = 0;
  for (let i = 0; i < u.length; i++) {
    sw += w[i];
    su += w[i] * u[i];
    sy += w[i] * y[i];
    suu += w[i] * u[i] * u[i];
    suy += w[i] * u[i] * y[i];
  }
  const det = sw * suu - su * su;
  let scale = det > 0 ? (sw * suy - su * sy) / det : 0;
  let floor = (sy - scale * su) / sw;
  if (floor < 0) [floor, scale] = [0, suy / suu];
  if (scale < 0) [floor, scale] = [sy / sw, 0];
  return { floor, scale };
}

/** The best E and A for an exponent, and how far off they are. @param {Point[]} points @param {number} exponent */
function atExponent(points, exponent) {
  const top = Math.max(...points.map((p) => p.n));
  const u = points.map((p) => (p.n / top) ** -exponent);
  const y = points.map((p) => p.loss);
  let w = y.map((loss) => 1 / (loss * loss));
  let { floor, scale } = project(u, y, w);
  for (let round = 0; round < 40; round++) {
    w = y.map((loss, i) => {
      const off = Math.abs(Math.log(Math.max(1e-12, floor + scale * u[i])) - Math.log(loss));
      return Math.min(1, HUBER / Math.max(off, 1e-12)) / (loss * loss);
    });
    const next = project(u, y, w);
    const still = Math.abs(next.floor - floor) + Math.abs(next.scale - scale) < 1e-13;
    ({ floor, scale } = next);
    if (still) break;
  }
  let cost = 0;
  for (let i = 0; i < u.length; i++) {
    const off = Math.abs(Math.log(Math.max(1e-12, floor + scale * u[i])) - Math.log(y[i]));
    cost += off <= HUBER ? (off * off) / 2 : HUBER * (off - HUBER / 2);
  }
  return { floor, scale: scale * top ** exponent, exponent, cost };
}

/** @param {Point[]} points @returns {Fit | null} null: too few sizes */
export function fitScaling(points) {
  const sizes = new Set(points.map((p) => p.n)).size;
  if (sizes < SIZES_MIN || points.some((p) => !(p.n > 0) || !(p.loss > 0))) return null;
  let best = atExponent(points, 0.02);
  for (let exponent = 0.02; exponent <= 2; exponent += 0.02) {
    const tried = atExponent(points, exponent);
    if (tried.cost < best.cost) best = tried;
  }
  let [low, high] = [Math.max(1e-3, best.exponent - 0.02), best.exponent + 0.02];
  for (let i = 0; i < 60; i++) {
    const a = low + (high - low) * 0.382;
    const b = low + (high - low) * 0.618;
    if (atExponent(points, a).cost < atExponent(points, b).cost) high = b;
    else low = a;
  }
  const { floor, scale, exponent } = atExponent(points, (low + high) / 2);
  return { floor, scale, exponent, sizes };
}

/** @param {Fit} fit @param {number} n */
export const fitAt = (fit, n) => fit.floor + fit.scale * n ** -fit.exponent;

/**
 * How many times the float model's parameters a low-bit model needs for the same loss at n; NaN when
 * it never reaches it. "Ternary at N is worth fp16 at N / ratio."
 * @param {Fit} low @param {Fit} high @param {number} n of the float model
 */
export function sizeRatio(low, high, n) {
  const rest = fitAt(high, n) - low.floor;
  return rest > 0 && low.scale > 0 ? (low.scale / rest) ** (1 / low.exponent) / n : NaN;
}

/**
 * Where two fits meet beyond what was measured, at most `limit`; NaN: not there.
 * @param {Fit} a @param {Fit} b @param {number} from @param {number} limit
 */
export function crossing(a, b, from, limit) {
  const gap = (/** @type {number} */ n) => fitAt(a, n) - fitAt(b, n);
  if (!(gap(from) * gap(limit) < 0)) return NaN;
  let [low, high] = [Math.log(from), Math.log(limit)];
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (gap(Math.exp(middle)) * gap(Math.exp(low)) > 0) low = middle;
    else high = middle;
  }
  return Math.exp(low);
}

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
