// How quick the page is, measured in Chromium; prints a table, claims nothing:
//     node speed.mjs BNEXP PAGE_HOME SCRATCH
// Homes: 1,000 runs x 10 metrics x 1,000 records; 50 runs x 1 metric x 10,000; 10,000 runs x 1 x 2.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openBrowser, openPage, settled } from "./browser.mjs";
import { query } from "./claims.mjs";

const [bnexp, pageHome, scratch] = process.argv.slice(2);
mkdirSync(scratch, { recursive: true });
const rows = [];
const say = (what, figure) => { rows.push([what, figure]); console.log(`${what.padEnd(64)} ${figure}`); };
const ms = (values) => `${Math.round(values.sort((a, b) => a - b)[values.length >> 1])} ms (median of ${values.length})`;

function make(name, runs, metrics, records) {
  const home = join(scratch, name);
  if (!existsSync(home)) execFileSync(pageHome, ["big", home, runs, metrics, records].map(String));
  const start = process.hrtime.bigint();
  execFileSync(bnexp, ["dashboard", "--home", home, "--out", home + "-page"]);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const data = join(home + "-page", "data");
  const size = readdirSync(data).reduce((sum, file) => sum + statSync(join(data, file)).size, 0);
  say(`dashboard --out, ${runs} runs x ${metrics} metrics x ${records} records`, `${seconds.toFixed(2)} s, ${(size / 2 ** 20).toFixed(1)} MiB`);
  return { home, url: pathToFileURL(join(home + "-page", "index.html")).href };
}

const browser = await openBrowser();

/** Milliseconds of something done in the page, to the frame that shows it. */
const timed = (page, act) => page.evaluate(async (source) => {
  const start = performance.now();
  await new Function(`return (async () => { ${source} })()`)();
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return performance.now() - start;
}, act);

async function repeated(count, act) {
  const out = [];
  for (let i = 0; i < count; i++) out.push(await act(i));
  return out;
}

const big = make("big", 1000, 10, 1000);
say("first meaningful paint, 1,000 runs", ms(await repeated(7, async () => {
  const { page, close } = await openPage(browser);
  await page.goto(big.url);
  await page.waitForSelector(".verdict");
  const at = await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(performance.now())))));
  await close();
  return at;
})));
{
  const { page, close } = await openPage(browser);
  await page.goto(big.url + "#runs");
  await settled(page);
  say("filter, 1,000 runs", ms(await repeated(9, (i) => timed(page, `location.hash = "#runs?q=val/loss+<+2.${i}"; await new Promise((r) => addEventListener("hashchange", () => r(), { once: true }));`))));
  say("sort, 1,000 runs", ms(await repeated(9, (i) => timed(page, `location.hash = "#runs?sort=${i % 2 ? "-" : ""}best:val/loss"; await new Promise((r) => addEventListener("hashchange", () => r(), { once: true }));`))));
  await close();
}
const long = make("long", 50, 1, 10000);
{
  const keys = query(long.home, "SELECT group_concat(key) FROM run");
  const { page, close } = await openPage(browser);
  await page.goto(long.url + `#runs?sel=${keys}`);
  await page.waitForSelector(".runs canvas");
  await settled(page);
  say("overlay of 50 runs x 10,000 records, drawn again with its data read", ms(await repeated(9, (i) => timed(page, `
    location.hash = "#runs?logy=${i % 2 ? 1 : ""}&sel=${keys}"; await new Promise((r) => addEventListener("hashchange", () => r(), { once: true }));
    await new Promise((r) => requestAnimationFrame(r));`))));
  say("zoom by mouse to 1/10 of it, to the next frame", ms(await repeated(7, async () => {
    const box = await page.locator(".runs .u-over").boundingBox();
    await page.mouse.dblclick(box.x + 20, box.y + 20);
    await page.waitForTimeout(200);
    await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 40);
    await page.evaluate(() => { window.zoomStart = 0; addEventListener("mouseup", () => { window.zoomStart = performance.now(); }, { once: true, capture: true }); });
    const shown = page.evaluate(() => new Promise((resolve) => {
      addEventListener("mouseup", () => requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - window.zoomStart))), { once: true });
    }));
    await page.mouse.up();
    return shown;
  })));
  await close();
}
const many = make("many", 10000, 1, 2);
{
  const { page, close } = await openPage(browser);
  await page.goto(many.url + "#runs");
  await page.waitForSelector(".runs-table tbody tr.run-row");
  const frames = await page.evaluate(() => new Promise((resolve) => {
    const box = document.querySelector(".table-box");
    const times = [];
    let last = performance.now();
    const step = () => {
      const now = performance.now();
      times.push(now - last);
      last = now;
      box.scrollTop += 170;
      if (times.length < 240) requestAnimationFrame(step);
      else resolve(times.slice(5));
    };
    requestAnimationFrame(step);
  }));
  frames.sort((a, b) => a - b);
  say("scrolling 10,000 runs: frames, median and 95 %", `${frames[frames.length >> 1].toFixed(1)} ms, ${frames[Math.floor(frames.length * 0.95)].toFixed(1)} ms`);
  say("filter, 10,000 runs", ms(await repeated(5, (i) => timed(page, `location.hash = "#runs?q=val/loss+<+5.${i}"; await new Promise((r) => addEventListener("hashchange", () => r(), { once: true }));`))));
  await close();
}
await browser.close();
