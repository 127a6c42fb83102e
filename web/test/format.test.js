import { test } from "node:test";
import assert from "node:assert/strict";
import * as format from "../src/format.js";

const plain = (text) => text.replace(/\u202f/g, " ").replace(/\u2212/g, "-");

test("numbers keep their significant digits and no more", () => {
  assert.equal(plain(format.number(1.23456)), "1.235");
  assert.equal(plain(format.number(1234567)), "1 234 567");
  assert.equal(plain(format.number(-0.00001234)), "-1.234e-5");
  assert.equal(plain(format.number(0)), "0");
});

test("what is no number is said, not hidden", () => {
  assert.equal(format.number(NaN), "NaN");
  assert.equal(format.number(undefined), format.NOTHING);
  assert.equal(format.fixed(Infinity, 2), "\u221e");
});

test("thousands are counted in k, M, G with all digits shown", () => {
  assert.equal(plain(format.short(61000)), "61.0 k");
  assert.equal(plain(format.short(819072, 2)), "819 k");
  assert.equal(plain(format.short(999999)), "1.00 M");
  assert.equal(plain(format.short(12)), "12");
});

test("bytes are binary", () => {
  assert.equal(plain(format.bytes(1536)), "1.50 KiB");
  assert.equal(plain(format.bytes(12)), "12 B");
});

test("rates are powers of ten", () => {
  assert.equal(plain(format.rate(0.0003)), "3e-4");
  assert.equal(plain(format.rate(0.1)), "0.1");
});

test("ticks of one axis share their decimals", () => {
  const say = format.ticks([1.6, 1.8, 2, 2.2]);
  assert.deepEqual([1.6, 2].map(say), ["1.6", "2.0"]);
  const long = format.ticks([0, 20000, 40000]);
  assert.deepEqual([0, 20000].map((v) => plain(long(v))), ["0", "20 k"]);
});

test("ticks beyond all prefixes are powers of ten", () => {
  const say = format.ticks([0, 1e30, 2e30]);
  assert.deepEqual([0, 1e30, 2e30].map((v) => plain(say(v))), ["0", "1e30", "2e30"]);
});

test("durations are read, not computed", () => {
  assert.equal(plain(format.duration(3725)), "1 h 2 min");
  assert.equal(plain(format.duration(0.25)), "250 ms");
});

test("a knob's value has no digits that nobody gave", () => {
  assert.equal(format.knob("optim.beta1", 0.9), "0.9");
  assert.equal(plain(format.knob("model.context", 2048)), "2 048");
  assert.equal(format.knob("model.tied", true), "yes");
});

test("small joules keep their digits and take a prefix", () => {
  assert.equal(plain(format.si(2.08e-8, "J")), "20.8 nJ");
  assert.equal(plain(format.metric("energy/estimate_j_per_token", 7.103e-9)), "7.10 nJ/token");
  assert.equal(plain(format.metric("machine/peak_flops", 935152255494)), "935 GFLOP/s");
  const say = format.ticks([0, 1e-8, 2e-8], false, "J/token");
  assert.deepEqual([0, 1e-8, 2e-8].map((v) => plain(say(v))), ["0", "10 nJ", "20 nJ"]);
  assert.equal(plain(format.duration(6e-5)), "60 \u00b5s");
});

test("ticks within a decade share decimals on a logarithmic axis too", () => {
  const say = format.ticks([1.8, 2, 2.2], true);
  assert.deepEqual([1.8, 2].map(say), ["1.8", "2.0"]);
});

test("several words are listed as people say them", () => {
  assert.equal(format.listed(["a"]), "a");
  assert.equal(format.listed(["a", "b"]), "a and b");
  assert.equal(format.listed(["a", "b", "c"]), "a, b and c");
  assert.equal(format.listed([]), "");
});

test("a setting keeps the digits that matter", () => {
  assert.equal(plain(format.setting("optim.lr=0.00749384520202275 optim.warmup_steps=26")), "lr 7.49e-3, warmup_steps 26");
  assert.equal(format.setting("optim.schedule=cosine"), "schedule cosine");
  assert.equal(format.setting(""), "");
});
