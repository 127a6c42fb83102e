// @ts-check
// A chart's frame: title, what can be done with it, the picture, the exact value under the pointer.

import { button, h, replace, s } from "./dom.js";
import { CurveChart, endOf, xRange } from "./curves.js";
import { lookOf } from "./colors.js";
import { draw, markPath, pointAt } from "./plot.js";
import * as exporting from "./export.js";

/**
 * @typedef {{label: string, color: string, mark?: string, dash?: number[], shape?: "line" | "mark" | "box"}} Key
 * @typedef {{title: string, note?: any, wide?: boolean, whole?: boolean, tall?: boolean, height?: number, tools?: Node[], controls?: (Node | null)[], keys?: Key[],
 *   soon?: Key[], bare?: boolean, table: () => string[][] | Promise<string[][]>}} Frame
 * soon: what the legend will say of the curves, so that it takes its room before they come.
 * table: the exact data, head first. tools: beside the title; controls: in a row of their own; keys: what colours and marks stand
 * for; bare: somebody else says what they stand for; tall: takes two rows of a grid.
 */

export const HEIGHT = 300;

/** What saves a chart. @param {Pick<Frame, "title" | "table">} frame @param {() => import("./plot.js").Chart} picture */
export function saveMenu(frame, picture) {
  const name = frame.title;
  const menu = h("details.menu", {},
    h("summary.button", { "aria-label": `Save: ${name}` }, "save"),
    h("div.menu-body", {},
      button("SVG", () => exporting.saveSvg(name, picture())),
      button("PNG", () => exporting.savePng(name, picture())),
      button("CSV", async () => exporting.saveCsv(name, await frame.table()))));
  menu.addEventListener("click", (/** @type {Event} */ event) => {
    if (/** @type {Element} */ (event.target).closest(".menu-body")) menu.open = false;
  });
  return menu;
}

/** @param {Frame} frame @param {(Node | null)[]} body @param {() => import("./plot.js").Chart} picture */
function framed(frame, body, picture) {
  return h(frame.whole ? "figure.chart.whole" : frame.wide ? "figure.chart.wide" : frame.tall ? "figure.chart.tall" : "figure.chart", {},
    h("figcaption.chart-head", {}, h("h3", {}, frame.title), h("div.chart-tools", {}, ...(frame.tools ?? []), saveMenu(frame, picture))),
    frame.controls?.length ? h("div.chart-controls", {}, frame.controls) : null,
    body, frame.note ? h("p.chart-note", {}, frame.note) : null);
}

/** What a colour, a pattern or a mark stands for. @param {Key} key @param {Record<string, any>} [props] */
export function keyItem({ label, color, mark, dash, shape = "line" }, props = {}) {
  const paint = color.startsWith("--") ? `var(${color})` : color;
  const sign = shape === "mark" ? s("svg.key-mark", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" }, s("path", { d: markPath(mark ?? "circle", 4.5), fill: paint }))
    : h("span.swatch", { class: shape === "box" ? "swatch box" : dash?.length ? "swatch dashed" : "swatch", style: { color: paint } });
  return h("span.legend-item", props, sign, label);
}

/** @param {string} variant @param {Key["shape"]} [shape] @returns {Key} */
export const variantKey = (variant, shape) => ({ label: variant, shape, ...lookOf(variant) });

/** @param {Key[] | undefined} keys */
const legendOf = (keys) => keys?.length ? h("div.legend", {}, keys.map((key) => keyItem(key))) : null;

/**
 * A chart as SVG that follows its width.
 * @param {Frame} frame @param {() => import("./plot.js").Chart} make
 */
export function plotFigure(frame, make) {
  const height = frame.height ?? HEIGHT;
  const tip = h("div.tip", { hidden: true });
  const body = h("div.chart-body", { style: { height: `${height}px` } }, tip);
  /** @type {any} */
  let drawn = null;
  let chart = make();
  const paint = () => {
    const width = body.clientWidth;
    if (width < 40) return;
    chart = make();
    drawn?.svg.remove();
    drawn = draw(chart, width, height);
    body.prepend(drawn.svg);
  };
  const seen = new ResizeObserver(() => paint());
  seen.observe(body);
  body.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    if (!drawn) return;
    const box = body.getBoundingClientRect();
    const mark = pointAt(chart, drawn, event.clientX - box.left, event.clientY - box.top);
    tip.hidden = !mark;
    body.classList.toggle("on-point", Boolean(mark && mark.type === "point" && mark.open));
    if (!mark) return;
    replace(tip, (mark.tip ?? []).map((line, i) => h(i ? "div.tip-row" : "div.tip-head", {}, line)));
    const x = mark.type === "bar" ? drawn.px(Math.max(mark.from, mark.to)) : drawn.px(mark.x);
    const width = tip.getBoundingClientRect().width;
    tip.style.setProperty("left", `${x + 14 + width > box.width ? Math.max(0, x - width - 12) : x + 12}px`);
    tip.style.setProperty("top", `${Math.max(0, drawn.py(mark.y) - 20)}px`);
  });
  body.addEventListener("pointerleave", () => { tip.hidden = true; });
  body.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const box = body.getBoundingClientRect();
    const mark = drawn && pointAt(chart, drawn, event.clientX - box.left, event.clientY - box.top);
    if (mark?.type === "point") mark.open?.();
  });
  return framed(frame, [legendOf(frame.keys), body], () => chart);
}

/** @typedef {{canvas: HTMLElement, chart: CurveChart | null}} Kept */

/** Curve charts of this picture and of the one before: the same place drawn again takes them over. @type {Map<string, Kept>} */
let now = new Map();
/** @type {Map<string, Kept>} */
let past = new Map();

/** Before a place is drawn. same: it is the place on screen, with newer data or other options. @param {boolean} same */
export function keepFigures(same) {
  for (const old of past.values()) if (![...now.values()].includes(old)) old.chart?.destroy();
  past = same ? now : new Map();
  if (!same) for (const old of now.values()) old.chart?.destroy();
  now = new Map();
}

/** @param {string} title @returns {Kept} */
function takeOver(title) {
  let name = title;
  while (now.has(name)) name += "'";
  const kept = past.get(name) ?? { canvas: h("div.chart-canvas", {}), chart: null };
  now.set(name, kept);
  return kept;
}

/**
 * Curves on a canvas; `set` draws them, again and again.
 * @param {Frame} frame
 * @returns {{element: HTMLElement, set: (picture: import("./curves.js").Picture) => void, say: (text: string) => void, chart: () => CurveChart | null}}
 */
export function curveFigure(frame) {
  const height = frame.height ?? HEIGHT;
  const wait = h("p.waiting", {}, "Reading …");
  const legend = h("div.legend", {}, (frame.keys ?? frame.soon ?? []).map((key) => keyItem(key)));
  const kept = takeOver(frame.title);
  const { canvas } = kept;
  wait.hidden = kept.chart !== null;
  const body = h("div.chart-body", { style: { height: `${height}px` }, role: "img", "aria-label": frame.title }, canvas, wait);
  const reset = button("whole range", () => kept.chart?.zoomTo(null), { hidden: true });
  const set = (/** @type {import("./curves.js").Picture} */ picture) => {
    const drawable = picture.curves.some((curve) => endOf(curve) >= 0);
    wait.hidden = drawable;
    wait.textContent = picture.curves.length ? "No value is a number: every one is NaN or infinite." : "Nothing measured to draw here.";
    body.setAttribute("aria-label", picture.label);
    const inner = { ...picture, zoomed: (/** @type {[number, number] | null} */ range) => {
      reset.hidden = range === null;
      picture.zoomed(range);
    } };
    reset.hidden = picture.zoom === null;
    if (frame.keys) replace(legend, frame.keys.map((key) => keyItem(key)));
    else if (!frame.bare) fillLegend(legend, picture, (id) => kept.chart?.emphasize(id));
    if (!drawable) {
      kept.chart?.destroy();
      kept.chart = null;
      replace(canvas);
    } else if (kept.chart) kept.chart.update(inner);
    else kept.chart = new CurveChart(canvas, inner, height);
  };
  const element = framed({ ...frame, tools: [reset, ...(frame.tools ?? [])] }, [frame.bare ? null : legend, body],
    () => asPlot(frame.title, /** @type {CurveChart} */ (kept.chart)));
  return { element, set, say: (text) => { wait.hidden = false; wait.textContent = text; }, chart: () => kept.chart };
}

/** So many curves are named in a legend. */
export const LEGEND_MAX = 16;

/** @param {HTMLElement} legend @param {import("./curves.js").Picture} picture @param {(id: string) => void} point */
function fillLegend(legend, picture, point) {
  const named = picture.curves.filter((curve) => !curve.quiet);
  replace(legend, named.slice(0, LEGEND_MAX).map((curve) => keyItem({ label: curve.label, color: curve.color, dash: curve.dash },
    { onpointerenter: () => point(curve.id), onpointerleave: () => point("") })),
  named.length > LEGEND_MAX ? h("span.legend-item", {}, `and ${named.length - LEGEND_MAX} more`) : null);
}

/** The curves as a chart that can be written to a file. @param {string} title @param {CurveChart} shown @returns {import("./plot.js").Chart} */
function asPlot(title, shown) {
  const { picture } = shown;
  const [left, right] = picture.zoom ?? xRange(picture);
  const color = (/** @type {string} */ name) => `var(${name})`;
  /** @type {import("./plot.js").Mark[]} */
  const marks = [];
  for (const c of picture.curves) {
    if (c.low && c.high) marks.push({ type: "band", x: c.x, low: c.low, high: c.high, color: color(c.color) });
  }
  for (const rule of picture.rules) marks.push({ type: "rule", y: rule.y, label: rule.label });
  for (const c of picture.curves) {
    marks.push({ type: "line", x: c.x, y: c.y, color: color(c.color), dash: c.dash, width: c.width, alpha: c.alpha });
    const end = c.stopped ? endOf(c) : -1;
    if (end >= 0) marks.push({ type: "point", x: c.x[end], y: c.y[end], color: color(c.color), mark: "cross", size: 3 });
  }
  const y = shown.yObject();
  return { label: title, marks, x: { label: picture.x.label, domain: [left, right], log: picture.x.log, unit: picture.x.unit },
    y: { label: picture.y.label, domain: [y.min, y.max], log: picture.y.log, unit: picture.y.unit } };
}

/** Runs something when an element comes into view, once. @param {Element} element @param {() => void} act */
export function whenSeen(element, act) {
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    act();
  }, { rootMargin: "400px" });
  watch.observe(element);
}
