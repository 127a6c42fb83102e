import { test } from "node:test";
import assert from "node:assert/strict";
import { changed, list, parse, print } from "../src/hash.js";

test("an address that is printed reads back the same", () => {
  const place = { view: "runs", subject: "a/b c?#&", options: new Map([["q", "a = \"x&y\" and b > 1%"], ["sel", "k1,k2"]]) };
  const back = parse(print(place));
  assert.deepEqual(back, place);
});

test("an address from a stranger becomes a view that exists", () => {
  assert.equal(parse("#<script>").view, "compare");
  assert.equal(parse("").view, "compare");
  assert.equal(parse("#run/%E0%A4%A").subject, "%E0%A4%A");
});

test("an empty option is taken away", () => {
  const place = changed(parse("#runs?q=x&sort=name"), { q: "", group: "seed" });
  assert.equal(print(place), "#runs?sort=name&group=seed");
});

test("a list has no empty members", () => {
  assert.deepEqual(list(parse("#runs?sel=a,,b,"), "sel"), ["a", "b"]);
});
