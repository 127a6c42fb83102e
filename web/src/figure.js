// @ts-check
// A chart's frame: title, what can be done with it, the picture, the exact value under the pointer.

import { button, h, replace } from "./dom.js";
import { CurveChart, xRange } from "./curves.js";
import { draw, pointAt } from "./plot.js";
import * as exporting from "./export.js";

/**
 * @typedef {{title: string, note?: string, wide?: boolean, height?: number, controls?: Node[],
 *   table: () => string[][] | Promise<string[][]>}} Frame  table: the exact data, head first
 */

export const HEIGHT = 300;

/** @param {Frame} frame @param {() => import("./plot.js").Chart} picture */
function exports(frame, picture) {
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

/** @param {Frame} frame @param {Node} body @param {() => import("./plot.js").Chart} picture */
function framed(frame, body, picture) {
  return h(frame.wide ? "figure.chart.wide" : "figure.chart", {},
    h("figcaption.chart-head", {}, h("h3", {}, frame.title), h("div.chart-tools", {}, ...(frame.controls ?? []), exports(frame, picture))),
    body, frame.note ? h("p.chart-note", {}, frame.note) : null);
}

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
    body.classList.toggle("on-point", Boolean(mark && mark.open));
    if (!mark) return;
    replace(tip, (mark.tip ?? []).map((line, i) => h(i ? "div.tip-row" : "div.tip-head", {}, line)));
    const x = drawn.px(mark.x);
    const width = tip.getBoundingClientRect().width;
    tip.style.setProperty("left", `${x + 14 + width > box.width ? Math.max(0, x - width - 12) : x + 12}px`);
    tip.style.setProperty("top", `${Math.max(0, drawn.py(mark.y) - 20)}px`);
  });
  body.addEventListener("pointerleave", () => { tip.hidden = true; });
  body.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const box = body.getBoundingClientRect();
    const mark = drawn && pointAt(chart, drawn, event.clientX - box.left, event.clientY - box.top);
    mark?.open?.();
  });
  return framed(frame, body, () => chart);
}

/**
 * Curves on a canvas; `set` draws them, again and again.
 * @param {Frame} frame
 * @returns {{element: HTMLElement, set: (picture: import("./curves.js").Picture) => void, say: (text: string) => void, chart: () => CurveChart | null}}
 */
export function curveFigure(frame) {
  const height = frame.height ?? HEIGHT;
  const wait = h("p.waiting", {}, "Reading …");
  const legend = h("div.legend", {});
  const canvas = h("div.chart-canvas", {});
  const body = h("div.chart-body", { style: { height: `${height}px` }, role: "img", "aria-label": frame.title }, canvas, wait);
  const reset = button("whole range", () => chart?.zoomTo(null), { hidden: true });
  /** @type {CurveChart | null} */
  let chart = null;
  const set = (/** @type {import("./curves.js").Picture} */ picture) => {
    wait.hidden = picture.curves.length > 0;
    wait.textContent = "Nothing measured to draw here.";
    body.setAttribute("aria-label", picture.label);
    const inner = { ...picture, zoomed: (/** @type {[number, number] | null} */ range) => {
      reset.hidden = range === null;
      picture.zoomed(range);
    } };
    reset.hidden = picture.zoom === null;
    fillLegend(legend, picture, (id) => chart?.emphasize(id));
    if (!picture.curves.length) {
      chart?.destroy();
      chart = null;
      replace(canvas);
    } else if (chart) chart.update(inner);
    else chart = new CurveChart(canvas, inner, height);
  };
  const element = framed({ ...frame, controls: [reset, ...(frame.controls ?? [])] }, h("div", {}, legend, body),
    () => asPlot(frame.title, /** @type {CurveChart} */ (chart)));
  return { element, set, say: (text) => { wait.hidden = false; wait.textContent = text; }, chart: () => chart };
}

const LEGEND_MAX = 16;

/** @param {HTMLElement} legend @param {import("./curves.js").Picture} picture @param {(id: string) => void} point */
function fillLegend(legend, picture, point) {
  const named = picture.curves.filter((curve) => !curve.quiet);
  replace(legend, named.slice(0, LEGEND_MAX).map((curve) => h("span.legend-item", {
    onpointerenter: () => point(curve.id), onpointerleave: () => point("") },
  h("span.swatch", { class: curve.dash.length ? "swatch dashed" : "swatch", style: { color: `var(${curve.color})` } }), curve.label)),
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
  }
  const y = shown.yObject();
  return { label: title, marks, x: { label: picture.x.label, domain: [left, right], log: picture.x.log, time: picture.x.time, format: picture.x.format },
    y: { label: picture.y.label, domain: [y.min, y.max], log: picture.y.log, format: picture.y.format } };
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
