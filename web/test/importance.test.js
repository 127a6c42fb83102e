import { test } from "node:test";
import assert from "node:assert/strict";
import { importances, levelsOf, RUNS_MIN } from "../src/importance.js";
import { generator } from "../src/fit.js";

test("a knob that moves the result explains it, one that does not does not", () => {
  const random = generator(5);
  const rates = Array.from({ length: 60 }, (_, i) => [1e-3, 1e-2, 1e-1][i % 3]);
  const seeds = rates.map((_, i) => Math.floor(i / 3) % 4);
  const scores = rates.map((rate) => Math.log10(rate) + 0.05 * random());
  const [first, second] = importances(new Map([["seed", seeds], ["lr", rates]]), scores);
  assert.equal(first.name, "lr");
  assert.ok(first.share > 0.99 && first.low > 0.9 && first.high <= 1);
  assert.ok(second.share < 0.05);
});

test("few runs have no importances", () => {
  assert.equal(importances(new Map([["lr", [1, 2]]]), [1, 2]), null);
  assert.ok(RUNS_MIN >= 10);
});

test("many numbers are cut into bins of equal count", () => {
  const levels = levelsOf(Array.from({ length: 60 }, (_, i) => i * 1.5));
  const counts = new Map();
  for (const level of levels) counts.set(level, (counts.get(level) ?? 0) + 1);
  assert.deepEqual([...counts.values()], [10, 10, 10, 10, 10, 10]);
});
