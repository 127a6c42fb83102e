// @ts-check
// Which knob moved the result, as the data files tell it.

import { h } from "../dom.js";
import * as format from "../format.js";
import { plotFigure } from "../figure.js";

/** @typedef {import("../model.js").Sweep} Sweep @typedef {import("../model.js").Effect} Effect */

/** Fewer finished runs than this are told nothing of. */
const RUNS_MIN = 10;
const TERMS_MAX = 3;

const short = (/** @type {string} */ knob) => knob.replace(/[\w.]*\./g, "");
const percent = (/** @type {number} */ share, digits = 3) => format.number(share * 100, digits) + "\u202f%";

/** @param {{title: string, axis: string, note: string, rows: Effect[]}} wish */
function bars({ title, axis, note, rows }) {
  const words = rows.map((row) => short(row.knob));
  const most = Math.max(0.2, ...rows.map((row) => Math.max(row.high, row.share)));
  return plotFigure({ title, height: Math.max(170, 84 + rows.length * 34), note,
    table: () => [["knob", "share", "low", "high"], ...rows.map((row) => [row.knob, String(row.share), String(row.low), String(row.high)])] },
  () => ({ label: title, x: { label: axis, domain: [0, Math.min(1, most) * 1.06], format: (v) => (v === 0 ? "0" : percent(v, 2)) },
    y: { label: "", domain: [-0.6, rows.length - 0.4], ticks: words.map((text, i) => ({ at: rows.length - 1 - i, text })) },
    left: Math.min(160, Math.max(...words.map((word) => word.length)) * 7 + 22),
    marks: rows.flatMap((row, i) => /** @type {import("../plot.js").Mark[]} */ ([
      { type: "bar", from: 0, to: row.share, y: rows.length - 1 - i, size: 0.56, color: "var(--blue)", alpha: 0.75,
        tip: [row.knob, percent(row.share), `95 %: ${percent(row.low, 2)} to ${percent(row.high, 2)}`, ...(Number.isFinite(row.spearman) ? [`rank correlation ${format.signed(row.spearman, 2)}`] : [])] },
      { type: "error", x: row.share, y: rows.length - 1 - i, low: row.low, high: row.high, color: "var(--ink)", across: true }])) }));
}

/** What knobs do together, in words. @param {import("../model.js").Insight} insight */
function together({ anova }) {
  const pairs = (anova?.effects ?? []).filter((effect) => / x /.test(effect.knobs) && effect.share >= 0.01).sort((a, b) => b.share - a.share);
  return pairs.length ? ` Together: ${pairs.slice(0, TERMS_MAX).map((effect) => `${effect.knobs.split(" x ").map(short).join(" \u00d7 ")} ${percent(effect.share, 2)}`).join(", ")}.` : "";
}

/** @param {Sweep} sweep */
export function importanceFigures(sweep) {
  const { insight } = sweep;
  const byShare = (/** @type {Effect[]} */ rows) => [...rows].sort((a, b) => b.share - a.share);
  if (!insight?.effects.length && !insight?.importance.length) {
    return h("figure.chart", {}, h("figcaption.chart-head", {}, h("h3", {}, "What mattered")), h("p.soft.quiet-note", {}, `From ${RUNS_MIN} finished runs on this tells which knobs moved ${sweep.metric}.`));
  }
  const { effects, importance, runs, top } = insight;
  return [effects.length ? bars({ title: "What mattered", axis: "share of variance", rows: byShare(effects),
    note: `Share of the variance of ${sweep.metric} over ${runs} runs that each knob explains by itself (\u03c9\u00b2), with a 95 % bootstrap interval.${together(insight)}` }) : null,
  importance.length ? bars({ title: "What sets the best apart", axis: "share of importance", rows: byShare(importance),
    note: `PED-ANOVA of the best ${top} of ${runs} runs, with a 95 % bootstrap interval.` }) : null];
}
