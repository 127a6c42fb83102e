// @ts-check
// The runs table's filter: `quant.variant = ternary and (optim.lr > 1e-3 or not state = finished)`.
// Pure. A bare word finds runs by name, sweep, state, variant or reason.

/** @typedef {(name: string) => unknown} Lookup  value of a knob, metric or field of one run */
/** @typedef {{at: number, text: string, kind: "word" | "operator" | "quoted"}} Token */

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|(<=|>=|!=|!~|==|[=<>~()])|([^\s=<>!~()"]+))/y;
const OPERATORS = new Set(["=", "==", "!=", "<", "<=", ">", ">=", "~", "!~"]);

/** @param {string} text @returns {Token[]} */
function tokens(text) {
  /** @type {Token[]} */
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) {
      if (text.slice(at).trim() === "") break;
      throw new FilterError(at, "a closing \" is missing, or a sign is not known");
    }
    if (match[1] !== undefined) found.push({ at, kind: "quoted", text: match[1].slice(1, -1).replace(/\\(.)/g, "$1") });
    else if (match[2] !== undefined) found.push({ at, kind: "operator", text: match[2] });
    else found.push({ at, kind: "word", text: match[3] });
  }
  return found;
}

export class FilterError extends Error {
  /** @param {number} at position in the text @param {string} message */
  constructor(at, message) {
    super(message);
    this.at = at;
  }
}

/** Words that name values rather than things: numbers with units of a thousand. @param {string} text */
function asNumber(text) {
  const match = /^([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)([kMG]?)$/i.exec(text);
  if (!match) return NaN;
  const factor = { "": 1, k: 1e3, m: 1e6, g: 1e9 }[match[2].toLowerCase()] ?? 1;
  return Number(match[1]) * factor;
}

/** @param {unknown} value @param {string} operator @param {string} wanted */
function holds(value, operator, wanted) {
  if (value === undefined || value === null) return operator === "!=" || operator === "!~";
  const text = String(value).toLowerCase();
  const other = wanted.toLowerCase();
  const number = asNumber(wanted);
  const numeric = typeof value === "number" && !Number.isNaN(number);
  switch (operator) {
    case "=": case "==": return numeric ? value === number : text === other;
    case "!=": return numeric ? value !== number : text !== other;
    case "~": return text.includes(other);
    case "!~": return !text.includes(other);
    case "<": return numeric ? value < number : text < other;
    case "<=": return numeric ? value <= number : text <= other;
    case ">": return numeric ? value > number : text > other;
    case ">=": return numeric ? value >= number : text >= other;
  }
  return false;
}

const FREE = ["name", "sweep", "state", "variant", "reason", "key"];

class Parser {
  /** @param {Token[]} all @param {number} end @param {(name: string) => boolean} known */
  constructor(all, end, known) {
    this.all = all;
    this.end = end;
    this.known = known;
    this.next = 0;
  }

  peek() { return this.all[this.next]; }

  /** @param {string} word */
  takes(word) {
    const token = this.peek();
    if (!token || token.kind === "quoted" || token.text.toLowerCase() !== word) return false;
    this.next++;
    return true;
  }

  /** @returns {(lookup: Lookup) => boolean} */
  either() {
    let left = this.both();
    while (this.takes("or")) {
      const first = left;
      const second = this.both();
      left = (lookup) => first(lookup) || second(lookup);
    }
    return left;
  }

  /** @returns {(lookup: Lookup) => boolean} */
  both() {
    let left = this.one();
    for (;;) {
      const token = this.peek();
      const stops = !token || (token.kind === "operator" && token.text === ")") ||
        (token.kind === "word" && token.text.toLowerCase() === "or");
      if (stops) return left;
      this.takes("and");
      const first = left;
      const second = this.one();
      left = (lookup) => first(lookup) && second(lookup);
    }
  }

  /** @returns {(lookup: Lookup) => boolean} */
  one() {
    if (this.takes("not")) {
      const inner = this.one();
      return (lookup) => !inner(lookup);
    }
    if (this.takes("(")) {
      const inner = this.either();
      if (!this.takes(")")) throw new FilterError(this.peek()?.at ?? this.end, "a ) is missing");
      return inner;
    }
    return this.test();
  }

  /** @returns {(lookup: Lookup) => boolean} */
  test() {
    const token = this.peek();
    if (!token) throw new FilterError(this.end, "something is missing at the end");
    if (token.kind === "operator") throw new FilterError(token.at, `a name is missing before ${token.text}`);
    this.next++;
    const operator = this.peek();
    if (!operator || operator.kind !== "operator" || !OPERATORS.has(operator.text)) {
      const wanted = token.text.toLowerCase();
      return (lookup) => FREE.some((field) => String(lookup(field) ?? "").toLowerCase().includes(wanted));
    }
    this.next++;
    const value = this.peek();
    if (!value || value.kind === "operator") {
      throw new FilterError(value?.at ?? this.end, `a value is missing after ${operator.text}`);
    }
    this.next++;
    if (!this.known(token.text)) throw new FilterError(token.at, `no knob or metric is called "${token.text}"`);
    return (lookup) => holds(lookup(token.text), operator.text, value.text);
  }
}

/**
 * Compiles a filter; an empty one lets everything through.
 * @param {string} text @param {(name: string) => boolean} known whether a name exists
 * @returns {(lookup: Lookup) => boolean}
 */
export function compile(text, known) {
  const all = tokens(text);
  if (!all.length) return () => true;
  const parser = new Parser(all, text.length, known);
  const test = parser.either();
  const rest = parser.peek();
  if (rest) throw new FilterError(rest.at, `"${rest.text}" is not expected here`);
  return test;
}
