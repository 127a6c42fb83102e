// The served page, live: node live.mjs BNEXP PAGE_HOME SCRATCH

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openBrowser, openPage, settled } from "./browser.mjs";
import { claims, query } from "./claims.mjs";

const [bnexp, pageHome, scratch] = process.argv.slice(2);
rmSync(scratch, { recursive: true, force: true });
mkdirSync(scratch, { recursive: true });
const home = join(scratch, "demo");
execFileSync(pageHome, ["demo", home]);

const server = spawn(bnexp, ["dashboard", "--serve", "--home", home], { stdio: ["ignore", "pipe", "inherit"] });
const url = await new Promise((resolve, reject) => {
  server.stdout.once("data", (chunk) => resolve(String(chunk).trim()));
  server.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
});

const browser = await openBrowser();
const { claim, equal, done } = claims();

await claim("a running run's curve grows without a reload", async () => {
  const { page, complaints, close } = await openPage(browser);
  const key = query(home, "SELECT key FROM run WHERE state = 'running' AND sweep_id = (SELECT id FROM sweep WHERE name = 'lr')");
  await page.goto(`${url}#run/${key}?y=train/loss`);
  await settled(page);
  await page.evaluate(() => { window.sameDocument = true; });
  const records = () => page.locator(".fact", { hasText: "records" }).locator("dd").innerText();
  const before = Number(await records());
  const canvas = await page.locator(".run > .charts canvas").first().elementHandle();
  const ink = () => page.evaluate((c) => c.toDataURL(), canvas);
  const drawn = await ink();
  execFileSync(pageHome, ["more", home]);
  await page.waitForFunction((n) => [...document.querySelectorAll(".fact")].some((f) => f.textContent === `records${n}`), before + 20, { timeout: 20000 });
  equal(await page.evaluate(() => window.sameDocument), true, "no reload");
  await page.waitForFunction(([c, old]) => c.isConnected && c.toDataURL() !== old, [canvas, drawn], { timeout: 10000 });
  equal(complaints, [], "no complaint");
  await close();
});

await claim("the served page loads nothing but its own", async () => {
  const { page, complaints, close } = await openPage(browser);
  await page.goto(url);
  await settled(page);
  equal((await page.locator(".verdict").first().innerText()).startsWith("ternary is"), true, "verdict");
  equal(await page.locator(".written").innerText(), "live", "live");
  equal(complaints, [], "no complaint");
  await close();
});

await claim("files of a run open from its view", async () => {
  const { page, close } = await openPage(browser);
  const key = query(home, "SELECT key FROM run WHERE state = 'finished' LIMIT 1");
  await page.goto(`${url}#run/${key}`);
  await settled(page);
  const way = await page.locator("a.file", { hasText: "stderr.log" }).getAttribute("href");
  const reply = await page.request.get(new URL(way, url).href);
  equal((await reply.text()).includes("6.1 M tokens"), true, "log");
  await close();
});

await claim("a home that is written while it is read is shown all the same", async () => {
  const { page, complaints, close } = await openPage(browser);
  await page.goto(url + "#runs");
  for (let i = 0; i < 3; i++) execFileSync(pageHome, ["more", home]);
  await settled(page);
  equal(Number(await page.locator(".runs-table").getAttribute("aria-rowcount")) - 1, Number(query(home, "SELECT count(*) FROM run")), "rows");
  equal(complaints, [], "no complaint");
  await close();
});

await browser.close();
const ended = new Promise((resolve) => server.once("exit", resolve));
server.kill("SIGTERM");
await claim("the server ends well when asked to", async () => equal(await ended, 0, "exit code"));
done();
