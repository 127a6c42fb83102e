// @ts-check
// Which columns the runs table shows, and their heads.

import { button, h } from "../dom.js";
import * as format from "../format.js";
import { list } from "../hash.js";

/** @typedef {import("../app.js").App} App */

const FIELDS = ["name", "sweep", "state", "reason", "variant", "attempt", "duration_s", "created_s", "started_s", "ended_s", "host", "device", "key"];
/** The column that shows a small curve. */
export const SPARK = "curve";
const WORDS = new Map([["duration_s", "duration"], ["created_s", "created"], ["started_s", "started"], ["ended_s", "ended"]]);

/** @param {string} state */
export const stateMark = (state) => h(`span.state.state-${/^[a-z]+$/.test(state) ? state : "other"}`, {}, state);

/** How these runs did, and what tells them apart. @param {import("../model.js").Model} model @param {import("../model.js").Run[]} runs */
export function defaultColumns(model, runs) {
  const apart = (/** @type {string} */ name) => runs.some((run) => model.knob(run, name) !== model.knob(runs[0], name));
  const all = [...new Set(model.sweeps.flatMap((sweep) => sweep.varied))].filter((name) => name !== "quant.variant" && model.knobs.get(name)?.at);
  const varied = all.some(apart) ? all.filter(apart) : all;
  const metrics = [...new Set(model.sweeps.map((sweep) => sweep.metric))].filter((name) => model.metrics.has(name));
  const seeds = model.knobs.get("train.seed")?.at ? ["train.seed"] : [];
  return ["name", SPARK, ...metrics.slice(0, 3).map((name) => "best:" + name), ...(model.sweeps.length > 1 ? ["sweep"] : []), "state", "variant", ...varied.slice(0, 5),
    ...seeds.filter((name) => !varied.includes(name)), ...["tokens_per_s", "mem/engine_bytes"].filter((name) => model.metrics.has(name)),
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

/** Widths of pinned columns: what is beside them must know where they end. */
const CHECK_WIDTH = 36;
const widthOf = (/** @type {string} */ name) => (name === "name" ? 230 : name === SPARK ? 88 : 132);
/** Beyond this share of the screen a pinned column would leave no room for the others. */
const PINNED_SHARE = 0.6;

/** Columns that stay in view on the left. */
export class Pins {
  /** @param {string[]} names in order */
  constructor(names) {
    /** @type {Map<string, number>} */
    this.left = new Map();
    let at = CHECK_WIDTH;
    for (const name of names) {
      if (at + widthOf(name) > innerWidth * PINNED_SHARE) break;
      this.left.set(name, at);
      at += widthOf(name);
    }
  }

  /** What a cell needs to stay where it is. @param {string} name @param {string} [classes] */
  props(name, classes = "") {
    const left = this.left.get(name);
    const own = name === "name" ? "name " : name === SPARK ? "spark-cell " : "";
    if (left === undefined) return classes || own ? { class: own + classes } : {};
    const width = `${widthOf(name)}px`;
    return { class: `${own}pinned ${classes}`, style: { left: `${left}px`, "min-width": width, "max-width": width } };
  }
}

/** The columns of the address in their order, those that are pinned first. @param {App} app @param {import("../model.js").Run[]} runs that the table shows */
export function arrangedColumns(app, runs) {
  const { model, place } = app;
  const chosen = place.options.has("cols") ? list(place, "cols").filter((name) => name === SPARK || model.knows(name)) : defaultColumns(model, runs);
  const wanted = place.options.has("pin") ? list(place, "pin") : ["name"];
  const first = wanted.filter((name) => chosen.includes(name));
  return { columns: [...first, ...chosen.filter((name) => !first.includes(name))], pins: new Pins(first), pinned: first };
}

/** @param {App} app @param {string} name @param {string} sort @param {Pins} pins */
export function columnHead(app, name, sort, pins) {
  const own = sort.replace(/^-/, "") === name;
  const down = own && sort.startsWith("-");
  const knob = app.model.knobs.get(name);
  const plain = name.replace(/^best:/, "");
  const unit = knob ? knob.unit : app.model.metrics.has(plain) ? format.unitBeside(plain) : "";
  if (name === SPARK) return h("th", { scope: "col", ...pins.props(name) }, h("span.head-button", {}, "curve"));
  return h("th", { scope: "col", "aria-sort": own ? (down ? "descending" : "ascending") : undefined, title: knob?.help || undefined, ...pins.props(name, numericColumn(app.model, name) ? "number" : "") },
    button(columnName(app.model, name), () => app.set({ sort: own && !down ? "-" + name : name }), { class: "head-button" },
      columnName(app.model, name), unit ? h("span.soft", {}, ` ${unit}`) : null, h("span.sort-mark", { "aria-hidden": "true" }, own ? (down ? "\u25be" : "\u25b4") : "")));
}

/** What had the focus when the menu changed the table: both are made anew then, and the menu is open again. */
const memory = { focus: "", find: "" };

/** @param {App} app @param {string[]} shown @param {string[]} pinned */
export function columnsMenu(app, shown, pinned) {
  const { model } = app;
  const all = [FIELDS[0], SPARK, ...FIELDS.slice(1), ...model.knobs.keys(), ...[...model.metrics.keys()].filter((name) => !/\/hist_\d+$/.test(name)).flatMap((name) => ["best:" + name, name])];
  const put = (/** @type {string[]} */ columns, /** @type {string[]} */ pins) => app.set({ cols: columns.join(","), pin: pins.length ? pins.join(",") : "none" });
  const moved = (/** @type {string[]} */ names, /** @type {string} */ name, /** @type {number} */ by) => {
    const at = names.indexOf(name);
    const to = at + by;
    if (at < 0 || to < 0 || to >= names.length) return names;
    const out = [...names];
    [out[at], out[to]] = [out[to], out[at]];
    return out;
  };
  const act = (/** @type {string} */ id, /** @type {string} */ words, /** @type {string} */ sign, /** @type {() => void} */ does, pressed = false) =>
    button(words, () => { memory.focus = id; does(); }, { class: "column-act", "aria-label": words, title: words, "data-act": id, "aria-pressed": pressed ? "true" : undefined }, sign);
  const row = (/** @type {string} */ name) => {
    const on = shown.includes(name);
    const label = columnName(model, name);
    const pin = pinned.includes(name);
    const box = h("input", { type: "checkbox", checked: on, "data-act": "show " + name, onchange: () => {
      memory.focus = "show " + name;
      put(on ? shown.filter((other) => other !== name) : [...shown, name], pinned.filter((other) => !on || other !== name));
    } });
    const move = (/** @type {number} */ by) => put(moved(shown, name, by), moved(pinned, name, by));
    return h("div.column-item", { "data-name": label.toLowerCase() }, h("label.column-name", {}, box, label),
      on ? [act("up " + name, `Move ${label} to the left`, "\u2190", () => move(-1)), act("down " + name, `Move ${label} to the right`, "\u2192", () => move(1)),
        act("pin " + name, pin ? `Let ${label} scroll` : `Keep ${label} in view`, "\u25c9", () => put(shown, pin ? pinned.filter((other) => other !== name) : [...pinned, name]), pin)] : null);
  };
  const fill = () => {
    const items = [...shown, ...all.filter((name) => !shown.includes(name))].map(row);
    const sift = () => { for (const item of items) item.hidden = !item.dataset.name.includes(memory.find.toLowerCase()); };
    const find = h("input.filter", { type: "search", placeholder: "find a column", "aria-label": "Find a column", value: memory.find, oninput: () => {
      memory.find = find.value;
      sift();
    } });
    sift();
    body.replaceChildren(find, h("div.column-list", {}, items), button("as at first", () => { memory.focus = "reset"; app.set({ cols: "", pin: "" }); }, { "data-act": "reset" }));
  };
  const body = h("div.menu-body.columns-body", {});
  const menu = h("details.menu", { open: memory.focus !== "", ontoggle: () => {
    if (menu.open && !body.childElementCount) fill();
    if (menu.open && memory.focus) body.querySelector(`[data-act="${CSS.escape(memory.focus)}"]`)?.focus();
    if (menu.open) memory.focus = "";
  } }, h("summary.button", {}, "columns"), body);
  return menu;
}
