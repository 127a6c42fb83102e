import { test } from "node:test";
import assert from "node:assert/strict";
import { byteTicks, linearTicks, logTicks, makeScale, padded, timeTicks } from "../src/scale.js";

test("a scale and its inverse agree", () => {
  for (const log of [false, true]) {
    const scale = makeScale([1, 1000], [40, 900], log);
    assert.ok(Math.abs(scale.invert(scale(37)) - 37) < 1e-9);
  }
});

test("ticks are round and inside", () => {
  assert.deepEqual(linearTicks(1.57, 2.23, 6), [1.6, 1.7, 1.8, 1.9, 2, 2.1, 2.2]);
  assert.deepEqual(logTicks(1e-4, 1e-1, 4), [1e-4, 1e-3, 1e-2, 1e-1]);
  assert.deepEqual(logTicks(2, 9, 6), [2, 5]);
  assert.deepEqual(timeTicks(0, 130, 5), [0, 30, 60, 90, 120]);
});

test("a range of one value gets room", () => {
  const [low, high] = padded(3, 3, false);
  assert.ok(low < 3 && high > 3);
  assert.deepEqual(padded(Infinity, -Infinity, false), [0, 1]);
});

test("bytes have ticks that are round in KiB and MiB", () => {
  assert.deepEqual(byteTicks(0, 20 * 1024 ** 2, 4, false), [0, 5, 10, 15, 20].map((v) => v * 1024 ** 2));
  assert.deepEqual(byteTicks(20 * 1024, 2 * 1024 ** 2, 3, true), [20 * 1024, 200 * 1024, 2 * 1024 ** 2]);
});
