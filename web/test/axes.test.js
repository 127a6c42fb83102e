import { test } from "node:test";
import assert from "node:assert/strict";
import { curveOf } from "../src/axes.js";

const series = (name, seq, value) => ({ name, count: seq.length, seq: Float64Array.from(seq), step: Float64Array.from(seq, (s) => s * 10),
  wall: Float64Array.from(seq, (s) => 100 + s), value: Float64Array.from(value) });
const all = new Map([["val/loss", series("val/loss", [0, 5, 10], [3, 2, 1])], ["tokens", series("tokens", [1, 4, 7, 10], [100, 400, 700, 1000])]]);

test("a curve against steps and time is the series itself", () => {
  assert.deepEqual([...curveOf(all, "val/loss", "step", 100).x], [0, 50, 100]);
  assert.deepEqual([...curveOf(all, "val/loss", "time", 100).x], [0, 5, 10]);
});

test("tokens taken at other records are read between them", () => {
  const curve = curveOf(all, "val/loss", "tokens", 100);
  assert.deepEqual([...curve.x], [500, 1000], "what lies before the first count is left out");
  assert.deepEqual([...curve.y], [2, 1]);
});

test("a run that counts no energy has no curve against it", () => {
  assert.equal(curveOf(all, "val/loss", "energy", 100), null);
  assert.equal(curveOf(all, "no such", "step", 100), null);
});
