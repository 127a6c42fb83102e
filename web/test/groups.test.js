import { test } from "node:test";
import assert from "node:assert/strict";
import { arranged, grouped, sorted, summary } from "../src/groups.js";

const runs = [{ a: 2, b: "x", s: 0 }, { a: 1, b: "x", s: 1 }, { b: "y", s: 2 }, { a: NaN, b: "y", s: 3 }];
const value = (run, name) => run[name];

test("what has no value comes last in both directions", () => {
  assert.deepEqual(sorted(runs, (run) => run.a, false).map((run) => run.s), [1, 0, 2, 3]);
  assert.deepEqual(sorted(runs, (run) => run.a, true).map((run) => run.s), [0, 1, 2, 3]);
});

test("words sort as people count", () => {
  assert.deepEqual(sorted(["s10", "s9"], (word) => word, false), ["s9", "s10"]);
});

test("groups keep runs that agree in all of the knobs", () => {
  assert.deepEqual(grouped(runs, ["b"], value).map((group) => group.runs.length), [2, 2]);
});

test("a group shows the mean with its interval, or the word that all share", () => {
  const told = summary(runs.slice(0, 2), "a", value, true);
  assert.equal(told.mean, 1.5);
  assert.ok(Math.abs(told.half - 12.706 * 0.5) < 1e-9);
  assert.equal(summary(runs.slice(0, 2), "b", value, true).word, "x");
  assert.equal(summary(runs, "b", value, true).word, "2 values");
});

test("an open group shows its runs below it", () => {
  const rows = arranged(runs, { by: ["b"], sort: "a", descending: false, open: new Set([JSON.stringify(["x"])]) }, value);
  assert.deepEqual(rows.map((row) => (row.kind === "group" ? "group" : row.run.s)), ["group", 1, 0, "group"]);
});

test("a group of one is its run", () => {
  const alone = [{ a: 1, b: "x" }, { a: 2, b: "y" }, { a: 3, b: "y" }];
  const rows = arranged(alone, { by: ["b"], sort: "a", descending: false, open: new Set() }, value);
  assert.deepEqual(rows.map((row) => row.kind), ["run", "group"]);
});
