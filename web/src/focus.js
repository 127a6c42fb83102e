// @ts-check
// A view is made anew whenever something in it is chosen. Whoever chose by keyboard must find
// themselves where they were, not at the top of the page.

/** What a control is called. @param {Element} element */
const nameOf = (element) => element.getAttribute("aria-label") ?? element.textContent ?? "";

/**
 * Remembers what has the focus inside of `root`; the function returned gives it to the control that
 * stands in its place now. A control that another word stands on (hide, show) is known by its place.
 * @param {Element} root @returns {(same: boolean) => void} same: it still shows the same view
 */
export function keepFocus(root) {
  const element = document.activeElement;
  if (!element || element === root || !root.contains(element)) return () => {};
  const alike = () => [...root.querySelectorAll(element.localName)];
  const before = alike();
  const name = nameOf(element);
  const named = (/** @type {Element[]} */ all) => all.filter((other) => nameOf(other) === name);
  const turn = named(before).indexOf(element);
  const place = before.indexOf(element);
  const filter = element.matches("input.filter");
  return (same) => {
    const now = alike();
    const found = filter ? root.querySelector(".table-box") : named(now)[turn] ?? (now.length === before.length ? now[place] : null);
    const target = /** @type {HTMLElement} */ (same && found ? found : root);
    target.focus({ preventScroll: true });
  };
}
