// @ts-check
// Charts to files: SVG and PNG as drawn, CSV with the exact numbers.

import { draw } from "./plot.js";
import { resolved } from "./colors.js";
import { s } from "./dom.js";

const WIDTH = 960;
const HEIGHT = 540;

/** @param {string} title */
const fileName = (title) => "bnexp-" + title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** A whole SVG file: no style sheet of ours reaches it, so every look is written out. @param {import("./plot.js").Chart} chart */
export function svgText(chart) {
  const { svg } = draw(chart, WIDTH, HEIGHT);
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("font-family", "system-ui, sans-serif");
  svg.setAttribute("font-size", "12");
  const looks = [[".grid path", { stroke: "var(--grid)", fill: "none" }], [".frame", { stroke: "var(--line)", fill: "none" }],
    [".ticks text", { fill: "var(--ink-soft)" }], [".axis", { fill: "var(--ink-soft)" }]];
  for (const [selector, look] of looks) {
    for (const element of svg.querySelectorAll(/** @type {string} */ (selector))) {
      for (const [name, value] of Object.entries(look)) element.setAttribute(name, String(value));
    }
  }
  svg.prepend(s("title", {}, chart.label), s("rect", { width: WIDTH, height: HEIGHT, fill: "var(--surface)" }));
  return new XMLSerializer().serializeToString(svg).replace(/var\((--[a-z-]+)\)/g, (_, name) => resolved(name));
}

/** @param {string} title @param {import("./plot.js").Chart} chart */
export function saveSvg(title, chart) {
  save(new Blob([svgText(chart)], { type: "image/svg+xml" }), fileName(title) + ".svg");
}

/** @param {string} title @param {import("./plot.js").Chart} chart */
export async function savePng(title, chart) {
  const url = URL.createObjectURL(new Blob([svgText(chart)], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH * 2;
  canvas.height = HEIGHT * 2;
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(url);
  canvas.toBlob((blob) => blob && save(blob, fileName(title) + ".png"), "image/png");
}

/**
 * RFC 4180. A cell that a spreadsheet would take for a formula gets a quote in front.
 * @param {string[][]} rows
 */
export function csvText(rows) {
  const cell = (/** @type {string} */ text) => {
    const safe = /^[=+@\t\r]|^-(?![\d.]|Infinity)/.test(text) ? "'" + text : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** @param {string} title @param {string[][]} rows */
export function saveCsv(title, rows) {
  save(new Blob([csvText(rows)], { type: "text/csv;charset=utf-8" }), fileName(title) + ".csv");
}
