// The page from file://, on homes made through the store:
//     node dashboard.mjs BNEXP PAGE_HOME SCRATCH
// Every claim is a check of its own; the exit status says whether all held.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openBrowser, openPage, settled } from "./browser.mjs";
import { claims, query } from "./claims.mjs";

const [bnexp, pageHome, scratch] = process.argv.slice(2);
rmSync(scratch, { recursive: true, force: true });
mkdirSync(scratch, { recursive: true });

const home = (kind) => join(scratch, kind);
const address = (kind) => pathToFileURL(join(scratch, kind + "-page", "index.html")).href;
for (const kind of ["demo", "empty", "one", "nan", "hostile", "pruned", "odd", "waiting", "big"]) {
  execFileSync(pageHome, [kind, home(kind), ...(kind === "big" ? ["210", "1", "40"] : [])]);
  execFileSync(bnexp, ["dashboard", "--home", home(kind), "--out", home(kind) + "-page"]);
}

const browser = await openBrowser();
const { claim, equal, becomes, near, done } = claims();

/** Opens a place, lets it settle, gives it to the check, and holds the page to no complaint. */
async function at(kind, hash, look, check) {
  const { page, complaints, close } = await openPage(browser, look);
  try {
    await page.goto(address(kind) + hash);
    await settled(page);
    await check(page);
    equal(complaints.filter((text) => !/stderr|ERR_FILE_NOT_FOUND/.test(text)), [], "no complaint");
  } finally {
    await close();
  }
}

const text = (page, selector) => page.locator(selector).first().innerText();
const plain = (words) => words.replace(/[\u202f\u00a0]/g, " ").replace(/\u2212/g, "-");

await claim("the verdict says the gap that the database holds", () => at("demo", "#compare/lr", {}, async (page) => {
  const words = plain(await text(page, ".verdict"));
  const mean = (variant) => query(home("demo"), `SELECT min(m) FROM (SELECT avg(l.min) AS m FROM run r JOIN sweep s ON s.id = r.sweep_id
    JOIN latest l ON l.run_id = r.id JOIN metric_key k ON k.id = l.key_id JOIN param p ON p.run_id = r.id AND p.name = 'optim.lr'
    WHERE s.name = 'lr' AND k.name = 'val/loss' AND r.state = 'finished' AND r.variant = '${variant}' GROUP BY p.value)`);
  const gap = Number(mean("ternary")) - Number(mean("fp16"));
  near(Number(/([-+][\d.]+)/.exec(words)?.[1]), gap, 0.006, "gap");
  equal(/^ternary is .* nats behind fp16 at .* parameters, .* faster, weights .* smaller; n = 6/.test(words), true, words);
}));

await claim("the table of sides shows each side's own best rate", () => at("demo", "#compare/lr", {}, async (page) => {
  equal(await page.locator(".sides tbody tr").count(), 2, "rows");
  equal(plain(await text(page, ".sides tbody tr:nth-child(1) td:nth-of-type(3)")), "3e-3", "rate");
}));

await claim("a sweep with an answer stands above newer ones that have none, each in a line that says what it lacks", () => at("waiting", "#compare", {}, async (page) => {
  equal(await page.locator("h2").allInnerTexts(), ["answered", "No answer yet"], "order");
  const lines = (await page.locator(".waits li").allInnerTexts()).map((line) => plain(line).replace(/(\.) [01] of 2.*/s, "$1"));
  equal(lines, ["to-come No run has begun yet: 2 to come.", "begun No run has finished yet: 1 running, 1 to come.",
    "halfway Only ternary has finished runs, fp16 has none yet: 1 running."], "what is missing");
  equal((await page.locator(".waits").boundingBox()).height < 100, true, "a line each");
  await page.locator(".waits a", { hasText: "to-come" }).click();
  await becomes(() => page.locator(".verdict").allInnerTexts(), ["No run has begun yet: 2 to come."], "alone");
  equal(await page.locator(".chart").count(), 0, "no empty chart");
}));

await claim("all runs are in the table and the count says so", () => at("demo", "#runs", {}, async (page) => {
  equal(Number(await page.locator(".runs-table").getAttribute("aria-rowcount")) - 1, Number(query(home("demo"), "SELECT count(*) FROM run")), "rows");
}));

await claim("on a narrow screen the bar shows where one is", () => at("demo", "#pareto/lr", { width: 320 }, async (page) => {
  const [tabs, tab] = [await page.locator(".tabs").boundingBox(), await page.locator(".tab[aria-current]").boundingBox()];
  equal(tab.x >= tabs.x - 1 && tab.x + tab.width <= tabs.x + tabs.width + 1, true, `${tab.x} + ${tab.width} within ${tabs.x} + ${tabs.width}`);
}));

await claim("a filter keeps what the database finds", () => at("demo", "#runs", {}, async (page) => {
  await page.keyboard.press("/");
  await page.keyboard.type("quant.variant = fp16 and optim.lr > 1e-3 and val/loss < 1.7");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.hash.includes("q="));
  const found = Number(query(home("demo"), `SELECT count(*) FROM run r JOIN param p ON p.run_id = r.id AND p.name = 'optim.lr'
    JOIN latest l ON l.run_id = r.id JOIN metric_key k ON k.id = l.key_id
    WHERE r.variant = 'fp16' AND CAST(p.value AS REAL) > 1e-3 AND k.name = 'val/loss' AND l.last < 1.7`));
  await becomes(async () => Number(await page.locator(".runs-table").getAttribute("aria-rowcount")) - 1, found, "rows");
}));

await claim("who chooses by keyboard stays where they were", () => at("demo", "#compare/lr", {}, async (page) => {
  const here = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent);
  await page.locator(".choice-item", { hasText: "tokens" }).first().focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.hash.includes("x=tokens"));
  await becomes(here, "tokens", "focus after a choice");
  await page.locator("button", { hasText: "hide published" }).first().focus();
  await page.keyboard.press("Enter");
  await becomes(here, "show published", "focus after a switch");
  await page.evaluate(() => { location.hash = "#runs"; });
  await page.locator("#filter").fill("quant.variant = ternary");
  await page.locator("#filter").press("Enter");
  await becomes(here, "Runs", "focus after a filter: the table that it is for");
}));

await claim("memory by part adds up to what the table says", () => at("demo", "#compare/lr", {}, async (page) => {
  const row = page.locator(".sides tbody tr").first();
  const told = plain(await row.locator("td").nth(4).innerText());
  const drawn = plain(await page.locator(".chart", { hasText: "Training memory by part" }).locator("text.note").first().textContent());
  equal(told.startsWith(drawn), true, `${told} in the table, ${drawn} in the chart`);
}));

await claim("a mistake in the filter is named and hides nothing", () => at("demo", "#runs?q=no.such+%3D+1", {}, async (page) => {
  equal(/no knob or metric is called "no.such"/.test(await text(page, ".problem")), true, "message");
}));

await claim("keys choose runs for the overlay, and the address holds it", () => at("demo", "#runs?sort=name", {}, async (page) => {
  for (let i = 1; i <= 3; i++) {
    await page.keyboard.press("j");
    await page.keyboard.press("p");
    await page.waitForFunction((n) => document.querySelectorAll(".run-row.chosen").length === n, i);
  }
  await page.waitForFunction(() => document.querySelectorAll(".runs canvas").length === 1);
  await becomes(() => page.evaluate(() => (location.hash.split("sel=")[1] ?? "").split(",").length), 3, "runs in the address");
}));

await claim("groups hold the runs that differ in the seed alone", () => at("demo", "#runs?group=seed&q=sweep+%3D+lr+and+state+%3D+finished", {}, async (page) => {
  equal(await page.locator(".group-row").count(), 10, "groups");
  await page.locator(".group-row .open").first().click();
  await becomes(() => page.locator(".run-row").count(), 6, "runs of the group");
}));

await claim("a run shows its numbers, its twin and its log", () => {
  const key = query(home("demo"), "SELECT key FROM run WHERE name = 'w128-ternary-lr3e-03-s1' LIMIT 1");
  return at("demo", `#run/${key}`, { height: 1400 }, async (page) => {
    const best = Number(query(home("demo"), `SELECT l.min FROM latest l JOIN run r ON r.id = l.run_id JOIN metric_key k ON k.id = l.key_id
      WHERE r.key = '${key}' AND k.name = 'val/loss'`));
    near(parseFloat(plain(await page.locator(".fact", { hasText: "best val/loss" }).locator("dd").innerText())), best, 1e-8, "best");
    equal(/fp16|bf16/.test(await text(page, ".legend")), true, "twin in the legend");
    equal(/6\.1 M tokens/.test(await page.locator(".log").innerText()), true, "log");
    equal(await page.locator("tr.differs th").allInnerTexts(), ["quant.variant"], "what differs");
  });
});

await claim("zooming in reaches every record", () => {
  const key = query(home("demo"), "SELECT key FROM run WHERE name = 'w128-ternary-lr3e-03-s1' LIMIT 1");
  return at("demo", `#run/${key}?y=train/loss`, {}, async (page) => {
    const box = await page.locator(".run > .charts .u-over").boundingBox();
    await page.mouse.move(box.x + box.width * 0.4, box.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60, { steps: 4 });
    await page.mouse.up();
    await page.waitForFunction(() => location.hash.includes("z="));
    await page.mouse.move(box.x + box.width * 0.5, box.y + 80);
    const shown = await page.locator(".tip .tip-near .tip-value").first().innerText();
    const known = query(home("demo"), `SELECT count(*) FROM value v JOIN run r ON r.id = v.run_id JOIN metric_key k ON k.id = v.key_id
      WHERE r.key = '${key}' AND k.name = 'train/loss' AND v.number = ${Number(plain(shown))}`);
    const others = query(home("demo"), `SELECT count(*) FROM value v JOIN metric_key k ON k.id = v.key_id WHERE k.name = 'train/loss' AND v.number = ${Number(plain(shown))}`);
    equal(Number(known) + Number(others) > 0, true, `${shown} is a number of the database`);
  });
});

for (const [kind, words] of [["empty", "Nothing here yet"], ["one", "Only ternary is in it: there is no twin"], ["nan", "No run has finished."]]) {
  await claim(`a home of the kind "${kind}" says something sensible`, () => at(kind, "", {}, async (page) => {
    equal((await page.locator("main").innerText()).includes(words), true, words);
  }));
}

await claim("hostile names are shown as names", () => at("hostile", "#runs", {}, async (page) => {
  equal((await page.locator(".runs-table").innerText()).includes("<img src=x onerror=alert(1)>"), true, "name");
  equal(await page.locator("main img, main script").count(), 0, "elements made of names");
}));

for (const place of ["", "#runs?sel=x", "#run/zzzzzzzz", "#nonsense/%E0%A4%A"]) {
  await claim(`the address "${place}" opens`, () => at("hostile", place, {}, async () => {}));
}

await claim("the sweep's counts are the database's", () => at("demo", "#sweep/lr", {}, async (page) => {
  const counts = query(home("demo"), "SELECT r.state, count(*) FROM run r JOIN sweep s ON s.id = r.sweep_id WHERE s.name = 'lr' GROUP BY r.state").split("\n").map((row) => row.split("|"));
  const words = await text(page, ".progress p");
  for (const [state, count] of counts) equal(words.includes(`${count} ${state}`), true, `${count} ${state} in "${words}"`);
}));

await claim("brushing an axis keeps the runs that pass there", () => at("demo", "#sweep/lr", { height: 1600 }, async (page) => {
  const box = await page.locator(".parallel .brush").first().boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height - 4);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.7, { steps: 3 });
  await page.mouse.up();
  await becomes(async () => /^\d+ of 60 runs$/.test(await text(page, ".chart:has(.parallel) .soft")), true, "count");
  await becomes(async () => Number.parseInt(await text(page, ".chart:has(.parallel) .soft"), 10), 30, "the half with that variant");
}));

await claim("a chart's CSV holds the database's numbers", () => at("demo", "#compare/lr", {}, async (page) => {
  await page.locator(".chart", { hasText: "of the twins" }).first().locator("summary").click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".menu[open] button", { hasText: "CSV" }).click()]);
  const rows = readFileSync(await download.path(), "utf8").trim().split("\r\n").slice(1).map((row) => row.split(","));
  const known = Number(query(home("demo"), `SELECT count(*) FROM value v JOIN metric_key k ON k.id = v.key_id JOIN run r ON r.id = v.run_id JOIN sweep s ON s.id = r.sweep_id
    JOIN param p ON p.run_id = r.id AND p.name = 'optim.lr' WHERE s.name = 'lr' AND k.name = 'val/loss' AND p.value = '0.003' AND r.state = 'finished'`));
  equal(rows.length, known, "rows");
  const [name, , , step, value] = rows[7];
  const stored = query(home("demo"), `SELECT printf('%.17g', v.number) FROM value v JOIN metric_key k ON k.id = v.key_id JOIN run r ON r.id = v.run_id JOIN sweep s ON s.id = r.sweep_id
    JOIN record c ON c.run_id = r.id AND c.seq = v.seq WHERE s.name = 'lr' AND r.name = '${name}' AND k.name = 'val/loss' AND c.step = ${step}`);
  near(Number(value), Number(stored), 1e-15 * Number(stored) + 1e-15, "a number, to the digits that sqlite3 prints");
}));

for (const kind of ["SVG", "PNG"]) {
  await claim(`a chart is saved as ${kind}`, () => at("demo", "#compare/lr", {}, async (page) => {
    await page.locator(".chart", { hasText: "learning rate" }).locator("summary").first().click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(".menu[open] button", { hasText: kind }).click()]);
    const bytes = readFileSync(await download.path());
    equal(kind === "SVG" ? bytes.toString("utf8").startsWith("<svg") && !bytes.includes("var(") : bytes.subarray(1, 4).toString() === "PNG", true, "content");
    equal(bytes.length > 2000, true, "size");
  }));
}

await claim("keys turn dark, group, and tell of themselves", () => at("demo", "#runs?sort=name", {}, async (page) => {
  await page.keyboard.press("d");
  await becomes(() => page.evaluate(() => document.documentElement.dataset.theme), "dark", "theme");
  await page.keyboard.press("g");
  await page.waitForFunction(() => location.hash.includes("group=seed"));
  await page.keyboard.press("?");
  await becomes(async () => await page.locator("dialog.help kbd").count() >= 8, true, "help");
  await page.keyboard.press("Escape");
  await becomes(() => page.locator("dialog.help").count(), 0, "closed");
}));

await claim("a baseline shows what others differ by", () => at("demo", "#runs?sort=name", {}, async (page) => {
  await page.keyboard.press("j");
  await page.keyboard.press("b");
  await page.waitForFunction(() => location.hash.includes("base="));
  await becomes(async () => await page.locator("td.differs").count() > 0, true, "marked cells");
}));

await claim("columns are pinned, moved and hidden, and the address holds it", () => at("demo", "#runs?sort=name", { width: 1000 }, async (page) => {
  const heads = () => page.locator(".runs-table thead th").allInnerTexts();
  await page.locator("summary", { hasText: "columns" }).click();
  await page.getByRole("button", { name: "Keep state in view" }).click();
  await becomes(() => page.evaluate(() => new URLSearchParams(location.hash.split("?")[1]).get("pin")), "name,state", "pins");
  await becomes(async () => (await heads()).slice(1, 3).map((words) => words.replace(/[\s\u25b4\u25be]/g, "")), ["name", "state"], "first columns");
  await page.locator(".table-box").evaluate((box) => { box.scrollLeft = 400; });
  const [box, head] = [await page.locator(".table-box").boundingBox(), await page.locator(".runs-table th.pinned").nth(1).boundingBox()];
  equal(head.x > box.x + 200 && head.x < box.x + 300, true, `the pinned column stays, at ${head.x - box.x}`);
  equal(await page.locator(".columns-body").isVisible(), true, "the menu stays open");
  await page.getByRole("button", { name: "Move state to the left" }).click();
  await becomes(async () => (await heads())[1].trim(), "state", "moved");
  await page.locator(".column-item", { hasText: /^variant/ }).locator("input").uncheck();
  await becomes(async () => (await heads()).some((words) => words.trim() === "variant"), false, "hidden");
}));

await claim("more runs than lines can tell apart are drawn as bands, and the page says so", () => at("big", "#runs?sel=*", {}, async (page) => {
  equal(/More than 200 runs/.test(await text(page, ".chart-note")), true, "said");
  await becomes(() => page.locator(".runs > .charts .legend-item").allInnerTexts(), ["ternary, mean of 105", "fp16, mean of 105"], "legend");
}));

await claim("a sweep of many runs is drawn as bands, or line by line when asked, and says which", () => at("big", "#sweep/big", {}, async (page) => {
  equal(/^210 runs: of each variant the mean/.test(await text(page, ".chart-note")), true, "said");
  equal(await text(page, "h3"), "val/loss of all runs", "title");
  await page.getByRole("button", { name: "lines" }).click();
  await becomes(async () => /A cross ends a run/.test(await text(page, ".chart-note")), true, "line by line");
  await becomes(() => page.locator(".chart-body").first().getAttribute("aria-label"), "val/loss against step of 210 runs", "all of them");
}));

await claim("scrolling there and back shows the rows that are there, each once and in order", () => at("big", "#runs?sort=number", {}, async (page) => {
  const shown = () => page.evaluate(() => [...document.querySelectorAll(".run-row")].map((row) => Number(row.getAttribute("aria-rowindex")) - 2));
  for (const top of [340, 2000, 1700, 6000, 100000, 5900, 0]) {
    await page.locator(".table-box").evaluate((box, to) => { box.scrollTop = to; }, top);
    await becomes(async () => {
      const [rows, place] = [await shown(), await page.locator(".table-box").evaluate((box) => [box.scrollTop, box.clientHeight])];
      const whole = rows.every((row, i) => row === rows[0] + i);
      return whole && rows[0] <= Math.floor(place[0] / 34) && rows[rows.length - 1] >= Math.min(209, Math.floor((place[0] + place[1]) / 34) - 1);
    }, true, `rows at ${top}`);
  }
}));

await claim("rungs tell who came, who went on and who was cut", () => at("pruned", "#sweep/halving", { height: 2400 }, async (page) => {
  await becomes(() => page.locator(".chart:has(h3:text('Rungs of asha')) svg[role=img]").getAttribute("aria-label"),
    "step 40: 27 came \u00b7 18 cut; step 120: 9 came \u00b7 6 cut; step 360: 3 came \u00b7 0 cut", "counts");
  const cut = Number(query(home("pruned"), "SELECT count(*) FROM run WHERE state = 'pruned'"));
  equal((await text(page, "summary.h2")).startsWith(`${cut} runs ended early`), true, "counted");
  equal(/diverged at step 20/.test(await page.locator("section:has(h2:text('What did not go well'))").innerText()), true, "failures apart");
}));

await claim("sweeps that share no knob stand side by side", () => at("odd", "#runs?cols=name,tree.depth,model.width,best:accuracy,leaf_s", {}, async (page) => {
  equal(await page.locator(".run-row").count(), 4, "runs");
  const row = async (name) => (await page.locator(".run-row", { hasText: name }).locator("td").allInnerTexts()).slice(2).map(plain);
  equal(await row("tree-1"), ["3", "\u2013", "0.9688", "60 \u00b5s"], "another program's run");
  equal(await row("with-a-note"), ["\u2013", "128", "\u2013", "\u2013"], "ours");
}));

await claim("a note of a hundred thousand letters is read in a box of its own", () => {
  const key = query(home("odd"), "SELECT key FROM run WHERE name = 'with-a-note'");
  return at("odd", `#run/${key}`, {}, async (page) => {
    await becomes(async () => (await page.locator(".notes").textContent()).length > 100000, true, "whole");
    equal((await page.locator(".notes").boundingBox()).height <= 260, true, "height");
  });
});

await browser.close();
done();
