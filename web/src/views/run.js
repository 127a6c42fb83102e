// @ts-check
// One run: what became of it, what it measured beside its twin, how it was configured.

import { h, replace } from "../dom.js";
import * as format from "../format.js";
import { lookOf, nthLook } from "../colors.js";
import { axesFor } from "../axes.js";
import { loadRun } from "../data.js";
import { keyItem } from "../figure.js";
import { overlay } from "../overlay.js";
import { differences, twinOf } from "../twin.js";
import { heatFigure } from "./heat.js";
import { stateMark } from "./columns.js";
import { curveControls, curveOptions } from "./controls.js";
import { reasonOf } from "./rungs.js";
import { floorOf, lossMetrics } from "./twins.js";
import { variantName } from "./compare.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../model.js").Run} Run */

/** Metrics by what they tell; the first that fits takes a metric. @type {[string, RegExp][]} */
const CHAPTERS = [
  ["Quality", /loss|ppl|bpb/],
  ["Quantization", /^quant\//],
  ["Optimization", /^(lr|wd|grad_norm|clip|loss_scale|optim)|grad_norm/],
  ["Speed", /tokens_per_s|step_ms|mfu|_ms$/],
  ["Memory and energy", /^mem\/|energy/],
  ["Other", /./],
];

/** @param {string} label @param {any} value */
const fact = (label, value) => h("div.fact", {}, h("dt", {}, label), h("dd", {}, value));

/** @param {App} app @param {Run} run */
function head(app, run) {
  const sweep = app.model.sweeps[run.sweep];
  const place = sweep.runs.indexOf(run);
  const step = (/** @type {number} */ by, /** @type {string} */ words) => {
    const other = sweep.runs[place + by];
    return other ? h("a.button", { href: app.link("run", other.key), rel: by < 0 ? "prev" : "next" }, words) : null;
  };
  const score = app.model.score(run);
  return h("header.run-head", {},
    h("div.run-title", {}, h("h1", {}, run.name), stateMark(run.state),
      h("span.run-steps", {}, step(-1, "previous"), step(1, "next"))),
    run.reason ? h("p.reason", {}, reasonOf(run)) : null,
    h("dl.facts", {}, fact("id", run.key), fact("sweep", h("a", { href: app.link("sweep", sweep.name) }, sweep.name)),
      run.variant ? fact("variant", variantName(run.variant)) : null,
      Number.isFinite(score) ? fact("best " + sweep.metric, `${format.exact(Number(score.toPrecision(9)))} ${format.unitOf(sweep.metric)}`) : null,
      fact("started", format.moment(run.started_s)), fact("duration", format.duration(run.duration_s)),
      run.host ? fact("host", run.host) : null, run.device ? fact("device", run.device) : null,
      fact("attempts", String(run.attempt)), fact("records", format.number(run.records)),
      run.exit_code >= 0 ? fact("exit code", String(run.exit_code)) : null));
}

/** What the large curve shows, and what it could. @param {App} app @param {Run} run */
function mainMetric(app, run) {
  const own = [...app.model.metrics.values()].filter((metric) => metric.measured[run.i]).map((metric) => metric.name);
  const metrics = lossMetrics(own, app.model.sweeps[run.sweep].metric);
  const all = [...metrics, ...own.filter((name) => !metrics.includes(name))];
  const axes = axesFor(own);
  return { ...curveOptions(app, all, axes), all, axes };
}

/** @param {App} app @param {Run} run @param {Run | null} twin */
function mainCurve(app, run, twin) {
  const { model } = app;
  const { all, axes, ...options } = mainMetric(app, run);
  const floor = floorOf(model, [run], options.metric);
  return overlay(app, { ...options, title: options.metric + (twin ? ", beside its twin" : ""), wide: true, height: 340,
    rules: Number.isFinite(floor) ? [{ y: floor, label: "entropy of the text" }] : [],
    lines: linesOf(run, twin), controls: curveControls(app, all, axes, options) });
}

/** @param {Run} run @param {Run | null} twin */
function linesOf(run, twin) {
  const look = lookOf(run.variant);
  const other = twin ? lookOf(twin.variant) : look;
  return [{ key: run.key, label: run.name, color: look.color, dash: [], width: 2 },
    ...(twin ? [{ key: twin.key, label: twin.name + " (twin)", color: other.color === look.color ? nthLook(1).color : other.color, dash: [5, 3], width: 1.4 }] : [])];
}

/** Small charts of everything else, by what it tells. @param {App} app @param {Run} run @param {Run | null} twin */
function chapters(app, run, twin) {
  const { model } = app;
  const above = mainMetric(app, run).metric; // is drawn large already
  const left = new Set([...model.metrics.values()].filter((metric) => metric.measured[run.i] && metric.name !== above && !/\/hist_\d+$/.test(metric.name) &&
    metric.min[run.i] !== metric.max[run.i]).map((metric) => metric.name));
  return CHAPTERS.map(([title, fits]) => {
    const names = [...left].filter((name) => fits.test(name));
    for (const name of names) left.delete(name);
    if (!names.length) return null;
    const lines = linesOf(run, twin).map((line, i) => ({ ...line, label: i ? "its twin" : "this run" }))
      .filter((line, i) => !i || names.some((name) => model.metrics.get(name)?.measured[/** @type {Run} */ (twin).i]));
    return h("section.chapter", {}, h("div.chapter-head", {}, h("h2", {}, title), lines.length > 1 ? h("div.legend", {}, lines.map((line) => keyItem(line))) : null),
      h("div.charts.small", {}, names.map((name) => overlay(app, { title: name, metric: name, axis: "step", zoom: null, height: 200, bare: true, lines })),
        title === "Quantization" ? heatFigure(app, run) : null));
  });
}

/** What was measured once, or never changed. @param {App} app @param {Run} run @param {Run | null} twin */
function constants(app, run, twin) {
  const { model } = app;
  const still = [...model.metrics.values()].filter((metric) => metric.measured[run.i] && !/\/hist_\d+$/.test(metric.name) &&
    !(metric.min[run.i] !== metric.max[run.i]));
  if (!still.length) return null;
  const say = (/** @type {Run} */ of, /** @type {string} */ name) => {
    const value = model.last(of, name);
    return [format.metric(name, value), format.unitBeside(name) ? h("span.soft", {}, "\u202f" + format.unitBeside(name)) : null];
  };
  return h("section.chapter", {}, h("h2", {}, "Measured once"),
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Measured once" }, h("table.config", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "metric"), h("th", { scope: "col" }, "this run"), twin ? h("th", { scope: "col" }, "its twin") : null)),
      h("tbody", {}, still.map(({ name }) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, say(run, name)), twin ? h("td", {}, say(twin, name)) : null))))));
}

/** @param {App} app @param {Run} run @param {Run | null} twin */
function config(app, run, twin) {
  const { model } = app;
  const apart = twin ? differences(model, run, twin) : new Set();
  const rows = [...model.knobs.values()].filter((knob) => model.knob(run, knob.name) !== undefined)
    .sort((a, b) => Number(apart.has(b.name)) - Number(apart.has(a.name)));
  return h("section.chapter", {}, h("h2", {}, "Configuration"),
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Configuration" }, h("table.config", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "knob"), h("th", { scope: "col" }, "this run"), twin ? h("th", { scope: "col" }, "its twin") : null, h("th", { scope: "col" }, "what it is"))),
      h("tbody", {}, rows.map((knob) => h("tr", { class: apart.has(knob.name) ? "differs" : "" }, h("th", { scope: "row" }, knob.name),
        h("td", {}, format.knob(knob.name, model.knob(run, knob.name)), knob.unit ? h("span.soft", {}, " " + knob.unit) : null),
        twin ? h("td", {}, apart.has(knob.name) ? format.knob(knob.name, model.knob(twin, knob.name)) : h("span.soft", {}, "same")) : null,
        h("td.help", {}, knob.help)))))));
}

/** What people put on it. @param {Run} run */
function labels(run) {
  const body = h("div.labels", {});
  loadRun(run.key).then((part) => {
    if (part.tags.length) body.append(h("p.tags", {}, part.tags.map((tag) => h("span.state", {}, tag))));
    if (part.notes.length) {
      body.append(h("ul.notes", { tabindex: "0", "aria-label": "Notes" }, part.notes.map((note) => h("li", {}, h("span.soft", {}, format.moment(note.at_s) + " "), note.text))));
    }
  }, () => {});
  return body;
}

/** How a thing said of an attempt reads. @param {string} name @param {unknown} value */
function attemptFact(name, value) {
  if (name === "start" && typeof value === "string") return value.replace("T", " ").replace(/\.\d+Z?$/, "");
  if (typeof value === "number") return format.unitOf(name) || /params$/.test(name) ? format.metric(name, value) : format.exact(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** @param {string} line */
function attemptRow(line) {
  /** @type {any} */
  let told = null;
  try {
    told = JSON.parse(line);
  } catch {
    return h("li", {}, h("code", {}, line));
  }
  const { type, ...rest } = told;
  const facts = Object.entries(rest).filter(([, value]) => value !== "");
  return h("li", {}, h("b", {}, type === "begin" ? "began" : type === "end" ? "ended" : String(type)),
    h("dl.told", {}, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, attemptFact(name, value))))));
}

/** The end of what a run said. @param {{name: string, bytes: number, tail: string}} log */
const logTail = (log) => [h("h3", {}, log.name, h("span.soft", {}, ` ${format.bytes(log.bytes)}${log.bytes > log.tail.length + 64 ? ", its end" : ""}`)), h("pre.log", { tabindex: "0", "aria-label": log.name }, log.tail)];

const FILES = ["run.toml", "events.jsonl", "stdout.log", "stderr.log"];

/** @param {App} app @param {Run} run */
function folder(app, run) {
  const way = app.model.live ? `files/${run.key}/` : app.model.files && run.dir ? app.model.files + run.dir.split("/").map(encodeURIComponent).join("/") + "/" : "";
  const body = h("div", {}, h("p.waiting", {}, "Reading \u2026"));
  loadRun(run.key).then((part) => replace(body,
    part.attempts.length ? h("ol.attempts", {}, part.attempts.map(attemptRow)) : h("p.soft", {}, "Its events tell of no begin and no end."),
    part.logs.some((log) => log.tail) ? part.logs.filter((log) => log.tail).map(logTail) : h("p.soft", {}, "It said nothing on stdout or stderr.")),
  (problem) => replace(body, h("p", {}, String(problem.message ?? problem))));
  return h("section.chapter", {}, h("h2", {}, "Attempts and log"), body,
    way ? h("p", {}, FILES.map((name) => h("a.file", { href: way + name }, name))) : null);
}

/** @param {App} app */
export function runView(app) {
  const { model, place } = app;
  const run = model.byKey.get(place.subject);
  if (!run) return h("div.empty", {}, h("h1", {}, "No such run"), h("p", {}, `This page has no run with the id "${place.subject}".`));
  const twin = twinOf(model, run);
  return h("div.run", {}, head(app, run), labels(run), run.records ? [h("h2.hidden", {}, "Its curve"), h("div.charts.one", {}, mainCurve(app, run, twin))] : h("p.empty", {}, "It has measured nothing yet."),
    run.records ? chapters(app, run, twin) : null, run.records ? constants(app, run, twin) : null, config(app, run, twin), folder(app, run));
}
