import { test } from "node:test";
import assert from "node:assert/strict";
import { compile, FilterError } from "../src/filter.js";

const runs = [
  { name: "w64-ternary", variant: "ternary", "optim.lr": 0.001, "val/loss": 2.5, state: "finished" },
  { name: "w64-fp16", variant: "fp16", "optim.lr": 0.01, "val/loss": 2.1, state: "failed" },
  { name: "odd one", variant: "fp16", "optim.lr": 0.003, state: "running" },
];
const known = (name) => ["name", "variant", "optim.lr", "val/loss", "state", "steps"].includes(name);
const found = (text) => {
  const filter = compile(text, known);
  return runs.map((run, i) => (filter((name) => run[name]) ? i : -1)).filter((i) => i >= 0);
};

test("an empty filter lets everything through", () => assert.deepEqual(found("  "), [0, 1, 2]));
test("numbers compare as numbers", () => assert.deepEqual(found("optim.lr > 1e-3"), [1, 2]));
test("words compare without case", () => assert.deepEqual(found("variant = FP16"), [1, 2]));
test("and binds tighter than or", () => assert.deepEqual(found("variant = ternary or variant = fp16 and state = running"), [0, 2]));
test("parentheses and not", () => assert.deepEqual(found("not (variant = ternary or state = failed)"), [2]));
test("bare words find names", () => assert.deepEqual(found("w64 fp16"), [1]));
test("quoted words hold blanks", () => assert.deepEqual(found("\"odd one\""), [2]));
test("a run without the metric fits no bound on it", () => assert.deepEqual(found("val/loss < 3"), [0, 1]));
test("a run without the metric differs from any value", () => assert.deepEqual(found("val/loss != 2.1"), [0, 2]));
test("substring match", () => assert.deepEqual(found("name ~ 64-T"), [0]));

test("mistakes name what is wrong and where", () => {
  for (const text of ["optim.lr >", "(variant = fp16", "= 3", "variant = fp16 )", "no.such = 1", "\"open"]) {
    assert.throws(() => compile(text, known), FilterError, text);
  }
});
