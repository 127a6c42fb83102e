import { test } from "node:test";
import assert from "node:assert/strict";
import { answers, missing, sentence, sideLabel } from "../src/verdict.js";

const side = (variant, mean, n, metrics) => ({ variant, best: { rate: 0.003, mean, sd: 0.01, runs: Array(n).fill(0), losses: [] },
  rates: [], metrics: Object.entries(metrics).map(([name, value]) => ({ name, mean: value })) });
const low = side("ternary", 1.81, 6, { tokens_per_s: 59000, "model/deployed_bytes": 1e5, "model/params": 1066240 });
const high = side("fp16", 1.6, 6, { tokens_per_s: 50000, "model/deployed_bytes": 7.6e5, "model/params": 1066240 });
const sweep = { metric: "val/loss", maximize: false };
const words = (cell) => sentence(cell, sweep).map((piece) => piece.text).join("").replace(/[\u202f\u2212\u00a0]/g, " ");

test("the sentence says gap, size, speed, weights and how many runs", () => {
  assert.equal(words({ where: [], sides: [high, low] }),
    "ternary is +0.21 nats behind fp16 at 1.1 M parameters, 1.18\u00d7 faster, weights 7.60\u00d7 smaller; n = 6 runs a side.");
});

test("with paired statistics it says the interval", () => {
  const pairs = [{ a: "ternary", b: "fp16", mean: 0.21, low: 0.18, high: 0.24, count: 6 }];
  assert.match(words({ where: [], sides: [low, high], pairs }), /\+0\.21 ± 0\.03 nats behind fp16 .*n = 6 pairs\.$/);
});

test("an interval that holds zero is no difference", () => {
  const pairs = [{ a: "ternary", b: "fp16", mean: 0.01, low: -0.02, high: 0.04, count: 5 }];
  assert.match(words({ where: [], sides: [low, high], pairs }), /^ternary is level with fp16/);
});

test("what was not measured is not said", () => {
  const bare = { where: [], sides: [side("ternary", 2, 1, {}), side("fp16", 1, 1, {})] };
  assert.equal(words(bare), "ternary is +1.00 nats behind fp16; n = 1 run a side.");
});

test("one side alone has no verdict", () => assert.equal(sentence({ where: [], sides: [low] }, sweep), null));

const runs = (...pairs) => pairs.map(([variant, state]) => ({ variant, state }));
const told = (planned, list, ...cells) => missing({ metric: "val/loss", planned, runs: list,
  comparison: cells.map((names) => ({ where: [], sides: names.map((variant) => ({ variant })) })) });

test("a sweep without an answer says what it still lacks", () => {
  assert.equal(told(4, []), "No run has begun yet: 4 to come.");
  assert.equal(told(2, runs(["ternary", "running"])), "No run has finished yet: 1 running, 1 to come.");
  assert.equal(told(1, runs(["ternary", "failed"])), "No run has finished.");
  assert.equal(told(1, runs(["ternary", "finished"])), "No run has finished with a number for val/loss.");
  assert.equal(told(1, runs(["", "finished"])), "Its runs say no variant: there are no sides to compare.");
  assert.equal(told(2, runs(["ternary", "finished"], ["fp16", "failed"]), ["ternary"]), "Only ternary has finished runs, fp16 has none.");
  assert.equal(told(2, runs(["ternary", "finished"]), ["ternary"]), "Only ternary is in it: there is no twin to compare it with (1 to come).");
  assert.match(told(2, runs(["fp16", "finished"], ["ternary", "finished"]), ["ternary"], ["fp16"]), /^ternary and fp16 have finished, but not at the same/);
});

test("a sweep answers when one of its models has two sides", () => {
  assert.equal(answers({ comparison: [{ sides: [low] }, { sides: [low, high] }] }), true);
  assert.equal(answers({ comparison: [{ sides: [low] }, { sides: [high] }] }), false);
});

test("a side that chose no learning rate is named without one", () => {
  assert.equal(sideLabel({ variant: "fp16", best: { rate: NaN } }), "fp16");
  assert.equal(sideLabel({ variant: "fp16", best: { rate: 2e-3 } }), "fp16, lr 2e\u22123");
});
