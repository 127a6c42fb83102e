// @ts-check
// Which columns the runs table shows, and their heads.

import { button, h } from "../dom.js";
import * as format from "../format.js";

/** @typedef {import("../app.js").App} App */

const FIELDS = ["name", "sweep", "state", "reason", "variant", "attempt", "duration_s", "created_s", "started_s", "ended_s", "host", "device", "key"];
/** The column that shows a small curve. */
export const SPARK = "curve";
const WORDS = new Map([["duration_s", "duration"], ["created_s", "created"], ["started_s", "started"], ["ended_s", "ended"]]);

/** What tells the runs of this home apart, and how they did. @param {import("../model.js").Model} model */
export function defaultColumns(model) {
  const varied = [...new Set(model.sweeps.flatMap((sweep) => sweep.varied))].filter((name) => name !== "quant.variant" && model.knobs.get(name)?.at);
  const metrics = [...new Set(model.sweeps.map((sweep) => sweep.metric))].filter((name) => model.metrics.has(name));
  const seeds = model.knobs.get("train.seed")?.at ? ["train.seed"] : [];
  return ["name", SPARK, ...(model.sweeps.length > 1 ? ["sweep"] : []), "state", "variant", ...varied.slice(0, 5), ...seeds.filter((name) => !varied.includes(name)),
    ...metrics.slice(0, 3).map((name) => "best:" + name), ...["tokens_per_s", "mem/engine_bytes"].filter((name) => model.metrics.has(name)),
    "duration_s", ...(model.runs.some((run) => run.reason) ? ["reason"] : []), "created_s"];
}

/** @param {import("../model.js").Model} model @param {string} name */
export function columnName(model, name) {
  if (WORDS.has(name)) return /** @type {string} */ (WORDS.get(name));
  if (name.startsWith("best:")) return "best " + name.slice(5);
  return name;
}

/** @param {import("../model.js").Model} model @param {string} name */
export function numericColumn(model, name) {
  const knob = model.knobs.get(name);
  if (knob) return knob.values.every((value) => typeof value === "number");
  return model.metrics.has(name.replace(/^best:/, "")) || /_s$/.test(name) || name === "attempt";
}

/** @param {App} app @param {string} name @param {string} sort */
export function columnHead(app, name, sort) {
  const own = sort.replace(/^-/, "") === name;
  const down = own && sort.startsWith("-");
  const knob = app.model.knobs.get(name);
  const plain = name.replace(/^best:/, "");
  const unit = knob ? knob.unit : app.model.metrics.has(plain) ? format.unitOf(plain) : "";
  if (name === SPARK) return h("th", { scope: "col" }, h("span.head-button", {}, "curve"));
  return h(numericColumn(app.model, name) ? "th.number" : "th", { scope: "col", "aria-sort": own ? (down ? "descending" : "ascending") : undefined, title: knob?.help || undefined },
    button(columnName(app.model, name), () => app.set({ sort: own && !down ? "-" + name : name }), { class: "head-button" },
      columnName(app.model, name), unit && unit !== "bytes" ? h("span.soft", {}, ` ${unit}`) : null, h("span.sort-mark", { "aria-hidden": "true" }, own ? (down ? "\u25be" : "\u25b4") : "")));
}

/** @param {App} app @param {string[]} shown */
export function columnsMenu(app, shown) {
  const { model } = app;
  const all = [FIELDS[0], SPARK, ...FIELDS.slice(1), ...[...model.knobs.keys()], ...[...model.metrics.keys()].flatMap((name) => ["best:" + name, name])];
  const fill = () => {
    const find = h("input.filter", { type: "search", placeholder: "find a column", "aria-label": "Find a column", oninput: () => {
      for (const item of items) item.hidden = !item.dataset.name.includes(find.value.toLowerCase());
    } });
    const items = all.map((name) => h("label.column-item", { "data-name": name.toLowerCase() },
      h("input", { type: "checkbox", checked: shown.includes(name), onchange: (/** @type {Event} */ event) => {
        const on = /** @type {HTMLInputElement} */ (event.target).checked;
        app.set({ cols: (on ? [...shown, name] : shown.filter((other) => other !== name)).join(",") });
      } }), columnName(model, name)));
    body.replaceChildren(find, h("div.column-list", {}, items), button("as at first", () => app.set({ cols: "" })));
  };
  const body = h("div.menu-body.columns-body", {});
  return h("details.menu", { ontoggle: (/** @type {Event} */ event) => { if (/** @type {HTMLDetailsElement} */ (event.target).open) fill(); } },
    h("summary.button", {}, "columns"), body);
}
