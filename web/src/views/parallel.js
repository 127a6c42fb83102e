// @ts-check
// Parallel coordinates: every finished run a line through its knobs to its result; drag along an
// axis to keep the runs that pass there.

import { button, h, replace, s } from "../dom.js";
import * as format from "../format.js";
import { lookOf } from "../colors.js";
import { saveMenu } from "../figure.js";
import { makeScale, padded } from "../scale.js";

/** @typedef {import("../app.js").App} App @typedef {import("../model.js").Run} Run */

const TITLE = "From knobs to result";
const HEIGHT = 320;
const TOP = 40;
const BOTTOM = HEIGHT - 26;
const RUNS_MAX = 2000;
/** Letters of a value that fit between two axes. */
const WORD_MAX = 18;
/** The share of an axis that a line of words takes. */
const APART = 0.05;

/**
 * Where the values of an axis lie, 0 ... 1. Numbers of one sign over more than a decade lie on a
 * logarithmic axis, words at even distances.
 * @param {unknown[]} values
 */
export function axisPlaces(values) {
  const numeric = values.every((v) => typeof v === "number");
  if (!numeric) {
    const words = [...new Set(values.map(String))].sort();
    const at = (/** @type {unknown} */ v) => (words.length > 1 ? words.indexOf(String(v)) / (words.length - 1) : 0.5);
    return { at, ticks: words.slice(0, 12).map((word) => ({ at: at(word), text: word.length > WORD_MAX ? word.slice(0, WORD_MAX - 1) + "\u2026" : word })), log: false };
  }
  const numbers = /** @type {number[]} */ (values);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const log = low > 0 && high / low >= 10;
  const [from, to] = low === high ? padded(low, high, log) : [low, high];
  const scale = makeScale([from, to], [0, 1], log);
  const distinct = [...new Set(numbers)].sort((a, b) => a - b);
  const shown = distinct.length <= 8 ? distinct : [low, ...[0.25, 0.5, 0.75].map((p) => scale.invert(p)), high];
  let last = -1;
  const apart = shown.filter((v) => {
    if (scale(v) - last < APART) return false;
    last = scale(v);
    return true;
  });
  return { at: (/** @type {unknown} */ v) => scale(/** @type {number} */ (v)), ticks: apart.map((v) => ({ at: scale(v), text: format.rate(v) })), log };
}

/** @param {App} app @param {import("../model.js").Sweep} sweep */
export function parallelFigure(app, sweep) {
  const { model } = app;
  const runs = sweep.runs.filter((run) => run.state === "finished" && Number.isFinite(model.score(run))).slice(0, RUNS_MAX);
  const names = sweep.varied.filter((name) => new Set(runs.map((run) => String(model.knob(run, name)))).size > 1 && runs.every((run) => model.knob(run, name) !== undefined));
  if (runs.length < 2 || !names.length) return null;
  const axes = [...names.map((name) => ({ name, words: name.replace(/^.*\./, ""), of: (/** @type {Run} */ run) => model.knob(run, name) })),
    { name: "best:" + sweep.metric, words: sweep.metric, of: (/** @type {Run} */ run) => /** @type {unknown} */ (model.score(run)) }]
    .map((axis) => ({ ...axis, places: axisPlaces(runs.map(axis.of)) }));
  /** @type {Map<string, [number, number]>} */
  const brushes = new Map();
  const body = h("div.chart-body", { style: { height: `${HEIGHT}px` } });
  const told = h("span.soft", {}, "");
  const kept = () => runs.filter((run) => axes.every((axis) => {
    const brush = brushes.get(axis.name);
    const at = axis.places.at(axis.of(run));
    return !brush || (at >= brush[0] - 1e-9 && at <= brush[1] + 1e-9);
  }));
  /** The same as a chart that can be saved. @returns {import("../plot.js").Chart} */
  const picture = () => ({ label: TITLE, x: { label: "", domain: [-0.15, axes.length - 0.75], ticks: axes.map((axis, i) => ({ at: i, text: axis.words })) },
    y: { label: "", domain: [0, 1], ticks: [] },
    marks: [...kept().map((run) => /** @type {import("../plot.js").Mark} */ ({ type: "line", x: axes.map((_, i) => i), y: axes.map((axis) => axis.places.at(axis.of(run))), color: `var(${lookOf(run.variant).color})`, width: 1.2, alpha: 0.5 })),
      ...axes.flatMap((axis, i) => [/** @type {import("../plot.js").Mark} */ ({ type: "rule", x: i, label: "", dash: [] }), ...axis.places.ticks.map((tick) => /** @type {import("../plot.js").Mark} */ ({ type: "text", x: i, y: tick.at, text: tick.text, dx: 6, dy: 4 }))])] });
  const save = saveMenu({ title: TITLE, table: () => [["run", ...axes.map((axis) => axis.name)], ...kept().map((run) => [run.name, ...axes.map((axis) => String(axis.of(run)))])] }, picture);
  const clear = button("clear", () => { brushes.clear(); paint(); }, { hidden: true });
  const draw = button("draw these", () => app.go({ view: "runs", subject: "", options: new Map([["sel", kept().slice(0, 200).map((run) => run.key).join(",")]]) }), { hidden: true });
  const paint = () => {
    const width = body.clientWidth;
    if (width < 40) return;
    const px = (/** @type {number} */ i) => 60 + ((width - 130) * i) / (axes.length - 1);
    const py = (/** @type {number} */ at) => BOTTOM - at * (BOTTOM - TOP);
    const keep = new Set(kept());
    const line = (/** @type {Run} */ run) => "M" + axes.map((axis, i) => `${px(i).toFixed(1)} ${py(axis.places.at(axis.of(run))).toFixed(1)}`).join("L");
    const svg = s("svg.plot.parallel", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": `${runs.length} runs through ${axes.map((axis) => axis.words).join(", ")}` },
      s("g", {}, [...runs].sort((a, b) => Number(keep.has(a)) - Number(keep.has(b))).map((run) => s("path", { d: line(run), fill: "none", stroke: `var(${lookOf(run.variant).color})`,
        "stroke-width": keep.has(run) ? 1.3 : 1, "stroke-opacity": keep.has(run) ? (brushes.size ? 0.85 : 0.5) : 0.08 }))),
      axes.map((axis, i) => s("g", {}, s("path.frame", { d: `M${px(i)} ${TOP}V${BOTTOM}` }), s("text.axis", { x: px(i), y: 20, "text-anchor": "middle" }, axis.words),
        s("g.ticks", {}, axis.places.ticks.map((tick) => s("text", { x: px(i) + 6, y: py(tick.at) + 4, "paint-order": "stroke", stroke: "var(--surface)", "stroke-width": 3 }, tick.text))),
        brushes.has(axis.name) ? s("rect", { x: px(i) - 7, width: 14, y: py(/** @type {any} */ (brushes.get(axis.name))[1]), height: Math.max(2, py(/** @type {any} */ (brushes.get(axis.name))[0]) - py(/** @type {any} */ (brushes.get(axis.name))[1])), fill: "var(--accent)", "fill-opacity": 0.25 }) : null,
        brushArea(svgPlace, axis.name, px(i)))));
    replace(body, svg);
    const count = keep.size;
    told.textContent = brushes.size ? `${count} of ${runs.length} runs` : "";
    clear.hidden = draw.hidden = !brushes.size;
  };
  /** @param {number} y */
  const svgPlace = (y) => Math.min(1, Math.max(0, (BOTTOM - (y - body.getBoundingClientRect().top)) / (BOTTOM - TOP)));
  /** @param {(y: number) => number} place @param {string} name @param {number} x */
  function brushArea(place, name, x) {
    const area = s("rect.brush", { x: x - 18, y: TOP - 8, width: 36, height: BOTTOM - TOP + 16, fill: "transparent" });
    area.addEventListener("pointerdown", (/** @type {PointerEvent} */ down) => {
      const first = place(down.clientY);
      const move = (/** @type {PointerEvent} */ event) => {
        const now = place(event.clientY);
        brushes.set(name, [Math.min(first, now), Math.max(first, now)]);
        paint();
      };
      const up = (/** @type {PointerEvent} */ event) => {
        if (Math.abs(place(event.clientY) - first) < 0.02) brushes.delete(name);
        removeEventListener("pointermove", move);
        removeEventListener("pointerup", up);
        paint();
      };
      addEventListener("pointermove", move);
      addEventListener("pointerup", up);
      down.preventDefault();
    });
    return area;
  }
  new ResizeObserver(paint).observe(body);
  return h("figure.chart.wide.stretch", {}, h("figcaption.chart-head", {}, h("h3", {}, TITLE), h("div.chart-tools", {}, told, draw, clear, save)), body,
    h("p.chart-note", {}, "Drag along an axis to keep the runs that pass there, click it to let go."));
}
