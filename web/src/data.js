// @ts-check
// Reading the data files. A page opened from a folder may neither fetch nor import, so every file is
// a classic script that calls `bnexp.put(object)`; they are injected when needed, once.

import { integers, numbers } from "./series.js";

export const VERSION = 2;
const CACHE_MAX = 600;
const AT_ONCE = 12;

/**
 * @typedef {{name: string, count: number, seq: Float64Array, step: Float64Array, wall: Float64Array,
 *   value: Float64Array}} Series  one metric of one run, as far as a file has it
 * @typedef {{run: string, level: number, chunk: number, total: number, attempts: string[],
 *   notes: {at_s: number, text: string}[], tags: string[],
 *   logs: {name: string, bytes: number, tail: string}[], log: string, series: Map<string, Series>}} Part
 */

/** What the scripts hand over, until whoever asked takes it. @type {Map<string, any>} */
const delivered = new Map();
/** @type {Map<string, Promise<any>>} */
const asked = new Map();
/** @type {(() => void)[]} */
const waiting = [];
let running = 0;
/** What is asked for beside a file's name, so that what has grown is read again. @type {(name: string) => string} */
let ageOf = () => "";

/** @param {any} object */
function put(object) {
  if (!object || typeof object !== "object") return;
  delivered.set(nameOf(object), object);
}

/** The file that an object came in. @param {any} object */
function nameOf(object) {
  if (object.kind === "index") return "index";
  if (object.kind === "curves") return `curves-${object.sweep}-${object.metric}`;
  const plain = `run-${object.run}`;
  return object.attempts ? plain : `${plain}-${object.level}-${object.chunk}`;
}

/** Makes `bnexp.put` known to the data files. @param {any} place window */
export function listen(place) {
  place.bnexp = Object.freeze({ put });
}

/** Files whose age has changed are read again; "" is a file that never changes. @param {(name: string) => string} age */
export function ageBy(age) {
  ageOf = age;
}

/** @param {string} name @param {string} age @returns {Promise<any>} */
function inject(name, age) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `data/${encodeURIComponent(name)}.js` + (age ? `?${age}` : "");
    const leave = () => {
      script.remove();
      running--;
      waiting.shift()?.();
    };
    script.onload = () => {
      leave();
      const object = delivered.get(name);
      delivered.delete(name);
      if (!object) reject(new Error(`data/${name}.js does not hold what its name says`));
      else if (object.version !== VERSION) {
        reject(new Error(`data/${name}.js is of version ${object.version}, this page reads version ` +
          `${VERSION}: write the dashboard again`));
      } else resolve(object);
    };
    script.onerror = () => {
      leave();
      reject(new Error(`data/${name}.js cannot be read`));
    };
    const start = () => {
      running++;
      document.head.append(script);
    };
    if (running < AT_ONCE) start();
    else waiting.push(start);
  });
}

/** @param {string} name @param {(object: any) => any} decode */
function load(name, decode) {
  const age = ageOf(name);
  const id = `${name}?${age}`;
  const known = asked.get(id);
  if (known) {
    asked.delete(id); // to the end: the first of the map is the one unused for longest
    asked.set(id, known);
    return known;
  }
  const promise = inject(name, age).then(decode);
  promise.catch(() => asked.delete(id));
  asked.set(id, promise);
  if (asked.size > CACHE_MAX) asked.delete(asked.keys().next().value ?? "");
  return promise;
}

/** @param {any} object @returns {Part} */
function decodePart(object) {
  const seq = integers(object.records.seq);
  const step = integers(object.records.step);
  const wall = integers(object.records.wall_ms).map((ms) => ms / 1000);
  /** @type {Map<string, Series>} */
  const series = new Map();
  for (const told of object.series) {
    const value = numbers(told.v, told.float === true);
    const at = told.at ? integers(told.at) : null;
    const pick = (/** @type {Float64Array} */ all) => at ? Float64Array.from(at, (i) => all[i]) : all;
    series.set(told.name, { name: told.name, count: told.count, seq: pick(seq), step: pick(step),
      wall: pick(wall), value });
  }
  return { run: object.run, level: object.level, chunk: object.chunk, total: object.total,
    attempts: object.attempts ?? [], notes: object.notes ?? [], tags: object.tags ?? [], logs: object.logs ?? [],
    log: object.logs?.find((/** @type {any} */ log) => log.name === "stderr.log")?.tail ?? "", series };
}

/**
 * @typedef {{run: string, total: number, width: number, series: Series}} Curve  a run's metric, at most
 *   a bucket of `width` records a point pair; total: the run's records
 */

/** Steps of records: a column, or so many a record. @param {any} told @param {Float64Array} seq */
const stepsOf = (told, seq) => told.per === undefined ? integers(told) : seq.map((at) => told.from + told.per * at);

/** @param {any} object @returns {Map<string, Curve>} by run */
export function decodeCurves(object) {
  return new Map(object.curves.map((/** @type {any} */ told) => {
    const seq = integers(told.seq);
    const series = { name: object.name, count: told.count, seq, step: stepsOf(told.step, seq),
      wall: integers(told.wall_ms).map((ms) => ms / 1000), value: numbers(told.v, told.float === true) };
    return [told.run, { run: told.run, total: told.total, width: told.width, series }];
  }));
}

/** One metric of every run of a sweep, small enough to draw them all. @param {number} sweep @param {number} metric ids of the index */
export const loadCurves = (sweep, metric) => load(`curves-${sweep}-${metric}`, decodeCurves);

/** @returns {Promise<any>} the index as it was written */
export const loadIndex = () => load("index", (object) => object);

/** The run's overview: every metric on the coarsest level. @param {string} key @returns {Promise<Part>} */
export const loadRun = (key) => load(`run-${key}`, decodePart);

/** @param {string} key @param {number} level @param {number} chunk @returns {Promise<Part>} */
export const loadChunk = (key, level, chunk) => load(`run-${key}-${level}-${chunk}`, decodePart);

/**
 * The chunks of a level that hold the records first..last, joined.
 * @param {Part} top @param {number} level @param {number} first @param {number} last
 * @param {number} chunkBuckets @returns {Promise<Map<string, Series>>}
 */
export async function loadRange(top, level, first, last, chunkBuckets) {
  if (level >= top.level) return top.series;
  const span = chunkBuckets * 4 ** level;
  const from = Math.floor(Math.max(first, 0) / span);
  const to = Math.floor(Math.max(0, Math.min(last, top.total - 1)) / span);
  const parts = await Promise.all(Array.from({ length: to - from + 1 }, (_, i) => loadChunk(top.run, level, from + i)));
  if (parts.length === 1) return parts[0].series;
  /** @type {Map<string, Series[]>} */
  const pieces = new Map();
  for (const part of parts) {
    for (const [name, piece] of part.series) pieces.set(name, [...(pieces.get(name) ?? []), piece]);
  }
  return new Map([...pieces].map(([name, all]) => [name, joined(all)]));
}

/** @param {Series[]} pieces @returns {Series} */
function joined(pieces) {
  const length = pieces.reduce((sum, piece) => sum + piece.value.length, 0);
  const whole = { name: pieces[0].name, count: pieces[0].count, seq: new Float64Array(length),
    step: new Float64Array(length), wall: new Float64Array(length), value: new Float64Array(length) };
  let at = 0;
  for (const piece of pieces) {
    whole.seq.set(piece.seq, at);
    whole.step.set(piece.step, at);
    whole.wall.set(piece.wall, at);
    whole.value.set(piece.value, at);
    at += piece.value.length;
  }
  return whole;
}

/** Every record of a run. @param {string} key @param {number} chunkBuckets */
export async function loadAll(key, chunkBuckets) {
  const top = await loadRun(key);
  return loadRange(top, 0, 0, top.total - 1, chunkBuckets);
}
