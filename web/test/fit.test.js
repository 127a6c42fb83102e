import { test } from "node:test";
import assert from "node:assert/strict";
import { fitAt } from "../src/fit.js";

test("a law says the loss at a size", () => {
  assert.ok(Math.abs(fitAt({ floor: 1.76, scale: 185, exponent: 0.26 }, 1e9) - (1.76 + 185 * 1e9 ** -0.26)) < 1e-12);
});
