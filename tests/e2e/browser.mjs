// Debian's Chromium by playwright-core, and what every test of the page wants of it.

import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

export const openBrowser = () => chromium.launch({ executablePath: process.env.BN_CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS });

/**
 * A fresh page that remembers every complaint: uncaught errors, console errors, refused loads,
 * anything asked of another host.
 */
export async function openPage(browser, { width = 1280, height = 900, dark = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? "dark" : "light", acceptDownloads: true });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push("error: " + error.stack));
  page.on("console", (message) => { if (message.type() === "error") complaints.push("console: " + message.text()); });
  page.on("dialog", (dialog) => { complaints.push("dialog: " + dialog.message()); void dialog.dismiss(); });
  page.on("request", (request) => {
    const url = new URL(request.url());
    const own = ["file:", "blob:", "data:"].includes(url.protocol) || url.hostname === "127.0.0.1";
    if (!own) complaints.push("asked " + url.href);
  });
  return { page, complaints, close: () => context.close() };
}

/** Until nothing on the page says that it is still reading. */
export const settled = async (page) => {
  await page.waitForFunction(() => document.querySelector("#main > *") && ![...document.querySelectorAll(".waiting:not([hidden])")].some((e) => e.getBoundingClientRect().top < innerHeight && /Reading/.test(e.textContent)));
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
};
