// How the page looks and whom it shuts out: every view, narrow and wide, light and dark:
//     node looks.mjs BNEXP PAGE_HOME SCRATCH [PICTURES]
// axe finds nothing, nothing scrolls sideways, nothing jumps while it loads. With PICTURES, a folder,
// every view is photographed.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openBrowser, openPage, settled } from "./browser.mjs";
import { claims, query } from "./claims.mjs";

const [bnexp, pageHome, scratch, pictures] = process.argv.slice(2);
rmSync(scratch, { recursive: true, force: true });
mkdirSync(scratch, { recursive: true });
if (pictures) mkdirSync(pictures, { recursive: true });

const home = (kind) => join(scratch, kind);
const address = (kind) => pathToFileURL(join(scratch, kind + "-page", "index.html")).href;
for (const kind of ["demo", "empty", "nan", "hostile", "pruned", "odd", "waiting"]) {
  execFileSync(pageHome, [kind, home(kind)]);
  execFileSync(bnexp, ["dashboard", "--home", home(kind), "--out", home(kind) + "-page"]);
}
const keyOf = (kind, name) => query(home(kind), `SELECT key FROM run WHERE name = '${name}' LIMIT 1`);
const run = keyOf("demo", "w128-ternary-lr3e-03-s1");

/** name, home, place, what to open there */
const VIEWS = [
  ["compare", "demo", "#compare/lr"], ["scaling", "demo", "#compare/width"], ["sweep", "demo", "#sweep/width"], ["runs", "demo", "#runs"],
  ["overlay", "demo", `#runs?sel=${run}`], ["groups", "demo", "#runs?group=seed&pin=name,state"], ["run", "demo", `#run/${run}`], ["pareto", "demo", "#pareto/width"],
  ["columns", "demo", "#runs?sort=name", (page) => page.locator("summary", { hasText: "columns" }).click()],
  ["save", "demo", "#compare/lr", (page) => page.locator(".chart-tools summary").first().click()],
  ["help", "demo", "#runs", (page) => page.keyboard.press("?")],
  ["rungs", "pruned", "#sweep/halving"], ["why", "pruned", "#sweep/halving", (page) => page.locator("summary.h2").click()],
  ["odd", "odd", "#compare"], ["trees", "odd", "#sweep/trees"], ["note", "odd", `#run/${keyOf("odd", "with-a-note")}`],
  ["waiting", "waiting", "#compare"], ["begun", "waiting", "#compare/begun"],
  ["empty", "empty", ""], ["empty-runs", "empty", "#runs"], ["empty-sweep", "empty", "#sweep"], ["nan", "nan", ""], ["nan-sweep", "nan", "#sweep/nan"],
  ["nan-run", "nan", `#run/${keyOf("nan", "only-nan")}`], ["nan-pareto", "nan", "#pareto"], ["nowhere", "demo", "#run/zzzzzzzz"],
  ["hostile", "hostile", "#runs"], ["hostile-compare", "hostile", "#compare"], ["hostile-sweep", "hostile", "#sweep"]];

const browser = await openBrowser();
const { claim, equal, done } = claims();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What axe objects to on the page as it stands. */
async function objections(page) {
  const found = await page.evaluate((runOnly) => window.axe.run({ preload: false, runOnly }), RULES);
  return found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120)).join(" | ")}`);
}

for (const [width, dark] of [[320, false], [320, true], [1280, false], [1280, true], [2560, false], [2560, true]]) {
  const look = `${width} px, ${dark ? "dark" : "light"}`;
  for (const kind of new Set(VIEWS.map((view) => view[1]))) {
    const { page, complaints, close } = await openPage(browser, { width, dark, height: width > 2000 ? 1440 : 1000 });
    await page.goto(address(kind));
    await page.evaluate(axe);
    for (const [name, , place, open] of VIEWS.filter((view) => view[1] === kind)) {
      await claim(`${name} fits ${look}, and axe finds nothing`, async () => {
        await page.evaluate((hash) => { document.querySelector("dialog[open]")?.close(); location.hash = "#nowhere"; location.hash = hash; }, place);
        await settled(page);
        await open?.(page);
        equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth <= 0), true, "no sideways scrolling");
        if (pictures) await page.screenshot({ path: join(pictures, `${name}-${width}-${dark ? "dark" : "light"}.png`) });
        equal(await objections(page), [], "objections");
        equal(complaints.splice(0), [], "complaints");
      });
    }
    await close();
  }
}

/** The sum of all layout shifts of a page that is loaded afresh. */
async function shifts(kind, place, width) {
  const { page, close } = await openPage(browser, { width });
  await page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.shifts.push([entry.value, ...entry.sources.map(({ node }) => `${node?.nodeName}.${node?.className}`)]);
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.goto(address(kind) + place);
  await settled(page);
  const found = await page.evaluate(() => new Promise((resolve) => setTimeout(() => resolve(window.shifts), 300)));
  await close();
  return found.filter(([value]) => value > 0.0005);
}

for (const width of [320, 1280]) {
  for (const [name, kind, place] of VIEWS.slice(0, 8).concat(VIEWS.filter((view) => view[0] === "rungs"))) {
    await claim(`nothing jumps while ${name} loads at ${width} px`, async () => equal(await shifts(kind, place, width), [], "layout shifts"));
  }
}

await browser.close();
done();
