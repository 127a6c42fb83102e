import { test } from "node:test";
import assert from "node:assert/strict";
import { crossing, fitAt, fitScaling, sizeRatio, valley } from "../src/fit.js";

const SIZES = [99.7e6, 190e6, 390e6, 560e6, 830e6, 1.1e9, 1.5e9, 2.4e9, 3.9e9];
const made = (floor, scale, exponent) => SIZES.map((n) => ({ n, loss: floor + scale * n ** -exponent }));

test("a law without noise is found as it is", () => {
  const fit = fitScaling(made(1.76, 185, 0.26));
  assert.ok(Math.abs(fit.floor - 1.76) < 1e-6, `floor ${fit.floor}`);
  assert.ok(Math.abs(fit.exponent - 0.26) < 1e-6, `exponent ${fit.exponent}`);
  assert.ok(Math.abs(fit.scale / 185 - 1) < 1e-4, `scale ${fit.scale}`);
});

test("one run that went wrong does not bend the law", () => {
  const points = made(1.76, 185, 0.26);
  points[4].loss *= 1.03;
  const fit = fitScaling(points);
  assert.ok(Math.abs(fit.floor - 1.76) < 0.02 && Math.abs(fit.exponent - 0.26) < 0.01, JSON.stringify(fit));
});

test("three sizes are too few", () => assert.equal(fitScaling(made(1, 10, 0.3).slice(0, 3)), null));

test("the ratio of sizes says what a low-bit model needs for the same loss", () => {
  const low = { floor: 1, scale: 20, exponent: 0.5 };
  const high = { floor: 1, scale: 10, exponent: 0.5 };
  assert.ok(Math.abs(sizeRatio(low, high, 1e6) - 4) < 1e-9);
  assert.ok(Number.isNaN(sizeRatio({ ...low, floor: 2 }, high, 1e12)), "never reached");
});

test("curves cross where both say the same", () => {
  const a = { floor: 1, scale: 100, exponent: 0.5 };
  const b = { floor: 1.05, scale: 10, exponent: 0.4 };
  const n = crossing(a, b, 100, 1e9);
  assert.ok(Math.abs(fitAt(a, n) - fitAt(b, n)) < 1e-9);
  assert.ok(Number.isNaN(crossing(a, a, 100, 1e9)));
});

test("the least of a valley is found between the rates, with an interval around it", () => {
  const rates = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2];
  const points = rates.flatMap((rate) => [0, 1, 2, 3].map((seed) => ({ rate, loss: 2 + 0.3 * (Math.log10(rate) + 2.35) ** 2 + 0.004 * Math.sin(seed * 7 + rate * 1e4) })));
  const least = valley(points);
  assert.ok(Math.abs(Math.log10(least.rate) + 2.35) < 0.03, String(least.rate));
  assert.ok(least.low < least.rate && least.rate < least.high);
  assert.deepEqual(valley(points), least, "the same on every visit");
});

test("a slope without a valley has no least", () => {
  assert.equal(valley([1e-3, 1e-2, 1e-1].map((rate) => ({ rate, loss: -Math.log10(rate) }))), null);
  assert.equal(valley([1e-3, 1e-2].map((rate) => ({ rate, loss: 1 }))), null);
});
