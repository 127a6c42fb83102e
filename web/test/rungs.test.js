import { test } from "node:test";
import assert from "node:assert/strict";
import { climb, count, earlyOf, rungsOf } from "../src/rungs.js";

const SPEC = `name = "a"
[early_terminate]
type     = "asha"   # stops
min_iter = 1_0
eta      = 3
[config]
"train.steps" = 400
`;

test("the rule is read from the sweep file, however it is written", () => {
  const wanted = { type: "asha", min: 10, max: 0, s: 0, eta: 3 };
  assert.deepEqual(earlyOf(SPEC), wanted);
  assert.deepEqual(earlyOf('early_terminate = { type = "asha", min_iter = 10 }'), wanted);
  assert.deepEqual(earlyOf("early_terminate.type = 'asha'\nearly_terminate.min_iter = 10"), wanted);
  assert.equal(earlyOf('[config]\ntype = "asha"'), null);
});

test("rungs are those that somebody reached", () => {
  assert.deepEqual(rungsOf({ type: "asha", min: 10, max: 0, s: 0, eta: 3 }, 100), [10, 30, 90]);
  assert.deepEqual(rungsOf({ type: "asha", min: 10, max: 90, s: 0, eta: 3 }, 100), [10, 30]);
  assert.deepEqual(rungsOf({ type: "hyperband", min: 0, max: 27, s: 2, eta: 3 }, 27), [3, 9]);
  assert.deepEqual(rungsOf({ type: "median", min: 10, max: 0, s: 0, eta: 3 }, 100), []);
});

test("a run stands on every rung up to the one that cut it", () => {
  const x = [10, 20, 30, 40];
  const runs = [
    { key: "a", cut: false, reason: "", ended: true, x, y: [4, 3, 2, 1] },
    { key: "b", cut: true, reason: "pruned: asha: 5 at step 10 is number 2 of 2, 1 goes on", ended: false, x: [10, 20, 30], y: [5, 5, 5] },
    { key: "c", cut: true, reason: "", ended: false, x: [10, 20, 30], y: [4, 4, 4] },
    { key: "d", cut: false, reason: "", ended: false, x: [10, 20], y: [3, 3] }];
  const rungs = climb({ type: "asha", min: 10, max: 0, s: 0, eta: 3 }, runs);
  assert.deepEqual(rungs.map((rung) => rung.at), [10, 30]);
  assert.deepEqual(rungs[0].arrivals.map((a) => a.key + " " + a.fate), ["a on", "b cut", "c on", "d here"]);
  assert.deepEqual(rungs[1].arrivals.map((a) => `${a.key} ${a.fate} ${a.value}`), ["a on 2", "c cut 4"]);
  assert.equal(count(rungs[0], "on"), 2);
});

test("hyperband counts reports that are numbers", () => {
  const runs = [{ key: "a", cut: true, reason: "hyperband: 3 is worse than 2 in the band of 2 reports", ended: false, x: [5, 10, 15], y: [NaN, 4, 3] }];
  const rungs = climb({ type: "hyperband", min: 1, max: 0, s: 0, eta: 2 }, runs);
  assert.deepEqual(rungs.map((rung) => rung.arrivals[0]), [{ key: "a", step: 10, value: 4, fate: "on" }, { key: "a", step: 15, value: 3, fate: "cut" }]);
});
