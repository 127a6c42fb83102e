// @ts-check
// Axes: from numbers to places on the screen and back, and where the ticks go. Pure.

/** @typedef {{(value: number): number, invert: (place: number) => number, domain: [number, number], log: boolean}} Scale */

/**
 * @param {[number, number]} domain @param {[number, number]} range @param {boolean} [log]
 * @returns {Scale}
 */
export function makeScale(domain, range, log = false) {
  const of = log ? Math.log10 : (/** @type {number} */ v) => v;
  const low = of(domain[0]);
  const span = of(domain[1]) - low || 1;
  const size = range[1] - range[0];
  const scale = (/** @type {number} */ value) => range[0] + ((of(value) - low) / span) * size;
  const invert = (/** @type {number} */ place) => {
    const value = low + ((place - range[0]) / size) * span;
    return log ? 10 ** value : value;
  };
  return Object.assign(scale, { invert, domain, log });
}

/** Room around the data, so that no point lies on the frame. @param {number} low @param {number} high @param {boolean} log @param {number} [share] @returns {[number, number]} */
export function padded(low, high, log, share = 0.05) {
  if (!(low <= high)) return log ? [0.1, 10] : [0, 1];
  if (log) {
    if (low === high) return [low / 2, high * 2];
    const room = (high / low) ** share;
    return [low / room, high * room];
  }
  if (low === high) {
    const room = Math.abs(low) * 0.05 || 0.5;
    return [low - room, high + room];
  }
  const room = (high - low) * share;
  return [low - room, high + room];
}

/** The round step nearest to rough: 1, 2 or 5 times a power of ten. @param {number} rough */
function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const part = rough / power;
  return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

/** @param {number} low @param {number} high @param {number} count about so many @returns {number[]} */
export function linearTicks(low, high, count) {
  if (!(high > low)) return [low];
  const step = roundStep((high - low) / Math.max(1, count));
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return ticks;
}

/** @param {number} low @param {number} high @param {number} count @returns {number[]} */
export function logTicks(low, high, count) {
  const from = Math.floor(Math.log10(low));
  const to = Math.ceil(Math.log10(high));
  const decades = Math.log10(high / low);
  const every = Math.max(1, Math.ceil(decades / Math.max(1, count)));
  const inside = (/** @type {number[]} */ parts) => {
    const ticks = [];
    for (let power = from; power <= to; power++) {
      if (((power % every) + every) % every) continue;
      for (const part of parts) {
        const tick = Number((part * 10 ** power).toPrecision(12));
        if (tick >= low * 0.999999 && tick <= high * 1.000001) ticks.push(tick);
      }
    }
    return ticks;
  };
  let ticks = inside([1]);
  // Eight and nine of a decade stand too close for words unless the axis is shorter than one.
  for (const parts of every > 1 ? [] : [[1, 3], [1, 2, 5], [1, 2, 3, 5], ...(decades < 0.8 ? [[1, 2, 3, 4, 5, 6, 7, 8, 9]] : [])]) {
    const more = inside(parts);
    if (more.length > ticks.length && more.length <= count) ticks = more;
  }
  return ticks.length >= 2 ? ticks : linearTicks(low, high, count);
}

/** Multiples of a step. @param {number} low @param {number} high @param {number} step */
const halves = (low, high, step) => Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - Math.ceil(low / step - 1e-9) + 1) },
  (_, i) => (Math.ceil(low / step - 1e-9) + i) * step);

/** Ticks that are round in KiB, MiB, GiB. @param {number} low @param {number} high @param {number} count @param {boolean} log */
export function byteTicks(low, high, count, log) {
  if (!log || high / low < 10) {
    const unit = 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(Math.abs(low), Math.abs(high), 1)) / 10));
    const rough = (high - low) / unit / Math.max(1, count);
    if (unit > 1 && rough > 0 && rough < 0.75) return halves(low, high, unit * 2 ** Math.round(Math.log2(rough)));
    return linearTicks(low / unit, high / unit, count).map((tick) => tick * unit);
  }
  const all = [];
  for (let unit = 1; unit < high; unit *= 1024) for (const part of [1, 2, 5, 10, 20, 50, 100, 200, 500]) all.push(part * unit);
  const inside = all.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  const every = Math.ceil(inside.length / Math.max(2, count));
  return inside.filter((_, i) => i % every === 0);
}

/**
 * Where the ticks of an axis go; what is counted in seconds or bytes has its own round numbers.
 * @param {{domain: [number, number], log?: boolean, unit?: string, whole?: boolean}} axis @param {number} count
 */
export function ticksOf({ domain: [low, high], log = false, unit, whole = false }, count) {
  if (whole && !log) return linearTicks(low, high, count).filter((tick) => Number.isInteger(tick));
  if (unit === "bytes") return byteTicks(low, high, count, log);
  if (log) return logTicks(low, high, count);
  return unit === "s" ? timeTicks(low, high, count) : linearTicks(low, high, count);
}

/** Seconds on an axis: steps of 1, 2, 5, 10, 15, 30 of a unit that people count in. @param {number} low @param {number} high @param {number} count */
export function timeTicks(low, high, count) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  const rough = (high - low) / Math.max(1, count);
  if (rough < 1) return linearTicks(low, high, count);
  const step = steps.find((s) => s >= rough) ?? Math.ceil(rough / 86400) * 86400;
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
  return ticks;
}

/**
 * Ticks of an axis with room for about `count` labels: three at least where there are round numbers,
 * for fewer say neither where the chart begins nor how it goes on.
 * @param {{domain: [number, number], log?: boolean, unit?: string, whole?: boolean}} axis @param {number} count
 */
export function telling(axis, count) {
  let ticks = ticksOf(axis, count);
  for (let more = count + 1; ticks.length < 3 && more <= count + 4; more++) ticks = ticksOf(axis, more);
  return ticks;
}
