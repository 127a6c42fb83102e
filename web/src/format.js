// @ts-check
// Numbers as people read them. Pure. Every text that stands for a number on the page is made here;
// tooltips and exports use `exact`.

const MINUS = "\u2212";
const NARROW = "\u202f";

/** A number that is missing or was never measured. */
export const NOTHING = "\u2013";

/** @param {string} text */
const withMinus = (text) => text.replace(/^-/, MINUS).replace(/e-/, "e" + MINUS).replace("e+", "e");

/** Thin spaces between groups of three digits. @param {string} digits */
const grouped = (digits) => digits.replace(/\B(?=(\d{3})+(?!\d))/g, NARROW);

/** Not finite, or missing, in words; null for an ordinary number. @param {unknown} value */
function odd(value) {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "\u221e" : MINUS + "\u221e";
  return null;
}

/**
 * To so many significant digits, never in a longer form than needed.
 * @param {unknown} value @param {number} [digits]
 */
export function number(value, digits = 4) {
  const special = odd(value);
  if (special !== null) return special;
  const n = /** @type {number} */ (value);
  if (n === 0) return "0";
  const size = Math.abs(n);
  if (Number.isInteger(n) && size < 1e6) return withMinus(grouped(String(n)));
  if (size >= 1e15 || size < 1e-4) return withMinus(n.toExponential(digits - 1).replace(/\.?0+e/, "e"));
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  const [whole, fraction] = size.toFixed(Math.min(decimals, 12)).split(".");
  return (n < 0 ? MINUS : "") + grouped(whole) + (fraction ? "." + fraction : "");
}

/** So many decimals, always: for columns that must line up. @param {unknown} value @param {number} decimals */
export function fixed(value, decimals) {
  const special = odd(value);
  return special !== null ? special : withMinus(/** @type {number} */ (value).toFixed(decimals));
}

/** What a side was best at, "optim.lr=0.00749384 optim.warmup_steps=26", with the digits that matter. @param {string} text */
export const setting = (text) => text.split(" ").filter(Boolean).map((part) => {
  const [name, value] = part.split(/=(.*)/s);
  const number = Number(value);
  return `${name.replace(/^optim\./, "")} ${value && Number.isFinite(number) ? knob(name, number, 3) : value ?? ""}`.trim();
}).join(", ");

/** "a", "a and b", "a, b and c". @param {string[]} words */
export const listed = (words) => words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;

/** With its sign, for differences. @param {unknown} value @param {number} decimals */
export function signed(value, decimals) {
  const text = fixed(value, decimals);
  return typeof value === "number" && value > 0 && Number.isFinite(value) ? "+" + text : text;
}

/** All digits that the number has. @param {unknown} value */
export function exact(value) {
  const special = odd(value);
  return special !== null ? special : withMinus(String(value));
}

/** A learning rate: 3e-4 rather than 0.0003. @param {unknown} value */
export function rate(value) {
  const special = odd(value);
  if (special !== null) return special;
  const n = /** @type {number} */ (value);
  if (n !== 0 && Math.abs(n) < 0.1) {
    return withMinus(Number(n.toPrecision(3)).toExponential());
  }
  return withMinus(String(Number(n.toPrecision(3))));
}

const PREFIXES = ["f", "p", "n", "\u00b5", "m", "", "k", "M", "G", "T", "P"];

/** 1 066 240 -> 1.07 M. @param {unknown} value @param {number} [digits] */
export function short(value, digits = 3) {
  const special = odd(value);
  if (special !== null) return special;
  let n = /** @type {number} */ (value);
  if (Math.abs(n) < 1000) return number(n, digits);
  let step = 0;
  while (Math.abs(n) >= 999.5 && step < 5) {
    n /= 1000;
    step++;
  }
  const whole = Math.abs(n) >= 100 ? 3 : Math.abs(n) >= 10 ? 2 : 1;
  return withMinus(Number(n.toPrecision(Math.max(digits, whole))).toFixed(Math.max(0, digits - whole))) + NARROW + PREFIXES[step + 5];
}

/** The power of a thousand that a value is best said in. @param {number} size positive */
const thousands = (size) => Math.min(5, Math.max(-5, Math.floor(Math.log10(size * 1.0005) / 3)));

/** 2.08e-8, "J" -> 20.8 nJ. @param {unknown} value @param {string} unit @param {number} [digits] */
export function si(value, unit, digits = 3) {
  const special = odd(value);
  if (special !== null) return special;
  const n = /** @type {number} */ (value);
  if (n === 0) return "0" + NARROW + unit;
  const step = thousands(Math.abs(n));
  return number(Number((n / 1000 ** step).toPrecision(Math.max(digits, 3))), digits) + NARROW + PREFIXES[step + 5] + unit;
}

/** Units that take the prefixes of the SI. @param {string} unit */
const prefixed = (unit) => /^J|^FLOP|^W$/.test(unit);

/** A value with its unit. @param {unknown} value @param {string} unit @param {number} [digits] */
export function quantity(value, unit, digits = 4) {
  if (unit === "bytes") return bytes(value);
  if (unit === "s") return duration(value);
  if (prefixed(unit)) return si(value, unit, digits);
  const text = number(value, digits);
  return unit && typeof value === "number" && Number.isFinite(value) ? text + NARROW + unit : text;
}

/**
 * How the ticks of an axis are said: all with the same decimals and the same thousands.
 * @param {number[]} ticks @param {boolean} [log] @param {string} [unit] what they are counted in
 * @returns {(value: number) => string}
 */
export function ticks(ticks, log = false, unit = "") {
  const zero = (/** @type {(v: number) => string} */ say) => (/** @type {number} */ v) => (v === 0 ? "0" : say(v));
  if (unit === "bytes") return zero(bytes);
  if (unit === "s") return zero(duration);
  const largest = Math.max(...ticks.map(Math.abs), 0);
  if (log && prefixed(unit)) return zero((v) => si(v, unit));
  const least = Math.min(...ticks.map(Math.abs));
  if (log && !(least > 0 && largest < least * 10 && ticks.length > 1 && largest < 1e3)) return (v) => (Math.abs(v) >= 1000 ? short(v, 2).replace(/\.0/, "") : v !== 0 && Math.abs(v) < 1e-3 ? rate(v) : withMinus(String(Number(v.toPrecision(3)))));
  if (largest === 0) return () => "0";
  const step = prefixed(unit) ? thousands(largest) : largest >= 1e4 ? Math.min(5, Math.floor(Math.log10(largest) / 3)) : 0;
  const gap = ticks.length > 1 ? Math.min(...ticks.slice(1).map((v, i) => Math.abs(v - ticks[i]))) / 1000 ** step : 1;
  if (largest / 1000 ** step < 1e-3 || largest >= 1e18) return zero((v) => rate(v));
  const decimals = Math.max(0, Math.min(9, -Math.floor(Math.log10(gap) + 1e-9)));
  const word = prefixed(unit) ? PREFIXES[step + 5] + unit.replace(/\/.*/, "") : PREFIXES[step + 5];
  return zero((v) => withMinus((v / 1000 ** step).toFixed(decimals)) + (word ? NARROW + word : ""));
}

const BYTE_STEPS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** @param {unknown} value */
export function bytes(value) {
  const special = odd(value);
  if (special !== null) return special;
  let n = /** @type {number} */ (value);
  let step = 0;
  while (Math.abs(n) >= 1023.5 && step < BYTE_STEPS.length - 1) {
    n /= 1024;
    step++;
  }
  return (step === 0 ? number(Math.round(n)) : number(n, 3)) + NARROW + BYTE_STEPS[step];
}

/** 4 130 s -> 1 h 8 min. @param {unknown} value */
export function duration(value) {
  const special = odd(value);
  if (special !== null) return special === "NaN" ? NOTHING : special;
  const s = /** @type {number} */ (value);
  if (s < 1) return si(s, "s", 2);
  if (s < 60) return number(s, s < 10 ? 2 : 3) + NARROW + "s";
  const two = (/** @type {number} */ a, /** @type {string} */ big, /** @type {number} */ b, /** @type {string} */ small) =>
    a + NARROW + big + (b ? " " + b + NARROW + small : "");
  if (s < 3600) return two(Math.floor(s / 60), "min", Math.floor(s % 60), "s");
  if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}

/** 2026-11-22 18:17, in the reader's time zone. @param {unknown} value seconds since 1970 */
export function moment(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return NOTHING;
  const date = new Date(value * 1000);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** 1.18x. @param {unknown} value */
export function times(value) {
  const special = odd(value);
  if (special !== null) return special;
  const n = /** @type {number} */ (value);
  return number(n, n >= 100 ? 3 : n >= 10 ? 3 : n >= 1 ? 3 : 2) + "\u00d7";
}

/** What metrics are counted in, by their names; the first that fits. @type {[RegExp, string][]} */
const UNITS = [[/(^|[/_])bpb$/, "bits/byte"], [/(^|[/_])(loss|entropy_floor|entropy)$/, "nats"], [/_bytes$/, "bytes"],
  [/tokens_per_s$/, "tokens/s"], [/j_per_token$/, "J/token"], [/_per_s$/, "1/s"], [/_ms$/, "ms"], [/flops$/, "FLOP/s"], [/percent$/, "%"],
  [/_s$/, "s"], [/_j$/, "J"], [/_w$/, "W"], [/(^|\/)tokens$/, "tokens"]];

/** @param {string} name of a metric @returns {string} "" when it has no unit */
export const unitOf = (name) => UNITS.find(([fits]) => fits.test(name))?.[1] ?? "";

/** The unit that must stand beside a metric's value: those that `metric` says are left out. @param {string} name */
export function unitBeside(name) {
  const unit = unitOf(name);
  return unit === "bytes" || unit === "s" || unit === "tokens" || prefixed(unit) ? "" : unit;
}

/** A metric's name on an axis, with its unit. @param {string} name */
export function axisName(name) {
  const unit = unitOf(name);
  const said = unit === "" || unit === "bytes" || unit === "s" || name.endsWith(unit);
  return said ? name : `${name} [${unit}]`;
}

/** A metric's value by what its name says of its unit. @param {string} name @param {unknown} value */
export function metric(name, value) {
  if (typeof value !== "number") return odd(value) || NOTHING;
  const unit = unitOf(name);
  if (unit === "bytes" || unit === "s" || prefixed(unit)) return quantity(value, unit, 3);
  if (/(^|\/)(tokens|params|ternary_params)$/.test(name) || unit === "tokens/s") return short(value);
  if (/(^|[/_.])lr$/.test(name)) return rate(value);
  if (/loss$|bpb$/.test(name)) return fixed(value, 4);
  return number(value, 4);
}

/** A knob's value. @param {string} name @param {unknown} value @param {number} [digits] */
export function knob(name, value, digits = 6) {
  if (typeof value === "number") return /(^|[._])lr\d?$|eps$/.test(name) ? rate(value)
    : Number.isInteger(value) ? number(value) : Math.abs(value) < 1e-3 ? rate(value) : withMinus(String(Number(value.toPrecision(digits))));
  if (typeof value === "boolean") return value ? "yes" : "no";
  return value === null || value === undefined ? NOTHING : String(value);
}
