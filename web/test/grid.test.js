import { test } from "node:test";
import assert from "node:assert/strict";
import { gridOf } from "../src/grid.js";

const empty = ({ columns, wide }, cells) => (columns - ((cells + wide) % columns)) % columns;

test("the last row of charts is full wherever that can be", () => {
  for (const [width, cells] of [[1206, 7], [1206, 10], [1206, 4], [1846, 7], [1846, 10], [2278, 7], [2278, 10]]) {
    assert.equal(empty(gridOf(width, cells), cells), 0, `${cells} charts at ${width}`);
  }
  for (let cells = 0; cells < 40; cells++) assert.ok(empty(gridOf(1206, cells), cells) <= 1);
});

test("no chart is narrower than it can be read", () => {
  assert.deepEqual(gridOf(300, 5), { columns: 1, wide: 1 });
  assert.deepEqual(gridOf(720, 5), { columns: 2, wide: 2 });
  for (let width = 200; width < 4000; width += 37) {
    const { columns, wide } = gridOf(width, 8);
    assert.ok(columns === 1 || (width - 28 * (columns - 1)) / columns >= 330);
    assert.ok(wide <= columns && columns <= 6);
  }
});
