// @ts-check
// All runs in a table: filtered by an expression, sorted, grouped, chosen for the overlay above it.

import { button, h, replace, select } from "../dom.js";
import * as format from "../format.js";
import { compile, FilterError } from "../filter.js";
import { arranged, summary } from "../groups.js";
import { list } from "../hash.js";
import { inOrder, lookOf, nthLook } from "../colors.js";
import { axesFor } from "../axes.js";
import { loadCurves } from "../data.js";
import { glance } from "../series.js";
import { linePath } from "../plot.js";
import { s } from "../dom.js";
import { variantKey } from "../figure.js";
import { LINES_MAX, overlay } from "../overlay.js";
import { curveControls, curveOptions } from "./controls.js";
import { lossMetrics, measuredBy } from "./twins.js";
import { VirtualTable } from "../table.js";
import { arrangedColumns, columnsMenu, columnHead, numericColumn, SPARK, stateMark } from "./columns.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../model.js").Run} Run */
/** @typedef {import("../groups.js").Row} Row */

const SEED = "train.seed";
/** Whatever the filter lets through. */
const ALL = "*";
/** With more runs than this colours stand for variants. */
const NAMED_MAX = 24;

/** What a run's cell says. @param {import("../model.js").Model} model @param {Run} run @param {string} name */
export function cellText(model, run, name) {
  const value = model.value(run, name);
  if (name === "duration_s") return format.duration(value);
  if (/^(created|started|ended)_s$/.test(name)) return format.moment(value);
  if (model.knobs.has(name)) return format.knob(name, value, 4);
  const plain = name.replace(/^best:/, "");
  return model.metrics.has(plain) ? format.metric(plain, value) : format.knob(name, value);
}

/** Groups: every knob that differs but the seed. @param {App} app @param {Run[]} runs */
function groupKnobs(app, runs) {
  const by = app.place.options.get("group") ?? "";
  if (by !== "seed") return by ? by.split(",") : [];
  return ["sweep", ...app.model.differing(runs).filter((name) => name !== SEED && app.model.knobs.get(name)?.identity)];
}

/** @param {App} app */
function filtered(app) {
  const text = app.place.options.get("q") ?? "";
  try {
    const test = compile(text, (name) => app.model.knows(name));
    return { runs: app.model.runs.filter((run) => test((name) => app.model.value(run, name))), problem: "" };
  } catch (problem) {
    if (!(problem instanceof FilterError)) throw problem;
    return { runs: app.model.runs, problem: problem.message };
  }
}

/** A small line of the sweep's metric, drawn when the row has been in view for a moment. @param {App} app @param {Run} run */
function spark(app, run) {
  const metric = app.model.sweeps[run.sweep].metric;
  const box = h("span.spark", { "aria-hidden": "true" });
  if (!run.records || !app.model.metrics.get(metric)?.measured[run.i]) return box;
  box.dataset.run = run.key;
  box.addEventListener("draw", () => {
    const { id } = app.model.metrics.get(metric) ?? { id: -1 };
    loadCurves(app.model.sweeps[run.sweep].id, id).then((all) => {
      const series = all.get(run.key)?.series;
      if (!series || !box.isConnected) return;
      const curve = { x: series.step, y: series.value };
      const keep = glance(curve, 48);
      const xs = keep.map((i) => curve.x[i]);
      const ys = keep.map((i) => curve.y[i]);
      const [low, high] = [Math.min(...ys), Math.max(...ys)];
      const path = linePath(xs, ys, (x) => 1 + (70 * (x - xs[0])) / (xs[xs.length - 1] - xs[0] || 1), (y) => 3 + (18 * (high - y)) / (high - low || 1));
      // A single measurement is no line, and is seen all the same.
      replace(box, s("svg", { width: 72, height: 24, viewBox: "0 0 72 24" }, keep.length === 1 ? s("circle", { cx: 36, cy: 12, r: 2, fill: `var(${lookOf(run.variant).color})` }) : s("path", { d: path, fill: "none",
        stroke: `var(${lookOf(run.variant).color})`, "stroke-width": 1.5 })));
    }, () => {});
  });
  return box;
}

/** Where the reader was in the table, which is made anew whenever anything is chosen. */
const memory = { key: "", top: 0 };

/** @param {App} app */
export function runsView(app) {
  const { model, place } = app;
  const { runs, problem } = filtered(app);
  const { columns, pins, pinned } = arrangedColumns(app, runs);
  const sortText = place.options.get("sort") ?? "-created_s";
  const sort = sortText.replace(/^-/, "");
  const by = groupKnobs(app, runs);
  const open = new Set(/** @type {string[]} */ ([]));
  const picked = list(place, "sel");
  const chosen = picked.includes(ALL) ? runs : picked.flatMap((key) => model.byKey.get(key) ?? []);
  const marked = new Set(chosen);
  const base = model.byKey.get(place.options.get("base") ?? "");
  const value = (/** @type {Run} */ run, /** @type {string} */ name) => model.value(run, name);
  const arrange = () => arranged(runs, { by, sort, descending: sortText.startsWith("-"), open }, value);

  const choose = (/** @type {Run[]} */ which, /** @type {boolean} */ on) => {
    const keys = new Set(chosen.map((run) => run.key));
    for (const run of which) on ? keys.add(run.key) : keys.delete(run.key);
    app.set({ sel: [...keys].join(",") });
  };
  const row = (/** @type {Row} */ item) => item.kind === "group" ? groupRow(item) : runRow(item.run, item.depth);
  const runRow = (/** @type {Run} */ run, /** @type {number} */ depth) => {
    const on = marked.has(run);
    return h("tr.run-row", { class: "run-row" + (on ? " chosen" : "") + (run === base ? " base" : ""), "data-run": run.key, "aria-selected": String(on) },
      h("td.check", {}, h("input", { type: "checkbox", checked: on, "aria-label": `Draw ${run.name}`, onchange: (/** @type {Event} */ e) => choose([run], /** @type {any} */ (e.target).checked) })),
      columns.map((name) => cell(run, name, depth)));
  };
  const cell = (/** @type {Run} */ run, /** @type {string} */ name, /** @type {number} */ depth) => {
    if (name === "name") {
      return h("td.name", pins.props("name"), depth ? h("span.indent") : null, h("a", { href: app.link("run", run.key), title: run.name }, run.name));
    }
    if (name === SPARK) return h("td.spark-cell", pins.props(SPARK), spark(app, run));
    if (name === "state") return h("td", pins.props(name), stateMark(run.state));
    const text = cellText(model, run, name) || format.NOTHING;
    const other = base && run !== base ? model.value(base, name) : undefined;
    const mine = model.value(run, name);
    const numeric = typeof mine === "number";
    const delta = base && run !== base && numeric && typeof other === "number" && !model.knobs.has(name) && model.metrics.has(name.replace(/^best:/, ""))
      ? h("span.soft", {}, " " + format.signed(mine - other, Math.abs(other) < 100 ? 3 : 0)) : null;
    const differs = base && run !== base && model.knobs.has(name) && String(mine) !== String(other);
    return h("td", { ...pins.props(name, (numericColumn(model, name) ? "number" : "") + (differs ? " differs" : "")), title: numeric ? format.exact(mine) : text }, text, delta);
  };
  const groupRow = (/** @type {any} */ group) => {
    const all = group.runs.every((/** @type {Run} */ run) => marked.has(run));
    return h("tr.group-row", { "data-group": group.key },
      h("td.check", {}, h("input", { type: "checkbox", checked: all, "aria-label": `Draw ${group.runs.length} runs`, onchange: (/** @type {Event} */ e) => choose(group.runs, /** @type {any} */ (e.target).checked) })),
      columns.map((name) => {
        if (name === "name") {
          return h("td.name", pins.props("name"), h("button.open", { type: "button", "aria-expanded": String(open.has(group.key)), onclick: () => {
            open.has(group.key) ? open.delete(group.key) : open.add(group.key);
            table.set(arrange());
          } }, `${group.runs.length} ${group.runs.length === 1 ? "run" : "runs"}`));
        }
        if (name === SPARK) return h("td.spark-cell", pins.props(SPARK));
        const told = summary(group.runs, name, value, !model.knobs.has(name));
        if (!("mean" in told)) return h("td", pins.props(name, numericColumn(model, name) ? "number" : ""), model.knobs.has(name) && told.same !== undefined ? format.knob(name, told.same) : name === "state" && /^[a-z]+$/.test(told.word ?? "") ? stateMark(told.word ?? "") : told.word);
        const plain = name.replace(/^best:/, "");
        const show = (/** @type {number} */ v) => model.metrics.has(plain) ? format.metric(plain, v) : /_s$/.test(name) && name !== "duration_s" ? format.moment(v) : name === "duration_s" ? format.duration(v) : format.knob(name, v);
        return h("td", pins.props(name, "number"), show(told.mean ?? NaN), Number.isFinite(told.half) && model.metrics.has(plain) ? h("span.soft", {}, " \u00b1 " + format.metric(plain, told.half)) : null);
      }));
  };

  const table = new VirtualTable({ row, keyOf: (item) => (item.kind === "group" ? item.key : item.run.key), memory, columns: columns.length + 1, label: "Runs",
    head: h("tr", {}, h("th.check", { scope: "col" }, h("input", { type: "checkbox", checked: runs.length > 0 && chosen.length >= runs.length, "aria-label": `Draw all ${runs.length} runs`,
      onchange: (/** @type {Event} */ e) => app.set({ sel: /** @type {any} */ (e.target).checked ? ALL : "" }) })), columns.map((name) => columnHead(app, name, sortText, pins))) });
  table.set(arrange());
  const box = h("input.filter", { type: "search", placeholder: "quant.variant = ternary and val/loss < 2", value: place.options.get("q") ?? "", id: "filter",
    "aria-label": "Filter runs", "aria-invalid": problem ? "true" : undefined, spellcheck: "false", autocomplete: "off",
    onchange: () => app.set({ q: box.value }) });
  return h("div.runs", {}, h("h1.hidden", {}, "Runs"),
    chosen.length ? [h("h2.hidden", {}, "Overlay"), overlayOf(app, chosen)] : null,
    h("div.bar", {}, box,
      select("Group", [["", "every run"], ["seed", "group all but the seed"], ...groupChoices(app)], place.options.get("group") ?? "", (v) => app.set({ group: v })),
      columnsMenu(app, columns, pinned),
      chosen.length ? button("clear overlay", () => app.set({ sel: "" })) : null,
      base ? button("no baseline", () => app.set({ base: "" })) : null,
      h("span.soft", { role: "status" }, problem ? h("span.problem", {}, problem) : `${format.number(runs.length)} of ${format.number(model.runs.length)} runs${by.length ? "; \u00b1 is the 95 % interval of a mean" : ""}`)),
    runs.length ? table.element : h("p.empty", {}, model.runs.length ? "No run fits the filter." : "This home holds no run yet."));
}

/** @param {App} app @returns {[string, string][]} */
const groupChoices = (app) => app.model.differing(app.model.runs).filter((name) => name !== SEED).slice(0, 24).map((name) => [name, "group by " + name]);

/** @param {App} app @param {Run[]} chosen */
function overlayOf(app, chosen) {
  const names = measuredBy(app.model, chosen);
  const metrics = lossMetrics(names, app.model.sweeps[chosen[0].sweep].metric);
  const others = names.filter((name) => !metrics.includes(name));
  const axes = axesFor(names);
  const options = curveOptions(app, [...metrics, ...others], axes);
  const bands = chosen.length > LINES_MAX;
  const line = (/** @type {Run} */ run, /** @type {number} */ i) => {
    const look = chosen.length <= 2 || chosen.length > NAMED_MAX ? lookOf(run.variant) : nthLook(i);
    return { key: run.key, label: bands ? run.variant || "runs" : run.name, color: look.color, dash: look.dash };
  };
  return h("div.charts.one", {}, overlay(app, { ...options, title: `${options.metric} of ${format.number(chosen.length)} ${chosen.length === 1 ? "run" : "runs"}`, wide: true, height: 340,
    note: bands ? `More than ${LINES_MAX} runs: the mean of each variant, and from its least to its largest, instead of every line. Filter or choose fewer to see them.` : undefined,
    keys: chosen.length > NAMED_MAX && !bands ? inOrder([...new Set(chosen.map((run) => run.variant).filter(Boolean))]).map((variant) => variantKey(variant)) : undefined,
    bands, lines: chosen.map(line), controls: curveControls(app, [...metrics, ...others], axes, options) }));
}
