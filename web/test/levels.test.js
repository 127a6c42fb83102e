import { test } from "node:test";
import assert from "node:assert/strict";
import { levelFor, spliced } from "../src/levels.js";

test("few records are read whole, many from the level that a chart can show", () => {
  assert.equal(levelFor(400, 3, 1), 0);
  assert.equal(levelFor(10000, 3, 1), 2);
  assert.equal(levelFor(1000, 1, 100), 1, "a hundred lines make do with the overview");
  assert.equal(levelFor(1000, 1, 10), 0);
});

test("a finer part takes the place of the overview's points in its range", () => {
  const series = (seq) => ({ name: "x", count: 9, seq: Float64Array.from(seq), step: Float64Array.from(seq), wall: Float64Array.from(seq), value: Float64Array.from(seq) });
  assert.deepEqual([...spliced(series([0, 4, 8]), series([3, 4, 5])).seq], [0, 3, 4, 5, 8]);
  assert.deepEqual([...spliced(series([0, 4, 8]), undefined).seq], [0, 4, 8]);
});
