import { test } from "node:test";
import assert from "node:assert/strict";
import { fitAt, valley } from "../src/fit.js";

test("a law says the loss at a size", () => {
  assert.ok(Math.abs(fitAt({ floor: 1.76, scale: 185, exponent: 0.26 }, 1e9) - (1.76 + 185 * 1e9 ** -0.26)) < 1e-12);
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
