import { test } from "node:test";
import assert from "node:assert/strict";
import { byteTicks, linearTicks, logTicks, makeScale, padded, telling, ticksOf, timeTicks } from "../src/scale.js";

test("a scale and its inverse agree", () => {
  for (const log of [false, true]) {
    const scale = makeScale([1, 1000], [40, 900], log);
    assert.ok(Math.abs(scale.invert(scale(37)) - 37) < 1e-9);
  }
});

test("ticks are round and inside", () => {
  assert.deepEqual(linearTicks(1.57, 2.23, 6), [1.6, 1.7, 1.8, 1.9, 2, 2.1, 2.2]);
  assert.deepEqual(logTicks(1e-4, 1e-1, 4), [1e-4, 1e-3, 1e-2, 1e-1]);
  assert.deepEqual(logTicks(2, 9, 6), [2, 3, 5]);
  assert.deepEqual(logTicks(3e5, 5e9, 3), [1e6, 1e8]); // every other power, nothing between
  assert.deepEqual(logTicks(19e3, 54e3, 4), [2e4, 3e4, 4e4, 5e4]);
  assert.deepEqual(timeTicks(0, 130, 5), [0, 30, 60, 90, 120]);
});

test("a range of one value gets room", () => {
  const [low, high] = padded(3, 3, false);
  assert.ok(low < 3 && high > 3);
  assert.deepEqual(padded(Infinity, -Infinity, false), [0, 1]);
});

test("bytes have ticks that are round in KiB and MiB", () => {
  assert.deepEqual(byteTicks(0, 1.15 * 1024 ** 2, 5, false), [0, 256, 512, 768, 1024].map((v) => v * 1024)); // not 205 KiB
  assert.deepEqual(byteTicks(0, 20 * 1024 ** 2, 4, false), [0, 5, 10, 15, 20].map((v) => v * 1024 ** 2));
  assert.deepEqual(byteTicks(20 * 1024, 2 * 1024 ** 2, 3, true), [20 * 1024, 200 * 1024, 2 * 1024 ** 2]);
});

test("an axis says where it begins and how it goes on", () => {
  assert.deepEqual(ticksOf({ domain: [-0.35, 0.42] }, 2), [0]);
  assert.deepEqual(telling({ domain: [-0.35, 0.42] }, 2), [-0.2, 0, 0.2, 0.4]);
  assert.ok(telling({ domain: [3 * 2 ** 20, 12 * 2 ** 20], log: true, unit: "bytes" }, 3).length >= 3);
  assert.deepEqual(telling({ domain: [1, 1] }, 4), [1]); // no more than there are
});

test("there is no half of a step", () => {
  assert.deepEqual(ticksOf({ domain: [29, 31], whole: true }, 8), [29, 30, 31]);
  assert.deepEqual(telling({ domain: [0, 2], whole: true }, 6), [0, 1, 2]);
});
