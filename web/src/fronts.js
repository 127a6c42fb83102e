// @ts-check
// What is not beaten in everything: fronts of two goals. Pure.

/**
 * The points that no other beats in both, along x. Equal points all stay.
 * @template {{x: number, y: number}} T
 * @param {T[]} points @param {boolean} largeX is a large x good @param {boolean} largeY
 * @returns {T[]}
 */
export function front(points, largeX, largeY) {
  const gx = largeX ? -1 : 1;
  const gy = largeY ? -1 : 1;
  const order = points.filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y)).sort((a, b) => gx * (a.x - b.x) || gy * (a.y - b.y));
  /** @type {T[]} */
  const out = [];
  let best = Infinity;
  let at = NaN;
  for (const point of order) {
    const y = gy * point.y;
    if (y < best || (y === best && point.x === at)) {
      out.push(point);
      best = y;
      at = point.x;
    }
  }
  return out.sort((a, b) => a.x - b.x);
}

/** The steps of a front as a line: nothing is claimed between its points. @param {{x: number, y: number}[]} points in order of x @param {boolean} largeX */
export function stairs(points, largeX) {
  const xs = [];
  const ys = [];
  points.forEach((point, i) => {
    const before = points[i - 1];
    if (before) {
      xs.push(largeX ? before.x : point.x);
      ys.push(largeX ? point.y : before.y);
    }
    xs.push(point.x);
    ys.push(point.y);
  });
  return { x: xs, y: ys };
}

/** Best so far, in the order in which runs ended. @param {{x: number, y: number}[]} points in order @param {boolean} maximize */
export function bestSoFar(points, maximize) {
  let best = NaN;
  return points.map((point) => {
    const better = Number.isFinite(point.y) && !(maximize ? point.y <= best : point.y >= best);
    if (better) best = point.y;
    return { x: point.x, y: best };
  });
}

/** Runs over slots: each in the lowest slot that is free when it starts. @param {{start: number, end: number}[]} spans by start @returns {number[]} */
export function slots(spans) {
  /** @type {number[]} */
  const free = [];
  return spans.map(({ start, end }) => {
    let slot = free.findIndex((until) => until <= start + 1e-6);
    if (slot < 0) slot = free.length;
    free[slot] = end;
    return slot;
  });
}
