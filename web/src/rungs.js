// @ts-check
// Sweeps that end runs early: where the rungs are, who came to each, who went on, who was cut there.
// Pure. The rungs are those of runner/search/pruner.h: asha counts steps, hyperband counts reports.

/** @typedef {{type: string, min: number, max: number, s: number, eta: number}} Early */
/** @typedef {{key: string, cut: boolean, reason: string, ended: boolean, x: ArrayLike<number>, y: ArrayLike<number>}} Climber  x: steps of its reports */
/** @typedef {{key: string, step: number, value: number, fate: "on" | "cut" | "here"}} Arrival  here: it is, or ended, between this rung and the next */
/** @typedef {{at: number, arrivals: Arrival[]}} Rung */

const RUNGS_MAX = 24;

/** What a sweep file says in [early_terminate]; null: nothing. @param {string} spec @returns {Early | null} */
export function earlyOf(spec) {
  /** @type {Map<string, string>} */
  const told = new Map();
  let inside = false;
  for (const line of spec.split("\n").map((text) => text.replace(/(^|\s)#.*$/, "").trim())) {
    const head = /^\[\s*"?([\w.]+)"?\s*\]$/.exec(line);
    if (head) inside = head[1] === "early_terminate";
    const inline = /^early_terminate\s*=\s*\{(.*)\}$/.exec(line);
    for (const part of inline ? inline[1].split(",") : inside ? [line] : line.startsWith("early_terminate.") ? [line.slice(16)] : []) {
      const pair = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(part);
      if (pair) told.set(pair[1], pair[2].replace(/^["']|["']$/g, ""));
    }
  }
  const type = told.get("type");
  const number = (/** @type {string} */ name, /** @type {number} */ otherwise) => {
    const value = Number((told.get(name) ?? "").replace(/_/g, "") || NaN);
    return Number.isFinite(value) ? value : otherwise;
  };
  return type ? { type, min: number("min_iter", 0), max: number("max_iter", 0), s: number("s", 0), eta: number("eta", 3) } : null;
}

/** Where the rungs are, as far as anybody came. @param {Early} early @param {number} last @returns {number[]} */
export function rungsOf(early, last) {
  const rungs = [];
  if (early.type === "hyperband" && early.max > 0 && early.s > 0) {
    for (let i = 0, at = early.max / early.eta; i < early.s && at >= 1; i++, at /= early.eta) rungs.unshift(Math.floor(at));
  } else if (["asha", "hyperband"].includes(early.type) && early.min > 0 && early.eta > 1) {
    const end = early.type === "asha" && early.max > 0 ? early.max : Infinity;
    for (let at = early.min; at < end && at <= last; at *= early.eta) rungs.push(early.type === "asha" ? at : Math.floor(at));
  }
  return rungs.filter((at) => at <= last).slice(0, RUNGS_MAX);
}

/** A run's report that a rung judges; -1: it did not come so far. @param {Early} early @param {Climber} run @param {number} rung */
function reportAt(early, run, rung) {
  let seen = 0;
  for (let i = 0; i < run.x.length; i++) {
    if (early.type === "asha" ? run.x[i] >= rung : Number.isFinite(run.y[i]) && ++seen === rung) return i;
  }
  return -1;
}

/** Whether its own reason says that it was cut at this report. @param {Early} early @param {Climber} run @param {number} rung @param {number} step */
function saidCut(early, run, rung, step) {
  const told = early.type === "asha" ? /at step (\d+)/.exec(run.reason) : /band of (\d+) reports/.exec(run.reason);
  return told ? Number(told[1]) === (early.type === "asha" ? step : rung) : null;
}

/** @param {Early} early @param {Climber[]} runs @returns {Rung[]} */
export function climb(early, runs) {
  const last = Math.max(0, ...runs.map((run) => (early.type === "asha" ? run.x[run.x.length - 1] ?? 0 : run.x.length)));
  const rungs = rungsOf(early, last).map((at) => ({ at, arrivals: /** @type {Arrival[]} */ ([]) }));
  for (const run of runs) {
    const reports = rungs.map((rung) => reportAt(early, run, rung.at));
    const reached = reports.filter((i) => i >= 0).length;
    const said = run.cut ? reports.findIndex((i, k) => i >= 0 && saidCut(early, run, rungs[k].at, run.x[i])) : -1;
    const cut = run.cut ? (said >= 0 ? said : reached - 1) : Infinity;
    for (let k = 0; k < reached && k <= cut; k++) {
      const i = reports[k];
      rungs[k].arrivals.push({ key: run.key, step: run.x[i], value: run.y[i], fate: k === cut ? "cut" : k + 1 < reached || run.ended ? "on" : "here" });
    }
  }
  return rungs.filter((rung) => rung.arrivals.length);
}

/** @param {Rung} rung @param {Arrival["fate"]} fate */
export const count = (rung, fate) => rung.arrivals.filter((arrival) => arrival.fate === fate).length;
