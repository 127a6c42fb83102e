// How quick the page is, measured in Chromium; prints a table, claims nothing:
//     node speed.mjs BNEXP PAGE_HOME SCRATCH [make]     make: only the homes
// Homes: 1,000 runs x 10 metrics x 1,000 records; 50 runs x 1 metric x 10,000; 10,000 runs x 1 x 2.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openBrowser, openPage, settled } from "./browser.mjs";
import { query } from "./claims.mjs";

const [bnexp, pageHome, scratch, only] = process.argv.slice(2);
mkdirSync(scratch, { recursive: true });
const rows = [];
const say = (what, figure) => { rows.push([what, figure]); console.log(`${what.padEnd(64)} ${figure}`); };
const both = (pairs) => `${ms(pairs.map((pair) => pair.cpu))} of CPU, ${ms(pairs.map((pair) => pair.wall))} on the clock`;
const ms = (values) => `${Math.round(values.sort((a, b) => a - b)[values.length >> 1])} ms (median of ${values.length})`;

function make(name, runs, metrics, records) {
  const home = join(scratch, name);
  const start = process.hrtime.bigint();
  execFileSync(bnexp, ["dashboard", "--home", home, "--out", home + "-page"]);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const data = join(home + "-page", "data");
  const size = readdirSync(data).reduce((sum, file) => sum + statSync(join(data, file)).size, 0);
  say(`dashboard --out, ${runs} runs x ${metrics} metrics x ${records} records`, `${seconds.toFixed(2)} s, ${(size / 2 ** 20).toFixed(1)} MiB`);
  return { home, url: pathToFileURL(join(home + "-page", "index.html")).href };
}

// Ten thousand runs by SQL: one by one, each a few transactions, they would take minutes to make.
if (!existsSync(join(scratch, "many"))) {
  execFileSync(pageHome, ["big", join(scratch, "many"), "1", "1", "2"]);
  const columns = query(join(scratch, "many"), "SELECT group_concat(name) FROM pragma_table_info('run') WHERE name NOT IN ('id', 'key', 'number', 'name')");
  execFileSync("sqlite3", [join(scratch, "many", "bnexp.db"), `BEGIN; CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n;
    INSERT INTO run (id, key, number, name, ${columns}) SELECT i, printf('%08d', i), i - 1, 'run-' || i, ${columns} FROM run, n WHERE run.id = 1;
    INSERT INTO config SELECT i, json FROM config, n WHERE run_id = 1; INSERT INTO param SELECT i, name, value, varied FROM param, n WHERE run_id = 1;
    INSERT INTO record SELECT i, seq, step, wall_s FROM record, n WHERE run_id = 1; INSERT INTO value SELECT i, key_id, seq, number + i * 1e-4 FROM value, n WHERE run_id = 1;
    INSERT INTO latest SELECT key_id, i, count, last + i * 1e-4, last_step, min + i * 1e-4, min_step, max + i * 1e-4, max_step FROM latest, n WHERE run_id = 1; COMMIT;`]);
}
const sizes = { big: [1000, 10, 1000], long: [50, 1, 10000] };
for (const [name, size] of Object.entries(sizes)) if (!existsSync(join(scratch, name))) execFileSync(pageHome, ["big", join(scratch, name), ...size.map(String)]);
if (only === "make") process.exit(0);

const browser = await openBrowser();

/** CPU seconds that the page's own thread has used: what a busy machine cannot blow up. */
async function threadTime(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  return async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find((metric) => metric.name === "TaskDuration").value * 1000;
  };
}

/** Goes to another address of the page; CPU milliseconds and wall milliseconds to the frame that shows it. */
async function went(page, cpu, address) {
  const before = await cpu();
  const wall = await page.evaluate(async (hash) => {
    const start = performance.now();
    const changed = new Promise((resolve) => addEventListener("hashchange", resolve, { once: true }));
    location.hash = hash;
    await changed;
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    return performance.now() - start;
  }, address);
  await page.waitForTimeout(400); // what is drawn when its place is seen to be in view, a frame later
  return { cpu: (await cpu()) - before, wall };
}

async function repeated(count, act) {
  const out = [];
  for (let i = 0; i < count; i++) out.push(await act(i));
  return out;
}

/** Bytes of all files that a view reads. */
async function weigh(url) {
  const { page, close } = await openPage(browser, { height: 2400 });
  let bytes = 0;
  page.on("request", (request) => {
    const { protocol, pathname } = new URL(request.url());
    if (protocol === "file:") bytes += statSync(decodeURIComponent(pathname)).size;
  });
  await page.goto(url);
  await settled(page);
  await page.waitForTimeout(1500);
  await close();
  return bytes;
}

const big = make("big", ...sizes.big);
for (const place of ["#compare", "#sweep/big", "#runs", "#pareto"]) say(`read by ${place}, 1,000 runs`, `${((await weigh(big.url + place)) / 1e6).toFixed(2)} MB`);
say("first meaningful paint, 1,000 runs", both(await repeated(7, async () => {
  const { page, close } = await openPage(browser);
  const cpu = await threadTime(page);
  await page.goto(big.url);
  await page.waitForSelector(".verdict");
  const wall = await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(performance.now())))));
  const used = await cpu();
  await close();
  return { cpu: used, wall };
})));
{
  const { page, close } = await openPage(browser);
  await page.goto(big.url + "#runs");
  await settled(page);
  const cpu = await threadTime(page);
  say("filter, 1,000 runs", both(await repeated(9, (i) => went(page, cpu, `#runs?q=val/loss+<+2.${i}`))));
  say("sort, 1,000 runs", both(await repeated(9, (i) => went(page, cpu, `#runs?sort=${i % 2 ? "-" : ""}best:val/loss`))));
  await page.goto(big.url + "#sweep/big?draw=lines");
  await page.waitForSelector(".run canvas");
  await page.waitForTimeout(2000);
  say("1,000 curves of a sweep, drawn again line by line", both(await repeated(9, (i) => went(page, cpu, `#sweep/big?draw=lines&logy=${i % 2 ? "" : 1}`))));
  await close();
}
const long = make("long", ...sizes.long);
{
  const keys = query(long.home, "SELECT group_concat(key) FROM run");
  const { page, close } = await openPage(browser);
  await page.goto(long.url + `#runs?sel=${keys}`);
  await page.waitForSelector(".runs canvas");
  await page.waitForTimeout(3000);
  const cpu = await threadTime(page);
  say("overlay of 50 runs x 10,000 records, drawn again with its data read", both(await repeated(9, (i) => went(page, cpu, `#runs?sel=${keys}&logy=${i % 2 ? "" : 1}`))));
  await page.evaluate((hash) => { location.hash = hash; }, `#runs?sel=${keys}`);
  await page.waitForTimeout(500);
  const [zooms, events] = [[], []];
  // The page's own clock: from the mouse's event, as the browser stamps it, to the frame after the one
  // that was drawn for it; and what Event Timing says of the same.
  await page.evaluate(() => {
    window.zooms = [];
    window.timed = [];
    addEventListener("mouseup", (event) => {
      requestAnimationFrame(() => setTimeout(() => window.zooms.push(performance.now() - event.timeStamp)));
    }, true);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (entry.name === "mouseup") window.timed.push(entry.duration);
    }).observe({ type: "event", durationThreshold: 16 });
  });
  const box = await page.locator(".runs .u-over").boundingBox();
  for (let i = 0; i < 7; i++) {
    await page.mouse.dblclick(box.x + 20, box.y + 20);
    await page.waitForTimeout(600);
    await page.evaluate(() => { window.zooms.length = 0; window.timed.length = 0; });
    await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 40);
    await page.waitForTimeout(100);
    await page.mouse.up();
    await page.waitForFunction(() => window.zooms.length > 0);
    await page.waitForTimeout(300);
    const [frame, event] = await page.evaluate(() => [window.zooms[0], window.timed[0] ?? 16]);
    zooms.push(frame);
    events.push(event);
  }
  say("zoom to a tenth: mouse event to painted frame", `${ms(zooms)}, ${ms(events)} by Event Timing`);
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
  const cpu = await threadTime(page);
  say("filter, 10,000 runs", both(await repeated(5, (i) => went(page, cpu, `#runs?q=val/loss+<+5.${i}`))));
  await close();
}
await browser.close();
