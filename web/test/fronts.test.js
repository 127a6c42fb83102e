import { test } from "node:test";
import assert from "node:assert/strict";
import { bestSoFar, front, slots, stairs } from "../src/fronts.js";

const at = (x, y) => ({ x, y });

test("the front holds what nothing beats in both", () => {
  const points = [at(1, 5), at(2, 3), at(3, 4), at(4, 1), at(5, 2), at(NaN, 0)];
  assert.deepEqual(front(points, false, false), [at(1, 5), at(2, 3), at(4, 1)]);
  assert.deepEqual(front(points, true, false), [at(4, 1), at(5, 2)]);
  assert.deepEqual(front(points, false, true), [at(1, 5)]);
});

test("no brute force finds another front", () => {
  const points = Array.from({ length: 60 }, (_, i) => at((i * 37) % 11, (i * 53) % 13));
  const beaten = (p) => points.some((q) => q.x <= p.x && q.y <= p.y && (q.x < p.x || q.y < p.y));
  const wanted = points.filter((p) => !beaten(p)).map((p) => `${p.x},${p.y}`).sort();
  assert.deepEqual(front(points, false, false).map((p) => `${p.x},${p.y}`).sort(), wanted);
});

test("steps claim nothing that no run reached", () => {
  assert.deepEqual(stairs([at(1, 5), at(2, 3)], false), { x: [1, 2, 2], y: [5, 5, 3] });
  assert.deepEqual(stairs([at(1, 3), at(2, 5)], true), { x: [1, 1, 2], y: [3, 5, 5] });
});

test("the best so far never gets worse and passes over what is not finite", () => {
  assert.deepEqual(bestSoFar([at(1, NaN), at(2, 3), at(3, 4), at(4, 2)], false).map((p) => p.y), [NaN, 3, 3, 2]);
  assert.deepEqual(bestSoFar([at(1, 3), at(2, 4), at(3, 1)], true).map((p) => p.y), [3, 4, 4]);
});

test("runs that overlap never share a slot", () => {
  const spans = [{ start: 0, end: 5 }, { start: 1, end: 3 }, { start: 3, end: 9 }, { start: 5, end: 6 }];
  assert.deepEqual(slots(spans), [0, 1, 1, 0]);
});
