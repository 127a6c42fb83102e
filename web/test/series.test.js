import { test } from "node:test";
import assert from "node:assert/strict";
import { columnPicks, glance, groupMean, integers, lowerBound, nearest, numbers, smoothed, valueAt, BAND_RUNS } from "../src/series.js";

const curve = (x, y) => ({ x: Float64Array.from(x), y: Float64Array.from(y) });

test("columns of integers come back as they were", () => {
  assert.deepEqual([...integers({ from: 5, by: 10, count: 4 })], [5, 15, 25, 35]);
  assert.deepEqual([...integers({ from: 5, deltas: [1, 4, -2] })], [5, 6, 10, 8]);
  assert.deepEqual([...integers({ from: 0, by: 1, count: 0 })], []);
});

test("numbers that JSON cannot say come back", () => {
  assert.deepEqual([...numbers(["NaN", "Infinity", "-Infinity", 1.5], false)], [NaN, Infinity, -Infinity, 1.5]);
});

test("floats said in nine digits come back to the bit", () => {
  const value = Math.fround(2.345678);
  assert.equal(numbers([Number(value.toPrecision(9))], true)[0], value);
});

test("search finds the first that is not below", () => {
  assert.equal(lowerBound([1, 2, 2, 5], 2), 1);
  assert.equal(lowerBound([1, 2], 9), 2);
  assert.equal(nearest([1, 2, 5], 3.4), 1);
  assert.equal(nearest([], 3), -1);
});

test("a value between points is linear, outside there is none", () => {
  assert.equal(valueAt(curve([0, 10], [1, 3]), 5), 2);
  assert.ok(Number.isNaN(valueAt(curve([0, 10], [1, 3]), 11)));
});

test("smoothing keeps a constant and passes over what is not finite", () => {
  assert.deepEqual([...smoothed(curve([0, 1, 2], [4, 4, 4]), 0.9)], [4, 4, 4]);
  const out = smoothed(curve([0, 1, 2], [4, NaN, 4]), 0.9);
  assert.ok(Number.isNaN(out[1]) && out[2] === 4);
});

test("smoothing treats a gap as the time that it is", () => {
  const even = smoothed(curve([0, 1, 1000], [0, 0, 1]), 0.9);
  assert.ok(even[2] > 0.99);
});

test("the end of a run does not move the mean silently", () => {
  const mean = groupMean([curve([0, 1, 2], [1, 1, 1]), curve([0, 1], [3, 3])]);
  assert.deepEqual([...mean.y], [2, 2, 1]);
  assert.deepEqual([...mean.count], [2, 2, 1]);
});

test("curves with other steps join between their points", () => {
  const mean = groupMean([curve([0, 2], [0, 2]), curve([0, 1, 2], [0, 1, 2])]);
  assert.deepEqual([...mean.x], [0, 1, 2]);
  assert.deepEqual([...mean.y], [0, 1, 2]);
});

test("few runs have the least and the largest as band, many the interval of the mean", () => {
  const few = groupMean([curve([0], [1]), curve([0], [5])]);
  assert.deepEqual([few.low[0], few.high[0]], [1, 5]);
  const many = groupMean(Array.from({ length: BAND_RUNS }, (_, i) => curve([0], [i])));
  const half = (2.776 * Math.sqrt(2.5)) / Math.sqrt(5);
  assert.ok(Math.abs(many.high[0] - (2 + half)) < 1e-9);
});

test("decimation for the screen keeps every column's extremes, ends and gaps", () => {
  const n = 20000;
  const x = Array.from({ length: n }, (_, i) => i);
  const y = x.map((i) => Math.sin(i * 0.37) + (i === 7777 ? 50 : 0));
  y[5000] = NaN;
  const line = curve(x, y);
  const picks = columnPicks(line, 0, n, 100, 0, n);
  assert.ok(picks && picks.length <= 100 * 5);
  assert.ok(picks.includes(7777) && picks.includes(5000) && picks.includes(0) && picks.includes(n - 1));
  for (let column = 0; column < 100; column++) {
    const all = y.slice(column * 200, column * 200 + 200).filter(Number.isFinite);
    const kept = picks.filter((i) => Math.floor(i / 200) === column).map((i) => y[i]).filter(Number.isFinite);
    assert.equal(Math.max(...kept), Math.max(...all));
    assert.equal(Math.min(...kept), Math.min(...all));
  }
});

test("few points are drawn as they are", () => assert.equal(columnPicks(curve([0, 1], [0, 1]), 0, 2, 100, 0, 1), null));

test("a glance keeps both ends and a lone peak", () => {
  const y = Array(500).fill(0);
  y[250] = 9;
  const kept = glance(curve(y.map((_, i) => i), y), 20);
  assert.equal(kept.length, 20);
  assert.ok(kept.includes(0) && kept.includes(499) && kept.includes(250));
});

test("a band from least to largest holds every run, at as many places as are asked for", () => {
  const x = Float64Array.from({ length: 1000 }, (_, i) => i);
  const mean = groupMean([1, 2, 6].map((y) => ({ x, y: x.map(() => y) })), { range: true, points: 100 });
  assert.ok(mean.x.length <= 102 && mean.x[mean.x.length - 1] === 999);
  assert.deepEqual([mean.y[5], mean.low[5], mean.high[5]], [3, 1, 6]);
});
